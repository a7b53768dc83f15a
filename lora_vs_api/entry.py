"""How a stage module runs: checked params in, one clear line and exit code 1 on a user's error."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from lora_vs_api import STARTED
from lora_vs_api.durations import note_duration
from lora_vs_api.errors import UserError
from lora_vs_api.files import DISK_FULL
from lora_vs_api.lifetime import end_with_dvc, ended_like_ctrl_c
from lora_vs_api.log import show_everything
from lora_vs_api.shown import visible

if TYPE_CHECKING:
    from lora_vs_api.config.sections import Params


class Idle(Enum):
    """What a stage gives that had nothing to do: its time says nothing of the next run's."""

    IDLE = "idle"


IDLE = Idle.IDLE

UNWRITABLE = (*DISK_FULL, errno.EROFS, errno.EACCES, errno.EPERM)


def run_stage(main: Callable[[Params], Idle | None], *, needs_engine: bool = False) -> None:
    """Run ``main`` on the checked params; a UserError becomes one line on stderr and exit code 1.

    So does a disk that is full or must not be written. The node ends with the dvc that started it. How long
    it took is noted, unless ``main`` gives :data:`IDLE`. With ``needs_engine``, that what is to serve
    the fine-tune is there is seen first.
    """
    end_with_dvc()
    # imported here: help and completion of the command line do not wait for it
    from lora_vs_api.config.engines import check_engine
    from lora_vs_api.config.load import load_params

    idle = False

    def checked() -> None:
        nonlocal idle
        # a node that has no item imports no argument() either
        if sys.argv[1:] and "argument" not in main.__globals__:
            given = " ".join(sys.argv[1:])
            raise UserError(
                f"{sys.argv[0]}: takes no argument, found {given!r}; `lora-vs-api params KEY=VALUE` changes settings"
            )
        try:
            params = load_params()
            if needs_engine:
                check_engine(params)
            idle = main(params) is IDLE
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            where = error.filename or "an output of this node"
            what = "cannot be written"
            if error.errno in DISK_FULL:
                what = "disk full"
            elif Path(where).exists() and not os.access(where, os.R_OK):
                what = "cannot be read"
            raise UserError(f"{where}: {what} ({error.strerror})") from None

    run_command(checked)
    # one that failed has ended above: how long it took to fail says nothing
    if not idle:
        note_duration(time.monotonic() - STARTED)


def run_command(command: Callable[[], None]) -> None:
    """Run ``command``; see :func:`run_stage`. SIGTERM and SIGHUP end it in order, as Ctrl-C does."""
    # libraries must not look for a hub when everything a node reads is on disk
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    show_everything()
    with ended_like_ctrl_c() as ending:
        try:
            command()
        except UserError as error:
            print(f"error: {visible(str(error))}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            said = "interrupted: nothing half-written; `dvc repro` goes on from here"
            print(said, file=sys.stderr)
            sys.exit(ending.exit_code)


def argument(name: str, expected: str, fits: Callable[[str], object] = bool) -> str:
    """The stage's one command-line argument (the item of its matrix in dvc.yaml).

    Raises:
        UserError: there is another number of them, or it does not fit.
    """
    given = sys.argv[1:]
    if len(given) != 1 or not fits(given[0]):
        found = " ".join(map(repr, given)) or "none"
        raise UserError(f"{sys.argv[0]}: expected one argument, {name} ({expected}), found {found}")
    return given[0]
