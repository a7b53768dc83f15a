"""The first nodes on a small corpus: what a slice comes to is said before anything is trained."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest
import yaml
from tokenizers import Tokenizer

import lora_vs_api.api.asking
import lora_vs_api.cli.doctor
import stages.corpus
import stages.data_check
import stages.split
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl, write_json
from lora_vs_api.paths import TEST
from lora_vs_api.record.tokens import token_counter
from tests.imports import ROOT
from tests.tiny_model import build_tiny_model

SMALL = (f"data.path={ROOT}/lora_vs_api/data/situations.yaml", "data.n=100", "decoding.max_new_tokens=400")  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def params(*overrides: str):
    return check_params(yaml.safe_load(compose([*SMALL, *overrides], ROOT / "conf")))


def ids() -> list[str]:
    return [row["id"] for row in read_jsonl(TEST)]


def test_what_is_set_aside_is_out_of_the_test_split_and_of_nothing_else(project):
    """The remaining texts, the other splits and so the trainings stay as they are."""
    stages.corpus.main(params())
    stages.split.main(params("split.set_aside=0"))
    whole, before = ids(), json.loads((project / "metrics/split.json").read_text())
    stages.split.main(params("split.set_aside=3"))
    found = json.loads((project / "metrics/split.json").read_text())
    assert ids() == whole[3:] and (found["test"], found["set_aside"]) == (12, 3)
    assert sum(found["categories"]["test"].values()) == 12
    for name in ("train", "val"):
        assert found["sha256"][name] == before["sha256"][name]
    # the task's own 64 do not fit into a corpus of a hundred
    with pytest.raises(
        UserError, match="split.set_aside: expected at most 13 of the 15 test texts"
    ):
        stages.split.main(params())


def test_a_slice_that_is_cut_is_told_on_the_terminal_and_in_the_report(project, capsys):
    """data_check's warnings stand in the report's data section."""
    build_tiny_model(project / "models/base_model")
    asked = params("split.set_aside=3", "evaluate.test_rows=64")
    stages.corpus.main(asked)
    stages.split.main(asked)
    stages.data_check.main(asked)
    warning = (
        "evaluate.test_rows asks for 64 test texts; 12 are there, and all of them are evaluated."
    )
    assert json.loads((project / "metrics/data_check.json").read_text())["warnings"][0] == warning
    assert f"data_check: {warning}" in capsys.readouterr().err


@pytest.mark.slow
def test_a_prompt_that_no_server_holds_is_named_before_anything_is_trained(project, capsys):
    """Or the condition stops after all trainings, at the first text that is too long."""
    build_tiny_model(project / "models/base_model")
    fits = ("split.set_aside=3", "api=contest", "api.server.context=100000")
    asked = params(*fits)
    stages.corpus.main(asked)
    stages.split.main(asked)
    stages.data_check.main(asked)
    assert "may not fit" not in capsys.readouterr().err
    stages.data_check.main(
        params(*fits[:2], "api.server.context=1000", "conditions.large_few_shot_5.shots=50")
    )
    warned = json.loads((project / "metrics/data_check.json").read_text())["warnings"]
    (line,) = [text for text in warned if text.startswith("conditions.large_few_shot_5 ")]
    assert re.search(
        r"about [\d,]+ tokens .* 20% more by another's.*, and api\.server\.context is 1,000; exp",
        line,
    )
    assert "fewer conditions.large_few_shot_5.shots" in line
    # the base model asked itself has one tokenizer; a provider's limit is not known
    for other, told in (("embedded", "what the base model holds is "), ("openai", None)):
        name = {"embedded": "embedded_few_shot_5", "openai": "mini_few_shot_5"}[other]
        stages.data_check.main(params(fits[0], f"api={other}", f"conditions.{name}.shots=500"))
        said = capsys.readouterr().err
        assert ("may not fit" in said) == (told is not None) and (told or "") in said


def test_a_base_that_holds_less_than_vllm_is_to_is_named_before_anything_is_trained(project):
    """vLLM refuses it, after all trainings; llama.cpp's server does not, and a stretched rotation may hold more."""
    asked, config = params("serving=vllm"), {"max_position_embeddings": 2048}
    write_json(project / "models/base_model/config.json", config)
    with pytest.raises(UserError, match=r"^serving\.server\.context: expected at most the 2,048"):
        stages.data_check.main(asked)
    check = stages.data_check._check_served_context
    check(params(), config)
    check(asked, {"max_position_embeddings": 4096})
    check(asked, config | {"rope_parameters": {"rope_type": "linear", "factor": 2.0}})


def test_a_length_that_a_training_left_in_a_tokenizer_cuts_no_count(tmp_path):
    """Some models' tokenizer.json truncates or pads; prices, budgets and limits count whole texts."""
    build_tiny_model(tmp_path)
    file = tmp_path / "tokenizer.json"
    plain = Tokenizer.from_file(str(file))
    counts = [
        len(plain.encode(text, add_special_tokens=False).ids) for text in ("a", "a b c " * 50)
    ]
    plain.enable_truncation(8)
    plain.enable_padding(length=16)
    plain.save(str(file))
    count = token_counter(str(file))
    assert [count("a"), count("a b c " * 50)] == counts
    # and nobody counts in another way
    for module in (lora_vs_api.api.asking, lora_vs_api.cli.doctor, stages.data_check):
        assert module.token_counter is token_counter


@pytest.mark.parametrize(
    ("stage", "given", "said"),
    [
        ("evaluate_api", ["no_such"], "a condition (a key of conditions), found 'no_such'"),
        ("evaluate_api", [], "a condition (a key of conditions), found none"),
        ("opponent", ["none"], "an opponent (a key of opponents), found 'none'"),
        ("tune", ["other"], "a tuning (a key of tunings), found 'other'"),
        ("train", ["zero"], "a seed (one of seeds), found 'zero'"),
        ("rank_trial", ["8", "16"], "a rank (one of sweep.ranks), found '8' '16'"),
        ("lr_trial", ["fast"], "a learning rate (one of sweep.learning_rates), found 'fast'"),
    ],
)
def test_a_node_that_is_run_by_hand_names_what_it_expects(monkeypatch, stage, given, said):
    module = importlib.import_module(f"stages.{stage}")
    params = check_params(yaml.safe_load(compose([], ROOT / "conf")))
    monkeypatch.setattr("sys.argv", [f"stages/{stage}.py", *given])
    with pytest.raises(UserError, match=re.escape(f"{stage}.py: expected one argument, {said}")):
        module.main(params)
