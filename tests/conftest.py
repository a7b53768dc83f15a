"""How the tests run side by side: long files first, the pipeline's first run shared, nobody spins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.clones import Clone, baseline

# two test processes, each with as many threads as there are cores: those that wait must not spin on
# the cores that the others compute on. Read when torch is imported, and by what the tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# of two workers, neither is left alone with the longest at the end; between the first and the
# second that begin with the pipeline's first run there is something else to do meanwhile
FIRST = ("test_pipeline.py", "test_search.py", "test_pipeline_faults.py", "test_own_task.py")


def pytest_collection_modifyitems(items):
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> tuple[int, bool]:
        name = item.path.name
        return FIRST.index(name) if name in FIRST else len(FIRST), item.path not in slow

    items.sort(key=place)


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory) -> Clone:
    """The baseline, to be copied."""
    folder: Path = tmp_path_factory.getbasetemp()
    # each worker has a folder of its own in a common one
    return baseline(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)


@pytest.fixture
def clone(reproduced, tmp_path) -> Clone:
    """The baseline in a copy of the test's own."""
    return reproduced.copy(tmp_path / "project")
