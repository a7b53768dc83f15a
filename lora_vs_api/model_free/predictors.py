"""Records without a model: what a fine-tune has to beat before it is worth its training.

All that they know is the training split. They work on any task's fields, and what they predict is a
whole record with allowed values, since every part of it is a training record's or, where a field is
any text, the text's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lora_vs_api.model_free.copying import Copier
from lora_vs_api.model_free.majority import Majority
from lora_vs_api.neighbours.tfidf import Neighbours
from lora_vs_api.record.fields import Field

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row

Record = dict[str, Any]


class Predictor(Protocol):
    """What has been learnt, ready to be asked about a text."""

    def predict(self, text: str) -> Record: ...


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
