"""The engine that the fine-tune answers with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lora_vs_api.config.sections.base import Count, Natural, OptionalCount, Section


class ServingServer(Section):
    """llama.cpp's server. ``threads`` null: as many as the node may use processors."""

    context: Count
    threads: OptionalCount


class Conversion(Section):
    """How the tuned model becomes a file, and on how many validation texts its answers are compared."""

    outtype: Literal["f16", "q8_0"]
    pre_tokenizer: Annotated[
        Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")] | None,
        Field(description="a name that llama.cpp knows, such as gpt-2, or null"),
    ]
    check_rows: Count


class Serving(Section):
    """``weights`` and ``converted`` are what dvc.yaml makes of the engine; conf/serving/ sets them."""

    engine: Literal["llama_cpp", "transformers", "vllm"]
    conversion: Conversion
    server: ServingServer
    weights: str
    converted: list[Natural]
