"""What in a text decides a field of its record, and whether two texts agree in that.

A text's record is decided by what stands in the text: its own values, any other value that the
field could have taken, and numbers. A text that is to keep its record has to keep all of them, as
they are and in their order, and must gain none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from lora_vs_api.record.fields import TEXT, Field
from lora_vs_api.shown import plain_number

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row

Span = tuple[int, int]

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# a field with more distinct values than this takes any value, such as a name
MAX_VOCABULARY = 50
# one that is met this many times on average is one of a few
MIN_TIMES = 2
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety "
    "hundred thousand million billion dozen half quarter double triple once twice none "
    "first second third fourth fifth sixth seventh eighth ninth tenth"
)
NUMBER_WORDS = frozenset(_NUMBER_WORDS.split())


def vocabulary(fields: Iterable[Field], rows: Iterable[Row]) -> tuple[str, ...]:
    """Every value that decides a field where it stands in a text, of fields that take few.

    Of an enum its values. Of another string or number, an item of a list or a key of an object:
    the values of ``rows`` (the training split's), where these are at most ``MAX_VOCABULARY``
    distinct ones and each is met ``MIN_TIMES`` times on average; and of an integer between two
    limits no farther apart than that, each integer. Booleans are not words of a text.
    """
    records = [row["record"] for row in rows]
    return tuple(
        dict.fromkeys(
            value
            for field in fields
            for value in _values_of(field, [record.get(field.name) for record in records])
        )
    )


def _values_of(field: Field, found: Sequence[Any]) -> Iterator[str]:
    if field.type == "object":
        objects = [value for value in found if isinstance(value, Mapping)]
        for inner in field.fields:
            yield from _values_of(inner, [value.get(inner.name) for value in objects])
    elif field.type == "list":
        items = [item for value in found if isinstance(value, list) for item in value]
        yield from _values_of(field.items or TEXT, items)
    elif field.type == "enum":
        yield from filter(str.strip, field.values)
    elif field.type != "boolean":
        if (
            field.type == "integer"
            and field.minimum is not None
            and field.maximum is not None
            and field.maximum - field.minimum < MAX_VOCABULARY
        ):
            yield from map(str, range(round(field.minimum), round(field.maximum) + 1))
        met = [form for value in found for form in _forms(value)[:1]]
        few = set(met)
        if len(few) <= MAX_VOCABULARY and len(met) >= MIN_TIMES * len(few):
            yield from sorted(few)


def values_in(value: Any) -> Iterator[str]:
    """Every string and number of a record, as it may be written."""
    inner = list(value.values()) if isinstance(value, Mapping) else value
    if isinstance(inner, list):
        for item in inner:
            yield from values_in(item)
    else:
        yield from _forms(inner)


def _forms(value: Any) -> list[str]:
    """How a text may write a string or a number: 4.0 also as 4."""
    if isinstance(value, bool) or value is None:
        return []
    written = [str(value)] if not isinstance(value, float) else [plain_number(value), str(value)]
    return [form for form in written if form.strip()]


@dataclass(frozen=True)
class Decisive:
    """What decides the record of one text: ``values`` that could stand in it, and all numbers.

    A value stands where its words stand in their order, whatever their case and the spaces
    between them, and is no part of a longer word or number. In scripts without upper and lower
    case, where words need not be told apart by spaces, it stands wherever its characters do.
    """

    values: tuple[str, ...]

    @classmethod
    def of(cls, record: Mapping[str, Any], vocabulary: Sequence[str]) -> Decisive:
        found = (*values_in(record), *vocabulary)
        # a text may write a value in another Unicode form than its record does
        forms = (normalize(form, value) for form in ("NFC", "NFD") for value in found)
        return cls(tuple(dict.fromkeys((*found, *forms))))

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        found = {}
        for value in self.values:
            words = value.split()
            # ahead, so that values which overlap are all met
            body = r"\s+".join(map(re.escape, words))
            found[" ".join(words).casefold()] = (
                words[0].casefold(),
                re.compile(f"(?=({body}))", re.IGNORECASE),
            )
        return list(found.values())

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word of every value, case folded."""
        return frozenset(w.casefold() for value in self.values for w in WORD.findall(value))

    def spans(self, text: str) -> list[Span]:
        """Where a value stands in ``text``, by value."""
        folded = text.casefold()
        return [
            span
            for first, pattern in self._patterns
            if first in folded
            for found in pattern.finditer(text)
            if _stands_alone(text, span := found.span(1))
        ]

    def agree(self, before: str, after: str) -> bool:
        """Whether both texts have the same values as often, and the same numbers in their order.

        Values are compared as they are written, case and inner spaces included.
        """
        return (
            numbers(before) == numbers(after)
            and number_words(before) == number_words(after)
            and self._written(before) == self._written(after)
        )

    def _written(self, text: str) -> Counter[str]:
        return Counter(text[start:end] for start, end in self.spans(text))


def numbers(text: str) -> list[str]:
    """Every run of digits, in its order."""
    return re.findall(r"\d+", text)


def number_words(text: str) -> Counter[str]:
    """English words for numbers, as often as they stand."""
    words = (word.casefold() for word in WORD.findall(text))
    return Counter(word for word in words if word in NUMBER_WORDS)


def number_spans(text: str) -> list[Span]:
    """Where numbers stand: whole tokens with a digit, as one where no word stands between two.

    So '$119. 95' and '555 - 1234' are one each. Words for numbers too.
    """
    spans: list[Span] = []
    joined = False
    for token in re.finditer(r"\S+", text):
        if re.search(r"\d", token[0]):
            start = spans.pop()[0] if joined else token.start()
            spans.append((start, token.end()))
            joined = True
        elif re.search(r"\w", token[0]):
            joined = False
    words = (found.span() for found in WORD.finditer(text) if found[0].casefold() in NUMBER_WORDS)
    return [*spans, *words]


def _stands_alone(text: str, span: Span) -> bool:
    start, end = span
    return not (
        (start > 0 and _joins(text[start - 1]) and _joins(text[start]))
        or (end < len(text) and _joins(text[end - 1]) and _joins(text[end]))
    )


def _joins(character: str) -> bool:
    """Whether the character makes one word or number with another such beside it."""
    return character.isdigit() or character.lower() != character.upper()
