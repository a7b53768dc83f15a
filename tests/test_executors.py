"""Ray and Slurm as executors: the same results, lost workers made good, nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate.executors import Resources
from lora_vs_api.orchestrate.jobs import new_job
from lora_vs_api.orchestrate.pipeline import locked_nodes
from lora_vs_api.orchestrate.scheduler import Node, run_nodes
from lora_vs_api.orchestrate.slurm import SlurmExecutor
from tests.imports import ROOT
from tests.warm import python

PIPELINE = """
stages:
  one:
    cmd: echo 1 > one.txt
    outs: [one.txt]
  two:
    cmd: echo 2 > two.txt
    outs: [two.txt]
  both:
    cmd: cat one.txt two.txt > both.txt
    deps: [one.txt, two.txt]
    outs: [both.txt]
  threads:
    cmd: echo "threads=$OMP_NUM_THREADS" > threads.txt
    outs: [threads.txt]
  fragile:
    cmd: if [ -e begun ]; then echo ok > fragile.txt; else touch begun; sleep 300; fi
    outs: [fragile.txt]
"""
SMALL = Resources(cpus=1, gpus=0, memory_gb=1, minutes=5)


@pytest.fixture()
def project(repository) -> Path:
    (repository / "dvc.yaml").write_text(PIPELINE)
    shutil.copy(ROOT / "params.yaml", repository)
    return repository


def started(project: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    environment = dict(os.environ, PYTHONPATH=str(ROOT), DVC_NO_ANALYTICS="1", **more)
    environment.pop("OMP_NUM_THREADS", None)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return subprocess.Popen(
        [sys.executable, "-m", "lora_vs_api", "run", *arguments],
        cwd=project, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=180)[1]


def working_in(project: Path) -> dict[int, str]:
    """Processes with the project as their folder: pid → command line."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") == str(project):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(entry.name)] = line
        except OSError:
            continue
    return found


def wait_for(check, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert check()


@pytest.mark.slow
def test_ray_runs_the_dag(project):
    """The same files and lock as `dvc repro`; Ray's own number of threads reaches no node."""
    process = started(project, "--on", "ray", "-j", "2", "both", "threads")
    said = ended(process)
    assert process.returncode == 0 and "4 of 4 done" in said, said
    assert (project / "both.txt").read_text() == "1\n2\n"
    assert (project / "threads.txt").read_text() == "threads=\n"
    assert locked_nodes(project) == ["one", "two", "both", "threads"]
    lock = (project / "dvc.lock").read_bytes()
    # one by one, DVC itself has nothing left to do and nothing to write
    subprocess.run([python(), "-m", "dvc", "repro", "both", "threads"], cwd=project, check=True)
    assert (project / "dvc.lock").read_bytes() == lock


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ray_starts_a_node_again_whose_worker_was_killed(project):
    """A preempted machine: the node ends with its worker, and runs again on another."""
    process = started(project, "--on", "ray", "fragile")
    wait_for((project / "begun").exists)
    guards = [
        p for p, line in working_in(project).items() if "lora_vs_api.orchestrate.guard" in line
    ]
    status = Path(f"/proc/{guards[0]}/stat").read_text()
    os.kill(int(status.rsplit(")", 1)[1].split()[1]), signal.SIGKILL)
    said = ended(process)
    assert process.returncode == 0, said
    assert (project / "fragile.txt").read_text() == "ok\n"
    assert locked_nodes(project) == ["fragile"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_head_leaves_nothing_and_the_next_run_goes_on(project):
    """kill -9 on the run itself: Ray and the node end with it; run again, the rest is done."""
    process = started(project, "--on", "ray", "fragile")
    wait_for((project / "begun").exists)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    # Ray's own agents take their time; what counts is that nothing of the node is left
    wait_for(lambda: all(line.startswith("ray::") for line in working_in(project).values()))
    process = started(project, "--on", "ray", "fragile")
    assert "1 of 1 done" in ended(process) and process.returncode == 0


@pytest.mark.slow
def test_no_cluster_there_is_one_line(project):
    """A wrong RAY_ADDRESS, not a stack of Ray's."""
    process = started(project, "--on", "ray", "one", RAY_ADDRESS="127.0.0.1:1")
    said = ended(process)
    assert process.returncode == 1
    assert "error: RAY_ADDRESS: 127.0.0.1:1: " in said and "Traceback" not in said


@pytest.mark.slow
def test_submitit_runs_the_dag(project, monkeypatch):
    """Its local executor stands in for Slurm: the same jobs, as processes of this machine."""
    environment = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", environment)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(project)
    nodes = [Node("one"), Node("two"), Node("both", frozenset({"one", "two"})), Node("lost")]
    executor = SlurmExecutor(
        project, Path("logs"), 2, {n.address: SMALL for n in nodes}, frozenset(), {}, "local"
    )
    try:
        outcome = run_nodes(nodes, executor.start, 2)
    finally:
        executor.close()
    assert sorted(outcome.done) == ["both", "one", "two"]
    # a node that DVC does not know fails with DVC's words
    assert "lost" in outcome.failed["lost"]
    assert (project / "both.txt").read_text() == "1\n2\n"


def test_without_slurm_there_is_one_line(project, monkeypatch):
    """On a machine without srun."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="^--on slurm: "):
        SlurmExecutor(project, Path("logs"), 1, {}, frozenset(), {})


def test_slurm_is_told_what_the_config_says(project, monkeypatch):
    """Resources by node, a machine of its own for what is timed, the user's options after ours."""
    import submitit

    class Spy:
        def __init__(self, folder, cluster):
            assert cluster == "slurm"
            self._executor = type("Slurm", (), {"_make_submission_command": print})()

    monkeypatch.setattr(submitit, "AutoExecutor", Spy)
    needs = {
        "train@0": Resources(cpus=2, gpus=1, memory_gb=16, minutes=240),
        "evaluate_lora@0": SMALL,
    }
    executor = SlurmExecutor(
        project, Path("logs"), 2, needs, frozenset({"evaluate_lora@0"}),
        {"partition": "gpu", "setup": ["module load cuda"]},
    )  # fmt: skip
    executor.close()
    job = new_job("train@0")
    told = executor._parameters(job)
    shared, *setup = told.pop("slurm_setup")
    # the name finds the job again, and the token in its file proves the folder
    assert (
        job.name == f"train-0.{job.token}" and job.token in shared and setup == ["module load cuda"]
    )
    assert told == {
        "name": job.name, "timeout_min": 240, "mem_gb": 16, "cpus_per_task": 2,
        "gpus_per_node": 1, "slurm_partition": "gpu",
    }  # fmt: skip
    assert executor._parameters(new_job("evaluate_lora@0"))["slurm_exclusive"] is True


def test_slurm_gives_parts_of_a_gpu_as_shards_alone(project, monkeypatch, capsys):
    """A whole GPU where nothing says how many; a node with a whole one or none takes no shard."""
    import submitit

    class Spy:
        def __init__(self, folder, cluster):
            self._executor = type("Slurm", (), {"_make_submission_command": print})()

    monkeypatch.setattr(submitit, "AutoExecutor", Spy)
    needs = {"train@0": Resources(2, 0.33, 16, 240), "served@0": Resources(2, 1, 16, 60)}
    # a search's are known only when they are asked for
    known: dict[str, Resources] = {}
    executor = SlurmExecutor(project, Path("logs"), 1, known, frozenset(), {"gres": "license:1"})
    executor.close()
    known |= needs
    assert [executor._parameters(new_job(node))["gpus_per_node"] for node in needs] == [1, 1]
    assert "train@0: a part of a GPU, for which Slurm gives a whole one" in capsys.readouterr().err
    for gres in ("shard:2,license:1", "gres:shard:2,license:1"):
        options = {"gres": gres}
        executor = SlurmExecutor(project, Path("logs"), 1, needs, frozenset(), options)
        executor.close()
        part, whole = (executor._parameters(new_job(address)) for address in needs)
        assert (part["gpus_per_node"], part["slurm_gres"]) == (0, gres)
        assert (whole["gpus_per_node"], whole["slurm_gres"]) == (1, "license:1")
    for more, gpu in (({}, "gres:gpu:a100:1"), ({"gpus_per_node": 1}, "gpus_per_node")):
        both = {"gres": "shard:2" if more else "gres:gpu:a100:1,shard:2", **more}
        with pytest.raises(UserError, match=f"^--slurm: {gpu} beside shard:2, "):
            SlurmExecutor(project, Path("logs"), 1, needs, frozenset(), both)


def test_a_wrong_slurm_option_is_one_line(project):
    process = started(project, "--on", "slurm", "--slurm", "gpu", "one")
    said = ended(process)
    assert process.returncode == 1 and "error: --slurm: expected KEY=VALUE" in said
