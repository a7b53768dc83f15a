"""Bring the pipeline up to date, independent nodes side by side: on this machine, on Ray or on Slurm.

What `dvc repro` does, with the same dvc.lock: each node is run by DVC, as soon as what it needs is
there. Nodes that measure time (evaluate_*) are exclusive: nothing runs beside them.
A node that fails leaves the others' results in place; those that need it are skipped.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lora_vs_api.config.load import load_params
from lora_vs_api.errors import UserError
from lora_vs_api.log import say

if TYPE_CHECKING:
    from lora_vs_api.orchestrate.executors import Executor
    from lora_vs_api.orchestrate.scheduler import Node

LOGS = Path("logs/run")
# the node that all results lead to
REPORT = "report"


@dataclass(frozen=True)
class RunOptions:
    """What to run and where.

    ``targets``: nodes, by address or by their name before the @; none means all. ``gpus``: None
    takes all that there are. ``on``: local, ray or slurm. ``slurm``: KEY=VALUE for it. ``opened``: the
    report is opened at the end, in a browser where there is one.
    """

    targets: Sequence[str]
    jobs: int
    gpus: int | None
    on: str
    slurm: Sequence[str]
    opened: bool = False


def run_pipeline(given: RunOptions) -> None:
    """Bring the targets, and what they need, up to date; tell each node that ends, then the answer.

    Raises:
        UserError: a wrong option, an executor that is not there, or nodes that failed.
    """
    from lora_vs_api.cli.plan import plan_in_short
    from lora_vs_api.orchestrate.lockfile import keep_copy
    from lora_vs_api.orchestrate.pipeline import locked_nodes, order_lock, read_nodes
    from lora_vs_api.orchestrate.scheduler import Outcome, needed_by, run_nodes, touched_by

    if given.jobs < 1:
        raise UserError(f"--jobs: expected an integer ≥ 1, found {given.jobs}")
    root = Path.cwd()
    mend()
    everything, changed = read_nodes(root)
    unknown = [target for target in given.targets if not _matching(everything, target)]
    if unknown:
        raise UserError(f"{unknown[0]}: no such node; `dvc stage list` names them")
    nodes = everything
    if given.targets:
        wanted = [a for target in given.targets for a in _matching(everything, target)]
        nodes = needed_by(everything, wanted)
    reported = any(node.address == REPORT for node in nodes)
    nodes = touched_by(nodes, changed & {node.address for node in nodes})
    if not nodes:
        say("Data and pipelines are up to date.")
        _tell(reported, given)
        return
    for line in plan_in_short(root, {node.address for node in nodes}):
        say(line)
    before, started = locked_nodes(root), time.monotonic()
    since: dict[str, float] = {}

    def tell(event: str, address: str, outcome: Outcome, running: Sequence[str]) -> None:
        if event == "start":
            since[address] = time.monotonic()
            return
        if event == "failed":
            # killed, it may have left half of dvc.lock, which would fail all others
            with suppress(UserError):
                mend()
        else:
            keep_copy(root)
        ended = len(outcome.done) + len(outcome.failed) + len(outcome.skipped)
        took = f" in {time.monotonic() - since[address]:.0f} s" if address in since else ""
        say(
            f"[{ended}/{len(nodes)}] {address} {event}{took}"
            + (f"; running: {', '.join(running)}" if running else "")
        )

    say(f"{len(nodes)} nodes to look at, {given.jobs} at a time; what they say is in {LOGS}/")
    if given.on == "slurm":
        # each has a machine, or its share of one, to itself
        nodes = [replace(node, exclusive=False) for node in nodes]
    executor = _executor(given, root, everything)
    try:
        outcome = run_nodes(nodes, executor.start, given.jobs, tell)
    except BaseException:
        executor.stop()
        raise
    finally:
        executor.close()
        order_lock(everything, before, root)
        keep_copy(root)
    say(f"{len(outcome.done)} of {len(nodes)} done in {time.monotonic() - started:.0f} s")
    if outcome.failed:
        for address, problem in outcome.failed.items():
            say(f"error: {address}: {problem}")
        skipped = f"; skipped: {', '.join(outcome.skipped)}" if outcome.skipped else ""
        raise UserError(f"{len(outcome.failed)} of {len(nodes)} nodes failed{skipped}")
    _tell(reported, given)


def _tell(reported: bool, given: RunOptions) -> None:
    """The decision, where all that it rests on is up to date."""
    if reported:
        from lora_vs_api.cli.answer import tell_answer

        tell_answer(opened=given.opened)


def mend() -> None:
    """Recover a dvc.lock that a kill left empty or half, and say so; copy one that is whole.

    Raises:
        UserError: it holds a conflict of git's, or another DVC is at work.
    """
    from lora_vs_api.orchestrate.lockfile import keep_copy, mend_lock

    done = mend_lock(Path.cwd())
    if done:
        say(done)
    keep_copy(Path.cwd())


def _executor(given: RunOptions, root: Path, nodes: Sequence[Node]) -> Executor:
    from lora_vs_api.orchestrate import executors

    timed = frozenset(node.address for node in nodes if node.exclusive)
    sharing = frozenset(node.address for node in nodes if given.jobs > 1 and not node.exclusive)
    if given.on == "local":
        gpus = _gpus() if given.gpus is None else given.gpus
        return executors.LocalExecutor(root, LOGS, given.jobs, gpus, sharing)
    params = load_params()
    needs = {}
    for node in nodes:
        name = node.address.split("@")[0]
        asked = params.nodes.get(name, params.nodes["default"])
        needs[node.address] = executors.Resources(
            asked.cpus,
            asked.gpus if params.runtime.device == "cuda" else 0,
            asked.memory_gb,
            asked.minutes,
        )
    if given.on == "ray":
        return executors.RayExecutor(root, LOGS, given.jobs, needs, sharing)
    return executors.SlurmExecutor(root, LOGS, given.jobs, needs, timed, _options(given.slurm))


def _options(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for option in given:
        key, mark, value = option.partition("=")
        if not mark or not key.isidentifier():
            raise UserError(f"--slurm: expected KEY=VALUE such as partition=gpu, found {option!r}")
        found[key] = value
    return found


def _matching(nodes: Sequence[Node], target: str) -> list[str]:
    """A node by its address, or all of a matrix by the name before the @."""
    return [node.address for node in nodes if target in (node.address, node.address.split("@")[0])]


def _gpus() -> int:
    """GPUs that NVML sees; 0 without a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0
