"""The one sheet of a spreadsheet (.xlsx) that has rows, its cells as texts, as CSV has them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from lora_vs_api.errors import UserError


def sheet_rows(path: Path) -> list[tuple[int, list[str]]]:
    """The sheet's number of each row that is not empty, and its cells, all rows as wide as the first is.

    A number is written with the digits that it has, a date or time in ISO 8601 (a day, at midnight), true and
    false so. What a formula gave when the file was saved is its value.

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
    try:
        with warnings.catch_warnings():
            # of what it leaves out, such as drop-down lists
            warnings.simplefilter("ignore")
            books = [openpyxl.load_workbook(path, data_only=values) for values in (True, False)]
    # whatever is in the file: bad XML is a SyntaxError, and openpyxl makes mistakes of its own
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{path}: not readable as a spreadsheet (.xlsx): {said:.200}") from None
    filled = [sheet.title for sheet in books[0].worksheets if any(_filled(books[1][sheet.title]))]
    if len(filled) > 1:
        raise UserError(
            f"{path}: expected one sheet with rows, found {len(filled)}: {', '.join(filled)}; save a file with "
            "one of them, or that sheet as CSV"
        )
    if not filled:
        return []
    found, formulas = books[0][filled[0]], books[1][filled[0]]
    rows = []
    for number, cells in _filled(formulas):
        values = [found.cell(cell.row, cell.column).value for cell in cells]
        for cell, value in zip(cells, values):
            if cell.data_type == "f" and value is None:
                raise UserError(
                    f"{path}:{number}: cell {cell.coordinate} holds a formula without its value; open the file "
                    "in a spreadsheet, save it, and try again"
                )
        rows.append((number, [_text(value) for value in values]))
    # a sheet is as wide as its widest row; columns to the right that nothing stands in are none
    width = max(
        place for _, cells in rows for place, cell in enumerate(cells, start=1) if cell.strip()
    )
    return [(number, cells[:width]) for number, cells in rows]


def _filled(sheet: Any) -> Iterator[tuple[int, Any]]:
    """The rows with anything in them, by their number."""
    for cells in sheet.iter_rows():
        if any(cell.value is not None and str(cell.value).strip() for cell in cells):
            yield cells[0].row, cells


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return (value.date() if value.time() == time() else value).isoformat()
    if isinstance(value, float):
        # as many digits as a spreadsheet keeps
        return f"{value:.15g}"
    return value.isoformat() if isinstance(value, date | time) else str(value)
