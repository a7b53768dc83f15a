"""Field F1 by number of labels, and what more labels add; None where no smaller set was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import seaborn as sns
from matplotlib.figure import Figure

from lora_vs_api.figures.drawing import INK, WIDTH, draw_interval, legend, titles, wrap
from lora_vs_api.figures.looks import Look
from lora_vs_api.shown import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lora_vs_api.analysis.results import Analysis, LearningCurve

# two ticks that are nearer than this, as a ratio, would overlap
APART = 1.7


def label_curve(
    analysis: Analysis, found: LearningCurve | None, look: Mapping[str, Look]
) -> Figure | None:
    """Left, F1 by labels with each condition as a line; right, what each stretch of labels adds."""
    if found is None:
        return None
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2.2, 1])
    for ax in (left, right):
        sns.despine(ax=ax, left=True, bottom=True)
    _curve(left, analysis, found, look)
    _gains(right, found, look["lora"])
    legend(figure, left)
    several = max(len(point.seeds) for point in found.points) > 1
    titles(
        left,
        f"How many labels it takes, on {count(found.texts, 'test text')}",
        f"Bars: {found.statistics.confidence:.0%} intervals for new texts"
        + (" and other trainings" if several else "")
        + ". A condition's marker stands at the labels that it uses itself. Dashed: the last rise gone on "
        "with, straight in the logarithm.",
    )
    return figure


def _curve(ax: Axes, analysis: Analysis, found: LearningCurve, look: Mapping[str, Look]) -> None:
    labels = [point.labels for point in found.points]
    used = [rival.labels for rival in found.rivals if rival.labels]
    none, end = min([*labels, *used]) / 2, max([*labels, *used, found.ahead.end])
    for rival in found.rivals:
        style, row = look[rival.name], analysis.condition(rival.name)
        ax.plot(
            [none, end],
            [row.field_f1.estimate] * 2,
            color=style.color,
            linestyle=style.dash,
            linewidth=1.6,
        )
        ax.plot(
            rival.labels or none,
            row.field_f1.estimate,
            color=style.color,
            linestyle=style.dash,
            marker=style.marker,
            markeredgecolor=INK,
            markersize=7,
            clip_on=False,
            label=wrap(row.label, 46),
        )
    tuned = look["lora"]
    means = [point.field_f1.estimate for point in found.points]
    for label, point in zip(labels, found.points):
        ax.vlines(label, point.field_f1.low, point.field_f1.high, color=tuned.color, linewidth=2)
        for height in (point.field_f1.low, point.field_f1.high):
            ax.plot(label, height, marker="_", color=tuned.color, markersize=9, markeredgewidth=2)
    ax.plot(
        labels,
        means,
        color=tuned.color,
        linestyle=tuned.dash,
        marker=tuned.marker,
        markeredgecolor=INK,
        linewidth=3,
        markersize=8,
        label="LoRA by number of labels",
        zorder=3,
    )
    ahead = found.ahead
    ax.plot(
        [ahead.start, ahead.end],
        [means[-1], means[-1] + ahead.field_f1.estimate],
        color=tuned.color,
        linestyle=(0, (2, 1.5)),
        linewidth=1.6,
    )
    ax.set_xscale("log")
    ax.set_xlim(none / 1.15, end * 1.15)
    ax.set_ylim(-0.02, 1.02)
    places = _apart([none, *sorted({*labels, *used})], keep=labels)
    ax.set_xticks(places, ["0" if place == none else f"{place:,.0f}" for place in places])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("labelled training texts (log scale, 0 at its left end)")
    ax.set_ylabel("mean field F1")


def _apart(places: list[float], keep: list[int]) -> list[float]:
    """The places that a tick has room at; those to ``keep`` first."""
    kept: list[float] = []
    for place in sorted(places, key=lambda place: (place not in keep, place)):
        if all(abs(math.log(place / other)) > math.log(APART) for other in kept):
            kept.append(place)
    return sorted(kept)


def _gains(ax: Axes, found: LearningCurve, tuned: Look) -> None:
    """What each stretch of labels adds, from the top down."""
    for place, gain in enumerate(reversed(found.gains)):
        draw_interval(ax, gain.field_f1, place, tuned.color)
        ax.plot(
            gain.field_f1.estimate,
            place,
            marker=tuned.marker,
            # hollow: gone on with, not measured
            color="white" if gain.ahead else tuned.color,
            markeredgecolor=INK,
            linestyle="none",
            markersize=8,
        )
    ax.axvline(0, color=INK, linewidth=1)
    ax.set_yticks(
        range(len(found.gains)),
        [
            f"{gain.start:,} to {gain.end:,}" + ("\n(if it goes on so)" if gain.ahead else "")
            for gain in reversed(found.gains)
        ],
    )
    ax.set_ylim(-0.6, len(found.gains) - 0.4)
    ax.set_xlabel("rise in field F1")
    ax.grid(axis="y", visible=False)
