"""dvc.lock after a kill: DVC writes it in place, and cut off there it is left empty or half.

DVC then refuses everything, `dvc status` included. What the file lost is taken from a copy, which is
made whenever a node has ended, or from git. An entry that is older than the node's outputs costs
little: DVC finds the node in its run cache, and takes the outputs from there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lora_vs_api.config.fast_yaml import safe_loader
from lora_vs_api.conflicts import FOREIGN, LEFT_TWO, TAKE_ONE, has_conflict
from lora_vs_api.errors import UserError
from lora_vs_api.shown import one_line

LOCK = "dvc.lock"
# git and DVC leave this folder alone
COPY = Path(".dvc/tmp/dvc.lock.copy")
BROKEN = Path(".dvc/tmp/dvc.lock.broken")
SCHEMA = "2.0"
# an entry's first line
ENTRY = re.compile(r"^  \S.*:$", re.MULTILINE)
# which paths the nodes that run hold; DVC writes it in place too
HELD, HELD_GUARD = Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/rwlock.lock")

Entries = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Source:
    """Entries of dvc.lock from elsewhere: ``name`` says where; ``at`` is in seconds since 1970."""

    name: str
    at: float
    entries: Entries


def keep_copy(root: Path) -> None:
    """Copy dvc.lock beside DVC's own temporary files, if it is there and whole."""
    new = root / COPY.with_suffix(".new")
    # a copy that cannot be made, on a full disk say, stops no run
    with suppress(OSError):
        content = (root / LOCK).read_bytes()
        if whole_entries(content) is not None:
            new.write_bytes(content)
            os.replace(new, root / COPY)


def mend_lock(root: Path) -> str | None:
    """Make a dvc.lock whole that was cut off while it was written.

    DVC's own lock is held meanwhile, as by a DVC that writes.

    Returns:
        What was done, in one line; None where nothing was amiss.

    Raises:
        UserError: two versions stand in it that git could not merge, or another DVC is at work.
    """
    _mend_held(root)
    path = root / LOCK
    if not path.is_file() or whole_entries(path.read_bytes()) is not None:
        return None
    with _alone(root):
        content = path.read_bytes()
        # the one who wrote may have come to the end meanwhile
        if whole_entries(content) is not None:
            return None
        text = content.decode("utf-8", "replace")
        if has_conflict(content):
            raise UserError(f"{LOCK}: {LEFT_TWO}; {take_one(root)}, and run again")
        found = [source for source in (_from_git(root), _from_copy(root)) if source is not None]
        newest = max(found, key=lambda source: source.at, default=None)
        rescued = complete_entries(text)
        entries = {**(newest.entries if newest else {}), **rescued}
        (root / BROKEN).write_bytes(content)
        if entries:
            write_lock(path, {"schema": SCHEMA, "stages": entries})
        else:
            path.unlink()
    whence = [f"{len(rescued)} that it still held"] if rescued else []
    whence += [newest.name] if newest else []
    return (
        f"{LOCK}: {'cut off' if content.strip() else 'empty'}, as a kill leaves it; {len(entries)} "
        f"entries recovered from {' and '.join(whence) or 'nowhere: neither copy nor git has it'} "
        f"(what it was: {BROKEN})"
    )


def put_entry(root: Path, address: str, entry: Mapping[str, Any]) -> None:
    """Write the entry of a node that ran on a machine which does not share this folder.

    Raises:
        UserError: another DVC is at work here for longer than it waits.
    """
    path = root / LOCK
    with _alone(root):
        entries = (whole_entries(path.read_bytes()) if path.is_file() else None) or {}
        write_lock(path, {"schema": SCHEMA, "stages": {**entries, address: dict(entry)}})


def _mend_held(root: Path) -> None:
    """Remove DVC's list of held paths where it is cut off: who wrote it is dead, and holds nothing."""
    path = root / HELD

    def whole() -> bool:
        try:
            return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
        except FileNotFoundError:
            return True
        except ValueError:
            return False

    if whole():
        return
    from dvc.lock import make_lock

    with _explained(), make_lock(str(root / HELD_GUARD), tmp_dir=str(path.parent)):
        if not whole():
            path.unlink()


def whole_entries(content: bytes) -> Entries | None:
    """The entries of a dvc.lock; None where it is not one, or ends before its last line does."""
    try:
        text = content.decode("utf-8")
        found = yaml.load(text, safe_loader(text))
    except (UnicodeDecodeError, yaml.YAMLError, ValueError):
        return None
    if not text.endswith("\n") or not isinstance(found, dict) or found.get("schema") != SCHEMA:
        return None
    stages = found.get("stages", {})
    if not isinstance(stages, dict) or not all(map(_is_entry, stages.values())):
        return None
    return stages


def reads_the_same(address: str, needs: Collection[str], entries: Entries) -> bool:
    """Whether the nodes ``needs``, by dvc.lock, left what ``address`` read when it last ran.

    False too where dvc.lock does not tell, such as of a folder that several nodes write into.
    """
    entry = entries.get(address)
    if entry is None or not entries.keys() >= set(needs):
        return False
    made = {out["path"]: out.get("md5") for need in needs for out in entries[need].get("outs", [])}
    for dep in entry.get("deps", []):
        for path, digest in made.items():
            if path == dep["path"]:
                if digest is None or digest != dep.get("md5"):
                    return False
            elif f"{path}/".startswith(f"{dep['path']}/") or dep["path"].startswith(f"{path}/"):
                return False
    return True


def complete_entries(text: str) -> Entries:
    """The entries that a broken dvc.lock still holds whole: all before the one where it breaks off."""
    starts = [found.start() for found in ENTRY.finditer(text)]
    # from the longest beginning on; garbage may stand anywhere
    for end in reversed(starts):
        entries = whole_entries(text[:end].encode("utf-8", "replace"))
        if entries:
            return entries
    return {}


def _is_entry(value: Any) -> bool:
    """Whether it has the form of DVC's schema for an entry."""
    if not isinstance(value, dict) or not isinstance(value.get("cmd"), str | list):
        return False
    files, params = [value.get(part, []) for part in ("deps", "outs")], value.get("params", {})
    return (
        value.keys() <= {"cmd", "deps", "outs", "params"}
        and all(isinstance(part, list) and all(map(_is_file, part)) for part in files)
        and isinstance(params, dict)
        and all(isinstance(part, dict) for part in params.values())
    )


def _is_file(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("path"), str)


def _from_copy(root: Path) -> Source | None:
    try:
        content, at = (root / COPY).read_bytes(), (root / COPY).stat().st_mtime
    except OSError:
        return None
    entries = whole_entries(content)
    return None if entries is None else Source("the copy of the last run", at, entries)


def take_one(root: Path) -> str:
    """How one of the two versions that git has left is taken: git knows of them until they are added."""
    try:
        known = _git(root, "ls-files", "--unmerged", "--", LOCK)
    except OSError:
        known = b""
    if known:
        return f"take one with `git checkout --ours {LOCK}` (or --theirs)"
    return TAKE_ONE


def _git(root: Path, *arguments: str) -> bytes:
    """What a git command printed; nothing where it failed.

    Raises:
        UserError: git refuses the folder: what it has is not lost.
    """
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True)
    if FOREIGN.encode() in done.stderr:
        raise UserError(
            f"{root.resolve()}: belongs to another user, and git refuses it; expected `git config --global --add safe.directory "
            f"{shlex.quote(str(root.resolve()))}` first"
        )
    return done.stdout if done.returncode == 0 else b""


def _from_git(root: Path) -> Source | None:
    """What HEAD has, as old as the commit that last changed it."""
    try:
        entries = whole_entries(_git(root, "show", f"HEAD:./{LOCK}"))
        committed = _git(root, "log", "-1", "--format=%ct", "--", LOCK).strip()
    except OSError:
        return None
    if entries is None:
        return None
    return Source("git's HEAD", float(committed or 0), entries)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    from dvc.repo import Repo

    with _explained(), Repo(str(root)) as repo, repo.lock:
        yield


@contextmanager
def _explained() -> Iterator[None]:
    from dvc.exceptions import DvcException

    try:
        yield
    except DvcException as error:
        raise UserError(f"{LOCK}: not whole, and not mended: {one_line(error)}") from None


def write_lock(path: Path, content: Mapping[str, Any]) -> None:
    """Write dvc.lock as DVC does, but so that it is the old one or the new one at any time."""
    from dvc.utils.serialize import dump_yaml

    new = path.with_name(f"{path.name}.new")
    dump_yaml(str(new), content)
    os.replace(new, path)
