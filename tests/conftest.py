"""How the tests run side by side: long files first, the pipeline's first run shared, nobody spins.

Of the Makefile's workers one begins with the slow tests and the others with the quick ones; who is
done takes over what others have left. So dots come from the start, and a slow test that ends is named.
"""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

from tests.clones import Clone, baseline
from tests.warm import Warm, python

# two test processes, each with as many threads as there are cores: those that wait must not spin on
# the cores that the others compute on. Read when torch is imported, and by what the tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# every dvc command would start two more processes, which report its use and look for a new version
os.environ.setdefault("DVC_NO_ANALYTICS", "1")
os.environ.setdefault("DVC_TEST", "1")

# importing torch and the rest makes no garbage; see pytest_collection_finish
gc.disable()

# started in the background of a script, or by nohup, this process ignores them, and so would every
# program that a test ends with one of them
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

# the longest single tests come first: who begins one last works on alone while the others are done
FIRST = (
    "test_own_task.py",
    "test_pipeline_faults.py",
    "test_pipeline.py",
    "test_plan.py",
    "test_search.py",
)


# `make fuzz`: a night's worth of examples for every property, and no two nights the same
settings.register_profile("nightly", max_examples=20_000, deadline=None, print_blob=True)
# the quick run beside others on two cores: no example fails for having taken long
settings.register_profile("quick", deadline=None)
settings.register_profile("fewer", deadline=None, max_examples=40)
settings.load_profile("quick")


def pytest_configure(config: pytest.Config) -> None:
    # the quick run computes with tiny models alone: a second thread has nothing to do but to wait
    if config.option.markexpr == "not slow":
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        # `make test` draws all of them; before the tests are imported, some of which take a share
        if settings.get_current_profile_name() == "quick":
            settings.load_profile("fewer")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SlowTests(config))
        # who hands out tests to workers collects none
        if config.getoption("numprocesses", None):
            gc.enable()
        # one for all workers, which end before this process does
        if sys.platform == "linux" and not config.option.collectonly:
            config.add_cleanup(Warm().close)


class SlowTests:
    """Names each slow test when it ends: minutes can lie between two of them."""

    def __init__(self, config: pytest.Config) -> None:
        self.plugins = config.pluginmanager

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self.plugins.get_plugin("terminalreporter")
        if terminal and report.when == "call" and "slow" in report.keywords and report.duration > 1:
            terminal.write_line("")  # ends the line of dots
            terminal.write_line(f"{report.outcome} in {report.duration:.0f} s: {report.nodeid}")


def pytest_collection_modifyitems(items):
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> tuple[int, bool]:
        name = item.path.name
        return FIRST.index(name) if name in FIRST else len(FIRST), item.path not in slow

    items.sort(key=place)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is imported and collected lives to the end: no search for garbage has to go through it."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory) -> Path:
    """A folder after `git init` and `dvc init`, to be copied."""
    folder = tmp_path_factory.mktemp("empty") / "repository"
    folder.mkdir()
    for command in (["git", "init", "-q"], [python(), "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture
def repository(empty_repository, tmp_path) -> Path:
    """A git and DVC repository of the test's own, with nothing in it."""
    return Path(shutil.copytree(empty_repository, tmp_path / "repository"))


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory) -> Clone:
    """The baseline, to be copied."""
    folder: Path = tmp_path_factory.getbasetemp()
    # each worker has a folder of its own in a common one
    return baseline(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)


@pytest.fixture
def clone(reproduced, tmp_path) -> Clone:
    """The baseline in a copy of the test's own."""
    return reproduced.copy(tmp_path / "project")


@pytest.fixture(scope="session", autouse=True)
def yaml_is_parsed_once() -> Iterator[None]:
    """Equal text is parsed once in a test process; Hydra parses the same 13 files for each composition.

    A file that cannot be parsed is parsed anew, for the complaint names it.
    """
    real = yaml.load
    parsed: dict[tuple[type | str, str], bytes] = {}

    def load(stream: Any, Loader: Any) -> Any:
        text = stream.read() if hasattr(stream, "read") else stream
        # OmegaConf makes a class anew for each file
        made_anew = Loader.__module__.startswith("omegaconf.")
        key = Loader.__qualname__ if made_anew else Loader, text
        if key not in parsed:
            try:
                value = real(text, Loader)
            except Exception:
                if text is not stream:
                    stream.seek(0)
                return real(stream, Loader)
            parsed[key] = pickle.dumps(value)
        return pickle.loads(parsed[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "load", load)
        yield


@pytest.fixture(scope="session", autouse=True)
def hydra_composes_once() -> Iterator[None]:
    """Equal files and overrides are composed once in a test process: a fifth of a second each time.

    What is made of the text, its checks above all, is done every time.
    """
    from dvc.utils import hydra

    real = hydra.compose_and_dump
    texts: dict[Any, bytes] = {}

    def compose_and_dump(
        output: str, folder: str, module: None, name: str, plugins: str, overrides: list[str]
    ) -> None:
        conf = Path(folder)
        files = [path for path in sorted(conf.rglob("*")) if path.is_file()]
        # read by what asks for a search, and no part of params.yaml
        if not any("search" in override for override in overrides):
            files = [path for path in files if path.parent != conf / "search"]
        content = tuple((str(path.relative_to(conf)), path.read_bytes()) for path in files)
        key = hash(content), name, tuple(overrides)
        if key not in texts:
            real(output, folder, module, name, plugins, overrides)
            texts[key] = Path(output).read_bytes()
        Path(output).write_bytes(texts[key])

    hydra.compose_and_dump = compose_and_dump
    yield
    hydra.compose_and_dump = real


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's conf/, in which commands raise their errors."""
    from lora_vs_api.cli import app
    from tests.imports import ROOT

    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    # errors as they are raised, and not as the line and the exit code they end in
    monkeypatch.setattr(app, "run_command", lambda command: command())
    return tmp_path
