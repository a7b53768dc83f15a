"""What is behind a score: how far off a field is, which labels were invented, what was recoverable.

None of this changes the score (``lora_vs_api.scoring.scores``), which stays the published one; it
says what kind of failure the score counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.scoring.scores import canonical, normalised, score_value, token_f1
from lora_vs_api.validation.records import accepts

INVENTED, ABSENT, NULL = "(another label)", "(none)", "(null)"
MOST_LABELS = 12  # of a confusion matrix that can be read

_FENCE = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
# a string of JSON, or a comma with nothing but a closing bracket after it
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')


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
        ``missing``: no record, no such key, or a value of another type where the gold has one.
        Optional fields: ``uncalled``, a value where the gold has none. Then by type: strings
        ``normalised`` (equal but for case, punctuation and articles) and ``token_f1``; enums
        ``invented`` (a text that is no label); integers and numbers ``mean_distance`` (in the
        field's unit, over the answers with a number; None without any), integers ``within_one``;
        lists ``extra`` and ``left_out`` (answers with items too many, with items too few);
        objects ``slot_f1``.
    """
    pairs = [
        (None if record is None else record.get(field.name), answer[field.name])
        for record, answer in zip(records, gold, strict=True)
    ]
    asked = [(value, expected) for value, expected in pairs if expected is not None]
    typed = [(value, expected) for value, expected in asked if field.has_type(value)]
    count = len(pairs)
    found: dict[str, float | None] = {"missing": (len(asked) - len(typed)) / count}
    if field.optional:
        found["uncalled"] = sum(v is not None and e is None for v, e in pairs) / count
    if field.type == "string":
        found["normalised"] = sum(normalised(v) == normalised(e) for v, e in typed) / count
        found["token_f1"] = sum(token_f1(v, e) for v, e in typed) / count
    elif field.type == "enum":
        found["invented"] = sum(v not in field.values for v, _ in typed) / count
    elif field.type in ("integer", "number"):
        distances = [abs(v - e) for v, e in typed]
        found["mean_distance"] = sum(distances) / len(distances) if distances else None
        if field.type == "integer":
            found["within_one"] = sum(distance <= 1 for distance in distances) / count
    elif field.type == "list":
        sets = [({canonical(x) for x in v}, {canonical(x) for x in e}) for v, e in typed]
        found["extra"] = sum(bool(ours - theirs) for ours, theirs in sets) / count
        found["left_out"] = sum(bool(theirs - ours) for ours, theirs in sets) / count
    elif field.type == "object":
        found["slot_f1"] = sum(score_value(v, e, field) for v, e in typed) / count
    return {key: None if value is None else round(value, 6) for key, value in found.items()}


def confusion(
    field: Field,
    records: Sequence[Mapping[str, Any] | None],
    gold: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, int]]:
    """Expected label → answered label → number of answers, of a field with few labels.

    Labels stand in the schema's order, ``(null)`` after them where a field is optional;
    ``(another label)`` counts values that are none of them, ``(none)`` answers without a value.
    """
    labels = (*confusion_labels(field), *((NULL,) if field.optional else ()))
    table = {label: dict.fromkeys((*labels, INVENTED, ABSENT), 0) for label in labels}
    for record, answer in zip(records, gold, strict=True):
        told = ABSENT
        if record is not None and field.name in record:
            value = record[field.name]
            told = _label(value) if accepts(field, value) else INVENTED
            if value is None and not field.optional:
                told = ABSENT
        table[_label(answer[field.name])][told] += 1
    return table


def _label(value: Any) -> str:
    if value is None:
        return NULL
    return json.dumps(value) if isinstance(value, bool) else str(value)


def confusion_labels(field: Field) -> tuple[str, ...]:
    """The labels of a field that has few enough of them to be tabled, else none."""
    if field.type == "enum":
        # the published task's five and three labels fit; fifty country codes do not
        return field.values if len(field.values) <= MOST_LABELS else ()
    if field.type == "boolean":
        return ("true", "false")
    if field.type != "integer" or None in (field.minimum, field.maximum):
        return ()
    labels = range(int(field.minimum), int(field.maximum) + 1)
    return tuple(str(n) for n in labels) if len(labels) <= MOST_LABELS else ()


def differing_fields(
    record: Mapping[str, Any] | None, gold: Mapping[str, Any], wrong: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """For each ``wrong`` field what was expected and, where there was a value, what was found."""
    return {
        name: {"expected": gold[name]}
        | ({"found": record[name]} if record is not None and name in record else {})
        for name in wrong
    }
