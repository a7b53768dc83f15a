"""What works of a setup, tried out: `lora-vs-api doctor --api` asks one text of an API condition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from lora_vs_api.api import keys
from lora_vs_api.api.asking import (
    condition_of,
    dearest_price,
    embedded_server,
    key_of,
)
from lora_vs_api.api.batch import check_batch_api
from lora_vs_api.api.budget import Budget, count_input_tokens, discounted, usd
from lora_vs_api.api.client import ask_all
from lora_vs_api.api.diagnosis import Rejected, other_limit, other_role
from lora_vs_api.api.few_shot import shot_chooser
from lora_vs_api.api.oddities import odd_counts
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.server_error import NO_REASON
from lora_vs_api.api.servers import key_variable, server_of
from lora_vs_api.api.types import Answer, ApiCondition, Reply, Request
from lora_vs_api.config.compose import composed
from lora_vs_api.config.load import load_params
from lora_vs_api.config.sections import OpenAIServer, Params
from lora_vs_api.data.json_values import unfenced
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl
from lora_vs_api.log import show
from lora_vs_api.paths import TEST, TRAIN
from lora_vs_api.prices.lookup import ListedPrice
from lora_vs_api.prices.price import Price
from lora_vs_api.record.fields import Field
from lora_vs_api.record.json_schema import json_schema
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.record.prompt import messages
from lora_vs_api.record.tokens import token_counter
from lora_vs_api.validation.records import violations

MAX_REQUESTS = 6
# room for reasoning, where the limit that was set leaves none for an answer
MORE_TOKENS = 2048
STAND_IN = "Hello, this is a text to try the connection with. Please answer as you are told."
CHARACTERS_A_TOKEN = 4
# before an attempt after one that may have failed by chance
WAIT_SECONDS = 1.0

CountTokens = Callable[[str], int]


def examine(*, api: bool, condition: str | None, overrides: Sequence[str] = ()) -> None:
    """Ask an API condition, with Hydra ``overrides``, and print what works and what to set.

    Raises:
        UserError: a condition without ``api``, or something does not work as it is set.
    """
    if not api:
        raise UserError(f"doctor: {condition} is asked with --api alone; expected --api")
    params = composed(overrides)[1] if overrides else load_params()
    examine_api(params, condition)


def examine_api(params: Params, name: str | None) -> None:
    """Ask one text of condition ``name`` (None: the baseline), and other ways where that is refused.

    At most ``MAX_REQUESTS`` requests are made, each is told, no answer is stored, and
    ``api.limits.budget_usd`` holds for all of them together.

    Raises:
        UserError: no such condition, no key, too small a budget, or no way that works; or another
            way works than the one that is set.
    """
    name = params.baseline if name is None else name
    if name is None:
        raise UserError("doctor: no API condition to ask; expected one in `conditions`")
    if name not in params.conditions:
        raise UserError(f"doctor: expected one of {', '.join(params.conditions)}, found {name!r}")
    condition = replace(condition_of(params, name), on_refusal="score_zero")
    listed, _ = dearest_price(params, name)
    request, count_tokens = _question(params, name)
    with _provider(params, name) as provider:
        show(
            f"{name}: {condition.model} at {provider.base_url}, one text ({request.id}), at most "
            f"{MAX_REQUESTS} requests; nothing is stored"
        )
        probe = Probe(
            request, provider, params.api.limits.timeout_seconds, params.api.limits.budget_usd,
            listed.price, count_tokens, params.task.record_fields,
        )  # fmt: skip
        trial = probe.find(condition)
        if trial is None:
            raise UserError(f"{keys.condition_key(name)}: no way was found to ask it; see above")
        # what is known by now is told, whatever comes of looking closer
        open_ends = [
            probe.look_closer(trial),
            _batch_problem(params, condition, provider),
            probe.odd_answer(trial),
        ]
    for label, value in [*probe.findings(trial), *_price_lines(params, name, listed, probe)]:
        show(f"{label + ': ':<20}{value}")
    own = params.conditions[name].server is not None
    _conclude(condition, trial, probe.answers[0].reply, open_ends, own_server=own)


def _conclude(
    condition: ApiCondition,
    trial: ApiCondition,
    first: Reply,
    open_ends: Sequence[UserError | None],
    *,
    own_server: bool,
) -> None:
    """Say what to set.

    Args:
        first: the first answer.
        open_ends: what stopped the looking closer, and what is wrong with the Batch API.
        own_server: the condition has one, whose keys are to be set.

    Raises:
        UserError: something has to be set, or the text got no answer to score.
    """
    changes = _changes(condition.name, condition, trial)
    if own_server:
        changes = [keys.in_own(change, condition.name) for change in changes]
    if changes:
        show("\nset, in conf/local.yaml or after -S:")
        for change in changes:
            show(f"  {change}")
    for error in filter(None, open_ends):
        raise error
    if first.outcome == "truncated" and not first.output.strip():
        raise UserError(
            f"{keys.parameter_key('max_output_tokens', condition.name)}: the text's answer was cut before it began, at most "
            f"{trial.max_output_tokens} tokens being asked for, and such answers count as wrong; expected a higher limit, or "
            "less reasoning"
        )
    if not first.is_scored:
        raise UserError(
            f"{keys.condition_key(condition.name)}: the text was {first.outcome}, which is no answer to "
            "score: what else works is not shown; expected another model, or a text that it takes"
        )
    if changes:
        raise UserError(f"{keys.condition_key(condition.name)}: works with {', '.join(changes)}")
    show("\nworks as it is set")


def _batch_problem(params: Params, condition: ApiCondition, provider: Provider) -> UserError | None:
    """Why ``api.server.mode=batch`` cannot be; that there is a Batch API is told."""
    if params.api.server.mode != "batch":
        return None
    try:
        policy = AskPolicy(params.api.limits.timeout_seconds, max_attempts=1)
        check_batch_api(condition, provider, policy)
    except UserError as error:
        return error
    show("Batch API: there is one; the run asks through it, these requests do not")
    return None


@contextmanager
def _provider(params: Params, name: str) -> Iterator[Provider]:
    server = server_of(params, name)
    if isinstance(server, OpenAIServer):
        with keys.named_for(name, own=params.conditions[name].server is not None):
            yield Provider(server.base_url, key_of(params, name), key_variable(params, name))
    else:
        with embedded_server(params, name) as url:
            yield Provider(url)


def _question(params: Params, name: str) -> tuple[Request, CountTokens]:
    """The first test text as the condition asks it; before there is one, a sentence without examples."""
    weights = Path(params.api.server.weights)
    tokenizer = weights / "tokenizer.json" if weights.is_dir() else weights
    count_tokens: CountTokens = lambda text: len(text) // CHARACTERS_A_TOKEN + 1  # noqa: E731
    if tokenizer.is_file():
        count_tokens = token_counter(str(tokenizer))
    identity, text, shots = "a made-up sentence", STAND_IN, []
    if Path(TEST).is_file() and Path(TRAIN).is_file():
        row = read_jsonl(TEST, 1)[0]
        identity, text = row["id"], row["text"]
        chosen = shot_chooser(
            name,
            params.conditions[name],
            read_jsonl(TRAIN),
            params.api.ask.shots_seed,
            params.task.record_fields,
        )
        shots = chosen(text)
    told = params.conditions[name].instruction or params.task.instruction
    prompt = messages(told, text, params.task.record_fields, shots)
    return Request(identity, prompt), count_tokens


@dataclass
class Probe:
    """Requests of one text, and what they tell.

    Attributes:
        budget_usd: for all of them; None sets no limit.
        answers: of the requests that got one, in their order.
        schema: what became of a JSON Schema, where one was sent.
    """

    request: Request
    provider: Provider
    timeout_seconds: float
    budget_usd: float | None
    price: Price
    count_tokens: CountTokens
    fields: tuple[Field, ...]
    made: int = 0
    spent_usd: float = 0.0
    answers: list[Answer] = field(default_factory=list)
    schema: str = "not tried"

    def find(self, condition: ApiCondition) -> ApiCondition | None:
        """The first way that brings an answer: as it is set, else with what is refused changed.

        Raises:
            UserError: what another way of asking does not mend, such as a rejected key.
        """
        todo, tried, what, guessed = [condition], set[str](), "as it is set", False
        while todo and self.made < MAX_REQUESTS:
            trial = todo.pop(0)
            tried.add(repr(trial))
            rejected = self._ask(trial, what)
            if rejected is None:
                return trial
            if rejected.answered and rejected.parameter is None:
                # it takes the request, and no way of asking gives its answer more room
                raise UserError(str(rejected))
            # what is not named is guessed, one change at a time
            if rejected.parameter is not None or not guessed:
                other = _others(trial, rejected.parameter)
                seen = tried | {repr(way) for way in todo}
                todo = [*(way for way in other if repr(way) not in seen), *todo]
            guessed = guessed or rejected.parameter is None
            what = _change(condition, todo[0]) if todo else ""
        return None

    def look_closer(self, trial: ApiCondition) -> UserError | None:
        """Ask once more for ids and cache, and once with a schema where none was sent.

        Returns:
            What stopped it, where that does not pass by itself: a budget that is used up, say.
        """
        if trial.schema is not None:
            self.schema = self._schema_words(self.answers[-1].reply)
        try:
            if self.made < MAX_REQUESTS:
                self._ask(trial, "the same again")
            if trial.schema is None and self.made < MAX_REQUESTS:
                strict = replace(
                    trial, schema=json_schema(self.fields, every_key=True), json_object=False
                )
                rejected = self._ask(strict, "with a JSON Schema", counts=False)
                if rejected is not None:
                    self.schema = "ignored" if rejected.answered else "refused"
                    if rejected.answered and rejected.parameter != "response_format":
                        self.schema = "not known: the answer was cut"
        except UserError as error:
            if not _may_pass(str(error)):
                return error
            show(f"not looked at further: {error}")
        return None

    def odd_answer(self, trial: ApiCondition) -> UserError | None:
        """What the counts of the first answer tell of a server that does otherwise than it was asked.

        A prompt that is counted otherwise than here may be another tokenizer's: that is told, and is no error.
        """
        first = self.answers[:1]
        requests = [replace(self.request, id=answer.id) for answer in first]
        sure = list(odd_counts(trial, requests, first, None))
        for line in odd_counts(trial, requests, first, self.count_tokens):
            if line not in sure:
                show(line)
        return UserError(sure[0]) if sure else None

    def _ask(self, trial: ApiCondition, what: str, counts: bool = True) -> Rejected | None:
        """Ask once, and again where that may pass; None when an answer came.

        Raises:
            UserError: no way of asking mends it.
        """
        # one that may have failed by chance is asked once more: each may take timeout_seconds
        for is_last in (False, True):
            self.made += 1
            started = time.perf_counter()
            try:
                [answer] = ask_all(
                    [self.request],
                    trial,
                    self.provider,
                    AskPolicy(self.timeout_seconds, max_attempts=1, quiet=True),
                    budget=self._budget(trial),
                    count_tokens=self.count_tokens,
                )
            except Rejected as error:
                show(f"request {self.made}, {what}: {error}")
                if error.answered:
                    self.spent_usd += usd(self.price, self._tokens(), trial.max_output_tokens)
                return error
            except UserError as error:
                if is_last and NO_REASON in str(error):
                    # a server that breaks over a request says no more than 500; templates break over roles
                    return Rejected(str(error), "role")
                if is_last or self.made >= MAX_REQUESTS or not _may_pass(str(error)):
                    raise
                show(f"request {self.made}, {what}: {error}")
                time.sleep(WAIT_SECONDS)
                continue
            reply = answer.reply
            self.spent_usd += usd(self.price, reply.input_tokens, reply.output_tokens)
            took = time.perf_counter() - started
            show(f"request {self.made}, {what}: {reply.outcome} in {took:.1f} s")
            if counts:
                self.answers.append(answer)
            else:
                self.schema = self._schema_words(reply)
            return None
        raise AssertionError("the last attempt returns or raises")

    def _budget(self, trial: ApiCondition) -> Budget | None:
        if self.budget_usd is None:
            return None
        tokens = {self.request.id: self._tokens()}
        return Budget(self.budget_usd, self.price, tokens, trial.max_output_tokens, self.spent_usd)

    def _tokens(self) -> int:
        return count_input_tokens(self.request.messages, self.count_tokens)

    def _schema_words(self, reply: Reply) -> str:
        if reply.outcome != "answered":
            return f"not known: the answer was {reply.outcome}"
        record = parse_record(reply.output)
        wrong = ["no JSON object"] if record is None else violations(record, self.fields)
        return f"not obeyed: {wrong[0]}" if wrong else "obeyed"

    def findings(self, trial: ApiCondition) -> list[tuple[str, str]]:
        """What the answers tell, a line each."""
        replies = [answer.reply for answer in self.answers]
        first = replies[0]
        latencies = [answer.latency_seconds or 0.0 for answer in self.answers]
        return [
            ("endpoint", trial.endpoint),
            ("token limit", f"{trial.limit_parameter}, {trial.max_output_tokens} tokens"),
            ("instruction role", trial.instruction_role),
            ("answer", _answer_words(first)),
            ("JSON Schema", self.schema),
            ("usage", _usage_words(first)),
            ("reasoning tokens", _reasoning_words(first)),
            ("cached tokens", ", then ".join(str(reply.cached_input_tokens) for reply in replies)),
            ("ids", _id_words(replies)),
            ("model that answered", ", ".join(sorted({r.served_model or "–" for r in replies}))),
            ("seconds", ", ".join(f"{seconds:.2f}" for seconds in latencies)),
        ]


def _answer_words(reply: Reply) -> str:
    if reply.outcome != "answered":
        return reply.outcome
    if parse_record(reply.output) is not None:
        return "a JSON object"
    bare = unfenced(reply.output.strip())
    if bare != reply.output.strip() and parse_record(bare) is not None:
        return "a JSON object between lines of ```, which counts as no valid answer: tell the model to write none, or send a JSON Schema"
    return "no JSON object"


def _may_pass(message: str) -> bool:
    """Whether a failure was one attempt's, and not of the key, the budget or the environment."""
    return "(1 attempt)" in message


def _others(trial: ApiCondition, parameter: str | None) -> list[ApiCondition]:
    """Other ways to ask, those first that change what was rejected; None for an unknown fault."""
    limit = other_limit(trial)
    ways: dict[str, list[ApiCondition]] = {
        "token_limit": [replace(trial, token_limit=limit)] if limit else [],
        "role": [
            replace(trial, instruction_role=role)
            for role in (other_role(trial), "user")
            if role != trial.instruction_role
        ],
        "response_format": _weaker_formats(trial),
        "temperature": [] if trial.temperature is None else [replace(trial, temperature=None)],
        "reasoning": []
        if trial.reasoning_effort is None
        else [replace(trial, reasoning_effort=None)],
    }
    other_endpoint = replace(
        trial, endpoint="chat" if trial.endpoint == "responses" else "responses", token_limit=None
    )
    ways["text"] = ways["response_format"]
    ways["endpoint"] = ways["store"] = [other_endpoint]
    # a number that is refused cannot be guessed; one that reasoning used up can be raised
    higher = max(MORE_TOKENS, trial.max_output_tokens * 4)
    raised = replace(trial, max_output_tokens=higher, own_limit=True)
    ways["max_output_tokens"] = [] if trial.own_limit else [raised]
    if parameter is not None:
        return ways.get(parameter, [])
    names = ("token_limit", "role", "temperature", "response_format", "reasoning")
    return [way for name in names for way in ways[name]]


def _weaker_formats(trial: ApiCondition) -> list[ApiCondition]:
    text = replace(trial, schema=None, json_object=False)
    if trial.schema is not None:
        return [replace(text, json_object=True), text]
    return [text] if trial.json_object else []


def _output(condition: ApiCondition) -> str:
    if condition.schema is not None:
        return "json_schema"
    return "json_object" if condition.json_object else "text"


def _changes(name: str, wanted: ApiCondition, works: ApiCondition) -> list[str]:
    """The settings to change, as Hydra takes them."""
    pairs: list[tuple[str, object, object]] = [
        (keys.ENDPOINT, wanted.endpoint, works.endpoint),
        (keys.TOKEN_LIMIT, wanted.token_limit, works.token_limit),
        (keys.ROLE, wanted.instruction_role, works.instruction_role),
        (keys.parameter_key("response_format", name), _output(wanted), _output(works)),
        (keys.parameter_key("temperature", name), wanted.temperature, works.temperature),
        (keys.parameter_key("reasoning", name), wanted.reasoning_effort, works.reasoning_effort),
        (
            keys.parameter_key("max_output_tokens", name),
            wanted.max_output_tokens,
            works.max_output_tokens,
        ),
    ]
    return [
        f"{key}={'null' if found is None else found}" for key, set_, found in pairs if set_ != found
    ]


def _change(wanted: ApiCondition, trial: ApiCondition) -> str:
    return ", ".join(_changes(wanted.name, wanted, trial)) or "as it is set"


def _usage_words(reply: Reply) -> str:
    if reply.tokens_estimated:
        return "not told: costs would be estimated with the base model's tokenizer"
    return f"{reply.input_tokens} tokens in, {reply.output_tokens} out"


def _reasoning_words(reply: Reply) -> str:
    return "not told" if reply.reasoning_tokens is None else str(reply.reasoning_tokens)


def _id_words(replies: list[Reply]) -> str:
    ids = [reply.response_id for reply in replies]
    if not all(ids):
        return "none: an answer that is given to two texts would not be noticed"
    if len(ids) == 1:
        return "not compared"
    if any(first == second for first, second in pairwise(ids)):
        return "one for two answers: an answer that is given to two texts would not be noticed"
    return "one for each answer"


def _price_lines(
    params: Params, name: str, listed: ListedPrice, probe: Probe
) -> list[tuple[str, str]]:
    """What the text cost, and about what the run will."""
    reply = probe.answers[0].reply
    one = usd(probe.price, reply.input_tokens, reply.output_tokens)
    a_request, how = one, ""
    if params.api.server.mode == "batch":
        cheaper = discounted(probe.price, params.prices.batch_discount)
        a_request = usd(cheaper, reply.input_tokens, reply.output_tokens)
        how = f", in batches at {params.prices.batch_discount:.0%} less"
    again = params.api.replicates
    # before the data is split no more is known than what is asked for
    wanted = params.evaluate.test_rows
    tests = len(read_jsonl(TEST, wanted)) if Path(TEST).is_file() else wanted
    asked = tests + (again.number - 1) * min(again.rows, tests)
    return [
        (
            "price of the text",
            f"USD {one:.6f} at the price of {listed.name} ({listed.source}, {listed.as_of})",
        ),
        ("spent here", f"USD {probe.spent_usd:.6f} for {probe.made} requests"),
        ("the run", f"about USD {a_request * asked:.4f} for {asked} requests of {name}{how}"),
    ]
