"""Texts cut into pieces, some of which are an entity: read as the text and the entities in it.

``{"data": [{"text": "play "}, {"text": "Mozart", "entity": "artist"}]}``. Source: Snips' files of 2017
(https://github.com/sonos/nlu-benchmark), and those of its own library, with a ``slot_name`` beside.
"""

from __future__ import annotations

import re
from typing import Any

from lora_vs_api.data.table import Rows, Table, names_of
from lora_vs_api.data.written import mostly_written

TEXT, LABEL, ENTITIES = "text", "label", "entities"
_NAMES = ("slot_name", "entity")
_KEYS = {TEXT, *_NAMES}


def with_entities_of_pieces(table: Table, text: str | None = None) -> Table:
    """``table`` with a text and its entities in place of pieces; one that has none as it is.

    Args:
        text: the column of the texts or a template, where it is known; one that joins the pieces itself keeps them.
    """
    name = _column(table.rows)
    if name is None or (text is not None and re.search(rf"\b{re.escape(name)}\b", text)):
        return table
    rows: Rows = []
    for place, row in table.rows:
        pieces = row[name]
        entities = [
            {TEXT: piece[TEXT].strip(), LABEL: label}
            for piece in pieces
            if (label := _label(piece))
        ]
        others = {other: value for other, value in row.items() if other != name}
        said = "".join(piece[TEXT] for piece in pieces)
        rows.append((place, {TEXT: said, **others, ENTITIES: entities}))
    note = f"{name}: its pieces joined are the {TEXT}, those with an entity's name the {ENTITIES}"
    return Table(rows, [*table.notes, note], table.conversations, table.instruction)


def _column(rows: Rows) -> str | None:
    """The column of the pieces, where no other holds a text; None where there is none."""
    if not rows:
        return None
    plain = [row for _, row in rows]
    names = names_of(plain)
    if not {TEXT, ENTITIES}.isdisjoint(names) or any(mostly_written(plain, name) for name in names):
        return None
    for name in names:
        pieces = [row.get(name) for row in plain]
        if all(map(_are_pieces, pieces)):
            labels = [_label(piece) for cell in pieces for piece in cell or ()]
            # entities alone are none
            return name if any(labels) and not all(labels) else None
    return None


def _are_pieces(cell: Any) -> bool:
    return (
        isinstance(cell, list)
        and bool(cell)
        and all(
            isinstance(piece, dict) and isinstance(piece.get(TEXT), str) and piece.keys() <= _KEYS
            for piece in cell
        )
    )


def _label(piece: dict[str, Any]) -> str | None:
    return next((str(piece[name]) for name in _NAMES if piece.get(name)), None)
