"""What is compared of a text and of an answer: words, and the label of each field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import parse_record

# Chinese and Japanese are written without spaces: there each character is a word
_WORD = re.compile(r"[぀-ヿ㐀-鿿]|[^\W_぀-ヿ㐀-鿿]+")
# an integer field of so many values is a scale, each value a label
MAX_SCALE = 20
NO_RECORD, EMPTY, FILLED, OTHER = "(no record)", "(empty)", "(filled)", "(other)"


def words(text: str) -> list[str]:
    """In lower case; of numbers, which are ever new, only how many digits they have."""
    return [re.sub(r"\d", "0", word) for word in _WORD.findall(normalize("NFC", text).casefold())]


def vocabulary(texts: Iterable[str]) -> set[str]:
    """All words of the texts."""
    return {word for text in texts for word in words(text)}


def unknown_shares(texts: Sequence[str], known: set[str]) -> NDArray[np.float64]:
    """The share of each text's words that are not ``known``; 0 of a text without a word."""
    found = [words(text) for text in texts]
    return np.array([sum(w not in known for w in each) / max(1, len(each)) for each in found])


def label_fields(fields: Sequence[Field]) -> dict[str, Field]:
    """The fields whose answers are a few labels, by name; of others whether they are filled, where
    they need not be."""
    return {
        field.name: field
        for field in fields
        if _has_labels(field) or field.may_be_empty or field.type == "list"
    }


def labels(outputs: Sequence[str], field: Field) -> list[str]:
    """The label of each answer in a field of :func:`label_fields`."""
    return [_label(parse_record(output), field) for output in outputs]


def _has_labels(field: Field) -> bool:
    if field.type in ("enum", "boolean"):
        return True
    low, high = field.minimum, field.maximum
    return (
        field.type == "integer" and low is not None and high is not None and high - low < MAX_SCALE
    )


def _label(record: Mapping[str, Any] | None, field: Field) -> str:
    if record is None:
        return NO_RECORD
    value = record.get(field.name)
    if value == [] or not field.holds(value):
        return EMPTY
    if not _has_labels(field):
        return FILLED
    if field.type == "enum":
        return field.label(value) or OTHER
    return str(value).lower() if field.has_type(value) else OTHER
