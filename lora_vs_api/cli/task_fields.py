"""The fields of a task, inferred from a user's rows or taken from a schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

from lora_vs_api.cli.names import names_given
from lora_vs_api.cli.roles import Roles
from lora_vs_api.cli.schema_file import read_schema
from lora_vs_api.cli.task_source import TaskSource
from lora_vs_api.config.literal import can_be_kept
from lora_vs_api.data.columns import ANOTHER_TEXT, EMPTY, always_the_same, bookkeeping
from lora_vs_api.data.from_schema import fields_from_json_schema
from lora_vs_api.data.infer import Inferred, SeveralTypes, Texts, infer_fields
from lora_vs_api.data.json_values import cell_value
from lora_vs_api.data.table import Rows, names_of
from lora_vs_api.data.tables import TEXT_TABLES, file_format, split_files
from lora_vs_api.data.templates import Taken, taken_by, text_reader
from lora_vs_api.data.within import empty_within, paths_within, without
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import OMIT
from lora_vs_api.shown import did_you_mean

# where the answer begins in texts that hold both: Alpaca, Guanaco, Llama 2, ChatML and their like
_ANSWERED = re.compile(
    r"###? ?(?:Response|Assistant|Answer|Output)\b|\[/INST\]|<\|im_start\|>assistant|<\|assistant\|>|<start_of_turn>model"
    r"|<\|start_header_id\|>assistant|(?m:^ ?(?:assistant|bot|gpt|ai): )",
    re.IGNORECASE,
)
MAX_NAME = 200  # characters of a field's name
DROPPED = "by --drop"
MAX_TAGS = 100  # different ones of words
A_TAG = 5  # words of each, on average and at least


def check_kept(path: str, names: Sequence[str | None], what: str = "name") -> None:
    """Refuse what a config cannot hold, before it is written and read as something else.

    Raises:
        UserError: a control character in one of ``names``, or a name that is a whole text.
    """
    for name in names:
        if name is not None and not can_be_kept(name):
            raise UserError(
                f"{path}: {name!r:.80}: expected a {what} without control characters, and not ???"
            )


def check_names(path: str, specs: Mapping[str, Mapping[str, Any]], hint: str) -> None:
    """The same for names and labels of fields.

    Raises:
        UserError: a control character in one of them, or a field's name that is a whole text.
    """
    every = list(_every_spec(specs))
    names = [name for name, _ in every if name is not None]
    for name in names:
        if not name or len(name) > MAX_NAME:
            raise UserError(
                f"{path}: expected names of 1 to {MAX_NAME} characters, found {name!r:.80}{hint}"
            )
    check_kept(path, names)
    check_kept(path, [label for _, spec in every for label in spec.get("values", ())], "label")
    check_kept(path, [spec.get("description") for _, spec in every], "description")


def _every_spec(
    specs: Mapping[str, Mapping[str, Any]] | Mapping[None, Mapping[str, Any]],
) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
    """Every field's name and spec, those within others included; a list's items have no name."""
    for name, spec in specs.items():
        yield name, spec
        yield from _every_spec(spec.get("fields", {}))
        if "items" in spec:
            yield from _every_spec({None: spec["items"]})


def _of_a_comma(name: str, names: Sequence[str]) -> str:
    """How a column is named whose name holds a comma, where ``name`` may be a part of such a one."""
    whole = next(
        (each for each in names if name in map(str.strip, each.split(",")) and "," in each), None
    )
    return "" if whole is None else f"; a name that holds a comma stands in quotes: '\"{whole}\"'"


def fields_of(
    given: TaskSource, path: str, table: Rows, roles: Roles
) -> tuple[dict[str, Inferred], dict[str, str], list[str]]:
    """The record's fields, what of file or schema is none and why, and keys of the record to drop."""
    rows = [columns for _, columns in table]
    columns = names_of(rows)
    named, dropped = names_given(given.fields), names_given(given.drop)
    both = [name for name in named if name in dropped]
    if both:
        raise UserError(f"--drop: {both[0]!r} is among --fields; expected it in one of them")
    if given.schema and named:
        raise UserError("--fields: --schema names the fields; expected one of the two")
    values: list[Mapping[str, Any]] = rows
    if given.record and given.record not in columns:
        raise UserError(
            f"--record: no column {given.record!r}{did_you_mean(given.record, columns)}; there are {', '.join(columns)}"
        )
    if roles.record is not None:
        what, hint = roles.record, ""
        if roles.answered:
            what = f"{roles.record}, the assistant's answer"
        elif not given.record:
            hint = (
                "; label the row, remove it, or say by --fields which columns are the record's; "
                f"--drop {roles.record} leaves out an object that is none of it"
            )
        values = [_object(row.get(roles.record), f"{place}: {what}", hint) for place, row in table]
    names = list(dict.fromkeys(name for value in values for name in value))
    where = "column" if roles.record is None else f"key in {roles.record}"
    for option, wanted, known in (
        ("--fields", named, names),
        ("--drop", dropped, [*names, *columns, *(paths_within(values) if dropped else ())]),
    ):
        for name in wanted:
            if name not in known:
                inner = [path for path in known if path.endswith(f".{name}")][:1]
                meant = f" (did you mean {inner[0]}?)" if inner else did_you_mean(name, known)
                raise UserError(
                    f"{option}: no {where} {name!r}{meant}; there are {', '.join(names)}{_of_a_comma(name, names)}"
                )
    new_names = _new_names(given.rename, names, where)
    text = taken_by(roles.text, rows)
    empty = [] if given.schema else empty_within(values)
    if given.schema:
        called = [new_names.get(name, name) for name in names]
        inferred, left_out = _schema_fields(given.schema, called, dropped)
    else:
        of_text = text if roles.record is None else Taken()
        inferred, left_out = _inferred_fields(given, path, values, names, roles, of_text, empty)
    empty = [inner for inner in empty if inner.partition(".")[0] in inferred]
    left_out |= dict.fromkeys(empty, "empty objects")
    inferred = _renamed(inferred, new_names)
    keys = [] if roles.record is None else [name for name in names if name in {*left_out, *dropped}]
    keys += [*(name for name in dropped if name not in {*names, *columns}), *empty]
    if roles.record is None:
        keys += [part for part in text.parts if part.partition(".")[0] in inferred]
    else:
        used = {*roles.columns, given.group_by}
        left_out |= {
            name: f"beside {roles.record}, which holds the record"
            for name in columns
            if name not in used and name not in text.whole
        }
    return inferred, left_out, keys


def _new_names(given: Sequence[str], names: Sequence[str], where: str) -> dict[str, str]:
    """Column or key → the name of the field that comes from it."""
    found: dict[str, str] = {}
    for pair in given:
        # a column's name may hold =, a field's hardly does
        old, _, new = (part.strip() for part in normalize("NFC", pair).rpartition("="))
        if not old or not new:
            raise UserError(f'--rename: expected "column=field", found {pair!r:.80}')
        if old not in names:
            raise UserError(
                f"--rename: no {where} {old!r}{did_you_mean(old, names)}; there are {', '.join(names)}"
            )
        if old in found or new in found.values():
            raise UserError(f"--rename: expected no name twice, found {pair!r:.80}")
        found[old] = new
    return found


def _renamed(inferred: Mapping[str, Inferred], new_names: Mapping[str, str]) -> dict[str, Inferred]:
    """The fields under their new names, each with the column or key that it comes ``from``.

    Raises:
        UserError: a column that is no field, or a name that another field has.
    """
    origins = {new: old for old, new in new_names.items()}
    found: dict[str, Inferred] = {}
    for field, one in inferred.items():
        # a schema names its fields already as they shall be called
        name = new_names.get(field, field)
        if name in found:
            raise UserError(f"--rename: {name!r} is a field already")
        spec = {"from": origins[name], **one.spec} if name in origins else one.spec
        found[name] = replace(one, spec=spec)
    for new, old in origins.items():
        if new not in found:
            raise UserError(
                f"--rename: {old!r} is no field of the record; --fields names the fields"
            )
    return found


def omitting(spec: Mapping[str, Any]) -> dict[str, Any]:
    """``spec`` with ``optional: omit`` where it says true; a list's item has no key to leave out."""
    found = dict(spec)
    if found.get("optional"):
        found["optional"] = OMIT
    if "fields" in found:
        found["fields"] = {name: omitting(inner) for name, inner in found["fields"].items()}
    if "items" in found:
        items = omitting(found["items"])
        found["items"] = items | ({"optional": True} if items.get("optional") else {})
    return found


def _schema_fields(
    schema: str, names: Sequence[str], dropped: Sequence[str]
) -> tuple[dict[str, Inferred], dict[str, str]]:
    """The fields of a schema, but for those that may be empty and that no row has."""
    specs = fields_from_json_schema(read_schema(schema), schema)
    check_names(f"--schema: {schema}", specs, "")
    left_out = {
        name: DROPPED if name in dropped else "in the schema and in no row: nothing to learn"
        for name, spec in specs.items()
        if name in dropped or (spec.get("optional") and name not in names)
    }
    if len(left_out) == len(specs):
        raise UserError(
            f"--schema: {schema}: no row has any of {', '.join(specs)}; there are {', '.join(names)}"
        )
    fields = {
        name: Inferred(spec, f"from {schema}")
        for name, spec in specs.items()
        if name not in left_out
    }
    return fields, left_out


def _inferred_fields(
    given: TaskSource,
    path: str,
    values: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    roles: Roles,
    text: Taken,
    empty: Sequence[str],
) -> tuple[dict[str, Inferred], dict[str, str]]:
    """Fields of the ``values`` but for what the ``text`` takes of them and the paths of ``empty`` objects."""
    named, dropped = names_given(given.fields), names_given(given.drop)
    flat = roles.record is None
    others = {*roles.columns, given.group_by} if flat else set()
    others |= text.whole
    rest = [name for name in names if name in named or name not in others]
    inner = [*(name for name in dropped if name not in names), *empty]
    left_out = {name: DROPPED for name in [*rest, *inner] if name in dropped}
    inner += text.parts
    left_out |= dict.fromkeys(text.parts, "the text")
    if named:
        left_out |= {name: "not in --fields" for name in rest if name not in named}
    elif flat:
        open_ = [name for name in rest if name not in left_out]
        left_out |= bookkeeping(values, open_, roles.text)
        why = "the text is a part of it; --fields names it as a field all the same"
        left_out |= {name: why for name in open_ if name in text.lists}
    else:
        whys = {name: always_the_same([row.get(name) for row in values]) for name in rest}
        left_out |= {name: why for name, why in whys.items() if why and name not in left_out}
    words = text_reader(roles.text, names_of(values if flat else ()))
    kept = named or [name for name in rest if name not in left_out]
    for name in named if flat else ():
        if always_the_same([row.get(name) for row in values]) == EMPTY:
            raise UserError(
                f"{path}: --fields: {name} is {EMPTY}; expected columns that hold something"
            )
    if not kept:
        told = "".join(
            f"; {name}: {'another text, beside ' + roles.text if why.startswith(ANOTHER_TEXT) else why}"
            for name, why in left_out.items()
        )
        if flat and _hold_answers([words(row) for row in values]):
            raise UserError(
                f"{path}: {roles.text}: question and answer stand in one text; write two columns, of the text and of its record, "
                "or a conversation"
            )
        if not left_out and flat:
            # an id and what groups rows say nothing of the text
            beside = [name for name in names if name != roles.text]
            raise UserError(
                f"{path}: expected labels beside the text, found no column but {' and '.join([roles.text, *beside])}"
            )
        named_by = "" if set(left_out.values()) <= {EMPTY} else "; name the record's with --fields"
        raise UserError(f"{path}: no column beside the text{told}{named_by}")
    if flat and kept == [roles.text]:
        raise UserError(
            f"{path}: --fields: {roles.text} is the text itself; expected columns of what it says"
        )
    left = [without(row, inner) for row in values]
    texts: Texts = "columns"
    if not flat:
        texts = "json"
    elif file_format(path) in TEXT_TABLES or _is_folder_of_cells(path):
        texts = "cells"
    if flat:
        _check_no_tags(path, values, kept, [words(row) for row in values])
    try:
        fields = infer_fields({name: [row.get(name) for row in left] for name in kept}, texts)
    except SeveralTypes as error:
        raise UserError(f"{path}: {error.with_advice(kept)}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return fields, left_out


def _hold_answers(texts: Sequence[str]) -> bool:
    """Whether most texts go on with what an assistant has answered, as some trainings' one column does."""
    return 2 * sum(bool(_ANSWERED.search(text)) for text in texts) > len(texts)


def _check_no_tags(
    path: str, rows: Sequence[Mapping[str, Any]], names: Sequence[str], texts: Sequence[str]
) -> None:
    """Make sure that no list says something of each word of its text: a field's list is scored without its order.

    Nor a text of as many words, few of them different.

    Raises:
        UserError: one is as long in every row as a list of the text's words.
    """
    for name in names:
        tags = [cell.split() if isinstance(cell := row.get(name), str) else [] for row in rows]
        counts, tagged = [len(each) for each in tags], {tag for each in tags for tag in each}
        if (
            counts == [len(text.split()) for text in texts]
            and len(set(counts)) > 1
            and len(tagged) <= MAX_TAGS
            and sum(counts) > A_TAG * len(tagged)
        ):
            raise _of_each_word(path, name, "word of the text")
    words = [
        name
        for name in names_of(rows)
        if all(_are_words_of(row.get(name), text) for row, text in zip(rows, texts))
    ]
    for name in names:
        lengths = [len(cell) if isinstance(cell := row.get(name), list) else 0 for row in rows]
        for word in words:
            if (
                word != name
                and len(set(lengths)) > 1
                and lengths == [len(row[word]) for row in rows]
            ):
                raise _of_each_word(path, name, f"of {word}")


def _of_each_word(path: str, name: str, words: str) -> UserError:
    return UserError(
        f"{path}: {name}: says something of each {words}, whose order no field's score counts; write what is "
        f'marked, such as {{"text": "John Smith", "label": "PER"}}, or leave the column out (--drop {name})'
    )


def _are_words_of(cell: Any, text: str) -> bool:
    """Whether a list holds a text's words, all of them."""
    if not (isinstance(cell, list) and cell and all(isinstance(word, str) for word in cell)):
        return False
    return "".join("".join(cell).split()) == "".join(text.split())


def _is_folder_of_cells(path: str) -> bool:
    if not Path(path).is_dir():
        return False
    files = split_files(Path(path)).values()
    return all(file_format(file) in TEXT_TABLES for file in files)


def _object(value: Any, where: str, hint: str) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = cell_value(value)
        except ValueError as error:
            raise UserError(
                f"{where}: expected a JSON object, found {value!r:.60} ({error}){hint}"
            ) from None
    if not isinstance(value, Mapping):
        found = "none" if value is None else f"{value!r:.60}"
        raise UserError(f"{where}: expected a JSON object, found {found}{hint}")
    return value
