"""Foreign text is seen and never acts: in a terminal, a log, a file, the report and the figures."""

from __future__ import annotations

import csv
import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from lora_vs_api.entry import run_command
from lora_vs_api.errors import UserError
from lora_vs_api.figures.drawing import save, theme
from lora_vs_api.files import read_json, read_jsonl, write_json, write_jsonl
from lora_vs_api.log import say, show
from lora_vs_api.report.page.html import report_html
from lora_vs_api.report.rendering import code, escape, fence
from lora_vs_api.shown import visible

# an escape sequence that clears the screen, one of a C1 control, an override, NUL, a carriage
# return that writes over the line, a hidden tag, half a character
FOREIGN = "a\x1b[2Jb\x9b31mc\u202ed\0e\rf\U000e0041g\ud83dh"
SHOWN = r"a\u001b[2Jb\u009b31mc\u202ed\u0000e\rf\udb40\udc41g\ud83dh"


def harmless(text: str) -> bool:
    return all(
        unicodedata.category(each) not in ("Cc", "Cs", "Zl", "Zp")
        and unicodedata.bidirectional(each) not in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI")
        for each in text.replace("\n", "").replace("\t", "")
    )


def test_what_acts_is_shown_as_an_escape():
    """And what is text stays text: accents, other scripts, emoji with joiners, lines and tabs."""
    assert visible(FOREIGN) == SHOWN and visible(SHOWN) == SHOWN
    plain = "Größe\t5 – „mail“\nשלום 你好 👩\u200d👩\u200d👧 é\u0301"
    assert visible(plain) == plain and visible("a\r\nb") == "a\r\nb"


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=40))
def test_json_stays_the_same_json(text):
    """What is written for others reads back as it was, whatever stood in it."""
    shown = visible(json.dumps({text: [text]}, ensure_ascii=False))
    assert json.loads(shown) == {text: [text]}
    assert harmless(shown.replace("\r\n", "")) and shown.encode()


def test_terminal_and_logs(capsys):
    """What a node says, a command prints, and an error quotes."""
    say(FOREIGN)
    show(FOREIGN)

    def fails():
        raise UserError(f"conditions.x: the server says {FOREIGN}")

    with pytest.raises(SystemExit):
        run_command(fails)
    said = capsys.readouterr()
    assert said.out == f"{SHOWN}\n"
    assert said.err == f"{SHOWN}\nerror: conditions.x: the server says {SHOWN}\n"


def test_files_of_results(tmp_path):
    """`cat`, `git diff` and an editor show them; whoever reads them gets the text as it was."""
    write_json(tmp_path / "a.json", {FOREIGN: FOREIGN})
    write_jsonl(tmp_path / "a.jsonl", [{"output": FOREIGN}] * 2)
    assert read_json(tmp_path / "a.json") == {FOREIGN: FOREIGN}
    assert read_jsonl(tmp_path / "a.jsonl") == [{"output": FOREIGN}] * 2
    for file in tmp_path.iterdir():
        assert harmless(file.read_text(encoding="utf-8"))


INJECTED = (
    "x</pre></td><script>alert(1)</script> | y | `z` ``` [a](javascript:b) ![i](h) **b** <b>\n"
    "```\n# heading\n| a | b |\n--- &lt; \x1b[31m \u202e"
)


def test_report_and_page():
    """Neither a control nor markup of an answer acts in Markdown or on the page made of it."""
    row = f"| {escape(INJECTED)} | {code(INJECTED)} |"
    markdown = f"# t\n\n| a | b |\n| --- | --- |\n{row}\n\n{fence(INJECTED, 'text')}\n"
    assert harmless(markdown) and row.count("\n") == 0
    page = report_html(markdown, ".")
    body = page[page.index("<h1>") :]
    assert body.count("<tr>") == 2 and body.count("<td>") == 2 and body.count("<pre>") == 1
    for mark in ("<script>alert", "<img", "<b>", "<a ", "<strong>", "<h2>", "\x1b", "\u202e"):
        assert mark not in body
    assert "&lt;script&gt;alert(1)" in body and r"\u001b[31m" in body


def test_figures(tmp_path):
    """Labels of ticks, titles and legends; and two dollar signs are no formula."""
    with theme():
        figure = Figure()
        ax = figure.subplots()
        ax.plot([0, 1], label=f"{FOREIGN} $")
        ax.set_xticks([0, 1], [FOREIGN, r"$\frac$ $10-$50"])
        ax.set_title(FOREIGN)
        ax.legend()
        save(figure, tmp_path, "f", 50)
        shown = [text.get_text() for text in (*ax.get_xticklabels(), *ax.get_legend().get_texts())]
    assert shown == [SHOWN, r"$\frac$ $10-$50", f"{SHOWN} $"] and ax.get_title() == SHOWN
    assert (tmp_path / "f.svg").stat().st_size > 0


def test_a_table_for_plots_reads_the_same():
    """CSV made visible whole has the same rows and columns."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["a", FOREIGN], ['b,"c', "d\ne"]])
    assert list(csv.reader(io.StringIO(visible(text.getvalue())))) == [
        ["a", SHOWN], ["b,\"c", "d\ne"],
    ]  # fmt: skip
