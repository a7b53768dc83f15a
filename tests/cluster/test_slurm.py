"""`run --on slurm` on a real Slurm: nothing runs twice, nothing is lost, nothing waits without saying why."""

from __future__ import annotations

import signal

from tests.cluster.conftest import wait_for


def test_the_dag_comes_out_right(project):
    """Every node once, with queue and run as two numbers; then nothing is left to do."""
    code, said = project.run("-j", "2")
    assert code == 0 and "3 of 3 done" in said, said
    assert project.is_right() and project.clean()
    assert "s in the queue" in said
    assert [project.count(f"{name}.ended") for name in ("one", "two", "both")] == [1, 1, 1]
    code, said = project.run()
    assert code == 0 and "up to date" in said
