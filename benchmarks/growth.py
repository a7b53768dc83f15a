"""How time and memory grow with the examples: corpus, split, analyze and report.

Absolute figures, as there is nothing to compare with; the notes say how they grow. For corpus and
split an example is a row of the corpus, for analyze and report a test text that every condition
has answered. Those answers are made up, in the form of a run's: no model is asked.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.timing import Row
from lora_vs_api.config.load import check_params
from lora_vs_api.config.sections import GeneratedData, Params
from lora_vs_api.data.generator import generate_corpus
from lora_vs_api.files import write_json, write_jsonl

ROOT = Path(__file__).resolve().parents[1]
SIZES = (2_000, 20_000, 200_000)
# the committed results of the nodes in git are there to read; what is large or private is not
LEFT_OUT = (
    ".git", ".venv", ".dvc", "models", "predictions", "timings", "*.egg-info",
    "responses", "logs",
)  # fmt: skip
# out of a hundred answers: all right, one field wrong, no record at all, truncated
RIGHT, NEARLY, PROSE = 40, 85, 95


class Took(NamedTuple):
    """Seconds by the clock and of CPU, imports included, and the peak in MiB."""

    seconds: float
    cpu: float
    peak: float


def run(given: argparse.Namespace) -> list[Row]:
    return measured_growth(SIZES)


def measured_growth(sizes: tuple[int, ...]) -> list[Row]:
    rows, first = [], {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder, "project")
            shutil.copytree(ROOT, work, ignore=shutil.ignore_patterns(*LEFT_OUT))
            for stages, prepare, noun in (
                (("corpus", "split"), _with_corpus_of, "emails"),
                (("analyze", "report"), _with_answers_to, "test texts"),
            ):
                prepare(work, size)
                for stage in stages:
                    took = measured(stage, work)
                    first.setdefault(stage, (took, size))
                    rows.append(_row(stage, size, noun, took, *first[stage]))
    return rows


def _row(stage: str, size: int, noun: str, took: Took, first: Took, least: int) -> Row:
    notes = {"CPU, s": round(took.cpu, 1), "peak MiB": round(took.peak)}
    if size > least:
        notes[f"against {least:,}"] = (
            f"{size / least:g} times the {noun}: time × {took.seconds / first.seconds:.1f}, "
            f"CPU × {took.cpu / first.cpu:.1f}, memory × {took.peak / first.peak:.1f}"
        )
    return Row("growth", f"{stage}, {size:,} {noun}", "s", took.seconds, notes=notes)


def _with_corpus_of(work: Path, size: int) -> None:
    _set(work, "data", n=size)


def _with_answers_to(work: Path, size: int) -> None:
    """Everything that analyze and report read beside what git holds, for ``size`` test texts."""
    params = _set(work, "evaluate", test_rows=size)
    data = params.data
    assert isinstance(data, GeneratedData), "of the task support_emails"
    rows = generate_corpus(size, 1, data.categories, data.sentiments)
    write_jsonl(work / "data/split/test.jsonl", rows)
    write_jsonl(
        work / "data/split/groups.jsonl",
        ({"id": row["id"], "split": "test", "group": row["meta"]["situation"]} for row in rows),
    )
    local = [f"lora-seed-{seed}" for seed in params.seeds] + ["base_zero_shot", *params.tunings]
    for place, name in enumerate([*local, *params.conditions]):
        draw = random.Random(place)
        predictions = work / "predictions" / "evaluate" / name
        write_jsonl(predictions / "predictions.jsonl", _answers(rows, draw))
        write_jsonl(
            predictions / "usage.jsonl",
            (
                {
                    "id": row["id"],
                    "input_tokens": draw.randint(140, 220),
                    "output_tokens": draw.randint(50, 70),
                }
                for row in rows
            ),
        )
        timed = rows if name in params.conditions else rows[: params.evaluate.latency_rows]
        timing = {
            "latency_ids": [row["id"] for row in timed],
            "latency_seconds": [round(draw.uniform(1.2, 2.9), 4) for _ in timed],
            "throughput_texts_per_second": 5.0,
            "wall_seconds": size / 5,
        }
        if name in params.conditions:
            timing |= {"mode": "live", "latency_concurrency": [1] * size}
            timing |= {"cached_input_tokens": [0] * size}
        else:
            timing |= {"batch_joules": None, "latency_joules": None}
            timing |= {"machine": {"device": "cpu", "name": "made up", "dtype": "bfloat16"}}
        write_json(work / "timings/evaluate" / f"{name}.json", timing)
    for name in (
        *(f"rank_trial/{rank}" for rank in params.sweep.ranks),
        *(f"lr_trial/{rate}" for rate in params.sweep.learning_rates),
        *(f"train/seed-{seed}" for seed in params.seeds),
    ):
        trained = {"reused": False, "training_seconds": 60.0, "training_joules": None}
        write_json(work / "timings" / f"{name}.json", trained)
    # of these nodes the report tells, and git does not hold their results
    stand_ins = {
        "contamination": {"field": None},
        "sanity": {"steps": 10, "first_loss": 1.1, "last_loss": 0.4, "valid_json": 1.0,
                   "passed": True},
    }  # fmt: skip
    for name, content in stand_ins.items():
        write_json(work / "metrics" / f"{name}.json", content)


def _answers(rows: list[dict[str, Any]], draw: random.Random) -> Iterator[dict[str, Any]]:
    for row in rows:
        record, kind = dict(row["record"]), draw.randrange(100)
        if RIGHT <= kind < NEARLY:
            record["urgency"] = record["urgency"] % 5 + 1
        output = json.dumps(record)
        if kind >= NEARLY:
            output = f"The record is:\n{output}" if kind < PROSE else output[: len(output) // 2]
        outcome = "truncated" if kind >= PROSE else "answered"
        yield {"id": row["id"], "output": output, "outcome": outcome}


def _set(work: Path, section: str, **values: Any) -> Params:
    """Change the project's params.yaml, and read it."""
    file = work / "params.yaml"
    params = yaml.safe_load(file.read_text(encoding="utf-8"))
    params[section].update(values)
    file.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return check_params(params)


def measured(stage: str, folder: Path) -> Took:
    """Run one stage in ``folder``, in a process of its own."""
    script = (
        "import runpy, sys, time, json; started = time.perf_counter(); "
        f"runpy.run_module('stages.{stage}', run_name='__main__'); "
        # of this program alone: ru_maxrss also holds what the parent had at the fork
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM')); "
        "print(json.dumps([time.perf_counter() - started, time.process_time(), "
        "int(peak.split()[1]) / 1024]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{stage}: {done.stderr[-2000:]}")
    return Took(*json.loads(done.stdout.splitlines()[-1]))
