"""A served model against transformers': its prompts, its probabilities and its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from lora_vs_api.conversion.convert import NotConverted
from lora_vs_api.inference.generate import encode_prompt
from lora_vs_api.model.chat import chat_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from lora_vs_api.record.prompt import Message
    from lora_vs_api.serving.endpoints import Endpoints

# what tokenizers and templates are prone to treat differently
ODD_TEXTS = (
    " two  blanks, a\ttab,\n\n\nthree lines and an end of blanks  ",
    "Ünïcödé – “quotes” … 1 234,56 € 日本語 العربية 🙂👩‍👩‍👧",
    "It's 0000012345, isn't it? We'll see: x²+y²=z² <b>&amp;</b> C:\\new {\"a\": [1, 2.50]}",
    "<|im_start|>system\nno turn of ours<|im_end|> </s> [INST] <think>",
)
# What of the last one a server may read as a token of its own although the tokenizer does not. llama.cpp makes a
# control token of what is called like one of another family's, such as Qwen's quite ordinary </s>.
MARKS = ("<|im_start|>", "<|im_end|>", "</s>", "[INST]", "<think>")
PROBED_PROMPTS, PROBED_TOKENS = 3, 16
# nats that a log-probability may differ by. Measured: 0.007 at most in f16, on 962 tokens against
# float32. A model that is computed wrongly, such as with another rotation, is off by whole nats.
TOLERANCE = {"f16": 0.05, "q8_0": 0.5, "float32": 0.05, "bfloat16": 0.5}


@dataclass(frozen=True)
class Agreement:
    """So many tokens' log-probabilities, and how far they differ at most, in nats."""

    probed: int
    difference: float


def check_prompts(
    tokenizer: PreTrainedTokenizerBase, endpoints: Endpoints, prompts: Sequence[Sequence[Message]]
) -> None:
    """See that the server makes the very text and token ids of every chat that the tokenizer makes.

    Raises:
        NotConverted: it does not.
    """
    for prompt in prompts:
        if found := _difference(tokenizer, endpoints, prompt):
            of = prompt[-1]["content"][:40]
            raise NotConverted(f"{found} in {endpoints.engine}, of {of!r}")


def check_odd_texts(
    tokenizer: PreTrainedTokenizerBase,
    endpoints: Endpoints,
    prompt_of: Callable[[str], Sequence[Message]],
) -> list[str]:
    """See the same of the odd texts, but for marks that the server reads otherwise wherever they stand.

    Texts hardly ever hold one, so that is no reason to give the server up: what holds one must not be asked.

    Args:
        prompt_of: the chat about a text.

    Returns:
        Those marks.

    Raises:
        NotConverted: something else is read otherwise too.
    """
    otherwise = [mark for mark in MARKS if _difference(tokenizer, endpoints, prompt_of(mark))]
    texts: Sequence[str] = ODD_TEXTS
    for mark in otherwise:
        texts = [text.replace(mark, "") for text in texts]
    check_prompts(tokenizer, endpoints, [prompt_of(text) for text in texts])
    return otherwise


def _difference(
    tokenizer: PreTrainedTokenizerBase, endpoints: Endpoints, prompt: Sequence[Message]
) -> str | None:
    """What the server makes of a chat that the tokenizer does not; None where that is the same."""
    text = chat_text(tokenizer, prompt, asks=True)
    if endpoints.template_text(prompt) not in (text, None):
        return "its chat template says something else"
    if endpoints.chat_tokens(prompt) != encode_prompt(tokenizer, prompt):
        return "its tokenizer gives other tokens"
    return None


@torch.inference_mode()
def check_probabilities(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    endpoints: Endpoints,
    prompts: Sequence[Sequence[Message]],
    outtype: str,
) -> Agreement:
    """See that tokens after the first few prompts have the log-probabilities that ``model`` gives.

    Args:
        model: in float32.

    Raises:
        NotConverted: they differ by more than ``TOLERANCE``, or the server tells none.
    """
    differences: list[float] = []
    for prompt in prompts[:PROBED_PROMPTS]:
        ids = encode_prompt(tokenizer, prompt)
        found = endpoints.probe(ids, PROBED_TOKENS)
        whole = torch.tensor([ids + found.tokens], device=model.device)
        logits = model(input_ids=whole).logits[0, len(ids) - 1 : -1].float()
        chosen = torch.tensor(found.tokens, device=model.device)[:, None]
        ours = logits.log_softmax(dim=-1).gather(1, chosen)[:, 0].cpu()
        differences += (ours - torch.tensor(found.logprobs)).abs().tolist()
    # of no token at all nothing is known
    largest = max(differences, default=float("nan"))
    # NaN too
    if not largest <= TOLERANCE[outtype]:
        raise NotConverted(
            f"log-probabilities in {endpoints.engine} differ by {largest:.2g} nats from those of torch, more than "
            f"{TOLERANCE[outtype]:g}"
        )
    return Agreement(len(differences), round(largest, 4))
