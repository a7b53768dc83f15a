"""Which side is cheaper at which API price and volume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from lora_vs_api.figures.drawing import INK, MUTED, legend, new_figure, short, titles, wrap
from lora_vs_api.figures.looks import Look
from lora_vs_api.report.numbers import significant, volume

if TYPE_CHECKING:
    from lora_vs_api.analysis.results import Analysis


def price_volume(
    analysis: Analysis, look: Mapping[str, Look], limit: float | None = None
) -> Figure | None:
    """Which side is cheaper at which API price and volume; None where no API condition was asked."""
    economics = analysis.economics
    labels = {row.name: row.label for row in analysis.conditions}
    judged = analysis.baseline
    if judged is None:
        return None
    figure, ax = new_figure(4.8)
    prices = np.logspace(-1.3, 1.3, 400)
    fixed, local = economics.training.total_usd, economics.local_per_1k / 1000
    for row in economics.break_even:
        style = look[row.baseline]
        saved = prices * row.api_per_1k / 1000 - local
        with np.errstate(divide="ignore"):
            border = np.where(saved > 0, fixed / np.where(saved > 0, saved, 1), np.inf)
        ax.plot(
            prices,
            border,
            color=style.color,
            linestyle=style.dash,
            linewidth=2,
            marker=style.marker,
            markevery=60,
            markersize=5,
            label=f"{wrap(labels[row.baseline], 46)}\nat price × 1: {volume(row.volume)}",
        )
        if row.baseline == judged:
            # lightest where the fine-tune wins, so that it also reads in grey
            ax.fill_between(
                prices, np.clip(border, None, 1e10), 1e10, color=look["lora"].color, alpha=0.12
            )
            ax.fill_between(prices, 1e4, np.clip(border, 1e4, 1e10), color="#888888", alpha=0.28)
        if row.volume:
            ax.plot(
                1, row.volume, marker=style.marker, color=style.color, markeredgecolor=INK, ms=10
            )
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
        f"{economics.training.total_usd:,.0f} of training, local answers at USD "
        f"{significant(economics.local_per_1k)} per 1,000; × 1: prices of "
        f"{economics.prices.as_of} ({economics.prices.source}).",
    )
    return figure
