"""What a trained directory says about its training, read without the libraries that trained it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.imports import ROOT

READERS = (
    "lora_vs_api.training.artifacts",
    "lora_vs_api.training.spec",
    "stages.select",
    "stages.select_rank",
    "stages.sweep",
)
RECORD = '{"spec": {"method": "lora"}, "loss": [2.5, 1.25], "stopped_at_step": 2}'


def without_torch(code: str) -> str:
    """What ``code`` prints in a process of its own, in which torch is never imported."""
    code += (
        "\nimport sys\nfound = {'torch', 'trl', 'peft', 'transformers', 'datasets'} & set(sys.modules)"
        "\nassert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", READERS)
def test_the_sweeps_choice_starts_without_torch(module):
    """Choosing and drawing take a second, of which none may go into loading torch."""
    without_torch(f"import {module}")


def test_a_loss_curve_is_read_without_torch(tmp_path):
    """The record is JSON, and whoever reads it trains nothing."""
    (tmp_path / "training.json").write_text(RECORD)
    found = without_torch(
        "from lora_vs_api.training.artifacts import loss_curve, stopped_at_step\n"
        f"print(loss_curve({str(tmp_path)!r}), stopped_at_step({str(tmp_path)!r}))"
    )
    assert found.strip() == "[2.5, 1.25] 2"
