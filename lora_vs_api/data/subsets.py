"""The order in which the training texts are taken for smaller training sets."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lora_vs_api.data.split import mixed, strata_of
from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row

# so many of the groups that come next are looked at for the one that keeps the mix
LOOK_AHEAD = 16


def nested_order(
    rows: Sequence[Row], by: str | None, groups: Sequence[str] | None, seed: int
) -> list[Row]:
    """``rows`` in an order whose first n are a random sample of n, for every n.

    So the samples are nested: each holds all smaller ones. Each has the mix of ``record[by]`` to
    within a row or two of every value. With ``groups``, whole groups follow one another, of which
    only the last of a sample is cut: n labels are then those of as few customers (threads, …) as n
    texts can come from. Their mix is as near as the next groups of a random order can bring it.

    Args:
        rows: the training texts.
        by: the record's field to stratify by; None for a plain random order.
        groups: the group of each row; None where texts are drawn one by one.
        seed: of the order.
    """
    rng = random.Random(seed)
    if groups is None:
        strata = strata_of(rows, by)
        for members in strata.values():
            rng.shuffle(members)
        return mixed(strata, rng)
    members_of: dict[str, list[Row]] = {}
    for row, group in zip(rows, groups, strict=True):
        members_of.setdefault(group, []).append(row)
    for members in members_of.values():
        rng.shuffle(members)
    stratum = {row["id"]: key for key, own in strata_of(rows, by).items() for row in own}
    profiles = {
        group: Counter(stratum[row["id"]] for row in own) for group, own in members_of.items()
    }
    return [row for group in _group_order(profiles, rng) for row in members_of[group]]


def _group_order(profiles: Mapping[str, Counter[str]], rng: random.Random) -> list[str]:
    """The groups at random, each time the one of the next few that keeps the mix best."""
    total: Counter[str] = sum(profiles.values(), Counter())
    whole, taken = total.total(), Counter[str]()
    waiting, order = list(profiles), []
    rng.shuffle(waiting)

    def off(group: str) -> float:
        """How far the mix would be off with this group too."""
        after = taken + profiles[group]
        rows = after.total()
        return sum(
            (after[key] * whole - rows * number) ** 2 / number for key, number in total.items()
        )

    while waiting:
        chosen = min(waiting[:LOOK_AHEAD], key=off)
        waiting.remove(chosen)
        taken += profiles[chosen]
        order.append(chosen)
    return order


def check_sizes(sizes: Sequence[int], texts: int) -> None:
    """Make sure that each of ``learning_curve.sizes`` is a part of the training texts.

    Raises:
        UserError: one is not; it says how many texts there are, and how to do without.
    """
    large = [size for size in sizes if size >= texts]
    if large:
        raise UserError(
            f"learning_curve.sizes: expected numbers below that of the training texts, {texts:,}, which "
            f"the final trainings have, found {large[0]:,}; [] leaves the learning curve out"
        )
