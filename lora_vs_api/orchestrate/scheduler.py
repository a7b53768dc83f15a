"""Which node may start when: nodes side by side, each after what it needs.

Knows neither DVC nor where a node runs: ``start`` gives a future, be it of a thread, a Ray task or a
batch system's job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

from lora_vs_api.errors import UserError


@dataclass(frozen=True)
class Node:
    """One node of the DAG, by its address; ``needs`` are the addresses that come before it.

    ``exclusive``: nothing runs beside it, because it measures time.
    """

    address: str
    needs: frozenset[str] = frozenset()
    exclusive: bool = False


@dataclass
class Outcome:
    """Addresses in the order in which they ended; ``skipped`` ones needed a failed one."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


class _Schedule:
    """What waits, what runs and what has ended."""

    def __init__(
        self,
        nodes: Sequence[Node],
        start: Callable[[str, int], Future[str | None]],
        jobs: int,
        tell: Callable[[str, str, Outcome, Sequence[str]], None],
        has_room: Callable[[str, Sequence[str]], bool],
    ) -> None:
        self.known = {node.address: node for node in nodes}
        self.waiting = {a: set(node.needs & self.known.keys()) for a, node in self.known.items()}
        self.running: dict[Future[str | None], tuple[str, int]] = {}
        self.outcome = Outcome()
        self._start, self._jobs, self._tell, self._has_room = start, jobs, tell, has_room

    def start_ready(self) -> None:
        """Start what may start now; an exclusive node only where nothing else runs."""
        ready = [address for address, needs in self.waiting.items() if not needs]
        short: list[str] = []
        for address in ready:
            exclusive = any(self.known[a].exclusive for a in (address, *self._addresses()))
            free = len(self.running) < self._jobs and not exclusive
            if not free:
                continue
            if self._has_room(address, short):
                self._launch(address)
            else:
                short.append(address)
        if ready and not self.running:
            self._launch(ready[0])

    def end_one(self) -> None:
        """Wait until at least one node has ended, and note how."""
        for future in wait(self.running, return_when=FIRST_COMPLETED).done:
            address, _ = self.running.pop(future)
            problem = future.result()
            if problem is None:
                self.outcome.done.append(address)
                for needs in self.waiting.values():
                    needs.discard(address)
                self._say("done", address)
            else:
                self.outcome.failed[address] = problem
                self._say("failed", address)
                self._skip_after(address)

    def _launch(self, address: str) -> None:
        del self.waiting[address]
        taken = {slot for _, slot in self.running.values()}
        slot = next(slot for slot in range(self._jobs) if slot not in taken)
        self.running[self._start(address, slot)] = (address, slot)
        self._say("start", address)

    def _skip_after(self, failed: str) -> None:
        for address in [a for a, needs in self.waiting.items() if failed in needs]:
            # it may need the failed one along two ways
            if self.waiting.pop(address, None) is not None:
                self.outcome.skipped.append(address)
                self._say("skipped", address)
                self._skip_after(address)

    def _addresses(self) -> list[str]:
        return [address for address, _ in self.running.values()]

    def _say(self, event: str, address: str) -> None:
        self._tell(event, address, self.outcome, self._addresses())


def run_nodes(
    nodes: Sequence[Node],
    start: Callable[[str, int], Future[str | None]],
    jobs: int,
    tell: Callable[[str, str, Outcome, Sequence[str]], None] = lambda *_: None,
    has_room: Callable[[str, Sequence[str]], bool] = lambda *_: True,
) -> Outcome:
    """Run every node, at most ``jobs`` at a time; those nearer the front of ``nodes`` first.

    Args:
        nodes: needs that are no node of this sequence count as met.
        start: address and slot (0 to jobs-1, no two running nodes share one) → a future that
            gives None for a node that went well, else what went wrong.
        tell: called with "start", "done", "failed" or "skipped", the address, the outcome so
            far and what is running now.
        has_room: whether a node would find what it takes now, and takes nothing that those before it,
            which found no room, wait for. With nothing running, it is not asked.

    Raises:
        UserError: nodes that need each other in a circle.
    """
    schedule = _Schedule(nodes, start, jobs, tell, has_room)
    while schedule.waiting or schedule.running:
        schedule.start_ready()
        if not schedule.running:
            raise UserError(f"dvc.yaml: nodes need each other: {', '.join(schedule.waiting)}")
        schedule.end_one()
    return schedule.outcome


def needed_by(nodes: Sequence[Node], targets: Sequence[str]) -> list[Node]:
    """``targets`` and all that comes before them, in the order of ``nodes``."""
    known: Mapping[str, Node] = {node.address: node for node in nodes}
    wanted, todo = set(), list(targets)
    while todo:
        address = todo.pop()
        if address not in wanted and address in known:
            wanted.add(address)
            todo.extend(known[address].needs)
    return [node for node in nodes if node.address in wanted]


def touched_by(nodes: Sequence[Node], changed: set[str]) -> list[Node]:
    """``changed`` nodes and all that comes after them, in the order of ``nodes``."""
    touched = set(changed)
    grown = True
    while grown:
        more = {n.address for n in nodes if n.needs & touched} - touched
        touched |= more
        grown = bool(more)
    return [node for node in nodes if node.address in touched]
