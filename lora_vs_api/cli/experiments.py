"""DVC's experiments as one table, best validation F1 first, and as parallel coordinates.

A row is an experiment of this commit, with the settings that differ between them. Test F1 and cost
stand where an experiment ran the whole pipeline.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from lora_vs_api.cli.outputs import check_outputs
from lora_vs_api.errors import UserError
from lora_vs_api.log import say, show


def show_experiments(
    name: str, *, all_commits: bool, csv: Path | None, figure: Path | None
) -> None:
    """Print the table of the experiments whose name starts with ``name``; write it, and draw it.

    Raises:
        UserError: no such experiment, no score to draw, or what DVC refuses.
    """
    if figure and figure.suffix not in (".svg", ".png"):
        raise UserError(f"--figure: expected a file called .svg or .png, found {figure}")
    check_outputs({"--csv": csv, "--figure": figure})

    from lora_vs_api.config.load import load_params
    from lora_vs_api.files import write_text
    from lora_vs_api.search.experiments import SCORE, read_experiments, table

    plots = load_params().plots
    experiments = read_experiments(name, all_commits=all_commits)
    if not experiments:
        named = f" called {name}…" if name else ""
        raise UserError(
            f"no experiment{named} here; `lora-vs-api search` or `dvc exp run` makes some"
            + ("" if all_commits else ", and -A shows those of other commits")
        )
    frame = table(experiments)
    show(frame.map(_cell).to_string(index=False))
    if csv:
        write_text(csv, frame.to_csv(index=False, lineterminator="\n"))
        say(f"{csv}: {len(frame)} experiments")
    if figure:
        if frame[SCORE].isna().all():
            raise UserError("--figure: none of the experiments ran the sweep, so none has a score")

        from lora_vs_api.figures.drawing import save, theme
        from lora_vs_api.search.figure import parallel_coordinates

        figure.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=figure.parent) as folder:
            with theme():
                save(parallel_coordinates(frame, plots), Path(folder), "figure", plots.dpi)
            os.replace(Path(folder, f"figure{figure.suffix}"), figure)
        say(f"{figure}: parallel coordinates of {frame[SCORE].notna().sum()} experiments")


def _cell(value: object) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
