"""Fine-tuning with trl and peft: one training, from the base's weights to a directory.

What that directory holds is described in :mod:`lora_vs_api.training.artifacts`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from transformers import PrinterCallback, set_seed
from trl import SFTConfig

from lora_vs_api.errors import UserError
from lora_vs_api.files import new_directory
from lora_vs_api.log import say
from lora_vs_api.model.context import context_length
from lora_vs_api.model.loading import four_bit_config, known_tokens, load_base, load_tokenizer
from lora_vs_api.model.runtime import Runtime
from lora_vs_api.training.adapters import keep_pissa_start, peft_config, save_tuned
from lora_vs_api.training.artifacts import write_record
from lora_vs_api.training.checkpoints import (
    Checkpoints,
    CheckpointSettings,
    SaveEveryMinutes,
    checkpoints_of,
)
from lora_vs_api.training.early_stopping import (
    EarlyStopping,
    EarlyStoppingCallback,
    logged_losses,
)
from lora_vs_api.training.examples import Example, check_examples, check_lengths, within_length
from lora_vs_api.training.probe import Way, settle_way
from lora_vs_api.training.resources import ResourceMeter, ResourceUse
from lora_vs_api.training.same_bytes import same_bytes
from lora_vs_api.training.spec import LORA_METHODS, TrainingSpec
from lora_vs_api.training.trainer import CompletionTrainer, Progress


@dataclass(frozen=True)
class TrainingPolicy:
    """How a training is run; what it is to come to is the :class:`TrainingSpec`.

    Its lines on the terminal begin with ``description``. Without ``checkpoints`` none are written;
    without ``early_stopping`` it goes on to its last step.
    """

    description: str
    checkpoints: CheckpointSettings | None = None
    early_stopping: EarlyStopping | None = None


@dataclass(frozen=True)
class TrainingRun:
    """What came of a training besides the adapter.

    ``losses`` are per optimiser step, in nats per token; ``tokens`` is how many it went through.
    ``way`` is what :func:`settle_way` found right. ``used`` is the sum over the processes that had a part in a resumed training; what a killed one
    had computed since its last checkpoint is not in it. ``stopped_at`` is the step at which early
    stopping ended the training, else None.
    """

    losses: tuple[float, ...]
    tokens: int
    used: ResourceUse
    way: Way
    stopped_at: int | None = None

    def timing(self) -> dict[str, Any]:
        """As the stages write it into ``timings/``; joules are null where nothing measures them."""
        return {
            "training_seconds": round(self.used.seconds, 3),
            "training_joules": self.used.joules,
            "tokens": self.tokens,
            "computed": self.way,
            "resumed_at_steps": list(self.used.resumed_at),
        }


def train_adapter(
    base: str | Path,
    examples: Sequence[Example],
    spec: TrainingSpec,
    runtime: Runtime,
    out: str | Path,
    policy: TrainingPolicy,
) -> TrainingRun:
    """Tune the base on ``examples`` and write the adapter (or the model) to the directory ``out``.

    With checkpoints, a call that was killed is taken up by the next one with equal arguments,
    which on the same kind of machine writes the same bytes as one that nothing interrupted. A
    training that early stopping ends is written as it then is, marked so that it never passes for
    the whole training.

    Raises:
        UserError: a target module that the model does not have, a loss or a weight that is not finite, or
            a folder for checkpoints that cannot be written to.
    """
    # the specification knows the rows by digest, and not what the instruction makes of them
    training: dict[str, Any] = {
        "spec": spec.as_json(),
        "examples": examples,
        "device": runtime.device,
    }
    if policy.early_stopping:
        training["early_stopping"] = asdict(policy.early_stopping)
    with (
        TemporaryDirectory(prefix="training-", ignore_cleanup_errors=True) as scratch,
        checkpoints_of(training, policy.checkpoints, policy.description) as kept,
    ):
        written = str(kept.unfinished) if kept else scratch
        trainer = _trainer(base, examples, spec, runtime, written)
        # a PeftModel; of a full fine-tuning the PreTrainedModel itself
        model = cast(Any, trainer.model)
        pissa_start = keep_pissa_start(model, spec, Path(scratch, "start"))
        stopping = _add_callbacks(trainer, policy)
        # not while the adapter is made, which may take ways that torch knows in any order alone
        with same_bytes(runtime.device):
            way = settle_way(trainer, policy.description)
            used = _run(trainer, kept, runtime.device)
        losses = logged_losses(trainer.state)
        # the last step may have spoilt the weights after its loss was taken
        trained = (weight for weight in model.parameters() if weight.requires_grad)
        if not (
            all(math.isfinite(loss) for loss in losses)
            and all(bool(weight.isfinite().all()) for weight in trained)
        ):
            if kept:
                kept.remove()
            raise UserError(
                f"training diverged at learning rate {spec.learning_rate:g}: the loss or a weight is not finite; "
                "lower lora.learning_rate or sweep.learning_rates"
            )
        stopped_at = stopping.stopped_at if stopping else None
        if stopped_at:
            say(
                f"{policy.description}: stopped early at step {stopped_at} of "
                f"{trainer.state.max_steps}"
            )
        with new_directory(out) as folder:
            save_tuned(model, spec, runtime.dtype, folder, pissa_start)
            write_record(folder, spec, losses, stopped_at)
        if kept:
            kept.remove()
        return TrainingRun(tuple(losses), _tokens(trainer, spec), used, way, stopped_at)


def _trainer(
    base: str | Path,
    examples: Sequence[Example],
    spec: TrainingSpec,
    runtime: Runtime,
    output_dir: str,
) -> CompletionTrainer:
    """The model with what is to be trained in it, the examples and the seed, ready to train."""
    disable_progress_bar()
    # before the trainer: peft draws the adapter's first weights when the trainer is built
    set_seed(spec.seed)
    tokenizer = load_tokenizer(base, spec.pad_token)
    if spec.max_length is not None:
        examples = within_length(tokenizer, examples, spec.max_length, cut=spec.cut)
    check_examples(tokenizer, examples, known_tokens(base))
    # weights that are trained themselves need their small changes kept; accelerate's autocast
    # computes with them in the runtime's precision all the same
    if spec.method == "full":
        model = load_base(base, replace(runtime, dtype=torch.float32))
    else:
        four_bit = four_bit_config(runtime) if spec.method == "qlora" else None
        model = load_base(base, runtime, four_bit=four_bit)
    added = peft_config(spec, model)
    trainer = CompletionTrainer(
        model=model,
        args=_arguments(spec, runtime, output_dir),
        train_dataset=Dataset.from_list(list(examples)),
        processing_class=tokenizer,
        peft_config=added,
    )
    check_lengths(
        cast(Dataset, trainer.train_dataset)["input_ids"], context_length(model.config.to_dict())
    )
    trainer.by_length = spec.group_by_length
    trainer.plus_ratio = spec.plus_ratio if spec.method in LORA_METHODS else None
    if spec.method == "qlora":
        # TRL makes this adapter bfloat16, in which small steps are lost; like the others' it learns
        # in float32
        for weight in cast(torch.nn.Module, trainer.model).parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()
    return trainer


def _add_callbacks(
    trainer: CompletionTrainer, policy: TrainingPolicy
) -> EarlyStoppingCallback | None:
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Progress(policy.description))
    if policy.early_stopping is None:
        return None
    stopping = EarlyStoppingCallback(policy.early_stopping)
    trainer.add_callback(stopping)
    return stopping


def _run(trainer: CompletionTrainer, kept: Checkpoints | None, device: str) -> ResourceUse:
    """Train from the last checkpoint there is, else from the start, to the end."""
    last = kept.last() if kept else None
    meter = ResourceMeter(device, last.used if last else ResourceUse())
    if kept:
        finish = kept.finish
        trainer.checkpoint_written = lambda step: finish(step, meter.total())
        trainer.add_callback(SaveEveryMinutes(kept.seconds))
    trainer.train(resume_from_checkpoint=str(last.path) if last else None)
    return meter.total()


def _tokens(trainer: CompletionTrainer, spec: TrainingSpec) -> int:
    """How many tokens the training went through: the mean example's, for each it was shown."""
    examples = cast(Dataset, trainer.train_dataset)
    return int(
        sum(len(ids) for ids in examples["input_ids"])
        / len(examples)
        * trainer.state.global_step
        * spec.batch_size
        * spec.gradient_accumulation
    )


def _arguments(spec: TrainingSpec, runtime: Runtime, output_dir: str) -> SFTConfig:
    return SFTConfig(
        output_dir=output_dir,
        num_train_epochs=spec.epochs,
        max_steps=spec.max_steps or -1,
        per_device_train_batch_size=spec.batch_size,
        gradient_accumulation_steps=spec.gradient_accumulation,
        learning_rate=spec.learning_rate,
        lr_scheduler_type=spec.scheduler,
        warmup_steps=spec.warmup_ratio,
        max_grad_norm=spec.max_grad_norm,
        bf16=runtime.dtype == torch.bfloat16,
        use_cpu=runtime.device == "cpu",
        completion_only_loss=True,
        # a cut example would teach half a record
        max_length=None,
        # everything fits: recomputing activations would only cost time
        activation_checkpointing=False,
        logging_steps=1,
        # a loss that is no number would be logged as the mean of those before it, or as 0
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=spec.seed,
        data_seed=spec.seed,
        full_determinism=False,
    )
