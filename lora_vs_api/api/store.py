"""Every answer that was paid for, kept at once in one SQLite file.

The file is no output of any node: reruns, new analyses and other branches find in it what they
would otherwise pay for again. Only answers are kept, never errors. Write-ahead logging with
full synchronisation means that a row is on disk once ``put`` returns, whatever is killed then
(https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lora_vs_api.api import keys
from lora_vs_api.api.holder import has_died, new_holder
from lora_vs_api.api.provider import host_of
from lora_vs_api.api.store_disk import Reserve, free_bytes, journal_mode, one_writer
from lora_vs_api.api.store_rows import (
    ADDITIONS,
    COLUMNS,
    VERSION,
    answer_of,
    checked_rows,
    create_tables,
    messages_of,
    row_of,
)
from lora_vs_api.api.types import Answer, ApiCondition, Mode, Reply, Request
from lora_vs_api.api.wire import request_body
from lora_vs_api.errors import UserError
from lora_vs_api.files import DISK_FULL

# how long another process may hold the file for its own writing
BUSY_SECONDS = 60.0
# under so many free bytes, an error of input and output is that of a full disk
NEARLY_FULL = 2**20
UNLOCKABLE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL", "SQLITE_IOERR_LOCK")


class DiskFull(UserError):
    """There is no room for an answer."""


def request_text(
    request: Request, condition: ApiCondition, base_url: str, mode: Mode = "live"
) -> str:
    """Everything that determines an answer, as canonical JSON: host, endpoint, body, replicate.

    Of ``base_url`` only host and port are taken: an address may carry a password. The mode counts
    since an answer's price and latency belong to it.
    """
    content = {
        "host": host_of(base_url),
        "endpoint": condition.endpoint,
        "body": request_body(request, condition),
        "replicate": request.replicate,
        "mode": mode,
    }
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def request_key(text: str) -> str:
    """SHA-256 of :func:`request_text`, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Failure:
    """How often a request has failed in batches, over all runs, and why the last time."""

    attempts: int
    reason: str


@dataclass(frozen=True)
class Imported:
    """Of exported rows: how many were new, how many here already, and how many of these otherwise.

    What was here stays: an answer is what was first paid for.
    """

    new: int
    known: int
    differing: int


@dataclass(frozen=True)
class OpenBatch:
    """A batch at the provider; without ``batch_id`` it is not known whether it was submitted."""

    token: str
    batch_id: str | None
    texts: frozenset[str]


class ResponseStore:
    """The answers under ``path``; processes may share it. Use as a context manager.

    On a network file system one process has it at a time, and others wait for its end.

    Raises:
        UserError: the file cannot be opened, read or written, or is not such a store.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._holder = new_holder()
        self.is_lent = False
        with self._explained("opened"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._reserve = Reserve(self.path.parent)
            mode = journal_mode(self.path.parent)
            # of several processes, which may be of several machines
            self._writer = one_writer(self.path) if mode == "delete" else None
            try:
                self._open(mode)
            except BaseException:
                self._give_back()
                raise

    def _open(self, mode: str) -> None:
        self._db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        found = self._db.execute("pragma user_version").fetchone()[0]
        tables = self._db.execute("select count(*) from sqlite_master").fetchone()[0]
        if found not in (1, VERSION) and (found or tables):
            raise UserError(
                f"{keys.STORE}: {self.path} is a database of something else, or of another "
                f"version (found {found}, expected {VERSION}); name another file"
            )
        self._db.execute(f"pragma journal_mode = {mode}")
        self._db.execute("pragma synchronous = full")
        if found != VERSION:
            create_tables(self._db)
        for statement in ADDITIONS:
            self._db.execute(statement)

    def __enter__(self) -> ResponseStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self._reserve.let_go()
        self._db.close()
        self._give_back()

    def _give_back(self) -> None:
        if self._writer is not None:
            self._writer.release()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """While the block runs, which must not use the store, another process may have it.

        Of effect on a network file system alone. A batch may take a day, and others wait for an hour.

        Raises:
            UserError: another has it open for longer than that; claims and batches stay noted.
        """
        if self._writer is None:
            yield
            return
        self.is_lent = True
        self._db.close()
        self._writer.release()
        # not where the block is interrupted: that must not wait for another
        yield
        with self._explained("opened"):
            self._writer = one_writer(self.path)
            self._open("delete")
        self.is_lent = False

    def make_room(self, expected: int, in_flight: int) -> None:
        """See that ``expected`` bytes of answers can be written, and hold room for those in flight.

        Raises:
            UserError: there is too little room, or the store or its folder cannot be written.
        """
        with self._explained("written"):
            self._reserve.hold(expected, in_flight)
        with self._writing() as db:
            # a change that is really written, unlike one of nothing
            db.execute("insert or replace into claims values ('', ?, 0)", (self._holder,))
            db.execute("delete from claims where key = ''")

    def __len__(self) -> int:
        with self._explained("read"):
            return int(self._db.execute("select count(*) from answers").fetchone()[0])

    def get(self, key: str, identity: str) -> Answer | None:
        """The answer kept under ``key``, given the request's ``identity``; None when there is none."""
        with self._explained("read"):
            row = self._db.execute("select * from answers where key = ?", (key,)).fetchone()
        return None if row is None else answer_of(row, identity)

    def put(self, text: str, answer: Answer) -> None:
        """Keep ``answer`` to the request of ``text``; what is kept already stays.

        Raises:
            DiskFull: the disk is full. The answer is kept all the same where room was held.
        """
        row = (request_key(text), row_of(text, answer, _now()))
        try:
            self._insert([row])
        except DiskFull:
            if self._reserve.let_go():
                self._insert([row])
            raise

    def is_anothers(self, text: str, reply: Reply) -> bool | None:
        """Whether ``reply`` was stored as the answer to another text of the same server.

        None where its id stands with several outputs: the server's ids do not tell answers apart.
        """
        if not reply.response_id:
            return False
        with self._explained("read"):
            rows = self._db.execute(
                "select request, output from answers where response_id = ? limit 100",
                (reply.response_id,),
            ).fetchall()
        ours = json.loads(text)
        theirs = [(json.loads(row["request"]), row["output"]) for row in rows]
        same = [(asked, output) for asked, output in theirs if asked["host"] == ours["host"]]
        if any(output != reply.output for _, output in same):
            return None
        return any(messages_of(asked) != messages_of(ours) for asked, _ in same)

    def failed(self, text: str, reason: str) -> None:
        """Count a failure of the request of ``text`` in a batch."""
        with self._writing() as db:
            db.execute(
                "insert into failures values (?, 1, ?, ?) on conflict do update set "
                "attempts = attempts + 1, reason = excluded.reason, last_at = excluded.last_at",
                (request_key(text), reason.encode("utf-8", "replace").decode(), _now()),
            )

    def failure(self, text: str) -> Failure | None:
        """How the request of ``text`` has failed so far; None where it never did."""
        with self._explained("read"):
            row = self._db.execute(
                "select attempts, reason from failures where key = ?", (request_key(text),)
            ).fetchone()
        return None if row is None else Failure(row["attempts"], row["reason"])

    def discard(self, text: str) -> None:
        """Forget the answer to the request of ``text``: it turned out to be another's."""
        with self._writing() as db:
            db.execute("delete from answers where key = ?", (request_key(text),))

    def claim(self, text: str, seconds: float) -> bool:
        """Take the request of ``text`` to be asked by this store alone, for so many seconds.

        A claim can be made again, which renews it. It ends with the answer, with ``release`` and
        with its time; one of a process of this machine that is no more does not count.

        Returns:
            False where another holds it, or the answer is here.
        """
        key, now = request_key(text), time.time()
        with self._writing() as db:
            if db.execute("select 1 from answers where key = ?", (key,)).fetchone():
                return False
            other = db.execute(
                "select holder from claims where key = ? and holder <> ? and until > ?",
                (key, self._holder, now),
            ).fetchone()
            if other and not has_died(other["holder"]):
                return False
            db.execute(
                "insert or replace into claims values (?, ?, ?)",
                (key, self._holder, now + seconds),
            )
            return True

    def renew(self, seconds: float) -> None:
        """Hold every claim of this store for so many seconds from now on."""
        with self._writing() as db:
            db.execute(
                "update claims set until = ? where holder = ?",
                (time.time() + seconds, self._holder),
            )

    def release(self) -> None:
        """Give up every claim of this store."""
        with self._writing() as db:
            db.execute("delete from claims where holder = ?", (self._holder,))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row as a plain mapping, by key, for an export."""
        with self._explained("read"):
            for row in self._db.execute("select * from answers order by key"):
                yield {**row, "request": json.loads(row["request"])}

    def add_rows(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> Imported:
        """Take over exported rows, each with its place for messages.

        Either all are taken over or none. Of rows of the first version, which held less, the rest
        is unknown.

        Raises:
            UserError: naming the places of rows that are no exported answers, and what is wrong.
        """
        checked = checked_rows(rows, request_key)
        differing = 0
        for key, columns in checked.items():
            kept = self.get(key, "")
            differing += kept is not None and kept.reply.output != columns["output"]
        new = self._insert(list(checked.items()))
        return Imported(new, len(checked) - new, differing)

    def begin_batch(self, token: str, host: str, texts: Iterable[str]) -> None:
        """Note that a batch of these requests is about to be submitted, before it is."""
        with self._writing() as db:
            db.execute(
                "insert into batches values (?, ?, null, ?, ?)",
                (token, host, json.dumps(list(texts)), _now()),
            )

    def submitted_batch(self, token: str, batch_id: str) -> None:
        with self._writing() as db:
            db.execute("update batches set batch_id = ? where token = ?", (batch_id, token))

    def end_batch(self, token: str) -> None:
        """Its answers are here, or there will be none."""
        with self._writing() as db:
            db.execute("delete from batches where token = ?", (token,))
            db.execute("delete from failures where key = ?", (request_key(token),))

    def open_batches(self, host: str) -> list[OpenBatch]:
        """Every batch at ``host`` that was begun and not ended, the oldest first."""
        with self._explained("read"):
            found = self._db.execute(
                "select * from batches where host = ? order by begun_at, token", (host,)
            ).fetchall()
        return [
            OpenBatch(row["token"], row["batch_id"], frozenset(json.loads(row["requests"])))
            for row in found
        ]

    def _insert(self, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> int:
        columns = ("key", *COLUMNS)
        marks = ", ".join("?" * len(columns))
        # not `or ignore`: that would drop a row that breaks a rule as if it were here already
        statement = (
            f"insert into answers ({', '.join(columns)}) values ({marks}) on conflict do nothing"
        )
        with self._writing() as db:
            before = db.total_changes
            db.executemany(
                statement, ((key, *(row[name] for name in COLUMNS)) for key, row in rows)
            )
            new = db.total_changes - before
            for table in ("claims", "failures"):
                db.executemany(f"delete from {table} where key = ?", ((key,) for key, _ in rows))
        return new

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of the block is kept, or nothing of it."""
        with self._explained("written"):
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                # a full disk has rolled back already, or cannot
                with suppress(sqlite3.Error):
                    self._db.execute("rollback")
                raise

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._explanation(error, doing) from None

    def _explanation(self, error: sqlite3.Error | OSError, doing: str) -> UserError:
        """The error in a line that says what can be done."""
        name = str(getattr(error, "sqlite_errorname", ""))
        where = f"{keys.STORE}: {self.path}"
        if self._is_full(error, name):
            return DiskFull(
                f"{where}: disk full: too little room where {self.path.parent.resolve()} is; free "
                "some there, or name a file on another disk"
            )
        if name.startswith(UNLOCKABLE):
            return UserError(
                f"{where} is locked by another program, for longer than {BUSY_SECONDS:g} s; end "
                "it, or name a file on a disk whose locks work: some network disks have none"
            )
        if name == "SQLITE_CORRUPT":
            return UserError(
                f"{where} is damaged ({error}): set it aside; `sqlite3 FILE .recover` saves what can "
                "be saved, or `lora-vs-api store import` an export"
            )
        return UserError(f"{where} cannot be {doing}: {error}")

    def _is_full(self, error: sqlite3.Error | OSError, name: str) -> bool:
        if isinstance(error, OSError):
            return error.errno in DISK_FULL
        if name == "SQLITE_FULL":
            return True
        try:
            # of shared memory that cannot grow, or of a journal that cannot be synchronised
            return name.startswith("SQLITE_IOERR") and free_bytes(self.path.parent) < NEARLY_FULL
        except OSError:
            return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
