"""Nodes that start together are one job array; each of its tasks is found, followed and cancelled by itself."""

from __future__ import annotations

import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lora_vs_api.orchestrate import slurm
from lora_vs_api.orchestrate.executors import Resources
from lora_vs_api.orchestrate.jobs import file_of, forget_job, keep_job, kept_jobs, new_array
from lora_vs_api.orchestrate.slurm import SlurmExecutor, living_jobs
from lora_vs_api.orchestrate.waves import Waves

NODES = ["train@0", "train@1"]
FAKES = {
    "srun": "",
    "sbatch": """
        if [ -e "$(dirname "$0")/refuses" ] && grep -q -- --array "$1"; then
            echo "sbatch: error: Batch job submission failed: Invalid job array specification" >&2; exit 1
        fi
        echo "Submitted batch job 17"
    """,
    "squeue": 'cat "$(dirname "$0")/queue"',
    "scancel": 'echo "$@" >> "$(dirname "$0")/cancelled"',
}


@pytest.fixture
def fakes(tmp_path, monkeypatch) -> Path:
    """A folder of stand-ins for Slurm's commands, first in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in FAKES.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    (folder / "queue").touch()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def executor(tmp_path, fakes):
    needs = dict.fromkeys([*NODES, "timed"], Resources(2, 1, 16, 240))
    made = SlurmExecutor(tmp_path, Path("logs"), 2, needs, frozenset({"timed"}), {})
    yield made
    made.close()


def script(root: Path) -> str:
    (path,) = root.glob("logs/submitit/*_submission.sh")
    return path.read_text()


def test_an_array_has_a_record_and_an_id_for_each_task(executor, tmp_path):
    """Written down before anybody waits for one; a head that dies finds each by its own."""
    found = executor._submit_array(NODES)
    assert {address: job.job_id for address, (job, _) in found.items()} == {
        "train@0": "17_0", "train@1": "17_1",
    }  # fmt: skip
    assert kept_jobs(tmp_path) == [job for job, _ in found.values()]
    assert "#SBATCH --array=0-1%2\n" in script(tmp_path)
    assert (tmp_path / "logs/submitit/17_1_submitted.pkl").is_file()
    first = found["train@0"][0]
    assert first.name == f"train.{first.token}" and f"--job-name={first.name}\n" in script(tmp_path)


def test_a_task_looks_for_its_own_mark(tmp_path, monkeypatch):
    """Another's record goes with that one's end, while this one may still wait."""
    monkeypatch.setattr(slurm, "SEEN_SECONDS", 0)
    jobs = new_array(NODES)
    for job in jobs:
        keep_job(tmp_path, job)
    forget_job(tmp_path, jobs[0])
    line = slurm._sees_folder(tmp_path, *jobs)
    codes = [
        subprocess.run(
            ["bash", "-c", line], env={**os.environ, "SLURM_ARRAY_TASK_ID": str(task)}
        ).returncode
        for task in (0, 1)
    ]
    assert codes == [slurm.UNSHARED, 0]


def test_a_refused_array_leaves_nothing_and_each_goes_by_itself(executor, fakes, tmp_path):
    (fakes / "refuses").touch()
    assert executor._submit_array(NODES) is None
    assert kept_jobs(tmp_path) == [] and executor._live == {}
    job, _ = executor._submit_once("train@0")
    assert (job.job_id, job.task) == ("17", None) and "--array" not in script(tmp_path)


def test_what_one_job_is_told_is_not_kept_for_the_next(executor):
    """A node that measures time has its machine to itself, and those after it share theirs."""
    executor._tell_submitit(slurm.new_job("timed"))
    assert executor._submitit._executor.parameters["exclusive"] is True
    executor._tell_submitit(slurm.new_job("train@0"))
    assert "exclusive" not in executor._submitit._executor.parameters


def test_each_task_of_a_dead_heads_array_is_judged_by_itself(tmp_path, fakes):
    """One has ended, one runs, one was submitted when the head died: it cannot find what to run."""
    jobs = new_array(["a", "b", "c"])
    for job in jobs:
        keep_job(tmp_path, job if job.address == "c" else job.known_as(f"17_{job.task}"))
    name = jobs[0].name
    (fakes / "queue").write_text(
        f"17_0|COMPLETED|{name}|None\n17_1|RUNNING|{name}|None\n17_2|PENDING|{name}|Resources\n"
        f"18|PENDING|{name}|None\n"
    )
    living = living_jobs(tmp_path)
    assert {address: job.job_id for address, job in living.items()} == {"b": "17_1"}
    assert [path.name for path in file_of(tmp_path, jobs[0]).parent.iterdir()] == ["b.json"]
    assert (fakes / "cancelled").read_text() == "17_2\n"


def test_what_starts_together_is_submitted_together():
    """Of each kind one submission; who comes alone goes alone."""
    asked: list[list[str]] = []

    def submit(addresses):
        asked.append(sorted(addresses))
        return {address: address.upper() for address in addresses}

    waves, never = Waves(submit, 0.3), threading.Event()
    with ThreadPoolExecutor(5) as pool:
        told = list(pool.map(lambda a: waves.join(a, a[0], never), ["a1", "a2", "b1", "a3", "b2"]))
    assert told == ["A1", "A2", "B1", "A3", "B2"]
    assert sorted(asked) == [["a1", "a2", "a3"], ["b1", "b2"]]
    assert waves.join("c1", "c", never) is None and len(asked) == 2


def test_a_submission_that_breaks_is_told_to_all_of_its_wave():
    """One that is never told would be waited for without end."""

    def submit(_):
        raise OSError("disk full")

    waves, never = Waves(submit, 0.2), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(waves.join, address, "kind", never) for address in "ab"]
        assert [str(one.exception(5)) for one in both] == ["disk full"] * 2
