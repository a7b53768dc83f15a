"""What is behind a score: how far off a field is, which labels were invented, what was recoverable.

None of this changes the score (``lora_vs_api.task.scoring``), which stays the published one; it
says what kind of failure the score counts.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lora_vs_api.task.schema import Field
from lora_vs_api.task.scoring import parse_record

INVENTED, ABSENT = "(another label)", "(none)"
MOST_LABELS = 12  # of a confusion matrix that can be read

_FENCE = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
# a string of JSON, or a comma with nothing but a closing bracket after it
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Recovered(NamedTuple):
    """A record read out of an output that is no valid JSON, and what had to be forgiven."""

    record: dict[str, Any]
    forgiven: tuple[str, ...]


def recover_record(output: str) -> Recovered | None:
    """Read the record from an output that :func:`parse_record` refuses, or None.

    Forgiven are code fences, prose around the object and trailing commas, and nothing else: an
    object that was cut short, or has single quotes, stays unreadable. Of several objects the
    first that is whole counts.
    """
    if parse_record(output) is not None:
        return None
    fenced = _FENCE.search(output)
    candidates = [(fenced.group(1), ("code fence",))] if fenced else []
    candidates.append((output, ()))
    for text, forgiven in candidates:
        for repaired, comma in (
            (text, ()),
            (_TRAILING_COMMA.sub(lambda m: m.group(1) or "", text), ("trailing comma",)),
        ):
            found = _first_object(repaired)
            if found is None:
                continue
            record, alone = found
            prose = () if alone else ("prose around",)
            # a comma elsewhere than in the record was not in the way
            comma = comma if repaired != text else ()
            return Recovered(record, (*forgiven, *prose, *comma))
    return None


def _first_object(text: str) -> tuple[dict[str, Any], bool] | None:
    """The first whole JSON object in ``text``, and whether it is all there is."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            start = text.find("{", start + 1)
            continue
        alone = not text[:start].strip() and not text[end:].strip()
        return value, alone
    return None


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


def diagnose_field(
    field: Field,
    records: Sequence[Mapping[str, Any] | None],
    gold: Sequence[Mapping[str, Any]],
) -> dict[str, float | None]:
    """How the answers to one field depart from the gold, as shares of all answers in 0..1.

    Args:
        field: of the record.
        records: one per answer, None where it held no valid JSON object.
        gold: the records they should be.

    Returns:
        ``missing``: no record, no such key, or a value of another type. Then by type: strings
        ``normalised`` (equal but for case, punctuation and articles) and ``token_f1``; enums
        ``invented`` (a text that is no label); integers ``mean_distance`` (in the integer's
        unit, over the answers with an integer; None without any) and ``within_one``; lists
        ``extra`` and ``left_out`` (answers with items too many, with items too few).
    """
    pairs = [
        (None if record is None else record.get(field.name), answer[field.name])
        for record, answer in zip(records, gold, strict=True)
    ]
    typed = [(value, expected) for value, expected in pairs if _has_type(field, value)]
    count = len(pairs)
    found: dict[str, float | None] = {"missing": (count - len(typed)) / count}
    if field.type == "string":
        found["normalised"] = sum(normalised(v) == normalised(e) for v, e in typed) / count
        found["token_f1"] = sum(token_f1(v, e) for v, e in typed) / count
    elif field.type == "enum":
        found["invented"] = sum(v not in field.values for v, _ in typed) / count
    elif field.type == "integer":
        distances = [abs(v - e) for v, e in typed]
        found["mean_distance"] = sum(distances) / len(distances) if distances else None
        found["within_one"] = sum(distance <= 1 for distance in distances) / count
    else:
        found["extra"] = sum(bool(set(v) - set(e)) for v, e in typed) / count
        found["left_out"] = sum(bool(set(e) - set(v)) for v, e in typed) / count
    return {key: None if value is None else round(value, 6) for key, value in found.items()}


def confusion(
    field: Field,
    records: Sequence[Mapping[str, Any] | None],
    gold: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, int]]:
    """Expected label → answered label → number of answers, of an enum or a bounded integer.

    Labels stand in the schema's order; ``(another label)`` counts values that are none of them,
    ``(none)`` answers without a value.
    """
    labels = confusion_labels(field)
    table = {label: dict.fromkeys((*labels, INVENTED, ABSENT), 0) for label in labels}
    for record, answer in zip(records, gold, strict=True):
        value = None if record is None else record.get(field.name)
        told = ABSENT if value is None else INVENTED
        if field.accepts(value):
            told = str(value)
        table[str(answer[field.name])][told] += 1
    return table


def confusion_labels(field: Field) -> tuple[str, ...]:
    """The labels of a field that has few enough of them to be tabled, else none."""
    if field.type == "enum":
        return field.values
    if field.type == "integer" and None not in (field.minimum, field.maximum):
        labels = tuple(str(n) for n in range(field.minimum, field.maximum + 1))
        return labels if len(labels) <= MOST_LABELS else ()
    return ()


def differing_fields(
    record: Mapping[str, Any] | None, gold: Mapping[str, Any], wrong: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """For each ``wrong`` field what was expected and, where there was a value, what was found."""
    return {
        name: {"expected": gold[name]}
        | ({"found": record[name]} if record is not None and name in record else {})
        for name in wrong
    }


def _has_type(field: Field, value: Any) -> bool:
    """Of the field's JSON type, whether or not an allowed value."""
    if field.type == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if field.type == "list":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, str)
