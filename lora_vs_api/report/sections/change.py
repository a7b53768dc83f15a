"""A line of *What would change it* on the page on top, as sections hand it over."""

from __future__ import annotations

from dataclasses import dataclass

from lora_vs_api.report.rendering import Markdown


@dataclass(frozen=True)
class Change:
    """The input in a word or two, and whole sentences about it that are Markdown on one line."""

    what: str
    said: Markdown
