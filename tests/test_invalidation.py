"""What an edit reruns: docs/dag.md's tables are dvc.yaml's, and the real dvc agrees."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.clones import Clone
from tests.dependency_tables import (
    KINDS,
    PAGE,
    ROLES,
    STAGES,
    graph,
    nodes_of,
    nodes_of_role,
    written,
)
from tests.dependency_tables import packages as all_packages
from tests.imports import PLUMBING, ROOT

PACKAGES = [path for path in all_packages() if nodes_of(path)]
NOT_CODE_OF_NODES = [path for path in all_packages() if not nodes_of(path)]
TRAININGS = {"sanity", "rank_trial", "lr_trial", "train", "curve_trial", "tune"}
ANSWERS = {name for name in STAGES if name.startswith(("evaluate_", "perturbed_"))}


def test_the_page_says_what_dvc_yaml_says():
    """`python -m tests.dependency_tables` writes its graph and tables anew."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page)


def test_every_node_is_in_the_graph_and_the_graph_on_a_screen():
    listed = [name for names in KINDS.values() for name in names.split()]
    assert sorted(listed) == sorted(STAGES)
    lines = graph().splitlines()
    assert len(lines) <= 57 and max(map(len, lines)) <= 100


def test_every_node_depends_on_its_own_module():
    for name, stage in STAGES.items():
        own = [dep for dep in stage["deps"] if dep.startswith("stages/")]
        assert own == [f"stages/{name}.py"]


def test_plumbing_and_commands_are_no_deps():
    commands = {"cli", "orchestrate", "search", "monitoring", "__init__.py", "__main__.py"}
    assert set(NOT_CODE_OF_NODES) == PLUMBING | {f"lora_vs_api/{name}" for name in commands}


@pytest.mark.skipif(not (ROOT / "requirements").is_dir(), reason="no lists of versions yet")
def test_nodes_depend_on_the_versions_they_run_with():
    """An upgrade of torch or trl must not leave what an older one made; and reruns nothing else."""
    declared = {role: nodes_of(f"requirements/{role}.txt") for role in ROLES}
    assert declared == {role: nodes_of_role(role) for role in ROLES}


def test_no_training_or_answer_depends_on_what_only_words_or_scores():
    """But for the rivals without a model, which choose by the training texts' score, in seconds."""
    slow = (TRAININGS | ANSWERS) - {"evaluate_model_free"}
    for path in (
        "validation", "scoring", "selection", "prices", "stats", "analysis", "report", "data",
    ):  # fmt: skip
        assert not nodes_of(f"lora_vs_api/{path}") & slow


class Edited:
    """A clone with everything up to date, in which files are changed and put back."""

    def __init__(self, clone: Clone) -> None:
        self.clone = clone
        locked = yaml.safe_load((clone.path / "dvc.lock").read_text())["stages"]
        self.instances = {name: name.split("@")[0] for name in locked}

    def of(self, nodes: Iterable[str]) -> set[str]:
        """The instances of these nodes; a node whose foreach is empty has none."""
        return {instance for instance, name in self.instances.items() if name in nodes}

    def status(self) -> dict[str, list]:
        """`dvc status`: by instance, what is not up to date."""
        return json.loads(self.clone.run("dvc", "status", "--json"))

    @contextmanager
    def with_comment(self, *files: str) -> Iterator[None]:
        before = {file: (self.clone.path / file).read_bytes() for file in files}
        try:
            for file, content in before.items():
                (self.clone.path / file).write_bytes(content + b"\n# an edit\n")
            yield
        finally:
            for file, content in before.items():
                (self.clone.path / file).write_bytes(content)


TAUGHT = {"teacher", "teacher_labels", "distil", "evaluate_distil", "distillation"}


@pytest.fixture(scope="module")
def edited(reproduced, tmp_path_factory) -> Edited:
    found = Edited(reproduced.copy(tmp_path_factory.mktemp("edited") / "project"))
    # the TINY settings have no tunings, convert nothing, draw no curve and ask no teacher; every other node ran
    no_instance = {"tune", "evaluate_tune", "served", "curve_trial"} | TAUGHT

    assert set(found.instances.values()) == set(STAGES) - no_instance
    assert found.status() == {}
    return found


def modules(path: str) -> list[str]:
    """Python files of a package, or the one module."""
    found = [ROOT / path] if path.endswith(".py") else sorted((ROOT / path).rglob("*.py"))
    return [str(file.relative_to(ROOT)) for file in found]


@pytest.mark.slow
@pytest.mark.parametrize("path", PACKAGES)
def test_an_edit_in_a_package_makes_stale_what_the_table_says(edited, path):
    """One comment in one module; exactly these nodes, and for no other reason."""
    with edited.with_comment(next(file for file in modules(path) if "__init__" not in file)):
        found = edited.status()
    assert set(found) == edited.of(nodes_of(path))
    assert all(why == [{"changed deps": {path: "modified"}}] for why in found.values())


@pytest.mark.slow
def test_an_edit_of_a_nodes_module_makes_that_node_stale(edited):
    """All modules of stages/ at once: each node for its own, and none for another's."""
    with edited.with_comment(*modules("stages")):
        found = edited.status()
    assert found == {
        instance: [{"changed deps": {f"stages/{name}.py": "modified"}}]
        for instance, name in edited.instances.items()
    }


@pytest.mark.slow
def test_an_edit_of_plumbing_or_commands_makes_nothing_stale(edited):
    """Reading the config, writing files, naming errors, commands: every module of them at once."""
    files = [file for path in NOT_CODE_OF_NODES for file in modules(path)]
    assert "lora_vs_api/files.py" in files and "lora_vs_api/config/load.py" in files
    with edited.with_comment(*files):
        assert edited.status() == {}


@pytest.mark.slow
def test_the_length_of_the_final_trainings_is_none_of_a_trials_settings(edited):
    """Trials have steps of their own; a longer final training must not repeat the sweep."""
    file = edited.clone.path / "params.yaml"
    text = file.read_text()
    final, trials = text.split("\nsweep:")
    assert "max_steps: 2" in final and "max_steps: 2" in trials
    try:
        file.write_text("\nsweep:".join([final.replace("max_steps: 2", "max_steps: 3"), trials]))
        found = set(edited.status())
    finally:
        file.write_text(text)
    assert not found & edited.of({"rank_trial", "lr_trial"}) and edited.of({"train"}) <= found


@pytest.mark.slow
@pytest.mark.parametrize("path", ["lora_vs_api/config", "lora_vs_api/validation"])
def test_a_reworded_error_trains_and_asks_nothing_again(edited, path):
    """The sentence that a user reads when a setting or a record is wrong."""
    changed: list[tuple[Path, str]] = []
    for name in modules(path):
        file = edited.clone.path / name
        text = file.read_text()
        reworded = re.sub(r"\bexpected\b(?=[^\n]*\{)", "wanted", text)
        if reworded != text:
            changed.append((file, text))
            file.write_text(reworded)
    try:
        assert changed
        # a rival without a model chooses by what counts as a value, in seconds
        slow = (TRAININGS | ANSWERS) - {"evaluate_model_free"}
        assert not set(edited.status()) & edited.of(slow)
    finally:
        for file, text in changed:
            file.write_text(text)


@pytest.mark.slow
def test_what_python_leaves_in_a_package_makes_nothing_stale(edited):
    """The first run of a new Python writes __pycache__ into every package."""
    written_there = []
    for path in [*PACKAGES, "stages"]:
        file = edited.clone.path / path / "__pycache__" / "left.cpython-399.pyc"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(path.encode())
        written_there.append(file)
    try:
        assert edited.status() == {}
    finally:
        for file in written_there:
            file.unlink()
