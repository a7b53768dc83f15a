"""A whole run from nothing, node by node, and what a change costs after it.

In a clone of the last commit in a temporary folder, without its dvc.lock, so that every node runs.
DVC runs them as ever; only the ``python`` it finds on PATH measures what it starts
(``benchmarks.measured_node``), for the run from nothing alone. Once: it takes as long as the
pipeline does. The base model comes over the network, as for everybody.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measured_node import LOG
from benchmarks.timing import Row
from lora_vs_api.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
LOCAL = "conf/local.yaml"
# of the wall time of a run from nothing
MAX_STARTING = 0.10
CHANGES = {
    "`dvc exp run -S lora.r=32`": ["exp", "run", "-S", "lora.r=32"],
    "`-S prices=listed-2026-11` on top": [
        "exp", "run", "-S", "lora.r=32", "-S", "prices=listed-2026-11",
    ],
    "`dvc repro` with nothing to do": ["repro"],
    "`dvc status`": ["status"],
}  # fmt: skip


@dataclass(frozen=True)
class NodeRun:
    """Wall seconds of a node's command, its peak MiB, and the seconds of start-up and imports."""

    name: str
    seconds: float
    peak: float
    starting: float


def run(given: argparse.Namespace) -> list[Row]:
    profile = given.profile or ("laptop" if given.device == "cpu" else "smol-gpu")
    with _folder(given.folder) as folder:
        clone = fresh_clone(folder, profile)
        log, plain = folder / "nodes.jsonl", _environment(folder)
        log.touch()
        measuring = dict(plain, **{LOG: str(log)})
        measuring["PATH"] = os.pathsep.join([str(_measuring(folder)), plain["PATH"]])
        wall = _dvc(["repro"], clone, measuring)
        nodes = read_log(log)
        # what a user does with results before trying something else
        _git(clone, "add", "-A")
        _git(clone, "commit", "-qm", "results")
        changes = {what: _dvc(command, clone, plain) for what, command in CHANGES.items()}
    return [*whole_run(profile, wall, nodes), *map(_change, changes.items()), *map(_node, nodes)]


@contextmanager
def _folder(kept: str | None) -> Iterator[Path]:
    """The folder to work in: a new one that stays, or a temporary one."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="lora-vs-api-") as folder:
            yield Path(folder)
        return
    folder = Path(kept).absolute()
    if folder.exists():
        raise UserError(f"--folder: {kept} is already there; name a new one")
    folder.mkdir(parents=True)
    yield folder


def fresh_clone(folder: Path, profile: str) -> Path:
    """The last commit without dvc.lock, set to ``profile``; ``tiny`` is the tests' of seconds."""
    clone = folder / "project"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    _git(clone, "config", "user.email", "benchmark@example.org")
    _git(clone, "config", "user.name", "benchmark")
    if profile == "tiny":
        from tests.clones import TINY, tiny_models

        (clone / LOCAL).write_text(TINY.format_map(tiny_models(folder)))
    elif profile != "laptop":
        if not (clone / f"conf/profile/{profile}.yaml").is_file():
            raise UserError(f"--profile: no conf/profile/{profile}.yaml; or tiny, as in the tests")
        settings = f"# @package _global_\ndefaults:\n  - override /profile: {profile}\n"
        (clone / LOCAL).write_text(settings)
    subprocess.run([sys.executable, "-m", "lora_vs_api", "params"], cwd=clone, check=True)
    (clone / "dvc.lock").unlink(missing_ok=True)
    _git(clone, "add", "-A")
    _git(clone, "commit", "-qm", "as it is measured", "--allow-empty")
    return clone


def read_log(log: Path) -> list[NodeRun]:
    """The nodes in the order in which they ran; the lines of their imports stand before each."""
    nodes, starting = [], 0.0
    for line in map(json.loads, log.read_text().splitlines()):
        if "importing" in line:
            starting += line["importing"]
            continue
        module, *item = line["command"][line["command"].index("-m") + 1 :]
        name = "@".join([module.removeprefix("stages."), *item])
        nodes.append(NodeRun(name, line["seconds"], line["peak"], starting))
        starting = 0.0
    return nodes


def whole_run(profile: str, wall: float, nodes: Sequence[NodeRun]) -> list[Row]:
    """The run's wall time, and the share of it that is start-up."""
    in_nodes, starting = sum(n.seconds for n in nodes), sum(n.starting for n in nodes)
    return [
        Row(
            "pipeline",
            f"`dvc repro` from nothing, {profile}, {len(nodes)} nodes",
            "s",
            wall,
            notes={
                "peak MiB": round(max(n.peak for n in nodes)),
                "start-up, s": round(starting, 1),
                "DVC itself, s": round(wall - in_nodes, 1),
            },
        ),
        Row(
            "pipeline",
            "share of start-up and imports in it",
            "%",
            100 * starting / wall,
            notes={"goal": f"at most {MAX_STARTING:.0%}"},
        ),
    ]


def _change(measured: tuple[str, float]) -> Row:
    return Row("pipeline", measured[0], "s", measured[1])


def _node(node: NodeRun) -> Row:
    notes = {"peak MiB": round(node.peak), "start-up, s": round(node.starting, 2)}
    return Row("pipeline", f"node {node.name}", "s", node.seconds, notes=notes)


def _measuring(folder: Path) -> Path:
    """A folder with the ``python`` that measures what it runs."""
    place = folder / "bin"
    place.mkdir()
    measure = Path(__file__).with_name("measured_node.py")
    # -I: nothing of the node's environment has a say in what measures it
    script = f'#!/bin/sh\nexec "{sys.executable}" -I "{measure}" "{sys.executable}" "$@"\n'
    for name in ("python", "python3"):
        (place / name).write_text(script)
        (place / name).chmod(stat.S_IRWXU)
    return place


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
        "DVC_NO_ANALYTICS": "1",
        # what DVC keeps of a project outside it goes when the clone goes
        "DVC_SITE_CACHE_DIR": str(folder / "site"),
    }


def _dvc(command: Sequence[str], clone: Path, environment: dict[str, str]) -> float:
    """Seconds of a dvc command in ``clone``; what it says goes to stderr."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *command], cwd=clone, env=environment, stdout=sys.stderr
    )
    if done.returncode:
        raise UserError(f"dvc {' '.join(command)} failed in the clone; see above")
    return time.monotonic() - started


def _git(clone: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=clone, check=True)
