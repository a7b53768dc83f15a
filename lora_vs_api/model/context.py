"""How long a text a model can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# what families call it, the most common first: Llama and most, GPT-2, GPT-J, MPT, Falcon-H
NAMES = (
    "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length", "max_seq_length",
)  # fmt: skip


def context_length(config: Mapping[str, Any]) -> int | None:
    """Tokens of prompt and answer together, by a model's config.json; None where it names no limit.

    A multimodal model has that of its texts in ``text_config``. State-space models have no limit.
    """
    for part in (config, config.get("text_config") or {}, config.get("llm_config") or {}):
        for name in NAMES:
            if isinstance(part.get(name), int):
                return int(part[name])
    return None
