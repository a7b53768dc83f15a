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
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lora_vs_api.api import keys
from lora_vs_api.api.holder import has_died, new_holder
from lora_vs_api.api.provider import host_of
from lora_vs_api.api.store_rows import (
    COLUMNS,
    VERSION,
    answer_of,
    checked_row,
    create_tables,
    row_of,
)
from lora_vs_api.api.types import Answer, ApiCondition, Mode, Request
from lora_vs_api.api.wire import request_body
from lora_vs_api.errors import UserError


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
class OpenBatch:
    """A batch at the provider; without ``batch_id`` it is not known whether it was submitted."""

    token: str
    batch_id: str | None
    texts: frozenset[str]


class ResponseStore:
    """The answers under ``path``; processes may share it. Use as a context manager.

    Raises:
        UserError: the file cannot be opened, read or written, or is not such a store.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._holder = new_holder()
        with self._explained("opened"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            found = self._db.execute("pragma user_version").fetchone()[0]
            tables = self._db.execute("select count(*) from sqlite_master").fetchone()[0]
            if found not in (1, VERSION) and (found or tables):
                raise UserError(
                    f"{keys.STORE}: {self.path} is a database of something else, or of another "
                    f"version (found {found}, expected {VERSION}); name another file"
                )
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            if found != VERSION:
                create_tables(self._db)

    def __enter__(self) -> ResponseStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self._db.close()

    def __len__(self) -> int:
        with self._explained("read"):
            return int(self._db.execute("select count(*) from answers").fetchone()[0])

    def get(self, key: str, identity: str) -> Answer | None:
        """The answer kept under ``key``, given the request's ``identity``; None when there is none."""
        with self._explained("read"):
            row = self._db.execute("select * from answers where key = ?", (key,)).fetchone()
        return None if row is None else answer_of(row, identity)

    def put(self, text: str, answer: Answer) -> None:
        """Keep ``answer`` to the request of ``text``; what is kept already stays."""
        self._insert([(request_key(text), row_of(text, answer, _now()))])

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

    def add_rows(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """Take over exported rows, each with its place for messages; how many were new.

        Either all are taken over or none. Of rows of the first version, which held less, the rest
        is unknown.

        Raises:
            UserError: naming the place of the first row that is not an exported answer.
        """
        checked = []
        for place, row in rows:
            text, columns = checked_row(place, row)
            if request_key(text) != row["key"]:
                raise UserError(f"{place}: key is not the SHA-256 of its request; edited by hand?")
            checked.append((row["key"], columns))
        return self._insert(checked)

    def begin_batch(self, token: str, host: str, texts: Iterable[str]) -> None:
        """Note that a batch of these requests is about to be submitted, before it is."""
        with self._explained("written"):
            self._db.execute(
                "insert into batches values (?, ?, null, ?, ?)",
                (token, host, json.dumps(list(texts)), _now()),
            )

    def submitted_batch(self, token: str, batch_id: str) -> None:
        with self._explained("written"):
            self._db.execute("update batches set batch_id = ? where token = ?", (batch_id, token))

    def end_batch(self, token: str) -> None:
        """Its answers are here, or there will be none."""
        with self._explained("written"):
            self._db.execute("delete from batches where token = ?", (token,))

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
            db.executemany("delete from claims where key = ?", ((key,) for key, _ in rows))
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
                # a full disk has rolled back already
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"{keys.STORE}: {self.path} cannot be {doing}: {error}") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
