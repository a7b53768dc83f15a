"""Names that the user gives: of conditions, tunings and the task. They become files and columns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, get_args

from lora_vs_api.config.sections.model import ModelFree

PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}")
EXPECTED: Final = "letters, digits, _ and -, a letter first, 60 characters at most"
# letters of any script, as in a file's name that `init` takes the task's from
TASK: Final = re.compile(r"[^\W\d_][\w-]{0,199}")

# what results, figures and commands call something else: the fine-tune, the untuned base (under
# its names in files, in `compare` and in the report), the predictors without a model, the reviewer
RESERVED: Final = frozenset(
    {
        *("lora", "lora_tuned", "fine_tune", "fine-tune", "finetune"),
        *("base", "base_zero_shot", "base_model", "untuned"),
        *get_args(ModelFree),
        *(
            "model_free",
            "distilled",
            "person",
            "reviewer",
            "expected",
            "gold",
            "all",
            "any",
            "none",
            "default",
        ),
    }
)
# folders of predictions/evaluate/, one for each training
SEED: Final = re.compile(r"(lora|distilled)-seed-.*", re.IGNORECASE)


def name_problem(name: str, others: Iterable[str] = ()) -> str | None:
    """What is wrong with a condition's or tuning's name, as the form expected instead; None if nothing.

    Args:
        others: names that are in use; files of some systems do not tell ``Mini`` from ``mini``.
    """
    if not PLAIN.fullmatch(name):
        return f"expected a plain word as its name ({EXPECTED})"
    if name.lower() in RESERVED or SEED.fullmatch(name):
        return "expected another name: this one is taken by the project's own conditions"
    if name.lower() in {other.lower() for other in others}:
        return "expected a name of its own: another condition or tuning has it"
    return None


def task_name_problem(name: str) -> str | None:
    """As :func:`name_problem`, of a task."""
    if TASK.fullmatch(name):
        return None
    return "expected a plain word: letters, digits, _ and -, a letter first"
