"""How far scores fall on perturbed texts: from answers to drops with intervals.

Everything is paired by text: a text's score as it is and its score when perturbed. The unit that
is counted is the text, with what was applied to it and all the seeds that answered it; or the group
of texts, where there are groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np

from lora_vs_api.analysis.results import (
    Drop,
    Kind,
    Lead,
    PerturbationDrop,
    Resampling,
    Robustness,
    RobustnessCondition,
)
from lora_vs_api.analysis.scored_run import Floats, ScoredRun
from lora_vs_api.stats.bootstrap import Draws, Interval
from lora_vs_api.stats.clusters import Labels
from lora_vs_api.stats.comparisons import holm
from lora_vs_api.stats.paired import PairedDifference, difference_interval, paired_difference
from lora_vs_api.stats.rounding import rounded


@dataclass(frozen=True)
class CleanAndPerturbed:
    """One condition's answers to the same n texts: as they are, and under each perturbation.

    ``clean`` has a run for each seed (one for an API condition), over at least these n texts;
    ``perturbed`` the same runs over the perturbed texts, all of the first perturbation first.
    """

    name: str
    label: str
    kind: Kind
    clean: Sequence[ScoredRun]
    perturbed: Sequence[ScoredRun]


class RobustnessRow(TypedDict):
    """A row of plots/robustness.csv; ``slot`` says how the condition is drawn."""

    condition: str
    perturbation: str
    texts: int
    field_f1: float
    drop: float
    low: float
    high: float
    slot: int


@dataclass(frozen=True)
class _Scores:
    """Means over seeds of n texts, of which m took any perturbation.

    ``clean`` is (n,); ``perturbed`` has perturbation → the scores of the texts that it was applied
    to. ``before`` and ``after`` are (m,): those texts as they are, and their means over what was
    applied to each.
    """

    clean: Floats
    perturbed: Mapping[str, Floats]
    before: Floats
    after: Floats


def robustness(
    answers: Sequence[CleanAndPerturbed],
    applied: Mapping[str, Sequence[int]],
    texts: int,
    draws: Draws,
    groups: Labels | None = None,
) -> Robustness:
    """Drops of every condition, and how much of its lead over each other one the first keeps.

    A perturbation is judged on the texts that it was applied to, against the same texts as they
    are; all together on the texts that took any, each by the mean of what it took. One that was
    applied to none has no drop, and where none was applied to any, there is no condition.
    p-values are adjusted (Holm) over all perturbations of all conditions.

    Args:
        answers: the fine-tune's first.
        applied: perturbation → the places among the n of the texts that it was applied to, in the
            order of the perturbed answers.
        texts: n.
        draws: of the tests, and the confidence of the intervals.
        groups: label of each of the n texts; texts of one group are counted together.
    """
    taken = sorted(set().union(*applied.values()))
    met = {name: list(places) for name, places in applied.items() if places}
    if not taken:
        answers = ()
    scores = {item.name: _scores(item, "field_f1", met, taken) for item in answers}
    valid = {item.name: _scores(item, "valid_json", met, taken) for item in answers}
    drops = {
        (item.name, name): paired_difference(
            scores[item.name].clean[places],
            scores[item.name].perturbed[name],
            draws,
            groups=_of(groups, places),
        )
        for item in answers
        for name, places in met.items()
    }
    adjusted = holm({key: drop.p_value for key, drop in drops.items()})
    return Robustness(
        texts=texts,
        taken=len(taken),
        applied={name: len(places) for name, places in applied.items()},
        fewest=min((_units(groups, places) for places in met.values()), default=0),
        statistics=Resampling(**draws._asdict()),
        conditions=tuple(
            _condition(
                item,
                scores[item.name],
                valid[item.name],
                tuple(
                    _perturbation(
                        name,
                        scores[item.name].clean[places],
                        scores[item.name].perturbed[name],
                        valid[item.name].perturbed[name],
                        drops[item.name, name],
                        adjusted[item.name, name],
                    )
                    for name, places in met.items()
                ),
                draws,
                _of(groups, taken),
            )
            for item in answers
        ),
        leads=tuple(
            _lead(other, scores[answers[0].name], scores[other.name], draws, _of(groups, taken))
            for other in answers[1:]
        ),
    )


def _of(groups: Labels | None, places: Sequence[int]) -> Labels | None:
    return None if groups is None else groups.take(places)


def _units(groups: Labels | None, places: Sequence[int]) -> int:
    """How many of the texts at ``places`` are independent."""
    return len(places) if groups is None else groups.take(places).number


def robustness_table(found: Robustness, slots: Mapping[str, int]) -> list[RobustnessRow]:
    """Rows of plots/robustness.csv: one for each perturbation of each condition.

    ``slots``: :func:`lora_vs_api.analysis.slots.condition_slots` of all conditions of the run.
    """
    return [
        {
            "condition": condition.name,
            "perturbation": row.perturbation,
            "texts": found.applied[row.perturbation],
            "field_f1": row.field_f1,
            "drop": row.drop.estimate,
            "low": row.drop.low,
            "high": row.drop.high,
            "slot": slots[condition.name],
        }
        for condition in found.conditions
        for row in condition.by_perturbation
    ]


def _scores(
    item: CleanAndPerturbed,
    measure: Literal["field_f1", "valid_json"],
    applied: Mapping[str, Sequence[int]],
    taken: Sequence[int],
) -> _Scores:
    clean: Floats = np.mean([getattr(run, measure) for run in item.clean], axis=0, dtype=float)
    rows: Floats = np.mean([getattr(run, measure) for run in item.perturbed], axis=0, dtype=float)
    ends = np.cumsum([len(places) for places in applied.values()])
    perturbed = dict(zip(applied, np.split(rows, ends[:-1]), strict=True))
    # of each text: the sum over what was applied to it, and how much that was
    total, times = np.zeros_like(clean), np.zeros_like(clean)
    for name, places in applied.items():
        total[list(places)] += perturbed[name]
        times[list(places)] += 1
    at = list(taken)
    return _Scores(clean, perturbed, clean[at], total[at] / times[at])


def _perturbation(
    name: str,
    field_f1_clean: Floats,
    field_f1: Floats,
    valid_json: Floats,
    drop: PairedDifference,
    p_holm: float,
) -> PerturbationDrop:
    return PerturbationDrop(
        perturbation=name,
        field_f1_clean=round(float(field_f1_clean.mean()), 6),
        field_f1=round(float(field_f1.mean()), 6),
        valid_json=round(float(valid_json.mean()), 6),
        drop=_drop(drop.interval),
        p_value=rounded(drop.p_value),
        p_holm=rounded(p_holm),
    )


def _condition(
    item: CleanAndPerturbed,
    scores: _Scores,
    valid: _Scores,
    by_perturbation: tuple[PerturbationDrop, ...],
    draws: Draws,
    groups: Labels | None,
) -> RobustnessCondition:
    return RobustnessCondition(
        name=item.name,
        label=item.label,
        kind=item.kind,
        field_f1_clean=round(float(scores.before.mean()), 6),
        field_f1_perturbed=round(float(scores.after.mean()), 6),
        valid_json_clean=round(float(valid.before.mean()), 6),
        valid_json_perturbed=round(float(valid.after.mean()), 6),
        drop=_drop(
            difference_interval(scores.before - scores.after, draws.confidence, groups=groups)
        ),
        by_perturbation=by_perturbation,
    )


def _lead(
    other: CleanAndPerturbed,
    lora: _Scores,
    theirs: _Scores,
    draws: Draws,
    groups: Labels | None,
) -> Lead:
    clean, perturbed = lora.before - theirs.before, lora.after - theirs.after
    return Lead(
        baseline=other.name,
        label=other.label,
        clean=round(float(clean.mean()), 6),
        perturbed=round(float(perturbed.mean()), 6),
        # of two differences in -1..1
        drop=_drop(
            difference_interval(
                clean - perturbed, draws.confidence, groups=groups, bounds=(-2.0, 2.0)
            )
        ),
    )


def _drop(found: Interval) -> Drop:
    return Drop(
        estimate=round(found.estimate, 6),
        low=round(found.low, 6),
        high=round(found.high, 6),
        method=found.method,
    )
