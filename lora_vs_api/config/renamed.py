"""Keys and files that are called something else since an earlier version, and what they are now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


def _moved(section: str, keys: str, to: str) -> dict[str, str]:
    return {f"{section}.{key}": f"{to}.{key}" for key in keys.split()}


# "*" stands for one name, and for the same one on both sides
RENAMED = {
    "device": "runtime.device",
    **_moved("model", "dtype pad_token", "runtime"),
    **_moved("model", "source package version sha256 gguf repo revision path", "model.weights"),
    "task.name": "task_name",
    "task.title": "task_title",
    "task.stratify_by": "split.stratify_by",
    **_moved("lora", "alpha_per_r dropout target_modules variant plus_ratio", "lora.adapter"),
    "sweep.stop_ratio": "sweep.early_stopping_ratio",
    **_moved("sweep", "seed val_rows", "sweep.trial"),
    **_moved("evaluate", "max_new_tokens batch_size constrained", "decoding"),
    "evaluate.shots_seed": "api.ask.shots_seed",
    **_moved("robustness", "rows perturbations seed", "robustness.texts"),
    **_moved("api", "kind base_url endpoint mode weights", "api.server"),
    "api.concurrency": "api.ask.concurrency",
    "api.replicate_rows": "api.replicates.rows",
    **_moved(
        "api",
        "port key_env timeout_seconds max_attempts max_minutes budget_usd store",
        "api.limits",
    ),
    "conditions.*.label": "labels.*",
    "tunings.*.label": "labels.*",
}


# what PEFT's, TRL's and transformers' arguments are here
OF_OTHERS = {
    "lora_r": "lora.r",
    "rank": "lora.r",
    "lora_rank": "lora.r",
    "alpha": "lora.adapter.alpha_per_r, which is lora_alpha / r",
    "lora_alpha": "lora.adapter.alpha_per_r, which is lora_alpha / r",
    "lora_dropout": "lora.adapter.dropout",
    "lora_target_modules": "lora.adapter.target_modules",
    "use_dora": "lora.adapter.variant=dora",
    "use_rslora": "lora.adapter.variant=rslora",
    "init_lora_weights": "lora.adapter.variant=pissa",
    "loraplus_lr_ratio": "lora.adapter.plus_ratio",
    "load_in_4bit": "lora.adapter.variant=qlora",
    "num_train_epochs": "train.epochs",
    "num_epochs": "train.epochs",
    "per_device_train_batch_size": "train.batch_size",
    "gradient_accumulation_steps": "train.gradient_accumulation",
    "lr": "lora.learning_rate",
    "lr_scheduler_type": "train.scheduler",
    "warmup_steps": "train.warmup_ratio",
    "max_seq_length": "train.max_length",
}


# apart from the others: every node asks it of every key of params.yaml
_WITH_A_NAME = [
    (re.compile(re.escape(old).replace(r"\*", r"([^.]+)")), new)
    for old, new in RENAMED.items()
    if "*" in old
]


def new_name(key: str) -> str | None:
    """What the dotted ``key`` of an earlier version is called now; None for any other."""
    if key in RENAMED:
        return RENAMED[key]
    for old, new in _WITH_A_NAME:
        found = old.fullmatch(key)
        if found:
            return new.replace("*", found.group(1))
    return None


def of_others(key: str) -> str | None:
    """The setting that a key within a training's section is for PEFT, TRL and transformers; None for any other."""
    section, dot, _ = key.partition(".")
    if section not in ("lora", "train", "model", "runtime") and (dot or "_" not in key):
        # a word by itself, such as rank, says too little
        return None
    return OF_OTHERS.get(key.rpartition(".")[2])


def renamed_key(raw: Mapping[str, Any]) -> str | None:
    """The first key of ``raw`` that has another name now, as a complaint in one line."""
    return next((_complaint(key, new) for key in _keys(raw) if (new := new_name(key))), None)


def renamed_override(overrides: Sequence[str]) -> str | None:
    """The same for Hydra's overrides, such as ``device=cpu`` or ``+model.dtype=auto``."""
    keys = [override.partition("=")[0].lstrip("+~") for override in overrides]
    return next((_complaint(key, new) for key in keys if (new := new_name(key))), None)


def renamed_file(conf: Path) -> str | None:
    """A file of ``conf`` that is no longer read under its old name, as a complaint in one line."""
    old, new = conf / "mine.yaml", conf / "local.yaml"
    if not old.is_file():
        return None
    return f"{old}: is called {new.name} now and is no longer read; move its settings to {new}"


def _complaint(key: str, new: str) -> str:
    return f"{key}: is called {new} now"


def _keys(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, inner in value.items():
        key = f"{prefix}{name}"
        yield key
        if isinstance(inner, dict):
            yield from _keys(inner, f"{key}.")
