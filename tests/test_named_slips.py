"""Slips that are named in a line, before they cost anything: each once went unseen or came out wrong."""

from __future__ import annotations

import copy
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import pytest
import yaml

from lora_vs_api.cli import export, predict
from lora_vs_api.config.compose import compose
from lora_vs_api.config.examples import written_examples
from lora_vs_api.config.load import _in_project, check_params
from lora_vs_api.config.sections import Condition
from lora_vs_api.data.formats.sheets import sheet_rows
from lora_vs_api.data.source import read_source
from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_jsonl
from lora_vs_api.record.fields import Field, fields_from_config, renamed
from stages.teacher import check_nobody_needs_gold

OWN = {"name": "x", "as_of": "2026-11", "input": 1.0, "cached_input": None, "output": 4.0}
SHOTS = {"file": "examples.jsonl", "k": 1, "sha256": "0" * 64}


@pytest.fixture(scope="module")
def composed():
    return yaml.safe_load(compose(["api=openai"]))


@pytest.fixture
def raw(composed):
    return copy.deepcopy(composed)


def condition(**keys) -> Condition:
    needed = {
        "model": "m", "weights": "w", "shots": 0, "output": "text", "temperature": 0,
        "reasoning_effort": None,
    }  # fmt: skip
    return Condition.model_validate(needed | keys)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("conditions.mini_zero_shot.server", "https://user:hunter22@host/v1"),
        ("conditions.mini_zero_shot.server", ["sk-hunter22hunter22"]),
        (
            "conditions.mini_zero_shot.server",
            {"base_url": "x", "key_env": None, "endpoint": "sk-hunter22"},
        ),
        (
            "conditions.mini_zero_shot.server",
            {"base_url": "x", "key_env": None, "endpoint": "chat", "instruction_role": "sk-hunter22"},
        ),
        ("api.server", "https://user:hunter22@host/v1"),
        ("api.server.kind", "sk-hunter22"),
    ],
)  # fmt: skip
def test_what_may_be_a_secret_is_not_shown_wherever_it_stands(raw, place, value):
    *sections, name = place.split(".")
    inner = raw
    for section in sections:
        inner = inner[section]
    inner[name] = value
    with pytest.raises(UserError, match=place) as caught:
        check_params(raw)
    assert "expected" in str(caught.value) and "hunter22" not in str(caught.value)


@pytest.mark.parametrize(
    ("price", "said"),
    [
        (OWN | {"as_of": 2026}, "priced_as.mini_zero_shot.as_of: expected a time in quotes, such as '2026-11', found 2026"),
        ({k: v for k, v in OWN.items() if k != "as_of"}, "priced_as.mini_zero_shot.as_of: missing; expected a section with"),
        (OWN | {"asof": 1}, r"priced_as.mini_zero_shot.asof: unknown key \(did you mean as_of\?\)"),
        (3, "priced_as.mini_zero_shot: expected string"),
    ],
)  # fmt: skip
def test_a_price_in_place_names_the_key_at_fault(raw, price, said):
    raw["priced_as"]["mini_zero_shot"] = price
    with pytest.raises(UserError, match=said):
        check_params(raw)


@pytest.mark.parametrize("place", ["task", "condition"])
def test_a_blank_instruction_is_none(raw, place):
    section = raw["task"] if place == "task" else raw["conditions"]["mini_zero_shot"]
    section["instruction"] = " \n "
    with pytest.raises(UserError, match=r"instruction: expected a text"):
        check_params(raw)


def test_a_file_of_examples_is_checked_with_the_rest(raw, tmp_path, monkeypatch):
    """Where it is there; a copy that DVC made reads the project's."""
    raw["conditions"]["mini_zero_shot"]["shots"] = SHOTS
    copy_ = tmp_path / ".dvc" / "tmp" / "exps" / "tmp1"
    copy_.mkdir(parents=True)
    monkeypatch.chdir(copy_)
    there = _in_project(check_params(raw), copy_).conditions["mini_zero_shot"]
    with pytest.raises(UserError, match=r"^conditions\.c\.shots\.file: no such file"):
        written_examples("c", there, ())
    write_jsonl(tmp_path / "examples.jsonl", [{"text": "To Rome", "record": {}}])
    assert there.shots.file == str(tmp_path / "examples.jsonl")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"conditions\.mini_zero_shot\.shots\.sha256: .* has "):
        check_params(raw)
    here = SHOTS | {"sha256": file_sha256("examples.jsonl")}
    raw["conditions"]["mini_zero_shot"]["shots"] = here
    with pytest.raises(UserError, match=r"shots\.file: example 1: "):
        check_params(raw)


def test_rivals_that_need_gold_are_named_before_the_teacher_is_paid():
    by_hand = condition(shots={"examples": [{"text": "x", "record": {}}]})
    check_nobody_needs_gold([], {"a": condition(), "b": by_hand})
    with pytest.raises(UserError) as caught:
        check_nobody_needs_gold(["nearest"], {"a": condition(), "c": condition(shots=5)})
    said = str(caught.value)
    assert "model_free: [] instead of nearest; conditions.c.shots: 0 instead of 5" in said
    assert "conditions.a" not in said and "\n" not in said


def test_a_key_of_its_own_is_not_overwritten_by_one_that_is_renamed(tmp_path):
    fields = fields_from_config({"a": {"type": "string", "from": "b"}})
    assert renamed({"b": "x"}, fields) == {"a": "x"}
    # each other's name: nothing is lost
    both = fields_from_config({n: {"type": "string", "from": o} for n, o in ("ab", "ba")})
    assert renamed({"a": "1", "b": "2"}, both) == {"a": "2", "b": "1"}
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{"text": "t", "record": {"a": "mine", "b": "x"}}])
    with pytest.raises(
        UserError, match=r"rows\.jsonl:1: record\.a: expected no such key beside 'b'"
    ):
        read_source(path, fields, "text", "record", None)


def test_a_broken_spreadsheet_is_one_line(tmp_path):
    """Its XML is a SyntaxError to the parser."""
    openpyxl = pytest.importorskip("openpyxl")
    good, bad = tmp_path / "good.xlsx", tmp_path / "bad.xlsx"
    openpyxl.Workbook().save(good)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        for name in source.namelist():
            target.writestr(name, b"<oh" if name == "xl/workbook.xml" else source.read(name))
    with pytest.raises(UserError, match=r"bad\.xlsx: not readable as a spreadsheet") as caught:
        sheet_rows(bad, [])
    assert "\n" not in str(caught.value)


def test_no_column_takes_a_key_of_an_escalated_answer(tmp_path):
    write_jsonl(tmp_path / "new.jsonl", [{"text": "t", "sure": 1}])
    for name in ("answered_by", "sure", "raw_sure", "sure_fields", "draft"):
        assert name in predict.WRITTEN
    with pytest.raises(UserError, match="'sure' is a key of the answer"):
        predict.read_texts(str(tmp_path / "new.jsonl"), "text", None, keep=["sure"])


def test_the_exported_client_says_how_it_is_called(tmp_path):
    params = SimpleNamespace(
        task=SimpleNamespace(instruction="Do.", record_fields=(Field("a", "string"),)),
        decoding=SimpleNamespace(max_new_tokens=9, constrained=False),
        model=SimpleNamespace(template_arguments=None),
    )
    export._write_how_to_ask(tmp_path, params, "served")
    ran = subprocess.run(
        [sys.executable, str(tmp_path / export.CLIENT)], capture_output=True, text=True, check=False
    )
    assert ran.returncode and 'client.py "a text"' in ran.stderr
    assert "Traceback" not in ran.stderr
