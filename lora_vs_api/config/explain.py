"""A complaint of pydantic in the project's words: one line with key, expected form and found value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import ValidationError

from lora_vs_api.config.renamed import of_others
from lora_vs_api.config.secrets import secrets_in
from lora_vs_api.config.sections import Params
from lora_vs_api.config.sections.base import OTHERS_NULL

# of sections within sections
MOST_LEVELS = 4
# a JSON Schema of pydantic
Schema = dict[str, Any]
Key = str | int
# how a number of the environment is written
OF_ENVIRONMENT = "${oc.decode:${oc.env:NAME}} in conf/local.yaml"
# what mends a params.yaml that was written by hand or by an earlier version
COMPLETE = "; `make params` composes a complete file from conf/"


@dataclass(frozen=True)
class Place:
    """A key as the user wrote it, what the file has there, and what may stand there.

    ``section`` is what holds the key; ``union`` the discriminated union whose arm that is, if any.
    """

    path: tuple[Key, ...]
    value: Any
    schema: Schema
    section: Schema
    union: Schema | None

    @property
    def key(self) -> str:
        return _dotted(self.path)


def explain(error: ValidationError, raw: dict[str, Any]) -> str:
    """The first complaint about ``raw``."""
    errors, root = error.errors(include_url=False), _root()
    first = errors[0]
    place = _find(first["loc"], raw, root)
    meant = _meant(place, root)
    if meant is not None:
        # within the section that is meant, and not that the whole of it is no text or number
        for each in errors:
            inner = _find(each["loc"], raw, root)
            if meant in each["loc"] and len(inner.path) > len(place.path):
                first, place = each, inner
                break
    misnamed = _misnamed(first, errors) if first["type"] == "missing" else None
    if misnamed is not None:
        first, place = misnamed, _find(misnamed["loc"], raw, root)
    if first["type"] == "missing":
        if place.union is not None and "discriminator" not in place.union:
            return f"{place.key}: missing; expected {_expected(place.section, root)}"
        if place.union is not None:
            tag = place.union["discriminator"]["propertyName"]
            given = _item(_at(raw, place.path[:-1]), tag)
            return f"{place.key}: missing; needed with {_dotted((*place.path[:-1], tag))}={given}"
        return f"{place.key}: missing{COMPLETE}"
    if first["type"] == "extra_forbidden":
        return f"{place.key}: {_unknown(place, raw, root)}"
    if first["type"] == "union_tag_not_found":
        tag = place.schema["discriminator"]["propertyName"]
        return f"{place.key}.{tag}: missing; expected one of {_tags(place.schema, root)}"
    if first["type"] == "union_tag_invalid":
        tag = place.schema["discriminator"]["propertyName"]
        found = _item(place.value, tag)
        expected = f"{place.key}.{tag}: expected one of {_tags(place.schema, root)}"
        return _with_found(expected, found, f"{place.key}.{tag}")
    expected = f"{place.key}: expected {_expected(place.schema, root)}"
    if place.schema.get("writeOnly"):
        return expected
    hint = _as_one_key(place) + _in_quotes(place, raw) + _as_number(place) + _as_null(place)
    return _with_found(expected, place.value, place.key) + hint


@cache
def every_key() -> tuple[str, ...]:
    """The keys of all settings, whatever is chosen; NAME where names are one's own."""
    root = _root()
    return tuple(dict.fromkeys(_keys_in(root, root, ())))


def _keys_in(schema: Schema, root: Schema, path: tuple[str, ...]) -> Iterator[str]:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    for arm in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _keys_in(arm, root, path)
    others = schema.get("additionalProperties")
    inner = [*schema.get("properties", {}).items()]
    inner += [("NAME", others)] if isinstance(others, dict) else []
    # fields of a task hold fields
    if len(path) < MOST_LEVELS:
        for name, each in inner:
            yield ".".join((*path, name))
            yield from _keys_in(each, root, (*path, name))


def _misnamed(missing: Any, errors: Sequence[Any]) -> Any:
    """The complaint about an unknown key beside a missing one that it is meant to be, such as Type; else None."""
    *section, name = missing["loc"]
    beside = [e for e in errors if e["type"] == "extra_forbidden" and [*e["loc"][:-1]] == section]
    meant = difflib.get_close_matches(str(name), [str(e["loc"][-1]).lower() for e in beside], n=1)
    return next((e for e in beside if str(e["loc"][-1]).lower() in meant), None)


def _as_one_key(place: Place) -> str:
    """How the weight of a field within an object is given, where it was given as a mapping; else empty."""
    path, value = place.path[2:], place.value
    while isinstance(value, dict) and value:
        name, value = next(iter(value.items()))
        path = (*path, name)
    # of a value that is no number the place says enough
    if place.path[:2] != ("task", "weights") or path == place.path[2:]:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"; a field within an object is one key: '+task.weights={{{'.'.join(map(str, path))}: {value}}}'"


def _in_quotes(place: Place, raw: Any) -> str:
    """What to do about a text that YAML has taken for something else, such as no or 12; else empty."""
    forms = [place.schema, *place.schema.get("anyOf", [])]
    text = any(form.get("type") == "string" for form in forms)
    kinds = {form.get("type") for form in forms} - {None, "string", "null"}
    if not text or kinds or not isinstance(place.value, bool | int | float):
        return ""
    if isinstance(place.path[-1], int):
        # the whole list, or the others would be lost
        items = ", ".join(f'"{item}"' for item in _at(raw, place.path[:-1]))
        override = f"{_dotted(place.path[:-1])}=[{items}]"
    else:
        override = f'{place.key}="{place.value}"'
    # the shell takes quotes of its own away
    return f"; put a text that looks like this in quotes, in a shell: '{override}'"


def _as_number(place: Place) -> str:
    """How a number is written that was given as a text, as what the environment holds is; else empty."""
    forms = [place.schema, *place.schema.get("anyOf", [])]
    numbers = any(form.get("type") in ("integer", "number") for form in forms)
    if not numbers or not isinstance(place.value, str):
        return ""
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", place.value.strip()) is None:
        return ""
    if re.fullmatch(r"0\d+", place.value.strip()):
        return f"; a number begins with no 0: {place.value.strip().lstrip('0') or '0'}"
    return f"; a number has no quotes; one of the environment is {OF_ENVIRONMENT}"


def _as_null(place: Place) -> str:
    """How no value is written, where another language's word for it is given and there may be none; else empty."""
    given = isinstance(place.value, str) and place.value.strip() in OTHERS_NULL
    may_be = {"type": "null"} in place.schema.get("anyOf", ())
    return "; write null for no value" if given and may_be else ""


def _with_found(expected: str, found: Any, key: str) -> str:
    """``expected`` and what stands there, which may be a secret by mistake: messages end up in logs."""
    if next(secrets_in(found, key), None) is not None:
        return expected
    return f"{expected}, found {found!r}"


@cache
def _root() -> Schema:
    return Params.model_json_schema()


def _find(loc: Sequence[Key], raw: Any, root: Schema) -> Place:
    """Follow pydantic's path, in which arms of unions have names that stand in no file."""
    path: list[Key] = []
    node, union = root, None
    section, section_union = root, None
    for part in loc:
        if "discriminator" in node:
            union, node = node, _arms(node, root)[str(part)]
            continue
        if part in _named_arms(node):
            union, node = node, root["$defs"][part]
            continue
        inner = _inner(node, part, root)
        if inner is None and not ("properties" in node and part == loc[-1]):
            continue
        section, section_union = node, union
        node, union = inner or {}, None
        path.append(part)
    return Place(tuple(path), _at(raw, path), node, section, section_union)


def _named_arms(node: Schema) -> list[str]:
    """The sections among the forms that a value may have, where no key says which it is."""
    arms = [arm for arm in node.get("anyOf", []) if arm.get("type") != "null"]
    return [arm["$ref"].rsplit("/", 1)[-1] for arm in arms if "$ref" in arm]


def _meant(place: Place, root: Schema) -> str | None:
    """The one of such sections that has most of the keys that were given; None where two have as many."""
    if not isinstance(place.value, dict):
        return None
    shared = {
        name: len(root["$defs"][name].get("properties", {}).keys() & place.value.keys())
        for name in _named_arms(place.schema)
    }
    best = [name for name, number in shared.items() if number == max(shared.values())]
    return best[0] if len(best) == 1 and shared[best[0]] else None


def _inner(node: Schema, part: Key, root: Schema) -> Schema | None:
    """What may stand under ``part`` of ``node``; None where it has no such place."""
    if isinstance(part, int):
        inner = node.get("items")
    else:
        inner = node.get("properties", {}).get(part) or node.get("additionalProperties")
    # additionalProperties is false in a section
    return _resolved(inner, root) if inner else None


def _resolved(node: Schema, root: Schema) -> Schema:
    """``node`` itself, or the section that it names, null aside."""
    arms = [arm for arm in node.get("anyOf", []) if arm.get("type") != "null"]
    if len(arms) == 1 and {"$ref", "additionalProperties", "discriminator"} & arms[0].keys():
        node = arms[0]
    if "$ref" in node:
        found: Schema = root["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        return found
    return node


def _arms(union: Schema, root: Schema) -> dict[str, Schema]:
    """The arm of each value of the discriminator, in the order of the sections."""
    tag: str = union["discriminator"]["propertyName"]
    arms: dict[str, Schema] = {}
    for arm in (_resolved(each, root) for each in union["oneOf"]):
        form = arm["properties"][tag]
        arms |= dict.fromkeys(form.get("enum") or [form["const"]], arm)
    return arms


def _unknown(place: Place, raw: Any, root: Schema) -> str:
    """What an unknown key may have been meant to be: of its section, or of another kind of it."""
    name, siblings = str(place.path[-1]), list(place.section["properties"])
    near = difflib.get_close_matches(name, siblings, n=1)
    outer, dot, inner = name.partition(".")
    if dot and outer in siblings:
        # as in an override, where dots lead into sections
        return f"unknown key; in a file a section holds its keys, {outer}: {{{inner}: …}}"
    meant = of_others(_dotted(place.path))
    if meant is not None:
        hint = f"unknown key (did you mean {meant}?)"
    elif near:
        hint = f"unknown key (did you mean {near[0]}?)"
    elif place.union is None or "discriminator" not in place.union:
        # maybe the right name, of another section
        other = [key for key in every_key() if key.endswith(f".{name}") and "NAME" not in key]
        hint = "unknown key" + f" (did you mean {' or '.join(other[:2])}?)" * bool(other)
    else:
        hint = _of_another_arm(name, place, raw, root)
    return f"{hint}; expected one of {', '.join(siblings)}"


def _of_another_arm(name: str, place: Place, raw: Any, root: Schema) -> str:
    assert place.union is not None
    tag = place.union["discriminator"]["propertyName"]
    given = f"{tag}: {_item(_at(raw, place.path[:-1]), tag)}"
    owners: dict[str, list[str]] = {}
    for value, arm in _arms(place.union, root).items():
        for key in arm["properties"]:
            owners.setdefault(key, []).append(value)
    if name in owners:
        return f"unknown key with {given}, belongs to {tag}: {' or '.join(owners[name])}"
    near = difflib.get_close_matches(name, owners, n=1)
    if near:
        belongs = " or ".join(owners[near[0]])
        return f"unknown key with {given} (did you mean {near[0]} of {tag}: {belongs}?)"
    return f"unknown key with {given}"


def _expected(node: Schema, root: Schema) -> str:
    """The form of a value, in words."""
    if "discriminator" in node:
        return f"a section with {node['discriminator']['propertyName']}, one of {_tags(node, root)}"
    if "properties" in node:
        return "a section with " + ", ".join(node["properties"])
    if "description" in node:
        return str(node["description"])
    if "const" in node:
        return str(node["const"])
    if "enum" in node:
        return "one of " + ", ".join(node["enum"])
    if "anyOf" in node:
        choices = [str(arm.get("enum") or arm.get("type")) for arm in node["anyOf"]]
        return " or ".join(choices)
    if "minimum" in node:
        return f"{node['type']} ≥ {node['minimum']}"
    words = {
        "integer": "an integer",
        "number": "a number",
        "string": "a text",
        "array": "a list",
        "object": "a mapping",
        "boolean": "true or false",
    }
    return words.get(node.get("type", ""), "another value")


def _tags(union: Schema, root: Schema) -> str:
    return ", ".join(_arms(union, root))


def _at(raw: Any, path: Sequence[Key]) -> Any:
    for part in path:
        raw = _item(raw, part)
    return raw


def _item(value: Any, part: Key) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    # what has its parts on one line stands for each of them
    return value if isinstance(value, str) else None


def _dotted(path: Sequence[Key]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]
