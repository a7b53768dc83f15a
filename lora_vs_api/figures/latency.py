"""Share of each condition's requests that were answered within a time; None if none was timed.

Only conditions timed with as many requests in flight as the fine-tune are drawn: no others compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from lora_vs_api.figures.drawing import INK, MUTED, legend, new_figure, plain_log, titles, wrap
from lora_vs_api.figures.looks import Look
from lora_vs_api.report.numbers import seconds
from lora_vs_api.shown import count

# so many times the shortest median, and it would be a line on the axis
MAX_LINEAR = 50

if TYPE_CHECKING:
    import pandas as pd

    from lora_vs_api.analysis.results import Analysis


def latency_ecdf(
    analysis: Analysis, table: pd.DataFrame, look: Mapping[str, Look]
) -> Figure | None:
    """Share of each condition's requests that were answered within a time; None if none was timed."""
    timed = [row for row in analysis.conditions if row.latency.p50 is not None]
    rows = [row for row in timed if row.latency.compares_with(analysis.lora.latency)]
    if not rows:
        return None
    left_out = [row.label for row in timed if row not in rows]
    figure, ax = new_figure(3.9)
    for row in rows:
        style, latency = look[row.name], row.latency
        assert latency.p50 is not None and latency.p95 is not None
        curve = table[table["condition"] == row.name]
        ax.step(
            [curve["latency_seconds"].iloc[0], *curve["latency_seconds"]],
            [0, *curve["share"]],
            where="post",
            color=style.color,
            linestyle=style.dash,
            linewidth=2,
            # in the legend alone: the curve has markers of its own below
            marker=style.marker,
            markevery=[],
            label=f"{wrap(row.label, 46)}\np50 {seconds(latency.p50)} s, p95 {seconds(latency.p95)} s, "
            f"{count(latency.requests, 'request')}",
        )
        for quantile, share in ((latency.p50, 0.5), (latency.p95, 0.95)):
            ax.plot(
                quantile, share, marker=style.marker, color=style.color, mec=INK, ms=8, zorder=5
            )
    for share, name in ((0.5, "p50"), (0.95, "p95")):
        ax.axhline(share, color=MUTED, linewidth=0.8, linestyle=":")
        ax.annotate(
            name,
            (1, share),
            (4, 0),
            xycoords=ax.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=MUTED,
        )
    medians = [row.latency.p50 for row in rows if row.latency.p50]
    if medians and max(medians) / min(medians) > MAX_LINEAR:
        ax.set_xscale("log")
        plain_log(ax.xaxis)
    else:
        ax.set_xlim(0, None)
    ax.set_ylim(0, 1.02)
    scale = ", log scale" if ax.get_xscale() == "log" else ""
    ax.set_xlabel(f"time from request to whole answer (s{scale})")
    ax.set_ylabel("share of requests answered (0 to 1)")
    legend(figure, ax)
    titles(
        ax,
        "How long an answer takes",
        "Empirical distribution of the measured requests; markers at the median (p50) and at the "
        "time that 95% of requests stay below (p95). All with as many requests in flight "
        f"({rows[0].latency.concurrency})"
        + (f"; timed otherwise and not drawn: {'; '.join(left_out)}." if left_out else "."),
    )
    return figure
