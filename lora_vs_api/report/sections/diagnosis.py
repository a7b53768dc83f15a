"""What kinds of failure the scores count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lora_vs_api.report.numbers import significant
from lora_vs_api.report.sections.facts import ReportInputs, constant_fields
from lora_vs_api.report.sections.writing import code_span, escape, figure_link, table

# what lora_vs_api.analysis.diagnosis measures of a field, in words, and whether it is a share
MEASURES = {
    "missing": ("no value of its type", True),
    "uncalled": ("a value where there is none", True),
    "normalised": ("equal but for case, punctuation and articles", True),
    "token_f1": ("token F1", False),
    "invented": ("invented label", True),
    "mean_distance": ("mean distance", False),
    "within_one": ("at most 1 off", True),
    "extra": ("items too many", True),
    "left_out": ("items left out", True),
    "slot_f1": ("slot F1", False),
}


def diagnosis_section(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    rows = analysis["conditions"]
    parts = [
        "## What the failures are",
        "None of this changes a score; it says what the scores count. Every answer, with the "
        "expected and the found value of each field it got wrong, is in `metrics/answers.jsonl`; "
        "in `report.html` the answers can be filtered and read beside their texts.",
        table(
            [
                "condition",
                "answers",
                "not valid JSON",
                "of them recoverable",
                "forgiving",
                "field F1",
                "field F1 if recovered",
            ],
            [[escape(row["label"]), *_recovery(row)] for row in rows],
            "lrrrlrr",
        ),
        "*Recoverable*: a whole JSON object is there, inside a code fence, between prose or with a "
        "trailing comma. Such an answer counts as invalid everywhere else in this report.",
        table(
            ["field", "measure", *(escape(row["label"]) for row in rows)],
            _measures(rows),
            "ll" + "r" * len(rows),
        ),
        "Shares are of all answers, unreadable ones included; *mean distance* is over the answers "
        "that hold a number, in the unit of the field. *Token F1* compares the words of two texts "
        "(as SQuAD does): a paraphrase gets part of the credit that exact match denies it.",
    ]
    constant = constant_fields(analysis)
    if constant:
        parts.append(
            "**The fine-tune does not read "
            + ", ".join(code_span(name) for name in constant)
            + "**: it gives the same answer to every text ("
            + ", ".join(f"{code_span(name)}: {escape(label)}" for name, label in constant.items())
            + "), so its score there is the share of texts for which that happens to be right."
        )
    # as the figure itself: without one readable answer there is nothing to draw
    if rows[0]["diagnosis"]["confusion"] and any(row["valid_json"] > 0 for row in rows):
        parts.append(figure_link("confusion", "Expected against answered labels"))
    return "\n\n".join(parts)


def _recovery(row: Mapping[str, Any]) -> list[str]:
    found = row["diagnosis"]
    return [
        f"{found['answers']:,}",
        f"{found['invalid']:,}",
        f"{found['recoverable']:,}",
        escape(", ".join(f"{what} {n:,}" for what, n in found["forgiven"].items())) or "–",
        f"{row['field_f1']['estimate']:.3f}",
        f"{found['field_f1_recovered']:.3f}",
    ]


def _measures(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    lines = []
    for field, measured in rows[0]["diagnosis"]["fields"].items():
        for key in measured:
            words, share = MEASURES[key]
            values = [row["diagnosis"]["fields"][field][key] for row in rows]
            lines.append([code_span(field), words, *(_number(value, share) for value in values)])
    return lines


def _number(value: float | None, share: bool) -> str:
    if value is None:
        return "–"
    return f"{value:.1%}" if share else significant(value)
