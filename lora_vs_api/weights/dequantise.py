"""A GGUF file as a dense transformers model: every weight unpacked once and rounded to bfloat16.

transformers rebuilds the config and the tokenizer from the file's metadata. What it does not know there it
leaves out or draws at random without an error, so a file is taken only if all of it is understood.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Compared with llama.cpp, which computes the file as it is: docs/models.md says how closely.
ARCHITECTURES = ("llama", "qwen2")
# What transformers reads of them; another setting, such as a scaled rotation, would be left out.
SETTINGS = {
    "attention.head_count",
    "attention.head_count_kv",
    "attention.layer_norm_rms_epsilon",
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "vocab_size",
}
# How llama.cpp calls GPT-2's way to split words, which transformers takes for every name it does not know.
# SmolLM's parts digits before that, and so do its merges: no token has two.
LIKE_GPT2 = {"gpt-2", "smollm"}
# How many dimensions of a head are rotated. transformers takes that for the width of a head (llama), or passes
# over it (qwen2), and rotates whole heads.
ROTATED, WIDTH, HEADS = "rope.dimension_count", "embedding_length", "attention.head_count"
# What of a file's settings is looked at by value; the last three behind the architecture's name.
SAID = (
    "general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre",
    f".{ROTATED}", f".{WIDTH}", f".{HEADS}",
)  # fmt: skip
ELSE = "Use the model's safetensors (model=local)"


def dense_from_gguf(file: Path, folder: Path, where: str) -> None:
    """Write the model in the GGUF file ``file`` to ``folder``: bfloat16 safetensors, tokenizer, chat template.

    Input and output embeddings are as many as the file holds: most 4-bit files pack the one matrix of a tied
    pair twice, each in its own way, and the model has both then, as llama.cpp does.

    Args:
        where: the setting and its value that name the file, for messages.

    Raises:
        UserError: it is no GGUF file, or holds an architecture, a setting, a quantisation, a tokenizer or
            weights that are not known here.
    """
    import torch
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    try:
        held = GGUFReader(file)
        said = {key: field.contents() for key, field in held.fields.items() if key.endswith(SAID)}
        _check_settings(said, set(held.fields), where)
        there = sum(int(tensor.n_elements) for tensor in held.tensors)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        model, report = cast(Any, AutoModelForCausalLM).from_pretrained(
            file.parent,
            gguf_file=file.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
            output_loading_info=True,
        )
    except UserError:
        raise
    except Exception as error:  # each reader of a file's blocks raises what it likes
        reason = " ".join(str(error).split()).replace(str(file), file.name)[:300]
        raise UserError(f"{where}: its GGUF file cannot be dequantised ({reason})") from None
    _check_weights(report["missing_keys"], there, model.num_parameters(), where)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _check_settings(said: Mapping[str, Any], keys: set[str], where: str) -> None:
    """Make sure that transformers reads what a file sets.

    Args:
        said: the values of what ends as ``SAID`` has it.
        keys: all that it sets.

    Raises:
        UserError: it does not; the setting is named.
    """
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    architecture = said.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise UserError(
            f"{where}: its GGUF file holds the architecture {architecture}, whose dequantised weights are not "
            f"known to compute what the file does; known: {', '.join(ARCHITECTURES)}. {ELSE}"
        )
    begin = f"{architecture}."
    ours = {key.removeprefix(begin) for key in keys if key.startswith(begin)}
    if unknown := sorted(ours - SETTINGS):
        raise UserError(
            f"{where}: its GGUF file sets {begin}{unknown[0]}, which transformers does not read, so it would "
            f"compute another model. {ELSE}"
        )
    rotated, width, heads = (said.get(begin + name, 0) for name in (ROTATED, WIDTH, HEADS))
    if begin + ROTATED in keys and rotated * heads != width:
        raise UserError(
            f"{where}: its GGUF file sets {begin}{ROTATED} to {rotated} with {heads} heads in {width} dimensions; "
            f"transformers rotates whole heads, so it would compute another model. {ELSE}"
        )
    kind, split = said.get("tokenizer.ggml.model"), said.get("tokenizer.ggml.pre")
    if kind == "gpt2" and split not in {*GGUF_PRE_TOKENIZER_SPLITS, *LIKE_GPT2}:
        raise UserError(
            f"{where}: its GGUF file's tokenizer splits words as {split} (tokenizer.ggml.pre), which "
            f"transformers does not know. {ELSE}"
        )


def _check_weights(missing: Iterable[str], there: int, here: int, where: str) -> None:
    """Make sure that the model has every weight of the file, and no other.

    Args:
        missing: names of the model's tensors that the file had nothing for.
        there: number of weights in the file.
        here: number of weights in the model, a tied one counted once.

    Raises:
        UserError: it has not.
    """
    if missing := sorted(missing):
        raise UserError(
            f"{where}: its GGUF file lacks {len(missing)} tensors of the model, such as {missing[0]}"
        )
    if there != here:
        raise UserError(
            f"{where}: its GGUF file holds {there:,} weights and the model made of it {here:,}, so transformers "
            f"does not read all of it. {ELSE}"
        )
