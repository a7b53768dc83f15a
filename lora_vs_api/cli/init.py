"""``lora-vs-api init``: a task config from a sample of the user's own file."""

from __future__ import annotations

import importlib
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any
from unicodedata import combining, normalize

from lora_vs_api.cli.names import names_given
from lora_vs_api.cli.task_config import TaskConfig, config_text, written_forms
from lora_vs_api.config.fields import checked_fields
from lora_vs_api.config.literal import can_be_kept, is_plain_word, shown
from lora_vs_api.data.checks import conflicts
from lora_vs_api.data.columns import always_the_same, bookkeeping, split_column, text_column
from lora_vs_api.data.dataset_source import HUB, is_dataset, write_parquet
from lora_vs_api.data.exports.chat import ASSISTANT, INSTRUCTION, RECORD, TEXT
from lora_vs_api.data.from_schema import fields_from_json_schema
from lora_vs_api.data.infer import (
    Inferred,
    Texts,
    id_column,
    infer_field,
    keys_told,
    object_in,
    record_column,
    text_kind,
)
from lora_vs_api.data.json_values import cell_value, json_value
from lora_vs_api.data.source import did_you_mean, read_source
from lora_vs_api.data.split import first_of_each_text, given_split, labels_of
from lora_vs_api.data.table import Rows, Table
from lora_vs_api.data.tables import TEXT_TABLES, file_format, load_table, split_files
from lora_vs_api.data.templates import (
    Taken,
    check_template,
    taken_by,
    text_reader,
    typed_text,
    used_columns,
)
from lora_vs_api.data.within import empty_within, paths_within, without
from lora_vs_api.errors import RUN_THERE, UserError
from lora_vs_api.files import write_text
from lora_vs_api.log import say
from lora_vs_api.record.fields import OMIT, Field
from lora_vs_api.record.prompt import completion, messages, system_prompt
from lora_vs_api.record.rows import Row
from lora_vs_api.shown import count

MIN_ROWS = 20
# where the answer begins in texts that hold both: Alpaca, Guanaco, Llama 2, ChatML and their like
_ANSWERED = re.compile(
    r"###? ?(?:Response|Assistant|Answer|Output)\b|\[/INST\]|<\|im_start\|>assistant|<\|assistant\|>|<start_of_turn>model"
    r"|<\|start_header_id\|>assistant|(?m:^ ?(?:assistant|bot|gpt|ai): )",
    re.IGNORECASE,
)
# what is asked, and of which text: Alpaca's and Dolly's columns, and those of questions
_ASKED = {"instruction": ("input", "context"), "question": ("context", "passage", "article")}
# a record's JSON is names and punctuation: tokens are shorter than in prose
CHARACTERS_A_TOKEN = 2.5
MAX_NAME = 200  # characters of a field's name
DROPPED = "by --drop"
# what a JSON Schema of an object has at its top, and what stands around one in requests to OpenAI, Anthropic and Gemini
SCHEMA_KEYS = {"properties", "$ref", "allOf", "anyOf", "oneOf"}
WRAPPERS = (
    "json_schema",
    "schema",
    "function",
    "parameters",
    "input_schema",
    "inputSchema",
    "json",
    "responseSchema",
)
MAX_TOLD = 600  # characters of the system prompt that are shown
MAX_TAGS = 100  # different ones of words
A_TAG = 5  # words of each, on average and at least
MAX_SHOWN = 200  # of a text or record that is shown as an example
_GAP = " [...] "  # where it is cut
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
A_WORD = 1.5  # words of a text, on average: from there down a line says so
MUCH_OF_NULLS = 0.2  # of the records' characters: from here on --omit-nulls is worth a line


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
    _check_kept(path, [spec.get("description") for _, spec in every], "description")


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
    objects = () if given.record is None else (given.record,)
    table = load_table(path, given.encoding, given.text, objects)
    rows = [columns for _, columns in table.rows]
    with _notes_before_errors(path, table):
        if len(rows) < MIN_ROWS:
            raise UserError(f"{path}: expected at least {MIN_ROWS} rows, found {len(rows)}")
        roles = _roles(given, path, table)
        check_template(roles.text, table.rows)
        if table.conversations and not _has_labels(given, rows, roles):
            raise UserError(
                f"{path}: expected a turn of the assistant in each conversation, who is called {', '.join(ASSISTANT)}; found none, "
                "and no other column with labels"
            )
        inferred, left_out, drop = _fields(given, path, table.rows, roles)
        if given.omit_nulls:
            inferred = {
                field: replace(found, spec=_omitting(found.spec))
                for field, found in inferred.items()
            }
        specs = {field: found.spec for field, found in inferred.items()}
        _check_kept(path, [path, given.noun, *roles.columns, *drop])
        _check_kept(path, [spec.get("from") for spec in specs.values()])
        if not given.schema:
            _check_names(path, specs, "; does the first line name the columns?")
    fields = checked_fields(specs)
    groups = {"--group-by": given.group_by, "split.column": roles.split}
    # before anything is written: every row that does not fit is named with its line
    corpus = read_source(
        path, fields, roles.text, roles.record, roles.id, groups, given.encoding, drop
    )
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
    _say_what_was_guessed(given, task, roles, corpus, target)


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


@dataclass(frozen=True)
class _Roles:
    """Columns that are no fields: text (or a template over columns), record, id, and the split's."""

    text: str
    record: str | None
    id: str | None
    split: str | None
    answered: bool  # the record is what the assistant of a conversation answered

    @property
    def columns(self) -> tuple[str | None, ...]:
        return (self.text, self.record, self.id, self.split)


def _roles(given: TaskSource, path: str, table: Table) -> _Roles:
    rows = [columns for _, columns in table.rows]
    dropped, fields = set(names_given(given.drop)), set(names_given(given.fields))
    rest = [_without(row, dropped | fields) for row in rows]
    if not any(isinstance(value, str) for row in rest for value in row.values()):
        # the only writing may be named as a field too
        rest = [_without(row, dropped) for row in rows]
    spoken = table.conversations and TEXT not in dropped | fields
    text = given.text or (TEXT if spoken else _with_instruction(_text_column(path, rest), rest))
    record = given.record
    answered = record is None and table.conversations and any(RECORD in row for row in rows)
    if answered:
        # an assistant that answers in prose in some row: named with its line, and not taken for a text
        record = RECORD
    if record is None and RECORD not in dropped:
        # nor an object that the text lies within
        used = rows[0].keys() & used_columns(text).keys()
        others = [_without(row, (dropped | fields) - used) for row in rows]
        record = record_column(others, text, used)
        if record is not None and fields and _are_beside(fields, record, rows):
            record = None
        if record is None and fields:
            record = _holder(fields, rows)
    row_id = given.id or id_column([_without(row, dropped | fields) for row in rows])
    split = split_column([_without(row, dropped | fields) for row in rows])
    return _Roles(text, record, row_id, None if split == given.group_by else split, answered)


def _are_beside(fields: set[str], record: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether ``fields`` are columns of a flat table, and none of them a key of the object in ``record``."""
    keys = {key for row in rows for key in object_in(row.get(record)) or ()}
    return not fields & keys and any(fields & row.keys() for row in rows)


def _holder(fields: set[str], rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The one column whose objects have all ``fields`` as keys, where none of these is a column."""
    names = dict.fromkeys(name for row in rows for name in row)
    if not fields.isdisjoint(names):
        return None
    keys = {name: {key for row in rows for key in object_in(row.get(name)) or ()} for name in names}
    holders = [name for name in names if fields <= keys[name]]
    return holders[0] if len(holders) == 1 else None


def _has_labels(given: TaskSource, rows: Sequence[Mapping[str, Any]], roles: _Roles) -> bool:
    """Whether conversations have a record: the assistant's answer, or other columns, inferred or named."""
    if roles.record is not None or given.fields or given.schema:
        return True
    taken = {*roles.columns, given.group_by, INSTRUCTION, *names_given(given.drop)}
    names = dict.fromkeys(name for row in rows for name in row)
    whole = taken_by(roles.text, rows).whole
    others = [name for name in names if name not in taken and name not in whole]
    return len(bookkeeping(rows, others, roles.text)) < len(others)


def _text_column(path: str, rows: Sequence[Mapping[str, Any]]) -> str:
    same = {name for name in rows[0] if len(rows) > 1 and _is_constant(name, rows)}
    try:
        return text_column([_without(row, same) for row in rows])
    except UserError as error:
        hint = _inner_text(rows[0])
        if not hint and "--text" in str(error):
            kinds = (f"{name} ({_kind(rows, name)})" for name in rows[0])
            hint = f"; there are {', '.join(kinds):.200}"
        raise UserError(f"{path}: {error}{hint}") from None


def _kind(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """What a column holds, in a word."""
    value = next((found for row in rows if (found := row.get(name)) is not None), None)
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
        read = next((name for name in inputs if name in names and text in (asked, name)), None)
        said = {row.get(asked) for row in rows} if read else set()
        if len(said) > 1 and all(isinstance(one, str) for one in said):
            return f"{{{{ {asked} }}}}{{% if {read} %}}\n\n{{{{ {read} }}}}{{% endif %}}"
    return text


def _is_constant(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column is the same text in every row, such as a status: nobody wrote that."""
    first = rows[0].get(name)
    return isinstance(first, str) and all(row.get(name) == first for row in rows)


def _inner_text(row: Mapping[str, Any]) -> str:
    """How to name a text that lies within an object; empty where there is none."""
    for name, value in row.items():
        inner = value if isinstance(value, dict) else {}
        for key, text in inner.items():
            named = name.isidentifier() and str(key).isidentifier()
            if named and isinstance(text, str) and len(text.split()) > 1:
                return f", such as --text '{{{{ {name}.{key} }}}}', a text within the column {name}"
    return ""


def _without(row: Mapping[str, Any], names: set[str]) -> Mapping[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _of_a_comma(name: str, names: Sequence[str]) -> str:
    """How a column is named whose name holds a comma, where ``name`` may be a part of such a one."""
    whole = next(
        (each for each in names if name in map(str.strip, each.split(",")) and "," in each), None
    )
    return "" if whole is None else f"; a name that holds a comma stands in quotes: '\"{whole}\"'"


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


def _say_what_was_guessed(
    given: TaskSource, task: TaskConfig, roles: _Roles, corpus: Sequence[Row], target: Path
) -> None:
    say(f"{task.rows:,} rows read from {task.source['path']}; {target} written:")
    say(f"  text    {shown(roles.text)}")
    if roles.record and not given.record:
        say(f"  record  {shown(roles.record)}; other columns are no fields")
    if roles.id and not given.id:
        say(
            f"  id      {shown(roles.id)}, which tells rows apart and is no field; --fields can name it as one"
        )
    if roles.split:
        say(f"  split   {shown(roles.split)}, which says train, val or test; --drop leaves it out")
    for field, found in task.inferred.items():
        say(
            f"  {field:<22} {found.spec['type']:<8} {found.why}{_another_text(field, found, roles, corpus)}"
        )
    if roles.record and (told := keys_told([row["record"] for row in corpus])):
        say(f"  {len(task.inferred)} keys of {shown(roles.record)}, {told}")
    for name, why in task.left_out.items():
        say(f"  {name:<22} left out ({shown(why)})")
    if any(why != DROPPED for why in task.left_out.values()) and not given.fields:
        say(
            "  --fields NAME,NAME,… names the record's columns, those that were left out among them"
        )
    if repeated := _repeated(corpus):
        say(repeated)
    _show_examples(task, corpus)
    texts = [row["text"] for row in corpus]
    # some scripts have no blanks between words
    if mean(len(text.split()) for text in texts) < A_WORD and not any(map(UNSPACED.search, texts)):
        say(
            "Most texts are one word: if rows are the words of texts, write a row for each text, with its labels"
        )
    if (share := _share_of_nulls(task, corpus)) >= MUCH_OF_NULLS:
        say(
            f"Of the records' characters {share:.0%} say that something is null; --omit-nulls leaves these keys out, "
            "which makes training and answers shorter"
        )
    say(
        "Read it and mend what was guessed wrong; the instruction is what every model is told. "
        f'`make quick-look SET="task={task.name}"` is a try in some five minutes; the whole run:'
    )
    print(f'  make params SET="task={task.name}" && dvc repro')
    say(
        "The report and metrics/answers.jsonl quote test texts, and `dvc exp run` keeps both in git"
        f"{_rows_in_git(task.source['path'])} (docs/tasks.md)"
    )


def _another_text(field: str, found: Inferred, roles: _Roles, corpus: Sequence[Row]) -> str:
    """What to ask about a field of many words that the text does not hold: of a pair of sentences it is the other one."""
    name = found.spec.get("from", field)
    if found.spec.get("score") != "token_f1" or roles.record or not name.isidentifier():
        return ""
    pairs = [(value, row["text"]) for row in corpus if (value := row["record"].get(field))]
    if (
        2 * sum(value in text for value, text in pairs) > len(pairs)
        or not roles.text.isidentifier()
    ):
        return ""
    return f"; is it to be read and not to be found? --text '{{{{ {roles.text} }}}}\\n\\n{{{{ {name} }}}}' joins them"


def _show_examples(task: TaskConfig, corpus: Sequence[Row]) -> None:
    """Show what every model is told, and two of the rows that the run will read, each with its answer."""
    told = " ".join(system_prompt(task.prompt, task.fields).split())
    say(f"Every model is told: {_in_short(told, MAX_TOLD)}")
    for place in _telling(corpus):
        row = corpus[place]
        say(f"Row {place + 1:,} of {len(corpus):,}, as it will be taught:")
        text = messages(task.prompt, row["text"], task.fields)[-1]["content"]
        # in quotes, so that blanks and line ends show
        say(f"  text    {json.dumps(_in_short(text, MAX_SHOWN), ensure_ascii=False)}")
        say(f"  record  {_record_in_short(row['record'], task.fields)}")


def _telling(corpus: Sequence[Row]) -> list[int]:
    """The places of two rows that show a wrong guess: the first row, and that whose record fills most.

    Where that is the first itself, the next one with another text; of one text, only its first row is taught.
    """
    firsts = first_of_each_text(corpus)
    filled = [_filled(row["record"]) for row in firsts]
    fullest = filled.index(max(filled))
    told = firsts[: 2 if fullest == 0 else 1] + firsts[fullest : fullest + (fullest > 0)]
    return [place for place, row in enumerate(corpus) if any(row is each for each in told)]


def _repeated(corpus: Sequence[Row]) -> str:
    """What to say of texts that stand in several rows, such as one for each who labelled them; else empty."""
    firsts, differ = first_of_each_text(corpus), len(conflicts(corpus))
    if len(firsts) == len(corpus):
        return ""
    said = f"{len(corpus) - len(firsts):,} rows repeat the text of another: of each text its first row alone is used"
    if differ:
        texts = count(differ, "text has", "texts have")
        said += f"; {texts} rows with different records: if several people labelled them, write one record a text"
    return said


def _filled(value: Any) -> int:
    """How many values a record has, those within objects one by one; a list counts as one."""
    if isinstance(value, Mapping):
        return sum(map(_filled, value.values()))
    return int(value not in (None, "", []))


def _record_in_short(record: dict[str, Any], fields: Sequence[Field]) -> str:
    """A record with all its keys, long texts within it cut where it is long."""
    whole = completion(record, fields)
    for longest in (60, 30, 15):
        if len(whole) <= MAX_SHOWN:
            break
        whole = completion(_cut(record, longest), fields)
    return _in_short(whole, 2 * MAX_SHOWN)


def _cut(value: Any, longest: int) -> Any:
    """``value`` without the middles of longer texts, and the ends of longer lists."""
    if isinstance(value, str):
        half = (longest - len(_GAP)) // 2
        return value if len(value) <= longest else f"{value[:half]}{_GAP}{value[-half:]}"
    if isinstance(value, Mapping):
        return {key: _cut(inner, longest) for key, inner in value.items()}
    if isinstance(value, list):
        more = [f"[... {len(value) - 3:,} more ...]"] if len(value) > 4 else []
        return [_cut(item, longest) for item in value[: 3 if more else None]] + more
    return value


def _in_short(said: str, longest: int) -> str:
    """``said`` without its middle where it is longer, and how much is missing there; in ASCII, as any terminal has it."""
    if len(said) <= longest:
        return said
    # a tenth less, so that the words about what is missing are shorter than that is
    kept = longest * 9 // 10
    begins, ends = kept - kept // 3, kept // 3
    return f"{said[:begins]} [... {len(said) - kept:,} characters ...] {said[-ends:]}"


def _share_of_nulls(task: TaskConfig, corpus: Sequence[Row]) -> float:
    """What part of the records' characters is saved where keys of nulls are left out."""
    shorter = checked_fields({name: _omitting(found.spec) for name, found in task.inferred.items()})
    taken, left = (
        sum(len(completion(row["record"], fields)) for row in corpus)
        for fields in (task.fields, shorter)
    )
    return 1 - left / taken


def _rows_in_git(path: str) -> str:
    """What to say of data that neither git nor DVC has; empty where one of them does.

    An experiment takes such a file into its commit, so that it can be redone, unless it is made in a copy of the
    project, which lacks it.
    """
    from lora_vs_api.search.study import way_into_copies

    # outside of a repository, of a file outside of this one, or without git, no command helps
    with suppress(UserError, OSError):
        if commands := way_into_copies(path):
            return (
                f", and all of {shown(path)} with them; `{commands}` keeps the rows out of git, and copies of the project "
                "(--temp, --queue, search) need it"
            )
    return ""


def _fields(
    given: TaskSource, path: str, table: Rows, roles: _Roles
) -> tuple[dict[str, Inferred], dict[str, str], list[str]]:
    """The record's fields, what of file or schema is none and why, and keys of the record to drop."""
    rows = [columns for _, columns in table]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    named, dropped = names_given(given.fields), names_given(given.drop)
    both = [name for name in named if name in dropped]
    if both:
        raise UserError(f"--drop: {both[0]!r} is among --fields; expected it in one of them")
    if given.schema and named:
        raise UserError("--fields: --schema names the fields; expected one of the two")
    values: list[Mapping[str, Any]] = rows
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


def _omitting(spec: Mapping[str, Any]) -> dict[str, Any]:
    """``spec`` with ``optional: omit`` where it says true; a list's item has no key to leave out."""
    found = dict(spec)
    if found.get("optional"):
        found["optional"] = OMIT
    if "fields" in found:
        found["fields"] = {name: _omitting(inner) for name, inner in found["fields"].items()}
    if "items" in found:
        items = _omitting(found["items"])
        found["items"] = items | ({"optional": True} if items.get("optional") else {})
    return found


def _schema_fields(
    schema: str, names: Sequence[str], dropped: Sequence[str]
) -> tuple[dict[str, Inferred], dict[str, str]]:
    """The fields of a schema, but for those that may be empty and that no row has."""
    specs = fields_from_json_schema(read_schema(schema), schema)
    _check_names(f"--schema: {schema}", specs, "")
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
    roles: _Roles,
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
    words = text_reader(roles.text)
    kept = named or [name for name in rest if name not in left_out]
    if not kept:
        told = "".join(f"; {name}: {why}" for name, why in left_out.items())
        if flat and _hold_answers([words(row) for row in values]):
            raise UserError(
                f"{path}: {roles.text}: question and answer stand in one text; write two columns, of the text and of its record, "
                "or a conversation"
            )
        raise UserError(f"{path}: no column beside the text{told}; name the record's with --fields")
    left = [without(row, inner) for row in values]
    texts: Texts = "columns"
    if not flat:
        texts = "json"
    elif file_format(path) in TEXT_TABLES or _is_folder_of_cells(path):
        texts = "cells"
    if flat:
        _check_no_tags(path, values, kept, [words(row) for row in values])
    try:
        fields = {name: infer_field(name, [row.get(name) for row in left], texts) for name in kept}
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
        for name in dict.fromkeys(name for row in rows for name in row)
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
    return _unwrapped(found)


def _unwrapped(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema within what a request to an API puts around it: a format of answers or a function's parameters."""
    while not SCHEMA_KEYS & schema.keys():
        inner = next(
            (schema[key] for key in WRAPPERS if isinstance(schema.get(key), Mapping)), None
        )
        if inner is None:
            break
        schema = inner
    return schema


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
