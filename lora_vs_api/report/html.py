"""report.md as one HTML page that needs no network: figures and style are inside it."""

from __future__ import annotations

import base64
import html
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from lora_vs_api.errors import UserError

PAGE = Path(__file__).with_name("page.html")


def report_html(markdown: str, figures: str | Path) -> str:
    """Render a report.

    Args:
        markdown: the report; its first heading becomes the page's title.
        figures: the folder that image links such as ``figures/headline.svg`` are relative to.

    Raises:
        UserError: a figure is not there.
    """
    # raw HTML stays text, and a bare address does not become a link
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(markdown)
    title = "Report"
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            title = _plain(tokens[index + 1])
        if token.type in ("th_open", "td_open") and "right" in str(token.attrs.pop("style", "")):
            # the page allows no inline style but its own sheet
            token.attrs["class"] = "r"
        for child in token.children or ():
            if child.type == "image":
                child.attrs["src"] = _inlined(Path(figures, str(child.attrs["src"])))
    body = reader.renderer.render(tokens, reader.options, {})
    # a wide table scrolls by itself instead of widening the page
    body = body.replace("<table>", '<div class="table"><table>').replace(
        "</table>", "</table></div>"
    )
    page = PAGE.read_text(encoding="utf-8")
    return page.replace("@TITLE@", html.escape(title)).replace("@BODY@", body)


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or () if child.content)


def _inlined(figure: Path) -> str:
    """The SVG as a data URI: as an image of its own, its ids cannot meet those of another."""
    try:
        content = figure.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{figure}: no such figure; run `dvc repro report` to make it") from None
    return "data:image/svg+xml;base64," + base64.b64encode(content).decode("ascii")
