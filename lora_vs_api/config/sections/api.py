"""Where API conditions are asked, what is sent, and for how much."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from lora_vs_api.config.sections.base import (
    Count,
    Device,
    DType,
    Natural,
    NonNegative,
    OptionalCount,
    OptionalMinutes,
    Positive,
    Section,
)


class EmbeddedServer(Section):
    """The untuned base behind `transformers serve`, started by the node; it has no Batch API."""

    kind: Literal["embedded"]
    endpoint: Literal["responses", "chat"]
    weights: str
    device: Device
    dtype: DType

    mode: ClassVar[Literal["live"]] = "live"


class LlamaCppServer(Section):
    """llama.cpp's own server, started by the node with the file that the condition names.

    ``weights`` is the folder of all these files, ``context`` the most tokens of a prompt and its
    answer. ``threads`` null: as many as the node may use processors. ``grammar`` is how a condition
    with ``output: json_schema`` has its schema enforced: ``compact`` also leaves no blank to choice.
    """

    kind: Literal["llama_cpp"]
    endpoint: Literal["chat"]
    weights: str
    context: Count
    threads: OptionalCount
    grammar: Literal["compact", "response_format"]

    mode: ClassVar[Literal["live"]] = "live"


class OpenAIServer(Section):
    """Any server that speaks OpenAI's API; ``weights`` is a tokenizer for the estimate."""

    kind: Literal["openai"]
    base_url: str
    endpoint: Literal["responses", "chat"]
    mode: Literal["live", "batch"]
    weights: str


Server = Annotated[EmbeddedServer | LlamaCppServer | OpenAIServer, Field(discriminator="kind")]


class Ask(Section):
    concurrency: Count
    shots_seed: Natural


class Replicates(Section):
    """The first ``rows`` texts are asked ``number`` times in all."""

    number: Count
    rows: Count


class Limits(Section):
    """Whether and how patiently an API is asked, never what it answers."""

    port: Annotated[
        Annotated[int, Field(ge=1, le=65535)] | None,
        Field(description="a port 1..65535, or null for any free one"),
    ]
    key_env: str | None
    timeout_seconds: Positive
    max_attempts: Count
    max_minutes: OptionalMinutes
    budget_usd: Annotated[
        Annotated[float, Field(ge=0)] | None, Field(description="USD ≥ 0, or null for no limit")
    ]
    store: Annotated[str | None, Field(description="a file's path, or null for no store")]


class Api(Section):
    server: Server
    ask: Ask
    replicates: Replicates
    limits: Limits


class NearestShots(Section):
    """The ``k`` training texts most like the one that is asked, chosen anew for each."""

    k: Count
    choose: Literal["nearest"]


class Condition(Section):
    """How one API condition asks; ``shots`` as a number are the same examples for every text.

    ``weights`` is what the answers depend on of the files here: the model that the node serves, or
    the tokenizer that counts a hosted one's tokens.
    """

    model: str
    weights: str
    shots: Annotated[
        Natural | NearestShots,
        Field(description="an integer ≥ 0, or {k: an integer ≥ 1, choose: nearest}"),
    ]
    output: Literal["text", "json_schema"]
    temperature: Annotated[
        Annotated[float, Field(ge=0, le=2)] | None,
        Field(description="a number 0..2, or null to send none"),
    ]
    reasoning_effort: Annotated[
        Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None,
        Field(description="one of none, minimal, low, medium, high, xhigh, or null to send none"),
    ]

    @property
    def examples(self) -> int:
        """How many examples a prompt shows, however they are chosen."""
        return self.shots if isinstance(self.shots, int) else self.shots.k

    @property
    def nearest_examples(self) -> bool:
        return isinstance(self.shots, NearestShots)


class Price(Section):
    input: NonNegative
    cached_input: Annotated[
        Annotated[float, Field(ge=0)] | None, Field(description="a number ≥ 0, or null")
    ]
    output: NonNegative


class Prices(Section):
    as_of: str
    source: str
    batch_discount: Annotated[float, Field(ge=0, le=1, description="a share from 0 to 1")]
    models: dict[str, Price]
