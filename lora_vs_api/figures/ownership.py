"""How far the saving over the horizon moves when one input at a time is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lora_vs_api.figures.drawing import INK, new_figure, short, titles
from lora_vs_api.report.numbers import signed_usd
from lora_vs_api.shown import count

if TYPE_CHECKING:
    from lora_vs_api.analysis.results import Analysis

# of the inputs, those that move it most
MAX_ROWS = 14


def ownership(analysis: Analysis, color: str) -> Figure | None:
    """How far the saving over the horizon moves when one input at a time is changed.

    None where no API condition was asked.
    """
    result = analysis.ownership.sensitivity
    if result is None:
        return None
    moving = [row for row in result.rows if row.moves(result.saving)]
    rows = sorted(
        moving,
        key=lambda row: max(
            abs(row.low_saving - result.saving), abs(row.high_saving - result.saving)
        ),
    )[-MAX_ROWS:]
    figure, ax = new_figure(2.2 + 0.5 * max(1, len(rows)))
    # a linear middle: savings are of either sign and of all sizes
    ax.set_xscale("symlog", linthresh=100)
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{'-' if value < 0 else ''}{short(abs(value))}")
    )
    for place, row in enumerate(rows):
        for end, shade in ((row.low_saving, "white"), (row.high_saving, color)):
            ax.barh(
                place,
                end - result.saving,
                left=result.saving,
                height=0.55,
                color=shade,
                edgecolor=INK,
                linewidth=0.8,
            )
    ax.axvline(result.saving, color=INK, linewidth=1)
    names = [f"{row.setting}\n{row.low} → {row.high}" for row in rows]
    ax.set_yticks(range(len(rows)), names, fontsize=8)
    ax.tick_params(axis="x", labelrotation=30)
    ax.set_xlabel("USD saved by the fine-tune (negative: the API is cheaper)")
    ax.grid(axis="y", visible=False)
    titles(
        ax,
        "What the saving over the horizon depends on",
        f"Against {result.label}, {count(analysis.ownership.inputs.horizon_months, 'month')} at "
        f"{result.per_day:,} a day: USD {signed_usd(result.saving)} as configured (vertical line), "
        "then one input at a time at its lower (white) and its higher value. The inputs that move it "
        f"most, at most {MAX_ROWS}.",
    )
    return figure
