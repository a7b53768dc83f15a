"""A fifth round of reports: files of surveys, databases and spreadsheets, and the kinds beside them."""

from __future__ import annotations

import csv
import json
import re
import shutil
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lora_vs_api.cli.app import main
from lora_vs_api.cli.task_config import written_forms
from lora_vs_api.config.compose import compose, composed
from lora_vs_api.config.load import load_params
from lora_vs_api.data.source import read_source
from lora_vs_api.data.tables import load_table
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field
from lora_vs_api.weights.check import check_config
from tests.imports import ROOT

TEXTS = [f"guest {i} says that it was fine" for i in range(24)]
LABELS = [("good", "bad")[i % 2] for i in range(24)]
NIGHTS = [str(i % 4 + 1) for i in range(24)]
LINES = [",".join(row) for row in zip(TEXTS, LABELS, NIGHTS, strict=True)]
HEADER = "Q1,Q2,Q3"
QUESTIONS = "Please describe your stay,How was it?,Nights"


def table_of(path: Path, *lines: str):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_table(path)


# --- lines below the header -------------------------------------------------------------


def test_the_lines_of_a_survey_are_no_rows(tmp_path):
    """ropensci/qualtRics#187: below the names stand the questions, and below these an id of each."""
    ids = ",".join(f'"{{""ImportId"":""QID{n}""}}"' for n in (1, 2, 3))
    table = table_of(tmp_path / "a.csv", HEADER, QUESTIONS, ids, *LINES)
    assert [row["Q1"] for _, row in table.rows] == TEXTS
    assert table.rows[0][0].endswith("a.csv:4")
    assert "Qualtrics' questions and ImportIds below the header: 2 lines, left out" in table.notes


@pytest.mark.parametrize("second", [QUESTIONS, "words,code,number", "varchar,enum,int"])
def test_a_second_line_of_names_is_told(tmp_path, second):
    """gesistsa/rio#101: it would be a row, and its words labels."""
    with pytest.raises(UserError, match=r"a\.csv:2: .*a second line of names: .*; take it out"):
        table_of(tmp_path / "a.csv", HEADER, second, *LINES)


def test_a_second_line_may_name_some_columns_alone(tmp_path):
    """SurveyMonkey's says Response below each question, and nothing below its own columns."""
    rows = [f"{i},{i + 5},{line}" for i, line in enumerate(LINES)]
    table = table_of(tmp_path / "a.csv", "rid,cid,Q1,Q2,Q3", ",,Open-Ended Response,Response,Response", *rows)  # fmt: skip
    assert len(table.rows) == len(rows) and "SurveyMonkey's line below the header" in table.notes[0]
    with pytest.raises(UserError, match=r"a\.csv:2: .*a second line of names"):
        table_of(tmp_path / "a.csv", "rid,cid,Q1,Q2,Q3", ",,Words,Answer,Answer", *rows)


def test_of_mechanical_turk_what_was_asked_and_answered_is_read(tmp_path):
    """Its results have thirty columns about task and worker."""
    header = "HITId,WorkerId,AssignmentId,AssignmentStatus,WorkTimeInSeconds,Input.text,Answer.kind"
    rows = [f"H{i},W{i % 3},A{i},{('Approved', 'Rejected')[i == 3]},{40 + i},{text},{label}" for i, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))]  # fmt: skip
    table = table_of(tmp_path / "a.csv", header, *rows)
    assert len(table.rows) == 23 and {*table.rows[0][1]} == {"Input.text", "Answer.kind"}
    assert "1 answers that were rejected, left out" in table.notes


def test_letters_that_were_misread_before_are_told(tmp_path):
    """Nobody can say what they were for all of a file; who has it can read it again."""
    table = table_of(tmp_path / "a.csv", "t,k", "CafÃ© itâ€™s,x", "Café,y")
    assert any("(Ã© for é) in cells of t (1)" in note for note in table.notes)
    assert not table_of(tmp_path / "b.csv", "t,k", "Ãrvore São,x", "SÃO,y").notes


@pytest.mark.parametrize(
    "first",
    [
        "a text,new label,n/a",
        "a text,new label,",
        "a text,good,many",
        "a text,new label,5",
        "a,b,-",
    ],
)
def test_an_odd_first_row_is_one(tmp_path, first):
    """A number that is missing, a new label or a slip alone is no line of names."""
    assert len(table_of(tmp_path / "a.csv", HEADER, first, *LINES).rows) == 25


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_a_cell_that_goes_on_in_the_next_line_is_told_so(tmp_path, end):
    """huggingface/datasets#1989: with a separator more, two halves of a text would be rows."""
    path = tmp_path / "a.tsv"
    rows = [f"{text}\t{label}\t1" for text, label in zip(TEXTS, LABELS, strict=True)]
    rows[4] = rows[4].replace("says", f"says{end}so")
    path.write_text("\n".join(["t\tk\tn", *rows]) + "\n", newline="")
    with pytest.raises(UserError, match=r"found 1; does its last cell go on in the next line\?"):
        load_table(path)


# --- what databases write ---------------------------------------------------------------


def test_escapes_of_a_database_are_undone_without_a_null_too(tmp_path):
    """gmr/pgdumplib#7: COPY and mysql --batch write a backslash twice, so that every other one escapes."""
    table = table_of(tmp_path / "a.tsv", "t\tk", "a\\nb\\tC:\\\\temp\tx", "c\ty")
    assert table.rows[0][1] == {"t": "a\nb\tC:\\temp", "k": "x"}
    assert r"\n, \t and \\ in its cells, read as databases write them" in table.notes


@pytest.mark.parametrize(
    ("cell", "told"),
    [(r"one\nTwo", True), (r"one\n\ntwo", True), (r"C:\new\temp", False), (r"\alpha\\beta", False)],
)
def test_a_backslash_of_the_text_stays(tmp_path, cell, told):
    """Where it may be meant, it is read as it stands; a line end that was written so is told."""
    table = table_of(tmp_path / "a.tsv", "t\tk", f"{cell}\tx", "c\ty")
    assert table.rows[0][1]["t"] == cell
    assert any("as a backslash and a letter in cells of t (1)" in note for note in table.notes) == told  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "lists"),
    [
        (["{kitchen,\"in house\"}", "{a}", "", "{}"], ['["kitchen", "in house"]', '["a"]', "", "[]"]),
        (['{"a \\"b\\"",NULL}', "{1,2}", "{x}", "{y}"], ['["a \\"b\\"", null]', '["1", "2"]', '["x"]', '["y"]']),
        # none of them
        (["{kitchen}", "a {b}", "c", "d"], None),
        (["{'a', 'b'}"] * 4, None),
        (['{"a": 1}'] * 4, None),
        (["{}"] * 4, None),
    ],
)  # fmt: skip
def test_arrays_of_postgresql_are_lists(tmp_path, cells, lists):
    """Its COPY and psql --csv write them so; with ; for , they would be worse."""
    path = tmp_path / "a.csv"
    # a few cells alone may be texts in braces
    cells, lists = cells * 2, None if lists is None else lists * 2
    with open(path, "w", newline="") as stream:
        csv.writer(stream).writerows(
            [["t", "k"], *([f"a b {i}", cell] for i, cell in enumerate(cells))]
        )
    assert [row["k"] for _, row in load_table(path).rows] == (cells if lists is None else lists)


# --- spreadsheets -----------------------------------------------------------------------


def saved(path: Path, rows: list[list[Any]], form: str = "General") -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cell in book.active["B"][1:]:
        cell.number_format = form
    book.save(path)
    return path


def rewritten(path: Path, pattern: str, by: str, name: str = "xl/worksheets/sheet1.xml") -> None:
    """A workbook one part of which says otherwise, as another program writes it."""
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    parts[name] = re.sub(pattern, by, parts[name].decode()).encode()
    with zipfile.ZipFile(path, "w") as book:
        for part, content in parts.items():
            book.writestr(part, content)


@pytest.mark.parametrize("value", ["<v></v>", "<v/>"])
def test_a_formula_that_gave_an_empty_text_has_a_value(tmp_path, value):
    """python-excel/xlrd#207: IF(…, "x", "") is saved so, and saving it once more changes nothing."""
    path = saved(tmp_path / "a.xlsx", [["t", "k"], ["a b", '=IF(1,"","x")'], ["c d", "y"]])
    with pytest.raises(UserError, match="holds a formula without its value"):
        load_table(path)
    rewritten(path, r'<c r="B2"([^>]*)><f>(.*?)</f><v ?/?>(?:</v>)?', rf'<c r="B2" t="str"><f>\2</f>{value}')  # fmt: skip
    assert [row["k"] for _, row in load_table(path).rows] == ["", "y"]


def test_midnight_is_a_time_among_times(tmp_path):
    """stevetarver/excel-as-json#27: one column holds one form, days alone or days with times."""
    form = "yyyy-mm-dd hh:mm"
    moments = [datetime.fromisoformat(f"2024-05-01T{hour}:00") for hour in ("00", "06")]
    path = saved(tmp_path / "a.xlsx", [["t", "at"], *(["a b", m] for m in moments)], form)
    assert [row["at"] for _, row in load_table(path).rows] == [
        "2024-05-01T00:00:00",
        "2024-05-01T06:00:00",
    ]
    path = saved(tmp_path / "b.xlsx", [["t", "at"], ["a b", moments[0]], ["c", moments[0]]], form)
    assert [row["at"] for _, row in load_table(path).rows] == ["2024-05-01"] * 2


def test_a_workbook_that_openpyxl_does_not_know_is_told_what_to_do(tmp_path):
    """The strict form has no sheets to it; what other programs write it may refuse in words of its own."""
    rows = [["t", "k"], ["a b", "x"], ["c d", "y"]]
    strict = saved(tmp_path / "strict.xlsx", rows)
    rewritten(strict, "http://schemas.openxmlformats.org/spreadsheetml/2006/main", "http://purl.oclc.org/ooxml/spreadsheetml/main", "xl/workbook.xml")  # fmt: skip
    with pytest.raises(UserError, match="in the strict form; save it as an ordinary one"):
        load_table(strict)
    odd = saved(tmp_path / "odd.xlsx", rows)
    rewritten(odd, r"<fill>.*?</fill>", "<fill/>", "xl/styles.xml")
    with pytest.raises(
        UserError, match=r"not readable as a spreadsheet .*; save it again in a spreadsheet"
    ):
        load_table(odd)


def test_pictures_beside_texts_are_left_out(tmp_path):
    """pola-rs/polars#17937: bytes may be texts; where none of a column is one, the rest is still read."""
    path = tmp_path / "a.parquet"
    columns = {"t": [b"a b", b"c"], "blob": [b"\xff\xd8", None], "k": ["x", "y"]}
    pq.write_table(pa.table(columns), path)
    table = load_table(path)
    assert [row for _, row in table.rows] == [{"t": "a b", "k": "x"}, {"t": "c", "k": "y"}]
    assert table.notes == ["blob: bytes that are no text, left out"]


def test_a_file_that_is_no_workbook_is_told_what_to_do(tmp_path):
    """python-excel/xlrd#351: programs call tables of texts .xls; an .ods is a zip file as an .xlsx is."""
    (tmp_path / "a.xls").write_text("t\tk\na b\tx\n")
    with pytest.raises(UserError, match=r"a\.xls: a text .*then call it \.csv"):
        load_table(tmp_path / "a.xls")
    pytest.importorskip("openpyxl")
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w") as book:
        book.writestr("content.xml", "<a/>")
    with pytest.raises(
        UserError, match=r"b\.xlsx: a zip file that is no workbook, such as an \.ods"
    ):
        load_table(tmp_path / "b.xlsx")


def test_digits_that_a_spreadsheet_loses_are_told(tmp_path):
    """No number of a card or an order is 4.68768768833943e+17."""
    path = saved(tmp_path / "a.xlsx", [["t", "no"], ["a b", 468768768833943384.0], ["c d", 7]])
    table = load_table(path)
    assert table.rows[0][1]["no"] == "468768768833943000"
    assert any("no: numbers of more than 15 digits" in note for note in table.notes)


# --- the command line -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "told", "typed"),
    [
        # hiyouga/LlamaFactory#4014: the shell takes quotes away, so that advice with its own is none
        ("sanity.learning_rate=2e-4", "put a text that looks like this in quotes, in a shell", 'sanity.learning_rate="2e-4"'),
        ("task_title=5", "in a shell", 'task_title="5"'),
        # hydra-ecosystem/hydra#2891: letters beyond ASCII
        ("task_title=客服", "expected quotes around such a value", 'task_title="客服"'),
        ("slices=[größe, priority]", "expected quotes around such values", 'slices=["größe","priority"]'),
        ("+task.weights.größe=3", "task.weights.größe: Hydra reads no such letter in a key on the command line; set it in conf/local.yaml", None),
        ("task.weights={größe: 3}", "no such letter in a key", None),
        # omry/omegaconf#885: a text with the beginning of a reference
        ("task_title=cost ${name}", "Interpolation key 'name' not found", r'task_title="cost \\\${name}"'),
        ('task_title="cost ${ x"', "none can be read", r'task_title="cost \\\${ x"'),
        ("task_title=${env:HOME}", r"task_title: there is no .*is \$\{oc\.env:NAME\}", None),
        # IDEA-Research/detrex#309: a script with the line ends of Windows; and a blank of a web page
        ("lora.r=32\r", "ends in a carriage return", None),
        ("model_free=[]\r", "ends in a carriage return", None),
        ("lora.r=32\u00a0", "expected 'lora.r=32'", "lora.r=32"),
        ("data.path=${oc.env:NO_SUCH_X}", "data.path: the environment has no variable NO_SUCH_X$", None),
    ],
)  # fmt: skip
def test_what_is_told_of_an_override_works_once_it_is_typed(override, told, typed, monkeypatch):
    """Within single quotes, as it is shown: the shell leaves those alone."""
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=told) as caught:
        composed([override])
    if typed is None:
        return
    assert f"'{typed}'" in str(caught.value)
    if "größe" not in typed:
        composed([typed])
        return
    # Hydra reads it, and what is wrong now is that there is no such field
    with pytest.raises(UserError, match="a field of the task.*, found 'größe'"):
        composed([typed])


def test_settings_may_be_given_as_dvc_takes_them(capsys, monkeypatch):
    """hydra-ecosystem/hydra#2469: what a message proposes works for the command that prints it."""
    monkeypatch.chdir(ROOT)
    told = []
    for arguments in (["lora.r=0"], ["-S", "lora.r=0"]):
        with pytest.raises(SystemExit):
            main(["params", "--check", *arguments])
        told.append(capsys.readouterr().err)
    assert told[0] == told[1] and "lora.r: expected" in told[0]


def test_a_name_that_looks_like_a_number_needs_quotes(tmp_path, monkeypatch):
    """A task called 2024 is there, and yet was said to be none."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "conf", "conf", ignore=lambda *_: ["local.yaml"])
    shutil.copy("conf/task/us_addresses.yaml", "conf/task/2024.yaml")
    own = Path("conf/local.yaml")
    own.write_text("# @package _global_\n")
    with pytest.raises(
        UserError, match="looks like a number or a truth needs quotes: 'task=\"2024\"'"
    ):
        composed(["task=2024"])
    assert composed(['task="2024"'])[1].task_name == "us_addresses"
    own.write_text("# @package _global_\ndefaults:\n  - override /task: 2024\n")
    with pytest.raises(UserError, match="defaults: expected names, found what looks like a number"):
        composed([])
    own.write_text(own.read_text().replace("2024", '"2024"'))
    assert composed([])[1].task_name == "us_addresses"


def test_a_number_of_the_environment_is_told_how_it_is_read(tmp_path, monkeypatch):
    """What the environment holds is a text; oc.decode makes a number of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANK", "4")
    shutil.copytree(ROOT / "conf", "conf", ignore=lambda *_: ["local.yaml"])
    own = Path("conf/local.yaml")
    own.write_text("# @package _global_\nlora: {r: '${oc.env:RANK}'}\n")
    with pytest.raises(UserError, match=r"found '4'; a number has no quotes; .* \$\{oc\.decode:"):
        composed([])
    own.write_text("# @package _global_\nlora: {r: '${oc.decode:${oc.env:RANK}}'}\n")
    assert composed([])[1].lora.r == 4


@pytest.mark.parametrize("name", ["conf/local.yaml", "params.yaml"])
def test_what_git_could_not_merge_is_told_as_that(tmp_path, name, monkeypatch):
    """iterative/vscode-dvc#4241: no word of YAML's leads there."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "conf", "conf", ignore=lambda *_: ["local.yaml"])
    Path(name).write_text("<<<<<<< HEAD\nlora: {r: 8}\n=======\nlora: {r: 4}\n>>>>>>> other\n")
    with pytest.raises(UserError, match=rf"{name}: git has left two versions in it; "):
        load_params() if name == "params.yaml" else composed([])


def test_an_adapter_is_no_base_model(tmp_path):
    """huggingface/transformers#25222: its folder holds what makes a model only with its base."""
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="a PEFT adapter and no model.*merge the adapter"):
        check_config(tmp_path, "model.weights.path=x")


def test_numbers_of_a_dataset_s_labels_are_read_as_their_words(tmp_path):
    """A .parquet that was fetched from the Hub: the words stand in its metadata alone."""
    from datasets import ClassLabel, Dataset, Features, List, Value

    kind = ClassLabel(names=["neg", "pos"])
    features = Features(
        {
            "text": Value("string"),
            "label": kind,
            "tags": List(kind),
            "more": {"by": kind},
            "n": Value("int64"),
        }
    )
    rows = [
        {"text": f"t {i}", "label": i % 3 - 1, "tags": [0, 1], "more": {"by": 1}, "n": 1}
        for i in range(3)
    ]
    path = tmp_path / "a.parquet"
    Dataset.from_list(rows, features=features).to_parquet(path)
    table = load_table(path)
    assert [row for _, row in table.rows] == [
        {"text": f"t {i}", "label": label, "tags": ["neg", "pos"], "more": {"by": "pos"}, "n": 1}
        for i, label in enumerate([None, "neg", "pos"])
    ]
    assert [note.partition(":")[0] for note in table.notes] == ["label", "tags", "more"]


@pytest.mark.timeout(120)  # else it would end for want of memory
def test_a_colour_at_the_end_of_a_sheet_costs_nothing(tmp_path):
    """dimagi/commcare-hq#23873: one styled cell in the last column and one far below made millions of cells."""
    from openpyxl import Workbook
    from openpyxl.styles import PatternFill

    book = Workbook()
    sheet = book.active
    for row in [("text", "n"), *((f"text {i}", i) for i in range(3))]:
        sheet.append(row)
    for place in ("XFD1", "A90000"):
        sheet[place].fill = PatternFill("solid", fgColor="FFFF00")
    book.save(tmp_path / "a.xlsx")
    assert [row for _, row in load_table(tmp_path / "a.xlsx").rows] == [
        {"text": f"text {i}", "n": str(i)} for i in range(3)
    ]


def test_a_short_text_without_blanks_is_not_called_a_word(tmp_path, monkeypatch, capsys):
    """Chinese has none between words."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "conf", "conf")
    Path("a.csv").write_text(
        "text,label\n" + "".join(f"我要订披萨{i},{'ab'[i % 2]}\n" for i in range(40))
    )
    with pytest.raises(SystemExit):
        main(["init", "a.csv"])
    assert "one word" not in capsys.readouterr().err


def test_a_text_of_columns_beside_an_object_of_its_own(tmp_path, monkeypatch, capsys):
    """huggingface/datasets#2799: issues of GitHub, whose body may be null and whose author is an object."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "conf", "conf")
    rows = [
        {"title": f"Crash {i}", "body": None if i == 3 else f"It stopped {i}", "kind": "ab"[i % 2], "author": {"login": "a"}}
        for i in range(40)
    ]  # fmt: skip
    Path("a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(SystemExit) as ended:
        main(["init", "a.jsonl", "--text", "{{ title }}\\n\\n{{ body }}"])
    assert not ended.value.code, capsys.readouterr().err
    _, params = composed(["task=a"], Path("conf"))
    read = read_source(
        "a.jsonl", params.task.record_fields, params.data.text, params.data.record, None
    )
    assert [row["text"] for row in read[2:4]] == ["Crash 2\n\nIt stopped 2", "Crash 3\n\n"]
    assert [row["record"]["kind"] for row in read[:2]] == ["a", "b"]


@pytest.mark.parametrize(("separator", "first"), [(",", True), (",", False), ("\t", True)])
def test_a_quote_that_takes_in_rows_is_no_text(separator, first, tmp_path):
    """pytorch/text#612: a lone quote opens a text, another row's ends it, and the rows between were gone."""
    rows = [(f"text {i}", "ab"[i % 2]) for i in range(30)]
    rows[5], rows[9] = ('"I am tired.', "a"), ('I go home."', "b")
    cut = [separator.join(row if first else row[::-1]) for row in rows]
    path = tmp_path / ("a.tsv" if separator == "\t" else "a.csv")
    path.write_text(
        separator.join(("t", "k") if first else ("k", "t")) + "\n" + "\n".join(cut) + "\n"
    )
    if separator == "\t":
        # every line is a row, as no text with tabs would have it
        table = load_table(path)
        assert [row["t"] for _, row in table.rows] == [text for text, _ in rows]
        assert any("quotes are read as part of the text" in note for note in table.notes)
        return
    with pytest.raises(
        UserError, match=r":7: a quote opens a cell that takes in 4 more lines, with a label"
    ):
        load_table(path)


def test_a_text_of_several_lines_is_one(tmp_path):
    """Be there commas, and a label's word at the end of one of its lines."""
    path = tmp_path / "a.csv"
    rows = [
        ("Dear all,\nis it one, a\nor two, b?\nBye", "a"),
        *((f"text {i}", "ab"[i % 2]) for i in range(30)),
    ]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("t", "k"), *rows])
    assert [tuple(row.values()) for _, row in load_table(path).rows] == rows


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ([f"2024-03-{d:02}T20:15:00-05:00" for d in range(1, 29)], "1999-12-30T23:59:58-05:00"),
        ([f"2024-03-{d:02} 20:15+0200" for d in range(1, 29)], "1999-12-30 23:59+0200"),
        ([f"2024-03-{d:02}T20:15:00Z" for d in range(1, 29)], "1999-12-30T23:59:58Z"),
    ],
)
def test_times_of_a_zone_are_told_as_they_are_written(times, told):
    """r-lib/nanoparquet#140: docs/your-data.md promises it of all dates and times."""
    field = Field(name="at", type="string", score="exact")
    texts = [f"see you then, {i}" for i in range(len(times))]
    forms = written_forms([field], [{"at": time} for time in times], texts)
    assert forms == {"at": f"written like {told}"}


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_a_params_yaml_in_another_encoding_is_named(tmp_path, monkeypatch, capsys, encoding):
    """doc-analysis/TableBank#8: PowerShell and editors write others than UTF-8."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "conf", "conf")
    Path("params.yaml").write_bytes("task_title: Café\n".encode(encoding))
    with pytest.raises(SystemExit):
        main(["params", "--check"])
    assert "params.yaml: not what conf/ composes to; `make params`" in capsys.readouterr().err


def test_the_users_own_file_may_be_empty_and_is_named_where_it_is_not_there(tmp_path, monkeypatch):
    """Hydra: Could not load 'local'. Config search path: provider=hydra, path=pkg://…"""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "conf", "conf", ignore=lambda *_: ["local.yaml"])
    with pytest.raises(
        UserError, match=r"^conf/local\.yaml: no such file; .*an empty file will do$"
    ):
        composed([])
    Path("conf/local.yaml").touch()
    assert composed([])[0] == compose([], ROOT / "conf")
