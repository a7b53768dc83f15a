"""New texts held against those that the fine-tune was trained and measured on."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from lora_vs_api.analysis.cascade_results import read_cascade
from lora_vs_api.analysis.groups import read_labels
from lora_vs_api.analysis.results import read_result, write_result
from lora_vs_api.analysis.scored_run import read_answers
from lora_vs_api.cli.escalate import calibrated, confidences
from lora_vs_api.cli.evaluate import labelled_rows
from lora_vs_api.cli.local_model import LocalAnswer, adapter_folder, ask
from lora_vs_api.cli.predict import read_texts
from lora_vs_api.config.load import load_params
from lora_vs_api.config.sections import Params
from lora_vs_api.data.source import says_nothing
from lora_vs_api.data.tables import load_table
from lora_vs_api.digests import directory_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl, read_rows
from lora_vs_api.log import say, show
from lora_vs_api.monitoring.drift import (
    Comparison,
    Difference,
    Sample,
    differences,
    lengths_differ,
    means_differ,
    shares_differ,
)
from lora_vs_api.monitoring.features import (
    label_fields,
    labels,
    plain,
    unknown_shares,
    vocabulary,
)
from lora_vs_api.monitoring.results import Check, CheckKind, Looks, Monitoring, Unjudged
from lora_vs_api.monitoring.sequence import Labelled, looked_at, new_sequence
from lora_vs_api.monitoring.verdict import exit_code, sentences
from lora_vs_api.paths import ESCALATION, TEST, TRAIN, VAL
from lora_vs_api.scoring.scores import score_output
from lora_vs_api.stats.clusters import Labels

STATES = "models/monitor"
CASCADE = "metrics/cascade.json"


@dataclass(frozen=True)
class Options:
    """As the command line has them; see ``lora-vs-api monitor --help``."""

    file: str
    output: str | None = None
    state: str | None = None
    encoding: str | None = None
    seed: int | None = None
    batch_size: int | None = None


@dataclass(frozen=True)
class _New:
    """The new texts; ``labelled`` are the places of those that carry a record, ``records`` these."""

    texts: list[str]
    names: list[str]
    groups: Labels | None
    labelled: list[int]
    records: list[dict[str, Any]]


@dataclass(frozen=True)
class _Compared:
    """A comparison with what is said of it: means, or the shares of ``labels``."""

    kind: CheckKind
    comparison: Comparison
    before: float | None = None
    now: float | None = None
    labels: tuple[str, ...] = ()


def monitor_file(options: Options) -> None:
    """Say whether the texts of a file are still what the fine-tune was measured on, and how well it does.

    Ends the process with the exit code of what was found (:mod:`lora_vs_api.monitoring.results`).

    Raises:
        UserError: rows that do not fit the task or the model, no run to compare with, a state file of
            another fine-tune. Nothing is counted then.
    """
    if options.batch_size is not None and options.batch_size < 1:
        raise UserError(f"--batch-size: expected an integer ≥ 1, found {options.batch_size}")
    params = load_params()
    adapter = adapter_folder(params, options.seed)
    new = _read(params, options.file, options.encoding)
    tests = read_jsonl(TEST, params.evaluate.test_rows)
    test_groups = read_labels(tests, params.task.group_by)
    run = read_answers(
        Path("predictions", "evaluate", f"lora-{adapter.name}"), tests, params.task.record_fields
    )
    digest = directory_sha256(adapter)
    path = Path(options.state or f"{STATES}/{adapter.name}-{digest[:12]}.json")
    sequence = _sequence(params, path, digest, new, run.field_f1, test_groups)
    answers = ask(
        params,
        adapter,
        new.texts,
        constrained=params.decoding.constrained,
        batch_size=options.batch_size,
        names=new.names,
    )
    compared = _text_checks(params, new)
    compared |= _answer_checks(params, new, answers, run.outputs, test_groups)
    sure = _confidence_check(params, adapter, new, answers, tests, test_groups)
    unjudged = [sure] if isinstance(sure, Unjudged) else []
    compared |= {} if isinstance(sure, Unjudged) else {"confidence": sure}
    unjudged += _one_group(compared)
    checks = _checks(params, compared)
    sequence, quality = looked_at(sequence, _scored(params, new, answers), _run_texts())
    found = Monitoring(
        file=options.file,
        seed=int(adapter.name.removeprefix("seed-")),
        adapter_sha256=digest,
        texts=len(new.texts),
        group_by=None if new.groups is None else new.groups.by,
        drift_alarm=params.monitor.drift_alarm,
        checks=checks,
        unjudged=tuple(unjudged),
        quality=quality,
        state=str(path) if sequence.looks else None,
        verdict=sentences(checks, unjudged, quality, sequence.group_by),
        exit_code=exit_code(checks, quality),
    )
    if quality.added:
        write_result(path, sequence)
    if options.output:
        write_result(options.output, found)
    _show(found, params)
    sys.exit(found.exit_code)


def _read(params: Params, file: str, encoding: str | None) -> _New:
    column = str(getattr(params.data, "text", "text"))
    encoding = encoding or getattr(params.data, "encoding", None)
    table = load_table(file, encoding, column).rows
    if not table:
        raise UserError(f"{file}: no rows in it; expected texts")
    texts = read_texts(file, column, encoding, key="data.text")
    record = getattr(params.data, "record", "record")
    fields = [field.name for field in params.task.record_fields]

    def is_labelled(columns: Mapping[str, Any]) -> bool:
        named = fields if record is None else [record]
        return any(not says_nothing(columns.get(name)) for name in named)

    labelled = [place for place, (_, columns) in enumerate(table) if is_labelled(columns)]
    rows = labelled_rows(params, file, encoding, is_labelled) if labelled else []
    return _New(
        texts=[row["text"] for row in texts],
        names=[f"{file}: row {row.get('id', place)}" for place, row in enumerate(texts, 1)],
        groups=_groups(file, table, params.task.group_by),
        labelled=labelled,
        records=[row["record"] for row in rows],
    )


def _groups(
    file: str, table: Sequence[tuple[str, Mapping[str, Any]]], by: str | None
) -> Labels | None:
    """The group of each row; None where the file has no column of groups, as in `evaluate`."""
    if by is None or not any(by in columns for _, columns in table):
        return None
    without = [place for place, columns in table if says_nothing(columns.get(by))]
    if without:
        raise UserError(
            f"{file}: {without[0]}: {by}: expected a text or a number to group by (task.group_by), "
            "found none"
        )
    # as read_source writes them
    return Labels(by, tuple(normalize("NFC", str(columns[by]).strip()) for _, columns in table))


def _sequence(
    params: Params,
    path: Path,
    adapter: str,
    new: _New,
    measured: np.ndarray[Any, np.dtype[np.float64]],
    groups: Labels | None,
) -> Looks:
    """That of the state file, or a new one."""
    by = None if new.groups is None else new.groups.by
    if not path.exists():
        return new_sequence(adapter, by, measured.tolist(), groups, params.monitor, params.stats)
    try:
        found = read_result(path, Looks)
    except UserError as error:
        # no node makes it again
        what = str(error).removesuffix("; run `dvc repro` to make it again")
        raise UserError(
            f"{what}; expected what `monitor` has written: name another file with --state"
        ) from None
    if found.adapter_sha256 != adapter:
        raise UserError(
            f"{path}: counts labelled texts of another fine-tune; name a new file with --state"
        )
    if new.labelled and found.group_by != by:
        raise UserError(
            f"{path}: counts {_unit(found.group_by)} and the file has {_unit(by)}; give the file its "
            "column of task.group_by as before, or name a new file with --state"
        )
    return found


def _unit(by: str | None) -> str:
    return "texts without groups" if by is None else f"groups ({by})"


def _text_checks(params: Params, new: _New) -> dict[str, _Compared]:
    """Length against the training texts; unknown words against the texts that were held out.

    A training text knows all of its own words, so that the held-out ones say how many are new to it.
    """
    by = params.task.group_by
    train, held_out = read_rows(TRAIN), [*read_rows(VAL), *read_rows(TEST)]
    known = vocabulary(row["text"] for row in train)
    sizes = np.array([len(row["text"]) for row in train], dtype=np.float64)
    new_sizes = np.array([len(text) for text in new.texts], dtype=np.float64)
    shares = unknown_shares([row["text"] for row in held_out], known)
    new_shares = unknown_shares(new.texts, known)
    return {
        "length": _Compared(
            "length",
            lengths_differ((sizes, read_labels(train, by)), (new_sizes, new.groups)),
            float(np.median(sizes)),
            float(np.median(new_sizes)),
        ),
        "unknown words": _Compared(
            "vocabulary",
            means_differ(
                (shares, read_labels(held_out, by)), (new_shares, new.groups), higher=True
            ),
            float(shares.mean()),
            float(new_shares.mean()),
        ),
    }


def _answer_checks(
    params: Params,
    new: _New,
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
    new: _New,
    answers: Sequence[LocalAnswer],
    tests: Sequence[Mapping[str, Any]],
    groups: Labels | None,
) -> _Compared | Unjudged:
    """Confidence against that of the answers to the test texts, both calibrated where the run has a curve."""
    file = Path(ESCALATION, f"lora-{adapter.name}", "confidence_test.jsonl")
    if not file.is_file():
        reason = f"{file} is not there; -S cascade=escalate measures it"
        return Unjudged(name="confidence", reason=reason)
    lines = read_jsonl(file)
    if [line["id"] for line in lines] != [row["id"] for row in tests]:
        raise UserError(
            f"{file}: not one line for each of the {len(tests)} test texts; `dvc repro` makes it again"
        )
    cascade = read_cascade() if Path(CASCADE).is_file() else None
    raw = (
        [line["text"] for line in lines],
        [each.text for each in confidences(params, adapter, new.texts, answers)],
    )
    was, now = (
        np.array([p if cascade is None else calibrated(cascade.calibration.curve, p) for p in side])
        for side in raw
    )
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

    def shares(places: np.ndarray[Any, np.dtype[np.intp]]) -> dict[str, float] | None:
        counts = np.bincount(places, minlength=len(each.labels)) / places.size
        return {label: round(float(share), 6) for label, share in zip(each.labels, counts)}

    return Check(
        kind=each.kind,
        name=name,
        texts_before=before.size,
        texts_now=now.size,
        before=None if each.before is None else round(each.before, 6),
        now=None if each.now is None else round(each.now, 6),
        shares_before=shares(before) if each.labels else None,
        shares_now=shares(now) if each.labels else None,
        distance=round(found.distance, 6),
        matters=matters,
        detectable=round(found.detectable, 6),
        p_value=found.p_value,
        p_holm=found.p_holm,
        drift=found.p_holm <= level and found.distance >= matters,
    )


def _scored(params: Params, new: _New, answers: Sequence[LocalAnswer]) -> list[Labelled]:
    groups = [None] * len(new.texts) if new.groups is None else list(new.groups)
    return [
        Labelled(
            new.texts[place],
            groups[place],
            score_output(answers[place].output, record, params.task.record_fields).field_f1,
        )
        for place, record in zip(new.labelled, new.records, strict=True)
    ]


def _run_texts() -> set[str]:
    """The texts that were trained on, chosen with or measured on."""
    return {plain(row["text"]) for path in (TRAIN, VAL, TEST) for row in read_rows(path)}


def _show(found: Monitoring, params: Params) -> None:
    labelled = found.quality.added + found.quality.repeated + found.quality.in_run
    say(
        f"{found.file}: {found.texts:,} texts, {labelled:,} of them labelled, answered by seed {found.seed}"
    )
    width = max((len(check.name) for check in found.checks), default=5)
    show(f"{'check':<{width}} {'distance':>9} {'matters':>8} {'p (Holm)':>9}")
    for check in found.checks:
        show(
            f"{check.name:<{width}} {check.distance:>9.3f} {check.matters:>8.2f} "
            f"{check.p_holm:>9.4f}{'  drift' if check.drift else ''}"
        )
    for line in found.verdict:
        show(line)
    by = params.task.group_by
    if by is not None and found.group_by is None:
        say("task.group_by counts for a file with such a column; every text counts as independent.")
