"""How far scores fall on perturbed texts: from answers to drops with intervals.

Everything is paired by text: a text's score as it is and its score when perturbed. The unit that
is counted is the text, with all its perturbations and all the seeds that answered it; or the group
of texts, where there are groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

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
from lora_vs_api.stats.clusters import Groups
from lora_vs_api.stats.comparisons import holm
from lora_vs_api.stats.paired import PairedDifference, difference_interval, paired_difference
from lora_vs_api.stats.rounding import rounded


@dataclass(frozen=True)
class CleanAndPerturbed:
    """One condition's answers to the same n texts: as they are, and under each of p perturbations.

    ``clean`` has a run for each seed (one for an API condition), over at least these n texts;
    ``perturbed`` the same runs over p·n texts, all of the first perturbation first.
    """

    name: str
    label: str
    kind: Kind
    clean: Sequence[ScoredRun]
    perturbed: Sequence[ScoredRun]


class RobustnessRow(TypedDict):
    """A row of plots/robustness.csv."""

    condition: str
    perturbation: str
    field_f1: float
    drop: float
    low: float
    high: float


@dataclass(frozen=True)
class _Scores:
    """Field F1, means over seeds: ``clean`` (n,), ``perturbed`` (p, n)."""

    clean: Floats
    perturbed: Floats


def robustness(
    answers: Sequence[CleanAndPerturbed],
    changed: Mapping[str, int],
    texts: int,
    draws: Draws,
    groups: Groups = None,
) -> Robustness:
    """Drops of every condition, and how much of its lead over each other one the first keeps.

    p-values are adjusted (Holm) over all perturbations of all conditions.

    Args:
        answers: the fine-tune's first.
        changed: perturbation → how many of the texts it changed at all.
        texts: n.
        draws: of the intervals.
        groups: label of each text; texts of one group are counted together.
    """
    names = list(changed)
    scores = {item.name: _scores(item, texts, len(names)) for item in answers}
    drops = {
        (item.name, name): paired_difference(
            scores[item.name].clean, scores[item.name].perturbed[index], draws, groups=groups
        )
        for item in answers
        for index, name in enumerate(names)
    }
    adjusted = holm({key: drop.p_value for key, drop in drops.items()})
    conditions = tuple(
        _condition(
            item,
            scores[item.name],
            tuple(
                _perturbation(
                    name,
                    scores[item.name].perturbed[index],
                    [run.valid_json[index * texts : (index + 1) * texts] for run in item.perturbed],
                    drops[item.name, name],
                    adjusted[item.name, name],
                )
                for index, name in enumerate(names)
            ),
            texts,
            draws,
            groups,
        )
        for item in answers
    )
    first = answers[0]
    return Robustness(
        texts=texts,
        clusters=texts if groups is None else len(set(groups)),
        changed=dict(changed),
        statistics=Resampling(**draws._asdict()),
        conditions=conditions,
        leads=tuple(
            _lead(other, scores[first.name], scores[other.name], draws, groups)
            for other in answers[1:]
        ),
    )


def robustness_table(found: Robustness) -> list[RobustnessRow]:
    """Rows of plots/robustness.csv: one for each perturbation of each condition."""
    return [
        {
            "condition": condition.name,
            "perturbation": row.perturbation,
            "field_f1": row.field_f1,
            "drop": row.drop.estimate,
            "low": row.drop.low,
            "high": row.drop.high,
        }
        for condition in found.conditions
        for row in condition.by_perturbation
    ]


def _scores(item: CleanAndPerturbed, texts: int, perturbations: int) -> _Scores:
    clean: Floats = np.mean([run.field_f1[:texts] for run in item.clean], axis=0)
    perturbed: Floats = np.mean([run.field_f1 for run in item.perturbed], axis=0)
    return _Scores(clean, perturbed.reshape(perturbations, texts))


def _perturbation(
    name: str,
    field_f1: Floats,
    valid_json: Sequence[np.ndarray],
    drop: PairedDifference,
    p_holm: float,
) -> PerturbationDrop:
    return PerturbationDrop(
        perturbation=name,
        field_f1=round(float(field_f1.mean()), 6),
        valid_json=round(float(np.mean(valid_json)), 6),
        drop=_drop(drop.interval),
        p_value=rounded(drop.p_value),
        p_holm=rounded(p_holm),
    )


def _condition(
    item: CleanAndPerturbed,
    scores: _Scores,
    by_perturbation: tuple[PerturbationDrop, ...],
    texts: int,
    draws: Draws,
    groups: Groups,
) -> RobustnessCondition:
    valid_json_clean = np.mean([run.valid_json[:texts] for run in item.clean])
    return RobustnessCondition(
        name=item.name,
        label=item.label,
        kind=item.kind,
        field_f1_clean=round(float(scores.clean.mean()), 6),
        field_f1_perturbed=round(float(scores.perturbed.mean()), 6),
        valid_json_clean=round(float(valid_json_clean), 6),
        valid_json_perturbed=round(float(np.mean([r.valid_json for r in item.perturbed])), 6),
        drop=_drop(
            difference_interval(
                scores.clean - scores.perturbed.mean(axis=0), draws.confidence, groups=groups
            )
        ),
        by_perturbation=by_perturbation,
    )


def _lead(
    other: CleanAndPerturbed, lora: _Scores, theirs: _Scores, draws: Draws, groups: Groups
) -> Lead:
    clean = lora.clean - theirs.clean
    perturbed: Floats = (lora.perturbed - theirs.perturbed).mean(axis=0)
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
