"""The bases side by side in words and as a table; each sentence is made of what was found."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lora_vs_api.report.numbers import (
    percent,
    score,
    seconds,
    signed,
    signed_between,
    significant,
    usd,
)
from lora_vs_api.search.base_runs import Base
from lora_vs_api.search.bases import Choice
from lora_vs_api.shown import count

NONE = "–"


def number(place: int) -> str:
    """What a row is called in the table and in the figure."""
    return str(place + 1)


def csv_table(choice: Choice) -> pd.DataFrame:
    """A row for each run, in numbers; columns end in their unit where they have one."""
    rows = []
    for place, base in enumerate(choice.rows):
        lora, found = base.lora, base.analysis.footprint
        minus, exact = choice.minus[place], lora.rate_intervals.exact_match
        rows.append(
            {
                "run": base.name,
                "base": base.analysis.model,
                "engine": base.engine,
                "r": base.analysis.selected.r,
                "learning_rate": base.analysis.selected.learning_rate,
                "val_field_f1": base.val_f1,
                "field_f1": lora.field_f1.estimate,
                "field_f1_low": lora.field_f1.low,
                "field_f1_high": lora.field_f1.high,
                "exact_match": lora.exact_match,
                "exact_match_low": exact.low,
                "exact_match_high": exact.high,
                "minus_best": None if minus is None else minus.estimate,
                "minus_best_low": None if minus is None else minus.low,
                "minus_best_high": None if minus is None else minus.high,
                "p50_seconds": lora.latency.p50,
                "usd_per_1k": lora.cost_per_1k.usd,
                "peak_memory_bytes": found and found.peak_memory_bytes,
                "training_seconds": base.training_seconds,
                "chosen": choice.why_not is None and place == choice.best,
                "dominated_by": " ".join(number(by) for by in choice.dominated_by[place]),
            }
        )
    # dtype object: an integer beside a missing value stays an integer
    return pd.DataFrame(rows, dtype=object)


def shown_table(choice: Choice) -> pd.DataFrame:
    """The same for readers, each cell as text; columns that no row has are left out."""
    rows = [_cells(choice, place, base) for place, base in enumerate(choice.rows)]
    frame = pd.DataFrame(rows, dtype=object)
    return frame.drop(columns=[name for name in frame if (frame[name] == NONE).all()])


def _cells(choice: Choice, place: int, base: Base) -> dict[str, str]:
    lora = base.lora
    exact, minus = lora.rate_intervals.exact_match, choice.minus[place]
    front = "chosen" if choice.why_not is None and place == choice.best else "front"
    by = choice.dominated_by[place]
    if by:
        # the chosen one too may be dominated on test
        said = f"dominated by {', '.join(map(number, by))}"
        front = f"chosen, {said}" if front == "chosen" else said
    return {
        "": number(place),
        "run": base.name,
        "base": base.analysis.model,
        "engine": base.engine,
        "val F1": NONE if base.val_f1 is None else score(base.val_f1),
        "field F1": f"{score(lora.field_f1.estimate)} ({score(lora.field_f1.low)} to {score(lora.field_f1.high)})",
        f"minus {number(choice.best)}": NONE
        if minus is None
        else f"{signed(minus.estimate)} ({signed_between(minus)})",
        "exact match": f"{percent(lora.exact_match)} ({percent(exact.low)} to {percent(exact.high)})",
        "p50 (s)": NONE if lora.latency.p50 is None else seconds(lora.latency.p50),
        "USD per 1K": usd(lora.cost_per_1k.usd),
        "memory (GB)": NONE if base.memory_gb is None else significant(base.memory_gb),
        "training (s)": NONE
        if base.training_seconds is None
        else significant(base.training_seconds),
        "Pareto": front,
    }


def sentences(choice: Choice) -> list[str]:
    """What may be said: how the choice was made, which differences are shown, and what grey means."""
    return [_chosen(choice), *_differences(choice), _front(choice)]


def _chosen(choice: Choice) -> str:
    best = choice.rows[choice.best]
    name = f"{number(choice.best)}, {best.name} ({best.analysis.model}, {best.engine})"
    if choice.why_not is not None:
        return f"Nothing was chosen: {choice.why_not}. Differences are from {name}."
    tied = {
        base.analysis.model
        for base in choice.rows
        if base.val_f1 == best.val_f1 and base.analysis.model != best.analysis.model
    }
    tried = sorted({base.tried for base in choice.rows if base.tried is not None})
    more = (
        f" The sweeps tried {tried[0]} to {tried[-1]} settings; more of them flatter a validation score."
        if len(tried) > 1
        else ""
    )
    equal = f", of equal ones ({', '.join(sorted(tied))}) the more precise or the first" * bool(
        tied
    )
    return (
        f"Chosen on {count(best.val_texts, 'validation text')}: {name}{equal}. Each base stands there by "
        "its sweep's trial at the rank and rate of its final trainings, and of its engines the most precise "
        "is named. No test text took "
        f"part in the choice, so it does not flatter the test scores.{more}"
    )


def _differences(choice: Choice) -> list[str]:
    if len(choice.rows) < 2:
        return []
    shown = [
        f"{number(place)} {'above' if minus.low > 0 else 'below'}"
        for place, minus in enumerate(choice.minus)
        if minus is not None and minus.is_shown
    ]
    several = len(choice.rows[0].analysis.seeds) > 1
    trainings = " and other trainings" if several else ", with these trainings"
    return [
        f"Shown to differ in field F1 from {number(choice.best)}: {', '.join(shown) or 'none'}. The differences' intervals hold "
        f"together at {choice.confidence:.0%} (Bonferroni), for new {choice.units}{trainings}."
    ]


def _front(choice: Choice) -> str:
    left = [measure.name for measure in choice.measures if not measure.counts]
    counted = [measure.name for measure in choice.measures if measure.counts]
    missing = f" Not every run has {', '.join(left)}, so that does not count." * bool(left)
    return (
        f"Dominated: another row is at least as good in {', '.join(counted)} and better in one, by the "
        "measured values, whose noise it leaves out. The front is made on test: it says what to look at, "
        f"and chooses nothing.{missing}"
    )


def page(choice: Choice, left_out: Sequence[str], command: str, texts: int) -> str:
    """The page as Markdown; its figure is linked as bases.svg."""
    frame = shown_table(choice)
    rows = [
        "| " + " | ".join(_escaped(str(cell)) for cell in cells) + " |"
        for cells in ([*frame.columns], *frame.itertuples(index=False))
    ]
    rule = "| " + " | ".join("---" for _ in frame.columns) + " |"
    lines = [
        "# Which base",
        "",
        f"`{command}`",
        "",
        "## The bases side by side",
        "",
        *(line for sentence in sentences(choice) for line in (_escaped(sentence), "")),
        f"Scores are of {count(texts, 'test text')}, with intervals at {choice.confidence:.0%}; latency is of "
        "one text at a time, memory the peak of the process that answers, training that of one final "
        "training.",
        "",
        rows[0],
        rule,
        *rows[1:],
        "",
        "![Field F1 and exact match of each base against what it takes](bases.svg)",
        "",
    ]
    if left_out:
        lines += ["## Left out", "", *(f"- {_escaped(line)}" for line in left_out), ""]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """A name of anybody's as text of Markdown: no column, emphasis or link."""
    for sign in "\\|*_[]<`":
        text = text.replace(sign, f"\\{sign}")
    return text
