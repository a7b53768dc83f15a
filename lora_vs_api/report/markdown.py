"""The report as Markdown: every sentence that holds a number is made from that number.

Text that comes from the data (emails, model output, labels) is escaped or fenced, so that none
of it can act as Markdown or HTML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lora_vs_api.report.numbers import count, days, significant, usd, volume

PUBLISHED = Path(__file__).with_name("published.yaml")


@dataclass(frozen=True)
class ReportInputs:
    """What the report is made of; the first seven are the metrics files of the same name.

    ``settings`` holds the configuration that the method section prints: instruction, fields,
    device, train, lora, max_new_tokens, model and watts. ``environment`` is
    :func:`lora_vs_api.report.provenance.environment`; ``digests`` maps files to their SHA-256.
    """

    analysis: Mapping[str, Any]
    corpus: Mapping[str, Any]
    split: Mapping[str, Any]
    review: Mapping[str, Any]
    contamination: Mapping[str, Any]
    hypothesis: Mapping[str, Any]
    sanity: Mapping[str, Any]
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    digests: Mapping[str, str]


def report_markdown(inputs: ReportInputs) -> str:
    """The whole report. Figures are linked as figures/NAME.svg, beside the report."""
    published = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    sections = [
        f"# {escape(inputs.analysis['task'])}: fine-tune or call an API?",
        _answer(inputs),
        _verdict(inputs),
        _data(inputs),
        _contamination(inputs),
        _method(inputs),
        _results(inputs),
        _paired(inputs),
        _statistics(inputs),
        _money(inputs),
        _win_loss(inputs),
        _limitations(inputs),
        _published(inputs, published),
        _reproducibility(inputs),
    ]
    return "\n\n".join(sections) + "\n"


def sweep_markdown(
    rank_trials: Sequence[Mapping[str, Any]],
    lr_trials: Sequence[Mapping[str, Any]],
    winner: Mapping[str, Any],
) -> str:
    """The sweep's own page; its figure is linked as figures-sweep/sweep.svg."""
    published = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))

    def rows(trials: Sequence[Mapping[str, Any]], phase: str) -> list[list[str]]:
        return [
            [
                phase,
                str(t["r"]),
                f"{t['learning_rate']:g}",
                f"{t['field_f1']:.3f}",
                f"{t['valid_json']:.1%}",
                f"{t['strict']:.1%}",
                f"{t['last_loss']:.3f}",
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
    emails, seed = winner["emails"], winner["seed"]
    old = published["sweep"]
    return "\n\n".join(
        [
            "# The sweep",
            f"Ranks are tried first; the learning rates then at the best rank. Each trial is one "
            f"training with seed {seed}, scored on the first {count(emails, 'validation email')}. "
            f"Best of the sweep: **rank {winner['r']} at learning rate "
            f"{winner['learning_rate']:g}**, field F1 {winner['field_f1']:.3f}. Ties go to the "
            "smaller rank.",
            "![Validation F1 by rank and by learning rate](figures-sweep/sweep.svg)",
            table(
                head,
                rows(rank_trials, "rank") + rows(lr_trials, "learning rate"),
                "lrrrrrr",
            ),
            _edges(winner, rank_trials, lr_trials)
            + f"One email is worth {significant(1 / emails, 2)} of a mean here and there is one seed "
            "a trial, so trials that are close may well be equal. The winner's score is the best "
            "of several and therefore flattering; the [report](report.md) gives its score on test "
            "emails that took no part in the choice.",
            f"The published experiment's sweep ({escape(published['model'])}, {old['emails']} "
            "validation emails), for comparison:",
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


def _edges(
    winner: Mapping[str, Any],
    rank_trials: Sequence[Mapping[str, Any]],
    lr_trials: Sequence[Mapping[str, Any]],
) -> str:
    """A warning for each grid whose winner is its smallest or largest value, or nothing."""
    sentences = []
    for what, key, trials in (
        ("rank", "r", rank_trials),
        ("learning rate", "learning_rate", lr_trials),
    ):
        tried = sorted({t[key] for t in trials})
        if len(tried) > 1 and winner[key] in (tried[0], tried[-1]):
            side, beyond = (
                ("largest", "higher") if winner[key] == tried[-1] else ("smallest", "lower")
            )
            sentences.append(
                f"**The {what} {winner[key]:g} is the {side} tried**: the best one may be {beyond}. "
            )
    return "".join(sentences)


# --- sections -------------------------------------------------------------------------------


def _answer(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    lora = _lora(analysis)
    training = analysis["economics"]["training"]["total_usd"]
    # the claim names one baseline; the decision is against the best alternative
    rivals = list(dict.fromkeys([analysis["baseline"], strongest_api(analysis)["name"]]))
    sentences = []
    for name in rivals:
        row, judged, paid = (
            _condition(analysis, name),
            _comparison(analysis, name),
            _break_even(analysis, name),
        )
        meaning = {
            "better": "the fine-tune is the more accurate of the two",
            "worse": "the fine-tune is the less accurate of the two",
            "unclear": "these emails do not tell the two apart",
        }[accuracy_of(judged)]
        if not sentences:
            sentences.append(
                f"On {count(analysis['emails'], 'test email')} the fine-tuned "
                f"{escape(analysis['model'])} scores {lora['field_f1']['estimate']:.3f} field F1 and "
                f"{escape(row['label'])} {row['field_f1']['estimate']:.3f}"
            )
        else:
            sentences.append(
                f"The strongest API condition is {escape(row['label'])} at "
                f"{row['field_f1']['estimate']:.3f}"
            )
        sentences[-1] += f": a difference of {_difference(judged, analysis)}, so {meaning}."
        cost = f"USD {usd(paid['api_per_1k'])} through the API" + (
            f", billed as {escape(_priced_as(row))}" if _embedded(analysis) else ""
        )
        if name == analysis["baseline"]:
            cost = (
                f"A thousand emails cost USD {usd(lora['cost_per_1k']['usd'])} locally and {cost}"
            )
        else:
            cost = f"A thousand emails cost {cost}"
        if paid["volume"] is None:
            sentences.append(
                f"{cost}: the USD {usd(training)} that training costs never come back."
            )
        else:
            sentences.append(
                f"{cost}: the USD {usd(training)} that training costs are back after "
                f"{volume(paid['volume'])} inferences{_days(paid)}."
            )
    sentences.append(
        f"The fine-tune gets {lora['strict']:.1%} of the emails right in every field"
        + (
            ", so its records need a check before anything acts on them."
            if lora["strict"] < 0.9
            else "."
        )
    )
    return "\n\n".join(
        [
            "## The question and the answer",
            f"Should one LoRA-fine-tune {escape(analysis['model'])} for this task, or call an API "
            "model?",
            f"**{recommendation(inputs)}**",
            " ".join(sentences),
            _figure("headline", "Field F1 of every condition with its interval"),
        ]
    )


def accuracy_of(comparison: Mapping[str, Any]) -> str:
    """better, worse or unclear, by the side of 0 on which the whole paired interval lies."""
    if comparison["low"] > 0:
        return "better"
    return "worse" if comparison["high"] < 0 else "unclear"


def strongest_api(analysis: Mapping[str, Any]) -> Mapping[str, Any]:
    """The API condition of highest field F1; of equals, the cheaper."""
    return max(
        (row for row in analysis["conditions"] if row["kind"] == "api"),
        key=lambda row: (row["field_f1"]["estimate"], -row["cost_per_1k"]["usd"]),
    )


def recommendation(inputs: ReportInputs) -> str:
    """What to do, by a fixed rule, against the strongest API condition.

    Its paired interval decides accuracy (better, worse, unclear), its break-even volume money
    (before the limit that the hypothesis names, after it, never). Each of the nine cases has one
    sentence.
    """
    analysis = inputs.analysis
    rival = strongest_api(analysis)
    reached = _break_even(analysis, rival["name"])["volume"]
    limit = inputs.hypothesis["clauses"]["break_even"]["max_inferences"]
    money = "never" if reached is None else "soon" if reached < limit else "late"
    after = f"after {volume(reached)} inferences"
    embedded = _embedded(analysis)
    stay = "Stay with the untuned model" if embedded else f"Call {escape(rival['label'])}"
    advice = {
        ("better", "soon"): f"Fine-tune: it is more accurate, and it pays for itself {after}.",
        (
            "better",
            "late",
        ): f"Fine-tune for the accuracy, not to save money: it pays for itself only {after}.",
        ("better", "never"): "Fine-tune only if the accuracy is worth its price: it never pays for "
        "itself.",
        ("unclear", "soon"): f"Fine-tune if you expect the volume: it pays for itself {after}; "
        "accuracy gives no reason either way.",
        (
            "unclear",
            "late",
        ): f"{stay} unless you expect far more volume: fine-tuning pays for itself "
        f"only {after}, and accuracy gives no reason either way.",
        ("unclear", "never"): f"{stay}: fine-tuning shows no gain in accuracy and never pays for "
        "itself.",
        ("worse", "soon"): f"{stay} where accuracy matters: fine-tuning is less accurate; it saves "
        f"money {after}.",
        ("worse", "late"): f"{stay}: fine-tuning is less accurate and saves money only {after}.",
        ("worse", "never"): f"{stay}: fine-tuning is less accurate and never pays for itself.",
    }[accuracy_of(_comparison(analysis, rival["name"])), money]
    if not embedded:
        return advice
    return (
        f"{advice} The API conditions here are {escape(_served(analysis))}, untuned, behind a local "
        f"server and billed as {escape(_priced_as(rival))}: no hosted model was asked, and what one "
        "would score is open."
    )


def _verdict(inputs: ReportInputs) -> str:
    analysis, verdict = inputs.analysis, inputs.analysis["verdict"]
    baseline = _condition(analysis, analysis["baseline"])
    lines = [
        f"## Hypothesis {escape(verdict['id'])} and its verdict",
        f"> {escape(verdict['statement'])}",
        f"The claim and the rules that decide it are in `conf/hypothesis/` (SHA-256 "
        f"`{verdict['sha256']}`). The commit that last changed them, its date, and whether it is "
        "earlier than the commit reported on, are in [provenance.json](provenance.json).",
        table(
            ["clause", "verdict", "why"],
            [
                [
                    escape(clause["clause"].replace("_", " ")),
                    "**holds**" if clause["holds"] else "**fails**",
                    escape(clause["reason"]),
                ]
                for clause in verdict["clauses"]
            ],
        ),
    ]
    if _embedded(analysis):
        lines.append(
            f"Judged against {escape(baseline['label'])}, the untuned base model standing in for a "
            "hosted one. That tests the pipeline and the gain from tuning; it is no test of the "
            "claim about hosted models."
        )
    return "\n\n".join(lines)


def _data(inputs: ReportInputs) -> str:
    corpus, split, review = inputs.corpus, inputs.split, inputs.review
    parts = [
        "## Data and review",
        f"{corpus['emails']:,} emails from the project's own generator, "
        f"{significant(corpus['words_mean'])} words on average, "
        f"{count(corpus['near_duplicates'], 'near-duplicate')}; split into {split['train']:,} train, "
        f"{split['val']:,} validation and {split['test']:,} test emails, of which the first "
        f"{inputs.analysis['emails']:,} are evaluated. No text is in two splits (checked).",
    ]
    # corpus-wide counts by label, whatever the task calls them
    counted = {
        name: values
        for name, values in corpus.items()
        if isinstance(values, Mapping) and sum(values.values()) == corpus["emails"]
    }
    if counted:
        parts.append(
            table(
                ["label", "emails"],
                [
                    [
                        escape(name),
                        ", ".join(f"{escape(label)} {n:,}" for label, n in values.items()),
                    ]
                    for name, values in counted.items()
                ],
            )
        )
    reviewed = review["sample"] - review["unreviewed"]
    if reviewed == 0:
        said = (
            f"**Nobody has reviewed the sample of {review['sample']:,} yet**: "
            f"{review['unreviewed']:,} unreviewed. The labels are the generator's word."
        )
    else:
        said = (
            f"Of a sample of {review['sample']:,}, a person has accepted {review['accepted']:,}, "
            f"rejected {review['rejected']:,} and fixed {review['fixed']:,}; "
            f"{review['unreviewed']:,} {'is' if review['unreviewed'] == 1 else 'are'} unreviewed and "
            "count as nothing else."
        )
    parts.append(said + " `python -m lora_vs_api.task.review_cli` records verdicts.")
    return "\n\n".join(parts)


def _contamination(inputs: ReportInputs) -> str:
    check = inputs.contamination
    parts = [
        "## Contamination check",
        f"Before any training the untuned base was asked for {_code(check['field'])} of "
        f"{count(check['emails'], 'test email')}: {check['accuracy']:.0%} right, chance is "
        f"{check['chance']:.0%}, so {100 * check['above_chance']:+.0f} points against chance. "
        f"Flagged from {100 * check['threshold']:+.0f} points on: "
        + ("**flagged**." if check["flagged"] else "not flagged."),
    ]
    if check["flagged"]:
        parts.append(
            "The base may have seen these texts, or finds the question easy; read every score "
            "below with that in mind."
        )
    unreadable = check["unreadable_answers"]
    if unreadable > check["emails"] / 2:
        parts.append(
            f"{unreadable} of the {check['emails']} answers named none of the labels, so the check "
            "says little: a model that cannot answer the question cannot show that it remembers."
        )
    return "\n\n".join(parts)


def _method(inputs: ReportInputs) -> str:
    analysis, settings, sanity = inputs.analysis, inputs.settings, inputs.sanity
    train, lora, selected = settings["train"], settings["lora"], analysis["selected"]
    model = settings["model"]
    source = ", ".join(
        f"{key} {escape(str(model[key]))}"
        for key in ("source", "package", "version", "repo", "revision", "path", "license")
        if model.get(key)
    )
    if _embedded(analysis):
        api = (
            f"The API conditions ask {escape(_served(analysis))}, untuned, served by `transformers "
            "serve` on loopback, through the `openai` client"
        )
    else:
        api = "The API conditions ask hosted models through the `openai` client"
    batch = train.get("batch_size", 1) * train.get("gradient_accumulation", 1)
    return "\n\n".join(
        [
            "## Method",
            f"{escape(model['name'])} ({source}) is fine-tuned with LoRA on the training emails, "
            "with loss on the answer's tokens only. A rank sweep, then a learning-rate sweep at the "
            f"best rank, score on validation emails ([the sweep](sweep.md)); rank {selected['r']} at "
            f"learning rate {selected['learning_rate']:g} went on to "
            f"{count(len(analysis['seeds']), 'final training')} "
            f"(seed{'s' * (len(analysis['seeds']) > 1)} {', '.join(map(str, analysis['seeds']))}). "
            f"{api}. Every condition gets the same system prompt and answers in plain text; "
            "few-shot conditions also see examples from the training emails.",
            "Score: mean over the record's fields, each from 0 to 1. *All correct* asks for every "
            "field; *valid JSON* for one JSON object and nothing else, and whatever is not scores "
            "0 on every field; *fits schema* also asks for the right keys, types and values.",
            "The prompt:",
            fence(settings["instruction"], "text"),
            table(
                ["field", "type", "scored by"],
                [
                    [
                        _code(name),
                        escape(_field_type(spec)),
                        {"exact": "exact match", "set_f1": "F1 of the set"}.get(
                            spec["score"], escape(spec["score"])
                        ),
                    ]
                    for name, spec in settings["fields"].items()
                ],
            ),
            table(
                ["setting", "value"],
                [
                    ["device", escape(settings["device"])],
                    [
                        "LoRA",
                        f"r {selected['r']}, alpha {lora['alpha_per_r'] * selected['r']:g}, dropout "
                        f"{lora['dropout']:g}, on {escape(', '.join(lora['target_modules']))}",
                    ],
                    ["effective batch", str(batch)],
                    *(
                        [escape(key.replace("_", " ")), escape(str(value))]
                        for key, value in train.items()
                        if value is not None and key not in ("batch_size", "gradient_accumulation")
                    ),
                    ["most tokens of an answer", str(settings["max_new_tokens"])],
                ],
            ),
            f"Gate before the sweep: in {count(sanity['steps'], 'step')} the loss went from "
            f"{sanity['first_loss']:.3f} to {sanity['last_loss']:.3f} and {sanity['valid_json']:.0%} "
            f"of the answers were valid JSON; {'passed' if sanity['passed'] else '**not passed**'}.",
            _figure("loss", "Training loss of every final seed"),
        ]
    )


def _results(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    confidence = f"{analysis['statistics']['confidence']:.0%}"
    rows = sorted(analysis["conditions"], key=lambda row: -row["field_f1"]["estimate"])

    def ordered(row: Mapping[str, Any]) -> list[int]:
        keys = (
            "conforming",
            "schema_violating",
            "invalid_json",
            "truncated",
            "refused",
            "filtered",
        )
        return [row["outcomes"][key] for key in keys]

    parts = [
        "## Results",
        table(
            [
                "condition",
                "field F1",
                f"{confidence} interval",
                "valid JSON",
                "fits schema",
                "all correct",
                "cut short",
                "p50 (s)",
                "p95 (s)",
                "USD per 1K",
            ],
            [
                [
                    escape(row["label"]),
                    f"{row['field_f1']['estimate']:.3f}",
                    f"{row['field_f1']['low']:.3f} to {row['field_f1']['high']:.3f}",
                    f"{row['valid_json']:.1%}",
                    f"{row['schema_valid']:.1%}",
                    f"{row['strict']:.1%}",
                    f"{row['truncated']:.1%}",
                    _seconds(row["latency"]["p50"]),
                    _seconds(row["latency"]["p95"]),
                    usd(row["cost_per_1k"]["usd"]),
                ]
                for row in rows
            ],
            "lrrrrrrrrr",
        ),
        f"{count(analysis['emails'], 'test email')}; intervals: "
        f"{_methods(row['field_f1'] for row in rows)}. *Cut short*: the answer reached "
        "the token limit; it is scored as it stands.",
        table(
            ["condition", "latency measured on", "how"],
            [
                [
                    escape(row["label"]),
                    count(row["latency"]["emails"], "request"),
                    escape(row["latency"]["how"]),
                ]
                for row in rows
            ],
            "lrl",
        ),
        table(
            [
                "condition",
                "requests",
                "fit the schema",
                "break it",
                "no valid JSON",
                "cut short",
                "refused",
                "filtered",
            ],
            [
                [escape(row["label"])]
                + [str(number) for number in (sum(row["outcomes"].values()), *ordered(row))]
                for row in rows
            ],
            "lrrrrrrr",
        ),
        "Every request is counted once. One that is refused, filtered or not answered at all stops "
        "the run and is never scored.",
    ]
    unreadable = [row for row in rows if row["valid_json"] < 0.5]
    if unreadable:
        parts.append(
            "An answer that is not valid JSON scores 0, so a condition that rarely writes JSON is "
            "measured on its format more than on what it understood: "
            + "; ".join(
                f"{escape(row['label'])} wrote valid JSON for {row['valid_json']:.1%}"
                + (
                    f", and on those emails scores {row['field_f1']['estimate'] / row['valid_json']:.3f}"
                    if row["valid_json"] > 0
                    else ""
                )
                for row in unreadable
            )
            + "."
        )
    few = [row for row in rows if 0 < row["latency"]["emails"] < 20]
    if few:
        parts.append(
            f"A p95 from fewer than 20 requests is close to the slowest of them "
            f"({'; '.join(escape(row['label']) for row in few)})."
        )
    parts.append(_figure("cost_accuracy", "Cost of 1,000 emails against field F1"))
    repeated = [row for row in rows if row.get("noise_floor")]
    if repeated:
        parts += _noise(repeated)
    return "\n\n".join(parts)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _noise(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    floors = [(row["label"], row["noise_floor"]) for row in rows]
    return [
        "### How far a repeated question gives another answer",
        table(
            ["condition", "emails", "askings", "same text", "same score", "field F1", "sd"],
            [
                [
                    escape(label),
                    str(floor["emails"]),
                    str(floor["askings"]),
                    f"{floor['same_text']:.0%}",
                    f"{floor['same_score']:.0%}",
                    f"{floor['field_f1_low']:.3f} to {floor['field_f1_high']:.3f}",
                    f"{floor['sd']:.4f}",
                ]
                for label, floor in floors
            ],
            "lrrrrrr",
        ),
        "The same emails were asked several times. *Same text* and *same score*: the share of them "
        "on which every asking agrees; *field F1*: the lowest and highest mean of one asking; *sd*: "
        "over askings. The intervals above are over emails and include none of this.",
    ]


def _paired(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    statistics = analysis["statistics"]
    comparisons = analysis["comparisons"]
    return "\n\n".join(
        [
            "## The fine-tune against each baseline, email by email",
            table(
                ["baseline", "difference", "interval", "p", "p (Holm)", "better / same / worse"],
                [
                    [
                        escape(row["label"]),
                        f"{row['difference']:+.3f}",
                        f"{row['low']:+.3f} to {row['high']:+.3f}",
                        _p(row["p_value"]),
                        _p(row["p_holm"]),
                        f"{row['wins']} / {row['ties']} / {row['losses']}",
                    ]
                    for row in comparisons
                ],
                "lrrrrr",
            ),
            f"LoRA ({_seeds(analysis)}) minus baseline in field F1 on the same emails; "
            f"{statistics['confidence']:.0%} intervals: {_methods(comparisons)}, "
            f"{statistics['resamples']:,} resamples, so that no p is below "
            f"{_p(1 / (statistics['resamples'] + 1))}. Holm's correction is over the "
            f"{count(len(comparisons), 'baseline')} of this table.",
            _figure("paired", "Paired differences in field F1 with intervals"),
            "Emails right in every field (LoRA: in more than half of the seeds), by McNemar's exact "
            "test:",
            table(
                ["baseline", "only LoRA", "only baseline", "p", "smallest detectable difference"],
                [
                    [
                        escape(row["label"]),
                        str(row["mcnemar"]["only_lora"]),
                        str(row["mcnemar"]["only_baseline"]),
                        _p(row["mcnemar"]["p_value"]),
                        f"{row['smallest_detectable']:.3f}",
                    ]
                    for row in comparisons
                ],
                "lrrrr",
            ),
            "*Smallest detectable difference*: the true difference in field F1 that this many "
            "emails would show as significant four times out of five (5% level, two-sided).",
        ]
    )


def _statistics(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    lora, shares = analysis["lora"], analysis["lora"]["variance_shares"]
    seeds = len(analysis["seeds"])
    parts = [
        "## What the intervals count",
        f"n is the number of emails, {analysis['emails']:,}. "
        + (
            f"The {seeds} seeds answer the same emails, so the answers to one email are one cluster "
            f"and not {seeds} independent rows. "
            if seeds > 1
            else "There is one seed, so nothing is known about how much another training would "
            "differ. "
        )
        + "The published experiment counted rows; its interval stands beside ours.",
        table(
            ["resampled", "field F1 of LoRA", "interval", "width"],
            [
                [
                    escape(row["name"]),
                    f"{row['estimate']:.3f}",
                    f"{row['low']:.3f} to {row['high']:.3f}",
                    f"{row['high'] - row['low']:.3f}",
                ]
                for row in lora["intervals"]
            ],
            "lrrr",
        ),
        table(
            ["seed", "field F1", "all correct", "valid JSON"],
            [
                [
                    str(row["seed"]),
                    f"{row['field_f1']:.3f}",
                    f"{row['strict']:.1%}",
                    f"{row['valid_json']:.1%}",
                ]
                for row in lora["per_seed"]
            ],
            "lrrr",
        ),
    ]
    if shares["seeds"] is None:
        parts.append(
            "How much of the variance comes from the seed cannot be told from one seed."
            if seeds == 1
            else "Nothing varies, so there is no variance to divide."
        )
    else:
        parts.append(
            f"Of the variance of LoRA's mean, {shares['emails']:.0%} comes from which emails were "
            f"drawn, {shares['seeds']:.0%} from the seeds and {shares['interaction']:.0%} from "
            "neither alone. The intervals elsewhere in this report are for the models that were "
            "trained; for a training yet to come, *emails and seeds* is the one to read."
        )
    return "\n\n".join(parts)


def _money(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    economics = analysis["economics"]
    training, prices = economics["training"], economics["prices"]
    electricity = training["electricity_usd"]
    rates = list(
        next((row["days"] for row in economics["break_even"] if row["days"] is not None), {})
    )
    parts = [
        "## Costs and break-even",
        table(
            ["condition", "USD per 1K", "in batches", "tokens in / out", "how"],
            [
                [
                    escape(row["label"]),
                    usd(row["cost_per_1k"]["usd"]),
                    "–"
                    if row["cost_per_1k"]["batched_usd"] is None
                    else usd(row["cost_per_1k"]["batched_usd"]),
                    f"{row['input_tokens_mean']:.0f} / {row['output_tokens_mean']:.0f}",
                    escape(row["cost_per_1k"]["how"]),
                ]
                for row in analysis["conditions"]
            ],
            "lrrrl",
        ),
        f"Prices: {escape(prices['source'])}, {escape(str(prices['as_of']))}. Training, once: USD "
        f"{usd(training['engineer_usd'])} of engineering and "
        + (
            "electricity that was not measured"
            if electricity is None
            else f"USD {usd(electricity)} of electricity"
        )
        + f", USD {usd(training['total_usd'])} together ({escape(training['how'])}).",
        table(
            [
                "against",
                "API, USD per 1K",
                "saved per 1K",
                "break-even (inferences)",
                *(f"at {int(rate):,} a day" for rate in rates),
            ],
            [
                [
                    escape(row["label"]),
                    usd(row["api_per_1k"]),
                    _signed_usd(row["api_per_1k"] - economics["local_per_1k"]),
                    volume(row["volume"]),
                    *(
                        "never" if row["days"] is None else days(row["days"][rate])
                        for rate in rates
                    ),
                ]
                for row in economics["break_even"]
            ],
            "l" + "r" * (3 + len(rates)),
        ),
        f"The fine-tune is counted at USD {usd(economics['local_per_1k'])} per 1,000, one email at a "
        "time. *Never*: an API answer costs no more than a local one, so nothing is ever saved.",
        _figure("break_even", "Total cost by volume"),
    ]
    return "\n\n".join(parts)


def _win_loss(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    lora, baseline = _lora(analysis), _condition(analysis, analysis["baseline"])
    gains = sorted(_comparison(analysis)["per_field"].items(), key=lambda item: -item[1])

    def names(test: Any) -> str:
        return ", ".join(_code(name) for name, gain in gains if test(round(gain, 3))) or "none"

    parts = [
        "## Where the fine-tune wins and loses",
        f"Against {escape(baseline['label'])}. Wins: {names(lambda g: g > 0)}. Loses: "
        f"{names(lambda g: g < 0)}. Same: {names(lambda g: g == 0)}. Means over "
        f"{count(analysis['emails'], 'email')} without intervals: a small difference may be chance.",
        table(
            ["field", "LoRA", "baseline", "difference"],
            [
                [
                    _code(name),
                    f"{lora['per_field'][name]:.3f}",
                    f"{baseline['per_field'][name]:.3f}",
                    f"{gain:+.3f}",
                ]
                for name, gain in gains
            ],
            "lrrr",
        ),
        _figure("per_field", "Score of every condition on every field"),
    ]
    for kind, title in (
        ("wins", "### Emails on which it gains most"),
        ("losses", "### Emails on which it loses most"),
    ):
        examples = analysis["examples"][kind]
        parts.append(title)
        if not examples:
            parts.append(f"There is no email on which it {'gains' if kind == 'wins' else 'loses'}.")
        for example in examples:
            parts += [
                f"**{escape(example['id'])}**: LoRA (seed {analysis['seeds'][0]}) "
                f"{example['lora_f1']:.3f}, baseline {example['baseline_f1']:.3f}",
                fence(example["text"], "text"),
                fence(
                    f"expected  {_compact(example['gold'])}\n"
                    f"LoRA      {example['lora_output'] or '(empty)'}\n"
                    f"baseline  {example['baseline_output'] or '(empty)'}",
                    "text",
                ),
            ]
    return "\n\n".join(parts)


def _limitations(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    judged = _comparison(analysis)
    found = []
    if _embedded(analysis):
        priced = sorted({_priced_as(row) for row in analysis["conditions"] if row["kind"] == "api"})
        found.append(
            f"**No hosted model was asked.** The API conditions are {escape(_served(analysis))}, "
            "untuned, served by `transformers serve` on loopback and standing in for a hosted model. "
            f"Their tokens are billed as {escape(', '.join(priced))}: a small model's quality beside "
            "a large model's price. Neither their accuracy nor their latency says anything about a "
            "hosted model, and the break-even volumes hold for that price only."
        )
    else:
        found.append(
            "**Hosted models vary.** Each answered every email once; how much they would answer "
            "differently the next time was not measured. A provider can change a model under its "
            "name."
        )
    overlap = inputs.split.get("masked_sentence_overlap")
    synthetic = "**Synthetic emails.** All emails come from one generator, train and test alike. "
    if overlap is not None:
        synthetic += (
            f"With names, products and numbers masked, {overlap:.0%} of the test emails' sentences also "
            "occur in training"
            + (
                ": the test asks for recombination of known sentences, not for reading new ones. "
                if overlap > 0.5
                else ". "
            )
        )
    found.append(synthetic + "Real emails have typos, threads, signatures and jargon.")
    conventions = list(inputs.corpus.get("conventions", []))
    if conventions:
        found.append(
            "**Conventions that only examples teach.** "
            + " ".join(escape(sentence) for sentence in conventions)
        )
    unseen = _unguessed(analysis)
    if unseen:
        found.append(
            f"**What no zero-shot condition gets right.** Without examples, no condition scores "
            f"above 0.1 on {', '.join(_code(name) for name in unseen)}. Where a field's wording or "
            "scale is this corpus's own convention, only examples can teach it: a fine-tune's "
            "advantage there is knowledge of the corpus, which a prompt that spelled out the "
            "convention would give any model."
        )
    share = analysis["lora"]["variance_shares"]["seeds"]
    if len(analysis["seeds"]) == 1:
        found.append(
            "**One seed.** How much another training of the same configuration would differ is "
            "unknown, and no interval here includes it."
        )
    elif share is not None and share > 0.5:
        scores = [row["field_f1"] for row in analysis["lora"]["per_seed"]]
        found.append(
            f"**Trainings differ.** The seeds score from {min(scores):.3f} to {max(scores):.3f} and "
            f"are the source of {share:.0%} of the variance: another training may well land outside "
            "the interval over emails."
        )
    found.append(
        f"**{count(analysis['emails'], 'email')}.** Against "
        f"{escape(judged['label'])} a true difference below {judged['smallest_detectable']:.3f} field "
        "F1 would more often than one time in five go unnoticed."
    )
    if inputs.review["unreviewed"]:
        found.append(
            f"**Labels.** {inputs.review['unreviewed']:,} of {inputs.review['sample']:,} sampled "
            "emails have not been reviewed by a person."
        )
    found.append(
        f"**Energy is configured, not measured**: {inputs.settings['watts']:g} W while it answers. "
        "Buying, serving, monitoring and updating the local model cost nothing in this calculation; "
        "in production they do."
    )
    steps = inputs.settings["train"].get("max_steps")
    if steps is not None:
        found.append(
            f"**Short training.** {count(steps, 'step')}, whatever the epochs say; longer training "
            "may score higher."
        )
    found.append(
        "**The choice of rank and rate** was made on validation emails of the same corpus; no "
        "interval here includes it. One task, one base model, LoRA only: full fine-tuning and "
        "prompt tuning were not compared."
    )
    return "\n\n".join(["## Limitations", "\n".join(f"- {text}" for text in found)])


def _published(inputs: ReportInputs, published: Mapping[str, Any]) -> str:
    analysis = inputs.analysis
    theirs = {row["name"]: row for row in published["conditions"]}
    old, old_base = theirs["lora"], theirs[published["difference"]["baseline"]]
    gap = published["difference"]
    new, base = _lora(analysis), _condition(analysis, analysis["baseline"])
    judged, paid = _comparison(analysis), _break_even(analysis)
    holds = {
        clause["clause"]: "holds" if clause["holds"] else "fails"
        for clause in analysis["verdict"]["clauses"]
    }

    def f1(row: Mapping[str, Any]) -> str:
        return f"{row['estimate']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"

    return "\n\n".join(
        [
            "## The published experiment beside this run",
            f"{escape(published['title'])} ({escape(str(published['date']))}) asked the same "
            "question. **Its figures are its own and were not reproduced here**; models, emails and "
            "prices differ, so the columns are not a contest.",
            table(
                ["figure", "published experiment", "this run"],
                [
                    ["fine-tuned model", escape(published["model"]), escape(analysis["model"])],
                    ["baseline", escape(old_base["label"]), escape(base["label"])],
                    [
                        "test emails",
                        f"{published['emails']}, counted as n = {published['counted_as']}",
                        f"{analysis['emails']:,}",
                    ],
                    ["seeds", str(published["seeds"]), str(len(analysis["seeds"]))],
                    [
                        "selected",
                        f"r {published['selected']['r']}, "
                        f"{published['selected']['learning_rate']:g}",
                        f"r {analysis['selected']['r']}, {analysis['selected']['learning_rate']:g}",
                    ],
                    [
                        "field F1, fine-tuned",
                        f1({**old, "estimate": old["field_f1"]}),
                        f1(new["field_f1"]),
                    ],
                    [
                        "field F1, baseline",
                        f1({**old_base, "estimate": old_base["field_f1"]}),
                        f1(base["field_f1"]),
                    ],
                    [
                        "difference",
                        f"{gap['estimate']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]",
                        f"{judged['difference']:+.3f} [{judged['low']:+.3f}, {judged['high']:+.3f}]",
                    ],
                    [
                        "valid JSON, fine-tuned / baseline",
                        f"{old['valid_json']:.1%} / {old_base['valid_json']:.1%}",
                        f"{new['valid_json']:.1%} / {base['valid_json']:.1%}",
                    ],
                    [
                        "all correct, fine-tuned / baseline",
                        f"{old['strict']:.1%} / {old_base['strict']:.1%}",
                        f"{new['strict']:.1%} / {base['strict']:.1%}",
                    ],
                    [
                        "p50 / p95, fine-tuned (s)",
                        f"{old['p50']:.2f} / {old['p95']:.2f} ({escape(published['machine'])})",
                        f"{new['latency']['p50']:.2f} / {new['latency']['p95']:.2f}",
                    ],
                    [
                        "USD per 1K, fine-tuned / baseline",
                        f"{usd(old['usd_per_1k'])} / {usd(old_base['usd_per_1k'])}",
                        f"{usd(new['cost_per_1k']['usd'])} / {usd(base['cost_per_1k']['usd'])}",
                    ],
                    [
                        "break-even (inferences)",
                        volume(old_base["break_even"]),
                        volume(paid["volume"]),
                    ],
                    *(
                        [f"clause: {escape(name.replace('_', ' '))}", told, holds.get(name, "–")]
                        for name, told in published["verdict"].items()
                    ),
                ],
            ),
            "The published experiment's other baselines:",
            table(
                ["published condition", "field F1", "USD per 1K", "break-even (inferences)"],
                [
                    [
                        escape(row["label"]),
                        f1({**row, "estimate": row["field_f1"]}),
                        usd(row["usd_per_1k"]),
                        volume(row["break_even"]),
                    ]
                    for row in published["conditions"]
                    if row["name"] not in ("lora", gap["baseline"])
                ],
                "lrrr",
            ),
            "\n".join(f"- {escape(note)}" for note in published["notes"]),
        ]
    )


def _reproducibility(inputs: ReportInputs) -> str:
    analysis, environment, model = inputs.analysis, inputs.environment, inputs.settings["model"]
    statistics = analysis["statistics"]
    return "\n\n".join(
        [
            "## Reproducibility",
            "`dvc repro` redoes what changed and nothing else; `dvc.lock` holds the digest of every "
            "input and output. The git commit this report was written at is in "
            "[provenance.json](provenance.json).",
            table(
                ["what", "value"],
                [
                    ["profile", _code(analysis["profile"])],
                    [
                        "base model",
                        escape(
                            " ".join(
                                str(model[key])
                                for key in ("name", "package", "version", "repo", "revision")
                                if model.get(key)
                            )
                        ),
                    ],
                    *([["its SHA-256", _code(model["sha256"])]] if model.get("sha256") else []),
                    ["training seeds", ", ".join(map(str, analysis["seeds"]))],
                    [
                        "bootstrap",
                        f"{statistics['resamples']:,} resamples, seed {statistics['seed']}",
                    ],
                    ["Python", escape(environment["python"])],
                    ["platform", escape(environment["platform"])],
                    *(
                        [escape(name), escape(str(version))]
                        for name, version in environment["packages"].items()
                    ),
                    *(
                        [f"SHA-256 of {_code(name)}", f"`{digest}`"]
                        for name, digest in inputs.digests.items()
                    ),
                ],
            ),
        ]
    )


# --- facts ----------------------------------------------------------------------------------


def _embedded(analysis: Mapping[str, Any]) -> bool:
    return analysis["api_kind"] == "embedded"


def _lora(analysis: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(row for row in analysis["conditions"] if row["kind"] == "lora")


def _condition(analysis: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next(row for row in analysis["conditions"] if row["name"] == name)


def _comparison(analysis: Mapping[str, Any], name: str | None = None) -> Mapping[str, Any]:
    wanted = name or analysis["baseline"]
    return next(row for row in analysis["comparisons"] if row["baseline"] == wanted)


def _break_even(analysis: Mapping[str, Any], name: str | None = None) -> Mapping[str, Any]:
    wanted = name or analysis["baseline"]
    rows = analysis["economics"]["break_even"]
    return next(row for row in rows if row["baseline"] == wanted)


def _priced_as(condition: Mapping[str, Any]) -> str:
    return str(condition["cost_per_1k"]["priced_as"])


def _served(analysis: Mapping[str, Any]) -> str:
    """The models behind the API conditions, each once."""
    return ", ".join(
        dict.fromkeys(row["model"] for row in analysis["conditions"] if row["kind"] == "api")
    )


def _unguessed(analysis: Mapping[str, Any]) -> list[str]:
    """Fields on which every condition that saw no example scores at most 0.1.

    Conditions that seldom write valid JSON fail for another reason and do not count.
    """
    blind = [
        row
        for row in analysis["conditions"]
        if row["kind"] != "lora" and not row["shots"] and row["valid_json"] >= 0.5
    ]
    return [
        name
        for name in analysis["fields"]
        if blind and all(row["per_field"][name] <= 0.1 for row in blind)
    ]


def _seeds(analysis: Mapping[str, Any]) -> str:
    seeds = len(analysis["seeds"])
    return "one seed" if seeds == 1 else f"mean of {seeds} seeds"


def _difference(row: Mapping[str, Any], analysis: Mapping[str, Any]) -> str:
    return (
        f"{row['difference']:+.3f} ({analysis['statistics']['confidence']:.0%} interval "
        f"{row['low']:+.3f} to {row['high']:+.3f})"
    )


def _days(row: Mapping[str, Any]) -> str:
    """In brackets, how long the break-even takes at the middle one of the configured volumes."""
    if not row["days"]:
        return ""
    rates = list(row["days"])
    rate = rates[len(rates) // 2]
    return f" ({days(row['days'][rate])} at {int(rate):,} a day)"


def _methods(rows: Any) -> str:
    """The methods named, each once; one that only says less than another is left out."""
    named = list(dict.fromkeys(row["method"] for row in rows))
    return escape(
        " / ".join(
            method
            for method in named
            if not any(other != method and other.startswith(method) for other in named)
        )
    )


def _field_type(spec: Mapping[str, Any]) -> str:
    if spec.get("values"):
        return f"{spec['type']}: {', '.join(spec['values'])}"
    if spec.get("minimum") is not None and spec.get("maximum") is not None:
        return f"{spec['type']} {spec['minimum']} to {spec['maximum']}"
    return str(spec["type"])


# --- writing --------------------------------------------------------------------------------


def escape(value: str) -> str:
    """``value`` as inline Markdown that reads as itself, also in a table cell."""
    one_line = re.sub(r"\s+", " ", value).strip().replace("&", "&amp;")
    one_line = re.sub(r"([\\`*\[\]<>|#~$])", r"\\\1", one_line)
    # an underscore inside a word is no emphasis, and escaped it would be hard to read
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", one_line)


def fence(value: str, language: str = "") -> str:
    """``value`` as a code block that nothing inside it can close."""
    longest = max((len(run) for run in re.findall(r"`+", value)), default=0)
    marks = "`" * max(3, longest + 1)
    # a lone carriage return or a line separator would end a line for some readers and not others
    lines = "\n".join(value.splitlines())
    return f"{marks}{language}\n{lines}\n{marks}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str = "") -> str:
    """A Markdown table; cells are already Markdown. ``align`` has one of l, r a column."""
    align = align or "l" * len(header)
    rules = ["---:" if side == "r" else "---" for side in align]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rules, *rows))


def _code(value: str) -> str:
    return escape(value) if re.search(r"[`|\s]", value) else f"`{value}`"


def _figure(name: str, what: str) -> str:
    return f"![{what}](figures/{name}.svg)"


def _p(value: float) -> str:
    return "<0.0001" if value < 0.00005 else significant(value, 2)


def _signed_usd(value: float) -> str:
    return ("−" if value < 0 else "+") + usd(abs(value))


def _compact(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)
