"""Which server a condition is asked at: its own, or that of all others."""

from __future__ import annotations

from lora_vs_api.config.sections import EmbeddedServer, LlamaCppServer, OpenAIServer, Params


def server_of(params: Params, name: str) -> EmbeddedServer | LlamaCppServer | OpenAIServer:
    """The server of condition ``name``; live or in a batch, and with which tokenizer, is for all the same."""
    server, own = params.api.server, params.conditions[name].server
    if own is None or not isinstance(server, OpenAIServer):
        return server
    return server.model_copy(
        update={
            "base_url": own.base_url,
            "endpoint": own.endpoint,
            "token_limit": own.token_limit,
            "instruction_role": own.instruction_role,
        }
    )


def key_variable(params: Params, name: str) -> str | None:
    """The environment variable that holds the key for that server; None for a server that wants none."""
    own = params.conditions[name].server
    return params.api.limits.key_env if own is None else own.key_env
