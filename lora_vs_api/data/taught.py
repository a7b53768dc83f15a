"""Training records from a teacher's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field, completed
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.record.rows import Row
from lora_vs_api.validation.records import violations

# ids that a message names at most
SHOWN = 10


@dataclass(frozen=True)
class Taught:
    """The texts with the teacher's records, and the ids of those whose answer is no valid record."""

    rows: list[Row]
    left_out: list[str]

    @property
    def asked(self) -> int:
        return len(self.rows) + len(self.left_out)

    def in_words(self, teacher: str) -> str:
        more = ", …" if len(self.left_out) > SHOWN else ""
        return (
            f"{len(self.left_out):,} of {self.asked:,} answers of {teacher} to the training texts are no "
            f"valid record and are left out: {', '.join(self.left_out[:SHOWN])}{more}"
        )


def taught(
    rows: Sequence[Mapping[str, Any]],
    predictions: Sequence[Mapping[str, Any]],
    fields: tuple[Field, ...],
    teacher: str,
    max_left_out: float,
) -> Taught:
    """The training ``rows`` with the records that the teacher answered, in their order.

    Args:
        rows: id and text of each; a gold record is not read.
        predictions: id and output of each answer, one for each row in the same order.
        max_left_out: share of the texts, 0 to below 1, whose answer may be no record of the schema.

    Raises:
        UserError: there are no texts, the answers are to other ones, none is a valid record, or too
            few are.
    """
    if not rows:
        raise UserError(
            "training_labels: expected training texts for the teacher to label, found none"
        )
    if [row["id"] for row in rows] != [line["id"] for line in predictions]:
        raise UserError(
            f"training_labels: the answers of {teacher} are not those to the training texts in their "
            "order; run `dvc repro` to make them again"
        )
    kept: list[Row] = []
    left_out = []
    for row, line in zip(rows, predictions):
        answer = parse_record(line["output"])
        # a key that may be empty and is not there says nothing, as in the user's own file
        record = None if answer is None else completed(answer, fields)
        if record is None or violations(record, fields):
            left_out.append(row["id"])
        else:
            kept.append({"id": row["id"], "text": row["text"], "record": record})
    found = Taught(kept, left_out)
    share = len(left_out) / found.asked
    if not kept or share > max_left_out:
        raise UserError(
            f"training_labels.max_left_out: expected a share of at most {max_left_out:g}, found "
            f"{share:.3g}: {found.in_words(teacher)}"
        )
    return found
