"""Fine-tuning with trl.SFTTrainer and peft.

The directory of a tuned model holds ``adapter_model.safetensors`` and ``adapter_config.json`` (of a
full fine-tuning the model itself, in transformers' files) and ``training.json``: the specification
that determines the adapter, and its loss curve.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from peft.optimizers import create_loraplus_optimizer
from safetensors import SafetensorError
from torch.nn import functional
from tqdm import tqdm
from transformers import DynamicCache, PrinterCallback, TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

from lora_vs_api.errors import UserError
from lora_vs_api.files import new_directory, read_json, write_json
from lora_vs_api.log import say
from lora_vs_api.model.attention import has_plain_attention
from lora_vs_api.model.energy import energy_meter, joules_between
from lora_vs_api.model.loading import four_bit_config, load_base, load_tokenizer
from lora_vs_api.model.runtime import Runtime
from lora_vs_api.record.fields import Field
from lora_vs_api.record.prompt import completion, messages
from lora_vs_api.training.adapters import LORA_METHODS, peft_config
from lora_vs_api.training.checkpoints import (
    Checkpoints,
    CheckpointSettings,
    SaveEveryMinutes,
    Spent,
    checkpoints_of,
)
from lora_vs_api.training.early_stopping import Reference, StopWhenHopeless
from lora_vs_api.training.fused_lora import speed_up_lora
from lora_vs_api.training.fused_loss import completion_loss

# trl still reads an attribute that transformers has renamed; nothing a user could act on
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
# `_save` does what this one advises
warnings.filterwarnings("ignore", message="PiSSA changes the base weights")


@dataclass(frozen=True)
class TrainingSpec:
    """Everything that determines a tuned model: two equal specs give the same one.

    ``method`` is one of lora, rslora, dora, pissa, qlora, full, prompt and prefix. ``r`` and ``alpha``
    count for the first five, as does ``plus_ratio``: how many times A's learning rate B has (LoRA+;
    None for the same). ``virtual_tokens`` count for the last two.
    """

    base_sha256: str
    examples_sha256: str
    method: str
    r: int
    alpha: float
    plus_ratio: float | None
    virtual_tokens: int | None
    learning_rate: float
    dropout: float
    target_modules: tuple[str, ...]
    epochs: int
    max_steps: int | None
    batch_size: int
    gradient_accumulation: int
    scheduler: str
    warmup_ratio: float
    max_grad_norm: float
    pad_token: str | None
    dtype: str
    seed: int

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "target_modules": list(self.target_modules)}

    def in_words(self) -> str:
        """What is tuned and how fast, for a line on the terminal."""
        rank = f", r={self.r}" if self.method in LORA_METHODS else ""
        return f"{self.method}{rank}, learning rate {self.learning_rate:g}"


@dataclass(frozen=True)
class TrainingRun:
    """What came of a training besides the adapter: loss per optimiser step, what it took.

    ``joules`` are the GPU's, None where nothing measures them. Of a training that was resumed at
    the steps ``resumed_at``, seconds and joules are the sum over the processes that had a part in
    it; what a killed one had computed since its last checkpoint is not in them. ``stopped_at`` is
    the step at which a hopeless training was given up, else None.
    """

    losses: tuple[float, ...]
    wall_seconds: float
    joules: float | None
    tokens: int
    resumed_at: tuple[int, ...] = ()
    stopped_at: int | None = None

    def timing(self) -> dict[str, Any]:
        """As the stages write it into ``timings/``."""
        return {
            "training_seconds": round(self.wall_seconds, 3),
            "training_joules": self.joules,
            "tokens": self.tokens,
            "resumed_at_steps": list(self.resumed_at),
        }


class CompletionTrainer(SFTTrainer):
    """SFTTrainer that computes each thing once, and logits for completion tokens alone.

    TRL 1.16 projects every position to the vocabulary and then masks the prompt's away. With a
    49K vocabulary and completions a quarter of the sequence, that is most of a CPU step. And it
    computes the instruction that every prompt begins with once for each example: here a batch
    shares its keys and values, whose gradient is the sum over the examples. The loss is the same
    sum of cross-entropies over the same tokens.
    """

    plus_ratio: float | None = None
    checkpoints: Checkpoints | None = None
    spent: Callable[[], Spent] = Spent

    def _save_checkpoint(self, model, trial):
        step = self.state.global_step
        try:
            super()._save_checkpoint(model, trial)
            self.checkpoints.finish(step, self.spent())
        except (OSError, RuntimeError, SafetensorError) as error:
            # a full disk must not cost the training that the checkpoint was to save
            say(f"step {step}: no checkpoint written ({' '.join(str(error).split())})")

    def create_model_card(self, *arguments, **options):
        """Not for a checkpoint; `lora_vs_api.cli.publish` writes a real one."""

    def create_optimizer(self, *arguments, **options):
        if self.plus_ratio is not None and self.optimizer is None:
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            self.optimizer = create_loraplus_optimizer(
                self.model, kind, loraplus_lr_ratio=self.plus_ratio, **settings
            )
        return super().create_optimizer(*arguments, **options)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        language_model = self.accelerator.unwrap_model(model)
        if hasattr(language_model, "active_peft_config"):
            if language_model.active_peft_config.is_prompt_learning:
                # peft puts the learnt tokens before the prompt in a forward pass of its own
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            language_model = language_model.get_base_model()
        ids, mask, labels = (inputs[key] for key in ("input_ids", "attention_mask", "labels"))
        shared = 0
        if has_plain_attention(language_model.config) and not _dropout(language_model):
            shared = shared_prefix(ids, mask, labels)
        labels = labels[:, shared + 1 :]
        scored = labels != -100
        # calling the inner modules bypasses the autocast that accelerate wraps around model()
        with self.accelerator.autocast():
            prefix = None
            if shared:
                prefix = DynamicCache(config=language_model.config)
                language_model.model(
                    input_ids=ids[:1, :shared], past_key_values=prefix, use_cache=True
                )
                prefix.batch_repeat_interleave(len(ids))
            hidden = language_model.model(
                input_ids=ids[:, shared:],
                attention_mask=mask,
                past_key_values=prefix,
                use_cache=shared > 0,
            ).last_hidden_state
            states, expected = hidden[:, :-1][scored], labels[scored]
            total = completion_loss(states, expected, language_model.lm_head)
            if total is None:
                logits = language_model.lm_head(states)
                total = functional.cross_entropy(logits.float(), expected, reduction="sum")
        tokens = scored.sum() if num_items_in_batch is None else num_items_in_batch
        return total / tokens


def shared_prefix(ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor) -> int:
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


def _dropout(model: torch.nn.Module) -> bool:
    """Whether anything is dropped in training: every example has to draw that for itself."""
    return any(
        isinstance(module, torch.nn.Dropout) and module.p > 0 for module in model.modules()
    ) or bool(getattr(model.config, "attention_dropout", 0.0))


class Progress(TrainerCallback):
    """One line: optimiser steps done, rate, time left and the latest loss."""

    def __init__(self, description: str) -> None:
        self.description = description

    def on_train_begin(self, args, state, control, **kwargs):
        done, total = state.global_step, state.max_steps
        if done:
            say(f"{self.description} resumed at step {done} of {total}")
        self.bar = tqdm(total=total, initial=done, desc=self.description, unit="step")

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update()

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "loss" in logs:
            self.bar.set_postfix(loss=f"{float(logs['loss']):.3f}")

    def on_train_end(self, args, state, control, **kwargs):
        self.bar.close()


def train_adapter(
    base: str | Path,
    rows: Sequence[dict[str, Any]],
    instruction: str,
    fields: Sequence[Field],
    spec: TrainingSpec,
    runtime: Runtime,
    out: str | Path,
    description: str,
    checkpoints: CheckpointSettings | None = None,
    reference: Reference | None = None,
) -> TrainingRun:
    """Tune the base on corpus ``rows`` and write the adapter (or the model) to the directory ``out``.

    With ``checkpoints``, a call that was killed is taken up by the next one with equal arguments,
    which on the same kind of machine writes the same bytes as one that nothing interrupted. With a
    ``reference``, a training that falls hopelessly behind it ends early; what it had learnt by then
    is written, marked so that it never passes for the whole training.

    Raises:
        UserError: a target module that the model does not have, a loss that is not finite, or a
            folder for checkpoints that cannot be written to.
    """
    examples = [
        {
            "prompt": messages(instruction, row["text"], fields),
            "completion": [{"role": "assistant", "content": completion(row["record"], fields)}],
        }
        for row in rows
    ]
    # the specification knows the rows by digest, and not what the instruction makes of them
    training = {"spec": spec.as_json(), "examples": examples, "device": runtime.device}
    if reference:
        training["reference"] = asdict(reference)
    scratch = tempfile.mkdtemp(prefix="training-")
    try:
        with checkpoints_of(training, checkpoints, description) as kept:
            return _train(base, examples, spec, runtime, out, description, scratch, kept, reference)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _train(
    base: str | Path,
    examples: list[dict[str, Any]],
    spec: TrainingSpec,
    runtime: Runtime,
    out: str | Path,
    description: str,
    scratch: str,
    kept: Checkpoints | None,
    reference: Reference | None,
) -> TrainingRun:
    disable_progress_bar()
    # before the trainer: peft draws the adapter's first weights when the trainer is built
    set_seed(spec.seed)
    tokenizer = load_tokenizer(base, spec.pad_token)
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
        args=_arguments(spec, runtime, str(kept.unfinished) if kept else scratch),
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        peft_config=added,
    )
    trainer.plus_ratio = spec.plus_ratio if spec.method in LORA_METHODS else None
    if spec.method == "qlora":
        # TRL makes this adapter bfloat16, in which small steps are lost; like the others' it learns
        # in float32
        for weight in trainer.model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()
    start = _keep_start(trainer.model, spec, scratch)
    speed_up_lora(trainer.model)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Progress(description))
    stop = StopWhenHopeless(reference) if reference else None
    if stop:
        trainer.add_callback(stop)
    last = None
    if kept:
        trainer.checkpoints = kept
        trainer.add_callback(SaveEveryMinutes(kept.seconds))
        last = kept.last()
    earlier = last.spent if last else Spent()
    meter = energy_meter(runtime.device)
    before, started = meter(), time.monotonic()

    def spent() -> Spent:
        joules = joules_between(before, meter())
        if joules is not None:
            joules = None if earlier.joules is None else round(earlier.joules + joules, 1)
        return Spent(earlier.seconds + time.monotonic() - started, joules, earlier.resumed_at)

    trainer.spent = spent
    trainer.train(resume_from_checkpoint=str(last.path) if last else None)
    total = spent()
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    if not all(torch.isfinite(torch.tensor(losses))):
        if kept:
            kept.remove()
        raise UserError(
            f"training diverged at learning rate {spec.learning_rate:g}: the loss is not finite; "
            "lower lora.learning_rate or sweep.learning_rates"
        )
    tokens = int(
        sum(len(ids) for ids in trainer.train_dataset["input_ids"])
        / len(examples)
        * trainer.state.global_step
        * spec.batch_size
        * spec.gradient_accumulation
    )
    stopped_at = stop.stopped_at if stop else None
    if stopped_at:
        say(f"{description}: given up at step {stopped_at} of {trainer.state.max_steps}")
    _save(trainer.model, spec, losses, out, runtime, start, stopped_at)
    if kept:
        kept.remove()
    return TrainingRun(
        tuple(losses), total.seconds, total.joules, tokens, total.resumed_at, stopped_at
    )


def _arguments(spec: TrainingSpec, runtime: Runtime, scratch: str) -> SFTConfig:
    return SFTConfig(
        output_dir=scratch,
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
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=spec.seed,
        data_seed=spec.seed,
        full_determinism=False,
    )


def _keep_start(model: Any, spec: TrainingSpec, scratch: str) -> str | None:
    """PiSSA takes the adapter's first value out of the base's weights: keep it, to put that right."""
    if spec.method != "pissa":
        return None
    start = str(Path(scratch, "start"))
    model.peft_config["default"].init_lora_weights = True
    model.save_pretrained(start)
    model.peft_config["default"].init_lora_weights = "pissa"
    return start


def _save(
    model: Any,
    spec: TrainingSpec,
    losses: Sequence[float],
    out: str | Path,
    runtime: Runtime,
    start: str | None,
    stopped_at: int | None,
) -> None:
    record = {"spec": spec.as_json(), "loss": [round(loss, 6) for loss in losses]}
    if stopped_at:
        record["stopped_at_step"] = stopped_at
    with new_directory(out) as folder:
        if spec.method == "full":
            model.to(runtime.dtype).save_pretrained(folder)
        else:
            # with PiSSA's start, an adapter for the base as it is: of rank 2r
            model.save_pretrained(folder, path_initial_model_for_weight_conversion=start)
            config = json.loads((folder / "adapter_config.json").read_text())
            # peft keeps the modules as a set, whose order changes from process to process
            if config.get("target_modules"):
                config["target_modules"] = sorted(config["target_modules"])
            write_json(folder / "adapter_config.json", config)
        # peft's card is an empty form; `lora_vs_api.cli.publish` writes a real one
        (folder / "README.md").unlink(missing_ok=True)
        write_json(folder / "training.json", record)


def reuse_adapter(candidate: str | Path, spec: TrainingSpec, out: str | Path) -> bool:
    """Copy the adapter ``candidate`` to ``out`` if it was trained to exactly ``spec``.

    Training again would give the same bytes; a trial whose configuration and seed are the
    final ones is the final training.
    """
    candidate = Path(candidate)
    if not (candidate / "training.json").is_file():
        return False
    record = read_json(candidate / "training.json")
    if record["spec"] != spec.as_json() or "stopped_at_step" in record:
        return False
    with new_directory(out) as folder:
        shutil.copytree(candidate, folder, dirs_exist_ok=True)
    return True


def stopped_at_step(adapter: str | Path) -> int | None:
    """The optimiser step at which the adapter's training was given up; None for a whole one."""
    return read_json(Path(adapter) / "training.json").get("stopped_at_step")


def loss_curve(adapter: str | Path) -> list[float]:
    """Training loss per optimiser step of the adapter in a directory."""
    return read_json(Path(adapter) / "training.json")["loss"]
