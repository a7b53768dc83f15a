"""A Python module run as a program in a process that ends when this one does, whatever ended it.

The process is this file again, and so imports nothing of the project. It is given a pipe of which
the starter keeps the other end; the kernel closes that with the starter, also after SIGKILL.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

PATIENCE = 5.0  # seconds between asking the program to end and ending it


def run_tied(
    module: str, arguments: Sequence[str], **options: Any
) -> subprocess.CompletedProcess[Any]:
    """``python -m module arguments``, as ``subprocess.run`` with ``options`` runs it."""
    watched, kept = os.pipe()
    # -P: a folder is no place to look for modules because this file or the caller is in it
    command = [sys.executable, "-P", __file__, str(watched), module, *arguments]
    try:
        return subprocess.run(command, pass_fds=(watched,), **options)
    finally:
        os.close(kept)
        os.close(watched)


def main() -> None:
    pipe, module, *arguments = sys.argv[1:]
    # before anything slow: a starter that dies meanwhile must not leave this process behind
    threading.Thread(target=_end_with_starter, args=(int(pipe),), daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_starter(pipe: int) -> None:
    while os.read(pipe, 1024):
        pass
    # as Ctrl-C, so that the program takes its temporary files away; the signal goes to the thread
    # that may be waiting in a system call
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    threading.Event().wait(PATIENCE)
    os._exit(1)


if __name__ == "__main__":
    main()
