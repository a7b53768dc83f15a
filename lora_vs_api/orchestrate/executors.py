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
from typing import TYPE_CHECKING, Protocol

from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate.cards import VISIBLE, Cards
from lora_vs_api.orchestrate.pipeline import Runner, environment_of
from lora_vs_api.orchestrate.warm import Worker

if TYPE_CHECKING:
    from lora_vs_api.config.sections.analysis import NodeResources


@dataclass(frozen=True)
class Resources:
    """What a node takes: CPU cores, GPUs or a part of one, GB of memory, and minutes at most."""

    cpus: int
    gpus: float
    memory_gb: float
    minutes: int


def resources_of(asked: NodeResources, device: str, hosted: bool = False) -> Resources:
    """What ``nodes`` says, on ``device``; ``hosted``: the node only waits for an API elsewhere."""
    gpus = asked.gpus if device == "cuda" and not hosted else 0
    return Resources(asked.cpus, gpus, asked.memory_gb, asked.minutes)


class Executor(Protocol):
    """``start`` gives a future that is None for a node that went well, else what went wrong."""

    def start(self, address: str, slot: int) -> Future[str | None]: ...

    def has_room(self, address: str, short: Sequence[str] = ()) -> bool:
        """Whether it would start at once, and takes nothing that the ``short`` ones wait for.

        Where a batch system or Ray waits for room, always.
        """

    def queued(self, address: str) -> float | None:
        """Seconds that an ended node waited for its machine; None where nobody knows."""

    def stop(self) -> None:
        """End what runs and start nothing more."""

    def close(self) -> None:
        """Give back what the executor holds."""


class LocalExecutor:
    """Processes of this machine; each has the GPUs, or the part of one, that ``needs`` says, of ``cards``.

    One that asks for none sees one card all the same, where there are several. ``sharing`` are the nodes
    that others may run beside, ``warm`` those that a worker which stays alive may run. ``commands``:
    address → what is run in place of a node, beside others.
    """

    def __init__(
        self,
        root: Path,
        logs: Path,
        jobs: int,
        cards: Sequence[str],
        sharing: frozenset[str],
        warm: frozenset[str] = frozenset(),
        commands: Mapping[str, Sequence[str]] | None = None,
        needs: Mapping[str, Resources] | None = None,
    ) -> None:
        self._runner, self._sharing = Runner(root, logs), sharing
        self._names, self._cards = list(cards), Cards(list(cards))
        self._needs = {} if needs is None else needs
        self._worker, self._warm = Worker(root, logs), warm
        self._commands = {} if commands is None else commands
        self._pool = ThreadPoolExecutor(jobs)
        self._stopped = threading.Event()
        for address, asked in self._needs.items():
            if self._names and asked.gpus > len(self._names):
                raise UserError(
                    f"{address}: takes {asked.gpus:g} GPUs, and there are {len(self._names)}; "
                    "`nodes` in conf/config.yaml says what nodes take"
                )

    def start(self, address: str, slot: int) -> Future[str | None]:
        command = self._commands.get(address)
        shares = command is not None or address in self._sharing
        environment = environment_of(shares_cores=shares)
        if len(self._names) > 1:
            environment[VISIBLE] = self._names[slot % len(self._names)]
        if command is not None or address in self._warm:
            environment = self._worker.environment(environment)
        # before the scheduler looks for room for the next one
        asked = self._asked(address)
        taken = self._cards.take(asked) if asked else []
        return self._pool.submit(self._run, address, environment, command, asked, taken)

    def has_room(self, address: str, short: Sequence[str] = ()) -> bool:
        asked = self._asked(address)
        # small parts would else take each bit that comes free, and a whole card never would
        return not asked or (not short and self._cards.has_room(asked))

    def _asked(self, address: str) -> float:
        return self._needs[address].gpus if self._names and address in self._needs else 0

    def _run(
        self,
        address: str,
        environment: dict[str, str],
        command: Sequence[str] | None,
        asked: float,
        taken: list[str] | None,
    ) -> str | None:
        if taken is None:
            taken = self._cards.wait(asked, self._stopped)
            if taken is None:
                return "interrupted"
        if taken:
            environment = {**environment, VISIBLE: ",".join(taken)}
        try:
            if command is None and address not in self._warm:
                # it may measure time: nothing is imported beside it
                self._worker.wait_until_imported(self._stopped)
                return self._runner.run(address, environment)
            return self._runner.run(address, environment, command)
        finally:
            self._cards.give_back(taken, asked)

    def queued(self, address: str) -> float | None:
        return None

    def stop(self) -> None:
        self._stopped.set()
        self._runner.stop()

    def close(self) -> None:
        self._pool.shutdown()
        self._worker.close()
