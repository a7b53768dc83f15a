"""What servers differ in: every reply of tests/cases/replies.jsonl, refusals, blame, the environment."""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from lora_vs_api.analysis.scored_run import read_answers
from lora_vs_api.api.client import ask_all
from lora_vs_api.api.connection import check_environment, own_headers
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.results import write_answers
from lora_vs_api.api.server_error import says_filtered
from lora_vs_api.api.store import ResponseStore
from lora_vs_api.api.types import ConditionRun
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field
from lora_vs_api.report.sections.comparison import results_section
from tests import report_fixture
from tests.fault_server import Fault, FaultServer
from tests.test_api_client import CHAT, MINI, requests
from tests.test_api_client import ask as ask_live
from tests.test_stored_run import ask as ask_stored

LINES = (Path(__file__).parent / "cases" / "replies.jsonl").read_text().splitlines()
CASES = {case["case"]: case for case in map(json.loads, LINES)}
# what each case is to give: an answer, attempts, and what a failure says where all attempts are alike
ANSWERED = {"counts are null", "content is a list of parts"}
FAILURES = {
    "finish_reason error, half an answer": r"email-1: .*Provider disconnected \(3 attempts\)",
    "error object in a 200": r"email-1: .*Rate limit exceeded: free-models-per-day \(3 attempts\)",
    "message is null": r"email-1: the answer holds no message, its choice begins .* \(3 attempts\)",
    "thinking spent the whole limit": r"^conditions\.mini\.max_output_tokens: reasoning took all 50 "
    r"tokens.*trains nothing again",
    "prompt beyond the context": r"^conditions\.mini: .* rejects email-1 \(400\): .*maximum context "
    r"length.*the text and its examples are too long",
    "max_completion_tokens forbidden": r"^api\.server\.token_limit: .* rejects max_completion_tokens "
    r"\(422\): .*; expected max_tokens$|^api\.server\.token_limit: .*; expected max_tokens \(",
    "rate limit told in the body alone": r"email-1: status 429: quota \(3 attempts\)",
    "prompt filtered": r"email-1: stopped by the content filter; conditions\.mini\.on_refusal: "
    r"score_zero counts refused texts as wrong",
}  # fmt: skip
RETRIED = {
    "finish_reason error, half an answer", "error object in a 200", "message is null",
    "rate limit told in the body alone",
}  # fmt: skip


def fault(name: str) -> Fault:
    case = CASES[name]
    if case["status"] == 200:
        return Fault("json", body=lambda usual: case["body"])
    body = json.loads(json.dumps(case["body"]).replace('"2s"', '"0.3s"'))
    return Fault("status", case["status"], headers=case["headers"], body=lambda usual: body)


def test_every_case_is_tried():
    """A case that is added to the file has to be given its right value here."""
    assert CASES.keys() == ANSWERED | FAILURES.keys() and FAILURES.keys() > RETRIED


@pytest.mark.parametrize("name", sorted(ANSWERED))
def test_a_case_that_is_an_answer(tmp_path, name):
    """Answered once, stored once, with its counts or marked as estimated; a second run asks nothing."""
    faults = {"mail 1": [fault(name)] * 3}
    with FaultServer(faults) as server, ResponseStore(tmp_path / "s") as store:
        answers, _ = ask_stored(server.url, store, requests(2), CHAT)
        again, stored = ask_stored(server.url, store, requests(2), CHAT)
        assert server.attempts("mail 1") == 1 and stored == [True, True] and again == answers
        [row] = [row for row in store.rows() if row["output"] == '{"a": 1}']
    assert answers[1].reply.output == '{"a": 1}' and answers[1].attempts == 1
    assert bool(row["tokens_estimated"]) is (name == "counts are null")


@pytest.mark.parametrize("name", sorted(FAILURES))
def test_a_case_that_is_a_failure(tmp_path, name):
    """Tried as often as it may pass, never stored, and named with the server's own reason."""
    faults = {"mail 1": [fault(name)] * 3}
    with FaultServer(faults) as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(UserError, match=FAILURES[name]) as caught:
            ask_stored(server.url, store, requests(2), CHAT, concurrency=1)
        assert server.attempts("mail 1") == (3 if name in RETRIED else 1)
        assert [json.loads(row["output"]) for row in store.rows()] == [{"echo": "mail 0"}]
    assert "\n" not in str(caught.value) and "output: " not in str(caught.value)


@pytest.mark.parametrize("name", sorted(RETRIED))
def test_a_case_that_passes(name):
    """The next attempt's answer is taken, after the wait that the body asks for."""
    with FaultServer({"mail 1": [fault(name)]}) as server:
        answers = ask_live(server, 2, CHAT, concurrency=1)
        first, second = (seen.at for seen in server.seen if seen.text == "mail 1")
    assert [answer.attempts for answer in answers] == [1, 2]
    assert second - first > (0.28 if name == "rate limit told in the body alone" else 0.0)


def test_a_limit_of_its_own_is_meant_for_reasoning():
    """What it cuts off is then the model's answer, truncated and wrong, and blocks nothing."""
    faults = {"mail 0": [fault("thinking spent the whole limit")]}
    with FaultServer(faults) as server:
        answer = ask_live(server, 1, replace(CHAT, own_limit=True, max_output_tokens=160))[0]
    assert (answer.reply.outcome, answer.reply.output) == ("truncated", "")
    assert answer.reply.reasoning_tokens == 160


def test_white_space_up_to_the_limit_is_a_bad_answer():
    """The server says that there was no reasoning: a higher limit would not help."""
    body = CASES["thinking spent the whole limit"]["body"]
    blank = json.loads(json.dumps(body).replace('"reasoning_tokens": 160', '"reasoning_tokens": 0'))
    with FaultServer({"mail 0": [Fault("json", body=lambda usual: blank)]}) as server:
        assert ask_live(server, 1, CHAT)[0].reply.outcome == "truncated"


# --- what is sent ----------------------------------------------------------------------------


def test_what_servers_differ_in_is_sent_as_set():
    """The limit's parameter, the instruction's role and JSON mode; the usual ones else."""
    with FaultServer() as server:
        ask_live(server, 1, replace(CHAT, token_limit="max_tokens", instruction_role="developer"))
        ask_live(server, 1, replace(CHAT, json_object=True))
        ask_live(server, 1, replace(MINI, json_object=True))
        other, chat, responses = (seen.body for seen in server.seen)
    assert other["max_tokens"] == 50 and "max_completion_tokens" not in other
    assert [turn["role"] for turn in other["messages"]] == ["developer", "user"]
    assert chat["response_format"] == {"type": "json_object"} and "max_tokens" not in chat
    assert [turn["role"] for turn in chat["messages"]] == ["system", "user"]
    assert responses["text"] == {"format": {"type": "json_object"}}


def test_a_json_mode_that_is_ignored_stops_the_condition():
    """As a schema: one request, one line."""
    prose = [
        Fault("json", body=lambda body: json.loads(json.dumps(body).replace("{\\", "So: {\\")))
    ]
    with FaultServer({"mail 0": prose * 3}) as server:
        with pytest.raises(
            UserError, match=r"^conditions\.mini\.output: .*ignores the JSON format"
        ):
            ask_live(server, 5, replace(CHAT, json_object=True), concurrency=1)
        assert len(server.seen) == 1


# --- refusals --------------------------------------------------------------------------------

ZERO = {"on_refusal": "score_zero"}
GEMINI = {"finish_reason": "content_filter: PROHIBITED_CONTENT", "index": 0}
REFUSALS = {
    "refusal": (Fault("refusal"), "refused"),
    "filtered": (Fault("filtered"), "filtered"),
    "status 400 with a code": (fault("prompt filtered"), "filtered"),
    "status 400 in words": (
        Fault("status", 400, {"message": "Output blocked by content filtering policy"}), "filtered",
    ),
    "status 403 of a gateway": (
        Fault("status", 403, {"code": 403, "message": "m requires moderation. Your input was flagged"}),
        "filtered",
    ),
    "no message": (Fault("json", body=lambda body: body | {"choices": [GEMINI]}), "filtered"),
    "error in a 200": (
        Fault("json", body=lambda body: {"error": {"code": "content_filter", "message": "no"}}),
        "filtered",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_text_does_not_block_the_others(tmp_path, name):
    """By default the condition fails at its end, with the text and the key; else it is wrong, for good."""
    refused, outcome = REFUSALS[name]
    with (
        FaultServer({"mail 1": [refused] * 9}) as server,
        ResponseStore(tmp_path / "s") as store,
    ):
        with pytest.raises(UserError, match=r"1 of 4 .*: email-1: .*conditions\.mini\.on_refusal"):
            ask_stored(server.url, store, requests(4), CHAT, concurrency=1)
        assert len(store) == 3 and len(server.seen) == 4
        zero = replace(CHAT, **ZERO)
        answers, stored = ask_stored(server.url, store, requests(4), zero, concurrency=1)
        assert [answer.reply.outcome for answer in answers] == [
            "answered", outcome, "answered", "answered",
        ]  # fmt: skip
        assert stored == [True, False, True, True] and server.attempts("mail 1") == 2
        # it is an answer now: never asked again, and named again where it may not be scored
        again, _ = ask_stored(server.url, store, requests(4), zero)
        assert again == answers
        with pytest.raises(UserError, match=r"1 of 4 .*: email-1: .*conditions\.mini\.on_refusal"):
            ask_stored(server.url, store, requests(4), CHAT)
        assert server.attempts("mail 1") == 2
        rows = list(store.rows())
    with ResponseStore(tmp_path / "other") as other:
        other.add_rows((f"line {n}", row) for n, row in enumerate(rows))
        assert len(other) == 4


def test_half_an_answer_of_a_filtered_text_is_wrong(tmp_path):
    """What came before the filter may be a whole record: it scores nothing, and is counted apart."""
    fields = (Field("echo", "string", "exact"),)
    with FaultServer({"mail 1": [Fault("filtered")]}) as server:
        answers = ask_live(server, 2, replace(CHAT, **ZERO))
    assert json.loads(answers[1].reply.output) == {"echo": "mail 1"}
    run = ConditionRun(answers, [False, False], [(requests(2)[1], answers[1])], 1.0)
    write_answers(run, mode="live", predictions=tmp_path / "p", timings=tmp_path / "t.json")
    rows = [{"id": f"email-{i}", "record": {"echo": f"mail {i}"}} for i in range(2)]
    scored = read_answers(tmp_path / "p", rows, fields)
    assert scored.field_f1.tolist() == [1.0, 0.0] and list(scored.outcomes) == [
        "answered",
        "filtered",
    ]
    replicate = json.loads((tmp_path / "p" / "replicates.jsonl").read_text())
    assert replicate["output"] == ""


OF_THE_TEXT = [
    "Your prompt was flagged as potentially violating our usage policy. Please try again",
    "Invalid prompt: your prompt was flagged as violating our usage policies; repeated violations may result "
    "in your account being suspended",
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    "Output blocked by content filtering policy",
    "Input blocked by content moderation",
    "Your request was rejected as a result of our safety system",
    "The user's input was blocked by the content filter",
    "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO",
    "m requires moderation on OpenInference. Your input was flagged for \"violence\"",
]  # fmt: skip
OF_WHO_ASKS = [
    "your account was suspended for violation of our usage policies",
    "Your organization has been disabled, as its content violates our usage policies",
    "This API key was blocked: your prompts were flagged as violating the usage policies",
    "Your resource has been temporarily blocked because we detected behavior that may violate our content policy",
    "We have suspended your account: the input was flagged by our content filter",
    "Access denied due to Virtual Network/Firewall rules.",
    "You must accept the usage policy of this model first",
    "User was banned for content that violates our usage policies",
    "The content filter policy 'strict' does not exist for this deployment",
    "The request was rejected: 'safety_settings' is not a known parameter",
    "The request was rejected since \"moderation\" and 'content_filter' are not known parameters",
]  # fmt: skip


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("message", OF_THE_TEXT)
def test_a_refusal_of_the_text_is_told_in_many_words(status, message):
    for body in ({"message": message}, [{"error": {"message": message}}], message):
        assert says_filtered(status, body)
    assert not says_filtered(422, {"message": message}) and not says_filtered([], message)


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("message", OF_WHO_ASKS)
def test_who_is_shut_out_is_not_a_refused_text(status, message):
    """`score_zero` would count every text of the condition as wrong, and call it done."""
    assert not says_filtered(status, {"message": message})
    zero = replace(CHAT, on_refusal="score_zero")
    fault = Fault("status", status, {"message": message})
    with FaultServer() as server:
        server.habit = lambda path, body: fault
        with pytest.raises(UserError, match=re.escape(message[:20])):
            ask_live(server, 3, zero, concurrency=1)
        assert len(server.seen) == 1


def test_a_text_of_a_filters_words_is_not_filtered():
    """A validation error may quote what was asked."""
    quoting = {"message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "x"],
                                       "input": "what is your content policy?"}]}}  # fmt: skip
    with (
        FaultServer({"mail 0": [Fault("status", 422, quoting)]}) as server,
        pytest.raises(UserError, match=r"rejects request email-0 \(422\)"),
    ):
        ask_live(server, 1, replace(CHAT, **ZERO))


# --- who is to blame -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "error", "expected"),
    [
        (CHAT, {"message": "Unsupported parameter: 'max_completion_tokens' is not supported with this "
                "model. Use 'max_tokens' instead.", "param": "max_completion_tokens"},
         r"^api\.server\.token_limit: .* rejects max_completion_tokens .*expected max_tokens"),
        (replace(CHAT, token_limit="max_tokens"),
         {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
          "'max_completion_tokens' instead.", "param": "max_tokens"},
         r"^api\.server\.token_limit: .* rejects max_tokens .*expected max_completion_tokens"),
        (MINI, {"message": "Unknown parameter: 'max_output_tokens'"},
         r"^api\.server\.token_limit: .*expected another endpoint"),
        (CHAT, {"message": "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's "
                "maximum context length is 8192 tokens"}, r"^conditions\.mini\.max_output_tokens: "),
        (CHAT, {"message": "max_tokens must be at most 4096", "param": "max_tokens"},
         r"^conditions\.mini\.max_output_tokens: "),
        (CHAT, {"message": "prompt is too long: 210000 tokens > 200000 maximum"},
         r"^conditions\.mini: .*email-0 .*too long for this model"),
        (CHAT, {"message": "no", "code": "context_length_exceeded", "param": "messages"},
         r"^conditions\.mini: .*email-0 .*too long for this model"),
        (CHAT, {"message": "the request exceeds the available context size. try increasing it"},
         r"^conditions\.mini: .*email-0 .*too long for this model"),
        (replace(CHAT, context=4096), {"message": "the request exceeds the available context size"},
         r"^api\.server\.context: 4,096 tokens are too few for email-0 of conditions\.mini "),
        (CHAT, {"message": "Unexpected role 'system'"}, r"^api\.server\.instruction_role: .*expected developer"),
        (replace(CHAT, instruction_role="developer"),
         {"message": "bad", "param": "messages[0].role"}, r"^api\.server\.instruction_role: .*expected system"),
        (CHAT, {"message": "This model does not support response_format json_schema"},
         r"^conditions\.mini\.output: .*text sends none"),
        (MINI, {"message": "Unknown parameter: 'text'"}, r"^conditions\.mini\.output: "),
        (CHAT, {"message": "this reasoning model needs a longer text"}, r"^conditions\.mini: .*email-0"),
        (CHAT, {"message": "`reasoning_effort` is not supported"}, r"^conditions\.mini\.reasoning_effort: "),
        (MINI, {"message": "Unrecognized request argument supplied: 'store'"}, r"^api\.server\.endpoint: .*expected chat"),
        (CHAT, {"message": "gpt-mini is not a valid model ID"}, r"^conditions\.mini\.model: "),
    ],
)  # fmt: skip
def test_a_rejection_names_the_key_that_sets_what_is_rejected(condition, error, expected):
    """Not one that has a word in common with the server's sentence ('text' stands in 'context')."""
    with (
        FaultServer({"mail 0": [Fault("status", 400, error)]}) as server,
        pytest.raises(UserError, match=expected) as caught,
    ):
        ask_live(server, 1, condition)
    assert "\n" not in str(caught.value)


def test_no_money_left_is_no_retry():
    with FaultServer(
        {"mail 0": [Fault("status", 402, {"message": "Insufficient credits"})] * 3}
    ) as server:
        with pytest.raises(
            UserError, match=r"quota at .* is used up \(402\): Insufficient credits"
        ):
            ask_live(server, 1, CHAT)
        assert len(server.seen) == 1


# --- the environment -------------------------------------------------------------------------

FAR = Provider("https://api.example.org/v1", "sk-1")


@pytest.fixture
def environment(monkeypatch):
    """Sets variables in an environment without proxies and certificates."""
    for name in (
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch.setenv


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ALL_PROXY", "socks5://me:hunter2@127.0.0.1:9", r"^ALL_PROXY: socks5:// needs a package"),
        ("https_proxy", "socks4://127.0.0.1:9", r"^https_proxy: .*found socks4://"),
        ("HTTPS_PROXY", "ftp://me:hunter2@h:1", r"^HTTPS_PROXY: expected a proxy's address.*found ftp"),
        ("HTTPS_PROXY", "http://me:hunter2@h:99999999", r"^HTTPS_PROXY: expected a proxy's address"),
        ("HTTP_PROXY", "http://[::1", r"^HTTP_PROXY: expected a proxy's address"),
        ("HTTPS_PROXY", "://", r"^HTTPS_PROXY: expected a proxy's address"),
        ("SSL_CERT_FILE", "/no/such.pem", r"^SSL_CERT_FILE: no such file: /no/such\.pem"),
        ("SSL_CERT_FILE", __file__, r"^SSL_CERT_FILE: cannot be read as certificates in PEM"),
        ("SSL_CERT_DIR", "/no/such", r"^SSL_CERT_DIR: no such folder: /no/such"),
    ],
)  # fmt: skip
def test_a_proxy_or_certificate_that_cannot_be_used(environment, name, value, expected):
    """One line that names the variable, before anything is asked; no password of a proxy in it."""
    if "socks5" in value and __import__("importlib").util.find_spec("socksio"):
        pytest.skip("socksio is installed: the proxy can be used")
    environment(name, value)
    policy = AskPolicy(timeout_seconds=1, max_attempts=1)
    with pytest.raises(UserError, match=expected) as caught:
        ask_all(requests(1), MINI, FAR, policy)
    assert "hunter2" not in str(caught.value) and "\n" not in str(caught.value)
    # loopback is asked without any of it
    with FaultServer() as server:
        assert len(ask_live(server, 1)) == 1


def test_a_proxy_that_can_be_used_is(environment):
    environment("HTTPS_PROXY", "proxy.example.org:8080")
    environment("NO_PROXY", "localhost,127.0.0.1")
    check_environment(FAR)


def test_openais_own_headers_go_to_openai_alone(environment):
    """An organisation, a project or a gateway's key in a custom header is no business of another."""
    environment("OPENAI_ORG_ID", "org-secret")
    environment("OPENAI_PROJECT_ID", "proj-secret")
    environment(
        "OPENAI_CUSTOM_HEADERS", "X-Gateway: gate-secret\nAuthorization: Bearer auth-secret"
    )
    environment("OPENAI_BASE_URL", "https://127.0.0.1:1/v1")
    environment("OPENAI_ADMIN_KEY", "admin-secret")
    with FaultServer() as server:
        ask_live(server, 1)
        ask_live(server, 1, api_key=None)
        with_key, without = (seen.headers for seen in server.seen)
    assert "secret" not in json.dumps([with_key, without])
    assert with_key["authorization"].startswith("Bearer sk-planted")
    for host in ("api.openai.com", "eu.api.openai.com"):
        assert own_headers(Provider(f"https://{host}/v1", "k")) == {}
    for host in ("api.openai.com.example.org", "xapi.openai.com.example", "r.openai.azure.com"):
        assert own_headers(Provider(f"https://{host}/v1", "k"))


def test_the_store_is_whole_after_all_this(tmp_path):
    """A refusal is a row as any other."""
    with (
        FaultServer({"mail 0": [Fault("refusal")]}) as server,
        ResponseStore(tmp_path / "s") as store,
    ):
        ask_stored(server.url, store, requests(1), replace(CHAT, **ZERO))
    found = (
        sqlite3.connect(tmp_path / "s").execute("select outcome, output from answers").fetchall()
    )
    assert found == [("refused", "I cannot help with that.")]


def test_the_report_says_how_many_were_refused():
    """In the table as ever, and in words where they count as wrong."""

    def words_of(result):
        return " ".join(str(results_section(report_fixture.inputs(result))).split())

    found, plain = report_fixture.analysis(), "stops the run and is never scored."
    assert plain in words_of(found)
    place = next(i for i, row in enumerate(found.conditions) if row.kind == "api")
    label = found.conditions[place].label
    refused = report_fixture.changed(
        found,
        **{
            f"conditions__{place}__outcomes__conforming": 52,
            f"conditions__{place}__outcomes__refused": 2,
            f"conditions__{place}__outcomes__filtered": 1,
        },
    )
    words = words_of(refused)
    assert plain not in words
    assert f"counts it as wrong (`on_refusal: score_zero`): 3 texts of 64 of {label}." in words
    assert f"| {label} | 64 | 52 | 3 | 5 | 1 | 2 | 1 |" in words
