"""Reading a corpus: good lines come back, bad ones are named by file and line."""

from __future__ import annotations

import json
import re

import pytest

from lora_vs_api.errors import UserError
from lora_vs_api.files import write_jsonl
from lora_vs_api.task.corpus import read_corpus
from lora_vs_api.task.generator import generate
from lora_vs_api.task.schema import Field

CATEGORIES = ("billing", "technical", "account", "shipping", "other")
FIELDS = (
    Field("customer_name", "string", "exact"),
    Field("issue_category", "enum", "exact", CATEGORIES),
    Field("urgency", "integer", "exact", (), 1, 5),
    Field("primary_request", "string", "exact"),
    Field("mentioned_products", "list", "set_f1"),
    Field("sentiment", "enum", "exact", ("positive", "neutral", "negative")),
)
GOOD = {"id": "a", "text": "Hi", "record": {"urgency": 3}}
URGENCY = (FIELDS[2],)


def test_generated_corpus_is_read_back(tmp_path):
    """What the generator writes passes every check and survives the file unchanged."""
    rows = generate(200, 3, {"billing": 0.5, "other": 0.5}, {"neutral": 0.5, "positive": 0.5})
    write_jsonl(tmp_path / "corpus.jsonl", rows)
    assert read_corpus(tmp_path / "corpus.jsonl", FIELDS) == rows


def test_line_separators_inside_a_text_are_kept(tmp_path):
    """U+2028 and U+0085 end a line for some readers, but not in JSON Lines."""
    row = {**GOOD, "text": "one\u2028two\u0085three"}
    path = tmp_path / "corpus.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_corpus(path, URGENCY) == [row]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not valid JSON"),
        ("", "not valid JSON"),
        ("[1]", "expected a JSON object, found list"),
        (b'{"id": "\xff"}', "not valid UTF-8"),
        ({"id": "b", "record": {}}, "text: missing"),
        ({**GOOD, "id": 7}, "id: expected a non-empty string, found 7"),
        ({**GOOD, "id": "b", "text": " \n"}, "text: expected a non-empty string"),
        ({**GOOD, "id": "b", "record": []}, "record: expected an object, found list"),
        ({**GOOD, "id": "b", "record": {"urgency": "high"}}, "record.urgency: expected an integer"),
        ({**GOOD, "id": "b", "record": {"urgency": 6}}, "record.urgency: expected an integer 1..5"),
        ({**GOOD, "id": "b", "meta": 1}, "meta: expected an object, found int"),
        (GOOD, "id: 'a' is already on line 1"),
    ],
)
def test_first_bad_line_is_named(tmp_path, line, message):
    """Each kind of bad line gives file, line and what is expected."""
    path = tmp_path / "corpus.jsonl"
    text = line if isinstance(line, (str, bytes)) else json.dumps(line)
    raw = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + raw + b"\n")
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}:2: {message}')}"):
        read_corpus(path, URGENCY)


def test_further_bad_lines_are_counted(tmp_path):
    """The user learns how much there is to put right."""
    path = tmp_path / "corpus.jsonl"
    path.write_text("x\ny\nz\n" + json.dumps(GOOD) + "\nw\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"corpus.jsonl:1: .* \(and 3 more bad lines\)$"):
        read_corpus(path, URGENCY)


def test_missing_and_empty_files(tmp_path):
    """Neither gives a traceback or an empty corpus."""
    with pytest.raises(UserError, match="no such file"):
        read_corpus(tmp_path / "corpus.jsonl", URGENCY)
    (tmp_path / "corpus.jsonl").touch()
    with pytest.raises(UserError, match="no rows in it"):
        read_corpus(tmp_path / "corpus.jsonl", URGENCY)
