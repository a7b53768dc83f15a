"""The record a text is turned into, as declared under ``task.fields`` in the config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lora_vs_api.errors import UserError

TYPES = ("string", "enum", "integer", "list")
SCORES = ("exact", "set_f1")


@dataclass(frozen=True)
class Field:
    """One field of the record: its type, its allowed values and how it is scored."""

    name: str
    type: str
    score: str
    values: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None

    @property
    def expected(self) -> str:
        """What a valid value looks like, in words."""
        if self.type == "enum":
            return "one of " + ", ".join(self.values)
        if self.type == "integer":
            return f"an integer {self.minimum}..{self.maximum}"
        return "a list of strings" if self.type == "list" else "a string"

    def accepts(self, value: Any) -> bool:
        if self.type == "enum":
            return isinstance(value, str) and value in self.values
        if self.type == "integer":
            # bool is an int in Python, never in a JSON record
            if not isinstance(value, int) or isinstance(value, bool):
                return False
            return (self.minimum is None or value >= self.minimum) and (
                self.maximum is None or value <= self.maximum
            )
        if self.type == "list":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        return isinstance(value, str)


def fields_from_config(config: Mapping[str, Mapping[str, Any]]) -> tuple[Field, ...]:
    """Build the fields from the mapping under ``task.fields``, in its order.

    Raises:
        UserError: naming the key whose value cannot be used.
    """
    fields = []
    for name, spec in config.items():
        key = f"task.fields.{name}"
        if spec.get("type") not in TYPES:
            raise UserError(
                f"{key}.type: expected one of {', '.join(TYPES)}, found {spec.get('type')!r}"
            )
        if spec.get("score") not in SCORES:
            raise UserError(
                f"{key}.score: expected one of {', '.join(SCORES)}, found {spec.get('score')!r}"
            )
        if spec["type"] == "enum" and not spec.get("values"):
            raise UserError(f"{key}.values: an enum needs a list of its values")
        if (spec["score"] == "set_f1") != (spec["type"] == "list"):
            raise UserError(f"{key}.score: set_f1 is for lists, exact for everything else")
        fields.append(
            Field(
                name=name,
                type=spec["type"],
                score=spec["score"],
                values=tuple(spec.get("values") or ()),
                minimum=spec.get("minimum"),
                maximum=spec.get("maximum"),
            )
        )
    if not fields:
        raise UserError("task.fields: at least one field is needed")
    return tuple(fields)


def violations(record: Any, fields: tuple[Field, ...]) -> list[str]:
    """Say in words every way ``record`` departs from the schema; empty when it conforms."""
    if not isinstance(record, dict):
        return [f"expected a JSON object, found {type(record).__name__}"]
    names = [field.name for field in fields]
    problems = [f"{name}: unknown field" for name in record if name not in names]
    for field in fields:
        if field.name not in record:
            problems.append(f"{field.name}: missing, expected {field.expected}")
        elif not field.accepts(record[field.name]):
            problems.append(
                f"{field.name}: expected {field.expected}, found {record[field.name]!r}"
            )
    return problems
