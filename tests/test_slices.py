"""Scores by a column's values: the right texts in each row, no interval of one, nothing claimed too much."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lora_vs_api.analysis import slices
from lora_vs_api.analysis.slices import EMPTY, MAX_VALUES, slice_of, slices_of, value_words
from lora_vs_api.files import write_jsonl
from lora_vs_api.report.sections.slices import slices_section
from lora_vs_api.stats.bootstrap import Draws
from lora_vs_api.stats.clusters import Labels
from tests import report_fixture

DRAWS = Draws(resamples=400, confidence=0.95, seed=0)


def runs(own, **others):
    """The fine-tune's runs, one for each row of ``own``, and a run of each other condition."""
    scored = [SimpleNamespace(field_f1=np.asarray(scores, float)) for scores in own]
    return [
        SimpleNamespace(name="lora", runs=scored),
        *(
            SimpleNamespace(name=name, runs=[SimpleNamespace(field_f1=np.asarray(scores, float))])
            for name, scores in others.items()
        ),
    ]


def test_each_row_has_its_texts_and_counts_their_groups():
    """Means of the texts of one value over all seeds; the interval is over the groups among them."""
    values = ["de", "fr", "de", "fr", "de", "it"]
    own = [[1, 0, 0.5, 1, 0.5, 0.2], [1, 1, 0.5, 0, 0.5, 0.4]]
    theirs = [0.5, 1, 0.5, 1, 0, 0.1]
    groups = Labels("customer", ("a", "a", "a", "b", "c", "c"))
    found = slice_of("language", values, runs(own, api=theirs), DRAWS, groups)
    de, fr, it = found.every_row
    assert [(row.value, row.texts, row.clusters) for row in (de, fr, it)] == [
        ("de", 3, 2), ("fr", 2, 2), ("it", 1, 1),
    ]  # fmt: skip
    assert de.lora == pytest.approx(4 / 6, abs=1e-6) and fr.lora == 0.5
    assert de.scores["api"] == pytest.approx(1 / 3, abs=1e-6)
    assert de.differences["api"].difference == pytest.approx(1 / 3, abs=1e-6)
    assert de.interval and de.interval.low <= de.lora <= de.interval.high
    assert "customer" in de.interval.method
    # of one customer nothing can be told about others
    assert it.interval is None and it.differences == {} and it.lora == pytest.approx(0.3)


def test_a_pupil_of_several_seeds_is_the_mean_of_all_and_paired_by_seed():
    """Not its first seed: each gains 0.2 over its twin, so nothing is left to vary."""
    made = runs([[0.3] * 4, [0.9] * 4], distilled=[0.1] * 4)
    made[1].runs.append(SimpleNamespace(field_f1=np.full(4, 0.7)))
    (row,) = slice_of("kind", ["a"] * 4, made, DRAWS, None).every_row
    assert row.scores["distilled"] == pytest.approx(0.4)
    assert row.differences["distilled"].difference == pytest.approx(0.2)


def test_rare_values_are_one_row_together():
    """A column of many values is no table of hundreds of rows of one text."""
    values = ["x", "x", *(f"v{n}" for n in range(MAX_VALUES + 4))]
    found = slice_of("who", values, runs([[1.0] * len(values)]), DRAWS, None)
    assert found.rows[0].value == "x" and len(found.rows) == MAX_VALUES
    assert found.others is not None and (found.others.texts, found.other_values) == (5, 5)
    assert sum(row.texts for row in found.every_row) == len(values)


def test_a_slice_is_by_a_field_or_by_a_column_that_was_kept(tmp_path, monkeypatch):
    """The gold value of a field; of a column what split kept beside the text, empty where nothing stood."""
    kept = [{"id": "1", "split": "test", "slices": {"lang": "de"}}, {"id": "2", "split": "test", "slices": {"lang": ""}}]  # fmt: skip
    write_jsonl(tmp_path / "groups.jsonl", kept)
    monkeypatch.setattr(slices, "GROUPS", tmp_path / "groups.jsonl")
    rows = [{"id": "1", "record": {"pets": True}}, {"id": "2", "record": {"pets": None}}]
    by = slices_of(("lang", "pets"), rows, runs([[1, 0]]), DRAWS, None)
    assert [[row.value for row in found.rows] for found in by] == [["de", EMPTY], ["true", EMPTY]]
    assert slices_of((), rows, runs([[1, 0]]), DRAWS, None) == ()
    assert [value_words(value) for value in (False, 0, "", "a")] == ["false", "0", EMPTY, "a"]


@pytest.mark.parametrize(
    ("own", "values", "said"),
    [
        ([[1.0] * 6] * 3, ["a|b", "c"] * 3, "would on average miss zero in"),
        ([[0.0] * 2], ["a", "b"], "Of one text no interval can be made."),
    ],
)
def test_the_report_shows_them_and_claims_nothing(own, values, said):
    """At the extremes too: all right, all wrong, one text a value; a value cannot break the table."""
    analysis = report_fixture.analysis()
    others = {row.name: [0.5] * len(values) for row in analysis.conditions if row.kind != "lora"}
    found = slice_of("kind", values, runs(own, **others), DRAWS, None)
    text = slices_section(
        SimpleNamespace(analysis=analysis.model_copy(update={"slices": (found,)}))
    )
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1
    assert ("95% intervals (" in text) == any(row.interval for row in found.every_row)
    assert text.count("95% interval") == 0 or any(row.interval for row in found.every_row)
    assert said in text and "the verdict does not read them" in text
    assert slices_section(SimpleNamespace(analysis=analysis)) == ""
