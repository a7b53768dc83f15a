"""Where the nodes of dvc.yaml keep what others read."""

from __future__ import annotations

from pathlib import Path

BASE = "models/base_model"
# its GGUF file until the base is made of it, and what a fetch that was killed has left for the next one
BASE_GGUF = "models/.base_model-gguf/model.gguf"
BASE_WORK = "models/.base_model-gguf/fetch"
OPPONENTS = "models/opponent"
# folders with one for each seed: what training wrote, and what a server reads of it
TRAINED = "models/train"
SERVED = "models/served"
TRAIN = "data/split/train.jsonl"
# training texts without a gold record, and all of them with the records of a teacher
UNLABELLED_CORPUS = "data/unlabelled.jsonl"
UNLABELLED = "data/split/unlabelled.jsonl"
TAUGHT = "data/teacher/train.jsonl"
# what the teacher answered to the training texts, and what that took
TEACHER = "predictions/teacher"
TEACHER_TIMINGS = "timings/teacher.json"
TEACHER_LABELS = "metrics/teacher_labels.json"
# the model that learnt from them, under each seed
DISTILLED = "models/distil"
VAL = "data/split/val.jsonl"
TEST = "data/split/test.jsonl"
GROUPS = "data/split/groups.jsonl"
PERTURBED = "data/perturb.jsonl"
# what the cascade's nodes found on the validation texts, a folder for each who answered
ESCALATION = "predictions/cascade"
# and what each of them took
ESCALATION_TIMINGS = "timings/cascade"
# what perturb says of that file: metrics/perturb.json
APPLIED = "metrics/perturb.json"


DISTILLED_CONDITION = "distilled"


def distilled_name(seed: int) -> str:
    """What the answers of the model that a teacher taught are called, under one seed."""
    return f"{DISTILLED_CONDITION}-seed-{seed}"


def opponent_file(name: str) -> str:
    """The model file of ``opponents.<name>``."""
    return f"{OPPONENTS}/{name}.gguf"


def opponent_work(name: str) -> str:
    """What a fetch of it that was killed has left for the next one."""
    return f"models/.opponent-{name}"


def seed_folder(weights: str, seed: int) -> str:
    """What answers for one seed of the fine-tune; ``weights`` is ``TRAINED`` or ``SERVED``."""
    return f"{weights}/seed-{seed}"


# what the learning curve's nodes hand on: orders of the training texts, and answers
CURVE = "predictions/curve"
CURVE_ORDERS = f"{CURVE}/order"


def curve_order(seed: int) -> str:
    """The ids of the training texts in the order in which smaller sets take them."""
    return f"{CURVE_ORDERS}/{seed}.jsonl"


def curve_answers(size: int, seed: int) -> str:
    """What a training on ``size`` texts answered to the test slice."""
    return f"{CURVE}/{size}-{seed}"


def project_of_copy(here: Path) -> Path | None:
    """The project that ``here`` is a copy of, made by `dvc exp run --temp` or `--queue`; None where it is none."""
    copies = next((p for p in here.parents if p.parts[-3:] == (".dvc", "tmp", "exps")), None)
    return None if copies is None else copies.parents[2]
