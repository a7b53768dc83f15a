"""A second labelled file scored with the trained model, at any time after the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from lora_vs_api.analysis.slices import places_by_value, value_words
from lora_vs_api.cli.local_model import LocalAnswer, adapter_folder, ask, check_batch_size
from lora_vs_api.cli.names import names_given
from lora_vs_api.cli.outputs import check_outputs
from lora_vs_api.cli.taught_forms import in_taught_forms
from lora_vs_api.config.load import load_params
from lora_vs_api.config.sections import Params
from lora_vs_api.data.plain import plain
from lora_vs_api.data.source import read_source
from lora_vs_api.data.tables import load_table
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_rows, write_jsonl
from lora_vs_api.log import say, show
from lora_vs_api.paths import TRAIN
from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import record_of
from lora_vs_api.record.rows import Row
from lora_vs_api.scoring.scores import Score, score_output
from lora_vs_api.shown import did_you_mean, visible
from lora_vs_api.stats.bayesian import text_interval
from lora_vs_api.stats.bootstrap import Draws
from lora_vs_api.stats.clusters import Labels


def evaluate_file(
    file: str,
    output: str | None,
    *,
    encoding: str | None,
    seed: int | None,
    batch_size: int | None,
    slices: str | None = None,
) -> None:
    """Print how the fine-tune of one ``seed`` scores on the labelled rows of ``file``.

    On the engine and with the decoding that the run's scores were measured with. The interval is for new
    texts (or, with task.group_by, new groups of them), the one training as it is; another training is not
    in it.

    Args:
        file: rows as those of data.path; an id column may be missing.
        output: a .jsonl to write each answer, its gold record and its score to; None writes none.
        encoding: of a text file that is no UTF-8; None takes data.encoding.
        slices: columns or fields with commas, by whose values the scores are shown too; None takes the
            task's ``slices``, but for columns that this file lacks.

    Raises:
        UserError: rows that do not fit the task or the model, a slice of ``slices`` that is no column
            and no field of one value, no adapter.
    """
    check_batch_size(batch_size)
    check_outputs({"--output": output}, [file])
    params = load_params()
    names = _slices(params, slices)
    adapter = adapter_folder(params, seed)
    columns = [name for name in names if name not in params.task.fields]
    rows = labelled_rows(params, file, encoding, slices=columns, lacking=slices is None)
    fields = params.task.scored_fields
    answers = ask(
        params,
        adapter,
        [row["text"] for row in rows],
        constrained=params.decoding.constrained,
        batch_size=batch_size,
        names=[f"{file}: row {row['id']}" for row in rows],
    )
    pairs = list(zip(rows, answers, strict=True))
    scores = [score_output(answer.output, row["record"], fields) for row, answer in pairs]
    if output:
        write_jsonl(
            output,
            [_line(*pair, score, fields) for pair, score in zip(pairs, scores, strict=True)],
        )
        say(f"{len(rows):,} answers with their scores written to {output}")
    _show_scores(params, file, adapter.name, rows, scores, names)


def _slices(params: Params, given: str | None) -> Sequence[str]:
    """The slices asked for, else those of the task."""
    if given is None:
        return params.slices
    names = list(dict.fromkeys(names_given(given)))
    for name in names:
        field = params.task.fields.get(name)
        if field is not None and field.type in ("list", "object"):
            raise UserError(
                f"--slices: expected columns, or fields of one value, found {name!r}, of type {field.type}"
            )
    return names


def labelled_rows(
    params: Params,
    file: str,
    encoding: str | None,
    keep: Callable[[Mapping[str, Any]], bool] | None = None,
    slices: Sequence[str] = (),
    lacking: bool = False,
) -> list[Row]:
    """The rows of a second file, in the columns of data.path; ``keep`` and errors as of ``read_source``.

    Columns of ``slices``, which --slices names, are kept with the rows; where ``lacking`` is true they are those of
    params.yaml, of which the file may lack some.
    """
    data = params.data
    if data.source == "file":
        text, record, drop = data.text, data.record, data.drop or ()
        row_id, encoding = data.id, encoding or data.encoding
    else:
        # generated rows, as data/corpus.jsonl has them
        text, record, drop, row_id = "text", "record", (), "id"
    columns = {name for _, row in load_table(file, encoding, text).rows for name in row}
    unknown = [name for name in slices if name not in columns and not lacking]
    if unknown:
        there = sorted(columns | params.task.fields.keys())
        raise UserError(
            f"--slices: expected columns of {file} or fields, found {unknown[0]!r}{did_you_mean(unknown[0], there)}; "
            f"there are {', '.join(there)}"
        )
    known = row_id if row_id in columns else None
    by = params.task.group_by
    # a second file may well lack it, which is said with the scores
    groups = {"task.group_by": by if by in columns else None}
    rows = read_source(
        Path(file),
        params.task.scored_fields,
        text,
        record,
        known,
        groups,
        encoding,
        drop,
        second=True,
        slices=[name for name in slices if name in columns] if lacking else slices,
        keep=keep,
    )
    return in_taught_forms(file, rows, read_rows(TRAIN) if Path(TRAIN).is_file() else [])


def _line(row: Row, answer: LocalAnswer, score: Score, fields: Sequence[Field]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "text": row["text"],
        "record": record_of(answer.output, fields),
        "output": answer.output,
        "expected": row["record"],
        "field_f1": round(score.field_f1, 6),
        "exact_match": score.exact_match,
        "truncated": answer.truncated,
    }


def _show_scores(
    params: Params,
    file: str,
    name: str,
    rows: Sequence[Row],
    scores: Sequence[Score],
    slices: Sequence[str],
) -> None:
    draws, by = Draws(**params.stats.model_dump()), params.task.group_by
    labelled = by is not None and all(by in row.get("meta", {}) for row in rows)
    groups = Labels(str(by), tuple(row["meta"][str(by)] for row in rows)) if labelled else None
    say(f"{file}: {len(rows):,} texts, answered by {name} as in the run's evaluation")
    show(f"{'':<22} {'score':>6}  {draws.confidence:.0%} interval")
    # each once, in the rows' order
    methods: dict[str, None] = {}
    for what, values in (
        ("field F1", [score.field_f1 for score in scores]),
        ("exact match", [float(score.exact_match) for score in scores]),
        ("valid JSON", [float(score.valid_json) for score in scores]),
    ):
        found = text_interval(values, draws, groups=groups)
        methods[found.method] = None
        show(f"{what:<22} {found.estimate:>6.3f}  {found.low:.3f} to {found.high:.3f}")
    for field, score in _by_field(params.task.scored_fields, scores).items():
        show(f"  {field:<20} {'–' if score is None else f'{score:.3f}':>6}")
    for by_value in slices:
        _show_slice(by_value, rows, [score.field_f1 for score in scores], draws, groups)
    say(f"Intervals: {' / '.join(methods)}; of this one training, another would differ.")
    if by is not None and not labelled:
        say("task.group_by counts for a file with such a column; every text counts as independent.")
    file_of = params.training_labels.rows
    seen = seen_in_training(rows, file_of)
    if seen:
        stand, such_as = ("stands", "") if len(seen) == 1 else ("stand", "such as ")
        say(
            f"{len(seen):,} of the texts also {stand} in {file_of}, {such_as}{seen[0]}: scored from memory."
        )


def _show_slice(
    by: str, rows: Sequence[Row], scores: Sequence[float], draws: Draws, groups: Labels | None
) -> None:
    """Field F1 by the values of one column or field; of one text, or one group, there is no interval."""
    found = [row["record"] if by in row["record"] else row.get("meta", {}) for row in rows]
    if not all(by in values for values in found):
        say(f"slices: {by} is no column of this file")
        return
    places, rest = places_by_value([value_words(values[by]) for values in found])
    show(f"field F1 by {by}")
    for value, texts in [*places.items(), *([("other values", rest)] if rest else [])]:
        own = [scores[place] for place in texts]
        taken = None if groups is None else groups.take(texts)
        said = f"{fmean(own):>6.3f}  "
        if (len(own) if taken is None else taken.number) > 1:
            interval = text_interval(own, draws, groups=taken)
            said += f"{interval.low:.3f} to {interval.high:.3f}, "
        show(f"  {visible(value):<20} {said}{len(own):,} text{'s' * (len(own) > 1)}")


def _by_field(fields: Sequence[Field], scores: Sequence[Score]) -> Mapping[str, float | None]:
    """Each field's F1 over all texts, None where nothing is to be found: as in the report."""
    found: dict[str, float | None] = {}
    for place, field in enumerate(fields):
        weights = [(score.wanted[place] + score.given[place]) / 2 for score in scores]
        right = sum(score.fields[place] * weight for score, weight in zip(scores, weights))
        filled = any(score.wanted[place] for score in scores)
        found[field.name] = right / sum(weights) if filled else None
    return found


def seen_in_training(rows: Sequence[Row], trained_on: str) -> list[str]:
    """Ids of rows whose text trained the model, white space and Unicode form aside.

    Args:
        trained_on: the file that it learnt from, ``training_labels.rows``.
    """
    if not Path(trained_on).is_file():
        return []
    trained = {plain(row["text"]) for row in read_rows(trained_on)}
    return [row["id"] for row in rows if plain(row["text"]) in trained]
