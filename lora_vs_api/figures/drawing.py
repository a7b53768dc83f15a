"""What every figure shares: the look of a condition, the theme, titles, labels and files.

Every condition has one colour and one marker in all figures, by its slot
(:mod:`lora_vs_api.analysis.slots`); what colour tells is also told by position, marker or label, so
that a grey print or a colour-blind reader loses nothing. The look comes from the params ``plots``
and touches no number. The templates of `dvc plots` draw a slot alike, with the palette of
conf/config.yaml.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from lora_vs_api.analysis.slots import SLOTS, condition_slots
from lora_vs_api.errors import UserError
from lora_vs_api.report.numbers import Ends, significant

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

    from lora_vs_api.analysis.results import Analysis, Condition
    from lora_vs_api.config.sections import Plots

# What matplotlib calls a shape and what Vega does, by slot. The others have corners (x, y) from -1
# to 1, which both can draw, y upwards.
NAMED = (
    ("o", "circle"), ("D", "diamond"), ("s", "square"), ("^", "triangle-up"),
    ("v", "triangle-down"), ("P", "cross"), ("<", "triangle-left"), (">", "triangle-right"),
)  # fmt: skip
CORNERS: tuple[tuple[tuple[float, float], ...], ...] = (
    # hourglass, bow tie, X, L
    ((-0.9, 1), (0.9, 1), (0.3, 0), (0.9, -1), (-0.9, -1), (-0.3, 0)),
    ((1, -0.9), (1, 0.9), (0, 0.3), (-1, 0.9), (-1, -0.9), (0, -0.3)),
    (
        (-1, 0.5), (-0.5, 1), (0, 0.5), (0.5, 1), (1, 0.5), (0.5, 0),
        (1, -0.5), (0.5, -1), (0, -0.5), (-0.5, -1), (-1, -0.5), (-0.5, 0),
    ),
    ((-1, 1), (-0.2, 1), (-0.2, -0.2), (1, -0.2), (1, -1), (-1, -1)),
    # bars lying and standing, arrow, T
    ((-1, 0.5), (1, 0.5), (1, -0.5), (-1, -0.5)),
    ((-0.5, 1), (0.5, 1), (0.5, -1), (-0.5, -1)),
    ((0, 1), (1, -1), (0, -0.55), (-1, -1)),
    ((-1, 1), (1, 1), (1, 0.2), (0.4, 0.2), (0.4, -1), (-0.4, -1), (-0.4, 0.2), (-1, 0.2)),
)  # fmt: skip
MARKERS: tuple[Any, ...] = (
    *(marker for marker, _ in NAMED),
    # matplotlib closes no outline
    *([*corners, corners[0]] for corners in CORNERS),
)
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 1.5, 1.5, 1.5)), (0, (1, 1)))
# what is taken once a palette is used up: mixtures of so much red, green and blue
LEVELS = (0.0, 0.2, 0.4, 0.6, 0.8)
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
    "xtick.color": INK,
    "xtick.labelsize": 9.5,
    "ytick.color": INK,
    "ytick.labelsize": 9.5,
}


@dataclass(frozen=True)
class Look:
    """How one condition is drawn, in every figure."""

    color: str
    marker: Any
    dash: Any


def looks(conditions: Iterable[Condition], plots: Plots) -> dict[str, Look]:
    """Condition name → its look. The tuned model has ``plots.lora_color``, no other comes near it.

    ``SLOTS`` conditions differ in colour and in marker, more of them in one or the other.

    Raises:
        UserError: ``plots.palette`` is no palette that seaborn knows.
    """
    colors = slot_colors(plots)
    return {
        name: Look(
            colors[slot % SLOTS],
            # another marker each time the colours begin again
            MARKERS[(slot + 5 * (slot // SLOTS)) % SLOTS],
            DASHES[slot % len(DASHES)],
        )
        for name, slot in condition_slots((row.name, row.kind) for row in conditions).items()
    }


def slot_colors(plots: Plots) -> list[str]:
    """The colour of each slot: the tuned model's, then the palette's, then those unlike all before."""
    try:
        palette = sns.color_palette(plots.palette)
    except ValueError:
        raise UserError(
            f"plots.palette: expected a seaborn palette such as colorblind, found {plots.palette!r}"
        ) from None
    tuned = to_rgb(plots.lora_color)
    # nor does one vanish on white, as a light pink or yellow would
    chosen = [tuned, *(c for c in palette if luminance(c) < 0.55 and math.dist(c, tuned) > 0.3)]
    mixtures = [c for c in itertools.product(LEVELS, repeat=3) if 0.06 < luminance(c) < 0.4]
    while len(chosen) < SLOTS:
        # the one that lies farthest from all so far
        chosen.append(max(mixtures, key=lambda c: min(math.dist(lab(c), lab(d)) for d in chosen)))
    return [plots.lora_color, *map(to_hex, chosen[1:SLOTS])]


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


@cache
def lab(color: tuple[float, float, float]) -> tuple[float, float, float]:
    """An sRGB colour in CIELAB (white D65), where distances are about those that an eye sees."""
    rgb = linear(color)
    white_x, white_z = 0.95047, 1.08883
    x = (0.4124 * rgb[0] + 0.3576 * rgb[1] + 0.1805 * rgb[2]) / white_x
    z = (0.0193 * rgb[0] + 0.1192 * rgb[1] + 0.9505 * rgb[2]) / white_z
    fx, fy, fz = (
        t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116
        for t in (x, luminance(color), z)
    )
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


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
