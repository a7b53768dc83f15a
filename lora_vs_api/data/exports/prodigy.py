"""Rows as Prodigy exports them: beside what was labelled, what somebody decided of the row, and its own bookkeeping.

Source: https://prodi.gy/docs/api-interfaces (``answer``, ``_input_hash``, ``_task_hash``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_vs_api.data.table import Rows, Table

_HASH, _ANSWER = "_task_hash", "answer"
_ANSWERS = {"accept", "reject", "ignore"}
# what the annotator was shown, and words with their places
_SHOWN = ("tokens", "options", "config", "meta", "html")


def accepted(table: Table) -> Table:
    """``table`` without rows that were rejected or ignored, and without Prodigy's own columns; another one as it is."""
    if not any(_HASH in row for _, row in table.rows):
        return table
    judged = 0
    own = dict.fromkeys(
        name for _, row in table.rows for name in row if name[:1] == "_" or name in _SHOWN
    )
    rows: Rows = []
    left_out = 0
    for place, row in table.rows:
        # in CSV a row that nobody decided on has an empty cell
        if (row.get(_ANSWER) or "accept") == "accept":
            kept = {name: value for name, value in row.items() if name not in (*own, _ANSWER)}
            judged += any(map(_are_judged, kept.values()))
            rows.append((place, {name: _accepted_of(value) for name, value in kept.items()}))
        else:
            left_out += 1
    notes = [f"{', '.join(own)}: Prodigy's own, left out"]
    if left_out:
        notes.append(f"{left_out:,} rows whose {_ANSWER} is not accept, left out")
    if judged:
        notes.append(
            f"spans with an {_ANSWER} of their own in {judged:,} rows: those that are not accept, left out"
        )
    return Table(rows, [*table.notes, *notes], table.conversations, table.instruction)


def _are_judged(value: Any) -> bool:
    """Whether these are spans, each with an answer of its own."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(span, Mapping) and span.get(_ANSWER) in _ANSWERS for span in value)
    )


def _accepted_of(value: Any) -> Any:
    """The spans that were accepted, without their answers; anything else as it is."""
    if not _are_judged(value):
        return value
    accepted = (span for span in value if span[_ANSWER] == "accept")
    return [{key: item for key, item in span.items() if key != _ANSWER} for span in accepted]
