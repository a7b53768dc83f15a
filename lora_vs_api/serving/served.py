"""What answers for a seed of the fine-tune, as the node before has written it down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeGuard

from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, write_json

# the model in its folder: a file for llama.cpp, a folder of safetensors for vLLM
GGUF, MERGED = "model.gguf", "merged"
RECORD = "served.json"
MAX_SHOWN = 10  # texts that a message names


@dataclass(frozen=True)
class Served:
    """The engine of one seed, and how it was found to agree with transformers.

    ``reason`` says why a model that was to be served is not; the folder then holds the adapter. Of
    ``texts`` validation texts ``same`` got the very answer that transformers gives greedily in
    float32, and log-probabilities of ``probed`` tokens differ by ``difference`` at most, in nats.
    ``version`` is that of an engine which is not pinned with this project's packages. The server makes other
    tokens of a text that holds one of ``read_otherwise`` than the fine-tune was trained on.
    """

    engine: Literal["llama_cpp", "vllm", "transformers"]
    outtype: str
    reason: str | None = None
    texts: int = 0
    same: int = 0
    probed: int = 0
    difference: float | None = None
    version: str | None = None
    read_otherwise: list[str] = field(default_factory=list)

    def write(self, folder: str | Path) -> None:
        write_json(Path(folder, RECORD), self.as_json())

    def as_json(self) -> dict[str, Any]:
        found = asdict(self)
        if self.version is None:
            del found["version"]
        if not self.read_otherwise:
            del found["read_otherwise"]
        return found


def read_served(folder: str | Path) -> Served | None:
    """What is served out of ``folder``; None where it holds a training and was never to be served.

    Raises:
        UserError: there is no such folder.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: not there; run `dvc repro`, or `dvc pull` with a remote")
    if not Path(folder, RECORD).is_file():
        return None
    return Served(**read_json(Path(folder, RECORD)))


def check_marks(served: Served, texts: Sequence[str], names: Sequence[str]) -> None:
    """Make sure that the server reads every text as the fine-tune was trained to.

    Raises:
        UserError: one holds what is read otherwise; it is called as ``names`` says.
    """
    for mark in served.read_otherwise:
        held = [name for text, name in zip(texts, names, strict=True) if mark in text]
        if held:
            more = f" and {len(held) - MAX_SHOWN} more" if len(held) > MAX_SHOWN else ""
            raise UserError(
                f"{', '.join(held[:MAX_SHOWN])}{more}: expected a text without {mark}, of which the fine-tune's "
                f"server ({served.engine}) makes other tokens than training did; nothing was asked. Take it out of "
                "the text, or have transformers answer (serving: transformers, by -S serving=transformers)"
            )


def has_file(served: Served | None) -> TypeGuard[Served]:
    """Whether the folder holds a model for a server, which answers with it."""
    return served is not None and served.engine != "transformers"


def model_in(folder: str | Path, served: Served) -> Path:
    """What the server of ``served`` is started on."""
    return Path(folder, MERGED if served.engine == "vllm" else GGUF)
