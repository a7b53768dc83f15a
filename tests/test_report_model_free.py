"""Rivals without a model in the report: they stand beside the fine-tune, whoever wins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lora_vs_api.report.markdown import report_markdown
from tests.report_fixture import SETTINGS, analysis, drawn, inputs, redecided

RIVALS = {"majority": 0.31, "nearest": 0.55, "nearest_copy": 0.81}
COPY = "nearest + values copied from the text"


def sections(result) -> dict[str, str]:
    """Title → text."""
    parts = report_markdown(inputs(result)).split("\n## ")
    return {part.partition("\n")[0]: part for part in parts}


def test_they_stand_in_every_table_of_conditions():
    found = sections(analysis(model_free=RIVALS))
    for title in ("Results", "Costs and break-even", "What the failures are"):
        assert f"| {COPY} |" in found[title], title
    assert f"| {COPY} |" in found["The fine-tune against each baseline, text by text"]
    assert "over the 6 baselines" in found["The fine-tune against each baseline, text by text"]


def test_a_cheap_rival_that_is_better_is_said_where_the_answer_is():
    found = sections(analysis(model_free=RIVALS))
    answer = found["The answer in detail"]
    assert f"Without a model, {COPY} scores 0.810: a difference of -0.176" in answer
    assert "so the fine-tune is less accurate than it by 0.02 or more" in answer
    assert "**On these texts the fine-tune buys no accuracy" in found["The fine-tune against no model at all"]  # fmt: skip


def test_it_is_said_also_where_an_api_is_better_still():
    result = analysis(model_free={"nearest": 0.15})
    assert result.strongest_rival.name == "api_few_shot_5"
    answer = sections(result)["The answer in detail"]
    assert "nearest training text (TF-IDF) scores 0.150" in answer


def test_a_hosted_model_is_not_recommended_over_a_better_rival_without_one():
    answer = sections(analysis(api_kind="openai", model_free=RIVALS))["In a minute"]
    assert f"**Use {COPY}" in answer


@pytest.mark.parametrize(
    ("difference", "said", "bold"),
    [
        ((0.05, 0.09), "so the fine-tune is more accurate than it.", False),
        (
            (-0.05, 0.09),
            "so it is open whether the fine-tune is more or less accurate than it.",
            False,
        ),
        ((-0.01, 0.0), "so the fine-tune matches it within 0.02 and is not more accurate.", True),
    ],
)
def test_the_decision_alone_says_how_it_stands(difference, said, bold):
    result = redecided(analysis(model_free=RIVALS), "nearest_copy", difference=difference)
    part = sections(result)["The fine-tune against no model at all"]
    assert said in part
    assert ("buys no accuracy" in part) == bold


def test_a_field_no_better_than_the_majority_is_no_win():
    """LoRA is ahead of the API on vendor, and far behind always answering the commonest one."""
    part = sections(analysis(model_free={"majority": 0.8}))["Where the fine-tune wins and loses"]
    assert "Wins: none." in part
    assert "no win: `vendor` (0.634, the commonest value 0.800)." in part
    without = sections(analysis())["Where the fine-tune wins and loses"]
    assert "Wins: `vendor`." in without and "commonest" not in without


def test_left_out_they_are_not_spoken_of():
    text = report_markdown(inputs(analysis()))
    assert "without a model" not in text and "no model at all" not in text


def test_figures_hold_them(tmp_path: Path):
    result = analysis(model_free=RIVALS)
    drawn(tmp_path, result, names={"cost_accuracy"})
    assert (tmp_path / "cost_accuracy.svg").stat().st_size > 10_000


def test_a_training_that_ends_before_it_saw_all_texts_is_not_said_to_learn_from_as_many():
    """Rivals read every training text; forty steps may not."""
    result = analysis(model_free=RIVALS)
    short = {"max_steps": 4, "batch_size": 8, "gradient_accumulation": 2}
    text = report_markdown(inputs(result, settings=replace(SETTINGS, train=short)))
    assert (
        "learnt from all 140 training texts, of which a training of the fine-tune sees 64:" in text
    )
    whole = replace(SETTINGS, train={**short, "max_steps": None})
    text = report_markdown(inputs(result, settings=whole))
    assert "learnt from all 140 training texts, which a training sees too:" in text
