"""The task, its texts and their split; read by the nodes before any training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from lora_vs_api.config.sections.base import (
    Count,
    FilePath,
    Line,
    Natural,
    Positive,
    Section,
    Seed,
    Share,
)
from lora_vs_api.record import fields as record


class GeneratedData(Section):
    """Texts drawn from the hand-written situations in ``path``."""

    source: Literal["generator"]
    path: str
    n: Count
    seed: Seed
    categories: dict[str, Share]
    sentiments: dict[str, Share]


class FileData(Section):
    """Labelled rows of the user's own; without ``record``, one column a field.

    ``encoding`` is that of a text file that is no UTF-8 and has no byte order mark. ``drop`` names keys
    of ``record`` that are left out, and by their path keys of objects within, such as ``spans.user``.
    """

    source: Literal["file"]
    path: FilePath
    text: str
    record: str | None = None
    id: str | None = None
    encoding: str | None = None
    drop: Annotated[
        list[str] | None,
        Field(
            description="a list of keys of the record, or of objects within, such as [notes, spans.user], or null"
        ),
    ] = None


Data = Annotated[GeneratedData | FileData, Field(discriminator="source")]


GroupBy = Annotated[
    Annotated[str, Field(min_length=1)] | None,
    Field(description="the name of a column, such as customer, or null"),
]


class TaskField(Section):
    """A field of the record; lora_vs_api.record.fields says which keys belong to which type."""

    type: Literal["string", "enum", "integer", "number", "boolean", "list", "object"]
    score: Annotated[
        Literal["exact", "normalised", "token_f1", "tolerance", "set_f1", "slot_f1"] | None,
        Field(description="exact, normalised, token_f1, tolerance, set_f1 or slot_f1"),
    ] = None
    values: Annotated[
        list[str] | None,
        Field(
            description="a list of texts, with quotes around what YAML takes for a number, a date or yes "
            'and no, such as ["1", "yes"]'
        ),
    ] = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    optional: Annotated[
        bool | Literal["omit"],
        Field(description="true, false, or omit for a null that is no key of the record"),
    ] = False
    tolerance: int | float | None = None
    items: TaskField | None = None
    fields: dict[str, TaskField] | None = None
    description: Annotated[
        str | None,
        Field(pattern=r"\S", description="a text that every model is told of the field, or null"),
    ] = None
    # left out where it is null: a digest of the task stays what it was
    from_: Annotated[
        str | None,
        Field(
            alias="from",
            exclude_if=lambda value: value is None,
            min_length=1,
            description="the name of a column, or of a key of the record, that holds the field; or null",
        ),
    ] = None


class Task(Section):
    """What every model is told, an instruction and the record's fields; and which texts are alike.

    ``group_by`` names the column (or the generator's own word, situation) whose texts are counted
    as belonging together, and ``weights`` how many times a field counts in a record's F1 that does not
    count once. No model is told of either.
    """

    fields: Annotated[dict[str, TaskField], Field(min_length=1)]
    weights: dict[str, Positive]
    instruction: Annotated[str, Field(pattern=r"\S", description="a text")]
    group_by: GroupBy

    @property
    def field_specs(self) -> dict[str, dict[str, Any]]:
        """The fields as plain mappings, as lora_vs_api.record.fields takes them."""
        return {
            name: spec.model_dump(exclude_unset=True, by_alias=True)
            for name, spec in self.fields.items()
        }

    @property
    def record_fields(self) -> tuple[record.Field, ...]:
        """The fields as everything that shows, writes or reads a record takes them."""
        return record.fields_from_config(self.field_specs)

    @property
    def scored_fields(self) -> tuple[record.Field, ...]:
        """The fields with their weights, as everything that scores a record takes them."""
        return record.weighted(self.record_fields, self.weights)


class Shares(Section):
    train: Share
    val: Share
    test: Share


class Split(Section):
    """Who decides which texts train: ``column`` where one is named, else ``shares`` and chance."""

    column: GroupBy
    shares: Shares
    stratify_by: str | None
    group_by: GroupBy
    set_aside: Natural
    seed: Seed


class Review(Section):
    sample: Count
    seed: Seed


class Contamination(Section):
    rows: Count
    field: str | None
    threshold: Share
    seed: Seed


class SeeAlso(Section):
    """Another run's report on the same task; ``path`` is relative to the repository."""

    title: Line
    path: Annotated[
        str,
        Field(
            pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$",
            description="a path in the repository, such as docs/results/new-situations/report.md",
        ),
    ]
