"""What people and models write, for property tests: labels, records, rows, answers, settings."""

from __future__ import annotations

import copy
import json
from typing import Any
from unicodedata import normalize

from hypothesis import strategies as st

# each has been read as something else by YAML, Hydra, OmegaConf, a spreadsheet or a regular expression
TRICKY = (
    "1e3", "[1, 2, 3]", "yes", "No", "on", "null", "~", "true", "2024-01-05", "12:30:45", "0x1F",
    "1_007", "00007", "-0", "1.10", ".5", "nan", ".inf", "${x", "${oc.env:HOME}", "${a:${b}}",
    "\\${x}", "a\\\\${b}", "$${c}", "$5", "$10-$50", "it's", '"quoted"', "a: b", "a #b", "- a", "? a",
    "{a}", "%a", "@a", "&a", "*a", "!a", "|", ">", "---", "...", "=", "<<", "'", "\\", "a,b", "a;b",
    " padded ", "C++", "C#", ".NET", "N/A", "billing", "billing dispute", "caf\u00e9", "cafe\u0301",
    "\U0001f600", "\u0e49", "\u202eabc", "\u00a0", "Stra\u00dfe", "{{ x }}", "<b>", "a|b", "`a`",
)  # fmt: skip

# without halves of characters, which no file can hold; those are drawn where they are meant
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
_LINE = st.characters(
    codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"], exclude_characters="\ufeff"
)
LABEL = st.one_of(st.sampled_from(TRICKY), st.text(_LINE, min_size=1, max_size=12))
NAME = LABEL.map(str.strip).map(lambda name: normalize("NFC", name)).filter(bool)
# beyond what a float or a 64-bit integer holds too
NUMBER = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([2**53 + 1, 2**64, 10**308, int("1" * 400), -int("9" * 310), 1e308, -0.0]),
)
HALF = st.sampled_from(["\ud83d", "a\udc00b", "\ud83d\ud83d"])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBER | ANY_TEXT | LABEL | HALF,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT | LABEL | HALF, inner, max_size=3)
    ),
    max_leaves=6,
)


def composed(text: str) -> str:
    return normalize("NFC", text)


def _optional(spec: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(spec, st.booleans()).map(
        lambda drawn: {**drawn[0], "optional": True} if drawn[1] else drawn[0]
    )


_LEAF = _optional(
    st.one_of(
        st.sampled_from(["exact", "normalised", "token_f1"]).map(
            lambda score: {"type": "string", "score": score}
        ),
        st.lists(LABEL, min_size=1, max_size=4, unique_by=composed).map(
            lambda labels: {"type": "enum", "values": [composed(label) for label in labels]}
        ),
        st.just({"type": "integer"}),
        st.just({"type": "number", "score": "tolerance", "tolerance": 0.5}),
        st.just({"type": "number"}),
        st.just({"type": "boolean"}),
    )
)


def _objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(NAME, inner, min_size=1, max_size=2).map(
        lambda fields: {"type": "object", "fields": fields}
    )


SPEC = st.one_of(
    _LEAF,
    _optional(_objects(_LEAF)),
    _optional(st.just({"type": "list"})),
    _optional(
        st.one_of(_LEAF, _objects(_LEAF)).map(lambda items: {"type": "list", "items": items})
    ),
)
# a record's fields, as under task.fields
SPECS = st.dictionaries(NAME, SPEC, min_size=1, max_size=3)


def values(spec: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a field of ``spec`` may have in a labelled row."""
    kinds: dict[str, Any] = {
        "string": ANY_TEXT | LABEL,
        "enum": st.sampled_from(spec.get("values") or [""]),
        "integer": st.integers(-(10**20), 10**20),
        "number": st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False),
        "boolean": st.booleans(),
    }
    if spec["type"] == "object":
        found = st.fixed_dictionaries(
            {name: values(inner) for name, inner in spec["fields"].items()}
        )
    elif spec["type"] == "list":
        found = st.lists(values(spec.get("items") or {"type": "string"}), max_size=3)
    else:
        found = kinds[spec["type"]]
    return st.none() | found if spec.get("optional") else found


def records(specs: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: values(spec) for name, spec in specs.items()})


def answers(completion: str) -> st.SearchStrategy[str]:
    """What a model may write where ``completion`` would be right: that, something near it, anything."""
    cut = st.integers(0, len(completion)).map(lambda end: completion[:end])
    other = st.tuples(st.integers(0, len(completion)), ANY_TEXT | HALF).map(
        lambda drawn: completion[: drawn[0]] + drawn[1] + completion[drawn[0] :]
    )
    # Python's writer has NaN, Infinity and halves of characters too
    record = JSON.map(lambda value: json.dumps(value)) | JSON.map(
        lambda value: json.dumps(value, ensure_ascii=False)
    )
    around = record.map(lambda text: f"Sure:\n```json\n{text}\n```")
    return st.one_of(st.just(completion), cut, other, record, around, ANY_TEXT, HALF)


# JSON Schemas as classes and people write them
_LEAF_SCHEMA = st.one_of(
    st.sampled_from(["string", "integer", "number", "boolean"]).map(lambda kind: {"type": kind}),
    st.lists(LABEL | st.none(), min_size=1, max_size=3).map(lambda labels: {"enum": labels}),
    LABEL.map(lambda label: {"const": label}),
    st.sampled_from(["integer", "number"]).map(
        lambda kind: {"type": [kind, "null"], "minimum": -3, "maximum": 9}
    ),
    st.sampled_from(["A", "B"]).map(lambda name: {"$ref": f"#/$defs/{name}"}),
)


def _object_schemas(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(NAME, inner, min_size=1, max_size=2)
    return properties.map(
        lambda found: {"type": "object", "properties": found, "required": list(found)[:1]}
    )


_SCHEMA = st.recursive(
    _LEAF_SCHEMA,
    lambda inner: st.one_of(
        _object_schemas(inner),
        inner.map(lambda items: {"type": "array", "items": items}),
        inner.map(lambda arm: {"anyOf": [arm, {"type": "null"}]}),
        inner.map(lambda arm: {"allOf": [arm]}),
    ),
    max_leaves=4,
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything within a JSON value, the whole aside."""
    found = [path] if path else []
    inner: Any = ()
    if isinstance(node, dict):
        inner = node.items()
    elif isinstance(node, list):
        inner = enumerate(node)
    for key, item in inner:
        found += places(item, (*path, key))
    return found


@st.composite
def _json_schemas(draw: st.DrawFn) -> dict[str, Any]:
    """A schema, now and then with something else at one place of it, or a keyword more."""
    defs = st.fixed_dictionaries({"A": _LEAF_SCHEMA, "B": _object_schemas(_LEAF_SCHEMA)})
    schema = copy.deepcopy({**draw(_object_schemas(_SCHEMA)), "$defs": draw(defs)})
    if draw(st.booleans()):
        *way, last = draw(st.sampled_from(places(schema)))
        node: Any = schema
        for key in way:
            node = node[key]
        other = draw(st.booleans() | JSON | _SCHEMA)
        if draw(st.booleans()) and isinstance(node, dict):
            last = draw(st.sampled_from(_KEYWORDS))
        node[last] = other
    return schema


_KEYWORDS = ("type", "enum", "const", "minimum", "maximum", "required", "$ref", "items", "prefixItems",
             "properties", "anyOf", "oneOf", "allOf")  # fmt: skip
JSON_SCHEMA = _json_schemas()
