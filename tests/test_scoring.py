"""Scores: what counts as a right field, and what counts as an answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.config.fields import checked_fields
from lora_vs_api.data.contamination import contamination_metrics, labelled, read_label
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.record.prompt import completion, messages
from lora_vs_api.scoring.scores import score_output, set_f1
from lora_vs_api.validation.records import violations

FIELDS = (
    Field("who", "string", "exact"),
    Field("kind", "enum", "exact", values=("a", "b")),
    Field("level", "integer", "exact", minimum=1, maximum=5),
    Field("things", "list", "set_f1"),
)
GOLD = {"who": "Ann", "kind": "a", "level": 3, "things": ["x", "y"]}


def test_the_gold_completion_scores_full_marks():
    """What training teaches is what scoring rewards."""
    score = score_output(completion(GOLD, FIELDS), GOLD, FIELDS)
    assert score.field_f1 == 1.0 and score.exact_match and score.valid_json and score.schema_valid


@pytest.mark.parametrize(
    "output",
    [
        "",
        "no",
        "[1]",
        '"text"',
        "```json\n{}\n```",
        'Sure: {"who": "Ann"}',
        '{"who": "Ann",}',
        "[" * 9999,
        '{"level": NaN}',
        '{"level": -Infinity}',
        '{"level": 1e999}',
        '{"level": 1' + "0" * 5000 + "}",
    ],
)
def test_anything_but_one_json_object_is_no_answer(output):
    """Prose, fences, lists and broken JSON would break the program that reads them."""
    score = score_output(output, GOLD, FIELDS)
    assert not score.valid_json and score.field_f1 == 0.0


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("who", "ann", 0.0),
        ("kind", "a-ish", 0.0),
        ("level", 4, 0.0),
        ("level", "3", 0.0),
        ("level", 3.0, 0.0),
        ("things", ["x"], 2 / 3),
        ("things", ["y", "x", "x"], 1.0),
        ("things", "x", 0.0),
        ("things", [1], 0.0),
    ],
)
def test_one_changed_field_costs_only_that_field(field, value, expected):
    """Exact match is exact, in type too; lists are compared as sets."""
    score = score_output(json.dumps({**GOLD, field: value}), GOLD, FIELDS)
    assert score.field_f1 == pytest.approx((3 + expected) / 4)


def test_a_missing_field_scores_zero_and_breaks_the_schema():
    """An answer without a field is valid JSON and still wrong there."""
    score = score_output('{"who": "Ann"}', GOLD, FIELDS)
    assert score.valid_json and not score.schema_valid and score.field_f1 == 0.25


@given(st.lists(st.text(max_size=3), max_size=5), st.lists(st.text(max_size=3), max_size=5))
def test_set_f1_is_symmetric_bounded_and_one_only_for_equal_sets(a, b):
    """The list score is an F1."""
    assert 0 <= set_f1(a, b) <= 1 and set_f1(a, b) == set_f1(b, a)
    assert (set_f1(a, b) == 1) == (set(a) == set(b))


@given(st.text())
def test_parsing_never_raises(text):
    """A model may print anything."""
    assert parse_record(text) is None or isinstance(parse_record(text), dict)


def test_violations_name_each_departure():
    """The messages a reviewer and a data error show say field, form and finding."""
    assert violations({"who": 1, "kind": "c", "level": True, "extra": 0}, FIELDS) == [
        "extra: unknown field",
        "who: expected a string, found 1",
        "kind: expected one of a, b, found 'c'",
        "level: expected an integer 1..5, found True",
        "things: missing, expected a list of strings",
    ]


def test_a_field_that_cannot_be_scored_is_refused():
    """A schema mistake names its key before anything runs."""
    with pytest.raises(
        UserError, match=r"task\.fields\.things\.score: expected set_f1 for .* list"
    ):
        checked_fields({"things": {"type": "list", "score": "exact"}})
    with pytest.raises(UserError, match=r"task\.fields\.kind\.values: an enum needs"):
        checked_fields({"kind": {"type": "enum", "score": "exact"}})


def test_few_shot_examples_are_answered_turns_before_the_question():
    """Few-shot and zero-shot differ by the examples alone."""
    shot = {"text": "T", "record": GOLD}
    zero, one = messages("I", "Q", FIELDS), messages("I", "Q", FIELDS, [shot])
    assert zero == [{"role": "system", "content": "I"}, {"role": "user", "content": "Q"}]
    assert [zero[0], zero[-1]] == [one[0], one[-1]] and len(one) == 4
    assert json.loads(one[2]["content"]) == GOLD


def test_contamination_flags_only_far_above_chance():
    """The published threshold: chance + 50 points; unreadable answers are counted."""
    field = Field("kind", "enum", "exact", values=("a", "b", "c", "d", "e"))
    assert read_label("It is B, not a.", field) == "b"
    assert read_label("?", field) is None
    right = contamination_metrics(["a"] * 7 + [None] * 3, ["a"] * 10, field, 0.5)
    assert right["flagged"] and right["accuracy"] == 0.7 and right["unreadable_answers"] == 3
    assert not contamination_metrics(["a"] * 6 + ["b"] * 4, ["a"] * 10, field, 0.5)["flagged"]


def test_an_answer_that_names_no_label_shows_no_memory():
    """19 of 20 records without a label: what could not be read was right 19 times, and flagged."""
    field = Field("kind", "enum", "exact", values=("a", "b", "c", "d", "e"), optional=True)
    rows = [
        {"id": str(n), "text": "", "record": {"kind": "a" if n == 7 else None}} for n in range(20)
    ]
    gold = [row["record"]["kind"] for row in rows]
    found = contamination_metrics([None] * 20, gold, field, 0.5)
    assert (found["accuracy"], found["unreadable_answers"], found["flagged"]) == (0.0, 20, False)
    # the base is asked to choose a label, so of texts that have one
    assert [row["id"] for row in labelled(rows, field)] == ["7"]
    with pytest.raises(
        UserError, match=r"^contamination\.field: kind is null in all 19 test texts"
    ):
        labelled([row for row in rows if row["id"] != "7"], field)
