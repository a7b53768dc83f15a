"""dvc.lock cut off by a kill: recovered from what it still holds, from a copy or from git."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate.lockfile import (
    BROKEN,
    COPY,
    HELD,
    complete_entries,
    keep_copy,
    mend_lock,
    reads_the_same,
    take_one,
    whole_entries,
)
from lora_vs_api.orchestrate.pipeline import locked_nodes
from tests.imports import ROOT
from tests.test_parallel import command
from tests.warm import python


def lock_of(names: str, digest: str = "d41d8cd98f00b204e9800998ecf8427e") -> bytes:
    entries = {
        name: {
            "cmd": f"echo {name} > {name}.txt",
            "params": {"params.yaml": {"rate": 0.5}},
            "outs": [{"path": f"{name}.txt", "hash": "md5", "md5": digest, "size": 2}],
        }
        for name in names
    }
    content = {"schema": "2.0", "stages": entries}
    return yaml.safe_dump(content, sort_keys=False).encode()


def entries_of(root: Path) -> list[str]:
    return list(whole_entries((root / "dvc.lock").read_bytes()) or {})


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def test_every_place_where_a_write_can_be_cut_off():
    """Cut anywhere, a lock is seen to be no whole one, or is one to DVC: the fewer entries, no error."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA

    whole = lock_of("abc")
    for end in range(len(whole)):
        found = whole_entries(whole[:end])
        if found is not None:
            COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(whole[:end]))
        rescued = complete_entries(whole[:end].decode())
        # what stood there whole is not lost, but for the last
        assert len(rescued) >= whole[:end].count(b"size:") - 1
        assert all(rescued[name] == whole_entries(whole)[name] for name in rescued)
    assert list(whole_entries(whole)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "broken", [b"", b"\n", b"\0" * 4096, b"{[", b"\xff\xfe", b"schema: '2.0'\nsta"]
)
def test_from_the_copy_or_from_git_whichever_is_newer(repository, broken):
    """And nothing is done where nothing is amiss, nor while there is no lock."""
    lock = repository / "dvc.lock"
    assert mend_lock(repository) is None
    lock.write_bytes(lock_of("ab"))
    assert mend_lock(repository) is None and lock.read_bytes() == lock_of("ab")
    git(repository, "add", "dvc.lock")
    git(repository, "commit", "-qm", "two")
    lock.write_bytes(broken)
    assert "2 entries recovered from git's HEAD" in str(mend_lock(repository))
    assert entries_of(repository) == ["a", "b"]
    assert (repository / BROKEN).read_bytes() == broken

    lock.write_bytes(lock_of("abc"))
    keep_copy(repository)
    lock.write_bytes(broken)
    assert "3 entries recovered from the copy of the last run" in str(mend_lock(repository))
    assert entries_of(repository) == ["a", "b", "c"]
    # a later commit, a colleague's say, is newer than the copy
    os.utime(repository / COPY, (1, 1))
    lock.write_bytes(broken)
    assert "git's HEAD" in str(mend_lock(repository))


def test_what_it_still_holds_is_newer_than_any_copy(repository):
    """The entries before the cut are those that were being written."""
    lock = repository / "dvc.lock"
    lock.write_bytes(lock_of("abc", digest="0" * 32))
    keep_copy(repository)
    lock.write_bytes(lock_of("abc", digest="1" * 32)[:-40])
    said = mend_lock(repository)
    assert "cut off" in said and "2 that it still held and the copy" in said
    entries = whole_entries(lock.read_bytes())
    assert [entry["outs"][0]["md5"][0] for entry in entries.values()] == ["1", "1", "0"]


def test_half_a_lock_is_never_copied(repository):
    """Another node may be writing it at that moment."""
    (repository / "dvc.lock").write_bytes(lock_of("ab"))
    keep_copy(repository)
    (repository / "dvc.lock").write_bytes(lock_of("abc")[:-30])
    keep_copy(repository)
    assert list(whole_entries((repository / COPY).read_bytes())) == ["a", "b"]


def test_with_nothing_to_recover_from_it_begins_anew(repository):
    """DVC takes up without a lock; with an empty one it would not."""
    (repository / "dvc.lock").write_bytes(b"")
    assert "neither copy nor git has it" in str(mend_lock(repository))
    assert not (repository / "dvc.lock").exists()


def test_a_conflict_of_gits_is_the_users_to_solve(repository):
    """Neither side is thrown away."""
    text = b"<<<<<<< HEAD\n" + lock_of("a") + b"=======\n" + lock_of("b") + b">>>>>>> other\n"
    (repository / "dvc.lock").write_bytes(text)
    keep_copy(repository)
    with pytest.raises(
        UserError, match=r"^dvc\.lock: git has left two versions in it; take out one"
    ):
        mend_lock(repository)
    assert (repository / "dvc.lock").read_bytes() == text


def test_a_conflict_that_git_knows_of_is_taken_from_git(repository):
    """Once it was added, git has no side to take any more, and says so of no command that is told."""

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=repository, capture_output=True)

    def committed(name: str) -> None:
        (repository / "dvc.lock").write_bytes(lock_of(name))
        git("add", "--force", "dvc.lock")
        git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-m", name)

    committed("a")
    git("checkout", "-b", "other")
    committed("b")
    git("checkout", "-")
    committed("c")
    git("merge", "other")
    assert b"<<<<<<<" in (repository / "dvc.lock").read_bytes()
    assert "`git checkout --ours dvc.lock`" in take_one(repository)
    git("add", "dvc.lock")
    assert "in an editor" in take_one(repository)


PIPELINE = """
stages:
  first: {cmd: date +%N > first.txt, outs: [first.txt]}
  second: {cmd: cp first.txt second.txt, deps: [first.txt], outs: [second.txt]}
  third: {cmd: cp second.txt third.txt, deps: [second.txt], outs: [third.txt]}
"""


@pytest.fixture(scope="module")
def ran_once(empty_repository, tmp_path_factory) -> Path:
    """A project after a run; its first node gives something else whenever it runs."""
    project = tmp_path_factory.mktemp("ran") / "repository"
    shutil.copytree(empty_repository, project)
    (project / "dvc.yaml").write_text(PIPELINE)
    done = command(project)
    said = done.communicate(timeout=90)[1]
    assert done.returncode == 0, said
    return project


@pytest.fixture()
def ran(ran_once, tmp_path) -> Path:
    return Path(shutil.copytree(ran_once, tmp_path / "repository", symlinks=True))


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "cut", ["half", *(pytest.param(cut, marks=SLOW) for cut in ("empty", "garbage", "held"))]
)
@pytest.mark.slow
def test_run_completes_after_a_cut_of_any_kind(ran, cut):
    """DVC itself fails; `run` says in one line what it did, and runs nothing again."""
    before, lock = (ran / "first.txt").read_text(), ran / "dvc.lock"
    content = lock.read_bytes()
    assert (ran / COPY).read_bytes() == content
    if cut == "held":
        (ran / HELD).write_text('{"write": {"/som')
    else:
        broken = {
            "empty": b"",
            "half": content[: content.index(b"  third:") + 9],
            "garbage": os.urandom(999),
        }
        lock.write_bytes(broken[cut])
        status = subprocess.run(
            [python(), "-m", "dvc", "status"], cwd=ran, capture_output=True, text=True
        )
        assert status.returncode != 0
    done = command(ran)
    said = done.communicate(timeout=90)[1]
    assert done.returncode == 0, said
    assert ("recovered from" in said) == (cut != "held") and "Traceback" not in said
    assert (ran / "first.txt").read_text() == before and lock.read_bytes() == content
    # the copy is no file of the project's
    status = subprocess.run(
        ["git", "status", "--porcelain", "--", ".dvc"], cwd=ran, capture_output=True, text=True
    )
    assert "lock" not in status.stdout


# a write that stops in its middle, once: what a kill, a full memory or a power cut does
KILLED = """
import os, pathlib, signal
import dvc.utils.serialize._yaml as target

dump, marker = target._dump, pathlib.Path("killed")

def cut_off(data, stream):
    if marker.exists() or len(data.get("stages", {})) < 2:
        return dump(data, stream)
    marker.touch()
    whole = target.dumps_yaml(data)
    stream.write(whole[: len(whole) * 3 // 4])
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)

target._dump = cut_off
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_killed_while_dvc_writes_it(repository, tmp_path, monkeypatch):
    """kill -9 in the middle of the second node's entry: one line, and the next run goes on."""
    (repository / "dvc.yaml").write_text(PIPELINE)
    site = tmp_path / "site"
    site.mkdir()
    # read by every Python that starts, and of effect in `dvc repro` alone
    (site / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'dvc' in sys.orig_argv:\n"
        f"    exec(open({str(site / 'killed.py')!r}).read())\n"
    )
    (site / "killed.py").write_text(KILLED)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))
    environment = dict(os.environ, DVC_NO_ANALYTICS="1")
    done = subprocess.run(
        [sys.executable, "-m", "lora_vs_api", "run", "-j", "1"],
        cwd=repository, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert (repository / "killed").exists(), done.stderr
    # what the killed one left is mended at once, so that nodes beside it go on
    assert done.returncode == 1 and "dvc.lock: cut off" in done.stderr, done.stderr
    assert locked_nodes(repository) == ["first"]
    first = (repository / "first.txt").read_text()
    done = command(repository)
    said = done.communicate(timeout=90)[1]
    assert done.returncode == 0 and "Traceback" not in said, said
    assert locked_nodes(repository) == ["first", "second", "third"]
    assert (repository / "first.txt").read_text() == first
    assert (repository / "third.txt").read_text() == first


@pytest.mark.slow
def test_another_dvc_at_work_is_told(repository):
    """A lock that is written right now is not taken for a broken one."""
    (repository / "dvc.lock").write_bytes(b"")
    holder = subprocess.Popen(
        [sys.executable, "-c", "import time; from dvc.repo import Repo\n"
         "with Repo('.') as repo, repo.lock:\n    print('held', flush=True); time.sleep(60)"],
        cwd=repository, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout.readline() == "held\n"
        started = time.monotonic()
        with pytest.raises(
            UserError, match=r"^dvc\.lock: not whole, and not mended: Unable to acq"
        ):
            mend_lock(repository)
        assert time.monotonic() - started < 20
        assert (repository / "dvc.lock").read_bytes() == b""
    finally:
        holder.kill()
        holder.wait()


def entry(deps: dict[str, str], outs: dict[str, str | None]) -> dict:
    def files(these):
        return [{"path": path, "md5": md5} for path, md5 in these.items()]

    return {"cmd": "x", "deps": files(deps), "outs": files(outs)}


@pytest.mark.parametrize(
    ("read", "left", "same"),
    [
        ({"a.txt": "1", "code": "9"}, {"a.txt": "1"}, True),
        ({"a.txt": "1"}, {"a.txt": "2"}, False),
        # what cannot be told from two digests is left to DVC
        ({"folder": "1"}, {"folder/a.txt": "1"}, False),
        ({"folder/a.txt": "1"}, {"folder": "1"}, False),
        ({"a.txt": "1"}, {"a.txt": None}, False),
        ({"folder": "1"}, {"folder.txt": "1"}, True),
    ],
)
def test_a_node_that_reads_what_it_read_before(read, left, same):
    """`run` starts no process for it; wherever the lock leaves a doubt, DVC is asked."""
    entries = {"before": entry({}, left), "after": entry(read, {})}
    assert reads_the_same("after", {"before"}, entries) is same
    # never run, or after one that dvc.lock does not know, such as what `dvc add` keeps
    assert not reads_the_same("new", {"before"}, entries)
    assert not reads_the_same("after", {"before", "data.dvc"}, entries)
