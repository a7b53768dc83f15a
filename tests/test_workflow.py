"""The workflows: their own commands, run here on small repositories with a stand-in for gh."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.imports import ROOT

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
MARK = "<!-- lora-vs-api: results -->"


def steps(workflow: str) -> list[dict]:
    return [step for job in WORKFLOWS[workflow]["jobs"].values() for step in job["steps"]]


def step(name: str, workflow: str = "results") -> dict:
    return next(s for s in steps(workflow) if s.get("name") == name)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nobody_else_decides_what_runs(name):
    """Actions are pinned by digest, with the version to read; what pip installs has hashes."""
    text = (ROOT / f".github/workflows/{name}.yml").read_text()
    used = re.findall(r"uses: (.*)", text)
    assert used and all(
        re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", line) for line in used
    )
    # one version of an action everywhere
    assert len({line.split("@")[0] for line in used}) == len(set(used))
    assert all("--require-hashes" in line for line in re.findall(r"pip install.*", text))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_more_rights_than_needed(name):
    """The token may read, and write comments in one job; no step finds it in git's settings."""
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    granted = {job: body["permissions"] for job, body in workflow["jobs"].items()
               if "permissions" in body}  # fmt: skip
    comments = {"compare": {"contents": "read", "pull-requests": "write"}}
    assert granted == (comments if name == "results" else {})
    for used in steps(name):
        if used.get("uses", "").startswith("actions/checkout@"):
            assert used["with"]["persist-credentials"] is False
    # what comes from outside reaches the shell as variables, never as script
    assert all("${{" not in s.get("run", "") for s in steps(name))
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_a_pull_request_meets_no_secret():
    """Its code runs in the workflow. YAML reads the key `on` as true."""
    workflow = WORKFLOWS["results"]
    assert "secrets." not in (ROOT / ".github/workflows/results.yml").read_text()
    assert set(workflow[True]) == {"push", "pull_request"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert [s["run"] for s in workflow["jobs"]["test"]["steps"] if "run" in s] == [
        "make lint", "make test"
    ]  # fmt: skip


def test_results_are_reproduced_by_hand_alone():
    """And the keys are in the environment of the steps that need them, not of all."""
    workflow = WORKFLOWS["repro"]
    assert set(workflow[True]) == {"workflow_dispatch"}
    assert workflow[True]["workflow_dispatch"]["inputs"]["push"]["default"] is False
    assert "env" not in workflow and "secrets." not in str(workflow["jobs"]["repro"].get("env"))
    assert {s["name"] for s in steps("repro") if "secrets." in str(s)} == {
        "reproduce", "push"
    }  # fmt: skip


@pytest.fixture()
def project(empty_repository, tmp_path) -> Path:
    root = Path(shutil.copytree(empty_repository, tmp_path / "project"))
    (root / "metrics").mkdir()
    (root / "report/figures").mkdir(parents=True)
    (root / "dvc.yaml").write_text("metrics: [metrics/summary.json]\n")
    shutil.copytree(ROOT / ".dvc/plots", root / ".dvc/plots", dirs_exist_ok=True)
    commit(root, "0.4", "a")
    return root


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(root: Path, f1: str, figure: str) -> str:
    """A revision with this result; its digest."""
    (root / "metrics/summary.json").write_text(f'{{"lora": {{"field_f1": {f1}}}}}')
    (root / "report/figures/headline.png").write_text(figure)
    (root / "report/figures/paired.png").write_text("same")
    git(root, "add", "-A")
    git(root, "commit", "-qm", f1)
    return git(root, "rev-parse", "HEAD")


# gh, as far as the workflow uses it: the comments so far through jq's stand-in, and what is sent
GH = """#!{python}
import json, os, sys
arguments = sys.argv[1:]
with open(os.environ["GH_LOG"], "a") as log:
    print(json.dumps(arguments), file=log)
if "--paginate" in arguments:
    for comment in json.loads(os.environ["COMMENTS"]):
        query = arguments[arguments.index("--jq") + 1]
        assert 'select(.user.login == "github-actions[bot]"' in query
        assert 'startswith("{mark}")' in query and query.endswith(" | .id")
        if comment["user"] == "github-actions[bot]" and comment["body"].startswith("{mark}"):
            print(comment["id"])
"""


def run(project: Path, tmp_path: Path, *names: str, workflow: str = "results", **variables) -> None:
    """These steps as GitHub runs them: bash that stops at the first failure."""
    tools = tmp_path / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "gh").write_text(GH.format(python=sys.executable, mark=MARK))
    (tools / "gh").chmod(0o755)
    environment = dict(
        os.environ,
        PATH=f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        GH_LOG=str(tmp_path / "gh.log"), GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"),
        GITHUB_SERVER_URL="https://hub", GITHUB_REPOSITORY="us/lora-vs-api", GITHUB_RUN_ID="1",
        RUNNER_TEMP=str(tmp_path), DVC_NO_ANALYTICS="1", **variables,
    )  # fmt: skip
    for name in names:
        subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step(name, workflow)["run"]],
            cwd=project, env=environment, check=True,
        )  # fmt: skip


@pytest.mark.parametrize("changes", [True, False])
@pytest.mark.slow
def test_the_comment_says_what_changed(project, tmp_path, changes):
    """Metrics of both sides and the figures that differ; without a change it says so.

    The target has got another result since the branch left: none of the pull request's doing.
    """
    left = git(project, "rev-parse", "HEAD")
    git(project, "checkout", "-q", "-b", "target")
    target = commit(project, "0.9", "target's")
    git(project, "checkout", "-q", "-b", "branch", left)
    if changes:
        head = commit(project, "0.5", "b")
    else:
        git(project, "commit", "-q", "--allow-empty", "-m", "words")
        head = git(project, "rev-parse", "HEAD")
    run(project, tmp_path, "compare", TARGET=target, HEAD=head, HEAD_REPO="me/fork")
    comment = (project / "comment.md").read_text()
    assert comment.startswith(MARK) and left[:10] in comment and "0.9" not in comment
    if changes:
        assert "| metrics/summary.json | lora.field_f1 | 0.4" in comment and "0.5" in comment
        picture = f"https://hub/me/fork/blob/{head}/report/figures/headline.png?raw=true"
        assert f"![headline]({picture})" in comment and "paired.png" not in comment
    else:
        assert "No metric changes." in comment and "![" not in comment


@pytest.mark.slow
def test_a_long_comment_is_cut_at_a_line(project, tmp_path):
    """GitHub would refuse it whole; the figures stand before the table."""
    base = git(project, "rev-parse", "HEAD")
    many = {f"metric-{n}-{'x' * 40}": n for n in range(2000)}
    (project / "metrics/summary.json").write_text(json.dumps(many))
    (project / "report/figures/headline.png").write_text("b")
    git(project, "commit", "-qam", "many")
    head = git(project, "rev-parse", "HEAD")
    run(project, tmp_path, "compare", TARGET=base, HEAD=head, HEAD_REPO="us/lora-vs-api")
    comment = (project / "comment.md").read_text()
    assert len(comment) < 65_536 and "![headline]" in comment
    assert comment.endswith("Cut here: `dvc metrics diff` tells the rest.\n")


@pytest.mark.parametrize(
    ("comments", "method", "where"),
    [
        ([], "POST", "issues/7/comments"),
        ([{"id": 5, "user": "github-actions[bot]", "body": "of another workflow"},
          {"id": 6, "user": "somebody", "body": MARK}], "POST", "issues/7/comments"),
        ([{"id": 5, "user": "github-actions[bot]", "body": "of another workflow"},
          {"id": 8, "user": "github-actions[bot]", "body": MARK + "\nold"}],
         "PATCH", "issues/comments/8"),
    ],
)  # fmt: skip
def test_only_its_own_comment_is_rewritten(project, tmp_path, comments, method, where):
    (project / "comment.md").write_text(MARK)
    run(project, tmp_path, "comment", NUMBER="7", COMMENTS=json.dumps(comments))
    *_, sent = map(json.loads, (tmp_path / "gh.log").read_text().splitlines())
    assert sent == ["api", "--method", method, f"repos/us/lora-vs-api/{where}", "--silent", "-F",
                    "body=@comment.md"]  # fmt: skip
    assert (tmp_path / "summary.md").read_text() == MARK


@pytest.mark.slow
def test_what_was_reproduced_is_pushed_and_fetched_again(project, tmp_path):
    """With a folder as the remote: the second run takes the node from the first one's run cache."""
    (project / "count.py").write_text("open('ran', 'a').write('x'); open('out', 'w').write('1')")
    (project / "dvc.yaml").write_text(
        "stages: {one: {cmd: python count.py, deps: [count.py], outs: [out]}}\n"
    )
    (project / ".gitignore").write_text("/ran\n/out\n")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "a node")
    clone = tmp_path / "clone"
    shutil.copytree(project, clone)
    remote = {"REMOTE": str(tmp_path / "remote"), "ENDPOINT": ""}
    (tmp_path / "remote").mkdir()
    for place in (project, clone):
        run(place, tmp_path, "remote", "reproduce", "push", "patch",
            workflow="repro", SETTINGS="", **remote)  # fmt: skip
        assert "dvc.lock" in (tmp_path / "results.patch").read_text()
        assert (place / "out").read_text() == "1"
    assert (project / "ran").exists() and not (clone / "ran").exists()
