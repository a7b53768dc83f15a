"""A thousand nodes that sleep: what scheduling costs, and how near 1 to 8 workers come to ideal.

The scheduler alone first, over nodes that only sleep; then nodes run by DVC, whose own time for a
node (a process, the lock, the cache) is most of what a node costs. At last short trials, which import what a
training does: each by itself, and forked from a worker that keeps its imports. Of these the CPU seconds are told,
of all processes together, as a machine that does other things too changes them little.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
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

ROOT = Path(__file__).parents[1]
NODES, SLEEP, WORKERS = 1_000, 0.02, (1, 2, 4, 8)
DVC_NODES, DVC_SLEEP = 12, 2.0
TRIALS = 20
# what a training imports, and a fraction of a second of its work
TRIAL = """
import sys
from lora_vs_api.training.run import train
import torch
from lora_vs_api.files import write_text
weights = torch.ones(64, 64) @ torch.ones(64, 64)
write_text(f"n{sys.argv[1]}.txt", f"{weights.sum().item()} {train.__name__}")
"""


def run(given: argparse.Namespace) -> list[Row]:
    return [*_scheduler(), *_through_dvc(), _trials()]


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


def _trials() -> Row:
    """CPU seconds of a short trial, all processes that it takes, by `run -j 2`."""
    each = {workers: cpu_of_trials(TRIALS, workers) / TRIALS for workers in ("cold", "warm")}
    return Row(
        "scale",
        f"{TRIALS} trials of no length, importing what a training does, 2 at a time, from one worker",
        "trials/CPU s",
        1 / each["warm"],
        1 / each["cold"],
        "a Python of its own each",
        (each["cold"] / each["warm"],),
        notes={f"CPU seconds a trial, {workers}": f"{took:.2f}" for workers, took in each.items()},
    )


def cpu_of_trials(number: int, workers: str) -> float:
    """CPU seconds of the processes that so many trials take, `run` itself and the worker included."""
    stages = {
        f"n{i}": {"cmd": f"python -m stages.trial {i}", "outs": [f"n{i}.txt"]}
        for i in range(number)
    }
    with tempfile.TemporaryDirectory() as folder:
        _prepare(folder, stages)
        Path(folder, "stages").mkdir()
        shutil.copy(ROOT / "stages" / "__init__.py", Path(folder, "stages"))
        Path(folder, "stages", "trial.py").write_text(TRIAL)
        shutil.copy(ROOT / "params.yaml", folder)
        before = os.times()
        subprocess.run(
            [sys.executable, "-m", "lora_vs_api", "run", "-j", "2", "--workers", workers],
            cwd=folder, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        after = os.times()
    return (
        after.children_user + after.children_system - before.children_user - before.children_system
    )


def _took(stages: dict, command: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        _prepare(folder, stages)
        return seconds(lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True))


def _prepare(folder: str, stages: dict) -> None:
    """A project of DVC's with these stages."""
    for setup in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(setup, cwd=folder, check=True)
    Path(folder, "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
