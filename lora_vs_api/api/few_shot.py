"""Which training texts a few-shot prompt shows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any


def choose_shots(train: Sequence[dict[str, Any]], k: int, seed: int) -> list[dict[str, Any]]:
    """``k`` rows of the training split without replacement, the same ones for every text."""
    return random.Random(seed).sample(train, k)
