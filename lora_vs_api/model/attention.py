"""Attention on a CPU, as plain matrix products.

torch's fused attention saves memory traffic on a GPU; on a CPU its backward pass takes several
times as long as plain products at the few hundred tokens of an email, and for one new token it
first writes out every key head once for each query head that shares it. So scores are computed in
full here, with the query heads of a key head in one product.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PretrainedConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "grouped_products"
# models whose attention is a softmax over scores and nothing more: no soft-capping, no sinks
PLAIN = ("llama", "mistral", "qwen2", "qwen3", "smollm3")

# position encodings whose angles change with the length of the text
MOVING_ROPE = {"dynamic", "longrope"}

# scores of one layer that are still written out in full; a GB in float32
MAX_SCORES = 2**28


def has_plain_attention(config: PretrainedConfig) -> bool:
    """Whether every layer attends to all earlier tokens by the formula of :func:`grouped_attention`.

    And by nothing else: keys that were computed for a shorter text have to stay what they are.
    """
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        # mistral has no list: one window for every layer, or none
        window = getattr(config, "sliding_window", None)
        kinds = ["full_attention" if window is None else "sliding_attention"]
    return (
        config.model_type in PLAIN
        and set(kinds) == {"full_attention"}
        and _rope_types(config).isdisjoint(MOVING_ROPE)
    )


def _rope_types(config: PretrainedConfig) -> set[str]:
    """How positions are turned into angles, in the form of transformers 5 or an older config's."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    nested = [entry for entry in rope.values() if isinstance(entry, dict)] or [rope]
    return {str(entry.get("rope_type", entry.get("type", "default"))) for entry in nested}


@contextmanager
def own_attention(model: PreTrainedModel) -> Iterator[None]:
    """``model`` with the attention that transformers gives it."""
    replaced = model.config._attn_implementation == NAME
    restore_attention(model)
    try:
        yield
    finally:
        if replaced:
            model.set_attn_implementation(NAME)


def restore_attention(model: PreTrainedModel) -> None:
    """Take :func:`grouped_attention` out again where it is in."""
    if model.config._attn_implementation == NAME:
        model.set_attn_implementation("sdpa")


def grouped_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """softmax(Q Kᵀ · scaling + mask) V, as transformers' eager attention computes it.

    Args:
        query: (batch, heads, queries, width).
        key, value: (batch, key heads, keys, width); heads is a multiple of key heads.
        attention_mask: (batch, 1, queries, keys), added to the scores.

    Returns:
        (batch, queries, heads, width), and None for the weights.
    """
    batch, heads, queries, width = query.shape
    groups, keys = key.shape[1], key.shape[2]
    if batch * heads * queries * keys > MAX_SCORES:
        # a long text: now the memory counts
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling
        )
    # scaling the queries instead of the scores: they are far fewer
    q = (query * scaling).reshape(batch * groups, heads // groups * queries, width)
    k = key.reshape(batch * groups, keys, width)
    v = value.reshape(batch * groups, keys, width)
    if queries == 1:
        # a product with the transposed keys would copy all of them for one new token
        scores = torch.bmm(k, q.transpose(1, 2)).transpose(1, 2).reshape(batch, heads, 1, keys)
    else:
        scores = torch.bmm(q, k.transpose(1, 2)).view(batch, heads, queries, keys)
    if attention_mask is not None:
        scores = scores + attention_mask[..., :keys]
    # softmax itself computes in float32 and rounds once, like a cast before and one after
    weights = functional.softmax(scores, dim=-1)
    if dropout:
        weights = functional.dropout(weights, dropout, module.training)
    mixed = torch.bmm(weights.view(batch * groups, -1, keys), v)
    return mixed.view(batch, heads, queries, width).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, grouped_attention)
AttentionMaskInterface.register(NAME, eager_mask)
