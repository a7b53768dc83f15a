"""The texts and what was checked about them before any training."""

from __future__ import annotations

from lora_vs_api.analysis.ledger import LEDGER
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.answer import apart
from lora_vs_api.report.sections.facts import unit_words


def data_section(inputs: ReportInputs) -> Markdown:
    f1 = inputs.analysis.lora.field_f1
    return render(
        "data",
        corpus=inputs.corpus,
        split=inputs.split,
        check=inputs.data_check,
        review=inputs.review,
        evaluated=inputs.analysis.texts,
        groups=inputs.analysis.groups,
        unit=unit_words(inputs.analysis),
        apart=apart(inputs.analysis),
        scored=inputs.scored,
        ledger=LEDGER,
        half_width=(f1.high - f1.low) / 2,
        generated=inputs.corpus.source == "generator",
    )


def contamination_section(inputs: ReportInputs) -> Markdown:
    return render("contamination", check=inputs.contamination)
