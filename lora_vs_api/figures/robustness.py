"""What each way of perturbing the texts costs each condition; None where none was tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from lora_vs_api.figures.drawing import INK, draw_interval, legend, new_figure, titles
from lora_vs_api.figures.looks import Look
from lora_vs_api.shown import count

if TYPE_CHECKING:
    from lora_vs_api.analysis.results import Robustness


def robustness_drops(found: Robustness | None, look: Mapping[str, Look]) -> Figure | None:
    """What each way of perturbing the texts costs each condition; None where none could be tried."""
    if found is None or not found.conditions:
        return None
    conditions = found.conditions
    names = [name for name, applied in found.applied.items() if applied]
    step = min(0.26, 0.8 / len(conditions))
    figure, ax = new_figure(1.6 + 0.34 * len(names) * max(2, len(conditions)))
    for index, row in enumerate(conditions):
        shown = look[row.name]
        for place, cell in enumerate(row.by_perturbation):
            y = len(names) - 1 - place + ((len(conditions) - 1) / 2 - index) * step
            draw_interval(ax, cell.drop, y, shown.color)
            ax.plot(
                cell.drop.estimate,
                y,
                marker=shown.marker,
                color=shown.color,
                markeredgecolor=INK,
                linestyle="none",
                markersize=8,
                label=row.label if place == 0 else None,
            )
    ax.axvline(0, color=INK, linewidth=1)
    ax.set_yticks(
        range(len(names)),
        [f"{name.replace('_', ' ')} ({found.applied[name]})" for name in reversed(names)],
    )
    ax.set_xlabel("drop in mean field F1 (0: none, right is worse)")
    ax.grid(axis="y", visible=False)
    legend(figure, ax)
    titles(
        ax,
        f"What perturbing the texts costs, on {count(found.texts, 'test text')}",
        f"In brackets: texts that each could be applied to. Lines: {found.statistics.confidence:.0%} "
        "paired intervals over these texts. LoRA: mean over seeds.",
    )
    return figure
