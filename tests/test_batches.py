"""Batches of like length: every example once, nothing ordered by length but what shares a batch."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.training.batches import WINDOW, LengthGroupedBatches

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=200)
SIZES = st.integers(1, 9)


def batches(lengths: list[int], size: int, seed: int = 0, epoch: int = 0) -> list[list[int]]:
    sampler = LengthGroupedBatches(lengths, size, seed)
    sampler.set_epoch(epoch)
    order = list(sampler)
    return [order[i : i + size] for i in range(0, len(order), size)]


def padded(lengths: list[int], cut: list[list[int]]) -> int:
    return sum(len(batch) * max(lengths[i] for i in batch) for batch in cut)


@given(LENGTHS, SIZES, st.integers(0, 5), st.integers(0, 3))
def test_every_example_once_an_epoch(lengths, size, seed, epoch):
    cut = batches(lengths, size, seed, epoch)
    assert sorted(i for batch in cut for i in batch) == list(range(len(lengths)))
    assert cut == batches(lengths, size, seed, epoch)


@given(LENGTHS, SIZES)
def test_in_a_window_no_batch_reaches_into_another_ones_lengths(lengths, size):
    cut = batches(lengths, size)
    for first in range(0, len(cut), WINDOW):
        spans = sorted(
            (min(lengths[i] for i in batch), max(lengths[i] for i in batch))
            for batch in cut[first : first + WINDOW]
        )
        assert all(ends <= begins for (_, ends), (begins, _) in itertools.pairwise(spans))


def test_less_padding_and_short_trainings_see_all_lengths():
    """Unlike where fifty batches are sorted at once, the longest first."""
    lengths = [100 + (37 * i) % 91 for i in range(1400)]
    cut, plain = batches(lengths, 8), [list(range(i, i + 8)) for i in range(0, 1400, 8)]
    real = sum(lengths)
    assert padded(lengths, cut) - real < 0.3 * (padded(lengths, plain) - real)
    trial = [lengths[i] for batch in cut[:24] for i in batch]
    assert abs(sum(trial) / len(trial) - real / len(lengths)) < 5
    means = [sum(lengths[i] for i in batch) / 8 for batch in cut[:8]]
    assert means != sorted(means) and means != sorted(means, reverse=True)


def test_epochs_and_seeds_differ():
    lengths = list(range(64))
    orders = {str(batches(lengths, 4, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4
