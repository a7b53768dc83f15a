"""`--slurm KEY=VALUE`: each value of submitit's type, each mistake one line; Slurm's answers in words."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate import slurm, slurm_client
from lora_vs_api.orchestrate.jobs import new_job
from lora_vs_api.orchestrate.slurm import _cause
from lora_vs_api.orchestrate.slurm_client import (
    Told,
    _of_accounting,
    _of_controller,
    last_words,
    reason_in,
    waits_for,
)
from lora_vs_api.orchestrate.slurm_options import typed_options


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["time=20"], {"time": 20}),
        (["partition=gpu", "mem=64GB"], {"partition": "gpu", "mem": "64GB"}),
        (["--cpus-per-task=4"], {"cpus_per_task": 4}),
        (["setup=module load cuda", "setup=ulimit -c 0"],
         {"setup": ["module load cuda", "ulimit -c 0"]}),
        (['setup=["a", "b"]'], {"setup": ["a", "b"]}),
        (['additional_parameters={"reservation": "lab"}'],
         {"additional_parameters": {"reservation": "lab"}}),
        (["srun_args=--mpi=none -v"], {"srun_args": ["--mpi=none", "-v"]}),
        (["exclusive=true"], {"exclusive": True}),
        (["exclusive=user"], {"exclusive": "user"}),
        (["use_srun=False"], {"use_srun": False}),
        (["nodes=1"], {"nodes": 1}),
        (["comment=a=b"], {"comment": "a=b"}),
    ],
)  # fmt: skip
def test_values_have_submitits_types(given, expected):
    """A time that is text breaks the requeue at preemption, a command that is text the job's script."""
    assert typed_options(given) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("gpu", "--slurm: expected KEY=VALUE such as partition=gpu, found 'gpu'"),
        ("partitoin=gpu", "--slurm partitoin: submitit has no such option; did you mean partition?"),
        ("gpus=2", "did you mean gpus_per_node?"),
        ("mem_gb=2", "did you mean mem?"),
        ("reservation=lab", "goes as --slurm 'additional_parameters={\"reservation\": \"lab\"}'"),
        ("time=1:30:00", "--slurm time: expected minutes, as an integer, found '1:30:00'"),
        ("use_srun=maybe", "--slurm use_srun: expected true or false, found 'maybe'"),
        ("additional_parameters=x", '--slurm additional_parameters: expected JSON such as {"reservation": "lab"}'),
        ("nodes=2", "--slurm nodes: a node of the DAG is one process; expected 1, found 2"),
        ("job_name=x", "--slurm job_name: jobs are found again by the names"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(given, said):
    with pytest.raises(UserError) as error:
        typed_options([given])
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (Told("OUT_OF_MEMORY", nodes="n1"), "out of memory: more memory_gb in `nodes`"),
        (Told("TIMEOUT"), "out of time"),
        (Told("NODE_FAIL"), "its machine was lost"),
        (Told("FAILED", exit_code=(97, 0), nodes="n3"), "n3 does not see this folder: /p has to"),
        (
            Told("FAILED", "JobLaunchFailure", (0, 53), "n3"),
            "the job could not be started: n3 does",
        ),
        (Told("FAILED", exit_code=(0, 9)), "killed by signal 9"),
        (Told("FAILED", exit_code=(137, 0)), "killed by signal 9"),
        (Told("FAILED", exit_code=(127, 0)), "the environment of this shell"),
        (Told("FAILED", exit_code=(3, 0)), "exit code 3"),
        (None, "Slurm knows the job no more"),
    ],
)
def test_a_cause_is_named(told, said):
    assert _cause(told, Path("/p")).startswith(said)


CONTROLLER = (
    "JobId=6 JobName=wrap UserId=root(0) JobState=FAILED Reason=JobLaunchFailure Dependency=(null) "
    "Requeue=1 ExitCode=0:53 SubmitTime=2026-11-26T11:00:51 StartTime=2026-11-26T11:00:58 "
    "EndTime=2026-11-26T11:01:52 NodeList=n3 BatchHost=n3 ReqB:S:C:T=0:0:*:* CPUs/Task=1 Power= "
)


def test_what_the_controller_and_the_accounting_say():
    """As 22.05 prints it: state, exit code and signal, machine, and when."""
    told = _of_controller(CONTROLLER)
    assert (told.state, told.reason, told.exit_code) == ("FAILED", "JobLaunchFailure", (0, 53))
    assert told.nodes == "n3" and told.started - told.submitted == 7
    waiting = _of_controller(CONTROLLER.replace("NodeList=n3", "NodeList=(null)"))
    assert waiting.started is None and waiting.nodes == ""
    told = _of_accounting(
        "CANCELLED by 1000|0:15|None assigned|2026-11-26T11:00:51|None|2026-11-26T11:01:00\n"
    )
    assert (told.state, told.started, told.nodes) == ("CANCELLED", None, "")


def test_slurms_words_in_one_line():
    said = "sbatch: error: invalid partition specified: x\n"
    said += "sbatch: error: Batch job submission failed: Invalid partition name specified\n"
    assert reason_in(said) == "invalid partition specified: x; Invalid partition name specified"
    assert reason_in("slurm_load_jobs error: no\n") == "slurm_load_jobs error: no"
    assert waits_for("Resources") == "Resources"
    assert waits_for("PartitionTimeLimit").startswith("PartitionTimeLimit (more time than")
    assert waits_for("ReqNodeNotAvail, UnavailableNodes:n1").endswith("`sinfo -R` says why)")
    log = "submitit INFO (a): Starting\nTraceback\nValueError: x\nsrun: error: n1: task 0: Exited"
    assert last_words(log, 2) == "ValueError: x | srun: error: n1: task 0: Exited"


def test_lines_that_are_no_jobs_are_skipped(monkeypatch):
    """The name of a cluster, and what a site prints in front of everything."""
    said = "CLUSTER: c1\n*** maintenance | on Friday ***\n\n7|PENDING|train-0.ab|(a | b)\n"
    monkeypatch.setattr(slurm_client, "ask", lambda *_: said)
    assert slurm_client.queue() == [slurm_client.Seen("7", "train-0.ab", "PENDING", "a | b")]


def test_whatever_the_queue_raises_is_said_and_it_is_asked_again(monkeypatch, capsys):
    """A watch that is dead would have `run` wait for ever."""
    job = new_job("train@0")
    answers = iter([ValueError("odd"), [slurm_client.Seen("7", job.name, "FAILED", "")]])
    asked_again = threading.Event()

    def queue() -> list[slurm_client.Seen]:
        answer = next(answers, [])
        if isinstance(answer, Exception):
            raise answer
        asked_again.set()
        watch._done.set()
        return answer

    monkeypatch.setattr(slurm, "queue", queue)
    monkeypatch.setattr(threading.Event, "wait", _hurried(threading.Event.wait))
    watch = slurm._Watch()
    watch._thread.join(5)
    assert asked_again.is_set()
    assert "asked again: ValueError: odd" in capsys.readouterr().err
    assert watch.has_ended(job, slurm._Waits(job)) == "FAILED"


def _hurried(wait):
    return lambda event, seconds=None: wait(event, 0.05 if seconds == 2.0 else seconds)
