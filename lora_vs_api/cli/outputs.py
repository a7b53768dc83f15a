"""Files that a command is to write, looked at before it reads, asks or pays for long."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from lora_vs_api.errors import UserError


def check_outputs(
    outputs: Mapping[str, str | Path | None], inputs: Iterable[str | Path | None] = ()
) -> None:
    """Refuse what could not be written at the end, or would take the place of another file of the command.

    Args:
        outputs: the files by the option that names them; None is not asked for.
        inputs: files that the command reads.

    Raises:
        UserError: a folder, a device or a file that must not be written, or one file for two.
    """
    taken = {Path(path).resolve(): "is what is read" for path in inputs if path is not None}
    for option, name in outputs.items():
        if name is None:
            continue
        path = Path(name)
        if path.resolve() in taken:
            raise UserError(f"{option}: {path} {taken[path.resolve()]}; expected another file")
        taken[path.resolve()] = f"is what {option} writes"
        check_writable(path)


def check_writable(path: Path) -> None:
    """Raises a UserError where a file cannot be written; folders that are not there can be made."""
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if (there == path) == there.is_dir():
        kind = "a folder" if there == path else "a file"
        raise UserError(f"{path}: cannot be written: {there} is {kind}")
    # a file is moved to its place: what stands there would be gone
    if str(path) == "-" or (there == path and not there.is_file()):
        raise UserError(f"{path}: cannot be written: expected the path of a file")
    # a new file is moved to its place, so its folder has to let that be
    folder = there if there.is_dir() else there.absolute().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{path}: cannot be written: no permission for {folder}")
