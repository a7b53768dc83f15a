"""A local model asked about the test slice, as every evaluate_* node of one does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_vs_api.config import Params
from lora_vs_api.model.evaluation import evaluate_local
from lora_vs_api.model.runtime import Runtime
from stages.common import evaluation_rows
from stages.extractors import extractor_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def evaluate_condition(
    params: Params, condition: str, model: PreTrainedModel, runtime: Runtime
) -> None:
    """Answers and timings of ``model``, under the name ``condition``."""
    evaluate_local(
        extractor_of(params, model, constrained=params.evaluate.constrained),
        evaluation_rows(params),
        runtime,
        condition=condition,
        latency_rows=params.evaluate.latency_rows,
        predictions=f"predictions/{condition}",
        timings=f"timings/evaluate/{condition}.json",
    )
