"""The texts and what was checked about them before any training."""

from __future__ import annotations

from lora_vs_api.analysis.ledger import LEDGER
from lora_vs_api.analysis.metrics import FieldCheck
from lora_vs_api.record.fields import Field
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.facts import apart, unit_words


def data_section(inputs: ReportInputs) -> Markdown:
    f1, checked = inputs.analysis.lora.field_f1, inputs.data_check.fields
    taught = inputs.distillation if inputs.split.unlabelled else None
    return render(
        "data",
        corpus=inputs.corpus,
        split=inputs.split,
        check=inputs.data_check,
        nulls=[
            found
            for field in inputs.settings.fields
            if field.name in checked
            for found in nulls(field, checked[field.name])
        ],
        all_may_be_empty=all(field.may_be_empty for field in inputs.settings.fields),
        review=inputs.review,
        evaluated=inputs.analysis.texts,
        groups=inputs.analysis.groups,
        unit=unit_words(inputs.analysis),
        apart=apart(inputs.analysis),
        scored=inputs.scored,
        ledger=LEDGER,
        f1=f1,
        labelled_by=None if taught is None else taught.label,
        generated=inputs.corpus.source == "generator",
    )


def nulls(field: Field, check: FieldCheck) -> list[tuple[str, float]]:
    """The field and its slots, as far as they may be empty, each with its share of texts without one."""
    own = [(field.name, check.null)] if field.may_be_empty else []
    return [*own, *((f"{field.name}.{slot}", share) for slot, share in (check.slots or {}).items())]


def contamination_section(inputs: ReportInputs) -> Markdown:
    check = inputs.contamination
    optional = {field.name for field in inputs.settings.fields if field.may_be_empty}
    return render(
        "contamination", check=check, labelled=check is not None and check.field in optional
    )
