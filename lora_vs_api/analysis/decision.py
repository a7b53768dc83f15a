"""From intervals to conclusions: the one place where a result becomes a claim.

A claim is about a number of which only an interval is known. It *holds* where every value of the
interval meets it, *fails* where none does, and is *undecided* otherwise. So at equality: an
interval that ends at the bound decides as its ends do, and one without width at a difference of 0
says "not inferior" and "not superior".

The accuracy claims go by the random-effects interval over seeds and texts of the difference in
field F1. With one seed that interval is over texts alone, and then says nothing about another
training. The money claims go by the paired intervals of the costs, see
:func:`cost_intervals`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lora_vs_api.analysis.results import (
    Comparison,
    CostRatio,
    Decision,
    Outcome,
    PayBack,
)
from lora_vs_api.stats.bootstrap import Draws, resampled_means
from lora_vs_api.stats.economics import local_means, over_requests
from lora_vs_api.stats.ownership import run_to_run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lora_vs_api.config.sections import Clauses


def above(low: float, high: float, bound: float) -> Outcome:
    """What becomes of "the number is greater than ``bound``"."""
    if low > bound:
        return "holds"
    return "fails" if high <= bound else "undecided"


def below(low: float | None, high: float | None, bound: float) -> Outcome:
    """What becomes of "the number is less than ``bound``"; an end that is None is infinite."""
    lowest = math.inf if low is None else low
    highest = math.inf if high is None else high
    if highest < bound:
        return "holds"
    return "fails" if lowest >= bound else "undecided"


@dataclass(frozen=True)
class Costs:
    """What is spent once and what each measured request costs, in US dollars.

    ``local`` has shape (n,), ``other`` shape (m,): the requests to the fine-tune and to what it is
    compared with. Where a side's costs are its time, another run of the same answers would have
    been faster or slower by ``local_sd`` and ``other_sd``, shares; 0 where they are tokens.
    """

    training_usd: float
    local: NDArray[np.float64]
    other: NDArray[np.float64]
    local_sd: float = 0.0
    other_sd: float = 0.0


def cost_intervals(costs: Costs, draws: Draws) -> tuple[CostRatio, PayBack]:
    """Cost of an answer as a share of the other's, and the volume that pays training back.

    Percentile bootstrap over requests, and over runs where a side is timed. The two sides are drawn
    from streams of their own: they are timed on different numbers of requests, and where a long
    text is dear on both sides drawing them together would only narrow the intervals. Ratio and volume come from the same resamples,
    so that they cannot contradict each other: a resample pays back exactly where its ratio is
    below 1.

    Raises:
        ValueError: there is no request on a side.
    """
    other = resampled_means(costs.other, draws.resamples, draws.seed)
    local = local_means(costs.local, costs.local_sd, draws.resamples, draws.seed)
    # of its own: the two sides did not run at the same time
    other = other * run_to_run(costs.other_sd, draws.resamples, [draws.seed, 3])
    method = over_requests(costs.local_sd, costs.other_sd)
    shares = [(1 - draws.confidence) / 2, (1 + draws.confidence) / 2]
    # without interpolation, which has no value between a number and never
    ratio_low, ratio_high = np.quantile(_ratios(local, other), shares, method="inverted_cdf")
    volumes = _volumes(costs.training_usd, local, other)
    low, high = np.quantile(volumes, shares, method="inverted_cdf")
    ratio = _ratios(costs.local.mean(keepdims=True), costs.other.mean(keepdims=True))[0]
    volume = _volumes(
        costs.training_usd, costs.local.mean(keepdims=True), costs.other.mean(keepdims=True)
    )[0]
    return (
        CostRatio(
            estimate=_finite(ratio),
            low=_finite(ratio_low),
            high=_finite(ratio_high),
            method=method,
        ),
        PayBack(
            volume=_finite(volume),
            low=_finite(low),
            high=_finite(high),
            never=float(np.mean(np.isinf(volumes))),
            method=method,
        ),
    )


def _ratios(local: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Infinite where the other is free; 1 where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(other > 0, local / other, np.where(local > 0, np.inf, 1.0))


def _volumes(
    training: float, local: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Requests until training is paid back, infinite for never."""
    saved = other - local
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(saved > 0, training / saved, np.inf)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def decide(
    comparison: Comparison,
    ratio: CostRatio,
    pay_back: PayBack,
    clauses: Clauses,
    seeds: int,
) -> Decision:
    """What may be said about the fine-tune against one baseline.

    Args:
        comparison: the fine-tune against it; of its intervals only ``random_effects`` counts.
        ratio, pay_back: of :func:`cost_intervals`, against the same one.
        clauses: the registered margins and limits.
        seeds: how many trainings the fine-tune's score is the mean of.
    """
    ends = comparison.random_effects
    return Decision(
        baseline=comparison.baseline,
        label=comparison.label,
        seeds=seeds,
        difference=comparison.difference,
        interval=ends,
        margin=clauses.accuracy.margin,
        non_inferior=above(ends.low, ends.high, -clauses.accuracy.margin),
        superior=above(ends.low, ends.high, 0.0),
        cost_ratio=ratio,
        max_ratio=clauses.cost.max_ratio,
        cheaper=below(ratio.low, ratio.high, clauses.cost.max_ratio),
        pay_back=pay_back,
        max_inferences=clauses.break_even.max_inferences,
        pays_back=below(pay_back.low, pay_back.high, clauses.break_even.max_inferences),
    )


def decisions(
    comparisons: Sequence[Comparison],
    local: NDArray[np.float64],
    others: Mapping[str, NDArray[np.float64]],
    training_usd: float,
    clauses: Clauses,
    seeds: int,
    draws: Draws,
    run_to_run_sd: float = 0.0,
    timed: Collection[str] = (),
) -> tuple[Decision, ...]:
    """A decision against the baseline of each comparison; arguments as :func:`decide`.

    Args:
        local: US dollars of each measured answer of the fine-tune, shape (n,).
        others: baseline → US dollars of each of its answers, shape (m,).
        training_usd: what all trainings cost once.
        run_to_run_sd: of what is timed, as a share: the fine-tune, and
        timed: those of the baselines that ran on one's own machine.
    """
    return tuple(
        decide(
            row,
            *cost_intervals(
                Costs(
                    training_usd,
                    local,
                    others[row.baseline],
                    local_sd=run_to_run_sd,
                    other_sd=run_to_run_sd if row.baseline in timed else 0.0,
                ),
                draws,
            ),
            clauses,
            seeds,
        )
        for row in comparisons
    )
