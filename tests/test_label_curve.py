"""How many labels it takes: the subsets, their steps, the break-even and its interval, at every extreme."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.coverage import RIGHT_OR_WRONG, SIXTHS
from benchmarks.labels import DOCS, RIVALS, Case, bootstrapped, coverage, in_docs, ours
from benchmarks.timing import Row
from lora_vs_api.analysis import learning_curve as curves
from lora_vs_api.analysis.order import ranked, ranked_curve
from lora_vs_api.analysis.results import LearningCurve
from lora_vs_api.config.compose import compose
from lora_vs_api.config.consistency import inconsistency
from lora_vs_api.config.load import check_params, load_params
from lora_vs_api.config.sections import Train
from lora_vs_api.config.sections.training import CurveSteps
from lora_vs_api.curve.steps import final_steps, steps_of, texts_seen
from lora_vs_api.data.subsets import check_sizes, nested_order
from lora_vs_api.errors import UserError
from lora_vs_api.figures.label_curve import label_curve
from lora_vs_api.figures.looks import looks
from lora_vs_api.report.markdown import report_markdown
from lora_vs_api.report.sections.label_curve import label_change, label_curve_section
from lora_vs_api.stats.clusters import Labels
from lora_vs_api.stats.label_curve import difference_band, monotone, reached, score_band
from lora_vs_api.stats.variance import random_effects_interval, random_effects_score
from stages.learning_curve import labels_used
from tests.report_fixture import PLOTS, analysis, changed, inputs, learning_curve

LABELS = (40, 160, 640)
RESULT = Path("benchmarks/results/labels-cpu.json")
TRAIN = Train(
    epochs=3, max_steps=None, batch_size=4, gradient_accumulation=4, group_by_length=False,
    max_length=None, too_long="refuse", scheduler="cosine", warmup_ratio=0.05, max_grad_norm=1.0,
)  # fmt: skip
SETTINGS = curves.CurveSettings(given=1400, scale="same", least=1)
PROPORTIONAL = CurveSteps(scale="proportional", least=4)


def corpus(kinds: list[int]) -> list[Any]:
    return [{"id": f"t{i}", "text": f"text {i}", "record": {"k": k}} for i, k in enumerate(kinds)]


# --- which texts, and for how long -----------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.integers(0, 5))
def test_smaller_sets_are_nested_and_have_the_mix(kinds, seed):
    """The first n of the order, for every n: each label to within two of its share."""
    rows = corpus(kinds)
    order = nested_order(rows, "k", None, seed)
    assert sorted(row["id"] for row in order) == sorted(row["id"] for row in rows)
    assert order == nested_order(rows, "k", None, seed)
    shares, taken = Counter(kinds), Counter()
    for n, row in enumerate(order, 1):
        taken[row["record"]["k"]] += 1
        assert all(abs(taken[k] - n * m / len(rows)) <= 2 for k, m in shares.items())


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=60),
    st.integers(0, 5),
)
def test_groups_that_the_split_keeps_whole_follow_one_another(pairs, seed):
    """n labels are those of whole customers, of which the last is cut."""
    rows, groups = corpus([kind for kind, _ in pairs]), [str(group) for _, group in pairs]
    order = nested_order(rows, "k", groups, seed)
    assert sorted(row["id"] for row in order) == sorted(row["id"] for row in rows)
    of = {row["id"]: group for row, group in zip(rows, groups)}
    met = [of[row["id"]] for row in order]
    blocks = [group for place, group in enumerate(met) if place == 0 or met[place - 1] != group]
    assert len(blocks) == len(set(groups))


def test_whole_groups_keep_the_mix_as_well_as_they_can():
    """Groups of one label each: a random order of ten would often begin with four of a kind."""
    kinds = [place // 40 for place in range(80)]
    groups = [str(place // 4) for place in range(80)]
    for seed in range(5):
        first = nested_order(corpus(kinds), "k", groups, seed)[:40]
        assert Counter(row["record"]["k"] for row in first) == {0: 20, 1: 20}


def test_each_seed_draws_texts_of_its_own():
    rows = corpus([0] * 50)
    first, second = (nested_order(rows, None, None, seed)[:10] for seed in (10, 11))
    assert first != second


def test_a_size_that_is_no_part_of_the_training_texts_is_one_line():
    check_sizes([], 3)
    check_sizes([1, 2], 3)
    for size in (3, 800):
        with pytest.raises(
            UserError, match=rf"learning_curve\.sizes: .* texts, 3, .* found {size}"
        ):
            check_sizes([1, size], 3)


@given(
    st.integers(1, 500), st.integers(1, 40), st.integers(1, 4), st.integers(1, 4),
    st.none() | st.integers(1, 90), st.sampled_from(["proportional", "same"]), st.integers(1, 50),
)  # fmt: skip
def test_a_smaller_set_never_takes_more_steps_than_a_final_training(
    texts, batch, accumulation, epochs, most, scale, least
):
    """And never more the fewer its texts are; all of them take a final training's."""
    train = TRAIN.model_copy(
        update={
            "batch_size": batch, "gradient_accumulation": accumulation, "epochs": epochs,
            "max_steps": most,
        }
    )  # fmt: skip
    rule, whole = CurveSteps(scale=scale, least=least), final_steps(train, texts)
    found = [steps_of(size, texts, train, rule) for size in range(1, texts + 1)]
    assert found == sorted(found) and found[0] >= 1 and found[-1] == whole
    assert all(steps >= min(whole, least) for steps in found)
    if scale == "same":
        assert set(found) == {whole}
    # all of its own: two sizes never come to the same texts
    most = texts_seen(train, texts, whole)
    for size, steps in enumerate(found[: most - 1], 1):
        assert texts_seen(train, size, steps) == size
        one_pass = math.ceil(math.ceil(size / batch) / accumulation)
        assert steps >= one_pass
    assert texts_seen(train, texts, whole) <= texts


def test_proportional_is_as_many_passes():
    """Three epochs of 1,600 texts in batches of 16 are 300 steps, of 400 texts 75."""
    train = TRAIN.model_copy(
        update={"batch_size": 4, "gradient_accumulation": 4, "epochs": 3, "max_steps": None}
    )
    assert [steps_of(n, 1600, train, PROPORTIONAL) for n in (1600, 400, 16)] == [300, 75, 4]
    # where steps end a training before it has seen all, by those that it sees
    short = train.model_copy(update={"max_steps": 50})
    assert texts_seen(short, 1600, 50) == 800
    assert [steps_of(n, 1600, short, PROPORTIONAL) for n in (1200, 800, 400)] == [50, 50, 25]


# --- from how many labels on -----------------------------------------------------------------


def tables(*means: float, seeds: int = 2, texts: int = 40) -> list[np.ndarray]:
    half = np.where(np.arange(texts) % 2, 0.05, -0.05)
    return [np.clip(mean + np.array([half] * seeds), 0, 1) for mean in means]


def found_at(rival: float, *means: float, **shape: int) -> Any:
    made = tables(*means, **shape)
    level = np.full(made[0].shape[1], rival)
    band = difference_band(made, level, 0.95)
    return reached(LABELS[: len(made)], band, [len(table) for table in made])


def test_the_break_even_lies_on_a_straight_line_in_the_logarithm():
    """Half of the rise from 40 to 160 is at 80, the root of 40 × 160."""
    found = found_at(0.5, 0.4, 0.6, 0.9)
    assert found.estimate == pytest.approx(80)
    assert 40 < found.low < 80 < found.high < 160
    # its ends are where those of the differences pass 0, on straight lines too
    first, second, _ = difference_band(tables(0.4, 0.6, 0.9), np.full(40, 0.5), 0.95)
    for end, before, after in (
        (found.low, first.high, second.high),
        (found.high, first.low, second.low),
    ):
        assert end == pytest.approx(40 * 4 ** (before / (before - after)))


def test_from_the_smallest_on_and_never():
    assert found_at(0.1, 0.4, 0.6, 0.8) == reached_of(40, 40, 40)
    assert found_at(0.99, 0.4, 0.6, 0.8) == reached_of(None, None, None)


def reached_of(*ends: float | None) -> Any:
    from lora_vs_api.stats.label_curve import Reached

    return Reached(*ends)


def test_what_is_not_shown_is_open():
    """Two texts show nothing: any number of labels may be the one, and more than there are."""
    found = found_at(0.5, 0.4, 0.6, 0.8, texts=2)
    assert (found.low, found.high) == (40, None)
    assert curves.shown(found) == "undecided"


def test_a_dip_counts_for_the_high_end():
    """At least as good *from* n on: a point that is shown to be worse ends what came before it."""
    assert found_at(0.5, 0.6, 0.4, 0.8).high > 160
    # and the low end never lies beyond what the smallest sizes leave open
    assert found_at(0.5, 0.6, 0.4, 0.8).low == 40


scores = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@settings(max_examples=150)
@given(st.data())
def test_the_interval_holds_the_estimate_whatever_the_scores(data):
    """One seed or several, one point or three, two texts or ten, all perfect or all zero, in groups or not."""
    texts = data.draw(st.integers(1, 10))
    points = data.draw(st.integers(1, 3))

    def table(seeds: int) -> np.ndarray:
        return np.array(
            data.draw(
                st.lists(
                    st.lists(scores, min_size=texts, max_size=texts), min_size=seeds, max_size=seeds
                )
            )
        )

    made = [table(data.draw(st.integers(1, 3))) for _ in range(points)]
    level = table(1)[0]
    groups = None
    if data.draw(st.booleans()):
        groups = Labels("customer", tuple(str(place // 2) for place in range(texts)))
    band = difference_band(made, level, 0.95, groups=groups)
    assert all(-1 <= point.low <= point.estimate <= point.high <= 1 for point in band)
    found = reached(LABELS[:points], band, [len(t) for t in made])
    low, estimate, high = (
        math.inf if end is None else end for end in (found.low, found.estimate, found.high)
    )
    assert 40 <= low <= estimate <= high
    assert all(end <= LABELS[points - 1] or math.isinf(end) for end in (low, estimate, high))
    fit = monotone([point.estimate for point in band], [len(t) for t in made])
    assert list(fit) == sorted(fit)
    better = reached(
        LABELS[:points], difference_band(made, level * 0, 0.95, groups=groups), [1] * points
    )
    assert better.estimate == 40


def test_a_point_with_several_trainings_has_the_interval_that_decides():
    made = [np.random.default_rng(0).random((3, 20)) for _ in range(2)]
    level = np.full(20, 0.4)
    for table, found in zip(made, difference_band(made, level, 0.95)):
        assert found == random_effects_interval(table - level)
    same = [np.zeros((2, 20)), np.zeros((1, 20))]
    assert score_band(same, _draws())[0] == random_effects_score(same[0], _draws())


def test_one_training_has_the_spread_of_the_others():
    """Or it would pass for one that no other training could differ from."""
    apart = np.array([[0.4], [0.6]]) + np.zeros((2, 30))
    alone = np.full((1, 30), 0.3)
    wide, _ = difference_band([alone, apart], np.zeros(30), 0.95)
    narrow, _ = difference_band([alone, alone], np.zeros(30), 0.95)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert wide.method.startswith("random-effects") and not narrow.method.startswith("random")


def test_one_final_training_is_as_the_comparison_has_it():
    """About this adapter; two seeds of a smaller point that differ would else make it -1 to 1."""
    apart = np.array([[0.4], [0.6]]) + np.zeros((2, 30))
    alone = np.random.default_rng(0).random((1, 30))
    level = np.full(30, 0.2)
    _, last = difference_band([apart, alone], level, 0.95)
    assert last == random_effects_interval(alone - level)
    assert score_band([apart, alone], _draws())[1] == random_effects_score(alone, _draws())
    found = curves.learning_curve(
        [curves.Trained(40, (10, 11), 40, apart, np.round(apart))],
        curves.Trained(640, (0,), 80, alone, np.round(alone)),
        [curves.Rival("base_zero_shot", level, 0)],
        SETTINGS,
        _draws(),
    )
    assert found is not None and not found.single and not found.pooled
    result = analysis(seeds=(0,))
    said = section(result, found)
    assert "The last point is about this adapter alone, as in the comparison" in said
    # a rise is about other trainings too
    assert found.gains[0].field_f1.high - found.gains[0].field_f1.low > 1


@pytest.mark.parametrize("labels", [(), (40,), (40, 40, 640), (160, 40, 640)])
def test_what_is_no_curve_is_refused(labels):
    band = difference_band(tables(0.1, 0.2, 0.3), np.zeros(40), 0.95)
    with pytest.raises(ValueError):
        reached(labels, band, [2] * len(labels))


# --- the level, by simulation ----------------------------------------------------------------


@pytest.mark.parametrize("kind", [RIGHT_OR_WRONG, SIXTHS])
@pytest.mark.parametrize("place", ["below", "between", "at a point", "beyond"])
def test_the_interval_keeps_its_level(kind, place):
    """Wherever the break-even lies, for new texts and other trainings; give or take 200 experiments."""
    case = Case(kind, RIVALS[place], 56, (1, 1, 3), 0.03)
    assert coverage(ours, case, 200) >= 0.92


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(1, 1, 1), (2, 2, 3), (3, 3, 3)])
@pytest.mark.parametrize("place", RIVALS)
@pytest.mark.parametrize("n_texts", [12, 200])
def test_the_interval_keeps_its_level_with_few_texts_and_many(seeds, place, n_texts):
    spread = 0.0 if seeds == (1, 1, 1) else 0.03
    case = Case(RIGHT_OR_WRONG, RIVALS[place], n_texts, seeds, spread)
    assert coverage(ours, case, 400) >= 0.93
    grouped = replace(case, kind=SIXTHS, group=2, n_texts=2 * n_texts)
    assert coverage(ours, grouped, 200) >= 0.92


@pytest.mark.slow
def test_a_bootstrap_of_the_monotone_fit_does_not():
    """With a dozen texts it draws what was met and nothing else."""
    case = Case(RIGHT_OR_WRONG, RIVALS["between"], 12, (2, 2, 3), 0.03)
    assert coverage(bootstrapped, case, 150) < 0.93 <= coverage(ours, case, 150)


def test_texts_of_a_group_count_once():
    """Counted as independent, pairs of texts that are answered alike would cover too little."""
    case = Case(SIXTHS, RIVALS["at a point"], 24, (2, 2, 3), 0.0, group=4)
    assert coverage(ours, case, 150) >= 0.92


def test_the_table_of_the_docs_is_written_between_its_marks():
    row = Row(
        "labels", "sixths · 2+2+3 · 0 · 12 · used", "%", 90.0,
        notes={"columns": "; ".join(RIVALS), "%": "99.0 90.0 95.0 96.0 100.0"},
    )  # fmt: skip
    page = in_docs(
        "a\n<!-- written by `python -m benchmarks labels` -->\nold\n<!-- to here -->\nb", [row]
    )
    assert "old" not in page and page.startswith("a\n") and page.endswith("b")
    assert "| sixths | 2+2+3 | 0 | 12 | used | 99.0 | **90.0** | 95.0 | 96.0 | 100.0 |" in page


def test_the_docs_have_the_table_of_the_result():
    """All that was simulated, and no cell of what is used below 95 %."""
    rows = [
        Row("labels", row["what"], "%", row["ours"], notes=row["notes"])
        for row in json.loads(RESULT.read_text())["rows"]
    ]
    page = DOCS.read_text(encoding="utf-8")
    assert in_docs(page, rows) == page
    used = [row for row in rows if row.what.endswith("used")]
    assert len(used) > 30 and all(row.ours >= 95 for row in used)


# --- what is said ----------------------------------------------------------------------------


def section(result: Any = None, curve: LearningCurve | None = None) -> str:
    result = result or analysis()
    return str(label_curve_section(inputs(result, learning_curve=curve or learning_curve(result))))


def against(low: float | None, estimate: float | None, high: float | None) -> str:
    """The sentence on the reference condition, with such an interval."""
    result = analysis()
    curve = learning_curve(result)
    place = next(i for i, row in enumerate(curve.rivals) if row.name == result.reference.name)
    found = reached_of(estimate, low, high)
    changes = {
        f"rivals__{place}__break_even__{key}": value
        for key, value in (("low", low), ("estimate", estimate), ("high", high))
    }
    text = section(
        result, changed(curve, **changes, **{f"rivals__{place}__shown": curves.shown(found)})
    )
    return next(line for line in text.splitlines() if line.startswith("**"))


def test_the_first_sentence_says_what_the_interval_says():
    rival = "Tiny-7M over HTTP, zero-shot"
    assert against(60, 85.4, 130) == (
        f"**From 85 labels on the fine-tune scores at least as much as {rival} (95% interval 60 to 130).**"
    )
    assert "From 40 or fewer labels on" in against(40, 40, 40)
    assert "(95% interval 40 or fewer)" in against(40, 40, 40)
    assert against(None, None, None) == (
        f"**At every number of labels up to 640 the fine-tune scores below {rival} "
        "(95% interval more than 640).**"
    )
    open_ = against(40, None, None)
    assert (
        open_.startswith("**Whether the fine-tune scores at least as much as")
        and "is open: by the estimate it does not up to 640" in open_
    )
    assert "interval 40 or fewer to more than 640" in open_
    assert "by the estimate it does from 300 on" in against(40, 300, None)


@pytest.mark.parametrize("f1", [0.0, 1.0])
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize("apis", [(), ("api_zero_shot",)])
def test_the_section_stands_at_every_extreme(f1, seeds, apis):
    """All perfect or all zero, one seed, no API: no claim that the intervals do not carry."""
    result = analysis(seeds=seeds, apis=apis)
    result = changed(
        result,
        **{
            f"conditions__{i}__field_f1": {
                **row.field_f1.model_dump(),
                "estimate": f1,
                "low": f1,
                "high": f1,
            }
            for i, row in enumerate(result.conditions)
        },
    )
    curve = learning_curve(result, (f1, f1))
    assert {rival.shown for rival in curve.rivals} == {"undecided"}
    assert all(rival.break_even.estimate == 40 for rival in curve.rivals)
    text = section(result, curve)
    assert "is open: by the estimate it does from 40 or fewer on" in text
    assert "whether the last stretch of labels helped is open" in text
    assert label_curve(result, curve, looks(result.conditions, PLOTS)) is not None


def helped(result: Any, given: int) -> LearningCurve:
    """The next hundred labels are shown to help, after ``given`` training texts of which 640 are seen."""
    return changed(
        learning_curve(result),
        given=given,
        gains__2__field_f1={"estimate": 0.02, "low": 0.01, "high": 0.03},
        gains__2__exact_match={"estimate": 0.05, "low": 0.01, "high": 0.09},
        gains__2__rises="holds",
    )


def owning(result: Any) -> Any:
    return changed(
        result, ownership__inputs__usd_per_label=0.5, ownership__inputs__usd_per_wrong_record=2.0
    )


def test_labels_have_a_price():
    """Of the next hundred, of a hundredth of F1, and when fewer wrong records have paid for them."""
    result = analysis()
    assert "is not set (`economics.ownership.usd_per_label`)" in section(
        result, helped(result, 640)
    )
    owned, priced = owning(result), helped(result, 640)
    said = section(owned, priced)
    assert "would cost USD 50, which is USD 25 for each 0.01 of field F1." in said
    assert "paid for them after 500 answers" in said
    # not shown to help: no price of what may be nothing, and nothing that pays it back
    for rises in ("undecided", "fails"):
        open_ = section(owned, changed(priced, gains__2__rises=rises))
        assert "for each 0.01" not in open_ and "paid for them" not in open_
    assert "paid for them" not in section(
        owned, changed(priced, gains__2__exact_match__estimate=0.0)
    )
    # a rise that rounds to nothing
    assert "for each 0.01" not in section(owned, changed(priced, gains__2__field_f1__estimate=0.0))


def test_labels_that_are_there_already_have_no_price():
    """Where steps end a training before it has seen all texts, steps are missing and not labels."""
    result = owning(analysis())
    for said in (section(result, helped(result, 1400)), change(result, helped(result, 1400))):
        assert "there already" in said and "longer training would see them" in said
        assert "USD" not in said and "paid for them" not in said
    partly = helped(result, 700)
    assert partly.to_label == 40
    said = section(result, partly)
    assert "Of them 60 are there already" in said
    assert "The 40 labels to come would cost USD 20, which is USD 10 for each 0.01" in said
    assert "paid for them after 200 answers" in said
    assert "40 of them are still to be labelled, for USD 20." in change(result, partly)
    assert "for USD 50." in change(result, helped(result, 640))


def change(result: Any, curve: LearningCurve) -> str:
    line = label_change(inputs(result, learning_curve=curve))
    assert line is not None
    return str(line.said)


def test_what_goes_on_stays_on_the_scale():
    """A score cannot rise above 1 nor fall below 0, by its mean or by an end."""
    for means, room in (((0.1, 0.6, 0.99), (-0.99, 0.01)), ((0.9, 0.4, 0.01), (-0.01, 0.99))):
        made = [np.full((2, 20), mean) for mean in means]
        trained = [
            curves.Trained(labels, (0, 1), 40, table, table) for labels, table in zip(LABELS, made)
        ]
        found = curves.learning_curve(trained[:2], trained[2], [], SETTINGS, _draws())
        assert found is not None
        for gone_on in (found.ahead.field_f1, found.ahead.exact_match):
            assert (
                room[0] - 1e-9 <= gone_on.low <= gone_on.estimate <= gone_on.high <= room[1] + 1e-9
            )
            assert gone_on.estimate == pytest.approx(room[0 if means[0] > means[2] else 1])
        assert found.gains[1].field_f1.estimate == pytest.approx(means[2] - means[1])


def test_a_score_of_1_has_nothing_more_to_be_had():
    result = owning(analysis())
    curve = changed(helped(result, 640), points__2__field_f1__estimate=1.0)
    for said in (section(result, curve), change(result, curve)):
        assert "cannot raise it" in said and "next 100" not in said and "cost" not in said


def test_a_fall_is_not_called_a_rise():
    result = analysis()
    fell = {"estimate": -0.05, "low": -0.08, "high": -0.01}
    curve = changed(
        learning_curve(result), gains__1__field_f1=fell, gains__2__field_f1=fell, gains__2__rises="fails"
    )  # fmt: skip
    said = section(result, curve)
    assert "field F1 changed by -0.050" in said
    assert "did not help" in said and "levels off" not in said
    assert "rose" not in said + change(result, curve) and "add" not in change(result, curve)


def test_the_report_says_where_one_training_stands_for_others():
    result = analysis()
    curve = learning_curve(result)
    assert "spread of those with several" not in section(result, curve)
    assert "spread of those with several is taken for its own" in section(
        result, changed(curve, pooled=True)
    )
    assert "shows nothing about others" in section(result, changed(curve, single=True))


def test_points_that_see_as_many_texts_are_no_curve():
    rng = np.random.default_rng(1)

    def trained(labels: int, seeds: tuple[int, ...]) -> curves.Trained:
        made = rng.random((len(seeds), 20))
        return curves.Trained(labels, seeds, 80, made, np.round(made))

    arguments = ([curves.Rival("base_zero_shot", np.zeros(20), 0)], SETTINGS, _draws())
    for sizes in ((40, 640), (40, 40), (700,)):
        with pytest.raises(ValueError, match="labels: expected numbers that grow"):
            curves.learning_curve(
                [trained(size, (10,)) for size in sizes], trained(640, (0, 1)), *arguments
            )
    assert curves.learning_curve([], trained(640, (10,)), *arguments) is None
    # fewer labels than a hundred: as many again, and not beyond
    small = curves.learning_curve([trained(2, (10,))], trained(4, (0,)), *arguments)
    assert small is not None and (small.ahead.start, small.ahead.end) == (4, 8)


def test_a_size_that_a_final_training_would_not_see_is_one_line():
    """Such a training would cost as much as a final one, and tell nothing of fewer labels."""
    params = load_params()
    limited = params.train.model_copy(
        update={"max_steps": 80, "batch_size": 4, "gradient_accumulation": 2}
    )

    def found(sizes: list[int], train: Train) -> str | None:
        curve = params.learning_curve.model_copy(update={"sizes": sizes})
        return inconsistency(params.model_copy(update={"learning_curve": curve, "train": train}))

    assert found([40, 639], limited) is None
    assert found([40, 5000], limited.model_copy(update={"max_steps": None})) is None
    for size in (640, 800):
        said = found([40, size], limited)
        assert said is not None and "\n" not in said
        assert said.startswith("learning_curve.sizes: expected numbers below 640,")
        assert f"found {size};" in said


def test_the_first_command_of_the_docs_goes_together():
    """Its sizes are below what a final training of the default profile sees."""
    (command,) = re.findall(r"^dvc exp run .*sizes=\[\d.*$", DOCS.read_text("utf-8"), re.M)
    overrides = [word for word in shlex.split(command)[3:] if word != "-S"]
    assert any("sizes=" in word for word in overrides)
    params = check_params(yaml.safe_load(compose(overrides)), "params.yaml")
    assert inconsistency(params) is None and params.train.max_steps is not None


def test_conditions_use_the_labels_that_they_are_shown_or_learn_from():
    """Those in its prompt; all of the training texts where it looks for the nearest or learns."""
    used = labels_used(load_params(), 1400)
    assert used["base_zero_shot"] == used["large_zero_shot_schema"] == 0
    assert used["large_few_shot_5"] == 5
    assert used["small_nearest_3"] == used["majority"] == 1400
    assert "lora" not in used


def test_rivals_stand_in_the_order_of_every_table():
    """In the report, whatever the order of the configuration."""
    result = analysis()
    curve = learning_curve(result)
    turned = curve.model_copy(update={"rivals": curve.rivals[::-1]})
    names = [row.name for row in ranked(result).conditions]
    for shuffled in (curve, turned):
        found = ranked_curve(shuffled, result)
        assert found is not None
        order = [row.name for row in found.rivals]
        assert order == [name for name in names if name in order]
        assert len(order) == len(curve.rivals)
    assert report_markdown(inputs(result, learning_curve=turned)) == report_markdown(
        inputs(result, learning_curve=curve)
    )
    assert ranked_curve(None, result) is None


def test_without_smaller_sets_there_is_no_section():
    result = analysis()
    text = report_markdown(inputs(result, learning_curve=None))
    assert "How many labels" not in text
    assert label_curve(result, None, looks(result.conditions, PLOTS)) is None


def test_scores_stay_within_their_bounds():
    for value in (0.0, 1.0):
        for interval in score_band([np.full((1, 5), value), np.full((2, 5), value)], _draws()):
            assert 0 <= interval.low <= interval.estimate <= interval.high <= 1


def _draws() -> Any:
    from lora_vs_api.stats.bootstrap import Draws

    return Draws(200, 0, 0.95)
