"""Which test texts belong together, and whether training has seen others of their groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lora_vs_api.analysis.results import Clustering, TextGroups
from lora_vs_api.analysis.scored_run import Floats
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import GROUPS
from lora_vs_api.stats.clusters import (
    Groups,
    Labels,
    design_effect,
    intraclass_correlation,
)


def read_labels(
    rows: Sequence[Mapping[str, Any]], by: str | None, path: str | Path = GROUPS
) -> Labels | None:
    """The group of each of ``rows``, in their order; None without a column ``by`` to group by.

    Raises:
        UserError: a text has no group in the file.
    """
    if by is None:
        return None
    group_of = {line["id"]: line["group"] for line in read_jsonl(path)}
    missing = [row["id"] for row in rows if row["id"] not in group_of]
    if missing:
        raise UserError(
            f"{path}: no line for {missing[0]}; `dvc repro split` groups by {by} (task.group_by)"
        )
    return Labels(by, tuple(group_of[row["id"]] for row in rows))


def text_groups(
    labels: Labels | None, apart_by: str | None, path: str | Path = GROUPS
) -> TextGroups | None:
    """What the report says of the groups.

    Args:
        labels: of :func:`read_labels`, for the test texts that are evaluated.
        apart_by: the column whose groups the split kept whole, None where it did not look at any.
    """
    if labels is None:
        return None
    trained = {line["group"] for line in read_jsonl(path) if line["split"] == "train"}
    return TextGroups(
        by=labels.by,
        number=labels.number,
        in_training=len(trained & set(labels)),
        apart_by=apart_by,
    )


def clustering(scores: Floats, groups: Groups) -> Clustering | None:
    """How alike the texts of a group are, from scores or differences (n_seeds, n_texts)."""
    if groups is None:
        return None
    by_text: Floats = np.asarray(scores.mean(axis=0))
    correlation = intraclass_correlation(by_text, groups)
    effect = design_effect(by_text, groups)
    return Clustering(
        intraclass_correlation=None if correlation is None else round(correlation, 4),
        design_effect=None if effect is None else round(effect, 4),
    )
