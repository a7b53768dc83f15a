"""What stands on everything that shows the results of a try."""

from __future__ import annotations

# the profiles that show whether things work and decide nothing
TRIES = ("quick",)
STAMP = "A try, not an answer"


def stamp_of(profile: str) -> str | None:
    """The stamp of a run under ``profile``, to begin a line with; None of a whole run."""
    return STAMP if profile in TRIES else None
