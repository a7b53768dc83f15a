"""Texts that pass through YAML, Hydra and OmegaConf and come out as they went in.

OmegaConf takes ``${`` for the start of a reference, unless a backslash stands before it, and DVC lets
it look twice: when it composes conf/, and when it writes what it has resolved. So a ``${`` in a task's
config is escaped twice (:func:`yaml_text`), stands in params.yaml escaped once, and is itself again
once that is read (:func:`as_meant`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from unicodedata import normalize

# never misread without quotes: a word that is no number, date, boolean or null
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_][A-Za-z0-9_./-]*)*")
_MISREAD = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"])
# what YAML would refuse, or turn into another line end
_UNKEPT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def can_be_kept(text: str) -> bool:
    """Whether a config can hold ``text``: no control character, and not Hydra's ``???``."""
    return not _UNKEPT.search(text) and text != "???"


def is_plain_word(name: str) -> bool:
    """Whether ``name`` is one word that a shell, Hydra and YAML take for nothing else."""
    return bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)) and name.lower() not in _MISREAD


def yaml_text(value: Any) -> str:
    """``value`` as YAML on one line of a file in conf/, which composes to that very value.

    Texts are quoted unless they are plain words, and keys as texts are.

    Args:
        value: None, a boolean, a number, a text that :func:`can_be_kept`, or a list or mapping of such.
    """
    if isinstance(value, Mapping):
        pairs = (f"{_quoted(str(key))}: {yaml_text(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(yaml_text, value)) + "]"
    if isinstance(value, str):
        return _quoted(_escaped(_escaped(value)))
    return json.dumps(value)


def key_text(key: str) -> str:
    """A key as YAML, to stand before a colon; a ``${`` in it is no reference."""
    return _quoted(key)


def shown(text: str) -> str:
    """``text`` on one line of a comment, what YAML would refuse even there escaped."""
    return _UNKEPT.sub(lambda match: repr(match[0])[1:-1], " ".join(text.split()))


def _quoted(text: str) -> str:
    if _WORD.fullmatch(text) and text.lower() not in _MISREAD:
        return text
    if "\n" in text or "\t" in text:
        # JSON's quotes are YAML's
        return json.dumps(text, ensure_ascii=False)
    return "'" + text.replace("'", "''") + "'"


def _escaped(text: str) -> str:
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def _unescaped(text: str) -> str:
    return re.sub(r"(\\+)\$\{", lambda match: match[1][: len(match[1]) // 2] + "${", text)


def as_meant(raw: Any) -> Any:
    """What params.yaml holds, its texts unescaped, and names and labels of the task in NFC.

    In that form names of columns and keys are read from the data (:mod:`lora_vs_api.data.tables`).
    """
    raw = _mapped(raw, _unescaped)
    if not isinstance(raw, dict):
        return raw
    found = dict(raw)
    for section in ("task", "split", "contamination"):
        if section in found:
            found[section] = _mapped(found[section], _composed, keys=True)
    data = found.get("data")
    if isinstance(data, dict):
        # a path is the bytes that the file is called by
        found["data"] = {
            key: value if key == "path" else _mapped(value, _composed)
            for key, value in data.items()
        }
    return found


def _composed(text: str) -> str:
    return normalize("NFC", text)


def _mapped(value: Any, change: Callable[[str], str], keys: bool = False) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {
            (change(key) if keys and isinstance(key, str) else key): _mapped(item, change, keys)
            for key, item in value.items()
        }
    return [_mapped(item, change, keys) for item in value] if isinstance(value, list) else value
