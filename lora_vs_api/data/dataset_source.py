"""A dataset of Hugging Face `datasets` as a Parquet file, which the pipeline can depend on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_vs_api.data.table import SPARK_FOLDER
from lora_vs_api.errors import UserError
from lora_vs_api.files import temporary_sibling
from lora_vs_api.shown import hub_reason

if TYPE_CHECKING:
    from datasets import Dataset

HUB = "hub:"


def is_dataset(source: str) -> bool:
    """Whether ``source`` is a dataset of the Hub or a folder, and no file."""
    return source.startswith(HUB) or Path(source).is_dir()


def write_parquet(
    source: str, split: str | None, revision: str | None, out: str | Path
) -> tuple[int, str]:
    """Write one split of a dataset to ``out``; (rows, where they are from).

    A file of its own, because a node depends on content: what the Hub serves under a name can
    change.

    Args:
        source: ``hub:owner/name``, or a folder written by ``save_to_disk``.
        split: needed where there are several.
        revision: of the Hub's repository; None takes its newest, whose commit is named.

    Raises:
        UserError: no such dataset, split or revision, or the Hub cannot be reached.
    """
    if source.startswith(HUB):
        data, origin = _from_hub(source.removeprefix(HUB), split, revision)
    else:
        data, origin = _from_folder(source, split), source
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(out)
    try:
        # its class labels are numbers with their words beside them: data/class_labels.py reads these
        data.to_parquet(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, out)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return len(data), f"{origin}{'' if split is None else f', split {split}'}"


def _from_hub(name: str, split: str | None, revision: str | None) -> tuple[Dataset, str]:
    from datasets import DatasetDict, load_dataset
    from huggingface_hub import dataset_info

    try:
        commit = dataset_info(name, revision=revision).sha
        found = load_dataset(name, revision=commit, split=split)
    # whatever the Hub, the network or a loading script of the dataset's has to say
    except Exception as error:
        raise UserError(f"{HUB}{name}: {hub_reason(error)}") from None
    return (
        _one_split(found, f"{HUB}{name}") if isinstance(found, DatasetDict) else found,
        f"{HUB}{name} at {commit}",
    )


def _from_folder(folder: str, split: str | None) -> Dataset:
    from datasets import DatasetDict, load_from_disk

    try:
        found = load_from_disk(folder)
    except (FileNotFoundError, ValueError):
        if any(Path(folder).glob("part-*")):
            raise UserError(f"{folder}: {SPARK_FOLDER}") from None
        raise UserError(
            f"{folder}: a folder, but no dataset that `save_to_disk` wrote; expected one, a file, or a folder with "
            f"train, val and test, such as train.csv; found {_files_of(folder)}"
        ) from None
    if not isinstance(found, DatasetDict):
        if split is not None:
            raise UserError(f"--split: {folder} has no splits")
        return found
    if split is None:
        return _one_split(found, folder)
    if split not in found:
        raise UserError(f"--split: {folder} has {', '.join(found)}, not {split!r}")
    return found[split]


def _files_of(folder: str) -> str:
    """The first files of a folder, hidden ones aside."""
    names = sorted(path.name for path in Path(folder).iterdir() if path.name[0] != ".")
    return f"{', '.join(names)[:100]}{'…' * (len(', '.join(names)) > 100)}" or "nothing"


def _one_split(found: Any, where: str) -> Dataset:
    if len(found) > 1:
        raise UserError(f"{where}: has {', '.join(found)}; name one with --split")
    return next(iter(found.values()))
