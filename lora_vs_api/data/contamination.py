"""Does the untuned base already know the answers? The published check, for any enum field.

The base is asked zero-shot for one field of a few test texts. Accuracy far above chance on a
task it has never seen hints that the texts were in its training data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lora_vs_api.errors import UserError
from lora_vs_api.record.caseless import caseless
from lora_vs_api.record.fields import Field

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row


def classification_prompt(text: str, field: Field) -> list[dict[str, str]]:
    """Chat messages that ask for the one field."""
    # one label that has a comma would read as two
    labels = (json.dumps(v, ensure_ascii=False) if "," in v else v for v in field.values)
    question = (
        f"Classify the text by {field.name.replace('_', ' ')}. "
        f"Answer with exactly one word out of: {', '.join(labels)}."
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
    """The first of the field's values named in the answer, case aside; None when there is none.

    A value is named where it stands as whole words and is no part of a longer value: 'billing dispute'
    does not name billing where both are values, nor C++ the value C. Texts are compared composed (NFC).
    """
    text = _folded(output)
    spans = [
        (match.start(), match.end(), value)
        for value in field.values
        if (words := _folded(value))
        for match in re.finditer(re.escape(words), text)
        if _stands_alone(text, match.start(), match.end())
    ]
    found = [
        (start, value not in output, value)
        for start, end, value in spans
        if not any(
            first <= start and end <= last and last - first > end - start
            for first, last, _ in spans
        )
    ]
    return min(found)[2] if found else None


def _folded(text: str) -> str:
    """As scores compare texts, with single spaces."""
    return " ".join(caseless(text).split())


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether no word or number goes on before ``start`` or after ``end``."""
    before, after = text[:start], text[end:]
    if _joins(text[start]) and (_joins(before[-1:]) or re.search(r"\d[.,]$", before)):
        return False
    return not (_joins(text[end - 1]) and (_joins(after[:1]) or re.match(r"[.,]\d", after)))


def _joins(character: str) -> bool:
    """Whether the character makes one word or number with another such beside it.

    Words of scripts without upper and lower case need not be told apart by spaces.
    """
    return character == "_" or character.isdigit() or character.lower() != character.upper()


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
