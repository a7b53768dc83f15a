"""Compose conf/ into params.yaml, as `dvc exp run` does before it runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lora_vs_api.analysis.configuration import config_sha256, shown_digest
from lora_vs_api.config.compose import composed
from lora_vs_api.config.load import PARAMS
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_text
from lora_vs_api.log import say
from lora_vs_api.prices.lookup import priced_otherwise

SUMMARY = "metrics/summary.json"


def compose_params(overrides: Sequence[str], *, check: bool) -> None:
    """Write params.yaml for Hydra ``overrides``, or ``check`` that it is what they compose to.

    Either way, say whether the results are of this configuration, and whose price is another model's.

    Raises:
        UserError: an override that Hydra refuses, or a params.yaml that differs.
    """
    text, params = composed(overrides)
    if not check:
        write_text(PARAMS, text)
        say(f"{PARAMS} composed; `dvc repro` runs what it changes")
    elif not Path(PARAMS).is_file() or Path(PARAMS).read_bytes() != text.encode():
        raise UserError(f"{PARAMS}: not what conf/ composes to; `make params` makes it again")
    for found, setting in priced_otherwise(params):
        say(f"note: {found}; {setting} bills that")
    say(whose_results(shown_digest(config_sha256(params))))


def whose_results(config: str, summary: str | Path = SUMMARY) -> str:
    """Whether ``summary`` is of the configuration with this digest, in a sentence."""
    try:
        found = json.loads(Path(summary).read_text(encoding="utf-8"))
        other, task = found["config"], found["task"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"config {config}: no results yet"
    if other == config:
        return f"config {config}: report/ and metrics/ are of this configuration"
    return f"config {config}: report/ and metrics/ are of another one ({task}, config {other})"
