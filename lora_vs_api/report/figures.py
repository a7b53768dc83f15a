"""The report's figures, as SVG and PNG with the same bytes for the same numbers.

Every condition has one colour and one marker in all figures; what colour tells is also told by
position, marker or label, so that a grey print or a colour-blind reader loses nothing. The look
comes from the params ``plots`` and touches no number.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from lora_vs_api.errors import UserError
from lora_vs_api.report.numbers import count, significant, volume

if TYPE_CHECKING:
    import pandas as pd

    from lora_vs_api.config import Plots

MARKERS = "oDs^vPX<>p"
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 1.5, 1.5, 1.5)), (0, (1, 1)))
INK, MUTED = "#222222", "#555555"
WIDTH = 9.0  # inches
THEME = {
    "axes.edgecolor": "#bbbbbb",
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "figure.facecolor": "white",
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so every machine has it
    "font.size": 10,
    "grid.color": "#e4e4e4",
    "hatch.linewidth": 0.6,
    "legend.fontsize": 9,
    "svg.fonttype": "path",
    "svg.hashsalt": "lora-vs-api",  # ids of the SVG's parts are random without it
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 9.5,
    "ytick.color": INK,
    "ytick.labelsize": 9.5,
}


@dataclass(frozen=True)
class Look:
    """How one condition is drawn, in every figure."""

    color: str
    marker: str
    dash: Any


def looks(conditions: Sequence[Mapping[str, Any]], plots: Plots) -> dict[str, Look]:
    """Condition name → its look. The tuned model has ``plots.lora_color``, no other comes near it.

    Raises:
        UserError: ``plots.palette`` is no palette that seaborn knows.
    """
    try:
        palette = sns.color_palette(plots.palette)
    except ValueError:
        raise UserError(
            f"plots.palette: expected a seaborn palette such as colorblind, found {plots.palette!r}"
        ) from None
    tuned = to_rgb(plots.lora_color)
    # nor does one vanish on white, as a light pink or yellow would
    others = [to_hex(c) for c in palette if math.dist(c, tuned) > 0.3 and _luminance(c) < 0.55] or [
        MUTED
    ]
    chosen, index = {}, 0
    for row in conditions:
        if row["kind"] == "lora":
            chosen[row["name"]] = Look(plots.lora_color, MARKERS[0], DASHES[0])
            continue
        chosen[row["name"]] = Look(
            others[index % len(others)],
            MARKERS[1:][index % (len(MARKERS) - 1)],
            DASHES[1:][index % (len(DASHES) - 1)],
        )
        index += 1
    return chosen


def write_report_figures(
    folder: str | Path,
    analysis: Mapping[str, Any],
    break_even: pd.DataFrame,
    losses: Mapping[int, pd.DataFrame],
    limit: float | None,
    plots: Plots,
) -> None:
    """Write every figure of the report into ``folder``.

    Args:
        folder: where NAME.svg and NAME.png go; it exists.
        analysis: metrics/analysis.json.
        break_even: plots/break_even.csv, columns volume, condition, total_usd.
        losses: seed → plots/loss/seed-N.csv, columns step, loss.
        limit: the break-even volume that the hypothesis asks for, drawn as a line; None for none.
        plots: palette, colour and resolution.
    """
    look = looks(analysis["conditions"], plots)
    with _theme():
        for name, figure in {
            "headline": headline(analysis, look),
            "cost_accuracy": cost_accuracy(analysis, look),
            "break_even": break_even_curves(analysis, break_even, look, limit),
            "per_field": per_field(analysis, plots.lora_color),
            "paired": paired_differences(analysis, look),
            "loss": loss_curves(losses, plots.lora_color),
        }.items():
            _save(figure, Path(folder), name, plots.dpi)


def write_sweep_figure(
    folder: str | Path,
    rank_trials: Sequence[Mapping[str, Any]],
    lr_trials: Sequence[Mapping[str, Any]],
    plots: Plots,
) -> None:
    """Write sweep.svg and sweep.png into ``folder``, from the trials' metrics."""
    with _theme():
        _save(sweep(rank_trials, lr_trials, plots.lora_color), Path(folder), "sweep", plots.dpi)


def headline(analysis: Mapping[str, Any], look: Mapping[str, Look]) -> Figure:
    """Field F1 of every condition with its interval, best on top."""
    rows = sorted(analysis["conditions"], key=lambda row: row["field_f1"]["estimate"])
    figure, ax = _figure(1.5 + 0.62 * len(rows))
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
        _interval(ax, f1, place, INK)
        ax.text(
            max(f1["high"], f1["estimate"]) + 0.015,
            place,
            f"{f1['estimate']:.3f}",
            va="center",
            fontweight="bold" if row["kind"] == "lora" else "normal",
        )
    ax.set_yticks(range(len(rows)), [_wrap(row["label"]) for row in rows])
    # room for the number beside a bar that ends at 1
    ax.set_xlim(0, 1.09)
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    ax.set_xlabel("mean field F1 (0 to 1, higher is better)")
    ax.grid(axis="y", visible=False)
    statistics = analysis["statistics"]
    _titles(
        ax,
        f"Field F1 on {count(analysis['emails'], 'test email')}",
        f"Lines: {statistics['confidence']:.0%} bootstrap intervals over emails, "
        f"{statistics['resamples']:,} resamples; "
        + _seeds_note(analysis)
        + ". Solid bar: fine-tuned; hatched: not fine-tuned.",
    )
    return figure


def cost_accuracy(analysis: Mapping[str, Any], look: Mapping[str, Look]) -> Figure:
    """What 1,000 emails cost against how well they are read."""
    rows = analysis["conditions"]
    figure, ax = _figure(4.6 + 0.16 * len(rows))
    costs = []
    for row in rows:
        style, f1, cost = look[row["name"]], row["field_f1"], row["cost_per_1k"]
        costs.append(cost["usd"])
        ax.vlines(cost["usd"], f1["low"], f1["high"], color=style.color, linewidth=2)
        ax.plot(
            cost["usd"],
            f1["estimate"],
            style.marker,
            color=style.color,
            markersize=10,
            markeredgecolor=INK,
            label=_wrap(row["label"], 46),
        )
        if cost["batched_usd"] is not None:
            costs.append(cost["batched_usd"])
            ax.hlines(
                f1["estimate"],
                *sorted((cost["batched_usd"], cost["usd"])),
                color=style.color,
                linewidth=1,
                linestyle=":",
            )
            ax.plot(
                cost["batched_usd"],
                f1["estimate"],
                style.marker,
                markerfacecolor="white",
                markeredgecolor=style.color,
                markeredgewidth=1.8,
                markersize=9,
            )
    if min(costs) > 0 and max(costs) / min(costs) > 3:
        ax.set_xscale("log")
        ax.set_xlim(min(costs) / 1.6, max(costs) * 1.6)
        _plain_log(ax.xaxis)
    else:
        ax.set_xlim(0, max(costs) * 1.1 or 1)
    highest = max(row["field_f1"]["high"] for row in rows)
    # below 0, so that the marker of a condition at 0 is whole
    ax.set_ylim(-0.06 * (highest + 0.1), highest + 0.1)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    ax.set_xlabel("cost of 1,000 emails (USD, lower is better)")
    ax.set_ylabel("mean field F1 (0 to 1, higher is better)")
    _legend(figure, ax)
    prices = analysis["economics"]["prices"]
    hollow = any(row["cost_per_1k"]["batched_usd"] is not None for row in rows)
    _titles(
        ax,
        "Cost against accuracy",
        f"Vertical lines: {analysis['statistics']['confidence']:.0%} intervals. Local: electricity "
        f"at configured watts, one email at a time{' (filled) or in batches (hollow)' * hollow}. "
        f"API: tokens at the prices of {prices['as_of']} ({prices['source']}).",
    )
    return figure


def break_even_curves(
    analysis: Mapping[str, Any],
    table: pd.DataFrame,
    look: Mapping[str, Look],
    limit: float | None = None,
) -> Figure:
    """Total cost of the fine-tune and of each API condition by volume, with their crossings."""
    economics = analysis["economics"]
    labels = {row["name"]: row["label"] for row in analysis["conditions"]}
    crossings = {row["baseline"]: row["volume"] for row in economics["break_even"]}
    figure, ax = _figure(4.8 + 0.16 * len(crossings))
    for name, curve in table.groupby("condition", sort=False):
        tuned = name not in crossings
        style = look[name]
        note = "training included" if tuned else f"break-even: {volume(crossings[name])}"
        label = _wrap(labels[name], 46)
        ax.plot(
            curve["volume"],
            curve["total_usd"],
            color=style.color,
            linestyle=style.dash,
            linewidth=3 if tuned else 2,
            # small ones along the curve, so that curves of one dash are told apart in grey
            marker=None if tuned else style.marker,
            markevery=5,
            markersize=5,
            label=f"{label}\n{note}",
        )
        crossing = crossings.get(name)
        if crossing is not None and crossing > 0:
            ax.plot(
                crossing,
                economics["training"]["total_usd"] + crossing * economics["local_per_1k"] / 1000,
                style.marker,
                color=style.color,
                markeredgecolor=INK,
                markersize=11,
                zorder=5,
            )
    ax.set_xscale("log")
    ax.set_yscale("log")
    positive = table[table["total_usd"] > 0]
    ax.set_xlim(table["volume"].min(), table["volume"].max())
    ax.set_ylim(positive["total_usd"].min() / 1.5, positive["total_usd"].max() * 1.5)
    if limit is not None and table["volume"].min() < limit < table["volume"].max():
        ax.axvline(limit, color=MUTED, linewidth=1.2, linestyle="--", zorder=1.5)
        ax.text(
            limit * 1.1,
            0.97,
            f"hypothesis: before {volume(limit)}",
            transform=ax.get_xaxis_transform(),
            va="top",
            fontsize=9,
            color=MUTED,
        )
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    ax.set_xlabel("inferences in total")
    ax.set_ylabel("total cost (USD)")
    _legend(figure, ax)
    _titles(
        ax,
        "From which volume does the fine-tune pay for itself?",
        f"USD {economics['training']['total_usd']:,.0f} once, then electricity, against token prices "
        f"of {economics['prices']['as_of']} ({economics['prices']['source']}). Large markers: "
        "break-even volumes; 'never' where an API answer costs no more than a local one.",
    )
    return figure


def per_field(analysis: Mapping[str, Any], color: str) -> Figure:
    """Mean score of every condition on every field of the record."""
    rows, fields = analysis["conditions"], analysis["fields"]
    figure, ax = _figure(2.4 + 0.52 * len(rows))
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
        [i + 0.5 for i in range(len(rows))], [_wrap(row["label"]) for row in rows], rotation=0
    )
    ax.set_xticks(
        [i + 0.5 for i in range(len(fields))],
        fields,
        rotation=30,
        ha="right",
        rotation_mode="anchor",
    )
    ax.tick_params(length=0)
    for number, fill in zip(ax.texts, ax.collections[0].get_facecolors()):
        # the point where black and white have the same contrast (WCAG)
        number.set_color("black" if _luminance(fill[:3]) > 0.179 else "white")
    _titles(
        ax,
        "Score per field of the record",
        f"Means over {count(analysis['emails'], 'test email')}; {_seeds_note(analysis)}.",
    )
    return figure


def paired_differences(analysis: Mapping[str, Any], look: Mapping[str, Look]) -> Figure:
    """LoRA minus each baseline on the same emails, with intervals."""
    rows = list(reversed(analysis["comparisons"]))
    figure, ax = _figure(1.7 + 0.62 * len(rows))
    ax.axvline(0, color=INK, linewidth=1)
    for place, row in enumerate(rows):
        style = look[row["baseline"]]
        _interval(ax, row, place, style.color, width=2.4)
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
    ax.set_yticks(range(len(rows)), [_wrap(row["label"]) for row in rows])
    ax.set_xlabel("difference in mean field F1 (right of 0: the fine-tune is better)")
    ax.grid(axis="y", visible=False)
    statistics = analysis["statistics"]
    _titles(
        ax,
        "Fine-tuned minus each baseline, on the same emails",
        f"{statistics['confidence']:.0%} paired bootstrap intervals over "
        f"{count(analysis['emails'], 'email')}, {statistics['resamples']:,} resamples; "
        f"{_seeds_note(analysis)}.",
    )
    return figure


def loss_curves(losses: Mapping[int, pd.DataFrame], color: str) -> Figure:
    """Training loss of every final seed."""
    figure, ax = _figure(4.2)
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
    _titles(
        ax,
        f"Training loss of the final {'seed' if len(losses) == 1 else 'seeds'}",
        "Mean over the batch of each step; only tokens of the answer count.",
    )
    return figure


def sweep(
    rank_trials: Sequence[Mapping[str, Any]],
    lr_trials: Sequence[Mapping[str, Any]],
    color: str,
) -> Figure:
    """Validation F1 of every trial, by rank and by learning rate."""
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    best_rank = max(rank_trials, key=lambda t: t["field_f1"])
    for ax, trials, key, held in (
        (left, rank_trials, "r", f"at learning rate {best_rank['learning_rate']:g}"),
        (right, lr_trials, "learning_rate", f"at rank {lr_trials[0]['r']}"),
    ):
        trials = sorted(trials, key=lambda t: t[key])
        scores = [trial["field_f1"] for trial in trials]
        places = range(len(trials))
        ax.plot(places, scores, "-", color=color, linewidth=1.5)
        for place, score in zip(places, scores):
            best = score == max(scores)
            ax.plot(
                place,
                score,
                "*" if best else "o",
                color=color if best else "white",
                markeredgecolor=INK if best else color,
                markeredgewidth=1 if best else 1.8,
                markersize=15 if best else 8,
                clip_on=False,
            )
            ax.annotate(
                f"{score:.3f}",
                (place, score),
                (0, 11),
                textcoords="offset points",
                ha="center",
                fontsize=9,
                fontweight="bold" if best else "normal",
            )
        ax.set_xticks(places, [f"{trial[key]:g}" for trial in trials])
        ax.set_xlim(-0.5, len(trials) - 0.5)
        ax.set_xlabel({"r": "LoRA rank", "learning_rate": "learning rate"}[key] + f" ({held})")
        ax.grid(axis="x", visible=False)
        sns.despine(ax=ax, left=True)
    scores = [trial["field_f1"] for trial in (*rank_trials, *lr_trials)]
    span = max(max(scores) - min(scores), 0.05)
    left.set_ylim(max(0, min(scores) - 0.4 * span), min(1.05, max(scores) + 0.4 * span))
    left.set_ylabel("mean field F1 on validation emails")
    emails = " / ".join(str(n) for n in sorted({t["emails"] for t in (*rank_trials, *lr_trials)}))
    seeds = sorted({t["seed"] for t in (*rank_trials, *lr_trials)})
    _titles(
        left,
        "The sweep: validation F1 by rank and by learning rate",
        f"One training each (seed {', '.join(map(str, seeds))}), {emails} validation emails; no "
        "intervals, and the axis does not start at 0. Star: best of its panel.",
    )
    return figure


@contextmanager
def _theme() -> Iterator[None]:
    # axes read the style when they are made and the writers when they save: one block for both
    with sns.axes_style("whitegrid"), rc_context(THEME):
        yield


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    ax = figure.subplots()
    sns.despine(ax=ax, left=True, bottom=True)
    return figure, ax


def _save(figure: Figure, folder: Path, name: str, dpi: int) -> None:
    # neither the date nor the version of matplotlib belongs in a file that is compared by bytes
    for kind, metadata in (
        ("svg", {"Date": None, "Creator": None}),
        ("png", {"Software": None}),
    ):
        figure.savefig(
            folder / f"{name}.{kind}",
            dpi=dpi,
            metadata=metadata,
            bbox_inches="tight",
            pad_inches=0.15,
        )


def _titles(ax: Axes, title: str, subtitle: str, width: int = 138) -> None:
    """A bold title and, under it, how to read the figure, both at the left edge of the figure."""
    figure = ax.figure
    lines = textwrap.wrap(subtitle, width, break_on_hyphens=False)
    figure.suptitle(
        title + "\n" * len(lines),
        x=0.008,
        ha="left",
        fontsize=13,
        fontweight="bold",
        linespacing=1.3,
    )
    height = figure.get_size_inches()[1]
    # 13 pt of title with its spacing, then the lines of 9 pt
    figure.text(
        0.008,
        1 - 0.32 / height,
        "\n".join(lines),
        ha="left",
        va="top",
        fontsize=9,
        color=MUTED,
        linespacing=1.3,
    )


def _legend(figure: Figure, ax: Axes) -> None:
    """Under the axes, where no point or curve can be."""
    figure.legend(
        *ax.get_legend_handles_labels(),
        loc="outside lower left",
        ncols=2,
        frameon=False,
        markerscale=0.8,
        handlelength=3,
    )


def _interval(
    ax: Axes, row: Mapping[str, Any], place: float, color: str, width: float = 1.6
) -> None:
    ax.hlines(place, row["low"], row["high"], color=color, linewidth=width)
    ax.vlines([row["low"], row["high"]], place - 0.1, place + 0.1, color=color, linewidth=width)


def _seeds_note(analysis: Mapping[str, Any]) -> str:
    seeds = len(analysis["seeds"])
    return "LoRA: one seed" if seeds == 1 else f"LoRA: mean of {seeds} seeds"


def _wrap(label: str, width: int = 30) -> str:
    """Over as few lines as ``width`` allows, and those of like length."""

    def wrapped(columns: int) -> list[str]:
        return textwrap.wrap(label, columns, break_on_hyphens=False)

    fewest = len(wrapped(width))
    # a narrower column can also break a long word, which adds lines or splits it
    longest = max((len(word) for word in label.split()), default=1)
    for columns in range(min(longest, width), width):
        if len(wrapped(columns)) == fewest:
            return "\n".join(wrapped(columns))
    return "\n".join(wrapped(width))


def _luminance(color: Sequence[float]) -> float:
    """Relative luminance of an RGB colour, 0 black to 1 white (WCAG 2)."""
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color)
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear))


def _plain_log(axis: Any) -> None:
    """Write 0.05 rather than 5×10⁻², and no more of them than fit."""
    low, high = axis.get_view_interval()
    steps = (1, 2, 5) if high / low < 200 else (1,)
    ticks = [
        step * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for step in steps
        if low <= step * 10.0**power <= high
    ]
    axis.set_ticks(ticks, [significant(tick) for tick in ticks])
    axis.set_minor_formatter(NullFormatter())


def _short(value: float) -> str:
    for size, word in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{significant(value / size)}{word}"
    return significant(value)
