"""Where the fine-tune wins and loses: field by field, and on which texts."""

from __future__ import annotations

from dataclasses import dataclass

from lora_vs_api.analysis.results import Analysis, Condition, Example, FieldDifference
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, compact_json, render


@dataclass(frozen=True)
class FieldByField:
    """Every field's difference to one baseline, the largest gain first, and which are clear of 0.

    ``unearned`` are clear of 0 and no win: there the fine-tune does not beat the commonest value.
    """

    baseline: Condition
    gains: list[tuple[str, FieldDifference]]
    won: list[str]
    unearned: list[str]
    lost: list[str]
    neither: list[str]


def win_loss_section(inputs: ReportInputs) -> Markdown:
    analysis = inputs.analysis
    names = list(dict.fromkeys(row.name for row in read_beside(analysis)))
    cheap = analysis.strongest_model_free
    return render(
        "wins",
        analysis=analysis,
        method=analysis.decisions[0].interval.method,
        seeds=len(analysis.seeds),
        lora=analysis.lora,
        rivals=[
            field_by_field(analysis, name)
            for name in dict.fromkeys([*names, *([] if cheap is None else [cheap.name])])
        ],
        majority=majority(analysis),
        unscored=[name for name, score in analysis.lora.per_field.items() if score is None],
        scored=sum(score is not None for score in analysis.lora.per_field.values()),
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


def read_beside(analysis: Analysis) -> tuple[Condition, ...]:
    """The conditions whose texts are shown: of the APIs', or the untuned base where there are none."""
    if analysis.strongest_api is None:
        return analysis.strongest_rival, analysis.untuned
    return analysis.strongest_api, analysis.reference


def field_by_field(analysis: Analysis, name: str) -> FieldByField:
    per_field = analysis.comparison(name).per_field
    scored = [(name, gain) for name, gain in per_field.items() if gain is not None]
    gains = sorted(scored, key=lambda item: -item[1].difference)
    ahead = [field for field, gain in gains if gain.side > 0]
    unearned = [field for field in ahead if not beats_majority(analysis, field)]
    return FieldByField(
        baseline=analysis.condition(name),
        gains=gains,
        won=[field for field in ahead if field not in unearned],
        unearned=unearned,
        lost=[field for field, gain in gains if gain.side < 0],
        neither=[field for field, gain in gains if gain.side == 0],
    )


def majority(analysis: Analysis) -> Condition | None:
    """The condition that always answers each field's commonest value; None where it was left out."""
    return next(
        (r for r in analysis.conditions if r.kind == "model_free" and r.name == "majority"), None
    )


def beats_majority(analysis: Analysis, field: str) -> bool:
    """Whether the fine-tune is clearly above the field's commonest value; true where it is unknown."""
    known = majority(analysis)
    if known is None:
        return True
    gain = analysis.comparison(known.name).per_field[field]
    return gain is not None and gain.side > 0


def compared(example: Example) -> str:
    """The expected record and both answers, under one another; raw text, for a code block."""
    return (
        f"expected  {compact_json(example.gold)}\n"
        f"LoRA      {_answer(example.lora_output, example.lora_cut)}\n"
        f"baseline  {_answer(example.baseline_output, example.baseline_cut)}"
    )


def _answer(output: str, cut: bool) -> str:
    return f"{output} … (cut by the token limit)" if cut else output or "(empty)"
