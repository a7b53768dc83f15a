"""Rows as Argilla exports them: beside every text what each annotator answered, and what a model had suggested.

Sources: https://docs.argilla.io (records as JSON and as a dataset of the Hub; version 1's FeedbackDataset).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lora_vs_api.data.table import Rows, Table, names_of

# what version 1 keeps of an answer, and how version 2 calls its columns
_ANSWER = {"value", "user_id", "status"}
_RESPONSES = ".responses"
_ASIDE = re.compile(
    r"(.+?)(?:\.responses\.(?:users|status)|[.-]suggestion(?:[.-](?:score|agent|metadata))?)"
)


def answered(table: Table) -> Table:
    """``table`` with one answer a row and question, where all who answered agree, and without suggestions.

    Another table as it is.
    """
    rows = [(place, _lifted(row)) for place, row in table.rows]
    names = names_of(row for _, row in rows)
    questions = {name: name.removesuffix(_RESPONSES) for name in names if _is_question(rows, name)}
    if not questions:
        return table
    aside = [
        name
        for name in names
        if (beside := _ASIDE.fullmatch(name)) and beside[1] in questions.values()
    ]
    left_out = {*aside, "suggestions", "vectors"} & set(names)
    found: Rows = []
    apart = 0
    for place, row in rows:
        kept = {
            name: value for name, value in row.items() if name not in left_out | questions.keys()
        }
        for name, question in questions.items():
            values = [_value(one) for one in row.get(name) or [] if _is_submitted(one)]
            differ = len({json.dumps(value, sort_keys=True) for value in values}) > 1
            apart += differ
            kept[question] = None if differ or not values else values[0]
        found.append((place, kept))
    notes = [
        f"{', '.join(questions.values())}: what Argilla's annotators answered, where they agree"
    ]
    if apart:
        notes.append(f"{apart:,} answers on which annotators differ: none there")
    if left_out:
        notes.append(
            f"{', '.join(name for name in names if name in left_out)}: Argilla's own, left out"
        )
    return Table(found, [*table.notes, *notes], table.conversations, table.instruction)


def _lifted(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row with a column for each question, where version 2 has all of them in one object."""
    responses = row.get("responses")
    if not isinstance(responses, Mapping) or "fields" not in row:
        return row
    fields = row["fields"] if isinstance(row["fields"], Mapping) else {}
    rest = {name: value for name, value in row.items() if name not in ("responses", "fields")}
    return {**rest, **fields, **{f"{name}{_RESPONSES}": value for name, value in responses.items()}}


def _is_question(rows: Rows, name: str) -> bool:
    cells = [cell for _, row in rows if (cell := row.get(name))]
    if not cells or not all(isinstance(cell, list) for cell in cells):
        return False
    answers = [one for cell in cells for one in cell]
    if all(
        isinstance(one, Mapping) and "value" in one and one.keys() <= _ANSWER for one in answers
    ):
        return any(len(one) > 1 for one in answers)
    return name.endswith(_RESPONSES) and any(f"{name}.status" in row for _, row in rows)


def _is_submitted(one: Any) -> bool:
    return not isinstance(one, Mapping) or one.get("status", "submitted") == "submitted"


def _value(one: Any) -> Any:
    return one["value"] if isinstance(one, Mapping) else one
