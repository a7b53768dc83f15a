"""What the cascade's node finds, as types: metrics/cascade.json and metrics/cascade_rule.json.

Scores, shares and confidences are in 0..1, money is in US dollars for 1,000 texts, times are in seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lora_vs_api.analysis.results import (
    FieldDifference,
    Interval,
    Outcome,
    Resampling,
    Result,
    read_result,
)

Rule = Literal["best", "budget", "floor"]
# the name of whoever is no condition
PERSON = "person"
# thresholds that escalate no text and every text
NONE, ALL = -1.0, 1.0
# the method of an interval that is a point: nothing was estimated
CERTAIN = "certain"


class Curve(Result):
    """A non-decreasing curve through points: raw confidence → calibrated confidence."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class ReliabilityBin(Result):
    """Answers whose calibrated confidence lies from ``low`` to ``high``; ``sure`` and ``score`` are their
    means, None where there are none."""

    low: float
    high: float
    answers: int
    sure: float | None
    score: float | None


class Calibration(Result):
    """A confidence's curve, fitted on validation answers, and its error on the test answers.

    ``raw_error`` is that of the confidence before; ``bins`` are of the calibrated one.
    """

    curve: Curve
    error: Interval
    raw_error: Interval
    bins: tuple[ReliabilityBin, ...]


class OnVal(Result):
    """What a threshold does to the validation texts, on which it was chosen."""

    field_f1: float
    share: float
    usd_per_1k: float


class Spread(Result):
    """Seconds of a text, over texts and seeds; those of a text escalated are both one's.

    ``mean`` is of the texts that were timed; ``p95`` is None unless all were, under every seed.
    """

    mean: float
    p95: float | None


class Point(Result):
    """One threshold, chosen on the validation texts by ``rule`` and judged on the test texts.

    What has a confidence of ``threshold`` or less is escalated: none at -1, all at 1. ``sure`` is that
    threshold calibrated, None where none or all are. ``gain_over_local`` and ``gain_over_target`` are
    the cascade's field F1 minus that of either alone, paired by text. ``beats_both`` holds where both
    intervals lie above 0: the cascade is then better than the better of the two, whichever that is.
    What escalates none is the fine-tune, what escalates all is the other: that gain is 0 and the share
    0 or 1, without an interval.
    ``keeps_limit``: of ``budget`` that the test texts stay within it, of ``floor`` that their F1 does not
    lie below it; None for ``best``.
    """

    rule: Rule
    target: str
    label: str
    threshold: float
    sure: float | None
    val: OnVal
    share: Interval
    field_f1: Interval
    exact_match: Interval
    usd_per_1k: Interval
    seconds: Spread | None
    gain_over_local: FieldDifference
    gain_over_target: FieldDifference
    beats_both: Outcome
    keeps_limit: Outcome | None = None


class FrontierPoint(Result):
    """One share escalated, on the test texts; ``seconds`` is a mean, None where nothing was timed."""

    share: float
    field_f1: float
    exact_match: float
    usd_per_1k: float
    seconds: float | None
    # no other point of any cascade costs no more and scores more
    on_envelope: bool


class Frontier(Result):
    """The cascade to one condition or person at every share, drawn on test: nothing is chosen from it."""

    target: str
    label: str
    points: tuple[FrontierPoint, ...]


class PersonCost(Result):
    minutes: float
    usd_per_hour: float


class Unreachable(Result):
    """A rule whose limit no threshold keeps on the validation texts, with ``label`` as the other."""

    rule: Rule
    label: str


class Cascade(Result):
    """metrics/cascade.json; null where there is no cascade.

    ``clusters`` counts the test texts, or groups of them. ``points`` has those that a rule found a
    threshold for, ``unreachable`` those that it found none for. ``chosen``
    is the place in ``points`` of the one that the configuration asks for; None where there is none.
    """

    seeds: tuple[int, ...]
    val_texts: int
    test_texts: int
    clusters: int
    statistics: Resampling
    rule: Rule
    max_share: float | None
    max_usd_per_1000: float | None
    min_f1: float | None
    person: PersonCost | None
    calibration: Calibration
    by_field: dict[str, Calibration]
    points: tuple[Point, ...]
    unreachable: tuple[Unreachable, ...]
    chosen: int | None
    frontier: tuple[Frontier, ...]

    @property
    def chosen_point(self) -> Point | None:
        return None if self.chosen is None else self.points[self.chosen]


class CascadeRule(Result):
    """metrics/cascade_rule.json: all that `predict --escalate` needs; null without a rule.

    An answer with a raw confidence of ``threshold`` or less goes to ``target``, a condition or a person.
    """

    target: str
    threshold: float
    text: Curve
    fields: dict[str, Curve]


def ranked_cascade(found: Cascade) -> Cascade:
    """The same with targets as conditions are ordered: the highest field F1 alone first, a person last."""
    alone = {row.target: (row.target == PERSON, -row.points[-1].field_f1) for row in found.frontier}
    places = sorted(range(len(found.points)), key=lambda i: alone[found.points[i].target])
    return found.model_copy(
        update={
            "points": tuple(found.points[i] for i in places),
            "chosen": None if found.chosen is None else places.index(found.chosen),
            "frontier": tuple(sorted(found.frontier, key=lambda row: alone[row.target])),
        }
    )


def read_cascade(path: str | Path = "metrics/cascade.json") -> Cascade | None:
    """None where there is no cascade. Errors as :func:`lora_vs_api.analysis.results.read_result`."""
    found: Cascade | None = read_result(path, Cascade | None)  # type: ignore[arg-type]
    return found


def read_rule(path: str | Path = "metrics/cascade_rule.json") -> CascadeRule | None:
    """None where there is no rule. Errors as :func:`lora_vs_api.analysis.results.read_result`."""
    found: CascadeRule | None = read_result(path, CascadeRule | None)  # type: ignore[arg-type]
    return found
