"""What the columns of a file are for, guessed from names and values: text, split, bookkeeping.

A guess leaves a column out with its reason, so that whoever knows better can name it in ``--fields``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unicodedata import normalize

from lora_vs_api.data.source import says_nothing
from lora_vs_api.data.split import split_named
from lora_vs_api.errors import UserError

Rows = Sequence[Mapping[str, Any]]

SPLITS = {"train", "val", "test"}
MAX_PARTS, MAX_SHOWN = 10, 4  # of a column that is called as a split
MOSTLY = 0.9  # of a split column's cells name one
# what people call the column that somebody wrote, and those that somebody wrote about it
_WRITTEN = re.compile(
    r"texts?|utterance|message|e?mail|body|query|question|input|user|prompt|transcript|dialog(?:ue)?|conversation|"
    r"sentence|content|article|document|passage|paragraph|abstract|review|complaint"
)
_ABOUT = re.compile(
    r"response|reply|answer|output|summary|labels?|gold|target|notes?|explanation|rationale|translation|"
    r"comments?|remarks?|url|link|html|path|file"
)
_ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://|www\.|data:[\w/+.-]+[;,])\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    re.IGNORECASE,
)
# what a column is called that says which rows train
_SPLIT_NAME = re.compile(r"(?:data_?)?(?:split|subset|fold|partition)|set|usage")
_ANNOTATOR = re.compile(
    r"(?:annotat|label+|cod|rat|review|creat|updat|modifi|check|verifi)(?:ed_by|i?ers?|ors?)(?:_(?:id|name|email))?"
    r"|worker(?:_id)?"
)
_CREATED = re.compile(
    r"(?:(?:last_)?(?:created|updated|modified|inserted|ingested|imported|exported|label+ed|annotated|uploaded|"
    r"scraped|crawled|fetched)|creation|ingestion|annotation)(?:_?(?:at|on|date|time|timestamp|ts))?"
    r"|(?:date|time)_(?:created|added|modified|updated)|time_?stamp|lead_time"
    r"|(?:received|submitted|posted)_(?:at|ts|timestamp)"  # _on and _date may be what a letter says
)
_MOMENT = re.compile(
    r"\d{4}[-/.]\d\d?[-/.]\d\d?(?:[T ].*)?|\d\d?[./]\d\d?[./]\d{2,4}(?: .*)?|\d{9,13}(?:\.\d+)?|\d+(?:\.\d+)?"
)
_ID = re.compile(
    r"(?:.*_)?(?:ids?|uid|uuid|guid|hash|sha\d*|md5)|index|idx|row(?:_?(?:number|nr|no))?"
)


# a number that tells rows apart, such as ticket_no; where rows share it, it may be a number of anything
_NUMBER = re.compile(r"(?:.*_)?(?:no|nr|num|number|ref|reference|key|code)")


def plain_name(name: str) -> str:
    """``name`` in lower case, its words apart by ``_``: createdAt and Created At are created_at."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^\w]+", "_", apart).strip("_").lower()


def text_column(rows: Rows) -> str:
    """The column that a person wrote: of several the one called so, then the longest on average.

    An address, a path or one long word is no writing where another column has words.

    Raises:
        UserError: no column holds texts.
    """
    lengths: dict[str, int] = {}
    written: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            # a record as JSON text can be longer than what it was taken from
            if isinstance(value, str) and value.strip()[:1] != "{":
                lengths[name] = lengths.get(name, 0) + len(value)
                written[name] = written.get(name, 0) + _is_written(value)
    if not lengths:
        raise UserError("no column holds texts; name it with --text")
    most = [name for name in lengths if 2 * written[name] >= len(rows)]
    # one word each, such as names; but an id is no writing
    most = most or [name for name in lengths if not _ID.fullmatch(plain_name(name))]
    if not most:
        raise UserError("no column holds texts; name it with --text")
    return max(most, key=lambda name: (_called_written(name), lengths[name]))


def _is_written(value: str) -> bool:
    """Several words, or letters of a script that writes without blanks between them."""
    value = value.strip()
    if value[:1] in ("[", "{") or _ADDRESS.fullmatch(value):
        return False
    return len(value.split()) > 1 or any(ord(letter) > 0x2E7F for letter in value)


def _called_written(name: str) -> int:
    words = plain_name(name).split("_")
    if any(map(_ABOUT.fullmatch, words)):
        return 0
    return 2 if any(map(_WRITTEN.fullmatch, words)) else 1


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


def bookkeeping(
    rows: Rows, names: Sequence[str], words: Callable[[Mapping[str, Any]], str]
) -> dict[str, str]:
    """Which of the columns ``names`` no text can tell, and why: constants, ids, annotators, dates of creation.

    Args:
        rows: column → value.
        words: a row's text.
    """
    texts = [normalize("NFC", words(row)) for row in rows]
    found = {}
    for name in names:
        why = _why_left_out(name, [row.get(name) for row in rows], texts)
        if why is not None:
            found[name] = why
    return found


def always_the_same(values: Sequence[Any]) -> str | None:
    """Why there is nothing to learn from a column that never changes; None where it does."""
    present = [str(value).strip() for value in values if not says_nothing(value)]
    if not present:
        return "empty in every row"
    if len(set(present)) > 1 or len(present) < len(values):
        return None
    return f"{present[0]!r:.40} in every row: nothing to learn"


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
    if any(isinstance(value, dict | list | bool) for value in values):
        return None
    if 2 * sum(bool(cell) and _stands(cell, text) for cell, text in present) > len(present):
        return None
    plain = plain_name(name)
    parts = splits - {None} or plain.endswith("split") or all(map(str.isdigit, cells))
    if _SPLIT_NAME.fullmatch(plain) and len(set(cells)) <= MAX_PARTS and parts:
        said = " and ".join(sorted(set(cells))[:MAX_SHOWN])
        return f"called as a split and says {said}: expected train, val and test of every row; no text names it"
    if _ANNOTATOR.fullmatch(plain):
        return "called as who labelled or keeps the row is, and no text names it"
    if _CREATED.fullmatch(plain) and all(map(_MOMENT.fullmatch, cells)):
        return "called as when the row was made or labelled is, and no text names it"
    if _ID.fullmatch(plain):
        if len(set(cells)) == len(cells):
            return "an id: another in every row, and no text names it"
        return (
            "an id that several rows share and no text names; are they alike? --group-by names it"
        )
    if _NUMBER.fullmatch(plain) and len(set(cells)) == len(values):
        return "called as what tells rows apart: another in every row, and no text names it"
    if all(map(_ADDRESS.fullmatch, cells)):
        return "addresses that no text names"
    return None


def _stands(cell: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(normalize('NFC', cell))}(?!\w)", text) is not None
