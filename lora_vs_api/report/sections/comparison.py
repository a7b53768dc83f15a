"""The comparison: scores, paired tests, what the intervals count, wins and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lora_vs_api.report.numbers import count, usd
from lora_vs_api.report.sections.facts import (
    ReportInputs,
    method_names,
    seeds_words,
)
from lora_vs_api.report.sections.writing import (
    escape,
    figure_link,
    p_value,
    seconds_text,
    table,
)


def results_section(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    confidence = f"{analysis['statistics']['confidence']:.0%}"
    rows = sorted(analysis["conditions"], key=lambda row: -row["field_f1"]["estimate"])

    def ordered(row: Mapping[str, Any]) -> list[int]:
        keys = (
            "conforming",
            "schema_violating",
            "invalid_json",
            "truncated",
            "refused",
            "filtered",
        )
        return [row["outcomes"][key] for key in keys]

    parts = [
        "## Results",
        table(
            [
                "condition",
                "field F1",
                f"{confidence} interval",
                "valid JSON",
                "fits schema",
                "all correct",
                "cut short",
                "p50 (s)",
                "p95 (s)",
                "USD per 1K",
            ],
            [
                [
                    escape(row["label"]),
                    f"{row['field_f1']['estimate']:.3f}",
                    f"{row['field_f1']['low']:.3f} to {row['field_f1']['high']:.3f}",
                    f"{row['valid_json']:.1%}",
                    f"{row['schema_valid']:.1%}",
                    f"{row['strict']:.1%}",
                    f"{row['truncated']:.1%}",
                    seconds_text(row["latency"]["p50"]),
                    seconds_text(row["latency"]["p95"]),
                    usd(row["cost_per_1k"]["usd"]),
                ]
                for row in rows
            ],
            "lrrrrrrrrr",
        ),
        f"{count(analysis['texts'], 'test text')}; intervals: "
        f"{method_names(row['field_f1'] for row in rows)}. *Cut short*: the answer reached "
        "the token limit; it is scored as it stands.",
        table(
            ["condition", "latency measured on", "how"],
            [
                [
                    escape(row["label"]),
                    count(row["latency"]["texts"], "request"),
                    escape(row["latency"]["how"]),
                ]
                for row in rows
            ],
            "lrl",
        ),
        table(
            [
                "condition",
                "requests",
                "fit the schema",
                "break it",
                "no valid JSON",
                "cut short",
                "refused",
                "filtered",
            ],
            [
                [escape(row["label"])]
                + [str(number) for number in (sum(row["outcomes"].values()), *ordered(row))]
                for row in rows
            ],
            "lrrrrrrr",
        ),
        "Every request is counted once. One that is refused, filtered or not answered at all stops "
        "the run and is never scored.",
    ]
    unreadable = [row for row in rows if row["valid_json"] < 0.5]
    if unreadable:
        parts.append(
            "An answer that is not valid JSON scores 0, so a condition that rarely writes JSON is "
            "measured on its format more than on what it understood: "
            + "; ".join(
                f"{escape(row['label'])} wrote valid JSON for {row['valid_json']:.1%}"
                + (
                    f", and on those texts scores {row['field_f1']['estimate'] / row['valid_json']:.3f}"
                    if row["valid_json"] > 0
                    else ""
                )
                for row in unreadable
            )
            + "."
        )
    few = [row for row in rows if 0 < row["latency"]["texts"] < 20]
    if few:
        parts.append(
            f"A p95 from fewer than 20 requests is close to the slowest of them "
            f"({'; '.join(escape(row['label']) for row in few)})."
        )
    flat = [row for row in rows if row["field_f1"]["low"] == row["field_f1"]["high"]]
    if flat:
        parts.append(
            f"An interval without width ({'; '.join(escape(row['label']) for row in flat)}) means "
            f"that all {analysis['texts']:,} texts scored alike, not that the score is certain: "
            f"up to {analysis['unseen_share']:.1%} of texts may still score otherwise "
            f"({confidence} exact binomial bound)."
        )
    parts.append(figure_link("cost_accuracy", "Cost of 1,000 texts against field F1"))
    if any(row["latency"]["p50"] is not None for row in rows):
        parts.append(figure_link("latency", "Share of requests answered within a time"))
    repeated = [row for row in rows if row.get("noise_floor")]
    if repeated:
        parts += noise_parts(repeated)
    return "\n\n".join(parts)


def noise_parts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    floors = [(row["label"], row["noise_floor"]) for row in rows]
    return [
        "### How far a repeated question gives another answer",
        table(
            ["condition", "texts", "askings", "same answer", "same score", "field F1", "sd"],
            [
                [
                    escape(label),
                    str(floor["texts"]),
                    str(floor["askings"]),
                    f"{floor['same_text']:.0%}",
                    f"{floor['same_score']:.0%}",
                    f"{floor['field_f1_low']:.3f} to {floor['field_f1_high']:.3f}",
                    f"{floor['sd']:.4f}",
                ]
                for label, floor in floors
            ],
            "lrrrrrr",
        ),
        "The same texts were asked several times. *Same answer* and *same score*: the share of them "
        "on which every asking agrees; *field F1*: the lowest and highest mean of one asking; *sd*: "
        "over askings. The intervals above are over texts and include none of this.",
    ]


def paired_section(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    statistics = analysis["statistics"]
    comparisons = analysis["comparisons"]
    return "\n\n".join(
        [
            "## The fine-tune against each baseline, text by text",
            table(
                [
                    "baseline",
                    "difference",
                    "interval",
                    "for another training",
                    "p",
                    "p (Holm)",
                    "better / same / worse",
                ],
                [
                    [
                        escape(row["label"]),
                        f"{row['difference']:+.3f}",
                        f"{row['low']:+.3f} to {row['high']:+.3f}",
                        f"{row['another_training']['low']:+.3f} to "
                        f"{row['another_training']['high']:+.3f}",
                        p_value(row["p_value"]),
                        p_value(row["p_holm"]),
                        f"{row['wins']} / {row['ties']} / {row['losses']}",
                    ]
                    for row in comparisons
                ],
                "lrrrrrr",
            ),
            f"LoRA ({seeds_words(analysis)}) minus baseline in field F1 on the same texts; "
            f"{statistics['confidence']:.0%} intervals: {method_names(comparisons)}, "
            f"{statistics['resamples']:,} resamples, so that no p is below "
            f"{p_value(1 / (statistics['resamples'] + 1))}. Holm's correction is over the "
            f"{count(len(comparisons), 'baseline')} of this table. *For another training*: "
            f"{escape(comparisons[0]['another_training']['method'])}; the verdict goes by it.",
            figure_link("paired", "Paired differences in field F1 with intervals"),
            "Texts right in every field (LoRA: in more than half of the seeds), by McNemar's exact "
            "test:",
            table(
                ["baseline", "only LoRA", "only baseline", "p", "smallest detectable difference"],
                [
                    [
                        escape(row["label"]),
                        str(row["mcnemar"]["only_lora"]),
                        str(row["mcnemar"]["only_baseline"]),
                        p_value(row["mcnemar"]["p_value"]),
                        f"{row['smallest_detectable']:.3f}",
                    ]
                    for row in comparisons
                ],
                "lrrrr",
            ),
            "*Smallest detectable difference*: the true difference in field F1 that this many "
            "texts would show as significant four times out of five (5% level, two-sided).",
            "So many test texts would show, as surely, a true difference of",
            table(
                ["baseline", *comparisons[0]["texts_needed"]],
                [
                    [
                        escape(row["label"]),
                        *(f"{needed:,}" for needed in row["texts_needed"].values()),
                    ]
                    for row in comparisons
                ],
                "l" + "r" * len(comparisons[0]["texts_needed"]),
            ),
        ]
    )


def statistics_section(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    lora, shares = analysis["lora"], analysis["lora"]["variance_shares"]
    seeds = len(analysis["seeds"])
    parts = [
        "## What the intervals count",
        f"n is the number of texts, {analysis['texts']:,}. "
        + (
            f"The {seeds} seeds answer the same texts, so the answers to one text are one cluster "
            f"and not {seeds} independent rows. "
            if seeds > 1
            else "There is one seed, so nothing is known about how much another training would "
            "differ. "
        )
        + "The published experiment counted rows; its interval stands beside ours.",
        table(
            ["what is drawn anew", "field F1 of LoRA", "interval", "width", "method", "drawn"],
            [
                [
                    escape(row["name"]),
                    f"{row['estimate']:.3f}",
                    f"{row['low']:.3f} to {row['high']:.3f}",
                    f"{row['high'] - row['low']:.3f}",
                    escape(row["method"]),
                    f"{row['resamples']:,}, seed {row['seed']}"
                    if row["resamples"]
                    else "in closed form",
                ]
                for row in lora["intervals"]
            ],
            "lrrrll",
        ),
        table(
            ["seed", "field F1", "all correct", "valid JSON"],
            [
                [
                    str(row["seed"]),
                    f"{row['field_f1']:.3f}",
                    f"{row['strict']:.1%}",
                    f"{row['valid_json']:.1%}",
                ]
                for row in lora["per_seed"]
            ],
            "lrrr",
        ),
    ]
    if shares["seeds"] is None:
        parts.append(
            "How much of the variance comes from the seed cannot be told from one seed."
            if seeds == 1
            else "Nothing varies, so there is no variance to divide."
        )
    else:
        parts.append(
            f"Of the variance of LoRA's mean, {shares['texts']:.0%} comes from which texts were "
            f"drawn, {shares['seeds']:.0%} from the seeds and {shares['interaction']:.0%} from "
            "neither alone. The intervals elsewhere in this report are for the models that were "
            "trained; for a training yet to come, *texts and seeds, for another training* is the "
            "one to read: a bootstrap cannot draw what lies beyond the few seeds it has seen, and "
            "covers too little where seeds differ. What each covers is simulated in "
            "`tests/test_stats.py`."
        )
    return "\n\n".join(parts)
