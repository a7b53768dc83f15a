"""report.html in a browser: sorting, the break-even calculator, every answer, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora_vs_api.analysis.cascade_results import Cascade, ranked_cascade
from lora_vs_api.analysis.order import ranked
from lora_vs_api.analysis.results import Analysis, Outcome
from lora_vs_api.report import numbers
from lora_vs_api.report.markdown import report_markdown
from lora_vs_api.report.page import html
from lora_vs_api.report.page.data import lead, page_data
from lora_vs_api.report.page.html import data_block, report_html, script_hash
from lora_vs_api.report.rendering import plain
from lora_vs_api.report.sections import advice
from lora_vs_api.report.sections.answer import decided, recommends
from lora_vs_api.report.sections.at_volume import AtVolume, at_volume
from lora_vs_api.report.sections.facts import is_local
from lora_vs_api.shown import visible
from lora_vs_api.stats.economics import break_even, days_to_break_even
from lora_vs_api.stats.ownership import Answers, Machine, People, Plan, cheaper_from, totals
from tests.cascade_fixture import cascade
from tests.report_fixture import FIELDS, analysis, changed, inputs, redecided

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)> & <!-- \u2028 @BODY@ \ud83d"
)
EMAILS = 24
FEW = 5
SORTABLE = """# T

| name | size | share | when | score |
| --- | ---: | ---: | ---: | --- |
| b 10 | 15.6 million | 95 % | 42.6 years | 0.409 [0.36, 0.45] |
| b 9 | never | 7% | 5.11 months | 0.6 [0.5, 0.7] |
| a | 900 | 100.0% | less than a day | −0.1 |
| c | 1.2 M | – | 300 days | +0.002 |

| too | short |
| --- | --- |
| 2 | 2 |
| 1 | 1 |
"""


def emails() -> list[dict[str, Any]]:
    """One of them says ``pineapple``; the last has no answer, as beyond the test slice."""
    return [
        {
            "id": f"email-{i:05d}",
            "text": f"Invoice {i}\n" + ("Pineapple <b>" if i == 3 else "Apple"),
            "record": {"vendor": f"V{i}", "total_amount": 2, "line_items": ["a|b"]},
        }
        for i in range(EMAILS + 1)
    ]


def answers() -> list[dict[str, Any]]:
    """Seed 0 is right but for every third total; the API writes prose, truncated on odd emails."""
    rows = []
    for i, email in enumerate(emails()[:EMAILS]):
        gold, wrong = email["record"], ["total_amount"] if i % 3 == 0 else []
        output = json.dumps({**gold, "total_amount": "2"} if wrong else gold)
        differs = {name: {"expected": gold[name], "found": "2"} for name in wrong}
        rows.append(row(email["id"], "lora-seed-0", output, False, wrong, differs))
        differs = {name: {"expected": value} for name, value in gold.items()}
        rows.append(row(email["id"], "api_zero_shot", HOSTILE, i % 2 == 1, FIELDS, differs))
    return rows


def row(email: str, condition: str, output: str, truncated: bool, wrong, differs) -> dict[str, Any]:
    return {
        "id": email,
        "condition": condition,
        "output": output,
        "truncated": truncated,
        "input_tokens": 231,
        "output_tokens": 61,
        "field_f1": round(1 - len(wrong) / len(FIELDS), 6),
        "wrong": wrong,
        "differs": differs,
    }


def whole_page(
    result: Analysis | None = None, markdown: str = SORTABLE, both: Cascade | None = None
) -> str:
    return report_html(markdown, ".", page_data(result or analysis(), answers(), emails(), both))


# ---- without a browser ----


def test_page_data_holds_every_answer_under_its_email():
    """The explorer's counts and the differences it shows come from these."""
    data = page_data(analysis(), answers(), emails())
    assert data["fields"] == FIELDS
    assert data["conditions"] == ["LoRA Tiny-7M, seed 0", "Tiny-7M over HTTP, zero-shot"]
    assert [email["id"] for email in data["examples"]] == [e["id"] for e in emails()[:EMAILS]]
    tuned, hosted = data["examples"][0]["answers"]
    assert tuned["valid"] and tuned["f1"] == "0.667" and tuned["wrong"] == ["total_amount"]
    # the quotes are the difference
    assert tuned["found"] == {"total_amount": '"2"'}
    assert data["examples"][0]["expected"]["total_amount"] == "2"
    assert not hosted["valid"] and hosted["found"] == {} and hosted["output"] == visible(HOSTILE)


def test_an_answer_without_its_email_is_refused():
    """A split and answers of two different runs must not be shown side by side."""
    with pytest.raises(ValueError, match="email-00000, which is none of the texts"):
        page_data(analysis(), answers(), emails()[1:])


def test_of_many_texts_some_are_on_the_page_and_it_says_so(monkeypatch):
    """The page stays one that a browser opens: the first texts' answers, with how many there are."""
    monkeypatch.setattr("lora_vs_api.report.page.data.MAX_TEXTS", FEW)
    result = changed(analysis(), texts=EMAILS)
    data = page_data(result, iter(answers()), iter(emails()))
    assert [example["id"] for example in data["examples"]] == [e["id"] for e in emails()[:FEW]]
    page = report_html("# T\n", ".", data)
    assert f"Here are those to {FEW} of the {EMAILS} texts" in page and "@SHOWN@" not in page
    monkeypatch.setattr("lora_vs_api.report.page.data.MAX_TEXTS", EMAILS)
    page = report_html("# T\n", ".", page_data(result, answers(), emails()))
    assert "Here are those to" not in page and "@SHOWN@" not in page


@pytest.mark.parametrize("api_usd", [0.0711, 0.2, 0.0075, 0.002])
@pytest.mark.parametrize("batched", [None, 1.0])
def test_calculator_starts_at_the_measured_cost(api_usd, batched):
    """Cached input and batches make the bill differ from mean tokens times price; it must not show."""
    result = analysis(api_usd=api_usd)
    result = changed(
        result,
        **{
            f"conditions__{i}__cost_per_1k__batched_usd": batched and row.cost_per_1k.usd * batched
            for i, row in enumerate(result.conditions)
        },
    )
    start = page_data(result, [], [])["calculator"]
    assert [entry["label"] for entry in start["baselines"]] == [
        row.label for row in ranked(result).economics.break_even
    ]
    for entry, measured in zip(
        start["baselines"], ranked(result).economics.break_even, strict=True
    ):
        cost = (
            entry["input_price"] * entry["input_millions"]
            + entry["output_price"] * entry["output_millions"]
        )
        assert cost == pytest.approx(measured.api_per_1k, rel=1e-12)
        assert min(entry["input_millions"], entry["output_millions"]) >= 0
    assert (start["upfront"], start["local"]) == (1200.02, 0.0057)
    assert start["per_day"] == 10_000


def test_without_an_api_price_there_is_no_calculator():
    """A run without a priced API still gets its page."""
    result = changed(analysis(), economics__break_even=[])
    assert page_data(result, [], [])["calculator"] is None


def test_nothing_in_the_data_ends_its_script_element():
    """An answer that holds </script> or a comment stays data, and comes back letter by letter."""
    block = data_block({"output": HOSTILE})
    inner = block.removeprefix('<script type="application/json" id="data">')
    inner = inner.removesuffix("</script>\n")
    assert not set("<>&\u2028\u2029") & set(inner) and inner.isascii()
    assert json.loads(inner) == {"output": HOSTILE}


@pytest.mark.parametrize("data", [False, True])
def test_the_policy_allows_the_pages_own_script_alone(data):
    """A hash of other bytes would stop the script; a wider policy would let an email run one."""
    text = whole_page() if data else report_html(SORTABLE, ".")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1 and script_hash(scripts[0]) == f"sha256-{digest}"
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    assert text.count("<script") == 1 + data
    # an HTML parser would read the script otherwise than it was hashed
    assert "<!--" not in scripts[0] and "\r" not in scripts[0]
    assert "innerHTML" not in scripts[0]
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"\sstyle=|\son\w+=", markup)


def test_parts_named_in_the_text_stay_text():
    """An email that spells a placeholder must not pull the script or the data into the body."""
    text = report_html("# T\n\n@SCRIPT@ @TITLE@ @TOOLS@\n", ".", page_data(analysis(), [], []))
    assert "<p>@SCRIPT@ @TITLE@ @TOOLS@</p>" in text


def test_same_inputs_same_page():
    """report.html is committed: a rerun without a change must not show as one."""
    assert whole_page() == whole_page()


def test_interactive_parts_wait_for_the_script():
    """Without JavaScript no dead control is shown."""
    tools = "".join(part.read_text(encoding="utf-8") for part in (html.CALCULATOR, html.TOOLS))
    for section in re.findall(r"<section[^>]*>", whole_page()):
        assert section.endswith(" hidden>") and 'class="tool"' in section
    assert tools.count("<section") == 2
    for control in re.findall(r'<(?:select|input) [^>]*id="([^"]+)"', tools):
        assert re.search(rf'<label for="{control}">[^<]+</label>', tools), control


# ---- in a browser ----


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((path for name in names if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is on the PATH")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page's text from a file; at the end nothing may have gone wrong or out."""
    context = browser.new_context()
    troubles: list[str] = []

    def open_page(text: str, anchor: str | None = None) -> Any:
        """Unfolded as a whole, or at an anchor as it comes."""
        file = Path(tmp_path, "report.html")
        file.write_text(text, encoding="utf-8")
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda message: troubles.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (troubles.append("dialog"), dialog.dismiss()))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.partition("#")[0] == file.as_uri() or request.url.startswith("data:")
                else troubles.append(f"request: {request.url}")
            ),
        )
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation',"
            " (event) => console.log('policy: ' + event.violatedDirective))"
        )
        page.goto(file.as_uri() + (anchor or ""))
        if anchor is None:
            folds = "document.querySelectorAll('details.part')"
            page.evaluate(f"{folds}.forEach((fold) => {{ fold.open = true; }})")
        return page

    yield open_page
    context.close()
    assert troubles == []


def column(page: Any, index: int) -> list[str]:
    return page.locator(f"table >> nth=0 >> tbody td:nth-child({index + 1})").all_inner_texts()


@pytest.mark.parametrize(
    "header, order",
    [
        ("name", ["a", "b 9", "b 10", "c"]),
        ("size", ["900", "1.2 M", "15.6 million", "never"]),
        ("share", ["7%", "95 %", "100.0%", "–"]),
        ("when", ["less than a day", "5.11 months", "300 days", "42.6 years"]),
        ("score", ["−0.1", "+0.002", "0.409 [0.36, 0.45]", "0.6 [0.5, 0.7]"]),
    ],
)
def test_tables_sort_by_size_and_back(opened, header, order):
    """Units, intervals and words for infinity sort as what they mean; the third time undoes it."""
    page = opened(report_html(SORTABLE, "."))
    index = ["name", "size", "share", "when", "score"].index(header)
    cell = page.locator("th", has=page.get_by_role("button", name=header, exact=True))
    button, original = cell.get_by_role("button"), column(page, index)
    button.click()
    assert column(page, index) == order and cell.get_attribute("aria-sort") == "ascending"
    button.press("Enter")
    last = [text for text in order if text in ("never", "–")]
    assert column(page, index) == [t for t in reversed(order) if t not in last] + last
    assert cell.get_attribute("aria-sort") == "descending"
    button.press("Enter")
    assert column(page, index) == original and cell.get_attribute("aria-sort") is None
    # two rows need no sorting
    assert page.get_by_role("button", name="too").count() == 0


def test_one_column_at_a_time_is_marked_as_sorted(opened):
    """Two marked columns would say something that the order of the rows does not."""
    page = opened(report_html(SORTABLE, "."))
    page.get_by_role("button", name="name").click()
    page.get_by_role("button", name="size").click()
    assert page.locator("th[aria-sort]").all_text_contents() == ["size"]


def counted(page: Any) -> str:
    return page.locator("#count").inner_text()


def test_answers_are_filtered_and_counted(opened):
    """Each filter alone and two together, against counts known from how the answers were made."""
    page = opened(whole_page())
    assert counted(page) == "48 of 48 answers, to 24 texts"
    expected = {
        "with a wrong field": "32 of 48 answers, to 24 texts",
        "not a JSON object": "24 of 48 answers, to 24 texts",
        "truncated": "12 of 48 answers, to 12 texts",
        "exact match": "16 of 48 answers, to 16 texts",
        "all": "48 of 48 answers, to 24 texts",
    }
    for kind, count in expected.items():
        page.get_by_label("answers", exact=True).select_option(kind)
        assert counted(page) == count
    page.get_by_label("condition", exact=True).select_option("LoRA Tiny-7M, seed 0")
    assert counted(page) == "24 of 48 answers, to 24 texts"
    page.get_by_label("wrong field", exact=True).select_option("total_amount")
    assert counted(page) == "8 of 48 answers, to 8 texts"
    page.get_by_label("text says").fill("pineAPPLE <")
    assert counted(page) == "1 of 48 answers, to 1 text"
    assert page.locator("article h3").all_inner_texts() == ["email-00003"]
    cells = page.locator("article tbody tr").locator("th, td").all_inner_texts()
    assert cells == ["total_amount", "2", '"2"']
    page.get_by_label("text says").fill("nothing says this")
    assert counted(page).startswith("0 of 48") and page.locator("article").count() == 0


def test_answers_come_in_pages(opened):
    """The last page holds the rest, and a filter starts from the first page again."""
    page = opened(whole_page())
    assert page.locator("article").count() == 20
    assert page.get_by_role("button", name="Previous").is_disabled()
    page.get_by_role("button", name="Next").click()
    assert page.locator("article").count() == 4 and page.get_by_text("page 2 of 2").is_visible()
    assert page.get_by_role("button", name="Next").is_disabled()
    page.get_by_label("wrong field", exact=True).select_option("vendor")
    assert page.get_by_text("page 1 of 2").is_visible()
    page.get_by_label("condition", exact=True).select_option("LoRA Tiny-7M, seed 0")
    assert page.locator("#pages").is_hidden() and counted(page).startswith("0 of")


def test_markup_in_an_answer_stays_text(opened):
    """Models and texts write what they like; the reader's browser only ever shows it."""
    page = opened(whole_page())
    first = page.locator("article >> nth=0")
    shown = first.locator(".answer >> nth=1 >> pre").text_content()
    assert shown == visible(HOSTILE)
    assert page.locator("#list img, #list script, #list b").count() == 0
    assert "Pineapple <b>" in page.locator("article >> nth=3 >> .text").inner_text()


OWNED = ("month-api", "month-local", "horizon-api", "horizon-local", "from")
ZERO_SHOT = "Tiny-7M over HTTP, zero-shot"


def zero_shot(result: Analysis) -> dict[str, Any]:
    """The page's entry of it."""
    entries = page_data(result, [], [])["calculator"]["baselines"]
    return next(entry for entry in entries if entry["label"] == ZERO_SHOT)


def against_zero_shot(page: Any) -> Any:
    """It starts at the strongest; the fixture's numbers are those of the other one."""
    page.get_by_label("against").select_option(ZERO_SHOT)
    return page


def results(page: Any) -> dict[str, str]:
    """Of the break-even; the total cost has a test of its own."""
    return {key: text for key, text in all_results(page).items() if key not in OWNED}


def all_results(page: Any) -> dict[str, str]:
    shown = page.locator("[data-result]")
    keys = shown.evaluate_all("found => found.map((place) => place.dataset.result)")
    return dict(zip(keys, shown.all_inner_texts(), strict=True))


def as_reported(api: float, upfront: float, local: float, per_day: float) -> dict[str, str]:
    """What the calculator has to show, by the project's own formulas and words."""
    volume = break_even(upfront, local, api)
    reached = days_to_break_even(volume, per_day)
    return {
        "api": numbers.usd(api),
        "volume": numbers.volume(volume),
        "days": "never" if reached is None else numbers.days(reached),
        "year-api": numbers.usd(365 * per_day * api / 1000),
        "year-local": numbers.usd(upfront + 365 * per_day * local / 1000),
    }


@pytest.mark.parametrize("api_usd", [0.0711, 0.08434, 0.1534, 0.002])
def test_calculator_starts_at_the_report_and_follows_the_formula(opened, api_usd):
    """The what-if begins at the measured result, moves by the same formula and can come back."""
    result = analysis(api_usd=api_usd)
    page = against_zero_shot(opened(whole_page(result)))
    start = as_reported(api_usd, 1200.02, 0.0057, 10_000)
    assert results(page) == start
    measured = result.economics.break_even[0].volume
    assert start["volume"] == numbers.volume(measured)
    page.get_by_label("upfront, USD, once", exact=True).fill("600")
    page.get_by_label("fine-tune, USD per 1,000 answers", exact=True).fill("0.001")
    page.get_by_label("volume, answers a day", exact=True).fill("5000")
    assert results(page) == as_reported(api_usd, 600, 0.001, 5000)
    page.get_by_role("button", name="Reset").click()
    assert results(page) == as_reported(1.9 * api_usd, 1200.02, 0.0057, 10_000)
    assert results(against_zero_shot(page)) == start


def test_a_share_escalated_shows_the_frontier_s_numbers(opened):
    """What the report's figure draws, at the volume that the calculator above stands at."""
    found = cascade(analysis())
    page = opened(whole_page(both=found))
    shown = page.locator("#escalation-results dd")
    for frontier in ranked_cascade(found).frontier:
        page.locator("#escalate-to").select_option(frontier.label)
        for place in (0, len(frontier.points) // 2, len(frontier.points) - 1):
            page.locator("#escalate-share").fill(str(place))
            point = frontier.points[place]
            month = point.usd_per_1k * 10_000 * 365 / 12 / 1000
            assert shown.all_inner_texts() == [
                f"{point.field_f1:.3f}", f"{100 * point.exact_match:.1f}%",
                numbers.usd(point.usd_per_1k), numbers.usd(month),
                "–" if point.seconds is None else numbers.significant(point.seconds),
            ]  # fmt: skip
    page.get_by_label("volume, answers a day", exact=True).fill("5000")
    assert shown.nth(3).inner_text() == numbers.usd(month / 2)


def test_without_a_cascade_nothing_is_escalated(opened):
    page = opened(whole_page())
    assert page.locator("#escalation").count() == 0
    assert page.locator("#what-if").is_visible()


def test_a_price_moves_the_break_even(opened):
    """A price multiplies its own tokens alone; a slider in the middle is the start."""
    page = against_zero_shot(opened(whole_page()))
    entry = zero_shot(analysis())
    page.get_by_label("API input, USD per million tokens", exact=True).fill("0.3")
    api = 0.3 * entry["input_millions"] + 0.6 * entry["output_millions"]
    assert results(page) == as_reported(api, 1200.02, 0.0057, 10_000)
    slider = page.get_by_label("API input, USD per million tokens, slider")
    assert 0 < int(slider.input_value()) < 100
    slider.fill("0")
    assert results(page) == as_reported(0.0711, 1200.02, 0.0057, 10_000)
    slider.fill("100")
    assert page.get_by_label("API input, USD per million tokens", exact=True).input_value() == "15"
    assert slider.get_attribute("aria-valuetext") == "15 USD per million tokens"


def test_calculator_says_never_and_refuses_nonsense(opened):
    """A cheaper API never pays a training back, and a field without an amount shows no number."""
    page = against_zero_shot(opened(whole_page()))
    page.get_by_label("API input, USD per million tokens", exact=True).fill("0")
    output = page.get_by_label("API output, USD per million tokens", exact=True)
    output.fill("0")
    assert results(page)["volume"] == results(page)["days"] == "never"
    output.fill("-1")
    assert output.get_attribute("aria-invalid") == "true"
    assert set(results(page).values()) == {"–"}
    page.get_by_label("against").select_option("Tiny-7M over HTTP, 5-shot")
    assert output.get_attribute("aria-invalid") == "false"
    assert results(page) == as_reported(0.0711 * 1.9, 1200.02, 0.0057, 10_000)


def test_the_total_cost_starts_at_the_report_and_follows_the_model(opened):
    """Every input moves it as stats/ownership.py says; a field below its least shows nothing."""
    result = analysis()
    page = against_zero_shot(opened(whole_page(result)))
    entry = zero_shot(result)
    row = result.ownership.against[0].rows[1]

    def shown() -> list[str]:
        found = all_results(page)
        return [found[key] for key in OWNED]

    def said(local: float, api: float, month: int | None, months: int = 36) -> list[str]:
        totals = [numbers.usd(api), numbers.usd(local), numbers.month(month)]
        return [numbers.usd(api / months), numbers.usd(local / months), *totals]

    assert shown() == said(result.ownership.local[1].usd, row.api_usd, row.cheaper_from)
    page.locator("#what-if summary").click()
    values = {
        "horizon, months, whole, 1 to 240": 24, "discount, share a year": 0.1,
        "API price trend, share a year": -0.2, "building the fine-tune, USD, once": 900,
        "upkeep, fine-tune, USD a month": 30, "building the API side, USD, once": 70,
        "upkeep, API, USD a month": 90, "machine bought, USD each": 50,
        "machine answering, USD an hour": 0.3, "machine waiting, USD an hour": 0.02,
        "peak over mean rate, factor, at least 1": 12, "retraining every, months, whole": 6,
        "a retraining, USD": 40, "wrong record, USD each": 0.01, "label, USD each": 0.5,
        "machine time, seconds an answer": 2,
    }  # fmt: skip
    for label, value in values.items():
        page.get_by_label(label, exact=True).fill(str(value))
    plan = Plan(
        24, 0.1, -0.2, People(900 + 0.5 * 636, 30), People(70, 90), Machine(50, 0.3, 0.02, 12),
        6, 40, 0.01,
    )  # fmt: skip
    api = (
        entry["input_millions"] * entry["input_price"]
        + entry["output_millions"] * entry["output_price"]
    )
    wrong = (np.array([entry["local_wrong"]]), np.array([entry["api_wrong"]]))
    found = totals(plan, Answers(np.array([2.0]), np.array([api / 1000]), *wrong), 10_000)
    month = cheaper_from(found)[0]
    whole = int(month) if np.isfinite(month) else None
    assert shown() == said(found.local[0, -1], found.api[0, -1], whole, 24)
    page.get_by_label("peak over mean rate, factor, at least 1", exact=True).fill("0.5")
    assert set(shown()) == {"–"}


MOVES = [
    ("volume, answers a day", 100), ("volume, answers a day", 1_000_000),
    ("API input, USD per million tokens", 0), ("API output, USD per million tokens", 90),
    ("label, USD each", 40), ("wrong record, USD each", 0.5),
]  # fmt: skip
RUNS = [
    analysis(api_kind="openai"), analysis(api_kind="embedded"), analysis(api_kind="llama_cpp"),
    analysis(api_kind="openai", seeds=(0,), model_free={"nearest_copy": 0.7}),
    analysis(api_kind="openai", api_usd=0.002),
    redecided(analysis(api_kind="openai"), "api_zero_shot", difference=(-0.1, 0.1)),
    changed(analysis(api_kind="openai"), profile="quick"),
]  # fmt: skip


@pytest.mark.parametrize("result", RUNS)
def test_the_pages_decision_starts_at_the_reports_and_moves_by_the_same_formula(opened, result):
    """The words are the report's, what becomes of the money is that of stats/ownership.py."""
    page = against_zero_shot(opened(whole_page(result)))
    decision, rival = result.decision("api_zero_shot"), result.condition("api_zero_shot")
    entry, paid = zero_shot(result), at_volume(result, "api_zero_shot")
    here = is_local(result)

    def told(by: str, volume: float, pays: Outcome, words: str) -> str:
        action = (
            plain(advice.action(decision, rival, pays, here=here))
            if recommends(result)
            else "nothing is recommended"
        )
        return f"{lead(result)}{by} {ZERO_SHOT}: {action}. At {volume:,} a day {words}.{entry['beside']}"

    measured = told("Against", 10_000, paid.pays, advice.pays_words(paid))
    assert page.locator("#decision").inner_text() == measured
    if result.api_kind == "openai" and result.strongest_rival.name == "api_zero_shot":
        assert measured.startswith(plain(decided(result)).partition(":")[0])
    assert bool(lead(result)) == (result.profile == "quick" or here)
    assert bool(entry["beside"]) == recommends(result)
    for label, value in MOVES:
        page.get_by_label(label, exact=True).fill(str(value))
        volume = value if label.startswith("volume") else 10_000
        input_price = value if "input" in label else entry["input_price"]
        output_price = value if "output" in label else entry["output_price"]
        usd = entry["input_millions"] * input_price + entry["output_millions"] * output_price
        labels = 636 * value if label.startswith("label") else 0
        plan = Plan(
            36, 0.0, 0.0, People(1200.02 + labels, 0.0), People(0.0, 0.0),
            Machine(0.0, 0.0216, 0.0, 1.0), None, 0.0, value if "wrong" in label else 0.0,
        )  # fmt: skip
        wrong = (np.array([entry["local_wrong"]]), np.array([entry["api_wrong"]]))
        found = totals(plan, Answers(np.array([0.95]), np.array([usd / 1000]), *wrong), volume)
        month = cheaper_from(found)[0]
        whole = int(month) if np.isfinite(month) else None
        moved = AtVolume(int(volume), 36, whole, whole, whole, total=True)
        words = told(
            "By the measured means, against", int(volume), moved.pays, advice.pays_words(moved)
        )
        assert page.locator("#decision").inner_text() == words
        page.get_by_role("button", name="Reset").click()
        against_zero_shot(page)
    assert page.locator("#decision").inner_text() == measured
    page.get_by_label("volume, answers a day", exact=True).fill("")
    assert page.locator("#decision").inner_text() == "–"


PARTS = """# T

## First

seen

## Second

| a | b |
| --- | ---: |
| 1 | 2 |

### Its part

inside

## Second

again
"""


def test_details_are_folded_and_every_link_of_the_contents_leads_somewhere():
    """The first section stays in sight; two of one name are two places."""
    text = report_html(PARTS, ".")
    folds = re.findall(
        r'<details class="part" id="([^"]+)">\n<summary><h2>(.*?)</h2></summary>', text
    )
    assert folds == [("report-second", "Second"), ("report-second-2", "Second")]
    nav = text.split('<nav class="contents"')[1].split("</nav>")[0]
    assert re.findall(r'href="#([^"]+)"', nav) == [anchor for anchor, _ in folds]
    assert text.index("<h2>First</h2>") < text.index("<nav") < text.index("<details")
    assert '<h3 id="report-second-its-part">' in text
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_tables_and_figures_have_names_and_can_be_scrolled_with_keys(tmp_path):
    """What is wider than a phone scrolls by itself, and a screen reader says what it is."""
    (tmp_path / "f.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 1"/>')
    text = report_html(PARTS + "\n![Who <is> cheaper](f.svg)\n", tmp_path)
    name = "Second, table 1: a, b"
    assert f'<div class="table" role="region" tabindex="0" aria-label="{name}">' in text
    assert f'<caption class="unseen">{name}</caption>' in text
    assert '<th scope="col">a</th>' in text and '<th class="r" scope="col">b</th>' in text
    figure = re.search(
        r'<div class="figure" role="region" tabindex="0" aria-label="([^"]+)">\s*<img (.*?)>', text
    )
    assert figure[1] == "Figure: Who &lt;is&gt; cheaper" and "<p><img" not in text
    assert 'alt="Who &lt;is&gt; cheaper"' in figure[2]


def test_an_address_unfolds_what_it_points_into(opened):
    """A link to a folded place would else end nowhere; keys alone unfold and fold."""
    page = opened(report_html(PARTS, "."), "#report-second-its-part")
    second, last = page.locator("details.part").all()
    assert second.evaluate("(fold) => fold.open") and not last.evaluate("(fold) => fold.open")
    page.get_by_role("link", name="Second").nth(1).press("Enter")
    # not by wait_for_function: what it looks at again in the page is forbidden there
    page.locator("details.part[open]").nth(1).wait_for()
    button = page.locator("#unfold")
    assert button.inner_text() == "Fold all"
    button.press("Enter")
    assert page.get_by_text("inside").is_hidden() and button.inner_text() == "Unfold all"
    second.locator("summary").press("Space")
    assert page.get_by_text("inside").is_visible()


def test_the_whole_report_opens_without_a_network(opened, tmp_path):
    """Every table of three rows can be sorted, and print and no JavaScript leave the tools out."""
    (tmp_path / "figures").mkdir()
    text = report_markdown(inputs(analysis()))
    for name in re.findall(r"\(figures/(\w+)\.svg\)", text):
        svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 1"/>'
        (tmp_path / f"figures/{name}.svg").write_text(svg)
    data = page_data(analysis(), answers(), emails())
    page = opened(report_html(text, tmp_path, data))
    body = page.locator(".part:not(#read-answers) .table")
    for index in range(body.count()):
        rows = body.nth(index).locator("tbody tr").count()
        assert (body.nth(index).locator("th button").count() > 0) == (rows >= 3)
    assert page.get_by_role("heading", name="Read every answer").is_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.emulate_media(media="print")
    assert not page.get_by_role("heading", name="Read every answer").is_visible()
