"""Rows as crowd-sourcing gives its results: beside what was asked and answered, everything about task and worker.

Sources: https://docs.aws.amazon.com/AWSMechTurk (``Input.`` and ``Answer.`` columns of a batch's results),
https://toloka.ai/docs/guide/concepts/result-of-eval.html (``INPUT:`` and ``OUTPUT:``).
"""

from __future__ import annotations

from dataclasses import dataclass

from lora_vs_api.data.table import Rows, Table, names_of


@dataclass(frozen=True)
class _Crowd:
    """How a service's results are known, and what of them is asked and answered.

    Attributes:
        own: columns of its own, by which it is known.
        kept: how the names of those begin that are kept.
        status: the column that says whether an answer counts.
        refused: its values for one that does not.
    """

    name: str
    own: frozenset[str]
    kept: tuple[str, str]
    status: str
    refused: tuple[str, ...]


_CROWDS = (
    _Crowd(
        "Mechanical Turk",
        frozenset({"HITId", "AssignmentId", "WorkerId"}),
        ("Input.", "Answer."),
        "AssignmentStatus",
        ("Rejected",),
    ),
    _Crowd(
        "Toloka",
        frozenset({"ASSIGNMENT:worker_id", "ASSIGNMENT:status"}),
        ("INPUT:", "OUTPUT:"),
        "ASSIGNMENT:status",
        ("REJECTED", "SKIPPED", "EXPIRED"),
    ),
)


def asked_and_answered(table: Table) -> Table:
    """``table`` without what is about task and worker, and without answers that were rejected; another one as it is."""
    names = names_of(row for _, row in table.rows)
    crowd = next((found for found in _CROWDS if set(names) >= found.own), None)
    if crowd is None or not any(name.startswith(crowd.kept) for name in names):
        return table
    rows: Rows = [
        (place, {name: value for name, value in row.items() if name.startswith(crowd.kept)})
        for place, row in table.rows
        if row.get(crowd.status) not in crowd.refused
    ]
    others = sum(not name.startswith(crowd.kept) for name in names)
    notes = [f"{others} columns about task and worker: {crowd.name}'s own, left out"]
    if len(rows) < len(table.rows):
        notes.append(f"{len(table.rows) - len(rows):,} answers that were rejected, left out")
    return Table(rows, [*table.notes, *notes], table.conversations, table.instruction)
