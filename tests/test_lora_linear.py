"""The written-out LoRA layer is peft's, forward and backward."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from lora_vs_api.training.fused_lora import speed_up_lora

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def tuned(dropout: float = 0.0, dtype: torch.dtype = torch.float64, **config):
    """A random model with an adapter whose B is not zero, as after some training."""
    torch.manual_seed(0)
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, attn_implementation="eager",
        )
    )  # fmt: skip
    model = get_peft_model(
        llama.to(dtype),
        LoraConfig(r=4, lora_alpha=8, lora_dropout=dropout, target_modules=MODULES, **config),
    )
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = torch.randn_like(weight) * 0.2
    return model.train()


def loss_and_gradients(model):
    torch.manual_seed(1)
    ids = torch.randint(0, 64, (3, 11), generator=torch.Generator().manual_seed(2))
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    return loss.item(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_loss_and_gradients_are_pefts(dropout):
    """In float64 nothing but rounding may differ, with dropout drawn in the same order too."""
    plain = tuned(dropout)
    fast = copy.deepcopy(plain)
    assert speed_up_lora(fast) == 2 * len(MODULES)
    expected_loss, expected = loss_and_gradients(plain)
    loss, gradients = loss_and_gradients(fast)
    assert loss == pytest.approx(expected_loss, abs=1e-6)
    assert gradients.keys() == expected.keys() and len(expected) == 4 * len(MODULES)
    for name, gradient in gradients.items():
        assert gradient.dtype == expected[name].dtype
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


def test_half_precision_is_as_exact_as_pefts():
    """bfloat16 base, float32 adapter: no further from the float64 gradient than peft's own."""
    plain = tuned(dtype=torch.bfloat16)
    exact, fast = copy.deepcopy(plain).double(), copy.deepcopy(plain)
    speed_up_lora(fast)
    _, truth = loss_and_gradients(exact)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, expected = loss_and_gradients(plain)
        _, gradients = loss_and_gradients(fast)

    def error(found):
        return sum(
            ((found[name].double() - gradient).norm() / gradient.norm()).item()
            for name, gradient in truth.items()
        )

    assert all(gradient.dtype == torch.float32 for gradient in gradients.values())
    assert error(gradients) < 1.2 * error(expected)


def test_evaluation_has_no_dropout():
    model = tuned(0.5)
    speed_up_lora(model)
    model.eval()
    ids = torch.arange(10)[None]
    assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)


def test_other_kinds_of_layers_keep_their_own_forward():
    """DoRA is another function; speeding it up as LoRA would train something else."""
    assert speed_up_lora(tuned(use_dora=True)) == 0
