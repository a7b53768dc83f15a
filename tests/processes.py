"""Processes that a test kills: forked off one that has imported what they need, so they start at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_SERVER = multiprocessing.get_context("forkserver")
# once for a test process; openai takes half a second of each child's time otherwise
_SERVER.set_forkserver_preload(["pytest", "openai.resources.responses", "openai.resources.chat"])


def start(function: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """Run ``function`` of a test module in a process of its own, which `os.kill` may end."""
    process = _SERVER.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def exit_code(process: BaseProcess, seconds: float = 60) -> int | None:
    """Wait for the end: 0, 1 after an exception, or minus the signal that ended it."""
    process.join(seconds)
    return process.exitcode


def descendants(pid: int) -> list[int]:
    """Every process that ``pid`` started, and those that they did (Linux)."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found


def is_running(pid: int) -> bool:
    """Whether the process is there and has not ended; one that nobody has waited for yet has (Linux)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return status.rsplit(")", 1)[1].split()[0] not in "ZX"
