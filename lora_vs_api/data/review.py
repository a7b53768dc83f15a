"""A person's verdicts on a sample of the corpus.

Verdicts are only ever written by the reviewer command (``lora-vs-api review``) or by hand; an email without one counts as unreviewed.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_vs_api.data.formats.csv_rows import csv_rows
from lora_vs_api.data.formats.table_rows import without_empty
from lora_vs_api.data.formats.text import inner_marks, marked_encoding, read_text
from lora_vs_api.data.json_values import json_value
from lora_vs_api.data.table import CsvRows
from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row

VERDICTS = ("accept", "reject", "fix")
COLUMNS = ("id", "text_sha256", "verdict", "reviewer", "reviewed_at", "note", "fixed_record")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Verdict:
    """One line of the verdict file; ``fixed_record`` is set for ``fix`` only."""

    id: str
    text_sha256: str
    verdict: str
    reviewer: str
    reviewed_at: str
    note: str = ""
    fixed_record: dict[str, Any] | None = None


def text_sha256(text: str) -> str:
    """SHA-256 of the text in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def review_sample(rows: Sequence[Row], n: int, seed: int) -> list[Row]:
    """Draw ``n`` rows at random without replacement, in random order.

    Raises:
        UserError: there are fewer than ``n`` rows.
    """
    if not 1 <= n <= len(rows):
        raise UserError(f"review.sample: expected 1..{len(rows)} (the corpus), found {n}")
    return random.Random(seed).sample(list(rows), n)


def read_verdicts(path: str | Path) -> list[Verdict]:
    """Read the verdict file, in file order, as this program or a spreadsheet has saved it.

    Raises:
        UserError: ``path:line`` of the first row that is not a verdict, or a missing file.
    """
    return [_parse(cells, f"{path}:{line}") for line, cells in _rows(path).rows[1:]]


def separator_of(path: str | Path) -> str:
    """What stands between the cells of the verdict file: a comma, or what a spreadsheet has made of it.

    Raises:
        UserError: the file is missing, no verdict file, or in an encoding to which no UTF-8 can be added.
    """
    encoding = marked_encoding(Path(path).read_bytes())
    if encoding not in (None, "utf-8-sig"):
        raise UserError(f"{path}: is in {encoding}; save it as CSV in UTF-8")
    return _rows(path).separator


def _rows(path: str | Path) -> CsvRows:
    """All rows of the verdict file, its header first."""
    header = ",".join(COLUMNS)
    try:
        found = csv_rows(path, inner_marks(read_text(path))[0])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected a CSV with the header {header}") from None
    # a spreadsheet saves rows that were cleared, and columns to the right
    rows = [(line, _without_more(cells)) for line, cells in without_empty(found.rows, [])]
    found = replace(found, rows=rows)
    if not found.rows:
        raise UserError(f"{path}:1: expected the header {header}")
    line, cells = found.rows[0]
    if tuple(cell.strip() for cell in cells) != COLUMNS:
        raise UserError(f"{path}:{line}: expected the header {header}")
    return found


def _without_more(cells: list[str]) -> list[str]:
    """``cells`` without empty ones behind the last column."""
    more = cells[len(COLUMNS) :]
    return cells if any(cell.strip() for cell in more) else cells[: len(COLUMNS)]


def _parse(cells: list[str], where: str) -> Verdict:
    """One verdict from a row's cells; `UserError` starting with ``where`` if it is none."""
    if len(cells) != len(COLUMNS):
        raise UserError(f"{where}: expected {len(COLUMNS)} columns, found {len(cells)}")
    row = dict(zip(COLUMNS, cells, strict=True))
    row["verdict"] = row["verdict"].strip().lower()
    if not row["id"]:
        raise UserError(f"{where}: id: expected the text's id, found nothing")
    if not _SHA256.fullmatch(row["text_sha256"]):
        raise UserError(f"{where}: text_sha256: expected 64 hexadecimal digits")
    if row["verdict"] not in VERDICTS:
        raise UserError(
            f"{where}: verdict: expected one of {', '.join(VERDICTS)}, found {row['verdict']!r}"
        )
    if not row["reviewer"].strip():
        raise UserError(f"{where}: reviewer: expected the reviewer's name, found nothing")
    try:
        datetime.fromisoformat(row["reviewed_at"])
    except ValueError:
        raise UserError(
            f"{where}: reviewed_at: expected an ISO 8601 time such as 2026-11-23T14:00:00+00:00, "
            f"found {row['reviewed_at']!r}"
        ) from None
    fixed: dict[str, Any] | None = None
    if row["verdict"] == "fix":
        try:
            fixed = json_value(row["fixed_record"])
            why = "no object"
        except ValueError as error:
            fixed, why = None, str(error)
        if not isinstance(fixed, dict):
            raise UserError(
                f"{where}: fixed_record: a fix needs the corrected record as JSON, found {row['fixed_record']!r:.40} ({why})"
            )
    elif row["fixed_record"]:
        raise UserError(f"{where}: fixed_record: only a fix has one, not {row['verdict']}")
    return Verdict(
        id=row["id"],
        text_sha256=row["text_sha256"],
        verdict=row["verdict"],
        reviewer=row["reviewer"],
        reviewed_at=row["reviewed_at"],
        note=row["note"],
        fixed_record=fixed,
    )


def current_verdicts(sample: Sequence[Row], verdicts: Sequence[Verdict]) -> dict[str, Verdict]:
    """The verdict in force for each reviewed email of the sample, by email id.

    A verdict belongs to an email only if id and text digest are both the email's; of several
    the last one holds.
    """
    digests = {row["id"]: text_sha256(row["text"]) for row in sample}
    return {entry.id: entry for entry in verdicts if digests.get(entry.id) == entry.text_sha256}


def join_verdicts(sample: Sequence[Row], verdicts_csv_path: str | Path) -> dict[str, int]:
    """Count the sample's emails by verdict.

    Returns:
        ``sample``, ``accepted``, ``rejected``, ``fixed``, ``unreviewed`` (the last four sum to
        the first) and ``verdicts_for_other_texts``: lines of the file about an email or a text
        that is not in the sample.

    Raises:
        UserError: see `read_verdicts`.
    """
    verdicts = read_verdicts(verdicts_csv_path)
    current = current_verdicts(sample, verdicts)
    counts = dict.fromkeys(VERDICTS, 0)
    for entry in current.values():
        counts[entry.verdict] += 1
    emails = {(row["id"], text_sha256(row["text"])) for row in sample}
    others = sum((entry.id, entry.text_sha256) not in emails for entry in verdicts)
    return {
        "sample": len(sample),
        "accepted": counts["accept"],
        "rejected": counts["reject"],
        "fixed": counts["fix"],
        "unreviewed": len(sample) - len(current),
        "verdicts_for_other_texts": others,
    }
