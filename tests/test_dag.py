"""dvc.yaml held against the code: a node depends on what it reads, and on nothing else."""

from __future__ import annotations

import ast
import re

import pytest
import yaml

from tests.imports import ROOT, code_deps, imported

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# pydantic's own methods at the end of a chain of params, and what a property reads
ALIASES = {"task.field_specs": "task.fields"}
# They decide whether and how patiently an API is asked, never what it answers: a new price,
# budget or time limit must not ask again. api.weights names a dep, so its content counts.
HOW_TO_ASK = {
    "api.port", "api.key_env", "api.timeout_seconds", "api.max_attempts", "api.max_minutes",
    "api.budget_usd", "api.store", "api.weights", "prices.models",
    "prices.batch_discount", "priced_as",
}  # fmt: skip
# How often a training writes a checkpoint: resumed or not, it ends in the same bytes.
HOW_TO_TRAIN = {"checkpoints.folder", "checkpoints.minutes"}
# by node: what it reads and must not depend on
NO_DEPS = {
    **dict.fromkeys(("evaluate_api", "perturbed_api"), HOW_TO_ASK),
    **dict.fromkeys(("sanity", "rank_trial", "lr_trial", "train", "tune"), HOW_TO_TRAIN),
}


def body(name: str) -> dict:
    return STAGES[name].get("do", STAGES[name])


def stage_sources(name: str) -> list[ast.AST]:
    """The stage's module and the functions it uses from other modules of stages/."""
    trees: list[ast.AST] = [ast.parse((ROOT / f"stages/{name}.py").read_text())]
    todo = [f"stages/{name}.py"]
    seen: set[tuple[str, str]] = set()
    while todo:
        path = todo.pop()
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            shared = ("stages.", "lora_vs_api.api.asking")
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(shared):
                file = node.module.replace(".", "/") + ".py"
                todo.append(file) if (file, "") not in seen else None
                seen.add((file, ""))
                defined = {
                    definition.name: definition
                    for definition in ast.parse((ROOT / file).read_text()).body
                    if isinstance(definition, ast.FunctionDef)
                }
                # and what those call in turn
                wanted = [alias.name for alias in node.names if alias.name in defined]
                for function in wanted:
                    trees.append(defined[function])
                    called = {n.id for n in ast.walk(defined[function]) if isinstance(n, ast.Name)}
                    wanted += sorted((called & set(defined)) - set(wanted))
    return trees


def params_read(name: str) -> set[str]:
    """Dotted keys that a stage reads off ``params``, each as deep as the code spells it."""
    keys = set()
    for tree in stage_sources(name):
        inner = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or id(node) in inner:
                continue
            match = re.match(r"params\.([\w.]+)", ast.unparse(node))
            if match:
                key = re.sub(r"\.(model_dump|items|values|keys)$", "", match.group(1))
                keys.add(ALIASES.get(key, key))
    # an alias such as `settings = params.sanity` reads the section, and its keys one by one
    return keys


def related(read: str, declared: str) -> bool:
    declared = re.sub(r"\.\$\{(key|item\.name)\}", "", declared)
    return (read + ".").startswith(declared + ".") or (declared + ".").startswith(read + ".")


@pytest.mark.parametrize("name", STAGES)
def test_code_deps_are_the_modules_the_stage_imports(name):
    """Editing a module reruns exactly the nodes that run it."""
    declared = {dep for dep in body(name)["deps"] if dep.endswith(".py")}
    assert declared == code_deps(f"stages/{name}.py")


@pytest.mark.parametrize("name", STAGES)
def test_params_deps_are_the_keys_the_stage_reads(name):
    """A key that is read but not declared would leave a stale result; the reverse reruns for nothing."""
    declared, read = set(body(name).get("params", [])), params_read(name)
    read -= NO_DEPS.get(name, set())
    undeclared = {key for key in read if not any(related(key, d) for d in declared)}
    unread = {d for d in declared if not any(related(key, d) for key in read)}
    assert not undeclared and not unread


@pytest.mark.parametrize("name", STAGES)
def test_templates_and_word_lists_are_deps_too(name):
    """A module that reads a data file of its own makes that file part of the node."""
    expected = {
        f"{path.rsplit('/', 1)[0]}/{found}"
        for path in code_deps(f"stages/{name}.py")
        for found in re.findall(r'"([\w-]+\.(?:yaml|html|css|js))"', (ROOT / path).read_text())
        if (ROOT / path.rsplit("/", 1)[0] / found).is_file()
    }
    # the generator's word list is what data.path names; a file of the user's takes its place
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    found = {d.replace("${data.path}", params["data"]["path"]) for d in body(name)["deps"]}
    assert expected <= found


def test_analysis_starts_without_torch():
    """Rescoring and redrawing must not wait for torch or transformers to load."""
    import subprocess
    import sys

    code = (
        "import sys; import stages.analyze, stages.report, stages.sweep, stages.select; "
        "print(sorted({'torch', 'transformers', 'openai', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_imports_point_one_way():
    """stages → lora_vs_api; task and stats know nothing of models, servers or reports."""
    for path in (ROOT / "lora_vs_api").rglob("*.py"):
        relative = str(path.relative_to(ROOT))
        found = imported(relative)
        assert not any(file.startswith("stages/") for file in found), relative
        if relative.startswith(("lora_vs_api/task/", "lora_vs_api/stats/")):
            own = relative.rsplit("/", 1)[0] + "/"
            shared = {"lora_vs_api/errors.py", "lora_vs_api/files.py", "lora_vs_api/stage.py"}
            outside = {file for file in found if not file.startswith(own)} - shared
            # the reviewer's command, a program and no library, checks params.yaml like a stage
            outside -= {"lora_vs_api/config.py"} if relative.endswith("review_cli.py") else set()
            assert not outside, relative
