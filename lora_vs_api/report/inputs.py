"""What the report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lora_vs_api.analysis.cascade_results import Cascade
from lora_vs_api.analysis.distillation_results import Distillation
from lora_vs_api.analysis.ledger import OtherSettings
from lora_vs_api.analysis.metrics import (
    Contamination,
    Corpus,
    DataCheck,
    Hypothesis,
    Review,
    Sanity,
    Split,
)
from lora_vs_api.analysis.results import Analysis, LearningCurve, Robustness
from lora_vs_api.config.sections import Adapter, SeeAlso
from lora_vs_api.record.fields import Field
from lora_vs_api.report.provenance import Installation


@dataclass(frozen=True)
class Settings:
    """The configuration as far as the report prints it.

    ``train`` and ``model`` are the sections of that name, key by key, the model's weights among
    them: what stands in them is printed as it is. ``watts`` is the configured power of a local
    answer, ``see_also`` reports of other runs on the task.
    """

    task_name: str
    instruction: str
    fields: tuple[Field, ...]
    device: str
    train: Mapping[str, object]
    lora: Adapter
    max_new_tokens: int
    constrained: bool
    model: Mapping[str, object]
    watts: float
    see_also: tuple[SeeAlso, ...]


@dataclass(frozen=True)
class ReportInputs:
    """The results of a run, its configuration and where it ran.

    The first nine are the metrics files of the same name; ``robustness`` is None where nothing was
    perturbed and ``contamination`` where that check was not made. ``scored`` are the other settings
    that the ledger knows of these texts. ``digests`` maps files to their SHA-256.
    ``learning_curve`` is None where no smaller set was trained on, ``cascade`` where there is none,
    ``distillation`` where no API condition labelled the training texts.
    """

    analysis: Analysis
    robustness: Robustness | None
    corpus: Corpus
    split: Split
    data_check: DataCheck
    review: Review
    contamination: Contamination | None
    hypothesis: Hypothesis
    sanity: Sanity
    scored: OtherSettings
    settings: Settings
    installation: Installation
    digests: Mapping[str, str]
    learning_curve: LearningCurve | None = None
    cascade: Cascade | None = None
    distillation: Distillation | None = None
