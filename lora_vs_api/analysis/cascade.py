"""The fine-tune first, another for what it is unsure of: thresholds chosen on val, judged on test.

A cascade of two (Chen, Zaharia and Zou, FrugalGPT (2023)): the fine-tune answers every text, and what it
is least sure of goes to an API condition or a person, whose answer then counts. As Kotte, UCCI:
Calibrated Uncertainty for Cost-Optimal LLM Cascade Routing (2026) has it, the confidence is calibrated
by isotonic regression on texts of its own and the threshold chosen under a constraint there. What is
added here: the judgement on other texts, with intervals for new texts and another training.

Arrays are by seed and text, (n_seeds, n_texts), or by text, (n_texts,).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lora_vs_api.analysis.cascade_results import (
    ALL,
    CERTAIN,
    NONE,
    PERSON,
    Calibration,
    Cascade,
    CascadeRule,
    Curve,
    Frontier,
    FrontierPoint,
    OnVal,
    PersonCost,
    Point,
    ReliabilityBin,
    Rule,
    Spread,
    Unreachable,
)
from lora_vs_api.analysis.condition import rounded_interval
from lora_vs_api.analysis.decision import above, below
from lora_vs_api.analysis.results import FieldDifference, Outcome, Resampling
from lora_vs_api.analysis.scored_run import Bools, Floats
from lora_vs_api.errors import UserError
from lora_vs_api.stats.bootstrap import ROUNDING, Draws, Interval
from lora_vs_api.stats.calibration import Knots, bin_edges, binned, calibration_error, isotonic
from lora_vs_api.stats.clusters import Groups, members
from lora_vs_api.stats.variance import random_effects_interval, random_effects_score

if TYPE_CHECKING:
    from lora_vs_api.config import sections

SHARES = 21  # of a frontier


@dataclass(frozen=True)
class Local:
    """The fine-tune's answers to some texts: scores, whether right in every field, confidences.

    ``fields`` and ``sure_fields`` are (n_seeds, n_texts, n_fields). ``usd`` is of one text,
    (n_texts,); ``seconds`` are (n_seeds, n_texts), nan of a text that was not timed under a seed.
    """

    field_f1: Floats
    exact: Bools
    sure: Floats
    fields: Floats
    sure_fields: Floats
    usd: Floats
    seconds: Floats

    @property
    def seeds(self) -> int:
        return len(self.field_f1)


@dataclass(frozen=True)
class Other:
    """Another's answers to the same texts, each (n_texts,); ``seconds`` is None where none was timed."""

    field_f1: Floats
    exact: Bools
    usd: Floats
    seconds: Floats | None

    @classmethod
    def of_person(cls, texts: int, person: sections.Person) -> Other:
        """A person is taken to be right."""
        return cls(
            np.ones(texts),
            np.ones(texts, dtype=bool),
            np.full(texts, person.minutes / 60 * person.usd_per_hour),
            np.full(texts, person.minutes * 60),
        )


@dataclass(frozen=True)
class Target:
    """Whom texts are escalated to; ``val`` is None of a condition that was not asked about val."""

    name: str
    label: str
    val: Other | None
    test: Other


@dataclass(frozen=True)
class Judged:
    """A cascade at one threshold, by seed and text."""

    escalated: Bools
    field_f1: Floats
    exact: Floats
    usd: Floats
    seconds: Floats | None

    @property
    def on_val(self) -> OnVal:
        return OnVal(
            field_f1=round(float(self.field_f1.mean()), 6),
            share=round(float(self.escalated.mean()), 6),
            usd_per_1k=round(1000 * float(self.usd.mean()), 9),
        )


def judged_at(threshold: float, local: Local, other: Other) -> Judged:
    """What comes of it where answers of a confidence of ``threshold`` or less are escalated."""
    escalated = local.sure <= threshold
    return Judged(
        escalated=escalated,
        field_f1=np.where(escalated, other.field_f1, local.field_f1),
        exact=np.where(escalated, other.exact, local.exact).astype(np.float64),
        usd=local.usd + np.where(escalated, other.usd, 0.0),
        seconds=None
        if other.seconds is None
        else local.seconds + np.where(escalated, other.seconds, 0.0),
    )


def thresholds(sure: Floats) -> Floats:
    """All that part the confidences ``sure`` otherwise: none, between two neighbours, all."""
    values = np.unique(sure)
    return np.concatenate([[NONE], (values[:-1] + values[1:]) / 2, [ALL]])


def choose(
    rule: Rule, local: Local, other: Other, settings: sections.Cascade
) -> tuple[float, OnVal] | None:
    """The threshold that ``rule`` takes, from answers to validation texts alone.

    Of equals, that which costs less, and then escalates less.

    Returns:
        The threshold and what it does to these texts; None where none keeps the rule's limits.
    """
    found = [
        (float(threshold), judged_at(threshold, local, other).on_val)
        for threshold in thresholds(local.sure)
    ]
    if rule == "budget":
        found = [each for each in found if _within(each[1], settings)]
    if rule == "floor":
        floor = 1.0 if settings.min_f1 is None else settings.min_f1
        found = [each for each in found if each[1].field_f1 >= floor - ROUNDING]
    if not found:
        return None
    cheapest = rule == "floor"

    def order(each: tuple[float, OnVal]) -> tuple[float, float, float]:
        score, cost = -each[1].field_f1, each[1].usd_per_1k
        return (cost, score, each[1].share) if cheapest else (score, cost, each[1].share)

    return min(found, key=order)


def _within(val: OnVal, settings: sections.Cascade) -> bool:
    share, usd = settings.max_share, settings.max_usd_per_1000
    return (share is None or val.share <= share + ROUNDING) and (
        usd is None or val.usd_per_1k <= usd + ROUNDING
    )


def rules(settings: sections.Cascade) -> tuple[Rule, ...]:
    """Those that the settings have limits for."""
    found: list[Rule] = ["best"]
    if settings.max_share is not None or settings.max_usd_per_1000 is not None:
        found.append("budget")
    if settings.min_f1 is not None:
        found.append("floor")
    return tuple(found)


def cascade_of(
    val: Local,
    test: Local,
    targets: Sequence[Target],
    names: Sequence[str],
    settings: sections.Cascade,
    draws: Draws,
    groups: Groups = None,
) -> tuple[Cascade, CascadeRule | None]:
    """All that is said of a cascade, and the rule that is to be used.

    Args:
        val: the fine-tune's answers to the validation texts: they calibrate and choose.
        test: those to the test texts, on which all is judged.
        targets: whom to escalate to; rules are made of those that were asked about val.
        names: of the fields.
        draws: for the intervals.
        groups: label of each test text; texts of one group are counted together.
    """
    knots = isotonic(val.sure.ravel(), val.field_f1.ravel())
    by_field = {
        name: isotonic(val.sure_fields[..., i].ravel(), val.fields[..., i].ravel())
        for i, name in enumerate(names)
    }
    points: list[Point] = []
    unreachable: list[Unreachable] = []
    for target in targets:
        if target.val is None:
            continue
        for rule in rules(settings):
            chosen = choose(rule, val, target.val, settings)
            if chosen is None:
                unreachable.append(Unreachable(rule=rule, label=target.label))
            else:
                points.append(_point(rule, target, *chosen, test, knots, settings, draws, groups))
    place = chosen_place(points, settings.rule)
    person = settings.person
    found = Cascade(
        seeds=tuple(settings.seeds),
        val_texts=val.field_f1.shape[1],
        test_texts=test.field_f1.shape[1],
        clusters=int(members(groups, test.field_f1.shape[1]).max()) + 1,
        statistics=Resampling(**draws._asdict()),
        rule=settings.rule,
        max_share=settings.max_share,
        max_usd_per_1000=settings.max_usd_per_1000,
        min_f1=settings.min_f1,
        person=person
        and PersonCost(minutes=float(person.minutes), usd_per_hour=float(person.usd_per_hour)),
        calibration=_calibration(knots, val.sure, test.sure, test.field_f1, draws, groups),
        by_field={
            name: _calibration(
                by_field[name],
                val.sure_fields[..., i],
                test.sure_fields[..., i],
                test.fields[..., i],
                draws,
                groups,
            )
            for i, name in enumerate(names)
        },
        points=tuple(points),
        unreachable=tuple(unreachable),
        chosen=place,
        frontier=_frontiers(test, targets),
    )
    if place is None:
        return found, None
    return found, CascadeRule(
        target=points[place].target,
        threshold=points[place].threshold,
        text=_curve(knots),
        fields={name: _curve(each) for name, each in by_field.items()},
    )


def chosen_place(points: Sequence[Point], rule: Rule) -> int | None:
    """Which point the configuration asks for: of its rule, and of several conditions the best on val.

    A person, taken to be right, would always win: asked only where no condition keeps the limits.
    """
    found = [place for place, point in enumerate(points) if point.rule == rule]
    asked = [place for place in found if points[place].target != PERSON] or found

    def order(place: int) -> tuple[float, float]:
        score, cost = -points[place].val.field_f1, points[place].val.usd_per_1k
        return (cost, score) if rule == "floor" else (score, cost)

    return min(asked, key=order, default=None)


def _point(
    rule: Rule,
    target: Target,
    threshold: float,
    on_val: OnVal,
    test: Local,
    knots: Knots,
    settings: sections.Cascade,
    draws: Draws,
    groups: Groups,
) -> Point:
    made = judged_at(threshold, test, target.test)
    none, every = threshold == NONE, threshold == ALL

    def score(table: Floats, bounds: tuple[float, float] = (0.0, 1.0)) -> Interval:
        # every training answers alike where the other answers everything
        return random_effects_score(
            table[:1] if every else table, draws, groups=groups, bounds=bounds
        )

    def certain(value: float) -> Interval:
        return Interval(value, value, value, draws.confidence, CERTAIN, 0, None)

    def gain(over: Floats, most: float = 1.0) -> FieldDifference:
        found = random_effects_interval(
            made.field_f1 - over, draws.confidence, groups=groups, bounds=(-1.0, most)
        )
        return FieldDifference(
            difference=round(found.estimate, 6), low=round(found.low, 6), high=round(found.high, 6)
        )

    # from the fine-tune's answer alone to the dearest of those that were asked, escalated
    least = 1000 * float(test.usd.min())
    dearest = least if none else 1000 * float((test.usd + target.test.usd).max())
    # one rule, whatever the texts are: how many it escalates is no estimate
    share = certain(float(every)) if none or every else score(made.escalated.astype(np.float64))
    f1 = score(made.field_f1)
    usd = score(1000 * made.usd, (least, dearest)) if dearest > least else certain(least)
    nothing = FieldDifference(difference=0.0, low=0.0, high=0.0)
    over_local = nothing if none else gain(test.field_f1)
    # nothing scores above somebody who is taken to be right
    over_target = (
        nothing if every else gain(target.test.field_f1, 0.0 if target.name == PERSON else 1.0)
    )
    return Point(
        rule=rule,
        target=target.name,
        label=target.label,
        threshold=round(threshold, 9),
        sure=None if threshold in (NONE, ALL) else round(float(knots.at(threshold)), 6),
        val=on_val,
        share=rounded_interval(share),
        field_f1=rounded_interval(f1),
        exact_match=rounded_interval(score(made.exact)),
        usd_per_1k=rounded_interval(usd),
        seconds=None if made.seconds is None else _spread(made.seconds),
        gain_over_local=over_local,
        gain_over_target=over_target,
        beats_both=beats_both(over_local, over_target),
        keeps_limit=_keeps(rule, settings, share, usd, f1),
    )


def _spread(seconds: Floats) -> Spread | None:
    """Of (n_seeds, n_texts); a quantile only of texts that were all timed, under every seed.

    The mean is of those that were. None where none was.
    """
    timed = ~np.isnan(seconds)
    if not timed.any():
        return None
    return Spread(
        mean=round(float(seconds[timed].mean()), 4),
        p95=round(float(np.quantile(seconds, 0.95)), 4) if timed.all() else None,
    )


def beats_both(over_local: FieldDifference, over_target: FieldDifference) -> Outcome:
    """Whether a cascade beats the better of the two, without a look at which that is.

    It has to be better than each: an intersection-union test (Berger, Likelihood Ratio Tests and
    Intersection-Union Tests (1996)), which keeps its level without a correction.
    """
    found = [above(gain.low, gain.high, 0.0) for gain in (over_local, over_target)]
    if "fails" in found:
        return "fails"
    return "holds" if found == ["holds", "holds"] else "undecided"


def _keeps(
    rule: Rule, settings: sections.Cascade, share: Interval, usd: Interval, f1: Interval
) -> Outcome | None:
    """Whether what was chosen on val keeps its limit on test, by the whole interval."""
    if rule == "floor" and settings.min_f1 is not None:
        return above(f1.low, f1.high, settings.min_f1 - ROUNDING)
    if rule != "budget":
        return None
    found = [
        below(interval.low, interval.high, limit + ROUNDING)
        for interval, limit in ((share, settings.max_share), (usd, settings.max_usd_per_1000))
        if limit is not None
    ]
    if "fails" in found:
        return "fails"
    return "undecided" if "undecided" in found else "holds"


def _calibration(
    knots: Knots, val: Floats, raw: Floats, scores: Floats, draws: Draws, groups: Groups
) -> Calibration:
    """``val`` and ``raw``: confidences on val, which choose the bins, and on test, which are judged."""
    sure, edges = knots.at(raw), bin_edges(knots.at(val).ravel())
    bins = binned(sure.ravel(), scores.ravel(), edges)
    return Calibration(
        curve=_curve(knots),
        error=rounded_interval(calibration_error(sure, scores, edges, draws, groups=groups)),
        raw_error=rounded_interval(
            calibration_error(raw, scores, bin_edges(val.ravel()), draws, groups=groups)
        ),
        bins=tuple(
            ReliabilityBin(
                low=round(float(low), 6),
                high=round(float(high), 6),
                answers=int(number),
                sure=round(float(mean), 6) if number else None,
                score=round(float(score), 6) if number else None,
            )
            for low, high, mean, score, number in zip(
                edges, edges[1:], bins.sure, bins.score, bins.answers
            )
        ),
    )


def _curve(knots: Knots) -> Curve:
    return Curve(
        x=tuple(round(float(x), 6) for x in knots.x), y=tuple(round(float(y), 6) for y in knots.y)
    )


def _frontiers(test: Local, targets: Sequence[Target]) -> tuple[Frontier, ...]:
    """Every target's cascade by share, and which points of all cascades no other beats."""
    made = {
        target.name: [judged_at(t, test, target.test) for t in _shares(test.sure)]
        for target in targets
    }
    all_points = [
        (float(each.usd.mean()), float(each.field_f1.mean()))
        for rows in made.values()
        for each in rows
    ]

    def best(each: Judged) -> bool:
        usd, f1 = float(each.usd.mean()), float(each.field_f1.mean())
        return not any(
            cost <= usd and score >= f1 and (cost < usd or score > f1) for cost, score in all_points
        )

    return tuple(
        Frontier(
            target=target.name,
            label=target.label,
            points=tuple(
                FrontierPoint(
                    share=round(float(each.escalated.mean()), 6),
                    field_f1=round(float(each.field_f1.mean()), 6),
                    exact_match=round(float(each.exact.mean()), 6),
                    usd_per_1k=round(1000 * float(each.usd.mean()), 9),
                    seconds=_mean_seconds(each.seconds),
                    on_envelope=best(each),
                )
                for each in made[target.name]
            ),
        )
        for target in targets
    )


def _mean_seconds(seconds: Floats | None) -> float | None:
    found = None if seconds is None else _spread(seconds)
    return None if found is None else found.mean


def _shares(sure: Floats) -> Iterator[float]:
    """Thresholds that escalate about evenly spaced shares of the answers, none and all among them."""
    yield NONE
    inner = np.unique(np.quantile(sure, np.arange(1, SHARES - 1) / (SHARES - 1), method="lower"))
    yield from (float(value) for value in inner if value < sure.max())
    yield ALL


def read_confidences(
    lines: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    path: str,
) -> tuple[Floats, Floats]:
    """Confidences of a file's ``lines``: of each text, (n_texts,), and each field, (n_texts, n_fields).

    Raises:
        UserError: they are not those of exactly these rows, in this order, and of these fields.
    """
    if [line["id"] for line in lines] != [row["id"] for row in rows] or any(
        set(line["fields"]) != set(names) for line in lines
    ):
        raise UserError(
            f"{path}: not one line for each of the {len(rows)} texts and the fields of the task; "
            "run `dvc repro` to make it again"
        )
    return (
        np.array([line["text"] for line in lines], dtype=np.float64),
        np.array([[line["fields"][name] for name in names] for line in lines], dtype=np.float64),
    )
