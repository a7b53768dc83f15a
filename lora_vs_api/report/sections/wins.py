"""Where the fine-tune wins and loses: field by field, and on which texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_vs_api.report.sections.facts import (
    ReportInputs,
    comparison_row,
    condition_row,
    lora_row,
    strongest_api,
)
from lora_vs_api.report.sections.writing import (
    code_span,
    compact_json,
    escape,
    fence,
    figure_link,
    table,
)


def win_loss_section(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    statistics = analysis["statistics"]
    rivals = list(dict.fromkeys([strongest_api(analysis)["name"], analysis["baseline"]]))
    parts = [
        "## Where the fine-tune wins and loses",
        "A field is won or lost where the whole "
        f"{statistics['confidence']:.0%} paired bootstrap interval over texts lies on one side of 0 "
        f"({statistics['resamples']:,} resamples, seed {statistics['seed']}; each field for itself, "
        f"without correction for there being {len(analysis['fields'])}).",
        *(part for name in rivals for part in _fields(analysis, name)),
        figure_link("per_field", "Score of every condition on every field"),
        *(part for name in rivals for part in _texts(analysis, name)),
    ]
    return "\n\n".join(parts)


def _fields(analysis: Mapping[str, Any], name: str) -> list[str]:
    lora, baseline = lora_row(analysis), condition_row(analysis, name)
    gains = sorted(
        comparison_row(analysis, name)["per_field"].items(),
        key=lambda item: -item[1]["difference"],
    )

    def names(test: Any) -> str:
        return ", ".join(code_span(name) for name, gain in gains if test(gain)) or "none"

    return [
        f"### Against {escape(baseline['label'])}",
        f"Wins: {names(lambda g: g['low'] > 0)}. Loses: {names(lambda g: g['high'] < 0)}. "
        f"Neither: {names(lambda g: g['low'] <= 0 <= g['high'])}.",
        table(
            ["field", "LoRA", "baseline", "difference", "interval"],
            [
                [
                    code_span(field),
                    f"{lora['per_field'][field]:.3f}",
                    f"{baseline['per_field'][field]:.3f}",
                    f"{gain['difference']:+.3f}",
                    f"{gain['low']:+.3f} to {gain['high']:+.3f}",
                ]
                for field, gain in gains
            ],
            "lrrrr",
        ),
    ]


def _texts(analysis: Mapping[str, Any], name: str) -> list[str]:
    label, parts = escape(condition_row(analysis, name)["label"]), []
    for kind, verb in (("wins", "gains"), ("losses", "loses")):
        found = analysis["examples"][name][kind]
        parts.append(f"### Texts on which it {verb} most against {label}")
        if not found:
            parts.append(f"There is no text on which it {verb}.")
        for example in found:
            parts += [
                f"**{escape(example['id'])}**: LoRA (seed {analysis['seeds'][0]}) "
                f"{example['lora_f1']:.3f}, baseline {example['baseline_f1']:.3f}",
                fence(example["text"], "text"),
                fence(
                    f"expected  {compact_json(example['gold'])}\n"
                    f"LoRA      {example['lora_output'] or '(empty)'}\n"
                    f"baseline  {example['baseline_output'] or '(empty)'}",
                    "text",
                ),
            ]
    return parts
