"""Bring the pipeline up to date, independent nodes side by side: here, on Ray or on Slurm.

What `dvc repro` does, with the same dvc.lock: each node is run by DVC, as soon as what it needs is
there. Nodes that measure time (evaluate_*) run alone, so that nothing disturbs what they measure.
A node that fails leaves the others' results in place; those that need it are skipped.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lora_vs_api.config.load import load_params
from lora_vs_api.errors import UserError
from lora_vs_api.log import say

if TYPE_CHECKING:
    from lora_vs_api.orchestrate.executors import Engine
    from lora_vs_api.orchestrate.scheduler import Node

HELP = "dvc repro, independent nodes side by side"
LOGS = Path("logs/run")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", help="nodes to bring up to date (default: all)")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="nodes at a time (default: 2)")
    parser.add_argument(
        "--gpus",
        type=int,
        help="give each of so many GPUs a node of its own (default: all there are)",
    )
    parser.add_argument(
        "--on",
        choices=("here", "ray", "slurm"),
        default="here",
        help="ray: the cluster of RAY_ADDRESS, or one for this run alone; slurm: through submitit; "
        "both need this folder on every machine",
    )
    parser.add_argument(
        "--slurm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="what Slurm is told beyond `nodes` in conf/config.yaml, such as partition=gpu",
    )


def run(given: argparse.Namespace) -> None:
    from lora_vs_api.orchestrate.pipeline import locked_nodes, order_lock, read_nodes
    from lora_vs_api.orchestrate.scheduler import Outcome, needed_by, run_nodes, touched_by

    if given.jobs < 1:
        raise UserError(f"--jobs: expected an integer ≥ 1, found {given.jobs}")
    root = Path.cwd()
    everything, changed = read_nodes(root)
    unknown = [target for target in given.targets if not _matching(everything, target)]
    if unknown:
        raise UserError(f"{unknown[0]}: no such node; `dvc stage list` names them")
    nodes = everything
    if given.targets:
        wanted = [a for target in given.targets for a in _matching(everything, target)]
        nodes = needed_by(everything, wanted)
    nodes = touched_by(nodes, changed & {node.address for node in nodes})
    if not nodes:
        say("Data and pipelines are up to date.")
        return
    before, started, since = locked_nodes(root), time.monotonic(), {}

    def tell(event: str, address: str, outcome: Outcome, running: Sequence[str]) -> None:
        if event == "start":
            since[address] = time.monotonic()
            return
        ended = len(outcome.done) + len(outcome.failed) + len(outcome.skipped)
        took = f" in {time.monotonic() - since[address]:.0f} s" if address in since else ""
        say(
            f"[{ended}/{len(nodes)}] {address} {event}{took}"
            + (f"; running: {', '.join(running)}" if running else "")
        )

    say(f"{len(nodes)} nodes to look at, {given.jobs} at a time; what they say is in {LOGS}/")
    if given.on == "slurm":
        # each has a machine, or its share of one, to itself
        nodes = [replace(node, alone=False) for node in nodes]
    engine = _engine(given, root, everything)
    try:
        outcome = run_nodes(nodes, engine.start, given.jobs, tell)
    except BaseException:
        engine.stop()
        raise
    finally:
        engine.close()
        order_lock(everything, before, root)
    say(f"{len(outcome.done)} of {len(nodes)} done in {time.monotonic() - started:.0f} s")
    if outcome.failed:
        for address, problem in outcome.failed.items():
            print(f"error: {address}: {problem}", file=sys.stderr)
        skipped = f"; skipped: {', '.join(outcome.skipped)}" if outcome.skipped else ""
        raise UserError(f"{len(outcome.failed)} of {len(nodes)} nodes failed{skipped}")


def _engine(given: argparse.Namespace, root: Path, nodes: Sequence[Node]) -> Engine:
    from lora_vs_api.orchestrate import executors as engines

    timed = frozenset(node.address for node in nodes if node.alone)
    sharing = frozenset(node.address for node in nodes if given.jobs > 1 and not node.alone)
    if given.on == "here":
        gpus = _gpus() if given.gpus is None else given.gpus
        return engines.Here(root, LOGS, given.jobs, gpus, sharing)
    params = load_params()
    needs = {}
    for node in nodes:
        name = node.address.split("@")[0]
        asked = params.nodes.get(name, params.nodes["default"])
        needs[node.address] = engines.Resources(
            asked.cpus,
            asked.gpus if params.runtime.device == "cuda" else 0,
            asked.memory_gb,
            asked.minutes,
        )
    if given.on == "ray":
        return engines.OnRay(root, LOGS, given.jobs, needs, sharing)
    return engines.OnSlurm(root, LOGS, given.jobs, needs, timed, _options(given.slurm))


def _options(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for option in given:
        key, mark, value = option.partition("=")
        if not mark or not key.isidentifier():
            raise UserError(f"--slurm: expected KEY=VALUE such as partition=gpu, found {option!r}")
        found[key] = value
    return found


def _matching(nodes: Sequence, target: str) -> list[str]:
    """A node by its address, or all of a matrix by the name before the @."""
    return [node.address for node in nodes if target in (node.address, node.address.split("@")[0])]


def _gpus() -> int:
    """GPUs that NVML sees; 0 without a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError:
        return 0
