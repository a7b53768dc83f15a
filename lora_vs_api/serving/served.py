"""What answers for a seed of the fine-tune, as the node before has written it down."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, write_json

# the model in its folder: a file for llama.cpp, a folder of safetensors for vLLM
GGUF, MERGED = "model.gguf", "merged"
RECORD = "served.json"


@dataclass(frozen=True)
class Served:
    """The engine of one seed, and how it was found to agree with transformers.

    ``reason`` says why a model that was to be served is not; the folder then holds the adapter. Of
    ``texts`` validation texts ``same`` got the very answer that transformers gives greedily in
    float32, and log-probabilities of ``probed`` tokens differ by ``difference`` at most, in nats.
    ``version`` is that of an engine which is not pinned with this project's packages.
    """

    engine: Literal["llama_cpp", "vllm", "transformers"]
    outtype: str
    reason: str | None = None
    texts: int = 0
    same: int = 0
    probed: int = 0
    difference: float | None = None
    version: str | None = None

    def write(self, folder: str | Path) -> None:
        write_json(Path(folder, RECORD), self.as_json())

    def as_json(self) -> dict[str, Any]:
        found = asdict(self)
        if self.version is None:
            del found["version"]
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


def has_file(served: Served | None) -> TypeGuard[Served]:
    """Whether the folder holds a model for a server, which answers with it."""
    return served is not None and served.engine != "transformers"


def model_in(folder: str | Path, served: Served) -> Path:
    """What the server of ``served`` is started on."""
    return Path(folder, MERGED if served.engine == "vllm" else GGUF)
