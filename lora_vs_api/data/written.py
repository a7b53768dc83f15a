"""What a person wrote, and not an id, an address or a word; and what the columns of it are called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://|www\.|data:[\w/+.-]+[;,])\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    re.IGNORECASE,
)


# a file that a column names instead of holding its text
FILE_NAME = re.compile(
    r"[^\n]{0,200}[^\s./]\.(?:txt|md|html?|xml|json|csv|pdf|docx?|rtf|odt|eml|msg|png|jpe?g|gif|tiff?|webp|wav|mp3|mp4|zip|gz)",
    re.IGNORECASE,
)
# an object or a list, as JSON or another language writes it; a subject may well begin with [EXTERNAL]
_VALUE = re.compile(
    r"""\{.*|\[\s*(?:["'\[{\d.\-\]]|true\b|false\b|null\b|None\b).*[\]}]""",
    re.DOTALL | re.IGNORECASE,
)
# who labelled a row or keeps it, and when that was
ANNOTATOR = re.compile(
    r"(?:annotat|label+|cod|rat|review|creat|updat|modifi|check|verifi)(?:ed_by|i?ers?|ors?)(?:_(?:id|name|email))?"
    r"|worker(?:_id)?"
)
CREATED = re.compile(
    r"(?:(?:last_)?(?:created|updated|modified|inserted|ingested|imported|exported|label+ed|annotated|uploaded|"
    r"scraped|crawled|fetched)|creation|ingestion|annotation)(?:_?(?:at|on|date|time|timestamp|ts))?"
    r"|(?:date|time)_(?:created|added|modified|updated)|time_?stamp|lead_time"
    r"|(?:received|submitted|posted)_(?:at|ts|timestamp)"  # _on and _date may be what a letter says
)


ID = re.compile(
    r"(?:.*_)?(?:ids?|id_str|pid|uid|uuid|guid|hash|sha\d*|md5)|(?:row_)?(?:index|idx)|_?(?:rev|etag)|row(?:_?(?:number|nr|no))?"
)

# a number that tells rows apart, such as ticket_no; where rows share it, it may be a number of anything
NUMBER = re.compile(r"(?:.*_)?(?:no|nr|num|number|ref|reference|key|code)")


MOMENT = re.compile(
    r"\d{4}[-/.]\d\d?[-/.]\d\d?(?:[T ].*)?|\d\d?[-./]\d\d?[-./]\d{2,4}(?: .*)?|\d{9,13}(?:\.\d+)?|\d+(?:\.\d+)?"
    r"|\d\d?[-/ ][A-Z][a-z]{2,8}[-/ ]\d{2,4}(?:,? .*)?"
    # as mails and Twitter write one
    r"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? (?:\d\d? [A-Z][a-z]{2} \d{4}|[A-Z][a-z]{2} \d\d?) [\d:]+ ?[+\w-]*(?: \d{4})?"
)
# in lower case: R's, pandas', SQL's and Python's, and what stands for nothing in a table that is to be read
_MISSING = {"na", "n/a", "nan", "<na>", "null", "none", "nil", "-", "--", "---", "–", "—", "?", "."}
# words by which people call the column of the records
_RECORD = {
    word
    for one in (
        "record",
        "output",
        "answer",
        "label",
        "annotation",
        "completion",
        "response",
        "result",
        "extraction",
        "target",
        "reference",
        "prediction",
    )
    for word in (one, f"{one}s")
} | {
    "expected",
    "expectations",
    "ideal",
    "gold",
    "golden",
    "truth",
    "extracted",
    "parsed",
    "structured",
    "json",
    "chosen",
    "fields",
}


def plain_name(name: str) -> str:
    """``name`` in lower case, its words apart by ``_``: createdAt and Created At are created_at, HITId is hit_id."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z](?!s\b)[a-z])", "_", name)
    return re.sub(r"[^\w]+", "_", apart).strip("_").lower()


def is_called_record(name: str) -> bool:
    """Whether a column is called as people call that of the records: its last word says what it is."""
    return plain_name(name).rpartition("_")[2] in _RECORD


def is_missing(cell: str) -> bool:
    """Whether people and programs write this where a number is missing; a label may well be called so."""
    return cell.lower() in _MISSING


def is_written(value: str) -> bool:
    """Several words, or letters of a script that writes without blanks between them."""
    value = value.strip()
    if any(form.fullmatch(value) for form in (_VALUE, ADDRESS, MOMENT, FILE_NAME)):
        return False
    return len(value.split()) > 1 or any(ord(letter) > 0x2E7F for letter in value)


def mostly_written(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether somebody wrote at least half of a column's cells."""
    cells = [row.get(name) for row in rows]
    return 2 * sum(isinstance(cell, str) and is_written(cell) for cell in cells) >= len(rows) > 0
