"""The keys of params.yaml that a message asks the user to change, spelled in this place alone."""

from __future__ import annotations

BASE_URL = "api.server.base_url"
BUDGET = "api.limits.budget_usd"
ENDPOINT = "api.server.endpoint"
KEY_ENV = "api.limits.key_env"
MAX_ATTEMPTS = "api.limits.max_attempts"
MAX_MINUTES = "api.limits.max_minutes"
MODE = "api.server.mode"
PORT = "api.limits.port"
STORE = "api.limits.store"

# Parameters of a request, and the key that sets each; in a server's message the first match wins.
PARAMETER_KEYS = {
    "temperature": "conditions.{name}.temperature",
    "reasoning": "conditions.{name}.reasoning_effort",
    "max_output_tokens": "decoding.max_new_tokens",
    "max_completion_tokens": "decoding.max_new_tokens",
    "text": "conditions.{name}.output",
    "response_format": "conditions.{name}.output",
    "model": "conditions.{name}.model",
}


def condition_key(name: str) -> str:
    """Key of a condition, for what cannot be told to be one setting's fault."""
    return f"conditions.{name}"


def parameter_key(parameter: str, condition_name: str) -> str:
    """Key that sets a parameter of a request, one of ``PARAMETER_KEYS``."""
    return PARAMETER_KEYS[parameter].format(name=condition_name)
