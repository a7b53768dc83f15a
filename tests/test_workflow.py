"""The workflow for pull requests: its own commands, run here on two revisions with a stand-in for gh."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.imports import ROOT

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/results.yml").read_text())


def step(name: str) -> dict:
    return next(s for s in WORKFLOW["jobs"]["compare"]["steps"] if s.get("name") == name)


def test_no_secret_and_no_more_rights_than_needed():
    """A pull request's code runs in it: the token may read, and write comments in one job."""
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert WORKFLOW["jobs"]["compare"]["permissions"] == {
        "contents": "read", "pull-requests": "write"
    }  # fmt: skip
    assert "secrets." not in (ROOT / ".github/workflows/results.yml").read_text()
    # YAML reads the key `on` as true
    assert "pull_request" in WORKFLOW[True] and "pull_request_target" not in WORKFLOW[True]
    # what comes from the pull request reaches the shell as variables, never as script
    assert all("${{" not in s.get("run", "") for j in WORKFLOW["jobs"].values() for s in j["steps"])


@pytest.fixture()
def project(tmp_path) -> Path:
    root = tmp_path / "project"
    (root / "metrics").mkdir(parents=True)
    (root / "report/figures").mkdir(parents=True)
    (root / "dvc.yaml").write_text("metrics: [metrics/summary.json]\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=root, check=True)
    shutil.copytree(ROOT / ".dvc/plots", root / ".dvc/plots", dirs_exist_ok=True)
    for f1, figure in (("0.4", "a"), ("0.5", "b")):
        (root / "metrics/summary.json").write_text(f'{{"lora": {{"field_f1": {f1}}}}}')
        (root / "report/figures/headline.png").write_text(figure)
        (root / "report/figures/paired.png").write_text("same")
        subprocess.run([*git, "add", "-A"], cwd=root, check=True)
        subprocess.run([*git, "commit", "-qm", f1], cwd=root, check=True)
    return root


def revision(root: Path, name: str) -> str:
    return subprocess.run(
        ["git", "rev-parse", name], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize("base", ["HEAD~1", "HEAD"])
def test_the_comment_says_what_changed(project, tmp_path, base):
    """Metrics of both sides and the figures that differ; without a change it says so."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "gh").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$GH_LOG"\n')
    (tools / "gh").chmod(0o755)
    head = revision(project, "HEAD")
    environment = dict(
        os.environ,
        PATH=f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        BASE=revision(project, base), HEAD=head, HEAD_REPO="me/fork", RUN="https://run",
        NUMBER="7", GITHUB_REPOSITORY="us/lora-vs-api", GH_LOG=str(tmp_path / "gh.log"),
        GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"), DVC_NO_ANALYTICS="1",
    )  # fmt: skip
    for name in ("compare", "comment"):
        # as GitHub runs a step: bash that stops at the first failure
        subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step(name)["run"]],
            cwd=project, env=environment, check=True,
        )  # fmt: skip
    comment = (project / "comment.md").read_text()
    image = (
        f"![headline](https://raw.githubusercontent.com/me/fork/{head}/report/figures/headline.png)"
    )
    if base == "HEAD":
        assert "No metric changes." in comment and "![" not in comment
    else:
        assert "| metrics/summary.json | lora.field_f1 | 0.4" in comment and "0.5" in comment
        assert image in comment and "paired.png" not in comment
    assert (tmp_path / "summary.md").read_text() == comment
    assert "--edit-last" in (tmp_path / "gh.log").read_text().split()
