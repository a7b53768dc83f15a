"""`run --on slurm` on a real Slurm: nothing runs twice, nothing is lost, nothing waits without saying why."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from lora_vs_api.orchestrate.jobs import kept_jobs
from tests.cluster.conftest import wait_for


def test_the_dag_comes_out_right(project):
    """Every node once, with queue and run as two numbers; then nothing is left to do.

    What starts together is one job array, what starts alone a job.
    """
    code, said = project.run("-j", "2")
    assert code == 0 and "3 of 3 done" in said, said
    assert project.is_right() and project.clean()
    assert "s in the queue" in said
    scripts = [path.read_text() for path in submissions(project)]
    assert sorted("#SBATCH --array=0-1%2\n" in script for script in scripts) == [False, True]
    assert [project.count(f"{name}.ended") for name in ("one", "two", "both")] == [1, 1, 1]
    code, said = project.run()
    assert code == 0 and "up to date" in said


def test_a_refused_job_is_one_nodes_fault(project):
    """More memory than any machine has: Slurm's own reason, and the others go on."""
    params = project.folder / "params.yaml"
    asked = yaml.safe_load(params.read_text())
    enough = params.read_text()
    asked["nodes"]["one"] = {"cpus": 1, "gpus": 0, "memory_gb": 500, "minutes": 5}
    params.write_text(yaml.safe_dump(asked))
    code, said = project.run()
    assert code == 1
    assert "error: one: Slurm refused the job: Memory specification can not be satisfied" in said
    assert "Requested node configuration is not available" in said
    assert "[1/3] two done" in said or "[2/3] two done" in said or "[3/3] two done" in said
    params.write_text(enough)
    assert project.goes_on() and project.count("two.ended") == 1


@pytest.mark.parametrize(
    ("partition", "reason"),
    [("nope", "invalid partition specified: nope"), ("closed", "Required partition not available")],
)
def test_a_refused_partition_is_said_in_slurms_words(project, partition, reason):
    code, said = project.run("--slurm", f"partition={partition}")
    assert code == 1 and f"error: one: Slurm refused the job: {reason}" in said, said
    assert "Traceback" not in said and "sbatch: error" not in said
    assert kept_jobs(project.folder) == []
    assert project.goes_on() and project.count("one.ended") == 1


def test_a_refusal_that_passes_is_asked_again(project):
    """A controller that does not answer once; the job goes on when it does."""
    code, said = project.run("one", PATH=with_sbatch(project, REFUSES_ONCE))
    assert code == 0 and "asked again: Socket timed out" in said, said
    assert project.count("one.ended") == 1


def test_a_job_that_is_cancelled_while_it_waits(project, slurm):
    """Why it waits is said, and that it was cancelled within half a minute."""
    head = project.head("--slurm", "partition=short", "one")
    wait_for(lambda: "waits: PartitionTimeLimit (more time than" in project.said)
    (job,) = slurm.jobs("pending")
    assert f"one: job {job} waits" in project.said
    slurm.run("scancel", job)
    assert head.wait(30) == 1
    assert f"error: one: cancelled (job {job}" in project.said
    assert project.goes_on() and project.count("one.ended") == 1


def test_nodes_share_a_gpu_by_shards(project, slurm):
    """A part of one is a whole one where nothing says how many shards it is; what takes none takes no shard."""
    params = project.folder / "params.yaml"
    asked = yaml.safe_load(params.read_text())
    asked["runtime"]["device"] = "cuda"
    asked["nodes"] = {
        "default": {"cpus": 1, "gpus": 0.5, "memory_gb": 1, "minutes": 5},
        "both": {"cpus": 1, "gpus": 1, "memory_gb": 1, "minutes": 5},
    }
    params.write_text(yaml.safe_dump(asked))
    code, said = project.run("-j", "2", "--slurm", "gres=shard:2")
    assert "a whole one" not in said
    assert code == 0 and project.is_right(), said
    asked = [line.split() for line in slurm.run("squeue", "-rht", "all", "-o", "%j %b").split("\n")]
    given = [gres for name, gres in filter(None, asked) if name.startswith(("nodes.", "both."))]
    assert given[-3:].count("gres:gpu:0,gres:shard:2") == 2 and given[-3:].count("gres:gpu:1") == 1


def test_one_task_of_an_array_is_cancelled(project, slurm):
    """The other goes on; the line and the next run are of the one."""
    project.write(one=60, two=8)
    head = project.head("-j", "2", "one", "two")
    wait_for(lambda: project.count("one.began") and project.count("two.began"))
    (job,) = [job.job_id for job in kept_jobs(project.folder) if job.address == "one"]
    assert "_" in job
    slurm.run("scancel", job)
    assert head.wait(60) == 1
    assert f"error: one: cancelled (job {job}" in project.said, project.said
    assert project.count("two.ended") == 1
    project.write()
    assert project.goes_on() and project.count("one.ended") == 1


def test_one_task_of_an_array_is_queued_again(project, slurm):
    """As at a preemption: under its id, while the other goes on."""
    project.write(one=5, two=5)
    head = project.head("-j", "2", "one", "two")
    wait_for(lambda: project.count("one.began") and project.count("two.began"))
    (job,) = [job.job_id for job in kept_jobs(project.folder) if job.address == "one"]
    slurm.run("scontrol", "requeue", job)
    assert head.wait(240) == 0, project.said
    assert f"one: job {job} was queued again" in project.said, project.said
    began, ended = (
        [project.count(f"{name}.{what}") for name in ("one", "two")] for what in ("began", "ended")
    )
    assert began == [2, 1] and ended == [1, 1]


def test_a_refused_array_goes_one_by_one(project, slurm):
    """A limit, or a site without arrays, holds for all of them at once and for none by itself."""
    code, said = project.run("-j", "2", PATH=with_sbatch(project, REFUSES_ARRAYS))
    assert code == 0 and project.is_right() and "efused" not in said, said
    assert len(submissions(project)) == 3 and kept_jobs(project.folder) == []
    assert [project.count(f"{name}.began") for name in ("one", "two")] == [1, 1]


def test_a_job_that_is_killed_hard(project, slurm):
    """kill -9 on the job's process: its node ends with it, the line says what and where to read on."""
    project.write(one=60)
    head = project.head("one")
    wait_for(lambda: project.count("one.began"))
    for pid in processes("submitit.core._submit", str(project.folder)):
        os.kill(pid, signal.SIGKILL)
    assert head.wait(60) == 1
    assert "error: one: killed by signal 9 (job " in project.said
    assert "_0_log.err: " in project.said
    project.write()
    assert project.goes_on()
    assert project.count("one.ended") == 1


def test_a_job_that_runs_out_of_time(project):
    """Past its limit, with the warning that submitit requeues at left out."""
    project.write(one=300)
    signalled = 'additional_parameters={"signal": "CONT@1"}'
    code, said = project.run("--slurm", "time=1", "--slurm", signalled, "one")
    assert code == 1 and "error: one: out of time: more minutes in `nodes`" in said, said
    assert "_0_log.err" in said
    project.write()
    assert project.goes_on() and project.count("one.ended") == 1


def test_a_machine_that_is_lost(project, slurm):
    """Slurm queues the job again, which is said; the node runs on another machine, one at a time."""
    project.write(one=20)
    head = project.head("one")
    wait_for(lambda: project.count("one.began"))
    (job,) = slurm.jobs("running")
    (node,) = slurm.run("squeue", "-h", "-j", job, "-o", "%N").split()
    slurm.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        assert head.wait(240) == 0
    finally:
        # it may have come back by itself
        with suppress(subprocess.CalledProcessError):
            slurm.run("scontrol", "update", f"nodename={node}", "state=resume")
    assert f"one: job {job} was queued again" in project.said, project.said
    assert project.count("one.ended") == 1 and project.count("one.began") == 2


def test_a_folder_that_a_machine_does_not_share(project):
    """n3 has an empty folder in its place: refused in one line."""
    code, said = project.run("--slurm", "partition=blind", "one")
    assert code == 1
    assert f"n3 does not see this folder: {project.folder} has to be the same" in said, said
    assert "Traceback" not in said
    assert project.goes_on() and project.count("one.ended") == 1


def test_a_clone_at_the_same_place_is_not_this_folder(project, slurm, tmp_path):
    """Its own disk has a clone there: nothing runs in it."""
    clone = shutil.copytree(project.folder, tmp_path / "clone")
    (clone / "logs" / "run" / "submitit").mkdir(parents=True)
    inside = ["nsenter", "-m", "-t", str(slurm.daemons["n3"].pid)]
    subprocess.run([*inside, "cp", "-r", str(clone), str(project.folder)], check=True)
    try:
        code, said = project.run("--slurm", "partition=blind", "one")
        left = subprocess.run([*inside, "ls", str(project.folder)], capture_output=True, text=True)
    finally:
        subprocess.run([*inside, "rm", "-r", str(project.folder)], check=True)
    assert code == 1 and "n3 does not see this folder" in said, said
    assert "one.began" not in left.stdout and "dvc.yaml" in left.stdout


def test_an_environment_that_is_not_passed_on(project):
    code, said = project.run("--slurm", 'additional_parameters={"export": "NONE"}', "one")
    assert code == 1 and "Could not figure out which environment" in said, said
    assert "error: one: the environment of this shell was not passed on to the job" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_head_that_is_ended_cancels_its_jobs(project, slurm, number):
    """Ctrl-C, what ends a service, and a terminal that is closed: alike, and all tasks of an array."""
    project.write(one=60, two=60)
    head = project.head("-j", "2")
    wait_for(lambda: project.count("one.began") and project.count("two.began"))
    head.send_signal(number)
    assert head.wait(60) == 128 + number
    assert "cancelled: job " in project.said
    wait_for(lambda: not slurm.jobs("pending,running,completing"), 60)
    assert not processes("sleep 60", str(project.folder))
    project.write()
    assert project.goes_on()
    assert project.count("one.ended") == 1


@pytest.mark.parametrize("moment", ["before sbatch", "after sbatch", "pending", "running", "ended"])
def test_a_head_that_is_killed(project, slurm, moment):
    """kill -9 at five moments: the next run waits for what runs, takes what has come, starts nothing twice."""
    project.write(one=8, two=8)
    more, options = {}, []
    if moment.endswith("sbatch"):
        script = DIES_BEFORE if moment == "before sbatch" else DIES_AFTER
        more = {"PATH": with_sbatch(project, script)}
    elif moment == "pending":
        options = ["--slurm", 'additional_parameters={"hold": true}']
    head = project.head("-j", "2", *options, **more)
    (project.folder.parent / f"{project.folder.name}.head").write_text(str(head.pid))
    if moment == "pending":
        wait_for(lambda: len([j for j in kept_jobs(project.folder) if j.job_id]) == 2)
    elif moment in ("running", "ended"):
        wait_for(lambda: project.count("one.began") and project.count("two.began"))
    if not moment.endswith("sbatch"):
        head.kill()
    assert head.wait(60) == -signal.SIGKILL
    jobs = slurm.jobs("pending,running")
    if moment == "pending":
        slurm.run("scontrol", "release", *jobs)
    if moment == "ended":
        wait_for(lambda: not slurm.jobs("pending,running,completing"))
    code, said = project.run("-j", "2")
    assert code == 0 and project.is_right() and project.clean(), said
    for name in ("one", "two"):
        assert (project.count(f"{name}.began"), project.count(f"{name}.ended")) == (1, 1), said
    if moment in ("pending", "running"):
        assert all(f"job {job} of an earlier run is waited for" in said for job in jobs), said
    if moment == "ended":
        assert "1 of 1 done" in said
    assert kept_jobs(project.folder) == []


def test_nothing_else_starts_what_a_dead_heads_job_runs(project, slurm):
    """`run` on this machine and `mend`, which `make run` begins with, name the job and end."""
    project.write(one=40)
    head = project.head("one")
    wait_for(lambda: project.count("one.began"))
    second = project.folder.parent / "second"
    with second.open("w") as said:
        code = subprocess.run(
            [sys.executable, "-m", "lora_vs_api", "run", "--on", "slurm", "one"],
            cwd=project.folder, env=project.environment, stdout=said, stderr=said,
        ).returncode  # fmt: skip
    assert (
        code == 1
        and f"another run is at work in this folder: PID {head.pid} on " in second.read_text()
    )
    head.kill()
    head.wait()
    (job,) = slurm.jobs("running")
    code, said = project.run("one", on="local")
    assert (
        code == 1 and "error: one: submitted to Slurm by an earlier run, and not at an end" in said
    )
    assert f"`scancel {job}` ends it" in said
    mend = subprocess.run(
        [sys.executable, "-m", "lora_vs_api", "mend"],
        cwd=project.folder, env=project.environment, capture_output=True, text=True,
    )  # fmt: skip
    assert mend.returncode == 1 and f"`scancel {job}` ends it" in mend.stderr
    assert project.count("one.began") == 1


REFUSES_ONCE = """
if [ -e "$0.once" ]; then exec {sbatch} "$@"; fi
touch "$0.once"; echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2
exit 1
"""
REFUSES_ARRAYS = """
if grep -q -- --array "$1"; then echo "sbatch: error: Batch job submission failed: Invalid job array specification" >&2; exit 1; fi
exec {sbatch} "$@"
"""
DIES_BEFORE = 'kill -9 "$(cat {folder}.head)"; exit 1'
DIES_AFTER = '{sbatch} "$@"; kill -9 "$(cat {folder}.head)"'


def submissions(project) -> list[Path]:
    """The scripts that sbatch was given."""
    return list(project.folder.glob("logs/run/submitit/*_submission.sh"))


def with_sbatch(project, script: str) -> str:
    """A PATH whose sbatch is a script."""
    bin = project.folder.parent / f"{project.folder.name}.bin"
    bin.mkdir()
    path = bin / "sbatch"
    real = shutil.which("sbatch", path=project.environment["PATH"])
    path.write_text("#!/bin/sh\n" + script.format(sbatch=real, folder=project.folder))
    path.chmod(0o755)
    return f"{bin}{os.pathsep}{project.environment['PATH']}"


def processes(command: str, folder: str) -> list[int]:
    """Those whose command line holds ``command``, in a folder (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            here = os.readlink(entry / "cwd") == folder
            # srun and the shell hold the command too
            if here and command in line and not line.startswith(("srun", "/bin/")):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
