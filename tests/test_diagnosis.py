"""What kind of failure a score counts; none of it may change the score."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.analysis.diagnosis import (
    ABSENT,
    OUT_OF_VOCABULARY,
    confusion,
    confusion_labels,
    diagnose_field,
    differing_fields,
    recover_record,
    token_f1,
)
from lora_vs_api.analysis.results import (
    EnumDiagnosis,
    IntegerDiagnosis,
    ListDiagnosis,
    StringDiagnosis,
)
from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import parse_record

ENUM = Field("kind", "enum", "exact", values=("billing", "other"))
INTEGER = Field("urgency", "integer", "exact", minimum=1, maximum=5)
TEXT = Field("request", "string", "exact")
ITEMS = Field("products", "list", "set_f1")

RECORD = {"kind": "billing", "note": 'a "quoted", word,}'}
json_objects = st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.booleans())


@pytest.mark.parametrize(
    ("output", "forgiven"),
    [
        (f"```json\n{json.dumps(RECORD, indent=1)}\n```", ("code fence",)),
        (f"Here it is:\n```\n{json.dumps(RECORD)}\n```\nBye", ("code fence",)),
        (f"Sure! {json.dumps(RECORD)} Anything else?", ("prose around",)),
        (json.dumps(RECORD)[:-1] + ",}", ("trailing comma",)),
        (f"So: {json.dumps(RECORD)[:-1]} ,\n}}", ("prose around", "trailing comma")),
        (f"{{not this}} {json.dumps(RECORD)}", ("prose around",)),
        (f'{{"to": {{"a": 1}}, no}} then {json.dumps(RECORD)}', ("prose around",)),
    ],
)
def test_a_record_in_the_wrong_wrapping_is_found_and_named(output, forgiven):
    """Invalid for the rate of valid JSON, yet reported as recoverable, text inside strings untouched."""
    assert parse_record(output) is None
    assert recover_record(output) == (RECORD, forgiven)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "I cannot do that.",
        '{"kind": "billing"',
        '```json\n{"kind": "bil',
        "{'kind': 'billing'}",
        '["billing"]',
        "{{{{",
        # what a record holds is no record: cut, broken, or cut within a text that has brackets
        '{"items": [{"kind": "billing"}, {"kind": "other"}], "to": {"town":',
        '{"to": {"kind": "billing"}, \'n\': 1}',
        '{"to": {"kind": "billing"}, "note": "a } b',
        '{\n "items": [\n  {"kind": "billing"},\n  {"kind": "other"}\n',
        '{"note": "a, "to": {"kind": "billing"}',
        """{'to': {"kind": "billing"}}""",
        """{'to': {"kind": "billing"}""",
    ],
)
def test_what_is_not_there_is_not_recovered(output):
    """Nothing is guessed: an answer that was truncated or is no JSON has no record."""
    assert recover_record(output) is None


@pytest.mark.parametrize(
    "output",
    [
        '{"kind": "billing, "n": 3}\n{"kind": "billing", "n": 3}',
        '{"kind": "billing, "n": 3}\nOnce more:\n{"kind": "billing", "n": 3}\nBye',
        '{"n": 5" tall} {"kind": "billing", "n": 3}',
        '{"n": 5" tall} Right: {"kind": "billing", "n": 3}\n',
    ],
)
def test_a_quote_too_many_hides_no_second_record(output):
    """The brackets of the first one never close; what stands alone behind it is a record all the same."""
    assert recover_record(output) == ({"kind": "billing", "n": 3}, ("prose around",))


def test_a_comma_too_many_costs_no_more_than_itself():
    """An object within the record was taken for the record."""
    assert recover_record('{"to": {"kind": "a"},}') == ({"to": {"kind": "a"}}, ("trailing comma",))


@given(json_objects)
def test_valid_json_is_never_called_recovered(value):
    assert recover_record(json.dumps(value)) is None


@given(json_objects, st.text(alphabet="abc .,:\n"), st.text(alphabet="abc .,:\n"))
def test_prose_does_not_change_what_is_recovered(value, before, after):
    """Whatever plain words stand around an object, the object that comes out is the one put in."""
    output = before + json.dumps(value) + after
    found = parse_record(output) if parse_record(output) is not None else recover_record(output)[0]
    assert found == value


@given(st.text())
def test_recovery_never_raises(text):
    recover_record(text)


def test_token_f1_is_squads():
    """Case, punctuation and articles aside; partial credit for words in common."""
    assert token_f1("Give the Refund!", "give a refund") == 1.0
    assert token_f1("reset password", "reset the account password") == pytest.approx(0.8)
    assert token_f1("", "the") == 1.0
    assert token_f1("", "refund") == token_f1("refund", "") == 0.0


@given(st.text(), st.text())
def test_token_f1_is_symmetric_and_bounded(a, b):
    assert 0 <= token_f1(a, b) <= 1
    assert token_f1(a, b) == token_f1(b, a)
    assert token_f1(a, a) == 1


def test_labels_out_of_vocabulary_are_told_from_wrong_ones():
    """`billing-related` for `billing` is out of vocabulary; `other` is only wrong; no record is neither."""
    answers = [{"kind": "billing-related"}, {"kind": "other"}, {"kind": 3}, {}, None]
    gold = [{"kind": "billing"}] * 5
    found = diagnose_field(ENUM, answers, gold)
    assert found == EnumDiagnosis(missing=0.6, out_of_vocabulary=0.2)
    assert found.measures() == {"missing": 0.6, "out_of_vocabulary": 0.2}
    assert confusion(ENUM, answers, gold) == {
        "billing": {"billing": 0, "other": 1, OUT_OF_VOCABULARY: 2, ABSENT: 2},
        "other": {"billing": 0, "other": 0, OUT_OF_VOCABULARY: 0, ABSENT: 0},
    }


def test_integers_are_as_wrong_as_they_are_far():
    """Distance is over the integers given, the share within one over all answers."""
    answers = [{"urgency": 3}, {"urgency": 4}, {"urgency": 1}, {"urgency": True}, None]
    found = diagnose_field(INTEGER, answers, [{"urgency": 3}] * 5)
    assert found == IntegerDiagnosis(missing=0.4, mean_distance=1.0, within_one=0.4)
    none = diagnose_field(INTEGER, [None], [{"urgency": 3}])
    assert none.mean_distance is None and "mean_distance" in none.measures()


def test_texts_and_lists():
    """A paraphrase shows in token F1; a list that is too long is told from one too short."""
    found = diagnose_field(
        TEXT, [{"request": "The refund."}, {"request": "money back"}], [{"request": "refund"}] * 2
    )
    assert found == StringDiagnosis(missing=0.0, normalised=0.5, token_f1=0.5)
    found = diagnose_field(
        ITEMS, [{"products": ["a", "b"]}, {"products": []}], [{"products": ["a"]}] * 2
    )
    assert found == ListDiagnosis(missing=0.0, spurious=0.5, missed=0.5)


@given(st.lists(st.sampled_from([None, {}, {"kind": "x"}, {"kind": "other"}]), min_size=1))
def test_every_answer_is_in_the_confusion_matrix_once(answers):
    table = confusion(ENUM, answers, [{"kind": "billing"}] * len(answers))
    assert sum(sum(row.values()) for row in table.values()) == len(answers)


def test_only_fields_with_few_labels_are_tabled():
    assert confusion_labels(INTEGER) == ("1", "2", "3", "4", "5")
    assert confusion_labels(Field("n", "integer", "exact", minimum=0, maximum=9999)) == ()
    assert confusion_labels(TEXT) == confusion_labels(ITEMS) == ()


def test_a_failure_can_be_read():
    """A wrong value stands beside the expected one; a missing one is not shown as null."""
    gold = {"kind": "billing", "urgency": 2}
    assert differing_fields({"kind": None}, gold, ["kind", "urgency"]) == {
        "kind": {"expected": "billing", "found": None},
        "urgency": {"expected": 2},
    }
