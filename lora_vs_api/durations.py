"""How long each node took here the last time it ran, so that `plan` can say what to expect.

Beside the DAG: a duration is no result, and no output of a node may differ from run to run for it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from lora_vs_api.files import write_json
from lora_vs_api.paths import project_of_copy

# git and DVC leave this folder alone; one file a node, so that nodes side by side do not meet
FOLDER = Path("logs/took")


def note_duration(seconds: float) -> None:
    """Keep the ``seconds`` that this node took, under the address that DVC started it by.

    A node that was started by hand has none. A disk that takes no such file fails no node.
    """
    address = os.environ.get("DVC_STAGE", "")
    if address and "/" not in address:
        with suppress(OSError):
            # a copy that an experiment runs in is deleted with all that git and DVC do not track
            root = project_of_copy(Path.cwd()) or Path()
            write_json(root / FOLDER / f"{address}.json", {"seconds": round(seconds, 1)})


def read_duration(address: str, root: Path) -> float | None:
    """The seconds that the node of this address took the last time; None where nobody knows."""
    try:
        found = json.loads((root / FOLDER / f"{address}.json").read_text(encoding="utf-8"))
        return max(0.0, float(found["seconds"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
