"""The disk under a response store: what kind it is, whether there is room, and a reserve of it."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Final, Literal

from filelock import SoftFileLock, Timeout

from lora_vs_api.errors import UserError
from lora_vs_api.files import has_died
from lora_vs_api.log import say

# types of /proc/self/mountinfo whose files are on another machine, or as if they were
NETWORK: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "beegfs", "gpfs"),
        *("panfs", "glusterfs", "orangefs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph"),
        *("fuse.s3fs", "fuse.rclone", "fuse.juicefs"),
    }
)
# a proof of room by writing is for what can be written at once; the rest is looked up
MOST_HELD = 2**30
# how long another process may have a store open that lies on a network file system
WRITER_SECONDS: Final = 3600.0
# between two looks, and how long nothing is said of waiting: in batch mode each look at a batch takes a moment
LOOK_SECONDS, SILENT_SECONDS = 2.0, 5.0
MOUNTS = Path("/proc/self/mountinfo")


def journal_mode(folder: Path, mounts: Path = MOUNTS) -> Literal["wal", "delete"]:
    """How SQLite keeps a transaction whole in ``folder``.

    Write-ahead logging needs memory that all processes share, and so one machine
    (https://www.sqlite.org/wal.html): over a network, as between the machines of a cluster, it
    would lose answers. There the older rollback journal is taken.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "wal"
    kinds: dict[str, str] = {}
    for line in lines:
        place, _, filesystem = line.partition(" - ")
        # a later mount hides an earlier one of the same place
        kinds[place.split()[4].replace("\\040", " ")] = filesystem.split()[0]
    here = folder.resolve()
    for place in (str(here), *map(str, here.parents)):
        if place in kinds:
            return "delete" if kinds[place] in NETWORK else "wal"
    return "wal"


def one_writer(path: Path, patience: float = WRITER_SECONDS) -> SoftFileLock:
    """Wait until no other process, of whatever machine, has the store at ``path`` open; then nobody else has.

    By a file beside it that only one can make: SQLite's own locks are those of the file system, which
    some network file systems do not have (https://www.sqlite.org/faq.html#q5). One that a dead process
    of this machine has left is removed.

    Raises:
        UserError: another has it open for longer than ``patience`` seconds.
        OSError: the file cannot be made.
    """
    lock = SoftFileLock(f"{path}.writer", thread_local=False)
    began, told = time.monotonic(), False
    while True:
        with suppress(Timeout):
            lock.acquire(timeout=0)
            return lock
        if _remove_left_behind(Path(lock.lock_file)):
            continue
        waited = time.monotonic() - began
        if waited >= min(SILENT_SECONDS, patience) and not told:
            say(f"{_held(path, lock)}; waiting for its end")
            told = True
        if waited >= patience:
            raise UserError(
                f"{_held(path, lock)}. Where that process is dead, remove {lock.lock_file}; a store on a disk "
                "of one machine has no such limit"
            )
        time.sleep(min(LOOK_SECONDS, patience))


def _held(path: Path, lock: SoftFileLock) -> str:
    holder = _holder(Path(lock.lock_file))
    who = "another has" if holder is None else f"PID {holder[0]} on {holder[1]} has"
    return (
        f"{path} is on a network file system, where one process at a time may have it open: {who}"
    )


def _holder(file: Path) -> tuple[str, str] | None:
    """Who has the store open, by what it wrote into its file: PID and host, a line each."""
    try:
        pid, host = file.read_text(encoding="utf-8").split("\n")[:2]
    except (OSError, ValueError):
        return None
    return pid, host


def _remove_left_behind(file: Path) -> bool:
    """Remove the file of a process of this machine that is dead, and say so.

    filelock does it by swapping two names, which NFS refuses.
    """
    holder = _holder(file)
    if holder is None or not _was_here(holder):
        return False
    aside = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        os.rename(file, aside)
    except OSError:
        # another was quicker
        return False
    found = _holder(aside)
    left = found is not None and _was_here(found)
    if not left:
        # another was quicker, and holds the store: its file goes back
        with suppress(OSError):
            os.link(aside, file)
    aside.unlink(missing_ok=True)
    if left:
        say(f"{file}: PID {holder[0]}, which had the store open, is dead: removed")
    return left


def _was_here(holder: tuple[str, str]) -> bool:
    """Whether it was a process of this machine that is no more."""
    pid, host = holder
    return pid.isdecimal() and host == _this_host() and has_died(int(pid))


@cache
def _this_host() -> str:
    """This machine as filelock names it, with more than its host name: told by a file that it writes."""
    with tempfile.TemporaryDirectory() as folder, SoftFileLock(f"{folder}/lock") as lock:
        holder = _holder(Path(lock.lock_file))
    return "" if holder is None else holder[1]


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written in ``folder``, quotas aside."""
    return shutil.disk_usage(folder).free


class Reserve:
    """Bytes of the disk of ``folder``, held by a file without a name that ends with the process.

    Let go of, they have room for the answers that were in flight when the disk was found full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None

    def hold(self, expected: int, kept: int) -> None:
        """Take ``expected`` bytes, to see that they are there, and keep ``kept`` of them.

        Raises:
            OSError: they are not, or nothing can be written there.
        """
        self.let_go()
        if free_bytes(self._folder) < expected:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file = tempfile.TemporaryFile(dir=self._folder, prefix=".room-")  # noqa: SIM115  (held)
        try:
            _fill(file, min(max(expected, kept), MOST_HELD))
            file.truncate(kept)
        except BaseException:
            file.close()
            raise
        self._file = file

    def let_go(self) -> bool:
        """Give the bytes back; whether there were any."""
        held, self._file = self._file, None
        if held is not None:
            held.close()
        return held is not None


def _fill(file: IO[bytes], size: int) -> None:
    """Make ``file`` take ``size`` bytes of the disk, so that no other can have them."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    block = bytes(2**20)
    for start in range(0, size, len(block)):
        file.write(block[: size - start])
    file.flush()
