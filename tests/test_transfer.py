"""`run --transfer remote`: a node in another clone of the same commit, its files through a DVC remote."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lora_vs_api.cli.run import RunOptions, _executor, run_pipeline
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate.parcel import (
    CHECKOUT,
    Landed,
    _remove_left_behind,
    has_commit,
    read_files,
    run_parcel,
    write_files,
)
from lora_vs_api.orchestrate.pipeline import environment_of, read_nodes
from lora_vs_api.orchestrate.scheduler import Node
from lora_vs_api.orchestrate.transfer import Transfer, refuse_asking
from tests.imports import ROOT
from tests.warm import python

PIPELINE = """
stages:
  one: {cmd: echo one > one.txt, outs: [one.txt]}
  two: {cmd: echo two > two.txt, outs: [two.txt: {cache: false}]}
  both:
    cmd: cat one.txt two.txt > both.txt
    deps: [one.txt, two.txt]
    outs: [both.txt]
"""


@dataclass
class Here:
    """The project here, and the clone that stands for another machine's."""

    root: Path
    there: Path

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True)

    def add_remote(self, url: str, **more: str) -> None:
        lines = [f"    {key} = {value}\n" for key, value in {"url": url, **more}.items()]
        with (self.root / ".dvc/config").open("a") as config:
            config.write("[core]\n    remote = r\n['remote \"r\"']\n" + "".join(lines))
        self.git("add", "-A")
        self.git("commit", "-qm", "x")
        subprocess.run(["git", "clone", "-q", self.root, self.there], check=True)

    def transfer(self) -> Transfer:
        return Transfer(self.root, *read_nodes(self.root))

    def run(self, transfer: Transfer, address: str) -> str | None:
        environment = dict(environment_of(), PYTHONPATH=str(ROOT))
        return transfer.land(address, run_parcel(transfer.parcel(address), environment))


@pytest.fixture
def here(repository, tmp_path, monkeypatch) -> Iterator[Here]:
    (repository / "dvc.yaml").write_text(PIPELINE)
    there = tmp_path / "there"
    monkeypatch.setenv(CHECKOUT, str(there))
    monkeypatch.chdir(repository)
    return Here(repository, there)


def ended_pid() -> int:
    done = subprocess.Popen(["true"])
    done.wait()
    return done.pid


def left_behind(clone: Path, pid: int) -> Path:
    return clone / f".dvc/tmp/worktree-{socket.gethostname()}-{pid}-a"


def goes_there_and_comes_back(here: Here) -> None:
    transfer = here.transfer()
    # a killed worker's, with its keys
    left_behind(here.there, ended_pid()).mkdir(parents=True)
    assert [here.run(transfer, address) for address in ("one", "two", "both")] == [None] * 3
    assert (here.root / "both.txt").read_text() == "one\ntwo\n"
    assert "Running stage 'both'" in (here.root / "logs/run/both.log").read_text()
    # DVC agrees, and the other clone is as it was
    assert read_nodes(here.root)[1] == set()
    assert not (here.there / "both.txt").exists() and not (here.there / "dvc.lock").exists()
    assert not list((here.there / ".dvc/tmp").glob("worktree-*"))


@pytest.mark.slow
def test_each_node_comes_back(here, tmp_path):
    """A cached output, one that git keeps, and a node that reads both."""
    here.add_remote(str(tmp_path / "remote"))
    goes_there_and_comes_back(here)
    # what is ready here is sent again where the remote has lost it
    (here.root / "both.txt").unlink()
    shutil.rmtree(here.there / ".dvc/cache")
    shutil.rmtree(tmp_path / "remote")
    transfer = here.transfer()
    assert here.run(transfer, "both") is None
    shutil.rmtree(here.there / ".dvc/cache")
    shutil.rmtree(tmp_path / "remote")
    problem = here.run(transfer, "both")
    assert problem is not None and "what it reads is not in the DVC remote" in problem


@pytest.mark.cluster
@pytest.mark.slow
def test_each_node_comes_back_through_s3(here, monkeypatch):
    import boto3
    from moto.server import ThreadedMotoServer

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-in-any-file")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket="bucket")
        here.add_remote("s3://bucket/dvc", endpointurl=url)
        goes_there_and_comes_back(here)
    finally:
        server.stop()


@pytest.mark.slow
def test_what_cannot_be_sent_is_refused_before_anything_runs(here, tmp_path):
    here.git("add", "-A")
    here.git("commit", "-qm", "x")
    with pytest.raises(UserError, match="no DVC remote is set"):
        here.transfer()
    here.add_remote(str(tmp_path / "remote"))
    transfer = here.transfer()
    assert has_commit(str(here.root), transfer.commit)
    # a later commit, which the other clone has not fetched
    (here.root / "dvc.yaml").write_text(PIPELINE.replace("echo one", "echo 1"))
    with pytest.raises(UserError, match=r"dvc\.yaml differ from the last commit"):
        here.transfer()
    here.git("commit", "-qam", "y")
    (here.root / "data.txt").write_text("1")
    subprocess.run([python(), "-m", "dvc", "add", "-q", "data.txt"], cwd=here.root, check=True)
    (here.root / "data.txt").write_text("2")
    with pytest.raises(UserError, match=r"data\.txt\.dvc is not as `dvc add` left it"):
        here.transfer()
    (here.root / "data.txt.dvc").unlink()
    problem = here.run(here.transfer(), "one")
    assert problem is not None and "`git fetch` there" in problem
    assert not (here.root / "one.txt").exists()


@pytest.mark.slow
def test_files_that_no_commit_has_are_refused(here, tmp_path):
    """DVC here counts an untracked file, and `git diff` does not name it; what nodes write is none."""
    with_deps = PIPELINE.replace(
        "one.txt, outs: [one.txt]", "one.txt, deps: [code], outs: [one.txt]"
    )
    folder = "  three: {cmd: 'mkdir -p f; echo 3 > f/a', outs: [f: {cache: false}]}\n"
    (here.root / "dvc.yaml").write_text(with_deps + folder)
    for path in ("code/a.py", "f/a"):
        (here.root / path).parent.mkdir()
        (here.root / path).write_text("1")
    here.add_remote(str(tmp_path / "remote"))
    for path in ("notes.txt", "f/a", "f/b"):
        (here.root / path).write_text("2")
    here.transfer()
    (here.root / "code/b.py").write_text("1")
    with pytest.raises(UserError, match=r"code/b\.py: read by the nodes.*`git add` it"):
        here.transfer()


def test_a_folder_that_git_keeps_comes_as_it_is(here, tmp_path):
    """Both ways: a file that the node no longer writes would make it changed, again and again."""
    write_files(tmp_path, [], {"f/a": b"1", "f/b": b"1"})
    write_files(tmp_path, ["f"], {"f/a": b"2"})
    assert read_files(tmp_path, ["f"]) == {"f/a": b"2"}


def test_what_lands_is_there_before_its_entry(here, monkeypatch):
    """A disk that is full here leaves no entry of files that are not here."""
    here.git("init", "-q")
    transfer = Transfer.__new__(Transfer)
    transfer._root, transfer._landing = here.root, threading.Lock()
    transfer._outs = {"two": {"two.txt": False}}

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lora_vs_api.orchestrate.transfer.write_files", full)
    entry = {"cmd": "x", "outs": [{"path": "two.txt", "md5": "0"}]}
    said = transfer.land("two", Landed(None, b"", entry, {"two.txt": b"2"}))
    assert said is not None and "No space left" in said
    assert not (here.root / "dvc.lock").exists()


def test_a_killed_worker_s_worktree_goes_with_its_keys(tmp_path):
    """One of a process that lives, or of another machine, stays."""
    dead, living = left_behind(tmp_path, ended_pid()), left_behind(tmp_path, os.getpid())
    elsewhere = tmp_path / ".dvc/tmp/worktree-x-1-a"
    for folder in (dead, living, elsewhere):
        folder.mkdir(parents=True)
        (folder / "config.local").write_text("secret")
    _remove_left_behind(tmp_path)
    assert set(dead.parent.iterdir()) == {living, elsewhere}


def test_nodes_that_ask_an_api_are_refused(tmp_path, monkeypatch):
    """Their answers would be kept in a worktree, which is removed, and those paid for here not be found."""
    nodes = ["evaluate_api@mini_zero_shot", "evaluate_base"]
    here = check_params(yaml.safe_load(compose((), ROOT / "conf")))
    refuse_asking(["evaluate_api@large_few_shot_5", *nodes[1:]], here)
    hosted = check_params(yaml.safe_load(compose(["api=openai"], ROOT / "conf")))
    refuse_asking(nodes[1:], hosted)
    with pytest.raises(UserError, match="run first, here: `lora-vs-api run evaluate_api@mini_zero"):
        refuse_asking(nodes, hosted)
    # before Ray is started
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(compose(["api=openai"], ROOT / "conf"))
    given = RunOptions((), 1, None, "ray", (), transfer="remote")
    some = [Node(address) for address in nodes]
    with pytest.raises(UserError, match="mini_zero_shot: would ask an API"):
        _executor(given, tmp_path, some, some, set(nodes), {}, {})


@pytest.mark.parametrize("on", ["local", "slurm"])
def test_it_is_for_ray(on):
    with pytest.raises(UserError, match="--transfer remote: for --on ray"):
        run_pipeline(RunOptions((), 1, None, on, (), transfer="remote"))
