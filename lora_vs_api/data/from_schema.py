"""The fields that a JSON Schema declares, such as that of pydantic's ``model_json_schema()``.

What a record cannot have is refused with its place, a JSON pointer (RFC 6901) into the schema: half a
schema taken over would be scored as if it were the whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import float_info
from typing import Any, NoReturn
from unicodedata import normalize
from urllib.parse import unquote

from lora_vs_api.errors import UserError
from lora_vs_api.shown import visible

Spec = dict[str, Any]

MAX_DEPTH = 20  # a schema nested deeper refers to itself, or is no record that one would write
MAX_FIELDS = 1000  # those of nested objects included; definitions that share others multiply
TYPES = ("string", "integer", "number", "boolean", "array", "object")
ENDS = f"expected a record that ends within {MAX_DEPTH} levels, so no type within itself"


@dataclass(frozen=True)
class _Node:
    """A part of the schema, and the JSON pointer to it."""

    value: Mapping[str, Any]
    place: str


@dataclass
class _Schema:
    """The whole of it, which references are looked up in, and how many fields were read so far."""

    root: Mapping[str, Any]
    file: str
    fields: int = field(default=0)

    def refuse(self, place: str, problem: str) -> NoReturn:
        # names in it may hold anything
        shown = visible(" ".join(place.split()))
        raise UserError(f"--schema: {self.file}: {shown:.200}: {problem}")

    def node(self, value: Any, place: str) -> _Node:
        """A schema that says something: true and false, which JSON Schema allows too, name no type."""
        if not isinstance(value, Mapping):
            self.refuse(place, f'expected a schema such as {{"type": "string"}}, {_found(value)}')
        return _Node(value, place)

    def items(self, node: _Node, key: str) -> list[Any]:
        """The list under ``key``, empty where there is none."""
        value = node.value.get(key, [])
        if not isinstance(value, list | tuple):
            self.refuse(f"{node.place}/{key}", f"expected a list, {_found(value)}")
        return list(value)


def fields_from_json_schema(schema: Mapping[str, Any], file: str) -> dict[str, Spec]:
    """Specs for an object's JSON Schema.

    A property that is not required, or that may be null, becomes optional. Descriptions are kept; formats
    and patterns have no place in ``task.fields`` and are left out.

    Args:
        schema: as it was read.
        file: what messages call it.

    Raises:
        UserError: the place of what is no JSON Schema, or cannot be said in ``task.fields``.
    """
    whole = _Schema(schema, file)
    return _properties(whole, _resolved(whole, whole.node(schema, "#")), 0)


def _found(value: Any) -> str:
    """``value`` as JSON, as far as a line has room."""
    try:
        shown = json.dumps(value)
    # a text form that is too long for Python, or what no JSON has
    except (ValueError, TypeError, RecursionError):
        shown = f"a {type(value).__name__}"
    return f"found {shown:.60}"


def _step(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _extended(schema: _Schema, node: _Node, depth: int) -> _Node:
    """An object with the properties of those that it extends, which OpenAPI lists under allOf."""
    if depth > MAX_DEPTH:
        schema.refuse(node.place, ENDS)
    parts = [
        _extended(
            schema, _resolved(schema, schema.node(part, f"{node.place}/allOf/{number}")), depth + 1
        )
        for number, part in enumerate(schema.items(node, "allOf"))
    ]
    if not parts:
        return node
    found: dict[str, Any] = {"properties": {}, "required": []}
    for part in (*parts, node):
        properties = part.value.get("properties")
        found["properties"] |= properties if isinstance(properties, Mapping) else {}
        found["required"] += schema.items(part, "required")
    return _Node({**node.value, **found}, node.place)


def _properties(schema: _Schema, node: _Node, depth: int) -> dict[str, Spec]:
    node = _extended(schema, node, depth)
    place = f"{node.place}/properties"
    properties = node.value.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        found = "" if properties is None else f", {_found(properties)}"
        schema.refuse(node.place, f"expected an object with properties{found}")
    required = schema.items(node, "required")
    if not all(isinstance(name, str) for name in required):
        schema.refuse(f"{node.place}/required", f"expected a list of names, {_found(required)}")
    # as keys of rows are read
    always = {normalize("NFC", name) for name in required}
    specs: dict[str, Spec] = {}
    for name, value in properties.items():
        spec = _spec(schema, schema.node(value, f"{place}/{_step(name)}"), depth + 1)
        schema.fields += 1
        if schema.fields > MAX_FIELDS:
            schema.refuse(place, f"expected at most {MAX_FIELDS:,} fields in all, found more")
        composed = normalize("NFC", name)
        if composed in specs:
            schema.refuse(
                f"{place}/{_step(name)}", "expected no name twice, in whatever Unicode form"
            )
        specs[composed] = spec | ({} if composed in always else {"optional": True})
        if told := _description(schema, value, f"{place}/{_step(name)}"):
            specs[composed]["description"] = told
    return specs


def _description(schema: _Schema, value: Any, place: str) -> str:
    """What a property says of itself, on one line: beside its reference, or where that leads to."""
    node = schema.node(value, place)
    told = node.value.get("description", _resolved(schema, node).value.get("description"))
    return " ".join(told.split()) if isinstance(told, str) else ""


def _resolved(schema: _Schema, node: _Node) -> _Node:
    """The node that its reference leads to, with what stands beside the reference."""
    seen: set[str] = set()
    while "$ref" in node.value:
        reference, place = node.value["$ref"], f"{node.place}/$ref"
        if not isinstance(reference, str) or not reference.startswith("#"):
            schema.refuse(place, f"expected a reference within the file, #/…, {_found(reference)}")
        if reference in seen:
            schema.refuse(place, f"{ENDS}, {_found(reference)} again")
        seen.add(reference)
        target: Any = schema.root
        for part in filter(None, reference.removeprefix("#").split("/")):
            target = _inside(target, normalize("NFC", unquote(part)))
        if not isinstance(target, Mapping):
            schema.refuse(place, f"expected the place of a schema in the file, {_found(reference)}")
        beside = {key: value for key, value in node.value.items() if key != "$ref"}
        node = _Node({**target, **beside}, reference)
    return node


def _inside(target: Any, part: str) -> Any:
    """What is one step of a JSON pointer further; None where there is nothing."""
    part = part.replace("~1", "/").replace("~0", "~")
    if isinstance(target, list) and part.isdecimal() and len(part) < 6 and int(part) < len(target):
        return target[int(part)]
    return target.get(part) if isinstance(target, Mapping) else None


def _spec(schema: _Schema, node: _Node, depth: int) -> Spec:
    """The spec of a node, which may be null where OpenAPI's word for that says so."""
    node = _resolved(schema, node)
    spec = _plain_spec(schema, node, depth)
    return spec | ({"optional": True} if node.value.get("nullable") is True else {})


def _plain_spec(schema: _Schema, node: _Node, depth: int) -> Spec:
    if depth > MAX_DEPTH:
        schema.refuse(node.place, ENDS)
    arms = [
        _resolved(schema, schema.node(arm, f"{node.place}/{key}/{number}"))
        for key in ("anyOf", "oneOf", "allOf")
        for number, arm in enumerate(schema.items(node, key))
    ]
    if arms:
        kept = [arm for arm in arms if not _is_null(schema, arm)]
        extends = "allOf" in node.value and any("properties" in arm.value for arm in kept)
        if len(kept) > 1 and extends and not node.value.keys() & {"anyOf", "oneOf"}:
            return _object(schema, node, depth)
        if (
            len(kept) > 1
            and all(arm.value.keys() & {"const", "enum"} for arm in kept)
            and "allOf" not in node.value
        ):
            # each label with words of its own
            specs = [_enum(schema, arm) for arm in kept]
            values = list(dict.fromkeys(label for spec in specs for label in spec["values"]))
            may_be_null = len(kept) < len(arms) or any("optional" in spec for spec in specs)
            return specs[0] | {"values": values} | ({"optional": True} if may_be_null else {})
        if len(kept) != 1:
            schema.refuse(node.place, f"expected one type, or one and null, found {len(kept)}")
        spec = _spec(schema, kept[0], depth + 1)
        return spec | ({"optional": True} if len(kept) < len(arms) else {})
    if "const" in node.value or "enum" in node.value:
        return _enum(schema, node)
    kind, optional = _kind(schema, node)
    if kind == "array":
        return {"type": "list", "score": "set_f1", **_list_items(schema, node, depth), **optional}
    if kind == "object":
        return {**_object(schema, node, depth), **optional}
    bounds = _bounds(schema, node, kind) if kind in ("integer", "number") else {}
    return {"type": kind, "score": "exact", **bounds, **optional}


def _object(schema: _Schema, node: _Node, depth: int) -> Spec:
    return {"type": "object", "score": "slot_f1", "fields": _properties(schema, node, depth)}


def _is_null(schema: _Schema, arm: _Node) -> bool:
    return (
        _names(schema, arm) == ["null"]
        or arm.value.get("enum") == [None]
        or arm.value.get("const", 0) is None
    )


def _enum(schema: _Schema, node: _Node) -> Spec:
    """The labels, each once and in the composed form, as those of rows are compared."""
    key = "const" if "const" in node.value else "enum"
    labels = [node.value["const"]] if key == "const" else schema.items(node, key)
    texts = [label for label in labels if label is not None]
    if not texts or not all(isinstance(label, str) for label in texts):
        schema.refuse(
            f"{node.place}/{key}", f"expected an enum of texts, {_found(node.value[key])}"
        )
    kinds = node.value.get("type")
    # null has to be among the labels, and among the types if any are named
    may_be_null = len(texts) < len(labels) and (kinds is None or "null" in _names(schema, node))
    values = list(dict.fromkeys(normalize("NFC", label) for label in texts))
    optional = {"optional": True} if may_be_null else {}
    return {"type": "enum", "values": values, "score": "exact", **optional}


def _names(schema: _Schema, node: _Node) -> list[str]:
    """The names under ``type``, one or several; Gemini writes them in capitals."""
    kinds = node.value.get("type")
    if kinds is None:
        return []
    names = [kinds] if isinstance(kinds, str) else schema.items(node, "type")
    return [name.lower() if isinstance(name, str) else name for name in names]


def _kind(schema: _Schema, node: _Node) -> tuple[str, Spec]:
    """The one type beside null, and that it may be null."""
    names = _names(schema, node)
    kinds = [name for name in names if name != "null"]
    if len(kinds) != 1 or kinds[0] not in TYPES:
        found = _found(node.value["type"]) if "type" in node.value else "found none"
        schema.refuse(
            node.place,
            "expected a type of string, integer, number, boolean, array or object, or one of them and "
            f"null, {found}",
        )
    return kinds[0], {"optional": True} if len(kinds) < len(names) else {}


def _list_items(schema: _Schema, node: _Node, depth: int) -> Spec:
    """What a list's items are; nothing where they are texts, as ``task.fields`` takes for granted."""
    items, place = node.value.get("items", {"type": "string"}), f"{node.place}/items"
    if isinstance(items, list | tuple) or "prefixItems" in node.value:
        schema.refuse(place, "expected one schema for all items, found one for each place")
    spec = _spec(schema, schema.node(items, place), depth + 1)
    return {} if spec["type"] == "string" and not spec.get("optional") else {"items": spec}


def _bounds(schema: _Schema, node: _Node, kind: str) -> Spec:
    bounds: Spec = {}
    for key in ("minimum", "maximum"):
        value = node.value.get(key)
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not abs(value) <= float_info.max:
            schema.refuse(
                f"{node.place}/{key}", f"expected a number that a float can hold, {_found(value)}"
            )
        bounds[key] = value
    # a whole number above 0 is 1 or more; of others no bound can say it
    for key, beyond, step, tighter in (
        ("minimum", "exclusiveMinimum", 1, max),
        ("maximum", "exclusiveMaximum", -1, min),
    ):
        value = node.value.get(beyond)
        if value is True:
            # OpenAPI 3.0: the bound itself is not allowed
            value = bounds.get(key)
        if kind == "integer" and type(value) is int:
            bounds[key] = tighter(bounds.get(key, value + step), value + step)
    if len(bounds) == 2 and bounds["minimum"] > bounds["maximum"]:
        schema.refuse(
            f"{node.place}/minimum", f"expected no more than maximum, {_found(bounds['minimum'])}"
        )
    return bounds
