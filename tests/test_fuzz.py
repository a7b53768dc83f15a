"""Whatever a file, a config or a model holds: never a traceback, and what is taken comes back as it went in.

`make fuzz` draws far more of each than the quick tests do.
"""

from __future__ import annotations

import asyncio
import copy
import csv
import hashlib
import io
import json
import math
import re
import tempfile
from contextlib import redirect_stderr, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import openai
import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from lora_vs_api.analysis.configuration import config_sha256
from lora_vs_api.analysis.diagnosis import (
    confusion,
    confusion_labels,
    constant_value,
    diagnose_field,
    recover_record,
)
from lora_vs_api.analysis.scored_run import read_answers
from lora_vs_api.api.attempt import attempt
from lora_vs_api.api.batch_files import read_results
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.replies import read_reply
from lora_vs_api.api.store import ResponseStore, request_key, request_text
from lora_vs_api.api.types import Answer, ApiCondition, NoAnswer, Reply, Request
from lora_vs_api.cli.init import write_task
from lora_vs_api.cli.schema_file import read_schema
from lora_vs_api.cli.task_source import TaskSource
from lora_vs_api.config.fields import checked_fields
from lora_vs_api.config.literal import as_meant, can_be_kept, shown, yaml_text
from lora_vs_api.config.load import check_params, load_params
from lora_vs_api.config.sections import Params
from lora_vs_api.data.checks import check_fields
from lora_vs_api.data.contamination import read_label
from lora_vs_api.data.decisive import vocabulary
from lora_vs_api.data.formats.csv_rows import SEPARATORS
from lora_vs_api.data.from_schema import fields_from_json_schema
from lora_vs_api.data.infer import infer_field
from lora_vs_api.data.perturbation import PERTURBATIONS, perturb
from lora_vs_api.data.review import COLUMNS, read_verdicts
from lora_vs_api.data.source import (
    bare_text,
    describe,
    is_missing,
    read_source,
    says_nothing,
    value_of,
)
from lora_vs_api.data.split import stratified_split
from lora_vs_api.data.tables import Table, load_table
from lora_vs_api.errors import UserError
from lora_vs_api.files import json_text, read_jsonl, write_json, write_jsonl
from lora_vs_api.model_free.predictors import learn
from lora_vs_api.record.fields import Field, fields_from_config
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.record.prompt import completion, messages
from lora_vs_api.scoring.scores import score_output
from lora_vs_api.shown import visible
from lora_vs_api.validation.records import violations
from tests.fault_server import Seen, chat_body, response_body
from tests.imports import ROOT
from tests.strategies import (
    ANY_TEXT,
    JSON,
    JSON_SCHEMA,
    LABEL,
    NAME,
    SPEC,
    SPECS,
    TRICKY,
    answers,
    composed,
    places,
    records,
)
from tests.test_api_client import CHAT, MINI

# of the tests whose every example writes files or scores a run
FEWER = settings(max_examples=max(1, settings.default.max_examples // 3), deadline=None)
RAW = yaml.safe_load((ROOT / "params.yaml").read_text())


def one_line(error: BaseException) -> str:
    """The line that a user reads; problems of rows have a line each below it."""
    head = str(error).split("\n")[0]
    assert head
    return head


def composed_config(text: str) -> Any:
    """A file of conf/ as DVC and the project read it, without the rest of conf/ around it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.yaml")
        path.write_text(text, encoding="utf-8")
        config = OmegaConf.load(path)
        OmegaConf.resolve(config)
        path.write_text(OmegaConf.to_yaml(config), encoding="utf-8")
        return as_meant(yaml.safe_load(path.read_text(encoding="utf-8")))


# --- labels and settings --------------------------------------------------------------


@given(st.lists(LABEL | ANY_TEXT, max_size=4), NAME)
@example(list(TRICKY), "on")
def test_texts_come_back_from_yaml_and_hydra(texts, name):
    """A label that YAML would read as a number, or Hydra as a reference, stays a text."""
    kept = [composed(text) for text in texts if can_be_kept(text)]
    key = name if can_be_kept(name) else "a"
    found = composed_config(f"# {shown(name)}\ntask:\n  {yaml_text({key: kept})[1:-1]}\n")
    assert found == {"task": {composed(key): kept}}


@given(SPECS)
def test_fields_come_back_from_a_config(specs):
    """Every key of a field: bounds and labels alike."""
    if all(can_be_kept(text) for text in json.dumps(specs, ensure_ascii=False).split('"')):
        found = composed_config(f"task: {yaml_text({'fields': specs})}\n")
        assert found["task"]["fields"] == specs and checked_fields(specs)


PLACES = places(RAW)


@settings(deadline=None)
@given(st.sampled_from(PLACES), JSON, st.booleans())
@example(("task", "instruction"), int("1" * 400), False)
@example(("seeds",), [int("1" * 400)], False)
def test_any_setting_is_taken_or_explained(place, value, added):
    """A key that is new, or one that has another value: params, or one line."""
    raw = copy.deepcopy(RAW)
    node = raw
    for key in place[:-1]:
        node = node[key]
    if added and isinstance(node, dict):
        node["anything"] = value
    else:
        node[place[-1]] = value
    try:
        params = check_params(raw)
    except UserError as error:
        one_line(error).encode("utf-8", "backslashreplace")
    else:
        assert isinstance(params, Params) and len(config_sha256(params)) == 64


@FEWER
@given(st.text() | LABEL.map(lambda label: f"task: {label}\n") | st.binary(max_size=20))
@example("a: &a [*a]\ntask: &t {x: *t}\n")
@example("a: 2026-13-45\n")
@example("a: " + "1" * 5000 + "\n")
@example("\x00")
def test_any_params_file_is_one_line(text):
    """None of these is a configuration."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "params.yaml")
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        with pytest.raises(UserError) as told:
            load_params(path)
    assert "\n" not in str(told.value)


# --- files ----------------------------------------------------------------------------


def as_cell(value: Any) -> str:
    """As a program that knows no types writes it into CSV."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value)


def write_csv(path: Path, rows: list[dict[str, Any]], **form: Any) -> None:
    text = io.StringIO(newline="")
    # a name with another separator in it could not be told from two, were it not between quotes
    odd = any(mark in name for name in rows[0] for mark in SEPARATORS)
    writer = csv.DictWriter(text, list(rows[0]), quoting=csv.QUOTE_ALL * odd, **form)
    writer.writeheader()
    writer.writerows({name: as_cell(value) for name, value in row.items()} for row in rows)
    path.write_bytes(text.getvalue().encode("utf-8"))


def write_rows(path: Path, form: str, rows: list[dict[str, Any]]) -> Path:
    target = path / f"rows.{'csv' if form in (',', ';', '|') else form}"
    if form == "jsonl":
        target.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif form == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), target)
    else:
        write_csv(target, rows, delimiter="\t" if form == "tsv" else form)
    return target


def same(value: Any, spec: dict[str, Any]) -> Any:
    """The value of a row as it is in the corpus: an empty cell, or one of blanks, that may be null is null.

    A text is without the blanks around it.
    """
    empty = value == "" or (says_nothing(value) and value not in (spec.get("values") or ()))
    return None if empty and spec.get("optional") else typed(value, spec)


def typed(value: Any, spec: dict[str, Any]) -> Any:
    if isinstance(value, str) and spec["type"] == "string":
        return bare_text(value)
    if isinstance(value, dict) and spec["type"] == "object":
        return {name: same(inner, spec["fields"][name]) for name, inner in value.items()}
    if isinstance(value, list) and spec["type"] == "list":
        return [same(item, spec.get("items") or {"type": "string"}) for item in value]
    return value


@FEWER
@given(st.data(), st.sampled_from([",", ";", "|", "tsv", "jsonl", "parquet"]))
def test_every_row_comes_back_as_it_went_in(data, form):
    """Whatever stands in texts and cells: separators, quotes, line ends, other scripts."""
    leaves = SPEC.filter(lambda spec: spec["type"] not in ("object", "list"))
    specs = data.draw(
        st.dictionaries(NAME, leaves if form == "parquet" else SPEC, min_size=1, max_size=3)
    )
    names = [name for name in specs if name not in ("the text", "sep=")]
    specs = {name: specs[name] for name in names} or {"a": {"type": "string"}}
    # an empty cell of a string that must not be empty is refused
    full = [
        name
        for name, spec in specs.items()
        if spec["type"] == "string" and not spec.get("optional")
    ]
    texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(
        str.strip
    )
    rows = data.draw(
        st.lists(st.tuples(texts, records(specs)).map(lambda drawn: {"the text": drawn[0], **drawn[1]}), min_size=1, max_size=4)
    )  # fmt: skip
    rows = [row | {name: "x" for name in full if says_nothing(row[name])} for row in rows]
    if form == "parquet":
        # of one type a column, and 64 bits wide
        small = 2**53
        rows = [
            {
                name: float(value) if specs.get(name, {}).get("type") == "number" and value is not None
                else max(-small, min(small, value)) if isinstance(value, int) and not isinstance(value, bool)
                else value
                for name, value in row.items()
            }
            for row in rows
        ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = write_rows(Path(folder), form, rows)
        # written twice and without quotes, a backslash is read as a database's escape, which is told
        assume(form != "tsv" or r"\\" not in path.read_bytes().decode())
        found = read_source(path, fields_from_config(specs), "the text", None, None)
    assert [row["text"] for row in found] == [row["the text"] for row in rows]
    if form not in ("jsonl", "parquet"):
        # what programs fill texts up with in a table, and is told
        rows = [
            {name: value.replace("\0", "") if isinstance(value, str) else value for name, value in row.items()}
            for row in rows
        ]  # fmt: skip
    assert [row["record"] for row in found] == [
        {name: same(row[name], spec) for name, spec in specs.items()} for row in rows
    ]


CELL = st.one_of(
    LABEL,
    ANY_TEXT,
    st.integers().map(str),
    st.floats().map(str),
    st.integers(0, 9).map(lambda n: f"0000{n}"),
    st.sampled_from(["", "yes", "no", "[1]", '["a"]', "{}", '{"a": 1}', "[" * 3000, "1" * 5000]),
)


@given(st.lists(CELL, min_size=1, max_size=6) | st.lists(st.sampled_from(TRICKY), min_size=10))
def test_a_cell_keeps_what_it_says(cells):
    """What is read as a number is that number written out; everything else is left as it is."""
    inferred = infer_field("f", cells)
    (field,) = fields_from_config({"f": inferred.spec})
    for cell in cells:
        value = value_of(cell, field)
        # among numbers and truths, and nowhere else, a word says that there is none
        word = field.type in ("integer", "number", "boolean") and is_missing(cell.strip())
        if cell == "" or ((says_nothing(cell) or word) and value is None):
            assert value is None and field.optional
        elif field.type in ("string", "enum"):
            assert value == cell or value == bare_text(cell)
        elif field.type == "integer":
            # of pandas, where others are missing
            assert str(value) == cell.strip().removesuffix(".0")
            assert field.optional or not cell.strip().endswith(".0")
        elif field.type == "number":
            assert float(cell) == value
        assert field.type in ("object", "list") or not violations({"f": value}, (field,))


@FEWER
@given(
    st.one_of(
        st.binary(max_size=60),
        st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
        JSON.map(lambda value: json.dumps({"text": value, "label": value}).encode()),
        st.lists(st.lists(CELL, max_size=4).map(",".join), max_size=4).map(
            lambda lines: "\n".join(lines).encode()
        ),
    ),
    st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]),
    st.sampled_from([None, "latin-1", "utf-16", "rot13", "nothing"]),
)
@example(b'{"a": ' + b"[" * 100_000, ".jsonl", None)
@example(b'{"a": ' + b"1" * 5000 + b"}", ".jsonl", None)
@example(b'{"a": NaN, "b": [NaN]}', ".jsonl", None)
@example(b"sep=;", ".csv", None)
def test_any_file_is_a_table_or_one_line(raw, suffix, encoding):
    """Bytes of another kind, broken quotes, a program's odd habits; the verdicts of a person too."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"rows{suffix}")
        path.write_bytes(raw)
        try:
            table = load_table(path, encoding)
        except UserError as error:
            assert str(path) in one_line(error)
        else:
            assert isinstance(table, Table)
            write_jsonl(Path(folder, "again.jsonl"), [dict(row) for _, row in table.rows])
        for verdicts in (raw, ",".join(COLUMNS).encode() + b"\n" + raw):
            path.write_bytes(verdicts)
            try:
                read_verdicts(path)
            except UserError as error:
                one_line(error)


def check_shown(said: str, corpus: list[Any], fields: Any, instruction: str) -> None:
    """The rows that init shows are those that the written config has models asked and taught."""
    # at line ends alone: what else ends a line to Python is escaped
    lines = said.split("\n")
    starts = [place for place, line in enumerate(lines) if line.startswith("Row ")]
    assert len(starts) == 2
    for start in starts:
        number, of = re.findall(r"\d+", lines[start])
        row = corpus[int(number) - 1]
        asked, taught = lines[start + 1 : start + 3]
        assert int(of) == len(corpus)
        prompt = messages(instruction, row["text"], fields)
        assert json.loads(asked.removeprefix("  text    ")) == prompt[-1]["content"]
        shown_record = taught.removeprefix("  record  ")
        assert shown_record == visible(completion(row["record"], fields))
        assert json.loads(shown_record) == json.loads(completion(row["record"], fields))


@FEWER
@given(st.data(), st.sampled_from([",", "jsonl"]))
def test_init_takes_a_file_or_says_why_not(data, form):
    """A config that composes to the fields it has read, whose rows fit; or one line."""
    names = data.draw(st.lists(NAME, min_size=1, max_size=2, unique_by=str.casefold))
    pools = {
        name: data.draw(st.lists(CELL if form == "," else CELL | JSON, min_size=1, max_size=4))
        for name in names
    }
    rows = [
        {"the text": f"a text of several words, number {i}", **{name: pool[i % len(pool)] for name, pool in pools.items()}}
        for i in range(20)
    ]  # fmt: skip
    noun = data.draw(st.sampled_from(["booking", *TRICKY]))
    with tempfile.TemporaryDirectory() as folder:
        path = write_rows(Path(folder), form, rows)
        given_ = TaskSource(
            str(path), None, None, "t", noun, "the text", None, None, None, None, None, None, folder, False
        )  # fmt: skip
        config = Path(folder, "task", "t.yaml")
        said = io.StringIO()
        try:
            with redirect_stderr(said), patch("lora_vs_api.cli.guesses.MAX_SHOWN", 10**9):
                write_task(given_)
        except UserError as error:
            one_line(error)
            assert not config.exists()
            return
        found = composed_config(config.read_text(encoding="utf-8"))
        fields = checked_fields(found["task"]["fields"])
        source = found["data"]
        corpus = read_source(path, fields, source["text"], source["record"], source["id"])
    assert len(corpus) == 20
    check_shown(said.getvalue(), corpus, fields, found["task"]["instruction"])
    for row, given_row in zip(corpus, rows, strict=True):
        assert not violations(row["record"], fields)
        # one object a row is taken for the record
        for field in fields if source["record"] is None else ():
            # zero bytes of a CSV file are left out, with a note
            cell = as_cell(given_row[field.name]).replace("\0", "")
            if form == "," and cell and field.type in ("string", "enum"):
                assert composed(row["record"][field.name]) == composed(cell)


@settings(deadline=None)
@given(JSON_SCHEMA)
@example({"properties": {"a": True}})
@example({"properties": {"a": {"type": "array", "items": [{"type": "string"}]}}})
@example({"properties": {"a": {"enum": "ab"}}, "required": 1})
@example({"properties": {"a": {"$ref": 1}}})
@example({"properties": {"a": {"type": "integer", "minimum": 10**400}}})
def test_a_json_schema_gives_fields_or_one_line(schema):
    """As a class gives it and as a file holds it; whatever stands there."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "schema.json")
        path.write_text(json.dumps(schema))
        for read in (lambda: schema, lambda: read_schema(str(path))):
            try:
                specs = fields_from_json_schema(read(), "schema.json")
            except UserError as error:
                told = str(error)
                assert told.startswith("--schema: ") and told == visible(told.replace("\n", "\0"))
            else:
                found.append(specs)
                fields = checked_fields(specs)
                assert [field.name for field in fields] == list(specs) and specs
    assert len(found) < 2 or found[0] == found[1]


# --- answers --------------------------------------------------------------------------


@settings(deadline=None)
@given(st.data(), SPECS)
def test_no_answer_ends_the_analysis(data, specs):
    """Scored, diagnosed and written down, whatever a model says; a right answer has full marks."""
    fields = fields_from_config(specs)
    gold = data.draw(records(specs))
    right = completion(gold, fields)
    assert score_output(right, gold, fields).exact_match
    outputs = data.draw(st.lists(answers(right), min_size=1, max_size=3))
    scores = [score_output(output, gold, fields) for output in outputs]
    assert all(0 <= value <= 1 for score in scores for value in score.fields)
    assert all(0 <= score.field_f1 <= 1 + 1e-9 for score in scores)
    found = [parse_record(output) for output in outputs]
    for field in fields:
        for table in (found, [r and r.record for r in map(recover_record, outputs)]):
            said = diagnose_field(field, table, [gold] * len(outputs))
            assert all(v is None or math.isfinite(v) for v in said.measures().values())
            if confusion_labels(field):
                confusion(field, table, [gold] * len(outputs))
            constant_value(field, table, [gold] * len(outputs))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "answers.jsonl")
        rows = [{"output": o, "record": r} for o, r in zip(outputs, found, strict=True)]
        write_jsonl(path, rows)
        write_json(Path(folder, "answers.json"), rows)
        assert read_jsonl(path) == rows


@given(st.data(), SPECS)
def test_no_reply_of_a_server_ends_the_analysis(data, specs):
    """From a server's JSON to a score, by the project's own reading of it."""
    fields, gold = fields_from_config(specs), data.draw(records(specs))
    body = chat_body(
        Seen("", {}, {"model": "m", "messages": [{"role": "user", "content": "mail 1"}]}, 0.0), "ok"
    )
    content = data.draw(answers(completion(gold, fields)) | JSON)
    body["choices"][0]["message"]["content"] = content
    try:
        output = read_reply(body, CHAT, lambda text: (1, 1)).output
    except NoAnswer:
        return
    # a store and a file can hold it
    assert output.encode()
    assert all(0 <= value <= 1 for value in score_output(output, gold, fields).fields)


def edited(data: Any, body: Any) -> Any:
    """``body`` with any JSON in any place of it, or as it is."""
    whole = {"": copy.deepcopy(body)}
    place = data.draw(st.sampled_from(places(whole)))
    if data.draw(st.integers(0, 3)):
        node = whole
        for key in place[:-1]:
            node = node[key]
        node[place[-1]] = data.draw(JSON)
    return whole[""]


def usual(condition: ApiCondition, text: str) -> dict[str, Any]:
    key, make = ("messages", chat_body) if condition is CHAT else ("input", response_body)
    asked = {"model": "m", key: [{"role": "user", "content": "mail 1"}]}
    body = json.dumps(make(Seen("", {}, asked, 0.0), "ok"))
    return json.loads(body.replace(json.dumps(json.dumps({"echo": "mail 1"})), json.dumps(text)))


PLANTED = "sk-planted-0123456789"
PROVIDER = Provider("http://127.0.0.1:1/v1", PLANTED)
NEAR_KEY = st.tuples(st.text("x", max_size=310), ANY_TEXT).map(lambda t: f"{t[0]}{PLANTED}{t[1]}")


def holds_no_key(text: str) -> bool:
    """Not even the first half of it, as where a message is cut."""
    return PLANTED[:8] not in text


@FEWER
@given(st.data(), st.sampled_from([CHAT, MINI]))
def test_any_line_of_a_batch_is_stored_or_explained(data, condition):
    """What can be read is kept as the store gives it back; the rest is a reason; no key in either."""
    response: dict[str, Any] = {
        "status_code": 200,
        "body": usual(condition, data.draw(JSON.map(json.dumps) | NEAR_KEY)),
    }
    if data.draw(st.booleans()):
        body = {"error": {"message": data.draw(NEAR_KEY | ANY_TEXT)}}
        response = {"status_code": data.draw(st.sampled_from([400, 403, 500])), "body": body}
    line = json.dumps(edited(data, {"custom_id": "k", "error": None, "response": response}))
    lines = [line, data.draw(st.just(line[:-3]) | ANY_TEXT | st.just("[" * 5000))]
    found: list[Any] = []
    try:
        text, estimates = "\n".join(lines), {"k": lambda text: (1, 1)}
        found.extend(read_results(text, "f", condition, estimates, PROVIDER.cleaned))
    except UserError as error:
        one_line(error)
    with ResponseStore(":memory:") as store:
        for number, (_, result) in enumerate(found):
            text = request_text(Request("a", [], number), condition, PROVIDER.base_url)
            if isinstance(result, str):
                assert result and holds_no_key(result)
                store.failed(text, result)
                continue
            reply = PROVIDER.redacted(result)
            store.put(text, Answer("a", reply, None, 1))
            kept = store.get(request_key(text), "a")
            assert kept is not None and kept.reply == reply and holds_no_key(kept.reply.output)
        assert json_text(list(store.rows()))


@FEWER
@given(st.data())
def test_any_row_of_a_store_is_taken_over_or_explained(data):
    """A row with anything in any place, and what is no row; what is taken over can be exported again."""
    text = request_text(Request("a", [{"role": "user", "content": "x"}]), MINI, PROVIDER.base_url)
    with ResponseStore(":memory:") as store, ResponseStore(":memory:") as other:
        store.put(text, Answer("a", Reply("{}", "answered", 1, 1, 0), 0.5, 1))
        (row,) = store.rows()
        changed = edited(data, row)
        if isinstance(changed, dict) and data.draw(st.booleans()):
            # a key that fits, so that its columns are looked at
            changed["key"] = _key_of(changed.get("request"))
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "a.jsonl")
                path.write_text(json.dumps(changed) + "\n")
                other.add_rows((f"{path}:1", found) for found in read_jsonl(path))
        except UserError as error:
            assert "a.jsonl:1: " in one_line(error) and len(other) == 0
            return
        (again,) = other.rows()
        assert json_text(again) and other.get(again["key"], "a") is not None


def _key_of(request: Any) -> str:
    text = json.dumps(request, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def ask_one_that_sends(status: int, content: bytes, condition: ApiCondition) -> None:
    """An answer or a reason comes of it, without the key."""

    async def create(**asked: Any) -> Any:
        if status == 200:
            return SimpleNamespace(content=content, headers={}, http_response=None)
        # as the client makes an error of what was sent
        sent = content.decode("utf-8", "replace")
        told: Any = sent
        with suppress(ValueError, RecursionError):
            told = json.loads(told)
        told = told.get("error", told) if isinstance(told, dict) else told
        response: Any = SimpleNamespace(request=None, status_code=status, headers={}, text=sent)
        raise openai.APIStatusError("it failed", response=response, body=told)

    endpoint = SimpleNamespace(with_raw_response=SimpleNamespace(create=create))
    client: Any = SimpleNamespace(
        chat=SimpleNamespace(completions=endpoint), responses=endpoint, base_url="http://x"
    )
    request = Request("email-0", [{"role": "user", "content": "x"}])
    try:
        reply = asyncio.run(attempt(client, request, condition, PROVIDER, 5, len)).reply
    except NoAnswer as error:
        assert error.reason and holds_no_key(error.reason)
    except UserError as error:
        assert one_line(error) and holds_no_key(str(error))
    else:
        assert holds_no_key(reply.output.encode().decode())


STRICT = replace(CHAT, schema={"type": "object"})


@FEWER
@given(st.data(), st.sampled_from([CHAT, MINI, STRICT]))
def test_any_bytes_of_a_server_are_an_answer_or_a_reason(data, condition):
    """With any status; the key that they quote is in none of it, not even a part."""
    status = data.draw(st.sampled_from([200, 200, 400, 403, 404, 422, 429, 500]))
    body: Any = usual(condition, data.draw(JSON.map(json.dumps) | NEAR_KEY))
    if status != 200:
        body = {"error": {"message": data.draw(NEAR_KEY | ANY_TEXT), "code": None, "param": ""}}
    right = json.dumps(edited(data, body)).encode()
    content = data.draw(st.just(right) | st.binary(max_size=20) | st.just(right[:-2]))
    ask_one_that_sends(status, content, condition)


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize(
    "content", [b'{"choices": [' + b"1" * 5000, b"[" * 100_000, b'{"error": ' + b"[" * 900 + b"]" * 900 + b"}"]
)  # fmt: skip
def test_bytes_that_python_cannot_read_are_a_reason(status, content):
    """Digits and nests without end."""
    for condition in (CHAT, MINI):
        ask_one_that_sends(status, content, condition)


@FEWER
@given(st.data(), SPECS)
def test_any_rows_are_looked_at_and_learned(data, specs):
    """Checks, splits and perturbations; majority, nearest text and copying."""
    fields = fields_from_config(specs)
    rows = [
        {"id": str(n), "text": text, "record": record}
        for n, (text, record) in enumerate(
            data.draw(
                st.lists(
                    st.tuples(ANY_TEXT.filter(str.strip), records(specs)), min_size=2, max_size=4
                )
            )
        )
    ]
    check_fields({"train": rows}, fields)
    assert len(describe(rows, "rows.csv", fields)["labels"]) <= len(fields)
    perturb(rows, list(PERTURBATIONS), 0, vocabulary(fields, rows))
    stratified_split(rows, {"train": 0.5, "test": 0.5}, fields[0].name, 0)
    for name in ("majority", "nearest_copy"):
        predicted = learn(name, rows, fields).predict(data.draw(ANY_TEXT))
        assert not violations(predicted, fields)


@given(
    st.lists(LABEL, min_size=1, max_size=5, unique_by=lambda t: composed(t).casefold()), st.data()
)
def test_a_label_that_is_answered_is_found(labels, data):
    """Alone it is itself; among other words it is one of the labels or none."""
    labels = [composed(label) for label in labels if label.strip()] or ["a"]
    field = Field("f", "enum", values=tuple(labels))
    label = data.draw(st.sampled_from(labels))
    folded = " ".join(label.casefold().split())
    same_words = [v for v in labels if " ".join(v.casefold().split()) == folded]
    assert read_label(label, field) in same_words
    found = read_label(data.draw(ANY_TEXT) + label + data.draw(ANY_TEXT), field)
    assert found is None or found in labels


def test_a_scored_run_of_odd_answers_is_read(tmp_path):
    """The files between the nodes hold them too."""
    specs = {"amount": {"type": "number"}, "name": {"type": "string"}}
    fields = fields_from_config(specs)
    outputs = ['{"amount": ' + "1" * 400 + "}", '{"name": "\\ud83d"}', '{"name": "\ud83d"}', "NaN"]
    rows = [{"id": str(n), "record": {"amount": 1, "name": "x"}} for n in range(len(outputs))]
    write_jsonl(
        tmp_path / "predictions.jsonl",
        ({"id": str(n), "output": o, "outcome": "answered"} for n, o in enumerate(outputs)),
    )
    write_jsonl(
        tmp_path / "usage.jsonl",
        ({"id": str(n), "input_tokens": 1, "output_tokens": 1} for n in range(len(outputs))),
    )
    run = read_answers(tmp_path, rows, fields)
    assert list(run.outputs) == outputs and not run.valid_json.any() and run.fields.sum() == 0
