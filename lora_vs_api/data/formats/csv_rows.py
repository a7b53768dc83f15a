"""CSV as spreadsheets and other programs write it: separators, quotes, and what stands around them."""

from __future__ import annotations

import csv
import io
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lora_vs_api.data.formats.dumps import (
    ESCAPED,
    SEPARATOR_LINE,
    dumped,
    is_even,
    is_table,
    unquoted,
)
from lora_vs_api.data.formats.taken_in import check_no_row_taken_in, holds_rows, taken_in
from lora_vs_api.data.table import CsvRows
from lora_vs_api.errors import UserError

# the first row, a line end between quotes included, and what of it stands between quotes
_FIRST_ROW, _QUOTED = re.compile(r'(?:[^"\r\n]|"[^"]*")*'), re.compile(r'"[^"]*"')
# a header whose names all stand between single quotes, as some databases and Weka write cells
_SINGLE_QUOTES = re.compile(
    r"'[^'\"\r\n]*'(?:([,;\t|])'[^'\"\r\n]*')(?:\1'[^'\"\r\n]*')*[ \t]*(?=[\r\n])"
)
_NULL_CELL = re.compile(r"(?m)[,;\t|]\\N(?=[,;\t|\r\n]|\Z)|^\\N(?=[,;\t|])")
# the line below the header, or above it, of a table that is drawn
_DRAWN = re.compile(r"\s*(?:[|+][|+:=\s-]*-{3,}|:?-{3,}:?\s*[|+])[|+:=\s-]*")
# the likelier first
SEPARATORS = (",", ";", "\t", "|")
# of a cell; the csv module's own limit is 131,072 characters
_LONGEST_CELL = 2**31 - 1
# within a row, outside of quotes
_CUT = re.compile(r'^(?:[^"\r\n]|"[^"]*")*\r(?!\n)(?=[^\n]*[^\s])', re.M)


def csv_rows(path: str | Path, text: str, separator: str | None = None) -> CsvRows:
    """The rows of ``text``, the content of the CSV file ``path``.

    Without a ``separator`` the first row decides, whatever stands there between quotes: commas and
    semicolons in the texts below would mislead. Where it has several that could be one, the first of
    them, by how often they stand there, that cuts all rows into as many cells as the first. A file that is
    no CSV as it stands is read with ``\\"`` for a quote within a cell where that makes a table of it. Between
    tabs, a quote that opens no cell is one of the text, where that makes a table of it.

    Raises:
        UserError: with the line on which a row begins that is not valid CSV.
    """
    single = _SINGLE_QUOTES.match(text)
    if single and separator in (None, single[1]):
        rows = _rows(path, text, single[1], 1, quote="'")
        return CsvRows(rows, single[1], named=False, single=True)
    below = _single_below(path, text, separator)
    if below is not None:
        return below
    _check_not_drawn(path, text)
    dump = dumped(text, separator)
    if dump is not None:
        return dump
    # MySQL's OUTFILE between quotes: a backslash before a line end is no part of the text
    if "\\\n" in text and _NULL_CELL.search(text):
        escaped = _escaped(path, text, separator)
        if escaped is not None:
            return escaped
    try:
        found = _csv_rows(path, text, separator)
    except UserError:
        if '\\"' in text:
            escaped = _escaped(path, text, separator)
            if escaped is not None:
                return escaped
        plain = unquoted(text, separator)
        if plain is None:
            raise
        return plain
    held = [cell for _, row in found.rows for cell in row if holds_rows(cell)]
    if found.separator == "\t" and held:
        # in no text of several lines is each of those between its first and its last a whole row
        opened = any(cell.count("\n") > 1 for cell in held)
        found = unquoted(text, separator, opened=opened) or found
    check_no_row_taken_in(path, found)
    return replace(found, doubt=taken_in(found))


def _single_below(path: str | Path, text: str, separator: str | None) -> CsvRows | None:
    """The rows of a file some cells of which stand between single quotes, below a header without any; None of any other.

    Told from texts that begin so by one of their own that is written twice, or by a separator between them.
    """
    for mark in SEPARATORS if separator is None else (separator,):
        opens = re.search(rf"(?m)(?:^|{re.escape(mark)})'", text)
        if opens is None or mark not in text.partition("\n")[0]:
            continue
        with suppress(UserError):
            rows = _rows(path, text, mark, 1, quote="'")
            if not is_table(rows):
                continue
            plain = [line.split(mark) for line in text.splitlines() if line]
            cut = len({len(cells) for cells in plain}) > 1
            if cut or re.search(rf"(?m)(?:^|{re.escape(mark)})'[^\r\n]*\w?''(?!')", text):
                return CsvRows(rows, mark, named=False, single=True)
    return None


def _escaped(path: str | Path, text: str, separator: str | None) -> CsvRows | None:
    """The rows of a file with backslashes before quotes within cells, where these make a table of it."""
    for mark in SEPARATORS if separator is None else (separator,):
        with suppress(UserError):
            found = _csv_rows(path, _doubled(text, mark), mark)
            if is_table(found.rows):
                return replace(found, escaped=True)
    return None


def _check_not_drawn(path: str | Path, text: str) -> None:
    """Make sure that a table is not drawn with lines: its blanks would be part of the cells."""
    for number, line in enumerate(text[:10_000].split("\n")[:3], start=1):
        # a text between quotes may well hold such a table
        if '"' in line:
            return
        if _DRAWN.fullmatch(line):
            raise UserError(
                f"{path}:{number}: a table drawn with lines, as psql, mysql and Markdown show one; save it as CSV (psql --csv) "
                "or with tabs (mysql --batch, as .tsv)"
            )


def _doubled(text: str, separator: str) -> str:
    """``text`` with the quotes within quoted cells doubled, as CSV has them, that have a backslash."""
    cell = rf'(?<![^{re.escape(separator)}\r\n])"(?:[^"\\]|\\.|"")*"'
    return re.sub(cell, lambda found: ESCAPED.sub(_plain, found[0]), text, flags=re.DOTALL)


def _plain(escaped: re.Match[str]) -> str:
    return {'"': '""', "\\": "\\", "\n": "\n"}.get(escaped[1], escaped[0])


def _csv_rows(path: str | Path, text: str, separator: str | None) -> CsvRows:
    named = SEPARATOR_LINE.match(text)
    first = 1
    if named:
        separator, text, first = named[1], text[named.end() :], 2
    if separator is not None:
        return _opened_late(path, text, separator, first) or CsvRows(
            _rows(path, text, separator, first), separator, bool(named)
        )
    head = _FIRST_ROW.match(text)
    bare = _QUOTED.sub("", head[0]) if head else ""
    likely = sorted(SEPARATORS, key=lambda mark: -bare.count(mark))
    if bare.count(likely[0]) == len(re.findall(re.escape(likely[0]) + " ", bare)) > 0:
        with suppress(UserError):
            rows = _rows(path, text, likely[0], first, spaced=True)
            if is_even(rows) and _is_spaced(path, text, likely[0], first):
                return CsvRows(rows, likely[0], False, spaced=True)
    late = _opened_late(path, text, likely[0], first)
    if late is not None:
        return late
    for mark in likely if bare.count(likely[1]) else ():
        try:
            rows = _rows(path, text, mark, first)
        except UserError:
            continue
        if is_table(rows):
            return CsvRows(rows, mark, False)
    return CsvRows(_rows(path, text, likely[0], first), likely[0], False)


def _opened_late(path: str | Path, text: str, separator: str, first: int) -> CsvRows | None:
    """The rows of a file in which quotes open cells behind a blank, below a header without one; None of any other."""
    if not re.search(rf'{re.escape(separator)} +"', text):
        return None
    try:
        rows = _rows(path, text, separator, first, spaced=True)
    except UserError:
        return None
    if not is_table(rows):
        return None
    # without them it may be a table all the same, whose cells would keep their quotes
    with suppress(UserError):
        plain = _rows(path, text, separator, first)
        late = [cell for _, row in plain for cell in row if cell.lstrip(" ")[:1] == '"' != cell[:1]]
        if is_even(plain) and not (late and all(cell.endswith('"') for cell in late)):
            return None
    return CsvRows(rows, separator, named=first > 1, spaced=True)


def _is_spaced(path: str | Path, text: str, separator: str, first: int) -> bool:
    """Whether the blank behind the header's separators is none of the cells.

    It stands behind every separator of every row, but for one that ends a line; or a cell that a quote opens
    behind it makes no table of the file otherwise.
    """
    mark = re.escape(separator)
    cell = rf'(?<![^{mark}\r\n])( *)"(?:[^"]|"")*"'
    if not re.search(rf"{mark}(?![ \r\n]|\Z)", re.sub(cell, r"\1", text)):
        return True
    try:
        return not is_even(_rows(path, text, separator, first))
    except UserError:
        return True


def _rows(
    path: str | Path,
    text: str,
    separator: str,
    first: int,
    spaced: bool = False,
    quote: str = '"',
) -> list[tuple[int, list[str]]]:
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quotechar=quote,
        skipinitialspace=spaced,
        strict=True,
    )
    if "\n" in text and (cut := _CUT.search(text)) and separator not in text.partition("\n")[0]:
        # one column of texts, each row of which ends with a line feed
        raise UserError(
            f"{path}:{text.count(chr(10), 0, cut.start()) + first}: a carriage return stands within a text, where a row would "
            "end; put quotes around such a text, or take the sign out"
        )
    rows, line = [], first
    try:
        for cells in reader:
            if cells:
                rows.append((line, cells))
            # a quoted cell may hold line ends: the next row starts after them
            line = reader.line_num + first
    except csv.Error as error:
        raise UserError(
            f"{path}:{line}: not valid CSV: {_of_csv(str(error))}{_uneven(text, separator)}"
        ) from None
    return rows


def _of_csv(said: str) -> str:
    """The csv module's words, and what they mean."""
    if "expected after" in said:
        return f"{said}; a cell with a quote in it stands between quotes, and each of its own is written twice"
    if said == "unexpected end of data":
        return "a quote opens a cell that no other closes; one within a text is put between quotes and written twice"
    return said


def _uneven(text: str, separator: str) -> str:
    """The line that keeps a file with tabs from being read with its quotes as signs of the text; empty where none does."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line]
    if separator != "\t" or not lines:
        return ""
    width = lines[0][1].count("\t") + 1
    odd = [
        (number, line.count("\t") + 1) for number, line in lines if line.count("\t") + 1 != width
    ]
    if not odd or 10 * len(odd) > len(lines):
        return ""
    return f"; if no quote encloses a cell here, line {odd[0][0]} is at fault, with {odd[0][1]} cells instead of {width}"
