"""Several baselines at once, all-or-nothing scores, and what a sample size can show."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike

# scipy.stats would take most of a second to import for these three lines
from scipy.special import bdtr, ndtri

Key = TypeVar("Key", bound=Hashable)


class McNemar(NamedTuple):
    """Texts that only one of two conditions gets right, and the two-sided exact p-value."""

    only_a: int
    only_b: int
    p: float


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """p-values adjusted so that the chance of any false claim among them stays at the level.

    Holm, A simple sequentially rejective multiple test procedure (1979): the i-th smallest of
    m is multiplied by m−i+1, never falls below its predecessor and never exceeds 1.

    Args:
        p_values: raw p-value by comparison.

    Returns:
        Adjusted p-values under the same keys in the same order.

    Raises:
        ValueError: a value is not in 0..1.
    """
    for name, p in p_values.items():
        if not 0 <= p <= 1:
            raise ValueError(f"p-value of {name}: expected a number in 0..1, found {p}")
    adjusted: dict[Key, float] = {}
    floor = 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - rank) * float(p_values[name])))
        adjusted[name] = floor
    return {name: adjusted[name] for name in p_values}


def mcnemar_exact(a: ArrayLike, b: ArrayLike) -> McNemar:
    """McNemar's exact test that two conditions get equally many of the same texts right.

    Only texts that one gets right and the other wrong tell them apart; under the null each is
    a fair coin (McNemar 1947; the exact binomial form). Without any such text p is 1. A
    condition with several seeds has to be brought to one verdict per text first, for example
    by majority.

    Args:
        a: shape (n_texts,), true where the first condition is right.
        b: shape (n_texts,), the same texts in the same order.

    Raises:
        ValueError: the two are not boolean or differ in shape.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != np.bool_ or b.dtype != np.bool_ or a.shape != b.shape or a.ndim != 1:
        raise ValueError(
            "expected two boolean arrays of one length, "
            f"found {a.dtype} {a.shape} and {b.dtype} {b.shape}"
        )
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    both_tails = 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5))
    return McNemar(only_a, only_b, min(1.0, both_tails))


def minimum_detectable_effect(
    paired_differences: ArrayLike, power: float = 0.8, alpha: float = 0.05
) -> float:
    """The true mean difference that this many texts would show as significant.

    Two-sided test of a mean of paired differences in the normal approximation:
    (z(1−α/2) + z(power)) · sd / √n, the far tail left out.

    Args:
        paired_differences: shape (n_texts,), LoRA minus baseline per text.
        power: chance of seeing such a difference, above alpha and below 1.
        alpha: level of the test.

    Returns:
        A difference ≥ 0 in the unit of the scores.

    Raises:
        ValueError: fewer than two differences or not finite; alpha or power out of range.
    """
    differences = np.asarray(paired_differences, dtype=np.float64)
    if differences.ndim != 1 or differences.size < 2 or not np.isfinite(differences).all():
        raise ValueError(
            f"expected at least two finite differences, found shape {differences.shape}"
        )
    sd = float(differences.std(ddof=1))
    return _standard_errors_apart(power, alpha) * sd / math.sqrt(differences.size)


def required_sample_size(
    difference: float, sd: float, power: float = 0.8, alpha: float = 0.05
) -> int | None:
    """Texts that show a true mean difference as significant.

    The inverse of :func:`minimum_detectable_effect`.

    Args:
        difference: true mean difference, of either sign.
        sd: standard deviation of the per-text differences, in the same unit.
        power: chance of seeing it, above alpha and below 1.
        alpha: level of the test.

    Returns:
        A number of texts ≥ 2, or None for a difference of 0, which no number shows.

    Raises:
        ValueError: difference or sd not finite, or sd negative; alpha or power out of range.
    """
    if not math.isfinite(difference) or not math.isfinite(sd) or sd < 0:
        raise ValueError(f"expected finite numbers and sd ≥ 0, found {difference} and {sd}")
    factor = _standard_errors_apart(power, alpha)
    if difference == 0:
        return None
    texts = (factor * sd / difference) ** 2
    # so that the minimum detectable effect of n texts takes n, not n + 1 by rounding
    return max(2, math.ceil(texts * (1 - 1e-12)))


def unseen_share(n: int, confidence: float = 0.95) -> float:
    """Upper bound of the share of texts that differ, when none of ``n`` did; 0..1.

    The exact one-sided binomial bound, about 3/n at 95 % (Hanley and Lippman-Hand, If Nothing
    Goes Wrong, Is Everything All Right? (1983)).

    Raises:
        ValueError: n below 1; confidence not between 0 and 1.
    """
    if n < 1 or not 0 < confidence < 1:
        raise ValueError(f"expected n ≥ 1 and 0 < confidence < 1, found {n} and {confidence}")
    return 1 - math.pow(1 - confidence, 1 / n)


def _standard_errors_apart(power: float, alpha: float) -> float:
    if not 0 < alpha < power < 1:
        raise ValueError(f"expected 0 < alpha < power < 1, found alpha {alpha}, power {power}")
    return float(ndtri(1 - alpha / 2) + ndtri(power))
