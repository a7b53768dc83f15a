"""What the counts of answers tell of a server that does otherwise than it was asked, without a word.

Some servers cut a long prompt down to their context, do not know the parameter that carries the limit
of an answer, or have a lower limit of their own. Their answers look like others and score worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lora_vs_api.api import keys
from lora_vs_api.api.attempt import EARLY, CountTokens
from lora_vs_api.api.budget import count_input_tokens
from lora_vs_api.api.diagnosis import other_limit
from lora_vs_api.api.types import Answer, ApiCondition, Request

# of a prompt's tokens as counted here; two tokenizers differ by less, but for scripts that one hardly knows
FEW = 0.5
# ids that a message names at most
SHOWN = 5


def odd_counts(
    condition: ApiCondition,
    requests: Sequence[Request],
    answers: Sequence[Answer],
    count_tokens: CountTokens | None,
) -> Iterator[str]:
    """A line for each thing that the server seems to do otherwise than it was asked.

    Args:
        answers: of the requests, in their order.
        count_tokens: by the tokenizer at hand; without it nothing is said of prompts.
    """
    told = [
        (request, answer)
        for request, answer in zip(requests, answers, strict=True)
        if not answer.reply.tokens_estimated and answer.reply.is_scored
    ]
    if count_tokens is not None:
        yield from _cut_prompts(condition, told, count_tokens)
    limit, parameter = condition.max_output_tokens, condition.limit_parameter
    longer = {
        answer.id: tokens
        for _, answer in told
        if (tokens := answer.reply.output_tokens - (answer.reply.reasoning_tokens or 0)) > limit
    }
    if longer:
        other = other_limit(condition)
        yield (
            f"{len(longer):,} of {len(answers):,} answers are longer than the {limit:,} tokens that were asked "
            f"for, up to {max(longer.values()):,}: {_named(longer)}; the server does not heed {parameter} "
            f"({keys.TOKEN_LIMIT}{'' if other is None else f': it may heed {other}, and some servers heed neither'})"
        )
    early = {
        answer.id: answer.reply.output_tokens
        for _, answer in told
        if answer.reply.outcome == "truncated" and answer.reply.output_tokens < EARLY * limit
    }
    if early:
        yield (
            f"{len(early):,} of {len(answers):,} answers were cut off before the {limit:,} tokens that were "
            f"asked for, at {min(early.values()):,} to {max(early.values()):,}: {_named(early)}; the server's "
            f"context is full, or it does not heed {parameter} ({keys.TOKEN_LIMIT})"
        )


def _cut_prompts(
    condition: ApiCondition, told: Sequence[tuple[Request, Answer]], count_tokens: CountTokens
) -> Iterator[str]:
    cut: dict[str, tuple[int, int]] = {}
    for request, answer in told:
        counted = count_input_tokens(request.messages, count_tokens)
        if answer.reply.input_tokens < FEW * counted:
            cut[answer.id] = (counted, answer.reply.input_tokens)
    if cut:
        counted, read = max(cut.values())
        yield (
            f"the server read far fewer tokens than the prompts of {len(cut):,} of {len(told):,} texts have, "
            f"such as {read:,} of about {counted:,}: {_named(cut)}; is its context long enough "
            f"(Ollama: OLLAMA_CONTEXT_LENGTH), or its tokenizer another ({keys.condition_key(condition.name)})?"
        )


def _named(found: Mapping[str, object]) -> str:
    ids = list(found)
    return ", ".join(ids[:SHOWN]) + (", …" if len(ids) > SHOWN else "")
