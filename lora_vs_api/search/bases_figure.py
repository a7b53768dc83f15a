"""The bases' Pareto front: field F1 and exact match against what each base takes.

What colour tells is told again: a dominated base is grey, smaller and hollow, the chosen one is the
star, and each carries its number in the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from lora_vs_api.figures.drawing import INK, MUTED, WIDTH, plain_log, theme, titles
from lora_vs_api.search.bases_text import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lora_vs_api.config.sections import Plots
    from lora_vs_api.search.bases import Choice, Measure

GREY = "#8a8a8a"
QUALITY = 2  # of the measures, how many are scores; the others are what a base takes


def bases_figure(choice: Choice, plots: Plots) -> Figure:
    """A panel for each score and each measure of what a base takes that any row has."""
    taken = [m for m in choice.measures[QUALITY:] if any(v is not None for v in m.values)]
    with theme():
        figure = Figure(figsize=(WIDTH, 5.6), layout="constrained")
        panels = figure.subplots(QUALITY, len(taken), sharex="col", sharey="row", squeeze=False)
        for row, score in enumerate(choice.measures[:QUALITY]):
            for column, measure in enumerate(taken):
                ax = panels[row][column]
                sns.despine(ax=ax, left=True, bottom=True)
                _draw(ax, choice, score, measure, plots)
                if row == QUALITY - 1:
                    ax.set_xlabel(f"{measure.name}, less is better")
                if column == 0:
                    ax.set_ylabel(f"{score.name} (0 to 1)")
        chosen = choice.why_not is None
        titles(
            panels[0][0],
            "Which base: how well it reads against what it takes, on test texts",
            f"Bars: {choice.confidence:.0%} intervals. Filled: on the Pareto front of all the panels' measures; "
            "grey and hollow: dominated. "
            + ("Star: chosen on validation texts. " if chosen else "")
            + "Numbers are the table's.",
        )
    return figure


def _draw(ax: Axes, choice: Choice, score: Measure, taken: Measure, plots: Plots) -> None:
    for place, (base, is_front) in enumerate(zip(choice.rows, choice.is_front)):
        x, y = taken.values[place], score.values[place]
        if x is None or y is None:
            continue
        lora = base.lora
        ends = lora.field_f1 if score.name == "field F1" else lora.rate_intervals.exact_match
        is_chosen = choice.why_not is None and place == choice.best
        color = plots.lora_color if is_front else GREY
        ax.vlines(x, ends.low, ends.high, color=color, linewidth=2 if is_front else 1)
        ax.plot(
            x, y,
            marker="*" if is_chosen else "o",
            markersize=(15 if is_chosen else 8) - 2 * (not is_front),
            markerfacecolor=color if is_front else "white",
            markeredgecolor=INK if is_front else GREY,
            linestyle="none",
            zorder=3,
        )  # fmt: skip
        ax.annotate(
            number(place), (x, y), (7, 5), textcoords="offset points", fontsize=9,
            fontweight="bold" if is_front else "normal", color=INK if is_front else MUTED, zorder=4,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip
    known = [value for value in taken.values if value is not None]
    low, high = min(known), max(known)
    if low > 0 and high / low > 3:
        ax.set_xscale("log")
        ax.set_xlim(low / 1.5, high * 1.8)
        plain_log(ax.xaxis)
    else:
        ax.set_xlim(0, high * 1.2 or 1)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4))
    ax.set_ylim(-0.04, 1.04)
