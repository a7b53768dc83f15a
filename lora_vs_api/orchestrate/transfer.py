"""Nodes on machines that share no folder: a checkout of the same commit there, outputs through the DVC remote.

Each node gets a git worktree of its own, beside the cache of the machine's checkout. What it reads comes out
of the DVC remote, with this folder's dvc.lock; what git keeps travels with the task itself. What it leaves
goes the same ways back, and its entry is written into dvc.lock here.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from lora_vs_api.errors import UserError
from lora_vs_api.files import has_died
from lora_vs_api.orchestrate.expenses import asks_api
from lora_vs_api.orchestrate.lockfile import LOCK, put_entry, whole_entries
from lora_vs_api.orchestrate.pipeline import Runner, environment_of, problem_line
from lora_vs_api.orchestrate.scheduler import Node

if TYPE_CHECKING:
    from lora_vs_api.config.sections import Params

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


class Transfer:
    """This folder's side: what is sent and what comes back.

    Raises:
        UserError: no DVC remote is set, files differ from what is committed or added, or inputs cannot be pushed.
    """

    def __init__(self, root: Path, nodes: Sequence[Node], changed: set[str]) -> None:
        from dvc.repo import Repo

        self._root, self._needs = root, {node.address: node.needs for node in nodes}
        self._landing = threading.Lock()
        with Repo(str(root)) as repo:
            name = repo.config["core"].get("remote")
            if not name:
                raise UserError(
                    "--transfer remote: no DVC remote is set, and outputs travel through it: "
                    "`dvc remote add -d NAME URL`"
                )
            self._remote = name, str(repo.config["remote"][name]["url"])
            # path → whether DVC keeps it, else git does
            self._outs = {
                stage.addressing: {
                    os.path.relpath(out.fs_path, root): out.use_cache for out in stage.outs
                }
                for stage in repo.index.stages
            }
            data = [
                s.addressing for s in repo.index.stages if not s.cmd and s.addressing in changed
            ]
            # a file that `dvc add` made stands in git for what it names
            read = {"dvc.yaml", *(need for need in self._all_needs() if need.endswith(".dvc"))}
            read |= {
                os.path.relpath(dep.fs_path, root)
                for stage in repo.index.stages
                if stage.addressing in self._needs
                for dep in stage.deps
            }
        if data:
            raise UserError(
                f"--transfer remote: {data[0]} is not as `dvc add` left it: `dvc add` its file, or `dvc checkout` it"
            )
        self.commit = self._committed()
        self._refuse_untracked(read)
        ready = self._all_needs() - changed
        ready = {need for need in ready if any(self._outs[need].values())}
        if ready:
            code, said = _dvc(root, "push", *sorted(ready))
            if code:
                raise UserError(
                    f"--transfer remote: what the nodes read is not in the remote {name}: "
                    f"{problem_line(said, Path('dvc push'))}"
                )

    def _committed(self) -> str:
        """The commit that machines check out.

        Raises:
            UserError: what nodes read differs from it here.
        """
        done = _git(self._root, "rev-parse", "HEAD")
        if done.returncode:
            raise UserError(f"--transfer remote: {done.stderr.strip().splitlines()[0]}")
        own = self._no_outputs("diff", "--name-only", "--relative", "-z", "HEAD")
        if own:
            more = f" and {len(own) - 1} more" if len(own) > 1 else ""
            raise UserError(
                f"--transfer remote: {own[0]}{more} differ from the last commit, which is what the "
                "machines have: commit first"
            )
        return done.stdout.strip()

    def _refuse_untracked(self, read: Collection[str]) -> None:
        """Refuse files that nodes read and no commit has: DVC here counts them, and no machine gets them.

        Raises:
            UserError: naming the first.
        """
        found = self._no_outputs("ls-files", "--others", "--exclude-standard", "-z")
        own = [path for path in found if _is_under(path, read)]
        if own:
            more = f" and {len(own) - 1} more" if len(own) > 1 else ""
            raise UserError(
                f"--transfer remote: {own[0]}{more}: read by the nodes and neither in git nor in DVC, so the "
                "machines do not have it: `git add` it and commit, or `dvc add` it"
            )

    def _no_outputs(self, *asked: str) -> list[str]:
        """The paths that git names, without dvc.lock and what nodes write."""
        outs = {path for these in self._outs.values() for path in these}
        named = _git(self._root, *asked).stdout.split("\0")
        return [path for path in named if path and path != LOCK and not _is_under(path, outs)]

    def _all_needs(self) -> set[str]:
        return {need for needs in self._needs.values() for need in needs}

    def parcel(self, address: str) -> Parcel:
        before = [self._outs[need] for need in self._needs[address]]
        given = [path for outs in before for path, cached in outs.items() if not cached]
        own = self._outs[address]
        return Parcel(
            address,
            str(self._root),
            self.commit,
            self._remote,
            (self._root / LOCK).read_bytes() if (self._root / LOCK).is_file() else b"",
            given,
            _read(self._root, given),
            sorted(need for need in self._needs[address] if any(self._outs[need].values())),
            [path for path, cached in own.items() if not cached],
            any(own.values()),
        )

    def land(self, address: str, landed: Landed) -> str | None:
        """Put what a machine has sent into this folder: None, or what went wrong there or here."""
        # dvc.lock is one file, and DVC's lock is of one process
        with self._landing:
            log = self._root / LOGS / f"{address}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(landed.log)
            if landed.problem is not None:
                return landed.problem
            kept = [path for path, cached in self._outs[address].items() if not cached]
            try:
                # before the entry, which says that they are here; a pull asks the entry what to bring, and
                # one that fails leaves it: what the node made is then still known
                _write(self._root, kept, landed.files)
                put_entry(self._root, address, landed.entry)
            except (OSError, UserError) as error:
                return f"done, and not here: {error}"
            if any(self._outs[address].values()):
                code, said = _dvc(self._root, "pull", "--force", address)
                if code:
                    return f"done, and not here: `dvc pull {address}`: {problem_line(said, log)}"
        return None


def refuse_asking(addresses: Iterable[str], params: Params) -> None:
    """Refuse nodes that ask an API: its answers would be kept in a worktree, and be gone with it.

    Nor would those be found that were paid for here.

    Raises:
        UserError: naming them, and how they are run.
    """
    asking = [address for address in addresses if asks_api(address, params)]
    if asking:
        raise UserError(
            f"--transfer remote: {', '.join(asking)}: would ask an API from another machine, which has not the "
            f"response store; run first, here: `lora-vs-api run {' '.join(asking)}`"
        )


def has_commit(root: str, commit: str) -> bool:
    """Whether this machine's checkout has the commit."""
    return _git(_checkout(root), "cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def run_parcel(parcel: Parcel, environment: dict[str, str]) -> Landed:
    """Run the node in a worktree of this machine's checkout, and push what it leaves."""
    home = _checkout(parcel.root)
    host = socket.gethostname()
    _remove_left_behind(home)
    if not has_commit(parcel.root, parcel.commit):
        return Landed(f"{host}: {no_commit(parcel.root, parcel.commit)}")
    with _worktree(home, parcel) as work:
        if parcel.pulled:
            code, said = _dvc(work, "pull", "--force", *parcel.pulled)
            if code:
                why = problem_line(said, LOGS / f"{parcel.address}.log")
                return Landed(
                    f"{host}: what it reads is not in the DVC remote: {why}", said.encode()
                )
        problem = Runner(work, LOGS).run(parcel.address, environment)
        log = _read(work, [str(LOGS / f"{parcel.address}.log")])
        text = next(iter(log.values()), b"")
        if problem is not None:
            return Landed(f"{host}: {problem}", text)
        if parcel.pushes:
            code, said = _dvc(work, "push", parcel.address)
            if code:
                why = problem_line(said, LOGS / f"{parcel.address}.log")
                return Landed(f"{host}: its outputs did not reach the DVC remote: {why}", text)
        entries = whole_entries((work / LOCK).read_bytes()) or {}
        return Landed(None, text, entries[parcel.address], _read(work, parcel.kept))


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
        done = _git(home, "worktree", "add", "--detach", "--force", str(work), parcel.commit)
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
        _write(work, parcel.given, parcel.files)
        yield work
    finally:
        _git(home, "worktree", "remove", "--force", "--force", str(work))
        shutil.rmtree(work, ignore_errors=True)


def _remove_left_behind(home: Path) -> None:
    """Remove worktrees of processes of this machine that were killed: each has a copy of its keys for the remote."""
    form = re.compile(rf"worktree-{re.escape(socket.gethostname())}-(\d{{1,9}})-[^-]*")
    places = home / WORKTREES
    for place in places.iterdir() if places.is_dir() else ():
        found = form.fullmatch(place.name)
        if found and has_died(int(found[1])):
            shutil.rmtree(place, ignore_errors=True)
            _git(home, "worktree", "prune")


def _is_under(path: str, places: Collection[str]) -> bool:
    """Whether it is one of the places, or in a folder that is one."""
    return any(place in places for place in (path, *map(str, PurePath(path).parents)))


def _read(root: Path, paths: Sequence[str]) -> dict[str, bytes]:
    """The files, those of folders one by one."""
    found = {}
    for path in paths:
        place = root / path
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file():
                found[str(file.relative_to(root))] = file.read_bytes()
    return found


def _write(root: Path, outs: Sequence[str], files: Mapping[str, bytes]) -> None:
    """Put the files in place of what ``outs`` were: a folder may have had others."""
    for out in outs:
        if (root / out).is_dir():
            shutil.rmtree(root / out)
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
    )


def _dvc(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code of a dvc command, and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=folder, env=environment_of(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout
