"""Experiments as parallel coordinates: a line each, through its settings to its validation F1.

Inselberg, The plane with parallel coordinates, The Visual Computer 1 (1985). Darker is better, so
that a grey print tells as much as colour; the best line is also the thickest and carries its values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from lora_vs_api.figures.drawing import INK, MUTED, WIDTH, theme, titles, wrap
from lora_vs_api.report.numbers import significant
from lora_vs_api.search.experiments import SCORE
from lora_vs_api.shown import count

if TYPE_CHECKING:
    from lora_vs_api.config.sections import Plots

LABELS = {
    "r": "LoRA rank r",
    "learning_rate": "learning rate",
    "lora.adapter.alpha_per_r": "alpha / r",
    "lora.adapter.dropout": "dropout (share)",
    "lora.adapter.variant": "variant",
    "lora.adapter.plus_ratio": "LoRA+ ratio B : A",
    "lora.adapter.target_modules": "tuned layers",
    "train.epochs": "epochs",
    "train.max_steps": "steps at most",
    "train.batch_size": "batch (texts)",
    "train.gradient_accumulation": "batches per step",
    "train.warmup_ratio": "warm-up (share)",
    "train.max_grad_norm": "gradient norm at most",
    "train.scheduler": "schedule",
    "sweep.trial.seed": "training seed",
    "sweep.trial.val_rows": "validation texts",
    "model.name": "model",
    SCORE: "mean field F1 on validation texts (0 to 1)",
}
MAX_AXES = 9
FEW = 6  # so many distinct numbers are each a tick


@dataclass(frozen=True)
class Axis:
    """A column laid out from 0 to 1: where each row's value stands, and what is written where."""

    label: str
    places: list[float]
    ticks: list[tuple[float, str]]
    texts: list[str]


def lay_out(name: str, values: Sequence[Any]) -> Axis:
    """Numbers on a scale, logarithmic where they span a factor of 4 or more; else categories."""
    label = LABELS.get(name, name.replace("_", " "))
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return _scale(label, values, is_score=name == SCORE)
    texts = [_text(v) for v in values]
    distinct = sorted(set(texts))
    place = dict(zip(distinct, _spread(len(distinct))))
    return Axis(label, [place[t] for t in texts], [(place[t], t) for t in distinct], texts)


def _scale(label: str, values: Sequence[float], *, is_score: bool) -> Axis:
    """An axis of numbers; a score's is never logarithmic, and its ticks are round numbers."""
    distinct = sorted(set(values))
    low, high = distinct[0], distinct[-1]
    log = not is_score and low > 0 and high / low >= 4

    def scale(value: float) -> float:
        return math.log10(value) if log else float(value)

    span = scale(high) - scale(low)

    def place(value: float) -> float:
        return (scale(value) - scale(low)) / span if span else 0.5

    gaps = [place(b) - place(a) for a, b in pairwise(distinct)]
    marks: list[float]
    if not is_score and len(distinct) <= FEW and min(gaps, default=1) > 0.05:
        marks = distinct
    elif log:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 2, 5) if high / low < 200 else (1,)
        marks = [s * 10.0**p for p in powers for s in steps if low <= s * 10.0**p <= high]
    else:
        ticker = matplotlib.ticker.MaxNLocator(5, steps=[1, 2, 5, 10])
        marks = [t for t in ticker.tick_values(low, high) if low <= t <= high]
    return Axis(
        label + (" (log scale)" if log else ""),
        [place(v) for v in values],
        [(place(m), _text(m)) for m in marks],
        [_text(v, 3 if is_score else None) for v in values],
    )


def parallel_coordinates(frame: pd.DataFrame, plots: Plots) -> Figure:
    """The figure of a table of experiments, of which only rows with a score are drawn.

    Args:
        frame: as :func:`lora_vs_api.search.experiments.table` gives it.
    """
    with theme():
        return _draw(frame, plots)


def _draw(frame: pd.DataFrame, plots: Plots) -> Figure:
    scored = frame[frame[SCORE].notna()]
    left_out = len(frame) - len(scored)
    hidden = {"experiment", SCORE, "test F1", "USD per 1K"}
    keys = [
        key
        for key in scored.columns
        if key not in hidden
        and (not key.startswith("model.") or key == "model.name")
        and len({_text(v) for v in scored[key]}) > 1
    ]
    dropped, keys = keys[MAX_AXES:], keys[:MAX_AXES]
    axes = [lay_out(key, list(scored[key])) for key in (*keys, SCORE)]
    scores = [float(score) for score in scored[SCORE]]
    best = scores.index(max(scores))

    figure = Figure(figsize=(max(WIDTH, 1.55 * len(axes) + 1), 5.4), layout="constrained")
    ax = figure.subplots()
    ax.set_axis_off()
    ax.set_xlim(-0.35, len(axes) - 0.6)
    ax.set_ylim(-0.19, 1.12)
    for x, axis in enumerate(axes):
        ax.plot([x, x], [-0.075, 1.075], color=MUTED, linewidth=1.1, zorder=2)
        for place, text in axis.ticks:
            ax.plot([x - 0.02, x], [place, place], color=MUTED, linewidth=1, zorder=2)
            ax.annotate(
                text, (x, place), (-6, 0), textcoords="offset points", ha="right", va="center",
                fontsize=8.5, color=MUTED, zorder=4,
                path_effects=[withStroke(linewidth=3.5, foreground="white")],
            )  # fmt: skip
        ax.text(x, -0.1, wrap(axis.label, 16), ha="center", va="top", fontsize=9.5, color=INK)
    shades = matplotlib.colormaps["cividis_r"]
    # equal values would hide lines behind each other: each gets a place of its own, by score
    spread = [_apart(axis.places, scores) for axis in axes[:-1]] + [axes[-1].places]
    levels = sorted(set(scores))
    for row in sorted(range(len(scores)), key=lambda i: (scores[i], -i)):
        # by place and not by value: one that is far off would make the others alike
        share = levels.index(scores[row]) / max(1, len(levels) - 1)
        ys = [places[row] for places in spread]
        if row == best:
            ax.plot(range(len(axes)), ys, color="white", linewidth=6, zorder=3)
        ax.plot(
            range(len(axes)), ys, zorder=3, solid_capstyle="round",
            color=plots.lora_color if row == best else shades(0.1 + 0.85 * share),
            linewidth=3.4 if row == best else 1.0 + 0.8 * share,
        )  # fmt: skip
    for x, axis in enumerate(axes):
        ax.plot(x, spread[x][best], "o", color=plots.lora_color, markeredgecolor="white",
                markersize=8, zorder=5)  # fmt: skip
        ax.annotate(
            axis.texts[best], (x, spread[x][best]), (8, 7), textcoords="offset points",
            fontsize=9.5, fontweight="bold", color=INK, zorder=6,
            path_effects=[withStroke(linewidth=3.5, foreground="white")],
        )  # fmt: skip
    notes = "A line is an experiment; darker: better. "
    notes += f"Thick, with its values: the best, {scored['experiment'].iloc[best]}. "
    notes += "Lines of equal settings are drawn side by side. The F1 axis does not start at 0."
    if left_out:
        notes += f" Not drawn: {count(left_out, 'experiment')} without a validation score."
    if dropped:
        notes += f" Settings left out: {', '.join(dropped)}."
    titles(
        ax,
        f"Mean field F1 on validation texts of {count(len(scores), 'experiment')}, by setting",
        notes,
        round(figure.get_size_inches()[0] * 15),
    )
    return figure


def _spread(number: int) -> list[float]:
    return [0.5] if number == 1 else [i / (number - 1) for i in range(number)]


def _apart(places: Sequence[float], scores: Sequence[float]) -> list[float]:
    """Rows at one place beside each other, the better ones above, within their own band."""
    spots = sorted(set(places))
    nearest = min((b - a for a, b in pairwise(spots)), default=0.5)
    result = list(places)
    for spot in spots:
        rows = sorted((i for i, p in enumerate(places) if p == spot), key=lambda i: scores[i])
        band = min(0.012 * (len(rows) - 1), 0.35 * nearest, 0.06)
        for i, row in enumerate(rows):
            result[row] = spot + (2 * i / (len(rows) - 1) - 1) * band if len(rows) > 1 else spot
    return result


def _text(value: Any, decimals: int | None = None) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if decimals is not None:
        return f"{value:.{decimals}f}"
    return f"{value:g}" if value and abs(value) < 1e-3 else significant(value)
