"""What decoding one batch of prompts takes and gives, whichever way the tokens are chosen."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer

from lora_vs_api.record.parsing import MARKERS

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Decoded:
    """What decoding gave for one prompt: its tokens without an end, and how many were written.

    ``truncated`` says that the limit cut the answer before it came to its end.
    """

    tokens: list[int]
    truncated: bool
    written: int


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


class Grammar(Protocol):
    """What may be written: decodes greedily among the tokens that it allows."""

    def decode(
        self,
        model: PreTrainedModel,
        encoded: Sequence[list[int]],
        prefix: Prefix,
        max_new_tokens: int,
    ) -> list[Decoded]:
        """One answer for each prompt of the batch ``encoded``, all of which begin with ``prefix``."""
        ...


def padded(rows: Sequence[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (rows, longest) with padding on the left, and a mask of the same shape."""
    width = max(len(row) for row in rows)
    return (
        torch.tensor([[pad] * (width - len(row)) + row for row in rows]),
        torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows]),
    )


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Tokens that end an answer: the tokenizer's and what the model itself declares.

    Of a base that :func:`lora_vs_api.weights.chat_template.settle_chat` has seen, that is what its
    chat template puts after an answer too.
    """
    declared = model.generation_config.eos_token_id
    if not isinstance(declared, list):
        declared = [declared]
    return {token for token in (tokenizer.eos_token_id, *declared) if token is not None}


def keeps_every_key(model: PreTrainedModel) -> bool:
    """Whether a cache can be gone on from with padding in its middle, several tokens at a time.

    Not where a layer has a state instead of keys, or drops what lies before its window.
    """
    return "past_key_values" in forward_parameters(model) and all(
        type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers
    )


def forward_parameters(model: PreTrainedModel) -> Mapping[str, inspect.Parameter]:
    """What the model's own forward takes, also where virtual tokens are put before it."""
    inner: Any = getattr(model, "get_base_model", lambda: model)()
    return inspect.signature(type(inner).forward).parameters


@contextmanager
def greedy(model: PreTrainedModel) -> Iterator[None]:
    """``model`` without what its own generation config asks for; all that counts has to be given.

    Sampling is not all that can stand there: Qwen2.5's has a repetition penalty, which applies to the most
    likely token too and takes the quotes and names from JSON. What was learnt is what the logits say.
    """
    settings = cast(Any, model)
    own, settings.generation_config = settings.generation_config, GenerationConfig()
    try:
        yield
    finally:
        settings.generation_config = own


def answer_text(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """The text of ``tokens``, special ones left out but for those that mark a model's thinking."""
    names = tokenizer.convert_ids_to_tokens(list(tokens))
    pieces: list[str] = []
    for is_mark, run in groupby(range(len(tokens)), key=lambda place: names[place] in MARKERS):
        places = list(run)
        if is_mark:
            pieces += (names[place] for place in places)
        else:
            # what a tokenizer calls cleaning up eats blanks: "Quoi ?" would come back as "Quoi?"
            words = tokenizer.decode(
                [tokens[place] for place in places],
                skip_special_tokens=True,
                clean_up_tokenization_spaces=False,
            )
            pieces.append(cast(str, words))
    return "".join(pieces)
