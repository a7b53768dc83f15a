"""Scores of one model output against the gold record, as in the published experiment.

Field F1 is the mean over the record's fields of set-F1 (lists) or exact match (everything else);
a task of another shape may score objects by slot F1, text by its words and numbers within a
tolerance (``task.fields.NAME.score``). An output that is not a JSON object scores zero on every
field: the condition's user would have got nothing from it.

Texts are compared in Unicode's composed form (NFC): a tokenizer that composes characters cannot write
the other, and on a screen both are the same.

Where fields may be empty, a mean would pay for saying nothing: of eight slots that are mostly null, an
answer of nulls has most right. There field F1 is the F1 of what is filled, as in slot filling since
MUC-5 (Chinchor and Sundheim, MUC-5 Evaluation Metrics, 1993): twice the sum of the scores of the
fields that both sides fill, over how many the record fills plus how many the answer fills. A field
that has to be there counts as filled on both sides, so without optional fields this is the mean.

A field counts as many times as its weight says (``task.weights``), in the record or in the object that holds
it: once where it names none, and then every figure is, bit for bit, the one without weights.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import category, normalize

from lora_vs_api.record.caseless import caseless
from lora_vs_api.record.fields import TEXT, Field
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.record.words import words
from lora_vs_api.scoring.kinds import score_of
from lora_vs_api.validation.records import violations

_ARTICLES = re.compile(r"\b(a|an|the)\b")


class _Punctuation(dict[int, int | None]):
    """A table for :meth:`str.translate` that leaves out ASCII's punctuation and all that Unicode calls so."""

    def __missing__(self, code: int) -> int | None:
        gone = chr(code) in string.punctuation or category(chr(code)).startswith("P")
        self[code] = None if gone else code
        return self[code]


_PUNCTUATION = _Punctuation()


@dataclass(frozen=True)
class Score:
    """Scores of one output; the tuples are in schema order, each score in 0..1.

    ``wanted`` and ``given``: whether the gold record and the answer fill the field; true where it has
    to be there. An output without a record gives whatever is wanted, and gives it wrong. Two empty
    fields agree: their score is 1 and counts for nothing in :attr:`field_f1`. ``field_weights``: how
    much each counts there; None where all count once.
    """

    valid_json: bool
    schema_valid: bool
    fields: tuple[float, ...]
    wanted: tuple[bool, ...]
    given: tuple[bool, ...]
    field_weights: tuple[float, ...] | None = None

    @property
    def field_f1(self) -> float:
        """F1 over the filled fields, 0..1; 1 where there is nothing and the answer says so."""
        weights = [(wanted + given) / 2 for wanted, given in zip(self.wanted, self.given)]
        if self.field_weights is not None:
            weights = [half * own for half, own in zip(weights, self.field_weights, strict=True)]
        counted = sum(weights)
        if not counted:
            return float(self.valid_json)
        return sum(score * weight for score, weight in zip(self.fields, weights)) / counted

    @property
    def exact_match(self) -> bool:
        """Right in every field, the empty ones among them."""
        return all(value == 1.0 for value in self.fields)


def set_f1(predicted: Any, gold: list[Any], items: Field = TEXT) -> float:
    """F1 of two lists read as sets; two empty sets agree (1.0). Items are right or wrong whole."""
    if not isinstance(predicted, list) or not all(
        items.has_type(item) or (item is None and items.optional) for item in predicted
    ):
        return 0.0
    predicted_set = {canonical(item, items) for item in predicted}
    gold_set = {canonical(item, items) for item in gold}
    if not predicted_set and not gold_set:
        return 1.0
    return 2 * len(predicted_set & gold_set) / (len(predicted_set) + len(gold_set))


def canonical(value: Any, field: Field) -> str:
    """Equal text for values of ``field`` that are equal, whatever the order of keys.

    As for values outside of lists: 2.0 equals 2 where the field is a number and is no value of an
    integer, true never equals 1, a key that says nothing counts as one that is missing, and texts are
    equal in their composed form.
    """
    return json.dumps(_stripped(value, field), sort_keys=True)


def _stripped(value: Any, field: Field | None) -> Any:
    if isinstance(value, dict):
        inner = {} if field is None else {slot.name: slot for slot in field.fields}
        return {
            key: _stripped(item, inner.get(key))
            for key, item in value.items()
            if (inner[key].holds(item) if key in inner else item is not None)
        }
    if isinstance(value, list):
        return [_stripped(item, field and field.items) for item in value]
    if isinstance(value, str):
        return normalize("NFC", value)
    whole = isinstance(value, float) and value.is_integer()
    return int(value) if whole and (field is None or field.type == "number") else value


def slot_f1(predicted: Any, gold: Mapping[str, Any], fields: Sequence[Field]) -> float:
    """F1 over an object's slots that hold something, each counting by its own score.

    Slots that are empty on both sides count for nothing: an object that is mostly null would
    otherwise be mostly right whatever was found, as would the record as a whole. Two objects of
    nulls agree (1.0).
    """
    if not isinstance(predicted, dict):
        return 0.0
    ours = {field.name for field in fields if field.holds(predicted.get(field.name))}
    theirs = {field.name for field in fields if field.holds(gold[field.name])}
    if not ours and not theirs:
        return 1.0
    right = sum(
        field.weight * score_value(predicted[field.name], gold[field.name], field)
        for field in fields
        if field.name in ours & theirs
    )
    counted = sum(
        field.weight * ((field.name in ours) + (field.name in theirs)) for field in fields
    )
    return 2 * right / counted


def score_value(predicted: Any, gold: Any, field: Field) -> float:
    """Score of one field's value, 0..1; a key that is missing counts as null.

    Two values that say nothing (:meth:`Field.holds`) agree.
    """
    ours, theirs = field.holds(predicted), field.holds(gold)
    if not ours or not theirs:
        return float(ours == theirs)
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
    if isinstance(predicted, str):
        return float(normalize("NFC", predicted) == normalize("NFC", gold))
    return float(predicted == gold)


def normalised(text: str) -> str:
    """Whatever its case, composed (NFC), without punctuation and articles, single spaces.

    As SQuAD's evaluation does (Rajpurkar et al., SQuAD (2016)), with Unicode's case folding in the place of lower
    case, for which ß is not SS.
    """
    bare = caseless(text).translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def token_f1(predicted: str, gold: str) -> float:
    """F1 of the two texts' normalised words as bags, 0..1; two empty texts agree (SQuAD)."""
    ours, theirs = Counter(words(normalised(predicted))), Counter(words(normalised(gold)))
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


def score_output(output: str, gold: dict[str, Any], fields: tuple[Field, ...]) -> Score:
    """Score one raw output against its gold record."""
    record = parse_record(output)
    wanted = tuple(not field.may_be_empty or field.holds(gold[field.name]) for field in fields)
    own = own_weights(fields)
    if record is None:
        return Score(False, False, (0.0,) * len(fields), wanted, wanted, own)
    values = [score_value(record.get(field.name), gold[field.name], field) for field in fields]
    return Score(
        valid_json=True,
        schema_valid=not violations(record, fields),
        fields=tuple(values),
        wanted=wanted,
        given=tuple(
            not field.may_be_empty or field.holds(record.get(field.name)) for field in fields
        ),
        field_weights=own,
    )


def own_weights(fields: Sequence[Field]) -> tuple[float, ...] | None:
    """How much each field counts in a record's F1; None where all count once."""
    found = tuple(field.weight for field in fields)
    return None if all(weight == 1 for weight in found) else found
