"""JSON as databases export it: DynamoDB, Firestore and MongoDB name the type of a value around it.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html,
https://firebase.google.com/docs/firestore/reference/rest/v1/Value and
https://www.mongodb.com/docs/manual/reference/mongodb-extended-json
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from lora_vs_api.data.table import Rows
from lora_vs_api.record.parsing import finite_integer, finite_number

# what MongoDB writes around a value, which is the one under it
_EXTENDED = {
    "$oid",
    "$date",
    "$numberInt",
    "$numberLong",
    "$numberDouble",
    "$numberDecimal",
    "$uuid",
}
# what DynamoDB and Firestore write around a value, which says its type
_TYPED = {
    **dict.fromkeys(("s", "bool", "ss", "b", "bs"), "plain"),
    **dict.fromkeys(("stringvalue", "booleanvalue", "timestampvalue"), "plain"),
    **dict.fromkeys(("bytesvalue", "referencevalue", "geopointvalue"), "plain"),
    **dict.fromkeys(("n", "integervalue", "doublevalue"), "number"),
    **dict.fromkeys(("null", "nullvalue"), "null"),
    **dict.fromkeys(("l", "arrayvalue"), "list"),
    **dict.fromkeys(("m", "mapvalue"), "map"),
    "ns": "numbers",
}


def without_types(rows: Rows, content: str) -> tuple[Rows, list[str]]:
    """``rows`` of a file with the ``content`` without the names of types around their values, and what to say of it."""
    typed = [row.get("Item", row) if len(row) == 1 else row for _, row in rows]
    if typed and all(isinstance(row, dict) and _is_typed(row) for row in typed):
        bare: Rows = [
            (place, {name: _untyped(value) for name, value in row.items()})
            for (place, _), row in zip(rows, typed, strict=True)
        ]
        said = "DynamoDB's or Firestore's names of types around values (S, stringValue): left out"
        return bare, [said]
    if not any(f'"{key}"' in content for key in _EXTENDED):
        return rows, []
    plain = [(place, _plain(row)) for place, row in rows]
    # such a word may also stand in a text
    if plain == rows:
        return rows, []
    said = "MongoDB's objects around ids, dates and numbers ($oid, $date, $numberLong): left out"
    return plain, [said]


def _is_typed(row: Mapping[str, Any]) -> bool:
    """Whether every value of a row is written under its type: ``{"S": "a"}``, ``{"stringValue": "a"}``, ``{"bOOL": true}``."""
    return bool(row) and all(
        isinstance(value, dict) and len(value) == 1 and next(iter(value)).lower() in _TYPED
        for value in row.values()
    )


def _untyped(value: Any) -> Any:
    """A value without its type's name, also within lists and maps of such."""
    ((name, held),) = value.items()
    kind = _TYPED[name.lower()]
    if kind == "null":
        return None
    if kind == "number":
        return _number(held) if isinstance(held, str) else held
    if kind == "numbers":
        return [_number(one) for one in held]
    if kind == "list":
        return [
            _untyped(one) for one in (held.get("values", []) if isinstance(held, dict) else held)
        ]
    if kind == "map":
        inner = held.get("fields", {}) if name.lower() == "mapvalue" else held
        return {key: _untyped(one) for key, one in inner.items()}
    return held


def _plain(value: Any) -> Any:
    """``value`` without what MongoDB writes around ids, dates and numbers: 5 for ``{"$numberLong": "5"}``."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (key := next(iter(value))) in _EXTENDED:
        held = _plain(value[key])
        if key.startswith("$number") and isinstance(held, str):
            return _number(held)
        # the canonical form counts milliseconds; the relaxed one is ISO 8601, as this becomes
        return _iso(held) if key == "$date" and type(held) is int else held
    return {key: _plain(item) for key, item in value.items()}


def _number(text: str) -> Any:
    for read in (finite_integer, finite_number):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _iso(milliseconds: int) -> str | int:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    except OverflowError:  # a year that no text of this form has
        return milliseconds
    exact = "milliseconds" if milliseconds % 1000 else "seconds"
    return moment.isoformat(timespec=exact).replace("+00:00", "Z")
