"""The money at the volume a day that is configured: what may be said, what a month costs, what would tip it.

The volume is the middle one of `economics.volumes_per_day`. Against an API everything of
`economics.ownership` counts, as in :mod:`lora_vs_api.stats.ownership`. Against what else runs on one's
own machine there is no such total: training and answers alone count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lora_vs_api.analysis.decision import below
from lora_vs_api.analysis.results import Analysis, Outcome, OwnershipAgainst, OwnershipInputs
from lora_vs_api.stats.ownership import (
    DAYS_PER_MONTH,
    Answers,
    Machine,
    People,
    Plan,
    machines,
    totals,
)


@dataclass(frozen=True)
class AtVolume:
    """After which month the fine-tune has cost less than a rival and stays so to the horizon.

    0 is from the start, None never within ``months``; ``low`` and ``high`` are the ends of the interval.
    ``total``: everything of `economics.ownership` counts, else training and answers alone.
    """

    per_day: int
    months: int
    month: int | None
    low: int | None
    high: int | None
    total: bool

    @property
    def pays(self) -> Outcome:
        """What becomes of "the fine-tune pays for itself within the horizon"."""
        return below(self.low, self.high, self.months + 1)


@dataclass(frozen=True)
class Monthly:
    """US dollars of a mean month of the horizon, what is spent once shared out over it.

    ``once`` is what is spent at the start, not shared out. The ends of the interval are None where the
    analysis has none.
    """

    label: str
    usd: float
    low: float | None
    high: float | None
    once: float


@dataclass(frozen=True)
class Tie:
    """Where an amount tips the total cost by the measured means: the fine-tune's is lower at any amount, at
    none, or on one side of ``usd``."""

    side: Literal["any", "none", "above", "below"]
    usd: float


def volumes(analysis: Analysis) -> list[int]:
    """`economics.volumes_per_day`, the smallest first, each once."""
    return sorted({row.per_day for row in analysis.ownership.local})


def volume_per_day(analysis: Analysis) -> int:
    """The one of them that is told where one is told: the middle one, of two the larger."""
    found = sorted(row.per_day for row in analysis.ownership.local)
    return found[len(found) // 2]


def at_volume(analysis: Analysis, rival: str, per_day: int | None = None) -> AtVolume:
    """The claim against the condition ``rival`` at ``per_day`` answers, the told volume where it is None.

    Raises:
        StopIteration: the analysis has no such rival or volume.
    """
    per_day = volume_per_day(analysis) if per_day is None else per_day
    months = analysis.ownership.inputs.horizon_months
    against = owned_against(analysis, rival)
    if against is None:
        paid = analysis.decision(rival).pay_back
        month, low, high = (
            _month(end, per_day, months) for end in (paid.volume, paid.low, paid.high)
        )
        return AtVolume(per_day, months, month, low, high, total=False)
    row = next(row for row in against.rows if row.per_day == per_day)
    return AtVolume(
        per_day, months, row.cheaper_from, row.cheaper_from_low, row.cheaper_from_high, total=True
    )


def owned_against(analysis: Analysis, rival: str) -> OwnershipAgainst | None:
    """The API condition's totals; None of what is no API's."""
    return next((row for row in analysis.ownership.against if row.baseline == rival), None)


def _month(volume: float | None, per_day: int, months: int) -> int | None:
    """The month in which a volume is passed, by whose end the fine-tune has cost less."""
    if volume is None:
        return None
    month = math.floor(volume / (per_day * DAYS_PER_MONTH)) + 1
    return month if month <= months else None


def plan_of(inputs: OwnershipInputs) -> Plan:
    """The plan behind the report's totals."""
    return Plan(
        horizon_months=inputs.horizon_months,
        discount_per_year=inputs.discount_per_year,
        api_price_trend_per_year=inputs.api_price_trend_per_year,
        fine_tune=People(
            inputs.build_usd + inputs.usd_per_label * inputs.labelled_texts,
            inputs.upkeep_usd_per_month,
        ),
        api=People(inputs.api_build_usd, inputs.api_upkeep_usd_per_month),
        machine=Machine(
            inputs.purchase_usd,
            inputs.busy_usd_per_hour,
            inputs.idle_usd_per_hour,
            inputs.peak_to_mean,
        ),
        retrain_every_months=inputs.retrain_every_months,
        retrain_usd=inputs.retrain_usd,
        usd_per_wrong_record=inputs.usd_per_wrong_record,
    )


def monthly_local(analysis: Analysis) -> Monthly:
    """The fine-tune's month at the told volume."""
    owned, per_day = analysis.ownership, volume_per_day(analysis)
    row = next(row for row in owned.local if row.per_day == per_day)
    plan, months = plan_of(owned.inputs), owned.inputs.horizon_months
    needed = machines(per_day, np.array([owned.inputs.seconds]), plan.machine.peak_to_mean)[0]
    return Monthly(
        label=analysis.lora.label,
        usd=row.usd / months,
        low=row.low / months,
        high=row.high / months,
        once=plan.fine_tune.build_usd + float(needed) * plan.machine.purchase_usd,
    )


def monthly_rival(analysis: Analysis, rival: str) -> Monthly:
    """The same of a rival; of what is no API's its answers alone, without an interval."""
    per_day, months = volume_per_day(analysis), analysis.ownership.inputs.horizon_months
    against, condition = owned_against(analysis, rival), analysis.condition(rival)
    if against is None:
        usd = condition.cost_per_1k.usd * per_day * DAYS_PER_MONTH / 1000
        return Monthly(condition.label, usd, None, None, 0.0)
    row = next(row for row in against.rows if row.per_day == per_day)
    return Monthly(
        label=condition.label,
        usd=row.api_usd / months,
        low=row.api_low / months,
        high=row.api_high / months,
        once=analysis.ownership.inputs.api_build_usd,
    )


def tie(at_zero: float, slope: float) -> Tie:
    """Where ``at_zero`` + amount × ``slope``, what the fine-tune costs more, is below 0 for amounts ≥ 0."""
    if slope == 0:
        return Tie("any" if at_zero < 0 else "none", 0.0)
    usd = -at_zero / slope
    if slope < 0:
        return Tie("above" if usd >= 0 else "any", usd)
    return Tie("below" if usd > 0 else "none", usd)


def ties(analysis: Analysis, rival: str) -> dict[str, Tie]:
    """Setting → where it tips the total cost against an API condition, all else as it is.

    ``api``: USD of 1,000 answers of the API; ``label`` and ``wrong``: USD of a label and of a wrong record.
    Each enters the totals linearly, so two points of it tell the tie.

    Raises:
        ValueError: the rival is no API condition.
    """
    against, owned = owned_against(analysis, rival), analysis.ownership
    if against is None:
        raise ValueError(f"{rival} has no total cost: it is no API condition")
    per_day, per_1k = volume_per_day(analysis), analysis.break_even(rival).api_per_1k
    wrong = (np.array([owned.local_wrong]), np.array([against.api_wrong]))

    def more(usd_per_1k: float = per_1k, **changes: float) -> float:
        plan = plan_of(owned.inputs.model_copy(update=changes))
        seconds = np.array([owned.inputs.seconds])
        found = totals(plan, Answers(seconds, np.array([usd_per_1k / 1000]), *wrong), per_day)
        return float(found.local[0, -1] - found.api[0, -1])

    def between(at_zero: float, at_one: float) -> Tie:
        slope = at_one - at_zero
        # less than the digits of the sums is no slope
        return tie(at_zero, 0.0 if abs(slope) <= 1e-9 * max(1.0, abs(at_zero)) else slope)

    return {
        "api": between(more(0.0), more(1.0)),
        "label": between(more(usd_per_label=0.0), more(usd_per_label=1.0)),
        "wrong": between(more(usd_per_wrong_record=0.0), more(usd_per_wrong_record=1.0)),
    }
