"""A local model with everything that decides what it answers to a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lora_vs_api.errors import UserError
from lora_vs_api.inference.constrained import record_grammar
from lora_vs_api.inference.generate import (
    Generation,
    check_room,
    generate,
    measure_latency,
    too_long,
)
from lora_vs_api.model.chat import chat_text
from lora_vs_api.model.context import context_length, held_beyond
from lora_vs_api.model.loading import load_tokenizer
from lora_vs_api.paths import BASE
from lora_vs_api.record.fields import Field
from lora_vs_api.record.prompt import completion, messages

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from lora_vs_api.config.sections import Params
    from lora_vs_api.inference.decoding import Grammar
    from lora_vs_api.model.energy import Meter
    from lora_vs_api.record.prompt import Message

MAX_SHOWN = 10  # texts that a message names


@dataclass(frozen=True)
class Extractor:
    """Answers texts with the records that the model reads out of them, greedily.

    ``batch_size`` texts are answered together, each with at most ``max_new_tokens`` tokens. With a
    ``grammar`` the model writes only what that allows.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    instruction: str
    fields: tuple[Field, ...]
    max_new_tokens: int
    batch_size: int
    grammar: Grammar | None = None

    def check_room(self, rows: Sequence[dict[str, Any]]) -> None:
        """Make sure that the record of every row fits into the token limit, and the row into the model.

        Raises:
            UserError: a perfect answer would be truncated, or a text is longer than the model holds.
        """
        completions = [completion(row["record"], self.fields) for row in rows]
        check_room(self.tokenizer, completions, self.max_new_tokens)
        self.check_texts([row["text"] for row in rows], [row["id"] for row in rows])

    def check_texts(self, texts: Sequence[str], names: Sequence[str]) -> None:
        """Make sure that the model holds every text: what it says to a text cut off is no answer to it.

        Args:
            texts: to be asked.
            names: what each is called in the message.

        Raises:
            UserError: a line for each text that the chat template refuses, that is too long, or that holds a
                token which the model does not know.
        """
        context, prompts = context_length(self.model.config.to_dict()), self._prompts(texts)
        lines, chats = [], []
        for name, prompt in zip(names, prompts, strict=True):
            try:
                chats.append(chat_text(self.tokenizer, prompt, asks=True))
            except UserError as error:
                lines.append(f"{name}: {error}")
        # without a chat for each text the places would be others
        found = {} if lines else too_long(self.tokenizer, chats, context, self.max_new_tokens)
        lines += [
            f"{names[place]}: its prompt of {tokens:,} tokens and an answer of up to "
            f"{self.max_new_tokens:,} (decoding.max_new_tokens) are more than the {context:,} "
            "tokens that the model holds"
            for place, tokens in found.items()
        ]
        rows = len(cast(Any, self.model.get_input_embeddings()).weight)
        for name, text in zip(names, texts, strict=True):
            beyond = held_beyond(self.tokenizer, rows, text)
            if beyond is not None:
                lines.append(
                    f"{name}: holds {beyond}, which this model's tokenizer reads as a token that the model has no row for"
                )
        if lines:
            more = f"\n… and {len(lines) - MAX_SHOWN} more" if len(lines) > MAX_SHOWN else ""
            raise UserError("\n".join(lines[:MAX_SHOWN]) + more)

    def answers(self, texts: Sequence[str], description: str) -> list[Generation]:
        """One answer for each text, in their order."""
        return generate(
            self.model,
            self.tokenizer,
            self._prompts(texts),
            max_new_tokens=self.max_new_tokens,
            batch_size=self.batch_size,
            description=description,
            grammar=self.grammar,
        )

    def latencies(
        self, texts: Sequence[str], description: str, meter: Meter
    ) -> tuple[list[float], float | None]:
        """Seconds for each text alone, and the joules of all, as ``measure_latency`` has them."""
        return measure_latency(
            self.model,
            self.tokenizer,
            self._prompts(texts),
            max_new_tokens=self.max_new_tokens,
            description=description,
            meter=meter,
            grammar=self.grammar,
        )

    def _prompts(self, texts: Sequence[str]) -> list[list[Message]]:
        return [messages(self.instruction, text, self.fields) for text in texts]


def extractor_of(params: Params, model: PreTrainedModel, *, constrained: bool) -> Extractor:
    """``model`` set up to answer texts; ``constrained`` to records that fit the schema."""
    tokenizer, fields = load_tokenizer(BASE, params.runtime.pad_token), params.task.record_fields
    return Extractor(
        model,
        tokenizer,
        params.task.instruction,
        fields,
        max_new_tokens=params.decoding.max_new_tokens,
        batch_size=params.decoding.batch_size,
        grammar=record_grammar(model, tokenizer, fields) if constrained else None,
    )
