"""The record's fields as a JSON Schema, in the subset that strict structured outputs accept."""

from __future__ import annotations

from typing import Any

from lora_vs_api.task.schema import Field


def json_schema(fields: tuple[Field, ...]) -> dict[str, Any]:
    """One object with every field required and no other allowed.

    That is what OpenAI's strict mode asks for:
    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    return {
        "type": "object",
        "properties": {field.name: _property(field) for field in fields},
        "required": [field.name for field in fields],
        "additionalProperties": False,
    }


def _property(field: Field) -> dict[str, Any]:
    if field.type == "enum":
        return {"type": "string", "enum": list(field.values)}
    if field.type == "integer":
        bounds = {"minimum": field.minimum, "maximum": field.maximum}
        return {"type": "integer", **{k: v for k, v in bounds.items() if v is not None}}
    if field.type == "list":
        return {"type": "array", "items": {"type": "string"}}
    return {"type": "string"}
