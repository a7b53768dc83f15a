"""A local model asked about the test slice, as every evaluate_* node of one does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_vs_api.config import Params
from lora_vs_api.model.evaluation import evaluate_local
from lora_vs_api.model.loading import load_tokenizer
from lora_vs_api.model.runtime import Runtime
from stages.common import BASE, evaluation_rows, record_fields

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def evaluate_condition(
    params: Params, condition: str, model: PreTrainedModel, runtime: Runtime
) -> None:
    """Answers and timings of ``model``, under the name ``condition``."""
    evaluate_local(
        model,
        load_tokenizer(BASE, params.model.pad_token),
        evaluation_rows(params),
        params.task.instruction,
        record_fields(params),
        runtime,
        condition=condition,
        max_new_tokens=params.evaluate.max_new_tokens,
        batch_size=params.evaluate.batch_size,
        constrained=params.evaluate.constrained,
        latency_rows=params.evaluate.latency_rows,
        predictions=f"predictions/{condition}",
        timings=f"timings/evaluate/{condition}.json",
    )
