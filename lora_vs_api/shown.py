"""Foreign text made fit to be seen, in a terminal, a log, the report or a figure; and how a number of things is written.

What a server, a model or a file says may hold characters that steer a terminal (escape sequences),
turn a line around (bidirectional overrides, https://trojansource.codes), hide text (Unicode's tags)
or cannot be written at all (lone surrogates). They are shown as JSON escapes them, so that JSON
that is made visible is still JSON, and of the same value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_COLOUR = re.compile(r"\x1b\[[\d;]*m")
# C0 and C1 controls but tab and line end, marks and overrides of direction, line separators,
# interlinear annotation, lone surrogates, tags; a carriage return alone writes over its line
UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
    r"\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]|\r(?!\n)"
)


# half a character, as a text has that was cut in the middle of an emoji: no file in UTF-8 can hold it
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


# what stands before the host in an address of a mirror: a name, a password
_LOGIN = re.compile(r"//[^/\s]*@")
_REQUEST = re.compile(r" \(Request ID: [^)]*\)")
MAX_REASON = 300  # characters


def hub_reason(error: Exception) -> str:
    """What the Hub's client says went wrong, on one line and without the login of a mirror (HF_ENDPOINT).

    What is missing, or who may have it, stands below the status, so more than the first line is taken.
    """
    said = _REQUEST.sub("", " ".join(str(error).split())) or type(error).__name__
    return _LOGIN.sub("//", said)[:MAX_REASON]


def visible(text: str) -> str:
    """``text`` with every character that acts instead of being seen as an escape such as \\u001b."""
    return UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], text)


def one_line(said: object) -> str:
    """What a program says, on one line and without the colours that it has for a terminal (DVC's links)."""
    return " ".join(_COLOUR.sub("", str(said)).split())


def count(number: int, noun: str, nouns: str | None = None) -> str:
    """``1 seed``, ``3 seeds``; ``nouns`` are the words after another number than 1, where they are not the plural."""
    return f"{number:,} {noun if number == 1 else nouns or plural(noun)}"


def in_a_row(names: Sequence[str], most: int) -> str:
    """``a, b and 3 more``: no more than ``most`` of the names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def in_quotes(text: str, most: int = 40) -> str:
    """A text as it stands in a message, cut where it is longer."""
    return repr(text) if len(text) <= most else f"{text[:most]!r}…"


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The one of ``known`` that ``name`` may have been meant to be, as a question; empty where none is like it.

    Args:
        cutoff: how like it has to be, 0..1.
    """
    near = get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f" (did you mean {near[0]}?)" if near else ""


def plain_number(value: float) -> str:
    """All digits of a number, a whole one without a point: 4000001, 0.5, 1e+300."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e16 else repr(value)


def plural(noun: str) -> str:
    """``seeds``, ``companies``, ``boxes``: a column's name may be any noun."""
    if noun.endswith("y") and noun[-2:-1] not in tuple("aeiou"):
        return f"{noun[:-1]}ies"
    return noun + ("es" if noun.endswith(("s", "x", "z", "ch", "sh")) else "s")
