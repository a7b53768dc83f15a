"""Rows as Mechanical Turk gives its results: beside what was asked and answered, everything about task and worker.

Source: https://docs.aws.amazon.com/AWSMechTurk (``Input.`` and ``Answer.`` columns of a batch's results).
"""

from __future__ import annotations

from lora_vs_api.data.table import Rows, Table

_OWN = {"HITId", "AssignmentId", "WorkerId"}
_KEPT = ("Input.", "Answer.")
_STATUS, _REJECTED = "AssignmentStatus", "Rejected"


def asked_and_answered(table: Table) -> Table:
    """``table`` without what is about task and worker, and without answers that were rejected; another one as it is."""
    names = dict.fromkeys(name for _, row in table.rows for name in row)
    if not names.keys() >= _OWN or not any(name.startswith(_KEPT) for name in names):
        return table
    rows: Rows = [
        (place, {name: value for name, value in row.items() if name.startswith(_KEPT)})
        for place, row in table.rows
        if row.get(_STATUS) != _REJECTED
    ]
    notes = [f"{sum(not n.startswith(_KEPT) for n in names)} columns about task and worker: Mechanical Turk's own, left out"]  # fmt: skip
    if len(rows) < len(table.rows):
        notes.append(f"{len(table.rows) - len(rows):,} answers that were rejected, left out")
    return Table(rows, [*table.notes, *notes], table.conversations, table.instruction)
