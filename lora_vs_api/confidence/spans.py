"""Where the values of a record stand in the text of an answer."""

from __future__ import annotations

from collections.abc import Sequence

from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import DECODER, parse_record, part_thinking

# first character and the one after the last
Span = tuple[int, int]
_BLANKS = " \t\n\r"


def value_spans(output: str, fields: Sequence[Field] = ()) -> dict[str, list[Span]] | None:
    """Each key of the answer's record with the places of its values; None where there is no record.

    Of ``fields`` a key that may be left out, and is, has the place where the answer goes on without it:
    from the last value before, in the schema's order, to the next one, or to the end.

    What is not a value does not count: keys, brackets, commas, the quotes around a text. Of a list or an
    object, the values in it count. An empty text, list or object has nothing but its marks: those.
    """
    answer = part_thinking(output).answer
    if answer is None or parse_record(output) is None:
        return None
    start = output.rfind(answer)
    if start < 0:
        # thinking was taken out of the middle: no place in the text is known
        return None
    found: dict[str, list[Span]] = {}
    place = _after_blanks(output, output.index("{", start) + 1)
    begins, ends = {}, {}
    opening = place - 1
    while output[place] != "}":
        # of a key that is there twice the last counts, as for whoever parses the record
        key, place = DECODER.raw_decode(output, place)
        begins[key] = _after_mark(output, place, ":")
        found[key], place = _values(output, begins[key])
        ends[key] = place
        place = _after_mark(output, place, ",")
    known = [field.name for field in fields]
    for at, field in enumerate(fields):
        if field.omitted and field.name not in found:
            first = max((ends[name] for name in known[:at] if name in ends), default=opening)
            later = [begins[name] for name in known[at:] if begins.get(name, -1) > first]
            found[field.name] = [(first, min(later, default=place + 1))]
    return found


def _values(text: str, place: int) -> tuple[list[Span], int]:
    """The spans of the value that begins at ``place``, and where it ends."""
    first = text[place]
    if first not in "[{":
        end = DECODER.raw_decode(text, place)[1]
        quoted = first == '"' and end - place > 2
        return [(place + 1, end - 1) if quoted else (place, end)], end
    closing, inner, start = "]" if first == "[" else "}", [], place
    place = _after_blanks(text, place + 1)
    while text[place] != closing:
        if first == "{":
            place = _after_mark(text, DECODER.raw_decode(text, place)[1], ":")
        spans, place = _values(text, place)
        inner += spans
        place = _after_mark(text, place, ",")
    return inner or [(start, place + 1)], place + 1


def _after_blanks(text: str, place: int) -> int:
    while text[place] in _BLANKS:
        place += 1
    return place


def _after_mark(text: str, place: int, mark: str) -> int:
    """Beyond a ``mark``, if one stands there, and the blanks around it."""
    place = _after_blanks(text, place)
    return _after_blanks(text, place + 1) if text[place] == mark else place
