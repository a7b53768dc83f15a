"""Compose conf/ into params.yaml, as `dvc exp run` does before it runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import PARAMS
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_text
from lora_vs_api.log import say

HELP = "compose conf/ into params.yaml without running anything"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: python -m lora_vs_api params profile=smol-gpu lora.r=32"
    parser.add_argument("override", nargs="*", help="a Hydra override, key=value")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail when params.yaml differs"
    )


def run(given: argparse.Namespace) -> None:
    text = compose(given.override)
    if not given.check:
        write_text(PARAMS, text)
        say(f"{PARAMS} composed; `dvc repro` runs what it changes")
    elif not Path(PARAMS).is_file() or Path(PARAMS).read_text(encoding="utf-8") != text:
        raise UserError(f"{PARAMS}: not what conf/ composes to; `make params` makes it again")
