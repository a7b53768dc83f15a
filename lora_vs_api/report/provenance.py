"""Where a report was written: the commit and the environment.

The commit changes between runs of equal inputs, so it goes into a file of its own and never into
the report.
"""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

from lora_vs_api.digests import file_sha256

PACKAGES = [
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "openai",
    "dvc",
    "hydra-core",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "seaborn",
    "matplotlib",
    "markdown-it-py",
]
# what a run itself writes: a new result is no uncommitted change of the experiment
RESULTS = ("metrics", "plots", "predictions", "timings", "report", "dvc.lock")
HYPOTHESIS = "conf/hypothesis"


@dataclass(frozen=True)
class Installation:
    """Python, platform and package versions."""

    python: str
    platform: str
    packages: dict[str, str]


class Registration(TypedDict):
    """The commit that last changed the registered claim."""

    commit: str
    date: str
    before_head: bool
    uncommitted: bool


class GitState(TypedDict):
    """``date`` is the commit's, as git writes ISO 8601."""

    commit: str
    date: str | None
    dirty: bool
    changed: list[str]
    shallow: bool
    hypothesis: Registration | None


# not a class: two keys are files' names
Provenance = TypedDict(
    "Provenance",
    {
        "git": GitState | None,
        "params.yaml_sha256": str | None,
        "dvc.yaml_sha256": str | None,
        "python": str,
        "platform": str,
        "packages": dict[str, str],
    },
)


def installation() -> Installation:
    """Where this runs; the same on every run of one installation."""
    return Installation(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        packages={name: _version(name) for name in PACKAGES},
    )


def provenance(root: str | Path = ".") -> Provenance:
    """What report/provenance.json holds; ``git`` is None outside a repository with a commit.

    ``git.dirty`` is whether anything but a run's results differs from the commit, and
    ``git.changed`` lists it. ``git.hypothesis`` is the commit that last changed the registered
    claim; ``before_head`` says that the reported commit descends from it and is another one.
    ``params.yaml_sha256`` and ``dvc.yaml_sha256`` are the digests of the configuration and of the
    DAG; `dvc.lock` is written after this file and holds its digest.
    """
    here = installation()
    return {
        "git": _git_state(root),
        "params.yaml_sha256": _sha256(Path(root, "params.yaml")),
        "dvc.yaml_sha256": _sha256(Path(root, "dvc.yaml")),
        "python": here.python,
        "platform": here.platform,
        "packages": here.packages,
    }


def _sha256(file: Path) -> str | None:
    return file_sha256(file) if file.exists() else None


def _git_state(root: str | Path) -> GitState | None:
    head = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if head is None:
        return None
    results = [f":(exclude){path}" for path in RESULTS]
    changed = _git(root, "status", "--porcelain", "--no-renames", "--", ".", *results) or ""
    return {
        "commit": head,
        "date": _git(root, "log", "-1", "--format=%cI"),
        "dirty": bool(changed),
        "changed": [line[2:].strip() for line in changed.splitlines()],
        # in a shallow clone, the last change that can be seen is not the last there was
        "shallow": _git(root, "rev-parse", "--is-shallow-repository") == "true",
        "hypothesis": _registration(root, head),
    }


def _registration(root: str | Path, head: str) -> Registration | None:
    registered = _git(root, "log", "-1", "--format=%H %cI", "--", HYPOTHESIS)
    if not registered:
        return None
    commit, date = registered.split()
    return {
        "commit": commit,
        "date": date,
        "before_head": commit != head
        and _git(root, "merge-base", "--is-ancestor", commit, head) is not None,
        "uncommitted": bool(_git(root, "status", "--porcelain", "--", HYPOTHESIS)),
    }


def _git(root: str | Path, *arguments: str) -> str | None:
    """Output of a git command, or None where git, the repository or the answer is missing."""
    try:
        done = subprocess.run(
            # no refresh of the index: another git may hold its lock
            ["git", "--no-optional-locks", *arguments],
            cwd=root,
            capture_output=True,
            text=True,
        )
    except OSError:
        return None
    return done.stdout.rstrip() if done.returncode == 0 else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
