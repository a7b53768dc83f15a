"""One trial of a sweep: train at one configuration, score on the val slice."""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.files import read_jsonl, write_json
from lora_vs_api.model.evaluation import score_on
from lora_vs_api.model.loading import load_tokenizer, load_tuned
from lora_vs_api.model.runtime import machine, resolve_runtime
from lora_vs_api.model.training import loss_curve, reuse_adapter, train_adapter
from lora_vs_api.stage import say
from stages.common import BASE, TRAIN, VAL, record_fields
from stages.specs import checkpoint_settings, training_spec


def run_trial(
    params: Params,
    *,
    sweep: str,
    item: str,
    r: int,
    learning_rate: float,
    finished: str | None = None,
) -> None:
    """Train and score one configuration of ``sweep``, under the name ``item``.

    ``finished`` is the directory of an adapter that may already be this very training; it is
    taken over then. Writes models/<sweep>/<item>, metrics/<sweep>/<item>.json and
    timings/<sweep>/<item>.json.
    """
    fields, runtime = record_fields(params), resolve_runtime(params.device, params.model.dtype)
    spec = training_spec(
        params, r=r, learning_rate=learning_rate, seed=params.sweep.seed, runtime=runtime
    )
    adapter = f"models/{sweep}/{item}"
    timing = {"reused": True, "machine": machine(runtime)}
    if finished and reuse_adapter(finished, spec, adapter):
        say(f"{sweep} {item}: already trained as {finished}, not trained again")
    else:
        say(f"{sweep} {item}: training at r={r}, learning rate {learning_rate:g}")
        run = train_adapter(
            BASE,
            read_jsonl(TRAIN),
            params.task.instruction,
            fields,
            spec,
            runtime,
            adapter,
            description=f"{sweep} {item}: training",
            checkpoints=checkpoint_settings(params),
        )
        timing |= {"reused": False, **run.timing()}
    scores = score_on(
        load_tuned(BASE, adapter, runtime),
        load_tokenizer(BASE, params.model.pad_token),
        read_jsonl(VAL)[: params.sweep.val_rows],
        params.task.instruction,
        fields,
        max_new_tokens=params.evaluate.max_new_tokens,
        batch_size=params.evaluate.batch_size,
        constrained=params.evaluate.constrained,
        description=f"{sweep} {item}: val",
    )
    result = {
        "r": r,
        "learning_rate": learning_rate,
        "seed": params.sweep.seed,
        **scores,
        "last_loss": loss_curve(adapter)[-1],
    }
    write_json(f"metrics/{sweep}/{item}.json", result)
    write_json(f"timings/{sweep}/{item}.json", timing)
