"""Further public reports: each a kind of file, server, model or setting, and what it must come to."""

from __future__ import annotations

import json
import shutil
import uuid
import zipfile
from datetime import UTC, datetime
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from lora_vs_api.api.batch_files import read_results
from lora_vs_api.api.diagnosis import diagnose
from lora_vs_api.api.pacing import retry_after
from lora_vs_api.api.replies import read_reply
from lora_vs_api.api.server_error import status_in, without_keys
from lora_vs_api.api.store import ResponseStore
from lora_vs_api.api.types import NoAnswer, Request
from lora_vs_api.cli.app import main
from lora_vs_api.cli.taught_forms import in_taught_forms
from lora_vs_api.config.compose import compose
from lora_vs_api.config.fields import fields_from_config
from lora_vs_api.data.checks import near_duplicates
from lora_vs_api.data.columns import bookkeeping
from lora_vs_api.data.formats.number_formats import padded, unit
from lora_vs_api.data.infer import infer_field
from lora_vs_api.data.source import read_source
from lora_vs_api.data.tables import load_table
from lora_vs_api.data.templates import in_template, text_reader
from lora_vs_api.data.text_column import check_filled, text_column
from lora_vs_api.errors import UserError
from lora_vs_api.record.rows import Row
from lora_vs_api.record.words import words
from lora_vs_api.scoring.scores import token_f1
from tests.batch_server import BatchServer
from tests.fault_server import Fault, FaultServer
from tests.imports import ROOT
from tests.test_api_client import CHAT, MINI, ask, requests
from tests.test_batch import ask as ask_batch
from tests.test_public_reports_8 import TEXTS, init, write

LABELS = ["refund", "shipping", "other"]


def chat(system: str, text: str, answer: str) -> dict[str, Any]:
    said = {"system": system, "user": text, "assistant": answer}
    return {"messages": [{"role": role, "content": content} for role, content in said.items()]}


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (404, {"message": "The model `x` does not exist", "code": "model_not_found"}, "; conditions.mini.model sets it"),
        ("404", {"message": "The model `x` does not exist"}, "; conditions.mini.model sets it"),
        (400, {"message": "Unsupported parameter: 'max_tokens' is not supported, use 'max_completion_tokens' instead."},
         "; conditions.mini.max_output_tokens sets it"),
        (None, {"message": "invalid schema for response_format"}, "; conditions.mini.output sets it"),
        (400, {"message": "maximum context length is 10 tokens; reduce the length of the text", "param": "messages"}, ""),
        (429, {"message": "Rate limit reached for temperature checks"}, ""),
        ("500", {"message": "model not found in cache"}, ""),
    ],
)  # fmt: skip
def test_a_line_of_a_batch_blames_what_a_live_answer_would(status, error, told):
    line = {"custom_id": "k", "response": {"status_code": status, "body": {"error": error}}}
    [(_, reason)] = read_results(json.dumps(line), "file_1", MINI)
    assert isinstance(reason, str) and reason.endswith(error["message"] + told)


def test_an_error_of_a_line_that_says_nothing_hides_no_answer_behind_it():
    empty = {"code": None, "message": None}
    body = {"error": {"message": "the reason"}}
    line = {"custom_id": "k", "error": empty, "response": {"status_code": 400, "body": body}}
    [(_, reason)] = read_results(json.dumps(line), "file_1", MINI)
    assert reason == "status 400: the reason"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"object": "error", "message": "Invalid max_tokens", "code": 400}, 400),
        ({"code": "401", "msg": "invalid key"}, 401),
        ({"object": "error", "message": "busy", "code": 40002}, None),
        ({"message": "busy"}, None),
        ({"code": 404, "choices": [{"message": {"content": "a"}}]}, None),
    ],
)
def test_a_bare_error_in_an_answer_of_status_200_has_its_status(body, status):
    """lm-sys/FastChat: {"object": "error", "code": 400} with status 200 was asked again until attempts ran out."""
    assert status_in(body) == status


def test_a_bare_error_of_a_parameter_is_asked_once_and_names_it():
    said = {"object": "error", "message": "temperature must be 1", "code": 400, "param": "temperature"}  # fmt: skip
    with (
        FaultServer({"mail 0": [Fault("json", body=lambda _: said)]}) as server,
        pytest.raises(
            UserError,
            match=r"conditions.mini.temperature: .* rejects it .400.: temperature must be 1",
        ),  # fmt: skip
    ):
        ask(server, 1, MINI)
    assert len(server.seen) == 1


def test_answers_of_a_conversation_that_are_labels_are_a_record_of_one_field(project):
    """openai-cookbook, fine-tuned classification: the assistant says "refund" and no JSON."""
    system = "Answer with the label alone."
    write(project / "a.jsonl", [chat(system, text, LABELS[n % 3]) for n, text in enumerate(TEXTS)])
    init("a.jsonl")
    assert load_table("a.jsonl").rows[1][1] == {"text": TEXTS[1], "label": "shipping"}
    assert system not in (project / "conf/task/a.yaml").read_text()


@pytest.mark.parametrize("answer", ['{"label": "refund"', "x" * 61, "two\nlines", "{}"])
def test_an_answer_that_is_no_label_leaves_the_others_what_they_are(project, answer):
    """One broken record among labels is named, and a chat in prose is no task."""
    answers = [*(LABELS * 10), answer]
    write(project / "a.jsonl", [chat("s", text, said) for text, said in zip(TEXTS, answers)])
    with pytest.raises(UserError, match="a.jsonl:1: record, the assistant's answer: expected a JSON object, found 'refund'"):  # fmt: skip
        main(["init", "a.jsonl"])


@pytest.mark.parametrize(
    ("name", "header", "row"),
    [
        ("a.csv", "email,comment,country", '"u{n}@x.org", "My kettle, number {n}, never came", "Spain"'),
        ("a.csv", "email, comment,country", 'u{n}@x.org, "My kettle, number {n}, never came",  "Spain"'),
        ("a.csv", '"email","comment","country"', '"u{n}@x.org", "My kettle, number {n}, never came", Spain'),
        ("a.tsv", "email\tcomment\tcountry", 'u{n}@x.org\t "My kettle, number {n}, never came"\t "Spain"'),
        ("a.csv", "email;comment;country", 'u{n}@x.org; "My kettle, number {n}, never came"; "Spain"'),
    ],
)  # fmt: skip
def test_a_quote_behind_a_blank_opens_a_cell(tmp_path, name, header, row):
    """JoshClose/CsvHelper#204: "123", "abc" below names without a blank kept its quotes."""
    (tmp_path / name).write_text("\n".join([header, *(row.format(n=n) for n in range(20))]) + "\n")
    table = load_table(tmp_path / name)
    assert table.rows[3][1] == {
        "email": "u3@x.org",
        "comment": "My kettle, number 3, never came",
        "country": "Spain",
    }
    assert table.notes == ["blanks behind the separators, left out"]


@pytest.mark.parametrize(
    ("row", "cell"),
    [
        ('"He said, ""no {n}"" and left",a', 'He said, "no 3" and left'),
        ('"He said, ""no"" {n}",a', 'He said, "no" 3'),
        (' "Hello" is all {n},a', ' "Hello" is all 3'),
    ],
)
def test_a_quote_behind_a_blank_within_a_text_opens_none(tmp_path, row, cell):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(row.format(n=n) + "\n" for n in range(20)))  # fmt: skip
    assert load_table(tmp_path / "a.csv").rows[3][1]["text"] == cell


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (1000, "[$-40C]00000", "01000"),
        (7, '[$-407]"D-"00000', "D-00007"),
        (501, r"[<=99999]00000;00000\-0000", "00501"),
        (5010001, r"[<=99999]00000;00000\-0000", "00501-0001"),
        (123456789, '0#" "##" "##" "##" "##', "01 23 45 67 89"),
        (42, "[>=10000]00000;0000", "0042"),
        (42, "00000_)", "00042"),
        (42, "* 00000", "00042"),
        (42, "#000", "042"),
        (42, "[Red]000", "042"),
        (1234567, "#000", "1234567"),
        (42, "##0", None),
        (42, "#,##0", None),
        (42, "[$€-407] 0000", None),
        (42, "0000.0", "0042.0"),
        (7.1, "000.0", "007.1"),
        (7.12, "000.0", None),
        (7.5, "0.00", None),
        (5551231000, "###-###-####", "555-123-1000"),
        (5551231000, "[<=9999999]###-####;(###) ###-####", "(555) 123-1000"),
        (5551231, "[<=9999999]###-####;(###) ###-####", "555-1231"),
        (1234, "# ##0", None),
        (1.5, "# #/#", None),
        (3, "0_);(0)", None),
        (1e308, "000.00", None),
        (4.5, "0000", None),
        (42, "General", None),
        (42, "yyyy", None),
    ],
)  # fmt: skip
def test_zeros_that_a_number_s_format_shows(value, form, shown):
    """PHPOffice/PhpSpreadsheet#2230 and its siblings: a place, a condition, digits that may be missing."""
    assert padded(value, form) == shown


@pytest.mark.parametrize(
    ("form", "signs"),
    [
        ('"$"#,##0.00', "$"),
        (r"\$#,##0", "$"),
        ("[$€-407] #,##0.00", "€"),
        ('#,##0.00" kg"', "kg"),
        ("$#,##0.00_);($#,##0.00)", "$"),
        ("#,##0.00", ""),
        ("General", ""),
        ("yyyy-mm-dd", ""),
        ("[$-409]0.0", ""),
        ("0.00E+00", ""),
        ("0%", ""),
    ],
)
def test_signs_that_a_number_s_format_shows(form, signs):
    assert unit(1234.5, form) == signs


def test_currencies_that_a_sheet_shows_are_said_to_be_missing(tmp_path):
    """A sum in dollars and one in euros are the same number in the file."""
    book = openpyxl.Workbook()
    book.active.append(["text", "amount", "plain"])
    for n, text in enumerate(TEXTS):
        book.active.append([text, 12.5 + n, n])
        book.active.cell(n + 2, 2).number_format = '"$"0.00' if n % 4 else "[$€-407] 0.00"
    book.save(tmp_path / "a.xlsx")
    [note] = load_table(tmp_path / "a.xlsx").notes
    assert note == "amount: shown with '$' in 30, '€' in 10 of 40 cells, read as numbers alone, such as 12.5"  # fmt: skip


@pytest.mark.parametrize(
    "around",
    [
        lambda span: [{"result": [{"type": "labels", "value": span}]}],
        lambda span: {"ner": [span], "checked": True},
        lambda span: [[span], [span]],
    ],
    ids=["a tool's results", "an object of lists", "lists of annotators"],
)
@pytest.mark.parametrize("own", [True, False])
def test_places_that_lie_deeper_become_words(tmp_path, around, own):
    """John Snow Labs' completions, and results of several annotators: the numbers of characters were taught."""
    rows = []
    for text in TEXTS:
        at = text.index("parcel")
        span = {"start": at, "end": at + 6, "labels": ["X"]} | ({"text": "parcel"} if own else {})
        rows.append({"text": text, "marked": around(span)})
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert table.rows[3][1]["marked"] == around({"labels": ["X"], "text": "parcel"})
    assert table.notes == ["marked: the words of text at the places within it, instead of the characters' numbers"]  # fmt: skip


def test_numbers_within_that_are_no_places_stay(tmp_path):
    hours = {"mon": {"from": 9, "to": 17}}
    rows = [{"text": f"{text} 我们从九点到十七点开门", "open": hours} for text in TEXTS]
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert table.rows[0][1]["open"] == hours
    assert not table.notes


@pytest.mark.parametrize("key", ["annotations", "completions", "predictions"])
def test_label_studio_s_json_is_known_by_what_stands_beside_its_data(project, key):
    rows = [{"id": n, "data": {"text": text}, key: [{"result": []}]} for n, text in enumerate(TEXTS)]  # fmt: skip
    write(project / "a.jsonl", rows)
    with pytest.raises(UserError, match="is it Label Studio's JSON"):
        main(["init", "a.jsonl"])


def test_a_variable_of_the_environment_is_pointed_to(tmp_path, monkeypatch):
    """omry/omegaconf#1015, #255: ${HOME} is another setting."""
    monkeypatch.setenv("SCRATCH", "/scratch")
    with pytest.raises(UserError, match=r"'SCRATCH' not found \(that of the environment is \$\{oc.env:SCRATCH\}\)"):  # fmt: skip
        compose(["api.limits.store=${SCRATCH}/x"])
    with pytest.raises(UserError, match=r"'SCRATCHES' not found;"):
        compose(["api.limits.store=${SCRATCHES}/x"])
    assert "/scratch/x" in compose(["api.limits.store=${oc.env:SCRATCH}/x"])


def test_a_condition_whose_name_is_misspelt_is_told_the_right_one(tmp_path):
    told = r"conditions.large_zero_shot_shema.model: missing.* \(did you mean large_zero_shot_schema\?\)"
    with pytest.raises(UserError, match=told):
        compose(["+conditions.large_zero_shot_shema.shots=3"])
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "conf" / "local.yaml").write_text(
        "conditions: {large_zero_shot_shema: {shots: 3}}\n"
    )
    with pytest.raises(UserError, match=rf"^\S*conf/local.yaml:1: {told}"):
        compose([], tmp_path / "conf")


def test_a_run_that_is_told_a_setting_says_where_it_takes_them_from(capsys):
    with pytest.raises(SystemExit):
        main(["run", "-S", "lora.r=32"])
    assert "`lora-vs-api params KEY=VALUE` first" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.csv", "a.xlsx"])
def test_an_error_in_a_cell_of_a_text_is_no_text(project, name):
    """ExcelDataReader#329: a lookup that failed was taught and asked as the text #REF!."""
    rows = [["text", "label"], *([text, LABELS[n % 3]] for n, text in enumerate(TEXTS))]
    rows[5][0] = "#REF!"
    if name == "a.csv":
        (project / name).write_text("\n".join(",".join(f'"{c}"' for c in row) for row in rows))
    else:
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(project / name)
    for options in ([], ["--text", "text"]):
        with pytest.raises(UserError, match=rf"{name}:6: text: expected a text, found an empty one"):  # fmt: skip
            main(["init", name, *options])


def test_a_sheet_that_openpyxl_cannot_read_says_its_own_cause(tmp_path):
    """tafia/calamine#724: <c t="b"><v>true</v></c> was called invalid XML."""
    book = openpyxl.Workbook()
    book.active.append(["text", True])
    book.save(tmp_path / "a.xlsx")
    with (
        zipfile.ZipFile(tmp_path / "a.xlsx") as made,
        zipfile.ZipFile(tmp_path / "b.xlsx", "w") as b,
    ):
        for name in made.namelist():
            b.writestr(name, made.read(name).replace(b't="b"><v>1<', b't="b"><v>true<'))
    with pytest.raises(UserError, match="not readable as a spreadsheet .* 'true'; save it again"):
        load_table(tmp_path / "b.xlsx")


@pytest.mark.parametrize(
    "form",
    [
        lambda s, e, words: [s, e, "PER", words],
        lambda s, e, words: ["PER", words, s, e],
        lambda s, e, words: [words, s, e, "PER"],
        lambda s, e, words: ["PER", s, e],
    ],
)
def test_spans_in_lists_may_have_their_words_and_any_order(tmp_path, form):
    """doccano#1602: [7, 12, "PER", "Alice"] was refused, and none of the advice worked."""
    rows = []
    for n, text in enumerate(TEXTS):
        at = text.index("parcel")
        rows.append({"text": text, "label": [form(at, at + 6, "parcel")] * (n % 3)})
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert table.rows[4][1]["label"] == [{"text": "parcel", "label": "PER"}]


def test_lists_with_numbers_that_are_no_places_stay(tmp_path):
    rows = [{"text": text, "size": [["width", 3, 400], ["height", 900, 2]]} for text in TEXTS]
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert table.rows[4][1]["size"] == [["width", 3, 400], ["height", 900, 2]]


def test_parquet_s_ids_of_128_bits_are_texts(tmp_path):
    """kaushiksrini/parqeye#21: a column of UUIDs made the file unreadable, whatever was left out."""
    one = uuid.UUID(int=7)
    table = pa.table({"id": pa.array([one.bytes] * 2, pa.uuid()), "text": TEXTS[:2]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert load_table(tmp_path / "a.parquet").rows[0][1]["id"] == str(one)


def dated(*days: str, name: str = "at") -> list[Row]:
    return [
        {"id": f"r{n}", "text": "t", "record": {name: day, "who": "a"}}
        for n, day in enumerate(days)
    ]


MOMENTS = dated(*(f"2026-05-{n:02}T00:{n}:00" for n in range(10, 25)))
DAYS = dated(*(f"{n}/12/2026" for n in range(10, 25)))


def test_days_of_a_second_file_are_midnights_where_the_task_has_moments(capsys):
    """googleapis/python-bigquery-pandas#365: a Parquet file all of whose moments are at midnight is read as days."""
    rows = in_taught_forms("b.parquet", dated("2026-06-01", "unknown"), MOMENTS)
    assert [row["record"]["at"] for row in rows] == ["2026-06-01T00:00:00", "unknown"]
    assert "b.parquet: at: 1 day read as midnight" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("taught", "new"),
    [
        (DAYS, dated("2026-12-01")),
        (DAYS, dated("11/12/2026", "1.2.2026")),
        (MOMENTS, dated("2026-06-01 10:00:00")),
        ([{**row, "record": {"visits": [row["record"]]}} for row in DAYS], [{**row, "record": {"visits": [row["record"]]}} for row in dated("2026-12-01")]),
    ],
)  # fmt: skip
def test_dates_of_a_second_file_in_another_form_are_refused(taught, new):
    """Every right answer would count as wrong."""
    with pytest.raises(UserError, match=r"b.csv: (visits\[\]\.)?at: 1 date or time is written otherwise than the task's, which are like "):  # fmt: skip
        in_taught_forms("b.csv", new, taught)


@pytest.mark.parametrize(
    ("taught", "new"),
    [
        (DAYS, dated("11/12/2026", "soon")),
        (DAYS[:9], dated("2026-12-01")),
        ([*DAYS, *MOMENTS], dated("1.2.2026")),
        (DAYS, dated("2026-12-01", name="other")),
        ([], dated("2026-12-01")),
    ],
)
def test_dates_of_a_second_file_stay_where_the_task_tells_no_form(taught, new):
    assert in_taught_forms("b.csv", new, taught) == new


@pytest.mark.parametrize(
    ("start", "end"),
    [("start_position", "end_position"), ("startIndex", "endIndex"), ("char_start", "char_end"), ("startPos", "endPos")],
)  # fmt: skip
def test_places_under_the_names_that_tools_give_them(tmp_path, start, end):
    """Presidio's and PolyAI's spans; where a span begins at 0, protobuf's JSON leaves the start out."""
    spans = [("please", 0, 6), ("parcel", 15, 21)]
    marked = [{start: a, end: b, "type": word[:2]} for word, a, b in spans]
    if start == "startIndex":
        del marked[0][start]
    rows = [{"text": text, "spans": marked} for text in TEXTS]
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert table.rows[0][1]["spans"] == [{"type": word[:2], "text": word} for word, *_ in spans]


def test_spans_that_cut_words_are_of_the_characters_all_the_same(tmp_path):
    """A trainer's shorthand, "6x3\' 20mins": 6, x and 20 are spans, and one lies beyond its text."""
    rows = [{"text": f"6x{n} 20mins float", "entities": [[0, 1, "SETS"], [1, 2, "X"], [4 + (n > 9), 6 + (n > 9), "TIME"]]} for n in range(30)]  # fmt: skip
    rows[20]["entities"][2] = [40, 42, "TIME"]
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert [span["text"] for span in table.rows[3][1]["entities"]] == ["6", "x", "20"]
    [note] = table.notes
    assert "1 of these begin or end where no word does" in note and "a.jsonl:21: 40 to 42" in note


@pytest.mark.parametrize(
    ("text", "span", "words"),
    [
        ("我在北京工作{n}年", [2, 4, "LOC"], "北京"),
        ("東京タワーは{n}年に建った", [0, 5, "LOC"], "東京タワー"),
        ("서울에서 {n}년 살았다", [0, 2, "LOC"], "서울"),
        ("ฉันอยู่กรุงเทพ {n} ปี", [7, 14, "LOC"], "กรุงเทพ"),
    ],
)
def test_places_in_scripts_without_blanks_are_places(tmp_path, text, span, words):
    """doccano's spans of Chinese begin and end within what looks like one word."""
    rows = [{"text": text.format(n=n), "label": [span]} for n in range(30)]
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert table.rows[0][1]["label"] == [{"text": words, "label": "LOC"}]


def test_a_session_of_yes_or_no_may_have_spans_and_scores(tmp_path):
    """A textcat.teach session of Prodigy: 410 of 500 rows were left out, and the label with them."""
    rows = [
        {"text": text, "label": "INSULT", "score": 0.5 + n / 100, "priority": 0.5, "spans": [{"start": 0, "end": 6}] * (n % 2),
         "_input_hash": n, "_task_hash": n, "answer": ("accept", "reject", "reject", "ignore")[n % 4]}
        for n, text in enumerate(TEXTS)
    ]  # fmt: skip
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert len(table.rows) == 30
    assert table.rows[1][1] == {"text": TEXTS[1], "label": "INSULT", "answer": "reject"}


def table_of(path, *lines: str):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_table(path)


def test_mechanical_turk_s_rows_lack_the_cells_that_nobody_has_filled(tmp_path):
    """pm990320/twitter-emotions: the header ends in Approve and Reject, and no row has cells for them."""
    header = (
        '"HITId","WorkerId","AssignmentStatus","Input.tweet","Answer.emotion","Approve","Reject"'
    )
    rows = [f'"H{n}","A{n}","Approved","{text}","{LABELS[n % 3]}"' for n, text in enumerate(TEXTS)]
    table = table_of(tmp_path / "a.csv", header, *rows)
    assert (
        table.rows[0][1].items()
        >= {"Input.tweet": TEXTS[0], "Answer.emotion": "refund", "Reject": ""}.items()
    )
    with pytest.raises(UserError, match="b.csv:2: expected 7 cells as in the header, found 6"):
        table_of(tmp_path / "b.csv", header, f'{rows[0]},"x"', *rows[1:])


def test_a_survey_s_line_of_kinds_of_answers_is_no_row(tmp_path):
    """Cantera/user-surveys: Open-Ended Response, Response below the questions was taught as a row."""
    rows = [f'{n},"{text}",{LABELS[n % 3]}' for n, text in enumerate(TEXTS)]
    table = table_of(tmp_path / "a.csv", "id,What?,Sure?", ",Open-Ended Response,Response", *rows)
    assert (
        len(table.rows) == len(TEXTS) and "SurveyMonkey's line below the header" in table.notes[0]
    )
    with pytest.raises(UserError, match="the line below holds names too, as SurveyMonkey writes"):
        table_of(tmp_path / "b.csv", "id,What?,Which?,", ",Open-Ended Response,Python,C", *(f"{row},x" for row in rows))  # fmt: skip


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("10000,factoid,How high is the Mount Everest of Nepal?", "'factoid' stands again in the lines below"),
        ("9999,9998,How high is the Mount Everest of Nepal?", "'How high is the Mount Everest of Nepal?' is as long"),
        ("id,kind,question", None),
        ("id,kind,What is it that you want to know?", "'What is it that you want to know?' is as long"),
    ],
)  # fmt: skip
def test_a_first_line_that_reads_like_the_rows_is_told(tmp_path, first, told):
    """brmson/dataset-factoid-curated: no header, and nothing in the first row stands again."""
    texts = [f"what do we know about the {a}{b} of this country" for a in "abcde" for b in "klmno"]
    rows = [f"{n},factoid,{text}" for n, text in enumerate(texts, 10001)]
    if first.startswith(("9999", "id")):
        rows = [f"{n},{n},{text}" for n, text in enumerate(texts, 10001)]
    notes = [note for note in table_of(tmp_path / "a.csv", first, *rows).notes if "line 1" in note]
    if first.startswith("id"):
        # among numbers a word is no row's
        assert notes == []
    else:
        assert told in notes[0]


def test_a_table_of_labels_alone_has_no_text(project):
    """cuevaio's survey: one label was taken for the text, and 497 of 500 rows repeated it."""
    rows = ["age,often,safe", *(f"{20 + n % 40},{('Daily', 'Weekly')[n % 2]},{('Very safe', 'Not safe')[n % 2]}" for n in range(60))]  # fmt: skip
    (project / "a.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(
        UserError,
        match="no column holds texts: safe, the longest, has 2 different ones in 60 rows; name it with --text",
    ):
        main(["init", "a.csv"])


def test_a_guessed_text_that_is_empty_in_some_rows_names_another(project, capsys):
    """EuropePMC's citations: advice to take good rows out, where the text is another column."""
    rows = [{"Citation": text, "PostCitation": f"{text} and much more of it" * (n % 4 > 0), "Section": LABELS[n % 3]} for n, text in enumerate(TEXTS)]  # fmt: skip
    write(project / "a.jsonl", rows)
    init("a.jsonl")
    assert "text    Citation" in capsys.readouterr().err
    write(project / "b.jsonl", [{"message": text * (n != 3), "label": LABELS[n % 3]} for n, text in enumerate(TEXTS)])  # fmt: skip
    with pytest.raises(UserError, match="b.jsonl:4: message: expected a text, found an empty one.*\nmessage was taken for the texts' column; --text names another"):  # fmt: skip
        main(["init", "b.jsonl"])
    with pytest.raises(UserError, match="take such a row out$"):
        main(["init", "b.jsonl", "--text", "message"])


@pytest.mark.parametrize(
    ("name", "typed"), [("Review Title", "{{ Review Title }}"), ("INPUT:query1", '{{ columns["INPUT:query1"] }}'), ("a-b", '{{ columns["a-b"] }}')]
)  # fmt: skip
def test_the_advice_to_join_columns_works_whatever_they_are_called(project, capsys, name, typed):
    rows = [{name: f"about {text} no {n}", "Review Text": text, "label": LABELS[n % 3]} for n, text in enumerate(TEXTS)]  # fmt: skip
    assert in_template(name) == typed
    assert text_reader(in_template(name))(rows[0]) == rows[0][name]


def test_quotations_in_a_file_without_quotes_around_cells_are_texts(tmp_path):
    """EMBEDDIA's dev.tsv: one cell that is a quotation as a whole made the file no CSV, for six rounds."""
    lines = [f'{n}\t"so" says the law of {text}' for n, text in enumerate(TEXTS)]
    lines[7] = f'7\t"{TEXTS[7]}"'
    table = table_of(tmp_path / "a.tsv", "label\ttext", *lines)
    assert table.rows[7][1]["text"] == f'"{TEXTS[7]}"' and len(table.rows) == len(TEXTS)


def test_a_file_with_bars_that_was_saved_again_with_commas_is_told(tmp_path):
    rows = [f"at number {n} we hold, and others|A.{n % 3}" for n in range(20)]
    with pytest.raises(
        UserError, match="the first name holds '|': a file with that between its cells"
    ):
        table_of(tmp_path / "a.csv", "question|code,,", *(f"{row}," for row in rows))


@pytest.mark.parametrize("options", [["--drop", "year", "--drop", "mood"], ["--drop", "year,mood"], ["--fields", "kind", "--fields", "more"]])  # fmt: skip
def test_an_option_that_is_given_twice_counts_twice(project, options):
    write(project / "a.jsonl", [{"text": text, "year": 2000 + n, "mood": "ab"[n % 2], "kind": LABELS[n % 3], "more": "xy"[n % 2]} for n, text in enumerate(TEXTS)])  # fmt: skip
    init("a.jsonl", *options)
    fields = yaml.safe_load((project / "conf/task/a.yaml").read_text())["task"]["fields"]
    assert sorted(fields) == ["kind", "more"]


def test_a_text_with_its_answer_is_neither_taken_nor_advised(project, capsys):
    """An SFT file: text is the prompt and the answer, and Alpaca has such a column, too."""
    rows = [{"text": f"### Ticket\n{text}\n### Response\n{json.dumps({'kind': LABELS[n % 3]})}", "prompt": f"### Ticket\n{text}\n### Response\n", "kind": LABELS[n % 3]} for n, text in enumerate(TEXTS)]  # fmt: skip
    write(project / "a.jsonl", rows)
    init("a.jsonl")
    said = capsys.readouterr().err
    assert "text    prompt" in said and "left out (a text with its answer, for a training)" in said
    rows = [{"instruction": "Which?", "input": text, "output": LABELS[n % 3], "text": f"### Instruction:\nWhich?\n### Input:\n{text}\n### Response:\n{LABELS[n % 3]}"} for n, text in enumerate(TEXTS)]  # fmt: skip
    write(project / "b.jsonl", rows)
    init("b.jsonl")
    said = capsys.readouterr().err
    assert "text    input" in said and "left out (a text with its answer, for a training)" in said


def test_settings_beside_a_text_are_no_record(project, capsys):
    """Vertex AI's export: ml_use in every row was the record, and the entities were not named."""
    rows = [{"textContent": text, "textSegmentAnnotations": [{"startOffset": 29, "endOffset": text.index(","), "displayName": "NO"}], "dataItemResourceLabels": {"ml_use": "training"}} for text in TEXTS]  # fmt: skip
    write(project / "a.jsonl", rows)
    init("a.jsonl")
    assert "textSegmentAnnotations list" in capsys.readouterr().err


def test_answers_of_texts_that_lie_in_files_are_no_texts(project):
    rows = [
        {"pdf_path": f"in/{n}.pdf", "gold": {"bill_to": f"Ann of the {n} mills", "total": n}}
        for n in range(40)
    ]
    write(project / "a.jsonl", rows)
    with pytest.raises(UserError, match="no column holds texts: pdf_path names files"):
        main(["init", "a.jsonl"])


def test_a_chat_in_a_list_of_lists_is_reached_by_a_template(project):
    """BFCL's question: [[{role, content}]]."""
    rows = [{"question": [[{"role": "user", "content": text}]], "kind": LABELS[n % 3]} for n, text in enumerate(TEXTS)]  # fmt: skip
    write(project / "a.jsonl", rows)
    with pytest.raises(
        UserError, match=r"that of its one turn is '(\{\{ question\[0\]\[0\].content \}\})'"
    ) as error:
        main(["init", "a.jsonl", "--text", "question"])
    init("a.jsonl", "--text", str(error.value).split("'")[-2])


def test_a_history_that_few_rows_have_is_a_column_like_others(tmp_path):
    """vyro.jsonl: 10 of 1,381 rows have one, and the first without was refused whatever was left out."""
    rows = [{"prompt": text, "tool": LABELS[n % 3]} | ({"history": [{"role": "user", "content": "hi"}]} if n > 35 else {}) for n, text in enumerate(TEXTS)]  # fmt: skip
    assert load_table(write(tmp_path / "a.jsonl", rows)).rows[0][1] == rows[0]


def test_words_beside_the_numbers_of_their_characters(tmp_path):
    """Structured sentiment's [["Rome"], ["13:17"]]: the numbers were taught as texts."""
    rows = [{"text": text, "opinions": [{"Target": [["parcel"], ["15:21"]], "Source": [[], []], "at": [["9:30"], ["x"]]}]} for text in TEXTS]  # fmt: skip
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert table.rows[0][1]["opinions"] == [
        {"Target": ["parcel"], "Source": [], "at": [["9:30"], ["x"]]}
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("two words", ["two", "words"]),
        ("北京2024年", ["北", "京", "2024", "年"]),
        ("서울에 산다", ["서울에", "산다"]),
        ("", []),
    ],
)
def test_words_of_scripts_without_blanks_are_their_characters(text, found):
    assert words(text) == found


def test_an_answer_in_chinese_that_differs_by_a_character_is_nearly_right():
    """lf_alpaca_zh.json: sentences without blanks were one word each, right or wrong as a whole."""
    assert token_f1("我在北京工作", "我在北京工作") == 1
    assert token_f1("我在上海工作", "我在北京工作") == pytest.approx(4 / 6)
    assert near_duplicates(["我在北京工作了二十年了啊", "我在北京工作了二十年了吗"]) == [(0, 1)]


@pytest.mark.parametrize(
    ("words", "tags", "found", "said"),
    [
        (["Ana", "Bo", "lives", "in", "Rome"], ["B-PER", "I-PER", "O", "O", "B-LOC"], [("Ana Bo", "PER"), ("Rome", "LOC")], "Ana Bo lives in Rome"),
        (["Ana", "Bo", "Cem"], ["I-PER", "B-PER", "O"], [("Ana", "PER"), ("Bo", "PER")], "Ana Bo Cem"),
        (["Ana", "Bo", "Rome"], ["B-PER", "E-PER", "S-LOC"], [("Ana Bo", "PER"), ("Rome", "LOC")], "Ana Bo Rome"),
        (["Ana", "Bo", "Rome"], ["U-PER", "U-PER", "O"], [("Ana", "PER"), ("Bo", "PER")], "Ana Bo Rome"),
        (["北", "京", "很", "大"], ["B-LOC", "I-LOC", "O", "O"], [("北京", "LOC")], "北京很大"),
    ],
)  # fmt: skip
def test_a_tag_for_each_word_is_entities(tmp_path, words, tags, found, said):
    """CoNLL's form, in which most corpora of entities are: the advice went in a circle from join to drop to fields."""
    rows = [{"id": n, "tokens": words, "ner_tags": tags, "pos_tags": ["X"] * len(words)} for n in range(20)]  # fmt: skip
    rows.append({"id": 20, "tokens": ["so"], "ner_tags": ["O"], "pos_tags": ["X"]})
    table = load_table(write(tmp_path / "a.jsonl", rows))
    record = [{"text": text, "label": label} for text, label in found]
    assert table.rows[3][1] == {"text": said, "id": 3, "ner_tags": record}
    assert table.notes == [
        "ner_tags: the words that the tags mark, such as B-PER and I-PER, instead of a tag for each of tokens, which are the column text",
        "pos_tags: says something of each of tokens, left out",
    ]


def test_words_that_a_template_joins_stay_words(tmp_path):
    rows = [{"tokens": ["Ana", "left"], "ner_tags": ["B-PER", "O"], "kind": "x"}] * 20
    path = write(tmp_path / "a.jsonl", rows)
    assert load_table(path, text='{{ tokens | join(" ") }}').rows[0][1] == rows[0]


def test_a_text_beside_its_words_stays_the_text(tmp_path):
    rows = [{"text": text, "tokens": text.split(), "tags": ["B-X"] + ["O"] * (len(text.split()) - 1)} for text in TEXTS]  # fmt: skip
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert table.rows[0][1] == {"text": TEXTS[0], "tags": [{"text": "please", "label": "X"}]}


@pytest.mark.parametrize("path", ["user.location", "output.name"])
def test_an_empty_text_in_a_record_is_none_where_it_may_be(project, path):
    """tweets_vis.json: init refused its own guess, or taught "" where it told null."""
    holder, name = path.split(".")
    rows = [{"text": text, holder: {name: LABELS[n % 3] * (n % 4 > 0), "at": n}} for n, text in enumerate(TEXTS)]  # fmt: skip
    write(project / "a.jsonl", rows)
    init("a.jsonl")
    fields = fields_from_config(yaml.safe_load((project / "conf/task/a.yaml").read_text())["task"]["fields"])  # fmt: skip
    [row, *_] = read_source("a.jsonl", fields, "text", holder, None)
    assert row["record"] == {name: None, "at": 0}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        # a Jira export
        ([{"Issue key": f"A-{n}", "Summary": text, "Reporter": ("Ann Lee", "Bo Cai", "Cem Dur")[n % 3], "Updated": f"{n % 28 + 1}/Feb/26 3:35 PM"} for n, text in enumerate(TEXTS)], "Summary"),
        ([{"Review Date": "a month ago", "Review Text": text * (n % 20 > 0), "Stars": n % 5} for n, text in enumerate(TEXTS)], "Review Text"),
        ([{"Block": ("Project Management and Soft Skills", "Data Engineering of Platforms")[n % 2], "Skill": f"skill {chr(97 + n)}"} for n in range(26)], "Skill"),
        ([{"user_name": f"Ann Lee {n}", "text": text, "lang": "en"} for n, text in enumerate(TEXTS)], "text"),
    ],
)  # fmt: skip
def test_names_dates_and_labels_are_no_texts_beside_one(rows, text):
    assert text_column(rows) == text


def test_a_text_of_a_word_is_found_beside_labels_of_several():
    """Competencies of 50 kinds in 10 blocks."""
    rows = [{"Skill": f"{chr(97 + n % 26)}{chr(97 + n // 26)}ing", "Block": f"The block of number {n % 5}"} for n in range(60)]  # fmt: skip
    assert text_column(rows) == "Skill"
    for name, cell in (("PROLIFIC_PID", "{}x"), ("LastName", "{}"), ("code", "{}7")):
        with pytest.raises(UserError, match="no column holds texts: Block, the longest"):
            text_column([{name: cell.format(row["Skill"]), "Block": row["Block"]} for row in rows])


def test_a_column_that_many_rows_lack_is_no_text():
    """1,590 lines told to take 1,590 rows out."""
    rows = [{"notes": text * (n % 3 > 0), "label": LABELS[n % 3]} for n, text in enumerate(TEXTS)]
    with pytest.raises(UserError, match="notes, which seems to hold the texts, has one in 26 of 40 rows; take the others out, or name"):  # fmt: skip
        check_filled("notes", rows)
    check_filled("label", rows)


@pytest.mark.parametrize(
    ("name", "out"), [("Ticket #", True), ("#", True), ("id_str", True), ("reference", False)]
)
def test_numbers_of_rows_are_left_out_and_sentences_called_so_are_not(name, out):
    rows = [{"text": text, name: f"{7000 + 3 * n}" if out else f"it says that {n} is due"} for n, text in enumerate(TEXTS)]  # fmt: skip
    assert (name in bookkeeping(rows, [name], "text")) is out


def test_a_column_that_stands_twice_names_all_of_them(tmp_path):
    rows = [f"t {n},a{n},b{n},c{n},d{n}" for n in range(20)]
    with pytest.raises(UserError, match="expected no column name twice, found 'Log', 'Note'; give each a name of its own"):  # fmt: skip
        table_of(tmp_path / "a.csv", "text,Log,Note,Log,Note", *rows)
    with pytest.raises(UserError, match="what seems to be a row: 'E' stands again"):
        table_of(tmp_path / "b.csv", "t 99,E,E,d", *(f"t {n},{'EF'[n % 2]},{'EG'[n % 2]},d" for n in range(20)))  # fmt: skip


def test_a_line_of_groups_above_the_header_is_told(tmp_path):
    rows = [f"{text.replace(',', '')},{LABELS[n % 3]},{n}" for n, text in enumerate(TEXTS)]
    with pytest.raises(UserError, match="the header seems to be the line below 'Human screened'"):
        table_of(tmp_path / "a.csv", ",Human screened,", "Title,Label,Number", *rows)


def test_letters_that_were_lost_before_are_said(tmp_path):
    table = table_of(
        tmp_path / "a.csv", "text,label", *(f"We\ufffdll look at {n},a" for n in range(20))
    )
    assert any("in place of letters that a program could not read, in cells of text (20)" in n for n in table.notes)  # fmt: skip


def test_a_file_without_labels_is_called_one(project):
    """--fields text taught the text as its own record."""
    write(project / "a.jsonl", [{"text": text} for text in TEXTS])
    with pytest.raises(
        UserError, match="expected labels beside the text, found no column but text"
    ):
        main(["init", "a.jsonl"])
    with pytest.raises(UserError, match="--fields: text is the text itself"):
        main(["init", "a.jsonl", "--fields", "text"])


def test_a_text_that_is_no_text_is_named_with_its_row(project):
    rows = [{"sents": [text.split(), ["again"]], "label": LABELS[n % 3]} for n, text in enumerate(TEXTS)]  # fmt: skip
    write(project / "a.jsonl", rows)
    with pytest.raises(UserError, match=r"a.jsonl:1: sents: expected a text, .*; its sentences are one text by '(.*)'") as error:  # fmt: skip
        main(["init", "a.jsonl", "--text", "sents"])
    init("a.jsonl", "--text", str(error.value).split("'")[-2])
    # an address that is a number alone is one
    assert text_reader("address")({"address": 130}) == "130"


def test_several_labels_in_a_cell_of_json_are_asked_about(project, capsys):
    rows = [{"text": text, "kind": ("a", "b", "a,b")[n % 3]} for n, text in enumerate(TEXTS)]
    write(project / "a.jsonl", rows)
    init("a.jsonl")
    assert "are there several with ',' between them? then write them as a list" in capsys.readouterr().err  # fmt: skip


def test_a_field_with_an_odd_blank_in_its_name_is_found_in_a_table(tmp_path):
    """Of a task that was made of JSON; the columns of a table have plain blanks."""
    fields = fields_from_config({"due\u00a0day": {"type": "string"}})
    for name, rows in (
        ("a.csv", "text,due\u00a0day\nhello you,may\n"),
        ("b.jsonl", '{"text": "hello you", "due\u00a0day": "may", "due day": "june"}\n'),
    ):
        (tmp_path / name).write_text(rows, encoding="utf-8")
        [row] = read_source(tmp_path / name, fields, "text", None, None)
        assert row["record"] == {"due\u00a0day": "may"}


def test_years_in_a_long_text_are_no_places(tmp_path):
    """A curriculum vitae in Chinese, where any number is at the edge of a word."""
    jobs = [{"start": 2019, "end": 2021, "company": "甲"}]
    rows = [{"text": "我在公司工作" * 400, "jobs": jobs, "kind": LABELS[n % 3]} for n in range(20)]
    assert load_table(write(tmp_path / "a.jsonl", rows)).rows[0][1]["jobs"] == jobs


def test_lists_that_look_like_tags_and_mark_nothing_stay(tmp_path):
    rows = [{"text": text, "vitamins": ["B-12", "E-6"], "doses": ["two", "one"]} for text in TEXTS]
    assert load_table(write(tmp_path / "a.jsonl", rows)).rows[0][1] == rows[0]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("This API key has expired on 2026-01-01", "This API key has expired on 2026-01-01"),
        ("Incorrect API key provided: sk-proj-abc12***wxyz. You can find it", "Incorrect API key provided: … You can find it"),
        ("Invalid key gsk_abcDEF123", "Invalid key …"),
        ("token 0123456789abcdef0123456789abcdef0 is unknown", "token … is unknown"),
        ("You must be a member of an organization", "You must be a member of an organization"),
    ],
)  # fmt: skip
def test_a_key_that_is_rejected_says_why_and_shows_nothing_of_it(said, shown):
    """theopenco/llmgateway#2532: of a limit that was reached no more was told than that the key is not valid."""
    assert without_keys(said) == shown
    told = diagnose(401, {"error": True, "message": said}, {}, Request("r", []), MINI, "http://h/v1")  # fmt: skip
    assert shown in str(told) and "api.limits.key_env" in str(told)


def test_a_limit_of_a_key_is_no_wrong_key():
    said = {"error": True, "status": 401, "message": "Unauthorized: API key reached its usage limit."}  # fmt: skip
    assert "quota at http://h/v1 is used up" in str(
        diagnose(401, said, {}, Request("r", []), MINI, "http://h/v1")
    )
    assert status_in(said) == 401
    with pytest.raises(NoAnswer, match="key over limit"):
        read_reply({"error": "Unauthorized", "message": "key over limit"}, CHAT)


@pytest.mark.parametrize("unit", [1, 1000])
def test_a_wait_that_is_a_moment_is_one(unit):
    """cloudfoundry/cloud_controller_ng#2544: Retry-After since 1970 was a wait of 57 years."""
    now = datetime(2026, 11, 27, tzinfo=UTC)
    value = (now.timestamp() + 3) * unit
    assert retry_after({"retry-after": f"{value:.0f}"}, now) == pytest.approx(3)
    assert retry_after({"retry-after": "3"}, now) == 3


@pytest.mark.parametrize("status", [400, 403, 410])
def test_results_that_are_gone_are_asked_anew_at_last(tmp_path, status):
    """doublewordai/control-layer#1741: each run met the same 410, and the batch stayed open for good."""
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        gone = [(status, "The output file of this batch has been deleted")] * 2
        server.refused = {"GET /v1/files/batch_1_output_file_id/content": list(gone)}
        for told in ("not known at http.* has been deleted.*try 1 of 2", "2 of 2 requests got no answer.*not known"):  # fmt: skip
            with pytest.raises(UserError, match=told):
                ask_batch(server.url, store, requests(2), max_attempts=2)
        assert len(ask_batch(server.url, store, requests(2), max_attempts=2)[0]) == 2


def test_columns_are_told_by_what_they_hold(project):
    """tresorone's export: in a table every column was called one of words, and the list ended in the middle of a name."""
    names = [f"Spalte {n}" for n in range(25)]
    rows = [",".join(["Name", *names]), *(",".join([("Kauf Aktie", "Verkauf Aktie", "")[n % 3], *(f"{n},5"[:2].replace(",", "") for _ in names)]) for n in range(60))]  # fmt: skip
    (project / "a.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(UserError) as error:
        main(["init", "a.csv"])
    assert "Name, the longest, has 2 different ones in 60 rows" in str(error.value)
    assert "there are Name (words), Spalte 0 (numbers)," in str(error.value)
    assert str(error.value).endswith("Spalte 18 (numbers) and 6 more")


@pytest.mark.parametrize("widest", [True, False])
def test_rows_of_several_widths_without_a_header_are_told_so(tmp_path, widest):
    """IBM's classification files: text,label1,label2 and no header; a cell was blamed that held no separator."""
    rows = [f"Example number {n} of the file,hot" + ",dry" * ((n % 3 == 0) is widest) for n in range(40)]  # fmt: skip
    with pytest.raises(UserError, match="of line 1 stands again below: is that line a row. then put a line with names above it"):  # fmt: skip
        table_of(tmp_path / "a.csv", *rows)


def test_short_rows_below_a_header_need_their_separators(tmp_path):
    """Where many are short none of them was broken in two."""
    rows = [f"Example number {n} of the file,hot" + ",dry" * (n % 3 == 0) for n in range(40)]
    with pytest.raises(UserError, match="b.csv:3: .*an empty cell needs its separator"):
        table_of(tmp_path / "b.csv", "text,first,second", *rows)


@pytest.mark.parametrize("cell", ["1,00,001.00", "₹1,00,001.00", "Rs 10,000.00", "12,34,567"])
def test_numbers_as_india_writes_them_are_said_to_be_texts(cell):
    found = infer_field("total", [cell.replace("1", str(n % 9 + 1), 1) for n in range(30)], "cells")
    assert "no numbers, since" in found.why


def test_a_folder_of_spark_s_parts_is_called_one(project):
    """databricks/koalas#111: init took it for a folder of save_to_disk."""
    (project / "a.parquet").mkdir()
    (project / "a.parquet" / "part-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="a.parquet: is a folder, as Spark writes one"):
        main(["init", "a.parquet"])
