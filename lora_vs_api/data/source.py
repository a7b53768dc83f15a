"""A user's own labelled rows: CSV, JSON Lines or Parquet to the corpus that the pipeline works on.

Every row that cannot be used is named with its line and field before anything is written: whoever
labelled five hundred rows wants to mend all of them at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from lora_vs_api.data.exports.arrays import as_list, is_array
from lora_vs_api.data.formats.cells import plain_blanks
from lora_vs_api.data.json_values import cell_value
from lora_vs_api.data.split import split_named
from lora_vs_api.data.table import names_of
from lora_vs_api.data.tables import MAX_SHOWN, Rows, load_table, problems_error
from lora_vs_api.data.templates import is_template, text_reader
from lora_vs_api.data.within import without
from lora_vs_api.data.written import is_missing
from lora_vs_api.errors import UserError
from lora_vs_api.log import say
from lora_vs_api.record.fields import TEXT, Field, completed, renamed, renamed_value
from lora_vs_api.record.words import words
from lora_vs_api.shown import count, did_you_mean
from lora_vs_api.validation.records import expected, violations

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row

__all__ = [
    "MAX_SHOWN",
    "describe",
    "read_source",
    "read_table",
    "value_of",
]

# columns that a second file lacks, in one line
MAX_NAMED = 5
# what may stand between several labels, other than the ; that is read so
_MARKS = re.compile(r"[|,\n]|\S#\S|><")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
# Python itself would also read 1_007, and digits of other scripts
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
# the place of a row in a file whose cells are all texts
_TEXT_TABLE = re.compile(r"\.(?:[ct]sv(?:\.gz)?|xlsx):\d+$", re.I)
_BLANKS = r"[\s\u200b\u2060\ufeff]+"
# a whole number as pandas writes it where others are missing
POINT_ZERO = re.compile(r"[+-]?\d+\.0", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def read_source(
    path: str | Path,
    fields: tuple[Field, ...],
    text: str,
    record: str | None,
    row_id: str | None,
    groups: Mapping[str, str | None] | None = None,
    encoding: str | None = None,
    drop: Sequence[str] = (),
    second: bool = False,
    slices: Sequence[str] = (),
    keep: Callable[[Mapping[str, Any]], bool] | None = None,
    unlabelled: list[Row] | None = None,
) -> list[Row]:
    """The corpus rows ``{"id", "text", "record"}`` of a labelled file, in its order.

    Rows have a ``meta`` too where columns of ``groups`` or ``slices`` are kept.

    Args:
        path: as :func:`lora_vs_api.data.tables.load_table` takes it.
        fields: of the record.
        text: the column with the text, or a Jinja template over the columns, such as
            ``{{ subject }}\\n\\n{{ body }}``.
        record: the column with the record, as an object or as JSON; None: one column a field.
            In such columns an empty cell is null, lists and objects are JSON, and a list of
            strings may also be separated by semicolons.
        row_id: the column with a unique id; None: ids are given by position.
        groups: config key, such as ``task.group_by`` → the column that it names, or None. Every row
            needs a value there, and one of train, val and test in that of ``split.column``.
        encoding: of a text file without a byte order mark; None for UTF-8.
        drop: what is left out of a record: keys of ``record``, and of objects such as ``spans.user``.
        slices: columns that are kept too, with whatever stands in them.
        unlabelled: where it is a list, rows whose record says nothing at all are added to it, with an empty
            record, instead of being refused.
        second: a file beside that of the task, in which no row needs to have what may be empty.
        keep: which rows are read, by their columns; None: all.

    Raises:
        UserError: the file or a column is missing, no row has a key of ``fields``, or rows are malformed: each
            of them with its place and field, up to :data:`MAX_SHOWN`.
    """
    objects = [record] if record else [f.column for f in fields if f.type == "object"]
    table = _as_called(read_table(path, encoding, text, objects), fields)
    if keep is not None:
        table = [(place, columns) for place, columns in table if keep(columns)]
    kept = {key: column for key, column in (groups or {}).items() if column is not None}
    _check_columns(
        path,
        table,
        fields,
        text,
        {"data.id": row_id, "data.record": record, **kept},
        record,
        slices,
        second,
    )
    if second and record is None and unlabelled is None:
        _check_any_label(path, table, fields)
    render = text_reader(text, names_of(columns for _, columns in table))
    rows: list[Row] = []
    bad: list[str] = []
    seen: dict[str, str] = {}
    for number, (place, columns) in enumerate(table, start=1):
        problems = []
        try:
            words = render(columns)
        except UserError as error:
            words, problems = "", [str(error)]
        if not problems and not words.strip():
            missing = not is_template(text) and columns.get(text) is None
            problems.append(
                f"{text}: expected a text, found {'none' if missing else 'an empty one'}; take such a row out"
            )
        key = f"row-{number:06d}" if row_id is None else id_of(columns, row_id)
        if not key:
            problems.append(f"{row_id}: expected an id, found an empty one")
        elif key in seen:
            problems.append(f"{row_id}: {key!r} is already at {seen[key]}; expected unique ids")
        seen.setdefault(key, place)
        typed = not _TEXT_TABLE.search(place)
        alone = unlabelled is not None and _is_unlabelled(columns, fields, record, drop, typed)
        if not alone:
            values, wrong = _record(columns, fields, record, drop, typed)
            problems += wrong
        meta, wrong = _groups(columns, list(dict.fromkeys(kept.values())))
        problems += wrong + _no_split(meta, kept.get("split.column"))
        # a group's label is the same text
        meta = {name: _slice_value(columns.get(name)) for name in slices} | meta
        if not problems:
            row: Row = {"id": key, "text": words, "record": {} if alone else values}
            found = rows if unlabelled is None or not alone else unlabelled
            found.append({**row, "meta": meta} if meta else row)
        bad += [f"{place}: {problem}" for problem in problems]
    if bad:
        raise problems_error(path, bad)
    if not rows:
        raise UserError(f"{path}: no rows in it; expected labelled examples")
    doubts = _doubts(table, fields) if record is None else ()
    for note in (*_doubtful_texts(table, text), *doubts):
        say(f"{path}: {note}")
    return rows


def _as_called(table: Rows, fields: Sequence[Field]) -> Rows:
    """``table`` with columns called as the fields that they are of: a table's names have plain blanks, JSON's any."""
    names = {plain_blanks(field.column): field.column for field in fields}
    names = {plain: name for plain, name in names.items() if plain != name}
    if not names:
        return table
    return [
        (place, {names.get(n, n) if names.get(n) not in row else n: v for n, v in row.items()})
        for place, row in table
    ]


def _doubts(table: Rows, fields: Sequence[Field]) -> Iterator[str]:
    """What to say of text cells that have been read as they stand, and were maybe not meant so."""
    cells_of = [columns for place, columns in table if _TEXT_TABLE.search(place)]
    for field in fields:
        cells = [cell for row in cells_of if isinstance(cell := row.get(field.column), str)]
        if field.type == "list":
            whole = not any(";" in cell or cell.lstrip()[:1] == "[" for cell in cells)
            held = next((cell for cell in cells if _MARKS.search(cell.strip())), None)
            if whole and held is not None:
                yield (
                    f"{field.column}: {held!r:.40} is read as a list of one; if these are several, put ; between them "
                    "or write a JSON list"
                )
        elif field.type == "string" and (words := _none_in_words(cells)):
            yield (
                f"{field.column}: {words[0]!r} in {count(len(words), 'cell')} is read as a text; if it stands for none, "
                "empty these cells"
            )


def _doubtful_texts(table: Rows, text: str) -> Iterator[str]:
    """The same of texts that a program wrote where there is none."""
    cells = [columns.get(text) for place, columns in table if _TEXT_TABLE.search(place)]
    if words := _none_in_words([cell for cell in cells if isinstance(cell, str)]):
        yield (
            f"{text}: {words[0]!r} in {count(len(words), 'cell')} is read as a text; if it stands for none, take these rows out"
        )


def _none_in_words(cells: Sequence[str]) -> list[str]:
    """The cells that say in a program's word that there is none: a dash or a point may be meant, these hardly are."""
    return [cell for cell in cells if len(cell.strip()) > 1 and is_missing(cell.strip())]


def id_of(columns: Mapping[str, Any], row_id: str) -> str:
    """A row's id as a text, empty where there is none; 0 is one."""
    value = columns.get(row_id)
    return "" if value is None else str(value).strip()


def read_table(
    path: str | Path,
    encoding: str | None = None,
    text: str | None = None,
    objects: Collection[str] = (),
    asked: bool = False,
    told: bool = True,
) -> Rows:
    """The rows of :func:`lora_vs_api.data.tables.load_table`, its notes ``told``."""
    table = load_table(path, encoding, text, objects, asked)
    for note in table.notes if told else ():
        say(f"{path}: {note}")
    return table.rows


def _check_columns(
    path: str | Path,
    table: Rows,
    fields: Sequence[Field],
    text: str,
    wanted: dict[str, str | None],
    record: str | None,
    slices: Sequence[str],
    second: bool,
) -> None:
    """``wanted``: config key → the column that it names, or None; ``slices``: columns of that key.

    In a ``second`` file a column may be missing that may be empty, which is told, unless it is called a little otherwise.
    """
    if not table:
        raise UserError(f"{path}: no rows in it; expected labelled examples")
    columns = {name for _, row in table for name in row}
    if not is_template(text):
        wanted["data.text"] = text
    for key, name in (*wanted.items(), *(("slices", name) for name in slices)):
        if name is not None and name not in columns:
            # a slice may be by a field, too, which a column need not be called as
            known = columns | {field.name for field in fields if key == "slices"}
            raise UserError(
                f"{key}: {path} has no column {name!r}{did_you_mean(name, known)}; it has "
                f"{', '.join(sorted(columns))}"
            )
    names = columns if record is None else _keys(table, fields, record)
    if record is not None and _is_one_call(names, fields):
        return
    missing: list[str] = []
    for field in fields:
        # one that may be empty too: a slip of the pen would be learnt as a field that is always null
        if names and field.column not in names:
            used = {each.column for each in fields}
            if second and field.optional and not did_you_mean(field.column, names - used):
                missing.append(field.column)
                continue
            where = (
                f"{path} has no such column" if record is None else f"no {record} has such a key"
            )
            key = f"task.fields.{field.name}" + (f".from: {field.source}" if field.source else "")
            raise UserError(
                f"{key}: {where}{did_you_mean(field.column, names - used)}; it has "
                f"{', '.join(sorted(names))}"
            )
    if missing:
        more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        say(
            f"{path}: {', '.join(missing[:MAX_NAMED])}{more}: in none of its rows, and so null in all of them"
        )


def _check_any_label(path: str | Path, table: Rows, fields: Sequence[Field]) -> None:
    """Make sure that a second file has a column of the record at all."""
    columns = {name for _, row in table for name in row}
    if columns.isdisjoint(field.column for field in fields):
        raise UserError(
            f"{path}: expected labelled rows, with any of {', '.join(field.column for field in fields)}; it has "
            f"{', '.join(sorted(columns))}"
        )


def _keys(table: Rows, fields: Sequence[Field], record: str) -> set[str]:
    """Keys of the records, as many as it takes to find all ``fields``; what is no object is named later."""
    wanted, found = {field.column for field in fields}, set[str]()
    for _, columns in table:
        value = columns.get(record)
        try:
            value = cell_value(value) if isinstance(value, str) else value
        except ValueError:
            continue
        found |= set(value) if isinstance(value, dict) else set()
        if wanted <= found:
            break
    return found


def _groups(columns: Mapping[str, Any], kept: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """A row's labels by column, and what is wrong with them."""
    found: dict[str, str] = {}
    problems = []
    for column in kept:
        label = group_label(columns.get(column))
        if label is not None:
            found[column] = label
        else:
            problems.append(f"{column}: {no_group(columns.get(column))}")
    return found, problems


def group_label(value: Any) -> str | None:
    """The group that a cell names, the same in whatever form it was typed; None where it names none."""
    if isinstance(value, (str, int, float)) and str(value).strip():
        return normalize("NFC", str(value).strip())
    return None


def no_group(value: Any) -> str:
    """What is wrong with a cell of which :func:`group_label` makes none."""
    missing = value is None or isinstance(value, str)
    found = "none" if missing else f"{value!r:.80}"
    return f"expected a text or a number to group by, found {found}"


def _slice_value(value: Any) -> str:
    """What a slice's row is called; a list or an object by its JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return normalize("NFC", value.strip())
    return json.dumps(value, ensure_ascii=False)


def _no_split(labels: Mapping[str, str], column: str | None) -> list[str]:
    """What is wrong with the cell of a row that says which split it is in."""
    if column is None or column not in labels or split_named(labels[column]) is not None:
        return []
    return [
        f"{column}: expected train, val or test (or training, valid, validation, dev), found "
        f"{labels[column]!r:.80}"
    ]


def _record(
    columns: Mapping[str, Any],
    fields: tuple[Field, ...],
    record: str | None,
    drop: Sequence[str],
    typed: bool,
) -> tuple[dict[str, Any], list[str]]:
    """The record of a row, and what is wrong with it."""
    if record is None:
        columns = without(columns, drop)
        cells: dict[str, Any] = {}
        problems = []
        wrong: set[str] = set()
        for field in fields:
            try:
                cell = value_of(columns.get(field.column), field, typed)
                if cell is not None and field.type == "string" and says_nothing(cell):
                    # an empty cell is no answer, though "" is a text
                    raise UserError("expected a string, found an empty cell")
                cells[field.name] = renamed_value(cell, field)
            except UserError as error:
                wrong.add(field.name)
                problems.append(f"{field.name}: {error}")
            except ValueError:
                # not missing as well: its cell has been named
                wrong.add(field.name)
                problems.append(
                    f"{field.name}: expected {expected(field)}, found {columns[field.column]!r:.80}"
                )
        read = tuple(field for field in fields if field.name not in wrong)
        whole = without_blanks(completed(cells, read), read)
        return whole, problems + violations(whole, read)
    given = columns.get(record)
    if isinstance(given, str):
        try:
            given = cell_value(given)
        except ValueError as error:
            return {}, [f"{record}: expected a JSON object, found {given!r:.80} ({error})"]
    if not isinstance(given, dict):
        return {}, [f"{record}: expected a JSON object, found {given!r:.80}"]
    # a conversation with one call, in a file where none has several, for a task of several
    if _is_one_call(given.keys(), fields):
        given = {"calls": [given]}
    given = dict(without(given, drop))
    for field in fields:
        # in such a record a text stays one
        if isinstance(given.get(field.column), float):
            given[field.column] = value_of(given[field.column], field)
    try:
        whole = without_blanks(completed(renamed(given, fields), fields), fields)
    except UserError as error:
        return {}, [f"{record}.{error}"]
    return whole, [f"{record}.{problem}" for problem in violations(whole, fields)]


def _is_unlabelled(
    columns: Mapping[str, Any],
    fields: tuple[Field, ...],
    record: str | None,
    drop: Sequence[str],
    typed: bool,
) -> bool:
    """Whether nothing is said where the record would be, though the schema wants something there."""
    if record is not None:
        return says_nothing(columns.get(record))
    nothing = all(says_nothing(columns.get(field.column)) for field in fields)
    return nothing and bool(_record(columns, fields, record, drop, typed)[1])


def _is_one_call(keys: Iterable[str], fields: Sequence[Field]) -> bool:
    """Whether records are one call each, where the task's are lists of them."""
    return [field.name for field in fields] == ["calls"] and set(keys) == {"name", "arguments"}


def value_of(cell: Any, field: Field, typed: bool = False) -> Any:
    """A cell as a value of the field's type; a text from a CSV file is read as one.

    Args:
        typed: of a file whose format has null, so that NA stands for none.

    Raises:
        ValueError: the text is none of that type.
    """
    if isinstance(cell, float) and field.type == "integer" and cell.is_integer():
        # as pandas keeps whole numbers where others are missing
        return int(cell)
    if not isinstance(cell, str) or field.type in ("string", "enum"):
        return _text_of(cell, field)
    cell = cell.strip()
    if not typed and is_missing(cell) and field.type in ("boolean", "integer", "number"):
        return None
    if not cell:
        return [] if field.type == "list" and not field.optional else None
    if field.type == "boolean":
        if cell.lower() not in _TRUTH:
            raise ValueError(cell)
        return _TRUTH[cell.lower()]
    if field.type in ("integer", "number"):
        return _number(cell, field)
    if field.type == "list" and is_array(cell):
        return cell_value(as_list(cell))
    if field.type == "list" and not cell.startswith("["):
        if field.items is not None and field.items.type not in ("string", "enum"):
            raise ValueError(cell)
        return [part.strip() for part in cell.split(";") if part.strip()]
    return cell_value(cell)


def says_nothing(value: Any) -> bool:
    """Whether a cell is empty, or holds nothing but blanks, as those that were typed over do."""
    return value is None or (isinstance(value, str) and not value.strip(" \t"))


def bare(label: str) -> str:
    """Without blanks around it, those included that are not seen (a zero-width space, a byte order mark)."""
    return re.sub(rf"^{_BLANKS}|{_BLANKS}$", "", label)


def bare_text(text: str) -> str:
    """The same of a text of one line: in one of several the first may be set in, as in a program's."""
    found = bare(text)
    return text if "\n" in found else found or text


def _text_of(cell: Any, field: Field) -> Any:
    """A text as it is meant; null where it is none and may be."""
    if not isinstance(cell, str):
        return cell
    return bare_value(cell, field)


def without_blanks(record: dict[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    """``record`` with its texts and labels, those within objects and lists too, as a person means them."""
    by_name = {field.name: field for field in fields}
    return {
        name: bare_value(value, by_name[name]) if name in by_name else value
        for name, value in record.items()
    }


def bare_value(value: Any, field: Field) -> Any:
    """A value as a person means it: a label as the config has it, a text without the blanks around it; an empty one is none where it may be."""
    empty = isinstance(value, str) and says_nothing(value)
    if empty and field.optional and (not value or value not in field.values):
        return None
    if isinstance(value, str) and field.type == "enum":
        return value if field.label(value) is not None else field.label(bare(value)) or value
    if isinstance(value, str) and field.type == "string":
        return bare_text(value)
    if isinstance(value, dict) and field.type == "object":
        return without_blanks(value, field.fields)
    if isinstance(value, list) and field.type == "list":
        return [bare_value(item, field.items or TEXT) for item in value]
    return value


def _number(cell: str, field: Field) -> float:
    if _INTEGER.fullmatch(cell) or (field.type == "integer" and POINT_ZERO.fullmatch(cell)):
        value: float = int(cell.removesuffix(".0"))
    elif field.type == "number" and _NUMBER.fullmatch(cell):
        value = float(cell)
    else:
        raise ValueError(cell)
    # one too large for a float is none of the type
    if not field.has_type(value):
        raise ValueError(cell)
    return value


def describe(rows: Sequence[Row], path: str, fields: Sequence[Field]) -> dict[str, Any]:
    """Counts that describe a corpus from a file: ``texts``, mean words, labels by enum field."""
    spoken = sum(len(words(row["text"])) for row in rows)
    labels = {
        field.name: {
            value: sum(row["record"][field.name] == value for row in rows)
            for value in (*field.values, *((None,) if field.optional else ()))
        }
        for field in fields
        if field.type == "enum"
    }
    return {
        "source": "file",
        "path": path,
        "texts": len(rows),
        "words_mean": round(spoken / len(rows), 1),
        "labels": {
            # a label may itself be called null
            name: {
                ("(null)" if "null" in counts else "null") if value is None else value: n
                for value, n in counts.items()
            }
            for name, counts in labels.items()
        },
    }
