"""A clone holds the bytes that were committed, whatever git is told of line ends: DVC hashes bytes."""

from __future__ import annotations

import subprocess

import pytest

from tests.imports import ROOT


def git(*arguments: str, cwd) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments],
        cwd=cwd, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


@pytest.mark.parametrize("autocrlf", ["true", "input", "false"])
def test_a_clone_changes_no_dep(tmp_path, autocrlf):
    """Sources, settings, pinned lists, and a CSV that came with Windows' line ends."""
    files = {
        "stages/train.py": b"print(1)\n",
        "params.yaml": b"seeds: [0]\n",
        "conf/config.yaml": b"a: 1\n",
        "dvc.lock": b"schema: '2.0'\n",
        "requirements/training.txt": b"# role\n",
        "metrics/summary.json": b"{}\n",
        "report/report.html": b"<p>\n",
        "data/mine.csv": b"text,label\r\nhello,a\r\n",
        "report/figures/headline.png": b"\x89PNG\r\n\x1a\n",
    }
    origin = tmp_path / "origin"
    for name, content in files.items():
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_bytes(content)
    (origin / ".gitattributes").write_bytes((ROOT / ".gitattributes").read_bytes())
    git("init", "-q", cwd=origin)
    git("add", "-A", cwd=origin)
    git("commit", "-qm", "all", cwd=origin)
    git("-c", f"core.autocrlf={autocrlf}", "clone", "-q", str(origin), "clone", cwd=tmp_path)
    assert {name: (tmp_path / "clone" / name).read_bytes() for name in files} == files


def test_what_is_committed_is_in_its_form():
    """Nothing that .gitattributes would write otherwise than it was committed."""
    for line in git("ls-files", "--eol", cwd=ROOT).splitlines():
        index, _, attributes, *_ = line.split()
        assert index in ("i/lf", "i/none", "i/-text") or attributes == "attr/-text", line
