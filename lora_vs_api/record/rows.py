"""A labelled text, as one line of data/corpus.jsonl, data/split/*.jsonl and data/perturb.jsonl."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Row(TypedDict):
    """One labelled text: a unique id, the text, and the record of its fields (``task.fields``)."""

    id: str
    text: str
    record: dict[str, Any]
    # what the generator says of how it wrote the text; no node but corpus looks at it
    meta: NotRequired[dict[str, str]]


class PerturbedRow(Row):
    """A perturbed text. ``of`` is the id of the row that it was made from."""

    of: str
    perturbation: str
