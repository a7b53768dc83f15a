"""trl's SFTTrainer with a loss that computes each thing once, and a line of progress."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any, cast

import torch
from peft import PeftModel
from peft.optimizers import create_loraplus_optimizer
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm
from transformers import (
    DynamicCache,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import SFTTrainer

from lora_vs_api.log import say
from lora_vs_api.model.attention import has_plain_attention
from lora_vs_api.training.batches import LengthGroupedBatches
from lora_vs_api.training.fused_loss import completion_loss

# trl still reads an attribute that transformers has renamed; nothing a user could act on
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")


class CompletionTrainer(SFTTrainer):
    """SFTTrainer that computes each thing once, and logits for completion tokens alone.

    TRL 1.16 projects every position to the vocabulary and then masks the prompt's away. With a
    49K vocabulary and completions a quarter of the sequence, that is most of a CPU step. And it
    computes the instruction that every prompt begins with once for each example: here a batch
    shares its keys and values, whose gradient is the sum over the examples. The loss is the same
    sum of cross-entropies over the same tokens.

    All that is so only where ``fast`` is set, for a model of which
    :func:`~lora_vs_api.training.probe.settle_way` has shown that it is; else the logits are those
    of the model's own forward.

    ``by_length`` puts texts of like length into a batch. ``plus_ratio`` is LoRA+'s (None for plain LoRA). ``checkpoint_written`` is called with the step
    of each checkpoint that the Trainer has written.
    """

    fast: bool = False
    by_length: bool = False
    plus_ratio: float | None = None
    checkpoint_written: Callable[[int], None] | None = None

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        step = self.state.global_step
        try:
            super()._save_checkpoint(model, trial)
            if self.checkpoint_written is not None:
                self.checkpoint_written(step)
        except (OSError, RuntimeError, SafetensorError) as error:
            # a full disk must not cost the training that the checkpoint was to save
            say(f"step {step}: no checkpoint written ({' '.join(str(error).split())})")

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if not self.by_length:
            return super()._get_train_sampler(train_dataset)
        examples = cast(Any, self.train_dataset if train_dataset is None else train_dataset)
        lengths = [len(ids) for ids in examples["input_ids"]]
        return LengthGroupedBatches(lengths, self.args.train_batch_size, self.args.data_seed or 0)

    def create_model_card(self, *arguments: Any, **options: Any) -> None:
        """Not for a checkpoint; `lora_vs_api.cli.publish` writes a real one."""

    def create_optimizer(self, *arguments: Any, **options: Any) -> torch.optim.Optimizer:
        if self.plus_ratio is not None and self.optimizer is None:
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args)
            self.optimizer = create_loraplus_optimizer(
                cast(PeftModel, self.model), kind, loraplus_lr_ratio=self.plus_ratio, **settings
            )
        return super().create_optimizer(*arguments, **options)

    @property
    def language_model(self) -> Any:
        """The PreTrainedModel, adapter layers in it, without peft's wrapper around it."""
        model = cast(Any, self.accelerator.unwrap_model(self.model))
        return model.get_base_model() if hasattr(model, "active_peft_config") else model

    def leave_out_routers(self) -> None:
        """Add no routers' loss, and have the model compute none, which TRL has told its config to do."""
        self.aux_loss_enabled = False
        self.language_model.config.get_text_config().output_router_logits = False

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        if not self.fast:
            return self._own_loss(model, inputs, num_items_in_batch)
        if _has_virtual_tokens(self.accelerator.unwrap_model(model)):
            # peft puts the virtual tokens before the prompt in a forward pass of its own
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return self._fast_loss(inputs, num_items_in_batch)

    def _fast_loss(self, inputs: dict[str, Any], items: Tensor | int | None) -> Tensor:
        if self.aux_loss_enabled:
            raise NotImplementedError(
                "a mixture of experts, whose routers have a loss of their own"
            )
        language_model = self.language_model
        ids, mask, labels = (inputs[key] for key in ("input_ids", "attention_mask", "labels"))
        shared = 0
        if has_plain_attention(language_model.config) and not _has_dropout(language_model):
            shared = shared_prefix(ids, mask, labels)
        labels = labels[:, shared + 1 :]
        scored = labels != -100
        head = language_model.get_output_embeddings()
        # calling the inner modules bypasses the autocast that accelerate wraps around model()
        with self.accelerator.autocast():
            hidden = _hidden_states(language_model, ids, mask, shared)
            states, expected = hidden[:, :-1][scored], labels[scored]
            total = completion_loss(states, expected, head)
            if total is None:
                total = functional.cross_entropy(head(states).float(), expected, reduction="sum")
        return total / (scored.sum() if items is None else items)

    def _own_loss(
        self, model: nn.Module, inputs: dict[str, Any], items: Tensor | int | None
    ) -> Tensor:
        """The cross-entropy of the logits that the model's own forward gives.

        With a mixture of experts its routers' loss comes on top, weighted as TRL does it.
        """
        ids, mask, labels = (inputs[key] for key in ("input_ids", "attention_mask", "labels"))
        # the first state that predicts a scored token: no logits are asked for before it
        first = max(int((labels != -100).any(dim=0).int().argmax()) - 1, 0)
        kept = labels.shape[1] - first
        asked: dict[str, Any] = {
            "logits_to_keep": kept,
            "output_router_logits": self.aux_loss_enabled,
        }
        taken = inspect.signature(type(self.language_model).forward).parameters
        with self.accelerator.autocast():
            outputs = self.accelerator.unwrap_model(model)(
                input_ids=ids,
                attention_mask=mask,
                use_cache=False,
                **{name: value for name, value in asked.items() if name in taken and value},
            )
        logits, labels = outputs.logits[:, -kept:-1], labels[:, first + 1 :]
        scored = labels != -100
        total = functional.cross_entropy(logits[scored].float(), labels[scored], reduction="sum")
        loss = total / (scored.sum() if items is None else items)
        if self.aux_loss_enabled:
            # what the Trainer adds up over the batches of a step is to be their mean
            steps = 1 if items is None else self.current_gradient_accumulation_steps
            loss = loss + self.router_aux_loss_coef * outputs.aux_loss / steps
        return loss


def _has_virtual_tokens(model: Any) -> bool:
    return hasattr(model, "active_peft_config") and model.active_peft_config.is_prompt_learning


def _hidden_states(language_model: Any, ids: Tensor, mask: Tensor, shared: int) -> Tensor:
    """The last layer's states after the first ``shared`` tokens, (examples, tokens, width).

    Those tokens go through the model once for the whole batch.
    """
    prefix = None
    if shared:
        prefix = DynamicCache(config=language_model.config)
        language_model.base_model(
            input_ids=ids[:1, :shared], past_key_values=prefix, use_cache=True
        )
        prefix.batch_repeat_interleave(len(ids))
    states: Tensor = language_model.base_model(
        input_ids=ids[:, shared:],
        attention_mask=mask,
        past_key_values=prefix,
        use_cache=shared > 0,
    ).last_hidden_state
    return states


def shared_prefix(ids: Tensor, mask: Tensor, labels: Tensor) -> int:
    """How many first tokens the examples of a batch have in common and none is scored on.

    Args:
        ids, mask, labels: (examples, tokens); a label of -100 is not scored, a mask of 0 is padding.
    """
    if len(ids) < 2:
        return 0
    same = ((ids == ids[:1]) & (mask == 1) & (labels == -100)).all(dim=0)
    common = int(same.long().cumprod(dim=0).sum())
    # the last of them predicts the first token that differs, which may be scored
    return max(common - 1, 0)


def _has_dropout(model: nn.Module) -> bool:
    """Whether anything is dropped in training: every example has to draw that for itself."""
    return any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules()) or (
        bool(getattr(model.config, "attention_dropout", 0.0))
    )


class Progress(TrainerCallback):
    """One line: optimiser steps done, rate, time left and the latest loss."""

    def __init__(self, description: str) -> None:
        self.description = description

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        done, total = state.global_step, state.max_steps
        if done:
            say(f"{self.description} resumed at step {done} of {total}")
        self.bar = tqdm(total=total, initial=done, desc=self.description, unit="step")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.bar.update()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if logs and "loss" in logs:
            self.bar.set_postfix(loss=f"{float(logs['loss']):.3f}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.bar.close()
