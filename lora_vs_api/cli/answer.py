"""What the last run decided, in the report's own words: how `make run` and `lora-vs-api run` end."""

from __future__ import annotations

from lora_vs_api.analysis.configuration import config_sha256, shown_digest
from lora_vs_api.analysis.results import read_analysis
from lora_vs_api.cli.browser import open_report
from lora_vs_api.cli.params import whose_results
from lora_vs_api.config.load import load_params
from lora_vs_api.log import say, show
from lora_vs_api.report.rendering import plain
from lora_vs_api.report.sections.answer import decided
from lora_vs_api.report.sections.next_steps import next_commands

REPORTS = "report/report.md, or on one page with every answer report/report.html"


def tell_answer(*, opened: bool = False) -> None:
    """Print the decision, where the report lies and what to try next; ``opened`` opens the report too.

    Raises:
        UserError: nothing has been analysed yet, or there is no report to open.
    """
    analysis = read_analysis()
    show(f"\n{plain(decided(analysis))}\n")
    show(f"The report: {REPORTS}\n")
    params = load_params()
    commands = next_commands(analysis, params.task_name)
    width = max(map(len, commands))
    for command, for_what in commands.items():
        show(f"  {command:<{width}}  # {for_what}")
    config = shown_digest(config_sha256(params))
    if config != shown_digest(analysis.config_sha256):
        say(f"\n{whose_results(config)}")
    if opened:
        open_report()
