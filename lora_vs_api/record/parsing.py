"""The record that a model's answer holds."""

from __future__ import annotations

import json
import math
import re
from sys import float_info
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_record(output: str) -> dict[str, Any] | None:
    """Return the JSON object that the whole output is (white space around it aside), or None.

    Prose or code fences around the object make it invalid: a program that reads the answer
    with ``json.loads`` would fail on it. NaN, Infinity, numbers too large for a float and halves of
    a character (lone surrogates), which Python's reader would let pass, make it invalid too: no
    other program could be handed them.
    """
    try:
        value = DECODER.decode(output)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and is_whole(output, value) else None


def is_whole(output: str, record: dict[str, Any]) -> bool:
    """Whether a record read from ``output`` has no half of a character in a key or a text."""
    # only there where one is written out, or escaped
    if not _SURROGATE.search(output) and "\\ud" not in output.lower():
        return True
    return not _SURROGATE.search(json.dumps(record, ensure_ascii=False))


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _integer(text: str) -> int:
    # an integer of more digits than a float holds breaks whatever calculates with it
    if len(text) > 310 or abs(value := int(text)) > float_info.max:
        raise ValueError(text)
    return value


# reads what a record may hold; ValueError for the rest, RecursionError where it is nested too deeply
DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_finite, parse_int=_integer)
