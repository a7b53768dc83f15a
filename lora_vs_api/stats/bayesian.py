"""Intervals of a mean score whose values lie between known bounds, as every score and rate does.

Sixty perfect answers do not prove that the next is perfect, but a plain bootstrap of them has no
width: it can draw nothing but what was seen. Here one pseudo-text is added, half of it at either end of
the scale. With it the Bayesian bootstrap (Rubin, The Bayesian
Bootstrap (1981)) of scores that are all 0 or 1 is Jeffreys' interval of a proportion, Beta(k + ½,
n − k + ½), and for every other score it is the same idea (Bowyer, Aitchison and Ivanova, Don't Use
the CLT in LLM Evals With Fewer Than a Few Hundred Datapoints (2025), compare such intervals).

What it covers, beside the methods that it replaced, is simulated by `python -m benchmarks coverage`;
the table stands in docs/statistics.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from lora_vs_api.stats.bootstrap import (
    ROUNDING,
    Draws,
    Interval,
    check_confidence,
    check_resamples,
    chunks,
    finite_array,
)
from lora_vs_api.stats.clusters import Groups, counted_as, group_scores, members, sizes, totals
from lora_vs_api.stats.mean_squares import agreement

# weight of the pseudo-text at each bound; Jeffreys' prior has the same
PSEUDO_WEIGHT = 0.5

# distinct scores that are told apart; of more, neighbours are drawn together
MAX_DISTINCT = 4096


def text_interval(
    scores: ArrayLike,
    draws: Draws,
    *,
    groups: Groups = None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Interval of a mean score for new texts, the models as they are.

    Each resample weighs the texts (or groups) by a draw from the Dirichlet distribution, the
    pseudo-text's halves among them. For the low end they lie at the lowest score that there is and
    at the highest that was met, for the high end the other way round: what was not met may be
    worse for the one and better for the other. Where all scores lie on a bound, nothing has to be
    drawn: the weights of both bounds have a Beta distribution, whose quantiles are the ends.

    Where seeds fail on different texts, a text's mean varies less than a single score, and the
    pseudo-text weighs less by as much: it stands for one more text, not for one on which all
    seeds fail.

    Args:
        scores: shape (n_texts,) or (n_seeds, n_texts), within the bounds; the mean is over both.
        draws: resamples, their seed and the nominal coverage.
        groups: label of each text; texts of one group are weighed together.
        bounds: lowest and highest score that there is.

    Returns:
        The interval always holds the mean and stays within the bounds. A single group of several
        texts shows nothing of how others score: its interval is the bounds.

    Raises:
        ValueError: scores empty, not finite, of another shape or out of bounds; resamples below 1;
            confidence not between 0 and 1; not one label for each text.
    """
    table = finite_array(np.atleast_2d(np.asarray(scores)), "scores", 2)
    low, high = bounds
    if table.min() < low - ROUNDING or table.max() > high + ROUNDING:
        raise ValueError(f"scores: expected numbers from {low:g} to {high:g}")
    check_confidence(draws.confidence)
    check_resamples(draws.resamples)
    unit = np.clip((table - low) / (high - low), 0.0, 1.0)
    by_text, member = unit.mean(axis=0), members(groups, unit.shape[1])
    counted = sizes(member)
    weight = PSEUDO_WEIGHT * agreement(group_scores(unit, groups))
    if counted.size < 2 <= by_text.size:
        ends = (0.0, 1.0)
        method, resamples, seed = "bounds", 0, None
    elif groups is None and bool(np.all(np.minimum(by_text, 1 - by_text) <= ROUNDING)):
        ends = jeffreys(float(np.round(by_text).sum()), by_text.size, draws.confidence)
        method, resamples, seed = "Jeffreys", 0, None
    else:
        summed = totals(by_text, member)
        ends = (
            _low_end(summed, counted, float(unit.max()), weight, draws),
            1 - _low_end(counted - summed, counted, 1 - float(unit.min()), weight, draws),
        )
        method, resamples, seed = "Bayesian bootstrap", draws.resamples, draws.seed
    estimate = float(table.mean())
    return Interval(
        estimate,
        min(estimate, low + (high - low) * ends[0]),
        max(estimate, low + (high - low) * ends[1]),
        draws.confidence,
        f"{method} over {counted_as(groups)}",
        resamples,
        seed,
    )


def jeffreys(successes: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Jeffreys' interval of a proportion; without any success its low end is 0, without any failure
    its high end is 1 (Brown, Cai and DasGupta, Interval Estimation for a Binomial Proportion (2001)).

    Raises:
        ValueError: n below 1, successes not in 0..n, confidence not between 0 and 1.
    """
    check_confidence(confidence)
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"expected n ≥ 1 and 0 ≤ successes ≤ n, found {n} and {successes}")
    a, b = successes + PSEUDO_WEIGHT, n - successes + PSEUDO_WEIGHT
    return (
        float(betaincinv(a, b, (1 - confidence) / 2)) if successes > 0 else 0.0,
        float(betaincinv(a, b, (1 + confidence) / 2)) if successes < n else 1.0,
    )


def _low_end(
    summed: NDArray[np.float64],
    counted: NDArray[np.float64],
    highest: float,
    pseudo_weight: float,
    draws: Draws,
) -> float:
    """Low end for groups of these total scores and sizes, scores being in 0..``highest``."""
    means = weighted_means(summed, counted, highest, pseudo_weight, draws)
    return float(np.quantile(means, (1 - draws.confidence) / 2))


def weighted_means(
    summed: NDArray[np.float64],
    counted: NDArray[np.float64],
    highest: float,
    pseudo_weight: float,
    draws: Draws,
) -> NDArray[np.float64]:
    """Resampled means of groups and the pseudo-text's halves at 0 and ``highest``, (resamples,).

    Groups of one total and size are drawn together: the sum of their exponential weights has a
    Gamma distribution, so that many texts with few different scores take no longer.
    """
    value, size, alike = distinct(summed, counted)
    pseudo = float(counted.mean())
    shapes = np.concatenate([alike, [pseudo_weight, pseudo_weight]])
    above = np.concatenate([value, [0.0, pseudo * highest]])
    below = np.concatenate([size, [pseudo, pseudo]])
    generator = np.random.default_rng(draws.seed)
    found = []
    for number in chunks(draws.resamples, shapes.size):
        weights = generator.standard_gamma(shapes, size=(number, shapes.size))
        found.append((weights @ above) / (weights @ below))
    return np.concatenate(found)


def distinct(
    summed: NDArray[np.float64], counted: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Totals and sizes that differ, in order, and how many groups have each.

    Of more than ``MAX_DISTINCT``, neighbours are given their common mean: the mean of all stays,
    and their spread about it is far below what a resample can show.
    """
    # rounded, so that a sum in another order is no other score
    pairs = np.stack([counted, np.round(summed, 12)])
    (size, value), number = np.unique(pairs, axis=1, return_counts=True)
    if value.size > MAX_DISTINCT:
        bins = np.arange(value.size) * MAX_DISTINCT // value.size
        many = np.bincount(bins, number)
        value, size = (
            np.bincount(bins, number * value) / many,
            np.bincount(bins, number * size) / many,
        )
        number = many
    return value, size, number.astype(np.float64)
