"""Relations between entities, which name these by their numbers: no text has them, and they differ from row to row.

Source: https://doccano.github.io/doccano (``from_id`` and ``to_id``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lora_vs_api.data.table import Rows
from lora_vs_api.data.written import plain_name

# what relations call the entities that they are between
_ENDS_OF_RELATIONS = {
    "from",
    "to",
    "head",
    "tail",
    "source",
    "target",
    "subject",
    "object",
    "arg1",
    "arg2",
    "h",
    "t",
}


def with_entities(rows: Rows, named: Mapping[str, Mapping[int, str]]) -> tuple[Rows, list[str]]:
    """``rows`` with words where relations name entities by their numbers, as doccano's ``from_id`` and ``to_id`` do."""
    notes = []
    for name in dict.fromkeys(name for _, row in rows for name in row):
        items = [
            (item, named.get(place, {}))
            for place, row in rows
            if isinstance(cell := row.get(name), list)
            for item in cell
        ]
        if not items or not all(isinstance(item, Mapping) for item, _ in items):
            continue
        keys = [
            key
            for key in items[0][0]
            if _names_an_entity(key)
            and all(type(of := item.get(key)) is int and of in ids for item, ids in items)
        ]
        if not keys:
            continue
        rows = [
            (place, {**row, name: _worded(row[name], keys, named.get(place, {}))})
            if row.get(name)
            else (place, row)
            for place, row in rows
        ]
        notes.append(f"{name}: the entities' words for their numbers under {', '.join(keys)}")
    return rows, notes


def _names_an_entity(key: str) -> bool:
    """Whether a relation's key is called so: a number under another one may be a count."""
    plain = plain_name(key)
    return plain in _ENDS_OF_RELATIONS or (plain.endswith("_id") and plain != "id")


def _worded(
    relations: Sequence[Mapping[str, Any]], keys: Sequence[str], ids: Mapping[int, str]
) -> list[dict[str, Any]]:
    return [
        {
            key.removesuffix("_id") if key in keys else key: ids[value] if key in keys else value
            for key, value in relation.items()
            # a number of its own, as its entities had
            if key != "id" or type(value) is not int
        }
        for relation in relations
    ]
