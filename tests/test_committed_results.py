"""The results in git are what the committed pipeline wrote, and say what the README says.

Nothing is run here: dvc.lock names every file's MD5, so a result edited by hand, a result of
other code, or a README that tells another story is found by reading.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lora_vs_api.analysis.results import read_analysis

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


def test_readme_and_docs_tell_the_run_that_is_kept_of_a_gpu(committed):
    """Its score, and by how much it leads the rival without a model."""
    summary = json.loads((committed / "docs/results/smol-gpu/summary.json").read_text())
    rival = summary["strongest_rival"]
    assert rival["condition"] == "nearest_copy"
    gain = (rival[key] for key in ("lora_gain", "lora_gain_low", "lora_gain_high"))
    said = [f"{number:.3f}" for number in (summary["lora"]["field_f1"], *gain)]
    for page in ("README.md", "docs/gpu.md"):
        words = (committed / page).read_text()
        assert [number for number in said if number not in words] == [], page


def test_a_gpu_gave_the_same_bytes_twice(committed):
    """docs/gpu.md says so of the final trainings that two machines ran: adapters, losses, answers."""
    kept = committed / "docs/results/smol-gpu"

    def digests(file: Path) -> dict[str, str]:
        stages = yaml.safe_load(file.read_text())["stages"]
        return {
            out["path"]: out["md5"]
            for seed in range(3)
            for node in (f"train@{seed}", f"evaluate_lora@{seed}")
            for out in stages[node]["outs"]
            if not out["path"].startswith("timings/")
        }

    first, second = digests(kept / "sweep/dvc.lock"), digests(kept / "dvc.lock")
    assert len(first) == 9
    assert first == second
