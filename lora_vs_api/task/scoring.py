"""Scores of one model output against the gold record, as in the published experiment.

Field F1 is the mean over the fields of set-F1 (lists) or exact match (everything else). An
output that is not a JSON object scores zero on every field: the condition's user would have
got nothing from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lora_vs_api.task.schema import Field, violations


@dataclass(frozen=True)
class Score:
    """Scores of one output; ``fields`` is in schema order, each value in 0..1."""

    valid_json: bool
    schema_valid: bool
    fields: tuple[float, ...]

    @property
    def field_f1(self) -> float:
        return sum(self.fields) / len(self.fields)

    @property
    def strict(self) -> bool:
        return all(value == 1.0 for value in self.fields)


def parse_record(output: str) -> dict[str, Any] | None:
    """Return the JSON object that the whole output is (white space around it aside), or None.

    Prose or code fences around the object make it invalid: a program that reads the answer
    with ``json.loads`` would fail on it.
    """
    try:
        value = json.loads(output)
    except (json.JSONDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def set_f1(predicted: Any, gold: list[str]) -> float:
    """F1 of two lists read as sets; two empty sets agree (1.0)."""
    if not isinstance(predicted, list) or not all(isinstance(item, str) for item in predicted):
        return 0.0
    predicted_set, gold_set = set(predicted), set(gold)
    if not predicted_set and not gold_set:
        return 1.0
    return 2 * len(predicted_set & gold_set) / (len(predicted_set) + len(gold_set))


def score_output(output: str, gold: dict[str, Any], fields: tuple[Field, ...]) -> Score:
    """Score one raw output against its gold record."""
    record = parse_record(output)
    if record is None:
        return Score(valid_json=False, schema_valid=False, fields=(0.0,) * len(fields))
    values = []
    for field in fields:
        predicted, expected = record.get(field.name), gold[field.name]
        if field.score == "set_f1":
            values.append(set_f1(predicted, expected))
        else:
            # type too: JSON true equals 1 and 3.0 equals 3 in Python, not in the record
            values.append(float(type(predicted) is type(expected) and predicted == expected))
    return Score(valid_json=True, schema_valid=not violations(record, fields), fields=tuple(values))
