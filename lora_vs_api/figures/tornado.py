"""How far the break-even volume moves when one input at a time is halved or doubled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from lora_vs_api.figures.drawing import INK, legend, new_figure, plain_log, short, titles
from lora_vs_api.report.numbers import volume

if TYPE_CHECKING:
    from lora_vs_api.analysis.results import Analysis, SensitivityRow


def tornado(analysis: Analysis, color: str) -> Figure | None:
    """How far the break-even volume moves when one input at a time is halved or doubled.

    None where no API condition was asked.
    """
    result = analysis.economics.sensitivity
    if result is None:
        return None
    factor, middle = result.factor, result.volume
    ends = [end for row in result.rows for end in (row.low_volume, row.high_volume)]
    known = [end for end in (*ends, middle) if end]
    figure, ax = new_figure(1.9 + 0.55 * len(result.rows))
    ax.set_xscale("log")
    left, right = (min(known) / 1.6, max(known) * 1.6) if known else (1, 10)
    ax.set_xlim(left, right)

    def reach(row: SensitivityRow) -> float:
        low, high = (right if end is None else end for end in (row.low_volume, row.high_volume))
        return abs(math.log(max(low, left)) - math.log(max(high, left)))

    rows = sorted(result.rows, key=reach)
    for place, row in enumerate(rows):
        for end, sign, shade in ((row.low_volume, "÷", "white"), (row.high_volume, "×", color)):
            drawn = right if end is None else max(end, left)
            start = right if middle is None else middle
            ax.barh(
                place,
                drawn - start,
                left=start,
                height=0.55,
                color=shade,
                edgecolor=INK,
                linewidth=0.8,
                label=f"input {sign} {factor:g}" if place == 0 else None,
            )
            outward = drawn >= start
            ax.annotate(
                "never" if end is None else short(end),
                (drawn, place),
                (4 if outward else -4, 0),
                textcoords="offset points",
                ha="left" if outward and end is not None else "right",
                va="center",
                fontsize=8.5,
            )
    if middle is not None:
        ax.axvline(middle, color=INK, linewidth=1)
    ax.set_yticks(range(len(rows)), [row.setting for row in rows])
    plain_log(ax.xaxis, short)
    ax.set_xlabel("break-even volume (inferences, logarithmic)")
    ax.grid(axis="y", visible=False)
    legend(figure, ax)
    titles(
        ax,
        "What the break-even volume depends on",
        f"Against {result.label}: {volume(middle)} with every input as configured or measured "
        f"(vertical line), then one input at a time divided and multiplied by {factor:g}.",
    )
    return figure
