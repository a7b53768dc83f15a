"""Attention on a CPU, as plain matrix products.

torch's fused attention saves memory traffic on a GPU; on a CPU its backward pass takes several
times as long as plain products at the few hundred tokens of an email, and for one new token it
first writes out every key head once for each query head that shares it. So scores are computed in
full here, with the query heads of a key head in one product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PretrainedConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask

NAME = "grouped_products"
# models whose attention is a softmax over scores and nothing more: no soft-capping, no sinks
PLAIN = ("llama", "mistral", "qwen2", "qwen3", "smollm3")

# scores of one layer that are still written out in full; a GB in float32
MAX_SCORES = 2**28


def has_plain_attention(config: PretrainedConfig) -> bool:
    """Whether every layer attends to all earlier tokens by the formula of :func:`grouped_attention`."""
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    return config.model_type in PLAIN and set(kinds) == {"full_attention"}


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
