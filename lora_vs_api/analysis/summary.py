"""The few numbers that `dvc metrics diff` compares between branches."""

from __future__ import annotations

from typing import Literal

from lora_vs_api.analysis.configuration import shown_digest
from lora_vs_api.analysis.results import (
    Analysis,
    Condition,
    ConditionSummary,
    LoraSummary,
    OtherwiseSummary,
    Payment,
    RivalSummary,
    Summary,
)
from lora_vs_api.stats.rounding import rounded

MACHINE = "run on this machine, its electricity"


def summary(analysis: Analysis) -> Summary:
    """Headline figures, rounded so that what differs is readable; break-evens to the inference."""
    lora, rival = analysis.lora, analysis.strongest_rival
    decision = analysis.decision(rival.name)
    return Summary(
        task=analysis.task,
        model=analysis.model,
        config=shown_digest(analysis.config_sha256),
        r=analysis.selected.r,
        learning_rate=analysis.selected.learning_rate,
        lora=LoraSummary(
            **_figures(lora).model_dump(),
            valid_json=round(lora.valid_json, 3),
        ),
        strongest_rival=RivalSummary(
            condition=rival.name,
            field_f1=round(rival.field_f1.estimate, 3),
            lora_gain=round(decision.difference, 3),
            lora_gain_low=round(decision.interval.low, 3),
            lora_gain_high=round(decision.interval.high, 3),
        ),
        conditions={row.name: _figures(row) for row in analysis.conditions if row.kind != "lora"},
        break_even_inferences={
            row.baseline: _inferences(row.volume) for row in analysis.economics.break_even
        },
        prices=analysis.economics.prices.words if analysis.economics.break_even else None,
        paid_otherwise=_otherwise(analysis),
        verdict={clause.name: clause.outcome for clause in analysis.verdict.clauses}
        if analysis.verdict.id is not None
        else {},
    )


def _otherwise(analysis: Analysis) -> dict[Payment, OtherwiseSummary]:
    beside = analysis.economics.prices_beside
    prices: dict[Payment, str] = {} if beside is None else {"list": beside.words}
    prices["machine"] = MACHINE
    found: dict[Payment, OtherwiseSummary] = {}
    for way, words in prices.items():
        rows = [row for row in analysis.paid_otherwise if row.way == way]
        if rows:
            found[way] = OtherwiseSummary(
                prices=words,
                usd_per_1k={row.decision.baseline: rounded(row.cost.usd) for row in rows},
                break_even_inferences={
                    row.decision.baseline: _inferences(row.decision.pay_back.volume) for row in rows
                },
            )
    return found


def _figures(row: Condition) -> ConditionSummary:
    p50 = row.latency.p50
    return ConditionSummary(
        field_f1=round(row.field_f1.estimate, 3),
        exact_match=round(row.exact_match, 3),
        usd_per_1k=rounded(row.cost_per_1k.usd),
        p50=None if p50 is None else rounded(p50, 3),
    )


def _inferences(volume: float | None) -> int | Literal["never"]:
    return "never" if volume is None else round(volume)
