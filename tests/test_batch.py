"""The Batch API: half the price, and a dead process never submits the same request twice."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess

import pytest

from lora_vs_api.api.budget import CostLimits
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider, host_of
from lora_vs_api.api.store import ResponseStore
from lora_vs_api.api.stored_run import ask_stored
from lora_vs_api.api.types import ApiCondition
from lora_vs_api.config.sections import Price
from lora_vs_api.errors import UserError
from tests.batch_server import BatchServer, Drop
from tests.processes import exit_code, start
from tests.test_stored_run import requests

KEY = "sk-planted-0123456789abcdef"
MINI = ApiCondition("mini", "gpt-mini", 0.0, None, 50)
CHAT = replace(MINI, endpoint="chat")


def ask(url, store, asked, condition=MINI, budget_usd=None, **options):
    price = Price(input=0.5, cached_input=None, output=5.0)
    limits = CostLimits(price, "gpt-mini", budget_usd, 7, lambda text: 6)
    options = {
        "timeout_seconds": 5, "max_attempts": 3, "total_seconds": 30, "poll_seconds": 0.02,
        **options,
    }  # fmt: skip
    provider, policy = Provider(url, KEY), AskPolicy(**options)
    return ask_stored(asked, condition, store, limits, provider, policy, "batch")


@pytest.mark.parametrize("condition", [MINI, CHAT], ids=["responses", "chat"])
def test_answers_come_in_order_and_are_stored(tmp_path, condition):
    """Whatever order the provider writes; without a latency; a second run submits nothing."""
    with BatchServer(polls=3) as server, ResponseStore(tmp_path / "s") as store:
        answers, stored = ask(server.url, store, requests(5), condition)
        assert [a.id for a in answers] == [f"email-{i}" for i in range(5)]
        assert [json.loads(a.reply.output)["echo"] for a in answers] == [
            f"mail {i}" for i in range(5)
        ]
        assert {
            (a.latency_seconds, a.reply.input_tokens, a.reply.output_tokens) for a in answers
        } == {(None, 20, 7)}
        assert stored == [False] * 5
        again, stored = ask(server.url, store, requests(5), condition)
        assert again == answers and stored == [True] * 5
        assert len(server.batches) == 1 and store.open_batches(host_of(server.url)) == []


def test_a_status_in_capitals_is_one(tmp_path):
    """A batch that has ended would be waited for as long as the limits allow."""
    with BatchServer(status="COMPLETED") as server, ResponseStore(tmp_path / "s") as store:
        answers, _ = ask(server.url, store, requests(1), total_seconds=2)
    assert json.loads(answers[0].reply.output)["echo"] == "mail 0"


def test_batch_and_live_answers_are_kept_apart(tmp_path):
    """A live answer has a latency and the full price; a batch's has neither."""
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        ask(server.url, store, requests(1))
        price = Price(input=1.0, cached_input=None, output=10.0)
        live = CostLimits(price, "gpt-mini", None, 7, lambda text: 6)
        policy = AskPolicy(timeout_seconds=5, max_attempts=1)
        with pytest.raises(
            UserError, match="api.server.base_url"
        ):  # this server has no live endpoint
            ask_stored(requests(1), MINI, store, live, Provider(server.url, KEY), policy)


def test_every_kind_of_no_answer_is_listed_and_asked_again(tmp_path):
    """Refused, filtered, empty, rejected and missing ones fail the run; the others are kept."""
    kinds = {
        "mail 1": "refusal", "mail 2": "filtered", "mail 3": "empty", "mail 4": "status",
        "mail 5": "missing", "mail 6": "incomplete",
    }  # fmt: skip
    with BatchServer(kinds=kinds) as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(UserError) as caught:
            ask(server.url, store, requests(8))
        message = str(caught.value)
        assert "5 of 8 requests got no answer" in message and "3 new answers are kept" in message
        for part in (
            "email-1: refused: I cannot", "email-2: stopped by the content filter", "email-3: empty output",
            "email-4: status 400: this one is too long", "email-5: batch batch_1 completed without",
        ):  # fmt: skip
            assert part in message
        server.kinds = {}
        answers, stored = ask(server.url, store, requests(8))
        assert sum(stored) == 3 and answers[6].reply.outcome == "truncated"
        assert sorted(server.asked[8:]) == [f"mail {i}" for i in range(1, 6)]


def test_a_batch_that_is_too_large_for_the_account_is_asked_in_parts(tmp_path, capsys):
    """The same batch again, as the server advises, would be refused again and again."""
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        server.at_most = 2
        answers, _ = ask(server.url, store, requests(7))
        assert [json.loads(a.reply.output)["echo"] for a in answers] == [
            f"mail {i}" for i in range(7)
        ]
        assert len(server.asked) == 7 and store.open_batches(host_of(server.url)) == []
        sizes = [batch["request_counts"]["total"] for batch in server.batches.values()]
        assert sizes == [7, 3, 1, 2, 4, 2, 2]
        assert server.files.keys() == {f"batch_{i}_output_file_id" for i in (3, 4, 6, 7)}
    told = capsys.readouterr().err
    assert "a batch of 7 requests is too large for the server, asked in two halves" in told


@pytest.mark.parametrize(
    ("event", "status", "said"),
    [
        ("POST /v1/files", 413, "Request Entity Too Large"),
        ("POST /v1/files", 400, "File is too large. Max size is 100 MB"),
        ("POST /v1/batches", 400, "The number of requests in the input file exceeds the maximum allowed value of 2"),
        ("POST /v1/batches", 429, "Enqueued token limit reached for gpt-mini"),
        ("POST /v1/batches", 429, "Batch rate limit exceeded for api_key: abc. Batch contains 600 tokens but only 100 tokens remaining out of 500 TPM limit."),
        ("POST /v1/batches", 429, "Batch rate limit exceeded for api_key: abc. Batch contains 6 requests but only 1 remaining out of 5 RPM limit."),
    ],
)  # fmt: skip
def test_a_file_that_is_too_large_is_asked_in_parts(tmp_path, event, status, said):
    """Wherever the server finds it so; of what it refuses nothing stays there."""
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        server.refused[event] = [(status, said)]
        answers, _ = ask(server.url, store, requests(3))
        assert [json.loads(a.reply.output)["echo"] for a in answers] == [
            f"mail {i}" for i in range(3)
        ]
        assert [b["request_counts"]["total"] for b in server.batches.values()] == [1, 2]
        assert not any(name.startswith("file") for name in server.files)


def test_one_request_that_is_too_large_is_named(tmp_path):
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        server.at_most = 0
        with pytest.raises(
            UserError, match=r"mini: .* rejects a batch of one request \(batch batch_2\): Enqueued"
        ):
            ask(server.url, store, requests(2))
        assert store.open_batches(host_of(server.url)) == [] and server.files == {}


def test_a_creation_that_the_rate_limit_refuses_is_tried_again(tmp_path):
    """No batch is there, so nothing is paid twice; and the attempts have an end."""
    refused = (429, "Rate limit reached, please try again in 20ms")
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        server.refused["POST /v1/batches"] = [refused] * 2
        answers, _ = ask(server.url, store, requests(2), first_wait_seconds=0.01)
        assert len(answers) == 2 and len(server.batches) == 1
        too_many = (429, "The number of requests exceeds the limit per minute")
        server.refused["POST /v1/batches"] = [refused, refused, too_many]
        with pytest.raises(UserError, match=r"failed \(429\): .*limit per minute"):
            ask(server.url, store, requests(4), first_wait_seconds=0.01)
        server.refused["POST /v1/batches"] = [
            (429, "You exceeded your quota: credit balance is too low")
        ]
        with pytest.raises(UserError, match=r"failed \(429\): .*credit balance"):
            ask(server.url, store, requests(4), first_wait_seconds=60)
        assert not any(name.startswith("file") for name in server.files)


def test_a_batch_waits_until_its_upload_was_looked_through(tmp_path):
    """Azure's is pending at first, and a batch of it is refused."""
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        server.upload_statuses = ["pending", "pending", "Running", "processed"]
        assert len(ask(server.url, store, requests(2))[0]) == 2
        asked = [event for event in server.events if "batches" not in event]
        assert asked[:4] == ["POST /v1/files", *["GET /v1/files/file_1"] * 3]
        assert server.events.count("POST /v1/batches") == 1


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        (["pending", "error"], r"cannot read the upload file_1: no reason given"),
        (["pending"], r"has not looked through the upload file_1 in 0\.05 s \(it is pending\); nothing was paid"),
    ],
)  # fmt: skip
def test_an_upload_that_cannot_be_had_is_named_and_not_left(tmp_path, statuses, said):
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        server.upload_statuses = statuses
        with pytest.raises(UserError, match=rf"^conditions\.mini: .*{said}"):
            ask(server.url, store, requests(2), total_seconds=0.05)
        assert store.open_batches(host_of(server.url)) == [] and server.files == {}
        assert server.batches == {}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "Input file not found"),
        (404, "No such File object: file_1"),
        (400, "The input file 'file_1' is in 'pending' state. Only files with status 'Processed' are accepted"),
        (400, "The specified file reference must point to a completed file import."),
        (409, "File is not ready yet"),
    ],
)  # fmt: skip
def test_a_batch_of_a_file_that_is_not_known_yet_is_tried_again(tmp_path, status, said):
    """The server may know of an upload later than it says; at last its own words are told."""
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        server.refused["POST /v1/batches"] = [(status, said)] * 2
        assert len(ask(server.url, store, requests(2), first_wait_seconds=0.01)[0]) == 2
        assert len(server.batches) == 1
        server.refused["POST /v1/batches"] = [(status, said)] * 3
        with pytest.raises(UserError, match=rf"batch at .* failed \({status}\): ") as caught:
            ask(server.url, store, requests(4), first_wait_seconds=0.01)
        assert said[:20] in str(caught.value) and "no Batch API" not in str(caught.value)
        assert not any(name.startswith("file") for name in server.files)


def test_a_refusal_for_another_reason_is_not_tried_again(tmp_path):
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        server.refused["POST /v1/batches"] = [(400, "completion_window: expected 12h")]
        with pytest.raises(UserError, match=r"failed \(400\): completion_window"):
            ask(server.url, store, requests(2), first_wait_seconds=60)
        server.refused["POST /v1/batches"] = [(404, "Not Found")]
        with pytest.raises(UserError, match=r"has no Batch API \(404\)"):
            ask(server.url, store, requests(2), first_wait_seconds=60)


def test_a_batch_of_an_earlier_run_that_was_too_large_is_asked_in_parts(tmp_path):
    with BatchServer(polls=2) as server, ResponseStore(tmp_path / "s") as store:
        server.at_most = 2
        with pytest.raises(UserError, match="over while batch batch_1"):
            ask(server.url, store, requests(3), total_seconds=0.001)
        answers, _ = ask(server.url, store, requests(3))
        assert len(answers) == 3 and len(server.asked) == 3
        assert store.open_batches(host_of(server.url)) == []


def test_a_text_with_an_error_of_its_own_owes_no_answer(tmp_path):
    """tidyverse/ellmer#830: all are counted as completed, and one of them stands among the errors."""
    with BatchServer(kinds={"mail 1": "status"}) as server, ResponseStore(tmp_path / "s") as store:
        server.miscounts = True
        with pytest.raises(UserError) as caught:
            ask(server.url, store, requests(3))
        assert "email-1: status 400: this one is too long" in str(caught.value)
        assert "fetch" not in str(caught.value) and server.downloads == 2


def test_what_was_uploaded_is_deleted_when_its_answers_are_here(tmp_path):
    """Azure keeps 500 such files and takes no more; and whose texts they are wants them nowhere."""
    with BatchServer(polls=2) as server, ResponseStore(tmp_path / "s") as store:
        ask(server.url, store, requests(2))
        assert server.deleted == ["file_1"] and list(server.files) == ["batch_1_output_file_id"]
        # a server that cannot is no fault
        server.refused["DELETE /v1/files/file_2"] = [(405, "no")]
        assert len(ask(server.url, store, requests(4))[0]) == 4
        assert server.deleted == ["file_1"]


@pytest.mark.parametrize("status", ["failed", "expired"])
def test_a_batch_that_ends_without_results(tmp_path, status):
    """It says why, and the next run may submit again."""
    kinds = {f"mail {i}": "missing" for i in range(2)}
    with (
        BatchServer(status=status, kinds=kinds) as server,
        ResponseStore(tmp_path / "s") as store,
    ):
        why = "rejects batch batch_1: the model is unknown" if status == "failed" else "expired"
        with pytest.raises(UserError, match=why):
            ask(server.url, store, requests(2))
        server.status, server.kinds = "completed", {}
        assert len(ask(server.url, store, requests(2))[0]) == 2


def test_requests_with_one_reason_are_told_together(tmp_path):
    kinds = {f"mail {i}": "status" for i in range(5)} | {"mail 5": "missing"}
    with BatchServer(kinds=kinds) as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(UserError) as caught:
            ask(server.url, store, requests(6))
        message = str(caught.value)
        assert message.count("this one is too long") == 1
        assert (
            "email-0, email-1, email-2 and 2 more: status 400: this one is too long; email-5: batch"
            in message
        )


def test_time_over_leaves_the_batch_at_the_provider(tmp_path):
    """The next run waits on for the same batch."""
    with BatchServer(polls=10) as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(
            UserError, match=r"api\.limits\.max_minutes: over while batch batch_1 is in_prog"
        ):
            ask(server.url, store, requests(3), total_seconds=0.01)
        answers, _ = ask(server.url, store, requests(3))
        assert len(answers) == 3 and len(server.batches) == 1


def test_a_lost_reply_to_the_submission_does_not_pay_twice(tmp_path):
    """The batch exists, but its id never arrived: it is found by its mark."""
    dropped = []

    def on_event(event):
        if event == "POST /v1/batches" and not dropped:
            dropped.append(event)
            raise Drop

    with BatchServer(on_event=on_event) as server, ResponseStore(tmp_path / "s") as store:
        answers, _ = ask(server.url, store, requests(3))
        assert dropped and len(answers) == 3 and len(server.batches) == 1


def resume(url: str, path: str) -> None:
    """What the killed process runs."""
    with ResponseStore(path) as store:
        ask(url, store, requests(4), budget_usd=1.0)


@pytest.mark.parametrize(
    "kill_at",
    [
        "POST /v1/files",
        "POST /v1/batches",
        "GET /v1/batches/batch_1",
        "GET /v1/files/batch_1_output_file_id/content",
    ],
)
@pytest.mark.slow
def test_killed_and_resumed(tmp_path, kill_at):
    """kill -9 at every step of a batch: the next process pays for each request once in all."""
    running: list[BaseProcess] = []

    def on_event(event):
        if event == kill_at and len(running) == 1:
            os.kill(running[0].pid, signal.SIGKILL)
            time.sleep(0.05)

    with BatchServer(polls=2, on_event=on_event) as server:
        for expected in (-signal.SIGKILL, 0):
            running.append(start(resume, server.url, str(tmp_path / "s")))
            assert exit_code(running[-1]) == expected
        assert sorted(server.asked) == [f"mail {i}" for i in range(4)]
    with ResponseStore(tmp_path / "s") as store:
        assert len(store) == 4


def test_a_submitted_batch_needs_no_budget(tmp_path):
    """What was paid for already is fetched, however little may be spent now."""
    with BatchServer(polls=10) as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(UserError, match="nothing was asked or paid"):
            ask(server.url, store, requests(3), budget_usd=0.0001)
        assert server.events == []
        with pytest.raises(UserError, match="max_minutes"):
            ask(server.url, store, requests(3), total_seconds=0.01)
        assert len(ask(server.url, store, requests(3), budget_usd=0.0)[0]) == 3


def test_a_server_without_batches_names_the_key_to_change(tmp_path):
    """Most servers of one's own have none."""

    def gone(event):
        raise Drop

    with (
        BatchServer() as server,
        ResponseStore(tmp_path / "s") as store,
        pytest.raises(UserError, match=r"^api\.server\.mode: .* has no Batch API \(404\)"),
    ):
        ask(server.url.replace("/v1", "/other"), store, requests(1))
    with (
        BatchServer(on_event=gone) as server,
        ResponseStore(tmp_path / "t") as store,
        pytest.raises(UserError, match=r"batch at .* failed: Connection error\. Remote"),
    ):
        ask(server.url, store, requests(1), max_attempts=1)
    with (
        BatchServer() as server,
        ResponseStore(tmp_path / "u") as store,
        pytest.raises(UserError, match=r"^api\.server\.base_url: .* does not speak https"),
    ):
        ask(server.url.replace("http:", "https:"), store, requests(1), max_attempts=1)


@pytest.mark.parametrize("cut", ["a row less", "half a row", "nothing"])
def test_results_fewer_than_counted_are_fetched_again(tmp_path, cut):
    """A download that broke off, or came too early, is no reason to pay again."""

    def spoil(number, rows):
        if number > 2:
            return rows
        return {
            "a row less": rows[:-1],
            "half a row": [*rows[:-1], json.dumps(rows[-1])[:40]],
            "nothing": [],
        }[cut]

    with BatchServer(spoil=spoil) as server, ResponseStore(tmp_path / "s") as store:
        answers, _ = ask(server.url, store, requests(5))
        assert [json.loads(a.reply.output)["echo"] for a in answers] == [
            f"mail {i}" for i in range(5)
        ]
        assert server.downloads == 3 and len(server.batches) == 1
        assert store.open_batches(host_of(server.url)) == []


def test_results_that_stay_short_are_named_and_at_last_asked_again(tmp_path):
    """Bounded: fetched again by later runs, then only what is missing is submitted anew."""

    def spoil(number, rows):
        return rows[1:] if len(rows) > 1 else rows

    with BatchServer(spoil=spoil) as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(UserError) as caught:
            ask(server.url, store, requests(5), max_attempts=2)
        assert "conditions.mini: batch batch_1 says 5 results and sends 4" in str(caught.value)
        assert "nothing is paid twice" in str(caught.value) and "4 new answers" in str(caught.value)
        with pytest.raises(UserError, match="1 of 1 requests got no answer.*says 5 results and"):
            ask(server.url, store, requests(5), max_attempts=2)
        assert len(server.batches) == 1
        answers, _ = ask(server.url, store, requests(5), max_attempts=2)
        assert len(answers) == 5 and len(server.asked) == 6


def test_an_error_makes_up_for_no_lost_answer(tmp_path):
    """Two answers and an error, one answer lost on the way: it is fetched, not paid again."""

    def spoil(number, rows):
        return rows[:-1] if number == 1 else rows

    with (
        BatchServer(kinds={"mail 1": "status"}, spoil=spoil) as server,
        ResponseStore(tmp_path / "s") as store,
    ):
        with pytest.raises(UserError, match="1 of 3 requests got no answer.*email-1: status 400"):
            ask(server.url, store, requests(3))
        assert len(store) == 2 and server.downloads == 4 and len(server.asked) == 3
        assert store.open_batches(host_of(server.url)) == []


def test_an_answer_that_stays_lost_is_not_paid_again_for_an_error(tmp_path):
    """The batch stays open for the next run, as where no other request failed."""

    def spoil(number, rows):
        return rows[:-1] if number % 2 else rows

    with (
        BatchServer(kinds={"mail 1": "status"}, spoil=spoil) as server,
        ResponseStore(tmp_path / "s") as store,
    ):
        for _ in range(2):
            with pytest.raises(UserError, match="batch_1 says 2 results and sends 1, in 4 downl"):
                ask(server.url, store, requests(3))
        assert len(server.asked) == 3 and len(store.open_batches(host_of(server.url))) == 1


def test_a_lost_error_holds_nothing_up(tmp_path):
    """Nothing was paid for it: after some downloads its request has no answer, without another run."""

    def spoil(number, rows):
        return rows if number % 2 else []

    with (
        BatchServer(kinds={"mail 1": "status"}, spoil=spoil) as server,
        ResponseStore(tmp_path / "s") as store,
    ):
        with pytest.raises(
            UserError, match="1 of 3 requests got no answer.*email-1: batch batch_1 completed with"
        ):
            ask(server.url, store, requests(3))
        assert server.downloads == 2 * 4 and len(store) == 2
        assert store.open_batches(host_of(server.url)) == []


@pytest.mark.parametrize("counts", [{"completed": 3}, {"completed": None, "failed": "x"}, None])
def test_counts_of_other_servers_hold_nothing_up(tmp_path, counts):
    """The failed among the completed, or no counts that can be read."""

    def on_event(event):
        if event == "GET /v1/batches/batch_1":
            batch = server.batches["batch_1"]
            batch["request_counts"] = counts and batch["request_counts"] | counts

    with (
        BatchServer(kinds={"mail 1": "status"}, on_event=on_event) as server,
        ResponseStore(tmp_path / "s") as store,
    ):
        with pytest.raises(UserError, match="1 of 3 requests got no answer.*email-1: status 400"):
            ask(server.url, store, requests(3))
        assert len(store) == 2 and server.downloads == 2


def test_a_key_that_an_error_quotes_is_stored_nowhere(tmp_path):
    """Nor a part of it, where the message is cut in its middle."""

    def spoil(number, rows):
        for row in rows:
            if row["response"]["status_code"] == 400:
                row["response"]["body"] = {"error": {"message": "x" * 285 + f" {KEY} is bad"}}
        return rows

    with (
        BatchServer(kinds={"mail 1": "status"}, spoil=spoil) as server,
        ResponseStore(tmp_path / "s") as store,
    ):
        for _ in range(2):
            with pytest.raises(UserError) as caught:
                ask(server.url, store, requests(3), max_attempts=1)
            assert "[API key]" in str(caught.value) and KEY[:11] not in str(caught.value)
        for file in tmp_path.iterdir():
            assert KEY[:11].encode() not in file.read_bytes()


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        ("POST /v1/files", {}), ("POST /v1/files", b"<html>"), ("POST /v1/files", "a text"),
        ("POST /v1/batches", []), ("POST /v1/batches", {"id": None}),
        ("GET /v1/batches/batch_1", {"id": "batch_1", "status": 5}), ("GET /v1/batches/batch_1", []),
        ("GET /v1/batches/batch_1", b"not json"),
        ("GET /v1/batches/batch_1", {"status": "failed", "errors": "no"}),
        ("GET /v1/batches/batch_1", {"status": "completed", "request_counts": [1]}),
        ("GET /v1/files/batch_1_output_file_id/content", b'{"custom_id": ' + b"[" * 100_000),
    ],
)  # fmt: skip
def test_whatever_a_server_sends_is_one_line(tmp_path, event, answer):
    """Something that is no Batch API, or a gateway before it."""
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        server.instead[event] = answer
        with pytest.raises(UserError) as caught:
            ask(server.url, store, requests(2), total_seconds=0.1, max_attempts=1)
        assert "\n" not in str(caught.value)


REASON = {"error": {"message": "No batch found with id 'batch_1'", "code": None}}


@pytest.mark.parametrize(
    "event", ["POST /v1/files", "POST /v1/batches", "GET /v1/batches/batch_1",
              "GET /v1/files/batch_1_output_file_id/content"],
)  # fmt: skip
def test_an_error_with_status_200_gives_its_reason(tmp_path, event):
    """A gateway's: it is no batch that still runs, and waiting for it is bounded."""
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        server.instead[event] = REASON
        with pytest.raises(UserError, match="No batch found with id"):
            ask(server.url, store, requests(2), max_attempts=2)
        server.instead.clear()
        assert len(ask(server.url, store, requests(2), max_attempts=2)[0]) == 2


def test_a_batch_that_is_lost_at_the_provider_is_named_and_at_last_left(tmp_path):
    """Deleted, or of another key's account: bounded as well, and no riddle about the Batch API."""
    with BatchServer(polls=10) as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(UserError, match="max_minutes"):
            ask(server.url, store, requests(2), total_seconds=0.01)
        server.batches.clear()
        with pytest.raises(UserError, match="batch batch_1 or its results are not known at http"):
            ask(server.url, store, requests(2), max_attempts=2)
        with pytest.raises(UserError, match="2 of 2 requests got no answer.*not known"):
            ask(server.url, store, requests(2), max_attempts=2)
        server.polls = 1
        assert len(ask(server.url, store, requests(2), max_attempts=2)[0]) == 2


def test_what_fails_for_good_is_not_submitted_for_ever(tmp_path):
    """As often as api.limits.max_attempts says over all runs; then it is named, and costs nothing."""
    kinds = {"mail 1": "status", "mail 2": "refusal"}
    with BatchServer(kinds=kinds) as server:
        for _ in range(2):
            with (
                ResponseStore(tmp_path / "s") as store,
                pytest.raises(UserError, match="2 of . requests got no answer"),
            ):
                ask(server.url, store, requests(4), max_attempts=2)
        with ResponseStore(tmp_path / "s") as store:
            for _ in range(2):
                with pytest.raises(UserError) as caught:
                    ask(server.url, store, requests(5), max_attempts=2)
                assert (
                    "email-1: failed in 2 batches, not submitted again (api.limits.max_attempts "
                    "allows so many); the last time: status 400: this one is too long"
                ) in str(caught.value)
                assert "email-2: failed in 2 batches" in str(caught.value)
            assert [server.asked.count(f"mail {i}") for i in range(5)] == [1, 2, 2, 1, 1]
            # with more attempts allowed it goes on, and an answer ends the count
            server.kinds = {}
            assert len(ask(server.url, store, requests(5), max_attempts=3)[0]) == 5
            text = next(row["request"] for row in store.rows())
            assert store.failure(json.dumps(text)) is None


def test_of_two_results_under_one_id_the_stored_one_counts(tmp_path):
    """What is returned is what the store holds, so that a rerun changes nothing."""

    def spoil(number, rows):
        first = rows[0]
        again = json.loads(json.dumps(first).replace("echo", "changed"))
        error = {**first, "response": {"status_code": 500, "body": None}, "error": {"message": "x"}}
        return [*rows, again, error]

    with BatchServer(spoil=spoil) as server, ResponseStore(tmp_path / "s") as store:
        answers, _ = ask(server.url, store, requests(3))
        again, stored = ask(server.url, store, requests(3))
        assert again == answers and stored == [True] * 3
        assert all("echo" in answer.reply.output for answer in answers)


def test_one_answer_to_two_texts_of_a_batch_is_neither_s(tmp_path):
    """As of a live server: both are asked again, and no wrong answer is stored."""

    def spoil(number, rows):
        for place, row in enumerate(rows):
            row["response"]["body"]["id"] = f"resp_{number}_{place}"
        if number == 1:
            rows[2]["response"]["body"] = rows[0]["response"]["body"]
        return rows

    with BatchServer(spoil=spoil) as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(UserError, match="2 of 4 requests got no answer.*one answer, resp_1_0,"):
            ask(server.url, store, requests(4))
        assert len(store) == 2
        answers, _ = ask(server.url, store, requests(4))
        assert [json.loads(a.reply.output)["echo"] for a in answers] == [
            f"mail {i}" for i in range(4)
        ]


def test_a_redirect_elsewhere_takes_no_batch_along(tmp_path):
    """As of live requests: what holds the texts is sent to the server named alone."""
    with BatchServer() as other, BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        server.redirect = other.url
        with pytest.raises(UserError, match=r"^api\.server\.base_url: .* redirects to http://127"):
            ask(server.url, store, requests(2), max_attempts=1)
        assert other.events == []


def test_an_answer_that_an_earlier_run_stored_is_no_other_texts(tmp_path):
    """Of a batch that was read to its middle before a kill, or of another batch."""

    def spoil(number, rows):
        for row in rows:
            row["response"]["body"]["id"] = f"resp_{number}"
        if number == 2:
            rows[0]["response"]["body"] = first[0]["response"]["body"]
        first.append(rows[0])
        return rows

    first = []
    with BatchServer(spoil=spoil) as server, ResponseStore(tmp_path / "s") as store:
        ask(server.url, store, requests(1))
        with pytest.raises(
            UserError, match="1 of 1 requests got no answer.*one answer, resp_1, to"
        ):
            ask(server.url, store, requests(2))
        answers, _ = ask(server.url, store, requests(2))
        assert [json.loads(a.reply.output)["echo"] for a in answers] == ["mail 0", "mail 1"]


def test_the_key_is_sent_and_kept_nowhere(tmp_path, capfd):
    """Not in the store, nor in what is printed."""
    with BatchServer() as server, ResponseStore(tmp_path / "s") as store:
        ask(server.url, store, requests(2))
        assert set(server.headers) == {f"Bearer {KEY}"}
        for file in tmp_path.iterdir():
            assert KEY.encode() not in file.read_bytes()
    said = capfd.readouterr()
    assert KEY not in said.out + said.err
