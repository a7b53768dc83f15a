"""A key is in no file and on no terminal, however a condition fails; and it leaves for its server alone."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lora_vs_api.config.compose import compose
from lora_vs_api.config.secrets import is_secret_name, is_variable, may_be_secret
from lora_vs_api.config.sections import Params
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_jsonl
from tests.fault_server import Fault, FaultServer
from tests.imports import ROOT

PIPELINE = """
stages:
  ask:
    cmd: python -m stages.evaluate_api server_zero_shot
    params: [api.server, conditions]
    deps: [data/split/test.jsonl]
    outs: [predictions/evaluate/server_zero_shot, timings/evaluate/server_zero_shot.json]
"""
NAME = "PLANTED_KEY"


@pytest.fixture()
def project(repository) -> Path:
    """A project whose only node asks a server about three texts."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    (repository / "dvc.yaml").write_text(PIPELINE)
    rows = [{"id": f"t{i}", "text": f"mail {i}", "record": {"a": i}} for i in range(4)]
    write_jsonl(repository / "data/split/test.jsonl", rows)
    write_jsonl(repository / "data/split/train.jsonl", rows)
    weights = repository / "models/base_model/tokenizer.json"
    weights.parent.mkdir(parents=True)
    Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]")).save(str(weights))
    return repository


def params(project: Path, url: str, *more: str) -> None:
    text = compose(
        [
            "api=server", f"api.server.base_url={url}", f"api.limits.key_env={NAME}",
            "conditions.server_zero_shot.model=gpt-x", "conditions.server_few_shot_5.model=gpt-x",
            "api.limits.max_attempts=1", "api.ask.concurrency=1", *more,
        ],
        conf=ROOT / "conf",
    )  # fmt: skip
    (project / "params.yaml").write_text(text)


def run(project: Path, key: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, PYTHONPATH=str(ROOT), DVC_NO_ANALYTICS="1", **{NAME: key})
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project, env=environment, capture_output=True, text=True,
    )  # fmt: skip


def texts(project: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(project)): file.read_bytes()
        for file in project.rglob("*")
        if file.is_file()
    }


def echoed(key: str):
    return lambda body: json.loads(json.dumps(body).replace("mail 0", key))


def quoting(key: str) -> dict[str, str]:
    """What a server may say of a request, the key and a terminal's control characters in it."""
    return {"message": f"bad key {key} \x1b[31m\u202e in 'Authorization: Bearer {key}'"}


@pytest.mark.slow
def test_a_failing_condition_shows_the_key_nowhere(project):
    """Refused, and broken in an answer of status 200; the store holds an answer that echoes it."""
    key = f"sk-{secrets.token_hex(16)}"
    with FaultServer() as server:
        params(project, server.url)
        for fault in (
            Fault("status", 401, quoting(key)),
            Fault("json", body=lambda body: {"error": quoting(key)}),
        ):
            server.faults = {"mail 0": [Fault("json", body=echoed(key))], "mail 1": [fault]}
            done = run(project, key, "stages.evaluate_api", "server_zero_shot")
            assert done.returncode == 1 and done.stderr.count("error: ") == 1, done.stderr
            assert key not in done.stderr + done.stdout and "Traceback" not in done.stderr
            assert "\x1b" not in done.stderr and "\u202e" not in done.stderr
        assert server.seen[0].headers["authorization"] == f"Bearer {key}"
    files = texts(project)
    assert "responses/store.sqlite" in files and b"[API key]" in files["responses/store.sqlite"]
    assert [name for name, content in files.items() if key.encode() in content] == []


@pytest.mark.slow
def test_nor_do_logs_lock_and_results(project):
    """Through `run`, with its logs: once it fails, then it goes on."""
    key = f"sk-{secrets.token_hex(16)}"
    with FaultServer() as server:
        params(project, server.url)
        server.faults = {
            "mail 0": [Fault("json", body=echoed(key))],
            "mail 2": [Fault("status", 400, quoting(key)), Fault("status", 500, quoting(key))],
        }
        for _ in range(2):
            done = run(project, key, "lora_vs_api", "run")
            assert done.returncode == 1 and "conditions.server_zero_shot" in done.stderr
            assert key not in done.stderr and "\x1b[31m" not in done.stderr
            assert key.encode() not in texts(project)["logs/run/ask.log"]
        done = run(project, key, "lora_vs_api", "run")
        assert done.returncode == 0, done.stderr
    files = texts(project)
    assert {"params.yaml", "dvc.lock", "logs/run/ask.log", "responses/store.sqlite"} <= files.keys()
    assert [name for name, content in files.items() if key.encode() in content] == []
    assert b"[API key]" in files["predictions/evaluate/server_zero_shot/predictions.jsonl"]


@pytest.mark.slow
def test_a_pasted_key_is_not_repeated(project):
    """In the place of its variable's name, or of an address: the line that refuses it leaves it out."""
    params(project, "http://127.0.0.1:1/v1")
    pasted = [
        ("key_env", "sk-0123456789abcdef"), ("key_env", "gsk_0123456789abcdef"),
        ("key_env", "AIzaSy0123456789"), ("key_env", "0123456789abcdef"),
        ("base_url", "https://me:0123456789abcdef@example.org/v1"),
        ("base_url", "me:0123456789abcdef@example.org/v1"),
        ("base_url", "https://example.org/v1?key=0123456789abcdef"),
    ]  # fmt: skip
    from lora_vs_api.config.load import check_params

    for name, value in pasted:
        raw = yaml.safe_load((project / "params.yaml").read_text())
        raw["api"]["limits" if name == "key_env" else "server"][name] = value
        with pytest.raises(UserError, match=name) as caught:
            check_params(raw)
        assert value not in str(caught.value) and "0123456789" not in str(caught.value)
        place = f"api.{'limits' if name == 'key_env' else 'server'}.{name}"
        with pytest.raises(UserError) as caught:
            compose(["api=server", f"{place}='{value}'"], conf=ROOT / "conf")
        assert "0123456789" not in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "api.server.key_env=sk-0123456789", "+api.limits.api_key=sk-0123456789",
        "api.limits.keyenv=sk-0123456789", "api.limits.key_env=sk-0123456789:b,c",
        "api.limits.key_env={sk-0123456789", "api.limits.key_env='sk-0123456789",
        "+x.y={sk-0123456789", "api.server.base_url={http://me:0123456789@example.org",
        "api.server.base_ulr=http://me:0123456789@h/v1", "+api.server.base_uri=http://me:0123456789@h/v1",
        "opponents.x=http://me:0123456789@h/v1", "task=http://me:0123456789@h", "seeds=http://me:0123456789@h",
        "task=http://me:0123456789@h/v1", "sk-proj-0123456789abcdef", "http://me:0123456789@h/v1",
        "api.limits.key_env==sk-0123456789", "api.limits.key_env: sk-0123456789",
        "api.server.base_url==http://me:0123456789@h/v1",
    ],
)  # fmt: skip
def test_a_key_that_hydra_refuses_is_not_repeated(override):
    """Under another name, or in no form that Hydra can read: its own message quotes the override."""

    with pytest.raises(UserError) as caught:
        compose([override], ROOT / "conf")
    assert "0123456789" not in str(caught.value)


PASTED = "sk-proj-0123456789abcdef"


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("limits", "key_env", PASTED),
        ("limits", "key_env", f"'{PASTED}: #x'"),
        ("limits", "key_env", 123456789),
        ("limits", "api_key", PASTED),
        ("server", "base_url", f"https://me:{PASTED}@example.org/v1"),
        ("server", "token", PASTED),
    ],
)
def test_a_pasted_key_is_taken_out_of_the_file(project, section, name, value):
    """DVC has written it before this project could refuse it; the next commit would take it along."""
    from lora_vs_api.config.load import load_params

    params(project, "http://127.0.0.1:1/v1")
    path = project / "params.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["api"][section][name] = value
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert "0123456789" not in str(caught.value) and "123456789" not in str(caught.value)
    assert f"api.{section}.{name}: what may be a secret was taken out of {path}" in str(
        caught.value
    )
    assert "\n" not in str(caught.value) and "123456789" not in path.read_text()
    raw["api"][section][name] = "???"
    assert yaml.safe_load(path.read_text()) == raw
    with pytest.raises(UserError, match="has no value yet"):
        load_params(path)


NAMES = [
    "OPENAI_API_KEY", "MY_COMPANY_LLM_GATEWAY_KEY_2", "HF_TOKEN", "GSK_API_KEY", "SK_LEARN_HOME_KEY",
    "OPENROUTER_KEY_20261126", "A100_X8_H100_KEY", "GPT4O_KEY", "HF_TOKEN_EU_CENTRAL_1234", "KEY_2026_11_26",
    "EU_WEST_1_AZURE_GPT4O_MINI_KEY", "LLM2_KEY_V3_TEAM7", "MISTRALAIPRODUCTIONKEY", "AZUREGPT4OMINIKEY2",
    "AWS_BEARER_TOKEN_BEDROCK", "TEAM_A1_B2_KEY", "K",
]  # fmt: skip
KEYS = [
    "SK-PROJ-ABCDEF0123456789", "SK_PROJ_ABCDEF0123456789", "GSK_ABCDEF0123456789ABCDEF", "AKIAIOSFODNN7EXAMPLE",
    "A1B2C3D4E5F60718293A4B5C6D7E8F90", "A1B2_C3D4E5_F6G7H8J9K0", "HF_ABCDEFGHIJ0123456789", "sk-0123456789abcdef",
    "gsk_0123456789abcdef", "AIzaSy0123456789", "key", "OPENAI-API-KEY", "OPENAI API KEY",
]  # fmt: skip


def test_a_variable_s_name_passes_and_a_key_in_capitals_does_not(project):
    """One that looks like a name would be asked for in the environment, and printed in the line that misses it."""
    from lora_vs_api.config.load import check_params, load_params

    params(project, "http://127.0.0.1:1/v1")
    path = project / "params.yaml"
    text = path.read_text()
    raw = yaml.safe_load(text)
    for name in NAMES:
        raw["api"]["limits"]["key_env"] = name
        assert check_params(raw).api.limits.key_env == name
        assert not may_be_secret("api.limits.key_env", name)
    expected = r"api\.limits\.key_env: expected the name of an environment variable in capitals"
    for key in KEYS:
        raw["api"]["limits"]["key_env"] = key
        with pytest.raises(UserError, match=expected) as caught:
            check_params(raw)
        assert may_be_secret("key_env", key)
        # "key" is a word of the line itself
        assert key == "key" or key not in str(caught.value)
    path.write_text(text.replace(f"key_env: {NAME}", f"key_env: {KEYS[2]}"))
    with pytest.raises(UserError, match="was taken out of") as caught:
        load_params(path)
    assert "key_env: ???" in path.read_text() and KEYS[2] not in path.read_text()
    with pytest.raises(UserError, match=expected) as caught:
        compose([f"api.limits.key_env={KEYS[2]}"], ROOT / "conf")
    assert KEYS[2] not in str(caught.value)


def test_keys_drawn_by_chance_are_no_variables():
    """In capitals, as long as providers' keys; letters and digits, hexadecimal, base 32."""
    import random

    draw, missed = random.Random(0), 0
    for alphabet in (
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        "0123456789ABCDEF",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    ):
        keys = ["K" + "".join(draw.choices(alphabet, k=39)) for _ in range(500)]
        missed += sum(map(is_variable, keys))
    assert missed <= 3


def test_no_setting_that_there_is_may_be_a_secret():
    """Of the names only the one that is to hold a variable's, and no value of any preset."""

    def leaves(value, key=""):
        if isinstance(value, dict):
            for name, item in value.items():
                yield from leaves(item, f"{key}.{name}" if key else str(name))
        elif isinstance(value, list):
            for item in value:
                yield from leaves(item, key)
        else:
            yield key, str(value)

    schema = Params.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    names = {name for section in sections for name in section.get("properties", {})}
    assert {name for name in names if is_secret_name(name)} == {"key_env"}
    for preset in sorted(path.stem for path in (ROOT / "conf" / "api").glob("*.yaml")):
        text = (ROOT / "conf" / "api" / f"{preset}.yaml").read_text()
        for key, value in leaves(yaml.safe_load(text)):
            assert value in ("None", "???") or not may_be_secret(key, value), (preset, key, value)
    for key, value in leaves(yaml.safe_load((ROOT / "params.yaml").read_text())):
        assert value == "None" or not may_be_secret(key, value), (key, value)
    # nor is one hidden in a message, as if it were one
    with pytest.raises(
        UserError, match=r"runtime\.pad_token=<pad> api\.server\.base_url=http://h/v1 seeds=no"
    ):
        compose(
            [
                "api=server",
                "runtime.pad_token=<pad>",
                "api.server.base_url=http://h/v1",
                "seeds=no",
            ],
            ROOT / "conf",
        )


def test_another_fault_takes_nothing_out(project):
    """A file that is refused for something else stays as it is, and so does one that is a mistake in a name."""
    from lora_vs_api.config.load import load_params

    params(project, "http://127.0.0.1:1/v1")
    path = project / "params.yaml"
    for line in ("seeds: none", "seeds: {api_key: a, base_url: 'x@y'}", "api: &a {api_key: *a}"):
        text = path.read_text() + f"\n{line}\n"
        (project / "other.yaml").write_text(text)
        with pytest.raises(UserError) as caught:
            load_params(project / "other.yaml")
        assert "secret" not in str(caught.value)
        assert (project / "other.yaml").read_text() == text
    short = path.read_text().replace("key_env: PLANTED_KEY", "key_env: model")
    path.write_text(short)
    with pytest.raises(UserError, match="may be a secret was taken out"):
        load_params(path)
    assert path.read_text() == short.replace("key_env: model", "key_env: ???")


def test_a_server_that_a_node_starts_gets_no_secret():
    """Nobody can list the names that keys go by: what it needs is listed instead."""
    from lora_vs_api.config.inherited import environment_of

    needed = {
        "PATH": "/bin", "HOME": "/home/me", "LANG": "de_DE.UTF-8", "LC_ALL": "C", "TMPDIR": "/scratch",
        "LD_LIBRARY_PATH": "/opt/lib", "VIRTUAL_ENV": "/v", "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "3", "MKL_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "1", "HF_HOME": "/hub",
        "TORCH_HOME": "/t", "TORCHINDUCTOR_CACHE_DIR": "/c", "PYTHONHASHSEED": "0", "XDG_CACHE_HOME": "/x",
        "TOKENIZERS_PARALLELISM": "true",
    }  # fmt: skip
    secrets_ = dict.fromkeys(
        (
            "OPENAI_API_KEY", "AZURE_OPENAI_KEY", "OPENAI_CUSTOM_HEADERS", "OPENAI_ORG_ID", "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
            "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_API_KEY", "GITHUB_TOKEN", "WANDB_API_KEY", "PGPASSWORD",
            "DATABASE_URL", "HTTPS_PROXY", "https_proxy", "PIP_INDEX_URL", "SSH_AUTH_SOCK", "NETRC",
            "TORCH_HUB_TOKEN", "LLAMA_API_KEY", "PYTHON_KEYRING_BACKEND", "MY_SETTING",
        ),
        "secret",
    )  # fmt: skip
    found = environment_of(needed | secrets_ | {"PYTHONPATH": "/mine"})
    ours = {
        "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": f"{ROOT}{os.pathsep}/mine",
    }  # fmt: skip
    assert found == needed | ours


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api.server.base_url", "https://key-gateway.corp.example/v1"),
        ("weights", "models/sk-llama-3.gguf"),
        ("model.weights.repo", "hf-internal-testing/tiny-x"),
    ],
)
def test_a_harmless_setting_is_no_secret(name, value):
    """It would be rewritten to ??? in params.yaml."""
    assert not may_be_secret(name, value)
