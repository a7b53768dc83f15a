"""The fine-tune's answers as node outputs, whichever engine gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_vs_api.api.results import write_predictions
from lora_vs_api.config.engines import vllm_version
from lora_vs_api.config.sections import VllmServing
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, write_json
from lora_vs_api.log import say
from lora_vs_api.processor import cpu_name
from lora_vs_api.serving.asking import (
    Answered,
    ask_tuned,
    check_records,
    endpoints_of,
    serve_tuned,
    threads_of,
)
from lora_vs_api.serving.served import Served, check_marks, model_in

if TYPE_CHECKING:
    from lora_vs_api.config.sections import Params


@dataclass(frozen=True)
class ServedMachine:
    """What the server ran on, as ``lora_vs_api.model.runtime`` has it of a model in the process."""

    device: str
    name: str
    threads: int
    dtype: str


def ask_rows(
    params: Params,
    folder: str | Path,
    served: Served,
    rows: Sequence[dict[str, Any]],
    description: str,
) -> Answered:
    """A fresh server's answers to labelled ``rows``, by the model in ``folder``.

    Raises:
        UserError: the vLLM that is there is not the one that was checked; or what asking raises.
    """
    check_marks(served, [row["text"] for row in rows], [row["id"] for row in rows])
    version = _checked_version(params, folder, served)
    say(f"{description}: starting {endpoints_of(params, '').engine}'s server on loopback")
    with serve_tuned(params, model_in(folder, served), version=version) as url:
        check_records(params, url, rows)
        return ask_tuned(params, url, rows, description, constrained=params.decoding.constrained)


def _checked_version(params: Params, folder: str | Path, served: Served) -> str | None:
    """The version of vLLM, which results name as that of the server that answered; None of llama.cpp's."""
    if not isinstance(params.serving, VllmServing):
        return None
    version = vllm_version(params.serving, params.runtime.device)
    if version != served.version:
        raise UserError(
            f"{folder}: was checked with vLLM {served.version}, and serving.python has {version}; "
            "`dvc repro -f -s served` checks again"
        )
    return version


def write_evaluation(
    params: Params,
    found: Answered,
    served: Served,
    *,
    predictions: str | Path,
    timings: str | Path,
) -> None:
    """Answers, and everything that was timed; no text was answered together with another.

    ``latency_seconds`` are those of every text in the one pass there is, ``batch_size`` is null.
    """
    write_predictions(found.answers, predictions)
    device, name = processor_of(params, served)
    machine = ServedMachine(device, name, threads_of(params), served.outtype)
    write_json(
        timings,
        {
            "latency_ids": [answer.id for answer in found.answers],
            "latency_seconds": [round(a.latency_seconds or 0.0, 4) for a in found.answers],
            "throughput_texts_per_second": round(len(found.answers) / found.wall_seconds, 4),
            "batch_size": None,
            "wall_seconds": round(found.wall_seconds, 3),
            "batch_joules": None,
            "latency_joules": None,
            "machine": vars(machine),
            "served": served.as_json(),
        },
    )


def processor_of(params: Params, served: Served) -> tuple[str, str]:
    """The device that the server computes on, and its name."""
    if served.engine == "vllm" and params.runtime.device == "cuda":
        import torch

        return "cuda", torch.cuda.get_device_name()
    return "cpu", cpu_name()


def note_fallback(timings: str | Path, served: Served) -> None:
    """Write beside the timings of a model in this process why no server answered for it."""
    write_json(timings, read_json(timings) | {"served": served.as_json()})
