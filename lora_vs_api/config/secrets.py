"""What may be a secret among settings: by the name of a setting, and by the look of its value.

Nobody can tell for sure. Settings that exist hold none unless something else was pasted into them, so
what is told here is hidden in messages, refused in ``api.limits.key_env`` and taken out of params.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

# Hydra's mark of a value that has to be given
UNSET: Final = "???"
# what a name of an environment variable looks like, unlike most keys
VARIABLE: Final = r"^[A-Z][A-Z0-9_]{0,63}$"
# the last word of a setting's name, in whatever section and however it is spelt
_NAME = re.compile(
    r"(?:key|secret|passw(?:or)?d|token|credentials?|auth|authorization)(?:_?env)?$", re.I
)
# settings that end so and hold none
_NO_SECRETS: Final = {"pad_token", "plain_http_with_key"}
# how providers begin their keys, in any case; what follows is long
_PREFIX = (
    r"(?:sk|gsk|csk|rk|pk|key|hf|r8|fw|xai|nvapi|pplx|tgp|ghp|gho|github_pat|glpat|bearer)[-_ ]|"
    r"aiza|akia|ya29\.|eyj"
)
# 6 are enough where a dash follows the prefix: no other setting has one of these words there
_KEY = re.compile(
    rf"(?<![a-z0-9_/-])(?:(?:sk|gsk|key)-\S{{6,}}|(?:{_PREFIX})[\w.~+/=-]{{16,}})", re.I
)
# A word of a name so long, with so many changes between letters and digits, is a key's: one drawn by
# chance has more of them. GPT4OMINIKEY2 has 3 and is short.
_CHANGES: Final = ((16, 4), (20, 3), (24, 2))
# after a provider's prefix less will do
_PREFIXED = (12, 3)
# in all words together, and of digits: a key cut up by chance, or a number
MOST_CHANGES, MOST_DIGITS = 6, 16
# a repository of the Hub whose owner is called hf-…
_REPOSITORY = re.compile(r"hf-[a-z-]+/[\w.-]+", re.I)
# a login in an address, or what stands behind its path
_IN_ADDRESS = re.compile(r"[@?#]")
# a login in an address, wherever it was given
_LOGIN = re.compile(r"://[^/\s]*@")


def is_variable(text: str) -> bool:
    """Whether ``text`` is a name of an environment variable, such as MY_LLM_GATEWAY_KEY_2, and no key."""
    return bool(re.search(VARIABLE, text)) and not _is_random(text)


def may_be_secret(name: str, value: str) -> bool:
    """Whether a setting may hold a secret, as ``api.limits.key_env`` does that is no variable's name.

    Args:
        name: its own or its dotted one.
    """
    name = name.rpartition(".")[2]
    if is_variable(value):
        return False
    if _LOGIN.search(value):
        return True
    if "url" in name.lower() and "://" in value:
        # a host may be called key-gateway
        return bool(_IN_ADDRESS.search(value)) or is_secret_name(name)
    if name.lower().endswith("url") and _IN_ADDRESS.search(value):
        return True
    if _REPOSITORY.fullmatch(value):
        return is_secret_name(name)
    return is_secret_name(name) or bool(_KEY.search(value))


def secrets_in(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Settings of ``value``, which stands under ``key``, that may hold a secret: dotted name and text."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from secrets_in(item, f"{key}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from secrets_in(item, key)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        text = str(value)
        if text not in ("", UNSET) and may_be_secret(key, text):
            yield key, text


def is_secret_name(name: str) -> bool:
    """Whether a setting of that name is meant for a secret, or for the variable that holds it."""
    return bool(_NAME.search(name)) and name.lower() not in _NO_SECRETS


def _is_random(text: str) -> bool:
    """Whether a name in capitals has what keys have: letters and digits all mixed up.

    Names are words, some with a number (H100). Of keys drawn from capitals and digits some two in a
    thousand are missed at 24 characters and hardly any at 32, as long as providers' are.
    """
    prefixed = bool(re.match(_PREFIX, text, re.I))
    words = text.split("_")
    changes = [sum(a.isdigit() != b.isdigit() for a, b in pairwise(word)) for word in words]
    for word, changed in zip(words, changes, strict=True):
        if any(len(word) >= length and changed >= least for length, least in _CHANGES):
            return True
        length, digits = _PREFIXED
        if prefixed and len(word) >= length and sum(map(str.isdigit, word)) >= digits:
            return True
    too_many = sum(changes) >= MOST_CHANGES or sum(map(str.isdigit, text)) >= MOST_DIGITS
    return too_many or bool(re.fullmatch(r"A[KS]IA[A-Z0-9]{16}", text))
