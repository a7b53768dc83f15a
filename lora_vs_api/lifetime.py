"""A node ends in order when it is told to, and does not outlive the dvc that started it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

LOOK_SECONDS = 1.0
# between telling the node to end and ending it: longer than it waits for its server to end
PATIENCE = 20.0
# started by `dvc` a shell runs the node; some put themselves in its place and others wait for it
SHELLS = ("ash", "bash", "csh", "dash", "fish", "ksh", "sh", "tcsh", "zsh")


class Ending:
    """How this process is being ended: by Ctrl-C, unless a signal that was handled says otherwise."""

    def __init__(self) -> None:
        self.signal = signal.SIGINT

    @property
    def exit_code(self) -> int:
        """As a shell gives it for a program that a signal ended."""
        return 128 + self.signal

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Do what Ctrl-C does now, be it a KeyboardInterrupt or what asyncio puts in its place."""
        self.signal = signal.Signals(number)
        interrupted = signal.getsignal(signal.SIGINT)
        # in the background of a script Ctrl-C is ignored; what asks this process to end is not
        if callable(interrupted):
            interrupted(signal.SIGINT, frame)
        else:
            raise KeyboardInterrupt


@contextmanager
def ended_like_ctrl_c() -> Iterator[Ending]:
    """While the block runs, SIGTERM and SIGHUP end this process as Ctrl-C does.

    By themselves they would end it between two instructions: no temporary file would be taken away
    and no program that it waits for ended. What `nohup` has SIGHUP ignored for stays ignored.
    """
    ending, before = Ending(), {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, ending.handle)
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_dvc() -> None:
    """End this process within seconds when the dvc that started it has ended.

    Whatever ended that: else a node of a killed run would go on, ask and pay, beside the next one.
    A node that was started by hand lives as long as it likes.
    """
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_end_when, args=(starter_has_ended,), daemon=True).start()


def starter_has_ended() -> bool:
    """Whether what started this process has ended, or the shell between the two has lost it."""
    return os.getppid() != STARTER or (
        # a look that failed says nothing
        ABOVE_SHELL is not None and _parent(STARTER) not in (ABOVE_SHELL, None)
    )


def _end_when(has_ended: Callable[[], bool]) -> None:
    never = threading.Event()
    while not has_ended():
        never.wait(LOOK_SECONDS)
    # to the main thread, which may be waiting in a system call
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    never.wait(PATIENCE)
    os._exit(128 + signal.SIGTERM)


def _status(pid: int) -> tuple[str, int] | None:
    """A process's name and its parent; None where the system does not show them in /proc."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # the name is in parentheses, and may hold some itself
    name, rest = status.split("(", 1)[1].rsplit(")", 1)
    return name, int(rest.split()[1])


def _name(pid: int) -> str | None:
    status = _status(pid)
    return status[0] if status else None


def _parent(pid: int) -> int | None:
    status = _status(pid)
    return status[1] if status else None


# Both noted when this module is imported, which stages/__init__.py does first: a dvc that ends while
# the node imports its libraries has to be missed too, and by then the shell has another parent.
STARTER = os.getppid()
ABOVE_SHELL = _parent(STARTER) if _name(STARTER) in SHELLS else None
