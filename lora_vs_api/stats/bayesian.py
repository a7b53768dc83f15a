"""Intervals of a mean score whose values lie between known bounds, as every score and rate does.

Sixty perfect answers do not prove that the next is perfect, but a plain bootstrap of them has no
width: it can draw nothing but what was seen. Here one pseudo-text is added, half of it at the lowest
score that there is and half at the highest. With it the Bayesian bootstrap (Rubin, The Bayesian
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
    CHUNK_INDICES,
    ROUNDING,
    Draws,
    Interval,
    check_confidence,
    finite_array,
)
from lora_vs_api.stats.clusters import Groups, members, sizes, totals

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
    """Interval of a mean score for new texts, the model as it is.

    Each resample weighs the texts (or groups) by a draw from the Dirichlet distribution, the
    pseudo-text's halves among them. Where all scores lie on a bound, nothing has to be drawn: the
    weights of both bounds together have a Beta distribution, whose quantiles are the ends.

    Args:
        scores: shape (n_texts,), within the bounds; of several seeds, the means over them.
        draws: resamples, their seed and the nominal coverage.
        groups: label of each text; texts of one group are weighed together.
        bounds: lowest and highest score that a text can have.

    Returns:
        The interval always holds the mean and stays within the bounds.

    Raises:
        ValueError: scores empty, not finite, not one-dimensional or out of bounds; resamples
            below 1; confidence not between 0 and 1; not one label for each text.
    """
    values = finite_array(scores, "scores", 1)
    low, high = bounds
    if values.min() < low - ROUNDING or values.max() > high + ROUNDING:
        raise ValueError(f"scores: expected numbers from {low:g} to {high:g}")
    shares = _tails(draws.confidence)
    if draws.resamples < 1:
        raise ValueError(f"resamples: expected an integer ≥ 1, found {draws.resamples}")
    # from 0 to 1, and with the rounding of a mean over seeds taken off
    unit = np.clip((values - low) / (high - low), 0.0, 1.0)
    member = members(groups, unit.size)
    counted = sizes(member)
    at_bounds = bool(np.all(np.minimum(unit, 1 - unit) <= ROUNDING))
    if at_bounds and counted.size == unit.size:
        ones = float(np.round(unit).sum())
        ends = jeffreys(ones, unit.size, draws.confidence)
        method, resamples, seed = "Jeffreys", 0, None
    else:
        ends = _drawn(totals(unit, member), counted, draws, shares)
        method, resamples, seed = "Bayesian bootstrap", draws.resamples, draws.seed
    estimate = float(values.mean())
    return Interval(
        estimate,
        min(estimate, low + (high - low) * ends[0]),
        max(estimate, low + (high - low) * ends[1]),
        draws.confidence,
        f"{method} over {'texts' if groups is None else 'groups of texts'}",
        resamples,
        seed,
    )


def jeffreys(successes: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Jeffreys' interval of a proportion; without any success its low end is 0, without any failure
    its high end is 1 (Brown, Cai and DasGupta, Interval Estimation for a Binomial Proportion (2001)).

    Raises:
        ValueError: n below 1, successes not in 0..n, confidence not between 0 and 1.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"expected n ≥ 1 and 0 ≤ successes ≤ n, found {n} and {successes}")
    below, above = _tails(confidence)
    a, b = successes + PSEUDO_WEIGHT, n - successes + PSEUDO_WEIGHT
    return (
        float(betaincinv(a, b, below)) if successes > 0 else 0.0,
        float(betaincinv(a, b, above)) if successes < n else 1.0,
    )


def _drawn(
    summed: NDArray[np.float64],
    counted: NDArray[np.float64],
    draws: Draws,
    shares: tuple[float, float],
) -> tuple[float, float]:
    """Ends of the weighted mean of groups with these total scores and sizes, on the scale 0..1."""
    # half of them for the mirror image, so that what is wrong has the mirrored interval of what is
    # right, to the last draw
    half = (draws.resamples + 1) // 2
    means = np.concatenate(
        [
            weighted_means(summed, counted, half, draws.seed),
            1 - weighted_means(counted - summed, counted, half, draws.seed),
        ]
    )
    below, above = np.quantile(means, shares)
    return float(below), float(above)


def weighted_means(
    summed: NDArray[np.float64], counted: NDArray[np.float64], resamples: int, seed: int
) -> NDArray[np.float64]:
    """Resampled means of groups and the pseudo-text, shape (resamples,), on the scale 0..1.

    Groups of one total and size are drawn together: the sum of their exponential weights has a
    Gamma distribution, so that many texts with few different scores take no longer.
    """
    value, size, alike = distinct(summed, counted)
    pseudo = float(counted.mean())
    shapes = np.concatenate([alike, [PSEUDO_WEIGHT, PSEUDO_WEIGHT]])
    above = np.concatenate([value, [0.0, pseudo]])
    below = np.concatenate([size, [pseudo, pseudo]])
    generator = np.random.default_rng(seed)
    rows = max(1, CHUNK_INDICES // shapes.size)
    found = []
    for start in range(0, resamples, rows):
        weights = generator.standard_gamma(shapes, size=(min(rows, resamples - start), shapes.size))
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


def _tails(confidence: float) -> tuple[float, float]:
    check_confidence(confidence)
    return (1 - confidence) / 2, (1 + confidence) / 2
