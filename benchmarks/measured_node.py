"""Stands in for ``python`` while DVC runs: the node as ever, and a line on what it took.

``benchmarks.pipeline`` puts a ``python`` on PATH that runs this file, with the real interpreter and
the node's arguments after it. It imports nothing but the standard library and psutil, so that it
costs a node some hundredths of a second.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

LOG, SPAWNED = "BENCHMARK_LOG", "BENCHMARK_SPAWNED"
POLL_SECONDS = 0.25
KIB, MIB = 1024, 1024 * 1024
IMPORTS = Path(__file__).with_name("timed_imports")


def measure(command: list[str], log: Path) -> int:
    """Run ``command``, append its seconds and peak MiB to ``log``; its exit status.

    The peak is the larger of two figures: what the kernel kept of the largest process (exact), and
    the sum over the node and its descendants, such as the server of an API condition, looked at
    four times a second (pages that two share count twice, a short peak may be missed).
    """
    started, ended, looks = time.monotonic(), threading.Event(), [0]
    path = os.pathsep.join(filter(None, [str(IMPORTS), os.environ.get("PYTHONPATH")]))
    measured = {LOG: str(log), SPAWNED: repr(started), "PYTHONPATH": path}
    child = subprocess.Popen(command, env={**os.environ, **measured})

    def look() -> None:
        while not ended.wait(POLL_SECONDS):
            looks.append(_resident(child.pid))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    _, status, usage = os.wait4(child.pid, 0)
    taken = time.monotonic() - started
    ended.set()
    peak = max(usage.ru_maxrss * KIB, max(looks)) / MIB
    with log.open("a") as stream:
        line = {"command": command[1:], "seconds": taken, "peak": peak}
        stream.write(json.dumps(line) + "\n")
    code = os.waitstatus_to_exitcode(status)
    # as a shell says that a signal ended it
    return code if code >= 0 else 128 - code


def _resident(pid: int) -> int:
    """Bytes in memory of a process and its descendants together."""
    total = 0
    try:
        family = psutil.Process(pid)
        family = [family, *family.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in family:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


if __name__ == "__main__":
    sys.exit(measure(sys.argv[1:], Path(os.environ[LOG])))
