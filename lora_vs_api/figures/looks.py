"""How each condition is drawn.

Every condition has one colour and one marker in all figures, by its slot
(:mod:`lora_vs_api.analysis.slots`); what colour tells is also told by position, marker or label, so
that a grey print or a colour-blind reader loses nothing. The look comes from the params ``plots``
and touches no number. The templates of `dvc plots` draw a slot alike, with the palette of
conf/config.yaml.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import seaborn as sns
from matplotlib.colors import to_hex, to_rgb

from lora_vs_api.analysis.slots import SLOTS, condition_slots
from lora_vs_api.errors import UserError
from lora_vs_api.figures.drawing import linear, luminance

if TYPE_CHECKING:
    from lora_vs_api.analysis.results import Condition
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
