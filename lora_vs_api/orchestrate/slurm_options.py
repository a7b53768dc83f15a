"""``--slurm KEY=VALUE`` as submitit types it: a value of another type breaks it hours later."""

from __future__ import annotations

import difflib
import json
import shlex
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lora_vs_api.errors import UserError

# jobs are found again by their names, and are one process each
OURS = {
    "job_name": "jobs are found again by the names that `run` gives them",
    "name": "jobs are found again by the names that `run` gives them",
    "array_parallelism": "`-j` says how many nodes go side by side",
}
ONE = ("nodes", "ntasks_per_node")
# of a node of the DAG: `nodes` in conf/config.yaml has them
OTHERWISE = {
    "cpus": "cpus_per_task", "gpus": "gpus_per_node", "memory": "mem", "mem_gb": "mem",
    "timeout_min": "time", "timeout": "time", "minutes": "time", "queue": "partition",
}  # fmt: skip

Option = str | int | bool | list[str] | dict[str, Any]


def typed_options(given: Sequence[str]) -> dict[str, Option]:
    """The options of the command line, each of the type that submitit has for it.

    Raises:
        UserError: an option that is not KEY=VALUE, a key that submitit does not know, or a value of
            another type.
    """
    kinds = _kinds()
    found: dict[str, Option] = {}
    for option in given:
        key, mark, value = option.partition("=")
        key = key.strip().lstrip("-").replace("-", "_")
        if not mark or not key.isidentifier():
            raise UserError(f"--slurm: expected KEY=VALUE such as partition=gpu, found {option!r}")
        if key in OURS:
            raise UserError(f"--slurm {key}: {OURS[key]}, so it cannot be set")
        if key not in kinds:
            raise UserError(_unknown(key, value, kinds))
        made = _typed(key, value, kinds[key])
        if key in ONE and made != 1:
            raise UserError(
                f"--slurm {key}: a node of the DAG is one process; expected 1, found {value}"
            )
        before = found.get(key)
        if isinstance(made, list) and isinstance(before, list):
            made = [*before, *made]
        elif isinstance(made, dict) and isinstance(before, dict):
            made = {**before, **made}
        found[key] = made
    return found


def _kinds() -> Mapping[str, Any]:
    """submitit's options for sbatch and their types, from the function that writes the job's script."""
    from submitit.slurm import slurm

    hints = typing.get_type_hints(slurm._make_sbatch_string)
    return {key: hints[key] for key in slurm._get_default_parameters()}


def _typed(key: str, value: str, kind: Any) -> Option:
    kinds = set(_members(kind))
    try:
        if dict in kinds:
            return _dictionary(value)
        if list in kinds:
            # a command of the job's script
            return _listed(value) or [value]
        if Iterable.__name__ in {getattr(one, "__name__", "") for one in kinds}:
            return _listed(value) or shlex.split(value)
        if bool in kinds and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if str in kinds:
            return value
        if bool in kinds:
            raise ValueError("true or false")
        try:
            return int(value)
        except ValueError:
            raise ValueError("minutes, as an integer" if key == "time" else "an integer") from None
    except ValueError as error:
        raise UserError(f"--slurm {key}: expected {error}, found {value!r}") from None


def _members(kind: Any) -> Iterable[Any]:
    """The types of an Optional or Union, without their parameters."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        for one in typing.get_args(kind):
            yield from _members(one)
    else:
        yield typing.get_origin(kind) or kind


def _dictionary(value: str) -> dict[str, Any]:
    expected = 'JSON such as {"reservation": "lab"}'
    try:
        found = json.loads(value)
    except ValueError:
        raise ValueError(expected) from None
    if not isinstance(found, dict):
        raise ValueError(expected)
    return found


def _listed(value: str) -> list[str] | None:
    """A list in JSON; None where it is none."""
    if not value.startswith("["):
        return None
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return [str(one) for one in found] if isinstance(found, list) else None


def _unknown(key: str, value: str, kinds: Mapping[str, Any]) -> str:
    near = [OTHERWISE[key]] if key in OTHERWISE else difflib.get_close_matches(key, kinds, 1, 0.6)
    if near:
        return f"--slurm {key}: submitit has no such option; did you mean {near[0]}?"
    own = json.dumps({key.replace("_", "-"): value})
    return (
        f"--slurm {key}: submitit has no such option ({', '.join(sorted(set(kinds) - set(OURS)))}); "
        f"one of sbatch's own goes as --slurm 'additional_parameters={own}'"
    )
