"""What a user says of their file to ``lora-vs-api init``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskSource:
    """What the user says of their file; what is None is inferred.

    ``file``: labelled rows, or a dataset, of which ``split`` and ``revision`` are taken. ``text``,
    ``record``, ``id`` and ``group_by`` are columns, ``fields`` and ``drop`` several with commas. ``force`` writes over a task
    of that ``name`` in ``conf``. ``encoding`` is that of a text file that is no UTF-8. ``rename`` has ``column=field``
    for each field that is called otherwise; with ``omit_nulls`` an empty field is no key of an answer.
    """

    file: str
    split: str | None
    revision: str | None
    name: str | None
    noun: str
    text: str | None
    record: str | None
    id: str | None
    fields: str | None
    schema: str | None
    group_by: str | None
    encoding: str | None
    conf: str
    force: bool
    drop: str | None = None
    rename: tuple[str, ...] = ()
    omit_nulls: bool = False
