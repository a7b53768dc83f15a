"""The command line itself: help with examples that parse, completion, quick start, exit codes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time

import pytest
import typer

from lora_vs_api import __version__
from lora_vs_api.cli import app as command_line
from lora_vs_api.config.compose import compose
from lora_vs_api.errors import UserError
from tests.commands import exit_code, lora_vs_api
from tests.imports import ROOT

COMMANDS = ("init", "params", "run", "plan", "answer", "mend", "push", "predict", "compare", "doctor", "export", "publish",
            "review",
            "store stats", "store export", "store import", "experiments", "bases", "search", "points",
            "plots-page", "evaluate", "monitor")  # fmt: skip
HEAVY = {"torch", "transformers", "dvc", "numpy", "pandas", "hydra", "matplotlib", "openai", "rich",
         "lora_vs_api.config.load"}  # fmt: skip


@pytest.fixture
def parsed(monkeypatch):
    """What a command would be run with, without running it: parameter → value, of each call."""
    calls = []
    monkeypatch.setattr(command_line, "run_command", lambda command: command())
    monkeypatch.setattr(
        command_line, "_with_user_errors", lambda function, given: calls.append(given)
    )
    return calls


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)


def test_every_command_is_listed():
    """Nobody finds a command that help does not name."""
    root = typer.main.get_command(command_line.app)
    names = []
    for name, command in root.commands.items():
        names += [f"{name} {inner}" for inner in getattr(command, "commands", ())] or [name]
    assert sorted(names) == sorted(COMMANDS)
    listed = python("-m", "lora_vs_api", "--help").stdout
    assert all(re.search(rf"^  {name.split()[0]}  +\w", listed, re.M) for name in COMMANDS)
    assert not re.search(r"^  [a-z-]+  .*\.\.\.$", listed, re.M), "a summary does not fit its line"


@pytest.mark.parametrize("command", ["", "store", *COMMANDS])
def test_the_examples_in_help_are_commands(command, parsed, capsys):
    """What is copied from help has to run: each example goes through the parser."""
    lora_vs_api(*command.split(), "--help")
    said = capsys.readouterr().out
    examples = re.findall(r"^ *Example: (.*)$", said, re.M)
    assert examples
    for example in examples:
        program, *arguments = shlex.split(example)
        assert program == "lora-vs-api" and " ".join(arguments).startswith(command)
        lora_vs_api(*arguments)
    assert len(parsed) == len(examples)


def test_the_example_of_params_composes():
    """Its overrides are the project's own."""
    assert "r: 32" in compose(["profile=smol-gpu", "lora.r=32"], ROOT / "conf")


def test_help_starts_at_once():
    """Help and completion import nothing that takes long, and rich nothing that eats brackets."""
    script = (
        "import sys\nfrom lora_vs_api.cli.app import main\n"
        "try:\n    main(['run', '--help'])\nexcept SystemExit:\n    pass\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    took = []
    for _ in range(3):
        started = time.monotonic()
        done = python("-c", script)
        took.append(time.monotonic() - started)
    assert done.stdout.splitlines()[-1] == "[]" and "[default: 2]" in done.stdout
    # the best of three: other tests run beside this one
    assert min(took) < 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell", "pwsh"])
def test_the_completion_script_is_shown(shell):
    """Under the name that the console script has, however it was started."""
    done = python("-m", "lora_vs_api", "--show-completion", shell)
    assert done.returncode == 0 and "_LORA_VS_API_COMPLETE" in done.stdout


def test_completion_names_commands_and_executors(monkeypatch):
    """What the script asks for when the user presses TAB."""

    def completed(words: str) -> list[str]:
        monkeypatch.setenv("_LORA_VS_API_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        return python("-m", "lora_vs_api").stdout.split()

    assert completed("lora-vs-api ex") == ["export", "experiments"]
    assert completed("lora-vs-api store ") == ["stats", "export", "import"]
    assert completed("lora-vs-api run --on ") == ["local", "ray", "slurm"]


def test_overrides_pass_unharmed(parsed):
    """Hydra's + and ~ are no options, and = and brackets no syntax of the command line."""
    overrides = [
        "+conditions.x.label=a b",
        "~conditions.y",
        "seeds=[0,1]",
        "lora.r=32",
        "++a.b={c:1}",
    ]
    lora_vs_api("params", *overrides, "--check")
    lora_vs_api("search", *overrides[:2], "--trials", "3", *overrides[2:])
    assert parsed[0] == {"override": overrides, "more": None, "check": True}
    assert parsed[1]["overrides"] == overrides and parsed[1]["trials"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serch"], "No such command 'serch'. Did you mean 'search'?"),
        (["store", "exprot"], "No such command 'exprot'. Did you mean 'export'?"),
        (["predict", "a", "--sed", "1"], "No such option: --sed"),
        (["predict", "a", "--seed", "x"], "--seed"),
        (["run", "--on", "here"], "'here' is called local now"),
        (["run", "--on", "k8s"], "expected local, ray, slurm, found 'k8s'"),
        (["export"], "Missing argument 'folder'"),
        (["store", "export"], "Missing argument 'file'"),
        (["store", "stats", "file"], "unexpected extra argument"),
        (["--show-completion", "csh"], "--show-completion"),
        ([], "Commands:"),
    ],
)
def test_wrong_usage_exits_with_2(arguments, message, capsys):
    """Scripts tell a typing error from a failed run; the user reads what is near."""
    assert exit_code(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["init", ""], "FILE"),
        (["init", "a.csv", "--group-by", " "], "--group-by"),
        (["init", "a.csv", "--fields", ","], "--fields"),
        (["init", "a.csv", "--rename", "a=b", "--rename", ""], "--rename"),
        (["plan", "-S", ""], "--set-param"),
    ],
)
def test_an_empty_value_is_not_passed_over(arguments, name, capsys):
    """`--fields "$FIELDS"` without such a variable took all columns; a default may be empty."""
    assert exit_code(*arguments) == 1
    assert capsys.readouterr().err == f"error: {name}: expected a text, found an empty one\n"
    assert exit_code("experiments", "--name", "", "--figure", "a.pdf") == 1
    assert "--figure: expected a file called" in capsys.readouterr().err


def test_what_cannot_be_used_leaves_nothing_behind(tmp_path, capsys):
    """A noun of two lines made a task that no run took; an import of nothing made an empty store."""
    assert exit_code("init", "a.csv", "--noun", "a\nb") == 1
    assert "--noun: expected a word such as invoice" in capsys.readouterr().err
    store = tmp_path / "answers.db"
    assert exit_code("store", "import", str(tmp_path / "a.jsonl"), "--store", str(store)) == 1
    assert "no such file; `lora-vs-api store export` writes one" in capsys.readouterr().err
    assert not store.exists()


def test_a_folder_of_the_project_is_not_taken_for_it(tmp_path, monkeypatch, capsys):
    """`make params` composes nothing in a folder of it, and `init` wrote a conf/ of its own anywhere."""
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    said = []
    for command in (("predict", "a"), ("init", "a.csv")):
        assert exit_code(*command) == 1
        said.append(capsys.readouterr().err)
    assert said[0] == "error: params.yaml: no such file; run this in the project's folder\n"
    assert said[1] == "error: conf: no config.yaml there; run this in the project's folder\n"
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("")
    assert exit_code("predict", "a") == 1
    assert f"; this is a folder within {tmp_path}: run it there\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (UserError("lora.r: expected an integer"), 1, "error: lora.r: expected an integer\n"),
        (PermissionError(13, "Permission denied", "a.csv"), 1, "error: a.csv: Permission denied\n"),
        (OSError("no such\nhost"), 1, "error: no such host\n"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), 1, "error: a file that"),
        (KeyboardInterrupt(), 130, "interrupted: "),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(monkeypatch, capsys, raised, code, said):
    """No traceback for what a user can put right."""

    def fails(*_, **__):
        raise raised

    monkeypatch.setattr("lora_vs_api.cli.params.compose_params", fails)
    assert exit_code("params") == code
    error = capsys.readouterr().err
    assert error.startswith(said) and error.count("\n") == 1


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    """Whoever reports it needs it, and plain: no boxes, no locals with keys in them."""

    def fails(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("lora_vs_api.cli.params.compose_params", fails)
    with pytest.raises(ZeroDivisionError):
        command_line.main(["params"])


def test_the_version_is_the_packages(capsys):
    lora_vs_api("--version")
    assert capsys.readouterr().out == f"lora-vs-api {__version__}\n"
