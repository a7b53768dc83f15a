"""A labelled text, as one line of data/corpus.jsonl, data/split/*.jsonl and data/perturb.jsonl."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Row(TypedDict):
    """One labelled text: a unique id, the text, and the record of its fields (``task.fields``)."""

    id: str
    text: str
    record: dict[str, Any]
    # what the text belongs to, by column: its customer say, or the generator's situation. In the corpus
    # alone: what models are shown does not change with it, and data/split/groups.jsonl has it
    meta: NotRequired[dict[str, str]]


class PerturbedRow(Row):
    """A perturbed text. ``of`` is the id of the row that it was made from."""

    of: str
    perturbation: str
