"""The analysis as tables: every answer of every run, and what `dvc plots` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from lora_vs_api.analysis.condition import ConditionRuns
from lora_vs_api.analysis.diagnosis import differing_fields
from lora_vs_api.analysis.results import Analysis, AnswerRow, Condition, Economics
from lora_vs_api.analysis.scored_run import Floats, ScoredRun
from lora_vs_api.analysis.slots import condition_slots
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.stats.economics import break_even_curve
from lora_vs_api.stats.rounding import rounded

# of a condition's latencies: more than a figure or a reader can tell apart
MAX_STEPS = 5_000

# rows of a CSV file under plots/: one value for each of its columns
Table = Sequence[Mapping[str, Any]]

# the columns of tables that may have no row: no API condition, no field of few labels
COLUMNS: dict[str, list[str]] = {
    "confusion": ["condition", "record_field", "expected", "found", "answers"],
    "latency": ["condition", "latency_seconds", "share", "slot"],
    "per_field": ["condition", "record_field", "f1", "slot"],
    "sensitivity": ["setting", "low_volume", "high_volume", "volume"],
}


class TotalCost(TypedDict):
    """A row of plots/break_even.csv: what ``volume`` requests to one condition cost in all."""

    volume: float
    condition: str
    total_usd: float


class LatencyStep(TypedDict):
    """A row of plots/latency.csv: the share of requests answered within so many seconds."""

    condition: str
    latency_seconds: float
    share: float


def answer_table(
    rows: Sequence[Mapping[str, Any]], runs: Mapping[str, ScoredRun], field_names: Sequence[str]
) -> Iterator[AnswerRow]:
    """Every answer of every run with its score and how it differs from the gold, text by text."""
    # both are worked out from the whole run each time they are asked for
    of_run = {name: (run.truncated, run.field_f1) for name, run in runs.items()}
    for i, row in enumerate(rows):
        for name, run in runs.items():
            truncated, field_f1 = of_run[name]
            wrong = [n for n, value in zip(field_names, run.fields[i]) if value < 1]
            yield {
                "id": row["id"],
                "condition": name,
                "output": run.outputs[i],
                "truncated": bool(truncated[i]),
                "input_tokens": int(run.input_tokens[i]),
                "output_tokens": int(run.output_tokens[i]),
                "field_f1": round(float(field_f1[i]), 6),
                "wrong": wrong,
                "differs": differing_fields(parse_record(run.outputs[i]), row["record"], wrong),
            }


def break_even_table(economics: Economics) -> list[TotalCost]:
    """Rows of plots/break_even.csv: total USD of each way at volumes from 10^4 to 10^9.

    The fine-tune's first, and it alone where no API condition was asked.
    """
    volumes = np.logspace(4, 9, 26)
    ours = (volumes, economics.training.total_usd, economics.local_per_1k)
    local, _ = break_even_curve(*ours, api_per_1k=0.0)
    rows = _curve("lora", volumes, local)
    for entry in economics.break_even:
        _, api = break_even_curve(*ours, entry.api_per_1k)
        rows += _curve(entry.baseline, volumes, api)
    return rows


def _curve(condition: str, volumes: Floats, totals: Floats) -> list[TotalCost]:
    return [
        {
            "volume": rounded(float(v), 6),
            "condition": condition,
            "total_usd": rounded(float(t), 6),
        }
        for v, t in zip(volumes, totals)
    ]


def latency_table(
    conditions: Sequence[Condition], runs: Sequence[ConditionRuns]
) -> list[LatencyStep]:
    """Rows of plots/latency.csv: the share of a condition's requests at or below each latency.

    Only of conditions whose latencies compare with the first's, which were timed with as many
    requests in flight. Of more than ``MAX_STEPS`` requests, so many stand for all, evenly spaced from the fastest to
    the slowest.
    """
    rows: list[LatencyStep] = []
    for row, condition in zip(conditions, runs, strict=True):
        if not row.latency.compares_with(conditions[0].latency):
            continue
        seconds = np.sort(np.concatenate([r.timings.latency_seconds for r in condition.runs]))
        steps = min(len(seconds), MAX_STEPS)
        places = np.linspace(0, len(seconds) - 1, steps).round().astype(int)
        rows += [
            {
                "condition": condition.name,
                "latency_seconds": float(seconds[i]),
                "share": round((int(i) + 1) / len(seconds), 4),
            }
            for i in places
        ]
    return rows


def plot_tables(analysis: Analysis, runs: Sequence[ConditionRuns]) -> dict[str, Table]:
    """Tables for `dvc plots show`, by file name under plots/.

    ``slot`` says how a condition is drawn, in every plot alike.
    """
    conditions, sensitivity = analysis.conditions, analysis.economics.sensitivity
    slots = condition_slots((row.name, row.kind) for row in conditions)

    def drawn(rows: Table, key: str = "condition") -> Table:
        return [{**row, "slot": slots[row[key]]} for row in rows]

    tables: dict[str, Table] = {
        "conditions": [
            {
                "condition": row.name,
                "field_f1": row.field_f1.estimate,
                "low": row.field_f1.low,
                "high": row.field_f1.high,
                "valid_json": row.valid_json,
                "exact_match": row.exact_match,
                "cost_per_1k_usd": row.cost_per_1k.usd,
            }
            for row in conditions
        ],
        "per_field": [
            # not "field": DVC's plots put a column of that name into every row
            {"condition": row.name, "record_field": field, "f1": value}
            for row in conditions
            for field, value in row.per_field.items()
            if value is not None
        ],
        "latency": latency_table(conditions, runs),
        "break_even": break_even_table(analysis.economics),
        "paired": [
            {
                "baseline": row.baseline,
                "difference": row.difference,
                "low": row.interval.low,
                "high": row.interval.high,
            }
            for row in analysis.decisions
        ],
        "confusion": [
            {
                "condition": row.name,
                "record_field": field,
                "expected": expected,
                "found": found,
                "answers": number,
            }
            for row in conditions
            for field, table in row.diagnosis.confusion.items()
            for expected, answers in table.items()
            for found, number in answers.items()
        ],
        "sensitivity": [
            {
                "setting": row.setting,
                "low_volume": row.low_volume,
                "high_volume": row.high_volume,
                "volume": sensitivity and sensitivity.volume,
            }
            for row in (sensitivity.rows if sensitivity else ())
        ],
    }
    for name in ("conditions", "per_field", "latency", "break_even"):
        tables[name] = drawn(tables[name])
    return {**tables, "paired": drawn(tables["paired"], "baseline")}
