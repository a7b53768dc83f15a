"""The answer: what to do and why, and what became of the hypothesis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lora_vs_api.report.numbers import count, usd, volume
from lora_vs_api.report.sections.facts import (
    ReportInputs,
    accuracy_of,
    break_even_row,
    comparison_row,
    condition_row,
    days_words,
    difference_words,
    is_embedded,
    lora_row,
    price_name,
    served_models,
    strongest_api,
)
from lora_vs_api.report.sections.writing import escape, figure_link, table


def answer_section(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    # the claim names one baseline; the decision is against the best alternative
    rivals = list(dict.fromkeys([analysis["baseline"], strongest_api(analysis)["name"]]))
    reasons = [
        ("Accuracy", _accuracy(analysis, rivals)),
        ("Cost", _cost(analysis, rivals)),
        ("Latency", _latency(analysis)),
        ("Data", _locality(analysis)),
    ]
    return "\n\n".join(
        [
            "## The question and the answer",
            f"Should one LoRA-fine-tune {escape(analysis['model'])} for this task, or call an API "
            "model?",
            f"**{recommendation(inputs)}**",
            "\n".join(f"- **{name}.** {text}" for name, text in reasons if text),
            figure_link("headline", "Field F1 of every condition with its interval"),
        ]
    )


def _accuracy(analysis: Mapping[str, Any], rivals: Sequence[str]) -> str:
    lora, sentences = lora_row(analysis), []
    for name in rivals:
        row, judged = condition_row(analysis, name), comparison_row(analysis, name)
        meaning = {
            "better": "the fine-tune is the more accurate of the two",
            "worse": "the fine-tune is the less accurate of the two",
            "unclear": "these texts do not tell the two apart",
        }[accuracy_of(judged)]
        if not sentences:
            sentences.append(
                f"On {count(analysis['texts'], 'test text')} the fine-tuned "
                f"{escape(analysis['model'])} scores {lora['field_f1']['estimate']:.3f} field F1 and "
                f"{escape(row['label'])} {row['field_f1']['estimate']:.3f}"
            )
        else:
            sentences.append(
                f"The strongest API condition is {escape(row['label'])} at "
                f"{row['field_f1']['estimate']:.3f}"
            )
        sentences[-1] += f": a difference of {difference_words(judged, analysis)}, so {meaning}."
    sentences.append(
        f"The fine-tune gets {lora['strict']:.1%} of the texts right in every field"
        + (
            ", so its records need a check before anything acts on them."
            if lora["strict"] < 0.9
            else "."
        )
    )
    return " ".join(sentences)


def _cost(analysis: Mapping[str, Any], rivals: Sequence[str]) -> str:
    lora, training = lora_row(analysis), analysis["economics"]["training"]["total_usd"]
    sentences = []
    for name in rivals:
        row, paid = condition_row(analysis, name), break_even_row(analysis, name)
        api = f"USD {usd(paid['api_per_1k'])} through {escape(row['label'])}" + (
            f", billed as {escape(price_name(row))}" if is_embedded(analysis) else ""
        )
        start = "A thousand texts cost "
        if not sentences:
            start += f"USD {usd(lora['cost_per_1k']['usd'])} locally and "
        if paid["volume"] is None:
            end = f"the USD {usd(training)} that training costs never come back"
        else:
            end = (
                f"the USD {usd(training)} that training costs are back after "
                f"{volume(paid['volume'])} inferences{days_words(paid)}"
            )
        sentences.append(f"{start}{api}: {end}.")
    return " ".join(sentences)


def _latency(analysis: Mapping[str, Any]) -> str:
    lora, rival = lora_row(analysis), strongest_api(analysis)
    timed = [row for row in (lora, rival) if row["latency"]["p50"] is not None]
    said = "; ".join(
        f"{escape(row['label'])} {row['latency']['p50']:.2f} s and {row['latency']['p95']:.2f} s"
        for row in timed
    )
    if not said:
        return ""
    text = f"Half of the answers come within, and 95% within: {said}."
    if is_embedded(analysis):
        return (
            text + " Both run on this machine, so a hosted model's network and queue are not in it."
        )
    if len(timed) == 2:
        ours, theirs = (row["latency"]["p95"] - row["latency"]["p50"] for row in timed)
        steadier = "local" if ours < theirs else "API"
        text += (
            f" From the one to the other it is {ours:.2f} s locally and {theirs:.2f} s through the "
            f"API: the {steadier} answer is the steadier one."
        )
    return text


def _locality(analysis: Mapping[str, Any]) -> str:
    text = "With the fine-tune no text leaves the machine; "
    if is_embedded(analysis):
        return text + "a hosted API would be sent every text."
    return text + f"{escape(served_models(analysis))} were sent every text."


def recommendation(inputs: ReportInputs) -> str:
    """What to do, by a fixed rule, against the strongest API condition.

    Its paired interval decides accuracy (better, worse, unclear), its break-even volume money
    (before the limit that the hypothesis names, after it, never). Each of the nine cases has one
    sentence.
    """
    analysis = inputs.analysis
    rival = strongest_api(analysis)
    reached = break_even_row(analysis, rival["name"])["volume"]
    limit = inputs.hypothesis["clauses"]["break_even"]["max_inferences"]
    money = "never" if reached is None else "soon" if reached < limit else "late"
    after = f"after {volume(reached)} inferences"
    embedded = is_embedded(analysis)
    stay = "Stay with the untuned model" if embedded else f"Call {escape(rival['label'])}"
    advice = {
        ("better", "soon"): f"Fine-tune: it is more accurate, and it pays for itself {after}.",
        (
            "better",
            "late",
        ): f"Fine-tune for the accuracy, not to save money: it pays for itself only {after}.",
        ("better", "never"): "Fine-tune only if the accuracy is worth its price: it never pays for "
        "itself.",
        ("unclear", "soon"): f"Fine-tune if you expect the volume: it pays for itself {after}; "
        "accuracy gives no reason either way.",
        (
            "unclear",
            "late",
        ): f"{stay} unless you expect far more volume: fine-tuning pays for itself "
        f"only {after}, and accuracy gives no reason either way.",
        ("unclear", "never"): f"{stay}: fine-tuning shows no gain in accuracy and never pays for "
        "itself.",
        ("worse", "soon"): f"{stay} where accuracy matters: fine-tuning is less accurate; it saves "
        f"money {after}.",
        ("worse", "late"): f"{stay}: fine-tuning is less accurate and saves money only {after}.",
        ("worse", "never"): f"{stay}: fine-tuning is less accurate and never pays for itself.",
    }[accuracy_of(comparison_row(analysis, rival["name"])), money]
    if not embedded:
        return advice
    return (
        f"{advice} The API conditions here are {escape(served_models(analysis))}, untuned, behind a local "
        f"server and billed as {escape(price_name(rival))}: no hosted model was asked, and what one "
        "would score is open."
    )


def verdict_section(inputs: ReportInputs) -> str:
    analysis, verdict = inputs.analysis, inputs.analysis["verdict"]
    baseline = condition_row(analysis, analysis["baseline"])
    lines = [
        f"## Hypothesis {escape(verdict['id'])} and its verdict",
        f"> {escape(verdict['statement'])}",
        f"The claim and the rules that decide it are in `conf/hypothesis/` (SHA-256 "
        f"`{verdict['sha256']}`). The commit that last changed them, its date, and whether it is "
        "earlier than the commit reported on, are in [provenance.json](provenance.json).",
        table(
            ["clause", "verdict", "why"],
            [
                [
                    escape(clause["clause"].replace("_", " ")),
                    "**holds**" if clause["holds"] else "**fails**",
                    escape(clause["reason"]),
                ]
                for clause in verdict["clauses"]
            ],
        ),
    ]
    if is_embedded(analysis):
        lines.append(
            f"Judged against {escape(baseline['label'])}, the untuned base model standing in for a "
            "hosted one. That tests the pipeline and the gain from tuning; it is no test of the "
            "claim about hosted models."
        )
    return "\n\n".join(lines)
