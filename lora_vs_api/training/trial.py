"""One trial of a sweep: train at one configuration, ask the val slice."""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.files import new_directory, read_jsonl, write_json
from lora_vs_api.inference.evaluate import answer_texts
from lora_vs_api.inference.extractor import extractor_of
from lora_vs_api.log import say
from lora_vs_api.model.loading import load_tuned
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.paths import BASE, VAL
from lora_vs_api.training.artifacts import loss_curve, stopped_at_step
from lora_vs_api.training.early_stopping import EarlyStopping
from lora_vs_api.training.run import train_unless_done
from lora_vs_api.training.spec import training_spec


def run_trial(
    params: Params,
    *,
    sweep: str,
    item: str,
    r: int,
    learning_rate: float,
    finished: str | None = None,
    early_stopping: EarlyStopping | None = None,
) -> None:
    """Train one configuration of ``sweep`` under the name ``item`` and ask it the val slice.

    ``finished`` is the directory of an adapter that may already be this very training. A training
    that ``early_stopping`` ends is asked as it then is. Writes
    models/<sweep>/<item>, predictions/<sweep>/<item>, metrics/<sweep>/<item>.json and
    timings/<sweep>/<item>.json. It scores nothing: ``select_rank`` and ``select`` do, so that
    another score trains nothing again.
    """
    runtime, seed = (
        resolve_runtime(params.runtime.device, params.runtime.dtype),
        params.sweep.trial.seed,
    )
    spec = training_spec(
        params,
        params.sweep.trial.train,
        r=r,
        learning_rate=learning_rate,
        seed=seed,
        runtime=runtime,
    )
    adapter, name = f"models/{sweep}/{item}", f"{sweep} {item}"
    timing = train_unless_done(params, spec, runtime, adapter, name, finished, early_stopping)
    model = load_tuned(BASE, adapter, runtime)
    answer_texts(
        extractor_of(params, model, constrained=params.decoding.constrained),
        read_jsonl(VAL, params.sweep.trial.val_rows),
        description=f"{name}: val",
        predictions=f"predictions/{sweep}/{item}",
    )
    losses = loss_curve(adapter)
    result: dict[str, float] = {
        "r": r,
        "learning_rate": learning_rate,
        "seed": seed,
        "last_loss": losses[-1],
        "steps": len(losses),
    }
    stopped_at = stopped_at_step(adapter)
    if stopped_at:
        result["stopped_at_step"] = stopped_at
    write_json(f"metrics/{sweep}/{item}.json", result)
    write_json(f"timings/{sweep}/{item}.json", timing.as_json())


def leave_out(sweep: str, item: str) -> None:
    """The outputs of a trial that nothing asks for, empty: DVC wants them, and no reader looks into them."""
    say(f"{sweep} {item}: left out, since sweep.ranks is []")
    for folder in (f"models/{sweep}/{item}", f"predictions/{sweep}/{item}"):
        with new_directory(folder):
            pass
    for file in (f"metrics/{sweep}/{item}.json", f"timings/{sweep}/{item}.json"):
        write_json(file, {})
