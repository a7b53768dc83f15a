"""Greedy generation with a local model: batched for predictions, one at a time for latency."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import torch
from tqdm import tqdm
from transformers import DynamicCache

from lora_vs_api.errors import UserError
from lora_vs_api.inference.decoding import (
    Decoded,
    Grammar,
    Prefix,
    answer_text,
    end_tokens,
    greedy,
    keeps_every_key,
    padded,
)
from lora_vs_api.log import say
from lora_vs_api.model.attention import has_plain_attention
from lora_vs_api.model.chat import chat_text
from lora_vs_api.model.energy import Meter, joules_between

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from lora_vs_api.record.prompt import Message


# by how much, relative to themselves, logits may change with padding: rounding in float32 makes far less
SEEN = 1e-3
# models of this process that were tried, and whether theirs change
_TRIED: WeakKeyDictionary[PreTrainedModel, bool] = WeakKeyDictionary()
# the tokens of two prompts that this is tried with, and how far they are gone on from
PROBES, STEPS = ((10, 26), (30, 71)), 4


@dataclass(frozen=True)
class Generation:
    """One answer: its text, whether the token limit truncated it, and its token counts."""

    output: str
    truncated: bool
    input_tokens: int
    output_tokens: int


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[Message]) -> list[int]:
    """Token ids of the chat up to where the assistant's answer begins.

    Raises:
        UserError: the chat template refuses it.
    """
    return _encoded(tokenizer, chat_text(tokenizer, prompt, asks=True))


def _encoded(tokenizer: PreTrainedTokenizerBase, chat: str) -> list[int]:
    """Token ids of a rendered chat, which holds its special tokens already."""
    return list(tokenizer(chat, add_special_tokens=False)["input_ids"])


def too_long(
    tokenizer: PreTrainedTokenizerBase,
    chats: Sequence[str],
    context: int | None,
    max_new_tokens: int,
) -> dict[int, int]:
    """By place, the tokens of the rendered chats that leave no room for an answer in ``context`` tokens."""
    if context is None:
        return {}
    spare = context - max_new_tokens
    counted = {
        place: len(_encoded(tokenizer, chat))
        for place, chat in enumerate(chats)
        # no token is shorter than a byte: most texts need no counting
        if len(chat.encode()) > spare
    }
    return {place: tokens for place, tokens in counted.items() if tokens > spare}


def check_room(tokenizer: PreTrainedTokenizerBase, completions: Sequence[str], limit: int) -> None:
    """Make sure that every gold answer fits into the token limit.

    Raises:
        UserError: a perfect answer would be truncated.
    """
    longest = max((len(tokenizer(text)["input_ids"]) + 1 for text in completions), default=0)
    if longest > limit:
        raise UserError(
            f"decoding.max_new_tokens: {limit} is too few, the longest record takes {longest} tokens"
        )


@torch.inference_mode()
def compute_prefix(model: PreTrainedModel, encoded: Sequence[Sequence[int]]) -> Prefix:
    """What the prompts ``encoded`` have in common at their beginning, computed.

    Nothing for a single prompt, and nothing for a model whose layers do not all attend to all
    earlier tokens or that puts virtual tokens before the prompt: its cache may not be one that can
    be continued.
    """
    virtual_tokens = hasattr(model, "peft_config")
    if len(encoded) < 2 or virtual_tokens or not has_plain_attention(model.config):
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
    grammar: Grammar | None = None,
) -> list[Generation]:
    """Greedy answers to ``prompts``, in their order; with a ``grammar``, only what it allows.

    Prompts of like length share a batch, the longest first, so that little is padded and a
    batch that does not fit into memory fails at once. What all prompts begin with is computed
    once.
    """
    encoded = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    prefix = compute_prefix(model, encoded)
    order = sorted(range(len(encoded)), key=lambda index: (-len(encoded[index]), index))
    answers: dict[int, Generation] = {}
    with tqdm(total=len(prompts), desc=description, unit="text") as progress:
        for indices in _batches(order, [len(ids) for ids in encoded], batch_size, model):
            batch = _answer(
                model, tokenizer, [encoded[i] for i in indices], prefix, max_new_tokens, grammar
            )
            answers.update(zip(indices, batch, strict=True))
            progress.update(len(indices))
    return [answers[index] for index in range(len(prompts))]


def _batches(
    order: Sequence[int], lengths: Sequence[int], size: int, model: PreTrainedModel
) -> Iterator[list[int]]:
    if size > 1 and len(set(lengths)) > 1:
        if model not in _TRIED:
            _TRIED[model] = _sees_padding(model)
            if _TRIED[model]:
                say(
                    "this model's answers change with the padding of a batch: texts are asked one at a time"
                )
        size = 1 if _TRIED[model] else size
    # virtual tokens stand before the padding: only prompts of one length keep them beside the text,
    # as they stood in training
    runs = (
        (list(run) for _, run in groupby(order, key=lambda index: lengths[index]))
        if hasattr(model, "peft_config")
        else [list(order)]
    )
    for run in runs:
        for start in range(0, len(run), size):
            yield run[start : start + size]


@torch.inference_mode()
def _sees_padding(model: PreTrainedModel) -> bool:
    """Whether what stands before a prompt to fill a batch changes what the model says to it.

    A state that is carried from token to token may take padding in (RWKV, MiniMax): no mask is asked. So the
    same tokens are gone on from twice, as they are and beside a longer prompt, and the logits compared. In
    bfloat16 rounding alone may change them as much (routers tip over), so nothing is tried there.
    """
    if model.dtype != torch.float32 or keeps_every_key(model) or hasattr(model, "peft_config"):
        return False
    most = model.config.get_text_config().vocab_size
    short, long = ([place % most for place in range(first, last)] for first, last in PROBES)
    alone, beside = (
        [step[0].float() for step in _logits(model, rows)] for rows in ([short], [short, long])
    )
    for one, other in zip(alone, beside, strict=False):
        if (one - other).norm() > SEEN * one.norm():
            return True
        if one.argmax() != other.argmax():
            # rounded otherwise, and gone on from otherwise
            break
    return False


def _logits(model: PreTrainedModel, rows: Sequence[list[int]]) -> Sequence[torch.Tensor]:
    """By step of an answer, the logits (rows, vocabulary)."""
    ids, seen = padded(rows, 0)
    with greedy(model):
        found = cast(Any, model).generate(
            input_ids=ids.to(model.device),
            attention_mask=seen.to(model.device),
            max_new_tokens=STEPS,
            min_new_tokens=STEPS,
            do_sample=False,
            pad_token_id=0,
            output_logits=True,
            return_dict_in_generate=True,
        )
    return cast(Sequence[torch.Tensor], found.logits)


def measure_latency(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[Message]],
    *,
    max_new_tokens: int,
    description: str,
    meter: Meter,
    grammar: Grammar | None = None,
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
    for index, prompt in enumerate(tqdm([prompts[0], *prompts], desc=description, unit="text")):
        _synchronise(model)
        if index == 1:
            before = meter()
        started = time.perf_counter()
        ids = encode_prompt(tokenizer, prompt)
        _answer(model, tokenizer, [ids], prefix, max_new_tokens, grammar)
        _synchronise(model)
        if index:
            seconds.append(time.perf_counter() - started)
    return seconds, joules_between(before, meter())


def _answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    encoded: Sequence[list[int]],
    prefix: Prefix,
    max_new_tokens: int,
    grammar: Grammar | None,
) -> list[Generation]:
    if grammar is None:
        decoded = _decode(model, tokenizer, encoded, prefix, max_new_tokens)
    else:
        decoded = grammar.decode(model, encoded, prefix, max_new_tokens)
    return [
        Generation(
            output=answer_text(tokenizer, found.tokens),
            truncated=found.truncated,
            input_tokens=len(ids),
            output_tokens=found.written,
        )
        for ids, found in zip(encoded, decoded, strict=True)
    ]


@torch.inference_mode()
def _decode(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    encoded: Sequence[list[int]],
    prefix: Prefix,
    max_new_tokens: int,
) -> list[Decoded]:
    pad, ends = tokenizer.pad_token_id, end_tokens(model, tokenizer)
    # padding goes between the shared part, whose keys are there already, and each prompt's own
    own, seen = padded([ids[len(prefix.ids) :] for ids in encoded], pad)
    common = torch.tensor(prefix.ids, dtype=torch.long).expand(len(encoded), -1)
    input_ids = torch.cat([common, own], dim=1)
    # typed as a method of a mixin that not every model has; those that are loaded here do
    with greedy(model):
        produced = (
            cast(Any, model)
            .generate(
                input_ids=input_ids.to(model.device),
                attention_mask=torch.cat([torch.ones_like(common), seen], dim=1).to(model.device),
                past_key_values=prefix.for_batch(len(encoded)),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=sorted(ends),
                pad_token_id=pad,
            )[:, input_ids.shape[1] :]
            .tolist()
        )
    answers = []
    for tokens in produced:
        stop = next((i for i, token in enumerate(tokens) if token in ends), None)
        # the end-of-turn token is generated and billed too
        answers.append(
            Decoded(tokens, truncated=True, written=len(tokens))
            if stop is None
            else Decoded(tokens[:stop], truncated=False, written=stop + 1)
        )
    return answers


def _synchronise(model: PreTrainedModel) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize()
