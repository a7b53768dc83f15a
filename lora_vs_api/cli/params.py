"""Compose conf/ into params.yaml, as `dvc exp run` does before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import PARAMS
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_text
from lora_vs_api.log import say


def compose_params(overrides: Sequence[str], *, check: bool) -> None:
    """Write params.yaml for Hydra ``overrides``, or ``check`` that it is what they compose to.

    Raises:
        UserError: an override that Hydra refuses, or a params.yaml that differs.
    """
    text = compose(overrides)
    if not check:
        write_text(PARAMS, text)
        say(f"{PARAMS} composed; `dvc repro` runs what it changes")
    elif not Path(PARAMS).is_file() or Path(PARAMS).read_text(encoding="utf-8") != text:
        raise UserError(f"{PARAMS}: not what conf/ composes to; `make params` makes it again")
