"""Settings by their dotted keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def value_at(value: Any, key: str) -> Any:
    """What stands under a dotted key; None where nothing does."""
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def keys_of(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of all settings, those of sections among them."""
    for name, inner in value.items():
        yield f"{prefix}{name}"
        if isinstance(inner, dict):
            yield from keys_of(inner, f"{prefix}{name}.")
