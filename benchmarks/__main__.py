"""Measure and write results: python -m benchmarks [NAME ...]"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from benchmarks.timing import Row
from lora_vs_api.entry import run_command
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, write_json, write_text

NAMES = {
    "statistics": "all intervals and tests of ten conditions against loops of scipy",
    "coverage": "how often intervals hold the truth and tests reject it; writes docs/statistics.md",
    "labels": "how often the interval of a break-even in labels holds it; writes docs/learning-curve.md",
    "training": "a LoRA training against plain TRL on the same examples",
    "sweep": "the sweep and the final seeds against one plain training after another",
    "inference": "batched answers against `generate` one by one, and batched as it comes",
    "overhead": "no-op `dvc repro` and `dvc status`, start-up of each node",
    "growth": "time and memory of corpus, split, analyze and report at 2,000 to 200,000 examples",
    "pipeline": "a run from nothing in a clone, node by node, and what a change costs after it",
    "scale": "a thousand sleeping nodes: scheduling overhead, 1 to 8 workers against ideal",
    "decoding": "on a GPU: plain `generate`, ours, a compiled static cache, continuous batching",
    "serving": "the fine-tune behind llama.cpp's server against plain `generate`: latency, rate, cost",
}

ABSENT = "–"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Speed as ratios side by side in one run; see benchmarks/README.md.",
        epilog="\n".join(f"{name:12} {what}" for name, what in NAMES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones; none means all")
    parser.add_argument("--rounds", type=int, default=5, help="how often each pair is timed (5)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--model", default="models/base_model", help="folder of the base model")
    parser.add_argument(
        "--merged",
        help="of `serving`, `inference` and `decoding`: folder of the fine-tune, merged or an adapter",
    )
    parser.add_argument(
        "--gguf", nargs="+", help="of `serving`: the same as GGUF files, such as F16 Q8_0"
    )
    parser.add_argument(
        "--server", nargs="+", metavar="NAME=URL", help="of `serving`: other servers of it that run"
    )
    parser.add_argument("--profile", help="of `pipeline` (laptop, with cuda smol-gpu); or tiny")
    parser.add_argument("--folder", help="where `pipeline` works and leaves its clone")
    parser.add_argument("--out", default="benchmarks/results", help="folder of the results")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in NAMES]
    if unknown:
        raise UserError(f"{unknown[0]}: expected one of {', '.join(NAMES)}")
    if given.rounds < 1:
        raise UserError(f"--rounds: expected an integer ≥ 1, found {given.rounds}")
    for name in given.names or NAMES:
        rows = importlib.import_module(f"benchmarks.{name}").run(given)
        result = {"machine": machine(given.device), "rows": [row.as_json() for row in rows]}
        write_json(Path(given.out, f"{name}-{given.device}.json"), result)
        print(table(rows), flush=True)
    write_text(Path(given.out, "README.md"), summary(Path(given.out)))


def machine(device: str) -> dict[str, str | int | None]:
    """Where it was measured."""
    # not at the top, for --help's sake: it imports torch
    from lora_vs_api.processor import cpu_name

    where: dict[str, str | int | None] = {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "processor": cpu_name(),
    }
    if device == "cuda":
        import torch

        where["gpu"] = torch.cuda.get_device_name(0)
    return where


def table(rows: Sequence[Row]) -> str:
    """The rows as one Markdown table, a line each.

    Where something is compared, it has columns for that, and the notes stand in the last one;
    otherwise every note has a column of its own.
    """
    if any(row.reference is not None for row in rows):
        head = ["what", "ours", "reference", "ratio (min to max)", "goal", "against", "notes"]
        lines = [_compared(row) for row in rows]
    else:
        keys = list(dict.fromkeys(key for row in rows for key in row.notes))
        head = ["what", "ours", *keys]
        lines = [
            [row.what, quantity(row.ours, row.unit), *(str(row.notes.get(k, ABSENT)) for k in keys)]
            for row in rows
        ]
    rule = ["---" if name in ("what", "against", "notes") else "---:" for name in head]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))


def _compared(row: Row) -> list[str]:
    ratio = ABSENT
    if row.ratio is not None:
        ratio = f"**{row.ratio:.2f}** ({min(row.ratios):.2f} to {max(row.ratios):.2f})"
    return [
        row.what,
        quantity(row.ours, row.unit),
        ABSENT if row.reference is None else quantity(row.reference, row.unit),
        ratio,
        ABSENT if row.goal is None else f"{row.goal:g}",
        row.against or ABSENT,
        "; ".join(f"{key}: {value}" for key, value in row.notes.items()) or ABSENT,
    ]


def quantity(value: float, unit: str) -> str:
    """A number with its unit, to three digits: 1,061 s, 0.412 s, 13,430 emails/s."""
    digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
    return f"{digits} {unit}"


def summary(folder: Path) -> str:
    """Every result file of ``folder`` as one page."""
    parts = ["# Benchmark results", "Written by `python -m benchmarks`; do not edit."]
    for file in sorted(folder.glob("*.json")):
        result = read_json(file)
        rows = [
            Row(
                **{
                    **{key: value for key, value in row.items() if key != "ratio"},
                    "ratios": tuple(row["ratios"]),
                }
            )
            for row in result["rows"]
        ]
        where = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
        parts += [f"## {file.stem}", where, table(rows)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    run_command(main)
