"""Where nodes run: what an executor is, and the one for this machine. Ray's and Slurm's are beside it.

On Ray and Slurm the project's folder has to be the same on every machine (a shared file system):
DVC works in it there as it does on this one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lora_vs_api.orchestrate.pipeline import Runner, environment_of
from lora_vs_api.orchestrate.warm import Worker


@dataclass(frozen=True)
class Resources:
    """What a node takes: CPU cores, GPUs, GB of memory, and minutes at most."""

    cpus: int
    gpus: int
    memory_gb: float
    minutes: int


class Executor(Protocol):
    """``start`` gives a future that is None for a node that went well, else what went wrong."""

    def start(self, address: str, slot: int) -> Future[str | None]: ...

    def queued(self, address: str) -> float | None:
        """Seconds that an ended node waited for its machine; None where nobody knows."""

    def stop(self) -> None:
        """End what runs and start nothing more."""

    def close(self) -> None:
        """Give back what the executor holds."""


class LocalExecutor:
    """Processes of this machine; each slot has a GPU of its own where there are several.

    ``sharing`` are the nodes that others may run beside, ``warm`` those that a worker which stays
    alive may run. ``commands``: address → what is run in place of a node, beside others.
    """

    def __init__(
        self,
        root: Path,
        logs: Path,
        jobs: int,
        gpus: int,
        sharing: frozenset[str],
        warm: frozenset[str] = frozenset(),
        commands: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._runner, self._gpus, self._sharing = Runner(root, logs), gpus, sharing
        self._worker, self._warm = Worker(root, logs), warm
        self._commands = {} if commands is None else commands
        self._pool = ThreadPoolExecutor(jobs)
        self._stopped = threading.Event()

    def start(self, address: str, slot: int) -> Future[str | None]:
        command = self._commands.get(address)
        shares = command is not None or address in self._sharing
        environment = environment_of(slot, self._gpus, shares_cores=shares)
        if command is None and address not in self._warm:
            return self._pool.submit(self._run_alone, address, environment)
        environment = self._worker.environment(environment)
        return self._pool.submit(self._runner.run, address, environment, command)

    def _run_alone(self, address: str, environment: dict[str, str]) -> str | None:
        """A node that may measure time: nothing is imported beside it."""
        self._worker.wait_until_imported(self._stopped)
        return self._runner.run(address, environment)

    def queued(self, address: str) -> float | None:
        return None

    def stop(self) -> None:
        self._stopped.set()
        self._runner.stop()

    def close(self) -> None:
        self._pool.shutdown()
        self._worker.close()
