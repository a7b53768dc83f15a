"""LoRA minus each baseline on the same texts, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from lora_vs_api.figures.drawing import INK, draw_interval, new_figure, seeds_note, titles, wrap
from lora_vs_api.figures.looks import Look
from lora_vs_api.report.numbers import signed, signed_bracketed
from lora_vs_api.shown import count

if TYPE_CHECKING:
    from lora_vs_api.analysis.results import Analysis


def paired_differences(analysis: Analysis, look: Mapping[str, Look]) -> Figure:
    """LoRA minus each baseline on the same texts, with intervals."""
    rows = list(reversed(analysis.decisions))
    figure, ax = new_figure(1.7 + 0.62 * len(rows))
    ax.axvline(0, color=INK, linewidth=1)
    for place, row in enumerate(rows):
        style = look[row.baseline]
        draw_interval(ax, row.interval, place, style.color, width=2.4)
        ax.plot(
            row.difference,
            place,
            marker=style.marker,
            color=style.color,
            markeredgecolor=INK,
            markersize=9,
        )
        ax.text(
            1.02,
            place,
            f"{signed(row.difference)}  {signed_bracketed(row.interval)}",
            transform=ax.get_yaxis_transform(),
            va="center",
            fontsize=9.5,
        )
    ends = [0.0, *(row.interval.low for row in rows), *(row.interval.high for row in rows)]
    # at least so wide that no label of a tick touches the next, also where every difference is 0
    pad = max(0.06 * (max(ends) - min(ends)), 0.05)
    ax.set_xlim(min(ends) - pad, max(ends) + pad)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_yticks(range(len(rows)), [wrap(row.label) for row in rows])
    ax.set_xlabel("difference in mean field F1 (right of 0: the fine-tune is better)")
    ax.grid(axis="y", visible=False)
    titles(
        ax,
        "Fine-tuned minus each baseline, on the same texts",
        f"{analysis.statistics.confidence:.0%} {rows[0].interval.method}, by which everything is "
        f"decided; {count(analysis.texts, 'text')}. {seeds_note(analysis)}.",
    )
    return figure
