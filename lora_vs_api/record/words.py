"""The words of a text, also in scripts that write without blanks between them."""

from __future__ import annotations

import re

# Thai and Lao, Burmese, Khmer, kana, and Chinese characters
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")


def words(text: str) -> list[str]:
    """What stands between blanks; of a script without them each character, as Chinese evaluations count (CMRC 2018)."""
    return _WORD.findall(text)
