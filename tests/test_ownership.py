"""The total cost over a horizon: closed forms of every input, and the published model at its start."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import numpy as np
import pytest

from lora_vs_api.analysis.costs import MachineTime, billed
from lora_vs_api.analysis.decision import Costs, cost_intervals
from lora_vs_api.analysis.ownership import LocalSide, ownership_of, plan_of
from lora_vs_api.analysis.results import Ownership
from lora_vs_api.config.compose import compose
from lora_vs_api.config.sections import Economics
from lora_vs_api.errors import UserError
from lora_vs_api.report.sections.money import money_section
from lora_vs_api.stats.bootstrap import Draws
from lora_vs_api.stats.economics import break_even
from lora_vs_api.stats.ownership import (
    DAYS_PER_MONTH,
    Answers,
    Machine,
    People,
    Plan,
    cheaper_from,
    machines,
    run_to_run,
    totals,
    wrong_shares,
)
from tests.report_fixture import analysis, drawn, inputs
from tests.test_costs import ECONOMICS, LOCAL, PRICES, scored

PLAN = Plan(
    horizon_months=36, discount_per_year=0.0, api_price_trend_per_year=0.0,
    fine_tune=People(1200.0, 0.0), api=People(0.0, 0.0),
    machine=Machine(0.0, 0.072, 0.0, 1.0), retrain_every_months=None, retrain_usd=0.0,
    usd_per_wrong_record=0.0,
)  # fmt: skip
# 1.5 s at $0.072 an hour: the published $0.0300 per 1,000, against its $0.0930
ANSWERS = Answers(np.array([1.5]), np.array([0.093e-3]), np.array([0.9]), np.array([0.8]))
DRAWS = Draws(resamples=400, seed=0, confidence=0.95)


def plan(machine: dict[str, float] | None = None, **changes: Any) -> Plan:
    if machine:
        changes["machine"] = dataclasses.replace(PLAN.machine, **machine)
    return dataclasses.replace(PLAN, **changes)


def end(changed: Plan, per_day: float = 1000) -> tuple[float, float]:
    found = totals(changed, ANSWERS, per_day)
    return float(found.local[0, -1]), float(found.api[0, -1])


@pytest.mark.parametrize("per_day", [10_000, 30_000, 100_000])
def test_with_nothing_added_the_month_is_that_of_the_published_break_even(per_day):
    """1.9e7 answers: at 100,000 a day that is within the seventh month."""
    volume = break_even(1200, 0.03, 0.093)
    months = math.ceil(volume / per_day / DAYS_PER_MONTH)
    found = cheaper_from(totals(PLAN, ANSWERS, per_day))[0]
    assert found == (months if months <= 36 else math.inf)


def test_a_waiting_machine_costs():
    """1,000 answers of 1.5 s: busy 1.7 % of the day; what it waits at costs the rest."""
    months = 36 * DAYS_PER_MONTH
    busy = 1000 * 1.5 / 3600 * 0.072
    assert end(PLAN)[0] == pytest.approx(1200 + busy * months)
    idle = (24 - 1500 / 3600) * 0.00675
    assert end(plan({"idle_usd_per_hour": 0.00675}))[0] == pytest.approx(
        1200 + (busy + idle) * months
    )
    # around the clock: 24 hours, however few answers
    rented = plan({"busy_usd_per_hour": 0.4, "idle_usd_per_hour": 0.4})
    assert end(rented)[0] == pytest.approx(1200 + 24 * 0.4 * months)


def test_the_peak_decides_how_many_machines():
    """57,600 a day of 1.5 s keep exactly one busy; ten times that at the peak take ten."""
    seconds = np.array([1.5])
    assert machines(57_600, seconds, 1).tolist() == [1.0]
    assert machines(57_601, seconds, 1).tolist() == [2.0]
    assert machines(57_600, seconds, 10).tolist() == [10.0]
    assert machines(1, np.array([0.0]), 1).tolist() == [1.0]
    bought = plan({"purchase_usd": 100.0, "peak_to_mean": 10.0})
    assert end(bought, 57_600)[0] == pytest.approx(end(PLAN, 57_600)[0] + 1000)
    always = plan({"busy_usd_per_hour": 1.0, "idle_usd_per_hour": 1.0, "peak_to_mean": 10.0})
    assert end(always, 57_600)[0] == pytest.approx(1200 + 240 * 36 * DAYS_PER_MONTH)


def test_people_and_wrong_records_on_both_sides():
    local, api = end(PLAN)
    both = plan(fine_tune=People(1300.0, 10.0), api=People(50.0, 20.0))
    assert end(both) == pytest.approx((local + 100 + 360, api + 50 + 720))
    answers = 1000 * 36 * DAYS_PER_MONTH
    wrong = plan(usd_per_wrong_record=0.01)
    assert end(wrong) == pytest.approx((local + 0.009 * answers, api + 0.008 * answers))


def test_retraining_is_paid_each_time_but_not_at_the_end():
    """Every 12 of 36 months: after the 12th and the 24th."""
    local, _ = end(PLAN)
    assert end(plan(retrain_every_months=12, retrain_usd=70.0))[0] == pytest.approx(local + 140)
    found = totals(plan(retrain_every_months=12, retrain_usd=70.0), ANSWERS, 1000).local[0]
    assert found[12] - found[11] == pytest.approx(found[11] - found[10] + 70)


def test_trend_and_discount():
    """The price falls from the first month on; what is paid at a month's end is worth less."""
    month = 1000 * 0.093e-3 * DAYS_PER_MONTH
    cheap = totals(plan(api_price_trend_per_year=-0.3), ANSWERS, 1000).api[0]
    assert cheap[1] == pytest.approx(month)
    assert cheap[13] - cheap[12] == pytest.approx(0.7 * month)
    later = totals(plan(discount_per_year=0.1), ANSWERS, 1000)
    assert later.api[0, 12] - later.api[0, 11] == pytest.approx(month / 1.1)
    # what is paid at the start is not discounted
    assert later.local[0, 0] == 1200


def test_cheaper_from_is_where_it_stays_cheaper():
    """A retraining that undoes the lead counts; from the start is 0, and equal is not cheaper."""

    def found(local: list[float], api: list[float]) -> float:
        from lora_vs_api.stats.ownership import Totals

        return float(cheaper_from(Totals(np.array([local]), np.array([api])))[0])

    assert found([5, 5, 5, 5], [0, 6, 4, 6]) == 3
    assert found([1, 1, 1], [2, 2, 2]) == 0
    assert found([1, 1, 1], [1, 1, 1]) == math.inf
    assert found([1, 1, 1], [2, 2, 1]) == math.inf


def test_run_to_run_is_lognormal_around_1():
    factors = run_to_run(0.09, 40_000, 1)
    assert np.median(factors) == pytest.approx(1, abs=0.003)
    assert factors.std() / factors.mean() == pytest.approx(0.09, abs=0.003)
    assert set(run_to_run(0, 5, 1)) == {1.0}


def test_all_right_does_not_prove_the_next_right():
    draws = wrong_shares(60, 60, 4000, 0)
    assert 0 < np.quantile(draws, 0.975) < 0.06
    assert wrong_shares(10.5, 60, 4000, 0).mean() == pytest.approx(1 - 11 / 61, abs=0.01)


@pytest.mark.parametrize(
    "call",
    [
        lambda: totals(PLAN, ANSWERS, 0),
        lambda: totals(plan({"peak_to_mean": 0.5}), ANSWERS, 1),
        lambda: run_to_run(-1, 5, 0),
        lambda: wrong_shares(3, 2, 5, 0),
        lambda: wrong_shares(0, 0, 5, 0),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError, match="expected"):
        call()


def test_run_to_run_speed_is_in_the_money_intervals_and_named():
    """Requests all alike: what varies is the speed, by 9 % and on the timed sides alone."""
    local, api = np.full(9, 0.5), np.full(9, 1.0)
    ratio, volume = cost_intervals(Costs(1.0, local, api, local_sd=0.09), DRAWS)
    assert ratio.low == pytest.approx(0.5 * 0.84, rel=0.03)
    assert ratio.high == pytest.approx(0.5 * 1.19, rel=0.03)
    assert (
        ratio.method == volume.method == "percentile bootstrap over requests and run-to-run speed"
    )
    # two timed sides did not run at the same time
    both, _ = cost_intervals(Costs(1.0, api, api.copy(), local_sd=0.09, other_sd=0.09), DRAWS)
    assert both.low < 0.85 and both.high > 1.15
    still, _ = cost_intervals(Costs(1.0, local, api), DRAWS)
    assert still.low == still.high and "speed" not in still.method


def ownership(
    configured: Economics = ECONOMICS, tokens: tuple[int, int] = (1000, 100)
) -> Ownership:
    api = scored({"latency_seconds": [1.0, 1.0]}, tokens)
    side = LocalSide([scored(LOCAL)], MachineTime(4, 7200, None), 40)
    return ownership_of(
        side, {"api": billed(api, "gpt", PRICES)}, {"api": "API"}, "api", configured, DRAWS
    )


def owning(**changes: Any) -> Economics:
    own = ECONOMICS.ownership.model_copy(update=changes)
    return ECONOMICS.model_copy(update={"ownership": own})


def test_what_is_rented_takes_no_electricity_of_ones_own():
    """Training, answering and waiting: at another price of electricity nothing changes."""
    side = LocalSide([scored(LOCAL)], MachineTime(4, 7200, None), 40)
    for way, idle in (("rented_while_busy", 0.0), ("rented_around_the_clock", 0.36)):
        configured = owning(machine=way, idle_watts=50, machine_is_shared=False)
        found = plan_of(configured, side, 320)
        assert found.fine_tune.build_usd == pytest.approx(1200 + 0.72)
        assert (found.machine.busy_usd_per_hour, found.machine.idle_usd_per_hour) == (0.36, idle)
        assert plan_of(configured.model_copy(update={"usd_per_kwh": 9.0}), side, 320) == found
    own = plan_of(owning(idle_watts=50, machine_is_shared=False), side, 320)
    assert own.machine.idle_usd_per_hour == pytest.approx(0.05 * 0.15 * 1.5)
    assert own.fine_tune.build_usd == pytest.approx(1200.144)


def test_a_waiting_machine_of_30_watts_never_pays_at_1000_a_day():
    """The published prices: at 1,000 a day its idle hours cost more than the tokens saved."""
    side = LocalSide([scored(LOCAL)], MachineTime(4, 0, None), 0)
    alone = plan_of(owning(machine_is_shared=False, horizon_months=120), side, 320)
    found = totals(dataclasses.replace(alone, fine_tune=People(0.0, 0.0)), ANSWERS, 1000)
    assert cheaper_from(found)[0] == math.inf


def test_labels_and_retraining_come_from_the_configured_amounts():
    side = LocalSide([scored(LOCAL)], MachineTime(4, 7200, None), 40)
    found = plan_of(owning(usd_per_label=0.5, retrain_engineer_days=0.5), side, 320)
    assert found.fine_tune.build_usd == pytest.approx(1200.144 + 20)
    assert found.retrain_usd == pytest.approx(400 + 0.144 / 4)
    # somebody's time for a label beside its price: three minutes of an hour that costs 100
    timed = plan_of(owning(usd_per_label=0.5, minutes_per_label=3), side, 320)
    assert timed.fine_tune.build_usd == pytest.approx(1200.144 + 20 + 40 * 5)


def test_every_configured_input_is_varied():
    """An input that the chart leaves out could decide and nobody would see it."""
    found = ownership(owning(usd_per_label=1.0)).sensitivity
    changed = {row.setting for row in found.rows if row.low_saving != row.high_saving}
    settings = {row.setting for row in found.rows}
    assert len(found.rows) >= len(type(ECONOMICS.ownership).model_fields) + 6
    assert {
        "horizon",
        "API input price",
        "cost of a wrong record",
        "own machine",
        "price of a label",
    } <= changed
    assert {"retraining every", "rent", "machine", "upkeep a month, API"} <= settings
    ways = [row for row in found.rows if row.setting == "machine"]
    assert [(row.low, row.high) for row in ways] == [
        ("own", "rented while busy"), ("own", "rented around the clock"),
    ]  # fmt: skip
    assert all(row.low_saving == pytest.approx(found.saving) for row in ways)


def test_extremes_have_numbers():
    """Free tokens, and a horizon of a month: totals are finite and never is None."""
    free = ownership(tokens=(0, 0))
    (row,) = free.against[0].rows
    assert (row.api_usd, row.cheaper_from, row.cheaper_from_low) == (0.0, None, None)
    short = ownership(
        owning(horizon_months=1, retrain_every_months=1, api_price_trend_per_year=-0.9)
    )
    assert short.local[0].usd > 0
    assert "wrong" in ownership(owning(usd_per_wrong_record=0.01)).method


def test_one_of_a_unit_is_singular():
    """0 days against 1 day, twelve months against one."""
    found = ownership(owning(api_engineer_days=0.0, upkeep_days_per_month=2.0))
    rows = {row.setting: (row.low, row.high) for row in found.sensitivity.rows}
    assert rows["engineer-days, API"] == ("0 days", "1 day")
    assert rows["upkeep a month, fine-tune"] == ("1 day", "4 days")
    assert rows["seconds of a local answer"] == ("1 s", "4 s")


def test_what_is_rented_needs_a_price():
    with pytest.raises(UserError, match="rented_usd_per_hour: expected USD above 0 where"):
        compose(
            ["economics.rented_usd_per_hour=null", "economics.ownership.machine=rented_while_busy"]
        )


@pytest.mark.parametrize(
    ("changes", "tokens"),
    [
        ({}, (1000, 100)),
        ({}, (0, 0)),
        ({"machine": "rented_around_the_clock"}, (1000, 100)),
        ({"machine_is_shared": False, "api_engineer_days": 9.0}, (1000, 100)),
    ],
)
def test_the_report_and_its_chart_stand_at_the_extremes(tmp_path, changes, tokens):
    """Free tokens, a lead from the start, a rented machine: the table says what the model says."""
    found = ownership(owning(**changes), tokens)
    # against a condition that the analysis has
    against = found.against[0].model_copy(update={"baseline": "api_zero_shot"})
    found = found.model_copy(update={"against": (against,)})
    result = analysis().model_copy(update={"ownership": found})
    text = money_section(inputs(result))
    row = found.against[0].rows[0]
    months = (row.cheaper_from, row.cheaper_from_low, row.cheaper_from_high)
    at, low, high = ("never" if month is None else str(month) for month in months)
    assert f"| {at} [{low}, {high}] |" in text
    assert ("around the clock;" in text) == (found.machine == "rented_around_the_clock")
    # an hour's rent has no effect on an own machine, and the report says so
    unmoved = next((line for line in text.splitlines() if line.startswith("Without effect")), "")
    assert ("rent" in re.split(r"; |, | and |: |\.", unmoved)) == (found.machine == "own")
    drawn(tmp_path, result, names={"ownership"})
    assert (tmp_path / "ownership.svg").stat().st_size > 0


def test_the_configured_speed_varies_in_both_money_sections():
    """Answers all alike: without it the intervals would have no width."""
    even = [scored({**LOCAL, "latency_seconds": [2.0, 2.0]})]
    api = {"api": billed(scored({"latency_seconds": [1.0, 1.0]}), "gpt", PRICES)}
    side = LocalSide(even, MachineTime(4, 7200, None), 40)
    for sd in (0.0, 0.09):
        configured = ECONOMICS.model_copy(update={"run_to_run_sd": sd})
        ours = ownership_of(side, api, {"api": "API"}, "api", configured, DRAWS).local
        assert (ours[0].high > ours[0].low) == (sd > 0)
        even_costs = np.full(2, 0.5), np.full(2, 1.0)
        _, paid = cost_intervals(Costs(1.0, *even_costs, local_sd=sd), DRAWS)
        assert (paid.high > paid.low) == (sd > 0)


def test_each_side_of_the_total_cost_varies_by_itself():
    """The same costs on both sides: drawn from one stream, neither would ever be cheaper."""
    tokens = np.array([1000, 3000])
    api = dataclasses.replace(scored({"latency_seconds": [1.0, 1.0]}, (0, 0)), input_tokens=tokens)
    configured = owning(machine="rented_while_busy").model_copy(
        update={"engineer_days": 0.0, "rented_usd_per_hour": 3.6}
    )
    side = LocalSide([scored(LOCAL)], MachineTime(1, 0, None), 0)
    bills = {"api": billed(api, "gpt", PRICES)}
    found = ownership_of(side, bills, {"api": "API"}, "api", configured, DRAWS)
    (against,) = found.against
    assert found.local[0].usd == pytest.approx(against.rows[0].api_usd)
    # means of 1, 2 and 3: cheaper in 5 of 16 pairs, and as dear, up to the last digit, in 6
    assert against.rows[0].cheaper_from_low == 1 and against.rows[0].cheaper_from_high is None
