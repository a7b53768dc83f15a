"""What the columns of a file are for, guessed from names and values: text, split, bookkeeping.

A guess leaves a column out with its reason, so that whoever knows better can name it in ``--fields``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from unicodedata import normalize

from lora_vs_api.data.source import says_nothing
from lora_vs_api.data.split import split_named
from lora_vs_api.data.table import names_of
from lora_vs_api.data.templates import in_template, text_reader
from lora_vs_api.data.text_column import answers_itself
from lora_vs_api.data.written import (
    ADDRESS,
    ANNOTATOR,
    CREATED,
    EXPECTED,
    ID,
    MOMENT,
    NUMBER,
    called_written,
    is_written,
    mostly_written,
    plain_name,
)
from lora_vs_api.shown import in_quotes

Rows = Sequence[Mapping[str, Any]]

SPLITS = {"train", "val", "test"}
MAX_PARTS, MAX_SHOWN = 10, 4  # of a column that is called as a split
ANOTHER_TEXT = "another text"
EMPTY = "empty in every row"
MIN_VECTOR = 16  # numbers of an embedding at least
MAX_CODES = 20  # labels of a column that has a number for each
# what stands above a text
_TITLES = ("title", "subject", "headline", "heading")
MOSTLY = 0.9  # of a split column's cells name one
# what a column is called that says which rows train
_SPLIT_NAME = re.compile(r"(?:data_?)?(?:split|subset|fold|partition)|set|usage")
# an object that programs put beside a text
_ABOUT_ROW = re.compile(
    r"(?:.*_)?(?:meta(?:data)?|metrics|stats|config|options|debug|provenance|usage)"
)


def split_column(rows: Rows) -> str | None:
    """The column whose cells name train, val and test, all three of them; else None.

    A few that name none do not make it another column: they are refused with their rows.
    """
    found = []
    for name in rows[0]:
        cells = [split_named(row.get(name)) for row in rows]
        known = [cell for cell in cells if cell is not None]
        if set(known) == SPLITS and len(known) >= MOSTLY * len(cells):
            found.append(name)
    return min(found, key=lambda name: "split" not in name.lower(), default=None)


def bookkeeping(rows: Rows, names: Sequence[str], text: str) -> dict[str, str]:
    """Which of the columns ``names`` no text can tell, and why: constants, ids, annotators, dates of creation, other texts.

    Args:
        rows: column → value.
        text: the column of the texts, or a template over columns.
    """
    words = text_reader(text, names_of(rows))
    texts = [normalize("NFC", words(row)) for row in rows]
    found = {}
    for name in names:
        values = [row.get(name) for row in rows]
        why = (
            _why_left_out(name, values, texts)
            or _number_of(rows, name, values)
            or _trained_text(rows, name)
            or _another_text(name, values, texts, text)
        )
        if why is not None:
            found[name] = why
    return found


def _number_of(rows: Rows, name: str, values: Sequence[Any]) -> str | None:
    """Why a column of numbers is left out that says nothing but which label another column has."""
    codes = {str(value) for value in values}
    counted = ({str(n) for n in range(first, first + len(codes))} for first in (0, 1))
    if not 1 < len(codes) <= MAX_CODES or codes not in counted:
        return None
    for other in dict.fromkeys(key for row in rows for key in row if key != name):
        labels = [row.get(other) for row in rows]
        if not all(isinstance(label, str) and not label.strip().isdigit() for label in labels):
            continue
        pairs = set(zip(values, labels))
        if len(pairs) == len(set(values)) == len(set(labels)):
            return f"a number for each {other}"
    return None


def _trained_text(rows: Rows, name: str) -> str | None:
    """Why a column is left out that holds a text and its answer."""
    if not mostly_written(rows, name) or called_written(name) != 2:
        return None
    names = names_of(rows)
    return "a text with its answer, for a training" if answers_itself(name, rows, names) else None


def _another_text(name: str, values: Sequence[Any], texts: Sequence[str], text: str) -> str | None:
    """Why a column of texts is left out that is called as what is read, such as a title, and that the text does not hold."""
    plain = plain_name(name)
    titled = plain.rpartition("_")[2] in _TITLES
    cells = [value for value in values if isinstance(value, str) and value.strip()]
    if not (titled or called_written(name) == 2) or 2 * len(set(cells)) < len(values):
        return None
    if 2 * sum(map(is_written, cells)) < len(values):
        return None
    pairs = ((cell, held) for cell, held in zip(values, texts) if isinstance(cell, str) and cell)
    if 2 * sum(_stands(cell.strip(), held) for cell, held in pairs) > len(cells):
        return None
    how = "names it in its template"
    if "{" not in text:
        how = f"'{in_template(name)}\\n\\n{in_template(text)}' joins them"
    return f"{ANOTHER_TEXT}: --text {how}; --fields names it where it is to be found"


def always_the_same(values: Sequence[Any]) -> str | None:
    """Why there is nothing to learn from a column that never changes; None where it does."""
    present = [str(value).strip() for value in values if not says_nothing(value)]
    if not set(present) - {"[]", "{}"}:
        return EMPTY
    if len(set(present)) > 1 or len(present) < len(values):
        return None
    return f"{in_quotes(present[0])} in every row: nothing to learn"


def _are_vectors(values: Sequence[Any]) -> bool:
    """Whether these are embeddings: many numbers with points, as many in each row."""
    lists = [value for value in values if isinstance(value, list)]
    return (
        len(lists) == len(values) > 0
        and len({len(value) for value in lists}) == 1
        and len(lists[0]) >= MIN_VECTOR
        and all(isinstance(number, float) for value in lists for number in value)
    )


def _why_left_out(name: str, values: Sequence[Any], texts: Sequence[str]) -> str | None:
    constant = always_the_same(values)
    if constant is not None:
        return constant
    present = [(str(v).strip(), text) for v, text in zip(values, texts) if not says_nothing(v)]
    cells = [cell for cell, _ in present]
    splits = {split_named(cell) for cell in cells}
    if len(present) == len(values) and None not in splits and len(splits) > 1:
        missing = ", ".join(sorted(SPLITS - {str(split) for split in splits}))
        said = f"says {' and '.join(sorted(set(cells)))}"
        return f"{said}, and nothing is {missing}: no split" if missing else f"{said}: a split"
    if len(present) == len(values) and all(_is_text(v, text) for v, text in zip(values, texts)):
        return "the text once more"
    if is_about(name) and all(cell[:1] == "{" for cell in cells):
        return "called as what belongs to a row is, and no record"
    if any(isinstance(value, dict) for value in values):
        return _why_no_object(name, values, texts)
    if _are_vectors(values):
        return "as many numbers in every row, as a model makes them of a text"
    if any(isinstance(value, list | bool) for value in values):
        return None
    plain = plain_name(name)
    counting = cells in ([str(n) for n in range(first, first + len(values))] for first in (0, 1))
    if ID.fullmatch(plain) and counting:
        return "counts the rows"
    if 2 * sum(bool(cell) and _stands(cell, text) for cell, text in present) > len(present):
        return None
    if counting:
        # whatever it is called: #, SNo, Case
        return "counts the rows, and no text names it"
    if 2 * sum(_tells_day(cell, text) for cell, text in present) > len(present):
        return None
    # Ticket # is a number of tickets
    called = plain_name(name.replace("#", " no "))
    return _why_by_name(called, cells, splits, len(cells) == len(values))


def _why_by_name(
    plain: str, cells: Sequence[str], splits: set[str | None], full: bool
) -> str | None:
    """Why a column is left out that no text names, by what it is called; ``full`` where no cell is empty."""
    parts = splits - {None} or plain.endswith("split") or all(map(str.isdigit, cells))
    if _SPLIT_NAME.fullmatch(plain) and len(set(cells)) <= MAX_PARTS and parts:
        said = " and ".join(sorted(set(cells))[:MAX_SHOWN])
        return f"called as a split and says {said}: expected train, val and test of every row; no text names it"
    if ANNOTATOR.fullmatch(plain):
        return "called as who labelled or keeps the row is, and no text names it"
    if CREATED.fullmatch(plain) and all(map(MOMENT.fullmatch, cells)):
        return "called as when the row was made or labelled is, and no text names it"
    if ID.fullmatch(plain) and EXPECTED.isdisjoint(plain.split("_")):
        if len(set(cells)) == len(cells):
            return "an id: another in every row, and no text names it"
        # a group needs a name in every row
        asked = "; are they alike? --group-by names it" if full else ""
        return f"an id that several rows share and no text names{asked}"
    codes = not any(" " in cell for cell in cells)
    if NUMBER.fullmatch(plain) and codes and full and len(set(cells)) == len(cells):
        return "called as what tells rows apart: another in every row, and no text names it"
    if all(map(ADDRESS.fullmatch, cells)):
        return "addresses that no text names"
    return None


def _why_no_object(name: str, values: Sequence[Any], texts: Sequence[str]) -> str | None:
    """The same of a column of objects: each of their keys is left out."""
    held = [value if isinstance(value, dict) else {} for value in values]
    keys = dict.fromkeys(key for value in held for key in value)
    whys = [_why_left_out(key, [value.get(key) for value in held], texts) for key in keys]
    return f"of its key: {whys[0]}" if whys and all(whys) else None


def is_about(name: str) -> bool:
    """Whether a column is called as what is said about a row, and not in it."""
    return _ABOUT_ROW.fullmatch(plain_name(name)) is not None


def _is_text(value: Any, text: str) -> bool:
    """Whether a value, or all that an object holds, is the text itself."""
    held = list(value.values()) if isinstance(value, dict) else [value]
    same = (isinstance(one, str) and normalize("NFC", one).strip() == text.strip() for one in held)
    return bool(held) and all(same)


def _tells_day(cell: str, text: str) -> bool:
    """Whether a text tells the day of a cell in its own way: its year, and its day of the month."""
    day = re.match(r"(\d{4})-\d\d-0?(\d\d?)\b", cell)
    return day is not None and all(
        re.search(rf"(?<!\d)0?{part}(?!\d)", text) for part in day.groups()
    )


def _stands(cell: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(normalize('NFC', cell))}(?!\w)", text) is not None
