"""Results as types: written and read as the same thing, and refused where they are another's."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from pydantic import ValidationError

from lora_vs_api.analysis import metrics, results
from lora_vs_api.analysis.compare import compare, examples, lora_statistics
from lora_vs_api.analysis.condition import ConditionRuns, condition
from lora_vs_api.analysis.costs import (
    MachineTime,
    api_cost,
    billed,
    economics_of,
    local_cost,
    local_request_costs,
    price_list,
)
from lora_vs_api.analysis.decision import decisions
from lora_vs_api.analysis.ownership import LocalSide, ownership_of
from lora_vs_api.analysis.robustness import CleanAndPerturbed, robustness
from lora_vs_api.analysis.scored_run import ScoredRun, Timings
from lora_vs_api.analysis.summary import summary
from lora_vs_api.analysis.tables import latency_table
from lora_vs_api.analysis.verdict import verdict
from lora_vs_api.config.sections import Economics, ListedPrices, Price
from lora_vs_api.config.sections.analysis import Clauses
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field
from lora_vs_api.report.sections.facts import in_flight as in_flight_words
from lora_vs_api.scoring.scores import score_output
from lora_vs_api.stats.bootstrap import Draws
from tests.report_fixture import OWNERSHIP

FIELDS = (
    Field("kind", "enum", "exact", values=("bill", "credit"), optional=True),
    Field("nights", "integer", "exact", minimum=1, maximum=3),
    Field("items", "list", "set_f1"),
    Field("note", "string", "exact"),
    Field("price", "number", "exact"),
    Field("paid", "boolean", "exact"),
    Field("address", "object", "slot_f1", fields=(Field("city", "string", "exact"),)),
)
NAMES = [field.name for field in FIELDS]
GOLD = {
    "kind": None,
    "nights": 2,
    "items": ["a"],
    "note": "ä | <b>",
    "price": 0.1,
    "paid": True,
    "address": {"city": "Bern"},
}
ROWS = [{"id": f"row-{n}", "text": f"text {n}", "record": GOLD} for n in range(4)]
WRONG = [
    GOLD | {"kind": "bill"},
    GOLD | {"nights": 3, "items": ["a", "b"]},
    GOLD | {"price": 0.2, "paid": False},
]
DRAWS = Draws(resamples=100, seed=0, confidence=0.95)
ECONOMICS = Economics(
    engineer_days=1.5, hours_per_day=8, usd_per_hour=100, watts=320, usd_per_kwh=0.15,
    overhead=1.5, volumes_per_day=[1000], rented_usd_per_hour=0.36, sensitivity_factor=2,
    run_to_run_sd=0, ownership=OWNERSHIP,
)  # fmt: skip
PRICES = ListedPrices(
    kind="list",
    as_of="2026-05",
    source="a list",
    batch_discount=0.5,
    models={"gpt": Price(input=1.0, cached_input=None, output=10.0)},
)
HYPOTHESIS = metrics.Hypothesis(
    id="H1",
    statement="It pays.",
    clauses=Clauses.model_validate(
        {
            "accuracy": {"margin": 0.02},
            "cost": {"max_ratio": 1.0},
            "break_even": {"max_inferences": 100_000},
        }
    ),
    sha256="ab" * 32,
)


def run(records: list[dict], timings: dict | None = None) -> ScoredRun:
    outputs = tuple(json.dumps(record) for record in records)
    scores = [score_output(output, GOLD, FIELDS) for output in outputs]
    local = {
        "latency_seconds": [1.0, 3.0], "latency_joules": None, "batch_joules": None,
        "wall_seconds": 1.0, "throughput_texts_per_second": 2.0,
    }  # fmt: skip
    return ScoredRun(
        outputs=outputs,
        fields=np.array([score.fields for score in scores]),
        valid_json=np.array([score.valid_json for score in scores]),
        schema_valid=np.array([score.schema_valid for score in scores]),
        outcomes=np.array(["answered"] * len(outputs)),
        input_tokens=np.array([100] * len(outputs)),
        output_tokens=np.array([50] * len(outputs)),
        timings=Timings.from_json(timings or local),
    )


@pytest.fixture(scope="module")
def analysis() -> results.Analysis:
    """Everything that stages/analyze.py puts together, on four texts."""
    seeds = run([GOLD, GOLD, GOLD, WRONG[0]]), run([GOLD, GOLD, WRONG[1], WRONG[0]])
    plain, api = run([*WRONG, {}]), run([*WRONG, GOLD], {"latency_seconds": [1.0] * 4})
    lora, base, asked = runs = [
        ConditionRuns("lora", "LoRA", "lora", "Tiny", 0, seeds, local_cost(seeds, ECONOMICS)),
        ConditionRuns(
            "base_zero_shot", "Base", "base", "Tiny", 0, (plain,), local_cost([plain], ECONOMICS)
        ),
        ConditionRuns("gpt", "GPT", "api", "GPT", 5, (api,), api_cost(api, "gpt", PRICES)),
    ]
    noise = results.NoiseFloor(
        texts=2, replicates=3, same_answer=0.5, same_score=1.0, field_f1_low=0.5,
        field_f1_high=0.5, sd=0.0, sd_if_independent=0.0, p_of_runs=1.0,
    )  # fmt: skip
    conditions = tuple(condition(item, ROWS, FIELDS, noise, DRAWS) for item in runs)
    comparisons = compare(lora, [base, asked], NAMES, DRAWS)
    economics = economics_of(
        conditions, {"gpt": billed(api, "gpt", PRICES)},
        price_list({"gpt": "gpt"}, PRICES), "gpt", MachineTime(4, 7200, None), ECONOMICS,
    )  # fmt: skip
    decided = decisions(
        comparisons,
        local_request_costs(lora.runs, lora.cost),
        {
            "base_zero_shot": local_request_costs(base.runs, base.cost),
            "gpt": billed(api, "gpt", PRICES).request_costs(),
        },
        economics.training.total_usd,
        HYPOTHESIS.clauses,
        2,
        DRAWS,
    )
    return results.Analysis(
        profile="laptop",
        task="Bookings",
        model="Tiny",
        config_sha256="cd" * 32,
        tunings={
            "soft": results.OtherTuning(
                label="prompt tuning", method="prompt", learning_rate="2e-3", seed=0, r=None,
                virtual_tokens=8,
            )
        },
        api_kind="openai",
        texts=4,
        seeds=(0, 1),
        selected=results.Selected(r=8, learning_rate=2e-3),
        baseline="gpt",
        statistics=results.Resampling(**DRAWS._asdict()),
        fields=tuple(NAMES),
        conditions=conditions,
        lora_statistics=lora_statistics((0, 1), lora.runs, DRAWS),
        comparisons=comparisons,
        economics=economics,
        ownership=ownership_of(
            LocalSide(lora.runs, MachineTime(4, 7200, None), 40), {"gpt": billed(api, "gpt", PRICES)},
            {"gpt": "GPT"}, "gpt", ECONOMICS, DRAWS,
        ),
        decisions=decided,
        verdict=verdict(HYPOTHESIS, decided[1], 0.95),
        examples={"gpt": examples(ROWS, lora.runs[0], api)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def perturbed() -> results.Robustness:
    def item(name: str, kind: results.Kind, record: dict) -> CleanAndPerturbed:
        return CleanAndPerturbed(
            name, name, kind, [run([GOLD] * 4)], [run(([record, GOLD] * 4)[:7])]
        )

    answers = [item("lora", "lora", WRONG[0]), item("gpt", "api", WRONG[1])]
    return robustness(answers, {"typos": [0, 1, 2, 3], "signature": [0, 2, 3]}, 4, DRAWS)


def test_a_result_is_read_as_it_was_written(analysis, perturbed, tmp_path):
    """Equal to the last digit, keys that are numbers included; a second writing is byte for byte."""
    for name, result in (
        ("analysis", analysis), ("robustness", perturbed), ("summary", summary(analysis)),
    ):  # fmt: skip
        file = tmp_path / f"{name}.json"
        results.write_result(file, result)
        again = results.read_result(file, type(result))
        assert again == result
        before = file.read_bytes()
        results.write_result(file, again)
        assert file.read_bytes() == before
    assert results.read_analysis(tmp_path / "analysis.json") == analysis
    assert results.read_robustness(tmp_path / "robustness.json") == perturbed
    assert list(analysis.economics.break_even[0].days) == [1000]
    plan = analysis.comparisons[0].planning
    assert plan.seeds[0] == 2 and [row.effect for row in plan.effects] == [0.01, 0.02, 0.05]


def test_nothing_perturbed_is_written_as_null(tmp_path):
    results.write_result(tmp_path / "robustness.json", None)
    assert (tmp_path / "robustness.json").read_text() == "null\n"
    assert results.read_robustness(tmp_path / "robustness.json") is None


def parts(value) -> list[results.Result]:
    """A result and every result inside it."""
    if isinstance(value, results.Result):
        return [value, *(part for _, inner in value for part in parts(inner))]
    if isinstance(value, dict):
        return [part for inner in value.values() for part in parts(inner)]
    return [part for inner in value for part in parts(inner)] if isinstance(value, tuple) else []


def test_an_unknown_key_is_refused_wherever_it_stands(analysis, perturbed):
    """A key that was renamed is found by reading, and not by a report without it."""
    found = [*parts(analysis), *parts(perturbed), *parts(summary(analysis))]
    # every type but those of the fields' diagnoses and files that are not made here
    assert len({type(part) for part in found}) > 35
    for part in found:
        content = part.model_dump(mode="json")
        assert type(part).model_validate(content) == part
        with pytest.raises(ValidationError, match="surprise"):
            type(part).model_validate({**content, "surprise": 1})
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, next(iter(type(part).model_fields)), None)


def test_a_files_fault_is_said_with_its_place(analysis, tmp_path):
    """No such file, no JSON, another version's keys: one line for the user."""
    file = tmp_path / "analysis.json"
    with pytest.raises(UserError, match=r"analysis.json: no such file; run `dvc repro`"):
        results.read_analysis(file)
    file.write_text("{")
    with pytest.raises(UserError, match=r"analysis.json: the file: Invalid JSON"):
        results.read_analysis(file)
    content = analysis.model_dump(mode="json")
    content["conditions"][0]["strict"] = content["conditions"][0].pop("exact_match")
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"conditions.0.exact_match: Field required; run `dvc"):
        results.read_analysis(file)
    with pytest.raises(ValidationError, match="finite number"):
        results.McNemar(only_lora=1, only_baseline=0, p_value=float("nan"))


def test_rows_are_found_by_name(analysis):
    assert analysis.lora.name == "lora" and analysis.condition("gpt").shots == 5
    assert analysis.comparison("gpt").label == "GPT"
    assert analysis.break_even("gpt") is analysis.economics.break_even[0]
    assert analysis.lora.outcomes.total == 8


def test_each_type_of_field_has_its_own_measures(analysis):
    """In the order in which the report lists them; what a field cannot show is not listed."""
    measured = {name: list(d.measures()) for name, d in analysis.lora.diagnosis.fields.items()}
    assert measured == {
        "kind": ["missing", "unexpected", "out_of_vocabulary"],
        "nights": ["missing", "mean_distance", "within_one"],
        "items": ["missing", "spurious", "missed"],
        "note": ["missing", "normalised", "token_f1"],
        "price": ["missing", "mean_distance"],
        "paid": ["missing"],
        "address": ["missing", "slot_f1"],
    }
    assert analysis.lora.diagnosis.fields["kind"].measures()["unexpected"] == 0.25


def test_a_decision_is_that_of_the_comparison_and_the_costs_beside_it(analysis):
    """Every table prints the same intervals, and the verdict those against its baseline."""
    for made in analysis.comparisons:
        found = analysis.decision(made.baseline)
        assert (found.difference, found.interval) == (made.difference, made.random_effects)
        assert found.seeds == len(analysis.seeds)
    row, paid = analysis.break_even("gpt"), analysis.decision("gpt").pay_back
    assert paid.volume == pytest.approx(row.volume)
    costs = [analysis.condition(name).cost_per_1k.usd for name in ("lora", "gpt")]
    assert analysis.decision("gpt").cost_ratio.estimate == pytest.approx(costs[0] / costs[1])
    judged = analysis.decision("gpt")
    assert [clause.outcome for clause in analysis.verdict.clauses] == [
        judged.non_inferior, judged.cheaper, judged.pays_back,
    ]  # fmt: skip


def test_what_ran_here_varies_from_run_to_run_and_what_was_billed_does_not(analysis):
    """The node says which baselines were timed: their speed is in the cost ratio, tokens have none."""
    from stages.analyze import decided_against

    even = {"latency_seconds": [1.0] * 4}
    local = run([GOLD] * 4, {**even, "wall_seconds": 1.0, "throughput_texts_per_second": 2.0})
    api = run([GOLD] * 4, even)
    sides = [
        ConditionRuns(name, name, kind, "Tiny", 0, (side,), cost)
        for name, kind, side, cost in (
            ("lora", "lora", local, local_cost([local], ECONOMICS)),
            ("base_zero_shot", "base", local, local_cost([local], ECONOMICS)),
            ("gpt", "api", api, api_cost(api, "gpt", PRICES)),
        )
    ]
    found = decided_against(
        analysis.comparisons, sides[0], sides[1:], {"gpt": billed(api, "gpt", PRICES)}, 1.0,
        HYPOTHESIS.clauses, 0.1, Draws(4_000, 0, 0.95),
    )  # fmt: skip
    base, gpt = (row.cost_ratio for row in found)
    # one lognormal of 10 %, and the ratio of two of them
    assert gpt.high / gpt.low == pytest.approx(math.exp(2 * 1.96 * 0.1), rel=0.05)
    assert base.high / base.low == pytest.approx(math.exp(2 * 1.96 * 0.1 * 2**0.5), rel=0.05)


def test_latencies_of_other_numbers_in_flight_are_not_drawn_together():
    """The number is that of the call that timed an answer: today's setting says nothing of it."""
    local = run([GOLD] * 2)
    asked = {"latency_seconds": [1.0, 1.5], "mode": "live"}
    in_flight = {
        "one": [1, 1], "four": [4, 4], "mixed": [1, 4], "unknown": [None, None], "partly": [1, None],
    }  # fmt: skip
    runs = {
        "lora": local,
        **{
            name: run([GOLD] * 2, asked | {"latency_concurrency": numbers})
            for name, numbers in in_flight.items()
        },
        "batch": run([GOLD] * 2, {"latency_seconds": [], "mode": "batch"}),
    }
    cost = local_cost([local], ECONOMICS)
    items = [
        ConditionRuns(name, name, "lora" if name == "lora" else "api", "Tiny", 0, (one,), cost)
        for name, one in runs.items()
    ]
    rows = {item.name: condition(item, ROWS[:2], FIELDS, None, DRAWS) for item in items}
    latencies = {name: row.latency for name, row in rows.items()}
    assert {name: latency.concurrency for name, latency in latencies.items()} == {
        "lora": 1, "one": 1, "four": 4, "mixed": None, "unknown": None, "partly": None, "batch": None,
    }  # fmt: skip
    told = {name: latency.how for name, latency in latencies.items()}
    assert told["one"] == "one at a time, over HTTP"
    assert told["four"] == "4 in flight, over HTTP"
    assert told["mixed"] == "1 to 4 in flight, over HTTP"
    assert told["unknown"].startswith("over HTTP; 2 of 2 in earlier calls")
    assert "1 of 2 in earlier calls, with an unknown number" in told["partly"]
    assert [in_flight_words(latency) for latency in latencies.values()] == [
        "1", "1", "4", "1 to 4", "unknown number", "1, for some unknown,", "–",
    ]  # fmt: skip
    drawn = {step["condition"] for step in latency_table(list(rows.values()), items)}
    assert drawn == {"lora", "one"}


def test_the_gain_is_over_the_strongest_rival(analysis):
    """A baseline that scores 0 flatters; the strongest does not."""
    rows = analysis.conditions
    better = rows[1].model_copy(update={"field_f1": rows[0].field_f1})
    told = summary(analysis.model_copy(update={"conditions": (rows[0], better, rows[2])}))
    assert told.strongest_rival.condition == "base_zero_shot"
    assert told.strongest_rival.lora_gain == round(
        analysis.decision("base_zero_shot").difference, 3
    )


def test_the_summary_is_of_the_analysis(analysis):
    """What `dvc metrics diff` shows: whose it is, every condition, break-evens to the inference."""
    told = summary(analysis)
    assert (told.task, told.model, told.config) == ("Bookings", "Tiny", "cd" * 6)
    assert (told.r, told.learning_rate) == (8, 2e-3)
    assert set(told.conditions) == {"base_zero_shot", "gpt"}
    assert told.lora.field_f1 == round(analysis.lora.field_f1.estimate, 3)
    assert told.conditions["gpt"].p50 == 1.0 and told.lora.p50 == 2.0
    assert told.strongest_rival.condition == analysis.strongest_rival.name
    gain = analysis.decision(told.strongest_rival.condition)
    assert told.strongest_rival.lora_gain == round(gain.difference, 3)
    assert told.strongest_rival.lora_gain_low == round(gain.interval.low, 3)
    assert told.break_even_inferences == {"gpt": round(analysis.break_even("gpt").volume)}
    assert told.verdict["break_even"] == "fails"


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"field": None}, None),
        (
            {"field": "kind", "texts": 20, "accuracy": 0.05, "chance": 0.2, "above_chance": -0.15,
             "threshold": 0.5, "unreadable_answers": 18, "flagged": False},
            "kind",
        ),
    ],
)  # fmt: skip
def test_a_contamination_check_may_not_have_been_made(content, field, tmp_path):
    file = tmp_path / "contamination.json"
    file.write_text(json.dumps(content))
    found = metrics.read_contamination(file)
    assert (found and found.field) == field


def test_a_corpus_counts_labels_whatever_they_are_called(tmp_path):
    """The generator's counts by its two names, a file's by field."""
    made = metrics.Corpus(
        source="generator", texts=2, words_mean=9.5, categories={"a": 2}, sentiments={"b": 2}
    )
    assert made.label_counts() == {"categories": {"a": 2}, "sentiments": {"b": 2}}
    own = metrics.Corpus(
        source="file", path="x.csv", texts=2, words_mean=9.5, labels={"kind": {"a": 2}}
    )
    assert own.label_counts() == {"kind": {"a": 2}}
