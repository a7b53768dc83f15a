"""The coverage table of the docs: what it counts, and a part of it counted again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import coverage
from benchmarks.coverage import (
    DOCS,
    MARKS,
    RIGHT_OR_WRONG,
    SIXTHS,
    SMOOTH,
    Case,
    as_row,
    cells_of,
    coverage_of_differences,
    coverage_of_scores,
    in_docs,
    level,
    tables,
)
from benchmarks.timing import Row

RESULT = Path("benchmarks/results/coverage-cpu.json")


@pytest.mark.parametrize("kind", [RIGHT_OR_WRONG, SIXTHS])
@pytest.mark.parametrize("mean", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("n_texts", [12, 64])
def test_intervals_of_scores_cover_near_the_ends_too(kind, mean, n_texts):
    """93 to 98 %, give or take what 500 experiments can show."""
    case = Case(kind, mean, n_texts)
    assert 0.91 <= coverage_of_scores(coverage.ours_of_scores, case, 500) <= 0.99


def test_what_was_replaced_does_not():
    """Rare zeros among 64 texts: nothing was drawn that had not been met."""
    case = Case(RIGHT_OR_WRONG, 0.98, 64)
    for method in (coverage.percentile, coverage.bca, coverage.student):
        assert coverage_of_scores(method, case, 300) < 0.8


@pytest.mark.parametrize("n_seeds", [2, 3])
@pytest.mark.parametrize("share", [0.0, pytest.param(0.25, marks=pytest.mark.slow), 0.5])
def test_intervals_cover_for_another_training(n_seeds, share):
    """Also with two seeds, whether seeds make none or half of the variance."""
    case = Case(SIXTHS, 0.5, 64, n_seeds, share)
    for of, method in (
        (coverage_of_scores, coverage.ours_of_scores),
        (coverage_of_differences, coverage.ours_of_differences),
    ):
        assert 0.91 <= of(method, case, 400) <= 0.99
    if share:
        assert coverage_of_scores(coverage.ours_over_texts, case, 300) < 0.93


@pytest.mark.parametrize("kind", [RIGHT_OR_WRONG, SIXTHS, SMOOTH])
@pytest.mark.parametrize("n_texts", [12, 64])
def test_intervals_of_differences_cover(kind, n_texts):
    case = Case(kind, 0.5, n_texts)
    assert 0.91 <= coverage_of_differences(coverage.ours_of_differences, case, 500) <= 0.99


@pytest.mark.parametrize("n_texts", [2, 6, 12, 30])
@pytest.mark.parametrize("kind", [RIGHT_OR_WRONG, SIXTHS])
def test_the_paired_test_keeps_its_level(n_texts, kind):
    """Also with two texts, where the bootstrap's p rejects what is true every third time."""
    case = Case(kind, 0.7, n_texts)
    assert level(coverage.sign_flip_p, case, 600) <= 0.05 + 0.02
    if n_texts == 2 and kind == SIXTHS:
        assert level(coverage.bootstrap_p, case, 300) > 0.15


@pytest.mark.parametrize("kind", [RIGHT_OR_WRONG, SIXTHS, SMOOTH])
@pytest.mark.parametrize(("n_seeds", "share"), [(1, 0.0), (3, 0.0), (3, 0.5)])
def test_cases_are_drawn_as_they_say(kind, n_seeds, share):
    """With their mean, and with the seeds' share of the variance of the mean."""
    case = Case(kind, 0.5, 20, n_seeds, share)
    scores, places = case.draw(np.random.default_rng(3), 8_000)
    assert scores.shape == (8_000, n_seeds, 20) and places.shape == (8_000, 20)
    means = scores.mean(axis=(1, 2))
    assert means.mean() == pytest.approx(case.truth(), abs=0.005)
    alone = Case(kind, 0.5, 20, n_seeds).draw(np.random.default_rng(3), 8_000)[0]
    if share:
        added = 1 - alone.mean(axis=(1, 2)).var() / means.var()
        assert added == pytest.approx(share, abs=0.06)
    if kind == SIXTHS:
        assert np.allclose(6 * scores, np.round(6 * scores))
    assert scores.min() >= 0 and scores.max() <= 1


def test_tables_are_written_between_their_marks():
    """What lies outside of 93 to 98 % stands out, and the rest of the page stays."""
    rows = []
    for number, (table, head) in enumerate(coverage.HEADS.items()):
        what = " · ".join((table, *(["x"] * len(head))))
        rows.append(as_row(what, {"n 12": 92.9 + number, "n 64": 95.0}))
    page = f"# Before\n{MARKS[0]}old\n{MARKS[1]}after\n"
    found = in_docs(page, rows)
    assert found.startswith(f"# Before\n{MARKS[0]}\n**Scores and rates, one run**, % of 2,000\n\n")
    assert found.endswith(f"{MARKS[1]}after\n") and "old" not in found
    assert "| x | x | **92.9** | 95.0 |" in found
    assert in_docs(found, rows) == found


def test_the_docs_show_the_table_that_was_counted():
    """Byte for byte, and what is used covers what the text beside it says."""
    rows = [
        Row(row["benchmark"], row["what"], row["unit"], row["ours"], notes=row["notes"])
        for row in json.loads(RESULT.read_text())["rows"]
    ]
    page = DOCS.read_text(encoding="utf-8")
    assert tables(rows) in page and in_docs(page, rows) == page
    used = [row for row in rows if row.what.endswith(("used", "Bayesian bootstrap", "pseudo-text"))]
    assert len(used) == 2 * (3 + 18)
    for row in used:
        for column, covered in cells_of(row).items():
            assert covered >= (91.5 if column.startswith("n 12") else 93.0), (row.what, column)
            if ", 0.5" in column and "n 12" not in column:
                assert covered <= 98.5, (row.what, column)


def test_jobs_fill_every_table():
    """No cell twice and none missing."""
    every = list(coverage.jobs())
    assert len({(job.table, job.row, job.column) for job in every}) == len(every)
    assert list(dict.fromkeys(job.table for job in every)) == list(coverage.HEADS)
    for job in every:
        assert len(job.row) == len(coverage.HEADS[job.table])
