"""Files that people keep, each of which was once read as something else (tests/cases/)."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from lora_vs_api.analysis.diagnosis import confusion, diagnose_field, recover_record
from lora_vs_api.analysis.results import read_analysis, write_result
from lora_vs_api.api.attempt import attempt
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.types import NoAnswer
from lora_vs_api.cli import app
from lora_vs_api.cli.review import append_verdict
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.config.sections import Params
from lora_vs_api.data.contamination import classification_prompt, read_label
from lora_vs_api.data.decisive import Decisive
from lora_vs_api.data.review import COLUMNS, Verdict, join_verdicts, read_verdicts, text_sha256
from lora_vs_api.data.source import read_source, read_table
from lora_vs_api.data.split import assert_disjoint, first_of_each_text
from lora_vs_api.data.tables import load_table
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl, write_jsonl, write_text
from lora_vs_api.model_free.predictors import learn
from lora_vs_api.neighbours.tfidf import Neighbours
from lora_vs_api.record.fields import Field, fields_from_config
from lora_vs_api.record.prompt import completion
from lora_vs_api.report.markdown import report_markdown
from lora_vs_api.report.page.html import report_html
from lora_vs_api.scoring.scores import score_output
from stages import corpus
from tests import report_fixture
from tests.commands import lora_vs_api
from tests.fault_server import Fault, FaultServer
from tests.imports import ROOT
from tests.test_api_client import CHAT, ask, requests
from tests.test_app import COMMANDS

CASES = ROOT / "tests" / "cases"


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    for file in CASES.iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    monkeypatch.chdir(tmp_path)
    # errors as they are raised, and not as the line and the exit code they end in
    monkeypatch.setattr(app, "run_command", lambda command: command())
    return tmp_path


def params_of(task: str) -> Params:
    return check_params(yaml.safe_load(compose([f"task={task}"])))


def corpus_of(params: Params) -> list[dict[str, Any]]:
    """What the node `corpus` reads."""
    corpus.main(params)
    return read_jsonl("data/corpus.jsonl")


def written(path: str | Path, *rows: dict[str, Any], **form: Any) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), **form)
    writer.writeheader()
    writer.writerows(rows)
    Path(path).write_bytes(text.getvalue().encode(form.pop("encoding", "utf-8")))
    return str(path)


def twenty(**columns: Any) -> list[dict[str, Any]]:
    return [
        {"text": f"a text of several words, number {i}"}
        | {name: values[i % len(values)] for name, values in columns.items()}
        for i in range(20)
    ]


# --- from file to config and corpus -----------------------------------------------------


def test_codes_that_look_like_numbers_stay_texts(project, capsys):
    """00007 is no 7, and an order number of 21 digits no number that a program surely keeps."""
    lora_vs_api("init", "leading_zeros.csv")
    assert "no numbers, since '00000' would become 0" in capsys.readouterr().err
    params = params_of("leading_zeros")
    assert {name: field.type for name, field in params.task.fields.items()} == {
        "label": "enum", "iban": "string", "zip": "string",
    }  # fmt: skip
    with open("leading_zeros.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row, found in zip(rows, corpus_of(params), strict=True):
        assert found["record"] == {name: row[name] for name in ("label", "iban", "zip")}


CELLS = (
    (["1_007", "2_008"], str),
    (["1.10", "1.9"], str),
    (["12.50", "8.00"], float),
    (["12.5", "8.0"], float),
    (["1e3", "2e3"], str),
    (["1e-05", "2.5"], float),
    (["+49", "1"], str),
    (["٣", "٤"], str),
    (["0.1234567890123456789", "1"], str),
    (["9007199254740993", "1"], str),
    (["-5", "12"], int),
    (["1", "1" * 5000], str),
    (["inf", "1"], str),
)


def test_only_what_comes_back_is_a_number(project):
    """Digits of other scripts, versions, phone numbers and Python's own 1_007 are none."""
    columns = {f"x{place}": cells for place, (cells, _) in enumerate(CELLS)}
    lora_vs_api("init", written("a.csv", *twenty(**columns)), "--text", "text")
    rows = [row["record"] for row in corpus_of(params_of("a"))]
    for (name, cells), (_, kind) in zip(columns.items(), CELLS, strict=True):
        found = [row[name] for row in rows]
        assert found == [kind(cells[i % 2]) for i in range(20)], name
        assert {type(value) for value in found} == {kind}, name


def test_a_text_in_a_file_with_types_stays_one(project):
    """Whoever writes "12" in quotes means no number, in a column, a record and a list alike."""
    rows = [
        {
            "text": f"t {i} x",
            "zip": f"{12345 + i}",
            "yes": ["no", "yes"][i % 2],
            "in": {"n": f"{i}"},
            "at": {"n": i},
            "l": [f"{i}"],
        }
        for i in range(20)
    ]
    write_jsonl("a.jsonl", rows)
    write_jsonl("b.jsonl", ({"text": row.pop("text"), "gold": row} for row in map(dict, rows)))
    for name in "ab":
        lora_vs_api("init", f"{name}.jsonl", "--text", "text")
        found = [row["record"] for row in corpus_of(params_of(name))]
        assert found == [{k: v for k, v in row.items() if k != "text"} for row in rows]


def test_a_column_that_counts_the_rows_is_left_out(project, capsys):
    """What pandas writes before the first column; and what has no name and means something is told."""
    lora_vs_api("init", "pandasindex.csv")
    assert "pandasindex.csv: column 1 without a name: an index, left out" in capsys.readouterr().err
    assert list(params_of("pandasindex").task.fields) == ["label"]
    rows = [{**row, "": f"x{i}"} for i, row in enumerate(twenty(label=["a", "b"]))]
    with pytest.raises(UserError, match=r"b\.csv:1: column 3 without a name holds 'x0'; name it"):
        lora_vs_api("init", written("b.csv", *rows))
    rows = [{"Unnamed: 0": 19 - i, **row, "": ""} for i, row in enumerate(twenty(label=["a", "b"]))]
    assert [list(row) for _, row in read_table(written("c.csv", *rows))] == [["text", "label"]] * 20


def test_an_index_of_parquet_is_left_out(project):
    """pandas keeps one there whenever rows were chosen or shuffled."""
    import pandas as pd

    frame = pd.DataFrame(twenty(label=["a", "b"])).sample(frac=1, random_state=0)
    frame.to_parquet("p.parquet")
    table = load_table("p.parquet")
    assert list(table.rows[0][1]) == ["text", "label"]
    assert table.notes == ["column 3 (__index_level_0__): an index, left out"]


@pytest.mark.parametrize("case", ["labels_1e3", "labels_plus_sharp", "labels_dollar_brace"])
def test_odd_labels_stay_what_they_are(project, case):
    """From init through YAML, Hydra and OmegaConf to corpus, prompt and score."""
    lora_vs_api("init", f"{case}.csv")
    params = params_of(case)
    with open(f"{case}.csv", newline="") as stream:
        labels = [row["label"] for row in csv.DictReader(stream)]
    assert list(params.task.record_fields[0].values) == sorted(set(labels))
    assert f"one of {', '.join(sorted(set(labels)))})" in params.task.instruction
    fields = params.task.record_fields
    rows = corpus_of(params)
    assert [row["record"]["label"] for row in rows] == labels
    described = json.loads(Path("metrics/corpus.json").read_text())["labels"]["label"]
    assert set(described) == set(labels) and sum(described.values()) == len(rows)
    for label in set(labels):
        assert read_label(f"It is {label}.", fields[0]) == label
        gold = {"label": label}
        assert score_output(completion(gold, fields), gold, fields).exact_match


@pytest.mark.slow
def test_a_file_with_accents_in_its_name_gives_a_command_that_works(project, capsys):
    """The printed line, run by a shell: what make, Hydra and the shell make of the task's name."""
    # committed under a plain name, which every file system and tool takes
    Path("accents_in_its_name.csv").rename("données über alles.csv")
    lora_vs_api("init", "données über alles.csv")
    printed = capsys.readouterr().out.strip()
    command, _, then = printed.partition(" && ")
    assert command == 'make params SET="task=donnees_uber_alles"' and then == "dvc repro"
    shutil.copyfile(ROOT / "Makefile", "Makefile")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    # what is installed is not asked for here: setup counts as done
    done = subprocess.run(
        command.replace("make ", "make -o setup "), shell=True, env=environment, capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    assert params["data"]["path"] == "données über alles.csv"
    assert params["task"]["fields"]["label"]["values"] == ["DE", "FR", "NO", "SE"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Straße & Brücke.csv", "strasse_brucke"),
        ("2024 sales.csv", "task_2024_sales"),
        ("null.csv", "task_null"),
        ("--.csv", None),
        ("数据.csv", None),
    ],
)
def test_every_file_gives_a_task_a_plain_name(project, file, name):
    """Or one line says that it cannot."""
    written(file, *twenty(label=["a", "b"]))
    if name is None:
        with pytest.raises(UserError, match=r"--name: none can be made of .*--name bookings"):
            lora_vs_api("init", f"./{file}")
    else:
        lora_vs_api("init", file)
        assert Path(f"conf/task/{name}.yaml").is_file()
    for refused in ("é", "null", "a b", "a-b", "1a"):
        with pytest.raises(UserError, match=r"--name: expected letters a to z"):
            lora_vs_api("init", f"./{file}", "--name", refused)


def test_half_a_character_is_refused_with_its_row(project):
    """By init as by the node that reads the rows, before anything is written."""
    told = r"surrogate\.jsonl:8: 'text': expected whole characters, found a lone surrogate"
    with pytest.raises(UserError, match=told):
        lora_vs_api("init", "surrogate.jsonl")
    assert not Path("conf/task/surrogate.yaml").exists()
    with pytest.raises(UserError, match=told):
        read_source("surrogate.jsonl", (Field("label", "string"),), "text", None, None)


def test_numbers_that_are_missing_are_null(project):
    """NaN, as pandas writes it into JSON and Parquet; infinity is an error with its row."""
    import pandas as pd

    lora_vs_api("init", "nan.jsonl")
    params = params_of("task_nan")
    assert params.task.fields["amount"].type == "number" and params.task.fields["amount"].optional
    found = corpus_of(params)
    assert found[0]["record"]["amount"] is None and found[1]["record"]["amount"] == 1.5
    frame = pd.DataFrame(twenty(amount=[None, 1.5], list=[[None, 1.0], []]))
    frame.to_parquet("n.parquet")
    assert [row["amount"] for _, row in read_table("n.parquet")][:2] == [None, 1.5]
    frame.assign(amount=float("inf")).to_parquet("i.parquet")
    with pytest.raises(UserError, match=r"i\.parquet: row 1: amount: expected a number, found inf"):
        read_table("i.parquet")
    Path("i.jsonl").write_text('{"a": 1}\n{"a": Infinity}\n')
    with pytest.raises(UserError, match=r"i\.jsonl:2: expected a number, found Infinity"):
        read_table("i.jsonl")


def test_dates_and_decimals_of_parquet_are_read_as_it_is_told(project, capsys):
    """ISO texts, and numbers where no digit is lost."""
    from datetime import datetime, time
    from decimal import Decimal

    import pyarrow
    import pyarrow.parquet

    for name, note in (("pdate", "day: dates, read as ISO 8601 texts"),
                       ("pdec", "price: decimals, read as numbers")):  # fmt: skip
        lora_vs_api("init", f"{name}.parquet")
        assert f"{name}.parquet: {note}" in capsys.readouterr().err
    assert corpus_of(params_of("pdate"))[0]["record"] == {"day": "2024-01-01"}
    assert corpus_of(params_of("pdec"))[0]["record"] == {"price": 0.5}
    columns = {
        "exact": [Decimal("12345678901234567.25"), None],
        "whole": [Decimal("7"), Decimal("8")],
        "noon": [datetime.fromisoformat("2024-01-05T12:30:00"), None],
        "midnight": [datetime.fromisoformat("2024-01-05"), None],
        "zoned": [datetime.fromisoformat("2024-01-05T00:00:00+00:00"), None],
        "at": [time(8, 5), None],
        "bytes": [b"caf\xc3\xa9", None],
        "deep": [[{"day": datetime.fromisoformat("2024-01-05")}], None],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), "t.parquet")
    table = load_table("t.parquet")
    assert table.rows[0][1] == {
        "exact": "12345678901234567.25", "whole": 7, "noon": "2024-01-05T12:30:00",
        "midnight": "2024-01-05", "zoned": "2024-01-05T00:00:00+00:00", "at": "08:05:00",
        "bytes": "café", "deep": [{"day": "2024-01-05"}],
    }  # fmt: skip
    assert set(table.rows[1][1].values()) == {None, 8}
    assert (
        "exact: decimals, read as texts, since a number would not hold all their digits"
        in table.notes
    )
    assert "midnight: dates with times, read as days, all of them at midnight" in table.notes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b,a\n1,2,3\n", r"f\.csv:1: expected no column name twice, found 'a'"),
        ("sep=;\na;a\n", r"f\.csv:2: expected no column name twice, found 'a'"),
        ("sep=;\na;b\n1;2\n1;2;3\n", r"f\.csv:4: expected 2 cells as in the header, found 3"),
        ('a,b\n"x\ny",1\n"z,2\n', r"f\.csv:4: not valid CSV"),
        (
            "PK\x03\x04…",
            r"f\.csv: is an Excel workbook or another zip file, whatever its name says",
        ),
        ("a\0\n1\0\n", r"f\.csv:1: holds zero bytes, as UTF-16 .*\(--encoding, data\.encoding"),
    ],
)
def test_a_file_that_is_not_understood_is_one_line(project, content, message):
    """With the line of the file, whatever was left out above it."""
    Path("f.csv").write_text(content)
    with pytest.raises(UserError, match=message) as told:
        read_table("f.csv")
    assert "\n" not in str(told.value)


def test_a_key_that_stands_twice_in_a_row_is_refused(project):
    """As a column name that does: one of the two would be lost."""
    Path("f.jsonl").write_text('{"a": 1}\n{"a": 1, "a": 2}\n')
    with pytest.raises(UserError, match=r"f\.jsonl:2: expected no key twice, found 'a'"):
        read_table("f.jsonl")


def test_spreadsheets_have_habits(project, capsys):
    """Excel's sep= line, separators between quotes in the header, cells of a megabyte."""
    rows = twenty(label=["a", "b"])
    body = written("a.csv", *rows, delimiter=";")
    Path("b.csv").write_bytes(b"\xef\xbb\xbfsep=;\r\n" + Path(body).read_bytes())
    assert read_table("b.csv")[0] == ("b.csv:3", rows[0])
    lora_vs_api("init", "b.csv")
    assert "b.csv: first line sep=;: left out, it names the separator" in capsys.readouterr().err
    odd = [{"text": "x", "a, b, c": "1", "d": "2"}]
    assert read_table(written("c.csv", *odd, delimiter=";", quoting=csv.QUOTE_ALL))[0][1] == odd[0]
    Path("d.csv").write_text("text;a, b, c;d\nx, y;1;2\n")
    assert read_table("d.csv")[0][1] == {"text": "x, y", "a, b, c": "1", "d": "2"}
    long = [{"text": "word " * 200_000, "label": "a"}]
    assert read_table(written("e.csv", *long))[0][1] == long[0]


def test_other_encodings_are_read_once_they_are_named(project):
    """A byte order mark names its own; anything else is told with its line and what to give."""
    rows = twenty(label=["naïve", "café"])
    text = "text,label\r\n" + "".join(f'"{row["text"]}",{row["label"]}\r\n' for row in rows)
    Path("latin.csv").write_bytes(text.encode("latin-1"))
    Path("wide.csv").write_bytes(text.encode("utf-16"))
    with pytest.raises(
        UserError, match=r"latin\.csv:2: not valid UTF-8 .*\(--encoding, data\.encoding"
    ):
        lora_vs_api("init", "latin.csv")
    lora_vs_api("init", "latin.csv", "--encoding", "latin-1")
    params = params_of("latin")
    assert params.data.encoding == "latin-1"
    assert [row["record"]["label"] for row in corpus_of(params)][:2] == ["naïve", "café"]
    lora_vs_api("init", "wide.csv")
    assert corpus_of(params_of("wide"))[1]["record"] == {"label": "café"}
    for encoding in ("nothing", "rot13"):
        with pytest.raises(UserError, match="no text encoding is called"):
            lora_vs_api("init", "latin.csv", "--encoding", encoding, "--force")
    with pytest.raises(UserError, match="not valid ascii"):
        lora_vs_api("init", "latin.csv", "--encoding", "ascii", "--force")
    with pytest.raises(UserError, match="--encoding: of a text file"):
        lora_vs_api("init", "pdec.parquet", "--encoding", "latin-1")


def test_an_id_of_zero_is_one(project):
    """The first row of most tables is called 0."""
    write_jsonl("z.jsonl", ({"id": i, **row} for i, row in enumerate(twenty(label=["a", "b"]))))
    lora_vs_api("init", "z.jsonl")
    assert [row["id"] for row in corpus_of(params_of("z"))][:2] == ["0", "1"]


def test_what_no_config_can_hold_is_told(project):
    """A text taken for a column's name, a control character in one."""
    with pytest.raises(UserError, match="does the first line name the columns"):
        lora_vs_api("init", written("a.csv", *twenty(**{"x" * 300: ["a", "b"]})))
    with pytest.raises(UserError, match=r"'x\\x07': expected a name without control characters"):
        lora_vs_api("init", written("a.csv", *twenty(**{"x\x07": ["a", "b"]})))
    # a label is no name: the field is any text then
    lora_vs_api("init", written("a.csv", *twenty(x=["a\x07", "b"])))
    assert params_of("a").task.fields["x"].type == "string"


@pytest.mark.parametrize(
    ("values", "found"), [("[1, 2, 3]", "[1, 2, 3]"), ("[yes, no]", "[True, False]")]
)
def test_labels_without_quotes_are_told(project, values, found):
    """YAML has made numbers and booleans of them: what they were cannot be known."""
    text = Path("conf/task/support_emails.yaml").read_text()
    case = Path("task_values_numbers.yaml").read_text()
    assert "values: [1, 2, 3]" in case
    head, _, _ = text.partition("task:\n")
    task = f"task:\n  fields:\n    label: {{type: enum, values: {values}}}\n  instruction: x\n"
    Path("conf/task/odd.yaml").write_text(head + task)
    with pytest.raises(
        UserError, match=r"task\.fields\.label\.values: expected a list of texts, with quotes"
    ) as told:
        compose(["task=odd", "split.stratify_by=label", "contamination.field=label"])
    assert str(told.value).endswith(f"found {found}") and "\n" not in str(told.value)


def test_the_case_of_labels_without_quotes(project):
    """That file is of an earlier version, which is the first thing to say of it."""
    shutil.copyfile("task_values_numbers.yaml", "conf/task/numbers.yaml")
    with pytest.raises(UserError, match=r"is called task_name now"):
        compose(["task=numbers"])


# --- verdicts ---------------------------------------------------------------------------

SAMPLE = [{"id": f"e{k}", "text": f"Grüße {k}", "record": {"a": "x;y"}} for k in range(3)]


@pytest.mark.parametrize(("separator", "mark"), [(",", ""), (",", "\ufeff"), (";", "\ufeff")])
def test_verdicts_are_read_as_a_spreadsheet_saves_them(tmp_path, separator, mark):
    """And the next one is added in the same form."""
    path = tmp_path / "verdicts.csv"
    header = separator.join(COLUMNS)
    path.write_text(f"{mark}{header}\r\n", encoding="utf-8", newline="")
    for k, note in enumerate(("", 'a; b, "c"')):
        row = SAMPLE[k]
        append_verdict(
            path,
            Verdict(row["id"], text_sha256(row["text"]), "fix", "Ann", "2026-11-23T10:00:00+00:00", note, {"a": "é,;"}),
        )  # fmt: skip
    found = read_verdicts(path)
    assert [(v.note, v.fixed_record) for v in found] == [
        ("", {"a": "é,;"}),
        ('a; b, "c"', {"a": "é,;"}),
    ]
    assert join_verdicts(SAMPLE, path)["fixed"] == 2


def test_the_case_of_a_verdict_file_with_a_mark(tmp_path):
    """And one in an encoding to which nothing can be added is told before a question is asked."""
    path = shutil.copyfile(CASES / "verdicts_bom.csv", tmp_path / "verdicts.csv")
    assert read_verdicts(path) == []
    path.write_text(",".join(COLUMNS) + "\n", encoding="utf-16")
    assert read_verdicts(path) == []
    with pytest.raises(UserError, match=r"is in utf-16; save it as CSV in UTF-8"):
        append_verdict(path, Verdict("e", "0" * 64, "accept", "Ann", "2026-11-23T10:00:00+00:00"))


# --- one text in two Unicode forms ------------------------------------------------------

NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(("gold", "answer"), [(NFC, NFD), (NFD, NFC)])
def test_both_forms_of_a_text_are_the_same_answer(gold, answer):
    """A tokenizer that composes characters can write one of them alone."""
    fields = (
        Field("exact", "string"),
        Field("words", "string", "token_f1"),
        Field("bare", "string", "normalised"),
        Field("label", "enum", values=(gold, "b")),
        Field("list", "list"),
        Field("objects", "list", items=Field("item", "object", fields=(Field("x", "string"),))),
    )  # fmt: skip
    record = {
        "exact": gold, "words": gold, "bare": gold, "label": gold, "list": [gold],
        "objects": [{"x": gold}],
    }  # fmt: skip
    output = json.dumps(record, ensure_ascii=False).replace(gold, answer)
    score = score_output(output, record, fields)
    assert score.exact_match and score.schema_valid
    found = json.loads(output)
    label = fields[3]
    assert diagnose_field(label, [found], [record]).measures()["out_of_vocabulary"] == 0
    assert confusion(label, [found], [record])[gold][gold] == 1
    assert read_label(f"It is {answer}.", label) == gold


def test_both_forms_are_one_wherever_texts_are_compared():
    """Splits, conflicts, examples, neighbours, copying, and what decides a perturbed text."""
    from lora_vs_api.api.few_shot import shot_chooser
    from lora_vs_api.data.checks import conflicts, near_duplicates

    one, other = f"a {NFC} and a table", f"a {NFD} and a table"
    rows = [
        {"id": "1", "text": one, "record": {"a": NFC}},
        {"id": "2", "text": other, "record": {"a": NFD}},
    ]
    assert [row["id"] for row in first_of_each_text(rows)] == ["1"]
    with pytest.raises(UserError, match="have the same text"):
        assert_disjoint({"train": rows[:1], "test": rows[1:]})
    assert conflicts(rows) == [] and near_duplicates([one, other]) == [(0, 1)]
    assert Neighbours([f"{NFC} x", "cafe x"]).nearest(f"{NFD} y", 1) == [0]
    nearest = SimpleNamespace(examples=1, nearest_examples=True, written_examples=False)
    train = [*rows, {"id": "3", "text": "another café", "record": {"a": "b"}}]
    for asked in (one, other):
        assert [row["id"] for row in shot_chooser("c", nearest, train, 0)(asked)] == ["3"]
    assert Decisive.of({"a": NFD}, ()).spans(one) and Decisive.of({"a": NFC}, ()).spans(other)
    fields = (Field("place", "string"),)
    training = [
        {"id": f"{i}", "text": f"to {place} now", "record": {"place": place}}
        for i, place in enumerate([NFD, "Zu\u0308rich", "Oslo", "Rome"])
    ]
    assert learn("nearest_copy", training, fields).predict("to Go\u0308teborg now") == {
        "place": "Göteborg"
    }


def test_names_are_read_in_one_form(project):
    """A header typed on one machine, a config and an answer on another."""
    lora_vs_api("init", written("a.csv", *twenty(**{NFD: [NFC, NFD]})))
    params = params_of("a")
    assert list(params.task.fields) == [NFC] and params.task.fields[NFC].type == "string"
    text = Path("conf/task/a.yaml").read_text().replace(NFC, NFD)
    Path("conf/task/a.yaml").write_text(text)
    assert list(params_of("a").task.fields) == [NFC]
    assert corpus_of(params_of("a"))[1]["record"] == {NFC: NFD}
    # a label is the one of the config, or counts and tables would have two of it
    lora_vs_api("init", written("b.csv", *twenty(label=[NFC, NFD, "b"])))
    params = params_of("b")
    assert list(params.task.record_fields[0].values) == ["b", NFC]
    assert {row["record"]["label"] for row in corpus_of(params)} == {"b", NFC}


# --- labels and odd answers -------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "answer", "found"),
    [
        (["C", "C++", "C#", ".NET"], "C++", "C++"),
        (["C", "C++", "C#", ".NET"], "I would say: c#.", "C#"),
        (["C", "C++", "C#", ".NET"], "C, not C++", "C"),
        (["C", "C++", "C#", ".NET"], "Use .NET", ".NET"),
        (["C", "Java"], "Cobol", None),
        (["$10-$50", "$50-$100"], "about $50-$100", "$50-$100"),
        (["$10-$50", "$50-$100"], "$10-$500", None),
        (["billing", "billing dispute"], "This is a billing dispute.", "billing dispute"),
        (["billing", "billing dispute"], "Billing.", "billing"),
        (["billing", "billing dispute"], "billing\n dispute", "billing dispute"),
        (["1", "2"], "1.5", None),
        (["1", "2"], "2.", "2"),
        (["lost", "card_lost"], "card_lost", "card_lost"),
        (["lost"], "card_lost", None),
        (["账单", "技术"], "这是账单问题", "账单"),
        (["us", "US"], "US", "US"),
    ],
)
def test_labels_are_found_where_they_are_named(labels, answer, found):
    """The longest that stands there, whatever signs it is made of."""
    assert read_label(answer, Field("f", "enum", values=tuple(labels))) == found


def test_a_label_with_a_comma_is_one_in_the_question():
    """The base is to choose between two labels, and not between three."""
    question = classification_prompt("t", Field("f", "enum", values=("a, b", "c")))[0]["content"]
    assert question.endswith('out of: "a, b", c.')


@pytest.mark.parametrize("case", ["answer_400_digits.json", "answer_lone_surrogate.json"])
@pytest.mark.parametrize("around", ["{}", "Sure: {}", "```json\n{}\n```"])
def test_an_answer_that_no_program_can_hold_is_none(case, around):
    """Invalid, with a score of 0, and nothing that comes after it ends."""
    fields = fields_from_config({"amount": {"type": "number"}, "name": {"type": "string"}})
    gold = {"amount": 1.5, "name": "x"}
    output = around.replace("{}", (CASES / case).read_text())
    score = score_output(output, gold, fields)
    assert not score.valid_json and score.field_f1 == 0 and recover_record(output) is None


def test_huge_numbers_that_can_be_held_are_only_wrong():
    """Their distances are cut where no float could hold the sum of them."""
    (field,) = fields_from_config({"n": {"type": "number", "score": "tolerance", "tolerance": 1}})
    found = [{"n": 10**308}, {"n": -1.7e308}]
    assert score_output(json.dumps(found[0]), {"n": -1e308}, (field,)).fields == (0.0,)
    said = diagnose_field(field, found, [{"n": -(10**308)}, {"n": 1.7e308}]).measures()
    assert said["mean_distance"] == 1e300


def test_a_number_of_400_digits_is_an_answer_of_a_server():
    """It is JSON: no sign that a server does not heed the schema."""
    output = '{"amount": ' + "1" * 400 + "}"

    def odd(body: dict[str, Any]) -> dict[str, Any]:
        body["choices"][0]["message"]["content"] = output
        return body

    with FaultServer({"mail 0": [Fault("json", body=odd)]}) as server:
        [answer] = ask(server, 1, replace(CHAT, schema={"type": "object"}))
    assert answer.reply.output == output


@pytest.mark.parametrize("content", ['{"a": ' + "1" * 5000 + "}", "[" * 100_000])
def test_a_reply_that_python_cannot_read_is_no_answer(content):
    """Asked again, and then named: never the end of the run."""

    async def create(**body: Any) -> Any:
        return SimpleNamespace(content=content.encode())

    endpoint = SimpleNamespace(with_raw_response=SimpleNamespace(create=create))
    client = SimpleNamespace(chat=SimpleNamespace(completions=endpoint), base_url="http://x")
    with pytest.raises(NoAnswer, match="the answer is not valid JSON"):
        asyncio.run(attempt(client, requests(1)[0], CHAT, Provider("http://x"), 5, None))


# --- a terminal that knows ASCII alone --------------------------------------------------


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}]
)  # fmt: skip
def test_output_works_on_an_ascii_terminal(tmp_path, environment):
    """Help, records with accents and signs, and the words of a review."""
    script = (
        "import json, sys\n"
        "from lora_vs_api.cli.app import main\n"
        "from lora_vs_api.entry import run_command\n"
        "from lora_vs_api.errors import UserError\n"
        f"for command in {['', 'store', *COMMANDS]!r}:\n"
        "    arguments = [*command.split(), '--help']\n"
        "    try:\n        main(arguments)\n    except SystemExit as ended:\n        assert not ended.code\n"
        "def fails():\n"
        "    print(json.dumps({'a': '\\u00e9\\u20ac\\U0001f600'}, ensure_ascii=False), flush=True)\n"
        "    raise UserError('\\u2026 \\u2260 \\ud83d')\n"
        "run_command(fails)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
    )
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    assert done.stderr.decode("ascii").splitlines()[-1] == r"error: \u2026 \u2260 \ud83d"
    last = done.stdout.splitlines()[-1]
    assert json.loads(last.decode("ascii")) == {"a": "é€😀"}


# --- the report -------------------------------------------------------------------------


def test_the_report_tells_odd_labels_and_odd_answers(tmp_path):
    """Labels stand there as they are; answers that no file could hold are shown and stop nothing."""
    labels = ("1e3", "[1, 2, 3]", "no", "${x", "$5", "C++", "C#", ".NET", "a|b", "`b`", "<b>", "~")
    field = Field("kind", "enum", values=labels)
    odd = [
        (CASES / name).read_text()
        for name in ("answer_400_digits.json", "answer_lone_surrogate.json")
    ]
    result = report_fixture.analysis()
    for output in odd:
        result = report_fixture.changed(
            result, examples__api_zero_shot__wins__0__baseline_output=output
        )
        settings = replace(report_fixture.SETTINGS, fields=(field,))
        text = report_markdown(report_fixture.inputs(result, settings=settings))
        assert output in text
        path = tmp_path / "analysis.json"
        write_result(path, result)
        assert read_analysis(path) == result
        page = report_html(text, "report", None)
        write_text(tmp_path / "report.html", page)
        shown = unescape(re.sub(r"<[^>]+>", "", page))
        assert all(label in shown for label in labels)
