"""What no single key of params.yaml can get wrong alone: one small check for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from os.path import expanduser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import yaml

from lora_vs_api.config.addresses import is_loopback
from lora_vs_api.config.examples import written_examples
from lora_vs_api.config.fast_yaml import fast_yaml
from lora_vs_api.config.fields import checked_fields
from lora_vs_api.config.names import PLAIN, name_problem, task_name_problem
from lora_vs_api.config.secrets import secrets_in
from lora_vs_api.config.sections import (
    ConditionServer,
    FileShots,
    GeneratedData,
    GgufFile,
    GgufWeights,
    LlamaCppServer,
    OpenAIServer,
    Params,
    PromptTuning,
    WheelParts,
    WrittenShots,
)
from lora_vs_api.data.perturbation import PERTURBATIONS, chosen
from lora_vs_api.errors import UserError
from lora_vs_api.paths import SERVED, TAUGHT, TRAIN, TRAINED, opponent_file
from lora_vs_api.prices.lookup import known_prices, price_of
from lora_vs_api.record.fields import Field
from lora_vs_api.shown import did_you_mean

# a file for each node; not there where only the package is installed
STAGES = Path(__file__).resolve().parents[2] / "stages"
# of a request to a server; of some there may be one alone
SENT = frozenset(
    [
        "model",
        "messages",
        "input",
        "instructions",
        "stream",
        "stream_options",
        "store",
        "n",
        "temperature",
        "reasoning",
        "reasoning_effort",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "response_format",
        "text",
        "grammar",
        "tools",
    ]
)
# what the generator says of each text
SITUATION = "situation"


def inconsistency(params: Params) -> str | None:
    """The first thing that does not go together, as key, expected form and found value."""
    return next((problem for check in CHECKS if (problem := check(params))), None)


def _no_value_twice(params: Params) -> str | None:
    lists: dict[str, Sequence[int | str]] = {
        "seeds": params.seeds,
        "sweep.ranks": params.sweep.ranks,
        "sweep.learning_rates": params.sweep.learning_rates,
        "robustness.texts.perturbations": _perturbations(params),
        "robustness.conditions": params.robustness.conditions,
        "cascade.conditions": params.cascade.conditions,
        "model_free": params.model_free,
        "slices": params.slices,
        "learning_curve.sizes": params.learning_curve.sizes,
        "learning_curve.seeds": params.learning_curve.seeds,
    }
    for key, values in lists.items():
        if len(set(values)) != len(values):
            return f"{key}: expected no value twice, found {values}"
    return None


def _learning_rates_between_0_and_1(params: Params) -> str | None:
    rates: list[tuple[str, str | float]] = [
        ("sanity.learning_rate", params.sanity.learning_rate),
        ("sweep.rank_sweep_learning_rate", params.sweep.rank_sweep_learning_rate),
        ("lora.learning_rate", params.lora.learning_rate),
        *((f"tunings.{name}.learning_rate", t.learning_rate) for name, t in params.tunings.items()),
        *(("sweep.learning_rates", rate) for rate in params.sweep.learning_rates),
    ]
    for key, rate in rates:
        if rate != "best" and not 0 < float(rate) < 1:
            return f"{key}: expected a learning rate above 0 and below 1, found {rate!r}"
    return None


def _shares_sum_to_1(params: Params) -> str | None:
    shares: dict[str, Mapping[str, float]] = {"split.shares": params.split.shares.model_dump()}
    if isinstance(params.data, GeneratedData):
        shares = {
            "data.categories": params.data.categories,
            "data.sentiments": params.data.sentiments,
            **shares,
        }
    for key, mapping in shares.items():
        if abs(sum(mapping.values()) - 1) > 1e-9:
            told = ", ".join(f"{name} {share:g}" for name, share in mapping.items())
            # what a command line names is put into what conf/ has, and the rest stays
            return f"{key}: expected shares that sum to 1, found {told}, a sum of {sum(mapping.values()):g}"
    return None


def _fields_have_the_keys_of_their_type(params: Params) -> str | None:
    try:
        checked_fields(params.task.field_specs)
    except UserError as error:
        return str(error)
    return None


def _what_is_cut_has_a_length(params: Params) -> str | None:
    for key, train in (("train", params.train), ("sweep.trial.train", params.sweep.trial.train)):
        if train.too_long == "cut" and train.max_length is None:
            return f"{key}.max_length: expected an integer ≥ 1 with {key}.too_long: cut, found null"
    return None


def _weights_are_of_fields(params: Params) -> str | None:
    known = _weighted_paths(params.task.record_fields)
    unknown = [name for name in params.task.weights if name not in known]
    if not unknown:
        return None
    return (
        f"task.weights: expected fields of the task ({', '.join(known)}), found "
        f"{unknown[0]!r}; an item of a list is right or wrong as a whole, and what is within it has no weight"
    )


def _weighted_paths(fields: Sequence[Field], prefix: str = "") -> list[str]:
    """Every field that can have a weight: those of the record, and those within its objects."""
    paths = []
    for field in fields:
        paths += [f"{prefix}{field.name}", *_weighted_paths(field.fields, f"{prefix}{field.name}.")]
    return paths


def _contamination_asks_for_an_enum_field(params: Params) -> str | None:
    name, fields = params.contamination.field, params.task.fields
    if name is None or (name in fields and fields[name].type == "enum"):
        return None
    return f"contamination.field: expected an enum field of the task or null, found {name!r}"


def _split_is_stratified_by_a_field(params: Params) -> str | None:
    name = params.split.stratify_by
    if name is None or name in params.task.fields:
        return None
    return f"split.stratify_by: expected a field of the task or null, found {name!r}"


def _groups_are_named_where_they_are_kept_whole(params: Params) -> str | None:
    """Texts that belong together for the split, and not for the intervals, would be a slip."""
    column, whole = params.task.group_by, params.split.group_by
    if whole is not None and column is None:
        return (
            f"task.group_by: expected a column, such as {whole}, where split.group_by keeps its "
            "texts together; found null"
        )
    if isinstance(params.data, GeneratedData):
        for key, name in (("task.group_by", column), ("split.group_by", whole)):
            if name not in (None, SITUATION):
                return f"{key}: expected {SITUATION} or null for generated texts, found {name!r}"
    return None


def _a_column_splits_what_has_columns(params: Params) -> str | None:
    column = params.split.column
    if column is None or not isinstance(params.data, GeneratedData):
        return None
    return (
        f"split.column: expected null for generated texts, which have no columns, found {column!r}"
    )


def _what_is_dropped_is_of_a_record(params: Params) -> str | None:
    """A column that is no field is left out as it is; a key that is a field cannot be."""
    drop = getattr(params.data, "drop", None)
    if not drop:
        return None
    whole = [name for name in drop if "." not in name]
    if whole and getattr(params.data, "record", None) is None:
        return (
            "data.drop: names keys of data.record, which is null: of columns those alone are read that "
            f"task.fields names; expected paths of keys within them, such as spans.user, or null, found {whole}"
        )
    used = {field.column for field in params.task.record_fields}
    both = [name for name in drop if name in used]
    return f"data.drop: expected no field of the task, found {both[0]!r}" if both else None


def _fields_come_from_what_has_columns(params: Params) -> str | None:
    if not isinstance(params.data, GeneratedData):
        return None
    named = [field for field in params.task.record_fields if field.source]
    if not named:
        return None
    return f"task.fields.{named[0].name}.from: expected null for generated texts, which have no columns, found {named[0].source!r}"


def _what_no_sweep_finds_is_given(params: Params) -> str | None:
    """No rank leaves the whole sweep out: the rates are tried at the best of the ranks."""
    ranks, rates = params.sweep.ranks, params.sweep.learning_rates
    if ranks and rates:
        return None
    if ranks:
        return f"sweep.ranks: expected [] too where sweep.learning_rates is [], which leaves the sweep out, found {ranks}"
    for key, pinned, example in (
        ("lora.r", params.lora.r, "16"),
        ("lora.learning_rate", params.lora.learning_rate, '"2e-3"'),
    ):
        if pinned == "best":
            return f"{key}: expected a value such as {example} where sweep.ranks is [], since nothing finds the best"
    return None


def _slices_are_by_what_has_one_value(params: Params) -> str | None:
    fields = params.task.fields
    for name in params.slices:
        if name in fields and fields[name].type in ("list", "object"):
            return f"slices: expected columns, or fields of one value, found {name!r}, of type {fields[name].type}"
        if name not in fields and isinstance(params.data, GeneratedData) and name != SITUATION:
            return f"slices: expected {SITUATION} or a field of the task for generated texts, found {name!r}"
    return None


def _baseline_is_a_condition(params: Params) -> str | None:
    if not params.conditions:
        if params.baseline is None:
            return None
        return f"baseline: expected null where conditions is empty, found {params.baseline!r}"
    if params.baseline in params.conditions:
        return None
    return f"baseline: expected one of {', '.join(params.conditions)}, found {params.baseline!r}"


def _conditions_have_a_price(params: Params) -> str | None:
    for name in params.conditions:
        try:
            price_of(params.priced_as.get(name), params.prices, f"priced_as.{name}")
        except UserError as error:
            return str(error)
    try:
        if params.prices_beside is not None:
            known_prices(params.priced_as, params.prices_beside, "prices_beside")
    except UserError as error:
        return str(error)
    return None


def _sweep_has_a_seed_of_its_own(params: Params) -> str | None:
    seed = params.sweep.trial.seed
    if seed not in params.seeds:
        return None
    return (
        f"sweep.trial.seed: expected none of seeds {params.seeds}, found {seed}; the sweep's winner is "
        "the best of several, and would lift the final mean"
    )


def _slices_fit_into_the_test_slice(params: Params) -> str | None:
    for key, rows in (
        ("evaluate.latency_rows", params.evaluate.latency_rows),
        ("robustness.texts.rows", params.robustness.texts.rows),
    ):
        if rows > params.evaluate.test_rows:
            return (
                f"{key}: expected no more than evaluate.test_rows ({params.evaluate.test_rows}), "
                f"found {rows}"
            )
    return None


def _nodes_are_nodes_and_have_a_default(params: Params) -> str | None:
    if "default" not in params.nodes:
        return "nodes.default: missing; it counts for every node that is not named"
    known = [path.stem for path in STAGES.glob("[a-z]*.py")]
    for name in params.nodes if known else ():
        if name not in (*known, "default") and name not in _own_stages():
            return f"nodes.{_in_a_key(name)}: no such node{did_you_mean(name, known, cutoff=0.8)}; `dvc stage list` names them"
    return None


def _own_stages() -> set[str]:
    """Stages that somebody has added to dvc.yaml."""
    try:
        said = fast_yaml((STAGES.parent / "dvc.yaml").read_text(encoding="utf-8"))
        return set(said["stages"])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return set()


def _tunings_and_conditions_have_names_of_their_own(params: Params) -> str | None:
    """They become folders of predictions/, and a condition called lora would be taken for the LoRA."""
    used: list[str] = []
    for section, names in (("conditions", params.conditions), ("tunings", params.tunings)):
        for name in names:
            problem = name_problem(name, used)
            if problem:
                return f"{section}.{_in_a_key(name)}: {problem}"
            used.append(name)
    return None


def _in_a_key(name: str) -> str:
    """``name`` as it can stand in a message: quoted where it is no plain word."""
    return name if PLAIN.fullmatch(name) else repr(name)


def _task_has_a_plain_name(params: Params) -> str | None:
    problem = task_name_problem(params.task_name)
    return f"task_name: {problem}, found {params.task_name!r}" if problem else None


def _virtual_tokens_are_decoded_freely(params: Params) -> str | None:
    for name, tuning in params.tunings.items():
        if isinstance(tuning, PromptTuning) and params.decoding.constrained:
            return (
                f"tunings.{name}: virtual tokens (method: {tuning.method}) cannot be decoded with "
                "decoding.constrained=true"
            )
    return None


def _perturbed_are_known_kinds_and_conditions(params: Params) -> str | None:
    lists: tuple[tuple[str, Sequence[str], Collection[str]], ...] = (
        ("robustness.texts.perturbations", _perturbations(params), PERTURBATIONS),
        ("robustness.conditions", params.robustness.conditions, params.conditions),
    )
    for key, values, allowed in lists:
        unknown = [value for value in values if value not in allowed]
        if unknown:
            known = f"some of {', '.join(allowed)}" if allowed else "an empty list"
            return f"{key}: expected {known}, found {unknown[0]!r}"
    return None


def _perturbations(params: Params) -> Sequence[str]:
    texts = params.robustness.texts
    return chosen(texts.kind, texts.perturbations)


def _paid_answers_have_a_store(params: Params) -> str | None:
    if isinstance(params.api.server, OpenAIServer) and params.api.limits.store is None:
        return "api.limits.store: needed with api.server.kind=openai, found null"
    return None


class _Address(NamedTuple):
    """A server by its address: ``key`` is where it stands, ``key_env`` where the key's variable does."""

    key: str
    server: OpenAIServer | ConditionServer
    key_env: str
    variable: str | None


def _addresses(params: Params) -> list[_Address]:
    """The server that conditions are asked at, and those that some have of their own."""
    server, limits = params.api.server, params.api.limits
    if not isinstance(server, OpenAIServer):
        return []
    own = [(f"conditions.{n}.server", c.server) for n, c in params.conditions.items() if c.server]
    return [
        _Address("api.server", server, "api.limits.key_env", limits.key_env),
        *(_Address(key, each, f"{key}.key_env", each.key_env) for key, each in own),
    ]


def _own_servers_stand_beside_one_of_their_kind(params: Params) -> str | None:
    """What is said of how conditions were asked and billed, is said of all of them together."""
    named = {name: c.server for name, c in params.conditions.items() if c.server is not None}
    if not named:
        return None
    first = next(iter(named))
    if not isinstance(params.api.server, OpenAIServer):
        return (
            f"conditions.{first}.server: only with api.server.kind=openai, found "
            f"{params.api.server.kind}, whose server the node starts itself; make two runs, one with this condition "
            "under an api such as openai or server, which trains nothing again"
        )
    server = params.api.server
    here = {name: (c.server or server).loopback for name, c in params.conditions.items()}
    if len(set(here.values())) > 1:
        local = ", ".join(name for name, is_here in here.items() if is_here)
        return (
            f"conditions.{first}.server.base_url: expected all conditions to ask this machine, or none: what "
            f"it serves itself is not paid by the token. Of this machine: {local}; make two runs of them"
        )
    return None


def _endpoint_has_the_limit(params: Params) -> str | None:
    for key, server, _, _ in _addresses(params):
        known = ["max_completion_tokens", "max_tokens"]
        if server.endpoint != "chat":
            known = ["max_output_tokens"]
        if server.token_limit is not None and server.token_limit not in known:
            return (
                f"{key}.token_limit: expected {' or '.join(known)}, or null, with "
                f"{key}.endpoint={server.endpoint}, found {server.token_limit!r}"
            )
    return None


def _what_nodes_depend_on_names_its_home(params: Params) -> str | None:
    """DVC reads these as they stand in params.yaml."""
    paths = {
        "data.path": params.data.path,
        "api.server.weights": params.api.server.weights,
        "serving.weights": params.serving.weights,
        **{f"conditions.{name}.weights": each.weights for name, each in params.conditions.items()},
    }
    for key, path in paths.items():
        if (whole := expanduser(path)) != path:
            return f"{key}: DVC takes ~ for a folder of that name; expected {whole}, found {path}"
    return None


def _address_is_one_without_secrets(params: Params) -> str | None:
    for key, server, key_env, _ in _addresses(params):
        problem = _address_problem(server.base_url, key_env)
        if problem is not None:
            return f"{key}.base_url: {problem}"
    return None


def _address_problem(base_url: str, key_env: str) -> str | None:
    try:
        address = urlsplit(base_url)
        whole = address.scheme in ("http", "https") and bool(address.hostname)
        port = address.port
    except ValueError:
        whole, port = False, None
    if "@" in base_url or "?" in base_url or "#" in base_url:
        # not shown: what stands there may be a secret, and params.yaml is committed
        return (
            "expected no user, password or query; a key goes into the "
            f"variable that {key_env} names"
        )
    if not whole or port == 0 or not base_url.isprintable():
        return f"expected an address such as http://127.0.0.1:8000/v1, found {base_url!r}"
    path = re.search(r"/(?:chat/completions|completions|responses|models|embeddings)/*$", base_url)
    if path:
        return f"expected the address that this stands under, {base_url[: path.start()]}, found {base_url!r}"
    return None


def _a_key_is_sent_in_the_clear_to_this_machine_alone(params: Params) -> str | None:
    if params.api.limits.plain_http_with_key:
        return None
    for key, server, _, variable in _addresses(params):
        url = server.base_url
        if variable is not None and urlsplit(url).scheme != "https" and not is_loopback(url):
            return (
                f"{key}.base_url: expected https:// for another machine, since the key would cross the "
                f"network in the clear; api.limits.plain_http_with_key: true allows it, found {url!r}"
            )
    return None


def _extra_body_adds_to_a_request(params: Params) -> str | None:
    for name, condition in params.conditions.items():
        key = f"conditions.{name}.extra_body"
        sent = sorted(SENT & (condition.extra_body or {}).keys())
        if sent:
            return (
                f"{key}: {sent[0]} is sent already, as a setting of its own has it or always alike"
            )
        # not shown: params.yaml is committed, and so would be what is in it
        secret = next(secrets_in(condition.extra_body or {}, key), None)
        if secret is not None:
            return f"{secret[0]}: may be a secret; expected the variable that holds a key in api.limits.key_env"
    return None


def _written_examples_are_records(params: Params) -> str | None:
    """Checked with the rest: nobody should train for half an hour to read that a key is misspelt."""
    fields = params.task.record_fields
    for name, condition in params.conditions.items():
        shots = condition.shots
        # a file may still have to be fetched, and is checked where it is read
        there = isinstance(shots, FileShots) and Path(shots.file).is_file()
        if there or isinstance(shots, WrittenShots):
            try:
                written_examples(name, condition, fields)
            except UserError as error:
                return str(error)
    return None


def _what_is_rented_has_a_price(params: Params) -> str | None:
    machine, rent = params.economics.ownership.machine, params.economics.rented_usd_per_hour
    if machine == "own" or rent is not None:
        return None
    return (
        "economics.rented_usd_per_hour: expected USD above 0 where economics.ownership.machine "
        f"is {machine}, found null"
    )


def _conditions_serve_an_opponent(params: Params) -> str | None:
    """Only a file whose digest is known is handed to the server, which is C++ code."""
    server = params.api.server
    if not isinstance(server, LlamaCppServer):
        return None
    files = [opponent_file(name) for name in params.opponents]
    for name, condition in params.conditions.items():
        if condition.weights not in files:
            expected = f"one of {', '.join(files)}" if files else "an entry of opponents"
            return (
                f"conditions.{name}.weights: expected {expected} with api.server.kind=llama_cpp, "
                f"found {condition.weights!r}"
            )
    return None


def _engine_goes_with_its_files(params: Params) -> str | None:
    """A node per seed exists and is read where the engine takes a file of its own, and nowhere else."""
    serving = params.serving
    weights, seeds = (TRAINED, []) if serving.engine == "transformers" else (SERVED, params.seeds)
    if serving.weights != weights:
        return (
            f"serving.engine: {serving.engine} does not go with serving.weights: {serving.weights}; "
            f"expected both from -S serving={serving.engine}"
        )
    if serving.converted != seeds:
        return (
            f"serving.converted: expected {seeds} with serving.engine={serving.engine} and these seeds, "
            f"found {serving.converted}"
        )
    return None


def _cascade_has_somebody_to_escalate_to(params: Params) -> str | None:
    """Checked as a whole: nobody should train for half an hour to read that nobody can be asked."""
    cascade, known = params.cascade, params.conditions
    on = bool(cascade.seeds)
    unknown = [name for name in cascade.conditions if name not in known]
    if on and unknown:
        expected = f"some of {', '.join(known)}" if known else "an empty list"
        return f"cascade.conditions: expected {expected}, found {unknown[0]!r}"
    if on and not cascade.conditions and cascade.person is None:
        return (
            "cascade.conditions: expected an API condition, or cascade.person, to escalate to; found "
            "neither; -S cascade=none leaves the cascade out"
        )
    seeds, asked = (params.seeds, cascade.conditions) if on else ([], [])
    if (cascade.seeds, cascade.asked) != (seeds, asked):
        return (
            f"cascade.seeds, cascade.asked: expected {seeds} and {asked}, as -S cascade="
            f"{'escalate' if on else 'none'} has them, found {cascade.seeds} and {cascade.asked}"
        )
    return None


def _a_teacher_is_one_of_the_conditions(params: Params) -> str | None:
    """Checked as a whole, like the cascade: nothing is trained or paid for a slip."""
    labels, known = params.training_labels, params.conditions
    on = labels.source == "api"
    if on and labels.condition not in known:
        expected = (
            f"one of {', '.join(known)}" if known else "an API condition, of which there is none"
        )
        return (
            f"training_labels.condition: expected {expected}, found {labels.condition!r}; "
            "-S training_labels=gold asks nobody"
        )
    only = labels.rows == TAUGHT
    if on and only and params.learning_curve.sizes:
        return (
            "learning_curve.sizes: expected [] with -S training_labels=api_only, since the curve counts gold "
            f"labels, found {params.learning_curve.sizes}"
        )
    wanted = (
        [labels.condition] if on else [],
        params.seeds if on and not only else [],
        TAUGHT if on and only else TRAIN,
        TAUGHT if on else TRAIN,
    )
    found = (labels.asked, labels.seeds, labels.rows, labels.first_rows)
    if found != wanted:
        return (
            "training_labels.asked, seeds, rows, first_rows: expected "
            f"{', '.join(map(str, wanted))}, as -S training_labels="
            f"{('api_only' if only else 'api') if on else 'gold'} has them, found "
            f"{', '.join(map(str, found))}"
        )
    return None


def _a_smaller_training_sees_fewer_texts(params: Params) -> str | None:
    """Where steps end a final training before it has seen all texts; epochs see all, which are counted
    when they are there."""
    most = params.train.most_texts
    large = [size for size in params.learning_curve.sizes if most is not None and size >= most]
    if not large:
        return None
    return (
        f"learning_curve.sizes: expected numbers below {most:,}, the texts that a final training sees "
        "(train.max_steps * train.batch_size * train.gradient_accumulation), "
        f"found {large[0]:,}; [] leaves the learning curve out"
    )


def _the_cascades_rule_has_its_limit(params: Params) -> str | None:
    cascade = params.cascade
    if cascade.rule == "budget" and cascade.max_share is cascade.max_usd_per_1000 is None:
        return (
            "cascade.max_share: expected a share, or cascade.max_usd_per_1000 an amount, with "
            "cascade.rule=budget, found null"
        )
    if cascade.rule == "floor" and cascade.min_f1 is None:
        return "cascade.min_f1: expected a number from 0 to 1 with cascade.rule=floor, found null"
    return None


def _opponents_have_plain_names(params: Params) -> str | None:
    for name in params.opponents:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            return f"opponents.{name}: expected a name in lower case, digits and underscores"
    return None


def _parts_add_up(params: Params) -> str | None:
    files: dict[str, GgufFile] = {
        f"opponents.{name}": opponent for name, opponent in params.opponents.items()
    }
    if isinstance(params.model.weights, GgufWeights):
        files["model.weights"] = params.model.weights
    for key, file in files.items():
        for place, source in enumerate(file.sources):
            if not isinstance(source, WheelParts):
                continue
            total = sum(part.bytes for part in source.parts)
            if total != file.bytes:
                return (
                    f"{key}.sources[{place}].parts: expected parts of {file.bytes} "
                    f"bytes together ({key}.bytes), found {total}"
                )
    return None


CHECKS: tuple[Callable[[Params], str | None], ...] = (
    _no_value_twice,
    _what_is_rented_has_a_price,
    _learning_rates_between_0_and_1,
    _shares_sum_to_1,
    _fields_have_the_keys_of_their_type,
    _weights_are_of_fields,
    _what_is_cut_has_a_length,
    _contamination_asks_for_an_enum_field,
    _split_is_stratified_by_a_field,
    _groups_are_named_where_they_are_kept_whole,
    _a_column_splits_what_has_columns,
    _what_is_dropped_is_of_a_record,
    _fields_come_from_what_has_columns,
    _slices_are_by_what_has_one_value,
    _what_no_sweep_finds_is_given,
    _baseline_is_a_condition,
    _conditions_have_a_price,
    _sweep_has_a_seed_of_its_own,
    _slices_fit_into_the_test_slice,
    _nodes_are_nodes_and_have_a_default,
    _task_has_a_plain_name,
    _tunings_and_conditions_have_names_of_their_own,
    _virtual_tokens_are_decoded_freely,
    _perturbed_are_known_kinds_and_conditions,
    _paid_answers_have_a_store,
    _endpoint_has_the_limit,
    _what_nodes_depend_on_names_its_home,
    _address_is_one_without_secrets,
    _own_servers_stand_beside_one_of_their_kind,
    _extra_body_adds_to_a_request,
    _written_examples_are_records,
    _a_key_is_sent_in_the_clear_to_this_machine_alone,
    _cascade_has_somebody_to_escalate_to,
    _a_teacher_is_one_of_the_conditions,
    _the_cascades_rule_has_its_limit,
    _a_smaller_training_sees_fewer_texts,
    _opponents_have_plain_names,
    _parts_add_up,
    _engine_goes_with_its_files,
    _conditions_serve_an_opponent,
)
