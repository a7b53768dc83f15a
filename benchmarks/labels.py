"""How often the interval of a break-even in labels holds the true number, in simulation.

Scores of trainings on 40, 160 and 640 texts and of a rival on the same texts are drawn about a curve
that is known, and the project's own functions are called on them. `python -m benchmarks labels`
writes the table in docs/learning-curve.md. It takes no clock.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from benchmarks.coverage import RIGHT_OR_WRONG, SIXTHS, scores_at, true_mean
from benchmarks.timing import Row
from lora_vs_api.files import write_text
from lora_vs_api.stats.clusters import Groups
from lora_vs_api.stats.label_curve import Reached, difference_band, monotone, reached

Floats = NDArray[np.float64]

EXPERIMENTS = 500
LABELS = (40, 160, 640)
MEANS = (0.45, 0.6, 0.8)
# a rival's mean: below the curve, between two of its points, at one, beyond it
RIVALS = {"below": 0.3, "between": 0.52, "at a point": 0.6, "near the end": 0.76, "beyond": 0.9}
TEXTS = (12, 56, 200)
# trainings at each number of labels
SEEDS = ((1, 1, 3), (2, 2, 3), (3, 3, 3))
# standard deviation of a training's mean
SPREADS = (0.0, 0.03)
# how alike trainings and the rival find the difficulty of a text
AGREEMENT = 0.5
WANTED = 93.0
DOCS = Path("docs/learning-curve.md")
MARKS = ("<!-- written by `python -m benchmarks labels` -->\n", "<!-- to here -->\n")

Method = Callable[[Sequence[Floats], Floats, int, Groups], Reached]


@dataclass(frozen=True)
class Case:
    """What is simulated; of ``group`` texts each that are answered alike, 1 for independent ones."""

    kind: str
    rival: float
    n_texts: int
    seeds: tuple[int, ...]
    spread: float
    group: int = 1

    def truth(self) -> float:
        """The true number of labels; infinite beyond the curve, the smallest below it."""
        level = float(true_mean(self.kind, np.array(self.rival)))
        curve = [mean_over_trainings(self.kind, mean, self.spread) for mean in MEANS]
        if level <= curve[0]:
            return float(LABELS[0])
        for (before, after), (low, high) in zip(pairwise(LABELS), pairwise(curve)):
            if level <= high:
                share = (level - low) / (high - low)
                return math.exp(math.log(before) + share * math.log(after / before))
        return math.inf

    def draw(self, generator: np.random.Generator) -> tuple[list[Floats], Floats]:
        """Scores of each point (n_seeds, n_texts) and of the rival (n_texts,)."""
        number = math.ceil(self.n_texts / self.group)

        def normal(rows: int) -> Floats:
            return np.repeat(generator.normal(size=(rows, number)), self.group, axis=1)[
                :, : self.n_texts
            ]

        shared = normal(1)

        def places(rows: int) -> Floats:
            # texts of a group differ a little
            own = 0.9 * normal(rows) + math.sqrt(0.19) * generator.normal(size=(rows, self.n_texts))
            found: Floats = ndtr(math.sqrt(AGREEMENT) * shared + math.sqrt(1 - AGREEMENT) * own)
            return found

        tables = []
        for mean, seeds in zip(MEANS, self.seeds):
            means = np.clip(generator.normal(mean, self.spread, size=(seeds, 1)), 1e-9, 1 - 1e-9)
            tables.append(scores_at(self.kind, means, places(seeds)))
        return tables, scores_at(self.kind, np.array(self.rival), places(1))[0]

    def groups(self) -> Groups:
        return None if self.group == 1 else np.arange(self.n_texts) // self.group


@cache
def mean_over_trainings(kind: str, mean: float, spread: float) -> float:
    """True mean score over all trainings, whose own means are normal about ``mean``."""
    drawn = mean + spread * ndtri((np.arange(4_000) + 0.5) / 4_000)
    return float(true_mean(kind, np.clip(drawn, 1e-9, 1 - 1e-9)).mean())


def ours(tables: Sequence[Floats], rival: Floats, seed: int, groups: Groups) -> Reached:
    band = difference_band(tables, rival, 0.95, groups=groups)
    return reached(LABELS, band, [len(table) for table in tables])


def bootstrapped(tables: Sequence[Floats], rival: Floats, seed: int, groups: Groups) -> Reached:
    """Percentiles over resampled texts (or groups) and trainings of where the monotone fit reaches the
    rival: what is at hand for such curves."""
    generator, found = np.random.default_rng(seed), []
    weights = [len(table) for table in tables]
    member = np.arange(rival.size) if groups is None else np.asarray(groups)
    number = int(member.max()) + 1
    for _ in range(200):
        taken = generator.integers(number, size=number)
        texts = np.concatenate([np.flatnonzero(member == one) for one in taken])
        means = [
            float(table[generator.integers(len(table), size=len(table))][:, texts].mean())
            for table in tables
        ]
        fit = monotone([mean - float(rival[texts].mean()) for mean in means], weights)
        found.append(_crossing(fit))
    low, high = np.quantile(found, [0.025, 0.975], method="inverted_cdf")
    return Reached(None, *(None if math.isinf(end) else float(end) for end in (low, high)))


def _crossing(fit: Floats) -> float:
    if fit[0] >= 0:
        return float(LABELS[0])
    for place in range(1, len(fit)):
        if fit[place] >= 0:
            share = -fit[place - 1] / (fit[place] - fit[place - 1])
            steps = math.log(LABELS[place] / LABELS[place - 1])
            return math.exp(math.log(LABELS[place - 1]) + share * steps)
    return math.inf


def coverage(method: Method, case: Case, experiments: int, seed: int = 0) -> float:
    """Share of experiments whose interval holds the true number of labels; 0..1."""
    generator, truth, held = np.random.default_rng(seed), case.truth(), 0
    for number in range(experiments):
        tables, rival = case.draw(generator)
        found = method(tables, rival, number, case.groups())
        low, high = (math.inf if end is None else end for end in (found.low, found.high))
        held += low <= truth * (1 + 1e-9) and truth <= high * (1 + 1e-9)
    return held / experiments


# --- the table -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    row: tuple[str, ...]
    column: str
    method: Method
    case: Case


def jobs() -> Iterator[Job]:
    for kind in (RIGHT_OR_WRONG, SIXTHS):
        for seeds in SEEDS:
            for spread in SPREADS:
                for n_texts in TEXTS:
                    yield from _row(Case(kind, 0.0, n_texts, seeds, spread), str(n_texts), ours)
    # it is slow, and one row of it says enough
    yield from _row(Case(RIGHT_OR_WRONG, 0.0, 12, (2, 2, 3), 0.03), "12", bootstrapped)
    yield from _row(Case(SIXTHS, 0.0, 56, (2, 2, 3), 0.03, group=2), "28 groups of 2", ours)


def _row(case: Case, texts: str, method: Method) -> Iterator[Job]:
    """A cell for each place at which the rival lies."""
    name = "used" if method is ours else "bootstrap"
    row = (case.kind, "+".join(map(str, case.seeds)), f"{case.spread:g}", texts, name)
    for place, rival in RIVALS.items():
        yield Job(row, place, method, replace(case, rival=rival))


def done(job: Job) -> float:
    return round(100 * coverage(job.method, job.case, EXPERIMENTS), 1)


def run(given: argparse.Namespace) -> list[Row]:
    every = list(jobs())
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        numbers = list(pool.map(done, every, chunksize=4))
    found: dict[tuple[str, ...], list[float]] = {}
    for job, number in zip(every, numbers):
        found.setdefault(job.row, []).append(number)
    rows = [
        Row(
            "labels",
            " · ".join(row),
            "%",
            min(cells),
            notes={"columns": "; ".join(RIVALS), "%": " ".join(f"{cell:.1f}" for cell in cells)},
        )
        for row, cells in found.items()
    ]
    if given.out == "benchmarks/results":
        write_text(DOCS, in_docs(DOCS.read_text(encoding="utf-8"), rows))
    return rows


def in_docs(page: str, rows: Sequence[Row]) -> str:
    """The page with its table written anew, between the two marks."""
    before, rest = page.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    return before + MARKS[0] + "\n" + table(rows) + "\n" + MARKS[1] + after


def table(rows: Sequence[Row]) -> str:
    """Markdown; what lies below 93 % is in bold."""
    head = ("scores", "trainings", "their spread", "texts", "interval", *RIVALS)
    lines = [head, ("---",) * 5 + ("---:",) * len(RIVALS)]
    for row in rows:
        cells = (float(cell) for cell in row.notes["%"].split())
        lines.append(
            (
                *row.what.split(" · "),
                *(f"**{cell:.1f}**" if cell < WANTED else f"{cell:.1f}" for cell in cells),
            )
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
