"""Which base, for real: two tiny models through DVC's queue, side by side afterwards."""

from __future__ import annotations

import re
import sys

import pandas as pd
import pytest

from tests.clones import TINY, new_clone
from tests.tiny_model import build_tiny_model

# one training each and no API: what a base's row needs, and no more
SMALL = {
    "override /serving: transformers": "override /serving: transformers\n  - override /api: none",
    "ranks: [2, 4]": 'ranks: [2], learning_rates: ["2e-3"]',
    "seeds: [0, 1]": "seeds: [0]",
}


@pytest.mark.slow
def test_two_bases_through_the_queue(tmp_path):
    """A grid over bases as the docs have it: each that ended is a row, the one that failed is named."""
    settings = TINY
    for before, after in SMALL.items():
        assert before in settings
        settings = settings.replace(before, after)
    clone = new_clone(tmp_path / "project", settings)
    build_tiny_model(tmp_path / "larger", vocabulary=700)
    clone.run("git", "add", "-A")
    clone.run("git", "commit", "-qm", "begin")
    grid = ",".join(str(tmp_path / name) for name in ("tiny", "larger", "nowhere"))
    try:
        clone.run(
            "dvc", "exp", "run", "--queue", "--name", "base", "-S", f"model.weights.path={grid}",
            "analyze", "sweep",
        )  # fmt: skip
        clone.run("dvc", "queue", "start", "-j", "2")
        # follows each until it ends
        for name in ("base-3", "base-1", "base-2"):
            clone.run("dvc", "queue", "logs", "--follow", name)
        status = clone.run("dvc", "queue", "status")
        for _ in range(30):
            if len(re.findall("Success|Failed", status)) == 3:
                break
            status = clone.run("dvc", "queue", "status")
        assert (status.count("Success"), status.count("Failed")) == (2, 1), status
    finally:
        clone.run("dvc", "queue", "stop", "--kill")
    before = clone.run("git", "status", "--porcelain")
    said = clone.run(
        sys.executable, "-m", "lora_vs_api", "bases", "--csv", "logs/bases.csv",
        "--figure", "logs/bases.svg", "--html", "logs/bases.html",
    )  # fmt: skip
    assert clone.run("git", "status", "--porcelain") == before, "it reads, and runs nothing"
    frame = pd.read_csv(clone.path / "logs/bases.csv")
    assert list(frame["run"]) == ["base-1", "base-2"] and list(frame["base"]) == ["tiny", "larger"]
    measured = ["val_field_f1", "field_f1", "exact_match", "p50_seconds", "usd_per_1k",
                "peak_memory_bytes", "training_seconds"]  # fmt: skip
    assert frame[measured].notna().all(axis=None)
    assert (frame["peak_memory_bytes"] > 50e6).all(), "a process with torch in it"
    assert "left out: base-3: failed; `dvc queue logs base-3` says why" in said
    assert re.search(r"Chosen on 2 validation texts: [12], base-[12]", said)
    assert "<svg" in (clone.path / "logs/bases.svg").read_text()
    assert "base-3" in (clone.path / "logs/bases.html").read_text()
