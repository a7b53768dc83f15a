"""How often the intervals hold the truth and the tests reject what is true, in simulation.

Scores of a known mean are drawn, the project's own functions are called on them, and what they say
is counted. `python -m benchmarks coverage` writes the table in docs/statistics.md. It takes no
clock: the numbers are the same on every machine.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, ndtr, ndtri, stdtr, stdtrit

from benchmarks.timing import Row
from lora_vs_api.files import write_text
from lora_vs_api.stats.bayesian import text_interval
from lora_vs_api.stats.bootstrap import Draws, bca_interval, bootstrap_mean, resampled_means
from lora_vs_api.stats.paired import PSEUDO_REACH, difference_interval, sign_flip
from lora_vs_api.stats.power import Components, minimum_detectable_effect
from lora_vs_api.stats.variance import random_effects_interval, random_effects_score

Floats = NDArray[np.float64]

EXPERIMENTS = 2_000
RESAMPLES = 1_000
TEXTS = (12, 64, 100, 300)
MEANS = (0.02, 0.5, 0.98)
SEEDS = (2, 3, 5)
SHARES = (0.0, 0.25, 0.5)

# the fine-tune's mean beside a baseline's
BESIDE = {0.02: 0.1, 0.5: 0.6, 0.98: 0.9}

# how alike two seeds find the difficulty of a text: correlation of what lies behind the scores
AGREEMENT = 0.5

# how far the scores of texts spread about their mean: the sum of a beta distribution's parameters
SPREAD = {"sixths": 1.5, "smooth": 30.0}
RIGHT_OR_WRONG, SIXTHS, SMOOTH = "right or wrong", "sixths", "smooth"

# correlation of what lies behind the scores of one group's texts, for one of 0.3 of the scores
BEHIND = {"right or wrong": 0.46, "sixths": 0.33}
TEXTS_OF_GROUPS = 64
GROUPS = (10, 28, 50)

WANTED = (93.0, 98.0)
DOCS = Path("docs/statistics.md")
MARKS = ("<!-- written by `python -m benchmarks coverage` -->\n", "<!-- to here -->\n")


# --- scores with a known mean ----------------------------------------------------------------


def scores_at(kind: str, mean: Floats, place: Floats) -> Floats:
    """Scores of a distribution with about this mean, at these places from 0 to 1 in it.

    *Right or wrong* is 1 with the mean as its chance. *Sixths* are a record of six fields: lumpy,
    with whole records lost and whole records right. *Smooth* scores stand close about their mean.
    """
    if kind == RIGHT_OR_WRONG:
        return (place > 1 - mean).astype(np.float64)
    a, b = SPREAD[kind] * mean, SPREAD[kind] * (1 - mean)
    if kind == SMOOTH:
        smooth: Floats = betaincinv(a, b, place)
        return smooth
    found = np.zeros(np.broadcast(mean, place).shape)
    for step in range(6):
        found += place > betainc(a, b, (step + 0.5) / 6)
    return found / 6


def true_mean(kind: str, mean: Floats) -> Floats:
    """Mean of the distribution at each ``mean``; sixths are rounded, so it is not quite that."""
    if kind != SIXTHS:
        return mean
    a, b = SPREAD[kind] * mean, SPREAD[kind] * (1 - mean)
    above = [1 - betainc(a, b, (step + 0.5) / 6) for step in range(6)]
    found: Floats = np.sum(above, axis=0) / 6
    return found


@cache
def variance_within(kind: str, mean: float) -> tuple[float, float]:
    """Variance of one score, and covariance of two seeds on one text, without seed effects."""
    first, second = _places(np.random.default_rng(1), (2, 200_000), AGREEMENT)
    ours = scores_at(kind, np.array(mean), first)
    return float(ours.var()), float(np.cov(ours, scores_at(kind, np.array(mean), second))[0, 1])


def _places(generator: np.random.Generator, shape: tuple[int, ...], agreement: float) -> Floats:
    """Places of texts in a distribution; the second to last axis is seeds, alike so far."""
    shared = generator.normal(size=(*shape[:-2], 1, shape[-1]))
    own = generator.normal(size=shape)
    found: Floats = ndtr(math.sqrt(agreement) * shared + math.sqrt(1 - agreement) * own)
    return found


@dataclass(frozen=True)
class Case:
    """What is simulated. ``share``: that of the seeds in the variance of the mean over both."""

    kind: str
    mean: float
    n_texts: int
    n_seeds: int = 1
    share: float = 0.0

    def seed_shapes(self) -> tuple[float, float] | None:
        """Parameters of the beta distribution that the seeds' means come from."""
        if self.share == 0:
            return None
        variance, alike = variance_within(self.kind, self.mean)
        within = (alike + (variance - alike) / self.n_seeds) / self.n_texts
        of_seeds = self.n_seeds * within * self.share / (1 - self.share)
        total = max(self.mean * (1 - self.mean) / of_seeds - 1, 0.05)
        return total * self.mean, total * (1 - self.mean)

    def truth(self) -> float:
        shapes = self.seed_shapes()
        means = np.array([self.mean])
        if shapes:
            means = betaincinv(*shapes, (np.arange(20_000) + 0.5) / 20_000)
        return float(true_mean(self.kind, np.clip(means, 1e-9, 1 - 1e-9)).mean())

    def draw(self, generator: np.random.Generator, experiments: int) -> tuple[Floats, Floats]:
        """Scores (experiments, n_seeds, n_texts), and a baseline's places (experiments, n_texts)."""
        shapes = self.seed_shapes()
        size = (experiments, self.n_seeds, 1)
        means = generator.beta(*shapes, size=size) if shapes else np.full(size, self.mean)
        places = _places(generator, (experiments, self.n_seeds + 1, self.n_texts), AGREEMENT)
        scores = scores_at(self.kind, np.clip(means, 1e-9, 1 - 1e-9), places[:, :-1])
        return scores, places[:, -1]


@dataclass(frozen=True)
class GroupedCase:
    """One run over texts of groups that are alike: an intraclass correlation of about 0.3.

    About ``TEXTS_OF_GROUPS`` texts, a third of the groups with one and a few with several times as
    many as the others, as those of the built-in task's test slice.
    """

    kind: str
    mean: float
    n_groups: int

    def member(self) -> NDArray[np.intp]:
        """The group of each text."""
        places = (np.arange(self.n_groups) + 0.5) / self.n_groups
        sizes = np.maximum(1, np.round(-np.log(places) * TEXTS_OF_GROUPS / self.n_groups))
        return np.repeat(np.arange(self.n_groups), sizes.astype(int))

    def draw(self, generator: np.random.Generator, mean: float) -> Floats:
        """Scores of the texts, (n_texts,); two draws are two conditions that find other groups hard."""
        member, shared = self.member(), BEHIND[self.kind]
        group = generator.normal(size=self.n_groups)[member]
        own = generator.normal(size=member.size)
        place: Floats = ndtr(math.sqrt(shared) * group + math.sqrt(1 - shared) * own)
        return scores_at(self.kind, np.array(mean), place)


# --- methods that are simulated --------------------------------------------------------------

Ends = tuple[float, float]
Method = Callable[[Floats, int], Ends]


def ours_of_scores(table: Floats, seed: int) -> Ends:
    found = random_effects_score(table, Draws(RESAMPLES, seed, 0.95))
    return found.low, found.high


def ours_over_texts(table: Floats, seed: int) -> Ends:
    found = text_interval(table, Draws(RESAMPLES, seed, 0.95))
    return found.low, found.high


def percentile(table: Floats, seed: int) -> Ends:
    found = bootstrap_mean(table.mean(axis=0), RESAMPLES // 2, seed)
    return found.low, found.high


def bca(table: Floats, seed: int) -> Ends:
    found = bca_interval(table.mean(axis=0), RESAMPLES // 2, seed)
    return found.low, found.high


def student(table: Floats, seed: int) -> Ends:
    values = table.mean(axis=0)
    half = stdtrit(values.size - 1, 0.975) * values.std(ddof=1) / math.sqrt(values.size)
    return float(values.mean() - half), float(values.mean() + half)


def satterthwaite(table: Floats, seed: int) -> Ends:
    """One t for the sum of the variances of seeds and texts, with the degrees of freedom that
    Satterthwaite's approximation gives it."""
    n_seeds, n_texts = table.shape
    by_seed, by_text = table.mean(axis=1), table.mean(axis=0)
    residual = table - by_seed[:, None] - by_text + table.mean()
    freedom = (n_seeds - 1) * (n_texts - 1)
    of_both = float(np.sum(residual**2)) / freedom
    of_seeds = max(n_texts * float(by_seed.var(ddof=1)), of_both)
    of_texts = n_seeds * float(by_text.var(ddof=1))
    square = of_seeds + of_texts - of_both
    parts = of_seeds**2 / (n_seeds - 1) + of_texts**2 / (n_texts - 1) + of_both**2 / freedom
    mean = float(table.mean())
    if parts == 0:
        return mean, mean
    half = stdtrit(square**2 / parts, 0.975) * math.sqrt(max(square, 0.0) / table.size)
    return mean - half, mean + half


def ours_of_differences(table: Floats, seed: int) -> Ends:
    found = random_effects_interval(table)
    return found.low, found.high


def agresti_min(table: Floats, seed: int) -> Ends:
    """Of rights and wrongs: half a text added to each cell of the two by two table."""
    values = np.append(table[0], [1.0, -1.0, 0.0, 0.0])
    weights = np.append(np.ones(table.shape[1]), [0.5] * 4)
    total = weights.sum()
    mean = float(weights @ values / total)
    half = 1.96 * math.sqrt(float(weights @ (values - mean) ** 2) / total / total)
    return max(-1.0, mean - half), min(1.0, mean + half)


def tango(table: Floats, seed: int) -> Ends:
    """Of rights and wrongs: all differences that the score test does not reject (Tango (1998))."""
    better, worse = int(np.sum(table[0] > 0.5)), int(np.sum(table[0] < -0.5))
    n = table.shape[1]
    grid = np.linspace(-1, 1, 4001)
    middle = -better - worse + (2 * n - better + worse) * grid
    last = -worse * grid * (1 - grid)
    chance = (np.sqrt(np.maximum(middle**2 - 8 * n * last, 0)) - middle) / (4 * n)
    variance = n * (2 * chance + grid * (1 - grid))
    apart = better - worse - n * grid
    kept = grid[apart**2 <= 1.96**2 * np.maximum(variance, 1e-12)]
    return float(kept.min()), float(kept.max())


def bootstrap_p(differences: Floats, seed: int) -> float:
    """Resampled means moved to the null: the share of them at least as far off as what was found."""
    means, found = resampled_means(differences, RESAMPLES, seed), float(differences.mean())
    as_far = int(np.sum(np.abs(means - found) >= abs(found) - 1e-9))
    return (as_far + 1) / (RESAMPLES + 1)


def student_p(differences: Floats, seed: int) -> float:
    error = float(differences.std(ddof=1)) / math.sqrt(differences.size)
    if error == 0:
        return float(differences[0] == 0)
    return 2 * float(stdtr(differences.size - 1, -abs(float(differences.mean())) / error))


def sign_flip_p(differences: Floats, seed: int) -> float:
    return sign_flip(differences, RESAMPLES, seed)


# --- simulated rates -------------------------------------------------------------------------


def coverage_of_scores(method: Method, case: Case, experiments: int, seed: int = 0) -> float:
    """Share of experiments whose interval holds the true mean of the scores; 0..1."""
    scores, _ = case.draw(np.random.default_rng(seed), experiments)
    return _holding(method, scores, case.truth())


def coverage_of_differences(method: Method, case: Case, experiments: int, seed: int = 0) -> float:
    """The same for the scores minus a baseline's one run, whose mean is BESIDE the case's."""
    scores, places = case.draw(np.random.default_rng(seed), experiments)
    other = np.array(BESIDE[case.mean])
    baseline = scores_at(case.kind, other, places)
    truth = case.truth() - float(true_mean(case.kind, other))
    return _holding(method, scores - baseline[:, None], truth)


def _holding(method: Method, tables: Floats, truth: float) -> float:
    held = 0
    for number, table in enumerate(tables):
        low, high = method(table, number)
        held += low - 1e-9 <= truth <= high + 1e-9
    return held / len(tables)


def coverage_of_groups(
    interval: Callable[[Floats, int, NDArray[np.intp] | None], Ends],
    clustered: bool,
    differences: bool,
    case: GroupedCase,
    experiments: int,
    seed: int = 0,
) -> float:
    """Share of experiments whose interval holds the truth, texts being counted by groups or not."""
    generator, other, held = np.random.default_rng(seed), BESIDE[case.mean], 0
    groups = case.member() if clustered else None
    truth = float(true_mean(case.kind, np.array(case.mean)))
    if differences:
        truth -= float(true_mean(case.kind, np.array(other)))
    for number in range(experiments):
        scores = case.draw(generator, case.mean)
        if differences:
            scores = scores - case.draw(generator, other)
        low, high = interval(scores, number, groups)
        held += low - 1e-9 <= truth <= high + 1e-9
    return held / experiments


def group_scores_interval(scores: Floats, seed: int, groups: NDArray[np.intp] | None) -> Ends:
    found = text_interval(scores, Draws(RESAMPLES, seed, 0.95), groups=groups)
    return found.low, found.high


def group_differences_interval(scores: Floats, seed: int, groups: NDArray[np.intp] | None) -> Ends:
    found = difference_interval(scores, 0.95, groups=groups)
    return found.low, found.high


def level(
    test: Callable[[Floats, int], float], case: Case, experiments: int, seed: int = 0
) -> float:
    """Share of experiments in which two conditions that are equally good get a p up to 0.05."""
    scores, places = case.draw(np.random.default_rng(seed), experiments)
    differences = scores[:, 0] - scores_at(case.kind, np.array(case.mean), places)
    return float(np.mean([test(row, number) <= 0.05 for number, row in enumerate(differences)]))


def planned_power(
    found: Components, n_seeds: int, n_texts: int, experiments: int, seed: int = 0
) -> tuple[float, float]:
    """An effect that the plan sees four times in five, and how often it is seen; normal scores."""
    effect = minimum_detectable_effect(found, n_seeds, n_texts)
    if effect is None or (n_seeds > 1 and found.seeds is None):
        raise ValueError(f"expected an effect that is seen with {n_seeds} seeds")
    generator = np.random.default_rng(seed)
    size = (experiments, n_seeds, n_texts)
    tables = effect + (
        math.sqrt(found.texts) * generator.normal(size=(experiments, 1, n_texts))
        + math.sqrt(found.seeds or 0.0) * generator.normal(size=(experiments, n_seeds, 1))
        + math.sqrt(found.interaction) * generator.normal(size=size)
    )
    seen = [random_effects_interval(table, bounds=(-9.0, 9.0)).low > 0 for table in tables]
    return effect, float(np.mean(seen))


# --- the tables ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """A number of a table: ``of`` makes it, ``row`` and ``column`` say where it goes, in words."""

    table: str
    row: tuple[str, ...]
    column: str
    of: Callable[..., float]
    arguments: tuple[object, ...]


# table → its first columns
HEADS = {
    "Scores and rates, one run": ("scores", "interval"),
    "Scores and rates, several seeds": ("scores", "seeds", "share", "interval"),
    "Differences, one run": ("scores", "interval"),
    "Differences, several seeds": ("scores", "seeds", "share", "interval"),
    "Texts in groups, one run": ("scores", "of", "interval"),
    "Paired tests where there is no difference": ("scores", "test"),
    "Power of a planned effect": ("seeds", "share"),
}
TEST_TEXTS = (2, 6, 12, 30, 100)

# text, seed and interaction variances of a plan like the committed run's
PLANNED = (0.02, 0.02)


def jobs() -> Iterator[Job]:
    yield from _one_run(
        "Scores and rates, one run",
        coverage_of_scores,
        {"Bayesian bootstrap": ours_of_scores, "percentile": percentile, "BCa": bca},
        {},
    )
    yield from _several_seeds(
        "Scores and rates, several seeds",
        coverage_of_scores,
        {"used": ours_of_scores, "Satterthwaite": satterthwaite},
    )
    yield from _one_run(
        "Differences, one run",
        coverage_of_differences,
        {"t with a pseudo-text": ours_of_differences, "Student's t": student},
        {"Agresti and Min": agresti_min, "Tango": tango},
    )
    yield from _several_seeds(
        "Differences, several seeds",
        coverage_of_differences,
        {"used": ours_of_differences, "Satterthwaite": satterthwaite},
    )
    yield from _grouped("Texts in groups, one run")
    tests = {"sign flips": sign_flip_p, "bootstrap": bootstrap_p, "Student's t": student_p}
    for kind in (RIGHT_OR_WRONG, SIXTHS, SMOOTH):
        for name, test in tests.items():
            for n_texts in TEST_TEXTS:
                yield Job(
                    "Paired tests where there is no difference",
                    (kind, name),
                    f"n {n_texts}",
                    level,
                    (test, Case(kind, 0.7, n_texts)),
                )
    for n_seeds in (1, *SEEDS, 10):
        for share in SHARES if n_seeds > 1 else (0.0,):
            for n_texts in (30, 64, 300):
                yield Job(
                    "Power of a planned effect",
                    (str(n_seeds), f"{share:g}"),
                    f"n {n_texts}",
                    power_at,
                    (n_seeds, share, n_texts),
                )


def power_at(n_seeds: int, share: float, n_texts: int, experiments: int) -> float:
    """Power of the planned effect where seeds have this share in the variance of the mean."""
    texts, interaction = PLANNED
    within = (texts + interaction / n_seeds) / n_texts
    seeds = n_seeds * within * share / (1 - share) if n_seeds > 1 else None
    return planned_power(
        Components(seeds, texts, interaction, normal_reach(n_texts)), n_seeds, n_texts, experiments
    )[1]


def normal_reach(n_texts: int) -> float:
    """How far the pseudo-text of so many normal texts lies from their mean, in standard deviations:
    close to the mean of that for 10 to 300 texts."""
    return PSEUDO_REACH * float(ndtri(1 - 0.3 / n_texts))


def _one_run(
    table: str,
    of: Callable[..., float],
    methods: Mapping[str, Method],
    for_rates: Mapping[str, Method],
) -> Iterator[Job]:
    for kind in (RIGHT_OR_WRONG, SIXTHS, SMOOTH):
        for name, method in (methods | for_rates if kind == RIGHT_OR_WRONG else methods).items():
            for column, n_texts, mean in _columns():
                yield Job(table, (kind, name), column, of, (method, Case(kind, mean, n_texts)))


def _several_seeds(
    table: str, of: Callable[..., float], methods: Mapping[str, Method]
) -> Iterator[Job]:
    """Of the methods but the first, for three seeds alone."""
    used = dict(list(methods.items())[:1])
    for kind in (RIGHT_OR_WRONG, SIXTHS):
        for n_seeds in SEEDS:
            for share in SHARES:
                for name, method in (methods if n_seeds == 3 else used).items():
                    for column, n_texts, mean in _columns():
                        case = Case(kind, mean, n_texts, n_seeds, share)
                        row = (kind, str(n_seeds), f"{share:g}", name)
                        yield Job(table, row, column, of, (method, case))


def _grouped(table: str) -> Iterator[Job]:
    for kind in BEHIND:
        for what, method in (
            ("scores", group_scores_interval),
            ("differences", group_differences_interval),
        ):
            for name, clustered in (("clustered", True), ("texts as independent", False)):
                for number in GROUPS:
                    for mean in MEANS:
                        case = GroupedCase(kind, mean, number)
                        yield Job(
                            table,
                            (kind, what, name),
                            f"{number} groups, {mean:g}",
                            coverage_of_groups,
                            (method, clustered, what == "differences", case),
                        )


def _columns() -> Iterator[tuple[str, int, float]]:
    for n_texts in TEXTS:
        for mean in MEANS:
            yield f"n {n_texts}, {mean:g}", n_texts, mean


def done(job: Job) -> float:
    return round(100 * job.of(*job.arguments, EXPERIMENTS), 1)


def run(given: argparse.Namespace) -> list[Row]:
    every = list(jobs())
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        numbers = list(pool.map(done, every, chunksize=4))
    found: dict[str, dict[tuple[str, ...], dict[str, float]]] = {}
    for job, number in zip(every, numbers):
        found.setdefault(job.table, {}).setdefault(job.row, {})[job.column] = number
    rows = [
        as_row(" · ".join((table, *row)), cells)
        for table, lines in found.items()
        for row, cells in lines.items()
    ]
    if given.out == "benchmarks/results":
        write_text(DOCS, in_docs(DOCS.read_text(encoding="utf-8"), rows))
    return rows


def as_row(what: str, cells: Mapping[str, float]) -> Row:
    """``ours`` is the least of the cells; all of them stand in the notes."""
    notes = {"columns": "; ".join(cells), "%": " ".join(f"{cell:.1f}" for cell in cells.values())}
    return Row("coverage", what, "%", min(cells.values()), notes=notes)


def cells_of(row: Row) -> dict[str, float]:
    return dict(zip(row.notes["columns"].split("; "), map(float, row.notes["%"].split())))


def in_docs(page: str, rows: Sequence[Row]) -> str:
    """The page with its tables written anew, between the two marks."""
    before, rest = page.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    return before + MARKS[0] + "\n" + tables(rows) + "\n" + MARKS[1] + after


def tables(rows: Sequence[Row]) -> str:
    """Every table as Markdown; of an interval, what lies outside of 93 to 98 % is in bold."""
    parts = []
    for table, head in HEADS.items():
        lines = [row for row in rows if row.what.startswith(f"{table} · ")]
        columns = list(cells_of(lines[0]))
        bold = "interval" in head
        parts.append(f"**{table}**, % of {EXPERIMENTS:,}")
        parts.append(
            "\n".join(
                f"| {' | '.join(cells)} |"
                for cells in (
                    [*head, *columns],
                    ["---"] * len(head) + ["---:"] * len(columns),
                    *(
                        [
                            *row.what.split(" · ")[1:],
                            *(_cell(cells_of(row)[c], bold) for c in columns),
                        ]
                        for row in lines
                    ),
                )
            )
        )
    return "\n\n".join(parts) + "\n"


def _cell(number: float, bold: bool) -> str:
    outside = bold and not WANTED[0] <= number <= WANTED[1]
    return f"**{number:.1f}**" if outside else f"{number:.1f}"
