"""Records of any shape: nested, optional, numeric; their check, their JSON Schema, their scores."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.analysis.diagnosis import confusion, diagnose_field
from lora_vs_api.analysis.results import EnumDiagnosis
from lora_vs_api.config.fields import checked_fields
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import completed
from lora_vs_api.record.json_schema import json_schema
from lora_vs_api.record.prompt import completion, messages
from lora_vs_api.scoring.scores import score_output, score_value, set_f1
from lora_vs_api.validation.records import violations

CONFIG = {
    "vendor": {"type": "string", "score": "normalised"},
    "about": {"type": "string", "score": "token_f1", "optional": True},
    "kind": {"type": "enum", "values": ["bill", "credit"], "optional": True},
    "total": {"type": "number", "minimum": 0, "score": "tolerance", "tolerance": 0.1},
    "paid": {"type": "boolean"},
    "buyer": {
        "type": "object",
        "optional": True,
        "fields": {
            "name": {"type": "string"},
            "street": {"type": "string", "optional": True},
            "age": {"type": "integer", "optional": True},
        },
    },
    "lines": {
        "type": "list",
        "items": {
            "type": "object",
            "fields": {
                "what": {"type": "string"},
                "count": {"type": "integer", "optional": True},
            },
        },
    },
}
FIELDS = checked_fields(CONFIG)
BY_NAME = {field.name: field for field in FIELDS}
SCHEMA = json_schema(FIELDS)
GOLD = {
    "vendor": "The Acme, Inc.",
    "about": "two red chairs",
    "kind": None,
    "total": 0.3,
    "paid": True,
    "buyer": {"name": "Ann", "street": None, "age": 3},
    "lines": [{"what": "chair", "count": 2}, {"what": "desk", "count": None}],
}

LEAF = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from([0.5, -1.5]),
    st.sampled_from(["", "bill", "x"]),
)  # fmt: skip
VALUE = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["name", "street", "age", "what", "count"]), inner),
    ),
    max_leaves=6,
)
RECORD = st.fixed_dictionaries({}, optional=dict.fromkeys([*CONFIG, "unknown"], VALUE))
# records of the schema with one or two values replaced: both outcomes are common
NEAR = st.fixed_dictionaries({}, optional=dict.fromkeys(CONFIG, VALUE)).map(
    lambda changed: {**GOLD, **dict(list(changed.items())[:2])}
)


@given(st.one_of(RECORD, NEAR))
def test_the_check_and_the_json_schema_agree(record):
    """What strict mode and the grammar enforce is what the scorer calls schema-valid."""
    valid = jsonschema.Draft202012Validator(SCHEMA).is_valid(record)
    assert valid == (violations(record, FIELDS) == [])


def test_strict_mode_can_take_nested_objects():
    """Strict structured outputs want every key required and no other, at every depth."""

    def objects(node):
        if isinstance(node, dict):
            if "properties" in node:
                yield node
            for inner in node.values():
                yield from objects(inner)

    found = list(objects(SCHEMA))
    assert len(found) == 3
    for node in found:
        assert node["required"] == list(node["properties"])
        assert node["additionalProperties"] is False
    assert SCHEMA["properties"]["kind"] == {
        "type": ["string", "null"],
        "enum": ["bill", "credit", None],
    }
    assert SCHEMA["properties"]["buyer"]["type"] == ["object", "null"]


def test_every_violation_is_named_with_its_path():
    """One message a mistake, with the place: a user mends a row without searching it."""
    record = {
        **GOLD,
        "paid": 1,
        "buyer": {"name": None, "street": "x", "age": "3"},
        "lines": [{"what": "a", "count": 1, "price": 2}, "desk"],
    }
    assert violations(record, FIELDS) == [
        "paid: expected true or false, found 1",
        "buyer.name: expected a string, found None",
        "buyer.age: expected an integer or null, found '3'",
        "lines[0].price: unknown field",
        "lines[1]: expected an object with what, count, found 'desk'",
    ]


@given(st.permutations(list(GOLD)))
def test_the_gold_completion_scores_full_marks_in_any_order(order):
    """What training teaches is what scoring rewards, and is written in the schema's order."""
    gold = {name: GOLD[name] for name in order}
    text = completion(gold, FIELDS)
    assert list(json.loads(text)) == list(CONFIG) and list(json.loads(text)["buyer"]) == [
        "name", "street", "age",
    ]  # fmt: skip
    score = score_output(text, gold, FIELDS)
    assert score.exact_match and score.schema_valid


def test_left_out_keys_are_completed_where_they_may_be_null():
    """A labelled row need not spell out nulls, but must not lose a key that has to be there."""
    given_record = {"vendor": "a", "total": 1, "paid": False, "buyer": {"name": "b"}, "lines": []}
    whole = completed(given_record, FIELDS)
    assert whole["about"] is whole["kind"] is None
    assert whole["buyer"] == {"name": "b", "street": None, "age": None}
    assert violations(whole, FIELDS) == []
    assert violations(completed({**given_record, "lines": [{}]}, FIELDS), FIELDS) == [
        "lines[0].what: missing, expected a string"
    ]


@pytest.mark.parametrize(
    ("name", "value", "gold", "expected"),
    [
        ("vendor", "acme inc", "The Acme, Inc.", 1.0),
        ("vendor", "acme", "The Acme, Inc.", 0.0),
        ("about", "red chairs", "two red chairs", 0.8),
        ("about", None, "two red chairs", 0.0),
        ("about", None, None, 1.0),
        ("about", "", None, 0.0),
        ("total", 0.2, 0.3, 1.0),  # a binary 0.1 apart is a hair more than 0.1
        ("total", 0.19, 0.3, 0.0),
        ("total", "0.3", 0.3, 0.0),
        ("total", True, 1.0, 0.0),
        ("paid", 1, True, 0.0),
        ("paid", True, True, 1.0),
        ("lines", [{"what": "chair", "count": 2}], [{"count": 2, "what": "chair"}], 1.0),
        ("lines", [{"what": "chair"}], [{"what": "chair", "count": None}], 1.0),
        ("lines", [{"what": "chair"}, {"what": "x"}], [{"what": "chair", "count": None}], 2 / 3),
        ("lines", ["chair"], [{"what": "chair", "count": None}], 0.0),
    ],
)
def test_a_value_is_scored_as_its_field_says(name, value, gold, expected):
    """Each score of the config, at its edges."""
    assert score_value(value, gold, BY_NAME[name]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "gold", "expected"),
    [
        ({"name": "Ann", "street": None, "age": 3}, GOLD["buyer"], 1.0),
        ({"name": "Ann", "age": 3}, GOLD["buyer"], 1.0),
        # nulls on both sides are no merit: 1 of 1 found slot right, 1 of 2 wanted slots found
        ({"name": "Ann", "street": None, "age": None}, GOLD["buyer"], 2 / 3),
        ({"name": None, "street": None, "age": None}, GOLD["buyer"], 0.0),
        ({"name": "Ann", "street": "x", "age": 3}, GOLD["buyer"], 4 / 5),
        ([], GOLD["buyer"], 0.0),
        (None, None, 1.0),
    ],
)
def test_slot_f1_gives_nothing_for_shared_nulls(value, gold, expected):
    """An object that is mostly null would otherwise be mostly right whatever was found."""
    assert score_value(value, gold, BY_NAME["buyer"]) == pytest.approx(expected)


@given(RECORD)
def test_scores_are_shares(record):
    """No answer, however odd, scores below 0 or above 1 or stops the run."""
    score = score_output(json.dumps(record), GOLD, FIELDS)
    assert all(0 <= value <= 1 for value in score.fields)


@given(st.lists(st.text(max_size=2), max_size=3), st.lists(st.text(max_size=2), max_size=3))
def test_set_f1_of_strings_is_that_of_python_sets(a, b):
    """Comparing items as JSON must not change the published score of lists of strings."""
    ours, theirs = set(a), set(b)
    expected = (
        1.0 if not ours and not theirs else 2 * len(ours & theirs) / (len(ours) + len(theirs))
    )
    assert set_f1(a, b) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "date"}, "expected one of string, enum"),
        ({"type": "enum"}, "values: an enum needs a list"),
        ({"type": "enum", "values": ["a", "a"]}, "values: expected no value twice"),
        ({"type": "string", "values": ["a"]}, "values: only for enum"),
        ({"type": "string", "score": "set_f1"}, "score: expected exact or normalised or token_f1"),
        ({"type": "number", "score": "tolerance"}, "tolerance: a number ≥ 0"),
        ({"type": "number", "tolerance": 1}, "tolerance: a number ≥ 0"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "minimum: expected no more"),
        ({"type": "object"}, "fields: at least one field"),
        ({"type": "list", "items": {"type": "x"}}, r"items\.type: expected one of"),
        ({"type": "object", "fields": {"a": {"type": "x"}}}, r"fields\.a\.type: expected one of"),
    ],
)
def test_a_schema_mistake_names_its_key(change, message):
    """A config that cannot be scored is refused before anything runs."""
    with pytest.raises(UserError, match=rf"^task\.fields\.f\.?.*{message}"):
        checked_fields({"f": change})


def test_optional_fields_are_diagnosed_apart():
    """Making up a value and overlooking one are different failures; null for null is none."""
    gold = [{"kind": None}, {"kind": None}, {"kind": "bill"}, {"kind": "credit"}]
    records = [{"kind": None}, {"kind": "bill"}, {"kind": None}, None]
    found = diagnose_field(BY_NAME["kind"], records, gold)
    assert found == EnumDiagnosis(missing=1.0, unexpected=0.5, out_of_vocabulary=0.0)
    assert list(found.measures()) == ["missing", "unexpected", "out_of_vocabulary"]
    table = confusion(BY_NAME["kind"], records, gold)
    assert table["(null)"] == {
        "bill": 1, "credit": 0, "(null)": 1, "(another label)": 0, "(none)": 0,
    }  # fmt: skip
    assert table["bill"]["(null)"] == 1 and table["credit"]["(none)"] == 1


def test_booleans_are_tabled_as_json_writes_them():
    """A figure's labels are those of the answers, and 1 is no true."""
    table = confusion(
        BY_NAME["paid"], [{"paid": True}, {"paid": 1}], [{"paid": True}, {"paid": False}]
    )
    assert table["true"]["true"] == 1 and table["false"]["(another label)"] == 1


def test_a_description_is_told_in_prompt_and_schema_and_nowhere_else():
    """Without one the prompt is the instruction, byte for byte; with one every model reads the same words."""
    plain = {
        "kind": {"type": "enum", "values": ["a", "b"], "optional": True},
        "buyer": {"type": "object", "fields": {"zip": {"type": "string"}}},
        "lines": {
            "type": "list",
            "items": {"type": "object", "fields": {"sum": {"type": "number"}}},
        },
    }
    bare = checked_fields(plain)
    assert messages("Extract.", "t", bare)[0]["content"] == "Extract."
    assert "description" not in json.dumps(json_schema(bare))
    told = json.loads(json.dumps(plain))
    told["kind"]["description"] = "what was sent"
    told["buyer"]["fields"]["zip"]["description"] = "five digits"
    told["lines"]["items"]["fields"]["sum"]["description"] = "net, in euros"
    fields = checked_fields(told)
    assert messages("Extract.", "t", fields)[0]["content"] == (
        "Extract.\n- kind: what was sent\n- buyer.zip: five digits\n- lines[].sum: net, in euros"
    )
    found = json_schema(fields)["properties"]
    assert found["kind"]["description"] == "what was sent"
    assert found["buyer"]["properties"]["zip"]["description"] == "five digits"
    record = {"kind": "a", "buyer": {"zip": "1"}, "lines": []}
    assert completion(record, fields) == completion(record, bare)
    jsonschema.validate(record, json_schema(fields))
