"""Paired differences of two conditions over the same texts: an interval and a test.

Differences have the unit of the scores and the shape ``(n_texts,)``, or ``(n_seeds, n_texts)`` where
one side has several seeds. What is said here is about the models as they are; for another training
see :mod:`lora_vs_api.stats.variance`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from lora_vs_api.stats.bayesian import PSEUDO_WEIGHT, distinct
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

# A pseudo-text lies so many times as far from the mean as the farthest text. In simulation 1 covers
# too little with a dozen texts (89 %), 2 too much.
PSEUDO_REACH = 1.5

# differences of scores in 0..1
DIFFERENCES = (-1.0, 1.0)


@dataclass(frozen=True)
class PairedDifference:
    """LoRA minus a baseline over the same texts.

    ``difference`` and ``interval`` are in the unit of the scores and positive when LoRA is
    better; ``wins``, ``ties`` and ``losses`` count texts from LoRA's side and sum to
    ``n_texts``. ``n_clusters`` counts what is independent: groups, or else texts.
    """

    difference: float
    interval: Interval
    p_value: float
    n_texts: int
    n_clusters: int
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class TextPart:
    """What new texts add to an interval: it reaches from ``center`` so far to either side."""

    center: float
    half: float


def paired_difference(
    lora: ArrayLike, baseline: ArrayLike, draws: Draws, *, groups: Groups = None
) -> PairedDifference:
    """LoRA minus baseline over the same texts, by :func:`difference_interval` and :func:`sign_flip`.

    Args:
        lora: shape (n_texts,), in 0..1; of several seeds, the means over them.
        baseline: shape (n_texts,), the same texts in the same order.
        draws: resamples and their seed (of the test) and the nominal coverage (of the interval).
        groups: label of each text; texts of one group count as one.

    Raises:
        ValueError: as the two; the two sides differ in length.
    """
    lora, baseline = finite_array(lora, "lora", 1), finite_array(baseline, "baseline", 1)
    if lora.shape != baseline.shape:
        raise ValueError(f"expected one score per text, found {lora.size} and {baseline.size}")
    differences = lora - baseline
    interval = difference_interval(differences, draws.confidence, groups=groups)
    wins, losses = int(np.sum(differences > ROUNDING)), int(np.sum(differences < -ROUNDING))
    return PairedDifference(
        difference=float(differences.mean()),
        interval=interval,
        p_value=sign_flip(differences, draws.resamples, draws.seed, groups=groups),
        n_texts=differences.size,
        n_clusters=sizes(members(groups, differences.size)).size,
        wins=wins,
        ties=differences.size - wins - losses,
        losses=losses,
    )


def difference_interval(
    differences: ArrayLike,
    confidence: float = 0.95,
    *,
    groups: Groups = None,
    bounds: tuple[float, float] = DIFFERENCES,
) -> Interval:
    """t interval of a mean difference for new texts, with half a pseudo-text on either side.

    Student's interval fails where differences are rare and large: as long as none has been met it
    has no width. The pseudo-text stands for those not met, half of it above the mean and half
    below, 1.5 times as far away as the farthest text (of several seeds, at least as far as the farthest
    single difference) and within the bounds; where all agree, at the bounds. For differences of rights and wrongs that is near Agresti and Min's interval
    (Simple Improved Confidence Intervals for Comparing Matched Proportions (2005)); for smooth
    ones, near Student's.

    Args:
        differences: shape (n_texts,) or (n_seeds, n_texts); the mean is over both.
        confidence: nominal coverage, between 0 and 1.
        groups: label of each text; texts of one group count as one.
        bounds: of a single difference.

    Returns:
        The interval always holds the mean and stays within the bounds. A single text (or group)
        shows nothing of how others differ: its interval is the bounds.

    Raises:
        ValueError: differences empty, not finite, of another shape or out of bounds; confidence not
            between 0 and 1; not one label for each text.
    """
    table = finite_array(np.atleast_2d(np.asarray(differences)), "differences", 2)
    if table.min() < bounds[0] - ROUNDING or table.max() > bounds[1] + ROUNDING:
        raise ValueError(f"differences: expected numbers from {bounds[0]:g} to {bounds[1]:g}")
    part = text_part(group_scores(table, groups), confidence, bounds)
    estimate = float(table.mean())
    return Interval(
        estimate,
        max(bounds[0], min(estimate, part.center - part.half)),
        min(bounds[1], max(estimate, part.center + part.half)),
        confidence,
        f"t interval over {counted_as(groups)}, with a pseudo-text",
        0,
        None,
    )


def text_part(
    table: NDArray[np.float64], confidence: float, bounds: tuple[float, float]
) -> TextPart:
    """Center and half width of :func:`difference_interval`; ``table`` is (n_seeds, n) of n that are
    independent."""
    check_confidence(confidence)
    low, high = bounds
    values = table.mean(axis=0)
    n, mean = values.size, float(values.mean())
    if n < 2:
        return TextPart(mean, high - low)
    reach = pseudo_reach(table)
    if reach > ROUNDING:
        low, high = max(low, mean - reach), min(high, mean + reach)
    center = (n * mean + PSEUDO_WEIGHT * (low + high)) / (n + 2 * PSEUDO_WEIGHT)
    squares = float(np.sum((values - center) ** 2)) + PSEUDO_WEIGHT * (
        (low - center) ** 2 + (high - center) ** 2
    )
    # the variance that the Bayesian bootstrap's weights give, closed
    error = math.sqrt(squares / ((n + 1) * (n + 2)))
    return TextPart(center, float(stdtrit(n - 1, (1 + confidence) / 2)) * error)


def pseudo_reach(table: NDArray[np.float64]) -> float:
    """How far the pseudo-text lies from the mean of ``table`` (n_seeds, n), where no bound is near."""
    values, mean = table.mean(axis=0), float(table.mean())
    # seeds that fail on different texts hide in their mean how far a text may lie
    farthest = float(np.abs(table - mean).max())
    return max(PSEUDO_REACH * float(np.abs(values - mean).max()), farthest)


def sign_flip(
    differences: ArrayLike, resamples: int = 10_000, seed: int = 0, *, groups: Groups = None
) -> float:
    """p-value that a mean difference is none, two-sided, from turning signs around.

    If neither side is better, a text's difference is as likely to have the other sign. p is the
    share of all ways to choose the signs that put the mean at least as far from 0 as it is found
    (Fisher, The Design of Experiments (1935), section 21). Of more than ``resamples`` ways, so
    many are drawn and p = (k + 1) / (resamples + 1) (Phipson and Smyth, Permutation p-values Should
    Never Be Zero (2010)). The test keeps its level with any number of texts; with fewer than six
    no p lies below 0.05.

    Args:
        differences: shape (n_texts,).
        resamples: most sign patterns that are looked at.
        seed: of the generator that draws them.
        groups: label of each text; a group's differences turn together.

    Raises:
        ValueError: differences empty, not finite or not one-dimensional; resamples below 1; not one
            label for each text.
    """
    values = finite_array(differences, "differences", 1)
    check_resamples(resamples)
    summed = totals(values, members(groups, values.size))
    # what is 0 stays 0; the rest is sorted so that the order of texts changes nothing
    sizes_ = np.sort(np.abs(summed[np.abs(summed) > ROUNDING]))
    found = abs(float(summed.sum())) - ROUNDING * values.size
    if 2**sizes_.size <= resamples:
        return float(np.mean(np.abs(_all_sums(sizes_)) >= found))
    as_far = sum(
        int(np.sum(np.abs(sums) >= found)) for sums in _drawn_sums(sizes_, resamples, seed)
    )
    return (as_far + 1) / (resamples + 1)


def _all_sums(sizes_: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of ``sizes_`` (m,) under each choice of their signs, shape (2^m,)."""
    sums = np.zeros(1)
    for size in sizes_:
        sums = np.concatenate([sums - size, sums + size])
    return sums


def _drawn_sums(
    magnitudes: NDArray[np.float64], resamples: int, seed: int
) -> list[NDArray[np.float64]]:
    """Sums under random signs, in chunks. Of equal magnitudes, how many are positive is drawn."""
    value, _, alike = distinct(magnitudes, np.ones_like(magnitudes))
    number = alike.astype(np.int64)
    generator = np.random.default_rng(seed)
    found = []
    for rows in chunks(resamples, value.size):
        positive = generator.binomial(number, 0.5, size=(rows, value.size))
        found.append((2 * positive - number) @ value)
    return found
