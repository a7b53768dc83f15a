"""What stands within the objects of a row, by its path: ``spans.user`` is the key ``user`` of spans, or of each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lora_vs_api.data.json_values import cell_value


def without(row: Mapping[str, Any], paths: Iterable[str]) -> Mapping[str, Any]:
    """``row`` without what the paths name; a name that holds a dot itself is one, and no path."""
    for path in paths:
        row = _without(row, path)
    return row


def _without(found: Any, path: str) -> Any:
    if isinstance(found, list):
        return [_without(item, path) for item in found]
    if (held := _held(found)) is not None:
        return _without(held, path)
    if not isinstance(found, Mapping):
        return found
    if path in found:
        return {key: value for key, value in found.items() if key != path}
    name, _, rest = path.partition(".")
    return {**found, name: _without(found[name], rest)} if rest and name in found else found


def _held(found: Any) -> Any:
    """The object or list that is JSON in a cell; None for anything else."""
    if not isinstance(found, str) or found.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        return cell_value(found)
    except ValueError:
        return None


def paths_within(rows: Sequence[Mapping[str, Any]], levels: int = 3) -> dict[str, None]:
    """The paths of all keys within the columns of ``rows``, the columns themselves not among them."""
    return dict.fromkeys(path for row in rows for path, _ in _paths(row, levels) if "." in path)


def empty_within(rows: Sequence[Mapping[str, Any]], levels: int = 3) -> list[str]:
    """The paths of those keys within that hold an empty object wherever they stand, such as the arguments of calls."""
    empty: dict[str, bool] = {}
    for row in rows:
        for path, value in _paths(row, levels):
            empty[path] = empty.get(path, True) and value == {}
    return [path for path, is_empty in empty.items() if is_empty and "." in path]


def _paths(found: Any, levels: int) -> Iterator[tuple[str, Any]]:
    held = _held(found)
    found = found if held is None else held
    if isinstance(found, list):
        for item in found:
            yield from _paths(item, levels)
    elif isinstance(found, Mapping):
        for name, value in found.items():
            yield str(name), value
            if levels:
                yield from ((f"{name}.{path}", each) for path, each in _paths(value, levels - 1))
