"""GPUs of this machine, given away whole or in parts: several nodes on one, as many as their parts have room for.

A part is of memory, as far as whoever wrote it into `nodes` knows what a node takes; nothing here enforces it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

from lora_vs_api.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
# of sums of parts, such as ten times 0.1
ROUNDING = 1e-6
# between two looks whether the run is being stopped
LOOK_SECONDS = 0.5


def visible_cards(environment: Mapping[str, str]) -> list[str] | None:
    """Those that the user leaves to us, each once; None where nothing is said of them."""
    if VISIBLE not in environment:
        return None
    names = [name.strip() for name in environment[VISIBLE].split(",")]
    # as CUDA reads it: what follows one that is none is hidden
    end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
    return list(dict.fromkeys(names[:end]))


def named_cards(gpus: int, there: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The names of so many cards, for CUDA_VISIBLE_DEVICES. ``there``: as many has this machine; 0: unknown.

    Raises:
        UserError: there are fewer, or the user hides all but fewer.
    """
    visible = visible_cards(environment)
    if visible is not None and len(visible) < gpus:
        raise UserError(
            f"--gpus {gpus}: {VISIBLE}={environment[VISIBLE]!r} leaves {len(visible)}; "
            "expected at most so many"
        )
    names = [str(index) for index in range(gpus)] if visible is None else visible[:gpus]
    # a part that MIG makes of a card is none that NVML counts
    if 0 < there < sum(not name.startswith("MIG-") for name in names):
        raise UserError(f"--gpus {gpus}: this machine has {there}; expected at most so many")
    return names


class Cards:
    """Who takes what: each node whole cards, or a part of one that others may share."""

    def __init__(self, names: list[str]) -> None:
        self._free = dict.fromkeys(names, 1.0)
        self._changed = threading.Condition()

    def has_room(self, asked: float) -> bool:
        with self._changed:
            return self._chosen(asked) is not None

    def take(self, asked: float) -> list[str] | None:
        """The cards' names; None where there is no room now. Give them back with :meth:`give_back`."""
        with self._changed:
            chosen = self._chosen(asked)
            for name in chosen or ():
                self._free[name] -= min(asked, 1.0)
            return chosen

    def wait(self, asked: float, given_up: threading.Event) -> list[str] | None:
        """:meth:`take` as soon as there is room; None where it is given up."""
        while not given_up.is_set():
            taken = self.take(asked)
            if taken is not None:
                return taken
            with self._changed:
                self._changed.wait(LOOK_SECONDS)
        return None

    def give_back(self, names: list[str], asked: float) -> None:
        with self._changed:
            for name in names:
                self._free[name] += min(asked, 1.0)
            self._changed.notify_all()

    def _chosen(self, asked: float) -> list[str] | None:
        """Of the emptiest cards, so that nodes share one only where each has one already."""
        count, each = max(1, round(asked)), min(asked, 1.0)
        emptiest = sorted(self._free, key=lambda name: -self._free[name])[:count]
        fits = [name for name in emptiest if self._free[name] >= each - ROUNDING]
        return emptiest if len(fits) == count else None
