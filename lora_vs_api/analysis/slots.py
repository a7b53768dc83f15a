"""Which look a condition has, as a number: the same in every figure and plot, and in every run."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, count

from lora_vs_api.analysis.results import Kind

# So many looks differ in colour and in shape. The templates in .dvc/plots/ have as many.
SLOTS = 16
MODEL_FREE = ("majority", "nearest", "nearest_copy")
FIRST_API, LAST_TUNED = 2, SLOTS - 1 - len(MODEL_FREE)


def condition_slots(conditions: Iterable[tuple[str, Kind]]) -> dict[str, int]:
    """Condition → its slot, from their names and kinds.

    The fine-tune has 0, the untuned base 1, API conditions count up from 2, predictors without a
    model have the last three, and other tunings count down from there. So adding conditions of one
    kind leaves those of the others as they are, and an API's slot depends on the APIs alone. Where
    a kind has no room left it takes what is free; beyond ``SLOTS`` conditions numbers go on.
    """
    named = list(conditions)
    taken: dict[str, int] = {}

    def assign(kind: Kind, wanted: Iterable[int]) -> None:
        free = (slot for slot in wanted if slot not in taken.values())
        taken.update((name, next(free)) for name, of in named if of == kind and name not in taken)

    assign("lora", count(0))
    assign("base", count(1))
    assign("api", count(FIRST_API))
    for slot, name in enumerate(MODEL_FREE, SLOTS - len(MODEL_FREE)):
        if (name, "model_free") in named and slot not in taken.values():
            taken[name] = slot
    assign("tuned", chain(range(LAST_TUNED, -1, -1), count()))
    assign("model_free", chain(range(LAST_TUNED, -1, -1), count()))
    return {name: taken[name] for name, _ in named}
