"""The embedded API: answers like the model itself, ends with whoever started it, fails in one line."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time

import pytest
import yaml

from lora_vs_api.api.asking import ask_condition
from lora_vs_api.api.budget import CostLimits
from lora_vs_api.api.client import ask_all
from lora_vs_api.api.local_server import serve
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.store import ResponseStore
from lora_vs_api.api.stored_run import ask_stored
from lora_vs_api.api.types import ApiCondition, Request
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.config.sections import Price
from lora_vs_api.errors import UserError
from tests.imports import ROOT
from tests.model_servers import (
    KEY,
    LIMIT,
    PROMPTS,
    check_a_killed_node_takes_its_server_along,
    is_up,
    server_environment,
)
from tests.tiny_model import build_tiny_model

NAME = "owner/Tiny-Chat"
POLICY = AskPolicy(timeout_seconds=60, max_attempts=1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def server(tiny, tmp_path_factory):
    """One server for the tests that only ask; a key is planted where the node would have one."""
    log = tmp_path_factory.mktemp("log") / "serve.log"
    before = os.environ.get("OPENAI_API_KEY")
    os.environ["OPENAI_API_KEY"] = KEY
    try:
        with serve(tiny, NAME, device="cpu", dtype="float32", log=log) as url:
            yield url, log
    finally:
        if before is None:
            del os.environ["OPENAI_API_KEY"]
        else:
            os.environ["OPENAI_API_KEY"] = before


def ask(url, endpoint="responses", model=NAME):
    return ask_all(
        [Request(f"email-{i}", prompt) for i, prompt in enumerate(PROMPTS)],
        ApiCondition("tiny", model, 0.0, None, LIMIT, endpoint),
        Provider(url),
        POLICY,
    )


@pytest.mark.parametrize("endpoint", ["responses", "chat"])
@pytest.mark.slow
def test_the_served_model_gets_the_prompt_of_the_local_one(server, tiny, endpoint):
    """Same tokens in, same tokens out: the comparison with local conditions rests on it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(tiny, local_files_only=True)
    answers = ask(server[0], endpoint)
    assert answers[0].reply.output != answers[1].reply.output
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
        new = model.generate(torch.tensor([ids]), max_new_tokens=LIMIT, do_sample=False)[
            0, len(ids) :
        ]
        assert answer.reply.input_tokens == len(ids)
        assert answer.reply.output_tokens == len(new)
        assert answer.reply.output == tokenizer.decode(new, skip_special_tokens=True)
        # the server says completed, though the limit cut the answer
        assert answer.reply.outcome == "truncated"


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gemma", "qwen3"])
def test_the_served_model_gets_the_settled_prompt(tiny, tmp_path, family):
    """No system role, thinking, a date: the server renders what is trained, without knowing of it."""
    from lora_vs_api.inference.generate import encode_prompt
    from lora_vs_api.model.loading import load_tokenizer
    from lora_vs_api.weights.chat_template import settle_chat
    from tests.chat_templates import with_template

    model = with_template(
        build_tiny_model(tmp_path / "tiny", spare=100), tmp_path / "model", family
    )
    settle_chat(model, {}, "x")
    tokenizer = load_tokenizer(model, None)
    with serve(model, NAME, device="cpu", dtype="float32", log=tmp_path / "log") as url:
        answers = ask(url), ask(url, "chat")
    for found in answers:
        assert [answer.reply.input_tokens for answer in found] == [
            len(encode_prompt(tokenizer, prompt)) for prompt in PROMPTS
        ]


@pytest.mark.slow
def test_a_condition_of_the_preset_as_its_node_asks_it(tiny, tmp_path, monkeypatch):
    """From the settings to answers: no pipeline of the tests asks `api=embedded`."""
    settings = ["api=embedded", "runtime.dtype=float32", "decoding.max_new_tokens=8"]
    params = check_params(yaml.safe_load(compose(settings, conf=ROOT / "conf")))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "base_model").symlink_to(tiny)
    monkeypatch.chdir(tmp_path)
    rows = [{"id": "a", "text": "Charged twice. Anna"}, {"id": "b", "text": "It crashes. Bob"}]
    run = ask_condition(params, "embedded_zero_shot", rows, params.task.record_fields, [])
    assert [answer.id for answer in run.answers] == ["a", "b"]
    # the server adds a revision to the name
    assert all(a.reply.served_model.startswith(params.model.name) for a in run.answers)
    assert {answer.reply.output_tokens for answer in run.answers} == {8}


def test_another_models_name_is_refused(server):
    """A condition cannot be answered by a model it does not name."""
    with pytest.raises(UserError, match=r"conditions\.tiny\.model"):
        ask(server[0], model="gpt-mini")


def test_its_answers_are_stored_and_not_asked_for_again(server, tmp_path):
    """The store over the real server: the second run answers with nobody listening any more."""
    url, _ = server
    asked = [Request(f"email-{i}", prompt) for i, prompt in enumerate(PROMPTS)]
    condition = ApiCondition("tiny", NAME, 0.0, None, LIMIT, "responses")
    limits = CostLimits(Price(input=1.0, cached_input=None, output=1.0), NAME, 1.0, LIMIT, len)
    provider = Provider(url)
    with ResponseStore(tmp_path / "s") as store:
        first, _ = ask_stored(asked, condition, store, limits, provider, POLICY)
        assert [answer.reply.output for answer in first] == [
            answer.reply.output for answer in ask(url)
        ]
        again, stored = ask_stored(asked, condition, store, limits, provider, POLICY)
        assert again == first and stored == [True, True]
        # that server has no Batch API, which is said with the key to change
        with pytest.raises(UserError, match=r"^api\.server\.mode: .* has no Batch API"):
            ask_stored(asked, condition, store, limits, provider, POLICY, "batch")


def test_the_server_has_no_key_and_no_hub(server):
    """The process that serves weights is given no secret; its log shows none."""
    environment = server_environment("lora_vs_api.api.serve_child")
    assert KEY not in environment and "HF_HUB_OFFLINE=1" in environment
    assert KEY not in server[1].read_text()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["normal", "interrupt", "error"])
def test_the_server_ends_with_the_block(tiny, tmp_path, ending):
    """No way out of the block leaves a process behind; meanwhile it is on the configured port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    errors = {"error": ValueError, "interrupt": KeyboardInterrupt}
    seen = []

    def use():
        with serve(
            tiny, NAME, device="cpu", dtype="float32", port=port, log=tmp_path / "log"
        ) as url:
            seen.append(url)
            assert url == f"http://127.0.0.1:{port}/v1" and is_up(url)
            if ending in errors:
                raise errors[ending]

    if ending in errors:
        with pytest.raises(errors[ending]):
            use()
    else:
        use()
    assert seen and not is_up(seen[0])


@pytest.mark.parametrize("moment", ["starting", pytest.param("serving", marks=pytest.mark.slow)])
def test_a_killed_node_takes_its_server_along(tiny, tmp_path, moment):
    """SIGKILL leaves the node no chance to clean up; the server notices all the same."""
    check_a_killed_node_takes_its_server_along(
        "from lora_vs_api.api.local_server import serve\n"
        "with serve(sys.argv[1], 'Tiny', device='cpu', dtype='float32', log=sys.argv[2])",
        [str(tiny), str(tmp_path / "log")],
        tmp_path,
        moment,
        seconds=15,
    )


def test_a_port_that_is_taken_is_named(tiny, tmp_path):
    """The key to change is in the message, before any model is loaded."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(UserError, match=rf"^api\.limits\.port: .*{port}"),
            serve(tiny, NAME, device="cpu", dtype="float32", port=port, log=tmp_path / "log"),
        ):
            raise AssertionError("served on a port that is taken")
    assert not (tmp_path / "log").exists()


def test_a_path_without_a_model_is_named(tmp_path):
    """A wrong path fails before a process starts."""
    with (
        pytest.raises(UserError, match=r"nowhere: no model to serve there"),
        serve(tmp_path / "nowhere", NAME, device="cpu", dtype="float32", log=tmp_path / "log"),
    ):
        raise AssertionError("served nothing")
    assert not (tmp_path / "log").exists()


@pytest.mark.slow
def test_weights_that_cannot_be_loaded_end_in_the_log(tiny, tmp_path):
    """A broken file is one line with the end of the server's log, not a timeout."""
    broken = tmp_path / "broken"
    shutil.copytree(tiny, broken)
    (broken / "model.safetensors").write_bytes(b"not safetensors")
    with (
        pytest.raises(UserError, match=r"ended with exit code 1 .*SafetensorError") as failure,
        serve(broken, NAME, device="cpu", dtype="float32", log=tmp_path / "log"),
    ):
        raise AssertionError("served broken weights")
    assert "\n" not in str(failure.value)


@pytest.mark.slow
def test_a_server_that_is_not_healthy_in_time(tiny, tmp_path):
    """The deadline holds, and the process does not outlive it."""
    started = time.monotonic()
    with (
        pytest.raises(UserError, match=r"not healthy within 0\.2 s"),
        serve(tiny, NAME, device="cpu", dtype="float32", startup_seconds=0.2, log=tmp_path / "log"),
    ):
        raise AssertionError("healthy in no time")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("name", ["a@main", "repo:q4.gguf", "../up", "/abs", ""])
def test_a_name_the_server_would_read_otherwise(tiny, tmp_path, name):
    """`@` and `:` mean a revision and a file; a name must not lead out of the scratch folder."""
    with (
        pytest.raises(UserError, match="cannot be served"),
        serve(tiny, name, device="cpu", dtype="float32", log=tmp_path / "log"),
    ):
        raise AssertionError("served under a name that means something else")


@pytest.mark.slow
def test_requests_batched_together_answer_alike(tiny, tmp_path):
    """Continuous batching changes the speed and not the answers (float32)."""
    answers = {}
    for batching in (False, True):
        with serve(
            tiny, NAME, device="cpu", dtype="float32", continuous_batching=batching,
            log=tmp_path / "log",
        ) as url:  # fmt: skip
            answers[batching] = ask(url)
    assert [json.dumps(a.reply.output) for a in answers[False]] == [
        json.dumps(a.reply.output) for a in answers[True]
    ]
