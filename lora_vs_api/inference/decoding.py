"""What decoding one batch of prompts takes and gives, whichever way the tokens are chosen."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from transformers import DynamicCache

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
    """Tokens that end an answer: the chat's end of turn and what the model itself declares."""
    declared = model.generation_config.eos_token_id
    if not isinstance(declared, list):
        declared = [declared]
    return {tokenizer.eos_token_id, *(token for token in declared if token is not None)}
