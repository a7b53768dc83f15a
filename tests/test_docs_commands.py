"""The settings that README and docs name in their commands are settings: each of these commands composes."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

import pytest
import yaml

from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from tests.imports import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "conf" / "api").glob("*.yaml")),
]
# what stands for something of the reader's own
MEANT = {
    "task=bookings": "task=us_addresses",
    "task=repairs": "task=us_addresses",
    "prices=…": "prices=listed-2026-11",
    "api.server.base_url=https://…": "api.server.base_url=https://api.example.org/v1",
    "api.limits.key_env=…": "api.limits.key_env=A_KEY",
    "conditions.hosted_zero_shot.model=…": "conditions.hosted_zero_shot.model=gpt-5.4-mini",
}


def commands(text: str) -> list[list[str]]:
    """The words of each command in fenced blocks of shell, and in the comments that begin a settings file."""
    if text.startswith("# @package"):
        shell = "\n".join(re.findall(r"^# +(.*)$", text.split("\napi:")[0], re.MULTILINE))
        shell = "\n".join(re.findall(r"^ *dvc .*(?:\n.*(?<=\\\n).*)*", shell, re.MULTILINE))
    else:
        fences = re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        shell = "\n".join(block for language, block in fences if language in ("sh", "bash"))
    lines = [re.sub(r"\s#\s.*", "", line) for line in shell.replace("\\\n", " ").splitlines()]
    return [shlex.split(part) for line in lines for part in line.split("&&")]


def overrides(words: list[str]) -> tuple[str, ...]:
    """The settings of one command; of a sweep the first of each setting's values."""
    given = [after for word, after in pairwise(words) if word == "-S"]
    if "params" in words[:2]:
        given += [
            each for word in words[2:] if "=" in word for each in word.removeprefix("SET=").split()
        ]
    return tuple(MEANT.get(word, re.sub(r"=([\w.-]+)(,[\w.-]+)+$", r"=\1", word)) for word in given)


FOUND = {
    (page.name, given)
    for page in PAGES
    for words in commands(page.read_text(encoding="utf-8"))
    # … says that more is needed
    if (given := overrides(words)) and "…" not in words
}


def test_commands_are_found():
    """Otherwise nothing below is tried."""
    assert {"apis.md", "contest.md", "economics.md", "sweeps.md", "hosted.yaml"} <= {
        page for page, _ in FOUND
    }


@pytest.mark.parametrize(("page", "given"), sorted(FOUND), ids=str)
def test_a_command_of_the_docs_composes(page, given):
    """A reader types it as it stands; a key that was renamed would be the first thing that fails."""
    check_params(yaml.safe_load(compose(list(given), conf=ROOT / "conf")))
