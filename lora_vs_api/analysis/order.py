"""One order of conditions for all that is shown: the highest field F1 first, of equals as configured."""

from __future__ import annotations

from lora_vs_api.analysis.results import Analysis, LearningCurve, Robustness


def ranked(analysis: Analysis) -> Analysis:
    """The same analysis with every list of conditions in that order."""
    place = _places(analysis)
    economics, owned = analysis.economics, analysis.ownership
    return analysis.model_copy(
        update={
            "conditions": tuple(sorted(analysis.conditions, key=lambda row: place[row.name])),
            "comparisons": tuple(sorted(analysis.comparisons, key=lambda row: place[row.baseline])),
            "decisions": tuple(sorted(analysis.decisions, key=lambda row: place[row.baseline])),
            "paid_otherwise": tuple(
                sorted(analysis.paid_otherwise, key=lambda row: place[row.decision.baseline])
            ),
            "economics": economics.model_copy(
                update={
                    "break_even": tuple(
                        sorted(economics.break_even, key=lambda row: place[row.baseline])
                    )
                }
            ),
            "ownership": owned.model_copy(
                update={
                    "against": tuple(sorted(owned.against, key=lambda row: place[row.baseline]))
                }
            ),
        }
    )


def ranked_robustness(found: Robustness | None, analysis: Analysis) -> Robustness | None:
    """The same for perturbed texts, in the order of the scores on all texts."""
    if found is None:
        return None
    place = _places(analysis)
    return found.model_copy(
        update={
            "conditions": tuple(sorted(found.conditions, key=lambda row: place[row.name])),
            "leads": tuple(sorted(found.leads, key=lambda row: place[row.baseline])),
        }
    )


def ranked_curve(found: LearningCurve | None, analysis: Analysis) -> LearningCurve | None:
    """The same for what the learning curve is compared with."""
    if found is None:
        return None
    place = _places(analysis)
    return found.model_copy(
        update={"rivals": tuple(sorted(found.rivals, key=lambda row: place[row.name]))}
    )


def _places(analysis: Analysis) -> dict[str, int]:
    rows = sorted(analysis.conditions, key=lambda row: -row.field_f1.estimate)
    return {row.name: place for place, row in enumerate(rows)}
