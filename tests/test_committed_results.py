"""The results in git are what the committed pipeline wrote, and say what the README says.

Nothing is run here: dvc.lock names every file's MD5, so a result edited by hand, a result of
other code, or a README that tells another story is found by reading.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lora_vs_api.analysis.results import read_analysis
from tests.warm import python

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def committed(tmp_path_factory) -> Path:
    """What is committed, apart from what this working tree was used for since."""
    path = tmp_path_factory.mktemp("committed") / "project"
    subprocess.run(["git", "clone", "-q", "--depth", "1", ROOT.as_uri(), path], check=True)
    return path


def lock(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "dvc.lock").read_text())["stages"]


def contents(path: Path) -> list[Path]:
    """A folder's files; .dvcignore names the one that only keeps the folder in git."""
    return [p for p in path.rglob("*") if p.is_file() and p.name != ".keep"]


def md5(path: Path) -> str:
    """DVC's checksum: a file's MD5, or that of a folder's listing (dvc_data.hashfile.tree)."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    files = sorted(contents(path))
    listing = [{"md5": md5(p), "relpath": p.relative_to(path).as_posix()} for p in files]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest() + ".dir"


def differing(root: Path, kind: str) -> list[str]:
    """Every committed dep or out that is not the one dvc.lock names; the rest is in DVC's cache."""
    items = [(stage, item) for stage, locked in lock(root).items() for item in locked.get(kind, [])]
    held = [
        (stage, item)
        for stage, item in items
        if (root / item["path"]).is_file() or contents(root / item["path"])
    ]
    assert len(held) > 20
    return sorted(
        f"{stage}: {item['path']}"
        for stage, item in held
        if md5(root / item["path"]) != item["md5"]
    )


def test_the_committed_results_are_those_in_the_lock(committed):
    """A number changed by hand is found."""
    assert differing(committed, "outs") == []


def test_the_results_belong_to_the_committed_code_and_data(committed):
    """A result older than the code is found: rerun it (`dvc repro`) or, where the change cannot
    touch a number, say so with `dvc commit`."""
    assert differing(committed, "deps") == []


def test_the_results_belong_to_the_committed_params(committed):
    """dvc.lock holds the values each node read; they are those of params.yaml."""
    params = yaml.safe_load((committed / "params.yaml").read_text())

    def value(key: str) -> Any:
        found = params
        for part in key.split("."):
            found = found[part]
        return found

    stale = {
        f"{stage}: {key}"
        for stage, locked in lock(committed).items()
        for key, then in locked.get("params", {}).get("params.yaml", {}).items()
        if value(key) != then
    }
    assert sorted(stale) == []


@pytest.mark.slow
def test_every_node_is_in_the_lock(committed):
    """No node of the DAG is left without a committed run."""
    listed = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only"],
        cwd=committed, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert sorted(listed) == sorted(lock(committed))


def test_lora_visibly_works_on_the_default_profile(committed):
    """What the default run promises: valid JSON ≥ 0.95, field F1 ≥ 0.30 above the untuned base
    with the paired interval clear of zero, on at least 48 texts."""
    analysis = read_analysis(committed / "metrics/analysis.json")
    assert analysis.texts >= 48
    assert analysis.lora.valid_json >= 0.95
    gain = analysis.comparison("base_zero_shot")
    assert gain.difference >= 0.30
    assert gain.low > 0 and gain.random_effects.low > 0


def test_the_readme_tells_the_committed_run(committed):
    """Every row of the README's result table stands in the report."""
    report = (committed / "report/report.md").read_text().splitlines()
    section = (
        (committed / "README.md").read_text().split("## What the run showed")[1].split("\n## ")[0]
    )
    table = [line for line in section.splitlines() if line.startswith("|")]
    assert len(table) > 4
    assert [line for line in table if line not in report] == []


@pytest.mark.slow
def test_the_scores_kept_of_a_gpu_are_those_of_its_answers(committed, tmp_path):
    """The commands of docs/results/README.md give the file that is kept, and README and gpu.md say it."""
    kept = committed / "docs/results/smol-gpu"
    project = tmp_path / "project"
    subprocess.run(["git", "clone", "-q", "--depth", "1", committed.as_uri(), project], check=True)
    shutil.copy(kept / "params.yaml", project)
    for folder in ("predictions", "timings"):
        shutil.copytree(kept / folder, project / folder, dirs_exist_ok=True)
    free = ("majority", "nearest", "nearest_copy")
    nodes = [["corpus"], ["split"], *(["evaluate_model_free", name] for name in free)]
    for node, *item in nodes:
        subprocess.run([python(), "-m", f"stages.{node}", *item], cwd=project, check=True)
    subprocess.run(
        [sys.executable, "docs/results/smol-gpu/score.py"], cwd=project, check=True,
        env={**os.environ, "PYTHONPATH": str(project)},
    )  # fmt: skip
    found = (project / "docs/results/smol-gpu/scores.json").read_text()
    assert found == (kept / "scores.json").read_text()

    scores = json.loads(found)
    tuned = scores["conditions"][0]["field_f1"]
    against = next(row for row in scores["fine_tune_minus"] if row["name"] == "nearest_copy")
    said = [f"{against[key]:.3f}" for key in ("difference", "low", "high")]
    for page in ("README.md", "docs/gpu.md"):
        words = (committed / page).read_text()
        assert all(number in words for number in (f"{tuned['estimate']:.3f}", *said)), page
