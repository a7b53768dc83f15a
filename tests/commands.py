"""The command line as the tests call it."""

from __future__ import annotations

import pytest

from lora_vs_api.cli.app import main


def exit_code(*arguments: str) -> int:
    """Run ``lora-vs-api`` with these arguments in this process."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def lora_vs_api(*arguments: str) -> None:
    """Run a command that has to succeed."""
    assert exit_code(*arguments) == 0
