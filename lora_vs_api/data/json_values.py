"""JSON as people's data holds it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from unicodedata import normalize

from lora_vs_api.record.parsing import finite_integer, finite_number


def json_value(text: str) -> Any:
    """The value of a JSON text.

    NaN, which pandas and others write for a number that is missing, is None. Keys are in NFC, as
    the names of fields are.

    Raises:
        ValueError: no JSON, a number that no float can hold, or a key that an object has twice;
            the message says which.
    """
    try:
        return json.loads(
            text,
            parse_constant=_constant,
            parse_float=finite_number,
            parse_int=finite_integer,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("not valid JSON: nested too deeply") from None


def _constant(text: str) -> None:
    if text != "NaN":
        raise ValueError(f"expected a number, found {text}")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        name = normalize("NFC", key)
        if name in found:
            raise ValueError(f"expected no key twice, found {name!r:.60}")
        found[name] = value
    return found
