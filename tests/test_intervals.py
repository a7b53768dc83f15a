"""Intervals of scores, rates and their differences, and the paired test: properties and closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import statsmodels.api
import statsmodels.formula.api
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.proportion import proportion_confint

from lora_vs_api.stats import bayesian, bootstrap
from lora_vs_api.stats.bayesian import jeffreys, text_interval
from lora_vs_api.stats.bootstrap import Draws, Interval, published_interval
from lora_vs_api.stats.clusters import (
    design_effect,
    group_scores,
    intraclass_correlation,
    members,
)
from lora_vs_api.stats.mean_squares import agreement, mean_squares
from lora_vs_api.stats.paired import difference_interval, paired_difference, sign_flip
from lora_vs_api.stats.power import components
from lora_vs_api.stats.variance import (
    _parts,
    random_effects_interval,
    random_effects_score,
    variance_shares,
)

DRAWS = Draws(resamples=400, seed=0, confidence=0.95)
MANY = Draws(resamples=20_000, seed=0, confidence=0.95)

# sixths, as mean field scores are; many ties, and often all alike
tables = arrays(
    np.int64,
    st.tuples(st.integers(1, 4), st.integers(2, 12)),
    elements=st.integers(0, 6),
).map(lambda table: table / 6)
rows = arrays(np.int64, st.integers(1, 20), elements=st.integers(0, 6)).map(lambda row: row / 6)


def ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def width(interval: Interval) -> float:
    return interval.high - interval.low


# --- scores and rates ------------------------------------------------------------------------


@given(scores=tables)
@settings(deadline=None)
def test_an_interval_of_scores_holds_the_mean_and_stays_within_the_scores(scores):
    interval = random_effects_score(scores, DRAWS)
    assert interval.estimate == pytest.approx(scores.mean())
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    # what was not met may still be there, however alike the scores are
    assert interval.low < interval.high


@given(scores=tables)
@settings(deadline=None)
def test_what_is_wrong_is_what_is_not_right(scores):
    """The interval of the mirror image is the mirror image, to the last draw."""
    ours, mirror = random_effects_score(scores, DRAWS), random_effects_score(1 - scores, DRAWS)
    assert ends(mirror) == pytest.approx((1 - ours.high, 1 - ours.low), abs=1e-9)


@given(scores=tables, order=st.randoms())
@settings(deadline=None)
def test_the_order_of_texts_and_seeds_does_not_matter(scores, order):
    shuffled = scores[:, order.sample(range(scores.shape[1]), scores.shape[1])]
    shuffled = shuffled[order.sample(range(len(scores)), len(scores))]
    for interval in (lambda x: random_effects_score(x, DRAWS), random_effects_interval):
        assert ends(interval(shuffled)) == pytest.approx(ends(interval(scores)), abs=1e-9)


@given(scores=tables)
@settings(deadline=None)
def test_scores_on_another_scale_have_their_interval_on_it(scores):
    """In percent, and as differences from the worst: the bounds move with the scores."""
    unit = random_effects_score(scores, DRAWS)
    moved = random_effects_score(100 * scores - 40, DRAWS, bounds=(-40.0, 60.0))
    assert ends(moved) == pytest.approx((100 * unit.low - 40, 100 * unit.high - 40), abs=1e-6)


@pytest.mark.parametrize(("right", "texts"), [(0, 12), (1, 12), (6, 64), (64, 64), (150, 300)])
def test_a_rate_has_jeffreys_interval(right, texts):
    """As statsmodels has it, but at the ends, where it is 0 or 1."""
    scores = np.arange(texts) < right
    interval = text_interval(scores, DRAWS)
    low, high = proportion_confint(right, texts, method="jeffreys")
    expected = (low if right else 0.0, high if right < texts else 1.0)
    assert ends(interval) == pytest.approx(expected, abs=1e-9)
    assert ends(interval) == jeffreys(right, texts)
    assert (interval.method, interval.resamples) == ("Jeffreys over texts", 0)


def test_the_bootstrap_of_a_rate_is_jeffreys_interval():
    """Drawn, as for scores in between, it is the same up to the luck of the draw."""
    scores = np.arange(40) < 3
    member = members(None, 40)
    drawn = bayesian.weighted_means(
        scores.astype(float), bayesian.sizes(member), 1.0, 0.5, Draws(100_000, 1, 0.95)
    )
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx(jeffreys(3, 40), abs=0.002)


def test_perfect_scores_do_not_prove_that_the_next_is_perfect():
    """Sixty times right leaves up to 4 % for what was not met; six hundred times a tenth of it."""
    sixty, more = (text_interval(np.ones(n), DRAWS) for n in (60, 600))
    assert sixty.high == more.high == 1.0
    assert 0.95 < sixty.low < 0.97 and 0.995 < more.low < 0.997


@pytest.mark.slow
def test_many_smooth_scores_have_the_normal_interval():
    scores = np.random.default_rng(3).beta(5, 2, size=2_000)
    interval = text_interval(scores, MANY)
    error = scores.std() / math.sqrt(scores.size)
    assert ends(interval) == pytest.approx(
        (scores.mean() - 1.96 * error, scores.mean() + 1.96 * error), abs=0.1 * error
    )


@pytest.mark.parametrize(
    "interval",
    [
        lambda scores: text_interval(scores[0], DRAWS),
        lambda scores: random_effects_interval(scores[:1] - 0.5),
    ],
)
def test_intervals_close_with_the_number_of_texts(interval):
    """Four times as many texts, half the width."""
    generator = np.random.default_rng(6)
    widths = [width(interval(generator.beta(4, 2, size=(2, n)))) for n in (50, 800, 12_800)]
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.2)
    assert widths[1] / widths[2] == pytest.approx(4, rel=0.15)


def test_too_many_distinct_scores_are_drawn_in_bins(monkeypatch):
    """Neighbours are drawn together: the same interval up to the luck of the draw."""
    scores = np.random.default_rng(6).random(3_000)
    fine = text_interval(scores, DRAWS)
    monkeypatch.setattr(bayesian, "MAX_DISTINCT", 500)
    value, _, number = bayesian.distinct(scores, np.ones(3_000))
    assert value.size == 500 and value @ number == pytest.approx(scores.sum())
    assert ends(text_interval(scores, DRAWS)) == pytest.approx(ends(fine), abs=0.2 * width(fine))


@pytest.mark.parametrize("interval", [text_interval])
def test_draws_are_determined_by_their_seed(interval, monkeypatch):
    scores = np.random.default_rng(6).random(30)
    first = interval(scores, DRAWS)
    assert interval(scores, DRAWS) == first
    assert interval(scores, DRAWS._replace(seed=1)) != first
    monkeypatch.setattr(bootstrap, "CHUNK_INDICES", 1)
    assert ends(interval(scores, DRAWS)) == pytest.approx(ends(first), abs=1e-12)


# --- differences -----------------------------------------------------------------------------


@given(table=tables, other=rows)
@settings(deadline=None)
def test_swapping_the_sides_swaps_the_signs(table, other):
    """Intervals, p, wins and losses; and every interval holds its mean, within -1..1."""
    n = min(table.shape[1], other.size)
    lora, baseline = table[:, :n], other[:n]
    for found, swapped in (
        (random_effects_interval(lora - baseline), random_effects_interval(baseline - lora)),
        (difference_interval(lora[0] - baseline), difference_interval(baseline - lora[0])),
    ):
        assert -1 <= found.low <= found.estimate <= found.high <= 1
        assert ends(swapped) == pytest.approx((-found.high, -found.low), abs=1e-12)
    ours = paired_difference(lora[0], baseline, DRAWS)
    theirs = paired_difference(baseline, lora[0], DRAWS)
    assert theirs.p_value == ours.p_value
    assert theirs.difference == pytest.approx(-ours.difference)
    assert (theirs.wins, theirs.ties, theirs.losses) == (ours.losses, ours.ties, ours.wins)
    assert ours.wins == np.sum(np.round(6 * lora[0]) > np.round(6 * baseline))
    assert ours.wins + ours.ties + ours.losses == ours.n_texts == ours.n_clusters == n


@given(table=tables, factor=st.floats(0.01, 0.5), shift=st.floats(-0.05, 0.05))
@settings(deadline=None)
def test_differences_scale_and_shift_with_their_interval(table, factor, shift):
    """Away from the bounds the unit of the differences is free."""
    spread = table - table.mean()
    if np.ptp(spread.mean(axis=0)) < 1e-6:
        return
    found = random_effects_interval(spread, bounds=(-99.0, 99.0))
    moved = random_effects_interval(factor * spread + shift, bounds=(-99.0, 99.0))
    expected = (factor * found.low + shift, factor * found.high + shift)
    assert ends(moved) == pytest.approx(expected, abs=1e-9)


def test_the_pseudo_text_of_differences_in_closed_form():
    """0, 0, 0.4: the mean is 0.1333 and the farthest text 0.2667 away, so the halves lie at 1.5
    times that on either side, and the four weights 1, 1, 1 and ½ + ½ make the variance."""
    values = np.array([0.0, 0.0, 0.4])
    mean, reach = values.mean(), 1.5 * (0.4 - values.mean())
    squares = np.sum((values - mean) ** 2) + 0.5 * reach**2 * 2
    half = scipy.stats.t.ppf(0.975, 2) * math.sqrt(squares / (4 * 5))
    assert ends(difference_interval(values)) == pytest.approx((mean - half, mean + half))


def test_differences_that_are_all_alike_are_not_certain():
    """No difference on 64 texts leaves a few per cent either way; two perfect sides as well."""
    interval = difference_interval(np.zeros(64))
    assert interval.high == -interval.low == pytest.approx(0.031, abs=0.01)
    ahead = difference_interval(np.ones(64))
    assert ahead.high == 1.0 and 0.9 < ahead.low < 0.97
    assert width(difference_interval(np.zeros(640))) < 0.11 * width(interval)


def test_a_single_text_says_nothing_of_others():
    """Also a single group of many texts."""
    assert ends(difference_interval([0.3])) == (-1.0, 1.0)
    assert ends(random_effects_interval([[0.3], [0.5]])) == pytest.approx((-1.0, 1.0))
    assert ends(difference_interval([0.3, 0.2, 0.4], groups="aaa")) == (-1.0, 1.0)
    assert sign_flip([0.3]) == 1.0


def test_smooth_differences_have_nearly_students_interval():
    """A little wider, for the texts that were not met."""
    values = 0.1 * np.random.default_rng(8).normal(size=200)
    student = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.9)
    ours = difference_interval(values, 0.9)
    assert 1.0 < width(ours) / (student.high - student.low) < 1.1
    assert (ours.low + ours.high) / 2 == pytest.approx(values.mean(), abs=1e-3)


# --- seeds -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("both", "texts"),
    [
        (random_effects_interval, difference_interval),
        (lambda x: random_effects_score(x, DRAWS), lambda x: text_interval(x, DRAWS)),
    ],
)
def test_seeds_that_differ_widen_the_interval(both, texts):
    """One seed, or seeds without effect: the interval over texts. Apart: what t says of them."""
    scores = np.random.default_rng(8).beta(8, 8, size=40)
    assert both(scores[None]) == texts(scores)
    alike = both(np.tile(scores, (3, 1)))
    assert ends(alike) == pytest.approx(ends(texts(scores)))
    assert alike.method == "random-effects interval over seeds and texts"
    moved = scores + np.array([[-0.05], [0.0], [0.05]])
    apart, over_texts = both(moved), texts(moved)
    three = scipy.stats.ttest_1samp([-0.05, 0.0, 0.05], 0).confidence_interval(0.95)
    expected = math.hypot(over_texts.estimate - over_texts.low, three.high)
    assert apart.estimate - apart.low == pytest.approx(expected, rel=1e-6)


def test_only_half_of_the_interaction_is_taken_off_the_seeds():
    """Mean squares 4 of seeds and 1 of their interaction, over 2 × 2 cells."""
    table = np.array([[1.5, 0.0], [-1.5, -1.0]])
    assert mean_squares(table) == pytest.approx((4.0, 0.25, 1.0))
    added = scipy.stats.t.ppf(0.975, 1) * math.sqrt((4.0 - 0.5) / 4)
    found = random_effects_interval(table / 50)
    over_texts = difference_interval(table / 50)
    expected = math.hypot(over_texts.estimate - over_texts.low, added / 50)
    assert found.estimate - found.low == pytest.approx(expected)


def test_the_pseudo_text_weighs_as_much_as_seeds_agree():
    """Three seeds that fail on the same text are one failure, on three texts a third of one."""
    same, apart = np.ones((3, 12)), np.ones((3, 12))
    same[:, 0], apart[[0, 1, 2], [0, 1, 2]] = 0.0, 0.0
    assert agreement(same) == agreement(same[:1]) == agreement(np.ones((3, 12))) == 1.0
    assert agreement(apart) == 1 / 3
    assert text_interval(same, DRAWS).low == jeffreys(11, 12)[0]
    third = text_interval(apart, MANY)
    # nearly Jeffreys' interval of 33 in 36
    assert ends(third) == pytest.approx(jeffreys(33, 36), abs=0.02)


def test_seeds_that_differ_less_than_by_chance_narrow_nothing():
    """Two seeds that err on opposite texts: their mean square is 0 and less is taken off nothing."""
    texts = np.random.default_rng(5).normal(size=30) / 20
    noise = np.where(np.arange(30) % 2, 0.05, -0.05)
    opposed = np.stack([texts + noise, texts - noise])
    assert mean_squares(opposed).seeds < mean_squares(opposed).interaction
    over_texts = difference_interval(opposed)
    assert ends(random_effects_interval(opposed)) == pytest.approx(ends(over_texts))
    assert components(opposed).seeds == 0.0
    assert variance_shares(opposed).seeds.estimate == 0.0
    scores = opposed + 0.5
    over_texts = text_interval(scores, DRAWS)
    assert ends(random_effects_score(scores, DRAWS)) == pytest.approx(ends(over_texts))


def test_two_seeds_take_a_wide_interval():
    """A t of 12.7 where a hundred seeds take 2."""
    texts = np.random.default_rng(2).normal(size=50) / 50
    wide = width(random_effects_interval(texts + np.array([[-0.01], [0.01]])))
    many = np.tile([[-0.01], [0.01]], (50, 1))
    assert wide > 5 * width(random_effects_interval(texts + many))


def table(
    generator: np.random.Generator,
    n_seeds: int,
    n_texts: int,
    text_sd: float,
    seed_sd: float,
    noise_sd: float,
) -> np.ndarray:
    """Scores of mean 0 whose texts are hard or easy for every seed alike."""
    return (
        text_sd * generator.normal(size=n_texts)
        + seed_sd * generator.normal(size=(n_seeds, 1))
        + noise_sd * generator.normal(size=(n_seeds, n_texts))
    )


def test_variance_shares_are_the_anovas():
    """The parts follow from the mean squares of statsmodels' two-way analysis of variance."""
    import pandas as pd

    scores = table(np.random.default_rng(4), 4, 25, 0.12, 0.05, 0.06)
    cells = [
        {"seed": seed, "text": text, "score": score}
        for (seed, text), score in np.ndenumerate(scores)
    ]
    model = statsmodels.formula.api.ols("score ~ C(seed) + C(text)", pd.DataFrame(cells)).fit()
    seeds, texts, noise = anova_lm(model)["mean_sq"].loc[["C(seed)", "C(text)", "Residual"]]
    ours = variance_shares(scores)
    total = (seeds + texts - noise) / scores.size
    assert ours.seeds.estimate == pytest.approx((seeds - noise) / scores.size / total)
    assert ours.texts.estimate == pytest.approx((texts - noise) / scores.size / total)
    assert ours.interaction.estimate == pytest.approx(noise / scores.size / total)


@pytest.mark.slow
def test_variance_of_the_mean_is_unbiased():
    """Averaged over experiments the estimate is the known variance of the mean and its parts."""
    generator = np.random.default_rng(6)
    tables = [table(generator, 4, 30, 0.3, 0.2, 0.1) for _ in range(1_000)]
    found = np.mean([_parts(*mean_squares(scores)) for scores in tables], axis=0) / tables[0].size
    parts = [0.2**2 / 4, 0.3**2 / 30, 0.1**2 / 120]
    assert found == pytest.approx(parts, rel=0.1)
    assert found.sum() == pytest.approx(sum(parts), rel=0.08)
    # the shares are those of these parts
    shares, one = variance_shares(tables[0]), np.array(_parts(*mean_squares(tables[0])))
    estimates = [share.estimate for share in (shares.seeds, shares.texts, shares.interaction)]
    assert estimates == pytest.approx(list(one / one.sum()))


@given(scores=tables)
@settings(deadline=None, max_examples=30)
def test_a_negative_part_counts_as_nothing(scores):
    """No share and no end of one lies outside of 0..1, and the estimates sum to 1."""
    found = variance_shares(scores)
    shares = [found.seeds, found.texts, found.interaction]
    if shares[0] is None:
        assert shares == [None] * 3
        return
    assert all(0 <= share.low <= share.estimate <= share.high <= 1 for share in shares)
    assert sum(share.estimate for share in shares) == pytest.approx(1)


def test_variance_shares_do_not_guess():
    """One seed, one text or no variance at all gives None, and a negative part counts as 0."""
    assert variance_shares(np.random.default_rng(0).random((1, 9))).seeds is None
    assert variance_shares(np.random.default_rng(0).random((3, 1))).texts is None
    constant = variance_shares(np.full((3, 9), 0.7))
    assert constant.seeds is None
    opposed = variance_shares([[1.0, 0.0], [0.0, 1.0]])
    parts = (opposed.seeds, opposed.texts, opposed.interaction)
    assert [part.estimate for part in parts] == [0.0, 0.0, 1.0]


def test_the_share_of_few_seeds_is_hardly_known():
    """Three seeds: a true share of a half is covered, by intervals that hold nearly everything."""
    generator = np.random.default_rng(11)
    # σ²_seed/3 = σ²_text/64 + σ²_noise/192
    seed_sd = math.sqrt(3 * (0.12**2 / 64 + 0.06**2 / 192))
    found = [
        variance_shares(table(generator, 3, 64, 0.12, seed_sd, 0.06), seed=i).seeds
        for i in range(400)
    ]
    covered = np.mean([share.low <= 0.5 <= share.high for share in found])
    assert 0.92 <= covered <= 0.99
    assert np.mean([share.high - share.low for share in found]) > 0.5


# --- the test --------------------------------------------------------------------------------


def test_sign_flips_in_closed_form():
    """Three gains: of eight ways to choose the signs, all plus and all minus lie as far off."""
    assert sign_flip([0.1, 0.2, 0.3]) == 2 / 8
    assert sign_flip([0.1, 0.2, 0.3, 0.0]) == 2 / 8
    assert sign_flip(np.zeros(5)) == 1.0
    # 0.1 + 0.2 - 0.3: every way is at least that far off
    assert sign_flip([0.1, 0.2, -0.3]) == 1.0


@given(differences=rows.map(lambda row: row - 0.5))
@settings(deadline=None, max_examples=40)
def test_drawn_signs_tell_what_all_signs_tell(differences):
    """And p is never 0."""
    every = sign_flip(differences, 2**20)
    drawn = sign_flip(differences, 2_000)
    assert drawn == pytest.approx(every, abs=0.05)
    assert 0 < every <= 1 and 0 < drawn <= 1


def test_sign_flips_are_scipys():
    generator = np.random.default_rng(2)
    lora, baseline = generator.random((2, 10))
    reference = scipy.stats.permutation_test(
        (lora, baseline), lambda a, b: np.mean(a - b), permutation_type="samples"
    )
    assert sign_flip(lora - baseline) == pytest.approx(reference.pvalue)


def test_sign_flips_survive_rounding():
    """Tenths give the p of the same differences in whole numbers, whose sums are exact."""
    generator = np.random.default_rng(10)
    for n in (8, 20):
        for _ in range(10):
            lora, baseline = generator.integers(0, 7, size=(2, n))
            exact = sign_flip(lora - baseline, 500)
            assert sign_flip(lora / 10 - baseline / 10, 500) == exact


def test_drawn_signs_are_determined_by_their_seed(monkeypatch):
    differences = np.random.default_rng(10).normal(0.05, 0.2, size=40)
    first = sign_flip(differences, 300, 5)
    assert sign_flip(differences, 300, 5) == first
    assert len({sign_flip(differences, 300, seed) for seed in range(5)}) > 1
    monkeypatch.setattr(bootstrap, "CHUNK_INDICES", 1)
    assert sign_flip(differences, 300, 5) == first
    monkeypatch.setattr(bayesian, "MAX_DISTINCT", 10)
    assert sign_flip(differences, 300, 5) == pytest.approx(first, abs=0.05)


def test_ties_survive_rounding():
    """Scores equal but for the order of a sum are ties, not wins."""
    lora = np.array([0.1 + 0.2, 0.5])
    result = paired_difference(lora, np.array([0.3, 0.5]), DRAWS)
    assert lora[0] != 0.3
    assert (result.wins, result.ties, result.losses) == (0, 2, 0)
    assert result.p_value == 1.0


# --- groups ----------------------------------------------------------------------------------


def test_groups_of_one_are_texts():
    scores = np.random.default_rng(2).random((3, 12))
    for call in (
        lambda groups: random_effects_interval(scores, groups=groups),
        lambda groups: paired_difference(scores[0], scores[1], DRAWS, groups=groups).p_value,
        lambda groups: variance_shares(scores, groups=groups),
    ):
        assert str(call(list(range(12)))).replace("groups of texts", "texts") == str(call(None))
    alone = text_interval(scores[0], DRAWS)
    assert ends(text_interval(scores[0], DRAWS, groups=list("abcdefghijkl"))) == ends(alone)


def test_copies_of_a_text_are_one_text():
    """Each text five times over, labelled as such, has the interval and the p of the texts."""
    scores = np.random.default_rng(2).random((3, 12)) / 2
    copies, labels = np.repeat(scores, 5, axis=1), np.repeat(np.arange(12), 5)
    for groups, tables_ in ((None, scores), (labels, copies)):
        found = (
            ends(random_effects_interval(tables_ - 0.2, groups=groups)),
            ends(random_effects_score(tables_, DRAWS, groups=groups)),
            sign_flip(tables_[0] - 0.2, 400, groups=groups),
        )
        if groups is None:
            expected = found
    for ours, theirs in zip(found, expected):
        assert ours == pytest.approx(theirs)
    wider = width(difference_interval(copies[0], groups=labels))
    assert wider > 1.8 * width(difference_interval(copies[0]))


def test_groups_of_unequal_size_keep_the_mean_and_its_robust_error():
    """The variance is that of statsmodels' cluster-robust regression on a constant, uncorrected."""
    generator = np.random.default_rng(7)
    labels = np.repeat(np.arange(9), generator.integers(1, 9, size=9))
    scores = generator.random(labels.size) + generator.normal(size=9)[labels]
    pulled = group_scores(scores[None], labels)[0]
    assert pulled.mean() == pytest.approx(scores.mean())
    model = statsmodels.api.OLS(scores, np.ones(scores.size)).fit(
        cov_type="cluster", cov_kwds={"groups": labels, "use_correction": False}
    )
    assert pulled.var() / 9 == pytest.approx(float(model.bse[0]) ** 2)
    assert design_effect(scores, labels) == pytest.approx(
        pulled.var(ddof=1) / 9 / (scores.var(ddof=1) / scores.size)
    )


def test_intraclass_correlation():
    """Known for normal scores; 1 for copies, 0 for strangers, None where it cannot be told."""
    generator = np.random.default_rng(7)
    labels = np.repeat(np.arange(2_000), generator.integers(1, 5, size=2_000))
    scores = 0.6 * generator.normal(size=2_000)[labels] + 0.8 * generator.normal(size=labels.size)
    assert intraclass_correlation(scores, labels) == pytest.approx(0.36, abs=0.03)
    assert intraclass_correlation(generator.random(20)[labels % 20], labels % 20) == 1.0
    assert intraclass_correlation([0.0, 1.0, 0.0, 1.0], "aabb") == 0.0
    for scores, labels in (([0.1, 0.2], "aa"), ([0.1, 0.2], "ab"), ([0.1] * 4, "aabb")):
        assert intraclass_correlation(scores, labels) is None


@pytest.mark.parametrize(
    "call",
    [
        lambda: text_interval([], DRAWS),
        lambda: text_interval([0.5, math.nan], DRAWS),
        lambda: text_interval([0.5, 1.5], DRAWS),
        lambda: text_interval([0.5, 0.6], Draws(0, 0, 0.95)),
        lambda: text_interval([0.5, 0.6], Draws(9, 0, 95)),
        lambda: text_interval([0.5, 0.6], DRAWS, groups="abc"),
        lambda: jeffreys(3, 2),
        lambda: jeffreys(0, 0),
        lambda: difference_interval([2.0, 0.1]),
        lambda: difference_interval([0.2, 0.1], 95),
        lambda: paired_difference([0.5, 0.6], [0.5], DRAWS),
        lambda: sign_flip([[0.5]]),
        lambda: sign_flip([0.5], 0),
        lambda: variance_shares([0.5]),
        lambda: variance_shares([[0.5]], 95),
        lambda: random_effects_interval([0.5]),
        lambda: random_effects_interval([[0.5, 0.6]], confidence=95),
        lambda: random_effects_score([[0.5, -0.6]], DRAWS),
    ],
)
def test_bad_input_is_refused(call):
    """Wrong shapes, NaN and impossible settings raise instead of becoming a number."""
    with pytest.raises(ValueError, match="expected"):
        call()


def test_bounds_are_read_from_nowhere_else():
    """Every pair of bounds keeps its interval within."""
    for bounds in itertools.combinations((-1.0, 0.0, 0.5, 2.0), 2):
        values = np.full(5, bounds[1])
        found = difference_interval(values, bounds=bounds)
        assert bounds[0] <= found.low < found.high == bounds[1]
    assert bootstrap.ROUNDING < 1e-6


def test_three_copies_of_one_run_are_no_more_texts():
    """Tripling the same pass narrows the published interval, by √3, and not ours."""
    scores = np.random.default_rng(7).beta(5, 2, size=(1, 60))
    tripled = np.tile(scores, (3, 1))
    ours = random_effects_score(scores, DRAWS), random_effects_score(tripled, DRAWS)
    assert ends(ours[0]) == pytest.approx(ends(ours[1]))
    theirs = published_interval(scores, 4_000), published_interval(tripled, 4_000)
    assert width(theirs[0]) / width(theirs[1]) == pytest.approx(math.sqrt(3), rel=0.05)
    assert "published protocol" in theirs[0].method
