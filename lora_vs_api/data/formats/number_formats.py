"""What a spreadsheet's number format shows beside the digits of a number: zeros before them, and signs around them.

The parts of a format: ECMA-376, 18.8.31 (numFmts), https://support.microsoft.com/office/number-format-codes.
"""

from __future__ import annotations

import operator
import re

# a text in quotes, a sign with a backslash before it, brackets, a blank as wide as a sign, a sign that fills, any other
_PART = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.|.', re.DOTALL)
# which of them stand in a format that shows digits and no point, share, date or sign of its own
_PLAIN = re.compile(r'[0#]|[-/ ()]|"[^"]*"|\\.', re.DOTALL)
_CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=)(-?\d+(?:\.\d+)?)\]")
_COMPARED = {
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
    "<=": operator.le,
    ">=": operator.ge,
    "<>": operator.ne,
}
# a currency with its place, [$€-407]; a place alone, [$-407], shows nothing
_CURRENCY = re.compile(r"\[\$([^\]-]+)(?:-[^\]]*)?\]")
# of a date, a length of time or a text: letters that stand for a value
_VALUE = re.compile(r"[dmyhsgeb@]|general", re.IGNORECASE)

MAX_CODE = 1e100  # no code is such a number


def padded(value: float, form: str) -> str | None:
    """A number as a format of zeros shows it, such as a postcode's ``00000``, or one with signs between its digits, such
    as a phone's ``###-####``; None for another format.
    """
    parts = _parts(value, form)
    point = parts.index(".") if parts.count(".") == 1 else len(parts)
    behind = parts[point + 1 :].count("0")
    # as if the digits behind the point were before it: the point is a sign like others
    whole = round(value * 10**behind) if 0 <= value < MAX_CODE else -1
    if whole < 0 or whole / 10**behind != value or "#" in parts[point:]:
        return None
    digits = [part for part in parts if part in ("0", "#")]
    # a # before the first zero shows nothing where there is no digit for it
    zeros = len(digits) - digits.index("0") if "0" in digits else 0
    places = [place for place, part in enumerate(parts) if part in ("0", "#")]
    between = parts[places[0] : places[-1]] if places else []
    is_code = zeros - behind > 1 or any(_sign(part) in ("-", "(", ")") for part in between)
    if not is_code or not all(_PLAIN.fullmatch(part) or part == "." for part in parts):
        return None
    number = f"{whole:0{zeros}}".rjust(len(digits))
    # the first place takes all digits that are too many
    first, rest = number[: len(number) - len(digits) + 1], iter(number[-len(digits) + 1 :])
    shown, begun = "", False
    for part in parts:
        if part in ("0", "#"):
            # blank where a # has no digit
            shown += (next(rest) if begun else first).strip()
            begun = True
        else:
            shown += _sign(part)
    return shown.strip()


def unit(value: float, form: str) -> str:
    """The signs that a format shows beside a number, such as a currency; empty where it shows none, or is a date's."""
    parts = _parts(value, form)
    if any(_VALUE.fullmatch(part) for part in parts) or not {"0", "#"} & set(parts):
        return ""
    shown = "".join(_sign(part) for part in parts if part not in ("0", "#"))
    return " ".join(re.findall(r"[^\W\d_]+|[^\w\s.,;:?+/()%'-]+", shown))


def _sign(part: str) -> str:
    if currency := _CURRENCY.fullmatch(part):
        return currency[1]
    return part.strip('"') if part.startswith('"') else part.removeprefix("\\")


def _parts(value: float, form: str) -> list[str]:
    """The parts of the section of a format that is this number's, but for what shows nothing of its own."""
    parts = [found[0] for found in _PART.finditer(_section(value, form))]
    return [part for part in parts if part[0] not in "[_*" or _CURRENCY.fullmatch(part)]


def _section(value: float, form: str) -> str:
    """The section of a format that is of this number: by its condition, or the first."""
    sections = [""]
    for found in _PART.finditer(form):
        if found[0] == ";":
            sections.append("")
        else:
            sections[-1] += found[0]
    conditions = [_CONDITION.search(section) for section in sections]
    if any(conditions):
        for section, condition in zip(sections, conditions, strict=True):
            if condition is None or _COMPARED[condition[1]](value, float(condition[2])):
                return section
    return sections[0]
