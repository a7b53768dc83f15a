"""Share paid answers: the response store in numbers, exported and imported."""

from __future__ import annotations

from pathlib import Path

from lora_vs_api.api.store import ResponseStore, request_key
from lora_vs_api.api.store_rows import checked_rows
from lora_vs_api.cli.outputs import check_outputs
from lora_vs_api.config.load import load_params
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl, write_jsonl
from lora_vs_api.log import show


def print_stats(store: str | None) -> None:
    """Say how many answers the store holds; ``store`` None takes api.limits.store of params.yaml.

    Raises:
        UserError: there is no store.
    """
    path = _existing(_path(store))
    with ResponseStore(path) as answers:
        show(f"{path}: {len(answers)} answers")


def export_answers(file: Path, store: str | None) -> None:
    """Write all answers to ``file`` as JSONL.

    Raises:
        UserError: there is no store, or ``file`` is the store itself or cannot be written.
    """
    path = _existing(_path(store))
    # its own files, of which SQLite has some beside the first
    check_outputs({"FILE": file}, [path, f"{path}-wal", f"{path}-shm"])
    with ResponseStore(path) as answers:
        write_jsonl(file, answers.rows())
        show(f"{len(answers)} answers written to {file}")


def import_answers(file: Path, store: str | None) -> None:
    """Add the answers of ``file`` that the store does not hold, all of them or none.

    Raises:
        UserError: no such file, or lines that are no answers, each named with what is wrong.
    """
    if not file.exists():
        raise UserError(f"{file}: no such file; `lora-vs-api store export` writes one")
    # before a store is made that nothing comes into
    rows = [(f"{file}:{number}", row) for number, row in enumerate(read_jsonl(file), 1)]
    checked_rows(rows, request_key)
    with ResponseStore(_path(store)) as answers:
        found = answers.add_rows(rows)
        twice = len(rows) - found.new - found.known
        show(
            f"{found.new} new answers taken over, {found.known} were here already"
            + (
                f", {found.differing} of them another answer, which stays"
                if found.differing
                else ""
            )
            + (f"; {twice} rows stand in the file twice" if twice else "")
        )


def _path(store: str | None) -> str:
    path = store or load_params().api.limits.store
    if path is None:
        raise UserError(
            "api.limits.store: null in params.yaml, so there is no store; give --store FILE"
        )
    return path


def _existing(path: str) -> str:
    if not Path(path).is_file():
        raise UserError(f"{path}: no such store yet; `dvc repro` with a hosted API makes it")
    return path
