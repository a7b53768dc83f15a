"""How the tests run side by side: files with slow tests first, and nobody spins while waiting."""

from __future__ import annotations

import os

# two test processes, each with as many threads as there are cores: those that wait must not spin on
# the cores that the others compute on. Read when torch is imported, and by what the tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_collection_modifyitems(items):
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    # of two workers, neither is left alone with the longest at the end; the whole pipeline takes
    # longer than all others
    items.sort(key=lambda item: (item.path.name != "test_pipeline.py", item.path not in slow))
