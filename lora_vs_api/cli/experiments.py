"""DVC's experiments as one table, best validation F1 first, and as parallel coordinates.

A row is an experiment of this commit, with the settings that differ between them. Test F1 and cost
stand where an experiment ran the whole pipeline.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from lora_vs_api.errors import UserError
from lora_vs_api.log import say

HELP = "DVC's experiments as a table and a figure"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="", help="only those whose name starts so, like search-")
    parser.add_argument(
        "-A", "--all-commits", action="store_true", help="of every commit, not this one alone"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table there")
    parser.add_argument(
        "--figure", type=Path, metavar="FILE", help="write parallel coordinates there, .svg or .png"
    )


def run(given: argparse.Namespace) -> None:
    if given.figure and given.figure.suffix not in (".svg", ".png"):
        raise UserError(f"--figure: expected a file called .svg or .png, found {given.figure}")

    from lora_vs_api.config.load import load_params
    from lora_vs_api.files import write_text
    from lora_vs_api.search.experiments import SCORE, read_experiments, table

    plots = load_params().plots
    experiments = read_experiments(given.name, all_commits=given.all_commits)
    if not experiments:
        named = f" called {given.name}…" if given.name else ""
        raise UserError(
            f"no experiment{named} here; `python -m lora_vs_api search` or `dvc exp run` makes some"
            + ("" if given.all_commits else ", and -A shows those of other commits")
        )
    frame = table(experiments)
    print(frame.map(_cell).to_string(index=False))
    if given.csv:
        write_text(given.csv, frame.to_csv(index=False, lineterminator="\n"))
        say(f"{given.csv}: {len(frame)} experiments")
    if given.figure:
        if frame[SCORE].isna().all():
            raise UserError("--figure: none of the experiments ran the sweep, so none has a score")

        from lora_vs_api.figures.drawing import save, theme
        from lora_vs_api.search.figure import parallel_coordinates

        given.figure.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=given.figure.parent) as folder:
            with theme():
                save(parallel_coordinates(frame, plots), Path(folder), "figure", plots.dpi)
            os.replace(Path(folder, f"figure{given.figure.suffix}"), given.figure)
        say(f"{given.figure}: parallel coordinates of {frame[SCORE].notna().sum()} experiments")


def _cell(value: object) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
