"""A first task config from labelled rows.

Specs are as they stand under ``task.fields``. What was inferred is a proposal: the config
written from it says how each line came about, and is the user's to mend. A schema that the user has
decides instead (:mod:`lora_vs_api.data.from_schema`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal
from unicodedata import normalize

from lora_vs_api.data.columns import always_the_same, bookkeeping, is_about
from lora_vs_api.data.json_values import cell_value, is_json, unfenced
from lora_vs_api.data.source import POINT_ZERO, bare_text, id_of, says_nothing, value_of
from lora_vs_api.data.written import MOMENT, is_called_record, is_missing, plain_name
from lora_vs_api.errors import UserError
from lora_vs_api.record.caseless import caseless
from lora_vs_api.record.fields import Field
from lora_vs_api.record.words import words
from lora_vs_api.shown import count, plain_number

Spec = dict[str, Any]
Texts = Literal["cells", "columns", "json"]

MAX_LABELS = 20  # of a text column that is read as an enum
MIN_ROWS_PER_LABEL = 5  # on average
SELDOM_LABELS = 0.2  # of the labels between marks may stand in one row alone
# an integer's lowest and highest value become its bounds where they are closer than MAX_RANGE, and seen
# in rows enough that another one would have been
MAX_RANGE, MIN_BOUNDED, MIN_EACH = 12, 30, 3
MOST_HAVE_IT = 0.9  # of the rows, and the column is taken for the record; the others are named
MAX_TOLD = 40  # characters of a value in an error
MAX_KEYS, SELDOM = 6, 0.25  # of objects; of more keys that are seldom there it is told
MAX_EXACT = 2**53  # an integer beyond it is another one in programs that read JSON into floats
_WHOLE = re.compile(r"\s*[+-]?\d+\.0*\s*", re.ASCII)
# what is 1234 where a point parts thousands, and to Python a number of three decimals
_THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2}\.\d{3}\s*", re.ASCII)
FREE_TEXT_WORDS = 4  # from so many words on average a paraphrase deserves part of the credit
# what a JSON value is called in messages; true and false are whole numbers to Python
# numbers with a comma for the point, or with marks between their thousands
# (in India by two, but for the last)
_DIGITS = r"(?!0\d)(?:\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3})+|\d{1,2}(?:,\d\d)*,\d{3}|\d+)(?:[.,]\d+)?"
# the same with what people write around them: a currency, a share, a minus of another kind, brackets for one
_UNIT = r"(?:[$€£¥₹₽₩%‰°]|EUR|USD|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|BRL|US\$|R\$|zł|kr\.?|Fr\.?|Rs\.?)?"
_SEPARATED = re.compile(rf"\(?[+\-−–]?\s?{_UNIT}\s?[+\-−]?{_DIGITS}\s?{_UNIT}\s?-?\)?")
# a day's number in a spreadsheet, from 1954 to 2119
_SERIAL = range(20_000, 80_000)
# digits of a moment as programs count them
_SECONDS = {10: "seconds", 13: "milliseconds"}
# what a spreadsheet makes of 1-2 and SEPT2
_MADE_A_DATE = re.compile(r"\d{1,2}-(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)")
_DAY = re.compile(
    r"(?:.*_)?(?:date|day|datum|tag|fecha|dia|data|jour|datetime|due|birthday|dob)(?:_.*)?"
)
_KINDS = (
    (bool, "boolean"),
    (int | float, "number"),
    (str, "text"),
    (list, "list"),
    (dict, "object"),
)
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|^\\?\\?\\?$")


class SeveralTypes(UserError):
    """Fields with values of several types: what is wrong with each, by its name as ``--drop`` has it."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("\n".join(problems.values()))
        self.problems = dict(problems)

    def with_advice(self, names: Collection[str]) -> UserError:
        """The same with what to do, where the record's fields are ``names``."""
        if set(names) <= self.problems.keys():
            # nothing would be left
            return UserError("\n".join(self.problems.values()))
        lines = [
            f"{line}, or leave the field out (--drop {name})"
            for name, line in self.problems.items()
        ]
        if len(lines) > 1:
            lines.append(f"--drop {','.join(self.problems)} leaves out all of them")
        return UserError("\n".join(lines))


@dataclass(frozen=True)
class Inferred:
    """A field's spec and, in words, what in the data it was inferred from."""

    spec: Spec
    why: str


def infer_field(
    name: str, values: Sequence[Any], texts: Texts = "cells", nested: bool = False
) -> Inferred:
    """The spec of the field whose values these are, None or an empty text where there is none.

    Args:
        name: of the field.
        values: one for each row.
        texts: what a text among them may stand for. In ``cells`` of a CSV file whatever all of them
            can be read as: numbers, true and false, JSON. In ``columns`` that have types JSON alone,
            and in ``json`` nothing but the text.
        nested: within an object or a list, where numbers are kept as they stand.

    Raises:
        UserError: values of several types, which no field can have.
    """
    present = [
        value
        for value in values
        if not (value in (None, "") if texts == "json" else says_nothing(value))
    ]
    words = "empty"
    # JSON's own word for nothing, among objects or lists that are written as texts
    rest = [value for value in present if value != "null"]
    within = texts != "json" and 0 < len(rest) < len(present)
    if within and _infer(name, rest, texts).spec["type"] in ("object", "list"):
        present, words = rest, "empty or null"
    if texts == "cells" and len(rest := _numbers_alone(present)) < len(present):
        marks = sorted({cell.strip() for cell in present} - {cell.strip() for cell in rest})
        present, words = rest, f"empty or {' or '.join(marks)}"
    empty = len(values) - len(present)
    found = (
        _infer(name, present, texts, gaps=empty > 0 and not nested)
        if present
        else Inferred({"type": "string"}, "always empty")
    )
    if empty:
        spec = {**found.spec, "optional": True}
        return Inferred(spec, f"{found.why}; {words} in {empty:,} of {len(values):,} rows")
    return found


def infer_fields(
    columns: Mapping[str, Sequence[Any]], texts: Texts = "cells", within: str | None = None
) -> dict[str, Inferred]:
    """The spec of each field, by its name.

    Args:
        columns: name → values, as in :func:`infer_field`.
        within: the object whose keys these are, if they are any's.

    Raises:
        SeveralTypes: of all such fields.
        UserError: values that no field can have.
    """
    found: dict[str, Inferred] = {}
    problems: dict[str, str] = {}
    for name, values in columns.items():
        path = name if within is None else f"{within}.{name}"
        try:
            found[name] = infer_field(path, values, texts, nested=within is not None)
        except SeveralTypes as error:
            problems |= error.problems
    if problems:
        raise SeveralTypes(problems)
    return found


def _numbers_alone(values: Sequence[Any]) -> list[Any]:
    """``values`` without the NA among numbers and booleans; all of them where the rest is something else."""
    rest = [value for value in values if not is_missing(str(value).strip())]
    numbers = ("boolean", "integer", "number")
    if 0 < len(rest) < len(values) and _infer("", rest, "cells").spec["type"] in numbers:
        return rest
    return list(values)


def _infer(name: str, values: Sequence[Any], texts: Texts, gaps: bool = False) -> Inferred:
    """``gaps``: other rows have no value."""
    floats = all(map(_is_pandas_whole, values))
    for kind in ("boolean", "integer", "number"):
        if kind == "integer" and not (gaps and floats) and any(map(_is_pandas_whole, values)):
            # 2.0 is meant as it stands, as far as the file tells
            continue
        read = _read_all(values, kind, texts)
        if read is None:
            continue
        changed = None if kind == "boolean" else _changed(values, kind)
        if changed is None:
            found = _infer_number(values, read, kind)
            why = found.why + _as_serials(name, read)
            if kind == "integer" and floats:
                why += ", with .0 in the file, as pandas keeps whole numbers beside empty cells"
            cells = [value for value in values if isinstance(value, str)]
            if (
                kind == "number"
                and texts == "cells"
                and cells
                and all(map(_WHOLE.fullmatch, cells))
            ):
                why += ", all of them whole: `type: integer` reads 1.0 as 1"
            if texts == "cells" and cells and all(map(_THOUSANDS.fullmatch, cells)):
                why += ", all of them of three decimals: if the point parts thousands, write them without"
            return Inferred(found.spec, why)
        found = _infer_text([str(value) for value in values], texts)
        return Inferred(found.spec, f"{found.why}; no numbers, since {changed}")
    for kind in ("object", "list"):
        read = _read_all(values, kind, texts)
        if read is not None:
            found = (_infer_object if kind == "object" else _infer_list)(name, read)
            as_python = any(isinstance(value, str) and not is_json(value) for value in values)
            why = f"{found.why}, as Python writes them" if as_python else found.why
            return Inferred(found.spec, why)
    _check_one_type(name, values)
    found = _infer_text([str(value) for value in values], texts)
    why = ""
    if all(isinstance(value, str) for value in values):
        cells = [value.strip() for value in values]
        why = _why_no_numbers(cells) if texts == "cells" else _why_quoted(cells)
        why = why or ("" if texts == "json" else _why_no_objects(cells))
    return Inferred(found.spec, f"{found.why}{why}")


def _why_no_numbers(cells: Sequence[str]) -> str:
    """What to say of cells that are nearly numbers, or were some before, and are read as texts; empty for others."""
    made = next(filter(_MADE_A_DATE.fullmatch, cells), None)
    if made is not None:
        return f"; {made!r} may be what a spreadsheet has made a date of: format its cells as text"
    plain = [_is_number(cell) for cell in cells]
    if all(plain):
        return ""
    if all(map(_SEPARATED.fullmatch, cells)):
        odd = next(cell for cell, number in zip(cells, plain, strict=True) if not number)
        return f"; no numbers, since {odd!r:.40} is not written as JSON has them: 1234.5"
    if 2 * sum(plain) > len(cells):
        others = Counter(cell for cell, number in zip(cells, plain, strict=True) if not number)
        told = ", ".join(f"{cell!r:.40}" for cell, _ in others.most_common(3))
        n = others.total()
        return f"; no numbers, since {n:,} of the {len(cells):,} cells {'is' if n == 1 else 'are'} none: {told}"
    return ""


def _why_no_objects(cells: Sequence[str]) -> str:
    """The same of cells that are nearly objects or lists."""
    if all(cell[:1] in ("{", "[") for cell in cells):
        for cell in cells:
            try:
                cell_value(cell)
            except ValueError as error:
                return f"; no objects or lists, since {cell!r:.40} is none: {error}"
    return ""


def _why_quoted(cells: Sequence[str]) -> str:
    """What to say of texts of a file that has numbers, too, where all of them are digits."""
    kinds = {"numbers": _is_number, "booleans": lambda cell: cell.lower() in ("true", "false")}
    kind = next((kind for kind, holds in kinds.items() if all(map(holds, cells))), None)
    return "" if kind is None else f"; {kind} in quotes ({cells[0]!r:.20}) stay texts"


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(?:\.\d+)?", cell, re.ASCII) is not None


def _cut(value: Any) -> str:
    told = repr(value)
    return told if len(told) <= MAX_TOLD else f"{told[:MAX_TOLD]}…"


def _check_one_type(name: str, values: Sequence[Any]) -> None:
    """Make sure that values which were read as no type alone are of one: JSON lets a list stand beside a number."""
    kinds = [next((k for t, k in _KINDS if isinstance(value, t)), "value") for value in values]
    counts = Counter(kinds)
    if len(counts) > 1:
        told = " and ".join(
            f"{kind} {n:,} time{'s'[: n > 1]}, such as {_cut(values[kinds.index(kind)])}"
            for kind, n in counts.items()
        )
        said = f"{name}: expected values of one type, found {told}; write them alike"
        raise SeveralTypes({name.replace("[]", ""): said})


def _is_pandas_whole(value: Any) -> bool:
    """Whether it is a whole number that is written with one decimal, a zero."""
    if isinstance(value, str):
        return POINT_ZERO.fullmatch(value.strip()) is not None
    return isinstance(value, float) and value.is_integer()


def _changed(values: Sequence[Any], kind: str) -> str | None:
    """Which text would not be the same once it was a number, and why; None where all would be.

    ZIP codes, order numbers and versions are written in digits and are no numbers. Decimals that all
    have as many digits after the point, as prices do, count as the same without the zeros at their end.
    """
    texts = [value.strip() for value in values if isinstance(value, str)]
    alike = len({len(text.partition(".")[2]) for text in texts}) == 1
    for text in texts:
        plain = re.fullmatch(r"-?(?:0|[1-9][0-9]*)(?:\.([0-9]+))?", text)
        if kind == "integer":
            text = text.removesuffix(".0")
            whole = int(text)
            if str(whole) != text:
                return f"{text!r:.40} would become {whole}"
            if abs(whole) > MAX_EXACT:
                return f"{text!r:.40} has more digits than a JSON number surely keeps"
        elif repr(float(text)) != text:
            # 1.10 beside 1.5, 1e3, and digits that a float does not hold
            ends = plain is not None and (alike or not (plain[1] or "").endswith("0"))
            if not ends or Decimal(text) != Decimal(repr(float(text))):
                return f"{text!r:.40} would become {float(text)!r}"
    return None


def _read_all(values: Sequence[Any], kind: str, texts: Texts) -> list[Any] | None:
    """All of ``values`` as of one type, or None."""
    field = Field(name="", type=kind, score="")
    read = []
    numbers = all(isinstance(value, str) and value.strip() in ("0", "1") for value in values)
    for value in values:
        # what a person writes into all cells as 0 and 1 is a number; JSON only says objects and lists
        if isinstance(value, str) and (
            texts == "json"
            or (texts == "columns" and kind in ("boolean", "integer", "number"))
            or (kind == "boolean" and numbers)
            or (kind == "object" and value.strip()[:1] != "{")
            or (kind == "list" and value.strip()[:1] != "[")
        ):
            return None
        try:
            value = value_of(value, field)
        except ValueError:
            return None
        if not field.has_type(value) and not (kind == "list" and isinstance(value, list)):
            return None
        read.append(value)
    return read


def _infer_number(values: Sequence[Any], read: Sequence[Any], kind: str) -> Inferred:
    if kind == "boolean":
        words = sorted({value.strip().lower() for value in values if isinstance(value, str)})
        as_words = f", {' and '.join(words)} in the file" if set(words) - {"true", "false"} else ""
        return Inferred({"type": kind, "score": "exact"}, f"{sum(read):,} true{as_words}")
    low, high = min(read), max(read)
    # all digits of an integer, as they stand in the data
    why = "from {} to {} in the data".format(
        *(str(end) if kind == "integer" else plain_number(end) for end in (low, high))
    )
    spec: Spec = {"type": kind, "score": "exact"}
    counts = Counter(read)
    if (
        kind == "integer"
        and 0 < high - low < MAX_RANGE
        and len(read) >= MIN_BOUNDED
        and all(counts[value] >= MIN_EACH for value in (low, high))
    ):
        spec |= {"minimum": int(low), "maximum": int(high)}
        why += ", taken as the bounds"
    return Inferred(spec, why)


def _as_serials(name: str, read: Sequence[float]) -> str:
    """What to say of days that a program has written as the numbers that it counts them by; else empty."""
    if not _DAY.fullmatch(plain_name(name)):
        return ""
    if kind := _SECONDS.get(len(str(int(min(read))))):
        return f", {kind} since 1970? then write them as dates"
    if not all(value == int(value) and int(value) in _SERIAL for value in read):
        return ""
    return ", a spreadsheet's numbers of days? then format its cells as dates and save it again"


def _infer_object(name: str, values: Sequence[Mapping[str, Any]]) -> Inferred:
    names = list(dict.fromkeys(name for value in values for name in value))
    if not names:
        return Inferred({"type": "string"}, "empty objects")
    columns = {key: [value.get(key) for value in values] for key in names}
    fields = infer_fields(columns, "json", within=name)
    spec = {
        "type": "object",
        "score": "slot_f1",
        "fields": {key: found.spec for key, found in fields.items()},
    }
    why = f"objects with {count(len(names), 'key')}"
    if told := keys_told(values):
        why += f", {told}"
    return Inferred(spec, why)


def keys_told(values: Sequence[Mapping[str, Any]]) -> str:
    """What to say of objects whose keys may be values, each in few of them, such as people's names; else empty."""
    counts = Counter(key for value in values for key in value if value[key] is not None)
    if len(counts) <= MAX_KEYS or max(counts.values()) >= SELDOM * len(values):
        return ""
    return (
        f"none of them in {SELDOM:.0%} of the rows: if keys are values, such as names, write lists of objects, "
        '[{"name": …, "value": …}]'
    )


def _infer_list(name: str, values: Sequence[Sequence[Any]]) -> Inferred:
    items = [item for value in values for item in value]
    if items and all(map(_is_span, items)):
        raise UserError(
            f"{name}: {items[0]!r:.60} seems to be a span of characters with its label, and none of a text in its row; no "
            'model counts characters, so write what stands there: {"text": …, "label": …}'
        )
    if _are_places(values):
        raise UserError(
            f"{name}: {values[0]!r:.60} says something of its places, and no field's score counts these; write the names of what "
            f'holds, such as ["billing", "urgent"], or a column for each, or leave it out (--drop {name.replace("[]", "")})'
        )
    mean = len(items) / len(values)
    spec: Spec = {"type": "list", "score": "set_f1"}
    why = f"{mean:.1f} items on average"
    if none := sum(not value for value in values):
        why += f", none in {count(none, 'row')}"
    twice = sum(any(item in value[:place] for place, item in enumerate(value)) for value in values)
    if 2 * twice > len(values):
        why += "; an item stands twice in most of them: scored as a set, without its places and how often it stands there"
    if items:
        inner = infer_field(f"{name}[]", items, "json", nested=True).spec
        # the items seen so far are not all there will be: no enum without being told
        if inner["type"] == "enum":
            inner = {key: value for key, value in inner.items() if key != "values"} | {
                "type": "string"
            }
        if inner["type"] != "string" or inner.get("optional"):
            spec["items"] = {key: value for key, value in inner.items() if key != "score"}
    return Inferred(spec, why)


def _are_places(values: Sequence[Sequence[Any]]) -> bool:
    """Whether lists of one length hold nothing but 0 and 1 (or truths): what each says is told by its place."""
    lengths = {len(value) for value in values}
    return (
        len(lengths) == 1
        and lengths.pop() > 1
        and len(values) >= MIN_ROWS_PER_LABEL
        and all(
            isinstance(item, bool | int | float) and item in (0, 1)
            for value in values
            for item in value
        )
    )


def _is_span(item: Any) -> bool:
    """Whether this is a start, an end and a label, as doccano and spaCy write entities."""
    return isinstance(item, list) and [type(part) for part in item] == [int, int, str]


def few_labels(values: Sequence[str]) -> list[str]:
    """The labels that a column or the items of lists have, where these are few for so many; else none."""
    counts = Counter(normalize("NFC", bare_text(value)) for value in values)
    # no config can hold a control character
    is_kept = _are_few(counts, values) and not any(map(CONTROL.search, counts))
    return sorted(counts) if is_kept else []


def _are_few(counts: Mapping[str, int], values: Sequence[str]) -> bool:
    return 1 < len(counts) <= MAX_LABELS and len(counts) * MIN_ROWS_PER_LABEL <= len(values)


def _infer_text(values: Sequence[str], texts: Texts) -> Inferred:
    # one label in two Unicode forms is one
    counts = Counter(normalize("NFC", bare_text(value)) for value in values)
    blanks = sum(bare_text(value) != value for value in values)
    between = _between(values)
    if between == ";" and texts == "cells":
        return Inferred(
            {"type": "list", "score": "set_f1"}, "texts with ; between them, read as lists"
        )
    few = _are_few(counts, values)
    # no config can hold a control character
    if few and not any(map(CONTROL.search, counts)):
        rarest, n = counts.most_common()[-1]
        why = f"{len(counts)} labels in {len(values):,} rows, rarest {rarest!r} with {n:,}"
        why += _alike_but_for_case(counts) + _stands_for_none(counts) + _asked(between, texts)
        if blanks:
            why += f"; {blanks:,} with blanks around the label, which are left out"
        return Inferred({"type": "enum", "values": sorted(counts), "score": "exact"}, why)
    average = sum(len(words(value)) for value in values) / len(values)
    why = f"{len(counts):,} different texts, {average:.1f} words on average{_asked(between, texts)}"
    if few:
        held = next(label for label in counts if CONTROL.search(label))
        why += f"; no labels, since {held!r:.40} cannot stand in a config"
    if blanks:
        why += f"; {blanks:,} with blanks around the text, which are left out"
    if _may_be_labels(counts, values):
        why += "; are these labels? then write type: enum, and them as its values"
    if average >= FREE_TEXT_WORDS and not all(map(MOMENT.fullmatch, counts)):
        return Inferred({"type": "string", "score": "token_f1"}, why + ", so scored by words")
    return Inferred({"type": "string", "score": "exact"}, why)


def _may_be_labels(counts: Counter[str], values: Sequence[str]) -> bool:
    """Whether texts are few and short, most of them in several rows, and yet too many to be called labels."""
    seldom = sum(n == 1 for n in counts.values())
    short = all(len(text) <= MAX_TOLD and "\n" not in text for text in counts)
    return (
        1 < len(counts) <= MAX_LABELS
        and 2 * len(counts) <= len(values)
        and 2 * seldom <= len(counts)
        and short
    )


def _alike_but_for_case(labels: Iterable[str]) -> str:
    """What to say of labels that a person may have meant to be one; empty where there are none."""
    alike: dict[str, list[str]] = {}
    for label in sorted(labels):
        alike.setdefault(caseless(_seen(label)), []).append(label)
    found = next((group for group in alike.values() if len(group) > 1), None)
    if found is None:
        return ""
    by_case = len(set(map(_seen, found))) == len(found)
    what = "case" if by_case else "blanks and signs that are not seen"
    return f"; {' and '.join(map(ascii, found) if not by_case else map(repr, found))} differ by {what} alone: are they one?"


def _seen(label: str) -> str:
    """A label as a reader sees it: one blank for any others, and nothing for what takes no room."""
    return " ".join(re.sub("[\u00ad\u200b-\u200d\u2060\ufeff]", "", label).split())


def _stands_for_none(labels: Iterable[str]) -> str:
    """What to say of a label by which some programs write that there is none; empty where there is none such."""
    found = sorted(label for label in labels if len(label) > 1 and is_missing(label))
    if not found:
        return ""
    those = "is a label" if len(found) == 1 else "are labels"
    what = (
        "it stands for none, empty its" if len(found) == 1 else "they stand for none, empty their"
    )
    return f"; {' and '.join(map(repr, found))} {those} here: if {what} cells"


def _asked(between: str | None, texts: Texts) -> str:
    if between is None:
        return ""
    how = (
        "with ; instead they are read as lists" if texts == "cells" else "then write them as a list"
    )
    return f"; are there several with {between!r} between them? {how}"


def _between(values: Sequence[str]) -> str | None:
    """The mark that stands between several labels in one cell; None where cells hold one each.

    It does where what it cuts the cells into are fewer texts than the cells are, nearly each of them in several rows,
    and one of them at least stands alone somewhere.
    """
    # of ;# the ; is half
    for mark in (";#", ";", "|", ",", "\n", "/", "#", "><"):
        # some forms write it behind the last label, too
        ends = "<>" if mark == "><" else ""
        bare_values = [value.strip().removesuffix(mark).strip(ends) for value in values]
        if not any(mark in value for value in bare_values):
            continue
        cells = set(bare_values)
        parts = [[part.strip() for part in value.split(mark)] for value in bare_values]
        counts = Counter(part for cell in parts for part in set(cell))
        if (
            len(counts) < len(cells)
            and len(counts) <= MAX_LABELS
            and all(counts)
            and sum(n == 1 for n in counts.values()) <= max(1, SELDOM_LABELS * len(counts))
            and not cells.isdisjoint(counts)
        ):
            return mark
    return None


def record_column(
    rows: Sequence[Mapping[str, Any]], text: str, used: Collection[str] = ()
) -> str | None:
    """The column that holds an object, or an object as JSON, in every row, and is the record; else None.

    Of several it is the one that is called as a record is. One alone that is not called so is a field where others could
    be fields beside it: nothing that a person labelled is left out. One that lacks it in a few rows is the record too, for
    these are not labelled or broken and are to be named: read as one field of a flat record it would be another task.

    Args:
        used: columns that the text is made of.
    """
    names = [
        name
        for name in dict.fromkeys(
            name for row in rows for name in row if name != text and name not in used
        )
        # an id may be an object, and so may metadata that nobody gave
        if plain_name(name).rpartition("_")[2] not in ("id", "uid", "uuid", "guid")
        and not all(row.get(name) in ({}, "{}") for row in rows)
    ]
    held = {name: sum(object_in(row.get(name)) is not None for row in rows) for name in names}
    for least in (1, MOST_HAVE_IT):
        found = [name for name, count in held.items() if count >= least * len(rows)]
        if found:
            return _chosen(rows, text, names, found)
    return None


def _chosen(
    rows: Sequence[Mapping[str, Any]], text: str, names: Sequence[str], found: Sequence[str]
) -> str | None:
    """The one of the columns ``found``, all of them objects, that is the record."""
    own = [name for name in found if not is_about(name) and not _never_changes(rows, name)]
    called = [name for name in own if is_called_record(name)]
    if len(called) == 1:
        return called[0]
    # what is said about a row is its record where nothing else can be
    own = own or list(found)
    others = [name for name in names if name not in found]
    if len(own) > 1 or len(bookkeeping(rows, others, text)) < len(others):
        return None
    return own[0]


def _never_changes(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether all keys of a column's objects have one value, as settings have (Vertex' ``ml_use``)."""
    objects = [object_in(row.get(name)) or {} for row in rows]
    keys = dict.fromkeys(key for each in objects for key in each)
    return all(always_the_same([each.get(key) for each in objects]) for key in keys)


def object_in(value: Any) -> dict[str, Any] | None:
    """An object, or the one that a text is; else None."""
    if isinstance(value, str) and unfenced(value).strip()[:1] in ("{", '"'):
        try:
            value = cell_value(value)
        except ValueError:
            return None
    return value if isinstance(value, dict) else None


def id_column(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """A column called id, or that ends so (order_id, orderId, uuid), with another value in every row; else None.

    An order_id that most rows name in another column's text is what a record is to say, and no row's id.
    """
    for name in rows[0]:
        last = plain_name(name).rpartition("_")[2]
        if last in ("id", "uid", "uuid", "guid"):
            values = [id_of(row, name) for row in rows]
            if all(values) and len(set(values)) == len(values):
                named = sum(_is_named(value, name, row) for value, row in zip(values, rows))
                if plain_name(name) == last or 2 * named <= len(rows):
                    return name
    return None


def _is_named(value: str, column: str, row: Mapping[str, Any]) -> bool:
    """Whether another column's words name the ``value`` of ``column``."""
    word = re.compile(rf"(?<!\w){re.escape(value)}(?!\w)")
    others = (other for name, other in row.items() if name != column and isinstance(other, str))
    return any(len(words(other)) > FREE_TEXT_WORDS and word.search(other) for other in others)


MAIL_BEGINS = re.compile(
    r"\s*(?:(?:dear|hi|hello|hey|greetings|good (?:morning|afternoon|evening|day))\b"
    r"|to whom it may concern|(?:subject|from|to|date|sent):)",
    re.IGNORECASE,
)
SPEAKS = re.compile(
    r"\b(?:i|i'm|i'd|my|me|we|our|us|you|your|please|thanks|can|could|would)\b", re.IGNORECASE
)


def text_kind(texts: Sequence[str]) -> str:
    """What the texts seem to be, by what holds for at least half of them.

    ``mail``: several lines, the first of which greets or is a mail's header. ``chat``: somebody
    speaks (I, we, you, please). ``snippet`` is everything else, and the careful guess: fewest
    perturbations make sense of it.
    """

    def half(holds: Callable[[str], object]) -> bool:
        return 2 * sum(bool(holds(text)) for text in texts) >= len(texts) > 0

    if half(lambda text: "\n" in text.strip() and MAIL_BEGINS.match(text)):
        return "mail"
    return "chat" if half(SPEAKS.search) else "snippet"
