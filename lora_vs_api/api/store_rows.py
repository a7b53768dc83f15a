"""The tables of the response store, and an answer as a row of them; `docs/store.md` describes them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, get_args

from lora_vs_api.api.types import Answer, Losses, Outcome, Reply
from lora_vs_api.errors import UserError

VERSION = 2
# what a row holds beside its key, in the order of an export; the last five may be null: unknown
COLUMNS = (
    "request", "output", "outcome", "input_tokens", "output_tokens", "cached_input_tokens",
    "latency_seconds", "attempts", "response_id", "served_model", "asked_at", "tokens_estimated",
    "concurrency", "reasoning_tokens", "lost_attempts", "lost_input_tokens", "lost_output_tokens",
)  # fmt: skip
LOST = COLUMNS[-3:]
# no answer takes a year; more is no time, and may be a number that no file can hold
MOST_SECONDS = 365 * 86_400
# came with the second version: an export of the first lacks them
ADDED = {"tokens_estimated": 0, **dict.fromkeys(COLUMNS[-5:])}
TABLES = (
    # a batch that was paid for and whose answers are not here yet; requests: their texts as JSON
    """create table if not exists batches (
        token text primary key, host text not null, batch_id text, requests text not null,
        begun_at text not null
    ) without rowid""",
    """create table if not exists answers (
        key text primary key, request text not null, output text not null, outcome text not null,
        input_tokens integer not null, output_tokens integer not null,
        cached_input_tokens integer not null, latency_seconds real,
        attempts integer not null, response_id text not null, served_model text not null,
        asked_at text not null
    ) without rowid""",
    # what some run is asking now; until is in seconds since 1970
    """create table if not exists claims (
        key text primary key, holder text not null, until real not null
    ) without rowid""",
)
# what does not concern earlier versions of the code, which leave it alone
ADDITIONS = (
    # batches in which a request has failed, so that none is submitted for ever
    """create table if not exists failures (
        key text primary key, attempts integer not null, reason text not null, last_at text not null
    ) without rowid""",
    "create index if not exists answers_by_response on answers (response_id)",
)
ALTERED = (
    "alter table answers add column tokens_estimated integer not null default 0",
    *(f"alter table answers add column {name} integer" for name in COLUMNS[-5:]),
)


def create_tables(db: sqlite3.Connection) -> None:
    """Make the tables of a new store, or bring those of the first version up to this one."""
    db.execute("begin immediate")
    try:
        # another process may have done it meanwhile
        if db.execute("pragma user_version").fetchone()[0] != VERSION:
            for statement in (*TABLES, *ALTERED):
                db.execute(statement)
            db.execute(f"pragma user_version = {VERSION}")
        db.execute("commit")
    except BaseException:
        db.execute("rollback")
        raise


def row_of(text: str, answer: Answer, asked_at: str) -> dict[str, Any]:
    """``answer`` to the request of ``text`` as a row, by column."""
    losses = answer.losses
    row = {
        **asdict(answer.reply),
        "tokens_estimated": int(answer.reply.tokens_estimated),
        "latency_seconds": answer.latency_seconds,
        "attempts": answer.attempts,
        "concurrency": answer.concurrency,
        "lost_attempts": None if losses is None else losses.attempts,
        "lost_input_tokens": None if losses is None else losses.input_tokens,
        "lost_output_tokens": None if losses is None else losses.output_tokens,
        "request": text,
        "asked_at": asked_at,
    }
    return {
        name: _well_formed(value) if isinstance(value, str) else value
        for name, value in row.items()
    }


def _well_formed(text: str) -> str:
    """``text`` with each lone surrogate, half a character that no file can hold, as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def messages_of(request: Mapping[str, Any]) -> Any:
    """The chat messages of a canonical request."""
    body = request["body"]
    return body["messages"] if "messages" in body else body.get("input")


def answer_of(row: sqlite3.Row, identity: str) -> Answer:
    """The answer in a row, under the request's ``identity``."""
    values = {field.name: row[field.name] for field in fields(Reply)}
    values["tokens_estimated"] = bool(values["tokens_estimated"])
    lost = [row[name] for name in LOST]
    return Answer(
        identity,
        Reply(**values),
        row["latency_seconds"],
        row["attempts"],
        row["concurrency"],
        None if None in lost else Losses(*lost),
    )


def checked_rows(
    rows: Iterable[tuple[str, Mapping[str, Any]]], key_of: Callable[[str], str], shown: int = 5
) -> dict[str, dict[str, Any]]:
    """Columns of exported rows by key; a row that stands there twice is one.

    Args:
        rows: each with its place for messages.
        key_of: the key of a canonical request.

    Raises:
        UserError: naming places and first wrong values of the first ``shown`` rows that are none.
    """
    found: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    refused: list[str] = []
    total = 0
    for place, row in rows:
        total += 1
        try:
            columns = checked_row(row)
            if key_of(columns["request"]) != row["key"]:
                raise ValueError("key is not the SHA-256 of its request; edited by hand?")
            if found.setdefault(row["key"], columns) != columns:
                raise ValueError(f"another answer to the request of {places[row['key']]}")
            places.setdefault(row["key"], place)
        except RecursionError:
            refused.append(f"{place}: nested too deeply")
        except ValueError as error:
            refused.append(f"{place}: {error}")
    if refused:
        more = f"; and {len(refused) - shown} more" if len(refused) > shown else ""
        raise UserError(
            f"{'; '.join(refused[:shown])}{more} ({len(refused)} of {total} rows are refused; "
            "nothing was taken over)"
        )
    return found


def checked_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of an exported row, its request as canonical JSON.

    Raises:
        ValueError: naming the first value that no answer has.
    """
    row = {**ADDED, **row}
    missing = [name for name in ("key", *COLUMNS) if name not in row]
    if missing:
        raise ValueError(f"not an exported answer: {missing[0]} is missing")
    for name in COLUMNS:
        expected = _unlike(name, row[name])
        if expected:
            raise ValueError(f"{name}: expected {expected}, found {row[name]!r:.200}")
    if row["cached_input_tokens"] > row["input_tokens"]:
        raise ValueError("cached_input_tokens: expected no more than input_tokens")
    lost = [row[name] for name in LOST]
    if None in lost and any(value is not None for value in lost):
        raise ValueError(f"{', '.join(LOST)}: expected all three or null for all three")
    # allow_nan: what JSON does not have could not be exported again
    text = json.dumps(
        row["request"], sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    if not _is_writable(text):
        raise ValueError("request: holds half a character (a lone surrogate)")
    return {name: row[name] for name in COLUMNS} | {"request": text}


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_request(value: Any) -> bool:
    """Whether it has what determines an answer, and nothing else; see ``request_text``."""
    return (
        isinstance(value, dict)
        and value.keys() == {"host", "endpoint", "body", "replicate", "mode"}
        and isinstance(value["body"], dict)
        and isinstance(value["host"], str)
    )


def _is_time(value: Any) -> bool:
    try:
        return bool(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return False


def _unlike(name: str, value: Any) -> str | None:
    """What the column ``name`` holds, where ``value`` is none of it."""
    if name == "request":
        return None if _is_request(value) else "the request as an object"
    if name == "outcome":
        outcomes = get_args(Outcome)
        return None if value in outcomes else f"one of {', '.join(outcomes)}"
    if name == "tokens_estimated":
        return None if value in (0, 1) else "0 or 1"
    if name == "latency_seconds":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        timed = value is None or (number and 0 <= value <= MOST_SECONDS)
        return None if timed else "seconds ≥ 0 or null, at most those of a year"
    if name == "asked_at":
        return None if _is_time(value) else "a time such as 2026-01-02T03:04:05+00:00"
    if name in ("output", "response_id", "served_model"):
        return None if isinstance(value, str) and _is_writable(value) else "a text"
    if value is None and name in ADDED:
        return None
    least = 1 if name in ("attempts", "concurrency") else 0
    whole = isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63
    or_null = " or null" if name in ADDED else ""
    return None if whole else f"an integer ≥ {least}{or_null}"
