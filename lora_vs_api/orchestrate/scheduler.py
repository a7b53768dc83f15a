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

    ``alone``: nothing runs beside it, because it measures time.
    """

    address: str
    needs: frozenset[str] = frozenset()
    alone: bool = False


@dataclass
class Outcome:
    """Addresses in the order in which they ended; ``skipped`` ones needed a failed one."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


def run_nodes(
    nodes: Sequence[Node],
    start: Callable[[str, int], Future[str | None]],
    jobs: int,
    tell: Callable[[str, str, Outcome, Sequence[str]], None] = lambda *_: None,
) -> Outcome:
    """Run every node, at most ``jobs`` at a time; those nearer the front of ``nodes`` first.

    Args:
        nodes: needs that are no node of this sequence count as met.
        start: address and slot (0 to jobs-1, no two running nodes share one) → a future that
            gives None for a node that went well, else what went wrong.
        tell: called with "start", "done", "failed" or "skipped", the address, the outcome so
            far and what is running now.

    Raises:
        UserError: nodes that need each other in a circle.
    """
    known = {node.address: node for node in nodes}
    waiting = {a: {need for need in node.needs if need in known} for a, node in known.items()}
    outcome = Outcome()
    running: dict[Future[str | None], tuple[str, int]] = {}

    def now() -> list[str]:
        return [address for address, _ in running.values()]

    def launch(address: str) -> None:
        del waiting[address]
        taken = {slot for _, slot in running.values()}
        slot = next(slot for slot in range(jobs) if slot not in taken)
        running[start(address, slot)] = (address, slot)
        tell("start", address, outcome, now())

    def start_what_may() -> None:
        for address in [a for a, needs in waiting.items() if not needs and not known[a].alone]:
            if len(running) < jobs and not any(known[a].alone for a in now()):
                launch(address)
        if not running:
            ready = [address for address, needs in waiting.items() if not needs]
            if ready:
                launch(ready[0])

    def skip_after(failed: str) -> None:
        for address in [a for a, needs in waiting.items() if failed in needs]:
            if address in waiting:
                del waiting[address]
                outcome.skipped.append(address)
                tell("skipped", address, outcome, now())
                skip_after(address)

    while waiting or running:
        start_what_may()
        if not running:
            raise UserError(f"dvc.yaml: nodes need each other: {', '.join(waiting)}")
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            address, _ = running.pop(future)
            problem = future.result()
            if problem is None:
                outcome.done.append(address)
                for needs in waiting.values():
                    needs.discard(address)
                tell("done", address, outcome, now())
            else:
                outcome.failed[address] = problem
                tell("failed", address, outcome, now())
                skip_after(address)
    return outcome


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
