"""`search --on slurm` and `--on ray` on real ones: side by side, and no point twice."""

from __future__ import annotations

import subprocess
import sys

from tests.cluster.conftest import Project, environment_for, wait_for
from tests.cluster.raylets import private_ray
from tests.imports import ROOT
from tests.searching import BEST, POINTS, searchable

# less than this project asks for, as the tests' machines are small
SEARCH = (
    "nodes.lr_trial.cpus=1", "nodes.lr_trial.memory_gb=1", "--space", "grid", "-j", "2",
)  # fmt: skip


def searched(project: Project, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [*project.inside, sys.executable, "-m", "lora_vs_api", "search", *SEARCH, *arguments],
        cwd=project.folder, env=project.environment, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_search_on_slurm(slurm, folder):
    """Each trial a job; one that a killed head left is waited for, and its point comes from the run cache."""
    ran = searchable(folder, 40)
    project = Project(folder, environment_for(slurm.environment))
    head = subprocess.Popen(
        [sys.executable, "-m", "lora_vs_api", "search", *SEARCH, "--on", "slurm"],
        cwd=folder, env=project.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    wait_for(lambda: ran.is_file() and len(ran.read_text().splitlines()) == 2, 180)
    head.kill()
    head.wait()
    code, said = searched(project, "--on", "slurm")
    assert code == 0 and "of an earlier run is waited for" in said, said
    assert BEST in said and sorted(ran.read_text().splitlines()) == POINTS, said
    assert not slurm.jobs("pending,running")


def test_a_search_on_ray(folder):
    ran = searchable(folder)
    with private_ray(ROOT) as ray:
        project = Project(folder, {**ray.environment, "RAY_ADDRESS": ray.address}, ray.inside)
        code, said = searched(project, "--on", "ray")
    assert code == 0 and BEST in said, said
    assert sorted(ran.read_text().splitlines()) == POINTS


def test_a_machine_that_does_not_share_the_folder_is_refused(slurm, folder):
    ran = searchable(folder)
    project = Project(folder, environment_for(slurm.environment))
    code, said = searched(project, "--on", "slurm", "--slurm", "partition=blind")
    assert code == 1 and f"n3 does not see this folder: {folder} has to be the same" in said, said
    assert "Traceback" not in said and not ran.exists()
