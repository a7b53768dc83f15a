"""How long a training on fewer texts takes. Imports no torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_vs_api.config.sections import Train
    from lora_vs_api.config.sections.training import CurveSteps


def final_steps(train: Train, texts: int) -> int:
    """Optimiser steps of a final training on ``texts``."""
    if train.max_steps is not None:
        return train.max_steps
    batches = math.ceil(texts / train.batch_size)
    return train.epochs * math.ceil(batches / train.gradient_accumulation)


def texts_seen(train: Train, texts: int, steps: int) -> int:
    """Of ``texts``, how many a training of so many steps sees at least once."""
    return min(texts, steps * train.batch_size * train.gradient_accumulation)


def steps_of(size: int, texts: int, train: Train, settings: CurveSteps) -> int:
    """Optimiser steps of a training on ``size`` of the ``texts`` for training.

    ``proportional``: as many passes over the texts that it sees as a final training makes over
    those that that one sees, rounded up to a step, and at least ``least`` steps. ``same``: the final
    training's. Never more than that. So a training on fewer texts than a final one sees, sees all
    of its own.
    """
    whole = final_steps(train, texts)
    if settings.scale == "same":
        return whole
    return min(whole, max(settings.least, -(-whole * size // texts_seen(train, texts, whole))))
