"""A user's own file: read as meant, and every bad row named before anything is written."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import re
import sys
from datetime import datetime

import pytest

from lora_vs_api.cli.predict import read_texts
from lora_vs_api.data.source import MAX_SHOWN, read_source, read_table
from lora_vs_api.data.tables import load_table
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field, fields_from_config
from lora_vs_api.record.json_schema import json_schema
from lora_vs_api.record.prompt import system_prompt

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


@pytest.mark.parametrize(
    "form",
    ["csv", "semicolons", "excel", "tsv", "json lists", "jsonl", "pq", "csv.gz", "jsonl.gz"],
)
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
    elif form.endswith(".gz"):
        plain = tmp_path / "plain"
        if form == "csv.gz":
            write_csv(plain, map(cells, ROWS))
        else:
            write_jsonl(plain, ROWS)
        path = tmp_path / f"a.{form}"
        path.write_bytes(gzip.compress(plain.read_bytes()))
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


def test_a_small_file_that_holds_more_than_memory_does_is_refused(tmp_path, monkeypatch):
    """A gzip file of kilobytes may hold gigabytes: they are counted, not read to their end."""
    monkeypatch.setattr("lora_vs_api.data.formats.text._LONGEST", 2**20)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"body,guest\n" + b"x" * 2**20))
    with pytest.raises(UserError, match=r"a\.csv\.gz: holds more than 1 MiB"):
        read_table(path)
    path.write_bytes(gzip.compress(b"body,guest\nx,y\n")[:-9])
    with pytest.raises(UserError, match="not readable as gzip"):
        read_table(path)


@pytest.mark.parametrize(
    ("wishes", "guest", "told"),
    [
        ("quiet, view", "Ann", "wishes: 'quiet, view' is read as a list of one"),
        ("{quiet,view}", "Ann", "wishes: '{quiet,view}' is read as a list of one"),
        ("quiet|view", "Ann", "wishes: 'quiet|view' is read as a list of one"),
        ("quiet; a view, please", "Ann", None),
        ("quiet", "NaN", "guest: 'NaN' in 1 cell is read as a text"),
        ("quiet", "-", None),
    ],
)
def test_a_cell_that_may_mean_something_else_is_told(wishes, guest, told, tmp_path, capsys):
    """Several labels read as one, and a program's word for none read as a name, would be learnt without a word."""
    fields = fields_from_config(
        {"guest": {"type": "string", "optional": True}, "wishes": {"type": "list"}}
    )
    path = tmp_path / "a.csv"
    rows = [["t", "guest", "wishes"], ["one", guest, wishes], ["two", "", "view"]]
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    assert len(read_source(path, fields, "t", None, None)) == 2
    said = "".join(capsys.readouterr())
    assert told in said if told else "is read as" not in said


def test_a_line_end_behind_a_backslash_is_a_line_end(tmp_path):
    """MySQL's OUTFILE with quotes: the backslash would stay in the text."""
    path = tmp_path / "a.csv"
    path.write_text('body,guest\n"one\\\ntwo",x\n"c",\\N\n', encoding="utf-8")
    rows = [row for _, row in read_table(path)]
    assert rows == [{"body": "one\ntwo", "guest": "x"}, {"body": "c", "guest": ""}]


def test_a_text_may_hold_a_table_that_is_drawn(tmp_path):
    """Such a table alone is refused."""
    path = tmp_path / "a.csv"
    path.write_text('body,guest\n"a|b\n---|---\n1|2",x\n', encoding="utf-8")
    assert [row for _, row in read_table(path)] == [{"body": "a|b\n---|---\n1|2", "guest": "x"}]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"one\ntwo\\n\tx", "one\ntwo\\n\tx"),
        # a path in a file that only has the same null: pandas' na_rep
        (r"C:\user", r"C:\user"),
        (r"ends with \\", "ends with \\"),
        ('"quoted" once\\n', '"quoted" once\n'),
    ],
)
def test_escapes_of_a_database_are_undone(written, meant, tmp_path):
    """PostgreSQL's COPY and MySQL's OUTFILE write a line end in a text as a backslash and an n."""
    path = tmp_path / "a.tsv"
    path.write_text(f"body\tguest\n{written}\tx\nc\t\\N\n", encoding="utf-8")
    rows = [row for _, row in read_table(path)]
    assert rows == [{"body": meant, "guest": "x"}, {"body": "c", "guest": ""}]


def test_a_record_column_may_be_an_object_or_json(tmp_path):
    """Rows as labelling tools export them; keys that may be null can be left out."""
    record = {k: v for k, v in EXPECTED[0]["record"].items() if v is not None}
    rows = [
        {"t": "one", "label": record},
        {"t": "two", "label": json.dumps(record)},
        {"t": "three", "label": {**record, "nights": 3, "rate": 1.5}},
    ]
    found = read_source(write_jsonl(tmp_path / "a.jsonl", rows), FIELDS, "t", "label", None)
    assert [row["id"] for row in found] == [f"row-00000{n}" for n in (1, 2, 3)]
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
        ("[1]\n", "a.jsonl", {}, "item 1: expected an object"),
        ("", "a.csv", {}, "no rows in it"),
        ("body,guest\nx,y\n", "a.csv", {"text": "txt"}, "data.text: .* has no column 'txt'"),
        ("body,guest\nx,y\n", "a.csv", {"row_id": "id"}, "data.id: .* has no column 'id'"),
        ("body,guest\nx,y\n", "a.csv", {}, "task.fields.room: .* has no such column"),
        ("not parquet", "a.parquet", {}, "not readable as Parquet"),
        ("x", "a.ods", {}, "save the sheet as .xlsx or as CSV"),
        ("x", "a.doc", {}, "expected a file that ends in .csv"),
        ("| body | b |\n|---|---|\n| x | y |\n", "a.csv", {}, ":2: a table drawn with lines"),
        (" body | b\n------+---\n x    | y\n", "a.csv", {}, ":2: a table drawn with lines"),
        ("+---+---+\n| body | b |\n+---+---+\n", "a.csv", {}, ":1: a table drawn with lines"),
        ("x", "a.csv.zip", {}, "compressed; unpack it"),
        ("x", "a.parquet.gz", {}, "compressed; unpack it"),
        ("x", "a.feather", {}, "write the rows as .parquet"),
        ("x", "a.txt", {}, "then call it .csv"),
        ("body,b\nx,2\n", "a.csv.gz", {}, "not readable as gzip"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_line(content, name, asked, message, tmp_path):
    """Never a traceback: the file, the line or column, and the form expected."""
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_source(path, FIELDS, asked.get("text", "body"), None, asked.get("row_id"))
    assert "\n" not in str(caught.value)


def workbook(path, **sheets):
    """A spreadsheet with these sheets, each a list of rows."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_a_spreadsheet_is_read_as_its_csv_is(tmp_path):
    """What people have their labels in: typed cells, empty rows and sheets, a wider format than content."""
    header = ["body", "guest", "room", "nights", "rate", "pets", "wishes", None]
    rows = [
        header,
        ["two nights", "00007", "double", 2, 99.5, True, "quiet;view", None],
        [None] * 8,
        [
            "a bed",
            datetime.fromisoformat("2026-11-03"),
            "single ",
            None,
            0.1 + 0.2,
            False,
            None,
            " ",
        ],
    ]
    path = workbook(tmp_path / "a.xlsx", Empty=[], Labels=rows)
    found = read_source(path, FIELDS, "body", None, None)
    assert [row["record"] for row in found] == [
        {"guest": "00007", "room": "double", "nights": 2, "rate": 99.5, "pets": True, "wishes": ["quiet", "view"]},
        {"guest": "2026-11-03", "room": "single", "nights": None, "rate": 0.3, "pets": False, "wishes": []},
    ]  # fmt: skip
    # the row's number in the sheet, which is what its owner sees
    workbook(tmp_path / "b.xlsx", Labels=[*rows, ["x", "y", "suite", 1, 1, True, "", None]])
    with pytest.raises(UserError, match=r"b\.xlsx:5: room: expected one of single, double"):
        read_source(tmp_path / "b.xlsx", FIELDS, "body", None, None)


@pytest.mark.parametrize(
    ("sheets", "message"),
    [
        ({"A": [["body"], ["x"]], "B": [["n"]]}, "expected one sheet with rows, found 2: A, B"),
        ({"A": [["body"], ["=1+1"]]}, ":2: cell A2 holds a formula without its value"),
        ({"A": [["body", "body"], ["x", "y"]]}, ":1: expected no column name twice"),
        ({"A": []}, "no rows in it"),
    ],
)
def test_a_spreadsheet_that_could_be_read_in_two_ways_is_refused(sheets, message, tmp_path):
    """A sheet chosen by us, or an empty cell for a formula, would be a wrong label that nobody sees."""
    path = workbook(tmp_path / "a.xlsx", **sheets)
    with pytest.raises(UserError, match=re.escape(message)):
        read_source(path, FIELDS, "body", None, None)


def test_what_only_is_called_a_spreadsheet_or_cannot_be_read_here_is_one_line(
    tmp_path, monkeypatch
):
    """Without the optional package the way on is said, CSV among them."""
    (tmp_path / "a.xlsx").write_text("x")
    if importlib.util.find_spec("openpyxl"):
        with pytest.raises(UserError, match="no spreadsheet, whatever its name says"):
            read_table(tmp_path / "a.xlsx")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(UserError, match=r"pip install 'lora-vs-api\[xlsx\]', or save the sheet"):
        read_table(tmp_path / "a.xlsx")


ORDER = fields_from_config(
    {
        "customer": {"type": "string", "from": "Kunde"},
        "lines": {
            "type": "list",
            "items": {
                "type": "object",
                "fields": {
                    "article": {"type": "string", "from": "Artikel"},
                    "n": {"type": "integer"},
                },
            },
        },
    }
)


@pytest.mark.parametrize("record", [None, "gold"])
def test_fields_are_renamed_at_any_depth(record, tmp_path):
    """The model is taught the name that the user wants, from files that call it otherwise."""
    given = {"Kunde": "Ann", "lines": [{"Artikel": "belt", "n": 2}, {"Artikel": "fan", "n": 1}]}
    row = {"t": "x", **given} if record is None else {"t": "x", "gold": given}
    path = write_jsonl(tmp_path / "a.jsonl", [row])
    (found,) = read_source(path, ORDER, "t", record, None)
    assert found["record"] == {
        "customer": "Ann",
        "lines": [{"article": "belt", "n": 2}, {"article": "fan", "n": 1}],
    }
    assert "Kunde" not in json.dumps(json_schema(ORDER)) + system_prompt("Extract.", ORDER)


def test_a_column_to_rename_that_is_not_there_is_named_with_its_key(tmp_path):
    """A slip in the old name is found before anything is trained."""
    path = write_jsonl(tmp_path / "a.jsonl", [{"t": "x", "Kunden": "Ann", "lines": []}])
    with pytest.raises(UserError, match=r"task.fields.customer.from: Kunde: .*did you mean Kunden"):
        read_source(path, ORDER, "t", None, None)


def test_files_that_are_not_there_or_not_utf8(tmp_path):
    """Two mistakes of a first try: the path, and a spreadsheet's own encoding."""
    with pytest.raises(UserError, match="no such file$"):
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


def split_rows(**counts):
    return [
        {"t": f"{name} {n}", "room": "x", "part": name}
        for name, k in counts.items()
        for n in range(k)
    ]


ROOM = (Field(name="room", type="string"),)


def test_a_row_of_no_split_is_named_with_its_line(tmp_path):
    """A split column is the user's own: a value that is none of the three is no guess of ours."""
    rows = split_rows(train=2, holdout=1, test=1)
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(
        UserError, match=r"a\.jsonl:3: part: expected train, val or test .*'holdout'"
    ):
        read_source(path, ROOM, "t", None, None, {"split.column": "part"})
    # the same column may group texts too, whatever it says
    assert len(read_source(path, ROOM, "t", None, None, {"task.group_by": "part"})) == 4


def test_three_files_are_a_folder_whose_rows_know_their_file(tmp_path):
    """train.csv, dev.csv and test.csv, as shared tasks publish them."""
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.csv").write_text(f"t,room\n{name} 1,x\n{name} 2,y\n")
    (tmp_path / "README.md").write_text("not data")
    # as the Hub calls a split's one part
    (tmp_path / "train.csv").rename(tmp_path / "train-00000-of-00001.csv")
    found = read_source(tmp_path, ROOM, "t", None, None, {"split.column": "split"})
    assert [row["meta"]["split"] for row in found] == ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    (tmp_path / "valid.csv").write_text("t,room\na,b\n")
    with pytest.raises(
        UserError, match=r"expected one file for val, found dev\.csv and valid\.csv"
    ):
        read_table(tmp_path)
    (tmp_path / "valid.csv").unlink()
    (tmp_path / "dev.csv").rename(tmp_path / "devel.csv")
    with pytest.raises(UserError, match=r"such as val\.csv, found .*devel\.csv, test\.csv"):
        read_table(tmp_path)
    (tmp_path / "dev.csv").write_text("t,room,split\na,b,test\n")
    with pytest.raises(UserError, match=r"dev\.csv:2: split: expected val in the file dev\.csv"):
        read_table(tmp_path)


@pytest.mark.parametrize("record", [None, "label"])
def test_a_key_that_no_row_has_is_refused_though_it_may_be_empty(record, tmp_path):
    """A misspelt column was learnt as a field that is always null."""
    fields = (*ROOM, Field(name="nigths", type="integer", optional=True))
    columns = {"room": "x", "nights": 2}
    rows = [{"t": str(n), **(columns if record is None else {record: columns})} for n in range(3)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(UserError, match=r"^task\.fields\.nigths: .*did you mean nights\?") as told:
        read_source(path, fields, "t", record, None)
    assert "\n" not in str(told.value)


def test_keys_of_a_record_can_be_dropped(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"t": "a", "label": {"room": "x", "notes": 3}}])
    with pytest.raises(UserError, match="notes: unknown field"):
        read_source(path, ROOM, "t", "label", None)
    assert read_source(path, ROOM, "t", "label", None, drop=["notes"])[0]["record"] == {"room": "x"}


def test_a_json_list_is_read_as_its_rows(tmp_path):
    """What `json.dump` of a list writes, or an export that holds it under one key."""
    path = tmp_path / "a.json"
    for found in (ROWS, {"data": ROWS, "version": 2}):
        path.write_text(json.dumps(found))
        assert [row for _, row in read_table(path)] == ROWS
    for text, message in (
        (json.dumps({"a": 1}), "expected a list of objects, found one object"),
        ("[1]", "item 1: expected an object, found 1"),
        ('{"a": 1}\n{"a": 2\n', "a.json: not valid JSON"),
        ("[{]", "a.json: not valid JSON"),
        ('[{"a": "\\ud83d"}]', "item 1: 'a': expected whole characters"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_table(path)


def turn(role, content=None, **more):
    return {"role": role, "content": content, **more}


def called(name, arguments):
    return {"type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def test_conversations_become_text_and_record(tmp_path):
    """The files that fine-tuning services take, in their three shapes."""
    ask, says = turn("user", "two nights"), turn("assistant", '{"nights": 2}')
    for rows, expected in (
        ([{"messages": [turn("system", "Be terse."), ask, says]}],
         {"text": "two nights", "record": '{"nights": 2}'}),
        ([{"conversations": [{"from": "human", "value": "two"}, {"from": "gpt", "value": "{}"}], "n": 3}],
         {"text": "two", "record": "{}", "n": 3}),
        ([{"messages": [ask, turn("assistant", "where?"), turn("user", "Rome"), says]}],
         {"text": "user: two nights\nassistant: where?\nuser: Rome", "record": '{"nights": 2}'}),
        ([{"messages": [ask, turn("assistant", tool_calls=[called("book", {"n": 2})])], "tools": []}],
         {"text": "two nights", "record": {"name": "book", "arguments": {"n": 2}}}),
        ([{"messages": [ask, turn("assistant", tool_calls=[called("a", {}), called("b", {})])]}],
         {"text": "two nights", "record": {"calls": [
             {"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]}}),
        # what is said after a call is no answer; an earlier call stands in the text
        ([{"messages": [ask, turn("assistant", "", tool_calls=[called("find", {"n": 2})]), turn("tool", "ok"),
                        turn("assistant", "Sure.", tool_calls=[called("book", {})]), turn("tool", "ok"),
                        turn("assistant", "Done!"), turn("user", "thanks")]}],
         {"text": 'user: two nights\nassistant: {"name": "find", "arguments": {"n": 2}}\ntool: ok',
          "record": {"name": "book", "arguments": {}}}),
        ([{"messages": [ask, says, turn("assistant", "Anything else?")]}],
         {"text": "two nights", "record": '{"nights": 2}'}),
        # a broken answer is refused by whoever reads records, not passed over for an earlier one
        ([{"messages": [ask, says, ask, turn("assistant", '{"nights": ')]}],
         {"text": 'user: two nights\nassistant: {"nights": 2}\nuser: two nights', "record": '{"nights": '}),
        ([{"messages": [ask]}], {"text": "two nights"}),
        # nobody has answered yet: the user's last word is part of the text
        ([{"messages": [ask, turn("assistant", "where?"), turn("user", "Rome")]}],
         {"text": "user: two nights\nassistant: where?\nuser: Rome"}),
        # stage directions and names are said; a list is an answer
        ([{"messages": [ask, says, turn("user", "thanks"), turn("assistant", "[smiles] bye")]}],
         {"text": "two nights", "record": '{"nights": 2}'}),
        ([{"messages": [ask, turn("assistant", "[Agent Bob] where?"), turn("user", "Rome")]}],
         {"text": "user: two nights\nassistant: [Agent Bob] where?\nuser: Rome"}),
        ([{"messages": [ask, turn("assistant", '[ {"n": 1}]'), turn("user", "thanks")]}],
         {"text": "two nights", "record": '[ {"n": 1}]'}),
        # an object that was said before the last one is JSON
        ([{"messages": [ask, turn("assistant", {"n": 2}), ask, turn("assistant", {"n": 3})]}],
         {"text": 'user: two nights\nassistant: {"n": 2}\nuser: two nights', "record": {"n": 3}}),
        # the halves beside a whole conversation are columns; an answer may be a text
        ([{"prompt": [ask], "completion": [says], "messages": [turn("user", "other")]}],
         {"text": "other", "prompt": [ask], "completion": [says]}),
        ([{"prompt": [ask], "completion": [says], "messages": "x"}],
         {"text": "two nights", "record": '{"nights": 2}', "messages": "x"}),
        ([{"prompt": [ask], "completion": '{"nights": 2}'}],
         {"text": "two nights", "record": '{"nights": 2}'}),
        ([{"prompt": [ask], "completion": {"nights": 2}}],
         {"text": "two nights", "record": {"nights": 2}}),
        ([{"prompt": [ask], "completion": says}],
         {"text": "two nights", "record": '{"nights": 2}'}),
        # Gemini's calls, and one part without a list
        ([{"contents": [{"role": "user", "parts": {"text": "two"}},
                        {"role": "model", "parts": [{"functionCall": {"name": "find", "args": {"n": 2}}}]},
                        {"role": "user", "parts": [{"functionResponse": {"name": "find"}}]},
                        {"role": "model", "parts": {"functionCall": {"name": "book", "args": {}}}}]}],
         {"text": 'user: two\nmodel: {"name": "find", "arguments": {"n": 2}}\nuser: {"name": "find"}',
          "record": {"name": "book", "arguments": {}}}),
        # a column of that name and no conversation
        ([{"messages": "two"}], {"messages": "two"}),
    ):  # fmt: skip
        path = write_jsonl(tmp_path / "a.jsonl", rows)
        assert [row for _, row in read_table(path)] == [expected]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({}, r"a\.jsonl:2: messages: expected a list of turns with role and content"),
        ({"messages": [turn("assistant", "{}")]}, "expected a turn of the user before"),
        ({"messages": [turn("user", 3), turn("assistant", "{}")]}, "content: expected a text, found 3"),
        ({"messages": [turn("user", "a"), turn("assistant", tool_calls=[{"x": 1}])]},
         "tool_calls: expected a function with name and arguments"),
        ({"messages": [turn("user", "a"), turn("assistant", tool_calls=[
            {"function": {"name": "f", "arguments": "{"}}])]}, "f: arguments: not valid JSON"),
        ({"messages": [turn("user", "a"), turn("assistant", "{}")], "text": "b"},
         "expected no column 'text' beside messages"),
    ],
)  # fmt: skip
def test_a_conversation_that_is_none_is_named_with_its_line(second, message, tmp_path):
    first = {"messages": [turn("user", "a"), turn("assistant", "{}")]}
    with pytest.raises(UserError, match=message) as told:
        read_table(write_jsonl(tmp_path / "a.jsonl", [first, second]))
    assert "\n" not in str(told.value)


def test_a_dialogue_that_goes_on_is_asked_as_a_whole(tmp_path):
    """An outdated text was answered: the user had changed what was asked."""
    begin = [turn("user", "2 nights"), turn("assistant", '{"nights": 2}')]
    rows = [{"messages": [*begin, turn("user", "no, make it 3")]}, {"messages": begin}]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    asked = load_table(path, asked=True)
    whole = 'user: 2 nights\nassistant: {"nights": 2}\nuser: no, make it 3'
    assert [row["text"] for _, row in asked.rows] == [whole, "2 nights"]
    assert any("the user replied to the assistant's answer in 1 rows" in n for n in asked.notes)
    assert [row["text"] for _, row in load_table(path).rows] == ["2 nights"] * 2
    assert [row["text"] for row in read_texts(str(path), "text", None)] == [whole, "2 nights"]


def test_what_of_a_conversation_is_in_neither_text_nor_record_is_said(tmp_path):
    """Turns after the answer, and words beside a call: a reader of the notes would miss nothing else."""
    ask, call = turn("user", "two nights"), turn("assistant", "Sure.", tool_calls=[called("a", {})])
    rows = [{"messages": [ask, call, turn("tool", "ok"), turn("user", "thanks")]}] * 2
    plain = {"messages": [ask, turn("assistant", None, tool_calls=[called("a", {})])]}
    notes = load_table(write_jsonl(tmp_path / "a.jsonl", [*rows, plain])).notes
    assert any("after the assistant's answer left out, in 2 rows" in note for note in notes)
    assert any("beside its calls left out, in 2 rows" in note for note in notes)
    assert len(load_table(write_jsonl(tmp_path / "b.jsonl", [plain])).notes) == 1


def test_a_row_of_one_call_fits_a_task_of_several(tmp_path):
    """A second file in which no row calls twice has no list around its calls."""
    fields = fields_from_config(
        {
            "calls": {
                "type": "list",
                "items": {
                    "type": "object",
                    "fields": {
                        "name": {"type": "string"},
                        "arguments": {"type": "object", "fields": {"n": {"type": "integer"}}},
                    },
                },
            }
        }
    )
    one = {"name": "book", "arguments": {"n": 2}}
    path = write_jsonl(tmp_path / "a.jsonl", [{"t": "x", "record": one}])
    (found,) = read_source(path, fields, "t", "record", None)
    assert found["record"] == {"calls": [one]}


def test_an_apostrophe_of_a_text_is_no_guard(tmp_path, capsys):
    """One row, or the column of the texts: what a person wrote stays; what was left out is said."""
    path, quoted = tmp_path / "a.csv", "'5 apples' were ordered"
    path.write_text(f"t,room\n{quoted},x\n")
    assert read_table(path)[0][1]["t"] == quoted
    path.write_text("t,room\n" + f"{quoted},'007\n" * 12)
    assert read_source(path, ROOM, "t", None, None)[0]["text"] == quoted
    assert "room: a sign around every cell" in capsys.readouterr().err
    path.write_text("t,room\na,'007\nb,'008\n")
    assert [row["room"] for _, row in read_table(path)] == ["007", "008"]


def test_the_files_of_a_folder_are_one_set_of_conversations(tmp_path):
    """Two calls in train make a list in test too, and the instruction of all is kept."""
    system, ask = turn("system", "Say room."), turn("user", "two nights")
    for name, calls in (("train", 2), ("val", 1), ("test", 1)):
        answer = turn("assistant", tool_calls=[called("a", {})] * calls)
        write_jsonl(tmp_path / f"{name}.jsonl", [{"messages": [system, ask, answer]}])
    table = load_table(tmp_path)
    assert table.conversations and table.instruction == "Say room."
    assert [len(row["record"]["calls"]) for _, row in table.rows] == [2, 1, 1]


def test_an_empty_split_in_a_folder_is_that_of_the_file(tmp_path):
    for name in ("train", "val", "test"):
        (tmp_path / f"{name}.csv").write_text("t,split\na,\n")
    assert [row["split"] for _, row in read_table(tmp_path)] == ["train", "val", "test"]
    (tmp_path / "val.csv").write_text("t,split\na,twin beds\n")
    with pytest.raises(UserError, match="rename that column"):
        read_table(tmp_path)


def test_a_second_file_may_lack_what_may_be_empty(tmp_path):
    fields = (*ROOM, Field(name="nights", type="integer", optional=True))
    path = write_jsonl(tmp_path / "a.jsonl", [{"t": "a", "room": "x"}])
    assert read_source(path, fields, "t", None, None, second=True)[0]["record"]["nights"] is None
    with pytest.raises(UserError, match="room"):
        read_source(write_jsonl(path, [{"t": "a"}]), fields, "t", None, None, second=True)


def test_na_is_a_missing_number_in_text_tables_alone(tmp_path):
    fields = (Field(name="n", type="integer", optional=True),)
    (tmp_path / "a.csv").write_text("t,n\na,NA\n")
    assert read_source(tmp_path / "a.csv", fields, "t", None, None)[0]["record"] == {"n": None}
    with pytest.raises(UserError, match=r"n: expected .*found 'NA'"):
        read_source(
            write_jsonl(tmp_path / "a.jsonl", [{"t": "a", "n": "NA"}]), fields, "t", None, None
        )


def test_one_call_fits_a_task_of_several(tmp_path):
    fields = (Field(name="calls", type="list"),)
    rows = [{"t": "a", "record": {"name": "f", "arguments": {}}}]
    with pytest.raises(UserError) as caught:
        read_source(write_jsonl(tmp_path / "a.jsonl", rows), fields, "t", "record", None)
    # read as a list of calls, of whose items this field knows nothing
    assert "record.calls" in str(caught.value)


def test_any_row_with_a_role_makes_a_conversation(tmp_path):
    path = tmp_path / "a.jsonl"
    chat = {"messages": [turn("user", "a"), turn("assistant", [{"type": "text", "text": "{}"}])]}
    assert read_table(write_jsonl(path, [chat]))[0][1]["record"] == "{}"
    with pytest.raises(UserError, match=r"a\.jsonl:1: messages: expected a list of turns"):
        read_table(write_jsonl(path, [{"messages": None}, chat]))
    assert read_table(write_jsonl(path, [{"messages": ["a"]}]))[0][1] == {"messages": ["a"]}
