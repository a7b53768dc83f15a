"""The response store: what was paid for is found again, and nothing else is."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import subprocess
import time
from dataclasses import replace

import pytest

from lora_vs_api.api.store import Imported, OpenBatch, ResponseStore, request_key, request_text
from lora_vs_api.api.store_rows import ADDED, LOST
from lora_vs_api.api.types import Answer, ApiCondition, Losses, Reply, Request
from lora_vs_api.cli.store import export_answers, import_answers
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl
from tests.imports import ROOT
from tests.warm import python

URL = "https://api.example.org/v1"
CONDITION = ApiCondition("mini", "gpt-mini", 0.0, None, 50)
REQUEST = Request("email-1", [{"role": "user", "content": "Größe 5 – „mail“"}])
REPLY = Reply('{"a": 1}', "answered", 20, 7, 3, "resp_1", "gpt-mini-0701")
ANSWER = Answer("email-1", REPLY, 1.25, 2)
COUNTED = Answer(
    "email-1",
    replace(REPLY, reasoning_tokens=4, tokens_estimated=True),
    1.25,
    attempts=3,
    concurrency=4,
    losses=Losses(2, 40, 14),
)


def test_an_answer_is_found_again_whole(tmp_path):
    """Text, usage, latency and ids are those of the call that was paid for, also in a new process."""
    text = request_text(REQUEST, CONDITION, URL)
    with ResponseStore(tmp_path / "deep/store.sqlite") as store:
        assert store.get(request_key(text), "email-1") is None
        store.put(text, ANSWER)
        assert len(store) == 1
    with ResponseStore(tmp_path / "deep/store.sqlite") as store:
        assert store.get(request_key(text), "email-1") == ANSWER
        # the same question under another id is the same answer
        assert store.get(request_key(text), "other") == replace(ANSWER, id="other")


def test_what_was_counted_is_kept(tmp_path):
    """In flight, failed attempts, reasoning and whether tokens were estimated, also through an export."""
    text = request_text(REQUEST, CONDITION, URL)
    with ResponseStore(tmp_path / "s") as store, ResponseStore(tmp_path / "t") as other:
        store.put(text, COUNTED)
        assert store.get(request_key(text), "email-1") == COUNTED
        exported = [json.loads(json.dumps(row)) for row in store.rows()]
        assert other.add_rows((f"x:{i}", row) for i, row in enumerate(exported, 1)).new == 1
        assert other.get(request_key(text), "email-1") == COUNTED
        # an export of the first version says nothing of it
        for name in ADDED:
            del exported[0][name]
        other.discard(text)
        assert other.add_rows([("x:1", exported[0])]) == Imported(1, 0, 0)
        plain = replace(REPLY, reasoning_tokens=None)
        assert other.get(request_key(text), "e") == Answer("e", plain, 1.25, 3)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"input_tokens": -1}, "input_tokens: expected an integer ≥ 0, found -1"),
        ({"output_tokens": None}, "output_tokens: expected an integer ≥ 0, found None"),
        ({"output_tokens": 1.5}, "output_tokens: expected an integer ≥ 0"),
        ({"output_tokens": 2**64}, "output_tokens: expected an integer ≥ 0"),
        ({"input_tokens": True}, "input_tokens: expected an integer ≥ 0"),
        ({"cached_input_tokens": 99}, "cached_input_tokens: expected no more than input_tokens"),
        (
            {"outcome": "great"},
            "outcome: expected one of answered, truncated, refused, filtered, found 'great'",
        ),
        ({"outcome": "failed"}, "outcome: expected one of answered"),
        ({"output": None}, "output: expected a text, found None"),
        ({"attempts": 0}, "attempts: expected an integer ≥ 1"),
        ({"latency_seconds": -1.0}, "latency_seconds: expected seconds ≥ 0 or null"),
        ({"latency_seconds": float("nan")}, "latency_seconds: expected seconds ≥ 0 or null"),
        ({"latency_seconds": 10**30}, "latency_seconds: expected seconds ≥ 0 or null, at most"),
        ({"latency_seconds": 1e30}, "latency_seconds: expected seconds ≥ 0 or null, at most"),
        ({"concurrency": 0}, "concurrency: expected an integer ≥ 1 or null"),
        ({"tokens_estimated": "yes"}, "tokens_estimated: expected 0 or 1"),
        ({"tokens_estimated": []}, "tokens_estimated: expected 0 or 1"),
        ({"lost_attempts": None}, "expected all three or null for all three"),
        ({"request": "text"}, "request: expected the request as an object"),
        ({"request": {}}, "request: expected the request as an object"),
        ({"request": None}, "request: expected the request as an object"),
        ({"asked_at": "yesterday"}, "asked_at: expected a time"),
        ({"output": "\ud800"}, "output: expected a text"),
        ({"served_model": 4}, "served_model: expected a text"),
        ({"key": "0" * 64}, "key is not the SHA-256"),
        ({"key": None}, "key is not the SHA-256"),
        ({"outcome": {}}, "outcome: expected one of answered"),
    ],
    ids=str,
)
def test_an_import_is_checked_row_by_row(tmp_path, changed, expected):
    """One line that names row, column and form; nothing of the file is taken over."""
    with ResponseStore(tmp_path / "s") as store, ResponseStore(tmp_path / "t") as other:
        for replicate in (0, 1):
            asked = replace(REQUEST, replicate=replicate)
            store.put(request_text(asked, CONDITION, URL), COUNTED)
        good, bad = store.rows()
        with pytest.raises(UserError, match=f"^answers.jsonl:2: .*{re.escape(expected)}") as caught:
            other.add_rows([("answers.jsonl:1", good), ("answers.jsonl:2", bad | changed)])
        assert len(other) == 0 and "\n" not in str(caught.value)


def test_every_refused_row_is_named_with_its_line(tmp_path):
    """And what was new, known or known otherwise is told as it is; the same file twice adds nothing."""
    with ResponseStore(tmp_path / "s") as store, ResponseStore(tmp_path / "t") as other:
        for replicate in range(9):
            asked = replace(REQUEST, replicate=replicate)
            store.put(request_text(asked, CONDITION, URL), ANSWER)
        rows = [(f"a.jsonl:{number}", row) for number, row in enumerate(store.rows(), 1)]
        surrogate = json.loads(json.dumps(rows[3][1]))
        surrogate["request"]["body"]["input"][0]["content"] = "\ud800"
        bad = [*rows[:2], *((f"b.jsonl:{n}", {**rows[2][1], "attempts": -n}) for n in range(7))]
        with pytest.raises(UserError) as caught:
            other.add_rows([*bad, ("b.jsonl:9", surrogate), ("b.jsonl:10", {})])
        message = str(caught.value)
        assert message.startswith(
            "b.jsonl:0: attempts: expected an integer ≥ 1, found 0; b.jsonl:1"
        )
        assert (
            message.endswith("and 4 more (9 of 11 rows are refused; nothing was taken over)")
            and len(other) == 0
        )
        with pytest.raises(
            UserError, match="c.jsonl:4: another answer to the request of a.jsonl:1"
        ):
            other.add_rows([*rows[:3], ("c.jsonl:4", {**rows[0][1], "output": "2"})])
        assert other.add_rows(rows[:4]) == Imported(4, 0, 0)
        changed = [(place, {**row, "output": "another"}) for place, row in rows[:2]]
        assert other.add_rows([*changed, *rows[2:], rows[8]]) == Imported(5, 4, 2)
        assert other.get(rows[0][1]["key"], "e").reply.output == REPLY.output


def test_an_import_of_any_file_is_one_line(tmp_path):
    """Numbers without end, nests without end, other things than rows: file and line, and nothing taken over."""
    with ResponseStore(tmp_path / "s") as store:
        store.put(request_text(REQUEST, CONDITION, URL), ANSWER)
        row = next(store.rows())
    good = json.dumps(row)
    row["request"]["body"]["x"] = float("nan")
    # under its own key: the export would fail of it
    form = {"sort_keys": True, "ensure_ascii": False, "separators": (",", ":")}
    row["key"] = request_key(json.dumps(row["request"], **form))
    deep = "[" * 700 + "]" * 700
    bodies = {
        "n": '{"a": ' + "1" * 5000 + "}", "deep": "[" * 100_000, "deeper": '{"request": ' + deep + "}",
        "list": "[1]", "text": '"text"', "number": "5", "half": good[:40],
        "body": good.replace('"body": {', f'"body": {{"x": {deep}, '),
        "nan": json.dumps(row),
        "late": good.replace('"latency_seconds": 1.25', '"latency_seconds": 1' + "0" * 30),
    }  # fmt: skip
    for name, line in bodies.items():
        file = tmp_path / f"{name}.jsonl"
        file.write_text(f"{good}\n{line}\n")
        with pytest.raises(UserError) as caught:
            import_answers(file, str(tmp_path / "t"))
        assert str(caught.value).startswith(f"{file}:2: ") and "\n" not in str(caught.value)
    for odd, said in ((tmp_path, "cannot be read"), (tmp_path / "none.jsonl", "no such file")):
        with pytest.raises(UserError, match=said):
            import_answers(odd, str(tmp_path / "t"))
    with ResponseStore(tmp_path / "t") as store:
        assert len(store) == 0


def test_a_row_that_breaks_a_rule_is_not_dropped_in_silence(tmp_path):
    """An answer was paid for: it is kept, or it is said that it is not."""
    broken = replace(ANSWER, reply=replace(REPLY, input_tokens=None))
    with (
        ResponseStore(tmp_path / "s") as store,
        pytest.raises(UserError, match="cannot be written: NOT NULL"),
    ):
        store.put(request_text(REQUEST, CONDITION, URL), broken)


def test_a_claim_is_one_stores_until_it_ends(tmp_path):
    """By its answer, by its release, by its time, or with the process that made it."""
    text = request_text(REQUEST, CONDITION, URL)
    with ResponseStore(tmp_path / "s") as one, ResponseStore(tmp_path / "s") as two:
        assert one.claim(text, 60) and one.claim(text, 60) and not two.claim(text, 60)
        one.release()
        assert two.claim(text, 0.05) and not one.claim(text, 60)
        time.sleep(0.1)
        assert one.claim(text, 60)
        two.renew(60)  # no longer its own
        assert not two.claim(text, 60)
        one.put(text, ANSWER)
        assert not one.claim(text, 60) and not two.claim(text, 60)
        two.discard(text)
        assert two.claim(text, 60)


def test_the_claims_of_the_dead_do_not_count(tmp_path):
    """Killed on this machine, a process is known to be gone; on another, its time has to pass."""
    text = request_text(REQUEST, CONDITION, URL)
    ended = subprocess.Popen(["true"])
    ended.wait()
    with ResponseStore(tmp_path / "s") as one, ResponseStore(tmp_path / "s") as two:
        one._holder = f"{socket.gethostname()}/{ended.pid}/x"
        assert one.claim(text, 60) and two.claim(text, 60)
        two.release()
        one._holder = f"elsewhere/{ended.pid}/x"
        assert one.claim(text, 60) and not two.claim(text, 60)


def test_the_first_answer_stays(tmp_path):
    """Two processes that paid for the same question agree on one answer."""
    text = request_text(REQUEST, CONDITION, URL)
    with ResponseStore(tmp_path / "s") as one, ResponseStore(tmp_path / "s") as two:
        one.put(text, ANSWER)
        two.put(text, replace(ANSWER, reply=replace(REPLY, output="another")))
        assert two.get(request_key(text), "email-1") == ANSWER and len(one) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"condition": replace(CONDITION, model="gpt-nano")},
        {"condition": replace(CONDITION, temperature=None)},
        {"condition": replace(CONDITION, reasoning_effort="none")},
        {"condition": replace(CONDITION, max_output_tokens=51)},
        {"condition": replace(CONDITION, endpoint="chat")},
        {"condition": replace(CONDITION, schema={"type": "object"})},
        {"request": replace(REQUEST, messages=[{"role": "user", "content": "mail 2"}])},
        {"request": replace(REQUEST, messages=[{"role": "system", "content": "mail"}])},
        {"base_url": "https://api.example.com/v1"},
        {"base_url": "https://api.example.org:8443/v1"},
        {"request": replace(REQUEST, replicate=1)},
        {"mode": "batch"},
    ],
    ids=str,
)
def test_whatever_determines_an_answer_is_in_the_key(changed):
    """No answer is taken for one to another question."""
    arguments = {"request": REQUEST, "condition": CONDITION, "base_url": URL}
    assert request_text(**{**arguments, **changed}) != request_text(**arguments)


def test_names_and_passwords_are_not_in_the_key():
    """A condition's own name and an email's id change nothing, and no secret is kept."""
    text = request_text(REQUEST, CONDITION, URL)
    assert text == request_text(replace(REQUEST, id="x"), replace(CONDITION, name="y"), URL)
    assert text == request_text(REQUEST, CONDITION, "https://me:secret@api.example.org/v1?key=k")


SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
PROMPT = [
    {"role": "system", "content": "Extract."},
    {"role": "user", "content": "Größe 5 – „mail“"},
]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, "34e350abe21bb74807c51a164723f91677984c39fd993610bfb6d459cf9cf4c9"),
        (
            {"temperature": 0.0, "reasoning_effort": "low", "schema": SCHEMA},
            "d2ecc262bb6a3ac6dc06d86bc6cda1f7ca4da849fb45306a24e7fd41b3b22e1f",
        ),
        (
            {"endpoint": "chat"},
            "931055dd6e7db2be3207363112206c19295bc3977700286ad46c9957e87d763b",
        ),
        (
            {"endpoint": "chat", "temperature": 0.0, "reasoning_effort": "low", "schema": SCHEMA},
            "ade26c76ccc0e731004c6477578fb3c95921380764603f7f378eb96ee1cac50b",
        ),
    ],
)
def test_keys_stay_what_they_were(settings, key):
    """A key that changes with the code would have every stored answer paid for again."""
    condition = replace(ApiCondition("mini", "gpt-mini", None, None, 50), **settings)
    assert request_key(request_text(Request("email-1", PROMPT), condition, URL)) == key


def test_the_key_of_a_batch_and_of_a_replicate_stay_what_they_were():
    """As above, for what else a key is made of."""
    condition = ApiCondition("mini", "gpt-mini", None, None, 50)
    request = Request("email-1", PROMPT, replicate=2)
    text = request_text(request, condition, "http://u:p@127.0.0.1:8000/v1", "batch")
    assert request_key(text) == "1b484792670e049590a4af94ab5100d3ac7b0cf32e4f9d9c8166248add469fea"


def test_a_store_of_the_first_version_is_read(tmp_path):
    """Made by hand as the first release made it: answers and open batches are found."""
    text = request_text(REQUEST, CONDITION, URL)
    with sqlite3.connect(tmp_path / "s") as db:
        db.executescript("""
            create table batches (token text primary key, host text not null, batch_id text,
              requests text not null, begun_at text not null) without rowid;
            create table answers (key text primary key, request text not null,
              output text not null, outcome text not null, input_tokens integer not null,
              output_tokens integer not null, cached_input_tokens integer not null,
              latency_seconds real, attempts integer not null, response_id text not null,
              served_model text not null, asked_at text not null) without rowid;
            pragma user_version = 1;
        """)
        db.execute(
            "insert into answers values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (request_key(text), text, '{"a": 1}', "answered", 20, 7, 3, 1.25, 2, "resp_1",
             "gpt-mini-0701", "2026-01-02T03:04:05+00:00"),
        )  # fmt: skip
        db.execute(
            "insert into batches values ('t', 'api.example.org', 'batch_9', '[\"x\"]', '2026')"
        )
    with ResponseStore(tmp_path / "s") as store:
        assert store.get(request_key(text), "email-1") == ANSWER
        assert store.open_batches("api.example.org") == [
            OpenBatch("t", "batch_9", frozenset({"x"}))
        ]
        # what it did not count is unknown, not none
        assert (ANSWER.concurrency, ANSWER.losses, ANSWER.reply.reasoning_tokens) == (None,) * 3
        [row] = store.rows()
        assert row["asked_at"] == "2026-01-02T03:04:05+00:00"
        assert [row[name] for name in LOST] == [None] * 3
        # and it holds what is known of new answers
        other = request_text(replace(REQUEST, replicate=1), CONDITION, URL)
        store.put(other, COUNTED)
    with ResponseStore(tmp_path / "s") as store:
        assert store.get(request_key(other), "email-1") == COUNTED and len(store) == 2


@pytest.mark.parametrize("content", [b"not a database, but long enough for sqlite to look at" * 9])
def test_a_file_that_is_no_store(tmp_path, content):
    """One line instead of a traceback, and the file is left as it was."""
    path = tmp_path / "s"
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"^api\.limits\.store: .* cannot be opened: file is not a database"
    ):
        ResponseStore(path)
    assert path.read_bytes() == content


def test_a_database_of_something_else(tmp_path):
    """Another program's tables are not written into."""
    with sqlite3.connect(tmp_path / "s") as db:
        db.execute("create table theirs (x)")
    with pytest.raises(UserError, match="is a database of something else"):
        ResponseStore(tmp_path / "s")


def test_a_folder_that_cannot_be(tmp_path):
    """A path through a file is said to be wrong before anything is paid."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^api\.limits\.store: .*file/store cannot be opened"):
        ResponseStore(tmp_path / "file/store")


def cli(*arguments, check=True):
    done = subprocess.run(
        [python(), "-m", "lora_vs_api", "store", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode == 0) == check, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_export_and_import_share_the_answers(tmp_path):
    """A colleague who imports the export pays for nothing; importing twice changes nothing."""
    text = request_text(REQUEST, CONDITION, URL)
    with ResponseStore(tmp_path / "mine") as store:
        store.put(text, ANSWER)
    cli("export", tmp_path / "answers.jsonl", "--store", tmp_path / "mine")
    said = cli("import", tmp_path / "answers.jsonl", "--store", tmp_path / "theirs")
    assert "1 new answers taken over, 0 were here" in said
    said = cli("import", tmp_path / "answers.jsonl", "--store", tmp_path / "theirs")
    assert "0 new answers taken over, 1 were here" in said
    with ResponseStore(tmp_path / "theirs") as store:
        assert store.get(request_key(text), "email-1") == ANSWER
    assert "1 answers" in cli("stats", "--store", tmp_path / "theirs")


@pytest.mark.parametrize(
    "file, told",
    [("mine", "is what is read"), ("mine-wal", "is what is read"), (".", "is a folder")],
)
def test_an_export_replaces_no_store(tmp_path, file, told):
    """The answers were paid for, and the store is the only place that holds them."""
    text = request_text(REQUEST, CONDITION, URL)
    with ResponseStore(tmp_path / "mine") as store:
        store.put(text, ANSWER)
    with pytest.raises(UserError, match=told):
        export_answers(tmp_path / file, str(tmp_path / "mine"))
    with ResponseStore(tmp_path / "mine") as store:
        assert store.get(request_key(text), "email-1") == ANSWER


def test_an_export_edited_by_hand_is_refused_whole(tmp_path):
    """An answer cannot be slipped under another question's key; the good lines wait too."""
    with ResponseStore(tmp_path / "mine") as store:
        for i in range(2):
            asked = replace(REQUEST, messages=[{"role": "user", "content": f"mail {i}"}])
            store.put(request_text(asked, CONDITION, URL), ANSWER)
    cli("export", tmp_path / "answers.jsonl", "--store", tmp_path / "mine")
    rows = read_jsonl(tmp_path / "answers.jsonl")
    rows[1]["request"]["body"]["model"] = "gpt-other"
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = cli("import", tmp_path / "answers.jsonl", "--store", tmp_path / "new", check=False)
    assert "answers.jsonl:2: key is not the SHA-256 of its request" in said
    with ResponseStore(tmp_path / "new") as store:
        assert len(store) == 0


def test_the_command_says_what_is_missing(tmp_path):
    """No store yet, and no store at all, are told apart; a file of something else is named."""
    (tmp_path / "photo.jsonl").write_bytes(b"\xff\xd8\xff")
    said = cli("import", tmp_path / "photo.jsonl", "--store", tmp_path / "new", check=False)
    assert "photo.jsonl: not valid UTF-8" in said
    assert "no such store yet" in cli("stats", "--store", tmp_path / "none", check=False)
    said = cli("import", tmp_path / "lost.jsonl", "--store", tmp_path / "new", check=False)
    assert "lost.jsonl: no such file" in said
    assert not (tmp_path / "new").exists()
    assert "there is no store" in cli("stats", check=False)


@pytest.mark.slow
def test_dvc_push_shares_the_answers(tmp_path):
    """What the README says: export, dvc add, dvc push here; dvc pull, import there."""
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"

    def run(*command, cwd=mine):
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    dvc = (python(), "-m", "dvc")
    mine.mkdir()
    with ResponseStore(mine / "responses/store.sqlite") as store:
        store.put(request_text(REQUEST, CONDITION, URL), ANSWER)
    run("git", "init", "-q")
    run(*dvc, "init", "-q")
    run(*dvc, "remote", "add", "-q", "-d", "shared", str(tmp_path / "remote"))
    cli("export", mine / "answers.jsonl", "--store", mine / "responses/store.sqlite")
    run(*dvc, "add", "-q", "answers.jsonl")
    run(*dvc, "push", "-q")
    run("git", "add", ".dvc", "answers.jsonl.dvc", ".gitignore")
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "share")
    run("git", "clone", "-q", str(mine), str(theirs), cwd=tmp_path)
    run(*dvc, "pull", "-q", cwd=theirs)
    cli("import", theirs / "answers.jsonl", "--store", theirs / "store.sqlite")
    with ResponseStore(theirs / "store.sqlite") as store:
        assert len(store) == 1
