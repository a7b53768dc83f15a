"""Characters' numbers, in the forms in which programs write them, and cells of text that hold such."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lora_vs_api.data.json_values import cell_value
from lora_vs_api.data.table import Rows
from lora_vs_api.data.written import plain_name

# of the characters of a text: where a span begins, and where it ends or how long it is
_WHERE = r"(?:_(?:char|character|text))?(?:_(?:offset|pos|position|idx|index|location|point))?"
_START = re.compile(rf"(?:(?:char|character)_)?(?:start|begin){_WHERE}|offset|from")
_END = re.compile(rf"(?:(?:char|character)_)?(?:end|stop){_WHERE}|length|to")
# both in a list, or in an object
BOTH = (
    "span",
    "offsets",
    "indices",
    "char_span",
    "char_interval",
    "position",
    "location",
    "locations",
    "text_span",
    "text_segment",
)
# what else tells places and not words
_ALSO = ("token_start", "token_end", "id")
# an end that stands alone where a program leaves out a start of 0 (protobuf's JSON)
_END_ALONE = re.compile(r"end_\w+")


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


def places_of(span: Any) -> tuple[int, int] | None:
    """First character of a span, and the one behind it; None for what is no span."""
    if isinstance(span, list):
        return _in_list(span)
    if not isinstance(span, Mapping):
        return None
    for key, value in span.items():
        if plain_name(key) in BOTH and (both := _both(value)):
            return both
    plain = {
        plain_name(key): place
        for key, value in span.items()
        if (place := number(value)) is not None
    }
    # of words and of characters, the latter (spaCy has both)
    names = sorted(plain, key=lambda key: "char" not in key)
    start = next((plain[key] for key in names if _START.fullmatch(key)), None)
    end = next((key for key in names if _END.fullmatch(key)), None)
    if start is None and end is not None and _END_ALONE.fullmatch(end):
        start = 0
    if start is None or end is None:
        return None
    return start, plain[end] + (start if end == "length" else 0)


def _in_list(span: list[Any]) -> tuple[int, int] | None:
    """The two numbers that stand side by side in a list with a label, and maybe the words; None for another list."""
    at = next((place for place, item in enumerate(span) if number(item) is not None), 0)
    others = [*span[:at], *span[at + 2 :]]
    return pair(span[at : at + 2]) if 1 <= len(others) <= 2 and all(map(is_word, others)) else None


def is_word(item: Any) -> bool:
    return isinstance(item, str) and number(item) is None


def _both(value: Any) -> tuple[int, int] | None:
    """Start and end in a list, or in an object that has no more than them; BioC's stands in a list of one."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], Mapping):
        value = value[0]
    if isinstance(value, Mapping):
        return (
            places_of(value)
            if len(value) == 2 and all(number(n) is not None for n in value.values())
            else None
        )
    return pair(value)


def is_number_name(name: str) -> bool:
    return bool(_START.fullmatch(name) or _END.fullmatch(name))


def is_place_name(name: str) -> bool:
    """Whether a key, in plain letters, tells a place and no words."""
    return is_number_name(name) or name in (*BOTH, *_ALSO)


def tells_a_place(key: str, value: Any) -> bool:
    if plain_name(key) == "id":
        return type(value) is int
    return number(value) is not None or _both(value) is not None
