"""The column that a person wrote, guessed from names and values."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from lora_vs_api.data.source import says_nothing
from lora_vs_api.data.table import names_of
from lora_vs_api.data.templates import as_named
from lora_vs_api.data.written import (
    ADDRESS,
    CREATED,
    FEW,
    FILE_NAME,
    ID,
    MOMENT,
    NUMBER,
    UNSPACED_LETTER,
    are_texts,
    called_written,
    is_written,
    may_be_read,
    mostly_written,
    plain_name,
)
from lora_vs_api.errors import UserError

Rows = Sequence[Mapping[str, Any]]

MOSTLY = 0.9  # of the texts hold their answer

MUCH_LONGER = 3  # lists of objects or notes than the texts, and these are the texts
FULL = 0.9  # of the rows have a text in the column of the texts
MANY = 50  # rows that are enough to tell labels from texts
LABEL_LENGTH = 40  # characters of labels at most, on average


def text_column(rows: Rows) -> str:
    """The column that a person wrote: of several one that holds no labels, of these one called so and filled, then the longest.

    An address, a path or one long word is no writing where another column has words.

    Raises:
        UserError: no column holds texts.
    """
    names = names_of(rows)
    lengths = _lengths(rows)
    most = _candidates(rows, names, lengths)
    filled = {
        name: sum(isinstance(v := row.get(name), str) and bool(v.strip()) for row in rows)
        for name in most
    }
    # a row without a text is none; a few that are empty are slips
    full = {name for name in most if filled[name] >= FULL * len(rows)}
    # a text that several people labelled stands in as many rows, and has more words than a label
    labels = {
        name
        for name in most
        if called_written(name) < 2
        and lengths[name] <= LABEL_LENGTH * max(filled[name], 1)
        and _are_labels(name, rows)
    }
    text = max(
        most,
        key=lambda name: (name not in labels, called_written(name), name in full, lengths[name]),
    )
    if called_written(text) < 2 and _are_labels(text, rows):
        # beside a text's words, too
        _check_no_lists(rows, names)
    if text in labels and len(rows) >= MANY:
        # beside labels of several words a text may be a single one, such as a skill
        short = [name for name in lengths if _may_be_text(name, rows) and name not in most]
        if not short:
            different = len({row.get(text) for row in rows if not says_nothing(row.get(text))})
            raise UserError(
                f"no column holds texts: {text}, the longest, has {different} different ones in {len(rows):,} rows; name it with "
                "--text"
            )
        text = max(short, key=lambda name: lengths[name])
    longer = [name for name in full if name not in labels and lengths[name] > lengths[text]]
    if text not in full:
        # a salary_text that some rows have is none of the texts, whatever it is called
        text = max(longer, key=lambda name: lengths[name], default=text)
    elif called_written(text) == 1 and lengths[text] <= LABEL_LENGTH * filled[text]:
        # a doctor beside the notes, an author beside the comments
        told = [name for name in longer if may_be_read(name)]
        much = [name for name in told if lengths[name] > MUCH_LONGER * lengths[text]]
        text = max(much, key=lambda name: lengths[name], default=text)
    _check_not_in_lists(rows, names, text, lengths[text])
    return text


def _lengths(rows: Rows) -> dict[str, int]:
    """Characters of each column's texts."""
    found: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            # a record as JSON text can be longer than what it was taken from
            if isinstance(value, str) and value.strip()[:1] != "{":
                found[name] = found.get(name, 0) + len(value)
    return found


def _candidates(rows: Rows, names: Sequence[str], lengths: Mapping[str, int]) -> list[str]:
    """The columns that may be that of the texts: somebody wrote most of their cells, or they are a word each.

    Raises:
        UserError: no column holds texts.
    """
    found = [
        name
        for name in lengths
        if mostly_written(rows, name) and not CREATED.fullmatch(plain_name(name))
    ]
    if not found:
        _check_no_lists(rows, names)
        _check_no_files(rows, names)
        # one word each, such as names; but an id is no writing
        found = [
            name
            for name in lengths
            if not ID.fullmatch(plain_name(name))
            and 2 * sum(map(_is_word, (row.get(name) for row in rows))) >= len(rows)
        ]
    if not found:
        raise UserError("no column holds texts; name it with --text")
    return [name for name in found if not answers_itself(name, rows, names)] or found


def _check_not_in_lists(rows: Rows, names: Sequence[str], text: str, length: int) -> None:
    """Make sure that the texts do not lie in the lists of a column beside a short one.

    Raises:
        UserError: a column's lists hold many more words.
    """
    for name in names:
        lists = (cell for row in rows if isinstance(cell := row.get(name), list))
        within = sum(map(_length_within, lists))
        if within > MUCH_LONGER * length and not _repeat(rows, name, text):
            raise UserError(
                f"the texts seem to lie in the lists of {name}, which hold more words than the column {text}: write a row "
                "for each, or name the text with --text"
            )


def _repeat(rows: Rows, name: str, text: str) -> bool:
    """Whether lists mostly hold the words of their row's text once more, as triplets of a sentence do with tags."""
    held = [
        (set(re.findall(r"\w+", str(row[name]))), set(re.findall(r"\w+", str(row.get(text)))))
        for row in rows
        if isinstance(row.get(name), list)
    ]
    return 2 * sum(len(of & said) for of, said in held) > sum(len(of) for of, _ in held)


def check_filled(text: str, rows: Rows) -> None:
    """Make sure that nearly every row has a text in the column that was taken for that of the texts.

    Raises:
        UserError: many have none.
    """
    filled = sum(not says_nothing(row.get(text)) for row in rows)
    if filled < FULL * len(rows):
        raise UserError(
            f"{text}, which seems to hold the texts, has one in {filled:,} of {len(rows):,} rows; take the others out, or name "
            "another column with --text"
        )


def _may_be_text(name: str, rows: Rows) -> bool:
    """Whether most cells of a column are words, few of them alike, and no ids."""
    called = any(form.fullmatch(plain_name(name)) for form in (ID, NUMBER))
    if called or called_written(name) == 0:
        return False
    words = sum(_is_word(v := row.get(name)) and not re.search(r"\d", str(v)) for row in rows)
    return words >= FULL * len(rows) and not _are_labels(name, rows)


def _are_labels(name: str, rows: Rows) -> bool:
    """Whether a column's cells are few for so many rows, and so no texts."""
    return FEW * len({str(row.get(name)) for row in rows}) <= len(rows)


def _check_no_files(rows: Rows, names: Sequence[str]) -> None:
    """Make sure that no column names files, where no other holds texts."""
    for name in names:
        cells = [row.get(name) for row in rows]
        if 2 * sum(isinstance(cell, str) and _is_file(cell) for cell in cells) >= len(cells):
            raise UserError(
                f"no column holds texts: {name} names files, whose texts are not read; put the texts themselves into a "
                "column, or name that of the texts with --text"
            )


def _is_file(cell: str) -> bool:
    return FILE_NAME.fullmatch(cell.strip()) is not None


def _length_within(cell: Any) -> int:
    """Characters that somebody wrote within a list."""
    if isinstance(cell, dict):
        return sum(map(_length_within, cell.values()))
    if isinstance(cell, list):
        return sum(map(_length_within, cell))
    return len(cell) if isinstance(cell, str) and is_written(cell) else 0


def _is_word(value: Any) -> bool:
    """Whether a cell is a word, and no number, moment, address or JSON."""
    if not isinstance(value, str) or not re.search(r"[^\W\d_]", value):
        return False
    value = value.strip()
    if value.lower() in ("true", "false", "yes", "no"):
        return False
    return value[:1] not in ("[", "{") and not (MOMENT.fullmatch(value) or ADDRESS.fullmatch(value))


def answers_itself(name: str, rows: Rows, names: Collection[str]) -> bool:
    """Whether a column holds the answer too, as prompts do that were written out for a training.

    That is another column's JSON; or another text as well as, at its end, a third column's cell.
    """
    cells = [(str(row.get(name) or "").strip().removesuffix("</s>").rstrip(), row) for row in rows]

    def mostly(holds: Callable[[str, str], bool], other: str) -> bool:
        found = (
            (cell, value.strip()) for cell, row in cells if isinstance(value := row.get(other), str)
        )
        return sum(len(value) > 1 and holds(cell, value) for cell, value in found) >= MOSTLY * len(
            rows
        )

    others = [other for other in names if other != name]
    if any(
        mostly(lambda cell, value: value[0] == "{" and value in cell, other) for other in others
    ):
        return True
    texts = [o for o in others if called_written(o) == 2 and mostly_written(rows, o)]
    held = [other for other in texts if mostly(lambda cell, value: value in cell, other)]
    if any(mostly(_has_json_behind, other) for other in held):
        return True
    return any(
        mostly(lambda cell, value: cell.endswith(value), other)
        for other in others
        if held and other not in held
    )


def _has_json_behind(cell: str, text: str) -> bool:
    """Whether a cell is another one's text and behind it an object."""
    return cell.startswith(text) and cell.removeprefix(text).lstrip()[:1] == "{"


def _check_no_lists(rows: Rows, names: Sequence[str]) -> None:
    """Refuse texts that lie in lists, as lines or words do.

    Raises:
        UserError: a column holds them, with what makes one text of each.
    """
    for name in names:
        cells = [cell for row in rows if (cell := row.get(name))]
        texts = [cell for cell in cells if are_texts(cell)]
        if not texts or len(texts) < len(cells):
            continue
        items = [item for cell in texts for item in cell]
        words = not any(" " in item for item in items)
        unspaced = 2 * sum(map(bool, map(UNSPACED_LETTER.search, items))) > len(items)
        if called_written(name) == 2 or plain_name(name) in ("tokens", "words", "token", "word"):
            mark = ("" if unspaced else " ") if words else "\\n"
            if words and (numbers := _numbers_of_each(rows, names, name)):
                raise UserError(
                    f"{', '.join(numbers)}: a number for each of {name}, and no name of what it marks; write the names, such as "
                    "B-PER, I-PER and O (a data set's features have them), and they are read as entities"
                )
            raise UserError(
                f"the column {name} holds lists of texts, and no other column seems to hold texts; --text "
                f"'{{{{ {as_named(name)} | join(\"{mark}\") }}}}' makes one of each"
            )


def _numbers_of_each(rows: Rows, names: Sequence[str], words: str) -> list[str]:
    """The columns whose lists have a whole number for each item of the column ``words``."""

    def are_numbers(cell: Any, of: Any) -> bool:
        numbers = isinstance(cell, list) and all(type(item) is int for item in cell)
        return numbers and isinstance(of, list) and len(cell) == len(of)

    if all(len(row.get(words) or ()) < 2 for row in rows):
        # lists of one, as a frame of another kind writes a cell
        return []
    return [
        name
        for name in names
        if name != words and all(are_numbers(row.get(name), row.get(words)) for row in rows)
    ]
