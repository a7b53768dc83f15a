"""What the report says of wishes, and leaves out where nothing was wished or claimed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_vs_api.record.fields import Field, weighted
from lora_vs_api.report.markdown import report_markdown
from lora_vs_api.report.published import published_experiment
from lora_vs_api.report.sections.method import method_section
from lora_vs_api.report.sections.sweep import sweep_markdown
from lora_vs_api.selection.trials import Trial
from tests.report_fixture import analysis, changed, inputs

TASK = published_experiment().task


def plain(text: str) -> str:
    return " ".join(text.split())


def test_weights_are_named_where_they_are_not_one():
    """Without them no sentence speaks of weights."""
    given = inputs(analysis())
    assert "task.weights" not in report_markdown(given)
    fields = (Field("vendor", "string"), Field("total", "number"))
    names = [field.name for field in fields]
    for weights, said in (
        ({names[0]: 3}, f"There `{names[0]}` counts 3 times, and every other field once (`task.weights`)."),
        (dict.fromkeys(names, 0.5), "There `vendor` counts 0.5 times, `total` counts 0.5 times (`task.weights`)."),
    ):  # fmt: skip
        settings = replace(given.settings, fields=weighted(fields, weights))
        assert said in plain(method_section(replace(given, settings=settings)))


def test_a_weight_within_an_object_is_told_as_one():
    given = inputs(analysis())
    place = Field("place", "object", fields=(Field("city", "string"), Field("zip", "string")))
    fields = weighted((Field("vendor", "string"), place), {"place.city": 2})
    text = plain(method_section(replace(given, settings=replace(given.settings, fields=fields))))
    assert "Among the slots of its object `place.city` counts 2 times. *Exact" in text
    assert "There `" not in text


def test_a_condition_that_is_asked_in_its_own_way_is_told_apart():
    """That all get the same words and see training texts would be false."""
    result = analysis()
    place = next(i for i, row in enumerate(result.conditions) if row.kind == "api")
    label = result.conditions[place].label
    own = {"shots": 2, "written_shots": True, "instruction": "Find the `city`."}
    told = changed(result, **{f"conditions__{place}__{key}": value for key, value in own.items()})
    text = plain(method_section(inputs(told)))
    assert f"Every model gets the same instruction but {label}, with one of its own (below)" in text
    assert (
        f"{label} also sees examples written by hand, the same for every text, except that no text is its own example."
        in text
    )
    assert f"The prompt of {label}: ```text Find the `city`. ```" in text
    before = plain(method_section(inputs(result)))
    assert "Every model gets the same instruction and" in before and "by hand" not in before


@pytest.mark.parametrize(("too_long", "there"), [("cut", True), ("refuse", False)])
def test_cut_training_texts_are_told(too_long, there):
    given = inputs(analysis())
    train = {**given.settings.train, "max_length": 300, "too_long": too_long}
    text = plain(method_section(replace(given, settings=replace(given.settings, train=train))))
    assert ("more than 300 tokens with prompt and record is cut at its end" in text) == there
    assert "| max length | 300 |" in text and "too long" not in text


def test_without_a_claim_there_is_no_verdict():
    result = analysis()
    assert "## Hypothesis H1 and its verdict" in report_markdown(inputs(result))
    text = report_markdown(inputs(changed(result, verdict__id=None, verdict__statement=None)))
    assert "hypothesis" not in text.lower() and "claim" not in text.lower()


def test_the_published_experiment_stands_beside_its_own_task_alone():
    """Figures of emails are no measure of somebody's bookings."""
    result = analysis()
    assert "published" not in report_markdown(inputs(result)).lower()
    text = report_markdown(inputs(changed(result, task=TASK)))
    assert "## The published experiment beside this run" in text
    assert "The published experiment says that it counted rows" in text
    trials = [Trial("rank_trial", str(r), r, 0.001, 0, 32, 0.5, 1.0, 0.0, 0.2, 40) for r in (8, 16)]
    assert "published" not in sweep_markdown(trials, trials[:1], trials[0], task="Bookings")
    assert "The published experiment's sweep" in sweep_markdown(
        trials, trials[:1], trials[0], task=TASK
    )
