"""The real openai client against a server that misbehaves: every answer is one, or the call fails."""

from __future__ import annotations

import json
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from lora_vs_api.api.client import Keeper, ask_all
from lora_vs_api.api.connection import proxy_of
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.types import ApiCondition, Request
from lora_vs_api.errors import UserError
from tests.fault_server import Fault, FaultServer

KEY = "sk-planted-0123456789abcdef"
MINI = ApiCondition("mini", "gpt-mini", None, None, 50)
CHAT = replace(MINI, endpoint="chat")


def requests(count: int) -> list[Request]:
    return [
        Request(
            f"email-{i}",
            [{"role": "system", "content": "Extract."}, {"role": "user", "content": f"mail {i}"}],
        )
        for i in range(count)
    ]


def ask(server, count=3, condition=MINI, api_key=KEY, kept=None, count_tokens=None, **options):
    policy = AskPolicy(
        **{
            "concurrency": 2,
            "timeout_seconds": 5,
            "max_attempts": 3,
            "first_wait_seconds": 0.01,
            **options,
        }
    )
    provider = Provider(server.url, api_key)
    keeper = None if kept is None else Keeper(lambda _: True, kept.append, lambda _: None)
    return ask_all(
        requests(count), condition, provider, policy, keeper=keeper, count_tokens=count_tokens
    )


@pytest.mark.parametrize("condition", [MINI, CHAT], ids=["responses", "chat"])
def test_answers_come_in_order_with_their_usage(condition):
    """Each answer belongs to its request whatever order they arrive in, on either endpoint."""
    with FaultServer({"mail 0": [Fault("slow", seconds=0.2)]}) as server:
        answers = ask(server, 6, condition, concurrency=3)
    assert [answer.id for answer in answers] == [f"email-{i}" for i in range(6)]
    assert [json.loads(answer.reply.output)["echo"] for answer in answers] == [
        f"mail {i}" for i in range(6)
    ]
    for answer in answers:
        assert (answer.reply.outcome, answer.attempts) == ("answered", 1)
        assert (answer.reply.input_tokens, answer.reply.output_tokens) == (20, 7)
        assert answer.reply.cached_input_tokens == 3
    assert len(server.seen) == 6
    assert server.max_in_flight <= 3


def test_only_what_is_set_is_sent():
    """Models that reject a temperature or a reasoning effort get none."""
    with FaultServer() as server:
        ask(server, 1)
        ask(server, 1, replace(MINI, temperature=0.0, reasoning_effort="none"))
        ask(server, 1, replace(CHAT, temperature=0.0, reasoning_effort="none"))
    plain, full, chat = (seen.body for seen in server.seen)
    assert not {"temperature", "reasoning"} & plain.keys()
    assert plain["max_output_tokens"] == 50 and plain["model"] == "gpt-mini"
    # the prompt travels as it is: the system turn first, nothing moved to `instructions`
    assert [turn["role"] for turn in plain["input"]] == ["system", "user"]
    assert "instructions" not in plain and plain["stream"] is False and plain["store"] is False
    assert (full["temperature"], full["reasoning"]) == (0.0, {"effort": "none"})
    assert (chat["temperature"], chat["reasoning_effort"]) == (0.0, "none")
    assert chat["max_completion_tokens"] == 50


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", 408),
        Fault("status", 409),
        Fault("status", 424),
        Fault("status", 499),
        Fault("status", 429),
        Fault("status", 500),
        Fault("status", 503),
        Fault("reset"),
        Fault("reset_mid_body"),
        Fault("slow", seconds=1.0),
        Fault("drip"),
        Fault("truncated_json"),
        Fault("html"),
        Fault("empty"),
        Fault("failed"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}" if fault.kind == "status" else fault.kind,
)
def test_a_fault_that_passes_is_retried(fault):
    """The second attempt's answer is taken, once, and the others are not asked again."""
    with FaultServer({"mail 1": [fault]}) as server:
        answers = ask(server, timeout_seconds=0.4)
    assert [answer.attempts for answer in answers] == [1, 2, 1]
    assert json.loads(answers[1].reply.output) == {"echo": "mail 1"}
    assert [server.attempts(f"mail {i}") for i in range(3)] == [1, 2, 1]


def test_latency_is_that_of_the_successful_attempt():
    """Failed attempts and waiting are no part of how fast a model answers."""
    faults = {"mail 0": [Fault("slow", seconds=1.0), Fault("slow", seconds=0.15)]}
    with FaultServer(faults) as server:
        answer = ask(server, 1, timeout_seconds=0.4, first_wait_seconds=0.3)[0]
    assert answer.attempts == 2
    assert 0.15 <= answer.latency_seconds < 0.4


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "1"},
        {"retry-after-ms": "800"},
        {"retry-after": "date"},
    ],
    ids=["seconds", "milliseconds", "date"],
)
def test_retry_after_is_honoured(headers):
    """A server that says how long to wait is not asked earlier."""
    if headers.get("retry-after") == "date":
        # dates have whole seconds: two ahead is more than one
        moment = datetime.now(UTC) + timedelta(seconds=2)
        headers = {"retry-after": format_datetime(moment, usegmt=True)}
    with FaultServer({"mail 0": [Fault("status", 429, headers=headers)]}) as server:
        ask(server, 1)
    first, second = (seen.at for seen in server.seen)
    assert 0.75 < second - first < 3


@pytest.mark.slow
def test_a_used_up_rate_limit_is_waited_out_by_all():
    """An answer whose headers say that nothing is left holds the other requests back."""
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "0m1.5s"}
    with FaultServer({"mail 0": [Fault("ok", headers=headers)]}) as server:
        answers = ask(server, 3, concurrency=1)
    first, second, third = (seen.at for seen in server.seen)
    assert second - first > 1.4 and third - second < 1.2
    # waiting is no part of any latency
    assert max(answer.latency_seconds for answer in answers) < 1.2


@pytest.mark.slow
def test_retry_after_holds_back_the_other_requests_too():
    """One 429 speaks for the whole account: nobody hammers on."""
    faults = {"mail 0": [Fault("status", 429, headers={"retry-after-ms": "700"})]}
    with FaultServer(faults) as server:
        ask(server, 30, concurrency=2)
    later = [seen.at - server.seen[0].at for seen in server.seen[1:]]
    # what was sent before the 429 was read may arrive; the rest waits
    assert sum(wait < 0.6 for wait in later) <= 10


def test_the_total_time_is_bounded():
    """No attempt starts after it, whatever the attempts left would allow."""
    faults = {"mail 0": [Fault("status", 503)] * 50}
    with FaultServer(faults) as server:
        started = time.monotonic()
        with pytest.raises(
            UserError, match=r"email-0: the 0.5 s of api.limits.max_minutes are over"
        ):
            ask(server, 1, max_attempts=50, first_wait_seconds=0.1, total_seconds=0.5)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("condition", [MINI, CHAT], ids=["responses", "chat"])
def test_a_schema_is_asked_for_in_strict_mode(condition):
    """Each endpoint has its own place for it; without one, nothing is sent."""
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    with FaultServer() as server:
        ask(server, 1, replace(condition, schema=schema))
        ask(server, 1, condition)
    with_schema, without = (seen.body for seen in server.seen)
    if condition is CHAT:
        format = with_schema["response_format"]
        assert format["json_schema"] == {"name": "record", "schema": schema, "strict": True}
    else:
        format = with_schema["text"]["format"]
        assert (format["name"], format["schema"], format["strict"]) == ("record", schema, True)
    assert format["type"] == "json_schema"
    assert not {"text", "response_format"} & without.keys()


def test_back_off_grows():
    """A server in trouble is asked less and less often."""
    faults = {"mail 0": [Fault("status", 500)] * 4}
    with FaultServer(faults) as server:
        ask(server, 1, max_attempts=5, first_wait_seconds=0.05)
    times = [seen.at for seen in server.seen]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    # 0.05, 0.1, 0.2, 0.4 s, each times 0.5 to 1.5
    assert len(gaps) == 4
    assert gaps[0] >= 0.025 and gaps[3] >= 0.2 and gaps[3] > gaps[0]


def test_a_retry_after_of_hours_is_a_failure():
    """A daily quota ends the node with a reason instead of a silent night."""
    faults = {"mail 0": [Fault("status", 429, headers={"retry-after": "7200"})]}
    with FaultServer(faults) as server, pytest.raises(UserError, match=r"asked to wait 7200 s"):
        ask(server, 1)


@pytest.mark.parametrize("kind", ["status", "reset", "empty", "html", "no_usage"])
def test_a_request_out_of_attempts_fails_the_call(kind):
    """No missing answer is scored as a wrong one; the message names each and its reason."""
    with FaultServer({"mail 1": [Fault(kind, 503)] * 9}) as server:
        with pytest.raises(UserError) as failure:
            ask(server, 3)
        assert server.attempts("mail 1") == 3
    message = str(failure.value)
    assert "1 of 3 requests" in message and "email-1: " in message and "3 attempts" in message
    assert "email-0" not in message and "\n" not in message


def test_answers_in_flight_are_kept_when_another_request_fails():
    """What is under way has been paid for; nothing further is paid."""
    kept = []
    faults = {"mail 0": [Fault("status", 400)], "mail 1": [Fault("slow", seconds=0.3)]}
    with FaultServer(faults) as server:
        with pytest.raises(UserError):
            ask(server, 10, kept=kept)
        assert len(server.seen) == 2
    assert [answer.id for answer in kept] == ["email-1"]


@pytest.mark.parametrize("condition", [MINI, CHAT], ids=["responses", "chat"])
def test_refused_and_filtered_fail_with_a_list(condition):
    """A refusal is neither an answer nor a reason to pay for another refusal."""
    kept = []
    faults = {"mail 0": [Fault("refusal")], "mail 2": [Fault("filtered")]}
    with FaultServer(faults) as server:
        with pytest.raises(UserError, match=r"2 of 4 requests") as failure:
            ask(server, 4, condition, kept=kept)
        assert len(server.seen) == 4
    assert "email-0: refused: I cannot help" in str(failure.value)
    assert "email-2: stopped by the content filter" in str(failure.value)
    assert sorted(answer.id for answer in kept) == ["email-1", "email-3"]


@pytest.mark.parametrize("condition", [MINI, CHAT], ids=["responses", "chat"])
def test_an_answer_cut_by_the_limit_is_truncated(condition):
    """It is scored as it is, under its own name."""
    with FaultServer({"mail 1": [Fault("incomplete")]}) as server:
        answers = ask(server, 2, condition)
    assert [answer.reply.outcome for answer in answers] == ["answered", "truncated"]
    assert [answer.attempts for answer in answers] == [1, 1]


def test_a_server_that_never_says_incomplete():
    """Some servers call an answer that ran into the limit completed; its length tells."""
    with FaultServer() as server:
        answer = ask(server, 1, replace(MINI, max_output_tokens=7))[0]
    assert answer.reply.outcome == "truncated"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("status", 400, {"message": "Unsupported parameter: 'temperature'", "param": "temperature"}),
         r"^conditions\.mini\.temperature: .*null sends none"),
        (Fault("status", 400, {"message": "temperature is not supported with this model"}),
         r"^conditions\.mini\.temperature: "),
        (Fault("status", 400, {"message": "no such effort", "param": "reasoning.effort"}),
         r"^conditions\.mini\.reasoning_effort: "),
        (Fault("status", 400, {"message": "too many", "param": "max_output_tokens"}),
         r"^conditions\.mini\.max_output_tokens: "),
        (Fault("status", 400, {"message": "Server is pinned to 'x'; requested 'gpt-mini'."}),
         r"^conditions\.mini\.model: "),
        (Fault("status", 400, {"message": "context length exceeded", "param": "input"}),
         r"^conditions\.mini: .*email-0.*context length exceeded"),
        (Fault("status", 404, {"message": "The model does not exist", "code": "model_not_found"}),
         r"^conditions\.mini\.model: .*'gpt-mini'"),
        (Fault("status", 404, {"message": "Not Found"}), r"^api\.server\.base_url: .*endpoint"),
        (Fault("status", 401, {"message": f"Incorrect API key provided: {KEY}"}),
         r"^api\.limits\.key_env: .*401"),
        (Fault("status", 403, {"message": "project has no access"}), r"^api\.limits\.key_env: .*403"),
        (Fault("status", 429, {"message": "billing", "code": "insufficient_quota"}), r"quota"),
    ],
)  # fmt: skip
def test_what_no_retry_mends_names_the_key_to_change(fault, expected):
    """The first rejection ends the call: no second attempt, no second request."""
    with FaultServer({"mail 0": [fault] * 3}) as server:
        with pytest.raises(UserError, match=expected) as failure:
            ask(server, 5, concurrency=1)
        assert len(server.seen) == 1
    assert "\n" not in str(failure.value)


def test_the_key_is_sent_and_never_shown(capfd):
    """Neither messages nor tracebacks nor the progress line hold the key, even if a server echoes it."""
    faults = {
        "mail 0": [Fault("status", 500, {"message": f"bad header Bearer {KEY}"})] * 3,
        "mail 1": [Fault("status", 400, {"message": f"what is {KEY}?"})] * 3,
    }
    shown = []
    with FaultServer(faults) as server:
        for text in ("mail 0", "mail 1"):
            request = Request("email-0", [{"role": "user", "content": text}])
            try:
                policy = AskPolicy(timeout_seconds=5, max_attempts=2, first_wait_seconds=0.01)
                ask_all([request], MINI, Provider(server.url, KEY), policy)
            except UserError:
                shown.append(traceback.format_exc())
        # and a key that cannot be sent at all is not quoted by the HTTP library
        for unsendable in (KEY + "\n", KEY + "é"):
            try:
                ask(server, 1, api_key=unsendable)
            except UserError:
                shown.append(traceback.format_exc())
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert len(shown) == 4
    captured = capfd.readouterr()
    assert KEY not in "".join([*shown, captured.out, captured.err])


LONG = "x" * 285


def quoting(text):
    """An answer whose text quotes the key in its middle, where a message cuts it."""

    def made(body):
        body["choices"][0]["message"] |= text
        return body

    return Fault("json", body=made)


@pytest.mark.parametrize(
    ("fault", "condition"),
    [
        (Fault("status", 500, {"message": f"{LONG} {KEY}"}), CHAT),
        (Fault("status", 400, {"message": f"{LONG} {KEY}"}), CHAT),
        (Fault("status", 404, {"message": f"{LONG} {KEY}"}), CHAT),
        (Fault("status", 418, {"what": [f"{LONG[:-9]} {KEY}"]}), CHAT),
        (Fault("json", body=lambda body: {"error": {"message": f"{LONG} {KEY}"}}), CHAT),
        (quoting({"refusal": f"{LONG} {KEY}"}), CHAT),
        (quoting({"content": f"Sure! {'x' * 40} {KEY}"}), replace(CHAT, schema={"type": "object"})),
        (quoting({"content": ["Sure!", " x" * 20, KEY[:11], KEY[11:]]}),
         replace(CHAT, schema={"type": "object"})),
    ],
)  # fmt: skip
def test_no_half_of_a_key_is_shown(fault, condition):
    """A long message is cut; the key is taken out before, or its first half would stay."""
    with FaultServer({"mail 0": [fault] * 3}) as server, pytest.raises(UserError) as caught:
        ask(server, 1, condition, max_attempts=1)
    assert KEY[:7] not in str(caught.value) and "[API" in str(caught.value)


def test_without_a_key_the_environments_is_not_sent(monkeypatch):
    """A hosted API's key must not reach a local server."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with FaultServer() as server:
        ask(server, 1, api_key=None)
    assert KEY not in json.dumps(server.seen[0].headers)


def test_loopback_is_asked_past_a_proxy(monkeypatch):
    """A proxy in the environment is for the hosted API."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FaultServer() as server:
        assert len(ask(server, 2)) == 2


def test_requests_overlap_up_to_the_concurrency():
    """Eight requests of 0.2 s take two rounds at four in flight."""
    faults = {f"mail {i}": [Fault("slow", seconds=0.2)] for i in range(8)}
    with FaultServer(faults) as server:
        started = time.monotonic()
        ask(server, 8, concurrency=4)
        assert time.monotonic() - started < 1.2
    assert server.max_in_flight == 4


def test_nobody_listens():
    """A wrong address is a reason, not a traceback."""
    with FaultServer() as server:
        pass
    with pytest.raises(UserError, match=r"email-0: connection failed: .*\(3 attempts\)"):
        ask(server, 1)


def test_progress_tells_how_far_it_is(capfd):
    """Done, total and rate are on stderr."""
    with FaultServer() as server:
        ask(server, 3)
    assert "mini: 100%" in (text := capfd.readouterr().err) and "3/3" in text and "text/s" in text


@pytest.mark.parametrize("where", ["another host", "another port"])
def test_a_redirect_elsewhere_is_not_followed(where):
    """The texts would go there; the line names where."""
    with FaultServer() as other, FaultServer() as server:
        url = other.url if where == "another port" else other.url.replace("127.0.0.1", "localhost")
        for status in (301, 307, 308):
            moved = Fault("status", status, headers={"location": f"{url}/responses"})
            server.faults["mail 0"] = [moved]
            with pytest.raises(UserError) as caught:
                ask(server, 1)
            assert str(caught.value).startswith(f"api.server.base_url: {server.url} redirects to")
            assert url.split("/")[2] in str(caught.value) and other.seen == []
        # within the server itself it is
        server.faults["mail 0"] = [Fault("status", 307, headers={"location": "/v1/responses/"})]
        assert len(ask(server, 1)) == 1


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_loses_the_request_is_named(status):
    """psf/requests#5494: a POST becomes a GET on the way, and what answers that says nothing of it."""
    with FaultServer() as server:
        server.faults["mail 0"] = [Fault("status", status, headers={"location": "/v1/responses/"})]
        told = r"^api\.server\.base_url: .* redirects to .*/v1/responses/ in a way that loses the request"
        with pytest.raises(UserError, match=told):
            ask(server, 1)


def test_a_connection_that_fails_says_through_which_proxy_it_went(monkeypatch):
    """On loopback none is used; elsewhere it is what is to be looked at first."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert proxy_of("https://api.example.org/v1") == "https_proxy"
    assert proxy_of("http://127.0.0.1:8000/v1") is None
    monkeypatch.setenv("no_proxy", "api.example.org")
    assert proxy_of("https://api.example.org/v1") is None
