"""Entities as annotation tools mark them, by their first and last character: read as what stands there.

No model counts characters, and a score that compares them would be one of counting. Sources:
https://labelstud.io/guide/export, https://doccano.github.io/doccano, https://prodi.gy/docs/api-interfaces#spans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lora_vs_api.data.exports.places import (
    BOTH,
    decoded,
    is_number_name,
    is_place_name,
    is_word,
    places_of,
    tells_a_place,
)
from lora_vs_api.data.exports.relations import with_entities
from lora_vs_api.data.table import Rows, Table
from lora_vs_api.data.written import ANNOTATOR, CREATED, plain_name
from lora_vs_api.record.words import UNSPACED
from lora_vs_api.shown import count as count_of

# who marked a span, and what a tool counts of it (doccano); a model is not to learn these
_ABOUT = ("user", "user_id", "username", "document", "prob", "manual", "uuid")
TEXT, LABEL = "text", "label"
# NULL of a word that stands in no text
_RANGE = re.compile(r"\d+:\d+|NULL")
_ANSWER_START = "answer_start"
# of the spans begin and end where words do: numbers of words or hours hardly ever do, and some tools cut words
MOSTLY = 0.6
# of the spans say their own words
_NEARLY = 0.9
# what is written without blanks between words, or with endings behind them (Korean): a span may end anywhere
_UNSPACED = re.compile(rf"[{UNSPACED}\uac00-\ud7af]")


def with_words(table: Table) -> Table:
    """``table`` with the words of every span in place of its characters' numbers.

    A list ``[28, 31, "WHO"]``, or with the words in it too, becomes ``{"text": "Ana", "label": "WHO"}``; an object loses the numbers, and has the
    words where it had none. Lists whose numbers are no places in a text of their row stay as they are.
    """
    rows, notes = _without_starts(decoded(table.rows, _are_spans))
    rows, said = _without_ranges(rows)
    notes += said
    rows = _rows_of_spans(rows)
    named: dict[str, dict[int, str]] = {}
    for name in dict.fromkeys(name for _, row in rows for name in row):
        cells = [cell for _, row in rows if (cell := row.get(name))]
        if not cells:
            continue
        if not _hold_spans(cells):
            rows, said = _with_words_within(rows, name)
            notes += said
            continue
        found = _text_of(rows, name)
        if found is None:
            if any(isinstance(span, Mapping) for cell in cells for span in cell):
                # tokens that were counted (GLiNER, SpERT), or hours
                notes.append(
                    f"{name}: its numbers stay numbers, since they are no characters' places in a text of their row"
                )
            continue
        text, count = found
        own = _own_key(rows, name, text, count)
        odd = _not_fitting(rows, name, text, count)
        for place, row in rows:
            if row.get(name):
                named.setdefault(place, {}).update(_by_id(row[text], row[name], count))
        about = _about_spans(rows, name)
        others = sum(places_of(item) is None for cell in cells for item in cell)
        alone = (
            f"; {count_of(others, 'item has', 'items have')} no place and no words"
            if others
            else ""
        )
        rows = [
            (place, {**row, name: [_worded(row[text], span, count, own) for span in row[name]]})
            if row.get(name)
            else (place, row)
            for place, row in rows
        ]
        notes.append(
            f"{name}: the words of {text} at these places, instead of the characters' numbers{about}{odd}{alone}"
        )
    if named:
        rows, related = with_entities(rows, named)
        notes += related
    if not notes:
        return table
    return Table(rows, [*table.notes, *notes], table.conversations, table.instruction)


def _with_words_within(rows: Rows, name: str) -> tuple[Rows, list[str]]:
    """``rows`` with words for the spans that lie deeper within a column's lists and objects, and what is to be said of it."""
    spans: Rows = [(place, {**row, name: list(_inner_spans(row.get(name)))}) for place, row in rows]
    if not any(row[name] for _, row in spans):
        return rows, []
    found = _text_of(spans, name)
    if found is None:
        said = "the numbers within it stay numbers, since they are no characters' places in a text of their row"
        says = any(TEXT in span for _, row in spans for span in row[name])
        return rows, [f"{name}: {said}"] * says
    text, count = found
    own = _own_key(spans, name, text, count)
    note = (
        f"{name}: the words of {text} at the places within it, instead of the characters' numbers"
        f"{_about_spans(spans, name)}{_not_fitting(spans, name, text, count)}"
    )
    return [
        (place, {**row, name: _worded_within(row[text], row[name], count, own)})
        if row.get(name)
        else (place, row)
        for place, row in rows
    ], [note]


def _inner_spans(value: Any) -> Iterator[Mapping[str, Any]]:
    """The objects with places within a value."""
    if _is_inner_span(value):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _inner_spans(inner)


def _is_inner_span(value: Any) -> bool:
    """Whether an object has a place; from and to alone may be hours."""
    return (
        isinstance(value, Mapping)
        and places_of(value) is not None
        and (not {plain_name(key) for key in value} <= {"from", "to"})
    )


def _worded_within(text: str, value: Any, count: _Count, own: str | None) -> Any:
    if _is_inner_span(value):
        return _worded(text, value, count, own)
    if isinstance(value, Mapping):
        return {key: _worded_within(text, inner, count, own) for key, inner in value.items()}
    if isinstance(value, list):
        return [_worded_within(text, inner, count, own) for inner in value]
    return value


def _rows_of_spans(rows: Rows) -> Rows:
    """``rows`` with lists of spans for spans of lists, as the Hub's datasets keep a sequence of objects."""
    for name in dict.fromkeys(name for _, row in rows for name in row):
        cells = [cell for _, row in rows if (cell := row.get(name))]
        if not cells or not all(map(_are_lists, cells)):
            continue
        spans = list(map(_one_by_one, cells))
        if any(spans) and all(map(_are_spans, spans)):
            rows = [
                (place, {**row, name: _one_by_one(row[name])} if row.get(name) else row)
                for place, row in rows
            ]
    return rows


def _are_lists(cell: Any) -> bool:
    """Whether this is an object of lists of one length, one for each key of the spans."""
    if not isinstance(cell, Mapping) or not all(isinstance(value, list) for value in cell.values()):
        return False
    return len(cell) > 1 and len(set(map(len, cell.values()))) == 1


def _one_by_one(cell: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(cell, values)) for values in zip(*cell.values())]


def _are_spans(value: Any) -> bool:
    return isinstance(value, list) and all(map(places_of, value))


def _hold_spans(cells: Sequence[Any]) -> bool:
    """Whether these are lists of spans, some of whose items may have no place: what is said of the text as a whole."""
    if not all(isinstance(cell, list) for cell in cells):
        return False
    items = [item for cell in cells for item in cell]
    others = [item for item in items if places_of(item) is None]
    return len(items) >= 2 * len(others) and bool(items) and all(map(_is_placeless, others))


def _is_placeless(item: Any) -> bool:
    """Whether an object has none of a span's numbers, or null for them."""
    return isinstance(item, Mapping) and all(
        value is None
        for key, value in item.items()
        if is_number_name(plain_name(key)) or plain_name(key) in BOTH
    )


def _spans(cell: Any) -> list[Any]:
    """The items of a cell that have a place."""
    return [item for item in cell or [] if places_of(item) is not None]


def _about_spans(rows: Rows, name: str) -> str:
    """What to say of keys of the spans that no text can tell; empty where there are none."""
    spans = (span for _, row in rows for span in row.get(name) or [] if isinstance(span, Mapping))
    keys = dict.fromkeys(key for span in spans for key in span if _is_about_span(plain_name(key)))
    return f"; left out: {', '.join(keys)}" if keys else ""


def _by_id(text: Any, spans: Sequence[Any], count: _Count) -> dict[int, str]:
    """The words of each span that has a number of its own."""
    found = {}
    for span in _spans(spans):
        if isinstance(span, Mapping) and type(span.get("id")) is int:
            start, end = count.in_text(text, span)
            found[span["id"]] = text[start:end]
    return found


def _without_starts(rows: Rows) -> tuple[Rows, list[str]]:
    """``rows`` without where SQuAD's answers begin in their text, and what is to be said of it."""
    names = dict.fromkeys(name for _, row in rows for name, cell in row.items() if _is_answer(cell))
    if not names:
        return rows, []
    found: Rows = [
        (place, {name: cell[TEXT] if _is_answer(cell) else cell for name, cell in row.items()})
        for place, row in rows
    ]
    return found, [f"{name}: {_ANSWER_START} left out, its texts read as a list" for name in names]


def _without_ranges(rows: Rows) -> tuple[Rows, list[str]]:
    """``rows`` with the words alone of pairs such as ``[["Rome"], ["13:17"]]`` (structured sentiment), and what to say of it."""
    names = dict.fromkeys(name for _, row in rows for name, cell in row.items() if _has_range(cell))
    if not names:
        return rows, []
    found: Rows = [
        (
            place,
            {name: _without_range(cell) if name in names else cell for name, cell in row.items()},
        )
        for place, row in rows
    ]
    return found, [
        f"{name}: words beside their characters' numbers (13:17) read without these"
        for name in names
    ]


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(part, list) for part in value)
        and len(value[0]) == len(value[1]) > 0
        and all(isinstance(word, str) for word in value[0])
        and all(isinstance(place, str) and _RANGE.fullmatch(place) for place in value[1])
    )


def _has_range(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_range, value.values()))
    return isinstance(value, list) and (_is_range(value) or any(map(_has_range, value)))


def _without_range(value: Any) -> Any:
    """A value without the numbers; where there are no words, the lists of both are empty."""
    if isinstance(value, Mapping):
        return {key: _without_range(inner) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    if _is_range(value) or value == [[], []]:
        return value[0]
    return [_without_range(inner) for inner in value]


def _is_answer(cell: Any) -> bool:
    return isinstance(cell, Mapping) and cell.keys() == {TEXT, _ANSWER_START}


@dataclass(frozen=True)
class _Count:
    """How a tool counts characters: an end is the ``last`` one, or the one behind it; some JavaScript counts ``wide``
    ones, such as those of emoji, twice."""

    last: bool
    wide: bool

    def in_text(self, text: str, span: Any) -> tuple[int, int]:
        """Where in a text a span begins, and where what follows it does."""
        start, end = places_of(span) or (0, 0)
        end += self.last
        if not self.wide:
            return start, end
        units = _units(text)
        # what lies beyond the text stays there
        beyond = max(end - len(units) // 2, 0)
        before, within = units[: 2 * start], units[: 2 * end]
        first, last = (len(part.decode("utf-16-le", "ignore")) for part in (before, within))
        return first, last + beyond


@lru_cache(maxsize=16)
def _units(text: str) -> bytes:
    """A text as JavaScript counts it; each row's is looked at for every span."""
    return text.encode("utf-16-le")


def _text_of(rows: Rows, name: str) -> tuple[str, _Count] | None:
    """The column of texts that the spans are of, and how these are counted: they begin and end where words do."""
    held = [row for _, row in rows if row.get(name)]
    if all(_are_years(span) for row in held for span in _spans(row[name])):
        # when somebody worked somewhere, in a long text
        return None
    texts = [
        key
        for key in dict.fromkeys(key for row in held for key in row)
        if key != name and all(isinstance(row.get(key), str) for row in held)
    ]
    counts = [_Count(last, wide) for wide in (False, True) for last in (False, True)]
    fits = {
        (text, count): sum(
            _fits(row[text], span, count) for row in held for span in _spans(row[name])
        )
        for text in texts
        for count in counts
    }
    best = max(fits, key=lambda way: fits[way], default=None)
    if best is None or fits[best] < MOSTLY * sum(len(_spans(row[name])) for row in held):
        return None
    return best


def _are_years(span: Any) -> bool:
    return all(1900 <= number <= 2100 for number in places_of(span) or (0,))


def _fits(text: str, span: Any, count: _Count) -> bool:
    """Whether a span begins and ends where words of ``text`` do, and is what it says itself that it is."""
    start, end = count.in_text(text, span)
    if not 0 <= start < end <= len(text):
        return False
    own = span.get(TEXT) if isinstance(span, Mapping) else None
    if isinstance(own, str):
        # a hashtag's own text has no #
        return own in (text[start:end], text[start + 1 : end])
    words = list(filter(is_word, span)) if isinstance(span, list) else []
    if len(words) > 1:
        return text[start:end] in words
    return not (_is_within_word(text, start) or _is_within_word(text, end))


def _is_within_word(text: str, place: int) -> bool:
    """Whether the characters before and at a place are of one word, or of one number."""
    around = text[max(place - 1, 0) : place + 1]
    if len(around) < 2 or not all(map(str.isalnum, around)) or _UNSPACED.search(around):
        return False
    return around[0].isdigit() == around[1].isdigit()


def _not_fitting(rows: Rows, name: str, text: str, count: _Count) -> str:
    """What to say of spans that end beyond their text or within a word; empty where none does."""
    odd = [
        (place, row[text], span)
        for place, row in rows
        for span in _spans(row.get(name))
        if not _fits(row[text], span, count)
    ]
    if not odd:
        return ""
    place, of, span = odd[0]
    start, end = count.in_text(of, span)
    words = f"{start} to {end} of {len(of)} characters, {of[max(start, 0) : end]!r:.40}"
    return f"; {len(odd):,} of these begin or end where no word does, the first at {place}: {words}"


def _own_key(rows: Rows, name: str, text: str, count: _Count) -> str | None:
    """The key under which nearly every span has its words itself, a slip aside; None where there is none."""
    spans = [(row[text], span) for _, row in rows for span in _spans(row.get(name))]
    keys = dict.fromkeys(key for _, span in spans if isinstance(span, Mapping) for key in span)
    says = {key: sum(_says(*each, count, key) for each in spans) for key in keys}
    return next((key for key in keys if says[key] >= _NEARLY * len(spans)), None)


def _says(text: str, span: Any, count: _Count, key: str) -> bool:
    start, end = count.in_text(text, span)
    return isinstance(span, Mapping) and span.get(key) == text[start:end]


def _is_about_span(name: str) -> bool:
    """Whether a key of a span, in plain letters, says who marked it or when."""
    return name in _ABOUT or any(form.fullmatch(name) for form in (ANNOTATOR, CREATED))


def _worded(text: str, span: Any, count: _Count, own: str | None) -> dict[str, Any]:
    if places_of(span) is None:
        return {
            key: value
            for key, value in span.items()
            if not is_place_name(plain_name(key)) or value is not None
        }
    start, end = count.in_text(text, span)
    words = text[start:end]
    if isinstance(span, Sequence):
        labels = list(filter(is_word, span))
        # of two the one that is not what stands there; a person may be called Person
        return {TEXT: words, LABEL: labels[labels[0] == words and len(labels) > 1]}
    kept = {
        key: value
        for key, value in span.items()
        # an id that is no number is a name (of what the words mean)
        if not (is_place_name(plain_name(key)) and tells_a_place(key, value))
        and not _is_about_span(plain_name(key))
    }
    return kept if own is not None else {**kept, TEXT: words}
