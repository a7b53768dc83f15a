"""Bootstrap intervals, Holm and McNemar, against scipy, statsmodels and closed forms."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import types

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from lora_vs_api.stats import bootstrap
from lora_vs_api.stats.bootstrap import (
    bca_interval,
    bootstrap_mean,
    published_interval,
)
from lora_vs_api.stats.comparisons import holm, mcnemar_exact

OF_TABLES = (
    published_interval,
    lambda scores, *draws: bca_interval(scores.mean(axis=0), *draws),
)

probabilities = st.floats(0, 1)


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(7).beta(5, 2, size=(3, 60))


def ends(interval: bootstrap.Interval) -> tuple[float, float]:
    return interval.low, interval.high


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_mean_interval_is_scipys(scores, confidence):
    """The percentile interval is scipy's, up to the luck of other resamples."""
    ours = bootstrap_mean(scores[0], 20_000, 0, confidence)
    theirs = scipy.stats.bootstrap(
        (scores[0],),
        np.mean,
        n_resamples=20_000,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert ends(ours) == pytest.approx(tuple(theirs), abs=0.04 * (ours.high - ours.low))
    assert ours.estimate == pytest.approx(scores[0].mean())
    assert (ours.confidence, ours.resamples, ours.seed) == (confidence, 20_000, 0)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_bca_interval_is_scipys(confidence):
    """On the same resamples of skewed scores, BCa's ends are scipy's; and not the percentiles."""
    values = np.random.default_rng(2).beta(8, 1, size=40)
    ours = bca_interval(values, 5_000, 3, confidence)
    drawn = types.SimpleNamespace(
        bootstrap_distribution=bootstrap.resampled_means(values, 5_000, 3)
    )
    theirs = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=0,
        bootstrap_result=drawn,
        confidence_level=confidence,
        method="BCa",
    ).confidence_interval
    assert ends(ours) == pytest.approx(tuple(theirs), abs=1e-12)
    percentile = bootstrap_mean(values, 5_000, 3, confidence)
    assert max(abs(np.subtract(ends(ours), ends(percentile)))) > 1e-4
    assert ours.method == "BCa bootstrap"


def test_bca_where_it_is_undefined():
    """Equal scores have no skewness: the interval has no width and does not claim to be BCa."""
    assert ends(bca_interval([0.5] * 9, 200)) == (0.5, 0.5)
    assert bca_interval([0.5] * 9, 200).method == "percentile bootstrap"


def test_counting_values_is_drawing_texts(monkeypatch):
    """Of many rows the values' counts are drawn: the same intervals, up to the luck of the draw."""
    scores = np.random.default_rng(5).integers(0, 7, size=(3, 600)) / 6
    drawn = bootstrap.resampled_means(scores[0], 20_000, 0)
    monkeypatch.setattr(bootstrap, "MANY", 100)
    monkeypatch.setattr(bootstrap, "COUNT_COST", 4)
    counted = bootstrap.resampled_means(scores[0], 20_000, 0)
    assert not np.array_equal(drawn, counted), "values were not counted"
    assert counted.mean() == pytest.approx(drawn.mean(), abs=0.03 * drawn.std())
    assert counted.std() == pytest.approx(drawn.std(), rel=0.03)
    # values that are all different are drawn as ever
    others = np.random.default_rng(6).normal(size=600)
    before = bootstrap.resampled_means(others, 100, 0)
    monkeypatch.setattr(bootstrap, "MANY", 10_000)
    assert np.array_equal(before, bootstrap.resampled_means(others, 100, 0))


def test_mean_interval_has_the_closed_form_width():
    """For many texts the interval is estimate ± 1.96 standard errors."""
    values = np.random.default_rng(3).normal(size=2_000)
    interval = bootstrap_mean(values, 4_000)
    error = values.std() / math.sqrt(values.size)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.05)


@pytest.mark.parametrize("method", OF_TABLES)
@given(value=probabilities, shape=st.tuples(st.integers(1, 4), st.integers(1, 9)))
def test_constant_scores_have_no_width(method, value, shape):
    """Equal scores have an interval of no width at their value, whatever is resampled."""
    interval = method(np.full(shape, value), 20)
    assert (interval.estimate, *ends(interval)) == pytest.approx((value,) * 3, abs=1e-12)


@given(p_values=st.lists(probabilities, max_size=8))
def test_holm_only_raises(p_values):
    """Adjusted p-values lie between the raw ones and 1 and keep their order and names."""
    named = {f"baseline-{i}": p for i, p in enumerate(p_values)}
    ours = holm(named)
    assert list(ours) == list(named)
    assert all(named[name] <= ours[name] <= 1 for name in named)
    ranked = sorted(named, key=named.__getitem__)
    assert all(ours[a] <= ours[b] for a, b in itertools.pairwise(ranked))


# the reference is slow to start
@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(p_values=st.lists(probabilities, min_size=1, max_size=8))
def test_holm_is_statsmodels(p_values):
    """Adjusted p-values are statsmodels'."""
    ours = holm({f"baseline-{i}": p for i, p in enumerate(p_values)})
    reference = multipletests(p_values, method="holm")[1]
    assert list(ours.values()) == pytest.approx(list(reference), abs=1e-12)


def test_holm_closed_form():
    """Three baselines: times 3, 2 and 1 from the smallest, none below the one before."""
    assert holm({"c": 0.04, "a": 0.01, "b": 0.03}) == {"c": 0.06, "a": 0.03, "b": 0.06}
    assert holm({}) == {}


@given(verdicts=arrays(np.bool_, st.tuples(st.just(2), st.integers(1, 40))))
def test_mcnemar_is_statsmodels(verdicts):
    """Counts and exact p-value are statsmodels'; swapping the sides swaps the counts only."""
    a, b = verdicts
    ours, swapped = mcnemar_exact(a, b), mcnemar_exact(b, a)
    contingency = [[np.sum(a & b), ours.only_a], [ours.only_b, np.sum(~a & ~b)]]
    assert (ours.only_a, ours.only_b) == (np.sum(a & ~b), np.sum(b & ~a))
    if ours.only_a + ours.only_b:
        assert ours.p == pytest.approx(mcnemar(contingency, exact=True).pvalue, abs=1e-12)
    else:
        assert ours.p == 1.0
    assert 0 <= ours.p <= 1
    assert swapped == (ours.only_b, ours.only_a, ours.p)


def test_mcnemar_closed_form():
    """Five texts that only one side gets right: 2 / 2⁵."""
    assert mcnemar_exact(np.ones(5, bool), np.zeros(5, bool)) == (5, 0, 2 / 2**5)


@pytest.mark.parametrize("method", OF_TABLES)
def test_determinism(scores, method, monkeypatch):
    """Same input, same interval; another seed another; the chunk size changes nothing."""
    first = method(scores, 300, 5)
    assert method(scores, 300, 5) == first
    assert ends(method(scores, 300, 6)) != ends(first)
    monkeypatch.setattr(bootstrap, "CHUNK_INDICES", 7 * scores.size)
    assert method(scores, 300, 5) == first
    monkeypatch.setattr(bootstrap, "CHUNK_INDICES", 1)
    assert method(scores, 300, 5) == first


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap_mean([]),
        lambda: bootstrap_mean([0.5, math.nan]),
        lambda: bootstrap_mean([[0.5]]),
        lambda: bootstrap_mean([0.5], resamples=0),
        lambda: bootstrap_mean([0.5], confidence=95),
        lambda: bca_interval([0.5, 0.6], confidence=0),
        lambda: holm({"a": 1.5}),
        lambda: holm({"a": math.nan}),
        lambda: mcnemar_exact(np.ones(3), np.ones(3)),
        lambda: mcnemar_exact(np.ones(3, bool), np.ones(1, bool)),
    ],
)
def test_bad_input_is_refused(call):
    """Wrong shapes, NaN and impossible settings raise instead of becoming a number."""
    with pytest.raises(ValueError, match="expected"):
        call()


def test_importing_stats_stays_light():
    """Analysis starts without torch, transformers, pandas and the like."""
    heavy = ["torch", "transformers", "pandas", "matplotlib", "openai", "scipy.stats"]
    script = (
        "import sys\n"
        "import lora_vs_api.stats.bootstrap, lora_vs_api.stats.comparisons\n"
        "import lora_vs_api.stats.economics, lora_vs_api.stats.power\n"
        f"print([name for name in {heavy} if name in sys.modules])\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
