"""How well a stated confidence agrees with what comes of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lora_vs_api.stats.bootstrap import Draws, Interval, check_confidence, chunks, finite_array
from lora_vs_api.stats.clusters import Groups, counted_as, members

Floats = NDArray[np.float64]


class Knots(NamedTuple):
    """A non-decreasing curve through points, straight between them and level beyond."""

    x: Floats
    y: Floats

    def at(self, values: ArrayLike) -> Floats:
        """The curve's height at each of ``values``, of their shape."""
        return np.asarray(np.interp(np.asarray(values, dtype=np.float64), self.x, self.y))


def isotonic(confidences: ArrayLike, scores: ArrayLike) -> Knots:
    """The non-decreasing curve of scores that fits best by least squares.

    Isotonic regression (Zadrozny and Elkan, Transforming Classifier Scores into Accurate Multiclass
    Probability Estimates (2002)), by scikit-learn. It assumes nothing but the order.

    Args:
        confidences: shape (n,).
        scores: shape (n,), each in 0..1.

    Raises:
        ValueError: one of the two is empty, not finite or not one-dimensional, or they differ in length.
    """
    # a second to load, and whoever only reads a result needs none of it
    from sklearn.isotonic import IsotonicRegression

    x, y = finite_array(confidences, "confidences", 1), finite_array(scores, "scores", 1)
    if x.size != y.size:
        raise ValueError(f"expected a score for each confidence, found {x.size} and {y.size}")
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(x, y)
    return Knots(fitted.X_thresholds_.astype(float), fitted.y_thresholds_.astype(float))


class Bins(NamedTuple):
    """Answers by how sure they are: edges (b + 1,), and of each bin with its mean confidence, mean
    score and number of answers, shape (b,); a bin without an answer has 0 of each."""

    edges: Floats
    sure: Floats
    score: Floats
    answers: NDArray[np.int64]


def bin_edges(sure: ArrayLike, most: int = 5) -> Floats:
    """Edges from 0 to 1 of at most so many bins, about as many of ``sure`` (n,) in each."""
    inner = np.quantile(finite_array(sure, "sure", 1), np.arange(1, most) / most)
    return np.unique(np.concatenate([[0.0], inner[(inner > 0) & (inner < 1)], [1.0]]))


def binned(sure: Floats, scores: Floats, edges: Floats) -> Bins:
    """``sure`` and ``scores``, both (n,), by the bins between ``edges``."""
    number = edges.size - 1
    place = _places(sure, edges)
    answers = np.bincount(place, minlength=number)

    def means(values: Floats) -> Floats:
        totals = np.bincount(place, weights=values, minlength=number)
        return np.asarray(totals / np.maximum(answers, 1))

    return Bins(edges, means(sure), means(scores), answers)


def _places(sure: Floats, edges: Floats) -> NDArray[np.intp]:
    return np.clip(np.searchsorted(edges, sure, side="right") - 1, 0, edges.size - 2)


def calibration_error(
    sure: ArrayLike,
    scores: ArrayLike,
    edges: Floats,
    draws: Draws,
    *,
    groups: Groups = None,
) -> Interval:
    """Expected calibration error and its interval, by a bootstrap over texts or groups of them.

    The error is the mean over all answers of |mean confidence − mean score| of their bin (Naeini,
    Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning (2015)).
    What chance does to the bins makes it larger in the sample and once more in every resample, so
    that quantiles of resampled errors lie too high. What is resampled is therefore how far chance
    moves the gaps of the bins, all together: by the triangle inequality the error found lies no
    farther from the true one. The interval reaches that far to both sides and covers at least what
    it says. Where nothing went wrong, something that befalls a text in n may still be met: an end
    lies at least 1 − α^(1/n) away, as for a rate of which no case was met.

    Args:
        sure: shape (n_seeds, n_texts), in 0..1.
        scores: of the same shape, in 0..1.
        edges: of the bins, chosen elsewhere than on these answers.
        groups: label of each text; a text is drawn with its group, and with all its seeds.

    Raises:
        ValueError: the two differ in shape, or are not two-dimensional or not finite; not one label
            for each text; confidence not between 0 and 1.
    """
    p, y = finite_array(sure, "sure", 2), finite_array(scores, "scores", 2)
    if p.shape != y.shape:
        raise ValueError(f"expected a score for each confidence, found {p.shape} and {y.shape}")
    check_confidence(draws.confidence)
    member, number = members(groups, p.shape[1]), edges.size - 1
    gaps = np.zeros((member.max() + 1, number))
    rows = np.broadcast_to(member, p.shape)
    np.add.at(gaps, (rows.ravel(), _places(p.ravel(), edges)), (y - p).ravel() / p.size)
    found = gaps.sum(axis=0)
    estimate, clusters = float(np.abs(found).sum()), len(gaps)
    method = f"cluster bootstrap of the bins' gaps over {counted_as(groups)}"
    if clusters < 2:
        return Interval(estimate, 0.0, 1.0, draws.confidence, "bounds", 0, None)
    generator = np.random.default_rng(draws.seed)
    noise = np.concatenate(
        [
            generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=size) @ gaps
            - found
            for size in chunks(draws.resamples, clusters)
        ]
    ) * np.sqrt(clusters / (clusters - 1))
    by_chance = np.abs(noise).sum(axis=1)
    risk = 1 - draws.confidence
    # half of the risk is kept for what resamples of few texts do not show
    reach = max(float(np.quantile(by_chance, 1 - risk / 2)), 1 - risk ** (1 / clusters))
    low = max(0.0, estimate - reach)
    high = min(1.0, estimate + reach)
    return Interval(estimate, low, high, draws.confidence, method, draws.resamples, draws.seed)
