"""What is read off the wire, and what a rejection blames, without any server."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lora_vs_api.api import keys
from lora_vs_api.api.batch_files import parts, read_results
from lora_vs_api.api.diagnosis import diagnose, rejected_parameter
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.server_error import short
from lora_vs_api.api.store import request_text
from lora_vs_api.api.types import ApiCondition, Reply, Request
from lora_vs_api.api.wire import request_body
from lora_vs_api.errors import UserError
from tests.fault_server import Seen, chat_body, response_body

MINI = ApiCondition("mini", "gpt-mini", 0.0, "low", 50, schema={"type": "object"})
CHAT = replace(MINI, endpoint="chat")
REQUEST = Request("email-1", [{"role": "user", "content": "mail 1"}])


def result_line(condition, kind="ok", status=200) -> str:
    body = request_body(REQUEST, condition)
    answer = (chat_body if condition is CHAT else response_body)(Seen("", {}, body, 0.0), kind)
    return json.dumps({"custom_id": "k", "response": {"status_code": status, "body": answer}})


@pytest.mark.parametrize("condition", [MINI, CHAT], ids=["responses", "chat"])
def test_a_batch_asks_what_a_live_call_asks(condition):
    """One line a request, under its key, with the body of a live request but for streaming."""
    [part] = parts([("k1", REQUEST), ("k2", REQUEST)], condition)
    lines = part.content.decode().splitlines()
    first, second = map(json.loads, lines)
    assert (first["custom_id"], second["custom_id"], first["method"]) == ("k1", "k2", "POST")
    assert first["url"] == ("/v1/chat/completions" if condition is CHAT else "/v1/responses")
    assert {**first["body"], "stream": False} == request_body(REQUEST, condition)
    assert "stream" not in first["body"]


def test_a_compact_schema_goes_as_a_grammar_and_stands_in_its_place():
    """llama.cpp heeds one of the two; without a schema neither is sent."""
    body = request_body(REQUEST, replace(CHAT, grammar="compact"))
    assert "response_format" not in body
    head, start = body["extra_body"]["grammar"].split("\n")
    assert head == "%llguidance {}" and start.startswith("start: %json ")
    schema = json.loads(start.removeprefix("start: %json "))
    assert schema["type"] == "object" and schema["x-guidance"]["whitespace_flexible"] is False
    assert "extra_body" not in request_body(REQUEST, replace(CHAT, grammar="compact", schema=None))


def test_what_a_server_alone_takes_goes_beside_the_rest():
    """Live, in a batch, and beside a grammar; without it a request is what it was, and so is its key."""
    own = {"chat_template_kwargs": {"enable_thinking": False}}
    asked = replace(CHAT, extra_body=own)
    assert request_body(REQUEST, asked) == {**request_body(REQUEST, CHAT), "extra_body": own}
    [part] = parts([("k", REQUEST)], asked)
    [line] = part.content.decode().splitlines()
    assert json.loads(line)["body"]["chat_template_kwargs"] == own["chat_template_kwargs"]
    assert "extra_body" not in json.loads(line)["body"]
    both = request_body(REQUEST, replace(asked, grammar="compact"))["extra_body"]
    assert both.keys() == {"grammar", "chat_template_kwargs"}
    assert request_body(REQUEST, replace(CHAT, extra_body=None)) == request_body(REQUEST, CHAT)
    texts = {request_text(REQUEST, condition, "http://a/v1") for condition in (CHAT, asked)}
    assert len(texts) == 2


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("", "Unrecognized request argument supplied: chat_template_kwargs"),
        ("chat_template_kwargs", "Extra inputs are not permitted"),
    ],
)
def test_a_server_that_does_not_know_it_names_the_setting(parameter, message):
    """And not the condition as a whole."""
    asked = replace(CHAT, extra_body={"chat_template_kwargs": {}})
    body = {"error": {"message": message, "param": parameter or None}}
    found = diagnose(400, body, {}, REQUEST, asked, "http://a/v1")
    assert str(found).startswith("conditions.mini.extra_body: http://a/v1 rejects it (400): ")


@pytest.mark.parametrize("condition", [MINI, CHAT], ids=["responses", "chat"])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ok", "answered"), ("refusal", "refused"), ("filtered", "filtered"),
        ("incomplete", "truncated"),
    ],
)  # fmt: skip
def test_both_endpoints_name_an_outcome_alike(condition, kind, expected):
    """Whichever form the server speaks, the reply is one type with one set of outcomes."""
    [(key, reply)] = read_results(result_line(condition, kind), "file_1", condition)
    assert key == "k" and isinstance(reply, Reply)
    assert reply.outcome == expected
    assert reply.is_scored == (expected in ("answered", "truncated"))
    assert (reply.input_tokens, reply.output_tokens, reply.cached_input_tokens) == (10, 7, 3)


@pytest.mark.parametrize("condition", [MINI, CHAT], ids=["responses", "chat"])
@pytest.mark.parametrize(
    ("kind", "reason"), [("empty", "empty output"), ("no_usage", "reports no token usage")]
)
def test_what_is_no_answer_has_a_reason(condition, kind, reason):
    """A reason takes the place of the reply."""
    [(_, found)] = read_results(result_line(condition, kind), "file_1", condition)
    assert isinstance(found, str) and reason in found


def test_a_body_of_the_other_endpoint_is_no_answer():
    """A server that answers in the wrong form is not misread."""
    [(_, found)] = read_results(result_line(CHAT), "file_1", MINI)
    assert found.startswith("the answer is not a response of the Responses API, it begins {")
    [(_, found)] = read_results(result_line(MINI), "file_1", CHAT)
    assert found.startswith("the answer is not a chat completion, it begins {")


@pytest.mark.parametrize(
    "frame",
    [
        lambda body: {"status_code": "200", "body": body},
        lambda body: {"body": body},
        lambda body: body,
    ],
    ids=["status in words", "no status", "no frame"],
)
def test_an_answer_that_was_paid_for_is_read_in_any_frame(frame):
    """It would be asked and paid again, and be lost again."""
    entry = json.loads(result_line(CHAT))
    entry["response"] = frame(entry["response"]["body"])
    [(_, reply)] = read_results("\ufeff" + json.dumps(entry), "file_1", CHAT)
    assert isinstance(reply, Reply) and reply.outcome == "answered"
    entry["error"] = {"code": "batch_expired", "message": "over"}
    entry["response"] = {"status_code": None, "body": None}
    assert [found for _, found in read_results(json.dumps(entry), "file_1", CHAT)] == ["over"]


def test_a_line_ends_at_a_line_feed_alone():
    """Outputs may hold U+2028 or U+0085 unescaped, which are line ends to Python and not to JSON."""
    entry = json.loads(result_line(CHAT))
    entry["response"]["body"]["choices"][0]["message"]["content"] = "a\u2028b\x85c"
    text = json.dumps(entry, ensure_ascii=False) + "\n"
    [(_, reply)] = read_results(text, "file_1", CHAT)
    assert reply.output == "a\u2028b\x85c"
    assert len(list(read_results(text * 3, "file_1", CHAT))) == 3


DIGITS = "1" * 5000
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "line",
    [
        "not json", "{}", "[1]", '"text"', '{"custom_id": "k", "response": 5}', DEEP,
        f'{{"custom_id": "k", "response": {{"status_code": {DIGITS}}}}}',
        f'{{"custom_id": "k", "response": {{"status_code": 400, "body": {"[" * 900}{"]" * 900}}}}}',
    ],
    ids=lambda line: line[:60],
)  # fmt: skip
def test_a_line_that_is_no_result_is_named(line):
    """File and line are in the message, not a traceback; what stands below it was paid for and is read."""
    text = f"{result_line(MINI)}\n{line}\n{result_line(MINI)}\n{line}"
    clean, found = Provider("http://h/v1", "k-planted").cleaned, []
    with pytest.raises(
        UserError, match="line 2 of the batch's file file_1 is not a result"
    ) as told:
        found.extend(read_results(text, "file_1", MINI, clean=clean))
    assert "\n" not in str(told.value) and "(one of 2 such lines)" in str(told.value)
    assert len(found) == 2


@pytest.mark.parametrize("status", ["200", "400", "403", "null", "[]", "{}", '"x"'])
@pytest.mark.parametrize(
    "body", ["null", '"text"', "[1]", "5", "true", '{"error": "no"}', '{"error": {"code": []}}']
)
@pytest.mark.parametrize("condition", [MINI, CHAT], ids=["responses", "chat"])
def test_whatever_stands_in_a_result_is_a_reason(condition, status, body):
    """A body of another form, and a status that is none."""
    line = f'{{"custom_id": "k", "response": {{"status_code": {status}, "body": {body}}}}}'
    [(key, reason)] = read_results(line, "file_1", condition)
    assert key == "k" and isinstance(reason, str) and reason


@pytest.mark.parametrize(
    ("parameter", "text", "expected"),
    [
        ("reasoning.effort", "", "reasoning"),
        ("max_completion_tokens", "", "max_completion_tokens"),
        ("response_format.json_schema", "", "response_format"),
        # a parameter that is named and is not ours: the text is not searched
        ("input", "temperature", None),
        ("", "Temperature must be 1", "temperature"),
        ("", "this model cannot do that", None),
        ("", "there is no 'gpt-mini'", "model"),
        ("", "no", None),
    ],
)
def test_what_a_server_rejects(parameter, text, expected):
    """By the parameter it names, else by its words; a mention of some model blames nothing."""
    assert rejected_parameter(parameter, text, "gpt-mini") == expected
    if expected:
        assert "{" not in keys.parameter_key(expected, "mini")


def test_a_providers_key_is_in_no_repr():
    """Reprs end up in logs."""
    provider = Provider("https://me:secret@api.example.org:8443/v1", "sk-planted")
    assert "sk-planted" not in repr(provider)
    assert provider.redact("key sk-planted!") == "key [API key]!"
    assert provider.host == "api.example.org:8443"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8000/v1", False),
        ("http://127.0.0.2/v1", False),
        ("http://[::1]:1/v1", False),
        ("https://api.example.org/v1", True),
        ("https://127.example.org/v1", True),
    ],
)
def test_only_loopback_is_asked_past_a_proxy(url, expected):
    """A name that merely starts like a loopback address is a host on the net."""
    assert Provider(url).behind_proxy is expected


def test_long_messages_are_cut_to_one_line():
    """At most so many characters, spaces and line breaks counted once."""
    assert short("a\n  b\tc") == "a b c"
    assert short("x" * 301) == "x" * 299 + "…" and len(short("x" * 300)) == 300


def test_a_batch_holds_what_the_provider_takes():
    """OpenAI: 200 MB and 50,000 requests; each request is in one part, in its order."""
    keyed = [(f"k{number}", REQUEST) for number in range(7)]
    length = len(next(parts(keyed[:1], MINI)).content)
    for most_bytes, most_requests, sizes in [
        (10 * length, 3, [3, 3, 1]), (2 * length, 50, [2, 2, 2, 1]), (1, 50, [1] * 7), (10**6, 7, [7]),
    ]:  # fmt: skip
        found = list(parts(keyed, MINI, most_bytes, most_requests))
        assert [len(part.requests) for part in found] == sizes
        assert [pair for part in found for pair in part.requests] == keyed
    assert list(parts([], MINI)) == []
    [whole] = parts(keyed, MINI)
    assert b"".join(half.content for half in whole.halves()) == whole.content


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_key_in_quotes_is_refused_and_not_sent_with_them(quote):
    """`docker run --env-file` takes a file's quotes into the value; the server would say "invalid key"."""
    with pytest.raises(
        UserError, match=r"api\.limits\.key_env: the key stands in quotes"
    ) as caught:
        Provider("https://api.example.org/v1", f"{quote}sk-planted{quote}")
    assert "planted" not in str(caught.value)
    assert Provider("https://api.example.org/v1", f"sk{quote}planted").sent_key
