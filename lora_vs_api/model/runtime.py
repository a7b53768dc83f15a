"""Where a model runs: the device, the precision, and the machine that a timing was taken on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lora_vs_api.errors import UserError
from lora_vs_api.processor import cpu_name


@dataclass(frozen=True)
class Runtime:
    """Where and in which precision a model runs."""

    device: str
    dtype: torch.dtype


def resolve_runtime(device: str, dtype: str) -> Runtime:
    """Check that ``device`` is there and turn ``dtype`` auto into what it computes well.

    Raises:
        UserError: ``device`` is cuda and no CUDA GPU can be used.
    """
    if device == "cuda":
        if not torch.cuda.is_available():
            raise UserError(
                "runtime.device: cuda asked for, but torch finds no CUDA GPU here; "
                "run on one, or use -S profile=laptop (runtime.device: cpu)"
            )
        supported = torch.cuda.is_bf16_supported()
    else:
        # without AVX512-BF16 or AMX a bfloat16 product falls back to a loop many times slower
        supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if dtype == "auto":
        return Runtime(device, torch.bfloat16 if supported else torch.float32)
    return Runtime(device, getattr(torch, dtype))


@dataclass(frozen=True)
class Machine:
    """What a timing was taken on: ``name`` is the GPU's or the processor's own name for itself."""

    device: str
    name: str
    threads: int
    dtype: str
    torch: str


def machine(runtime: Runtime) -> Machine:
    """This machine, as ``runtime`` uses it."""
    return Machine(
        device=runtime.device,
        name=torch.cuda.get_device_name() if runtime.device == "cuda" else cpu_name(),
        threads=torch.get_num_threads(),
        dtype=str(runtime.dtype).removeprefix("torch."),
        torch=torch.__version__,
    )
