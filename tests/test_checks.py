"""Checks before spending: each finding on data made to have it, and none on data without."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.data.checks import (
    check_fields,
    check_lengths,
    check_likeness,
    check_precision,
    conflicts,
    field_warnings,
    instruction_warnings,
    near_duplicates,
    size_warnings,
)
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field, fields_from_config
from tests.imports import ROOT

FIELDS = fields_from_config(
    {
        "kind": {"type": "enum", "values": ["a", "b", "c"], "optional": True},
        "note": {"type": "string", "optional": True},
        "same": {"type": "string"},
        "paid": {"type": "boolean"},
    }
)


def rows(kinds, start=0, text="text number {i}"):
    return [
        {
            "id": f"r{start + i}",
            "text": text.format(i=start + i),
            "record": {"kind": kind, "note": None, "same": "x", "paid": i % 2 == 0},
        }
        for i, kind in enumerate(kinds)
    ]


def test_labels_that_cannot_be_learned_or_tell_nothing_are_named():
    """A label missing from train, a dominant one and an empty field are seen before training."""
    splits = {"train": rows(["a"] * 180), "val": rows([None], 200), "test": rows(["b"] * 2, 300)}
    found = check_fields(splits, FIELDS)
    assert found["kind"]["labels"]["b"] == {"train": 0, "val": 0, "test": 2}
    assert found["kind"]["null"] == pytest.approx(1 / 183, abs=1e-4)
    assert found["paid"]["labels"]["true"]["train"] == 90
    assert field_warnings(found) == [
        "kind: a is 99% of all that have one.",
        "kind: b is not in train, so it cannot be learned.",
        "kind: c never occurs.",
        "note is always null: nothing to learn and nothing to score.",
        "same always has the same value: any model learns it, none is tested.",
    ]


def test_rare_labels_are_named_and_common_ones_not():
    """A warning for everything would be read by nobody."""
    splits = {"train": rows(["a"] * 60 + ["b"] * 60 + ["c"] * 2), "test": []}
    assert [w for w in field_warnings(check_fields(splits, FIELDS)) if w.startswith("kind")] == [
        "kind: c is rare (1.6%)."
    ]


def test_a_field_that_is_mostly_null_is_named():
    """A model that leaves it out always is right nearly always, and gets nothing for it."""
    splits = {"train": rows([None] * 9 + ["a"])}
    assert field_warnings(check_fields(splits, FIELDS))[0] == (
        "kind is null in 90.0% of the texts, and being right about that counts for nothing."
    )


def test_one_text_with_two_records_is_a_conflict():
    """No model can be right about both."""
    one, other = rows(["a"]), rows(["b"], text="text  number\n{i}")
    other[0]["id"] = "other"
    assert conflicts([*one, *other]) == [["r0", "other"]]
    assert conflicts([*one, *rows(["a"])]) == []


TEXTS = st.lists(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=9).map(" ".join), max_size=9
)


@given(TEXTS, st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_near_duplicates_are_those_of_comparing_all_pairs(texts, threshold):
    """The filter that saves the comparisons must lose no pair."""

    def triples(text):
        words = text.split()
        return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}

    expected = [
        (i, j)
        for j in range(len(texts))
        for i in range(j)
        if len(triples(texts[i]) & triples(texts[j]))
        >= threshold * len(triples(texts[i]) | triples(texts[j])) - 1e-9
    ]
    assert near_duplicates(texts, threshold) == sorted(expected)


def test_leakage_counts_test_rows_once_and_names_pairs():
    """A test row that stands in train but for a word is learned by heart, not read."""
    long = "one two three four five six seven eight nine ten eleven {i}"
    splits = {"train": rows(["a"] * 3, text=long), "test": rows(["a"], 9, long) + rows(["a"], 50)}
    found = check_likeness(splits)
    assert found["test_rows_like_a_train_row"] == 1
    assert found["train_rows_like_an_earlier_one"] == 2
    assert found["examples"] == [["r0", "r9"], ["r1", "r9"], ["r2", "r9"]]
    # what a teacher labels is trained on too
    assert check_likeness({**splits, "train": []})["test_rows_like_a_train_row"] == 0
    found = check_likeness({**splits, "train": []}, splits["train"][:1])
    assert found["examples"] == [["r0", "r9"]]


def lengths(**changed):
    splits = {"train": rows(["a"] * 3), "test": [{**rows(["b"], 7)[0], "text": "w " * 50}]}
    asked = {"max_new_tokens": 90, "context": 300, "shots": 5} | changed
    return check_lengths(splits, FIELDS, "Do it.", lambda text: len(text.split()), **asked)


def test_lengths_are_measured_against_both_limits():
    """What does not fit stops here, with the row, the numbers and the setting to change."""
    found = lengths()
    assert found["prompt_tokens"]["max"] == 2 + 50 + 32 and found["answer_tokens"]["max"] == 9
    assert found["few_shot_prompt_tokens"] > found["prompt_tokens"]["max"]
    with pytest.raises(UserError, match=r"max_new_tokens: 8 is too few for 4 of 4 records; .*r0"):
        lengths(max_new_tokens=8)
    with pytest.raises(UserError, match=r"1 of 4 texts do not fit .* 160 tokens .*r7"):
        lengths(context=160)
    # a state-space model names no limit
    assert lengths(context=None)["context"] is None


def test_precision_follows_the_normal_approximation():
    """The closed form: 1.96 · 0.3 / √n, and back."""
    found = check_precision(100, 300, 1.959964)
    assert found["half_width"] == {"typical": 0.0588, "largest": 0.098}
    assert found["rows_needed"] == {"0.05": 139, "0.02": 865}


def test_fewer_test_rows_than_asked_for_are_told():
    """A smaller slice has wider intervals; a reader of the settings would think of the larger one."""
    assert size_warnings(64, 64) == size_warnings(64, 236) == []
    assert size_warnings(100, 64) == [
        "evaluate.test_rows asks for 100 test texts; 64 are there, and all of them are evaluated."
    ]


def test_instruction_and_fields_name_the_same_keys():
    """An untuned model answers with the keys that it is told of; a misspelt one costs it the field."""
    slot = Field(name="zip", type="string")
    fields = (
        Field(name="issue_kind", type="enum", values=("late_delivery", "other")),
        Field(name="address", type="object", fields=(slot,)),
        Field(name="items", type="list", items=Field("item", "object", fields=(Field("sku", "string"),))),
    )  # fmt: skip
    told = "Keys: issue_kind (late_delivery, other); address (object with zip (string)); items (with sku)."
    assert instruction_warnings(told, fields) == []
    assert instruction_warnings(told.replace("zip", "postcode"), fields) == [
        "task.instruction does not name zip: a model that is not tuned has to guess that key."
    ]
    for wrong in ("issue_kinds", "`issuekind`", 'as "isue_kind": …', "; isue_kind (text)"):
        found = instruction_warnings(f"{told} {wrong}", fields)
        assert len(found) == 1 and "is no field (did you mean issue_kind?)" in found[0], wrong
    # addresses of mail and of pages are no keys
    assert instruction_warnings(f"{told} From a_b@c.de or https://x.org/a_b.", fields) == []


@pytest.mark.parametrize("task", ["support_emails", "us_addresses"])
def test_the_shipped_tasks_name_their_keys(task):
    params = check_params(yaml.safe_load(compose([f"task={task}"], ROOT / "conf")))
    assert instruction_warnings(params.task.instruction, params.task.record_fields) == []
