"""What people have reported of other tools, tried here: models, servers and files of theirs."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoTokenizer

from lora_vs_api.api.batch_files import read_results
from lora_vs_api.api.oddities import odd_counts
from lora_vs_api.api.replies import read_reply
from lora_vs_api.api.types import Answer, NoAnswer, Reply
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.config.sections import PathWeights
from lora_vs_api.data.checks import token_warnings
from lora_vs_api.data.infer import infer_field
from lora_vs_api.data.json_values import cell_value
from lora_vs_api.data.source import read_table, value_of
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl
from lora_vs_api.inference.decoding import answer_text
from lora_vs_api.inference.extractor import Extractor
from lora_vs_api.inference.generate import Generation, encode_prompt
from lora_vs_api.model.loading import load_base, load_tokenizer, load_tuned
from lora_vs_api.record.fields import Field, fields_from_config
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.training import train as training
from lora_vs_api.training.adapters import peft_config
from lora_vs_api.training.examples import chat_examples, check_examples
from lora_vs_api.training.train import TrainingPolicy, train_adapter
from lora_vs_api.weights.fetch import fetch_base
from stages import corpus
from tests import test_architectures as architectures
from tests.commands import lora_vs_api
from tests.fault_server import Fault, FaultServer
from tests.test_api_client import CHAT, MINI, ask, requests
from tests.test_cases import twenty, written
from tests.test_model import CPU, SPEC
from tests.test_replies import BOTH, chat, responses, with_usage
from tests.test_weights import two_files, write_index
from tests.tiny_model import CHAT_TEMPLATE, build_tiny_model

FIELDS = (Field("who", "string", "exact"), Field("said", "string", "exact"))
# blanks before punctuation, and the same words again and again
ROWS = [
    {"id": "a", "text": "Anna asks", "record": {"who": "Anna", "said": "Quoi ? Quoi ? Quoi ?"}},
    {
        "id": "b",
        "text": "Bo is told",
        "record": {"who": "Bo Bo Bo", "said": "n 't , n 't , n 't ."},
    },
]


# --- models -----------------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path):
    return build_tiny_model(tmp_path / "own")


def fetched(folder: Path, out: Path) -> Path:
    fetch_base(PathWeights(source="path", path=str(folder)), out, disk_gb=0.001)
    return out


def edited(path: Path, **changes: Any) -> None:
    found = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**found, **changes}))


@pytest.mark.slow
def test_what_was_learnt_is_said_whatever_the_model_s_own_settings_are(tmp_path):
    """Qwen2.5 comes with a penalty on repetition, many a fine-tune with its cache off."""
    own = architectures.tiny(tmp_path / "own", architectures.MODELS["qwen2"])
    edited(
        own / "generation_config.json", repetition_penalty=1.5, no_repeat_ngram_size=3,
        do_sample=True, temperature=0.7, min_new_tokens=60, num_beams=2, return_dict_in_generate=True,
    )  # fmt: skip
    edited(own / "config.json", use_cache=False, return_dict=False, output_hidden_states=True)
    base = fetched(own, tmp_path / "base")
    examples = chat_examples(ROWS, "Extract.", FIELDS)
    spec = architectures.spec_of()
    train_adapter(base, examples, spec, CPU, tmp_path / "tuned", TrainingPolicy("t"))
    model, tokenizer = load_tuned(base, tmp_path / "tuned", CPU), load_tokenizer(base, None)
    extractor = Extractor(model, tokenizer, "Extract.", FIELDS, max_new_tokens=80, batch_size=2)
    found = extractor.answers([row["text"] for row in ROWS], "t")
    assert [parse_record(answer.output) for answer in found] == [row["record"] for row in ROWS]
    # and the settings are the model's own again, for whoever saves it
    assert model.generation_config.repetition_penalty == 1.5


def test_blanks_before_punctuation_are_kept(tiny):
    """What BERT's tokenizers call cleaning up eats them; many configs have it on."""
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.clean_up_tokenization_spaces = True
    tokenizer.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output = True
    text = "Quoi ? n 't , 's"
    assert answer_text(tokenizer, tokenizer(text)["input_ids"]) == text


def test_a_token_that_the_model_has_no_row_for_is_named(tiny, tmp_path):
    """Added to the tokenizer alone, it would be looked up beyond the embeddings."""
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|turn|>", "<|image|>"]})
    tokenizer.save_pretrained(tiny)
    # one that no chat has is no matter
    fetched(tiny, tmp_path / "a")
    tokenizer.chat_template = CHAT_TEMPLATE.replace("<|im_start|>", "<|turn|>")
    tokenizer.save_pretrained(tiny)
    told = r"its tokenizer has 514 tokens and its embeddings 512 rows, none of them for <\|turn\|>"
    with pytest.raises(UserError, match=told) as error:
        fetched(tiny, tmp_path / "b")
    assert "\n" not in str(error.value)
    with pytest.raises(
        UserError,
        match=r"runtime\.pad_token: '<\|image\|>' is the token 513 of .*, whose embeddings have 512 rows; expected null",
    ):
        load_tokenizer(tmp_path / "a", "<|image|>")
    # nor is one to pad with, which many add
    edited(tmp_path / "a" / "tokenizer_config.json", pad_token="<|image|>")
    assert load_tokenizer(tmp_path / "a", None).pad_token == "<|im_end|>"


def test_a_text_with_a_token_that_has_no_row_is_named(tiny, tmp_path):
    """One to pad with is of no matter, until a text holds it."""
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(tiny)
    base = fetched(tiny, tmp_path / "a")
    rows = [*ROWS, {**ROWS[0], "text": "fill it with [PAD]"}]
    examples = chat_examples(rows, "Do.", FIELDS)
    spec = replace(SPEC, max_steps=1)
    with pytest.raises(
        UserError, match=rf"training text {len(rows)}: holds \[PAD\], .* no row for"
    ):
        train_adapter(base, examples, spec, CPU, tmp_path / "b", TrainingPolicy("t"))
    model, known = load_base(base, CPU), load_tokenizer(base, None)
    extractor = Extractor(model, known, "Do.", FIELDS, max_new_tokens=8, batch_size=2)
    extractor.check_texts([ROWS[0]["text"]], ["a"])
    with pytest.raises(UserError, match=r"^b: holds \[PAD\]"):
        extractor.check_texts([ROWS[0]["text"], "with [PAD]"], ["a", "b"])


def test_what_was_added_to_the_tokenizer_alone_is_named(tiny, tmp_path):
    """meta-llama/llama-cookbook#189: a text that holds it ended in an index out of range."""
    edited(tiny / "config.json", pad_token_id=512)
    with pytest.raises(
        UserError, match=r"pad_token_id is 512, and its 512 tokens .*set it to null"
    ):
        fetched(tiny, tmp_path / "pad")
    edited(tiny / "config.json", pad_token_id=None)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.add_tokens(["order_no"])
    tokenizer.save_pretrained(tiny)
    told = r"has 513 tokens and its embeddings 512 rows, none of them for order_no, which a text may hold"
    with pytest.raises(UserError, match=told):
        fetched(tiny, tmp_path / "word")


def test_an_adapter_beside_a_model_is_no_part_of_it(tiny, tmp_path, capsys):
    """transformers would put it into the model without a word."""
    (spec, policy) = (replace(SPEC, max_steps=1), TrainingPolicy("t"))
    plain = fetched(tiny, tmp_path / "plain")
    train_adapter(plain, chat_examples(ROWS, "Do.", FIELDS), spec, CPU, tmp_path / "tuned", policy)
    for file in (tmp_path / "tuned").iterdir():
        shutil.copyfile(file, tiny / file.name)
    (tiny / "consolidated.safetensors").write_bytes(b"the same once more")
    capsys.readouterr()
    base = fetched(tiny, tmp_path / "base")
    assert "own: the adapter beside the model is left out" in capsys.readouterr().err
    assert not [*base.glob("adapter*"), *base.glob("consolidated*")]
    found, own = (load_base(folder, CPU).state_dict() for folder in (base, plain))
    assert found.keys() == own.keys()


def test_a_template_beside_the_tokenizer_is_read(tiny, tmp_path):
    """Models that read images too keep it in a file of their processor's."""
    template = (tiny / "chat_template.jinja").read_text()
    (tiny / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="has no chat template"):
        fetched(tiny, tmp_path / "none")
    (tiny / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert load_tokenizer(fetched(tiny, tmp_path / "base"), None).chat_template == template


def test_code_that_comes_with_a_tokenizer_is_not_run(tiny, tmp_path, monkeypatch):
    """Nor is anybody asked whether to run it, in the middle of a run."""

    def ask_nobody(prompt: str = "") -> str:
        raise AssertionError(prompt)

    monkeypatch.setattr("builtins.input", ask_nobody)
    (tiny / "theirs.py").write_text("raise SystemExit('ran')")
    edited(
        tiny / "tokenizer_config.json",
        tokenizer_class="TheirTokenizer",
        auto_map={"AutoTokenizer": ["theirs.TheirTokenizer", "theirs.TheirTokenizer"]},
    )
    try:
        fetched(tiny, tmp_path / "base")
    except UserError as error:
        assert "code of its own" in str(error) and "\n" not in str(error)


def test_an_adapter_on_tied_embeddings_is_refused(tiny, tmp_path):
    """Merged, it would change the output layer too: what answers is not what was trained."""
    base = fetched(tiny, tmp_path / "base")
    spec = replace(SPEC, target_modules=("embed_tokens", "q_proj"))
    examples = chat_examples(ROWS, "Do.", FIELDS)
    with pytest.raises(UserError, match=r"no adapter can be put on embed_tokens of a llama model"):
        train_adapter(base, examples, spec, CPU, tmp_path / "t", TrainingPolicy("t"))
    untied = load_base(base, CPU)
    untied.config.tie_word_embeddings = False
    untied.lm_head.weight = torch.nn.Parameter(untied.lm_head.weight.clone())
    untied.save_pretrained(tmp_path / "untied")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(base / name, tmp_path / "untied" / name)
    spec = replace(spec, max_steps=1)
    train_adapter(tmp_path / "untied", examples, spec, CPU, tmp_path / "t", TrainingPolicy("t"))


def test_tokens_of_the_chat_format_in_a_text_are_told(tiny):
    """A record with one could never be answered; a text with one is read otherwise than it is written."""
    tokenizer = load_tokenizer(tiny, None)
    rows = [*ROWS, {"id": "c", "text": "x", "record": {"who": "A", "said": "stop <|im_end|> here"}}]
    check_examples(tokenizer, chat_examples(ROWS, "Do.", FIELDS))
    with pytest.raises(UserError, match=r"^training text 3: its record holds <\|im_end\|>, which"):
        check_examples(tokenizer, chat_examples(rows, "Do.", FIELDS))
    texts = [
        {"id": f"row-{i}", "text": text, "record": {}}
        for i, text in enumerate(["x", "a</s>b", "</s>"])
    ]
    [said] = token_warnings({"train": texts[:2], "test": texts[2:]}, ["</s>", "<s>", ""])
    assert said.startswith("2 texts hold </s>, such as row-1: the base model reads it as a token")
    assert token_warnings({"train": texts[:1]}, ["</s>"]) == []


def test_what_only_sampling_heeds_prevents_no_saving(tiny, tmp_path, capsys):
    """Llama 2 chat and Vicuna come with a temperature and no sampling: a full fine-tuning was lost at its end."""
    edited(tiny / "generation_config.json", temperature=0.9, top_p=0.6, max_length=77)
    base = fetched(tiny, tmp_path / "base")
    assert "temperature, top_p left out" in capsys.readouterr().err
    settings = json.loads((base / "generation_config.json").read_text())
    assert settings["max_length"] == 77 and settings["eos_token_id"] == 2
    spec = replace(SPEC, method="full", max_steps=1)
    train_adapter(
        base, chat_examples(ROWS, "Do.", FIELDS), spec, CPU, tmp_path / "t", TrainingPolicy("t")
    )
    assert (tmp_path / "t" / "generation_config.json").is_file()
    # one that says how it samples is as it came
    edited(tiny / "generation_config.json", do_sample=True)
    before = (tiny / "generation_config.json").read_bytes()
    assert (fetched(tiny, base) / "generation_config.json").read_bytes() == before


@pytest.mark.parametrize("named", ["LlamaTokenizerFast", "GemmaTokenizerFast"])
def test_a_tokenizer_under_another_s_name_loses_no_blanks(tiny, tmp_path, named):
    """transformers 5 puts the class's way to split words in place of tokenizer.json's (DeepSeek, distilled models)."""
    own = load_tokenizer(tiny, None)
    edited(tiny / "tokenizer_config.json", tokenizer_class=named)
    found = load_tokenizer(fetched(tiny, tmp_path / "base"), None)
    text = 'Hello world,  it is ü\n{"a": "b c"}'
    assert found(text)["input_ids"] == own(text)["input_ids"] and found.eos_token == own.eos_token
    assert answer_text(found, found(text)["input_ids"]) == text


def test_a_tokenizer_that_gives_back_something_else_is_refused(tiny, tmp_path):
    """No record could be written with it."""
    content = json.loads((tiny / "tokenizer.json").read_text())
    content["normalizer"] = {"type": "Lowercase"}
    (tiny / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(
        UserError, match=r"does not give back .* comes back as 'hello world"
    ) as error:
        fetched(tiny, tmp_path / "base")
    assert "\n" not in str(error.value)


def test_a_model_file_ends_an_answer_where_training_does(tiny, tmp_path, monkeypatch):
    """A tokenizer's own end may be another: llama.cpp would go on to the limit (Gemma 4, merged)."""
    from lora_vs_api.conversion import build
    from lora_vs_api.conversion.convert import NotConverted

    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        file = tiny / name
        file.write_text(file.read_text().replace("<|im_end|>", "[END]"))
    edited(tiny / "tokenizer_config.json", eos_token="<|endoftext|>")
    base = fetched(tiny, tmp_path / "base")
    ends = []

    def convert(merged: Path, target: Path, **_: Any) -> None:
        ends.append(json.loads((merged / "tokenizer_config.json").read_text())["eos_token"])

    monkeypatch.setattr(build, "BASE", str(base))
    monkeypatch.setattr(build, "convert", convert)
    params = check_params(yaml.safe_load(compose(["serving=llama_cpp", "runtime.pad_token=null"])))
    build.write_gguf(
        params, params.serving.conversion, load_base(base, CPU), tmp_path / "model.gguf"
    )
    assert ends == ["[END]"]
    # and where it goes on all the same, it is not what answers
    ours = [Generation("{}", False, 9, 2)]
    build._check_ends([counted(0)], ours, "x")
    build._check_ends(
        [counted(0, output="{} {}", outcome="truncated")], [replace(ours[0], truncated=True)], "x"
    )
    with pytest.raises(NotConverted, match="does not stop"):
        build._check_ends([counted(0, output="{} {}", outcome="truncated")], ours, "x")


def test_a_token_that_the_tokenizer_has_not_is_left_out(tmp_path):
    """Qwen's embeddings have rows to spare, and a model may choose one."""
    tokenizer = load_tokenizer(build_tiny_model(tmp_path, spare=64), None)
    ids = tokenizer("abc")["input_ids"]
    assert answer_text(tokenizer, [540, *ids, 575]) == "abc"


def test_a_chat_begins_once(tiny, tmp_path):
    """With a template and a tokenizer that both put the first token there, in training as in asking."""
    content = json.loads((tiny / "tokenizer.json").read_text())
    first = {"id": "<|im_start|>", "type_id": 0}
    content["post_processor"] = {
        "type": "TemplateProcessing", "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "single": [{"SpecialToken": first}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": first}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [1], "tokens": ["<|im_start|>"]}},
    }  # fmt: skip
    (tiny / "tokenizer.json").write_text(json.dumps(content))
    base = fetched(tiny, tmp_path / "base")
    tokenizer = load_tokenizer(base, None)
    assert tokenizer("x")["input_ids"][::2] == [1, 1]
    examples = chat_examples(ROWS, "Do.", FIELDS)
    row = training._trainer(base, examples, SPEC, CPU, str(tmp_path)).train_dataset[0]
    asked = encode_prompt(tokenizer, examples[0]["prompt"])
    assert row["input_ids"][: len(asked)] == asked and asked[:2] != [1, 1]
    assert [label for label in row["labels"] if label != -100][-2] == 2


def test_an_output_layer_of_its_own_stays_one(tiny, tmp_path):
    """A merged model whose config still says that it is the embeddings."""
    model = load_base(tiny, CPU)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    model.save_pretrained(tiny)
    edited(tiny / "config.json", tie_word_embeddings=True)
    base, spec = fetched(tiny, tmp_path / "base"), replace(SPEC, max_steps=1)
    train_adapter(
        base, chat_examples(ROWS, "Do.", FIELDS), spec, CPU, tmp_path / "t", TrainingPolicy("t")
    )
    tuned = load_tuned(base, tmp_path / "t", CPU)
    assert torch.equal(tuned.lm_head.weight, model.lm_head.weight)
    tuned.save_pretrained(tmp_path / "merged")
    assert (
        json.loads((tmp_path / "merged" / "config.json").read_text())["tie_word_embeddings"]
        is False
    )


@pytest.mark.parametrize("bias", [0.0, 0.5], ids=["fast", "own loss"])
@pytest.mark.slow
def test_accumulated_gradients_are_those_of_the_whole_batch(tiny, tmp_path, bias, monkeypatch):
    """Of examples of uneven lengths: the mean is over tokens and not over batches."""
    rows = [
        {"id": str(i), "text": "t " * i, "record": {"who": "N" * (1 + 9 * i), "said": ""}}
        for i in range(4)
    ]
    examples, losses = chat_examples(rows, "Do.", FIELDS), []
    if bias:
        # a loss that the fast way does not know of
        monkeypatch.setattr("lora_vs_api.training.probe._logits_are_the_heads", lambda *_: False)
    for size, steps in ((4, 1), (2, 2), (1, 4)):
        spec = replace(
            SPEC, batch_size=size, gradient_accumulation=steps, max_steps=4, learning_rate=1e-2,
            target_modules=("all-linear",), scheduler="constant",
        )  # fmt: skip
        run = train_adapter(tiny, examples, spec, CPU, tmp_path / f"t{size}", TrainingPolicy("t"))
        assert run.way == ("own loss" if bias else "fast")
        losses.append(run.losses)
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert losses[2] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.parametrize("rate", [1e-2, 1e39], ids=["weights", "rate"])
def test_a_loss_that_is_no_number_is_no_loss_of_zero(tiny, tmp_path, rate):
    """transformers leaves it out of the mean by default, and so reports 0.000 (Unsloth's gpt-oss)."""
    if rate < 1:
        model = load_base(tiny, CPU)
        with torch.no_grad():
            model.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")
        model.save_pretrained(tiny)
    examples, policy = chat_examples(ROWS, "Do.", FIELDS), TrainingPolicy("t")
    said = (
        r"^model\.weights: .* is nan" if rate < 1 else r"^training diverged at learning rate 1e\+39"
    )
    for steps in (1, 3):
        spec = replace(SPEC, learning_rate=rate, max_steps=steps, warmup_ratio=0.0)
        with pytest.raises(UserError, match=said):
            train_adapter(tiny, examples, spec, CPU, tmp_path / "t", policy)
        assert not (tmp_path / "t").exists()


def test_two_sets_of_weights_are_not_one_model(tiny, tmp_path):
    """transformers takes one file, vLLM and MLX those of the index (mlx-vlm: a 4-bit file beside shards)."""
    write_index(tiny, two_files(tiny))
    build_tiny_model(tmp_path / "other", seed=9)
    shutil.copyfile(tmp_path / "other" / "model.safetensors", tiny / "model.safetensors")
    with pytest.raises(
        UserError, match=r"two sets of weights, model\.safetensors and the 2 files of"
    ):
        fetched(tiny, tmp_path / "base")
    # what an index names that is not there is a left-over
    (tiny / "model-2.safetensors").unlink()
    fetched(tiny, tmp_path / "base")


@pytest.mark.parametrize("rows", [500, 640])
def test_a_vocabulary_of_another_size_is_named(tiny, tmp_path, rows):
    """An extended vocabulary with the config of the model that it was made of, or the other way round."""
    edited(tiny / "config.json", vocab_size=rows)
    told = rf"embed_tokens\.weight is of shape \(512, 64\) in the weights and of \({rows}, 64\) by config"
    with pytest.raises(UserError, match=told):
        fetched(tiny, tmp_path / "base")


def test_experts_that_get_no_adapter_are_told(tmp_path, capsys):
    """They are stacked in one tensor since transformers 5, and no layers (Unsloth, vLLM)."""
    base = architectures.tiny(tmp_path / "own", architectures.MODELS["mixtral"])
    peft_config(architectures.spec_of(), load_base(base, CPU))
    said = capsys.readouterr().err
    assert re.search(
        r"\d+% of .* \(experts\.down_proj, experts\.gate_up_proj\) are no linear", said
    )
    build_tiny_model(tmp_path / "dense")
    peft_config(SPEC, load_base(tmp_path / "dense", CPU))
    assert "no linear layers" not in capsys.readouterr().err


# --- servers ----------------------------------------------------------------------------


@BOTH
def test_no_prompt_has_no_tokens(condition):
    """Ollama counts none of a prompt that it has in its cache, others none at all."""
    names = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")
    body = with_usage(condition, **dict.fromkeys(names, 0), total_tokens=0)
    with FaultServer({"mail 0": [Fault("json", body=lambda usual: body)]}) as server:
        [answer] = ask(server, 1, condition, count_tokens=len)
    assert answer.attempts == 1 and answer.reply.tokens_estimated
    assert (answer.reply.input_tokens, answer.reply.output_tokens) == (
        8 + 6 + 2 * 4,
        len(answer.reply.output),
    )
    body = with_usage(condition, prompt_tokens=0, input_tokens=0, total_tokens=7)
    reply = read_reply(body, condition, lambda output: (30, 1))
    assert (reply.input_tokens, reply.output_tokens, reply.tokens_estimated) == (30, 7, True)


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ("model_length", "truncated"),
        ("MAX_TOKENS", "truncated"),
        ("model_context_window_exceeded", "truncated"),
        ("max_output_tokens", "truncated"),
        ("SAFETY", "filtered"),
        ("PROHIBITED_CONTENT", "filtered"),
        ("content_filter: RECITATION", "filtered"),
        ("sensitive", "filtered"),
        ("guardrail_intervened", "filtered"),
        ("refusal", "refused"),
        ("stop", "answered"),
        ("stop_sequence", "answered"),
        ("end_turn", "answered"),
        ("eos_token", "answered"),
        ("COMPLETE", "answered"),
        (None, "answered"),
        *((end, None) for end in (
            "insufficient_system_resource", "error", "ERROR_LIMIT", "abort", "cancelled", "network_error",
            "timeout", "time_limit",
        )),
    ],
)  # fmt: skip
def test_every_name_of_an_end_is_understood(end, outcome):
    """Half an answer is truncated, or none at all: never a whole one, kept for good."""
    body = chat(content='{"half": ', finish_reason=end)
    if outcome is None:
        with pytest.raises(NoAnswer, match=f"finish_reason {end}: the answer broke off".lower()):
            read_reply(body, CHAT)
    else:
        assert read_reply(body, CHAT).outcome == outcome


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("max_output_tokens", "truncated"),
        ("max_tokens", "truncated"),
        ("content_filter", "filtered"),
    ],
)
def test_an_incomplete_response_is_what_its_reason_says(reason, outcome):
    body = responses(status="incomplete", incomplete_details={"reason": reason})
    assert read_reply(body, MINI).outcome == outcome
    for other in ("interrupted", "whatever", None):
        body = responses(status="incomplete", incomplete_details={"reason": other})
        with pytest.raises(NoAnswer, match="status incomplete"):
            read_reply(body, MINI)


STRICT = replace(CHAT, schema={"type": "object"})
UNFIT = {
    "message": "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.",
    "type": "invalid_request_error", "code": "json_validate_failed",
}  # fmt: skip


def unfit(written: Any) -> Fault:
    error = {"error": {**UNFIT, "failed_generation": written}}
    return Fault("status", 400, body=lambda usual: error)


def test_an_answer_in_another_format_is_that_text_s_answer():
    """Groq sends it as an error of status 400: asked again it would come again, and block all others."""
    with FaultServer({"mail 0": [unfit("```json\n{")], "mail 1": [unfit('{"a": 1}')]}) as server:
        answers = ask(server, 3, STRICT, count_tokens=len)
        assert len(server.seen) == 3
    assert [a.reply.output for a in answers[:2]] == ["```json\n{", '{"a": 1}']
    assert [(a.reply.outcome, a.reply.tokens_estimated) for a in answers[:2]] == [
        ("answered", True)
    ] * 2
    # what is not told is no answer, nor is any other error
    for fault in (unfit(""), unfit(None), Fault("status", 400, error={"failed_generation": "x"})):
        with FaultServer({"mail 0": [fault]}) as server, pytest.raises(UserError, match=r"rejects"):
            ask(server, 1, STRICT, count_tokens=len)
    with (
        FaultServer({"mail 0": [unfit("x")]}) as server,
        pytest.raises(UserError, match=r"rejects"),
    ):
        ask(server, 1, CHAT, count_tokens=len)


def test_an_answer_in_another_format_is_one_in_a_batch_too():
    error = {**UNFIT, "failed_generation": "{"}
    line = {"custom_id": "k", "response": {"status_code": 400, "body": {"error": error}}}
    [(key, reply)] = read_results(
        json.dumps(line), "f", STRICT, {"k": lambda output: (5, len(output))}
    )
    assert key == "k" and isinstance(reply, Reply)
    assert (reply.output, reply.input_tokens, reply.output_tokens) == ("{", 5, 1)


def test_an_answer_that_was_taken_for_thinking_is_named():
    """vLLM with a reasoning parser and a model that does not think: content is null."""
    body = chat(content=None, reasoning_content='{"a": 1}')
    with pytest.raises(
        NoAnswer, match=r"^empty output, and 8 characters in reasoning_content, .*does the"
    ):
        read_reply(body, CHAT)


@pytest.mark.parametrize(
    ("content", "output"),
    [({"a": "é", "b": [1]}, '{"a": "é", "b": [1]}'), ({"type": "text", "text": "{}"}, "{}")],
)
def test_json_that_was_read_already_is_written_out(content, output):
    """Cloudflare's JSON mode gives the object itself in place of its text."""
    assert read_reply(chat(content=content), CHAT).output == output


def counted(place: int, **changes: Any) -> Answer:
    reply = replace(Reply("{}", "answered", 100, 20, 0), **changes)
    return Answer(f"email-{place}", reply, 1.0, 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"input_tokens": 40}, [r"fewer tokens than the prompts of 1 of 2 texts have, such as 40 of about 108: email-0;"]),
        ({"output_tokens": 51}, [r"1 of 2 answers are longer than the 50 tokens .* up to 51: email-0; .* max_completion_tokens \(api\.server\.token_limit: it may heed max_tokens, and some servers heed neither\)"]),
        ({"output_tokens": 90, "reasoning_tokens": 60}, []),
        ({"output_tokens": 16, "outcome": "truncated"}, [r"1 of 2 answers were cut off before the 50 tokens .* at 16 to 16: email-0; the server's context is full, or"]),
        ({"output_tokens": 50, "outcome": "truncated"}, []),
        ({"input_tokens": 1, "output_tokens": 900, "tokens_estimated": True}, []),
        ({"input_tokens": 1, "output": "no", "outcome": "refused"}, []),
    ],
)  # fmt: skip
def test_a_server_that_does_otherwise_without_a_word_is_told(changes, said):
    """Prompts cut to a context (Ollama), limits that are not heeded (llama-cpp-python) or lowered."""
    answers = [counted(0, **changes), counted(1)]
    found = list(odd_counts(CHAT, requests(2), answers, lambda text: 50))
    assert len(found) == len(said)
    for line, form in zip(found, said, strict=True):
        assert re.search(form, line) and "\n" not in line


@pytest.mark.parametrize("filtered", [True, False])
def test_a_prompt_that_azure_s_filter_stopped_has_no_choices(filtered):
    """In an answer of status 200; without a category that did it, it is none at all."""
    results = {"hate": {"filtered": filtered, "severity": "high"}, "jailbreak": {"filtered": False}}
    found = [{"prompt_index": 0, "content_filter_results": results}]
    body = {"choices": [], "prompt_filter_results": found}
    if filtered:
        assert read_reply(body, CHAT, lambda output: (30, 1)).outcome == "filtered"
    else:
        with pytest.raises(NoAnswer, match=r"^the answer holds no choice"):
            read_reply(body, CHAT)


@pytest.mark.parametrize("lost", [None, {}, [], "", 0])
def test_an_error_that_a_gateway_hands_on_bare_keeps_its_reason(lost):
    """litellm and others put the provider's error where the answer would be, with status 200."""
    said = "You have exceeded the daily limit"
    with pytest.raises(NoAnswer, match=said):
        read_reply({"code": "rate_limit_daily", "message": said}, CHAT)
    with pytest.raises(NoAnswer, match=said):
        read_reply({"code": 429, "message": said}, MINI)
    with pytest.raises(NoAnswer, match="no choice"):
        read_reply({"choices": lost}, CHAT)


# --- files ------------------------------------------------------------------------------


def records_of(task: str) -> list[dict[str, Any]]:
    """The records that the node `corpus` reads for a task that init wrote."""
    corpus.main(check_params(yaml.safe_load(compose([f"task={task}"]))))
    return [row["record"] for row in read_jsonl("data/corpus.jsonl")]


def test_lists_as_pandas_writes_them_are_lists(project, capsys):
    """In CSV they stand as Python shows them, which is no JSON."""
    import pandas as pd

    lists, objects = (
        [["a", "it's"], [], ["é, b"]],
        [{"n": 1, "ok": True, "x": None}, {"n": 2.5, "ok": False, "x": "y"}],
    )
    rows = twenty(tags=lists, at=objects, to=objects)
    pd.DataFrame(rows).to_csv("a.csv", index=False)
    lora_vs_api("init", "a.csv", "--text", "text")
    assert "as Python writes them" in capsys.readouterr().err
    assert records_of("a") == [{name: row[name] for name in ("tags", "at", "to")} for row in rows]
    with open("b.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "gold"])
        writer.writerows(
            [f"text number {i}", str({"n": i, "tags": ["ab"[i % 2]]})] for i in range(20)
        )
    lora_vs_api("init", "b.csv")
    assert records_of("b") == [{"n": i, "tags": ["ab"[i % 2]]} for i in range(20)]


@pytest.mark.parametrize(
    "cell", ["['a' 'b']", "[nan]", "[1, 2", "{'a'}", "{1, 2}", "[b'x']", "['a', 'a'][0]", "[array([1])]", "[1e999]", "[" * 5000, "(1, 2)"]
)  # fmt: skip
def test_what_only_looks_like_python_is_left_alone(cell):
    """numpy's ['a' 'b'] would be one text to Python."""
    with pytest.raises(ValueError):
        cell_value(cell)


def test_half_a_character_in_a_cell_is_refused_with_its_row(project):
    """JSON and Python can escape it; no file and no tokenizer can hold it."""
    for gold in (r'{"a": "\ud83d"}', r"{'a': '\ud83d'}"):
        rows = [{"text": f"text number {i}", "gold": '{"a": "x"}'} for i in range(20)]
        rows[3]["gold"] = gold
        with pytest.raises(
            UserError,
            match=r"a\.csv:5: gold: .*lone surrogate|a\.csv: gold: expected a JSON object",
        ):
            lora_vs_api("init", written("a.csv", *rows), "--record", "gold")
        assert not Path("conf/task/a.yaml").exists()


def test_blanks_around_a_label_are_no_part_of_it(project, capsys):
    """Nobody means them, and a model that answers without them would be wrong; it is said."""
    lora_vs_api(
        "init", written("a.csv", *twenty(kind=["billing", "billing ", "other", "\u00a0other"]))
    )
    assert "2 labels in 20 rows, rarest" in (said := capsys.readouterr().err)
    assert "10 with blanks around the label, which are left out" in said
    assert [record["kind"] for record in records_of("a")][:4] == [
        "billing",
        "billing",
        "other",
        "other",
    ]
    lora_vs_api("init", written("b.csv", *twenty(kind=[" padded ", "other"])))
    assert [record["kind"] for record in records_of("b")][:2] == ["padded", "other"]


def test_a_cell_of_blanks_is_empty(project):
    """Not a label, and no reason to read a column of numbers as texts."""
    lora_vs_api(
        "init", written("a.csv", *twenty(kind=["x", "y", "  ", ""], n=["1", "20", " ", "\t"]))
    )
    params = check_params(yaml.safe_load(compose(["task=a"])))
    assert params.task.fields["n"].type == "integer" and list(
        params.task.fields["kind"].values
    ) == ["x", "y"]
    assert records_of("a")[:4] == [
        {"kind": "x", "n": 1}, {"kind": "y", "n": 20}, {"kind": None, "n": None}, {"kind": None, "n": None},
    ]  # fmt: skip


def test_short_numbers_of_parquet_have_the_digits_that_were_meant(tmp_path):
    """0.1 in 32 bits is 0.10000000149011612 in 64, which nobody wrote."""
    import pyarrow as pa
    import pyarrow.parquet

    small, half = pa.float32(), pa.float16()
    columns = {
        "price": pa.array([0.1, 19.99, None], small),
        "list": pa.array([[0.1, None], [], None], pa.list_(small)),
        "struct": pa.array([{"x": 0.3, "y": 0.3, "s": "t"}, None, {"x": None, "y": 1.0, "s": None}],
                           pa.struct([("x", small), ("y", pa.float64()), ("s", pa.string())])),
        "half": pa.array([0.5, 0.1, None], half),
        "whole": pa.array([0.1, 1 / 3, None], pa.float64()),
    }  # fmt: skip
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    (_, first), (_, second), (_, third) = read_table(tmp_path / "a.parquet")
    assert first == {
        "price": 0.1, "list": [0.1, None], "struct": {"x": 0.3, "y": 0.3, "s": "t"}, "half": 0.5, "whole": 0.1,
    }  # fmt: skip
    assert (second["price"], second["half"], second["whole"]) == (19.99, 0.1, 1 / 3)
    assert third["struct"] == {"x": None, "y": 1.0, "s": None} and third["price"] is None


def test_labels_of_a_dataset_are_words_wherever_they_stand(project):
    """Of several labels a text, and in objects: a number says nothing to a model."""
    from datasets import ClassLabel, Dataset, Features, List, Value

    names = ClassLabel(names=["joy", "anger", "fear"])
    features = Features({
        "text": Value("string"), "one": names, "many": List(names), "in": {"label": names, "n": Value("int64")},
        "to": {"n": Value("int64")},
    })  # fmt: skip
    rows = [
        {"text": f"a text of several words, number {i}", "one": i % 3, "many": [i % 3, 2][: 1 + i % 2], "in": {"label": 1, "n": i}, "to": {"n": i}}
        for i in range(20)
    ]  # fmt: skip
    Dataset.from_list(rows, features=features).save_to_disk("d")
    lora_vs_api("init", "d", "--name", "d")
    found = records_of("d")
    assert [record["one"] for record in found[:3]] == ["joy", "anger", "fear"]
    assert [record["many"] for record in found[:3]] == [["joy"], ["anger", "fear"], ["fear"]]
    assert found[5]["in"] == {"label": "anger", "n": 5}


def test_a_number_that_the_texts_name_is_no_row_s_id(project, capsys):
    """An order_id is what a record is to say; what tells rows apart alone is told."""
    rows = [
        {"text": f"Where is my order A-{i}? It is late.", "order_id": f"A-{i}", "row_id": f"r{i}"}
        for i in range(20)
    ]
    lora_vs_api("init", written("a.csv", *rows))
    assert "id      row_id, which tells rows apart and is no field" in capsys.readouterr().err
    assert records_of("a")[:2] == [{"order_id": "A-0"}, {"order_id": "A-1"}]


@pytest.mark.parametrize("value", ["a=b", "a@b.c", "a b", "a,b", "李", "a|b", "#", "%", "[a", "'a"])
def test_a_value_that_hydra_does_not_read_is_one_line(project, value):
    """A path with = or @ in it needs quotes; what is not understood is said."""
    try:
        found = compose([f"data.path={value}"])
    except UserError as error:
        assert str(error).startswith("conf/ with ") and "\n" not in str(error)
    else:
        assert found


@pytest.mark.parametrize("separator", [",", "\t"])
def test_quotes_with_a_backslash_are_quotes(project, capsys, separator):
    """As Spark and MySQL write them; a backslash in a file that is CSV as it stands is left alone."""
    texts = [f'No. {i} said "hi", C:\\new, "bye"' for i in range(20)]
    lines = [
        '"' + text.replace("\\", r"\\").replace('"', r"\"") + f'"{separator}{"bc"[i % 2]}'
        for i, text in enumerate(texts)
    ]
    Path("a.tsv").write_text("\n".join([f"text{separator}label", *lines]))
    name = Path("a.tsv").rename("a.csv" if separator == "," else "a.tsv").name
    assert [row["text"] for _, row in read_table(name)] == texts
    lora_vs_api("init", name)
    assert r"quotes within cells are written \" and read as quotes" in capsys.readouterr().err
    Path("b.csv").write_text('text,label\n"a\\""b",c\\"d\n')
    assert dict(read_table("b.csv")[0][1]) == {"text": 'a\\"b', "label": 'c\\"d'}
    Path("c.csv").write_text('text,label\n"a \\"b" c,d\n')
    with pytest.raises(UserError, match=r"c\.csv:2: not valid CSV"):
        read_table("c.csv")


@pytest.mark.parametrize(
    ("around", "note"),
    [
        ('="{}"', 'code: ="…" around 20 cells, left out'),
        ("'{}", "code: a sign around every cell"),
        ("\x1f{}", "code: a sign around every cell"),
        ("{}\u200b", "code: a sign around every cell"),
    ],
)
def test_what_keeps_zeros_in_a_spreadsheet_is_no_part_of_them(project, capsys, around, note):
    """Exports put it there so that 00007 is not shown as 7."""
    codes = [f"{i:05}" for i in range(4)]
    lora_vs_api("init", written("a.csv", *twenty(code=[around.format(code) for code in codes])))
    assert note in capsys.readouterr().err
    assert [record["code"] for record in records_of("a")[:4]] == codes
    # one label of several may begin or end so
    lora_vs_api("init", written("b.csv", *twenty(code=["'7", "7"])))
    assert [record["code"] for record in records_of("b")[:2]] == ["'7", "7"]


def test_what_stands_for_no_value_is_none(project, capsys):
    """MySQL's null and a formula's error anywhere, NA among numbers; as a label NA is Namibia."""
    rows = twenty(a=["x", r"\N", "y"], b=["#N/A", "u", "#REF!"], n=["1", "nan", "20"], ok=["TRUE", "NA", "FALSE"],
                  iso=["NA", "NC", "null"], zip=["00007", "NA", "12345"])  # fmt: skip
    lora_vs_api("init", written("a.csv", *rows))
    said = capsys.readouterr().err
    assert r"a: \N in 7 cells, read as empty" in said
    assert "b: #N/A, #REF! in 13 cells, read as empty" in said
    assert "from 1 to 20 in the data; empty or nan in 7 of 20 rows" in said
    assert records_of("a")[:3] == [
        {"a": "x", "b": None, "n": 1, "ok": True, "iso": "NA", "zip": "00007"},
        {"a": None, "b": "u", "n": None, "ok": None, "iso": "NC", "zip": "NA"},
        {"a": "y", "b": None, "n": 20, "ok": False, "iso": "null", "zip": "12345"},
    ]


def test_a_label_with_a_blank_that_is_not_seen_is_the_same(project):
    """A zero-width space is pasted along from a web page."""
    lora_vs_api(
        "init", written("a.csv", *twenty(kind=["billing", "billing\u200b", "\ufeffother", "other"]))
    )
    assert [record["kind"] for record in records_of("a")[:4]] == [
        "billing", "billing", "other", "other",
    ]  # fmt: skip


def test_a_folder_of_parts_is_called_so(project):
    """Spark writes one under the name of a file."""
    Path("a.parquet").mkdir()
    with pytest.raises(UserError, match=r"a\.parquet: is a folder, as Spark writes one"):
        read_table("a.parquet")


def test_labels_that_the_config_has_with_blanks_keep_them():
    """Only what is no label as it stands is looked up without."""
    (field,) = fields_from_config({"f": {"type": "enum", "values": [" a ", "b"]}})
    assert [value_of(cell, field) for cell in (" a ", "b ", "a", "c ")] == [" a ", "b", "a", "c "]
    assert infer_field("f", ["a ", "a", "b"] * 5, "json").spec["values"] == ["a", "b"]


@pytest.mark.parametrize("opening", ['"\t', '\t"', '\t"he said ', '\t5" x 3" '])
def test_a_quote_between_tabs_is_a_quote(project, capsys, opening):
    """pandas would take all up to the next one, rows and all, for one cell."""
    lines = ["quote\ttext\tlabel"]
    lines += [
        f"{opening if i in (3, 9) else f'a{i}' + chr(9)}text number {i}\t{'xy'[i % 2]}"
        for i in range(20)
    ]
    Path("a.tsv").write_text("\n".join(lines) + "\n")
    lora_vs_api("init", "a.tsv", "--text", "text")
    rows = [row for _, row in read_table("a.tsv")]
    assert [f"{row['quote']}\t{row['text']}\t{row['label']}" for row in rows] == lines[1:]
    # cells that are quoted may hold both
    Path("b.tsv").write_text('text\tlabel\n"a\tb\nc"\tx\n')
    assert read_table("b.tsv")[0][1]["text"] == "a\tb\nc"


def test_marks_that_are_not_seen_are_no_part_of_a_column_s_name(project):
    """Files that were joined have a byte order mark in the middle of a header, pages a zero-width space."""
    rows = [f"text number {i},{'xy'[i % 2]},{'pq'[i % 2]}" for i in range(20)]
    Path("a.csv").write_text("\n".join(["text,\ufeffkind,\u200bcity\ufeff ", *rows]))
    lora_vs_api("init", "a.csv", "--text", "text")
    assert records_of("a")[0] == {"kind": "x", "city": "p"}
