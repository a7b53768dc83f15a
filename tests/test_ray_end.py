"""How `run --on ray` ends when the head is dead, without Ray itself."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from lora_vs_api.orchestrate import ray_cluster


@pytest.mark.parametrize(
    ("told", "code"), [([None], 0), ([None, "exit code 1"], 1), (["the head is dead"], 1), ([], 0)]
)
def test_a_node_that_failed_before_its_head_died_fails_the_run(tmp_path, monkeypatch, told, code):
    """Ended past Python's own exit, whose code would be lost: it is 0 only where no node failed."""
    executor = ray_cluster.RayExecutor.__new__(ray_cluster.RayExecutor)
    executor._closed, executor._lost = threading.Event(), "the head is dead"
    executor._marker, executor._told = tmp_path / "marker", {}
    for number, problem in enumerate(told):
        executor._told[str(number)] = Future()
        executor._told[str(number)].set_result(problem)
    executor._told["running"] = Future()
    registered: list[tuple[object, ...]] = []
    monkeypatch.setattr(ray_cluster.atexit, "register", lambda *given: registered.append(given))
    executor.close()
    assert registered == [(ray_cluster._leave, code)]
