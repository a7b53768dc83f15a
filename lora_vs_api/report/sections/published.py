"""The published experiment beside this run, each figure labelled as whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lora_vs_api.report.numbers import usd, volume
from lora_vs_api.report.sections.facts import (
    ReportInputs,
    break_even_row,
    comparison_row,
    condition_row,
    lora_row,
)
from lora_vs_api.report.sections.writing import escape, table

PUBLISHED = Path(__file__).parents[1] / "published.yaml"


def published_experiment() -> dict[str, Any]:
    """The published figures, as they were published."""
    return yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))


def published_section(inputs: ReportInputs) -> str:
    analysis, published = inputs.analysis, published_experiment()
    theirs = {row["name"]: row for row in published["conditions"]}
    old, old_base = theirs["lora"], theirs[published["difference"]["baseline"]]
    gap = published["difference"]
    new, base = lora_row(analysis), condition_row(analysis, analysis["baseline"])
    judged, paid = comparison_row(analysis), break_even_row(analysis)
    holds = {
        clause["clause"]: "holds" if clause["holds"] else "fails"
        for clause in analysis["verdict"]["clauses"]
    }

    def f1(row: Mapping[str, Any]) -> str:
        return f"{row['estimate']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"

    return "\n\n".join(
        [
            "## The published experiment beside this run",
            f"{escape(published['title'])} ({escape(str(published['date']))}) asked the same "
            "question. **Its figures are its own and were not reproduced here**; models, texts and "
            "prices differ, so the columns are not a contest.",
            table(
                ["figure", "published experiment", "this run"],
                [
                    ["fine-tuned model", escape(published["model"]), escape(analysis["model"])],
                    ["baseline", escape(old_base["label"]), escape(base["label"])],
                    [
                        "test texts",
                        f"{published['texts']}, counted as n = {published['counted_as']}",
                        f"{analysis['texts']:,}",
                    ],
                    ["seeds", str(published["seeds"]), str(len(analysis["seeds"]))],
                    [
                        "selected",
                        f"r {published['selected']['r']}, "
                        f"{published['selected']['learning_rate']:g}",
                        f"r {analysis['selected']['r']}, {analysis['selected']['learning_rate']:g}",
                    ],
                    [
                        "field F1, fine-tuned",
                        f1({**old, "estimate": old["field_f1"]}),
                        f1(new["field_f1"]),
                    ],
                    [
                        "field F1, baseline",
                        f1({**old_base, "estimate": old_base["field_f1"]}),
                        f1(base["field_f1"]),
                    ],
                    [
                        "difference",
                        f"{gap['estimate']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]",
                        f"{judged['difference']:+.3f} [{judged['low']:+.3f}, {judged['high']:+.3f}]",
                    ],
                    [
                        "valid JSON, fine-tuned / baseline",
                        f"{old['valid_json']:.1%} / {old_base['valid_json']:.1%}",
                        f"{new['valid_json']:.1%} / {base['valid_json']:.1%}",
                    ],
                    [
                        "all correct, fine-tuned / baseline",
                        f"{old['strict']:.1%} / {old_base['strict']:.1%}",
                        f"{new['strict']:.1%} / {base['strict']:.1%}",
                    ],
                    [
                        "p50 / p95, fine-tuned (s)",
                        f"{old['p50']:.2f} / {old['p95']:.2f} ({escape(published['machine'])})",
                        f"{new['latency']['p50']:.2f} / {new['latency']['p95']:.2f}",
                    ],
                    [
                        "USD per 1K, fine-tuned / baseline",
                        f"{usd(old['usd_per_1k'])} / {usd(old_base['usd_per_1k'])}",
                        f"{usd(new['cost_per_1k']['usd'])} / {usd(base['cost_per_1k']['usd'])}",
                    ],
                    [
                        "break-even (inferences)",
                        volume(old_base["break_even"]),
                        volume(paid["volume"]),
                    ],
                    *(
                        [f"clause: {escape(name.replace('_', ' '))}", told, holds.get(name, "–")]
                        for name, told in published["verdict"].items()
                    ),
                ],
            ),
            "The published experiment's other baselines:",
            table(
                ["published condition", "field F1", "USD per 1K", "break-even (inferences)"],
                [
                    [
                        escape(row["label"]),
                        f1({**row, "estimate": row["field_f1"]}),
                        usd(row["usd_per_1k"]),
                        volume(row["break_even"]),
                    ]
                    for row in published["conditions"]
                    if row["name"] not in ("lora", gap["baseline"])
                ],
                "lrrr",
            ),
            "\n".join(f"- {escape(note)}" for note in published["notes"]),
        ]
    )
