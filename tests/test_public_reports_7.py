"""A sixth round of reports: what stands within a row's objects, templates over them, and files that were joined."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from openpyxl.worksheet.table import Table
from safetensors.torch import load_file, save_file

from lora_vs_api.api.diagnosis import refusal as refusal_of
from lora_vs_api.api.store import ResponseStore
from lora_vs_api.api.types import Reply
from lora_vs_api.cli import predict
from lora_vs_api.cli.app import main
from lora_vs_api.cli.names import names_given
from lora_vs_api.cli.task_config import written_forms
from lora_vs_api.config.compose import composed
from lora_vs_api.config.sections import PathWeights
from lora_vs_api.data.source import read_source
from lora_vs_api.data.tables import load_table
from lora_vs_api.data.templates import used_columns
from lora_vs_api.data.text_column import text_column
from lora_vs_api.data.within import paths_within, without
from lora_vs_api.data.written import is_written
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_json
from lora_vs_api.record.fields import Field
from lora_vs_api.weights.fetch import fetch_base
from tests.batch_server import BatchServer
from tests.fault_server import Fault, FaultServer
from tests.imports import ROOT
from tests.test_api_client import CHAT, MINI, ask
from tests.test_batch import ask as ask_in_batch
from tests.test_stored_run import requests
from tests.tiny_model import build_tiny_model

LABELS = [("billing", "access", "other", "praise")[i % 4] for i in range(40)]
TEXTS = [f"please look at the invoice {i} of the last month" for i in range(40)]


@pytest.fixture
def init(tmp_path, monkeypatch, capsys):
    """Writes a task of rows or of a file's content: the config, and what was said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/task").mkdir(parents=True)
    (tmp_path / "conf/config.yaml").touch()

    def run(given: Any, *options: str) -> tuple[dict[str, Any], str]:
        if isinstance(given, str):
            name, content = "rows.csv", given
        else:
            name, content = "rows.jsonl", "".join(json.dumps(row) + "\n" for row in given)
        (tmp_path / name).write_text(content, encoding="utf-8")
        try:
            main(["init", name, "--name", "own", *options])
        except SystemExit as end:
            assert not end.code, capsys.readouterr().err
        return yaml.safe_load(
            (tmp_path / "conf/task/own.yaml").read_text()
        ), capsys.readouterr().err

    return run


def refusal(run, *arguments) -> str:
    with pytest.raises(AssertionError) as caught:
        run(*arguments)
    return str(caught.value)


# --- within objects -----------------------------------------------------------------------


def test_who_marked_an_entity_is_not_taught(init):
    """doccano/doccano#113: its spans say which user, which document and how sure."""
    spans = {"start_offset": 7, "end_offset": 11, "prob": 0.0, "document": 5}
    rows = [
        {"text": text, "annotations": [{"label": 8 + i % 3, **spans, "user": i % 2}]}
        for i, text in enumerate(TEXTS)
    ]
    task, told = init(rows)
    fields = task["task"]["fields"]["annotations"]["items"]["fields"]
    assert fields.keys() == {"label", "text"}
    assert "left out: prob, document, user" in told
    rows[0]["annotations"][0] |= {"created_at": "2024-01-01", "annotator": "u1"}
    [(_, row), *_] = load_rows(rows)
    assert row["annotations"] == [{"label": 8, "text": "look"}]


def load_rows(rows):
    Path("again.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_table("again.jsonl").rows


@pytest.mark.parametrize("as_json", [False, True], ids=["jsonl", "csv"])
def test_a_key_of_objects_within_can_be_left_out(init, as_json):
    """Of every item of a list, and of JSON in the cells of a CSV file; a second file is read alike."""
    people = [[{"name": f"n{i}", "annotator": f"u{i % 3}", "seen": i}] for i in range(40)]
    if as_json:
        cells = (json.dumps(each).replace('"', '""') for each in people)
        given = "text,people\n" + "".join(f'{text},"{cell}"\n' for text, cell in zip(TEXTS, cells))
    else:
        given = [{"text": text, "people": each} for text, each in zip(TEXTS, people)]
    assert "no column 'annotator' (did you mean people.annotator?)" in refusal(
        init, given, "--drop", "annotator"
    )
    task, told = init(given, "--drop", "people.annotator,people.seen")
    assert task["data"]["drop"] == ["people.annotator", "people.seen"]
    assert 'record  {"people": [{"name": "n0"}]}' in told
    field = Field(
        "people",
        "list",
        "set_f1",
        items=Field("", "object", "slot_f1", fields=(Field("name", "string", "exact"),)),
    )
    path = "rows.csv" if as_json else "rows.jsonl"
    rows = read_source(path, (field,), "text", None, None, drop=task["data"]["drop"])
    assert [row["record"] for row in rows] == [{"people": [{"name": f"n{i}"}]} for i in range(40)]


def test_a_path_is_a_key_or_keys_within():
    row = {
        "a.b": 1,
        "a": {"b": 2, "c": [{"d": 3, "e": 4}, {"d": 5}, 6]},
        "j": '[{"d": 7}]',
        "s": "{no json",
    }
    assert without(row, ["a.b"]) == {key: row[key] for key in ("a", "j", "s")}
    assert without(row, ["a.c.d"])["a"] == {"b": 2, "c": [{"e": 4}, {}, 6]}
    assert without(row, ["j.d"])["j"] == [{}]
    assert without(row, ["s.d", "nothing", "a.nothing.x", "a.b.x"]) == row
    assert list(paths_within([row])) == ["a.b", "a.c", "a.c.d", "a.c.e", "j.d"]


def test_data_drop_names_keys_within_columns(tmp_path, monkeypatch):
    """Of columns themselves those alone are read that are fields."""
    monkeypatch.chdir(ROOT)
    with pytest.raises(
        UserError,
        match=r"data\.drop: names keys of data\.record, which is null: .*found \['notes'\]",
    ):
        composed(["task=us_addresses", "data.record=null", "+data.drop=[notes, spans.user]"])
    kept = composed(["task=us_addresses", "data.record=null", "+data.drop=[spans.user]"])[1]
    assert kept.data.drop == ["spans.user"]


# --- templates ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("body", {"body": {""}}),
        ("category to find: {{ message }}", {"message": {""}}),
        ("{{ ticket.body }} {{ ticket['title'] | upper }}", {"ticket": {"body", "title"}}),
        ("{{ answers[0].text }}", {"answers": {"[]"}}),
        ("{% if a %}{{ b | default(c) }}{% endif %}", {"a": {""}, "b": {""}, "c": {""}}),
        ("{{ rows[place].x }}", {"rows": {"[]"}, "place": {""}}),
    ],
)  # fmt: skip
def test_what_a_template_takes_of_a_row(text, used):
    assert used_columns(text) == used


def test_the_rest_of_an_object_is_not_lost_with_its_text(init):
    """Typeform/typeform-python-sdk#24: the column of which a template takes a part held the labels."""
    rows = [
        {"id": i, "lang": ("de", "en")[i % 2], "ticket": {"body": text, "topic": label}}
        for i, (text, label) in enumerate(zip(TEXTS, LABELS))
    ]
    task, told = init(rows, "--text", "{{ ticket.body }}")
    assert (
        task["data"]["drop"] == ["ticket.body"]
        and "ticket.body            left out (the text)" in told
    )
    assert '{"lang": "de", "ticket": {"topic": "billing"}}' in told
    # a field may be called as a key within, and a column as a word of the template
    rows = [{"topic": label, "mail": {"topic": text}} for text, label in zip(TEXTS, LABELS)]
    task, _ = init(rows, "--text", "the topic of this: {{ mail.topic }}", "--force")
    assert list(task["task"]["fields"]) == ["topic"]


def test_a_list_of_which_the_text_is_a_part_is_told(init):
    rows = [
        {"plan": ("free", "paid")[i % 2], "answers": [{"text": text}, {"choice": label}]}
        for i, (text, label) in enumerate(zip(TEXTS, LABELS))
    ]
    task, told = init(rows, "--text", "{{ answers[0].text }}")
    assert list(task["task"]["fields"]) == ["plan"]
    assert re.search(r"answers +left out \(the text is a part of it; --fields names it", told)
    task, _ = init(rows, "--text", "{{ answers[0].text }}", "--fields", "answers", "--force")
    assert list(task["task"]["fields"]) == ["answers"]
    rows[3]["answers"] = [{"choice": "billing"}]
    said = refusal(init, rows, "--text", "{{ answers[0].text }}", "--force")
    assert "rows.jsonl:4: data.text: 'dict object' has no attribute 'text'" in said


# --- texts that are elsewhere, names, labels ----------------------------------------------


@pytest.mark.parametrize("name", ["doc{}.txt", "mails/2021/Customer letter {} scan.pdf"])
def test_names_of_files_are_no_texts(init, name):
    """Azure's custom text classification has each text in a file of its own."""
    given = "file,label\n" + "".join(
        f"{name.format(i)},{label}\n" for i, label in enumerate(LABELS)
    )
    said = refusal(init, given)
    assert "no column holds texts: file names files, whose texts are not read" in said
    with pytest.raises(UserError, match="names files"):
        text_column([{"url": f"scan {i}.png", "label": "a"} for i in range(20)])


def test_a_name_with_a_comma_stands_in_quotes(init):
    """Survey tools call a column as they ask the question."""
    rows = "".join(
        f"{text},{label},{i % 3}\n" for i, (text, label) in enumerate(zip(TEXTS, LABELS))
    )
    given = f'message,"Overall, how?",x\n{rows}'
    said = refusal(init, given, "--fields", "Overall, how?")
    assert """a name that holds a comma stands in quotes: '"Overall, how?"'""" in said
    task, _ = init(given, "--fields", '"Overall, how?"')
    assert list(task["task"]["fields"]) == ["Overall, how?"]


def test_the_labels_of_lists_are_told_where_they_are_few():
    """A model that has no examples cannot know them; what is copied from the text it finds there."""
    field = Field("tags", "list", "set_f1")
    records = [{"tags": [LABELS[i], "vip, gold"][: 1 + i % 2]} for i in range(40)]
    told = written_forms([field], records, ["hello there"] * 40)
    assert told == {"tags": 'each one of access, billing, other, praise, "vip, gold"'}
    assert written_forms([field], records, [" ".join(r["tags"]) for r in records]) == {
        "tags": "each copied from the text"
    }
    many = [{"tags": [f"tag{i}"]} for i in range(40)]
    assert written_forms([field], many, ["hello there"] * 40) == {}


# --- files that were joined ---------------------------------------------------------------


def test_lists_one_after_another_are_one(tmp_path):
    """scrapy-plugins/scrapy-playwright#185: -o data.json, run twice."""
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS)]
    for between in ("", "\n", ",\n"):
        path = tmp_path / "rows.json"
        path.write_text(json.dumps(rows[:25], indent=1) + between + json.dumps(rows[25:]))
        table = load_table(path)
        assert [row for _, row in table.rows] == rows
        assert "2 JSON lists one after another, read as one" in table.notes
    path.write_text("[1]" + json.dumps(rows))
    with pytest.raises(UserError, match="expected an object, found 1"):
        load_table(path)


def test_below_a_header_in_another_order_rows_are_in_that_order(tmp_path):
    """whitfin/s3-concat#3: parts that were joined each begin with their own header."""
    rows = [f"{text},{label},{i}\n" for i, (text, label) in enumerate(zip(TEXTS, LABELS))]
    other = [f"{i},{text},{label}\n" for i, (text, label) in enumerate(zip(TEXTS, LABELS))]
    path = tmp_path / "rows.csv"
    path.write_text(
        "".join(
            [
                "text,label,n\n",
                *rows[:20],
                "n,text,label\n",
                *other[20:30],
                "text,label,n\n",
                *rows[30:],
            ]
        )
    )
    table = load_table(path)
    assert [(row["text"], row["label"]) for _, row in table.rows] == list(zip(TEXTS, LABELS))
    assert (
        "the header once more in 2 lines, left out, in another order in line 22, as the rows below are read"
        in table.notes
    )


def test_a_column_of_texts_without_a_name_has_no_title_above_it(tmp_path):
    """pandas' to_csv of one column whose index holds the texts: its first line is the header."""
    path = tmp_path / "rows.csv"
    path.write_text(",label\n" + "".join(f"{text},{label}\n" for text, label in zip(TEXTS, LABELS)))
    with pytest.raises(
        UserError,
        match=r"rows\.csv:1: column 1 without a name holds .*; name it, or take the column out",
    ):
        load_table(path)


def test_another_separator_is_named_where_commas_cut_the_texts(tmp_path):
    """Financial PhraseBank has sentence@label; of such files a # was not seen for the commas of the texts."""
    path = tmp_path / "rows.csv"
    path.write_text(
        "text#label\n" + "".join(f"please, {text}#{label}\n" for text, label in zip(TEXTS, LABELS))
    )
    with pytest.raises(
        UserError, match="is '#' the separator[?] then name it in a line above the header, sep=#"
    ):
        load_table(path)
    path.write_text("sep=#\n" + path.read_text())
    assert load_table(path).rows[0][1] == {"text": f"please, {TEXTS[0]}", "label": LABELS[0]}


# --- sets of the LLMs' time ---------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, "{}"], ids=["object", "text"])
def test_arguments_that_are_always_empty_are_left_out(init, arguments):
    """Tools such as "lock the door" have none; the guess for them was refused by every row."""
    calls = [[{"name": name, "arguments": {}}] * (1 + i % 2) for i, name in enumerate(LABELS)]
    rows: list[dict[str, Any]] = [{"text": text, "calls": call} for text, call in zip(TEXTS, calls)]
    if arguments == "{}":
        function = [
            [
                {"type": "function", "id": "c1", "function": {**call, "arguments": "{}"}}
                for call in each
            ]
            for each in calls
        ]
        rows = [
            {
                "messages": [
                    {"role": "user", "content": text},
                    {"role": "assistant", "content": None, "tool_calls": each},
                ]
            }
            for text, each in zip(TEXTS, function)
        ]
    task, told = init(rows)
    assert task["data"]["drop"] == ["calls.arguments"] and "left out (empty objects)" in told
    assert 'record  {"calls": [{"name": "billing"}]}' in told


def test_a_picture_of_the_hub_s_datasets_is_left_out(tmp_path):
    """mychen76/wildreceipts_ocr_train: image is {bytes, path}, and the whole file was refused."""
    picture = {"bytes": b"\x89PNG\xff", "path": "a.png"}
    columns = {
        "image": [picture, None, picture], "sounds": [[{"bytes": None, "path": "b.wav"}]] * 3,
        "text": TEXTS[:3], "label": LABELS[:3],
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    table = load_table(tmp_path / "a.parquet")
    assert [row for _, row in table.rows] == [
        {"text": t, "label": label} for t, label in zip(TEXTS[:3], LABELS)
    ]
    assert table.notes == [
        "image: pictures or sounds, left out",
        "sounds: pictures or sounds, left out",
    ]


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_column_called_text_hides_no_text(init, empty):
    """Argilla's exports: the text is in inputs, and a column of that name is null in every row."""
    task, _ = init(
        [{"text": empty, "inputs": {"text": t}, "label": label} for t, label in zip(TEXTS, LABELS)]
    )
    assert task["data"]["text"] == "text" and list(task["task"]["fields"]) == ["label"]


@pytest.mark.parametrize(
    "form",
    ["### Human: {}### Assistant: {}", "[INST] {} [/INST] {}", "### Instruction:\n{}\n\n### Response:\n{}", "human: {}\nbot: {}",
     "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>"],
)  # fmt: skip
def test_question_and_answer_in_one_column_are_told(init, form):
    """AutoTrain's one column: its advice was to name the text as the record."""
    rows = [
        {"text": form.format(text, json.dumps({"label": label}))}
        for text, label in zip(TEXTS, LABELS)
    ]
    assert "text: question and answer stand in one text; write two columns" in refusal(init, rows)


def test_a_subject_in_brackets_is_writing(init):
    """Mail servers put [EXTERNAL] before every subject; a list begins with one, too."""
    rows = [
        {"subject": f"[EXTERNAL] {text}", "n": "[1, 2]", "team": label}
        for text, label in zip(TEXTS, LABELS)
    ]
    task, _ = init(rows)
    assert task["data"]["text"] == "subject"
    lists = [
        "[1, 2]",
        "['a b', 'c d']",
        '["a b"]',
        "[[1, 2], [3]]",
        "[None, 'a b']",
        "{'a': 'b c'}",
        "[]",
        "[-1 -2]",
    ]
    assert not any(map(is_written, lists)) and is_written("[1] as was said above")


# --- weights ------------------------------------------------------------------------------


def with_tensors(folder: Path, *names: str) -> Path:
    own = build_tiny_model(folder)
    tensors = load_file(own / "model.safetensors")
    some = tensors["model.layers.0.input_layernorm.weight"]
    tensors |= {name: some.clone() for name in names}
    save_file(tensors, own / "model.safetensors", metadata={"format": "pt"})
    return own


@pytest.mark.parametrize(
    ("name", "told"),
    [
        # declare-lab/flacuna#2: the tune was left out without a word
        ("model.layers.0.self_attn.q_proj.lora_A.weight", r"an adapter that is not merged \(model\.layers\.0.*merge_and_unload"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight", "an adapter that is not merged"),
        ("model.layers.0.self_attn.q_proj.bias", r"q_proj\.bias is in the weights, and the model that config\.json describes has no place"),
    ],
)  # fmt: skip
def test_weights_that_are_of_the_model_and_have_no_place_are_told(tmp_path, name, told):
    own = with_tensors(tmp_path / "own", name)
    with pytest.raises(UserError, match=told):
        fetch_base(PathWeights(source="path", path=str(own)), tmp_path / "base", disk_gb=0.001)
    assert not (tmp_path / "base").exists()


def test_weights_of_another_part_are_left_out_and_told(tmp_path, capsys):
    """A further layer that guesses several tokens, an encoder of images, a mask that was saved."""
    names = (
        "model.vision.patch.weight",
        "model.layers.2.mlp.up_proj.weight",
        "model.layers.0.self_attn.masked",
    )
    own = with_tensors(tmp_path / "own", *names)
    fetch_base(PathWeights(source="path", path=str(own)), tmp_path / "base", disk_gb=0.001)
    assert (
        "3 tensors of no part of the model that config.json describes, such as model.layers.0"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("wrapper", ["module", "_orig_mod"])
def test_weights_of_a_model_that_torch_wraps_are_told(tmp_path, wrapper):
    own = build_tiny_model(tmp_path / "own")
    tensors = load_file(own / "model.safetensors")
    wrapped = {f"{wrapper}.{name}": tensor for name, tensor in tensors.items()}
    save_file(wrapped, own / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        UserError, match=rf"so torch names what it wraps; rename them without {wrapper}\., or save"
    ):
        fetch_base(PathWeights(source="path", path=str(own)), tmp_path / "base", disk_gb=0.001)


def test_settings_of_generation_that_contradict_each_other_stop_no_model(tmp_path, capsys):
    own = build_tiny_model(tmp_path / "own")
    write_json(own / "generation_config.json", {"num_return_sequences": 2, "do_sample": False})
    fetch_base(PathWeights(source="path", path=str(own)), tmp_path / "base", disk_gb=0.001)
    assert "generation_config.json: num_return_sequences left out" in capsys.readouterr().err


# --- the command line, costs --------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "told"),
    [
        # treeverse/dvc.org#2767
        ("lora.r=4,lora.adapter.dropout=0.1", "one setting an argument: lora.r=4 lora.adapter.dropout=0.1 "),
        ("profile=quick,api=none", "DVC's, -S profile=quick -S api=none"),
        # hydra-ecosystem/hydra#1163: what was typed, and not what YAML has made of it
        ("model.name=1_1_1", r"'model\.name=\"1_1_1\"'$"),
        ("model.name=1.10", r"'model\.name=\"1\.10\"'$"),
        ("model_free=[1_1]", r"'model_free=\[\"1_1\"\]'$"),
        # treeverse/dvc#8376: DVC cannot add what is there
        ("+lora.r=8,16", r"exp run --queue -S 'lora\.r=8,16'"),
        ("+bar=1,2", "bar: unknown key$"),
        # treeverse/dvc.org#3834: what cannot be left out
        ("~sweep.early_stopping_ratio", "is null already, and cannot be left out"),
        ("~train.warmup_ratio=0.05", r"train\.warmup_ratio: cannot be left out, conf/config\.yaml:\d+:\d+ refers to it"),
        ("~train.nope", "no such key to leave out"),
    ],
)  # fmt: skip
def test_what_is_told_of_an_override_is_of_what_was_typed(override, told, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=told):
        composed([override])


@pytest.mark.parametrize(
    ("written", "told"), [("1_1_1", '"1_1_1"'), ("no", '"no"'), ("1e5", '"1e5"')]
)
def test_advice_of_a_file_is_of_what_it_holds(tmp_path, written, told):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "conf/local.yaml").write_text(f"# @package _global_\nmodel:\n  name: {written}\n")
    with pytest.raises(UserError, match=f"'model.name={told}'$"):
        composed([], tmp_path / "conf")


def test_an_override_with_a_colon_is_told_whole(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(
        UserError,
        match=r"^conf/ with task\.weights=\{urgency: a\}: task\.weights\.urgency: expected",
    ):
        composed(["task.weights={urgency: a}"])


def test_an_unknown_key_s_hint_is_of_any_choice(monkeypatch):
    monkeypatch.chdir(ROOT)
    for override, meant in (
        ("weights.path=/x", "model.weights.path"),
        ("base_url=x", "api.server.base_url or"),
    ):
        with pytest.raises(UserError, match=f"did you mean {meant}"):
            composed([override])


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("first", [False, True], ids=["label last", "label first"])
def test_a_quote_before_a_label_takes_in_no_rows(tmp_path, separator, first):
    """refuel-ai/autolabel#473: a lone quote in a label is closed in a later row, and the rows between were lost."""
    pairs = (
        [("label", "text"), *zip(LABELS, TEXTS)]
        if first
        else [("text", "label"), *zip(TEXTS, LABELS)]
    )
    lines = [separator.join(pair) for pair in pairs]
    path = tmp_path / "rows.csv"
    for opened, closed in ((20, 21), (20, 27)):
        spoilt = list(lines)
        spoilt[opened] = (
            f'"{lines[opened]}' if first else lines[opened].replace(separator, f'{separator}"')
        )
        spoilt[closed] = (
            lines[closed].replace(separator, f'"{separator}') if first else f'{lines[closed]}"'
        )
        path.write_text("\n".join(spoilt) + "\n")
        told = rf"rows\.csv:{opened + 1}: a quote opens a cell that takes in {closed - opened} more line"
        with pytest.raises(UserError, match=told):
            load_table(path)
    # labels may well have several lines of their own
    path.write_text(
        "text,label\n"
        + "".join(f'{text},"{label}\nthe, other"\n' for text, label in zip(TEXTS, LABELS))
    )
    assert len(load_table(path).rows) == 40


@pytest.mark.parametrize("own_limit", [False, True])
@pytest.mark.parametrize("condition", [CHAT, MINI], ids=["chat", "responses"])
def test_a_context_that_is_full_is_no_reasoning(condition, own_limit):
    """lmstudio-ai/lmstudio-bug-tracker#2339: a prompt over the context gives 200 and no token of an answer."""

    def full(body):
        if condition is CHAT:
            body["choices"][0] |= {"finish_reason": "length"}
            body["choices"][0]["message"]["content"] = ""
            return body | {"usage": {"prompt_tokens": 4096, "completion_tokens": 0}}
        return body | {
            "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": [],
            "usage": {"input_tokens": 4096, "output_tokens": 0, "output_tokens_details": {"reasoning_tokens": 0}},
        }  # fmt: skip

    with FaultServer() as server:
        server.habit = lambda path, body: Fault("json", body=full)
        with pytest.raises(
            UserError,
            match=r"^conditions\.mini: an answer was cut before it began, after 0 of the 50 .* full",
        ):
            ask(server, 1, replace(condition, own_limit=own_limit))


def test_a_path_from_home_is_advised_as_it_is_taken(monkeypatch):
    """hydra-ecosystem/hydra#1647: of data.path the quoted form was refused in its turn."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HOME", "/home/ann")
    with pytest.raises(UserError, match=r"expected 'data\.path=/home/ann/norway\.csv'"):
        composed(["data.path=~/norway.csv"])


# --- of small files -----------------------------------------------------------------------


def test_the_total_of_an_excel_table_is_no_row(tmp_path):
    """tidyverse/readxl#54: "Total" was a text, and the sum its amount."""
    book = openpyxl.Workbook()
    rows = [["Message", "Amount"], *([text, i] for i, text in enumerate(TEXTS)), ["Total", 780]]
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "plain.xlsx")
    assert any(
        "says 'Total': if it is the total of the others" in note
        for note in load_table(tmp_path / "plain.xlsx").notes
    )
    table = Table(displayName="T", ref="A1:B42", totalsRowCount=1)
    book.active.add_table(table)
    book.save(tmp_path / "table.xlsx")
    found = load_table(tmp_path / "table.xlsx")
    assert [row["Message"] for _, row in found.rows] == TEXTS
    assert "row 42: the total of the table above it, left out" in found.notes


@pytest.mark.parametrize("last", ["Total,780", "Grand Total:,780", "Summe,780"])
def test_a_last_row_that_calls_itself_a_total_is_told(tmp_path, last):
    path = tmp_path / "rows.csv"
    path.write_text(
        "text,n\n" + "".join(f"{text},{i}\n" for i, text in enumerate(TEXTS)) + last + "\n"
    )
    assert any(note.startswith("the last row, in line 42, says") for note in load_table(path).notes)
    path.write_text(
        "text,n\n" + "".join(f"{word},{i}\n" for i, word in enumerate(["Total", "Rest"] * 20))
    )
    assert not any("total of the others" in note for note in load_table(path).notes)


def test_an_object_around_rows_is_no_row_whatever_it_is_called(tmp_path):
    """Trello's board has a description as its cards do; a ticket has a text as its comments do."""
    rows = [{"description": text, "label": label} for text, label in zip(TEXTS, LABELS)]
    path = tmp_path / "rows.json"
    for found, texts in (
        ({"description": "Jobs of May", "tickets": rows}, TEXTS),
        ({"description": "Jobs of May", "data": rows[:2]}, TEXTS[:2]),
        ({"description": "It is broken", "comments": rows[:2]}, ["It is broken"]),
        ({"description": "It is broken", "tags": ["a", "b"]}, ["It is broken"]),
    ):
        path.write_text(json.dumps(found))
        assert [
            row["description"] for _, row in load_table(path, None, "description").rows
        ] == texts


def test_predict_reads_a_file_in_the_encoding_of_the_task_s(monkeypatch):
    """SheetJS/sheetjs#2239: it advised data.encoding, which was set."""
    read = []

    def of_texts(path, column, encoding, **options):
        read.append(encoding)
        raise UserError("read")

    monkeypatch.setattr(predict, "read_texts", of_texts)
    monkeypatch.setattr(predict, "adapter_folder", lambda *_: Path())
    monkeypatch.chdir(ROOT)
    params = composed(["task=us_addresses", "+data.encoding=cp1252"])[1]
    monkeypatch.setattr(predict, "load_params", lambda: params)
    for given, taken in ((None, "cp1252"), ("latin-1", "latin-1")):
        with pytest.raises(UserError, match="^read$"):
            predict.predict_records(
                None,
                "a.csv",
                None,
                None,
                encoding=given,
                seed=None,
                batch_size=None,
                constrained=None,
            )
        assert read.pop() == taken


def test_one_conversation_in_a_json_file_is_a_row(tmp_path):
    turns = [{"role": "user", "content": TEXTS[0]}, {"role": "assistant", "content": "{}"}]
    path = tmp_path / "rows.json"
    for found in (
        {"messages": turns, "label": "a"},
        {"conversations": [{"from": "human", "value": TEXTS[0]}, {"from": "gpt", "value": "{}"}]},
    ):
        path.write_text(json.dumps(found))
        [(_, row)] = load_table(path, None, "text").rows
        assert row["text"] == TEXTS[0]
    # mails have a sender too
    path.write_text(json.dumps({"mails": [{"from": "a@b.org", "body": text} for text in TEXTS]}))
    assert len(load_table(path).rows) == 40


def test_quotes_of_a_word_processor_are_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("{“text”: “hello there”}\n")
    with pytest.raises(UserError, match="“ and ” of a word processor are no quotes of JSON"):
        load_table(path)


def test_a_refusal_without_words_has_a_reason():
    assert refusal_of(Reply("", "refused", 1, 0, 0)) == "refused: no reason given"


# --- errors of servers --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        # LibreChat-AI/agents#358: Scaleway's reason stands beside what it calls the error
        (429, {"status": 429, "error": "INSUFFICIENT QUOTA", "message": "You exceeded your current limit of concurrent requests."},
         "status 429: You exceeded your current limit of concurrent requests"),
        (404, {"statusCode": 404, "error": "Not Found", "message": "model gpt-mini is not deployed"}, r"\.model: .* has no model 'gpt-mini'"),
        (400, {"error": "Bad Request", "message": "Unsupported parameter: max_completion_tokens"}, r"token_limit: .*expected max_tokens"),
        (400, {"error": True, "message": "it is too hot"}, "it is too hot"),
        (422, {"error": "invalid_request", "error_description": "it is too cold"}, "it is too cold"),
        (400, {"error": "it is too wet"}, "it is too wet"),
    ],
)  # fmt: skip
def test_a_reason_beside_the_error_is_told(status, body, told):
    with FaultServer() as server:
        server.habit = lambda path, asked: Fault("status", status, body=lambda _: body)
        with pytest.raises(UserError, match=told):
            ask(server, 1, CHAT)


@pytest.mark.parametrize(
    ("code", "message", "told", "asked"),
    [
        (402, "Insufficient credits", "the account's quota at .* is used up", 1),
        (400, "Unsupported parameter: 'temperature'", r"conditions\.mini\.temperature", 1),
        (502, "Provider returned error", "error in an answer of status 200|status 502", 3),
    ],
)
def test_an_error_in_place_of_a_choice_is_one(code, message, told, asked):
    """nodetool-ai/nodetool#5755: what no retry mends was retried."""
    choice = {
        "index": 0,
        "finish_reason": "error",
        "message": {"role": "assistant", "content": ""},
        "error": {"code": code, "message": message},
    }
    with FaultServer() as server:
        server.habit = lambda path, body: Fault(
            "json", body=lambda usual: usual | {"choices": [choice]}
        )
        with pytest.raises(UserError, match=told):
            ask(server, 1, CHAT)
        assert len(server.seen) == asked


def test_a_budget_holds_after_a_batch_that_was_refused(tmp_path):
    """stdapi-ai/stdapi.ai#240: what was never submitted was taken for paid."""
    for event, status in (
        ("POST /v1/batches", 400),
        ("POST /v1/batches", 500),
        ("POST /v1/files", 401),
    ):
        with BatchServer() as server, ResponseStore(tmp_path / f"{status}") as store:
            server.refused[event] = [(status, "no")] * 9
            with pytest.raises(UserError, match=str(status)):
                ask_in_batch(server.url, store, requests(4))
            server.refused = {}
            with pytest.raises(UserError, match="budget_usd"):
                ask_in_batch(server.url, store, requests(4), budget_usd=0.0)
            assert not server.batches


def test_a_model_that_has_no_batches_is_told(tmp_path):
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        server.refused["POST /v1/batches"] = [(404, "The model 'gpt-mini' does not exist")]
        with pytest.raises(
            UserError,
            match=r"conditions\.mini\.model: .* has no model 'gpt-mini' for batches \(404\): The model",
        ):
            ask_in_batch(server.url, store, requests(2))


def test_rows_that_were_left_out_are_told_where_too_few_are_left(tmp_path, monkeypatch, capsys):
    """support.prodi.gy/t/2153: 45 of 60 rows were no accepted ones, and "found 15" was all that was said."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "conf", "conf")
    rows = [
        {
            "text": text,
            "label": "ab"[i // 4 % 2],
            "_task_hash": i,
            "_input_hash": i,
            "answer": ("accept", "ignore", "ignore", "reject")[i % 4],
        }
        for i, text in enumerate(TEXTS)
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SystemExit):
        main(["init", "rows.jsonl"])
    told = capsys.readouterr().err
    assert (
        "30 rows whose answer is not accept, left out" in told
        and "at least 20 rows, found 10" in told
    )


def test_a_day_that_the_texts_write_in_their_own_way_is_told_by_them(init):
    """A column called created_at was left out since "no text names it"."""
    days = [f"2015-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(40)]
    names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    rows = [
        {"text": f"On {1 + i % 28} {names[i % 12]} 2015 it broke", "created_at": day}
        for i, day in enumerate(days)
    ]
    task, _ = init(rows)
    assert list(task["task"]["fields"]) == ["created_at"]


def test_a_span_that_was_rejected_by_itself_trains_nothing(tmp_path):
    """support.prodi.gy/t/2153: spans have answers of their own; a reject was taught as an entity."""
    spans = [
        {"start": 0, "end": 6, "label": "A", "answer": "accept"}, {"start": 7, "end": 11, "label": "B", "answer": "reject"},
    ]  # fmt: skip
    rows = [
        {"text": text, "spans": spans, "_task_hash": i, "answer": "accept"}
        for i, text in enumerate(TEXTS)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = load_table(path)
    assert table.rows[0][1]["spans"] == [{"label": "A", "text": "please"}]
    assert any("spans with an answer of their own in 40 rows" in note for note in table.notes)


def test_fasttext_s_own_form_is_told(tmp_path):
    """Its lines have no separator, so that another name for the file mends nothing."""
    path = tmp_path / "rows.txt"
    path.write_text("".join(f"__label__{label} {text}\n" for text, label in zip(TEXTS, LABELS)))
    with pytest.raises(
        UserError, match="fastText's form, labels before each text; write a table of two columns"
    ):
        load_table(path)


def second(tmp_path, name: str, content: str):
    """The rows of a second file beside a task of two optional fields."""
    path = tmp_path / name
    path.write_text(content)
    fields = tuple(
        Field(each, "boolean", "exact", optional=True) for each in ("urgent", "shipping")
    )
    return read_source(path, fields, "text", None, None, second=True)


def test_a_second_file_that_lacks_fields_says_so(tmp_path, capsys):
    """doccano/doccano#17: a file without any label was scored as if all its gold were null."""
    with pytest.raises(
        UserError, match="expected labelled rows, with any of urgent, shipping; it has text"
    ):
        second(tmp_path, "a.csv", "text\nplease look\n")
    with pytest.raises(UserError, match=r"shipping: .* no such column \(did you mean shiping[?]\)"):
        second(tmp_path, "b.csv", "text,urgent,shiping\nplease look,true,true\n")
    [row] = second(tmp_path, "c.jsonl", '{"text": "please look", "urgent": true}\n')
    assert row["record"] == {"urgent": True, "shipping": None}
    assert (
        "c.jsonl: shipping: in none of its rows, and so null in all of them"
        in capsys.readouterr().err
    )


def test_names_of_an_option_may_hold_a_comma():
    assert names_given('a, "b, c" ,e\u0301,,') == ["a", "b, c", "é"]
    assert names_given(None) == names_given("") == []


# --- places, and quotes of another kind ---------------------------------------------------


@pytest.mark.parametrize(
    "cells", [[[0, 0, 1], [1, 0, 0]], [[True, False], [False, False]], [[0.0, 1.0], [1.0, 1.0]]]
)
def test_lists_whose_places_count_are_no_sets(init, cells):
    """ThilinaRajapakse/simpletransformers#51: [0, 0, 1] was right where [1, 0, 0] was the answer."""
    rows = [{"text": text, "labels": cells[i % 2]} for i, text in enumerate(TEXTS)]
    assert "says something of its places, and no field's score counts these" in refusal(init, rows)
    # numbers of which each has a meaning of its own are a set, and tags are told
    task, _ = init([{"text": text, "rooms": [i % 7, 10 + i % 3]} for i, text in enumerate(TEXTS)])
    assert task["task"]["fields"]["rooms"]["type"] == "list"
    _, told = init(
        [
            {"text": text, "tags": ["O", "B-X", "O", "O"][: 3 + i % 2]}
            for i, text in enumerate(TEXTS)
        ],
        "--force",
    )
    assert "an item stands twice in most of them: scored as a set" in told


@pytest.mark.parametrize(
    "span",
    [
        # google/langextract#209, and tools that call places otherwise
        {"extraction_text": "look", "char_interval": {"start_pos": 7, "end_pos": 11}},
        {"label": "A", "span": {"start": 7, "end": 11}},
        {"Type": "A", "BeginOffset": 7, "EndOffset": 11},
        {"type": "A", "location": [7, 11]},
    ],
)
def test_places_within_an_object_are_places(tmp_path, span):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text, "found": [span]}) + "\n" for text in TEXTS))
    [found] = load_table(path).rows[0][1]["found"]
    assert "look" in found.values() and not any(
        isinstance(value, int | list | dict) for value in found.values()
    )


def test_parts_of_a_text_are_joined_by_what_is_advised(init):
    """snips-nlu's utterances are lists of parts, and its intents the keys of lists."""
    rows = [
        {"data": [{"text": "play "}, {"text": text, "entity": "song"}], "label": label}
        for text, label in zip(TEXTS, LABELS)
    ]
    said = refusal(init, rows, "--text", "data")
    template = re.search("by '(.*)'", said)
    assert template is not None
    _, told = init(rows, "--text", template[1], "--fields", "label")
    assert f'text    "play {TEXTS[0]}"' in told
    Path("intents.json").write_text(
        json.dumps({label: [{"text": text} for text in TEXTS] for label in ("a", "b")})
    )
    with pytest.raises(
        UserError,
        match="are these rows by their label[?] write them as one list, each with its label",
    ):
        load_table("intents.json")


def test_single_quotes_around_cells_are_told_or_left_out(tmp_path):
    """tblock/10kGNAD#7: Topic;'a text; with what separates'."""
    path = tmp_path / "rows.csv"
    path.write_text(
        "topic;text\n" + "".join(f"{label};'well; {text}'\n" for text, label in zip(TEXTS, LABELS))
    )
    assert load_table(path).rows[0][1]["text"] == f"well; {TEXTS[0]}"
    path.write_text(
        "topic;text\n"
        + "".join(f"{label};'well it''s {text}'\n" for text, label in zip(TEXTS, LABELS))
    )
    table = load_table(path)
    assert table.rows[0][1]["text"] == f"well it's {TEXTS[0]}"
    assert table.notes == ["single quotes around its cells, left out"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_carriage_return_within_a_text_makes_no_row(tmp_path, end):
    """SheetJS/sheetjs#2080: of one column of texts each such text was two."""
    path = tmp_path / "rows.csv"
    path.write_bytes(end.join(["text", "please help\r me now", "again it broke", ""]).encode())
    with pytest.raises(UserError, match=r"rows\.csv:2: a carriage return stands within a text"):
        load_table(path)
    # between quotes, at the end of a cell, and as the end of every row it is none
    for lines, texts in (
        (["text", '"please help\r me now"', "again"], ["please help\r me now", "again"]),
        (["text", "please help\r", "again"], ["please help", "again"]),
    ):
        path.write_bytes(end.join(lines).encode())
        assert [row["text"].strip() for _, row in load_table(path).rows] == texts
    path.write_bytes(b"text\rplease help\ragain")
    assert len(load_table(path).rows) == 2


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl"])
def test_spans_of_lists_are_lists_of_spans(tmp_path, name):
    """The Hub's datasets keep a sequence of objects as an object of sequences."""
    spans = [
        {"start": [0, 7], "end": [6, 11], "label": ["A", "B"]},
        {"start": [], "end": [], "label": []},
    ]
    rows = [{"text": text, "entities": spans[i % 2]} for i, text in enumerate(TEXTS)]
    path = tmp_path / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = load_table(path)
    assert table.rows[0][1]["entities"] == [
        {"label": "A", "text": "please"},
        {"label": "B", "text": "look"},
    ]
    assert table.rows[1][1]["entities"] == []
    # other objects of lists stay what they are
    path = tmp_path / "other.jsonl"
    path.write_text(
        "".join(
            json.dumps({"text": text, "items": {"name": ["a"], "qty": [2]}}) + "\n"
            for text in TEXTS
        )
    )
    assert load_table(path).rows[0][1]["items"] == {"name": ["a"], "qty": [2]}
