"""`run --on ray` on a cluster of several machines: one folder, what never fits, a head that dies."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from itertools import accumulate
from pathlib import Path

import pytest
import yaml

from tests.cluster.conftest import Project, wait_for
from tests.cluster.raylets import CPUS, Raylets, private_ray
from tests.imports import ROOT

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0,
    reason="no Ray here: a network of its own needs root",
)


@pytest.fixture(scope="module")
def ray():
    with private_ray(ROOT) as raylets:
        yield raylets


@pytest.fixture
def project(ray, folder):
    project = Project(folder, {**ray.environment, "RAY_ADDRESS": ray.address}, ray.inside)
    project.environment.pop("OMP_NUM_THREADS", None)
    shutil.copy(ROOT / "params.yaml", folder)
    project.write()
    yield project
    for head in project.heads:
        if head.poll() is None:
            head.kill()
            head.wait()


def alive(ray: Raylets) -> int:
    """Machines of the cluster, as Ray counts them."""
    code = (
        "import ray, logging; ray.init(logging_level=logging.ERROR, log_to_driver=False); "
        "print('alive:', sum(n['Alive'] for n in ray.nodes()))"
    )
    done = subprocess.run(
        [*ray.inside, sys.executable, "-c", code],
        env={**ray.environment, "RAY_ADDRESS": ray.address}, capture_output=True, text=True,
    )  # fmt: skip
    # Ray writes lines of its own there, as of a machine that it has lost
    found = re.search(r"^alive: (\d+)$", done.stdout, re.MULTILINE)
    return int(found[1]) if found else 0


def test_three_machines_give_the_right_results(project, ray):
    try:
        # one after the other: of one address here, they would choose the same ports
        for number, name in enumerate(("second", "third"), start=2):
            ray.start(name)
            wait_for(lambda number=number: alive(ray) == number)
        code, said = project.run("-j", "2", on="ray")
        assert code == 0 and "3 of 3 done" in said, said
        assert project.is_right() and project.clean()
        assert [project.count(f"{name}.ended") for name in ("one", "two", "both")] == [1, 1, 1]
    finally:
        for name in set(ray.machines) - {"head"}:
            ray.kill(name)


def test_a_machine_without_this_folder_is_refused(project, ray, shared):
    """Before anything runs, in one line."""
    ray.start("blind", hidden=shared)
    try:
        wait_for(lambda: alive(ray) >= 2)
        code, said = project.run("one", on="ray")
    finally:
        ray.kill("blind")
    assert code == 1 and f"does not see this folder: {project.folder} has to be the same" in said, (
        said
    )
    assert "Traceback" not in said and project.count("one.began") == 0
    assert not list(Path(project.folder, ".dvc/tmp").glob("marker-*"))


def test_machines_with_clones_and_a_dvc_remote(project, ray, shared, tmp_path):
    """No shared folder: each node in the machine's own clone, what it leaves through the remote."""
    folder, ran = project.folder, tmp_path / "ran"
    (folder / "dvc.yaml").write_text(
        f"""
stages:
  one: {{cmd: pwd >> {ran}; sleep 6; echo one > one.txt, outs: [one.txt]}}
  two: {{cmd: pwd >> {ran}; sleep 6; echo two > two.txt, outs: [two.txt: {{cache: false}}]}}
  both:
    cmd: pwd >> {ran}; cat one.txt two.txt > both.txt
    deps: [one.txt, two.txt]
    outs: [both.txt]
"""
    )
    # a whole machine each, so that they share none
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["nodes"] = {"default": {"cpus": CPUS, "gpus": 0, "memory_gb": 1, "minutes": 5}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    code, said = project.run("--transfer", "remote", on="ray")
    assert code == 1 and "no DVC remote is set" in said, said
    with (folder / ".dvc/config").open("a") as config:
        config.write(f"[core]\n    remote = r\n['remote \"r\"']\n    url = {tmp_path}/remote\n")
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    clones = {name: tmp_path / name for name in ("second", "third")}
    # one that an earlier test has killed is counted for a while
    wait_for(lambda: alive(ray) == 1)
    try:
        for number, (name, clone) in enumerate(clones.items(), start=2):
            subprocess.run(["git", "clone", "-q", folder, clone], check=True)
            ray.start(name, hidden=shared, checkout=clone)
            wait_for(lambda number=number: alive(ray) == number)
        code, said = project.run("-j", "3", "--transfer", "remote", on="ray")
    finally:
        for name in set(ray.machines) - {"head"}:
            ray.kill(name)
    assert code == 0 and "3 of 3 done" in said, said
    assert project.is_right() and project.clean()
    places = ran.read_text().split()
    assert len(places) == 3 and any(str(tmp_path) in place for place in places), places


STAGE = """
import os, sys, time
with open("ran", "a") as ran:
    ran.write(f"begins {os.environ.get('CUDA_VISIBLE_DEVICES')} {'torch' in sys.modules}\\n")
    ran.flush()
    time.sleep(2)
    ran.write("ends\\n")
open(sys.argv[1], "w").close()
"""


def test_nodes_share_a_gpu_and_are_forked(project, ray):
    """Two halves of the one card side by side; Ray's workers keep what torch and the rest took to import."""
    folder = project.folder
    (folder / "stages").mkdir()
    (folder / "stages/__init__.py").touch()
    (folder / "stages/node.py").write_text(STAGE)
    names = [f"n{number}" for number in range(10)]
    stages = {n: {"cmd": f"python -m stages.node {n}.txt", "outs": [f"{n}.txt"]} for n in names}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["runtime"]["device"] = "cuda"
    half = {"cpus": 1, "gpus": 0.5, "memory_gb": 1, "minutes": 5}
    params["nodes"] = {"default": half}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    code, said = project.run("-j", "3", on="ray")
    assert code == 1 and "n0: needs 0.5 GPU, 1 cores" in said and "at most 0 GPU" in said, said
    ray.start("card", gpus=1)
    try:
        wait_for(lambda: alive(ray) == 2)
        code, said = project.run("-j", "3", on="ray")
    finally:
        ray.kill("card")
    assert code == 0 and "10 of 10 done" in said, said
    ran = (folder / "ran").read_text().splitlines()
    begins = [line.split() for line in ran if line != "ends"]
    assert {card for _, card, _ in begins} == {"0"}
    at_once = list(accumulate(-1 if line == "ends" else 1 for line in ran))
    assert max(at_once) == 2
    # each of Ray's workers starts its third node's worker, which imports while that one runs
    forked = [imported for _, _, imported in begins].count("True")
    assert forked >= 3, begins


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"cpus": 1, "gpus": 0, "memory_gb": 500, "minutes": 5},
            "1 cores, 500 GB of memory on one",
        ),
        ({"cpus": 64, "gpus": 0, "memory_gb": 1, "minutes": 5}, "64 cores, 1 GB of memory on one"),
    ],
)
def test_what_no_machine_holds_is_refused(project, asked, said):
    """Ray itself would wait for such a machine without end and without a word."""
    params = yaml.safe_load((project.folder / "params.yaml").read_text())
    params["nodes"]["both"] = asked
    (project.folder / "params.yaml").write_text(yaml.safe_dump(params))
    code, lines = project.run(on="ray")
    assert code == 1 and f"error: both: needs 0 GPU, {said}" in lines, lines
    assert project.count("one.began") == 0


def test_a_head_of_ray_that_dies_is_said(folder):
    """Within seconds and in one line; with another head the next run does the rest, each node once."""
    with private_ray(ROOT) as ray:
        project = Project(folder, {**ray.environment, "RAY_ADDRESS": ray.address}, ray.inside)
        shutil.copy(ROOT / "params.yaml", folder)
        project.write(one=120)
        head = project.head("one", on="ray")
        wait_for(lambda: project.count("one.began"))
        ray.kill("head")
        began = time.monotonic()
        assert head.wait(60) == 1
        assert time.monotonic() - began < 30
        assert f"error: one: the Ray head at {ray.address} is dead" in project.said, project.said
        assert "Traceback" not in project.said and len(project.said.splitlines()) < 15
    project.inside = []
    project.write()
    code, said = project.run(on="local")
    assert code == 0 and project.is_right(), said
    assert project.count("one.ended") == 1
