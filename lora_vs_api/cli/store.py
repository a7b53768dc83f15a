"""Share paid answers: ``python -m lora_vs_api.cli.store export answers.jsonl``."""

from __future__ import annotations

import argparse
from pathlib import Path

from lora_vs_api.api.store import ResponseStore
from lora_vs_api.config.load import load_params
from lora_vs_api.entry import run_command
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl, write_jsonl

DESCRIPTION = """\
The response store holds every API answer that was paid for, outside of the DAG.

  stats           how many answers it holds
  export FILE     write them as JSONL, which `dvc add` and `dvc push` can share
  import FILE     take over what somebody exported; answers already here stay
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lora_vs_api.cli.store",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("do", choices=["stats", "export", "import"])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument(
        "--store", help="the store's file (default: api.limits.store of params.yaml)"
    )
    arguments = parser.parse_args()
    path = arguments.store or load_params().api.limits.store
    if path is None:
        raise UserError(
            "api.limits.store: null in params.yaml, so there is no store; give --store FILE"
        )
    if (arguments.file is None) != (arguments.do == "stats"):
        parser.error(f"{arguments.do}: expected {'no file' if arguments.file else 'a file'}")
    if arguments.do != "import" and not Path(path).is_file():
        raise UserError(f"{path}: no such store yet; `dvc repro` with a hosted API makes it")
    with ResponseStore(path) as store:
        if arguments.do == "export":
            write_jsonl(arguments.file, store.rows())
            print(f"{len(store)} answers written to {arguments.file}")
        elif arguments.do == "import":
            rows = read_jsonl(arguments.file)
            new = store.add_rows(
                (f"{arguments.file}:{number}", row) for number, row in enumerate(rows, start=1)
            )
            print(f"{new} new answers taken over, {len(rows) - new} were here already")
        else:
            print(f"{path}: {len(store)} answers")


if __name__ == "__main__":
    run_command(main)
