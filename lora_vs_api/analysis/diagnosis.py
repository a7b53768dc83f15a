"""What is behind a score: how far off a field is, labels out of vocabulary, what was recoverable.

None of this changes the score (``lora_vs_api.scoring.scores``), which stays the published one; it
says what kind of failure the score counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lora_vs_api.analysis.results import (
    BooleanDiagnosis,
    EnumDiagnosis,
    FieldDiagnosis,
    FieldValues,
    IntegerDiagnosis,
    ListDiagnosis,
    NumberDiagnosis,
    ObjectDiagnosis,
    StringDiagnosis,
)
from lora_vs_api.record.fields import TEXT, Field
from lora_vs_api.record.parsing import DECODER, is_whole, parse_record, part_thinking
from lora_vs_api.scoring.scores import canonical, normalised, score_value, token_f1
from lora_vs_api.validation.records import accepts

OUT_OF_VOCABULARY, ABSENT, NULL = "(another label)", "(none)", "(null)"
NOTHING = "null"  # as JSON
MAX_LABELS = 12  # of a confusion matrix that can be read
MAX_DISTANCE = 1e300  # of two numbers

_FENCE = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
# a string of JSON, or a comma with nothing but a closing bracket after it
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')

_OBJECT_BEGINS = re.compile(r"\{\s*[\"']")
# a string that nothing closes goes to the end: a bracket within it closes no object
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[{}]', re.DOTALL)


class Recovered(NamedTuple):
    """A record read out of an output that is no valid JSON, and what had to be forgiven."""

    record: dict[str, Any]
    forgiven: tuple[str, ...]


def recover_record(output: str) -> Recovered | None:
    """Read the record from an output that :func:`parse_record` refuses, or None.

    Forgiven are code fences, prose around the object and trailing commas, and nothing else: an
    object that was truncated, or has single quotes, stays unreadable. Of several objects the
    first that is whole counts. A draft in a model's thinking is none.
    """
    answer = part_thinking(output).answer
    if answer is None or parse_record(answer) is not None:
        return None
    fenced = _FENCE.search(answer)
    candidates: list[tuple[str, tuple[str, ...]]] = []
    if fenced:
        candidates.append((fenced.group(1), ("code fence",)))
    candidates.append((answer, ()))
    for text, forgiven in candidates:
        for repaired in (text, _TRAILING_COMMA.sub(lambda m: m.group(1) or "", text)):
            found = _first_object(repaired)
            if found is None:
                continue
            record, is_all = found
            prose = () if is_all else ("prose around",)
            comma = ("trailing comma",) if repaired != text else ()
            return Recovered(record, (*forgiven, *prose, *comma))
    return None


def _first_object(text: str) -> tuple[dict[str, Any], bool] | None:
    """The first whole JSON object in ``text``, and whether it is all there is."""
    for start in _beginnings(text):
        try:
            value, end = DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if not is_whole(text, value):
            return None
        return value, not text[:start].strip() and not text[end:].strip()
    return None


def _beginnings(text: str) -> Iterator[int]:
    """Where a record may begin, each asked for when there was none at the one before it."""
    start = text.find("{")
    while start >= 0:
        yield start
        # braces of prose hold anything; a record's own lists and objects are no record
        is_object = _OBJECT_BEGINS.match(text, start) is not None
        behind = _end_of_object(text, start) if is_object else start + 1
        if behind is None:
            break
        start = text.find("{", behind)
    else:
        return
    # cut, or a quote too many, which hides what stands behind it
    for found in _OBJECT_BEGINS.finditer(text, start + 1):
        if _stands_alone(text, found.start()):
            yield found.start()


def _stands_alone(text: str, start: int) -> bool:
    """Whether what begins at ``start`` begins a line or ends the text, and is no value within a record."""
    before = text[:start].rstrip()
    if before.endswith(("[", ",", '":', "':")):
        return False
    if "\n" in text[len(before) : start]:
        return True
    try:
        return not text[DECODER.raw_decode(text, start)[1] :].strip()
    except (ValueError, RecursionError):
        return False


def _end_of_object(text: str, start: int) -> int | None:
    """Behind the bracket that closes the one at ``start``; None where none does."""
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0:
            return found.end()
    return None


def diagnose_field(
    field: Field,
    records: Sequence[Mapping[str, Any] | None],
    gold: Sequence[Mapping[str, Any]],
) -> FieldDiagnosis:
    """How the answers to one field depart from the gold, as shares in 0..1.

    Perfect answers have 0 of every fault and 1 of everything else: what compares with a value is a
    share of the texts where there is one.

    Args:
        field: of the record.
        records: one per answer, None where it held no valid JSON object.
        gold: the records they should be.

    Returns:
        What is measured of a field of this type; the classes say what each measure is.
    """
    pairs = [
        (None if record is None else record.get(field.name), answer[field.name])
        for record, answer in zip(records, gold, strict=True)
    ]
    asked = [(v, e) for v, e in pairs if not field.may_be_empty or field.holds(e)]
    # values of the field's type beside what they should be
    typed: list[tuple[Any, Any]] = [
        (v, e) for v, e in asked if field.has_type(v) and (not field.may_be_empty or field.holds(v))
    ]

    def share(number: float) -> float | None:
        return round(number / len(asked), 6) if asked else None

    missing, unexpected = share(len(asked) - len(typed)), None
    if len(asked) < len(pairs):
        given = sum(field.holds(v) and not field.holds(e) for v, e in pairs)
        unexpected = round(given / (len(pairs) - len(asked)), 6)
    if field.type == "string":
        return StringDiagnosis(
            missing=missing,
            unexpected=unexpected,
            normalised=share(sum(normalised(v) == normalised(e) for v, e in typed)),
            token_f1=share(sum(token_f1(v, e) for v, e in typed)),
        )
    if field.type == "enum":
        return EnumDiagnosis(
            missing=missing,
            unexpected=unexpected,
            out_of_vocabulary=round(
                sum(isinstance(v, str) and field.label(v) is None for v, _ in pairs) / len(pairs), 6
            ),
        )
    if field.type in ("integer", "number"):
        # cut: the sum of two that a float can just hold is none that it can hold
        distances = [float(min(abs(v - e), MAX_DISTANCE)) for v, e in typed]
        mean = round(sum(distances) / len(distances), 6) if distances else None
        if field.type == "number":
            return NumberDiagnosis(missing=missing, unexpected=unexpected, mean_distance=mean)
        return IntegerDiagnosis(
            missing=missing,
            unexpected=unexpected,
            mean_distance=mean,
            within_one=share(sum(distance <= 1 for distance in distances)),
        )
    if field.type == "list":
        items = field.items or TEXT
        sets = [
            ({canonical(x, items) for x in v}, {canonical(x, items) for x in e}) for v, e in typed
        ]
        return ListDiagnosis(
            missing=missing,
            unexpected=unexpected,
            spurious=share(sum(bool(ours - theirs) for ours, theirs in sets)),
            missed=share(sum(bool(theirs - ours) for ours, theirs in sets)),
        )
    if field.type == "object":
        slot_f1 = share(sum(score_value(v, e, field) for v, e in typed))
        return ObjectDiagnosis(missing=missing, unexpected=unexpected, slot_f1=slot_f1)
    return BooleanDiagnosis(missing=missing, unexpected=unexpected)


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
    table = {label: dict.fromkeys((*labels, OUT_OF_VOCABULARY, ABSENT), 0) for label in labels}
    for record, answer in zip(records, gold, strict=True):
        told = ABSENT
        if record is not None and (field.name in record or field.omitted):
            value = record.get(field.name)
            told = (
                _label(field.label(value) or value) if accepts(field, value) else OUT_OF_VOCABULARY
            )
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
        return field.values if len(field.values) <= MAX_LABELS else ()
    if field.type == "boolean":
        return ("true", "false")
    if field.type != "integer" or field.minimum is None or field.maximum is None:
        return ()
    labels = range(int(field.minimum), int(field.maximum) + 1)
    return tuple(str(n) for n in labels) if len(labels) <= MAX_LABELS else ()


def constant_value(
    field: Field,
    records: Sequence[Mapping[str, Any] | None],
    gold: Sequence[Mapping[str, Any]],
) -> str | None:
    """The one value, as JSON, of all answers that could be read, where the gold has several.

    A model that gives it shows no sign of reading the field, whatever its score. None where answers
    differ, where fewer than half are readable, and where a field that must not be empty gets no
    value, which is another failure.
    """
    pairs = [
        (record.get(field.name), answer[field.name])
        for record, answer in zip(records, gold, strict=True)
        if record is not None
    ]
    if len(pairs) < max(2, len(records) / 2):
        return None
    answered = {_said(value, field) for value, _ in pairs}
    expected = {_said(value, field) for _, value in pairs}
    if len(answered) > 1 or len(expected) < 2:
        return None
    (said,) = answered
    return None if said == NOTHING and not field.may_be_empty else said


def _said(value: Any, field: Field) -> str:
    return canonical(value, field) if field.holds(value) else NOTHING


def differing_fields(
    record: Mapping[str, Any] | None, gold: Mapping[str, Any], wrong: Sequence[str]
) -> dict[str, FieldValues]:
    """For each ``wrong`` field what was expected and, where there was a value, what was found."""
    found: dict[str, FieldValues] = {}
    for name in wrong:
        found[name] = {"expected": gold[name]}
        if record is not None and name in record:
            found[name]["found"] = record[name]
    return found
