"""Training loss of every final seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lora_vs_api.figures.drawing import new_figure, titles
from lora_vs_api.figures.looks import DASHES

if TYPE_CHECKING:
    import pandas as pd


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
