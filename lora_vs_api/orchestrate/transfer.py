"""Nodes on machines that share no folder, as seen from here: a checkout of the same commit there, outputs through
the DVC remote. What a node leaves comes back, and its entry is written into dvc.lock here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate.expenses import asks_api
from lora_vs_api.orchestrate.lockfile import LOCK, put_entry
from lora_vs_api.orchestrate.parcel import (
    LOGS,
    Landed,
    Parcel,
    dvc_in,
    git_in,
    read_files,
    write_files,
)
from lora_vs_api.orchestrate.pipeline import problem_line
from lora_vs_api.orchestrate.scheduler import Node

if TYPE_CHECKING:
    from lora_vs_api.config.sections import Params


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
            code, said = dvc_in(root, "push", *sorted(ready))
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
        done = git_in(self._root, "rev-parse", "HEAD")
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
        named = git_in(self._root, *asked).stdout.split("\0")
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
            read_files(self._root, given),
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
                write_files(self._root, kept, landed.files)
                put_entry(self._root, address, landed.entry)
            except (OSError, UserError) as error:
                return f"done, and not here: {error}"
            if any(self._outs[address].values()):
                code, said = dvc_in(self._root, "pull", "--force", address)
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


def _is_under(path: str, places: Collection[str]) -> bool:
    """Whether it is one of the places, or in a folder that is one."""
    return any(place in places for place in (path, *map(str, PurePath(path).parents)))
