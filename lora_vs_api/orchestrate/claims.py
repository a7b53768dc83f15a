"""A node runs in one place at a time, whatever host it is on: who runs it holds a claim, and renews it.

DVC's own locks name a process of one machine. A claim is a file in this folder, which all machines
share: made by the process that guards the node, touched every few seconds and removed at its end. One
that nobody has touched for a minute is of a machine that died, and may be taken over; a guard that
finds its claim taken ends its node. On the holder's own machine the process itself is looked at, and
no clock.
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

from lora_vs_api.files import has_died

# git and DVC leave this folder alone
FOLDER = Path(".dvc/tmp/claims")
# within it: of a search's trials, which run in copies of this folder, so that no node waits for them
TRIALS = "trials"
# no node is called so: of a trial that is being started, for which DVC changes this very folder
STARTING = "search-starts"
BEAT_SECONDS, STALE_SECONDS = 5.0, 60.0
# a claim without a holder's name may be one that is being written, for so long
WRITTEN_SECONDS = 5.0
# what no address begins with: files on their way to a claim or from it
OWN = "."
LARGEST_PID = 2**31 - 1
ENDED = "ended"


@dataclass(frozen=True)
class Holder:
    """Who runs a node: ``token`` is that of this start; ``pids`` names a table of processes.

    ``started`` tells the process from a later one of the same ``pid``; empty where the system does not.
    """

    token: str
    host: str
    pids: str
    pid: int
    started: str = ""

    def __str__(self) -> str:
        return (
            f"{self.host} (PID {self.pid})" if self.host else "a host that is just writing its name"
        )

    @property
    def here(self) -> bool:
        """Whether its process would be seen on this machine, if it lived."""
        return (self.host, self.pids) == (socket.gethostname(), _process_table())

    @property
    def lives_here(self) -> bool | None:
        """Whether it is a process of this machine that lives; None where that cannot be seen from here."""
        if not self.here:
            return None
        now = _start_of(self.pid)
        if now == ENDED or has_died(self.pid):
            return False
        return now == self.started if now and self.started else None


def holder_here() -> Holder:
    """This process, with a new token."""
    pid = os.getpid()
    return Holder(secrets.token_hex(8), socket.gethostname(), _process_table(), pid, _start_of(pid))


# of a claim whose holder's name is not there yet
UNNAMED = Holder("", "", "", 0)


class Claim:
    """The claim on one node; ``root`` is the project's folder."""

    def __init__(self, root: Path, address: str) -> None:
        self.path = root / FOLDER / address
        self.mine = holder_here()

    def take(self) -> Holder | None:
        """Take the claim: None, or who has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f"{OWN}{self.mine.token}.new")
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
        aside = self.path.with_name(f"{OWN}{self.mine.token}.stale")
        with suppress(FileNotFoundError):
            os.rename(self.path, aside)
            if living_holder(aside) is not None:
                with suppress(FileExistsError):
                    _put(aside, self.path)
            aside.unlink(missing_ok=True)


def claims(root: Path, within: str = "") -> Iterator[tuple[str, Holder]]:
    """What runs now in this folder, wherever, each with who runs it; of a claim that cannot be read, nothing.

    ``within``: TRIALS, for those of a search.
    """
    folder = root / FOLDER / within
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        if name.startswith(OWN) or name == TRIALS:
            continue
        holder = None
        with suppress(OSError):
            holder = living_holder(folder / name)
        if holder is not None:
            yield name, holder


def living_holder(path: Path) -> Holder | None:
    """Who holds the claim; None where it is not there, or its holder is dead.

    Raises:
        OSError: it is there and cannot be read.
    """
    holder = _holder(path)
    alive = None if holder is None else holder.lives_here
    if alive is not None:
        return holder if alive else None
    age = _age(path)
    if age is None:
        return None
    if holder is None:
        # a disk without hard links shows a claim before its text is there
        return UNNAMED if age < WRITTEN_SECONDS else None
    return holder if age < STALE_SECONDS else None


def _age(path: Path) -> float | None:
    """Seconds between the last touch and now, whichever is later, as clocks jump; None where it is gone."""
    try:
        # opened: a network file system then asks its server how old it is
        with path.open("rb") as stream:
            touched = os.fstat(stream.fileno()).st_mtime
    except FileNotFoundError:
        return None
    return abs(_now_beside(path) - touched)


def _now_beside(path: Path) -> float:
    """The time by the clock of the disk that the file is on; this machine's where nothing can be written."""
    probe = path.with_name(f"{OWN}{secrets.token_hex(8)}.now")
    try:
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
    except OSError:
        return time.time()
    return now


def wait_until_taken(claim: Claim, pause: float = 2.0) -> None:
    """Take the claim as soon as it is free, and say who holds it."""
    said = False
    while (holder := claim.take()) is not None:
        if not said:
            print(f"{claim.path.name} runs on {holder}: waiting for its end", flush=True)
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
    """Who is named; None where there is no file, or one of another version, or garbage: nobody's."""
    try:
        holder = Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    words = (holder.token, holder.host, holder.pids, holder.started)
    named = all(isinstance(word, str) for word in words) and type(holder.pid) is int
    return holder if named and 0 < holder.pid <= LARGEST_PID else None


def _process_table() -> str:
    """What tells containers of one host name apart; empty where the system has no such thing."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _start_of(pid: int) -> str:
    """The boot and the tick at which the process began; ENDED of a zombie, empty where it is not told."""
    try:
        # after its name, which may hold anything: the state, and as the 20th the tick
        told = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return ENDED if told[0] in "ZX" else f"{boot} {told[19]}"
    except (OSError, IndexError):
        return ""
