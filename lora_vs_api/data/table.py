"""What every reader of a file gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# the column that says of which file of a folder, or list of a file, a row is
FILE_SPLIT = "split"
SPARK_FOLDER = "is a folder, as Spark writes one; expected one file: join its parts into one"

Rows = list[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Table:
    """Rows as (place such as ``file.csv:12``, column → value), and what to know of how they were read.

    ``conversations``: their texts and records were taken from such. ``instruction`` is the one system prompt
    that all of these have, if any.
    """

    rows: Rows
    notes: list[str] = field(default_factory=list)
    conversations: bool = False
    instruction: str | None = None


def names_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The columns of a file, in the order in which its rows have them."""
    return list(dict.fromkeys(name for row in rows for name in row))


@dataclass(frozen=True)
class CsvRows:
    """The rows of a CSV file that are not empty, each with the line on which it begins.

    ``named`` says that the file's first line was Excel's ``sep=``, which names the separator, ``escaped`` that
    quotes within cells have a backslash before them, ``unquoted`` that quotes are part of the cells, ``spaced``
    that blanks stand behind separators, which are no part of the cells, ``single`` that single quotes enclose
    the cells, ``dumped`` that line ends, tabs and backslashes in cells were written ``\\n``, ``\\t`` and ``\\\\``.
    ``doubt`` says of a cell in quotes that it may have taken in whole rows.
    """

    rows: list[tuple[int, list[str]]]
    separator: str
    named: bool
    escaped: bool = False
    unquoted: bool = False
    spaced: bool = False
    single: bool = False
    dumped: bool = False
    doubt: str | None = None
