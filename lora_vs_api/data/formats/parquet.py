"""Parquet: its types as JSON has them, none of their digits or moments lost without a word."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isinf
from pathlib import Path
from typing import Any
from unicodedata import normalize
from uuid import UUID

from lora_vs_api.data.formats.class_labels import features, worded
from lora_vs_api.data.formats.index_columns import check_names, kept_columns
from lora_vs_api.data.formats.sheets import hours
from lora_vs_api.data.table import Table
from lora_vs_api.errors import UserError


def read_parquet(path: Path) -> Table:
    """The rows of a file, an index left out; what was read in another form is in the notes.

    Raises:
        UserError: no Parquet, or a value that JSON does not have.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        # one file, whatever the folders above it are called: of lang=en a whole dataset would make a column
        # Spark's moments are whole microseconds; in nanoseconds the years beyond 2262 become others without a word
        with pyarrow.parquet.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
            found = file.read()
        columns = [_values(column) for column in found.columns]
    # also dates and texts that Python has no value for
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{path}: not readable as Parquet: {said}") from None
    names = [normalize("NFC", name.strip()) for name in found.column_names]
    check_names(str(path), names)
    notes = [
        f"{field.name}: of the type {kind}, read as it is stored"
        for field in found.schema
        if (kind := _own_kind(field)) is not None
    ]
    labelled = features(found.schema.metadata)
    for place, name in enumerate(found.column_names):
        if name in labelled:
            columns[place] = worded(columns[place], labelled[name])
            notes.append(
                f"{name}: its numbers read as the words that they stand for in the file's own metadata"
            )
    kept = [
        place
        for place in kept_columns(str(path), names, columns, notes)
        if not _is_binary(names[place], columns[place], notes)
    ]
    plain = {
        names[place]: _plain_column(path, names[place], columns[place], notes) for place in kept
    }
    rows = [dict(zip(plain, values)) for values in zip(*plain.values())]
    return Table([(f"{path}: row {n}", row) for n, row in enumerate(rows, start=1)], notes)


def _is_binary(name: str, values: Sequence[Any], notes: list[str]) -> bool:
    """Whether a column holds bytes of which none are a text, as pictures are; it is told."""
    held = [value for value in values if value is not None]
    if not held:
        return False
    if all(map(_is_medium, held)):
        notes.append(f"{name}: pictures or sounds, left out")
        return True
    if not all(isinstance(value, bytes) and not _is_utf8(value) for value in held):
        return False
    notes.append(f"{name}: bytes that are no text, left out")
    return True


def _is_medium(value: Any) -> bool:
    """Whether this is a picture or a sound as the Hub's datasets hold one, or a list of such."""
    if isinstance(value, list):
        return bool(value) and all(map(_is_medium, value))
    return isinstance(value, Mapping) and value.keys() == {"bytes", "path"}


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _own_kind(field: Any) -> str | None:
    """The name of a column's type that a program has made for itself, such as pandas.period, which says 672 for a month."""
    # of one that is known here, and of one that is not
    known = getattr(field.type, "extension_name", None)
    stored = (field.metadata or {}).get(b"ARROW:extension:name")
    return known or (stored.decode() if stored else None)


def _values(column: Any) -> list[Any]:
    """A column's values as Python has them, numbers of 32 and 16 bits with the digits that they are meant by.

    0.1 in 32 bits is 0.10000000149011612 in Python's 64, which nobody wrote and no text says.
    """
    values: list[Any] = column.to_pylist(maps_as_pydicts="strict")
    return [_shortest(value, column.type) for value in values] if _is_short(column.type) else values


def _parts_of(kind: Any) -> list[tuple[str | None, Any]]:
    """Types within a nested one: of a struct's fields by name, of what a list or map holds under None."""
    from pyarrow import types

    if types.is_struct(kind):
        return [(field.name, field.type) for field in kind]
    if types.is_map(kind):
        return [(None, kind.item_type)]
    inner = getattr(kind, "value_type", None)
    return [] if inner is None else [(None, inner)]


def _is_short(kind: Any) -> bool:
    from pyarrow import types

    if types.is_float32(kind) or types.is_float16(kind):
        return True
    return any(_is_short(inner) for _, inner in _parts_of(kind))


def _shortest(value: Any, kind: Any) -> Any:
    """``value`` of the type ``kind``, its short numbers with the fewest digits that tell them apart."""
    import numpy as np
    from pyarrow import types

    if value is None:
        return None
    if types.is_float32(kind) or types.is_float16(kind):
        return float(str((np.float32 if types.is_float32(kind) else np.float16)(value)))
    inner = dict(_parts_of(kind))
    if isinstance(value, Mapping):
        return {
            key: _shortest(item, inner.get(key, inner.get(None))) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_shortest(item, inner[None]) for item in value]
    return _shortest(value, inner[None]) if inner else value


def _plain_column(path: Path, name: str, values: Sequence[Any], notes: list[str]) -> list[Any]:
    """A Parquet column as JSON has it; what was read in another form is added to ``notes``."""
    leaves = [leaf for value in values for leaf in _leaves(value) if leaf == leaf]
    decimals = [leaf for leaf in leaves if isinstance(leaf, Decimal)]
    moments = [leaf for leaf in leaves if isinstance(leaf, datetime)]
    as_number = all(Decimal(repr(float(number))) == number for number in decimals)
    whole = all(number == number.to_integral_value() for number in decimals)
    # pandas keeps days as moments at midnight
    as_days = all(moment.time() == time() and moment.tzinfo is None for moment in moments)
    if decimals:
        said = "numbers" if as_number else "texts, since a number would not hold all their digits"
        notes.append(f"{name}: decimals, read as {said}")
    if moments:
        said = "days, all of them at midnight" if as_days else "ISO 8601 texts"
        notes.append(f"{name}: dates with times, read as {said}")
    elif any(isinstance(leaf, date) for leaf in leaves):
        notes.append(f"{name}: dates, read as ISO 8601 texts")
    if any(isinstance(leaf, timedelta) for leaf in leaves):
        notes.append(f"{name}: lengths of time, read as hours, minutes and seconds")

    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            if not as_number:
                return str(value)
            return int(value) if whole else float(value)
        if isinstance(value, datetime) and as_days:
            return value.date().isoformat()
        if isinstance(value, timedelta):
            return hours(value)
        if isinstance(value, UUID):
            return str(value)
        return value.isoformat() if isinstance(value, date | time) else value

    found = []
    for number, value in enumerate(values, start=1):
        try:
            found.append(_converted(value, plain))
        except ValueError as error:
            raise UserError(f"{path}: row {number}: {name}: {error}") from None
    return found


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None:
        yield value


def _converted(value: Any, plain: Callable[[Any], Any]) -> Any:
    """``value`` as JSON has it, its leaves as ``plain`` makes them.

    Raises:
        ValueError: what cannot be said in JSON.
    """
    if isinstance(value, Mapping):
        return {normalize("NFC", str(key)): _converted(item, plain) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_converted(item, plain) for item in value]
    # NaN, and pandas' NaT
    if value is None or value != value:
        return None
    if isinstance(value, float) and isinf(value):
        raise ValueError(f"expected a number, found {value}")
    found = plain(value)
    if isinstance(found, bytes):
        try:
            return found.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("expected a text, found bytes that are not UTF-8") from None
    if not isinstance(found, str | bool | int | float):
        raise ValueError(
            f"expected texts, numbers, booleans or dates, found {type(value).__name__} {value}; write "
            "the column as texts, in pandas .astype(str)"
        )
    return found
