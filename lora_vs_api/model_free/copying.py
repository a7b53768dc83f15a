"""A training record made this text's own: the values that stand in the text are taken from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from lora_vs_api.model_free.spans import SpanFinder, Tokens, count_texts, span_finder
from lora_vs_api.record.fields import Field

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row

# names of nested fields, outermost first
Path = tuple[str, ...]
# of a slot's values in training, how many have to stand in their text for it to be copied
MIN_COPIED = 0.8
# more say nothing new about where values stand; which values there are is counted in all
MAX_TEXTS = 5_000


class Copier:
    """Knows which slots of a record are copied from the text, and where their values stand in it.

    A slot is a string or a list of strings, also one in an object, but not one in a list's items.
    """

    def __init__(self, rows: Sequence[Row], fields: Sequence[Field]) -> None:
        self.fields = fields
        self.finders: dict[Path, SpanFinder] = {}
        texts = [Tokens(row["text"]) for row in rows[:MAX_TEXTS]]
        for path, many in _slots(fields):
            every = [_values(row["record"], path) for row in rows]
            values = every[:MAX_TEXTS]
            standing = [any(t.occurrences(v)) for t, own in zip(texts, values) for v in own]
            if standing and sum(standing) >= MIN_COPIED * len(standing):
                self.finders[path] = span_finder(texts, values, count_texts(every), many=many)

    def copied(self, text: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """``record``, another text's, as far as it can be told for ``text``.

        A copied slot in which nothing is found becomes null or empty, or stays where it may be
        neither. Where any other string names a value of the record's copied slots, it names this
        text's instead.
        """
        tokens = Tokens(text)
        found = {path: finder.find(tokens) for path, finder in self.finders.items()}
        rename = _renaming({path: (_values(record, path), found[path]) for path in found})
        return {
            field.name: _fill(field, record[field.name], (field.name,), found, rename)
            for field in self.fields
        }


def _slots(fields: Sequence[Field], above: Path = ()) -> Iterator[tuple[Path, bool]]:
    """Where a string or a list of strings may stand, and whether it is a list."""
    for field in fields:
        path = (*above, field.name)
        if field.type == "object":
            yield from _slots(field.fields, path)
        elif field.type == "string":
            yield path, False
        elif field.type == "list" and (field.items is None or field.items.type == "string"):
            yield path, True


def _values(record: Mapping[str, Any], path: Path) -> list[str]:
    """A slot's values, composed (NFC) as tokens are; none where it, or an object around it, is null."""
    value: Any = record
    for name in path:
        if value is None:
            return []
        value = value[name]
    items = value if isinstance(value, list) else [value]
    return [normalize("NFC", item) for item in items if item is not None]


def _renaming(slots: Mapping[Path, tuple[list[str], list[str]]]) -> Callable[[str], str]:
    """What puts this text's values in the place of the other's, by slot: (the other's, ours)."""
    names: dict[str, str] = {}
    for theirs, ours in slots.values():
        if ours:
            for place, name in enumerate(theirs):
                names.setdefault(name, ours[min(place, len(ours) - 1)])
    longest_first = sorted(filter(None, names), key=lambda name: (-len(name), name))
    if not longest_first:
        return lambda text: text
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    return lambda text: pattern.sub(lambda match: names[match.group()], normalize("NFC", text))


def _fill(
    field: Field,
    value: Any,
    path: Path | None,
    found: Mapping[Path, list[str]],
    rename: Callable[[str], str],
) -> Any:
    """The field's value for this text; ``path`` is None in a list's items."""
    if path is not None and path in found:
        return _copied_value(field, value, found[path])
    if field.type == "object":
        return _fill_object(field, value, path, found, rename)
    if field.type == "list" and value is not None and field.items is not None:
        return [_fill(field.items, item, None, found, rename) for item in value]
    if field.type == "list" and value is not None:
        return [rename(item) for item in value]
    return rename(value) if field.type == "string" and value is not None else value


def _copied_value(field: Field, value: Any, found: list[str]) -> Any:
    if field.type == "list":
        if not found and not value:
            return value
        return found if found or not field.optional else None
    if found:
        return found[0]
    return None if field.optional else value


def _fill_object(
    field: Field,
    value: Any,
    path: Path | None,
    found: Mapping[Path, list[str]],
    rename: Callable[[str], str],
) -> Any:
    """An object that may be null is there where something of it is."""
    here = [] if path is None else [own for own in found if own[: len(path)] == path]
    if value is None and not any(found[own] for own in here):
        return None
    filled = {
        inner.name: _fill(
            inner,
            None if value is None else value[inner.name],
            None if path is None else (*path, inner.name),
            found,
            rename,
        )
        for inner in field.fields
    }
    if any(filled[inner.name] is None and not inner.optional for inner in field.fields):
        # no training value to fill a hole with
        return None
    empty = all(part is None for part in filled.values())
    return None if field.optional and here and empty else filled
