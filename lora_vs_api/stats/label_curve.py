"""Scores by number of labels: intervals of each point, where a curve reaches a level, its slope.

A curve is known at a few numbers of labels, n₁ < … < n_k, and taken as straight in log n between
them. At each, several trainings (seeds) answered the same texts; scores have shape
``(n_seeds, n_texts)``. Trainings of two numbers of labels have nothing to do with each other.

Where a curve reaches a level is told by inverting tests, as Fieller does for a ratio (Some Problems
in Interval Estimation (1954)): a number of labels is in the interval where the paired interval of
curve minus level, which is the one that decides everywhere else, does not rule it out. Numbers are
tried in order, upwards for the low end and downwards for the high one, up to the first that is not
ruled out. In such a fixed sequence every test keeps the whole level, however many sizes there are
(Maurer, Hothorn and Lehmacher, Multiple Comparisons in Drug Clinical Trials (1995)), and nothing is
taken for granted about the curve between other sizes, not even that it rises. A bootstrap of a
monotone fit would have to draw trainings from two or three.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from lora_vs_api.stats.bayesian import text_interval
from lora_vs_api.stats.bootstrap import ROUNDING, Draws, Interval, finite_array
from lora_vs_api.stats.clusters import Groups, counted_as, group_scores
from lora_vs_api.stats.paired import DIFFERENCES, difference_interval
from lora_vs_api.stats.variance import (
    random_effects_interval,
    random_effects_score,
    seed_half_width,
    training_variance,
)

Floats = NDArray[np.float64]

METHOD = "inverted paired intervals over {units}, in a fixed sequence, linear in log labels"


@dataclass(frozen=True)
class Ends:
    """A number with the ends of its interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Reached:
    """From how many labels on a curve is at least at a level.

    Each is a number from the smallest to the largest of the curve: the smallest stands for itself
    and all below, None for more than the largest. The interval is from ``low`` to ``high`` and
    holds the estimate.
    """

    estimate: float | None
    low: float | None
    high: float | None


def score_band(
    tables: Sequence[Floats], draws: Draws, *, groups: Groups = None
) -> tuple[Interval, ...]:
    """Interval of each point's mean score, for new texts and another training.

    As :func:`lora_vs_api.stats.variance.random_effects_score`. A point with one training has the
    spread of the others' trainings about their means, where any has several: without that it
    would pass for one that no training could change. The last point, that of the final trainings, is
    as it stands in the comparison: with one training it is about that adapter.

    Args:
        tables: of each point, (n_seeds, n_texts) in 0..1; all of the same texts.
        draws: resamples, their seed and the nominal coverage.
        groups: label of each text; texts of one group count as one.

    Raises:
        ValueError: a table that is empty, not finite, of another shape or out of bounds; not one
            label for each text.
    """
    added = [*seed_half_widths(tables, draws.confidence, groups)[:-1], 0.0]
    return tuple(
        random_effects_score(table, draws, groups=groups)
        if len(table) > 1
        else _widened(text_interval(table, draws, groups=groups), half, (0.0, 1.0), groups)
        for table, half in zip(tables, added)
    )


def difference_band(
    tables: Sequence[Floats], level: Floats, confidence: float, *, groups: Groups = None
) -> tuple[Interval, ...]:
    """Interval of each point's mean difference from a level, paired by text.

    As :func:`lora_vs_api.stats.variance.random_effects_interval`; a point with one training, and
    the last, as in :func:`score_band`.

    Args:
        tables, groups: as there.
        level: what the curve is compared with, (n_texts,) in 0..1.
        confidence: nominal coverage.

    Raises:
        ValueError: as there.
    """
    differences = [finite_array(table, "scores", 2) - level for table in tables]
    added = [*seed_half_widths(differences, confidence, groups)[:-1], 0.0]
    return tuple(
        random_effects_interval(table, confidence, groups=groups)
        if len(table) > 1
        else _widened(
            difference_interval(table, confidence, groups=groups), half, DIFFERENCES, groups
        )
        for table, half in zip(differences, added)
    )


def seed_half_widths(
    tables: Sequence[Floats], confidence: float, groups: Groups = None
) -> list[float]:
    """What another training adds to each point's interval, as a half width.

    Of a point with one training, by the pooled variance of those with several; 0 where none has.
    """
    counted = [group_scores(finite_array(table, "scores", 2), groups) for table in tables]
    several = [table for table in counted if min(table.shape) > 1]
    freedom = sum(len(table) - 1 for table in several)
    pooled = 0.0
    if freedom:
        squares = sum((len(table) - 1) * training_variance(table) for table in several)
        pooled = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(squares / freedom)
    return [seed_half_width(table, confidence) if len(table) > 1 else pooled for table in counted]


def _widened(
    over_texts: Interval, added: float, bounds: tuple[float, float], groups: Groups
) -> Interval:
    """An interval over texts, widened on either side by what another training adds."""
    if not added:
        return over_texts
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


def monotone(means: Sequence[float], weights: Sequence[float]) -> Floats:
    """The curve that never falls and lies nearest to ``means`` in weighted squares.

    Isotonic regression by pooling adjacent violators (Ayer, Brunk, Ewing, Reid and Silverman, An
    Empirical Distribution Function for Sampling with Incomplete Information (1955)).
    """
    # scipy.optimize takes a third of a second to import
    from scipy.optimize import isotonic_regression

    fitted: Floats = isotonic_regression(np.asarray(means), weights=np.asarray(weights)).x
    return fitted


def reached(labels: Sequence[int], band: Sequence[Interval], trainings: Sequence[int]) -> Reached:
    """From how many labels on the curve is at least at the level that ``band`` is the difference from.

    The estimate is where the monotone fit of the differences, weighted by trainings, reaches 0.
    The low end is where their upper ends first reach 0, coming from the smallest number; the high
    end from where on their lower ends are at or above 0, coming from the largest. Between two
    points the ends lie on straight lines in log n: there the interval of a straight curve is no
    wider (a standard error is convex), so the level is kept.

    Args:
        labels: n₁ < … < n_k.
        band: of each, :func:`difference_band`.
        trainings: of each, how many.

    Raises:
        ValueError: not one of each, none at all, or labels that do not grow.
    """
    if not labels or not len(labels) == len(band) == len(trainings):
        raise ValueError("expected an interval and a number of trainings for each number of labels")
    if any(after <= before for before, after in pairwise(labels)):
        raise ValueError(f"labels: expected numbers that grow, found {list(labels)}")
    fit = monotone([point.estimate for point in band], trainings)
    estimate = _first_at_0(labels, fit)
    low = _first_at_0(labels, [point.high for point in band])
    high = _last_from_0(labels, [point.low for point in band])
    if estimate is None:
        return Reached(None, low, None)
    return Reached(
        estimate,
        estimate if low is None else min(low, estimate),
        None if high is None else max(high, estimate),
    )


def _first_at_0(labels: Sequence[int], values: Sequence[float] | Floats) -> float | None:
    """The first number of labels at which ``values`` reach 0; None where they never do."""
    for place, value in enumerate(values):
        if value >= -ROUNDING:
            return _crossing(labels, values, place)
    return None


def _last_from_0(labels: Sequence[int], values: Sequence[float] | Floats) -> float | None:
    """From how many labels on ``values`` are at or above 0; None where the last are not."""
    place = len(values)
    while place and values[place - 1] >= -ROUNDING:
        place -= 1
    return None if place == len(values) else _crossing(labels, values, place)


def _crossing(labels: Sequence[int], values: Sequence[float] | Floats, place: int) -> float:
    """Where the line that ends at ``place``, at or above 0, passes 0; the smallest number where it begins."""
    if place == 0:
        return float(labels[0])
    below, above = float(values[place - 1]), max(0.0, float(values[place]))
    share = below / (below - above)
    before, after = math.log(labels[place - 1]), math.log(labels[place])
    # not beyond the point by the digits of a logarithm
    return min(float(labels[place]), math.exp(before + share * (after - before)))


def rise(
    tables: Sequence[Floats], before: int, after: int, confidence: float, *, groups: Groups = None
) -> Ends:
    """How much higher the curve is at one point than at another, for new texts and trainings.

    The texts' part is the paired interval of the two means; what other trainings add on either
    side is added as squares.

    Args:
        tables, groups: of all points, as in :func:`score_band`.
        before, after: the places of the two points.
        confidence: nominal coverage.
    """
    halves = seed_half_widths(tables, confidence, groups)
    # each training of one with each of the other, so that the farthest single difference is seen
    pairs = (tables[after][:, None] - tables[before][None]).reshape(-1, tables[after].shape[1])
    found = _widened(
        difference_interval(pairs, confidence, groups=groups),
        math.hypot(halves[before], halves[after]),
        DIFFERENCES,
        groups,
    )
    return Ends(found.estimate, found.low, found.high)
