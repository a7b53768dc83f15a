"""Train listed settings once each and score them on validation texts.

The table shows what lies around settings that somebody chose, such as those that a profile fixes.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from lora_vs_api.cli.outputs import check_outputs
from lora_vs_api.errors import UserError
from lora_vs_api.log import say


def try_points(name: str, out: Path) -> None:
    """Try the points of conf/points/``name``.yaml and write ``out``/val.md after each of them.

    Raises:
        UserError: no such file, a point that cannot be tried here, or data that is not there.
    """
    from lora_vs_api.analysis.groups import read_labels
    from lora_vs_api.config.load import load_params
    from lora_vs_api.files import read_rows, write_text
    from lora_vs_api.paths import VAL
    from lora_vs_api.search.points import ScoredPoint, read_points, score_points, table

    here = load_params()
    points, most = read_points(name, here)
    rows = read_rows(VAL, most)
    if len(rows) < most:
        raise UserError(
            f"val_rows: expected no more than the {len(rows)} texts of {VAL}, found {most}"
        )
    groups = read_labels(rows, here.task.group_by)
    file, command = out / "val.md", f"lora-vs-api points {name} --out {out}"
    check_outputs({"--out": file})

    def tell(scored: list[ScoredPoint]) -> None:
        last = scored[-1]
        write_text(file, table(scored, command, points[0], groups))
        say(
            f"[{len(scored)}/{len(points)}] {last.words or 'as it is'}: val F1 "
            f"{fmean(last.field_f1):.4f} ({last.seconds:.0f} s); {file}"
        )

    score_points(points, rows, tell)
