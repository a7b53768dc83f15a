"""One run of a condition over the test texts: its answers, their scores, what it used and took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lora_vs_api.analysis.results import SERVERS
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, read_jsonl
from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.scoring.scores import own_weights, score_output
from lora_vs_api.stats.ratio import Linearised, linearised

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Billing:
    """What an API billed beside the tokens of its answers; by text, shape (n,).

    ``lost`` counts attempts without an answer that may have been billed, with their tokens;
    ``reasoning`` are output tokens of reasoning, which the answers' tokens include. ``unknown``
    answers were stored by a version that counted neither, and count as 0 here. ``estimated``: the
    server left out a count of the tokens, which is the tokenizer's.
    """

    lost: NDArray[np.int64]
    lost_input: NDArray[np.int64]
    lost_output: NDArray[np.int64]
    reasoning: NDArray[np.int64]
    estimated: Bools
    unknown: Bools

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Billing:
        """From the content of a file in timings/evaluate/."""

        def counts(key: str) -> NDArray[np.int64]:
            return np.array([number or 0 for number in found[key]], dtype=np.int64)

        return cls(
            lost=counts("lost_attempts"),
            lost_input=counts("lost_input_tokens"),
            lost_output=counts("lost_output_tokens"),
            reasoning=counts("reasoning_tokens"),
            estimated=np.array(found["tokens_estimated"], dtype=bool),
            unknown=np.array([number is None for number in found["lost_attempts"]], dtype=bool),
        )


@dataclass(frozen=True)
class ServedRun:
    """How a run of the fine-tune came by its engine, as ``timings/`` has it.

    ``reason`` says why transformers answered where a server was to; else ``same`` of
    ``texts`` validation texts had been answered as transformers does, and log-probabilities of
    tokens differed by ``difference`` nats at most. No text holds one of ``read_otherwise``.
    """

    engine: Literal["llama_cpp", "vllm", "transformers"]
    outtype: str
    reason: str | None
    texts: int
    same: int
    probed: int
    difference: float | None
    version: str | None = None
    read_otherwise: Sequence[str] = ()


@dataclass(frozen=True)
class Timings:
    """What a run took, as far as the analysis reads it; the first is in seconds, shape (k,).

    ``latency_seconds`` has the requests that were timed one by one: some texts of a local run,
    all of an API's, none of a batch's. The next four are a local run's: of those requests, and of
    answering all texts in batches; joules are the GPU's and None where no counter measured them.
    ``in_batches`` is False where no text was answered together with another, so that a batch was not
    measured. ``served`` is set where the fine-tune was to be asked behind a server.
    ``machine`` names the machine in words. ``in_flight`` has of each latency how many requests the
    call kept in flight, None where an answer was stored without that; it is empty for a local run,
    which is timed one at a time. The rest are an API run's: whether it was asked as a batch, and
    what the answers were billed beside their tokens.
    """

    latency_seconds: Floats
    latency_joules: float | None = None
    batch_joules: float | None = None
    wall_seconds: float = 0.0
    throughput_texts_per_second: float | None = None
    machine: str | None = None
    batch: bool = False
    in_flight: tuple[int | None, ...] = ()
    cached_input_tokens: tuple[int, ...] | None = None
    billing: Billing | None = None
    in_batches: bool = True
    served: ServedRun | None = None

    @property
    def over_http(self) -> bool:
        """Whether a server of this machine answered for the fine-tune."""
        return self.server is not None

    @property
    def server(self) -> str | None:
        """That server in words, with its version where no list of this project's pins it."""
        if self.served is None or self.served.engine == "transformers":
            return None
        version = "" if self.served.version is None else f" {self.served.version}"
        return SERVERS[self.served.engine] + version

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Timings:
        """From the content of a file in timings/evaluate/."""
        machine, cached = found.get("machine"), found.get("cached_input_tokens")
        served = found.get("served")
        return cls(
            latency_seconds=np.array(found["latency_seconds"], dtype=np.float64),
            latency_joules=found.get("latency_joules"),
            batch_joules=found.get("batch_joules"),
            wall_seconds=found.get("wall_seconds", 0.0),
            throughput_texts_per_second=found.get("throughput_texts_per_second"),
            machine=machine and _machine_words(machine),
            batch=found.get("mode") == "batch",
            in_flight=tuple(found.get("latency_concurrency", ())),
            cached_input_tokens=None if cached is None else tuple(cached),
            billing=Billing.from_json(found) if "lost_attempts" in found else None,
            in_batches=found.get("batch_size", 1) is not None,
            served=None if served is None else ServedRun(**served),
        )


def _machine_words(machine: Mapping[str, Any]) -> str:
    """Without a model there is no precision in which one ran."""
    place = f"{machine['device']} {machine['name']}"
    return f"{place}, {machine['dtype']}" if "dtype" in machine else place


def _untimed() -> Timings:
    return Timings(latency_seconds=np.empty(0))


@dataclass(frozen=True)
class ScoredRun:
    """One run over n test texts. Arrays are of shape (n,), those of fields (n, fields).

    ``fields`` has scores in 0..1. ``wanted`` and ``given`` tell where the record and the answer fill
    the field (:class:`lora_vs_api.scoring.scores.Score`); None where every field has to be there.
    ``field_weights``: how much each counts in a text's F1; None where all count once.
    """

    outputs: tuple[str, ...]
    fields: Floats
    valid_json: Bools
    schema_valid: Bools
    outcomes: NDArray[np.str_]
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    timings: Timings = field(default_factory=_untimed)
    wanted: Bools | None = None
    given: Bools | None = None
    field_weights: tuple[float, ...] | None = None

    @property
    def weights(self) -> Floats:
        """How much of each field is there to be right about, (n, fields): ½ for each side that fills it."""
        if self.wanted is None or self.given is None:
            return np.ones_like(self.fields)
        half: Floats = (self.wanted.astype(np.float64) + self.given) / 2
        return half

    @property
    def field_f1(self) -> Floats:
        """Of each text, as :attr:`lora_vs_api.scoring.scores.Score.field_f1`."""
        weights = self.weights
        if self.field_weights is not None:
            weights = weights * np.array(self.field_weights)
        counted = weights.sum(axis=1)
        # right where nothing is to be said and nothing was
        f1: Floats = self.valid_json.astype(np.float64)
        np.divide((self.fields * weights).sum(axis=1), counted, out=f1, where=counted > 0)
        return f1

    @property
    def by_field(self) -> list[Linearised | None]:
        """Each field's score over all texts, as one value for each text whose mean it is.

        Of a field that has to be there, the texts' own scores. Of one that may be empty, F1 over the
        texts: twice the sum of the scores where both sides fill it, over how often either does. None
        where no record fills it: there is nothing to find.
        """
        weights = self.weights
        wanted = weights if self.wanted is None else self.wanted
        return [
            linearised(scores * weight, weight) if filled.any() else None
            for scores, weight, filled in zip(self.fields.T, weights.T, wanted.T)
        ]

    @property
    def exact_match(self) -> Bools:
        """Right in every field."""
        right: Bools = (self.fields == 1.0).all(axis=1)
        return right

    @property
    def truncated(self) -> Bools:
        cut: Bools = self.outcomes == "truncated"
        return cut

    @property
    def cached_tokens(self) -> NDArray[np.int64]:
        """Input tokens that the provider billed as cached; local runs have none."""
        cached = self.timings.cached_input_tokens
        return np.zeros_like(self.input_tokens) if cached is None else np.array(cached)

    def as_asked_of(self, api_kind: str) -> ScoredRun:
        """The same run as a server of the kind ``api.server.kind`` is billed: of OpenAI's API its cache counts."""
        return self if api_kind == "openai" else self.without_cache()

    def without_cache(self) -> ScoredRun:
        """The same run with no input token billed as cached: what a server of one's own keeps in memory
        says nothing of the cache of the provider that the tokens are billed as."""
        return replace(self, timings=replace(self.timings, cached_input_tokens=None))

    @property
    def billed_input_tokens(self) -> NDArray[np.int64]:
        """With those of attempts that brought no answer and may have been billed."""
        billing = self.timings.billing
        return self.input_tokens if billing is None else self.input_tokens + billing.lost_input

    @property
    def billed_output_tokens(self) -> NDArray[np.int64]:
        """As :attr:`billed_input_tokens`."""
        billing = self.timings.billing
        return self.output_tokens if billing is None else self.output_tokens + billing.lost_output

    @property
    def records(self) -> list[dict[str, Any] | None]:
        """The record of each answer, None where it is no valid JSON object."""
        return [parse_record(output) for output in self.outputs]


def read_run(
    name: str, rows: Sequence[dict[str, Any]], fields: tuple[Field, ...], root: str | Path = "."
) -> ScoredRun:
    """Read and score what the run ``name`` answered to the test ``rows``, with its timings.

    Raises:
        UserError: the answers are not those of exactly these texts, in this order.
    """
    return replace(
        read_answers(Path(root, "predictions", "evaluate", name), rows, fields),
        timings=read_timings(Path(root, "timings", "evaluate", f"{name}.json")),
    )


def read_timings(path: Path) -> Timings:
    """Read what a run took and was billed beside its tokens; errors as of a file that is not there."""
    return Timings.from_json(read_json(path))


def read_answers(
    folder: Path, rows: Sequence[dict[str, Any]], fields: tuple[Field, ...]
) -> ScoredRun:
    """Read and score the answers in ``folder`` to ``rows``, untimed; errors as :func:`read_run`."""
    predictions, usage = (
        read_jsonl(folder / "predictions.jsonl"),
        read_jsonl(folder / "usage.jsonl"),
    )
    ids = [row["id"] for row in rows]
    for file, lines in (("predictions", predictions), ("usage", usage)):
        if [line["id"] for line in lines] != ids:
            raise UserError(
                f"{folder}/{file}.jsonl: not one line for each of the {len(ids)} test texts in "
                "their order; run `dvc repro` to make it again"
            )
    scores = [
        score_output(prediction["output"], row["record"], fields)
        for prediction, row in zip(predictions, rows)
    ]
    return ScoredRun(
        outputs=tuple(prediction["output"] for prediction in predictions),
        fields=np.array([score.fields for score in scores]),
        valid_json=np.array([score.valid_json for score in scores]),
        schema_valid=np.array([score.schema_valid for score in scores]),
        outcomes=np.array([prediction["outcome"] for prediction in predictions]),
        input_tokens=np.array([line["input_tokens"] for line in usage]),
        output_tokens=np.array([line["output_tokens"] for line in usage]),
        wanted=np.array([score.wanted for score in scores]),
        given=np.array([score.given for score in scores]),
        field_weights=own_weights(fields),
    )
