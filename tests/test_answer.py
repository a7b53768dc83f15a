"""How a run ends: with the report's own decision where it went well, and with none where it did not."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.analysis.configuration import config_sha256
from lora_vs_api.analysis.results import write_result
from lora_vs_api.cli import app as command_line
from lora_vs_api.cli import browser
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import load_params
from lora_vs_api.report.markdown import report_markdown
from lora_vs_api.report.rendering import escape, plain
from lora_vs_api.report.sections.next_steps import next_commands
from lora_vs_api.shown import visible
from tests.commands import exit_code, lora_vs_api
from tests.imports import ROOT
from tests.report_fixture import analysis, changed, inputs
from tests.warm import python

KINDS = ("embedded", "llama_cpp", "openai")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """Settings, and results of these settings."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    write_result("metrics/analysis.json", of_these_settings(analysis()))
    return tmp_path


def of_these_settings(result):
    return changed(result, config_sha256=config_sha256(load_params()))


def headline(result) -> str:
    """The report's bold sentence."""
    found = re.search(r"^\*\*(.*)\*\*$", report_markdown(inputs(result)), flags=re.MULTILINE)
    return found[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_decision_is_the_reports_own(project, capsys, kind):
    """Word for word: a second wording could say something else. Then the report, and what to do next."""
    # two models, the better one second: the report has an order of its own
    models = {
        "conditions__2__model": "First", "conditions__2__cost_per_1k__priced_as": "gpt-b",
        "conditions__3__model": "Second", "conditions__3__cost_per_1k__priced_as": "gpt-a",
    }  # fmt: skip
    result = of_these_settings(changed(analysis(api_kind=kind), **models))
    write_result("metrics/analysis.json", result)
    assert ("Second and First" in headline(result) or "Second, First and " in headline(result)) == (
        kind != "openai"
    )
    lora_vs_api("answer")
    said = capsys.readouterr()
    lines = said.out.strip().splitlines()
    assert lines[0] == headline(result)
    assert "report/report.md" in lines[2] and "report/report.html" in lines[2]
    assert [line.split("  # ")[0].strip() for line in lines[4:]] == list(
        next_commands(result, load_params().task_name)
    )
    assert said.err == ""


def test_results_of_other_settings_are_called_that(project, capsys):
    """`answer` tells what was decided, which need not be what the settings now ask."""
    write_result("metrics/analysis.json", analysis())
    lora_vs_api("answer")
    said = capsys.readouterr()
    assert said.out.strip().startswith(headline(analysis()))
    assert re.search(r"^config \w+: no results yet$", said.err, flags=re.MULTILINE)


def test_before_any_run_there_is_nothing_to_say(project, capsys):
    Path("metrics/analysis.json").unlink()
    assert exit_code("answer") == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: metrics/analysis.json: no such file; run")


class Browsers:
    """A machine's browsers: what they were told to open."""

    def __init__(self, monkeypatch, works: bool, display: str | None) -> None:
        self.opened: list[str] = []
        monkeypatch.setattr(browser.sys, "platform", "linux")
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
            monkeypatch.delenv(name, raising=False)
        if display is not None:
            monkeypatch.setenv("DISPLAY", display)

        def opens(address: str) -> bool:
            self.opened.append(address)
            return works

        monkeypatch.setattr(browser.webbrowser, "open", opens)


@pytest.mark.parametrize(
    ("works", "display", "opened"), [(True, ":0", 1), (False, ":0", 1), (True, None, 0)]
)
def test_the_report_opens_in_the_browser_where_there_is_one(
    project, monkeypatch, capsys, works, display, opened
):
    """Where there is none it is said, and is no error: the decision has been told."""
    browsers = Browsers(monkeypatch, works, display)
    Path("report").mkdir()
    Path("report/report.html").write_text("<p>")
    lora_vs_api("answer", "--open")
    said = capsys.readouterr()
    assert browsers.opened == [Path("report/report.html").resolve().as_uri()] * opened
    assert ("no browser here to open report/report.html" in said.err) == (not works or not opened)
    assert headline(of_these_settings(analysis())) in said.out
    lora_vs_api("answer")
    assert len(browsers.opened) == opened


def test_without_a_report_there_is_nothing_to_open(project, monkeypatch, capsys):
    browsers = Browsers(monkeypatch, True, ":0")
    assert exit_code("answer", "--open") == 1
    assert "report/report.html: no such file; run" in capsys.readouterr().err
    assert browsers.opened == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_to_try_next_are_commands(kind, monkeypatch):
    """Two or three, each as it can be typed."""
    parsed = []
    monkeypatch.setattr(command_line, "run_command", lambda command: command())
    monkeypatch.setattr(command_line, "_with_user_errors", lambda *given: parsed.append(given))
    commands = next_commands(analysis(api_kind=kind), "us_addresses")
    assert 2 <= len(commands) <= 3
    # pasted, it is about the same task, whichever conf/local.yaml sets
    assert all("-S task=us_addresses" in command for command in commands if " -S " in command)
    for command in commands:
        program, *arguments = shlex.split(command)
        if program == "lora-vs-api":
            lora_vs_api(*arguments)
        else:
            assert (program, arguments[:2]) == ("dvc", ["exp", "run"])
            compose([word for word in arguments[2:] if word != "-S"], conf=ROOT / "conf")
    assert len(parsed) == 2
    # whoever has asked hosted models is not told to
    assert ("api=openai" in " ".join(commands)) == (kind != "openai")


@given(st.text())
def test_plain_text_is_what_was_escaped(text):
    """A label with stars or underscores reads on a terminal as it is called."""
    assert plain(escape(text)) == visible(re.sub(r"\s+", " ", text).strip())


NODES = """
stages:
  other:
    cmd: {other}
    outs: [other.txt]
  report:
    cmd: echo written > written.txt
    outs: [written.txt]
"""


@pytest.mark.slow
def test_a_run_that_failed_decides_nothing(repository):
    """Also where the report itself was written: what failed may have been part of the answer."""
    shutil.copy(ROOT / "params.yaml", repository)
    write_result(repository / "metrics/analysis.json", analysis())
    environment = dict(os.environ, PYTHONPATH=str(ROOT), DVC_NO_ANALYTICS="1")
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"

    def run(*targets: str) -> subprocess.CompletedProcess[str]:
        command = [python(), "-m", "lora_vs_api", "run", *targets]
        return subprocess.run(
            command, cwd=repository, env=environment, capture_output=True, text=True
        )

    decision = headline(analysis())
    (repository / "dvc.yaml").write_text(NODES.format(other="'false'"))
    failed = run()
    assert failed.returncode == 1 and (repository / "written.txt").exists()
    assert failed.stdout == "" and decision not in failed.stderr
    (repository / "dvc.yaml").write_text(NODES.format(other="echo other > other.txt"))
    # a part of the run is no answer
    assert run("other").stdout == ""
    # nothing is left to do: said all the same
    assert run().stdout.strip().startswith(decision)
