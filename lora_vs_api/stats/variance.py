"""Seeds and texts as two random factors: who causes the variance, and intervals for both.

Scores have shape ``(n_seeds, n_texts)``: every seed answered every text once. An interval here has
two parts. What new texts add is an interval of its own, made for scores that are lumpy or near an
end (:mod:`lora_vs_api.stats.bayesian`, :mod:`lora_vs_api.stats.paired`). What another training adds
is Student's t with as many degrees of freedom as there are seeds, less one. The two half widths are
added as squares, each side for itself (Zou and Donner, Construction of Confidence Limits about
Effect Measures: a General Approach (2008), call it recovering variances).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from lora_vs_api.stats.bayesian import text_interval
from lora_vs_api.stats.bootstrap import (
    ROUNDING,
    Draws,
    Interval,
    check_confidence,
    finite_array,
)
from lora_vs_api.stats.clusters import Groups, counted_as, group_scores
from lora_vs_api.stats.mean_squares import MeanSquares, mean_squares
from lora_vs_api.stats.paired import DIFFERENCES, difference_interval

# So much of the interaction is taken off the seeds' mean square. All of it would leave an unbiased
# estimate, which with two seeds is below 0, and counts as 0, in most experiments: intervals then
# cover 91 % where interaction is large. Half covers 94 to 98 % (`python -m benchmarks coverage`).
INTERACTION_TAKEN_OFF = 0.5

# draws of the mean squares' distribution for the intervals of the shares
SHARE_DRAWS = 20_000


@dataclass(frozen=True)
class Share:
    """A share of variance in 0..1 and its interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class VarianceShares:
    """Where the variance of a mean over seeds and texts comes from.

    The three estimates sum to 1. ``interaction`` is what neither a text nor a seed explains alone:
    a seed that does better on some texts and worse on others, and noise. All three are None where
    they cannot be known: one seed (or one text) shows nothing of how seeds (or texts) vary, hence
    nothing of the total. So they are where nothing varies.
    """

    seeds: Share | None
    texts: Share | None
    interaction: Share | None


def variance_shares(
    scores: ArrayLike, confidence: float = 0.95, seed: int = 0, *, groups: Groups = None
) -> VarianceShares:
    """Split the variance of the mean into the parts of seeds, texts and their interaction.

    Two-way random effects with one score per cell, estimated by equating mean squares to
    their expectations (Searle, Casella and McCulloch, Variance Components (1992), chapter 4):
    var(mean) = σ²_seed/n_seeds + σ²_text/n_texts + σ²_interaction/(n_seeds·n_texts).
    A negative estimate counts as 0, as is usual. The intervals are generalized confidence
    intervals (Weerahandi (1993); Burdick, Borror and Montgomery, Design and Analysis of Gauge R&R
    Studies (2005), chapter 2): the shares under draws of the χ² distributions that the mean squares
    have.

    Args:
        scores: shape (n_seeds, n_texts).
        confidence: of the shares' intervals.
        seed: of the generator that draws them.
        groups: label of each text; what is called texts is then groups.

    Raises:
        ValueError: scores empty, not finite or not two-dimensional; confidence not between 0 and 1;
            not one label for each text.
    """
    check_confidence(confidence)
    table = group_scores(finite_array(scores, "scores", 2), groups)
    if min(table.shape) < 2:
        return VarianceShares(None, None, None)
    squares = mean_squares(table)
    found = np.array(_parts(*squares)) / table.size
    total = float(found.sum())
    if total <= ROUNDING**2:
        return VarianceShares(None, None, None)
    ends = _share_ends(squares, table.shape, confidence, seed)
    seeds, by_text, interaction = (
        # near an end the generalized interval can miss the estimate by the luck of the draw
        Share(float(part), min(float(part), float(low)), max(float(part), float(high)))
        for part, (low, high) in zip(found / total, ends.T)
    )
    return VarianceShares(seeds, by_text, interaction)


def random_effects_interval(
    scores: ArrayLike,
    confidence: float = 0.95,
    *,
    groups: Groups = None,
    bounds: tuple[float, float] = DIFFERENCES,
) -> Interval:
    """Interval of a mean difference for new seeds and new texts; the interval that decides.

    For a paired difference pass ``lora_scores - baseline``. For scores themselves, which reach
    their bounds, see :func:`random_effects_score`.

    A bootstrap over three seeds cannot know how far a fourth may lie: its resamples stay between
    the three. Here few seeds that differ make the interval wide, as they should: two seeds have a
    t of 12.7. One seed shows nothing of how seeds differ: the interval is then
    :func:`lora_vs_api.stats.paired.difference_interval`, over texts.

    Args:
        scores: shape (n_seeds, n_texts).
        confidence: nominal coverage, between 0 and 1.
        groups: label of each text; texts of one group count as one.
        bounds: of one text's difference.

    Raises:
        ValueError: scores empty, not finite, not two-dimensional or out of bounds; confidence not
            between 0 and 1; not one label for each text.
    """
    table = finite_array(scores, "scores", 2)
    over_texts = difference_interval(table, confidence, groups=groups, bounds=bounds)
    return _with_seeds(over_texts, table, groups, bounds)


def random_effects_score(
    scores: ArrayLike,
    draws: Draws,
    *,
    groups: Groups = None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Interval of a mean score or a rate for new seeds and new texts.

    A rate is the mean of what each text was, 0 or 1; with several seeds, of each text's share of
    seeds. One seed: :func:`lora_vs_api.stats.bayesian.text_interval`, over texts.

    Args:
        scores: shape (n_seeds, n_texts), within the bounds.
        draws: resamples and their seed, and the nominal coverage.
        groups, bounds: as there.

    Raises:
        ValueError: as there; scores not two-dimensional.
    """
    table = finite_array(scores, "scores", 2)
    over_texts = text_interval(table, draws, groups=groups, bounds=bounds)
    return _with_seeds(over_texts, table, groups, bounds)


def _with_seeds(
    over_texts: Interval, table: NDArray[np.float64], groups: Groups, bounds: tuple[float, float]
) -> Interval:
    """An interval over texts, widened on either side by what another training adds."""
    n_seeds = len(table)
    if n_seeds < 2:
        return over_texts
    added = seed_half_width(group_scores(table, groups), over_texts.confidence)
    estimate = over_texts.estimate
    return Interval(
        estimate,
        max(bounds[0], estimate - math.hypot(estimate - over_texts.low, added)),
        min(bounds[1], estimate + math.hypot(over_texts.high - estimate, added)),
        over_texts.confidence,
        f"random-effects interval over seeds and {counted_as(groups)}",
        over_texts.resamples,
        over_texts.seed,
    )


def seed_half_width(table: NDArray[np.float64], confidence: float) -> float:
    """Half width of the t interval over seeds, for at least two seeds; of a single text 0."""
    n_seeds, n_texts = table.shape
    if n_texts < 2:
        return 0.0
    error = math.sqrt(training_variance(table) / n_seeds)
    if error <= ROUNDING:
        return 0.0
    return float(stdtrit(n_seeds - 1, (1 + confidence) / 2)) * error


def training_variance(table: NDArray[np.float64]) -> float:
    """Variance of one training's mean about that of all, for at least two seeds and two texts."""
    squares = mean_squares(table)
    variance = squares.seeds - INTERACTION_TAKEN_OFF * squares.interaction
    of_one: float = max(0.0, variance) / table.shape[1]
    return of_one


def _parts(
    seeds: ArrayLike, texts: ArrayLike, interaction: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What seeds, texts and their interaction add to the variance of the mean, times the cells."""
    of_mean = np.asarray(interaction, dtype=np.float64)
    return (
        np.maximum(np.asarray(seeds) - of_mean, 0.0),
        np.maximum(np.asarray(texts) - of_mean, 0.0),
        of_mean,
    )


def _share_ends(
    squares: MeanSquares, shape: tuple[int, ...], confidence: float, seed: int
) -> NDArray[np.float64]:
    """Low and high end of each of the three shares, shape (2, 3)."""
    n_seeds, n_texts = shape
    freedoms = (n_seeds - 1, n_texts - 1, (n_seeds - 1) * (n_texts - 1))
    generator = np.random.default_rng(seed)
    drawn = [
        square * freedom / generator.chisquare(freedom, SHARE_DRAWS)
        for square, freedom in zip(squares, freedoms)
    ]
    parts = np.array(_parts(*drawn))
    total = np.maximum(parts.sum(axis=0), np.finfo(float).tiny)
    ends: NDArray[np.float64] = np.quantile(
        parts / total, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1
    )
    return ends
