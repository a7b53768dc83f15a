"""The trained model as the commands use it: checked, loaded, asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from lora_vs_api.config.sections import Params
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json
from lora_vs_api.log import say
from lora_vs_api.paths import BASE, TRAINED, seed_folder
from lora_vs_api.record.json_schema import task_sha256
from lora_vs_api.serving.served import check_marks, has_file, model_in, read_served
from lora_vs_api.shown import LONE_SURROGATE


@dataclass(frozen=True)
class LocalAnswer:
    """What a local model said, and whether the token limit cut it."""

    output: str
    truncated: bool


def adapter_folder(params: Params, seed: int | None) -> Path:
    """The folder of one final training's adapter; the first seed's where none is asked for.

    Raises:
        UserError: no such training, its adapter is not on this machine, or it is another task's.
    """
    if seed is not None and seed not in params.seeds:
        known = ", ".join(map(str, params.seeds))
        raise UserError(f"--seed: expected one of {known}, found {seed}")
    folder = Path(seed_folder(TRAINED, params.seeds[0] if seed is None else seed))
    for needed in (folder / "adapter_config.json", Path(BASE, "config.json")):
        if not needed.is_file():
            raise UserError(f"{needed}: not there; run `dvc repro`, or `dvc pull` with a remote")
    _check_task(params, folder)
    return folder


def _check_task(params: Params, adapter: Path) -> None:
    """Refuse an adapter that was trained with another prompt or schema than params.yaml has.

    One without a record of its training, or of an earlier version, says nothing of it.
    """
    record = adapter / "training.json"
    trained = read_json(record)["spec"].get("task_sha256") if record.is_file() else None
    if trained and trained != task_sha256(params.task.instruction, params.task.record_fields):
        raise UserError(
            f"{adapter}: was trained with another instruction or other fields than params.yaml has now (task "
            f'{params.task_name}); `dvc repro` trains with these, and `make params SET="task=NAME"` or `dvc exp '
            "apply` brings back those it was trained with"
        )


def seed_of(adapter: Path) -> int:
    """The seed of a training, from the folder of its adapter."""
    return int(adapter.name.removeprefix("seed-"))


def check_batch_size(batch_size: int | None) -> None:
    """Raises a UserError where --batch-size is no number of texts."""
    if batch_size is not None and batch_size < 1:
        raise UserError(f"--batch-size: expected an integer ≥ 1, found {batch_size}")


def as_evaluated(params: Params, constrained: bool | None) -> bool:
    """Whether to decode constrained to the schema: as the scores were measured, unless asked otherwise."""
    measured = params.decoding.constrained
    if constrained is None or constrained == measured:
        return measured
    asked, way = ("", "without") if constrained else ("no-", "with")
    say(f"--{asked}constrained: the run's scores were measured {way} it, and may not hold for this")
    return constrained


def served_model(params: Params, adapter: Path) -> Path | None:
    """What evaluation asked for this adapter's seed, a file or a folder; None where it asked the adapter.

    Raises:
        UserError: the fine-tune is asked behind a server, and what it needs is not on this machine or
            was made for another engine.
    """
    engine = params.serving.engine
    if engine == "transformers":
        return None
    folder = Path(params.serving.weights, adapter.name)
    served = read_served(folder)
    if not has_file(served):
        return None
    if served.engine != engine:
        raise UserError(
            f"{folder}: was made for {served.engine}, and serving.engine is {engine}; run `dvc repro`"
        )
    return model_in(folder, served)


def unserved_reason(params: Params, adapter: Path) -> str | None:
    """Why llama.cpp's server could not have this adapter's model, as evaluation found; None where it could, or was not to."""
    if params.serving.engine != "llama_cpp":
        return None
    served = read_served(Path(params.serving.weights, adapter.name))
    return None if served is None or served.engine == "llama_cpp" else served.reason


def ask(
    params: Params,
    adapter: Path | None,
    texts: Sequence[str],
    *,
    constrained: bool,
    batch_size: int | None = None,
    names: Sequence[str] | None = None,
) -> list[LocalAnswer]:
    """The answers of the base, tuned where an ``adapter`` is given, with the task's own prompt.

    The fine-tune answers on the engine and from the file that it was evaluated on.

    Raises:
        UserError: texts that the model cannot hold, called as ``names`` says; nothing was asked.
    """
    names = names or ["the text"] * len(texts)
    served = None if adapter is None else served_model(params, adapter)
    if served is not None:
        if batch_size is not None:
            say("--batch-size: the server answers one text at a time")
        return _ask_served(params, served, texts, names, constrained=constrained)
    from lora_vs_api.inference.extractor import extractor_of
    from lora_vs_api.model.loading import load_base, load_tuned
    from lora_vs_api.model.runtime import resolve_runtime

    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    model = load_base(BASE, runtime) if adapter is None else load_tuned(BASE, adapter, runtime)
    extractor = extractor_of(params, model, constrained=constrained)
    if batch_size is not None:
        extractor = replace(extractor, batch_size=batch_size)
    extractor.check_texts(texts, names)
    return [
        LocalAnswer(answer.output, answer.truncated)
        for answer in extractor.answers(texts, "answers")
    ]


def _ask_served(
    params: Params, served: Path, texts: Sequence[str], names: Sequence[str], *, constrained: bool
) -> list[LocalAnswer]:
    from lora_vs_api.serving.asking import ask_tuned, serve_tuned

    if record := read_served(served.parent):
        check_marks(record, texts, names)
    rows = [{"id": str(place), "text": text} for place, text in enumerate(texts)]
    with serve_tuned(params, served) as url:
        found = ask_tuned(params, url, rows, "answers", constrained=constrained, names=names)
    return [
        LocalAnswer(answer.reply.output, answer.reply.outcome == "truncated")
        for answer in found.answers
    ]


def one_text(given: str, stream: TextIO) -> str:
    """The text of an argument, or of standard input where it is ``-``."""
    text = stream.read() if given == "-" else given
    if not text.strip():
        raise UserError("expected a text, found an empty one")
    # bytes of another encoding than the terminal's, or half an emoji
    if LONE_SURROGATE.search(text):
        raise UserError(f"expected whole characters in UTF-8, found {text!r:.80}")
    return text
