"""The same bytes from the same training, on a GPU too.

There sums run in whatever order their parts are ready, above all in attention's backward pass, and a
difference in the last bit grows from step to step. torch has ways that keep one order; it takes them
where it is told to.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# of cuBLAS, which reads it once: one buffer, so that products do not choose by what is free
WORKSPACE, ONE_SIZE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
# how torch ends the sentence in which it refuses what has no such way
REFUSAL = "does not have a deterministic implementation"


@contextmanager
def same_bytes(device: str) -> Iterator[None]:
    """On a GPU, let torch compute in one order, and refuse what it cannot, until the block ends."""
    if device != "cuda":
        # one order already
        yield
        return
    os.environ.setdefault(WORKSPACE, ONE_SIZE)
    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)


def is_refused(reason: str) -> bool:
    """Whether torch has refused to compute, and not the model."""
    return REFUSAL in reason


def allow_any_order() -> None:
    """Until the block ends: what has one order keeps it, the rest is computed all the same."""
    torch.use_deterministic_algorithms(True, warn_only=True)
