"""`lora-vs-api doctor --api` against servers of every habit: what works, what it costs, what to set."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lora_vs_api.cli import doctor
from lora_vs_api.config.compose import compose
from lora_vs_api.errors import UserError
from tests.fault_server import Fault, FaultServer

ROOT = Path(__file__).resolve().parent.parent
RECORD = {
    "customer_name": "Ann", "issue_category": "billing", "urgency": 1, "primary_request": "a refund",
    "mentioned_products": [], "sentiment": "neutral",
}  # fmt: skip


def output(text, **usage):
    """Answers ``text`` in the usual form, with other counts where they are given."""

    def made(body):
        body["choices"][0]["message"]["content"] = text
        return body | usage

    return Fault("json", body=made)


RIGHT = output(json.dumps(RECORD))


def refuse(message, **more):
    return Fault("status", 400, {"message": message, **more})


def look(server, tmp_path, monkeypatch, capsys, *overrides, name=None):
    """What the doctor prints, and its error if any."""
    settings = [
        "api=server", f"api.server.base_url={server.url}", "conditions.server_zero_shot.model=m",
        "prices=published", "prices_beside=null",  # one list, whose prices the tests count with
        *overrides,
    ]  # fmt: skip
    (tmp_path / "params.yaml").write_text(compose(settings, conf=ROOT / "conf"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "WAIT_SECONDS", 0.01)
    error = None
    try:
        doctor.examine(api=True, condition=name)
    except UserError as caught:
        error = str(caught)
    return capsys.readouterr().out, error


@pytest.fixture
def seen(tmp_path, monkeypatch, capsys):
    """Runs the doctor on a server of some habit: output, error, requests' bodies."""

    def run(habit, *overrides, name=None):
        with FaultServer() as server:
            server.habit = lambda path, body: habit(path, body) or RIGHT
            out, error = look(server, tmp_path, monkeypatch, capsys, *overrides, name=name)
            bodies = [request.body for request in server.seen]
        assert len(bodies) <= doctor.MAX_REQUESTS == 6
        assert out.count("\nrequest ") <= len(bodies)
        # not even a store is made
        assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
        return out, error, bodies

    return run


def test_a_server_that_does_all_as_it_is_set(seen):
    out, error, bodies = seen(lambda path, body: None)
    assert error is None and len(bodies) == 3 and out.endswith("works as it is set\n")
    for line in (
        "endpoint:           chat",
        "token limit:        max_completion_tokens, 112 tokens",
        "instruction role:   system",
        "answer:             a JSON object",
        "JSON Schema:        obeyed",
        "usage:              20 tokens in, 7 out",
        "reasoning tokens:   not told",
        "cached tokens:      3, then 3",
        "ids:                one for each answer",
        # 20 tokens in at 0.15 and 7 out at 0.6, USD a million
        "price of the text:  USD 0.000007 at the price of gpt-5.4-mini",
        "the run:            about USD 0.0003 for 48 requests of server_zero_shot",
    ):
        assert line in out
    # neither the text nor the examples are asked for twice in another way
    assert bodies[0] == bodies[1] and "response_format" in bodies[2]


def test_a_server_that_refuses_max_completion_tokens(seen):
    """Its sibling is tried, and named as Hydra takes it."""

    def habit(path, body):
        if "max_completion_tokens" in body:
            return refuse("Extra inputs are not permitted: max_completion_tokens")
        return None

    out, error, bodies = seen(habit)
    assert error == "conditions.server_zero_shot: works with api.server.token_limit=max_tokens"
    assert "\n  api.server.token_limit=max_tokens\n" in out and len(bodies) == 4
    assert "request 2, api.server.token_limit=max_tokens: answered" in out
    # what was to be set is right: with it, all works
    _, error, _ = seen(habit, "api.server.token_limit=max_tokens")
    assert error is None


def test_a_server_that_refuses_two_things(seen):
    """One after the other: the second is tried with the first mended."""

    def habit(path, body):
        if body["messages"][0]["role"] == "developer":
            return refuse("Unexpected role 'developer'", param="messages[0].role")
        if "temperature" in body:
            return refuse("Unsupported value: 'temperature' does not support 0 with this model")
        return None

    _, error, bodies = seen(habit, "api.server.instruction_role=developer")
    assert error == (
        "conditions.server_zero_shot: works with api.server.instruction_role=system, "
        "conditions.server_zero_shot.temperature=null"
    )
    assert len(bodies) == 5


@pytest.mark.parametrize(
    ("habit", "words"),
    [
        (lambda path, body: output("Sure! Here it is.") if "response_format" in body else None, "ignored"),
        (lambda path, body: output('{"a": 1}') if "response_format" in body else None,
         "not obeyed: "),
        (lambda path, body: refuse("response_format is not supported") if "response_format" in body
         else None, "refused"),
    ],
    ids=["prose", "another record", "refused"],
)  # fmt: skip
def test_what_a_server_makes_of_a_schema(seen, habit, words):
    """A condition without one works all the same; one with it is told the strongest format that works."""
    out, error, _ = seen(habit)
    assert error is None and f"JSON Schema:        {words}" in out


def test_a_condition_whose_schema_is_ignored(seen):
    key = "conditions.server_zero_shot.output"

    def habit(path, body):
        return output("Sure!") if body.get("response_format", {}).get("type") else None

    _, error, bodies = seen(habit, f"{key}=json_schema")
    assert error == f"conditions.server_zero_shot: works with {key}=text"
    # the schema, any JSON, then text; and again
    assert [b.get("response_format", {}).get("type") for b in bodies][:4] == [
        "json_schema", "json_object", None, None,
    ]  # fmt: skip


def test_a_server_without_counts_and_ids(seen):
    def habit(path, body):
        return output(json.dumps(RECORD), usage=None, id=None)

    out, error, _ = seen(habit)
    assert error is None and "usage:              not told: costs would be estimated" in out
    assert "ids:                none: " in out


def test_a_server_with_one_id_for_all(seen):
    out, _, _ = seen(lambda path, body: output(json.dumps(RECORD), id="x"))
    assert "ids:                one for two answers: " in out


def test_a_server_with_the_other_endpoint_alone(seen):
    def habit(path, body):
        return Fault("status", 404, {"message": "Not Found"}) if "responses" in path else None

    _, error, _ = seen(habit, "api.server.endpoint=responses")
    assert error == "conditions.server_zero_shot: works with api.server.endpoint=chat"


def test_reasoning_that_leaves_no_room(seen):
    """The limit is raised for the condition alone; what the model reasons is told."""

    def habit(path, body):
        if body["max_completion_tokens"] < 1000:
            details = {"completion_tokens_details": {"reasoning_tokens": 112}}
            usage = {"prompt_tokens": 20, "completion_tokens": 112, **details}
            cut = output("", usage=usage)
            return Fault("json", body=lambda b: _cut(cut.body(b)))
        usage = {"prompt_tokens": 20, "completion_tokens": 90, "total_tokens": 300}
        return output(json.dumps(RECORD), usage=usage)

    out, error, _ = seen(habit)
    assert error == (
        "conditions.server_zero_shot: works with conditions.server_zero_shot.max_output_tokens=2048"
    )
    assert "reasoning tokens:   190" in out


def test_an_answer_that_never_began_works_in_no_way(seen):
    """Reasoning takes whatever limit there is: each such answer of a run counts as wrong."""
    details = {"completion_tokens_details": {"reasoning_tokens": 2048}}
    usage = {"prompt_tokens": 20, "completion_tokens": 2048, **details}
    cut = output("", usage=usage)
    habit = lambda path, body: Fault("json", body=lambda b: _cut(cut.body(b)))  # noqa: E731
    for own in ((), ("conditions.server_zero_shot.max_output_tokens=2048",)):
        out, error, _ = seen(habit, *own)
        assert error is not None and "cut before it began, at most 2048 tokens" in error
        assert "works as it is set" not in out


def test_a_full_context_is_said_once(seen):
    """No other parameter, role or limit gives the answer room: one request tells it, and each is paid."""
    cut = output("", usage={"prompt_tokens": 200, "completion_tokens": 3})
    habit = lambda path, body: Fault("json", body=lambda b: _cut(cut.body(b)))  # noqa: E731
    out, error, bodies = seen(habit)
    assert len(bodies) == 1 and out.count("was cut before it began") == 1
    assert "the server's context is full, or it has a limit of its own" in error
    # of a schema it tells nothing
    habit = lambda path, body: habit_of_schema(body, cut)  # noqa: E731
    out, error, _ = seen(habit)
    assert error is None and re.search(r"JSON Schema: +not known: the answer was cut", out)


def test_a_limit_that_the_server_does_not_heed_is_no_success(seen):
    """ggml-org/llama.cpp#13700: each answer would cost what it likes."""
    long = output(json.dumps(RECORD), usage={"prompt_tokens": 200, "completion_tokens": 5000})
    out, error, _ = seen(lambda path, body: long)
    assert "does not heed max_completion_tokens" in error and "it may heed max_tokens" in error
    assert "works as it is set" not in out


def habit_of_schema(body, cut):
    return Fault("json", body=lambda b: _cut(cut.body(b))) if "response_format" in body else None


def _cut(body):
    body["choices"][0]["finish_reason"] = "length"
    return body


def test_an_unnamed_fault_is_searched_for_within_bounds(seen):
    """The server says only that it is a bad request: one thing after the other is changed."""
    _, error, _ = seen(lambda path, body: refuse("Bad Request") if "temperature" in body else None)
    assert (
        error
        == "conditions.server_zero_shot: works with conditions.server_zero_shot.temperature=null"
    )
    _, error, bodies = seen(lambda path, body: refuse("Bad Request"))
    assert error == "conditions.server_zero_shot: no way was found to ask it; see above"
    assert 2 < len(bodies) <= 6


@pytest.mark.slow
def test_what_no_other_way_mends_is_said_at_once(seen, monkeypatch):
    """A rejected key, or one that is not set; and a fault that passes is no fault."""
    _, error, bodies = seen(lambda path, body: Fault("status", 401))
    assert error.startswith("api.limits.key_env: ") and len(bodies) == 1
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    _, error, bodies = seen(lambda path, body: None, "api.limits.key_env=NO_SUCH_KEY")
    assert error.startswith("NO_SUCH_KEY: not set") and not bodies
    faults = [Fault("status", 503)]
    _, error, bodies = seen(lambda path, body: faults.pop() if faults else None)
    assert error is None and len(bodies) == 4
    _, error, bodies = seen(lambda path, body: Fault("status", 503))
    assert "status 503" in error and len(bodies) == 2


def test_the_budget_holds(seen):
    """Before each request what it can cost at most is set aside, spent or not by then."""
    _, error, bodies = seen(lambda path, body: None, "api.limits.budget_usd=0.00001")
    assert error.startswith("api.limits.budget_usd: USD 0.0000 of 1e-05 are spent") and not bodies
    # 112 out are set aside, 0.00007, and some 130 in; this answer costs 0.00009
    costly = output(json.dumps(RECORD), usage={"prompt_tokens": 200, "completion_tokens": 100})
    _, error, bodies = seen(lambda path, body: costly, "api.limits.budget_usd=0.00014")
    assert error.startswith("api.limits.budget_usd: USD 0.0001 of 0.00014 are spent")
    assert len(bodies) == 1


@pytest.mark.slow
def test_a_rate_limit_takes_nothing_away(seen):
    """What the first answer showed is told; that a later look was refused passes by itself."""
    answers = [RIGHT]

    def habit(path, body):
        return answers.pop() if answers else Fault("status", 429, {"message": "slow down"})

    out, error, bodies = seen(habit)
    assert error is None and len(bodies) == 3
    for line in (
        "\nnot looked at further: conditions.server_zero_shot: 1 of 1 requests got no answer",
        "answer:             a JSON object",
        "JSON Schema:        not tried",
        "ids:                not compared",
        "price of the text:  USD 0.000007",
    ):
        assert line in out
    # nor does what has to be set
    answers = [RIGHT]

    def short_of_money(path, body):
        quota = {"message": "no more", "code": "insufficient_quota"}
        return answers.pop() if answers else Fault("status", 429, quota)

    out, error, _ = seen(short_of_money)
    assert "the account's quota at" in error and "answer:             a JSON object" in out


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault("filtered"), "filtered"),
        (Fault("refusal"), "refused"),
        (refuse("no", code="content_filter"), "filtered"),
    ],
)
def test_an_answer_that_is_none_is_no_success(seen, fault, outcome):
    """A filter that stops every text would pass for a condition that works."""
    out, error, _ = seen(lambda path, body: fault)
    assert error.startswith(f"conditions.server_zero_shot: the text was {outcome}, which is no")
    assert f"answer:             {outcome}" in out and "works as it is set" not in out
    key = "conditions.server_zero_shot.on_refusal=score_zero"
    assert seen(lambda path, body: fault, key)[1] == error


@pytest.mark.slow
def test_batches_are_looked_for(tmp_path, monkeypatch, capsys):
    """With api.server.mode=batch the run asks through the Batch API; its price is less."""
    for pages, said in (
        ({}, r"^api\.server\.mode: http://\S+ has no Batch API \(404\); expected live for"),
        ({"/v1/batches": "<html>"}, r"has no Batch API \(its answer is no list of batches\)"),
        ({"/v1/batches": {"object": "list", "data": []}}, None),
    ):
        with FaultServer() as server:
            server.habit, server.pages = lambda path, body: RIGHT, pages
            out, error = look(server, tmp_path, monkeypatch, capsys, "api.server.mode=batch")
        assert re.search(said, error) if said else error is None
        assert "answer:             a JSON object" in out
        assert ("Batch API: there is one" in out) == (said is None)
        # half of 48 × 0.0000072
        assert "about USD 0.0002 for 48 requests of server_zero_shot, in batches at 50% less" in out


def test_it_asks_a_condition_that_there_is(seen):
    _, error, bodies = seen(lambda path, body: None, name="server_zero")
    assert error.startswith("doctor: expected one of server_zero_shot, ") and not bodies
    out, error, bodies = seen(lambda path, body: None, name="server_few_shot_5")
    assert error is None and out.startswith("server_few_shot_5: m at http://127.0.0.1:")


def test_it_asks_the_first_test_text_where_there_is_one(seen, tmp_path, monkeypatch, capsys):
    """With the examples of the condition."""
    split = tmp_path / "elsewhere" / "data" / "split"
    split.mkdir(parents=True)
    row = {"id": "email-9", "text": "My bill is wrong.", "record": RECORD}
    (split / "test.jsonl").write_text(json.dumps(row) + "\n")
    train = [row | {"id": f"t{i}", "text": f"text {i}"} for i in range(6)]
    (split / "train.jsonl").write_text("\n".join(map(json.dumps, train)) + "\n")
    with FaultServer() as server:
        server.habit = lambda path, body: RIGHT
        out, error = look(
            server, tmp_path / "elsewhere", monkeypatch, capsys, name="server_few_shot_5"
        )
        assert error is None and "one text (email-9)" in out
        assert (
            server.seen[0].text == "My bill is wrong."
            and len(server.seen[0].body["messages"]) == 12
        )


def test_a_condition_is_asked_with_api_alone():
    """It may cost: a word too many is no order to pay."""
    with pytest.raises(UserError, match="expected --api"):
        doctor.examine(api=False, condition="mini_zero_shot")


def test_a_server_that_breaks_without_a_word_is_asked_in_other_ways(seen):
    """EricLBuehler/mistral.rs#506: an empty 500 where a system turn is sent."""

    def habit(path, body):
        if body["messages"][0]["role"] != "user":
            return Fault("broken")
        return None

    out, error, _ = seen(habit)
    assert "status 500: no reason given" in out
    assert error == "conditions.server_zero_shot: works with api.server.instruction_role=user"


def test_an_answer_in_a_fence_is_called_one(seen):
    """Every one of them would count as invalid."""
    out, error, _ = seen(lambda path, body: output(f"```json\n{json.dumps(RECORD)}\n```"))
    assert error is None and "answer:             a JSON object between lines of ```, which counts" in out  # fmt: skip


def test_a_file_with_fewer_texts_is_priced_by_these(seen, tmp_path, monkeypatch, capsys):
    """48 requests were told where 9 texts are asked."""
    monkeypatch.setattr(doctor, "TEST", "test.jsonl")
    (tmp_path / "test.jsonl").write_text('{"id": "a", "text": "b", "record": {}}\n' * 9)
    with FaultServer() as server:
        server.habit = lambda path, body: RIGHT
        out, _ = look(server, tmp_path, monkeypatch, capsys)
    assert "for 9 requests of server_zero_shot" in out


@pytest.mark.parametrize(("value", "told"), [("", "empty"), (None, "not set")])
def test_a_key_that_is_empty_is_called_so(seen, monkeypatch, value, told):
    monkeypatch.delenv("MY_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_KEY", value)
    _, error, _ = seen(lambda path, body: None, "api.limits.key_env=MY_KEY")
    assert error == f"MY_KEY: {told} in the environment; api.limits.key_env names it"
