"""What a person wrote, and not an id, an address or a word; and what the columns of it are called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lora_vs_api.record.words import UNSPACED

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
    r"|date_(?:de_)?(?:cr[eé]ation|modification)|(?:erstellt|geändert)_am|erstellungsdatum|fecha_(?:de_)?(?:creaci[oó]n|modificaci[oó]n)"
    r"|data_(?:di_)?creazione|(?:data_(?:de_)?criação|criado_em)|创建(?:时间|日期)|作成(?:日時?|時間)"
    r"|(?:received|submitted|posted)_(?:at|ts|timestamp)"  # _on and _date may be what a letter says
)


ID = re.compile(
    r"(?:.*_)?(?:ids?|id_str|doi|pmid|pmcid|uuid|guid|hash|sha\d*|md5"
    r"|(?:[pquxn]|doc|user|tweet|msg|post|item|order|ticket|case|sent|pub|pubmed|video|review|article)id)|(?:row_)?(?:index|idx)|_?(?:rev|etag)|row(?:_?(?:number|nr|no))?"
)

# a number that tells rows apart, such as ticket_no; where rows share it, it may be a number of anything
NUMBER = re.compile(r"(?:.*_)?(?:no|nr|num|number|ref|reference|key|code)")


# what may stand behind a day: a time, its zone, a day of the week, the end of a span; a line of a log goes on with words
_WEEKDAY = "(?:Mon|Tue|Tues|Wed|Wednes|Thu|Thurs|Fri|Sat|Satur|Sun)(?:day)?"
# each sign is read in one way alone, so that no text takes long
_BEHIND = (
    rf"(?:[ ,;.~–+-]|at\b|to\b|and\b|T?\d[\d:.,/+-]*+h?|[AaPp]\.?[Mm]\b|(?![AP]\.?M\b)[A-Z]{{1,4}}\b"
    rf"|{_WEEKDAY}\b|[A-Z][a-z]+/[A-Z][a-z_]+|\([^()]*\)|\[[\w/]*\])*"
)
MOMENT = re.compile(
    rf"\d{{4}}[-/.]\d\d?[-/.]\d\d?(?:T\S*|{_BEHIND})|\d\d?[-./]\d\d?[-./]\d{{2,4}}{_BEHIND}|\d{{9,13}}(?:\.\d+)?|\d+(?:\.\d+)?"
    rf"|\d\d?[-/ ][A-Z][a-z]{{2,8}}[-/ ]\d{{2,4}}{_BEHIND}"
    # as mails and Twitter write one
    r"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? (?:\d\d? [A-Z][a-z]{2} \d{4}|[A-Z][a-z]{2} \d\d?) [\d:]+ ?[+\w-]*(?: \d{4})?"
)
# in lower case: R's, pandas', SQL's and Python's, and what stands for nothing in a table that is to be read
_MISSING = {"na", "n/a", "nan", "<na>", "null", "none", "nil", "-", "--", "---", "–", "—", "?", "."}
# words by which people call what is to be answered, such as an expected_id
EXPECTED = {"expected", "gold", "golden", "target", "true", "truth", "ideal"}
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
    "expect",
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


# what people call the column that somebody wrote, and those that somebody wrote about it
_WRITTEN = re.compile(
    r"texts?|utterance|message|e?mail|body|query|question|input|user|prompt|transcript|dialog(?:ue)?|conversation|"
    r"sentence|content|article|document|passage|paragraph|abstract|review|complaint|instruction"
)
_ABOUT = re.compile(
    r"response|reply|answer|output|chosen|summary|labels?|gold|target|notes?|explanation|rationale|translation|"
    r"comments?|remarks?|url|link|html|path|file|"
    r"names?|ids?|types?|kind|category|class|status|dates?|time|count|number|language|lang|rating|score"
)


# a letter of a script that writes without blanks between words
UNSPACED_LETTER = re.compile(rf"[{UNSPACED}]")


FEW = 5  # cells for each different one at least: then these are labels, and no texts


def plain_name(name: str) -> str:
    """``name`` in lower case, its words apart by ``_``: createdAt and Created At are created_at, HITId is hit_id."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z](?!s\b)[a-z])", "_", name)
    return re.sub(r"[^\w]+", "_", apart).strip("_").lower()


def is_called_record(name: str) -> bool:
    """Whether a column is called as people call that of the records: its last word says what it is.

    A model's raw answer is none: what was made of it, or the gold, stands beside it.
    """
    *before, last = plain_name(name).split("_")
    return last in _RECORD and "raw" not in before


def called_written(name: str) -> int:
    """2 of a column that is called as what somebody wrote is, 0 as what is said of that, 1 otherwise."""
    words = plain_name(name).split("_")
    if any(map(_ABOUT.fullmatch, words)):
        return 0
    return 2 if any(map(_WRITTEN.fullmatch, words)) else 1


def may_be_read(name: str) -> bool:
    """Whether a column is called as what is said of a text, and as often as the text itself."""
    return not {"note", "notes", "comment", "comments", "remark", "remarks"}.isdisjoint(
        plain_name(name).split("_")
    )


def is_missing(cell: str) -> bool:
    """Whether people and programs write this where a number is missing; a label may well be called so."""
    return cell.lower() in _MISSING


def is_written(value: str) -> bool:
    """Several words, or letters of a script that writes without blanks between them."""
    value = value.strip()
    if any(form.fullmatch(value) for form in (_VALUE, ADDRESS, MOMENT, FILE_NAME)):
        return False
    return len(value.split()) > 1 or any(ord(letter) > 0x2E7F for letter in value)


def are_texts(value: Any) -> bool:
    """Whether this is a list of texts."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def mostly_written(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether somebody wrote at least half of a column's cells."""
    cells = [row.get(name) for row in rows]
    return 2 * sum(isinstance(cell, str) and is_written(cell) for cell in cells) >= len(rows) > 0
