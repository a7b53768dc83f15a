"""What the fine-tune and the untuned base make of one text, field by field."""

from __future__ import annotations

import argparse
import json
import sys

from lora_vs_api.cli.local_model import adapter_folder, ask, one_text, record_fields
from lora_vs_api.config import load_params
from lora_vs_api.stage import say
from lora_vs_api.task.scoring import parse_record

HELP = "the fine-tune's and the untuned base's answer to one text, side by side"
WIDEST = 46


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", help="one text; - reads it from standard input")
    parser.add_argument("--seed", type=int, help="which final training (default: the first seed)")
    parser.add_argument(
        "--constrained", action="store_true", help="let both write only records of the schema"
    )


def run(given: argparse.Namespace) -> None:
    params = load_params()
    adapter = adapter_folder(params, given.seed)
    text = one_text(given.text, sys.stdin)
    outputs = {
        f"LoRA {adapter.name}": ask(params, adapter, [text], constrained=given.constrained),
        "untuned": ask(params, None, [text], constrained=given.constrained),
    }
    records = {name: parse_record(answers[0].output) for name, answers in outputs.items()}
    lines = [["", "field", *records]]
    for field in record_fields(params):
        cells = [
            json.dumps(record[field.name], ensure_ascii=False)
            if record is not None and field.name in record
            else "–"
            for record in records.values()
        ]
        lines.append(["≠" if len(set(cells)) > 1 else "", field.name, *map(_short, cells)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    for name, record in records.items():
        if record is None:
            print(f"\n{name} wrote no JSON object:\n{outputs[name][0].output}")
    say(
        "API conditions are not asked here, as that may cost money: "
        f"{', '.join(params.conditions)}; their answers to the test texts are in the report."
    )


def _short(cell: str) -> str:
    return cell if len(cell) <= WIDEST else cell[: WIDEST - 1] + "…"
