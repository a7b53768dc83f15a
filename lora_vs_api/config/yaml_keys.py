"""What YAML reads otherwise than a person meant it: a key that stands twice or is no text, 010 and 12:30 as numbers."""

from __future__ import annotations

import re
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


# as YAML 1.1 writes numbers to the base of 8 and of 60, which nobody means who writes 010 or 12:30
_MISREAD = re.compile(r"[+-]?(?:0[0-9_]*[0-9][0-9_]*|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)")
# lines in which such a number may stand, so that few files have to be read for it
_MAY_BE_MISREAD = re.compile(
    r"(?m)(?:^|[\s\[{,:])[+-]?(?:0[0-9_]+|[0-9_]+(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)(?=\s|$|[,\]}])"
)


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
        slip = next(_misread(node), None) if _MAY_BE_MISREAD.search(text) else None
        if slip is not None:
            raise yaml.MarkedYAMLError(problem=slip[1], problem_mark=slip[0])
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


def misread_number(text: str) -> tuple[int, int, str] | None:
    """Line, column and what is wrong with the first value of a file that YAML takes for another number than it says."""
    if not _MAY_BE_MISREAD.search(text):
        return None
    found = next((slip for node in _roots(text) for slip in _misread(node)), None)
    return None if found is None else (found[0].line + 1, found[0].column + 1, found[1])


# texts that people write, those of them that may have several lines, and what holds texts
_TEXTS = ("instruction", "description", "statement", "task_title", "title")
_LONG = ("instruction", "description", "statement")
_OF_TEXTS = ("values", "labels")
# what is cut off a text: a comment that is meant has a blank behind its sign, or several before it, unless it
# stands in a text of several lines
_CUT = re.compile(r" (#[^\s#][^\n]*)")
_IN_LAST_LINE = re.compile(r"[ \t]+(#[^\n]*)")
# so that few files have to be read for it
_MAY_BE_CUT = re.compile(rf"(?m)^[ \t-]*(?:{'|'.join(_LONG)})[ \t]*:[ \t]*(?:$|[^\s'\"|>])")
_BELOW = re.compile(r"(?:[ \t]*\n)+( *)(?P<cut>#[^\n]*)")


def cut_text(text: str) -> tuple[int, int, str] | None:
    """Line, column and what is wrong with the first text of a file that ends at a # for YAML, and for nobody else."""
    if not _CUT.search(text) and not ("#" in text and _MAY_BE_CUT.search(text)):
        return None
    cuts = [cut for key, value in _plain_texts(text) if (cut := _cut_off(text, key, value))]
    if not cuts:
        return None
    start, off = min(cuts)
    said = (
        f"{off.strip()[:40]!r} is a comment to YAML and no part of the text; put quotes around the text, or the "
        "comment above it"
    )
    return *place_behind(text[:start]), said


def _plain_texts(text: str) -> Iterator[tuple[yaml.ScalarNode, yaml.ScalarNode]]:
    """The texts of a file that stand without quotes, each with the key that it is under; in quotes and blocks a # is one."""
    for root in _roots(text):
        for mapping in _mappings(root):
            for key, value in mapping.value:
                held: list[Any] = [value] if key.value in _TEXTS else []
                if key.value in _OF_TEXTS and isinstance(value, yaml.SequenceNode):
                    held = value.value
                elif key.value in _OF_TEXTS and isinstance(value, yaml.MappingNode):
                    held = [inner for _, inner in value.value]
                for each in held:
                    is_text = isinstance(each, yaml.ScalarNode) and each.tag.endswith(":str")
                    if is_text and each.value and not each.style:
                        yield key, each


def _cut_off(text: str, key: yaml.ScalarNode, value: yaml.ScalarNode) -> tuple[int, str] | None:
    end = value.end_mark.index
    several = key.value in _LONG and "\n" in text[value.start_mark.index : end]
    found = _CUT.match(text, end)
    if found is None and several:
        found = _IN_LAST_LINE.match(text, end)
    if found is not None:
        return found.start(1), found[1]
    below = _BELOW.match(text, end) if several else None
    # as far in as a line of the text has to be
    if below is not None and len(below[1]) > key.start_mark.column:
        return below.start("cut"), below["cut"]
    return None


def place_behind(before: str) -> tuple[int, int]:
    """Line and column of what stands behind this beginning of a file."""
    return before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1


def _roots(text: str) -> list[yaml.Node]:
    """The one root of a file; none where it is empty, or no YAML, which is told elsewhere."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    return [node] if node else []


def _misread(node: yaml.Node) -> Iterator[tuple[yaml.Mark, str]]:
    for mapping in _mappings(node):
        for _, value in mapping.value:
            for scalar in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                number = isinstance(scalar, yaml.ScalarNode) and not scalar.style
                number = number and scalar.tag.endswith((":int", ":float"))
                if number and _MISREAD.fullmatch(scalar.value):
                    read, said = yaml.safe_load(scalar.value), scalar.value
                    meant = said.lstrip("0") if said.isdigit() else ""
                    either = f"{meant} or {read}" if meant and meant != str(read) else f"{read}"
                    yield (
                        scalar.start_mark,
                        f"found {said}, which YAML reads as the number {read}; a text is put in quotes, '{said}', and a number "
                        f"written {either}",
                    )


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
    keys = [key for node in _roots(text) for mapping in _mappings(node) for key, _ in mapping.value]
    for key in sorted(keys, key=lambda key: key.start_mark.line):
        kind = _READ_AS.get(key.tag.rpartition(":")[2])
        if kind is not None and not key.value:
            said = "expected a name as key, found none; a text that begins with ? or : stands in quotes"
            return key.start_mark.line + 1, key.start_mark.column + 1, said
        if kind is not None:
            said = f"expected a name as key, found {key.value}, which YAML reads as {kind}; put it in quotes: '{key.value}'"
            return key.start_mark.line + 1, key.start_mark.column + 1, said
    return None
