"""The record that a model's answer holds."""

from __future__ import annotations

import json
import math
from typing import Any


def parse_record(output: str) -> dict[str, Any] | None:
    """Return the JSON object that the whole output is (white space around it aside), or None.

    Prose or code fences around the object make it invalid: a program that reads the answer
    with ``json.loads`` would fail on it. NaN, Infinity and numbers too large to hold, which
    Python's reader would let pass, make it invalid too.
    """
    try:
        value = json.loads(output, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
