"""A training on the train split, as every node that trains does it."""

from __future__ import annotations

from typing import Any

from lora_vs_api.config.sections import Params
from lora_vs_api.files import read_jsonl
from lora_vs_api.log import say
from lora_vs_api.model.runtime import Runtime, machine
from lora_vs_api.paths import BASE, TRAIN
from lora_vs_api.training.checkpoints import CheckpointSettings
from lora_vs_api.training.early_stopping import Reference
from lora_vs_api.training.train import TrainingRun, TrainingSpec, reuse_adapter, train_adapter


def train(
    params: Params,
    spec: TrainingSpec,
    runtime: Runtime,
    out: str,
    description: str,
    reference: Reference | None = None,
) -> TrainingRun:
    """Tune the base to ``spec`` and write the adapter, or the model, to ``out``."""
    say(f"{description}: {spec.in_words()}")
    minutes = params.checkpoints.minutes
    return train_adapter(
        BASE,
        read_jsonl(TRAIN),
        params.task.instruction,
        params.task.record_fields,
        spec,
        runtime,
        out,
        description=f"{description}: training",
        checkpoints=None
        if minutes is None
        else CheckpointSettings(params.checkpoints.folder, minutes),
        reference=reference,
    )


def train_unless_done(
    params: Params,
    spec: TrainingSpec,
    runtime: Runtime,
    out: str,
    description: str,
    finished: str | None,
    reference: Reference | None = None,
) -> dict[str, Any]:
    """What the training took, for ``timings/``.

    ``finished`` is the directory of an adapter that may already be this very training; it is
    taken over then. A training that falls hopelessly behind ``reference`` is given up.
    """
    timing: dict[str, Any] = {"machine": machine(runtime)}
    if finished and reuse_adapter(finished, spec, out):
        say(f"{description}: {finished} is this very training, not trained again")
        return {**timing, "reused": True}
    run = train(params, spec, runtime, out, description, reference)
    return {**timing, "reused": False, **run.timing()}
