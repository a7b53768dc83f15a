"""The words that numbers stand for in a Parquet file of `datasets`, which its own metadata has.

https://huggingface.co/docs/datasets/about_dataset_features#classlabel: a number says nothing to a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def features(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Any]:
    """Features by column as `datasets` describes them, of columns with class labels alone; empty for other files."""
    try:
        found = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {name: kind for name, kind in found.items() if _has_labels(kind)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def worded(values: Sequence[Any], kind: Any) -> list[Any]:
    """``values`` of the feature ``kind`` with the words for their labels; what is no label's number stays."""
    return [_worded(value, kind) for value in values]


def _names(kind: Any) -> Sequence[str] | None:
    return (
        kind.get("names") if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" else None
    )


def _inner(kind: Any) -> Any:
    """What a list holds, in whichever form it is described; None for no list."""
    if isinstance(kind, list):
        return kind[0] if kind else None
    return kind.get("feature") if isinstance(kind, dict) and "_type" in kind else None


def _has_labels(kind: Any) -> bool:
    if _names(kind):
        return True
    inner = _inner(kind)
    if inner is not None:
        return _has_labels(inner)
    return isinstance(kind, dict) and any(map(_has_labels, kind.values()))


def _worded(value: Any, kind: Any) -> Any:
    names = _names(kind)
    if names is not None:
        if type(value) is not int:
            return value
        # -1 is how datasets marks a row without a label
        return None if value == -1 else names[value] if 0 <= value < len(names) else value
    inner = _inner(kind)
    if isinstance(value, list):
        return [_worded(item, kind if inner is None else inner) for item in value]
    if isinstance(value, dict):
        # a list of objects was once stored as an object of lists
        parts = kind if inner is None else inner
        return {
            key: _worded(item, parts.get(key) if isinstance(parts, dict) else None)
            for key, item in value.items()
        }
    return value
