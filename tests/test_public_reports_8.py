"""Further public reports: each a kind of file, server, model or setting, and what it must come to."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from lora_vs_api.api.batch_files import read_results
from lora_vs_api.api.diagnosis import diagnose
from lora_vs_api.api.store import ResponseStore
from lora_vs_api.cli import checkup
from lora_vs_api.cli.app import main
from lora_vs_api.cli.local_model import unserved_reason
from lora_vs_api.config.compose import compose
from lora_vs_api.config.explain import explain
from lora_vs_api.config.fields import fields_from_config
from lora_vs_api.config.sections import Params, PathWeights
from lora_vs_api.data.infer import infer_field
from lora_vs_api.data.source import read_source
from lora_vs_api.data.tables import load_table
from lora_vs_api.data.templates import check_template, text_reader, used_columns
from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate import lockfile
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.serving.served import Served
from lora_vs_api.shown import plain_number
from lora_vs_api.validation.records import problems
from lora_vs_api.weights.fetch import fetch_base
from tests.batch_server import BatchServer
from tests.fault_server import Fault, FaultServer
from tests.imports import ROOT
from tests.test_api_client import CHAT, MINI, ask, requests
from tests.test_batch import ask as ask_batch
from tests.tiny_model import build_tiny_model

TEXTS = [f"please look at parcel number {n}, which came late" for n in range(40)]


def init(*arguments: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["init", *arguments])
    assert not end.value.code


def write(path, rows: list[dict[str, Any]]):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        mark = "\t" if path.suffix == ".tsv" else ","
        lines = [mark.join(rows[0]), *(mark.join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["lora.r = 32"], "'lora.r = 32': expected lora.r=32"),
        (["lora.r", "=", "32"], "'lora.r = 32': expected lora.r=32"),
        (["lora.r=", "32"], "'lora.r= 32': expected lora.r=32"),
        (["lora.r==32"], "'lora.r==32': expected lora.r=32"),
        (["lora.r:", "32"], "'lora.r: 32': expected lora.r=32"),
        (["lora.dropout:0.1"], "'lora.dropout:0.1': expected lora.dropout=0.1"),
        (["lora.r=32,"], "'lora.r=32,': expected lora.r=32"),
        (["task_title=Tickets, 2024,"], "expected quotes around such a value: 'task_title=\"Tickets, 2024,\"'"),
        (["train.warmup_ratio=0,5"], "found 0,5 (a decimal point is train.warmup_ratio=0.5)"),
        (["lora.r=8,16"], "found 8,16; a run for each"),
        (["'lora.r=32'"], "the quotes around it arrived with it; expected lora.r=32"),
    ],
)  # fmt: skip
def test_a_setting_that_is_typed_as_elsewhere_is_written_out(typed, told):
    """Python's ==, YAML's colon, a comma at the end, blanks around the sign, a decimal comma."""
    with pytest.raises(UserError) as caught:
        compose(typed)
    assert told in str(caught.value)


LABELS = {"type": "enum", "values": ["Black", "Red"]}


@pytest.mark.parametrize(
    ("spec", "given", "meant"),
    [
        (LABELS, " Black", "Black"),
        ({"type": "object", "fields": {"colour": LABELS}}, {"colour": "\u00a0Red "}, {"colour": "Red"}),
        ({"type": "list", "items": LABELS}, ["Black ", " Red"], ["Black", "Red"]),
        ({"type": "list"}, [" Black", "Red\u200b"], ["Black", "Red"]),
        ({"type": "string"}, "ACME GmbH ", "ACME GmbH"),
        ({"type": "string"}, "  if x:\n    y", "  if x:\n    y"),
        ({"type": "enum", "values": [" a", "b"]}, " a", " a"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("record", [None, "record"])
def test_blanks_around_a_text_or_label_are_left_out_wherever_it_stands(tmp_path, spec, given, meant, record):  # fmt: skip
    """hechmik/amazon_reviews: " Black" within an object; whoever answers Black would be wrong."""
    values = {"f": given}
    rows = [{"text": text, **({"record": values} if record else values)} for text in TEXTS[:2]]
    path = write(tmp_path / "a.jsonl", rows)
    found = read_source(path, fields_from_config({"f": spec}), "text", record, None)
    assert [row["record"] for row in found] == [{"f": meant}] * 2


def test_labels_within_objects_are_inferred_without_their_blanks():
    inferred = infer_field("style", [{"colour": f" {'Black' if n % 2 else 'Red'}"} for n in range(40)], "json")  # fmt: skip
    assert inferred.spec["fields"]["colour"]["values"] == ["Black", "Red"]
    assert "40 with blanks around the text" in infer_field("name", [f"name {n} " for n in range(40)]).why  # fmt: skip


@pytest.mark.parametrize("who", ["speaker", "role"])
@pytest.mark.parametrize(("column", "said"), [("turns", "utterance"), ("dialogue", "sentence")])
def test_a_dialogue_with_a_system_is_all_of_it_the_text(tmp_path, column, who, said):
    """google-research's Schema-Guided Dialogue: no system prompt, but the other party."""
    turns = [
        {who: "USER", said: "a table for two"},
        {who: "SYSTEM", said: "where?"},
        {who: "USER", said: "in Ulm"},
        {who: "SYSTEM", said: "done"},
    ]
    rows = [{column: turns, "intent": "abc"[n % 3]} for n in range(30)]
    table = load_table(write(tmp_path / "a.jsonl", rows))
    text = "user: a table for two\nsystem: where?\nuser: in Ulm\nsystem: done"
    assert table.rows[0][1] == {"text": text, "intent": "a"}
    # before all others it is a prompt still
    told = [{who: "system", said: "be kind"}, *turns[:1]]
    table = load_table(write(tmp_path / "b.jsonl", [{column: told, "intent": "a"}] * 30))
    assert table.instruction == "be kind" and table.rows[0][1]["text"] == "a table for two"


@pytest.mark.parametrize("column", ["turns", "log", "messages"])
def test_a_list_of_other_things_is_no_conversation(tmp_path, column):
    """Nobody says anything there; and no option got past what was said of it."""
    things = [{"type": "left", "angle": 3}, {"type": "user", "note": "x"}]
    rows = [{"text": text, column: things} for text in TEXTS]
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert table.rows[0][1] == {"text": TEXTS[0], column: things} and not table.conversations


def test_a_number_that_looks_like_a_label_is_told_from_it():
    """A second file holds numbers where labels are numerals: "expected one of 0, 1, found 0" helps nobody."""
    (field,) = fields_from_config({"label": {"type": "enum", "values": ["0", "1"], "optional": True}})  # fmt: skip
    assert problems(0, field) == ["label: expected one of the texts '0', '1' or null, found 0"]
    assert problems("0", field) == [] and problems(None, field) == []
    assert problems("2", field) == ["label: expected one of 0, 1 or null, found '2'"]


def test_a_text_with_several_answers_is_said(capsys, project):
    """Three people labelled each text: of these the run takes the first."""
    rows = [
        {"text": text, "label": "bad" if who == 0 else "good", "annotator": f"w{who}"}
        for text in TEXTS
        for who in range(3)
    ]
    write(project / "a.jsonl", rows)
    init("a.jsonl")
    told = capsys.readouterr().err
    assert (
        "80 rows repeat the text of another: of each text its first row alone is used; 40 texts have rows with "
        "different records: if several people labelled them, write one record a text" in told
    )
    # what is not taught is not shown as taught
    shown = [line for line in told.splitlines() if line.startswith("Row ")]
    assert [line.split(" of ")[0] for line in shown] == ["Row 1", "Row 4"]
    write(project / "b.jsonl", [rows[3 * n + n % 2] for n in range(len(TEXTS))])
    init("b.jsonl")
    assert "repeat" not in capsys.readouterr().err


def test_toloka_s_results_are_what_was_asked_and_answered(tmp_path):
    """Without the answers that were rejected, which would be taught where they come first."""
    rows = [
        {
            "INPUT:text": text.replace(",", ";"),
            "OUTPUT:result": "bad" if who == 0 else "good",
            "GOLDEN:result": "",
            "ASSIGNMENT:assignment_id": f"a{who}",
            "ASSIGNMENT:worker_id": f"w{who}",
            "ASSIGNMENT:status": ["REJECTED", "APPROVED"][who],
        }
        for text in TEXTS
        for who in range(2)
    ]
    table = load_table(write(tmp_path / "a.tsv", rows))
    assert {row["OUTPUT:result"] for _, row in table.rows} == {"good"}
    assert set(table.rows[0][1]) == {"INPUT:text", "OUTPUT:result"} and len(table.rows) == 40
    assert "4 columns about task and worker: Toloka's own, left out" in table.notes
    assert "40 answers that were rejected, left out" in table.notes


@pytest.mark.parametrize(("both", "mark"), [("late#dear", "#"), ("<late><dear>", "><")])
def test_other_marks_between_labels_are_asked_about(tmp_path, capsys, both, mark):
    """doccano writes label1#label2, Stack Overflow <tag1><tag2>."""
    one = "<{}>" if mark == "><" else "{}"
    cells = [one.format("late"), one.format("dear"), both]
    why = infer_field("label", cells * 10, "cells").why
    assert f"are there several with {mark!r} between them?" in why
    path = write(tmp_path / "a.csv", [{"text": f"parcel {n}", "label": cells[n % 3]} for n in range(9)])  # fmt: skip
    read_source(path, fields_from_config({"label": {"type": "list"}}), "text", None, None)
    assert "is read as a list of one" in capsys.readouterr().err
    assert "are there several" not in infer_field("label", ["C#", "F#", "C"] * 10, "cells").why


def test_a_long_record_is_shown_with_all_its_keys(capsys, project):
    rows = [
        {"text": text, "note": f"{n} " + "word " * 100 + "end", "tags": [f"t{i}" for i in range(29)] + [f"u{n}"], "kind": "ab"[n % 2]}
        for n, text in enumerate(TEXTS)
    ]  # fmt: skip
    write(project / "a.jsonl", rows)
    init("a.jsonl", "--text", "text")
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("  record  {"))  # fmt: skip
    shown = json.loads(line.removeprefix("  record  "))
    assert shown["kind"] == "a" and shown["note"].endswith("end") and "[...]" in shown["note"]
    assert shown["tags"][:3] == ["t0", "t1", "t2"] and shown["tags"][3] == "[... 27 more ...]"


def test_dates_among_texts_of_a_sheet_are_said(tmp_path):
    """Aternus/csv-to-xlsx#13: part numbers such as 1-2 that Excel has made days of."""
    book = openpyxl.Workbook()
    book.active.append(["text", "part", "day"])
    for n, text in enumerate(TEXTS):
        part = date(2024, 1, n + 1) if n < 3 else f"{n}-77"
        book.active.append([text, part, date(2024, 1, 1)])
    book.save(tmp_path / "a.xlsx")
    [note] = load_table(tmp_path / "a.xlsx").notes
    assert note == (
        "part: 3 cells are dates, such as 2024-01-01, and 37 are texts, such as '3-77': were the dates texts before a "
        "spreadsheet took them for days?"
    )


@pytest.mark.parametrize(
    ("parameter", "told"),
    [
        ("temperature", "; conditions.mini.temperature sets it"),
        ("max_tokens", "; conditions.mini.max_output_tokens sets it"),
        (None, ""),
        ("messages", ""),
    ],
)
def test_a_line_of_a_batch_that_is_refused_names_the_setting(parameter, told):
    """As a live answer does: in a batch of thousands each line says no more than what the server has."""
    error = {"message": "Unsupported value", "param": parameter, "code": "unsupported_value"}
    line = {"custom_id": "k", "response": {"status_code": 400, "body": {"error": error}}}
    [(_, reason)] = read_results(json.dumps(line), "file_1", MINI)
    assert reason == f"status 400: Unsupported value{told}"


def test_moments_of_spark_in_other_centuries_are_themselves(tmp_path):
    """apache/datafusion#1359: its 96 bits in nanoseconds wrap round, and 9999-12-31 becomes 1816-03-29."""
    ends = [datetime(year, 12, 31) for year in (9999, 723, 2024)]  # noqa: DTZ001
    table = pa.table({"text": TEXTS[:3], "ends": pa.array(ends, pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    found = [row["ends"] for _, row in load_table(tmp_path / "a.parquet").rows]
    assert found == ["9999-12-31", "0723-12-31", "2024-12-31"]


def test_labels_are_no_texts_beside_lists_of_words(project):
    """wasiahmad/GATE#2, TACRED's rows: the words are the text."""
    labels = ["per:title of person", "no relation", "org:founded by person"]
    rows = [{"relation": labels[n % 3], "token": text.split()} for n, text in enumerate(TEXTS)]
    write(project / "a.jsonl", rows)
    with pytest.raises(UserError, match=r"""the column token holds lists of texts.*--text '\{\{ token \| join\(" "\) \}\}' makes one"""):  # fmt: skip
        main(["init", "a.jsonl"])
    init("a.jsonl", "--text", '{{ token | join(" ") }}')


def test_tags_of_words_in_one_text_are_none_of_the_text(project):
    """appvision-ai/fast-bert#274: "O O B-MISC"; as lists they are refused, as one text they were scored by words."""
    rows = [{"text": f"{text}{' now' * (n % 4)}", "labels": "O O O B-MISC O O O O O" + " O" * (n % 4)} for n, text in enumerate(TEXTS)]  # fmt: skip
    write(project / "a.jsonl", rows)
    with pytest.raises(UserError, match="labels: says something of each word of the text, whose order"):  # fmt: skip
        main(["init", "a.jsonl"])


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_rows_that_a_quote_may_have_taken_in_are_said(tmp_path, name):
    """Tariq60/LIAR-PLUS#3: one text begins with a quote, a later one ends with one; no label tells."""
    mark = "\t" if name.endswith("tsv") else ","
    rows = [[text.replace(",", ""), f"It went {n} times well"] for n, text in enumerate(TEXTS)]
    rows[10][0], rows[14][0] = f'"{rows[10][0]}', f'{rows[14][0]}"'
    path = tmp_path / name
    path.write_text("".join(mark.join(row) + "\n" for row in [["question", "answer"], *rows]))
    table = load_table(path)
    if mark == "\t":
        assert [list(row.values()) for _, row in table.rows] == rows
        assert any("quotes are read as part of the text" in note for note in table.notes)
    else:
        assert any(note.startswith("lines 12 to 16 are one row") for note in table.notes)
    # a letter's commas are none of its rows
    path.write_text('question,answer\n"Dear Ann,\nhow are you?",a\n"Hello\nyou, there",b\n')
    assert not load_table(path).notes if mark == "," else True


def test_a_quote_that_stays_open_is_said_to(tmp_path):
    """And which line keeps a file with tabs from being read without such quotes."""
    (tmp_path / "a.csv").write_text("text,label\n" + 'x,"a\n' + "y,b\n" * 20)
    with pytest.raises(UserError, match=r"a\.csv:2: not valid CSV: a quote opens a cell that no other closes"):  # fmt: skip
        load_table(tmp_path / "a.csv")
    (tmp_path / "a.tsv").write_text("text\tlabel\n" + '"x\ta\n' + "y\tb\n" * 20 + "z\n")
    with pytest.raises(UserError, match=r"if no quote encloses a cell here, line 23 is at fault, with 1 cells? instead of 2"):  # fmt: skip
        load_table(tmp_path / "a.tsv")


def test_a_column_that_counts_the_rows_is_no_field(project, capsys):
    """Whatever it is called."""
    rows = [{"text": text.replace("number", "no"), "SNo": n + 1, "kind": "ab"[n % 2]} for n, text in enumerate(TEXTS)]  # fmt: skip
    rows[0]["text"] = "please look at it"
    for row in rows:
        row["text"] = row["text"].split(" no ")[0]
    write(project / "a.jsonl", rows)
    init("a.jsonl")
    assert "SNo                    left out (counts the rows" in capsys.readouterr().err


def test_a_key_of_another_section_is_hinted_at():
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    raw["train"]["learning_rate"] = 1e-4
    with pytest.raises(ValidationError) as error:
        Params.model_validate(raw)
    assert "train.learning_rate: unknown key (did you mean sanity.learning_rate or lora.learning_rate?" in explain(error.value, raw)  # fmt: skip


def test_files_of_a_batch_that_are_told_late_are_fetched(tmp_path):
    """openai/openai-cookbook#1564: completed, and no output_file_id yet."""
    hidden = {}

    def late(event):
        batch = server.batches.get("batch_1", {})
        if event == "GET /v1/batches/batch_1" and server.events.count(event) == 1:
            hidden["file"] = batch.pop("output_file_id")
        elif event == "GET /v1/batches/batch_1":
            batch["output_file_id"] = hidden["file"]

    with BatchServer(on_event=late) as server, ResponseStore(tmp_path / "s") as store:
        answers, _ = ask_batch(server.url, store, requests(3))
        assert len(answers) == 3 and len(server.batches) == 1


def test_a_model_without_its_output_layer_is_called_so(tmp_path):
    """QwenLM/Qwen3-VL-Embedding#89: its published files are whole, and fetching them again brings the same ones."""
    folder = tmp_path / "model"
    build_tiny_model(folder)
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path / "bare")
    shutil.copytree(
        folder,
        tmp_path / "bare",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("*.safetensors"),
    )
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": False}
    (tmp_path / "bare" / "config.json").write_text(json.dumps(config))
    fetch = partial(fetch_base, PathWeights(source="path", path=str(tmp_path / "bare")), tmp_path / "out", disk_gb=0.001)  # fmt: skip
    with pytest.raises(UserError, match="such as lm_head.weight; without an output layer no text can be written"):  # fmt: skip
        fetch()
    config["tie_word_embeddings"] = True
    (tmp_path / "bare" / "config.json").write_text(json.dumps(config))
    fetch()


@pytest.mark.parametrize("filled", ["all", "one"])
@pytest.mark.parametrize("within", [False, True])
def test_rows_by_their_key_that_hold_lists_are_called_so(tmp_path, filled, within):
    """huggingface/datasets#1716, HateXplain: of one post that had a list, its items became the rows."""
    spans = [{"text": "Ann Lee", "label": "P"}, {"text": "Kurt Weil", "label": "P"}]
    rows = {f"{n}_gab": {"text": text, "spans": spans if filled == "all" or n == 3 else []} for n, text in enumerate(TEXTS)}  # fmt: skip
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"version": "1", "data": rows} if within else rows))
    with pytest.raises(UserError, match="found one object; are these rows by their key[?] then make a list of its values"):  # fmt: skip
        load_table(path)
    # lists by their name are none of it
    path.write_text(json.dumps({"meta": {"about": "all of the texts", "tags": []}, "rows": [{"text": text, "k": "a"} for text in TEXTS]}))  # fmt: skip
    assert len(load_table(path).rows) == len(TEXTS)


def test_columns_whose_names_are_no_words_can_be_joined(project):
    """castorini/data#29: "#1 String" and "#2 String"; and a spreadsheet's names have blanks."""
    row = {"Review Title": "T", "#1 String": "S", "reviews.title": "R", "ok": "k", "order": {"items": "two", "note": None}}  # fmt: skip
    for text, said in (
        ("{{ Review Title }}: {{ #1 String | lower }}", "T: s"),
        ("{{ columns['reviews.title'] }} {{ ok }}", "R k"),
        ("{% if ok %}{{ Review Title }}{% endif %}", "T"),
        # Python's dict has items, too
        ("{{ order.items }}{{ order.note }}", "two"),
        ("{% for name in order.keys() %}{{ name }} {% endfor %}", "items note "),
    ):
        assert text_reader(text)(row) == said
    assert used_columns("{{ Review Title }} {{ columns['a b'].c }}") == {"Review Title": {""}, "a b": {"c"}}  # fmt: skip
    for text, said in (
        ("{{ reviews.title }}", r"""'reviews' is undefined \(did you mean \{\{ columns\["reviews.title"\] \}\}\?\)"""),
        ("{{ okk }}", r"did you mean \{\{ ok \}\}"),
        ("{{ ok.title }}", "expected a value, found title, which is a method of Python's"),
        ('{{ "Review Title" }}', "expected a template that names a column"),
        ("{{ order.nte }}", "has no attribute 'nte'"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=said):
            check_template(text, [("a.csv:2", row)])


@pytest.mark.parametrize(
    "answer",
    [
        '<|channel|>final <|constrain|>json<|message|>{"a": 1}',
        '<|channel|>analysis<|message|>maybe {"a": 2}<|end|><|start|>assistant<|channel|>final<|constrain|>JSON<|message|>{"a": 1}<|return|>',
        '<|channel|>final<|message|>{"a": 1}<|return|>',
        '{"a": 1}<|im_end|>\n',
        '<think>so</think>{"a": 1}</s>',
    ],
)  # fmt: skip
def test_what_ends_a_turn_is_no_part_of_an_answer(answer):
    """vllm-project/vllm#23694: gpt-oss's own marks, and those that servers leave behind."""
    assert parse_record(answer) == {"a": 1}
    assert parse_record(f"{answer} ok") is None
    assert parse_record('{"a": "</s>"}') == {"a": "</s>"}
    assert parse_record("<|channel|>analysis<|message|>only<|end|>") is None


@pytest.mark.parametrize(
    ("own", "typed", "told"),
    [
        ("profile: quick\n", [], "conf/local.yaml:1: profile: no setting, but a choice; a file of conf/profile/ is chosen under defaults: - override /profile: NAME"),
        ("profile_name: quick\n", [], "conf/local.yaml:1: profile_name: is a label of what is chosen, and chooses nothing; expected - override /profile: quick under defaults"),
        ("", ["profile_name=quick"], "profile_name: is a label of what is chosen, and chooses nothing; expected profile=quick"),
        ("", ["task_name=us_addresses"], "expected task=us_addresses"),
        ("", ["profile.quick=true"], "profile: no setting, but a choice; a file of conf/profile/"),
    ],
)  # fmt: skip
def test_a_choice_is_no_setting_and_its_label_chooses_nothing(project, own, typed, told):
    """hydra-ecosystem/hydra#2670: a run was labelled quick that was not."""
    (project / "conf/local.yaml").write_text(own)
    with pytest.raises(UserError) as caught:
        compose(typed)
    assert told in str(caught.value) and "did you mean" not in str(caught.value)


def test_bounds_are_told_with_all_their_digits(project, capsys):
    """`integer 4e+06..4.00001e+06` leaves out values that are allowed."""
    rows = [{"text": f"send item {4000001 + n % 6} please", "article": 4000001 + n % 6} for n in range(240)]  # fmt: skip
    write(project / "a.jsonl", rows)
    init("a.jsonl")
    assert "article (integer 4000001..4000006)" in capsys.readouterr().err
    (field,) = fields_from_config({"f": {"type": "number", "minimum": 0.1234567, "maximum": 2e300}})
    assert problems(0, field) == ["f: expected a number 0.1234567..2e+300, found 0"]
    assert [plain_number(n) for n in (4.0, 1500000.0, 0.5, -3, 1e20)] == ["4", "1500000", "0.5", "-3", "1e+20"]  # fmt: skip


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_cell_is_no_answer_where_one_is_needed(tmp_path, name, empty):
    """Half-labelled rows of alpaca's form: "" was the right answer of every one that nobody had labelled."""
    rows = [{"text": "a b", "note": "x"}, {"text": "c d", "note": empty}]
    path = write(tmp_path / name, rows)
    fields = fields_from_config({"note": {"type": "string"}})
    with pytest.raises(UserError, match=r"note: expected a string, found an empty cell"):
        read_source(path, fields, "text", None, None)
    unlabelled: list[Any] = []
    assert len(read_source(path, fields, "text", None, None, unlabelled=unlabelled)) == 1
    assert [row["text"] for row in unlabelled] == ["c d"]


@pytest.mark.parametrize(("encoding", "language"), [("utf-16-le", "ru"), ("utf-16-be", "ru"), ("utf-16-be", "en")])  # fmt: skip
def test_utf_16_without_a_mark_is_named_with_its_order(tmp_path, encoding, language):
    """genspark-ai/genoffice#438: Cyrillic has few zero bytes, and was taught as rubbish."""
    text = "верните деньги" if language == "ru" else "give it back"
    path = tmp_path / "a.csv"
    path.write_bytes("".join(["text,label\r\n", *(f"{text} {n},a\r\n" for n in range(30))]).encode(encoding))  # fmt: skip
    for given in (None, "utf-16"):
        if given and encoding == "utf-16-le":
            continue
        with pytest.raises(UserError, match=rf"or name its encoding, {encoding} "):
            load_table(path, given)
    assert len(load_table(path, encoding).rows) == 30


def test_an_encoder_with_a_decoder_is_called_so(tmp_path):
    """huggingface/transformers#17375, BART: no renaming makes one of it that goes on with a text."""
    config = {"model_type": "bart", "is_encoder_decoder": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="a bart model is an encoder and a decoder"):
        fetch_base(PathWeights(source="path", path=str(tmp_path)), tmp_path / "out", disk_gb=0.001)


@pytest.mark.parametrize(
    ("role", "expected"),
    [("system", "developer, or user where"), ("developer", "system, or user where")],
)
def test_a_role_that_is_refused_leads_out_of_the_circle(role, expected):
    """tailcallhq/forgecode#1177: o1-mini takes neither system nor developer."""
    message = f"Unsupported value: 'messages[0].role' does not support '{role}' with this model."
    error = {"message": message, "param": "messages[0].role", "code": "unsupported_value"}
    found = diagnose(400, {"error": error}, {}, requests(1)[0], replace(CHAT, instruction_role=role), "http://h/v1")  # fmt: skip
    assert f"expected {expected}" in str(found)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["api=openai", "api/limits.budget_usd=1"], "api/limits.budget_usd: unknown key (did you mean api.limits.budget_usd?)"),
        (["lora.r=016"], "a number begins with no 0: 16"),
        (["api=openai", "api.server.base_url=https://h.example/v1/chat/completions"], "expected the address that this stands under, https://h.example/v1, found"),
    ],
)  # fmt: skip
def test_what_stands_beside_a_setting_is_told(typed, told):
    """hydra-ecosystem/hydra#2390, yaml/pyyaml#107, ogkalu2/comic-translate#265."""
    with pytest.raises(UserError) as caught:
        compose(typed)
    assert told in str(caught.value)


def test_a_number_with_a_zero_before_it_is_offered_as_both(project):
    (project / "conf/local.yaml").write_text("lora:\n  r: 016\n")
    with pytest.raises(UserError, match=r"found 016, which YAML reads as the number 14; a text is put in quotes, '016', and a number written 16 or 14"):  # fmt: skip
        compose([])


CUT = {
    "id": "x", "object": "chat.completion", "usage": {"prompt_tokens": 20, "completion_tokens": 0},
    "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "content_filter"}],
}  # fmt: skip


@pytest.mark.parametrize("status", [400, 422])
def test_a_filtered_answer_with_the_status_of_an_error_is_one(status):
    """experientiallabs/experiential#967, Azure's Foundry: it was told as a role that is refused."""
    with FaultServer({"mail 1": [Fault("status", status, body=lambda error: CUT)] * 9}) as server:
        with pytest.raises(UserError, match="email-1: stopped by the content filter") as caught:
            ask(server, 3, CHAT, concurrency=1)
        assert "role" not in str(caught.value)
        server.faults["mail 1"] = [Fault("status", status, body=lambda error: CUT)]
        answers = ask(server, 3, replace(CHAT, on_refusal="score_zero"), concurrency=1)
    assert [answer.reply.outcome for answer in answers] == ["answered", "filtered", "answered"]
    line = {"custom_id": "k", "response": {"status_code": status, "body": CUT}}
    [(_, reply)] = read_results(json.dumps(line), "file_1", CHAT)
    assert reply.outcome == "filtered"


def test_a_request_that_an_error_echoes_is_not_to_blame():
    """FastAPI's 422 quotes what it was sent, and the word role with it."""
    detail = {"type": "string_too_long", "loc": ["body", "messages", 1, "content"], "msg": "String should have at most 9 characters", "input": {"role": "user"}}  # fmt: skip
    found = diagnose(422, {"detail": [detail]}, {}, requests(1)[0], CHAT, "http://h/v1")
    assert str(found).startswith("conditions.mini: http://h/v1 rejects request email-0 (422): body.messages.1.content: String should")  # fmt: skip
    wrong = detail | {"loc": ["body", "temperature"], "msg": "Input should be less than 2"}
    found = diagnose(422, {"detail": [wrong]}, {}, requests(1)[0], CHAT, "http://h/v1")
    assert str(found).startswith("conditions.mini.temperature: ")
    found = diagnose(400, {"ok": False, "request": {"messages": [{"role": "user"}]}}, {}, requests(1)[0], CHAT, "http://h/v1")  # fmt: skip
    assert "instruction_role" not in str(found)
    found = diagnose(400, {"msg": "temperature is not supported"}, {}, requests(1)[0], CHAT, "http://h/v1")  # fmt: skip
    assert str(found).startswith("conditions.mini.temperature: ")


@pytest.mark.parametrize("status", ["succeeded", "Finished", "all_good"])
def test_a_batch_that_is_done_in_other_words_is_done(tmp_path, status):
    """docs.maritaca.ai: the results were there, and each run waited until its time was over."""
    with BatchServer(status=status) as server, ResponseStore(tmp_path / "s") as store:
        answers, _ = ask_batch(server.url, store, requests(3), total_seconds=5)
    assert len(answers) == 3


@pytest.mark.parametrize("errors", [["linha 1: no such model"], "no such model", {"data": ["no such model"]}])  # fmt: skip
def test_the_reason_of_a_failed_batch_is_told_in_whatever_form(tmp_path, errors):
    def failing(event):
        for batch in server.batches.values():
            batch["errors"] = errors

    with (
        BatchServer(status="failed", on_event=failing) as server,
        ResponseStore(tmp_path / "s") as store,
        pytest.raises(UserError, match=r"rejects batch batch_1: .*no such model"),
    ):
        ask_batch(server.url, store, requests(3))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_lines_above_a_header_are_told_as_such(tmp_path, name):
    """adaltas/node-csv-parse#81: with the names that were advised the header was taught as a row."""
    mark = "\t" if name.endswith("tsv") else ","
    rows = [["Report", ""], ["May", ""], ["Review", "Topic"], *([f"the text number {n} is here", "ab"[n % 2]] for n in range(30))]  # fmt: skip
    (tmp_path / name).write_text("".join(mark.join(row) + "\n" for row in rows))
    with pytest.raises(UserError, match="the header seems to be the line below 'May': take out the lines above it"):  # fmt: skip
        load_table(tmp_path / name)
    # a column without a name is one still
    rows = [["id", "text", ""], *([f"t{n}", f"word {n}", "abc"[n % 3]] for n in range(30))]
    (tmp_path / name).write_text("".join(mark.join(row) + "\n" for row in rows))
    with pytest.raises(UserError, match="name it, or take the column out"):
        load_table(tmp_path / name)


@pytest.mark.parametrize(("parts", "joined"), [(["The shoe is of", "Mesh."], "The shoe is of Mesh."), (["The shoe ", "is", " of Mesh."], "The shoe is of Mesh.")])  # fmt: skip
def test_parts_of_a_text_are_joined_as_they_stand(parts, joined):
    """kiminh/MAVE: the advised template glued sentences together."""
    row = {"parts": [{"text": part} for part in parts]}
    with pytest.raises(UserError) as caught:
        text_reader("parts")(row)
    template = re.search(r"'(\{\{.*\}\})'", str(caught.value))[1]
    assert text_reader(template)(row) == joined


@pytest.mark.parametrize("form", ["2021-01-{:02}T00:00:00.000", "2021-01-{:02}T14:30:00.125Z", "2021-01-{:02} 10:20:00.5"])  # fmt: skip
def test_moments_with_fractions_are_told_as_they_are_written(project, capsys, form):
    """pandas-dev/pandas#23944: to_json writes them, and no model can know it."""
    rows = [{"text": f"Invoice of January {n % 28 + 1}, 2021", "day": form.format(n % 28 + 1)} for n in range(56)]  # fmt: skip
    write(project / "a.jsonl", rows)
    init("a.jsonl")
    told = re.search(r"day \(string, written like ([^)]+)\)", capsys.readouterr().err)[1]
    assert re.sub(r"\d", "0", told) == re.sub(r"\d", "0", rows[0]["day"]) and "1999-12-30" in told


def test_a_hint_names_no_field_of_the_task(tmp_path):
    """av-generation/ae-110k: the labels of another field would have been taught."""
    specs = {"Lining Name": {"type": "string"}, "Lining Style": {"type": "string", "optional": True}}  # fmt: skip
    rows = [{"text": text, "output": {"Lining Name": "Low", "Brand Style": "Red"}} for text in TEXTS]  # fmt: skip
    path = write(tmp_path / "a.jsonl", rows)
    with pytest.raises(UserError, match=r"did you mean Brand Style\?"):
        read_source(path, fields_from_config(specs), "text", "output", None, second=True)


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("kind", ["json", ""])
def test_a_fence_around_completions_is_no_mark(project, capsys, end, kind):
    rows = [{"prompt": text, "completion": f'```{kind}\n{{"material": "{"Mesh" if n % 2 else "Wool"}"}}\n```{end}'} for n, text in enumerate(TEXTS)]  # fmt: skip
    write(project / "a.jsonl", rows)
    init("a.jsonl")
    told = capsys.readouterr().err
    assert "left out" not in told and 'record  {"material": "Wool"}' in told


def test_a_vocabulary_that_is_larger_than_the_embeddings_is_refused(tmp_path):
    """EuroEval/EuroEval#52: words of the vocabulary itself ended in an index out of range."""
    build_tiny_model(tmp_path / "model", vocabulary=512)
    weights = tmp_path / "model" / "model.safetensors"
    tensors = load_file(weights)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        if name in tensors:
            tensors[name] = tensors[name][:511].clone()
    save_file(tensors, weights, metadata={"format": "pt"})
    config = tmp_path / "model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"vocab_size": 511}))
    with pytest.raises(UserError, match="has 512 tokens and its embeddings 511 rows, none of them for .*, which a text may hold"):  # fmt: skip
        fetch_base(PathWeights(source="path", path=str(tmp_path / "model")), tmp_path / "out", disk_gb=0.001)  # fmt: skip


def test_a_json_list_of_texts_is_one_to_answer(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(TEXTS))
    table = load_table(path, None, "mail")
    assert [row["mail"] for _, row in table.rows] == TEXTS
    assert "a list of texts, each read as a row's mail" in table.notes
    assert load_table(path).rows[0][1] == {"text": TEXTS[0]}


def test_lengths_of_time_of_parquet_are_as_a_sheet_s(tmp_path):
    lengths = [timedelta(hours=25, minutes=3), timedelta(seconds=-61), None]
    table = pa.table({"text": TEXTS[:3], "took": pa.array(lengths, pa.duration("us"))})
    pq.write_table(table, tmp_path / "a.parquet")
    found = load_table(tmp_path / "a.parquet")
    assert [row["took"] for _, row in found.rows] == ["25:03:00", "-0:01:01", None]
    assert "took: lengths of time, read as hours, minutes and seconds" in found.notes


def test_a_mark_that_was_read_as_letters_is_none_of_a_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("ï»¿text,label\n" + "".join(f"{text.replace(',', '')},a\n" for text in TEXTS), encoding="utf-8")  # fmt: skip
    table = load_table(path)
    assert set(table.rows[0][1]) == {"text", "label"} and any("byte order mark" in note for note in table.notes)  # fmt: skip


def test_all_labels_that_may_stand_for_none_are_named():
    why = infer_field("label", ["n/a", "None", "good"] * 10, "cells").why
    assert "'None' and 'n/a' are labels here: if they stand for none, empty their cells" in why
    assert "'n/a' is a label here: if it stands for none, empty its cells" in infer_field("label", ["n/a", "good"] * 10, "cells").why  # fmt: skip


def test_a_second_text_is_asked_about(project, capsys):
    """Of a pair of sentences one became the text, and the other a field to write from it."""
    rows = [{"text": text, "question2": f"where did somebody see the parcel of day {n} after all of it", "same": "ab"[n % 2]} for n, text in enumerate(TEXTS)]  # fmt: skip
    write(project / "a.jsonl", rows)
    init("a.jsonl")
    told = capsys.readouterr().err
    advice = re.search(r"is it to be read and not to be found[?] --text ('[^']+') joins them", told)
    assert advice is not None
    init("a.jsonl", "--force", "--text", advice[1].strip("'"))
    assert "is it to be read" not in capsys.readouterr().err


def test_prompts_alone_are_read_without_the_mark_at_their_end(tmp_path):
    """What training has left out of every prompt must not come back in a file to answer."""
    rows = [{"prompt": f"{text}\n\n###\n\n"} for text in TEXTS]
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert [row["prompt"] for _, row in table.rows] == TEXTS
    plain = [{"prompt": text} for text in TEXTS]
    assert load_table(write(tmp_path / "b.jsonl", plain)).notes == []


def test_embeddings_are_no_labels(project, capsys):
    """A column that a vector store has beside each text would be taught, number by number."""
    rows = [{"text": text, "embedding": [n / 7 + i for i in range(32)], "kind": "ab"[n % 2]} for n, text in enumerate(TEXTS)]  # fmt: skip
    write(project / "a.jsonl", rows)
    init("a.jsonl")
    assert (
        "embedding              left out (as many numbers in every row" in capsys.readouterr().err
    )


@pytest.mark.parametrize("odd", [{"label": "URGENT"}, {"start": None, "end": None, "label": "URGENT"}])  # fmt: skip
@pytest.mark.parametrize("each", [False, True])
def test_an_item_without_a_place_leaves_the_others_their_words(tmp_path, odd, each):
    """wit-ai/wit#1680: of one such item all others kept their numbers, without a word."""
    rows = [{"text": text, "entities": [{"start": 7, "end": 11, "label": "DO"}, *([odd] if each or n == 3 else [])]} for n, text in enumerate(TEXTS)]  # fmt: skip
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert table.rows[3][1]["entities"] == [{"label": "DO", "text": "look"}, {"label": "URGENT"}]
    [note] = table.notes
    assert note.endswith("40 items have no place and no words" if each else "1 item has no place and no words")  # fmt: skip
    # numbers of other things are none of it
    rows = [{"text": text, "items": [{"start": 1, "label": "x"}, {"from": "a", "to": "b"}]} for text in TEXTS]  # fmt: skip
    assert load_table(write(tmp_path / "b.jsonl", rows)).rows[0][1]["items"][0]["start"] == 1


def test_a_list_of_json_texts_is_told_as_such(tmp_path):
    """typesense/typesense-python#25: its gold records would have been part of the texts."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps([json.dumps({"text": text, "k": "a"}) for text in TEXTS]))
    with pytest.raises(UserError, match="a text that holds one: JSON within JSON"):
        load_table(path)


@pytest.mark.parametrize("null", ["", "\\N"])
def test_line_ends_and_tabs_behind_backslashes_are_of_the_text(tmp_path, null):
    """Tatoeba/tatoeba2#2250: MySQL's OUTFILE; the advised quotes kept the backslashes, without a word."""
    rows = [["id", "text", "tag"], ["1", "It was\\\nstuck\\\there", "rude"], ["2", "C:\\\\tmp is full", null or "ok"]]  # fmt: skip
    path = tmp_path / "a.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    table = load_table(path)
    assert [row["text"] for _, row in table.rows] == ["It was\nstuck\there", "C:\\tmp is full"]
    assert [place.rpartition(":")[2] for place, _ in table.rows] == ["2", "4"]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["api=[vllm,sglang]"], "api: expected the name of one choice, found [vllm,sglang]"),
        (["profile=[quick,laptop]"], "profile: expected the name of one choice"),
        (["+priced_as.large_zero_shot_schemaa=gpt-5.4-nano"], "priced_as.large_zero_shot_schemaa: no such condition (did you mean large_zero_shot_schema?)"),
        (["+labels.nobody=hello"], "labels.nobody: no such condition; expected one of"),
    ],
)  # fmt: skip
def test_what_would_be_merged_or_passed_over_is_refused(typed, told):
    """hydra-ecosystem/hydra#736, NatLabRockies/buildstockbatch#115."""
    with pytest.raises(UserError) as caught:
        compose(typed)
    assert told in str(caught.value)


def test_why_llama_cpp_has_no_model_is_known_to_export(tmp_path):
    """huggingface/transformers#29899: the printed command was the one that had failed."""
    folder = tmp_path / "seed-0"
    folder.mkdir()
    params = SimpleNamespace(serving=SimpleNamespace(engine="llama_cpp", weights=str(tmp_path)))
    assert unserved_reason(params, folder) is None
    Served("transformers", "", reason="llama.cpp's converter does not take it: KeyError").write(folder)  # fmt: skip
    assert "does not take it" in unserved_reason(params, folder)
    Served("llama_cpp", "f16").write(folder)
    assert unserved_reason(params, folder) is None


def test_a_session_of_one_label_keeps_what_was_decided(tmp_path):
    """explosion/prodigy-openai-recipes#54: its only label was left out, and no option brought it back."""
    rows = [{"text": text, "label": "spam", "_task_hash": n, "answer": ["accept", "reject", "ignore"][n % 3]} for n, text in enumerate(TEXTS)]  # fmt: skip
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert {row["answer"] for _, row in table.rows} == {"accept", "reject"} and len(
        table.rows
    ) == 27
    assert any(
        "'spam' in every row, so that what was decided of it" in note for note in table.notes
    )
    # of several labels a rejected one is none
    several = [row | {"label": "spam" if n % 2 else "ham"} for n, row in enumerate(rows)]
    table = load_table(write(tmp_path / "b.jsonl", several))
    assert len(table.rows) == 14 and "answer" not in table.rows[0][1]


def test_oracle_s_places_become_words(tmp_path):
    rows = [{"text": text, "entities": [{"label": "DO", "textSpan": {"offset": 7, "length": 4}}]} for text in TEXTS]  # fmt: skip
    table = load_table(write(tmp_path / "a.jsonl", rows))
    assert table.rows[0][1]["entities"] == [{"label": "DO", "text": "look"}]


def test_blanks_that_are_none_are_plain_ones_in_names_and_told_of_labels(tmp_path):
    """OpenDataServices/flatten-tool#392: "did you mean issue type?" of a name that looked the same."""
    path = tmp_path / "a.csv"
    path.write_text("text,issue\u00a0type\n" + "".join(f"parcel {n},ab\n" for n in range(9)), encoding="utf-8")  # fmt: skip
    table = load_table(path)
    assert set(table.rows[0][1]) == {"text", "issue type"}
    assert (
        "column 'issue type': a blank that is no plain one in its name, read as one" in table.notes
    )
    for odd in ("Logistics\u00a0team", "Logistics  team", "Logi\u00adstics team"):
        why = infer_field("team", ["Logistics team", odd] * 10, "cells").why
        assert f"{'Logistics team'!a}" in why and "differ by blanks and signs that are not seen alone: are they one?" in why  # fmt: skip
    assert "'A' and 'a' differ by case alone" in infer_field("team", ["a", "A"] * 10, "cells").why


def test_shares_beside_plain_numbers_of_a_sheet_are_said(tmp_path):
    """shuchkin/simplexlsx#74: 8% and 1 in one column are 0.08 and 1."""
    book = openpyxl.Workbook()
    book.active.append(["text", "discount"])
    for n, text in enumerate(TEXTS):
        book.active.append([text, 1 if n % 2 == 0 else 0.08])
        if n % 2:
            book.active.cell(n + 2, 2).number_format = "0%"
    book.save(tmp_path / "a.xlsx")
    [note] = load_table(tmp_path / "a.xlsx").notes
    assert note == "discount: shown as 8% and the like, read as 0.08; 20 cells are shown as plain numbers, such as 1: are they shares too?"  # fmt: skip


def test_a_folder_of_another_user_is_a_repository_still(tmp_path, monkeypatch):
    """casperdcl/git-fame#81, in a container: "in no repository", and what git has of dvc.lock was given up."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q", "."], check=True)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    [found] = checkup._git()
    assert found.state == "note" and "belongs to another user, and git refuses it" in found.found
    assert found.mend == f"git config --global --add safe.directory {tmp_path}"
    with pytest.raises(UserError, match="expected `git config --global --add safe.directory"):
        lockfile._git(tmp_path, "show", "HEAD:./dvc.lock")
