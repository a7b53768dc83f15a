"""Nodes side by side: order, limits, failures and Ctrl-C; the DAG itself is DVC's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate.pipeline import (
    Runner,
    environment_of,
    locked_nodes,
    order_lock,
    read_nodes,
)
from lora_vs_api.orchestrate.scheduler import Node, needed_by, run_nodes, touched_by
from tests.imports import ROOT


def node(address: str, *needs: str, exclusive: bool = False) -> Node:
    return Node(address, frozenset(needs), exclusive)


class Slow:
    """Starts nothing; ends one running node, chosen by the test, each time it is asked for one."""

    def __init__(self, nodes: list[Node], jobs: int, bad: set[str], choose) -> None:
        self.known = {n.address: n for n in nodes}
        self.jobs, self.bad, self.choose = jobs, bad, choose
        self.running: dict[str, tuple[Future, int]] = {}
        self.ended: list[str] = []
        self.most = 0

    def start(self, address: str, slot: int) -> Future:
        one = self.known[address]
        # everything that has to hold whenever a node starts
        assert one.needs <= set(self.ended)
        assert not one.exclusive or not self.running
        assert not any(self.known[other].exclusive for other in self.running)
        assert slot not in {taken for _, taken in self.running.values()} and 0 <= slot < self.jobs
        self.running[address] = (Future(), slot)
        self.most = max(self.most, len(self.running))
        return self.running[address][0]

    def end_one(self) -> None:
        address = self.choose(sorted(self.running))
        future, _ = self.running.pop(address)
        if address not in self.bad:
            self.ended.append(address)
        future.set_result("broken" if address in self.bad else None)


@st.composite
def dags(draw):
    count = draw(st.integers(1, 9))
    nodes = []
    for index in range(count):
        needs = draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
        nodes.append(node(f"n{index}", *(f"n{i}" for i in needs), exclusive=draw(st.booleans())))
    bad = draw(st.sets(st.sampled_from([n.address for n in nodes]), max_size=2))
    return nodes, bad


@given(dags(), st.integers(1, 4), st.randoms(use_true_random=False))
def test_every_node_ends_once_after_what_it_needs(dag, jobs, random):
    """Whatever ends first: needs before nodes, nothing beside timed nodes, no more than asked for at a
    time, and a failure takes along exactly what needs it."""
    nodes, bad = dag
    slow = Slow(nodes, jobs, bad, random.choice)
    ended_by = []

    # the scheduler waits for a future: end one beforehand, whenever something runs
    def tell(event, address, outcome, running):
        ended_by.append((event, address))

    import lora_vs_api.orchestrate.scheduler as scheduler

    real = scheduler.wait

    def end_and_wait(futures, return_when):
        slow.end_one()
        return real(futures, return_when=return_when)

    scheduler.wait = end_and_wait
    try:
        outcome = run_nodes(nodes, slow.start, jobs, tell)
    finally:
        scheduler.wait = real
    assert sorted([*outcome.done, *outcome.failed, *outcome.skipped]) == sorted(
        n.address for n in nodes
    )
    assert set(outcome.failed) <= bad
    lost = {n.address for n in touched_by(nodes, set(outcome.failed))}
    assert set(outcome.skipped) == lost - set(outcome.failed)
    assert slow.most <= jobs
    assert [address for event, address in ended_by if event == "done"] == outcome.done


def test_independent_nodes_run_at_the_same_time():
    """What it is for: three sleeps of two workers take two sleeps, not three."""
    nodes = [node("a"), node("b"), node("c", "a")]
    barrier = __import__("threading").Barrier(2, timeout=10)

    def work(address):
        # both have to be here at once, or the barrier breaks
        if address in "ab":
            barrier.wait()

    with ThreadPoolExecutor(2) as pool:
        outcome = run_nodes(nodes, lambda address, slot: pool.submit(work, address), 2)
    assert sorted(outcome.done) == ["a", "b", "c"] and not outcome.failed


def test_a_circle_is_named():
    """DVC refuses one itself; the scheduler must not wait for ever all the same."""
    with pytest.raises(UserError, match="need each other: a, b"):
        run_nodes([node("a", "b"), node("b", "a")], lambda *_: Future(), 2)


def test_only_what_is_needed_or_touched():
    """Targets pull in what comes before them; a change, what comes after it."""
    nodes = [node("a"), node("b", "a"), node("c", "b"), node("d")]
    assert [n.address for n in needed_by(nodes, ["b"])] == ["a", "b"]
    assert [n.address for n in touched_by(nodes, {"b"})] == ["b", "c"]


@pytest.mark.slow
def test_the_dag_is_dvcs():
    """Edges, timed nodes and order are read off the real dvc.yaml."""
    nodes, _ = read_nodes(ROOT)
    known = {n.address: n for n in nodes}
    places = {n.address: i for i, n in enumerate(nodes)}
    assert all(places[need] < places[n.address] for n in nodes for need in n.needs)
    assert {"served@0", "base_model", "split"} <= known["evaluate_lora@0"].needs
    assert "train@0" in known["served@0"].needs
    # what is timed has nothing beside it
    timed = {n.address.split("@")[0] for n in nodes if n.exclusive}
    assert timed == {"evaluate_lora", "evaluate_base", "evaluate_api", "evaluate_model_free"}


def test_new_entries_of_the_lock_take_the_order_of_repro(tmp_path):
    """A parallel run writes the same dvc.lock as a sequential one: entries there stay in place."""
    (tmp_path / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  old:\n    cmd: x\n  c:\n    cmd: c\n  b:\n    cmd: b\n"
    )
    order_lock([node("a"), node("b"), node("old"), node("c")], ["old"], tmp_path)
    assert locked_nodes(tmp_path) == ["old", "b", "c"]


PIPELINE = """
stages:
  slow:
    cmd: python -c "import time; open('begun', 'w').close(); time.sleep(300)"
    outs: [never.txt]
  quick:
    cmd: echo quick > quick.txt
    outs: [quick.txt]
  bad:
    cmd: "echo 'error: disk: full' >&2; exit 3"
    outs: [bad.txt]
  after:
    cmd: cp bad.txt after.txt
    deps: [bad.txt]
    outs: [after.txt]
  waits:
    cmd: echo "$OMP_WAIT_POLICY" > waits.txt
    outs: [waits.txt]
  timed:
    cmd: echo "$OMP_WAIT_POLICY" > timed.txt
    outs: [timed.txt]
    meta: {timed: true}
"""


@pytest.fixture()
def project(repository) -> Path:
    (repository / "dvc.yaml").write_text(PIPELINE)
    return repository


def command(project: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = dict(os.environ, PYTHONPATH=str(ROOT), DVC_NO_ANALYTICS="1")
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return subprocess.Popen(
        [sys.executable, "-m", "lora_vs_api", "run", *arguments],
        cwd=project, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def sleepers(project: Path) -> list[str]:
    """Command lines of processes that work in the project."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") == str(project):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_a_failing_node_leaves_the_others_results(project):
    """One line says which and why; what needs it is skipped, the rest is there and in dvc.lock."""
    done = command(project, "quick", "after")
    said = done.communicate(timeout=60)[1]
    assert done.returncode == 1
    assert "plan: Nodes: 3 run; up to date: 0." in said
    assert "error: bad: disk: full (all of it: logs/run/bad.log)" in said
    assert "error: 1 of 3 nodes failed; skipped: after" in said and "Traceback" not in said
    assert (project / "quick.txt").read_text() == "quick\n"
    assert locked_nodes(project) == ["quick"]
    # mended, the next run does the rest and not what is done
    text = (project / "dvc.yaml").read_text()
    (project / "dvc.yaml").write_text(text.replace("exit 3", "echo ok > bad.txt"))
    done = command(project, "quick", "after")
    said = done.communicate(timeout=60)[1]
    assert done.returncode == 0 and "2 of 2 done" in said


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    "how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_whatever_ends_the_run_leaves_no_orphan(project, how):
    """Ctrl-C or kill -9: the nodes end with it, and DVC's locks are free for the next run."""
    done = command(project, "slow")
    deadline = time.monotonic() + 30
    while not (project / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (project / "begun").exists()
    done.send_signal(how)
    said = done.communicate(timeout=60)[1]
    assert done.returncode == (130 if how == signal.SIGINT else -9)
    assert "Traceback" not in said
    deadline = time.monotonic() + 30
    while sleepers(project) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert sleepers(project) == []
    done = command(project, "quick")
    assert "1 of 1 done" in done.communicate(timeout=60)[1] and done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["-j", "0"], "--jobs: expected an integer ≥ 1"), (["trian"], "trian: no such node")],
)
def test_a_wrong_argument_is_one_line(project, arguments, message):
    done = command(project, *arguments)
    said = done.communicate(timeout=60)[1]
    assert done.returncode == 1 and message in said and "Traceback" not in said


def policies(project: Path, jobs: str) -> list[str]:
    done = command(project, "--jobs", jobs, "waits", "timed")
    said = done.communicate(timeout=60)[1]
    assert done.returncode == 0, said
    return [(project / name).read_text().strip() for name in ("waits.txt", "timed.txt")]


@pytest.mark.slow
def test_nodes_side_by_side_do_not_spin_on_each_others_cores(project, monkeypatch):
    """Two trainings would slow each other several times over; what is timed runs as in repro."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert policies(project, "2") == ["PASSIVE", ""]


@pytest.mark.slow
def test_one_node_at_a_time_runs_as_in_repro(project, monkeypatch):
    """Nothing shares its cores; what the user set himself would stay."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert policies(project, "1") == ["", ""]
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert environment_of(shares_cores=True)["OMP_WAIT_POLICY"] == "ACTIVE"


@pytest.mark.slow
def test_two_runs_at_once_take_turns(project):
    """A colleague in the same clone, or a second terminal: one waits or finds the work done."""
    runs = [command(project, "quick") for _ in range(2)]
    said = [one.communicate(timeout=90)[1] for one in runs]
    assert [one.returncode for one in runs] == [0, 0], said
    assert (project / "quick.txt").read_text() == "quick\n"


def test_what_a_node_says_is_kept(project):
    """The terminal shows a line a node; the rest is where the line says."""
    runner = Runner(project, Path("logs"))
    environment = dict(environment_of(), PYTHONPATH=str(ROOT))
    assert runner.run("quick", environment) is None
    assert "Running stage 'quick'" in (project / "logs/quick.log").read_text()
    assert json.dumps(locked_nodes(project)) == '["quick"]'


@pytest.mark.slow
def test_only_what_reads_something_new_is_run(project):
    """A node whose inputs come out as they were costs no process, and DVC agrees at the end."""
    (project / "seed.txt").write_text("1")
    (project / "dvc.yaml").write_text(CHAIN)
    done = command(project)
    assert "5 of 5 done" in done.communicate(timeout=90)[1] and done.returncode == 0
    (project / "seed.txt").write_text("2")
    done = command(project)
    said = done.communicate(timeout=90)[1]
    assert done.returncode == 0, said
    for name in ("reads_same", "after_same"):
        assert f"{name} unchanged" in said
    for name in ("source", "reads_other", "reads_both"):
        assert f"{name} done in" in said
    assert read_nodes(project)[1] == set()
    assert (project / "both.txt").read_text() == "same\n2"


CHAIN = """
stages:
  source:
    cmd: echo same > same.txt; cp seed.txt other.txt
    deps: [seed.txt]
    outs: [same.txt, other.txt]
  reads_same:
    cmd: cp same.txt copy.txt
    deps: [same.txt]
    outs: [copy.txt]
  after_same:
    cmd: cp copy.txt again.txt
    deps: [copy.txt]
    outs: [again.txt]
  reads_other:
    cmd: cp other.txt new.txt
    deps: [other.txt]
    outs: [new.txt]
  reads_both:
    cmd: cat copy.txt new.txt > both.txt
    deps: [copy.txt, new.txt]
    outs: [both.txt]
"""
