"""A cascade of made-up answers, for the tests of its analysis and of the report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from lora_vs_api.analysis.cascade import Local, Other, Target, cascade_of
from lora_vs_api.analysis.cascade_results import PERSON, Cascade
from lora_vs_api.analysis.results import Analysis
from lora_vs_api.config.sections import Cascade as Settings
from lora_vs_api.config.sections import Person
from lora_vs_api.stats.bootstrap import Draws

NAMES = ("vendor", "total_amount", "line_items")
SOMEBODY = Person(minutes=2, usd_per_hour=30)


def settings(**changes: object) -> Settings:
    values: dict[str, object] = {
        "conditions": ["api_few_shot_5"], "person": SOMEBODY.model_dump(), "val_rows": 16,
        "rule": "best", "max_share": 0.3, "max_usd_per_1000": None, "min_f1": 0.8,
        "seeds": [0, 1, 2], "asked": ["api_few_shot_5"], "answers": "predictions/cascade",
        "timings": "timings/cascade",
    }  # fmt: skip
    return Settings.model_validate(values | changes)


def local(texts: int, seeds: int = 3, seed: int = 0) -> Local:
    """Answers whose confidence says something of whether they are right."""
    draw = np.random.default_rng(seed)
    hard = draw.beta(2, 3, size=texts)
    chance = np.clip(1 - hard + draw.normal(0, 0.1, (seeds, texts)), 0, 1)
    fields = (draw.random((seeds, texts, len(NAMES))) < chance[..., None]).astype(float)
    sure = np.clip(chance[..., None] + draw.normal(0, 0.1, fields.shape), 0, 1).round(6)
    return local_of(fields, sure)


def local_of(fields: np.ndarray, sure_fields: np.ndarray) -> Local:
    """From scores and confidences of fields, both (n_seeds, n_texts, n_fields)."""
    texts = fields.shape[1]
    return Local(
        field_f1=fields.mean(axis=2), exact=(fields == 1).all(axis=2),
        sure=sure_fields.mean(axis=2), fields=fields, sure_fields=sure_fields,
        usd=np.full(texts, 5.7e-6), seconds=np.full(sure_fields.shape[:2], 0.95),
    )  # fmt: skip


def other(texts: int, chance: float = 0.85, seed: int = 1, timed: bool = True) -> Other:
    draw = np.random.default_rng(seed)
    fields = draw.random((texts, len(NAMES))) < chance
    return Other(
        fields.mean(axis=1), fields.all(axis=1), draw.uniform(5e-5, 2e-4, texts),
        np.full(texts, 1.3) if timed else None,
    )  # fmt: skip


def targets(names: Sequence[tuple[str, str]], val: int, test: int) -> list[Target]:
    """The last of the conditions was asked about val too, and a person."""
    found = [
        Target(
            name,
            label,
            other(val) if (name, label) == names[-1] else None,
            other(test, 0.85 - 0.1 * (len(names) - 1 - place)),
        )
        for place, (name, label) in enumerate(names)
    ]
    people = (Other.of_person(texts, SOMEBODY) for texts in (val, test))
    return [*found, Target(PERSON, "a person", *people)]


def cascade(result: Analysis) -> Cascade:
    """One that goes with an analysis of made-up numbers."""
    names = tuple((row.name, row.label) for row in result.conditions if row.kind == "api")
    return _cascade(names, len(result.seeds), result.texts)


@cache
def _cascade(names: tuple[tuple[str, str], ...], seeds: int, texts: int) -> Cascade:
    return cascade_of(
        local(16, seeds, 2), local(texts, seeds, 3), targets(names, 16, texts), NAMES,
        settings(seeds=list(range(seeds))), Draws(200, 0, 0.95),
    )[0]  # fmt: skip
