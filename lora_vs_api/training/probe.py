"""Whether the fast way to the loss is the model's own, shown on a probe batch before training.

The fast way reads the decoder's last states, shares the prompt's beginning among the examples of a
batch and replaces attention and LoRA layers. A model that scales or caps its logits, or does
anything else the fast way does not know of, would so be trained on another function than the one
that answers. No list of architectures is complete, so each model is asked: what its output layer
gives has to be its logits, untouched, and the loss and the norm of its gradient have to be those of
its own forward with its own layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from accelerate.utils import AutocastKwargs  # type: ignore[import-untyped]
from torch import Tensor, nn

from lora_vs_api.errors import UserError
from lora_vs_api.log import say
from lora_vs_api.model.attention import own_attention, restore_attention
from lora_vs_api.training.fused_lora import restore_lora, speed_up_lora
from lora_vs_api.training.same_bytes import allow_any_order, is_refused
from lora_vs_api.training.trainer import CompletionTrainer

# how far loss and norm of the gradient may lie from the model's own, relative to those. Where the
# probe cannot be computed in float32, both ways round after every product, each in its own places
EXACT, ROUNDED = (1e-3, 1e-3), (1e-2, 5e-2)
# what the logits are moved by, from the first token of the vocabulary to the last: a model that
# scales or caps them gives others then, however close to zero they were
SPREAD = 50.0
# of a GPU's free memory, what the float32 weights of the probe may take
MEMORY_SHARE = 0.5
# of the shortest examples: the tokens kept of where a prompt begins, and up to the end of what is
# learnt; two lengths, so that one of the two is padded
FIRST, LAST = 8, (32, 16)
# of adapter weights that start at zero, behind which whatever else is wrong would not be seen
NOISE = 0.02
HALF = (torch.bfloat16, torch.float16)

Way = Literal["fast", "own loss", "own"]


@dataclass(frozen=True)
class Probe:
    """Loss of the probe batch, in nats per token, and the norm of its gradient."""

    loss: float
    gradient: float


def settle_way(trainer: CompletionTrainer, description: str) -> Way:
    """Let ``trainer`` compute as fast as is proven right; say which way that is and return it.

    ``fast`` is all there is; ``own loss`` is the model's own forward over the faster layers; ``own``
    leaves the layers alone too. Weights, gradients and random state come out as they went in.

    Raises:
        UserError: the model's own forward cannot be trained by this method, or its loss is no number.
    """
    model = cast(nn.Module, trainer.model)
    batch = _probe_batch(trainer)
    with _undisturbed(model), _in_float32(trainer) as exact:
        trainer.fast = False
        with own_attention(trainer.language_model):
            expected = _own(trainer, batch, description)
            untouched = _logits_are_the_heads(trainer.language_model, batch)
        speed_up_lora(model)
        found = _attempt(trainer, batch, fast=True)
        if isinstance(found, str):
            reason = found
        elif not untouched:
            reason = "the model does more to its logits"
        elif not _agree(found, expected, exact):
            reason = f"the fast way gives {found.loss:.4g}"
        else:
            trainer.fast = True
            say(f"{description}: computed the fast way, which is the model's own on a probe batch")
            return "fast"
        way: Way = "own loss"
        if not _agree(_attempt(trainer, batch, fast=False), expected, exact):
            way = "own"
            restore_lora(model)
            restore_attention(trainer.language_model)
    say(
        f"{description}: computed by the model's own forward, whose loss on a probe batch is "
        f"{expected.loss:.4g}; not the fast way: {reason}"
    )
    return way


def _own(trainer: CompletionTrainer, batch: dict[str, Any], description: str) -> Probe:
    found = _attempt(trainer, batch, fast=False)
    if isinstance(found, str) and is_refused(found):
        say(f"{description}: another run of it will differ in the last digits: {found}")
        allow_any_order()
        found = _attempt(trainer, batch, fast=False)
    if isinstance(found, str) and trainer.aux_loss_enabled:
        # a kind of model that may be a mixture, in a form that has no experts (Granite 4.0 nano and micro)
        trainer.leave_out_routers()
        without = _attempt(trainer, batch, fast=False)
        if isinstance(without, Probe):
            say(
                f"{description}: without a loss of its routers, which the model does not give: {found}"
            )
            found = without
    if isinstance(found, Probe):
        if not math.isfinite(found.loss):
            raise UserError(
                f"model.weights: the base model's own loss on a probe batch is {found.loss}, before any "
                "training: its weights hold a number that is none (NaN or infinite), or numbers too large "
                "for their type; fetch them again, or use another base model"
            )
        return found
    config = trainer.language_model.config
    raise UserError(
        f"a {config.model_type} model cannot be trained like this: {found}; another way of tuning "
        "(lora.adapter.variant, tunings) may work, or another base model (model.weights)"
    )


def _attempt(trainer: CompletionTrainer, batch: dict[str, Any], *, fast: bool) -> Probe | str:
    """The probe by one way, or in a line what prevented it. ``trainer`` is not fast afterwards."""
    trainer.fast = fast
    try:
        return _measured(trainer, batch)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    finally:
        trainer.fast = False


def _measured(trainer: CompletionTrainer, batch: dict[str, Any]) -> Probe:
    model = cast(nn.Module, trainer.model)
    learnt = [weight for weight in model.parameters() if weight.requires_grad]
    # every way drops the same
    torch.manual_seed(0)
    loss = trainer.compute_loss(model, dict(batch))
    # not backward: gradients that are there already would grow
    gradients = torch.autograd.grad(loss, learnt, allow_unused=True)
    squares = sum(float(g.float().square().sum()) for g in gradients if g is not None)
    return Probe(float(loss.detach()), squares**0.5)


def _agree(found: Probe | str, expected: Probe, exact: bool) -> bool:
    """Whether two ways give the same; never where one gives no number."""
    if isinstance(found, str):
        return False
    of_loss, of_gradient = EXACT if exact else ROUNDED
    return (
        abs(found.loss - expected.loss) <= of_loss * expected.loss
        and abs(found.gradient - expected.gradient) <= of_gradient * expected.gradient
    )


@torch.no_grad()
def _logits_are_the_heads(model: Any, batch: dict[str, Any]) -> bool:
    """Whether ``model`` puts the decoder's last states through its output layer, and no more.

    Shown on logits that are spread wide: those of a model that knows little are so close to zero
    that a cap changes nothing yet.
    """
    head, seen = model.get_output_embeddings(), {}

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        seen["states"] = output[0]

    def move(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        seen["input"] = inputs[0]
        width = output.shape[-1]
        seen["logits"] = output + torch.linspace(-SPREAD, SPREAD, width, device=output.device)
        return seen["logits"]

    if head is None:
        return False
    handles = [model.base_model.register_forward_hook(keep), head.register_forward_hook(move)]
    try:
        logits = model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
        ).logits
    finally:
        for handle in handles:
            handle.remove()
    return (
        "states" in seen
        and "logits" in seen
        and torch.equal(seen["states"].float(), seen["input"].float())
        and torch.equal(seen["logits"].float(), logits.float())
    )


def _probe_batch(trainer: CompletionTrainer) -> dict[str, Any]:
    """The two shortest examples, the middle of their prompts cut out: a fraction of a second's work."""
    examples = cast(Any, trainer.train_dataset)
    order = sorted(
        range(len(examples)), key=lambda index: (len(examples[index]["input_ids"]), index)
    )
    rows = []
    for index, last in zip(order, LAST, strict=False):
        row = examples[index]
        rows.append(
            {
                name: row[name]
                if len(row[name]) <= FIRST + last
                else [*row[name][:FIRST], *row[name][-last:]]
                for name in ("input_ids", "labels")
            }
        )
    batch: dict[str, Any] = trainer._prepare_inputs(trainer.data_collator(rows))
    return batch


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """With adapter weights that are not zero and a random state of its own; all put back at the end."""
    training = model.training
    zero = [
        weight for weight in model.parameters() if weight.requires_grad and not bool(weight.any())
    ]
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(), torch.no_grad():
        model.train()
        for weight in zero:
            noise = torch.randn(weight.shape, generator=generator) * NOISE
            weight.copy_(noise.to(weight))
        try:
            with torch.enable_grad():
                yield
        finally:
            for weight in zero:
                weight.zero_()
            model.train(training)


@contextmanager
def _in_float32(trainer: CompletionTrainer) -> Iterator[bool]:
    """Compute in float32 where that fits; whether it does. Half-precision weights survive exactly."""
    weights = list(cast(nn.Module, trainer.model).parameters())
    half = [(weight, weight.dtype) for weight in weights if weight.dtype in HALF]
    packed = any(not weight.dtype.is_floating_point for weight in weights)
    needed = sum(4 * weight.numel() for weight, _ in half)
    cuda = any(weight.is_cuda for weight in weights)
    if packed or (cuda and needed > MEMORY_SHARE * torch.cuda.mem_get_info()[0]):
        yield False
        return
    accelerator = trainer.accelerator
    handler, accelerator.autocast_handler = (
        accelerator.autocast_handler,
        AutocastKwargs(enabled=False),
    )
    for weight, _ in half:
        weight.data = weight.data.float()
    try:
        yield True
    finally:
        for weight, dtype in half:
            weight.data = weight.data.to(dtype)
        accelerator.autocast_handler = handler
