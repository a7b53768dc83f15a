"""Words with a tag each, as corpora of entities have them (CoNLL): read as the text and the entities in it.

``{"tokens": ["Ana", "lives"], "ner_tags": ["B-PER", "O"]}``. A score of lists counts no order, and no model counts words.
The schemes of tags, all of which are read: IOB1, IOB2, BIOES and BILOU (Ratinov and Roth, CoNLL 2009).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lora_vs_api.data.table import Rows, Table
from lora_vs_api.data.written import are_texts, mostly_written
from lora_vs_api.record.words import UNSPACED

TEXT, LABEL = "text", "label"
_TAG = re.compile(r"([BIESLU])-(.+)")
_OUTSIDE = "O"
_BEGINS, _ENDS = "BSU", "ELSU"
# their marks are as wide as their letters, with the blank in it
_UNSPACED = re.compile(rf"[{UNSPACED}\u3000-\u303f\uff00-\uffef]+")


def with_entities_of_tags(table: Table, text: str | None = None) -> Table:
    """``table`` with lists of entities in place of words and their tags; one that has no such columns as it is.

    The text is a column ``text`` of the words, where no column is written already. Other lists that say something of
    each word, such as its part of speech, are left out.

    Args:
        text: the column of the texts or a template, where it is known; one that joins the words itself keeps them.
    """
    found = _words_and_tags(table.rows)
    if found is None or (text is not None and re.search(rf"\b{re.escape(found[0])}\b", text)):
        return table
    words, tags = found
    plain = [row for _, row in table.rows]
    written = next((name for name in plain[0] if mostly_written(plain, name)), None)
    others = [
        name
        for name in plain[0]
        if name not in (words, *tags) and _are_as_long(table.rows, name, words)
    ]
    rows: Rows = []
    for place, row in table.rows:
        said = _joined(row[words])
        new: dict[str, Any] = {} if written else {TEXT: said}
        new |= {name: value for name, value in row.items() if name not in (words, *others)}
        for name in tags:
            new[name] = [
                {TEXT: _joined(part), LABEL: label}
                for part, label in _entities(row[words], row[name])
            ]
        rows.append((place, new))
    notes = [
        *table.notes,
        f"{', '.join(tags)}: the words that the tags mark, such as B-PER and I-PER, instead of a tag for each of {words}"
        + ("" if written else f", which are the column {TEXT}"),
    ]
    notes += [f"{name}: says something of each of {words}, left out" for name in others]
    return Table(rows, notes, table.conversations, table.instruction)


def _words_and_tags(rows: Rows) -> tuple[str, list[str]] | None:
    """The column of the words, and those of tags of entities; None where there are none."""
    if not rows:
        return None
    lists = [name for name in rows[0][1] if all(are_texts(row.get(name)) for _, row in rows)]
    tags = [name for name in lists if _are_tags(rows, name)]
    words = [name for name in lists if name not in tags]
    for name in words:
        own = [tag for tag in tags if _are_as_long(rows, tag, name)]
        if own and (TEXT not in rows[0][1] or isinstance(rows[0][1][TEXT], str)):
            return name, own
    return None


def _are_tags(rows: Rows, name: str) -> bool:
    held = {tag for _, row in rows for tag in row[name]}
    # vitamins (B-12) have no O
    return (
        _OUTSIDE in held
        and len(held) > 1
        and all(tag == _OUTSIDE or _TAG.fullmatch(tag) for tag in held)
    )


def _are_as_long(rows: Rows, name: str, words: str) -> bool:
    return all(
        isinstance(cell := row.get(name), list) and len(cell) == len(row[words]) for _, row in rows
    )


def _entities(words: Sequence[str], tags: Sequence[str]) -> list[tuple[list[str], str]]:
    """The words of each entity and its label, in their order."""
    found: list[tuple[list[str], str]] = []
    open_ = False
    for word, tag in zip(words, tags, strict=True):
        marked = _TAG.fullmatch(tag)
        if marked is None:
            open_ = False
            continue
        how, label = marked.groups()
        if not open_ or how in _BEGINS or found[-1][1] != label:
            found.append(([], label))
        found[-1][0].append(word)
        open_ = how not in _ENDS
    return found


def _joined(words: Sequence[str]) -> str:
    """One text of words, with blanks between them but for scripts that have none."""
    said = ""
    for word in words:
        apart = bool(said) and not (_UNSPACED.fullmatch(said[-1:]) and _UNSPACED.match(word))
        said += f" {word}" if apart else word
    return said
