"""Does a record obey its task's fields, and what is wrong with it in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_vs_api.record.fields import TEXT, Field
from lora_vs_api.shown import plain_number


def expected(field: Field) -> str:
    """What a valid value looks like, in words."""
    return _expected(field) + (" or null" if field.optional else "")


def _expected(field: Field) -> str:
    if field.type == "enum":
        return "one of " + ", ".join(field.values)
    if field.type in ("integer", "number"):
        kind = "an integer" if field.type == "integer" else "a number"
        if field.minimum is not None and field.maximum is not None:
            return f"{kind} {plain_number(field.minimum)}..{plain_number(field.maximum)}"
        if field.minimum is not None:
            return f"{kind} ≥ {plain_number(field.minimum)}"
        return kind if field.maximum is None else f"{kind} ≤ {plain_number(field.maximum)}"
    if field.type == "list":
        return f"a list, each {expected(field.items)}" if field.items else "a list of strings"
    if field.type == "object":
        return "an object with " + ", ".join(inner.name for inner in field.fields)
    return "true or false" if field.type == "boolean" else "a string"


def accepts(field: Field, value: Any) -> bool:
    """Whether ``value`` is an allowed one of ``field``."""
    return not problems(value, field)


def violations(record: Any, fields: tuple[Field, ...]) -> list[str]:
    """Say in words every way ``record`` departs from the schema; empty when it conforms."""
    if not isinstance(record, dict):
        return [f"expected a JSON object, found {type(record).__name__}"]
    return _object_problems(record, fields, "")


def problems(value: Any, field: Field, path: str = "") -> list[str]:
    """Say in words every way ``value`` departs from ``field``, each beginning with its path."""
    path = path or field.name
    if value is None and field.optional:
        return []
    wrong = [f"{path}: expected {expected(field)}, found {value!r:.80}"]
    if field.type == "object" and isinstance(value, dict):
        return _object_problems(value, field.fields, f"{path}.")
    if field.type == "list" and isinstance(value, list):
        inner = field.items or TEXT
        return [
            problem
            for index, item in enumerate(value)
            for problem in problems(item, inner, f"{path}[{index}]")
        ]
    if field.type == "enum" and value is not None and not isinstance(value, str):
        # beside 0 the text "0" looks the same
        texts = ", ".join(map(repr, field.values)) + (" or null" if field.optional else "")
        return [f"{path}: expected one of the texts {texts}, found {value!r:.80}"]
    if not field.has_type(value):
        return wrong
    if field.type == "enum":
        return wrong if field.label(value) is None else []
    if field.type in ("integer", "number"):
        low = field.minimum is None or value >= field.minimum
        return [] if low and (field.maximum is None or value <= field.maximum) else wrong
    return []


def _object_problems(value: Mapping[str, Any], fields: tuple[Field, ...], prefix: str) -> list[str]:
    names = [field.name for field in fields]
    found = [f"{prefix}{name}: unknown field" for name in value if name not in names]
    for field in fields:
        if field.name not in value:
            if field.omitted:
                continue
            found.append(f"{prefix}{field.name}: missing, expected {expected(field)}")
        else:
            found += problems(value[field.name], field, f"{prefix}{field.name}")
    return found
