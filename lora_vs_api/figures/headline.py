"""Field F1 of every condition with its interval, best on top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from lora_vs_api.analysis.order import ranked
from lora_vs_api.figures.drawing import INK, draw_interval, new_figure, seeds_note, titles, wrap
from lora_vs_api.figures.looks import Look
from lora_vs_api.shown import count

if TYPE_CHECKING:
    from lora_vs_api.analysis.results import Analysis


def headline(analysis: Analysis, look: Mapping[str, Look]) -> Figure:
    """Field F1 of every condition with its interval, best on top."""
    # from the bottom up; the table has equal ones in this order too
    rows = ranked(analysis).conditions[::-1]
    figure, ax = new_figure(1.5 + 0.62 * len(rows))
    for place, row in enumerate(rows):
        f1 = row.field_f1
        ax.barh(
            place,
            f1.estimate,
            height=0.62,
            color=look[row.name].color,
            edgecolor=INK,
            linewidth=0.8,
            hatch="" if row.kind in ("lora", "tuned") else "///",
        )
        # white below, or a dark bar would hide its part of the line
        draw_interval(ax, f1, place, "white", width=4)
        draw_interval(ax, f1, place, INK)
        ax.text(
            max(f1.high, f1.estimate) + 0.015,
            place,
            f"{f1.estimate:.3f}",
            va="center",
            fontweight="bold" if row.kind == "lora" else "normal",
        )
    ax.set_yticks(range(len(rows)), [wrap(row.label) for row in rows])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    # room for the number beside a bar that ends at 1
    ax.set_xlim(0, 1.09)
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    ax.set_xlabel("mean field F1 (0 to 1, higher is better)")
    ax.grid(axis="y", visible=False)
    titles(
        ax,
        f"Field F1 on {count(analysis.texts, 'test text')}",
        f"Lines: {analysis.statistics.confidence:.0%} intervals for new texts"
        + (" and another training; " if len(analysis.seeds) > 1 else "; ")
        + seeds_note(analysis)
        + ". Solid bar: fine-tuned; hatched: not fine-tuned.",
    )
    return figure
