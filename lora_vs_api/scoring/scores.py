"""Scores of one model output against the gold record, as in the published experiment.

Field F1 is the mean over the record's fields of set-F1 (lists) or exact match (everything else);
a task of another shape may score objects by slot F1, text by its words and numbers within a
tolerance (``task.fields.NAME.score``). An output that is not a JSON object scores zero on every
field: the condition's user would have got nothing from it.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_vs_api.record.fields import TEXT, Field
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.scoring.kinds import score_of
from lora_vs_api.validation.records import violations

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


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
    def exact_match(self) -> bool:
        return all(value == 1.0 for value in self.fields)


def set_f1(predicted: Any, gold: list[Any], items: Field = TEXT) -> float:
    """F1 of two lists read as sets; two empty sets agree (1.0). Items are right or wrong whole."""
    if not isinstance(predicted, list) or not all(
        items.has_type(item) or (item is None and items.optional) for item in predicted
    ):
        return 0.0
    predicted_set = {canonical(item) for item in predicted}
    gold_set = {canonical(item) for item in gold}
    if not predicted_set and not gold_set:
        return 1.0
    return 2 * len(predicted_set & gold_set) / (len(predicted_set) + len(gold_set))


def canonical(value: Any) -> str:
    """Equal text for equal values, whatever the order of keys; a key that is null counts as one that is missing."""
    return json.dumps(_stripped(value), sort_keys=True)


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stripped(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def slot_f1(predicted: Any, gold: Mapping[str, Any], fields: Sequence[Field]) -> float:
    """F1 over an object's slots that hold something, each counting by its own score.

    Slots that are null on both sides count for nothing: an object that is mostly null would
    otherwise be mostly right whatever was found (as in slot filling since MUC-5, Chinchor &
    Sundheim, 1993). Two objects of nulls agree (1.0).
    """
    if not isinstance(predicted, dict):
        return 0.0
    ours = sum(predicted.get(field.name) is not None for field in fields)
    theirs = sum(gold[field.name] is not None for field in fields)
    if not ours and not theirs:
        return 1.0
    right = sum(
        score_value(predicted[field.name], gold[field.name], field)
        for field in fields
        if gold[field.name] is not None and predicted.get(field.name) is not None
    )
    return 2 * right / (ours + theirs)


def score_value(predicted: Any, gold: Any, field: Field) -> float:
    """Score of one field's value, 0..1; a key that is missing counts as null."""
    if gold is None or predicted is None:
        return float(gold is predicted)
    score = score_of(field)
    if score == "set_f1":
        return set_f1(predicted, gold, field.items or TEXT)
    if score == "slot_f1":
        return slot_f1(predicted, gold, field.fields)
    # type too: JSON true equals 1 and 3.0 equals 3 in Python, not in the record
    if not field.has_type(predicted):
        return 0.0
    if score == "normalised":
        return float(normalised(predicted) == normalised(gold))
    if score == "token_f1":
        return token_f1(predicted, gold)
    if score == "tolerance":
        # a hair more, for what binary fractions cannot say: 0.3 is 0.1 from 0.2
        return float(abs(predicted - gold) <= (field.tolerance or 0) * (1 + 1e-9) + 1e-12)
    return float(predicted == gold)


def normalised(text: str) -> str:
    """Lower case, without punctuation and articles, single spaces.

    As SQuAD's evaluation does (Rajpurkar et al., SQuAD (2016)).
    """
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def token_f1(predicted: str, gold: str) -> float:
    """F1 of the two texts' normalised words as bags, 0..1; two empty texts agree (SQuAD)."""
    ours, theirs = Counter(normalised(predicted).split()), Counter(normalised(gold).split())
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


def score_output(output: str, gold: dict[str, Any], fields: tuple[Field, ...]) -> Score:
    """Score one raw output against its gold record."""
    record = parse_record(output)
    if record is None:
        return Score(valid_json=False, schema_valid=False, fields=(0.0,) * len(fields))
    values = [score_value(record.get(field.name), gold[field.name], field) for field in fields]
    return Score(valid_json=True, schema_valid=not violations(record, fields), fields=tuple(values))
