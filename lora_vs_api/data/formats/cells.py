"""Rows whose cells are all texts, of CSV and of a sheet: the header, and what is put around cells or in place of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

from lora_vs_api.data.exports.arrays import as_lists
from lora_vs_api.data.formats.index_columns import check_names, kept_columns
from lora_vs_api.data.formats.table_rows import (
    as_wide_as,
    check_header,
    check_no_second_header,
    last_row_note,
    without_empty,
    without_headers,
    without_survey_lines,
)
from lora_vs_api.data.table import Rows, Table
from lora_vs_api.shown import count

# cells that all have a sign around them before it counts as a spreadsheet's guard
_MIN_GUARDED = 10
# what databases and their tools (DBeaver) write for null, and spreadsheets where a formula fails
_NO_VALUE = {"\\N", "[NULL]", "#N/A", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"}
# a byte order mark, as Windows' letters have its bytes
_MISREAD_MARK = "ï»¿"
# around a column's name: blanks, also those that are not seen, such as a byte order mark of a part that was joined
_INVISIBLE = re.compile(r"^[\s\u200b\u2060\ufeff]+|[\s\u200b\u2060\ufeff]+$")
# within a column's name, where a spreadsheet breaks it over lines
_LINE_END = re.compile(r"\s*[\r\n\v\x85\u2028\u2029]+\s*")
# blanks that look like a plain one and are none, as web pages have them
_OTHER_BLANK = re.compile("[\u00a0\u2007\u202f\u3000]")
# ways to have a spreadsheet keep 00007: a formula, an apostrophe, a character that is not seen
_FORMULA = re.compile(r'="((?:[^"]|"")*)"', re.DOTALL)
_GUARDED_FORMULA = re.compile(r"'[=+@-]")
_NUMBER = re.compile(r"[+-]?\d[\d.,]*")
_GUARD = re.compile(r"(?:'(?=[\d=+@-])|[\x1f\u200b])(.+)|(.+)\u200b", re.DOTALL)


def plain_blanks(name: str) -> str:
    """A column's name with plain blanks, as a person types it."""
    return _OTHER_BLANK.sub(" ", name)


def of_cells(
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
        normalize("NFC", _INVISIBLE.sub("", plain_blanks(_LINE_END.sub(" ", name))))
        for name in names
    ]
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
    check_names(f"{path}:{first}", header, "" if header_note is None else f"; {header_note}")
    check_no_second_header(path, header, rest)
    notes += filter(None, [header_note, last_row_note(header, rest)])
    columns = [
        _filled(name, [cells[place] for _, cells in rest], notes)
        if name == text
        else list(_meant(name, [cells[place] for _, cells in rest], notes))
        for place, name in enumerate(header)
    ]
    kept = kept_columns(f"{path}:{first}", header, columns, notes)
    rows: Rows = [
        (f"{path}:{line}", {header[place]: columns[place][row] for place in kept})
        for row, (line, _) in enumerate(rest)
    ]
    return Table(rows, notes)


def _meant(name: str, cells: Sequence[str], notes: list[str]) -> Sequence[str]:
    """A column as it was meant, without what is put around cells for a spreadsheet or in place of them.

    What was read otherwise than it is written is added to ``notes``.
    """
    cells = _filled(name, cells, notes)
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
    if len(quoted) >= _MIN_GUARDED and all(quoted):
        notes.append(f"{name}: single quotes around every cell, left out")
        cells = [cell[1:-1].replace("''", "'") for cell in cells]
    if _are_guarded(cells):
        some = "every cell" if all(_GUARD.fullmatch(cell) for cell in cells if cell) else "cells"
        notes.append(f"{name}: a sign around {some} that keeps a spreadsheet off, left out")
        cells = [
            found[1] or found[2] if (found := _GUARD.fullmatch(cell)) else cell for cell in cells
        ]
    return cells


def _are_guarded(cells: Sequence[str]) -> bool:
    """Whether signs around cells keep a spreadsheet off: around every one, or around those that need it.

    A few cells alone may well begin or end so, and words in quotes do; but no word begins with an apostrophe and what
    begins a formula.
    """
    guards = [_GUARD.fullmatch(cell) for cell in cells if cell]
    if not any(guards):
        return False
    if all(guards):
        formulas = all(map(_GUARDED_FORMULA.match, filter(None, cells)))
        return len(guards) >= _MIN_GUARDED or _are_numbers(guards) or formulas
    # an export may guard what is below zero alone; a label of several may well begin so
    if not all(_GUARDED_FORMULA.match(found[0]) for found in guards if found):
        return False
    others = [cell for cell in cells if cell and not _GUARD.fullmatch(cell)]
    held = [found[1] or found[2] for found in guards if found]
    return all(map(_NUMBER.fullmatch, [*held, *others]))


def _filled(name: str, cells: Sequence[str], notes: list[str]) -> Sequence[str]:
    """A column without what stands for no value, a text's too."""
    errors = sorted({cell for cell in cells if cell in _NO_VALUE})
    if not errors:
        return cells
    found = sum(cell in errors for cell in cells)
    notes.append(f"{name}: {', '.join(errors)} in {count(found, 'cell')}, read as empty")
    return ["" if cell in errors else cell for cell in cells]


def _are_numbers(guards: Sequence[re.Match[str] | None]) -> bool:
    """Whether several cells are numbers but for their guards, as few as they are."""
    bare = [found[1] or found[2] for found in guards if found]
    return len(bare) > 1 and all(map(_NUMBER.fullmatch, bare))
