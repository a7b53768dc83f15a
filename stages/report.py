"""Write the report and its figures: python -m stages.report"""

from __future__ import annotations

import pandas as pd

from lora_vs_api.config.sections import Params
from lora_vs_api.digests import file_sha256
from lora_vs_api.entry import run_stage
from lora_vs_api.files import iterate_jsonl, new_directory, read_json, write_json, write_text
from lora_vs_api.paths import TEST
from lora_vs_api.report.figures.overview import write_report_figures
from lora_vs_api.report.markdown import report_markdown
from lora_vs_api.report.page.data import page_data
from lora_vs_api.report.page.html import report_html
from lora_vs_api.report.provenance import environment, provenance
from lora_vs_api.report.sections.facts import ReportInputs

METRICS = [
    "analysis",
    "robustness",
    "corpus",
    "split",
    "data_check",
    "review",
    "contamination",
    "hypothesis",
    "sanity",
]


def main(params: Params) -> None:
    metrics = {name: read_json(f"metrics/{name}.json") for name in METRICS}
    inputs = ReportInputs(
        **metrics,
        settings={
            "instruction": params.task.instruction,
            "fields": params.task.field_specs,
            "device": params.runtime.device,
            "train": params.train.model_dump(),
            "lora": params.lora.adapter.model_dump(),
            "max_new_tokens": params.decoding.max_new_tokens,
            "constrained": params.decoding.constrained,
            "model": params.model.model_dump(exclude={"weights"})
            | params.model.weights.model_dump(),
            "watts": params.economics.watts,
        },
        environment=environment(),
        digests={
            **{f"data/split/{name}.jsonl": d for name, d in metrics["split"]["sha256"].items()},
            **{f"metrics/{name}.json": file_sha256(f"metrics/{name}.json") for name in METRICS},
        },
    )
    # only the seeds of this run: a seed taken out of the config may have left its file behind
    losses = {s: pd.read_csv(f"plots/train/seed-{s}.csv") for s in metrics["analysis"]["seeds"]}
    limit = metrics["hypothesis"]["clauses"]["break_even"]["max_inferences"]
    curves, latency = pd.read_csv("plots/break_even.csv"), pd.read_csv("plots/latency.csv")
    with new_directory("report/figures") as folder:
        write_report_figures(
            folder,
            metrics["analysis"],
            metrics["robustness"],
            curves,
            latency,
            losses,
            limit,
            params.plots,
        )
    text = report_markdown(inputs)
    write_text("report/report.md", text)
    data = page_data(
        metrics["analysis"], iterate_jsonl("metrics/answers.jsonl"), iterate_jsonl(TEST)
    )
    write_text("report/report.html", report_html(text, "report", data))
    write_json("report/provenance.json", provenance())


if __name__ == "__main__":
    run_stage(main)
