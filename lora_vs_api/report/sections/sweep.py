"""The sweep's own page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lora_vs_api.report.published import published_experiment
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.selection.trials import Trial


@dataclass(frozen=True)
class Edge:
    """A grid whose winner is its smallest or largest value."""

    what: str
    value: float
    side: Literal["smallest", "largest"]


def sweep_markdown(
    rank_trials: Sequence[Trial],
    lr_trials: Sequence[Trial],
    winner: Trial | None,
    stamp: str | None = None,
    *,
    task: str | None = None,
) -> Markdown:
    """The sweep's own page; its figure is linked as figures-sweep/sweep.svg. ``stamp`` heads it.

    Without trials there is no ``winner``. ``task`` is the run's title: beside that of the published
    task stands the published sweep.
    """
    if winner is None:
        return Markdown(render("no_sweep", stamp=stamp) + "\n")
    published = published_experiment()
    return Markdown(
        render(
            "sweep",
            winner=winner,
            stamp=stamp,
            chosen=len(rank_trials) > 1 or len(lr_trials) > 1,
            trials=[("rank", trial) for trial in rank_trials]
            + [("learning rate", trial) for trial in lr_trials],
            edges=edges(winner, rank_trials, lr_trials),
            one_text=1 / winner.texts,
            published=published if task == published.task else None,
            theirs=[("rank", trial) for trial in published.sweep.ranks]
            + [("learning rate", trial) for trial in published.sweep.learning_rates],
        )
        + "\n"
    )


def edges(winner: Trial, rank_trials: Sequence[Trial], lr_trials: Sequence[Trial]) -> list[Edge]:
    """The grids of more than one value whose winner stands at an end, where a better one may lie."""
    grids = (
        ("rank", winner.r, {trial.r for trial in rank_trials}),
        ("learning rate", winner.learning_rate, {trial.learning_rate for trial in lr_trials}),
    )
    return [
        Edge(what, value, "largest" if value == max(tried) else "smallest")
        for what, value, tried in grids
        if len(tried) > 1 and value in (min(tried), max(tried))
    ]
