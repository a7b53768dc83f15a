"""A node runs in one place at a time, whatever host it is on: who runs it holds a claim, and renews it.

DVC's own locks name a process of one machine. A claim is a file in this folder, which all machines
share: made by the process that guards the node, touched every few seconds and removed at its end. One
that nobody has touched for a minute is of a machine that died, and may be taken over; a guard that
finds its claim taken ends its node.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

# git and DVC leave this folder alone
FOLDER = Path(".dvc/tmp/claims")
BEAT_SECONDS, STALE_SECONDS = 5.0, 60.0


@dataclass(frozen=True)
class Holder:
    """Who runs a node: ``token`` is that of this start; ``pids`` names a table of processes."""

    token: str
    host: str
    pids: str
    pid: int

    @property
    def here(self) -> bool:
        """Whether its process would be seen on this machine, if it lived."""
        return (self.host, self.pids) == (socket.gethostname(), _process_table())


def holder_here() -> Holder:
    """This process, with a new token."""
    return Holder(secrets.token_hex(8), socket.gethostname(), _process_table(), os.getpid())


class Claim:
    """The claim on one node; ``root`` is the project's folder."""

    def __init__(self, root: Path, address: str) -> None:
        self.path = root / FOLDER / address
        self.mine = holder_here()

    def take(self) -> Holder | None:
        """Take the claim: None, or who has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f"{self.path.name}.{self.mine.token}")
        new.write_text(json.dumps(asdict(self.mine)), encoding="utf-8")
        try:
            while True:
                try:
                    # unlike a file that is made and then written, whole from the start; of two that
                    # try at the same time, on whatever machines, one gets it
                    _put(new, self.path)
                    return None
                except FileExistsError:
                    holder = living_holder(self.path)
                    if holder is not None:
                        return holder
                    self._remove_stale()
        finally:
            new.unlink(missing_ok=True)

    def renew(self) -> bool:
        """Say that this process lives; False where another has taken the claim over."""
        # a file server that is away for a moment takes no claim away, nor who empties .dvc/tmp
        with suppress(OSError):
            holder = _holder(self.path)
            if holder is None:
                return self.take() is None
            if holder != self.mine:
                return False
            os.utime(self.path)
        return True

    def release(self) -> None:
        with suppress(OSError):
            if _holder(self.path) == self.mine:
                self.path.unlink()

    def _remove_stale(self) -> None:
        """Move it aside, and look at what was moved: another may have been quicker, and hold it now."""
        aside = self.path.with_name(f"{self.path.name}.{self.mine.token}.stale")
        with suppress(FileNotFoundError):
            os.rename(self.path, aside)
            if living_holder(aside) is not None:
                with suppress(FileExistsError):
                    _put(aside, self.path)
            aside.unlink(missing_ok=True)


def claims(root: Path) -> Iterator[tuple[str, Holder]]:
    """The nodes that run now, wherever, each with who runs it."""
    folder = root / FOLDER
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        # an address has no dot; what has one is on its way
        holder = living_holder(path) if "." not in path.name else None
        if holder is not None:
            yield path.name, holder


def living_holder(path: Path) -> Holder | None:
    """Who holds the claim; None where it is not there, or its holder is dead."""
    holder = _holder(path)
    if holder is None:
        return None
    if holder.here and not _is_alive(holder.pid):
        return None
    try:
        # opened: a network file system then asks its server how old it is
        with path.open("rb") as stream:
            touched = os.fstat(stream.fileno()).st_mtime
        # by the file server's clock, as that is
        probe = path.with_name(f"{path.name}.{secrets.token_hex(4)}.now")
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
    except FileNotFoundError:
        return None
    return holder if now - touched < STALE_SECONDS else None


def wait_until_taken(claim: Claim, pause: float = 2.0) -> None:
    """Take the claim as soon as it is free, and say who holds it."""
    said = False
    while (holder := claim.take()) is not None:
        if not said:
            print(
                f"{claim.path.name} runs on {holder.host} (PID {holder.pid}): waiting for its end",
                flush=True,
            )
            said = True
        time.sleep(pause)


def _put(new: Path, path: Path) -> None:
    """Give the file a second name, which must be free; on a disk without such, make it in two steps.

    Raises:
        FileExistsError: there is one of that name.
    """
    try:
        os.link(new, path)
    except FileExistsError:
        raise
    except OSError:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(new.read_text(encoding="utf-8"))


def _holder(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        # of another version, or garbage: nobody's
        return None


def _process_table() -> str:
    """What tells containers of one host name apart; empty where the system has no such thing."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
