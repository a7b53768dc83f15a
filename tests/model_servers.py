"""What tests of a server in a process of its own share: questions, waiting, and a node that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.imports import ROOT

KEY = "sk-planted-0123456789abcdef"
PROMPTS = [
    [{"role": "system", "content": "Extract."}, {"role": "user", "content": "My order is late"}],
    [
        {"role": "system", "content": "Extract a record.\nOne line."},
        {"role": "user", "content": "  charged twice — é ✓ "},
        {"role": "assistant", "content": '{"urgency": 3}'},
        {"role": "user", "content": "I cannot log in"},
    ],
]
LIMIT = 12


def wait_for(condition: Callable[[], Any], seconds: float) -> Any:
    """The condition's value once it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


def is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(url.removesuffix("/v1") + "/health", timeout=2) as response:
            return response.status == 200
    except OSError:
        return False


def server_environment(module: str) -> str:
    """The environment of the one child of this process that runs ``module``."""
    pid = next(
        entry.name
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _is_server(entry, module)
    )
    return Path(f"/proc/{pid}/environ").read_bytes().decode()


def _is_server(entry: Path, module: str) -> bool:
    try:
        command = (entry / "cmdline").read_bytes()
        parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, ValueError):
        return False
    return module.encode() in command and parent == os.getpid()


def check_a_killed_node_takes_its_server_along(
    served: str, arguments: list[str], scratch: Path, moment: str, seconds: float
) -> None:
    """SIGKILL a node while its server is ``starting`` or ``serving``; neither it nor its folder stays.

    Args:
        served: the statements up to ``with … as url`` of a server for ``arguments``, as ``sys.argv[1:]``.
        scratch: where the server makes its folder.
        seconds: how long each step of it may take.
    """
    node = subprocess.Popen(
        [
            sys.executable, "-c",
            f"import sys, time\n{served} as url:\n    print(url, flush=True)\n    time.sleep(60)\n",
            *arguments,
        ],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )  # fmt: skip

    def child() -> list[str]:
        listed = Path(f"/proc/{node.pid}/task/{node.pid}/children")
        return listed.read_text().split() if listed.exists() else []

    try:
        server = int(wait_for(child, seconds)[0])
        if moment == "serving":
            assert node.stdout is not None and is_up(node.stdout.readline().strip())
    finally:
        node.send_signal(signal.SIGKILL)
        node.wait()
    wait_for(lambda: not Path(f"/proc/{server}").exists(), seconds)
    # nor does the scratch folder stay
    wait_for(lambda: not list(scratch.glob("lora-vs-api-*")), seconds)
