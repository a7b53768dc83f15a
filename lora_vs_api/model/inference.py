"""Greedy generation with a local model: batched for predictions, one at a time for latency."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from lora_vs_api.task.prompt import Message


@dataclass(frozen=True)
class Generation:
    """One answer: its text, whether the token limit cut it, and its token counts."""

    output: str
    truncated: bool
    input_tokens: int
    output_tokens: int


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[Message]) -> list[int]:
    """Token ids of the chat up to where the assistant's answer begins."""
    return list(
        tokenizer.apply_chat_template(list(prompt), add_generation_prompt=True, return_dict=False)
    )


def check_room(tokenizer: PreTrainedTokenizerBase, completions: Sequence[str], limit: int) -> None:
    """Make sure that every gold answer fits into the token limit.

    Raises:
        UserError: a model that answers perfectly would be cut off.
    """
    longest = max(len(tokenizer(text)["input_ids"]) + 1 for text in completions)
    if longest > limit:
        raise UserError(
            f"evaluate.max_new_tokens: {limit} is too few, the longest record takes {longest} tokens"
        )


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[Message]],
    *,
    max_new_tokens: int,
    batch_size: int,
    description: str,
) -> list[Generation]:
    """Greedy answers to ``prompts``, in their order.

    Prompts of like length share a batch, the longest first, so that little is padded and a
    batch that does not fit into memory fails at once.
    """
    encoded = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    order = sorted(range(len(encoded)), key=lambda index: (-len(encoded[index]), index))
    answers: dict[int, Generation] = {}
    with tqdm(total=len(prompts), desc=description, unit="email") as progress:
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            batch = _generate_batch(model, tokenizer, [encoded[i] for i in indices], max_new_tokens)
            answers.update(zip(indices, batch, strict=True))
            progress.update(len(indices))
    return [answers[index] for index in range(len(prompts))]


def measure_latency(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[Message]],
    *,
    max_new_tokens: int,
    description: str,
) -> list[float]:
    """Seconds each prompt takes from text to text when it is the only one under way.

    The first prompt is asked once more beforehand and that answer thrown away: it pays for
    one-off set-up that no later request pays.
    """
    seconds = []
    for index, prompt in enumerate(tqdm([prompts[0], *prompts], desc=description, unit="email")):
        _synchronise(model)
        started = time.perf_counter()
        _generate_batch(model, tokenizer, [encode_prompt(tokenizer, prompt)], max_new_tokens)
        _synchronise(model)
        if index:
            seconds.append(time.perf_counter() - started)
    return seconds


@torch.inference_mode()
def _generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    encoded: Sequence[list[int]],
    max_new_tokens: int,
) -> list[Generation]:
    width = max(len(ids) for ids in encoded)
    pad = tokenizer.pad_token_id
    input_ids = torch.tensor([[pad] * (width - len(ids)) + ids for ids in encoded])
    attention = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in encoded])
    ends = _end_tokens(model, tokenizer)
    produced = model.generate(
        input_ids=input_ids.to(model.device),
        attention_mask=attention.to(model.device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        # a base model's own generation config may ask for sampling at some temperature
        temperature=None,
        top_p=None,
        top_k=None,
        eos_token_id=sorted(ends),
        pad_token_id=pad,
    )[:, width:].tolist()
    answers = []
    for ids, tokens in zip(encoded, produced, strict=True):
        stop = next((i for i, token in enumerate(tokens) if token in ends), None)
        kept = tokens if stop is None else tokens[:stop]
        answers.append(
            Generation(
                output=tokenizer.decode(kept, skip_special_tokens=True),
                truncated=stop is None,
                input_tokens=len(ids),
                # the end-of-turn token is generated and billed too
                output_tokens=len(kept) + (stop is not None),
            )
        )
    return answers


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Tokens that end an answer: the chat's end of turn and what the model itself declares."""
    declared = model.generation_config.eos_token_id
    if not isinstance(declared, list):
        declared = [declared]
    return {tokenizer.eos_token_id, *(token for token in declared if token is not None)}


def _synchronise(model: PreTrainedModel) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize()
