"""Records for new texts from the model that `dvc repro` trained: one text, or a file of them."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from lora_vs_api.cli.local_model import adapter_folder, ask, one_text
from lora_vs_api.config.load import load_params
from lora_vs_api.data.source import MAX_SHOWN, read_table, text_reader
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_jsonl
from lora_vs_api.log import say
from lora_vs_api.record.parsing import parse_record

HELP = "records for new texts, from the trained model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="?", help="one text; - reads it from standard input")
    parser.add_argument("--input", metavar="FILE", help=".csv, .tsv, .jsonl or .parquet of texts")
    parser.add_argument(
        "--column", help="its column, or a Jinja template (default: data.text, or text)"
    )
    parser.add_argument("--output", metavar="FILE", help=".jsonl to write (default: print)")
    parser.add_argument("--seed", type=int, help="which final training (default: the first seed)")
    parser.add_argument("--batch-size", type=int, help="texts at once (default: as evaluated)")
    parser.add_argument(
        "--constrained",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write only records of the schema (default); --no-constrained answers as evaluated",
    )


def run(given: argparse.Namespace) -> None:
    if (given.text is None) == (given.input is None):
        raise UserError("expected either a text or --input FILE")
    if given.batch_size is not None and given.batch_size < 1:
        raise UserError(f"--batch-size: expected an integer ≥ 1, found {given.batch_size}")
    params = load_params()
    adapter = adapter_folder(params, given.seed)
    if given.input is None:
        rows: list[dict[str, Any]] = [{"text": one_text(given.text, sys.stdin)}]
    else:
        rows = _rows(given.input, given.column or params.data.text or "text")
    answers = ask(
        params,
        adapter,
        [row.pop("text") for row in rows],
        constrained=given.constrained,
        batch_size=given.batch_size,
    )
    found = [_result(row, answer) for row, answer in zip(rows, answers, strict=True)]
    unread = sum(row["record"] is None for row in found)
    if given.output:
        write_jsonl(given.output, found)
        say(f"{len(found):,} records written to {given.output}")
    elif given.input is None and not unread:
        print(json.dumps(found[0]["record"], ensure_ascii=False))
    else:
        for row in found:
            print(json.dumps(row, ensure_ascii=False))
    if unread:
        say(f"{unread:,} of {len(found):,} answers are no JSON object: their record is null")


def _rows(path: str, column: str) -> list[dict[str, Any]]:
    """Ids, where there are any, and texts of a file; every row without a text is named."""
    table = read_table(path)
    if "{" not in column and not any(column in columns for _, columns in table):
        known = ", ".join(sorted({name for _, columns in table for name in columns}))
        raise UserError(f"--column: {path} has no column {column!r}; it has {known or 'no rows'}")
    render = text_reader(column)
    rows, bad = [], []
    for place, columns in table:
        try:
            text = render(columns)
            problem = "" if text.strip() else f"{column}: expected a text, found an empty one"
        except UserError as error:
            text, problem = "", str(error)
        if problem:
            bad.append(f"{place}: {problem}")
        rows.append({**({"id": columns["id"]} if "id" in columns else {}), "text": text})
    if bad:
        more = f"\n… and {len(bad) - MAX_SHOWN} more" if len(bad) > MAX_SHOWN else ""
        raise UserError(f"{path}: nothing was asked:\n" + "\n".join(bad[:MAX_SHOWN]) + more)
    return rows


def _result(row: dict[str, Any], answer: Any) -> dict[str, Any]:
    record = parse_record(answer.output)
    result = {**row, "record": record}
    if record is None:
        result["output"] = answer.output
    # a record that the limit closed is of the schema, but not what the model was to say
    return {**result, "truncated": True} if answer.truncated else result
