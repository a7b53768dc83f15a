"""The sweep's own page."""

from __future__ import annotations

from collections.abc import Sequence

from lora_vs_api.report.numbers import count, significant
from lora_vs_api.report.sections.published import published_experiment
from lora_vs_api.report.sections.writing import escape, table
from lora_vs_api.selection.trials import Trial


def sweep_markdown(
    rank_trials: Sequence[Trial],
    lr_trials: Sequence[Trial],
    winner: Trial,
) -> str:
    """The sweep's own page; its figure is linked as figures-sweep/sweep.svg."""
    published = published_experiment()

    def rows(trials: Sequence[Trial], phase: str) -> list[list[str]]:
        return [
            [
                phase,
                str(t.r),
                f"{t.learning_rate:g}",
                f"{t.field_f1:.3f}",
                f"{t.valid_json:.1%}",
                f"{t.exact_match:.1%}",
                f"{t.last_loss:.3f}"
                + (f" (given up at step {t.stopped_at_step})" if t.stopped_at_step else ""),
            ]
            for t in trials
        ]

    head = [
        "sweep",
        "rank",
        "learning rate",
        "val field F1",
        "valid JSON",
        "all correct",
        "last loss",
    ]
    texts, seed = winner.texts, winner.seed
    old = published["sweep"]
    return "\n\n".join(
        [
            "# The sweep",
            f"Ranks are tried first; the learning rates then at the best rank. Each trial is one "
            f"training with seed {seed}, scored on the first {count(texts, 'validation text')}. "
            f"Best of the sweep: **rank {winner.r} at learning rate "
            f"{winner.learning_rate:g}**, field F1 {winner.field_f1:.3f}. Ties go to the "
            "smaller rank.",
            "![Validation F1 by rank and by learning rate](figures-sweep/sweep.svg)",
            table(
                head,
                rows(rank_trials, "rank") + rows(lr_trials, "learning rate"),
                "lrrrrrr",
            ),
            edge_warnings(winner, rank_trials, lr_trials)
            + f"One text is worth {significant(1 / texts, 2)} of a mean here and there is one seed "
            "a trial, so trials that are close may well be equal. The winner's score is the best "
            "of several and therefore flattering; the [report](report.md) gives its score on test "
            "texts that took no part in the choice.",
            f"The published experiment's sweep ({escape(published['model'])}, {old['texts']} "
            "validation texts), for comparison:",
            table(
                ["sweep", "rank", "learning rate", "val field F1"],
                [
                    [phase, str(t["r"]), f"{t['learning_rate']:g}", f"{t['field_f1']:.4f}"]
                    for phase, trials in (
                        ("rank", old["ranks"]),
                        ("learning rate", old["learning_rates"]),
                    )
                    for t in trials
                ],
                "lrrr",
            ),
            "",
        ]
    )


def edge_warnings(
    winner: Trial,
    rank_trials: Sequence[Trial],
    lr_trials: Sequence[Trial],
) -> str:
    """A warning for each grid whose winner is its smallest or largest value, or nothing."""
    sentences = []
    for what, key, trials in (
        ("rank", "r", rank_trials),
        ("learning rate", "learning_rate", lr_trials),
    ):
        tried = sorted({getattr(t, key) for t in trials})
        if len(tried) > 1 and getattr(winner, key) in (tried[0], tried[-1]):
            side, beyond = (
                ("largest", "higher")
                if getattr(winner, key) == tried[-1]
                else ("smallest", "lower")
            )
            sentences.append(
                f"**The {what} {getattr(winner, key):g} is the {side} tried**: the best one may be {beyond}. "
            )
    return "".join(sentences)
