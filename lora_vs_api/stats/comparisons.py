"""Several baselines at once, and which of two gets more texts right."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike

# scipy.stats would take most of a second to import for this line
from scipy.special import bdtr

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
