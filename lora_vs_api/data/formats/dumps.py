"""Tables without quotes around cells: databases' dumps with their escapes, and tabs between plain cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from lora_vs_api.data.table import CsvRows

# Excel's own first line, which names the separator
SEPARATOR_LINE = re.compile(r'"?sep=([^\r\n"])"?[ \t]*(?:\r\n|\n|\r|$)', re.IGNORECASE)
# what databases write for null between tabs, and the escapes that they write with it
NULL = r"\N"
_DUMP = re.compile(r"(?m)(?:^|\t)\\N(?=[\t\r\n]|\Z)")
_ESCAPES = {
    "\n": "\n",
    "\t": "\t",
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "\\": "\\",
}
# of the rows may have a cell that is a quotation as a whole, in a file without quotes around cells
FEW_WHOLE = 0.1
# a character with a backslash before it
ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def is_even(rows: Sequence[tuple[int, Sequence[str]]]) -> bool:
    """Whether all rows have as many cells."""
    return len({len(cells) for _, cells in rows}) == 1


def is_table(rows: Sequence[tuple[int, Sequence[str]]]) -> bool:
    """Whether all rows have as many cells, and more than one."""
    return is_even(rows) and len(rows[0][1]) > 1


def dumped(text: str, separator: str | None) -> CsvRows | None:
    """The rows of a file as PostgreSQL's COPY and MySQL's OUTFILE write it, its escapes undone; None for any other.

    It has tabs, no cells between quotes, a null or a backslash that is written twice, and no backslash that begins none
    of its escapes.
    """
    null = _DUMP.search(text) is not None
    # MySQL's OUTFILE has a backslash before a line end and a tab within a cell
    within = re.search(r"\\[\n\t]", text) is not None
    if not (null or within or r"\\" in text):
        return None
    found = _unenclosed(text, separator) if within else unquoted(text, separator)
    if found is None:
        return None
    # without a null, a cell between quotes is one of another program
    if not null and any(cell.startswith('"') for _, row in found.rows for cell in row):
        return None
    escapes = {mark for _, row in found.rows for cell in row for mark in _escapes_of(cell)}
    if not escapes <= _ESCAPES.keys():
        return None
    rows = [(line, [_unescaped(cell) for cell in row]) for line, row in found.rows]
    return replace(found, rows=rows, unquoted='"' in text, dumped=bool(escapes))


def _unenclosed(text: str, separator: str | None) -> CsvRows | None:
    """The rows of a file with tabs whose cells may hold line ends and tabs behind a backslash; None where it is no table."""
    if separator not in (None, "\t") or "\t" not in text.partition("\n")[0]:
        return None
    rows: list[tuple[int, list[str]]] = []
    line = 1
    for row in _cut(text, "\n"):
        if row:
            rows.append((line, _cut(row, "\t")))
        line += row.count("\n") + 1
    return CsvRows(rows, "\t", named=False, unquoted=True) if is_table(rows) else None


def _cut(text: str, mark: str) -> list[str]:
    """What stands between the marks that have no backslash before them."""
    parts, start = [], 0
    for found in re.finditer(rf"\\.|{mark}", text, re.DOTALL):
        if found[0] == mark:
            parts.append(text[start : found.start()])
            start = found.end()
    return [*parts, text[start:]]


def _escapes_of(cell: str) -> list[str]:
    """What stands behind the backslashes of a cell that is no null, an empty text behind one at its end."""
    return [] if cell == NULL else re.findall(r"\\(.?)", cell, re.DOTALL)


def _unescaped(cell: str) -> str:
    return cell if cell == NULL else ESCAPED.sub(lambda found: _ESCAPES[found[1]], cell)


def unquoted(text: str, separator: str | None, opened: bool = False) -> CsvRows | None:
    """The rows of a file with tabs that has no cells between quotes (pandas' QUOTE_NONE), else None.

    Commas stand in texts, too, so that only tabs tell: every line is a row of as many cells as the first. Where a quote is
    known to have ``opened`` a cell that takes in rows, one at another cell's end closes none.
    """
    if separator not in (None, "\t") or SEPARATOR_LINE.match(text):
        return None
    lines = [(line, part) for line, part in enumerate(re.split(r"\r\n|\n|\r", text), 1) if part]
    rows = [(line, part.split("\t")) for line, part in lines]
    cells = [cell for _, row in rows for cell in row]
    # a cell that begins between quotes ends so, be it on another line
    closed = [cell for cell in cells if len(cell) > 1 and cell.endswith('"')]
    # a text that somebody has said from its first word to its last
    whole = sum(cell.startswith('"') for cell in closed)
    if not is_table(rows) or whole > FEW_WHOLE * len(rows):
        return None
    if any(cell.count('"') % 2 and not opened for cell in closed if not cell.startswith('"')):
        return None
    return CsvRows(rows, "\t", named=False, unquoted=True)
