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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lora_vs_api.api import keys
from lora_vs_api.api.provider import host_of
from lora_vs_api.api.types import Answer, ApiCondition, Mode, Reply, Request
from lora_vs_api.api.wire import request_body
from lora_vs_api.errors import UserError

VERSION = 1
# what a row holds beside its key, in the order of the table's columns
COLUMNS = (
    "request", "output", "outcome", "input_tokens", "output_tokens", "cached_input_tokens",
    "latency_seconds", "attempts", "response_id", "served_model", "asked_at",
)  # fmt: skip
# a batch that was paid for and whose answers are not here yet; requests: their texts as JSON
TABLES = """
create table if not exists batches (
    token text primary key, host text not null, batch_id text, requests text not null,
    begun_at text not null
) without rowid;
create table if not exists answers (
    key text primary key, request text not null, output text not null, outcome text not null,
    input_tokens integer not null, output_tokens integer not null,
    cached_input_tokens integer not null, latency_seconds real,
    attempts integer not null, response_id text not null, served_model text not null,
    asked_at text not null
) without rowid;
"""


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
        with self._explained("opened"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            found = self._db.execute("pragma user_version").fetchone()[0]
            tables = self._db.execute("select count(*) from sqlite_master").fetchone()[0]
            if found != VERSION and (found or tables):
                raise UserError(
                    f"{keys.STORE}: {self.path} is a database of something else, or of another "
                    f"version (found {found}, expected {VERSION}); name another file"
                )
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            self._db.executescript(TABLES)
            self._db.execute(f"pragma user_version = {VERSION}")

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
        if row is None:
            return None
        reply = Reply(**{reply_field.name: row[reply_field.name] for reply_field in fields(Reply)})
        return Answer(identity, reply, row["latency_seconds"], row["attempts"])

    def put(self, text: str, answer: Answer) -> None:
        """Keep ``answer`` to the request of ``text``; what is kept already stays."""
        row = {
            **asdict(answer.reply),
            "latency_seconds": answer.latency_seconds,
            "attempts": answer.attempts,
            "request": text,
            "asked_at": _now(),
        }
        self._insert([(request_key(text), *(row[name] for name in COLUMNS))])

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row as a plain mapping, by key, for an export."""
        with self._explained("read"):
            for row in self._db.execute("select * from answers order by key"):
                yield {**row, "request": json.loads(row["request"])}

    def add_rows(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """Take over exported rows, each with its place for messages; how many were new.

        Either all are taken over or none.

        Raises:
            UserError: naming the place of the first row that is not an exported answer.
        """
        checked = []
        for place, row in rows:
            missing = [name for name in ("key", *COLUMNS) if name not in row]
            if missing:
                raise UserError(f"{place}: not an exported answer: {missing[0]} is missing")
            text = json.dumps(
                row["request"], sort_keys=True, ensure_ascii=False, separators=(",", ":")
            )
            if request_key(text) != row["key"]:
                raise UserError(f"{place}: key is not the SHA-256 of its request; edited by hand?")
            checked.append((row["key"], text, *(row[name] for name in COLUMNS[1:])))
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

    def _insert(self, rows: list[tuple[Any, ...]]) -> int:
        marks = ", ".join("?" * (len(COLUMNS) + 1))
        with self._explained("written"):
            before = self._db.total_changes
            self._db.execute("begin immediate")
            try:
                self._db.executemany(f"insert or ignore into answers values ({marks})", rows)
                self._db.execute("commit")
            except BaseException:
                self._db.execute("rollback")
                raise
            return self._db.total_changes - before

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"{keys.STORE}: {self.path} cannot be {doing}: {error}") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
