"""What the last run decided, in the report's own words: how `make run` and `lora-vs-api run` end."""

from __future__ import annotations

from lora_vs_api.analysis.configuration import config_sha256, shown_digest
from lora_vs_api.analysis.results import Analysis, read_analysis
from lora_vs_api.cli.params import whose_results
from lora_vs_api.config.load import load_params
from lora_vs_api.log import say, show
from lora_vs_api.report.rendering import plain
from lora_vs_api.report.sections.answer import decided
from lora_vs_api.report.sections.facts import stamp

REPORTS = "report/report.md, or on one page with every answer report/report.html"


def tell_answer() -> None:
    """Print the decision, where the report lies and what to try next.

    Raises:
        UserError: nothing has been analysed yet.
    """
    analysis = read_analysis()
    show(f"\n{plain(decided(analysis))}\n")
    show(f"The report: {REPORTS}\n")
    commands = next_commands(analysis)
    width = max(map(len, commands))
    for command, for_what in commands.items():
        show(f"  {command:<{width}}  # {for_what}")
    config = shown_digest(config_sha256(load_params()))
    if config != shown_digest(analysis.config_sha256):
        say(f"\n{whose_results(config)}")


def next_commands(analysis: Analysis) -> dict[str, str]:
    """Command → what it is for: the tuned model, the same question for other texts, another rival."""
    if stamp(analysis) is not None:
        task = load_params().task_name
        full = {
            f"dvc exp run -S task={task}": "the answer: profile=laptop, some 35 minutes on two cores"
        }
        return full | {'lora-vs-api predict "a text of yours"': "what it has learnt so far"}
    if analysis.api_kind == "openai":
        other = {"dvc exp run -S api=contest": "against open models on this machine"}
    else:
        other = {
            "dvc exp run -S api=openai -S api.limits.budget_usd=0": "what asking hosted models "
            "would cost; needs OPENAI_API_KEY, pays nothing"
        }
    return {
        'lora-vs-api predict "a text of yours"': "the fine-tune's record of it",
        "lora-vs-api init FILE": "your own labelled texts (.csv, .jsonl, .parquet)",
        **other,
    }
