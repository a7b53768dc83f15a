"""The report and its figures: numbers traced to the analysis, honest words, inert text, same bytes."""

from __future__ import annotations

import itertools
import json
import math
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest
import yaml
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from lora_vs_api import figures as figures_package
from lora_vs_api.analysis.order import ranked
from lora_vs_api.analysis.results import Billing, Kind, NoiseFloor, OtherTuning
from lora_vs_api.analysis.slots import condition_slots
from lora_vs_api.config.sections import Adapter, Plots
from lora_vs_api.errors import UserError
from lora_vs_api.figures.confusion import confusion_matrices
from lora_vs_api.figures.drawing import wrap
from lora_vs_api.figures.headline import headline
from lora_vs_api.figures.latency import latency_ecdf
from lora_vs_api.figures.looks import lab, looks
from lora_vs_api.figures.paired import paired_differences
from lora_vs_api.figures.report import write_report_figures
from lora_vs_api.figures.sweep import write_sweep_figure
from lora_vs_api.report import markdown, numbers
from lora_vs_api.report.page.html import report_html
from lora_vs_api.report.provenance import installation, provenance
from lora_vs_api.report.published import published_experiment
from lora_vs_api.report.sections import answer, limitations, sweep
from lora_vs_api.report.sections.method import VARIANTS
from lora_vs_api.selection.trials import Trial
from tests.cascade_fixture import cascade
from tests.report_fixture import (
    PLOTS,
    REVIEW,
    analysis,
    changed,
    condition,
    drawn,
    inputs,
    learning_curve,
    redecided,
    robustness,
    tables,
)

FIGURES = (
    "headline", "cost_accuracy", "break_even", "per_field", "paired", "loss", "latency", "confusion",
    "tornado", "ownership", "price_volume", "robustness", "label_curve",
    "cascade_frontier", "reliability",
)  # fmt: skip


NOISE_FLOOR = NoiseFloor(
    texts=20, replicates=3, same_answer=0.85, same_score=0.9, field_f1_low=0.5512,
    field_f1_high=0.5634, sd=0.0061, sd_if_independent=0.0064, p_of_runs=0.412,
)  # fmt: skip
TUNINGS = {
    "full": OtherTuning(
        label="full fine-tuning", method="full", learning_rate="2e-4", r=None,
        virtual_tokens=None, seed=0,
    ),
    "prompt": OtherTuning(
        label="prompt tuning", method="prompt", learning_rate="2e-2", r=None, virtual_tokens=16,
        seed=0,
    ),
}  # fmt: skip


def report(result=None, **changes) -> str:
    return markdown.report_markdown(inputs(result or analysis(), **changes))


def section(text: str, title: str) -> str:
    """The part of the report under a second-level heading that starts with ``title``."""
    return text.split(f"\n## {title}")[1].split("\n## ")[0]


def rows(part: str, first_header: str) -> list[list[str]]:
    """The body of the table whose header begins with ``first_header``."""
    lines = part.split(f"| {first_header} |", 1)[1].splitlines()
    body = []
    for line in lines[2:]:
        if not line.startswith("|"):
            break
        body.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return body


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "figures").mkdir()
    result = analysis()
    more = (learning_curve(result), cascade(result))
    write_report_figures(
        folder / "figures", result, robustness(), *tables(result), 100_000, PLOTS, *more
    )
    return folder


def test_results_table_holds_the_numbers_of_the_analysis():
    """A wrong column or a swapped rate would mislead without anything else failing."""
    # distinct values everywhere, so that no two columns can be confused
    shares = ("valid_json", "schema_valid", "exact_match", "truncated")
    values = {}
    for i in range(4):
        for j, key in enumerate(shares):
            values[f"conditions__{i}__{key}"] = 0.011 * (4 * i + j + 1)
        values[f"conditions__{i}__latency__p50"] = 1.1 + i
        values[f"conditions__{i}__latency__p95"] = 6.6 + i
    result = changed(analysis(), **values)
    expected = {
        row.label: [
            f"{row.field_f1.estimate:.3f}",
            f"{row.field_f1.low:.3f} to {row.field_f1.high:.3f}",
            *(f"{getattr(row, key):.1%}" for key in shares),
            f"{row.latency.p50:.2f}",
            f"{row.latency.p95:.2f}",
            numbers.usd(row.cost_per_1k.usd),
        ]
        for row in result.conditions
    }
    found = rows(section(report(result), "Results"), "condition")
    assert {row[0]: row[1:] for row in found} == expected
    f1 = [float(row[1]) for row in found]
    assert f1 == sorted(f1, reverse=True)


def test_every_number_of_the_comparison_tables_is_from_the_analysis():
    """The paired table, the seeds and the intervals repeat the analysis digit by digit."""
    result = ranked(analysis())
    text = report(result)
    part = section(text, "The fine-tune against")
    for row, found, alone in zip(
        result.decisions,
        rows(part, "baseline"),
        rows(part.split("The same diff")[1], "baseline"),
        strict=True,
    ):
        made = result.comparison(row.baseline)
        assert found == [
            row.label,
            f"{row.difference:+.3f}",
            f"{row.interval.low:+.3f} to {row.interval.high:+.3f}",
            row.non_inferior,
            row.superior,
            f"{made.wins} / {made.ties} / {made.losses}",
        ]
        assert alone == [row.label, f"{made.low:+.3f} to {made.high:+.3f}", "0.0001", "0.0003"]
    intervals = rows(section(text, "What the intervals"), "what varies")
    assert [row[0] for row in intervals] == [
        "texts and seeds (used here)",
        "texts alone",
        "texts alone, BCa, for comparison",
        "each answer as independent (n = 192)",
    ]
    assert [row[3] for row in intervals] == ["0.120", "0.080", "0.082", "0.040"]
    assert intervals[0][-1] == "in closed form"
    assert intervals[3][2:] == ["0.614 to 0.654", "0.040", "percentile bootstrap", "10,000, seed 0"]
    rates = rows(part.split("LoRA minus baseline in the share")[1], "baseline")
    assert rates[0] == [
        result.comparisons[0].label, "+9 (+4 to +15)", "+20 (+15 to +26)", "-10 (-15 to -4)",
        "0 (-5 to +6)",
    ]  # fmt: skip


def test_conditions_have_one_order_everywhere():
    """The best first, in every table and figure: a reader who looks for a row finds it where it was."""
    result = analysis(model_free={"majority": 0.7, "nearest": 0.15})
    text, labels = report(result), [row.label for row in ranked(result).conditions]
    scores = [row.field_f1.estimate for row in ranked(result).conditions]
    assert scores == sorted(scores, reverse=True) and labels[0].startswith("majority")
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    seen = 0
    for table in tables:
        first = [line.split(" | ")[0].removeprefix("| ").strip() for line in table.splitlines()[2:]]
        told = [label for label in first if label in labels]
        if len(set(told)) > 1:
            assert list(dict.fromkeys(told)) == [label for label in labels if label in told], table
            seen += 1
    assert seen >= 6


def test_ticks_do_not_touch_where_all_differences_are_0():
    """An axis of no width labels hundredths of hundredths, one into the other."""
    result = analysis(model_free={"majority": 0.0, "nearest": 0.0})
    for row in result.decisions:
        result = redecided(result, row.baseline, difference=(0.0, 0.0))
    figure = paired_differences(result, looks(result.conditions, PLOTS))
    figure.canvas.draw()
    boxes = [
        label.get_window_extent()
        for label in figure.axes[0].get_xticklabels()
        if label.get_text() and label.get_window_extent().x0 > 0
    ]
    assert len(boxes) > 2
    for left, right in itertools.pairwise(sorted(boxes, key=lambda box: box.x0)):
        # as far apart as one is wide, so that long names beside the axis do not bring them together
        assert right.x0 - left.x1 > left.width


def test_break_even_and_days():
    """The volume and the days are those of the analysis, in words."""
    found = rows(section(report(), "Costs"), "against")
    assert found[1][1:6] == [
        "0.0711", "+0.0654", "18.3 million", "16.5 million to 20.2 million", "50.3 years",
    ]  # fmt: skip
    ways = rows(section(report(), "Costs"), "way")
    assert ways[0][2] == "34 million (0.0012 against 0.0355 USD per 1K)"
    inputs_changed = rows(section(report(), "Costs").split("### What the")[1], "input")
    assert inputs_changed == [
        ["engineer time", "9 million", "36 million"],
        ["API input price", "never", "11 million"],
    ]


def test_never_breaking_even_is_said_everywhere(tmp_path):
    """An API cheaper than a local answer must not show as an infinite or negative volume."""
    result = analysis(api_kind="openai", api_usd=0.002)
    text = report(result)
    found = rows(section(text, "Costs"), "against")
    assert [row[3:] for row in found] == [["never", "never"]] * 2
    assert "training is never paid back" in section(text, "The answer in detail")
    assert "training is never paid back" in section(text, "Hypothesis")
    assert "does not pay for itself within 36 months" in answer.decided(result)
    names = ("break_even", "tornado", "price_volume")
    drawn(tmp_path, result, names=names)
    for name in names:
        assert (tmp_path / f"{name}.svg").stat().st_size > 0


def test_a_stronger_api_condition_decides():
    """Beating the zero-shot baseline is no reason to tune when five shots beat the fine-tune."""
    result = changed(analysis(api_kind="openai"), conditions__3__field_f1__estimate=0.9)
    assert result.strongest_api is result.strongest_rival is result.conditions[3]
    result = redecided(result, "api_few_shot_5", difference=(-0.3, -0.2))
    few = result.conditions[3].label
    assert answer.decided(result).startswith(f"Call {few}")
    assert "less accurate than it by 0.02 or more" in section(
        report(result), "The answer in detail"
    )


def test_what_can_be_had_without_tuning_or_an_api_decides_too():
    """A local condition that beats the fine-tune is what to use, whatever the API scores."""
    result = changed(analysis(api_kind="openai"), conditions__1__field_f1__estimate=0.9)
    result = redecided(result, "base_zero_shot", difference=(-0.3, -0.2))
    label = result.conditions[1].label
    assert answer.decided(result).startswith(f"Use {label}: the fine-tune is less")
    assert f"{label} scores 0.900" in section(report(result), "The answer in detail")


def test_a_served_base_model_is_never_called_hosted():
    """The embedded API must be told apart from the hosted models that it stands in for."""
    text = report(analysis(api_kind="embedded"))
    assert "no hosted model was asked" in section(text, "In a minute")
    assert "transformers serve" in section(text, "Limitations")
    assert "billed as gpt-x" in section(text, "Limitations")
    # each mention of hosted models denies, contrasts or refers to the stand-in
    for sentence in re.findall(r"[^.|\n]*\bhosted\b[^.|\n]*", text):
        assert re.search(r"no hosted|standing in for a hosted|a hosted model(,|'s network) and|about (a )?hosted|a hosted API would|asking hosted models would",
                         sentence, re.IGNORECASE), sentence  # fmt: skip


def test_an_open_model_on_this_machine_is_called_that():
    """Another model than the base, so something to recommend about; and no hosted one, whose price it has."""
    result = analysis(api_kind="llama_cpp")
    text = report(result)
    assert "nothing is recommended" not in text and "transformers serve" not in text
    assert "standing in" not in text and "untuned base model" not in section(text, "Hypothesis")
    assert "billed as gpt-x" in section(text, "The answer in detail")
    # what costs less, costs less than at whose price
    assert "; against the token prices of gpt-x, " in answer.decided(result)
    assert "no text leaves the machine, nor with the models" in section(
        text, "The answer in detail"
    )
    better = changed(result, conditions__3__field_f1__estimate=0.9)
    better = redecided(better, "api_few_shot_5", difference=(-0.3, -0.2))
    said = answer.decided(better)
    assert (
        f" Of all that was measured: Use {better.conditions[3].label} where accuracy matters: "
        in said
    )
    assert "no test of the claim about that hosted model" in section(text, "Hypothesis")
    assert "llama.cpp's server" in section(text, "Method")
    one = report(analysis(api_kind="llama_cpp", apis=("api_zero_shot",)))
    assert "The API condition asks Tiny-7M, an open model served" in section(one, "Method")
    assert "The API condition is Tiny-7M: an open model" in section(one, "Limitations")
    part = section(text, "Limitations")
    assert "No hosted model was asked" in part and "billed as gpt-x" in part
    assert "conditions are Tiny-7M: an open model that llama.cpp" in part
    names = {f"conditions__{place}__model": "Big-7B-Q4_K_M" for place in (2, 3)}
    part = section(report(changed(result, **names)), "Limitations")
    assert "Big-7B-Q4_K_M: an open 4-bit model that llama.cpp" in part
    for sentence in re.findall(r"[^.|\n]*\bhosted\b[^.|\n]*", text):
        assert re.search(r"no hosted|call a hosted model is open|about (a|that) hosted|What a hosted model would score|a hosted model's network|a hosted API would|asking hosted models would",
                         sentence, re.IGNORECASE), sentence  # fmt: skip


def test_failing_at_format_is_told_from_failing_at_the_task():
    """A base that writes no JSON scores 0 everywhere; the report must not call that ignorance."""
    result = analysis()
    assert "measured on its format" not in report(result)
    assert "no condition scores above 0.1 on `vendor`" in section(report(result), "Limitations")
    text = report(changed(result, conditions__1__valid_json=0.0, conditions__2__valid_json=0.1))
    assert (
        "over HTTP, zero-shot wrote valid JSON for 10.0%, and on those texts scores 0.713" in text
    )
    assert "untuned, zero-shot wrote valid JSON for 0.0%;" in text.replace("%.", "%;")
    assert "no condition scores above 0.1" not in text


def test_a_split_of_the_user_s_own_is_told():
    """Shares and chance decided unless a column of the file did."""
    made = inputs(analysis())
    own = replace(made, split=changed(made.split, column="part"))
    given = section(markdown.report_markdown(own), "Data and review")
    assert "30 test texts (by the column `part`), of which the first" in " ".join(given.split())
    plain = " ".join(section(report(), "Data and review").split())
    assert "30 test texts, of which the first" in plain and "by the column" not in plain


def test_conventions_of_the_corpus_are_a_limitation():
    """What a generator says only its examples teach is passed on, and nothing is made up."""
    corpus = changed(inputs(analysis()).corpus, conventions=["The scale of `x` | is ours."])
    part = section(report(corpus=corpus), "Limitations")
    assert r"only examples teach.** The scale of \`x\` \| is ours." in part
    assert "only examples teach" not in report()


def test_hosted_models_get_their_own_words():
    """With api=openai nothing may speak of the embedded server, and drift is a limitation."""
    text = report(analysis(api_kind="openai"))
    assert "transformers serve" not in text and "stand" not in section(text, "Limitations")
    assert "Hosted models vary" in section(text, "Limitations")


def test_limitations_name_only_what_was_not_tried():
    """A run that compared full fine-tuning, or asked twice, must not be told that it did not."""
    result = analysis(api_kind="openai")
    part = limitations.limitations_section(inputs(result))
    assert "full fine-tuning and prompt tuning were not compared" in part
    assert "the next time was not measured" in part
    result = changed(result, tunings=TUNINGS, conditions__3__noise_floor=NOISE_FLOOR)
    part = limitations.limitations_section(inputs(result))
    assert "were not compared" not in part and "one training each" in part
    assert "measured on some texts alone" in part


def test_unreviewed_counts_as_unreviewed():
    """A sample nobody has read must not look accepted."""
    part = section(report(review=changed(REVIEW, accepted=0, unreviewed=100)), "Data")
    assert "Nobody has reviewed" in part and "accepted" not in part
    assert "97 are unreviewed" in section(report(), "Data")


@pytest.mark.slow
def test_single_seed_has_no_share_of_variance(tmp_path):
    """With one seed the share is unknown, which is not 0%."""
    result = analysis(seeds=(4,))
    part = section(report(result), "What the intervals")
    assert (
        "nothing is said about another training" in part and "of the variance" not in part.lower()
    )
    assert "**One seed.**" in section(report(result), "Limitations")
    drawn(tmp_path, result, limit=None)


def test_seeds_that_differ_are_a_limitation():
    """Where the seeds decide the score, the interval over texts alone is too narrow a promise."""
    result = analysis()
    assert "Trainings differ" not in report(result)
    said = (
        "76% (4% to 94%) comes from which texts were sampled, 19% (1% to 95%) from the seeds and 5%"
    )
    assert said in report(result)
    assert "So few seeds do not tell how much they matter." in report(result)
    share = {"estimate": 0.7, "low": 0.1, "high": 0.9}
    result = changed(result, lora_statistics__variance_shares__seeds=share)
    part = section(report(result), "Limitations")
    assert "score from 0.630 to 0.650" in part and "70% of the variance (10% to 90%)" in part


def test_other_fields_need_no_change_of_code():
    """Fields come from the analysis; the built-in task's names appear nowhere in report code."""
    assert {"`vendor`", "`total_amount`", "`line_items`"} <= {
        row[0] for row in rows(section(report(), "Where"), "field")
    }
    task = yaml.safe_load(Path("conf/task/support_emails.yaml").read_text())
    names = list(task.get("task", task)["fields"])
    assert len(names) == 6
    folders = [Path(module.__file__).parent for module in (markdown, figures_package)]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 40
    for file in files:
        if file.suffix != ".pyc":
            assert not [name for name in names if re.search(rf"\b{name}\b", file.read_text())], file


def test_failures_are_taken_apart():
    """What was recoverable, out of vocabulary or far off stands in the report with its own numbers."""
    part = section(report(), "What the failures are")
    recovered = rows(part, "condition")
    assert recovered[0][1:] == [
        "64", "6", "2", "code fence 1, trailing comma 1", "0.634", "0.644",
    ]  # fmt: skip
    measured = {(row[0], row[1]): row[2] for row in rows(part, "field")}
    assert measured["`line_items`", "out-of-vocabulary label"] == "37.5%"
    assert measured["`vendor`", "token F1"] == "0.612"
    assert measured["`total_amount`", "mean distance"] == "–"
    assert "no sign of reading" not in part


def test_without_one_readable_answer_no_matrix_is_shown(tmp_path):
    """Nothing valid anywhere: the report still comes out, without a figure that is not there."""
    unread = {"a|b": 0, "c": 0, "(another label)": 0, "(none)": 9}
    values = {}
    for i in range(4):
        values[f"conditions__{i}__valid_json"] = 0.0
        values[f"conditions__{i}__diagnosis__confusion__line_items"] = {"a|b": unread, "c": unread}
    result = changed(analysis(), **values)
    drawn(tmp_path, result, names={"confusion", "per_field"})
    assert (tmp_path / "per_field.svg").exists()
    assert not (tmp_path / "confusion.svg").exists()
    assert "confusion.svg" not in report(result) and "no sign of reading" not in report(result)


def test_a_field_that_is_always_answered_alike_is_named():
    """A model that gives one label to everything must not pass for one that reads the field."""
    constant = {"line_items": '"a|b"', "total_amount": "null"}
    text = report(changed(analysis(), conditions__0__diagnosis__constant=constant))
    assert "**The fine-tune shows no sign of reading `line_items`, `total_amount`**" in text
    assert '`line_items` is always "a\\|b", `total_amount` is always null' in section(
        text, "Limitations"
    )


def test_rates_stand_with_their_intervals():
    """Also a rate of 0 or 1 has one."""
    result = analysis()
    found = rows(section(report(result), "Results"), "95% intervals of the rates")
    row = result.lora
    assert found[0] == [
        row.label,
        *(
            f"{rate.low:.1%} to {rate.high:.1%}"
            for rate in (
                row.rate_intervals.valid_json,
                row.rate_intervals.schema_valid,
                row.rate_intervals.exact_match,
                row.rate_intervals.truncated,
            )
        ),
    ]


@pytest.mark.parametrize(("seeds", "columns"), [((0,), 2), ((0, 1), 3), ((0, 1, 2), 3)])
def test_plans_are_for_the_seeds_that_there_were(seeds, columns):
    """One seed: nothing about another training, and no column of seeds. Two: a warning."""
    text = section(report(analysis(seeds=seeds)), "What the intervals")
    part = text.split("### What more texts")[1]
    table, needed = rows(part, "least effect with"), rows(part, "texts for an effect of")
    assert [len(row) for row in table] == [columns, columns]
    assert table[0][:2] == ["64 texts", "0.071"] and table[1][1] == "none"
    assert needed[0][:2] == ["0.01", "none"] and needed[1][:2] == ["0.05", "3,249"]
    one, two = len(seeds) == 1, len(seeds) == 2
    assert ("nothing is said about another training" in text) == one
    assert ("Two seeds say little about a third" in text) == two
    assert needed[1][-1] == ("1 seed on 3,249 texts" if one else "10 seeds on 130 texts")
    assert (re.findall("2 seeds(?= \\|)", part)[:1] == ["2 seeds"]) == two
    assert ("from the seeds" in text) != one and ("texts and seeds (used here)" in text) != one


def test_few_texts_are_said_to_be_few():
    result = analysis()
    part = section(report(result), "The fine-tune against") + section(report(result), "What the")
    assert "Fewer than 30 texts" not in part
    counted = {f"comparisons__{n}__clusters": 12 for n in range(len(result.comparisons))}
    few = changed(result, texts=12, **counted)
    assert "Fewer than 30 texts: the test keeps its level" in report(few)
    assert "Fewer than 30 texts are few" in section(report(few), "What the intervals")


def test_configured_energy_is_not_called_measured():
    """Watts from the config and watts from a GPU's counter each say which they are."""
    result = analysis()
    assert "Energy is configured, not measured" in report(result)
    text = report(changed(result, conditions__0__cost_per_1k__energy="measured"))
    assert "Energy is the GPU's own" in text and "configured, not measured" not in text


def test_latencies_compare_only_with_as_many_in_flight(tmp_path):
    """Four at once make each wait for the others: that is no slower model."""
    result = analysis(api_kind="openai")
    assert "not all of them compare" not in section(report(result), "The answer in detail")
    for in_flight, words in (((4, 4), "(4 in flight)"), (None, "(unknown number in flight)")):
        other = changed(
            result, conditions__2__latency__in_flight=in_flight,
            conditions__3__latency__in_flight=in_flight,
        )  # fmt: skip
        part = section(report(other), "The answer in detail")
        assert words in part and "so not all of them compare" in part
        assert "From the one to the other" not in part
        label = result.conditions[2].label
        assert f"{label} therefore do not compare" in section(report(other), "Results")
        latency = latency_ecdf(other, tables(other)[1], looks(other.conditions, PLOTS))
        drawn = [line.get_label() for line in latency.axes[0].lines]
        assert any("untuned" in str(name) for name in drawn)
        assert not any("HTTP" in str(name) for name in drawn)


def test_mixed_numbers_in_flight_are_said():
    """In the table and in the answer; they compare with nothing."""
    result = analysis(api_kind="openai")
    other = changed(result, conditions__3__latency__in_flight=(1, 4))
    text = report(other)
    assert "(1 to 4 in flight)" in section(text, "The answer in detail")
    assert "so not all of them compare" in section(text, "The answer in detail")
    assert any("1 to 4" in row for row in rows(section(text, "Results"), "latency measured on"))


def test_what_was_billed_beside_the_answers_has_columns_only_where_there_is_some():
    """Nothing to show, no table; each column appears with what it counts."""
    result = analysis(api_kind="openai")
    assert "billed beside" not in report(result)
    one = changed(
        result,
        conditions__3__billing=Billing(lost_attempts=3, reasoning_tokens=0, estimated=0, unknown=0),
        conditions__3__cost_per_1k__retries_usd=0.0123,
    )
    part = section(report(one), "Results")
    label = result.conditions[3].label
    assert "| billed beside the answers | failed attempts | USD per 1K of them |" in part
    assert f"| {label} | 3 | 0.0123 |" in part
    assert "reasoning tokens" not in part and "tokenizer" not in part
    every = changed(
        result,
        conditions__3__billing=Billing(
            lost_attempts=0, reasoning_tokens=700, estimated=2, unknown=5
        ),
        conditions__3__cost_per_1k__reasoning_usd=0.5,
    )
    part = section(report(every), "Results")
    assert f"| {label} | 700 | 0.5 | 2 | 5 |" in part and "failed attempts |" not in part
    assert "not the provider's" in part and "failed attempts count as free" in part


def test_latency_and_locality_are_part_of_the_answer():
    """Hosted: whose tail is longer, and who sees the texts. Embedded: that this says nothing."""
    part = section(report(analysis(api_kind="openai")), "The answer in detail")
    assert "0.52 s locally and 0.52 s through Tiny-7M over HTTP, 5-shot" in part
    assert "Tiny-7M was sent every text" in part
    part = section(report(), "The answer in detail")
    assert "network and queue are not in it" in part and "would be sent every text" in part


def test_registration_is_not_claimed_but_pointed_to():
    """When the claim was registered is git's to say, and changes between runs: not in the report."""
    part = section(report(), "Hypothesis")
    assert "ab" * 32 in part and "(provenance.json)" in part
    assert [row[:2] for row in rows(part, "clause")] == [
        ["accuracy", "**holds**"],
        ["cost", "**holds**"],
        ["break even", "**fails**"],
    ]


class Page(HTMLParser):
    """Tags, their addresses and the visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for key, value in attrs:
            assert not key.startswith("on"), f"{tag} {key}"
            if key in ("src", "srcset", "poster", "data") or (key == "href" and tag != "a"):
                self.loaded.append(value)

    def handle_data(self, data):
        self.text += data


def test_page_loads_nothing_and_runs_only_its_own_script(figures):
    """The page opens the same without a network, and an email cannot act on its reader."""
    text = report_html(report(), figures)
    page = Page(text)
    assert len(page.loaded) == len(FIGURES)
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.loaded)
    assert not {"iframe", "link", "object", "base", "form"} & set(page.tags)
    assert page.tags.count("script") == 1
    assert page.tags.count("img") == len(FIGURES)
    assert "url(" not in text and "@import" not in text
    # shown as text, to the letter
    assert "<script>alert(1)</script>" in page.text and "onerror=alert(2)>" in page.text
    assert "a|b 120" in page.text
    assert "<title>Invoices to a 3-field record: fine-tune Tiny-7M or call an API? (config" in text


def test_raw_html_in_markdown_is_text(figures):
    """The page's own guard, should some text ever reach it unescaped."""
    page = Page(report_html("# T\n\n<script>x</script>\n\na <img src=//e.example> b\n", figures))
    assert "img" not in page.tags and page.tags.count("script") == 1
    assert "<script>x</script>" in page.text


HOSTILE = [
    "a | b",
    "<script>x</script>",
    "[x](javascript:alert(1))",
    "![x](http://evil.example)",
    "`code` **bold** _em_ ~~s~~",
    "$a$ & &lt; \\ | \\|",
    "two\nlines\n\n# heading",
    "<http://evil.example>",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_labels_read_as_themselves(hostile, figures):
    """A label from the config stands in one cell, neither Markdown nor HTML nor a new column."""
    text = report(changed(analysis(), conditions__2__label=hostile))
    for row in rows(section(text, "Results"), "condition"):
        assert len(row) == 10
    page = Page(report_html(text, figures))
    assert " ".join(hostile.split()) in page.text
    assert page.tags.count("img") == len(FIGURES) and page.tags.count("script") == 1


@pytest.mark.parametrize("hostile", ["```\n# out", "````", "a\u2028# b", "~~~\n</code></pre>\n"])
def test_nothing_in_an_email_ends_its_block(hostile, figures):
    """An email that holds fences of its own stays inside one code block."""
    result = analysis()
    shown = changed(result.examples["api_few_shot_5"].wins[0], text=hostile)
    result = changed(result, examples__api_few_shot_5__losses=[shown])
    text = report_html(report(result), figures)
    plain = report_html(report(), figures)
    headings = re.compile(r"<h\d")
    assert len(headings.findall(text)) == len(headings.findall(plain))
    assert text.count("<pre>") == plain.count("<pre>") + 2


@pytest.mark.slow
def test_two_runs_give_the_same_bytes(figures, tmp_path):
    """Outputs of equal inputs are equal files, so that DVC sees no change where there is none."""
    result = analysis()
    more = (learning_curve(result), cascade(result))
    write_report_figures(tmp_path, result, robustness(), *tables(result), 100_000, PLOTS, *more)
    for name in FIGURES:
        for kind in ("svg", "png"):
            file = f"{name}.{kind}"
            assert (tmp_path / file).read_bytes() == (figures / "figures" / file).read_bytes(), file
    assert report() == report()
    assert report_html(report(), figures) == report_html(report(), figures)


@pytest.mark.slow
def test_figures_are_whole_and_not_blank(figures):
    """An SVG is well-formed and carries no date; a PNG shows more than a page of one colour."""
    from PIL import Image

    for name in FIGURES:
        svg = (figures / "figures" / f"{name}.svg").read_text()
        # a number that matplotlib wrote as a formula, which labels are not read as
        assert "mathdefault" not in svg, name
        ElementTree.fromstring(svg)
        assert "<dc:date>" not in svg
        with Image.open(figures / "figures" / f"{name}.png") as image:
            assert min(image.size) > 100 and len(image.convert("RGB").getcolors(2**24)) > 20


def test_colours_tell_conditions_apart_and_keep():
    """No condition comes near the tuned model's colour, and adding one recolours none."""
    result = analysis()
    first = looks(result.conditions, PLOTS)
    conditions = (*result.conditions, condition("late", "Late", "api", 0.5, 0.1))
    second = looks(conditions, PLOTS)
    assert {name: second[name] for name in first} == first
    for color in ("#0072B2", "#D55E00", "#000000"):
        plots = Plots(palette="colorblind", lora_color=color, dpi=60)
        assert [look.color for look in looks(conditions, plots).values()].count(color) == 1


def named(tuned: int = 0, api: int = 2, model_free: bool = True) -> list[tuple[str, Kind]]:
    """Names and kinds in the order of the analysis."""
    free = ("majority", "nearest", "nearest_copy") if model_free else ()
    return [
        ("lora", "lora"),
        ("base_zero_shot", "base"),
        *((f"tuned_{i}", "tuned") for i in range(tuned)),
        *((name, "model_free") for name in free),
        *((f"api_{i}", "api") for i in range(api)),
    ]  # fmt: skip


def test_a_slot_is_kept_whatever_else_is_compared():
    """Other tunings or no predictors recolour no API condition, so revisions can be compared."""
    alone = condition_slots(named(api=1, model_free=False))
    assert alone == {"lora": 0, "base_zero_shot": 1, "api_0": 2}
    many = condition_slots(named(tuned=8, api=2))
    assert many == {**many, **alone}
    without = condition_slots(named(tuned=8, api=2, model_free=False))
    assert without.items() <= many.items()
    # those that are asked about perturbed texts are among these
    assert condition_slots([("lora", "lora"), ("api_0", "api")])["api_0"] == 2


@pytest.mark.parametrize(
    ("tuned", "api", "model_free"), [(8, 3, True), (11, 3, False), (0, 14, False), (14, 0, False)]
)
def test_sixteen_conditions_have_looks_of_their_own(tuned, api, model_free):
    """In colour, and in grey by their markers."""
    names = named(tuned, api, model_free)
    assert len(names) == 16 and sorted(condition_slots(names).values()) == list(range(16))
    conditions = [condition(name, name, kind, 0.5, 0.1) for name, kind in names]
    found = looks(conditions, PLOTS).values()
    assert len({look.color for look in found}) == 16
    assert len({str(look.marker) for look in found}) == 16
    colors = [lab(to_rgb(look.color)) for look in found]
    assert min(math.dist(a, b) for a, b in itertools.combinations(colors, 2)) > 20
    # more differ in one of the two
    conditions += [condition(f"more_{i}", "more", "api", 0.5, 0.1) for i in range(16)]
    more = looks(conditions, PLOTS).values()
    assert len({(look.color, str(look.marker)) for look in more}) == 32


def test_bars_of_other_tunings_are_not_called_untuned():
    """The headline figure says: solid is fine-tuned, hatched is not."""
    result = analysis()
    other = condition("dora", "DoRA", "tuned", 0.5, 0.1)
    result = result.model_copy(update={"conditions": (*result.conditions, other)})
    (ax,) = headline(result, looks(result.conditions, PLOTS)).axes
    kinds = {row.field_f1.estimate: row.kind for row in result.conditions}
    for bar in ax.patches:
        assert (not bar.get_hatch()) == (kinds[bar.get_width()] in ("lora", "tuned"))


def test_labels_are_shown_in_the_order_of_every_table():
    """Models are chosen before rivals without a model; shown, they stand as everywhere: the highest score first."""
    result = analysis()
    rival = condition("nearest", "nearest", "model_free", 0.5, 0.1)
    result = result.model_copy(update={"conditions": (*result.conditions, rival)})
    figure = confusion_matrices(result, "#0072B2", most=3)
    assert figure is not None
    shown = [" ".join(ax.get_title().split()) for ax in figure.axes]
    assert [shown[0][:4], "5-shot" in shown[1], "zero-shot" in shown[2]] == ["LoRA", True, True]
    figure = confusion_matrices(result, "#0072B2", most=9)
    assert figure is not None and figure.axes[1].get_title() == "nearest"


@pytest.mark.parametrize("readable", [0.0, 0.9])
def test_labels_are_said_to_be_the_fine_tunes_only_where_they_are(readable):
    """Without one readable answer it is not drawn, and the caption must not name it."""
    figure = confusion_matrices(changed(analysis(), conditions__0__valid_json=readable), "#0072B2")
    assert figure is not None
    texts = [text.get_text() for text in figure.findobj(Text)]
    said = " ".join(" ".join(texts).split())
    assert ("The fine-tune and up to 3 others with readable" in said) == (readable > 0)
    assert ("Up to 4 conditions with readable" in said) == (readable == 0)
    assert "models before rivals without a model." in said


def test_unknown_palette_is_one_clear_line():
    """A misspelt palette names its key."""
    with pytest.raises(UserError, match=r"^plots\.palette: expected .* found 'colorblnd'$"):
        looks(analysis().conditions, Plots(palette="colorblnd", lora_color="#0072B2", dpi=60))


def test_the_noise_floor_is_shown_where_it_was_measured():
    """The score of a hosted model is read beside how far it moves by itself."""
    content = analysis()
    heading = "### How far a repeated question gives another answer"
    assert heading not in report(content)
    content = changed(content, conditions__3__noise_floor=NOISE_FLOOR)
    text = report(content).split(heading)[1]
    assert "| 20 | 3 | 85% | 90% | 0.551 to 0.563 | 0.0061 |" in text


def test_sweep_page(tmp_path):
    """The page lists the trials it is given and names the best, beside the published sweep."""
    ranks = [
        Trial("rank_trial", str(r), r, 0.001, 0, 32, f1, 1.0, 0.0, 0.2, 40)
        for r, f1 in ((8, 0.5381), (16, 0.5486))
    ]
    rates = [replace(ranks[1], learning_rate=0.002, field_f1=0.6163)]
    text = sweep.sweep_markdown(ranks, rates, rates[0], task=published_experiment().task)
    assert [row[1:4] for row in rows(text, "sweep")] == [
        ["8", "0.001", "0.538"],
        ["16", "0.001", "0.549"],
        ["16", "0.002", "0.616"],
    ]
    assert "rank 16 at learning rate 0.002" in text and "0.8083" in text
    # a winner at the end of its grid is called out; one inside it, or a grid of one, is not
    assert "The rank 16 is the largest tried" in text and "rate 0.002 is the" not in text
    wider = [replace(ranks[1], r=32, field_f1=0.5)]
    assert "is the largest tried" not in sweep.sweep_markdown(ranks + wider, rates, rates[0])
    # a trial that did not see the whole training is not shown as if it had
    short = [*rates, replace(rates[0], learning_rate=0.1, stopped_at_step=12)]
    cells = [row[-1] for row in rows(sweep.sweep_markdown(ranks, short, rates[0]), "sweep")]
    assert cells == ["0.200"] * 3 + ["0.200 (stopped early at step 12)"]
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        write_sweep_figure(folder, ranks, rates, PLOTS)
    for kind in ("svg", "png"):
        assert (tmp_path / f"a/sweep.{kind}").read_bytes() == (
            tmp_path / f"b/sweep.{kind}"
        ).read_bytes()


def test_published_figures_are_those_of_the_publication():
    """The published break-even volumes follow from the published costs."""
    told = published_experiment()
    local = told.conditions[0].usd_per_1k
    for row in told.conditions[1:]:
        saved = row.usd_per_1k - local
        volume = 1000 * told.training_usd / saved
        # its costs are printed to three digits: to within what rounding them can do
        slack = 0.0006 / saved
        assert row.break_even == pytest.approx(volume, rel=slack)
    part = section(report(changed(analysis(), task=told.task)), "The published experiment")
    assert "were not reproduced here" in part
    found = {row[0]: row[1:] for row in rows(part, "figure")}
    assert found["field F1, fine-tuned"] == [
        r"0.766 \[0.753, 0.779\]",
        r"0.634 \[0.594, 0.674\]",
    ]


def test_what_is_said_of_the_published_numbers_follows_from_them():
    """A doubt about somebody else's table is stated with its arithmetic, and as a probability."""
    told = published_experiment()
    lora, base = told.condition("lora"), told.condition(told.difference.baseline)
    money, _, counted, twice, times = told.notes

    per_1k = lora.p50 * 320 * 1.5 / 3.6e6 * 0.15 * 1000
    assert f"USD {per_1k:.4f};" in money and f"USD {lora.usd_per_1k:.3f} per 1,000" in money
    assert f"would need {lora.p50 * lora.usd_per_1k / per_1k:.1f} s a text" in money

    def shares(answers: int) -> set[float]:
        return {round(right / answers, 6) for right in range(answers + 1)}

    few, many = told.texts * told.seeds, 300 * told.seeds
    assert lora.exact_match not in shares(few) and lora.exact_match in shares(many)
    below = int(lora.exact_match * few)
    assert f"{below} are {below / few:.6f}, {below + 1} are {(below + 1) / few:.6f}" in counted
    assert f"of {lora.exact_match} is no share of the {few} answers" in counted
    assert f"is {round(lora.exact_match * many)} of {many}." in counted and "probably" in counted

    ranks = {trial.r: trial.field_f1 for trial in told.sweep.ranks}
    rates = {trial.learning_rate: trial.field_f1 for trial in told.sweep.learning_rates}
    first, again = ranks[16], rates[0.0002]
    assert f"{first:.4f} in the rank sweep and {again:.4f} in the rate sweep" in twice
    second = max(score for r, score in ranks.items() if r != 16)
    assert second == ranks[32] and "probably trained twice" in twice
    assert (
        f"differ by {first - again:.4f}; rank 16 was chosen over rank 32 for {first - second:.4f}"
        in twice
    )

    gap = lora.field_f1 - base.field_f1
    errors = [gap / ((row.high - row.low) / (2 * 1.959964)) for row in (base, lora)]
    halves = [gap / ((row.high - row.low) / 2) for row in (base, lora)]
    assert f"is {errors[0]:.0f} standard errors of the baseline and {errors[1]:.0f} of" in times
    assert f"in half widths it is {halves[0]:.0f} and {halves[1]:.0f}," in times
    assert "probably" in times


@pytest.mark.parametrize(
    "value, text",
    [(None, "never"), (72_700_000, "72.7 million"), (999_999, "1 million"), (51_234, "51,200"),
     (1.5e9, "1.5 billion"), (0, "0")],
)  # fmt: skip
def test_volumes_in_words(value, text):
    """Volumes read as a person would say them, also at the edges of a unit."""
    assert numbers.volume(value) == text


def test_what_rounds_to_nothing_has_no_sign():
    """-0.000 would be a loss that nobody can see."""
    assert [numbers.signed(v) for v in (-0.0004, 0.0004, -0.0, -0.0006)] == [
        "0.000", "0.000", "0.000", "-0.001",
    ]  # fmt: skip
    assert [numbers.points(v) for v in (-0.004, 0.004, -0.006)] == ["0", "0", "-1"]
    assert numbers.signed_usd(0.0) == "0" and numbers.signed_usd(-0.5) == "−0.5"


def test_one_day_is_one():
    assert [numbers.days(v) for v in (0.5, 1, 1.001, 1.5, 59)] == [
        "less than a day", "1 day", "1 day", "1.5 days", "59 days",
    ]  # fmt: skip


def test_small_amounts_are_written_out():
    """No exponent and no false zero in a price."""
    assert [numbers.usd(v) for v in (0.0000123, 0.0711, 1.5, 1200.02)] == [
        "0.0000123",
        "0.0711",
        "1.5",
        "1,200",
    ]


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_provenance_tells_when_the_hypothesis_was_registered(tmp_path):
    """The registering commit is found, is earlier than the reported one, and edits show."""
    claim = tmp_path / "conf/hypothesis/h1.yaml"
    claim.parent.mkdir(parents=True)
    claim.write_text("id: H1\n")
    git(tmp_path, "init", "-q")
    assert provenance(tmp_path)["git"] is None  # no commit yet
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "claim")
    first = git(tmp_path, "rev-parse", "HEAD")
    assert provenance(tmp_path)["git"]["hypothesis"]["before_head"] is False
    (tmp_path / "train.py").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "training")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/analysis.json").write_text("{}")
    state = provenance(tmp_path)["git"]
    assert state["commit"] == git(tmp_path, "rev-parse", "HEAD")
    assert (state["dirty"], state["changed"]) == (False, [])  # a result is no change of the source
    assert (state["hypothesis"]["commit"], state["hypothesis"]["before_head"]) == (first, True)
    claim.write_text("id: H2\n")
    state = provenance(tmp_path)["git"]
    assert (state["dirty"], state["changed"]) == (True, ["conf/hypothesis/h1.yaml"])
    assert state["hypothesis"]["uncommitted"]


def test_provenance_without_git(tmp_path, monkeypatch):
    """An unpacked archive, or a machine without git, still gets its report."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance(tmp_path)["git"] is None
    monkeypatch.setenv("PATH", str(tmp_path))
    found = provenance(tmp_path)
    assert found["git"] is None and found["packages"]["matplotlib"][0].isdigit()
    json.dumps(found, allow_nan=False)


def test_the_installation_is_in_the_report():
    """Package versions stand in the report itself."""
    found = installation()
    part = section(report(installation=found), "Reproducibility")
    assert ["transformers", found.packages["transformers"]] in rows(part, "what")


def test_every_variant_of_lora_has_a_name():
    """A variant that the config takes can be told of in the report."""
    assert set(get_args(Adapter.model_fields["variant"].annotation)) == set(VARIANTS)


def test_a_long_name_breaks_where_a_reader_would():
    """A model's name is longer than a line of a figure; half a word on the next line is no name."""
    label = "Qwen2.5-Coder-0.5B-Instruct-Q4_K_M 3 nearest examples"
    assert wrap(label) == "Qwen2.5-Coder-0.5B-Instruct-\nQ4_K_M 3 nearest examples"
    # where nothing is too long, a hyphen is no place to break
    assert wrap("Tiny-7M over HTTP, zero-shot, strict") == "Tiny-7M over HTTP,\nzero-shot, strict"
