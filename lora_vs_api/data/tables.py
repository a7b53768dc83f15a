"""Tables as people keep them: a spreadsheet or CSV as it saves it, JSON Lines, Parquet.

What is the file's own affair, such as a separator or an index column, is settled here, and what was
left out or read in another form is said. Names of columns and keys are in NFC; values stay as they
are written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from lora_vs_api.data.exports.databases import without_types
from lora_vs_api.data.exports.undone import Known, as_meant
from lora_vs_api.data.formats.cells import of_cells
from lora_vs_api.data.formats.csv_rows import csv_rows
from lora_vs_api.data.formats.json_rows import halves, json_rows
from lora_vs_api.data.formats.parquet import read_parquet
from lora_vs_api.data.formats.sheets import is_old_workbook, sheet_rows
from lora_vs_api.data.formats.table_rows import (
    entities_note,
    escapes_note,
    lost_note,
    misread_note,
)
from lora_vs_api.data.formats.text import check_no_page, inner_marks, read_text
from lora_vs_api.data.split import split_named
from lora_vs_api.data.table import FILE_SPLIT, SPARK_FOLDER, Rows, Table
from lora_vs_api.errors import UserError
from lora_vs_api.shown import count

MAX_SHOWN = 20
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
    yield from filter(
        None, (note(texts) for note in (entities_note, escapes_note, misread_note, lost_note))
    )


def _begins_with(path: Path, head: bytes) -> bool:
    with open(path, "rb") as stream:
        return stream.read(len(head)) == head


def _as_written(path: Path, encoding: str | None, text: str | None) -> Table:
    """The rows of one file, conversations as they stand in it."""
    suffix = file_format(path)
    if path.is_dir():
        raise UserError(f"{path}: {SPARK_FOLDER}")
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
        return read_parquet(path)
    if suffix == ".xlsx":
        notes: list[str] = []
        table = of_cells(path, sheet_rows(path, notes), text, notes)
        _check_whole(path, table.rows)
        return table
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
    _check_whole(path, rows)
    rows, said = without_types(rows, content)
    return Table(rows, [*marks, *said])


def _check_whole(path: Path, rows: Rows) -> None:
    """Make sure that no text has half a character.

    Raises:
        UserError: naming the rows.
    """
    broken = [f"{place}: {problem}" for place, row in rows for problem in halves(row)]
    if broken:
        raise problems_error(path, broken)


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
    return of_cells(path, found.rows, text, notes)
