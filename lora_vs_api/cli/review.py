"""``lora-vs-api review``: the sampled texts, one by one, get a verdict from a person."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from lora_vs_api.config.literal import as_meant
from lora_vs_api.data.review import (
    COLUMNS,
    Verdict,
    current_verdicts,
    join_verdicts,
    read_verdicts,
    separator_of,
    text_sha256,
)
from lora_vs_api.data.source import value_of
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_rows
from lora_vs_api.log import show
from lora_vs_api.record.fields import Field, fields_from_config
from lora_vs_api.record.rows import Row
from lora_vs_api.validation.records import violations

QUESTION = "[a]ccept  [r]eject  [f]ix  [s]kip  [q]uit > "


class Quit(Exception):
    """The reviewer has had enough, or input has ended."""


def review_sample(
    reviewer: str | None, sample_file: str, verdicts_file: str, params_file: str
) -> None:
    """Ask for a verdict on each text that has none, and append it at once.

    Args:
        reviewer: None takes git's user.name.
        sample_file: JSONL of texts with their records, as the node `review` writes it.
        verdicts_file: CSV to append to.
        params_file: YAML whose task.fields a correction is checked against.

    Raises:
        UserError: a file that is missing or broken, or no name.
    """
    reviewer = (reviewer or _git_user()).strip()
    if not reviewer:
        raise UserError("--reviewer: expected your name, since git config user.name is not set")
    fields = _read_fields(params_file)
    sample = read_rows(sample_file)
    _check_sample(sample, sample_file)
    reviewed = current_verdicts(sample, read_verdicts(verdicts_file))
    # before anything is asked: a verdict has to find room in it
    separator_of(verdicts_file)
    show(f"{len(sample)} texts, {len(reviewed)} of them reviewed. Reviewer: {reviewer}")
    try:
        for place, row in enumerate(sample, start=1):
            if row["id"] in reviewed:
                continue
            _show(row, f"{place}/{len(sample)}")
            answer = _ask_verdict(row, fields)
            if answer is None:
                continue
            verdict, note, fixed = answer
            now = datetime.now(UTC).isoformat(timespec="seconds")
            digest = text_sha256(row["text"])
            append_verdict(
                verdicts_file, Verdict(row["id"], digest, verdict, reviewer, now, note, fixed)
            )
    except (Quit, KeyboardInterrupt):
        show()
    counts = join_verdicts(sample, verdicts_file)
    shown = ("accepted", "rejected", "fixed", "unreviewed")
    show(", ".join(f"{counts[name]} {name}" for name in shown))


def _check_sample(sample: Sequence[Row], file: str) -> None:
    """Another file than the one that the node `review` writes may have lines of any form."""
    for number, row in enumerate(sample, 1):
        for key, kind in (("id", str), ("text", str), ("record", dict)):
            if not isinstance(row.get(key), kind):
                raise UserError(
                    f"{file}:{number}: {key}: expected a row with id and text, both texts, and record, as `dvc repro review` writes it"
                )


def _git_user() -> str:
    try:
        done = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout


def _read_fields(path: str) -> tuple[Field, ...]:
    try:
        params = as_meant(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
        return fields_from_config(params["task"]["fields"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the repository or pass --params") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: expected a record schema under task.fields") from None


def _show(row: Row, place: str) -> None:
    show(f"\n---- {place}  {row['id']} ----\n{row['text']}\n")
    width = max(map(len, row["record"]), default=0)
    for name, value in row["record"].items():
        show(f"  {name:<{width}}  {_shown(value)}")
    show()


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        raise Quit from None


def _ask_verdict(
    row: Row, fields: tuple[Field, ...]
) -> tuple[str, str, dict[str, Any] | None] | None:
    """Verdict, note and corrected record; ``None`` if the email is skipped."""
    while True:
        answer = _read(QUESTION).lower()
        if answer in ("a", "accept"):
            return "accept", "", None
        if answer in ("r", "reject"):
            note = _read("why? > ")
            if note:
                return "reject", note, None
            show("a rejection needs a reason")
        elif answer in ("f", "fix"):
            fixed = _ask_corrections(row["record"], fields)
            if fixed is not None:
                return "fix", "", fixed
        elif answer in ("s", "skip"):
            return None
        elif answer in ("q", "quit"):
            raise Quit
        else:
            show("please answer a, r, f, s or q")


def _ask_corrections(record: dict[str, Any], fields: tuple[Field, ...]) -> dict[str, Any] | None:
    """The record with corrections that obey the schema; ``None`` if nothing was changed."""
    by_name = {field.name: field for field in fields}
    fixed = dict(record)
    show("corrections as field=value, an empty line when done")
    while line := _read("field=value > "):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or name not in by_name:
            show(f"expected field=value with one of {', '.join(by_name)}")
            continue
        corrected = {**fixed, name: _parse_value(value, by_name[name])}
        problems = [text for text in violations(corrected, fields) if text.startswith(f"{name}:")]
        if problems:
            show(problems[0])
        else:
            fixed = corrected
    problems = violations(fixed, fields)
    if problems:
        show(f"still wrong, nothing recorded: {problems[0]}")
        return None
    if fixed == record:
        show("nothing changed, nothing recorded")
        return None
    return fixed


def _parse_value(text: str, field: Field) -> Any:
    """What the reviewer typed, as the field's type where it can be read as one."""
    if field.type == "list" and not text.startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        return value_of(text, field)
    except ValueError:
        return text


def append_verdict(path: str | Path, verdict: Verdict) -> None:
    """Append one line to the verdict file, as the others are written, and wait until it is on disk."""
    fixed = verdict.fixed_record
    cells = [getattr(verdict, name) for name in COLUMNS[:-1]]
    cells.append("" if fixed is None else json.dumps(fixed, ensure_ascii=False))
    line = io.StringIO()
    csv.writer(line, delimiter=separator_of(path), lineterminator="\n").writerow(cells)
    with open(path, "rb+") as stream:
        # an editor may have left the last line without its end
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        stream.write(line.getvalue().encode("utf-8", errors="backslashreplace"))
        stream.flush()
        os.fsync(stream.fileno())
