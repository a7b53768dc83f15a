"""How sure a local model is of its answers: the probability that it gives to the values in them.

Measured after the fact, by one forward pass over prompt and answer (teacher forcing), so that it is the
same for whatever engine wrote the answer: a server need not tell its log-probabilities.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from tqdm import tqdm

from lora_vs_api.confidence.spans import Span, value_spans
from lora_vs_api.errors import UserError
from lora_vs_api.inference.decoding import Prefix
from lora_vs_api.inference.generate import compute_prefix, encode_prompt
from lora_vs_api.record.prompt import messages

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from lora_vs_api.inference.extractor import Extractor

# texts in one forward pass: their logits are held for every token of an answer
BATCH = 8


@dataclass(frozen=True)
class Confidence:
    """How sure the model is of one answer, 0 to 1.

    ``fields``: of each field, the probability that the model gives to its values, given what it has
    written before. ``text``: their mean, which is the share of right values that the model itself
    expects. A field that the answer lacks has 0, and so have all of an answer without a record.
    """

    text: float
    fields: Mapping[str, float]


@dataclass(frozen=True)
class _Sequence:
    prompt: list[int]
    answer: list[int]
    offsets: list[Span]


def measure(
    extractor: Extractor, texts: Sequence[str], outputs: Sequence[str], description: str
) -> list[Confidence]:
    """How sure the extractor's model is of the ``outputs`` to ``texts``, in their order.

    Raises:
        UserError: the tokenizer does not say where its tokens stand in a text.
    """
    names = [field.name for field in extractor.fields]
    spans = [value_spans(output, extractor.fields) for output in outputs]
    prompts = [
        encode_prompt(extractor.tokenizer, messages(extractor.instruction, text, extractor.fields))
        for text in texts
    ]
    asked = [place for place, found in enumerate(spans) if found is not None]
    sequences = {
        place: _Sequence(prompts[place], *_tokens(extractor.tokenizer, outputs[place]))
        for place in asked
    }
    prefix = compute_prefix(extractor.model, [prompts[place] for place in asked])
    # texts of like length together, so that little is padded
    asked.sort(key=lambda place: -len(prompts[place]))
    found: dict[int, Confidence] = {}
    with tqdm(total=len(asked), desc=description, unit="text") as progress:
        for start in range(0, len(asked), BATCH):
            places = asked[start : start + BATCH]
            batch = [sequences[place] for place in places]
            for place, log_probs in zip(places, _log_probs(extractor.model, batch, prefix)):
                found[place] = confidence(
                    log_probs, sequences[place].offsets, spans[place] or {}, names
                )
            progress.update(len(places))
    nothing = Confidence(0.0, dict.fromkeys(names, 0.0))
    return [found.get(place, nothing) for place in range(len(texts))]


def confidence(
    log_probs: Sequence[float],
    offsets: Sequence[Span],
    spans: Mapping[str, Sequence[Span]],
    names: Sequence[str],
) -> Confidence:
    """From the log-probability and the place of each token of an answer, and the places of its values.

    A token counts for a value if they share a character.
    """
    fields = {}
    for name in names:
        places = spans.get(name)
        if places is None:
            fields[name] = 0.0
            continue
        total = sum(
            log_prob
            for log_prob, (start, end) in zip(log_probs, offsets, strict=True)
            if any(start < last and end > first for first, last in places)
        )
        fields[name] = round(min(1.0, math.exp(total)), 6)
    return Confidence(round(sum(fields.values()) / len(fields), 6), fields)


def as_rows(
    rows: Sequence[Mapping[str, Any]], found: Sequence[Confidence]
) -> list[dict[str, object]]:
    """A line of JSON for each row: its id, and how sure the model is of its answer."""
    return [{"id": row["id"], **asdict(each)} for row, each in zip(rows, found, strict=True)]


def _tokens(tokenizer: PreTrainedTokenizerBase, output: str) -> tuple[list[int], list[Span]]:
    try:
        found = tokenizer(output, add_special_tokens=False, return_offsets_mapping=True)
    except NotImplementedError:
        raise UserError(
            "models/base_model: its tokenizer does not say where a token stands in a text, which a "
            "cascade needs; expected one with a tokenizer.json, or -S cascade=none"
        ) from None
    return list(found["input_ids"]), [tuple(span) for span in found["offset_mapping"]]


@torch.inference_mode()
def _log_probs(
    model: PreTrainedModel, batch: Sequence[_Sequence], prefix: Prefix
) -> list[list[float]]:
    """Of each answer's tokens, given the prompt and the tokens before."""
    own = [each.prompt[len(prefix.ids) :] + each.answer for each in batch]
    starts = [len(each.prompt) - len(prefix.ids) for each in batch]
    width = max(map(len, own))
    # padding stands after the text, where no token of it looks; any token will do
    input_ids = torch.tensor([ids + [0] * (width - len(ids)) for ids in own])
    seen = torch.tensor(
        [[1] * (len(prefix.ids) + len(ids)) + [0] * (width - len(ids)) for ids in own]
    )
    # the token before an answer predicts its first
    kept = width - min(starts) + 1
    # the logits of all tokens of all prompts would take gigabytes
    only = (
        {"logits_to_keep": kept}
        if "logits_to_keep" in inspect.signature(model.forward).parameters
        else {}
    )
    logits = (
        cast(Any, model)(
            input_ids=input_ids.to(model.device),
            attention_mask=seen.to(model.device),
            past_key_values=prefix.for_batch(len(batch)),
            **only,
        )
        .logits[:, -kept:]
        .float()
    )
    found = []
    for row, each, start in zip(logits, batch, starts, strict=True):
        first = start - 1 - (width - kept)
        scores = row[first : first + len(each.answer)].log_softmax(dim=-1)
        tokens = torch.tensor(each.answer, device=scores.device).unsqueeze(1)
        found.append(scores.gather(1, tokens).squeeze(1).tolist())
    return found
