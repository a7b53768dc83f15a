"""More of what people have reported of other tools; each test names the report."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_vs_api.api.replies import read_reply
from lora_vs_api.cli import app
from lora_vs_api.data.infer import infer_field
from lora_vs_api.data.source import read_table
from lora_vs_api.errors import UserError
from lora_vs_api.record.parsing import parse_record
from tests.commands import lora_vs_api
from tests.fault_server import Fault, FaultServer
from tests.test_api_client import CHAT, MINI, ask
from tests.test_public_reports import STRICT, edited, fetched
from tests.test_replies import chat, responses
from tests.tiny_model import build_tiny_model

ONE = '{"a": "x"}'


# --- models -----------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "dtype"), [("nan", torch.float32), ("inf", torch.float16)])
def test_weights_that_are_no_numbers_are_refused(tmp_path, number, dtype):
    """huggingface/transformers#46002: of a training that diverged, or too large for float16."""
    own = build_tiny_model(tmp_path / "own")
    weights = {
        name: tensor.to(dtype) for name, tensor in load_file(own / "model.safetensors").items()
    }
    # what stands beside the weights may be anything but NaN: a mask is infinite
    weights["model.mask"] = torch.tensor([-float("inf")])
    save_file(weights, own / "model.safetensors", metadata={"format": "pt"})
    fetched(own, tmp_path / "sound")
    name = "model.layers.0.mlp.down_proj.weight"
    weights[name].view(-1)[5] = float(number)
    save_file(weights, own / "model.safetensors", metadata={"format": "pt"})
    told = rf"model\.safetensors: 1 of the 8,192 weights in {re.escape(name)} are no finite numbers"
    with pytest.raises(UserError, match=told):
        fetched(own, tmp_path / "base")
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_weights_whose_scales_would_be_lost_are_refused(tmp_path, dtype):
    """vllm-project/llm-compressor's older form: config.json says compression_config, or nothing at all."""
    own, name = build_tiny_model(tmp_path / "own"), "model.layers.0.mlp.down_proj.weight"
    weights = load_file(own / "model.safetensors")
    weights |= {name: weights[name].to(dtype), f"{name}_scale": torch.ones(1)}
    save_file(weights, own / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        UserError, match=rf"{re.escape(name)} is quantised \({dtype}".replace("torch.", "")
    ):
        fetched(own, tmp_path / "base")


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_a_model_does_not_need_the_attention_that_it_was_made_with(tmp_path, key):
    """'FlashAttention2 has been toggled on, but it cannot be used', of many fine-tunes' config.json."""
    own = build_tiny_model(tmp_path / "own")
    edited(own / "config.json", **{key: "flash_attention_2"})
    base = fetched(own, tmp_path / "base")
    assert key not in json.loads((base / "config.json").read_text())


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("rope_scaling", {"rope_type": "nosuch", "factor": 2.0}, "knows no 'nosuch' in rope_scaling"),
        ("hidden_act", "nosuch", "nosuch.*hidden_act|hidden_act.*nosuch"),
        ("rope_scaling", {"type": "linear"}, "Missing required keys in `rope_parameters`.*factor"),
        ("rope_scaling", 1, "'rope_parameters' with value 1"),
    ],
)  # fmt: skip
def test_a_config_that_makes_no_model_names_the_entry(tmp_path, key, value, told):
    """huggingface/transformers#32167: the error is a word of it, and no more."""
    own = build_tiny_model(tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    config.pop("rope_parameters")
    (own / "config.json").write_text(json.dumps({**config, key: value}))
    with pytest.raises(
        UserError, match=f"config.json and the weights do not make a model .*({told})"
    ):
        fetched(own, tmp_path / "base")


# --- servers ----------------------------------------------------------------------------


@pytest.mark.parametrize("between", ["", "\n"])
def test_json_that_comes_twice_does_not_say_that_the_schema_is_ignored(between):
    """openai/openai-agents-python#1531: it is that text's answer, and a bad one; the others are asked."""
    twice = chat(content=ONE + between + ONE)["choices"]
    fault = Fault("json", body=lambda usual: {**usual, "choices": twice})
    with FaultServer({"mail 0": [fault]}) as server:
        answers = ask(server, 3, STRICT)
        assert len(server.seen) == 3
    assert answers[0].reply.output == ONE + between + ONE
    assert parse_record(answers[0].reply.output) is None
    # an explanation behind it no schema would have let through
    for said in (f"{ONE}\nHere is why", f"Here: {ONE}", "1 2"):
        told = chat(content=said)["choices"]
        fault = Fault("json", body=lambda usual, told=told: {**usual, "choices": told})
        with FaultServer({"mail 0": [fault]}) as server, pytest.raises(UserError, match="ignores"):
            ask(server, 1, STRICT)


def test_a_message_that_is_listed_twice_is_read_once():
    """Effect-TS/effect#6178, docker/docker-agent#3839: the Responses API does so now and then."""

    def message(text, **more):
        parts = [{"type": "output_text", "text": text, "annotations": []}]
        return {"type": "message", "id": "m", "content": parts, **more}

    def output(*items):
        return read_reply({**responses(), "output": list(items)}, MINI).output

    assert output(message(ONE), message(ONE)) == ONE
    assert output(message(ONE), message(ONE, id="n")) == ONE
    assert output(message("a "), message("b", id="n")) == "a b"
    # what is said on the way is no part of the answer, unless there is nothing else
    assert output(message("I look.", phase="commentary"), message(ONE, phase="final_answer")) == ONE
    assert output(message(ONE, phase="commentary")) == ONE


def test_white_space_without_end_is_no_reasoning():
    """openai/openai-node#1185, vllm-project/vllm#13260: a bad answer, and no reason to ask for a higher limit."""

    def cut(text):
        [choice] = chat(content=text)["choices"]
        changed = [{**choice, "finish_reason": "length"}]
        return Fault("json", body=lambda usual: {**usual, "choices": changed})

    with FaultServer({"mail 0": [cut("\n" * CHAT.max_output_tokens)]}) as server:
        answers = ask(server, 2, CHAT)
    assert [answer.reply.outcome for answer in answers] == ["truncated", "answered"]
    # a line end or two stand before an answer that thinking left no room for
    with (
        FaultServer({"mail 0": [cut("\n\n")]}) as server,
        pytest.raises(UserError, match="reasoning took all"),
    ):
        ask(server, 1, CHAT)


# --- files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([{"x": 1}, [1]] * 10, r"^f: .* found object 10 times, such as {'x': 1} and list 10 times, such as \[1\];"),
        (["0x", 1] * 10, r"^f: .* text 10 times, such as '0x' and number 10 times, such as 1;"),
        ([["a", 1]] * 10, r"^f\[\]: .* text 10 times, such as 'a' and number"),
        ([{"x": [{"y": 1}, {"y": "b"}]}] * 10, r"^f\.x\[\]\.y: .* number 10 times, such as 1 and text"),
        ([True, 2] * 10, r"^f: .* boolean 10 times, such as True and number"),
    ],
)  # fmt: skip
def test_values_of_several_types_are_one_line(values, told):
    """huggingface/datasets#7322: not one for every row, that expects what it has found."""
    with pytest.raises(UserError, match=told):
        infer_field("f", values, "json")
    assert infer_field("f", [None, 1, 2.5], "json").spec["type"] == "number"


@pytest.mark.parametrize(
    ("values", "separated"),
    [
        (["1.200,99", "3,5"], True),
        (["1,200.99", "12"], True),
        (["1’200", "7’300.5"], True),
        (["0,5", ""], True),
        (["1.2.3", "4.5.6"], False),
        (["007,1", "008,2"], False),
        (["12,5 kg", "3,1 kg"], False),
    ],
)
def test_numbers_that_are_left_as_texts_are_told(values, separated):
    """pola-rs/polars#18797: a comma may be a point or stand between thousands; which, the file does not say."""
    found = infer_field("amount", values * 9)
    assert found.spec["type"] == "string" or found.spec["type"] == "enum"
    assert ("is not written as JSON has them" in found.why) is separated


def test_a_title_above_the_header_is_no_column_to_name(tmp_path, monkeypatch):
    """MarkPflug/Sylvan.Data.Excel#158: a merged cell is the first alone, and the header stands below it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app, "run_command", lambda command: command())
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("")
    rows = "".join(f"text number {i},{'ab'[i % 2]},{i}\n" for i in range(20))
    path = tmp_path / "a.csv"
    path.write_text(f"Complaints,,\ntext,kind,n\n{rows}")
    told = (
        r"a\.csv:1: .*header seems to be the line below 'Complaints': take out the lines above it"
    )
    with pytest.raises(UserError, match=told):
        lora_vs_api("init", str(path))
    # alone in its line it has no empty cells beside it
    path.write_text(f"Complaints\ntext,kind,n\n{rows}")
    with pytest.raises(
        UserError, match="expected 1 cells as in the header, found 3; the header seems"
    ):
        lora_vs_api("init", str(path))
    # with two names it is a column that lacks one
    path.write_text(f"text,,n\n{rows}")
    with pytest.raises(UserError, match="column 2 without a name holds 'a'; name it"):
        lora_vs_api("init", str(path))


@pytest.mark.parametrize("name", ["a.xls", "a.xlsx", "a.csv", "a.jsonl"])
def test_a_web_page_is_no_table(tmp_path, name):
    """pandas-dev/pandas#8200: exported under a spreadsheet's name, or what a link gives without a login."""
    path = tmp_path / name
    path.write_text("\ufeff\n<!-- a -->\n<HTML><table><tr><td>text</td></tr></table></HTML>")
    with pytest.raises(UserError, match=rf"{name}: is a web page \(HTML\), whatever its name says"):
        read_table(path)
