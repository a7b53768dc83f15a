"""Greedy generation with a local model: batched for predictions, one at a time for latency."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm
from transformers import DynamicCache

from lora_vs_api.errors import UserError
from lora_vs_api.model.attention import has_plain_attention
from lora_vs_api.model.energy import Meter, joules_between

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


@dataclass(frozen=True)
class Prefix:
    """The tokens that all prompts begin with, and their keys and values for a batch of one.

    The instruction is most of a short prompt: computed once, it is not computed for every email.
    ``cache`` is None where nothing is shared.
    """

    ids: tuple[int, ...] = ()
    cache: DynamicCache | None = None

    def for_batch(self, size: int) -> DynamicCache | None:
        """A copy for ``size`` prompts, which generating may extend."""
        if self.cache is None:
            return None
        cache = copy.deepcopy(self.cache)
        cache.batch_repeat_interleave(size)
        return cache


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


@torch.inference_mode()
def compute_prefix(model: PreTrainedModel, encoded: Sequence[Sequence[int]]) -> Prefix:
    """What the prompts ``encoded`` have in common at their beginning, computed.

    Nothing for a single prompt, and nothing for a model whose layers do not all attend to all
    earlier tokens: its cache may not be one that can be continued.
    """
    if len(encoded) < 2 or not has_plain_attention(model.config):
        return Prefix()
    # without the last token: one of each prompt has to be left to predict from
    columns = zip(*(ids[:-1] for ids in encoded), strict=False)
    ids = tuple(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))
    if not ids:
        return Prefix()
    cache = DynamicCache(config=model.config)
    model.base_model(
        input_ids=torch.tensor([ids], device=model.device), past_key_values=cache, use_cache=True
    )
    return Prefix(ids, cache)


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
    batch that does not fit into memory fails at once. What all prompts begin with is computed
    once.
    """
    encoded = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    prefix = compute_prefix(model, encoded)
    order = sorted(range(len(encoded)), key=lambda index: (-len(encoded[index]), index))
    answers: dict[int, Generation] = {}
    with tqdm(total=len(prompts), desc=description, unit="email") as progress:
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            batch = _generate_batch(
                model, tokenizer, [encoded[i] for i in indices], prefix, max_new_tokens
            )
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
    meter: Meter,
) -> tuple[list[float], float | None]:
    """Seconds each prompt takes from text to text when it is the only one under way.

    The first prompt is asked once more beforehand and that answer thrown away: it pays for
    one-off set-up that no later request pays, the computation of what all prompts begin with
    included, as a server that keeps it would. With the seconds come the joules of all these
    prompts together, where ``meter`` can read them.
    """
    seconds: list[float] = []
    before: float | None = None
    prefix = compute_prefix(model, [encode_prompt(tokenizer, prompt) for prompt in prompts])
    for index, prompt in enumerate(tqdm([prompts[0], *prompts], desc=description, unit="email")):
        _synchronise(model)
        if index == 1:
            before = meter()
        started = time.perf_counter()
        ids = encode_prompt(tokenizer, prompt)
        _generate_batch(model, tokenizer, [ids], prefix, max_new_tokens)
        _synchronise(model)
        if index:
            seconds.append(time.perf_counter() - started)
    return seconds, joules_between(before, meter())


@torch.inference_mode()
def _generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    encoded: Sequence[list[int]],
    prefix: Prefix,
    max_new_tokens: int,
) -> list[Generation]:
    common, pad = list(prefix.ids), tokenizer.pad_token_id
    rests = [ids[len(common) :] for ids in encoded]
    width = max(len(rest) for rest in rests)
    # padding goes between the shared part, whose keys are there already, and each prompt's own
    input_ids = torch.tensor([common + [pad] * (width - len(rest)) + rest for rest in rests])
    attention = torch.tensor(
        [[1] * len(common) + [0] * (width - len(rest)) + [1] * len(rest) for rest in rests]
    )
    ends = _end_tokens(model, tokenizer)
    produced = model.generate(
        input_ids=input_ids.to(model.device),
        attention_mask=attention.to(model.device),
        past_key_values=prefix.for_batch(len(encoded)),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        # a base model's own generation config may ask for sampling at some temperature
        temperature=None,
        top_p=None,
        top_k=None,
        eos_token_id=sorted(ends),
        pad_token_id=pad,
    )[:, len(common) + width :].tolist()
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
