"""llama.cpp's server: the model's own answers, the same bytes every time, and dead with its node."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
import yaml

from lora_vs_api.api.asking import ask_condition
from lora_vs_api.api.child_server import _how
from lora_vs_api.api.client import ask_all
from lora_vs_api.api.llama_server import serve_gguf, threads_share
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.results import write_answers
from lora_vs_api.api.types import ApiCondition, Request
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.digests import directory_sha256, file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl
from tests.imports import ROOT
from tests.model_servers import (
    KEY,
    LIMIT,
    PROMPTS,
    check_a_killed_node_takes_its_server_along,
    is_up,
    server_environment,
)
from tests.tiny_gguf import gguf_of
from tests.tiny_model import build_tiny_model

NAME = "Tiny-Chat"
SCHEMA = {
    "type": "object",
    "properties": {
        "urgency": {"type": "integer", "minimum": 1, "maximum": 5},
        "mood": {"type": "string", "enum": ["good", "bad"]},
    },
    "required": ["urgency", "mood"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def gguf(model):
    return gguf_of(model, model / "tiny.gguf")


@pytest.fixture
def server(gguf, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    with served(gguf, tmp_path) as url:
        yield url


def served(gguf, folder, sha256=None):
    sha256 = sha256 or file_sha256(gguf)
    return serve_gguf(gguf, NAME, sha256=sha256, context=512, threads=1, log=folder / "log")


def ask(url, **changes):
    condition = {
        "name": "tiny",
        "model": NAME,
        "temperature": 0.0,
        "reasoning_effort": None,
        "max_output_tokens": LIMIT,
        "endpoint": "chat",
    }
    return ask_all(
        [Request(f"email-{i}", prompt) for i, prompt in enumerate(PROMPTS)],
        ApiCondition(**(condition | changes)),
        Provider(url),
        AskPolicy(timeout_seconds=60, max_attempts=1),
    )


def test_it_answers_as_transformers_does(server, model):
    """Template, tokens and arithmetic are the model's: the contest is one of models, not of servers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    local = AutoModelForCausalLM.from_pretrained(model, local_files_only=True)
    for prompt, answer in zip(PROMPTS, ask(server), strict=True):
        ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
        with torch.no_grad():
            new = local.generate(torch.tensor([ids]), max_new_tokens=LIMIT, do_sample=False)
        assert answer.reply.input_tokens == len(ids)
        assert answer.reply.output == tokenizer.decode(new[0, len(ids) :], skip_special_tokens=True)
        assert (answer.reply.outcome, answer.reply.output_tokens) == ("truncated", LIMIT)
        # the name that the condition gives, not the path of the file
        assert answer.reply.served_model == NAME


@pytest.mark.parametrize("grammar", ["compact", "response_format"])
def test_a_schema_is_obeyed(server, grammar):
    """Even a model that knows nothing writes a record; compact has the layout of the examples."""
    from jsonschema import validate

    for answer in ask(server, schema=SCHEMA, grammar=grammar, max_output_tokens=80):
        record = json.loads(answer.reply.output)
        validate(record, SCHEMA)
        if grammar == "compact":
            assert answer.reply.output == json.dumps(record)


def test_the_server_has_no_key_no_hub_and_no_passive_threads(server):
    """The process that reads the weights is given no secret, and waits as its threads should."""
    environment = server_environment("lora_vs_api.api.llama_child")
    assert KEY not in environment and "HF_HUB_OFFLINE=1" in environment
    assert "GOMP_SPINCOUNT=3000" in environment and "OMP_WAIT_POLICY" not in environment


def test_what_the_user_set_for_threads_stays():
    """A number of one's own counts; PASSIVE alone is dropped, since it doubles the time."""
    own = {"GOMP_SPINCOUNT": "7", "OMP_WAIT_POLICY": "ACTIVE"}
    assert threads_share(own) == own
    assert threads_share({"OMP_WAIT_POLICY": "PASSIVE"}) == {"GOMP_SPINCOUNT": "3000"}


def test_two_servers_give_the_same_bytes(gguf, tmp_path):
    """A node that runs again leaves its output as it was: a fresh server, the same order."""
    seen = []
    for _ in range(2):
        with served(gguf, tmp_path) as url:
            seen.append([(a.reply.output, a.reply.cached_input_tokens) for a in ask(url)])
    assert seen[0] == seen[1]
    assert not is_up(url)


@pytest.mark.slow
def test_a_condition_of_the_contest_as_its_node_asks_it(gguf, tmp_path, monkeypatch):
    """From the settings to the files: the model that it names, a schema, and equal bytes twice."""
    raw = yaml.safe_load(compose(["api=contest", "decoding.max_new_tokens=40"], conf=ROOT / "conf"))
    file = tmp_path / "models" / "opponent" / "tiny.gguf"
    file.parent.mkdir(parents=True)
    shutil.copy(gguf, file)
    source = {"source": "path", "path": str(gguf)}
    size, digest = gguf.stat().st_size, file_sha256(gguf)
    raw["opponents"]["tiny"] = {
        "license": None, "bytes": size, "sha256": digest, "sources": [source],
    }  # fmt: skip
    name = "small_zero_shot_schema"
    raw["conditions"][name]["weights"] = "models/opponent/tiny.gguf"
    params = check_params(raw)
    monkeypatch.chdir(tmp_path)
    rows = [{"id": "a", "text": "Charged twice. Anna"}, {"id": "b", "text": "It crashes. Bob"}]
    fields = params.task.record_fields
    for number in (1, 2):
        run = ask_condition(params, name, rows, fields, [])
        write_answers(run, mode="live", predictions=f"p{number}", timings=f"t{number}.json")
    first, second = directory_sha256("p1"), directory_sha256("p2")
    assert first == second
    served = json.loads(Path("t1.json").read_text())["served_models"]
    assert served == ["Qwen2.5-Coder-0.5B-Instruct-Q4_K_M"]
    outputs = [row["output"] for row in read_jsonl("p1/predictions.jsonl")]
    assert all(text.startswith('{"customer_name": "') for text in outputs)


def test_a_file_that_is_another_or_missing_is_not_served(gguf, tmp_path):
    """C++ code reads it: no byte of it before its digest is known."""
    with (
        pytest.raises(
            UserError, match=r"expected 0{64} \(opponents\.tiny\.sha256\); it is not served"
        ),
        served(gguf, tmp_path, sha256="0" * 64),
    ):
        raise AssertionError("served another file")
    with (
        pytest.raises(UserError, match=r"away\.gguf: no model .*dvc repro opponent@away"),
        served(tmp_path / "away.gguf", tmp_path, sha256="0" * 64),
    ):
        raise AssertionError("served nothing")
    assert not (tmp_path / "log").exists()


def test_a_file_that_is_no_model_ends_in_the_log(tmp_path):
    """One line with the end of the server's log, not a timeout."""
    (broken := tmp_path / "broken.gguf").write_bytes(b"GGUF, but not really")
    with (
        pytest.raises(UserError, match=r"^the server of Tiny-Chat ended .*broken\.gguf") as failure,
        served(broken, tmp_path),
    ):
        raise AssertionError("served a broken file")
    assert "\n" not in str(failure.value)


def test_a_signal_is_called_by_its_name():
    """A processor without AVX2 ends the server so: a number would say nothing."""
    assert _how(-signal.SIGILL) == "by signal SIGILL"
    assert _how(1) == "with exit code 1"


def test_a_missing_package_is_named(gguf, tmp_path, monkeypatch):
    """Where no wheel fits there is another preset, and the message says which."""
    monkeypatch.setattr("lora_vs_api.api.llama_server.PACKAGE", "no_such_package")
    with (
        pytest.raises(UserError, match=r"no_such_package, which is not installed.*api=embedded"),
        served(gguf, tmp_path),
    ):
        raise AssertionError("served without the package")


@pytest.mark.parametrize("moment", ["starting", "serving"])
@pytest.mark.slow
def test_a_killed_node_takes_its_server_along(gguf, tmp_path, moment):
    """SIGKILL leaves the node no chance to clean up; the server notices all the same."""
    check_a_killed_node_takes_its_server_along(
        "from lora_vs_api.api.llama_server import serve_gguf\n"
        "gguf, sha256, log = sys.argv[1:]\n"
        "with serve_gguf(gguf, 'Tiny', sha256=sha256, context=512, log=log)",
        [str(gguf), file_sha256(gguf), str(tmp_path / "log")],
        tmp_path,
        moment,
        seconds=30,
    )
