"""What the machine says of itself, for what was measured on it; waits for no torch."""

from __future__ import annotations

import platform
import sys
from pathlib import Path


def cpu_name() -> str:
    """The processor's own name for itself, the architecture where it has none."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def peak_memory_bytes() -> int:
    """The most memory that this process has held at a time, resident, libraries included."""
    import resource

    try:
        # Linux counts in getrusage what the process was before it became this program
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return _bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def peak_child_memory_bytes() -> int | None:
    """As :func:`peak_memory_bytes`, of the largest process that this one has started and seen end.

    Until it becomes another program, a started process shares this one's memory and is counted with
    it. So a peak no higher than this one's own may be no child's at all: None.
    """
    import resource

    found = _bytes(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    return found if found > peak_memory_bytes() else None


def _bytes(maxrss: int) -> int:
    # macOS counts bytes, everybody else kilobytes
    return maxrss if sys.platform == "darwin" else 1024 * maxrss
