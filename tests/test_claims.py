"""A node runs in one place at a time: claims of this machine, of others, and of dead ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lora_vs_api.cli import run, search
from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate import claims as module
from lora_vs_api.orchestrate.claims import STARTING, TRIALS, Claim, claims, holder_here
from lora_vs_api.orchestrate.jobs import keep_job, new_job
from lora_vs_api.orchestrate.pipeline import Runner, environment_of
from lora_vs_api.orchestrate.scheduler import Node
from lora_vs_api.orchestrate.slurm_client import Seen
from tests.imports import ROOT


def test_one_of_many_gets_it(tmp_path):
    """Whoever asks while another holds it is told who that is; then the next one gets it."""
    taken = [Claim(tmp_path, "train@0") for _ in range(8)]
    answers: dict[int, object] = {}
    threads = [
        threading.Thread(target=lambda n=n: answers.update({n: taken[n].take()})) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [n for n, answer in answers.items() if answer is None]
    assert {answer for n, answer in answers.items() if n != winner} == {taken[winner].mine}
    assert [(address, holder.pid) for address, holder in claims(tmp_path)] == [
        ("train@0", os.getpid())
    ]
    taken[winner].release()
    assert taken[winner - 1].take() is None
    # nothing but the claim is left in its folder
    assert os.listdir(tmp_path / module.FOLDER) == ["train@0"]


def test_a_disk_without_hard_links_will_do(tmp_path, monkeypatch):
    monkeypatch.setattr(
        os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "no links"))
    )
    first, second = Claim(tmp_path, "train@0"), Claim(tmp_path, "train@0")
    assert first.take() is None and second.take() == first.mine


def written(root: Path, address: str = "train@0", **changes: object) -> Path:
    path = root / module.FOLDER / address
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(replace(holder_here(), **changes))))
    return path


def test_a_dead_process_of_this_machine_holds_nothing(tmp_path):
    done = subprocess.Popen(["true"])
    done.wait()
    written(tmp_path, pid=done.pid)
    assert Claim(tmp_path, "train@0").take() is None


@pytest.mark.parametrize("ahead", [-1, 1])
@pytest.mark.parametrize("where", [{"host": "n7"}, {"pids": "pid:[1]"}, {"started": ""}])
def test_one_that_is_not_renewed_is_taken_over(tmp_path, where, ahead):
    """Of another host, of another container, and where the system tells no start; whatever the clock did."""
    path = written(tmp_path, **where)
    claim = Claim(tmp_path, "train@0")
    assert claim.take() is not None
    other = time.time() + ahead * (module.STALE_SECONDS + 5)
    os.utime(path, (other, other))
    assert claim.take() is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="tells no start of a process")
def test_a_process_of_this_machine_is_known_by_its_start(tmp_path):
    """One that lives keeps its claim while the clock jumps or the machine sleeps; its pid alone is no proof."""
    path = written(tmp_path)
    os.utime(path, (time.time() - 3600,) * 2)
    assert Claim(tmp_path, "train@0").take() is not None
    written(tmp_path, started="another boot 7")
    assert Claim(tmp_path, "train@0").take() is None
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    written(tmp_path, pid=zombie.pid)
    assert not list(claims(tmp_path))
    zombie.wait()


def test_an_address_may_hold_a_dot(tmp_path, monkeypatch):
    """As a trial's does (lr_trial@0.0002); files on their way are no claims."""
    claim = Claim(tmp_path, "lr_trial@0.0002")
    assert claim.take() is None
    assert [address for address, _ in claims(tmp_path)] == ["lr_trial@0.0002"]
    claim.release()
    # killed in the middle of it: what is left names nobody
    monkeypatch.setattr(module, "_put", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        claim.take()
    assert os.listdir(claim.path.parent) and not list(claims(tmp_path))


@pytest.mark.parametrize("changes", [{"pid": "12"}, {"pid": 10**30}, {"pid": -1}, {"host": 7}])
def test_garbage_is_nobodys(tmp_path, changes):
    path = written(tmp_path, **changes)
    os.utime(path, (time.time() - module.WRITTEN_SECONDS - 1,) * 2)
    assert not list(claims(tmp_path)) and Claim(tmp_path, "train@0").take() is None


def test_one_that_is_being_written_is_held(tmp_path):
    """Without hard links the file is there before its text is."""
    path = written(tmp_path)
    path.write_text("")
    assert Claim(tmp_path, "train@0").take() == module.UNNAMED


def test_a_folder_that_cannot_be_written_is_read(tmp_path, monkeypatch):
    """A full or read-only disk: this machine's own clock will do."""
    written(tmp_path, host="n7")

    def full(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "touch", full)
    assert [holder.host for _, holder in claims(tmp_path)] == ["n7"]
    monkeypatch.setattr(Path, "read_text", full)
    assert not list(claims(tmp_path))


def test_who_was_taken_over_is_told(tmp_path):
    """A machine that stood still for a minute ends its node; one whose file was deleted does not."""
    claim = Claim(tmp_path, "train@0")
    assert claim.take() is None and claim.renew()
    claim.path.unlink()
    assert claim.renew() and claim.path.exists()
    written(tmp_path, host="n7")
    assert not claim.renew()
    claim.release()
    assert claim.path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="starts two sessions")
@pytest.mark.slow
def test_the_guard_waits_for_who_runs_the_node(tmp_path):
    """And says whom it waits for; when the claim is free, its command runs."""
    other = Claim(tmp_path, "train@0")
    assert other.take() is None
    guard = subprocess.Popen(
        [sys.executable, "-m", "lora_vs_api.orchestrate.guard", "train@0", "touch", "ran"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert guard.stdout is not None
    assert guard.stdout.readline().startswith("train@0 runs on ")
    assert not (tmp_path / "ran").exists()
    other.release()
    assert guard.wait(30) == 0
    assert (tmp_path / "ran").exists() and not other.path.exists()
    guard.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="starts two sessions")
def test_a_trial_holds_a_claim_beside_those_of_nodes(tmp_path, monkeypatch):
    """It runs in a copy of the project: no node has to wait for it."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    runner = Runner(tmp_path, Path("logs"))
    list_claims = ["ls", str(module.FOLDER / TRIALS)]
    assert runner.run("search-1", environment_of(), list_claims) is None
    assert (tmp_path / "logs/search-1.log").read_text() == "search-1\n"


@pytest.fixture
def hurried(tmp_path, monkeypatch):
    """A folder in which a second of waiting takes none; ``mend`` itself has tests of its own."""
    now = [0.0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(run.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(run, "mend", lambda patience=0.0: None)
    return now


@pytest.mark.parametrize("address", ["train@0", "lr_trial@0.0002", STARTING])
def test_mend_refuses_while_a_node_runs_elsewhere(hurried, tmp_path, capsys, address):
    """It says at once what it waits for, and for longer than a dead machine's claim counts."""
    written(tmp_path, address, host="n7")
    with pytest.raises(
        UserError, match=rf"^{address} is running on n7 \(PID \d+\): wait for its end"
    ):
        run.mend_before_repro()
    assert hurried[0] > module.STALE_SECONDS
    assert capsys.readouterr().err.count(f"{address} is running on n7") == 1


def test_mend_goes_on_where_nothing_can_be_written(hurried, tmp_path, monkeypatch):
    """A claim of the dead is none, whatever the disk."""
    path = written(tmp_path, host="n7")
    os.utime(path, (1, 1))
    monkeypatch.setattr(Path, "touch", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "full")))
    run.mend_before_repro()
    assert hurried[0] == 0


def test_mend_goes_on_beside_trials_of_a_search(hurried, tmp_path, monkeypatch):
    """What holds DVC's lock for a moment is the start of the next one."""
    patience: list[float] = []
    monkeypatch.setattr(run, "mend", lambda seconds=0.0: patience.append(seconds))
    run.mend_before_repro()
    written(tmp_path, f"{TRIALS}/search-1", host="n7")
    assert [address for address, _ in claims(tmp_path, TRIALS)] == ["search-1"]
    run.mend_before_repro()
    assert hurried[0] == 0 and patience == [0, run.claim_patience()]


def test_a_run_says_who_runs_what_it_needs(hurried, tmp_path, capsys):
    """Of another host and by a dotted address; what the run does not need is not its business."""
    for address in ("train@0", "lr_trial@0.0002", "fetch"):
        written(tmp_path, address, host="n7")
    nodes = [Node(address, frozenset(), False) for address in ("train@0", "lr_trial@0.0002")]
    run._say_who_runs(tmp_path, nodes, {})
    said = capsys.readouterr().err
    assert said.count("runs already, on n7") == 2 and "lr_trial@0.0002 runs already" in said


def test_a_run_is_patient_where_somebody_runs(hurried, tmp_path, monkeypatch):
    """For as long as the claim of a dead machine counts; in a folder of its own it waits for nobody."""
    given = run.RunOptions([], 1, None, "local", [])
    patience: list[float] = []
    monkeypatch.setattr(run, "mend", patience.append)
    monkeypatch.setattr("lora_vs_api.orchestrate.pipeline.read_nodes", lambda *_: ([], set()))
    run.run_pipeline(given)
    written(tmp_path, f"{TRIALS}/search-1", host="n7")
    run.run_pipeline(given)
    written(tmp_path, host="n7")
    run.run_pipeline(given)
    assert patience == [0, run.claim_patience(), run.claim_patience()]
    assert patience[1] > module.STALE_SECONDS


def test_jobs_of_slurm_keep_others_away(hurried, tmp_path, monkeypatch):
    """One that still waits is named; one that has ended is forgotten."""
    job = new_job("train@0").known_as("17")
    keep_job(tmp_path, job)
    state = ["PENDING"]
    monkeypatch.setattr(
        "lora_vs_api.orchestrate.slurm.queue", lambda: [Seen("17", job.name, state[0], "None")]
    )
    with pytest.raises(UserError, match=r"^train@0: submitted to Slurm .* `scancel 17` ends it"):
        run.mend_before_repro()
    state[0] = "COMPLETED"
    run.mend_before_repro()


def test_a_cancelled_job_may_take_a_moment_to_end(hurried, tmp_path, monkeypatch):
    """Slurm says that it has ended, and its dvc still holds locks: the next run waits instead of failing."""
    patience: list[float] = []
    monkeypatch.setattr(run, "mend", lambda seconds=0.0: patience.append(seconds))
    monkeypatch.setattr("lora_vs_api.orchestrate.slurm.queue", list)
    nodes: list[float] = []
    monkeypatch.setattr(
        "lora_vs_api.orchestrate.pipeline.read_nodes",
        lambda _, seconds: nodes.append(seconds) or ([], set()),
    )
    for begin in (
        run.mend_before_repro,
        lambda: run.run_pipeline(run.RunOptions([], 1, None, "local", [])),
    ):
        keep_job(tmp_path, new_job("train@0").known_as("17"))
        begin()
    assert patience == [run.claim_patience()] * 2 and nodes == [run.claim_patience()]


def test_trials_of_a_search_on_slurm_keep_no_node_away(hurried, tmp_path, monkeypatch):
    """A killed search leaves them: another one, wherever, is told who waits for them."""
    job = new_job("search-1", trial=True).known_as("18")
    keep_job(tmp_path, job)
    seen = [Seen("18", job.name, "RUNNING", "None")]
    monkeypatch.setattr("lora_vs_api.orchestrate.slurm.queue", lambda: seen)
    run.mend_before_repro()
    assert run.living_jobs_of(tmp_path, "local", trials=False) == {}
    here = search._executed(search.Where(), 1, {}, Path("logs"))
    with (
        pytest.raises(
            UserError,
            match=r"^search-1: submitted .*; `search --on slurm` waits .*`scancel 18` ends",
        ),
        here,
    ):
        pass
    # without Slurm's being asked, which would take what a search submits just now for a lost job
    monkeypatch.setattr("lora_vs_api.orchestrate.slurm.queue", lambda: pytest.fail("asked"))
    run.mend_before_repro()
