"""What no single key of params.yaml can get wrong alone."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from lora_vs_api.config.fields import checked_fields
from lora_vs_api.config.sections import Params
from lora_vs_api.data.perturbation import PERTURBATIONS
from lora_vs_api.errors import UserError


def inconsistency(params: Params) -> str | None:
    """What no single key can get wrong alone; None when all is well."""
    for key, values in (
        ("seeds", params.seeds),
        ("sweep.ranks", params.sweep.ranks),
        ("sweep.learning_rates", params.sweep.learning_rates),
        ("robustness.perturbations", params.robustness.perturbations),
        ("robustness.conditions", params.robustness.conditions),
    ):
        if len(set(values)) != len(values):
            return f"{key}: expected no value twice, found {values}"
    for key, rate in [
        ("sanity.learning_rate", params.sanity.learning_rate),
        ("sweep.rank_sweep_learning_rate", params.sweep.rank_sweep_learning_rate),
        ("lora.learning_rate", params.lora.learning_rate),
        *((f"tunings.{name}.learning_rate", t.learning_rate) for name, t in params.tunings.items()),
        *(("sweep.learning_rates", rate) for rate in params.sweep.learning_rates),
    ]:
        if rate != "best" and not 0 < float(rate) < 1:
            return f"{key}: expected a learning rate above 0 and below 1, found {rate!r}"
    needed_data = {
        "generator": ("n", "categories", "sentiments"),
        "file": ("text",),
    }
    for key in needed_data[params.data.source]:
        if getattr(params.data, key) is None:
            return f"data.{key}: needed with data.source={params.data.source}, found null"
    for key, mapping in (
        ("data.categories", params.data.categories),
        ("data.sentiments", params.data.sentiments),
        ("split.shares", params.split.shares.model_dump()),
    ):
        if mapping is not None and abs(sum(mapping.values()) - 1) > 1e-9:
            return f"{key}: expected shares that sum to 1, found a sum of {sum(mapping.values()):g}"
    try:
        checked_fields(params.task.field_specs)
    except UserError as error:
        return str(error)
    name = params.contamination.field
    if name is not None and (
        name not in params.task.fields or params.task.fields[name].type != "enum"
    ):
        return f"contamination.field: expected an enum field of the task or null, found {params.contamination.field!r}"
    if params.task.stratify_by is not None and params.task.stratify_by not in params.task.fields:
        return f"task.stratify_by: expected a field of the task or null, found {params.task.stratify_by!r}"
    if params.baseline not in params.conditions:
        return (
            f"baseline: expected one of {', '.join(params.conditions)}, found {params.baseline!r}"
        )
    for name in params.conditions:
        price = params.priced_as.get(name)
        if price not in params.prices.models:
            return (
                f"priced_as.{name}: expected one of {', '.join(params.prices.models)} "
                f"(keys of prices.models), found {price!r}"
            )
    if params.evaluate.latency_rows > params.evaluate.test_rows:
        return "evaluate.latency_rows: expected no more than evaluate.test_rows"
    if "default" not in params.nodes:
        return "nodes.default: missing; it counts for every node that is not named"
    for name, tuning in params.tunings.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in (
            "lora",
            "base_zero_shot",
            *params.conditions,
        ):
            return (
                f"tunings.{name}: expected a name of its own in lower case, digits and underscores"
            )
        key = "virtual_tokens" if tuning.method in ("prompt", "prefix") else "r"
        if tuning.method != "full" and getattr(tuning, key) is None:
            return f"tunings.{name}.{key}: needed with method={tuning.method}, found null"
        if key == "virtual_tokens" and params.evaluate.constrained:
            return (
                f"tunings.{name}: learnt tokens ({tuning.method}) cannot be decoded with "
                "evaluate.constrained=true"
            )
    if params.robustness.rows > params.evaluate.test_rows:
        return "robustness.rows: expected no more than evaluate.test_rows"
    for key, values, allowed in (
        ("robustness.perturbations", params.robustness.perturbations, PERTURBATIONS),
        ("robustness.conditions", params.robustness.conditions, params.conditions),
    ):
        unknown = [value for value in values if value not in allowed]
        if unknown:
            return f"{key}: expected some of {', '.join(allowed)}, found {unknown[0]!r}"
    needed = {
        "wheel": ("package", "version", "sha256", "gguf"),
        "hub": ("repo", "revision"),
        "path": ("path",),
    }
    for key in needed[params.model.source]:
        if getattr(params.model, key) is None:
            return f"model.{key}: needed with model.source={params.model.source}, found null"
    if params.api.kind == "embedded" and params.api.mode == "batch":
        return "api.mode: expected live with api.kind=embedded, which has no Batch API"
    if params.api.kind == "openai":
        for key in ("base_url", "store"):
            if getattr(params.api, key) is None:
                return f"api.{key}: needed with api.kind=openai, found null"
        address = urlsplit(params.api.base_url)
        if address.username or address.password or address.query:
            # not shown: what stands there may be a secret, and params.yaml is committed
            return "api.base_url: expected no user, password or query; a key goes into api.key_env"
        if address.scheme not in ("http", "https") or address.hostname is None:
            return (
                "api.base_url: expected an address such as http://127.0.0.1:8000/v1, "
                f"found {params.api.base_url!r}"
            )
    return None
