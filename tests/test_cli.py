"""The commands after a run: records for new texts, a model that other servers take."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import openai
import pytest
import yaml

from lora_vs_api.cli.compare import NOTHING, _rows
from lora_vs_api.cli.evaluate import _show_scores
from lora_vs_api.config.load import load_params
from lora_vs_api.files import read_jsonl
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.record.fields import fields_from_config
from lora_vs_api.record.json_schema import json_schema, task_sha256
from lora_vs_api.scoring.scores import score_output
from lora_vs_api.training.examples import chat_examples
from lora_vs_api.training.train import TrainingPolicy, train_adapter
from lora_vs_api.validation.records import violations
from tests.commands import exit_code, lora_vs_api
from tests.imports import ROOT
from tests.test_model import SPEC
from tests.tiny_model import build_tiny_model

FIELDS = {
    "who": {"type": "string", "score": "exact"},
    "level": {"type": "integer", "minimum": 1, "maximum": 5, "score": "exact"},
}
ROWS = [{"text": f"Ann wants {n}", "record": {"who": "Ann", "level": n}} for n in (1, 2, 3, 4)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project in which seed 1 was trained."""
    root = tmp_path_factory.mktemp("project")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["seeds"] = params["cascade"]["seeds"] = [1, 2]
    # in the process: tests/test_serving.py asks the server
    params["serving"] |= {"engine": "transformers", "weights": "models/train", "converted": []}
    params["task"] = {"fields": FIELDS, "instruction": "Extract.", "group_by": None, "weights": {}}
    params["split"]["stratify_by"] = None
    params["contamination"]["field"] = None
    params["runtime"]["dtype"] = "float32"
    params["decoding"]["max_new_tokens"] = 40
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    build_tiny_model(root / "models/base_model")
    train_adapter(
        root / "models/base_model", chat_examples(ROWS, "Extract.", fields_from_config(FIELDS)), SPEC,
        resolve_runtime("cpu", "float32"), root / "models/train/seed-1", TrainingPolicy("t"),
    )  # fmt: skip
    return root


@pytest.fixture
def project(finished, monkeypatch):
    monkeypatch.chdir(finished)
    return finished


def failing(capsys, *arguments):
    assert exit_code(*arguments) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "Traceback" not in error
    return error


def test_one_text_gives_one_record(project, capsys, monkeypatch):
    """What a shell script reads: one line of JSON on stdout, of the schema, nothing else."""
    lora_vs_api("predict", "Ann wants 3", "--constrained")
    said = capsys.readouterr()
    assert "measured without it" in said.err
    first = said.out
    assert violations(json.loads(first), fields_from_config(FIELDS)) == [] and "\n" in first
    monkeypatch.setattr("sys.stdin", io.StringIO("Ann wants\n2\n"))
    lora_vs_api("predict", "-", "--constrained")
    assert violations(json.loads(capsys.readouterr().out), fields_from_config(FIELDS)) == []


def test_a_file_of_texts_gives_a_file_of_records(project, capsys):
    """Ids and order are kept; batching changes no answer."""
    rows = [{"id": f"x{n}", "mail": f"Ann wants {n}"} for n in range(5)]
    (project / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for size in ("1", "4"):
        lora_vs_api("predict", "--input", "in.jsonl", "--column", "mail", "--output", f"{size}.jsonl",
              "--batch-size", size)  # fmt: skip
    assert "5 records written to 4.jsonl" in capsys.readouterr().err
    found = read_jsonl(project / "4.jsonl")
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    assert found == read_jsonl(project / "1.jsonl")


def test_columns_asked_for_go_along_and_none_takes_an_answer_s_place(project, capsys):
    """Whoever joins the records with their table needs its key; a record must not be overwritten by a column."""
    row = {"id": 7, "text": "Ann wants 1", "customer": "c1", "record": "old", "date": None}
    (project / "keep.jsonl").write_text(json.dumps(row) + "\n")
    lora_vs_api("predict", "--input", "keep.jsonl", "--keep", "customer, date", "--constrained")
    found = json.loads(capsys.readouterr().out)
    assert (found["id"], found["customer"], found["date"]) == (7, "c1", None)
    assert found["record"] != "old" and "text" not in found
    for name, message in (("custmer", "did you mean customer"), ("record", "a key of the answer")):
        assert message in failing(capsys, "predict", "--input", "keep.jsonl", "--keep", name)
    assert "--keep: names columns of --input" in failing(capsys, "predict", "a", "--keep", "id")


@pytest.mark.parametrize("command", [("predict", "a"), ("compare", "a"), ("export", "out")])
def test_an_adapter_of_another_task_is_refused(project, capsys, command):
    """A task chosen after a training: its answers would be the other task's, in this one's name."""
    params, record = project / "params.yaml", project / "models/train/seed-1/training.json"
    before, trained = params.read_text(), record.read_text()
    read = yaml.safe_load(before)["task"]
    ours = task_sha256(read["instruction"], fields_from_config(read["fields"]))
    spec = json.loads(trained)
    spec["spec"]["task_sha256"] = ours
    try:
        record.write_text(json.dumps(spec))
        lora_vs_api("predict", "Ann wants 3")
        capsys.readouterr()
        params.write_text(before.replace("instruction: Extract.", "instruction: Extract it."))
        assert "another instruction or other fields" in failing(capsys, *command)
    finally:
        params.write_text(before)
        record.write_text(trained)


def labelled(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_second_labelled_file_is_scored_at_any_time(project, capsys):
    """As the run was measured, with an interval that says what it is of, and what trained the model told."""
    (project / "data/split").mkdir(parents=True, exist_ok=True)
    trained = {"id": "r1", **ROWS[0], "text": "Ann  wants 1 "}
    labelled(project / "data/split/train.jsonl", [trained])
    path = labelled(project / "second.jsonl", ROWS)
    lora_vs_api("evaluate", path, "--output", "scored.jsonl")
    said = capsys.readouterr()
    scored = read_jsonl(project / "scored.jsonl")
    for row, expected in zip(scored, ROWS, strict=True):
        score = score_output(row["output"], expected["record"], fields_from_config(FIELDS))
        assert (row["field_f1"], row["exact_match"]) == (
            round(score.field_f1, 6),
            score.exact_match,
        )
    mean = sum(row["field_f1"] for row in scored) / 4
    shown = re.search(r"field F1 +([\d.]+) +([\d.]+) to ([\d.]+)", said.out)
    low, high = float(shown[2]), float(shown[3])
    assert float(shown[1]) == pytest.approx(mean, abs=1e-3) and 0 <= low <= mean <= high <= 1
    assert low < high
    assert re.search(r"\n  who +[\d.]+\n  level +[\d.]+\n", said.out)
    assert "Intervals: Jeffreys over texts; of this one training" in said.err
    assert "1 of the texts also stands in" in said.err


def test_each_way_in_which_an_interval_was_made_is_named(project, capsys):
    """Of a mean score it is another than of a share, and the last one stood for all."""
    fields, rows = fields_from_config(FIELDS), [{"id": "a", **row} for row in ROWS]
    outputs = [json.dumps(row["record"] if n % 2 else {"who": "Ann"}) for n, row in enumerate(rows)]
    scores = [
        score_output(said, row["record"], fields) for said, row in zip(outputs, rows, strict=True)
    ]
    _show_scores(load_params(), "a.csv", "seed-1", rows, scores, [])
    assert (
        "Intervals: Bayesian bootstrap over texts / Jeffreys over texts;" in capsys.readouterr().err
    )


def test_a_second_file_counts_the_task_s_groups_where_it_has_them(project, capsys):
    """Four mails of one situation are no four situations; a file without the column says what it counts."""
    params = project / "params.yaml"
    before = params.read_text()
    changed = yaml.safe_load(before)
    changed["task"]["group_by"] = "situation"
    try:
        params.write_text(yaml.safe_dump(changed, sort_keys=False))
        grouped = [{**row, "situation": "ab"[n % 2]} for n, row in enumerate(ROWS)]
        lora_vs_api("evaluate", labelled(project / "grouped.jsonl", grouped))
        assert "over texts clustered by situation" in capsys.readouterr().err
        lora_vs_api("evaluate", labelled(project / "plain.jsonl", ROWS))
        said = capsys.readouterr().err
        assert "clustered" not in said and "every text counts as independent" in said
        # a gap in the column is no group of its own
        bad = [*grouped, {**ROWS[0], "situation": " "}]
        error = failing(capsys, "evaluate", labelled(project / "gap.jsonl", bad))
        assert "gap.jsonl:5: situation: expected a text or a number to group by" in error
    finally:
        params.write_text(before)


def test_a_second_file_is_shown_by_column_and_field(project, capsys):
    """Each value with its texts alone; a file that lacks a column of the task's slices is scored all the same."""
    rows = [{**row, "room": room} for row, room in zip(ROWS, ["hall", "hall", None, "hall"])]
    path = labelled(project / "sliced.jsonl", rows)
    lora_vs_api("evaluate", path, "--slices", "room,level", "--output", "sliced-scores.jsonl")
    said = capsys.readouterr().out
    scores = [row["field_f1"] for row in read_jsonl(project / "sliced-scores.jsonl")]
    hall = (scores[0] + scores[1] + scores[3]) / 3
    assert re.search(rf"field F1 by room\n  hall +{hall:.3f}  [\d.]+ to [\d.]+, 3 texts\n", said)
    # of one text nothing can be told about others
    assert re.search(rf"  \(empty\) +{scores[2]:.3f}  1 text\nfield F1 by level\n", said)
    params = project / "params.yaml"
    before = params.read_text()
    try:
        params.write_text(yaml.safe_dump({**yaml.safe_load(before), "slices": ["situation"]}))
        lora_vs_api("evaluate", labelled(project / "plain.jsonl", ROWS))
        assert "slices: situation is no column of this file" in capsys.readouterr().err
    finally:
        params.write_text(before)
    error = failing(capsys, "evaluate", path, "--slices", "rom")
    assert "error: --slices: " in error and "found 'rom' (did you mean room?)" in error


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"text": "a", "record": {"who": "Ann", "level": 9}}],
            "record.level: expected an integer 1..5",
        ),
        ([{"text": "a"}], "data.record: .* has no column 'record'"),
        ([{"text": "a", "record": {"who": "Ann"}}], "task.fields.level: no record has such a key"),
        ([], "no rows in it"),
    ],
)
def test_a_second_file_that_does_not_fit_is_a_line_and_nothing_is_asked(
    project, capsys, rows, message
):
    path = labelled(project / "second.jsonl", rows)
    assert re.search(message, failing(capsys, "evaluate", path, "--output", "never.jsonl"))
    assert not (project / "never.jsonl").exists()
    assert "--seed: expected one of 1, 2" in failing(capsys, "evaluate", path, "--seed", "9")


def test_an_answer_that_is_no_json_is_shown_and_counted(project, capsys):
    """Unconstrained, a bad answer must not pass for an empty record."""
    lora_vs_api("predict", "Ann wants 3", "--no-constrained")
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert answer["record"] is None and answer["output"]
    assert "1 of 1 answers are no JSON object" in said.err


def test_all_rows_without_a_text_are_named_and_nothing_is_asked(project, capsys):
    """Whoever sends a file mends it once."""
    (project / "bad.csv").write_text('id,text\na,fine\nb,\nc," "\n')
    error = failing(capsys, "predict", "--input", "bad.csv", "--output", "never.jsonl")
    assert "bad.csv:3: text: expected a text" in error and "bad.csv:4: text:" in error
    assert not (project / "never.jsonl").exists()


def test_a_text_that_the_model_cannot_hold_is_named_and_nothing_is_asked(project, capsys):
    """The row, its tokens and the limit, instead of a record read out of what was cut off."""
    long = "Ann wants 3 " * 2000
    rows = [{"id": "a", "text": "Ann wants 3"}, {"id": "b-7", "text": long}]
    (project / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    error = failing(capsys, "predict", "--input", "long.jsonl", "--output", "never.jsonl")
    assert re.search(
        r"long\.jsonl: row b-7: its prompt of [\d,]+ tokens .* the 8,192 tokens", error
    )
    assert "row a" not in error and not (project / "never.jsonl").exists()
    assert "the text: its prompt of " in failing(capsys, "predict", long)
    assert "the text: its prompt of " in failing(capsys, "compare", long)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict"], "expected either a text or --input FILE"),
        (["predict", "a", "--input", "b.csv"], "expected either a text or --input FILE"),
        (["predict", " "], "expected a text, found an empty one"),
        (["predict", "a", "--seed", "7"], "--seed: expected one of 1, 2, found 7"),
        (["predict", "a", "--seed", "2"], "models/train/seed-2/adapter_config.json: not there"),
        (["predict", "a", "--batch-size", "0"], "--batch-size: expected an integer ≥ 1"),
        (["predict", "--input", "none.csv"], "none.csv: no such file"),
        (["predict", "--input", "some.csv", "--column", "x"], "has no column 'x'; it has text"),
        (["compare", "a", "--seed", "7"], "--seed: expected one of"),
        (["export", "."], ".: is not empty"),
        (["export", "params.yaml"], "params.yaml: is a file; name a new folder"),
    ],
)
def test_a_mistake_is_one_line(project, capsys, arguments, message):
    """No traceback, and the line says what to do."""
    (project / "some.csv").write_text("text\nhello\n")
    assert message in failing(capsys, *arguments)


def rule(project, threshold, target="small_nearest_3", fields=("who", "level")):
    """One as the pipeline writes it: half as sure as the raw confidence."""
    curve = {"x": [0.0, 1.0], "y": [0.0, 0.5]}
    found = {"target": target, "threshold": threshold, "text": curve,
             "fields": dict.fromkeys(fields, curve)}  # fmt: skip
    (project / "metrics").mkdir(exist_ok=True)
    (project / "metrics/cascade_rule.json").write_text(json.dumps(found))


@pytest.fixture
def asked(project, monkeypatch):
    """The texts that the condition was asked, which answers each with one record."""
    from lora_vs_api.api import asking
    from lora_vs_api.api.types import Answer, ConditionRun, Reply

    texts: list[str] = []

    def ask_condition(params, name, rows, fields, train):
        assert name == "small_nearest_3" and train
        texts.extend(row["text"] for row in rows)
        said = Reply('{"who": "Bo", "level": 2}', "answered", 1, 1, 0)
        answers = [Answer(row["id"], said, 0.1, 1) for row in rows]
        return ConditionRun(answers, [False] * len(rows), [], 1.0)

    monkeypatch.setattr(asking, "ask_condition", ask_condition)
    for needed in ("models/opponent/small.gguf", "data/split/train.jsonl"):
        (project / needed).parent.mkdir(parents=True, exist_ok=True)
        (project / needed).write_text(json.dumps(ROWS[0]) + "\n")
    return texts


def test_what_the_fine_tune_is_unsure_of_is_handed_on(project, capsys, asked):
    """Who answered and how sure the fine-tune was stands beside each record; nobody is asked twice."""
    rule(project, threshold=1.0)
    lora_vs_api("predict", "Ann wants 3", "--escalate")
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["record"] == {"who": "Bo", "level": 2} and asked == ["Ann wants 3"]
    assert found["answered_by"] == "small_nearest_3" and 0 <= found["sure"] <= 0.5
    assert set(found["sure_fields"]) == {"who", "level"}
    assert "1 of 1 escalated to small_nearest_3" in said.err
    rule(project, threshold=-1.0)
    lora_vs_api("predict", "Ann wants 3", "--escalate")
    own = json.loads(capsys.readouterr().out)
    assert own["answered_by"] == "fine-tune" and asked == ["Ann wants 3"]


def test_a_person_gets_the_draft(project, capsys):
    """Nobody is asked: the record is still to come, and is not counted as one that failed."""
    rule(project, threshold=1.0, target="person")
    (project / "in.csv").write_text("id,text\na,Ann wants 3\nb,Ann wants 2\n")
    lora_vs_api("predict", "--input", "in.csv", "--output", "out.jsonl", "--escalate")
    found = read_jsonl(project / "out.jsonl")
    assert [(row["id"], row["answered_by"], row["record"]) for row in found] == [
        ("a", "person", None), ("b", "person", None),
    ]  # fmt: skip
    assert all("draft" in row for row in found)
    assert "no JSON object" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, "metrics/cascade_rule.json: no such file; run `dvc repro`"),
        ("null", "--escalate: metrics/cascade_rule.json holds no rule"),
        ({"fields": ("other",)}, "is of a task with other fields"),
        ({"target": "gone"}, "the rule escalates to gone, which is no condition of params.yaml"),
        ({}, "models/opponent/small.gguf: not there, and small_nearest_3 cannot be asked"),
    ],
)
def test_a_rule_that_cannot_be_used_is_one_line(project, capsys, made, message):
    """Before the fine-tune answers anything."""
    path = project / "metrics/cascade_rule.json"
    path.unlink(missing_ok=True)
    (project / "models/opponent/small.gguf").unlink(missing_ok=True)
    if made == "null":
        path.write_text("null")
    elif made is not None:
        rule(project, 0.5, **made)
    assert message in failing(capsys, "predict", "Ann wants 3", "--escalate")


def test_compare_marks_where_the_answers_differ(project, capsys):
    """The question behind the command is what the training changed."""
    lora_vs_api("compare", "Ann wants 3", "--constrained")
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].split() == ["field", "LoRA", "seed-1", "untuned"]
    assert [line.replace("≠", " ").split()[0] for line in lines[1:]] == ["who", "level"]
    for line in lines[1:]:
        # a constrained answer of this model is one long word or a number: no spaces in a cell
        *_, ours, theirs = re.split(r"\s{2,}", line.strip())
        assert line.startswith("≠") == (ours != theirs)
    assert "Not asked: large_zero_shot_schema" in said.err


def test_what_a_field_holds_is_compared_value_by_value():
    """An object on one line was cut before the value in which two answers differ."""
    ours = {"name": "Zoé", "to": {"town": "Köln", "country": "DE"}}
    values = [ours, {**ours, "to": {"town": "Lyon"}}, NOTHING, {"name": "Zoé", "to": None}]
    assert list(_rows("who", values)) == [
        ("who.name", ['"Zoé"', '"Zoé"', "–", '"Zoé"']),
        ("who.to.town", ['"Köln"', '"Lyon"', "–", "–"]),
        ("who.to.country", ['"DE"', "–", "–", "–"]),
    ]
    items = [[{"n": 1}, {"n": 2}], [{"n": 1}], NOTHING]
    assert list(_rows("items", items)) == [
        ("items[0].n", ["1", "1", "–"]),
        ("items[1].n", ["2", "–", "–"]),
    ]
    # an empty list, and what is of two types, stay as they are
    assert list(_rows("items", [[], None])) == [("items", ["[]", "null"])]
    # what is empty or of another kind is seen
    assert list(_rows("a", [{}, None])) == [("a", ["{}", "null"])]
    assert list(_rows("a", [{}, {}])) == [("a", ["{}", "{}"])]
    assert list(_rows("a", ["x", {"b": "y"}])) == [("a", ['"x"', '{"b": "y"}'])]
    assert list(_rows("a", ["x", ["y"]])) == [("a", ['"x"', '["y"]'])]
    assert list(_rows("a", [{"b": {}}, {"b": None}])) == [("a.b", ["{}", "null"])]
    assert list(_rows("items", [["a"], {"a": 1}])) == [("items", ['["a"]', '{"a": 1}'])]


def test_the_exported_model_answers_as_the_evaluated_one(project, capsys, tmp_path):
    """A server that loads the folder with plain transformers has to give the report's answers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from lora_vs_api.inference.generate import generate
    from lora_vs_api.model.loading import load_tokenizer, load_tuned
    from lora_vs_api.record.prompt import messages

    lora_vs_api("export", str(tmp_path / "merged"))
    printed = capsys.readouterr().out
    assert "vllm serve" in printed
    assert (tmp_path / "merged/prompt.txt").read_text() == "Extract."
    schema = json.loads((tmp_path / "merged/schema.json").read_text())
    assert schema == json_schema(fields_from_config(FIELDS))
    prompts = [messages("Extract.", row["text"], fields_from_config(FIELDS)) for row in ROWS]
    mine = generate(
        load_tuned("models/base_model", "models/train/seed-1", resolve_runtime("cpu", "float32")),
        load_tokenizer("models/base_model", "<|endoftext|>"),
        prompts, max_new_tokens=20, batch_size=4, description="t",
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", use_safetensors=True)
    for prompt, answer in zip(prompts, mine, strict=True):
        ids = tokenizer.apply_chat_template(
            list(prompt), add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad():
            produced = model.generate(**ids, max_new_tokens=20, do_sample=False)
        text = tokenizer.decode(produced[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        assert text == answer.output


@pytest.mark.slow
def test_the_printed_command_serves_the_exported_model(project, capsys, tmp_path):
    """`transformers serve` as export prints it, asked through the real client: the same answer."""
    from lora_vs_api.inference.generate import generate
    from lora_vs_api.model.loading import load_tokenizer, load_tuned
    from lora_vs_api.record.prompt import messages

    lora_vs_api("export", str(tmp_path / "merged"))
    printed = capsys.readouterr().out
    command = next(line for line in printed.splitlines() if "transformers serve" in line).split()
    prompt = messages("Extract.", ROWS[0]["text"], fields_from_config(FIELDS))
    (mine,) = generate(
        load_tuned("models/base_model", "models/train/seed-1", resolve_runtime("cpu", "float32")),
        load_tokenizer("models/base_model", "<|endoftext|>"),
        [prompt], max_new_tokens=20, batch_size=1, description="t",
    )  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = dict(os.environ, HF_HUB_OFFLINE="1")
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    server = subprocess.Popen(
        [*command, "--port", str(port), "--dtype", "float32", "--device", "cpu"],
        env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        client = openai.OpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0
        )
        answer = None
        deadline = time.monotonic() + 120
        while answer is None and time.monotonic() < deadline and server.poll() is None:
            try:
                answer = client.chat.completions.create(
                    model=str(tmp_path / "merged"),
                    messages=prompt,
                    temperature=0,
                    max_tokens=20,
                )
            except openai.APIConnectionError:
                time.sleep(0.5)
        assert answer is not None, f"the server ended with {server.poll()}"
        assert answer.choices[0].message.content == mine.output
        # ten lines of the standard library, for whoever puts the folder on a server
        asked = [sys.executable, tmp_path / "merged/client.py", ROWS[0]["text"]]
        client_said = subprocess.run(
            [*asked, f"http://127.0.0.1:{port}/v1"], capture_output=True, text=True, check=True
        )
        assert client_said.stdout.startswith(mine.output.rstrip("\n")[:20])
        # port 9 is nobody's
        nobody = [*asked, "http://127.0.0.1:9/v1"]
        told = subprocess.run(nobody, capture_output=True, text=True, check=False)
        assert told.returncode == 1 and told.stderr.count("\n") == 1
        assert told.stderr.startswith("http://127.0.0.1:9/v1: ")
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def measured(project):
    """A project whose evaluation is there: seed 1 answered eight test texts, each right."""
    rows = [
        {"id": f"r{n}", "text": f"Ann wants {n} of them", "record": {"who": "Ann", "level": 1 + n % 4}}
        for n in range(24)
    ]  # fmt: skip
    (project / "data/split").mkdir(parents=True, exist_ok=True)
    for name, first in (("train", 0), ("val", 8), ("test", 16)):
        labelled(project / f"data/split/{name}.jsonl", rows[first : first + 8])
    folder = project / "predictions/evaluate/lora-seed-1"
    folder.mkdir(parents=True, exist_ok=True)
    labelled(folder / "predictions.jsonl", [
        {"id": row["id"], "output": json.dumps(row["record"]), "outcome": "answered"}
        for row in rows[16:]
    ])  # fmt: skip
    labelled(
        folder / "usage.jsonl",
        [{"id": row["id"], "input_tokens": 1, "output_tokens": 1} for row in rows[16:]],
    )
    return rows


@pytest.mark.slow
def test_new_texts_are_held_against_the_measured_ones(project, capsys, measured):
    """Texts of any source with or without labels; what is shown, written and kept is the same thing."""
    new = [{"text": f"Bo needs {n} more"} for n in range(20)]
    labelled(project / "new.jsonl", [*new, *({**row, "record": measured[0]["record"]} for row in new[:8])])  # fmt: skip
    arguments = ("monitor", "new.jsonl", "--output", "found.json", "--state", "kept.json")
    # the tiny model answers no record, where the measured answers were right: both have changed
    assert exit_code(*arguments) == 4
    said = capsys.readouterr()
    found = json.loads((project / "found.json").read_text())
    assert found["exit_code"] == 4 and found["texts"] == 28 and said.out.endswith("\n".join(found["verdict"]) + "\n")  # fmt: skip
    drifted = {check["name"] for check in found["checks"] if check["drift"]}
    assert "answers: level" in drifted and "unknown words" in drifted
    assert [each["name"] for each in found["unjudged"]] == ["confidence"]
    assert (found["quality"]["outcome"], found["quality"]["added"]) == ("fell", 8)
    kept = (project / "kept.json").read_bytes()
    assert exit_code(*arguments) == 4
    again = json.loads((project / "found.json").read_text())["quality"]
    assert (again["added"], again["repeated"], again["looks"]) == (0, 8, 1)
    assert (project / "kept.json").read_bytes() == kept
    # without labels nothing is counted, and drift alone is another code
    labelled(project / "bare.jsonl", new)
    assert exit_code("monitor", "bare.jsonl") == 3
    assert "no labelled text has been counted" in capsys.readouterr().out
    assert not (project / "models/monitor").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows in it"),
        ([{"mail": "a"}], "data.text: new.jsonl has no column 'text'; it has mail"),
        ([{"text": "a"}, {"text": " "}], "new.jsonl:2: text: expected a text, found an empty one"),
        (
            [{"text": "a"}, {"text": "b", "record": {"who": "Ann", "level": 9}}],
            "new.jsonl:2: record.level: expected an integer 1..5",
        ),
    ],
)
def test_what_cannot_be_monitored_is_a_line(project, capsys, measured, rows, message):
    labelled(project / "new.jsonl", rows)
    for state in ("none.json", "kept.json"):
        assert message in failing(capsys, "monitor", "new.jsonl", "--state", state)
    assert not (project / "none.json").exists()


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ("{", "expected what `monitor` has written: name another file with --state"),
        ("[]", "expected what `monitor` has written: name another file with --state"),
        (
            {"adapter_sha256": "0" * 64, "asked_sha256": "0" * 64, "group_by": None, "measured": 1, "threshold": 0.5, "alarm": 0.1,
             "looks": 0, "fell_at": None, "texts": []},
            "kept.json: counts labelled texts of another fine-tune; name a new file with --state",
        ),
    ],
)  # fmt: skip
def test_a_state_that_is_not_of_this_fine_tune_is_left_alone(
    project, capsys, measured, kept, message
):
    """Labels are dear: what was counted is never written over."""
    labelled(project / "new.jsonl", [{"text": "a"}])
    text = kept if isinstance(kept, str) else json.dumps(kept)
    (project / "kept.json").write_text(text)
    assert message in failing(capsys, "monitor", "new.jsonl", "--state", "kept.json")
    assert (project / "kept.json").read_text() == text
