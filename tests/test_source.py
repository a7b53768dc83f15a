"""A user's own file: read as meant, and every bad row named before anything is written."""

from __future__ import annotations

import csv
import json
import re

import pytest

from lora_vs_api.data.source import MAX_SHOWN, read_source, read_table
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import fields_from_config

FIELDS = fields_from_config(
    {
        "guest": {"type": "string"},
        "room": {"type": "enum", "values": ["single", "double"]},
        "nights": {"type": "integer", "minimum": 1, "maximum": 9, "optional": True},
        "rate": {"type": "number", "optional": True},
        "pets": {"type": "boolean"},
        "wishes": {"type": "list"},
    }
)
ROWS = [
    {
        "key": f"k{i}", "subject": f"Room {i}", "body": f"For me, {i}\nand \"you\"; please",
        "guest": f"Guest {i}", "room": ["single", "double"][i % 2], "nights": i + 1 if i else None,
        "rate": [None, 80, 99.5][i], "pets": i == 1, "wishes": ["quiet", "view"][:i],
    }
    for i in range(3)
]  # fmt: skip
COLUMNS = list(ROWS[0])


def cells(row, join=";"):
    """A row as a person types it into a spreadsheet."""
    return {
        **row,
        "nights": "" if row["nights"] is None else row["nights"],
        "rate": "" if row["rate"] is None else row["rate"],
        "pets": "yes" if row["pets"] else "No",
        "wishes": join.join(row["wishes"]) if join == ";" else json.dumps(row["wishes"]),
    }


def write_csv(path, rows, delimiter=",", encoding="utf-8"):
    with open(path, "w", newline="", encoding=encoding) as stream:
        writer = csv.DictWriter(stream, COLUMNS, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


EXPECTED = [
    {
        "id": row["key"],
        "text": f"{row['subject']}\n\n{row['body']}",
        "record": {field.name: row[field.name] for field in FIELDS},
    }
    for row in ROWS
]
TEXT = "{{ subject }}\n\n{{ body }}"


@pytest.mark.parametrize("form", ["csv", "semicolons", "excel", "tsv", "json lists", "jsonl", "pq"])
def test_every_format_gives_the_same_corpus(form, tmp_path):
    """The file's format must not change what is learned; spreadsheets' habits are understood."""
    if form == "jsonl":
        path = write_jsonl(tmp_path / "a.jsonl", ROWS)
    elif form == "pq":
        import pandas as pd

        path = tmp_path / "a.parquet"
        frame = pd.DataFrame(ROWS).astype({"nights": "Int64"})
        frame["rate"] = frame["rate"].astype(object).where(frame["rate"].notna(), None)
        frame.to_parquet(path)
    elif form == "tsv":
        path = write_csv(tmp_path / "a.tsv", map(cells, ROWS), "\t")
    elif form == "semicolons":
        path = write_csv(tmp_path / "a.csv", [cells(row, "json") for row in ROWS], ";")
    elif form == "json lists":
        path = write_csv(tmp_path / "a.csv", [cells(row, "json") for row in ROWS])
    else:
        encoding = "utf-8-sig" if form == "excel" else "utf-8"
        path = write_csv(tmp_path / "a.csv", map(cells, ROWS), encoding=encoding)
    assert read_source(path, FIELDS, TEXT, None, "key") == EXPECTED


def test_a_record_column_may_be_an_object_or_json(tmp_path):
    """Rows as labelling tools export them; keys that may be null can be left out."""
    record = {k: v for k, v in EXPECTED[0]["record"].items() if v is not None}
    rows = [
        {"t": "one", "label": record},
        {"t": "two", "label": json.dumps(record)},
    ]
    found = read_source(write_jsonl(tmp_path / "a.jsonl", rows), FIELDS, "t", "label", None)
    assert [row["id"] for row in found] == ["row-000001", "row-000002"]
    assert found[0]["record"] == found[1]["record"] == EXPECTED[0]["record"]


def test_all_bad_rows_are_named_with_line_and_field(tmp_path):
    """Whoever labelled the rows mends them in one go; the line is that of the file."""
    rows = [cells(row) for row in ROWS]
    rows[0] |= {"nights": "two", "room": "suite"}
    rows[1] |= {"body": "several\nlines\nhere", "pets": "maybe"}
    rows[2] |= {"key": "k0", "nights": "12"}
    path = write_csv(tmp_path / "a.csv", rows)
    with pytest.raises(UserError) as caught:
        read_source(path, FIELDS, TEXT, None, "key")
    assert str(caught.value).splitlines() == [
        f"{path}: 5 problems:",
        f"{path}:2: nights: expected an integer 1..9 or null, found 'two'",
        f"{path}:2: room: expected one of single, double, found 'suite'",
        f"{path}:4: pets: expected true or false, found 'maybe'",
        f"{path}:7: key: 'k0' is already at {path}:2; expected unique ids",
        f"{path}:7: nights: expected an integer 1..9 or null, found 12",
    ]


def test_the_list_of_bad_rows_is_capped(tmp_path):
    """A wrong column would otherwise fill the screen."""
    rows = [{**cells(ROWS[0]), "key": str(i), "room": "x"} for i in range(MAX_SHOWN + 7)]
    path = write_csv(tmp_path / "a.csv", rows)
    with pytest.raises(UserError) as caught:
        read_source(path, FIELDS, "body", None, None)
    lines = str(caught.value).splitlines()
    assert len(lines) == MAX_SHOWN + 2 and lines[-1] == "… and 7 more"


@pytest.mark.parametrize(
    ("content", "name", "asked", "message"),
    [
        ("a,b\n1,2,3\n", "a.csv", {}, ":2: expected 2 cells as in the header, found 3"),
        ("a,a\n1,2\n", "a.csv", {}, ":1: expected no column name twice"),
        ('body,b\n"x,2\n', "a.csv", {}, "not valid CSV"),
        ('{"body": \n', "a.jsonl", {}, ":1: not valid JSON"),
        ("[1]\n", "a.jsonl", {}, ":1: expected an object"),
        ("", "a.csv", {}, "no rows in it"),
        ("body,guest\nx,y\n", "a.csv", {"text": "txt"}, "data.text: .* has no column 'txt'"),
        ("body,guest\nx,y\n", "a.csv", {"row_id": "id"}, "data.id: .* has no column 'id'"),
        ("body,guest\nx,y\n", "a.csv", {}, "task.fields.room: .* has no such column"),
        ("not parquet", "a.parquet", {}, "not readable as Parquet"),
        ("x", "a.xlsx", {}, "expected a file that ends in .csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_line(content, name, asked, message, tmp_path):
    """Never a traceback: the file, the line or column, and the form expected."""
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_source(path, FIELDS, asked.get("text", "body"), None, asked.get("row_id"))
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_or_not_utf8(tmp_path):
    """Two mistakes of a first try: the path, and a spreadsheet's own encoding."""
    with pytest.raises(UserError, match="no such file; data.path names"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_bytes("body\nnaïve\n".encode("latin-1"))
    with pytest.raises(UserError, match="not valid UTF-8 .*save it as UTF-8"):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ subjekt }}", "'subjekt' is undefined"),
        ("{{ subject", "not a valid Jinja template"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_bad_template_is_named_and_cannot_run_code(text, message, tmp_path):
    """A config that someone shares is no program to run on the reader's machine."""
    path = write_jsonl(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(UserError, match=f"data.text.*{re.escape(message)}"):
        read_source(path, FIELDS, text, None, None)
