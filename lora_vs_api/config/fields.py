"""The record's fields as they stand in a config, checked one by one."""

from __future__ import annotations

from collections.abc import Mapping
from sys import float_info
from typing import Any

from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import OMIT, Field, fields_from_config
from lora_vs_api.scoring.kinds import SCORES


def checked_fields(config: Mapping[str, Mapping[str, Any]]) -> tuple[Field, ...]:
    """The fields of the mapping under ``task.fields``, in its order, every key of it checked.

    Raises:
        UserError: naming the key whose value cannot be used.
    """
    _check_fields(config, "task.fields")
    return fields_from_config(config)


def _check_fields(config: Mapping[str, Mapping[str, Any]], key: str) -> None:
    if not config:
        raise UserError(f"{key}: at least one field is needed")
    for name, spec in config.items():
        _check_field(spec, f"{key}.{name}")


def _check_field(spec: Mapping[str, Any], key: str) -> None:
    kind = spec.get("type")
    if kind not in SCORES:
        raise UserError(f"{key}.type: expected one of {', '.join(SCORES)}, found {kind!r}")
    score = spec.get("score") or SCORES[kind][0]
    if score not in SCORES[kind]:
        raise UserError(
            f"{key}.score: expected {' or '.join(SCORES[kind])} for a field of type {kind}, "
            f"found {score!r}"
        )
    for name_of in ("minimum", "maximum", "tolerance"):
        bound = spec.get(name_of)
        if bound is not None and not abs(bound) <= float_info.max:
            raise UserError(
                f"{key}.{name_of}: expected a number that a float can hold, found {bound!s:.40}"
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
    if spec.get("items") is not None:
        _check_items(spec["items"], f"{key}.items")
    if kind == "object":
        _check_fields(spec.get("fields") or {}, f"{key}.fields")


def _check_items(spec: Mapping[str, Any], key: str) -> None:
    if spec.get("from") is not None:
        raise UserError(f"{key}.from: only for a field that has a name of its own")
    if spec.get("optional") == OMIT:
        raise UserError(
            f"{key}.optional: expected true or false, found {OMIT}; an item of a list has no "
            "key to leave out"
        )
    _check_field(spec, key)
