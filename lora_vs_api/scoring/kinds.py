"""How a value may be scored, by its type."""

from __future__ import annotations

from lora_vs_api.record.fields import Field

# type → the scores it may have; the first counts where ``task.fields`` names none
SCORES: dict[str, tuple[str, ...]] = {
    "string": ("exact", "normalised", "token_f1"),
    "enum": ("exact",),
    "integer": ("exact", "tolerance"),
    "number": ("exact", "tolerance"),
    "boolean": ("exact",),
    "list": ("set_f1",),
    "object": ("slot_f1",),
}


def score_of(field: Field) -> str:
    """The name of the score by which ``field`` is judged."""
    return field.score or SCORES[field.type][0]
