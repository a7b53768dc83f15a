"""One trial of a sweep: train at one configuration, score on the val slice."""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.files import read_jsonl, write_json
from lora_vs_api.model.evaluation import score_on
from lora_vs_api.model.hopeless import Reference
from lora_vs_api.model.loading import load_tuned
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.model.training import loss_curve, stopped_at_step
from stages.common import BASE, VAL
from stages.extractors import extractor_of
from stages.specs import training_spec
from stages.trained import train_unless_done


def run_trial(
    params: Params,
    *,
    sweep: str,
    item: str,
    r: int,
    learning_rate: float,
    finished: str | None = None,
    reference: Reference | None = None,
) -> None:
    """Train and score one configuration of ``sweep``, under the name ``item``.

    ``finished`` is the directory of an adapter that may already be this very training; one that
    falls hopelessly behind ``reference`` is given up, and scored as it then is. Writes
    models/<sweep>/<item>, metrics/<sweep>/<item>.json and timings/<sweep>/<item>.json.
    """
    runtime, seed = resolve_runtime(params.device, params.model.dtype), params.sweep.seed
    spec = training_spec(params, r=r, learning_rate=learning_rate, seed=seed, runtime=runtime)
    adapter, name = f"models/{sweep}/{item}", f"{sweep} {item}"
    timing = train_unless_done(params, spec, runtime, adapter, name, finished, reference)
    model = load_tuned(BASE, adapter, runtime)
    scores = score_on(
        extractor_of(params, model, constrained=params.evaluate.constrained),
        read_jsonl(VAL)[: params.sweep.val_rows],
        f"{name}: val",
    )
    result = {
        "r": r,
        "learning_rate": learning_rate,
        "seed": seed,
        **scores,
        "last_loss": loss_curve(adapter)[-1],
    }
    stopped_at = stopped_at_step(adapter)
    if stopped_at:
        result["stopped_at_step"] = stopped_at
    write_json(f"metrics/{sweep}/{item}.json", result)
    write_json(f"timings/{sweep}/{item}.json", timing)
