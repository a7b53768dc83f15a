"""Expected against answered labels, a row for each field with few labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lora_vs_api.analysis.order import ranked
from lora_vs_api.figures.drawing import WIDTH, contrast, titles, wrap

if TYPE_CHECKING:
    from lora_vs_api.analysis.results import Analysis


def confusion_matrices(analysis: Analysis, color: str, most: int = 4) -> Figure | None:
    """Expected against answered labels, a row for each field with few labels.

    The fine-tune and the ``most - 1`` best of the others that gave any label, models before rivals
    without a model, in the order of every table; None where no field has few labels.
    """
    chosen = sorted(
        (row for row in analysis.conditions if row.valid_json > 0),
        key=lambda row: (row.kind != "lora", row.kind == "model_free", -row.field_f1.estimate),
    )[:most]
    rows = [row for row in ranked(analysis).conditions if row in chosen]
    fields = list(analysis.conditions[0].diagnosis.confusion)
    if not fields or not rows:
        return None
    sizes = [len(rows[0].diagnosis.confusion[field]) for field in fields]
    figure = Figure(figsize=(WIDTH, 1.6 + sum(1.2 + 0.3 * n for n in sizes)), layout="constrained")
    grid = figure.subplots(
        len(fields), len(rows), squeeze=False, height_ratios=[4 + n for n in sizes]
    )
    for field, axes in zip(fields, grid):
        for ax, row in zip(axes, rows):
            _confusion(ax, row.diagnosis.confusion[field], color, ax is axes[0])
            ax.set_title(wrap(row.label, 22) if field == fields[0] else "", fontsize=9)
        axes[0].set_ylabel(f"{field}\nexpected", fontsize=9.5)
    for ax in grid[-1]:
        ax.set_xlabel("answered")
    tuned = any(row.kind == "lora" for row in rows)
    shown = f"The fine-tune and up to {most - 1} others" if tuned else f"Up to {most} conditions"
    titles(
        grid[0][0],
        "Which labels are taken for which",
        "Numbers: answers (of all seeds together); shade: share of the answers to that expected "
        "label. (another label): not in the schema; (none): no value that can be read. "
        f"{shown} with readable answers, models before rivals without a model.",
    )
    return figure


def _confusion(ax: Axes, table: Mapping[str, Mapping[str, int]], color: str, first: bool) -> None:
    found = list(next(iter(table.values())))
    numbers = np.array([[row[label] for label in found] for row in table.values()])
    shares = numbers / np.maximum(numbers.sum(axis=1, keepdims=True), 1)
    sns.heatmap(
        shares,
        ax=ax,
        vmin=0,
        vmax=1,
        cmap=sns.light_palette(color, as_cmap=True),
        annot=np.where(numbers > 0, numbers.astype(str), ""),
        fmt="",
        annot_kws={"fontsize": 8},
        linewidths=1,
        linecolor="white",
        cbar=False,
        # they are set below; seaborn would draw the figure for each label to see if they overlap
        xticklabels=False,
        yticklabels=False,
    )
    contrast(ax)
    ax.set_xticks([i + 0.5 for i in range(len(found))], found, rotation=45, ha="right", fontsize=8)
    ax.set_yticks([i + 0.5 for i in range(len(table))], list(table) if first else [], fontsize=8)
    ax.set_yticklabels(list(table) if first else [], rotation=0, va="center")
    ax.tick_params(length=0)
