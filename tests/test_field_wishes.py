"""What a user may wish of a field: how much it counts, and that a null is no key of the record."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.analysis.scored_run import ScoredRun
from lora_vs_api.config.consistency import inconsistency
from lora_vs_api.config.load import load_params
from lora_vs_api.record.fields import Field, weighted
from lora_vs_api.scoring.scores import Score, own_weights, score_output

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


def test_a_weight_of_no_field_is_refused():
    """A misspelt field would count once, and nobody would know."""
    params = load_params()
    task = params.task.model_copy(update={"weights": {"urgenzy": 2.0}})
    problem = inconsistency(params.model_copy(update={"task": task}))
    assert problem is not None
    assert problem.startswith("task.weights: expected fields of the task (customer_name, ")
    assert "'urgenzy'" in problem
