"""The real dvc over the real stages in a temporary clone, with a tiny random model.

What is proven here: which nodes a change reruns, that results come back from the run cache,
that outputs are byte-identical, and that a mistake ends in one line with nothing half-written.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_model import build_tiny_model

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow

TINY = """# @package _global_
defaults:
  - override /model: local
model:
  path: {model}
  pad_token: <|endoftext|>
  dtype: float32
  disk_gb: 0.01
data: {{n: 100}}
review: {{sample: 5}}
contamination: {{rows: 2}}
sanity: {{steps: 2, rows: 2, max_loss_ratio: 10, min_valid_json: 0, r: 2}}
train: {{max_steps: 2, batch_size: 2}}
sweep: {{ranks: [2, 4], val_rows: 2}}
evaluate: {{test_rows: 3, latency_rows: 1, max_new_tokens: 400}}
robustness: {{rows: 2, perturbations: [typos, signature]}}
stats: {{resamples: 200}}
seeds: [0, 1]
"""
TUNINGS = """# @package _global_
tunings:
  dora: {label: DoRA, method: dora, learning_rate: "2e-3", r: 2, plus_ratio: null,
    virtual_tokens: null, seed: 0}
  soft: {label: prompt tuning, method: prompt, learning_rate: "2e-3", r: null, plus_ratio: null,
    virtual_tokens: 2, seed: 0}
"""
ANALYSIS = {"analyze", "report"}
API = {"evaluate_api@embedded_zero_shot", "evaluate_api@embedded_few_shot_5"}


class Clone:
    """A clone of the project whose settings make every node take seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *command: str, check: bool = True) -> str:
        environment = dict(os.environ)
        # the stages call `python`, which has to be the one that runs these tests
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        environment.update(DVC_NO_ANALYTICS="1", OPENAI_API_KEY="", CUDA_VISIBLE_DEVICES="")
        done = subprocess.run(
            command, cwd=self.path, env=environment, capture_output=True, text=True
        )
        output = done.stdout + done.stderr
        if check:
            assert done.returncode == 0, output[-4000:]
        else:
            assert done.returncode != 0, output[-4000:]
        return output

    def experiment(self, *overrides: str) -> set[str]:
        """`dvc exp run` with these -S; returns the stages that really ran."""
        flags = [flag for override in overrides for flag in ("-S", override)]
        return ran(self.run("dvc", "exp", "run", *flags))

    def digests(self) -> dict[str, str]:
        """MD5 of every output in dvc.lock, what was timed left out."""
        import yaml

        lock = yaml.safe_load((self.path / "dvc.lock").read_text())
        return {
            out["path"]: out["md5"]
            for stage in lock["stages"].values()
            for out in stage.get("outs", [])
            if not out["path"].startswith(("timings/", "report/", "plots/latency"))
        }


def ran(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))


def new_clone(path: Path, settings: str = TINY) -> Clone:
    """The project's files in a git repository of their own, nothing run and nothing committed."""
    path.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        generated = name.startswith(("metrics/", "timings/", "predictions/", "plots/", "report/"))
        if generated or name == "dvc.lock" or not (ROOT / name).is_file():
            continue
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, path / name)
    clone = Clone(path)
    model = build_tiny_model(path.parent / "tiny")
    (path / "conf" / "mine.yaml").write_text(settings.format(model=model))
    clone.run(sys.executable, "-m", "lora_vs_api.compose")
    for command in (
        ["init", "-q", "-b", "main"],
        ["config", "user.email", "t@example.org"],
        ["config", "user.name", "T"],
    ):
        clone.run("git", *command)
    return clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    """The project's files, committed, with the baseline reproduced once."""
    clone = new_clone(tmp_path_factory.mktemp("clone") / "project")
    # what a user does first: repro, then commit the results
    assert "analyze" in ran(clone.run("dvc", "repro"))
    clone.run("git", "add", "-A")
    clone.run("git", "commit", "-qm", "baseline")
    return clone


def test_a_second_repro_runs_nothing(clone):
    """Without a change there is no work, and `dvc status` says so."""
    assert ran(clone.run("dvc", "repro")) == set()
    assert "up to date" in clone.run("dvc", "status")


def test_the_trial_that_is_the_final_training_is_reused(clone):
    """No training is done twice: seed 0 at the winner takes over its trial's adapter, byte for byte."""
    timing = json.loads((clone.path / "timings/train/seed-0.json").read_text())
    assert timing["reused"] is True
    assert json.loads((clone.path / "timings/train/seed-1.json").read_text())["reused"] is False
    selected = clone.path / "models/selected/adapter_model.safetensors"
    final = clone.path / "models/lora/seed-0/adapter_model.safetensors"
    assert selected.read_bytes() == final.read_bytes()
    base_rate = json.loads((clone.path / "timings/lr_trial/2e-3.json").read_text())
    assert base_rate["reused"] is True


def test_a_pinned_rank_reruns_the_final_trainings_and_leaves_the_sweep(clone):
    """`-S lora.r=32`: select, trainings, their evaluations and the analysis, nothing else."""
    expected = {"select", "train@0", "train@1", "evaluate_lora@0", "evaluate_lora@1",
                "perturbed_lora@0", "perturbed_lora@1", "robustness"} | ANALYSIS  # fmt: skip
    assert clone.experiment("lora.r=32") == expected
    selected = json.loads((clone.path / "metrics/selected.json").read_text())
    assert selected["r"] == 32
    adapter = json.loads((clone.path / "models/lora/seed-1/adapter_config.json").read_text())
    assert (adapter["r"], adapter["lora_alpha"]) == (32, 64)
    difference = json.loads(clone.run("dvc", "metrics", "diff", "--json", "main"))
    assert list(difference) == ["metrics/summary.json"]
    assert difference["metrics/summary.json"]["r"] == {"old": 2, "new": 32, "diff": 30}
    assert len(difference["metrics/summary.json"]) <= 15


def test_going_back_comes_from_the_cache(clone):
    """Dropping the pin restores the earlier results without training anything."""
    before = subprocess.run(
        ["git", "show", "main:metrics/analysis.json"], cwd=clone.path, capture_output=True
    ).stdout
    clone.experiment("lora.r=32")
    assert clone.experiment() <= {"select", "robustness"} | ANALYSIS
    assert (clone.path / "metrics/analysis.json").read_bytes() == before


def test_one_more_seed_trains_and_evaluates_one_adapter(clone):
    """`-S seeds=[0,1,2]` costs one training and one evaluation."""
    clone.experiment()
    more = {"train@2", "evaluate_lora@2", "perturbed_lora@2", "robustness"}
    assert clone.experiment("seeds=[0,1,2]") == more | ANALYSIS
    # removed and added again: from the run cache
    assert clone.experiment() <= {"robustness"} | ANALYSIS
    assert clone.experiment("seeds=[0,1,2]") <= {"robustness"} | ANALYSIS


def test_other_perturbed_texts_ask_about_them_and_touch_nothing_else(clone):
    """Another seed of the perturbations: no training, no evaluation, no analysis."""
    clone.experiment()
    asked = {"perturbed_lora@0", "perturbed_lora@1", "perturbed_api@embedded_few_shot_5"}
    # where the tiny model's scores come out the same, DVC's early cut-off spares the report
    assert clone.experiment("robustness.seed=1") - {"report"} == {"perturb", "robustness"} | asked
    # and without any there is nothing to ask or tell
    assert not {
        stage
        for stage in clone.experiment("robustness.perturbations=[]", "robustness.conditions=[]")
        if stage.startswith("perturbed_api")
    }
    assert "## Less tidy texts" not in (clone.path / "report/report.md").read_text()


def test_another_way_of_tuning_is_a_condition_of_its_own(clone):
    """It is trained and asked, stands in the table and the tests, and leaves the fine-tune alone."""
    clone.experiment()
    (clone.path / "conf/tunings/two.yaml").write_text(TUNINGS)
    # robustness reads the folder of predictions, and takes a second
    assert clone.experiment("tunings=two") - {"robustness"} == {
        "tune@dora", "tune@soft", "evaluate_tuned@dora", "evaluate_tuned@soft"
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
    clone.experiment()
    assert clone.experiment("prices=listed-2026-11") == ANALYSIS
    analysis = json.loads((clone.path / "metrics/analysis.json").read_text())
    assert analysis["economics"]["prices"]["as_of"] == "2026-11"


def paid_trainings(clone) -> int:
    analysis = json.loads((clone.path / "metrics/analysis.json").read_text())
    return analysis["economics"]["training"]["trainings"]


def test_a_new_rank_trains_one_trial_and_stops_when_it_loses(clone):
    """The sweep grows by one training; the winner unchanged, only what adds up its cost runs."""
    clone.experiment()
    before = paid_trainings(clone)
    winner = (clone.path / "metrics/selected.json").read_bytes()
    # ties go to the smaller rank, so a larger one that learns no better cannot win
    stages = clone.experiment("sweep.ranks=[2,4,8]")
    assert (clone.path / "metrics/selected.json").read_bytes() == winner
    assert stages == {"rank_trial@8", "select_rank", "select", "sweep"} | ANALYSIS
    assert paid_trainings(clone) == before + 1


def test_a_colour_touches_no_metric(clone):
    """Style reruns what draws."""
    clone.experiment()
    before = clone.digests()
    assert clone.experiment("plots.lora_color='#D55E00'") == {"sweep", "report"}
    assert clone.digests() == before


def test_outputs_are_byte_identical_when_made_again(clone):
    """Same deps and params, same bytes: early cut-off and the shared cache rest on it."""
    clone.experiment()
    before = clone.digests()
    stages = ["corpus", "split", "sanity", "rank_trial@4", "train@1", "evaluate_lora@1",
              "evaluate_api@embedded_zero_shot", "perturb", "perturbed_lora@1"]  # fmt: skip
    for stage in stages:
        clone.run("dvc", "repro", "--single-item", "--force", "--no-run-cache", stage)
    assert clone.digests() == before


def test_side_by_side_gives_the_lock_of_one_by_one(clone, tmp_path):
    """`run -j 2` from nothing, in a clone without cache: dvc.lock byte for byte, but for what was
    timed and what is worked out from it."""
    import yaml

    clone.experiment()
    clone.run("git", "add", "-A")
    clone.run("git", "commit", "-qm", "as it is", "--allow-empty")
    subprocess.run(["git", "clone", "-q", clone.path, tmp_path / "fresh"], check=True)
    fresh = Clone(tmp_path / "fresh")
    (fresh.path / "dvc.lock").unlink()
    said = fresh.run(sys.executable, "-m", "lora_vs_api", "run", "-j", "2")
    assert re.search(r"(\d+) of \1 done in", said)
    timed = {"metrics/analysis.json", "metrics/summary.json", "plots/conditions.csv",
             "plots/break_even.csv", "plots/sensitivity.csv"}  # fmt: skip
    one, two = clone.digests(), fresh.digests()
    # the old lock may still hold nodes of a setting tried before
    assert timed < set(two) <= set(one)
    assert {path for path in two if one[path] != two[path]} <= timed
    nodes = fresh.run("dvc", "stage", "list", "--name-only").split()
    assert set(nodes) == set(yaml.safe_load((fresh.path / "dvc.lock").read_text())["stages"])
    assert "up to date" in fresh.run(sys.executable, "-m", "lora_vs_api", "run")
    assert ran(fresh.run("dvc", "repro")) == set()


def test_a_colleague_gets_the_results_without_training(clone, tmp_path):
    """A folder as DVC remote, run cache included: clone, pull, repro runs nothing; and of a setting
    that somebody has already tried only what takes seconds, as when going back to it."""
    clone.experiment("lora.r=32")
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
    tried = fresh.run("dvc", "exp", "run", "--pull", "-S", "lora.r=32")
    assert ran(tried) <= {"select", "robustness"} | ANALYSIS
    selected = json.loads((fresh.path / "metrics/selected.json").read_text())
    adapter = json.loads((fresh.path / "models/lora/seed-1/adapter_config.json").read_text())
    assert selected["r"] == adapter["r"] == 32


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


def test_a_bad_param_stops_the_node_with_one_line(clone):
    """The stage names the key, exits non-zero and leaves no output behind."""
    clone.experiment()
    params = clone.path / "params.yaml"
    text = params.read_text()
    try:
        params.write_text(text.replace("max_steps: 2", "max_steps: soon"))
        output = clone.run("dvc", "repro", check=False)
        assert "error: params.yaml: train.max_steps: expected an integer ≥ 1, or null" in output
        assert "Traceback" not in output
    finally:
        params.write_text(text)
        clone.run("dvc", "checkout", check=True)


def test_no_gpu_and_no_key_are_said_in_one_line(clone):
    """What the other profiles need and this machine lacks is named, with what to do."""
    clone.experiment()
    overrides = ["-S", "device=cuda"]
    output = clone.run("dvc", "exp", "run", *overrides, "contamination", check=False)
    assert "error: device: cuda asked for, but torch finds no CUDA GPU here" in output
    output = clone.run(
        "dvc", "exp", "run", "-S", "api=openai", "evaluate_api@mini_zero_shot", check=False
    )
    assert "error: OPENAI_API_KEY" in output
    assert "Traceback" not in output
    clone.experiment()


def test_a_bad_corpus_line_is_named(clone):
    """A user who edits the corpus learns file and line, and no split is written."""
    clone.experiment()
    corpus = clone.path / "data/corpus.jsonl"
    lines = corpus.read_text().splitlines()
    broken = [*lines[:4], lines[4].replace('"urgency": ', '"urgency": "x'), *lines[5:]]
    # DVC may have linked the file to its cache, which must not change with it
    corpus.unlink()
    corpus.write_text("\n".join(broken) + "\n")
    output = clone.run("dvc", "repro", "--single-item", "split", check=False)
    assert re.search(r"error: data/corpus\.jsonl:5: ", output)
    assert not (clone.path / "data/splits/train.jsonl").exists()
    clone.run("dvc", "checkout", "--force")


def test_a_gate_that_fails_stops_the_sweep(clone):
    """No adapter is swept while the base does not learn."""
    output = clone.run("dvc", "exp", "run", "-S", "sanity.max_loss_ratio=0.0001", check=False)
    assert "error: sanity gate: the loss went from" in output
    assert not any(stage.startswith("rank_trial") for stage in ran(output))
    clone.experiment()


def test_a_hosted_api_is_paid_once(clone):
    """Through the real dvc: the answers are stored outside the DAG, a forced rerun of the node
    and another price ask nothing, and the key is in no file of the clone."""
    from tests.fault_server import Fault, FaultServer

    clone.experiment()
    key = f"sk-{secrets.token_hex(16)}"
    with FaultServer() as server:
        overrides = [
            flag
            for override in (
                "api=server",
                f"api.base_url={server.url}",
                "api.key_env=PLANTED_KEY",
                "api.replicates=2",
                "api.replicate_rows=2",
                "conditions.server_zero_shot.model=gpt-x",
                "conditions.server_few_shot_5.model=gpt-x",
            )
            for flag in ("-S", override)
        ]
        os.environ["PLANTED_KEY"] = key
        try:
            # a rejected key: one line, which does not show it
            rows = (clone.path / "data/splits/test.jsonl").read_text().splitlines()
            first = json.loads(rows[0])["text"]
            server.faults[first] = [Fault("status", 401, {"message": f"bad key {key}"})]
            stage = "evaluate_api@server_zero_shot"
            output = clone.run("dvc", "exp", "run", *overrides, stage, check=False)
            assert "error: api.key_env: " in output and key not in output
            assert "Traceback" not in output
            assert not (clone.path / "predictions/server_zero_shot").exists()

            output = clone.run("dvc", "exp", "run", *overrides)
            assert "input tokens: about USD" in output and key not in output
            assert {"evaluate_api@server_zero_shot", "analyze"} <= ran(output)
            asked = len(server.seen)
            # two conditions: three texts, two of them twice, and two texts perturbed in two ways
            assert asked == 1 + 2 * (3 + 2) + 2 * (2 * 2)
            report = (clone.path / "report/report.md").read_text()
            assert "### How far a repeated question gives another answer" in report
            clone.run("dvc", "repro", "--single-item", "--force", "--no-run-cache", stage)
            timings = json.loads(
                (clone.path / "timings/evaluate/server_zero_shot.json").read_text()
            )
            assert timings["stored"] == [True] * 3
            output = clone.run("dvc", "exp", "run", *overrides, "-S", "prices=listed-2026-11")
            assert not {s for s in ran(output) if s.startswith("evaluate_api")}
            assert len(server.seen) == asked
        finally:
            del os.environ["PLANTED_KEY"]
    for file in clone.path.rglob("*"):
        if file.is_file():
            assert key.encode() not in file.read_bytes(), file
    clone.experiment()


def test_a_task_of_ones_own_from_csv_to_report_and_use(clone):
    """From a spreadsheet to the answer and to records for new texts, with the README's commands."""
    rooms = ("single", "double", "suite")
    lines = ["ref,message,room,nights,rate"] + [
        f'B{i},"{rooms[i % 3]} room for {i % 4 + 1} nights, please (request {i})",'
        f"{rooms[i % 3]},{i % 4 + 1},{'' if i % 5 == 0 else 60 + i}"
        for i in range(60)
    ]
    (clone.path / "bookings.csv").write_text("\n".join(lines) + "\n")
    said = clone.run(
        sys.executable, "-m", "lora_vs_api", "init", "bookings.csv",
        "--text", "message", "--id", "ref",
    )  # fmt: skip
    assert 'make params SET="task=bookings" && dvc repro' in said
    done = clone.experiment("task=bookings")
    assert {"corpus", "data_check", "train@1", "evaluate_lora@0", *API, *ANALYSIS} <= done
    analysis = json.loads((clone.path / "metrics/analysis.json").read_text())
    assert analysis["fields"] == ["room", "nights", "rate"] and analysis["texts"] == 3
    assert json.loads((clone.path / "metrics/corpus.json").read_text())["labels"]["room"] == {
        "double": 20, "single": 20, "suite": 20,
    }  # fmt: skip
    for name in ("report.md", "sweep.md"):
        text = (clone.path / "report" / name).read_text().lower()
        # what the tiny model babbles is quoted in fences
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        # the word stands only where the report tells of the published experiment
        assert "customer" not in text and "urgency" not in text
        assert "email" not in text.replace("support emails", "").replace("support email", "")
    records = clone.run(
        sys.executable, "-m", "lora_vs_api", "predict", "--input", "bookings.csv",
        "--output", "records.jsonl", "--batch-size", "30",
    )  # fmt: skip
    assert "60 records written to records.jsonl" in records
    first = json.loads((clone.path / "records.jsonl").read_text().splitlines()[0])
    assert set(first["record"]) == {"room", "nights", "rate"}

    # a row that breaks the schema stops the first node, with its line, before anything is written
    lines[7] = lines[7].replace("single,3", "cellar,3")
    (clone.path / "bookings.csv").write_text("\n".join(lines) + "\n")
    output = clone.run("dvc", "repro", check=False)
    assert ran(output) == {"corpus"}
    assert "bookings.csv:8: room: expected one of double, single, suite, found 'cellar'" in output
