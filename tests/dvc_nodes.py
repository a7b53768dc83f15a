"""The nodes that the real dvc makes of dvc.yaml, without running any."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from tests.imports import ROOT


def dvc_nodes(folder: Path, params: str) -> dict[str, Any]:
    """Node of `dvc.yaml` at these `params` (YAML), by name; `folder` is made a DVC repository of its own."""
    from dvc.repo import Repo

    shutil.copy(ROOT / "dvc.yaml", folder)
    (folder / "params.yaml").write_text(params)
    # DVC's handlers hold the stream that was stderr when it was first imported: in a worker that is
    # one which pytest has closed since, and DVC raises when it cannot log
    logger = logging.getLogger("dvc")
    handlers, logger.handlers = logger.handlers, [logging.NullHandler()]
    try:
        with Repo.init(str(folder), no_scm=True) as repo:
            return {stage.name: stage for stage in repo.index.stages}
    finally:
        logger.handlers = handlers
