"""A local model with the task's prompt, as every node that asks one has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_vs_api.config import Params
from lora_vs_api.model.constrained import record_grammar
from lora_vs_api.model.extractor import Extractor
from lora_vs_api.model.loading import load_tokenizer
from stages.common import BASE, record_fields

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def extractor_of(params: Params, model: PreTrainedModel, *, constrained: bool) -> Extractor:
    """``model`` set up to answer texts; ``constrained`` to records that fit the schema."""
    tokenizer, fields = load_tokenizer(BASE, params.model.pad_token), record_fields(params)
    return Extractor(
        model,
        tokenizer,
        params.task.instruction,
        fields,
        max_new_tokens=params.evaluate.max_new_tokens,
        batch_size=params.evaluate.batch_size,
        grammar=record_grammar(model, tokenizer, fields) if constrained else None,
    )
