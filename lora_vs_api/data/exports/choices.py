"""Labels as Label Studio exports them: one of a text as it is, several as ``{"choices": [...]}``, a number in a list.

doccano puts the one answer of a text into a list, too. Sources: https://labelstud.io/guide/export (JSON_MIN and CSV)
and https://doccano.github.io/doccano/tutorial (sequence to sequence).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lora_vs_api.data.exports.chat import RECORD
from lora_vs_api.data.json_values import json_value
from lora_vs_api.data.table import Rows, Table

_KEY = "choices"
# what a person gave once a text
_OF_ONE = ("rating", "number", "datetime")


def with_lists(table: Table, untouched: Collection[str | None] = ()) -> Table:
    """``table`` with a list of labels in every cell of a column in which some cells hold several.

    A label that stands alone there is a list of one, an empty cell stays so. Such a column is added to the notes.

    Args:
        untouched: columns whose cells stay as they are: of the texts, and of objects, which may be called so too.
            What a conversation was answered is one.
    """
    untouched = {*untouched, *([RECORD] if table.conversations else [])}
    names = _names(table.rows)
    columns = [name for name in names if name not in untouched]
    lists = {name: n for name in columns if (n := _count(table.rows, name))}
    # an object as JSON in a list is the record, be it known as that or not
    alone = {
        name: key
        for name in names
        if (key := _key_of_one(table.rows, name)) is not None and (not key or name in columns)
    }
    if not lists and not alone:
        return table
    rows: Rows = []
    for place, row in table.rows:
        read = {name: _listed(row[name]) for name in lists if name in row}
        read |= {name: _one(row[name], key) for name, key in alone.items() if name in row}
        rows.append((place, {**row, **read}))
    notes = [
        f'{name}: {{"choices": […]}} in {n:,} rows, as Label Studio writes several labels; the column is read as '
        "lists of labels"
        for name, n in lists.items()
    ]
    notes += [
        f"{name}: a list of one {f'with the key {key}' if key else 'object as JSON'} in every row, read without the list"
        for name, key in alone.items()
    ]
    return Table(rows, [*table.notes, *notes], table.conversations, table.instruction)


def _key_of_one(rows: Rows, name: str) -> str | None:
    """What a column's lists of one hold in every row: the key of its value, empty for an object as JSON; else None."""
    cells = [cell for _, row in rows if (cell := row.get(name)) not in (None, "", [])]
    lists = [cell for cell in cells if isinstance(cell, list) and len(cell) == 1]
    if not lists or len(lists) < len(cells):
        return None
    if all(isinstance(one, str) and _is_object(one) for [one] in lists):
        return ""
    keys = {tuple(one) if isinstance(one, Mapping) else () for [one] in lists}
    key = keys.pop() if len(keys) == 1 else ()
    return key[0] if len(key) == 1 and key[0] in _OF_ONE else None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json_value(text), Mapping)
    except ValueError:
        return False


def _one(cell: Any, key: str) -> Any:
    """The value of a list of one; None for an empty one."""
    if not isinstance(cell, list):
        return cell
    return (cell[0][key] if key else json_value(cell[0])) if cell else None


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
