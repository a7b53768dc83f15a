"""What the pipeline itself costs: DVC with nothing to do, start-up of the nodes, growth.

Absolute seconds, as there is nothing to compare with; the notes say what the growth is. The
nodes' start-up is the import of the stage's module in a process of its own, as DVC starts it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.timing import Row, seconds

ROOT = Path(__file__).resolve().parents[1]
SIZES = (2_000, 20_000, 200_000)


def run(given: argparse.Namespace) -> list[Row]:
    return [*_nothing_to_do(given.rounds), *_start_up(), *_growth()]


def _nothing_to_do(rounds: int) -> list[Row]:
    rows = []
    dvc = str(Path(sys.executable).with_name("dvc"))
    for command in (["status"], ["repro", "--dry"]):
        times = [
            seconds(lambda c=command: subprocess.run([dvc, *c], capture_output=True, check=True))
            for _ in range(rounds)
        ]
        rows.append(
            Row(
                "overhead",
                f"`dvc {' '.join(command)}`",
                "runs/s",
                1 / min(times),
                notes={"seconds": f"{min(times):.2f} to {max(times):.2f}"},
            )
        )
    return rows


def _start_up() -> list[Row]:
    rows = []
    for file in sorted(ROOT.glob("stages/*.py")):
        if "run_stage(main)" not in file.read_text(encoding="utf-8"):
            continue
        starts = [_start(file.stem) for _ in range(3)]
        taken = min(start[0] for start in starts)
        _, torch, peak = starts[0]
        rows.append(
            Row(
                "overhead",
                f"start-up of {file.stem}",
                "starts/s",
                1 / taken,
                notes={"seconds, torch imported, MiB": f"{taken:.2f}, {torch}, {peak:.0f}"},
            )
        )
    return rows


def _start(stage: str) -> tuple[float, str, float]:
    """Seconds of a process that imports a stage, whether torch came with it, and its peak MiB."""
    script = (
        f"import sys, stages.{stage}; "
        # of this program alone: ru_maxrss also holds what the parent had at the fork
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM')); "
        "print('torch' in sys.modules, peak.split()[1])"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    taken = time.perf_counter() - started
    torch, peak = done.stdout.split()
    return taken, torch, int(peak) / 1024


def _growth() -> list[Row]:
    """Corpus and split at growing sizes, in a copy of the project without its results."""
    rows, first = [], {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder, "project")
            shutil.copytree(
                ROOT,
                work,
                ignore=shutil.ignore_patterns(
                    ".git", ".venv", ".dvc", "models", "predictions", "*.egg-info", "responses"
                ),
            )
            params = yaml.safe_load((work / "params.yaml").read_text())
            params["data"]["n"] = size
            (work / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
            for stage in ("corpus", "split"):
                taken, peak = _measured(stage, work)
                first.setdefault(stage, (taken, peak))
                rows.append(
                    Row(
                        "overhead",
                        f"{stage}, {size:,} emails",
                        "emails/s",
                        size / taken,
                        notes={
                            "seconds, MiB": f"{taken:.1f}, {peak:.0f}",
                            f"against {SIZES[0]:,} emails": f"time × {taken / first[stage][0]:.1f}, "
                            f"memory × {peak / first[stage][1]:.1f}",
                        },
                    )
                )
    return rows


def _measured(stage: str, folder: Path) -> tuple[float, float]:
    """Seconds and peak MiB of one stage in ``folder``."""
    script = (
        "import runpy, sys, time, json; started = time.perf_counter(); "
        f"runpy.run_module('stages.{stage}', run_name='__main__'); "
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM')); "
        "print(json.dumps([time.perf_counter() - started, int(peak.split()[1]) / 1024]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True
    )
    taken, peak = json.loads(done.stdout.splitlines()[-1])
    return taken, peak
