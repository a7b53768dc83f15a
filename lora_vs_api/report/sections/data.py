"""The texts and what was checked about them before any training."""

from __future__ import annotations

from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render


def data_section(inputs: ReportInputs) -> Markdown:
    return render(
        "data",
        corpus=inputs.corpus,
        split=inputs.split,
        check=inputs.data_check,
        review=inputs.review,
        evaluated=inputs.analysis.texts,
        generated=inputs.corpus.source == "generator",
    )


def contamination_section(inputs: ReportInputs) -> Markdown:
    return render("contamination", check=inputs.contamination)
