"""The same rows in each form in which programs write them as JSON: what was meant, or one clear line.

Every form is read as a person would have it read: by `init`, and then by the task that it wrote.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from lora_vs_api.cli.init import write_task
from lora_vs_api.cli.task_source import TaskSource
from lora_vs_api.config.fields import checked_fields
from lora_vs_api.data.infer import Texts, infer_field
from lora_vs_api.data.source import read_source, value_of
from lora_vs_api.data.tables import load_table
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field

Record = dict[str, Any]
N = 30
TEXTS = [
    f'Gast {i}: bitte {i % 7 + 1} Lampen nach Köln 😀,\nes ist "eilig" {{x}}' for i in range(N)
]
RECORDS: list[Record] = [
    {
        "topic": ("refund", "return", "info")[i % 3],
        "count": 1000 + 7 * i,
        "amount": 10.25 + i,
        "urgent": i % 2 == 0,
        "due": None if i % 4 == 0 else f"2026-01-{i + 1:02}",
        "tags": [["a b", "c"], ["c"], []][i % 3],
    }
    for i in range(N)
]
ROWS = list(zip(TEXTS, RECORDS, strict=True))
FLAT = [{"text": text, **record} for text, record in ROWS]
NESTED = [{"text": text, "record": record} for text, record in ROWS]
TOPICS = [{"topic": record["topic"]} for record in RECORDS]


def dumped(value: Any, **more: Any) -> str:
    return json.dumps(value, ensure_ascii=False, **more)


def lines(rows: Sequence[Any]) -> str:
    return "".join(f"{dumped(row)}\n" for row in rows)


@pytest.fixture
def conf(tmp_path, monkeypatch) -> Path:
    """A folder in which `init` writes a task."""
    monkeypatch.chdir(tmp_path)
    Path("conf/task").mkdir(parents=True)
    Path("conf/config.yaml").touch()
    return tmp_path


def read(path: Path, **given: Any) -> dict[str, Record]:
    """Text → record, as the task reads them that `init` has written."""
    asked = dict.fromkeys(
        ("split", "revision", "text", "record", "id", "fields", "schema", "group_by", "encoding")
    )
    write_task(TaskSource(file=str(path), **{**asked, "name": "t", "noun": "text", "conf": "conf", "force": True, **given}))  # fmt: skip
    config = yaml.safe_load(Path("conf/task/t.yaml").read_text())
    data = config["data"]
    found = read_source(
        path,
        checked_fields(config["task"]["fields"]),
        data["text"],
        data.get("record"),
        data.get("id"),
        drop=data.get("drop") or [],
    )
    return {row["text"]: row["record"] for row in found}


FILES: dict[str, str] = {
    "list.json": dumped(FLAT),
    "pretty.json": dumped(FLAT, indent=2),
    "nested.jsonl": lines(NESTED),
    "mark.jsonl": "\ufeff" + lines(FLAT),
    "windows.jsonl": lines(FLAT).replace("\n", "\r\n"),
    "macintosh.jsonl": lines(FLAT).replace("\n", "\r"),
    # each under the name of the other
    "lines.json": lines(FLAT),
    "list.jsonl": dumped(FLAT),
    "list-by-lines.jsonl": "[\n" + ",\n".join(map(dumped, FLAT)) + "\n]\n",
    # one after another
    "pretty.jsonl": "\n".join(dumped(row, indent=2) for row in FLAT),
    "pretty-one-by-one.json": "\n".join(dumped(row, indent=2) for row in FLAT),
    "one-line.json": "".join(map(dumped, FLAT)),
    "joined-without-line-end.jsonl": lines(FLAT[:10])[:-1] + lines(FLAT[10:]),
    "commas.jsonl": "".join(f"{dumped(row)},\n" for row in FLAT),
    "fenced.json": f"```json\n{dumped(FLAT)}\n```\n",
    # under a key, beside other things, deeper, in parts
    "under.json": dumped({"version": "1", "data": NESTED, "meta": {"n": N}}),
    "deep.json": dumped({"response": {"status": 0, "docs": FLAT}}),
    "graphql.json": dumped({"data": {"orders": {"edges": [{"node": row} for row in FLAT]}}}),
    "viewer.json": dumped(
        {
            "features": [{"feature_idx": 0, "name": "text", "type": {"dtype": "string"}}],
            "rows": [{"row_idx": i, "row": row, "truncated_cells": []} for i, row in enumerate(FLAT)],
        }
    ),
    "columns.json": dumped({name: [row[name] for row in FLAT] for name in FLAT[0]}),
    "phpmyadmin.json": dumped(
        [{"type": "header", "version": "5"}, {"type": "database", "name": "d"}, {"type": "table", "name": "t", "data": FLAT}]
    ),
    # records as texts
    "json-in-json.jsonl": lines([{**row, "record": dumped(row["record"])} for row in NESTED]),
    "json-twice.jsonl": lines([{**row, "record": dumped(dumped(row["record"]))} for row in NESTED]),
    "python-in-json.jsonl": lines([{**row, "record": repr(row["record"])} for row in NESTED]),
    "fenced-in-json.jsonl": lines([{**row, "record": f"```json\n{dumped(row['record'], indent=1)}\n```"} for row in NESTED]),
    "doccano-seq2seq.jsonl": lines([{"id": i, "text": t, "label": [dumped(r)]} for i, (t, r) in enumerate(ROWS)]),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_rows_come_as_they_went_in_whatever_form_the_file_has(conf, name):
    """Programs write rows in all of these, and call the file what they like."""
    Path(name).write_text(FILES[name], encoding="utf-8", newline="")
    assert read(Path(name)) == dict(ROWS)


def turn(who: str, said: Any, role: str = "role", content: str = "content") -> Record:
    return {role: who, content: said}


def asks(said: Any) -> Record:
    return turn("user", said)


def says(said: Any) -> Record:
    return turn("assistant", said)


PROMPT = "You extract the order as JSON."
SYSTEM = turn("system", PROMPT)
CONVERSATIONS: dict[str, Callable[[str, Record], Record]] = {
    "openai": lambda t, r: {"messages": [SYSTEM, asks(t), says(dumped(r))]},
    "openai-fenced": lambda t, r: {"messages": [SYSTEM, asks(t), says(f"```json\n{dumped(r)}\n```")]},
    "openai-thought": lambda t, r: {"messages": [asks(t), says(f"<think>\nmaybe {{a}}?\n</think>\n\n{dumped(r)}")]},
    "openai-parts": lambda t, r: {"messages": [asks([{"type": "text", "text": t}]), says([{"type": "text", "text": dumped(r)}])]},
    "openai-object": lambda t, r: {"messages": [asks(t), says(r)]},
    "openai-preference": lambda t, r: {"input": {"messages": [SYSTEM, asks(t)]}, "preferred_output": [says(dumped(r))], "non_preferred_output": [says("{}")]},
    "openai-responses": lambda t, r: {"input": [asks([{"type": "input_text", "text": t}])], "output": [says([{"type": "output_text", "text": dumped(r)}])]},
    "openai-evals": lambda t, r: {"input": [SYSTEM, asks(t)], "ideal": dumped(r)},
    "claude": lambda t, r: {"system": PROMPT, "messages": [asks(t), says([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": dumped(r)}])]},
    "nova": lambda t, r: {"system": [{"text": PROMPT}], "messages": [asks([{"text": t}]), says([{"text": dumped(r)}])]},
    "gemini": lambda t, r: {"systemInstruction": {"parts": [{"text": PROMPT}]}, "contents": [turn("user", [{"text": t}], content="parts"), turn("model", [{"text": dumped(r)}], content="parts")]},
    "gemini-flat": lambda t, r: {"text_input": t, "output": dumped(r)},
    "palm": lambda t, r: {"context": PROMPT, "messages": [turn("user", t, "author"), turn("assistant", dumped(r), "author")]},
    "cohere": lambda t, r: {"messages": [turn("System", PROMPT), turn("User", t), turn("Chatbot", dumped(r))]},
    "sharegpt": lambda t, r: {"system": PROMPT, "conversations": [turn("human", t, "from", "value"), turn("gpt", dumped(r), "from", "value")]},
    "sharegpt-items": lambda t, r: {"items": [turn("human", t, "from", "value"), turn("gpt", dumped(r), "from", "value")]},
    "langchain": lambda t, r: {"messages": [{"type": "human", "data": {"content": t}}, {"type": "ai", "data": {"content": dumped(r)}}]},
    "speakers": lambda t, r: {"dialogue": [turn("user", t, "speaker", "text"), turn("assistant", dumped(r), "speaker", "text")]},
    "alpaca": lambda t, r: {"instruction": PROMPT, "input": t, "output": dumped(r)},
    # the prompt that was trained on stands beside what it was made of
    "alpaca-written-out": lambda t, r: {"instruction": PROMPT, "input": t, "output": dumped(r), "text": f"### Input:\n{t}\n\n### Response:\n{dumped(r)}</s>"},
    "dolly": lambda t, r: {"instruction": PROMPT, "context": t, "response": dumped(r), "category": "extraction"},
    "trl": lambda t, r: {"prompt": [asks(t)], "completion": [says(dumped(r))]},
    "trl-preference": lambda t, r: {"prompt": t, "chosen": dumped(r), "rejected": dumped({**r, "count": 0})},
    "trl-preference-turns": lambda t, r: {"prompt": [asks(t)], "chosen": [says(dumped(r))], "rejected": [says("{}")]},
    "trl-preference-whole": lambda t, r: {"prompt": t, "chosen": [asks(t), says(dumped(r))], "rejected": [asks(t), says("{}")]},
    "langsmith": lambda t, r: {"inputs": {"question": t}, "outputs": r},
    "langfuse": lambda t, r: {"input": {"text": t}, "expectedOutput": r, "metadata": None},
    "braintrust": lambda t, r: {"input": t, "expected": r, "metadata": {"a": 1}, "tags": []},
    "mlflow": lambda t, r: {"inputs": {"text": t}, "expectations": r},
}  # fmt: skip


@pytest.mark.parametrize("form", CONVERSATIONS)
def test_what_was_fine_tuned_elsewhere_is_read_as_it_was_meant(conf, form):
    """The text is what the user said, and the record what the assistant was to answer."""
    rows = [CONVERSATIONS[form](text, record) for text, record in ROWS]
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    assert read(Path("a.jsonl")) == dict(ROWS)


CALLS: dict[str, Callable[[str, Record], Record]] = {
    "openai": lambda n, a: {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": n, "arguments": dumped(a)}}]},
    "claude": lambda n, a: says([{"type": "text", "text": "One moment."}, {"type": "tool_use", "id": "1", "name": n, "input": a}]),
    "bedrock": lambda n, a: says([{"toolUse": {"toolUseId": "1", "name": n, "input": a}}]),
    "gemini": lambda n, a: turn("model", [{"functionCall": {"name": n, "args": a}}], content="parts"),
    "hermes": lambda n, a: says(f"<tool_call>\n{dumped({'name': n, 'arguments': a})}\n</tool_call>"),
    "llama-factory": lambda n, a: turn("function_call", dumped({"name": n, "arguments": a})),
}  # fmt: skip


@pytest.mark.parametrize("form", CALLS)
def test_a_call_is_the_record_in_each_service_s_form(tmp_path, form):
    """A function's name and arguments, and none of what is said beside them."""
    call = CALLS[form]("save", {"n": 2, "to": "Köln"})
    content = "parts" if "parts" in call else "content"
    asked = turn("user", [{"text": "two"}] if content == "parts" else "two", content=content)
    path = tmp_path / "a.jsonl"
    path.write_text(lines([{"messages": [asked, call]}]))
    ((_, row),) = load_table(path).rows
    record = json.loads(row["record"]) if isinstance(row["record"], str) else row["record"]
    assert (row["text"], record) == ("two", {"name": "save", "arguments": {"n": 2, "to": "Köln"}})


LABELS: dict[str, tuple[Callable[[int, str, str], Record], Callable[[str], Record]]] = {
    "doccano": (lambda i, t, k: {"id": i, "text": t, "label": [k], "meta": {"src": i}}, lambda k: {"label": [k]}),
    "label-studio": (lambda i, t, k: {"id": i, "text": t, "topic": k, "annotator": 1, "annotation_id": 5000 + i, "lead_time": 1.5 + i, "created_at": f"2026-01-01T00:00:{i:02}Z"}, lambda k: {"topic": k}),
    "label-studio-rating": (lambda i, t, k: {"id": i, "text": t, "stars": [{"rating": len(k)}], "annotator": 1}, lambda k: {"stars": len(k)}),
    "prodigy": (lambda i, t, k: {"text": t, "label": k, "answer": "accept", "_input_hash": i, "_task_hash": -i}, lambda k: {"label": k}),
    "prodigy-choice": (lambda i, t, k: {"text": t, "options": [{"id": k, "text": k}], "accept": [k], "answer": "accept", "_task_hash": -i, "config": {"n": i}}, lambda k: {"accept": [k]}),
    "argilla-1": (lambda i, t, k: {"text": t, "inputs": {"text": t}, "annotation": k, "id": f"u{i}", "metadata": {}, "metrics": {"text_length": len(t)}}, lambda k: {"annotation": k}),
    "elasticsearch": (lambda i, t, k: {"_index": "a", "_id": f"e{i}", "_score": 1.0, "_source": {"text": t, "topic": k}}, lambda k: {"topic": k}),
    "airtable": (lambda i, t, k: {"id": f"rec{i}", "createdTime": "2026-01-01T00:00:00.000Z", "fields": {"text": t, "topic": k}}, lambda k: {"topic": k}),
    "json-api": (lambda i, t, k: {"type": "orders", "id": str(i), "attributes": {"text": t, "topic": k}}, lambda k: {"topic": k}),
    "couchdb": (lambda i, t, k: {"id": f"a{i}", "key": f"a{i}", "value": {"rev": f"1-{i}"}, "doc": {"_id": f"a{i}", "_rev": f"1-f{i}", "text": t, "topic": k}}, lambda k: {"topic": k}),
    "mongodb": (lambda i, t, k: {"_id": {"$oid": f"{i:024x}"}, "text": t, "topic": k, "size": {"$numberInt": str(len(k))}}, lambda k: {"topic": k, "size": len(k)}),
    "dynamodb": (lambda i, t, k: {"Item": {"text": {"S": t}, "topic": {"S": k}, "size": {"N": str(len(k))}, "all": {"L": [{"S": k}, {"NULL": True}]}}}, lambda k: {"topic": k, "size": len(k), "all": [k, None]}),
    "dynamodb-pipeline": (lambda i, t, k: {"text": {"s": t}, "topic": {"s": k}, "raw": {"b": k}, "at": {"m": {"n": {"n": str(len(k))}}}}, lambda k: {"topic": k, "raw": k, "at": {"n": len(k)}}),
    "firestore": (lambda i, t, k: {"text": {"stringValue": t}, "topic": {"stringValue": k}, "at": {"mapValue": {"fields": {"n": {"integerValue": str(len(k))}}}}}, lambda k: {"topic": k, "at": {"n": len(k)}}),
    # an object beside other columns is one of the fields
    "an-object-among-others": (lambda i, t, k: {"text": t, "topic": k, "size": len(k), "vip": k == "info", "buyer": {"name": k * 2, "age": len(k) + i % 2}}, None),
}  # fmt: skip


@pytest.mark.parametrize("form", LABELS)
def test_what_was_labelled_or_stored_elsewhere_is_read_as_it_was_meant(conf, form):
    """Annotation tools and databases put their own things around a text and its label."""
    made, expected = LABELS[form]
    rows = [made(i, text, record["topic"]) for i, (text, record) in enumerate(ROWS)]
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    if expected is None:
        wanted = {row["text"]: {key: row[key] for key in row if key != "text"} for row in rows}
    else:
        wanted = {text: expected(record["topic"]) for text, record in ROWS}
    assert read(Path("a.jsonl")) == wanted


def changed(rows: Sequence[Mapping[str, Any]], number: int, **more: Any) -> list[Any]:
    return [{**row, **more} if i == number else row for i, row in enumerate(rows)]


LINES: dict[str, tuple[str, str]] = {
    "comma.json": (dumped(FLAT)[:-1] + ",\n]", "not valid JSON: a comma before ] at line 2, character 1"),
    "comment.json": ("// mine\n" + dumped(FLAT), "a comment, which JSON does not have, at character 1"),
    "empty.json": ("", "the file is empty"),
    "half.jsonl": (lines(FLAT)[:-30], rf"half.jsonl:{N}: not valid JSON"),
    "python.jsonl": ("".join(f"{row}\n" for row in FLAT), "Python's own form"),
    "infinity.jsonl": (lines(changed(FLAT, 3, amount=float("inf"))), r"infinity.jsonl:4: expected a number, found Infinity"),
    "twice.jsonl": (lines(FLAT).replace('"count":', '"topic": "a", "count":'), "expected no key twice, found 'topic'"),
    "arrays.jsonl": (lines([[t, r["topic"]] for t, r in ROWS]), "arrays.jsonl:1: expected an object, found"),
    "turns.jsonl": (lines([[asks(t), says(dumped(r))] for t, r in ROWS]), 'put the turns under a key: {"messages"'),
    "text-of-object.jsonl": (lines([dumped(row) for row in FLAT]), "a text that holds one: JSON within JSON"),
    "two-lists.json": (dumped({"a": FLAT, "b": FLAT[:3]}), "expected one list of objects, found 2: a, b"),
    "pointer.jsonl": ("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n", "is a git-lfs pointer.*git lfs pull"),
    "spans.jsonl": (lines([{"text": t, "label": [[900, 904 + i % 2, "WHO"]]} for i, (t, _) in enumerate(ROWS)]), "a span of characters with its label, and none of a text"),
    "tokens.jsonl": (lines([{"tokens": t.split(), "topic": r["topic"]} for t, r in ROWS]), r"--text '\{\{ tokens \| join\(\" \"\) \}\}'"),
    "image.jsonl": (lines([{"messages": [asks([{"type": "image_url", "image_url": {}}]), says(dumped(r))]} for _, r in ROWS]), "expected texts alone, found a part with type and image_url"),
    "mixed.jsonl": (lines(changed(FLAT, 3, count="many")), "count: expected values of one type"),
    "no-text.jsonl": (lines([{"a": r["count"], "b": r["tags"]} for r in RECORDS]), r"there are a \(numbers\), b \(lists\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_what_is_no_rows_is_one_clear_line(conf, name):
    """With its place, and what to do where that can be known."""
    content, told = LINES[name]
    Path(name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=told):
        read(Path(name))
    assert not Path("conf/task/t.yaml").exists()


def test_the_lists_of_one_file_are_its_splits(conf):
    """As a dataset of several splits is written into one file: what was given is kept."""
    parts = {"train": FLAT[:20], "validation": FLAT[20:25], "test": FLAT[25:]}
    Path("a.json").write_text(dumped(parts), encoding="utf-8")
    assert read(Path("a.json")) == dict(ROWS)
    assert "column: split" in Path("conf/task/t.yaml").read_text()
    splits = [row["split"] for _, row in load_table("a.json").rows]
    assert splits == ["train"] * 20 + ["val"] * 5 + ["test"] * 5


def entities(i: int) -> tuple[str, list[tuple[int, int, str, str]]]:
    """A text with an emoji, and its spans: first and last character, label, words."""
    name, place = ("Ana", "Ørsted", "李 明")[i % 3], ("Köln", "Bonn")[i % 2]
    text = f"😀 Bitte {name} in {place} anrufen ({i})"
    return text, [
        (text.index(word), text.index(word) + len(word), label, word)
        for word, label in ((name, "WHO"), (place, "WHERE"))
    ]


def wide(text: str, place: int) -> int:
    return len(text[:place].encode("utf-16-le")) // 2


SPANS: dict[str, Callable[[str, tuple[int, int, str, str]], Any]] = {
    "doccano": lambda _, s: [s[0], s[1], s[2]],
    "doccano-relations": lambda _, s: {"id": s[0] + 7, "label": s[2], "start_offset": s[0], "end_offset": s[1]},
    "label-studio": lambda t, s: {"start": wide(t, s[0]), "end": wide(t, s[1]), "text": s[3], "label": s[2]},
    "prodigy": lambda _, s: {"start": s[0], "end": s[1], "token_start": 1, "token_end": 1, "label": s[2]},
    "luis": lambda _, s: {"startPos": s[0], "endPos": s[1] - 1, "label": s[2]},
    "twitter": lambda _, s: {"indices": [s[0], s[1]], "label": s[2]},
    "semeval": lambda _, s: {"from": s[0], "to": s[1], "label": s[2]},
    "texts": lambda _, s: [str(s[0]), str(s[1]), s[2]],
    "texts-in-objects": lambda _, s: {"start": str(s[0]), "end": str(s[1]), "label": s[2]},
    "pandas": lambda _, s: {"start": float(s[0]), "end": float(s[1]), "label": s[2]},
    "azure": lambda _, s: {"offset": s[0], "length": s[1] - s[0], "label": s[2]},
}  # fmt: skip


@pytest.mark.parametrize("form", SPANS)
def test_entities_are_the_words_that_were_marked(conf, form):
    """By their characters' numbers in each tool's way of counting, which no model is to learn."""
    made = [entities(i) for i in range(N)]
    rows = [{"text": text, "spans": [SPANS[form](text, span) for span in spans]} for text, spans in made]  # fmt: skip
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    assert read(Path("a.jsonl")) == {
        text: {"spans": [{"text": words, "label": label} for _, _, label, words in spans]}
        for text, spans in made
    }


@pytest.mark.parametrize("written", [dumped, repr])
@pytest.mark.parametrize("form", ["doccano", "label-studio", "texts"])
def test_entities_in_cells_of_text_are_words_too(conf, form, written):
    """ai4privacy's span_labels, and every CSV: a list of spans is JSON in a cell."""
    made = [entities(i) for i in range(N)]
    with open("a.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [["text", "spans"], *([text, written([SPANS[form](text, span) for span in spans])] for text, spans in made)]
        )  # fmt: skip
    assert read(Path("a.csv")) == {
        text: {"spans": [{"text": words, "label": label} for _, _, label, words in spans]}
        for text, spans in made
    }


def test_an_entity_keeps_its_words_whatever_it_means(tmp_path):
    """RasaHQ/rasa#1339: a synonym's value, or a label that is the word itself, are none of the words."""
    spans = [
        ("food from Oslo", {"start": 10, "end": 14, "value": "Oslo", "entity": "city"}),
        ("food from NYC", {"start": 10, "end": 13, "value": "new york", "entity": "city"}),
    ]
    path = tmp_path / "a.jsonl"
    path.write_text(lines([{"text": text, "entities": [span]} for text, span in spans]))
    assert [row["entities"] for _, row in load_table(path).rows] == [
        [{"value": "Oslo", "entity": "city", "text": "Oslo"}],
        [{"value": "new york", "entity": "city", "text": "NYC"}],
    ]


def test_spans_that_fit_no_words_are_told(tmp_path):
    """One that ends beyond its text is cut there; tokens that were counted (GLiNER, SpERT) are no characters."""
    path = tmp_path / "a.jsonl"
    rows = [{"text": f"ask Ana {n}", "spans": [[4, 7, "WHO"]]} for n in range(20)]
    path.write_text(lines([*rows, {"text": "ask Ana", "spans": [[4, 70, "WHO"]]}]))
    [note] = load_table(path).notes
    assert note.endswith(
        f"; 1 of these begin or end where no word does, the first at {path}:21: 4 to 70 of 7 characters, 'Ana'"
    )
    tokens = {"start": 2, "end": 3, "label": "WHO"}
    path.write_text(lines([{"text": f"please ask Ana {n}", "spans": [tokens]} for n in range(20)]))
    table = load_table(path)
    assert all(row["spans"] == [tokens] for _, row in table.rows)
    assert table.notes == [
        "spans: its numbers stay numbers, since they are no characters' places in a text of their row"
    ]


def test_relations_name_the_words_of_their_entities(conf):
    """doccano/doccano#1703: numbers of entities, which no text has, and which differ from row to row."""
    made = [entities(i) for i in range(N)]
    rows = [
        {
            "text": text,
            "entities": [
                {"id": 10 * n + i, "label": label, "start_offset": start, "end_offset": end}
                for i, (start, end, label, _) in enumerate(spans)
            ],
            "relations": [{"id": n, "from_id": 10 * n, "to_id": 10 * n + 1, "type": "in"}]
            if n % 3
            else [],
        }
        for n, (text, spans) in enumerate(made)
    ]
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    assert read(Path("a.jsonl")) == {
        text: {
            "entities": [{"label": label, "text": words} for _, _, label, words in spans],
            "relations": [{"from": spans[0][3], "to": spans[1][3], "type": "in"}] if n % 3 else [],
        }
        for n, (text, spans) in enumerate(made)
    }


def test_a_number_that_is_no_entity_s_stays_one(tmp_path):
    """A count may be the number of an entity by chance, and a row may lack the text."""
    path = tmp_path / "a.jsonl"
    span = {"id": 1, "label": "WHO", "start": 4, "end": 7}
    rows = [
        {"text": f"ask Ana {n}", "spans": [span], "calls": [{"times": 1, "to_id": 1}]}
        for n in range(20)
    ]
    path.write_text(lines([*rows, {"calls": []}]))
    found = [row for _, row in load_table(path).rows]
    assert [row["calls"] for row in found] == [[{"times": 1, "to": "Ana"}]] * 20 + [[]]


def test_braces_around_a_few_texts_are_no_arrays(tmp_path):
    """A string field of a second file may hold {0}; of a list field it is PostgreSQL's array, in one row too."""
    path = tmp_path / "a.csv"
    path.write_text('t,s,l\nhello,{0},"{kitchen,""in house""}"\n')
    fields = (
        Field(name="s", type="string", score="exact"),
        Field(name="l", type="list", score="set_f1"),
    )
    [row] = read_source(path, fields, "t", None, None)
    assert row["record"] == {"s": "{0}", "l": ["kitchen", "in house"]}


CELLS = [[row["text"], *row["record"].values()] for row in NESTED]
NAMES = ["text", *RECORDS[0]]


@pytest.mark.parametrize(
    "made",
    [
        {"meta": {"view": {"columns": [{"id": n, "name": name} for n, name in enumerate(NAMES)]}}, "data": CELLS},
        {"columns": NAMES, "rows": CELLS, "truncated": False},
        {"columns": [{"name": name, "type": "text"} for name in NAMES], "rows": CELLS},
        {"columns": NAMES, "index": list(range(N)), "data": CELLS},
        {"result": {"schema": {"fields": [{"name": name} for name in NAMES]}, "rows": CELLS}},
    ],
    ids=["socrata", "datasette", "elastic-sql", "pandas-split", "bigquery"],
)  # fmt: skip
def test_cells_whose_columns_are_named_elsewhere(conf, made):
    """capitalone/DataProfiler#105: rows are lists, and the list of columns was taken for the rows."""
    Path("a.json").write_text(dumped(made), encoding="utf-8")
    assert read(Path("a.json")) == dict(ROWS)


def test_words_with_the_places_at_which_they_stand_are_lists_of_words(conf):
    """CLUENER2020: `{"name": {"Ana": [[8, 10]]}}`; the words are values and no keys."""
    made = [entities(i) for i in range(N)]
    rows = [
        {"text": text, "label": {label: {words: [[start, end - 1]]} for start, end, label, words in spans}}
        for text, spans in made
    ]  # fmt: skip
    rows[3]["label"].pop("WHO")
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    wanted = {
        text: {label: [words] for _, _, label, words in spans} | ({"WHO": []} if n == 3 else {})
        for n, (text, spans) in enumerate(made)
    }
    found = read(Path("a.jsonl"))
    assert {
        text: {k: v or [] for k, v in record.items()} for text, record in found.items()
    } == wanted


def test_an_entity_keeps_an_id_that_is_a_name(tmp_path):
    """spaCy's knowledge base, Wikidata: what the words mean; a number is the tool's own count."""
    path = tmp_path / "a.jsonl"
    spans = [[{"id": name, "start": 4, "end": 7, "label": "WHO"}] for name in ("Q42", 42)]
    path.write_text(lines([{"text": "ask Ana", "spans": span} for span in spans]))
    assert [row["spans"] for _, row in load_table(path).rows] == [
        [{"id": "Q42", "label": "WHO", "text": "Ana"}],
        [{"label": "WHO", "text": "Ana"}],
    ]


@pytest.mark.parametrize("nested", [False, True])
def test_keys_that_are_values_are_told(conf, nested, capsys):
    """A record by names that the texts hold: a new text has others, which would be unknown fields."""
    names = ["Ana", "Bob", "Cid", "Dora", "Eve", "Finn", "Gus", "Hal"]
    held = [{names[i % 8]: "PER"} for i in range(N)]
    rows = [
        {"text": f"call {i}", "r": {"who": by, "n": i % 5} if nested else by}
        for i, by in enumerate(held)
    ]
    Path("a.jsonl").write_text(lines(rows))
    read(Path("a.jsonl"))
    assert "if keys are values, such as names, write lists of objects" in capsys.readouterr().err


def test_a_row_for_each_word_is_told(conf, capsys):
    """Kaggle's ner_dataset.csv and CoNLL's columns: nobody extracts from one word."""
    Path("a.csv").write_text(
        "Sentence #,Word,Tag\n" + "".join(f",w{i},{'OB'[i % 2]}\n" for i in range(N))
    )
    read(Path("a.csv"))
    assert "if rows are the words of texts, write a row for each text" in capsys.readouterr().err


def test_spacy_s_texts_beside_what_is_marked(conf):
    """explosion/spaCy#3257: a list of a text and an object."""
    made = [entities(i) for i in range(N)]
    rows = [[text, {"entities": [list(span[:3]) for span in spans]}] for text, spans in made]
    wanted = {
        text: {"entities": [{"text": words, "label": label} for _, _, label, words in spans]}
        for text, spans in made
    }
    for name, content in (("a.json", dumped(rows)), ("a.jsonl", lines(rows))):
        Path(name).write_text(content, encoding="utf-8")
        assert read(Path(name)) == wanted


MARKED: dict[str, tuple[Callable[[str], str], Callable[[Record], Any]]] = {
    "labels": (lambda t: f"{t} ->", lambda r: f" {r['topic']}"),
    "labels-and-end": (lambda t: f"{t}\n\n###\n\n", lambda r: f" {r['topic']} END"),
    "line-end": (lambda t: t, lambda r: f" {r['topic']}\n"),
    "json-and-end": (lambda t: f"{t}\n\n###\n\n", lambda r: f" {dumped(r)} END"),
    "json-and-mark": (lambda t: f"{t} ->", lambda r: f"{dumped(r)}\n###"),
}  # fmt: skip


@pytest.mark.parametrize("form", MARKED)
def test_marks_at_the_end_of_prompts_and_completions_are_none_of_them(conf, form):
    """daveshap/GPT3_Finetunes#1: as a label ' refund END' no model but the fine-tuned one would say it."""
    prompt, completion = MARKED[form]
    rows = [{"prompt": prompt(text), "completion": completion(record)} for text, record in ROWS]
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    whole = form.startswith("json")
    wanted = dict(ROWS) if whole else {t: {"completion": r["topic"]} for t, r in ROWS}
    assert read(Path("a.jsonl")) == wanted


def test_what_texts_end_in_is_no_mark(tmp_path):
    """A point, brackets of JSON, and a word that most end in."""
    rows = [{"prompt": f"Send {i} please.", "completion": dumped({"n": i})} for i in range(N)]
    path = tmp_path / "a.jsonl"
    path.write_text(lines(rows))
    table = load_table(path)
    assert [row for _, row in table.rows] == rows and not table.notes


@pytest.mark.parametrize("tags", [["O", "O", "B-PER", "I-PER"], [0, 0, 1, 2]])
def test_a_tag_for_each_word_is_no_field(conf, tags):
    """huggingface/transformers#8698: a list is scored as a set, whatever the order of its items."""
    rows = [{"words": ["so", "is", "Ana", f"B{i}"][i % 2 :], "ner_tags": tags[i % 2 :]} for i in range(N)]  # fmt: skip
    Path("a.jsonl").write_text(lines(rows))
    with pytest.raises(
        UserError, match=r"ner_tags: says something of each of words.*--drop ner_tags"
    ):
        read(Path("a.jsonl"), text="{{ words | join(' ') }}")


def test_lists_beside_each_other_are_fields(conf):
    """Names and ages of as many people are none of the text's words."""
    rows = [{"text": t, "names": ["Ana", "Bo"][i % 2 :], "ages": [30 + i, 40][i % 2 :]} for i, t in enumerate(TEXTS)]  # fmt: skip
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    assert [*read(Path("a.jsonl"))[TEXTS[0]]] == ["names", "ages"]


def test_lines_for_a_server_are_no_rows(conf):
    """elastic/elasticsearch-js#401: of a _bulk file every other line says what to do with the next."""
    rows = [line for i, row in enumerate(FLAT) for line in ({"index": {"_id": i}}, row)]
    Path("a.ndjson").write_text(lines(rows), encoding="utf-8")
    assert read(Path("a.ndjson")) == dict(ROWS)


def test_numbers_that_are_no_places_in_a_text_stay(conf):
    """A shift from 9 to 17 is none of characters."""
    rows = [{"text": f"Schicht {i} am Montag von neun bis fünf", "shifts": [{"start": 8 + i % 3, "end": 16 + i % 2, "who": "Ana"}]} for i in range(N)]  # fmt: skip
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    assert read(Path("a.jsonl")) == {row["text"]: {"shifts": row["shifts"]} for row in rows}


ARGILLA: dict[str, Callable[[int, str, str], Record]] = {
    "hub": lambda i, t, k: {"id": f"u{i}", "text": t, "topic.responses": [k], "topic.responses.users": ["a"], "topic.responses.status": ["submitted"], "topic.suggestion": "info", "topic.suggestion.score": 0.1 * i, "topic.suggestion.agent": None},
    "json": lambda i, t, k: {"id": f"u{i}", "fields": {"text": t}, "metadata": {"n": i}, "suggestions": {"topic": {"value": "info"}}, "responses": {"topic": [{"value": k, "user_id": "a"}]}, "vectors": {}},
    "version-1": lambda i, t, k: {"text": t, "topic": [{"user_id": "a", "value": k, "status": "submitted"}, {"user_id": "b", "value": "x", "status": "discarded"}], "topic-suggestion": "info", "topic-suggestion-metadata": {"score": 0.1 * i, "agent": "m"}, "external_id": None, "metadata": "{}"},
}  # fmt: skip


@pytest.mark.parametrize("form", ARGILLA)
def test_of_argilla_s_rows_the_answers_are_the_labels(conf, form):
    """And no suggestion of a model, nor who answered."""
    rows = [ARGILLA[form](i, text, record["topic"]) for i, (text, record) in enumerate(ROWS)]
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    assert read(Path("a.jsonl")) == dict(zip(TEXTS, TOPICS, strict=True))


def test_annotators_who_differ_give_no_label(tmp_path):
    """Nobody has said which of them is right."""
    answers = [[{"user_id": n, "value": value} for n, value in enumerate(values)] for values in (("a", "a"), ("a", "b"), ())]  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_text(lines([{"text": "one two", "topic": given} for given in answers]))
    table = load_table(path)
    assert [row["topic"] for _, row in table.rows] == ["a", None, None]
    assert "1 answers on which annotators differ: none there" in table.notes


@pytest.mark.parametrize("beside", [{"source": "mail"}, {"a": 1, "b": 2, "c": 3, "d": 4}])
@pytest.mark.parametrize("name", ["metadata", "label_info", "topic-metadata", "extra"])
def test_an_object_beside_labels_is_never_the_record(conf, name, beside):
    """Whatever it is called and holds: what a person labelled is no column to leave out."""
    rows = [
        {"text": text, "topic": record["topic"], name: {**beside, "n": f"{i % 3}{i}"}}
        for i, (text, record) in enumerate(ROWS)
    ]
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    found = read(Path("a.jsonl"))
    assert [found[text]["topic"] for text in TEXTS] == [record["topic"] for record in RECORDS]


def test_what_is_asked_of_each_text_is_a_part_of_it(conf):
    """hiyouga/LlamaFactory#2653: Alpaca's instructions that differ, some of them without an input."""
    rows = [
        {"instruction": f"Extract part {i % 4} of {i}.", "input": "" if i % 5 == 0 else text, "output": dumped(record)}
        for i, (text, record) in enumerate(ROWS)
    ]  # fmt: skip
    Path("a.json").write_text(dumped(rows), encoding="utf-8")
    texts = [f"{row['instruction']}\n\n{row['input']}".strip() for row in rows]
    assert [*read(Path("a.json"))] == texts


def test_an_answer_that_is_not_to_be_learnt_is_no_record(tmp_path):
    """openai/openai-cookbook#1225: weight 0 says so."""
    path = tmp_path / "a.jsonl"
    turns = [asks("two"), says('{"n": 2}'), asks("and three"), {**says('{"n": 3}'), "weight": 0}]
    path.write_text(lines([{"messages": turns}]))
    assert load_table(path).rows[0][1] == {"text": "two", "record": '{"n": 2}'}


def test_a_template_that_names_an_object_still_finds_it(conf):
    """Whoever has written {{ inputs.question }} meets no columns that have moved."""
    rows = [{"inputs": {"question": text}, "outputs": record} for text, record in ROWS]
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    assert read(Path("a.jsonl"), text="{{ inputs.question }}") == dict(ROWS)


def test_keys_of_an_object_can_be_named(conf):
    """Where it is none by itself: the record is what the fields lie in."""
    rows = [
        {"text": text, "kind": f"k{i % 3}", "extra": {**record, "n": i}}
        for i, (text, record) in enumerate(ROWS)
    ]
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    assert [*read(Path("a.jsonl"))[TEXTS[0]]] == ["kind", "extra"]
    assert read(Path("a.jsonl"), fields="topic") == dict(zip(TEXTS, TOPICS, strict=True))


def test_numbers_that_are_no_numbers_and_days_that_are_none_are_told():
    """Converters of CSV put all values in quotes; pandas writes a day as milliseconds, SheetJS as a number of days."""
    every: tuple[Texts, ...] = ("columns", "json")
    for texts in every:
        assert "numbers in quotes ('12') stay texts" in infer_field("n", ["12", "7"], texts).why
        assert "booleans in quotes ('true') stay texts" in infer_field("b", ["true", "false"] * 5, texts).why  # fmt: skip
        assert "in quotes" not in infer_field("n", ["12", "many"], texts).why
        assert "milliseconds since 1970?" in infer_field("due", [1767312000000, 1767398400000], texts).why  # fmt: skip
        assert "numbers of days?" in infer_field("due", [45200, 45999], texts).why


def test_a_title_is_no_label_of_its_text(conf, capsys):
    """What stands above a text is read with it, or named as a field: never learnt without a word."""
    rows = [{"title": f"Frage {i} zu einer Rechnung", "body": t, "topic": r["topic"]} for i, (t, r) in enumerate(ROWS)]  # fmt: skip
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    assert read(Path("a.jsonl")) == dict(zip(TEXTS, TOPICS, strict=True))
    joined = r"{{ title }}\n\n{{ body }}"
    assert f"another text: --text '{joined}' joins them" in capsys.readouterr().err
    texts = [f"{row['title']}\n\n{row['body']}" for row in rows]
    assert [*read(Path("a.jsonl"), text=joined)] == texts
    # where it is said in the text, it is to be found there
    found = [{**row, "title": row["body"].partition(",")[0]} for row in rows]
    Path("a.jsonl").write_text(lines(found), encoding="utf-8")
    assert "title" in read(Path("a.jsonl"))[TEXTS[0]]


def test_a_number_for_each_label_is_no_second_one(conf):
    """Datasets of the Hub have both, and learning both counts each mistake twice."""
    numbers = {topic: n for n, topic in enumerate(("refund", "return", "info"))}
    rows = [{"text": t, "label": numbers[r["topic"]], "label_text": r["topic"], "urgent": r["urgent"]} for t, r in ROWS]  # fmt: skip
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    assert [*read(Path("a.jsonl"))[TEXTS[0]]] == ["label_text", "urgent"]


def test_a_question_stands_before_what_it_is_asked_of(conf):
    """The Hub's SQuAD: neither is the text without the other, and where an answer begins is no answer."""
    rows = [
        {"id": f"q{i}", "title": "Lampen", "context": text, "question": f"Wer ist Nummer {i}?", "answers": {"text": [f"Gast {i}"], "answer_start": [0]}}
        for i, text in enumerate(TEXTS)
    ]  # fmt: skip
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    assert read(Path("a.jsonl")) == {
        f"Wer ist Nummer {i}?\n\n{text}": {"answers": [f"Gast {i}"]} for i, text in enumerate(TEXTS)
    }


def test_intents_with_their_examples_are_told(conf):
    """gunthercox/ChatterBot#2264: a row is a class there, and its name no text."""
    rows = [{"tag": f"tag{i}", "patterns": [t, t[::-1]], "responses": ["Ja gern, wann?"]} for i, t in enumerate(TEXTS)]  # fmt: skip
    Path("a.json").write_text(dumped({"intents": rows}), encoding="utf-8")
    with pytest.raises(UserError, match="the texts seem to lie in the lists of patterns.*a row for each"):  # fmt: skip
        read(Path("a.json"))
    with pytest.raises(UserError, match=r"patterns: expected a text, found .*; write a row for each of its texts"):  # fmt: skip
        read(Path("a.json"), text="patterns")


def test_pairs_of_a_text_and_its_marks_are_rows_under_a_key_too(conf):
    """tecoholic/ner-annotator#44: null is a line in which nothing was marked."""
    made = [entities(i) for i in range(N)]
    pairs = [[text, {"entities": [list(span[:3]) for span in spans]}] for text, spans in made]
    content = {"classes": ["WHO", "WHERE"], "annotations": [*pairs[:5], None, *pairs[5:]]}
    Path("a.json").write_text(dumped(content), encoding="utf-8")
    assert [*read(Path("a.json"))] == [text for text, _ in made]


@pytest.mark.parametrize("found", [{"greeting": ["Hi", "Hello there"], "bye": ["Bye"]}, {"labels": ["a"], "data": ["one", "two"], "n": 1}])  # fmt: skip
def test_an_object_that_holds_no_rows_says_what_rows_are(tmp_path, found):
    """Not every one is of pandas."""
    path = tmp_path / "a.json"
    path.write_text(dumped(found))
    with pytest.raises(
        UserError, match=r"found one object; write one for each text, with its labels"
    ):
        load_table(path)


def test_null_among_objects_as_texts_is_none(tmp_path):
    """huggingface/datasets#8231: a column of JSON has null where a value is missing."""
    found = infer_field("x", ['{"a": 1}', "null", '{"a": 2}'] * 3, "columns")
    assert (found.spec["type"], found.spec["optional"]) == ("object", True)
    field = checked_fields({"x": found.spec})[0]
    assert value_of("null", field) is None and value_of('{"a": 1}', field) == {"a": 1}
    assert infer_field("x", ["null", "a", "b"] * 5, "columns").spec["type"] == "enum"


def test_labels_that_lie_too_deep_are_told(conf):
    """Labelbox's export: every key of its own would be learnt."""
    label = {"annotations": {"classifications": [{"name": "topic", "radio_answer": {"name": "info"}}]}}  # fmt: skip
    rows = [{"data_row": {"id": f"d{i}", "row_data": t}, "projects": {"p": {"labels": [label]}}} for i, t in enumerate(TEXTS)]  # fmt: skip
    Path("a.ndjson").write_text(lines(rows), encoding="utf-8")
    with pytest.raises(UserError, match="is it Labelbox's export. its labels lie too deep"):
        read(Path("a.ndjson"))


@pytest.mark.parametrize("moment", ["2020-04-11 10:00:00", "2020-04-11 10:00:00 UTC", "Sat, 11 Apr 2020 10:00:00 GMT", "Sat Apr 11 10:00:00 +0000 2020", "4/11/2020 10:00 AM"])  # fmt: skip
def test_a_moment_beside_an_object_is_no_text(conf, moment):
    """Rows of an event log: the text lies within."""
    rows = [{"id": i, "at": moment, "data": {"text": t, "topic": r["topic"]}} for i, (t, r) in enumerate(ROWS)]  # fmt: skip
    Path("a.jsonl").write_text(lines(rows), encoding="utf-8")
    assert read(Path("a.jsonl")) == dict(zip(TEXTS, TOPICS, strict=True))


def test_texts_that_lie_in_lists_are_told(conf):
    """SQuAD's paragraphs: the title is not what its questions are asked of."""
    rows = [{"title": f"Oslo {i}", "paragraphs": [{"context": t * 4, "qas": [{"question": "Wer ist es?", "answers": [{"text": "Gast"}]}]}]} for i, t in enumerate(TEXTS)]  # fmt: skip
    Path("a.json").write_text(dumped({"version": "1.1", "data": rows}), encoding="utf-8")
    with pytest.raises(UserError, match="the texts seem to lie in the lists of paragraphs"):
        read(Path("a.json"))


def test_no_moment_and_no_json_is_a_text(conf):
    """Of pictures that were labelled nothing is a text."""
    rows = [{"user_ip": f"a{i}", "created_at": f"2015-01-{i + 1:02} 10:00:00 UTC", "annotations": dumped([{"task": "T0", "value": "Yes or no"}])} for i in range(N)]  # fmt: skip
    rows = [{**row, "user_ip": f"10.0.0.{i}"} for i, row in enumerate(rows)]
    Path("a.jsonl").write_text(lines(rows))
    with pytest.raises(UserError, match="no column holds texts"):
        read(Path("a.jsonl"))


def test_what_the_web_writes_for_characters_is_told_in_json_too(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(dumped([{"text": "B&amp;B\\n\\nZimmer frei"}]))
    notes = load_table(path).notes
    assert any("&amp;" in note for note in notes) and any("a backslash and a letter" in note for note in notes)  # fmt: skip
