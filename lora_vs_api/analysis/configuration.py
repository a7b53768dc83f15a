"""Which settings a result comes from, as one digest that stands beside it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

if TYPE_CHECKING:
    from lora_vs_api.config.sections import Params
    from lora_vs_api.config.sections.model import Weights

SHOWN = 12  # digits of a digest that are printed


def config_sha256(params: Params) -> str:
    """SHA-256 of every setting that the scores, costs and verdict depend on.

    What is only printed, how patiently an API is asked and what a node takes of a machine are left
    out: a result stays current when they change.
    """
    settings: dict[str, object] = {
        "api": [params.api.ask, params.api.replicates, params.api.server],
        "baseline": params.baseline,
        "conditions": params.conditions,
        "data": params.data,
        "decoding": params.decoding,
        "economics": params.economics,
        "evaluate": params.evaluate,
        "hypothesis": params.hypothesis,
        "lora": params.lora,
        "model": [
            params.model.name,
            _which(params.model.weights),
            params.model.template_arguments,
        ],
        "model_free": params.model_free,
        "opponents": {name: opponent.sha256 for name, opponent in params.opponents.items()},
        "priced_as": params.priced_as,
        "prices": params.prices,
        "prices_beside": params.prices_beside,
        "runtime": params.runtime,
        "sanity": params.sanity,
        "seeds": params.seeds,
        "serving": params.serving,
        "split": params.split,
        "stats": params.stats,
        "sweep": params.sweep,
        "task": params.task,
        "train": params.train,
        "tunings": params.tunings,
        # left out where it is empty: what it was, a digest stays
        **({"slices": params.slices} if params.slices else {}),
    }
    if params.training_labels.source != "gold":
        settings["training_labels"] = params.training_labels
    plain = _without_off(to_jsonable_python(settings))
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _which(weights: Weights) -> object:
    """What tells a base model from others: not where it lies, which is another place elsewhere.

    Of a model in a folder of this machine that is its name, and of a GGUF file its digest.
    """
    if weights.source == "path":
        return "path"
    return weights.sha256 if weights.source == "gguf" else weights


def _without_off(settings: dict[str, Any]) -> dict[str, Any]:
    """Without the keys that say "as before they came": results stay current when a setting comes that they
    do not use."""
    _drop(settings["task"], "weights", {})
    # where an environment lies is another place elsewhere
    settings["serving"].pop("python", None)
    for condition in settings["conditions"].values():
        _drop(condition, "instruction", None)
        _drop(condition, "server", None)
        _drop(condition, "extra_body", None)
        if isinstance(condition["shots"], dict):
            # its digest tells which; where it lies is another place elsewhere
            condition["shots"].pop("file", None)
    for train in (settings["train"], settings["sweep"]["trial"]["train"]):
        _drop(train, "group_by_length", False)
        if train["max_length"] is None:
            # without a longest text none is too long
            del train["max_length"], train["too_long"]
    return settings


def _drop(section: dict[str, Any], key: str, off: object) -> None:
    if section[key] == off:
        del section[key]


def shown_digest(sha256: str) -> str:
    return sha256[:SHOWN]
