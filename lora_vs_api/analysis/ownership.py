"""The total cost of both sides over a horizon, from what was measured and configured.

The model is in ``lora_vs_api.stats.ownership``. All money is in US dollars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from lora_vs_api.analysis.costs import (
    BilledRun,
    MachineTime,
    answering_watts,
    power,
    text_seconds,
)
from lora_vs_api.analysis.results import (
    InputChange,
    Ownership,
    OwnershipAgainst,
    OwnershipInputs,
    OwnershipLocal,
    OwnershipRow,
    OwnershipSensitivity,
)
from lora_vs_api.analysis.scored_run import Floats, ScoredRun
from lora_vs_api.stats.bootstrap import Draws, resampled_means
from lora_vs_api.stats.economics import (
    electricity_usd,
    engineering_usd,
    local_means,
    over_requests,
)
from lora_vs_api.stats.ownership import (
    Answers,
    Machine,
    People,
    Plan,
    Totals,
    api_totals,
    cheaper_from,
    local_totals,
    machines,
    totals,
    wrong_shares,
)

if TYPE_CHECKING:
    from lora_vs_api.config import sections

# inputs of economics.ownership and of economics: label, unit, what one that is 0 or null is set to,
# and the least it can be. A rate that cannot be doubled without end is cut there.
OWNERSHIP_INPUTS = {
    "horizon_months": ("horizon", "months", 12, 1),
    "discount_per_year": ("discount a year", "", 0.08, 0),
    "api_price_trend_per_year": ("API price trend a year", "", -0.3, -0.99),
    "purchase_usd": ("price of an own machine", "USD", 2000, 0),
    "idle_watts": ("watts while waiting, unless shared", "W", 30, 0),
    "peak_to_mean": ("peak over mean rate", "", 10, 1),
    "api_engineer_days": ("engineer-days, API", "days", 1, 0),
    "upkeep_days_per_month": ("upkeep a month, fine-tune", "days", 0.5, 0),
    "api_upkeep_days_per_month": ("upkeep a month, API", "days", 0.5, 0),
    "retrain_every_months": ("retraining every", "months", 6, 1),
    "retrain_engineer_days": ("engineer-days a retraining", "days", 0.5, 0),
    "usd_per_label": ("price of a label", "USD", 0.1, 0),
    "minutes_per_label": ("time for a label", "minutes", 1, 0),
    "usd_per_wrong_record": ("cost of a wrong record", "USD", 0.01, 0),
}
ECONOMICS_INPUTS = {
    "engineer_days": ("engineer-days, fine-tune", "days", 1, 0),
    "usd_per_hour": ("engineer's hour", "USD", 100, 0),
    "usd_per_kwh": ("electricity", "USD/kWh", 0.15, 0),
    "overhead": ("overhead on electricity", "", 1.5, 1),
}
MEASURED_INPUTS = {
    "seconds": ("seconds of a local answer", "s"),
    "watts": ("watts while answering", "W"),
    "api_input": ("API input price", "USD per 1K"),
    "api_output": ("API output price", "USD per 1K"),
}
WAYS = {
    "own": "own",
    "rented_while_busy": "rented while busy",
    "rented_around_the_clock": "rented around the clock",
}


@dataclass(frozen=True)
class LocalSide:
    """The fine-tune's runs, all its trainings, and how many texts were labelled for it.

    ``teacher_usd`` is what an API condition was billed for labels, beside those of people.
    """

    runs: Sequence[ScoredRun]
    trained: MachineTime
    labelled_texts: int
    teacher_usd: float = 0.0

    @property
    def right(self) -> float:
        """Exact matches: of each text the share of runs that have it, added up."""
        return float(np.mean([run.exact_match for run in self.runs], axis=0).sum())

    @property
    def texts(self) -> int:
        return len(self.runs[0].outputs)

    @property
    def wrong(self) -> float:
        """The share of answers that are no exact match."""
        return 1 - self.right / self.texts


@dataclass(frozen=True)
class LocalTotals:
    """What the fine-tune has cost after each month at one volume.

    Shape (1, months + 1) as measured, (k, months + 1) resampled: drawn once for all that it is
    compared with.
    """

    per_day: int
    machines: int
    measured: Floats
    varied: Floats


@dataclass(frozen=True)
class Case:
    """One set of inputs for a mean answer; money of the API in US dollars per 1,000."""

    configured: sections.Economics
    seconds: float
    watts: float
    api_input: float
    api_output: float


def ownership_of(
    local: LocalSide,
    api: Mapping[str, BilledRun],
    labels: Mapping[str, str],
    baseline: str | None,
    configured: sections.Economics,
    draws: Draws,
) -> Ownership:
    """Totals against every API condition at every configured volume, and what they depend on.

    Args:
        local: the fine-tune.
        api: API condition → its run with its price; empty where none was asked.
        labels: API condition → its name in the report.
        baseline: the API condition for which each input is varied; None where there is none.
        configured: what is not measured.
        draws: of the intervals.
    """
    own = configured.ownership
    watts, _ = answering_watts(local.runs, configured)
    plan = plan_of(configured, local, watts)
    seconds = float(text_seconds(local.runs).mean())
    ours = local_side(local, plan, configured, draws)
    return Ownership(
        machine=own.machine,
        machine_is_shared=own.machine_is_shared,
        inputs=OwnershipInputs(
            horizon_months=plan.horizon_months,
            discount_per_year=plan.discount_per_year,
            api_price_trend_per_year=plan.api_price_trend_per_year,
            build_usd=plan.fine_tune.build_usd - label_usd(configured) * local.labelled_texts,
            upkeep_usd_per_month=plan.fine_tune.upkeep_usd_per_month,
            api_build_usd=plan.api.build_usd,
            api_upkeep_usd_per_month=plan.api.upkeep_usd_per_month,
            purchase_usd=plan.machine.purchase_usd,
            busy_usd_per_hour=plan.machine.busy_usd_per_hour,
            idle_usd_per_hour=plan.machine.idle_usd_per_hour,
            peak_to_mean=plan.machine.peak_to_mean,
            retrain_every_months=plan.retrain_every_months,
            retrain_usd=plan.retrain_usd,
            usd_per_wrong_record=plan.usd_per_wrong_record,
            usd_per_label=label_usd(configured),
            labelled_texts=local.labelled_texts,
            seconds=seconds,
        ),
        confidence=draws.confidence,
        method=_method(configured),
        local_wrong=local.wrong,
        local=tuple(_local_row(found, draws.confidence) for found in ours),
        against=tuple(
            _against(name, labels[name], bill, ours, plan, draws) for name, bill in api.items()
        ),
        sensitivity=None
        if baseline is None
        else _sensitivity(baseline, labels[baseline], api[baseline], local, configured),
    )


def _method(configured: sections.Economics) -> str:
    wrong = ", and over which records are wrong (Jeffreys, texts as independent)"
    return over_requests(configured.run_to_run_sd) + (
        wrong if configured.ownership.usd_per_wrong_record else ""
    )


def plan_of(configured: sections.Economics, local: LocalSide, watts: float) -> Plan:
    """The model's plan. A rented machine takes no electricity of one's own, training included.

    Args:
        configured: all prices.
        local: of which the trainings and the labels count here.
        watts: of the machine while it answers.
    """
    own, trained = configured.ownership, local.trained
    price = (configured.usd_per_kwh, configured.overhead)
    if own.machine == "own" or configured.rented_usd_per_hour is None:
        training_watts, _ = power(trained.joules, trained.seconds, configured.watts)
        training = electricity_usd(trained.seconds, training_watts, *price)
        busy = electricity_usd(3600, watts, *price)
        idle = 0.0 if own.machine_is_shared else electricity_usd(3600, own.idle_watts, *price)
        purchase = own.purchase_usd
    else:
        rent = configured.rented_usd_per_hour
        training, busy, purchase = trained.seconds / 3600 * rent, rent, 0.0
        idle = rent if own.machine == "rented_around_the_clock" else 0.0

    def people(days: float) -> float:
        return engineering_usd(days, configured.hours_per_day, configured.usd_per_hour)

    return Plan(
        horizon_months=own.horizon_months,
        discount_per_year=own.discount_per_year,
        api_price_trend_per_year=own.api_price_trend_per_year,
        fine_tune=People(
            people(configured.engineer_days)
            + training
            + local.teacher_usd
            + label_usd(configured) * local.labelled_texts,
            people(own.upkeep_days_per_month),
        ),
        api=People(people(own.api_engineer_days), people(own.api_upkeep_days_per_month)),
        machine=Machine(purchase, busy, idle, own.peak_to_mean),
        retrain_every_months=own.retrain_every_months,
        retrain_usd=people(own.retrain_engineer_days) + training / max(1, trained.trainings),
        usd_per_wrong_record=own.usd_per_wrong_record,
    )


def label_usd(configured: sections.Economics) -> float:
    """What one label costs: its price, and the time of who gives it."""
    own = configured.ownership
    return own.usd_per_label + own.minutes_per_label / 60 * configured.usd_per_hour


def local_side(
    local: LocalSide, plan: Plan, configured: sections.Economics, draws: Draws
) -> list[LocalTotals]:
    """The fine-tune's totals at each configured volume."""
    k, seed = draws.resamples, draws.seed
    seconds = text_seconds(local.runs)
    mean, wrong = seconds.mean(keepdims=True), np.array([local.wrong])
    varied = local_means(seconds, configured.run_to_run_sd, k, seed)
    varied_wrong = wrong_shares(local.right, local.texts, k, [seed, 4])
    return [
        LocalTotals(
            per_day=per_day,
            machines=int(machines(per_day, mean, plan.machine.peak_to_mean)[0]),
            measured=local_totals(plan, mean, wrong, per_day),
            varied=local_totals(plan, varied, varied_wrong, per_day),
        )
        for per_day in configured.volumes_per_day
    ]


def _local_row(found: LocalTotals, confidence: float) -> OwnershipLocal:
    low, high = np.quantile(found.varied[:, -1], _shares(confidence))
    return OwnershipLocal(
        per_day=found.per_day,
        machines=found.machines,
        usd=float(found.measured[0, -1]),
        low=float(low),
        high=float(high),
    )


def _shares(confidence: float) -> list[float]:
    """The quantiles at the ends of an interval."""
    return [(1 - confidence) / 2, (1 + confidence) / 2]


def _against(
    name: str,
    label: str,
    bill: BilledRun,
    ours: Sequence[LocalTotals],
    plan: Plan,
    draws: Draws,
) -> OwnershipAgainst:
    k, seed = draws.resamples, draws.seed
    costs = bill.request_costs()
    right, texts = float(bill.run.exact_match.sum()), len(bill.run.outputs)
    mean, wrong = costs.mean(keepdims=True), np.array([1 - right / texts])
    varied = resampled_means(costs, k, seed)
    varied_wrong = wrong_shares(right, texts, k, [seed, 5])
    return OwnershipAgainst(
        baseline=name,
        label=label,
        api_wrong=float(wrong[0]),
        rows=tuple(
            _row(
                local.per_day,
                Totals(local.measured, api_totals(plan, mean, wrong, local.per_day)),
                Totals(local.varied, api_totals(plan, varied, varied_wrong, local.per_day)),
                draws.confidence,
            )
            for local in ours
        ),
    )


def _row(per_day: int, found: Totals, spread: Totals, confidence: float) -> OwnershipRow:
    shares = _shares(confidence)
    api_low, api_high = np.quantile(spread.api[:, -1], shares)
    # without interpolation, which has no value between a month and never
    low, high = np.quantile(cheaper_from(spread), shares, method="inverted_cdf")
    return OwnershipRow(
        per_day=per_day,
        api_usd=float(found.api[0, -1]),
        api_low=float(api_low),
        api_high=float(api_high),
        cheaper_from=_month(cheaper_from(found)[0]),
        cheaper_from_low=_month(low),
        cheaper_from_high=_month(high),
    )


def _month(value: float) -> int | None:
    return int(value) if np.isfinite(value) else None


def _sensitivity(
    name: str, label: str, bill: BilledRun, local: LocalSide, configured: sections.Economics
) -> OwnershipSensitivity:
    """Each input at half and at double, at the middle one of the configured volumes."""
    volumes = sorted(configured.volumes_per_day)
    per_day = volumes[len(volumes) // 2]
    of_input = bill.usd_per_1k(bill.discount, np.zeros_like(bill.run.output_tokens))
    case = Case(
        configured=configured,
        seconds=float(text_seconds(local.runs).mean()),
        watts=answering_watts(local.runs, configured)[0],
        api_input=of_input,
        api_output=bill.usd_per_1k(bill.discount) - of_input,
    )

    def saving(changed: Case) -> float:
        answers = Answers(
            local_seconds=np.array([changed.seconds]),
            api_usd=np.array([(changed.api_input + changed.api_output) / 1000]),
            local_wrong=np.array([local.wrong]),
            api_wrong=np.array([1 - bill.run.exact_match.mean()]),
        )
        found = totals(plan_of(changed.configured, local, changed.watts), answers, per_day)
        return float(found.api[0, -1] - found.local[0, -1])

    rows = (
        InputChange(
            setting=setting,
            low=low,
            high=high,
            low_saving=saving(cheap),
            high_saving=saving(dear),
        )
        for setting, (low, cheap), (high, dear) in _changes(case)
    )
    return OwnershipSensitivity(
        baseline=name, label=label, per_day=per_day, saving=saving(case), rows=tuple(rows)
    )


Changed = tuple[str, Case]


def _changes(case: Case) -> Iterator[tuple[str, Changed, Changed]]:
    """Each input with its lower and its higher value in words, and the case that it makes."""
    configured, factor = case.configured, case.configured.sensitivity_factor
    own = configured.ownership

    def with_own(**values: object) -> Case:
        changed = own.model_copy(update=values)
        return replace(case, configured=configured.model_copy(update={"ownership": changed}))

    for key, (label, unit) in MEASURED_INPUTS.items():
        value = getattr(case, key)
        low, high = value / factor, value * factor
        yield (
            label,
            (_said(low, unit), replace(case, **{key: low})),
            (_said(high, unit), replace(case, **{key: high})),
        )
    rent = configured.rented_usd_per_hour
    economics = ECONOMICS_INPUTS | (
        {} if rent is None else {"rented_usd_per_hour": ("rent", "USD an hour", 1, 0)}
    )

    def with_economics(**values: object) -> Case:
        return replace(case, configured=configured.model_copy(update=values))

    inputs: tuple[
        tuple[object, Mapping[str, tuple[str, str, float, float]], Callable[..., Case]], ...
    ]
    inputs = ((configured, economics, with_economics), (own, OWNERSHIP_INPUTS, with_own))
    for section, table, make in inputs:
        for key, (label, unit, instead, least) in table.items():
            low, high = _ends(getattr(section, key), factor, instead, least)
            yield (
                label,
                (_said(low, unit), make(**{key: low})),
                (_said(high, unit), make(**{key: high})),
            )
    if own.machine == "own":
        shared, alone = with_own(machine_is_shared=True), with_own(machine_is_shared=False)
        yield "own machine", ("shared", shared), ("not shared", alone)
    if rent is not None:
        for way, said in WAYS.items():
            if way != own.machine:
                yield "machine", (WAYS[own.machine], case), (said, with_own(machine=way))


def _ends(
    value: float | None, factor: float, instead: float, least: float
) -> tuple[float | None, float]:
    """The two values that an input is tried at: one that is 0 or null as it is and ``instead``."""
    if not value:
        return value, instead
    low, high = max(value / factor, least), max(value * factor, least)
    return (max(1, round(low)), round(high)) if isinstance(value, int) else (low, high)


def _said(value: float | None, unit: str) -> str:
    if value is None:
        return "never"
    written = f"{Decimal(f'{value:.3g}'):,f}"
    if written == "1" and unit in ("days", "months"):
        unit = unit.removesuffix("s")
    return f"{written} {unit}".strip()
