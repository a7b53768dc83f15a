"""A third round of what people have reported of other tools; each test names the report."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from lora_vs_api.api.replies import read_reply
from lora_vs_api.api.types import NoAnswer
from lora_vs_api.config.sections import HubWeights
from lora_vs_api.conversion.older import older_config, write_for_older
from lora_vs_api.errors import UserError
from lora_vs_api.model.loading import load_base, load_tokenizer
from lora_vs_api.weights.fetch import fetch_base
from lora_vs_api.weights.tokenizer import SPLIT
from tests import test_architectures as architectures
from tests.fault_server import Fault, FaultServer
from tests.test_api_client import CHAT, MINI, ask
from tests.test_model import CPU
from tests.test_public_reports import edited, fetched
from tests.test_replies import chat, responses, with_usage
from tests.test_server_errors import said_of
from tests.tiny_model import build_tiny_model

# --- models -----------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["GPT2Tokenizer", "Qwen2Tokenizer"])
def test_a_tokenizer_under_another_s_name_splits_words_as_its_file_does(tmp_path, named, capsys):
    """huggingface/transformers#45920 (Granite, OLMo 2, Yi): every blank is kept, and numbers are other tokens."""
    own = build_tiny_model(tmp_path / "own")
    content = json.loads((own / "tokenizer.json").read_text())
    alone = {
        "type": "Split",
        "pattern": {"Regex": "[A-Z]|[^A-Z]"},
        "behavior": "Isolated",
        "invert": False,
    }
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
        alone, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
    ]}  # fmt: skip
    (own / "tokenizer.json").write_text(json.dumps(content))
    expected = PreTrainedTokenizerFast.from_pretrained(own)(SPLIT)["input_ids"]
    edited(own / "tokenizer_config.json", tokenizer_class=named)
    assert AutoTokenizer.from_pretrained(own)(SPLIT)["input_ids"] != expected
    base = fetched(own, tmp_path / "base")
    assert load_tokenizer(base, None)(SPLIT)["input_ids"] == expected
    assert f"tokenizer_class {named} does not go with tokenizer.json" in capsys.readouterr().err
    # one that goes with its file keeps its name
    edited(own / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    before = (own / "tokenizer_config.json").read_bytes()
    assert (fetched(own, base) / "tokenizer_config.json").read_bytes() == before


def test_weights_with_the_config_of_another_form_of_the_model_are_told(tmp_path):
    """unslothai/unsloth#2086: Gemma 3 that reads images, merged, with its text part's config.json."""
    own = architectures.tiny(tmp_path / "own", architectures.MODELS["gemma3"])
    config = json.loads((own / "config.json").read_text())["text_config"]
    (own / "config.json").write_text(json.dumps({**config, "model_type": "gemma3_text"}))
    told = r"such as model\.embed_tokens\.weight, which they call language_model\.model\.embed_tokens\.weight: config"
    with pytest.raises(UserError, match=told):
        fetched(own, tmp_path / "base")


@pytest.mark.parametrize(
    "name",
    ["model.layers.0._orig_mod.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.base_layer.weight"],
)
def test_weights_under_a_name_of_another_program_are_told(tmp_path, name):
    """unslothai/unsloth-zoo#802: they are there, and fetching them once more gives the same names."""
    own = build_tiny_model(tmp_path / "own")
    tensors = load_file(own / "model.safetensors")
    tensors[name] = tensors.pop("model.layers.0.mlp.up_proj.weight")
    save_file(tensors, own / "model.safetensors", metadata={"format": "pt"})
    told = rf"such as model\.layers\.0\.mlp\.up_proj\.weight; {re.escape(name)} is there and .*, or rename them"
    with pytest.raises(UserError, match=told):
        fetched(own, tmp_path / "base")


@pytest.mark.parametrize("decoder", [False, True])
def test_a_model_that_sees_what_comes_is_refused(tmp_path, decoder):
    """Beside huggingface/transformers#48745: its loss falls to nothing, and it can go on with no text."""
    own = build_tiny_model(tmp_path / "own")
    sizes = {"vocab_size": 512, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}  # fmt: skip
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model("bert", is_decoder=decoder, **sizes)
    )
    (own / "generation_config.json").unlink()
    model.save_pretrained(own)
    if decoder:
        fetched(own, tmp_path / "base")
    else:
        with pytest.raises(UserError, match=r"config\.json: a bert model that is no decoder"):
            fetched(own, tmp_path / "base")


def test_what_is_exported_is_read_by_older_servers_too(tmp_path):
    """modelscope/ms-swift#8186, vllm-project/vllm#44158: transformers 4 fails at one and takes 10,000 for the other."""
    own = build_tiny_model(tmp_path / "own", spare=8)
    tokenizer = AutoTokenizer.from_pretrained(own)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|image|>"]})
    tokenizer.save_pretrained(own)
    scaled = {
        "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256,
    }  # fmt: skip
    edited(own / "config.json", rope_parameters=scaled)
    shutil.copytree(own, tmp_path / "out")
    write_for_older(tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["rope_theta"], config["torch_dtype"]) == (5e5, "float32")
    assert config["rope_scaling"] == {k: v for k, v in scaled.items() if k != "rope_theta"}
    settings = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert settings["additional_special_tokens"] == ["<|image|>"]
    assert not {"extra_special_tokens", "backend", "is_local"} & settings.keys()
    # and 5 reads what it did
    found, before = AutoTokenizer.from_pretrained(tmp_path / "out"), tokenizer("a<|image|>2023")
    assert found("a<|image|>2023")["input_ids"] == before["input_ids"]
    ids = torch.tensor([[5, 6, 7, 8]])
    ours, theirs = (load_base(folder, CPU)(input_ids=ids).logits for folder in (own, tmp_path / "out"))  # fmt: skip
    assert torch.equal(ours, theirs)


def test_angles_of_several_kinds_of_layers_have_their_older_names():
    """Gemma 3, alone and within a model that reads images; without angles nothing is added."""
    rope = {
        "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    added = {
        "rope_theta": 1e6, "rope_local_base_freq": 1e4, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    }  # fmt: skip
    assert older_config({"rope_parameters": rope}) == {"rope_parameters": rope, **added}
    inner = older_config({"text_config": {"rope_parameters": rope}})["text_config"]
    assert inner == {"rope_parameters": rope, **added}
    for plain in ({}, {"rope_parameters": None}, {"rope_parameters": {"full_attention": 1}}):
        assert older_config(plain) == plain


@pytest.mark.parametrize(
    "kind", ["gemma3_text", "gemma4_text", "gpt_neox", "llama", "olmo3", "granitemoehybrid"]
)
def test_the_older_names_change_nothing_that_5_reads(kind, tmp_path):
    """Gemma 4's angles are nested alone, and 4 has no such model: with a flat `rope_scaling` it loads nowhere."""
    AutoConfig.for_model(kind).save_pretrained(tmp_path)
    before = AutoConfig.from_pretrained(tmp_path).to_dict()
    write_for_older(tmp_path)
    older = json.loads((tmp_path / "config.json").read_text())
    assert ("rope_theta" in older) == (kind != "gemma4_text")
    found = AutoConfig.from_pretrained(tmp_path).to_dict()
    assert {name: found[name] for name in before} == before


def test_a_kind_with_older_names_of_its_own_gets_them():
    """transformers 4 looks for GPT-NeoX's share of rotated dimensions under this name alone; its default is 0.25."""
    rope = {"rope_type": "default", "rope_theta": 5e4, "partial_rotary_factor": 1.0}
    found = older_config({"model_type": "gpt_neox", "rope_parameters": rope})
    assert (found["rotary_emb_base"], found["rotary_pct"]) == (5e4, 1.0)


def test_what_the_hub_lacks_is_named(tmp_path, monkeypatch):
    """huggingface/huggingface_hub#3406: a revision without a file; of a gated model, what to ask for."""
    import huggingface_hub

    def missing(*_, **__):
        raise LocalEntryNotFoundError(
            "404 Client Error. (Request ID: 1-6)\n\nEntry Not Found for url: https://h/config.json."
        )

    monkeypatch.setattr(huggingface_hub, "snapshot_download", missing)
    weights = HubWeights(source="hub", repo="a/b", revision="7" * 40)
    told = r"from the Hub: 404 Client Error\. Entry Not Found for url: https://h/config\.json\.$"
    with pytest.raises(UserError, match=told):
        fetch_base(weights, tmp_path / "base", disk_gb=0.001)


# --- servers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}, 64),
        ({"cached_tokens": 32}, 32),
        ({"prompt_cache_hit_tokens": 64, "prompt_tokens_details": {"cached_tokens": 60}}, 60),
        ({"prompt_cache_hit_tokens": 200}, 100),
        # BerriAI/litellm#11364: Anthropic behind a gateway
        ({"cache_read_input_tokens": 90, "prompt_tokens_details": {"cached_tokens": 0}}, 90),
        ({"prompt_cache_hit_tokens": None, "prompt_tokens_details": None}, 0),
    ],
)
def test_what_came_from_a_cache_is_counted_wherever_it_stands(usage, cached):
    """NousResearch/hermes-agent#61871: DeepSeek's, at a fiftieth of the price, stands beside the details."""
    body = with_usage(CHAT, prompt_tokens=100, completion_tokens=9, total_tokens=109)
    body["usage"].pop("prompt_tokens_details", None)
    body["usage"] |= usage
    reply = read_reply(body, CHAT)
    assert (reply.input_tokens, reply.output_tokens) == (100, 9)
    assert reply.cached_input_tokens == cached


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        # of a gateway that has one set of names for both endpoints
        ({"input_tokens": 100, "output_tokens": 9}, (100, 9, None, False)),
        # more than were written cannot be among those that were
        (
            {"prompt_tokens": 100, "completion_tokens": 9,
             "completion_tokens_details": {"reasoning_tokens": 40}},
            (100, 49, 40, False),
        ),
        # unless the total says so: counted otherwise
        (
            {"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109,
             "completion_tokens_details": {"reasoning_tokens": 10}},
            (100, 9, 10, False),
        ),
    ],
)  # fmt: skip
def test_tokens_are_counted_by_the_names_that_are_there(usage, counted):
    """What is billed and not counted makes an API look cheaper than it is."""
    reply = read_reply({**chat(), "usage": usage}, CHAT)
    found = (reply.input_tokens, reply.output_tokens, reply.reasoning_tokens)
    assert (*found, reply.tokens_estimated) == counted


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "errors": [{"code": 7009, "message": "Upstream is gone"}]},
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "Upstream is gone"}},
    ],
)
def test_a_reason_in_a_form_of_its_own_is_shown(body):
    """Cloudflare's and MiniMax's, in an answer of status 200."""
    with pytest.raises(NoAnswer, match="error in an answer of status 200: Upstream is gone"):
        read_reply(body, CHAT)


@pytest.mark.parametrize(
    ("own", "outcome"),
    [("MAX_TOKENS", "truncated"), ("length", "truncated"), ("SAFETY", "filtered"), ("STOP", "answered"),
     ("end_turn", "answered"), (None, "answered")],
)  # fmt: skip
def test_a_gateway_that_calls_half_an_answer_whole_is_not_believed(own, outcome):
    """reVrost/go-openrouter#43: the provider's own reason stands beside the gateway's."""
    body = chat(content='{"half": ', finish_reason="stop")
    body["choices"][0]["native_finish_reason"] = own
    assert read_reply(body, CHAT).outcome == outcome
    body["choices"][0] |= {"finish_reason": "length", "native_finish_reason": "stop"}
    assert read_reply(body, CHAT).outcome == "truncated"
    body["choices"][0] |= {"finish_reason": "stop", "native_finish_reason": "error"}
    with pytest.raises(NoAnswer, match="finish_reason error: the answer broke off"):
        read_reply(body, CHAT)


@pytest.mark.parametrize("place", ["content", "summary"])
def test_an_answer_that_became_reasoning_is_shown_of_either_endpoint(place):
    """vllm-project/vllm#44012: the Responses API has an item for it, and no message."""
    item = {"type": "reasoning", place: [{"type": "reasoning_text", "text": '{"a": "x"}'}]}
    with pytest.raises(NoAnswer, match=r"empty output, and 10 characters in an item of reasoning"):
        read_reply(responses(output=[item]), MINI)
    body = chat(content="", finish_reason="unknown")
    with pytest.raises(NoAnswer, match=r"^empty output \(finish_reason unknown\)"):
        read_reply(body, CHAT)


def test_a_reason_within_a_message_is_its_words():
    """BerriAI/litellm#8821: an object stands where the message would be."""
    said = {"error": {"message": {"error": "Invalid model name passed in model=x"}, "code": "400"}}
    assert "gpt-mini' (400): Invalid model name passed" in str(said_of(400, said))


@pytest.mark.parametrize(
    "message",
    [
        "BedrockException - For 'number' type, properties maximum, minimum are not supported",
        "For 'array' type, property 'maxItems' is not supported",
        "Invalid JSON payload received. Unknown name \"const\" at 'generation_config.response_schema': Cannot find field.",
        "Unknown name \"const\" at 'generation_config.response_json_schema.properties[0].value': Cannot find field.",
    ],
)
def test_a_schema_that_is_rejected_by_its_keywords_names_the_setting(message):
    """vectorize-io/hindsight#1289, elastic/kibana#284647: Bedrock and Vertex name no parameter of the request."""
    error = said_of(400, {"error": {"message": message, "param": None, "code": "400"}})
    assert str(error).startswith("conditions.mini.output: ")


def test_a_context_that_is_too_small_is_not_asked_again():
    """Beside oobabooga/textgen#7257: llama.cpp of September 2025 says so with status 500."""
    error = {
        "code": 500, "message": "the request exceeds the available context size", "type": "exceed_context_size_error",
        "n_prompt_tokens": 1407, "n_ctx": 256,
    }  # fmt: skip
    fault = Fault("status", 500, body=lambda _: {"error": error})
    with FaultServer({"mail 0": [fault] * 3}) as server:
        with pytest.raises(UserError, match="too long for this model"):
            ask(server, 1, CHAT)
        assert len(server.seen) == 1
