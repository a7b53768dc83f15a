"""JSON as people's data holds it."""

from __future__ import annotations

import json
import re
from ast import literal_eval
from collections.abc import Iterator, Sequence
from typing import Any
from unicodedata import normalize
from warnings import catch_warnings

from lora_vs_api.record.parsing import finite_integer, finite_number
from lora_vs_api.shown import LONE_SURROGATE


def json_value(text: str) -> Any:
    """The value of a JSON text.

    NaN, which pandas and others write for a number that is missing, is None. Keys are in NFC, as
    the names of fields are.

    Raises:
        ValueError: no JSON, a number that no float can hold, or a key that an object has twice;
            the message says which.
    """
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {_why(error)}") from None
    except RecursionError:
        raise ValueError("not valid JSON: nested too deeply") from None


def json_values(text: str) -> Iterator[tuple[int, Any]]:
    """The JSON values of a text that has several, one after another, each with the line on which it begins.

    Between two of them there may be blanks, line ends and a comma.

    Raises:
        ValueError: as :func:`json_value`.
    """
    place = _next(text, 0)
    line, counted = 1, 0
    while place < len(text):
        line += text.count("\n", counted, place)
        counted = place
        try:
            value, end = _DECODER.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise ValueError(f"not valid JSON: {_why(error)}") from None
        except RecursionError:
            raise ValueError("not valid JSON: nested too deeply") from None
        yield line, value
        place = _next(text, end)
        if place < len(text) and text[place] == ",":
            place = _next(text, place + 1)


def is_json(text: str) -> bool:
    try:
        json_value(text)
    except ValueError:
        return False
    return True


def _next(text: str, place: int) -> int:
    """The next character that is no blank."""
    found = _BLANKS.match(text, place)
    return found.end() if found else place


def _why(error: json.JSONDecodeError) -> str:
    """What is wrong with a JSON text, and where."""
    text, place = error.doc, error.pos
    what = error.msg.removesuffix(" at")  # "Unterminated string starting at"
    if what.startswith("Invalid control character"):
        what = "a line end or tab within a text, where \\n or \\t stands for one,"
    elif text[place : place + 1] in ("]", "}") and text[:place].rstrip().endswith(","):
        what = f"a comma before {text[place]}"
    elif text[place : place + 2] in ("//", "/*") or text[place : place + 1] == "#":
        what = "a comment, which JSON does not have,"
    line = f"line {error.lineno}, " if error.lineno > 1 else ""
    return f"{what} at {line}character {error.colno}"


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


# after the functions that it calls
_DECODER = json.JSONDecoder(
    parse_constant=_constant,
    parse_float=finite_number,
    parse_int=finite_integer,
    object_pairs_hook=_object,
)
_BLANKS = re.compile(r"[ \t\n\r]*")
_FENCED = re.compile(r"\s*```\w*[ \t]*\r?\n(.*?)\r?\n?[ \t]*```\s*", re.DOTALL)


def unfenced(text: str) -> str:
    """``text`` without the lines of ``` around it, by which models and Markdown mark JSON."""
    found = _FENCED.fullmatch(text)
    return found[1] if found else text


def cell_value(text: str) -> Any:
    """The value of a cell that holds an object or a list: as JSON, or as Python writes it, a fence around it left out.

    pandas writes lists and dictionaries into CSV as Python shows them, ``['a', 'b']``. Only what Python
    would show so again is taken: numpy's ``['a' 'b']``, which Python would read as one text, is not.

    Raises:
        ValueError: neither of the two, or half a character, which no text file can hold.
    """
    text = unfenced(text)
    try:
        value = json_value(text)
        # JSON that was written as JSON once more
        if isinstance(value, str) and value.lstrip()[:1] == "{":
            value = json_value(value)
    except ValueError as error:
        try:
            with catch_warnings(action="ignore"):
                value = literal_eval(text.strip())
            shown = repr(value) == text.strip() and isinstance(value, dict | list)
        # the latter two: nested too deeply for Python's reader
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            shown = False
        if not shown:
            raise error from None
        # what JSON has no word for, such as sets and numbers without end, is no JSON once it is written
        try:
            value = json_value(json.dumps(value, default=_no_json))
        except (RecursionError, TypeError):
            raise error from None
    if "\\u" in text and LONE_SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise ValueError("expected whole characters, found a lone surrogate")
    return value


def _no_json(value: object) -> None:
    raise ValueError(f"expected what JSON can say, found {value!r:.40}")
