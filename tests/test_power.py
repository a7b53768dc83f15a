"""What a plan promises is what the interval that decides then does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.coverage import normal_reach, planned_power
from lora_vs_api.analysis.planning import EFFECTS, planning
from lora_vs_api.stats.power import (
    Components,
    components,
    minimum_detectable_effect,
    power,
    required_texts,
)

# per text: as wide as the committed run's, with seeds that make about half of the variance
FOUND = Components(seeds=0.0003, texts=0.01, interaction=0.01, reach=3.9)


def differences(n_seeds: int = 3, n_texts: int = 64, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (
        0.1
        + 0.15 * generator.normal(size=n_texts)
        + 0.02 * generator.normal(size=(n_seeds, 1))
        + 0.1 * generator.normal(size=(n_seeds, n_texts))
    )


@pytest.mark.parametrize(
    ("n_seeds", "n_texts", "seeds"),
    [(1, 64, None), (1, 12, None), (2, 64, 0.0003), (3, 64, 0.0003), (3, 300, 0.0003),
     (5, 64, 0.0), (10, 100, 0.001)],
)  # fmt: skip
def test_the_planned_effect_is_seen_four_times_in_five(n_seeds, n_texts, seeds):
    """By simulation, with the interval that decides."""
    found = Components(seeds, 0.01, 0.01, normal_reach(n_texts))
    _, seen = planned_power(found, n_seeds, n_texts, 2_000)
    assert seen == pytest.approx(0.8, abs=0.04)


def test_effect_and_power_and_texts_agree():
    """The texts that an effect takes are the fewest that see it, and see no smaller one."""
    for n_seeds in (3, 5, 20):
        effect = minimum_detectable_effect(FOUND, n_seeds, 200)
        assert power(effect, FOUND, n_seeds, 200) == pytest.approx(0.8, abs=1e-3)
        assert required_texts(effect, FOUND, n_seeds) == pytest.approx(200, abs=1)
        more = 1.1 * effect
        texts = required_texts(more, FOUND, n_seeds)
        assert power(more, FOUND, n_seeds, texts) >= 0.8 > power(more, FOUND, n_seeds, texts - 1)


def test_texts_do_not_replace_seeds():
    """An effect within what seeds differ by takes more of them: no number of texts is enough."""
    assert required_texts(0.02, FOUND, 2) is None
    assert required_texts(0.02, FOUND, 3) is None
    assert required_texts(0.02, FOUND, 10) is not None
    assert minimum_detectable_effect(FOUND, 3, 10_000_000) > 0.02
    # seeds that do not differ leave it to the texts
    assert required_texts(0.02, Components(0.0, 0.01, 0.01, 3.9), 3) is not None


def test_more_of_anything_shows_less():
    effects = [
        [minimum_detectable_effect(FOUND, n_seeds, n_texts) for n_texts in (30, 100, 1_000)]
        for n_seeds in (3, 5, 20)
    ]
    assert all(np.diff(row).max() < 0 for row in effects)
    assert np.diff(effects, axis=0).max() < 0
    wider = minimum_detectable_effect(FOUND, 3, 100, confidence=0.99)
    assert wider > minimum_detectable_effect(FOUND, 3, 100, confidence=0.95)
    assert minimum_detectable_effect(FOUND, 3, 100, aim=0.5) < effects[0][1]


def test_with_many_texts_the_effect_is_the_textbooks():
    """One seed: 2.80 standard errors, (z(0.975) + z(0.8)) sd / √n."""
    found = Components(None, 0.09, 0.0, 4.5)
    effect = minimum_detectable_effect(found, 1, 10_000)
    assert effect == pytest.approx(2.8016 * 0.3 / 100, rel=0.01)
    assert required_texts(0.02, found, 1) == pytest.approx((2.8016 * 0.3 / 0.02) ** 2, rel=0.02)


def test_nothing_that_varies_shows_everything():
    found = Components(0.0, 0.0, 0.0, 0.0)
    assert minimum_detectable_effect(found, 3, 10) == 0.0
    assert (power(0.1, found, 3, 10), power(0.0, found, 3, 10)) == (1.0, 0.0)
    assert required_texts(0.01, found, 3) == 2
    assert components(np.full((3, 9), 0.25)) == found


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_texts_that_are_all_alike_give_no_plan(level):
    """The interval goes by the ends of the scale then; no effect of 0.000 is promised."""
    assert planning(np.full((3, 64), level), 0.95) is None


def test_effects_beyond_the_scale_are_not_promised():
    assert minimum_detectable_effect(Components(0.2, 0.01, 0.0, 2.0), 2, 100) is None


def test_components_are_estimated_without_bias():
    """And of one seed nothing is said of another."""
    found = [components(differences(4, 30, seed)) for seed in range(500)]
    assert np.mean([row.seeds for row in found]) == pytest.approx(0.0004, abs=0.0001)
    assert np.mean([row.texts for row in found]) == pytest.approx(0.0225, rel=0.05)
    assert np.mean([row.interaction for row in found]) == pytest.approx(0.01, rel=0.05)
    one = components(differences(1))
    assert one.seeds is None and one.interaction == 0.0
    assert one.texts == pytest.approx(differences(1)[0].var(ddof=1))
    doubled = np.repeat(differences(3, 20), 2, axis=1)
    assert components(doubled, groups=[n // 2 for n in range(40)]).texts == pytest.approx(
        components(differences(3, 20)).texts
    )


def test_components_below_nothing_count_as_nothing():
    """Seeds (or texts) that differ less than their interaction would make: no plan gains from it."""
    crossed = np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]])
    found = components(crossed)
    assert (found.seeds, found.texts) == (0.0, 0.0) and found.interaction > 0
    assert power(0.3, found, 2, 30) <= power(0.3, found, 3, 30) <= 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: components([[0.5], [0.6]]),
        lambda: components([0.5, 0.6]),
        lambda: power(0.1, FOUND, 0, 10),
        lambda: power(0.1, FOUND, 3, 1),
        lambda: power(0.1, Components(None, 0.1, 0.0, 1.0), 2, 10),
        lambda: minimum_detectable_effect(FOUND, 3, 10, aim=80),
        lambda: minimum_detectable_effect(FOUND, 3, 10, confidence=95),
        lambda: required_texts(0.1, FOUND, 3, aim=0.0),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError, match="expected"):
        call()


# --- analysis/planning.py --------------------------------------------------------------------


def test_a_plan_tables_texts_and_seeds():
    """What was run stands among them, and each number is that of the functions above."""
    table = differences()
    plan = planning(table, 0.9)
    found = components(table)
    assert (plan.power, plan.confidence) == (0.8, 0.9)
    assert plan.seeds == (3, 5, 10, 20)
    assert [row.texts for row in plan.detectable] == [64, 100, 300, 1000, 3000]
    for row in plan.detectable:
        for seeds, effect in zip(plan.seeds, row.effects):
            expected = minimum_detectable_effect(found, seeds, row.texts, 0.9)
            assert effect == pytest.approx(expected, rel=5e-3)
    assert plan.here == plan.detectable[0].effects[0]
    assert tuple(row.effect for row in plan.effects) == EFFECTS
    for row in plan.effects:
        assert row.texts == tuple(
            required_texts(row.effect, found, seeds, 0.9) for seeds in plan.seeds
        )
        possible = [
            seeds * texts for seeds, texts in zip(plan.seeds, row.texts) if texts is not None
        ]
        assert row.cheapest is None or row.cheapest.answers == min(possible)
        assert (row.cheapest is None) == (not possible)


def test_the_registered_confidence_is_planned_for():
    """A stricter interval sees less."""
    table = differences()
    loose, strict = planning(table, 0.8), planning(table, 0.99)
    assert loose.here < strict.here


def test_one_seed_plans_nothing_about_another_training():
    """No column of seeds; two have theirs beside what more would show."""
    assert planning(differences(1), 0.95).seeds == (1,)
    assert planning(differences(2), 0.95).seeds == (2, 3, 5, 10, 20)
    assert planning(differences(3, 1), 0.95) is None
    assert planning(differences(3, 4), 0.95, groups="aaaa") is None


def test_a_plan_of_two_texts_is_made():
    plan = planning(differences(2, 2), 0.95)
    assert plan.detectable[0].texts == 2
    assert math.isfinite(plan.effects[-1].texts[-1] or 0)
