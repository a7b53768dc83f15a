"""conf/ composed into params.yaml without running anything.

The same composition, by the same code, as `dvc exp run` does before it runs.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lora_vs_api.config.explain import COMPLETE, OF_ENVIRONMENT
from lora_vs_api.config.fast_yaml import fast_yaml
from lora_vs_api.config.load import PARAMS, check_params
from lora_vs_api.config.override_slips import (
    override_slip,
    quoted_items,
    resolver_slip,
    several_choices,
)
from lora_vs_api.config.renamed import renamed_file, renamed_override
from lora_vs_api.config.secrets import may_be_secret
from lora_vs_api.config.sections import Params
from lora_vs_api.config.slips import (
    LOCAL,
    UNSEEN,
    condition_slip,
    copied,
    hydra_slip,
    kept_slip,
    key_slip,
    label_slip,
    list_slip,
    mark_slip,
    no_mapping,
    package_slip,
    place_of,
    reference_slip,
    unseen_slips,
    value_slip,
    with_choice,
    without_marks,
    written_as,
    yaml_slip,
)
from lora_vs_api.config.yaml_keys import no_text_key
from lora_vs_api.errors import RUN_THERE, UserError
from lora_vs_api.shown import did_you_mean

# of which a key is missing
_CONDITION = re.compile(r"conditions\.(\w+)(?=\.model: missing)")
# a setting with quotes around its value, or around the items of its list, as config/explain.py advises it
_ADVISED = re.compile(r"""'(?P<key>[\w.@/]+)=(?:"[^"]*"|(?P<list>\[[^\]]*\]))'""")


def compose(overrides: Sequence[str] = (), conf: str | Path = "conf") -> str:
    """The text of params.yaml for ``conf`` and Hydra ``overrides``; see :func:`composed`."""
    return composed(overrides, conf)[0]


def composed(overrides: Sequence[str] = (), conf: str | Path = "conf") -> tuple[str, Params]:
    """The text of params.yaml for ``conf`` and Hydra ``overrides`` such as ``lora.r=32``, and its settings.

    Raises:
        UserError: an override that Hydra refuses, a key or file under an earlier version's name, or
            a composition that is not a valid config.
    """
    conf = Path(conf)
    # as DVC names the file of a setting
    overrides = [override.removeprefix(f"{PARAMS}:") for override in overrides]
    try:
        return _composed(overrides, conf)
    except UserError as error:
        found = _unseen(error, overrides, conf.resolve()) or package_slip(conf.resolve(), overrides)
        if found is not None:
            raise UserError(found) from None
        slip = mark_slip(conf.resolve())
        # a mark in a file that is not chosen hides nothing, and what is wrong stays so without it
        if slip is None or str(error) == _unmarked_problem(overrides, conf.resolve()):
            raise
        raise UserError(slip) from None


def _unseen(error: UserError, overrides: Sequence[str], conf: Path) -> str | None:
    """What is not seen in a key and causes ``error``, which goes with it; None where it does not."""
    for slip, path, mended in unseen_slips(conf):
        with copied(conf) as copy:
            Path(copy, path.relative_to(conf)).write_text(mended, encoding="utf-8")
            try:
                _composed(overrides, copy)
            except UserError as still:
                told = str(still).replace(str(copy), str(conf))
                if not _is_of_sign(str(error), told, slip):
                    continue
            return slip
    return None


def _is_of_sign(before: str, after: str, slip: str) -> bool:
    """Of two mistakes, whether the one told ``before`` is what ``slip`` says: ``after`` it is mended another one is told."""
    if before == after:
        return False
    # a text that has a full-width colon is a text, and typed anew it would be a mistake of its own
    others = "full-width" not in slip and before.split(": ")[1:2] != after.split(": ")[1:2]
    return others or UNSEEN.search(before) is not None


def _unmarked_problem(overrides: Sequence[str], conf: Path) -> str | None:
    """What is wrong where no file of ``conf`` has a byte order mark; None for nothing."""
    with without_marks(conf) as copy:
        try:
            _composed(overrides, copy)
        except UserError as error:
            return str(error).replace(str(copy), str(conf))
    return None


def _checked_folder(conf: Path) -> Path:
    """The folder of the settings, with the files that every composition reads."""
    old_file = renamed_file(conf)
    if old_file:
        raise UserError(old_file)
    conf = conf.resolve()
    main = conf / "config.yaml"
    if not main.is_file():
        raise UserError(f"{conf}: no config.yaml there; {RUN_THERE}")
    if not (conf / LOCAL).exists() and "- local\n" in main.read_text("utf-8", "replace"):
        raise UserError(
            f"{conf.name}/{LOCAL}: no such file; expected your own settings there, an empty file will do"
        )
    return conf


def _composed(overrides: Sequence[str], conf: Path) -> tuple[str, Params]:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    conf = _checked_folder(conf)
    where = _where(overrides)
    odd = renamed_override(overrides) or several_choices(overrides, conf)
    if odd:
        raise UserError(f"{where}: {odd}")
    unused = hydra_slip(overrides, conf)
    if unused:
        raise UserError(unused if unused.startswith(conf.name) else f"{where}: {unused}")
    own = no_mapping(conf) or value_slip(conf)
    if own:
        raise UserError(own)
    try:
        text = _dumped(overrides, conf)
    # the last four: a file of conf/ that is no YAML, holds what no file can, or itself; a place of a list
    except (
        HydraException,
        OmegaConfBaseException,
        yaml.YAMLError,
        ValueError,
        RecursionError,
        TypeError,
    ) as error:
        slip = yaml_slip(error, conf)
        if slip is None and not str(error).strip():
            # of a key that is no text OmegaConf says nothing
            slip = key_slip(conf)
        slip = slip or list_slip(error, conf, lambda: _without_own(conf))
        slip = slip or resolver_slip(str(error), overrides, conf)
        # one in an override is told with that
        if slip is None and not any("${" in override for override in overrides):
            slip = reference_slip(error, conf)
            gone = next((text[1:].partition("=")[0] for text in overrides if text[:1] == "~"), None)
            if slip and gone and f"there is no {gone};" in slip:
                place = slip.partition(": ")[0]
                raise UserError(
                    f"{where}: {gone}: cannot be left out, {place} refers to it"
                ) from None
        if slip:
            raise UserError(slip) from None
        # Hydra's own message ends in advice that runs over several lines
        message = override_slip(
            " ".join(str(error).split()),
            overrides,
            conf,
            lambda others: _problem(others, conf),
            lambda: _plain(conf),
        )
        key = getattr(error, "full_key", None)
        if key and key not in message:
            message = f"{key}: {message}"
        raise UserError(f"{where}: {_without_secrets(message, overrides)}") from None
    raw = fast_yaml(text)
    slip = key_slip(conf) if no_text_key(raw) else None
    if slip:
        raise UserError(slip)
    label = label_slip(overrides, conf) or condition_slip(
        overrides, conf, raw.get("conditions") or ()
    )
    if label:
        raise UserError(label if label.startswith(conf.name) else f"{where}: {label}")
    kept = kept_slip(overrides, conf, raw)
    if kept:
        raise UserError(kept if kept.startswith(conf.name) else f"{where}: {kept}")
    try:
        return text, check_params(raw, where)
    except UserError as error:
        problem = _without_secrets(str(error).removeprefix(f"{where}: "), overrides)
        raise UserError(_placed(problem, raw, overrides, conf, where)) from None


def _placed(
    problem: str, raw: dict[str, Any], overrides: Sequence[str], conf: Path, where: str
) -> str:
    """A problem with a value, behind the place of the user's own file that has it, or behind ``where``."""
    if problem.endswith(COMPLETE):
        # that is what was composed
        taken = [override for override in overrides if override.startswith("~")]
        why = f", which {taken[0]} takes out" if taken else "; expected a value for it in conf/"
        problem = problem.removesuffix(COMPLETE) + why
    key = problem.partition(": ")[0]
    condition = _CONDITION.match(problem)
    if condition:
        # one whose name is misspelt has no more than what was said of it
        key, name = condition[0], condition[1]
        hint = did_you_mean(name, [other for other in raw["conditions"] if other != name])
        problem = f"{problem}{hint}"
    given = [override.partition("=")[0].lstrip("+~") for override in overrides]
    place = "" if key in given else place_of(key, conf)
    problem = _as_typed(problem, overrides, "" if key in given else written_as(key, conf))
    problem = with_choice(problem, conf, in_file=bool(place))
    return f"{place}{problem}" if place else f"{where}: {problem}"


def _as_typed(problem: str, overrides: Sequence[str], in_file: str) -> str:
    """``problem`` with what was typed in the quotes that it advises, and not what YAML has made of it (1_1 is 11)."""
    advised = _ADVISED.search(problem)
    key = problem.partition(": ")[0] if advised is None else advised["key"]
    typed = next(
        (v for k, _, v in (o.partition("=") for o in overrides) if k.lstrip("+") == key), in_file
    )
    if advised is None:
        bare = typed.strip("\"' ")
        if typed == in_file or not re.fullmatch(r"\$\{oc\.env:[^{}]+\}", bare):
            return problem
        # in quotes the command line takes it, too
        return problem.replace(OF_ENVIRONMENT, f"""'{key}="${{oc.decode:{bare}}}"'""")
    if advised["list"]:
        items = quoted_items(typed)
        if items is None:
            return problem
        value = f"[{', '.join(items)}]"
    elif not typed.strip() or re.search(r"[\"'\[{]", typed):
        return problem
    else:
        value = f'"{typed.strip()}"'
    return f"{problem[: advised.start()]}'{key}={value}'{problem[advised.end() :]}"


def _dumped(overrides: Sequence[str], conf: Path) -> str:
    from dvc.utils.hydra import compose_and_dump

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, PARAMS)
        compose_and_dump(str(target), str(conf), None, "config", folder, list(overrides))
        return target.read_text(encoding="utf-8")


def _plain(conf: Path) -> dict[str, Any]:
    """conf/ composed without an override, to tell what keys there are; empty where it cannot be."""
    try:
        found: dict[str, Any] = fast_yaml(compose((), conf))
    except UserError:
        return {}
    return found


def _without_own(conf: Path) -> dict[str, Any]:
    """As :func:`_plain`, without the user's own file."""
    with copied(conf) as copy:
        (copy / LOCAL).write_text("", encoding="utf-8")
        return _plain(copy)


def _problem(overrides: Sequence[str], conf: Path) -> str | None:
    """What is wrong with ``overrides``, without where; None for nothing."""
    try:
        composed(overrides, conf)
    except UserError as error:
        where = f"{_where(overrides)}: "
        said = str(error)
        return said.removeprefix(where) if said.startswith(where) else said.partition(": ")[2]
    return None


def _where(overrides: Sequence[str]) -> str:
    return f"conf/ with {' '.join(map(_shown, overrides)) or 'no override'}"


def _shown(override: str) -> str:
    """``override`` without what may be a secret, given in the wrong place."""
    secret = _secret(override)
    return override.replace(secret, "…") if secret else override


def _without_secrets(message: str, overrides: Sequence[str]) -> str:
    for value in filter(None, map(_secret, overrides)):
        bare = value.strip(" \t'\"{[]}")
        # Hydra takes task=a/b for the choice b of a group
        front, _, choice = bare.rpartition("/")
        for part in (value, bare, front if "@" in front else "", choice, bare.partition("://")[2]):
            message = message.replace(part, "…") if part else message
    return message


def _secret(override: str) -> str | None:
    """What of an override may be a secret or an address with one in it: all of it where it has no ``=``."""
    key, equals, value = override.partition("=")
    if not equals or may_be_secret("", key.lstrip("+~")):
        return override if may_be_secret("", override.lstrip("+~ \t'\"{[")) else None
    return value if may_be_secret(key, value.strip(" \t'\"{[")) else None
