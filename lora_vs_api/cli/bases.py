"""Finished runs of several base models as one Pareto table and figure.

The base is chosen on validation texts and reported on test texts; nothing is computed again.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_vs_api.cli.outputs import check_outputs
from lora_vs_api.errors import UserError
from lora_vs_api.log import say, show


@dataclass(frozen=True)
class BasesOptions:
    """``runs``: experiments, revisions or folders; none takes all experiments called ``name``…"""

    runs: Sequence[str]
    name: str
    all_commits: bool
    csv: Path | None
    figure: Path | None
    html: Path | None


def compare_bases(options: BasesOptions) -> None:
    """Print the table and what may be said of it; write it, draw it.

    Raises:
        UserError: no finished run, or what DVC or git refuses.
    """
    figure = options.figure
    if figure and figure.suffix not in (".svg", ".png"):
        raise UserError(f"--figure: expected a file called .svg or .png, found {figure}")
    if options.html and options.html.suffix != ".html":
        raise UserError(f"--html: expected a file called .html, found {options.html}")
    check_outputs({"--csv": options.csv, "--figure": figure, "--html": options.html})

    from lora_vs_api.files import write_text
    from lora_vs_api.search.base_runs import gather, groups_of
    from lora_vs_api.search.bases import choose
    from lora_vs_api.search.bases_text import csv_table, page, sentences, shown_table
    from lora_vs_api.search.experiments import list_experiments

    folders_alone = options.runs and all(Path(run).is_dir() for run in options.runs)
    listed = (
        [] if folders_alone else list_experiments(options.name, all_commits=options.all_commits)
    )
    names = options.runs or [row.name for row in listed]
    if not names:
        named = f" called {options.name}…" if options.name else ""
        raise UserError(
            f"no experiment{named} here; `dvc exp run --queue --name base -S 'model=a,b'` makes some"
            + ("" if options.all_commits else ", and -A shows those of other commits")
        )
    bases, left_out, first = gather(names, listed)
    if first is None:
        raise UserError("\n".join(["none of the runs can be shown:", *left_out]))
    choice = choose(bases, groups_of(first, bases[0]))

    show(shown_table(choice).to_string(index=False))
    for sentence in sentences(choice):
        show(sentence)
    for line in left_out:
        say(f"left out: {line}")
    if options.csv:
        write_text(options.csv, csv_table(choice).to_csv(index=False, lineterminator="\n"))
        say(f"{options.csv}: {len(bases)} runs")
    if not (figure or options.html):
        return

    from lora_vs_api.config.load import load_params
    from lora_vs_api.figures.drawing import save, theme
    from lora_vs_api.report.page.html import report_html
    from lora_vs_api.search.bases_figure import bases_figure

    plots = load_params().plots
    for file in filter(None, (figure, options.html)):
        file.parent.mkdir(parents=True, exist_ok=True)
    # beside what is written, so that it is moved there in one step
    beside = (figure or options.html or Path()).parent
    with tempfile.TemporaryDirectory(dir=beside) as folder:
        with theme():
            save(bases_figure(choice, plots), Path(folder), "bases", plots.dpi)
        if options.html:
            command = shlex.join(["lora-vs-api", "bases", *names])
            markdown = page(choice, left_out, command, len(bases[0].texts))
            write_text(options.html, report_html(markdown, folder))
            say(f"{options.html}: the table and the figure")
        if figure:
            os.replace(Path(folder, f"bases{figure.suffix}"), figure)
            say(f"{figure}: {len(bases)} runs")
