"""What is asked of an API, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Endpoint = Literal["responses", "chat"]
TokenLimit = Literal["max_completion_tokens", "max_tokens", "max_output_tokens"]
# user: the instruction stands at the head of the first user turn
InstructionRole = Literal["system", "developer", "user"]
OnRefusal = Literal["fail", "score_zero"]
Grammar = Literal["compact", "response_format"]
Mode = Literal["live", "batch"]
# truncated: the token limit cut the output; filtered: the provider's content filter stopped it
Outcome = Literal["answered", "truncated", "refused", "filtered"]


@dataclass(frozen=True)
class ApiCondition:
    """How one condition asks: everything of a request but its messages.

    ``temperature`` and ``reasoning_effort`` are sent only when set, since some models reject
    them; with a ``schema`` the answer is asked for in strict JSON Schema mode, or, of a llama.cpp
    server, by a ``compact`` grammar that leaves no blank to choice; with ``json_object`` as any
    JSON object. ``name`` is the condition's key in ``conditions``, for messages to the user.

    Attributes:
        own_limit: ``max_output_tokens`` was set for this condition, so it is meant for what its
            model writes before an answer too; else it is the limit of the local models.
        token_limit: the parameter that carries the limit; None for the endpoint's own.
        instruction_role: of the turn with the instruction.
        context: tokens of a prompt and its answer that a server of the node's own holds; None for
            another's, which is not told.
        on_refusal: whether a text that is refused or filtered fails the condition or is wrong.
        extra_body: what the server takes beyond OpenAI's parameters, sent as it stands.
        may_be_empty: an answer without a character is one, and wrong; else it is asked for again.
    """

    name: str
    model: str
    temperature: float | None
    reasoning_effort: str | None
    max_output_tokens: int
    endpoint: Endpoint = "responses"
    schema: Mapping[str, Any] | None = None
    grammar: Grammar = "response_format"
    json_object: bool = False
    own_limit: bool = False
    token_limit: TokenLimit | None = None
    instruction_role: InstructionRole = "system"
    on_refusal: OnRefusal = "fail"
    context: int | None = None
    extra_body: Mapping[str, Any] | None = None
    may_be_empty: bool = False

    @property
    def limit_parameter(self) -> TokenLimit:
        """The parameter that carries the limit of an answer."""
        if self.token_limit is not None:
            return self.token_limit
        return "max_completion_tokens" if self.endpoint == "chat" else "max_output_tokens"

    @property
    def wants_json(self) -> bool:
        return self.schema is not None or self.json_object

    def accepts(self, reply: Reply) -> bool:
        """Whether ``reply`` counts as this condition's answer, right or wrong."""
        return reply.is_scored or self.on_refusal == "score_zero"


@dataclass(frozen=True)
class Request:
    """One question: chat messages (``role``, ``content``) under the id of its text.

    ``replicate`` counts askings of the same question, which are answered independently.
    """

    id: str
    messages: Sequence[Mapping[str, str]]
    replicate: int = 0


@dataclass(frozen=True)
class Reply:
    """What the server said to one request, and what it billed.

    Input tokens include cached ones, output tokens those of reasoning, also where the server counts
    these in its total alone. ``reasoning_tokens`` is None where it says nothing of them.
    ``tokens_estimated``: it left out a count, which is the tokenizer's at hand.
    """

    output: str
    outcome: Outcome
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    response_id: str = ""
    served_model: str = ""
    reasoning_tokens: int | None = None
    tokens_estimated: bool = False

    @property
    def is_scored(self) -> bool:
        """Whether it is an answer, right or wrong; a refusal is none."""
        return self.outcome in ("answered", "truncated")


@dataclass(frozen=True)
class Losses:
    """Attempts that brought no answer and may have been billed all the same, with their tokens.

    The tokens are what the server reported; where it reported none, as of a reply that was lost on
    the way, the attempt counts as much as the answer that came in the end.
    """

    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Answer:
    """The reply to the request ``id``.

    ``latency_seconds`` is that of the successful attempt alone, None where none was measured (a
    batch); ``attempts`` counts it and the failed ones before it. ``concurrency`` is how many
    requests the call kept in flight. It and ``losses`` are None where they are not known: of a
    batch, and of answers stored by an earlier version.
    """

    id: str
    reply: Reply
    latency_seconds: float | None
    attempts: int
    concurrency: int | None = None
    losses: Losses | None = None


@dataclass(frozen=True)
class ConditionRun:
    """What one condition answered to some texts.

    ``answers`` are in the order of the texts; ``stored`` says of each whether an earlier call
    had paid for it. ``replicates`` are further askings of some of the texts with their answers.
    """

    answers: list[Answer]
    stored: list[bool]
    replicates: list[tuple[Request, Answer]]
    wall_seconds: float


class NoAnswer(Exception):
    """An attempt, or all of them, gave no answer.

    Args:
        reason: in one line, for the user.
        wait: seconds that the server asked to wait before the next attempt.
        billed: whether the provider may charge for it, as for an answer lost on the way.
        tokens: of input and output, where the server reported them.
    """

    def __init__(
        self,
        reason: str,
        wait: float | None = None,
        billed: bool = True,
        tokens: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait
        self.billed = billed
        self.tokens = tokens
