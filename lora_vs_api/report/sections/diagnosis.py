"""What kinds of failure the scores count."""

from __future__ import annotations

from collections.abc import Sequence

from lora_vs_api.analysis.results import Condition
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.numbers import percent, significant
from lora_vs_api.report.rendering import DASH, Markdown, render
from lora_vs_api.report.sections.facts import constant_fields

# what lora_vs_api.analysis.results measures of a field, in words, and whether it is a share
MEASURES = {
    "missing": ("no value of its type", True),
    "unexpected": ("a value where there is none", True),
    "normalised": ("equal but for case, punctuation and articles", True),
    "token_f1": ("token F1", False),
    "out_of_vocabulary": ("out-of-vocabulary label", True),
    "mean_distance": ("mean distance", False),
    "within_one": ("at most 1 off", True),
    "spurious": ("spurious items", True),
    "missed": ("missed items", True),
    "slot_f1": ("slot F1", False),
}


def diagnosis_section(inputs: ReportInputs) -> Markdown:
    rows = inputs.analysis.conditions
    return render(
        "diagnosis",
        rows=rows,
        measures=measures(rows),
        constant=constant_fields(inputs.analysis),
        optional=any(field.may_be_empty for field in inputs.settings.fields),
        # as the figure itself: without one readable answer there is nothing to draw
        confusion=bool(rows[0].diagnosis.confusion) and any(row.valid_json > 0 for row in rows),
    )


def measures(rows: Sequence[Condition]) -> list[tuple[str, str, list[str]]]:
    """Field, measure and the measure's value under each condition, in words."""
    return [
        (
            field,
            MEASURES[name][0],
            [_number(row.diagnosis.fields[field].measures().get(name), name) for row in rows],
        )
        for field, measured in rows[0].diagnosis.fields.items()
        for name in measured.measures()
    ]


def _number(value: float | None, measure: str) -> str:
    if value is None:
        return DASH
    return percent(value) if MEASURES[measure][1] else significant(value)
