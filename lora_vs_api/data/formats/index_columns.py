"""Columns without a name of their own: an index that a program has added, or one that a person has forgotten to name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lora_vs_api.data.formats.table_rows import BELOW
from lora_vs_api.errors import UserError
from lora_vs_api.shown import in_a_row

_MAX_TITLES = 6  # lines that may stand above a header
# what pandas calls a column without a name when it reads one, or an index when it writes Parquet
_INDEX_NAME = re.compile(r"(?:Unnamed: \d+|__index_level_\d+__|)")


def check_names(where: str, names: Sequence[str], hint: str = "") -> None:
    twice = [repr(name) for name, times in Counter(names).items() if name and times > 1]
    if twice:
        raise UserError(
            f"{where}: expected no column name twice, found {in_a_row(twice, 5)}; give each a name of its own{hint}"
        )


def kept_columns(
    where: str, names: Sequence[str], columns: Sequence[Sequence[Any]], notes: list[str]
) -> list[int]:
    """Places of the columns that are no index; what is left out is added to ``notes``.

    Raises:
        UserError: a column without a name that holds something else than an index.
    """
    kept = []
    for place, (name, values) in enumerate(zip(names, columns, strict=True)):
        if not _INDEX_NAME.fullmatch(name):
            kept.append(place)
            continue
        said = f"column {place + 1} ({name})" if name else f"column {place + 1} without a name"
        if _is_empty(values):
            notes.append(f"{said}: empty, left out")
        elif _counts_rows(values):
            notes.append(f"{said}: an index, left out")
        elif name:
            kept.append(place)
        else:
            held = next(value for value in values if value not in ("", None))
            raise UserError(f"{where}: {said} holds {held!r:.40}; {_mend(names, columns)}")
    return kept


def _mend(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> str:
    """What to do about a column without a name: a title above the header leaves most of them without one."""
    # a table may begin in another column than its title
    below = [str(values[0] or "").strip() for values in columns if not _is_empty(values)]
    if sum(map(bool, names)) == 1 and not any(re.search(r"[^\W\d_]", name) for name in names):
        return "the first line seems to be a row: put a line with names above it"
    within = next((mark for mark in "|;\t" if mark in names[0]), None)
    if within is not None and not any(names[1:]):
        return (
            f"the first name holds {within!r}: a file with that between its cells that was saved again with commas? save it as it "
            "was before, or take the commas at the lines' ends out"
        )
    # a title stands at the left or over some column; a table that pandas wrote has its index there, which may hold the texts
    again = any(values[0] in values[1:] for values in columns)
    is_title = bool(names[0]) or not again
    if sum(map(bool, names)) == 1 and is_title and all(below) and len(set(below)) == len(below):
        return BELOW.format(next(filter(None, names))[:60])
    if any("Open-Ended Response" in values[:1] for values in columns):
        return "the line below holds names too, as SurveyMonkey writes them: make one line of names of the two"
    return _mend_of_several(columns) or "name it, or take the column out"


def _mend_of_several(columns: Sequence[Sequence[Any]]) -> str | None:
    """The same where several lines stand above the header: the first line that is full, whose words stand in no row below."""
    for place in range(min(_MAX_TITLES, len(columns[0]))):
        held = [values for values in columns if not _is_empty(values[place:])]
        cells = [str(values[place] or "").strip() for values in held]
        if not all(cells):
            continue
        if place == 0:
            # so begin the rows of a table one of whose columns has no name
            return None
        names = len(set(cells)) == len(cells) and not any(map(_has_digit, cells))
        again = any(values[place] in values[place + 1 :] for values in held)
        title = next((str(values[place - 1]) for values in columns if values[place - 1]), "")
        return BELOW.format(title[:60]) if names and not again and title else None
    return None


def _is_empty(values: Sequence[Any]) -> bool:
    return all(value in ("", None) for value in values)


def _has_digit(cell: str) -> bool:
    return any(map(str.isdigit, cell))


def _counts_rows(values: Sequence[Any]) -> bool:
    """Whole numbers, none of them twice."""
    texts = [str(value).strip() for value in values]
    return all(re.fullmatch(r"\d+", text, re.ASCII) for text in texts) and len(set(texts)) == len(
        texts
    )
