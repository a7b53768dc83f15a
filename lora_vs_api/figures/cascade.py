"""The cascade's frontier, by share escalated and by cost, and how well its confidence is calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lora_vs_api.analysis.cascade_results import PERSON, ranked_cascade
from lora_vs_api.figures.drawing import (
    INK,
    MUTED,
    WIDTH,
    legend,
    new_figure,
    plain_log,
    titles,
    wrap,
)
from lora_vs_api.figures.looks import Look
from lora_vs_api.shown import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lora_vs_api.analysis.cascade_results import Cascade, Frontier, Point

# no condition, so no slot of theirs
PERSONS_LOOK = Look(INK, "p", (0, (1, 1)))
# what costs less is drawn there: an axis of logarithms has no 0
LEAST_USD = 1e-6


def cascade_frontier(found: Cascade | None, look: Mapping[str, Look]) -> Figure | None:
    """Field F1 of every cascade against the share escalated and against cost; None without any."""
    if found is None or not found.frontier:
        return None
    found = ranked_cascade(found)
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    by_share, by_cost = figure.subplots(1, 2, sharey=True)
    for row in found.frontier:
        _draw(by_share, row, [point.share for point in row.points], look, named=True)
        _draw(by_cost, row, [_shown_usd(point.usd_per_1k) for point in row.points], look)
    point = found.chosen_point
    if point is not None:
        _draw_chosen(by_share, point, point.share.estimate, named=True)
        _draw_chosen(by_cost, point, _shown_usd(point.usd_per_1k.estimate))
    for ax in (by_share, by_cost):
        for side in ax.spines.values():
            side.set_visible(False)
    by_share.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    by_share.set_xlabel("share of the texts escalated")
    by_share.set_ylabel("mean field F1 (0 to 1, higher is better)")
    costs = [_shown_usd(p.usd_per_1k) for row in found.frontier for p in row.points]
    by_cost.set_xscale("log")
    by_cost.set_xlim(min(costs) / 1.6, max(costs) * 1.6)
    plain_log(by_cost.xaxis)
    by_cost.set_xlabel("cost of 1,000 texts (USD, log scale)")
    legend(figure, by_share)
    titles(
        by_share,
        "The fine-tune first, another for what it is least sure of",
        f"Drawn on {count(found.test_texts, 'test text')}: nothing is chosen from these lines. Filled: no "
        "cascade that costs no more scores higher. Star: the chosen rule, its threshold set on "
        f"{count(found.val_texts, 'validation text')}; lines: {found.statistics.confidence:.0%} intervals.",
    )
    return figure


def _shown_usd(usd: float) -> float:
    return max(usd, LEAST_USD)


def _draw(
    ax: Axes,
    row: Frontier,
    places: list[float],
    look: Mapping[str, Look],
    *,
    named: bool = False,
) -> None:
    style = PERSONS_LOOK if row.target == PERSON else look[row.target]
    ax.plot(
        places,
        [point.field_f1 for point in row.points],
        color=style.color,
        linestyle=style.dash,
        linewidth=1.4,
        marker=style.marker,
        markersize=6,
        markerfacecolor="white",
        markeredgecolor=style.color,
        label=wrap(f"then {row.label}", 46) if named else None,
    )
    best = [i for i, point in enumerate(row.points) if point.on_envelope]
    ax.plot(
        [places[i] for i in best],
        [row.points[i].field_f1 for i in best],
        color=style.color,
        linestyle="none",
        marker=style.marker,
        markersize=7,
        markeredgecolor=INK,
    )


def _draw_chosen(ax: Axes, point: Point, place: float, *, named: bool = False) -> None:
    ax.vlines(place, point.field_f1.low, point.field_f1.high, color=INK, linewidth=1.8, zorder=4)
    ax.plot(
        place,
        point.field_f1.estimate,
        marker="*",
        markersize=17,
        color="white",
        markeredgecolor=INK,
        markeredgewidth=1.5,
        linestyle="none",
        zorder=5,
        label="the chosen rule" if named else None,
    )


def reliability(found: Cascade | None, color: str) -> Figure | None:
    """Mean score by calibrated confidence on the test answers; None without a cascade."""
    if found is None:
        return None
    figure, ax = new_figure(4.4)
    bins = [each for each in found.calibration.bins if each.sure is not None]
    ax.plot(
        [0, 1], [0, 1], color=MUTED, linestyle=(0, (6, 2)), linewidth=1, label="as sure as right"
    )
    ax.plot(
        [each.sure or 0.0 for each in bins],
        [each.score or 0.0 for each in bins],
        color=color,
        marker="o",
        markersize=8,
        markeredgecolor=INK,
        label="the fine-tune's answers, by confidence",
    )
    for each in bins:
        ax.annotate(
            str(each.answers),
            (each.sure or 0.0, each.score or 0.0),
            xytext=(8, -12),
            textcoords="offset points",
            fontsize=9,
            color=INK,
        )
    ax.set_xlim(-0.02, 1.04)
    ax.set_ylim(-0.02, 1.04)
    ax.set_xlabel("mean calibrated confidence of a text (0 to 1)")
    ax.set_ylabel("mean field F1 (0 to 1)")
    legend(figure, ax)
    error = found.calibration.error
    titles(
        ax,
        "How far its confidence can be taken at its word",
        f"Calibrated on {count(found.val_texts, 'validation text')}, shown on "
        f"{count(found.test_texts, 'test text')} of {count(len(found.seeds), 'seed')}; beside a point: its "
        f"answers. Expected calibration error {error.estimate:.3f} ({error.confidence:.0%} interval "
        f"{error.low:.3f} to {error.high:.3f}).",
    )
    return figure
