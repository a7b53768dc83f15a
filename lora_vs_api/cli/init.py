"""``lora-vs-api init``: a task config from a sample of the user's own file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import combining, normalize

from lora_vs_api.cli.guesses import MIN_ROWS, say_what_was_guessed
from lora_vs_api.cli.roles import has_labels, roles_of
from lora_vs_api.cli.task_config import TaskConfig, config_text, written_forms
from lora_vs_api.cli.task_fields import check_kept, check_names, fields_of, omitting
from lora_vs_api.cli.task_source import TaskSource
from lora_vs_api.config.fields import checked_fields
from lora_vs_api.config.literal import can_be_kept, is_plain_word
from lora_vs_api.data.dataset_source import HUB, is_dataset, write_parquet
from lora_vs_api.data.exports.chat import ASSISTANT
from lora_vs_api.data.infer import text_kind
from lora_vs_api.data.source import read_source
from lora_vs_api.data.split import given_split, labels_of
from lora_vs_api.data.table import Rows, Table, names_of
from lora_vs_api.data.tables import file_format, load_table, split_files
from lora_vs_api.data.templates import check_template, text_reader, typed_text
from lora_vs_api.errors import RUN_THERE, UserError
from lora_vs_api.files import write_text
from lora_vs_api.log import say
from lora_vs_api.record.fields import Field
from lora_vs_api.record.prompt import completion
from lora_vs_api.record.rows import Row

# a record's JSON is names and punctuation: tokens are shorter than in prose
CHARACTERS_A_TOKEN = 2.5


def write_task(given: TaskSource) -> None:
    """Infer a task's config from labelled rows and write it, a dataset's rows beside it.

    Raises:
        UserError: a file that cannot be read, rows that are too few or do not fit, or a task that
            is there already.
    """
    if not Path(given.conf, "config.yaml").is_file():
        raise UserError(f"{given.conf}: no config.yaml there; {RUN_THERE}")
    if len(given.noun.splitlines()) > 1:
        raise UserError(f"--noun: expected a word such as invoice, found {given.noun!r}")
    given = _composed(given)
    name = _task_name(given)
    target = Path(given.conf, "task", f"{name}.yaml")
    if target.exists() and not given.force:
        raise UserError(f"{target}: is already there; --force writes over it, --name names another")
    if not is_dataset(given.file) or _is_three_files(given.file):
        for option in ("split", "revision"):
            if getattr(given, option):
                raise UserError(f"--{option}: {given.file} is a file and has none")
        if given.encoding and (suffix := file_format(given.file)) in (".parquet", ".xlsx"):
            raise UserError(f"--encoding: of a text file, not of {suffix}")
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


def _is_three_files(file: str) -> bool:
    """A folder with a file each for train, val and test, and none that `save_to_disk` wrote."""
    folder = Path(file)
    return folder.is_dir() and len(split_files(folder)) > 1


def _composed(given: TaskSource) -> TaskSource:
    """With the names of columns in NFC, as those of the file are read, and line ends in a template as such."""
    named = ("text", "record", "id", "fields", "drop", "group_by")
    found: dict[str, Any] = {
        key: normalize("NFC", name) for key in named if (name := getattr(given, key))
    }
    if "text" in found:
        found["text"] = typed_text(found["text"])
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


# what is said of a column in which not every cell is a text
_GUESSED = "{} was taken for the texts' column; --text names another"


def _check_texts(text: str, rows: Rows, *, guessed: bool) -> None:
    """Make sure that every row's text can be made of it.

    Raises:
        UserError: a cell is a list or an object, with its place.
    """
    render = text_reader(text, names_of(columns for _, columns in rows))
    for place, columns in rows:
        try:
            render(columns)
        except UserError as error:
            hint = f"; {_GUESSED.format(text)}" if guessed else ""
            raise UserError(f"{place}: {error}{hint}") from None


def _write_task(given: TaskSource, name: str, path: str, origin: str, target: Path) -> None:
    """Infer the task from the rows of ``path``, which came from ``origin``, into ``target``."""
    objects = () if given.record is None else (given.record,)
    table = load_table(path, given.encoding, given.text, objects)
    rows = [columns for _, columns in table.rows]
    with _notes_before_errors(path, table):
        if len(rows) < MIN_ROWS:
            raise UserError(f"{path}: expected at least {MIN_ROWS} rows, found {len(rows)}")
        roles = roles_of(given, path, table)
        check_template(roles.text, table.rows)
        _check_texts(roles.text, table.rows, guessed=given.text is None)
        if table.conversations and not has_labels(given, rows, roles):
            raise UserError(
                f"{path}: expected a turn of the assistant in each conversation, who is called {', '.join(ASSISTANT)}; found none, "
                "and no other column with labels"
            )
        inferred, left_out, drop = fields_of(given, path, table.rows, roles)
        if given.omit_nulls:
            inferred = {
                field: replace(found, spec=omitting(found.spec))
                for field, found in inferred.items()
            }
        specs = {field: found.spec for field, found in inferred.items()}
        check_kept(path, [path, given.noun, *roles.columns, *drop])
        check_kept(path, [spec.get("from") for spec in specs.values()])
        if not given.schema:
            check_names(
                path,
                specs,
                "; does the first line name the columns? else --rename 'NAME=short_name' shortens one",
            )
    fields = checked_fields(specs)
    groups = {"--group-by": given.group_by, "split.column": roles.split}
    # before anything is written: every row that does not fit is named with its line
    try:
        corpus = read_source(
            path, fields, roles.text, roles.record, roles.id, groups, given.encoding, drop
        )
    except UserError as error:
        guessed = f"{roles.text}: expected a text, found" in str(error) and given.text is None
        hint = f"\n{_GUESSED.format(roles.text)}" if guessed else ""
        raise UserError(f"{error}{hint}") from None
    if roles.split is not None:
        _check_split(corpus, roles.split)
    records = [row["record"] for row in corpus]
    answers = [completion(record, fields) for record in records]
    fullest = completion(_fullest(records, fields), fields)
    texts = [row["text"] for row in corpus]
    task = TaskConfig(
        name=name,
        noun=given.noun,
        source={
            "path": path,
            "text": roles.text,
            "record": roles.record,
            "id": roles.id,
            "encoding": given.encoding,
            "drop": drop,
        },
        origin=origin,
        inferred=inferred,
        fields=fields,
        left_out=left_out,
        forms=written_forms(fields, records, texts),
        instruction=_own_instruction(table.instruction, fields),
        group_by=given.group_by,
        split=roles.split,
        tokens=16 * math.ceil(max(map(_tokens, [*answers, fullest])) / 16) + 16,
        longest=max(map(len, answers)),
        fullest=len(fullest),
        kind=text_kind(texts),
        rows=len(rows),
    )
    write_text(target, config_text(task))
    say_what_was_guessed(given, task, roles, corpus, target)


@contextmanager
def _notes_before_errors(path: str, table: Table) -> Iterator[None]:
    """Whatever is wrong, first what became of the file as it was read, such as rows left out; else that comes with the rows."""
    try:
        yield
    except UserError:
        for note in table.notes:
            say(f"{path}: {note}")
        raise


def _fullest(records: Sequence[Mapping[str, Any]], fields: Sequence[Field]) -> dict[str, Any]:
    """A record with each field at its longest, as a model answers that fills what should be empty.

    Where arguments differ by function, no record is as long: a model that has not learnt to leave out keys
    would be cut, and score 0 for that instead of for what it got wrong.
    """
    found: dict[str, Any] = {}
    for field in fields:
        values = [value for each in records if (value := each.get(field.name)) is not None]
        if not values:
            found[field.name] = None
        elif field.type == "object":
            found[field.name] = _fullest(values, field.fields)
        else:
            found[field.name] = max(
                values, key=lambda value: len(json.dumps(value, ensure_ascii=False))
            )
    return found


def _tokens(answer: str) -> float:
    """About how many tokens an answer takes, rather too many: a small vocabulary has a token for each byte
    of what it hardly knows, such as Korean."""
    written = len(answer.encode())
    plain = sum(character.isascii() for character in answer)
    return plain / CHARACTERS_A_TOKEN + written - plain


def _check_split(corpus: Sequence[Row], column: str) -> None:
    try:
        given_split(corpus, labels_of(corpus, column, "split.column"), None, 0)
    except UserError as error:
        raise UserError(f"{error}; or --drop {column} splits by chance") from None


def _own_instruction(found: str | None, fields: Sequence[Field]) -> str | None:
    """The system prompt of the file's conversations, where it tells a model what the record has."""
    if found is None:
        return None
    unnamed = [field.name for field in fields if field.name not in found]
    if unnamed or not can_be_kept(found):
        why = f"does not name {', '.join(unnamed)}" if unnamed else "holds control characters"
        say(f"the conversations' system prompt {why}: an instruction is written instead")
        return None
    say("the conversations' system prompt is taken as the instruction")
    return found
