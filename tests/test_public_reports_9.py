"""Further public reports: each a kind of file, server, model or setting, and what it must come to."""

from __future__ import annotations

import json

import pytest

from lora_vs_api.api.batch_files import read_results
from lora_vs_api.api.server_error import status_in
from lora_vs_api.errors import UserError
from tests.fault_server import Fault, FaultServer
from tests.test_api_client import MINI, ask


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (404, {"message": "The model `x` does not exist", "code": "model_not_found"}, "; conditions.mini.model sets it"),
        ("404", {"message": "The model `x` does not exist"}, "; conditions.mini.model sets it"),
        (400, {"message": "Unsupported parameter: 'max_tokens' is not supported, use 'max_completion_tokens' instead."},
         "; conditions.mini.max_output_tokens sets it"),
        (None, {"message": "invalid schema for response_format"}, "; conditions.mini.output sets it"),
        (400, {"message": "maximum context length is 10 tokens; reduce the length of the text", "param": "messages"}, ""),
        (429, {"message": "Rate limit reached for temperature checks"}, ""),
        ("500", {"message": "model not found in cache"}, ""),
    ],
)  # fmt: skip
def test_a_line_of_a_batch_blames_what_a_live_answer_would(status, error, told):
    line = {"custom_id": "k", "response": {"status_code": status, "body": {"error": error}}}
    [(_, reason)] = read_results(json.dumps(line), "file_1", MINI)
    assert isinstance(reason, str) and reason.endswith(error["message"] + told)


def test_an_error_of_a_line_that_says_nothing_hides_no_answer_behind_it():
    empty = {"code": None, "message": None}
    body = {"error": {"message": "the reason"}}
    line = {"custom_id": "k", "error": empty, "response": {"status_code": 400, "body": body}}
    [(_, reason)] = read_results(json.dumps(line), "file_1", MINI)
    assert reason == "status 400: the reason"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"object": "error", "message": "Invalid max_tokens", "code": 400}, 400),
        ({"code": "401", "msg": "invalid key"}, 401),
        ({"object": "error", "message": "busy", "code": 40002}, None),
        ({"message": "busy"}, None),
        ({"code": 404, "choices": [{"message": {"content": "a"}}]}, None),
    ],
)
def test_a_bare_error_in_an_answer_of_status_200_has_its_status(body, status):
    """lm-sys/FastChat: {"object": "error", "code": 400} with status 200 was asked again until attempts ran out."""
    assert status_in(body) == status


def test_a_bare_error_of_a_parameter_is_asked_once_and_names_it():
    said = {"object": "error", "message": "temperature must be 1", "code": 400, "param": "temperature"}  # fmt: skip
    with (
        FaultServer({"mail 0": [Fault("json", body=lambda _: said)]}) as server,
        pytest.raises(
            UserError,
            match=r"conditions.mini.temperature: .* rejects it .400.: temperature must be 1",
        ),  # fmt: skip
    ):
        ask(server, 1, MINI)
    assert len(server.seen) == 1
