"""Reading a labelled corpus, with every line checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from sys import intern
from typing import Any

from lora_vs_api.errors import UserError
from lora_vs_api.task.schema import Field, violations


def read_corpus(path: str | Path, fields: Sequence[Field]) -> list[dict[str, Any]]:
    """Read JSONL lines ``{"id", "text", "record", "meta"}`` and check each one.

    ``id`` is a unique non-empty string, ``text`` a string with something in it, ``record`` an
    object that obeys ``fields``; ``meta`` is optional and an object.

    Returns:
        The rows in file order.

    Raises:
        UserError: ``path:line`` of the first bad line, what is wrong with it, and the number of
            further bad lines; or the file is missing or holds no line.
    """
    rows: list[dict[str, Any]] = []
    bad: list[str] = []
    line_of_id: dict[str, int] = {}
    try:
        # bytes, so that a line that is not UTF-8 is known by its number and only \n ends a line
        with open(path, "rb") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    row = json.loads(line.decode("utf-8"), object_pairs_hook=_shared_keys)
                    problem = _problem(row, fields, line_of_id)
                except UnicodeDecodeError:
                    problem = "not valid UTF-8"
                except json.JSONDecodeError as error:
                    problem = f"not valid JSON: {error.msg}"
                if problem:
                    bad.append(f"{path}:{number}: {problem}")
                else:
                    line_of_id[row["id"]] = number
                    rows.append(row)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected one row a line as JSON") from None
    if bad:
        more = len(bad) - 1
        suffix = f" (and {more} more bad line{'s' if more > 1 else ''})" if more else ""
        raise UserError(bad[0] + suffix)
    if not rows:
        raise UserError(f"{path}: no rows in it; expected one a line as JSON")
    return rows


def _shared_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Every row's keys are the same strings, instead of a copy for each of them."""
    return {intern(key): value for key, value in pairs}


def _problem(row: Any, fields: Sequence[Field], line_of_id: Mapping[str, int]) -> str:
    """What is wrong with one line; empty if nothing is."""
    if not isinstance(row, dict):
        return f"expected a JSON object, found {type(row).__name__}"
    for key in ("id", "text", "record"):
        if key not in row:
            return f"{key}: missing; expected the keys id, text and record"
    for key in ("id", "text"):
        if not isinstance(row[key], str) or not row[key].strip():
            return f"{key}: expected a non-empty string, found {row[key]!r:.60}"
    if not isinstance(row["record"], dict):
        return f"record: expected an object, found {type(row['record']).__name__}"
    if not isinstance(row.get("meta", {}), dict):
        return f"meta: expected an object, found {type(row['meta']).__name__}"
    if row["id"] in line_of_id:
        return f"id: {row['id']!r} is already on line {line_of_id[row['id']]}; expected unique ids"
    problems = violations(row["record"], tuple(fields))
    return f"record.{problems[0]}" if problems else ""
