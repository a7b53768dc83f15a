"""What 1,000 texts cost against how well they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lora_vs_api.figures.drawing import INK, legend, new_figure, plain_log, titles, wrap
from lora_vs_api.figures.looks import Look

if TYPE_CHECKING:
    from lora_vs_api.analysis.results import Analysis


def cost_accuracy(analysis: Analysis, look: Mapping[str, Look]) -> Figure:
    """What 1,000 texts cost against how well they are read."""
    rows = analysis.conditions
    figure, ax = new_figure(4.2)
    costs = []
    for row in rows:
        style, f1, cost = look[row.name], row.field_f1, row.cost_per_1k
        costs.append(cost.usd)
        ax.vlines(cost.usd, f1.low, f1.high, color=style.color, linewidth=2)
        ax.plot(
            cost.usd,
            f1.estimate,
            marker=style.marker,
            color=style.color,
            markersize=10,
            markeredgecolor=INK,
            label=wrap(row.label, 46),
        )
        if cost.batched_usd is not None:
            costs.append(cost.batched_usd)
            ax.hlines(
                f1.estimate,
                min(cost.batched_usd, cost.usd),
                max(cost.batched_usd, cost.usd),
                color=style.color,
                linewidth=1,
                linestyle=":",
            )
            ax.plot(
                cost.batched_usd,
                f1.estimate,
                marker=style.marker,
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
    highest = max(row.field_f1.high for row in rows)
    # below 0, so that the marker of a condition at 0 is whole
    ax.set_ylim(-0.06 * (highest + 0.1), highest + 0.1)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    ax.set_xlabel("cost of 1,000 texts (USD, lower is better)")
    ax.set_ylabel("mean field F1 (0 to 1, higher is better)")
    legend(figure, ax)
    prices = analysis.economics.prices
    asked = bool(prices.conditions)
    watts = "measured" if analysis.lora.cost_per_1k.energy == "measured" else "configured"
    hollow = any(row.cost_per_1k.batched_usd is not None for row in rows)
    titles(
        ax,
        "Cost against accuracy",
        f"Vertical lines: {analysis.statistics.confidence:.0%} intervals. Local: electricity "
        f"at {watts} watts, one text at a time{' (filled) or in batches (hollow)' * hollow}."
        + (f" API: tokens at the prices of {prices.as_of} ({prices.source})." * asked),
    )
    return figure
