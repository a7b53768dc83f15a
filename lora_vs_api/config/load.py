"""params.yaml, read and checked in full before a node does anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from lora_vs_api.config.consistency import inconsistency
from lora_vs_api.config.explain import explain
from lora_vs_api.config.literal import as_meant
from lora_vs_api.config.pasted import take_out
from lora_vs_api.config.renamed import renamed_key
from lora_vs_api.config.sections import (
    Condition,
    FileShots,
    GgufWeights,
    LocalFile,
    Params,
    PathWeights,
)
from lora_vs_api.config.sections.opponents import GgufFile, GgufSource
from lora_vs_api.config.yaml_keys import load_once, no_text_key
from lora_vs_api.conflicts import LEFT_TWO, has_conflict
from lora_vs_api.errors import RUN_THERE, UserError
from lora_vs_api.paths import project_of_copy
from lora_vs_api.shown import LONE_SURROGATE

PARAMS = "params.yaml"
File = TypeVar("File", bound=GgufFile)


def load_params(path: str | Path = PARAMS) -> Params:
    """Read and check every key of ``path``.

    Raises:
        UserError: one line naming the first key at fault and the form it should have. What may be a
            secret there is taken out of the file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        there = Path(path).absolute().parent.joinpath("conf", "config.yaml").is_file()
        what = "`make params` composes it from conf/" if there else RUN_THERE
        raise UserError(f"{path}: no such file; {what}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not valid UTF-8 ({error.reason}); save it as UTF-8") from None
    try:
        raw = load_once(text)
    # ValueError: a date or a number that there is not, such as 2026-13-01
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if has_conflict(text.encode()):
            raise UserError(
                f"{path}: {LEFT_TWO}; `make params` composes it again from conf/"
            ) from None
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        said = " ".join(str(getattr(error, "problem", error)).split())
        raise UserError(f"{path}{line}: not valid YAML: {said}") from None
    try:
        params = check_params(raw, str(path))
    except UserError as error:
        raise UserError(f"{error}{take_out(path, text, raw)}") from None
    return _in_project(params, Path.cwd())


def _in_project(params: Params, here: Path) -> Params:
    """``params`` with the project's own model, examples and store where ``here`` is a copy that DVC made.

    `dvc exp run --temp` and `--queue` work in .dvc/tmp/exps/, in copies that hold what git and DVC
    know. A model beside them would not be found there, and paid answers would go with the copy.
    """
    project = project_of_copy(here)
    if project is None:
        return params
    weights, store = params.model.weights, params.api.limits.store
    if isinstance(weights, PathWeights) and not (here / weights.path).exists():
        path = str(project / weights.path)
        weights = weights.model_copy(update={"path": path})
    elif isinstance(weights, GgufWeights):
        weights = _sources_in(project, here, weights)
    opponents = {
        name: _sources_in(project, here, opponent) for name, opponent in params.opponents.items()
    }
    # an absolute path stays what it is
    store = None if store is None else str(project / store)
    limits = params.api.limits.model_copy(update={"store": store})
    return params.model_copy(
        update={
            "model": params.model.model_copy(update={"weights": weights}),
            "api": params.api.model_copy(update={"limits": limits}),
            "opponents": opponents,
            "conditions": {
                name: _examples_in(project, here, each) for name, each in params.conditions.items()
            },
        }
    )


def _sources_in(project: Path, here: Path, file: File) -> File:
    sources = [_source_in(project, here, source) for source in file.sources]
    return file.model_copy(update={"sources": sources})


def _source_in(project: Path, here: Path, source: GgufSource) -> GgufSource:
    if not isinstance(source, LocalFile) or (here / source.path).exists():
        return source
    return source.model_copy(update={"path": str(project / source.path)})


def _examples_in(project: Path, here: Path, condition: Condition) -> Condition:
    shots = condition.shots
    if not isinstance(shots, FileShots) or (here / shots.file).exists():
        return condition
    there = shots.model_copy(update={"file": str(project / shots.file)})
    return condition.model_copy(update={"shots": there})


def check_params(raw: Any, where: str = PARAMS) -> Params:
    """Check a composed configuration; see :func:`load_params`."""
    try:
        return _checked(as_meant(raw), where)
    except RecursionError:
        raise UserError(f"{where}: expected settings, found a mapping within itself") from None


def _checked(raw: Any, where: str) -> Params:
    if not isinstance(raw, dict):
        raise UserError(f"{where}: expected a mapping of settings, found {type(raw).__name__}")
    odd = no_text_key(raw)
    if odd is not None:
        place = f"{odd[0]}: " if odd[0] else ""
        raise UserError(
            f"{where}: {place}expected a name as key, found {odd[1]}, which YAML reads as no text; put it in quotes"
        )
    old = renamed_key(raw)
    if old:
        raise UserError(f"{where}: {old}")
    unset = _unset(raw)
    if unset:
        raise UserError(f"{where}: {unset}: has no value yet; give one with -S {unset}=…")
    half = _half(raw)
    if half:
        raise UserError(f"{where}: {half}: expected whole characters, found a lone surrogate")
    raw = _named_after_its_folder(raw)
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{where}: {explain(error, raw)}") from None
    problem = inconsistency(params)
    if problem:
        raise UserError(f"{where}: {problem}")
    return params


def _named_after_its_folder(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """``raw``, a model without a name called as its folder is, in the conditions that ask it too."""
    model, conditions = raw.get("model"), raw.get("conditions")
    weights = model.get("weights") if isinstance(model, dict) else None
    path = weights.get("path") if isinstance(weights, dict) else None
    if not isinstance(model, dict) or model.get("name", "") is not None:
        return raw
    # where the folder is none, that is to be blamed and not the name
    name = (Path(path).name if isinstance(path, str) and path.isprintable() else "") or "model"
    named = {**raw, "model": {**model, "name": name}}
    if isinstance(conditions, dict):
        named["conditions"] = {
            key: {**settings, "model": name}
            if isinstance(settings, dict) and settings.get("model", "") is None
            else settings
            for key, settings in conditions.items()
        }
    return named


def _unset(value: Any, key: str = "") -> str | None:
    """The first key whose value is Hydra's ``???``, a value that has to be given."""
    return next((name for name, text in _texts(value, key) if text == "???"), None)


def _half(value: Any) -> str | None:
    """The first key that holds half a character (a lone surrogate), which no file can."""
    return next(
        (n for n, text in _texts(value, "", lists=True) if LONE_SURROGATE.search(text)), None
    )


def _texts(value: Any, key: str, lists: bool = False) -> Iterator[tuple[str, str]]:
    """Every text of a configuration with its dotted key, keys of mappings too where ``lists`` are."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            inner = f"{key}.{name}" if key else str(name)
            if lists:
                yield inner, str(name)
            yield from _texts(item, inner, lists)
    elif isinstance(value, list) and lists:
        for place, item in enumerate(value):
            yield from _texts(item, f"{key}[{place}]", lists)
