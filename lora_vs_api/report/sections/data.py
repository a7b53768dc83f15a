"""The texts and what was checked about them before any training."""

from __future__ import annotations

from lora_vs_api.analysis.ledger import LEDGER
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.facts import apart, unit_words


def data_section(inputs: ReportInputs) -> Markdown:
    f1, checked = inputs.analysis.lora.field_f1, inputs.data_check.fields
    return render(
        "data",
        corpus=inputs.corpus,
        split=inputs.split,
        check=inputs.data_check,
        nulls=[
            (field.name, checked[field.name].null)
            for field in inputs.settings.fields
            if field.may_be_empty and field.name in checked
        ],
        all_may_be_empty=all(field.may_be_empty for field in inputs.settings.fields),
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
    check = inputs.contamination
    optional = {field.name for field in inputs.settings.fields if field.may_be_empty}
    return render(
        "contamination", check=check, labelled=check is not None and check.field in optional
    )
