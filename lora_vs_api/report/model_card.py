"""The model card of a published adapter, every number of it from metrics/analysis.json.

Format: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lora_vs_api.report.sections.writing import escape, table


@dataclass(frozen=True)
class Published:
    """What is published: one seed's adapter, and where its base model is found.

    ``base_model`` is a Hub id or a path; ``weights`` says in words which weights it was trained on.
    """

    name: str
    seed: int
    base_model: str
    weights: str
    license: str | None
    instruction: str
    max_new_tokens: int
    adapter_sha256: str
    commit: str | None
    synthetic: bool


def model_card(analysis: Mapping[str, Any], what: Published) -> str:
    """README.md of the adapter's folder: metadata, scores with intervals, limits, use."""
    from huggingface_hub import EvalResult, ModelCardData

    lora = next(row for row in analysis["conditions"] if row["kind"] == "lora")
    own = next(row for row in analysis["lora"]["per_seed"] if row["seed"] == what.seed)
    origin = (
        "The texts are synthetic and come from one generator, train and test alike; real ones were\n"
        "  not tried."
        if what.synthetic
        else "Trained and tested on texts of one source; others were not tried."
    )
    task = {
        "task_type": "text-generation",
        "dataset_type": "synthetic" if what.synthetic else "private",
        "dataset_name": f"{analysis['task']} ({analysis['texts']} test texts)",
    }
    metadata = ModelCardData(
        base_model=what.base_model,
        library_name="peft",
        pipeline_tag="text-generation",
        license=what.license,
        tags=["lora", "information-extraction", "lora-vs-api"],
        model_name=what.name,
        eval_results=[
            EvalResult(metric_type=kind, metric_name=name, metric_value=own[key], **task)
            for kind, name, key in (
                ("f1", "mean field F1", "field_f1"),
                ("accuracy", "all fields right", "strict"),
                ("accuracy", "valid JSON", "valid_json"),
            )
        ],
    )
    f1, selected = lora["field_f1"], analysis["selected"]
    others = [row for row in analysis["conditions"] if row["kind"] != "lora"]
    rows = [
        [f"this adapter (seed {what.seed})", f"{own['field_f1']:.3f}", "",
         f"{own['valid_json']:.1%}", f"{own['strict']:.1%}"],
        [f"mean of {len(analysis['seeds'])} seeds", f"{f1['estimate']:.3f}",
         f"{f1['low']:.3f} to {f1['high']:.3f}", f"{lora['valid_json']:.1%}", f"{lora['strict']:.1%}"],
        *(
            [escape(row["label"]), f"{row['field_f1']['estimate']:.3f}",
             f"{row['field_f1']['low']:.3f} to {row['field_f1']['high']:.3f}",
             f"{row['valid_json']:.1%}", f"{row['strict']:.1%}"]
            for row in others
        ),
    ]  # fmt: skip
    columns = [
        "condition", "field F1", f"{f1['confidence']:.0%} interval", "valid JSON", "all correct",
    ]  # fmt: skip
    fields = sorted(lora["per_field"].items(), key=lambda item: -item[1])
    standing_in = (
        "\nThe API conditions were the untuned base behind a local server, not a hosted model."
        if analysis["api_kind"] == "embedded"
        else ""
    )
    return f"""---
{metadata.to_yaml().strip()}
---

# {what.name}

A LoRA adapter for {analysis["model"]} that turns a text into a JSON record:
{analysis["task"]}. Trained and measured by the DVC pipeline lora-vs-api.

## How well it does

{table(columns, rows, "lrrrr")}

{analysis["texts"]} test texts; intervals: {f1["method"]}, {f1["resamples"]:,} resamples, seed
{f1["seed"]}.{standing_in}

By field (mean of the seeds): {", ".join(f"{name} {value:.3f}" for name, value in fields)}.

## How to use it

```python
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

folder = "."  # this folder, or its Hub id
model = AutoPeftModelForCausalLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(model.peft_config["default"].base_model_name_or_path)
instruction = {what.instruction!r}
chat = [{{"role": "system", "content": instruction}}, {{"role": "user", "content": "the text"}}]
inputs = tokenizer.apply_chat_template(
    chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
output = model.generate(**inputs, max_new_tokens={what.max_new_tokens}, do_sample=False)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))
```

## Limits

- Trained on {what.weights}. On other weights of that name its scores may differ.
- {origin}
- {own["strict"]:.1%} of the test texts came out right in every field: check its records before
  anything acts on them.

## How it was made

Rank {selected["r"]}, learning rate {selected["learning_rate"]:g}, seed {what.seed}; profile
`{analysis["profile"]}`. Commit {what.commit or "unknown"}. SHA-256 of adapter_model.safetensors:
`{what.adapter_sha256}`.
"""
