"""Cross-entropy of completion tokens without the logits of all of them at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# rows of logits held at once: 64 of 49,152 tokens are 12 MB in float32, which stay in a CPU's cache
ROWS = {"cpu": 64, "cuda": 2048}


class _CompletionLoss(torch.autograd.Function):
    """Summed cross-entropy of hidden states against labels, for a frozen output matrix.

    The gradient of the hidden states is worked out on the way, so that no logits are kept for
    the backward pass: the idea of Liger Kernel's fused linear cross-entropy (Hsu et al., 2024).
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        total = hidden.new_zeros((), dtype=torch.float32)
        gradient = torch.empty_like(hidden)
        step = ROWS.get(hidden.device.type, 2048)
        for start in range(0, len(hidden), step):
            rows = slice(start, start + step)
            logits = (hidden[rows] @ weight.t()).float()
            normaliser = logits.logsumexp(dim=-1, keepdim=True)
            label = labels[rows, None]
            total += (normaliser - logits.gather(1, label)).sum()
            # softmax minus one at the label, in place
            difference = logits.sub_(normaliser).exp_()
            difference.scatter_add_(1, label, torch.full_like(label, -1.0, dtype=torch.float32))
            torch.matmul(difference.to(weight.dtype), weight, out=gradient[rows])
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0].to(gradient.dtype), None, None


def completion_loss(hidden: Tensor, labels: Tensor, head: torch.nn.Module) -> Tensor | None:
    """Sum of the cross-entropies, in nats; None where ``head`` is more than a frozen matrix.

    Args:
        hidden: (tokens, width), the states that predict the labels.
        labels: (tokens,), vocabulary indices.
        head: the model's output layer.
    """
    if type(head) is not torch.nn.Linear or head.bias is not None or head.weight.requires_grad:
        return None
    if len(hidden) == 0:
        return None
    with torch.autocast(hidden.device.type, enabled=False):
        total: Tensor = _CompletionLoss.apply(hidden.to(head.weight.dtype), labels, head.weight)
    return total
