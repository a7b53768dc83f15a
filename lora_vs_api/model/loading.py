"""Load the base model and its adapters onto the configured device."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


# a bar for loading a file that is on this disk says nothing; the stages show their own
logging.disable_progress_bar()


@dataclass(frozen=True)
class Runtime:
    """Where and in which precision a model runs."""

    device: str
    dtype: torch.dtype


def resolve_runtime(device: str, dtype: str) -> Runtime:
    """Check that ``device`` is there and turn ``dtype`` auto into what it computes well.

    Raises:
        UserError: ``device`` is cuda and no CUDA GPU can be used.
    """
    if device == "cuda":
        if not torch.cuda.is_available():
            raise UserError(
                "device: cuda asked for, but torch finds no CUDA GPU here; "
                "run on one, or use -S profile=laptop (device: cpu)"
            )
        supported = torch.cuda.is_bf16_supported()
    else:
        # without AVX512-BF16 or AMX a bfloat16 product falls back to a loop many times slower
        supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if dtype == "auto":
        return Runtime(device, torch.bfloat16 if supported else torch.float32)
    return Runtime(device, getattr(torch, dtype))


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
    return model.to(runtime.device).eval()


def load_tuned(base: str | Path, adapter: str | Path, runtime: Runtime) -> PreTrainedModel:
    """The base model with ``adapter`` merged into its weights.

    Merged in float32 and rounded once: no adapter arithmetic is left at inference time.
    """
    from peft import PeftModel

    model = load_base(base, Runtime(runtime.device, torch.float32))
    merged = PeftModel.from_pretrained(
        model, str(adapter), local_files_only=True
    ).merge_and_unload()
    return merged.to(runtime.dtype).eval()


def machine(runtime: Runtime) -> dict[str, Any]:
    """What a timing was taken on."""
    name = torch.cuda.get_device_name() if runtime.device == "cuda" else _cpu_name()
    return {
        "device": runtime.device,
        "name": name,
        "threads": torch.get_num_threads(),
        "dtype": str(runtime.dtype).removeprefix("torch."),
        "torch": torch.__version__,
    }


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
