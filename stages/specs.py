"""The specification of one training, out of the params and the data it reads."""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.digests import directory_sha256, file_sha256
from lora_vs_api.model.runtime import Runtime
from lora_vs_api.model.training import TrainingSpec
from stages.common import BASE, TRAIN


def training_spec(
    params: Params, *, r: int, learning_rate: float, seed: int, runtime: Runtime
) -> TrainingSpec:
    """The specification of one training: the protocol of ``train`` and ``lora`` at one point."""
    return TrainingSpec(
        base_sha256=directory_sha256(BASE),
        examples_sha256=file_sha256(TRAIN),
        r=r,
        alpha=params.lora.alpha_per_r * r,
        learning_rate=learning_rate,
        dropout=params.lora.dropout,
        target_modules=tuple(params.lora.target_modules),
        epochs=params.train.epochs,
        max_steps=params.train.max_steps,
        batch_size=params.train.batch_size,
        gradient_accumulation=params.train.gradient_accumulation,
        scheduler=params.train.scheduler,
        warmup_ratio=params.train.warmup_ratio,
        max_grad_norm=params.train.max_grad_norm,
        pad_token=params.model.pad_token,
        dtype=str(runtime.dtype).removeprefix("torch."),
        seed=seed,
    )
