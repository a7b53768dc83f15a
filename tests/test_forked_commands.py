"""The tests' own shortcut: a fork stands for the program that was asked for, and ends as that would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.model_servers import wait_for
from tests.processes import is_running
from tests.warm import VARIABLE, in_front, python

pytestmark = pytest.mark.skipif(VARIABLE not in os.environ, reason="needs Linux")
NODE = """
import atexit, os, sys, tempfile, time
from pathlib import Path
from stages import told
atexit.register(Path("exited").touch)
print(os.getcwd(), told.WHAT, os.environ.get("GIVEN"), tempfile.gettempdir(), sys.argv[1:], input())
print("said", file=sys.stderr)
if sys.argv[1:] == ["waits"]:
    Path("pid").write_text(str(os.getpid()))
    time.sleep(60)
if sys.argv[1:] == ["raises"]:
    raise ValueError("wrong")
sys.exit({"fails": 7, "says": "in words"}.get(sys.argv[1]))
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").touch()
    (tmp_path / "stages/told.py").write_text("WHAT = 'this one'")
    (tmp_path / "stages/node.py").write_text(NODE)
    return tmp_path


def start(folder: Path, what: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "GIVEN": "a value", "TMPDIR": str(folder)}
    return subprocess.Popen(
        [python(), "-m", "stages.node", what], cwd=folder, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "code", "error"),
    [("ends", 0, "said\n"), ("fails", 7, "said\n"), ("says", 1, "said\nin words\n"), ("raises", 1, "ValueError: wrong\n")],
)  # fmt: skip
def test_a_node_is_its_own_folder_s_with_its_own_streams_and_code(folder, what, code, error):
    node = start(folder, what)
    said, errors = node.communicate("in\n", timeout=60)
    assert said == f"{folder} this one a value {folder} ['{what}'] in\n"
    assert errors.endswith(error) and node.returncode == code
    assert (folder / "exited").exists(), "what was to be done at the end was not"
    assert tempfile.gettempdir() != str(folder)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_ends_the_program_ends_the_fork(folder, how):
    node = start(folder, "waits")
    node.stdin.write("in\n")
    node.stdin.close()
    wait_for(lambda: (folder / "pid").exists() and (folder / "pid").read_text(), 60)
    fork = int((folder / "pid").read_text())
    assert is_running(fork)
    node.send_signal(how)
    # not handled, Ctrl-C is an exception like others
    assert node.wait(30) == (1 if how == signal.SIGINT else -how)
    wait_for(lambda: not is_running(fork), 10)


def test_all_else_is_this_python():
    """And `python` is found in front of all others."""
    environment = {**os.environ, "PATH": in_front(os.environ["PATH"])}
    code = "import sys; print(sys.executable, sys.argv)"
    done = subprocess.run(
        ["python", "-c", code, "x"], env=environment, capture_output=True, text=True
    )
    assert done.stdout == f"{sys.executable} ['-c', 'x']\n"
