"""Scores against scores: what pairs with what, and which of the intervals is the one that decides."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lora_vs_api.analysis.compare import compare, lora_statistics
from lora_vs_api.analysis.condition import ConditionRuns, diagnose
from lora_vs_api.analysis.condition import condition as conditions_row
from lora_vs_api.analysis.planning import planning
from lora_vs_api.analysis.results import CostPer1K, Example
from lora_vs_api.analysis.scored_run import ScoredRun, read_answers
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_jsonl
from lora_vs_api.record.fields import Field
from lora_vs_api.report.sections.wins import compared as shown
from lora_vs_api.stats.bayesian import jeffreys
from lora_vs_api.stats.bootstrap import Draws
from lora_vs_api.stats.paired import paired_difference
from lora_vs_api.stats.variance import random_effects_interval, variance_shares

DRAWS = Draws(resamples=200, seed=0, confidence=0.9)
NAMES = ["a", "b"]
RANDOM = np.random.default_rng(5)
LORA = (RANDOM.random((3, 12, 2)) < np.array([0.9, 0.7, 0.5])[:, None, None]).astype(float)
BASE = (RANDOM.random((12, 2)) < 0.5).astype(float)


def run(fields: np.ndarray, **other) -> ScoredRun:
    texts = len(fields)
    values = {
        "outputs": ("{}",) * texts,
        "fields": fields,
        "valid_json": np.ones(texts, bool),
        "schema_valid": np.ones(texts, bool),
        "outcomes": np.array(["answered"] * texts),
        "input_tokens": np.ones(texts, int),
        "output_tokens": np.ones(texts, int),
    }
    return ScoredRun(**values | other)


def condition(name: str, *runs: ScoredRun) -> ConditionRuns:
    kind = "lora" if name == "lora" else "api"
    cost = CostPer1K(usd=1.0, batched_usd=None, how="")
    return ConditionRuns(name, name.upper(), kind, "Tiny", 0, runs, cost)


def compared(lora: np.ndarray = LORA, base: np.ndarray = BASE):
    (found,) = compare(
        condition("lora", *map(run, lora)), [condition("api", run(base))], NAMES, DRAWS
    )
    return found


def test_every_interval_of_a_comparison_is_of_what_it_says():
    """Over texts of the mean over the seeds; over both of each seed's own difference."""
    found, f1 = compared(), LORA.mean(axis=2)
    texts = paired_difference(f1.mean(axis=0), BASE.mean(axis=1), DRAWS)
    ends = (texts.interval.low, texts.interval.high)
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-6)
    assert found.p_value == pytest.approx(texts.p_value, rel=1e-3)
    assert (found.wins, found.ties, found.losses) == (texts.wins, texts.ties, texts.losses)
    both = random_effects_interval(f1 - BASE.mean(axis=1), 0.9)
    ends = found.random_effects
    assert (ends.low, ends.high) == pytest.approx((both.low, both.high), abs=1e-6)
    assert ends.method == both.method
    assert found.difference == pytest.approx(f1.mean() - BASE.mean(), abs=1e-6)
    # the seeds are apart here, so the two differ
    assert ends.low < found.low and ends.high > found.high


def test_fields_go_by_the_interval_that_decides_the_score():
    """Texts alone would call a field won that another training may well lose."""
    found = compared().per_field
    assert list(found) == NAMES
    for column, name in enumerate(NAMES):
        interval = random_effects_interval(LORA[:, :, column] - BASE[:, column], 0.9)
        assert found[name].difference == pytest.approx(interval.estimate, abs=1e-6)
        assert found[name].low == pytest.approx(interval.low, abs=1e-6)
        assert found[name].high == pytest.approx(interval.high, abs=1e-6)


def test_holm_is_over_all_baselines():
    lora = condition("lora", *map(run, LORA))
    others = [condition(name, run(BASE)) for name in ("one", "two", "three")]
    for row in compare(lora, others, NAMES, DRAWS):
        assert row.p_holm == pytest.approx(min(1.0, 3 * row.p_value), rel=1e-3)


@pytest.mark.parametrize(
    ("right", "counts"),
    [((True, True), True), ((True, False), False), ((False, False), False),
     ((True, True, False), True), ((True, False, False), False)],
)  # fmt: skip
def test_half_of_the_seeds_are_no_majority(right, counts):
    """A text counts as right where more than half of the seeds get all of it right."""
    lora = np.stack([np.full((4, 2), float(one)) for one in right])
    found = compared(lora, np.zeros((4, 2))).mcnemar
    assert (found.only_lora, found.only_baseline) == (4 if counts else 0, 0)


def test_the_statistics_of_the_fine_tune_alone():
    """Each seed's own means, four intervals of one estimate, and shares that add up."""
    runs = [run(fields) for fields in LORA]
    found = lora_statistics((7, 8, 9), runs, DRAWS)
    assert [row.seed for row in found.per_seed] == [7, 8, 9]
    for row, fields in zip(found.per_seed, LORA):
        assert row.field_f1 == pytest.approx(fields.mean(), abs=1e-6)
        assert row.exact_match == pytest.approx((fields == 1).all(axis=1).mean(), abs=1e-6)
        assert row.valid_json == 1.0
    intervals = {
        name: getattr(found.intervals, name) for name in type(found.intervals).model_fields
    }
    for name, interval in intervals.items():
        assert interval.estimate == pytest.approx(LORA.mean(), abs=1e-6), name
        assert interval.low < interval.estimate < interval.high
    width = {name: interval.high - interval.low for name, interval in intervals.items()}
    assert max(width["published_protocol"], width["texts"]) < width["random_effects"]
    shares, expected = found.variance_shares, variance_shares(LORA.mean(axis=2), 0.9, 0)
    for name in ("seeds", "texts", "interaction"):
        ours, theirs = getattr(shares, name), getattr(expected, name)
        assert (ours.estimate, ours.low, ours.high) == pytest.approx(
            (theirs.estimate, theirs.low, theirs.high), abs=1e-4
        )


def test_one_seed_has_no_share_of_variance():
    found = lora_statistics((3,), [run(LORA[0])], DRAWS)
    assert found.variance_shares.seeds is None
    assert found.intervals.random_effects.method == "Bayesian bootstrap over texts"


FIELDS = (
    Field("kind", "enum", "exact", values=("bill", "credit")),
    Field("note", "string", "exact"),
)
GOLD = [{"kind": "bill", "note": "x"}, {"kind": "credit", "note": "y"}]
ROWS = [{"id": str(n), "text": "", "record": gold} for n, gold in enumerate(GOLD)]


def answered(*outputs: str) -> ScoredRun:
    fields = np.array(
        [[float(json.dumps(gold) == output)] * 2 for gold, output in zip(GOLD, outputs)]
    )
    return run(fields, outputs=outputs)


def test_the_diagnosis_is_over_all_runs_together():
    """Both runs' answers, each beside its own text's gold; what is recovered is scored."""
    right = [json.dumps(gold) for gold in GOLD]
    found = diagnose([answered(*right), answered(right[0], f"```\n{right[1]}\n```")], ROWS, FIELDS)
    assert (found.answers, found.invalid, found.recoverable) == (4, 1, 1)
    assert found.forgiven == {"code fence": 1}
    assert found.field_f1_recovered == 1.0
    assert found.fields["kind"].missing == 0.25
    assert found.confusion["kind"]["bill"]["bill"] == 2
    assert found.confusion["kind"]["credit"] == {
        "bill": 0, "credit": 1, "(another label)": 0, "(none)": 1,
    }  # fmt: skip
    assert list(found.confusion) == ["kind"]


def test_perfect_answers_have_nothing_to_diagnose():
    found = diagnose([answered(*map(json.dumps, GOLD))], ROWS, FIELDS)
    assert (found.invalid, found.recoverable, found.forgiven) == (0, 0, {})
    assert found.field_f1_recovered == 1.0
    assert found.fields["note"].measures() == {"missing": 0.0, "normalised": 1.0, "token_f1": 1.0}


@pytest.mark.parametrize("file", ["predictions", "usage"])
@pytest.mark.parametrize("ids", [["1", "0"], ["0"], ["0", "2"], ["0", "1", "1"], ["0", "1", "2"]])
def test_answers_belong_to_texts_by_id(file, ids, tmp_path: Path):
    """As many answers in another order are answers to other texts."""
    lines = {
        "predictions": {"output": "{}", "outcome": "answered"},
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    for name, line in lines.items():
        written = ids if name == file else ["0", "1"]
        write_jsonl(tmp_path / f"{name}.jsonl", [{"id": identity} | line for identity in written])
    with pytest.raises(UserError, match=f"{file}.jsonl: not one line for each of the 2 test texts"):
        read_answers(tmp_path, ROWS, FIELDS)


def test_answers_are_scored_against_their_own_text(tmp_path: Path):
    write_jsonl(
        tmp_path / "predictions.jsonl",
        [{"id": str(n), "output": json.dumps(gold), "outcome": "answered"}
         for n, gold in enumerate(GOLD)],
    )  # fmt: skip
    write_jsonl(
        tmp_path / "usage.jsonl",
        [{"id": str(n), "input_tokens": n, "output_tokens": 5} for n in range(2)],
    )
    found = read_answers(tmp_path, ROWS, FIELDS)
    assert found.exact_match.all() and found.input_tokens.tolist() == [0, 1]


def test_rates_have_intervals_and_differences():
    """A condition's rates by Jeffreys, LoRA's minus a baseline's by the interval that decides."""
    valid = [np.arange(12) < 11, np.arange(12) < 10, np.arange(12) < 12]
    runs = [run(fields, valid_json=one) for fields, one in zip(LORA, valid)]
    other = run(BASE, valid_json=np.arange(12) < 6)
    (found,) = compare(condition("lora", *runs), [condition("api", other)], NAMES, DRAWS)
    expected = random_effects_interval(np.stack(valid).astype(float) - other.valid_json, 0.9)
    rate = found.rates.valid_json
    assert (rate.difference, rate.low, rate.high) == pytest.approx(
        (expected.estimate, expected.low, expected.high), abs=1e-6
    )
    exact = np.stack([one.exact_match for one in runs]).mean() - other.exact_match.mean()
    assert found.rates.exact_match.difference == pytest.approx(exact, abs=1e-6)
    row = conditions_row(condition("api", other), ROWS * 6, FIELDS, None, DRAWS)
    assert (row.rate_intervals.valid_json.low, row.rate_intervals.valid_json.high) == (
        pytest.approx(jeffreys(6, 12, 0.9), abs=1e-6)
    )
    assert row.rate_intervals.truncated.low == 0.0 < row.rate_intervals.truncated.high
    lora = conditions_row(condition("lora", *runs), ROWS * 6, FIELDS, None, DRAWS)
    assert lora.rate_intervals.valid_json.method == "random-effects interval over seeds and texts"
    assert lora.field_f1.estimate == pytest.approx(LORA.mean(), abs=1e-6)


def test_what_the_plan_is_made_from():
    """The seeds' own differences, at the confidence of the interval that decides."""
    found = compared()
    assert found.planning == planning(LORA.mean(axis=2) - BASE.mean(axis=1), 0.9)
    assert found.planning.seeds[0] == 3 and found.clusters == 12


def test_an_answer_that_the_token_limit_cut_says_so():
    """It ends within a word, and a reader would take it for what the report leaves out."""
    given = {"id": "a", "text": "t", "gold": {"a": 1}, "lora_f1": 0.0, "baseline_f1": 0.0}
    cut = Example(**given, lora_output='{"a": ', baseline_output="", lora_cut=True)
    assert shown(cut).splitlines()[1:] == [
        'LoRA      {"a":  … (cut by the token limit)',
        "baseline  (empty)",
    ]
