"""Load the base model and its adapters onto the configured device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging

from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json
from lora_vs_api.model.attention import NAME as GROUPED
from lora_vs_api.model.attention import has_plain_attention
from lora_vs_api.model.runtime import Runtime
from lora_vs_api.shown import count

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


# a bar for loading a file that is on this disk says nothing; the stages show their own
logging.disable_progress_bar()


def load_tokenizer(base: str | Path, pad_token: str | None) -> PreTrainedTokenizerBase:
    """Tokenizer of the base model, its pad token set to ``pad_token`` where one is given.

    It needs none of its own, and may pad with the token that ends a turn: what is padded is masked by
    its place, in training as in decoding.

    Raises:
        UserError: no chat template, or ``pad_token`` is not in the vocabulary.
    """
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    if tokenizer.chat_template is None:
        raise UserError(f"{base}: the tokenizer has no chat template; expected a chat model")
    rows = known_tokens(base)
    if pad_token is not None:
        number = tokenizer.get_vocab().get(pad_token)
        if number is None:
            raise UserError(f"runtime.pad_token: {pad_token!r} is not a token of {base}")
        if number >= rows:
            raise UserError(
                f"runtime.pad_token: {pad_token!r} is the token {number} of {base}, whose embeddings have {rows} rows; expected "
                "null, which pads with a token that has one, or embeddings that were resized with the tokenizer"
            )
        tokenizer.pad_token = pad_token
    # one that was added to the tokenizer alone would be looked up beyond the embeddings
    if tokenizer.pad_token is None or tokenizer.pad_token_id >= rows:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def known_tokens(base: str | Path) -> float:
    """How many tokens the model's embeddings have rows for; infinite where its config does not say."""
    path = Path(base, "config.json")
    config = read_json(path) if path.is_file() else {}
    return ({**config, **(config.get("text_config") or {})}).get("vocab_size") or float("inf")


def load_base(
    base: str | Path, runtime: Runtime, *, four_bit: BitsAndBytesConfig | None = None
) -> PreTrainedModel:
    """The base model's weights in ``runtime``'s precision, on its device, ready to infer.

    With ``four_bit``, its linear layers but the output's hold weights quantised like that.
    """
    if not Path(base, "config.json").is_file():
        raise UserError(f"{base}: no base model there; run `dvc repro base_model`")
    # quantised on the way to the device, which has to be named: bitsandbytes prefers a GPU
    quantised = {"quantization_config": four_bit, "device_map": {"": runtime.device}}
    model, report = cast(Any, AutoModelForCausalLM).from_pretrained(
        base,
        dtype=runtime.dtype,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
        **(quantised if four_bit else {}),
    )
    missing = sorted(report["missing_keys"])
    if missing:
        # transformers fills them with random numbers and says so in passing
        raise UserError(
            f"{base}: its weights lack {count(len(missing), 'tensor')} of the model that config.json describes, "
            f"such as {missing[0]}; fetch the whole model"
        )
    # some configs ask for plain tuples, which nothing here reads
    for config in (model.config, model.config.get_text_config()):
        config.return_dict = True
    if runtime.device == "cpu":
        if has_plain_attention(model.config):
            model.set_attn_implementation(GROUPED)
        # of a batch's last states, a strided view, torch makes one product with a copy of the
        # whole output matrix for each row
        head = model.get_output_embeddings()
        if head is not None:
            head.register_forward_pre_hook(_contiguous)
    # `to` of any module moves this one, but transformers' wrapper of it hides its arguments
    module: torch.nn.Module = model
    module.to(runtime.device)
    return model.eval()


def _contiguous(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[Any, ...]:
    return (inputs[0].contiguous(), *inputs[1:])


def four_bit_config(runtime: Runtime) -> BitsAndBytesConfig:
    """QLoRA's storage of the base: 4-bit NormalFloat, the blocks' scales quantised once more.

    Weights are computed with in ``runtime``'s precision. Dettmers et al. (2023), section 3.

    Raises:
        UserError: bitsandbytes is not installed.
    """
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise UserError(
            "lora.adapter.variant: qlora needs bitsandbytes; pip install 'lora-vs-api[qlora]'"
        ) from None
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=runtime.dtype,
    )


def load_tuned(base: str | Path, tuned: str | Path, runtime: Runtime) -> PreTrainedModel:
    """What training wrote to the directory ``tuned``, ready to infer.

    A LoRA adapter is merged into the base's weights, in float32 and rounded once: no adapter
    arithmetic is left at inference time. QLoRA's (Dettmers et al., 2023) was learnt on weights that
    went through 4 bits, so it is merged into those: quantised and dequantised as in training. To
    the untouched weights it would add a correction of errors that they do not have. The virtual
    tokens of a prompt or prefix cannot be merged: they come as a ``PeftModel``, which answers to
    all that a ``PreTrainedModel`` does. Of a full fine-tuning the folder is the model.
    """
    if Path(tuned, "config.json").is_file():
        return load_base(tuned, runtime)
    from peft import PeftConfig, PeftModel

    if PeftConfig.from_pretrained(str(tuned)).is_prompt_learning:
        wrapped = PeftModel.from_pretrained(
            load_base(base, runtime), str(tuned), local_files_only=True
        )
        return cast("PreTrainedModel", wrapped.eval())
    model = load_base(base, Runtime(runtime.device, torch.float32))
    if _method(tuned) == "qlora":
        _through_four_bits(model, load_base(base, runtime, four_bit=four_bit_config(runtime)))
    tuned_model = PeftModel.from_pretrained(model, str(tuned), local_files_only=True)
    merged = cast(Any, tuned_model).merge_and_unload()
    return cast("PreTrainedModel", merged.to(runtime.dtype).eval())


def _method(tuned: str | Path) -> str | None:
    """How the adapter in the directory ``tuned`` was trained; None where nothing tells."""
    record = Path(tuned, "training.json")
    return read_json(record)["spec"]["method"] if record.is_file() else None


def _through_four_bits(model: torch.nn.Module, quantised: torch.nn.Module) -> None:
    """Give ``model`` the weights that the layers of ``quantised`` compute with."""
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit, Params4bit

    for name, layer in quantised.named_modules():
        if isinstance(layer, Linear4bit):
            packed = cast(Params4bit, layer.weight)
            weight = dequantize_4bit(packed.data, packed.quant_state)
            dense = cast(torch.nn.Linear, model.get_submodule(name))
            # GPT-2's layers hold their weights the other way round
            turned = weight.t() if isinstance(dense, Conv1D) else weight
            dense.weight.data = turned.to(torch.float32).contiguous()
