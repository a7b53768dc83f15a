"""The choice among trials, whatever order they come in."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import permutations

import pytest

from lora_vs_api.errors import UserError
from lora_vs_api.search.experiments import chosen
from lora_vs_api.selection.trials import Trial, best_trial


def trial(r: int, rate: float, f1: float) -> Trial:
    return Trial("rank_trial", f"{r}", r, rate, 0, 32, f1, 1.0, 0.0, 0.2)


CASES = pytest.mark.parametrize(
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


@CASES
def test_the_best_trial_and_its_ties(trials, best):
    for order in permutations(trials):
        found = best_trial([trial(*values) for values in order])
        assert (found.r, found.learning_rate) == best


@CASES
def test_the_table_of_experiments_shows_the_trial_that_was_chosen(trials, best):
    """It reads the trials of other commits as plain JSON, and has to break ties as the run did."""
    for order in permutations(trials):
        rates = [asdict(replace(trial(*values), sweep="lr_trial")) for values in order]
        found = chosen(rates, "best", "best")
        assert (found["r"], found["learning_rate"]) == best


def test_without_a_trial_there_is_nothing_to_choose():
    with pytest.raises(UserError, match="no trial to choose from"):
        best_trial([])
