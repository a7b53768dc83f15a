"""Names of columns as an option gives them: with commas between them, one that holds a comma in quotes."""

from __future__ import annotations

import csv
from unicodedata import normalize


def names_given(given: str | None) -> list[str]:
    """The names of ``given``, each without blanks around it and in one Unicode form; none of an empty text."""
    if not given:
        return []
    [found] = csv.reader([" ".join(given.splitlines())], skipinitialspace=True)
    return [normalize("NFC", name.strip()) for name in found if name.strip()]
