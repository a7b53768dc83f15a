"""Rows that a stray quote has taken into a cell of another one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from lora_vs_api.data.table import CsvRows
from lora_vs_api.errors import UserError


def holds_rows(cell: str) -> bool:
    """Whether a cell between quotes has swallowed whole rows of a file with tabs."""
    return "\t" in cell and ("\n" in cell or "\r" in cell)


def check_no_row_taken_in(path: str | Path, found: CsvRows) -> None:
    """Make sure that no quote at the head of a cell has taken in whole rows, up to another row's quote.

    A text of several lines has such lines only if each of them ends, or begins, with a label of other rows; a label,
    if each of them is a row with such a label in its place.

    Raises:
        UserError: one has, with its line.
    """
    several = _of_several_lines(found)
    if not several:
        return
    single = [row for _, row in found.rows[1:] if not any("\n" in cell for cell in row)]
    ends = [_often(row[0] for row in single), _often(row[-1] for row in single)]
    for line, row in several:
        for place, cell in enumerate(row):
            pieces = re.split(r"\r\n|\n", cell)
            if len(pieces) == 1 or len(row) == 1:
                continue
            if place < len(row) - 1:
                labels = [piece.rpartition(found.separator)[2] for piece in pieces[:-1]]
                known, cut = ends[1], pieces[:-1]
            else:
                labels = [piece.partition(found.separator)[0] for piece in pieces[1:]]
                known, cut = ends[0], pieces[1:]
            taken_in = all(found.separator in piece for piece in cut) and known.issuperset(labels)
            if not taken_in:
                cut, labels = pieces[1:], _labels_of_rows(pieces, place, len(row), found.separator)
                known = _often(row[place] for row in single if len(row) > place)
                taken_in = bool(labels) and known.issuperset(labels)
            if taken_in:
                raise UserError(
                    f"{path}:{line}: a quote opens a cell that takes in {len(cut)} more line{'s' * (len(cut) > 1)}, with a "
                    f"label of other rows each ({labels[0]!r:.40}); put a text with quotes between quotes, each of its "
                    "own written twice"
                )


def _of_several_lines(found: CsvRows) -> list[tuple[int, list[str]]]:
    """The rows below the header a cell of which goes over several lines."""
    return [(line, row) for line, row in found.rows[1:] if any("\n" in cell for cell in row)]


def taken_in(found: CsvRows) -> str | None:
    """What to say where every cell of several lines seems to go over the ends of rows; None where one does not.

    Each of its lines has a separator, and the row's first and last line as many as the header: a quote that opens a
    text, and one at the end of another row's, look so. So do some texts, such as a short letter's.
    """
    if found.unquoted:
        return None
    first: tuple[int, int] | None = None
    for line, row in _of_several_lines(found):
        places = [place for place, cell in enumerate(row) if "\n" in cell]
        pieces = re.split(r"\r\n|\n", row[places[0]])
        counts = [piece.count(found.separator) for piece in pieces]
        others = len(row) - 1 - places[0]
        whole = counts[0] + places[0] == counts[-1] + others == len(found.rows[0][1]) - 1
        if len(places) > 1 or not (whole and all(counts[1:-1])):
            return None
        first = first or (line, line + len(pieces) - 1)
    if first is None:
        return None
    return (
        f"lines {first[0]} to {first[1]} are one row, a cell of which is in quotes, though each of them looks like one: if they "
        "are rows, put a text with quotes between quotes, each of its own written twice"
    )


def _labels_of_rows(pieces: Sequence[str], place: int, width: int, separator: str) -> list[str]:
    """What stands in the column ``place`` of the rows that a cell of it may have taken in; empty where it has none.

    The cell's own value is the first piece, where the quote opened before it, or the last, where that column is the first.
    """
    alone, rows = (pieces[-1], pieces[:-1]) if place == 0 else (pieces[0], pieces[1:])
    if any(row.count(separator) < width - 1 for row in rows):
        return []
    # counted from the nearer end: a text may hold the separator
    at = place if place < width / 2 else place - width
    return [alone, *(row.split(separator)[at] for row in rows)]


def _often(values: Iterable[str]) -> set[str]:
    """Those of ``values`` that stand there again and again, as labels do."""
    counts = Counter(values)
    few = 2 * len(counts) <= sum(counts.values())
    return {value for value, count in counts.items() if few and count > 1 and value.strip()}
