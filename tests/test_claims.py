"""A node runs in one place at a time: claims of this machine, of others, and of dead ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lora_vs_api.orchestrate import claims as module
from lora_vs_api.orchestrate.claims import Claim, claims, holder_here
from tests.imports import ROOT


def test_one_of_many_gets_it(tmp_path):
    """Whoever asks while another holds it is told who that is; then the next one gets it."""
    taken = [Claim(tmp_path, "train@0") for _ in range(8)]
    answers: dict[int, object] = {}
    threads = [
        threading.Thread(target=lambda n=n: answers.update({n: taken[n].take()})) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [n for n, answer in answers.items() if answer is None]
    assert {answer for n, answer in answers.items() if n != winner} == {taken[winner].mine}
    assert [(address, holder.pid) for address, holder in claims(tmp_path)] == [
        ("train@0", os.getpid())
    ]
    taken[winner].release()
    assert taken[winner - 1].take() is None
    # nothing but the claim is left in its folder
    assert os.listdir(tmp_path / module.FOLDER) == ["train@0"]


def test_a_disk_without_hard_links_will_do(tmp_path, monkeypatch):
    monkeypatch.setattr(
        os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "no links"))
    )
    first, second = Claim(tmp_path, "train@0"), Claim(tmp_path, "train@0")
    assert first.take() is None and second.take() == first.mine


def written(root: Path, **changes: object) -> Path:
    path = root / module.FOLDER / "train@0"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(replace(holder_here(), **changes))))
    return path


def test_a_dead_process_of_this_machine_holds_nothing(tmp_path):
    done = subprocess.Popen(["true"])
    done.wait()
    written(tmp_path, pid=done.pid)
    assert Claim(tmp_path, "train@0").take() is None


@pytest.mark.parametrize("where", [{"host": "n7"}, {"pids": "pid:[1]"}, {}])
def test_one_that_is_not_renewed_is_taken_over(tmp_path, where):
    """Of another host, of another container, and of a pid that another process has got since."""
    path = written(tmp_path, **where)
    claim = Claim(tmp_path, "train@0")
    assert claim.take() is not None
    old = time.time() - module.STALE_SECONDS - 1
    os.utime(path, (old, old))
    assert claim.take() is None


def test_who_was_taken_over_is_told(tmp_path):
    """A machine that stood still for a minute ends its node; one whose file was deleted does not."""
    claim = Claim(tmp_path, "train@0")
    assert claim.take() is None and claim.renew()
    claim.path.unlink()
    assert claim.renew() and claim.path.exists()
    written(tmp_path, host="n7")
    assert not claim.renew()
    claim.release()
    assert claim.path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="starts two sessions")
def test_the_guard_waits_for_who_runs_the_node(tmp_path):
    """And says whom it waits for; when the claim is free, its command runs."""
    other = Claim(tmp_path, "train@0")
    assert other.take() is None
    guard = subprocess.Popen(
        [sys.executable, "-m", "lora_vs_api.orchestrate.guard", "train@0", "touch", "ran"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert guard.stdout is not None
    assert guard.stdout.readline().startswith("train@0 runs on ")
    assert not (tmp_path / "ran").exists()
    other.release()
    assert guard.wait(30) == 0
    assert (tmp_path / "ran").exists() and not other.path.exists()
    guard.communicate()
