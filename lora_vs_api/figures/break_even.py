"""Total cost of the fine-tune and of each API condition by volume, with their crossings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lora_vs_api.figures.drawing import INK, MUTED, legend, new_figure, short, titles, wrap
from lora_vs_api.figures.looks import Look
from lora_vs_api.report.numbers import volume

if TYPE_CHECKING:
    import pandas as pd

    from lora_vs_api.analysis.results import Analysis


def break_even_curves(
    analysis: Analysis,
    table: pd.DataFrame,
    look: Mapping[str, Look],
    limit: float | None = None,
) -> Figure | None:
    """Total cost of the fine-tune and of each API condition by volume, with their crossings.

    None where no API condition was asked.
    """
    economics = analysis.economics
    if not economics.break_even:
        return None
    labels = {row.name: row.label for row in analysis.conditions}
    crossings = {row.baseline: row.volume for row in economics.break_even}
    intervals = {row.baseline: row.pay_back for row in analysis.decisions}
    figure, ax = new_figure(4.4)
    curves = {str(name): curve for name, curve in table.groupby("condition", sort=False)}
    for name, curve in sorted(curves.items(), key=lambda item: list(labels).index(item[0])):
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
            local = economics.local_per_1k / 1000
            at = economics.training.total_usd + crossing * local
            left = crossing if ends.low is None else ends.low
            right = table["volume"].max() if ends.high is None else ends.high
            ax.hlines(at, left, right, color=INK, linewidth=2, zorder=4)
            ax.plot(
                crossing,
                at,
                marker=style.marker,
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
        f"USD {economics.training.total_usd:,.0f} once, then electricity, against token prices "
        f"of {economics.prices.as_of} ({economics.prices.source}). Large markers: "
        "break-even volumes, with their intervals where these are wider than the marker; "
        "'never' where an API answer costs no more than a local one.",
    )
    return figure
