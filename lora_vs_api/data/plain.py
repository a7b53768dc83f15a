"""When two texts are the same one."""

from __future__ import annotations

from unicodedata import normalize


def plain(text: str) -> str:
    """A text by which it is known again, white space and Unicode form aside."""
    return normalize("NFC", " ".join(text.split()))
