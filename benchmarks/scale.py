"""A thousand nodes that sleep: what scheduling costs, and how near 1 to 8 workers come to ideal.

The scheduler alone first, over nodes that only sleep; then nodes run by DVC, whose own time for a
node (a process, the lock, the cache) is most of what a node costs.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import yaml

from benchmarks.timing import Row, seconds
from lora_vs_api.orchestrate.scheduler import Node, run_nodes

NODES, SLEEP, WORKERS = 1_000, 0.02, (1, 2, 4, 8)
DVC_NODES, DVC_SLEEP = 12, 2.0


def run(given: argparse.Namespace) -> list[Row]:
    return [*_scheduler(), *_through_dvc()]


def sleeping_dag(nodes: int, seed: int = 0) -> list[Node]:
    """Layers of fifty; each node needs up to three of the layer before."""
    draw = random.Random(seed)
    layers = [range(start, min(start + 50, nodes)) for start in range(0, nodes, 50)]
    found = []
    for before, layer in zip([range(0), *layers], layers, strict=False):
        for index in layer:
            needs = draw.sample(list(before), min(len(before), draw.randrange(4)))
            found.append(Node(f"n{index}", frozenset(f"n{need}" for need in needs)))
    return found


def longest_path(nodes: list[Node]) -> int:
    depth: dict[str, int] = {}
    for node in nodes:
        depth[node.address] = 1 + max((depth[need] for need in node.needs), default=0)
    return max(depth.values())


def _scheduler() -> list[Row]:
    nodes, rows, alone = sleeping_dag(NODES), [], 0.0
    path = longest_path(nodes)
    for workers in WORKERS:
        with ThreadPoolExecutor(workers) as pool:

            def start(address: str, slot: int, pool: ThreadPoolExecutor = pool):
                return pool.submit(time.sleep, SLEEP)

            took = seconds(partial(run_nodes, nodes, start, workers))
        alone = alone or took
        ideal = max(path, NODES / workers) * SLEEP
        rows.append(
            Row(
                "scale",
                f"{NODES:,} nodes of {SLEEP * 1000:g} ms, {workers} at a time, scheduler alone",
                "nodes/s",
                NODES / took,
                NODES / ideal,
                "no overhead at all",
                (ideal / took,),
                notes={
                    "overhead per node, ms": f"{(took - ideal) * workers / NODES * 1000:.2f}",
                    "speed-up against one at a time": f"{alone / took:.2f}",
                },
            )
        )
    return rows


def _through_dvc() -> list[Row]:
    """Independent nodes that sleep, run by `run -j` and by `dvc repro`."""
    rows = []
    stages = {
        f"n{i}": {"cmd": f"sleep {DVC_SLEEP:g} && echo {i} > n{i}.txt", "outs": [f"n{i}.txt"]}
        for i in range(DVC_NODES)
    }
    repro = [sys.executable, "-m", "dvc", "repro"]
    one_by_one = _took(stages, repro)
    for workers in WORKERS:
        took = _took(stages, [sys.executable, "-m", "lora_vs_api", "run", "-j", str(workers)])
        ideal = DVC_NODES * DVC_SLEEP / workers
        rows.append(
            Row(
                "scale",
                f"{DVC_NODES} nodes of {DVC_SLEEP:g} s through DVC, {workers} at a time",
                "nodes/s",
                DVC_NODES / took,
                DVC_NODES / one_by_one,
                "`dvc repro`",
                (one_by_one / took,),
                notes={"share of ideal": f"{ideal / took:.0%}", "seconds": f"{took:.1f}"},
            )
        )
    return rows


def _took(stages: dict, command: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        for setup in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
            subprocess.run(setup, cwd=folder, check=True)
        Path(folder, "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
        return seconds(lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True))
