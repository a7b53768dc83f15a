"""Files in which git has left two versions that it could not merge."""

from __future__ import annotations

import re
from pathlib import Path

# in git's words of a folder that another user owns, where a container has mounted it
FOREIGN = "dubious ownership"
LEFT_TWO = "git has left two versions in it"
TAKE_ONE = "take out one of them and the lines <<<<<<<, ======= and >>>>>>> in an editor"
_MARK = re.compile(rb"^(<<<<<<<|>>>>>>>) ", re.MULTILINE)


def has_conflict(held: bytes | Path) -> bool:
    """Whether a file's content, or that of the file at a path, has git's marks of a conflict."""
    if isinstance(held, Path):
        held = held.read_bytes() if held.is_file() else b""
    return _MARK.search(held) is not None
