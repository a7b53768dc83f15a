"""Whatever shape a server answers in: a whole answer, something to retry or a named failure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_vs_api.api.budget import Budget
from lora_vs_api.api.client import ask_all
from lora_vs_api.api.pacing import wait_in
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.replies import read_reply
from lora_vs_api.api.types import NoAnswer
from lora_vs_api.config.sections import Price
from lora_vs_api.errors import UserError
from tests.fault_server import Fault, FaultServer, Seen, chat_body, response_body
from tests.test_api_client import CHAT, MINI, ask, requests

BOTH = pytest.mark.parametrize("condition", [MINI, CHAT], ids=["responses", "chat"])


def usual(condition) -> dict[str, Any]:
    key, make = ("messages", chat_body) if condition is CHAT else ("input", response_body)
    body = {"model": "gpt-mini", key: [{"role": "user", "content": "mail 1"}]}
    return make(Seen("", {}, body, 0.0), "ok")


def chat(**message) -> dict[str, Any]:
    body = usual(CHAT)
    body["choices"][0] |= {key: message.pop(key) for key in ("finish_reason",) if key in message}
    body["choices"][0]["message"] |= message
    return body


def responses(**changed) -> dict[str, Any]:
    return usual(MINI) | changed


def message(content) -> list[Any]:
    return [{"type": "reasoning", "summary": []}, None, {"type": "message", "content": content}]


@pytest.mark.parametrize(
    ("condition", "body", "output"),
    [
        (CHAT, chat(content=[{"type": "thinking", "thinking": []}, {"type": "text", "text": "{}"}]), "{}"),
        (CHAT, chat(content=["{", {"type": "text", "text": "}"}]), "{}"),
        (CHAT, chat(content="{}", finish_reason=None), "{}"),
        (CHAT, chat(content="{}", finish_reason="eos"), "{}"),
        (MINI, responses(output="{}"), "{}"),
        (MINI, responses(output=message("{}")), "{}"),
        (MINI, responses(output=message([{"type": "output_text", "text": "{"},
                                         {"type": "output_text", "text": "}"}])), "{}"),
        (MINI, responses(output=message("{}"), status=None), "{}"),
    ],
)  # fmt: skip
def test_every_form_of_an_answer_is_read(condition, body, output):
    """Parts, strings and servers' own names of an end."""
    reply = read_reply(body, condition)
    assert (reply.output, reply.outcome) == (output, "answered")


@pytest.mark.parametrize(("tokens", "outcome"), [(49, "answered"), (50, "truncated")])
@pytest.mark.parametrize("end", [None, ""])
def test_an_answer_that_says_nothing_of_its_end_is_cut_where_it_is_full(end, tokens, outcome):
    """Some servers leave ``finish_reason`` out; the report counts the answers that the limit cut."""
    body = chat(content='{"half', finish_reason=end)
    body["usage"]["completion_tokens"] = tokens
    assert read_reply(body, CHAT).outcome == outcome


@pytest.mark.parametrize(
    ("condition", "body", "reason"),
    [
        (CHAT, chat(content=None), "empty output"),
        (CHAT, chat(content=[{"type": "image_url"}]), "empty output"),
        (CHAT, usual(CHAT) | {"choices": [{"message": None}]}, "holds no message"),
        (CHAT, usual(CHAT) | {"choices": [None]}, "holds no message"),
        (CHAT, usual(CHAT) | {"choices": None}, "the answer holds no choice"),
        (CHAT, chat(content='{"half', finish_reason="error"), "finish_reason error: the answer broke"),
        (CHAT, usual(CHAT) | {"error": {"message": "upstream\n is down", "code": 502}},
         "error in an answer of status 200: upstream is down"),
        (CHAT, {"error": "busy"}, "error in an answer of status 200: busy"),
        (MINI, responses(output=None), "empty output"),
        (MINI, responses(output=message(None)), "empty output"),
        (MINI, responses(error={"message": "it broke"}), "status 200: it broke"),
        (MINI, responses(status="cancelled"), "status cancelled"),
        (MINI, responses(output=5), "empty output"),
        (MINI, "a text", "not a response of the Responses API"),
        (MINI, None, "not a response of the Responses API"),
    ],
)  # fmt: skip
def test_half_an_answer_is_none(condition, body, reason):
    """The server's own reason, and never a half answer that would be stored for good."""
    with pytest.raises(NoAnswer, match=reason):
        read_reply(body, condition)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@BOTH
# the first text that is drawn reads all of Unicode, which takes seconds on a busy machine
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_reply_is_a_traceback(condition, data):
    """Any JSON in any place of an answer is an answer or a reason."""
    body = usual(condition)
    node: Any = body
    for _ in range(data.draw(st.integers(0, 5))):
        if not isinstance(node, dict | list) or not node:
            break
        places = list(node) if isinstance(node, dict) else list(range(len(node)))
        place = data.draw(st.sampled_from(places))
        if data.draw(st.booleans()):
            node[place] = data.draw(JSON)
            break
        node = node[place]
    try:
        reply = read_reply(body, condition, lambda output: (1, 1))
    except NoAnswer as error:
        assert error.reason
    else:
        assert reply.output.strip() or reply.outcome != "answered"
        assert reply.input_tokens >= reply.cached_input_tokens >= 0 and reply.output_tokens >= 0


def with_usage(condition, **usage) -> dict[str, Any]:
    body = usual(condition)
    return body | {"usage": body["usage"] | usage}


@pytest.mark.parametrize(
    ("condition", "usage", "expected"),
    [
        (CHAT, {}, (7, None)),
        (CHAT, {"completion_tokens_details": {"reasoning_tokens": 5}}, (7, 5)),
        # Gemini counts thinking in the total alone, xAI beside the completion
        (CHAT, {"total_tokens": 10 + 7 + 30}, (37, 30)),
        (CHAT, {"total_tokens": 47, "completion_tokens_details": {"reasoning_tokens": 30}}, (37, 30)),
        # beside the output, and no total to tell so
        (CHAT, {"total_tokens": None, "completion_tokens_details": {"reasoning_tokens": 20}}, (27, 20)),
        (CHAT, {"total_tokens": 0, "completion_tokens_details": {"reasoning_tokens": 20}}, (27, 20)),
        (CHAT, {"total_tokens": 3}, (7, None)),
        (CHAT, {"total_tokens": None}, (7, None)),
        (MINI, {"total_tokens": 47}, (37, 30)),
        (MINI, {"output_tokens_details": {"reasoning_tokens": 4}}, (7, 4)),
    ],
)  # fmt: skip
def test_reasoning_is_billed_where_ever_it_is_counted(condition, usage, expected):
    """Output tokens are all that is billed as output."""
    reply = read_reply(with_usage(condition, **usage), condition)
    assert (reply.output_tokens, reply.reasoning_tokens) == expected and not reply.tokens_estimated


@BOTH
@pytest.mark.parametrize("lacking", [None, {}, "null counts", "endless counts", "text"])
def test_an_answer_without_a_count_is_kept_and_marked(condition, lacking):
    """It has been paid for: asking again would pay twice. What is told is taken, the rest estimated."""
    body = usual(condition) | {"usage": lacking}
    if lacking in ("null counts", "endless counts"):
        names = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")
        count = 10**30 if lacking == "endless counts" else None
        body["usage"] = dict.fromkeys(names, count) | {"total_tokens": 900}
    with FaultServer({"mail 0": [Fault("json", body=lambda usual: body)]}) as server:
        [answer] = ask(server, 1, condition, count_tokens=len)
    assert answer.attempts == 1 and answer.reply.tokens_estimated
    # "Extract." and "mail 0" with 4 tokens around each, and the answer
    assert answer.reply.input_tokens == 8 + 6 + 2 * 4
    assert answer.reply.output_tokens == len(answer.reply.output)


WAITS = [
    ([{"error": {"code": 429, "message": "quota", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}]}}], 17.0),
    ({"error": {"message": "Rate limit reached … Please try again in 7m12.5s. Visit"}}, 432.5),
    ({"message": "Please try again in 6ms."}, 0.006),
    ({"message": "Please retry in 17.25s."}, 17.25),
    ({"message": "Please retry after 20 seconds. Please go to"}, 20.0),
    ({"message": "try again in 1 minute 30 seconds"}, 90.0),
    ({"message": "try again in 1h2m3s"}, 3723.0),
    ({"message": "try again later"}, None),
    ({"message": "5 seconds is what it took"}, None),
    (None, None),
]  # fmt: skip


@pytest.mark.parametrize(("body", "seconds"), WAITS)
def test_a_wait_that_stands_in_the_body_is_read(body, seconds):
    """Gemini and Groq say it there, some of them there alone."""
    assert wait_in(body) == (None if seconds is None else pytest.approx(seconds))


@given(st.text())
def test_no_body_is_a_negative_wait(text):
    found = wait_in({"message": f"try again in {text}"})
    assert found is None or found >= 0


@pytest.mark.slow
def test_a_wait_in_the_body_is_honoured():
    """A list of errors, as Gemini sends it; its message is what a failure would say."""
    told = [{"error": {"message": "quota is over", "details": [{"retryDelay": "0.8s"}]}}]
    fault = Fault("status", 429, body=lambda error: told)
    with FaultServer({"mail 0": [fault]}) as server:
        ask(server, 1, CHAT)
    first, second = (seen.at for seen in server.seen)
    assert 0.75 < second - first < 3
    with (
        FaultServer({"mail 0": [fault] * 3}) as server,
        pytest.raises(UserError, match="email-0: status 429: quota is over"),
    ):
        ask(server, 1, CHAT)


@pytest.mark.parametrize(
    "broken",
    [
        lambda body: {"error": {"message": "overloaded"}},
        lambda body: body | {"choices": [body["choices"][0] | {"finish_reason": "error"}]},
        lambda body: body | {"choices": [{"index": 0, "finish_reason": "stop", "message": None}]},
    ],
)
def test_a_broken_answer_is_asked_again(broken):
    """And counts as an attempt that may have been billed, with the tokens that were told."""
    with FaultServer({"mail 1": [Fault("json", body=broken)]}) as server:
        answers = ask(server, 3, CHAT)
    assert [answer.attempts for answer in answers] == [1, 2, 1]
    assert [answer.losses.attempts for answer in answers] == [0, 1, 0]
    assert (answers[1].losses.input_tokens, answers[1].losses.output_tokens) == (20, 7)


def test_what_may_have_been_billed_is_counted():
    """A lost answer is; a rejection is not, nor a connection that was never made."""
    faults = {
        "mail 0": [Fault("truncated_json"), Fault("status", 500)],
        "mail 1": [Fault("status", 429)],
    }
    with FaultServer(faults) as server:
        answers = ask(server, 2)
    assert [answer.losses.attempts for answer in answers] == [1, 0]
    assert (answers[0].losses.input_tokens, answers[0].losses.output_tokens) == (20, 7)
    assert [answer.concurrency for answer in answers] == [2, 2]


def test_a_connection_that_was_never_made_costs_nothing():
    """Nothing was sent, so nothing of the budget is gone; a lost answer takes the most it may cost."""
    price = Price(input=1.0, cached_input=None, output=10.0)
    spent = []
    for fault in (None, Fault("reset_mid_body")):
        budget = Budget(1.0, price, {"email-0": 20}, 50)
        server = FaultServer({"mail 0": [fault] * 9} if fault else {})
        policy = AskPolicy(timeout_seconds=5, max_attempts=2, first_wait_seconds=0.01)
        if fault is None:
            server._http.server_close()  # nobody listens
            with pytest.raises(UserError, match="connection failed"):
                ask_all(requests(1), MINI, Provider(server.url), policy, budget=budget)
        else:
            with server, pytest.raises(UserError, match="connection failed"):
                ask_all(requests(1), MINI, Provider(server.url), policy, budget=budget)
        spent.append(budget.spent_usd)
    assert spent == [0.0, pytest.approx(2 * (20 * 1.0 + 50 * 10.0) / 1e6)]


@BOTH
def test_a_server_that_ignores_the_schema_stops_the_condition(condition):
    """One request, one line, and the setting: every further answer would be paid for in vain."""
    from dataclasses import replace

    kept: list[Any] = []
    strict = replace(condition, schema={"type": "object"})
    prose = "Sure! Here is the record: {}"

    def in_prose(body):
        text = json.dumps(body).replace(
            json.dumps(json.dumps({"echo": "mail 0"})), json.dumps(prose)
        )
        return json.loads(text)

    faults = {"mail 0": [Fault("json", body=in_prose)] * 3}
    with FaultServer(faults) as server:
        with pytest.raises(
            UserError, match=r"^conditions\.mini\.output: .*ignores the JSON Schema"
        ):
            ask(server, 5, strict, kept=kept, concurrency=1)
        assert len(server.seen) == 1 and kept == []
    # cut by the limit it proves nothing
    with FaultServer({"mail 0": [Fault("incomplete")]}) as server:
        assert len(ask(server, 2, strict)) == 2


@BOTH
def test_one_answer_for_two_texts_is_neithers(condition):
    """Both are asked again on other connections: which of them it belongs to cannot be told."""
    kept: list[Any] = []
    with FaultServer({"mail 1": [Fault("double")]}) as server:
        answers = ask(server, 4, condition, kept=kept, concurrency=1)
    assert [json.loads(a.reply.output)["echo"] for a in answers] == [f"mail {i}" for i in range(4)]
    assert [server.attempts(f"mail {i}") for i in range(4)] == [2, 2, 1, 1]
    assert [answer.losses.attempts for answer in answers] == [1, 1, 0, 0]
    ports = [seen.port for seen in server.seen]
    assert ports[0] == ports[1] and ports[2] not in ports[:2]


def test_a_server_that_always_doubles_is_named():
    """Bounded, and then said: no wrong answer is ever kept."""
    kept: list[Any] = []
    faults = {f"mail {i}": [Fault("double")] * 9 for i in range(1, 3)}
    with FaultServer(faults) as server:
        with pytest.raises(
            UserError, match="email-1: the server gave one answer, .*, to two texts"
        ):
            ask(server, 3, kept=kept, concurrency=1)
        assert server.attempts("mail 1") == 3


def test_an_id_that_says_nothing_is_no_double():
    """Some servers give every answer one id: as long as the answers differ, they are themselves."""
    with FaultServer() as server:
        server.distinct_ids = False
        answers = ask(server, 4)
        assert {answer.reply.response_id for answer in answers} == {"resp_1"}
        assert [answer.attempts for answer in answers] == [1] * 4


def test_the_cap_on_a_rate_limit_pause(monkeypatch):
    """A reset in six hours is not slept through: after the cap the server is asked again."""
    monkeypatch.setattr("lora_vs_api.api.client.MAX_PAUSE_SECONDS", 0.4)
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6s"}
    with FaultServer({"mail 0": [Fault("ok", headers=headers)]}) as server:
        ask(server, 2, concurrency=1)
    first, second = (seen.at for seen in server.seen)
    assert 0.35 < second - first < 4
