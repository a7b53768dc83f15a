"""The report's templates: whole on every kind of result, strict with names, inert with text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from jinja2 import UndefinedError, meta

from lora_vs_api.analysis import metrics
from lora_vs_api.analysis.condition import ConditionRuns
from lora_vs_api.analysis.results import (
    Billing,
    FieldDifference,
    NoiseFloor,
    OtherTuning,
    Slice,
    SliceRow,
)
from lora_vs_api.analysis.tables import plot_tables
from lora_vs_api.figures.per_field import per_field
from lora_vs_api.record.fields import Field
from lora_vs_api.report import rendering
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.markdown import report_markdown
from lora_vs_api.report.model_card import Published, model_card
from lora_vs_api.report.published import published_experiment
from lora_vs_api.report.rendering import ENVIRONMENT, TEMPLATES, Markdown, escape
from lora_vs_api.report.sections.facts import unguessed_fields
from lora_vs_api.report.sections.sweep import sweep_markdown
from lora_vs_api.selection.trials import Trial
from tests.report_fixture import (
    REVIEW,
    SETTINGS,
    analysis,
    changed,
    distillation,
    inputs,
    redecided,
    robustness,
)

TASK = published_experiment().task

NAMES = sorted(file.name.removesuffix(".md.j2") for file in TEMPLATES.iterdir())
TRIAL = Trial("rank_trial", "8", 8, 0.001, 0, 32, 0.5, 1.0, 0.0, 0.2, 40)
CARD = Published(
    name="tiny", seed=0, base_model="owner/Tiny", weights="Tiny of a wheel", license=None,
    instruction="Say it.", max_new_tokens=40, adapter_sha256="ab" * 32, commit=None, synthetic=True,
)  # fmt: skip


def all_rows(**values: Any) -> dict[str, Any]:
    """The same change to each of the fixture's four conditions."""
    return {f"conditions__{i}__{key}": value for i in range(4) for key, value in values.items()}


def from_a_file() -> ReportInputs:
    """Somebody's own texts, labelled by people, with hosted models."""
    noise = NoiseFloor(
        texts=20, replicates=3, same_answer=0.85, same_score=0.9, field_f1_low=0.55,
        field_f1_high=0.56, sd=0.006, sd_if_independent=0.0064, p_of_runs=0.412,
    )  # fmt: skip
    tuning = OtherTuning(
        label="prompt tuning", method="prompt", learning_rate="2e-2", seed=0, r=None,
        virtual_tokens=16,
    )  # fmt: skip
    rank = OtherTuning(
        label="DoRA", method="dora", learning_rate="2e-3", seed=0, r=8, virtual_tokens=None
    )
    fields = (
        Field("kind", "enum", "exact", values=("a", "b"), optional=True),
        Field("nights", "integer", "exact", minimum=1, maximum=5),
        Field("price", "number", "tolerance", tolerance=0.5),
        Field("address", "object", "slot_f1", fields=(Field("city", "string", "exact"),)),
        Field("rooms", "list", "set_f1", items=Field("item", "string", "exact")),
    )
    result = changed(
        analysis(api_kind="openai"),
        tunings={"prompt": tuning, "dora": rank},
        conditions__3__noise_floor=noise,
        conditions__3__truncated=0.5,
        conditions__0__cost_per_1k__energy="measured",
        economics__rented_usd_per_hour=None,
    )
    made = inputs(result)
    return replace(
        made,
        corpus=metrics.Corpus(source="file", path="a b.csv", texts=9, words_mean=8.125),
        split=changed(made.split, masked_sentence_overlap=None, repeated_texts_left_out=1),
        data_check=changed(
            made.data_check,
            warnings=[],
            conflicts=[["a", "b"]],
            fields={
                "kind": {"null": 0.8125, "different": 2, "labels": None},
                "nights": {"null": 0.0, "different": 5, "labels": None},
            },
        ),
        review=changed(REVIEW, accepted=99, unreviewed=1),
        contamination=changed(made.contamination, field="kind", flagged=True, unreadable_answers=0),
        sanity=changed(made.sanity, passed=False),
        settings=replace(
            SETTINGS,
            fields=fields,
            constrained=True,
            lora=SETTINGS.lora.model_copy(
                update={"target_modules": "all-linear", "plus_ratio": 16.0}
            ),
            train={"epochs": 1, "max_steps": None, "batch_size": 2, "gradient_accumulation": 4},
            model={"name": "M", "sha256": "ef" * 32, "repo": "owner/M"},
        ),
    )


def nothing_found() -> ReportInputs:
    """One seed, no robustness, no check of contamination, no break-even, nothing timed or valid."""
    none = {"a|b": 0, "c": 0, "(another label)": 0, "(none)": 9}
    result = changed(
        analysis(seeds=(4,), api_usd=0.002),
        **all_rows(
            latency__p50=None,
            latency__p95=None,
            latency__requests=0,
            valid_json=0.0,
            field_f1__estimate=0.0,
            field_f1__low=0.0,
            field_f1__high=0.0,
            diagnosis__forgiven={},
            diagnosis__confusion={"line_items": {"a|b": none, "c": none}},
        ),
    )
    made = inputs(result, robustness=None, contamination=None)
    return replace(
        made,
        corpus=changed(made.corpus, categories=None, repeated_after_masking=None),
        split=changed(made.split, masked_sentence_overlap=0.25),
        review=changed(REVIEW, accepted=0, unreviewed=100),
    )


def nothing_but_slots() -> ReportInputs:
    """Every field may be empty, and one is in every test text."""
    result = changed(
        analysis(),
        **all_rows(per_field__vendor=None, diagnosis__fields__vendor={
            "type": "string", "missing": None, "unexpected": 0.25, "normalised": None,
            "token_f1": None,
        }),
        **{f"comparisons__{i}__per_field__vendor": None for i in range(3)},
    )  # fmt: skip
    made = inputs(result)
    check = changed(
        made.data_check, fields={"vendor": {"null": 1.0, "different": 0, "labels": None}}
    )
    fields = (Field("vendor", "string", "exact", optional=True),)
    return replace(made, data_check=check, settings=replace(SETTINGS, fields=fields))


def everything_said() -> ReportInputs:
    """Each sentence that only some results need, on the embedded API."""
    result = changed(
        analysis(),
        conditions__0__diagnosis__constant={"line_items": '"a|b"'},
        conditions__1__latency__requests=6,
        conditions__2__valid_json=0.1,
        conditions__2__billing=Billing(lost_attempts=3, reasoning_tokens=0, estimated=2, unknown=1),
        conditions__2__cost_per_1k__retries_usd=0.01,
        conditions__3__billing=Billing(
            lost_attempts=0, reasoning_tokens=900, estimated=0, unknown=0
        ),
        conditions__3__cost_per_1k__reasoning_usd=0.2,
        conditions__3__nearest_shots=True,
        lora_statistics__variance_shares__seeds={"estimate": 0.7, "low": 0.4, "high": 0.8},
        comparisons__0__clusters=12,
        economics__break_even__0__ways=[],
    )
    perturbed = changed(
        robustness(),
        conditions__0__by_perturbation__0__p_holm=0.001,
        leads__0__drop__low=0.001,
        conditions__0__drop__high=-0.001,
        conditions__0__drop__low=-0.1,
    )
    made = inputs(result, robustness=perturbed)
    return replace(made, corpus=changed(made.corpus, conventions=["The scale is ours.", "So."]))


def same_everywhere() -> ReportInputs:
    """Several seeds among which nothing varies, and a fine-tune that loses to all."""
    shares = dict.fromkeys(("seeds", "texts", "interaction"))
    result = changed(analysis(), lora_statistics__variance_shares=shares)
    for baseline in [row.baseline for row in result.comparisons]:
        result = redecided(result, baseline, difference=(-0.2, -0.2))
    return inputs(result, robustness=changed(robustness(), leads__0__drop__high=-0.001,
                                             leads__0__drop__low=-0.1))  # fmt: skip


def strict_schema() -> ReportInputs:
    """A provider that enforces the schema on one of its two conditions, and so do local models."""
    told = inputs(
        changed(
            analysis(api_kind="openai"),
            conditions__2__json_mode=True,
            conditions__3__schema_enforced=True,
            decisions__1__pay_back__never=0.125,
        )
    )
    return replace(told, settings=replace(told.settings, constrained=True))


def sliced():
    """Two slices, one of them of a single text."""
    result = analysis()
    names = [row.name for row in result.conditions if row.kind != "lora"]
    interval = result.lora.field_f1
    difference = FieldDifference(difference=0.1, low=-0.1, high=0.3)
    rows = (
        SliceRow(value=HOSTILE, texts=3, clusters=3, lora=0.6, interval=interval,
                 scores=dict.fromkeys(names, 0.5), differences=dict.fromkeys(names, difference)),
        SliceRow(value="", texts=1, clusters=1, lora=0.6, interval=None,
                 scores=dict.fromkeys(names, 0.5), differences={}),
    )  # fmt: skip
    found = Slice(by=HOSTILE, rows=rows[:1], others=rows[1], other_values=1)
    return inputs(result.model_copy(update={"slices": (found,)}))


def wished() -> ReportInputs:
    """Every wish that the report tells of, and no claim."""
    result = analysis(model_free={"majority": 0.3})
    place = next(i for i, row in enumerate(result.conditions) if row.kind == "api")
    own = {"shots": 2, "written_shots": True, "instruction": "Find `x`."}
    told = changed(
        result,
        verdict__id=None,
        verdict__statement=None,
        **{f"conditions__{place}__{key}": value for key, value in own.items()},
    )
    fields = (
        Field("vendor", "string", weight=3),
        Field("kind", "string", optional=True, omitted=True),
    )
    train = {**SETTINGS.train, "max_length": 300, "too_long": "cut"}
    return replace(inputs(told), settings=replace(SETTINGS, fields=fields, train=train))


CASES = {
    "wishes": wished,
    "the published task": lambda: inputs(changed(analysis(), task=TASK)),
    "the published task, no API": lambda: inputs(changed(analysis(apis=()), task=TASK)),
    "the fixture": lambda: inputs(analysis()),
    "hosted, from a file": from_a_file,
    "nothing found": nothing_found,
    "nothing but slots": nothing_but_slots,
    "everything said": everything_said,
    "same everywhere": same_everywhere,
    "without a model": lambda: inputs(
        analysis(model_free={"majority": 0.8, "nearest": 0.5, "nearest_copy": 0.81})
    ),
    "one without a model": lambda: inputs(analysis(seeds=(4,), model_free={"nearest": 0.2})),
    "no API": lambda: inputs(analysis(apis=(), model_free={"majority": 0.3, "nearest": 0.7})),
    "sliced": sliced,
    "models served here": lambda: inputs(analysis(api_kind="llama_cpp")),
    "a server of one's own": lambda: inputs(analysis(api_kind="openai", loopback=True)),
    "no API and no rival": lambda: inputs(analysis(apis=(), api_kind="openai")),
    "one stand-in": lambda: inputs(analysis(apis=("api_few_shot_5",))),
    "a strict schema": strict_schema,
}


@pytest.fixture
def rendered(monkeypatch) -> Iterator[dict[str, set[str]]]:
    """Template → the facts that it was given."""
    found: dict[str, set[str]] = {}
    get_template = ENVIRONMENT.get_template

    def noted(name: str) -> Any:
        template = get_template(name)
        render = template.render
        monkeypatch.setattr(
            template,
            "render",
            lambda facts: (found.setdefault(name, set()).update(facts), render(facts))[1],
        )
        return template

    monkeypatch.setattr(ENVIRONMENT, "get_template", noted)
    yield found


def prose(text: str) -> str:
    """The text without its code blocks, in which anything may stand."""
    return re.sub(r"^(`{3,}).*?^\1$", "CODE", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("case", CASES)
def test_a_report_is_whole(case):
    """Whatever a result holds: no bare None, no gap, every row of a table as wide as its header."""
    text = prose(report_markdown(CASES[case]()))
    assert not re.search(
        r"\{\{|\{%|%\}|\bNone\b(?! of this changes)|\bnan\b|\bTrue\b|\bFalse\b|\binf\b", text
    )
    assert "\n\n\n" not in text and text.endswith("\n") and not text.endswith("\n\n")
    for line in text.splitlines():
        assert not re.search(r"^\s|\s$|(?<!\|)  | [.,;:)]|\( ", line), line
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1 and table.count("\n") >= 3, table
    # a paragraph, a list, a table or a heading is one block, with a blank line around it
    for block in text.split("\n\n"):
        kinds = {line[0] if line[0] in "|-#>" else "" for line in block.strip().splitlines()}
        assert len(kinds) == 1, block
        assert kinds & set("|-") or "\n" not in block.strip(), block


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("nothing found", "Not made: `contamination.field` names no field."),
        (
            "nothing found",
            "answers of the fine-tune do not cost less, and training is never paid back",
        ),
        ("nothing found", "| never | never |"),
        ("nothing found", "| – | – |"),
        ("nothing found", "one seed shows nothing about another training"),
        ("nothing found", "scores 0, so a condition that rarely writes JSON"),
        ("nothing found", "25% of the test texts' sentences also occur in training. Real texts"),
        ("hosted, from a file", "9 texts from a b.csv, 8.12 words on average; split into"),
        ("hosted, from a file", "; 1 repeated text left out."),
        ("hosted, from a file", "1 is unreviewed and counts as nothing else."),
        ("hosted, from a file", "Flagged from +50 points on: **flagged**."),
        ("hosted, from a file", "(r 8, learning rate 2e-3, seed 0)."),
        ("hosted, from a file", "prompt tuning (16 virtual tokens, learning rate 2e-2, seed 0); "),
        ("hosted, from a file", "M (repo owner/M) is fine-tuned with LoRA (LoRA+: B learns at 16"),
        ("hosted, from a file", "| `kind` | enum: a, b, or null | exact match |"),
        ("hosted, from a file", "| `nights` | integer 1 to 5 | exact match |"),
        ("hosted, from a file", "| `price` | number | match within 0.5 |"),
        ("hosted, from a file", "| `address` | object with city | F1 of the slots |"),
        ("hosted, from a file", "| `rooms` | list, each string | F1 of the set |"),
        ("hosted, from a file", "computed once; only what the fields' schema allows |"),
        ("hosted, from a file", "were valid JSON; **not passed**."),
        ("hosted, from a file", "| effective batch | 8 |"),
        ("hosted, from a file", "**One source.** Train and test come from the same file. Texts of"),
        (
            "everything said",
            "**The fine-tune shows no sign of reading `line_items`**: every answer that could be read "
            'has the same value there (`line_items`: "a\\|b"), though the records have several',
        ),
        (
            "everything said",
            "18 of the 20 answers named none of the labels, which counts as wrong,",
        ),
        ("everything said", "Score (*field F1*): mean over the record's fields, each from 0 to 1."),
        ("hosted, from a file", "asked for `kind` of 20 test texts that have one: 5% right"),
        (
            "hosted, from a file",
            "| `kind` | 81.2% |\n\nBeing right that a field is empty counts for",
        ),
        ("hosted, from a file", "in the score.\n"),
        (
            "hosted, from a file",
            "`nights`, `price`, `address`, `rooms` always count as filled by both.",
        ),
        ("hosted, from a file", " `kind` may be empty: what is empty in both counts for nothing;"),
        ("hosted, from a file", "for a field that may be empty, of the answers to texts for which"),
        ("nothing but slots", "| `vendor` | 100.0% |"),
        ("nothing but slots", "in the score, unless the whole record is empty.\n"),
        ("nothing but slots", "throughout, an answer that is too scores 1. The score of a single"),
        (
            "nothing but slots",
            "correction for there being 2. No test text has a value for `vendor`, so",
        ),
        (
            "everything said",
            "By sign-flip tests, corrected for 6 of them (Holm), the drops clear of zero: `typos` for",
        ),
        ("everything said", "perturbed: it shrinks (drop"),
        ("everything said", "clear of zero on the better side. Its lead"),
        ("everything said", "| in batches, own electricity | 34 million ("),
        ("everything said", "only examples teach.** The scale is ours. So.\n"),
        ("everything said", "A p95 from fewer than 20 requests"),
        ("same everywhere", "Nothing varies, so there is no variance to divide."),
        ("same everywhere", "perturbed: it grows (drop"),
        ("same everywhere", "the fine-tune is less accurate than it by 0.02 or more"),
        ("without a model", "no win: `vendor` (0.634, the commonest value 0.800).\n"),
        ("without a model", "The strongest, nearest + values copied from the text, scores 0.810"),
        ("without a model", "**On these texts the fine-tune buys no accuracy"),
        (
            "one without a model",
            "1 rival without a model, learnt from all 140 training texts, which a training sees too",
        ),
        ("one without a model", "It scores 0.200 field F1"),
        ("nothing found", "texts, 0.000, has an interval from 0.000 to 0.000."),
        ("no API and no rival", ", fail where none of it does, and are undecided otherwise.\n"),
        ("no API and no rival", "of all. Of one baseline Holm's correction changes nothing."),
        (
            "without a model",
            "undecided otherwise; each row for itself, without correction for there",
        ),
        ("without a model", "Holm's correction is over the 6 baselines of this table."),
        ("without a model", "A field is won or lost where its whole interval (95% random-effects"),
        ("no API", "# Invoices to a 3-field record: fine-tune Tiny-7M? (config "),
        ("no API", "Should one LoRA-fine-tune Tiny-7M for this task?\n"),
        (
            "no API",
            "**No API condition was asked, so there is no API side to compare with, and whether to "
            "call one is open. Leaving APIs aside: Use nearest training text (TF-IDF) unless more "
            "texts or seeds show a gain: it is open whether the fine-tune is more or less accurate",
        ),
        ("no API", "every text.\n\n![Field F1"),
        ("no API", "| break even | **not judged** | it is about an API's answers, and no API"),
        ("no API", "All clauses together: **not judged**. What the fine-tune was compared with"),
        ("no API", "seeds 0, 1, 2). No API condition was asked. Every model gets the same"),
        ("no API", "**No API condition was asked, so no break-even is given**"),
        ("no API", "at a time on its own electricity.\n\n### Total cost of ownership"),
        ("no API", "\n| 100,000 | 2 | "),
        ("the published task, no API", " | no API was asked |\n"),
        ("wishes", "| `kind` | string, or left out | exact match |"),
        ("no API", "- **No API was asked.** What a hosted model would score on these texts, cost"),
        ("no API", "local model are not in the cost of an answer; in production they cost"),
        ("no API", "### Against Tiny-7M untuned, zero-shot"),
        (
            "no API and no rival",
            "Leaving APIs aside: Fine-tune for the accuracy, not to save money: the fine-tune is more "
            "accurate than Tiny-7M untuned, zero-shot; ",
        ),
        ("no API and no rival", "### Texts on which it gains most against Tiny-7M untuned"),
        ("one stand-in", "The API condition here is Tiny-7M, untuned, behind a local server and"),
        ("one stand-in", "what follows is what was measured of it.**"),
        (
            "models served here",
            "**Whether to call a hosted model is open: none was asked. Tiny-7M stands in for one, billed as "
            "gpt-x, and is a rival in its own right. Of all that was measured: Fine-tune: ",
        ),
        (
            "a server of one's own",
            "**Whether to call a hosted model is open: a server on this machine was asked. Tiny-7M stands",
        ),
        (
            "a server of one's own",
            "The API conditions ask Tiny-7M, on a server of one's own at an address of this machine, through",
        ),
        (
            "a server of one's own",
            "- **No hosted model was asked**, unless what answers on this machine",
        ),
        ("a strict schema", "HTTP, zero-shot nothing is saved in 12.5% of the resamples.\n"),
        (
            "a strict schema",
            "Every model gets the same instruction. The record's JSON Schema goes with every request, as "
            "the form that the answer must have, for Tiny-7M over HTTP, 5-shot (55 of 64 answers have it). "
            "Tiny-7M over HTTP, zero-shot is asked for a JSON object, of whatever keys. Local models can "
            "write only what the fields' schema allows. Tiny-7M over HTTP, 5-shot also sees examples",
        ),
    ],
)
def test_what_only_some_results_need_is_said(case, said):
    """Each sentence that stands behind a condition, once where its condition holds."""
    assert said in report_markdown(CASES[case]())


def test_only_what_the_fine_tune_gets_is_its_knowledge_of_the_corpus():
    """What nobody gets right says nothing about conventions that examples teach."""
    result = analysis()
    assert unguessed_fields(result) == ["vendor", "total_amount", "line_items"]
    few = changed(result, conditions__0__per_field__vendor=0.05)
    assert unguessed_fields(few) == ["total_amount", "line_items"]


def test_a_field_without_a_value_has_no_score_anywhere():
    """No cell in the figure, no row in the tables, no line in the card; the others stay."""
    result = nothing_but_slots().analysis
    drawn = per_field(result, "#0072B2").axes[0]
    assert len(drawn.texts) == 2 * len(result.conditions)
    assert not any("nan" in text.get_text() for text in drawn.texts)
    untimed = changed(result, **all_rows(latency__p50=None))
    runs = [
        ConditionRuns(r.name, r.label, r.kind, "", 0, (), r.cost_per_1k) for r in result.conditions
    ]
    table = plot_tables(untimed, runs)["per_field"]
    assert {row["record_field"] for row in table} == {"total_amount", "line_items"}
    card = model_card(result, CARD)
    assert "By field (mean of the seeds): total_amount 0.317, line_items 0.211." in card


def test_every_template_gets_what_it_reads_and_no_more(rendered):
    """A fact that no template reads is dead code; one that is missing would be an error."""
    for case in CASES.values():
        report_markdown(case())
    made = analysis()
    report_markdown(
        inputs(made, distillation=distillation(made, made.decision("api_zero_shot"), 64, ("t0",)))
    )
    for trials in ([TRIAL], [TRIAL, replace(TRIAL, r=16, stopped_at_step=3)]):
        sweep_markdown(trials, trials, TRIAL, task=TASK)
    sweep_markdown([], [], None)
    for card in (CARD, replace(CARD, synthetic=False, commit="c0ffee", license="mit")):
        model_card(analysis(), card)
        model_card(analysis(apis=()), card)
        model_card(analysis(api_kind="openai"), card)
    reads = {
        name: meta.find_undeclared_variables(ENVIRONMENT.parse(rendering._source(name)))
        for name in NAMES
    }
    assert rendered == reads


@pytest.mark.parametrize(
    "template",
    ["{{ misspelt }}", "{{ facts.misspelt }}", "{% if misspelt %}x{% endif %}",
     "{% for x in misspelt %}x{% endfor %}", "{{ misspelt|score }}", "{{ misspelt|code }}"],
)  # fmt: skip
def test_a_misspelt_name_is_an_error(template):
    """Jinja would write nothing, and a sentence without its number would go unnoticed."""
    with pytest.raises(UndefinedError, match="misspelt"):
        ENVIRONMENT.from_string(template).render(facts=TRIAL)


@pytest.mark.parametrize("value", [0.1, None, True, float("nan"), ["a"], {"a": 1}])
def test_only_text_and_whole_numbers_need_no_filter(value):
    """A share would be written with all its digits, and a missing value as a word of Python."""
    with pytest.raises(TypeError, match="without a filter"):
        ENVIRONMENT.from_string("{{ value }}").render(value=value)


HOSTILE = "a | <b>*c*</b> `d` [e](f) $g$\n# h"


@pytest.mark.parametrize(
    "template",
    [
        "{{ text }}", "{{ [text]|listed }}", "{{ text|code }}", "{{ [text]|codes }}",
        "{{ text ~ '' }}", "{{ text|words }}", "{{ {'a': text}|json }}", "{{ 2|count(text) }}",
        "{{ [text]|join }}", "{{ text|string }}", "{{ text if true }}",
    ],
)  # fmt: skip
def test_text_of_others_stays_text(template):
    """Without any filter, and through every filter that takes a text."""
    written = ENVIRONMENT.from_string(template).render(text=HOSTILE)
    assert "\n" not in written
    assert not re.search(r"(?<!\\)[|<>*`\[\]$]", written), written


def test_markdown_is_escaped_once():
    """What a filter wrote, and a part made by another template, stay as they are."""
    made = Markdown("**a** | `b`")
    assert (
        ENVIRONMENT.from_string("{{ made }}{{ 0.5|percent }}").render(made=made) == made + "50.0%"
    )
    assert escape(escape("a|b")) == r"a\|b"


def test_an_indented_line_goes_on(tmp_path, monkeypatch):
    """In a template, and never in a text that it writes."""
    (tmp_path / "case.md.j2").write_text(
        "{% if yes %}\nOne\n  two\n  {% if yes %}, three\n  {% endif %}.\n{% endif %}\n\n"
        "{{ text|fence }}\n"
    )
    monkeypatch.setattr(rendering, "TEMPLATES", tmp_path)
    text = rendering.render("case", yes=True, text="a\n  b\n  {% if c %}\n")
    assert text == "One two, three.\n\n```\na\n  b\n  {% if c %}\n```"


def test_templates_are_installed_with_the_package():
    """A wheel without them would make no report."""
    import tomllib

    from tests.imports import ROOT

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "*.j2" in project["tool"]["setuptools"]["package-data"]["*"]
