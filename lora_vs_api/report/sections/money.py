"""Costs, break-even and what it depends on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lora_vs_api.analysis.results import (
    Analysis,
    Economics,
    Ownership,
    OwnershipInputs,
    OwnershipLocal,
    PaidOtherwise,
    Payment,
    PriceList,
    Way,
)
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.numbers import usd
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections import advice

if TYPE_CHECKING:
    from lora_vs_api.prices.price import Price

SECONDS_PER_DAY = 86_400


def money_section(inputs: ReportInputs) -> Markdown:
    analysis = inputs.analysis
    economics = analysis.economics
    # with the interval that the verdict goes by
    against = [(row, analysis.decision(row.baseline).pay_back) for row in economics.break_even]
    return render(
        "money",
        conditions=analysis.conditions,
        economics=economics,
        statistics=analysis.statistics,
        confidence=analysis.statistics.confidence,
        local=analysis.lora.cost_per_1k,
        against=against,
        method=against[0][1].method if against else None,
        prices=listed_prices(analysis),
        beside=economics.prices_beside,
        beside_usd=usd_otherwise(analysis, "list"),
        here=next((row for row in analysis.paid_otherwise if row.way == "machine"), None),
        here_usd=usd_otherwise(analysis, "machine"),
        otherwise=otherwise(analysis),
        per_day=next((list(row.days) for row in economics.break_even if row.days is not None), []),
        ways=ways(economics),
        owned=analysis.ownership,
        machine=machine(analysis.ownership),
        busy=partial(busy, analysis.ownership.inputs),
        zip=zip,
        judged_per_1k=analysis.reference.cost_per_1k.usd,
        without_effect=without_effect(analysis.ownership),
    )


def listed_prices(analysis: Analysis) -> list[tuple[str, str, PriceList, Price]]:
    """Label, whose price it is, the list and the price; those that decide come first."""
    lists = (analysis.economics.prices, analysis.economics.prices_beside)
    return [
        (row.label, prices.names[row.name], prices, prices.conditions[row.name])
        for prices in lists
        if prices is not None
        for row in analysis.conditions
        if row.name in prices.conditions
    ]


def usd_otherwise(analysis: Analysis, way: Payment) -> dict[str, float | None]:
    """What 1,000 answers of each condition cost in another way; what ran here at its own cost."""
    found = {
        row.decision.baseline: row.cost.usd for row in analysis.paid_otherwise if row.way == way
    }
    return {
        row.name: found.get(row.name) if row.kind == "api" or way == "list" else row.cost_per_1k.usd
        for row in analysis.conditions
    }


def otherwise(analysis: Analysis) -> list[tuple[PaidOtherwise, str, str, str]]:
    """What is paid otherwise, how in words, and its volume with the interval."""
    beside = analysis.economics.prices_beside
    ways = {"machine": "run on this machine", "list": beside and f"at the prices of {beside.words}"}
    return [
        (
            row,
            str(ways[row.way]),
            advice.pay_back_volume(row.decision),
            advice.pay_back_between(row.decision),
        )
        for row in analysis.paid_otherwise
    ]


def machine(owned: Ownership) -> str:
    """What is paid for the machine, in words."""
    if owned.machine == "rented_while_busy":
        return "rented, and paid only while it answers"
    if owned.machine == "rented_around_the_clock":
        return "rented by the hour around the clock"
    if owned.machine_is_shared:
        return "own, and other work pays for the hours in which it waits"
    return f"own, at USD {usd(owned.inputs.idle_usd_per_hour)} for an hour in which it waits"


def busy(inputs: OwnershipInputs, row: OwnershipLocal) -> float:
    """The share of its day in which each machine answers."""
    return row.per_day * inputs.seconds / SECONDS_PER_DAY / row.machines


def without_effect(owned: Ownership) -> list[str]:
    """Inputs that change nothing at half or double; the chart leaves them out."""
    changes: dict[str, bool] = {}
    if owned.sensitivity is not None:
        for row in owned.sensitivity.rows:
            moves = row.moves(owned.sensitivity.saving)
            changes[row.setting] = changes.get(row.setting, False) or moves
    return [setting for setting, found in changes.items() if not found]


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
