"""dvc.yaml held against the code: a node depends on what it reads, and on nothing else."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
import yaml

from tests.imports import PLUMBING, ROOT, code_deps, imported, module_file, package

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# pydantic's own methods at the end of a chain of params, and what a property reads
ALIASES = {
    "serving.precision": {"serving.conversion", "serving.server"},
    "task.field_specs": {"task.fields"},
    "task.record_fields": {"task.fields"},
    "task.scored_fields": {"task.fields", "task.weights"},
    "sweep.rates_tried": {"sweep.learning_rates", "sweep.ranks"},
}
# They decide whether and how patiently an API is asked, never what it answers: a new price,
# budget or time limit must not ask again.
HOW_TO_ASK = {"api.limits", "prices", "prices_beside", "priced_as", "opponents"}
# How often a training writes a checkpoint: resumed or not, it ends in the same bytes.
HOW_TO_TRAIN = {"checkpoints"}
# The path of a dep: dvc.yaml has it, and the file's content counts.
WHICH_FILE = {"training_labels.rows", "training_labels.first_rows", "training_labels.results"}
# What a base model is called and how much room it takes fetches nothing again.
HOW_TO_FETCH = {"model.name", "model.disk_gb"}
# by node: what it reads and must not depend on
NO_DEPS = {
    "base_model": HOW_TO_FETCH,
    "report": WHICH_FILE,
    **dict.fromkeys(("evaluate_api", "evaluate_val", "perturbed_api", "teacher"), HOW_TO_ASK),
    **dict.fromkeys(
        ("sanity", "rank_trial", "lr_trial", "train", "curve_trial", "tune", "distil"),
        HOW_TO_TRAIN | WHICH_FILE,
    ),
}


def body(name: str) -> dict:
    return STAGES[name].get("do", STAGES[name])


@cache
def tree_of(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


@cache
def functions(path: str) -> dict[str, ast.FunctionDef]:
    """The functions of a module that are handed the params."""
    found = {}
    for node in tree_of(path).body:
        if isinstance(node, ast.FunctionDef):
            names = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
            if "params" in names:
                found[node.name] = node
    return found


def stage_sources(name: str) -> list[ast.AST]:
    """The stage's ``main``, and every function that the params are handed on to from there."""
    todo = [(f"stages/{name}.py", function) for function in functions(f"stages/{name}.py")]
    trees: dict[tuple[str, str], ast.AST] = {}
    while todo:
        path, function = todo.pop()
        if (path, function) in trees:
            continue
        tree = trees[path, function] = functions(path)[function]
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        todo += [(path, other) for other in functions(path) if other in used]
        for node in ast.walk(tree_of(path)):
            file = module_file(node.module or "") if isinstance(node, ast.ImportFrom) else None
            if file and package(file) not in PLUMBING:
                names = {alias.name for alias in node.names} & used
                todo += [(file, other) for other in functions(file) if other in names]
    return list(trees.values())


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
                keys |= ALIASES.get(key, {key})
    # an alias such as `settings = params.sanity` reads the section, and its keys one by one
    return keys


def related(read: str, declared: str) -> bool:
    declared = re.sub(r"\.\$\{(key|item\.name)\}", "", declared)
    return (read + ".").startswith(declared + ".") or (declared + ".").startswith(read + ".")


@pytest.mark.parametrize("name", STAGES)
def test_code_deps_are_the_packages_the_stage_reaches(name):
    """Editing a package reruns exactly the nodes that run something of it."""
    declared = [dep for dep in body(name)["deps"] if dep.startswith(("stages/", "lora_vs_api/"))]
    assert sorted(declared) == sorted(code_deps(f"stages/{name}.py"))


@pytest.mark.parametrize("name", STAGES)
def test_params_deps_are_the_keys_the_stage_reads(name):
    """A key that is read but not declared would leave a stale result; the reverse reruns for nothing."""
    declared, read = set(body(name).get("params", [])), params_read(name)
    ignored = tuple(f"{key}." for key in NO_DEPS.get(name, ()))
    read = {key for key in read if not f"{key}.".startswith(ignored)}
    undeclared = {key for key in read if not any(related(key, d) for d in declared)}
    unread = {d for d in declared if not any(related(key, d) for key in read)}
    assert not undeclared and not unread


def test_labels_are_read_where_results_are_written_alone():
    """What is only printed trains nothing and asks nothing again."""
    assert {name for name in STAGES if "labels" in body(name).get("params", [])} == {
        "analyze", "robustness",
    }  # fmt: skip


def test_a_node_lists_few_params():
    """Sections are grouped by their readers: a list that grows says that one is not."""
    counts = {name: len(body(name).get("params", [])) for name in STAGES}
    # analyze lists all that its results come from, for the digest that stands beside them
    del counts["analyze"]
    assert sum(counts.values()) <= 212
    assert all(count <= 10 for count in counts.values()), counts


def upstream(name: str, found: set[str]) -> set[str]:
    """``name`` and every node that its inputs come from."""

    def start(path: str) -> str:
        return path.split("$")[0].rstrip("/") + "/"

    if name not in found:
        found.add(name)
        for maker in STAGES:
            for kind in ("outs", "metrics", "plots"):
                for out in body(maker).get(kind, []):
                    made = start(out if isinstance(out, str) else next(iter(out)))
                    needed = map(start, body(name)["deps"])
                    if any(dep.startswith(made) or made.startswith(dep) for dep in needed):
                        upstream(maker, found)
    return found


def test_the_digest_beside_the_results_is_of_all_settings_they_come_from():
    """A report of other settings must never stand there under this configuration's digest."""
    known = set(body("analyze")["params"])
    needed = {key for name in upstream("analyze", set()) for key in body(name).get("params", [])}
    printed = {"labels", "profile_name", "task_title", "model.name"}
    path = "lora_vs_api/analysis/configuration.py"
    told = re.findall(r"params\.([\w.]+)", ast.unparse(functions(path)["config_sha256"]))
    told += ["model.weights"]
    assert len(needed) > 30
    assert not {key for key in needed if not any(related(key, k) for k in known)}
    missing = {key for key in needed - printed if not any(related(key, k) for k in told)}
    assert not missing


@pytest.mark.slow
def test_analysis_starts_without_torch():
    """Rescoring and redrawing must not wait for torch or transformers to load."""
    import subprocess
    import sys

    code = (
        "import sys; import stages.analyze, stages.report, stages.sweep, stages.select; "
        "print(sorted({'torch', 'transformers', 'openai', 'datasets', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


# from the bottom up: each imports only from those before it
LAYERS = (
    "errors.py", "conflicts.py", "shown.py", "log.py", "paths.py", "processor.py", "threads.py", "digests.py", "files.py", "durations.py", "tied.py", "wheels.py", "gguf_files.py", "lifetime.py", "record", "validation", "scoring",
    "neighbours", "prices", "stats", "weights", "data", "config", "entry.py", "model", "inference", "confidence", "training", "curve",
    "selection",
    "api", "serving", "conversion", "model_free", "analysis", "monitoring", "report", "figures", "orchestrate", "search", "cli", "__main__.py",
)  # fmt: skip


def test_readme_and_contributing_name_the_parts_that_are_there():
    """No folder that is gone, none and no plumbing left out."""
    there = {path.parent.name for path in (ROOT / "lora_vs_api").glob("*/__init__.py")}
    block = (ROOT / "README.md").read_text().split("\nlora_vs_api/ ")[1].split("\nrequirements/")[0]
    assert set(re.findall(r"(\w+)/", "".join(re.findall(r"\n  ((?:\w+/ )+)", block)))) == there
    said = (
        (ROOT / "CONTRIBUTING.md")
        .read_text()
        .split("reruns together.\n")[1]
        .split(" are plumbing")[0]
    )
    assert {f"lora_vs_api/{name.rstrip('/')}" for name in re.findall(r"`(.+?)`", said)} == PLUMBING


def test_imports_point_one_way():
    """No circle of packages, and nothing that a node runs knows of commands or schedulers."""
    places = {f"lora_vs_api/{name}": place for place, name in enumerate(LAYERS)}
    for path in (ROOT / "lora_vs_api").rglob("*.py"):
        relative = str(path.relative_to(ROOT))
        if relative == "lora_vs_api/__init__.py":
            continue
        for file in imported(relative):
            assert not file.startswith("stages/"), relative
            ours, theirs = places[package(relative)], places[package(file)]
            assert theirs <= ours, f"{relative} imports {file}"


def test_dvc_yaml_stands_as_dvc_writes_it(tmp_path):
    """`dvc freeze` of a node then changes one line, and a pull request shows what was meant."""
    from dvc.utils.serialize._yaml import modify_yaml

    text = (ROOT / "dvc.yaml").read_text()
    copy = tmp_path / "dvc.yaml"
    copy.write_text(text)
    with modify_yaml(copy):
        pass
    assert copy.read_text() == text
    for name in STAGES:
        for key in ("params", "deps", "outs"):
            listed = [
                item if isinstance(item, str) else next(iter(item))
                for item in body(name).get(key, [])
            ]
            assert listed == sorted(listed), f"{name}.{key}"
