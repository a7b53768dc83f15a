"""report.md as one HTML page that needs no network: figures, style and script are inside it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from lora_vs_api.errors import UserError
from lora_vs_api.report.page.data import PageData

PAGE = Path(__file__).with_name("page.html")
TOOLS = Path(__file__).with_name("page_tools.html")
SCRIPT = Path(__file__).with_name("page.js")


def report_html(
    markdown: str, figures: str | Path, data: PageData | None = None, stamp: str | None = None
) -> str:
    """Render a report.

    Args:
        markdown: the report; its first heading becomes the page's title.
        figures: the folder that image links such as ``figures/headline.svg`` are relative to.
        data: of :func:`lora_vs_api.report.page.data.page_data`, for the break-even calculator
            and the list of all answers; without it the page has neither.
        stamp: what stays in sight on the whole page, and on each page in print.

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
    script = SCRIPT.read_text(encoding="utf-8")
    parts = {
        "TITLE": html.escape(title),
        "BODY": body,
        "SCRIPT": script,
        "SCRIPT_SHA256": script_hash(script),
        "STAMP": "" if stamp is None else f'<p class="stamp">{html.escape(stamp)}</p>\n',
        "TOOLS": "" if data is None else _tools(data) + data_block(data),
    }
    # in one pass, so that a name between at signs in an email is never taken for a part
    return re.sub(
        r"@([A-Z_0-9]+)@", lambda match: parts[match[1]], PAGE.read_text(encoding="utf-8")
    )


def _tools(data: PageData) -> str:
    sentence = ""
    if "shown" in data:
        shown, texts = data["shown"]
        sentence = (
            f"\nHere are those to {shown:,} of the {texts:,} texts, drawn at random with the same "
            "mix; all of them are in metrics/answers.jsonl."
        )
    return TOOLS.read_text(encoding="utf-8").replace("@SHOWN@", sentence)


def script_hash(script: str) -> str:
    """What lets a content security policy run exactly this inline script and no other."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def data_block(data: object) -> str:
    """``data`` in a script element that is never run and that nothing inside it can end."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    # ASCII alone is left by json.dumps; inside JSON these three only ever stand in strings
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return f'<script type="application/json" id="data">{text}</script>\n'


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or () if child.content)


def _inlined(figure: Path) -> str:
    """The SVG as a data URI: as an image of its own, its ids cannot meet those of another."""
    try:
        content = figure.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{figure}: no such figure; run `dvc repro report` to make it") from None
    return "data:image/svg+xml;base64," + base64.b64encode(content).decode("ascii")
