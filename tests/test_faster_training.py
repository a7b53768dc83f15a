"""The parts of training that were rewritten for speed are the plain ones, backward too."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from transformers import LlamaConfig, Qwen2Config
from transformers.models.llama.modeling_llama import eager_attention_forward

from lora_vs_api.model import attention
from lora_vs_api.model.attention import grouped_attention, has_plain_attention
from lora_vs_api.training import fused_loss as losses
from lora_vs_api.training.fused_loss import completion_loss
from lora_vs_api.training.trainer import shared_prefix


@pytest.mark.parametrize("limit", [attention.MAX_SCORES, 0], ids=["full", "long text"])
@pytest.mark.parametrize("cached", [0, 7])
def test_attention_is_the_eager_one(cached, limit, monkeypatch):
    """Grouped heads, a mask, and keys from a shared prefix: outputs and gradients agree."""
    monkeypatch.setattr(attention, "MAX_SCORES", limit)
    generator = torch.Generator().manual_seed(0)

    def draw(heads, tokens):
        shape = (2, heads, tokens, 8)
        return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)

    query, key, value = draw(6, 5), draw(2, 5 + cached), draw(2, 5 + cached)
    seen = torch.ones(5, 5 + cached).tril(cached)[None, None].expand(2, 1, -1, -1)
    mask = torch.where(seen > 0, 0.0, -1e9).double()
    module = nn.Module()
    module.num_key_value_groups = 3
    weight = torch.randn(2, 5, 6, 8, generator=generator, dtype=torch.float64)
    found = []
    for attend in (grouped_attention, eager_attention_forward):
        output, _ = attend(module, query, key, value, mask, 8**-0.5)
        gradients = torch.autograd.grad((output * weight).sum(), (query, key, value))
        found.append((output, *gradients))
    for ours, theirs in zip(*found):
        # transformers rounds its softmax to float32
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_only_plain_attention_is_replaced():
    """A sliding window or a kind of model that is not known keeps its own attention."""
    assert has_plain_attention(LlamaConfig())
    assert has_plain_attention(Qwen2Config())
    assert not has_plain_attention(
        Qwen2Config(use_sliding_window=True, max_window_layers=0, sliding_window=64)
    )
    other = LlamaConfig()
    other.model_type = "gemma2"
    assert not has_plain_attention(other)


@pytest.mark.parametrize("rows", [3, 64])
def test_completion_loss_is_the_cross_entropy(rows, monkeypatch):
    """In chunks or in one piece, the sum and the gradient of the states are torch's."""
    monkeypatch.setitem(losses.ROWS, "cpu", rows)
    torch.manual_seed(0)
    head = nn.Linear(16, 50, bias=False).requires_grad_(False)
    hidden = torch.randn(20, 16, requires_grad=True)
    labels = torch.randint(0, 50, (20,))
    ours = completion_loss(hidden, labels, head)
    (gradient,) = torch.autograd.grad(3 * ours, hidden)
    theirs = functional.cross_entropy(head(hidden), labels, reduction="sum")
    (expected,) = torch.autograd.grad(3 * theirs, hidden)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient, expected)


def test_an_output_layer_with_more_to_it_is_left_alone():
    """A bias, or a matrix that is trained itself, needs gradients that this loss does not give."""
    hidden, labels = torch.randn(4, 8), torch.zeros(4, dtype=torch.long)
    assert completion_loss(hidden, labels, nn.Linear(8, 9)) is None
    assert completion_loss(hidden, labels, nn.Linear(8, 9, bias=False)) is None
    frozen = nn.Linear(8, 9, bias=False).requires_grad_(False)
    assert completion_loss(hidden[:0], labels[:0], frozen) is None


@given(
    prefix=st.integers(0, 6),
    tails=st.lists(st.lists(st.integers(2, 5), min_size=1, max_size=5), min_size=2, max_size=4),
    prompt=st.integers(0, 9),
)
@settings(deadline=None)
def test_nothing_is_shared_that_differs_or_is_scored(prefix, tails, prompt):
    """The shared part is equal in all examples, without padding, and leaves every label behind it."""
    width = prefix + max(map(len, tails))
    ids = torch.tensor([[1] * prefix + tail + [0] * (width - prefix - len(tail)) for tail in tails])
    mask = (ids > 0).long()
    labels = torch.where((mask == 1) & (torch.arange(width) >= prompt), ids, -100)
    shared = shared_prefix(ids, mask, labels)
    assert (ids[:, :shared] == ids[:1, :shared]).all() and mask[:, :shared].all()
    # the state at the last shared token predicts a token that is not scored
    assert shared == 0 or (labels[:, : shared + 1] == -100).all()
    assert shared_prefix(ids[:1], mask[:1], labels[:1]) == 0
