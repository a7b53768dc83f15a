"""The keys of params.yaml that a message asks the user to change, spelled in this place alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lora_vs_api.errors import UserError

BASE_URL = "api.server.base_url"
BUDGET = "api.limits.budget_usd"
CONTEXT = "api.server.context"
ENDPOINT = "api.server.endpoint"
KEY_ENV = "api.limits.key_env"
MAX_ATTEMPTS = "api.limits.max_attempts"
MAX_MINUTES = "api.limits.max_minutes"
MODE = "api.server.mode"
PORT = "api.limits.port"
ROLE = "api.server.instruction_role"
STORE = "api.limits.store"
TOKEN_LIMIT = "api.server.token_limit"

# Parameters of a request, and the key that sets each. The limit of an answer's tokens has two: one
# for how many, one for the parameter's name (TOKEN_LIMIT).
PARAMETER_KEYS = {
    "temperature": "conditions.{name}.temperature",
    "reasoning": "conditions.{name}.reasoning_effort",
    "max_output_tokens": "conditions.{name}.max_output_tokens",
    "max_completion_tokens": "conditions.{name}.max_output_tokens",
    "max_tokens": "conditions.{name}.max_output_tokens",
    "text": "conditions.{name}.output",
    "response_format": "conditions.{name}.output",
    "role": ROLE,
    "extra_body": "conditions.{name}.extra_body",
    "store": ENDPOINT,
    "model": "conditions.{name}.model",
}
LIMITS = ("max_output_tokens", "max_completion_tokens", "max_tokens")


def condition_key(name: str) -> str:
    """Key of a condition, for what cannot be told to be one setting's fault."""
    return f"conditions.{name}"


def refusal_key(name: str) -> str:
    """Key that says what a refused text counts as."""
    return f"conditions.{name}.on_refusal"


def parameter_key(parameter: str, condition_name: str) -> str:
    """Key that sets a parameter of a request, one of ``PARAMETER_KEYS``."""
    return PARAMETER_KEYS[parameter].format(name=condition_name)


# those that a condition with a server of its own has itself
OWN_KEYS = (BASE_URL, ENDPOINT, KEY_ENV, ROLE, TOKEN_LIMIT)


def own_key(key: str, condition_name: str) -> str:
    """What ``key`` is called where the condition has a server of its own."""
    return f"conditions.{condition_name}.server.{key.rpartition('.')[2]}"


def in_own(text: str, condition_name: str) -> str:
    """``text`` with the keys of the condition's own server for those of all others'."""
    for key in OWN_KEYS:
        text = text.replace(key, own_key(key, condition_name))
    return text


@contextmanager
def named_for(condition_name: str, *, own: bool) -> Iterator[None]:
    """Errors name the keys of the condition's ``own`` server: another's are not what has to change."""
    try:
        yield
    except UserError as error:
        if not own:
            raise
        raise UserError(in_own(str(error), condition_name)) from None
