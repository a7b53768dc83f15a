"""What the script of report.html works on: the answers to read and the break-even to vary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NotRequired, TypedDict, get_args

from pydantic import JsonValue

from lora_vs_api.analysis.cascade_results import ranked_cascade
from lora_vs_api.analysis.order import ranked
from lora_vs_api.analysis.results import (
    Analysis,
    AnswerRow,
    Condition,
    Outcome,
    OwnershipInputs,
)
from lora_vs_api.files import json_text
from lora_vs_api.paths import DISTILLED_CONDITION, distilled_name
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.report.rendering import plain
from lora_vs_api.report.sections import advice
from lora_vs_api.report.sections.answer import recommends
from lora_vs_api.report.sections.at_volume import at_volume, volume_per_day
from lora_vs_api.report.sections.facts import is_local, stamp
from lora_vs_api.shown import visible

if TYPE_CHECKING:
    from lora_vs_api.analysis.cascade_results import Cascade, Frontier
    from lora_vs_api.prices.price import Rates

# texts whose answers are on the page: with six conditions about 10 MB, which browsers open at once
MAX_TEXTS = 3_000
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class TestText(TypedDict):
    """A row of the test split."""

    id: str
    text: str
    record: dict[str, JsonValue]


class PageAnswer(TypedDict):
    """``condition`` is its place in the page's list; the found values are JSON text, by field."""

    condition: int
    output: str
    valid: bool
    truncated: bool
    f1: str
    wrong: list[str]
    found: dict[str, str]


class PageExample(TypedDict):
    id: str
    text: str
    expected: dict[str, str]
    answers: list[PageAnswer]


class BilledTokens(TypedDict):
    """USD per million tokens, and how many million tokens 1,000 requests are billed."""

    input_price: float
    output_price: float
    input_millions: float
    output_millions: float


class PageDecision(TypedDict):
    """``actions`` tells what to do by what becomes of the money (holds, undecided, fails), None where nothing
    is recommended; ``pays`` is what becomes of it as measured, with its interval, and ``said`` that in words;
    ``beside`` names whom the report's decision is against, where that is another.
    """

    actions: dict[str, str] | None
    pays: Outcome
    said: str
    beside: str


class PageBaseline(BilledTokens, PageDecision):
    """``local_wrong`` and ``api_wrong`` are shares of all answers."""

    label: str
    local_wrong: float
    api_wrong: float


class Calculator(TypedDict):
    """``baseline`` is the place of the one shown first; ``plan`` has the inputs of the total cost.

    ``lead`` is said before any decision, ``pays`` has the words for what becomes of the money.
    """

    baselines: list[PageBaseline]
    baseline: int
    upfront: float
    local: float
    per_day: int
    plan: dict[str, float]
    labelled_texts: int
    lead: str
    pays: dict[str, str]


class EscalatedShare(TypedDict):
    """What becomes of the test texts where ``share`` of them is escalated; ``seconds`` are of an answer."""

    share: float
    f1: float
    exact: float
    usd_per_1k: float
    seconds: float | None


class Escalation(TypedDict):
    """To whom, at every share of the frontier, from none to all."""

    label: str
    points: list[EscalatedShare]


class PageData(TypedDict):
    """``shown``: how many of how many texts, where not all of them are on the page."""

    shown: NotRequired[tuple[int, int]]
    fields: list[str]
    conditions: list[str]
    examples: list[PageExample]
    calculator: Calculator | None
    escalation: list[Escalation]


def page_data(
    analysis: Analysis,
    answers: Iterable[AnswerRow],
    examples: Iterable[TestText],
    cascade: Cascade | None = None,
) -> PageData:
    """The page's data, ready for JSON.

    Of more than ``MAX_TEXTS`` texts with answers the first are taken, which of the test slice
    are a random sample with its mix; ``shown`` then tells how many of how many.

    Args:
        analysis: metrics/analysis.json.
        answers: rows of metrics/answers.jsonl, those of a text one after another.
        examples: rows of a split; those that no answer belongs to are left out.
        cascade: metrics/cascade.json, None where there is none.

    Raises:
        ValueError: an answer belongs to none of the examples.
    """
    analysis = ranked(analysis)
    labels = _labels(analysis)
    rows_of: dict[str, list[AnswerRow]] = {}
    more = False
    for row in answers:
        more = row["id"] not in rows_of and len(rows_of) == MAX_TEXTS
        if more:
            break
        rows_of.setdefault(row["id"], []).append(row)
    known = {example["id"]: example for example in examples if example["id"] in rows_of}
    unknown = next((key for key in rows_of if key not in known), None)
    if unknown is not None:
        raise ValueError(f"an answer belongs to {unknown}, which is none of the texts")
    names = list(dict.fromkeys(row["condition"] for rows in rows_of.values() for row in rows))
    data: PageData = {
        "fields": list(analysis.fields),
        "conditions": [visible(labels.get(name, name)) for name in names],
        "examples": [
            {
                "id": visible(key),
                "text": visible(known[key]["text"]),
                "expected": _as_json(known[key]["record"]),
                "answers": [_answer(row, names) for row in rows],
            }
            for key, rows in rows_of.items()
        ],
        "calculator": _calculator(analysis),
        "escalation": []
        if cascade is None
        else [_escalation(each) for each in ranked_cascade(cascade).frontier],
    }
    if more:
        data["shown"] = (MAX_TEXTS, analysis.texts)
    return data


def _escalation(frontier: Frontier) -> Escalation:
    return {
        "label": visible(frontier.label),
        "points": [
            {
                "share": point.share,
                "f1": point.field_f1,
                "exact": point.exact_match,
                "usd_per_1k": point.usd_per_1k,
                "seconds": point.seconds,
            }
            for point in frontier.points
        ],
    }


def _labels(analysis: Analysis) -> dict[str, str]:
    """Condition → its name in the report; there the seeds of a fine-tune share one."""
    labels = {row.name: row.label for row in analysis.conditions}
    lora = analysis.lora
    pupil = labels.get(DISTILLED_CONDITION)
    if pupil is not None:
        labels |= {distilled_name(seed): f"{pupil}, seed {seed}" for seed in analysis.seeds}
    return labels | {
        f"{lora.name}-seed-{seed}": f"LoRA {lora.model}, seed {seed}" for seed in analysis.seeds
    }


def _answer(row: AnswerRow, names: Sequence[str]) -> PageAnswer:
    found = {name: pair["found"] for name, pair in row["differs"].items() if "found" in pair}
    return {
        "condition": names.index(row["condition"]),
        "output": visible(row["output"]),
        "valid": parse_record(row["output"]) is not None,
        "truncated": row["truncated"],
        "f1": f"{row['field_f1']:.3f}",
        "wrong": list(row["wrong"]),
        "found": _as_json(found),
    }


def _as_json(record: Mapping[str, JsonValue]) -> dict[str, str]:
    """Values as JSON text: it tells 2 from "2", and a browser would round a long integer."""
    return {name: json_text(value) for name, value in record.items()}


def _calculator(analysis: Analysis) -> Calculator | None:
    """Start values of the break-even, None where no condition is an API's."""
    economics, prices = analysis.economics, analysis.economics.prices
    entries = [row for row in economics.break_even if row.baseline in prices.conditions]
    if not entries:
        return None
    chosen, api = [row.baseline for row in entries], analysis.strongest_api
    wrong = {row.baseline: row for row in analysis.ownership.against}
    return {
        "baselines": [
            {
                "label": visible(row.label),
                "local_wrong": analysis.ownership.local_wrong,
                "api_wrong": wrong[row.baseline].api_wrong,
                **_decision(analysis, row.baseline),
                **_billed(
                    analysis.condition(row.baseline),
                    prices.conditions[row.baseline].at(
                        analysis.condition(row.baseline).input_tokens_mean
                    ),
                    prices.batch_discount,
                    row.api_per_1k,
                ),
            }
            for row in entries
        ],
        # as the page's decision, or its prices where that is against no API
        "baseline": chosen.index(api.name) if api is not None and api.name in chosen else 0,
        "upfront": economics.training.total_usd,
        "local": economics.local_per_1k,
        "per_day": volume_per_day(analysis),
        "plan": _plan(analysis.ownership.inputs),
        "labelled_texts": analysis.ownership.inputs.labelled_texts,
        "lead": lead(analysis),
        "pays": {outcome: advice.PAYS[outcome] for outcome in OUTCOMES},
    }


def lead(analysis: Analysis) -> str:
    """What has to be said before the page's script says what to do."""
    stamped = stamp(analysis)
    hosted = "Whether to call a hosted model is open. " if is_local(analysis) else ""
    return ("" if stamped is None else f"{stamped}. ") + hosted


def _decision(analysis: Analysis, baseline: str) -> PageDecision:
    """The decision against one API condition at the configured volume, and what else could become of it."""
    paid, decision = at_volume(analysis, baseline), analysis.decision(baseline)
    rival, here = analysis.condition(baseline), is_local(analysis)
    strongest = analysis.strongest_rival
    actions: dict[str, str] = {
        outcome: plain(advice.action(decision, rival, outcome, here=here)) for outcome in OUTCOMES
    }
    return {
        "actions": actions if recommends(analysis) else None,
        "pays": paid.pays,
        "said": advice.pays_words(paid),
        "beside": ""
        if strongest.name == baseline or not recommends(analysis)
        else f" The decision above is against {visible(strongest.label)}, the strongest without tuning.",
    }


def _plan(inputs: OwnershipInputs) -> dict[str, float]:
    """The report's inputs by name, one that is null as 0; the number of labelled texts stays."""
    return {
        key: 0 if value is None else value
        for key, value in inputs.model_dump(exclude={"labelled_texts"}).items()
    }


def _billed(row: Condition, price: Rates, batch_discount: float, api_per_1k: float) -> BilledTokens:
    """Prices of a condition, and how many million tokens of each kind 1,000 requests are billed.

    The measured cost holds discounts that the mean token counts do not: a batch's, which takes
    the same share off all tokens, and that of cached input. Whatever output does not explain is
    therefore input, so the calculator starts at the measured cost to the last digit.
    """
    cost = row.cost_per_1k
    batch = batch_discount > 0 and cost.usd == cost.batched_usd
    factor = (1 - batch_discount if batch else 1) / 1000
    inputs, outputs = row.input_tokens_mean * factor, row.output_tokens_mean * factor
    if price.input > 0:
        outputs = min(outputs, api_per_1k / price.output) if price.output > 0 else outputs
        inputs = (api_per_1k - outputs * price.output) / price.input
    elif price.output > 0:
        outputs = api_per_1k / price.output
    return {
        "input_price": price.input,
        "output_price": price.output,
        "input_millions": max(inputs, 0.0),
        "output_millions": outputs,
    }
