"""A LoRA training of the pipeline against plain TRL: same examples, seed and hyperparameters.

The reference is what one writes with TRL's documentation open: ``SFTTrainer`` on prompt and
completion columns, all else at TRL's defaults. A second reference has the one default turned off
that costs most where memory is no problem, recomputing activations.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.timing import Row, compared
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.config.sections import Params
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import TRAIN

# a GPU takes a tenth of a second for a step, and its first ones set up
STEPS = {"cpu": 6, "cuda": 25}


def run(given: argparse.Namespace) -> list[Row]:
    import torch

    from lora_vs_api.model.runtime import resolve_runtime

    profile = "laptop" if given.device == "cpu" else "smol-gpu"
    params = composed(profile)
    rows = read_jsonl(TRAIN)
    steps, result = STEPS[given.device], []
    if given.device == "cuda":
        # its libraries are loaded by whoever comes first
        train_ours(given.model, params, rows, resolve_runtime("cuda", "bfloat16"), 2)
    for dtype in ("bfloat16", "float32"):
        runtime = resolve_runtime(given.device, dtype)
        for checkpointing, against in (
            (None, "SFTTrainer, TRL's defaults"),
            (False, "SFTTrainer, activation checkpointing off"),
        ):
            if dtype == "float32" and checkpointing is None:
                continue
            mine, theirs, losses = [], [], ([], [])
            for _ in range(max(1, given.rounds // 2)):
                ours = train_ours(given.model, params, rows, runtime, steps)
                plain = train_plain(given.model, params, rows, runtime, steps, checkpointing)
                mine.append(ours["seconds"])
                theirs.append(plain["seconds"])
                losses = (ours["loss"], plain["loss"])
                peaks = (ours["peak_mib"], plain["peak_mib"])
                joules = ours["joules"]
            tokens = ours["tokens"]
            apart = max(abs(a - b) for a, b in zip(*losses))
            result.append(
                compared(
                    "training",
                    f"{dtype}, {steps} steps of batch {params.train.batch_size}, "
                    f"r {params.sweep.ranks[-1]}",
                    "tokens/s",
                    tokens,
                    (mine, theirs),
                    against,
                    2.0,
                    **{
                        "loss, first and last step, ours": _ends(losses[0]),
                        "loss, first and last step, TRL": _ends(losses[1]),
                        "largest difference of a step's loss": round(apart, 4),
                        "computed": ours["way"],
                        **(
                            {}
                            if peaks[0] is None
                            else {"peak MiB, ours and TRL": f"{peaks[0]} and {peaks[1]}"}
                        ),
                        **(
                            {}
                            if joules is None
                            else {"joules a step, ours": round(joules / steps, 2)}
                        ),
                        "share of the measured peak that a training without the shared prompt would need": utilisation(
                            tokens / min(mine), ours["parameters"], runtime, torch
                        ),
                    },
                )
            )
    return result


def composed(profile: str) -> Params:
    return check_params(yaml.safe_load(compose([f"profile={profile}"])))


def train_ours(
    model: str, params: Params, rows: list[dict[str, Any]], runtime: Any, steps: int
) -> dict:
    from lora_vs_api.training.examples import chat_examples
    from lora_vs_api.training.train import TrainingPolicy, train_adapter

    _forget_peak(runtime.device)
    with tempfile.TemporaryDirectory() as folder:
        done = train_adapter(
            model,
            chat_examples(rows, params.task.instruction, params.task.record_fields),
            spec(params, runtime, steps),
            runtime,
            Path(folder, "adapter"),
            TrainingPolicy("ours"),
        )
    return {
        "seconds": done.used.seconds,
        "tokens": done.tokens,
        "joules": done.used.joules,
        "peak_mib": _peak_mib(runtime.device),
        "way": done.way,
        "loss": done.losses,
        "parameters": parameters(model),
    }


def train_plain(
    model: str,
    params: Params,
    rows: list[dict[str, Any]],
    runtime: Any,
    steps: int,
    checkpointing: bool | None,
) -> dict:
    """What a user of TRL would write."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import set_seed
    from trl import SFTConfig, SFTTrainer

    from lora_vs_api.model.loading import load_base, load_tokenizer
    from lora_vs_api.record.prompt import completion, messages

    fields, train = params.task.record_fields, params.train
    asked = spec(params, runtime, steps)
    set_seed(asked.seed)
    dataset = Dataset.from_list(
        [
            {
                "prompt": messages(params.task.instruction, row["text"], fields),
                "completion": [{"role": "assistant", "content": completion(row["record"], fields)}],
            }
            for row in rows
        ]
    )
    changed = {} if checkpointing is None else {"activation_checkpointing": checkpointing}
    with tempfile.TemporaryDirectory() as folder:
        _forget_peak(runtime.device)
        trainer = SFTTrainer(
            model=load_base(model, runtime),
            processing_class=load_tokenizer(model, params.runtime.pad_token),
            train_dataset=dataset,
            peft_config=LoraConfig(
                r=asked.r,
                lora_alpha=asked.alpha,
                lora_dropout=asked.dropout,
                target_modules=params.lora.adapter.target_modules,
                task_type="CAUSAL_LM",
            ),
            args=SFTConfig(
                output_dir=folder,
                max_steps=steps,
                per_device_train_batch_size=train.batch_size,
                gradient_accumulation_steps=train.gradient_accumulation,
                learning_rate=asked.learning_rate,
                lr_scheduler_type=train.scheduler,
                warmup_steps=train.warmup_ratio,
                max_grad_norm=train.max_grad_norm,
                bf16=runtime.dtype == torch.bfloat16,
                use_cpu=runtime.device == "cpu",
                completion_only_loss=True,
                max_length=None,
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                seed=asked.seed,
                data_seed=asked.seed,
                **changed,
            ),
        )
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    return {"seconds": seconds, "loss": losses, "peak_mib": _peak_mib(runtime.device)}


def spec(params: Params, runtime: Any, steps: int) -> Any:
    from dataclasses import replace

    from lora_vs_api.training.spec import training_spec

    asked = training_spec(
        params,
        params.train,
        r=params.sweep.ranks[-1],
        learning_rate=float(params.sweep.rank_sweep_learning_rate),
        seed=0,
        runtime=runtime,
    )
    # TRL draws its batches anew: only of the same texts are the losses the same
    return replace(asked, max_steps=steps, group_by_length=False)


def parameters(model: str) -> int:
    """Weights of the base model that a token is multiplied by; the embedding is only looked up."""
    from safetensors import safe_open

    total = 0
    for file in Path(model).glob("*.safetensors"):
        with safe_open(file, framework="numpy") as weights:
            for name in weights.keys():  # noqa: SIM118  (no iterator)
                shape = weights.get_slice(name).get_shape()
                if len(shape) == 2 and "embed" not in name and "lm_head" not in name:
                    total += shape[0] * shape[1]
    return total


def _forget_peak(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_mib(device: str) -> int | None:
    """The most memory that tensors took on the GPU; None on a CPU, where `pipeline` measures it."""
    if device != "cuda":
        return None
    import torch

    return torch.cuda.max_memory_allocated() >> 20


def utilisation(tokens_per_second: float, weights: int, runtime: Any, torch: Any) -> str:
    """Useful operations over the peak of one large matrix product in the same precision.

    Four operations per weight and token: two forwards, two for the gradient of the activations;
    the base's weights are frozen and need none of their own. Padding counts as waste.
    """
    n = 2048 if runtime.device == "cpu" else 8192
    a = torch.randn(n, n, dtype=runtime.dtype, device=runtime.device)

    def product() -> float:
        if runtime.device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(5):
            a @ a
        if runtime.device == "cuda":
            torch.cuda.synchronize()
        return 5 * 2 * n**3 / (time.perf_counter() - started)

    product()
    peak = max(product() for _ in range(3))
    return f"{4 * weights * tokens_per_second / peak:.0%} of {peak / 1e12:.2f} TFLOP/s"


def _ends(losses: Any) -> str:
    return f"{losses[0]:.3f} to {losses[-1]:.3f}"
