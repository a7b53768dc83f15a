"""A node on a machine that shares no folder with this one: what travels there, and its run in a checkout.

The node gets a git worktree of its own, beside the cache of the machine's checkout. What it reads comes out
of the DVC remote, with the sender's dvc.lock; what git keeps travels with the task itself.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_vs_api.files import has_died
from lora_vs_api.orchestrate.lockfile import LOCK, whole_entries
from lora_vs_api.orchestrate.pipeline import Runner, environment_of, problem_line

# of a machine whose checkout is not at the path that it has here
CHECKOUT = "LORA_VS_API_CHECKOUT"
# git and DVC leave this folder alone
WORKTREES = Path(".dvc/tmp")
LOGS = Path("logs/run")


@dataclass(frozen=True)
class Parcel:
    """A node on its way to a machine.

    Attributes:
        root: of the project here.
        remote: name and address of the DVC remote.
        lock: dvc.lock as it is here.
        given: outputs of nodes before it that git keeps.
        files: the files of these, by path.
        pulled: nodes whose outputs it needs of the DVC remote.
        kept: its own outputs that git keeps.
    """

    address: str
    root: str
    commit: str
    remote: tuple[str, str]
    lock: bytes
    given: Sequence[str]
    files: Mapping[str, bytes]
    pulled: Sequence[str]
    kept: Sequence[str]
    pushes: bool


@dataclass(frozen=True)
class Landed:
    """A node back from a machine: ``entry`` is its own of dvc.lock, ``log`` all that it said."""

    problem: str | None
    log: bytes = b""
    entry: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


def has_commit(root: str, commit: str) -> bool:
    """Whether this machine's checkout has the commit."""
    return git_in(_checkout(root), "cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def run_parcel(parcel: Parcel, environment: dict[str, str]) -> Landed:
    """Run the node in a worktree of this machine's checkout, and push what it leaves."""
    home = _checkout(parcel.root)
    host = socket.gethostname()
    _remove_left_behind(home)
    if not has_commit(parcel.root, parcel.commit):
        return Landed(f"{host}: {no_commit(parcel.root, parcel.commit)}")
    with _worktree(home, parcel) as work:
        if parcel.pulled:
            code, said = dvc_in(work, "pull", "--force", *parcel.pulled)
            if code:
                why = problem_line(said, LOGS / f"{parcel.address}.log")
                return Landed(
                    f"{host}: what it reads is not in the DVC remote: {why}", said.encode()
                )
        problem = Runner(work, LOGS).run(parcel.address, environment)
        log = read_files(work, [str(LOGS / f"{parcel.address}.log")])
        text = next(iter(log.values()), b"")
        if problem is not None:
            return Landed(f"{host}: {problem}", text)
        if parcel.pushes:
            code, said = dvc_in(work, "push", parcel.address)
            if code:
                why = problem_line(said, LOGS / f"{parcel.address}.log")
                return Landed(f"{host}: its outputs did not reach the DVC remote: {why}", text)
        entries = whole_entries((work / LOCK).read_bytes()) or {}
        return Landed(None, text, entries[parcel.address], read_files(work, parcel.kept))


def no_commit(root: str, commit: str) -> str:
    return (
        f"its checkout of this project ({root}, or where {CHECKOUT} says) has no commit "
        f"{commit[:10]}: `git fetch` there"
    )


def _checkout(root: str) -> Path:
    return Path(os.environ.get(CHECKOUT, root))


@contextmanager
def _worktree(home: Path, parcel: Parcel) -> Iterator[Path]:
    """A checkout of the commit for one node: two of one machine must not write one dvc.lock."""
    from dvc.config import Config
    from dvc.repo import Repo

    with Repo(str(home)) as repo:
        cache = repo.cache.local_cache_dir
    (home / WORKTREES).mkdir(parents=True, exist_ok=True)
    owner = f"worktree-{socket.gethostname()}-{os.getpid()}-"
    work = Path(tempfile.mkdtemp(prefix=owner, dir=home / WORKTREES))
    try:
        done = git_in(home, "worktree", "add", "--detach", "--force", str(work), parcel.commit)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        own = home / ".dvc" / "config.local"
        if own.is_file():
            shutil.copy(own, work / ".dvc")
        name, address = parcel.remote
        with Config(str(work / ".dvc")).edit("local") as config:
            config.setdefault("cache", {})["dir"] = cache
            config.setdefault("core", {})["remote"] = name
            config.setdefault("remote", {}).setdefault(name, {})["url"] = address
        if parcel.lock:
            (work / LOCK).write_bytes(parcel.lock)
        write_files(work, parcel.given, parcel.files)
        yield work
    finally:
        git_in(home, "worktree", "remove", "--force", "--force", str(work))
        shutil.rmtree(work, ignore_errors=True)


def _remove_left_behind(home: Path) -> None:
    """Remove worktrees of processes of this machine that were killed: each has a copy of its keys for the remote."""
    form = re.compile(rf"worktree-{re.escape(socket.gethostname())}-(\d{{1,9}})-[^-]*")
    places = home / WORKTREES
    for place in places.iterdir() if places.is_dir() else ():
        found = form.fullmatch(place.name)
        if found and has_died(int(found[1])):
            shutil.rmtree(place, ignore_errors=True)
            git_in(home, "worktree", "prune")


def read_files(root: Path, paths: Sequence[str]) -> dict[str, bytes]:
    """The files, those of folders one by one."""
    found = {}
    for path in paths:
        place = root / path
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file():
                found[str(file.relative_to(root))] = file.read_bytes()
    return found


def write_files(root: Path, outs: Sequence[str], files: Mapping[str, bytes]) -> None:
    """Put the files in place of what ``outs`` were: a folder may have had others."""
    for out in outs:
        if (root / out).is_dir():
            shutil.rmtree(root / out)
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def git_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
    )


def dvc_in(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code of a dvc command, and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=folder, env=environment_of(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout
