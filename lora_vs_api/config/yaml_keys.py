"""Keys of YAML mappings that are not what a person meant: one that stands there twice, one that is no text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from lora_vs_api.config.fast_yaml import safe_loader

# what YAML takes a word without quotes for, by the end of its tag
_READ_AS = {
    "bool": "true or false",
    "null": "no value",
    "int": "a number",
    "float": "a number",
    "timestamp": "a date",
}


def load_once(text: str) -> Any:
    """What :func:`yaml.safe_load` makes of ``text``, where no mapping has a key twice.

    PyYAML takes the last of them in silence.

    Raises:
        yaml.YAMLError: as there; a key that stands twice, with its place.
    """
    try:
        return _load_once(text, safe_loader(text))
    except yaml.YAMLError:
        # libyaml words its complaints otherwise
        return _load_once(text, yaml.SafeLoader)


def _load_once(text: str, kind: Any) -> Any:
    loader = kind(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        for mapping in _mappings(node):
            _check_once(mapping)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_once(mapping: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
            continue
        if key.value in seen:
            raise yaml.MarkedYAMLError(
                problem=f"found duplicate key {key.value}", problem_mark=key.start_mark
            )
        seen.add(key.value)


def _mappings(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    """All mappings of a document, one that is named and used again once."""
    seen: set[int] = set()
    rest = [node]
    while rest:
        found = rest.pop()
        if id(found) in seen or isinstance(found, yaml.ScalarNode):
            continue
        seen.add(id(found))
        if isinstance(found, yaml.MappingNode):
            yield found
            rest += [part for pair in found.value for part in pair]
        else:
            rest += found.value


def no_text_key(value: Any, place: str = "") -> tuple[str, object] | None:
    """The first key of ``value`` that is no text, with the dotted name of the mapping in which it stands."""
    pairs: Any = ()
    if isinstance(value, dict):
        odd = next((key for key in value if not isinstance(key, str)), "")
        if odd != "":
            return place, odd
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    for name, inner in pairs:
        found = no_text_key(inner, f"{place}.{name}" if place else str(name))
        if found is not None:
            return found
    return None


def unquoted_key(text: str) -> tuple[int, int, str] | None:
    """Line, column and what is wrong with the first key of a file that YAML reads as something else than a text."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    keys = [key for mapping in _mappings(node) for key, _ in mapping.value] if node else []
    for key in sorted(keys, key=lambda key: key.start_mark.line):
        kind = _READ_AS.get(key.tag.rpartition(":")[2])
        if kind is not None:
            said = f"expected a name as key, found {key.value}, which YAML reads as {kind}; put it in quotes: '{key.value}'"
            return key.start_mark.line + 1, key.start_mark.column + 1, said
    return None
