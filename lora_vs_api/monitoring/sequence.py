"""The sequential test of quality over the runs of the command: what counts, and what it shows."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from lora_vs_api.config.sections import Monitor, Stats
from lora_vs_api.data.plain import plain
from lora_vs_api.monitoring.betting import level_of_look, shows_fall, upper_bound
from lora_vs_api.monitoring.results import Counted, Looks, QualityCheck
from lora_vs_api.stats.bayesian import text_interval
from lora_vs_api.stats.bootstrap import Draws
from lora_vs_api.stats.clusters import Groups


@dataclass(frozen=True)
class Labelled:
    """A labelled text with the field F1 of the fine-tune's answer, and its group or None."""

    text: str
    group: str | None
    score: float


def unit_means(scores: Sequence[float], groups: Sequence[str | None]) -> list[float]:
    """The mean score of each group, in the order in which groups are met; a text of None is one alone."""
    found: dict[object, list[float]] = {}
    for place, (score, group) in enumerate(zip(scores, groups, strict=True)):
        found.setdefault(place if group is None else group, []).append(score)
    return [float(np.mean(each)) for each in found.values()]


def new_sequence(
    adapter: str,
    asked: str,
    by: str | None,
    scores: Sequence[float],
    groups: Groups,
    settings: Monitor,
    stats: Stats,
) -> Looks:
    """A sequence without a text.

    What was measured is itself uncertain, and gets half of the chance of a false alarm: the threshold is the
    low end of an interval of the test texts' (or their groups') mean that lies above it no more often, and
    at most the mean minus the least difference that matters.

    Args:
        adapter: digest of the fine-tune.
        asked: digest of how it is asked and scored.
        by: what groups are, None where texts count alone.
        scores: field F1 of its answers to the test texts.
        groups: of these texts.
    """
    alarm = settings.quality_alarm / 2
    labels = list(groups) if by is not None and groups is not None else [None] * len(scores)
    units = unit_means(scores, [None if label is None else str(label) for label in labels])
    found = text_interval(units, Draws(stats.resamples, stats.seed, 1 - 2 * alarm))
    threshold = max(0.0, min(found.low, found.estimate - settings.matters.f1))
    return Looks(
        adapter_sha256=adapter,
        asked_sha256=asked,
        group_by=by,
        measured=round(found.estimate, 6),
        threshold=round(threshold, 6),
        alarm=alarm,
        looks=0,
        fell_at=None,
        texts=(),
    )


def looked_at(
    sequence: Looks, labelled: Sequence[Labelled], in_run: Collection[str]
) -> tuple[Looks, QualityCheck]:
    """The sequence with what is new of ``labelled``, and what it shows.

    A text counts once, whatever file it comes in, with the label that it had first; one of ``in_run``, the
    run's own texts as :func:`plain` has them, never. A file that brings nothing new is no look.
    """
    known, new, ours = {each.text for each in sequence.texts}, [], 0
    look = sequence.looks + 1
    for each in labelled:
        text = plain(each.text)
        if text in in_run:
            ours += 1
            continue
        digest = _digest(text)
        if digest not in known:
            known.add(digest)
            group = None if each.group is None else _digest(each.group)
            new.append(Counted(text=digest, group=group, score=round(each.score, 6), look=look))
    grouped = sequence.group_by is not None
    if new:
        sequence = sequence.model_copy(update={"texts": (*sequence.texts, *new), "looks": look})
        units = _units(sequence)
        level = level_of_look(sequence.alarm, look, grouped=grouped)
        if sequence.fell_at is None and shows_fall(
            units, sequence.threshold, level, grouped=grouped
        ):
            sequence = sequence.model_copy(update={"fell_at": look})
    return sequence, _check(
        sequence, added=len(new), ours=ours, repeated=len(labelled) - len(new) - ours
    )


def _check(sequence: Looks, *, added: int, ours: int, repeated: int) -> QualityCheck:
    units, grouped = _units(sequence), sequence.group_by is not None
    level = level_of_look(sequence.alarm, max(1, sequence.looks), grouped=grouped)
    # no mean is below zero
    if not units or sequence.threshold == 0:
        outcome = "not judged"
    else:
        outcome = "not shown to have fallen" if sequence.fell_at is None else "fell"
    return QualityCheck.model_validate(
        {
            "outcome": outcome,
            "texts": len(sequence.texts),
            "units": len(units),
            "looks": sequence.looks,
            "mean": round(float(np.mean(units)), 6) if units else None,
            "upper": round(upper_bound(units, level), 6) if units else None,
            "measured": sequence.measured,
            "threshold": sequence.threshold,
            "alarm": sequence.alarm * 2,
            "fell_at": sequence.fell_at,
            "added": added,
            "repeated": repeated,
            "in_run": ours,
        }
    )


def _units(sequence: Looks) -> list[float]:
    return unit_means(
        [each.score for each in sequence.texts], [each.group for each in sequence.texts]
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
