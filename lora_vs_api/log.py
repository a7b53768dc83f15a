"""What the project tells on the terminal while it works."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Tell on stderr what the node is doing now."""
    print(text, file=sys.stderr, flush=True)
