"""Bootstrap intervals of means: of costs, and of scores for comparison.

Of scores they cover too little where the mean is near 0 or 1 or the texts are few (the table in
docs/statistics.md). :mod:`lora_vs_api.stats.bayesian` has the intervals that are used;
:func:`bca_interval` and :func:`published_interval` only stand beside them. The unit of inference is
the text: the same text under three seeds is one draw from the population of texts, not three.
:func:`published_interval` alone counts otherwise.

Resamples are drawn in one vectorised step per chunk; the chunk size bounds memory and does not
change the result. The same input and seed give the same output. Scores of thousands of texts take
few values: there, how often a resample holds each value is drawn, which has the same distribution
as drawing the texts and does not take longer for more of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# scipy.stats would take most of a second to import
from scipy.special import ndtr, ndtri

# indices held at once: 32 MB of int64, and as much again for the values they pick
CHUNK_INDICES = 2**22

# from so many rows on, values are counted; below, the texts themselves are drawn
MANY = 10_000
# a value's count takes about so many times longer to draw than a text
COUNT_COST = 16

# sums of the same scores in another order differ by far less than this, real scores by far more
ROUNDING = 1e-9


class Draws(NamedTuple):
    """How a bootstrap draws: its last three arguments, for ``*draws``.

    ``resamples`` is the number of bootstrap samples, ``seed`` that of the generator that draws
    them, ``confidence`` the nominal coverage of its interval.
    """

    resamples: int
    seed: int
    confidence: float


@dataclass(frozen=True)
class Interval:
    """A mean score and its interval, both ends in the unit of the scores.

    ``resamples`` is 0 and ``seed`` None for an interval in closed form.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    method: str
    resamples: int
    seed: int | None


def bootstrap_mean(
    values: ArrayLike, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Percentile bootstrap interval of the mean of independent values.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    Args:
        values: shape (n,), any unit.
        resamples: number of bootstrap samples.
        seed: of the generator that draws them.
        confidence: nominal coverage, between 0 and 1.

    Raises:
        ValueError: values empty, not finite or not one-dimensional; resamples below 1;
            confidence not between 0 and 1.
    """
    return _interval_of_mean(
        finite_array(values, "values", 1), resamples, seed, confidence, "percentile bootstrap"
    )


def bca_interval(
    values: ArrayLike, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Bias-corrected and accelerated bootstrap interval of the mean of independent values.

    Efron, Better Bootstrap Confidence Intervals (1987): the percentiles are shifted by the
    median bias of the resamples and by the skewness of the values (the jackknife's
    acceleration, which for a mean needs no loop). It corrects what the percentile interval gets
    wrong for skewed scores; where no resample lies on one side of the mean it is undefined and
    the percentile interval is returned under its own name.

    Args:
        values: shape (n,), any unit; of several seeds, the means over them.

    Raises:
        ValueError: as :func:`bootstrap_mean`.
    """
    values = finite_array(values, "values", 1)
    estimate = float(values.mean())
    means = resampled_means(values, resamples, seed)
    # resamples that tie with the mean count half
    below = float(np.mean(means < estimate - ROUNDING) + np.mean(means <= estimate + ROUNDING)) / 2
    deviations = values - estimate
    spread = float(np.sum(deviations**2))
    if not 0 < below < 1 or spread <= ROUNDING**2:
        return _percentiles(estimate, means, resamples, seed, confidence, "percentile bootstrap")
    bias = float(ndtri(below))
    # the mean without value i lies (mean − value i)/(n − 1) off the mean: n cancels
    acceleration = float(np.sum(deviations**3)) / (6 * spread**1.5)
    return _percentiles(
        estimate,
        means,
        resamples,
        seed,
        confidence,
        "BCa bootstrap",
        lambda z: float(ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))),
    )


def published_interval(
    scores: ArrayLike, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """The interval as the published experiment describes it, for comparison only.

    It counts n = seeds × texts rows and resamples them as if independent ("n=300 after
    multiplying by 3 seeds"). Rows of one text are alike, so it is too narrow: by up to
    the square root of the number of seeds, which it reaches when the seeds agree. A single
    API pass "counted as n=300" is ``np.tile(scores, (3, 1))`` here.

    Args:
        scores: shape (n_seeds, n_texts).

    Raises:
        ValueError: as :func:`bootstrap_mean`; scores not two-dimensional.
    """
    return _interval_of_mean(
        finite_array(scores, "scores", 2).ravel(),
        resamples,
        seed,
        confidence,
        "published protocol: seed×text rows resampled as independent",
    )


def _interval_of_mean(
    values: NDArray[np.float64], resamples: int, seed: int, confidence: float, method: str
) -> Interval:
    means = resampled_means(values, resamples, seed)
    return _percentiles(float(values.mean()), means, resamples, seed, confidence, method)


def resampled_means(
    values: NDArray[np.float64], resamples: int, seed: int | list[int]
) -> NDArray[np.float64]:
    """Means of ``resamples`` samples of ``values`` (n,) with replacement, shape (resamples,)."""
    generator = np.random.default_rng(seed)
    counted = _counted(values)
    if counted is not None:
        distinct, shares = counted
        return np.concatenate(
            [
                generator.multinomial(values.size, shares, size=size) @ distinct / values.size
                for size in chunks(resamples, distinct.size)
            ]
        )
    return np.concatenate(
        [
            values[generator.integers(values.size, size=(size, values.size))].mean(axis=1)
            for size in chunks(resamples, values.size)
        ]
    )


def _counted(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The distinct values and each one's share of all; None where drawing texts is as well: there
    are few, or hardly two alike."""
    if values.size < MANY:
        return None
    distinct, counts = np.unique(values, return_counts=True)
    if counts.size * COUNT_COST > values.size:
        return None
    return distinct, counts / values.size


def _percentiles(
    estimate: float,
    means: NDArray[np.float64],
    resamples: int,
    seed: int,
    confidence: float,
    method: str,
    shifted: Callable[[float], float] | None = None,
) -> Interval:
    """``shifted``, where given, turns an end's normal quantile into the share of resamples below."""
    check_confidence(confidence)
    shares = [(1 - confidence) / 2, (1 + confidence) / 2]
    if shifted:
        shares = [shifted(float(ndtri(share))) for share in shares]
    low, high = np.quantile(means, shares)
    return Interval(estimate, float(low), float(high), confidence, method, resamples, seed)


def chunks(resamples: int, indices: int) -> Iterator[int]:
    """Sizes that sum to ``resamples``, each of a bounded number of indices."""
    check_resamples(resamples)
    size = max(1, CHUNK_INDICES // indices)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def check_resamples(resamples: int) -> None:
    """Refuse what is no number of resamples.

    Raises:
        ValueError: it is below 1.
    """
    if resamples < 1:
        raise ValueError(f"resamples: expected an integer ≥ 1, found {resamples}")


def check_confidence(confidence: float) -> None:
    """Refuse what is no confidence.

    Raises:
        ValueError: it is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a number between 0 and 1, found {confidence}")


def finite_array(values: ArrayLike, name: str, dimensions: int) -> NDArray[np.float64]:
    """``values`` as a non-empty array of so many dimensions without NaN or infinity.

    Raises:
        ValueError: it is not; the message calls it ``name``.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != dimensions or array.size == 0:
        raise ValueError(
            f"{name}: expected a non-empty array of {dimensions} dimension(s), "
            f"found shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, found NaN or infinity")
    return array
