"""Markdown from templates, in which text that comes from data can never act as markup.

A template in ``templates/`` is Markdown with Jinja in it. What it writes with ``{{ }}`` is escaped,
unless a filter of this module made it. A number needs a filter, so that none is written with
whatever digits it has; whole numbers go as they are. A name that the template does not get is an
error.

A paragraph is one line of the report and several of the template: an indented line continues the
line before it, after a space unless it begins with a statement. A line that is one statement and
nothing else writes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Undefined

from lora_vs_api.report import numbers
from lora_vs_api.shown import count, plural, visible

TEMPLATES = Path(__file__).with_name("templates")
DASH = "–"


class Markdown(str):
    """Text that is Markdown already, and inert; a template writes it as it is."""

    __slots__ = ()


def render(template: str, **facts: object) -> Markdown:
    """The Markdown that ``templates/TEMPLATE.md.j2`` makes of these facts, without blank ends.

    Raises:
        jinja2.UndefinedError: the template reads a name that is not among the facts.
        TypeError: it writes something other than a text or a whole number without a filter.
    """
    return Markdown(ENVIRONMENT.get_template(template).render(facts).strip("\n"))


def escape(value: str) -> Markdown:
    """``value`` as inline Markdown that reads as itself, also in a table cell."""
    if isinstance(value, Markdown):
        return value
    one_line = visible(re.sub(r"\s+", " ", value).strip()).replace("&", "&amp;")
    one_line = re.sub(r"([\\`*\[\]<>|#~$])", r"\\\1", one_line)
    # an underscore inside a word is no emphasis, and escaped it would be hard to read
    return Markdown(re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", one_line))


def plain(text: Markdown) -> str:
    """Inline Markdown of :func:`escape` as the text that it shows, for a terminal."""
    return re.sub(r"\\([\\`*\[\]<>|#~$_])", r"\1", text).replace("&amp;", "&")


def fence(value: str, language: str = "") -> Markdown:
    """``value`` as a code block that nothing inside it can close."""
    longest = max((len(run) for run in re.findall(r"`+", value)), default=0)
    marks = "`" * max(3, longest + 1)
    # a lone carriage return or a line separator would end a line for some readers and not others
    lines = visible("\n".join(value.splitlines()))
    return Markdown(f"{marks}{language}\n{lines}\n{marks}")


def code(value: str) -> Markdown:
    """``value`` as a code span, or escaped where a code span could not hold it."""
    value = visible(value)
    return escape(value) if re.search(r"[`|\s]", value) else Markdown(f"`{value}`")


def listed(values: Iterable[str], separator: str = ", ") -> Markdown:
    """The values, each escaped, in one line."""
    return Markdown(separator.join(escape(value) for value in values))


def joined(values: Iterable[str]) -> Markdown:
    """The values, each escaped, as a sentence names them: a, b and c."""
    *first, last = map(escape, values)
    return Markdown(f"{', '.join(first)} and {last}" if first else last)


def compact_json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)


def words(name: str) -> str:
    """The name of a key, as words."""
    return name.replace("_", " ")


def _inert(write: Callable[..., str], none: str | None = DASH) -> Callable[..., Markdown]:
    """The filter that writes a value as ``write`` does, escaped, and None as ``none``."""

    def filtered(value: Any, *arguments: Any) -> Markdown:
        return escape(none if value is None and none else write(value, *arguments))

    return filtered


def _named(write: Callable[..., str]) -> Callable[..., str]:
    """The filter, with a misspelt name told as such before anything is done with it."""

    def filtered(value: Any, *arguments: Any) -> str:
        if isinstance(value, Undefined):
            str(value)  # raises, and names it
        return write(value, *arguments)

    return filtered


def _written(value: object) -> Markdown | int:
    """What ``{{ value }}`` writes."""
    if isinstance(value, Undefined):
        str(value)  # raises, and names it
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError(f"a template writes {value!r} without a filter")


def _source(name: str) -> str:
    text = (TEMPLATES / f"{name}.md.j2").read_text(encoding="utf-8")
    # before any data is in it, so that no line of a text is ever joined to another
    text = re.sub(r"\n +(?={%)", "", text)
    text = re.sub(r"\n +(?=\S)", " ", text)
    return re.sub(r"^({%(?:(?!%}).)*%})\n", r"\1", text, flags=re.MULTILINE)


FILTERS: dict[str, Callable[..., str]] = {
    "bracketed": _inert(numbers.bracketed),
    "between": _inert(numbers.between),
    "code": code,
    "codes": lambda names: listed(map(code, names)) or Markdown("none"),
    "count": _inert(count),
    "decimals": _inert(numbers.decimals),
    "days": _inert(numbers.days, "never"),
    "fence": fence,
    "general": _inert("{:g}".format),
    "json": compact_json,
    "joined": joined,
    "listed": listed,
    "number": _inert("{:,}".format),
    "p": _inert(numbers.p_value),
    "percent": _inert(numbers.percent),
    "plural": _inert(plural),
    "points": _inert(numbers.points),
    "score": _inert(numbers.score),
    "seconds": _inert(numbers.seconds),
    "signed": _inert(numbers.signed),
    "signed_between": _inert(numbers.signed_between),
    "signed_bracketed": _inert(numbers.signed_bracketed),
    "signed_usd": _inert(numbers.signed_usd),
    "significant": _inert(numbers.significant),
    "usd": _inert(numbers.usd),
    "month": _inert(numbers.month, None),
    "volume": _inert(numbers.volume, None),
    "volume_between": _inert(numbers.volume_between, None),
    "words": words,
}

# other text is made inert by what writes it, so the escaping that Jinja has for HTML stays off
ENVIRONMENT = Environment(
    loader=FunctionLoader(_source),
    undefined=StrictUndefined,
    finalize=_written,
    autoescape=False,
)
ENVIRONMENT.filters |= {name: _named(write) for name, write in FILTERS.items()}
