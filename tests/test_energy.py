"""GPU energy, against a stand-in for NVML: no machine of the test suite has a GPU."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from lora_vs_api.model.energy import energy_meter, joules_between


class Nvml(types.ModuleType):
    """NVML with two GPUs, of which torch may use the second only."""

    class NVMLError(Exception):
        pass

    def __init__(self, millijoules: list[int] | None) -> None:
        super().__init__("pynvml")
        self.readings = millijoules

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        assert uuid == "GPU-second"
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        if self.readings is None:
            raise self.NVMLError("Not Supported")
        return self.readings.pop(0)


def use(monkeypatch: pytest.MonkeyPatch, nvml: Nvml) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    found = types.SimpleNamespace(uuid="second")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: found)


def test_joules_are_the_counters_difference(monkeypatch):
    """The counter is in millijoules and belongs to the GPU that torch uses, not to the first one."""
    use(monkeypatch, Nvml([7_000_000, 7_001_000, 7_251_540]))
    meter = energy_meter("cuda")
    assert joules_between(meter(), meter()) == 250.5


def test_no_counter_is_no_number(monkeypatch):
    """Where nothing measures, the configured watts are used and labelled so: never a made-up 0."""
    use(monkeypatch, Nvml(None))
    for device in ("cuda", "cpu"):
        meter = energy_meter(device)
        assert joules_between(meter(), meter()) is None
