"""Costs, break-even and what it depends on."""

from __future__ import annotations

from lora_vs_api.analysis.results import Economics, Way
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render


def money_section(inputs: ReportInputs) -> Markdown:
    analysis = inputs.analysis
    economics = analysis.economics
    return render(
        "money",
        conditions=analysis.conditions,
        economics=economics,
        prices=[
            (row.label, economics.prices.conditions[row.name])
            for row in analysis.conditions
            if row.name in economics.prices.conditions
        ],
        per_day=next((list(row.days) for row in economics.break_even if row.days is not None), []),
        ways=ways(economics),
    )


def ways(economics: Economics) -> list[tuple[str, list[Way | None]]]:
    """Each way of running both sides in words, with what it gives against each API condition."""
    rows: dict[tuple[bool, bool], list[Way | None]] = {
        (way.batched, way.rented): [] for row in economics.break_even for way in row.ways
    }
    for row in economics.break_even:
        known = {(way.batched, way.rented): way for way in row.ways}
        for key, found in rows.items():
            found.append(known.get(key))
    return [
        (
            f"{'in batches' if batched else 'one at a time'}, "
            f"{'rented machine' if rented else 'own electricity'}",
            found,
        )
        for (batched, rented), found in rows.items()
    ]
