"""Corpus rows as the conversations that a training sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import MARKERS
from lora_vs_api.record.prompt import Message, completion, messages

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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


def check_examples(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]) -> None:
    """Make sure that the chat template writes every record as it is, right after what is asked.

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
        asked = _text(tokenizer, example["prompt"], asks=True)
        whole = _text(tokenizer, [*example["prompt"], *example["completion"]], asks=False)
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


def _text(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Message], *, asks: bool) -> str:
    rendered: Any = tokenizer.apply_chat_template(
        list(turns), tokenize=False, add_generation_prompt=asks
    )
    return str(rendered)
