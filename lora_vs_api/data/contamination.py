"""Does the untuned base already know the answers? The published check, for any enum field.

The base is asked zero-shot for one field of a few test texts. Accuracy far above chance on a
task it has never seen hints that the texts were in its training data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row


def classification_prompt(text: str, field: Field) -> list[dict[str, str]]:
    """Chat messages that ask for the one field."""
    question = (
        f"Classify the text by {field.name.replace('_', ' ')}. "
        f"Answer with exactly one word out of: {', '.join(field.values)}."
    )
    return [{"role": "system", "content": question}, {"role": "user", "content": text}]


def labelled(rows: Sequence[Row], field: Field) -> list[Row]:
    """The rows that have a label: what null stands for is none of the words the base may choose from.

    Raises:
        UserError: no row has one.
    """
    found = [row for row in rows if row["record"][field.name] is not None]
    if not found:
        raise UserError(
            f"contamination.field: {field.name} is null in all {len(rows):,} test texts, so there is "
            "nothing to ask for; choose another enum field, or null to leave the check out"
        )
    return found


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
    """Accuracy, chance level and the flag: accuracy − chance ≥ ``threshold``, all in 0..1.

    An answer that names no label (None) is wrong, whatever the gold.
    """
    right = sum(a is not None and a == b for a, b in zip(labels, gold, strict=True))
    accuracy = right / len(gold)
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
