"""What every figure shares: the theme, titles, labels and files.

How a condition is drawn is said by :mod:`lora_vs_api.figures.looks`.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter, NullFormatter

from lora_vs_api.report.numbers import Ends, significant
from lora_vs_api.shown import visible

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

    from lora_vs_api.analysis.results import Analysis

INK, MUTED = "#222222", "#555555"
WIDTH = 9.0  # inches
THEME: dict[RcKeyType, object] = {
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
    "text.parse_math": False,  # a label with two dollar signs is no formula
    "xtick.color": INK,
    "xtick.labelsize": 9.5,
    "ytick.color": INK,
    "ytick.labelsize": 9.5,
}


@contextmanager
def theme() -> Iterator[None]:
    # axes read the style when they are made and the writers when they save: one block for both
    with sns.axes_style("whitegrid"), rc_context(THEME):
        yield


def new_figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    ax = figure.subplots()
    sns.despine(ax=ax, left=True, bottom=True)
    return figure, ax


def save(figure: Figure, folder: Path, name: str, dpi: int) -> None:
    _make_visible(figure)
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


def _make_visible(figure: Figure) -> None:
    """Show what labels of data, answers and settings hold of unseen characters."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            names = axis.get_major_formatter()
            # it, and not the texts that are there, makes the ticks' labels
            if isinstance(names, FuncFormatter):
                names.func = _visibly(names.func)
            elif isinstance(names, FixedFormatter):
                names.seq = [visible(name) for name in names.seq]
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if (shown := visible(text.get_text())) != text.get_text():
            text.set_text(shown)


def _visibly(write: Callable[..., str]) -> Callable[..., str]:
    return lambda *place: visible(write(*place))


def titles(ax: Axes, title: str, subtitle: str, width: int = 138) -> None:
    """A bold title and, under it, how to read the figure, both at the left edge of the figure."""
    figure = ax.get_figure(root=True)
    assert figure is not None
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


def legend(figure: Figure, ax: Axes) -> None:
    """Under the axes, where no point or curve can be; the figure grows by what it takes."""
    handles, labels = ax.get_legend_handles_labels()
    # two columns, each line 0.15 inches high
    taken = sum(0.15 * (label.count("\n") + 1) + 0.08 for label in labels) / 2
    figure.set_size_inches(WIDTH, figure.get_size_inches()[1] + taken + 0.2)
    figure.legend(
        handles,
        labels,
        loc="outside lower left",
        ncols=2,
        frameon=False,
        markerscale=0.8,
        handlelength=3,
    )


def draw_interval(ax: Axes, ends: Ends, place: float, color: str, width: float = 1.6) -> None:
    ax.hlines(place, ends.low, ends.high, color=color, linewidth=width)
    ax.vlines([ends.low, ends.high], place - 0.1, place + 0.1, color=color, linewidth=width)


def seeds_note(analysis: Analysis) -> str:
    seeds = len(analysis.seeds)
    return "LoRA: one seed" if seeds == 1 else f"LoRA: mean of {seeds} seeds"


def wrap(label: str, width: int = 30) -> str:
    """Over as few lines as ``width`` allows, and those of like length.

    A word that is longer, such as a model's name, breaks after a hyphen where it has one.
    """
    longest = max((len(word) for word in label.split()), default=1)

    def wrapped(columns: int) -> list[str]:
        return textwrap.wrap(label, columns, break_on_hyphens=longest > width)

    fewest = len(wrapped(width))
    # a narrower column can also break a long word, which adds lines or splits it
    for columns in range(min(longest, width), width):
        if len(wrapped(columns)) == fewest:
            return "\n".join(wrapped(columns))
    return "\n".join(wrapped(width))


def contrast(ax: Axes) -> None:
    """Write a heatmap's numbers in black or white, whichever stands out more from its cell."""
    for number, fill in zip(ax.texts, to_rgba_array(ax.collections[0].get_facecolor())):
        # the point where black and white have the same contrast (WCAG)
        number.set_color("black" if luminance(fill[:3]) > 0.179 else "white")


def luminance(color: Sequence[float]) -> float:
    """Relative luminance of an RGB colour, 0 black to 1 white (WCAG 2)."""
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear(color)))


def linear(color: Sequence[float]) -> list[float]:
    """An sRGB colour without its gamma."""
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]


def plain_log(axis: Any, write: Callable[[float], str] = significant) -> None:
    """Write 0.05 rather than 5×10⁻², and no more of them than fit."""
    low, high = axis.get_view_interval()
    steps = (1, 2, 5) if high / low < 200 else (1,)
    ticks = [
        step * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for step in steps
        if low <= step * 10.0**power <= high
    ]
    axis.set_ticks(ticks, [write(tick) for tick in ticks])
    axis.set_minor_formatter(NullFormatter())


def short(value: float) -> str:
    for size, word in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{significant(value / size)}{word}"
    return significant(value)
