"""Every preset of conf/api/ composes and goes together, and says when and whether it was tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from lora_vs_api.api.asking import condition_of
from lora_vs_api.api.types import Request
from lora_vs_api.api.wire import request_body
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
PRESETS = sorted(path.stem for path in (ROOT / "conf" / "api").glob("*.yaml"))
OWN = ("vllm", "sglang", "llamacpp", "ollama", "lmstudio", "server")
HOSTED = ("azure", "openrouter", "mistral", "gemini", "anthropic", "groq", "together", "hosted")
# a price that every list has: that of the provider's own model is for the list that is chosen
PRICED = ["priced_as.hosted_zero_shot=gpt-5.4-mini"]
# what a preset cannot know
GIVEN = {
    "azure": ["api.server.base_url=https://r.openai.azure.com/openai/v1/",
              "conditions.hosted_zero_shot.model=my-deployment"],
    "hosted": ["api.server.base_url=https://h.example.org/v1", "api.limits.key_env=H_KEY",
               "conditions.hosted_zero_shot.model=m"],
    "llamacpp": ["conditions.server_zero_shot.model=m"],
    "lmstudio": ["conditions.server_zero_shot.model=m"],
    "server": ["api.server.base_url=http://127.0.0.1:1/v1", "conditions.server_zero_shot.model=m"],
}  # fmt: skip
GIVEN["hosted_schema"] = GIVEN["hosted"]


def composed(name):
    prices = PRICED if name in HOSTED or name == "hosted_schema" else []
    text = compose([f"api={name}", *GIVEN.get(name, []), *prices], conf=ROOT / "conf")
    return check_params(yaml.safe_load(text))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_composes_and_asks(name):
    """Settings, labels, prices and perturbed conditions go together; every condition makes a request."""
    params = composed(name)
    assert params.labels.keys() == params.conditions.keys() == params.priced_as.keys()
    question = Request("r", [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}])
    # what the report calls hosted: what is asked at no address of this machine
    here = name in (*OWN, "contest", "contest_small", "embedded", "none")
    assert params.api.server.loopback == here
    for condition, settings in params.conditions.items():
        asked = condition_of(params, condition)
        body = request_body(question, asked)
        assert body["model"] == settings.model and body[asked.limit_parameter] > 0
        if name not in ("embedded", "contest", "contest_small"):
            assert settings.on_refusal == "fail"
            assert (settings.max_output_tokens or 112) == asked.max_output_tokens


@pytest.mark.parametrize("name", HOSTED)
def test_a_preset_without_a_price_says_how_to_give_one(name):
    """In one line, before anything is asked: the published list knows two models."""
    with pytest.raises(UserError, match=r"priced_as\.hosted_zero_shot: (expected|has no value)"):
        compose([f"api={name}", "prices=published", *GIVEN.get(name, [])], conf=ROOT / "conf")


def test_every_preset_says_when_its_source_was_read():
    """Providers change: the file names its source and the day, and whether it has been tried."""
    table = (ROOT / "docs" / "apis.md").read_text()
    for name in {*OWN, *HOSTED} - {"server", "hosted"}:
        text = (ROOT / "conf" / "api" / f"{name}.yaml").read_text()
        assert re.search(r"# Read 2026-11-26, (un)?tried: https://", text), name
        assert f"`{name}`" in table, name


def test_the_limit_is_one_that_the_endpoint_has():
    """Found out when the settings are composed, not by a request."""
    wrong = ["api=openai", "api.server.token_limit=max_tokens"]
    with pytest.raises(UserError, match=r"token_limit: expected max_output_tokens, or null, with"):
        compose(wrong, conf=ROOT / "conf")
    wrong = ["api=vllm", "api.server.token_limit=max_output_tokens"]
    with pytest.raises(UserError, match=r"expected max_completion_tokens or max_tokens, or null"):
        compose(wrong, conf=ROOT / "conf")
    compose(["api=openai", "api.server.endpoint=chat"], conf=ROOT / "conf")


def test_a_limit_of_its_own_trains_nothing_again():
    """A node of a training depends on no condition, and on no key of one."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    readers = {
        name
        for name, stage in stages.items()
        if any(key.startswith("conditions") for key in stage.get("do", stage).get("params", []))
    }
    # data_check counts the tokens of prompts, and writes the same whatever the limit of an answer is
    assert readers == {
        "data_check", "evaluate_api", "evaluate_val", "perturbed_api", "analyze", "robustness",
        "learning_curve", "teacher",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "max_output_tokens=0",
            r"max_output_tokens: expected an integer ≥ 1, or null for decoding",
        ),
        ("on_refusal=ignore", r"on_refusal: expected one of fail, score_zero, or null for fail"),
        ("output=xml", r"output: expected one of text, json_schema, json_object, found 'xml'"),
    ],
)
def test_a_wrong_setting_of_a_condition_is_named(key, message):
    with pytest.raises(UserError, match=message):
        compose(["api=openai", f"conditions.mini_zero_shot.{key}"], conf=ROOT / "conf")


def test_a_wrong_role_is_named():
    with pytest.raises(
        UserError, match=r"instruction_role: expected one of system, developer, user, or null"
    ):
        compose(["api=openai", "api.server.instruction_role=assistant"], conf=ROOT / "conf")
