"""Labels as Label Studio exports them: one of a text as it is, several as ``{"choices": [...]}``.

Source: https://labelstud.io/guide/export (JSON_MIN and CSV).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lora_vs_api.data.chat import RECORD
from lora_vs_api.data.json_values import json_value
from lora_vs_api.data.table import Rows, Table

_KEY = "choices"


def with_lists(table: Table, untouched: Collection[str | None] = ()) -> Table:
    """``table`` with a list of labels in every cell of a column in which some cells hold several.

    A label that stands alone there is a list of one, an empty cell stays so. Such a column is added to the notes.

    Args:
        untouched: columns whose cells stay as they are: of the texts, and of objects, which may be called so too.
            What a conversation was answered is one.
    """
    untouched = {*untouched, *([RECORD] if table.conversations else [])}
    columns = [name for name in _names(table.rows) if name not in untouched]
    lists = {name: n for name in columns if (n := _count(table.rows, name))}
    if not lists:
        return table
    rows: Rows = [
        (place, {name: _listed(cell) if name in lists else cell for name, cell in row.items()})
        for place, row in table.rows
    ]
    notes = [
        f'{name}: {{"choices": […]}} in {n:,} rows, as Label Studio writes several labels; the column is read as '
        "lists of labels"
        for name, n in lists.items()
    ]
    return Table(rows, [*table.notes, *notes], table.conversations, table.instruction)


def _names(rows: Rows) -> Sequence[str]:
    return list(dict.fromkeys(name for _, row in rows for name in row))


def _count(rows: Rows, name: str) -> int:
    """How many cells of a column hold several labels; 0 where another cell is neither that nor one label."""
    cells = [row.get(name) for _, row in rows]
    if not all(
        cell is None or isinstance(cell, str) or _several(cell) is not None for cell in cells
    ):
        return 0
    return sum(_several(cell) is not None for cell in cells)


def _several(cell: Any) -> list[str] | None:
    """The labels of a cell that holds several; None for any other cell."""
    if isinstance(cell, str) and cell.lstrip().startswith("{") and _KEY in cell:
        try:
            cell = json_value(cell)
        except ValueError:
            return None
    if not isinstance(cell, Mapping) or list(cell) != [_KEY] or not isinstance(cell[_KEY], list):
        return None
    return cell[_KEY] if all(isinstance(label, str) for label in cell[_KEY]) else None


def _listed(cell: Any) -> Any:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return cell
    several = _several(cell)
    return [cell] if several is None else several
