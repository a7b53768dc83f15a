"""A ratio of two sums, as the mean of one value for each text.

F1 over all texts is such a ratio: what is right over what is filled. It has no score of a single text,
and intervals are made from those. Its linearised values are: to first order, the ratio varies as
their mean does (Cochran, Sampling Techniques (1977), chapter 6).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Linearised(NamedTuple):
    """``values`` (n_texts,), whose mean is the ratio; no text's value could lie outside the bounds."""

    values: Floats
    low: float
    high: float


def linearised(numerators: Floats, denominators: Floats) -> Linearised:
    """Values R + (N − R·D) / mean(D) of the ratio R = ΣN / ΣD.

    Where every D is 1 the ratio is a mean and the values are the numerators themselves. One text may
    lie far outside 0..1 where D is mostly 0: it then moves the ratio by as much.

    Args:
        numerators: shape (n_texts,), each in 0..D.
        denominators: shape (n_texts,), in 0..1.

    Raises:
        ValueError: all denominators are 0, so that there is no ratio.
    """
    mean = float(denominators.mean())
    if mean <= 0:
        raise ValueError("denominators: expected one above 0")
    if (denominators == 1).all():
        return Linearised(numerators, 0.0, 1.0)
    ratio = float(numerators.sum() / denominators.sum())
    values: Floats = ratio + (numerators - ratio * denominators) / mean
    return Linearised(values, ratio - ratio / mean, ratio + (1 - ratio) / mean)
