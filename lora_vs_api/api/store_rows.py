"""The tables of the response store, and an answer as a row of them; `docs/apis.md` describes them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, fields
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
    return {
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


def checked_row(place: str, row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The canonical request and the columns of an exported row.

    Raises:
        UserError: naming ``place`` and the first value that no answer has.
    """
    row = {**ADDED, **row}
    missing = [name for name in ("key", *COLUMNS) if name not in row]
    if missing:
        raise UserError(f"{place}: not an exported answer: {missing[0]} is missing")
    for name in COLUMNS:
        expected = _unlike(name, row[name])
        if expected:
            raise UserError(f"{place}: {name}: expected {expected}, found {row[name]!r}")
    if row["cached_input_tokens"] > row["input_tokens"]:
        raise UserError(f"{place}: cached_input_tokens: expected no more than input_tokens")
    lost = [row[name] for name in LOST]
    if None in lost and any(value is not None for value in lost):
        raise UserError(f"{place}: {', '.join(LOST)}: expected all three or null for all three")
    text = json.dumps(row["request"], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text, {name: row[name] for name in COLUMNS} | {"request": text}


def _unlike(name: str, value: Any) -> str | None:
    """What the column ``name`` holds, where ``value`` is none of it."""
    if name == "request":
        return None if isinstance(value, dict) else "the request as an object"
    if name == "outcome":
        outcomes = get_args(Outcome)
        return None if value in outcomes else f"one of {', '.join(outcomes)}"
    if name == "tokens_estimated":
        return None if value in (0, 1) else "0 or 1"
    if name == "latency_seconds":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        timed = value is None or (number and 0 <= value < float("inf"))
        return None if timed else "seconds ≥ 0 or null"
    if name in ("output", "response_id", "served_model", "asked_at"):
        return None if isinstance(value, str) else "a text"
    if value is None and name in ADDED:
        return None
    least = 1 if name in ("attempts", "concurrency") else 0
    whole = isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63
    or_null = " or null" if name in ADDED else ""
    return None if whole else f"an integer ≥ {least}{or_null}"
