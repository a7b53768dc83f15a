"""Scores by a column's values, where slices were asked for."""

from __future__ import annotations

from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.facts import method_names, unit_words


def slices_section(inputs: ReportInputs) -> Markdown:
    """Empty where ``slices`` names no column."""
    analysis = inputs.analysis
    if not analysis.slices:
        return Markdown()
    rows = [row for found in analysis.slices for row in found.every_row]
    names = dict.fromkeys((analysis.reference.name, analysis.strongest_rival.name))
    return render(
        "slices",
        slices=analysis.slices,
        rivals=[analysis.condition(name) for name in names],
        confidence=analysis.statistics.confidence,
        methods=method_names(row.interval for row in rows if row.interval),
        number=sum(len(row.differences) > 0 for row in rows) * len(names),
        alone=any(row.interval is None for row in rows),
        grouped=analysis.groups is not None,
        unit=unit_words(analysis),
    )
