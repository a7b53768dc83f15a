"""What the pipeline itself costs: DVC with nothing to do, and the start-up of each node.

Absolute seconds, as there is nothing to compare with. A node's start-up is the import of the
stage's module in a process of its own, as DVC starts it; the least of three counts. What a whole
run spends on it is in `pipeline`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.timing import Row, seconds
from lora_vs_api.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


def run(given: argparse.Namespace) -> list[Row]:
    return [*_nothing_to_do(given.rounds), *_start_up()]


def _nothing_to_do(rounds: int) -> list[Row]:
    rows = []
    dvc = str(Path(sys.executable).with_name("dvc"))
    for command in (["status"], ["repro", "--dry"]):
        times = [seconds(partial(_run, [dvc, *command])) for _ in range(rounds)]
        rows.append(
            Row(
                "overhead",
                f"`dvc {' '.join(command)}`",
                "s",
                min(times),
                notes={"slowest": f"{max(times):.2f} s"},
            )
        )
    return rows


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise UserError(f"dvc {' '.join(command[1:])}: {said[0]}; run `dvc repro` first")


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
                "s",
                taken,
                notes={"peak MiB": round(peak), "torch": "yes" if torch == "True" else "no"},
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
