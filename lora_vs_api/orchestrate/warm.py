"""A worker that stays alive: nodes are forked from a Python that has their libraries imported already.

Importing torch, transformers, peft and trl takes a node 4 to 14 s. DVC runs each node as ever, by the command in
dvc.yaml; the `python` that it finds first in its PATH is a script that asks the worker (warm_server.py) for the
node, or starts it as ever where there is no worker, where it still imports, or where the node's environment is another
than that in which the libraries were imported.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from lora_vs_api.files import write_text
from lora_vs_api.orchestrate.warm_client import PYTHON, SOCKET
from lora_vs_api.threads import spin_briefly

SERVER = Path(__file__).with_name("warm_server.py")
CLIENT = Path(__file__).with_name("warm_client.py")
# git and DVC leave this folder alone; it may be shared by machines whose Pythons lie elsewhere
FOLDER = Path(".dvc/tmp/worker")
# between two looks whether it listens, and at most until it does
LOOK_SECONDS, IMPORT_SECONDS = 0.1, 120.0
# what nodes that train or load a model import, of libraries; all of it is imported and nothing run. Threads that they
# start (of OpenBLAS, and of pyarrow's jemalloc) stop before a fork and begin again after it.
MODULES = (
    "torch", "transformers", "transformers.trainer", "peft", "peft.optimizers", "trl",
    "trl.trainer.sft_trainer", "datasets", "pydantic", "yaml",
)  # fmt: skip
# so many nodes start by themselves before it is worth a worker, which imports as long as one of them
ALONE = 2


class Worker:
    """The worker of one process that starts nodes; it ends with that process, or at :meth:`close`."""

    def __init__(self, root: Path, logs: Path, log: str = "worker.log") -> None:
        self._root, self._log = root, root / logs / log
        self._script = (
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(CLIENT))} "$@"\n'
        )
        # another Python's script has a folder of its own
        self._folder = root / FOLDER / hashlib.sha256(self._script.encode()).hexdigest()[:16]
        self._process: subprocess.Popen[bytes] | None = None
        self._name = f"lora-vs-api-{secrets.token_hex(16)}"
        self._asked = 0
        self._environment: Mapping[str, str] = {}
        self._lock = threading.Lock()

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The ``environment`` in which DVC is to run a node: with the worker, once there is one."""
        with self._lock:
            self._asked += 1
            if sys.platform != "linux" or self._asked <= ALONE:
                return dict(environment)
            if self._process is None:
                self._start(environment)
        if not os.access(self._folder / "python", os.X_OK):
            return dict(environment)
        return {
            **environment,
            "PATH": f"{self._folder}{os.pathsep}{environment['PATH']}",
            SOCKET: self._name,
            PYTHON: sys.executable,
        }

    def wait_until_imported(self, given_up: threading.Event | None = None) -> None:
        """Until it listens, has ended or was never started: what it imports takes a core from what is measured."""
        process, given_up = self._process, given_up or threading.Event()
        deadline = time.monotonic() + IMPORT_SECONDS
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as look, suppress(OSError):
                look.connect(f"\0{self._name}")
                return
            if given_up.wait(LOOK_SECONDS):
                return

    def close(self) -> None:
        """End the worker. Nodes that run end with it."""
        with self._lock:
            if self._process is None:
                return
            self._process.terminate()
            if self._process.stdin:
                self._process.stdin.close()
            self._process.wait()
            self._process = None

    def _start(self, environment: Mapping[str, str]) -> None:
        own = dict(environment)
        spin_briefly(own)
        with suppress(OSError):
            # where it cannot be written nodes start as ever
            self._log.parent.mkdir(parents=True, exist_ok=True)
            script = self._folder / "python"
            if not script.is_file() or script.read_text(encoding="utf-8") != self._script:
                script.parent.mkdir(parents=True, exist_ok=True)
                write_text(script, self._script)
            script.chmod(0o755)
            with self._log.open("wb") as stream:
                self._process = subprocess.Popen(
                    [sys.executable, str(SERVER), self._name, *MODULES],
                    cwd=self._root,
                    env=own,
                    stdin=subprocess.PIPE,
                    stdout=stream,
                    stderr=stream,
                    # Ctrl-C in the terminal reaches nodes through DVC, as ever
                    start_new_session=True,
                )


@cache
def worker_of(root: Path, logs: Path) -> Worker:
    """This process's own: of a worker of Ray, which runs one node after the other, beside others of its kind."""
    return Worker(root, logs, f"worker-{socket.gethostname()}-{os.getpid()}.log")
