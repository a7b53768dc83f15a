"""The disk under a response store: what kind it is, whether there is room, and a reserve of it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, Final, Literal

from filelock import SoftFileLock, Timeout

from lora_vs_api.errors import UserError
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
    try:
        lock.acquire(timeout=0)
        return lock
    except Timeout:
        said = f"{path} is on a network file system, where one process at a time may have it open: {_holder(lock)}"
        say(f"{said}; waiting for its end")
    try:
        lock.acquire(timeout=patience, poll_interval=2.0)
    except Timeout:
        raise UserError(
            f"{said}. Where that process is dead, remove {lock.lock_file}; a store on a disk of one "
            "machine has no such limit"
        ) from None
    return lock


def _holder(lock: SoftFileLock) -> str:
    """Who has the store open, by what it wrote into its file: PID and host, a line each."""
    try:
        pid, host = Path(lock.lock_file).read_text(encoding="utf-8").split("\n")[:2]
    except (OSError, ValueError):
        return "another has"
    return f"PID {pid} on {host} has"


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
