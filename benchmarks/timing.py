"""Ratios of two ways to do one thing, measured side by side.

A machine's speed drifts by more than many improvements are worth. So the two ways take turns, in
one process, after a warm-up of each, and what is reported is the ratio of each round: drift hits
both sides of it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tqdm import tqdm


@dataclass(frozen=True)
class Row:
    """One measurement, alone or beside a reference: rates (higher is better) or seconds.

    ``ratio`` is the median over the rounds of how many times as fast ours is, ``ratios`` all of
    them, whether in rates or in seconds; None where there is nothing to compare with. ``goal`` is
    the ratio aimed at, ``notes`` what the reader has to know to trust the row, such as that both
    sides gave equal results.
    """

    benchmark: str
    what: str
    unit: str
    ours: float
    reference: float | None = None
    against: str = ""
    ratios: tuple[float, ...] = ()
    goal: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.ratios else None

    def as_json(self) -> dict[str, Any]:
        values = asdict(self)
        values["ratios"] = [round(ratio, 3) for ratio in self.ratios]
        return values | {
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "ours": float(f"{self.ours:.4g}"),
            "reference": None if self.reference is None else float(f"{self.reference:.4g}"),
        }


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def side_by_side(
    ours: Callable[[], Any],
    reference: Callable[[], Any],
    rounds: int,
    description: str,
    warm_up: bool = True,
) -> tuple[list[float], list[float]]:
    """Seconds of both, taking turns; the order alternates from round to round."""
    mine: list[float] = []
    theirs: list[float] = []
    if warm_up:
        ours()
        reference()
    for index in tqdm(range(rounds), desc=description, unit="round"):
        first, second = (ours, reference) if index % 2 == 0 else (reference, ours)
        a, b = seconds(first), seconds(second)
        mine.append(a if index % 2 == 0 else b)
        theirs.append(b if index % 2 == 0 else a)
    return mine, theirs


def compared(
    benchmark: str,
    what: str,
    unit: str,
    amount: float,
    times: tuple[list[float], list[float]],
    against: str,
    goal: float | None = None,
    **notes: Any,
) -> Row:
    """A row from the seconds that each side took for ``amount`` units of work."""
    ours, reference = times
    return Row(
        benchmark,
        what,
        unit,
        amount / statistics.median(ours),
        amount / statistics.median(reference),
        against,
        tuple(theirs / mine for mine, theirs in zip(ours, reference)),
        goal,
        notes,
    )
