"""Where API conditions are asked, what is sent, and for how much."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from lora_vs_api.config.addresses import is_loopback
from lora_vs_api.config.secrets import VARIABLE, is_variable
from lora_vs_api.config.sections.base import (
    Count,
    Day,
    Device,
    DType,
    HomePath,
    Line,
    Natural,
    OptionalCount,
    OptionalMinutes,
    Seconds,
    Section,
    Seed,
)
from lora_vs_api.prices.price import Price


def _no_key(name: str) -> str:
    if not is_variable(name):
        raise ValueError("a key, and not the name of the variable that holds it")
    return name


BatchDiscount = Annotated[float, Field(ge=0, le=1, description="a share from 0 to 1")]

TokenLimit = Literal["max_completion_tokens", "max_tokens", "max_output_tokens"]
OptionalTokenLimit = Annotated[
    TokenLimit | None,
    Field(
        description="one of max_completion_tokens, max_tokens, max_output_tokens, or null for "
        "the endpoint's own"
    ),
]
OptionalRole = Annotated[
    Literal["system", "developer", "user"] | None,
    Field(description="one of system, developer, user, or null for system"),
]
# a name in lower case could be a pasted key, and so could one of letters and digits mixed up
KeyEnv = Annotated[
    Annotated[str, Field(pattern=VARIABLE), AfterValidator(_no_key)] | None,
    Field(
        description="the name of an environment variable in capitals, such as OPENAI_API_KEY, "
        "and not the key itself; or null",
        json_schema_extra={"writeOnly": True},
    ),
]


class EmbeddedServer(Section):
    """The untuned base behind `transformers serve`, started by the node; it has no Batch API."""

    kind: Literal["embedded"]
    endpoint: Literal["responses", "chat"]
    weights: str
    device: Device
    dtype: DType

    mode: ClassVar[Literal["live"]] = "live"
    loopback: ClassVar[Literal[True]] = True


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
    loopback: ClassVar[Literal[True]] = True


class OpenAIServer(Section):
    """Any server that speaks OpenAI's API; ``weights`` is a tokenizer for the estimate.

    What servers differ in may be left out: the limit then goes into the parameter that OpenAI's
    endpoint has for it, and the instruction into a system turn.
    """

    kind: Literal["openai"]
    base_url: str
    endpoint: Literal["responses", "chat"]
    mode: Literal["live", "batch"]
    weights: str
    token_limit: OptionalTokenLimit = None
    instruction_role: OptionalRole = None

    @property
    def loopback(self) -> bool:
        """Whether the address is of this machine, as it always is where a node starts the server."""
        return is_loopback(self.base_url)


Server = Annotated[EmbeddedServer | LlamaCppServer | OpenAIServer, Field(discriminator="kind")]


class Ask(Section):
    concurrency: Count
    shots_seed: Seed


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
    key_env: KeyEnv
    plain_http_with_key: bool
    timeout_seconds: Seconds
    max_attempts: Count
    max_minutes: OptionalMinutes
    budget_usd: Annotated[
        Annotated[float, Field(ge=0)] | None, Field(description="USD ≥ 0, or null for no limit")
    ]
    store: Annotated[HomePath | None, Field(description="a file's path, or null for no store")]


class Api(Section):
    server: Server
    ask: Ask
    replicates: Replicates
    limits: Limits


class NearestShots(Section):
    """The ``k`` training texts most like the one that is asked, chosen anew for each."""

    k: Count
    choose: Literal["nearest"]


class Example(Section):
    """A text and its record, written by hand; a record may leave out what is optional."""

    text: Annotated[str, Field(pattern=r"\S", description="a text")]
    record: dict[str, Any]


class WrittenShots(Section):
    """The same examples for every text, none of them from the labelled data."""

    examples: Annotated[list[Example], Field(min_length=1)]


class FileShots(Section):
    """The first ``k`` lines of a file of examples, each ``{"text": …, "record": {…}}``.

    ``sha256`` is the file's: another file is another condition, and nothing else would tell.
    """

    file: Annotated[HomePath, Field(min_length=1)]
    k: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits")]


class ConditionServer(Section):
    """Another provider than ``api.server``, with a key of its own: nothing is taken from there.

    ``key_env`` has no default, so that no key goes to a server that it was not named for.
    """

    base_url: str
    key_env: KeyEnv
    endpoint: Literal["responses", "chat"]
    token_limit: OptionalTokenLimit = None
    instruction_role: OptionalRole = None

    @property
    def loopback(self) -> bool:
        """Whether the address is of this machine."""
        return is_loopback(self.base_url)


class Condition(Section):
    """How one API condition asks; ``shots`` as a number are the same examples for every text.

    The last five may be left out. ``weights`` is what the answers depend on of the files here: the
    model that the node serves, or the tokenizer that counts a hosted one's tokens. ``instruction`` and
    ``server`` are null for those of the others.
    """

    model: Line
    weights: str
    shots: Annotated[
        Natural | NearestShots | WrittenShots | FileShots,
        Field(
            description="an integer ≥ 0, {k: an integer ≥ 1, choose: nearest}, {examples: [{text, record}]} "
            "or {file, k, sha256}"
        ),
    ]
    output: Literal["text", "json_schema", "json_object"]
    temperature: Annotated[
        Annotated[float, Field(ge=0, le=2)] | None,
        Field(description="a number 0..2, or null to send none"),
    ]
    reasoning_effort: Annotated[
        Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None,
        Field(description="one of none, minimal, low, medium, high, xhigh, or null to send none"),
    ]
    # a reasoning model needs more room than a record, and decoding.max_new_tokens trains again
    max_output_tokens: Annotated[
        Annotated[int, Field(ge=1)] | None,
        Field(description="an integer ≥ 1, or null for decoding.max_new_tokens"),
    ] = None
    on_refusal: Annotated[
        Literal["fail", "score_zero"] | None,
        Field(description="one of fail, score_zero, or null for fail"),
    ] = None
    # OpenAI's client has the same name for it
    extra_body: Annotated[
        dict[str, Any] | None,
        Field(description="an object of parameters that only this server knows, or null for none"),
    ] = None
    instruction: Annotated[
        str | None,
        Field(pattern=r"\S", description="a text, or null for task.instruction"),
    ] = None
    server: Annotated[
        ConditionServer | None,
        Field(description="{base_url, key_env, endpoint}, or null for api.server"),
    ] = None

    @property
    def examples(self) -> int:
        """How many examples a prompt shows, however they are chosen."""
        if isinstance(self.shots, int):
            return self.shots
        return len(self.shots.examples) if isinstance(self.shots, WrittenShots) else self.shots.k

    @property
    def written_examples(self) -> bool:
        """Whether they are of somebody's own writing, and none from the labelled data."""
        return isinstance(self.shots, WrittenShots | FileShots)

    @property
    def nearest_examples(self) -> bool:
        return isinstance(self.shots, NearestShots)


class ListedPrices(Section):
    """Prices that stand in the file itself."""

    kind: Literal["list"]
    as_of: str
    source: str
    batch_discount: BatchDiscount
    models: dict[str, Price]


class CatalogueModel(Section):
    """A model as the package genai-prices calls it."""

    provider: str
    model: str


class CataloguePrices(Section):
    """Prices looked up in genai-prices, as it had them on a day; ``models`` renames some."""

    kind: Literal["catalogue"]
    provider: str
    date: Day
    batch_discount: BatchDiscount
    models: dict[str, CatalogueModel]

    @property
    def day(self) -> datetime.date:
        return datetime.date.fromisoformat(self.date)


Prices = Annotated[ListedPrices | CataloguePrices, Field(discriminator="kind")]
