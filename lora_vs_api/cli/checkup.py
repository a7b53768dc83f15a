"""What a run needs of this machine, looked at without a paid request: `lora-vs-api doctor`.

Each check stands alone, and what is not there or broken is its line: a newcomer's machine may lack
any of it. So everything beyond the standard library is imported where it is looked at.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from lora_vs_api.config.addresses import is_loopback
from lora_vs_api.conflicts import FOREIGN, LEFT_TWO, has_conflict
from lora_vs_api.errors import UserError
from lora_vs_api.log import show
from lora_vs_api.paths import BASE, opponent_file

if TYPE_CHECKING:
    from lora_vs_api.config.sections import Params

PACKAGE = "lora-vs-api"
# as in pyproject.toml
PYTHON = ((3, 11), (3, 15))
NETWORK_SECONDS, TORCH_SECONDS = 5.0, 120.0
LITTLE_MEMORY_GB = 4
OLD_PRICES_DAYS = 90
MAX_FOUND = 300  # characters of a line
SETUP = "make setup"
IMPORT_SECONDS = 300
SET_BY = {"hub": "HF_ENDPOINT", "wheel": "pip's index-url"}
HUB, INDEX = "https://huggingface.co", "https://pypi.org/simple"
LOOK_AT_TORCH = (
    "import json, torch; c = torch.cuda.is_available(); "
    "print(json.dumps([torch.__version__, torch.cuda.get_device_name() if c else None]))"
)

State = Literal["ok", "note", "MISSING"]


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        state: ``MISSING`` keeps a run from starting, ``note`` does not.
        mend: the command that mends it; None where nothing has to be done.
    """

    what: str
    state: State
    found: str
    mend: str | None = None


Look = Callable[[], Iterator[Finding]]


def check_up(overrides: Sequence[str], *, offline: bool) -> None:
    """Print what a run with ``overrides`` needs and what of it is there.

    Args:
        overrides: of Hydra, as `dvc exp run -S` takes them.
        offline: ask nothing that is not on this machine.

    Raises:
        UserError: a run could not start; what is missing is named.
    """
    known: list[Params] = []
    looks: dict[str, Look] = {
        "Python": _python,
        "packages": _packages,
        "cores, memory": _machine,
        "git": _git,
        "dvc": _dvc,
        "dvc.lock": _lock,
        "settings": lambda: _settings(overrides, known),
    }
    findings = [found for what, look in looks.items() for found in _looked(what, look)]
    params = known[0] if known else None
    findings += _looked("torch", lambda: _torch(params))
    if params is not None:
        findings += _of_settings(params, offline)
    _tell(findings)


def _of_settings(params: Params, offline: bool) -> list[Finding]:
    looks: dict[str, Look] = {
        "disk": lambda: _disk(params),
        "data": lambda: _data(params),
        "network": lambda: _network(params, offline),
        "keys": lambda: _keys(params),
        "server": lambda: _server(params, offline),
        "llama.cpp": lambda: _llama_cpp(params),
        "vLLM": lambda: _vllm(params),
        "prices": lambda: _prices(params),
        "report": lambda: _report(params),
    }
    return [found for what, look in looks.items() for found in _looked(what, look)]


def _tell(findings: Sequence[Finding]) -> None:
    width = max(len(each.what) for each in findings)
    for each in findings:
        found = " ".join(each.found.split())
        found = found if len(found) <= MAX_FOUND else f"{found[: MAX_FOUND - 1]}…"
        show(f"{each.state:<7}  {each.what:<{width}}  {found}")
        if each.mend:
            show(f"{'':<{width + 9}}  mend: {each.mend}")
    missing = list(dict.fromkeys(each.what for each in findings if each.state == "MISSING"))
    if missing:
        raise UserError(f"doctor: a run cannot start yet: {', '.join(missing)}; see `mend` above")
    show("\nA run can start: make run, or dvc repro")


def _looked(what: str, look: Look) -> Iterator[Finding]:
    """The findings of ``look``; whatever is broken there is one more, and no traceback."""
    try:
        yield from look()
    except UserError as error:
        yield Finding(what, "MISSING", str(error))
    except ImportError as error:
        yield Finding(what, "MISSING", f"cannot be imported: {error}", SETUP)
    except Exception as error:
        # a machine can be broken in any way, and the other lines are wanted all the same
        yield Finding(what, "MISSING", f"not looked at: {type(error).__name__}: {error}", SETUP)


def _python() -> Iterator[Finding]:
    low, high = PYTHON
    fits = low <= sys.version_info[:2] < high
    yield Finding(
        "Python",
        "ok" if fits else "MISSING",
        f"{sys.version.split()[0]}, {sys.prefix}",
        None if fits else "rm -rf .venv && make setup PYTHON=python3.12",
    )


def _packages() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    try:
        needed = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", "note", f"{PACKAGE} itself is not installed", SETUP)
        return
    wrong = []
    for requirement in map(Requirement, needed):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        # has a line of its own, and not every setting needs it
        if requirement.name == "xllamacpp":
            continue
        found = _version(requirement.name)
        if found is None:
            wrong.append(f"{requirement.name} is not installed")
        elif not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found} is not {requirement.specifier}")
    if wrong:
        yield Finding("packages", "MISSING", "; ".join(wrong), SETUP)
    else:
        yield Finding(
            "packages", "ok", f"all {len(needed)} requirements of {PACKAGE} are looked at"
        )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _machine() -> Iterator[Finding]:
    from lora_vs_api.api.llama_server import processors

    cores = processors()
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        free = int(re.findall(r"^MemAvailable: +(\d+) kB", text, re.MULTILINE)[0]) / 1e6
    except (OSError, IndexError):
        yield Finding("cores, memory", "ok", f"{cores} cores; free memory not told here")
        return
    little = free < LITTLE_MEMORY_GB
    yield Finding(
        "cores, memory",
        "note" if little else "ok",
        f"{cores} cores, {free:.1f} GB of memory free",
        f"end other programs: a training may be killed below {LITTLE_MEMORY_GB} GB"
        if little
        else None,
    )


def _git() -> Iterator[Finding]:
    if shutil.which("git") is None:
        yield Finding("git", "MISSING", "not installed", "install git (apt install git, …)")
        return
    version = _said("git", "--version")
    inside = ["git", "rev-parse", "--is-inside-work-tree"]
    done = subprocess.run(inside, capture_output=True, text=True, timeout=30)
    if done.stdout.strip() == "true":
        yield Finding("git", "ok", f"{version}, in a repository")
    elif FOREIGN in done.stderr:
        # as in a container with a mounted checkout; a run goes on, and its report has no commit
        mend = f"git config --global --add safe.directory {shlex.quote(str(Path.cwd()))}"
        yield Finding(
            "git",
            "note",
            f"{version}; this folder belongs to another user, and git refuses it",
            mend,
        )
    else:
        yield Finding("git", "MISSING", f"{version}; this folder is in no repository", "git init")


def _said(*command: str) -> str:
    """What a command that ended well printed, else nothing."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.stdout.strip() if done.returncode == 0 else ""


def _dvc() -> Iterator[Finding]:
    version = _version("dvc")
    if version is None:
        yield Finding("dvc", "MISSING", "not installed", SETUP)
    elif not Path("dvc.yaml").is_file():
        yield Finding("dvc", "MISSING", "no dvc.yaml here", f"cd to the folder of {PACKAGE}")
    elif not Path(".dvc").is_dir():
        yield Finding("dvc", "MISSING", f"dvc {version}; no .dvc/ here", "dvc init")
    else:
        yield Finding("dvc", "ok", f"dvc {version}, in a project")


def _lock() -> Iterator[Finding]:
    from lora_vs_api.orchestrate.lockfile import LOCK, take_one, whole_entries

    try:
        content = Path(LOCK).read_bytes()
    except FileNotFoundError:
        yield Finding("dvc.lock", "ok", "none yet: every node runs")
        return
    except OSError as error:
        yield Finding("dvc.lock", "MISSING", f"{LOCK}: {error.strerror}", f"chmod u+rw {LOCK}")
        return
    entries = whole_entries(content)
    if entries is not None:
        yield Finding("dvc.lock", "ok", f"whole, {len(entries)} nodes")
    elif has_conflict(content):
        yield Finding("dvc.lock", "MISSING", LEFT_TWO, take_one(Path()))
    else:
        yield Finding("dvc.lock", "MISSING", "empty, cut off or none", f"{PACKAGE} mend")


def _settings(overrides: Sequence[str], known: list[Params]) -> Iterator[Finding]:
    """What conf/ composes to, put into ``known``, and whether params.yaml is that."""
    from lora_vs_api.config.compose import composed
    from lora_vs_api.config.load import PARAMS, load_params

    text, params = composed(overrides)
    which = f"profile {params.profile_name}, task {params.task_name}, model {params.model.name}"
    if overrides:
        known.append(params)
        yield Finding("settings", "ok", which)
        return
    # `dvc repro` reads params.yaml, and `dvc exp run` composes it again
    try:
        known.append(load_params())
    except UserError as error:
        known.append(params)
        yield Finding("settings", "MISSING", str(error), "make params")
        return
    if Path(PARAMS).read_bytes() == text.encode():
        yield Finding("settings", "ok", which)
    else:
        said = f"{PARAMS} is not what conf/ composes to; the lines below are of {PARAMS}"
        yield Finding("settings", "note", said, "make params, where conf/ is what you mean")


def _torch(params: Params | None) -> Iterator[Finding]:
    # a process of its own: the import takes seconds, and a broken one may end a process
    done = subprocess.run(
        [sys.executable, "-c", LOOK_AT_TORCH], capture_output=True, text=True, timeout=TORCH_SECONDS
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["the import ended without a word"])[-1]
        yield Finding("torch", "MISSING", last, SETUP)
        return
    version, gpu = json.loads(done.stdout.strip().splitlines()[-1])
    found = f"torch {version}, {gpu or 'no CUDA GPU'}"
    if params is None:
        yield Finding("torch", "ok", found)
    elif params.runtime.device == "cuda" and gpu is None:
        mend = f"{PACKAGE} params profile=laptop, or -S runtime.device=cpu"
        yield Finding("torch", "MISSING", f"{found}; runtime.device is cuda", mend)
    else:
        yield Finding("torch", "ok", f"{found}; runtime.device is {params.runtime.device}")
    if params is None:
        return
    methods = {params.lora.adapter.variant, *(each.method for each in params.tunings.values())}
    if "qlora" in methods and importlib.util.find_spec("bitsandbytes") is None:
        yield Finding("bitsandbytes", "MISSING", "qlora needs it", "pip install -e '.[qlora]'")


def _disk(params: Params) -> Iterator[Finding]:
    needed = 0.0 if _base_is_here(params) else params.model.disk_gb
    # the file, and the copy of it that DVC keeps
    needed += sum(params.opponents[name].bytes * 2 / 1e9 for name in _absent_opponents(params))
    free = shutil.disk_usage(".").free / 1e9
    fits = free >= needed
    yield Finding(
        "disk",
        "ok" if fits else "MISSING",
        f"{free:.1f} GB free, {needed:.1f} GB needed for models that are not here yet",
        None if fits else "free some space, such as: dvc gc --workspace; rm -rf checkpoints",
    )


def _base_is_here(params: Params) -> bool:
    """Whether the folder is there and, as far as dvc.lock tells, of the chosen weights."""
    from lora_vs_api.orchestrate.lockfile import LOCK, whole_entries

    if not Path(BASE).is_dir():
        return False
    lock = Path(LOCK)
    entries = (whole_entries(lock.read_bytes()) if lock.is_file() else None) or {}
    made_of = entries.get("base_model", {}).get("params", {}).get("params.yaml", {})
    weights = made_of.get("model.weights")
    return weights is None or weights == params.model.weights.model_dump()


def _absent_opponents(params: Params) -> list[str]:
    return [name for name in params.opponents if not Path(opponent_file(name)).is_file()]


def _data(params: Params) -> Iterator[Finding]:
    path = params.data.path
    if params.data.source == "file" and not Path(path).exists():
        mend = f"put the file there, dvc pull {path}, or {PACKAGE} init FILE"
        yield Finding("data", "MISSING", f"data.path: {path} is not there", mend)
    else:
        yield Finding("data", "ok", path if Path(path).exists() else f"{path} will be generated")
    weights = params.model.weights
    if _base_is_here(params):
        yield Finding("base model", "ok", f"{BASE} is there")
    elif weights.source == "path" and not Path(weights.path).is_dir():
        mend = f"{PACKAGE} params model=local model.weights.path=FOLDER"
        found = f"model.weights.path: {weights.path} is not there"
        yield Finding("base model", "MISSING", found, mend)
    elif weights.source == "path" and (problem := _unfit(Path(weights.path))):
        yield Finding("base model", "MISSING", problem)
    else:
        yield Finding("base model", "ok", f"{params.model.name} will be fetched ({weights.source})")


def _unfit(folder: Path) -> str | None:
    """What is wrong with a model's config.json, before a run fetches data and weights; None where that holds good."""
    if importlib.util.find_spec("transformers") is None:
        return None
    from lora_vs_api.weights.check import check_config

    try:
        check_config(folder, f"model.weights.path: {folder}")
    except UserError as error:
        return str(error)
    return None


def _network(params: Params, offline: bool) -> Iterator[Finding]:
    """Hub and package index; without the ones that what is not here yet comes from, nothing starts."""
    names = {"hub": "model hub", "wheel": "package index"}
    if offline:
        yield from (Finding(name, "note", "not looked at (--offline)") for name in names.values())
        return
    no_hub = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    addresses = {
        "hub": None if no_hub else os.environ.get("HF_ENDPOINT") or HUB,
        "wheel": _index(),
    }
    problems: dict[str, str] = {}
    for source, address in addresses.items():
        if address is None:
            problems[source] = "switched off (HF_HUB_OFFLINE, or pip's no-index)"
        elif not urlsplit(address).hostname:
            problems[source] = _no_address(SET_BY[source], address)
        elif problem := _unreachable(address):
            problems[source] = f"{_host(address)} cannot be reached: {problem}"
    # a model is had from any one of its sources
    hopeless = [each for each in _sources_of_the_absent(params) if each <= problems.keys()]
    for source, address in addresses.items():
        if source not in problems:
            yield Finding(names[source], "ok", f"{_host(address or '')} answers")
        elif any(source in each for each in hopeless):
            first = _other_proxy(address or "") or "set HTTPS_PROXY or pip's index-url"
            mend = f"{first}, or dvc pull from a remote that has the models"
            if address and not urlsplit(address).hostname:
                mend = f"begin it with https://, or {mend}"
            yield Finding(names[source], "MISSING", problems[source], mend)
        else:
            yield Finding(names[source], "note", f"{problems[source]}; not needed now")


def _sources_of_the_absent(params: Params) -> list[set[str]]:
    """Of each model that is not here yet, where it can come from: hub, wheel or path."""
    from lora_vs_api.orchestrate.expenses import base_file_is_here

    kinds = {"wheels": "wheel"}
    weights = params.model.weights
    absent = [params.opponents[name].sources for name in _absent_opponents(params)]
    base = []
    if not _base_is_here(params):
        if weights.source == "gguf":
            if not base_file_is_here(weights):
                absent.append(weights.sources)
        else:
            base = [{str(weights.source)}]
    return base + [
        {kinds.get(source.source, source.source) for source in sources} for sources in absent
    ]


def _index() -> str | None:
    """The index that pip is told of; None where it must ask none."""
    said = _said(sys.executable, "-m", "pip", "config", "list")
    settings = dict(re.findall(r"^[^\s=]*\.([\w-]+)='(.*)'$", said, re.MULTILINE))
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return None
    return settings.get("index-url", INDEX)


def _no_address(setting: str, found: str) -> str:
    """An address without its scheme, which nothing can be fetched from."""
    bare = found.rpartition("@")[2].lstrip("/")
    return f"{setting}: expected an address such as https://{bare}, found {bare}"


def _proxy(address: str) -> str | None:
    """The variable of the environment that sends what is asked of ``address`` to a proxy; None where none does."""
    parts = urlsplit(address)
    if not parts.hostname or is_loopback(address) or urllib.request.proxy_bypass(parts.hostname):
        return None
    name = f"{parts.scheme}_proxy"
    # the small letters win
    return next((each for each in (name, name.upper()) if os.environ.get(each)), None)


def _other_proxy(address: str) -> str | None:
    """What to do about a proxy where one is in the way; None where none is."""
    proxy = _proxy(address)
    return f"set {proxy} to a proxy that answers, or unset it" if proxy else None


def _host(address: str) -> str:
    # host and port alone: an address may carry a password
    parts = urlsplit(address)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _unreachable(address: str) -> str | None:
    """Why nobody answers there, in words; None where somebody does, whatever the answer is.

    No key and no login is sent, so a refusal counts as an answer.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "not an address of http or https"
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    handlers = [urllib.request.ProxyHandler({})] if is_loopback(address) else []
    opener = urllib.request.build_opener(*handlers)
    request = urllib.request.Request(bare, method="HEAD", headers={"User-Agent": PACKAGE})
    try:
        opener.open(request, timeout=NETWORK_SECONDS).close()
    except urllib.error.HTTPError as error:
        # a gateway's word that nobody is behind it
        return f"HTTP {error.code}" if error.code in (502, 503, 504) else None
    except (OSError, ValueError) as error:
        proxy = _proxy(address)
        behind = f" through {proxy} ({_host_of_proxy(os.environ[proxy])})" if proxy else ""
        return f"{getattr(error, 'reason', error)}{behind}"
    return None


def _host_of_proxy(address: str) -> str:
    # a proxy needs no scheme
    return _host(address if "://" in address else f"http://{address}")


def _keys(params: Params) -> Iterator[Finding]:
    from lora_vs_api.api.provider import Provider
    from lora_vs_api.api.servers import key_variable

    variables = [
        (
            f"conditions.{name}.server.key_env" if condition.server else "api.limits.key_env",
            key_variable(params, name),
        )
        for name, condition in params.conditions.items()
    ] or [("api.limits.key_env", params.api.limits.key_env)]
    names = [name for name in dict.fromkeys(wanted for _, wanted in variables) if name is not None]
    if not names:
        yield Finding("keys", "ok", "none needed")
    for name in names:
        if not os.environ.get(name):
            # EMPTY is what vLLM's own pages give as the key of a server that wants none
            keys = [key for key, wanted in variables if wanted == name]
            nulls = " ".join(f"-S {key}=null" for key in dict.fromkeys(keys))
            mend = f"export {name}=…; {nulls} where the server wants no key; or -S api=contest, which needs none"
            yield Finding("keys", "MISSING", f"{name}: no", mend)
        else:
            Provider("http://127.0.0.1", os.environ[name], name)  # may it be sent?
            yield Finding("keys", "ok", f"{name}: yes")


def _server(params: Params, offline: bool) -> Iterator[Finding]:
    from lora_vs_api.api.servers import server_of
    from lora_vs_api.config.sections import OpenAIServer

    server = params.api.server
    if not params.conditions:
        yield Finding("server", "ok", "no API condition is asked")
    elif server.kind != "openai":
        yield Finding("server", "ok", f"{server.kind}: the node starts it on loopback")
    else:
        servers = [server_of(params, name) for name in params.conditions]
        for url in dict.fromkeys(s.base_url for s in servers if isinstance(s, OpenAIServer)):
            yield _answering(url, offline)


def _answering(base_url: str, offline: bool) -> Finding:
    host = _host(base_url)
    if offline and not is_loopback(base_url):
        return Finding("server", "note", f"{host}: not looked at (--offline)")
    problem = _unreachable(base_url)
    if problem is None:
        mend = f"{PACKAGE} doctor --api asks one text, which may cost"
        return Finding("server", "ok", f"{host} answers ({mend})")
    mend = "start the server, or -S api.server.base_url=… as conf/api/ has it"
    proxy = _other_proxy(base_url)
    mend = f"{proxy}, or {mend}" if proxy else mend
    return Finding("server", "MISSING", f"{host} does not answer: {problem}", mend)


def _llama_cpp(params: Params) -> Iterator[Finding]:
    serves = params.serving.engine == "llama_cpp"
    if not serves and params.api.server.kind != "llama_cpp":
        yield Finding("llama.cpp", "ok", "not needed by serving nor api")
        return
    version = _version("xllamacpp")
    if version is None or importlib.util.find_spec("xllamacpp") is None:
        mend = f"{SETUP}, or -S serving=transformers -S api=embedded"
        yield Finding("llama.cpp", "MISSING", "its server (xllamacpp) is not installed", mend)
    else:
        yield Finding("llama.cpp", "ok", f"server: xllamacpp {version}")
    if serves:
        from lora_vs_api.conversion.convert import converter_folder

        try:
            converter_folder()
        except UserError:
            mend = f"{SETUP}, or -S serving=transformers"
            yield Finding("llama.cpp", "MISSING", "its converter is not installed", mend)
        else:
            yield Finding("llama.cpp", "ok", "converter: installed")


def _vllm(params: Params) -> Iterator[Finding]:
    """Nothing where it is not chosen: few want it, and nobody else should read of it."""
    from lora_vs_api.config.engines import (
        DOCS,
        IMPORTS,
        all_served,
        interpreter,
        run_in,
        vllm_version,
    )
    from lora_vs_api.config.sections import VllmServing

    serving = params.serving
    if not isinstance(serving, VllmServing):
        return
    mend = f"{DOCS} says how to install it; or -S serving=llama_cpp"
    try:
        version = vllm_version(serving, params.runtime.device)
    except UserError as error:
        if not all_served(params):
            raise
        said = f"{error}; every seed is served: results can be read, nothing trained or asked anew"
        yield Finding("vLLM", "note", said, mend)
        return
    python = interpreter(serving)
    # packages that do not go together show nowhere else before half an hour of training
    _, problem = run_in(python, f"import {IMPORTS}", IMPORT_SECONDS)
    if problem:
        yield Finding("vLLM", "MISSING", f"{python}: does not start: {problem}", mend)
    else:
        yield Finding("vLLM", "ok", f"{version} ({python})")


def _prices(params: Params) -> Iterator[Finding]:
    from lora_vs_api.prices.lookup import as_of, price_of, priced_otherwise, source_of

    for name, entry in params.priced_as.items():
        price_of(entry, params.prices, f"priced_as.{name}")
    for found, setting in priced_otherwise(params):
        yield Finding("prices", "note", found, f"-S {setting}")
    day, source = as_of(params.prices), source_of(params.prices)
    try:
        age = (datetime.now(UTC).date() - date.fromisoformat(day)).days
    except ValueError:
        yield Finding("prices", "ok", f"{source}, as of {day}")
        return
    old = age > OLD_PRICES_DAYS
    mend = f"-S prices=catalogue -S prices.date={datetime.now(UTC).date()}" if old else None
    yield Finding("prices", "note" if old else "ok", f"{source}, as of {day}: {age} days old", mend)


def _report(params: Params) -> Iterator[Finding]:
    from lora_vs_api.analysis.configuration import config_sha256, shown_digest
    from lora_vs_api.cli.params import whose_results

    said = whose_results(shown_digest(config_sha256(params)))
    current = said.endswith("of this configuration")
    yield Finding("report", "ok" if current else "note", said, None if current else "make run")
