"""The record a text is turned into, as declared under ``task.fields`` in the config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from sys import float_info
from typing import Any
from unicodedata import normalize

from lora_vs_api.errors import UserError


@dataclass(frozen=True)
class Field:
    """One field of the record: its type, its allowed values and how it is to be scored.

    ``values`` belongs to enums, ``minimum`` and ``maximum`` to integers and numbers, ``items`` to
    lists and ``fields`` to objects. ``optional`` means that the value may be null; the key is
    always there, as strict structured outputs want it. ``score`` is empty where the config names
    none (:mod:`lora_vs_api.scoring.kinds`); ``tolerance`` is in the value's own unit. ``description`` is
    what every model is told of the field, in prompt and JSON Schema; empty to say nothing. ``source`` is
    the column or key of a labelled row that holds it, :attr:`column` in a word. ``weight`` is how much
    the field counts in a record's F1, or in its object's; no model is told of either. ``omitted`` goes with
    ``optional``: a null is no key in what models write and are shown.
    """

    name: str
    type: str
    score: str = ""
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    optional: bool = False
    tolerance: float | None = None
    items: Field | None = None
    fields: tuple[Field, ...] = ()
    description: str = ""
    source: str = ""
    weight: float = 1.0
    omitted: bool = False

    @property
    def column(self) -> str:
        """What the field is called in labelled rows."""
        return self.source or self.name

    def has_type(self, value: Any) -> bool:
        """Of the field's JSON type, whether or not an allowed value; null is of none."""
        # bool is an int in Python, never in a JSON record
        if isinstance(value, bool):
            return self.type == "boolean"
        if self.type == "integer":
            return isinstance(value, int) and _is_finite(value)
        if self.type == "number":
            return isinstance(value, int | float) and _is_finite(value)
        if self.type == "list":
            inner = self.items or TEXT
            return isinstance(value, list) and all(
                inner.has_type(item) or (inner.optional and item is None) for item in value
            )
        if self.type == "object":
            return isinstance(value, dict)
        return self.type in ("string", "enum") and isinstance(value, str)

    @property
    def may_be_empty(self) -> bool:
        """Whether a record may say nothing here: null, or an object all of whose slots may be empty."""
        if self.optional:
            return True
        return self.type == "object" and all(inner.may_be_empty for inner in self.fields)

    def label(self, value: Any) -> str | None:
        """The allowed value of an enum that ``value`` is, in whichever Unicode form it is written.

        None where it is none of them. A tokenizer that composes characters (NFC) can write no
        other form than the composed one.
        """
        if not isinstance(value, str):
            return None
        if value in self.values:
            return value
        composed = normalize("NFC", value)
        return next((label for label in self.values if normalize("NFC", label) == composed), None)

    def holds(self, value: Any) -> bool:
        """Whether ``value`` says anything at all, right or wrong.

        Null does not, nor does an object none of whose slots does, nor, where the list is optional,
        an empty one. Everything else does: an empty text, 0 and false are values.
        """
        if self.type == "object" and isinstance(value, dict):
            return any(inner.holds(value.get(inner.name)) for inner in self.fields)
        if self.type == "list" and self.optional and value == []:
            return False
        return value is not None


# the value of a field's ``optional`` that leaves a null out of the record as a key
OMIT = "omit"
# what a list holds whose items are not declared
TEXT = Field(name="item", type="string", score="exact")


def _is_finite(value: float) -> bool:
    # math.isfinite fails on an integer of more digits than a float holds
    return -float_info.max <= value <= float_info.max


def fields_from_config(config: Mapping[str, Mapping[str, Any]]) -> tuple[Field, ...]:
    """The fields of the mapping under ``task.fields``, in its order.

    It was checked when params.yaml was read (:mod:`lora_vs_api.config.fields`); a word of advice
    there must not change what a training depends on.
    """
    return tuple(_field(name, spec) for name, spec in config.items())


def weighted(
    fields: tuple[Field, ...], weights: Mapping[str, float], prefix: str = ""
) -> tuple[Field, ...]:
    """``fields`` with the weights that ``task.weights`` names; the others count once.

    One within an object is named by its path, ``address.city``.
    """
    return tuple(
        replace(
            field,
            weight=float(weights.get(f"{prefix}{field.name}", 1)),
            fields=weighted(field.fields, weights, f"{prefix}{field.name}."),
        )
        for field in fields
    )


def _field(name: str, spec: Mapping[str, Any]) -> Field:
    kind, items = spec["type"], spec.get("items")
    return Field(
        name=name,
        type=kind,
        score=spec.get("score") or "",
        values=tuple(spec.get("values") or ()),
        minimum=spec.get("minimum"),
        maximum=spec.get("maximum"),
        optional=bool(spec.get("optional")),
        omitted=spec.get("optional") == OMIT,
        tolerance=spec.get("tolerance"),
        items=None if items is None else _field("item", items),
        fields=fields_from_config(spec.get("fields") or {}) if kind == "object" else (),
        description=spec.get("description") or "",
        source=spec.get("from") or "",
    )


def renamed(record: Any, fields: tuple[Field, ...]) -> Any:
    """A labelled row's ``record`` with its keys called as ``fields`` are, in nested objects too.

    Keys that no field comes from keep their names, for whoever names what is too much.

    Raises:
        UserError: one of them is called as a field that another key holds, which would be lost.
    """
    if not isinstance(record, Mapping):
        return record
    taken = {field.column for field in fields}
    for field in fields:
        if field.name in record and field.name not in taken and field.column in record:
            raise UserError(
                f"{field.name}: expected no such key beside {field.column!r}, which holds the field "
                f"(from: {field.column})"
            )
    found = {
        field.name: renamed_value(record[field.column], field)
        for field in fields
        if field.column in record
    }
    return {key: value for key, value in record.items() if key not in taken} | found


def renamed_value(value: Any, field: Field) -> Any:
    """A field's ``value`` with the keys within it called as the field has them."""
    if field.type == "object":
        return renamed(value, field.fields)
    if field.type == "list" and isinstance(value, list) and field.items is not None:
        return [renamed_value(item, field.items) for item in value]
    return value


def completed(record: Mapping[str, Any], fields: tuple[Field, ...]) -> dict[str, Any]:
    """``record`` with null for every optional key it leaves out, and labels as the config has them.

    Also in nested objects. A labelled row may leave out what is not there, and may write a label in
    another Unicode form; what a model is taught always has every key, as strict structured outputs
    want it.
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
    if field.type == "enum":
        return field.label(value) or value
    if field.type == "object" and isinstance(value, dict):
        return completed(value, field.fields)
    if field.type == "list" and isinstance(value, list) and field.items is not None:
        return [_completed_value(item, field.items) for item in value]
    return value


def written(record: Mapping[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    """``record`` as a model is to write it: keys in the schema's order, no key for what is ``omitted``.

    Args:
        record: one with every key, as :func:`completed` makes it.
    """
    return {
        field.name: ordered(record[field.name], field)
        for field in fields
        if not (field.omitted and record[field.name] is None)
    }


def with_nulls(record: Mapping[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    """A record as a model wrote it, with null for every key that ``omitted`` lets it leave out.

    The rest stays as it is: what is missing or no field is wrong, and is to be seen.
    """
    known = {field.name: field for field in fields}
    whole = {
        key: _value_with_nulls(value, known[key]) if key in known else value
        for key, value in record.items()
    }
    return whole | {name: None for name, f in known.items() if f.omitted and name not in whole}


def _value_with_nulls(value: Any, field: Field) -> Any:
    if field.type == "object" and isinstance(value, dict):
        return with_nulls(value, field.fields)
    if field.type == "list" and isinstance(value, list) and field.items is not None:
        return [_value_with_nulls(item, field.items) for item in value]
    return value


def ordered(value: Any, field: Field) -> Any:
    """``value`` with its objects as :func:`written`."""
    if field.type == "object" and isinstance(value, dict):
        return written(value, field.fields)
    if field.type == "list" and isinstance(value, list) and field.items is not None:
        return [ordered(item, field.items) for item in value]
    return value
