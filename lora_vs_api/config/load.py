"""params.yaml, read and checked in full before a node does anything."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lora_vs_api.config.consistency import inconsistency
from lora_vs_api.config.sections import Params
from lora_vs_api.errors import UserError

PARAMS = "params.yaml"


def load_params(path: str | Path = PARAMS) -> Params:
    """Read and check every key of ``path``.

    Raises:
        UserError: one line naming the first key at fault and the form it should have.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; `make params` composes it from conf/") from None
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(
            f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}"
        ) from None
    return _in_project(check_params(raw, str(path)), Path.cwd())


def _in_project(params: Params, here: Path) -> Params:
    """``params`` with the project's own model and store where ``here`` is a copy that DVC made.

    `dvc exp run --temp` and `--queue` work in .dvc/tmp/exps/, in copies that hold what git and DVC
    know. A model beside them would not be found there, and paid answers would go with the copy.
    """
    copies = next(
        (p for p in here.parents if p.parts[-3:] == (".dvc", "tmp", "exps")), None
    )  # fmt: skip
    if copies is None:
        return params
    project, path, store = copies.parents[2], params.model.path, params.api.store
    if path is not None and not (here / path).exists():
        path = str(project / Path(path).expanduser())
    # an absolute path stays what it is
    store = None if store is None else str(project / store)
    return params.model_copy(
        update={
            "model": params.model.model_copy(update={"path": path}),
            "api": params.api.model_copy(update={"store": store}),
        }
    )


def check_params(raw: Any, where: str = PARAMS) -> Params:
    """Check a composed configuration; see :func:`load_params`."""
    if not isinstance(raw, dict):
        raise UserError(f"{where}: expected a mapping of settings, found {type(raw).__name__}")
    unset = _unset(raw)
    if unset:
        raise UserError(f"{where}: {unset}: has no value yet; give one with -S {unset}=…")
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(error, raw)}") from None
    problem = inconsistency(params)
    if problem:
        raise UserError(f"{where}: {problem}")
    return params


def _unset(value: Any, key: str = "") -> str | None:
    """The first key whose value is Hydra's ``???``, a value that has to be given."""
    if isinstance(value, dict):
        inner = (
            _unset(item, f"{key}.{name}" if key else str(name)) for name, item in value.items()
        )
        return next((found for found in inner if found), None)
    return key if value == "???" else None


def _explain(error: ValidationError, raw: dict[str, Any]) -> str:
    """The first complaint in words: the key as the user wrote it, and the form it should have."""
    first = error.errors(include_url=False)[0]
    path: list[str | int] = []
    value: Any = raw
    for part in first["loc"]:
        known = (
            part in value
            if isinstance(value, dict)
            else (isinstance(value, list) and isinstance(part, int) and part < len(value))
        )
        # what cannot be followed in the file is pydantic's name for one arm of a union
        if known:
            value = value[part]
            path.append(part)
        elif first["type"] == "missing":
            path.append(part)
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]
    if first["type"] == "missing":
        return f"{key}: missing; `make params` composes a complete file from conf/"
    if first["type"] == "extra_forbidden":
        siblings = list(_schema_at(path[:-1])["properties"])
        near = difflib.get_close_matches(str(path[-1]), siblings, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"{key}: unknown key{hint}; expected one of {', '.join(siblings)}"
    return f"{key}: expected {_expected(path)}, found {value!r}"


def _schema_at(path: list[str | int]) -> dict[str, Any]:
    """The JSON Schema of the value at ``path`` of params.yaml."""
    root = Params.model_json_schema()
    node = root
    for part in path:
        if isinstance(part, int):
            node = node["items"]
        else:
            node = node.get("properties", {}).get(part) or node["additionalProperties"]
        node = _resolved(node, root)
    return node


def _resolved(node: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """``node`` itself, or the section that it names, null aside."""
    arms = [arm for arm in node.get("anyOf", []) if arm.get("type") != "null"]
    if len(arms) == 1 and ("$ref" in arms[0] or "additionalProperties" in arms[0]):
        node = arms[0]
    if "$ref" in node:
        return root["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def _expected(path: list[str | int]) -> str:
    """The form of the value at ``path``, in words."""
    node = _schema_at(path)
    if "properties" in node:
        return "a section with " + ", ".join(node["properties"])
    if "description" in node:
        return node["description"]
    if "enum" in node:
        return "one of " + ", ".join(node["enum"])
    if "anyOf" in node:
        choices = [str(arm.get("enum") or arm.get("type")) for arm in node["anyOf"]]
        return " or ".join(choices)
    if "minimum" in node:
        return f"{node['type']} ≥ {node['minimum']}"
    words = {
        "integer": "an integer",
        "number": "a number",
        "string": "a text",
        "array": "a list",
        "object": "a mapping",
    }
    return words.get(node.get("type", ""), "another value")
