"""The ways a model can be tuned: what peft adds to it, and how the result is written.

LoRA: Hu et al. (2021). rsLoRA, scaled by alpha/√r: Kalajdzievski (2023). DoRA, direction and
magnitude apart: Liu et al. (2024). PiSSA, started from the weights' principal components: Meng et
al. (2024). QLoRA, LoRA on a base that is held in 4 bits: Dettmers et al. (2023). LoRA+, B learning
faster than A: Hayou et al. (2024). Prompt tuning: Lester et al. (2021). Prefix tuning: Li and Liang
(2021).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig
from torch import nn

from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, write_json
from lora_vs_api.training.spec import TrainingSpec

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

ALL_LINEAR = ("all-linear",)

# :func:`save_tuned` does what this one advises
warnings.filterwarnings("ignore", message="PiSSA changes the base weights")


def peft_config(spec: TrainingSpec, model: PreTrainedModel) -> PeftConfig | None:
    """What peft adds to ``model`` for ``spec.method``; None for full fine-tuning.

    Raises:
        UserError: a target module that the model has not; named beside those it has.
    """
    if spec.method == "full":
        return None
    if spec.method in ("prompt", "prefix"):
        kind = PromptTuningConfig if spec.method == "prompt" else PrefixTuningConfig
        return kind(task_type="CAUSAL_LM", num_virtual_tokens=cast("int", spec.virtual_tokens))
    return LoraConfig(
        r=spec.r,
        # peft says an int, takes any number and writes it as it is
        lora_alpha=cast("int", spec.alpha),
        lora_dropout=spec.dropout,
        target_modules=_modules(spec, model),
        use_rslora=spec.method == "rslora",
        use_dora=spec.method == "dora",
        init_lora_weights="pissa" if spec.method == "pissa" else True,
        bias="none",
        task_type="CAUSAL_LM",
    )


def _modules(spec: TrainingSpec, model: PreTrainedModel) -> list[str]:
    # peft's own "all-linear" would write every layer's full path into the adapter's config
    linear = sorted(
        {
            name.split(".")[-1]
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and module is not model.get_output_embeddings()
        }
    )
    if spec.target_modules == ALL_LINEAR:
        return linear
    there = {name.split(".")[-1] for name, _ in model.named_modules()}
    missing = [name for name in spec.target_modules if name not in there]
    if missing:
        raise UserError(
            f"lora.adapter.target_modules: the base model has no module {', '.join(missing)}; its linear "
            f"ones are {', '.join(linear)}, and all-linear takes them all"
        )
    return list(spec.target_modules)


def keep_pissa_start(model: PeftModel, spec: TrainingSpec, folder: str | Path) -> str | None:
    """Keep PiSSA's adapter as it starts, for :func:`save_tuned`; None for other methods.

    PiSSA takes the adapter's first value out of the base's weights: what is written has to put
    that right.
    """
    if spec.method != "pissa":
        return None
    config = cast(LoraConfig, model.peft_config["default"])
    config.init_lora_weights = True
    model.save_pretrained(str(folder))
    config.init_lora_weights = "pissa"
    return str(folder)


def save_tuned(
    model: PeftModel | PreTrainedModel,
    spec: TrainingSpec,
    dtype: torch.dtype,
    folder: Path,
    pissa_start: str | None,
) -> None:
    """Write the adapter into ``folder``; of a full fine-tuning the whole model, in ``dtype``."""
    if spec.method == "full":
        module: nn.Module = model
        module.to(dtype)
        model.save_pretrained(str(folder))
    else:
        # with PiSSA's start, an adapter for the base as it is: of rank 2r
        model.save_pretrained(str(folder), path_initial_model_for_weight_conversion=pissa_start)
        config = read_json(folder / "adapter_config.json")
        # peft keeps the modules as a set, whose order changes from process to process
        if config.get("target_modules"):
            config["target_modules"] = sorted(config["target_modules"])
        write_json(folder / "adapter_config.json", config)
    # peft's card is an empty form; `lora_vs_api.cli.publish` writes a real one
    (folder / "README.md").unlink(missing_ok=True)
