"""How many labels it takes: from the answers of trainings on fewer texts to a curve and what it reaches.

The idea to ask from how many labels on a tuned model is as good as a general one is that of Pecher,
Srba and Bielikova, Comparing Specialised Small and General Large Language Models on Text
Classification: 100 Labelled Samples to Achieve Break-Even Performance (2024; EMNLP 2025). Here it has an
interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lora_vs_api.analysis.condition import rounded_interval
from lora_vs_api.analysis.decision import above
from lora_vs_api.analysis.results import (
    CurveDifference,
    CurvePoint,
    CurveRival,
    LabelBreakEven,
    LabelGain,
    LearningCurve,
    Outcome,
    Resampling,
)
from lora_vs_api.analysis.scored_run import Floats, ScoredRun, read_answers
from lora_vs_api.files import read_json
from lora_vs_api.paths import curve_answers
from lora_vs_api.record.fields import Field
from lora_vs_api.stats import bootstrap
from lora_vs_api.stats.bootstrap import Draws
from lora_vs_api.stats.clusters import Labels, counted_as, members
from lora_vs_api.stats.label_curve import (
    METHOD,
    Ends,
    Reached,
    difference_band,
    reached,
    rise,
    score_band,
)
from lora_vs_api.stats.paired import DIFFERENCES

MORE = 100  # labels
NOTE = "training.json"  # beside the answers


@dataclass(frozen=True)
class Trained:
    """Trainings on so many texts, scored on the n test texts.

    ``labels`` counts the texts that one of them sees, ``field_f1`` and ``exact_match`` are
    (n_seeds, n).
    """

    labels: int
    seeds: tuple[int, ...]
    steps: int
    field_f1: Floats
    exact_match: Floats


@dataclass(frozen=True)
class FinalTraining:
    """Of ``given`` texts a final training sees ``seen``, in so many optimiser steps."""

    given: int
    seen: int
    steps: int


@dataclass(frozen=True)
class CurveSettings:
    """What is printed of the configuration; ``given`` counts the training texts."""

    given: int
    scale: Literal["proportional", "same"]
    least: int


@dataclass(frozen=True)
class Rival:
    """A condition without training: field F1 of each text (n,), and the labels that it uses itself."""

    name: str
    field_f1: Floats
    labels: int


def trained_of(labels: int, seeds: Sequence[int], steps: int, runs: Sequence[ScoredRun]) -> Trained:
    return Trained(
        labels,
        tuple(seeds),
        steps,
        np.array([run.field_f1 for run in runs]),
        np.array([run.exact_match for run in runs], dtype=np.float64),
    )


def read_trained(
    size: int, seeds: Sequence[int], rows: Sequence[dict[str, Any]], fields: tuple[Field, ...]
) -> Trained:
    """The trainings on ``size`` texts, as their nodes left them.

    Raises:
        UserError: the answers are not those of exactly these texts.
    """
    folders = [Path(curve_answers(size, seed)) for seed in seeds]
    note = read_json(folders[0] / NOTE)
    runs = [read_answers(folder, rows, fields) for folder in folders]
    return trained_of(note["seen"], seeds, note["steps"], runs)


def read_final(size: int, seed: int) -> FinalTraining:
    """What the node of a smaller training notes of the final ones."""
    note = read_json(Path(curve_answers(size, seed), NOTE))
    return FinalTraining(note["given"], note["final_seen"], note["final_steps"])


def learning_curve(
    smaller: Sequence[Trained],
    final: Trained,
    rivals: Sequence[Rival],
    settings: CurveSettings,
    draws: Draws,
    groups: Labels | None = None,
) -> LearningCurve | None:
    """The curve, from how many labels on it is as good as each rival, and what more labels bring.

    Args:
        smaller: trainings that see fewer texts than a final one, in any order.
        final: the final trainings.
        rivals: what they are compared with.
        settings: what is printed.
        draws: resamples and their seed, and the confidence of all intervals.
        groups: label of each text; texts of one group count as one.

    Returns:
        None where there is no smaller training.

    Raises:
        ValueError: two points see as many texts, or a smaller one no fewer than the last.
    """
    if not smaller:
        return None
    curve = [*sorted(smaller, key=lambda item: item.labels), final]
    if any(after.labels <= before.labels for before, after in pairwise(curve)):
        raise ValueError(f"labels: expected numbers that grow, found {[t.labels for t in curve]}")
    several = [item for item in curve if len(item.seeds) > 1]
    return LearningCurve(
        texts=final.field_f1.shape[1],
        clusters=int(members(groups, final.field_f1.shape[1]).max()) + 1,
        given=settings.given,
        scale=settings.scale,
        least=settings.least,
        statistics=Resampling(**draws._asdict()),
        pooled=bool(several) and any(len(item.seeds) == 1 for item in smaller),
        single=not several,
        points=_points(curve, draws, groups),
        rivals=tuple(_rival(row, curve, draws, groups) for row in rivals),
        gains=_gains(curve, draws.confidence, groups),
    )


def _points(
    curve: Sequence[Trained], draws: Draws, groups: Labels | None
) -> tuple[CurvePoint, ...]:
    f1 = score_band([item.field_f1 for item in curve], draws, groups=groups)
    exact = score_band([item.exact_match for item in curve], draws, groups=groups)
    return tuple(
        CurvePoint(
            labels=item.labels,
            seeds=item.seeds,
            steps=item.steps,
            final=item is curve[-1],
            field_f1=rounded_interval(f1[place]),
            exact_match=rounded_interval(exact[place]),
        )
        for place, item in enumerate(curve)
    )


def _rival(
    row: Rival,
    curve: Sequence[Trained],
    draws: Draws,
    groups: Labels | None,
) -> CurveRival:
    labels = [item.labels for item in curve]
    band = difference_band(
        [item.field_f1 for item in curve], row.field_f1, draws.confidence, groups=groups
    )
    found = reached(labels, band, [len(item.seeds) for item in curve])
    return CurveRival(
        name=row.name,
        labels=row.labels,
        differences=tuple(_difference(point) for point in band),
        break_even=LabelBreakEven(
            estimate=_labels(found.estimate),
            low=_labels(found.low),
            high=_labels(found.high),
            method=METHOD.format(units=counted_as(groups)),
        ),
        shown=shown(found),
    )


def shown(found: Reached) -> Outcome:
    """What becomes of "from some number of labels on it is at least as good"."""
    if found.high is not None:
        return "holds"
    return "fails" if found.low is None else "undecided"


def _labels(number: float | None) -> float | None:
    return None if number is None else round(number, 1)


def _difference(
    found: bootstrap.Interval | Ends, scale: float = 1.0, room: tuple[float, float] = DIFFERENCES
) -> CurveDifference:
    """``scale`` times what was found, within what there is ``room`` for."""
    low, high = room

    def scaled(difference: float) -> float:
        return round(max(low, min(high, difference * scale)), 6)

    return CurveDifference(
        estimate=scaled(found.estimate), low=scaled(found.low), high=scaled(found.high)
    )


def _room(scores: Floats) -> tuple[float, float]:
    """How far the mean of ``scores`` can fall and rise."""
    mean = float(scores.mean())
    return min(0.0, -mean), max(0.0, 1 - mean)


def _gains(
    curve: Sequence[Trained], confidence: float, groups: Labels | None
) -> tuple[LabelGain, ...]:
    """Of each stretch between two points, and of the next labels after the last."""
    labels, tables = [item.labels for item in curve], [item.field_f1 for item in curve]
    exact = [item.exact_match for item in curve]
    last, found = len(curve) - 1, []
    # beyond twice the labels that there are, nothing is said
    end = labels[last] + min(MORE, labels[last])
    stretches = [(place, labels[place], labels[place + 1]) for place in range(last)]
    for place, start, stop in [*stretches, (last - 1, labels[last], end)]:
        ahead = stop > labels[last]
        # straight in log n
        scale = math.log(stop / start) / math.log(labels[place + 1] / labels[place])
        f1 = rise(tables, place, place + 1, confidence, groups=groups)
        right = rise(exact, place, place + 1, confidence, groups=groups)
        found.append(
            LabelGain(
                start=start,
                end=stop,
                ahead=ahead,
                field_f1=_difference(f1, scale, _room(tables[last]) if ahead else DIFFERENCES),
                exact_match=_difference(right, scale, _room(exact[last]) if ahead else DIFFERENCES),
                rises=above(f1.low, f1.high, 0.0),
            )
        )
    return tuple(found)
