"""What determines a tuned model, and that out of the params and the data. Imports no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lora_vs_api.config.sections import LoraTuning, Params, PromptTuning, Train, Tuning
from lora_vs_api.digests import directory_sha256, file_sha256
from lora_vs_api.paths import BASE
from lora_vs_api.record.json_schema import task_sha256

if TYPE_CHECKING:
    from lora_vs_api.model.runtime import Runtime

LORA_METHODS = ("lora", "rslora", "dora", "pissa", "qlora")


@dataclass(frozen=True)
class TrainingSpec:
    """Everything that determines a tuned model: two equal specs give the same one.

    ``method`` is one of lora, rslora, dora, pissa, qlora, full, prompt and prefix. ``r`` and ``alpha``
    count for the first five, as does ``plus_ratio``: how many times A's learning rate B has (LoRA+;
    None for the same). ``virtual_tokens`` count for the last two. ``max_length`` is of an example, in
    tokens, and ``cut`` whether longer ones are cut instead of refused. ``task_sha256`` is of prompt
    and schema.
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
    group_by_length: bool
    scheduler: str
    warmup_ratio: float
    max_grad_norm: float
    pad_token: str | None
    dtype: str
    seed: int
    task_sha256: str = ""
    max_length: int | None = None
    cut: bool = False

    def as_json(self) -> dict[str, Any]:
        """As ``training.json`` holds it; two specs are equal if these are."""
        found = {**asdict(self), "target_modules": list(self.target_modules)}
        if self.max_length is None:
            # trainings of before there was a limit are the same trainings
            del found["max_length"], found["cut"]
        return found

    def in_words(self) -> str:
        """What is tuned and how fast, for a line on the terminal."""
        rank = f", r={self.r}" if self.method in LORA_METHODS else ""
        return f"{self.method}{rank}, learning rate {self.learning_rate:g}"


def training_spec(
    params: Params, train: Train, *, r: int, learning_rate: float, seed: int, runtime: Runtime
) -> TrainingSpec:
    """One training of the fine-tune: ``train``, of a final training or a trial, at one point."""
    return _spec(
        params,
        train,
        runtime,
        method=params.lora.adapter.variant,
        r=r,
        plus_ratio=params.lora.adapter.plus_ratio,
        virtual_tokens=None,
        learning_rate=learning_rate,
        seed=seed,
    )


def tuning_spec(params: Params, tuning: Tuning, runtime: Runtime) -> TrainingSpec:
    """Another way of tuning; in all that it does not name it is like the fine-tune."""
    return _spec(
        params,
        params.train,
        runtime,
        method=tuning.method,
        r=tuning.r if isinstance(tuning, LoraTuning) else 1,
        plus_ratio=tuning.plus_ratio if isinstance(tuning, LoraTuning) else None,
        virtual_tokens=tuning.virtual_tokens if isinstance(tuning, PromptTuning) else None,
        learning_rate=float(tuning.learning_rate),
        seed=tuning.seed,
    )


def _spec(
    params: Params,
    train: Train,
    runtime: Runtime,
    *,
    method: str,
    r: int,
    plus_ratio: float | None,
    virtual_tokens: int | None,
    learning_rate: float,
    seed: int,
) -> TrainingSpec:
    modules = params.lora.adapter.target_modules
    return TrainingSpec(
        base_sha256=directory_sha256(BASE),
        examples_sha256=file_sha256(params.training_labels.rows),
        method=method,
        r=r,
        alpha=params.lora.adapter.alpha_per_r * r,
        plus_ratio=plus_ratio,
        virtual_tokens=virtual_tokens,
        learning_rate=learning_rate,
        dropout=params.lora.adapter.dropout,
        target_modules=(modules,) if isinstance(modules, str) else tuple(modules),
        epochs=train.epochs,
        max_steps=train.max_steps,
        batch_size=train.batch_size,
        gradient_accumulation=train.gradient_accumulation,
        group_by_length=train.group_by_length,
        scheduler=train.scheduler,
        warmup_ratio=train.warmup_ratio,
        max_grad_norm=train.max_grad_norm,
        pad_token=params.runtime.pad_token,
        dtype=str(runtime.dtype).removeprefix("torch."),
        seed=seed,
        task_sha256=task_sha256(params.task.instruction, params.task.record_fields),
        max_length=train.max_length,
        cut=train.max_length is not None and train.too_long == "cut",
    )
