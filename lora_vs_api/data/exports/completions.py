"""Prompts and completions as fine-tuning wanted them once: a mark at the end of every prompt, one at that of every answer.

``{"prompt": "… ->", "completion": " refund END"}``. Source: OpenAI's guide of its models without a chat, whose files are
still about. The marks are none of the text or the answer, nor is the blank before the latter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from lora_vs_api.data.table import Rows, Table

PROMPT, COMPLETION = "prompt", "completion"
# signs alone, a word in capitals or one in angle brackets, apart from what stands before it
_MARK = re.compile(r"\s+(?:[^\w\s]{2,}|[A-Z]{3,}|<\S+>)\s*\Z")
# rows that are enough to tell a mark from what texts end in
MIN_ROWS = 10


def without_marks(table: Table) -> Table:
    """``table`` without the marks at the end of all its prompts and completions; another one as it is."""
    prompts, completions = (_texts(table.rows, name) for name in (PROMPT, COMPLETION))
    if prompts is None or (completions is None and any(COMPLETION in row for _, row in table.rows)):
        return table
    # a file to answer has prompts alone
    completions = completions or []
    behind = [_behind(completion) for completion in completions]
    same = _shared(behind) if behind != completions else ""
    marks = {PROMPT: _mark(prompts), COMPLETION: same if same.strip() else _mark(completions)}
    blanks = bool(completions) and all(value[:1] == " " for value in completions)
    if not any(marks.values()) and not blanks:
        return table
    rows: Rows = [
        (
            place,
            {
                **row,
                **{name: _bare(row[name], mark) for name, mark in marks.items() if row.get(name)},
            },
        )
        for place, row in table.rows
    ]
    notes = [
        f"{name}: {mark!r} at the end of every one, left out"
        for name, mark in marks.items()
        if mark
    ]
    notes += [f"{COMPLETION}: blanks around every one, left out"] * (
        blanks and not marks[COMPLETION]
    )
    return Table(rows, [*table.notes, *notes], table.conversations, table.instruction)


def _texts(rows: Rows, name: str) -> list[str] | None:
    """What stands in a column, where that is texts alone, and enough of them."""
    cells = [cell for _, row in rows if (cell := row.get(name))]
    texts = [cell for cell in cells if isinstance(cell, str)]
    return texts if len(texts) == len(cells) >= MIN_ROWS else None


def _behind(completion: str) -> str:
    """What stands behind the JSON that a completion begins with; another one whole."""
    try:
        end = json.JSONDecoder().raw_decode(completion.lstrip())[1]
    except ValueError:
        return completion
    return completion.lstrip()[end:] if completion.lstrip()[:1] == "{" else completion


def _mark(cells: Sequence[str]) -> str:
    """The mark that all cells end in, with the blanks around it where these are the same; empty where there is none."""
    marks = {found[0] if (found := _MARK.search(cell)) else "" for cell in cells}
    mark = _shared(marks)
    # the end of a fence around JSON, which is left out where the record is read
    return "" if mark.strip() == "```" else mark


def _shared(ends: Iterable[str]) -> str:
    """What all ``ends`` are, without the blanks around it where these differ; empty where they are several."""
    whole = set(ends)
    bare = {end.strip() for end in whole}
    return min(whole if len(whole) == 1 else bare) if len(bare) == 1 else ""


def _bare(cell: str, mark: str) -> str:
    return cell.strip().removesuffix(mark.strip()).strip()
