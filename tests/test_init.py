"""From a user's file to a task config that the pipeline takes, with nothing guessed in silence."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from lora_vs_api.cli.date_forms import one_form
from lora_vs_api.cli.init import _tokens
from lora_vs_api.cli.task_config import FEW_ROWS
from lora_vs_api.cli.task_fields import omitting
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.data.from_schema import fields_from_json_schema
from lora_vs_api.data.infer import infer_field, text_kind
from lora_vs_api.data.source import read_source, read_table
from lora_vs_api.data.text_column import text_column
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_jsonl
from lora_vs_api.record.fields import fields_from_config
from tests.commands import lora_vs_api


def spec(*values):
    return infer_field("f", values).spec


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2", "2"], {"type": "integer", "score": "exact"}),
        (["1", "2", "2"] * 10, {"type": "integer", "score": "exact", "minimum": 1, "maximum": 2}),
        # the highest was seen once: a higher one may come
        (["1"] * 40 + ["2"] * 40 + ["5"], {"type": "integer", "score": "exact"}),
        (["10", "-4000"], {"type": "integer", "score": "exact"}),
        (["1", "2.5"], {"type": "number", "score": "exact"}),
        ([0, 1] * 15, {"type": "integer", "score": "exact", "minimum": 0, "maximum": 1}),
        (["yes", "No"], {"type": "boolean", "score": "exact"}),
        ([True, False], {"type": "boolean", "score": "exact"}),
        (["a", "b"] * 5, {"type": "enum", "values": ["a", "b"], "score": "exact"}),
        (["a", "b"], {"type": "string", "score": "exact"}),
        (["007", "x"], {"type": "string", "score": "exact"}),
        (["please send the parcel again", "x"] * 1, {"type": "string", "score": "exact"}),
        (["please send the parcel again"], {"type": "string", "score": "token_f1"}),
        (["[1]", "[]"], {"type": "list", "score": "set_f1", "items": {"type": "integer"}}),
        ([["a"], []], {"type": "list", "score": "set_f1"}),
        (["", None], {"type": "string", "optional": True}),
        (["3", ""], {"type": "integer", "score": "exact", "optional": True}),
    ],
)
def test_a_column_is_read_as_what_all_of_it_can_be(values, expected):
    """A wrong type would make every answer wrong, or a row unreadable."""
    assert spec(*values) == expected


def test_objects_are_inferred_key_by_key():
    """A key that some rows leave out may be null; the whole is scored by its slots."""
    found = spec({"a": 1}, {"a": 2, "b": "x"}, None)
    assert found == {
        "type": "object",
        "score": "slot_f1",
        "fields": {
            "a": {"type": "integer", "score": "exact"},
            "b": {"type": "string", "score": "exact", "optional": True},
        },
        "optional": True,
    }


def test_the_text_is_the_longest_column_but_not_the_record():
    """A record as JSON is often longer than the text it was taken from."""
    rows = [{"id": "1", "mail": "some words", "label": json.dumps({"x": "y" * 99})}]
    assert text_column(rows) == "mail"
    with pytest.raises(UserError, match="no column holds texts"):
        text_column([{"a": 1}])


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["Dear Sir,\n\nmy lamp is broken.\n\nAnn"], "mail"),
        (["Subject: lamp\nIt is broken", "no\nmail", "hello\nyou"], "mail"),
        (["hi, can you book a table for 4"], "chat"),
        (["Hello, one line only, for my friend"], "chat"),
        (["I like it", "LaCie drive $119. 95", "I do\nnot"], "chat"),
        (["LaCie drive $119. 95", "12 Main St", "I like it"], "snippet"),
        (["Dearborn St\nChicago IL"], "snippet"),
        ([], "snippet"),
    ],
)
def test_what_the_texts_are_is_guessed_by_half_of_them(texts, kind):
    """Mail footers under prices would be perturbed texts that nobody writes."""
    assert text_kind(texts) == kind


def test_a_pydantic_model_becomes_fields():
    """Whoever has the record as a class need not write it again; unions with null are optional."""
    from enum import Enum
    from typing import Literal

    from pydantic import BaseModel, Field

    class Kind(Enum):
        bill = "bill"
        credit = "credit"

    class Line(BaseModel):
        what: str
        count: int | None = Field(ge=1)

    class Invoice(BaseModel):
        vendor: str
        kind: Kind
        state: Literal["open", "paid"] | None
        total: float = Field(ge=0)
        paid: bool = False
        tags: list[str]
        lines: list[Line]
        first: Line

    found = fields_from_json_schema(Invoice.model_json_schema(), "rows:Invoice")
    assert found == {
        "vendor": {"type": "string", "score": "exact"},
        "kind": {"type": "enum", "values": ["bill", "credit"], "score": "exact"},
        "state": {"type": "enum", "values": ["open", "paid"], "score": "exact", "optional": True},
        "total": {"type": "number", "score": "exact", "minimum": 0},
        "paid": {"type": "boolean", "score": "exact", "optional": True},
        "tags": {"type": "list", "score": "set_f1"},
        "lines": {"type": "list", "score": "set_f1", "items": found["first"]},
        "first": {
            "type": "object",
            "score": "slot_f1",
            "fields": {
                "what": {"type": "string", "score": "exact"},
                "count": {"type": "integer", "score": "exact", "minimum": 1, "optional": True},
            },
        },
    }
    fields_from_config(found)


A, LOOP = {"$ref": "#/$defs/A"}, {"properties": {"a": {"$ref": "#/$defs/A"}}}
DEEP: dict = {"type": "string"}
for _ in range(3000):
    DEEP = {"anyOf": [DEEP]}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "string"}, "#: expected an object with properties"),
        ({"properties": []}, "#: expected an object with properties, found []"),
        ({"properties": {"a": {}}}, "#/properties/a: expected a type of"),
        ({"properties": {"a": True}}, "#/properties/a: expected a schema such as"),
        ({"properties": {"a/b": False}}, "#/properties/a~1b: expected a schema such as"),
        ({"properties": {"a\n\x1b": 1}}, "#/properties/a \\u001b: expected a schema such as"),
        ({"properties": {"a": {"type": ["string", "integer"]}}}, "a: expected a type of"),
        ({"properties": {"a": {"type": {"x": 1}}}}, 'a/type: expected a list, found {"x": 1}'),
        ({"properties": {"a": {"type": [["string"]]}}}, "a: expected a type of"),
        ({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}}, "one type"),
        ({"properties": {"a": {"anyOf": [True]}}}, "a/anyOf/0: expected a schema such as"),
        ({"properties": {"a": {"oneOf": 1}}}, "a/oneOf: expected a list, found 1"),
        ({"properties": {"a": {"allOf": "x"}}}, 'a/allOf: expected a list, found "x"'),
        ({"properties": {"a": {"enum": [1, 2]}}}, "a/enum: expected an enum of texts, found [1, 2]"),
        ({"properties": {"a": {"enum": True}}}, "a/enum: expected a list, found true"),
        ({"properties": {"a": {"enum": [None]}}}, "a/enum: expected an enum of texts"),
        ({"properties": {"a": {"const": None}}}, "a/const: expected an enum of texts"),
        ({"properties": {"a": {"type": "object"}}}, "a: expected an object with properties"),
        ({"properties": {"a": {"type": "array", "items": True}}}, "a/items: expected a schema such"),
        ({"properties": {"a": {"type": "array", "items": [{}]}}}, "a/items: expected one schema"),
        ({"properties": {"a": {"type": "array", "prefixItems": []}}}, "a/items: expected one schema"),
        ({"properties": {"a": {"type": "string"}}, "required": 3}, "#/required: expected a list"),
        ({"properties": {"a": {"type": "string"}}, "required": [[]]}, "expected a list of names"),
        ({"properties": {"a": {"type": "integer", "minimum": "1"}}}, "a/minimum: expected a number"),
        ({"properties": {"a": {"type": "integer", "maximum": True}}}, "a/maximum: expected a number"),
        ({"properties": {"a": {"type": "number", "minimum": int("9" * 400)}}}, "a/minimum: expected a"),
        ({"properties": {"a": {"type": "number", "maximum": 10**5000}}}, "found a int"),
        ({"properties": {"a": {"type": "integer", "minimum": 2, "maximum": 1}}}, "no more than maxi"),
        ({"properties": {"a": A}}, 'a/$ref: expected the place of a schema in the file, found "#/'),
        ({"properties": {"a": A}, "$defs": {"A": True}}, "a/$ref: expected the place of a schema"),
        ({"properties": {"a": A}, "$defs": {"A": A}}, "expected a record that ends within 20 levels"),
        ({"properties": {"a": A}, "$defs": {"A": {"enum": 1}}}, "#/$defs/A/enum: expected a list"),
        ({"properties": {"a": {"$ref": "http://x"}}}, "expected a reference within the file"),
        ({"properties": {"a": {"$ref": 1}}}, "a/$ref: expected a reference within the file, #/…, found 1"),
        ({"$ref": 3}, "#/$ref: expected a reference within the file"),
        ({"allOf": [A], "$defs": {"A": {"allOf": [A]}}}, "expected a record that ends within 20 levels"),
        ({"properties": {"a": {"allOf": [{"type": "string"}, {"minLength": 1}]}}}, "one type"),
        ({"properties": {"a": DEEP}}, "expected a record that ends within 20 levels"),
        ({"properties": {"a": {"type": "object", **LOOP}}, "$defs": {"A": {"type": "object", **LOOP}}},
         "expected a record that ends within 20 levels"),
        ({"properties": {"\u00e9": {"type": "string"}, "e\u0301": {"type": "string"}}}, "no name twice"),
        # eighteen definitions that each name the next one twice: a quarter of a million fields
        ({"properties": {"a": {"$ref": "#/$defs/0"}},
          "$defs": {**{str(n): {"type": "object",
                                "properties": {x: {"$ref": f"#/$defs/{n + 1}"} for x in "ab"}}
                       for n in range(17)}, "17": {"type": "string"}}}, "at most 1,000 fields"),
    ],
)  # fmt: skip
def test_a_schema_that_a_record_cannot_have_is_refused_with_its_place(schema, message):
    """Half a schema taken over would be scored as if it were the whole."""
    with pytest.raises(UserError) as caught:
        fields_from_json_schema(schema, "s.json")
    told = str(caught.value)
    assert message in told and told.startswith("--schema: s.json: #") and told.isprintable()


def test_a_schema_is_read_as_json_schema_means_it():
    """References into lists and with escapes, null in every way, names in either Unicode form."""
    schema = {
        "$ref": "#/$defs/a~1b%20c",
        "$defs": {
            "a/b c": {
                "type": "object",
                "properties": {
                    "caf\u00e9": {"type": ["null", "string"], "minimum": "of no text"},
                    "kind": {"anyOf": [{"enum": ["a", "e\u0301", "a"]}, {"const": None}]},
                    "same": {"$ref": "#/$defs/a~1b%20c/properties/kind/anyOf/0"},
                    "never": {"type": "string", "enum": ["a", None]},
                },
                "required": ["cafe\u0301", "kind", "same", "never", "elsewhere"],
            }
        },
    }
    assert fields_from_json_schema(schema, "s.json") == {
        "caf\u00e9": {"type": "string", "score": "exact", "optional": True},
        "kind": {"type": "enum", "values": ["a", "\u00e9"], "score": "exact", "optional": True},
        "same": {"type": "enum", "values": ["a", "\u00e9"], "score": "exact"},
        "never": {"type": "enum", "values": ["a"], "score": "exact"},
    }


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"$ref": "#/$defs/X"}, {"type": "string", "optional": True}),
        ({"anyOf": [{"type": "STRING"}, {"type": "NULL"}]}, {"type": "string", "optional": True}),
        ({"type": "INTEGER", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}),
        ({"type": ["integer", "null"], "exclusiveMaximum": 9},
         {"type": "integer", "maximum": 8, "optional": True}),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": 5}, {"type": "integer", "minimum": 6}),
        ({"type": "integer", "minimum": 7, "exclusiveMinimum": 5}, {"type": "integer", "minimum": 7}),
        ({"type": "integer", "maximum": 7, "exclusiveMaximum": True}, {"type": "integer", "maximum": 6}),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number"}),
        ({"oneOf": [{"const": "a", "title": "A"}, {"enum": ["b", "a"]}]}, {"type": "enum", "values": ["a", "b"]}),
        ({"anyOf": [{"const": "a"}, {"const": "b"}, {"const": None}]},
         {"type": "enum", "values": ["a", "b"], "optional": True}),
        ({"allOf": [{"$ref": "#/$defs/O"}, {"properties": {"y": {"type": "string"}}, "required": ["y"]}]},
         {"type": "object", "score": "slot_f1", "fields": {
             "x": {"type": "integer", "score": "exact"}, "y": {"type": "string", "score": "exact"}}}),
    ],
)  # fmt: skip
def test_words_of_openapi_and_gemini_say_the_same(said, expected):
    """Behind a reference, in capitals, or beside null, a bound or a null was lost without a word.

    Labels with a schema each, and an object that extends another, were refused.
    """
    schema = {
        "properties": {"a": said},
        "required": ["a"],
        "$defs": {
            "X": {"type": "string", "nullable": True},
            "O": {"properties": {"x": {"type": "integer"}}, "required": ["x"]},
        },
    }
    assert fields_from_json_schema(schema, "s.json") == {"a": {"score": "exact", **expected}}


def bookings(n=60):
    rooms = ["single", "double", "suite"]
    return [
        {
            "booking_id": f"B{i}",
            "message": f"{rooms[i % 3]} room: for {i % 4 + 1} nights, guest Ann #{i}",
            "room": rooms[i % 3],
            "nights": i % 4 + 1,
            "rate": "" if i % 5 == 0 else 60.5 + i,
        }
        for i in range(n)
    ]


def run_init(*arguments):
    lora_vs_api("init", *arguments)


def write(path, rows):
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def test_the_written_config_composes_and_says_what_it_inferred(project, capsys):
    """The command that init names next has to work, on what it wrote and as it is."""
    run_init(write(project / "My bookings.csv", bookings()), "--noun", "booking")
    text = (project / "conf/task/my_bookings.yaml").read_text()
    assert 'make params SET="task=my_bookings" && dvc repro' in capsys.readouterr().out
    params = yaml.safe_load(compose(["task=my_bookings"], project / "conf"))
    assert params["data"] == {
        "source": "file", "path": str(project / "My bookings.csv"), "text": "message",
        "record": None, "id": "booking_id",
    }  # fmt: skip
    assert params["task"]["fields"] == {
        "room": {"type": "enum", "values": ["double", "single", "suite"], "score": "exact"},
        "nights": {"type": "integer", "score": "exact", "minimum": 1, "maximum": 4},
        "rate": {"type": "number", "score": "exact", "optional": True},
    }
    assert params["split"]["stratify_by"] == params["contamination"]["field"] == "room"
    assert "# 3 labels in 60 rows, rarest" in text and "empty in 12 of 60 rows" in text
    texts = params["robustness"]["texts"]
    assert (texts["kind"], texts["perturbations"]) == ("snippet", "auto")
    assert "kind: snippet   # typos, formatting" in text
    # what a profile leaves out stays out: a minute of the five that a try takes
    quick = yaml.safe_load(compose(["task=my_bookings", "profile=quick"], project / "conf"))
    assert quick["robustness"]["texts"] == texts | {"rows": 0}
    for name in ("room (one of double, single, suite)", "rate (number, or null)"):
        assert name in params["task"]["instruction"]


def test_the_way_into_copies_is_said_where_it_is_needed(project, capsys):
    """As a command that a shell takes; not of a file that git has, nor of one that no command brings there."""
    subprocess.run(["git", "init", "-q"], check=True)
    (project.parent / "beside.csv").write_text(
        Path(write("my bookings.csv", bookings())).read_text()
    )
    commands = "dvc add 'my bookings.csv' && git add 'my bookings.csv.dvc' .gitignore"
    for file, said in (
        (
            "my bookings.csv",
            f"keeps both in git, and all of my bookings.csv with them; `{commands}` keeps the rows out of git, "
            "and copies of the project (--temp, --queue, search) need it (docs/tasks.md)",
        ),
        ("../beside.csv", None),
        (str(project / "my bookings.csv"), None),
    ):
        run_init(file, "--force")
        told = " ".join(capsys.readouterr().err.split())
        assert said in told if said else "copies of the project" not in told
    subprocess.run(["git", "add", "my bookings.csv"], check=True)
    run_init("my bookings.csv", "--force")
    assert "copies of the project" not in capsys.readouterr().err


def test_few_rows_get_no_learning_curve(project):
    """The laptop profile's sizes are more than their training texts: the first run would stop there."""
    laptop = yaml.safe_load(compose([], project / "conf"))
    most, share = max(laptop["learning_curve"]["sizes"]), laptop["split"]["shares"]["train"]
    for name, rows, sizes in (
        ("few", FEW_ROWS - 1, []),
        ("many", FEW_ROWS, laptop["learning_curve"]["sizes"]),
    ):
        run_init(write(project / f"{name}.csv", bookings(rows)))
        params = yaml.safe_load(compose([f"task={name}"], project / "conf"))
        assert params["learning_curve"]["sizes"] == sizes
    assert most < int(FEW_ROWS * share)


@pytest.mark.slow
def test_a_column_to_group_by_is_none_of_the_record(project):
    """A model is not asked for the customer that a text came from."""
    rows = [row | {"customer": f"c{n % 7}"} for n, row in enumerate(bookings())]
    run_init(write(project / "b.csv", rows), "--group-by", "customer")
    params = yaml.safe_load(compose(["task=b"], project / "conf"))
    assert params["task"]["group_by"] == "customer" and params["split"]["group_by"] is None
    assert list(params["task"]["fields"]) == ["room", "nights", "rate"]
    run_init(write(project / "plain.csv", bookings()))
    params = yaml.safe_load(compose(["task=plain"], project / "conf"))
    assert params["task"]["group_by"] is None and params["see_also"] == []


def test_names_that_yaml_would_misread_are_quoted(project):
    """A label `no`, a column `on` and a path with a colon must come back as they were."""
    rows = [{"text": f"word {i} and more", "on": ["no", "null", "1.0"][i % 3]} for i in range(60)]
    run_init(write(project / "a: b.csv", rows), "--name", "odd")
    params = yaml.safe_load(compose(["task=odd"], project / "conf"))
    assert params["task"]["fields"]["on"]["values"] == ["1.0", "no", "null"]
    assert params["data"]["path"].endswith("a: b.csv")


def test_a_schema_decides_where_the_rows_do_not(project):
    """With a schema nothing is guessed, and rows that break it are named before anything is written."""
    rows = bookings()
    rows[7]["room"] = "cellar"
    path = write(project / "b.csv", rows)
    schema = {
        "type": "object",
        "properties": {"room": {"enum": ["single", "double", "suite"]}},
        "required": ["room"],
    }
    (project / "room.json").write_text(json.dumps(schema))
    with pytest.raises(UserError, match=r"b\.csv:9: room: expected one of .* found 'cellar'"):
        run_init(path, "--schema", "room.json", "--text", "message")
    assert not (project / "conf/task/b.yaml").exists()
    rows[7]["room"] = "suite"
    run_init(write(project / "b.csv", rows), "--schema", "room.json", "--text", "message")
    params = yaml.safe_load(compose(["task=b"], project / "conf"))
    assert list(params["task"]["fields"]) == ["room"]


def test_a_record_column_and_a_template_are_taken(project):
    """Rows from a labelling tool: a record as JSON, a text in two columns."""
    rows = [
        {"subject": f"S{i}", "body": "b" * 30, "gold": json.dumps({"who": f"A{i}", "n": i})}
        for i in range(30)
    ]
    path = project / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_init(str(path), "--text", "{{ subject }}\n{{ body }}")
    params = yaml.safe_load(compose(["task=rows"], project / "conf"))
    assert params["data"]["record"] == "gold" and params["split"]["stratify_by"] is None
    assert params["data"]["text"] == "{{ subject }}\n{{ body }}"
    assert list(params["task"]["fields"]) == ["who", "n"]


def saved(folder, rooms=("single", "double"), **splits: int) -> str:
    """A folder as `save_to_disk` writes it, labels numbered as `datasets` does it."""
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    features = Features({"message": Value("string"), "room": ClassLabel(names=list(rooms))})

    def rows(count):
        texts = [f"a room for guest number {i}, please" for i in range(count)]
        columns = {"message": texts, "room": [i % len(rooms) for i in range(count)]}
        return Dataset.from_dict(columns, features=features)

    DatasetDict({name: rows(count) for name, count in splits.items()}).save_to_disk(folder)
    return str(folder)


def test_a_dataset_becomes_a_file_that_nodes_can_depend_on(project, capsys):
    """Labels by name, one split, and the config says where the rows are from."""
    folder = saved(project / "booked", train=30, test=5)
    run_init(folder, "--split", "train")
    params = yaml.safe_load(compose(["task=booked"], project / "conf"))
    assert params["data"]["path"] == "data/booked.parquet"
    assert params["task"]["fields"]["room"]["values"] == ["double", "single"]
    assert "split train" in (project / "conf/task/booked.yaml").read_text()
    assert [row["room"] for _, row in read_table("data/booked.parquet")][:2] == ["single", "double"]
    before = (project / "data/booked.parquet").read_bytes()
    run_init(folder, "--split", "train", "--force")
    assert (project / "data/booked.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sets"], "has train, test; name one with --split"),
        (["sets", "--split", "val"], "--split: .*sets has train, test, not 'val'"),
        (["sets", "--split", "test"], "expected at least 20 rows, found 5"),
        (["conf"], "conf: a folder, but no dataset"),
        (["hub:nobody/nothing"], "^hub:nobody/nothing: "),
        (["b.csv", "--split", "train"], "--split: b.csv is a file"),
    ],
)
def test_a_dataset_that_is_not_there_is_one_line_and_leaves_nothing(
    project, monkeypatch, arguments, message
):
    """A wrong split, a folder of something else, no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    saved(project / "sets", train=30, test=5)
    write(project / "b.csv", bookings())
    with pytest.raises(UserError, match=message) as told:
        run_init(*arguments)
    assert "\n" not in str(told.value)
    assert not list(project.glob("data/*.parquet"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["few.csv"], "expected at least 20 rows, found 3"),
        (["none.csv"], "no such file"),
        (["b.csv", "--name", "support_emails"], "already there; --force"),
        (["b.csv", "--name", "1st"], "--name: expected letters"),
        (["b.csv", "--fields", "room,size"], "--fields: no column 'size'"),
        (["b.csv", "--group-by", "guest"], "--group-by: .* has no column 'guest'"),
        (["b.csv", "--text", "mail"], "data.text: .* has no column 'mail'"),
        (["b.csv", "--schema", "none.json"], "--schema: none.json: no such file"),
        (["b.csv", "--schema", "latin1.json"], "--schema: latin1.json: not valid UTF-8"),
        (["b.csv", "--schema", "folder.json"], "--schema: folder.json: cannot be read"),
        (["b.csv", "--schema", "long.json"], "--schema: long.json: expected a smaller number"),
        (
            ["b.csv", "--schema", "deep.json"],
            "--schema: deep.json: not valid JSON: nested too deeply",
        ),
        (
            ["b.csv", "--schema", "list.json"],
            "--schema: list.json: expected a JSON Schema, an object",
        ),
        (
            ["b.csv", "--schema", "enum.json"],
            r"--schema: enum.json: 'a\\x00': expected a label without",
        ),
        (
            ["b.csv", "--schema", "name.json"],
            "--schema: name.json: expected names of 1 to 200 char",
        ),
        (["b.csv", "--schema", "nomodule:Class"], "expected a pydantic model"),
        (
            ["b.csv", "--schema", "raises:Class"],
            "raises:Class: RuntimeError: no GPU; expected a pyd",
        ),
        (
            ["b.csv", "--schema", "exits:Class"],
            "exits:Class: SystemExit: 3; expected a pydantic model",
        ),
        (
            ["b.csv", "--schema", "broken:Class"],
            "broken:Class: SyntaxError: .*; expected a pydantic",
        ),
        (
            ["b.csv", "--schema", "json:dumps"],
            "json:dumps: AttributeError: .*; expected a pydantic",
        ),
        (["b.csv", "--schema", "..:A"], "expected a .json file or module:Class"),
        (["b.csv", "--schema", ":A"], "expected a .json file or module:Class"),
        (["b.csv", "--schema", "room"], "expected a .json file or module:Class"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(project, arguments, message):
    """The first minutes decide whether someone goes on."""
    write(project / "few.csv", bookings(3))
    write(project / "b.csv", bookings())
    (project / "latin1.json").write_bytes(b'{"title": "\xe9"}')
    (project / "folder.json").mkdir()
    for name, text in {
        "long.json": '{"properties": {"a": {"type": "integer", "minimum": ' + "1" * 5000 + "}}}",
        "deep.json": '{"not": ' * 100_000,
        "list.json": "[]",
        "enum.json": '{"properties": {"a": {"enum": ["a\\u0000"]}}}',
        "name.json": '{"properties": {"": {"type": "string"}}}',
        "raises.py": "raise RuntimeError('no\\nGPU')",
        "exits.py": "raise SystemExit(3)",
        "broken.py": "class Class(:",
    }.items():
        (project / name).write_text(text)
    before = sorted(path.name for path in (project / "conf/task").iterdir())
    with pytest.raises(UserError, match=message) as told:
        run_init(*arguments)
    assert str(told.value).isprintable()
    assert sorted(path.name for path in (project / "conf/task").iterdir()) == before


def adverts(n=60, **more):
    """Rows as an export has them: a text among links, ids, people and dates that no text tells."""
    towns = ["Lyon", "Genoa", "Porto"]
    return [
        {
            "advertId": f"L{i}",
            "url": f"https://cars.example/ads/{i}/{'x' * 80}",
            "ad": f"Selling a {['red', 'blue'][i % 2]} car number {i}, to see in {towns[i % 3]}",
            "colour": ["red", "blue"][i % 2],
            "town": towns[i % 3],
            "plate": f"number {i}",
            "currency": "EUR",
            "annotated_by": ["ann", "bob"][i % 2],
            "Ad No.": f"{4000 + i}",
            "createdAt": f"2026-01-{i % 28 + 1:02d} 10:00:00",
            "seller_id": f"s{i % 7}",
            "checked": "",
            "part": ["train", "train", "dev", "test"][i % 4],
        }
        | {name: values[i % len(values)] for name, values in more.items()}
        for i in range(n)
    ]


def test_columns_that_no_text_tells_are_left_out_and_named(project, capsys):
    """A model that is asked for the annotator's name learns to make one up."""
    run_init(write(project / "ads.csv", adverts()), "--noun", "advert")
    params = yaml.safe_load(compose(["task=ads"], project / "conf"))
    assert (params["data"]["text"], params["data"]["id"]) == ("ad", "advertId")
    assert list(params["task"]["fields"]) == ["colour", "town", "plate"]
    assert params["split"]["column"] == "part"
    said, written = capsys.readouterr().err, (project / "conf/task/ads.yaml").read_text()
    for name, why in (
        ("url", "addresses that no text names"),
        ("currency", "'EUR' in every row: nothing to learn"),
        ("annotated_by", "called as who labelled"),
        ("createdAt", "called as when the row was made"),
        ("seller_id", "an id that several rows share and no text names"),
        ("checked", "empty in every row"),
        ("Ad No.", "called as what tells rows apart"),
    ):
        assert f"# left out: {name}: {why}" in written
        assert re.search(rf"^  {name} +left out \({re.escape(why)}", said, re.M)
    assert "plate (string, copied from the text)" in params["task"]["instruction"]
    # a row as a model sees it
    assert '  text    "Selling a red car number 0, to see in Lyon"\n' in said
    assert '  record  {"colour": "red", "town": "Lyon", "plate": "number 0"}\n' in said


def test_what_the_file_was_read_as_is_said_once(project, capsys):
    """The same line twice reads as two findings."""
    rows = [f'{n};"a bed for {n}";="0{n % 7}"' for n in range(30)]
    (project / "b.csv").write_text("sep=;\nn;t;code\n" + "\n".join(rows) + "\n")
    run_init("b.csv")
    said = capsys.readouterr().err
    assert said.count("first line sep=;") == 1 and said.count("around 30 cells") == 1


def test_the_only_writing_may_be_named_as_a_field(project):
    """A summary of the text beside it, and the text itself as what a field copies: both are the user's to say."""
    rows = [{"body": f"a bed for {n} please", "kind": "ab"[n % 2]} for n in range(30)]
    run_init(write(project / "b.csv", rows), "--fields", "body,kind")
    params = yaml.safe_load(compose(["task=b"], project / "conf"))
    assert params["data"]["text"] == "body" and list(params["task"]["fields"]) == ["body", "kind"]


def test_what_the_user_names_is_taken_whatever_it_is_called(project):
    """--fields brings back what was left out; --drop leaves out what was taken."""
    path = write(project / "ads.csv", adverts())
    run_init(path, "--fields", "seller_id,part", "--name", "a")
    run_init(path, "--drop", "plate,part", "--name", "b")
    found = {n: yaml.safe_load(compose([f"task={n}"], project / "conf")) for n in "ab"}
    assert list(found["a"]["task"]["fields"]) == ["seller_id", "part"]
    assert list(found["b"]["task"]["fields"]) == ["colour", "town"]
    assert found["a"]["split"]["column"] is None and found["b"]["split"]["column"] is None


def test_a_column_that_a_text_names_is_a_field_whatever_it_is_called(project):
    """A seller's id, a date or an address that stand in the text can be found there."""
    rows = [
        row | {"ad": f"{row['ad']} ({row['seller_id']}, {row['createdAt']}) {row['url']}"}
        for row in adverts()
    ]
    run_init(write(project / "ads.csv", rows))
    fields = yaml.safe_load(compose(["task=ads"], project / "conf"))["task"]["fields"]
    assert {"seller_id", "createdAt", "url"} <= set(fields)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (["train", "dev", "test", *["train"] * 21, "holdout"], r"ads\.csv:26: part: expected train, val"),
        (["train", "dev", "test"], None),
        (["train", "test"], None),
    ],
)  # fmt: skip
def test_a_split_column_is_one_or_is_told(project, capsys, part, message):
    path = write(project / "ads.csv", adverts(part=part))
    if message is not None:
        with pytest.raises(UserError, match=message):
            run_init(path)
        return
    run_init(path)
    column = yaml.safe_load(compose(["task=ads"], project / "conf"))["split"]["column"]
    told = "part  " in capsys.readouterr().err
    assert (column, told) == (("part", False) if len(part) == 3 else (None, True))


def test_a_split_that_shares_texts_is_refused_with_the_way_out(project):
    rows = adverts()
    rows[2]["ad"] = rows[0]["ad"]
    with pytest.raises(
        UserError, match=r"L0 in train and L2 in val .*--drop part splits by chance"
    ):
        run_init(write(project / "ads.csv", rows))
    assert not (project / "conf/task/ads.yaml").exists()


def test_keys_of_a_record_are_chosen_and_constants_dropped(project):
    """--fields was passed over in silence where the record is one column."""
    rows = [
        {"text": f"guest number {i}", "gold": {"who": str(i), "n": i % 9, "version": 2}}
        for i in range(30)
    ]
    path = project / "r.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for options, fields, drop in (
        ([], ["who", "n"], ["version"]),
        (["--fields", "version"], ["version"], ["who", "n"]),
        (["--drop", "n"], ["who"], ["n", "version"]),
    ):
        run_init(str(path), "--force", *options)
        params = yaml.safe_load(compose(["task=r"], project / "conf"))
        assert list(params["task"]["fields"]) == fields and params["data"]["drop"] == drop
    with pytest.raises(UserError, match=r"--fields: no key in gold 'wo' \(did you mean who\?\)"):
        run_init(str(path), "--force", "--fields", "wo")
    with pytest.raises(UserError, match=r"--drop: 'n' is among --fields"):
        run_init(str(path), "--force", "--fields", "n", "--drop", "n")


def test_a_schema_s_field_that_no_row_has_is_left_out(project, capsys):
    """A schema may know more than the rows: an optional key of it would only be learnt as null."""
    path = write(project / "b.csv", bookings())
    room = {"enum": ["single", "double", "suite"]}
    schema = {"properties": {"room": room, "pets": {"type": "string"}}, "required": ["room"]}
    (project / "s.json").write_text(json.dumps(schema))
    run_init(path, "--schema", "s.json")
    params = yaml.safe_load(compose(["task=b"], project / "conf"))
    assert list(params["task"]["fields"]) == ["room"]
    assert "pets" in capsys.readouterr().err
    with pytest.raises(UserError, match="--fields: --schema names the fields"):
        run_init(path, "--force", "--schema", "s.json", "--fields", "room")
    (project / "s.json").write_text(json.dumps({"properties": {"pets": {"type": "string"}}}))
    with pytest.raises(UserError, match="s.json: no row has any of pets"):
        run_init(path, "--force", "--schema", "s.json")


def test_three_files_become_a_task_with_its_own_split(project):
    for name, n in (("train", 40), ("val", 10), ("test", 10)):
        rows = [{**row, "message": f"{row['message']} {name}"} for row in bookings(n)]
        for row in rows:
            row["booking_id"] += name
        (project / "mine").mkdir(exist_ok=True)
        write(project / f"mine/{name}.csv", rows)
    run_init("mine")
    params = yaml.safe_load(compose(["task=mine"], project / "conf"))
    assert (params["data"]["path"], params["split"]["column"]) == ("mine", "split")
    # cells of CSV are read as in one file
    assert params["task"]["fields"]["nights"]["type"] == "integer"


def test_a_row_whose_record_is_missing_or_broken_is_named(project):
    """One of thirty without a label made a flat task of the rest, with the record as one field of it."""
    rows = [
        {"text": f"{n} rugs", "order": {"rugs": n % 4}, "received_at": f"2026-01-01T00:{n}"}
        for n in range(10, 40)
    ]
    for broken, found in ((None, "none"), ('{"rugs": ', "'{\"rugs\": '")):
        rows[4]["order"] = broken
        write_jsonl(project / "a.jsonl", rows)
        told = re.escape(f"a.jsonl:5: order: expected a JSON object, found {found}")
        with pytest.raises(UserError, match=told + ".*; label the row, remove it, or say by"):
            run_init("a.jsonl")
    rows[4]["order"] = None
    write_jsonl(project / "a.jsonl", rows)
    run_init("a.jsonl", "--fields", "order")
    params = yaml.safe_load(compose(["task=a"], project / "conf"))
    assert params["task"]["fields"]["order"]["optional"]
    for n, row in enumerate(rows):
        row["order"] = {"rugs": n % 4} if n % 2 else None
    write_jsonl(project / "c.jsonl", rows)
    run_init("c.jsonl")
    # half of the rows: one field among others, and when a row came is none
    assert list(yaml.safe_load(compose(["task=c"], project / "conf"))["task"]["fields"]) == [
        "order"
    ]


def test_how_a_date_is_written_is_told_where_the_text_writes_it_otherwise(project):
    """Whether 3/4 is of March or April, and in which order it is answered, no model can guess."""
    rows = [
        {"text": f"by {n}/12/2026, code x-{n}", "by": f"2026-12-{n}", "days": [f"{n}.12.2026"], "plate": f"X-{n}"}
        for n in range(10, 30)
    ]  # fmt: skip
    write_jsonl(project / "a.jsonl", rows)
    run_init("a.jsonl")
    told = yaml.safe_load(compose(["task=a"], project / "conf"))["task"]["instruction"]
    assert "by (string, written like 1999-12-30)" in told and "plate (string)" in told
    assert "days (list of strings, each written like 30.12.1999)" in told


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["2026-05-01", "2026-05-02"], "1999-12-30"),
        (["2026-05-01", "1999-12-30"], "1998-12-30"),
        (["05/13/2026"], "12/30/1999"),
        (["13.5.2026"], "30.9.1999"),
        (["1/2/2026"], "1/1/1999"),
        (["01.02.2026"], "01.01.1999"),
        (["2026-05-01T08:00:10Z"], "1999-12-30T23:59:58Z"),
        (["08:00", "23:59"], "23:58"),
        (["08:00:10"], "23:59:58"),
        (["08:00", "8:00"], None),
        (["1/3/2026", "01/03/2026"], None),
        (["1/3/2026", "2026-01-03"], None),
        (["1/3/2026", "on Monday"], None),
        # people write an hour of the half of a day, no zeros, a year of two digits, the month's name
        (["01/13/2026 02:23:00 AM"], "12/30/1999 11:59:58 AM"),
        (["8/27/2026 10:04:42 PM", "10/1/2026 9:15:00 AM"], "9/30/1999 9:59:58 PM"),
        (["12/26/2026 21:54"], "12/30/1999 23:59"),
        (["09:54 PM", "11:59 PM"], "11:58 PM"),
        (["2:23", "14:10"], "9:59"),
        (["1/30/2026", "11/3/2026"], "9/30/1999"),
        (["30.11.26"], "30.12.99"),
        (["Jan 03, 2026", "May 10, 2026"], "Dec 30, 1999"),
        (["May 10, 2026", "Jan 03, 2026"], "Dec 30, 1999"),
        (["January 3, 2026"], "December 30, 1999"),
        (["3 MAR 2026"], "30 DEC 1999"),
        (["03-Mar-26"], "30-Dec-99"),
        (["2026-05-01 08:00:10.123+02:00", "2026-05-02 08:00:10.456+02:00"], "1999-12-30 23:59:58.000+02:00"),
        (["2026-05-01, 8:00 a.m."], "1999-12-30, 9:59 a.m."),
    ],
)  # fmt: skip
def test_the_form_of_dates_is_told_by_none_that_a_row_has(parts, expected):
    """It stands in every condition's prompt, and the first row may be a test text."""
    assert one_form(parts) == expected


ALL_FILLED = '{"name": "cancel", "arguments": {"people": 0, "code": "C29"}}'


@pytest.mark.parametrize("prompt", ["Call name with arguments.", "You are helpful."])
def test_calls_of_functions_become_a_record(project, prompt, capsys):
    """Arguments differ by function; a system prompt counts where it names what the record has.

    Half of each record is null, which takes tokens until somebody says that it need not."""
    path = project / "calls.jsonl"
    with path.open("w") as stream:
        for i in range(30):
            name, arguments = [("book", {"people": i % 4}), ("cancel", {"code": f"C{i}"})][i % 2]
            call = {"function": {"name": name, "arguments": json.dumps(arguments)}}
            turns = [
                {"role": "system", "content": prompt},
                {"role": "user", "content": f"please {name} for {i % 4}, C{i}"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
            ]
            stream.write(json.dumps({"messages": turns}) + "\n")
    run_init("calls.jsonl")
    params = yaml.safe_load(compose(["task=calls"], project / "conf"))
    fields, told = params["task"]["fields"], params["task"]["instruction"]
    assert list(fields) == ["name", "arguments"]
    assert all(inner["optional"] for inner in fields["arguments"]["fields"].values())
    assert (told == prompt) == ("name" in prompt)
    assert told == prompt or "code (string, or null, copied from the text)" in told
    assert "say that something is null; --omit-nulls" in capsys.readouterr().err
    limit = params["decoding"]["max_new_tokens"]
    run_init("calls.jsonl", "--omit-nulls", "--force")
    # a rival that fills every key is wrong; it is not to be cut
    shorter = yaml.safe_load(compose(["task=calls"], project / "conf"))["decoding"][
        "max_new_tokens"
    ]
    assert limit == shorter == 16 * math.ceil(len(ALL_FILLED) / 2.5 / 16) + 16
    assert "--omit-nulls" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"utterance": "two nights please", "link": f"https://a.example/{'x' * 90}"}, "utterance"),
        ({"query": "two nights please", "model_reply": "of course, I have booked two"}, "query"),
        ({"note_to_self": "a long remark of mine", "what": "two nights"}, "what"),
        ({"文": "銀座まで寿司を三個", "path": "/a/very/long/path/that/is/no/text"}, "文"),
        ({"title": "short one", "story": "a much longer piece of prose"}, "story"),
        ({"a": "word", "b": "longerword"}, "b"),
    ],
)
def test_the_text_is_what_a_person_wrote(columns, text):
    """An address is longer than most utterances."""
    assert text_column([columns] * 3) == text


def test_the_descriptions_of_a_schema_are_kept(project):
    """Somebody has said already what each field means."""
    room = {"$ref": "#/$defs/Room"}
    schema = {
        "properties": {"room": room, "nights": {"type": "integer", "description": "of\n the stay"}},
        "required": ["room", "nights"],
        "$defs": {"Room": {"enum": ["single", "double", "suite"], "description": "its size: $ {x}"}},
    }  # fmt: skip
    (project / "s.json").write_text(json.dumps(schema))
    run_init(write(project / "b.csv", bookings()), "--schema", "s.json")
    params = check_params(yaml.safe_load(compose(["task=b"], project / "conf")))
    told = {name: field.description for name, field in params.task.fields.items()}
    assert told == {"room": "its size: $ {x}", "nights": "of the stay"}


def test_a_field_is_called_as_the_user_wishes_and_comes_from_its_column(project):
    """In fields, instruction and split alike; a null is no key, and the instruction does not ask for one."""
    path = write(project / "b.csv", bookings())
    run_init(path, "--rename", "room=room_kind", "--rename", "rate = usd", "--omit-nulls")
    params = check_params(yaml.safe_load(compose(["task=b"], project / "conf")))
    fields, told = params.task.record_fields, params.task.instruction
    assert [(field.name, field.column) for field in fields] == [
        ("room_kind", "room"), ("nights", "nights"), ("usd", "rate"),
    ]  # fmt: skip
    assert fields[2].omitted and "usd (number)" in told and "null" not in told
    assert params.split.stratify_by == "room_kind"
    assert read_source(path, fields, "message", None, "booking_id")[1]["record"] == {
        "room_kind": "double", "nights": 2, "usd": 61.5,
    }  # fmt: skip


def test_a_schema_names_its_fields_and_rename_their_columns(project):
    schema = {"properties": {"usd": {"type": "number"}, "room": {"type": "string"}}}
    (project / "s.json").write_text(json.dumps(schema))
    path = write(project / "b.csv", bookings())
    run_init(path, "--schema", "s.json", "--rename", "rate=usd")
    params = check_params(yaml.safe_load(compose(["task=b"], project / "conf")))
    assert [field.column for field in params.task.record_fields] == ["rate", "room"]


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        (["room"], "--rename: expected \"column=field\", found 'room'"),
        (["rooms=kind"], "--rename: no column 'rooms' (did you mean room?)"),
        (["room=nights"], "--rename: 'nights' is a field already"),
        (["room=a", "nights=a"], "--rename: expected no name twice, found 'nights=a'"),
        (["message=said"], "--rename: 'message' is no field of the record"),
    ],
)
def test_a_new_name_that_cannot_be_is_a_line(project, rename, message):
    path = write(project / "b.csv", bookings())
    with pytest.raises(UserError, match=re.escape(message)):
        run_init(path, *(word for pair in rename for word in ("--rename", pair)))
    assert not (project / "conf/task/b.yaml").exists()


def test_objects_in_a_list_leave_out_their_own_keys():
    """A list's item has no key; what stands within it has."""
    inner = {"due": {"type": "string", "optional": True}, "n": {"type": "integer"}}
    found = omitting(
        {"type": "list", "items": {"type": "object", "fields": inner, "optional": True}}
    )
    assert found["items"]["optional"] is True
    assert [each.get("optional") for each in found["items"]["fields"].values()] == ["omit", None]
    fields_from_config({"lines": found})


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [("x" * 25, 10), ("안녕하세요 서울특별시 강남구 테헤란로", 50), ("Łódź Gdańsk", 10)],
)
def test_what_an_answer_may_take_is_enough_in_every_script(answer, tokens):
    """``tokens`` are those of the default model's tokenizer; with fewer the first run stops in data_check."""
    assert tokens <= _tokens(answer) <= 1.3 * tokens + 3


def taught_rows(said):
    """Number, text in quotes and record of the rows that init shows."""
    found = re.findall(
        r"^Row ([\d,]+) of [\d,]+, as it will be taught:\n  text    (.*)\n  record  (.*)$",
        said,
        re.M,
    )
    assert len(found) == said.count("\nRow ")
    return found


def row(number, tags=("a", "b"), **filled):
    """One with as many fields as are ``filled``."""
    empty = {"room": None, "nights": None, "rate": None}
    return {"mail": f"a room, number {number}", "tags": list(tags), **empty, **filled}


@pytest.mark.parametrize(
    ("rows", "numbers"),
    [
        # the one that fills the most, be it the second or the last
        ([row(1, room="a"), row(2), row(3, room="b", nights=2), *map(row, range(4, 31))], ["1", "3"]),
        ([*map(row, range(1, 30)), row(30, nights=0)], ["1", "30"]),
        # an empty text or list fills nothing, what stands within an object counts
        ([row(1, tags=[]), row(2, tags=[], room=""), row(3, tags=[]), *map(row, range(4, 31))], ["1", "4"]),
        ([row(1, room="a", nights=1), row(2, rate={"usd": 1, "eur": 2, "gbp": 3}),
          *map(row, range(3, 31))], ["1", "2"]),
        # the first itself: then the next one that differs
        ([row(1, room="a"), row(1, room="a"), *map(row, range(3, 31))], ["1", "3"]),
        ([row(number, room="ab"[number % 2]) for number in range(1, 31)], ["1", "2"]),
        ([row(7, room="a")] * 30, ["1"]),
    ],
)  # fmt: skip
def test_the_rows_that_are_shown_are_the_first_and_the_fullest(project, capsys, rows, numbers):
    """A field that is empty in the first row would show no wrong guess."""
    write_jsonl(project / "a.jsonl", rows)
    fields = "tags,room,nights,rate" if len(numbers) > 1 else "tags,room"
    kept = [name for name in fields.split(",") if any(one[name] not in (None, "") for one in rows)]
    run_init("a.jsonl", "--text", "mail", "--fields", ",".join(kept))
    found = taught_rows(capsys.readouterr().err)
    assert [number for number, _, _ in found] == numbers
    for number, text, record in found:
        shown = rows[int(number) - 1]
        assert json.loads(text) == shown["mail"]
        assert list(json.loads(record)) == kept


@pytest.mark.parametrize(
    ("options", "text", "record"),
    [
        ([], "Lamp", {"order": {"lamps": 1, "note": None}}),
        (["--record", "order"], "Lamp", {"lamps": 1, "note": None}),
        (["--record", "order", "--omit-nulls"], "Lamp", {"lamps": 1}),
        (["--record", "order", "--drop", "note"], "Lamp", {"lamps": 1}),
        (["--record", "order", "--rename", "lamps=n"], "Lamp", {"n": 1, "note": None}),
        (["--record", "order", "--schema", "s.json"], "Lamp", {"lamps": 1}),
        (["--text", r"{{ title }}:\n{{ mail }}", "--record", "order"], "Hi:\nLamp", {"lamps": 1, "note": None}),
    ],
)  # fmt: skip
def test_the_rows_are_shown_as_every_option_has_them_taught(project, capsys, options, text, record):
    """Whether the record lies within itself, or a template has a slip, is seen before an hour of training."""
    rows = [
        {"title": "Hi", "mail": f"Lamp {n} please, for the hall", "order": {"lamps": n, "note": note}}
        for n, note in enumerate([None, "by Friday", *["soon", None] * 14], start=1)
    ]  # fmt: skip
    write_jsonl(project / "a.jsonl", rows)
    schema = {"properties": {"lamps": {"type": "integer"}}, "required": ["lamps"]}
    (project / "s.json").write_text(json.dumps(schema))
    if "--schema" in options:
        options = [*options, "--drop", "note"]
    run_init("a.jsonl", *([] if "--text" in options else ["--text", "mail"]), *options,
             *(["--fields", "order"] if not options else []))  # fmt: skip
    (number, said, answered), *_ = taught_rows(capsys.readouterr().err)
    assert (number, json.loads(said)) == ("1", f"{text} 1 please, for the hall")
    assert json.loads(answered) == record


@pytest.mark.parametrize("length", [1, 199, 200, 201, 5000])
def test_a_long_row_is_shown_by_both_its_ends(project, capsys, length):
    """What was read wrong stands at a text's end as often as at its beginning; a page of it nobody reads."""
    rows = [
        {"text": f"<{'é' * length}>{n}", "label": f"<{'x' * length}>", "kind": "ab"[n % 2], "n": n}
        for n in range(30)
    ]
    write_jsonl(project / "a.jsonl", rows)
    run_init("a.jsonl", "--text", "text", "--fields", "label,kind")
    (_, text, record), _ = taught_rows(capsys.readouterr().err)
    whole = json.dumps({"label": rows[0]["label"], "kind": "a"})
    said, was = json.loads(text), rows[0]["text"]
    if len(was) <= 200:
        assert said == was
    else:
        begins, left_out, ends = re.fullmatch(
            r"(.*) \[\.\.\. ([\d,]+) characters \.\.\.\] (.*)", said
        ).groups()
        assert was.startswith(begins) and was.endswith(ends)
        assert len(begins) + int(left_out.replace(",", "")) + len(ends) == len(was)
        assert len(said) < 230
    if len(whole) <= 200:
        assert record == whole
    else:
        # of a record all keys are there
        shown = json.loads(record)
        assert shown["kind"] == "a" and re.fullmatch(r"<x+ \[\.\.\.\] x+>", shown["label"])
        assert len(record) <= 200


def test_the_rows_can_be_shown_on_any_terminal(project, monkeypatch):
    """One in ASCII, and one that would obey what stands in a text."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stderr", terminal)
    text = 'Łódź,\n\t"now"\r\x1b[2J\u202e\x85 a \\ end\u2028😀'
    rows = [{"text": f"{text} {n}", "label": f"{text} {'ab'[n % 2]}"} for n in range(30)]
    write_jsonl(project / "a.jsonl", rows)
    run_init("a.jsonl", "--text", "text", "--fields", "label")
    terminal.seek(0)
    said = terminal.read()
    assert said.isascii() and all(one.isprintable() for one in said.split("\n"))
    first, second = taught_rows(said)
    for (_, text, record), was in ((first, rows[0]), (second, rows[1])):
        assert json.loads(text) == was["text"]
        assert json.loads(record) == {"label": was["label"]}
