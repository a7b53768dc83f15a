"""Runs of several base models side by side: which is chosen, how far the others are, which are dominated.

The base is chosen on validation texts, by the best trial of its sweep; its test scores took no part
in that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lora_vs_api.search.base_runs import Base
from lora_vs_api.search.pareto import dominators
from lora_vs_api.stats.clusters import Groups, counted_as
from lora_vs_api.stats.label_curve import rise
from lora_vs_api.stats.variance import random_effects_interval


@dataclass(frozen=True)
class Minus:
    """Field F1 minus that of the chosen row, with the ends of its interval."""

    estimate: float
    low: float
    high: float

    @property
    def is_shown(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Measure:
    """A column that counts for the Pareto front. ``worse``: less is better."""

    name: str
    worse: bool
    values: tuple[float | None, ...]

    @property
    def counts(self) -> bool:
        """Whether all rows have it: rows compare by what is known of each."""
        return None not in self.values


@dataclass(frozen=True)
class Choice:
    """The rows side by side. ``best`` is the place of the chosen one, or of the one that differences
    are from where nothing could be chosen (``why_not``). ``dominated_by`` has of each row the places
    of the rows of the front that dominate it; ``minus`` is None for the best row. ``units``: what its
    intervals count, texts or groups of them."""

    rows: tuple[Base, ...]
    best: int
    why_not: str | None
    measures: tuple[Measure, ...]
    dominated_by: tuple[tuple[int, ...], ...]
    minus: tuple[Minus | None, ...]
    confidence: float
    units: str

    @property
    def is_front(self) -> list[bool]:
        return [not by for by in self.dominated_by]


def choose(bases: Sequence[Base], groups: Groups) -> Choice:
    """Choose on validation texts, compare on test texts.

    Of one base's engines the most precise stands for it: the validation texts were asked of the
    trained model itself, so they do not tell engines apart. Of equal ones the first.

    Args:
        bases: at least one; all compare.
        groups: label of each test text; texts of one group count as one.
    """
    known = [base for base in bases if base.val_f1 is not None]
    models = {base.analysis.model for base in bases}
    why_not = None
    if len(models) < 2:
        why_not = "there is one base"
    elif len(scored := {base.analysis.model for base in known}) < len(models):
        # a run without one may be a second engine of a base that has it
        without = next(base for base in bases if base.analysis.model not in scored)
        why_not = f"{without.name} has no validation score of a sweep"
    candidates = list(range(len(bases)))
    if why_not is None:
        top = max(base.val_f1 or 0.0 for base in known)
        candidates = [i for i in candidates if bases[i].val_f1 == top]
    best = max(candidates, key=lambda i: (bases[i].bits, -i))
    measures = measures_of(bases)
    counted = [
        (-1 if m.worse else 1) * np.array(m.values, dtype=float) for m in measures if m.counts
    ]
    nominal = bases[0].analysis.statistics.confidence
    # all of the differences hold together (Bonferroni)
    confidence = 1 - (1 - nominal) / max(1, len(bases) - 1)
    return Choice(
        rows=tuple(bases),
        best=best,
        why_not=why_not,
        measures=measures,
        dominated_by=tuple(tuple(found) for found in dominators(np.array(counted).T)),
        minus=tuple(
            None if i == best else minus(base, bases[best], confidence, groups)
            for i, base in enumerate(bases)
        ),
        confidence=nominal,
        units=counted_as(groups),
    )


def measures_of(bases: Sequence[Base]) -> tuple[Measure, ...]:
    """The columns that count, in the order of the table."""
    columns: list[tuple[str, bool, list[float | None]]] = [
        ("field F1", False, [base.lora.field_f1.estimate for base in bases]),
        ("exact match", False, [base.lora.exact_match for base in bases]),
        ("p50 (s)", True, [base.lora.latency.p50 for base in bases]),
        ("USD per 1K", True, [base.lora.cost_per_1k.usd for base in bases]),
        ("memory (GB)", True, [base.memory_gb for base in bases]),
        ("training (s)", True, [base.training_seconds for base in bases]),
    ]
    return tuple(Measure(name, worse, tuple(values)) for name, worse, values in columns)


def minus(base: Base, other: Base, confidence: float, groups: Groups) -> Minus:
    """How much higher ``base`` scores than ``other``, for new texts and, of several seeds, trainings.

    Two engines with the same trainings are paired by training too; else the trainings of one have
    nothing to do with those of the other.
    """
    if base.adapters == other.adapters and all(base.adapters):
        found: Any = random_effects_interval(base.scores - other.scores, confidence, groups=groups)
    else:
        found = rise((other.scores, base.scores), 0, 1, confidence, groups=groups)
    return Minus(found.estimate, found.low, found.high)
