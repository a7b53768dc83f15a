"""Intervals, tests and sample sizes, against scipy, statsmodels and closed forms."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import types

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import statsmodels.formula.api
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import zt_ind_solve_power

from lora_vs_api.stats import bootstrap
from lora_vs_api.stats.bootstrap import (
    bca_interval,
    bootstrap_mean,
    cluster_bootstrap,
    paired_bootstrap,
    published_interval,
    two_level_bootstrap,
)
from lora_vs_api.stats.comparisons import (
    holm,
    mcnemar_exact,
    minimum_detectable_effect,
    required_sample_size,
)
from lora_vs_api.stats.variance import random_effects_interval, variance_shares

OF_TABLES = (cluster_bootstrap, published_interval, two_level_bootstrap)

probabilities = st.floats(0, 1)
# grid of sixths, as mean field scores are; many ties and exact zeros
score_pairs = arrays(
    np.int64, st.tuples(st.just(2), st.integers(1, 20)), elements=st.integers(0, 6)
)


def table(
    generator: np.random.Generator,
    n_seeds: int,
    n_texts: int,
    email_sd: float,
    seed_sd: float,
    noise_sd: float,
) -> np.ndarray:
    """Scores of mean 0 whose emails are hard or easy for every seed alike."""
    return (
        email_sd * generator.normal(size=n_texts)
        + seed_sd * generator.normal(size=(n_seeds, 1))
        + noise_sd * generator.normal(size=(n_seeds, n_texts))
    )


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
    scores[1] = scores[0]
    drawn = bootstrap.resampled_means(scores[0], 20_000, 0), two_level_bootstrap(scores, 20_000)
    monkeypatch.setattr(bootstrap, "MANY", 100)
    monkeypatch.setattr(bootstrap, "COUNT_COST", 4)
    counted = bootstrap.resampled_means(scores[0], 20_000, 0), two_level_bootstrap(scores, 20_000)
    assert not np.array_equal(drawn[0], counted[0]), "values were not counted"
    assert counted[0].mean() == pytest.approx(drawn[0].mean(), abs=0.03 * drawn[0].std())
    assert counted[0].std() == pytest.approx(drawn[0].std(), rel=0.03)
    width = drawn[1].high - drawn[1].low
    assert drawn[1] != counted[1]
    assert ends(counted[1]) == pytest.approx(ends(drawn[1]), abs=0.04 * width)
    # values that are all different are drawn as ever
    others = np.random.default_rng(6).normal(size=600)
    before = bootstrap.resampled_means(others, 100, 0)
    monkeypatch.setattr(bootstrap, "MANY", 10_000)
    assert np.array_equal(before, bootstrap.resampled_means(others, 100, 0))


def test_mean_interval_has_the_closed_form_width():
    """For many emails the interval is estimate ± 1.96 standard errors."""
    values = np.random.default_rng(3).normal(size=2_000)
    interval = bootstrap_mean(values, 4_000)
    error = values.std() / math.sqrt(values.size)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_clusters_are_emails(scores):
    """Tripling the same pass narrows the published interval, by √3, and not the clustered one."""
    once, tripled = scores[:1], np.tile(scores[0], (3, 1))
    assert ends(cluster_bootstrap(tripled)) == pytest.approx(ends(cluster_bootstrap(once)))
    width = np.subtract(*ends(published_interval(tripled)))
    assert width * math.sqrt(3) == pytest.approx(
        np.subtract(*ends(published_interval(once))), rel=0.05
    )
    assert "published protocol" in published_interval(once).method


def test_two_levels_see_the_seeds(scores):
    """Seeds that differ widen the two-level interval; a single seed leaves the clustered one."""
    apart = scores + np.array([[-0.2], [0.0], [0.2]])
    one, two = cluster_bootstrap(apart), two_level_bootstrap(apart)
    assert two.high - two.low > 3 * (one.high - one.low)
    # the resampled mean varies by the three seeds' own variance over three, emails aside
    lone = two_level_bootstrap(np.tile([[-0.2], [0.0], [0.2]], (1, 5)), confidence=0.5)
    draws = np.random.default_rng(5).choice([-0.2, 0.0, 0.2], (20_000, 3)).mean(axis=1)
    assert ends(lone) == pytest.approx(tuple(np.quantile(draws, [0.25, 0.75])), abs=1e-9)
    assert ends(two_level_bootstrap(scores[:1])) == ends(cluster_bootstrap(scores[:1]))


def test_two_levels_are_drawn_independently():
    """Seeds drawn with the same numbers as emails would hit a diagonal more often than 1 in 5."""
    interval = two_level_bootstrap(np.eye(5), confidence=0.5)
    assert interval.low <= 0.2 <= interval.high


def coverage(method, experiments: int, **factors) -> float:
    """Share of null experiments (3 seeds, 100 texts, true mean 0) whose interval holds 0."""
    generator = np.random.default_rng(11)
    found = [method(table(generator, 3, 100, **factors), i) for i in range(experiments)]
    return float(np.mean([interval.low <= 0 <= interval.high for interval in found]))


def seed_sd(share: float) -> float:
    """With emails of 0.12 and noise of 0.06, the sd of seeds that makes so much of the variance."""
    others = 0.12**2 / 100 + 0.06**2 / 300
    return math.sqrt(3 * others * share / (1 - share))


def test_coverage_for_the_models_at_hand():
    """Nominal 95 %: the interval over texts keeps it, the published n=300 interval does not."""
    factors = {"email_sd": 0.12, "seed_sd": 0.0, "noise_sd": 0.06}
    assert 0.93 <= coverage(lambda x, i: cluster_bootstrap(x, 400, i), 2_000, **factors) <= 0.97
    bca = coverage(lambda x, i: bca_interval(x.mean(axis=0), 400, i), 2_000, **factors)
    assert 0.93 <= bca <= 0.97
    # the closed form for these variances is 0.747
    published = coverage(lambda x, i: published_interval(x, 400, i), 1_000, **factors)
    assert 0.70 <= published <= 0.80


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_coverage_for_another_training(share):
    """With seed effects too, 95 % means 93 to 97 %, for the interval that the verdict goes by."""
    factors = {"email_sd": 0.12, "seed_sd": seed_sd(share), "noise_sd": 0.06}
    ours = coverage(lambda x, i: random_effects_interval(x), 4_000, **factors)
    assert 0.93 <= ours <= 0.97
    assert coverage(lambda x, i: published_interval(x, 300, i), 500, **factors) < 0.8


def test_a_bootstrap_of_three_seeds_is_too_narrow():
    """Where seeds matter, intervals over texts, or over three seeds resampled, miss too often."""
    factors = {"email_sd": 0.12, "seed_sd": seed_sd(0.8), "noise_sd": 0.06}
    two_level = coverage(lambda x, i: two_level_bootstrap(x, 300, i), 500, **factors)
    assert coverage(lambda x, i: cluster_bootstrap(x, 300, i), 500, **factors) < two_level - 0.1
    assert two_level < 0.9
    assert two_level + 0.02 < coverage(lambda x, i: random_effects_interval(x), 500, **factors)


def test_random_effects_interval_in_closed_form():
    """One seed: the t interval of scipy. Seeds without effect: nearly that of the texts' means."""
    one = np.random.default_rng(8).normal(size=(1, 30))
    ours = random_effects_interval(one, 0.9)
    theirs = scipy.stats.ttest_1samp(one[0], 0).confidence_interval(0.9)
    assert ends(ours) == pytest.approx(tuple(theirs))
    assert (ours.resamples, ours.seed, ours.method) == (0, None, "t interval over texts")
    alike = np.tile(one[0], (3, 1))
    assert ends(random_effects_interval(alike, 0.9)) == pytest.approx(tuple(theirs))
    # only seeds differ: the t interval of three numbers
    apart = np.tile([[0.1], [0.2], [0.6]], (1, 50))
    three = scipy.stats.ttest_1samp([0.1, 0.2, 0.6], 0).confidence_interval(0.95)
    assert ends(random_effects_interval(apart)) == pytest.approx(tuple(three))


@given(value=probabilities, shape=st.tuples(st.integers(1, 4), st.integers(2, 9)))
def test_random_effects_interval_of_constants(value, shape):
    """Equal scores have no width, and no warning of a division by zero."""
    interval = random_effects_interval(np.full(shape, value))
    assert ends(interval) == pytest.approx((value, value), abs=1e-9)


@pytest.mark.parametrize("method", OF_TABLES)
@given(value=probabilities, shape=st.tuples(st.integers(1, 4), st.integers(1, 9)))
def test_constant_scores_have_no_width(method, value, shape):
    """Equal scores have an interval of no width at their value, whatever is resampled."""
    interval = method(np.full(shape, value), 20)
    assert (interval.estimate, *ends(interval)) == pytest.approx((value,) * 3, abs=1e-12)


@given(pair=score_pairs)
def test_paired_bootstrap_is_symmetric(pair):
    """Swapping the two sides flips signs and counts and leaves p; p lies in 1/(n+1)..1."""
    lora, baseline = pair / 6
    ours, theirs = paired_bootstrap(lora, baseline, 50), paired_bootstrap(baseline, lora, 50)
    assert theirs.difference == pytest.approx(-ours.difference, abs=1e-12)
    assert ends(theirs.interval) == pytest.approx((-ours.interval.high, -ours.interval.low))
    assert theirs.p_value == ours.p_value
    assert 1 / 51 <= ours.p_value <= 1
    assert (theirs.wins, theirs.losses) == (ours.losses, ours.wins)
    # counted on the integers, where no rounding can turn a tie into a win
    assert ours.wins == np.sum(pair[0] > pair[1])
    assert ours.ties == np.sum(pair[0] == pair[1])
    assert ours.wins + ours.ties + ours.losses == ours.n_texts == pair.shape[1]


def test_paired_p_value_counts_as_designed():
    """p is (k+1)/(n+1): its least value as published, 1 without a difference, the t-test's else."""
    generator = np.random.default_rng(2)
    baseline = generator.random(80)
    assert paired_bootstrap(baseline + 0.3 + 0.01 * baseline, baseline).p_value == 1 / 10_001
    assert paired_bootstrap(baseline, baseline).p_value == 1.0
    lora = baseline + 0.02 + 0.1 * generator.normal(size=80)
    ours = paired_bootstrap(lora, baseline)
    reference = scipy.stats.ttest_rel(lora, baseline).pvalue
    assert ours.p_value == pytest.approx(reference, abs=0.01)
    assert (ours.p_value < 0.05) == (not ours.interval.low <= 0 <= ours.interval.high)


def test_paired_p_value_is_exact_on_two_emails():
    """Differences 0 and 2: the means 0 and 2 lie as far from 1 as 1 from 0; half the draws do."""
    result = paired_bootstrap([1.0, 2.0], [1.0, 0.0], 20_000)
    assert result.p_value == pytest.approx(0.5, abs=0.02)


def test_paired_p_value_survives_rounding():
    """Tenths give the p of the same scores in whole numbers, whose sums are exact."""
    generator = np.random.default_rng(10)
    for _ in range(20):
        lora, baseline = generator.integers(0, 7, size=(2, 16))
        exact = paired_bootstrap(lora, baseline, 500).p_value
        assert paired_bootstrap(lora / 10, baseline / 10, 500).p_value == exact


def test_ties_survive_rounding():
    """Scores equal but for the order of a sum are ties, not wins."""
    lora = np.array([0.1 + 0.2, 0.5])
    result = paired_bootstrap(lora, np.array([0.3, 0.5]), 100)
    assert lora[0] != 0.3
    assert (result.wins, result.ties, result.losses) == (0, 2, 0)


def test_variance_shares_are_the_anovas():
    """The parts follow from the mean squares of statsmodels' two-way analysis of variance."""
    scores = table(np.random.default_rng(4), 4, 25, 0.12, 0.05, 0.06)
    rows = [
        {"seed": seed, "email": email, "score": score}
        for (seed, email), score in np.ndenumerate(scores)
    ]
    model = statsmodels.formula.api.ols("score ~ C(seed) + C(email)", pd.DataFrame(rows)).fit()
    seeds, emails, noise = anova_lm(model)["mean_sq"].loc[["C(seed)", "C(email)", "Residual"]]
    ours = variance_shares(scores)
    total = (seeds + emails - noise) / scores.size
    assert ours.variance_of_mean == pytest.approx(total)
    assert ours.seeds == pytest.approx((seeds - noise) / scores.size / total)
    assert ours.texts == pytest.approx((emails - noise) / scores.size / total)
    assert ours.interaction == pytest.approx(noise / scores.size / total)


def test_variance_of_the_mean_is_unbiased():
    """Averaged over experiments the estimate is the known variance of the mean and its parts."""
    generator = np.random.default_rng(6)
    found = [variance_shares(table(generator, 4, 30, 0.3, 0.2, 0.1)) for _ in range(2_000)]
    parts = {"seeds": 0.2**2 / 4, "texts": 0.3**2 / 30, "interaction": 0.1**2 / 120}
    for name, part in parts.items():
        mean = np.mean([getattr(share, name) * share.variance_of_mean for share in found])
        assert mean == pytest.approx(part, rel=0.06), name
    assert np.mean([share.variance_of_mean for share in found]) == pytest.approx(
        sum(parts.values()), rel=0.06
    )


def test_variance_shares_do_not_guess():
    """One seed, one text or no variance at all gives None, and a negative part counts as 0."""
    assert variance_shares(np.random.default_rng(0).random((1, 9))).seeds is None
    assert variance_shares(np.random.default_rng(0).random((1, 9))).variance_of_mean is None
    assert variance_shares(np.random.default_rng(0).random((3, 1))).texts is None
    constant = variance_shares(np.full((3, 9), 0.7))
    assert (constant.seeds, constant.variance_of_mean) == (None, 0.0)
    opposed = variance_shares([[1.0, 0.0], [0.0, 1.0]])
    assert (opposed.seeds, opposed.texts, opposed.interaction) == (0.0, 0.0, 1.0)


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
    """Five emails that only one side gets right: 2 / 2⁵."""
    assert mcnemar_exact(np.ones(5, bool), np.zeros(5, bool)) == (5, 0, 2 / 2**5)


@pytest.mark.parametrize(("power", "alpha"), [(0.8, 0.05), (0.9, 0.01)])
def test_minimum_detectable_effect_is_statsmodels(power, alpha):
    """The effect is statsmodels' for a one-sample z-test of that power."""
    differences = np.random.default_rng(8).normal(0.1, 0.3, size=64)
    effect = zt_ind_solve_power(nobs1=64, alpha=alpha, power=power, ratio=0)
    ours = minimum_detectable_effect(differences, power, alpha)
    assert ours == pytest.approx(effect * differences.std(ddof=1), rel=1e-4)


def test_power_is_what_it_says():
    """At the minimum detectable effect the paired bootstrap finds about 80 %."""
    generator = np.random.default_rng(9)
    noise = 0.2 * generator.normal(size=(300, 64))
    spread = np.resize([-1.0, 1.0], 64)
    shift = minimum_detectable_effect(0.2 * spread / spread.std(ddof=1))
    found = [
        paired_bootstrap(row + shift, np.zeros(64), 400, i).p_value < 0.05
        for i, row in enumerate(noise)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.07)


@given(n=st.integers(2, 5_000), sd=st.floats(0.01, 1), power=st.floats(0.5, 0.99))
def test_required_sample_size_inverts_the_effect(n, sd, power):
    """The effect that n emails show takes n emails, and a smaller one more."""
    differences = np.resize([-1.0, 1.0], n)
    differences *= sd / differences.std(ddof=1)
    shown = minimum_detectable_effect(differences, power)
    assert required_sample_size(shown, sd, power) == required_sample_size(-shown, sd, power) == n
    assert required_sample_size(shown * 0.9, sd, power) > n or n == 2


def test_required_sample_size_at_the_edges():
    """The textbook 7.85 sd²/d²; no number of emails shows 0; no spread still takes two."""
    assert required_sample_size(0.1, 1.0) == math.ceil(7.8489 / 0.1**2)
    assert required_sample_size(0.0, 1.0) is None
    assert required_sample_size(0.1, 0.0) == 2


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


def test_paired_determinism(scores, monkeypatch):
    """Same input, same difference, interval and p, in chunks of one resample too."""
    first = paired_bootstrap(scores[0], scores[1], 300, 5)
    monkeypatch.setattr(bootstrap, "CHUNK_INDICES", 1)
    assert paired_bootstrap(scores[0], scores[1], 300, 5) == first


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap_mean([]),
        lambda: bootstrap_mean([0.5, math.nan]),
        lambda: bootstrap_mean([[0.5]]),
        lambda: bootstrap_mean([0.5], resamples=0),
        lambda: bootstrap_mean([0.5], confidence=95),
        lambda: cluster_bootstrap([0.5, 0.6]),
        lambda: two_level_bootstrap([[0.5, math.inf]]),
        lambda: paired_bootstrap([0.5, 0.6], [0.5]),
        lambda: variance_shares([0.5]),
        lambda: random_effects_interval([[0.5]]),
        lambda: random_effects_interval([[0.5, 0.6]], confidence=95),
        lambda: bca_interval([0.5, 0.6], confidence=0),
        lambda: holm({"a": 1.5}),
        lambda: holm({"a": math.nan}),
        lambda: mcnemar_exact(np.ones(3), np.ones(3)),
        lambda: mcnemar_exact(np.ones(3, bool), np.ones(1, bool)),
        lambda: minimum_detectable_effect([0.5]),
        lambda: minimum_detectable_effect([0.5, 0.6], power=80),
        lambda: required_sample_size(math.nan, 1.0),
        lambda: required_sample_size(0.1, -1.0),
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
        "import lora_vs_api.stats.economics, lora_vs_api.stats.variance\n"
        f"print([name for name in {heavy} if name in sys.modules])\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
