"""A user's own labelled rows: CSV, JSON Lines or Parquet to the corpus that the pipeline works on.

Every row that cannot be used is named with its line and field before anything is written: whoever
labelled five hundred rows wants to mend all of them at once.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field, completed
from lora_vs_api.validation.records import expected, violations

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row

MAX_SHOWN = 20
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

Table = list[tuple[str, Mapping[str, Any]]]


def read_source(
    path: str | Path,
    fields: tuple[Field, ...],
    text: str,
    record: str | None,
    row_id: str | None,
    groups: Mapping[str, str | None] | None = None,
) -> list[Row]:
    """The corpus rows ``{"id", "text", "record"}`` of a labelled file, in its order.

    Rows have a ``meta`` too where columns of ``groups`` are kept.

    Args:
        path: a .csv, .tsv, .jsonl, .ndjson or .parquet file.
        fields: of the record.
        text: the column with the text, or a Jinja template over the columns, such as
            ``{{ subject }}\\n\\n{{ body }}``.
        record: the column with the record, as an object or as JSON; None: one column a field.
            In such columns an empty cell is null, lists and objects are JSON, and a list of
            strings may also be separated by semicolons.
        row_id: the column with a unique id; None: ids are given by position.
        groups: config key, such as ``task.group_by`` → the column that it names, or None. Every row
            needs a value there.

    Raises:
        UserError: the file or a column is missing, or rows are malformed: each of them with its
            place and field, up to :data:`MAX_SHOWN`.
    """
    table = read_table(path)
    kept = {key: column for key, column in (groups or {}).items() if column is not None}
    _check_columns(
        path, table, fields, text, {"data.id": row_id, "data.record": record, **kept}, record
    )
    render = text_reader(text)
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
            problems.append(f"{text}: expected a text, found an empty one")
        key = f"row-{number:06d}" if row_id is None else str(columns.get(row_id) or "").strip()
        if not key:
            problems.append(f"{row_id}: expected an id, found an empty one")
        elif key in seen:
            problems.append(f"{row_id}: {key!r} is already at {seen[key]}; expected unique ids")
        seen.setdefault(key, place)
        values, wrong = _record(columns, fields, record)
        problems += wrong
        meta, wrong = _groups(columns, list(dict.fromkeys(kept.values())))
        problems += wrong
        if not problems:
            row: Row = {"id": key, "text": words, "record": values}
            rows.append({**row, "meta": meta} if kept else row)
        bad += [f"{place}: {problem}" for problem in problems]
    if bad:
        more = f"\n… and {len(bad) - MAX_SHOWN} more" if len(bad) > MAX_SHOWN else ""
        rows_word = f"{len(bad)} problem{'s' * (len(bad) > 1)}"
        raise UserError(f"{path}: {rows_word}:\n" + "\n".join(bad[:MAX_SHOWN]) + more)
    if not rows:
        raise UserError(f"{path}: no rows in it; expected labelled examples")
    return rows


def read_table(path: str | Path) -> Table:
    """All rows of a file as (place such as ``file.csv:12``, column → value).

    CSV cells are text; the other formats keep their types.

    Raises:
        UserError: no such file, another format, or content that is not of its format.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file; data.path names the labelled rows")
    try:
        if suffix == ".parquet":
            return _parquet(path)
        return list(_csv(path) if suffix in (".csv", ".tsv") else _json_lines(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not valid UTF-8 ({error.reason}); save it as UTF-8") from None


def _csv(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with open(path, encoding="utf-8-sig", newline="") as stream:
        head = stream.readline()
        stream.seek(0)
        # the header alone decides: commas and semicolons in the texts would mislead a sniffer
        delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t|", key=head.count)
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        header: list[str] | None = None
        start = 1
        try:
            for cells in reader:
                line, start = start, reader.line_num + 1
                if header is None:
                    header = [name.strip() for name in cells]
                    if len(set(header)) != len(header):
                        raise UserError(f"{path}:1: expected no column name twice")
                elif cells:
                    if len(cells) != len(header):
                        raise UserError(
                            f"{path}:{line}: expected {len(header)} cells as in the header, "
                            f"found {len(cells)}"
                        )
                    yield f"{path}:{line}", dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise UserError(f"{path}:{reader.line_num}: not valid CSV: {error}") from None


def _json_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with open(path, encoding="utf-8-sig", newline="\n") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise UserError(f"{path}:{number}: not valid JSON: {error}") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}:{number}: expected an object, found {line.strip():.60}")
            yield f"{path}:{number}", row


def _parquet(path: Path) -> Table:
    import pyarrow
    import pyarrow.parquet

    try:
        found = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: not readable as Parquet: {error}") from None
    return [(f"{path}: row {number}", row) for number, row in enumerate(found, start=1)]


def text_reader(text: str) -> Callable[[Mapping[str, Any]], str]:
    """A function from a row's columns to its text; ``text`` as in :func:`read_source`."""
    if "{{" not in text and "{%" not in text:
        return lambda columns: _as_text(columns.get(text), text)
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import SandboxedEnvironment

    # sandboxed: a config that someone shares is not a program to run
    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    try:
        template = environment.from_string(text)
    except TemplateError as error:
        raise UserError(f"data.text: not a valid Jinja template: {error}") from None

    def render(columns: Mapping[str, Any]) -> str:
        try:
            return template.render(columns)
        except TemplateError as error:
            raise UserError(f"data.text: {error}") from None

    return render


def _as_text(value: Any, column: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError(f"{column}: expected a text, found {value!r:.60}")
    return value


def _check_columns(
    path: str | Path,
    table: Table,
    fields: Sequence[Field],
    text: str,
    wanted: dict[str, str | None],
    record: str | None,
) -> None:
    """``wanted``: config key → the column that it names, or None."""
    if not table:
        raise UserError(f"{path}: no rows in it; expected labelled examples")
    columns = {name for _, row in table for name in row}
    if "{{" not in text and "{%" not in text:
        wanted["data.text"] = text
    for key, name in wanted.items():
        if name is not None and name not in columns:
            raise UserError(
                f"{key}: {path} has no column {name!r}; it has {', '.join(sorted(columns))}"
            )
    if record is None:
        for field in fields:
            if field.name not in columns and not field.optional:
                raise UserError(
                    f"task.fields.{field.name}: {path} has no such column; it has "
                    f"{', '.join(sorted(columns))}"
                )


def _groups(columns: Mapping[str, Any], kept: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """A row's labels by column, and what is wrong with them."""
    found: dict[str, str] = {}
    problems = []
    for column in kept:
        value = columns.get(column)
        # Parquet has NaN where a number is missing
        missing = value is None or value != value or (isinstance(value, str) and not value.strip())
        if isinstance(value, (str, int, float)) and not missing:
            found[column] = str(value).strip()
        else:
            said = "none" if missing else f"{value!r:.80}"
            problems.append(f"{column}: expected a text or a number to group by, found {said}")
    return found, problems


def _record(
    columns: Mapping[str, Any], fields: tuple[Field, ...], record: str | None
) -> tuple[dict[str, Any], list[str]]:
    """The record of a row, and what is wrong with it."""
    if record is None:
        cells: dict[str, Any] = {}
        problems = []
        for field in fields:
            try:
                cells[field.name] = value_of(columns.get(field.name), field)
            except ValueError:
                problems.append(
                    f"{field.name}: expected {expected(field)}, found {columns[field.name]!r:.80}"
                )
        named = {problem.split(":")[0] for problem in problems}
        whole = completed(cells, fields)
        return whole, problems + [
            problem for problem in violations(whole, fields) if problem.split(":")[0] not in named
        ]
    given = columns.get(record)
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (json.JSONDecodeError, RecursionError):
            return {}, [f"{record}: expected a JSON object, found {given!r:.80}"]
    if not isinstance(given, dict):
        return {}, [f"{record}: expected a JSON object, found {given!r:.80}"]
    whole = completed(given, fields)
    return whole, [f"{record}.{problem}" for problem in violations(whole, fields)]


def value_of(cell: Any, field: Field) -> Any:
    """A cell as a value of the field's type; a text from a CSV file is read as one.

    Raises:
        ValueError: the text is none of that type.
    """
    if not isinstance(cell, str) or field.type in ("string", "enum"):
        return None if cell == "" and field.optional else cell
    cell = cell.strip()
    if not cell:
        return [] if field.type == "list" and not field.optional else None
    if field.type == "boolean":
        if cell.lower() not in _TRUTH:
            raise ValueError(cell)
        return _TRUTH[cell.lower()]
    if field.type == "integer":
        return int(cell)
    if field.type == "number":
        return float(cell) if not cell.lstrip("+-").isdigit() else int(cell)
    if field.type == "list" and not cell.startswith("["):
        if field.items is not None and field.items.type not in ("string", "enum"):
            raise ValueError(cell)
        return [part.strip() for part in cell.split(";") if part.strip()]
    return json.loads(cell)


def describe(rows: Sequence[Row], path: str, fields: Sequence[Field]) -> dict[str, Any]:
    """Counts that describe a corpus from a file: ``texts``, mean words, labels by enum field."""
    words = sum(len(row["text"].split()) for row in rows)
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
        "words_mean": round(words / len(rows), 1),
        "labels": {
            name: {"null" if value is None else value: n for value, n in counts.items()}
            for name, counts in labels.items()
        },
    }
