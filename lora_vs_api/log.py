"""What the project tells on the terminal while it works."""

from __future__ import annotations

import codecs
import json
import sys

from lora_vs_api.shown import visible


def say(text: str) -> None:
    """Tell on stderr what the node is doing now."""
    print(visible(text), file=sys.stderr, flush=True)


def show(text: str = "") -> None:
    """Print on stdout what a command was asked for, texts and answers of others among it."""
    print(visible(text))


def show_everything() -> None:
    """Let every text be printed: what the terminal's encoding does not have is escaped as in JSON.

    So a record that is printed stays JSON, and nothing ends because of an é on an ASCII terminal.
    """
    codecs.register_error(_ESCAPE, _escaped)
    for stream in (sys.stdout, sys.stderr):
        # a stream that a test or a notebook puts there may have no such method
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_ESCAPE)


_ESCAPE = "lora_vs_api.json_escape"


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
