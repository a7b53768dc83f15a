"""What a change reruns, in the real dvc with a tiny random model, and that results come back from
the caches.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from lora_vs_api.analysis.ledger import LEDGER
from tests.clones import ANALYSIS, COSTS, SCORING, Clone, ran

pytestmark = pytest.mark.slow

TUNINGS = """# @package _global_
tunings:
  dora: {method: dora, learning_rate: "2e-3", r: 2, seed: 0}
  soft: {method: prompt, learning_rate: "2e-3", virtual_tokens: 2, seed: 0}
labels: {dora: DoRA}
"""


def test_a_second_repro_runs_nothing(clone):
    """Without a change there is no work, and `dvc status` says so."""
    assert ran(clone.run("dvc", "repro")) == set()
    assert "up to date" in clone.run("dvc", "status")


def test_a_point_of_both_sweeps_is_trained_once(clone):
    """The rate at which the ranks were swept takes over the winning rank's adapter, byte for byte."""
    rate = json.loads((clone.path / "timings/lr_trial/2e-3.json").read_text())
    assert rate["reused"] is True
    winner = clone.path / "models/select_rank/adapter_model.safetensors"
    trial = clone.path / "models/lr_trial/2e-3/adapter_model.safetensors"
    assert winner.read_bytes() == trial.read_bytes()


def test_no_trial_of_the_sweep_becomes_a_final_training(clone):
    """The winner of a sweep is the best of several by chance too; the finals are drawn anew."""
    for seed in (0, 1):
        timing = json.loads((clone.path / f"timings/train/seed-{seed}.json").read_text())
        assert timing["training_seconds"] > 0 and "reused" not in timing
    trials = json.loads((clone.path / "metrics/sweep.json").read_text())
    assert {trial["seed"] for trial in trials} == {100}


@pytest.fixture(scope="module")
def tried(reproduced, tmp_path_factory) -> tuple[Clone, set[str]]:
    """A copy in which another rank was tried, and the nodes that this ran."""
    clone = reproduced.copy(tmp_path_factory.mktemp("tried") / "project")
    # that it follows the analysis is seen where a price changes
    clone.freeze_report()
    return clone, clone.experiment("lora.r=32")


def test_a_pinned_rank_reruns_the_final_trainings_and_leaves_the_sweep(tried):
    """`-S lora.r=32`: select, trainings, their evaluations and the analysis, nothing else."""
    clone, stages = tried
    assert stages == {"select", "train@0", "train@1", "evaluate_lora@0", "evaluate_lora@1",
                      "perturbed_lora@0", "perturbed_lora@1", "confidence@0", "confidence@1",
                      *SCORING} | ANALYSIS - {"report"}  # fmt: skip
    selected = json.loads((clone.path / "metrics/select.json").read_text())
    assert selected["r"] == 32
    adapter = json.loads((clone.path / "models/train/seed-1/adapter_config.json").read_text())
    assert (adapter["r"], adapter["lora_alpha"]) == (32, 64)
    difference = json.loads(clone.run("dvc", "metrics", "diff", "--json", "main"))
    assert list(difference) == ["metrics/summary.json"]
    assert difference["metrics/summary.json"]["r"] == {"old": 2, "new": 32, "diff": 30}
    assert len(difference["metrics/summary.json"]) <= 20


def test_going_back_comes_from_the_cache(tried):
    """Dropping the pin restores the earlier results without training anything."""
    clone, _ = tried
    before = subprocess.run(
        ["git", "show", "main:metrics/analysis.json"], cwd=clone.path, capture_output=True
    ).stdout
    assert clone.experiment() <= {"select"} | SCORING | ANALYSIS
    assert (clone.path / "metrics/analysis.json").read_bytes() == before


def test_a_colleague_gets_the_results_without_training(tried, tmp_path):
    """A folder as DVC remote, run cache included: clone, pull, repro runs nothing; and of a setting
    that somebody has already tried only what takes seconds, as when going back to it."""
    clone, _ = tried
    clone.experiment()
    clone.run("git", "add", "-A")
    clone.run("git", "commit", "-qm", "shared", "--allow-empty")
    remote = tmp_path / "share"
    clone.run("dvc", "remote", "add", "-d", "share", str(remote), "--force", "--local")
    try:
        clone.run(sys.executable, "-m", "lora_vs_api", "push")
    finally:
        clone.run("dvc", "remote", "remove", "share", "--local")
    subprocess.run(["git", "clone", "-q", clone.path, tmp_path / "colleague"], check=True)
    fresh = Clone(tmp_path / "colleague")
    fresh.run("dvc", "remote", "add", "-d", "share", str(remote), "--local")
    fresh.run("dvc", "pull", "--run-cache")
    assert ran(fresh.run("dvc", "repro")) == set()
    fresh.run("git", "config", "user.email", "c@example.org")
    fresh.run("git", "config", "user.name", "C")
    said = fresh.run("dvc", "exp", "run", "--pull", "-S", "lora.r=32")
    assert ran(said) <= {"select"} | SCORING | ANALYSIS
    selected = json.loads((fresh.path / "metrics/select.json").read_text())
    adapter = json.loads((fresh.path / "models/train/seed-1/adapter_config.json").read_text())
    assert selected["r"] == adapter["r"] == 32


def test_one_more_rival_without_a_model_asks_nobody(clone):
    """`-S model_free=[…]` runs the new rival's node and what reads its answers."""
    clone.freeze_report()
    found = clone.experiment("model_free=[majority,nearest_copy]")
    assert found == {"evaluate_model_free@majority"} | SCORING | ANALYSIS - {"report"}
    table = json.loads((clone.path / "metrics/analysis.json").read_text())["conditions"]
    kinds = {row["name"]: row["kind"] for row in table}
    assert kinds["majority"] == kinds["nearest_copy"] == "model_free"


def test_without_an_api_nobody_is_asked_and_the_report_stands(clone):
    """`-S api=none` drops the API's nodes and reruns what reads of them; nothing trains."""
    assert clone.experiment("api=none") == {"data_check"} | SCORING | ANALYSIS
    listed = clone.run("dvc", "stage", "list", "--name-only")
    assert "evaluate_base" in listed and "_api" not in listed
    assert "up to date" in clone.run("dvc", "status")
    report = (clone.path / "report/report.md").read_text()
    assert "no API side to compare with" in report and "Q4_K_M" not in report
    summary = json.loads((clone.path / "metrics/summary.json").read_text())
    assert set(summary["verdict"].values()) == {"not judged"}
    assert summary["break_even_inferences"] == {}
    clone.run("dvc", "plots", "show", "--out", "shown")
    # and with no rival but the untuned base
    assert clone.experiment("api=none", "model_free=[]") - {"learning_curve"} == ANALYSIS
    assert "no API side to compare with" in (clone.path / "report/report.md").read_text()


def test_a_cascades_limits_rerun_its_judgement_and_without_one_nothing_else_runs(clone):
    """No confidence is measured and nobody asked again for another floor, budget or rule; and what
    `-S cascade=none` leaves out comes back from the cache."""
    before = json.loads((clone.path / "metrics/cascade.json").read_text())
    assert before["val_texts"] == 3 and len(before["by_field"]) == 6
    assert {point["target"] for point in before["points"]} == {"small_nearest_3", "person"}
    assert clone.experiment("cascade.min_f1=0", "cascade.rule=floor") == {"cascade", "report"}
    after = json.loads((clone.path / "metrics/cascade.json").read_text())
    assert after["points"][after["chosen"]]["rule"] == "floor"
    rule = json.loads((clone.path / "metrics/cascade_rule.json").read_text())
    assert rule["target"] == "small_nearest_3"
    assert "## Both together" in (clone.path / "report/report.md").read_text()
    assert clone.experiment("cascade=none") == {"cascade", "report"}
    assert json.loads((clone.path / "metrics/cascade.json").read_text()) is None
    assert "## Both together" not in (clone.path / "report/report.md").read_text()
    listed = clone.run("dvc", "stage", "list", "--name-only")
    assert "confidence" not in listed and "evaluate_val" not in listed
    clone.freeze_report()
    assert clone.experiment() <= {"cascade"}


def test_other_perturbed_texts_ask_about_them_and_touch_nothing_else(clone):
    """Another seed of the perturbations: no training, no evaluation, no analysis."""
    asked = {"perturbed_lora@0", "perturbed_lora@1", "perturbed_api@small_zero_shot_schema"}
    # where the tiny model's scores come out the same, DVC's early cut-off spares the report
    assert (
        clone.experiment("robustness.texts.seed=1") - {"report"}
        == {"perturb", "robustness"} | asked
    )
    # and without any there is nothing to ask or tell
    assert not {
        stage
        for stage in clone.experiment(
            "robustness.texts.perturbations=[]", "robustness.conditions=[]"
        )
        if stage.startswith("perturbed_api")
    }
    assert "## Perturbed texts" not in (clone.path / "report/report.md").read_text()


def test_another_way_of_tuning_is_a_condition_of_its_own(clone):
    """It is trained and asked, stands in the table and the tests, and leaves the fine-tune alone."""
    (clone.path / "conf/tunings/two.yaml").write_text(TUNINGS)
    # robustness reads the folder of predictions, and takes a second
    assert clone.experiment("tunings=two") - SCORING == {
        "tune@dora", "tune@soft", "evaluate_tune@dora", "evaluate_tune@soft"
    } | ANALYSIS  # fmt: skip
    analysis = json.loads((clone.path / "metrics/analysis.json").read_text())
    kinds = {row["name"]: row["kind"] for row in analysis["conditions"]}
    assert kinds["dora"] == kinds["soft"] == "tuned"
    assert {"dora", "soft"} <= {row["baseline"] for row in analysis["comparisons"]}
    assert "DoRA (r 2, learning rate 2e-3, seed 0)" in (
        clone.path / "report/report.md"
    ).read_text()  # fmt: skip


def test_a_price_reruns_analysis_and_report_only(clone):
    """Costs are worked out last; nothing is asked or trained again."""
    assert clone.planned("prices=published") == ANALYSIS
    # what stands beside, too, and another day of the catalogue: the report says which
    assert clone.planned("prices_beside=null") == ANALYSIS
    assert clone.experiment("prices.date=2026-10-30") == ANALYSIS
    analysis = json.loads((clone.path / "metrics/analysis.json").read_text())
    assert analysis["economics"]["prices"]["as_of"] == "2026-10-30"
    report = (clone.path / "report/report.md").read_text()
    day = r"genai-prices \d\S+, 2026-10-30"
    assert re.search(rf"openai gpt-5\.4-mini \| {day} \| 0\.75 \| 0\.075\d* \| 4\.5 \|", report)
    # the published prices beside, by name; and the models that ran here, at their own cost
    assert "gpt-5.4-mini | published experiment 002, 2026-05 | 0.15 | – | 0.6 |" in report
    assert "| run on this machine |" in report


def paid_trainings(clone) -> int:
    analysis = json.loads((clone.path / "metrics/analysis.json").read_text())
    return analysis["economics"]["training"]["trainings"]


def test_a_new_rank_trains_one_trial_and_stops_when_it_loses(clone):
    """The sweep grows by one training; the winner unchanged, only what adds up its cost runs."""
    before = paid_trainings(clone)
    winner = (clone.path / "metrics/select.json").read_bytes()
    clone.freeze_report()
    # ties go to the smaller rank, so a larger one that learns no better cannot win
    stages = clone.experiment("sweep.ranks=[2,4,8]")
    assert (clone.path / "metrics/select.json").read_bytes() == winner
    assert stages == {"rank_trial@8", "select_rank", "select", "sweep", "analyze", "cascade"}
    assert paid_trainings(clone) == before + 1


def test_without_a_sweep_rank_and_rate_are_given_and_no_trial_is_there(clone):
    """Whoever knows both pays for no trial: the final trainings stay, and no page says that one was tried."""
    selected = (clone.path / "metrics/select.json").read_bytes()
    r, rate = json.loads(selected).values()
    for trials in clone.path.glob("*/*_trial/*"):
        # as in a fresh clone, which git keeps these folders in
        if trials.name != ".keep":
            shutil.rmtree(trials) if trials.is_dir() else trials.unlink()
    stages = clone.experiment("sweep.ranks=[]", f"lora.r={r}", f"lora.learning_rate='{rate}'")
    assert {"select_rank", "select", "sweep", "analyze", "report"} <= stages
    trials = {name for name in stages if "trial" in name}
    # the rates' nodes are there, and train nothing
    assert all(name.startswith("lr_trial@") for name in trials)
    assert not {name for name in stages if name.startswith(("train", "evaluate"))}
    assert not list(clone.path.glob("models/lr_trial/*/adapter_model.safetensors"))
    assert (clone.path / "metrics/select.json").read_bytes() == selected
    assert paid_trainings(clone) == 2
    report = (clone.path / "report/report.md").read_text()
    assert "were given and none was chosen;" in report and "the sweep's" not in report
    assert (clone.path / "report/sweep.md").read_text().startswith("# No sweep")
    assert json.loads((clone.path / "metrics/sweep.json").read_text()) == []


def test_early_stopping_is_a_matter_of_the_rate_trials(clone):
    """None of these trainings stops early: their adapters stay what they were, and nothing is
    trained or asked after them."""
    before = clone.digests()
    clone.freeze_report()
    stages = clone.experiment("sweep.early_stopping_ratio=1.5")
    # what adds up the seconds of all trainings
    assert stages - ANALYSIS == {"lr_trial@2e-3", "lr_trial@4e-3"}
    changed = {path for path, md5 in clone.digests().items() if md5 != before[path]}
    # another setting, under which the same texts were scored
    assert changed <= COSTS | {LEDGER}


def test_another_size_trains_that_size_alone(clone):
    """A size of the learning curve is one training; the curve and the report follow, and nothing else."""
    curve, before = {"curve_order", "learning_curve", "report"}, clone.digests()
    assert clone.experiment("learning_curve.sizes=[2]") == {"curve_trial@2-10"} | curve
    assert clone.experiment("learning_curve.sizes=[2,3]") == {"curve_trial@3-10"} | curve
    assert "up to date" in clone.run("dvc", "status")
    after = clone.digests()
    assert {path for path, md5 in after.items() if md5 != before.get(path)} == {
        "metrics/learning_curve.json", "predictions/curve/2-10", "predictions/curve/3-10",
    }  # fmt: skip
    found = json.loads((clone.path / "metrics/learning_curve.json").read_text())
    assert [point["labels"] for point in found["points"]] == [2, 3, 4]
    # what it says of the final trainings is what the comparison says
    analysis = json.loads((clone.path / "metrics/analysis.json").read_text())
    assert found["points"][-1]["field_f1"] == analysis["conditions"][0]["field_f1"]
    names = [row["name"] for row in analysis["conditions"][1:]]
    assert [row["name"] for row in found["rivals"]] == names
    for row in found["rivals"]:
        made = next(c for c in analysis["comparisons"] if c["baseline"] == row["name"])
        last = row["differences"][-1]
        decides = made["random_effects"]
        assert (last["low"], last["high"]) == (decides["low"], decides["high"])
    assert "## How many labels it takes" in (clone.path / "report/report.md").read_text()
    # the texts of the smaller set lie in the larger one
    notes = [
        json.loads((clone.path / f"predictions/curve/{size}-10/training.json").read_text())
        for size in (2, 3)
    ]
    assert [note["seen"] for note in notes] == [2, 3] and notes[0]["final_seen"] == 4
    # what makes the trainings of the curve stale, and no other
    trials = {"curve_trial@2-10", "curve_trial@3-10"}
    trial = clone.path / "lora_vs_api/curve/trial.py"
    code = trial.read_text()
    trial.write_text(code + "# an edit\n")
    assert set(json.loads(clone.run("dvc", "status", "--json"))) == trials
    trial.write_text(code)
    overrides = ("learning_curve.sizes=[2,3]", "learning_curve.steps.least=2")
    clone.run(sys.executable, "-m", "lora_vs_api", "params", *overrides)
    assert set(json.loads(clone.run("dvc", "status", "--json"))) == trials | {"learning_curve"}
    # too few texts are told before anything is trained
    flags = ("-S", "learning_curve.sizes=[70]", "-S", "train.max_steps=200")
    said = clone.run("dvc", "exp", "run", *flags, check=False)
    assert "expected numbers below that of the training texts, 70" in said
    assert not [stage for stage in ran(said) if "trial" in stage or "train" in stage]


def test_a_colour_touches_no_metric(clone):
    """Style reruns what draws."""
    before = clone.digests()
    assert clone.experiment("plots.lora_color='#D55E00'") == {"sweep", "report"}
    assert clone.digests() == before


def test_metrics_and_plots_are_shown_without_the_cache(clone, tmp_path):
    """A fresh clone, with no cache and no run, shows the committed results."""
    subprocess.run(["git", "clone", "-q", clone.path, tmp_path / "fresh"], check=True)
    fresh = Clone(tmp_path / "fresh")
    shown = json.loads(fresh.run("dvc", "metrics", "show", "--json"))
    files = shown[""]["data"]
    assert "lora" in files["metrics/summary.json"]["data"]
    fresh.run("dvc", "plots", "show", "--out", "shown")
    page = (tmp_path / "fresh/shown/index.html").read_text()
    titles = (
        "Field F1 on the test slice",
        "F1 of each field",
        "Share of requests answered within a time",
        "Total cost by volume",
        "Field F1 of the tuned model minus a baseline's",
        "Cost and accuracy",
        "Training loss, seed 1",
    )
    assert [title for title in titles if title not in page] == []
    assert "<script src=" not in page, "the page must open without a network"
    fresh.run("dvc", "metrics", "diff", "HEAD")
