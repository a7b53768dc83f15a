"""What programs put around texts and labels that they export, undone one kind after another."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from lora_vs_api.data.exports.argilla import answered
from lora_vs_api.data.exports.chat import unrolled
from lora_vs_api.data.exports.choices import with_lists
from lora_vs_api.data.exports.completions import without_marks
from lora_vs_api.data.exports.entities import with_words
from lora_vs_api.data.exports.envelopes import unwrapped
from lora_vs_api.data.exports.mturk import asked_and_answered
from lora_vs_api.data.exports.pieces import with_entities_of_pieces
from lora_vs_api.data.exports.prodigy import accepted
from lora_vs_api.data.exports.word_places import as_words
from lora_vs_api.data.exports.word_tags import with_entities_of_tags
from lora_vs_api.data.table import Table


@dataclass(frozen=True)
class Known:
    """What is known of a file beside its rows, as :func:`lora_vs_api.data.tables.load_table` takes it."""

    path: Path
    text: str | None
    objects: Collection[str]
    asked: bool


# Each takes what those before it have left, and gives back a table that is none of its kind as it is. PostgreSQL's
# arrays (arrays.py) are undone cell by cell, databases' names of types (databases.py) value by value, as the file is read.
_STEPS: tuple[Callable[[Table, Known], Table], ...] = (
    # OpenAI's legacy completions: marks at the end of every prompt and completion
    lambda table, known: without_marks(table),
    # Mechanical Turk: columns about task and worker, answers that were rejected
    lambda table, known: asked_and_answered(table),
    # Argilla: every annotator's answer to a question, and what a model suggested
    lambda table, known: answered(table),
    # fine-tuning services: turns of a conversation instead of a text and its record
    lambda table, known: unrolled(str(known.path), table, known.asked),
    # Prodigy: what was decided of each row, and its own columns
    lambda table, known: accepted(table),
    # Elasticsearch, Airtable, the Hub: the whole row as an object within it
    lambda table, known: unwrapped(known.path, table, known.text, known.objects),
    # Snips: a text in pieces, some of them entities
    lambda table, known: with_entities_of_pieces(table, known.text),
    # CoNLL: a tag for every word
    lambda table, known: with_entities_of_tags(table, known.text),
    # CLUENER: places beside every word
    lambda table, known: as_words(table),
    # Label Studio, doccano, Prodigy: numbers of an entity's characters instead of its words
    lambda table, known: with_words(table),
    # Label Studio, doccano: {"choices": [...]} around labels, a list around the only one
    lambda table, known: with_lists(table, (known.text, *known.objects)),
)


def as_meant(table: Table, known: Known) -> Table:
    """``table`` without what programs put around texts and labels; what was undone is added to its notes.

    Raises:
        UserError: a form that is known and not read, or rows that do not fit theirs.
    """
    for step in _STEPS:
        table = step(table, known)
    return table
