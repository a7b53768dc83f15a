"""Publishing: the card says what was measured, the code on it runs, a mistake is one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lora_vs_api.report.model_card import Published, model_card
from tests.imports import ROOT
from tests.report_fixture import analysis, changed

WHAT = Published(
    name="tiny-emails", seed=1, base_model="owner/Tiny-7M", weights="Tiny-7M of some wheel",
    license="apache-2.0", instruction="Say \"{it}\" in 'JSON'.", max_new_tokens=40,
    adapter_sha256="ab" * 32, commit="c0ffee", synthetic=True,
)  # fmt: skip


def card_parts(text: str) -> tuple[dict, str]:
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_card_says_what_was_measured():
    """Scores of this seed in the metadata and of every condition in the table, none invented."""
    content = analysis()
    own = content.lora_statistics.per_seed[1]
    front, body = card_parts(model_card(content, WHAT))
    assert front["base_model"] == "owner/Tiny-7M" and front["library_name"] == "peft"
    results = front["model-index"][0]["results"][0]["metrics"]
    assert {r["name"]: r["value"] for r in results}["mean field F1"] == own.field_f1
    assert f"| this adapter (seed 1) | {own.field_f1:.3f} |" in body
    for row in content.conditions[1:]:
        assert f"{row.field_f1.low:.3f} to {row.field_f1.high:.3f}" in body
    for said in ("not a hosted model", "Trained on Tiny-7M of some wheel", "c0ffee", "abab"):
        assert said in body


def test_an_interval_that_nothing_was_drawn_for_stands_on_the_card():
    """Jeffreys' has neither resamples nor a seed."""
    drawn = changed(
        analysis(),
        conditions__0__field_f1__method="Jeffreys interval",
        conditions__0__field_f1__resamples=0,
        conditions__0__field_f1__seed=None,
    )
    body = card_parts(model_card(drawn, WHAT))[1]
    assert "intervals: Jeffreys interval." in body


def test_the_code_on_the_card_is_python():
    """Quotes and braces in an instruction do not break it."""
    code = model_card(analysis(), WHAT).split("```python\n")[1].split("```")[0]
    namespace: dict = {}
    assignment = next(line for line in code.splitlines() if line.startswith("instruction"))
    compile(code, "card", "exec")
    exec(assignment, namespace)
    assert namespace["instruction"] == WHAT.instruction


def publish(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_ENDPOINT": "http://127.0.0.1:9"}
    environment.pop("HF_TOKEN", None)
    done = subprocess.run(
        [sys.executable, "-m", "lora_vs_api", "publish", *arguments],
        cwd=root, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def project(tmp_path):
    """Params, metrics and an adapter's files, as a run leaves them."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    for name, content in (
        ("metrics/analysis.json", analysis().model_dump(mode="json")),
        ("metrics/corpus.json", {"source": "generator", "texts": 200, "words_mean": 48.4}),
        ("report/provenance.json", {"git": {"commit": "c0ffee"}}),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    base = tmp_path / "models/base_model"
    base.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json"):
        (base / name).write_text(name)
    (base / "tokenizer_config.json").write_text('{"tokenizer_class": "TokenizersBackend"}')
    folder = tmp_path / "models/train/seed-1"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "adapter_config.json").write_text(
        '{"base_model_name_or_path": "models/base_model", "r": 4}'
    )
    return tmp_path


@pytest.mark.slow
def test_a_dry_run_writes_the_folder(project):
    """Adapter, its config with an address that others can follow, the tokenizer with the chat template
    of the training, and the card; nothing else."""
    command = ("--dry-run", "--seed", "1", "--base-model", "owner/Base", "--to", "out")
    assert publish(project, *command).returncode == 0
    out = project / "out"
    assert sorted(file.name for file in out.iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja",
        "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    config = json.loads((out / "adapter_config.json").read_text())
    assert config == {"base_model_name_or_path": "owner/Base", "r": 4}
    # as servers with transformers 4 know it too
    settings = json.loads((out / "tokenizer_config.json").read_text())
    assert settings == {"tokenizer_class": "PreTrainedTokenizerFast"}
    front, _ = card_parts((out / "README.md").read_text())
    assert front["base_model"] == "owner/Base"
    # a second time, the same
    assert publish(project, *command).returncode == 0


def test_a_folder_of_something_else_is_left_alone(project):
    """--to replaces only what publishing wrote."""
    (project / "mine").mkdir()
    (project / "mine/thesis.tex").write_text("")
    done = publish(project, "--dry-run", "--seed", "1", "--base-model", "o/B", "--to", "mine")
    assert done.returncode == 1 and "mine holds something else" in done.stderr
    assert (project / "mine/thesis.tex").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--repo: expected owner/name"),
        (("--dry-run", "--seed", "7"), "--seed: expected one of [0, 1, 2]"),
        (("--dry-run", "--base-model", "o/B"), "models/train/seed-0: no adapter here"),
        (("--dry-run", "--seed", "1"), "--base-model: expected the Hub id"),
        (
            ("--repo", "o/r", "--seed", "1", "--base-model", "o/B"),
            "--repo: o/r could not be pushed",
        ),
    ],
    ids=["no repo", "seed", "no adapter", "no base", "no hub"],
)
def test_a_mistake_is_one_line(project, arguments, said):
    """What is missing, and where to give it."""
    done = publish(project, *arguments)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {said}")
