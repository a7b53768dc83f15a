"""The one function from intervals to conclusions: every claim, at every bound and at equality."""

from __future__ import annotations

import numpy as np
import pytest

from lora_vs_api.analysis.decision import Costs, above, below, cost_intervals, decide
from lora_vs_api.analysis.digits import digits_apart
from lora_vs_api.analysis.metrics import Hypothesis
from lora_vs_api.analysis.results import (
    Comparison,
    CostRatio,
    Decision,
    FieldDifference,
    IntervalEnds,
    McNemar,
    PayBack,
    RateDifferences,
)
from lora_vs_api.analysis.verdict import verdict
from lora_vs_api.config.sections import Clauses
from lora_vs_api.report.sections.advice import difference_between, pay_back_between
from lora_vs_api.stats.bootstrap import Draws, bootstrap_mean
from lora_vs_api.stats.economics import break_even

CLAUSES = Clauses.model_validate(
    {"accuracy": {"margin": 0.02}, "cost": {"max_ratio": 1.0}, "break_even": {"max_inferences": 1000}}
)  # fmt: skip
HYPOTHESIS = Hypothesis(id="H", statement="It pays.", clauses=CLAUSES, sha256="ab" * 32)
DRAWS = Draws(resamples=400, seed=0, confidence=0.95)
NONE = FieldDifference(difference=0.0, low=0.0, high=0.0)


def comparison(low: float, high: float, texts: tuple[float, float] = (0.5, 0.6)) -> Comparison:
    """With an interval over texts that says something else than the one that decides."""
    return Comparison(
        baseline="api", label="API", difference=(low + high) / 2, low=texts[0], high=texts[1],
        method="over texts", p_value=0.0001, p_holm=0.0001,
        random_effects=IntervalEnds(low=low, high=high, method="over seeds and texts"),
        wins=1, ties=0, losses=0, mcnemar=McNemar(only_lora=0, only_baseline=0, p_value=1.0),
        clusters=9, rates=RateDifferences(
            exact_match=NONE, valid_json=NONE, schema_valid=NONE, truncated=NONE
        ),
        planning=None, per_field={},
    )  # fmt: skip


def decided(
    difference: tuple[float, float] = (0.0, 0.0),
    ratio: tuple[float | None, float | None] = (0.1, 0.2),
    volume: tuple[float | None, float | None] = (10.0, 20.0),
) -> Decision:
    return decide(
        comparison(*difference),
        CostRatio(estimate=ratio[0], low=ratio[0], high=ratio[1], method="m"),
        PayBack(volume=volume[0], low=volume[0], high=volume[1], never=0.0, method="m"),
        CLAUSES,
        seeds=3,
    )


@pytest.mark.parametrize(
    ("difference", "non_inferior", "superior"),
    [
        ((0.01, 0.03), "holds", "holds"),
        ((-0.01, 0.03), "holds", "undecided"),
        ((-0.019, -0.001), "holds", "fails"),
        # everything scores alike
        ((0.0, 0.0), "holds", "fails"),
        ((-0.03, 0.01), "undecided", "undecided"),
        ((-0.03, -0.01), "undecided", "fails"),
        ((-0.04, -0.03), "fails", "fails"),
        # an end at the bound does not meet a claim of more
        ((-0.02, 0.1), "undecided", "undecided"),
        ((-0.03, -0.02), "fails", "fails"),
        ((0.0, 0.1), "holds", "undecided"),
        ((-0.01, 0.0), "holds", "fails"),
    ],
)
def test_accuracy_goes_by_the_whole_decision_interval(difference, non_inferior, superior):
    """And never by the interval over texts, which here says that LoRA is far better."""
    found = decided(difference)
    assert (found.non_inferior, found.superior) == (non_inferior, superior)
    assert (found.interval.low, found.interval.high) == difference
    assert found.interval.method == "over seeds and texts"


@pytest.mark.parametrize(
    ("ratio", "outcome"),
    [
        ((0.1, 0.99), "holds"),
        ((0.1, 1.0), "undecided"),
        ((0.9, None), "undecided"),
        ((1.0, 1.0), "fails"),
        ((1.1, None), "fails"),
        ((None, None), "fails"),
        ((0.0, 0.0), "holds"),
    ],
)
def test_cheaper_is_below_the_registered_ratio(ratio, outcome):
    assert decided(ratio=ratio).cheaper == outcome


@pytest.mark.parametrize(
    ("volume", "outcome"),
    [
        ((10.0, 999.0), "holds"),
        # the point lies below the limit and the interval does not
        ((900.0, 1000.0), "undecided"),
        ((900.0, None), "undecided"),
        ((1000.0, 2000.0), "fails"),
        ((2000.0, None), "fails"),
        ((None, None), "fails"),
        ((0.0, 0.0), "holds"),
    ],
)
def test_paying_back_is_below_the_registered_volume(volume, outcome):
    assert decided(volume=volume).pays_back == outcome


def test_a_claim_holds_fails_or_is_undecided():
    """Each is the case for some interval, and for none two of them."""
    ends = np.linspace(-1, 1, 9)
    for low in ends:
        for high in ends[ends >= low]:
            every = {value > 0.25 for value in np.linspace(low, high, 33)}
            found = {(True,): "holds", (False,): "fails"}.get(tuple(every), "undecided")
            assert above(low, high, 0.25) == found
            # less is not more the other way round, but at the bound
            if 0.25 not in (low, high):
                opposite = {"holds": "fails", "fails": "holds"}.get(found, found)
                assert below(low, high, 0.25) == opposite


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.1, 0.2, 1), (-0.2, -0.1, -1), (-0.1, 0.1, 0), (0.0, 0.0, 0)]
)
def test_side_of_zero(low, high, expected):
    assert FieldDifference(difference=0.0, low=low, high=high).side == expected


@pytest.mark.parametrize(
    ("values", "bounds", "digits"),
    [([0.5, 0.6], [0.0], 3), ([0.0004], [0.0], 4), ([-0.01996], [-0.02], 5), ([0.02], [0.02], 3)],
)
def test_digits_enough_to_see_the_side(values, bounds, digits):
    assert digits_apart(values, bounds, 3, round) == digits


def test_what_is_written_never_contradicts_the_outcome():
    """Ends that would round to the bound get the digits that tell them from it."""
    close = decided((0.0004, 0.3), ratio=(0.5, 0.99996), volume=(999.96, 1000.04))
    accuracy, cost, pays = verdict(HYPOTHESIS, close, 0.95).clauses
    assert "[+0.0004, +0.3000]" in accuracy.reason and accuracy.outcome == "holds"
    assert "[0.5, 0.99996]" in cost.reason and cost.outcome == "holds"
    assert "[999.96, 1,000.04]" in pays.reason and pays.outcome == "undecided"
    assert difference_between(close) == "+0.0004 to +0.3000"
    assert pay_back_between(close) == "999.96 to 1,000.04"
    worse = decided((-0.3, -0.02004))
    assert difference_between(worse) == "-0.30000 to -0.02004"


def test_the_verdict_is_the_decisions_own():
    """Each clause has its own outcome and interval; none is judged by the one over texts."""
    # clear over texts (0.5 to 0.6), and not for another training
    found = verdict(HYPOTHESIS, decided((-0.354, 0.568), (0.1, 0.2), (900.0, 1100.0)), 0.95)
    assert [clause.name for clause in found.clauses] == ["accuracy", "cost", "break_even"]
    assert [clause.outcome for clause in found.clauses] == ["undecided", "holds", "undecided"]
    accuracy, cost, pays = (clause.reason for clause in found.clauses)
    assert "LoRA (mean of 3 seeds) minus API: +0.107 field F1" in accuracy
    assert "95% over seeds and texts [-0.354, +0.568]" in accuracy and "0.5" not in accuracy[:60]
    assert "above -0.02" in accuracy and accuracy.endswith("more accurate (above 0): undecided.")
    assert "[0.1, 0.2]" in cost and "below 1." in cost
    assert "[900, 1,100]" in pays and "below 1,000." in pays
    assert (found.id, found.statement, found.sha256) == ("H", "It pays.", "ab" * 32)
    assert found.outcome == "undecided"


@pytest.mark.parametrize(
    ("difference", "accuracy", "superior"),
    [
        # not worse, and not better either: the claim is "matches or exceeds"
        ((0.0, 0.0), "holds", "fails"),
        ((-0.01, 0.03), "holds", "undecided"),
        ((0.01, 0.03), "holds", "holds"),
        ((-0.04, -0.03), "fails", "fails"),
    ],
)
def test_the_accuracy_clause_asks_for_not_worse(difference, accuracy, superior):
    """Superiority stands beside it and decides nothing."""
    found = verdict(HYPOTHESIS, decided(difference), 0.95)
    assert found.clauses[0].outcome == accuracy == found.outcome
    assert found.clauses[0].reason.endswith(f"more accurate (above 0): {superior}.")


@pytest.mark.parametrize(
    ("ratio", "volume", "outcomes"),
    [
        ((0.1, 0.2), (10.0, 20.0), ("holds", "holds", "holds", "holds")),
        ((0.9, 1.2), (10.0, None), ("holds", "undecided", "undecided", "undecided")),
        ((1.5, None), (None, None), ("holds", "fails", "fails", "fails")),
        ((0.1, 0.2), (2000.0, 3000.0), ("holds", "holds", "fails", "fails")),
        ((0.9, 1.2), (2000.0, None), ("holds", "undecided", "fails", "fails")),
    ],
)
def test_the_claim_holds_where_all_clauses_do(ratio, volume, outcomes):
    """One that fails is enough to fail, and one that is open to leave it open."""
    found = verdict(HYPOTHESIS, decided((0.1, 0.2), ratio, volume), 0.95)
    assert (*(clause.outcome for clause in found.clauses), found.outcome) == outcomes
    assert ("never paid back" in found.clauses[2].reason) == (volume[0] is None)
    assert ("∞" in found.clauses[1].reason) == (ratio[1] is None)


def test_one_seeds_verdict_is_on_that_adapter():
    alone = decided((0.1, 0.2)).model_copy(update={"seeds": 1})
    assert "LoRA (this adapter) minus API" in verdict(HYPOTHESIS, alone, 0.95).clauses[0].reason


def test_ratio_and_volume_never_contradict_each_other():
    """They are from the same resamples: never is where the ratio is at least 1."""
    costs = Costs(2.0, np.array([1.0, 3.0, 2.0]), np.array([1.0, 2.0, 3.0, 2.5]))
    ratio, volume = cost_intervals(costs, DRAWS)
    assert ratio.low < 1 < ratio.high and volume.high is None and 0 < volume.never < 1
    assert ratio.estimate == pytest.approx(2 / 2.125)
    assert volume.volume == pytest.approx(2.0 / 0.125)


def test_the_volumes_interval_is_the_break_even_at_the_ends():
    """With local answers all alike, the ends are break-even at the ends of the mean API cost."""
    api = np.random.default_rng(0).gamma(4, 0.00002, size=80)
    _, found = cost_intervals(Costs(1_200, np.full(5, 0.00003), api), DRAWS)
    mean = bootstrap_mean(api, DRAWS.resamples, DRAWS.seed)
    assert found.low == pytest.approx(1_200 / (mean.high - 0.00003), rel=0.01)
    assert found.high == pytest.approx(1_200 / (mean.low - 0.00003), rel=0.01)
    assert found.low < found.volume < found.high and found.never == 0.0
    assert found.volume == pytest.approx(break_even(1_200, 0.03, 1_000 * api.mean()))


def test_each_side_varies_by_itself():
    """Two sides with the same costs, drawn from one stream, would have a ratio of exactly 1."""
    same = np.arange(1.0, 9.0)
    ratio, volume = cost_intervals(Costs(1.0, same, same.copy()), DRAWS)
    assert ratio.estimate == 1.0 and ratio.low < 0.8 and ratio.high > 1.2
    assert 0.3 < volume.never < 0.7


def test_both_sides_vary():
    """A side held at its mean would leave the interval without its share of the width."""
    wide, flat = np.array([1.0, 5.0] * 4), np.full(8, 9.0)
    for costs in (Costs(1.0, wide, flat), Costs(1.0, np.full(8, 0.5), wide)):
        ratio, volume = cost_intervals(costs, DRAWS)
        assert ratio.high > 1.5 * ratio.low and volume.high > 1.05 * volume.low
    ratio, volume = cost_intervals(Costs(1.0, np.full(8, 0.5), flat), DRAWS)
    assert ratio.low == ratio.high and volume.low == volume.high


@pytest.mark.parametrize(("never", "high"), [(10, 1000.0), (11, None)])
def test_there_is_nothing_between_a_volume_and_never(monkeypatch, never, high):
    """Of 400 resamples the 390th ends the interval; a share of never would make it never."""
    other = np.where(np.arange(400) < never, 1.0, 3.0)
    monkeypatch.setattr(
        "lora_vs_api.analysis.decision.resampled_means",
        lambda values, *_: np.full(400, 2.0) if values.size == 1 else other,
    )
    _, volume = cost_intervals(Costs(1000.0, np.array([2.0]), np.array([1.0, 3.0])), DRAWS)
    assert volume.high == high and volume.never == never / 400


@pytest.mark.parametrize(("dear", "high"), [(10, 0.5), (11, 2.0)])
def test_a_ratio_is_one_that_a_resample_had(monkeypatch, dear, high):
    """As the volume: of values in between one could lie above 1 where the volume is none of never."""
    other = np.where(np.arange(400) < dear, 1.0, 4.0)
    monkeypatch.setattr(
        "lora_vs_api.analysis.decision.resampled_means",
        lambda values, *_: np.full(400, 2.0) if values.size == 1 else other,
    )
    ratio, _ = cost_intervals(Costs(1000.0, np.array([2.0]), np.array([1.0, 3.0])), DRAWS)
    assert ratio.high == high


@pytest.mark.parametrize(
    ("local", "other", "ratio"), [(1.0, 0.0, None), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)]
)
def test_a_side_may_cost_nothing(local, other, ratio):
    """A free baseline is never undercut, and a free fine-tune undercuts all but a free one."""
    found, volume = cost_intervals(Costs(5.0, np.full(3, local), np.full(4, other)), DRAWS)
    assert (found.estimate, found.low, found.high) == (ratio, ratio, ratio)
    assert volume.volume == (5.0 if ratio == 0.0 else None)
    assert volume.never == (0.0 if ratio == 0.0 else 1.0)
