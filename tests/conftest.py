"""Files with slow tests first: of two workers, neither is left alone with the longest at the end."""

from __future__ import annotations


def pytest_collection_modifyitems(items):
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    # the whole pipeline takes longer than all others
    items.sort(key=lambda item: (item.path.name != "test_pipeline.py", item.path not in slow))
