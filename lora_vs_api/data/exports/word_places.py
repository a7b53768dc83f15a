"""Words with the places at which they stand in the text, as CLUENER2020 has them: read as the words.

Source: https://github.com/CLUEbenchmark/CLUENER2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lora_vs_api.data.exports.places import decoded, pair
from lora_vs_api.data.table import Rows, Table


def as_words(table: Table) -> Table:
    """``table`` with lists of words for ``{"Ana": [[28, 30]]}``, by label or not."""
    rows = decoded(table.rows, _may_be_stretches)
    held = dict.fromkeys(
        name for _, row in rows for name, cell in row.items() if _has_stretches(cell)
    )
    names = [name for name in held if all(_may_be_stretches(row.get(name)) for _, row in rows)]
    if not names:
        return table
    found: Rows = [
        (place, {name: _as_words(cell) if name in names else cell for name, cell in row.items()})
        for place, row in rows
    ]
    notes = [f"{name}: words without the places at which they stand" for name in names]
    return replace(table, rows=found, notes=[*table.notes, *notes])


def _is_stretches(cell: Any) -> bool:
    """Whether this is an object of words with the first and last characters of each time that they occur."""
    return (
        isinstance(cell, Mapping)
        and bool(cell)
        and all(
            isinstance(places, list) and bool(places) and all(map(pair, places))
            for places in cell.values()
        )
    )


def _has_stretches(cell: Any) -> bool:
    inner = cell.values() if isinstance(cell, Mapping) else ()
    return _is_stretches(cell) or any(map(_is_stretches, inner))


def _may_be_stretches(cell: Any) -> bool:
    """Whether nothing else is in it: a label without words is empty or not there."""
    if not cell or _is_stretches(cell):
        return True
    return isinstance(cell, Mapping) and all(
        not each or _is_stretches(each) for each in cell.values()
    )


def _as_words(cell: Any) -> Any:
    if not cell or _is_stretches(cell):
        return list(cell or ())
    return {label: list(words or ()) for label, words in cell.items()}
