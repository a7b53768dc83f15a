"""Tables as people keep them: a spreadsheet or CSV as it saves it, JSON Lines, Parquet.

What is the file's own affair, such as a separator or an index column, is settled here, and what was
left out or read in another form is said. Names of columns and keys are in NFC; values stay as they
are written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isinf
from pathlib import Path
from typing import Any
from unicodedata import normalize

from lora_vs_api.data.class_labels import features, worded
from lora_vs_api.data.exports.arrays import as_lists
from lora_vs_api.data.exports.databases import without_types
from lora_vs_api.data.exports.undone import Known, as_meant
from lora_vs_api.data.json_rows import halves, json_rows
from lora_vs_api.data.sheets import hours, is_old_workbook, sheet_rows
from lora_vs_api.data.split import split_named
from lora_vs_api.data.table import FILE_SPLIT, Rows, Table
from lora_vs_api.data.table_rows import (
    BELOW,
    as_wide_as,
    check_header,
    check_no_second_header,
    entities_note,
    escapes_note,
    last_row_note,
    misread_note,
    without_empty,
    without_headers,
    without_survey_lines,
)
from lora_vs_api.data.text_files import check_no_page, csv_rows, inner_marks, read_text
from lora_vs_api.errors import UserError
from lora_vs_api.shown import count

MAX_SHOWN = 20
# cells that all have a sign around them before it counts as a spreadsheet's guard
MIN_GUARDED = 10
MAX_TITLES = 6  # lines that may stand above a header
SUFFIXES = (".csv", ".tsv", ".xlsx", ".jsonl", ".ndjson", ".json", ".parquet")
_SPREADSHEET = "a spreadsheet's own format; save the sheet as .xlsx or as CSV (in Excel: Save As, CSV UTF-8) and name that file"
_PACKED = "compressed; unpack it and name the file that is in it, or compress a text file with gzip, such as .csv.gz"
_PROGRAM = "a program's own format; write the rows as .parquet, in pandas df.to_parquet, and name that file"
_ROWS = "a text; are these rows? then call it .csv, whatever the separator, or .jsonl"
# by what a file ends in that is none of these, what to do about it
_OTHERS = {
    **dict.fromkeys((".xls", ".xlsm", ".xlsb", ".ods", ".numbers"), _SPREADSHEET),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar", ".tar", ".tgz"), _PACKED),
    **dict.fromkeys((".arrow", ".feather", ".orc", ".avro"), _PROGRAM),
    **dict.fromkeys((".pkl", ".pickle", ".h5", ".sqlite", ".db"), _PROGRAM),
    **dict.fromkeys((".txt", ".tab", ".dat", ".psv"), _ROWS),
}
# files whose cells are all texts
TEXT_TABLES = (".csv", ".tsv", ".xlsx")
# those that may be compressed, .csv.gz and so on
_PACKABLE = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
SPLITS = ("train", "val", "test")
# how the Hub calls the one part of a split
_SHARD = re.compile(r"-0+-of-0*1$")
# what pandas calls a column without a name when it reads one, or an index when it writes Parquet
_INDEX_NAME = re.compile(r"(?:Unnamed: \d+|__index_level_\d+__|)")

# what databases write for null, and spreadsheets where a formula fails
_NO_VALUE = {"\\N", "#N/A", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"}
# ways to have a spreadsheet keep 00007: a formula, an apostrophe, a character that is not seen
# around a column's name: blanks, also those that are not seen, such as a byte order mark of a part that was joined
# a byte order mark, as Windows' letters have its bytes
_MISREAD_MARK = "ï»¿"
_INVISIBLE = re.compile(r"^[\s\u200b\u2060\ufeff]+|[\s\u200b\u2060\ufeff]+$")
# within a column's name, where a spreadsheet breaks it over lines
_LINE_END = re.compile(r"\s*[\r\n\v\x85\u2028\u2029]+\s*")
# blanks that look like a plain one and are none, as web pages have them
_OTHER_BLANK = re.compile("[\u00a0\u2007\u202f\u3000]")
_FORMULA = re.compile(r'="((?:[^"]|"")*)"', re.DOTALL)
_GUARD = re.compile(r"(?:'(?=[\d=+@-])|[\x1f\u200b])(.+)|(.+)\u200b", re.DOTALL)


def load_table(
    path: str | Path,
    encoding: str | None = None,
    text: str | None = None,
    objects: Collection[str] = (),
    asked: bool = False,
) -> Table:
    """All rows of a file.

    Cells of CSV and of a spreadsheet are text; the other formats keep their types, of which Parquet's dates and times become
    ISO texts, and its decimals numbers where no digit is lost by that. A number that is missing (NaN)
    is None. A column without a name that counts the rows is left out.

    Conversations (:mod:`lora_vs_api.data.exports.chat`) become a text and a record.

    Args:
        path: a file that ends as one of :data:`SUFFIXES`, or a folder that has one each for
            train, val and test, called so; its rows have the column :data:`FILE_SPLIT`.
        encoding: of a text file without a byte order mark; None for UTF-8.
        text: the column of the texts, where it is known: its cells stay as they are written.
        objects: columns that hold records or objects, where they are known.
        asked: the texts are to be asked, so that no answer in a conversation that goes on is its record.

    Raises:
        UserError: no such file, another format, or content that is not of its format.
    """
    path = Path(path)
    if path.is_dir() and path.suffix.lower() not in SUFFIXES:
        table = _folder(path, encoding, text)
    else:
        table = _as_written(path, encoding, text)
    table = as_meant(table, Known(path, text, objects, asked))
    table.notes.extend(_odd_texts(table.rows))
    return table


def _odd_texts(rows: Rows) -> Iterator[str]:
    """What is to be said of texts that a program seems to have written otherwise than they were meant."""
    texts: dict[str, list[str]] = {}
    for _, row in rows:
        for name, value in row.items():
            if isinstance(value, str):
                texts.setdefault(name, []).append(value)
    yield from filter(None, (note(texts) for note in (entities_note, escapes_note, misread_note)))


def _begins_with(path: Path, head: bytes) -> bool:
    with open(path, "rb") as stream:
        return stream.read(len(head)) == head


def _as_written(path: Path, encoding: str | None, text: str | None) -> Table:
    """The rows of one file, conversations as they stand in it."""
    suffix = file_format(path)
    if path.is_dir():
        raise UserError(
            f"{path}: is a folder, as Spark writes one; expected one file: join its parts into one"
        )
    if path.is_file():
        check_no_page(path)
    if suffix not in SUFFIXES:
        told = _OTHERS.get(suffix, f"expected a file that ends in {', '.join(SUFFIXES)}")
        if suffix == ".xls" and path.is_file() and not is_old_workbook(path):
            told = "a text or another file, whatever its name says; is it a table of texts? then call it .csv"
        if suffix == ".txt" and path.is_file() and _begins_with(path, b"__label__"):
            told = "fastText's form, labels before each text; write a table of two columns, label and text, such as a .csv"
        raise UserError(f"{path}: {told}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if suffix == ".parquet":
        return _parquet(path)
    if suffix == ".xlsx":
        notes: list[str] = []
        return _of_cells(path, sheet_rows(path, notes), text, notes)
    content, joined = inner_marks(read_text(path, encoding))
    marks = [f"{count(joined, 'byte order mark')} within it, left out"] * bool(joined)
    if suffix in (".csv", ".tsv"):
        # what programs with texts of one length fill them up with; no model's tokens are made for it
        zeros = content.count("\0")
        notes = [f"{zeros:,} zero bytes in its cells, left out"] if zeros else []
        notes += marks
        separator = "\t" if suffix == ".tsv" else None
        return _csv(path, content.replace("\0", ""), separator, text, notes)
    rows = json_rows(path, content, suffix != ".json", marks, text)
    broken = [f"{place}: {problem}" for place, row in rows for problem in halves(row)]
    if broken:
        raise problems_error(path, broken)
    rows, said = without_types(rows, content)
    return Table(rows, [*marks, *said])


def file_format(path: str | Path) -> str:
    """How a file's name ends, in lower case: as one of :data:`SUFFIXES` where it can be read, .csv for .csv.gz too."""
    path = Path(path)
    suffix = path.suffix.lower()
    packed = Path(path.stem).suffix.lower()
    return packed if suffix == ".gz" and packed in _PACKABLE else suffix


def split_files(folder: Path) -> dict[str, Path]:
    """The files of ``folder`` that are called train, val and test, or as people call these.

    Raises:
        UserError: two of them are of one split.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = path.stem.removesuffix(file_format(path))
        name = split_named(_SHARD.sub("", stem))
        if name is None or file_format(path) not in SUFFIXES or not path.is_file():
            continue
        if name in found:
            raise UserError(
                f"{folder}: expected one file for {name}, found {found[name].name} and {path.name}"
            )
        found[name] = path
    return found


def _folder(folder: Path, encoding: str | None, text: str | None) -> Table:
    files = split_files(folder)
    missing = [name for name in SPLITS if name not in files]
    if missing:
        raise UserError(
            f"{folder}: expected a file each for train, val and test, such as {missing[0]}.csv, found "
            f"{', '.join(sorted(path.name for path in folder.iterdir())) or 'none':.200}"
        )
    rows: Rows = []
    notes: list[str] = []
    for name in SPLITS:
        path = files[name]
        table = _as_written(path, encoding, text)
        notes += [f"{path.name}: {note}" for note in table.notes]
        for place, row in table.rows:
            said = row.get(FILE_SPLIT)
            empty = said is None or not str(said).strip()
            if not empty and split_named(said) != name:
                hint = (
                    "" if split_named(said) else "; if it says something else, rename that column"
                )
                raise UserError(
                    f"{place}: {FILE_SPLIT}: expected {name} in the file {path.name}, found "
                    f"{said!r:.40}{hint}"
                )
            rows.append((place, {**row, FILE_SPLIT: name}))
    # all files at once: a call or two in one of them decide for all
    return Table(rows, [*notes, *_missing_columns(rows)])


def _missing_columns(rows: Rows) -> Iterator[str]:
    """Which columns of a folder's files one of them has in no row."""
    names: dict[str, set[str]] = {}
    for _, row in rows:
        names.setdefault(str(row[FILE_SPLIT]), set()).update(row)
    every = set().union(*names.values())
    for split, own in names.items():
        if lacking := sorted(every - own):
            yield f"the file for {split} has no column {' and none '.join(map(repr, lacking))}: empty there"


def problems_error(path: str | Path, problems: Sequence[str]) -> UserError:
    """The error that names all ``problems`` of a file, up to :data:`MAX_SHOWN`."""
    more = f"\n… and {len(problems) - MAX_SHOWN} more" if len(problems) > MAX_SHOWN else ""
    count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
    return UserError(f"{path}: {count}:\n" + "\n".join(problems[:MAX_SHOWN]) + more)


def _is_cut_by_commas(content: str) -> bool:
    """Whether every line has a comma, or a semicolon: one column may be called "last, first", and a text hold one."""
    lines = [line for line in content.splitlines() if line.strip()]
    return any(lines and all(mark in line for line in lines) for mark in ",;")


def _csv(
    path: Path, content: str, separator: str | None, text: str | None, notes: list[str]
) -> Table:
    if separator == "\t" not in content and _is_cut_by_commas(content):
        raise UserError(f"{path}:1: no tab in it; is it separated by commas? then call it .csv")
    found = csv_rows(path, content, separator)
    notes += ["single quotes around its cells, left out"] * found.single
    notes += [f"first line sep={found.separator}: left out, it names the separator"] * found.named
    if found.escaped:
        quotes = '\\"' in content
        notes.append(
            'quotes within cells are written \\" and read as quotes'
            if quotes
            else "backslashes before signs of its cells, read as databases write them"
        )
    notes += [r"\n, \t and \\ in its cells, read as databases write them"] * found.dumped
    notes += ["blanks behind the separators, left out"] * found.spaced
    notes += [
        'a " does not enclose a cell here: quotes are read as part of the text'
    ] * found.unquoted
    notes += [found.doubt] if found.doubt else []
    return _of_cells(path, found.rows, text, notes)


def _of_cells(
    path: Path, cells_by_line: Sequence[tuple[int, list[str]]], text: str | None, notes: list[str]
) -> Table:
    """Rows of texts as a table, the first of them the columns' names; what is left out goes into ``notes``."""
    lines = without_empty(cells_by_line, notes)
    if not lines:
        return Table([], notes)
    (first, names), *rest = lines
    if names[0].startswith(_MISREAD_MARK):
        notes.append(
            "a byte order mark that was read as letters before, left out of the first name"
        )
        names = [names[0].removeprefix(_MISREAD_MARK), *names[1:]]
    header = [
        normalize("NFC", _INVISIBLE.sub("", _OTHER_BLANK.sub(" ", _LINE_END.sub(" ", name))))
        for name in names
    ]
    _check_names(f"{path}:{first}", header)
    notes += [
        f"column {name!r}: a line end in its name, read as a blank"
        for name, written in zip(header, names, strict=True)
        if _LINE_END.search(_INVISIBLE.sub("", written))
    ]
    notes += [
        f"column {name!r}: a blank that is no plain one in its name, read as one"
        for name, written in zip(header, names, strict=True)
        if _OTHER_BLANK.search(_INVISIBLE.sub("", written))
    ]
    rest = without_survey_lines(without_headers(names, rest, notes), notes)
    rest = as_wide_as(path, first, header, rest, notes)
    header_note = check_header(path, first, names, rest)
    check_no_second_header(path, header, rest)
    notes += filter(None, [header_note, last_row_note(header, rest)])
    columns = [
        [cells[place] for _, cells in rest]
        if name == text
        else list(_meant(name, [cells[place] for _, cells in rest], notes))
        for place, name in enumerate(header)
    ]
    kept = _kept(f"{path}:{first}", header, columns, notes)
    rows: Rows = [
        (f"{path}:{line}", {header[place]: columns[place][row] for place in kept})
        for row, (line, _) in enumerate(rest)
    ]
    return Table(rows, notes)


def _meant(name: str, cells: Sequence[str], notes: list[str]) -> Sequence[str]:
    """A column as it was meant, without what is put around cells for a spreadsheet or in place of them.

    What was read otherwise than it is written is added to ``notes``.
    """
    errors = sorted({cell for cell in cells if cell in _NO_VALUE})
    if errors:
        count = sum(cell in errors for cell in cells)
        notes.append(f"{name}: {', '.join(errors)} in {count:,} cells, read as empty")
        cells = ["" if cell in errors else cell for cell in cells]
    lists = as_lists(cells)
    if lists is not None:
        notes.append(f"{name}: PostgreSQL's arrays, read as lists")
        cells = lists
    formulas = [_FORMULA.fullmatch(cell) for cell in cells]
    if any(formulas):
        count = sum(found is not None for found in formulas)
        notes.append(f'{name}: ="…" around {count:,} cells, left out')
        cells = [
            found[1].replace('""', '"') if found else cell
            for cell, found in zip(cells, formulas, strict=True)
        ]
    quoted = [len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in cells if cell]
    if len(quoted) >= MIN_GUARDED and all(quoted):
        notes.append(f"{name}: single quotes around every cell, left out")
        cells = [cell[1:-1].replace("''", "'") for cell in cells]
    guards = [_GUARD.fullmatch(cell) for cell in cells if cell]
    # a few cells alone may well begin or end so, and words in quotes do
    if all(guards) and (len(guards) >= MIN_GUARDED or _are_numbers(guards)):
        notes.append(f"{name}: a sign around every cell that keeps a spreadsheet off, left out")
        cells = [
            found[1] or found[2] if (found := _GUARD.fullmatch(cell)) else "" for cell in cells
        ]
    return cells


def _are_numbers(guards: Sequence[re.Match[str] | None]) -> bool:
    """Whether several cells are numbers but for their guards, as few as they are."""
    bare = [found[1] or found[2] for found in guards if found]
    return len(bare) > 1 and all(re.fullmatch(r"[+-]?\d[\d.,]*", cell) for cell in bare)


def _check_names(where: str, names: Sequence[str]) -> None:
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{where}: expected no column name twice, found {twice!r}")


def _kept(
    where: str, names: Sequence[str], columns: Sequence[Sequence[Any]], notes: list[str]
) -> list[int]:
    """Places of the columns that are no index; what is left out is added to ``notes``.

    Raises:
        UserError: a column without a name that holds something else than an index.
    """
    kept = []
    for place, (name, values) in enumerate(zip(names, columns, strict=True)):
        if not _INDEX_NAME.fullmatch(name):
            kept.append(place)
            continue
        said = f"column {place + 1} ({name})" if name else f"column {place + 1} without a name"
        if all(value in ("", None) for value in values):
            notes.append(f"{said}: empty, left out")
        elif _counts_rows(values):
            notes.append(f"{said}: an index, left out")
        elif name:
            kept.append(place)
        else:
            held = next(value for value in values if value not in ("", None))
            raise UserError(f"{where}: {said} holds {held!r:.40}; {_mend(names, columns)}")
    return kept


def _mend(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> str:
    """What to do about a column without a name: a title above the header leaves most of them without one."""
    below = [str(values[0] or "").strip() for values in columns]
    # a title stands at the left; a table that pandas wrote has its index there, which may hold the texts
    if names[0] and not any(names[1:]) and all(below) and len(set(below)) == len(below):
        return BELOW.format(next(filter(None, names))[:60])
    return _mend_of_several(columns) or "name it, or take the column out"


def _mend_of_several(columns: Sequence[Sequence[Any]]) -> str | None:
    """The same where several lines stand above the header: the first line that is full, whose words stand in no row below."""
    held = [values for values in columns if any(value not in ("", None) for value in values)]
    for place in range(min(MAX_TITLES, len(columns[0]))):
        cells = [str(values[place] or "").strip() for values in held]
        if not all(cells):
            continue
        if place == 0:
            # so begin the rows of a table one of whose columns has no name
            return None
        names = len(set(cells)) == len(cells) and not any(map(_has_digit, cells))
        again = any(values[place] in values[place + 1 :] for values in held)
        title = next((str(values[place - 1]) for values in columns if values[place - 1]), "")
        return BELOW.format(title[:60]) if names and not again and title else None
    return None


def _has_digit(cell: str) -> bool:
    return any(map(str.isdigit, cell))


def _counts_rows(values: Sequence[Any]) -> bool:
    """Whole numbers, none of them twice."""
    texts = [str(value).strip() for value in values]
    return all(re.fullmatch(r"\d+", text, re.ASCII) for text in texts) and len(set(texts)) == len(
        texts
    )


def _parquet(path: Path) -> Table:
    import pyarrow
    import pyarrow.parquet

    try:
        # one file, whatever the folders above it are called: of lang=en a whole dataset would make a column
        # Spark's moments are whole microseconds; in nanoseconds the years beyond 2262 become others without a word
        with pyarrow.parquet.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
            found = file.read()
        columns = [_values(column) for column in found.columns]
    # also dates and texts that Python has no value for
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{path}: not readable as Parquet: {said}") from None
    names = [normalize("NFC", name.strip()) for name in found.column_names]
    _check_names(str(path), names)
    notes = [
        f"{field.name}: of the type {kind}, read as it is stored"
        for field in found.schema
        if (kind := _own_kind(field)) is not None
    ]
    labelled = features(found.schema.metadata)
    for place, name in enumerate(found.column_names):
        if name in labelled:
            columns[place] = worded(columns[place], labelled[name])
            notes.append(
                f"{name}: its numbers read as the words that they stand for in the file's own metadata"
            )
    kept = [
        place
        for place in _kept(str(path), names, columns, notes)
        if not _is_binary(names[place], columns[place], notes)
    ]
    plain = {
        names[place]: _plain_column(path, names[place], columns[place], notes) for place in kept
    }
    rows = [dict(zip(plain, values)) for values in zip(*plain.values())]
    return Table([(f"{path}: row {n}", row) for n, row in enumerate(rows, start=1)], notes)


def _is_binary(name: str, values: Sequence[Any], notes: list[str]) -> bool:
    """Whether a column holds bytes of which none are a text, as pictures are; it is told."""
    held = [value for value in values if value is not None]
    if not held:
        return False
    if all(map(_is_medium, held)):
        notes.append(f"{name}: pictures or sounds, left out")
        return True
    if not all(isinstance(value, bytes) and not _is_utf8(value) for value in held):
        return False
    notes.append(f"{name}: bytes that are no text, left out")
    return True


def _is_medium(value: Any) -> bool:
    """Whether this is a picture or a sound as the Hub's datasets hold one, or a list of such."""
    if isinstance(value, list):
        return bool(value) and all(map(_is_medium, value))
    return isinstance(value, Mapping) and value.keys() == {"bytes", "path"}


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _own_kind(field: Any) -> str | None:
    """The name of a column's type that a program has made for itself, such as pandas.period, which says 672 for a month."""
    # of one that is known here, and of one that is not
    known = getattr(field.type, "extension_name", None)
    stored = (field.metadata or {}).get(b"ARROW:extension:name")
    return known or (stored.decode() if stored else None)


def _values(column: Any) -> list[Any]:
    """A column's values as Python has them, numbers of 32 and 16 bits with the digits that they are meant by.

    0.1 in 32 bits is 0.10000000149011612 in Python's 64, which nobody wrote and no text says.
    """
    values: list[Any] = column.to_pylist(maps_as_pydicts="strict")
    return [_shortest(value, column.type) for value in values] if _is_short(column.type) else values


def _parts_of(kind: Any) -> list[tuple[str | None, Any]]:
    """Types within a nested one: of a struct's fields by name, of what a list or map holds under None."""
    from pyarrow import types

    if types.is_struct(kind):
        return [(field.name, field.type) for field in kind]
    if types.is_map(kind):
        return [(None, kind.item_type)]
    inner = getattr(kind, "value_type", None)
    return [] if inner is None else [(None, inner)]


def _is_short(kind: Any) -> bool:
    from pyarrow import types

    if types.is_float32(kind) or types.is_float16(kind):
        return True
    return any(_is_short(inner) for _, inner in _parts_of(kind))


def _shortest(value: Any, kind: Any) -> Any:
    """``value`` of the type ``kind``, its short numbers with the fewest digits that tell them apart."""
    import numpy as np
    from pyarrow import types

    if value is None:
        return None
    if types.is_float32(kind) or types.is_float16(kind):
        return float(str((np.float32 if types.is_float32(kind) else np.float16)(value)))
    inner = dict(_parts_of(kind))
    if isinstance(value, Mapping):
        return {
            key: _shortest(item, inner.get(key, inner.get(None))) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_shortest(item, inner[None]) for item in value]
    return _shortest(value, inner[None]) if inner else value


def _plain_column(path: Path, name: str, values: Sequence[Any], notes: list[str]) -> list[Any]:
    """A Parquet column as JSON has it; what was read in another form is added to ``notes``."""
    leaves = [leaf for value in values for leaf in _leaves(value) if leaf == leaf]
    decimals = [leaf for leaf in leaves if isinstance(leaf, Decimal)]
    moments = [leaf for leaf in leaves if isinstance(leaf, datetime)]
    as_number = all(Decimal(repr(float(number))) == number for number in decimals)
    whole = all(number == number.to_integral_value() for number in decimals)
    # pandas keeps days as moments at midnight
    as_days = all(moment.time() == time() and moment.tzinfo is None for moment in moments)
    if decimals:
        said = "numbers" if as_number else "texts, since a number would not hold all their digits"
        notes.append(f"{name}: decimals, read as {said}")
    if moments:
        said = "days, all of them at midnight" if as_days else "ISO 8601 texts"
        notes.append(f"{name}: dates with times, read as {said}")
    elif any(isinstance(leaf, date) for leaf in leaves):
        notes.append(f"{name}: dates, read as ISO 8601 texts")
    if any(isinstance(leaf, timedelta) for leaf in leaves):
        notes.append(f"{name}: lengths of time, read as hours, minutes and seconds")

    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            if not as_number:
                return str(value)
            return int(value) if whole else float(value)
        if isinstance(value, datetime) and as_days:
            return value.date().isoformat()
        if isinstance(value, timedelta):
            return hours(value)
        return value.isoformat() if isinstance(value, date | time) else value

    found = []
    for number, value in enumerate(values, start=1):
        try:
            found.append(_converted(value, plain))
        except ValueError as error:
            raise UserError(f"{path}: row {number}: {name}: {error}") from None
    return found


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None:
        yield value


def _converted(value: Any, plain: Callable[[Any], Any]) -> Any:
    """``value`` as JSON has it, its leaves as ``plain`` makes them.

    Raises:
        ValueError: what cannot be said in JSON.
    """
    if isinstance(value, Mapping):
        return {normalize("NFC", str(key)): _converted(item, plain) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_converted(item, plain) for item in value]
    # NaN, and pandas' NaT
    if value is None or value != value:
        return None
    if isinstance(value, float) and isinf(value):
        raise ValueError(f"expected a number, found {value}")
    found = plain(value)
    if isinstance(found, bytes):
        try:
            return found.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("expected a text, found bytes that are not UTF-8") from None
    if not isinstance(found, str | bool | int | float):
        raise ValueError(
            f"expected texts, numbers, booleans or dates, found {type(value).__name__} {value}"
        )
    return found
