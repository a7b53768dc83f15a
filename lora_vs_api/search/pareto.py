"""Which rows are worth looking at when several measures count and none is the price of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def dominators(values: ArrayLike) -> list[list[int]]:
    """Of each row, the rows of the Pareto front that dominate it; none for a row of the front.

    A row dominates another that it is at least as good as in every column and better than in one
    (Kung, Luccio and Preparata, On Finding the Maxima of a Set of Vectors (1975)). Equal rows
    dominate neither each other nor, the one without the other, anybody else.

    Args:
        values: shape (n_rows, n_measures), more is better in each.

    Raises:
        ValueError: not of that shape, or not finite.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ValueError("values: expected rows of finite numbers, one for each measure")
    left, right = table[:, None], table[None]
    # [i, j]: i dominates j
    dominates = np.all(left >= right, axis=2) & np.any(left > right, axis=2)
    front = np.flatnonzero(~dominates.any(axis=0)).tolist()
    return [[i for i in front if dominates[i, j]] for j in range(len(table))]
