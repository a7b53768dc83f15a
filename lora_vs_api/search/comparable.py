"""What runs of several base models must share to be about the base alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_vs_api.paths import TAUGHT, TRAIN
from lora_vs_api.search.experiments import flat

# Settings that two runs must share to be about the base alone. What else differs is the base's own
# (model, dtype, rank and rate within its sweep), the engine, or touches no score of the fine-tune.
COMPARED = ("data", "split", "task", "evaluate", "decoding", "stats", "economics", "seeds", "train",
            "lora.adapter", "sweep.trial", "runtime.device", "serving.server.context", "serving.server.threads",
            "training_labels.rows")  # fmt: skip
# a larger model takes smaller batches; how many texts a step sees is compared
BATCHES = ("batch_size", "gradient_accumulation")


def output_digest(lock: Mapping[str, Any], node: str, kind: str, path: str) -> str:
    """By dvc.lock, of a ``path`` among the node's ``kind``, outs or deps; "" where it is none."""
    rows = lock.get(node, {}).get(kind, ())
    return next((row.get("md5", "") for row in rows if row["path"] == path), "")


def shared_settings(raw: Mapping[str, Any], lock: Mapping[str, Any]) -> dict[str, Any]:
    """Setting or data → its value, of all that must be the same in runs that compare."""
    params = flat(raw)
    for section in ("train", "sweep.trial.train"):
        sizes = [params.pop(f"{section}.{key}", 1) for key in BATCHES]
        params[f"{section}: texts a step"] = sizes[0] * sizes[1]
    # how many texts are answered together; latency and cost are of one at a time
    params.pop("decoding.batch_size", None)
    kept = {
        key: value
        for key, value in params.items()
        if any(key == part or key.startswith((f"{part}.", f"{part}:")) for part in COMPARED)
    }
    data = {
        f"data/split/{split}.jsonl": output_digest(
            lock, "split", "outs", f"data/split/{split}.jsonl"
        )
        for split in ("train", "val", "test", "groups")
    }
    code = {
        folder: output_digest(lock, "analyze", "deps", folder)
        for folder in ("lora_vs_api/scoring", "lora_vs_api/validation")
    }
    # whose labels were learnt from, and where a teacher's, which
    rows = kept.setdefault("training_labels.rows", TRAIN)
    taught = {rows: output_digest(lock, "analyze", "deps", rows)} if rows == TAUGHT else {}
    return data | taught | code | kept


def is_file(key: str) -> bool:
    """Whether a key of :func:`shared_settings` is of a file or folder, and no setting."""
    return "/" in key
