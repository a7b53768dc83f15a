"""docs/dag.md's graph and tables, made from dvc.yaml: python -m tests.dependency_tables writes them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

import yaml

from tests.imports import ROOT, package

PAGE = ROOT / "docs" / "dag.md"
STAGES: dict[str, dict] = {
    name: stage.get("do", stage)
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}
# DVC's foreach takes the place of the node's own entry, a matrix stands in it
INSTANCES: dict[str, str] = {
    name: next(iter(stage["matrix"].values())) if "matrix" in stage else stage["foreach"]
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
    if "matrix" in stage or "foreach" in stage
}
PARAMS: dict = yaml.safe_load((ROOT / "params.yaml").read_text())
KINDS = {
    "data": "base_model opponent corpus split data_check curve_order review hypothesis contamination",
    "search": "sanity rank_trial select_rank lr_trial select sweep",
    "training": "train curve_trial tune",
    "answers": "evaluate_base served evaluate_lora evaluate_tune evaluate_api evaluate_model_free",
    "cascade": "confidence evaluate_val",
    "labels from an API": "teacher teacher_labels distil evaluate_distil",
    "perturbed texts": "perturb perturbed_lora perturbed_api",
    "results": "robustness analyze learning_curve cascade distillation report",
}
# Which nodes depend on a list of pinned versions: those that run one of these packages. An API node
# starts the embedded server, which loads the base model.
ROLES = {
    "inference": {"weights", "model", "inference", "confidence", "api"},
    "serving": {"api"},
    "conversion": {"conversion"},
    "training": {"training"},
    "statistics": {"neighbours", "stats", "analysis", "model_free"},
    "prices": {"prices"},
    "figures": {"figures"},
}
# it counts tokens, and its precision is a quantile of scipy's; the sweep's table is written by pandas
ALONE = {"inference": {"data_check"}, "statistics": {"data_check", "sweep"}}
NONE = "none"


def nodes_of(dep: str) -> set[str]:
    """The nodes that list ``dep``."""
    return {name for name, stage in STAGES.items() if dep in stage["deps"]}


def nodes_of_role(role: str) -> set[str]:
    """The nodes that have to depend on requirements/``role``.txt."""
    of_packages = (nodes_of(f"lora_vs_api/{folder}") for folder in ROLES[role])
    return set().union(ALONE.get(role, set()), *of_packages)


def packages() -> list[str]:
    """The folders and top modules of lora_vs_api, folders first."""
    found = {package(str(path.relative_to(ROOT))) for path in (ROOT / "lora_vs_api").rglob("*.py")}
    return sorted(found, key=lambda path: (path.endswith(".py"), path))


def upstream(name: str) -> list[str]:
    """The nodes whose outputs a node reads, in dvc.yaml's order."""
    deps = [_resolved(dep) for dep in STAGES[name]["deps"]]
    return [
        other
        for other, stage in STAGES.items()
        if other != name and any(_overlap(dep, out) for dep in deps for out in _outputs(stage))
    ]


def _outputs(stage: dict) -> list[str]:
    listed = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    return [next(iter(out)) if isinstance(out, dict) else out for out in listed]


def _overlap(dep: str, out: str) -> bool:
    """Whether one is the other or lies in it; all instances of a node at once."""
    a, b = (re.sub(r"\$\{[\w.]+\}", "*", path) + "/" for path in (dep, out))
    return a.startswith(b) or b.startswith(a)


def _resolved(dep: str) -> str:
    """``${data.path}`` and the like as params.yaml has them; ``${key}`` and ``${item.…}`` stay."""

    def value(found: re.Match[str]) -> str:
        node = PARAMS
        for part in found[1].split("."):
            if part not in node:
                return found[0]
            node = node[part]
        return str(node)

    return re.sub(r"\$\{([\w.]+)\}", value, dep)


def graph() -> str:
    """One node a line, with the nodes that it reads from."""
    width = max(map(len, STAGES)) + 6
    lines = []
    for kind, names in KINDS.items():
        lines.append(kind)
        for name in names.split():
            label = f"  {name}{'@' if name in INSTANCES else ''}"
            found = upstream(name)
            # the arrow takes two of the columns that the lines below are set in by
            text = f"{label:<{width - 2}}← {' '.join(found)}" if found else label
            lines += textwrap.wrap(text, 99, subsequent_indent=" " * width)
    return "```\n" + "\n".join(lines) + "\n```"


def code_table() -> str:
    """What an edit of a package, a node's module or a list of versions makes stale."""
    rows = [(f"`{path}`", _names(nodes_of(path))) for path in packages()]
    rows.append(("`stages/NODE.py`", "`NODE`"))
    rows += [(f"`requirements/{role}.txt`", _names(nodes_of_role(role))) for role in ROLES]
    return _table(("an edit in", "makes stale"), rows)


def params_table() -> str:
    """What a changed setting makes stale, by key as dvc.yaml spells it."""
    readers: dict[str, set[str]] = {}
    for name, stage in STAGES.items():
        read = {re.sub(r"\$\{.*\}", "NAME", key) for key in stage.get("params", [])}
        # a path that a node depends on is taken from the params
        paths = {key for dep in stage["deps"] for key in re.findall(r"\$\{([\w.]+)\}", dep)}
        read |= {key for key in paths if key.split(".")[0] in PARAMS}
        for key in read:
            readers.setdefault(key, set()).add(name)
    several: dict[str, set[str]] = {}
    for name, source in INSTANCES.items():
        several.setdefault(source.strip("${}"), set()).add(name)

    rows = []
    for section, settings in PARAMS.items():
        known = [key for key in {**readers, **several} if key.split(".")[0] == section]
        for key in sorted(known):
            # data and data.source: who lists the section reruns for every key of it
            wider = set().union(*(readers[k] for k in readers if f"{key}.".startswith(f"{k}.")))
            rows.append((f"`{key}`", _names(wider), _names(several.get(key, ()), "")))
        if section not in readers:
            inner = settings if isinstance(settings, dict) else {}
            rest = [key for key in inner if not any(_within(section, key, k) for k in known)]
            if rest and known:
                rows.append((", ".join(f"`{section}.{key}`" for key in rest), NONE, ""))
            elif not known:
                rows.append((f"`{section}`", NONE, ""))
    return _table(("a change of", "makes stale", "makes or drops instances of"), rows)


def _within(section: str, key: str, known: str) -> bool:
    return known == section or f"{known}.".startswith((f"{section}.{key}.", f"{section}.NAME."))


def _names(names: Iterable[str], nothing: str = NONE) -> str:
    return ", ".join(f"`{name}`" for name in STAGES if name in names) or nothing


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


BLOCKS = {"graph": graph, "code": code_table, "params": params_table}


def written(page: str) -> str:
    """``page`` with every block as dvc.yaml has it now."""
    for name, block in BLOCKS.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        before, _, rest = page.partition(begin)
        assert end in rest, f"docs/dag.md: no {begin} … {end}"
        page = f"{before}{begin}\n{block()}\n{end}{rest.partition(end)[2]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
