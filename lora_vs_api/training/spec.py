"""The specification of one training, out of the params and the data it reads."""

from __future__ import annotations

from lora_vs_api.config.sections import LoraTuning, Params, PromptTuning, Tuning
from lora_vs_api.digests import directory_sha256, file_sha256
from lora_vs_api.model.runtime import Runtime
from lora_vs_api.paths import BASE, TRAIN
from lora_vs_api.training.train import TrainingSpec


def training_spec(
    params: Params, *, r: int, learning_rate: float, seed: int, runtime: Runtime
) -> TrainingSpec:
    """One training of the fine-tune: the protocol of ``train`` and ``lora`` at one point."""
    return _spec(
        params,
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
        examples_sha256=file_sha256(TRAIN),
        method=method,
        r=r,
        alpha=params.lora.adapter.alpha_per_r * r,
        plus_ratio=plus_ratio,
        virtual_tokens=virtual_tokens,
        learning_rate=learning_rate,
        dropout=params.lora.adapter.dropout,
        target_modules=(modules,) if isinstance(modules, str) else tuple(modules),
        epochs=params.train.epochs,
        max_steps=params.train.max_steps,
        batch_size=params.train.batch_size,
        gradient_accumulation=params.train.gradient_accumulation,
        scheduler=params.train.scheduler,
        warmup_ratio=params.train.warmup_ratio,
        max_grad_norm=params.train.max_grad_norm,
        pad_token=params.runtime.pad_token,
        dtype=str(runtime.dtype).removeprefix("torch."),
        seed=seed,
    )
