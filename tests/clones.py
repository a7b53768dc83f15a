"""Clones of the project whose settings make every node take seconds, for tests through the real dvc."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from tests import warm
from tests.imports import ROOT

# the opponents are the base model itself, behind the real server: nothing is downloaded
TINY = """# @package _global_
defaults:
  - override /model: local
  - override /serving: transformers
model:
  disk_gb: 0.01
  weights: {{path: "{model}"}}
runtime: {{dtype: float32, pad_token: <|endoftext|>}}
data: {{n: 100}}
split: {{set_aside: 3}}
review: {{sample: 5}}
contamination: {{rows: 2}}
sanity: {{steps: 2, rows: 2, max_loss_ratio: 10, min_valid_json: 0, r: 2}}
train: {{max_steps: 2, batch_size: 2}}
sweep: {{ranks: [2, 4], trial: {{val_rows: 2, train: {{max_steps: 2}}}}}}
learning_curve: {{sizes: [], seeds: [10], steps: {{least: 1}}}}
decoding: {{max_new_tokens: 400}}
evaluate: {{test_rows: 3, latency_rows: 1}}
model_free: [nearest_copy]
robustness: {{texts: {{rows: 2, perturbations: [typos, signature]}}}}
cascade: {{val_rows: 3}}
opponents:
  large: &tiny
    license: null
    bytes: {bytes}
    sha256: "{sha256}"
    sources: [{{source: path, path: "{gguf}"}}]
  small: *tiny
stats: {{resamples: 200}}
seeds: [0, 1]
"""
# what is worked out from timings, such as what trainings cost
COSTS = {"metrics/analysis.json", "metrics/cascade.json", "metrics/summary.json", "plots/break_even.csv",
         "plots/conditions.csv", "plots/sensitivity.csv"}  # fmt: skip
ANALYSIS = {"analyze", "cascade", "report"}
# read the answers, beside what the report is about; in a second
SCORING = {"robustness", "learning_curve"}


class Clone:
    """A clone of the project whose settings make every node take seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def copy(self, path: Path) -> Clone:
        """Another one in the same state, caches included."""
        return Clone(Path(shutil.copytree(self.path, path, symlinks=True)))

    def run(self, *command: str, check: bool = True) -> str:
        environment = dict(os.environ)
        # the stages call `python`, which has to be the one that runs these tests
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        environment["PATH"] = warm.in_front(binaries)
        environment.setdefault("OMP_NUM_THREADS", "1")
        environment.update(DVC_NO_ANALYTICS="1", OPENAI_API_KEY="", CUDA_VISIBLE_DEVICES="")
        if command[0] == sys.executable:
            command = (warm.python(), *command[1:])
        done = subprocess.run(
            command, cwd=self.path, env=environment, capture_output=True, text=True
        )
        output = done.stdout + done.stderr
        if check:
            assert done.returncode == 0, output[-4000:]
        else:
            assert done.returncode != 0, output[-4000:]
        return output

    def planned(self, *overrides: str) -> set[str]:
        """The nodes that `lora-vs-api plan` says would run with these -S, or may."""
        flags = [flag for override in overrides for flag in ("-S", override)]
        said = self.run(sys.executable, "-m", "lora_vs_api", "plan", *flags)
        table = said.split("\n\n")[0].splitlines()[1:]
        return {line.split()[0] for line in table if line and line[0] != " "}

    def freeze_report(self) -> None:
        """Leave the report as it is: most of an experiment's time, for tests that do not read it."""
        dvc = self.path / "dvc.yaml"
        before, after = dvc.read_text().split("\n  report:\n")
        dvc.write_text(f"{before}\n  report:\n    frozen: true\n{after}")

    def experiment(self, *overrides: str) -> set[str]:
        """`dvc exp run` with these -S; returns the stages that really ran."""
        flags = [flag for override in overrides for flag in ("-S", override)]
        return ran(self.run("dvc", "exp", "run", *flags))

    def digests(self) -> dict[str, str]:
        """MD5 of every output in dvc.lock, what was timed left out."""
        import yaml

        lock = yaml.safe_load((self.path / "dvc.lock").read_text())
        return {
            out["path"]: out["md5"]
            for stage in lock["stages"].values()
            for out in stage.get("outs", [])
            if not out["path"].startswith(("timings/", "report/", "plots/latency"))
        }


def ran(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))


def tiny_models(folder: Path) -> dict[str, object]:
    """What :data:`TINY` has room for: the tests' model, written into ``folder``, for either side."""
    # not at the top: they import torch, and every test process imports this
    from lora_vs_api.digests import file_sha256
    from tests.tiny_gguf import gguf_of
    from tests.tiny_model import build_tiny_model

    model = build_tiny_model(folder / "tiny")
    gguf = gguf_of(model, folder / "tiny.gguf")
    size, digest = gguf.stat().st_size, file_sha256(gguf)
    return {"model": model, "gguf": gguf, "bytes": size, "sha256": digest}


def new_clone(path: Path, settings: str = TINY) -> Clone:
    """The project's files in a git repository of their own, nothing run and nothing committed."""
    path.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        generated = name.startswith(("metrics/", "timings/", "predictions/", "plots/", "report/"))
        generated = generated and not name.endswith(".keep")
        if generated or name == "dvc.lock" or not (ROOT / name).is_file():
            continue
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, path / name)
    clone = Clone(path)
    (path / "conf" / "local.yaml").write_text(settings.format_map(tiny_models(path.parent)))
    clone.run(sys.executable, "-m", "lora_vs_api", "params")
    for command in (
        ["init", "-q", "-b", "main"],
        ["config", "user.email", "t@example.org"],
        ["config", "user.name", "T"],
    ):
        clone.run("git", *command)
    return clone


def baseline(folder: Path) -> Clone:
    """The project reproduced once and committed, as a user begins; made by who comes first.

    ``folder`` is one that all test processes share. The clone is to be copied and not worked in.
    """
    clone = Clone(folder / "baseline" / "project")
    done = folder / "baseline" / "done"
    with FileLock(folder / "baseline.lock"):
        if not done.exists():
            clone.path.parent.mkdir()
            new_clone(clone.path)
            assert "analyze" in ran(clone.run("dvc", "repro"))
            clone.run("git", "add", "-A")
            clone.run("git", "commit", "-qm", "baseline")
            done.touch()
    return clone
