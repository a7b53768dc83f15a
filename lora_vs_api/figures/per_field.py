"""Score of every condition on every field of the record."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import seaborn as sns
from matplotlib.figure import Figure

from lora_vs_api.figures.drawing import contrast, new_figure, seeds_note, titles, wrap
from lora_vs_api.shown import count

if TYPE_CHECKING:
    from lora_vs_api.analysis.results import Analysis


def per_field(analysis: Analysis, color: str) -> Figure:
    """Score of every condition on every field of the record, blank where no text has a value."""
    rows, fields = analysis.conditions, analysis.fields
    scores = [
        [math.nan if (score := row.per_field[name]) is None else score for name in fields]
        for row in rows
    ]
    figure, ax = new_figure(2.4 + 0.52 * len(rows))
    sns.heatmap(
        scores,
        ax=ax,
        vmin=0,
        vmax=1,
        cmap=sns.light_palette(color, as_cmap=True),
        annot=True,
        fmt=".2f",
        linewidths=1.5,
        linecolor="white",
        cbar_kws={"label": "score (0 to 1)", "ticks": [0, 0.5, 1], "aspect": 12},
    )
    ax.set_yticks(
        [i + 0.5 for i in range(len(rows))], [wrap(row.label) for row in rows], rotation=0
    )
    ax.set_xticks(
        [i + 0.5 for i in range(len(fields))],
        fields,
        rotation=30,
        ha="right",
        rotation_mode="anchor",
    )
    ax.tick_params(length=0)
    contrast(ax)
    titles(
        ax,
        "Score per field of the record",
        f"Over {count(analysis.texts, 'test text')}; {seeds_note(analysis)}.",
    )
    return figure
