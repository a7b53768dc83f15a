"""Rows as Prodigy exports them: beside what was labelled, what somebody decided of the row, and its own bookkeeping.

Source: https://prodi.gy/docs/api-interfaces (``answer``, ``_input_hash``, ``_task_hash``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lora_vs_api.data.table import Rows, Table

_HASH, _ANSWER = "_task_hash", "answer"
_LABEL, _SPANS = "label", "spans"
_DECIDED = ("accept", "reject")
# rows that are enough to tell a yes-or-no session from a few rows of one label
MIN_DECIDED = 10
_ANSWERS = {"accept", "reject", "ignore"}
# what the annotator was shown, and words with their places
_SHOWN = ("tokens", "options", "config", "meta", "html", "score", "priority")


def accepted(table: Table) -> Table:
    """``table`` without rows that were rejected or ignored, and without Prodigy's own columns; another one as it is."""
    if not any(_HASH in row for _, row in table.rows):
        return table
    own = dict.fromkeys(
        name for _, row in table.rows for name in row if name[:1] == "_" or name in _SHOWN
    )
    label = _only_label(table.rows)
    if label is None:
        rows, notes = _labelled(table.rows, own)
    else:
        rows, notes = _decided(table.rows, own, label)
    notes = [*table.notes, f"{', '.join(own)}: Prodigy's own, left out", *notes]
    return Table(rows, notes, table.conversations, table.instruction)


def _decided(rows: Rows, own: Collection[str], label: str) -> tuple[Rows, list[str]]:
    """The rows of a yes-or-no session with what was decided, and what is to be said of them."""
    kept: Rows = [
        (place, {name: value for name, value in row.items() if name not in (*own, _SPANS)})
        for place, row in rows
        if row.get(_ANSWER) in _DECIDED
    ]
    notes = [
        f"label: {label!r} in every row, so that what was decided of it ({_ANSWER}: accept or reject) is kept"
    ]
    if len(kept) < len(rows):
        notes.append(f"{len(rows) - len(kept):,} rows that were ignored, left out")
    return kept, notes


def _labelled(given: Rows, own: Collection[str]) -> tuple[Rows, list[str]]:
    """The rows that were accepted, and what is to be said of the others."""
    rows: Rows = []
    left_out = judged = 0
    for place, row in given:
        # in CSV a row that nobody decided on has an empty cell
        if (row.get(_ANSWER) or "accept") == "accept":
            kept = {name: value for name, value in row.items() if name not in (*own, _ANSWER)}
            judged += any(map(_are_judged, kept.values()))
            rows.append((place, {name: _accepted_of(value) for name, value in kept.items()}))
        else:
            left_out += 1
    notes = []
    if left_out:
        notes.append(f"{left_out:,} rows whose {_ANSWER} is not accept, left out")
    if judged:
        notes.append(
            f"spans with an {_ANSWER} of their own in {judged:,} rows: those that are not accept, left out"
        )
    return rows, notes


def _only_label(rows: Rows) -> str | None:
    """The label that every row of a yes-or-no session has; None where rows were labelled otherwise."""
    labels = {row.get(_LABEL) for _, row in rows if isinstance(row.get(_LABEL), str)}
    decided = [row.get(_ANSWER) for _, row in rows if row.get(_ANSWER) in _DECIDED]
    # choices and relations are lists; spans are what the patterns of such a session have found
    others = any(
        isinstance(value, list) and value
        for _, row in rows
        for name, value in row.items()
        if name not in (*_SHOWN, _SPANS)
    )
    if len(labels) != 1 or others or len(decided) < MIN_DECIDED or set(decided) != set(_DECIDED):
        return None
    return str(labels.pop())


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
