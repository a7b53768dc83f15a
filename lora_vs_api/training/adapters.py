"""The ways a model can be tuned: what peft adds to it, and how the result is written.

LoRA: Hu et al. (2021). rsLoRA, scaled by alpha/√r: Kalajdzievski (2023). DoRA, direction and
magnitude apart: Liu et al. (2024). PiSSA, started from the weights' principal components: Meng et
al. (2024). QLoRA, LoRA on a base that is held in 4 bits: Dettmers et al. (2023). LoRA+, B learning
faster than A: Hayou et al. (2024). Prompt tuning: Lester et al. (2021). Prefix tuning: Li and Liang
(2021).
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig
from torch import nn
from transformers.pytorch_utils import Conv1D

from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, write_json
from lora_vs_api.log import say
from lora_vs_api.training.spec import TrainingSpec

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

ALL_LINEAR = ("all-linear",)
# what a LoRA adapter of peft can be put on
ADAPTABLE = (nn.Linear, Conv1D, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d)
# those of which peft refuses two modules
STATE_SPACE = ("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h")

# :func:`save_tuned` does what this one advises
warnings.filterwarnings("ignore", message="PiSSA changes the base weights")


def peft_config(spec: TrainingSpec, model: PreTrainedModel) -> PeftConfig | None:
    """What peft adds to ``model`` for ``spec.method``; None for full fine-tuning.

    Raises:
        UserError: a target module that the model has not, or that can take no adapter; named beside
            those that can.
    """
    if spec.method == "full":
        return None
    if spec.method in ("prompt", "prefix"):
        kind = PromptTuningConfig if spec.method == "prompt" else PrefixTuningConfig
        return kind(task_type="CAUSAL_LM", num_virtual_tokens=cast("int", spec.virtual_tokens))
    modules = _modules(spec, model)
    _tell_what_stays(model)
    return LoraConfig(
        r=spec.r,
        # peft says an int, takes any number and writes it as it is
        lora_alpha=cast("int", spec.alpha),
        lora_dropout=spec.dropout,
        target_modules=modules,
        exclude_modules=_beside_the_text(model),
        fan_in_fan_out=_all_turned(model, modules),
        use_rslora=spec.method == "rslora",
        use_dora=spec.method == "dora",
        init_lora_weights="pissa" if spec.method == "pissa" else True,
        bias="none",
        task_type="CAUSAL_LM",
    )


def _modules(spec: TrainingSpec, model: PreTrainedModel) -> list[str]:
    # peft's own "all-linear" would write every layer's full path into the adapter's config
    head, decoder = model.get_output_embeddings(), _text_decoder(model)
    linear = sorted(
        {
            name.split(".")[-1]
            for name, module in decoder.named_modules()
            if isinstance(module, (nn.Linear, Conv1D)) and module is not head
        }
        - _without_adapter(model)
        - _of_others(model)
    )
    if spec.target_modules == ALL_LINEAR:
        if not linear:
            raise UserError(
                f"lora.adapter.target_modules: the base model ({model.config.model_type}) has no linear "
                "layer that can take an adapter; use another base model (model.weights)"
            )
        return linear
    there = {name.split(".")[-1] for name, _ in model.named_modules()}
    wrong = [name for name in spec.target_modules if name not in there]
    problem = f"no module of the base model has the last name {', '.join(wrong)}"
    if not wrong:
        able = (
            {
                name.split(".")[-1]
                for name, module in model.named_modules()
                if isinstance(module, ADAPTABLE) and module is not head
            }
            - _without_adapter(model)
            - _tied(model)
        )
        wrong = [name for name in spec.target_modules if name not in able]
        problem = (
            f"no adapter can be put on {', '.join(wrong)} of a {model.config.model_type} model"
        )
    if wrong:
        raise UserError(
            f"lora.adapter.target_modules: {problem}; its linear ones are {', '.join(linear)}, and "
            "all-linear takes them all"
        )
    return list(spec.target_modules)


def _tell_what_stays(model: PreTrainedModel) -> None:
    """Say what share of the weights no adapter reaches: a mixture's experts are stacked, and no layers."""
    decoder = _text_decoder(model)
    stacked = {
        f"{path}.{name}": weight
        for path, module in decoder.named_modules()
        if not isinstance(module, ADAPTABLE)
        for name, weight in module.named_parameters(recurse=False)
        if weight.ndim == 3
    }
    if stacked:
        held = sum(weight.numel() for weight in stacked.values())
        share = held / sum(weight.numel() for weight in decoder.parameters())
        names = sorted({".".join(name.split(".")[-2:]) for name in stacked})
        say(
            f"{share:.0%} of the base model's weights ({', '.join(names)}) are no linear layers, as those of a "
            "mixture's experts: they get no adapter and stay as they are"
        )


def _text_decoder(model: PreTrainedModel) -> nn.Module:
    """The part that reads text: of a multimodal model the images' encoder learns nothing here."""
    decoder = model.get_decoder()
    return decoder if isinstance(decoder, nn.Module) else model


def _without_adapter(model: PreTrainedModel) -> set[str]:
    """Names of modules that no adapter may be put on: a state-space kernel reads their weights alone."""
    return {"out_proj", "conv1d"} if model.config.model_type in STATE_SPACE else set()


def _of_others(model: PreTrainedModel) -> set[str]:
    """Names that modules have which can take no adapter: peft goes by the last part of a path alone.

    A linear layer in a list is called 0, as is the first of all decoder layers (Gemma 3n). A router that is
    a linear layer by its class gives more than one (Llama 4, Phi-3.5-MoE).
    """
    return {
        name.split(".")[-1]
        for name, module in model.named_modules()
        if not isinstance(module, ADAPTABLE) or type(module).__name__.endswith("Router")
    }


def _tied(model: PreTrainedModel) -> set[str]:
    """Name of the embeddings where the output layer is the same matrix.

    An adapter on them counts for the tokens that go in, and once merged also for those that come out.
    """
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or head.weight is not getattr(embeddings, "weight", None):
        return set()
    return {name.split(".")[-1] for name, module in model.named_modules() if module is embeddings}


def _beside_the_text(model: PreTrainedModel) -> str | None:
    """A pattern of the modules outside the text's decoder; None for a model that has no others."""
    names = {id(module): name for name, module in model.named_modules()}
    inside = names[id(_text_decoder(model))]
    outside = set()
    for name, module in model.named_modules():
        if not isinstance(module, (nn.Linear, Conv1D)) or module is model.get_output_embeddings():
            continue
        if inside and not f"{name}.".startswith(f"{inside}."):
            # as far as it has a path in common with the decoder, and one step more
            parts, common = name.split("."), inside.split(".")
            shared = next((i for i, part in enumerate(parts) if common[i : i + 1] != [part]), 0)
            outside.add(re.escape(".".join(parts[: shared + 1])))
    return rf"({'|'.join(sorted(outside))})(\..*)?" if outside else None


def _all_turned(model: PreTrainedModel, names: list[str]) -> bool:
    """Whether the layers to be tuned hold their weights as GPT-2's do, (in, out)."""
    found = [module for name, module in model.named_modules() if name.split(".")[-1] in names]
    return bool(found) and all(isinstance(module, Conv1D) for module in found)


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
