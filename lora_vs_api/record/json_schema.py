"""The record's fields as a JSON Schema, in the subset that strict structured outputs accept."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lora_vs_api.record.fields import TEXT, Field
from lora_vs_api.record.prompt import system_prompt

_JSON_TYPE = {"enum": "string", "list": "array"}


def json_schema(fields: tuple[Field, ...], *, every_key: bool = False) -> dict[str, Any]:
    """One object with every field required and no other allowed.

    That is what OpenAI's strict mode asks for, optional fields as a union with null included:
    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas

    Args:
        fields: of the record. A key that is ``omitted`` need not be there, and is not null if it is.
        every_key: for a server that takes nothing but strict mode: it has to be there, and may be null.
    """
    return {
        "type": "object",
        "properties": {field.name: _property(field, every_key) for field in fields},
        "required": [field.name for field in fields if every_key or not field.omitted],
        "additionalProperties": False,
    }


def _property(field: Field, every_key: bool) -> dict[str, Any]:
    kind = _JSON_TYPE.get(field.type, field.type)
    found: dict[str, Any] = {"type": kind}
    if field.fields:
        found = json_schema(field.fields, every_key=every_key)
    if field.type == "enum":
        found["enum"] = list(field.values)
    if field.type == "list":
        found["items"] = _property(field.items or TEXT, every_key)
    for key in ("minimum", "maximum"):
        if getattr(field, key) is not None:
            found[key] = getattr(field, key)
    if field.description:
        found["description"] = field.description
    if field.optional and (every_key or not field.omitted):
        found["type"] = [found["type"], "null"]
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
    return found


def task_sha256(instruction: str, fields: tuple[Field, ...]) -> str:
    """SHA-256 of what a model is asked by, the system prompt and the schema: a tuned one fits this task alone."""
    told = [system_prompt(instruction, fields), json_schema(fields)]
    return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest()
