"""Mean squares of a table of scores, shape ``(n_seeds, n_texts)``: how seeds and texts vary."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lora_vs_api.stats.bootstrap import ROUNDING


class MeanSquares(NamedTuple):
    seeds: float
    texts: float
    interaction: float


def mean_squares(table: NDArray[np.float64]) -> MeanSquares:
    """Mean squares of seeds, texts and their interaction, for at least two of each."""
    n_seeds, n_texts = table.shape
    by_seed, by_text = table.mean(axis=1), table.mean(axis=0)
    residual = table - by_seed[:, None] - by_text + table.mean()
    return MeanSquares(
        n_texts * float(by_seed.var(ddof=1)),
        n_seeds * float(by_text.var(ddof=1)),
        float(np.sum(residual**2)) / ((n_seeds - 1) * (n_texts - 1)),
    )


def agreement(table: NDArray[np.float64]) -> float:
    """Variance of a text's mean over seeds as a share of that of a single score.

    1 where seeds agree on every text, or nothing varies; 1 / n_seeds where they have nothing to do
    with each other.
    """
    if min(table.shape) < 2:
        return 1.0
    n_seeds, squares = len(table), mean_squares(table)
    single = squares.texts + (n_seeds - 1) * squares.interaction
    return max(1 / n_seeds, squares.texts / single) if single > ROUNDING**2 else 1.0
