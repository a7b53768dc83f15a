"""Greedy generation that can only write records of the schema, forced tokens without sampling.

A grammar that follows the JSON Schema says after each token which ones may come next (llguidance,
https://github.com/guidance-ai/llguidance). Where it leaves one way to go on, such as a key and
its quotes, those tokens are written at once and go through the model together with the next
sampled one: a record is mostly punctuation and names of fields, so most steps are saved.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from transformers import DynamicCache

from lora_vs_api.errors import UserError
from lora_vs_api.inference.decoding import (
    Decoded,
    Prefix,
    end_tokens,
    forward_parameters,
    keeps_every_key,
    padded,
)
from lora_vs_api.inference.generate import encode_prompt
from lora_vs_api.model.chat import chat_text
from lora_vs_api.record.fields import Field
from lora_vs_api.record.json_schema import json_schema

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

    from lora_vs_api.record.prompt import Message

# as lora_vs_api.record.prompt.completion writes a record: what the model was taught
LAYOUT: JsonCompileOptions = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}

# how vocabularies write a blank before a word: SentencePiece's, that of bytes (GPT-2), and a plain one
BLANKS = "▁Ġ "

# tokens kept back beside the closing ones: one sampled token may open a string or a list more
SLACK = 6


@dataclass(frozen=True)
class RecordGrammar:
    """The records of a schema as a grammar over one tokenizer's tokens."""

    tokenizer: LLTokenizer
    source: str
    ends: frozenset[int]
    pad: int
    # (vocabulary,), how well a token serves to end a record soon; less is better
    closing_rank: np.ndarray

    @torch.inference_mode()
    def decode(
        self,
        model: PreTrainedModel,
        encoded: Sequence[list[int]],
        prefix: Prefix,
        max_new_tokens: int,
    ) -> list[Decoded]:
        """The most likely allowed token at each step, for a batch of prompts.

        An answer ends with its closing brace. One that would not come to it within the limit is
        closed in the shortest way there is: a record of the schema too, but truncated. Forced
        tokens count against the limit like sampled ones.
        """
        matchers = [LLMatcher(self.tokenizer, self.source, log_level=0) for _ in encoded]
        answers = [_forced(matcher) for matcher in matchers]
        shortest = len(self._closing(LLMatcher(self.tokenizer, self.source, log_level=0)))
        finished: set[int] = set()
        keeps_keys = keeps_every_key(model)
        # what the model has not seen yet, row by row
        unseen = [ids[len(prefix.ids) :] + forced for ids, forced in zip(encoded, answers)]
        rows = list(range(len(encoded)))
        cache = prefix.for_batch(len(rows)) or DynamicCache(config=model.config)
        mask = torch.ones(len(rows), len(prefix.ids), dtype=torch.long)
        while rows:
            if not keeps_keys:
                # all of the text again: right for every model, and slow
                unseen = [ids + answer for ids, answer in zip(encoded, answers)]
                mask = torch.ones(len(rows), 0, dtype=torch.long)
            ids, seen = padded([unseen[row] for row in rows], self.pad)
            mask = torch.cat([mask, seen], dim=1)
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            logits = _forward(
                model,
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                position_ids=positions.to(model.device),
                past_key_values=cache if keeps_keys else None,
                use_cache=keeps_keys,
                logits_to_keep=1,
            )
            allowed = torch.from_numpy(
                np.stack([_allowed(matchers[row], logits.shape[1]) for row in rows])
            )
            best = logits.masked_fill(~allowed.to(logits.device), -torch.inf).argmax(dim=-1)
            going_on = []
            for index, (row, token) in enumerate(zip(rows, best.tolist())):
                matcher = matchers[row]
                if token in self.ends:
                    finished.add(row)
                    continue
                matcher.consume_token(token)
                unseen[row] = [token, *_forced(matcher)]
                answers[row] += unseen[row]
                left = max_new_tokens - len(answers[row])
                if left >= 0 and matcher.is_stopped():
                    finished.add(row)
                    continue
                if left < shortest + SLACK:
                    closing = self._closing(matcher)
                    if left < len(closing) + SLACK:
                        answers[row] += closing
                        continue
                going_on.append(index)
            if len(going_on) < len(rows):
                kept = torch.tensor(going_on, dtype=torch.long)
                rows, mask = [rows[index] for index in going_on], mask[kept]
                if rows and keeps_keys:
                    cache.batch_select_indices(kept.to(model.device))
        return [
            Decoded(tokens[:max_new_tokens], row not in finished, len(tokens[:max_new_tokens]))
            for row, tokens in enumerate(answers)
        ]

    def _closing(self, matcher: LLMatcher) -> list[int]:
        """The fewest tokens that end the record from here: strings and lists closed at once."""
        matcher, tokens = matcher.deep_copy(), []
        while not matcher.is_stopped():
            step = _forced(matcher)
            if not step:
                allowed = np.flatnonzero(_allowed(matcher, len(self.closing_rank)))
                token = int(allowed[self.closing_rank[allowed].argmin()])
                if token in self.ends:
                    break
                matcher.consume_token(token)
                step = [token]
            tokens += step
        return tokens


def _forward(model: PreTrainedModel, **inputs: Any) -> torch.Tensor:
    """(rows, vocabulary): the logits of the last token, by what the model knows of ``inputs``."""
    taken = forward_parameters(model)
    known = {name: value for name, value in inputs.items() if name in taken and value is not None}
    logits: torch.Tensor = model(**known).logits[:, -1]
    return logits


def record_grammar(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, fields: tuple[Field, ...]
) -> RecordGrammar:
    """The grammar of records with ``fields``.

    Raises:
        UserError: a tokenizer or a schema that constrained decoding cannot use.
    """
    ends = end_tokens(model, tokenizer)
    try:
        wrapped = from_tokenizer(
            # it looks itself, and says so of another kind
            cast("PreTrainedTokenizerFast", tokenizer),
            n_vocab=model.get_output_embeddings().weight.shape[0],
            eos_token=sorted(ends),
        )
        source = _source(json_schema(fields), _answers_begin_with_blank(tokenizer))
    except ValueError as error:
        raise UserError(f"decoding.constrained: {error}; set it to false") from None
    problem = LLMatcher(wrapped, source, log_level=0).get_error()
    if problem:
        raise UserError(f"decoding.constrained: task.fields make no grammar: {problem}")
    rank = np.array([_closing_rank(wrapped.decode_str([i])) for i in range(wrapped.vocab_size)])
    rank[sorted(ends)] = 0
    return RecordGrammar(wrapped, source, frozenset(ends), tokenizer.pad_token_id, rank)


def _source(schema: dict[str, Any], blank: bool) -> str:
    """The grammar of a schema's records as they are taught, with a blank before them or without."""
    if not blank:
        return LLMatcher.grammar_from_json_schema(schema, overrides=LAYOUT)
    taught = json.dumps({**schema, "x-guidance": LAYOUT})
    return LLMatcher.grammar_from_lark(f'start: " " %json {taught}')


def _answers_begin_with_blank(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokens of an answer, as they are taught, begin with a blank: the template's own, or the tokenizer's
    (Phi-3 puts one after each special token).

    ``{`` and ``▁{`` are different tokens, and a model that was taught one of them does not expect the other.
    """
    asked: list[Message] = [{"role": "user", "content": "?"}]
    whole = chat_text(tokenizer, [*asked, {"role": "assistant", "content": "{}"}], asks=False)
    ids = list(tokenizer(whole, add_special_tokens=False)["input_ids"])
    first = ids[len(encode_prompt(tokenizer, asked)) :][:1]
    return any(str(token)[0] in BLANKS for token in tokenizer.convert_ids_to_tokens(first))


def _closing_rank(text: str) -> float:
    """The order in which :meth:`RecordGrammar._closing` prefers tokens, the shorter of two alike.

    A quote ends a string wherever one is open, so brackets, which are text inside one, come after
    it. A comma goes on with a list, and comes only where nothing else ends what is there.
    """
    text = text.lstrip()
    first = text[:1]
    if "," in text:
        rank = 3
    elif first == '"':
        rank = 1
    elif first in ("]", "}") or text in ("[]", "{}"):
        rank = 2
    else:
        rank = 4 if first in ("[", "{") else 5
    return rank + min(len(text), 99) / 100


def _forced(matcher: LLMatcher) -> list[int]:
    """Tokens that must come next, taken in."""
    tokens = matcher.compute_ff_tokens()
    if tokens:
        matcher.consume_tokens(tokens)
    return tokens


def _allowed(matcher: LLMatcher, vocabulary: int) -> np.ndarray:
    """(vocabulary,) booleans: the tokens that may come next."""
    bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
    if matcher.is_error():
        raise UserError(f"constrained decoding: {matcher.get_error()}; decoding.constrained: false")
    return np.unpackbits(bits, bitorder="little")[:vocabulary].astype(bool)
