"""How long a thread that has nothing to do keeps its core busy.

Threads of OpenMP (torch's, llama.cpp's) spin before they sleep, GNU's by default some milliseconds.
Beside another busy process that crawls: whoever is waited for cannot run on a core that is spun on.
"""

from __future__ import annotations

from collections.abc import MutableMapping

# Costs nothing on a quiet machine. On two cores beside one busy process a training step takes 6.6 s
# instead of 10.3; with nothing beside it 3.1 either way.
SPIN_COUNT = "3000"


def spin_briefly(environ: MutableMapping[str, str]) -> None:
    """Let threads sleep after :data:`SPIN_COUNT` rounds, unless ``environ`` says how they wait.

    Has to come before torch is imported. A wait policy that is set stays in force: a count would
    take its place. Results are the same.
    """
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
