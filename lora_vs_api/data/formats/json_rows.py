"""Rows of a JSON file, in whichever form it has them: one a line, in a list, one after another, under a key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_vs_api.data.json_values import is_json, json_value, json_values, unfenced
from lora_vs_api.data.split import split_named
from lora_vs_api.data.table import FILE_SPLIT, Rows
from lora_vs_api.data.templates import is_template, used_columns
from lora_vs_api.data.written import called_written, is_written
from lora_vs_api.errors import UserError
from lora_vs_api.shown import LONE_SURROGATE, in_a_row

# of objects within objects, in which the list of the rows may lie
DEPTH = 4
_ACTIONS = {"index", "create", "update"}
# the key under which programs write rows, whatever these are
_WRAPPERS = {
    "data",
    "rows",
    "items",
    "results",
    "records",
    "examples",
    "documents",
    "entries",
    "instances",
}
# keys of a turn of a conversation
_TURNS = ({"role", "content"}, {"from", "value"}, {"role", "parts"})
# what the names of columns are called that stand apart from the cells
_HEADERS = {"columns", "cols", "fields", "header", "headers", "names", "schema"}
# rows that are no comments on one
MANY = 20
# rows that are looked at for writing
LOOKED_AT = 20


def json_rows(
    path: Path, text: str, lines: bool, notes: list[str], column: str | None = None
) -> Rows:
    """The objects of ``text``, each with its place.

    A file that is none of what its name promises is read as what it is, where all of it is that: a list that is
    called ``.jsonl``, lines that are called ``.json``, objects one after another.

    Args:
        path: of the file.
        text: its content.
        lines: its name promises one object a line, and not one JSON value.
        notes: what is to be said of how it was read is added to these.
        column: that of the texts or a template over columns, where it is known: one object that has it is a row.

    Raises:
        UserError: no JSON, no rows in it, or several lists that could be the rows.
    """
    if (bare := unfenced(text)) != text:
        notes.append("``` around it, left out")
        text = bare
    try:
        rows = (
            list(_lines(path, text)) if lines else _rows_of(path, json_value(text), notes, column)
        )
        if lines and len(rows) == 1 and _is_around(rows[0][1], column):
            rows = _rows_of(path, rows[0][1], notes, column)
        _check_no_turns(path, rows)
        return _without_actions(rows, notes)
    except ValueError as error:
        other = _otherwise(path, text, lines, notes)
        if other is not None:
            return other
        raise UserError(f"{path}: {error}{_no_json(text)}") from None
    except _NoLine as error:
        other = _otherwise(path, text, lines, notes)
        if other is not None:
            return other
        raise UserError(f"{error}{_no_json(text)}") from None


def _without_actions(rows: Rows, notes: list[str]) -> Rows:
    """``rows`` without the line above each that tells Elasticsearch what to do with it."""
    actions, documents = rows[::2], rows[1::2]
    if not rows or len(actions) != len(documents):
        return rows
    if not all(len(row) == 1 and row.keys() <= _ACTIONS for _, row in actions):
        return rows
    notes.append(
        f"{len(actions):,} lines that tell Elasticsearch what to do (index, create), left out"
    )
    return documents


def _is_around(found: Mapping[str, Any], column: str | None) -> bool:
    """Whether the only object of a file of lines is no row, but what stands around the rows."""
    if _holds_turns(found) or (column is not None and _is_row(found, column)):
        return False
    return any(
        (name in _WRAPPERS or len(found) == 1) and len(rows) >= MANY
        for name, rows in _tables(found)
    )


def _check_no_turns(path: Path, rows: Rows) -> None:
    """Make sure that the rows are not what two have said in turn.

    Raises:
        UserError: each is one turn and no more.
    """
    if len(rows) > 1 and all(row.keys() in _TURNS for _, row in rows):
        raise UserError(
            f'{path}: the rows are turns {in_a_row(list(rows[0][1]), 2)}: put those of each conversation under a key: {{"messages": [ … ]}}'
        )


class _NoLine(Exception):
    """A line that holds no object, with its place."""


def _lines(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    # not splitlines: JSON strings may hold U+2028, which ends no line here
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row = json_value(line)
        except ValueError as error:
            raise _NoLine(f"{place}: {error}; expected one object a line") from None
        row = _as_row(row[0] if isinstance(row, list) and len(row) == 1 else row)
        if not isinstance(row, dict):
            raise _NoLine(f"{place}: expected an object, found {line.strip():.60}{_inner(row)}")
        yield place, row


def _inner(row: Any) -> str:
    """What a row that is no object seems to be."""
    if isinstance(row, str) and row.lstrip().startswith("{"):
        return ", a text that holds one: JSON within JSON"
    if isinstance(row, list) and row and all(map(_is_turn, row)):
        return '; put the turns under a key: {"messages": [ … ]}'
    return ""


def _otherwise(path: Path, text: str, lines: bool, notes: list[str]) -> Rows | None:
    """The rows of a file that is not what its name promises; None where it is nothing else either.

    Raises:
        UserError: it is something else as far as it can be read, and broken there.
    """
    start = text.lstrip()[:1]
    found: list[tuple[str, Any]] = []
    try:
        if lines and start == "[":
            rows = _rows_of(path, json_value(text), notes)
            notes.append("one JSON list, whatever its name says")
            return rows
        # a list on each line is none, nor a single object over several lines
        if start not in ("{", "["):
            return None
        for line, value in json_values(text):
            found.append((f"{path}:{line}", value))
    except ValueError as error:
        # of one object a line the other reading has named the line
        begun = not is_json(text.lstrip().partition("\n")[0]) if lines else start == "{"
        if begun and (found or (lines and start == "[")):
            raise UserError(f"{path}: {error}{_no_json(text)}") from None
        return None
    if start == "[" and len(found) > 1 and all(isinstance(value, list) for _, value in found):
        # as Scrapy leaves them, where it has written to one file twice
        notes.append(f"{len(found):,} JSON lists one after another, read as one")
        return [row for place, rows in found for row in _items(place, rows)]
    if not all(isinstance(value, dict) for _, value in found):
        return None
    notes.append("JSON objects one after another, each read as a row")
    return found


def _rows_of(path: Path, found: Any, notes: list[str], column: str | None = None) -> Rows:
    """The objects of a JSON list, or of the one list of rows that an object holds, such as ``{"data": […]}``."""
    if isinstance(found, dict) and (
        _holds_turns(found) or (column is not None and _is_row(found, column))
    ):
        notes.append("one JSON object, read as the only row")
        return [(f"{path}: item 1", found)]
    # a text that is JSON itself is told as that
    if (
        isinstance(found, list)
        and found
        and all(isinstance(text, str) and text.lstrip()[:1] not in ("{", "[") for text in found)
    ):
        name = column if column and not is_template(column) else "text"
        notes.append(f"a list of texts, each read as a row's {name}")
        found = [{name: text} for text in found]
    if isinstance(found, list):
        found = _exported(path, found)
    elif isinstance(found, dict):
        tables = dict(_tables(found))
        if (celled := _celled(found)) is not None:
            name, names, found = celled
            notes.append(
                f"the rows are those under {name}, the names of their columns under {names}"
            )
        elif (columns := _columns(found, tables)) is not None:
            labels = f"; {BY_LABEL}" if _may_be_labels(columns) else ""
            notes.append(f"lists of one length, read as columns: {', '.join(columns):.200}{labels}")
            found = [dict(zip(columns, values)) for values in zip(*columns.values())]
        elif len(tables) > 1 and all(map(split_named, tables)):
            return [row for name, rows in tables.items() for row in _of_split(path, name, rows)]
        else:
            found = _rows_within(path, found, tables, notes)
    if not isinstance(found, list):
        what = type(found).__name__
        raise UserError(f"{path}: expected a list of objects, found {what}")
    return list(_items(str(path), found))


def _holds_turns(found: Mapping[str, Any]) -> bool:
    """Whether an object is one conversation, and its lists hold what was said in it."""
    lists = (value for value in found.values() if isinstance(value, list) and value)
    return any(all(map(_is_turn, value)) for value in lists)


def _is_turn(value: Any) -> bool:
    return isinstance(value, dict) and any(keys <= value.keys() for keys in _TURNS)


def _is_row(found: Mapping[str, Any], column: str) -> bool:
    """Whether an object is a row itself, and not what stands around rows: it has the text of one."""
    used = used_columns(column).keys()
    if not used or not used <= found.keys():
        return False
    if is_template(column):
        return True
    # what stands around rows may be called as they are, and what was said to a row as that is
    around = any(
        used <= row.keys()
        for name, rows in _tables(found)
        if name.lower() in _WRAPPERS or len(rows) >= MANY
        for row in rows
    )
    return isinstance(found[column], str) and not around


def _items(where: str, rows: Sequence[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, row in enumerate(rows, start=1):
        place = f"{where}: item {number}"
        # beside pairs, null is what nobody has marked
        if row is None and any(map(_is_pair, rows)):
            continue
        row = _as_row(row)
        if not isinstance(row, dict):
            raise UserError(f"{place}: expected an object, found {row!r:.60}{_inner(row)}")
        yield place, row


def _is_pair(row: Any) -> bool:
    """Whether this is a text and what was marked in it, as spaCy writes them."""
    return isinstance(row, list) and [type(part) for part in row] == [str, dict]


def _as_row(row: Any) -> Any:
    return {"text": row[0], **row[1]} if _is_pair(row) else row


def _of_split(
    path: Path, name: str, rows: Sequence[Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for place, row in _items(f"{path}: {name}", rows):
        yield place, {FILE_SPLIT: str(split_named(name)), **row}


def _exported(path: Path, rows: list[Any]) -> list[Any]:
    """The rows of the one table of a database that phpMyAdmin has exported; other ``rows`` as they are."""
    if not (rows and isinstance(rows[0], dict) and rows[0].get("type") == "header"):
        return rows
    tables = [row for row in rows if isinstance(row, dict) and isinstance(row.get("data"), list)]
    if len(tables) != 1:
        told = ", ".join(str(table.get("name")) for table in tables)
        raise UserError(
            f"{path}: expected one table, found {len(tables)}{f': {told:.80}' * bool(told)}; export the one that holds "
            "the rows"
        )
    found: list[Any] = tables[0]["data"]
    return found


def _tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """The lists of objects that lie within an object's objects, each by its dotted name."""
    return ((name, rows) for name, rows in _lists(found) if _are_objects(rows))


def _celled(found: Mapping[str, Any]) -> tuple[str, str, list[dict[str, Any]]] | None:
    """Rows as lists of cells, whose columns are named elsewhere in the object; None where there are none such.

    So write Socrata (data.gov), Datasette, Elasticsearch's SQL and pandas' orient="split".

    Returns:
        Where the rows lie, where the names of their columns do, and the rows by these.
    """
    lists = dict(_lists(found))
    rows = {
        name: value
        for name, value in lists.items()
        if all(isinstance(row, list) for row in value) and len(set(map(len, value))) == 1
    }
    headers = {
        name: names
        for name, value in lists.items()
        if name.rpartition(".")[2].lower() in _HEADERS and (names := _names_in(value))
    }
    fits = [
        (name, header)
        for name, value in rows.items()
        for header, names in headers.items()
        if len(names) == len(value[0])
    ]
    if len(fits) != 1:
        return None
    name, header = fits[0]
    return name, header, [dict(zip(headers[header], row)) for row in rows[name]]


def _lists(
    found: Mapping[str, Any], above: str = "", depth: int = DEPTH
) -> Iterator[tuple[str, list[Any]]]:
    """The lists with anything in them that lie within an object's objects, each by its dotted name."""
    for name, value in found.items():
        if isinstance(value, list) and value:
            yield above + name, value
        elif isinstance(value, dict) and depth:
            yield from _lists(value, f"{above}{name}.", depth - 1)


def _names_in(header: Sequence[Any]) -> list[str] | None:
    """Names of columns, which are texts or objects that have one; None where they are not, or one stands twice."""
    names = [one.get("name") if isinstance(one, dict) else one for one in header]
    known = [name for name in names if isinstance(name, str) and name.strip()]
    return known if len(set(known)) == len(names) else None


def _columns(
    found: Mapping[str, Any], tables: Mapping[str, Any]
) -> Mapping[str, Sequence[Any]] | None:
    """Columns that stand beside each other as lists of one length; None where an object holds other things."""
    lists = {name: value for name, value in found.items() if isinstance(value, list)}
    # pandas' orient="split" has its names apart
    if "columns" in found or len(lists) < 2 or len({len(value) for value in lists.values()}) > 1:
        return None
    # a list of one may be what stands under a key
    if all(len(value) == 1 for value in lists.values()) and all(
        called_written(name) < 2 for name in lists
    ):
        return None
    return lists if any(lists.values()) and lists.keys() - tables.keys() else None


def _may_be_labels(columns: Mapping[str, Sequence[Any]]) -> bool:
    """Whether lists of one length may be the texts of a label each: all hold texts, and none is called as a column of these is."""
    some = [value[:LOOKED_AT] for value in columns.values()]
    texts = (isinstance(text, str) and is_written(text) for value in some for text in value)
    return all(texts) and all(called_written(name) == 1 for name in columns)


def _rows_within(
    path: Path, found: Mapping[str, Any], tables: Mapping[str, list[Any]], notes: list[str]
) -> list[Any]:
    if not tables:
        lists = [value for value in found.values() if isinstance(value, list)]
        # of one list alone its rows are looked at; pandas' orient="split" holds names and cells apart
        if len(lists) == 1 and "columns" not in found:
            return lists[0]
        raise UserError(
            f"{path}: expected a list of objects, found one object{_hint_of_object(found)}"
        )
    if _are_by_key(found, next(iter(tables))):
        raise UserError(f"{path}: expected a list of objects, found one object{BY_KEY}")
    written = [name for name, rows in tables.items() if _is_written(rows)]
    names = written if len(written) == 1 else list(tables)
    if len(names) > 1:
        keys = [{key for row in rows for key in row} for rows in tables.values()]
        what = (
            BY_LABEL
            if all(each == keys[0] for each in keys)
            else "make the one that holds the rows the file"
        )
        raise UserError(
            f"{path}: expected one list of objects, found {len(names)}: {in_a_row(names, 4)}; {what}"
        )
    name = names[0]
    if len(found) > 1 or "." in name:
        notes.append(f"the rows are those under {name}")
    return tables[name]


def _are_by_key(found: Mapping[str, Any], table: str) -> bool:
    """Whether a list of objects, by its dotted name, is part of a row, and the rows are what an object holds by their keys."""
    *above, _, name = ["", *table.split(".")]
    holder: Any = found
    for key in above[1:]:
        holder = holder.get(key) if isinstance(holder, Mapping) else None
    rows = [
        row
        for row in (holder.values() if isinstance(holder, Mapping) else ())
        if isinstance(row, Mapping) and isinstance(row.get(name), list)
    ]
    return len(rows) > 1 and _is_written(
        [{k: v for k, v in row.items() if k != name} for row in rows]
    )


def _is_written(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether most of the first rows hold words that somebody wrote."""
    some = rows[:LOOKED_AT]
    return 2 * sum(any(" " in text.strip() for text in _texts(row)) for row in some) > len(some)


BY_LABEL = 'are these rows by their label? write them as one list, each with its label: [ {"text": …, "label": …}, … ]'
BY_KEY = "; are these rows by their key? then make a list of its values: [ {…}, {…} ]"


def _hint_of_object(found: Mapping[str, Any]) -> str:
    """What an object that holds no list of rows seems to be, and what to do; empty for any other."""
    if not found or not any(isinstance(value, dict | list) for value in found.values()):
        return ""
    objects = [value for value in found.values() if isinstance(value, dict)]
    inner = [key for value in objects for key in value]
    by_number = all(key.isdigit() for key in inner) or any(key.isdigit() for key in found)
    if len(objects) == len(found) and inner and not by_number:
        return BY_KEY
    if (len(objects) == len(found) and by_number) or "columns" in found:
        return '; is it of pandas? then write it with df.to_json(path, orient="records")'
    return '; write one for each text, with its labels: [ {"text": …, "label": …}, … ]'


def _are_objects(rows: Sequence[Any]) -> bool:
    """Whether these are rows: objects, or pairs of a text and one; of the latter some may be null."""
    pairs = any(map(_is_pair, rows))
    return all(isinstance(row, dict) or _is_pair(row) or (pairs and row is None) for row in rows)


def _no_json(text: str) -> str:
    """What a file that should be JSON seems to be instead."""
    if not text.strip():
        return "; the file is empty"
    if re.match(r"\s*\[?\s*\{\s*'", text):
        return "; Python's own form, with single quotes, is no JSON: json.dumps writes that"
    if re.search("[{,]\\s*[“”]", text):
        return '; “ and ” of a word processor are no quotes of JSON: write " in their place'
    return ""


def halves(row: Mapping[str, Any]) -> Iterator[str]:
    """Where a row has half a character, which no text file and no model can be given."""
    for name, value in row.items():
        # a value's repr shows the half of itself, in whatever it is nested
        shown = LONE_SURROGATE.search(name) or any(map(LONE_SURROGATE.search, _texts(value)))
        if shown:
            yield (
                f"{name!r:.60}: expected whole characters, found a lone surrogate (half a character, "
                "as a text has that was cut in the middle of an emoji)"
            )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
