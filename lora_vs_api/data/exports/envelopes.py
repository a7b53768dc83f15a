"""Rows that lie within an object of each row: Elasticsearch's ``_source``, Airtable's ``fields``, the Hub's ``row``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from lora_vs_api.data.table import Rows, Table, names_of
from lora_vs_api.data.written import FILE_NAME, is_called_record, mostly_written
from lora_vs_api.errors import UserError

# beside its data, of today and of before
_OF_LABEL_STUDIO = {"annotations", "completions", "predictions"}


def unwrapped(
    path: Path, table: Table, text: str | None, objects: Collection[str | None] = ()
) -> Table:
    """``table`` with the keys of the one object that holds the text as its columns, where no column is a text itself.

    What stands beside the object stays, but for what is called as one of its keys.

    Args:
        path: of the file.
        table: rows as they are written.
        text: the column of the texts or a template over columns, where it is known.
        objects: columns that hold records or objects, where they are known: these stay.

    Raises:
        UserError: the labels of a text lie too deep for a row.
    """
    rows = [row for _, row in table.rows]
    names = names_of(rows)
    if table.conversations or any(mostly_written(rows, name) for name in names):
        return table
    holders = [
        name for name in names if name not in objects and _holds_text([r.get(name) for r in rows])
    ]
    # where an object of the answers is written, too
    holders = [name for name in holders if not is_called_record(name)] or holders
    # a column of that name in which nothing stands is none
    if len(holders) != 1 or any(row.get(text or "") not in (None, "") for row in rows):
        return table
    name = holders[0]
    if is_called_record(name) and any(_names_files(rows, other) for other in names):
        # the answers of texts that lie in files
        return table
    if name == "data_row" and "projects" in names:
        raise UserError(
            f"{path}: is it Labelbox's export? its labels lie too deep for a row; write an object for each text, with a key "
            'for each label: {"text": …, "topic": …}'
        )
    if name == "data" and not _OF_LABEL_STUDIO.isdisjoint(names):
        raise UserError(
            f"{path}: is it Label Studio's JSON? export JSON-MIN or CSV, which have a row for each text"
        )
    # a template that names the object
    if text is not None and re.search(rf"\b{re.escape(name)}\b", text):
        return table
    found: Rows = []
    clashing: dict[str, None] = {}
    for place, row in table.rows:
        inner = row.get(name) or {}
        clashing |= dict.fromkeys(key for key in row if key != name and key in inner)
        beside = {key: value for key, value in row.items() if key != name}
        found.append((place, {**beside, **inner}))
    notes = [*table.notes, f"{name}: its keys are the columns"]
    if clashing:
        notes.append(f"{', '.join(clashing)} beside {name}, which has such a key too: left out")
    return Table(found, notes)


def _names_files(rows: list[Mapping[str, Any]], name: str) -> bool:
    cells = [row.get(name) for row in rows]
    return all(isinstance(cell, str) and FILE_NAME.fullmatch(cell.strip()) for cell in cells)


def _holds_text(cells: list[Any]) -> bool:
    """Whether these are objects, with a text among their keys."""
    inner = [cell for cell in cells if cell is not None]
    if not inner or not all(isinstance(cell, Mapping) for cell in inner):
        return False
    keys = dict.fromkeys(key for cell in inner for key in cell)
    return any(mostly_written(inner, key) for key in keys)
