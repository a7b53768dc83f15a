"""Columns of a user's file that are no fields: the text, the record, the id and the split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_vs_api.cli.names import names_given
from lora_vs_api.cli.task_source import TaskSource
from lora_vs_api.config.dotted import keys_of, value_at
from lora_vs_api.data.columns import bookkeeping, split_column
from lora_vs_api.data.exports.chat import INSTRUCTION, RECORD, TEXT
from lora_vs_api.data.infer import id_column, object_in, record_column
from lora_vs_api.data.table import Table, names_of
from lora_vs_api.data.templates import taken_by, used_columns
from lora_vs_api.data.text_column import check_filled, text_column
from lora_vs_api.data.written import are_texts, is_written
from lora_vs_api.errors import UserError
from lora_vs_api.shown import in_a_row

MAX_DEPTH = 5  # of objects within objects in which a text is looked for
MAX_KINDS = 20  # columns that are told with what they hold
_NUMBER = re.compile(r"[^\w\s]?\s?[+-]?[\d.,'’ ]*\d\s?[^\w\s]?")
# what is asked, and of which text: Alpaca's and Dolly's columns, and those of questions
_ASKED = {"instruction": ("input", "context"), "question": ("context", "passage", "article")}


@dataclass(frozen=True)
class Roles:
    """Columns that are no fields: text (or a template over columns), record, id, and the split's."""

    text: str
    record: str | None
    id: str | None
    split: str | None
    answered: bool  # the record is what the assistant of a conversation answered

    @property
    def columns(self) -> tuple[str | None, ...]:
        return (self.text, self.record, self.id, self.split)


def roles_of(given: TaskSource, path: str, table: Table) -> Roles:
    """What the columns of a file are, as the user names them and else by what stands in them.

    Raises:
        UserError: no column holds texts.
    """
    rows = [columns for _, columns in table.rows]
    dropped, fields = set(names_given(given.drop)), set(names_given(given.fields))
    rest = [without_columns(row, dropped | fields) for row in rows]
    if not any(isinstance(value, str) for row in rest for value in row.values()):
        # the only writing may be named as a field too
        rest = [without_columns(row, dropped) for row in rows]
    spoken = table.conversations and TEXT not in dropped | fields
    text = given.text or (TEXT if spoken else _guessed_text(path, rest))
    record = given.record
    answered = record is None and table.conversations and any(RECORD in row for row in rows)
    if answered:
        # an assistant that answers in prose in some row: named with its line, and not taken for a text
        record = RECORD
    if record is None and RECORD not in dropped:
        # nor an object that the text lies within
        used = rows[0].keys() & used_columns(text).keys()
        others = [without_columns(row, (dropped | fields) - used) for row in rows]
        record = record_column(others, text, used)
        if record is not None and fields and _are_beside(fields, record, rows):
            record = None
        if record is None and fields:
            record = _holder(fields, rows)
    row_id = given.id or id_column([without_columns(row, dropped | fields) for row in rows])
    split = split_column([without_columns(row, dropped | fields) for row in rows])
    return Roles(text, record, row_id, None if split == given.group_by else split, answered)


def _are_beside(fields: set[str], record: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether ``fields`` are columns of a flat table, and none of them a key of the object in ``record``."""
    keys = {key for row in rows for key in object_in(row.get(record)) or ()}
    return not fields & keys and any(fields & row.keys() for row in rows)


def _holder(fields: set[str], rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The one column whose objects have all ``fields`` as keys, where none of these is a column."""
    names = names_of(rows)
    if not fields.isdisjoint(names):
        return None
    keys = {name: {key for row in rows for key in object_in(row.get(name)) or ()} for name in names}
    holders = [name for name in names if fields <= keys[name]]
    return holders[0] if len(holders) == 1 else None


def has_labels(given: TaskSource, rows: Sequence[Mapping[str, Any]], roles: Roles) -> bool:
    """Whether conversations have a record: the assistant's answer, or other columns, inferred or named."""
    if roles.record is not None or given.fields or given.schema:
        return True
    taken = {*roles.columns, given.group_by, INSTRUCTION, *names_given(given.drop)}
    names = names_of(rows)
    whole = taken_by(roles.text, rows).whole
    others = [name for name in names if name not in taken and name not in whole]
    return len(bookkeeping(rows, others, roles.text)) < len(others)


def _guessed_text(path: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The column of the texts, or what is asked and of what."""
    column = _text_column(path, rows)
    text = _with_instruction(column, rows)
    if text == column:
        try:
            check_filled(column, rows)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
    return text


def _text_column(path: str, rows: Sequence[Mapping[str, Any]]) -> str:
    same = {name for name in rows[0] if len(rows) > 1 and _is_constant(name, rows)}
    try:
        return text_column([without_columns(row, same) for row in rows])
    except UserError as error:
        hint = _inner_text(rows)
        if not hint and "--text" in str(error):
            kinds = [f"{name} ({_kind(rows, name)})" for name in rows[0]]
            hint = f"; there are {in_a_row(kinds, MAX_KINDS)}"
        raise UserError(f"{path}: {error}{hint}") from None


def _kind(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """What a column holds, in a word."""
    value = next((found for row in rows if (found := row.get(name)) is not None), None)
    cells = [cell.strip() for row in rows if isinstance(cell := row.get(name), str)]
    if any(cells) and all(_NUMBER.fullmatch(cell) for cell in cells if cell):
        # as a table has them
        return "numbers"
    kinds = (
        (str, "words"),
        (bool, "booleans"),
        (int | float, "numbers"),
        (list, "lists"),
        (dict, "objects"),
    )
    return next((word for kind, word in kinds if isinstance(value, kind)), "nothing")


def _with_instruction(text: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """``text`` with what is asked of it, where that is another thing in each row and stands in a column beside it."""
    names = {name for row in rows for name in row}
    for asked, inputs in _ASKED.items():
        name = next((name for name in inputs if name in names and text in (asked, name)), None)
        read = None if name is None else _words_of(name, rows)
        said = {row.get(asked) for row in rows} if read else set()
        if len(said) > 1 and all(isinstance(one, str) for one in said):
            return f"{{{{ {asked} }}}}{{% if {name} %}}\n\n{{{{ {read} }}}}{{% endif %}}"
    return text


def _words_of(name: str, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """How a template reads the words of a column that holds texts, lists of them, or objects with one of these; else None."""
    cells = [cell for row in rows if (cell := row.get(name)) is not None]
    if all(isinstance(cell, str) for cell in cells):
        return name
    if all(are_texts(cell) for cell in cells):
        return f'{name} | join("\\n\\n")'
    if not all(isinstance(cell, Mapping) for cell in cells):
        return None
    keys = [key for key in cells[0] if str(key).isidentifier()]
    # of several keys of PubMedQA's context the first that somebody wrote
    for key in keys:
        held = [cell.get(key) for cell in cells]
        if all(isinstance(one, str) and is_written(one) for one in held):
            return f"{name}.{key}"
        if all(are_texts(one) and any(map(is_written, one)) for one in held):
            return f'{name}.{key} | join("\\n\\n")'
    return None


def _is_constant(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column is the same text in every row, such as a status: nobody wrote that."""
    first = rows[0].get(name)
    return isinstance(first, str) and all(row.get(name) == first for row in rows)


def _inner_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """How to name the longest text that lies within objects of every row; empty where there is none."""
    found: dict[str, int] = {}
    for path in _paths(rows[0]):
        held = [value_at(row, path) for row in rows]
        # a moment in two words is none
        if all(isinstance(text, str) and is_written(text) for text in held):
            found[path] = sum(map(len, held))
    if not found:
        return ""
    longest = max(found, key=lambda path: found[path])
    return f", such as --text '{{{{ {longest} }}}}', a text within the column {longest.partition('.')[0]}"


def _paths(row: Mapping[str, Any]) -> Iterator[str]:
    """The dotted keys by which a template reaches what lies within a row's objects."""
    for path in keys_of(row):
        names = path.split(".")
        if 1 < len(names) <= MAX_DEPTH and all(map(str.isidentifier, names)):
            yield path


def without_columns(row: Mapping[str, Any], names: set[str]) -> Mapping[str, Any]:
    """A row without the columns called ``names``."""
    return {name: value for name, value in row.items() if name not in names}
