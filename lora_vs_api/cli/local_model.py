"""The trained model as the commands use it: checked, loaded, asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from lora_vs_api.config.sections import Params
from lora_vs_api.errors import UserError
from lora_vs_api.paths import BASE
from lora_vs_api.shown import LONE_SURROGATE

if TYPE_CHECKING:
    from lora_vs_api.inference.generate import Generation


def adapter_folder(params: Params, seed: int | None) -> Path:
    """The folder of one final training's adapter; the first seed's where none is asked for.

    Raises:
        UserError: no such training, or its adapter is not on this machine.
    """
    if seed is not None and seed not in params.seeds:
        known = ", ".join(map(str, params.seeds))
        raise UserError(f"--seed: expected one of {known}, found {seed}")
    folder = Path(f"models/train/seed-{params.seeds[0] if seed is None else seed}")
    for needed in (folder / "adapter_config.json", Path(BASE, "config.json")):
        if not needed.is_file():
            raise UserError(f"{needed}: not there; run `dvc repro`, or `dvc pull` with a remote")
    return folder


def ask(
    params: Params,
    adapter: Path | None,
    texts: Sequence[str],
    *,
    constrained: bool,
    batch_size: int | None = None,
    names: Sequence[str] | None = None,
) -> list[Generation]:
    """The answers of the base, tuned where an ``adapter`` is given, with the task's own prompt.

    Raises:
        UserError: texts that the model cannot hold, called as ``names`` says; nothing was asked.
    """
    from lora_vs_api.inference.extractor import extractor_of
    from lora_vs_api.model.loading import load_base, load_tuned
    from lora_vs_api.model.runtime import resolve_runtime

    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    model = load_base(BASE, runtime) if adapter is None else load_tuned(BASE, adapter, runtime)
    extractor = extractor_of(params, model, constrained=constrained)
    if batch_size is not None:
        extractor = replace(extractor, batch_size=batch_size)
    extractor.check_texts(texts, names or ["the text"] * len(texts))
    return extractor.answers(texts, "answers")


def one_text(given: str, stream: TextIO) -> str:
    """The text of an argument, or of standard input where it is ``-``."""
    text = stream.read() if given == "-" else given
    if not text.strip():
        raise UserError("expected a text, found an empty one")
    # bytes of another encoding than the terminal's, or half an emoji
    if LONE_SURROGATE.search(text):
        raise UserError(f"expected whole characters in UTF-8, found {text!r:.80}")
    return text
