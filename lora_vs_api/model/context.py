"""Which texts a model can hold: how long, and of which tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# what families call it, the most common first: Llama and most, GPT-2, GPT-J, MPT, Falcon-H
NAMES = (
    "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length", "max_seq_length",
)  # fmt: skip


def context_length(config: Mapping[str, Any]) -> int | None:
    """Tokens of prompt and answer together, by a model's config.json; None where it names no limit.

    A multimodal model has that of its texts in ``text_config``. State-space models have no limit. A
    rotation that is stretched (YaRN) holds its ``factor`` times what it was before, where the config says
    that: models' cards tell to write it there, and to leave the rest as it is. A stretch without that
    (linear, dynamic) may be counted in or not, so that the config's number holds.
    """
    for part in (config, config.get("text_config") or {}, config.get("llm_config") or {}):
        for name in NAMES:
            if isinstance(part.get(name), int):
                return max(int(part[name]), _stretched(part))
    return None


def _stretched(config: Mapping[str, Any]) -> int:
    """Tokens that a stretched rotation holds; 0 where there is none that says so."""
    rope = config.get("rope_scaling") or config.get("rope_parameters")
    if not isinstance(rope, Mapping):
        return 0
    before, factor = rope.get("original_max_position_embeddings"), rope.get("factor")
    if not isinstance(before, int) or not isinstance(factor, int | float):
        return 0
    return int(before * factor)


def held_beyond(tokenizer: PreTrainedTokenizerBase, rows: float, text: str) -> str | None:
    """A token in ``text`` that the model has no row for, such as a pad token that was added to the tokenizer alone."""
    added = tokenizer.added_tokens_decoder.items()
    beyond = (str(token) for place, token in added if place >= rows)
    return next((token for token in beyond if token in text), None)
