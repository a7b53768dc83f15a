"""What `monitor` compares of new texts: length, words, labels of the answers, confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lora_vs_api.analysis.cascade_results import read_cascade
from lora_vs_api.analysis.groups import read_labels
from lora_vs_api.cli.escalate import calibrated, confidences
from lora_vs_api.cli.local_model import LocalAnswer, seed_of
from lora_vs_api.config.sections import Params
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl, read_rows
from lora_vs_api.monitoring.drift import (
    Comparison,
    Difference,
    Sample,
    differences,
    largest_gap,
    lengths_differ,
    means_differ,
    shares_differ,
)
from lora_vs_api.monitoring.features import (
    label_fields,
    labels,
    unknown_shares,
    vocabulary,
)
from lora_vs_api.monitoring.results import Check, CheckKind, Unjudged
from lora_vs_api.paths import ESCALATION, GROUPS, TEST, VAL
from lora_vs_api.stats.clusters import Labels

CASCADE = "metrics/cascade.json"


@dataclass(frozen=True)
class NewTexts:
    """The new texts; ``labelled`` are the places of those that carry a record, ``records`` these.

    ``blank`` is how many rows might be a record of nulls, and are not taken for one.
    """

    texts: list[str]
    names: list[str]
    groups: Labels | None
    labelled: list[int]
    records: list[dict[str, Any]]
    blank: int = 0


@dataclass(frozen=True)
class _Compared:
    """A comparison with what is said of it: means, the shares of ``labels``, or the largest ``gap``."""

    kind: CheckKind
    comparison: Comparison
    before: float | None = None
    now: float | None = None
    labels: tuple[str, ...] = ()
    gap: tuple[float, float, float] | None = None


def compare(
    params: Params,
    adapter: Path,
    new: NewTexts,
    answers: Sequence[LocalAnswer],
    tests: Sequence[Mapping[str, Any]],
    outputs: Sequence[str],
    groups: Labels | None,
) -> tuple[tuple[Check, ...], tuple[Unjudged, ...]]:
    """All checks, and those that could not be made.

    Args:
        answers: to the new texts.
        tests: the test texts, with the fine-tune's ``outputs`` to them and their ``groups``.
    """
    compared, unjudged = _text_checks(params, new)
    compared |= _answer_checks(params, new, answers, outputs, groups)
    sure = _confidence_check(params, adapter, new, answers, tests, groups)
    unjudged += [sure] if isinstance(sure, Unjudged) else []
    compared |= {} if isinstance(sure, Unjudged) else {"confidence": sure}
    unjudged += _one_group(compared)
    return _checks(params, compared), tuple(unjudged)


def _text_checks(params: Params, new: NewTexts) -> tuple[dict[str, _Compared], list[Unjudged]]:
    """Length against the training texts; unknown words against the texts that were held out.

    A training text knows all of its own words, so that the held-out ones say how many are new to it.
    """
    by = params.task.group_by
    file = params.training_labels.rows
    train, held_out = read_rows(file), [*read_rows(VAL), *read_rows(TEST)]
    if not train:
        nothing = f"{file} has no text that was trained on"
        return {}, [Unjudged(name=name, reason=nothing) for name in ("length", "unknown words")]
    known = vocabulary(row["text"] for row in train)
    sizes = np.array([len(row["text"]) for row in train], dtype=np.float64)
    new_sizes = np.array([len(text) for text in new.texts], dtype=np.float64)
    shares = unknown_shares([row["text"] for row in held_out], known)
    new_shares = unknown_shares(new.texts, known)
    unknown = _Compared(
        "vocabulary",
        means_differ((shares, read_labels(held_out, by)), (new_shares, new.groups), higher=True),
        float(shares.mean()),
        float(new_shares.mean()),
    )
    if by is not None and not {row["id"] for row in train} <= _grouped():
        # texts that a teacher labelled, which the split has put into no group
        reason = f"not every text of {file} has a group ({by})"
        return {"unknown words": unknown}, [Unjudged(name="length", reason=reason)]
    length = _Compared(
        "length",
        lengths_differ((sizes, read_labels(train, by)), (new_sizes, new.groups)),
        float(np.median(sizes)),
        float(np.median(new_sizes)),
        gap=largest_gap(sizes, new_sizes),
    )
    return {"length": length, "unknown words": unknown}, []


def _grouped() -> set[str]:
    return {line["id"] for line in read_jsonl(GROUPS)}


def _answer_checks(
    params: Params,
    new: NewTexts,
    answers: Sequence[LocalAnswer],
    before: Sequence[str],
    groups: Labels | None,
) -> dict[str, _Compared]:
    """Labels of the answers against those of this fine-tune's answers to the test texts.

    Like against like: what it gets wrong on both sides is no drift.
    """
    outputs, found = [answer.output for answer in answers], {}
    for name, field in label_fields(params.task.record_fields).items():
        sides = labels(before, field), labels(outputs, field)
        known = tuple(sorted({label for side in sides for label in side}))
        place = {label: number for number, label in enumerate(known)}
        was, now = (np.array([place[label] for label in side], dtype=np.intp) for side in sides)
        comparison = shares_differ(Sample(was, groups), Sample(now, new.groups), len(known))
        found[f"answers: {name}"] = _Compared("labels", comparison, labels=known)
    return found


def _confidence_check(
    params: Params,
    adapter: Path,
    new: NewTexts,
    answers: Sequence[LocalAnswer],
    tests: Sequence[Mapping[str, Any]],
    groups: Labels | None,
) -> _Compared | Unjudged:
    """Confidence against that of the answers to the test texts, both calibrated by the run's curve."""
    file = Path(ESCALATION, f"lora-{adapter.name}", "confidence_test.jsonl")
    cascade = read_cascade() if Path(CASCADE).is_file() else None
    seed = seed_of(adapter)
    # a file may have stayed of a run that had a cascade, and of another training
    if cascade is None or seed not in params.cascade.seeds or not file.is_file():
        reason = f"the run measured none of seed {seed}; -S cascade=escalate does"
        return Unjudged(name="confidence", reason=reason)
    lines = read_jsonl(file)
    if [line["id"] for line in lines] != [row["id"] for row in tests]:
        raise UserError(
            f"{file}: not one line for each of the {len(tests)} test texts; `dvc repro` makes it again"
        )
    raw = (
        [line["text"] for line in lines],
        [each.text for each in confidences(params, adapter, new.texts, answers)],
    )
    was, now = (np.array([calibrated(cascade.calibration.curve, p) for p in side]) for side in raw)
    return _Compared(
        "confidence",
        means_differ((was, groups), (now, new.groups), higher=False),
        float(was.mean()),
        float(now.mean()),
    )


def _one_group(compared: dict[str, _Compared]) -> list[Unjudged]:
    """Take out what a single group would have to show: how groups differ is not to be seen in one."""
    found = []
    for name, each in list(compared.items()):
        sides = {"before": each.comparison.before, "in the file": each.comparison.now}
        alone = [side for side, sample in sides.items() if sample.independent == 1]
        if alone:
            del compared[name]
            found.append(Unjudged(name=name, reason=f"all texts {alone[0]} are of one group"))
    return found


def _checks(params: Params, compared: Mapping[str, _Compared]) -> tuple[Check, ...]:
    if not compared:
        return ()
    level = params.monitor.drift_alarm
    found = differences(
        {name: each.comparison for name, each in compared.items()}, level, params.stats.seed
    )
    matters = params.monitor.matters.model_dump()
    return tuple(
        _check(name, each, found[name], matters[each.kind], level)
        for name, each in compared.items()
    )


def _check(name: str, each: _Compared, found: Difference, matters: float, level: float) -> Check:
    before, now = each.comparison.before.places, each.comparison.now.places

    def shares(places: np.ndarray[Any, np.dtype[np.intp]]) -> dict[str, float]:
        counts = np.bincount(places, minlength=len(each.labels)) / places.size
        return {label: round(float(share), 6) for label, share in zip(each.labels, counts)}

    was, is_ = (shares(places) if each.labels else None for places in (before, now))
    if each.gap is not None:
        size, *of_sides = each.gap
        was, is_ = ({f"up to {size:.0f} characters": round(share, 6)} for share in of_sides)
    return Check(
        kind=each.kind,
        name=name,
        texts_before=before.size,
        texts_now=now.size,
        before=None if each.before is None else round(each.before, 6),
        now=None if each.now is None else round(each.now, 6),
        shares_before=was,
        shares_now=is_,
        distance=round(found.distance, 6),
        matters=matters,
        detectable=round(found.detectable, 6),
        p_value=found.p_value,
        p_holm=found.p_holm,
        drift=found.p_holm <= level and found.distance >= matters,
    )
