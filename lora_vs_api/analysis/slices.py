"""Scores of the test texts by the value of a column or of a field: which of them are harder, and for whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lora_vs_api.analysis.compare import decided_difference
from lora_vs_api.analysis.condition import ConditionRuns, rounded_interval
from lora_vs_api.analysis.results import Slice, SliceRow
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import GROUPS
from lora_vs_api.stats.bootstrap import Draws
from lora_vs_api.stats.clusters import Labels
from lora_vs_api.stats.variance import random_effects_score

MAX_VALUES = 12  # rows of a table; texts of rarer values are taken together
EMPTY = "(empty)"


def slices_of(
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    runs: Sequence[ConditionRuns],
    draws: Draws,
    groups: Labels | None,
) -> tuple[Slice, ...]:
    """One for each of ``names``, a field of the record or a column that ``split`` kept.

    Args:
        rows: the test texts, in the order of the runs.
        runs: the fine-tune's first, then the others', each of one run or of one for each of the fine-tune's seeds.
        groups: label of each text; texts of one group are counted together.
    """
    kept = {line["id"]: line.get("slices", {}) for line in read_jsonl(GROUPS)} if names else {}
    return tuple(
        slice_of(
            name,
            [
                value_words(row["record"][name])
                if name in row["record"]
                else kept[row["id"]].get(name) or EMPTY
                for row in rows
            ],
            runs,
            draws,
            groups,
        )
        for name in names
    )


def value_words(value: Any) -> str:
    """A field's value as a row of the table is called."""
    if value is None or value == "":
        return EMPTY
    return str(value).lower() if isinstance(value, bool) else str(value)


def slice_of(
    name: str,
    values: Sequence[str],
    runs: Sequence[ConditionRuns],
    draws: Draws,
    groups: Labels | None,
) -> Slice:
    """The table of one column, whose ``values`` are those of the texts; the commonest first."""
    places, rest = places_by_value(values)
    rows = [_row(value, found, runs, draws, groups) for value, found in places.items()]
    return Slice(
        by=name,
        rows=tuple(rows),
        others=_row("", rest, runs, draws, groups) if rest else None,
        other_values=len(set(values)) - len(places),
    )


def places_by_value(values: Sequence[str]) -> tuple[dict[str, list[int]], list[int]]:
    """Where each of the :data:`MAX_VALUES` commonest values stands, the commonest first, and where the others do."""
    common = [value for value, _ in Counter(values).most_common(MAX_VALUES)]
    places = {
        value: [place for place, found in enumerate(values) if found == value] for value in common
    }
    return places, [place for place, found in enumerate(values) if found not in places]


def _row(
    value: str,
    places: Sequence[int],
    runs: Sequence[ConditionRuns],
    draws: Draws,
    groups: Labels | None,
) -> SliceRow:
    lora, others = runs[0], runs[1:]
    own = np.stack([run.field_f1[places] for run in lora.runs])
    theirs = {item.name: np.stack([run.field_f1[places] for run in item.runs]) for item in others}
    taken = None if groups is None else groups.take(places)
    clusters = len(places) if taken is None else taken.number
    # of one nothing can be told about others
    alone = clusters < 2
    return SliceRow(
        value=value,
        texts=len(places),
        clusters=clusters,
        lora=round(float(own.mean()), 6),
        interval=None
        if alone
        else rounded_interval(random_effects_score(own, draws, groups=taken)),
        scores={name: round(float(found.mean()), 6) for name, found in theirs.items()},
        differences={}
        if alone
        else {
            name: decided_difference(own - found, draws.confidence, taken)
            for name, found in theirs.items()
        },
    )
