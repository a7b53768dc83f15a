"""Two samples of texts compared: by how much they differ, and whether chance could do that.

Every property of a text is one of a few categories, and a distance one of the difference of the
categories' shares. Where all texts come from one source, which of them are the new ones is arbitrary
(permutation test: Fisher, 1935); how many of each category are then among the new has a multivariate
hypergeometric distribution, which is drawn from. Texts of one group are no independent evidence: the
distances by chance are then widened by the square root of the design effect (Rao and Scott, The Analysis
of Categorical Data from Complex Sample Surveys (1981)) and, for few groups, as Student's t is wider than
the normal. `tests/test_monitor.py` simulates how often nothing is called something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from lora_vs_api.stats.bootstrap import ROUNDING
from lora_vs_api.stats.clusters import Groups, members, totals
from lora_vs_api.stats.comparisons import holm

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
# permutations that are drawn
DRAWS = 20_000
# bins of a length: about as many texts in each
BINS = 50
# steps of a value in 0..1
STEPS = 100


@dataclass(frozen=True)
class Sample:
    """Texts: the category of each, shape (n,), from 0 on, and the group of each or None."""

    places: Places
    groups: Groups = None

    @property
    def independent(self) -> int | None:
        """How many groups there are; None where texts have none."""
        return (
            None if self.groups is None else int(members(self.groups, self.places.size).max()) + 1
        )


@dataclass(frozen=True)
class Comparison:
    """Two samples by one property.

    ``axes`` (categories, q) makes of shares what is compared; ``distance`` makes of the differences
    (..., q), new minus before, a number from 0 to 1.
    """

    before: Sample
    now: Sample
    axes: Floats
    distance: Callable[[Floats], Floats]


@dataclass(frozen=True)
class Difference:
    """``detectable`` is the least distance that has a p-value of the level divided by all checks."""

    distance: float
    detectable: float
    p_value: float
    p_holm: float


def shares_differ(before: Sample, now: Sample, categories: int) -> Comparison:
    """By total variation: the share of texts that would have to be of another category."""
    return Comparison(before, now, np.eye(categories), lambda d: np.abs(d).sum(axis=-1) / 2)


def lengths_differ(before: tuple[Floats, Groups], now: tuple[Floats, Groups]) -> Comparison:
    """By the largest gap of the cumulative shares (Kolmogorov and Smirnov), at quantiles of both."""
    edges = _edges(before[0], now[0])
    first, second = (Sample(np.searchsorted(edges, each[0]), each[1]) for each in (before, now))
    axes = np.triu(np.ones((edges.size + 1, edges.size + 1)))
    return Comparison(first, second, axes, lambda d: np.abs(d).max(axis=-1))


def largest_gap(before: Floats, now: Floats) -> tuple[float, float, float]:
    """Where :func:`lengths_differ` sees most: a length, and the shares before and now of texts no longer."""
    edges = _edges(before, now)
    shares = [np.mean(sizes[:, None] <= edges, axis=0) for sizes in (before, now)]
    place = int(np.abs(shares[1] - shares[0]).argmax())
    return float(edges[place]), float(shares[0][place]), float(shares[1][place])


def _edges(before: Floats, now: Floats) -> Floats:
    together = np.concatenate([before, now])
    return np.unique(np.quantile(together, np.arange(1, BINS) / BINS, method="higher"))


def means_differ(
    before: tuple[Floats, Groups], now: tuple[Floats, Groups], *, higher: bool
) -> Comparison:
    """By how much the mean of values in 0..1 is higher, or else lower, than before; 0 if it is not."""
    first, second = (
        Sample(np.rint(values * STEPS).astype(np.intp), groups) for values, groups in (before, now)
    )
    sign = 1.0 if higher else -1.0
    axes = np.arange(STEPS + 1)[:, None] / STEPS
    return Comparison(first, second, axes, lambda d: np.maximum(0.0, sign * d[..., 0]))


def differences(
    comparisons: Mapping[str, Comparison], level: float, seed: int
) -> dict[str, Difference]:
    """Each comparison's distance and p-value, the latter also corrected for all of them (Holm)."""
    found = {
        name: _permuted(comparison, level / len(comparisons), seed)
        for name, comparison in comparisons.items()
    }
    corrected = holm({name: p for name, (_, _, p) in found.items()})
    return {
        name: Difference(distance, detectable, p, corrected[name])
        for name, (distance, detectable, p) in found.items()
    }


def _permuted(comparison: Comparison, level: float, seed: int) -> tuple[float, float, float]:
    """Distance, the least one of a p-value of ``level``, and the p-value."""
    before, now, axes = comparison.before, comparison.now, comparison.axes
    counts = [np.bincount(each.places, minlength=len(axes)) for each in (before, now)]
    n, m = before.places.size, now.places.size
    pooled = counts[0] + counts[1]
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(
        pooled, m, size=DRAWS, method="marginals"
    )
    by_chance = comparison.distance((drawn / m - (pooled - drawn) / n) @ axes)
    by_chance = np.sort(by_chance * _widening(comparison, level))
    distance = float(comparison.distance((counts[1] / m - counts[0] / n) @ axes))
    as_far = DRAWS - int(np.searchsorted(by_chance, distance - ROUNDING))
    # (k + 1)/(draws + 1) ≤ level
    allowed = int(level * (DRAWS + 1)) - 1
    detectable = float(by_chance[DRAWS - 1 - allowed]) if allowed >= 0 else 1.0
    return distance, min(1.0, detectable), (as_far + 1) / (DRAWS + 1)


def _widening(comparison: Comparison, level: float) -> float:
    """How many times as far chance moves shares of grouped texts as those of independent ones."""
    samples = (comparison.before, comparison.now)
    degrees = [each.independent - 1 for each in samples if each.independent is not None]
    if not degrees:
        return 1.0
    alone = clustered = 0.0
    for sample in samples:
        values = comparison.axes[sample.places].T
        n = values.shape[1]
        if n < 2:
            continue
        off = values - values.mean(axis=1, keepdims=True)
        independent = float((off**2).sum()) / (n * (n - 1))
        alone += independent
        if sample.groups is None:
            clustered += independent
            continue
        pulls = totals(off, members(sample.groups, n))
        groups = pulls.shape[1]
        clustered += float((pulls**2).sum()) / n**2 * groups / (groups - 1)
    effect = max(1.0, clustered / alone) if alone > ROUNDING**2 else 1.0
    few = float(stdtrit(min(degrees), 1 - level / 2) / ndtri(1 - level / 2))
    return float(np.sqrt(effect)) * few
