"""Token prices out of the catalogue of genai-prices: the right ones, of a pinned day, or a clear line."""

from __future__ import annotations

import re
import socket
import warnings
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal

import genai_prices
import numpy as np
import pytest
import yaml
from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from lora_vs_api.analysis.condition import ConditionRuns
from lora_vs_api.analysis.costs import api_cost, billed, local_cost, price_list
from lora_vs_api.analysis.otherwise import OtherPayment, run_here
from lora_vs_api.analysis.results import CostPer1K, PaidOtherwise
from lora_vs_api.analysis.scored_run import ScoredRun, Timings
from lora_vs_api.analysis.summary import summary
from lora_vs_api.api.asking import dearest_price
from lora_vs_api.api.budget import discounted, estimate, usd
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.config.sections import CataloguePrices, Params
from lora_vs_api.errors import UserError
from lora_vs_api.prices import catalogue
from lora_vs_api.prices.lookup import known_prices, price_of
from lora_vs_api.prices.price import Price
from lora_vs_api.report.page.data import _billed
from lora_vs_api.report.sections.money import money_section
from lora_vs_api.stats.economics import api_request_costs, break_even
from stages import analyze
from tests.imports import ROOT
from tests.report_fixture import analysis, changed, inputs

VERSION = f"genai-prices {genai_prices.__version__}"
BASE = {"input": 1.0, "cached_input": 0.1, "output": 10.0}
LONG = {"above": 1000, "input": 2.0, "cached_input": 0.2, "output": 15.0}
TIERED = Price.model_validate({**BASE, "tiers": [LONG]})


def prices(day: str = "2026-11-01", provider: str = "openai", **models: str) -> CataloguePrices:
    """``models``: entry → "provider model"."""
    return CataloguePrices.model_validate(
        {
            "kind": "catalogue",
            "provider": provider,
            "date": day,
            "batch_discount": 0.5,
            "models": {
                name: dict(zip(("provider", "model"), value.split()))
                for name, value in models.items()
            },
        }
    )


def with_prices(*overrides: str) -> Params:
    composed = compose(["prices=catalogue", *overrides], conf=ROOT / "conf")
    return check_params(yaml.safe_load(composed), "params.yaml")


# --- what is found -----------------------------------------------------------------------------


def test_the_preset_bills_the_conditions_at_the_listed_prices():
    """Every API preset composes with the catalogue, and mini costs what the issue says."""
    params = with_prices()
    listed = price_of(params.priced_as[params.baseline], params.prices)
    assert listed.price == Price(input=0.75, cached_input=0.075, output=4.5)
    assert (listed.name, listed.source) == ("openai gpt-5.4-mini", VERSION)
    assert listed.as_of == params.prices.date == "2026-11-01"
    hosted = with_prices("api=openai")
    assert set(hosted.priced_as) == set(hosted.conditions)


def test_prices_are_those_that_the_package_calculates():
    """Of each model that is not refused, in and above every tier, with cached input, on two days."""
    compared = 0
    for day in (date(2024, 6, 1), date(2026, 11, 1)):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        for provider in (p for p in providers if p.id in ("openai", "anthropic", "google")):
            for model in provider.models:
                if not model.is_match(model.id):
                    continue  # known by a pattern alone
                try:
                    price = price_of(model.id, prices(str(day), provider.id)).price
                except UserError:
                    continue
                for tokens in (1_000, 150_000, 300_000):
                    usage = genai_prices.Usage(
                        input_tokens=tokens, cache_read_tokens=100, output_tokens=50
                    )
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        expected = genai_prices.calc_price(
                            usage,
                            model.id,
                            provider_id=provider.id,
                            genai_request_timestamp=noon,
                        )
                    found = api_request_costs([tokens], [50], price, cached_tokens=100)
                    assert found[0] == pytest.approx(float(expected.total_price)), model.id
                    compared += 1
    assert compared > 500


def test_an_entry_may_stand_for_a_model_of_another_provider():
    renamed = prices(mine="groq openai/gpt-oss-20b")
    assert price_of("mine", renamed).name == "groq openai/gpt-oss-20b"
    assert price_of("gpt-5.4-nano", renamed).name == "openai gpt-5.4-nano"
    # the pinned snapshot of a model costs what the model costs
    assert price_of("gpt-5.4-mini-2026-03-17", renamed).name == "openai gpt-5.4-mini"


def test_nothing_is_fetched(monkeypatch):
    """The prices are those of the installed version, whatever else the program fetched."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    catalogue._shipped.cache_clear()
    free = genai_prices.data_snapshot.DataSnapshot(providers=[], from_auto_update=True)
    genai_prices.data_snapshot.set_custom_snapshot(free)
    try:
        assert price_of("gpt-5.4-mini", prices()).price.input == 0.75
    finally:
        genai_prices.data_snapshot.set_custom_snapshot(None)


# --- what is refused, in one line ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["prices.provider=opnai"],
            r"prices\.provider: expected a provider of genai-prices \S+ such as openai.*, found 'opnai'$",
        ),
        (
            ["priced_as.large_zero_shot_schema=gpt-5.4-minni"],
            r"priced_as\.large_zero_shot_schema: expected a model of openai in genai-prices \S+ such as "
            r".*gpt-5\.4-mini.*, found 'gpt-5.4-minni'$",
        ),
        (
            ["priced_as.large_zero_shot_schema=claude-haiku-4-5"],
            r"priced_as\.large_zero_shot_schema: .*found 'claude-haiku-4-5'; it is known of .*anthropic",
        ),
        (
            [
                "+prices.models.mine={provider: openai, model: gpt-5.4-mnii}",
                "priced_as.large_zero_shot_schema=mine",
            ],
            r"prices\.models\.mine\.model: .*such as gpt-5\.4-mini",
        ),
        (
            ["prices.date=yesterday"],
            r"prices\.date: expected a day such as 2026-11-01, found 'yest",
        ),
        (["prices.date=2026-13-01"], r"prices\.date: expected a day .*, found '2026-13-01'"),
        (["prices.date=20261101"], r"prices\.date: expected a day .*, found 20261101"),
        (["~priced_as.large_zero_shot_schema"], r"priced_as\.large_zero_shot_schema: missing"),
        (
            ["priced_as.large_zero_shot_schema=text-embedding-3-small"],
            r"priced_as\.large_zero_shot_schema: expected a model with prices of input and output tokens",
        ),
        (
            ["prices.provider=perplexity", "priced_as.large_zero_shot_schema=sonar"],
            r"priced_as\.large_zero_shot_schema: perplexity sonar is also billed by the request",
        ),
        (
            ["prices.provider=deepseek", "priced_as.large_zero_shot_schema=deepseek-chat"],
            r"priced_as\.large_zero_shot_schema: the price of deepseek deepseek-chat depends on the hour",
        ),
    ],
)
def test_what_has_no_price_is_said_before_anything_runs(overrides, message):
    with pytest.raises(UserError) as error:
        with_prices(*overrides)
    assert re.search(message, str(error.value)) and "\n" not in str(error.value)


def model(name: str, *entries: ConditionalPrice) -> Provider:
    info = ModelInfo(id=name, match=ClauseEquals(equals=name), prices=list(entries))
    return Provider(id="openai", name="OpenAI", api_pattern="", models=[info])


def from_(day: date, usd_per_million: str) -> ConditionalPrice:
    price = Decimal(usd_per_million)
    return ConditionalPrice(
        StartDateConstraint(start_date=day),
        prices=ModelPrice(input_mtok=price, output_mtok=price),
    )


@pytest.fixture
def shipped(monkeypatch):
    """Sets what the package ships."""

    def use(*given: Provider) -> None:
        snapshot = genai_prices.data_snapshot.DataSnapshot(list(given), from_auto_update=False)
        monkeypatch.setattr(catalogue, "_shipped", lambda: snapshot)

    return use


def test_the_price_is_that_of_the_day(shipped):
    """A price counts from its first day on; the package itself takes the first for days before."""
    shipped(model("m", from_(date(2026, 1, 1), "4"), from_(date(2026, 7, 1), "3")))
    found = {
        day: price_of("m", prices(day)).price.input
        for day in ("2026-01-01", "2026-06-30", "2026-07-01", "2027-01-01")
    }
    assert list(found.values()) == [4.0, 4.0, 3.0, 3.0]
    with pytest.raises(
        UserError, match=r"^prices\.date: expected 2026-01-01 or later.*2025-12-31$"
    ):
        price_of("m", prices("2025-12-31"))


def test_an_hour_that_no_longer_counts_refuses_nothing(shipped):
    by_hour = ConditionalPrice(
        TimeOfDateConstraint(
            start_time=time(1), end_time=time(5)
        ),
        prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1)),
    )  # fmt: skip
    shipped(model("m", from_(date(2026, 1, 1), "4"), by_hour, from_(date(2026, 7, 1), "3")))
    assert price_of("m", prices("2026-07-01")).price.input == 3.0
    with pytest.raises(UserError, match="depends on the hour"):
        price_of("m", prices("2026-06-30"))


def test_filling_the_prompt_cache_is_said_not_to_be_counted(shipped):
    tiers = TieredPrices(Decimal(1), [Tier(1000, Decimal(2))])
    price = ModelPrice(input_mtok=tiers, output_mtok=Decimal(10), cache_write_mtok=Decimal("1.25"))
    shipped(model("m", ConditionalPrice(prices=price)))
    listed = price_of("m", prices())
    assert "fill the prompt cache (USD 1.25 per million)" in str(listed.note)
    assert listed.price.at(1000).input == 1.0 and listed.price.at(1001).input == 2.0


# --- tiers: each answer by its own counts ----------------------------------------------------------


def run_of(*input_tokens: int) -> ScoredRun:
    n = len(input_tokens)
    timings = {"latency_seconds": [1.0] * n, "cached_input_tokens": [0] * n}
    return ScoredRun(
        outputs=("{}",) * n,
        fields=np.zeros((n, 1)),
        valid_json=np.ones(n, bool),
        schema_valid=np.ones(n, bool),
        outcomes=np.array(["answered"] * n),
        input_tokens=np.array(input_tokens),
        output_tokens=np.array([100] * n),
        timings=Timings.from_json(timings),
    )


def test_each_answer_is_billed_by_its_own_prompt(shipped):
    """At 1,000 tokens the base price, above it another for all of its tokens, output too."""
    tiers = {
        key: TieredPrices(Decimal(str(BASE[part])), [Tier(1000, Decimal(str(LONG[part])))])
        for key, part in (
            ("input_mtok", "input"), ("cache_read_mtok", "cached_input"), ("output_mtok", "output"),
        )
    }  # fmt: skip
    shipped(model("m", ConditionalPrice(prices=ModelPrice(**tiers))))
    run, listed = run_of(1000, 1001, 2000), price_of("m", prices())
    assert listed.price == TIERED
    costs = billed(run, "m", prices()).request_costs() * 1e6
    assert costs == pytest.approx([1000 + 1000, 2002 + 1500, 4000 + 1500])
    cost = api_cost(run, "m", prices())
    assert cost.usd == pytest.approx(1000 * costs.mean() / 1e6)
    assert cost.batched_usd == pytest.approx(cost.usd / 2)
    assert "2 of 3 answers at that of prompts above 1,000 tokens" in cost.how
    assert cost.how.startswith(f"measured tokens at the price of openai m ({VERSION}, 2026-11-01)")
    assert cost.priced_as == "openai m"


def test_tokens_of_failed_attempts_lift_no_answer_into_a_tier(shipped):
    """Two attempts of 600 tokens are two short prompts, and each is billed as one."""
    tiers = TieredPrices(Decimal(1), [Tier(1000, Decimal(2))])
    shipped(
        model("m", ConditionalPrice(prices=ModelPrice(input_mtok=tiers, output_mtok=Decimal(10))))
    )
    lost = {
        "latency_seconds": [1.0], "lost_attempts": [1], "lost_input_tokens": [600],
        "lost_output_tokens": [100], "reasoning_tokens": [0], "tokens_estimated": [False],
    }  # fmt: skip
    run = replace(run_of(600), timings=Timings.from_json(lost))
    cost, bill = api_cost(run, "m", prices()), billed(run, "m", prices())
    assert cost.usd == pytest.approx(1000 * (1200 * 1 + 200 * 10) / 1e6)
    assert cost.retries_usd == pytest.approx(cost.usd / 2)
    assert bill.request_costs() * 1000 == pytest.approx(cost.usd)
    # and those of a long prompt are billed at its tier
    long = replace(run, input_tokens=np.array([1200]))
    assert api_cost(long, "m", prices()).retries_usd == pytest.approx(1000 * (600 * 2 + 1000) / 1e6)


def test_the_budget_knows_tiers():
    """Estimate and what is set aside for a request; a batch's discount is taken off every tier."""
    assert usd(TIERED, 1000, 100) == pytest.approx(2000 / 1e6)
    assert usd(TIERED, 1001, 100) == pytest.approx(3502 / 1e6)
    cost = estimate({"a": 600, "b": 800, "c": 2000}, 100.0, 100, TIERED)
    assert cost.expected_usd == pytest.approx((1400 + 2000 + 4000 + 1500) / 1e6)
    half = discounted(TIERED, 0.5)
    assert half.at(10).output == 5.0
    assert (half.at(1001).input, half.at(1001).cached_input) == (1.0, 0.1)
    # all of it is what the file of a price says, so an own list may have tiers too
    assert Price.model_validate(half.model_dump()) == half


def test_tiers_need_no_order():
    price = Price.model_validate({**BASE, "tiers": [{**LONG, "above": 5000, "input": 9.0}, LONG]})
    assert [price.at(n).input for n in (1000, 5000, 5001)] == [1.0, 2.0, 9.0]


def test_the_pages_calculator_starts_at_the_price_that_was_paid():
    row = analysis().conditions[-1].model_copy(update={"input_tokens_mean": 1500.0})
    found = _billed(row, TIERED.at(row.input_tokens_mean), 0.5, 4.0)
    assert (found["input_price"], found["output_price"]) == (2.0, 15.0)
    start = found["input_millions"] * 2.0 + found["output_millions"] * 15.0
    assert start == pytest.approx(4.0)


# --- what is printed ---------------------------------------------------------------------------


def test_the_list_names_whose_price_each_condition_pays():
    found = price_list({"a": "gpt-5.4-mini", "b": "gpt-5.4"}, prices())
    assert found.names == {"a": "openai gpt-5.4-mini", "b": "openai gpt-5.4"}
    assert (found.source, found.as_of, found.batch_discount) == (VERSION, "2026-11-01", 0.5)
    assert [tier.above for tier in found.conditions["b"].tiers or ()] == [272_000]


def test_the_report_prints_each_price_with_its_source_and_day():
    """Every tier too: a reader has to be able to look each of them up."""
    result = analysis()
    found = price_list(
        dict.fromkeys(result.economics.prices.conditions, "gpt-5.4"), prices("2026-10-30")
    )
    economics = result.economics.model_copy(update={"prices": found})
    text = str(money_section(inputs(result.model_copy(update={"economics": economics}))))
    name = result.condition("api_zero_shot").label
    whose = f"openai gpt-5.4 | {VERSION}, 2026-10-30"
    assert f"| {name} | {whose} | 2.5 | 0.25 | 15 | 50% |" in text
    assert f"| {name}, prompts above 272,000 tokens | {whose} | 5 | 0.5 | 22.5 | 50% |" in text
    assert f"The prices of {VERSION}, 2026-10-30 decide" in text


# --- the list that decides, and the one beside it ------------------------------------------------


def test_by_default_the_catalogue_decides_and_the_published_prices_stand_beside():
    """Both roles of the contest, mini and nano, have a price on either list."""
    params = check_params(yaml.safe_load(compose(["api=contest"], conf=ROOT / "conf")))
    published = params.prices_beside
    assert (params.prices.kind, published.source) == ("catalogue", "published experiment 002")
    found = {
        entry: (price_of(entry, params.prices).price, price_of(entry, published).price)
        for entry in set(params.priced_as.values())
    }
    assert found == {
        "gpt-5.4-mini": (
            Price(input=0.75, cached_input=0.075, output=4.5),
            Price(input=0.15, cached_input=None, output=0.6),
        ),
        "gpt-5.4-nano": (
            Price(input=0.2, cached_input=0.02, output=1.25),
            Price(input=0.075, cached_input=None, output=0.3),
        ),
    }


@pytest.mark.parametrize(
    ("model", "tokens", "volume"),
    [("mini", 220, "1.90e+07"), ("mini", 620, "9.76e+06"), ("nano", 220, "7.27e+07")],
)
def test_the_published_protocol_is_decided_at_the_published_prices(model, tokens, volume):
    """The profile's own list still gives the published break-evens; today's prices stand beside."""
    for profile in ("paper", "smol-gpu"):
        params = check_params(yaml.safe_load(compose([f"profile={profile}"], conf=ROOT / "conf")))
        assert params.prices.source == "published experiment 002"
        assert params.prices_beside.kind == "catalogue"
        price = price_of(f"gpt-5.4-{model}", params.prices).price
        cost = 1000 * api_request_costs([tokens], [100], price)[0]
        assert f"{break_even(1200.0, 0.03, cost):.2e}" == volume


def test_what_stands_beside_may_know_fewer_models(shipped):
    """A condition that it does not know has no cost there; what is wrong with the list is said."""
    entries = {"a": "gpt-5.4-mini", "b": "m"}
    listed = with_prices().prices_beside
    assert set(known_prices(entries, listed)) == {"a"}
    shipped(model("m", from_(date(2026, 1, 1), "4")))
    assert set(known_prices(entries, prices())) == {"b"}
    with pytest.raises(UserError, match=r"^prices_beside\.provider: expected a provider"):
        known_prices(entries, prices(provider="opnai"), "prices_beside")
    with pytest.raises(UserError, match=r"^prices_beside\.models\.a\.model: expected a model"):
        known_prices({"a": "a"}, prices(a="openai mm"), "prices_beside")
    with pytest.raises(UserError, match=r"^prices_beside\.date: expected 2026-01-01 or later"):
        known_prices(entries, prices("2025-01-01"), "prices_beside")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["prices@prices_beside=catalogue", "prices_beside.provider=opnai"],
            r"prices_beside\.provider: expected a provider of genai-prices \S+ such as openai",
        ),
        (["prices_beside.kind=lists"], r"prices_beside\.kind: expected one of list, catalogue, found"),
        (
            ["prices_beside.batch_discount=2"],
            r"prices_beside\.batch_discount: expected a share .*, found 2",
        ),
        (["~prices@prices_beside"], r"prices_beside: missing"),
    ],
)  # fmt: skip
def test_a_wrong_list_beside_is_named(overrides, message):
    with pytest.raises(UserError, match=message):
        compose(overrides, conf=ROOT / "conf")


def asked_about(params: Params) -> list[OtherPayment]:
    """The other ways of paying for the baseline, asked with one request in flight."""
    name = params.baseline
    run = replace(
        run_of(1000, 1000),
        timings=Timings.from_json({"latency_seconds": [2.0, 2.0], "latency_concurrency": [1, 1]}),
    )
    cost = api_cost(run, params.priced_as[name], params.prices)
    return analyze.other_payments(params, [ConditionRuns(name, "A", "api", "m", 0, (run,), cost)])


def test_a_list_does_not_stand_beside_itself():
    """The same list twice would be one column twice; null leaves the column out."""

    def ways(*overrides: str) -> list[str]:
        params = check_params(yaml.safe_load(compose(overrides, conf=ROOT / "conf")))
        return [paid.way for paid in asked_about(params)]

    assert ways("api=openai") == ["list"]
    assert ways("api=openai", "prices=published") == []
    assert ways("api=openai", "prices_beside=null") == []
    # what this machine serves can be run without a bill
    assert ways("api=contest") == ["list", "machine"]


def test_the_other_costs_are_counted_as_those_that_decide():
    """The same answers and the same functions: only the prices, or who is paid, are others."""
    params = check_params(yaml.safe_load(compose(["api=contest"], conf=ROOT / "conf")))
    by_list, here = asked_about(params)
    (item,) = by_list.conditions
    assert item.cost == api_cost(item.runs[0], "gpt-5.4-mini", params.prices_beside)
    assert item.cost.usd == pytest.approx(1000 * (1000 * 0.15 + 100 * 0.6) / 1e6)
    assert "gpt-5.4-mini (published experiment 002, 2026-05)" in item.cost.how
    assert by_list.bills[item.name].request_costs().mean() * 1000 == pytest.approx(item.cost.usd)
    (item,) = here.conditions
    assert item.cost.usd == local_cost(item.runs, params.economics).usd
    assert item.cost.priced_as is None and item.cost.batched_usd is None


@pytest.mark.parametrize(
    "timings",
    [
        {"latency_seconds": [2.0, 2.0], "latency_concurrency": [4, 4]},
        {"latency_seconds": [2.0, 2.0], "latency_concurrency": [1, None]},
        {"latency_seconds": [], "mode": "batch"},
    ],
)
def test_no_machine_time_is_made_of_requests_that_shared_it(timings):
    """Four at a time each take four times as long; added up they would be billed four times."""
    run = replace(run_of(10, 10), timings=Timings.from_json(timings))
    item = ConditionRuns("a", "A", "api", "m", 0, (run,), api_cost(run, "gpt-5.4-mini", prices()))
    params = with_prices()
    assert run_here([item], params.economics).conditions == ()


def test_a_cache_of_this_machine_makes_no_token_cheaper():
    """Nine tenths of a few-shot prompt come from llama.cpp's memory; no provider has seen them."""
    kept = {"latency_seconds": [1.0], "cached_input_tokens": [900]}
    run = replace(run_of(1000), timings=Timings.from_json(kept))
    cached, plain = (
        api_cost(each, "gpt-5.4-mini", prices())
        for each in (run.as_asked_of("openai"), run.as_asked_of("llama_cpp"))
    )
    assert plain.usd == pytest.approx(1000 * (1000 * 0.75 + 100 * 4.5) / 1e6)
    assert cached.usd < plain.usd and "cached" not in plain.how


@pytest.mark.parametrize(
    ("api", "kept"), [("contest", False), ("embedded", False), ("openai", True)]
)
def test_the_analysis_bills_a_providers_cache_and_no_other(monkeypatch, api, kept):
    """What an API of a provider says it had cached was billed so; what this machine says was not."""
    params = with_prices(f"api={api}")
    timings = {"latency_seconds": [1.0], "wall_seconds": 1.0, "cached_input_tokens": [900]}
    run = replace(run_of(1000), timings=Timings.from_json(timings))
    monkeypatch.setattr(analyze, "read_run", lambda *_: run)
    apis = [item for item in analyze.read_runs(params, []) if item.kind == "api"]
    assert apis and all("billed as cached" in item.cost.how for item in apis) == kept
    assert any("billed as cached" in item.cost.how for item in apis) == kept


def test_a_budget_is_held_at_the_dearer_list():
    """`paper` is decided at prices of May, and a provider bills today's."""
    for overrides in (["profile=paper"], ["api=openai"], ["api=openai", "prices_beside=null"]):
        params = check_params(yaml.safe_load(compose(overrides, conf=ROOT / "conf")))
        listed, discount = dearest_price(params, params.baseline)
        assert (listed.name, listed.price.output, discount) == ("openai gpt-5.4-mini", 4.5, 0.5)


def test_summary_names_the_list_that_decides_and_what_stands_beside():
    result = analysis()
    assert summary(result).prices == "a list, 2026-05" and summary(result).paid_otherwise == {}
    assert summary(analysis(apis=())).prices is None
    row = result.decisions[1]
    beside = result.economics.prices.model_copy(update={"source": "another list"})
    result = result.model_copy(
        update={
            "economics": result.economics.model_copy(update={"prices_beside": beside}),
            "paid_otherwise": tuple(
                PaidOtherwise(
                    way=way,
                    cost=CostPer1K(usd=usd_per_1k, batched_usd=None, how="so"),
                    decision=changed(row, pay_back__volume=volume),
                )
                for way, usd_per_1k, volume in (("list", 0.2, 6e6), ("machine", 0.001, None))
            ),
        }
    )
    found = summary(result).paid_otherwise
    assert found["list"].prices == "another list, 2026-05"
    assert found["list"].usd_per_1k == {row.baseline: 0.2}
    assert found["list"].break_even_inferences == {row.baseline: 6_000_000}
    assert found["machine"].break_even_inferences == {row.baseline: "never"}
    assert "machine" in found["machine"].prices
