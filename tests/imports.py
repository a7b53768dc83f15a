"""Which packages of the project a stage runs, found by reading imports (those in functions too)."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# They check, read, write and say, and cannot change a number: no node depends on them.
PLUMBING = {
    "lora_vs_api/config",
    "lora_vs_api/digests.py",
    "lora_vs_api/durations.py",
    "lora_vs_api/entry.py",
    "lora_vs_api/conflicts.py",
    "lora_vs_api/errors.py",
    "lora_vs_api/files.py",
    "lora_vs_api/gguf_files.py",
    "lora_vs_api/lifetime.py",
    "lora_vs_api/log.py",
    "lora_vs_api/paths.py",
    "lora_vs_api/processor.py",
    "lora_vs_api/shown.py",
    "lora_vs_api/threads.py",
    "lora_vs_api/tied.py",
    "lora_vs_api/wheels.py",
}
# (who imports, what) of which no node of the first depends on the second: what an answer costs decides
# whether it is asked for, and never what it says
HOW_TO_ASK = {("lora_vs_api/api", "lora_vs_api/prices")}


def module_file(name: str) -> str | None:
    """Path of a project module relative to the root; None for packages and libraries."""
    if not name.startswith(("lora_vs_api", "stages")):
        return None
    path = name.replace(".", "/") + ".py"
    return path if (ROOT / path).is_file() else None


@cache
def imported(path: str) -> set[str]:
    """Project modules that one file imports, those for type checkers alone left out."""
    tree = ast.parse((ROOT / path).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found.update(file for name in names if (file := module_file(name)))
    return found


def package(path: str) -> str:
    """The folder of ``lora_vs_api`` that a module belongs to; the module itself at the top."""
    return "/".join(path.split("/")[:2])


def reached(stage_file: str) -> set[str]:
    """Every project module that a stage reaches, itself included and plumbing left out."""
    seen: set[str] = set()
    todo = [stage_file]
    while todo:
        file = todo.pop()
        if file in seen or package(file) in PLUMBING:
            continue
        seen.add(file)
        todo.extend(
            other for other in imported(file) if (package(file), package(other)) not in HOW_TO_ASK
        )
    return seen


def code_deps(stage_file: str) -> set[str]:
    """The stage's module and every package that it reaches."""
    return {package(file) for file in reached(stage_file)}
