"""What a user may wish of a field: how much it counts, and that a null is no key of the record."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.analysis.diagnosis import NULL, confusion
from lora_vs_api.analysis.scored_run import ScoredRun
from lora_vs_api.confidence.spans import value_spans
from lora_vs_api.config.compose import compose
from lora_vs_api.config.consistency import inconsistency
from lora_vs_api.config.fields import checked_fields
from lora_vs_api.config.load import check_params, load_params
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field, fields_from_config, weighted
from lora_vs_api.record.json_schema import json_schema
from lora_vs_api.record.parsing import record_of
from lora_vs_api.record.prompt import completion, system_prompt
from lora_vs_api.scoring.scores import Score, own_weights, score_output
from lora_vs_api.validation.records import violations
from tests.imports import ROOT
from tests.strategies import SPECS, records

FIELDS = (
    Field("customer", "string"),
    Field("tags", "list", items=Field("item", "string")),
    Field("phone", "string", optional=True),
)
parts = st.lists(
    st.tuples(st.floats(0, 1), st.booleans(), st.booleans(), st.sampled_from([0.25, 1.0, 3.0])),
    min_size=1,
    max_size=6,
)


def score_of(found: list, weights: tuple[float, ...] | None) -> Score:
    values, wanted, given_, _ = zip(*found)
    return Score(True, True, values, wanted, given_, weights)


def run_of(score: Score) -> ScoredRun:
    """The run of that one answer."""
    none = np.zeros(1, dtype=np.int64)
    return ScoredRun(
        ("{}",), np.array([score.fields]), np.array([score.valid_json]),
        np.array([score.schema_valid]), np.array(["answered"]), none, none,
        wanted=np.array([score.wanted]), given=np.array([score.given]),
        field_weights=score.field_weights,
    )  # fmt: skip


@given(parts)
def test_weights_of_one_change_no_bit(found):
    """The published mean stays what it is, and so do all figures where no field has a weight."""
    plain, ones = score_of(found, None), score_of(found, (1.0,) * len(found))
    assert plain.field_f1 == ones.field_f1
    assert run_of(plain).field_f1[0] == run_of(ones).field_f1[0]


@given(parts)
def test_a_weighted_score_is_a_score_and_the_same_in_node_and_command(found):
    """A mean between the least and the best of its fields, whatever unit the weights are in."""
    weights = tuple(weight for *_, weight in found)
    score = score_of(found, weights)
    counted = [value for value, wanted, given_, _ in found if wanted or given_]
    low, high = (min(counted), max(counted)) if counted else (1.0, 1.0)
    assert low - 1e-12 <= score.field_f1 <= high + 1e-12
    assert run_of(score).field_f1[0] == pytest.approx(score.field_f1, abs=1e-12)
    tenfold = score_of(found, tuple(10 * weight for weight in weights))
    assert tenfold.field_f1 == pytest.approx(score.field_f1, abs=1e-12)


@given(st.integers(1, 4))
def test_a_whole_weight_counts_as_so_many_fields(times):
    """The meaning of the number: a field of weight 3 counts as three fields that are alike."""
    gold = {"customer": "Ada", "tags": ["a"], "phone": None}
    output = json.dumps({"customer": "Ada", "tags": ["b"], "phone": None})
    score = score_output(output, gold, weighted(FIELDS, {"customer": times}))
    assert score.field_f1 == pytest.approx(times / (times + 1))
    assert not score.exact_match


def test_without_a_record_a_weighted_score_is_zero():
    fields = weighted(FIELDS, {"tags": 5})
    assert score_output("no", {"customer": "", "tags": [], "phone": None}, fields).field_f1 == 0


def test_only_named_weights_are_kept():
    """None says that all count once, so that nothing is multiplied where nothing was asked for."""
    assert own_weights(weighted(FIELDS, {})) is None
    assert own_weights(weighted(FIELDS, {"tags": 1})) is None
    assert own_weights(weighted(FIELDS, {"tags": 2})) == (1.0, 2.0, 1.0)


def test_a_weight_within_an_object_counts_there_alone():
    """Right in the city alone is three of four slots; the object itself still counts once in the record."""
    address = Field("address", "object", fields=(Field("city", "string"), Field("zip", "string")))
    fields = weighted((Field("who", "string"), address), {"address.city": 3})
    gold = {"who": "Ann", "address": {"city": "Oslo", "zip": "1"}}
    answer = json.dumps({"who": "Ann", "address": {"city": "Oslo", "zip": "2"}})
    assert score_output(answer, gold, fields).fields == (1.0, 0.75)
    assert score_output(answer, gold, fields).field_f1 == 0.875
    assert own_weights(fields) is None
    # one side leaves the heavy slot out: 2 * 1 of (1 + 3) + 1
    assert score_output('{"who": "Ann", "address": {"zip": "1"}}', gold, fields).fields[1] == 0.4


def test_a_weight_of_no_field_is_refused():
    """A misspelt field would count once, and nobody would know."""
    params = load_params()
    task = params.task.model_copy(update={"weights": {"urgenzy": 2.0}})
    problem = inconsistency(params.model_copy(update={"task": task}))
    assert problem is not None
    assert problem.startswith("task.weights: expected fields of the task (customer_name, ")
    assert "'urgenzy'" in problem
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["task"]["weights"] = {"a": {"b": {"c": 0.5}}}
    with pytest.raises(UserError, match=re.escape("one key: '+task.weights={a.b.c: 0.5}'")):
        check_params(raw)
    # and that form is one of Hydra's; without the + it is told what is wrong, too
    with pytest.raises(
        UserError, match="task.weights: expected fields of the task .*'address.city'"
    ):
        compose(["task.weights={address.city: 3}"], ROOT / "conf")


def omitting(specs: dict[str, Any]) -> dict[str, Any]:
    """The same fields, whose nulls are no keys; an item of a list has no key to leave out."""
    found = {}
    for name, spec in specs.items():
        found[name] = spec | ({"optional": "omit"} if spec.get("optional") else {})
        if "fields" in spec:
            found[name]["fields"] = omitting(spec["fields"])
        if "fields" in spec.get("items", {}):
            items = spec["items"]
            found[name]["items"] = items | {"fields": omitting(items["fields"])}
    return found


@given(st.data())
def test_without_null_keys_a_record_reads_back_and_scores_as_with_them(data):
    """Completion, schema, parsing and scoring agree, however deep the optional keys lie."""
    specs = data.draw(SPECS)
    record = data.draw(records(specs))
    plain, fields = fields_from_config(specs), checked_fields(omitting(specs))
    short, whole = completion(record, fields), completion(record, plain)
    assert len(short) <= len(whole)
    assert record_of(short, fields) == json.loads(whole)
    for output in (short, whole):
        score = score_output(output, record, fields)
        assert score == score_output(whole, record, plain)
        # a null that is written all the same is no fault
        assert not violations(json.loads(output), fields)
    for schema, output in (
        (json_schema(fields), short),
        (json_schema(fields, every_key=True), whole),
    ):
        assert jsonschema.Draft202012Validator(schema).is_valid(json.loads(output))
    assert json_schema(fields, every_key=True) == json_schema(plain)


BOOKING = checked_fields(
    {
        "hotel": {"type": "string"},
        "stars": {"type": "integer", "optional": "omit"},
        "guest": {"type": "object", "fields": {"phone": {"type": "string", "optional": "omit"}}},
    }
)


def test_models_are_told_which_keys_they_may_leave_out():
    assert system_prompt("Extract.", BOOKING) == (
        "Extract.\nLeave out a key that has no value: stars, guest.phone."
    )
    assert system_prompt("Extract.", FIELDS) == "Extract."


def test_a_missing_key_that_is_not_optional_stays_a_fault():
    record = {"stars": 4, "guest": {}}
    assert record_of(json.dumps(record), BOOKING) == {"stars": 4, "guest": {"phone": None}}
    assert violations(record, BOOKING) == ["hotel: missing, expected a string"]


def test_an_item_of_a_list_has_no_key_to_leave_out():
    items = {"type": "string", "optional": "omit"}
    with pytest.raises(UserError, match=r"task\.fields\.tags\.items\.optional: expected true or"):
        checked_fields({"tags": {"type": "list", "items": items}})


def test_a_label_left_out_stands_in_the_table_as_null():
    kind = checked_fields({"kind": {"type": "enum", "values": ["a"], "optional": "omit"}})[0]
    assert confusion(kind, [{}], [{"kind": None}])[NULL][NULL] == 1


def test_what_is_left_out_is_as_sure_as_going_on_without_it():
    """A cascade would hand on every text without stars, had a key that is rightly missing no confidence."""
    output = '{"hotel": "Ritz", "guest": {"phone": "1"}}'
    spans = value_spans(output, BOOKING)
    assert spans is not None
    [(start, end)] = spans["stars"]
    assert output[start:end] == ', "guest": '
    last = value_spans('{"hotel": "Ritz"}', BOOKING[:2])
    assert last is not None
    [(start, end)] = last["stars"]
    assert '{"hotel": "Ritz"}'[start:end] == "}"
    alone = value_spans("{}", BOOKING[1:2])
    assert alone is not None
    [(start, end)] = alone["stars"]
    assert "{}"[start:end] == "{}"


@pytest.mark.parametrize("place", ["train", "sweep.trial.train"])
def test_what_is_cut_has_a_length(place):
    """Without one nothing would be cut, whatever the other key says."""
    params = load_params()
    cut = params.train.model_copy(update={"too_long": "cut"})
    trial = params.sweep.trial.model_copy(update={"train": cut})
    sweep = params.sweep.model_copy(update={"trial": trial})
    change = {"train": cut} if place == "train" else {"sweep": sweep}
    problem = inconsistency(params.model_copy(update=change))
    assert (
        problem
        == f"{place}.max_length: expected an integer ≥ 1 with {place}.too_long: cut, found null"
    )
