"""Seeds and texts as two random factors: who causes the variance, and an interval for both.

Scores have shape ``(n_seeds, n_texts)``: every seed answered every text once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from lora_vs_api.stats.bootstrap import ROUNDING, Interval, finite_array


@dataclass(frozen=True)
class VarianceShares:
    """Where the variance of a mean over seeds and texts comes from.

    The three shares are in 0..1 and sum to 1. ``interaction`` is what neither a text nor a
    seed explains alone: a seed that does better on some texts and worse on others, and noise.
    ``variance_of_mean`` is the variance of the mean over new seeds and new texts. All four are
    None where they cannot be known: one seed (or one text) shows nothing of how seeds (or
    texts) vary, hence nothing of the total. The shares are None also where nothing varies.
    """

    seeds: float | None
    texts: float | None
    interaction: float | None
    variance_of_mean: float | None


def variance_shares(scores: ArrayLike) -> VarianceShares:
    """Split the variance of the mean into the parts of seeds, texts and their interaction.

    Two-way random effects with one score per cell, estimated by equating mean squares to
    their expectations (Searle, Casella and McCulloch, Variance Components (1992), chapter 4):
    var(mean) = σ²_seed/n_seeds + σ²_text/n_texts + σ²_interaction/(n_seeds·n_texts).
    A negative estimate counts as 0, as is usual.

    Args:
        scores: shape (n_seeds, n_texts).

    Raises:
        ValueError: scores empty, not finite or not two-dimensional.
    """
    table = finite_array(scores, "scores", 2)
    if min(table.shape) < 2:
        return VarianceShares(None, None, None, None)
    seeds, texts, of_mean = _mean_squares(table) / table.size
    from_seeds, from_texts = max(seeds - of_mean, 0.0), max(texts - of_mean, 0.0)
    total = from_seeds + from_texts + of_mean
    if total <= ROUNDING**2:
        return VarianceShares(None, None, None, 0.0)
    return VarianceShares(from_seeds / total, from_texts / total, of_mean / total, total)


def random_effects_interval(scores: ArrayLike, confidence: float = 0.95) -> Interval:
    """t interval of the mean for new seeds and new texts.

    A bootstrap over three seeds cannot know how far a fourth may lie: its resamples stay between
    the three. This interval estimates the variance of the mean from the mean squares of seeds,
    texts and their interaction, (MS_seed + MS_text − MS_interaction) / (n_seeds·n_texts),
    with Satterthwaite's degrees of freedom (An Approximate Distribution of Estimates of Variance
    Components, 1946; Burdick and Graybill, Confidence Intervals on Variance Components (1992)).
    Few seeds that differ make it wide, as they should. In simulation (tests/test_stats.py) a
    nominal 95 % covers 93 to 97 % while seeds make up to half of the variance. One seed shows
    nothing of how seeds differ: the interval is then the t interval over texts.

    For a paired difference pass ``lora_scores - baseline``.

    Args:
        scores: shape (n_seeds, n_texts), at least two texts.
        confidence: nominal coverage, between 0 and 1.

    Raises:
        ValueError: scores not finite, not two-dimensional or of a single text.
    """
    table = finite_array(scores, "scores", 2)
    n_seeds, n_texts = table.shape
    if n_texts < 2:
        raise ValueError("scores: expected at least two texts, found 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a number between 0 and 1, found {confidence}")
    if n_seeds == 1:
        method = "t interval over texts"
        variance, freedom = float(table.var(ddof=1)) / n_texts, n_texts - 1.0
    else:
        method = "random-effects t interval over seeds and texts"
        seeds, texts, interaction = _mean_squares(table)
        # seeds cannot add less than nothing
        seeds = max(seeds, interaction)
        square = seeds + texts - interaction
        parts = (
            seeds**2 / (n_seeds - 1)
            + texts**2 / (n_texts - 1)
            + interaction**2 / ((n_seeds - 1) * (n_texts - 1))
        )
        freedom = square**2 / parts if parts > ROUNDING**4 else math.inf
        variance = square / table.size
    estimate = float(table.mean())
    half = 0.0
    if variance > ROUNDING**2:
        half = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(variance)
    return Interval(estimate, estimate - half, estimate + half, confidence, method, 0, None)


def _mean_squares(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean squares of seeds, texts and their interaction, for at least two of each."""
    n_seeds, n_texts = table.shape
    by_seed, by_text = table.mean(axis=1), table.mean(axis=0)
    residual = table - by_seed[:, None] - by_text + table.mean()
    return np.array(
        [
            n_texts * by_seed.var(ddof=1),
            n_seeds * by_text.var(ddof=1),
            np.sum(residual**2) / ((n_seeds - 1) * (n_texts - 1)),
        ]
    )
