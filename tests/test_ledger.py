"""The count of settings that a test slice has been scored under: nothing is forgotten or counted twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.analysis.ledger import (
    LEDGER,
    OtherSettings,
    other_settings,
    read_ledger,
    text_keys,
    with_setting,
    write_ledger,
)
from lora_vs_api.errors import UserError
from lora_vs_api.report.sections.data import data_section
from tests.imports import ROOT
from tests.report_fixture import analysis, inputs
from tests.warm import python

A, B, C = ("a" * 12, "b" * 12, "c" * 12)
TEXTS = text_keys(["Dear all", "Hello", "Hi"])


def test_a_text_is_known_by_the_beginning_of_its_digest():
    """Of `printf Hello | sha256sum`."""
    assert TEXTS[1] == "185f8db3"


def test_a_run_again_changes_nothing_and_another_setting_adds_one_digest(tmp_path):
    """Results are committed: a run under the same settings must not make a difference in git."""
    first = with_setting((), "mail", TEXTS, A)
    assert with_setting(first, "mail", TEXTS, A) is first
    both = with_setting(first, "mail", TEXTS, B)
    assert [entry.settings for entry in both] == [(A, B)]
    other = with_setting(both, "mail", TEXTS[:2], B)
    assert [len(entry.texts) for entry in other] == [3, 2] and other[0] == both[0]
    write_ledger(other, tmp_path / "ledger.json")
    assert read_ledger(tmp_path / "ledger.json") == other


def test_slices_that_overlap_count_by_text():
    """Settings are counted once, whatever number of slices they were scored on, and never one's own."""
    ledger = with_setting((), "mail", TEXTS[:2], A)
    ledger = with_setting(ledger, "mail", TEXTS[1:], B)
    ledger = with_setting(ledger, "mail", TEXTS[1:], A)
    ledger = with_setting(ledger, "mail", text_keys(["never again"]), C)
    assert other_settings(ledger, TEXTS, C) == OtherSettings(2, 3)
    assert other_settings(ledger, TEXTS, A) == OtherSettings(1, 2)
    assert other_settings(ledger, TEXTS[:1], A) == OtherSettings(0, 0)
    assert other_settings(ledger, text_keys(["new"]), A) == OtherSettings(0, 0)
    assert other_settings((), TEXTS, A) == OtherSettings(0, 0)


@given(
    st.lists(
        st.tuples(st.sets(st.integers(0, 5), min_size=1), st.sampled_from([A, B, C])), max_size=8
    )
)
def test_the_count_is_that_of_the_history_told_one_by_one(history):
    """Whatever was run in whatever order."""
    ledger = ()
    for texts, setting in history:
        ledger = with_setting(ledger, "mail", text_keys(map(str, sorted(texts))), setting)
    looked = [(texts, s) for texts, s in history if texts & {0, 1} and s != A]
    assert other_settings(ledger, text_keys("01"), A) == OtherSettings(
        len({s for _, s in looked}), len({0, 1} & {t for texts, _ in looked for t in texts})
    )


def test_no_file_is_an_empty_ledger(tmp_path):
    assert read_ledger(tmp_path / "none.json") == ()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"<<<<<<< HEAD\n[]", "Invalid JSON"),
        (b'{"task": "mail"}', "Input should be a valid array"),
        (b'[{"task": "mail", "texts": ["x"], "settings": []}]', "0.texts.0: "),
        (b'[{"task": "mail", "texts": [], "settings": [], "more": 1}]', "0.more: "),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_broken_ledger_is_one_line_and_is_not_overwritten(tmp_path, content, found):
    """Two branches merged by hand, say: a fresh start would forget what both had scored."""
    path = tmp_path / "ledger.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_ledger(path)
    said = str(caught.value)
    assert "\n" not in said and said.startswith(f"{path}: expected a list of entries with task, te")
    assert found in said and f"`git checkout HEAD {path}` brings back" in said
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("scored", "says"),
    [
        (OtherSettings(0, 0), "No other settings are known to have been scored on any of these"),
        (OtherSettings(1, 1), "**1 of these 64 test texts has also been scored under 1 other setting**"),
        (OtherSettings(9, 7), "**7 of these 64 test texts have also been scored under 9 other setting"),
        (OtherSettings(2, 64), "**These 64 test texts have also been scored under 2 other settings**"),
    ],
)  # fmt: skip
def test_the_report_says_how_often_its_texts_were_looked_at(scored, says):
    """A reader has to know that a setting may have been chosen by these very scores."""
    text = data_section(inputs(analysis(), scored=scored))
    assert says in text
    assert ("is not in the intervals" in text) == bool(scored.settings)


def test_the_report_says_what_was_set_aside():
    """Left out texts are in no count: 30 test texts and 64 set aside were once 94."""
    given_ = inputs(analysis())
    assert "set aside" not in data_section(given_)
    split = given_.split.model_copy(update={"set_aside": 64})
    text = data_section(replace(given_, split=split))
    assert "; 64 more test texts are set aside (`split.set_aside`). " in text


def test_the_committed_history_is_of_texts_that_are_set_aside():
    """The slice that ten settings were tried on, in docs/statistics.md, and its number there."""
    old = read_ledger(ROOT / LEDGER)[0]
    assert len(old.texts) == 64 == len(set(old.texts)) and len(old.settings) >= 10


NODE = """
import sys
from pathlib import Path
import yaml
from lora_vs_api.analysis.ledger import read_ledger, text_keys, with_setting, write_ledger

setting = f"{yaml.safe_load(Path('params.yaml').read_text())['x']:012x}"
write_ledger(with_setting(read_ledger(), "mail", text_keys(["a"]), setting))
"""


def output() -> dict:
    """The ledger as an output of the project's own `analyze`."""
    outs = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["analyze"]["outs"]
    return next(out for out in outs if LEDGER in out)


class Tiny:
    """A repository with one node that keeps a ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "node.py").write_text(NODE)
        (path / "params.yaml").write_text("x: 1\n")
        node = {"cmd": f"{sys.executable} node.py", "deps": ["node.py"], "params": ["x"]}
        stages = {"stages": {"analyze": {**node, "outs": [output()]}}}
        (path / "dvc.yaml").write_text(yaml.safe_dump(stages))
        for command in (["config", "user.email", "t@example.org"], ["config", "user.name", "T"]):
            subprocess.run(["git", *command], cwd=path, check=True)

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.path, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def dvc(self, *arguments: str) -> str:
        return self.run(python(), "-m", "dvc", *arguments)

    def settings(self, revision: str | None = None) -> list[int]:
        text = (
            (self.path / LEDGER).read_text()
            if revision is None
            else self.run("git", "show", f"{revision}:{LEDGER}")
        )
        return [int(setting, 16) for setting in json.loads(text)[0]["settings"]]

    def clean(self) -> bool:
        return json.loads(self.dvc("status", "--json")) == {}

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", "run")


@pytest.mark.slow
def test_dvc_keeps_the_ledger_through_reruns_and_experiments(repository):
    """The node reads its own former output: DVC must not take it away first, in the workspace, in a
    copy of an experiment and in a fresh clone, and must call it up to date afterwards."""
    tiny = Tiny(repository)
    tiny.dvc("repro")
    assert tiny.settings() == [1] and tiny.clean()
    tiny.commit()
    before = (tiny.path / LEDGER).read_bytes()
    tiny.dvc("repro", "--force")
    assert (tiny.path / LEDGER).read_bytes() == before and tiny.clean()

    (tiny.path / "params.yaml").write_text("x: 2\n")
    tiny.dvc("repro")
    assert tiny.settings() == [1, 2] and tiny.clean()
    tiny.commit()

    tiny.dvc("exp", "run", "-S", "x=3")
    assert tiny.settings() == [1, 2, 3] and tiny.clean()
    tiny.run("git", "checkout", "-q", ".")

    # in a copy that DVC makes of what is committed; applied, it is the workspace's
    tiny.dvc("exp", "run", "--temp", "--name", "aside", "-S", "x=4")
    assert tiny.settings() == [1, 2] and tiny.clean()
    assert tiny.settings(named(tiny, "aside")) == [1, 2, 4]
    tiny.dvc("exp", "apply", "aside")
    assert tiny.settings() == [1, 2, 4] and tiny.clean()
    tiny.commit()

    copy = repository.parent / "clone"
    subprocess.run(["git", "clone", "-q", repository, copy], check=True)
    fresh = Tiny(copy)
    fresh.run("git", "checkout", "-q", ".")
    assert fresh.clean()
    (copy / "params.yaml").write_text("x: 5\n")
    fresh.dvc("repro")
    assert fresh.settings() == [1, 2, 4, 5]


def named(tiny: Tiny, name: str) -> str:
    refs = tiny.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    return next(ref for ref in refs if ref.endswith(f"/{name}"))
