"""Where the fine-tune wins and loses: field by field, and on which texts."""

from __future__ import annotations

from dataclasses import dataclass

from lora_vs_api.analysis.results import Analysis, Condition, Example, FieldDifference
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, compact_json, render


@dataclass(frozen=True)
class FieldByField:
    """Every field's difference to one baseline, the largest gain first, and which are clear of 0."""

    baseline: Condition
    gains: list[tuple[str, FieldDifference]]
    won: list[str]
    lost: list[str]
    neither: list[str]


def win_loss_section(inputs: ReportInputs) -> Markdown:
    analysis = inputs.analysis
    names = list(dict.fromkeys([analysis.strongest_api.name, analysis.baseline]))
    return render(
        "wins",
        analysis=analysis,
        method=analysis.decisions[0].interval.method,
        seeds=len(analysis.seeds),
        lora=analysis.lora,
        rivals=[field_by_field(analysis, name) for name in names],
        texts=[
            (analysis.condition(name).label, verb, found)
            for name in names
            for verb, found in (
                ("gains", analysis.examples[name].wins),
                ("loses", analysis.examples[name].losses),
            )
        ],
        compared=compared,
    )


def field_by_field(analysis: Analysis, name: str) -> FieldByField:
    per_field = analysis.comparison(name).per_field
    gains = sorted(per_field.items(), key=lambda item: -item[1].difference)
    return FieldByField(
        baseline=analysis.condition(name),
        gains=gains,
        won=[field for field, gain in gains if gain.side > 0],
        lost=[field for field, gain in gains if gain.side < 0],
        neither=[field for field, gain in gains if gain.side == 0],
    )


def compared(example: Example) -> str:
    """The expected record and both answers, under one another; raw text, for a code block."""
    return (
        f"expected  {compact_json(example.gold)}\n"
        f"LoRA      {example.lora_output or '(empty)'}\n"
        f"baseline  {example.baseline_output or '(empty)'}"
    )
