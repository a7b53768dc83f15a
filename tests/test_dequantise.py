"""A GGUF file as a base model: what it holds comes out dense, and what is not understood is refused."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lora_vs_api.config.sections import GgufWeights, LocalFile
from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.weights import fetch
from lora_vs_api.weights.dequantise import _check_settings, _check_weights, dense_from_gguf
from lora_vs_api.weights.fetch import fetch_base
from tests.tiny_gguf import gguf_of
from tests.tiny_model import build_tiny_model

KNOWN = {
    "general.architecture": "qwen2",
    "qwen2.block_count": 24,
    "qwen2.embedding_length": 896,
    "qwen2.attention.head_count": 14,
    "qwen2.rope.dimension_count": 64,
    "qwen2.rope.freq_base": 1e6,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "qwen2",
}


def base_of(file, **changes):
    values = {
        "source": "gguf",
        "bytes": file.stat().st_size,
        "sha256": file_sha256(file),
        "sources": [LocalFile(source="path", path=str(file))],
    }
    return GgufWeights(**{**values, **changes})


def test_a_gguf_file_computes_as_dense_weights_what_it_did(tmp_path):
    """Rotation, embeddings, template and tokens are the model's it was made of, and nothing else stays."""
    model = build_tiny_model(tmp_path / "tiny")
    file = gguf_of(model, tmp_path / "tiny.gguf")
    out = tmp_path / "models" / "base_model"
    fetch_base(base_of(file), out, disk_gb=0.001)
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"
    before, after = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32) for folder in (model, out)
    )
    ids = torch.tensor([[5, 9, 30, 77, 31, 200]])
    with torch.inference_mode():
        ours, theirs = after(ids).logits, before(ids).logits
    # the weights were rounded to 8 bits of precision
    assert (ours - theirs).abs().max() < 0.02 * theirs.abs().max()
    chats = [
        AutoTokenizer.from_pretrained(folder).apply_chat_template(
            [{"role": "user", "content": "It's 12:30, Ünïcödé"}], add_generation_prompt=True
        )["input_ids"]
        for folder in (model, out)
    ]
    assert chats[0] == chats[1]
    assert [file.name for file in out.parent.iterdir()] == ["base_model"]


def test_another_file_than_the_one_named_is_refused(tmp_path):
    """In one line with the base's key, and nothing is left where the model would be."""
    (tmp_path / "own.gguf").write_bytes(b"GGUF, but not really")
    out = tmp_path / "models" / "base_model"
    with pytest.raises(UserError, match=r"^model\.weights\.sources\[0\]: the file has SHA-256"):
        fetch_base(base_of(tmp_path / "own.gguf", sha256="0" * 64), out, disk_gb=0.001)
    with pytest.raises(
        UserError, match=r"^model\.weights\.sha256: .*cannot be dequantised \("
    ) as failure:
        fetch_base(base_of(tmp_path / "own.gguf"), out, disk_gb=0.001)
    assert "\n" not in str(failure.value) and not out.exists()


@pytest.mark.parametrize("beside", [False, True])
def test_a_file_that_was_had_is_not_fetched_again(tmp_path, monkeypatch, beside):
    """One that a killed node has left, or the contest's own of the same bytes; nothing stays beside the base."""
    file, out = tmp_path / "own.gguf", tmp_path / "models" / "base_model"
    file.write_bytes(b"GGUF, but not really")
    wanted = base_of(file)
    opponents = tmp_path / "models" / "opponent"
    opponents.mkdir(parents=True)
    (opponents / "large.gguf").write_bytes(b"of the same length.."[: wanted.bytes])
    if beside:
        (opponents / "small.gguf").write_bytes(file.read_bytes())
        file.unlink()
    else:
        with monkeypatch.context() as patch:
            patch.setattr(fetch, "dense_from_gguf", killed)
            with pytest.raises(KeyboardInterrupt):
                fetch_base(wanted, out, disk_gb=0.001)
    read = []
    monkeypatch.setattr(fetch, "fetch_gguf", None)
    monkeypatch.setattr(
        fetch, "dense_from_gguf", lambda file, *rest: read.append(file.read_bytes())
    )
    for step in ("check_files", "settle_chat"):
        monkeypatch.setattr(fetch, step, lambda *given: None)
    fetch_base(wanted, out, disk_gb=0.001)
    assert read == [b"GGUF, but not really"]
    assert {file.name for file in out.parent.iterdir()} == {"base_model", "opponent"}


def killed(*given):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"general.architecture": "gemma3"}, "holds the architecture gemma3, .*known: llama, qwen2"),
        ({"qwen2.rope.scaling.type": "yarn"}, r"sets qwen2\.rope\.scaling\.type, which transformers"),
        (
            {"qwen2.rope.dimension_count": 32},
            r"sets qwen2\.rope\.dimension_count to 32 with 14 heads in 896 dimensions; .* whole heads",
        ),
        ({"tokenizer.ggml.pre": "stablelm2"}, r"splits words as stablelm2 \(tokenizer\.ggml\.pre\)"),
        ({"tokenizer.ggml.pre": None}, "splits words as None"),
    ],
)  # fmt: skip
def test_settings_that_would_be_left_out_are_refused(changed, message):
    """transformers passes over them without a word, and would compute another model or split words otherwise."""
    where = "model.weights.sha256: x"
    _check_settings(KNOWN, set(KNOWN), where)
    with pytest.raises(UserError, match=rf"^model\.weights\.sha256: x: .*{message}"):
        _check_settings({**KNOWN, **changed}, {*KNOWN, *changed}, where)


def test_weights_that_are_lacking_or_left_out_are_refused():
    """Lacking ones would be drawn at random, and scales of a rotation (rope_freqs.weight) passed over."""
    _check_weights([], 40, 40, "w")
    with pytest.raises(UserError, match=r"^w: .* lacks 2 tensors of the model, such as a\.bias"):
        _check_weights(["b.bias", "a.bias"], 32, 40, "w")
    with pytest.raises(UserError, match=r"^w: .* holds 40 weights and the model made of it 32,"):
        _check_weights([], 40, 32, "w")


def test_a_quantisation_that_is_not_known_is_refused(tmp_path):
    """Before a weight of it is read as something else."""
    file = gguf_of(build_tiny_model(tmp_path / "tiny"), tmp_path / "own.gguf")
    content = bytearray(file.read_bytes())
    name = b"blk.0.attn_q.weight"
    # behind the name: how many dimensions, two of them, and the type
    place = content.index(name) + len(name) + 4 + 2 * 8
    content[place : place + 4] = (99).to_bytes(4, "little")
    file.write_bytes(content)
    with pytest.raises(
        UserError, match=r"^w: its GGUF file cannot be dequantised \(.*99.* is not a valid"
    ):
        dense_from_gguf(file, tmp_path / "out", "w")
