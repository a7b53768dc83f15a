"""What both sides cost over months: the total cost of ownership, and when the fine-tune is cheaper.

Money is in US dollars. Months have 365/12 days; what is spent in a month is paid at its end. Where
an argument is measured it may be one number or an array of resampled ones, shape (k,).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAYS_PER_MONTH = 365 / 12
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class Machine:
    """What a machine costs for each hour, while it answers and while it waits.

    ``peak_to_mean``, at least 1, is the peak's answers a second over the day's mean.
    """

    purchase_usd: float
    busy_usd_per_hour: float
    idle_usd_per_hour: float
    peak_to_mean: float


@dataclass(frozen=True)
class People:
    """What is spent on one side beside its answers: once, and each month."""

    build_usd: float
    upkeep_usd_per_month: float


@dataclass(frozen=True)
class Plan:
    """All that is configured. Shares are a year's; ``retrain_every_months`` None is never."""

    horizon_months: int
    discount_per_year: float
    api_price_trend_per_year: float
    fine_tune: People
    api: People
    machine: Machine
    retrain_every_months: int | None
    retrain_usd: float
    usd_per_wrong_record: float


@dataclass(frozen=True)
class Answers:
    """Of a mean answer: machine time, the API's bill, and the shares that are wrong.

    Each has shape (k,), for k resamples; (1,) for the measurement itself.
    """

    local_seconds: Floats
    api_usd: Floats
    local_wrong: Floats
    api_wrong: Floats


@dataclass(frozen=True)
class Totals:
    """Spent up to the end of each month, discounted, shape (k, months + 1); column 0 is the start."""

    local: Floats
    api: Floats


def machines(per_day: float, seconds: Floats, peak_to_mean: float) -> Floats:
    """How many machines the peak takes: its answers a second × seconds an answer, rounded up.

    At least one; shape as ``seconds``.
    """
    load = per_day / SECONDS_PER_DAY * peak_to_mean * seconds
    # a hair above a whole number is that number
    return np.maximum(1.0, np.ceil(load - 1e-9))


def totals(plan: Plan, answers: Answers, per_day: float) -> Totals:
    """What both sides have cost after each month at ``per_day`` answers.

    Raises:
        ValueError: per_day is not above 0, or peak_to_mean below 1.
    """
    return Totals(
        local=local_totals(plan, answers.local_seconds, answers.local_wrong, per_day),
        api=api_totals(plan, answers.api_usd, answers.api_wrong, per_day),
    )


def local_totals(plan: Plan, seconds: Floats, wrong: Floats, per_day: float) -> Floats:
    """What the fine-tune has cost after each month, shape (k, months + 1).

    Building, machines and labels at the start; then busy and idle hours, upkeep, wrong records, and a
    retraining after every so many months but not at the very end.

    Args:
        seconds, wrong: of a mean answer, machine time and the share that is wrong, shape (k,).

    Raises:
        ValueError: as :func:`totals`.
    """
    _check_load(plan, per_day)
    month, worth = _months(plan)
    needed = machines(per_day, seconds, plan.machine.peak_to_mean)
    monthly = (
        _machine_usd_per_day(plan.machine, per_day, seconds, needed) * DAYS_PER_MONTH
        + per_day * DAYS_PER_MONTH * plan.usd_per_wrong_record * wrong
        + plan.fine_tune.upkeep_usd_per_month
    )
    return _summed(
        plan.fine_tune.build_usd + needed * plan.machine.purchase_usd,
        (monthly[:, None] + _retrainings(plan, month)) * worth,
    )


def api_totals(plan: Plan, usd: Floats, wrong: Floats, per_day: float) -> Floats:
    """What the API has cost after each month, shape (k, months + 1).

    Building at the start; then tokens at the price of the month's beginning, upkeep, wrong records.

    Args:
        usd, wrong: of a mean answer, the bill and the share that is wrong, shape (k,).

    Raises:
        ValueError: as :func:`totals`.
    """
    _check_load(plan, per_day)
    month, worth = _months(plan)
    trend = (1 + plan.api_price_trend_per_year) ** ((month - 1) / 12)
    number = per_day * DAYS_PER_MONTH
    rest = number * plan.usd_per_wrong_record * wrong + plan.api.upkeep_usd_per_month
    return _summed(
        np.full(usd.shape, plan.api.build_usd),
        (number * usd[:, None] * trend + rest[:, None]) * worth,
    )


def _check_load(plan: Plan, per_day: float) -> None:
    if not per_day > 0:
        raise ValueError(f"per_day: expected a number of answers above 0, found {per_day}")
    if not plan.machine.peak_to_mean >= 1:
        raise ValueError(f"peak_to_mean: expected at least 1, found {plan.machine.peak_to_mean}")


def _months(plan: Plan) -> tuple[NDArray[np.int64], Floats]:
    """The months of the horizon from 1, and what a dollar at each one's end is worth today."""
    month = np.arange(1, plan.horizon_months + 1)
    return month, (1 + plan.discount_per_year) ** (-month / 12)


def _machine_usd_per_day(
    machine: Machine, per_day: float, seconds: Floats, needed: Floats
) -> Floats:
    busy = per_day * seconds
    # never negative: the peak is at least the mean
    idle = np.maximum(0.0, needed * SECONDS_PER_DAY - busy)
    return (busy * machine.busy_usd_per_hour + idle * machine.idle_usd_per_hour) / 3600


def _retrainings(plan: Plan, month: NDArray[np.int64]) -> Floats:
    """US dollars in each month; one at the end of the horizon would serve nothing in it."""
    if plan.retrain_every_months is None:
        return np.zeros(month.size)
    due = (month % plan.retrain_every_months == 0) & (month < plan.horizon_months)
    return np.where(due, plan.retrain_usd, 0.0)


def _summed(start: Floats, months: Floats) -> Floats:
    """Running totals, shape (k, months + 1), of what is spent at the start and in each month."""
    return np.cumsum(
        np.column_stack([start, np.broadcast_to(months, (start.size, months.shape[1]))]), axis=1
    )


def cheaper_from(found: Totals) -> Floats:
    """The month after which the fine-tune has cost less, and stays so to the horizon.

    Returns:
        Shape (k,): 0 is from the start, infinite is never within the horizon.
    """
    cheaper = found.local < found.api
    # from the end backwards, as far as it is cheaper without a break
    held = np.logical_and.accumulate(cheaper[:, ::-1], axis=1).sum(axis=1)
    last = cheaper.shape[1] - 1
    return np.where(held > 0, last + 1 - held, np.inf).astype(np.float64)


def run_to_run(sd: float, resamples: int, seed: int | list[int]) -> Floats:
    """Factors by which another run would be slower, shape (resamples,): lognormal, median 1.

    Args:
        sd: their standard deviation as a share of the mean; 0 gives ones.

    Raises:
        ValueError: sd is negative or not finite.
    """
    if not (math.isfinite(sd) and sd >= 0):
        raise ValueError(f"sd: expected a finite number ≥ 0, found {sd}")
    sigma = math.sqrt(math.log1p(sd**2))
    return np.exp(sigma * np.random.default_rng(seed).standard_normal(resamples))


def wrong_shares(right: float, texts: int, resamples: int, seed: int | list[int]) -> Floats:
    """Shares of wrong records that the texts leave possible, shape (resamples,).

    Draws of Jeffreys' posterior, so that records that were all right do not prove the next to be.

    Args:
        right: how many of the ``texts`` were exact matches; a mean over seeds need not be whole.

    Raises:
        ValueError: there is no text, or right is not in 0..texts.
    """
    if not (texts > 0 and 0 <= right <= texts):
        raise ValueError(f"right: expected 0..texts of at least one text, found {right} of {texts}")
    draws = np.random.default_rng(seed).beta(texts - right + 0.5, right + 0.5, resamples)
    return draws.astype(np.float64)
