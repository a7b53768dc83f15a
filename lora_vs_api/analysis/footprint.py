"""What the fine-tune takes of a machine: memory while it answers, and time to train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from lora_vs_api.analysis.results import Footprint
from lora_vs_api.files import read_json


def footprint_of(seeds: Sequence[int], root: str | Path = ".") -> Footprint:
    """From the timings of each seed's training and answers; errors as of a file that is not there."""
    answered = [
        read_json(Path(root, "timings", "evaluate", f"lora-seed-{seed}.json")) for seed in seeds
    ]
    trained = [read_json(Path(root, "timings", "train", f"seed-{seed}.json")) for seed in seeds]
    machines = [timing["machine"] for timing in answered]
    peaks = [timing.get("peak_memory_bytes") for timing in answered]
    return Footprint(
        # a seed that fell back to transformers has another precision
        machine=" and ".join(dict.fromkeys(f"{one['device']} {one['name']}" for one in machines)),
        precision=" and ".join(dict.fromkeys(one["dtype"] for one in machines)),
        peak_memory_bytes=None if None in peaks else max(peaks),
        training_seconds=round(fmean(timing["training_seconds"] for timing in trained), 3),
    )
