"""The results in git are what the committed pipeline wrote, and say what the README says.

Nothing is run here: dvc.lock names every file's MD5, so a result edited by hand, a result of
other code, or a README that tells another story is found by reading.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
LOCK = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
TRACKED = set(
    subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
)


def md5(path: Path) -> str:
    """DVC's checksum: a file's MD5, or that of a folder's listing (dvc_data.hashfile.tree)."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    files = sorted(p for p in path.rglob("*") if p.is_file())
    listing = [{"md5": md5(p), "relpath": p.relative_to(path).as_posix()} for p in files]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest() + ".dir"


def in_git(path: str) -> bool:
    return path in TRACKED or any(name.startswith(f"{path}/") for name in TRACKED)


def entries(kind: str) -> list[tuple[str, str, str]]:
    """(stage, path, md5) of every dep or out in dvc.lock that git holds."""
    return sorted(
        (stage, item["path"], item["md5"])
        for stage, locked in LOCK.items()
        for item in locked.get(kind, [])
        if in_git(item["path"])
    )


@pytest.mark.parametrize(("stage", "path", "locked"), entries("outs"))
def test_a_committed_result_is_the_one_in_the_lock(stage, path, locked):
    """A number changed by hand is found."""
    assert md5(ROOT / path) == locked, f"{path} is not what {stage} wrote; run `dvc repro`"


def test_the_results_belong_to_the_committed_code_and_data():
    """A result older than the code is found: rerun it (`dvc repro`) or, where the change cannot
    touch a number, say so with `dvc commit`."""
    stale = {
        f"{stage}: {path}" for stage, path, locked in entries("deps") if md5(ROOT / path) != locked
    }
    assert sorted(stale) == []


def test_the_results_belong_to_the_committed_params():
    """dvc.lock holds the values each node read; they are those of params.yaml."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())

    def value(key: str):
        found = params
        for part in key.split("."):
            found = found[part]
        return found

    stale = {
        f"{stage}: {key}"
        for stage, locked in LOCK.items()
        for key, then in locked.get("params", {}).get("params.yaml", {}).items()
        if value(key) != then
    }
    assert sorted(stale) == []


def test_every_node_is_in_the_lock():
    """No node of the DAG is left without a committed run."""
    listed = subprocess.run(
        ["dvc", "stage", "list", "--name-only"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert sorted(listed) == sorted(LOCK)


def test_lora_visibly_works_on_the_default_profile():
    """What the default run promises: valid JSON ≥ 0.95, field F1 ≥ 0.30 above the untuned base
    with the paired interval clear of zero, on at least 60 emails."""
    analysis = json.loads((ROOT / "metrics/analysis.json").read_text())
    conditions = {row["name"]: row for row in analysis["conditions"]}
    assert analysis["emails"] >= 60
    assert conditions["lora"]["valid_json"] >= 0.95
    gain = {row["baseline"]: row for row in analysis["comparisons"]}["base_zero_shot"]
    assert gain["difference"] >= 0.30
    assert gain["low"] > 0 and gain["with_seeds"]["low"] > 0


def test_the_readme_tells_the_committed_run():
    """Every row of the README's result table stands in the report."""
    report = (ROOT / "report/report.md").read_text().splitlines()
    section = (ROOT / "README.md").read_text().split("## What the run showed")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    assert len(table) > 4
    assert [line for line in table if line not in report] == []
