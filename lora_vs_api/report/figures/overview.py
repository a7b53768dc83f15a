"""The report's figures, as SVG and PNG with the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lora_vs_api.report.figures.drawing import (
    DASHES,
    INK,
    MUTED,
    WIDTH,
    Look,
    contrast,
    draw_interval,
    legend,
    looks,
    new_figure,
    save,
    seeds_note,
    theme,
    titles,
    wrap,
)
from lora_vs_api.report.figures.money import (
    break_even_curves,
    cost_accuracy,
    price_volume,
    tornado,
)
from lora_vs_api.report.numbers import count

if TYPE_CHECKING:
    import pandas as pd

    from lora_vs_api.config.sections import Plots


def write_report_figures(
    folder: str | Path,
    analysis: Mapping[str, Any],
    robustness: Mapping[str, Any],
    break_even: pd.DataFrame,
    latency: pd.DataFrame,
    losses: Mapping[int, pd.DataFrame],
    limit: float | None,
    plots: Plots,
) -> None:
    """Write every figure of the report into ``folder``.

    Args:
        folder: where NAME.svg and NAME.png go; it exists.
        analysis: metrics/analysis.json.
        robustness: metrics/robustness.json; empty where nothing was perturbed.
        break_even: plots/break_even.csv, columns volume, condition, total_usd.
        latency: plots/latency.csv, columns condition, latency_seconds, share.
        losses: seed → plots/train/seed-N.csv, columns step, loss.
        limit: the break-even volume that the hypothesis asks for, drawn as a line; None for none.
        plots: palette, colour and resolution.
    """
    look = looks(analysis["conditions"], plots)
    with theme():
        for name, figure in {
            "headline": headline(analysis, look),
            "cost_accuracy": cost_accuracy(analysis, look),
            "break_even": break_even_curves(analysis, break_even, look, limit),
            "per_field": per_field(analysis, plots.lora_color),
            "paired": paired_differences(analysis, look),
            "latency": latency_ecdf(analysis, latency, look),
            "confusion": confusion_matrices(analysis, plots.lora_color),
            "tornado": tornado(analysis, plots.lora_color),
            "price_volume": price_volume(analysis, look, limit),
            "loss": loss_curves(losses, plots.lora_color),
            "robustness": robustness_drops(robustness, look),
        }.items():
            if figure is not None:
                save(figure, Path(folder), name, plots.dpi)


def robustness_drops(found: Mapping[str, Any], look: Mapping[str, Look]) -> Figure | None:
    """What each way of perturbing the texts costs each condition; None where none was tried."""
    if not found:
        return None
    names, conditions = list(found["changed"]), found["conditions"]
    figure, ax = new_figure(1.9 + 0.34 * len(names) * max(2, len(conditions)))
    for index, row in enumerate(conditions):
        shown = look[row["name"]]
        for place, cell in enumerate(row["by_perturbation"]):
            y = len(names) - 1 - place + (len(conditions) - 1) * 0.13 - 0.26 * index
            draw_interval(ax, cell["drop"], y, shown.color)
            ax.plot(
                cell["drop"]["drop"],
                y,
                marker=shown.marker,
                color=shown.color,
                markeredgecolor=INK,
                linestyle="none",
                markersize=8,
                label=row["label"] if place == 0 else None,
            )
    ax.axvline(0, color=INK, linewidth=1)
    ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in reversed(names)])
    ax.set_xlabel("drop in mean field F1 (0: none, right is worse)")
    ax.grid(axis="y", visible=False)
    legend(figure, ax)
    statistics = found["statistics"]
    titles(
        ax,
        f"What less tidy texts cost, on {count(found['texts'], 'test text')}",
        f"Lines: {statistics['confidence']:.0%} paired bootstrap intervals over texts, "
        f"{statistics['resamples']:,} resamples. LoRA: mean over seeds.",
    )
    return figure


def headline(analysis: Mapping[str, Any], look: Mapping[str, Look]) -> Figure:
    """Field F1 of every condition with its interval, best on top."""
    rows = sorted(analysis["conditions"], key=lambda row: row["field_f1"]["estimate"])
    figure, ax = new_figure(1.5 + 0.62 * len(rows))
    for place, row in enumerate(rows):
        f1 = row["field_f1"]
        ax.barh(
            place,
            f1["estimate"],
            height=0.62,
            color=look[row["name"]].color,
            edgecolor=INK,
            linewidth=0.8,
            hatch="" if row["kind"] == "lora" else "///",
        )
        draw_interval(ax, f1, place, INK)
        ax.text(
            max(f1["high"], f1["estimate"]) + 0.015,
            place,
            f"{f1['estimate']:.3f}",
            va="center",
            fontweight="bold" if row["kind"] == "lora" else "normal",
        )
    ax.set_yticks(range(len(rows)), [wrap(row["label"]) for row in rows])
    # room for the number beside a bar that ends at 1
    ax.set_xlim(0, 1.09)
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    ax.set_xlabel("mean field F1 (0 to 1, higher is better)")
    ax.grid(axis="y", visible=False)
    statistics = analysis["statistics"]
    titles(
        ax,
        f"Field F1 on {count(analysis['texts'], 'test text')}",
        f"Lines: {statistics['confidence']:.0%} bootstrap intervals over texts, "
        f"{statistics['resamples']:,} resamples; "
        + seeds_note(analysis)
        + ". Solid bar: fine-tuned; hatched: not fine-tuned.",
    )
    return figure


def per_field(analysis: Mapping[str, Any], color: str) -> Figure:
    """Mean score of every condition on every field of the record."""
    rows, fields = analysis["conditions"], analysis["fields"]
    figure, ax = new_figure(2.4 + 0.52 * len(rows))
    sns.heatmap(
        [[row["per_field"][name] for name in fields] for row in rows],
        ax=ax,
        vmin=0,
        vmax=1,
        cmap=sns.light_palette(color, as_cmap=True),
        annot=True,
        fmt=".2f",
        linewidths=1.5,
        linecolor="white",
        cbar_kws={"label": "mean score (0 to 1)", "ticks": [0, 0.5, 1], "aspect": 12},
    )
    ax.set_yticks(
        [i + 0.5 for i in range(len(rows))], [wrap(row["label"]) for row in rows], rotation=0
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
        f"Means over {count(analysis['texts'], 'test text')}; {seeds_note(analysis)}.",
    )
    return figure


def paired_differences(analysis: Mapping[str, Any], look: Mapping[str, Look]) -> Figure:
    """LoRA minus each baseline on the same texts, with intervals."""
    rows = list(reversed(analysis["comparisons"]))
    figure, ax = new_figure(1.7 + 0.62 * len(rows))
    ax.axvline(0, color=INK, linewidth=1)
    for place, row in enumerate(rows):
        style = look[row["baseline"]]
        draw_interval(ax, row, place, style.color, width=2.4)
        ax.plot(
            row["difference"],
            place,
            style.marker,
            color=style.color,
            markeredgecolor=INK,
            markersize=9,
        )
        ax.text(
            1.02,
            place,
            f"{row['difference']:+.3f}  [{row['low']:+.3f}, {row['high']:+.3f}]",
            transform=ax.get_yaxis_transform(),
            va="center",
            fontsize=9.5,
        )
    ends = [0.0, *(row["low"] for row in rows), *(row["high"] for row in rows)]
    pad = max(0.06 * (max(ends) - min(ends)), 0.01)
    ax.set_xlim(min(ends) - pad, max(ends) + pad)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_yticks(range(len(rows)), [wrap(row["label"]) for row in rows])
    ax.set_xlabel("difference in mean field F1 (right of 0: the fine-tune is better)")
    ax.grid(axis="y", visible=False)
    statistics = analysis["statistics"]
    titles(
        ax,
        "Fine-tuned minus each baseline, on the same texts",
        f"{statistics['confidence']:.0%} paired bootstrap intervals over "
        f"{count(analysis['texts'], 'text')}, {statistics['resamples']:,} resamples; "
        f"{seeds_note(analysis)}.",
    )
    return figure


def latency_ecdf(
    analysis: Mapping[str, Any], table: pd.DataFrame, look: Mapping[str, Look]
) -> Figure | None:
    """Share of each condition's requests that were answered within a time; None if none was timed."""
    rows = [row for row in analysis["conditions"] if row["latency"]["p50"] is not None]
    if not rows:
        return None
    figure, ax = new_figure(4.4 + 0.16 * len(rows))
    for row in rows:
        style, latency = look[row["name"]], row["latency"]
        curve = table[table["condition"] == row["name"]]
        ax.step(
            [curve["latency_seconds"].iloc[0], *curve["latency_seconds"]],
            [0, *curve["share"]],
            where="post",
            color=style.color,
            linestyle=style.dash,
            linewidth=2,
            label=f"{wrap(row['label'], 46)}\np50 {latency['p50']:.2f} s, p95 {latency['p95']:.2f} s, "
            f"{count(latency['texts'], 'request')}",
        )
        for key, share in (("p50", 0.5), ("p95", 0.95)):
            ax.plot(latency[key], share, style.marker, color=style.color, mec=INK, ms=8, zorder=5)
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
    ax.set_xlim(0, None)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("seconds from request to whole answer")
    ax.set_ylabel("share of requests answered (0 to 1)")
    legend(figure, ax)
    titles(
        ax,
        "How long an answer takes",
        "Empirical distribution of the measured requests; markers at the median (p50) and at the "
        "time that 95% of requests stay below (p95). How each was timed is in the report.",
    )
    return figure


def confusion_matrices(analysis: Mapping[str, Any], color: str, most: int = 4) -> Figure | None:
    """Expected against answered labels, a row for each field with few labels.

    The fine-tune and the ``most - 1`` best of the others that gave any label; None where no field
    has few labels.
    """
    rows = sorted(
        (row for row in analysis["conditions"] if row["valid_json"] > 0),
        key=lambda row: (row["kind"] != "lora", -row["field_f1"]["estimate"]),
    )[:most]
    fields = list(analysis["conditions"][0]["diagnosis"]["confusion"])
    if not fields or not rows:
        return None
    sizes = [len(rows[0]["diagnosis"]["confusion"][field]) for field in fields]
    figure = Figure(figsize=(WIDTH, 1.6 + sum(1.2 + 0.3 * n for n in sizes)), layout="constrained")
    grid = figure.subplots(
        len(fields), len(rows), squeeze=False, height_ratios=[4 + n for n in sizes]
    )
    for field, axes in zip(fields, grid):
        for ax, row in zip(axes, rows):
            _confusion(ax, row["diagnosis"]["confusion"][field], color, ax is axes[0])
            ax.set_title(wrap(row["label"], 34) if field == fields[0] else "", fontsize=9.5)
        axes[0].set_ylabel(f"{field}\nexpected", fontsize=9.5)
    for ax in grid[-1]:
        ax.set_xlabel("answered")
    titles(
        grid[0][0],
        "Which labels are taken for which",
        "Numbers: answers (of all seeds together); shade: share of the answers to that expected "
        "label. (another label): not in the schema; (none): no value that can be read. Conditions "
        "without a single readable answer are left out.",
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


def loss_curves(losses: Mapping[int, pd.DataFrame], color: str) -> Figure:
    """Training loss of every final seed."""
    figure, ax = new_figure(4.2)
    shades = sns.light_palette(color, len(losses) + 2)[2:]
    for index, (seed, curve) in enumerate(losses.items()):
        sns.lineplot(
            curve,
            x="step",
            y="loss",
            ax=ax,
            color=shades[len(losses) - 1 - index],
            linestyle=DASHES[index % len(DASHES)],
            linewidth=1.8,
            errorbar=None,
            label=f"seed {seed}, last loss {curve['loss'].iloc[-1]:.3f}",
        )
    ax.set_ylim(0, None)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("optimiser step")
    ax.set_ylabel("loss per completion token (nats)")
    ax.legend(frameon=False)
    titles(
        ax,
        f"Training loss of the final {'seed' if len(losses) == 1 else 'seeds'}",
        "Mean over the batch of each step; only tokens of the answer count.",
    )
    return figure
