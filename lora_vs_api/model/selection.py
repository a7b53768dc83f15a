"""Choose among finished trials, and take the winner's adapter along.

Knows nothing of torch: a trial is its metrics file and its adapter directory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lora_vs_api.errors import UserError
from lora_vs_api.files import new_directory, read_json


def read_trials(sweep: str, items: Iterable[str | int]) -> list[dict[str, Any]]:
    """Metrics of the named trials of one sweep, each with its ``item`` and ``sweep``."""
    return [
        {"sweep": sweep, "item": str(item), **read_json(f"metrics/{sweep}/{item}.json")}
        for item in items
    ]


def best_trial(trials: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The trial of highest val field F1; ties go to the smaller rank, then the smaller rate."""
    if not trials:
        raise UserError("sweep: no trial to choose from")
    return min(trials, key=lambda t: (-t["field_f1"], t["r"], t["learning_rate"]))


def copy_adapter(adapter: str | Path | None, out: str | Path) -> None:
    """Copy a trial's adapter to ``out``; None leaves a directory that says there is none."""
    with new_directory(out) as folder:
        if adapter is None:
            (folder / "NONE").write_text("no trial was trained at the selected configuration\n")
        else:
            shutil.copytree(adapter, folder, dirs_exist_ok=True)
