"""Load the base model and its adapters onto the configured device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from lora_vs_api.errors import UserError
from lora_vs_api.model.attention import NAME as GROUPED
from lora_vs_api.model.attention import has_plain_attention
from lora_vs_api.model.runtime import Runtime

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


# a bar for loading a file that is on this disk says nothing; the stages show their own
logging.disable_progress_bar()


def load_tokenizer(base: str | Path, pad_token: str | None) -> PreTrainedTokenizerBase:
    """Tokenizer of the base model, its pad token set to ``pad_token`` where one is given.

    Raises:
        UserError: no chat template, or ``pad_token`` is not in the vocabulary or ends a turn.
    """
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    if tokenizer.chat_template is None:
        raise UserError(f"{base}: the tokenizer has no chat template; expected a chat model")
    if pad_token is not None:
        if pad_token not in tokenizer.get_vocab():
            raise UserError(f"model.pad_token: {pad_token!r} is not a token of {base}")
        tokenizer.pad_token = pad_token
    if tokenizer.pad_token is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise UserError(
            "model.pad_token: expected a token other than the one that ends a turn "
            f"({tokenizer.eos_token!r}), which training would otherwise never see"
        )
    return tokenizer


def load_base(base: str | Path, runtime: Runtime) -> PreTrainedModel:
    """The base model's weights in ``runtime``'s precision, on its device, ready to infer."""
    if not Path(base, "config.json").is_file():
        raise UserError(f"{base}: no base model there; run `dvc repro base_model`")
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=runtime.dtype, local_files_only=True, use_safetensors=True
    )
    if runtime.device == "cpu":
        if has_plain_attention(model.config):
            model.set_attn_implementation(GROUPED)
        # of a batch's last states, a strided view, torch makes one product with a copy of the
        # whole output matrix for each row
        model.get_output_embeddings().register_forward_pre_hook(_contiguous)
    return model.to(runtime.device).eval()


def _contiguous(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[Any, ...]:
    return (inputs[0].contiguous(), *inputs[1:])


def load_tuned(base: str | Path, tuned: str | Path, runtime: Runtime) -> PreTrainedModel:
    """What training wrote to the directory ``tuned``, ready to infer.

    A LoRA adapter is merged into the base's weights, in float32 and rounded once: no adapter
    arithmetic is left at inference time. Learnt prompts and prefixes cannot be merged and come as
    a ``PeftModel``; of a full fine-tuning the folder is the model.
    """
    if Path(tuned, "config.json").is_file():
        return load_base(tuned, runtime)
    from peft import PeftConfig, PeftModel

    if PeftConfig.from_pretrained(str(tuned)).is_prompt_learning:
        model = PeftModel.from_pretrained(
            load_base(base, runtime), str(tuned), local_files_only=True
        )
        return model.eval()
    model = load_base(base, Runtime(runtime.device, torch.float32))
    merged = PeftModel.from_pretrained(model, str(tuned), local_files_only=True).merge_and_unload()
    return merged.to(runtime.dtype).eval()
