"""Processes that a test kills: forked off one that has imported what they need, so they start at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
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
