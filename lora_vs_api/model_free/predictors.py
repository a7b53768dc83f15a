"""Records without a model: what a fine-tune has to beat before it is worth its training.

All that they know is the training split. They work on any task's fields, and what they predict is a
whole record with allowed values, since every part of it is a training record's or, where a field is
any text, the text's own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from unicodedata import normalize

from lora_vs_api.model_free.copying import Copier
from lora_vs_api.neighbours.tfidf import Neighbours
from lora_vs_api.record.fields import Field

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row

Record = dict[str, Any]


class Predictor(Protocol):
    """What has been learnt, ready to be asked about a text."""

    def predict(self, text: str) -> Record: ...


class Majority:
    """Each field's commonest value in training, whatever the text."""

    def __init__(self, rows: Sequence[Row], fields: Sequence[Field]) -> None:
        self.record = {
            field.name: commonest([row["record"][field.name] for row in rows]) for field in fields
        }

    def predict(self, text: str) -> Record:
        return dict(self.record)


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


class Nearest:
    """The record of the training text that is most like this one; see :class:`Neighbours`."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.neighbours = Neighbours([row["text"] for row in rows])

    def index(self, text: str) -> int:
        """Of the nearest training row."""
        return self.neighbours.nearest(text, 1)[0]

    def predict(self, text: str) -> Record:
        return self.rows[self.index(text)]["record"]


class NearestCopy:
    """The nearest text's record, with what stands in this text taken from it."""

    def __init__(self, rows: Sequence[Row], fields: Sequence[Field]) -> None:
        self.nearest = Nearest(rows)
        self.copier = Copier(rows, fields)

    def predict(self, text: str) -> Record:
        return self.copier.copied(text, self.nearest.predict(text))


def learn(name: str, rows: Sequence[Row], fields: tuple[Field, ...]) -> Predictor:
    """The predictor ``name`` of ``model_free``, learnt from the training ``rows``, at least one."""
    makers: Mapping[str, type[Majority | NearestCopy]] = {
        "majority": Majority,
        "nearest_copy": NearestCopy,
    }
    return Nearest(rows) if name == "nearest" else makers[name](rows, fields)
