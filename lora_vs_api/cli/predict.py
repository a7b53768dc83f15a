"""Records for new texts from the model that `dvc repro` trained: one text, or a file of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any
from unicodedata import normalize

from lora_vs_api.cli.escalate import Escalated, escalated, usable_rule
from lora_vs_api.cli.local_model import (
    LocalAnswer,
    adapter_folder,
    as_evaluated,
    ask,
    check_batch_size,
    one_text,
)
from lora_vs_api.cli.names import names_given
from lora_vs_api.cli.outputs import check_outputs
from lora_vs_api.config.load import load_params
from lora_vs_api.data.source import (
    MAX_SHOWN,
    read_table,
)
from lora_vs_api.data.templates import is_template, text_reader, typed_text
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_jsonl
from lora_vs_api.log import say, show
from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import record_of
from lora_vs_api.shown import did_you_mean


def predict_records(
    text: str | None,
    input: str | None,
    column: str | None,
    output: str | None,
    *,
    encoding: str | None,
    seed: int | None,
    batch_size: int | None,
    constrained: bool | None,
    keep: str | None = None,
    escalate: bool = False,
) -> None:
    """Print the record of ``text``, or those of the texts in the file ``input``.

    Args:
        text: one text, ``-`` for standard input; or None.
        column: of ``input``, or a Jinja template over its columns; None takes the task's.
        output: a file to write instead of printing.
        encoding: of ``input``, where it is no UTF-8.
        batch_size: texts at once where transformers answers; None takes the evaluation's.
        constrained: write records of the schema alone; None decodes as evaluated.
        keep: columns of ``input`` that go along, with commas between them, beside its id.
        escalate: what the fine-tune is unsure of, by the rule that the pipeline chose

    Raises:
        UserError: neither or both of text and input, a row without a text or with one that the model
            cannot hold, no adapter; no rule to escalate by, or nobody who can be asked.
    """
    if (text is None) == (input is None):
        raise UserError("expected either a text or --input FILE")
    check_batch_size(batch_size)
    check_outputs({"--output": output}, [input])
    params = load_params()
    fields = params.task.record_fields
    adapter = adapter_folder(params, seed)
    rule = usable_rule(params) if escalate else None
    # the task's, and what most files call it
    row_id = str(getattr(params.data, "id", None) or "id")
    if input is not None:
        rows = read_texts(
            input,
            column or str(getattr(params.data, "text", "text")),
            encoding or getattr(params.data, "encoding", None),
            row_id=row_id,
            keep=names_given(keep),
        )
    else:
        if keep is not None:
            raise UserError("--keep: names columns of --input FILE")
        rows = [{"text": one_text(text or "", sys.stdin)}]
    texts = [row.pop("text") for row in rows]
    answers = ask(
        params,
        adapter,
        texts,
        # the rule was made of answers as they are evaluated
        constrained=as_evaluated(params, constrained if rule is None else None),
        batch_size=batch_size,
        names=None
        if input is None
        else [
            f"{input}: row {row.get(row_id, row.get('id', place))}"
            for place, row in enumerate(rows, 1)
        ],
    )
    if rule is None:
        found = [_result(row, answer, fields) for row, answer in zip(rows, answers, strict=True)]
    else:
        made = escalated(params, rule, adapter, texts, answers)
        found = [
            _escalated(row, each, answer, fields)
            for row, each, answer in zip(rows, made, answers, strict=True)
        ]
    unread = sum(row["record"] is None and "draft" not in row for row in found)
    if output:
        write_jsonl(output, found)
        say(f"{len(found):,} records written to {output}")
    elif input is None and not unread and rule is None:
        show(json.dumps(found[0]["record"], ensure_ascii=False))
    else:
        for row in found:
            show(json.dumps(row, ensure_ascii=False))
    if unread:
        say(f"{unread:,} of {len(found):,} answers are no JSON object: their record is null")


# keys of an answer that no column may take; the second line's are those of --escalate
WRITTEN = (
    *("text", "record", "output", "truncated"),
    *("answered_by", "sure", "raw_sure", "sure_fields", "draft"),
)


def read_texts(
    path: str,
    column: str,
    encoding: str | None,
    *,
    key: str = "--column",
    row_id: str = "id",
    keep: Sequence[str] = (),
    told: bool = True,
) -> list[dict[str, Any]]:
    """Texts of a file, ids where there are any, and columns to ``keep``; every row without a text is named.

    ``key`` is what names the ``column``. Where the file is read for its labels too, whose reader tells
    how its rows were read, nothing is ``told`` here.
    """
    column = normalize("NFC", column)
    if key == "--column":
        column = typed_text(column)
    table = read_table(path, encoding, column, asked=True, told=told)
    known = {name for _, columns in table for name in columns}
    if not is_template(column) and column not in known:
        raise UserError(
            f"{key}: {path} has no column {column!r}{did_you_mean(column, known)}; it has "
            f"{', '.join(sorted(known)) or 'no rows'}"
        )
    for name in keep:
        if name not in known or name in WRITTEN:
            said = "is a key of the answer" if name in WRITTEN else "is no column of it"
            raise UserError(
                f"--keep: {path}: {name!r} {said}{did_you_mean(name, known - set(WRITTEN))}"
            )
    ids = [name for name in (row_id, "id") if name in known and name not in (*keep, *WRITTEN)]
    kept = [*ids[:1], *keep]
    render = text_reader(column, known)
    rows, bad = [], []
    for place, columns in table:
        try:
            text = render(columns)
            missing = not is_template(column) and columns.get(column) is None
            found = "none" if missing else "an empty one"
            problem = "" if text.strip() else f"{column}: expected a text, found {found}"
        except UserError as error:
            text, problem = "", str(error)
        if problem:
            bad.append(f"{place}: {problem}")
        rows.append({**{name: columns.get(name) for name in kept}, "text": text})
    if bad:
        more = f"\n… and {len(bad) - MAX_SHOWN} more" if len(bad) > MAX_SHOWN else ""
        raise UserError(f"{path}: nothing was asked:\n" + "\n".join(bad[:MAX_SHOWN]) + more)
    return rows


def _result(row: dict[str, Any], answer: LocalAnswer, fields: Sequence[Field]) -> dict[str, Any]:
    record = record_of(answer.output, fields)
    result = {**row, "record": record}
    if record is None:
        result["output"] = answer.output
    # a record that the limit closed is of the schema, but not what the model was to say
    return {**result, "truncated": True} if answer.truncated else result


def _escalated(
    row: dict[str, Any], made: Escalated, own: LocalAnswer, fields: Sequence[Field]
) -> dict[str, Any]:
    result = {**row, **made.as_row(own.output, fields)}
    if result["record"] is None and made.output is not None:
        result["output"] = made.output
    return {**result, "truncated": True} if made.truncated else result
