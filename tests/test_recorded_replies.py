"""Replies that servers gave to others, recorded in their tests and trackers: each is read for what it says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from lora_vs_api.api import batch_calls, client
from lora_vs_api.api.batch_files import read_results
from lora_vs_api.api.diagnosis import blamed_key
from lora_vs_api.api.pacing import rate_limit_pause, reset_seconds, retry_after
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.replies import read_reply
from lora_vs_api.api.server_error import read_error, says_filtered, status_in
from lora_vs_api.api.types import NoAnswer, Reply
from lora_vs_api.errors import UserError
from tests.fault_server import Fault, FaultServer
from tests.test_api_client import CHAT, MINI, ask
from tests.test_server_errors import (
    ADDRESS,
    KEY_ENV,
    MODEL,
    QUOTA,
    RETRIED,
    TOO_LONG,
    behind,
    openai,
    said_of,
)

ESTIMATE = {"k": lambda output: (1, 1)}


def cloudflare(message: str, code: int) -> dict[str, Any]:
    return {"errors": [{"message": f"AiError: {message}", "code": code}], "success": False, "result": {}, "messages": []}  # fmt: skip


def base_resp(code: int, message: str, **beside: Any) -> dict[str, Any]:
    return {**beside, "base_resp": {"status_code": code, "status_msg": message}}


# --- waits


def test_a_wait_of_nothing_beside_a_second_is_a_second():
    """Azure's 429 of ruby_llm's cassette of too long a prompt (crmne/ruby_llm): 1 s, and 0 ms."""
    azure = {"retry-after": "1", "retry-after-ms": "0"}
    assert retry_after(azure) == 1.0
    body = {"error": {"code": "RateLimitReached", "message": "have exceeded rate limit."}}
    assert said_of(429, body, azure).wait == 1.0
    # no wait in a header hides none that the message asks for
    later = {"error": {"message": "Rate limit is exceeded. Try again in 54 seconds."}}
    assert said_of(429, later, {"retry-after": "0"}).wait == 54.0
    assert said_of(429, body, {"retry-after": "0"}).wait is None


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after-ms": "0", "retry-after": "0"},
        {"retry-after-ms": "10"},
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "10ms"},
    ],
    ids=str,
)
def test_a_short_wait_does_not_switch_off_the_back_off(headers, monkeypatch):
    """As Azure's 0 ms, with which six attempts were gone in two seconds."""
    waits: list[float] = []

    async def at_once(seconds: float, stop: object) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr(client, "stopped_within", at_once)
    with FaultServer({"mail 0": [Fault("status", 429, headers=headers)] * 4}) as server:
        ask(server, 1, max_attempts=5, first_wait_seconds=2)
    # 2, 4, 8 and 16 s, each times 0.5 to 1.5
    assert len(waits) == 4 and waits[0] >= 1 and waits[3] >= 8


def azure_limits(reset: str, period: str | None = "60") -> dict[str, str]:
    headers = {
        "x-ratelimit-limit-requests": "120",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": reset,
    }
    return headers if period is None else headers | {"x-ratelimit-renewalperiod-requests": period}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (azure_limits("500"), 0.5),
        (azure_limits("100"), 0.1),
        (azure_limits("60000"), 60.0),
        (azure_limits("24"), 24.0),
        (azure_limits("60000", None), 60.0),
        (azure_limits("90", None), 90.0),
        (azure_limits("100", "soon"), 100.0),
        (azure_limits("6m0s"), 360.0),
    ],
)
def test_a_bare_number_that_cannot_be_of_seconds_is_of_milliseconds(headers, seconds):
    """Azure (traceloop/openllmetry's cassettes): 120 requests a minute, one of them used, and a reset of 500."""
    assert rate_limit_pause(headers) == pytest.approx(seconds)
    assert reset_seconds("3600") == pytest.approx(3.6)


def test_a_reset_in_milliseconds_is_no_reason_to_give_up():
    """60000 was a wait of 16 hours."""
    found = said_of(429, {"error": {"message": "slow down"}}, azure_limits("60000"))
    assert isinstance(found, NoAnswer) and found.wait == 60.0


# --- errors with a status


STATUS = {
    # a limit that a minute renews
    "DashScope": (429, openai("Allocated quota exceeded, please increase your quota limit.", type="insufficient_quota",
                  code="insufficient_quota"), RETRIED),
    "a limit of tokens": (429, openai("You exceeded the limit of tokens per minute.", code="insufficient_quota"), RETRIED),
    "OpenAI's money, still": (429, openai("You exceeded your current quota, please check your plan and billing details.",
                              code="insufficient_quota"), QUOTA),
    "Fireworks, 400": (400, openai("rate limit exceeded, please try again later"), RETRIED),
    "Bedrock, 400": (400, {"message": "Too many tokens, please wait before trying again."}, RETRIED),
    "Bedrock, by name": (400, {"code": "ThrottlingException", "message": "Rate exceeded"}, RETRIED),
    "Google, 403": (403, {"error": {"code": 403, "message": "Slow down", "details": [{"reason": "rateLimitExceeded"}]}}, RETRIED),
    # money
    "new-api": (403, openai("user [12] quota [3400] preConsumedQuota [51000] is not enough", type="new_api_error",
                code="insufficient_user_quota"), QUOTA),
    "new-api, words": (403, openai("user quota is not enough", type="one_api_error"), QUOTA),
    "new-api, credit": (403, openai("User's credit limit is insufficient, remaining credit limit: 0.00"), QUOTA),
    "new-api, balance": (403, openai("need pre-deduct ＄0.061, balance ＄0.000 is insufficient"), QUOTA),
    "new-api, a token": (403, openai("token quota is not enough, token remain quota: $0.01, need quota: $0.05",
                         code="pre_consume_token_quota_failed"), QUOTA),
    "xAI": (403, {"code": "permission-denied", "error": "You have run out of credits or need a Grok subscription."}, QUOTA),
    "xAI, one word": (403, "insufficient_gpt_quota", QUOTA),
    "Volcengine": (403, openai("The request failed because your account has an overdue balance.", code="AccountOverdueError"), QUOTA),
    "Volcengine, a service": (403, {"error": {"code": "OperationDenied.ServiceOverdue", "message": "no"}}, QUOTA),
    "Google": (403, {"error": {"code": 403, "message": "Enable it.", "status": "PERMISSION_DENIED",
               "details": [{"@type": "t"}, {"reason": "BILLING_DISABLED"}]}}, QUOTA),
    "DashScope, arrears": (400, openai("Access denied, please make sure your account is in good standing.", type="Arrearage",
                           code="Arrearage"), QUOTA),
    "DashScope behind a gateway": (400, openai('[400]: {"error":{"message":"Access denied, please make sure your account is '
                                   'in good standing...","type":"Arrearage"}}'), QUOTA),
    "DashScope, free": (403, openai("no", code="AllocationQuota.FreeTierOnly"), QUOTA),
    "Moonshot": (403, openai("You've reached your usage limit for this billing cycle.", type="access_terminated_error"), QUOTA),
    "LiteLLM": (400, openai("Budget has been exceeded! Current cost: 1.35e-05, Max budget: 0.0", type="budget_exceeded",
                code="400"), QUOTA),
    "LiteLLM, 429": (429, openai("ExceededBudget: Crossed spend within budget", type="budget_exceeded", code="429"), QUOTA),
    "Anthropic": (400, openai("You have reached your specified workspace API usage limits. You will regain access on "
                  "2026-10-01 at 00:00 UTC."), QUOTA),
    "a gateway's": (400, openai("You do not have enough credits", code="insufficient_credits"), QUOTA),
    "fal": (403, {"detail": "User is locked. Reason: Exhausted balance. Top up your balance"}, QUOTA),
    "watsonx": (403, {"errors": [{"code": "token_quota_reached", "message": "Request of 1 token(s) from quota was rejected"}],
                "status_code": 403}, QUOTA),
    "Cloudflare, a day": (429, cloudflare("you have used up your daily free allocation of 10,000 neurons", 4006), QUOTA),
    "MiniMax, 400": (400, base_resp(1008, "insufficient balance"), QUOTA),
    "a key all the same": (403, openai("The bound service account is deleted or disabled."), KEY_ENV),
    "no money, but a parameter": (400, openai("temperature: is not enough"), r"^conditions\.mini\.temperature: "),
    # the model
    "new-api, no channel": (503, openai("No available channel for model gpt-mini under group default", type="new_api_error",
                            code="model_not_found"), MODEL),
    "a 503 that passes": (503, openai("model not found, still loading"), RETRIED),
    "Ollama, 403": (403, {"error": "Model 'glm-5.2:cloud' is not allowed on this server."}, MODEL),
    "Ollama, 410": (410, openai("kimi-k2.5 was retired at 2026-07-31", type="api_error"), MODEL),
    "SiliconFlow": (403, {"code": 30003, "message": "Model disabled."}, MODEL),
    "Cloudflare, 410": (410, cloudflare("Model has been deprecated: @cf/x was deprecated on 2026-05-30.", 5028), MODEL),
    "no model, but its thinking": (403, openai("Thinking for this model is disabled."), KEY_ENV),
    "the Batch API alone": (404, openai("This model is only available through the Batch API. Use the /api/beta/batches "
                            "endpoint instead."), r"^api\.server\.mode: .*'gpt-mini' in batches alone .*; expected batch, or another"),
    # its list of errors
    "Cloudflare, a limit": (400, cloudflare('AiError: {"message":"max_tokens must be less than 8192","param":null}', 8007),
                            r"^conditions\.mini\.max_output_tokens: .* \(400\): AiError: AiError: "),
    "Cloudflare, a path": (404, {"errors": [{"code": 7003, "message": "No route for that URI"}]}, ADDRESS + r".*\(404\): No route"),
    "a list beside a reason": (400, {"message": "bad temperature", "errors": [{"message": "x"}]}, r"^conditions\.mini\.temperature: "),
    # too long
    "Google, long": (400, openai("The input token count (1250074) exceeds the maximum number of tokens allowed (1048576)."), TOO_LONG),
    "Google behind a gateway": (400, openai("Input token count (272370) exceeds system limit (262144)"), TOO_LONG),
    "a gateway's limit": (400, openai("channel input token limit exceeded: estimated input tokens 141238 > limit 131072"), TOO_LONG),
    "Perplexity": (400, openai("The total length of all messages is too long."), TOO_LONG),
    "Moonshot, long": (400, openai("Invalid request: Your request exceeded model token limit: 262144 (requested: 558009)"), TOO_LONG),
    "DashScope, long": (400, openai("Range of input length should be [1, 129024]", code="invalid_parameter_error"), TOO_LONG),
    "Zhipu, long": (400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}, TOO_LONG),
    "xAI, long": (400, {"code": "x", "error": "This model's maximum prompt length is 131072 but the request contains 200000 "
                  "tokens."}, TOO_LONG),
    "Cloudflare, long": (400, cloudflare("Max context reached 82800 tokens but model supports only 60000", 3030), TOO_LONG),
    "by its type": (400, openai("too many tokens", type="context_length_exceeded"), TOO_LONG),
    # reasoning that is always on
    "OpenRouter": (400, {"error": {"message": "Reasoning is mandatory for this endpoint and cannot be disabled.", "code": 400}},
                   r"^conditions\.mini\.reasoning_effort: .*; null sends none"),
    "Zhipu": (400, openai("该模型始终思考，不支持关闭思考", code="1210"), r"^conditions\.mini\.reasoning_effort: "),
}  # fmt: skip


@pytest.mark.parametrize("name", STATUS)
def test_an_error_is_blamed_on_what_it_is_about(name):
    """Bodies of the tests and trackers of QuantumNous/new-api, lobehub/lobe-chat, BerriAI/litellm, crmne/ruby_llm,
    pydantic/pydantic-ai and the providers' own documentation.
    """
    status, body, expected = STATUS[name]
    said = said_of(status, body)
    if expected is RETRIED:
        assert isinstance(said, NoAnswer), said
    else:
        assert isinstance(said, UserError) and re.search(expected, str(said)), said
    assert not says_filtered(status, body)


def test_of_a_batchs_lines_too():
    """What passes, what is the account's and what is too long is no parameter's fault; a model is the model's."""
    for name in ("Fireworks, 400", "DashScope, arrears", "Google, long", "by its type"):
        status, body, _ = STATUS[name]
        assert blamed_key(status, read_error(body), CHAT) is None
    for name, key in (("new-api, no channel", "model"), ("OpenRouter", "reasoning_effort")):
        status, body, _ = STATUS[name]
        assert blamed_key(status, read_error(body), CHAT) == f"conditions.mini.{key}"


@pytest.mark.parametrize(("name", "waits"), [("Fireworks, 400", True), ("OpenRouter", False)])
def test_a_batch_that_is_refused_for_a_moment_is_asked_for_again(name, waits):
    """Its creation may be told of a rate limit with status 400, too."""
    text = json.dumps(STATUS[name][1])
    error: Any = SimpleNamespace(
        status_code=400, body=None, response=SimpleNamespace(text=text, headers={})
    )
    assert (batch_calls._wait_after(error, 1, AskPolicy(5, 3)) is not None) == waits


def test_zhipus_filter_in_english():
    """1301 has two wordings (lobehub/lobe-chat); the text alone is to blame, and no other sentence with those words."""
    said = "System detected potentially unsafe or sensitive content in input or generation."
    assert says_filtered(400, {"error": {"code": "1301", "message": said}})
    assert not says_filtered(400, {"error": {"message": "The schema holds potentially unsafe content."}})  # fmt: skip


# --- errors of status 200


FAILED = {"id": "resp_1", "object": "response", "status": "failed", "output": []}
NULL = {"id": "0637", "choices": None, "object": "chat.completion", "usage": {"total_tokens": 0}}


@pytest.mark.parametrize(
    ("condition", "body", "expected"),
    [
        (CHAT, openai("You exceeded your current quota.", type="insufficient_quota", code="insufficient_quota"), QUOTA),
        (MINI, FAILED | {"error": {"message": "insufficient_quota"}}, QUOTA),
        (MINI, FAILED | {"error": {"code": "context_length_exceeded", "message": "Please adjust your input."}}, TOO_LONG),
        (MINI, FAILED | {"error": {"code": "invalid_api_key", "message": "no"}}, KEY_ENV),
        (CHAT, {"error": {"type": "authentication_error", "message": "invalid x-api-key"}}, KEY_ENV),
        (CHAT, {"error": {"code": "model_not_found", "message": "no"}}, MODEL),
        (CHAT, NULL | {"choices": [{"error": {"code": "insufficient_quota", "message": "no"}}]}, QUOTA),
        (CHAT, base_resp(1004, "login fail: Please carry the API secret key"), KEY_ENV),
        (CHAT, base_resp(1008, "insufficient balance", data=None, trace_id="x"), QUOTA),
        (CHAT, base_resp(2056, "usage limit exceeded", **NULL), QUOTA),
        (CHAT, base_resp(2061, "your current token plan not support model, gpt-mini", **NULL), MODEL),
        (CHAT, base_resp(2013, "invalid params, bad temperature", **NULL), r"^conditions\.mini\.temperature: "),
        (MINI, base_resp(1008, "insufficient balance"), QUOTA),
    ],
)  # fmt: skip
def test_an_error_of_status_200_is_told_by_its_name(condition, body, expected):
    """Of the Responses API's failed responses, of gateways, and MiniMax's own (MiniMax-AI, lobehub/lobe-chat)."""
    fault = Fault("json", body=lambda usual: body)
    with FaultServer({"mail 0": [fault] * 3}) as server:
        with pytest.raises(UserError, match=expected.replace("http://h/v1", "http://")):
            ask(server, 1, condition)
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("condition", "body", "said"),
    [
        (MINI, FAILED | {"error": {"code": "upstream_error", "message": "request failed"}}, "request failed"),
        (CHAT, openai("slow down", code="rate_limit_exceeded"), "slow down"),
        (CHAT, openai("Allocated quota exceeded.", code="insufficient_quota"), "Allocated quota"),
        (CHAT, base_resp(1039, "rate limited", **NULL), "error in an answer of status 200: rate limited"),
        (CHAT, base_resp(1002, "rate limited"), "error in an answer of status 200: rate limited"),
        (MINI, base_resp(1002, "rate limited"), "error in an answer of status 200: rate limited"),
        (CHAT, {"success": False, "errors": [{"code": 7009, "message": "Gone"}]}, "answer of status 200: Gone"),
        (CHAT, base_resp(0, "", **NULL), "the answer holds no choice, it begins"),
    ],
)  # fmt: skip
def test_an_error_of_status_200_without_such_a_name_passes(condition, body, said):
    """And its own message is told, which the beginning of the body used to cut off."""
    assert status_in(body) is None
    fault = Fault("json", body=lambda usual: body)
    with FaultServer({"mail 0": [fault] * 3}) as server:
        with pytest.raises(UserError, match=re.escape(said)):
            ask(server, 1, condition)
        assert len(server.seen) == 3


def test_minimaxs_number_0_is_no_error():
    """It stands beside every answer of theirs; beside an answer, none is looked at."""
    with FaultServer() as server:
        for number in (0, 1008):
            server.faults["mail 0"] = [
                Fault("json", body=lambda usual, number=number: base_resp(number, "x", **usual))
            ]
            assert ask(server, 1, CHAT)[0].reply.outcome == "answered"


@pytest.mark.parametrize("number", [1026, 1027])
def test_minimaxs_filter(number):
    """Of the text and of the answer, by their documented numbers."""
    body = base_resp(number, "input new_sensitive", **NULL)
    assert read_reply(body, CHAT, lambda output: (3, 0)).outcome == "filtered"


def test_a_number_of_another_server_is_none_of_minimaxs():
    """1008 is many things."""
    assert not read_error({"status_code": 1008, "message": "x"}).is_quota
    assert not read_error(openai("x", code="1008")).is_quota


def test_a_batchs_line_of_status_200_tells_the_error():
    """MiniMax's base_resp in one."""
    line = {"custom_id": "k", "response": {"status_code": 200, "body": base_resp(1008, "insufficient balance", **NULL)}}  # fmt: skip
    [(_, found)] = read_results(json.dumps(line), "f", CHAT, ESTIMATE)
    assert found == "error in an answer of status 200: insufficient balance"


# --- answers


SSE = 'data: {"choices": [{"delta": {"content": "{}"}}]}\n\n'


@pytest.mark.parametrize(
    ("body", "attempts", "expected"),
    [
        (f": \n\n{SSE}", 1, ADDRESS + ".* streams its answer"),
        (f":\n\n{SSE}", 1, ADDRESS),
        (f":\r\n\r\n{SSE}", 1, ADDRESS),
        ('id:1\nevent:error\n:HTTP_STATUS/429\ndata:{"request_id":"7","code":"Throttling.AllocationQuota",'
         '"message":"Allocated quota exceeded, please increase your quota limit."}\n\n', 3, "status 200: Allocated quota"),
        ('data: {"detail":"Rate limit exceeded for model","status_code":429}\n\n', 3, "status 200: Rate limit exceeded"),
        (": is no answer", 1, ADDRESS),
        (":-)", 3, "not valid JSON"),
    ],
)  # fmt: skip
def test_a_stream_that_begins_with_an_empty_comment(body, attempts, expected):
    """OpenRouter's, in the cassettes of crmne/ruby_llm; the errors are DashScope's and a proxy's."""
    with FaultServer({"mail 0": [Fault("raw", text=body)] * 3}) as server:
        with pytest.raises(UserError, match=expected):
            ask(server, 1, CHAT)
        assert len(server.seen) == attempts


def answered(content: Any, end: str = "stop", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": end, "message": {"role": "assistant", "content": content, **message}}  # fmt: skip
    return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": {"prompt_tokens": 28, "completion_tokens": 29}}  # fmt: skip


HALF = '    \t{\n        "colors": [\n           "What is the color of the sky on a clear day?'


@pytest.mark.parametrize(
    "output", [HALF, '{"a": 1', '{"a": 1, "b": ', '{"a": [', '{"a"', '{"a": 1} {"b": "x']
)
def test_an_object_that_ends_in_the_middle_is_a_bad_answer_of_a_server_that_heeds_the_format(output):  # fmt: skip
    """Mistral Nemo at Novita behind OpenRouter (activeagents/activeagent), with finish_reason stop."""
    fault = Fault("json", body=lambda usual: answered(output))
    with FaultServer({"mail 0": [fault]}) as server:
        found = ask(server, 2, replace(CHAT, json_object=True))
    assert found[0].reply.output == output and found[0].reply.outcome == "answered"


@pytest.mark.parametrize("output", ["Sure! {", "```json\n{}\n```", "{'a': 1}", "[1, 2", '"x'])
def test_what_is_no_half_object_is_blamed_on_the_format(output):
    """Prose, a fence, Python's quotes, and half of what no schema of ours asks for."""
    fault = Fault("json", body=lambda usual: answered(output))
    blamed = pytest.raises(UserError, match="ignores the JSON format")
    with FaultServer({"mail 0": [fault] * 3}) as server, blamed:
        ask(server, 1, replace(CHAT, json_object=True))


CALL = {"type": "function", "id": "c", "function": {"name": "file_fetch", "arguments": "{}"}}


@pytest.mark.parametrize("end", ["tool_calls", "tool_use", "function_call"])
def test_text_before_a_tool_call_is_no_whole_answer(end):
    """Claude behind OpenRouter (crmne/ruby_llm): "I'll fetch the file for you." was scored."""
    body = answered("I'll fetch the file for you.", end, tool_calls=[CALL])
    with pytest.raises(NoAnswer, match=f"^finish_reason {end}: the model calls a tool") as caught:
        read_reply(body, CHAT)
    assert caught.value.tokens == (28, 29) and caught.value.billed
    with pytest.raises(NoAnswer, match="the model calls a tool"):
        read_reply(answered(None, end, tool_calls=[CALL]), replace(CHAT, may_be_empty=True))
    # one that ends so and calls nothing is an answer, as some parsers of tool calls leave it
    assert read_reply(answered("{}", end, tool_calls=[]), CHAT).output == "{}"
    assert read_reply(answered("{}", end), CHAT).output == "{}"


def test_text_before_a_call_in_a_response():
    """The same at the other endpoint; what the server itself runs is no call that waits."""
    text = {"type": "message", "content": [{"type": "output_text", "text": "I'll look."}]}
    usage = {"input_tokens": 9, "output_tokens": 3}
    body = {"object": "response", "status": "completed", "usage": usage}
    with pytest.raises(NoAnswer, match="the model calls a tool"):
        read_reply(body | {"output": [text, {"type": "function_call", "name": "f"}]}, MINI)
    searched = [{"type": "web_search_call", "status": "completed"}, text]
    ran = [{"type": "function_call", "name": "f"}, {"type": "function_call_output"}, text]
    assert read_reply(body | {"output": ran}, MINI).output == "I'll look."
    assert read_reply(body | {"output": [{"type": {}}, text]}, MINI).output == "I'll look."
    assert read_reply(body | {"output": searched}, MINI).output == "I'll look."


def test_an_error_behind_a_gateway_is_read_as_one():
    """OpenRouter's raw text may be a list of errors, too."""
    raw = json.dumps(cloudflare("Max context reached 82800 tokens", 3030))
    assert re.search(TOO_LONG, str(said_of(400, behind(raw, 400))))
    assert read_error(behind(raw, 400)).message == "Provider returned error: AiError: Max context reached 82800 tokens"  # fmt: skip


# --- forms: an object in place of a list or a name, a list in place of an object, a text in place of either


USAGE = {"prompt_tokens": 28, "completion_tokens": 29}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"}
ONE = {"id": "x", "object": "chat.completion", "choices": [CHOICE], "usage": USAGE}
ITEM = {"type": "message", "content": [{"type": "output_text", "text": "{}"}]}
RESPONSE = {
    "object": "response",
    "status": "completed",
    "output": [ITEM],
    "usage": {"input_tokens": 28, "output_tokens": 29},
}


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ({"type": "length", "length": 29}, "truncated"),
        ({"type": "stop", "matched": 128009}, "answered"),
        ({"type": "stop", "matched": "</s>"}, "answered"),
        ([{"type": "length", "length": 29}], "truncated"),
        ({"reason": "content_filter"}, "filtered"),
        ({}, "answered"),
    ],
    ids=str,
)
@pytest.mark.parametrize("choices", [lambda choice: [choice], lambda choice: choice])
def test_an_end_as_an_object_is_told_by_its_type(end, outcome, choices):
    """Older SGLang (sgl-project/sglang, openai_api/adapter.py), whose batches have one choice bare; half an answer was a whole one."""
    body = ONE | {"choices": choices(CHOICE | {"finish_reason": end})}
    found = read_reply(body, CHAT)
    assert (found.outcome, found.output, found.input_tokens) == (outcome, "{}", 28)


def test_an_end_as_an_object_that_says_nothing_leaves_the_count_to_tell():
    body = ONE | {"usage": USAGE | {"completion_tokens": CHAT.max_output_tokens}}
    for end in ({}, {"matched": 7}):
        body["choices"] = [CHOICE | {"finish_reason": end}]
        assert read_reply(body, CHAT).outcome == "truncated"


def test_an_abort_as_an_object_is_no_answer():
    """SGLang's, with its reason (sgl-project/sglang, FINISH_ABORT)."""
    end = {"type": "abort", "message": "Input length exceeds it.", "status_code": 400}
    said = r"^finish_reason abort: the answer broke off \(Input length exceeds it\.\)$"
    with pytest.raises(NoAnswer, match=said):
        read_reply(ONE | {"choices": CHOICE | {"finish_reason": end}}, CHAT)


@pytest.mark.parametrize(
    "body",
    [
        ONE | {"choices": CHOICE},
        [ONE],
        ONE | {"usage": [USAGE]},
        ONE | {"choices": [CHOICE | {"message": [CHOICE["message"]]}]},
        ONE | {"choices": [CHOICE | {"message": {"content": {"type": "text", "text": "{}"}}}]},
        ONE | {"choices": [CHOICE | {"message": {"content": [{"type": "text", "text": {"value": "{}"}}]}}]},
        ONE | {"error": []},
        RESPONSE | {"output": ITEM},
        RESPONSE | {"status": {"type": "completed"}},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("live", [True, False])
def test_one_in_place_of_a_list_and_the_other_way_round(body, live):
    """SGLang's batches ("choices": choice), gateways that wrap in lists, and the text of the Assistants API."""
    condition = MINI if isinstance(body, dict) and body.get("object") == "response" else CHAT
    if live:
        with FaultServer({"mail 0": [Fault("json", body=lambda usual: body)]}) as server:
            found = ask(server, 1, condition)[0].reply
    else:
        line = {"custom_id": "k", "response": {"status_code": 200, "body": body}, "error": None}
        [(_, found)] = read_results(json.dumps(line), "f", condition, ESTIMATE)
        assert isinstance(found, Reply)
    assert (found.output, found.outcome, found.input_tokens) == ("{}", "answered", 28)


def test_a_number_for_a_content_is_written_out():
    """As the object that Cloudflare makes of a JSON answer; it was an empty answer."""
    for content in (5, 0.5, True):
        choice = CHOICE | {"message": {"content": content}}
        found = read_reply(ONE | {"choices": [choice]}, replace(CHAT, may_be_empty=True))
        assert found.output == json.dumps(content)


@pytest.mark.parametrize(
    ("details", "outcome"),
    [
        ("max_output_tokens", "truncated"),
        ([{"reason": "content_filter"}], "filtered"),
        ({"reason": "max_output_tokens"}, "truncated"),
    ],
)
def test_why_a_response_is_incomplete_in_any_form(details, outcome):
    body = RESPONSE | {"status": "incomplete", "incomplete_details": details}
    assert read_reply(body, MINI).outcome == outcome


@pytest.mark.parametrize(
    ("condition", "body", "said"),
    [
        (CHAT, ONE | {"choices": [{"message": "hi"}]}, "the answer holds no message, its choice begins {\"message\": \"hi\"}"),
        (CHAT, ONE | {"choices": [{"text": "hi"}]}, "the answer holds no message, its choice begins {\"text\": \"hi\"}"),
        (CHAT, ONE | {"choices": [None]}, "the answer holds no message"),
        (CHAT, ONE | {"choices": 5}, "the answer holds no choice, it begins"),
        (CHAT, [1, 2], "the answer is not a chat completion, it begins [1, 2]"),
        (CHAT, "hello", "the answer is not a chat completion, it begins \"hello\""),
        (MINI, "hello", "the answer is not a response of the Responses API, it begins \"hello\""),
        (CHAT, {"code": 200, "msg": "success", "data": ONE}, "the answer is not a chat completion, it begins {\"code\": 200"),
        (CHAT, {"output": {"choices": [CHOICE]}}, "the answer is not a chat completion, it begins {\"output\""),
        (MINI, RESPONSE | {"output": {"text": "hi"}}, "the answer's output is no list of items, it begins {\"text\""),
        (MINI, RESPONSE | {"status": "incomplete", "incomplete_details": None}, "status incomplete: no reason given"),
    ],
)  # fmt: skip
def test_an_answer_of_another_form_is_quoted(condition, body, said):
    """Result lines of odd shapes, as others test for; DashScope's own form, and an answer that a gateway wraps in data."""
    with pytest.raises(NoAnswer, match=re.escape(said)):
        read_reply(body, replace(condition, may_be_empty=True))


def test_an_answer_that_is_a_text_of_json():
    """A gateway that writes the JSON of its backend into JSON: live, an error with it, and an error in a message."""
    text = json.dumps(ONE | {"choices": [CHOICE]})
    with FaultServer({"mail 0": [Fault("json", body=lambda usual: text)]}) as server:
        assert ask(server, 1, CHAT)[0].reply.output == "{}"
    inner = json.dumps({"error": {"message": "no such thing", "code": "model_not_found"}})
    for body in (openai(inner), {"error": inner}):
        assert re.search(MODEL, str(said_of(400, body)))
        assert read_error(body).message == "no such thing"
    # a text of JSON that is no error stays as it is
    assert read_error(openai('{"a": 1}')).message == '{"a": 1}'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": [{"message": "slow down", "code": "x"}, {"message": "y"}]}, "slow down"),
        ({"error": [{"loc": ["body", "top_k"], "msg": "Extra inputs are not permitted"}]}, "body.top_k: Extra inputs are not permitted"),
        ({"error": {"code": "batch_expired"}}, "batch_expired"),
        ({"error": {"type": "invalid_request_error", "code": None}}, "invalid_request_error"),
        ({"error": {"code": 504}}, "504"),
        ({"errorMessage": "Task timed out", "errorType": "x"}, "Task timed out"),
    ],
)  # fmt: skip
def test_where_else_an_error_stands(body, said):
    """Lists of errors, errors of a name alone (OpenRouter's batches), and AWS Lambda's."""
    assert read_error(body).message == said


# --- lines of batches


def failed(status: object, body: Any, **beside: Any) -> dict[str, Any]:
    return {"response": {"status_code": status, "request_id": "r", "body": body}, "error": None, **beside}  # fmt: skip


ZHIPU = "系统检测到输入或生成内容可能包含不安全或敏感内容，请您避免输入易产生敏感内容的提示语，感谢您的配合。"
AZURE = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
EXPIRED = "This request could not be executed before the completion window expired."
LINES = {
    # OpenAI's, as its documentation and those who follow it have them
    "expired": ({"response": None, "error": {"code": "batch_expired", "message": EXPIRED}}, f"^{EXPIRED}$"),
    "expired, by name": ({"response": None, "error": {"code": "batch_expired"}}, "^batch_expired$"),
    "a limit": (failed(400, openai("max_tokens is too large: 1000000.", param="max_tokens")),
                r"^status 400: max_tokens is too large: 1000000\.; conditions\.mini\.max_output_tokens sets it$"),
    "a name and a status": ({"response": {"status_code": 429, "request_id": "r"}, "error": {"code": "rate_limit_exceeded"}},
                            "^status 429: rate_limit_exceeded$"),
    "error and no body": (failed(500, {}, error="serveur indisponible"), "^status 500: serveur indisponible$"),
    "an error in the answer's place": ({"response": {"status_code": 500, "error": "timeout"}}, "^status 500: timeout$"),
    "status 200 and no body": (failed(200, None, error={"code": "server_error", "message": "boom"}), "^status 200: boom$"),
    # Mistral
    "Mistral": (failed(429, None, error={"message": "rate limited"}), "^status 429: rate limited$"),
    "Mistral's own": (failed(422, {"message": "unprocessable"}), "^status 422: unprocessable$"),
    "Mistral's places": (failed(422, json.dumps({"detail": [{"loc": ["body", "foo"], "msg": "Extra inputs are not permitted"}]})),
                         r"^status 422: body\.foo: Extra inputs are not permitted$"),
    # vLLM's run_batch, LiteLLM, Voyage, Gemini's compatible endpoint
    "vLLM": (failed(404, None, error={"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}),
             r"^status 404: The model `x` does not exist\.; conditions\.mini\.model sets it$"),
    "Voyage": ({"response": {"status_code": 500, "message": "boom"}, "error": None}, "^status 500: boom$"),
    "Gemini": (failed(400, [{"error": {"code": 400, "message": "a mime type is unsupported", "status": "INVALID_ARGUMENT"}}]),
               "^status 400: a mime type is unsupported$"),
    "Gemini, no status": ({"error": {"code": 3, "message": "an invalid argument."}}, r"^an invalid argument\.$"),
    # texts in place of objects
    "a body as text": (failed(400, json.dumps(openai("bad", param="temperature"))), r"^status 400: bad; conditions\.mini\.temperature sets it$"),
    "a page": (failed(502, "<html><head><title>502 Bad Gateway</title></head></html>"), "^status 502: a page, '502 Bad Gateway'$"),
    "a response as text": ({"response": "Internal Server Error", "error": None}, "^Internal Server Error$"),
    "an error as text": ({"response": None, "error": json.dumps(openai("slow down"))}, "^slow down$"),
    "an error in a list": ({"response": None, "error": [{"message": "slow down"}]}, "^slow down$"),
    # nothing but a status
    "a status": (failed(429, None), r'^status 429: no reason given, the line begins {"response": {"status_code": 429, .*}$'),
    "a status and nothing": (failed(500, {}), r'^status 500: no reason given, the line begins {"response": '),
    # other batches, to which submitting here does not lead
    "Anthropic": ({"result": {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error",
                  "message": "max_tokens: Field required"}}}}, r"^max_tokens: Field required; "),
    "Anthropic, flat": ({"result": {"type": "errored", "error": {"type": "invalid_request", "message": "Invalid parameters"}}},
                        "^Invalid parameters$"),
    "Anthropic, expired": ({"result": {"type": "expired"}}, r'^no reason given, the line begins {"result": {"type": "expired"}}$'),
    "Anthropic, an answer": ({"result": {"type": "succeeded", "message": {"content": [{"type": "text", "text": "the 'text' in JSON mode"}]}}},
                             r'^no reason given, the line begins {"result": {"type": "succeeded", .*}$'),
    "an answer elsewhere": ({"result": ONE}, r'^no reason given, the line begins {"result": {"id": "x", [^;]*$'),
    "Vertex": ({"status": "Bad Request: no", "request": {}, "response": {}}, r'^no reason given, the line begins {"status": "Bad Request: no"'),
    "Bedrock": ({"recordId": "k", "modelInput": {}, "error": {"errorCode": 400, "errorMessage": "Malformed input"}}, "^Malformed input$"),
    "the line of the upload": ({"method": "POST", "url": "/v4/chat/completions", "body": {"model": "x", "temperature": 0}},
                               r'^no reason given, the line begins {"method": "POST", "url": "/v4/chat/completions", "body": [^;]*$'),
    # a filter's words where no filter spoke
    "Zhipu, another": ({"error": {"code": "1301", "message": "系统错误"}}, "^系统错误$"),
    "a policy without a status": ({"error": {"code": "x", "message": "Your input was rejected by our content policy"}}, "^Your input was rejected"),
    "an account": ({"error": {"code": "x", "message": "Your account is suspended: content may contain sensitive content"}}, "^Your account"),
    "a native answer": ({"response": {"message": {"role": "assistant", "content": "It may contain sensitive content."}}}, "may contain"),
    "a text": ({"response": "It may contain sensitive content."}, "^It may contain"),
    "a status without a filter": (failed("500", openai(AZURE)), "^status 500: The response was filtered"),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_a_batchs_line_without_an_answer_tells_why(name):
    """Lines of the documentation of Maritaca and Alibaba, of openai/openai-openapi's issue 302, artefactory/artefactual's pull
    request 332, Simpleyyt/ai-manus's issue 101, and of public readers of batches, mozilla-ai/any-llm's among them. Those
    of Vertex, Bedrock and texts of JSON are written after their forms, not recorded.
    """
    line, expected = LINES[name]
    [(_, found)] = read_results(json.dumps({"custom_id": "k"} | line), "f", CHAT, ESTIMATE)
    assert isinstance(found, str) and re.search(expected, found), found


@pytest.mark.parametrize(
    "line",
    [
        {"response": None, "error": {"code": "1301", "message": ZHIPU}},
        {"response": {"status_code": 200, "body": {"error": {"code": "1301", "message": ZHIPU}}}},
        failed(400, {"error": {"code": "1301", "message": ZHIPU}}),
        {"error": {"code": "DataInspectionFailed", "message": "Input text data may contain inappropriate content."}},
        {"error": {"type": "invalid_request_error", "message": "Content Exists Risk"}},
        failed("400", openai(AZURE)),
        failed(400, json.dumps(openai(AZURE))),
        failed(400, [openai(AZURE)]),
    ],
    ids=str,
)  # fmt: skip
def test_a_batchs_line_of_a_filter(line):
    """Zhipu's (its 1301, at the top of a line, without a status), DashScope's, DeepSeek's and Azure's."""
    [(_, found)] = read_results(json.dumps({"custom_id": "k"} | line), "f", CHAT, ESTIMATE)
    assert isinstance(found, Reply) and found.outcome == "filtered"


@pytest.mark.parametrize(
    "response",
    [
        {"status_code": 200, "body": json.dumps(ONE)},
        json.dumps({"status_code": 200, "body": json.dumps(ONE)}),
        {"status_code": "200", "body": json.dumps(ONE)},
        {"status_code": 200, "body": ONE | {"choices": CHOICE}},
        [{"status_code": 200, "body": ONE}],
        ONE,
    ],
    ids=str,
)
def test_a_batchs_answer_in_other_forms(response):
    """SGLang's bare choice, bodies and responses as texts of JSON, and Fireworks' without anything around it."""
    line = {"custom_id": "k", "response": response, "error": None}
    [(_, found)] = read_results(json.dumps(line), "f", CHAT, ESTIMATE)
    assert isinstance(found, Reply) and found.output == "{}" and found.input_tokens == 28


def test_a_key_in_a_text_of_json_is_taken_out():
    """It is opened before it is cleaned: its escapes would hide a key."""
    body = '{"error": {"message": "the key s\\u0065cret is bad"}}'
    line = {"custom_id": "k", "response": {"status_code": 401, "body": body}}

    def clean(value: Any) -> Any:
        return json.loads(json.dumps(value).replace("secret", "…"))

    [(_, found)] = read_results(json.dumps(line), "f", CHAT, ESTIMATE, clean)
    assert isinstance(found, str) and "key … is bad" in found


FLAGGED = "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again."
LIMITED = "Invalid prompt: we've limited access to this content for safety reasons. This type of information may be used to harm people."  # fmt: skip


@pytest.mark.parametrize(
    ("message", "filtered"),
    [
        (FLAGGED, True),
        (LIMITED, True),
        ("Invalid Responses API request", False),
        ("AiError: AiError: Unknown channel: call_tool", False),
        ("invalid params, tool call result does not follow tool call (2013)", False),
        ("Detailed error description", False),
    ],
)
def test_an_invalid_prompt_is_a_filters_by_its_words(message, filtered):
    """OpenAI's code of a flagged text (microsoft/PyRIT's pull request 1463, alan-turing-institute/t0-1) is OpenRouter's of any
    request that is not valid (its documentation, MiniMax's behind it, anomalyco/opencode's issue 43187): all texts
    would have counted as filtered.
    """
    error = {"error": {"code": "invalid_prompt", "message": message}}
    assert says_filtered(400, error) == filtered
    lines = (
        failed(400, error),
        {"response": None} | error,
        failed(200, FAILED | error),
    )
    for line in lines:
        [(_, found)] = read_results(json.dumps({"custom_id": "k"} | line), "f", MINI, ESTIMATE)
        assert isinstance(found, Reply) == filtered
        assert filtered or message in str(found)
