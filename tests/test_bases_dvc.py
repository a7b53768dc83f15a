"""Which base, for real: two tiny models through DVC's experiments, side by side afterwards."""

from __future__ import annotations

import re
import shutil
import sys

import pandas as pd
import pytest

from tests.clones import TINY, new_clone, ran
from tests.tiny_model import build_tiny_model

# one training each and no API: what a base's row needs, and no more
SMALL = {
    "override /serving: transformers": "override /serving: transformers\n  - override /api: none",
    "ranks: [2, 4]": 'ranks: [2], learning_rates: ["2e-3"]',
    "seeds: [0, 1]": "seeds: [0]",
}


@pytest.mark.slow
def test_two_bases_through_dvc(tmp_path):
    """Each is an experiment of its own, one that fails is named, and reading runs nothing."""
    settings = TINY
    for before, after in SMALL.items():
        assert before in settings
        settings = settings.replace(before, after)
    clone = new_clone(tmp_path / "project", settings)
    (clone.path.parent / "larger").mkdir()
    build_tiny_model(tmp_path / "larger", vocabulary=700)
    clone.run("git", "add", "-A")
    clone.run("git", "commit", "-qm", "begin")

    def experiment(name: str, model: str, check: bool = True) -> str:
        return clone.run(
            "dvc", "exp", "run", "--temp", "--name", name,
            "-S", f"model.weights.path={tmp_path / model}", "analyze", "sweep", check=check,
        )  # fmt: skip

    assert "analyze" in ran(experiment("base-1", "tiny"))
    second = ran(experiment("base-2", "larger"))
    assert {"base_model", "train@0", "analyze"} <= second
    assert not {"corpus", "split"} & second, "what no base changes comes from the run cache"
    clone.run("dvc", "exp", "run", "--queue", "--name", "base-3", "-S", "seeds=[1]")

    lock = (clone.path / "models").exists()
    said = clone.run(
        sys.executable, "-m", "lora_vs_api", "bases", "--name", "base-", "--csv", "logs/bases.csv",
        "--figure", "logs/bases.svg", "--html", "report/bases.html",
    )  # fmt: skip
    frame = pd.read_csv(clone.path / "logs/bases.csv")
    assert list(frame["run"]) == ["base-1", "base-2"] and list(frame["base"]) == ["tiny", "larger"]
    numbers = ["val_field_f1", "field_f1", "exact_match", "p50_seconds", "usd_per_1k",
               "peak_memory_bytes", "training_seconds"]  # fmt: skip
    assert frame[numbers].notna().all(axis=None)
    assert (frame["peak_memory_bytes"] > 50e6).all(), "a process with torch in it"
    assert "left out: base-3: waits in the queue" in said
    assert re.search(r"Chosen on 2 validation texts: [12], base-[12]", said)
    assert "<svg" in (clone.path / "logs/bases.svg").read_text()
    assert "base-3" in (clone.path / "report/bases.html").read_text()
    assert (clone.path / "models").exists() == lock
    # a folder with results is a run too, such as a colleague's clone; this one's are none
    shutil.copy(clone.path / "params.yaml", tmp_path / "larger")
    only = clone.run(
        sys.executable, "-m", "lora_vs_api", "bases", "base-2", str(tmp_path / "larger")
    )
    assert "has no dvc.yaml" in only and "Nothing was chosen: there is one base" in only
