"""Corpus rows as the conversations that a training sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from lora_vs_api.errors import UserError
from lora_vs_api.log import say
from lora_vs_api.model.chat import chat_text
from lora_vs_api.model.context import held_beyond
from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import MARKERS
from lora_vs_api.record.prompt import Message, completion, messages

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MAX_SHOWN = 5  # texts that a message names


class Example(TypedDict):
    """One conversation as TRL takes it: the prompt, and the one turn that is learnt."""

    prompt: list[Message]
    completion: list[Message]


def chat_examples(
    rows: Sequence[dict[str, Any]], instruction: str, fields: Sequence[Field]
) -> list[Example]:
    """Every row's text under the zero-shot prompt, answered with its gold record."""
    return [
        {
            "prompt": messages(instruction, row["text"], fields),
            "completion": [{"role": "assistant", "content": completion(row["record"], fields)}],
        }
        for row in rows
    ]


def check_examples(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], rows: float = math.inf
) -> None:
    """Make sure that the chat template writes every record as it is, right after what is asked.

    Args:
        rows: of the model's embeddings, one for each token that it knows.

    Raises:
        UserError: it does not, as of a record that holds a mark of thinking or the end of a turn, and the
            example is named; or the tokenizer makes one token of what is asked and the record.
    """
    # an answer is decoded without them, but for marks of thinking, and some of them end it
    special = sorted(
        {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special} - MARKERS
    )
    for place, example in enumerate(examples, 1):
        held = [token for token in special if token in example["completion"][0]["content"]]
        if held:
            raise UserError(
                f"training text {place}: its record holds {held[0]}, which this model's tokenizer reads as a "
                "token of its own and leaves out of an answer; leave the text out, or use another model"
            )
        beyond = held_beyond(tokenizer, rows, _asked(example))
        if beyond is not None:
            raise UserError(
                f"training text {place}: holds {beyond}, which this model's tokenizer reads as a token that the model has "
                "no row for; leave the text out, or use another model"
            )
        asked = _text(tokenizer, example["prompt"], place, asks=True)
        whole = _text(tokenizer, [*example["prompt"], *example["completion"]], place, asks=False)
        answer = example["completion"][0]["content"]
        if not whole.startswith(asked) or not whole[len(asked) :].lstrip().startswith(answer):
            raise UserError(
                f"training text {place}: the model's chat template does not write its record as it is "
                f"({answer[:80]}…); leave the text out, or use another model"
            )
        # every record begins alike, with the first field's name
        if place == 1 and not _begins(tokenizer, whole, asked):
            raise UserError(
                "task.fields: the tokenizer makes one token of a prompt's end and the record's beginning "
                f"({answer[:20]}…), so the model could not be asked as it was trained; give the first "
                "field another name, or use another model"
            )


def within_length(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], max_length: int, *, cut: bool
) -> list[Example]:
    """``examples`` of at most ``max_length`` tokens, prompt and record together.

    Args:
        cut: take from the end of a longer one's text as much as has to go; its record stays whole.

    Raises:
        UserError: some are longer and are not to be cut, or no text would be left of one; or the chat
            template refuses one.
    """
    lengths = [_length(tokenizer, example, place) for place, example in enumerate(examples, 1)]
    longer = [place for place, length in enumerate(lengths) if length > max_length]
    if longer and not cut:
        named = ", ".join(
            f"{place + 1} ({lengths[place]:,} tokens: {_asked(examples[place])[:40]!r})"
            for place in longer[:MAX_SHOWN]
        )
        more = ", …" if len(longer) > MAX_SHOWN else ""
        raise UserError(
            f"train.max_length: {len(longer):,} of {len(examples):,} training texts take more than "
            f"{max_length:,} tokens with prompt and record: {named}{more}; expected "
            f"{max(lengths):,} or more, other texts, or train.too_long: cut"
        )
    found = list(examples)
    for place in longer:
        found[place] = _cut(tokenizer, examples[place], max_length, place + 1)
    if longer:
        say(
            f"{len(longer):,} of {len(examples):,} training texts were cut at their end, to {max_length:,} "
            "tokens with prompt and record (train.max_length)"
        )
    return found


def _cut(
    tokenizer: PreTrainedTokenizerBase, example: Example, max_length: int, number: int
) -> Example:
    """The example with as many characters of its text as fit, found by halving."""
    text = _asked(example)
    least, most = 0, len(text) - 1
    while least < most:
        middle = (least + most + 1) // 2
        if _length(tokenizer, _with_text(example, text[:middle]), number) <= max_length:
            least = middle
        else:
            most = middle - 1
    if not text[:least].strip():
        rest = _length(tokenizer, _with_text(example, ""), number)
        raise UserError(
            f"train.max_length: training text {number} has {rest:,} tokens of prompt and record alone, so "
            f"{max_length:,} leave none of its text; expected more"
        )
    return _with_text(example, text[:least])


def _asked(example: Example) -> str:
    return example["prompt"][-1]["content"]


def _with_text(example: Example, text: str) -> Example:
    *before, last = example["prompt"]
    return {"prompt": [*before, {**last, "content": text}], "completion": example["completion"]}


def _length(tokenizer: PreTrainedTokenizerBase, example: Example, number: int) -> int:
    """Tokens of the whole conversation, as a training goes through them."""
    whole = _text(tokenizer, [*example["prompt"], *example["completion"]], number, asks=False)
    return len(tokenizer(whole, add_special_tokens=False)["input_ids"])


def check_lengths(token_ids: Sequence[Sequence[int]], context: int | None) -> None:
    """Make sure that the model holds every example whole.

    Raises:
        UserError: it does not; the longest example is named.
    """
    lengths = [len(ids) for ids in token_ids]
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    if context is not None and lengths[longest] > context:
        raise UserError(
            f"training text {longest + 1}: takes {lengths[longest]:,} tokens with its record, more than "
            f"the {context:,} that the model holds; leave such texts out, or use a model that holds more"
        )


def _begins(tokenizer: PreTrainedTokenizerBase, whole: str, beginning: str) -> bool:
    """Whether the tokens of ``whole`` begin with those of ``beginning``."""
    ids, first = (
        list(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (whole, beginning)
    )
    return ids[: len(first)] == first


def _text(
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[Message], number: int, *, asks: bool
) -> str:
    try:
        return chat_text(tokenizer, turns, asks=asks)
    except UserError as error:
        raise UserError(f"training text {number}: {error}") from None
