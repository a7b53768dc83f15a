"""Whether a second file writes its dates and times as the task does: a model answers in the form that it was taught."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lora_vs_api.cli.date_forms import one_form, outline
from lora_vs_api.errors import UserError
from lora_vs_api.log import say
from lora_vs_api.shown import count

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row

# values that are enough to tell a form
MIN_TAUGHT = 10
# what a moment has that a day lacks, as a file of moments that are all at midnight is read
MIDNIGHT = "T00:00:00"


def in_taught_forms(file: str, rows: Sequence[Row], taught: Sequence[Row]) -> list[Row]:
    """``rows`` of a second file, a day at midnight where the task has moments.

    Raises:
        UserError: a date or time is written otherwise than all those that the model was ``taught``.
    """
    values: dict[str, list[str]] = {}
    for row in taught:
        for path, value in _texts(row["record"]):
            values.setdefault(path, []).append(value)
    examples = {
        path: (example, outline(held[0]))
        for path, held in values.items()
        if len(held) >= MIN_TAUGHT and (example := one_form(held)) is not None
    }
    odd: dict[str, list[tuple[str, str]]] = {}
    days: dict[str, int] = {}
    found: list[Row] = []
    for row in rows:

        def as_taught(path: str, value: str, name: str = row["id"]) -> str:
            if path not in examples or one_form([value]) is None:
                return value
            _, form = examples[path]
            if outline(value) == form:
                return value
            if outline(f"{value}{MIDNIGHT}") == form:
                days[path] = days.get(path, 0) + 1
                return f"{value}{MIDNIGHT}"
            odd.setdefault(path, []).append((name, value))
            return value

        found.append({**row, "record": _mapped(row["record"], as_taught)})
    for path, wrong in odd.items():
        name, value = wrong[0]
        raise UserError(
            f"{file}: {path}: {count(len(wrong), 'date or time is', 'dates or times are')} written otherwise than the task's, "
            f"which are like {examples[path][0]}: {value!r} in {name}; write them alike, or right answers count as wrong"
        )
    for path, number in days.items():
        say(f"{file}: {path}: {count(number, 'day')} read as midnight, since the task has moments")
    return found


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Dotted path and value of every text within a record; a list's items have one path."""
    if isinstance(value, str):
        yield path, value
    for key, inner in value.items() if isinstance(value, Mapping) else ():
        yield from _texts(inner, f"{path}.{key}" if path else str(key))
    for inner in value if isinstance(value, list) else ():
        yield from _texts(inner, f"{path}[]")


def _mapped(value: Any, change: Callable[[str, str], str], path: str = "") -> Any:
    if isinstance(value, str):
        return change(path, value)
    if isinstance(value, Mapping):
        return {
            key: _mapped(inner, change, f"{path}.{key}" if path else str(key))
            for key, inner in value.items()
        }
    return (
        [_mapped(inner, change, f"{path}[]") for inner in value]
        if isinstance(value, list)
        else value
    )
