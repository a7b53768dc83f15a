"""All intervals and tests of an analysis of ten conditions, against scipy's bootstrap in a loop."""

from __future__ import annotations

import argparse
import subprocess
import sys

import numpy as np

from benchmarks.timing import Row, compared, seconds, side_by_side
from lora_vs_api.stats.bayesian import text_interval
from lora_vs_api.stats.bootstrap import Draws, bca_interval, bootstrap_mean
from lora_vs_api.stats.paired import paired_difference

CONDITIONS, EMAILS, RESAMPLES = 10, 300, 10_000
DRAWS = Draws(RESAMPLES, 0, 0.95)


def run(given: argparse.Namespace) -> list[Row]:
    import scipy.stats

    scores = np.random.default_rng(0).beta(5, 2, size=(CONDITIONS, EMAILS))

    def ours() -> None:
        for row in scores:
            bootstrap_mean(row, RESAMPLES)

    def theirs() -> None:
        for row in scores:
            scipy.stats.bootstrap(
                (row,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=0
            )

    def everything() -> None:
        for row in scores:
            text_interval(row, DRAWS)
            bca_interval(row, RESAMPLES)
        for row in scores[1:]:
            paired_difference(scores[0], row, DRAWS)

    times = side_by_side(ours, theirs, given.rounds, "percentile intervals")
    all_of_it = min(seconds(everything) for _ in range(given.rounds))
    script = (
        "import sys, lora_vs_api.stats.power, lora_vs_api.stats.economics; "
        "print('torch' in sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.strip()
    what = f"{CONDITIONS} conditions × {RESAMPLES:,} resamples × {EMAILS} emails"
    return [
        compared(
            "statistics",
            f"percentile intervals, {what}",
            "intervals/s",
            CONDITIONS,
            times,
            "scipy.stats.bootstrap, vectorised mean",
        ),
        Row(
            "statistics",
            f"Bayesian and BCa intervals and {CONDITIONS - 1} paired tests, {what}",
            "s",
            all_of_it,
            notes={"torch imported": loaded},
        ),
    ]
