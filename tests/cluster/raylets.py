"""A Ray cluster of a test's own: a head and more machines, in a network of their own that has loopback alone.

Ray listens on all addresses of a machine as soon as there is a second one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from lora_vs_api.orchestrate.parcel import CHECKOUT

# what a machine of the cluster has
CPUS, MEMORY_GB = 2, 8


@dataclass
class Raylets:
    """A running cluster; ``address`` is for RAY_ADDRESS."""

    folder: Path
    port: int
    environment: dict[str, str]
    network: subprocess.Popen[bytes]
    machines: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def inside(self) -> list[str]:
        """What a command begins with that is to see the cluster."""
        return ["nsenter", f"--net=/proc/{self.network.pid}/ns/net"]

    def start(
        self, name: str, hidden: Path | None = None, checkout: Path | None = None, gpus: int = 0
    ) -> None:
        """Start a machine; ``hidden`` is a folder that is empty there, ``checkout`` its clone of the project.

        ``gpus``: as many as it says that it has; Ray looks for none.
        """
        own = {} if checkout is None else {CHECKOUT: str(checkout)}
        role = (
            [
                "--head",
                f"--port={self.port}",
                "--include-dashboard=false",
                f"--temp-dir={self.folder}",
            ]
            if name == "head"
            else [f"--address={self.address}"]
        )
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", *role, "--block",
            "--node-ip-address=127.0.0.1", f"--num-cpus={CPUS}", f"--num-gpus={gpus}",
            f"--memory={MEMORY_GB * 2**30}", "--object-store-memory=80000000",
            "--disable-usage-stats",
        ]  # fmt: skip
        if hidden is not None:
            command = ["unshare", "--mount", "sh", "-c",
                       f'mount -t tmpfs none {hidden} && exec "$@"', "sh", *command]  # fmt: skip
        with (self.folder.parent / f"{self.folder.name}.{name}.out").open("wb") as log:
            self.machines[name] = subprocess.Popen(
                [*self.inside, *command], env={**self.environment, **own}, cwd="/", stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def answers(self) -> bool:
        code = f"import socket; socket.create_connection(('127.0.0.1', {self.port}), 1)"
        command = [*self.inside, sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True).returncode == 0

    def kill(self, name: str) -> None:
        """The machine and all that runs on it, at once."""
        machine = self.machines.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(machine.pid, signal.SIGKILL)
        machine.wait()

    def stop(self) -> None:
        for name in reversed(list(self.machines)):
            machine = self.machines[name]
            with suppress(ProcessLookupError):
                os.killpg(machine.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                machine.wait(15)
            self.kill(name)
        self.network.kill()
        self.network.wait()
        for log in self.folder.parent.glob(f"{self.folder.name}.*.out"):
            log.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def private_ray(python_path: Path) -> Iterator[Raylets]:
    """A head alone, for as long as the block lasts; more machines are started in it."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    environment = dict(
        os.environ, PYTHONPATH=str(python_path), RAY_AUTH_MODE="disabled", DVC_NO_ANALYTICS="1",
    )  # fmt: skip
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    network = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 100000"],
        stdout=subprocess.PIPE,
    )
    raylets = Raylets(folder, 6379, environment, network)
    try:
        if network.stdout is None or network.stdout.readline() != b"up\n":
            raise RuntimeError("no network of its own: `unshare --net` and `ip` are needed")
        raylets.start("head")
        deadline = time.monotonic() + 90
        while not raylets.answers():
            if time.monotonic() > deadline or raylets.machines["head"].poll() is not None:
                raise RuntimeError(f"the Ray head did not start: see {folder}.head.out")
            time.sleep(0.2)
        yield raylets
    finally:
        raylets.stop()
