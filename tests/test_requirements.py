"""requirements/: all that pip installs is one version with hashes, and nothing is missing."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.imports import ROOT

LISTS = {path.stem: path.read_text() for path in (ROOT / "requirements").glob("*.txt")}
ROLES = ("inference", "serving", "conversion", "training", "statistics", "prices", "figures")
# the converter is installed apart, into a folder of its own
RUN = (*(role for role in ROLES if role != "conversion"), "build", "run")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pinned(name: str) -> dict[str, str]:
    """Version by package of one list."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", LISTS[name], re.M))


def needed(*roots: str) -> set[str]:
    """Packages that these need here, themselves included."""
    seen: set[tuple[str, str]] = set()
    todo = [Requirement(root) for root in roots]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for line in metadata.requires(name) or []:
                child = Requirement(line)
                if child.marker is None or child.marker.evaluate({"extra": extra}):
                    todo.append(child)
    return {name for name, _ in seen}


@pytest.mark.parametrize("name", LISTS)
def test_every_pin_has_hashes(name):
    """Comment, pins and hashes: no address, no option, nothing that a machine would differ in."""
    comment, *rest = re.sub(r" \\\n\s*", " ", LISTS[name]).splitlines()
    assert comment.startswith("# ")
    pin = re.compile(r"[a-z0-9-]+==[^\s;]+( ; [^#]+?)?( --hash=sha256:[0-9a-f]{64})+")
    assert rest and all(pin.fullmatch(line) for line in rest)


def test_lists_share_no_package():
    """Each version stands in one place; torch's CPU build is the same torch with another file."""
    names = [package for name in LISTS if name != "cpu" for package in pinned(name)]
    assert len(names) == len(set(names))
    assert pinned("cpu") == {"torch": pinned("inference")["torch"] + "+cpu"}


def test_what_is_pinned_is_what_the_ranges_ask_for():
    """A range that was moved without `make lock` would install something else from PyPI."""
    versions = {package: version for name in LISTS for package, version in pinned(name).items()}
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *(line for e in extras.values() for line in e)]
    for requirement in map(Requirement, wanted):
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier


def test_a_run_needs_no_package_of_the_tests():
    """`make run` installs without dependencies: what is not listed would be missing."""
    run = {package for name in RUN for package in pinned(name)}
    lacking = needed(*PROJECT["project"]["dependencies"]) - run - set(pinned("cuda"))
    assert not lacking
    everything = needed(*PROJECT["project"]["optional-dependencies"]["dev"])
    assert not everything - run - set(pinned("test")) - set(pinned("cuda"))


def test_dvc_runs_with_run_txt_alone():
    """The workflow that compares two revisions installs nothing else."""
    assert not needed("dvc") - set(pinned("run")) - set(pinned("build"))


@pytest.mark.parametrize("name", ROLES)
def test_a_list_that_nodes_depend_on_says_so(name):
    assert "nodes of dvc.yaml depend on this file" in LISTS[name].splitlines()[0]


@pytest.mark.slow
def test_what_is_installed_fits_together():
    done = subprocess.run(
        [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
