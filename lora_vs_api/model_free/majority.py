"""The same record for every text: the one of common values that scores best on the training texts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from lora_vs_api.record.fields import Field
from lora_vs_api.scoring.scores import score_value

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row

Floats = NDArray[np.float64]


class Majority:
    """Each field's commonest value in training, whatever the text.

    A field that may be empty and mostly is has nothing as its commonest value, and a pair of nothings
    counts for nothing in the score. There the commonest value that says something is answered instead,
    where the record then has the higher mean field F1 on the training texts. One field after the other
    is chosen, the one that gains most first, until none gains.
    """

    def __init__(self, rows: Sequence[Row], fields: Sequence[Field]) -> None:
        choices = {
            field.name: _choices(field, [row["record"][field.name] for row in rows])
            for field in fields
        }
        # what is commonest of all comes first, and stays where nothing scores better
        starts = [[0] * len(fields), [len(found) - 1 for found in choices.values()]]
        chosen = max(
            (_climbed(start, list(choices.values())) for start in starts),
            key=lambda places: _mean_f1(places, list(choices.values())),
        )
        self.record = {
            name: found[place].value for (name, found), place in zip(choices.items(), chosen)
        }

    def predict(self, text: str) -> dict[str, Any]:
        return dict(self.record)


@dataclass(frozen=True)
class Choice:
    """A value for a field and, for each training text, shape (n,), how it scores and what it weighs.

    As in :attr:`lora_vs_api.scoring.scores.Score.field_f1`: half for the record that fills the field
    and half for the answer that does, both where the field has to be there.
    """

    value: Any
    scores: Floats
    weights: Floats


def _choices(field: Field, golds: Sequence[Any]) -> list[Choice]:
    """The commonest value and, where it says nothing, the commonest that says something."""
    values = [commonest(golds)]
    filled = [gold for gold in golds if field.holds(gold)]
    if field.may_be_empty and filled and not field.holds(values[0]):
        values.append(commonest(filled))
    keys = [_json(gold) for gold in golds]
    distinct = dict(zip(keys, golds))
    wanted = np.array([not field.may_be_empty or field.holds(gold) for gold in golds], dtype=float)
    found = []
    for value in values:
        score_of = {key: score_value(value, gold, field) for key, gold in distinct.items()}
        given = float(not field.may_be_empty or field.holds(value))
        found.append(Choice(value, np.array([score_of[key] for key in keys]), (wanted + given) / 2))
    return found


def _mean_f1(places: Sequence[int], choices: Sequence[Sequence[Choice]]) -> float:
    """Mean field F1 of the record that has the choice of that place for each field."""
    chosen = [found[place] for found, place in zip(choices, places)]
    weights = np.sum([choice.weights for choice in chosen], axis=0)
    right = np.sum([choice.scores * choice.weights for choice in chosen], axis=0)
    # of two records that say nothing at all the score is 1
    return float(np.divide(right, weights, out=np.ones_like(right), where=weights > 0).mean())


def _climbed(start: Sequence[int], choices: Sequence[Sequence[Choice]]) -> list[int]:
    """From ``start`` one other choice at a time, the best one, for as long as one gains."""
    places, best = list(start), _mean_f1(start, choices)
    while True:
        others = [
            [*places[:at], 1 - places[at], *places[at + 1 :]]
            for at, found in enumerate(choices)
            if len(found) == 2
        ]
        scores = [_mean_f1(other, choices) for other in others]
        if not scores or max(scores) <= best + 1e-12:
            return places
        best = max(scores)
        places = others[scores.index(best)]


def commonest(values: Sequence[Any]) -> Any:
    """The value that is there most often, lists and objects as a whole.

    Of several such values the first in the order of their JSON, its keys sorted.
    """
    first: dict[str, Any] = {}
    for value in values:
        first.setdefault(_json(value), value)
    counts = Counter(map(_json, values))
    return first[min(counts, key=lambda key: (-counts[key], key))]


def _json(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer()
    text = json.dumps(int(value) if whole else value, sort_keys=True, ensure_ascii=False)
    # one value in two Unicode forms is one
    return normalize("NFC", text)
