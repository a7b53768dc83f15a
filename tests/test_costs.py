"""What was measured and configured becomes money, and says which it was."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lora_vs_api.analysis import results
from lora_vs_api.analysis.condition import ConditionRuns, condition
from lora_vs_api.analysis.costs import (
    MachineTime,
    api_cost,
    billed,
    economics_of,
    local_cost,
    local_request_costs,
    price_list,
    training_time,
)
from lora_vs_api.analysis.scored_run import ScoredRun, Timings
from lora_vs_api.config.sections import Economics, ListedPrices, Price
from lora_vs_api.record.fields import TEXT
from lora_vs_api.stats.bootstrap import Draws
from tests.report_fixture import OWNERSHIP

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
    models={"gpt": Price(input=1.0, cached_input=0.1, output=10.0)},
)


def scored(timings: dict[str, Any], tokens: tuple[int, int] = (1000, 100)) -> ScoredRun:
    return ScoredRun(
        outputs=("{}", "{}"),
        fields=np.zeros((2, 1)),
        valid_json=np.ones(2, bool),
        schema_valid=np.ones(2, bool),
        outcomes=np.array(["answered"] * 2),
        input_tokens=np.array([tokens[0]] * 2),
        output_tokens=np.array([tokens[1]] * 2),
        timings=Timings.from_json(timings),
    )


LOCAL = {
    "latency_seconds": [1.0, 3.0],
    "latency_joules": None,
    "batch_joules": None,
    "wall_seconds": 1.0,
    "throughput_texts_per_second": 2.0,
}


def test_without_a_counter_the_configured_watts_count():
    """2 s each at 320 W: 0.64 kJ, $0.04 per 1,000; batches at half a second a quarter of that."""
    cost = local_cost([scored(LOCAL)], ECONOMICS)
    assert (cost.usd, cost.batched_usd) == pytest.approx((0.04, 0.01))
    assert (cost.rented_usd, cost.rented_batched_usd) == pytest.approx((0.2, 0.05))
    assert cost.energy == "configured" and "320 W (configured)" in cost.how


def test_a_gpus_counter_comes_first():
    """Measured joules replace the watts, one at a time and in batches each with its own."""
    measured = scored({**LOCAL, "latency_joules": 400.0, "batch_joules": 500.0})
    cost = local_cost([measured], ECONOMICS)
    assert (cost.usd, cost.batched_usd) == pytest.approx((0.0125, 0.015625))
    assert cost.energy == "measured" and "100 W (GPU, measured by NVML)" in cost.how
    # half a measurement is none
    mixed = local_cost([measured, scored(LOCAL)], ECONOMICS)
    assert mixed.energy == "configured"


def test_batches_cost_their_time_over_their_texts():
    """One run twice as fast: 3 s for 4 texts, and not the mean of 1 and 2 texts a second."""
    runs = [
        scored({**LOCAL, "wall_seconds": wall, "throughput_texts_per_second": 2 / wall})
        for wall in (2.0, 1.0)
    ]
    each = local_cost([scored({**LOCAL, "latency_seconds": [0.75, 0.75]})], ECONOMICS)
    assert local_cost(runs, ECONOMICS).batched_usd == pytest.approx(each.usd)


def test_the_energy_of_several_runs_adds_up():
    """600 J over 8 s and 750 J over 2 s: the larger of two runs is not what both used."""
    runs = [
        scored({**LOCAL, "latency_joules": one, "batch_joules": batch})
        for one, batch in ((400.0, 500.0), (200.0, 250.0))
    ]
    cost = local_cost(runs, ECONOMICS)
    assert cost.usd == pytest.approx(1000 * 2.0 * (600 / 8) / 3.6e6 * 0.15 * 1.5)
    assert cost.batched_usd == pytest.approx(1000 * 0.5 * (750 / 2) / 3.6e6 * 0.15 * 1.5)


def test_the_fine_tunes_requests_vary_and_average_to_its_cost():
    """Two seeds of one text are one measurement; a free one has no share to give out."""
    runs = [scored(LOCAL), scored({**LOCAL, "latency_seconds": [2.0, 4.0]})]
    cost = local_cost(runs, ECONOMICS)
    found = local_request_costs(runs, cost)
    assert found.shape == (2,) and found.mean() * 1000 == pytest.approx(cost.usd)
    assert found[1] / found[0] == pytest.approx(3.5 / 1.5)
    instant = [scored({**LOCAL, "latency_seconds": [0.0, 0.0]})]
    assert local_request_costs(instant, local_cost(instant, ECONOMICS)).tolist() == [0.0, 0.0]


def test_a_run_counts_once_however_many_of_its_answers_were_timed():
    """1 s and 3 s make 2 s, not the 2.5 s of six requests: a seed is a measurement, as for its score."""
    runs = [
        scored({**LOCAL, "latency_seconds": [1.0] * 2}),
        scored({**LOCAL, "latency_seconds": [3.0] * 6}),
    ]
    assert local_cost(runs, ECONOMICS).usd == pytest.approx(0.04)


def test_what_is_added_up_is_not_rounded_first():
    """Without engineering, a cent of electricity is all there is: rounded, nothing to pay back."""
    free = ECONOMICS.model_copy(update={"engineer_days": 0.0})
    found = economics(trained=MachineTime(1, 100.0, None), configured=free)
    assert found.training.total_usd == found.training.machine_usd == pytest.approx(0.002)
    assert found.break_even[0].volume == pytest.approx(1000 * 0.002 / (2 - 0.04))


def test_nothing_to_rent_is_left_out():
    cost = local_cost([scored(LOCAL)], ECONOMICS.model_copy(update={"rented_usd_per_hour": None}))
    assert cost.rented_usd is None and cost.rented_batched_usd is None


def test_cached_input_is_billed_as_the_provider_billed_it():
    """512 of 1,000 tokens from the provider's cache at a tenth; the share is said."""
    plain = api_cost(scored({"latency_seconds": [1.0]}), "gpt", PRICES)
    assert (plain.usd, plain.batched_usd) == pytest.approx((2.0, 1.0))
    cached = api_cost(
        scored({"latency_seconds": [], "cached_input_tokens": [512, 512]}), "gpt", PRICES
    )
    assert cached.usd == pytest.approx(2.0 - 0.512 * 0.9, abs=1e-3)
    assert "51% of the input billed as cached" in cached.how
    batch = api_cost(scored({"mode": "batch", "latency_seconds": []}), "gpt", PRICES)
    assert (batch.usd, batch.batched_usd) == pytest.approx((1.0, 1.0)) and "less 50%" in batch.how


def test_every_training_is_paid_once(tmp_path):
    """The sweep's trials count too, and one that was taken over is not paid again."""

    def write(name: str, **timing) -> None:
        file = tmp_path / "timings" / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(timing))

    run = {"reused": False, "training_joules": 5.0}
    write("rank_trial/8", **run, training_seconds=10)
    write("rank_trial/16", **run, training_seconds=20)
    write("rank_trial/32", **run, training_seconds=1000)
    write("lr_trial/1e-3", reused=True)
    write("lr_trial/2e-3", **run, training_seconds=30)
    # final trainings always train, and say nothing of it
    write("train/seed-0", training_joules=5.0, training_seconds=25)
    write("train/seed-1", training_joules=5.0, training_seconds=15)
    found = training_time([8, 16], ["1e-3", "2e-3"], [0, 1], tmp_path)
    assert found == MachineTime(trainings=5, seconds=100, joules=25.0)
    write("train/seed-1", **{**run, "training_joules": None}, training_seconds=40)
    assert training_time([8, 16], ["1e-3", "2e-3"], [0, 1], tmp_path).joules is None


def row(
    name: str, kind: results.Kind, run: ScoredRun, cost: results.CostPer1K
) -> results.Condition:
    """A row of the comparison, of which only the costs matter here."""
    of = ConditionRuns(name, name.upper(), kind, "Tiny", 0, (run,), cost)
    gold = [{"record": {TEXT.name: "x"}}] * 2
    return condition(of, gold, (TEXT,), None, Draws(20, 0, 0.95))


def economics(**changes) -> results.Economics:
    lora, api = (
        changes.pop("lora", scored(LOCAL)),
        scored({"latency_seconds": [1.0, 1.0]}, changes.pop("tokens", (1000, 100))),
    )
    configured = changes.pop("configured", ECONOMICS)
    conditions = [
        row("lora", "lora", lora, local_cost([lora], configured)),
        row("api", "api", api, api_cost(api, "gpt", PRICES)),
    ]
    return economics_of(
        conditions,
        {"api": billed(api, "gpt", PRICES)},
        price_list({"api": "gpt"}, PRICES),
        "api",
        changes.pop("trained", MachineTime(4, 7200, None)),
        configured,
    )


def test_break_even_of_every_way():
    """Own or rented, singly or in batches: each volume follows from the costs beside it."""
    found = economics()
    training = found.training
    found_usd = (training.engineer_usd, training.machine_usd, training.rented_usd)
    assert found_usd == pytest.approx((1200.0, 0.144, 0.72))
    assert training.total_usd == pytest.approx(1200.144)
    (against,) = found.break_even
    assert [(way.batched, way.rented) for way in against.ways] == [
        (False, False), (True, False), (False, True), (True, True),
    ]  # fmt: skip
    for way in against.ways:
        machine = training.rented_usd if way.rented else training.machine_usd
        saved = way.api_per_1k - way.local_per_1k
        # to the last digit: the machine is a small part of it
        assert way.volume == pytest.approx(1000 * (1200 + machine) / saved, rel=1e-9), way
    assert against.volume == against.ways[0].volume


def test_sensitivity_is_around_the_break_even():
    """The chart's middle is the table's volume, and halving both API prices halves the cost."""
    found = economics()
    result = found.sensitivity
    assert result.volume == pytest.approx(found.break_even[0].volume, rel=1e-3)
    ends = {line.setting: (line.low_volume, line.high_volume) for line in result.rows}
    # input and output cost a dollar each: either halved saves half a dollar less
    expected = 1000 * 1200.144 / (1.5 - 0.04)
    assert ends["API input price"][0] == pytest.approx(expected, rel=1e-3)
    assert ends["API output price"][0] == pytest.approx(expected, rel=1e-3)


def test_a_free_api_never_pays_back():
    found = economics(tokens=(0, 0))
    (against,) = found.break_even
    assert against.volume is None and against.days is None
    assert found.sensitivity.volume is None


def test_a_measured_training_says_so():
    found = economics(trained=MachineTime(1, 100, 25_000.0))
    assert "250 W (GPU, measured by NVML)" in found.training.how


@pytest.mark.parametrize(
    ("trainings", "sweep", "words"),
    [
        (1, False, "the one training of 100 s at 320 W (configured), without the gate before it"),
        (3, False, "3 trainings of 100 s together at 320 W (configured): the final ones, without"),
        (4, True, "4 trainings of 100 s together at 320 W (configured): the sweep's and the final"),
    ],
)
def test_what_was_trained_is_said_in_its_number(trainings, sweep, words):
    assert words in economics(trained=MachineTime(trainings, 100, None, sweep)).training.how


BILLED = {
    "latency_seconds": [1.0, 1.0],
    "latency_concurrency": [1, 1],
    "mode": "live",
    "lost_attempts": [2, 0],
    "lost_input_tokens": [2000, 0],
    "lost_output_tokens": [200, 0],
    "reasoning_tokens": [50, None],
    "tokens_estimated": [False, True],
}


def test_what_was_billed_and_brought_nothing_is_in_the_cost():
    """2,000 and 200 tokens over two texts: half of 0.002 and 0.002 dollars each, twice as much in all."""
    cost = api_cost(scored(BILLED), "gpt", PRICES)
    assert cost.usd == pytest.approx(4.0) and cost.retries_usd == pytest.approx(2.0)
    # 50 of the 200 output tokens, which the answers' own tokens hold
    assert cost.reasoning_usd == pytest.approx(0.25)
    for words in (
        "with 2 failed attempts that may have been billed", "25% of the output is reasoning",
        "the tokens of 1 of 2 answers counted with the base model's tokenizer",
    ):  # fmt: skip
        assert words in cost.how
    bill = billed(scored(BILLED), "gpt", PRICES)
    assert bill.request_costs().mean() * 1000 == pytest.approx(cost.usd)


def test_where_there_was_nothing_else_to_bill_nothing_is_said():
    """A run without failures costs its tokens; what is not known is told from what is none."""
    plain = {key: [0, 0] for key in BILLED if key.startswith(("lost", "reasoning", "tokens"))}
    cost = api_cost(scored(BILLED | plain), "gpt", PRICES)
    assert (cost.usd, cost.retries_usd, cost.reasoning_usd) == (pytest.approx(2.0), None, None)
    assert cost.how == "measured tokens at the price of gpt (a list, 2026-05)"
    unknown = {key: [None, 0] for key in BILLED if key.startswith("lost")}
    said = api_cost(scored(BILLED | plain | unknown), "gpt", PRICES).how
    assert "for 1 of 2 answers may have cost" in said
