"""report.md as one HTML page that needs no network: figures, style and script are inside it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from lora_vs_api.errors import UserError
from lora_vs_api.report.page.data import PageData

PAGE = Path(__file__).with_name("page.html")
CALCULATOR = Path(__file__).with_name("page_calculator.html")
ESCALATION = Path(__file__).with_name("page_escalation.html")
TOOLS = Path(__file__).with_name("page_tools.html")
SCRIPT = Path(__file__).with_name("page.js")


def report_html(
    markdown: str, figures: str | Path, data: PageData | None = None, stamp: str | None = None
) -> str:
    """Render a report.

    Args:
        markdown: the report; its first heading becomes the page's title, its first section stays in
            sight, and each later one is folded under its heading.
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
    before, sections = _parts(tokens)

    def rendered(some: Sequence[Token], heading: str = title) -> str:
        made = _accessible(some, heading, figures)
        return str(reader.renderer.render(made, reader.options, {}))

    first, details = sections[:1], sections[1:]
    body = rendered(before) + "".join(
        f'<div id="{part.anchor}">\n{rendered(part.tokens)}</div>\n' for part in first
    )
    folded = _contents(details) + "".join(
        f'<details class="part" id="{part.anchor}">\n<summary><h2>{html.escape(part.title)}</h2></summary>\n'
        f"{rendered(part.tokens[3:], part.title)}</details>\n"
        for part in details
    )
    script = SCRIPT.read_text(encoding="utf-8")
    parts = {
        "TITLE": html.escape(title),
        "BODY": body,
        "DETAILS": folded,
        "SCRIPT": script,
        "SCRIPT_SHA256": script_hash(script),
        "STAMP": "" if stamp is None else f'<p class="stamp">{html.escape(stamp)}</p>\n',
        "CALCULATOR": "" if data is None else _what_ifs(data),
        "TOOLS": "" if data is None else _tools(data) + data_block(data),
    }
    # in one pass, so that a name between at signs in an email is never taken for a part
    return re.sub(
        r"@([A-Z_0-9]+)@", lambda match: parts[match[1]], PAGE.read_text(encoding="utf-8")
    )


def _what_ifs(data: PageData) -> str:
    """What can be varied; of a run without a cascade there is nothing to escalate."""
    parts = [CALCULATOR, ESCALATION] if data["escalation"] else [CALCULATOR]
    return "".join(part.read_text(encoding="utf-8") for part in parts)


@dataclass(frozen=True)
class _Part:
    """A section of the report with its heading's three tokens; ``anchor`` is its place on the page."""

    title: str
    anchor: str
    tokens: list[Token]


def _parts(tokens: Sequence[Token]) -> tuple[list[Token], list[_Part]]:
    """What stands before the first section, and the sections; every heading below gets its anchor too."""
    anchors: set[str] = set()
    starts = [n for n, token in enumerate(tokens) if _is_heading(token, "h2")]
    parts = []
    for start, end in pairwise([*starts, len(tokens)]):
        title = _plain(tokens[start + 1])
        anchor = _anchor(title, anchors)
        for n in range(start + 1, end):
            if _is_heading(tokens[n], "h3"):
                tokens[n].attrs["id"] = _anchor(f"{title} {_plain(tokens[n + 1])}", anchors)
        parts.append(_Part(title, anchor, list(tokens[start:end])))
    return list(tokens[: starts[0]] if starts else tokens), parts


def _is_heading(token: Token, tag: str) -> bool:
    return token.type == "heading_open" and token.tag == tag and token.level == 0


def _anchor(title: str, taken: set[str]) -> str:
    """A name for an address, of small letters and hyphens, that no other place of the page has."""
    base = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "part"
    # ids of the page's own tools have none of these names in front
    anchor = base = f"report-{base}"
    count = 1
    while anchor in taken:
        count += 1
        anchor = f"{base}-{count}"
    taken.add(anchor)
    return anchor


def _contents(parts: Sequence[_Part]) -> str:
    if not parts:
        return ""
    links = "".join(
        f'<li><a href="#{part.anchor}">{html.escape(part.title)}</a></li>\n' for part in parts
    )
    return (
        '<nav class="contents" aria-labelledby="contents-title">\n<h2 id="contents-title">Details</h2>\n'
        f"<ol>\n{links}</ol>\n"
        '<p><button type="button" id="unfold" hidden>Unfold all</button></p>\n</nav>\n'
    )


def _accessible(tokens: Sequence[Token], heading: str, figures: str | Path) -> list[Token]:
    """The tokens with figures inside the page, and tables and figures that a keyboard can scroll and a
    screen reader can name: a table by the heading above it, ``heading`` at first, and its first columns."""
    made: list[Token] = []
    count = 0
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            heading, count = _plain(tokens[index + 1]), 0
        if token.type in ("th_open", "td_open") and "right" in str(token.attrs.pop("style", "")):
            # the page allows no inline style but its own sheet
            token.attrs["class"] = "r"
        if token.type == "th_open":
            token.attrs["scope"] = "col"
        images = [child for child in token.children or () if child.type == "image"]
        for image in images:
            image.attrs["src"] = _inlined(Path(figures, str(image.attrs["src"])))
        if token.type == "table_open":
            count += 1
            name = html.escape(_table_name(tokens[index:], heading, count))
            made += [
                # a wide table scrolls by itself instead of widening the page
                _raw(f'<div class="table" role="region" tabindex="0" aria-label="{name}">'),
                token,
                _raw(f'<caption class="unseen">{name}</caption>'),
            ]
        elif token.type == "table_close":
            made += [token, _raw("</div>\n")]
        elif token.type == "inline" and images and len(token.children or ()) == 1:
            # a paragraph of an image alone: on a narrow screen it scrolls, so that its words stay legible
            name = html.escape(f"Figure: {images[0].content}")
            made[-1] = _raw(f'<div class="figure" role="region" tabindex="0" aria-label="{name}">')
            made += [token]
        elif token.type == "paragraph_close" and made[-2].content.startswith('<div class="figure"'):
            made.append(_raw("</div>\n"))
        else:
            made.append(token)
    return made


def _table_name(tokens: Sequence[Token], heading: str, count: int) -> str:
    headers = []
    for index, token in enumerate(tokens):
        if token.type == "thead_close":
            break
        if token.type == "th_open":
            headers.append(_plain(tokens[index + 1]))
    shown = ", ".join(headers[:3]) + (", …" if len(headers) > 3 else "")
    return f"{heading}, table {count}: {shown}"


def _raw(markup: str) -> Token:
    return Token("html_block", "", 0, content=markup)


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
