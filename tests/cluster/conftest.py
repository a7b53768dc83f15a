"""Slurm and Ray for the tests of this folder; left out, with the reason, where there is no Slurm."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cluster.slurm import Slurm, missing, private_slurm
from tests.imports import ROOT

# how often each node's command began and came to its end, for exactly-once; a sleep that is killed
# ends it
COUNTED = "echo x >> {name}.began && sleep {seconds} && echo {name} > {name}.txt && echo x >> {name}.ended"
PIPELINE = """
stages:
  one:
    cmd: {one}
    outs: [one.txt]
  two:
    cmd: {two}
    outs: [two.txt]
  both:
    cmd: cat one.txt two.txt > both.txt; echo x >> both.ended
    deps: [one.txt, two.txt]
    outs: [both.txt]
"""


@dataclass
class Project:
    """A DVC project of three nodes in a folder that the cluster's machines share."""

    folder: Path
    environment: dict[str, str]
    # what a command begins with that is to see the cluster
    inside: list[str] = field(default_factory=list)
    heads: list[subprocess.Popen[str]] = field(default_factory=list)

    def write(self, one: float = 0.2, two: float = 0.2) -> None:
        commands = {
            name: COUNTED.format(name=name, seconds=seconds)
            for name, seconds in (("one", one), ("two", two))
        }
        (self.folder / "dvc.yaml").write_text(PIPELINE.format(**commands))

    def head(self, *arguments: str, on: str = "slurm", **more: str) -> subprocess.Popen[str]:
        """`lora-vs-api run --on …`, its words in a file that outlives a kill."""
        with (self.folder.parent / f"{self.folder.name}.said").open("w") as said:
            process = subprocess.Popen(
                [*self.inside, sys.executable, "-m", "lora_vs_api", "run", "--on", on, *arguments],
                cwd=self.folder, env={**self.environment, **more}, stderr=said, stdout=said,
                text=True, start_new_session=True,
            )  # fmt: skip
        self.heads.append(process)
        return process

    @property
    def said(self) -> str:
        return (self.folder.parent / f"{self.folder.name}.said").read_text()

    def run(self, *arguments: str, on: str = "slurm", **more: str) -> tuple[int, str]:
        code = self.head(*arguments, on=on, **more).wait(180)
        return code, self.said

    def goes_on(self, *arguments: str) -> bool:
        """Whether one more `run` gives the right results; what it said, where it fails."""
        code, said = self.run(*arguments)
        assert code == 0, said
        return self.is_right()

    def count(self, name: str) -> int:
        path = self.folder / name
        return len(path.read_text().split()) if path.is_file() else 0

    def is_right(self) -> bool:
        both = self.folder / "both.txt"
        return both.is_file() and both.read_text() == "one\ntwo\n"

    def clean(self) -> bool:
        """Whether DVC finds nothing left to do."""
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "status", "--json"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip() == "{}"


def wait_for(check: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not check() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert check()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # `make test-cluster` alone runs them: they start daemons, as root
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """The folder that the cluster's machines share, all but one."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="session")
def slurm(shared) -> Iterator[Slurm]:
    why = missing()
    if why is not None:
        pytest.skip(f"no Slurm here: {why}")
    with private_slurm(shared) as cluster:
        yield cluster


@pytest.fixture
def folder(empty_repository, shared, request) -> Path:
    return Path(shutil.copytree(empty_repository, shared / re.sub(r"\W", "-", request.node.name)))


def environment_for(environment: dict[str, str]) -> dict[str, str]:
    own = dict(environment, PYTHONPATH=str(ROOT), DVC_NO_ANALYTICS="1")
    own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    own.pop("OMP_NUM_THREADS", None)
    return own


@pytest.fixture
def project(slurm, folder) -> Iterator[Project]:
    """A project, and nothing in the queue before and after."""
    project = Project(folder, environment_for(slurm.environment))
    shutil.copy(ROOT / "params.yaml", folder)
    project.write()
    yield project
    for head in project.heads:
        if head.poll() is None:
            head.kill()
            head.wait()
    slurm.run("scancel", "--me")
    wait_for(lambda: not slurm.jobs("pending,running,completing"), 60)
