"""A training on the train split, as every node that trains does it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lora_vs_api.config.sections import Params
from lora_vs_api.files import read_jsonl
from lora_vs_api.log import say
from lora_vs_api.model.runtime import Machine, Runtime, machine
from lora_vs_api.paths import BASE
from lora_vs_api.training.artifacts import reuse_adapter
from lora_vs_api.training.checkpoints import CheckpointSettings
from lora_vs_api.training.early_stopping import EarlyStopping
from lora_vs_api.training.examples import chat_examples
from lora_vs_api.training.spec import TrainingSpec
from lora_vs_api.training.train import TrainingPolicy, TrainingRun, train_adapter


@dataclass(frozen=True)
class TrainingTimings:
    """What a training node took, and where.

    ``run`` is None where a finished adapter was taken over. ``reused`` says whether that happened;
    None for a node that always trains.
    """

    machine: Machine
    run: TrainingRun | None
    reused: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """The content of the node's file in ``timings/``."""
        return {
            "machine": asdict(self.machine),
            **({} if self.reused is None else {"reused": self.reused}),
            **({} if self.run is None else self.run.timing()),
        }


def train(
    params: Params,
    spec: TrainingSpec,
    runtime: Runtime,
    out: str,
    description: str,
    early_stopping: EarlyStopping | None = None,
    rows: str | None = None,
) -> TrainingRun:
    """Tune the base to ``spec`` and write the adapter, or the model, to ``out``.

    ``rows``: the file of labelled texts; None for that of the sweep and the final trainings.
    """
    say(f"{description}: {spec.in_words()}")
    minutes = params.checkpoints.minutes
    return train_adapter(
        BASE,
        chat_examples(
            read_jsonl(rows or params.training_labels.rows),
            params.task.instruction,
            params.task.record_fields,
        ),
        spec,
        runtime,
        out,
        TrainingPolicy(
            description=f"{description}: training",
            checkpoints=None
            if minutes is None
            else CheckpointSettings(params.checkpoints.folder, minutes),
            early_stopping=early_stopping,
        ),
    )


def train_unless_done(
    params: Params,
    spec: TrainingSpec,
    runtime: Runtime,
    out: str,
    description: str,
    finished: str | None,
    early_stopping: EarlyStopping | None = None,
) -> TrainingTimings:
    """Tune the base like :func:`train`, but for an adapter that is there already.

    ``finished`` is the directory of an adapter that may already be this very training; it is
    taken over then.
    """
    if finished and reuse_adapter(finished, spec, out):
        say(f"{description}: {finished} is this very training, not trained again")
        return TrainingTimings(machine(runtime), run=None, reused=True)
    run = train(params, spec, runtime, out, description, early_stopping)
    return TrainingTimings(machine(runtime), run, reused=False)
