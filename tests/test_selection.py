"""The choice among trials, whatever order they come in."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import permutations

import pytest

from lora_vs_api.errors import UserError
from lora_vs_api.files import write_json, write_jsonl
from lora_vs_api.record.fields import Field
from lora_vs_api.search.experiments import chosen
from lora_vs_api.selection.score import score_trial
from lora_vs_api.selection.trials import Trial, best_trial


def trial(r: int, rate: float, f1: float) -> Trial:
    return Trial("rank_trial", f"{r}", r, rate, 0, 32, f1, 1.0, 0.0, 0.2, 40)


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


FIELDS = (
    Field("kind", "enum", "exact", values=("a", "b")),
    Field("note", "string", "exact", optional=True),
)
GOLD = [{"kind": "a", "note": None}, {"kind": "b", "note": "x"}]
ROWS = [{"id": str(n), "text": "", "record": gold} for n, gold in enumerate(GOLD)]


def answered(folder, lines: list[tuple[str, str]]) -> None:
    (folder / "predictions/rank_trial/8").mkdir(parents=True)
    (folder / "metrics/rank_trial").mkdir(parents=True)
    write_jsonl(
        folder / "predictions/rank_trial/8/predictions.jsonl",
        [{"id": name, "output": output} for name, output in lines],
    )
    write_json(
        folder / "metrics/rank_trial/8.json",
        {
            "r": 8,
            "learning_rate": 1e-3,
            "seed": 0,
            "last_loss": 0.2,
            "steps": 40,
            "stopped_at_step": None,
        },
    )


def test_a_trial_is_scored_as_the_test_slice_is(tmp_path, monkeypatch):
    """Each answer against its own text; a note that is rightly left out counts for nothing."""
    monkeypatch.chdir(tmp_path)
    outputs = [json.dumps({"kind": "b", "note": None}), json.dumps(GOLD[1])]
    answered(tmp_path, [("0", outputs[0]), ("1", outputs[1])])
    found = score_trial("rank_trial", "8", ROWS, FIELDS)
    assert (found.field_f1, found.exact_match, found.valid_json, found.texts) == (0.5, 0.5, 1.0, 2)


@pytest.mark.parametrize("ids", [["1", "0"], ["0"], ["0", "2"], ["0", "1", "1"], ["0", "1", "2"]])
def test_a_trials_answers_belong_to_texts_by_id(ids, tmp_path, monkeypatch):
    """As many answers in another order are answers to other texts; two to one text are none."""
    monkeypatch.chdir(tmp_path)
    answered(tmp_path, [(identity, "{}") for identity in ids])
    with pytest.raises(UserError, match="not one line for each of the 2 validation texts"):
        score_trial("rank_trial", "8", ROWS, FIELDS)


def test_without_a_trial_there_is_nothing_to_choose():
    with pytest.raises(UserError, match="no trial to choose from"):
        best_trial([])
