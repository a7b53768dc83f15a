"""Stored runs: no answer is paid for twice, none above the budget, none lost to a crash."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess
from threading import Timer

import pytest

from lora_vs_api.api.budget import CostLimits, discounted, estimate, usd
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.results import write_answers
from lora_vs_api.api.store import ResponseStore, request_text
from lora_vs_api.api.stored_run import ask_stored
from lora_vs_api.api.types import Answer, ApiCondition, ConditionRun, Reply, Request
from lora_vs_api.config.sections import Price
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json
from tests.batch_server import BatchServer
from tests.fault_server import Fault, FaultServer
from tests.processes import exit_code, start

KEY = "sk-planted-0123456789abcdef"
MINI = ApiCondition("mini", "gpt-mini", None, None, 50)
# the server counts 20 input and 7 output tokens an answer
PRICE = Price(input=1.0, cached_input=None, output=10.0)
ANSWER_USD = (20 * 1.0 + 7 * 10.0) / 1e6
MAX_USD = (20 * 1.0 + 50 * 10.0) / 1e6


def requests(count: int) -> list[Request]:
    return [
        Request(
            f"email-{i}",
            [{"role": "system", "content": "Extract."}, {"role": "user", "content": f"mail {i}"}],
        )
        for i in range(count)
    ]


def ask(url, store, asked, condition=MINI, budget_usd=None, **options):
    # 2 messages of 6 tokens and 4 around each: the 20 that the server counts
    limits = CostLimits(PRICE, "gpt-mini", budget_usd, 7, lambda text: 6)
    options = {
        "concurrency": 4, "timeout_seconds": 5, "max_attempts": 3, "first_wait_seconds": 0.01,
        **options,
    }  # fmt: skip
    return ask_stored(asked, condition, store, limits, Provider(url, KEY), AskPolicy(**options))


def test_a_second_run_pays_nothing(tmp_path):
    """Not even with the server gone: answers, usage and latencies are the first call's."""
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        first, stored = ask(server.url, store, requests(5))
        assert stored == [False] * 5 and len(server.seen) == 5
        url = server.url
    with ResponseStore(tmp_path / "s") as store:
        again, stored = ask(url, store, requests(5))
        assert stored == [True] * 5 and again == first


def test_equal_questions_are_asked_once(tmp_path):
    """Two emails of one text share an answer, under their own ids."""
    twice = [*requests(2), replace(requests(1)[0], id="email-again")]
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        answers, _ = ask(server.url, store, twice)
        assert [a.id for a in answers] == ["email-0", "email-1", "email-again"]
        assert answers[2].reply == answers[0].reply and len(server.seen) == 2
        # a replicate is a question of its own
        ask(server.url, store, [replace(requests(1)[0], replicate=1)])
        assert len(server.seen) == 3


def test_a_failure_keeps_what_was_answered(tmp_path):
    """The message says how many, and the next run asks for the rest alone."""
    faults = {"mail 3": [Fault("status", 400, {"message": "no"})]}
    with FaultServer(faults) as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(
            UserError, match=r"\(3 new answers are kept in .*another run goes on from there\)"
        ):
            ask(server.url, store, requests(6), concurrency=1)
        assert len(store) == 3
        answers, stored = ask(server.url, store, requests(6), concurrency=1)
        assert stored == [True] * 3 + [False] * 3 and len(answers) == 6
        assert [server.attempts(f"mail {i}") for i in range(6)] == [1, 1, 1, 2, 1, 1]


@pytest.mark.parametrize("kind", ["refusal", "filtered", "empty"])
def test_what_is_no_answer_is_never_stored(tmp_path, kind):
    """A refusal may pass; it is asked again next time, and never scored."""
    faults = {"mail 1": [Fault(kind)] * 3}
    with FaultServer(faults) as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(UserError, match="email-1"):
            ask(server.url, store, requests(3))
        kept = [row["request"]["body"]["input"][-1]["content"] for row in store.rows()]
        assert "mail 1" not in kept


@pytest.mark.slow
def test_a_thousand_requests_through_a_fifth_of_faults(tmp_path):
    """1,000 answers, each its own, no answer paid for twice; a second run asks nothing."""
    draw = random.Random(0)
    kinds = [
        Fault("status", 429, headers={"retry-after-ms": "5"}), Fault("status", 429),
        Fault("status", 500), Fault("status", 503), Fault("reset"), Fault("reset_mid_body"),
        Fault("truncated_json"), Fault("html"), Fault("empty"), Fault("failed"),
    ]  # fmt: skip
    faults = {}
    for i in range(1000):
        while draw.random() < 0.2:
            faults.setdefault(f"mail {i}", []).append(draw.choice(kinds))
    injected = {text: len(scripted) for text, scripted in faults.items()}
    with FaultServer(faults) as server, ResponseStore(tmp_path / "s") as store:
        options = {"concurrency": 16, "max_attempts": 10, "first_wait_seconds": 0.005}
        answers, _ = ask(server.url, store, requests(1000), **options)
        assert [json.loads(a.reply.output)["echo"] for a in answers] == [
            f"mail {i}" for i in range(1000)
        ]
        seen = [request.text for request in server.seen]
        assert len(seen) == 1000 + sum(injected.values())
        assert sum(injected.values()) > 200
        assert len(store) == 1000
        ask(server.url, store, requests(1000), **options)
        assert len(server.seen) == len(seen)


def resume(url: str, path: str) -> None:
    """What the killed process runs."""
    with ResponseStore(path) as store:
        ask(url, store, requests(20), concurrency=1)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.slow
def test_killed_and_resumed(tmp_path, seed):
    """kill -9 at random requests: what was answered before is never asked again."""
    kill_at = sorted(random.Random(seed).sample(range(1, 20), 3))
    # every kill leaves one request without an answer, which is asked once more
    kill_at = [number + done for done, number in enumerate(kill_at)]
    running: list[BaseProcess] = []

    def on_arrival(number: int) -> None:
        if number in kill_at:
            os.kill(running[-1].pid, signal.SIGKILL)
            time.sleep(0.05)

    with FaultServer(on_arrival=on_arrival) as server:
        codes = []
        for _ in range(4):
            running.append(start(resume, server.url, str(tmp_path / "s")))
            codes.append(exit_code(running[-1]))
        assert codes == [-signal.SIGKILL] * 3 + [0]
        killed = [server.seen[number - 1].text for number in kill_at]
        for i in range(20):
            text = f"mail {i}"
            assert server.attempts(text) == 1 + killed.count(text)
    with ResponseStore(tmp_path / "s") as store:
        assert len(store) == 20


def share(url: str, path: str, result: str) -> None:
    """One of several runs on a store: what it was given, as JSON."""
    with ResponseStore(path) as store:
        answers, _stored = ask(url, store, requests(200), concurrency=8)
    with open(result, "w") as file:
        json.dump([[a.reply.output, a.reply.response_id] for a in answers], file)


@pytest.mark.slow
def test_two_runs_at_once_ask_each_question_once(tmp_path):
    """And both return what the store holds, so that the rerun of either changes nothing."""
    faults = {f"mail {i}": [Fault("slow", seconds=0.02)] for i in range(200)}
    with FaultServer(faults) as server:
        files = [tmp_path / f"{i}.json" for i in range(2)]
        running = [start(share, server.url, str(tmp_path / "s"), str(file)) for file in files]
        assert [exit_code(process) for process in running] == [0, 0]
        asked = sorted(seen.text for seen in server.seen)
        assert asked == sorted(f"mail {i}" for i in range(200))
        again = start(share, server.url, str(tmp_path / "s"), str(tmp_path / "again.json"))
        assert exit_code(again) == 0 and len(server.seen) == 200
    first, second = (json.loads(file.read_text()) for file in files)
    assert first == second == json.loads((tmp_path / "again.json").read_text())


@pytest.mark.slow
def test_an_answer_that_another_run_is_asking_is_waited_for(tmp_path):
    """Not asked, and told apart from this call's own; with a limit it is not waited for for ever."""
    with (
        FaultServer() as server,
        ResponseStore(tmp_path / "s") as store,
        ResponseStore(tmp_path / "s") as other,
    ):
        text = request_text(requests(1)[0], MINI, server.url)
        assert other.claim(text, 60)
        with pytest.raises(UserError, match="max_minutes: over while another run .* asking 1 of"):
            ask(server.url, store, requests(3), total_seconds=3, wait_seconds=0.05)
        assert server.attempts("mail 0") == 0 and len(store) == 2
        answer = Answer("x", Reply("{}", "answered", 20, 7, 0), 0.5, 1)
        Timer(0.3, lambda: put_elsewhere(tmp_path / "s", text, answer)).start()
        answers, stored = ask(server.url, store, requests(3), wait_seconds=0.05)
    assert server.attempts("mail 0") == 0 and stored == [True] * 3
    assert answers[0].reply == answer.reply


def put_elsewhere(path, text, answer) -> None:
    with ResponseStore(path) as store:
        store.put(text, answer)


def test_what_a_dead_run_left_is_asked(tmp_path):
    """Its claims end with their time."""
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        store._holder, mine = "elsewhere/1/x", store._holder
        assert store.claim(request_text(requests(1)[0], MINI, server.url), 0.3)
        store._holder = mine
        answers, _ = ask(server.url, store, requests(2), wait_seconds=0.05)
        assert len(answers) == 2 and server.attempts("mail 0") == 1


@pytest.mark.slow
def test_two_batches_at_once_are_one(tmp_path):
    """The second run waits for the first one's batch, also for one that is not submitted yet."""
    running: list[BaseProcess] = []

    def on_event(event: str) -> None:
        if event == "POST /v1/files" and len(running) == 1:
            running.append(start(share_batch, server.url, str(tmp_path / "s")))
            time.sleep(4)

    with BatchServer(polls=20, on_event=on_event) as server:
        running.append(start(share_batch, server.url, str(tmp_path / "s")))
        assert [exit_code(process) for process in running[:1]] == [0]
        assert exit_code(running[1]) == 0
        assert sorted(server.asked) == [f"mail {i}" for i in range(4)] and len(server.batches) == 1


def share_batch(url: str, path: str) -> None:
    limits = CostLimits(PRICE, "gpt-mini", None, 7, lambda text: 6)
    policy = AskPolicy(timeout_seconds=5, max_attempts=3, poll_seconds=0.05, wait_seconds=0.05)
    with ResponseStore(path) as store:
        ask_stored(requests(4), MINI, store, limits, Provider(url, KEY), policy, "batch")


def test_an_answer_without_counts_is_paid_for_once(tmp_path):
    """The tokenizer's count is stored, and that it is one; a rerun asks nothing."""
    nulls = {"input_tokens": None, "output_tokens": None}
    fault = Fault("json", body=lambda body: body | {"usage": nulls})
    with FaultServer({"mail 1": [fault] * 3}) as server, ResponseStore(tmp_path / "s") as store:
        answers, _ = ask(server.url, store, requests(3), budget_usd=1.0)
        again, stored = ask(server.url, store, requests(3), budget_usd=1.0)
        assert len(server.seen) == 3 and stored == [True] * 3 and again == answers
    assert [answer.reply.tokens_estimated for answer in answers] == [False, True, False]
    assert (answers[1].reply.input_tokens, answers[1].reply.output_tokens) == (20, 6)


def test_the_number_in_flight_is_that_of_the_call(tmp_path):
    """Answers asked one by one stay so when the rest is asked four at a time."""
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        ask(server.url, store, requests(2), concurrency=1)
        answers, _ = ask(server.url, store, requests(8), concurrency=4)
        # a last text alone is alone
        ask(server.url, store, requests(9), concurrency=4)
        last, _ = ask(server.url, store, requests(9), concurrency=4)
        assert [answer.concurrency for answer in answers] == [1, 1] + [4] * 6
        assert last[8].concurrency == 1
    run = ConditionRun(answers, [True] * 8, [], 1.0)
    write_answers(run, mode="live", predictions=tmp_path / "p", timings=tmp_path / "t.json")
    assert read_json(tmp_path / "t.json")["latency_concurrency"] == [1, 1] + [4] * 6


@pytest.mark.slow
def test_a_gateway_that_loses_the_order_spoils_no_answer(tmp_path):
    """1,000 requests, every fiftieth of them answered with another's answer: none is stored."""
    draw = random.Random(0)
    faults = {f"mail {i}": [Fault("double")] for i in range(1000) if draw.random() < 0.02}
    with FaultServer(faults) as server, ResponseStore(tmp_path / "s") as store:
        answers, _ = ask(server.url, store, requests(1000), concurrency=8)
        assert [json.loads(a.reply.output)["echo"] for a in answers] == [
            f"mail {i}" for i in range(1000)
        ]
        assert len(server.seen) <= 1000 + 2 * len(faults)


def test_an_answer_that_an_earlier_run_stored_is_no_other_texts(tmp_path):
    """A gateway may hand it out once more to the next run, or to another process beside this one."""
    with (
        FaultServer({"mail 1": [Fault("double")]}) as server,
        ResponseStore(tmp_path / "s") as store,
    ):
        ask(server.url, store, requests(1))
        answers, _ = ask(server.url, store, requests(2))
        assert [json.loads(a.reply.output)["echo"] for a in answers] == ["mail 0", "mail 1"]
        assert (server.attempts("mail 0"), server.attempts("mail 1")) == (1, 2)
        # and it is asked over another connection
        assert len({seen.port for seen in server.seen[1:]}) == 2


def test_ids_that_tell_nothing_refuse_nothing(tmp_path):
    """Ollama draws them from a thousand, others send one always: equal answers are no doubles then."""

    def alike(body):
        body["id"] = "chatcmpl-7"
        body["output"][0]["content"][0]["text"] = '{"a": 1}'
        return body

    faults = {f"mail {i}": [Fault("json", body=alike)] for i in range(2, 9)}
    faults["mail 0"] = [Fault("json", body=lambda body: body | {"id": "chatcmpl-7"})]
    with FaultServer(faults) as server, ResponseStore(tmp_path / "s") as store:
        ask(server.url, store, requests(6), concurrency=1)
        ask(server.url, store, requests(9), concurrency=1)
        assert len(server.seen) == 9


def test_a_server_that_echoes_the_key_does_not_get_it_stored(tmp_path):
    """A debugging proxy, say: the answer is kept without it."""
    echo = Fault("json", body=lambda body: json.loads(json.dumps(body).replace("mail 0", KEY)))
    with FaultServer({"mail 0": [echo]}) as server, ResponseStore(tmp_path / "s") as store:
        answers, _ = ask(server.url, store, requests(1))
        assert json.loads(answers[0].reply.output) == {"echo": "[API key]"}
        assert KEY not in json.dumps(list(store.rows()))


def test_over_budget_nothing_is_asked(tmp_path):
    """The estimate stops the run before the first request, and names the key."""
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(
            UserError, match=r"^api\.limits\.budget_usd: .* nothing was asked or paid"
        ):
            ask(server.url, store, requests(10), budget_usd=9 * ANSWER_USD)
        assert server.seen == []


def test_the_estimate_is_printed_before_the_first_request(tmp_path, capsys):
    """What it will cost, and at most, at whose price."""
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        ask(server.url, store, requests(10))
    said = capsys.readouterr().err
    assert f"about USD {10 * ANSWER_USD:.4f}, at most USD {10 * MAX_USD:.4f}" in said
    assert "200 input tokens" in said and "gpt-mini" in said


@pytest.mark.parametrize("concurrency", [1, 4])
def test_at_the_budget_it_stops_and_keeps_what_was_paid(tmp_path, concurrency):
    """Lost answers count in full, so the limit holds even where the estimate was too low."""
    limit = 10 * ANSWER_USD + 2 * MAX_USD
    faults = {f"mail {i}": [Fault("truncated_json")] * 2 for i in range(0, 20, 2)}
    with FaultServer(faults) as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(UserError, match=r"api\.limits\.budget_usd: USD .* are spent.*are kept"):
            ask(server.url, store, requests(20)[:10], budget_usd=limit, concurrency=concurrency)
        lost = sum(request.text in faults for request in server.seen)
        assert 0 < len(store) < 10
        assert len(store) * ANSWER_USD + (lost - 1) * MAX_USD <= limit
        # with more money it goes on where it stopped
        before = len(store)
        _, stored = ask(server.url, store, requests(10), budget_usd=1.0)
        assert sum(stored) == before


def test_refused_attempts_cost_nothing_of_the_budget(tmp_path):
    """A rate limit is not billed, so it may not eat the money."""
    faults = {f"mail {i}": [Fault("status", 429)] * 2 for i in range(5)}
    with FaultServer(faults) as server, ResponseStore(tmp_path / "s") as store:
        budget = 4 * ANSWER_USD + MAX_USD
        answers, _ = ask(server.url, store, requests(5), budget_usd=budget, concurrency=1)
        assert len(answers) == 5


def test_a_store_that_cannot_be_written_stops_the_spending(tmp_path, monkeypatch):
    """Disk full at the third answer: no further request is paid for."""
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        put, calls = store.put, []

        def full(text, answer):
            calls.append(text)
            if len(calls) == 3:
                raise UserError("api.limits.store: s cannot be written: database or disk is full")
            put(text, answer)

        monkeypatch.setattr(store, "put", full)
        with pytest.raises(UserError, match="disk is full"):
            ask(server.url, store, requests(10), concurrency=1)
        assert len(server.seen) == 3 and len(store) == 2


def test_estimate_counts_requests_tokens_and_limits():
    """Expected answers are never longer than the limit allows."""
    cost = estimate({"a": 100, "b": 300}, 80.0, 50, Price(input=2.0, cached_input=None, output=4.0))
    assert (cost.requests, cost.input_tokens) == (2, 400)
    assert cost.expected_usd == cost.max_usd == pytest.approx((400 * 2 + 100 * 4) / 1e6)


def test_a_batch_costs_less():
    """The discount is taken off every price; without a price of its own, cached input has none."""
    half = discounted(Price(input=2.0, cached_input=0.5, output=4.0), 0.5)
    assert half == Price(input=1.0, cached_input=0.25, output=2.0)
    assert discounted(PRICE, 0.25).cached_input is None
    assert usd(half, 1_000_000, 500_000) == 2.0


def test_the_key_is_nowhere_in_the_store(tmp_path):
    """Neither in the database nor in what is exported from it."""
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        ask(server.url, store, requests(3))
        assert KEY not in json.dumps(list(store.rows()))
        assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
        for file in tmp_path.iterdir():
            assert KEY.encode() not in file.read_bytes()


def test_the_noise_floor_is_measured_from_replicates(tmp_path):
    """Share of emails answered alike, and the spread of the mean over replicates."""
    from lora_vs_api.analysis.condition import noise_floor
    from lora_vs_api.analysis.results import NoiseFloor
    from lora_vs_api.files import write_jsonl
    from lora_vs_api.record.fields import Field

    fields = (Field("n", "integer", "exact", minimum=1, maximum=5),)
    rows = [{"id": identity, "record": {"n": 1}} for identity in "abc"]
    folder = tmp_path / "predictions/evaluate/mini"
    folder.mkdir(parents=True)
    right, wrong = '{"n": 1}', '{"n": 2}'
    write_jsonl(
        folder / "predictions.jsonl",
        [{"id": identity, "output": right} for identity in "abc"],
    )
    assert noise_floor("mini", rows, fields, tmp_path) is None
    write_jsonl(
        folder / "replicates.jsonl",
        [
            {"id": "a", "replicate": 1, "output": right},
            {"id": "b", "replicate": 1, "output": wrong},
        ],
    )
    assert noise_floor("mini", rows, fields, tmp_path) == NoiseFloor(
        texts=2, replicates=2, same_answer=0.5, same_score=0.5,
        field_f1_low=0.5, field_f1_high=1.0, sd=0.353553, sd_if_independent=0.353553, p_of_runs=0.5,
    )  # fmt: skip


def test_outcomes_are_counted_apart():
    """Each request under one heading; a truncated one is that, whatever its text."""
    import numpy as np

    from lora_vs_api.analysis.condition import count_outcomes
    from lora_vs_api.analysis.results import Outcomes
    from lora_vs_api.analysis.scored_run import ScoredRun

    outcomes = ["answered"] * 4 + ["truncated", "refused", "filtered"]
    run = ScoredRun(
        outputs=("",) * 7, fields=np.zeros((7, 1)), outcomes=np.array(outcomes),
        valid_json=np.array([1, 1, 1, 0, 1, 0, 0], bool),
        schema_valid=np.array([1, 1, 0, 0, 1, 0, 0], bool),
        input_tokens=np.ones(7), output_tokens=np.ones(7),
    )  # fmt: skip
    counted = count_outcomes([run, run])
    assert counted == Outcomes(
        conforming=4, schema_violating=2, invalid_json=2, truncated=2, refused=2, filtered=2
    )
    assert counted.total == 14
