"""The record a text is turned into, as declared under ``task.fields`` in the config."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lora_vs_api.errors import UserError

# type → how its values may be scored; the first is what a config without a score gets
SCORES: dict[str, tuple[str, ...]] = {
    "string": ("exact", "normalised", "token_f1"),
    "enum": ("exact",),
    "integer": ("exact", "tolerance"),
    "number": ("exact", "tolerance"),
    "boolean": ("exact",),
    "list": ("set_f1",),
    "object": ("slot_f1",),
}


@dataclass(frozen=True)
class Field:
    """One field of the record: its type, its allowed values and how it is scored.

    ``values`` belongs to enums, ``minimum`` and ``maximum`` to integers and numbers, ``items`` to
    lists and ``fields`` to objects. ``optional`` means that the value may be null; the key is
    always there, as strict structured outputs want it. ``tolerance`` is in the value's own unit.
    """

    name: str
    type: str
    score: str
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    optional: bool = False
    tolerance: float | None = None
    items: Field | None = None
    fields: tuple[Field, ...] = ()

    @property
    def expected(self) -> str:
        """What a valid value looks like, in words."""
        return self._expected + (" or null" if self.optional else "")

    @property
    def _expected(self) -> str:
        if self.type == "enum":
            return "one of " + ", ".join(self.values)
        if self.type in ("integer", "number"):
            kind = "an integer" if self.type == "integer" else "a number"
            if self.minimum is not None and self.maximum is not None:
                return f"{kind} {self.minimum:g}..{self.maximum:g}"
            if self.minimum is not None:
                return f"{kind} ≥ {self.minimum:g}"
            return kind if self.maximum is None else f"{kind} ≤ {self.maximum:g}"
        if self.type == "list":
            return f"a list, each {self.items.expected}" if self.items else "a list of strings"
        if self.type == "object":
            return "an object with " + ", ".join(field.name for field in self.fields)
        return "true or false" if self.type == "boolean" else "a string"

    def accepts(self, value: Any) -> bool:
        return not problems(value, self)

    def has_type(self, value: Any) -> bool:
        """Of the field's JSON type, whether or not an allowed value; null is of none."""
        # bool is an int in Python, never in a JSON record
        if isinstance(value, bool):
            return self.type == "boolean"
        if self.type == "integer":
            return isinstance(value, int)
        if self.type == "number":
            return isinstance(value, int | float) and math.isfinite(value)
        if self.type == "list":
            inner = self.items or TEXT
            return isinstance(value, list) and all(
                inner.has_type(item) or (inner.optional and item is None) for item in value
            )
        if self.type == "object":
            return isinstance(value, dict)
        return self.type in ("string", "enum") and isinstance(value, str)


# what a list holds whose items are not declared
TEXT = Field(name="item", type="string", score="exact")


def fields_from_config(config: Mapping[str, Mapping[str, Any]]) -> tuple[Field, ...]:
    """Build the fields from the mapping under ``task.fields``, in its order.

    Raises:
        UserError: naming the key whose value cannot be used.
    """
    return _fields(config, "task.fields")


def _fields(config: Mapping[str, Mapping[str, Any]], key: str) -> tuple[Field, ...]:
    if not config:
        raise UserError(f"{key}: at least one field is needed")
    return tuple(_field(name, spec, f"{key}.{name}") for name, spec in config.items())


def _field(name: str, spec: Mapping[str, Any], key: str) -> Field:
    kind = spec.get("type")
    if kind not in SCORES:
        raise UserError(f"{key}.type: expected one of {', '.join(SCORES)}, found {kind!r}")
    score = spec.get("score") or SCORES[kind][0]
    if score not in SCORES[kind]:
        raise UserError(
            f"{key}.score: expected {' or '.join(SCORES[kind])} for a field of type {kind}, "
            f"found {score!r}"
        )
    # a key that another type has would otherwise be passed over in silence
    for name_of, types in (
        ("values", ("enum",)),
        ("minimum", ("integer", "number")),
        ("maximum", ("integer", "number")),
        ("tolerance", ("integer", "number")),
        ("items", ("list",)),
        ("fields", ("object",)),
    ):
        if spec.get(name_of) is not None and kind not in types:
            raise UserError(f"{key}.{name_of}: only for {' and '.join(types)}, not for {kind}")
    values = tuple(spec.get("values") or ())
    if kind == "enum" and not values:
        raise UserError(f"{key}.values: an enum needs a list of its values")
    if len(set(values)) != len(values):
        raise UserError(f"{key}.values: expected no value twice")
    tolerance = spec.get("tolerance")
    if (score == "tolerance") != (tolerance is not None):
        raise UserError(f"{key}.tolerance: a number ≥ 0, with score: tolerance and only with it")
    if tolerance is not None and tolerance < 0:
        raise UserError(f"{key}.tolerance: expected a number ≥ 0, found {tolerance!r}")
    low, high = spec.get("minimum"), spec.get("maximum")
    if low is not None and high is not None and low > high:
        raise UserError(f"{key}.minimum: expected no more than maximum, found {low} > {high}")
    items = spec.get("items")
    return Field(
        name=name,
        type=kind,
        score=score,
        values=values,
        minimum=low,
        maximum=high,
        optional=bool(spec.get("optional")),
        tolerance=tolerance,
        items=None if items is None else _field("item", items, f"{key}.items"),
        fields=_fields(spec.get("fields") or {}, f"{key}.fields") if kind == "object" else (),
    )


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
    wrong = [f"{path}: expected {field.expected}, found {value!r:.80}"]
    if field.type == "object" and isinstance(value, dict):
        return _object_problems(value, field.fields, f"{path}.")
    if field.type == "list" and isinstance(value, list):
        inner = field.items or TEXT
        return [
            problem
            for index, item in enumerate(value)
            for problem in problems(item, inner, f"{path}[{index}]")
        ]
    if not field.has_type(value):
        return wrong
    if field.type == "enum":
        return [] if value in field.values else wrong
    if field.type in ("integer", "number"):
        low = field.minimum is None or value >= field.minimum
        return [] if low and (field.maximum is None or value <= field.maximum) else wrong
    return []


def _object_problems(value: Mapping[str, Any], fields: tuple[Field, ...], prefix: str) -> list[str]:
    names = [field.name for field in fields]
    found = [f"{prefix}{name}: unknown field" for name in value if name not in names]
    for field in fields:
        if field.name not in value:
            found.append(f"{prefix}{field.name}: missing, expected {field.expected}")
        else:
            found += problems(value[field.name], field, f"{prefix}{field.name}")
    return found


def completed(record: Mapping[str, Any], fields: tuple[Field, ...]) -> dict[str, Any]:
    """``record`` with null for every optional key it leaves out, also in nested objects.

    A labelled row may leave out what is not there; what a model is taught always has every key,
    as strict structured outputs want it.
    """
    whole = dict(record)
    for field in fields:
        if field.name not in whole:
            if field.optional:
                whole[field.name] = None
        else:
            whole[field.name] = _completed_value(whole[field.name], field)
    return whole


def _completed_value(value: Any, field: Field) -> Any:
    if field.type == "object" and isinstance(value, dict):
        return completed(value, field.fields)
    if field.type == "list" and isinstance(value, list) and field.items is not None:
        return [_completed_value(item, field.items) for item in value]
    return value


def ordered(value: Any, field: Field) -> Any:
    """``value`` with the keys of its objects in the schema's order."""
    if field.type == "object" and isinstance(value, dict):
        return {inner.name: ordered(value[inner.name], inner) for inner in field.fields}
    if field.type == "list" and isinstance(value, list) and field.items is not None:
        return [ordered(item, field.items) for item in value]
    return value
