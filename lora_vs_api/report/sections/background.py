"""Where the numbers come from: data, checks, method, limitations, reproducibility."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_vs_api.record.fields import SCORES
from lora_vs_api.report.numbers import count, significant
from lora_vs_api.report.sections.facts import (
    ReportInputs,
    comparison_row,
    constant_fields,
    is_embedded,
    lora_row,
    price_name,
    served_models,
    unguessed_fields,
)
from lora_vs_api.report.sections.writing import code_span, escape, fence, figure_link, table


def _but_for_names(texts: int) -> str:
    verb = "differs" if texts == 1 else "differ"
    return f", of which {texts:,} {verb} from an earlier one in names, products and numbers alone"


def data_section(inputs: ReportInputs) -> str:
    corpus, split, review = inputs.corpus, inputs.split, inputs.review
    generated = corpus["source"] == "generator"
    source = "the project's own generator" if generated else code_span(corpus["path"])
    repeated_masked = corpus.get("repeated_after_masking")
    repeated = split.get("repeated_texts_left_out")
    parts = [
        "## Data and review",
        f"{corpus['texts']:,} texts from {source}, "
        f"{significant(corpus['words_mean'])} words on average"
        f"{'' if repeated_masked is None else _but_for_names(repeated_masked)}; "
        f"split into {split['train']:,} train, "
        f"{split['val']:,} validation and {split['test']:,} test texts, of which the first "
        f"{inputs.analysis['texts']:,} are evaluated. No text is in two splits (checked)"
        f"{'; ' + count(repeated, 'repeated text') + ' left out' if repeated else ''}.",
    ]
    # corpus-wide counts by label, whatever the task calls them
    counted = {
        name: values
        for name, values in (corpus | corpus.get("labels", {})).items()
        if name != "labels" and isinstance(values, Mapping)
    }
    if counted:
        parts.append(
            table(
                ["label", "texts"],
                [
                    [
                        escape(name),
                        ", ".join(f"{escape(label)} {n:,}" for label, n in values.items()),
                    ]
                    for name, values in counted.items()
                ],
            )
        )
    parts.append(_checks(inputs.data_check))
    reviewed = review["sample"] - review["unreviewed"]
    if reviewed == 0:
        said = (
            f"**Nobody has reviewed the sample of {review['sample']:,} yet**: "
            f"{review['unreviewed']:,} unreviewed. The labels are "
            f"{'the generator' if generated else 'the file'}'s word."
        )
    else:
        said = (
            f"Of a sample of {review['sample']:,}, a person has accepted {review['accepted']:,}, "
            f"rejected {review['rejected']:,} and fixed {review['fixed']:,}; "
            f"{review['unreviewed']:,} {'is' if review['unreviewed'] == 1 else 'are'} unreviewed and "
            "count as nothing else."
        )
    parts.append(said + " `lora-vs-api review` records verdicts.")
    return "\n\n".join(parts)


def _checks(check: Mapping[str, Any]) -> str:
    alike, lengths, precision = check["likeness"], check["lengths"], check["precision"]
    needed = " and ".join(
        f"{rows:,} for ±{half}" for half, rows in precision["rows_needed"].items()
    )
    said = [
        f"{alike['test_rows_like_a_train_row']:,} test texts are near duplicates of training texts "
        f"(Jaccard similarity of word triples from {alike['similarity']:g} on), "
        f"{alike['train_rows_like_an_earlier_one']:,} training texts of earlier ones; "
        f"{len(check['conflicts']):,} texts occur with different records. The longest answer takes "
        f"{lengths['answer_tokens']['max']:,} of {lengths['max_new_tokens']:,} tokens. A mean over "
        f"{precision['rows']:,} test texts is good to about ±{precision['half_width']['typical']:.3f} "
        f"where one text's score has a standard deviation of 0.3; it takes {needed}."
    ]
    if check["warnings"]:
        said.append("\n".join(f"- {escape(warning)}" for warning in check["warnings"]))
    return "\n\n".join(said)


def contamination_section(inputs: ReportInputs) -> str:
    check = inputs.contamination
    if check["field"] is None:
        return (
            "## Contamination check\n\nNot made: `contamination.field` names no field. It asks the "
            "untuned base for an enum field, and high accuracy would hint that it has seen the texts."
        )
    parts = [
        "## Contamination check",
        f"Before any training the untuned base was asked for {code_span(check['field'])} of "
        f"{count(check['texts'], 'test text')}: {check['accuracy']:.0%} right, chance is "
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
    if unreadable > check["texts"] / 2:
        parts.append(
            f"{unreadable} of the {check['texts']} answers named none of the labels, so the check "
            "says little: a model that cannot answer the question cannot show that it remembers."
        )
    return "\n\n".join(parts)


VARIANTS = {
    "lora": "LoRA",
    "rslora": "rsLoRA",
    "dora": "DoRA",
    "pissa": "LoRA from PiSSA's start",
    "qlora": "QLoRA (on the base's weights in 4 bits)",
}


def _variant(lora: Mapping[str, Any]) -> str:
    ratio = lora["plus_ratio"]
    plus = "" if ratio is None else f" (LoRA+: B learns at {ratio:g} times A's rate)"
    return VARIANTS[lora["variant"]] + plus


def _modules(lora: Mapping[str, Any]) -> str:
    modules = lora["target_modules"]
    if isinstance(modules, str):
        return "all linear layers but the output's"
    return escape(", ".join(modules))


def _tunings(analysis: Mapping[str, Any]) -> str:
    """The other ways of tuning, in a sentence; empty where there is none."""
    told = []
    for tuning in analysis["tunings"].values():
        size = [] if tuning["r"] is None else [f"r {tuning['r']}"]
        if tuning["virtual_tokens"] is not None:
            size.append(f"{tuning['virtual_tokens']} learnt tokens")
        what = ", ".join(
            [*size, f"learning rate {tuning['learning_rate']}", f"seed {tuning['seed']}"]
        )
        told.append(f"{escape(tuning['label'])} ({what})")
    if not told:
        return ""
    return (
        " The same base was tuned in other ways for as many steps, once each and at a rate that "
        f"was not swept: {'; '.join(told)}."
    )


def method_section(inputs: ReportInputs) -> str:
    analysis, settings, sanity = inputs.analysis, inputs.settings, inputs.sanity
    train, lora, selected = settings["train"], settings["lora"], analysis["selected"]
    model = settings["model"]
    source = ", ".join(
        f"{key} {escape(str(model[key]))}"
        for key in ("source", "package", "version", "repo", "revision", "path", "license")
        if model.get(key)
    )
    if is_embedded(analysis):
        api = (
            f"The API conditions ask {escape(served_models(analysis))}, untuned, served by `transformers "
            "serve` on loopback, through the `openai` client"
        )
    else:
        api = "The API conditions ask hosted models through the `openai` client"
    batch = train.get("batch_size", 1) * train.get("gradient_accumulation", 1)
    return "\n\n".join(
        [
            "## Method",
            f"{escape(model['name'])} ({source}) is fine-tuned with {_variant(lora)} on the training "
            "texts, with loss on the answer's tokens only. A rank sweep, then a learning-rate sweep at the "
            f"best rank, score on validation texts ([the sweep](sweep.md)); rank {selected['r']} at "
            f"learning rate {selected['learning_rate']:g} went on to "
            f"{count(len(analysis['seeds']), 'final training')} "
            f"(seed{'s' * (len(analysis['seeds']) > 1)} {', '.join(map(str, analysis['seeds']))}). "
            f"{api}. Every condition gets the same system prompt and answers in plain text; "
            "few-shot conditions also see examples from the training texts." + _tunings(analysis),
            "Score: mean over the record's fields, each from 0 to 1. *All correct* asks for every "
            "field; *valid JSON* for one JSON object and nothing else, and whatever is not scores "
            "0 on every field; *fits schema* also asks for the right keys, types and values.",
            "The prompt:",
            fence(settings["instruction"], "text"),
            table(
                ["field", "type", "scored by"],
                [
                    [
                        code_span(name),
                        escape(type_words(spec)),
                        score_words(spec),
                    ]
                    for name, spec in settings["fields"].items()
                ],
            ),
            table(
                ["setting", "value"],
                [
                    ["device", escape(settings["device"])],
                    [
                        _variant(lora),
                        f"r {selected['r']}, alpha {lora['alpha_per_r'] * selected['r']:g}, dropout "
                        f"{lora['dropout']:g}, on {_modules(lora)}",
                    ],
                    ["effective batch", str(batch)],
                    *(
                        [escape(key.replace("_", " ")), escape(str(value))]
                        for key, value in train.items()
                        if value is not None and key not in ("batch_size", "gradient_accumulation")
                    ),
                    ["most tokens of an answer", str(settings["max_new_tokens"])],
                    [
                        "local answers",
                        "greedy, adapter merged, what all prompts begin with computed once"
                        + (
                            "; only what the fields' schema allows"
                            if settings["constrained"]
                            else ""
                        ),
                    ],
                ],
            ),
            f"Gate before the sweep: in {count(sanity['steps'], 'step')} the loss went from "
            f"{sanity['first_loss']:.3f} to {sanity['last_loss']:.3f} and {sanity['valid_json']:.0%} "
            f"of the answers were valid JSON; {'passed' if sanity['passed'] else '**not passed**'}.",
            figure_link("loss", "Training loss of every final seed"),
        ]
    )


def type_words(spec: Mapping[str, Any]) -> str:
    words = str(spec["type"])
    if spec.get("values"):
        words = f"{words}: {', '.join(spec['values'])}"
    elif spec.get("minimum") is not None and spec.get("maximum") is not None:
        words = f"{words} {spec['minimum']} to {spec['maximum']}"
    elif spec.get("fields"):
        words = f"{words} with {', '.join(spec['fields'])}"
    elif spec.get("items"):
        words = f"{words}, each {type_words(spec['items'])}"
    return words + (", or null" if spec.get("optional") else "")


def score_words(spec: Mapping[str, Any]) -> str:
    return {
        "exact": "exact match",
        "normalised": "match but for case, punctuation and articles",
        "token_f1": "F1 of the words",
        "tolerance": f"match within {spec.get('tolerance')}",
        "set_f1": "F1 of the set",
        "slot_f1": "F1 of the slots",
    }[spec.get("score") or SCORES[spec["type"]][0]]


def limitations_section(inputs: ReportInputs) -> str:
    analysis = inputs.analysis
    judged = comparison_row(analysis)
    found = []
    if is_embedded(analysis):
        priced = sorted({price_name(row) for row in analysis["conditions"] if row["kind"] == "api"})
        found.append(
            f"**No hosted model was asked.** The API conditions are {escape(served_models(analysis))}, "
            "untuned, served by `transformers serve` on loopback and standing in for a hosted model. "
            f"Their tokens are billed as {escape(', '.join(priced))}: a small model's quality beside "
            "a large model's price. Neither their accuracy nor their latency says anything about a "
            "hosted model, and the break-even volumes hold for that price only."
        )
    else:
        again = any(row.get("noise_floor") for row in analysis["conditions"])
        found.append(
            "**Hosted models vary.** "
            + (
                "How much they answer differently the next time was measured on some texts alone. "
                if again
                else "Each answered every text once; how much they would answer differently the "
                "next time was not measured. "
            )
            + "A provider can change a model under its name."
        )
    overlap = inputs.split.get("masked_sentence_overlap")
    source = (
        "**Synthetic texts.** All texts come from one generator, train and test alike. "
        if inputs.corpus["source"] == "generator"
        else "**One source.** Train and test come from the same file. "
    )
    if overlap is not None:
        source += (
            f"With names, products and numbers masked, {overlap:.0%} of the test texts' sentences also "
            "occur in training"
            + (
                ": the test asks for recombination of known sentences, not for reading new ones. "
                if overlap > 0.5
                else ". "
            )
        )
    found.append(
        source
        + (
            "Real texts have typos, threads, signatures and jargon"
            + (
                "; what a program can imitate of that is tried under *Less tidy texts*."
                if inputs.robustness
                else ", and none was tried."
            )
            if inputs.corpus["source"] == "generator"
            else "Texts of another origin, length or form were not tried."
        )
    )
    conventions = list(inputs.corpus.get("conventions", []))
    if conventions:
        found.append(
            "**Conventions that only examples teach.** "
            + " ".join(escape(sentence) for sentence in conventions)
        )
    unseen = unguessed_fields(analysis)
    if unseen:
        found.append(
            f"**What no zero-shot condition gets right.** Without examples, no condition scores "
            f"above 0.1 on {', '.join(code_span(name) for name in unseen)}. Where a field's wording or "
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
            "the interval over texts."
        )
    found.append(
        f"**{count(analysis['texts'], 'text')}.** Against "
        f"{escape(judged['label'])} a true difference below {judged['smallest_detectable']:.3f} field "
        "F1 would more often than one time in five go unnoticed."
    )
    if inputs.review["unreviewed"]:
        found.append(
            f"**Labels.** {inputs.review['unreviewed']:,} of {inputs.review['sample']:,} sampled "
            "texts have not been reviewed by a person."
        )
    energy = (
        f"**Energy is configured, not measured**: {inputs.settings['watts']:g} W while it answers. "
        if lora_row(analysis)["cost_per_1k"]["energy"] == "configured"
        else "**Energy is the GPU's own**, from its counter; the host's is left to the overhead "
        "factor. "
    )
    found.append(
        energy + "Buying, serving, monitoring and updating the local model cost nothing in this "
        "calculation; in production they do. Break-even intervals hold prices, watts and engineer "
        "time fixed: the chart of what it depends on shows those."
    )
    constant = constant_fields(analysis)
    if constant:
        found.append(
            "**Fields it does not read.** "
            + ", ".join(
                f"{code_span(name)} is always {escape(label)}" for name, label in constant.items()
            )
            + " in the fine-tune's answers."
        )
    steps = inputs.settings["train"].get("max_steps")
    if steps is not None:
        found.append(
            f"**Short training.** {count(steps, 'step')}, whatever the epochs say; longer training "
            "may score higher."
        )
    found.append(
        "**The choice of rank and rate** was made on validation texts of the same corpus; no "
        "interval here includes it. One task, one base model"
        + (
            "; other ways of tuning had one training each, at a rate that was not swept."
            if analysis["tunings"]
            else ", LoRA only: full fine-tuning and prompt tuning were not compared."
        )
    )
    return "\n\n".join(["## Limitations", "\n".join(f"- {text}" for text in found)])


def reproducibility_section(inputs: ReportInputs) -> str:
    analysis, environment, model = inputs.analysis, inputs.environment, inputs.settings["model"]
    statistics = analysis["statistics"]
    return "\n\n".join(
        [
            "## Reproducibility",
            "`dvc repro` redoes what changed and nothing else; `dvc.lock` holds the digest of every "
            "input and output. The git commit this report was written at, whether anything was "
            "uncommitted, and the digests of `params.yaml` and `dvc.yaml` are in "
            "[provenance.json](provenance.json): a report that named them would differ from run to "
            "run and could not name the commit that holds it.",
            table(
                ["what", "value"],
                [
                    ["profile", code_span(analysis["profile"])],
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
                    *([["its SHA-256", code_span(model["sha256"])]] if model.get("sha256") else []),
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
                        [f"SHA-256 of {code_span(name)}", f"`{digest}`"]
                        for name, digest in inputs.digests.items()
                    ),
                ],
            ),
        ]
    )
