"""What less tidy texts cost each condition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_vs_api.report.numbers import count
from lora_vs_api.report.sections.facts import ReportInputs
from lora_vs_api.report.sections.writing import code_span, escape, figure_link, table

WORDS = {
    "typos": "about one word in eight misspelt, at least one",
    "formatting": "case, line breaks, spaces and full stops adrift",
    "jargon": "abbreviations where there are some",
    "quoted_thread": "an automatic answer quoted below",
    "signature": "a mail footer below",
    "reordered": "sentences in another order",
}


def robustness_section(inputs: ReportInputs) -> str:
    """Empty where nothing was perturbed."""
    found = inputs.robustness
    if not found:
        return ""
    conditions, texts = found["conditions"], found["texts"]
    confidence = f"{found['statistics']['confidence']:.0%}"
    tuned = conditions[0]
    parts = [
        "## Less tidy texts",
        f"The first {count(texts, 'test text')} again, each made less tidy by program in "
        f"{count(len(found['changed']), 'way')}; its record stays, because no word that stands in "
        "the record is touched. The text is what is resampled, with all its versions and seeds; "
        "another training may take it otherwise.",
        f"**{escape(tuned['label'])} scores {tuned['field_f1']:.3f} instead of "
        f"{tuned['field_f1_clean']:.3f}**: a drop of {_drop(tuned['drop'])} ({confidence} interval "
        f"over texts), {_judged(tuned['drop'])}."
        + "".join(f" {_lead_words(lead, confidence)}" for lead in found["leads"]),
        table(
            [
                "version of the texts",
                "changed",
                *(f"{escape(row['label'])}: F1 (drop)" for row in conditions),
            ],
            [
                [
                    "as they are",
                    "–",
                    *(f"{row['field_f1_clean']:.3f}" for row in conditions),
                ],
                *(
                    [
                        f"{code_span(name)}: {WORDS[name]}",
                        f"{changed} of {texts}",
                        *(
                            f"{cell['field_f1']:.3f} ({_drop(cell['drop'])})"
                            for row in conditions
                            for cell in [_cell(row, name)]
                        ),
                    ]
                    for name, changed in found["changed"].items()
                ),
                [
                    "all of them",
                    "",
                    *(f"{row['field_f1']:.3f} ({_drop(row['drop'])})" for row in conditions),
                ],
            ],
            "lr" + "r" * len(conditions),
        ),
        figure_link("robustness", "What each way of perturbing the texts costs"),
        f"Drops are F1 as they are minus F1 perturbed, paired; in brackets the {confidence} interval "
        f"({escape(tuned['drop']['method'])}). {_significant(found)} Valid JSON: "
        + "; ".join(
            f"{escape(row['label'])} {row['valid_json_clean']:.1%} as they are, "
            f"{row['valid_json']:.1%} perturbed"
            for row in conditions
        )
        + ".",
    ]
    return "\n\n".join(parts)


def _cell(condition: Mapping[str, Any], perturbation: str) -> Mapping[str, Any]:
    return next(row for row in condition["by_perturbation"] if row["perturbation"] == perturbation)


def _drop(drop: Mapping[str, Any]) -> str:
    return f"{drop['drop']:+.3f} \\[{drop['low']:+.3f}, {drop['high']:+.3f}\\]"


def _judged(drop: Mapping[str, Any]) -> str:
    if drop["low"] > 0:
        return "clear of zero"
    return "clear of zero on the better side" if drop["high"] < 0 else "not told from none"


def _lead_words(lead: Mapping[str, Any], confidence: str) -> str:
    change = lead["drop"]
    if change["low"] > 0:
        verdict = "it shrinks"
    elif change["high"] < 0:
        verdict = "it grows"
    else:
        verdict = "no change is told from none"
    return (
        f"Its lead over {escape(lead['label'])} is {lead['clean']:+.3f} on these texts as they are "
        f"and {lead['perturbed']:+.3f} perturbed: {verdict} (drop {_drop(change)}, {confidence})."
    )


def _significant(found: Mapping[str, Any]) -> str:
    level = 1 - found["statistics"]["confidence"]
    clear = [
        f"{code_span(row['perturbation'])} for {escape(condition['label'])}"
        for condition in found["conditions"]
        for row in condition["by_perturbation"]
        if row["p_holm"] < level and row["drop"]["drop"] > 0
    ]
    number = sum(len(condition["by_perturbation"]) for condition in found["conditions"])
    tested = f"Corrected for {number} tests (Holm), "
    if not clear:
        return tested + "no single drop is clear of zero."
    return tested + f"the drops clear of zero: {', '.join(clear)}."
