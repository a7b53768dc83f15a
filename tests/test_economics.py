"""Costs and break-even volumes, against the published figures and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.config.sections import Price
from lora_vs_api.stats.economics import (
    api_cost_per_1k,
    api_request_costs,
    break_even,
    break_even_curve,
    days_to_break_even,
    electricity_usd,
    engineering_usd,
    local_cost_per_1k,
    rented_cost_per_1k,
    sensitivity,
)

# the publication's own figures
MINI = Price(input=0.15, cached_input=None, output=0.60)
NANO = Price(input=0.075, cached_input=None, output=0.30)
POWER = {"watts": 320, "usd_per_kwh": 0.15, "overhead": 1.5}
TRAINING_USD = 1_200
LOCAL_PER_1K = 0.0300
MEDIAN_SECONDS = 1.879498

dollars = st.floats(0, 1e6)


def unchecked(input: float, output: float, cached_input: float | None = None) -> Price:
    """A price that did not go through the config's own check."""
    return Price.model_construct(input=input, cached_input=cached_input, output=output)


@pytest.mark.parametrize(
    ("api_per_1k", "published"), [(0.0930, "1.90e+07"), (0.1530, "9.76e+06"), (0.0465, "7.27e+07")]
)
def test_published_break_even(api_per_1k, published):
    """All three published volumes follow from its $1,200 and its table's four-digit costs.

    Nothing else is needed: the nano cost is 0.0465 in the results table (0.047 in the cost
    table, which would give 7.06e7), few-shot 0.1530.
    """
    assert f"{break_even(TRAINING_USD, LOCAL_PER_1K, api_per_1k):.2e}" == published


def test_nano_break_even_needs_the_unrounded_cost():
    """The $0.047 of the published cost table does not give the 7.27e7 beside it."""
    assert f"{break_even(TRAINING_USD, LOCAL_PER_1K, 0.047):.2e}" == "7.06e+07"


def test_published_local_cost_is_not_its_latency():
    """The published watts, price and overhead give $0.0376 at its median latency, not $0.0300.

    $0.0300 is exactly 1.5 s a request; an overhead of 1.2 instead of 1.5 would come near
    (0.0301), no overhead would not (0.0251).
    """
    assert round(local_cost_per_1k(MEDIAN_SECONDS, **POWER), 4) == 0.0376
    assert local_cost_per_1k(1.5, **POWER) == pytest.approx(LOCAL_PER_1K, rel=1e-12)
    # the range of seconds that rounds to the published 0.0300
    assert round(local_cost_per_1k(1.4974, **POWER), 4) < LOCAL_PER_1K
    assert round(local_cost_per_1k(1.5026, **POWER), 4) > LOCAL_PER_1K
    assert round(local_cost_per_1k(MEDIAN_SECONDS, 320, 0.15, 1.2), 4) == 0.0301
    assert round(local_cost_per_1k(MEDIAN_SECONDS, 320, 0.15, 1.0), 4) == 0.0251


@pytest.mark.parametrize(
    ("api_per_1k", "corrected"), [(0.0930, "2.17e+07"), (0.1530, "1.04e+07"), (0.0465, "1.35e+08")]
)
def test_break_even_at_the_published_latency(api_per_1k, corrected):
    """With the cost its median latency implies, break-even moves out: nano's nearly doubles."""
    local = local_cost_per_1k(MEDIAN_SECONDS, **POWER)
    assert f"{break_even(TRAINING_USD, local, api_per_1k):.2e}" == corrected


def test_published_api_costs():
    """The published costs are those of round token counts, nano's exactly half of mini's.

    Input + 4 × output = 620 tokens gives $0.0930, and 400 more input tokens $0.1530. The
    publication states no counts; 220 and 100 are one pair of many.
    """
    output = np.full(100, 100)
    assert api_cost_per_1k(np.full(100, 220), output, MINI) == pytest.approx(0.0930)
    assert api_cost_per_1k(np.full(100, 620), output, MINI) == pytest.approx(0.1530)
    assert api_cost_per_1k(np.full(100, 220), output, NANO) == pytest.approx(0.0465)


def test_published_training_cost():
    """1.5 days of 8 hours at $100 are the published $1,200; eight hours of its GPU add $0.58."""
    assert engineering_usd(1.5, 8, 100) == TRAINING_USD
    assert electricity_usd(8 * 3600, **POWER) == pytest.approx(0.576)


def test_published_days():
    """19.0 million at 10K a day is the published ~5 years, at 100K a day ~6 months."""
    volume = break_even(TRAINING_USD, LOCAL_PER_1K, 0.0930)
    assert days_to_break_even(volume, 10_000) / 365.25 == pytest.approx(5.2, abs=0.05)
    assert days_to_break_even(volume, 100_000) / 30.4 == pytest.approx(6.3, abs=0.05)
    assert days_to_break_even(None, 10_000) is None


@given(training=dollars, local=dollars, api=dollars)
def test_break_even_is_where_the_curves_cross(training, local, api):
    """At break-even both cost the same, before it the API is no dearer; none without a saving."""
    volume = break_even(training, local, api)
    if local >= api:
        assert volume is None
        own, theirs = break_even_curve([0, 1e6, 1e9], training, local, api)
        assert np.all(own >= theirs)
    elif math.isfinite(volume) and volume < 1e200:
        own, theirs = break_even_curve([0, volume], training, local, api)
        assert (own[0], theirs[0]) == (training, 0)
        # relative to the amounts whose difference decides
        assert own[1] == pytest.approx(theirs[1], rel=1e-9, abs=1e-9 + training * 1e-9)


def test_break_even_at_the_edges():
    """An equal price never pays, free training pays at once, volumes are in requests."""
    assert break_even(1_200, 0.05, 0.05) is None
    assert break_even(1_200, 0.06, 0.05) is None
    assert break_even(0, 0.01, 0.05) == 0
    own, theirs = break_even_curve([1_000, 2_000], 10, 0.5, 2.0)
    assert own.tolist() == [10.5, 11.0]
    assert theirs.tolist() == [2.0, 4.0]


def test_api_cost_is_the_mean_request():
    """Requests of unlike length count by their mean; input and output keep their own price."""
    price = Price(input=1.0, cached_input=None, output=10.0)
    # means 200 in, 20 out: 200 µ$ + 200 µ$ a request
    assert api_cost_per_1k([100, 300], [10, 30], price) == pytest.approx(0.4)


def test_cached_input_and_batch():
    """Cached tokens pay their own price, the full one where none is listed; batch comes last."""
    listed = Price(input=0.75, cached_input=0.075, output=4.50)
    unlisted = Price(input=0.75, cached_input=None, output=4.50)
    tokens = ([2_000, 2_000], [100, 100])
    plain = api_cost_per_1k(*tokens, listed)
    assert plain == pytest.approx(2_000 * 0.00075 + 100 * 0.0045)
    cached = api_cost_per_1k(*tokens, listed, cached_tokens=[1_024, 0])
    assert plain - cached == pytest.approx(512 * (0.75 - 0.075) / 1_000)
    assert api_cost_per_1k(*tokens, unlisted, cached_tokens=[1_024, 0]) == pytest.approx(plain)
    assert api_cost_per_1k(*tokens, listed, discount=0.5) == pytest.approx(plain / 2)
    assert api_cost_per_1k(*tokens, unlisted, discount=0) == pytest.approx(plain)
    free = Price(input=0.75, cached_input=0.0, output=4.50)
    assert api_cost_per_1k([1_000], [0], free, cached_tokens=1_000) == 0


def test_request_costs_average_to_the_cost_per_1k():
    """The interval is over the same requests that the cost per 1,000 is the mean of."""
    price = Price(input=0.75, cached_input=0.075, output=4.50)
    tokens = ([2_000, 100], [100, 7])
    kept = {"cached_tokens": [1_024, 0], "discount": 0.5}
    costs = api_request_costs(*tokens, price, **kept)
    assert costs[1] == pytest.approx((100 * 0.75 + 7 * 4.5) / 1e6 / 2)
    assert 1_000 * costs.mean() == pytest.approx(api_cost_per_1k(*tokens, price, **kept))


def test_rented_machine():
    """Two seconds a request at $0.90 an hour: 1,800 requests an hour, $0.50 per 1,000."""
    assert rented_cost_per_1k(2, 0.90) == pytest.approx(0.5)


def test_sensitivity_moves_one_input_at_a_time():
    """Each input alone is divided and multiplied; an input that ends the saving gives never."""

    def volume(training, local, api):
        return break_even(training, local, api)

    found = sensitivity(volume, {"training": 1_200, "local": 0.05, "api": 0.09}, 2)
    assert found["training"] == pytest.approx((15e6, 60e6))
    assert found["local"] == (pytest.approx(1_200_000 / 0.065), None)
    assert found["api"] == (None, pytest.approx(1_200_000 / 0.13))


@pytest.mark.parametrize(
    "price",
    [
        {"input": -0.15, "cached_input": None, "output": 0.60},
        {"input": 0.15, "cached_input": None, "output": math.nan},
        {"input": 0.15, "cached_input": -1, "output": 0.60},
    ],
)
def test_a_bad_price_is_refused_by_the_config_too(price):
    with pytest.raises(ValueError, match="greater than or equal to 0|finite number"):
        Price(**price)


@pytest.mark.parametrize(
    "call",
    [
        lambda: api_cost_per_1k([1], [1], unchecked(-0.15, 0.60)),
        lambda: api_cost_per_1k([1], [1], unchecked(0.15, math.nan)),
        lambda: api_cost_per_1k([1], [1], unchecked(0.15, 0.60, cached_input=-1)),
        lambda: api_cost_per_1k([1], [1], MINI, discount=50),
        lambda: api_cost_per_1k([], [], MINI),
        lambda: api_cost_per_1k([1, 2], [1], MINI),
        lambda: api_cost_per_1k([1.0], [math.nan], MINI),
        lambda: api_cost_per_1k([100], [1], MINI, cached_tokens=[101]),
        lambda: local_cost_per_1k(-1, 320, 0.15, 1.5),
        lambda: local_cost_per_1k(1, math.inf, 0.15, 1.5),
        lambda: engineering_usd(-1, 8, 100),
        lambda: electricity_usd(math.nan, 320, 0.15, 1.5),
        lambda: rented_cost_per_1k(1, -0.4),
        lambda: sensitivity(lambda x: x, {"x": 1.0}, 1.0),
        lambda: break_even(math.nan, 0.03, 0.09),
        lambda: break_even_curve([-1], 1_200, 0.03, 0.09),
        lambda: days_to_break_even(1e6, 0),
    ],
)
def test_bad_input_is_refused(call):
    """Negative, infinite and missing numbers raise instead of becoming a cost."""
    with pytest.raises(ValueError, match="expected"):
        call()
