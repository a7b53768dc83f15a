"""Errors as servers send them, each blamed on what is to be changed; the bodies are those of public reports."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.api.connection import not_trusted
from lora_vs_api.api.diagnosis import diagnose
from lora_vs_api.api.pacing import rate_limit_pause, reset_seconds
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.replies import read_reply
from lora_vs_api.api.server_error import headers_in, read_error, says_filtered, status_in
from lora_vs_api.api.types import NoAnswer, Request
from lora_vs_api.api.wire import request_body
from lora_vs_api.errors import UserError
from tests.fault_server import Fault, FaultServer
from tests.test_api_client import CHAT, KEY, MINI, ask, requests

MODEL = r"^conditions\.mini\.model: .*'gpt-mini'"
ENDPOINT = r"^api\.server\.endpoint: .*chat endpoint .*; expected responses, or another conditions\.mini\.model"
ADDRESS = r"^api\.server\.base_url: "
KEY_ENV = r"^api\.limits\.key_env: "
QUOTA = r"^the account's quota at "
ACCOUNT = r"^the account's own settings at .* leave no provider for the model 'gpt-mini'"
PLACE = r"^http://h/v1 serves nobody where this runs"
TOO_LONG = r"^conditions\.mini: .* rejects email-0 .*the text and its examples are too long"
NO_SYSTEM = r"^api\.server\.instruction_role: .*; expected user$"
WALL = r"^a firewall on the way to http://h/v1 refuses this \(403\): "
MINUTE = (
    r"^conditions\.mini: email-0 wants more tokens than the account at http://h/v1 has in a minute"
)
RETRIED = "retried"


def openai(message: str, **names: Any) -> dict[str, Any]:
    return {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": None,
            "code": None,
            **names,
        }
    }


def google(code: int, message: str, status: str, **more: Any) -> list[Any]:
    return [{"error": {"code": code, "message": message, "status": status, **more}}]


def behind(raw: Any, code: int) -> dict[str, Any]:
    """As OpenRouter hands on what a provider says."""
    metadata = {"raw": raw, "provider_name": "OpenAI"}
    return {"error": {"message": "Provider returned error", "code": code, "metadata": metadata}}


CASES = {
    # --- the model
    "OpenAI": (404, openai("The model `gpt-mini` does not exist or you do not have access to it.",
                           code="model_not_found"), MODEL),
    "OpenAI, a project without access": (403, openai("Project `proj_1` does not have access to model `gpt-mini`",
                                                     code="model_not_found"), MODEL + r".*api\.limits\.key_env"),
    "Azure": (404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does "
                    "not exist. If you created the deployment within the last 5 minutes, please wait a moment and "
                    "try again."}}, MODEL),
    "OpenRouter, an id that is none": (400, {"error": {"message": "gpt-mini is not a valid model ID", "code": 400}}, MODEL),
    "OpenRouter, nobody has it": (404, {"error": {"message": "No endpoints found for nousresearch/x:free.", "code": 404}}, MODEL),
    "Fireworks": (404, {"message": "Model not found, inaccessible, and/or not deployed", "param": "model",
                        "code": "NOT_FOUND", "type": "error"}, MODEL),
    "Fireworks, under error": (404, {"error": {"object": "error", "type": "invalid_request_error", "code": "NOT_FOUND",
                               "message": "Model not found, inaccessible, and/or not deployed"}}, MODEL),
    "Groq": (400, openai("The model `llama-3.1-70b-versatile` has been decommissioned and is no longer supported. "
                         "Please refer to https://console.groq.com/docs/deprecations", param="", code="model_decommissioned"), MODEL),
    "Groq, without a code": (400, {"error": {"message": "The model `gemma2-9b-it` has been decommissioned and is no "
                                   "longer supported."}}, MODEL),
    "Together": (400, openai("Unable to access non-serverless model mistralai/Mixtral-8x7B-Instruct-v0.1. Please visit "
                             "https://api.together.ai/models/x to create and start a new dedicated endpoint for the model.",
                             code="model_not_available"), MODEL),
    "Together, an endpoint that sleeps": (400, openai("The dedicated endpoint for mistralai/Mixtral-8x22B-Instruct-v0.1 is "
                                          "not running.", code="dedicated_endpoint_not_running"), MODEL),
    "Mistral": (400, {"object": "error", "message": "Invalid model: mistral-medium-3.5", "type": "invalid_model",
                      "param": None, "code": "1500"}, MODEL),
    "Gemini": (404, google(404, "models/gemini-1.5-flash is not found for API version v1main, or is not supported for "
                           "generateContent. Call ListModels to see the list", "NOT_FOUND"), MODEL),
    "Anthropic": (404, {"type": "error", "error": {"type": "not_found_error", "message": "model: gpt-mini"}}, MODEL),
    "DeepSeek": (400, openai("Model Not Exist", code="invalid_request_error"), MODEL),
    "Hugging Face": (400, openai("The requested model 'gpt-mini' is not supported by any provider you have enabled.",
                                 param="model", code="model_not_supported"), MODEL),
    "vLLM": (404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "param": None,
                   "code": 404}, MODEL),
    "Ollama": (404, openai('model "llama3" not found, try pulling it first', type="api_error"), MODEL),
    "LM Studio": (404, openai("No models loaded. Please load a model in the developer page or use the `lms load` command.",
                              param="model", code="model_not_found"), MODEL),
    "LM Studio, status 400": (400, {"error": "No models loaded. Please load a model"}, MODEL),
    "llama.cpp, router": (400, {"error": {"code": 400, "message": "model not found", "type": "invalid_request_error"}}, MODEL),
    "LiteLLM": (400, openai("/chat/completions: Invalid model name passed in model=x. Call `/v1/models` to view available "
                            "models for your key.", type="None", param="None", code="400"), MODEL),
    "LiteLLM, a key without access": (403, openai("key not allowed to access model. This key can only access models=['a']. "
                                      "Tried to access x", type="key_model_access_denied", param="model", code="403"),
                                      MODEL + r".*another key \(api\.limits\.key_env\)"),
    "LiteLLM, status 401": (401, openai("Authentication Error, API Key not allowed to access model. This token can only "
                                        "access models=['a']. Tried to access x", type="auth_error", param="None", code="401"),
                            MODEL + r" \(401\): Authentication Error.*; expected a model"),
    "NVIDIA": (404, {"status": 404, "title": "Not Found", "detail": "Function 'a1': Not found for account 'b2'"}, MODEL),
    # --- the endpoint, since the model has another
    "OpenAI, responses alone": (404, openai("This model is only supported in v1/responses and not in v1/chat/completions.",
                                            param="model"), ENDPOINT),
    "OpenAI, no chat model": (404, openai("This is not a chat model and thus not supported in the v1/chat/completions "
                                          "endpoint. Did you mean to use v1/completions?", param="model"), ENDPOINT),
    "Azure, another operation": (400, {"error": {"code": "OperationNotSupported", "message": "The chatCompletion operation "
                                 "does not work with the specified model, gpt-5-pro. Please choose different model"}}, ENDPOINT),
    # --- the address
    "FastAPI": (404, {"detail": "Not Found"}, ADDRESS),
    "Go": (404, "404 page not found", ADDRESS),
    "Azure, a path": (404, {"error": {"code": "404", "message": "Resource not found"}}, ADDRESS),
    "Groq, a path": (404, openai("Unknown request URL: POST /gpt-mini/chat/completions. Please check the URL for typos",
                                 code="unknown_url"), ADDRESS),
    "a method": (405, {"detail": "Method Not Allowed"}, ADDRESS),
    # --- the account
    "OpenRouter, privacy": (404, {"error": {"message": "No endpoints found matching your data policy (Paid model training). "
                            "Configure: https://openrouter.ai/settings/privacy", "code": 404}}, ACCOUNT),
    "OpenRouter, guardrails": (404, {"error": {"message": "No endpoints available matching your guardrail restrictions and "
                               "data policy. Configure: https://openrouter.ai/settings/privacy", "code": 404}}, ACCOUNT),
    "OpenRouter, providers": (404, {"error": {"message": "No allowed providers are available for the selected model. "
                              "Providers serving gpt-mini: a, b", "code": 404}}, ACCOUNT),
    "Anthropic, no money": (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance "
                            "is too low to access the Anthropic API."}}, QUOTA),
    "Moonshot, no money": (429, openai("Your account org-4 <ak-f> is suspended due to insufficient balance, please recharge "
                                       "your account", type="exceeded_current_quota_error"), QUOTA),
    "Z.ai, no money": (429, {"error": {"code": "1113", "message": "Insufficient balance or no resource package. Please "
                       "recharge."}}, QUOTA),
    "xAI, no money": (403, "Your team 16f has either used all available credits or reached its monthly spending limit.", QUOTA),
    "SiliconFlow, no money": (403, {"code": 30011, "message": "The selected model requires paid balance. Your paid balance is "
                              "insufficient. Please top up and try again.", "data": None}, QUOTA),
    # whatever wait it asks for beside it
    "OpenAI, no money": (429, openai("You exceeded your current quota. Please try again in 20s.", type="insufficient_quota",
                                     code="insufficient_quota"), QUOTA),
    "Moonshot behind OpenRouter": (429, behind('{"error":{"message":"Your account is suspended due to insufficient balance"}}',
                                               429), QUOTA),
    "Gemini, a limit per minute": (429, google(429, "You exceeded your current quota, please check your plan and billing "
                                   "details. Please retry in 34.07s.", "RESOURCE_EXHAUSTED"), RETRIED),
    # no wait makes room for a request that is larger than a whole minute's tokens
    "Groq, one too large for a minute": (429, openai("Request too large for model `llama` on tokens per minute (TPM): Limit 7000, "
                                         "Requested ~12903. Please try again in 50s."), MINUTE),
    "OpenAI, one too large for a minute": (429, openai("Request too large for gpt-4o on tokens per min (TPM): Limit 30,000, "
                                           "Requested 45,210.", code="rate_limit_exceeded"), MINUTE),
    "Groq, many small ones": (429, openai("Rate limit reached on tokens per minute (TPM): Limit 7000, Used 6900, Requested 900."),
                              RETRIED),
    "OpenAI, a small one": (429, openai("Rate limit reached on tokens per min: Limit 7000, Requested 900."), RETRIED),
    "OpenAI, a place": (403, {"error": {"code": "unsupported_country_region_territory", "message": "Country, region, or "
                        "territory not supported", "param": None, "type": "request_forbidden"}}, PLACE),
    "Gemini, a place": (400, google(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"), PLACE),
    # --- the key
    "Gemini, a key": (400, google(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT"), KEY_ENV),
    "xAI, a key": (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: sk***YA. You can "
                   "obtain an API key from https://console.x.ai."}, KEY_ENV),
    "forbidden": (403, openai("Access denied due to Virtual Network/Firewall rules."), KEY_ENV + ".*Firewall"),
    # --- a parameter, also where a server names none by the word for it
    "LiteLLM, no parameter": (400, openai("litellm.BadRequestError: temperature does not support 0", param="None",
                                          type="None", code="400"), r"^conditions\.mini\.temperature: "),
    "one-api, no parameter": (400, openai("temperature is not supported", param="", type="new_api_error"),
                              r"^conditions\.mini\.temperature: "),
    "a path in the body": (400, openai("bad", param="body.response_format.type"), r"^conditions\.mini\.output: "),
    "Groq, a format": (400, openai("This model `gpt-mini` does not support response format `json_schema`."),
                       r"^conditions\.mini\.output: "),
    "OpenAI, JSON mode": (400, openai("'messages' must contain the word 'json' in some form, to use 'response_format' of type "
                                      "'json_object'.", param="messages"), r"^conditions\.mini\.output: "),
    "OpenAI behind OpenRouter": (400, behind(json.dumps(openai("Unsupported parameter: 'max_completion_tokens' is not "
                                 "supported with this model. Use 'max_tokens' instead.", param="max_completion_tokens")), 400),
                                 r"^api\.server\.token_limit: .*Provider returned error: Unsupported parameter"),
    "OpenRouter, its parameters": (404, {"error": {"message": "No endpoints found that can handle the requested parameters.",
                                   "code": 404}}, r"^conditions\.mini: .*rejects request email-0 \(404\)"),
    "a model's parameter, not the model": (400, openai("The model gpt-4.1 has max_tokens deprecated: max_tokens is no longer "
                                           "supported"), r"^api\.server\.token_limit: "),
    "vLLM, no room for an answer": (400, {"object": "error", "message": "max_tokens must be at least 1, got -186.",
                                    "type": "BadRequestError", "param": None, "code": 400}, TOO_LONG),
    "vLLM, the same under its parameter": (400, openai("max_tokens must be at least 1, got -7584. (parameter=max_tokens, "
                                           "value=-7584)", param="max_tokens", code=400), TOO_LONG),
    "vLLM, later": (400, openai("This model's maximum context length is 2048 tokens. However, your request has 8 input tokens "
                                "plus 2045 'max_tokens'.", param="input_tokens, max_tokens", code=400), TOO_LONG),
    "Anthropic, a schema": (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "output_config.format."
                            "schema: For 'array' type, 'minItems' values other than 0 or 1 are not supported"}},
                            r"^conditions\.mini\.output: "),
    "nginx, http to https": (400, "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
                             ADDRESS + ".*expected https://$"),
    "Go, http to https": (400, "Client sent an HTTP request to an HTTPS server.", ADDRESS + ".*expected https://$"),
    "Cloudflare, a page": (403, "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>", WALL),
    "Cloudflare, a code": (403, "error code: 1010", WALL),
    "a limit of nothing": (400, openai("max_tokens must be at least 1, got 0", param="max_tokens"),
                           r"^conditions\.mini\.max_output_tokens: "),
    "llama.cpp, a schema": (400, {"error": {"code": 400, "message": "Failed to initialize samplers: failed to parse grammar",
                            "type": "invalid_request_error"}}, r"^conditions\.mini\.output: "),
    "vLLM, Gemma": (400, {"object": "error", "message": "System role not supported", "type": "BadRequestError", "param": None,
                    "code": 400}, NO_SYSTEM),
    "vLLM, Gemma 3": (400, openai("Conversation roles must alternate user/assistant/user/assistant/..."), NO_SYSTEM),
    "llama.cpp, Ministral": (500, {"error": {"code": 500, "message": "Only user, assistant and tool roles are supported, got "
                             "system"}}, NO_SYSTEM),
    # --- what passes
    "llama.cpp, still loading": (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, RETRIED),
    "a gateway's 500": (500, openai("model not found"), RETRIED),
    "z-ai behind OpenRouter": (429, behind("z-ai/glm is temporarily rate-limited upstream. Please retry shortly", 429), RETRIED),
}  # fmt: skip


def said_of(status: int, body: Any, headers: dict[str, str] | None = None) -> NoAnswer | UserError:
    return diagnose(status, body, headers or {}, requests(1)[0], CHAT, "http://h/v1")


@pytest.mark.parametrize("name", CASES)
def test_an_error_names_what_is_to_be_changed(name):
    """The key of params.yaml, or the account, the place, the quota; the same where a client unwrapped the body."""
    status, body, expected = CASES[name]
    bodies = [body]
    if isinstance(body, dict) and "error" in body:
        # as the openai client hands it on
        bodies.append(body["error"])
    for each in bodies:
        said = said_of(status, each)
        if expected is RETRIED:
            assert isinstance(said, NoAnswer) and not said.billed
        else:
            assert isinstance(said, UserError) and re.search(expected, str(said)), said
            assert "\n" not in str(said)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [CASES[name] for name in ("Azure", "Fireworks", "OpenRouter, privacy", "OpenAI, responses alone", "Gemini, a key", "Go")],
)  # fmt: skip
def test_the_client_hands_it_on_as_it_is(status, body, expected):
    """Through the real client, which opens the body: one request, no retry."""
    fault = Fault("status", status, body=lambda error: body)
    with FaultServer({"mail 0": [fault] * 3}) as server:
        with pytest.raises(UserError, match=expected.replace("http://h/v1", "http://")):
            ask(server, 3, CHAT, concurrency=1)
        assert len(server.seen) == 1


OF_THE_TEXT = {
    "DeepSeek": (400, openai("Content Exists Risk", code="invalid_request_error")),
    "DeepSeek, earlier": (400, {"detail": "Content Exists Risk"}),
    "DashScope": (400, {"error": {"code": "data_inspection_failed", "param": None, "type": "data_inspection_failed",
                  "message": "Input data may contain inappropriate content."}}),
    "DashScope, later": (400, {"error": {"message": "<400> InternalError.Algo.DataInspectionFailed: Input text data may "
                         "contain inappropriate content."}}),
    "Moonshot": (400, {"error": {"code": 400, "message": "The request was rejected because it was considered high risk",
                 "param": "prompt", "type": "content_filter"}}),
    "Moonshot, by its words": (400, {"error": {"message": "The request was rejected because it was considered high risk"}}),
    "one-api": (400, openai("input contains sensitive words: [test] (request id: 2)", code="sensitive_words_detected")),
    "Zhipu": (400, {"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容，请您避免输入"}}),
    "LiteLLM's guardrails": (400, openai("Violated guardrail policy", code="400")),
    "OpenAI behind OpenRouter": (400, behind(json.dumps(openai("Invalid prompt: we've limited access to this content for "
                                 "safety reasons.", code="invalid_prompt")), 400)),
    "in a 200": (200, {"error": {"code": "data_inspection_failed", "message": "Output data may contain inappropriate content."}}),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_THE_TEXT)
def test_a_filter_of_any_provider_stops_one_text_alone(name):
    """With `score_zero` it is wrong and the others are answered; else it would block the condition for ever."""
    status, body = OF_THE_TEXT[name]
    if status != 200:
        assert says_filtered(status, body)
    fault = Fault("json" if status == 200 else "status", status, body=lambda usual: body)
    with FaultServer({"mail 1": [fault] * 9}) as server:
        answers = ask(server, 3, replace(CHAT, on_refusal="score_zero"))
        assert server.attempts("mail 1") == 1
    assert [answer.reply.outcome for answer in answers] == ["answered", "filtered", "answered"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": "Unexpected endpoint or method. (POST /chat/completions)"}, ADDRESS + ".*expected the address of an OpenAI-compatible API \\(or"),
        ({"error": {"message": "Unexpected endpoint or method. (POST /v1/responses). Returning 200 anyway"}}, ADDRESS),
        ({"error": {"message": "No auth credentials found", "code": 401}}, KEY_ENV),
        ({"error": {"message": "x is not a valid model ID", "code": 400}}, MODEL),
        ({"error": {"message": "Insufficient credits", "code": 402}}, QUOTA),
        # openai/openai-agents-python#2850: beside it there is a choice that is none
        ({"choices": None, "error": {"message": "User not found.", "code": 401}}, KEY_ENV),
        ({"choices": [], "error": {"message": "Insufficient credits", "code": 402}}, QUOTA),
        ({"choices": None, "output": None, "error": {"message": "x is not a valid model ID", "code": 400}}, MODEL),
    ],
)  # fmt: skip
def test_an_error_of_status_200_that_no_retry_mends(body, expected):
    """LM Studio answers so to every path, OpenRouter to what it finds out late."""
    with FaultServer({"mail 0": [Fault("json", body=lambda usual: body)] * 3}) as server:
        with pytest.raises(UserError, match=expected):
            ask(server, 3, CHAT, concurrency=1)
        assert len(server.seen) == 1


@pytest.mark.parametrize("beside", [{}, {"choices": None}, {"choices": []}])
def test_an_error_of_status_200_that_passes(beside):
    """Asked again, with nothing billed; an answer beside an error is the answer's own affair."""
    busy = {**beside, "error": {"message": "slow down", "code": 429}}
    with FaultServer({"mail 0": [Fault("json", body=lambda usual: busy)]}) as server:
        [answer] = ask(server, 1, CHAT)
    assert answer.attempts == 2 and answer.losses.attempts == 0
    assert status_in({"choices": [{"message": {}}], "error": {"code": 400}}) is None
    assert status_in({"error": {"code": "server_error"}}) is None and status_in([]) is None


SSE = 'data: {"id": "x", "choices": [{"delta": {"content": "{}"}}]}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    ("body", "attempts", "expected"),
    [
        (SSE, 1, ADDRESS + '.* streams its answer although it was told not to \\("stream": false\\)'),
        (f": PROCESSING\n\n{SSE}", 1, ADDRESS),
        (f"event: message\n{SSE}", 1, ADDRESS),
        ('data: {"error": {"message": "overloaded"}}\n\n', 3, r"status 200: overloaded \(3 attempts\)"),
        # as OpenAI tells an overload, in the middle of its events
        ("event: response.created\ndata: {}\n\nevent: error\ndata: "
         '{"type": "error", "error": {"code": "server_is_overloaded", "message": "overloaded"}}\n\n', 3,
         r"status 200: overloaded \(3 attempts\)"),
        ("<html>Sign in to the <b>network</b></html>", 3, r"not valid JSON, it begins \"a page, 'Sign in to the network'\"; is api.server.base_url the address of its API, with /v1\? \("),
        (f"{'x' * 74} {KEY}", 3, r"it begins 'x+ \[API…' \("),
        ("", 3, r"not valid JSON, it is empty \("),
        (" \n\n", 3, r"not valid JSON, it is empty \("),
    ],
)  # fmt: skip
def test_a_body_that_is_no_json_is_shown(body, attempts, expected):
    """A stream comes again however often it is asked, and is paid each time; a page tells whose it is."""
    with FaultServer({"mail 0": [Fault("raw", text=body)] * 3}) as server:
        with pytest.raises(UserError, match=expected) as caught:
            ask(server, 1, CHAT)
        assert len(server.seen) == attempts
    assert KEY[:9] not in str(caught.value)


def test_of_a_page_its_title_is_told():
    """Cloudflare's begin with a screenful that says nothing."""
    page = f"<!DOCTYPE html>{'<!-- [if lt IE 7] -->' * 40}<title>api.x.org &amp; co | 521: Web server\nis down</title>"
    assert read_error(page).message == "a page, 'api.x.org & co | 521: Web server is down'"
    assert read_error("a < b").message == "a < b"


def test_an_instruction_at_the_head_of_the_first_user_turn():
    """For a server whose chat template has no system turn; what is asked is otherwise the same."""
    shots = [("system", "Do."), ("user", "a"), ("assistant", "{}"), ("user", "b")]
    asked = Request("x", [{"role": role, "content": content} for role, content in shots])
    sent = request_body(asked, replace(CHAT, instruction_role="user"))["messages"]
    assert [(turn["role"], turn["content"]) for turn in sent] == [
        ("user", "Do.\n\na"), ("assistant", "{}"), ("user", "b"),
    ]  # fmt: skip
    assert asked.messages[0]["content"] == "Do."


def test_an_encryption_that_fails_is_not_tried_again():
    """The certificate of a company's proxy, or https where there is none."""
    with FaultServer() as server:

        class Secured:
            url = server.url.replace("http://", "https://")

        with pytest.raises(
            UserError, match=ADDRESS + r".* does not speak https: .*; expected http:// or"
        ):
            ask(Secured, 1, CHAT)
    said = not_trusted(
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed", "https://h/v1"
    )
    assert said.startswith("SSL_CERT_FILE: the certificate of https://h/v1 is not trusted here")
    assert not_trusted("Name or service not known", "https://h/v1") is None
    # where the variable counts for nothing it is no advice
    said = str(not_trusted("CERTIFICATE_VERIFY_FAILED", "https://127.0.0.1:8443/v1"))
    assert said.startswith("api.server.base_url: ") and "expected http://, since variables" in said


def test_blank_lines_before_an_answer_are_none_of_it():
    """Some servers send them to keep the connection open while a model is loaded; others a mark of the encoding."""
    with FaultServer() as server:
        for before in ("\n \n\n", "\ufeff"):
            fault = Fault("raw", text=lambda usual, before=before: before + json.dumps(usual))
            server.faults["mail 0"] = [fault]
            assert ask(server, 1, CHAT)[0].attempts == 1


def test_tokens_with_a_point_are_counted():
    """JSON has one kind of number; a part of a token is none, and the tokenizer here counts then."""
    with FaultServer() as server:
        for told, expected in ((7.0, (7, False)), (2.25, (18, True))):
            usage = {
                "usage": {
                    "prompt_tokens": 20.0,
                    "completion_tokens": told,
                    "total_tokens": 20 + told,
                }
            }
            server.faults["mail 0"] = [Fault("json", body=lambda usual, usage=usage: usual | usage)]
            reply = ask(server, 1, CHAT, count_tokens=len)[0].reply
            assert (reply.output_tokens, reply.tokens_estimated) == expected
            assert reply.input_tokens == 20


def test_a_proxy_that_wants_a_login_is_named(monkeypatch):
    """Not the condition: its status comes from the way to the server."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    assert str(said_of(407, "<html>log in")).startswith(
        "HTTPS_PROXY: the proxy lets nothing through (407: a page, 'log in')"
    )
    with FaultServer() as proxy:
        address = proxy.url.removesuffix("/v1").replace("http://", "http://me:s3cret@")
        monkeypatch.setenv("https_proxy", address)
        # the tunnel to https is refused in another way than a request of http
        proxy.tunnel = 407

        class Elsewhere:
            url = "https://api.example.org/v1"

        with pytest.raises(
            UserError, match=r"^https_proxy: the proxy lets nothing through \(407"
        ) as caught:
            ask(Elsewhere, 1, CHAT)
    assert "s3cret" not in str(caught.value)


NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("20", 20.0), ("1.5", 1.5), (" 0 ", 0.0), ("6m0s", 360.0), ("500ms", 0.5),
        (f"{NOW.timestamp() + 30:.0f}", 30.0), (f"{(NOW.timestamp() + 30) * 1000:.0f}", 30.0),
        (f"{NOW.timestamp() - 30:.0f}", 0.0),
        ("2026-11-26T12:00:45Z", 45.0), ("2026-11-26T12:00:45", 45.0), ("2026-11-26T11:00:00Z", 0.0),
        ("2026-99-99T12:00:00Z", 0.0), ("later", 0.0), ("", 0.0),
    ],
)  # fmt: skip
def test_the_end_of_a_limit_is_read_in_every_form(reset, seconds):
    """Seconds, milliseconds or seconds since 1970, a date, or OpenAI's own form."""
    assert reset_seconds(reset, NOW) == pytest.approx(seconds)


@given(st.text() | st.integers().map(str) | st.floats().map(str) | st.datetimes().map(str))
def test_no_end_of_a_limit_is_negative_or_a_traceback(reset):
    assert reset_seconds(reset, NOW) >= 0


def test_a_wait_that_stands_in_the_limits_headers_alone_is_honoured():
    """Of an error without retry-after, in its headers or, as OpenRouter has them, in its body."""
    ends = int((time.time() + 30) * 1000)
    limit = {
        "X-RateLimit-Limit": "50",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(ends),
    }
    body = {
        "error": {
            "message": "Rate limit exceeded: free-models-per-day",
            "code": 429,
            "metadata": {"headers": limit},
        }
    }
    assert headers_in(body)["x-ratelimit-remaining"] == "0" and headers_in("x") == {}
    for said in (said_of(429, body), said_of(429, "x", headers_in(body))):
        assert isinstance(said, NoAnswer) and 25 < said.wait <= 30
    # its own header comes first, and what is left over needs no wait
    assert said_of(429, body, {"retry-after": "2"}).wait == 2.0
    assert said_of(429, "x", {"x-ratelimit-remaining": "3", "x-ratelimit-reset": "9"}).wait is None
    assert (
        rate_limit_pause({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "4"})
        == 4.0
    )
    # a day's limit is told, not slept through
    limit["X-RateLimit-Reset"] = str(ends + 36_000_000)
    with FaultServer({"mail 0": [Fault("status", 429, body=lambda error: body)]}) as server:
        with pytest.raises(UserError, match=r"free-models-per-day \(asked to wait \d+ s"):
            ask(server, 1, CHAT)
        assert len(server.seen) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["error", "message", "code", "type", "param", "metadata", "raw", "headers", "detail"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(body=JSON, status=st.sampled_from([400, 401, 403, 404, 407, 413, 422, 429, 500]))
def test_no_error_is_a_traceback(body, status):
    """Whatever stands where: one line, something to retry or to change."""
    error = read_error(body)
    assert "\n" not in error.message and len(error.message) <= 300
    assert status_in(body) is None or 400 <= status_in(body) <= 599
    assert (
        isinstance(said_of(status, body), NoAnswer if status in (429, 500) else UserError)
        or error.is_quota
    )
    says_filtered(status, body)
    with suppress(NoAnswer):
        read_reply(body, MINI, lambda output: (1, 1))


def test_a_key_in_an_error_within_an_error_is_taken_out():
    """A gateway quotes it in JSON within a text, where a slash may be escaped."""
    provider = Provider("http://h/v1", "ab/cd/efgh")
    raw = '{"error": {"message": "bad key ab\\/cd\\/efgh"}}'
    assert "ab" not in read_error(provider.cleaned(behind(raw, 400))).message.replace("bad", "")


@pytest.mark.parametrize("reset", [None, "soon", "1000000001"])
@pytest.mark.parametrize("in_body", [False, True])
def test_a_used_up_limit_without_a_moment_to_come_leaves_the_back_off(reset, in_body):
    """No reset, one that cannot be read and one that is past are no wait of 0 s."""
    told = {"x-ratelimit-remaining-requests": "0"}
    told |= {} if reset is None else {"x-ratelimit-reset-requests": reset}
    body = {"error": {"message": "slow", "metadata": {"headers": told if in_body else {}}}}
    found = diagnose(429, body, {} if in_body else told, requests(1)[0], MINI, "http://h/v1")
    assert isinstance(found, NoAnswer) and found.wait is None


@pytest.mark.parametrize(
    ("message", "parameter"),
    [
        ("Parameter 'location' is not supported for this model", None),
        ("Unsupported parameter: 'user_location' is not supported with this model.", None),
        ("Your 'location' is not supported", "web_search.location"),
    ],
)
def test_a_parameter_that_is_called_like_a_place_is_none(message, parameter):
    assert not read_error({"error": {"message": message, "param": parameter}}).is_place


@pytest.mark.parametrize(
    "message",
    [
        "User location is not supported for the API use.",
        "Country, region, or territory not supported",
        "Your country is not supported",
    ],
)
def test_a_place_is_known_by_its_words(message):
    assert read_error({"error": {"message": message}}).is_place


@pytest.mark.parametrize(
    ("proxies", "base_url", "said"),
    [
        ({"HTTPS_PROXY": "https://me:secret@proxy:3128"}, "https://h/v1", "HTTPS_PROXY: the proxy at https://… does not"),
        ({"ALL_PROXY": "https://proxy:3128"}, "https://h/v1", "ALL_PROXY: the proxy at https://… does not"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "https://h/v1", "api.server.base_url: https://h/v1 does not speak"),
        ({"HTTPS_PROXY": "https://proxy", "NO_PROXY": "h"}, "https://h/v1", "api.server.base_url: https://h/v1 does not"),
        ({"https_proxy": "http://proxy", "ALL_PROXY": "https://p"}, "https://h/v1", "api.server.base_url: "),
        ({"HTTPS_PROXY": "https://proxy:3128"}, "https://127.0.0.1:8/v1", "api.server.base_url: https://127"),
    ],
)  # fmt: skip
def test_https_that_fails_blames_the_proxy_that_is_spoken_to(monkeypatch, proxies, base_url, said):
    """And sends no key in the clear: http:// is advised for this machine and for a proxy alone."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        for spelling in (name, name.lower()):
            monkeypatch.delenv(spelling, raising=False)
    for name, value in proxies.items():
        monkeypatch.setenv(name, value)
    found = not_trusted("[SSL: WRONG_VERSION_NUMBER] wrong version number", base_url)
    assert found is not None and found.startswith(said) and "secret" not in found
    to_server = found.startswith("api.server.base_url") and "127" not in base_url
    assert ("expected http://" in found) != to_server


def test_an_error_within_a_message_keeps_its_names():
    """LiteLLM hands on the provider's error as its message; by the words alone none of these is told."""
    inner = {"message": "refused", "type": "x", "param": "model", "code": "content_filter"}
    body = openai({"error": inner}, type="None", param="None", code="400")  # type: ignore[arg-type]
    found = read_error(body)
    assert (found.message, found.code, found.kind, found.parameter) == ("refused", "content_filter", "x", "model")  # fmt: skip
    assert says_filtered(400, body)
    # and the status that the gateway gives it is not lost behind a word
    assert status_in(body) == 400
    bare = openai({"error": "refused"}, code="429")  # type: ignore[arg-type]
    assert (read_error(bare).code, status_in(bare)) == ("429", 429)
