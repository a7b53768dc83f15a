"""Secrets that were pasted into a setting, taken out of the file again.

DVC composes before anything of this project runs, so a key given as `-S api.limits.key_env=…` is in
params.yaml before it can be refused, and the next commit would take it along.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lora_vs_api.config.secrets import UNSET, secrets_in
from lora_vs_api.files import write_text

# so long a text stands nowhere else by chance
LONG = 16


def take_out(path: str | Path, text: str, raw: Any) -> str:
    """Put ``???`` where settings of ``api``, or of a condition's own server or extra_body, in the file at ``path`` may hold a secret.

    Args:
        text: of the file.
        raw: what it holds.

    Returns:
        What to add to the error that refuses the file; empty where nothing was found.
    """
    found = _found(raw)
    if not found:
        return ""
    for key, value in found.items():
        name = re.escape(key.rpartition(".")[2])
        setting = re.compile(rf"^(\s*['\"]?{name}['\"]?:[ \t]*)(?=.*{re.escape(value)}).*$", re.M)
        text = setting.sub(rf"\g<1>{UNSET}", text)
        if len(value) >= LONG:
            text = text.replace(value, UNSET)
    named = ", ".join(found)
    done = "was taken out of" if _replaced(path, text) else "has to be taken out of"
    return (
        f"; {named}: what may be a secret {done} {path}; git and DVC may have copies: revoke a key "
        "that stood there (docs/apis.md)"
    )


def _found(raw: Any) -> Mapping[str, str]:
    """Settings that may hold a secret, and what they hold."""
    try:
        if not isinstance(raw, dict):
            return {}
        conditions = raw.get("conditions")
        own = {
            f"conditions.{name}.{part}": settings.get(part)
            for name, settings in (conditions.items() if isinstance(conditions, dict) else ())
            if isinstance(settings, dict)
            for part in ("server", "extra_body")
        }
        places = {"api": raw.get("api"), **own}
        return dict(found for place, value in places.items() for found in secrets_in(value, place))
    except RecursionError:
        # a mapping within itself
        return {}


def _replaced(path: str | Path, text: str) -> bool:
    """Write ``text`` if it is free of secrets; whether it was."""
    try:
        if _found(yaml.safe_load(text)):
            return False
        write_text(path, text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return False
    return True
