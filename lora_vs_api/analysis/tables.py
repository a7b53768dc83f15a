"""The analysis as tables: every answer of every pass, and what `dvc plots` draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lora_vs_api.analysis.diagnosis import differing_fields
from lora_vs_api.analysis.scored_run import Scored
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.stats.economics import break_even_curve
from lora_vs_api.stats.rounding import rounded

# of a condition's latencies: more than a figure or a reader can tell apart
MOST_STEPS = 5_000


def answer_table(
    rows: Sequence[dict[str, Any]], passes: Mapping[str, Scored], field_names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Every answer of every pass with its score and how it differs from the gold, text by text."""
    # both are worked out from the whole pass each time they are asked for
    of_pass = {name: (scored.truncated, scored.field_f1) for name, scored in passes.items()}
    for i, row in enumerate(rows):
        for name, scored in passes.items():
            truncated, field_f1 = of_pass[name]
            wrong = [n for n, value in zip(field_names, scored.fields[i]) if value < 1]
            yield {
                "id": row["id"],
                "condition": name,
                "output": scored.outputs[i],
                "truncated": bool(truncated[i]),
                "input_tokens": int(scored.input_tokens[i]),
                "output_tokens": int(scored.output_tokens[i]),
                "field_f1": round(float(field_f1[i]), 6),
                "wrong": wrong,
                "differs": differing_fields(parse_record(scored.outputs[i]), row["record"], wrong),
            }


def break_even_table(economics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of plots/break_even.csv: total USD of each way at volumes from 10^4 to 10^9."""
    volumes = np.logspace(4, 9, 26)
    rows = []
    for entry in economics["break_even"]:
        local, api = break_even_curve(
            volumes,
            economics["training"]["total_usd"],
            economics["local_per_1k"],
            entry["api_per_1k"],
        )
        if not rows:
            rows += _curve("lora", volumes, local)
        rows += _curve(entry["baseline"], volumes, api)
    return rows


def _curve(condition: str, volumes: np.ndarray, totals: np.ndarray) -> list[dict[str, Any]]:
    return [
        {
            "volume": rounded(float(v), 6),
            "condition": condition,
            "total_usd": rounded(float(t), 6),
        }
        for v, t in zip(volumes, totals)
    ]


def latency_table(passes: Mapping[str, Sequence[Scored]]) -> list[dict[str, Any]]:
    """Rows of plots/latency.csv: the share of a condition's requests at or below each latency.

    Of more than ``MOST_STEPS`` requests, so many stand for all, evenly spaced from the fastest to
    the slowest.
    """
    rows = []
    for name, scored in passes.items():
        seconds = np.sort(np.concatenate([p.timings["latency_seconds"] for p in scored]))
        steps = min(len(seconds), MOST_STEPS)
        places = np.linspace(0, len(seconds) - 1, steps).round().astype(int)
        rows += [
            {
                "condition": name,
                "latency_seconds": float(seconds[i]),
                "share": round((int(i) + 1) / len(seconds), 4),
            }
            for i in places
        ]
    return rows


def plot_tables(
    result: Mapping[str, Any], passes: Mapping[str, Sequence[Scored]]
) -> dict[str, list[dict[str, Any]]]:
    """Tables for `dvc plots show`, by file name under plots/."""
    conditions = result["conditions"]
    return {
        "conditions": [
            {
                "condition": row["name"],
                "field_f1": row["field_f1"]["estimate"],
                "low": row["field_f1"]["low"],
                "high": row["field_f1"]["high"],
                "valid_json": row["valid_json"],
                "strict": row["strict"],
                "cost_per_1k_usd": row["cost_per_1k"]["usd"],
            }
            for row in conditions
        ],
        "per_field": [
            # not "field": DVC's plots put a column of that name into every row
            {"condition": row["name"], "record_field": field, "f1": value}
            for row in conditions
            for field, value in row["per_field"].items()
        ],
        "latency": latency_table(passes),
        "break_even": break_even_table(result["economics"]),
        "paired": [
            {key: row[key] for key in ("baseline", "difference", "low", "high")}
            for row in result["comparisons"]
        ],
        "confusion": [
            {
                "condition": row["name"],
                "record_field": field,
                "expected": expected,
                "found": found,
                "answers": number,
            }
            for row in conditions
            for field, table in row["diagnosis"]["confusion"].items()
            for expected, answers in table.items()
            for found, number in answers.items()
        ],
        "sensitivity": [
            {**row, "volume": result["economics"]["sensitivity"]["volume"]}
            for row in result["economics"]["sensitivity"]["rows"]
        ],
    }
