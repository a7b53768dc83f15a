"""Texts that differ by case alone."""

from __future__ import annotations

from unicodedata import normalize


def caseless(text: str) -> str:
    """``text`` so that two which differ by case alone are equal (Unicode's caseless matching), in NFC.

    Turkish has an i with and one without a dot, in both cases, and folding keeps İ and ı apart from I and i:
    which language a text is in nobody says, so all four are one letter here.
    """
    folded = normalize("NFC", text).casefold().replace("i\u0307", "i").replace("ı", "i")
    return normalize("NFC", folded)
