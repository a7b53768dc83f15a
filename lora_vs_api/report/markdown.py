"""The report as Markdown: every sentence that holds a number is made from that number."""

from __future__ import annotations

from lora_vs_api.report.sections.answer import answer_section, verdict_section
from lora_vs_api.report.sections.background import (
    contamination_section,
    data_section,
    limitations_section,
    method_section,
    reproducibility_section,
)
from lora_vs_api.report.sections.comparison import (
    paired_section,
    results_section,
    statistics_section,
)
from lora_vs_api.report.sections.diagnosis import diagnosis_section
from lora_vs_api.report.sections.facts import ReportInputs
from lora_vs_api.report.sections.money import money_section
from lora_vs_api.report.sections.published import published_section
from lora_vs_api.report.sections.robustness import robustness_section
from lora_vs_api.report.sections.wins import win_loss_section
from lora_vs_api.report.sections.writing import escape


def report_markdown(inputs: ReportInputs) -> str:
    """The whole report. Figures are linked as figures/NAME.svg, beside the report."""
    sections = [
        f"# {escape(inputs.analysis['task'])}: fine-tune or call an API?",
        answer_section(inputs),
        verdict_section(inputs),
        data_section(inputs),
        contamination_section(inputs),
        method_section(inputs),
        results_section(inputs),
        paired_section(inputs),
        statistics_section(inputs),
        money_section(inputs),
        diagnosis_section(inputs),
        robustness_section(inputs),
        win_loss_section(inputs),
        limitations_section(inputs),
        published_section(inputs),
        reproducibility_section(inputs),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"
