"""The pipeline's promises in the real dvc: the same bytes again and side by side, and a mistake ends
in one line with nothing half-written.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys

import pytest

from lora_vs_api.orchestrate.pipeline import locked_nodes
from tests.clones import COSTS, Clone, ran

pytestmark = pytest.mark.slow


def test_side_by_side_gives_the_lock_of_one_by_one(clone, tmp_path):
    """The whole DAG two nodes at a time, through Ray, from nothing: dvc.lock byte for byte, but for
    what was timed and what is worked out from it. Same deps and params, same bytes: early cut-off
    and the shared cache rest on it, so every node is made again here, with no cache to take it from."""
    subprocess.run(["git", "clone", "-q", clone.path, tmp_path / "fresh"], check=True)
    fresh = Clone(tmp_path / "fresh")
    (fresh.path / "dvc.lock").unlink()
    assert not (fresh.path / ".dvc/cache").exists()
    said = fresh.run(sys.executable, "-m", "lora_vs_api", "run", "--on", "ray", "-j", "2")
    assert re.search(r"(\d+) of \1 done in", said)
    decision = re.search(r"^\*\*(.*)\*\*$", (fresh.path / "report/report.md").read_text(), re.M)[1]
    assert decision.replace("\\", "") in said
    one, two = clone.digests(), fresh.digests()
    assert one.keys() == two.keys()
    assert {path for path in two if one[path] != two[path]} <= COSTS
    assert locked_nodes(fresh.path) == locked_nodes(clone.path)
    assert "up to date" in fresh.run(sys.executable, "-m", "lora_vs_api", "run")
    assert ran(fresh.run("dvc", "repro")) == set()


def test_a_bad_param_stops_the_node_with_one_line(clone):
    """The stage names the key, exits non-zero and leaves no output behind."""
    params = clone.path / "params.yaml"
    params.write_text(params.read_text().replace("max_steps: 2", "max_steps: soon"))
    output = clone.run("dvc", "repro", check=False)
    assert "error: params.yaml: train.max_steps: expected an integer ≥ 1, or null" in output
    assert "Traceback" not in output


def test_no_gpu_and_no_key_are_said_in_one_line(clone):
    """What the other profiles need and this machine lacks is named, with what to do."""
    overrides = ["-S", "runtime.device=cuda"]
    output = clone.run("dvc", "exp", "run", *overrides, "contamination", check=False)
    assert "error: runtime.device: cuda asked for, but torch finds no CUDA GPU here" in output
    output = clone.run(
        "dvc", "exp", "run", "-S", "api=openai", "evaluate_api@mini_zero_shot", check=False
    )
    assert "error: OPENAI_API_KEY" in output
    assert "Traceback" not in output


def test_a_bad_corpus_line_is_named(clone):
    """A user who edits the corpus learns file and line, and no split is written."""
    corpus = clone.path / "data/corpus.jsonl"
    lines = corpus.read_text().splitlines()
    broken = [*lines[:4], lines[4].replace('"urgency": ', '"urgency": "x'), *lines[5:]]
    # DVC may have linked the file to its cache, which must not change with it
    corpus.unlink()
    corpus.write_text("\n".join(broken) + "\n")
    output = clone.run("dvc", "repro", "--single-item", "split", check=False)
    assert re.search(r"error: data/corpus\.jsonl:5: ", output)
    assert not (clone.path / "data/split/train.jsonl").exists()


def test_a_gate_that_fails_stops_the_sweep(clone):
    """No adapter is swept while the base does not learn."""
    output = clone.run("dvc", "exp", "run", "-S", "sanity.max_loss_ratio=0.0001", check=False)
    assert "error: sanity gate: the loss went from" in output
    assert not any(stage.startswith("rank_trial") for stage in ran(output))


def test_a_hosted_api_is_paid_once(clone):
    """Through the real dvc: the answers are stored outside the DAG, a forced rerun of the node
    and another price ask nothing, and the key is in no file of the clone."""
    from tests.fault_server import Fault, FaultServer

    key = f"sk-{secrets.token_hex(16)}"
    with FaultServer() as server:
        overrides = [
            flag
            for override in (
                "api=server",
                f"api.server.base_url={server.url}",
                "api.limits.key_env=PLANTED_KEY",
                "api.replicates.number=2",
                "api.replicates.rows=2",
                "conditions.server_zero_shot.model=gpt-x",
                "conditions.server_few_shot_5.model=gpt-x",
            )
            for flag in ("-S", override)
        ]
        os.environ["PLANTED_KEY"] = key
        try:
            # a rejected key: one line, which does not show it
            rows = (clone.path / "data/split/test.jsonl").read_text().splitlines()
            first = json.loads(rows[0])["text"]
            server.faults[first] = [Fault("status", 401, {"message": f"bad key {key}"})]
            stage = "evaluate_api@server_zero_shot"
            output = clone.run("dvc", "exp", "run", *overrides, stage, check=False)
            assert "error: api.limits.key_env: " in output and key not in output
            assert "Traceback" not in output
            assert not (clone.path / "predictions/evaluate/server_zero_shot").exists()

            output = clone.run("dvc", "exp", "run", *overrides)
            assert "input tokens: about USD" in output and key not in output
            assert {"evaluate_api@server_zero_shot", "analyze"} <= ran(output)
            asked = len(server.seen)
            # three conditions: three texts, two of them twice; for two of them two texts perturbed
            # in two ways
            assert asked == 1 + 3 * (3 + 2) + 2 * (2 * 2)
            report = (clone.path / "report/report.md").read_text()
            assert "### How far a repeated question gives another answer" in report
            clone.run("dvc", "repro", "--single-item", "--force", "--no-run-cache", stage)
            timings = json.loads(
                (clone.path / "timings/evaluate/server_zero_shot.json").read_text()
            )
            assert timings["stored"] == [True] * 3
            clone.freeze_report()
            output = clone.run("dvc", "exp", "run", *overrides, "-S", "prices=listed-2026-11")
            assert "analyze" in ran(output)
            assert not {s for s in ran(output) if s.startswith("evaluate_api")}
            assert len(server.seen) == asked
        finally:
            del os.environ["PLANTED_KEY"]
    for file in clone.path.rglob("*"):
        if file.is_file():
            assert key.encode() not in file.read_bytes(), file
