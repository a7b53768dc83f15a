"""Texts that belong together: one customer's, one thread's, one situation's.

What is alike is not independent: the unit that an interval or a test counts is then the group, not
the text. Everything in this package takes the labels as ``groups``, one for each text, and turns
scores of texts into scores of groups here.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lora_vs_api.stats.bootstrap import ROUNDING, finite_array


@dataclass(frozen=True)
class Labels:
    """The group of each text, and what the groups are: customers, threads.

    Intervals and tests take it as they take plain labels; their methods then name ``by``.
    """

    by: str
    of_text: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.of_text)

    def __iter__(self) -> Iterator[str]:
        return iter(self.of_text)

    @property
    def number(self) -> int:
        """How many groups there are."""
        return len(set(self.of_text))

    def take(self, texts: Sequence[int]) -> Labels:
        """The labels of some of the texts, by their places."""
        return Labels(self.by, tuple(self.of_text[place] for place in texts))


Groups = Sequence[Hashable] | NDArray[np.generic] | Labels | None


def counted_as(groups: Groups) -> str:
    """What an interval is over, in words."""
    if isinstance(groups, Labels):
        return f"texts clustered by {groups.by}"
    return "texts" if groups is None else "groups of texts"


def members(groups: Groups, n_texts: int) -> NDArray[np.intp]:
    """The number of each text's group, from 0 in the order in which they are met; shape (n_texts,).

    Without ``groups`` every text is one of its own.

    Raises:
        ValueError: not one label for each text.
    """
    if groups is None:
        return np.arange(n_texts)
    if len(groups) != n_texts:
        raise ValueError(
            f"groups: expected one label for each of {n_texts} texts, found {len(groups)}"
        )
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in groups], dtype=np.intp)


def totals(scores: NDArray[np.float64], member: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sum of the scores of each group's texts; (..., n_texts) becomes (..., n_groups)."""
    number = int(member.max()) + 1
    rows = scores.reshape(-1, scores.shape[-1])
    summed = np.array([np.bincount(member, row, number) for row in rows], dtype=np.float64)
    return summed.reshape(*scores.shape[:-1], number)


def sizes(member: NDArray[np.intp]) -> NDArray[np.float64]:
    """Number of texts of each group."""
    return np.bincount(member).astype(np.float64)


def group_scores(scores: NDArray[np.float64], groups: Groups) -> NDArray[np.float64]:
    """One value for each group, whose plain mean is the mean of the texts; (k, n) becomes (k, g).

    A value is the mean plus how much the group pulls it: (total − mean · size) · g / n. Its
    variance over groups, divided by g, is the cluster-robust variance of the mean (Cameron and
    Miller, A Practitioner's Guide to Cluster-Robust Inference (2015), with weight on the mean
    alone). Groups of one text are their texts' scores.
    """
    if groups is None:
        return scores
    member = members(groups, scores.shape[-1])
    counted, mean = sizes(member), scores.mean(axis=-1, keepdims=True)
    pulls = totals(scores, member) - mean * counted
    pulled: NDArray[np.float64] = mean + pulls * (counted.size / scores.shape[-1])
    return pulled


def intraclass_correlation(scores: ArrayLike, groups: Groups) -> float | None:
    """How alike the texts of one group score: 0 as strangers, 1 the same.

    The analysis-of-variance estimate for groups of unequal size (Donner, A Review of Inference
    Procedures for the Intraclass Correlation Coefficient in the One-Way Random Effects Model
    (1986)); a negative one counts as 0.

    Args:
        scores: shape (n_texts,), of several seeds the means over them.
        groups: label of each text.

    Returns:
        None where it cannot be told: a single group, no group of two, or nothing varies.

    Raises:
        ValueError: scores empty, not finite or not one-dimensional; not one label for each text.
    """
    values = finite_array(scores, "scores", 1)
    member = members(groups, values.size)
    counted = sizes(member)
    if counted.size < 2 or counted.size == values.size:
        return None
    means = totals(values, member) / counted
    between = float(np.sum(counted * (means - values.mean()) ** 2)) / (counted.size - 1)
    within = float(np.sum((values - means[member]) ** 2)) / (values.size - counted.size)
    typical = (values.size - float(np.sum(counted**2)) / values.size) / (counted.size - 1)
    spread = float(between + (typical - 1) * within)
    if spread <= ROUNDING**2:
        return None
    return max(0.0, float(between - within)) / spread


def design_effect(scores: ArrayLike, groups: Groups) -> float | None:
    """How many times as large the variance of the mean is as that of independent texts.

    Its square root is how many times as wide an interval is. None where nothing varies or there
    is a single group. Arguments and errors as :func:`intraclass_correlation`.
    """
    values = finite_array(scores, "scores", 1)
    pulled = group_scores(values[None], groups)[0]
    if pulled.size < 2 or float(values.var()) <= ROUNDING**2:
        return None
    clustered: float = float(pulled.var(ddof=1)) / pulled.size
    return clustered / (float(values.var(ddof=1)) / values.size)
