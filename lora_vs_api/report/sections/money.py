"""Costs, break-even and what it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_vs_api.report.numbers import days, significant, usd, volume
from lora_vs_api.report.sections.facts import ReportInputs, volume_range
from lora_vs_api.report.sections.writing import escape, figure_link, signed_usd, table


def money_section(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    return "\n\n".join(
        [
            "## Costs and break-even",
            *_costs(analysis),
            *_break_even(analysis["economics"]),
            *_ways(analysis["economics"]),
            *_sensitivity(analysis["economics"]),
        ]
    )


def _costs(analysis: Mapping[str, Any]) -> list[str]:
    economics = analysis["economics"]
    training, prices = economics["training"], economics["prices"]
    rent = economics["rented_usd_per_hour"]
    parts = [
        table(
            ["condition", "USD per 1K", "in batches", "tokens in / out", "how"],
            [
                [
                    escape(row["label"]),
                    usd(row["cost_per_1k"]["usd"]),
                    _usd(row["cost_per_1k"]["batched_usd"]),
                    f"{row['input_tokens_mean']:.0f} / {row['output_tokens_mean']:.0f}",
                    escape(row["cost_per_1k"]["how"]),
                ]
                for row in analysis["conditions"]
            ],
            "lrrrl",
        ),
        "*In batches*: locally many texts at once, through the API its batch mode at the "
        "configured discount. *Tokens*: means per request.",
        table(
            ["price of", "input", "cached input", "output", "batch discount"],
            [
                [
                    escape(row["label"]),
                    significant(price["input_per_million"]),
                    _usd(price["cached_input_per_million"]),
                    significant(price["output_per_million"]),
                    f"{price['batch_discount']:.0%}",
                ]
                for row in analysis["conditions"]
                if (price := prices["conditions"].get(row["name"]))
            ],
            "lrrrr",
        ),
        f"USD per million tokens: {escape(prices['source'])}, {escape(str(prices['as_of']))}. "
        f"Training, once: USD {usd(training['engineer_usd'])} of engineering and USD "
        f"{usd(training['machine_usd'])} of electricity, USD {usd(training['total_usd'])} together "
        f"({escape(training['how'])}).",
    ]
    if rent is not None:
        parts.append(
            f"The same machine rented at a configured USD {significant(rent)} an hour, never idle, "
            f"would cost USD {usd(training['rented_usd'])} for these trainings."
        )
    return parts


def _break_even(economics: Mapping[str, Any]) -> list[str]:
    rows = economics["break_even"]
    rates = list(next((row["days"] for row in rows if row["days"] is not None), {}))
    drawn = rows[0]["interval"]
    return [
        table(
            [
                "against",
                "API, USD per 1K",
                "saved per 1K",
                "break-even (inferences)",
                f"{drawn['confidence']:.0%} interval",
                *(f"at {int(rate):,} a day" for rate in rates),
            ],
            [
                [
                    escape(row["label"]),
                    usd(row["api_per_1k"]),
                    signed_usd(row["api_per_1k"] - economics["local_per_1k"]),
                    volume(row["volume"]),
                    volume_range(row["interval"]),
                    *(
                        "never" if row["days"] is None else days(row["days"][rate])
                        for rate in rates
                    ),
                ]
                for row in rows
            ],
            "l" + "r" * (4 + len(rates)),
        ),
        f"The fine-tune is counted at USD {usd(economics['local_per_1k'])} per 1,000, one text at a "
        "time on its own electricity. *Never*: an API answer costs no more than a local one, so "
        f"nothing is ever saved. Intervals: {escape(drawn['method'])}, {drawn['resamples']:,} "
        f"resamples, seed {drawn['seed']}: other texts would have had other lengths. What is "
        "configured does not vary in them; see below.",
        figure_link("break_even", "Total cost by volume"),
    ]


def _ways(economics: Mapping[str, Any]) -> list[str]:
    ways = list(dict.fromkeys(way for row in economics["break_even"] for way in row["ways"]))
    return [
        "The same volumes if both sides are run in another way:",
        table(
            ["way", *(escape(row["label"]) for row in economics["break_even"])],
            [
                [
                    escape(way),
                    *(
                        volume(row["ways"][way]["volume"])
                        + f" ({usd(row['ways'][way]['local_per_1k'])} against "
                        f"{usd(row['ways'][way]['api_per_1k'])} USD per 1K)"
                        if way in row["ways"]
                        else "–"
                        for row in economics["break_even"]
                    ),
                ]
                for way in ways
            ],
        ),
    ]


def _sensitivity(economics: Mapping[str, Any]) -> list[str]:
    found = economics["sensitivity"]
    return [
        "### What the break-even depends on",
        figure_link("tornado", "Break-even with one input at a time changed"),
        table(
            ["input", f"divided by {found['factor']:g}", f"multiplied by {found['factor']:g}"],
            [
                [escape(row["setting"]), volume(row["low_volume"]), volume(row["high_volume"])]
                for row in found["rows"]
            ],
            "lrr",
        ),
        f"Break-even volume against {escape(found['label'])}, {volume(found['volume'])} as it "
        "stands, with one input at a time changed.",
        figure_link("price_volume", "Who is cheaper, by API price and volume"),
    ]


def _usd(value: float | None) -> str:
    return "–" if value is None else usd(value)
