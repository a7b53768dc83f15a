"""``lora-vs-api init``: a task config from a sample of the user's own file."""

from __future__ import annotations

import importlib
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unicodedata import combining, normalize

from lora_vs_api.config.fields import checked_fields
from lora_vs_api.config.literal import can_be_kept, is_plain_word, key_text, shown, yaml_text
from lora_vs_api.data.dataset_source import HUB, is_dataset, write_parquet
from lora_vs_api.data.from_schema import fields_from_json_schema
from lora_vs_api.data.infer import (
    Inferred,
    Texts,
    id_column,
    infer_field,
    record_column,
    text_column,
    text_kind,
)
from lora_vs_api.data.json_values import cell_value, json_value
from lora_vs_api.data.perturbation import KINDS
from lora_vs_api.data.source import is_template, read_source
from lora_vs_api.data.tables import load_table
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_text
from lora_vs_api.log import say
from lora_vs_api.record.fields import Field
from lora_vs_api.record.prompt import completion
from lora_vs_api.validation.records import expected

MIN_ROWS = 20
# with fewer rows there are not more training texts than the largest of the laptop profile's curve
FEW_ROWS = 240
# a record's JSON is names and punctuation: tokens are shorter than in prose
CHARACTERS_A_TOKEN = 2.5
MAX_NAME = 200  # characters of a field's name


@dataclass(frozen=True)
class TaskSource:
    """What the user says of their file; what is None is inferred.

    ``file``: labelled rows, or a dataset, of which ``split`` and ``revision`` are taken. ``text``,
    ``record``, ``id`` and ``group_by`` are columns, ``fields`` several with commas. ``force`` writes over a task
    of that ``name`` in ``conf``. ``encoding`` is that of a text file that is no UTF-8.
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


def write_task(given: TaskSource) -> None:
    """Infer a task's config from labelled rows and write it, a dataset's rows beside it.

    Raises:
        UserError: a file that cannot be read, rows that are too few or do not fit, or a task that
            is there already.
    """
    given = _composed(given)
    name = _task_name(given)
    target = Path(given.conf, "task", f"{name}.yaml")
    if target.exists() and not given.force:
        raise UserError(f"{target}: is already there; --force writes over it, --name names another")
    if not is_dataset(given.file):
        for option in ("split", "revision"):
            if getattr(given, option):
                raise UserError(f"--{option}: {given.file} is a file and has none")
        if given.encoding and Path(given.file).suffix.lower() == ".parquet":
            raise UserError("--encoding: of a text file, not of Parquet")
        _write_task(given, name, given.file, given.file, target)
        return
    if given.encoding:
        raise UserError("--encoding: of a text file, not of a dataset")
    path = Path("data", f"{name}.parquet")
    if path.exists() and not given.force:
        raise UserError(f"{path}: is already there; --force writes over it, --name names another")
    rows, origin = write_parquet(given.file, given.split, given.revision, path)
    say(f"{rows:,} rows of {origin} written to {path}")
    try:
        _write_task(given, name, str(path), origin, target)
    except UserError:
        path.unlink()
        raise


def _composed(given: TaskSource) -> TaskSource:
    """With the names of columns in NFC, as those of the file are read."""
    named = ("text", "record", "id", "fields", "group_by")
    found: dict[str, Any] = {
        key: normalize("NFC", name) for key in named if (name := getattr(given, key))
    }
    return replace(given, **found)


def _task_name(given: TaskSource) -> str:
    """A name that is one word to a shell, to make and to Hydra; the file's, in the letters a to z."""
    if given.name is not None:
        if not is_plain_word(given.name):
            raise UserError(
                "--name: expected letters a to z, digits and _, a letter first, and no word such as null, "
                f"found {given.name!r}"
            )
        return given.name
    stem = Path(given.file.removeprefix(HUB).removesuffix("/")).stem
    # letters without their accents: é is an e and a mark
    letters = (c for c in normalize("NFKD", stem.casefold()) if not combining(c))
    name = re.sub(r"[^a-z0-9]+", "_", "".join(letters)).strip("_")
    if not name:
        raise UserError(f"--name: none can be made of {stem!r}; give one, such as --name bookings")
    return name if is_plain_word(name) else f"task_{name}"


def _check_kept(path: str, names: Sequence[str | None], what: str = "name") -> None:
    """Refuse what a config cannot hold, before it is written and read as something else.

    Raises:
        UserError: a control character in one of ``names``, or a name that is a whole text.
    """
    for name in names:
        if name is not None and not can_be_kept(name):
            raise UserError(
                f"{path}: {name!r:.80}: expected a {what} without control characters, and not ???"
            )


def _check_names(path: str, specs: Mapping[str, Mapping[str, Any]], hint: str) -> None:
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
    _check_kept(path, names)
    _check_kept(path, [label for _, spec in every for label in spec.get("values", ())], "label")


def _every_spec(
    specs: Mapping[str, Mapping[str, Any]] | Mapping[None, Mapping[str, Any]],
) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
    """Every field's name and spec, those within others included; a list's items have no name."""
    for name, spec in specs.items():
        yield name, spec
        yield from _every_spec(spec.get("fields", {}))
        if "items" in spec:
            yield from _every_spec({None: spec["items"]})


def _write_task(given: TaskSource, name: str, path: str, origin: str, target: Path) -> None:
    """Infer the task from the rows of ``path``, which came from ``origin``, into ``target``."""
    table = load_table(path, given.encoding)
    for note in table.notes:
        say(f"{path}: {note}")
    rows = [columns for _, columns in table.rows]
    if len(rows) < MIN_ROWS:
        raise UserError(f"{path}: expected at least {MIN_ROWS} rows, found {len(rows)}")
    text = given.text or text_column(rows)
    record = given.record or record_column(rows, text)
    row_id = given.id or id_column(rows)
    inferred = _fields(given, path, rows, text, record, {row_id, given.group_by})
    specs = {field: found.spec for field, found in inferred.items()}
    _check_kept(path, [path, given.noun, text, record, row_id, given.group_by])
    if given.schema:
        _check_names(f"--schema: {given.schema}", specs, "")
    else:
        _check_names(path, specs, "; does the first line name the columns?")
    fields = checked_fields(specs)
    # before anything is written: every row that does not fit is named with its line
    corpus = read_source(
        path, fields, text, record, row_id, {"--group-by": given.group_by}, given.encoding
    )

    longest = max(len(completion(row["record"], fields)) for row in corpus)
    tokens = 16 * math.ceil(longest / CHARACTERS_A_TOKEN / 16) + 16
    stratify = next((field.name for field in fields if field.type == "enum"), None)
    source = {
        "path": path,
        "text": text,
        "record": record,
        "id": row_id,
        "encoding": given.encoding,
    }
    write_text(
        target,
        _config(
            name,
            given.noun,
            source,
            origin,
            inferred,
            fields,
            stratify,
            given.group_by,
            tokens,
            longest,
            text_kind([row["text"] for row in corpus]),
            len(rows),
        ),
    )
    say(f"{len(corpus):,} rows read from {path}; {target} written:")
    say(f"  text    {shown(text)}")
    if record and not given.record:
        say(f"  record  {shown(record)}, the one column of objects; other columns are no fields")
    if row_id and not given.id:
        say(
            f"  id      {shown(row_id)}, which tells rows apart and is no field; --fields can name it as one"
        )
    for field, found in inferred.items():
        say(f"  {field:<22} {found.spec['type']:<8} {found.why}")
    say(
        "Read it and mend what was guessed wrong; the instruction is what every model is told. Then:"
    )
    print(f'  make params SET="task={name}" && dvc repro')


def _fields(
    given: TaskSource,
    path: str,
    rows: Sequence[Mapping[str, Any]],
    text: str,
    record: str | None,
    others: set[str | None],
) -> dict[str, Inferred]:
    """The record's fields; of columns, all but the text's and ``others``."""
    if given.schema:
        specs = fields_from_json_schema(read_schema(given.schema), given.schema)
        return {name: Inferred(spec, f"from {given.schema}") for name, spec in specs.items()}
    if record is not None:
        values = [_object(row.get(record), f"{path}: {record}") for row in rows]
        names = list(dict.fromkeys(name for value in values for name in value))
        return {name: infer_field(name, [v.get(name) for v in values], "json") for name in names}
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if given.fields:
        names = [name.strip() for name in given.fields.split(",")]
        for name in names:
            if name not in columns:
                raise UserError(f"--fields: no column {name!r}; there are {', '.join(columns)}")
    else:
        # in a template a column is a name between braces or in a filter
        used = set(re.findall(r"\w+", text)) if is_template(text) else {text}
        names = [name for name in columns if name not in used | others]
    if not names:
        raise UserError(f"{path}: no column beside the text; name the record's with --fields")
    texts: Texts = "cells" if Path(path).suffix.lower() in (".csv", ".tsv") else "columns"
    return {name: infer_field(name, [row.get(name) for row in rows], texts) for name in names}


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = cell_value(value)
        except ValueError:
            raise UserError(f"{where}: expected a JSON object, found {value!r:.60}") from None
    if not isinstance(value, Mapping):
        raise UserError(f"{where}: expected a JSON object, found {value!r:.60}")
    return value


def read_schema(given: str) -> Mapping[str, Any]:
    """The JSON Schema in the file ``given``, or that of the pydantic model ``module:Class``.

    Raises:
        UserError: neither of the two can be read.
    """
    path = Path(given)
    if path.suffix == ".json":
        try:
            found = json_value(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise UserError(f"--schema: {path}: no such file") from None
        except OSError as error:
            raise UserError(f"--schema: {path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise UserError(f"--schema: {path}: not valid UTF-8 ({error.reason})") from None
        except ValueError as error:
            raise UserError(f"--schema: {path}: {error}") from None
    else:
        found = _schema_of_model(given)
    if not isinstance(found, Mapping):
        raise UserError(f"--schema: {given}: expected a JSON Schema, an object")
    return found


def _schema_of_model(given: str) -> Any:
    module, _, name = given.partition(":")
    if not all(map(str.isidentifier, (*module.split("."), name))):
        raise UserError(f"--schema: expected a .json file or module:Class, found {given!r}")
    # a model of the user's own, in the folder they stand in
    sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(importlib.import_module(module), name).model_json_schema()
    # a module of the user's own may do anything while it is imported, ending the program included
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"--schema: {given}: {said:.200}; expected a pydantic model") from None


def _config(
    name: str,
    noun: str,
    source: Mapping[str, str | None],
    origin: str,
    inferred: Mapping[str, Inferred],
    fields: Sequence[Field],
    stratify: str | None,
    group_by: str | None,
    tokens: int,
    longest: int,
    kind: str,
    rows: int,
) -> str:
    title = f"{noun.capitalize()} to a {len(fields)}-field record"
    lines = [
        "# @package _global_",
        f"# Written by `lora-vs-api init` from {rows:,} rows of {shown(origin)}; yours to edit.",
        "data:",
        "  source: file",
        f"  path: {yaml_text(source['path'])}",
        f"  text: {yaml_text(source['text'])}   # a column, or a Jinja template over columns",
        f"  record: {yaml_text(source['record'])}   # column with the record; null: one column a field",
        f"  id: {yaml_text(source['id'])}   # column; null: by position",
        *([f"  encoding: {yaml_text(source['encoding'])}"] if source["encoding"] else []),
        f"task_name: {yaml_text(name)}",
        f"task_title: {yaml_text(title)}",
        "task:",
        "  # type: string, enum, integer, number, boolean, list (items: …) or object (fields: …);",
        "  # optional: true where the value may be null. score: exact, normalised or token_f1 for",
        "  # strings; exact or tolerance (tolerance: 0.5) for numbers; set_f1 for lists; slot_f1",
        "  # for objects.",
        "  fields:",
    ]
    for field, found in inferred.items():
        lines.append(f"    # {shown(found.why)}")
        lines.append(f"    {key_text(field)}: {yaml_text(found.spec)}")
    instruction = (
        f"Extract a record from the {noun}. Answer with one JSON object on one line and "
        f"nothing else. Keys: {'; '.join(_told(field) for field in fields)}."
    )
    lines += [
        "  # The same words for every condition, local or API. Say what a stranger would not know.",
        f"  instruction: {yaml_text(instruction)}",
        f"  group_by: {yaml_text(group_by)}   # a column (customer, thread) whose texts are alike; or null",
        "split:",
        f"  stratify_by: {yaml_text(stratify)}   # a field, so that every split has its mix; or null",
        "contamination:",
        f"  field: {yaml_text(stratify)}   # an enum field the untuned base is asked for; or null",
        "decoding:",
        f"  # the longest record has {longest:,} characters; too few tokens stop the run",
        f"  max_new_tokens: {tokens}",
        "robustness:",
        "  texts:",
        "    # The test texts once more, perturbed. mail, chat or snippet, guessed: mail where half of",
        "    # them have several lines and begin with a greeting or a header, chat where half of them",
        "    # say I, we, you or please. It decides what they are perturbed by; perturbations: [...]",
        "    # names it. What would change a record is left out text by text.",
        f"    kind: {kind}   # {', '.join(KINDS[kind])}",
        "    perturbations: auto",
    ]
    if rows < FEW_ROWS:
        lines += [
            "learning_curve:",
            "  sizes: []   # numbers of training texts; they are too few for those of profile=laptop",
        ]
    return "\n".join(lines) + "\n"


def _told(field: Field) -> str:
    """A field as the instruction names it."""
    if field.type == "object":
        inner = ", ".join(f"{each.name} ({_kind(each)})" for each in field.fields)
        return f"{field.name} (object with {inner}{', or null' if field.optional else ''})"
    return f"{field.name} ({_kind(field)})"


def _kind(field: Field) -> str:
    if field.type == "enum":
        # one label that has a comma would read as two
        labels = (json.dumps(v, ensure_ascii=False) if "," in v else v for v in field.values)
        words = f"one of {', '.join(labels)}"
    elif field.type == "list":
        words = "list of " + ("strings" if field.items is None else _kind(field.items))
    elif field.type == "object":
        words = "object with " + ", ".join(each.name for each in field.fields)
    else:
        words = expected(field).removesuffix(" or null").removeprefix("an ").removeprefix("a ")
    return words + (", or null" if field.optional else "")
