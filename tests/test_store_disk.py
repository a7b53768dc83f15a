"""A disk that is full, locked or on another machine: said before money is spent, and nothing lost."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lora_vs_api.api import store as store_module
from lora_vs_api.api import store_disk
from lora_vs_api.api.provider import host_of
from lora_vs_api.api.store import ResponseStore, request_key, request_text
from lora_vs_api.api.store_disk import Reserve, free_bytes, journal_mode, one_writer
from lora_vs_api.entry import run_stage
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl, write_jsonl
from tests.batch_server import BatchServer
from tests.fault_server import FaultServer
from tests.test_batch import ask as ask_in_batch
from tests.test_store import ANSWER, CONDITION, REPLY, REQUEST, URL
from tests.test_stored_run import ask, requests


def test_too_little_room_is_said_before_the_first_request(tmp_path, monkeypatch):
    """With the folder; a rerun would pay again for what cannot be kept."""
    monkeypatch.setattr(store_disk, "free_bytes", lambda folder: 100_000)
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(UserError) as caught:
            ask(server.url, store, requests(3))
        assert f"s: disk full: too little room where {tmp_path} is" in str(caught.value)
        assert str(caught.value).startswith("api.limits.store: ") and server.seen == []


def test_a_quota_is_found_by_writing(tmp_path, monkeypatch):
    """The disk has room, and the user may not have it."""

    def denied(file, size):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(store_disk, "_fill", denied)
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        with pytest.raises(UserError, match="disk full"):
            ask(server.url, store, requests(3))
        assert server.seen == []


def test_a_store_that_may_not_be_written_is_said_before_the_first_request(tmp_path):
    """One that was made read-only, say."""
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        store._db.execute("pragma query_only = on")
        with pytest.raises(
            UserError, match=r"^api\.limits\.store: .* cannot be written: .*readonly"
        ):
            ask(server.url, store, requests(3))
        assert server.seen == []


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.slow
def test_what_is_in_flight_when_the_disk_is_full_is_kept(tmp_path, monkeypatch, concurrency):
    """Room was held for it. SQLite's own limit stands for the disk, and room for raising it."""
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        let_go, pages = store._reserve.let_go, store._db.execute("pragma page_count").fetchone()[0]

        def more_room() -> bool:
            held = let_go()
            if held:
                store._db.execute("pragma max_page_count = 1000")
            return held

        monkeypatch.setattr(store._reserve, "let_go", more_room)

        make_room = store.make_room

        def then_full(*sizes) -> None:
            make_room(*sizes)
            store._db.execute(f"pragma max_page_count = {pages + 2}")

        monkeypatch.setattr(store, "make_room", then_full)
        with pytest.raises(UserError, match="disk full") as caught:
            ask(server.url, store, requests(60), concurrency=concurrency)
        paid = len(server.seen)
        assert paid < 60 and len(store) == paid
        assert f"({paid} new answers are kept in" in str(caught.value)
        monkeypatch.undo()
        answers, stored = ask(server.url, store, requests(60), concurrency=concurrency)
        assert len(server.seen) == 60 and sum(stored) == paid and len(answers) == 60


@pytest.fixture()
def small_disk(tmp_path) -> Path:
    """A disk of 24 MB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except OSError:
        pytest.skip("no mount here")
    if done.returncode:
        pytest.skip("no right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_real_disk_that_becomes_full(small_disk):
    """Another program takes the last byte while answers are on their way: 'disk full', none is lost."""
    filler = small_disk / "filler"

    def fill(number: int) -> None:
        if number == 6:
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    pass

    with FaultServer(on_arrival=fill) as server:
        with ResponseStore(small_disk / "s") as store:
            with pytest.raises(UserError, match=rf"disk full: too little room where {small_disk}"):
                ask(server.url, store, requests(400), concurrency=4)
            paid, kept = len(server.seen), len(store)
            # whoever found the claim unwritable had not asked yet
            assert kept == paid < 400
            # and again: nothing is asked, so nothing is paid for twice
            with pytest.raises(UserError, match="disk full"):
                ask(server.url, store, requests(400), concurrency=4)
            assert len(server.seen) == paid
        filler.unlink()
        with ResponseStore(small_disk / "s") as store:
            ask(server.url, store, requests(400), concurrency=4)
            assert len(server.seen) == 400


def test_a_full_disk_ends_a_node_with_a_line(small_disk, capsys, monkeypatch):
    """What a node writes names the file, and the old one stays."""
    write_jsonl(small_disk / "out.jsonl", [{"a": 1}])

    def node(params: object) -> None:
        write_jsonl(small_disk / "out.jsonl", ({"a": "x" * 100_000} for _ in range(1000)))

    monkeypatch.setattr(
        "lora_vs_api.config.load.load_params", lambda: SimpleNamespace(serving=None)
    )
    with pytest.raises(SystemExit):
        run_stage(node)
    said = capsys.readouterr().err
    assert said == f"error: {small_disk}/out.jsonl: disk full (No space left on device)\n"
    assert [file.name for file in small_disk.iterdir()] == ["out.jsonl"]
    assert read_jsonl(small_disk / "out.jsonl") == [{"a": 1}]


def test_what_may_not_be_read_is_not_called_unwritable(tmp_path, capsys, monkeypatch):
    """Another user's weights, say; as root every file can be read, so it is pretended."""
    file = tmp_path / "model.safetensors"
    file.touch()

    def node(params: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(file))

    monkeypatch.setattr(
        "lora_vs_api.config.load.load_params", lambda: SimpleNamespace(serving=None)
    )
    for readable, what in ((False, "read"), (True, "written")):
        monkeypatch.setattr(os, "access", lambda *_, readable=readable: readable)
        with pytest.raises(SystemExit):
            run_stage(node)
        said = capsys.readouterr().err
        assert said == f"error: {file}: cannot be {what} (Permission denied)\n"


def test_a_damaged_store_is_one_line(tmp_path):
    """And says what can be saved, how."""
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        ask(server.url, store, requests(60))
    size = (tmp_path / "s").stat().st_size
    with (tmp_path / "s").open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    with (
        pytest.raises(UserError, match=r"is damaged .*: set it aside"),
        ResponseStore(tmp_path / "s") as store,
    ):
        list(store.rows())


def test_room_is_held_and_given_back(tmp_path):
    """The file has no name that could stay behind."""
    reserve = Reserve(tmp_path)
    reserve.hold(3_000_000, 1_000_000)
    assert os.fstat(reserve._file.fileno()).st_blocks * 512 >= 1_000_000
    assert list(tmp_path.iterdir()) == []
    assert reserve.let_go() and not reserve.let_go()
    with pytest.raises(OSError, match="No space left"):
        reserve.hold(free_bytes(tmp_path) + 2**40, 0)


def test_a_store_that_is_locked_for_ever_is_one_line(tmp_path, monkeypatch):
    """Another program's transaction, or a network disk whose locks hang."""
    ResponseStore(tmp_path / "s").__exit__()
    monkeypatch.setattr(store_module, "BUSY_SECONDS", 0.1)
    with ResponseStore(tmp_path / "s") as store:
        other = sqlite3.connect(tmp_path / "s", isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(UserError) as caught:
            store.put(request_text(REQUEST, CONDITION, URL), ANSWER)
        assert "is locked by another program, for longer than 0.1 s" in str(caught.value)
        assert "\n" not in str(caught.value)
        other.close()


MOUNTS = """\
22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:30 / /home rw - nfs4 server:/home rw,vers=4.2
31 30 0:31 / /home/me/local\\040disk rw shared:7 master:2 - xfs /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("folder", "mode"),
    [("/var", "wal"), ("/home/me/x", "delete"), ("/home/me/local disk/y", "wal"), ("/", "wal")],
)
def test_over_a_network_no_memory_is_shared(tmp_path, folder, mode):
    """Write-ahead logging is for the processes of one machine; a cluster's share files alone."""
    (tmp_path / "mountinfo").write_text(MOUNTS)
    assert journal_mode(Path(folder), tmp_path / "mountinfo") == mode
    assert journal_mode(Path(folder), tmp_path / "none") == "wal"


def test_the_older_journal_keeps_answers_too(tmp_path, monkeypatch):
    """As on a network disk; and a store moves from one to the other."""
    monkeypatch.setattr(store_module, "journal_mode", lambda folder: "delete")
    with FaultServer() as server, ResponseStore(tmp_path / "s") as store:
        assert store._db.execute("pragma journal_mode").fetchone()[0] == "delete"
        ask(server.url, store, requests(3))
    monkeypatch.undo()
    with ResponseStore(tmp_path / "s") as store:
        assert len(store) == 3
        assert store._db.execute("pragma journal_mode").fetchone()[0] in ("wal", "delete")


def test_over_a_network_one_process_writes(tmp_path, monkeypatch, capsys):
    """SQLite's locks may not hold there: the second waits, says for whom, and what to do where that one is dead."""
    path = tmp_path / "s"
    monkeypatch.setattr(store_module, "journal_mode", lambda folder: "delete")
    with ResponseStore(path):
        with pytest.raises(UserError, match=rf"PID {os.getpid()} on \S+ has.*remove .*s\.writer;"):
            one_writer(path, 0.1)
        assert "one process at a time" in capsys.readouterr().err
    with ResponseStore(path) as store:
        assert len(store) == 0
    # one that could not be opened holds nothing, nor does one on a disk of this machine
    path.write_text("no database" * 100)
    with pytest.raises(UserError):
        ResponseStore(path)
    one_writer(path, 0.1).release()
    monkeypatch.undo()
    with ResponseStore(tmp_path / "t"), ResponseStore(tmp_path / "t"):
        assert not list(tmp_path.glob("*.writer"))


def test_over_a_network_what_a_killed_process_left_is_removed(tmp_path, monkeypatch, capsys):
    """filelock swaps two names for it, which NFS refuses: the next run waited for an hour, and failed."""
    monkeypatch.setattr("filelock._soft.exchange_names", lambda source, target: False)
    path, file = tmp_path / "s", tmp_path / "s.writer"
    kill = f"import os, lora_vs_api.api.store_disk as d; lock = d.one_writer({str(path)!r}); os._exit(9)"
    subprocess.run([sys.executable, "-c", kill], check=False)
    dead = file.read_text()
    one_writer(path, 0.1).release()
    assert "is dead: removed" in capsys.readouterr().err and not list(tmp_path.glob("*.writer*"))
    # of another machine nothing is known
    pid, host, *_ = dead.split("\n")
    file.write_text(f"{pid}\nnot-{host}\n")
    with pytest.raises(UserError, match=f"PID {pid} on not-{host} has"):
        one_writer(path, 0.1)
    assert file.is_file()


def test_what_is_left_behind_no_more_when_it_is_taken_goes_back(tmp_path, monkeypatch):
    """Another was quicker between the look and the removal."""
    lock = one_writer(tmp_path / "s")
    looks = iter([True, False])
    monkeypatch.setattr(store_disk, "_was_here", lambda holder: next(looks))
    assert not store_disk._remove_left_behind(tmp_path / "s.writer")
    assert lock.is_lock_held_by_us
    lock.release()
    assert not list(tmp_path.glob("*.writer*"))


def test_over_a_network_a_batch_that_waits_lets_others_write(tmp_path, monkeypatch):
    """It may take a day, and others wait for an hour."""
    path, taken = tmp_path / "s", []
    monkeypatch.setattr(store_module, "journal_mode", lambda folder: "delete")

    def other_writes(seconds):
        with ResponseStore(path) as other:
            taken.append(len(other))

    monkeypatch.setattr("lora_vs_api.api.store.one_writer", lambda path: one_writer(path, 0.1))
    with BatchServer(polls=3) as server, ResponseStore(path) as store:
        monkeypatch.setattr("lora_vs_api.api.batch.time.sleep", other_writes)
        answers, _ = ask_in_batch(server.url, store, requests(2))
        monkeypatch.undo()
        assert len(answers) == len(store) == 2 and taken == [0, 0]


def test_a_batch_ends_in_words_where_another_keeps_the_store(tmp_path, monkeypatch):
    """And the batch stays noted for the next run."""
    path = tmp_path / "s"
    monkeypatch.setattr(store_module, "journal_mode", lambda folder: "delete")
    monkeypatch.setattr(store_module, "one_writer", lambda path: one_writer(path, 0.1))
    others = []
    with BatchServer(polls=3) as server, ResponseStore(path) as store:
        sleep = time.sleep

        def other_takes_it(seconds):
            if not others:
                others.append(one_writer(path, 0.1))
            sleep(0.01)

        monkeypatch.setattr("lora_vs_api.api.batch.time.sleep", other_takes_it)
        with pytest.raises(UserError, match="one process at a time"):
            ask_in_batch(server.url, store, requests(2))
        host = host_of(server.url)
    others[0].release()
    with ResponseStore(path) as store:
        assert len(store.open_batches(host)) == 1


def test_what_no_file_can_hold_is_no_reason_to_lose_an_answer(tmp_path):
    """Half a character and NUL in an answer, as a model may write them: kept, the half as U+FFFD."""
    text = request_text(REQUEST, CONDITION, URL)
    odd = replace(ANSWER, reply=replace(REPLY, output='{"a": "\0 \ud83d \U0001f600"}'))
    with ResponseStore(tmp_path / "s") as store:
        store.put(text, odd)
        found = store.get(request_key(text), "email-1")
        assert found.reply.output == '{"a": "\0 \ufffd \U0001f600"}'
        assert json.loads(json.dumps(next(store.rows())))["output"] == found.reply.output


def test_a_store_without_the_newer_tables_gets_them(tmp_path):
    """What an earlier version of the code left alone."""
    with ResponseStore(tmp_path / "s") as store:
        store._db.execute("drop table failures")
        store._db.execute("drop index answers_by_response")
    with ResponseStore(tmp_path / "s") as store:
        store.failed("text", "why \ud800")
        store.failed("text", "why")
        assert store.failure("text").attempts == 2 and store.failure("other") is None
