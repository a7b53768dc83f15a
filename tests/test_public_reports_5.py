"""A fourth round of reports about files and config, and the kinds beside them: a right value or one clear line."""

from __future__ import annotations

import bz2
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from lora_vs_api.cli.app import main
from lora_vs_api.cli.schema_file import read_schema
from lora_vs_api.config.compose import compose, composed
from lora_vs_api.config.explain import explain
from lora_vs_api.config.override_slips import override_slip
from lora_vs_api.config.sections import Params
from lora_vs_api.config.slips import (
    choice_slip,
    package_slip,
    place_of,
    reference_slip,
    unseen_slips,
)
from lora_vs_api.config.yaml_keys import cut_text, load_once, misread_number, unquoted_key
from lora_vs_api.data.columns import bookkeeping
from lora_vs_api.data.from_schema import fields_from_json_schema
from lora_vs_api.data.infer import infer_field, record_column
from lora_vs_api.data.review import COLUMNS, read_verdicts
from lora_vs_api.data.source import read_source, value_of
from lora_vs_api.data.tables import load_table
from lora_vs_api.data.text_column import text_column
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field
from tests.commands import lora_vs_api
from tests.imports import ROOT

ROWS = [(f"guest {i} wants a room", ["single", "double"][i % 2], str(i % 4 + 1)) for i in range(20)]
HEADER = "text,room,nights\n"
BODY = "".join(f"{text},{room},{nights}\n" for text, room, nights in ROWS)
RECORDS = [{"text": text, "room": room, "nights": nights} for text, room, nights in ROWS]


def table_of(path: Path, content: str):
    path.write_text(content, encoding="utf-8", newline="")
    return load_table(path)


# --- lines that are no rows -------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "note"),
    [
        # cidgoh/DataHarmonizer#48: rows that were cleared in a spreadsheet
        (f"{HEADER},,\n{BODY},,\n", "2 rows without anything in them, left out"),
        # files that were joined, with the mark that each of them began with
        (f"{HEADER}{BODY[: len(BODY) // 2]}{BODY[len(BODY) // 2 :]}\ufeff{HEADER}", "the header once more in 1 line, left out"),
        (f"\ufeff{HEADER}{BODY}\ufeff", "1 byte order mark within it, left out"),
        (HEADER + BODY.replace("\n", ",,\n"), "cells behind the last column: empty, left out"),
        # the way databases and Weka enclose a cell
        ("'" + (HEADER + BODY).strip().replace(",", "','").replace("\n", "'\n'") + "'\n", "single quotes around its cells, left out"),
    ],
    ids=["empty", "joined", "mark", "beyond", "single"],
)  # fmt: skip
def test_what_is_no_row_is_left_out_and_told(tmp_path, content, note):
    """Every row comes as it was written, and nothing beside them."""
    table = table_of(tmp_path / "a.csv", content)
    assert [row for _, row in table.rows] == RECORDS
    assert note in table.notes


def test_an_empty_cell_of_the_only_column_is_a_row(tmp_path):
    """Who asks about a list of texts gets an answer or a word for each."""
    assert len(table_of(tmp_path / "a.csv", 'text\na b\n""\nc d\n').rows) == 3
    # a line of blanks at the end of a table is none
    assert len(table_of(tmp_path / "b.csv", f"{HEADER}{BODY}   \n").rows) == 20


@pytest.mark.parametrize("last", ["Total,,50\n", "\nMade in May,,\n"])
def test_a_last_row_that_is_unlike_the_others_is_told(tmp_path, last):
    """A total below the table would be learnt as a text without a room."""
    table = table_of(tmp_path / "a.csv", HEADER + BODY + last)
    assert [note for note in table.notes if "if it is a total or a note below" in note]
    # where other rows have nothing there, too, it is like them
    sparse = BODY.replace("double", "")
    assert not table_of(tmp_path / "b.csv", f"{HEADER}{sparse}x,,2\n").notes


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (BODY, r":1: expected the names of the columns, found what seems to be a row: 'single' stands again"),
        ("made by x, in May\n# again, and, again\ntext,room,nights,c\n" + BODY.replace("\n", ",b\n"), "the header seems to be the line below 'made by x, in May'"),
        (HEADER + BODY + "Made in May\n", r":22: .* is it a note below the table\? then take it out"),
        (HEADER + BODY.replace("wants", "wants, now,"), "a cell that holds the separator needs quotes around it"),
        # exceljs/exceljs#454: a spreadsheet leaves out separators at the end of a line
        (HEADER + BODY.replace("double,2", "double"), "an empty cell needs its separator, at the end of a line too"),
        (HEADER + "".join(f"{i},{line}\n" for i, line in enumerate(BODY.split("\n")[:-1])), "the first column has no name, as R writes"),
        ((HEADER + BODY).replace(",", "^"), r"is '\^' the separator\? then name it in a line above the header, sep=\^"),
        # specify/specify7#3105
        ((HEADER + BODY).replace(",", "\t").replace("\n", '",,\n').replace("guest", '"guest').replace("text", '"text', 1), "do whole lines stand between quotes"),
        (HEADER + BODY.replace("guest", '"my" guest'), "a cell with a quote in it stands between quotes, and each of its own is written twice"),
    ],
    ids=["no header", "title", "note", "comma", "short", "R", "separator", "quoted", "quote"],
)  # fmt: skip
def test_a_table_that_is_cut_otherwise_is_told_why(tmp_path, content, told):
    """Which line, and what to do about it."""
    with pytest.raises(UserError, match=told) as error:
        table_of(tmp_path / "a.csv", content)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", bz2.compress(HEADER.encode()), "is a bzip2 file"),
        ("a.csv", b"ORC\n\x05\x00ORC", "is an ORC file"),
        ("a.csv", b"%PDF-1.7\n", "is a PDF"),
        ("a.json", b"SQLite format 3\x00", "is an SQLite database"),
        ("a.tsv", HEADER.encode(), "is it separated by commas"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0", "an old Excel workbook, or one with a password"),
        ("a.xlsx", b"PK\x03\x04", "was not saved or loaded to its end"),
        ("a.json", repr(RECORDS).encode(), "Python's own form, with single quotes"),
        ("a.jsonl", f"{RECORDS[0]}\n".encode(), "Python's own form, with single quotes"),
        ("a.csv.zst", HEADER.encode(), "unpack it and name the file"),
        ("a.feather", HEADER.encode(), "write the rows as .parquet"),
        ("a.pkl", HEADER.encode(), "a program's own format"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_named(tmp_path, name, content, told):
    """Whatever it is called; without this some of them have no rows."""
    if name.endswith(".xlsx"):
        pytest.importorskip("openpyxl")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=told):
        load_table(tmp_path / name)


def test_a_column_may_be_called_as_a_cell_is(tmp_path):
    """In a table of a few rows that proves nothing, and a column of one name alone never does."""
    rows = [["a", "b", "c"], ["x", "b", "c"], ["y", "b", "d"]]
    few = "\n".join(map(",".join, rows))
    assert len(table_of(tmp_path / "a.csv", few).rows) == 2
    assert len(table_of(tmp_path / "b.csv", f"text,single,n\n{BODY}").rows) == 20


@pytest.mark.parametrize(
    ("header", "row"),
    [
        # a column for each label
        ("text,spam,urgent", lambda i: f"guest {i} wants a room,{'spam' * (i % 2)},{'urgent' * (i % 3 == 0)}"),
        ("spam,urgent", lambda i: f"{'spam' * (i % 2)},{'urgent' * (i % 2 == 0)}"),
        # a form's export
        ("Timestamp,What did the customer write to us?,Urgent", lambda i: f"2026-01-{i + 1:02} 10:00,my room is far too cold,{['Urgent', 'No'][i % 2]}"),
        ("text,positive,negative", lambda i: f"guest {i} wants a room,{['positive', 'no'][i % 2]},{['negative', 'no'][i % 2]}"),
        # marks of files of other kinds
        ("ORCID,text", lambda i: f"0000-{i:04},guest {i}"),
        ("Rar!,PAR1", lambda i: f"{i},guest {i}"),
    ],
    ids=["labels", "labels alone", "form", "said or no", "ORCID", "Rar"],
)  # fmt: skip
def test_no_table_is_refused_for_its_names(tmp_path, header, row):
    """There is no way out of that but other names."""
    content = "\n".join([header, *map(row, range(20))])
    table = table_of(tmp_path / "a.csv", content)
    assert len(table.rows) == 20
    assert not any("names the columns" in note for note in table.notes)


def test_a_first_line_that_may_be_a_row_is_told(tmp_path):
    """Where one column alone says so: a form's question may stand beside a label called as its column."""
    body = "".join(f"{text},{room}\n" for text, room, _ in ROWS)
    (note,) = table_of(tmp_path / "a.csv", body).notes
    assert note.startswith("line 1, which names the columns, may be a row: 'single' stands again")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "Subject: text\nRe: hello 1\nRe: hello 2"),
        ("a.csv", "a/b/c\nhttps://x.y/1\nhttps://x.y/1/2"),
        ("a.tsv", "last, first\nhello\nI see, you, too"),
        ("a.tsv", "text; as written\nhello\nhi"),
        ("a.tsv", ""),
    ],
)
def test_one_column_of_texts_may_hold_what_separates_elsewhere(tmp_path, name, content):
    """A list of texts to predict."""
    table = table_of(tmp_path / name, content)
    assert len(table.rows) == (2 if content else 0)
    assert all(len(row) == 1 for _, row in table.rows)


def test_another_separator_is_named_where_every_line_has_it(tmp_path):
    """As often as the header."""
    for mark in ":/#":
        with pytest.raises(UserError, match=f"is '{mark}' the separator"):
            table_of(tmp_path / "a.csv", (HEADER + BODY).replace(",", mark))


def test_the_one_list_of_objects_is_the_table(tmp_path):
    """Beside lists of something else, and with a mark where files were joined."""
    (tmp_path / "a.json").write_text(json.dumps({"rows": RECORDS, "errors": [], "tags": ["x"]}))
    assert [row for _, row in load_table(tmp_path / "a.json").rows] == RECORDS
    lines = "\n\ufeff".join(map(json.dumps, RECORDS))
    table = table_of(tmp_path / "b.jsonl", lines)
    assert [row for _, row in table.rows] == RECORDS
    assert table.notes == ["19 byte order marks within it, left out"]


def test_a_header_of_two_rows_and_shares_of_a_spreadsheet_are_told(tmp_path):
    """10% is 0.1 in the file, and a person sees the one and trains on the other."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    for row in [["text", "share", "flag"], ["a", 0.105, True]]:
        sheet.append(row)
    for cell in sheet[2][1:]:
        cell.number_format = "0.0%"
    book.save(tmp_path / "a.xlsx")
    assert load_table(tmp_path / "a.xlsx").notes == [
        "share: shown as 10.5% and the like, read as 0.105"
    ]
    sheet.merge_cells("B1:C1")
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(UserError, match=r":1: expected one row of names, found cells B1:C1 merged"):
        load_table(tmp_path / "a.xlsx")


def test_a_parquet_file_is_read_alone(tmp_path):
    """A folder called lang=en above it is no column, and a column's own type is told."""
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    folder = tmp_path / "lang=en"
    folder.mkdir()
    kind = pyarrow.field("x", pyarrow.int64(), metadata={"ARROW:extension:name": "own.month"})
    data = pyarrow.table([["a"], [672]], schema=pyarrow.schema([("text", pyarrow.string()), kind]))
    parquet.write_table(data, folder / "a.parquet")
    table = load_table(folder / "a.parquet")
    assert [row for _, row in table.rows] == [{"text": "a", "x": 672}]
    assert table.notes == ["x: of the type own.month, read as it is stored"]


def test_a_folder_whose_files_have_other_columns_is_told(tmp_path):
    """A file without the labels would be texts without any; eval is a name of val's."""
    for name, content in (("train", HEADER + BODY), ("eval", "text,room\na,b\n"), ("test", HEADER + BODY)):  # fmt: skip
        (tmp_path / f"{name}.csv").write_text(content)
    assert "the file for val has no column 'nights': empty there" in load_table(tmp_path).notes


# --- cells ------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["-", "n/a", "None", "<NA>", "?", ".", "nil", "–", "NULL"])
def test_what_stands_for_no_number_is_none(mark):
    """As people write it into a table that is to be read; among labels it is one, and told."""
    found = infer_field("n", ["1", mark, "2"] * 10)
    assert found.spec["type"] == "integer" and found.spec["optional"] is True
    assert mark in found.why
    assert value_of(mark, Field("n", "integer", "exact", optional=True)) is None
    labels = infer_field("n", ["a", mark, "b"] * 10)
    assert mark in labels.spec["values"]
    assert ("is a label here" in labels.why) == (len(mark) > 1)
    # so says docs/your-data.md
    assert infer_field("n", ["yes", "none", "no"] * 10).spec["type"] == "boolean"


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["$1,200.50", "$7.00"], "no numbers, since '$1,200.50' is not written as JSON has them"),
        (["10%", "25%"], "no numbers, since '10%'"),
        (["7,00 €", "1.200,50 €"], "no numbers, since '7,00 €'"),
        (["(10.00)", "5"], "no numbers, since '(10.00)'"),
        (["−10", "5"], "no numbers, since '−10'"),
        # a header's second line, or a slip of the pen
        (["int", *"123456789"], "no numbers, since 1 of the 10 cells is none: 'int'"),
        (["####", "5", "6"], "since 1 of the 3 cells is none: '####'"),
        (["1.0", "3.0", "2.0"], "all of them whole: `type: integer` reads 1.0 as 1"),
    ],
)
def test_cells_that_are_nearly_numbers_are_told(cells, told):
    """They are read as texts, and whoever meant numbers sees why."""
    assert told in infer_field("x", cells).why


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1.0", "", "2.0"], "integer"),
        (["1.0", "NA", "2.0"], "integer"),
        ([1.0, None, 2.0], "integer"),
        # nothing is missing, a price, one that is no whole number, a mixture
        (["1.0", "3.0", "2.0"], "number"),
        (["1.00", "", "2.00"], "number"),
        (["1.0", "", "2.5"], "number"),
        (["1", "", "2.0"], "number"),
        ([1, None, 2.5], "number"),
    ],
)
def test_whole_numbers_that_pandas_made_floats_are_integers(cells, kind, tmp_path):
    """A column of integers with gaps comes from pandas as 1.0; a model would be taught to write 2.0."""
    assert infer_field("n", cells).spec["type"] == kind
    file = tmp_path / "rows.csv"
    file.write_text("t,n\n" + "".join(f"text {n},{'' if n is None else n}\n" for n in cells))
    field = Field(name="n", type="integer", score="exact", optional=True)
    if kind == "integer":
        read = [row["record"]["n"] for row in read_source(file, (field,), "t", None, None)]
        assert repr(read) == "[1, None, 2]"


def test_a_record_of_floats_is_read_as_its_integers(tmp_path):
    """And numbers within an object are not taken for integers, since they stay as they stand."""
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"t": "a text", "r": {"n": 2.0}}) + "\n")
    [row] = read_source(file, (Field(name="n", type="integer", score="exact"),), "t", "r", None)
    assert repr(row["record"]) == "{'n': 2}"
    assert "integer" not in repr(infer_field("o", [{"n": 3.0}, {"n": None}] * 20).spec)


def test_a_spreadsheet_s_numbers_of_days_are_told():
    """45200 is a day in 2023; of another column it is a number. 2-Mar may have been 3-2 or a name."""
    assert ", seconds since 1970?" in infer_field("visitDate", ["1767312000", "1767398400"]).why
    assert "made a date of" in infer_field("range", ["1-2", "2-Mar"] * 10).why
    assert "numbers of days?" in infer_field("visit_date", ["45200", "45999"]).why
    assert "numbers of days?" not in infer_field("mileage", ["45200", "45999"]).why


def test_true_and_1_say_the_same_where_both_stand():
    """0 and 1 alone are numbers."""
    assert infer_field("x", ["TRUE", "0", "1", "FALSE"] * 5).spec["type"] == "boolean"
    assert infer_field("x", ["0", "1"] * 5).spec["type"] == "integer"


def test_quotes_of_windows_are_read_where_latin_1_is_said(tmp_path):
    """As browsers do; latin-1 has none, but control characters in their place."""
    (tmp_path / "a.csv").write_bytes("text,n\n“é”,1\n".encode("cp1252"))
    assert load_table(tmp_path / "a.csv", "latin-1").rows[0][1] == {"text": "“é”", "n": "1"}


def test_what_mongodb_writes_around_values_is_none_of_them(tmp_path):
    """The id of every row was an object, and so the record."""
    row = {"_id": {"$oid": "5f"}, "text": "a b", "n": {"$numberLong": "5"}, "at": {"$date": "2026-01-01"}, "x": {"y": 1}}  # fmt: skip
    for name, content in (("a.jsonl", json.dumps(row)), ("a.json", json.dumps([row]))):
        table = table_of(tmp_path / name, content)
        assert table.rows[0][1] == {"_id": "5f", "text": "a b", "n": 5, "at": "2026-01-01", "x": {"y": 1}}  # fmt: skip
        assert len(table.notes) == 1
    # in a text it is a word
    for text in ('a "$numberLong" b', 'say "$oid"'):
        table = table_of(tmp_path / "c.json", json.dumps([{"text": text, "n": 5}]))
        assert table.rows[0][1] == {"text": text, "n": 5} and not table.notes
    for held, expected in (
        ({"$uuid": "x"}, "x"),
        ({"$numberDecimal": "1E+3"}, 1000.0),
        ({"$date": {"$numberLong": "1609459200000"}}, "2021-01-01T00:00:00Z"),
        ({"$date": -1}, "1969-12-31T23:59:59.999Z"),
        ({"$date": 10**18}, 10**18),
    ):
        table = table_of(tmp_path / "b.jsonl", json.dumps({"text": "a b", "k": held}))
        assert table.rows[0][1]["k"] == expected
    assert record_column([{"t": "x", "user_id": {"a": 1}}] * 2, "t") is None


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"-Nab": RECORDS[0], "-Nac": RECORDS[1]}, "are these rows by their key"),
        ({"text": {"0": "a", "1": "b"}}, "is it of pandas"),
    ],
)  # fmt: skip
def test_an_object_that_holds_rows_says_where(tmp_path, found, told):
    """Firebase's export and an answer of an API are none of pandas'."""
    with pytest.raises(UserError, match=told):
        table_of(tmp_path / "a.json", json.dumps(found))


@pytest.mark.parametrize("cell", ["{'a': nan}", "{wifi,pool}", "{'a', 'b'}", '{"a": 1} END'])
def test_what_only_looks_like_an_object_is_no_list(cell):
    """It was a list of one text, the object."""
    found = infer_field("x", [cell, cell.replace("a", "c")] * 10)
    assert found.spec["type"] in ("string", "enum")
    assert "no objects or lists, since" in found.why


@pytest.mark.parametrize(
    ("cells", "told"),
    [(["wifi;pool;", "pool;", "wifi;"], None), (["wifi\npool", "pool", "wifi"], r"with '\n' between"),
     (["wifi;#pool", "pool", "wifi"], "with ';#' between"), (["wifi/pool", "pool", "wifi"], "with '/' between")],
)  # fmt: skip
def test_several_labels_are_seen_whatever_stands_between_them(cells, told):
    """Some forms write the mark behind the last label, too (OpnForm/OpnForm#864, beside)."""
    found = infer_field("extras", cells * 10)
    if told is None:
        assert found.spec["type"] == "list"
        field = Field("extras", "list", "set_f1")
        assert value_of(cells[0], field) == ["wifi", "pool"]
    else:
        assert told in found.why


def test_html_s_names_of_characters_are_told(tmp_path):
    """They are read as they stand, in the text as in a label."""
    table = table_of(tmp_path / "a.csv", HEADER + BODY.replace("single", "B&amp;B"))
    assert any("(&amp;, <p>) in cells of room (10)" in note for note in table.notes)


# --- columns ----------------------------------------------------------------------------


def test_an_id_is_no_text_and_no_metadata_a_record():
    """Where the text lies within an object, the id was the only text; where nobody gave metadata, it was the record."""
    rows = [{"id": f"a{i}", "fields": {"text": "one two"}, "meta": {}} for i in range(3)]
    with pytest.raises(UserError, match="no column holds texts"):
        text_column(rows)
    assert record_column([{"t": "x", "meta": {}}] * 2, "t") is None
    assert record_column([{"t": "x", "meta": {"a": 1}}, {"t": "x", "meta": {}}], "t") == "meta"


@pytest.mark.parametrize(
    ("name", "cells", "told"),
    [
        ("split", ["train", "holdout", "test"], "called as a split and says holdout and test and train"),
        ("fold", ["0", "1", "2"], "called as a split"),
        ("Timestamp", ["2026/01/09 10:00:00 AM GMT+1", "2026/01/10 9:00:00 AM GMT+1"], "called as when the row was made"),
        ("Email Address", ["a@b.org", "c.d@e.org"], "addresses that no text names"),
        ("room", ["train", "holdout"], None),
        ("usage", ["business", "private"], None),
    ],
)  # fmt: skip
def test_what_a_form_or_a_split_adds_is_no_field(name, cells, told):
    """No text tells it."""
    rows = [{"text": f"words {i}", name: cells[i % len(cells)]} for i in range(20)]
    found = bookkeeping(rows, [name], "text").get(name)
    assert found is None if told is None else told in str(found)


def test_what_prodigy_s_user_rejected_trains_nothing(tmp_path):
    """Its rows come with what somebody decided of them, and with hashes that are no fields."""
    rows = [{**row, "answer": ["accept", "reject", "ignore"][i % 3], "_input_hash": i, "_task_hash": -i} for i, row in enumerate(RECORDS)]  # fmt: skip
    table = table_of(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert [row for _, row in table.rows] == RECORDS[::3]
    assert "13 rows whose answer is not accept, left out" in table.notes
    # a column that is merely called answer stays
    assert load_table(tmp_path / "a.jsonl").rows[0][1] == RECORDS[0]
    # CSV has an empty cell where JSON has no key
    cells = "".join(f"{i},{text},{answer}\n" for i, (text, answer) in enumerate([("a", ""), ("b", "reject"), ("c", "accept")]))  # fmt: skip
    table = table_of(tmp_path / "a.csv", f"_task_hash,text,answer\n{cells}")
    assert [row["text"] for _, row in table.rows] == ["a", "c"]
    own = [{"text": "a", "answer": "reject"}]
    assert table_of(tmp_path / "b.jsonl", json.dumps(own[0])).rows[0][1] == own[0]


def test_a_schema_is_found_within_what_a_request_puts_around_it(tmp_path):
    """OpenAI's response_format, a function's parameters, Anthropic's tool; Gemini's capitals and OpenAPI's nullable."""
    inner = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER", "nullable": True}, "m": {"type": "integer", "exclusiveMinimum": 0}}, "required": ["n", "m"]}  # fmt: skip
    for wrapped in (
        inner,
        {"type": "json_schema", "json_schema": {"name": "x", "schema": inner}},
        {"type": "function", "function": {"name": "f", "parameters": inner}},
        {"name": "f", "input_schema": inner},
    ):
        (tmp_path / "s.json").write_text(json.dumps(wrapped))
        assert fields_from_json_schema(read_schema(str(tmp_path / "s.json")), "s") == {
            "n": {"type": "integer", "score": "exact", "optional": True},
            "m": {"type": "integer", "score": "exact", "minimum": 1},
        }


def test_verdicts_are_read_as_a_spreadsheet_saves_them(tmp_path):
    """With rows that were cleared, columns to the right, and a verdict as a person types it."""
    path = tmp_path / "v.csv"
    line = f"e1,{'a' * 64},{{}},Bo,2026-11-23,,{{}}"
    lines = [",".join(COLUMNS) + ",", line.format(" Accept ", "") + ",", ",,,,,,,", line.format("fix", '"{""n"": NaN}"') + ","]  # fmt: skip
    path.write_text("\n\ufeff".join(lines))
    assert [(each.id, each.verdict, each.fixed_record) for each in read_verdicts(path)] == [
        ("e1", "accept", None),
        ("e1", "fix", {"n": None}),
    ]
    path.write_text("\n".join([*lines, line.format("fix", '"{""n"": 1, ""n"": 2}"') + ","]))
    with pytest.raises(UserError, match=r":5: fixed_record: .*expected no key twice, found 'n'"):
        read_verdicts(path)


# --- conversations ----------------------------------------------------------------------

ANSWER = '{"a": 1}'


def turns(who: str, said: str, user: Any = "user", assistant: Any = "assistant", **more: Any):
    question = {who: user, said: "how?"}
    return [question, {who: assistant, said: ANSWER, **more}]


@pytest.mark.parametrize(
    "row",
    [
        # Tencent/AngelSlim#7, shibing624/MedicalGPT#294, taprosoft/llm_finetuning#5
        {"conversations": turns("role", "content")},
        {"conversation": turns("from", "value", "human", "gpt")},
        {"conversations": turns("from", "value", "USER", "ASSISTANT")},
        {"messages": turns("type", "content", "human", "ai")},
        {"contents": [{"role": "user", "parts": [{"text": "how?"}]}, {"role": "model", "parts": [{"text": ANSWER}]}]},
        {"prompt": turns("role", "content")[:1], "completion": turns("role", "content")[1:]},
        {"messages": json.dumps(turns("role", "content"))},
        {"messages": str(turns("role", "content"))},
    ],
    ids=["mixed", "singular", "capitals", "langchain", "gemini", "trl", "json", "python"],
)  # fmt: skip
def test_conversations_are_read_in_the_forms_people_mix(tmp_path, row):
    """Column, keys and names of who speaks, of whatever origin."""
    table = table_of(tmp_path / "a.jsonl", json.dumps(row))
    assert table.conversations
    assert [dict(found) for _, found in table.rows] == [{"text": "how?", "record": ANSWER}]


@pytest.mark.parametrize(
    "system",
    [{"system": "Do."}, {"system": [{"text": "Do."}]}, {"systemInstruction": {"parts": [{"text": "Do."}]}},
     {"systemInstruction": {"parts": {"text": "Do."}}}],
)  # fmt: skip
def test_a_system_prompt_beside_the_turns_is_one(tmp_path, system):
    """Anthropic's, Bedrock's and Gemini's."""
    row = {**system, "messages": turns("role", "content")}
    assert table_of(tmp_path / "a.jsonl", json.dumps(row)).instruction == "Do."


def test_a_call_is_the_record_where_only_prose_follows_it(tmp_path):
    """And says so; JSON that follows a call is the record."""
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": ANSWER}}]}
    begin = [{"role": "user", "content": "how?"}, call, {"role": "tool", "content": "ok"}]
    rows = [{"messages": [*begin, {"role": "assistant", "content": said}]} for said in ("Done.", ANSWER)]  # fmt: skip
    first, second = (
        table_of(tmp_path / f"{i}.jsonl", json.dumps(row)) for i, row in enumerate(rows)
    )
    assert first.rows[0][1]["record"] == {"name": "f", "arguments": {"a": 1}}
    assert any("after the assistant's answer left out" in note for note in first.notes)
    assert second.rows[0][1]["record"] == ANSWER


def test_conversations_without_an_assistant_are_told(project):
    """Of a sample with other names for who speaks; what was said of it was that a column lacks."""
    row = json.dumps({"messages": turns("role", "content", "customer", "clerk")})
    Path("a.jsonl").write_text("\n".join([row] * 20))
    with pytest.raises(UserError, match="expected a turn of the assistant in each conversation"):
        main(["init", "a.jsonl"])
    # what no text tells is no label
    rows = [{"messages": turns("role", "content", "customer", "clerk"), "source": "chat"}] * 20
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(UserError, match="and no other column with labels"):
        main(["init", "a.jsonl"])


@pytest.mark.parametrize(
    ("label", "options", "field"),
    [
        ({"intent": ["book", "cancel"]}, [], "intent"),
        ({"label": [{"n": 1}, {"n": 2}]}, ["--record", "label"], "n"),
        ({"label": [{"n": 1}, {"n": 2}]}, [], "n"),
        ({"record": [{"n": 1}, {"n": 2}]}, ["--record", "record"], "n"),
    ],
)
def test_conversations_may_be_labelled_beside_them(project, label, options, field):
    """Of a customer and an agent, or of a user alone, nobody's turn is the record."""
    ((name, values),) = label.items()
    said = [{"role": "customer", "content": "I want a room"}, {"role": "agent", "content": "Sure"}]
    rows = [{"messages": [*said[:1], {**said[1], "content": f"Sure, {i}"}], name: values[i % 2]} for i in range(40)]  # fmt: skip
    Path("b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    lora_vs_api("init", "b.jsonl", *options)
    assert list(yaml.safe_load(Path("conf/task/b.yaml").read_text())["task"]["fields"]) == [field]


def test_an_object_beside_the_fields_is_no_record(project, capsys):
    """An address that one row lacks: what is said of it leads to a config."""
    rows = [{"text": f"guest {i} wants a room", "room": ["single", "double"][i % 2], "answer": {"k": i, "l": str(i)} if i else None} for i in range(40)]  # fmt: skip
    Path("c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(UserError, match=r"say by --fields .*; --drop answer leaves out"):
        main(["init", "c.jsonl"])
    for options in (["--fields", "room"], ["--drop", "answer"]):
        lora_vs_api("init", "c.jsonl", "--force", *options)
        assert list(yaml.safe_load(Path("conf/task/c.yaml").read_text())["task"]["fields"]) == [
            "room"
        ]
    # keys of the record can still be named
    for row in rows:
        row["answer"] = {"k": 1, "l": row["room"]}
    Path("c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    lora_vs_api("init", "c.jsonl", "--force", "--fields", "l")
    assert "record: answer" in Path("conf/task/c.yaml").read_text()


# --- config -----------------------------------------------------------------------------

LOCAL = "# @package _global_\n"


@pytest.mark.parametrize(
    ("value", "number"),
    [("010", 8), ("-07", -7), ("00", 0), ("12:30", 750), ("1:30:00", 5400), ("12:30.5", 750.5)],
)
def test_a_number_that_yaml_takes_for_another_is_named(value, number):
    """yaml/pyyaml#107, opensanctions/opensanctions#3845: 010 was 8, and nothing was said."""
    for text in (f"a: {value}\n", f"a: [1, {value}]\n", f"a:\n  - {{b: {value}}}\n"):
        line, _, said = misread_number(text) or (0, 0, "")
        assert line == text[: text.index(value)].count("\n") + 1
        assert f"found {value}, which YAML reads as the number {number}" in said
        with pytest.raises(Exception, match="which YAML reads as the number"):
            load_once(text)
    # of [?, b] the key has no name to put in quotes
    assert "found none; a text that begins with ?" in str(unquoted_key("a: [?, b]"))


@pytest.mark.parametrize(
    "text", ["a: '010'", "a: 0", "a: 0.10", "a: 1_000", "a: 0x10", "a: 12:3x", "a: 2026-01-01", "a: b:30", "# 010", "a: 09"]
)  # fmt: skip
def test_other_numbers_and_texts_are_what_they_were(text):
    """What YAML reads as it stands."""
    assert misread_number(text) is None
    load_once(text)


@pytest.fixture
def own(tmp_path):
    """What writes the user's own file of a folder with settings, and returns that folder."""

    def write(text: str) -> Path:
        conf = tmp_path / "conf"
        (conf / "task").mkdir(parents=True, exist_ok=True)
        (conf / "task" / "us.yaml").write_text("# a file\n")
        (conf / "local.yaml").write_text(LOCAL + text, encoding="utf-8")
        return conf

    return write


@pytest.mark.parametrize(
    ("said", "text", "place", "why"),
    [
        ("KeyError raised: \"Environment variable 'NO_X' not found\"", "${oc.env:NO_X}", 8, "the environment has no variable NO_X"),
        ("Interpolation key 'HOME' not found", "${HOME}", 8, "there is no HOME"),
        ("Interpolation key 'lora.nope' not found", "x ${lora.nope}", 10, "there is no lora.nope"),
        ("", "a ${ b", 10, "this one has no end"),
        ("", "${oc.env:${a", 8, "this one has no end"),
        ("", "'${lora.r}, ${amount in EUR}'", 20, "none is written ${amount in EUR}"),
        ("Recursive interpolation detected", "${title}", 8, "leads back to itself"),
    ],
)  # fmt: skip
def test_a_reference_that_leads_nowhere_has_its_place(own, said, text, place, why):
    """OmegaConf said nothing at all of the fourth and sixth, and of the others not where."""
    conf = own(
        f"lora: ${{lora.r}}\nescaped: '\\\\\\${{ x'\nouter: ${{a.${{b}}}}  # ${{\ntitle: {text}\n"
    )
    slip = str(reference_slip(ValueError(said), conf))
    assert slip.startswith(f"conf/local.yaml:5:{place}: ${{ begins a reference") and why in slip
    assert reference_slip(ValueError("mismatched input"), conf) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lora:\n\u00a0\u00a0r: 4\n", "3:1: a blank or mark that is not seen (U+00A0)"),
        ("lora:\n  r\u200b: 4\n", "3:4: a blank or mark that is not seen (U+200B)"),
        ("lora:\n  r\uff1a4\n", "3:4: a full-width colon"),
        # YAML finds no end of the first key here
        ("lora:\n  r\uff1a4\n  alpha: 3\n", "3:4: a full-width colon"),
        (
            "title: 'a\u00a0b'  # c\u00a0d\nother: a\u00a0b\n# e\u00a0f: g\nlong: >-\n  Say\u00a0it, at 10\u00a0o'clock\n"
            "block: |\n  \u5b57\u6bb5\uff1a\u540d\n  Cl\u00e9s\u00a0: nom\n  \u3000\u5b57\n",
            None,
        ),
    ],
)
def test_a_blank_that_is_not_seen_in_a_key_has_its_place(own, text, told):
    """As text that was copied from a page or a chat has it; in a value or a comment it is no fault."""
    found = [slip for slip, _, _ in unseen_slips(own(text))]
    assert [slip.startswith(f"conf/local.yaml:{told}") for slip in found] == [True] * bool(told)


def test_a_text_that_yaml_cuts_at_a_number_sign_is_named():
    """Say #room was Say; a comment has a blank behind its sign, and within quotes or a block it is a text."""
    line, column, said = cut_text("a:\n  instruction: Say #room now\n") or (0, 0, "")
    assert (line, column) == (2, 20) and "'#room now' is a comment to YAML" in said
    for text, place in (
        ("instruction: Extract.\n  Use # for numbers\nz: 1\n", (2, 7)),
        ("task:\n  instruction: Extract\n    all of it.\n    # Rules\n  weights: {}\n", (4, 5)),
        ("values:\n- Ticket\n- Bug #5\n", (3, 7)),
        ("labels:\n  mini: GPT #1\n", (2, 13)),
    ):
        assert (cut_text(text) or ())[:2] == place
    for text in (
        "instruction: Extract\n# a comment\nz: 1",
        "task:\n  instruction: Extract\n  # a comment\n  weights: {}",
        "task:\n  description: Extract\n    # type: string\n  weights: {}",
        "instruction:\n  Read it.  # a comment",
        "statement: null   #none yet",
        "statement: null #none yet",
        "labels:\n  a: 5   #x\n  b: Foo   #was Bar",
        "values:\n- Ticket # a comment",
        "instruction: Say # room",
        "instruction: 'Say #room'",
        "instruction: >-\n  Say #room\n",
        "instruction: |\n  Extract.\n  title: the ticket as written, such as Bug #5\n",
        "instruction: 'Say\n  title: Bug #5'",
        "r: best #x",
    ):
        assert cut_text(text) is None


def test_a_task_s_file_without_its_first_line_is_named(own):
    """All of its keys went under task, and what was missing was told."""
    conf = own("")
    assert package_slip(conf, ["task=us"]) is None
    (conf / "task" / "us.yaml").write_text("task_name: us\ntask:\n  fields: {}\n")
    told = "conf/task/us.yaml:1:1: expected # @package _global_"
    assert str(package_slip(conf, ["task=us"])).startswith(told)
    # one that is not chosen is no fault
    assert package_slip(conf, ["task=other"]) is None
    (conf / "local.yaml").write_text("defaults:\n  - override /task: us\n")
    assert str(package_slip(conf, [])).startswith(told)


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        ("task: expected a section with fields, found 'us'", "- override /task: us"),
        ("task: unknown key; expected one of a, b", "- override /task: NAME"),
        ("task: expected a section with fields, found 3", ""),
        ("lora: expected a section with r, found 'us'", ""),
    ],
)
def test_the_name_of_a_file_is_no_section(own, problem, told):
    """task: us_addresses in one's own file, as on the command line."""
    found = choice_slip(problem, own(""))
    assert found.endswith(told) and bool(found) == bool(told)


def test_the_place_of_a_list_s_item_and_of_a_key_with_dots(own):
    """Both were told without it."""
    conf = own("lora.r: 4\nseeds: [{a: 1}]\n")
    assert place_of("lora.r", conf) == "conf/local.yaml:2: "
    assert place_of("seeds[0].a", conf) == "conf/local.yaml:3: "


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"lora.r": 4}, "lora.r: unknown key; in a file a section holds its keys, lora: {r: …}"),
        ({"task_title": False}, "expected a text on one line, found False; put a text that looks like this in quotes"),
        ({"data": {"source": "file", "path": "C:\temp\new.csv", "text": "t"}}, "data.path: expected a text, a path without control characters; in YAML, one with"),
        ({"stats": {"Resamples": 10, "confidence": 0.9, "seed": 0}}, "stats.Resamples: unknown key (did you mean resamples?)"),
        ({"decoding": {"constrained": "true"}}, "decoding.constrained: expected true or false, found 'true'"),
    ],
)  # fmt: skip
def test_what_yaml_made_of_a_value_is_told(changed, told):
    """A key with dots, no as a text, true as one, and a path of Windows between double quotes."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    raw |= {key: raw[key] | value if key == "decoding" else value for key, value in changed.items()}
    with pytest.raises(ValidationError) as error:
        Params.model_validate(raw)
    assert told in explain(error.value, raw)


@pytest.mark.parametrize(
    ("message", "override", "told"),
    [
        # hydra-ecosystem/hydra#1577, MolecularAI/Chemformer#38: what Hydra said was where its grammar is explained
        ("mismatched input '=' expecting <EOF> See https://hydra.cc/", "data.path=epoch=9.csv", "expected quotes around such a value: 'data.path=\"epoch=9.csv\"'"),
        ("mismatched input '.' expecting <EOF> See https://hydra.cc/", "data.path=a (1).csv", "'data.path=\"a (1).csv\"'"),
        ("LexerNoViableAltException", "task_title=#1", "'task_title=\"#1\"'"),
        ("LexerNoViableAltException", "--task_title=a", "expected key=value, +key=value or ~key"),
        ("Sweep parameters 'seeds=range(3)' requires --multirun", "seeds=range(3)", "seeds: expected one value, found range(3); a list is seeds=["),
        ("Config group override must be a string or a list. Got NoneType", "task=null", "task: expected one of us, found null"),
        ("In 'config': Could not find 'task/' Available options", "task=", "task: expected one of us, found nothing"),
    ],
)  # fmt: skip
def test_an_override_that_hydra_does_not_read_is_written_out_as_it_does(own, message, override, told):  # fmt: skip
    """The very text to give, and no advice that leads nowhere here."""
    found = override_slip(message, ["lora.r=4", override], own(""), lambda _: None, dict)
    assert told in found and "hydra.cc" not in found and "multirun" not in found


@pytest.mark.slow
def test_settings_that_nobody_meant_stop_the_composition(project):
    """All of these together with the files as they are."""
    own = Path("conf/local.yaml")
    own.write_text(f"{LOCAL}seeds: [0, 010]\ntask_title: 'a\u00a0b'\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"^conf/local\.yaml:2:12: found 010, which YAML reads as"):
        compose([])
    own.write_text(f"{LOCAL}task_title: 'a\u00a0b'\n", encoding="utf-8")
    assert composed(['data.path="a (1).csv"'])[1].task_title == "a\u00a0b"
    own.write_text(f"{LOCAL}task_title: a ${{ b\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"^conf/local\.yaml:2:15: .* this one has no end"):
        compose([])
    # beside another mistake, too, which is not what is told of the settings as they stand
    own.write_text(f"{LOCAL}lora:\n\u00a0\u00a0r: 4\nseeds: x\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"^conf/local\.yaml:3:1: a blank or mark that is not seen"):
        compose([])
    own.write_text(f"{LOCAL}lora:\n  r\uff1a4\n  learning_rate: best\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"^conf/local\.yaml:3:4: a full-width colon"):
        compose([])


# texts of all kinds that a task may well hold, which other checks of conf/ could take for slips
MULTILINGUAL = f"""{LOCAL}task:
  instruction: |
    \u5b57\u6bb5\uff1a\u540d\u79f0
    Cl\u00e9s\u00a0: nom
    \u3000\u6b21\u306e\u901a\u308a
    title: the ticket as written, such as Bug #5
    010 and 12:30, cost '\\\\\\${{x}}'
task_title: \u5b57\u6bb5\uff1a\u540d  # a comment\u00a0: of #5
"""


@pytest.mark.parametrize("name", ["task/other.yaml", "local.yaml"])
@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["lora.rr=3"], "lora.rr"),
        (["task=nope"], "task: expected one of"),
        (["lora.r=${lora.nope}"], "lora.nope"),
        (["seeds=a"], "seeds"),
        ([], None),
    ],
)
def test_texts_in_other_languages_hide_no_mistake(project, name, overrides, told):
    """In a file that is chosen and in one that is not, with all shipped settings beside them."""
    Path("conf", name).write_text(MULTILINGUAL, encoding="utf-8")
    if told is None:
        assert compose(overrides)
        return
    with pytest.raises(UserError) as error:
        compose(overrides)
    assert told in str(error.value) and Path(name).name not in str(error.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("task:\n  instruction: 'Prices such as ${amount in EUR} are numbers.'\n", "3:32: .* none is written"),
        ("task_title: ${task_title}\n", "2:13: .* leads back to itself"),
        ("train:\n  epochs: ${.epochs}\n", "3:11: .* leads back to itself"),
        ("task_title: ${nope}\n", "2:13: .* there is no nope"),
        ("train:\n  epochs: ${.nope}\n", "3:11: .* there is no nope"),
        ("task_title: ${nope:1}\n", "2:13: .* there is no nope"),
    ],
)  # fmt: skip
def test_a_lost_reference_is_found_among_the_shipped_ones(project, text, place):
    """device: ${runtime.device} and its like lead somewhere."""
    Path("conf/local.yaml").write_text(LOCAL + text)
    with pytest.raises(UserError, match=rf"^conf/local\.yaml:{place}"):
        compose([])


def test_a_point_that_may_part_thousands_is_told():
    """1.234 is 1234 to a German spreadsheet; a weight in kg is written so, too."""
    told = "if the point parts thousands"
    assert told in infer_field("x", ["1.234", "12.500", "3.000"] * 8).why
    assert told not in infer_field("x", ["1.234", "12.5", "3.000"] * 8).why
    assert told not in infer_field("x", ["0.250", "0.125"] * 8).why
    assert told not in infer_field("x", [1.234, 2.125] * 8).why
