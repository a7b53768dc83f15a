"""The report as Markdown: every sentence that holds a number is made from that number."""

from __future__ import annotations

from dataclasses import replace

from lora_vs_api.analysis.configuration import shown_digest
from lora_vs_api.analysis.order import ranked, ranked_curve, ranked_robustness
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import render
from lora_vs_api.report.sections.answer import answer_section, verdict_section
from lora_vs_api.report.sections.cascade import cascade_section
from lora_vs_api.report.sections.comparison import (
    paired_section,
    results_section,
    statistics_section,
)
from lora_vs_api.report.sections.data import contamination_section, data_section
from lora_vs_api.report.sections.diagnosis import diagnosis_section
from lora_vs_api.report.sections.distillation import distillation_section
from lora_vs_api.report.sections.facts import has_api, stamp
from lora_vs_api.report.sections.label_curve import label_curve_section
from lora_vs_api.report.sections.limitations import limitations_section
from lora_vs_api.report.sections.method import method_section, reproducibility_section
from lora_vs_api.report.sections.minute import minute_section
from lora_vs_api.report.sections.model_free import model_free_section
from lora_vs_api.report.sections.money import money_section
from lora_vs_api.report.sections.published import published_section
from lora_vs_api.report.sections.robustness import robustness_section
from lora_vs_api.report.sections.slices import slices_section
from lora_vs_api.report.sections.wins import win_loss_section

SECTIONS = (
    minute_section,
    answer_section,
    verdict_section,
    data_section,
    contamination_section,
    method_section,
    results_section,
    paired_section,
    slices_section,
    model_free_section,
    statistics_section,
    money_section,
    label_curve_section,
    cascade_section,
    distillation_section,
    diagnosis_section,
    robustness_section,
    win_loss_section,
    limitations_section,
    published_section,
    reproducibility_section,
)


def report_markdown(inputs: ReportInputs) -> str:
    """The whole report. Figures are linked as figures/NAME.svg, beside the report."""
    inputs = replace(
        inputs,
        analysis=ranked(inputs.analysis),
        robustness=ranked_robustness(inputs.robustness, inputs.analysis),
        learning_curve=ranked_curve(inputs.learning_curve, inputs.analysis),
    )
    sections = [
        render(
            "title",
            task=inputs.analysis.task,
            task_name=inputs.settings.task_name,
            model=inputs.analysis.model,
            config=shown_digest(inputs.analysis.config_sha256),
            asked=has_api(inputs.analysis),
            stamp=stamp(inputs.analysis),
            steps=inputs.settings.train.get("max_steps"),
            trained_on=inputs.analysis.trained_on,
            seeds=len(inputs.analysis.seeds),
            texts=inputs.analysis.texts,
        ),
        *(section(inputs) for section in SECTIONS),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"
