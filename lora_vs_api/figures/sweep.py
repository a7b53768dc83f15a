"""The figure of the sweep's own page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import seaborn as sns
from matplotlib.figure import Figure

from lora_vs_api.figures.drawing import INK, WIDTH, save, theme, titles

if TYPE_CHECKING:
    from lora_vs_api.config.sections import Plots
    from lora_vs_api.selection.trials import Trial


def write_sweep_figure(
    folder: str | Path,
    rank_trials: Sequence[Trial],
    lr_trials: Sequence[Trial],
    plots: Plots,
) -> None:
    """Write sweep.svg and sweep.png into ``folder``, from the trials' metrics."""
    with theme():
        save(sweep(rank_trials, lr_trials, plots.lora_color), Path(folder), "sweep", plots.dpi)


def sweep(
    rank_trials: Sequence[Trial],
    lr_trials: Sequence[Trial],
    color: str,
) -> Figure:
    """Validation F1 of every trial, by rank and by learning rate."""
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    best_rank = max(rank_trials, key=lambda t: t.field_f1)
    for ax, trials, key, held in (
        (left, rank_trials, "r", f"at learning rate {best_rank.learning_rate:g}"),
        (right, lr_trials, "learning_rate", f"at rank {lr_trials[0].r}"),
    ):
        trials = sorted(trials, key=lambda t: getattr(t, key))
        scores = [trial.field_f1 for trial in trials]
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
        ax.set_xticks(places, [f"{getattr(trial, key):g}" for trial in trials])
        ax.set_xlim(-0.5, len(trials) - 0.5)
        ax.set_xlabel({"r": "LoRA rank", "learning_rate": "learning rate"}[key] + f" ({held})")
        ax.grid(axis="x", visible=False)
        sns.despine(ax=ax, left=True)
    scores = [trial.field_f1 for trial in (*rank_trials, *lr_trials)]
    span = max(max(scores) - min(scores), 0.05)
    left.set_ylim(max(0, min(scores) - 0.4 * span), min(1.05, max(scores) + 0.4 * span))
    left.set_ylabel("mean field F1 on validation texts")
    texts = " / ".join(str(n) for n in sorted({t.texts for t in (*rank_trials, *lr_trials)}))
    seeds = sorted({t.seed for t in (*rank_trials, *lr_trials)})
    titles(
        left,
        "The sweep: validation F1 by rank and by learning rate",
        f"One training each (seed {', '.join(map(str, seeds))}), {texts} validation texts; no "
        "intervals, and the axis does not start at 0. Star: best of its panel.",
    )
    return figure
