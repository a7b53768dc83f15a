"""The command line: ``lora-vs-api COMMAND``, or ``python -m lora_vs_api COMMAND``.

Options, help and examples of every command stand here; what a command does is the module of its
name. That module is imported when the command runs, so that help and completion are there at once.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer
from typer.completion import Shells, completion_init, install_callback, show_callback
from typer.models import ArgumentInfo

from lora_vs_api import __version__
from lora_vs_api.entry import run_command
from lora_vs_api.errors import RUN_THERE, UserError
from lora_vs_api.log import show_everything

PROGRAM = "lora-vs-api"
EXECUTORS = ("local", "ray", "slurm")
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _group(help: str, example: str) -> typer.Typer:
    """A group of commands, in plain text: markup would eat the brackets of a help text."""
    return typer.Typer(
        help=help,
        epilog=_examples(example),
        context_settings=SETTINGS,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def _examples(*commands: str) -> str:
    # \b: each stays on its line, to be copied
    return "\b\n" + "\n".join(f"Example: {PROGRAM} {command}" for command in commands)


app = _group(
    "Should I LoRA-fine-tune a small open model or call an API model? Start a task from your own "
    "file, measure it, and use the model that `dvc repro` trained.",
    'predict "a double room for two nights, please"',
)
store = _group(
    "Share the API answers that were paid for.\n\nThe response store holds every one of them, outside of "
    "the DAG.",
    "store export answers.jsonl",
)


def _command(
    group: typer.Typer, name: str, *examples: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command, whose help is its docstring and ends in the ``examples``."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def command(**given: Any) -> None:
            run_command(lambda: _with_user_errors(function, given))

        epilog = _examples(*examples)
        group.command(name, epilog=epilog, context_settings=SETTINGS)(command)
        return function

    return register


def _with_user_errors(function: Callable[..., None], given: dict[str, Any]) -> None:
    """Run a command; a file that cannot be read or written is the user's to put right."""
    _check_blank(function, given)
    try:
        function(**given)
    except UserError as error:
        elsewhere = _ELSEWHERE.search(str(error)) and _project_above(Path.cwd())
        if not elsewhere:
            raise
        said = str(error).removesuffix(f"; {RUN_THERE}")
        raise UserError(f"{said}; this is a folder within {elsewhere}: run it there") from None
    except BrokenPipeError:
        # whoever read the output has seen enough, such as `head`
        raise
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise UserError(" ".join(what.split())) from None
    except UnicodeDecodeError as error:
        # what reads tables, records and schemas names the file; this is for all others
        raise UserError(f"a file that is read here is not valid UTF-8 ({error.reason})") from None


# what is said where the project's files are not
_ELSEWHERE = re.compile("no such file|no config.yaml there|not inside of a DVC|no such node")


def _project_above(here: Path) -> Path | None:
    """The project that a command was meant for which was run in a folder of it; None where it was run in one."""
    if (here / "conf" / "config.yaml").is_file():
        return None
    return next((each for each in here.parents if (each / "conf" / "config.yaml").is_file()), None)


def _check_blank(function: Callable[..., None], given: dict[str, Any]) -> None:
    """Refuse an empty value, as ``--fields "$FIELDS"`` gives it where the shell knows no such variable."""
    defaults = signature(function).parameters
    for name, hint in get_type_hints(function, include_extras=True).items():
        value = given.get(name)
        for each in value if isinstance(value, list) else [value]:
            blank = isinstance(each, str) and not each.strip(" ,\t\r\n")
            if blank and each != defaults[name].default:
                (told,) = hint.__metadata__
                option = max(told.param_decls or [f"--{name.replace('_', '-')}"], key=len)
                called = name.upper() if isinstance(told, ArgumentInfo) else option
                raise UserError(f"{called}: expected a text, found an empty one")


def _with_commas(given: list[str] | None) -> str | None:
    """Names that were given in one option, or in several of them: the last alone would be taken."""
    return None if given is None else ",".join(given)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="print the version"),
    ] = False,
    install_completion: Annotated[
        Shells | None,
        typer.Option(
            callback=install_callback,
            metavar="SHELL",
            help="install completion for bash, zsh, fish, powershell or pwsh",
        ),
    ] = None,
    show_completion: Annotated[
        Shells | None,
        typer.Option(callback=show_callback, metavar="SHELL", help="print what would be installed"),
    ] = None,
) -> None:
    pass


Opened = Annotated[
    bool, typer.Option("--open", help="open report/report.html in the browser, where there is one")
]


BatchSize = Annotated[
    int | None,
    typer.Option(help="texts at once, where transformers answers (default: as evaluated)"),
]
Seed = Annotated[
    int | None, typer.Option(help="which final training (default: the first of seeds)")
]


Constrained = Annotated[
    bool | None,
    typer.Option(
        "--constrained/--no-constrained",
        help="write only records of the schema, or freely (default: as evaluated)",
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(help="of a text file that is no UTF-8, such as latin-1, cp1252 or utf-16"),
]


@_command(app, "init", "init bookings.csv --noun booking")
def init(
    file: Annotated[
        str,
        typer.Argument(
            help="labelled rows: .csv, .tsv, .xlsx, .jsonl, .json or .parquet, or a folder with one each for "
            "train, val and test; or a dataset, hub:owner/name or a folder of `save_to_disk`, which "
            "becomes data/NAME.parquet"
        ),
    ],
    split: Annotated[str | None, typer.Option(help="of a dataset that has several")] = None,
    revision: Annotated[
        str | None, typer.Option(help="of a dataset of the Hub (default: its newest)")
    ] = None,
    name: Annotated[str | None, typer.Option(help="of the task (default: the file's name)")] = None,
    noun: Annotated[str, typer.Option(help="what a row is, such as invoice")] = "text",
    text: Annotated[
        str | None, typer.Option(help="column with the text, or a Jinja template over columns")
    ] = None,
    record: Annotated[
        str | None, typer.Option(help="column with the record as JSON, if there is one")
    ] = None,
    id: Annotated[str | None, typer.Option(help="column with a unique id")] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option(
            help="columns or keys of the record, with commas (default: all that a text can tell)"
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="columns or keys of the record to leave out, with commas"),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=FIELD",
            help="call the field of a column or key of the record otherwise; as often as needed",
        ),
    ] = None,
    omit_nulls: Annotated[
        bool,
        typer.Option(
            "--omit-nulls", help="a field that is empty is no key of an answer, not a null"
        ),
    ] = False,
    schema: Annotated[
        str | None,
        typer.Option(
            help="the record as a JSON Schema file, or as module:Class of a pydantic model"
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(help="column whose texts are alike, such as customer; not of the record"),
    ] = None,
    encoding: Encoding = None,
    conf: Annotated[str, typer.Option(hidden=True)] = "conf",
    force: Annotated[bool, typer.Option("--force", help="write over a task of that name")] = False,
) -> None:
    """Write a task config from your labelled file."""
    from lora_vs_api.cli.init import write_task
    from lora_vs_api.cli.task_source import TaskSource

    write_task(
        TaskSource(
            file,
            split,
            revision,
            name,
            noun,
            text,
            record,
            id,
            _with_commas(fields),
            schema,
            group_by,
            encoding,
            conf,
            force,
            _with_commas(drop),
            tuple(rename or ()),
            omit_nulls,
        )
    )


@_command(app, "params", "params profile=smol-gpu lora.r=32")
def params(
    override: Annotated[
        list[str] | None, typer.Argument(help="Hydra overrides, key=value, +key=value or ~key")
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Option(
            "-S", "--set-param", metavar="KEY=VALUE", help="the same, as for `dvc exp run`"
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="write nothing; fail when params.yaml differs")
    ] = False,
) -> None:
    """Compose conf/ into params.yaml without running anything.

    As `dvc exp run` does before it runs.
    """
    from lora_vs_api.cli.params import compose_params

    compose_params([*(override or []), *(more or [])], check=check)


def _executor(name: str) -> str:
    if name == "here":
        raise typer.BadParameter("'here' is called local now")
    if name not in EXECUTORS:
        raise typer.BadParameter(f"expected {', '.join(EXECUTORS)}, found {name!r}")
    return name


def _no_settings(given: list[str] | None) -> None:
    """Nodes run with what params.yaml has: an option that other commands have is told its way."""
    if given:
        raise typer.BadParameter(
            f"a run takes its settings from params.yaml: `{PROGRAM} params KEY=VALUE` first, or `dvc exp run -S KEY=VALUE`"
        )


@_command(app, "run", "run -j 4", "run report --on slurm --slurm partition=gpu")
def run(
    targets: Annotated[
        list[str] | None, typer.Argument(help="nodes to bring up to date (default: all)")
    ] = None,
    jobs: Annotated[int, typer.Option("-j", "--jobs", help="nodes at a time")] = 2,
    gpus: Annotated[
        int | None,
        typer.Option(
            help="give away so many GPUs, as `nodes` asks for them (default: all there are)"
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            metavar="[local|ray|slurm]",
            callback=_executor,
            autocompletion=lambda: list(EXECUTORS),
            help="local: this machine; ray: the cluster of RAY_ADDRESS, or one that lives as long "
            "as this run; slurm: through submitit. Ray and Slurm need this folder on every machine, "
            "Ray without --transfer remote",
        ),
    ] = "local",
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="what Slurm is told beyond `nodes` in conf/config.yaml, such as partition=gpu; "
            "several times for several",
        ),
    ] = None,
    transfer: Annotated[
        Literal["folder", "remote"],
        typer.Option(
            help="folder: all machines share this one; remote: each has a checkout of the same commit, and "
            "outputs travel through the DVC remote (--on ray)",
        ),
    ] = "folder",
    workers: Annotated[
        Literal["warm", "cold"],
        typer.Option(
            help="warm: from the third node on, nodes are forked from a worker that keeps its imports (Linux; local "
            "and Ray); cold: each starts by itself"
        ),
    ] = "warm",
    opened: Opened = False,
    settings: Annotated[
        list[str] | None, typer.Option("-S", hidden=True, callback=_no_settings)
    ] = None,
) -> None:
    """Bring the pipeline up to date, nodes side by side.

    What `dvc repro` does, with the same dvc.lock: each node is run by DVC, as soon as what it needs
    is there. Nodes that measure time (evaluate_*) are exclusive: nothing runs beside them. A node
    that fails leaves the others' results in place; those that need it are skipped.
    What is going to run is told first, as `plan --short` does. Where all went well and the report is up
    to date, the decision is printed at the end.
    """
    from lora_vs_api.cli.run import RunOptions, run_pipeline

    run_pipeline(RunOptions(targets or [], jobs, gpus, on, slurm or [], opened, transfer, workers))


@_command(
    app, "plan", "plan", 'plan -S "seeds=[0,1,2,3]"', "plan -S profile=paper -S api=openai --short"
)
def plan(
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "-S",
            "--set-param",
            metavar="KEY=VALUE",
            help="as for `dvc exp run`, several times for several; without one, params.yaml as it is",
        ),
    ] = None,
    short: Annotated[
        bool, typer.Option("--short", help="the few lines that `run` and `make run` begin with")
    ] = False,
) -> None:
    """Say what a run would do and why, and run nothing.

    Which nodes would run, and which setting, file or output changed or that they are new; what comes
    out of DVC's cache; minutes, dollars and megabytes to expect. Nothing is asked over the network,
    and the workspace stays as it is, with -S too.
    """
    from lora_vs_api.cli.plan import show_plan

    show_plan(overrides or [], short=short)


@_command(app, "answer", "answer", "answer --open")
def answer(opened: Opened = False) -> None:
    """Say what the last run decided.

    In the report's own words, with where it lies and what to try next. `run` and `make run` end with it.
    """
    from lora_vs_api.cli.answer import tell_answer

    tell_answer(opened=opened)


@_command(app, "mend", "mend")
def mend() -> None:
    """Recover a dvc.lock that a kill left empty or half.

    DVC then refuses every command with a validation error. `run` does this by itself, and `make run`
    before `dvc repro`. What the file lost comes from the copy that `run` makes, or from git's HEAD.
    """
    from lora_vs_api.cli.run import mend_before_repro

    mend_before_repro()


@_command(app, "push", "push -r shared")
def push(
    remote: Annotated[
        str | None,
        typer.Option("-r", "--remote", help="name of the DVC remote (default: core.remote)"),
    ] = None,
) -> None:
    """Send the results of every setting run here to the DVC remote.

    Colleagues take them over with `dvc repro --pull`.

    `dvc push --run-cache` tells the remote what every setting gave, but sends the files of the
    present dvc.lock alone, and of those not the ones kept in git: elsewhere another setting would
    run again. It also takes a file that arrived by half for the file; here such a one is sent
    again.
    """
    from lora_vs_api.cli.push import push_results

    push_results(remote)


@_command(
    app,
    "predict",
    'predict "a double room for two nights, please"',
    "predict --input new.csv --output records.jsonl",
)
def predict(
    text: Annotated[
        str | None,
        typer.Argument(
            help="one text; - reads it from standard input; one that begins with - stands after --"
        ),
    ] = None,
    input: Annotated[
        str | None,
        typer.Option(metavar="FILE", help=".csv, .tsv, .xlsx, .jsonl, .json or .parquet of texts"),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(help="its column, or a Jinja template (default: data.text, or text)"),
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="FILE", help=".jsonl to write (default: print)")
    ] = None,
    encoding: Encoding = None,
    seed: Seed = None,
    batch_size: BatchSize = None,
    constrained: Constrained = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME,…", help="columns of FILE that go along, beside the id"),
    ] = None,
    escalate: Annotated[
        bool,
        typer.Option(
            "--escalate",
            help="escalate what it is unsure of, by the pipeline's rule; a hosted API is paid; answers as evaluated",
        ),
    ] = False,
) -> None:
    """Write records for new texts with the trained model.

    For one text, or for a file of them; on the engine that was evaluated (serving.engine).
    """
    from lora_vs_api.cli.predict import predict_records

    predict_records(
        text,
        input,
        column,
        output,
        encoding=encoding,
        seed=seed,
        batch_size=batch_size,
        constrained=constrained,
        keep=_with_commas(keep),
        escalate=escalate,
    )


@_command(
    app,
    "evaluate",
    "evaluate new.csv",
    "evaluate new.csv --slices room,language",
    "evaluate new.csv --output scored.jsonl",
)
def evaluate(
    file: Annotated[str, typer.Argument(help="labelled rows, with the columns that data.path has")],
    output: Annotated[
        str | None, typer.Option(metavar="FILE", help=".jsonl to write answers and scores to")
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,NAME",
            help="columns or fields by whose values the scores are shown too (default: slices of params.yaml)",
        ),
    ] = None,
    encoding: Encoding = None,
    seed: Seed = None,
    batch_size: BatchSize = None,
) -> None:
    """Score the trained model on a second labelled file.

    With the engine, decoding and scores of the run's evaluation, and an interval for new texts.
    """
    from lora_vs_api.cli.evaluate import evaluate_file

    evaluate_file(
        file,
        output,
        encoding=encoding,
        seed=seed,
        batch_size=batch_size,
        slices=_with_commas(slices),
    )


@_command(
    app,
    "monitor",
    "monitor new.jsonl",
    "monitor new.jsonl --output monitor.json --state quality.json",
)
def monitor(
    file: Annotated[
        str,
        typer.Argument(help="new texts in the columns that data.path has; some may carry labels"),
    ],
    output: Annotated[
        str | None, typer.Option(metavar="FILE", help=".json to write what was found to")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="the labelled texts counted so far, which the next run goes on with "
            "(default: one beside the model, in models/monitor/)",
        ),
    ] = None,
    encoding: Encoding = None,
    seed: Seed = None,
    batch_size: BatchSize = None,
) -> None:
    """Say whether new texts are still what was measured.

    Compares them with the run's: length, unknown words, labels of the answers, confidence. Where
    some carry labels, tests whether quality fell, at every run again: a labelled text counts once.

    Exit codes: 0 nothing found, 1 an error, 3 drift, 4 quality fell.
    """
    from lora_vs_api.cli.monitor import Options, monitor_file

    monitor_file(Options(file, output, state, encoding, seed, batch_size))


@_command(app, "compare", 'compare "a double room for two nights, please" --constrained')
def compare(
    text: Annotated[
        str,
        typer.Argument(
            help="one text; - reads it from standard input; one that begins with - stands after --"
        ),
    ],
    seed: Seed = None,
    constrained: Constrained = None,
    apis: Annotated[
        bool,
        typer.Option(
            "--apis",
            help="ask every API condition too: a hosted one is paid for, within api.limits.budget_usd",
        ),
    ] = False,
) -> None:
    """Show what each condition makes of one text.

    The fine-tune and the untuned base; the API conditions too, if asked to.
    """
    from lora_vs_api.cli.compare import compare_answers

    compare_answers(text, seed=seed, constrained=constrained, apis=apis)


@_command(app, "doctor", "doctor", "doctor --offline -S profile=smol-gpu", "doctor --api")
def doctor(
    condition: Annotated[
        str | None, typer.Argument(help="with --api, whom to ask (default: the baseline)")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "-S", metavar="KEY=VALUE", help="a setting, as for `dvc exp run`; several times"
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="look at nothing beyond this machine")
    ] = False,
    api: Annotated[
        bool,
        typer.Option(
            "--api",
            help="ask one text, six requests at most: paid for, within api.limits.budget_usd",
        ),
    ] = False,
) -> None:
    """Say what a run lacks here, and what mends it.

    A table of what a run needs: Python, torch, disk, git and DVC, network, keys (not shown), servers,
    prices, report. Nothing is paid for. Exit code 0 where a run could start, else 1.

    With --api one text is asked: endpoint, parameter of the token limit, role of the instruction,
    JSON Schema, counts, ids and price. What is refused is tried another way, and the setting that
    works is printed. No answer is stored.
    """
    if not api and condition is None:
        from lora_vs_api.cli.checkup import check_up

        check_up(override or [], offline=offline)
        return
    from lora_vs_api.cli.doctor import examine

    examine(api=api, condition=condition, overrides=override or [])


@_command(app, "export", "export merged")
def export(
    folder: Annotated[Path, typer.Argument(help="new or empty")],
    seed: Seed = None,
) -> None:
    """Write the tuned model, merged, for vLLM and other servers.

    One folder that vLLM, `transformers serve` and the converter of llama.cpp take; with the file for
    llama.cpp's server in it where that was evaluated.
    """
    from lora_vs_api.cli.export import export_merged

    export_merged(folder, seed)


@_command(
    app,
    "publish",
    "publish --dry-run --base-model owner/base",
    "publish --repo owner/adapter --base-model owner/base",
)
def publish(
    repo: Annotated[str | None, typer.Option(help="the Hub repository, owner/name")] = None,
    seed: Annotated[
        int | None, typer.Option(help="whose adapter (default: the first of seeds)")
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(help="where users find the base (default: model.weights.repo)")
    ] = None,
    to: Annotated[Path, typer.Option(help="the folder to write")] = Path("published"),
    public: Annotated[
        bool, typer.Option("--public", help="a public repository, not a private")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="write the folder, push nothing")
    ] = False,
) -> None:
    """Write an adapter with its model card, and push it to the Hub.

    No node of the DAG: it sends something away, which `dvc repro` should never do by itself.
    """
    from lora_vs_api.cli.publish import PublishOptions, publish_adapter

    publish_adapter(PublishOptions(repo, seed, base_model, to, public, dry_run))


@_command(app, "review", 'review --reviewer "Ann Lee"')
def review(
    reviewer: Annotated[
        str | None, typer.Option(help="your name (default: git config user.name)")
    ] = None,
    sample: Annotated[
        str, typer.Option(help="texts to review, made by `dvc repro review`")
    ] = "data/review/sample.jsonl",
    verdicts: Annotated[
        str, typer.Option(help="file to append verdicts to")
    ] = "data/review/verdicts.csv",
    params: Annotated[
        str, typer.Option(help="file whose task.fields a fix is checked against")
    ] = "params.yaml",
) -> None:
    """Review the sampled texts one by one.

    Shows each text of the review sample that has no verdict yet, with its record, and asks:

    \b
      a  accept   the record is what the text says
      r  reject   the text or its record is unusable; asks why
      f  fix      asks for corrections such as urgency=4 or
                  mentioned_products=Nimbo Notes, Lumora Lamp
      s  skip     leave this one for later
      q  quit     stop; run the command again to go on where you stopped

    Each verdict is written at once. Afterwards run `dvc repro` to count it.
    """
    from lora_vs_api.cli.review import review_sample

    review_sample(reviewer, sample, verdicts, params)


StoreFile = Annotated[
    str | None,
    typer.Option("--store", help="the store's file (default: api.limits.store of params.yaml)"),
]


@_command(store, "stats", "store stats")
def store_stats(store: StoreFile = None) -> None:
    """Say how many answers the store holds."""
    from lora_vs_api.cli.store import print_stats

    print_stats(store)


@_command(store, "export", "store export answers.jsonl")
def store_export(
    file: Annotated[Path, typer.Argument(help=".jsonl to write")], store: StoreFile = None
) -> None:
    """Write the answers to a file that can be shared.

    JSONL, for `dvc add` and `dvc push`.
    """
    from lora_vs_api.cli.store import export_answers

    export_answers(file, store)


@_command(store, "import", "store import answers.jsonl")
def store_import(
    file: Annotated[Path, typer.Argument(help="what somebody exported")], store: StoreFile = None
) -> None:
    """Take over the answers that somebody exported.

    Those that are here already stay as they are.
    """
    from lora_vs_api.cli.store import import_answers

    import_answers(file, store)


app.add_typer(store, name="store")


@_command(app, "experiments", "experiments --name search- --csv all.csv --figure all.svg")
def experiments(
    name: Annotated[str, typer.Option(help="only those whose name starts so, like search-")] = "",
    all_commits: Annotated[
        bool, typer.Option("-A", "--all-commits", help="of every commit, not this one alone")
    ] = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="write the table there")] = None,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="write parallel coordinates there, .svg or .png"),
    ] = None,
) -> None:
    """Show DVC's experiments as a table and a figure.

    A row is an experiment of this commit, with the settings that differ between them, best
    validation F1 first. Test F1 and cost stand where an experiment ran the whole pipeline. The
    figure is parallel coordinates.
    """
    from lora_vs_api.cli.experiments import show_experiments

    show_experiments(name, all_commits=all_commits, csv=csv, figure=figure)


@_command(app, "bases", "bases --name base- --html report/bases.html", "bases base-1 base-2 HEAD")
def bases(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="experiments, revisions of git, or folders with results (default: all experiments)",
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="without a RUN, only experiments whose name starts so, like base-")
    ] = "",
    all_commits: Annotated[
        bool, typer.Option("-A", "--all-commits", help="of every commit, not this one alone")
    ] = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="write the table there")] = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="draw it there, .svg or .png")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write a page with both there")
    ] = None,
) -> None:
    """Show which base model to tune, from finished runs.

    A row is a base on an engine: field F1, exact match, latency, cost, memory, time of a training,
    and whether another row is as good in all of them. The base is chosen on validation texts and
    reported on test texts. Runs that do not compare are left out by name; nothing is run.
    """
    from lora_vs_api.cli.bases import BasesOptions, compare_bases

    compare_bases(BasesOptions(runs or [], name, all_commits, csv, figure, html))


@_command(
    app, "search", "search profile=smol-gpu --trials 20 --seeds 100,101",
    "search profile=smol-gpu -j 8 --on slurm --slurm partition=gpu",
)  # fmt: skip
def search(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="what holds for every trial, as for `dvc exp run -S`"),
    ] = None,
    space: Annotated[str, typer.Option(help="a file of conf/search/")] = "default",
    trials: Annotated[
        int | None, typer.Option(help="how many (default: n_trials of that file)")
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="trainings of each point, such as 100,101: the score is their mean "
            "(default: sweep.trial.seed)"
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="experiments are called NAME-1, NAME-2 and so on")
    ] = "search",
    jobs: Annotated[
        int | None,
        typer.Option(
            "-j",
            "--jobs",
            help="trials asked for at once, and run side by side (default: n_jobs of that file)",
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            metavar="[local|ray|slurm]",
            callback=_executor,
            autocompletion=lambda: list(EXECUTORS),
            help="as for `run`; Ray and Slurm need this folder on every machine",
        ),
    ] = "local",
    slurm: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="what Slurm is told, as for `run`"),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(
            help="give away so many GPUs, as `nodes` asks for them (default: all there are)"
        ),
    ] = None,
) -> None:
    """Search settings of the fine-tune with Optuna.

    What is searched is a file of conf/search/. Each trial is an experiment of DVC: it trains one adapter and scores it on
    validation texts, in a copy of the project: the workspace stays as it is, and no trial sees the
    test split.
    """
    from lora_vs_api.cli.search import Where, search_settings

    where = Where(jobs, on, slurm or [], gpus)
    search_settings(overrides or [], space, trials, seeds, name, where)


@_command(app, "points", "points laptop --out docs/results/laptop-profile")
def points(
    name: Annotated[str, typer.Argument(help="a file of conf/points/")],
    out: Annotated[Path, typer.Option(help="the folder that val.md is written to")] = Path(
        "logs/points"
    ),
) -> None:
    """Score listed settings on validation texts.

    Each is trained once, outside of DVC, and the table shows how far it is from the first. What is
    trained is thrown away, and no test text is read.
    """
    from lora_vs_api.cli.points import try_points

    try_points(name, out)


@_command(app, "plots-page", "plots-page --out .dvc/plots/page.html")
def plots_page(
    out: Annotated[Path, typer.Option(help="where to write it")] = Path(".dvc/plots/page.html"),
) -> None:
    """Write the page that DVC's plots are drawn in.

    With Vega in it, so that they can be read offline. Fetches the packages pinned in lora_vs_api/cli/plots_page.py from registry.npmjs.org.
    """
    from lora_vs_api.cli.plots_page import write_page

    write_page(out)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on ``arguments`` (default: those of the process), and exit.

    Exit codes: 0, 1 for a UserError (one line on stderr), 2 for wrong usage, 130 for Ctrl-C.
    """
    completion_init()
    show_everything()
    app(args=sys.argv[1:] if arguments is None else list(arguments), prog_name=PROGRAM)
