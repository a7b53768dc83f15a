"""Text files as spreadsheets and other programs save them: encodings, separators, quoted cells."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lora_vs_api.errors import UserError

# longest first: UTF-32's mark begins with UTF-16's
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# what files of other kinds begin with
_KINDS = (
    (b"PK\x03\x04", "an Excel workbook or another zip file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "a gzip file"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"FEA1", "a Feather file"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"7z\xbc\xaf", "a 7z file"),
    (b"Rar!", "a RAR file"),
    (b"%PDF-", "a PDF"),
    (b"{\\rtf", "a text with formats (RTF)"),
    (b"<?xml", "XML"),
)
# marks of letters alone may begin a text (ORCID,name), which has none of these bytes
_LETTERS = (b"PAR1", b"ARROW1", b"FEA1", b"ORC", b"BZh", b"Rar!")
_CONTROL = re.compile(rb"[\x00\x02-\x08\x0e-\x1e]")
# the beginning of a web page, in lower case
_PAGE = re.compile(
    rb"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!doctype html|<html|<head|<table)", re.DOTALL
)
# Excel's own first line, which names the separator
_SEPARATOR_LINE = re.compile(r'"?sep=([^\r\n"])"?[ \t]*(?:\r\n|\n|\r|$)', re.IGNORECASE)
# the first row, a line end between quotes included, and what of it stands between quotes
_FIRST_ROW, _QUOTED = re.compile(r'(?:[^"\r\n]|"[^"]*")*'), re.compile(r'"[^"]*"')
# a header whose names all stand between single quotes, as some databases and Weka write cells
_SINGLE_QUOTES = re.compile(
    r"'[^'\"\r\n]*'(?:([,;\t|])'[^'\"\r\n]*')(?:\1'[^'\"\r\n]*')*[ \t]*(?=[\r\n])"
)
# what databases write for null between tabs, and the escapes that they write with it
NULL = r"\N"
_DUMP = re.compile(r"(?m)(?:^|\t)\\N(?=[\t\r\n]|\Z)")
_NULL_CELL = re.compile(r"(?m)[,;\t|]\\N(?=[,;\t|\r\n]|\Z)|^\\N(?=[,;\t|])")
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
# the line below the header, or above it, of a table that is drawn
_DRAWN = re.compile(r"\s*(?:[|+][|+:=\s-]*-{3,}|:?-{3,}:?\s*[|+])[|+:=\s-]*")
# a character with a backslash before it
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# what no text of latin-1 has, control characters that are none of ASCII's
_C1 = re.compile("[\x80-\x9f]")
# the likelier first
SEPARATORS = (",", ";", "\t", "|")
# bytes of a file that are uncompressed at most
_LONGEST = 2**29
# of a cell; the csv module's own limit is 131,072 characters
_LONGEST_CELL = 2**31 - 1
# within a row, outside of quotes
_CUT = re.compile(r'^(?:[^"\r\n]|"[^"]*")*\r(?!\n)(?=[^\n]*[^\s])', re.M)


def marked_encoding(raw: bytes) -> str | None:
    """The encoding that the file's byte order mark names; None without one."""
    return next((name for mark, name in _MARKS if raw.startswith(mark)), None)


def check_no_page(path: Path) -> None:
    """Make sure that a file is no web page, which programs export under a spreadsheet's name, nor what git-lfs puts in its place.

    A web page is also what a link to a table gives without a login.

    Raises:
        UserError: it is one.
    """
    with open(path, "rb") as stream:
        head = stream.read(1000).removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if _PAGE.match(head):
        raise UserError(
            f"{path}: is a web page (HTML), whatever its name says; open it in a spreadsheet and save the table "
            "as .xlsx or CSV, or, where it asks for a login, download the table itself"
        )
    if head.startswith(b"version https://git-lfs"):
        raise UserError(
            f"{path}: is a git-lfs pointer, and not the file itself; git lfs pull fetches that"
        )


def read_text(path: str | Path, encoding: str | None = None) -> str:
    """The text of a file, in the encoding that its byte order mark names, else ``encoding``.

    Line ends stay as they are.

    Args:
        path: of the file.
        encoding: a name that Python knows, such as latin-1; None for UTF-8.

    Raises:
        UserError: no such encoding, or bytes that it does not have, with their line.
        FileNotFoundError: no such file.
    """
    raw = _unpacked(Path(path))
    kind = _kind_of(raw)
    if kind is not None:
        raise UserError(f"{path}: is {kind}, whatever its name says; expected text")
    name = marked_encoding(raw) or encoding or "utf-8"
    wide = _wide(raw)
    # Python takes a file without a mark for little-endian
    if wide and (encoding is None or (wide == "utf-16-be" and _is_utf_16(encoding))):
        raise _without_mark(path, wide)
    try:
        text = raw.decode(name)
    except LookupError:
        raise UserError(
            f"{path}: no text encoding is called {name!r}; expected one such as latin-1, cp1252 or utf-16"
        ) from None
    except UnicodeError as error:
        line = raw.count(b"\n", 0, getattr(error, "start", 0)) + 1
        said = "UTF-8" if name.startswith("utf-8") else name
        raise UserError(
            f"{path}:{line}: not valid {said} ({getattr(error, 'reason', error)}); save it as UTF-8, "
            "or name its encoding, such as latin-1, cp1252, utf-16, gb18030 or shift_jis (--encoding, data.encoding)"
        ) from None
    if _C1.search(text) and codecs.lookup(name).name == "iso8859-1":
        # Windows' quotes and dashes, which browsers too take for meant where latin-1 is said
        with suppress(UnicodeDecodeError):
            text = raw.decode("cp1252")
    head = text[:100]
    if encoding is None and head.count("\0") * 4 > len(head):
        raise _without_mark(path, "utf-16-le or utf-16-be")
    return text


def _without_mark(path: str | Path, encoding: str) -> UserError:
    return UserError(
        f"{path}:1: holds zero bytes, as UTF-16 without a byte order mark does; save it as UTF-8, or name its encoding, "
        f"{encoding} (--encoding, data.encoding)"
    )


def _is_utf_16(encoding: str) -> bool:
    """Whether this names UTF-16 and no order of bytes."""
    try:
        return codecs.lookup(encoding).name == "utf-16"
    except LookupError:
        return False


def _wide(raw: bytes) -> str | None:
    """The kind of UTF-16 that a file without a mark seems to be, by its first letters, which are plain ones; None for another."""
    head = raw[:8]
    if marked_encoding(raw) or len(head) < 8:
        return None
    zeros = [place for place, byte in enumerate(head) if byte == 0]
    if zeros == [1, 3, 5, 7]:
        return "utf-16-le"
    return "utf-16-be" if zeros == [0, 2, 4, 6] else None


def _unpacked(path: Path) -> bytes:
    """The bytes of a file, or of the one that is compressed in it.

    Raises:
        UserError: no gzip file, one that is cut, or more in it than :data:`_LONGEST`.
    """
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as stream:
            raw = stream.read(_LONGEST + 1)
    except FileNotFoundError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path}: not readable as gzip ({error}); expected a whole gzip file, or the file itself without .gz"
        ) from None
    # a few kilobytes can hold more than the memory does
    if len(raw) > _LONGEST:
        raise UserError(
            f"{path}: holds more than {_LONGEST // 2**20:,} MiB; expected less: uncompress it (gunzip) and name that file"
        )
    return raw


def _kind_of(raw: bytes) -> str | None:
    """Which kind of file begins so; None for a text."""
    mark, kind = next(((mark, kind) for mark, kind in _KINDS if raw.startswith(mark)), (b"", None))
    return None if mark in _LETTERS and not _CONTROL.search(raw) else kind


def inner_marks(text: str) -> tuple[str, int]:
    """``text`` without byte order marks where a line begins, as joined files have them, and how many those are."""
    return re.subn(r"(?:\A|(?<=[\r\n]))\ufeff+", "", text)


@dataclass(frozen=True)
class CsvRows:
    """The rows of a CSV file that are not empty, each with the line on which it begins.

    ``named`` says that the file's first line was Excel's ``sep=``, which names the separator, ``escaped`` that
    quotes within cells have a backslash before them, ``unquoted`` that quotes are part of the cells, ``spaced``
    that blanks stand behind separators, which are no part of the cells, ``single`` that single quotes enclose
    the cells, ``dumped`` that line ends, tabs and backslashes in cells were written ``\\n``, ``\\t`` and ``\\\\``.
    ``doubt`` says of a cell in quotes that it may have taken in whole rows.
    """

    rows: list[tuple[int, list[str]]]
    separator: str
    named: bool
    escaped: bool = False
    unquoted: bool = False
    spaced: bool = False
    single: bool = False
    dumped: bool = False
    doubt: str | None = None


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
    _check_not_drawn(path, text)
    dump = _dumped(text, separator)
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
        plain = _unquoted(text, separator)
        if plain is None:
            raise
        return plain
    held = [cell for _, row in found.rows for cell in row if _holds_rows(cell)]
    if found.separator == "\t" and held:
        # in no text of several lines is each of those between its first and its last a whole row
        opened = any(cell.count("\n") > 1 for cell in held)
        found = _unquoted(text, separator, opened=opened) or found
    _check_no_row_taken_in(path, found)
    return replace(found, doubt=_taken_in(found))


def _escaped(path: str | Path, text: str, separator: str | None) -> CsvRows | None:
    """The rows of a file with backslashes before quotes within cells, where these make a table of it."""
    for mark in SEPARATORS if separator is None else (separator,):
        with suppress(UserError):
            found = _csv_rows(path, _doubled(text, mark), mark)
            if len({len(cells) for _, cells in found.rows}) == 1 < len(found.rows[0][1]):
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


def _dumped(text: str, separator: str | None) -> CsvRows | None:
    """The rows of a file as PostgreSQL's COPY and MySQL's OUTFILE write it, its escapes undone; None for any other.

    It has tabs, no cells between quotes, a null or a backslash that is written twice, and no backslash that begins none
    of its escapes.
    """
    null = _DUMP.search(text) is not None
    # MySQL's OUTFILE has a backslash before a line end and a tab within a cell
    within = re.search(r"\\[\n\t]", text) is not None
    if not (null or within or r"\\" in text):
        return None
    found = _unenclosed(text, separator) if within else _unquoted(text, separator)
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
    is_even = len({len(cells) for _, cells in rows}) == 1 and len(rows[0][1]) > 1
    return CsvRows(rows, "\t", named=False, unquoted=True) if is_even else None


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
    return cell if cell == NULL else _ESCAPED.sub(lambda found: _ESCAPES[found[1]], cell)


def _holds_rows(cell: str) -> bool:
    """Whether a cell between quotes has swallowed whole rows of a file with tabs."""
    return "\t" in cell and ("\n" in cell or "\r" in cell)


def _check_no_row_taken_in(path: str | Path, found: CsvRows) -> None:
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


def _taken_in(found: CsvRows) -> str | None:
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


def _unquoted(text: str, separator: str | None, opened: bool = False) -> CsvRows | None:
    """The rows of a file with tabs that has no cells between quotes (pandas' QUOTE_NONE), else None.

    Commas stand in texts, too, so that only tabs tell: every line is a row of as many cells as the first. Where a quote is
    known to have ``opened`` a cell that takes in rows, one at another cell's end closes none.
    """
    if separator not in (None, "\t") or _SEPARATOR_LINE.match(text):
        return None
    lines = [(line, part) for line, part in enumerate(re.split(r"\r\n|\n|\r", text), 1) if part]
    rows = [(line, part.split("\t")) for line, part in lines]
    cells = [cell for _, row in rows for cell in row]
    even = len({len(row) for _, row in rows}) == 1 and len(rows[0][1]) > 1
    # a cell that begins between quotes ends so, be it on another line
    closed = (cell for cell in cells if len(cell) > 1 and cell.endswith('"'))
    if not even or any(
        cell.startswith('"') or (cell.count('"') % 2 and not opened) for cell in closed
    ):
        return None
    return CsvRows(rows, "\t", named=False, unquoted=True)


def _doubled(text: str, separator: str) -> str:
    """``text`` with the quotes within quoted cells doubled, as CSV has them, that have a backslash."""
    cell = rf'(?<![^{re.escape(separator)}\r\n])"(?:[^"\\]|\\.|"")*"'
    return re.sub(cell, lambda found: _ESCAPED.sub(_plain, found[0]), text, flags=re.DOTALL)


def _plain(escaped: re.Match[str]) -> str:
    return {'"': '""', "\\": "\\", "\n": "\n"}.get(escaped[1], escaped[0])


def _csv_rows(path: str | Path, text: str, separator: str | None) -> CsvRows:
    named = _SEPARATOR_LINE.match(text)
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
            if _is_even(rows) and _is_spaced(path, text, likely[0], first):
                return CsvRows(rows, likely[0], False, spaced=True)
    late = _opened_late(path, text, likely[0], first)
    if late is not None:
        return late
    for mark in likely if bare.count(likely[1]) else ():
        try:
            rows = _rows(path, text, mark, first)
        except UserError:
            continue
        if len({len(cells) for _, cells in rows}) == 1 and len(rows[0][1]) > 1:
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
    if not _is_even(rows) or len(rows[0][1]) == 1:
        return None
    # without them it may be a table all the same, whose cells would keep their quotes
    with suppress(UserError):
        plain = _rows(path, text, separator, first)
        late = [cell for _, row in plain for cell in row if cell.lstrip(" ")[:1] == '"' != cell[:1]]
        if _is_even(plain) and not (late and all(cell.endswith('"') for cell in late)):
            return None
    return CsvRows(rows, separator, named=first > 1, spaced=True)


def _is_even(rows: list[tuple[int, list[str]]]) -> bool:
    return len({len(cells) for _, cells in rows}) == 1


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
        return not _is_even(_rows(path, text, separator, first))
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
