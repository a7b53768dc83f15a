"""LoRA's linear layers without the passes over memory that their plain form takes.

peft computes ``base(x) + lora_B(lora_A(dropout(x))) * scaling`` as it stands there: it casts the
input to the adapter's float32 and autocast casts it back, then come a product, a scaling and a sum
over tensors as large as the output, and as many again in the backward pass. With a rank of 16 the
adapter's arithmetic is a few percent of the layer's; on a CPU those passes are most of its time.
Here the same function is two matrix products into one buffer, with its gradient written out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.nn import functional


class _LoraProduct(torch.autograd.Function):
    """y = x Wᵀ + s (d Aᵀ) Bᵀ, where d is x after dropout; W is frozen.

    Shapes: x and d (n, in), W (out, in), A (r, in), B (out, r), y (n, out); all of one dtype.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dropped: Tensor | None, w: Tensor, a: Tensor, b: Tensor, scaling: float
    ) -> Tensor:
        down = (x if dropped is None else dropped) @ a.t()
        y = x @ w.t()
        y.addmm_(down, b.t(), alpha=scaling)
        # x itself is needed for the gradient of A only, and only where it was what A saw
        ctx.save_for_backward(x if dropped is None else dropped, down, w, a, b)
        ctx.scaling, ctx.separate = scaling, dropped is not None
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        seen, down, w, a, b = ctx.saved_tensors
        gradient = gradients[0]
        through = gradient @ b
        of_x = of_dropped = None
        if ctx.needs_input_grad[0]:
            of_x = gradient @ w
            if not ctx.separate:
                of_x.addmm_(through, a, alpha=ctx.scaling)
        if ctx.separate and ctx.needs_input_grad[1]:
            of_dropped = (through @ a).mul_(ctx.scaling)
        of_a = (through.t() @ seen).mul_(ctx.scaling)
        of_b = (gradient.t() @ down).mul_(ctx.scaling)
        return of_x, of_dropped, None, of_a, of_b, None


def speed_up_lora(model: nn.Module) -> int:
    """Replace the forward of every plain LoRA linear layer of ``model``; return how many.

    Layers of another kind (DoRA, quantised, with a bias of their own, several active adapters)
    keep peft's forward. The function computed is the same up to rounding.
    """
    found = 0
    for layer in model.modules():
        if isinstance(layer, Linear) and _is_plain(layer):
            layer.forward = _forward_of(layer)  # type: ignore[method-assign]
            found += 1
    return found


def restore_lora(model: nn.Module) -> None:
    """Give every layer that :func:`speed_up_lora` changed its own forward back."""
    for layer in model.modules():
        if isinstance(layer, Linear):
            vars(layer).pop("forward", None)


def _is_plain(layer: Linear) -> bool:
    active = layer.active_adapters
    return (
        len(active) == 1
        and active[0] in layer.lora_A
        and active[0] not in layer.lora_variant
        and type(layer.base_layer) is nn.Linear
        and layer.base_layer.bias is None
        and layer.lora_A[active[0]].bias is None
        and layer.lora_B[active[0]].bias is None
    )


def _forward_of(layer: Linear) -> Callable[..., Tensor]:
    name = layer.active_adapters[0]
    weight, scaling = cast(nn.Linear, layer.base_layer).weight, layer.scaling[name]
    down, up = cast(nn.Linear, layer.lora_A[name]), cast(nn.Linear, layer.lora_B[name])
    dropout = layer.lora_dropout[name]
    rate = dropout.p if isinstance(dropout, nn.Dropout) else 0.0

    def forward(x: Tensor) -> Tensor:
        # the base's precision decides; the adapter's own weights stay float32 for the optimiser
        flat = x.reshape(-1, x.shape[-1]).to(weight.dtype)
        dropped = functional.dropout(flat, rate) if rate and layer.training else None
        with torch.autocast(x.device.type, enabled=False):
            y = _LoraProduct.apply(
                flat,
                dropped,
                weight,
                down.weight.to(weight.dtype),
                up.weight.to(weight.dtype),
                scaling,
            )
        return y.view(*x.shape[:-1], weight.shape[0])

    return forward
