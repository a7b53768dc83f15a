"""What the analysis finds, as types: metrics/analysis.json, robustness.json and summary.json.

The files hold these models field by field. They are written by :func:`write_result` and read by
:func:`read_analysis` and :func:`read_robustness`, and nowhere else. A mapping stands only where
its keys are data: names of fields, conditions or perturbations, labels, volumes.

Scores, rates and shares are in 0..1, money is in US dollars, times are in seconds. ``1k`` is 1,000
requests. A break-even volume is a number of requests, None for never.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NotRequired, TypedDict, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from lora_vs_api.config.sections import Price
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_json

Kind = Literal["lora", "base", "tuned", "api", "model_free"]
# what becomes of a claim about a number of which an interval is known
Outcome = Literal["holds", "fails", "undecided"]
# and of a clause, which may be about what was not measured
Judged = Literal["holds", "fails", "undecided", "not judged"]
# how an API condition's answers are paid for, beside the prices that decide
Payment = Literal["list", "machine"]
Record = dict[str, JsonValue]

# with fewer independent texts the report says that they are few
MIN_CLUSTERS = 30


class Result(BaseModel):
    """A part of a result: read-only, no unknown key, no NaN."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )


class Resampling(Result):
    """How whatever is drawn for a result was drawn, and the confidence of all of its intervals."""

    resamples: int
    confidence: float
    seed: int


class Interval(Result):
    """A mean score and its interval; an interval in closed form has 0 resamples and no seed."""

    estimate: float
    low: float
    high: float
    confidence: float
    method: str
    resamples: int
    seed: int | None


# --- one condition ---------------------------------------------------------------------------


class Outcomes(Result):
    """Every request of a condition under one heading, as counts."""

    conforming: int
    schema_violating: int
    invalid_json: int
    truncated: int
    refused: int
    filtered: int

    @property
    def total(self) -> int:
        return (
            self.conforming
            + self.schema_violating
            + self.invalid_json
            + self.truncated
            + self.refused
            + self.filtered
        )


class Billing(Result):
    """What an API condition was billed beside the tokens of its answers, over all its requests.

    ``lost_attempts`` brought no answer and may have been billed; ``reasoning_tokens`` are among the
    answers' output tokens. ``estimated`` counts answers whose tokens the server did not tell,
    ``unknown`` those that an earlier version stored without counting attempts and reasoning.
    """

    lost_attempts: int
    reasoning_tokens: int
    estimated: int
    unknown: int


class Latency(Result):
    """Seconds of one request; the quantiles are None where nothing was timed, as in a batch.

    ``in_flight`` has the fewest and the most requests that were in flight while they were timed, as
    far as it is known, and ``in_flight_unknown`` counts the requests of which it is not.
    """

    p50: float | None
    p95: float | None
    requests: int
    in_flight: tuple[int, int] | None = None
    in_flight_unknown: int = 0
    how: str

    @property
    def concurrency(self) -> int | None:
        """The number in flight, by which latencies compare; None where it is not known to be one."""
        if self.in_flight is None or self.in_flight_unknown:
            return None
        fewest, most = self.in_flight
        return most if fewest == most else None

    def compares_with(self, other: Latency) -> bool:
        """Whether both were timed, with as many requests in flight."""
        timed = self.p50 is not None and other.p50 is not None
        return timed and self.concurrency is not None and self.concurrency == other.concurrency


def in_flight_words(known: tuple[int, int]) -> str:
    """Fewest and most requests in flight, in words: ``4``, ``1 to 4``."""
    fewest, most = known
    return str(most) if fewest == most else f"{fewest} to {most}"


class CostPer1K(Result):
    """What 1,000 requests cost, one at a time and in batches; None where that has no price.

    ``how`` says it in words. ``energy`` tells where a local model's watts come from, ``priced_as``
    whose token prices an API condition is billed at. ``retries_usd`` and ``reasoning_usd`` are the
    parts of ``usd`` for attempts that brought no answer and for reasoning, None where there are none.
    """

    usd: float
    batched_usd: float | None
    rented_usd: float | None = None
    rented_batched_usd: float | None = None
    how: str
    energy: Literal["configured", "measured"] | None = None
    priced_as: str | None = None
    retries_usd: float | None = None
    reasoning_usd: float | None = None


class NoiseFloor(Result):
    """How far the answers to one question differ when it is asked again.

    ``replicates`` counts the askings of each text, the first included. ``same_answer`` and
    ``same_score`` are the shares of texts on which all of them agree. The lowest, the highest and
    the standard deviation are those of the replicates' mean field F1; ``sd_if_independent`` is what the
    latter would be if every answer varied for itself. ``p_of_runs`` tests whether the replicates differ
    by more than that, as whole runs; None where it cannot be told.
    """

    texts: int
    replicates: int
    same_answer: float
    same_score: float
    field_f1_low: float
    field_f1_high: float
    sd: float
    sd_if_independent: float
    p_of_runs: float | None


class DiagnosisOfField(Result):
    """How the answers to a field depart from the gold, as shares.

    Of the answers to texts where the gold has a value, but for two: ``unexpected``, and what is said to
    be of all answers. A share of none is None.

    ``missing``: no record, no such key, or a value of another type where the gold has one.
    ``unexpected``: a value where the gold has none, of such answers; None for a field that must not be
    empty.
    """

    missing: float | None
    unexpected: float | None = None

    def measures(self) -> dict[str, float | None]:
        """What was measured by name, ``missing`` first; of ``unexpected``, only where it can be."""
        names = [name for name in type(self).model_fields if name != "type"]
        return {
            name: getattr(self, name)
            for name in names
            if name != "unexpected" or self.unexpected is not None
        }


class BooleanDiagnosis(DiagnosisOfField):
    type: Literal["boolean"] = "boolean"


class StringDiagnosis(DiagnosisOfField):
    """``normalised``: equal but for case, punctuation and articles; ``token_f1``: mean F1 of words."""

    type: Literal["string"] = "string"
    normalised: float | None
    token_f1: float | None


class EnumDiagnosis(DiagnosisOfField):
    """``out_of_vocabulary``: a text that is none of the labels, of all answers."""

    type: Literal["enum"] = "enum"
    out_of_vocabulary: float


class NumberDiagnosis(DiagnosisOfField):
    """``mean_distance`` is in the field's unit, over the answers with a number; None without any."""

    type: Literal["number"] = "number"
    mean_distance: float | None


class IntegerDiagnosis(DiagnosisOfField):
    """As for a number, and the share ``within_one`` of the gold."""

    type: Literal["integer"] = "integer"
    mean_distance: float | None
    within_one: float | None


class ListDiagnosis(DiagnosisOfField):
    """Answers with items that the gold has not (``spurious``), and without some that it has."""

    type: Literal["list"] = "list"
    spurious: float | None
    missed: float | None


class ObjectDiagnosis(DiagnosisOfField):
    type: Literal["object"] = "object"
    slot_f1: float | None


FieldDiagnosis = Annotated[
    BooleanDiagnosis
    | StringDiagnosis
    | EnumDiagnosis
    | NumberDiagnosis
    | IntegerDiagnosis
    | ListDiagnosis
    | ObjectDiagnosis,
    Field(discriminator="type"),
]


class Diagnosis(Result):
    """What kinds of failure a condition's scores count, over all its answers together.

    ``invalid`` answers hold no JSON object and nothing else; of them, ``recoverable`` ones hold a
    whole object after all, once what ``forgiven`` counts is taken away. ``field_f1_recovered`` is
    the score with those objects counted. ``confusion``: field → expected label → answered label →
    number of answers, for fields with few labels. ``constant``: field → the one value, as JSON, that
    all answers give that could be read, although the gold has several; at least half have to be
    readable.
    """

    answers: int
    invalid: int
    recoverable: int
    forgiven: dict[str, int]
    field_f1_recovered: float
    fields: dict[str, FieldDiagnosis]
    confusion: dict[str, dict[str, dict[str, int]]]
    constant: dict[str, str] = {}


class RateIntervals(Result):
    """Intervals of a condition's rates; of several seeds, for another training too."""

    valid_json: Interval
    schema_valid: Interval
    exact_match: Interval
    truncated: Interval


class Condition(Result):
    """One row of the comparison: means over the condition's texts, and over its seeds if it has some.

    A field's score is None where no test text has a value for it. ``shots`` counts the examples in the
    prompt, ``nearest_shots`` says that they are chosen for each text, ``written_shots`` that they were written by
    hand; ``instruction`` is its own, None for the task's; ``schema_enforced`` says that each
    request carries the record's JSON Schema for the provider to enforce, ``json_mode`` that it asks for any JSON
    object; what became of it is in ``outcomes``. ``noise_floor`` is None where no text was asked more than
    once, ``billing`` where there is nothing to tell.
    """

    name: str
    label: str
    kind: Kind
    model: str
    shots: int
    nearest_shots: bool = False
    written_shots: bool = False
    instruction: str | None = None
    schema_enforced: bool = False
    json_mode: bool = False
    field_f1: Interval
    valid_json: float
    schema_valid: float
    exact_match: float
    truncated: float
    rate_intervals: RateIntervals
    outcomes: Outcomes
    per_field: dict[str, float | None]
    input_tokens_mean: float
    output_tokens_mean: float
    latency: Latency
    cost_per_1k: CostPer1K
    diagnosis: Diagnosis
    noise_floor: NoiseFloor | None = None
    billing: Billing | None = None


# --- texts that belong together --------------------------------------------------------------


class TextGroups(Result):
    """The groups (customers, threads) that the test texts are counted by.

    ``by`` is the column, ``number`` how many groups the evaluated texts come from, ``in_training``
    how many of those have training texts too. ``apart_by`` is the column whose groups the split kept
    whole, None where it looked at none.
    """

    by: str
    number: int
    in_training: int
    apart_by: str | None


class Clustering(Result):
    """How alike the texts of a group score; None where it cannot be told.

    ``intraclass_correlation`` is 0 for strangers and 1 where they score the same. The variance of
    the mean is ``design_effect`` times that of independent texts.
    """

    intraclass_correlation: float | None
    design_effect: float | None


# --- the fine-tune alone ---------------------------------------------------------------------


class SeedScore(Result):
    seed: int
    field_f1: float
    exact_match: float
    valid_json: float


class LoraIntervals(Result):
    """The fine-tune's mean field F1 under four ways to count what varies.

    ``random_effects`` is for new texts and another training; it is the one used everywhere else.
    ``texts`` is for new texts and the adapters at hand; with one seed the two are the same.
    ``texts_bca`` is a BCa bootstrap over texts, ``published_protocol`` one over seed×text rows as if
    independent: both stand there for comparison.
    """

    random_effects: Interval
    texts: Interval
    texts_bca: Interval
    published_protocol: Interval


class Share(Result):
    """A share of variance and its interval, in 0..1."""

    estimate: float
    low: float
    high: float


class VarianceShares(Result):
    """Where the variance of the fine-tune's mean comes from; the estimates sum to 1.

    All None where they cannot be told: with one seed, or where nothing varies.
    """

    seeds: Share | None
    texts: Share | None
    interaction: Share | None


class LoraStatistics(Result):
    """``clustering`` is None where texts are counted as independent."""

    per_seed: tuple[SeedScore, ...]
    intervals: LoraIntervals
    variance_shares: VarianceShares
    clustering: Clustering | None = None


# --- the fine-tune against a baseline --------------------------------------------------------


class IntervalEnds(Result):
    low: float
    high: float
    method: str


class FieldDifference(Result):
    """LoRA minus baseline on one field, with the kind of interval by which the score is decided."""

    difference: float
    low: float
    high: float

    @property
    def side(self) -> int:
        """1 where the whole interval lies above 0, -1 where it lies below, 0 where it holds 0."""
        return (self.low > 0) - (self.high < 0)


class McNemar(Result):
    """Texts that only one of the two gets right in every field, and the exact test's p-value.

    Where texts are counted by groups, p is of the sign-flip test that turns whole groups.
    """

    only_lora: int
    only_baseline: int
    p_value: float


class RateDifferences(Result):
    """LoRA minus baseline in the share of texts, with the kind of interval that decides the score."""

    exact_match: FieldDifference
    valid_json: FieldDifference
    schema_valid: FieldDifference
    truncated: FieldDifference


class DetectableRow(Result):
    """With so many texts, the least effect that is seen with the plan's power, for each of its
    numbers of seeds; None where even 1 is not."""

    texts: int
    effects: tuple[float | None, ...]


class SampleSize(Result):
    seeds: int
    texts: int

    @property
    def answers(self) -> int:
        return self.seeds * self.texts


class EffectPlan(Result):
    """Texts that show ``effect``, for each of the plan's numbers of seeds; None where no number does.

    ``cheapest`` takes the fewest answers; None where nothing listed shows it.
    """

    effect: float
    texts: tuple[int | None, ...]
    cheapest: SampleSize | None


class Planning(Result):
    """What other numbers of texts and seeds would show, by the interval that decides.

    An effect is how far the true difference lies above the limit that the rule asks for; it is seen
    with the chance ``power``. Where texts are counted by groups, ``texts`` is a number of groups, each of
    as many texts as these have. ``here`` is the least one that this run would see. With one seed
    ``seeds`` is (1,), and all of it is about the adapter at hand.
    """

    power: float
    confidence: float
    seeds: tuple[int, ...]
    detectable: tuple[DetectableRow, ...]
    here: float | None
    effects: tuple[EffectPlan, ...]


class Comparison(Result):
    """The fine-tune minus one baseline in field F1, text by text.

    ``low``, ``high`` and ``p_value`` (sign-flip test) are for new texts and the adapters at hand;
    ``p_holm`` is adjusted over all baselines. ``random_effects`` holds for another training too and
    decides. ``clusters`` counts what is independent: groups of texts, or else texts, and ``clustering``
    is then None. ``wins``, ``ties`` and ``losses`` count texts from LoRA's side. ``planning`` is None
    where texts show nothing of how they differ, a field's difference where no test text has a value
    for it.
    """

    baseline: str
    label: str
    difference: float
    low: float
    high: float
    method: str
    p_value: float
    p_holm: float
    random_effects: IntervalEnds
    clusters: int
    clustering: Clustering | None = None
    wins: int
    ties: int
    losses: int
    mcnemar: McNemar
    rates: RateDifferences
    planning: Planning | None
    per_field: dict[str, FieldDifference | None]


class Example(Result):
    """One text with its gold record and what LoRA's first seed and a baseline answered.

    ``lora_cut``, ``baseline_cut``: the token limit ended that answer.
    """

    id: str
    text: str
    gold: Record
    lora_output: str
    baseline_output: str
    lora_f1: float
    baseline_f1: float
    lora_cut: bool = False
    baseline_cut: bool = False


class Examples(Result):
    """The texts on which LoRA gains most over a baseline, and loses most; the largest first."""

    wins: tuple[Example, ...]
    losses: tuple[Example, ...]


# --- money -----------------------------------------------------------------------------------


class PriceList(Result):
    """Token prices by API condition, in USD per million tokens.

    ``names`` has whose price a condition is billed at: an entry of the list, or provider and model
    of the catalogue. ``batch_discount`` is the share taken off in batch mode, of every price.
    """

    as_of: str
    source: str
    batch_discount: float
    names: dict[str, str]
    conditions: dict[str, Price]

    @property
    def words(self) -> str:
        """Who lists them, and for when."""
        return f"{self.source}, {self.as_of}"


class TrainingCost(Result):
    """What all trainings cost once. ``rented_usd``: their machine time on a rented machine."""

    engineer_usd: float
    machine_usd: float
    rented_usd: float | None
    total_usd: float
    trainings: int
    how: str


class Way(Result):
    """The break-even if both sides run one at a time or in batches, ours owned or rented."""

    batched: bool
    rented: bool
    local_per_1k: float
    api_per_1k: float
    volume: float | None


class BreakEven(Result):
    """The volume from which on the fine-tune has cost less than one API condition.

    Its interval is that of the decision against the same one (:class:`PayBack`). ``days``: requests a
    day → days until then; None for never. ``ways`` holds only those whose costs are known.
    """

    baseline: str
    label: str
    api_per_1k: float
    volume: float | None
    days: dict[int, float] | None
    ways: tuple[Way, ...]


class SensitivityRow(Result):
    """Break-even with one input divided (``low_volume``) and multiplied (``high_volume``)."""

    setting: str
    low_volume: float | None
    high_volume: float | None


class Sensitivity(Result):
    baseline: str
    label: str
    factor: float
    volume: float | None
    rows: tuple[SensitivityRow, ...]


class Economics(Result):
    """What both sides cost. Without an API condition there is no break-even, and nothing that it
    could depend on: ``sensitivity`` is None.

    ``prices`` decide; ``prices_beside`` are those of another list (:class:`PaidOtherwise`), of the
    conditions that it knows.
    """

    prices: PriceList
    prices_beside: PriceList | None = None
    training: TrainingCost
    local_per_1k: float
    rented_usd_per_hour: float | None
    break_even: tuple[BreakEven, ...]
    sensitivity: Sensitivity | None


class OwnershipLocal(Result):
    """The fine-tune's total over the horizon at one volume, with the ends of its interval."""

    per_day: int
    machines: int
    usd: float
    low: float
    high: float


class OwnershipRow(Result):
    """An API condition's total over the horizon at one volume, with the ends of its interval.

    ``cheaper_from``: the month after which the fine-tune has cost less and stays so; 0 is from the
    start, None never within the horizon.
    """

    per_day: int
    api_usd: float
    api_low: float
    api_high: float
    cheaper_from: int | None
    cheaper_from_low: int | None
    cheaper_from_high: int | None


class OwnershipAgainst(Result):
    """One API condition; ``api_wrong`` is the share of its answers that are no exact match."""

    baseline: str
    label: str
    api_wrong: float
    rows: tuple[OwnershipRow, ...]


class InputChange(Result):
    """The saving over the horizon with one input at a lower and at a higher value, in words."""

    setting: str
    low: str
    high: str
    low_saving: float
    high_saving: float

    def moves(self, saving: float) -> bool:
        """Whether one of the two changes the ``saving`` by more than the digits of a sum."""
        least = 1e-9 * max(1.0, abs(saving))
        return any(abs(end - saving) > least for end in (self.low_saving, self.high_saving))


class OwnershipSensitivity(Result):
    """``saving``: what the API costs more over the horizon at ``per_day``, negative where less."""

    baseline: str
    label: str
    per_day: int
    saving: float
    rows: tuple[InputChange, ...]


class OwnershipInputs(Result):
    """What the model is made of, with amounts in US dollars; see docs/economics.md.

    ``usd_per_label`` is a label's price with the time of who gives it.
    """

    horizon_months: int
    discount_per_year: float
    api_price_trend_per_year: float
    build_usd: float
    upkeep_usd_per_month: float
    api_build_usd: float
    api_upkeep_usd_per_month: float
    purchase_usd: float
    busy_usd_per_hour: float
    idle_usd_per_hour: float
    peak_to_mean: float
    retrain_every_months: int | None
    retrain_usd: float
    usd_per_wrong_record: float
    usd_per_label: float
    labelled_texts: int
    seconds: float


class Ownership(Result):
    """The total cost over a horizon. ``method`` says what varies in the intervals.

    ``local`` has a row for each volume, as has each of ``against``; ``local_wrong`` is the share of the
    fine-tune's answers that are no exact match. Without an API condition ``against`` is empty and
    ``sensitivity`` None.
    """

    machine: Literal["own", "rented_while_busy", "rented_around_the_clock"]
    machine_is_shared: bool
    inputs: OwnershipInputs
    confidence: float
    method: str
    local_wrong: float
    local: tuple[OwnershipLocal, ...]
    against: tuple[OwnershipAgainst, ...]
    sensitivity: OwnershipSensitivity | None


# --- what may be concluded -------------------------------------------------------------------


class CostRatio(Result):
    """Cost of an answer of the fine-tune over that of the baseline's.

    None is infinite: the baseline costs nothing.
    """

    estimate: float | None
    low: float | None
    high: float | None
    method: str


class PayBack(Result):
    """The volume from which on the fine-tune has cost less; None is never.

    ``never`` is the share of resamples in which nothing is saved.
    """

    volume: float | None
    low: float | None
    high: float | None
    never: float
    method: str


class Decision(Result):
    """What may be said about the fine-tune against one baseline; nothing else is said anywhere.

    ``interval`` is that of the difference in field F1, LoRA minus baseline, by which accuracy is
    decided: over ``seeds`` trainings and the texts; of one seed over the texts alone. The claims:
    ``non_inferior``, the difference is above -``margin``; ``superior``, it is above 0; ``cheaper``,
    the cost ratio is below ``max_ratio``; ``pays_back``, the volume is below ``max_inferences``.
    """

    baseline: str
    label: str
    seeds: int
    difference: float
    interval: IntervalEnds
    margin: float
    non_inferior: Outcome
    superior: Outcome
    cost_ratio: CostRatio
    max_ratio: float
    cheaper: Outcome
    pay_back: PayBack
    max_inferences: int
    pays_back: Outcome


class PaidOtherwise(Result):
    """What an API condition's answers cost in another way than the one that decides.

    ``list``: their tokens at the prices of ``Economics.prices_beside``. ``machine``, where this
    machine served the model: its measured seconds, counted as the fine-tune's are, which is what it
    costs to run that model oneself. ``decision`` is what could be said of the costs if they were
    these; the accuracy in it is that of the one that decides, and nothing goes by it.
    """

    way: Payment
    cost: CostPer1K
    decision: Decision


# --- the hypothesis --------------------------------------------------------------------------


class Clause(Result):
    name: Literal["accuracy", "cost", "break_even"]
    outcome: Judged
    reason: str


class Verdict(Result):
    """The registered hypothesis, its SHA-256 and what became of each of its clauses.

    The statement claims all of them: it holds where each does and fails where any does. Where one
    could not be judged, the statement was not. ``id`` and ``statement`` are None where nothing was claimed.
    """

    id: str | None
    statement: str | None
    sha256: str
    clauses: tuple[Clause, ...]

    @property
    def outcome(self) -> Judged:
        found = {clause.outcome for clause in self.clauses}
        decisive: tuple[Judged, ...] = ("not judged", "fails", "undecided")
        return next((outcome for outcome in decisive if outcome in found), "holds")


# --- metrics/analysis.json -------------------------------------------------------------------


class Selected(Result):
    """Rank and learning rate of the final trainings."""

    r: int
    learning_rate: float


class TrainedOn(Result):
    """Of ``given`` training texts, one final training sees ``seen``.

    ``labelled_by`` is the label of the API condition whose answers are all their labels, None for gold.
    """

    seen: int
    given: int
    labelled_by: str | None = None


class Tried(Result):
    """How many ranks and learning rates the sweep tried; of one of each nothing is chosen."""

    ranks: int
    learning_rates: int

    @property
    def is_choice(self) -> bool:
        return self.ranks > 1 or self.learning_rates > 1


class OtherTuning(Result):
    """Another way of tuning the same base; rank and virtual tokens where the method has them."""

    label: str
    method: str
    learning_rate: str
    seed: int
    r: int | None
    virtual_tokens: int | None


# what a sentence calls what answers over HTTP for the fine-tune
SERVERS = {"llama_cpp": "llama.cpp's server", "vllm": "vLLM's server"}


class SeedServed(Result):
    """How one seed was served; ``reason`` says why it was not, and the counts are 0 then.

    Of ``texts`` validation texts, asked before any answer counted, ``same`` got the answer that
    transformers gives greedily in float32; log-probabilities of ``probed`` tokens differed by
    ``difference`` nats at most. Texts that hold one of ``read_otherwise`` it does not answer.
    """

    seed: int
    engine: Literal["llama_cpp", "vllm", "transformers"]
    reason: str | None
    texts: int
    same: int
    probed: int
    difference: float | None
    read_otherwise: tuple[str, ...] = ()


class Serving(Result):
    """The fine-tune behind a server of this machine, from files of ``outtype`` weights."""

    outtype: str
    seeds: tuple[SeedServed, ...]

    @property
    def converted(self) -> list[SeedServed]:
        return [row for row in self.seeds if row.engine != "transformers"]

    @property
    def refused(self) -> list[SeedServed]:
        return [row for row in self.seeds if row.engine == "transformers"]

    @property
    def server(self) -> str:
        """What answers over HTTP; the pipeline has one engine at a time."""
        return SERVERS[self.converted[0].engine]


class Footprint(Result):
    """What the fine-tune takes of a machine, for comparing bases; None where it was not measured.

    ``machine``: device and processor that it answered on, ``precision`` that of its weights there.
    ``peak_memory_bytes``: the most that the process which answers held at a time, or on a GPU that
    torch reserved there, of all seeds. ``training_seconds``: of one final training, mean over seeds.
    """

    machine: str
    precision: str
    peak_memory_bytes: int | None
    training_seconds: float


class SliceRow(Result):
    """The test texts that share a ``value``: the fine-tune's field F1, each other's, and the differences.

    ``clusters`` are texts, or what they are counted by; of one of these there is no interval.
    """

    value: str
    texts: int
    clusters: int
    lora: float
    interval: Interval | None
    scores: dict[str, float]
    differences: dict[str, FieldDifference]


class Slice(Result):
    """Field F1 by the values of a column or field, the commonest first; ``others`` has the rarer ones together."""

    by: str
    rows: tuple[SliceRow, ...]
    others: SliceRow | None
    other_values: int

    @property
    def every_row(self) -> tuple[SliceRow, ...]:
        return self.rows if self.others is None else (*self.rows, self.others)


class Analysis(Result):
    """metrics/analysis.json.

    ``config_sha256`` is the digest of the settings that the results come from.
    ``groups`` is None where every text is counted as independent.
    ``baseline`` is the API condition that the hypothesis is judged against, None where none was asked.
    ``loopback`` says that the API conditions were asked at an address of this machine.
    ``examples`` has the API conditions' names; where there is none, those of all others.
    ``serving`` is None where the fine-tune was to answer in the project's own process.
    ``trained_on``, ``tried`` and ``footprint`` are None in what an earlier version wrote.
    """

    profile: str
    task: str
    model: str
    config_sha256: str
    tunings: dict[str, OtherTuning]
    api_kind: str
    loopback: bool = False
    texts: int
    groups: TextGroups | None = None
    seeds: tuple[int, ...]
    selected: Selected
    baseline: str | None
    statistics: Resampling
    fields: tuple[str, ...]
    conditions: tuple[Condition, ...]
    lora_statistics: LoraStatistics
    comparisons: tuple[Comparison, ...]
    economics: Economics
    ownership: Ownership
    decisions: tuple[Decision, ...]
    paid_otherwise: tuple[PaidOtherwise, ...] = ()
    verdict: Verdict
    examples: dict[str, Examples]
    serving: Serving | None = None
    trained_on: TrainedOn | None = None
    tried: Tried | None = None
    footprint: Footprint | None = None
    slices: tuple[Slice, ...] = ()

    @property
    def lora(self) -> Condition:
        return next(row for row in self.conditions if row.kind == "lora")

    @property
    def untuned(self) -> Condition:
        """The base model as it came; every run asks it."""
        return next(row for row in self.conditions if row.kind == "base")

    @property
    def strongest_api(self) -> Condition | None:
        """The API condition of highest field F1; of equals, the cheapest. None where none was asked."""
        rows = [row for row in self.conditions if row.kind == "api"]
        return _strongest(rows) if rows else None

    @property
    def strongest_model_free(self) -> Condition | None:
        """The strongest predictor without a model; None where none was asked for."""
        rows = [row for row in self.conditions if row.kind == "model_free"]
        return _strongest(rows) if rows else None

    @property
    def strongest_rival(self) -> Condition:
        """The strongest of all that can be had without tuning."""
        return _strongest([row for row in self.conditions if row.kind not in ("lora", "tuned")])

    @property
    def reference(self) -> Condition:
        """The condition that what is said once is said against: the one that the hypothesis names, or
        the strongest rival where it names none that was asked."""
        return self.strongest_rival if self.baseline is None else self.condition(self.baseline)

    def condition(self, name: str) -> Condition:
        return next(row for row in self.conditions if row.name == name)

    def comparison(self, baseline: str) -> Comparison:
        return next(row for row in self.comparisons if row.baseline == baseline)

    def decision(self, baseline: str) -> Decision:
        return next(row for row in self.decisions if row.baseline == baseline)

    def otherwise(self, baseline: str, way: Payment) -> PaidOtherwise | None:
        """The baseline's answers paid in another way; None where that is not known of them."""
        for row in self.paid_otherwise:
            if (row.decision.baseline, row.way) == (baseline, way):
                return row
        return None

    def break_even(self, baseline: str) -> BreakEven:
        return next(row for row in self.economics.break_even if row.baseline == baseline)


def _strongest(rows: list[Condition]) -> Condition:
    return max(rows, key=lambda row: (row.field_f1.estimate, -row.cost_per_1k.usd))


# --- metrics/robustness.json -----------------------------------------------------------------


class Drop(Result):
    """How much lower the score is when the texts are perturbed; positive is worse."""

    estimate: float
    low: float
    high: float
    method: str


class PerturbationDrop(Result):
    """One perturbation of one condition; ``p_holm`` is adjusted over all of all conditions.

    Scores, the clean ones too, are of the texts that the perturbation was applied to. p-values are
    of the sign-flip test, paired by text.
    """

    perturbation: str
    field_f1_clean: float
    field_f1: float
    valid_json: float
    drop: Drop
    p_value: float
    p_holm: float


class RobustnessCondition(Result):
    """One condition on the texts that took any perturbation, as they are (clean) and perturbed.

    ``by_perturbation`` has those that were applied to any text.
    """

    name: str
    label: str
    kind: Kind
    field_f1_clean: float
    field_f1_perturbed: float
    valid_json_clean: float
    valid_json_perturbed: float
    drop: Drop
    by_perturbation: tuple[PerturbationDrop, ...]


class Lead(Result):
    """LoRA minus another condition, on the clean and on the perturbed texts, and its drop."""

    baseline: str
    label: str
    clean: float
    perturbed: float
    drop: Drop


class Robustness(Result):
    """metrics/robustness.json.

    Of ``texts``, so many took any perturbation (``taken``), and each one (``applied``). Where none
    did, there is no condition. ``fewest``: how many texts, or groups of them, the perturbation
    counts that was applied to the fewest, but not to none.
    """

    texts: int
    taken: int
    applied: dict[str, int]
    fewest: int
    statistics: Resampling
    conditions: tuple[RobustnessCondition, ...]
    leads: tuple[Lead, ...]


# --- metrics/learning_curve.json -------------------------------------------------------------


class CurvePoint(Result):
    """Scores of trainings on ``labels`` texts each, with intervals for new texts and trainings.

    ``labels`` counts the texts that a training sees. ``final``: the final trainings, on all training
    texts that they see, whose scores are those of the comparison.
    """

    labels: int
    seeds: tuple[int, ...]
    steps: int
    final: bool
    field_f1: Interval
    exact_match: Interval


class LabelBreakEven(Result):
    """From how many labels on the curve is at least as good as a condition, with its interval.

    The smallest of the curve's numbers stands for itself and all below; None for more than the
    largest.
    """

    estimate: float | None
    low: float | None
    high: float | None
    method: str


class CurveDifference(Result):
    """A point of the curve minus a condition, in field F1, paired by text."""

    estimate: float
    low: float
    high: float


class CurveRival(Result):
    """A condition that the curve is compared with; the comparison has its label and scores.

    ``labels`` are those that it uses itself: examples in its prompt, or all training texts where it
    chooses or learns from them; 0 for none. ``differences`` has one for each point. ``shown``: that
    the curve is at least as good from some number of labels on (holds), that it is not at any
    (fails), or neither.
    """

    name: str
    labels: int
    differences: tuple[CurveDifference, ...]
    break_even: LabelBreakEven
    shown: Outcome

    @property
    def below_at_last(self) -> bool:
        """Whether only smaller points leave it open: the last is shown to be worse, which refutes
        *from n on* for every n of the curve."""
        return self.shown == "undecided" and self.differences[-1].high < 0


class LabelGain(Result):
    """What the labels from ``start`` to ``end`` add to field F1 and exact match.

    Between two points of the curve it is their rise. ``ahead``: it is that of the labels after the
    last point, if the curve goes on in log n as it rose between its last two points, and as far as
    the scale goes. ``rises``: that the stretch it is taken from rises, for new texts and trainings.
    """

    start: int
    end: int
    ahead: bool
    field_f1: CurveDifference
    exact_match: CurveDifference
    rises: Outcome


class LearningCurve(Result):
    """metrics/learning_curve.json; a curve has at least two points, the last of them the final one.

    ``given`` counts the training texts. ``pooled``: some smaller points have one training and others several, whose
    spread is taken for theirs; ``single``: no point has several, so that nothing is said of other
    trainings. ``gains`` has one for each stretch between points, and last that of the labels to come.
    ``clusters`` counts what is independent.
    """

    texts: int
    clusters: int
    given: int
    scale: Literal["proportional", "same"]
    least: int
    statistics: Resampling
    pooled: bool
    single: bool
    points: tuple[CurvePoint, ...]
    rivals: tuple[CurveRival, ...]
    gains: tuple[LabelGain, ...]

    @property
    def ahead(self) -> LabelGain:
        """What a hundred more labels would add; of fewer than a hundred, as many again."""
        return self.gains[-1]

    @property
    def to_label(self) -> int:
        """How many of the labels ahead do not exist yet; the others a longer training would see."""
        return min(self.ahead.end - self.ahead.start, max(0, self.ahead.end - self.given))

    @property
    def at_the_top(self) -> bool:
        """Whether the last point has all of field F1, so that no label can add to it."""
        return self.points[-1].field_f1.estimate >= 1


# --- metrics/summary.json --------------------------------------------------------------------


class ConditionSummary(Result):
    """``p50`` is in seconds, None where nothing was timed."""

    field_f1: float
    exact_match: float
    usd_per_1k: float
    p50: float | None


class LoraSummary(ConditionSummary):
    valid_json: float


class RivalSummary(Result):
    """The strongest condition without tuning, and LoRA's gain over it with its decision interval."""

    condition: str
    field_f1: float
    lora_gain: float
    lora_gain_low: float
    lora_gain_high: float


class OtherwiseSummary(Result):
    """By API condition; ``prices`` says in words what it is paid at."""

    prices: str
    usd_per_1k: dict[str, float]
    break_even_inferences: dict[str, int | Literal["never"]]


class Summary(Result):
    """metrics/summary.json: the few numbers that `dvc metrics diff` compares between branches.

    ``config`` is the beginning of the settings' SHA-256. ``conditions`` holds all but LoRA.
    ``break_even_inferences`` is by API condition, and empty without one. Costs and clauses go by
    ``prices``, None without an API condition; ``paid_otherwise`` has what decides nothing.
    """

    task: str
    model: str
    config: str
    r: int
    learning_rate: float
    lora: LoraSummary
    strongest_rival: RivalSummary
    conditions: dict[str, ConditionSummary]
    break_even_inferences: dict[str, int | Literal["never"]]
    prices: str | None
    paid_otherwise: dict[Payment, OtherwiseSummary]
    verdict: dict[str, Judged]


# --- metrics/answers.jsonl -------------------------------------------------------------------


class FieldValues(TypedDict):
    """``found`` is missing where the answer has no such key, and null where it says null."""

    expected: JsonValue
    found: NotRequired[JsonValue]


class AnswerRow(TypedDict):
    """A line of metrics/answers.jsonl: one answer of one condition, or of one of LoRA's seeds."""

    id: str
    condition: str
    output: str
    truncated: bool
    input_tokens: int
    output_tokens: int
    field_f1: float
    wrong: list[str]
    differs: dict[str, FieldValues]


# --- reading and writing ---------------------------------------------------------------------

Found = TypeVar("Found")


def write_result(path: str | Path, result: Result | None) -> None:
    """Write a result as JSON under the names of its fields; None as null."""
    write_json(path, None if result is None else result.model_dump(mode="json"))


def read_result(path: str | Path, kind: type[Found]) -> Found:
    """Read what :func:`write_result` wrote.

    Raises:
        UserError: the file is missing, is not JSON or does not hold a result of this kind.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(
            f"{path}: {place}: {first['msg']}; run `dvc repro` to make it again"
        ) from None


def read_analysis(path: str | Path = "metrics/analysis.json") -> Analysis:
    return read_result(path, Analysis)


def read_robustness(path: str | Path = "metrics/robustness.json") -> Robustness | None:
    """None where no text was perturbed. Errors as :func:`read_result`."""
    found: Robustness | None = read_result(path, Robustness | None)  # type: ignore[arg-type]
    return found


def read_learning_curve(path: str | Path = "metrics/learning_curve.json") -> LearningCurve | None:
    """None where no smaller set was trained on. Errors as :func:`read_result`."""
    found: LearningCurve | None = read_result(path, LearningCurve | None)  # type: ignore[arg-type]
    return found
