"""What people have reported of other tools about files, labels, config and command line; each test names the report."""

from __future__ import annotations

import csv
import json
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from lora_vs_api.config.compose import compose, composed
from lora_vs_api.config.fast_yaml import safe_loader
from lora_vs_api.config.load import load_params
from lora_vs_api.config.yaml_keys import load_once
from lora_vs_api.data.contamination import read_label
from lora_vs_api.data.infer import infer_field
from lora_vs_api.data.source import read_source, read_table
from lora_vs_api.data.tables import load_table
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field
from lora_vs_api.scoring.scores import score_value
from tests.commands import lora_vs_api
from tests.test_public_reports import records_of, twenty, written

# --- files ------------------------------------------------------------------------------


def test_a_number_that_a_spreadsheet_shows_with_zeros_has_them(tmp_path):
    """SheetJS/sheetjs#1394: 00000 is a postcode's format, and 7 is none."""
    openpyxl = pytest.importorskip("openpyxl")
    shown = [
        (7, "00000", "00007"),
        (7.0, "00000", "00007"),
        (1234567, "00000", "1234567"),
        (123456789, r"000\-00\-0000", "123-45-6789"),
        (12345678, "000-00-0000", "012-34-5678"),
        (5, '"A-"0000', "A-0005"),
        # formats of quantities change nothing
        (5, "0.00", "5"),
        (5, "0", "5"),
        (0.05, "0%", "0.05"),
        (5, "#,##0", "5"),
        (-5, "00000", "-5"),
        (True, "00", "true"),
        # a length of time, of more than a day too (openpyxl reads it as one by its format)
        (timedelta(hours=25, seconds=5), "[h]:mm:ss", "25:00:05"),
    ]
    book = openpyxl.Workbook()
    book.active.append(["text", "code"])
    for row, (value, form, _) in enumerate(shown, start=2):
        book.active.append([f"text number {row}", value])
        book.active.cell(row, 2).number_format = form
    book.save(tmp_path / "a.xlsx")
    rows = [row["code"] for _, row in read_table(tmp_path / "a.xlsx")]
    assert rows == [wanted for *_, wanted in shown]


def test_a_line_end_that_a_spreadsheet_spells_out_is_one(tmp_path):
    """A sibling: a text that was pasted from Windows has _x000D_ before its line ends in the file."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for text in ("text", "one@\ntwo", "as_x_is"):
        book.active.append([text])
    book.save(tmp_path / "a.xlsx")
    with (
        zipfile.ZipFile(tmp_path / "a.xlsx") as made,
        zipfile.ZipFile(tmp_path / "b.xlsx", "w") as b,
    ):
        for name in made.namelist():
            b.writestr(name, made.read(name).replace(b"one@", b"one_x000D_"))
    assert [row["text"] for _, row in read_table(tmp_path / "b.xlsx")] == ["one\ntwo", "as_x_is"]


@pytest.mark.parametrize("end", ["\n", "\r\n", " \r\n "])
def test_a_column_s_name_over_several_lines_is_one_name(project, capsys, end):
    """pola-rs/polars#8402: Alt+Enter in a spreadsheet's header."""
    with open("a.csv", "w", newline="") as stream:
        rows = [[f"text number {i}", "ab"[i % 2]] for i in range(20)]
        csv.writer(stream).writerows([["text", f"issue{end}kind"], *rows])
    lora_vs_api("init", "a.csv")
    assert "column 'issue kind': a line end in its name" in capsys.readouterr().err
    assert records_of("a")[0] == {"issue kind": "a"}


def test_zero_bytes_are_no_part_of_a_cell(project, capsys):
    """OpenRefine/OpenRefine#653: what fills texts of one length up."""
    lines = [f"text\0 number {i},{'ab'[i % 2]}{chr(0) * (i % 3)}" for i in range(20)]
    Path("a.csv").write_text("\n".join(["text,kind", *lines]) + "\n" + "\0" * 40)
    lora_vs_api("init", "a.csv")
    assert "79 zero bytes in its cells, left out" in capsys.readouterr().err
    rows = [json.loads(line) for line in _corpus("a")]
    assert rows[1]["text"] == "text number 1" and rows[1]["record"] == {"kind": "b"}
    # of other control characters it is told why labels are none
    found = infer_field("f", ["a", "b\x07"] * 9)
    assert found.spec["type"] == "string" and r"no labels, since 'b\x07'" in found.why


def _corpus(task: str) -> list[str]:
    records_of(task)
    return Path("data/corpus.jsonl").read_text().splitlines()


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_one_label_or_several_are_lists_of_labels(project, capsys, suffix):
    """HumanSignal/label-studio-converter#59: a text where there is one, an object where there are several."""
    several = {"choices": ["billing", "it's, late"]}
    cells = (
        ["billing", several, "", "other"]
        if suffix == ".csv"
        else ["billing", several, None, "other"]
    )
    rows = twenty(topic=cells)
    if suffix == ".csv":
        rows = [
            {**row, "topic": json.dumps(row["topic"])} if row["topic"] == several else row
            for row in rows
        ]
        name = written("a.csv", *rows)
    else:
        name = "a.json"
        Path(name).write_text(json.dumps(rows))
    lora_vs_api("init", name)
    assert 'topic: {"choices": […]} in 5 rows' in capsys.readouterr().err
    found = [record["topic"] for record in records_of("a")[:4]]
    assert found == [["billing"], ["billing", "it's, late"], None, ["other"]]


def test_other_objects_among_labels_stay_as_they_are(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [{"text": "x", "f": {"choices": ["a"], "n": 1}}, {"text": "y", "f": {"choices": ["a"]}}]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert [row["f"] for _, row in load_table(path).rows] == [line["f"] for line in lines]
    # the text's column is what it is
    path.write_text("\n".join(json.dumps({"t": '{"choices": ["a"]}'}) for _ in range(2)))
    assert load_table(path, text="t").rows[0][1]["t"] == '{"choices": ["a"]}'


def test_a_record_or_object_that_is_called_choices_stays_one(project, tmp_path):
    """Where the settings say that a column holds objects, or a conversation was answered one."""
    path, several = tmp_path / "a.jsonl", {"choices": ["a", "b"]}
    rows = [
        {"t": f"text number {n}", "f": {"choices": ["c"]} if n % 2 else several} for n in range(20)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    inner = Field("choices", "list")
    (first, *_) = read_source(path, (inner,), "t", "f", None)
    assert first["record"] == several
    (first, *_) = read_source(path, (Field("f", "object", fields=(inner,)),), "t", None, None)
    assert first["record"] == {"f": several}
    lora_vs_api("init", str(path), "--record", "f")
    assert records_of("a")[0] == several
    turns = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": json.dumps(several)},
    ]
    path.write_text("\n".join(json.dumps({"messages": turns}) for _ in range(2)))
    assert load_table(path).rows[0][1]["record"] == json.dumps(several)


@pytest.mark.parametrize(
    ("gold", "answer", "score"),
    [
        ("İstanbul", "istanbul", 1.0),
        ("İSTANBUL", "Istanbul", 1.0),
        ("ISPARTA", "ısparta", 1.0),
        ("Straße 5", "STRASSE 5", 1.0),
        ("ΟΔΟΣ", "οδος", 1.0),
        ("ḯ", "Ḯ", 1.0),
        ("Zürich", "Zurich", 0.0),
    ],
)
def test_letters_that_differ_by_case_alone_are_the_same(gold, answer, score):
    """shreyaskarnik/argo#46, goodmami/wn#233: lower case makes of İ an i with a dot of its own."""
    field = Field(name="f", type="string", score="normalised")
    assert score_value(answer, gold, field) == score
    enum = Field(name="f", type="enum", score="exact", values=(gold, "zzz"))
    assert read_label(f"{answer}.", enum) == (gold if score else None)


@pytest.mark.parametrize(
    ("gold", "answer"), [("«Qué?»", "¿qué"), ("東京。", "東京"), ("O’Neil", "O'Neil"), ("a–b", "a-b"), ("x…", "X")]
)  # fmt: skip
def test_punctuation_of_any_script_counts_for_nothing(gold, answer):
    """A sibling of it: ASCII's alone did."""
    assert score_value(answer, gold, Field(name="f", type="string", score="normalised")) == 1.0
    assert score_value("5 €", "5 £", Field(name="f", type="string", score="normalised")) == 0.0


ROWS = [{"text": f"text number {i}", "kind": "ab"[i % 2]} for i in range(20)]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        # posit-dev/chatlas#180: df.to_json() without more
        ("a.json", json.dumps({"text": {"0": "x"}, "kind": {"0": "a"}}), 'found one object; is it of pandas.*orient="records"'),
        ("a.json", json.dumps({"columns": ["text"], "data": {}}), "found one object; is it of pandas"),
        ("a.json", json.dumps(ROWS[0]), "expected a list of objects, found one object$"),
    ],
)  # fmt: skip
def test_json_of_another_shape_is_told_what_it_seems_to_be(tmp_path, name, content, told):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=rf"{name}.*{told}"):
        read_table(tmp_path / name)


@pytest.mark.parametrize("mark", [",", ";", "|"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_blank_behind_every_separator_is_no_part_of_a_cell(tmp_path, mark, quote):
    """pola-rs/polars#3147: nor do quotes behind it become one."""
    lines = [["text", "kind", "n"], [f"Please{mark} help" if quote else "Please", "a", ""]]
    cells = [[f"{quote}{cell}{quote}" for cell in line] for line in lines]
    path = tmp_path / "a.csv"
    path.write_text("".join(f"{mark} ".join(line) + "\n" for line in cells))
    table = load_table(path)
    assert dict(table.rows[0][1]) == dict(zip(*lines))
    assert table.notes == ["blanks behind the separators, left out"]
    # where the header has none, one that a cell begins with is its own
    path.write_text(f"text{mark}kind\nx{mark} y\nz{mark} y\n")
    assert [row["kind"] for _, row in load_table(path).rows] == [" y", " y"]
    # nor where a row has none; one at the end of a line may be gone
    path.write_text(f"text{mark} kind\nx{mark} y\nz{mark}y\n")
    assert [row["kind"] for _, row in load_table(path).rows] == [" y", "y"]
    path.write_text(f"text{mark} kind\nx{mark} y\nz{mark}\n")
    assert [row["kind"] for _, row in load_table(path).rows] == ["y", ""]
    # but where the file is a table in no other way
    path.write_text(f'text{mark} kind\n"x"{mark} "y{mark}y"\n"z"{mark}y\n')
    assert [row["kind"] for _, row in load_table(path).rows] == [f"y{mark}y", "y"]


def test_a_merged_cell_is_the_value_of_each_of_its_rows(tmp_path):
    """python-excel/xlrd#192: a file holds it in the first of them."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    for row in [
        ["text", "who", "n"],
        ["a", "x", 7],
        ["b", None, None],
        ["c", "y", 8],
        ["d", None, 9],
    ]:
        sheet.append(row)
    sheet.merge_cells("B2:B3")
    sheet.merge_cells("C2:C3")
    sheet["C2"].number_format = "000"
    # side by side it is one cell, of the first column
    sheet.merge_cells("B5:C5")
    book.save(tmp_path / "a.xlsx")
    table = load_table(tmp_path / "a.xlsx")
    assert [(row["who"], row["n"]) for _, row in table.rows] == [
        ("x", "007"),
        ("x", "007"),
        ("y", "8"),
        ("", ""),
    ]
    assert table.notes == [
        "cells merged over several columns, such as B5:C5: their value is taken for the first of these alone",
        "merged cells: their value is taken for each of their rows",
    ]


def test_what_a_spreadsheet_hides_is_told(tmp_path):
    """pandas-dev/pandas#42562: rows that a filter hides; a sheet that drop-down lists come from."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet, lists = book.active, book.create_sheet("lists")
    for row in [["text", "kind"], ["a", "x"], ["b", "y"], ["c", "x"]]:
        sheet.append(row)
    lists.append(["x"])
    lists.sheet_state = "hidden"
    sheet.row_dimensions[3].hidden = True
    sheet.column_dimensions["B"].hidden = True
    book.save(tmp_path / "a.xlsx")
    table = load_table(tmp_path / "a.xlsx")
    assert [row["text"] for _, row in table.rows] == ["a", "b", "c"]
    assert table.notes == [
        "sheet 'lists': hidden, left out",
        "1 of its rows are hidden, as by a filter, and read like the others",
        "kind: hidden in the sheet, read like the others",
    ]
    lists.sheet_state = "visible"
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(UserError, match="found 2: Sheet, lists"):
        load_table(tmp_path / "a.xlsx")


def test_several_labels_in_a_cell_are_no_label():
    """huridocs/uwazi#3300: a survey's check boxes."""

    def found(mark):
        cells = [
            f"war{mark} genocide",
            "war",
            "genocide",
            f"torture{mark}genocide",
            f"war{mark}torture",
        ]
        return infer_field("f", cells * 6)

    assert found(";").spec == {"type": "list", "score": "set_f1"}
    assert "are there several with ',' between them?" in found(",").why
    assert "are there several with '|' between them?" in found("|").why
    # a mark that is part of labels, or stands in texts
    for cells in (
        ["Lyon, France", "Rome, Italy", "Milan, Italy"],
        ["a;b", "c"],
        [f"t {i}; u" for i in range(18)],
    ):
        kept = infer_field("f", cells * (18 // len(cells)))
        assert kept.spec["type"] != "list" and "between them" not in kept.why


def test_labels_that_differ_by_case_alone_are_told():
    """huridocs/uwazi#2323: somebody typed them."""
    why = infer_field("f", ["Billing", "other", "billing", "BILLING"] * 6).why
    assert "'BILLING' and 'Billing' and 'billing' differ by case alone: are they one?" in why
    # as scores compare them
    why = infer_field("f", ["ırmak", "Irmak"] * 9).why
    assert "'Irmak' and 'ırmak' differ by case alone" in why
    assert "case" not in infer_field("f", ["Billing", "other"] * 6).why


def test_a_column_that_says_one_thing_is_no_text(project):
    """argilla-io/argilla#5458: the text lies within an object, and a status stands beside it."""
    rows = [
        {"status": "all is completed", "fields": {"text": f"a text {i}"}, "kind": "ab"[i % 2 :]}
        for i in range(20)
    ]
    for row in rows:
        row["kind"] = [row["kind"]]
    Path("a.json").write_text(json.dumps(rows))
    told = r"a\.json: no column holds texts; name it with --text, such as --text '\{\{ fields\.text \}\}', a text within the column fields"
    with pytest.raises(UserError, match=told):
        lora_vs_api("init", "a.json")
    lora_vs_api("init", "a.json", "--text", "{{ fields.text }}")
    assert records_of("a")[0] == {"kind": ["ab"]}


def test_label_studio_s_own_json_is_named(project):
    """HumanSignal/label-studio-converter#59, a sibling: the text lies within data, the labels within annotations."""
    rows = [{"id": i, "annotations": [], "data": {"text": f"a text {i}"}} for i in range(20)]
    Path("full.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match=r"full\.json: .*Label Studio's JSON\? export JSON-MIN"):
        lora_vs_api("init", "full.json")


# --- config -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "read"),
    [("on", "true or false"), ("no", "true or false"), ("null", "no value"), ("1", "a number"), ("1.5", "a number")],
)  # fmt: skip
def test_a_key_that_yaml_takes_for_no_text_is_named_with_its_line(project, key, read):
    """omry/omegaconf#317: nobody means true where they write on."""
    lora_vs_api("init", written("a.csv", *twenty(**{key: ["a", "b"]})))
    path = Path("conf/task/a.yaml")
    path.write_text(path.read_text().replace(f"    '{key}': {{", f"    {key}: {{"))
    line = (
        path.read_text()
        .splitlines()
        .index(f"    {key}: {{type: enum, values: [a, b], score: exact}}")
    )
    told = rf"^conf/task/a\.yaml:{line + 1}:5: expected a name as key, found {key}, which YAML reads as {read}; .*'{key}'$"
    with pytest.raises(UserError, match=told):
        compose(["task=a"])
    # in quotes it is a name
    path.write_text(path.read_text().replace(f"    {key}: {{", f"    '{key}': {{"))
    assert key in composed(["task=a"])[1].task.fields
    text = compose([])
    Path("params.yaml").write_text(f"{text}\n{key}: 3\n")
    with pytest.raises(UserError, match=r"^params\.yaml: expected a name as key, found .*quotes"):
        load_params()


def test_a_key_that_stands_twice_in_params_is_named_with_its_line(project):
    """rbgirshick/yacs#17: the last one would count, and nothing be said."""
    text = compose([])
    Path("params.yaml").write_text(f"{text}task_title: other\n")
    told = rf"^params\.yaml:{len(text.splitlines()) + 1}: not valid YAML: found duplicate key task_title$"
    with pytest.raises(UserError, match=told):
        load_params()
    # what a mapping takes over it may set anew, and a part that is named may stand twice
    merged = load_once("a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, y: 5}\nd: [*a, *a]")
    assert merged["c"] == {"x": 3, "y": 5} and merged["d"] == [{"x": 1, "y": 2}] * 2
    assert load_once("") is None and load_once("# nothing") is None


def test_yaml_that_libyaml_would_end_the_process_over_is_a_line(project):
    """A hundred thousand brackets: its loader calls itself for each of them until the stack is full."""
    Path("params.yaml").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"^params\.yaml: not valid YAML: "):
        load_params()
    deep = "".join(" " * level + "a:\n" for level in range(2_000))
    assert safe_loader(deep) is yaml.SafeLoader
    assert safe_loader(compose([])) is yaml.CSafeLoader


@pytest.mark.slow
def test_a_byte_order_mark_hides_no_header(project):
    """ddev/ddev#1677: an editor on Windows puts it there, and CR before line ends."""
    local, task = Path("conf/local.yaml"), Path("conf/task/us_addresses.yaml")
    local.write_bytes(b"\xef\xbb\xbf# @package _global_\r\nlora:\r\n  r: 32\r\n")
    assert composed([])[1].lora.r == 32
    task.write_bytes(b"\xef\xbb\xbf" + task.read_bytes())
    with pytest.raises(
        UserError, match=r"^conf/task/us_addresses\.yaml:1:1: a byte order mark hides"
    ):
        composed(["task=us_addresses"])
    assert composed([])[1].lora.r == 32
    # which is not chosen here: what is wrong is another thing
    with pytest.raises(UserError, match=r"^conf/ with lora\.r=-3: lora\.r: expected "):
        composed(["lora.r=-3"])


@pytest.mark.parametrize(
    ("override", "told"),
    [
        # hydra-ecosystem/hydra#1600
        (r"data.path='C:\data\'", r"a backslash before a quote belongs to the quote"),
        (r"+slices=['#\', 'x']", r"a backslash before a quote belongs to the quote"),
        # treeverse/vscode-dvc#1814
        ("+seeds.3=4", r"seeds: a list has no place 3 to add; expected the whole list, seeds=\["),
    ],
)
def test_an_override_that_hydra_reads_otherwise_is_told_how_to_write_it(project, override, told):
    with pytest.raises(UserError, match=told):
        compose([override])
