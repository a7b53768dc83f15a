"""The text of a row: a column of it, or a Jinja template over columns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lora_vs_api.data.table import names_of
from lora_vs_api.data.within import without
from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from jinja2.nodes import Node

# the key of an item in a list
PLACE = "[]"
# by what a template reaches a column whose name is no word: {{ columns["Review Title"] }}
COLUMNS = "columns"
# words that are Jinja's own within an expression
_JINJAS = {
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "true",
    "false",
    "none",
    "True",
    "False",
    "None",
}
_EXPRESSION = re.compile(r"(\{\{[-+]?\s*)([^{}|]*?)(\s*(?:\|[^{}]*)?[-+]?\}\})")


def is_template(text: str) -> bool:
    """Whether ``data.text`` is a Jinja template and no column."""
    return "{{" in text or "{%" in text


def in_template(column: str) -> str:
    """A template of one column, to be typed between single quotes."""
    return f"{{{{ {as_named(column)} }}}}"


def as_named(column: str) -> str:
    """How a template names a column, between single quotes: as it stands, or in quotes where Jinja would read it otherwise."""
    plain = re.fullmatch(r"[^\W\d]\w*(?: \w+)*", column) and _JINJAS.isdisjoint(column.split())
    if plain:
        return column
    quoted = json.dumps(column, ensure_ascii=False).replace("'", r"\u0027")
    return f"{COLUMNS}[{quoted}]"


def typed_text(text: str) -> str:
    """A column or a template as it was typed in a shell, which leaves the two characters ``\\n`` what they are.

    Within the strings of a template they are a line end to Jinja, too.
    """
    return text.replace("\\n", "\n").replace("\\t", "\t") if is_template(text) else text


def text_reader(text: str, names: Iterable[str] = ()) -> Callable[[Mapping[str, Any]], str]:
    """A function from a row's columns to its text; ``text`` as in :func:`read_source`.

    Args:
        names: the columns of the file; one that a row of JSON lacks is empty to a template, as null is.
    """
    if not is_template(text):
        return lambda columns: _as_text(columns.get(text), text)
    from jinja2 import StrictUndefined, TemplateError, UndefinedError
    from jinja2.sandbox import SandboxedEnvironment

    class Environment(SandboxedEnvironment):
        def getattr(self, obj: Any, attribute: str) -> Any:
            """A key before a method of Python's: an order has items."""
            if isinstance(obj, Mapping) and attribute in obj:
                return obj[attribute]
            return super().getattr(obj, attribute)

    # sandboxed: a config that someone shares is not a program to run
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, finalize=_said)
    environment.filters["join"] = _join
    try:
        template = environment.from_string(_with_columns(text))
    except TemplateError as error:
        raise UserError(f"data.text: not a valid Jinja template: {error}") from None

    empty = dict.fromkeys(names)

    def render(columns: Mapping[str, Any]) -> str:
        columns = {**empty, **columns}
        try:
            return template.render({COLUMNS: columns, **columns})
        except UndefinedError as error:
            said = " ".join(str(error).split())
            raise UserError(f"data.text: {said}{_meant(said, columns)}") from None
        # whatever the template of a user does: a sum of texts, a division by zero
        except Exception as error:
            raise UserError(f"data.text: {' '.join(str(error).split())}") from None

    return render


def _join(value: Any, between: str = "", attribute: str | int | None = None) -> str:
    """Jinja's join of texts and numbers: of a text it would part the letters, and of an object write Python's form."""
    if isinstance(value, str | Mapping):
        raise TypeError(f"expected a list to join, found {value!r:.60}")
    items = [] if value is None else list(value)
    if attribute is not None:
        items = [item[attribute] for item in items]
    for item in items:
        if isinstance(item, Mapping | list):
            raise TypeError(f"expected a list of texts to join, found one with {item!r:.60}")
    return between.join("" if item is None else str(item) for item in items)


def _said(value: Any) -> Any:
    """A value as a template writes it: null says nothing, and not the word that Python has for it."""
    from jinja2 import Undefined

    if callable(value) and not isinstance(value, Undefined):
        raise TypeError(
            f"expected a value, found {getattr(value, '__name__', 'a function')}, which is a method of Python's"
        )
    return "" if value is None else value


def _with_columns(text: str) -> str:
    """A template with the names of columns that are no words to Jinja as it takes them: ``{{ Review Title }}``."""
    from jinja2 import Environment, TemplateSyntaxError

    environment = Environment(autoescape=True)

    def named(found: re.Match[str]) -> str:
        begins, name, ends = found.groups()
        try:
            environment.compile_expression(name)
        except TemplateSyntaxError:
            # what holds quotes, brackets or a sum was meant as an expression
            if not name or re.search(r"[\"'()\[\]+*~=,]", name):
                return found[0]
            return f'{begins}{COLUMNS}["{name}"]{ends}'
        return found[0]

    return _EXPRESSION.sub(named, text)


def _meant(said: str, columns: Mapping[str, Any]) -> str:
    """The column that a name without one was meant to be, as a template reaches it; empty where there is none."""
    missing = re.match(r"'([^']+)' is undefined", said)
    if missing is None:
        return ""
    name, names = missing[1], list(columns)
    # of {{ reviews.title }} and {{ review-title }} Jinja names the first word
    near = [each for each in names if not each.isidentifier() and each.startswith(name)]
    near = near or get_close_matches(name, names, n=1)
    if not near:
        return f"; there are {', '.join(names)}"
    return f" (did you mean {in_template(near[0])}?)"


def _joined(name: str) -> str:
    """A template's words for a column whose lists of texts may stand beside texts."""
    return f'{name} if {name} is string else {name} | join(" ")'


def _as_text(value: Any, column: str) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        # an address that is a number alone
        return str(value)
    if not isinstance(value, str):
        hint = ""
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            hint = (
                "; write a row for each of its texts, or make one of them: "
                f"'{{{{ {_joined(as_named(column))} }}}}'"
            )
        parts = (
            [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
        )
        key = next(
            (
                key
                for key in ("text", "value", "word")
                if parts and all(isinstance(p.get(key), str) for p in parts)
            ),
            None,
        )
        if key is not None and len(parts) == len(value):
            texts = [part[key] for part in parts]
            # words and sentences have no blanks of their own between them
            apart = all(one[-1:].isspace() or two[:1].isspace() for one, two in pairwise(texts))
            mark = "" if apart else " "
            hint = f'; its parts are one text by \'{{{{ {column} | map(attribute="{key}") | join("{mark}") }}}}\''
        if (
            isinstance(value, list)
            and value
            and all(isinstance(s, list) and all(isinstance(w, str) for w in s) for s in value)
        ):
            hint = f'; its sentences are one text by \'{{{{ {column} | map("join", " ") | join(" ") }}}}\''
        # a chat within a list, or within one of lists
        turn, inner = value, column
        while isinstance(turn, list) and len(turn) == 1:
            turn, inner = turn[0], f"{inner}[0]"
        if isinstance(turn, Mapping) and isinstance(turn.get("content"), str):
            hint = f"; that of its one turn is '{{{{ {inner}.content }}}}'"
        raise UserError(f"{column}: expected a text, found {value!r:.60}{hint}")
    return value


def used_columns(text: str) -> dict[str, set[str]]:
    """Names that a text, as in :func:`text_reader`, is made of: of each the keys within it, empty for all of it.

    ``{{ ticket.body }} {{ answers[0].text }}`` uses ``body`` of ticket, and of answers what stands at a place.
    """
    if not is_template(text):
        return {text: {""}}
    from jinja2 import Environment, TemplateError

    found: dict[str, set[str]] = {}
    try:
        parsed = Environment(autoescape=True).parse(_with_columns(text))
    except TemplateError:
        # text_reader says so
        return found
    for name, keys in _names(parsed):
        found.setdefault(name, set()).add(keys)
    return found


@dataclass(frozen=True)
class Taken:
    """What of the rows a text is made of.

    Attributes:
        whole: columns of which nothing is left.
        parts: of objects, the paths of the keys that it takes.
        lists: columns of which it takes what stands at a place.
    """

    whole: set[str] = field(default_factory=set)
    parts: list[str] = field(default_factory=list)
    lists: set[str] = field(default_factory=set)


def taken_by(text: str, rows: Sequence[Mapping[str, Any]]) -> Taken:
    """What of ``rows`` a text, as in :func:`text_reader`, is made of."""
    found = Taken()
    for name, keys in used_columns(text).items():
        cells = [cell for row in rows if (cell := row.get(name)) is not None]
        paths = [f"{name}.{key}" for key in sorted(keys)]
        if "" in keys:
            found.whole.add(name)
        elif any(PLACE in key for key in keys) or any(isinstance(cell, list) for cell in cells):
            found.lists.add(name)
        elif not all(isinstance(cell, Mapping) for cell in cells) or all(
            without(row, paths).get(name) in (None, {}) for row in rows
        ):
            found.whole.add(name)
        else:
            found.parts.extend(paths)
    return found


def check_template(text: str, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Make sure that every row, each with its place, has what a template takes of it.

    Raises:
        UserError: naming the first row that has not.
    """
    if not is_template(text):
        return
    rows = list(rows)
    render = text_reader(text, names_of(row for _, row in rows))
    if not used_columns(text):
        raise UserError(f"data.text: expected a template that names a column, found {text!r:.60}")
    for place, row in rows:
        try:
            render(row)
        except UserError as error:
            raise UserError(f"{place}: {error}") from None


def _names(node: Node) -> Iterator[tuple[str, str]]:
    """Every name within a part of a template, and the keys that are asked of it."""
    from jinja2 import nodes

    keys: list[str] = []
    inner: Node = node
    while isinstance(inner, nodes.Getattr | nodes.Getitem):
        if isinstance(inner, nodes.Getattr):
            keys.insert(0, inner.attr)
        else:
            yield from _names(inner.arg)
            # what stands at a place of a list has no name
            key = inner.arg.value if isinstance(inner.arg, nodes.Const) else None
            keys = [key, *keys] if isinstance(key, str) else [PLACE]
        inner = inner.node
    if isinstance(inner, nodes.Name):
        if inner.name == COLUMNS and keys:
            yield keys[0], ".".join(keys[1:])
        else:
            yield inner.name, ".".join(keys)
        return
    for child in inner.iter_child_nodes():
        yield from _names(child)
