"""New texts held against those that the fine-tune was trained and measured on."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import to_jsonable_python

from lora_vs_api.analysis.groups import read_labels
from lora_vs_api.analysis.results import read_result, write_result
from lora_vs_api.analysis.scored_run import read_answers
from lora_vs_api.cli.evaluate import labelled_rows
from lora_vs_api.cli.local_model import (
    LocalAnswer,
    adapter_folder,
    ask,
    check_batch_size,
    seed_of,
)
from lora_vs_api.cli.monitor_checks import NewTexts, compare
from lora_vs_api.cli.outputs import check_outputs
from lora_vs_api.cli.predict import read_texts
from lora_vs_api.config.load import load_params
from lora_vs_api.config.sections import Params
from lora_vs_api.data.plain import plain
from lora_vs_api.data.source import group_label, no_group, says_nothing
from lora_vs_api.data.tables import load_table
from lora_vs_api.digests import directory_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl, read_rows
from lora_vs_api.log import say, show
from lora_vs_api.monitoring.results import Looks, Monitoring
from lora_vs_api.monitoring.sequence import Labelled, looked_at, new_sequence
from lora_vs_api.monitoring.verdict import exit_code, sentences
from lora_vs_api.paths import TEST, TRAIN, UNLABELLED, VAL
from lora_vs_api.record.fields import completed
from lora_vs_api.scoring.scores import score_output
from lora_vs_api.stats.clusters import Labels
from lora_vs_api.validation.records import violations

STATES = "models/monitor"


@dataclass(frozen=True)
class Options:
    """As the command line has them; see ``lora-vs-api monitor --help``."""

    file: str
    output: str | None = None
    state: str | None = None
    encoding: str | None = None
    seed: int | None = None
    batch_size: int | None = None


def monitor_file(options: Options) -> None:
    """Say whether the texts of a file are still what the fine-tune was measured on, and how well it does.

    Ends the process with the exit code of what was found (:mod:`lora_vs_api.monitoring.results`).

    Raises:
        UserError: rows that do not fit the task or the model, no run to compare with, a state file of
            another fine-tune. Nothing is counted then.
    """
    check_batch_size(options.batch_size)
    params = load_params()
    adapter = adapter_folder(params, options.seed)
    seed = seed_of(adapter)
    new = _read(params, options.file, options.encoding)
    tests = read_jsonl(TEST, params.evaluate.test_rows)
    test_groups = read_labels(tests, params.task.group_by)
    run = read_answers(
        Path("predictions", "evaluate", f"lora-{adapter.name}"), tests, params.task.scored_fields
    )
    digest = directory_sha256(adapter)
    path = Path(options.state or f"{STATES}/{adapter.name}-{digest[:12]}.json")
    sequence = _sequence(params, path, digest, new, run.field_f1, test_groups)
    # before a model is loaded for an hour
    check_outputs({"--state": path, "--output": options.output}, [options.file])
    answers = ask(
        params,
        adapter,
        new.texts,
        constrained=params.decoding.constrained,
        batch_size=options.batch_size,
        names=new.names,
    )
    checks, unjudged = compare(params, adapter, new, answers, tests, run.outputs, test_groups)
    sequence, quality = looked_at(sequence, _scored(params, new, answers), run_texts(params))
    quality = quality.model_copy(update={"blank": new.blank})
    found = Monitoring(
        file=options.file,
        seed=seed,
        adapter_sha256=digest,
        texts=len(new.texts),
        group_by=None if new.groups is None else new.groups.by,
        drift_alarm=params.monitor.drift_alarm,
        checks=checks,
        unjudged=unjudged,
        quality=quality,
        state=str(path) if sequence.looks else None,
        verdict=sentences(checks, unjudged, quality, sequence.group_by, seed),
        exit_code=exit_code(checks, quality),
    )
    # what was found is said, whatever becomes of the files
    _show(found, params)
    if quality.added:
        write_result(path, sequence)
    if options.output:
        write_result(options.output, found)
    sys.exit(found.exit_code)


def _read(params: Params, file: str, encoding: str | None) -> NewTexts:
    column = str(getattr(params.data, "text", "text"))
    encoding = encoding or getattr(params.data, "encoding", None)
    table = load_table(file, encoding, column).rows
    if not table:
        raise UserError(f"{file}: no rows in it; expected texts")
    record = getattr(params.data, "record", "record")
    fields = [field.column for field in params.task.record_fields]

    def is_labelled(columns: Mapping[str, Any]) -> bool:
        named = fields if record is None else [record]
        return any(not says_nothing(columns.get(name)) for name in named)

    labelled = [place for place, (_, columns) in enumerate(table) if is_labelled(columns)]
    texts = read_texts(file, column, encoding, key="data.text", told=not labelled)
    # an empty cell is null: where every field may be, a row of them may be a record or none
    may_be_empty = record is None and not violations(
        completed({}, params.task.record_fields), params.task.record_fields
    )
    has_fields = any(name in columns for _, columns in table for name in fields)
    rows = labelled_rows(params, file, encoding, is_labelled) if labelled else []
    return NewTexts(
        texts=[row["text"] for row in texts],
        names=[f"{file}: row {row.get('id', place)}" for place, row in enumerate(texts, 1)],
        groups=_groups(file, table, params.task.group_by),
        labelled=labelled,
        records=[row["record"] for row in rows],
        blank=len(table) - len(labelled) if may_be_empty and has_fields else 0,
    )


def _groups(
    file: str, table: Sequence[tuple[str, Mapping[str, Any]]], by: str | None
) -> Labels | None:
    """The group of each row; None where the file has no column of groups, as in `evaluate`."""
    if by is None or not any(by in columns for _, columns in table):
        return None
    found = []
    for place, columns in table:
        label = group_label(columns.get(by))
        if label is None:
            raise UserError(f"{file}: {place}: {by} (task.group_by): {no_group(columns.get(by))}")
        found.append(label)
    return Labels(by, tuple(found))


def _sequence(
    params: Params,
    path: Path,
    adapter: str,
    new: NewTexts,
    measured: np.ndarray[Any, np.dtype[np.float64]],
    groups: Labels | None,
) -> Looks:
    """That of the state file, or a new one."""
    by = None if new.groups is None else new.groups.by
    asked = asked_sha256(params)
    if not path.exists():
        return new_sequence(
            adapter, asked, by, measured.tolist(), groups, params.monitor, params.stats
        )
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
    if found.asked_sha256 != asked:
        raise UserError(
            f"{path}: its scores were made with other fields or weights (task), decoding or serving than "
            "params.yaml has now; name a new file with --state"
        )
    if new.labelled and found.group_by != by:
        raise UserError(
            f"{path}: counts {_unit(found.group_by)} and the file has {_unit(by)}; give the file its "
            "column of task.group_by as before, or name a new file with --state"
        )
    return found


def asked_sha256(params: Params) -> str:
    """Digest of what a score depends on beside the fine-tune and the texts."""
    # the column that holds a field, and how many texts are answered together, change no score
    fields = [replace(field, source="") for field in params.task.scored_fields]
    decoding = params.decoding.model_dump(exclude={"batch_size"})
    asked = to_jsonable_python([fields, decoding, params.serving.engine, params.serving.precision])
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _unit(by: str | None) -> str:
    return "texts without groups" if by is None else f"groups ({by})"


def _scored(params: Params, new: NewTexts, answers: Sequence[LocalAnswer]) -> list[Labelled]:
    groups = [None] * len(new.texts) if new.groups is None else list(new.groups)
    return [
        Labelled(
            new.texts[place],
            groups[place],
            score_output(answers[place].output, record, params.task.scored_fields).field_f1,
        )
        for place, record in zip(new.labelled, new.records, strict=True)
    ]


def run_texts(params: Params) -> set[str]:
    """The texts that were trained on, with whoever's labels, chosen with or measured on."""
    files = {TRAIN, VAL, TEST, params.training_labels.rows}
    if Path(UNLABELLED).is_file():
        files.add(UNLABELLED)
    return {plain(row["text"]) for path in files for row in read_rows(path)}


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
