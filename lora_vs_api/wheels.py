"""A wheel of a package index, downloaded and not installed; taken for its digest by whoever asked."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from lora_vs_api.tied import run_tied


class NoWheel(Exception):
    """pip did not bring the wheel; the reason in one line."""


def download_wheel(
    requirement: str,
    folder: Path,
    *,
    options: Sequence[str] = (),
    stdin: int | None = None,
    stdout: int | IO[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """The one wheel of ``requirement``, by pip: it knows the user's index, proxy and login.

    Nothing else is downloaded, and nothing of it is run. pip gets the whole environment: what logs a
    user in at an index may have any name there.

    Args:
        folder: an empty one, which the wheel is put into.
        options: of `pip download`, besides.
        stdin, stdout, environment: of pip, as ``subprocess.run`` has them.

    Raises:
        NoWheel: with the last line that pip said.
    """
    arguments = ["download", "--no-deps", "--only-binary=:all:", *options]
    done = run_tied(
        "pip",
        [*arguments, "--dest", str(folder), requirement],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise NoWheel(f"pip could not download {requirement}: {reason}")
    return wheels[0]
