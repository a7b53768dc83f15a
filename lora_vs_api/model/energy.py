"""Energy that a GPU consumes, read from its own counter through NVML."""

from __future__ import annotations

from collections.abc import Callable

import torch

Meter = Callable[[], float | None]


def energy_meter(device: str) -> Meter:
    """A function that reads how many joules the GPU has consumed since its driver was loaded.

    Two readings bracket a piece of work; :func:`joules_between` takes their difference. Counted
    is the GPU board alone (nvmlDeviceGetTotalEnergyConsumption, Volta and newer), whatever
    process it worked for, and not the host around it. On a CPU, and on a GPU without the
    counter, the function returns None.
    """
    if device != "cuda":
        return lambda: None
    import pynvml

    try:
        pynvml.nvmlInit()
        # by its own number: NVML counts GPUs that CUDA_VISIBLE_DEVICES hides
        uuid = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return lambda: None

    def read() -> float:
        # work that was only queued has not been paid for yet
        torch.cuda.synchronize()
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000

    return read


def joules_between(before: float | None, after: float | None) -> float | None:
    """Joules between two readings, to a tenth; None where there is no counter."""
    return None if before is None or after is None else round(after - before, 1)
