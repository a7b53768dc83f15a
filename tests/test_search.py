"""Searching settings: the space, the points, experiments as a table and a figure; and for real,
Hydra's Optuna sweeper and DVC's queue over a tiny model in a temporary clone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lora_vs_api.config.load import load_params
from lora_vs_api.errors import UserError
from lora_vs_api.figures.drawing import save, theme
from lora_vs_api.orchestrate.claims import FOLDER, Claim
from lora_vs_api.search import study
from lora_vs_api.search import trial as module
from lora_vs_api.search.experiments import (
    FILES,
    Experiment,
    experiment_of,
    read_experiments,
    table,
)
from lora_vs_api.search.figure import lay_out, parallel_coordinates
from lora_vs_api.search.launcher import SideBySide
from lora_vs_api.search.space import clean_point, overrides_of, rate_text, read_space
from tests.clones import TINY, Clone, new_clone, ran
from tests.commands import exit_code
from tests.imports import ROOT
from tests.searching import BEST, HEADER, POINTS, searchable


def space_file(folder: Path, params: str, sampler: str = "random") -> None:
    lines = "".join(f"      {line}\n" for line in params.split("\n"))
    lines += "    sampler: {seed: 2}\n" if sampler == "random" else ""
    (folder / "search").mkdir(exist_ok=True)
    (folder / "search/mine.yaml").write_text(HEADER.replace("SAMPLER", sampler) + lines)


@pytest.fixture
def conf(tmp_path):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    return tmp_path / "conf"


def test_the_space_that_comes_with_the_project_is_one():
    """`lora-vs-api search` has to work as it is."""
    space = read_space("default", [], conf=ROOT / "conf")
    assert {"lora.r", "lora.learning_rate"} <= set(space.axes) and space.trials > 1
    assert space.axes["lora.learning_rate"] is None, "an interval has no list of values"
    # what the command line fixes is not searched
    assert "lora.r" not in read_space("default", ["lora.r=8"], 3, ROOT / "conf").axes


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("lora.r: choice(8, x)", "lora.r: expected an integer ≥ 1, or best for the sweep's winner"),
        ("lora.rank: choice(8, 16)", "lora.rank: unknown key"),
        (
            "lora.adapter.dropout: interval(0, 2)",
            "lora.adapter.dropout: expected a number from 0 to below 1",
        ),
        ("lora.adapter.dropout: interval(0.2, 0.1)", "expected interval(low, high)"),
        ("lora.r: 8", "expected choice(…), range(…) or interval(…) of Hydra, found 8"),
        ("lora.r: choice(8", "mine.yaml: lora.r: "),
        ("lora.learning_rate: choice(2, 3)", "expected a learning rate above 0 and below 1"),
        ("data.seed: choice(0, 1)", "data.seed: expected a setting of lora or train, or model"),
        ("evaluate.test_rows: choice(8, 9)", "expected a setting of lora or train, or model"),
        (
            "model: choice(smollm2-135m, none-such)",
            "model: expected one of local, qwen2.5-1.5b, qwen2.5-coder-0.5b, smollm2-135m, found 'none-such'",
        ),
        ("{}", "expected settings to search"),
    ],
)
def test_a_bad_space_is_one_line_before_any_trial(conf, params, message):
    """A search runs for hours: what is wrong with its last value must not show at its end. And what
    says on which texts a score is measured is not for searching."""
    space_file(conf, params)
    with pytest.raises(UserError) as caught:
        read_space("mine", [], conf=conf)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_space_that_minimizes_or_is_missing_is_refused(conf):
    """Minimized F1 would be a search for the worst model."""
    with pytest.raises(UserError, match="--space: expected one of default, found 'other'"):
        read_space("other", [], conf=conf)
    space_file(conf, "lora.r: choice(2, 4)")
    file = conf / "search/mine.yaml"
    file.write_text(file.read_text().replace("maximize", "minimize"))
    with pytest.raises(UserError, match="expected maximize"):
        read_space("mine", [], conf=conf)
    file.write_text(file.read_text().replace("minimize", "maximize").replace("jobs: 1", "jobs: 0"))
    with pytest.raises(UserError, match="n_jobs: expected an integer ≥ 1, found 0"):
        read_space("mine", [], conf=conf)
    with pytest.raises(UserError, match="^--trials: expected an integer ≥ 1, found 0"):
        read_space("mine", [], 0, conf=conf)
    file.write_text(re.sub(r"n_trials: *\d+", "n_trials: 0", file.read_text()))
    with pytest.raises(
        UserError, match=r"mine.yaml: hydra.sweeper.n_trials: expected an integer ≥ 1"
    ):
        read_space("mine", [], conf=conf)


def test_a_grid_has_as_many_trials_as_points(conf):
    """The progress line counts to the number of trials that there will be."""
    space_file(conf, "lora.r: choice(2, 4)\ntrain.epochs: choice(1, 2, 3)", "grid")
    assert read_space("mine", [], 50, conf).trials == 6


def test_a_grid_with_null_beside_numbers_is_told(conf):
    """facebookresearch/hydra#2612: optuna sorts a grid's values, and Python's words for that named no setting."""
    space_file(conf, "train.max_steps: choice('null', 120)", "grid")
    with pytest.raises(
        UserError,
        match="hydra.sweeper.params.train.max_steps: a grid has no order for null beside 120",
    ):
        read_space("mine", [], conf=conf)
    space_file(conf, "train.max_steps: choice('null', 120)")
    assert read_space("mine", [], conf=conf).axes["train.max_steps"] == ("null", "120")


@pytest.mark.parametrize(("told", "jobs"), [("n_jobs: 3", 3), ("study_name: s", 1)])
def test_a_space_says_how_many_trials_run_at_a_time(conf, told, jobs):
    """One that says nothing means one; the sweeper itself would take two."""
    space_file(conf, "lora.r: choice(2, 4)")
    file = conf / "search/mine.yaml"
    file.write_text(file.read_text().replace("n_jobs: 1", told))
    assert read_space("mine", [], conf=conf).jobs == jobs


@pytest.mark.parametrize(
    ("given", "text"),
    [("2e-4", "2e-4"), (0.0020, "2e-3"), ("0.00023456", "2.35e-4"), ("1.50e-3", "1.5e-3")],
)
def test_a_rate_is_written_as_the_sweep_writes_it(given, text):
    """Otherwise 0.002 and 2e-3 were two nodes, and the second trained again."""
    assert rate_text(given) == text


def test_a_trial_trains_one_adapter_and_pins_its_point():
    """One rank and one rate; pinned, so that an applied experiment runs the pipeline at its point."""
    params = load_params(ROOT / "params.yaml").model_dump()
    point = clean_point(
        {"lora.r": "8", "lora.learning_rate": "0.00200001", "lora.adapter.dropout": "0.12345"}
    )
    assert point == {"lora.r": "8", "lora.learning_rate": "2e-3", "lora.adapter.dropout": "0.123"}
    assert overrides_of(point, params) == [
        "sweep.ranks=[8]", "sweep.rank_sweep_learning_rate='2e-3'", "sweep.learning_rates=['2e-3']",
        "lora.r=8", "lora.learning_rate='2e-3'", "lora.adapter.dropout=0.123",
    ]  # fmt: skip
    # what a point leaves open is the sanity run's
    # the profile gives its trials fewer steps: a searched number of steps is the trial's as well
    steps = overrides_of({"train.max_steps": "7"}, params)
    assert "train.max_steps=7" in steps and "sweep.trial.train.max_steps=7" in steps
    assert overrides_of({"lora.adapter.dropout": "0.1"}, params)[:2] == [
        "sweep.ranks=[16]", "sweep.rank_sweep_learning_rate='2e-3'",
    ]  # fmt: skip


def test_data_that_a_copy_would_lack_is_named_with_the_way_out(tmp_path, monkeypatch):
    """Else the first node of every trial fails, in a copy, with what DVC says of it."""
    monkeypatch.chdir(tmp_path)
    study.git("init", "-q")
    (tmp_path / "mine").mkdir()
    for name in ("own.csv", "kept.csv", "mine/train.csv", "git.csv"):
        (tmp_path / name).write_text("text\n")
    (tmp_path / ".gitignore").write_text("kept.csv\n/mine\n")
    (tmp_path / "kept.csv.dvc").write_text("")
    (tmp_path / "mine.dvc").write_text("")
    study.git("add", "git.csv", "kept.csv.dvc", "mine.dvc")
    for path in (None, "kept.csv", "mine", "mine/train.csv", "git.csv", str(tmp_path / "own.csv")):
        study.check_tracked(path)
    with pytest.raises(
        UserError,
        match=r"^data.path: own.csv: neither in git .*: `dvc add own.csv && git add own.csv.dvc .gitignore`, or",
    ):
        study.check_tracked("own.csv")
    # after `dvc add` alone: DVC's copies have what git knows
    (tmp_path / "own.csv.dvc").write_text("")
    with pytest.raises(UserError, match=r": `git add own.csv.dvc .gitignore`, or"):
        study.check_tracked("own.csv")
    (tmp_path / "mine" / "my own.csv").write_text("text\n")
    study.git("rm", "-q", "--cached", "mine.dvc")
    (tmp_path / "mine.dvc").unlink()
    assert (
        study.way_into_copies("mine/my own.csv")
        == "dvc add 'mine/my own.csv' && git add 'mine/my own.csv.dvc' mine/.gitignore"
    )


@pytest.fixture
def searching(conf, monkeypatch):
    """run_search over two points, DVC replaced by a function of the trial's name and settings."""
    monkeypatch.chdir(conf.parent)
    monkeypatch.setattr(study, "experiment_refs", lambda: ["refs/exps/ab/cd/s-4-seed-0"])
    space_file(conf, "lora.r: choice(2, 4)")

    def search(answer, trials=6, seeds=(0,), jobs=1):
        asked = []

        def run_experiment(name, settings, log):
            asked.append((name, settings))
            return answer(settings)

        monkeypatch.setattr(study, "run_experiment", run_experiment)
        space = read_space("mine", [], trials)
        told = []
        run = None if jobs == 1 else run_experiment
        study.run_search(
            space, ["stats.seed=1"], seeds, "s", Path("logs"), told.append, jobs=jobs, run=run
        )
        return asked, told

    return search


@pytest.mark.slow
def test_a_point_is_tried_once_with_every_seed(searching):
    """Six trials of two points: each is run once, the score is the mean over seeds, and the numbers
    of new experiments go on where earlier ones ended."""
    asked, told = searching(lambda s: 0.5 if "sweep.trial.seed=0" in s else 0.7, seeds=(0, 1))
    assert [name for name, _ in asked] == ["s-5-seed-0", "s-5-seed-1", "s-6-seed-0", "s-6-seed-1"]
    assert all(settings[0] == "stats.seed=1" for _, settings in asked)
    assert len(told) == 6 and {trial.score for trial in told} == {0.6}
    assert sum(trial.repeats is not None for trial in told) == 4


@pytest.mark.slow
def test_trials_side_by_side_are_each_run_once(searching, conf):
    """Three at a time, and equal points among them: the second waits for the first one's score."""
    space_file(conf, "lora.r: choice(2, 4, 8, 16)")
    running, most, guard = [], [], threading.Lock()

    def answer(settings):
        with guard:
            running.append(settings)
            most.append(len(running))
        time.sleep(0.1)
        with guard:
            running.remove(settings)
        return 0.5 if "lora.r=2" in settings else 0.7

    asked, told = searching(answer, jobs=3)
    assert 1 < max(most) <= 3
    points = {trial.point["lora.r"] for trial in told}
    assert sorted(name for name, _ in asked) == [f"s-{5 + i}" for i in range(len(points))]
    assert len({tuple(settings) for _, settings in asked}) == len(points) < 6
    told.sort(key=lambda trial: trial.number)
    assert [trial.number for trial in told] == [1, 2, 3, 4, 5, 6]
    new = [trial.experiments for trial in told if trial.repeats is None]
    assert new == [(f"s-{5 + i}",) for i in range(len(points))]
    assert sum(trial.repeats is not None for trial in told) == 6 - len(points)
    assert all(trial.score == (0.5 if trial.point["lora.r"] == "2" else 0.7) for trial in told)


def test_trials_are_numbered_in_the_order_of_asking():
    """Whichever thread is first: equal scores go to the smaller number, and a search asks for the same again."""
    heard = []

    def tried(one):
        heard.append("try")
        return 0.5

    begun = SideBySide(tried, lambda asked: heard.append(asked[0]))
    begun.launch([["a"], ["b"], ["c"]], 0)
    assert heard == ["a", "b", "c", "try", "try", "try"]


def test_failures_end_no_trial_that_runs_beside_them(searching, conf):
    """Three points that cannot train are told at once; the fourth, which can, is waited for.

    And a grid of which every point has been asked for may have failures among them.
    """
    space_file(conf, "lora.r: choice(2, 4, 8, 16)", "grid")

    def answer(settings):
        if "lora.r=16" not in settings:
            raise UserError("out of memory")
        time.sleep(0.2)
        return 0.5

    _, told = searching(answer, jobs=4)
    assert study.best_of(told).point == {"lora.r": "16"} and len(told) == 4


STARTS = """
import sys, time
time.sleep(0.2)
print("Reproducing experiment 'a'")
sys.stdout.flush()
time.sleep(0.2)
"""


@pytest.mark.parametrize("kept", [True, False])
def test_a_start_that_takes_long_keeps_its_claim_or_ends(tmp_path, monkeypatch, capsys, kept):
    """Another host would take one that nobody touches over, and two would change this folder at once."""
    (tmp_path / "starts.py").write_text(STARTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(module, "experiment_command", lambda *_: ["starts"])
    monkeypatch.setattr(sys, "argv", ["trial", "a"])
    claim, beats = tmp_path / FOLDER / "search-starts", []

    def renew(self):
        beats.append(claim.exists())
        return kept

    monkeypatch.setattr(Claim, "renew", renew)
    with pytest.raises(SystemExit) as ended:
        module.main()
    said = capsys.readouterr().out
    # not once it is released: that would take it again
    assert beats and all(beats) and not claim.exists()
    assert (ended.value.code == 0) is kept
    assert ("Reproducing" in said, "error: another trial" in said) == (kept, not kept)


def test_a_fault_of_one_of_several_ends_the_search(searching):
    """What is no UserError is a bug of ours: it is shown and not waited for."""

    def answer(settings):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        searching(answer, jobs=2)


@pytest.mark.slow
def test_a_trial_that_fails_is_told_and_the_search_goes_on(searching):
    """One bad point of a long night must not cost the rest of it."""

    def answer(settings):
        if "lora.r=4" in settings:
            raise UserError("out of memory")
        return 0.5

    _, told = searching(answer)
    assert {trial.problem for trial in told} == {None, "out of memory"} and len(told) == 6
    assert study.best_of(told).point == {"lora.r": "2"}


def test_a_sampler_that_cannot_be_made_is_one_line(searching, conf, capfd):
    """Hydra would print its own page about it and end the process."""
    file = conf / "search/mine.yaml"
    file.write_text(file.read_text().replace("seed: 2", "seed: -5"))
    with pytest.raises(UserError, match="conf/search/mine.yaml: hydra.sweeper: ") as caught:
        searching(lambda settings: 0.5)
    assert "\n" not in str(caught.value) and capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_search_in_which_nothing_succeeds_ends_with_the_reason(searching):
    """Optuna would raise a ValueError of its own at the end."""

    def answer(settings):
        raise UserError("no GPU here")

    with pytest.raises(UserError, match="no trial succeeded; the first: no GPU here"):
        searching(answer)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "--gpus", "-2"], "--gpus: expected an integer ≥ 0, found -2"),
        (["search", "--trials", "0"], "--trials: expected an integer ≥ 1, found 0"),
        (["search", "--seeds", "a"], "--seeds: expected integers such as 100,101, found 'a'"),
        (
            ["search", "--seeds", "100,1"],
            "--seeds: expected none of the final seeds [0, 1, 2], found 1",
        ),
        (["search", "--seeds", "101,101"], "--seeds: expected no seed twice"),
        (["search", "--name", "a/b"], "--name: expected letters"),
        (["search", "lora.rnk=3"], "error: conf/ with lora.rnk=3: "),
        (["experiments", "--figure", "a.pdf"], "expected a file called .svg or .png, found a.pdf"),
    ],
)
def test_a_mistake_in_a_command_is_one_line(monkeypatch, capsys, arguments, message):
    """No traceback, and nothing was run."""
    monkeypatch.chdir(ROOT)
    code, error = exit_code(*arguments), capsys.readouterr().err
    assert code == 1 and message in error and "Traceback" not in error


def test_a_missing_sweeper_is_one_line(searching, monkeypatch):
    """It is an extra: whoever lacks it reads what to install."""
    monkeypatch.setattr(study, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install 'hydra-optuna-sweeper"):
        searching(lambda settings: 0.5)


def committed() -> dict[str, str | None]:
    """The project's own committed results as the files of an experiment's commit."""
    return {path: (ROOT / path).read_text() for path in FILES}


@pytest.mark.slow
def test_a_score_that_the_experiment_did_not_make_is_not_shown():
    """A search's trial carries its parent's metrics/summary.json: that is not its test F1."""
    files = committed()
    params = yaml.safe_load(files["params.yaml"])
    # as the pipeline leaves it: everything at the settings of params.yaml
    whole = experiment_of("whole", files)
    summary = json.loads(files["metrics/summary.json"])
    trials = json.loads(files["metrics/sweep.json"])
    best = max(t["field_f1"] for t in trials if t["sweep"] == "lr_trial")
    assert (whole.val_f1, whole.test_f1) == (best, summary["lora"]["field_f1"])
    assert whole.settings["r"] == summary["r"] and whole.usd_per_1k > 0

    def with_params(change):
        changed = json.loads(json.dumps(params))
        change(changed)
        return experiment_of("x", files | {"params.yaml": yaml.safe_dump(changed)})

    # another dropout trains every adapter anew, and nothing of it was run
    changed = with_params(lambda p: p["lora"]["adapter"].update(dropout=0.1))
    assert (changed.val_f1, changed.test_f1) == (None, None)
    # a pin concerns the final trainings alone, and the sweep's other points stay comparable
    pinned = with_params(lambda p: p["lora"].update(r=8, learning_rate="2e-3"))
    (other,) = [t["field_f1"] for t in trials if (t["r"], t["learning_rate"]) == (8, 0.002)]
    assert other != best and (pinned.val_f1, pinned.test_f1) == (other, None)
    assert with_params(lambda p: p["lora"].update(r=64)).val_f1 is None
    # a colour concerns neither
    assert with_params(lambda p: p["plots"].update(dpi=60)).test_f1 == whole.test_f1
    # one more seed than was trained
    assert with_params(lambda p: p.update(seeds=[0, 1, 2, 3])).test_f1 is None


def test_the_table_holds_what_differs_best_first():
    """Settings that all share say nothing; experiments without a score come last."""
    rows = [
        Experiment("s-10", {"r": 8, "lora.adapter.dropout": 0.1, "device": "cpu"}, 0.5),
        Experiment("s-2", {"r": 8, "lora.adapter.dropout": 0.0, "device": "cpu"}, 0.5),
        Experiment("s-1", {"lora.adapter.dropout": 0.0, "device": "cpu"}),
        Experiment(
            "s-3", {"r": 16, "lora.adapter.dropout": 0.0, "device": "cpu"}, 0.6, 0.55, 0.006
        ),
    ]
    frame = table(rows)
    assert list(frame.columns) == [
        "experiment", "r", "lora.adapter.dropout", "val F1", "test F1", "USD per 1K",
    ]  # fmt: skip
    assert list(frame["experiment"]) == ["s-3", "s-2", "s-10", "s-1"]
    assert frame["r"].tolist() == [16, 8, 8, None]
    assert "test F1" not in table(rows[:2]).columns


def test_axes_are_laid_out_by_what_they_hold():
    """Ranks double from step to step, rates span decades, variants have no order."""
    ranks = lay_out("r", [4, 8, 16, 8])
    assert ranks.places == pytest.approx([0, 0.5, 1, 0.5]) and "log" in ranks.label
    assert [text for _, text in ranks.ticks] == ["4", "8", "16"]
    rates = lay_out("learning_rate", [10 ** (-4 + i / 5) for i in range(11)])
    assert rates.places[5] == pytest.approx(0.5) and {"0.001", "0.01"} <= {
        t for _, t in rates.ticks
    }
    dropout = lay_out("lora.adapter.dropout", [0.0, 0.05, 0.1])
    assert dropout.places == pytest.approx([0, 0.5, 1]) and "log" not in dropout.label
    names = lay_out("lora.adapter.variant", ["dora", "lora", None])
    assert names.places == [0, 0.5, 1] and names.texts[2] == "none"
    assert lay_out("val F1", [0.3, 0.3]).places == [0.5, 0.5]


def test_the_figure_is_the_same_bytes_for_the_same_table(tmp_path):
    """It can be committed and compared; and it draws what has a score, whatever the number."""
    plots = load_params(ROOT / "params.yaml").plots
    rows = [
        {"experiment": f"s-{i}", "r": 2**i, "lora.adapter.variant": "dora" if i % 2 else "lora",
         "lora.adapter.plus_ratio": None if i else 16.0, "val F1": None if i == 3 else 0.1 * i}
        for i in range(1, 6)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, dtype=object)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        with theme():
            save(parallel_coordinates(frame, plots), tmp_path / folder, "f", 60)
    for kind in ("svg", "png"):
        one, two = ((tmp_path / folder / f"f.{kind}").read_bytes() for folder in ("one", "two"))
        assert one == two
    figure = parallel_coordinates(frame, plots)
    shown = " ".join(text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text")))
    assert "4 experiments" in shown and "Not drawn: 1 experiment without" in " ".join(shown.split())
    # one experiment alone has no setting that differs, and a score of its own
    parallel_coordinates(frame.iloc[:1], plots)


def test_a_copy_of_dvc_uses_the_projects_model_and_store(tmp_path, monkeypatch):
    """`--temp` and `--queue` work in copies: paid answers must not vanish with one, and a model
    folder that git ignores is not in it."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["model"]["weights"] = {"source": "path", "path": "weights"}
    raw["api"]["limits"]["store"] = "responses/store.sqlite"
    copy = tmp_path / ".dvc/tmp/exps/standalone/tmpabc"
    copy.mkdir(parents=True)
    for folder in (tmp_path, copy):
        (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.chdir(copy)
    params = load_params()
    assert params.api.limits.store == str(tmp_path / "responses/store.sqlite")
    assert params.model.weights.path == str(tmp_path / "weights")
    (copy / "weights").mkdir()
    assert load_params().model.weights.path == "weights", (
        "what the copy has is the experiment's own"
    )
    monkeypatch.chdir(tmp_path)
    assert load_params().api.limits.store == "responses/store.sqlite"


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    """A clone that is ready for its first trial, its model a folder that git ignores."""
    settings = TINY.replace('path: "{model}"', "path: tiny")
    clone = new_clone(tmp_path_factory.mktemp("search") / "project", settings)
    shutil.copytree(clone.path.parent / "tiny", clone.path / "tiny")
    with (clone.path / ".gitignore").open("a") as ignored:
        ignored.write("/tiny/\n")
    space_file(
        clone.path / "conf",
        "lora.learning_rate: choice(2e-3, 1e-3)\nlora.adapter.target_modules: choice(all-linear, [nope])\n"
        "lora.r: choice(2)",
    )
    assert "sanity" in ran(clone.run("dvc", "repro", "sanity"))
    clone.run("git", "add", "-A")
    clone.run("git", "commit", "-qm", "baseline")
    return clone


def state(clone: Clone) -> dict[str, bytes | str]:
    files = ("params.yaml", "dvc.lock", "conf/local.yaml")
    return {name: (clone.path / name).read_bytes() for name in files} | {
        "git": clone.run("git", "status", "--porcelain"),
        "trials": str(sorted((clone.path / "models").rglob("*"))),
    }


@pytest.mark.slow
def test_a_search_leaves_the_workspace_alone_and_trains_no_point_twice(clone):
    """Through Hydra, Optuna and DVC: a trial that fails is told, what was trained before comes from
    the run cache, and the table and the figure hold the trials."""
    (clone.path / "conf/local.yaml").open("a").write("# an edit that is not committed\n")
    before = state(clone)
    # a seed whose three trials are a good point, a bad one, and the good one again
    search = (sys.executable, "-m", "lora_vs_api", "search", "--space", "mine", "--trials")
    said = clone.run(*search, "3")
    assert state(clone) == before
    assert "Traceback" not in said and "the test split has not been used" in said
    one, bad, same = (line for line in said.splitlines() if re.match(r"\[\d/3\] ", line))
    assert re.search(r"r=2: val F1 \d", one) and "(as trial 1)" in same
    assert "target_modules=[nope], r=2: failed: " in bad and "search-2.log" in bad
    assert "best of 2 trials (1 more failed)" in said and "(search-1)" in said
    assert re.search(r'^dvc exp run -S "lora.learning_rate=\'[12]e-3\'" .*-S lora.r=2$', said, re.M)
    log = clone.path / "logs/search/search/search-1.log"
    assert "lr_trial" in str(ran(log.read_text())) and not re.search(
        "predictions|analyze", str(ran(log.read_text()))
    )

    again = clone.run(*search, "1", "--name", "again")
    assert state(clone) == before
    assert re.search(r"val F1 [\d.]+", again).group() == re.search(r"val F1 [\d.]+", one).group()
    log = clone.path / "logs/search/again/again-1.log"
    assert not {stage for stage in ran(log.read_text()) if "trial" in stage}, "trained again"

    shown = clone.run(
        sys.executable, "-m", "lora_vs_api", "experiments",
        "--csv", "logs/all.csv", "--figure", "logs/all.svg",
    )  # fmt: skip
    frame = pd.read_csv(clone.path / "logs/all.csv")
    assert list(frame["experiment"]) == ["again-1", "search-1"] and frame["val F1"].notna().all()
    assert "test F1" not in frame.columns, "no trial has seen the test split"
    assert "search-1" in shown and "<svg" in (clone.path / "logs/all.svg").read_text()
    assert state(clone) == before


@pytest.mark.slow
def test_dvcs_own_queue_runs_a_grid_in_copies(clone):
    """Two settings at a time through the celery worker, a model folder git ignores among them."""
    before = state(clone)
    try:
        clone.run(
            "dvc", "exp", "run", "--queue", "--name", "grid", "-S", "sanity.r=2,4",
            "-S", "model.weights.path=./tiny", "sanity",
        )  # fmt: skip
        clone.run("dvc", "queue", "start", "-j", "2")
        # follows each until it ends
        for name in ("grid-1", "grid-2"):
            clone.run("dvc", "queue", "logs", "--follow", name)
        status = clone.run("dvc", "queue", "status")
        for _ in range(30):
            if len(re.findall("Success|Failed", status)) == 2:
                break
            status = clone.run("dvc", "queue", "status")
        assert status.count("Success") == 2, status
    finally:
        clone.run("dvc", "queue", "stop", "--kill")
    assert "Worker status: 0 active, 0 idle" in clone.run("dvc", "queue", "status")
    assert state(clone) == before
    refs = clone.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    grid = [ref for ref in refs if "/grid-" in ref]
    kept = [yaml.safe_load(clone.run("git", "show", f"{ref}:params.yaml")) for ref in grid]
    assert [params["sanity"]["r"] for params in kept] == [2, 4]


@pytest.mark.slow
def test_experiments_side_by_side_each_run_their_own_point(repository):
    """Two `dvc exp run --temp` that start at once would take each other's settings."""
    ran = searchable(repository)
    done = subprocess.run(
        [sys.executable, "-m", "lora_vs_api", "search", "--space", "grid", "-j", "4"],
        cwd=repository, env=dict(os.environ, PYTHONPATH=str(ROOT)), capture_output=True, text=True,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0 and BEST in said and "Traceback" not in said, said
    assert sorted(ran.read_text().splitlines()) == POINTS
    with contextlib.chdir(repository):
        found = read_experiments("search-")
    # each experiment has the settings of its own trial: the score is a function of them
    assert [e.name for e in found] == [f"search-{number}" for number in (1, 2, 3, 4)]
    for one in found:
        r, rate = one.settings["r"], float(one.settings["learning_rate"])
        assert one.val_f1 == pytest.approx(r / 100 + rate)
    assert len({one.val_f1 for one in found}) == 4
    status = ["git", "status", "--porcelain"]
    assert not subprocess.check_output(status, cwd=repository), "the workspace is as it was"
