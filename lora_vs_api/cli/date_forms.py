"""How dates and times of one form are written, by an example that is none of them."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Sequence

_NAMES = [name for names in (calendar.month_name, calendar.month_abbr) for name in names if name]
_MONTH = rf"(?:{'|'.join([*_NAMES, 'Sept'])})\.?"
_DATE = (
    r"\d{4}([-/.])\d\d?\1\d\d?|\d\d?([-/.])\d\d?\2(?:\d{4}|\d\d)|"
    rf"{_MONTH} \d\d?,? \d{{4}}|\d\d?\.? {_MONTH},? \d{{4}}|\d\d?-{_MONTH}-(?:\d{{4}}|\d\d)"
)
_OFFSET = r"(?:Z| ?[+-]\d\d:?\d\d)"
_TIME = rf"\d\d?:\d\d(?::\d\d(?:\.\d+)?)?(?: ?[ap]\.?m\.?)?{_OFFSET}?"
DATE_OR_TIME = re.compile(rf"(?:{_DATE})(?:(?:T|,? ){_TIME})?|{_TIME}", re.IGNORECASE)

_MONTH_NAME = re.compile(rf"\b{_MONTH}", re.IGNORECASE)
_HALF_OF_DAY = re.compile(r"(?<=\d)( ?)[ap](\.?m\.?)", re.IGNORECASE)
# how far a place's time is from UTC is no part of the moment
_FROM_UTC = re.compile(r"(?<=:\d\d) ?[+-]\d\d:?\d\d\Z")
_TOKEN = re.compile(r"\d+|[^\W\d_]+|[\W_]+")
# days, hours, minutes and seconds that show which is which; a month or an hour of one digit where zeros are not written
_DAY, _MONTH_NUMBER, _HOUR, _HOUR_OF_HALF, _SHORT = 30, 12, 23, 11, 9
_YEARS = range(1999, 1000, -1)


def one_form(parts: Sequence[str]) -> str | None:
    """A date or time written as all of ``parts`` are; None where they are none, or of several forms.

    None of them: every model is told it, and it may be the answer of a test text.
    """
    if not all(map(DATE_OR_TIME.fullmatch, parts)) or len(set(map(outline, parts))) > 1:
        return None
    offset = _FROM_UTC.search(parts[0])
    moments = [_TOKEN.findall(_FROM_UTC.sub("", part)) for part in parts]
    if any(_is_mixed(moments, place) for place in range(len(moments[0]))):
        return None
    seen = set(parts)
    examples = _dates(moments) if _has_date(moments[0]) else _times(moments)
    made = (example + (offset[0] if offset else "") for example in examples)
    return next((example for example in made if example not in seen), None)


def outline(part: str) -> str:
    """What two values of one form have in common: a number of one digit may have two in another value."""
    part = _HALF_OF_DAY.sub(r"\1P\2", _MONTH_NAME.sub("M", part))
    return re.sub(r"\d+", lambda digits: "0" * max(2, len(digits[0])), part)


def _is_mixed(moments: Sequence[list[str]], place: int) -> bool:
    """Whether a zero stands before some numbers below 10, and none before others."""
    numbers = [moment[place] for moment in moments]
    return any(len(number) == 1 for number in numbers) and any(
        len(number) == 2 and number[0] == "0" for number in numbers
    )


def _has_date(tokens: Sequence[str]) -> bool:
    return tokens[1] != ":"


def _dates(moments: Sequence[list[str]]) -> Iterator[str]:
    tokens = moments[0]
    numbers = [place for place, token in enumerate(tokens) if token.isdigit()]
    named = next((n for n, token in enumerate(tokens) if _MONTH_NAME.fullmatch(token)), None)
    if named is not None:
        day, year, *clock = numbers
        values = {day: _DAY, named: _MONTH_NUMBER}
    elif len(tokens[0]) == 4:
        year, month, day, *clock = numbers
        values = _day_and_month(moments, day, month)
    else:
        first, second, year, *clock = numbers
        highest = [max(int(moment[place]) for moment in moments) for place in (first, second)]
        if highest[0] > 12:
            values = _day_and_month(moments, first, second)
        elif highest[1] > 12:
            values = _day_and_month(moments, second, first)
        else:
            # they cannot be told apart
            values = {first: 1, second: 1}
    values |= _clock(moments, clock)
    for number in _YEARS:
        yield _written(moments, {**values, year: number})


def _day_and_month(moments: Sequence[list[str]], day: int, month: int) -> dict[int, int]:
    return {day: _DAY, month: _SHORT if _is_short(moments, month) else _MONTH_NUMBER}


def _times(moments: Sequence[list[str]]) -> Iterator[str]:
    numbers = [place for place, token in enumerate(moments[0]) if token.isdigit()]
    values = _clock(moments, numbers)
    for hour in range(values[numbers[0]], -1, -1):
        for minute in range(59, -1, -1):
            yield _written(moments, {**values, numbers[0]: hour, numbers[1]: minute})


def _clock(moments: Sequence[list[str]], places: Sequence[int]) -> dict[int, int]:
    """Hour, minute, second and its fraction, as many as there are."""
    if not places:
        return {}
    halved = _HALF_OF_DAY.search("".join(moments[0])) is not None
    hour = _SHORT if _is_short(moments, places[0]) else _HOUR_OF_HALF if halved else _HOUR
    return dict(zip(places, (hour, 59, 58, 0)))


def _is_short(moments: Sequence[list[str]], place: int) -> bool:
    """Whether numbers below 10 are written without a zero there."""
    return any(len(moment[place]) == 1 for moment in moments)


def _written(moments: Sequence[list[str]], values: dict[int, int]) -> str:
    """The first of the moments with these values in the places of its own."""
    shown = []
    for place, token in enumerate(moments[0]):
        value = values.get(place)
        if value is None:
            shown.append(token)
        elif not token.isdigit():
            # May is long and short
            names = [moment[place] for moment in moments]
            shown.append(_named_like(next((n for n in names if n.title() != "May"), token), value))
        else:
            width = max(len(moment[place]) for moment in moments)
            short = _is_short(moments, place)
            shown.append(str(value) if short else f"{value % 10**width:0{width}}")
    return "".join(shown)


def _named_like(token: str, month: int) -> str:
    """A month's name as long as another is, in letters of the same size."""
    is_abbreviation = len(token) <= 4 and token.title() not in calendar.month_name
    name = (calendar.month_abbr if is_abbreviation else calendar.month_name)[month]
    return name.upper() if token.isupper() else name.lower() if token.islower() else name
