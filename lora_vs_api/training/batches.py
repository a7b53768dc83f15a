"""Which examples come together in a batch, where they are grouped by length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

# so many batches are sorted at once: of emails this leaves 3 % of padding instead of 13, and a
# training of few steps still sees long texts and short ones
WINDOW = 8


class LengthGroupedBatches(Sampler[int]):
    """Every example once an epoch, in batches of like length and no order of lengths between them.

    transformers' ``group_by_length`` sorts fifty batches at once and begins with the longest, which
    is all that a sweep's short trial would see. Here the batches of each window are shuffled again.

    The order follows from ``seed`` and the epoch alone, so a training that is resumed goes on in it.

    Args:
        lengths: of the examples, in tokens.
        batch: examples in a batch.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed = list(lengths), batch, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        drawn = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self), generator=drawn).tolist()
        size = WINDOW * self.batch
        for first in range(0, len(order), size):
            window = sorted(order[first : first + size], key=self.lengths.__getitem__)
            batches = [window[i : i + self.batch] for i in range(0, len(window), self.batch)]
            # one that is not full must be the epoch's last: whoever cuts into batches counts on
            rest = [batches.pop()] if len(batches[-1]) < self.batch else []
            places = torch.randperm(len(batches), generator=drawn).tolist()
            for batch in [*(batches[place] for place in places), *rest]:
                yield from batch
