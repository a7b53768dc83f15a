"""Where the nodes of dvc.yaml keep what others read."""

from __future__ import annotations

BASE = "models/base_model"
TRAIN = "data/split/train.jsonl"
VAL = "data/split/val.jsonl"
TEST = "data/split/test.jsonl"
GROUPS = "data/split/groups.jsonl"
PERTURBED = "data/perturb.jsonl"
# what perturb says of that file: metrics/perturb.json
APPLIED = "metrics/perturb.json"


def opponent_file(name: str) -> str:
    """The model file of ``opponents.<name>``."""
    return f"models/opponent/{name}.gguf"
