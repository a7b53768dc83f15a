"""The report's figures about money."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from lora_vs_api.report.figures.drawing import (
    INK,
    MUTED,
    Look,
    legend,
    new_figure,
    plain_log,
    short,
    titles,
    wrap,
)
from lora_vs_api.report.numbers import significant, volume

if TYPE_CHECKING:
    import pandas as pd


def cost_accuracy(analysis: Mapping[str, Any], look: Mapping[str, Look]) -> Figure:
    """What 1,000 texts cost against how well they are read."""
    rows = analysis["conditions"]
    figure, ax = new_figure(4.6 + 0.16 * len(rows))
    costs = []
    for row in rows:
        style, f1, cost = look[row["name"]], row["field_f1"], row["cost_per_1k"]
        costs.append(cost["usd"])
        ax.vlines(cost["usd"], f1["low"], f1["high"], color=style.color, linewidth=2)
        ax.plot(
            cost["usd"],
            f1["estimate"],
            style.marker,
            color=style.color,
            markersize=10,
            markeredgecolor=INK,
            label=wrap(row["label"], 46),
        )
        if cost["batched_usd"] is not None:
            costs.append(cost["batched_usd"])
            ax.hlines(
                f1["estimate"],
                *sorted((cost["batched_usd"], cost["usd"])),
                color=style.color,
                linewidth=1,
                linestyle=":",
            )
            ax.plot(
                cost["batched_usd"],
                f1["estimate"],
                style.marker,
                markerfacecolor="white",
                markeredgecolor=style.color,
                markeredgewidth=1.8,
                markersize=9,
            )
    if min(costs) > 0 and max(costs) / min(costs) > 3:
        ax.set_xscale("log")
        ax.set_xlim(min(costs) / 1.6, max(costs) * 1.6)
        plain_log(ax.xaxis)
    else:
        ax.set_xlim(0, max(costs) * 1.1 or 1)
    highest = max(row["field_f1"]["high"] for row in rows)
    # below 0, so that the marker of a condition at 0 is whole
    ax.set_ylim(-0.06 * (highest + 0.1), highest + 0.1)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    ax.set_xlabel("cost of 1,000 texts (USD, lower is better)")
    ax.set_ylabel("mean field F1 (0 to 1, higher is better)")
    legend(figure, ax)
    prices = analysis["economics"]["prices"]
    hollow = any(row["cost_per_1k"]["batched_usd"] is not None for row in rows)
    titles(
        ax,
        "Cost against accuracy",
        f"Vertical lines: {analysis['statistics']['confidence']:.0%} intervals. Local: electricity "
        f"at configured watts, one text at a time{' (filled) or in batches (hollow)' * hollow}. "
        f"API: tokens at the prices of {prices['as_of']} ({prices['source']}).",
    )
    return figure


def break_even_curves(
    analysis: Mapping[str, Any],
    table: pd.DataFrame,
    look: Mapping[str, Look],
    limit: float | None = None,
) -> Figure:
    """Total cost of the fine-tune and of each API condition by volume, with their crossings."""
    economics = analysis["economics"]
    labels = {row["name"]: row["label"] for row in analysis["conditions"]}
    crossings = {row["baseline"]: row["volume"] for row in economics["break_even"]}
    intervals = {row["baseline"]: row["interval"] for row in economics["break_even"]}
    figure, ax = new_figure(4.8 + 0.16 * len(crossings))
    for name, curve in table.groupby("condition", sort=False):
        tuned = name not in crossings
        style = look[name]
        note = "training included" if tuned else f"break-even: {volume(crossings[name])}"
        label = wrap(labels[name], 46)
        ax.plot(
            curve["volume"],
            curve["total_usd"],
            color=style.color,
            linestyle=style.dash,
            linewidth=3 if tuned else 2,
            # small ones along the curve, so that curves of one dash are told apart in grey
            marker=None if tuned else style.marker,
            markevery=5,
            markersize=5,
            label=f"{label}\n{note}",
        )
        crossing = crossings.get(name)
        if crossing is not None and crossing > 0:
            ends = intervals[name]
            local = economics["local_per_1k"] / 1000
            at = economics["training"]["total_usd"] + crossing * local
            right = table["volume"].max() if ends["high"] is None else ends["high"]
            ax.hlines(at, ends["low"], right, color=INK, linewidth=2, zorder=4)
            ax.plot(
                crossing,
                at,
                style.marker,
                color=style.color,
                markeredgecolor=INK,
                markersize=11,
                zorder=5,
            )
    ax.set_xscale("log")
    ax.set_yscale("log")
    positive = table[table["total_usd"] > 0]
    ax.set_xlim(table["volume"].min(), table["volume"].max())
    ax.set_ylim(positive["total_usd"].min() / 1.5, positive["total_usd"].max() * 1.5)
    if limit is not None and table["volume"].min() < limit < table["volume"].max():
        ax.axvline(limit, color=MUTED, linewidth=1.2, linestyle="--", zorder=1.5)
        ax.text(
            limit * 1.1,
            0.97,
            f"hypothesis: before {volume(limit)}",
            transform=ax.get_xaxis_transform(),
            va="top",
            fontsize=9,
            color=MUTED,
        )
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    ax.set_xlabel("inferences in total")
    ax.set_ylabel("total cost (USD)")
    legend(figure, ax)
    titles(
        ax,
        "From which volume does the fine-tune pay for itself?",
        f"USD {economics['training']['total_usd']:,.0f} once, then electricity, against token prices "
        f"of {economics['prices']['as_of']} ({economics['prices']['source']}). Large markers: "
        "break-even volumes, with their intervals over requests where these are wider than the marker; "
        "'never' where an API answer costs no more than a local one.",
    )
    return figure


def tornado(analysis: Mapping[str, Any], color: str) -> Figure:
    """How far the break-even volume moves when one input at a time is halved or doubled."""
    result = analysis["economics"]["sensitivity"]
    factor, middle = result["factor"], result["volume"]
    ends = [end for row in result["rows"] for end in (row["low_volume"], row["high_volume"])]
    known = [end for end in (*ends, middle) if end]
    figure, ax = new_figure(1.9 + 0.55 * len(result["rows"]))
    ax.set_xscale("log")
    left, right = (min(known) / 1.6, max(known) * 1.6) if known else (1, 10)
    ax.set_xlim(left, right)

    def reach(row: Mapping[str, Any]) -> float:
        low, high = (
            right if row[key] is None else row[key] for key in ("low_volume", "high_volume")
        )
        return abs(math.log(max(low, left)) - math.log(max(high, left)))

    rows = sorted(result["rows"], key=reach)
    for place, row in enumerate(rows):
        for key, sign, shade in (("low_volume", "÷", "white"), ("high_volume", "×", color)):
            end = row[key]
            drawn = right if end is None else max(end, left)
            start = right if middle is None else middle
            ax.barh(
                place,
                drawn - start,
                left=start,
                height=0.55,
                color=shade,
                edgecolor=INK,
                linewidth=0.8,
                label=f"input {sign} {factor:g}" if place == 0 else None,
            )
            outward = drawn >= start
            ax.annotate(
                "never" if end is None else short(end),
                (drawn, place),
                (4 if outward else -4, 0),
                textcoords="offset points",
                ha="left" if outward and end is not None else "right",
                va="center",
                fontsize=8.5,
            )
    if middle is not None:
        ax.axvline(middle, color=INK, linewidth=1)
    ax.set_yticks(range(len(rows)), [row["setting"] for row in rows])
    plain_log(ax.xaxis, short)
    ax.set_xlabel("break-even volume (inferences, logarithmic)")
    ax.grid(axis="y", visible=False)
    legend(figure, ax)
    titles(
        ax,
        "What the break-even volume depends on",
        f"Against {result['label']}: {volume(middle)} with every input as configured or measured "
        f"(vertical line), then one input at a time divided and multiplied by {factor:g}.",
    )
    return figure


def price_volume(
    analysis: Mapping[str, Any], look: Mapping[str, Look], limit: float | None = None
) -> Figure:
    """Which side is cheaper at which API price and volume."""
    economics = analysis["economics"]
    labels = {row["name"]: row["label"] for row in analysis["conditions"]}
    judged = analysis["baseline"]
    figure, ax = new_figure(5.2 + 0.16 * len(economics["break_even"]))
    prices = np.logspace(-1.3, 1.3, 400)
    fixed, local = economics["training"]["total_usd"], economics["local_per_1k"] / 1000
    for row in economics["break_even"]:
        style = look[row["baseline"]]
        saved = prices * row["api_per_1k"] / 1000 - local
        with np.errstate(divide="ignore"):
            border = np.where(saved > 0, fixed / np.where(saved > 0, saved, 1), np.inf)
        ax.plot(
            prices,
            border,
            color=style.color,
            linestyle=style.dash,
            linewidth=2,
            label=f"{wrap(labels[row['baseline']], 46)}\nat price × 1: {volume(row['volume'])}",
        )
        if row["baseline"] == judged:
            # lightest where the fine-tune wins, so that it also reads in grey
            ax.fill_between(
                prices, np.clip(border, None, 1e10), 1e10, color=look["lora"].color, alpha=0.12
            )
            ax.fill_between(prices, 1e4, np.clip(border, 1e4, 1e10), color="#888888", alpha=0.28)
        if row["volume"]:
            ax.plot(1, row["volume"], style.marker, color=style.color, markeredgecolor=INK, ms=10)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(prices[0], prices[-1])
    ax.set_ylim(1e4, 1e10)
    ax.set_xticks([0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"× {value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    ax.text(0.97, 0.93, "fine-tune is cheaper", transform=ax.transAxes, ha="right", va="top")
    ax.text(0.03, 0.07, "API is cheaper", transform=ax.transAxes)
    if limit is not None:
        ax.axhline(limit, color=MUTED, linewidth=1.2, linestyle="--", zorder=1.5)
        ax.annotate(
            f"hypothesis: before {volume(limit)}",
            (prices[-1], limit),
            (-6, 4),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=MUTED,
        )
    ax.set_xlabel("API price, as a multiple of the configured one")
    ax.set_ylabel("inferences in total")
    legend(figure, ax)
    titles(
        ax,
        "Who is cheaper, by API price and volume",
        f"Lines: where both have cost the same. Shaded for {labels[judged]}. USD "
        f"{economics['training']['total_usd']:,.0f} of training, local answers at USD "
        f"{significant(economics['local_per_1k'])} per 1,000; × 1: prices of "
        f"{economics['prices']['as_of']} ({economics['prices']['source']}).",
    )
    return figure
