"""The engine that the fine-tune answers with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lora_vs_api.config.sections.base import Count, Natural, OptionalCount, Section


class ServingServer(Section):
    """llama.cpp's server. ``threads`` null: as many as the node may use processors."""

    context: Count
    threads: OptionalCount


class VllmServer(Section):
    """vLLM's server. ``threads`` null: as many as the node may use processors.

    The merged weights are stored and computed with in ``dtype``. ``kv_cache_gib`` is room for keys and
    values; null: what vLLM takes of the memory by itself.
    """

    context: Count
    threads: OptionalCount
    dtype: Literal["bfloat16", "float32"]
    kv_cache_gib: OptionalCount


class Conversion(Section):
    """How the tuned model becomes a file, and on how many validation texts its answers are compared."""

    outtype: Literal["f16", "q8_0"]
    pre_tokenizer: Annotated[
        Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")] | None,
        Field(description="a name that llama.cpp knows, such as gpt-2, or null"),
    ]
    check_rows: Count


class Merge(Section):
    """On how many validation texts the merged model's answers are compared."""

    check_rows: Count


class LlamaServing(Section):
    """``weights`` and ``converted`` are what dvc.yaml makes of the engine; conf/serving/ sets them."""

    engine: Literal["llama_cpp", "transformers"]
    conversion: Conversion
    server: ServingServer
    weights: str
    converted: list[Natural]

    @property
    def precision(self) -> str:
        """What the weights that are served are stored as."""
        return self.conversion.outtype


class VllmServing(Section):
    """``python`` is the interpreter of the environment that has vLLM; null: the one that runs the nodes.

    Where that lies changes no answer, so no node depends on it.
    """

    engine: Literal["vllm"]
    python: Annotated[
        Annotated[str, Field(pattern=r"^/.")] | None,
        Field(
            description="the absolute path of a Python interpreter, such as /opt/vllm/bin/python, or null"
        ),
    ]
    conversion: Merge
    server: VllmServer
    weights: str
    converted: list[Natural]

    @property
    def precision(self) -> str:
        """What the weights that are served are stored as."""
        return self.server.dtype


Serving = Annotated[LlamaServing | VllmServing, Field(discriminator="engine")]
