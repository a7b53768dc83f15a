"""The choice among trials, whatever order they come in."""

from __future__ import annotations

from itertools import permutations

import pytest

from lora_vs_api.errors import UserError
from lora_vs_api.selection.trials import Trial, best_trial


def trial(r: int, rate: float, f1: float) -> Trial:
    return Trial("rank_trial", f"{r}", r, rate, 0, 32, f1, 1.0, 0.0, 0.2)


@pytest.mark.parametrize(
    ("trials", "best"),
    [
        ([(8, 1e-3, 0.5), (16, 1e-3, 0.6), (32, 1e-3, 0.4)], (16, 1e-3)),
        # of equals the smaller rank, then the smaller rate
        ([(32, 1e-3, 0.6), (8, 1e-3, 0.6), (16, 1e-3, 0.6)], (8, 1e-3)),
        ([(8, 4e-3, 0.6), (8, 1e-3, 0.6), (8, 2e-3, 0.6)], (8, 1e-3)),
        ([(16, 1e-4, 0.6), (8, 1e-2, 0.6), (8, 2e-2, 0.6)], (8, 1e-2)),
        # equal only as printed
        ([(8, 1e-3, 0.6), (16, 1e-3, 0.600001)], (16, 1e-3)),
    ],
)
def test_the_best_trial_and_its_ties(trials, best):
    for order in permutations(trials):
        found = best_trial([trial(*values) for values in order])
        assert (found.r, found.learning_rate) == best


def test_without_a_trial_there_is_nothing_to_choose():
    with pytest.raises(UserError, match="no trial to choose from"):
        best_trial([])
