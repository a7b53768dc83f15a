"""All figures of the report, as SVG and PNG with the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lora_vs_api.analysis.order import ranked, ranked_curve, ranked_robustness
from lora_vs_api.figures.break_even import break_even_curves
from lora_vs_api.figures.cascade import cascade_frontier, reliability
from lora_vs_api.figures.confusion import confusion_matrices
from lora_vs_api.figures.cost_accuracy import cost_accuracy
from lora_vs_api.figures.drawing import save, theme
from lora_vs_api.figures.headline import headline
from lora_vs_api.figures.label_curve import label_curve
from lora_vs_api.figures.latency import latency_ecdf
from lora_vs_api.figures.looks import looks
from lora_vs_api.figures.loss import loss_curves
from lora_vs_api.figures.ownership import ownership
from lora_vs_api.figures.paired import paired_differences
from lora_vs_api.figures.per_field import per_field
from lora_vs_api.figures.price_volume import price_volume
from lora_vs_api.figures.robustness import robustness_drops
from lora_vs_api.figures.tornado import tornado

if TYPE_CHECKING:
    import pandas as pd

    from lora_vs_api.analysis.cascade_results import Cascade
    from lora_vs_api.analysis.results import Analysis, LearningCurve, Robustness
    from lora_vs_api.config.sections import Plots


def write_report_figures(
    folder: str | Path,
    analysis: Analysis,
    robustness: Robustness | None,
    break_even: pd.DataFrame,
    latency: pd.DataFrame,
    losses: Mapping[int, pd.DataFrame],
    limit: float | None,
    plots: Plots,
    curve: LearningCurve | None = None,
    cascade: Cascade | None = None,
) -> None:
    """Write every figure of the report into ``folder``.

    Args:
        folder: where NAME.svg and NAME.png go; it exists.
        analysis: metrics/analysis.json.
        robustness: metrics/robustness.json; None where nothing was perturbed.
        break_even: plots/break_even.csv, columns volume, condition, total_usd.
        latency: plots/latency.csv, columns condition, latency_seconds, share.
        losses: seed → plots/train/seed-N.csv, columns step, loss.
        limit: the break-even volume that the hypothesis asks for, drawn as a line; None for none.
        plots: palette, colour and resolution.
        curve: metrics/learning_curve.json; None where no smaller set was trained on.
        cascade: metrics/cascade.json; None where there is none.
    """
    # colours go by the configured order, so that none changes because a score did
    look = looks(analysis.conditions, plots)
    robustness = ranked_robustness(robustness, analysis)
    curve = ranked_curve(curve, analysis)
    analysis = ranked(analysis)
    with theme():
        for name, figure in {
            "headline": headline(analysis, look),
            "cost_accuracy": cost_accuracy(analysis, look),
            "break_even": break_even_curves(analysis, break_even, look, limit),
            "per_field": per_field(analysis, plots.lora_color),
            "paired": paired_differences(analysis, look),
            "latency": latency_ecdf(analysis, latency, look),
            "confusion": confusion_matrices(analysis, plots.lora_color),
            "tornado": tornado(analysis, plots.lora_color),
            "ownership": ownership(analysis, plots.lora_color),
            "price_volume": price_volume(analysis, look, limit),
            "loss": loss_curves(losses, plots.lora_color),
            "robustness": robustness_drops(robustness, look),
            "label_curve": label_curve(analysis, curve, look),
            "cascade_frontier": cascade_frontier(cascade, look),
            "reliability": reliability(cascade, plots.lora_color),
        }.items():
            if figure is not None:
                save(figure, Path(folder), name, plots.dpi)
