"""What the project tells on the terminal while it works."""

from __future__ import annotations

import sys

from lora_vs_api.shown import visible


def say(text: str) -> None:
    """Tell on stderr what the node is doing now."""
    print(visible(text), file=sys.stderr, flush=True)


def show(text: str = "") -> None:
    """Print on stdout what a command was asked for, texts and answers of others among it."""
    print(visible(text))
