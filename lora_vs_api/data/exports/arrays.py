"""PostgreSQL's arrays in cells of text: ``{kitchen,"in house",NULL}``, which are lists.

Source: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_ITEM = r'"(?:[^"\\]|\\.)*"|[^\s,{}"\'\\:][^,{}"\'\\:]*'
_ARRAY = re.compile(rf"\{{\s*(?:{_ITEM})(?:,\s*(?:{_ITEM}))*\s*\}}|\{{\}}", re.DOTALL)


# a few cells alone may well be texts in braces
_LEAST = 5


def is_array(cell: str) -> bool:
    """Whether a cell of a list may be an array."""
    return _ARRAY.fullmatch(cell) is not None


def as_lists(cells: Sequence[str]) -> list[str] | None:
    """A column's cells with a JSON list for each array; None where they are none, or too few to tell."""
    held = [cell for cell in cells if cell.strip()]
    if (
        len(held) < _LEAST
        or not any(len(cell) > 2 for cell in held)
        or not all(map(_ARRAY.fullmatch, held))
    ):
        return None
    return [as_list(cell) if cell.strip() else cell for cell in cells]


def as_list(cell: str) -> str:
    """The array ``cell`` as JSON."""
    items = [found[0].strip() for found in re.finditer(_ITEM, cell[1:-1], re.DOTALL)]
    values = [None if item.upper() == "NULL" else _item(item) for item in items]
    return json.dumps(values, ensure_ascii=False)


def _item(item: str) -> str:
    return re.sub(r"\\(.)", r"\1", item[1:-1], flags=re.DOTALL) if item[:1] == '"' else item
