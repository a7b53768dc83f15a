"""The page on top: its parts one by one. That no sentence claims too much is in test_contradictions.py."""

from __future__ import annotations

import re

import pytest

from lora_vs_api.report.markdown import report_markdown
from lora_vs_api.report.numbers import usd
from lora_vs_api.report.rendering import Markdown, plain
from lora_vs_api.report.sections import minute
from lora_vs_api.report.sections.answer import decided
from lora_vs_api.report.sections.at_volume import (
    AtVolume,
    Tie,
    at_volume,
    monthly_local,
    monthly_rival,
    tie,
    ties,
    volume_per_day,
)
from lora_vs_api.report.sections.cascade import cascade_section, hands_on, verdict
from lora_vs_api.report.sections.change import Change
from lora_vs_api.report.sections.label_curve import headline
from lora_vs_api.report.sections.minute import minute_section
from lora_vs_api.report.sections.next_steps import next_commands
from lora_vs_api.report.stamp import STAMP
from tests.report_fixture import analysis, changed, inputs, redecided

FEW = "api_few_shot_5"


def said(result, **changes) -> str:
    return minute_section(inputs(result, **changes))


def test_the_told_volume_is_the_middle_one_in_whatever_order():
    """One name in config, one function: bullets, page and sliders tell the same."""
    result = analysis()
    local = result.ownership.local
    mixed = changed(
        result,
        ownership__local=[row.model_dump() for row in (local[1], local[2], local[0])],
    )
    assert volume_per_day(mixed) == volume_per_day(result) == 10_000
    assert "| at 10,000 texts a day |" in said(mixed)


def test_what_a_month_costs_is_the_total_over_the_horizon():
    """What is spent once is shared out: months without it would flatter the fine-tune."""
    result = analysis(api_kind="openai", model_free={"nearest": 0.3})
    owned = result.ownership
    ours, theirs = monthly_local(result), monthly_rival(result, FEW)
    assert ours.usd == pytest.approx(owned.local[1].usd / 36) and ours.once == 1200.02
    assert theirs.usd == pytest.approx(owned.against[1].rows[1].api_usd / 36)
    # without a total of its own: its answers alone, 2.5e-5 a thousand
    other = monthly_rival(result, "nearest")
    assert other.usd == pytest.approx(2.5e-5 * 10 * 365 / 12) and other.low is None
    text = said(result)
    assert f"| {usd(ours.usd)} | {usd(ours.low)} to {usd(ours.high)} | 1,200 |" in text
    assert "but of what is no API the answers alone" in text
    assert "with every input of `economics.ownership`" in said(analysis(api_kind="openai"))


@pytest.mark.parametrize(
    ("volume", "month"),
    [(0.0, 1), (304_166.0, 1), (304_167.0, 2), (10_949_999.0, 36), (10_950_001.0, None), (None, None)],
)  # fmt: skip
def test_a_rival_without_a_total_is_paid_back_in_the_month_that_passes_the_volume(volume, month):
    """10,000 a day for 36 months are 10.95 million."""
    result = analysis(api_kind="openai", model_free={"nearest": 0.3})
    result = redecided(result, "nearest", volume=(volume, volume))
    found = at_volume(result, "nearest")
    assert (found.month, found.low, found.high, found.total) == (month, month, month, False)
    assert found.pays == ("fails" if month is None else "holds")


@pytest.mark.parametrize(
    ("low", "high", "pays"),
    [(0, 0, "holds"), (3, 36, "holds"), (36, None, "undecided"), (None, None, "fails")],
)
def test_it_pays_for_itself_where_the_whole_interval_says_so(low, high, pays):
    assert AtVolume(1000, 36, low, low, high, total=True).pays == pays


@pytest.mark.parametrize(
    ("at_zero", "slope", "found"),
    [
        (-1.0, 0.0, Tie("any", 0.0)),
        (0.0, 0.0, Tie("none", 0.0)),
        (2.0, -1.0, Tie("above", 2.0)),
        (0.0, -1.0, Tie("above", 0.0)),
        (-2.0, -1.0, Tie("any", -2.0)),
        (-2.0, 1.0, Tie("below", 2.0)),
        (0.0, 1.0, Tie("none", 0.0)),
        (2.0, 1.0, Tie("none", -2.0)),
    ],
)
def test_where_an_amount_tips_the_total(at_zero, slope, found):
    """Equal totals are not less, and no amount is below 0."""
    assert tie(at_zero, slope) == found


def test_prices_tip_where_the_published_arithmetic_says():
    """By hand: 1,200.02 over 10.95 million answers, beside 0.0057 for a thousand."""
    found = ties(analysis(api_kind="openai"), FEW)
    assert found["api"].side == "above"
    assert found["api"].usd == pytest.approx(0.0057 + 1200.02 / 10_950, rel=1e-3)
    saved = 10_950 * 0.0711 * 1.9 - 10_950 * 0.0057 - 1200.02
    assert found["label"] == Tie("below", pytest.approx(saved / 636, rel=1e-3))
    assert found["wrong"] == Tie("below", pytest.approx(saved / (10_950_000 * 0.1), rel=1e-3))


def test_the_decision_is_said_once_and_the_volume_can_change_it():
    result = analysis(api_kind="openai")
    text = said(result)
    assert f"**{decided(result)}**" in text
    assert decided(result).startswith("Fine-tune: ")
    assert "At 1,000 a day it would be “Fine-tune for the accuracy, not to save money”." in text
    assert "At 100,000 a day it would still be “Fine-tune”." in text


def test_a_section_can_add_a_line_and_one_without_anything_to_say_adds_none(monkeypatch):
    """The place for label break-even and escalation: a function in the list, called with the inputs."""
    told = []

    def labels(given):
        told.append(given)
        return Change("Labels", Markdown("From 412 labels on it would be “Fine-tune”."))

    lines = [minute.volume_change, labels, lambda _: None]
    monkeypatch.setattr(minute, "WHAT_WOULD_CHANGE", lines)
    given = inputs(analysis(api_kind="openai"))
    text = minute_section(given)
    found = re.findall(r"^- \*\*What would change it: (.*?)\.\*\*", text, re.MULTILINE)
    assert found == ["Volume", "Labels"] and told == [given]
    assert (
        "- **What would change it: Labels.** From 412 labels on it would be “Fine-tune”.\n" in text
    )


def test_each_line_that_exists_is_in_the_list():
    """A line that nobody calls is never read."""
    names = {name for name in vars(minute) if name.endswith("_change")}
    assert names <= {line.__name__ for line in minute.WHAT_WOULD_CHANGE}


def test_labels_and_escalation_are_told_as_their_sections_tell_them():
    """One sentence in two places: the page cannot say other than the detail; nothing where there is none."""
    given = inputs(analysis(api_kind="openai"))
    assert given.learning_curve is not None and given.cascade is not None
    text, rival = minute_section(given), given.analysis.strongest_rival
    row = next(row for row in given.learning_curve.rivals if row.name == rival.name)
    assert f"Labels.** {headline(row, rival.label, given.learning_curve)}" in text
    point = given.cascade.chosen_point
    assert point is not None
    told = verdict(given.cascade, point)
    assert "Both together.** The rule chosen" in text
    for sentence in (told, hands_on(point)):
        assert sentence in text and sentence in cascade_section(given)
    without = said(given.analysis, learning_curve=None, cascade=None)
    assert "change it: Labels" not in without and "Both together" not in without


def test_more_texts_are_named_only_where_the_accuracy_is_open():
    result = analysis(api_kind="openai")
    assert "More texts" not in said(result)
    open_one = redecided(result, FEW, difference=(-0.1, 0.1))
    assert "- **What would change it: More texts or seeds.** Against Tiny-7M" in said(open_one)
    one_seed = redecided(analysis(api_kind="openai", seeds=(0,)), FEW, difference=(-0.1, 0.1))
    assert "- **What would change it: More texts.** Against Tiny-7M" in said(one_seed)


def test_a_rival_that_the_token_limit_cut_is_no_worse_reader():
    """Its 0 is the limit's: who reads the first page has to see that, and what lets it finish."""
    result = analysis(api_kind="openai")
    assert "Token limit" not in said(changed(result, conditions__3__truncated=0.04))
    text = said(changed(result, conditions__3__truncated=0.31))
    assert (
        "change it: Token limit.** The token limit cut 31.0% of the answers of Tiny-7M over HTTP, 5-shot, and half "
        "a record scores 0: `conditions.api_few_shot_5.max_output_tokens` raises it for this condition, and no"
    ) in text
    raised = "`decoding.max_new_tokens` raises it, and any trials of the sweep and of the label curve are trained again"
    assert raised in said(changed(result, conditions__0__truncated=1.0))
    # cut or not: nobody taught the base to end
    assert result.conditions[1].kind == "base"
    assert "Token limit" not in said(changed(result, conditions__1__truncated=1.0))
    assert raised in said(
        changed(result, conditions__1__truncated=1.0, conditions__1__kind="tuned")
    )


@pytest.mark.parametrize(
    ("result", "first"),
    [
        (analysis(api_kind="openai"), "lora-vs-api predict"),
        (analysis(api_kind="openai", apis=()), "dvc exp run -S task=invoices -S api=openai"),
        (analysis(api_kind="openai", loopback=True), "dvc exp run -S task=invoices -S api=openai"),
        (analysis(api_kind="llama_cpp"), "dvc exp run -S task=invoices -S api=openai"),
        (
            redecided(analysis(api_kind="openai"), FEW, difference=(-0.1, 0.1)),
            'lora-vs-api plan -S task=invoices -S "seeds=[0,1,2,3,4]"',
        ),
        (
            changed(analysis(api_kind="openai"), profile="quick"),
            "dvc exp run -S profile=laptop -S task=invoices",
        ),
    ],
)
def test_the_next_step_follows_from_the_decision(result, first):
    """Whoever is told to measure more is told how; the page and the end of a run name the same command."""
    command = next(iter(next_commands(result, "invoices")))
    assert command.startswith(first)
    assert f"```sh\n{command}\n```" in said(result)


def test_a_try_is_stamped_where_the_decision_is():
    result = changed(analysis(api_kind="openai"), profile="quick")
    assert f"**{STAMP}. Fine-tune" in said(result)
    title = report_markdown(inputs(result)).partition("## In a minute")[0]
    assert (
        "by it: `dvc exp run` with `profile=laptop`, `task=invoices` and the other settings as"
        in title
    )


def test_where_nothing_is_recommended_the_page_recommends_nothing():
    """Not in the lines below either: a volume changes what pays, and no advice."""
    text = plain(said(analysis(api_kind="embedded")))
    assert "it would be" not in text and "Nothing is recommended, so" in text
    assert "At 1,000 a day the fine-tune does not pay for itself within 36 months" in text
    zero = analysis(api_kind="openai", model_free={"nearest": 0.0})
    for index in range(len(zero.conditions)):
        zero = changed(zero, **{f"conditions__{index}__field_f1__estimate": 0.0})
    text = said(zero)
    assert "**Nothing is recommended: every condition scores 0.**" in text
    assert "it would be" not in text
