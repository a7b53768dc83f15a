"""Does the untuned base already know the answers? The published check, for any enum field.

The base is asked zero-shot for one field of a few test texts. Accuracy far above chance on a
task it has never seen hints that the texts were in its training data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lora_vs_api.record.fields import Field


def classification_prompt(text: str, field: Field) -> list[dict[str, str]]:
    """Chat messages that ask for the one field."""
    question = (
        f"Classify the text by {field.name.replace('_', ' ')}. "
        f"Answer with exactly one word out of: {', '.join(field.values)}."
    )
    return [{"role": "system", "content": question}, {"role": "user", "content": text}]


def read_label(output: str, field: Field) -> str | None:
    """The first of the field's values named in the answer, case aside; None when there is none."""
    found = [
        (match.start(), value)
        for value in field.values
        if (match := re.search(rf"\b{re.escape(value)}\b", output, re.IGNORECASE))
    ]
    return min(found)[1] if found else None


def contamination_metrics(
    labels: Sequence[str | None], gold: Sequence[str], field: Field, threshold: float
) -> dict[str, Any]:
    """Accuracy, chance level and the flag: accuracy − chance ≥ ``threshold``, all in 0..1."""
    accuracy = sum(a == b for a, b in zip(labels, gold, strict=True)) / len(gold)
    chance = 1 / len(field.values)
    return {
        "field": field.name,
        "texts": len(gold),
        "accuracy": round(accuracy, 4),
        "chance": round(chance, 4),
        "above_chance": round(accuracy - chance, 4),
        "threshold": threshold,
        "unreadable_answers": sum(label is None for label in labels),
        # rounded: 0.7 − 0.2 is a hair below 0.5 in binary
        "flagged": round(accuracy - chance, 9) >= threshold,
    }
