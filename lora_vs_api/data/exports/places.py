"""Characters' numbers, in the forms in which programs write them, and cells of text that hold such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lora_vs_api.data.json_values import cell_value
from lora_vs_api.data.table import Rows


def number(value: Any) -> int | None:
    """A character's number, which some write as a text, and pandas as 9.0 where others are missing."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if type(value) is int else None


def pair(value: Any) -> tuple[int, int] | None:
    """Two numbers of characters; None for anything else."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    start, end = map(number, value)
    return None if start is None or end is None else (start, end)


def decoded(rows: Rows, fits: Callable[[Any], bool]) -> Rows:
    """``rows`` with the values of columns whose cells are JSON as texts, as CSV has them and some Parquet.

    Args:
        fits: what all values of such a column have to be; it stays a column of texts otherwise.
    """
    for name in dict.fromkeys(name for _, row in rows for name in row):
        cells = [cell for _, row in rows if (cell := row.get(name))]
        if not all(isinstance(cell, str) and cell.lstrip()[:1] in ("[", "{") for cell in cells):
            continue
        try:
            found = {cell: cell_value(cell) for cell in cells}
        except ValueError:
            continue
        if any(found.values()) and all(map(fits, found.values())):
            rows = [
                (place, {**row, name: found[row[name]]} if row.get(name) else row)
                for place, row in rows
            ]
    return rows
