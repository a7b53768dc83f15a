"""What perturbing costs: drops by hand, pairs by text, seeds together, words that fit the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from lora_vs_api.analysis.robustness import CleanAndPerturbed, robustness, robustness_table
from lora_vs_api.analysis.scored_run import ScoredRun
from lora_vs_api.report.markdown import report_markdown
from lora_vs_api.stats.bootstrap import Draws
from lora_vs_api.stats.paired import difference_interval
from tests.report_fixture import analysis, changed, inputs

DRAWS = Draws(resamples=500, seed=0, confidence=0.95)


def scored(fields) -> ScoredRun:
    fields = np.asarray(fields, dtype=float)
    n = len(fields)
    return ScoredRun(
        outputs=("{}",) * n,
        fields=fields,
        valid_json=np.ones(n, dtype=bool),
        schema_valid=np.ones(n, dtype=bool),
        outcomes=np.array(["answered"] * n),
        input_tokens=np.ones(n),
        output_tokens=np.ones(n),
    )


def found(lora_drop=0.25, api_drop=0.0):
    """Ten times four texts, two perturbations: the first costs every text ``lora_drop``, the second
    nothing."""
    clean = np.tile([[1, 1], [1, 0.5], [0.5, 0.5], [1, 1]], (10, 1))
    more = np.array([[0, 0], [0, 0]])  # texts beyond the first forty, which must not count
    lora = CleanAndPerturbed(
        "lora",
        "LoRA Tiny",
        "lora",
        [scored(np.vstack([clean, more])), scored(np.vstack([clean, more]))],
        # the seeds differ, their mean does not
        [scored(np.vstack([clean - lora_drop - 0.1, clean])), scored(np.vstack([clean - lora_drop + 0.1, clean]))],
    )  # fmt: skip
    api = CleanAndPerturbed(
        "api_few_shot_5",
        "Tiny over HTTP",
        "api",
        [scored(clean)],
        [scored(np.vstack([clean - api_drop, clean]))],
    )
    applied = {"typos": range(40), "jargon": [], "signature": range(40)}
    return robustness([lora, api], applied, 40, DRAWS)


def test_drops_are_those_worked_out_by_hand():
    """Paired with the same texts as they are, means over seeds and perturbations."""
    result = found()
    lora, api = result.conditions
    assert lora.field_f1_clean == pytest.approx(6.5 / 8)
    typos, signature = lora.by_perturbation
    assert typos.drop.estimate == pytest.approx(0.25)
    # every text loses as much, which forty texts do not prove of the next
    expected = difference_interval(np.full(40, 0.25))
    assert (typos.drop.low, typos.drop.high) == pytest.approx(
        (expected.low, expected.high), abs=1e-6
    )
    assert typos.p_value == pytest.approx(1 / 501, rel=1e-3)
    assert signature.drop.estimate == 0 and signature.p_value == 1
    assert lora.drop.estimate == pytest.approx(0.125)
    assert lora.field_f1_perturbed == pytest.approx(6.5 / 8 - 0.125)
    assert api.drop.estimate == 0
    assert typos.p_holm >= typos.p_value


def test_each_perturbation_is_judged_on_the_texts_that_took_it():
    """Paired with their own clean answers, over so many texts; all together text by text."""
    clean = scored([[1.0], [0.5], [0.0], [1.0]])
    # typos: the first and the last text; reordered: the last; jargon: none; the third takes nothing
    perturbed = scored([[0.5], [0.0], [1.0], [0.5]])
    item = CleanAndPerturbed("lora", "LoRA Tiny", "lora", [clean], [perturbed])
    applied = {"typos": [0, 3], "jargon": [], "reordered": [1, 3]}
    result = robustness([item], applied, 4, DRAWS)
    assert (result.texts, result.taken) == (4, 3)
    assert result.applied == {"typos": 2, "jargon": 0, "reordered": 2}
    (lora,) = result.conditions
    typos, reordered = lora.by_perturbation
    assert (typos.field_f1_clean, typos.field_f1, typos.drop.estimate) == (1.0, 0.25, 0.75)
    assert (reordered.field_f1_clean, reordered.field_f1) == (0.75, 0.75)
    expected = difference_interval(np.array([0.5, 1.0]))
    assert (typos.drop.low, typos.drop.high) == pytest.approx((expected.low, expected.high))
    # 1, 0.5 and 1 as they are; 0.5, 1 and the mean of 0 and 0.5 perturbed
    assert lora.field_f1_clean == pytest.approx(2.5 / 3, abs=1e-6)
    assert lora.field_f1_perturbed == pytest.approx(1.75 / 3, abs=1e-6)
    assert lora.drop.estimate == pytest.approx(0.25)


def test_what_could_be_applied_to_no_text_has_no_number():
    """It says so; and where none could, no sentence says how the fine-tune takes it."""
    text = section()
    assert (
        "| `jargon`: abbreviations where there are some | 0 of 40 | not asked | not asked |" in text
    )
    assert "`jargon` could be applied to none of them and has no number." in text
    clean = scored([[1.0], [0.5]])
    item = CleanAndPerturbed("lora", "LoRA Tiny", "lora", [clean], [scored(np.empty((0, 1)))])
    nothing = robustness([item], {"typos": [], "jargon": []}, 2, DRAWS)
    assert (nothing.taken, nothing.conditions, nothing.leads) == (0, (), ())
    assert robustness_table(nothing, {}) == []
    made = report_markdown(inputs(analysis(), robustness=nothing))
    part = made.split("\n## Perturbed texts")[1].split("\n## ")[0]
    assert "None of them could be applied" in part and "| 0 of 2 |" in part
    assert "instead of" not in part and "robustness.svg" not in part
    assert "and none was tried" in made


def test_a_lead_that_shrinks_is_a_positive_drop():
    """The same sign as everywhere: positive is worse for the fine-tune."""
    (lead,) = found(lora_drop=0.25, api_drop=0.05).leads
    assert lead.clean == 0 and lead.perturbed == pytest.approx(-0.1)
    assert lead.drop.estimate == pytest.approx(0.1)


def test_the_table_has_a_row_for_each_perturbation_of_each_condition():
    """What `dvc plots` draws."""
    rows = robustness_table(found(), {"lora": 0, "api_few_shot_5": 3})
    assert [(row["condition"], row["perturbation"]) for row in rows] == [
        ("lora", "typos"), ("lora", "signature"),
        ("api_few_shot_5", "typos"), ("api_few_shot_5", "signature"),
    ]  # fmt: skip
    assert rows[0]["drop"] == pytest.approx(0.25)
    # the look that it has in every other plot, though the conditions between are not asked here
    assert [row["slot"] for row in rows] == [0, 0, 3, 3]


def section(**changes) -> str:
    text = report_markdown(inputs(analysis(), robustness=found(**changes)))
    return text.split("\n## Perturbed texts")[1].split("\n## ")[0]


def test_the_report_says_what_the_numbers_say():
    """A drop clear of zero is called one, and none is not."""
    worse = section()
    assert "0.688 instead of 0.812**: a drop of +0.125 " in worse and "clear of zero" in worse
    assert "it shrinks" in worse
    none = section(lora_drop=0.0)
    assert (
        "not distinguishable from zero" in none
        and "no single perturbation is shown to lower a score" in none
    )
    better = section(lora_drop=-0.25)
    assert "clear of zero on the better side" in better and "it grows" in better


def test_without_perturbations_there_is_no_section():
    """`robustness.texts.perturbations=[]` leaves it out, and the limitations say so."""
    text = report_markdown(inputs(analysis(), robustness=None))
    assert "## Perturbed texts" not in text and "none was tried" in text


def test_few_texts_are_said_to_be_few():
    """Twelve of them, and not forty."""
    few = changed(found(), fewest=12)
    text = report_markdown(inputs(analysis(), robustness=few))
    assert "Fewer than 30 texts are few: the tests keep their level" in text
    assert "Fewer than 30 texts" not in section()
    # what is counted decides: forty texts of twelve groups are as few
    few = changed(found(), fewest=12)
    assert "Fewer than 30" in report_markdown(inputs(analysis(), robustness=few))
