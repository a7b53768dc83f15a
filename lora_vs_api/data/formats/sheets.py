"""The one sheet of a spreadsheet (.xlsx) that has rows, its cells as texts, as CSV has them."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from lora_vs_api.data.formats.number_formats import padded, unit
from lora_vs_api.errors import UserError
from lora_vs_api.shown import count

_TOO_LONG = 10**15


def sheet_rows(path: Path, notes: list[str]) -> list[tuple[int, list[str]]]:
    """The sheet's number of each row that is not empty, and its cells, all rows as wide as the first is.

    A number is written with the digits that it has, and with the zeros before them that its format shows (00000 makes
    00007 of 7, ``000-00-0000`` puts the signs between them); a length of time is hours, minutes and seconds; a date or time in ISO 8601 (a day, where all of a column are at midnight), true and
    false so. What a formula gave when the file was saved is its value.

    A cell that several rows share (merged) is in each of them; a hidden sheet is none where one is to be seen. What
    was read so is added to ``notes``, and how many rows a filter hides.

    Raises:
        UserError: openpyxl is missing, no spreadsheet, several sheets with rows, or a formula whose
            value is not in the file.
    """
    try:
        import openpyxl
    except ImportError:
        raise UserError(
            f"{path}: a spreadsheet is read with openpyxl, which is not installed: pip install 'lora-vs-api[xlsx]', or save "
            "the sheet as CSV (in Excel: Save As, CSV UTF-8) and name that file"
        ) from None
    _check_workbook(path)
    try:
        with warnings.catch_warnings():
            # of what it leaves out, such as drop-down lists
            warnings.simplefilter("ignore")
            books = [openpyxl.load_workbook(path, data_only=values) for values in (True, False)]
    # whatever is in the file: bad XML is a SyntaxError, and openpyxl makes mistakes of its own
    except Exception as error:
        # openpyxl calls every fault one of the XML, and points to what it came from
        cause = error.__cause__ or error
        said = " ".join(f"{type(cause).__name__}: {cause}".split())
        raise UserError(
            f"{path}: not readable as a spreadsheet (.xlsx): {said:.300}; save it again in a spreadsheet, or the sheet as CSV"
        ) from None
    filled = [sheet.title for sheet in books[0].worksheets if any(_filled(books[1][sheet.title]))]
    seen = [name for name in filled if books[0][name].sheet_state == "visible"]
    if len(seen) == 1 < len(filled):
        notes += [f"sheet {name!r}: hidden, left out" for name in filled if name not in seen]
        filled = seen
    if len(filled) > 1:
        raise UserError(
            f"{path}: expected one sheet with rows, found {len(filled)}: {', '.join(filled)}; save a file with "
            "one of them, or that sheet as CSV"
        )
    if not filled:
        return []
    found, formulas = books[0][filled[0]], books[1][filled[0]]
    held: list[tuple[int, list[Any], list[str]]] = []
    shared = _shared(found)
    hidden = 0
    totals = _totals(found)
    for number, cells in _filled(formulas):
        if not held:
            _check_one_header(path, found, cells)
        if number in totals:
            notes.append(f"row {number}: the total of the table above it, left out")
            continue
        hidden += bool(found.row_dimensions[number].hidden)
        # of a merged cell the first one holds the value
        places = [shared.get((cell.row, cell.column), cell) for cell in cells] if held else cells
        values = [found.cell(place.row, place.column).value for place in places]
        for cell, value in zip(cells, values):
            # the value of a formula may be an empty text, which is one of that type
            saved = found.cell(cell.row, cell.column).data_type
            if cell.data_type == "f" and value is None and saved not in ("str", "s"):
                raise UserError(
                    f"{path}:{number}: cell {cell.coordinate} holds a formula without its value; open the file "
                    "in a spreadsheet, save it, and try again"
                )
        held.append((number, values, [place.number_format for place in places]))
    timed = {
        place for _, values, _ in held for place, value in enumerate(values) if _has_time(value)
    }
    rows = [
        (
            number,
            [
                _text(value, form, place in timed)
                for place, (value, form) in enumerate(zip(values, forms))
            ],
        )
        for number, values, forms in held
    ]
    across = _across(found)
    if across:
        notes.append(
            f"cells merged over several columns, such as {across[0]}: their value is taken for the first of these alone"
        )
    notes += _shares(rows, held)
    notes += _units(held)
    notes += _too_long(held)
    notes += _dates_among_texts(held)
    if shared:
        notes.append("merged cells: their value is taken for each of their rows")
    if hidden:
        notes.append(f"{hidden:,} of its rows are hidden, as by a filter, and read like the others")
    notes += _hidden_columns(found, rows)
    # a sheet is as wide as its widest row; columns to the right that nothing stands in are none
    width = max(
        place for _, cells in rows for place, cell in enumerate(cells, start=1) if cell.strip()
    )
    return [(number, cells[:width]) for number, cells in rows]


def _totals(sheet: Any) -> set[int]:
    """The rows that hold the totals of a table (Excel's own kind of table)."""
    tables = (table for table in sheet.tables.values() if table.totalsRowCount)
    return {int(re.findall(r"\d+", table.ref)[-1]) for table in tables}


def _check_workbook(path: Path) -> None:
    """Make sure that a zip file is a workbook, in the form that openpyxl knows.

    Raises:
        UserError: it is none, or in another form.
    """
    try:
        with zipfile.ZipFile(path) as book:
            names = book.namelist()
            main = book.read("xl/workbook.xml") if "xl/workbook.xml" in names else b""
    except zipfile.BadZipFile:
        raise UserError(f"{path}: {_no_workbook(path)}") from None
    if "[Content_Types].xml" not in names:
        raise UserError(
            f"{path}: a zip file that is no workbook, such as an .ods; save the sheet as .xlsx in a spreadsheet"
        )
    if b"purl.oclc.org/ooxml" in main:
        raise UserError(
            f"{path}: a workbook in the strict form; save it as an ordinary one (Excel Workbook, .xlsx), or the sheet as CSV"
        )


def is_old_workbook(path: Path) -> bool:
    """Whether a file is an .xls, whatever it is called; programs call texts so, too."""
    with open(path, "rb") as stream:
        return stream.read(4) == b"\xd0\xcf\x11\xe0"


def _no_workbook(path: Path) -> str:
    """What a file is that is called .xlsx and is none."""
    with open(path, "rb") as stream:
        head = stream.read(4)
    if is_old_workbook(path):
        return "an old Excel workbook, or one with a password; open it and save it as .xlsx without a password"
    if head[:2] == b"PK":
        return "a broken .xlsx, as one is that was not saved or loaded to its end; save or load it again"
    return "no spreadsheet, whatever its name says; if it is text, call it .csv"


def _check_one_header(path: Path, sheet: Any, cells: Any) -> None:
    """Make sure that the header is no two rows, of which the upper one names groups of columns."""
    filled = sum(cell.value is not None for cell in cells)
    area = next(
        (
            area
            for area in sheet.merged_cells.ranges
            if area.min_row == cells[0].row and area.max_col > area.min_col
        ),
        None,
    )
    # a title alone in its line is told otherwise
    if area is not None and filled > 1:
        raise UserError(
            f"{path}:{cells[0].row}: expected one row of names, found cells {area.coord} merged, as a header of two rows "
            "has them; write one name over each column"
        )


def _across(sheet: Any) -> list[str]:
    """Where cells are merged over columns, below the first row."""
    return [
        area.coord
        for area in sheet.merged_cells.ranges
        if area.min_row > sheet.min_row and area.max_col > area.min_col
    ]


def _shares(
    rows: Sequence[tuple[int, list[str]]], held: Sequence[tuple[int, list[Any], list[str]]]
) -> list[str]:
    """What to say of columns whose numbers are shown as a share of a hundred: 10% is 0.1 in the file."""
    notes = []
    for place, name in enumerate(rows[0][1]):
        numbers = [
            (value, "%" in forms[place])
            for _, values, forms in held[1:]
            if isinstance(value := values[place], int | float) and not isinstance(value, bool)
        ]
        shares = [value for value, is_share in numbers if is_share]
        others = [value for value, is_share in numbers if not is_share]
        if not shares:
            continue
        said = f"{name}: shown as {shares[0] * 100:.10g}% and the like, read as {shares[0]:.15g}"
        if others:
            said += f"; {count(len(others), 'cell is', 'cells are')} shown as plain numbers, such as {others[0]:.15g}: are they shares too?"
        notes.append(said)
    return notes


def _units(held: Sequence[tuple[int, list[Any], list[str]]]) -> list[str]:
    """What to say of columns whose numbers are shown with a currency or another sign: the file has the number alone."""
    notes = []
    for place, name in enumerate(held[0][1]):
        numbers = [
            (value, unit(value, forms[place]))
            for _, values, forms in held[1:]
            if isinstance(value := values[place], int | float)
            and not isinstance(value, bool)
            and padded(value, forms[place]) is None
        ]
        units = Counter(shown for _, shown in numbers if shown)
        if not units:
            continue
        value = next(value for value, shown in numbers if shown)
        told = ", ".join(f"{shown!r} in {number:,}" for shown, number in units.most_common(4))
        more = "" if len(units) <= 4 else f" and {len(units) - 4} more"
        notes.append(
            f"{name}: shown with {told}{more} of {count(len(numbers), 'cell')}, read as numbers alone, such as {value:.15g}"
        )
    return notes


def _too_long(held: Sequence[tuple[int, list[Any], list[str]]]) -> list[str]:
    """What to say of columns with numbers of more digits than a spreadsheet keeps, such as those of a card."""
    places = {
        place
        for _, values, _ in held[1:]
        for place, value in enumerate(values)
        if isinstance(value, int | float) and abs(value) >= _TOO_LONG
    }
    names = [str(name) for place, name in enumerate(held[0][1]) if place in places]
    return [
        f"{name}: numbers of more than 15 digits, of which a spreadsheet keeps 15; format its cells as text before they "
        "are entered"
        for name in names
    ]


def _dates_among_texts(held: Sequence[tuple[int, list[Any], list[str]]]) -> list[str]:
    """What to say of columns where some cells are dates and others texts: a spreadsheet makes dates of 1-2 and SEPT1."""
    notes = []
    for place, name in enumerate(held[0][1]):
        cells = [values[place] for _, values, _ in held[1:] if place < len(values)]
        dates = [cell for cell in cells if isinstance(cell, date)]
        texts = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
        if dates and texts:
            notes.append(
                f"{name}: {count(len(dates), 'cell is a date', 'cells are dates')}, such as {_text(dates[0], '', False)}, and "
                f"{count(len(texts), 'is a text', 'are texts')}, such as {texts[0]!r:.40}: were the "
                "dates texts before a spreadsheet took them for days?"
            )
    return notes


def _hidden_columns(sheet: Any, rows: Sequence[tuple[int, list[str]]]) -> list[str]:
    """What to say of columns that a person has hidden: maybe they hold what no model is to learn."""
    # one entry stands for all columns from min to max
    places = {
        place
        for area in sheet.column_dimensions.values()
        if area.hidden and area.min
        for place in range(area.min, min(area.max, len(rows[0][1])) + 1)
    }
    names = [name for place, name in enumerate(rows[0][1], start=1) if place in places and name]
    return [f"{', '.join(names):.80}: hidden in the sheet, read like the others"] if names else []


def _shared(sheet: Any) -> dict[tuple[int, int], Any]:
    """Row and column of each cell that is merged with one above it → the one that holds the value."""
    return {
        (row, area.min_col): sheet.cell(area.min_row, area.min_col)
        for area in sheet.merged_cells.ranges
        # a header over two rows is none of the second
        if area.min_row > sheet.min_row
        for row in range(area.min_row + 1, area.max_row + 1)
    }


def _filled(sheet: Any) -> Iterator[tuple[int, Any]]:
    """The rows with anything in them, by their number."""
    # openpyxl makes every cell up to the last that has as much as a colour, which may be millions
    held = [
        place
        for place, cell in sheet._cells.items()
        if cell.value is not None and str(cell.value).strip()
    ]
    last = max((column for _, column in held), default=1)
    for row in sorted({row for row, _ in held}):
        yield row, next(sheet.iter_rows(min_row=row, max_row=row, max_col=last))


def _has_time(value: Any) -> bool:
    return isinstance(value, datetime) and value.time() != time()


def hours(length: timedelta) -> str:
    """A length of time as hours, minutes and seconds, to the second: 25:03:00."""
    minutes, seconds = divmod(round(abs(length.total_seconds())), 60)
    sign = "-" if length < timedelta(0) else ""
    return f"{sign}{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _text(value: Any, form: str, timed: bool) -> str:
    """A cell as a text; midnight is a time where others of its column are ``timed``, and else a day."""
    if value is None:
        return ""
    if isinstance(value, timedelta):
        return hours(value)
    if isinstance(value, str) and "_x" in value:
        from openpyxl.utils.escape import unescape

        # what XML has no place for, such as the _x000D_ of a line end that was pasted from Windows
        whole = unescape(value).replace("\r\n", "\n")
        # an emoji is written as its two halves
        return whole.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return (value if timed else value.date()).isoformat()
    shown = padded(value, form) if isinstance(value, int | float) else None
    if shown is not None:
        return shown
    if isinstance(value, float):
        # as many digits as a spreadsheet keeps, all of them before the point where there is none behind it
        short = f"{value:.15g}"
        return short if "e+" not in short else str(int(Decimal(short)))
    return value.isoformat() if isinstance(value, date | time) else str(value)
