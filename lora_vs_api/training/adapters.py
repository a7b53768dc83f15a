"""The ways a model can be tuned, as peft configurations.

LoRA: Hu et al. (2021). rsLoRA, scaled by alpha/√r: Kalajdzievski (2023). DoRA, direction and
magnitude apart: Liu et al. (2024). PiSSA, started from the weights' principal components: Meng et
al. (2024). QLoRA, LoRA on a base that is held in 4 bits: Dettmers et al. (2023). LoRA+, B learning
faster than A: Hayou et al. (2024). Prompt tuning: Lester et al. (2021). Prefix tuning: Li and Liang
(2021).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig
from torch import nn

from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

    from lora_vs_api.training.train import TrainingSpec

LORA_METHODS = ("lora", "rslora", "dora", "pissa", "qlora")
ALL_LINEAR = ("all-linear",)


def peft_config(spec: TrainingSpec, model: PreTrainedModel) -> PeftConfig | None:
    """What peft adds to ``model`` for ``spec.method``; None for full fine-tuning.

    Raises:
        UserError: a target module that the model has not; named beside those it has.
    """
    if spec.method == "full":
        return None
    if spec.method == "prompt":
        return PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=spec.virtual_tokens)
    if spec.method == "prefix":
        return PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=spec.virtual_tokens)
    return LoraConfig(
        r=spec.r,
        lora_alpha=spec.alpha,
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
