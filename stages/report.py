"""Write the report and its figures: python -m stages.report"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pandas as pd

from lora_vs_api.analysis.cascade_results import read_cascade
from lora_vs_api.analysis.configuration import shown_digest
from lora_vs_api.analysis.distillation_results import read_distillation
from lora_vs_api.analysis.ledger import OtherSettings, other_settings, read_ledger, text_keys
from lora_vs_api.analysis.metrics import (
    Corpus,
    DataCheck,
    Hypothesis,
    Review,
    Sanity,
    Split,
    read_contamination,
)
from lora_vs_api.analysis.results import (
    Analysis,
    AnswerRow,
    read_analysis,
    read_learning_curve,
    read_result,
    read_robustness,
)
from lora_vs_api.config.sections import Params
from lora_vs_api.digests import file_sha256
from lora_vs_api.entry import run_stage
from lora_vs_api.figures.report import write_report_figures
from lora_vs_api.files import iterate_jsonl, new_directory, read_jsonl, write_json, write_text
from lora_vs_api.paths import TEST
from lora_vs_api.record.prompt import system_prompt
from lora_vs_api.report.inputs import ReportInputs, Settings
from lora_vs_api.report.markdown import report_markdown
from lora_vs_api.report.page.data import TestText, page_data
from lora_vs_api.report.page.html import report_html
from lora_vs_api.report.provenance import installation, provenance
from lora_vs_api.report.sections.facts import stamp

METRICS = (
    "analysis",
    "robustness",
    "learning_curve",
    "cascade",
    "corpus",
    "split",
    "data_check",
    "review",
    "contamination",
    "hypothesis",
    "sanity",
)


def main(params: Params) -> None:
    inputs = report_inputs(params)
    analysis = inputs.analysis
    # only the seeds of this run: a seed taken out of the config may have left its file behind
    losses = {seed: pd.read_csv(f"plots/train/seed-{seed}.csv") for seed in analysis.seeds}
    with new_directory("report/figures") as folder:
        write_report_figures(
            folder,
            analysis,
            inputs.robustness,
            pd.read_csv("plots/break_even.csv"),
            pd.read_csv("plots/latency.csv"),
            losses,
            claimed_limit(inputs),
            params.plots,
            inputs.learning_curve,
            inputs.cascade,
        )
    text = report_markdown(inputs)
    write_text("report/report.md", text)
    answers = cast("Iterator[AnswerRow]", iterate_jsonl("metrics/answers.jsonl"))
    texts = cast("Iterator[TestText]", iterate_jsonl(TEST))
    data = page_data(analysis, answers, texts, inputs.cascade)
    write_text("report/report.html", report_html(text, "report", data, stamp(analysis)))
    write_json("report/provenance.json", provenance())


def claimed_limit(inputs: ReportInputs) -> float | None:
    """The volume by which the claim wants the training paid back; None where nothing was claimed."""
    claim = inputs.hypothesis
    return None if claim.id is None else claim.clauses.break_even.max_inferences


def scored_before(analysis: Analysis) -> OtherSettings:
    keys = text_keys(row["text"] for row in read_jsonl(TEST, analysis.texts))
    return other_settings(read_ledger(), keys, shown_digest(analysis.config_sha256))


def report_inputs(params: Params) -> ReportInputs:
    """The metrics of the nodes before, with the configuration that made them."""
    split, analysis = read_result("metrics/split.json", Split), read_analysis()
    return ReportInputs(
        analysis=analysis,
        scored=scored_before(analysis),
        robustness=read_robustness(),
        learning_curve=read_learning_curve(),
        cascade=read_cascade(),
        distillation=read_distillation(params.training_labels.results),
        corpus=read_result("metrics/corpus.json", Corpus),
        split=split,
        data_check=read_result("metrics/data_check.json", DataCheck),
        review=read_result("metrics/review.json", Review),
        contamination=read_contamination(),
        hypothesis=read_result("metrics/hypothesis.json", Hypothesis),
        sanity=read_result("metrics/sanity.json", Sanity),
        settings=Settings(
            task_name=params.task_name,
            instruction=system_prompt(params.task.instruction, params.task.record_fields),
            fields=params.task.scored_fields,
            device=params.runtime.device,
            train=params.train.model_dump(),
            lora=params.lora.adapter,
            max_new_tokens=params.decoding.max_new_tokens,
            constrained=params.decoding.constrained,
            model=params.model.model_dump(exclude={"weights"}) | params.model.weights.model_dump(),
            watts=params.economics.watts,
            see_also=tuple(params.see_also),
        ),
        installation=installation(),
        digests={
            **{f"data/split/{name}.jsonl": digest for name, digest in split.sha256.items()},
            **{f"metrics/{name}.json": file_sha256(f"metrics/{name}.json") for name in METRICS},
        },
    )


if __name__ == "__main__":
    run_stage(main)
