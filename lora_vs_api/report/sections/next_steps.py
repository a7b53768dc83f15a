"""What to do next, as commands: the report's page and the end of a run say the same."""

from __future__ import annotations

from lora_vs_api.analysis.results import Analysis
from lora_vs_api.report.sections import advice
from lora_vs_api.report.sections.answer import recommends
from lora_vs_api.report.sections.at_volume import at_volume
from lora_vs_api.report.sections.facts import has_api, is_local, stamp

PREDICT = 'lora-vs-api predict "a text of yours"'


def next_commands(analysis: Analysis, task: str) -> dict[str, str]:
    """Command → what it is for, two or three of them: the first is the next step.

    Args:
        analysis: whose decision it follows from.
        task: the task's name in `conf/task/`.
    """
    # an earlier call's -S is forgotten, and conf/local.yaml may set another task than conf/config.yaml
    same = f"-S task={task}"
    if stamp(analysis) is not None:
        return {
            # the profile too: conf/local.yaml may set quick
            f"dvc exp run -S profile=laptop {same}": "the answer: profile=laptop, some 35 minutes on two cores",
            PREDICT: "what it has learnt so far",
        }
    own = {
        PREDICT: "the fine-tune's record of a text",
        "lora-vs-api init FILE": "your own labelled texts (.csv, .jsonl, .parquet)",
    }
    if not has_api(analysis) or is_local(analysis):
        return {
            f"dvc exp run {same} -S api=openai -S api.limits.budget_usd=0": "what asking hosted models "
            "would cost; needs OPENAI_API_KEY, pays nothing",
            **own,
        }
    if _is_open(analysis):
        seeds = [*analysis.seeds, *range(max(analysis.seeds) + 1, max(analysis.seeds) + 3)]
        more = ",".join(map(str, seeds))
        return {
            f'lora-vs-api plan {same} -S "seeds=[{more}]"': "what two more trainings would take; runs nothing",
            **own,
        }
    return {**own, f"dvc exp run {same} -S api=contest": "against open models on this machine"}


def _is_open(analysis: Analysis) -> bool:
    """Whether the decision waits for more texts or seeds, or for nothing that is known here."""
    if not recommends(analysis):
        return True
    rival = analysis.strongest_rival
    pays = at_volume(analysis, rival.name).pays
    return advice.waits(analysis.decision(rival.name), pays)
