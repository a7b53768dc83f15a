"""The fine-tune behind vLLM's server: an environment of its own, the same checks, nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lora_vs_api.cli import checkup, export, plan, predict
from lora_vs_api.config import engines
from lora_vs_api.conversion import build
from lora_vs_api.conversion.build import build_served
from lora_vs_api.conversion.convert import NotConverted
from lora_vs_api.digests import directory_sha256
from lora_vs_api.entry import run_stage
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, read_jsonl, write_json
from lora_vs_api.orchestrate.plan import Step
from lora_vs_api.paths import SERVED, TRAINED, seed_folder
from lora_vs_api.serving.endpoints import Probe, VllmEndpoints
from lora_vs_api.serving.served import Served, read_served
from lora_vs_api.serving.vllm import serve_merged
from stages import evaluate_lora
from tests import fake_vllm
from tests.imports import ROOT
from tests.model_servers import wait_for
from tests.test_serving import ROWS, parameters
from tests.test_serving import project as project  # a fixture

# a Python that has vLLM: docs/serving.md
REAL = "LORA_VS_API_VLLM_PYTHON"


@pytest.fixture
def python(tmp_path):
    """A Python that says it has vLLM for the CPU; its folder also gets what it was asked."""
    script = tmp_path / "env" / "python"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\n" + Path(fake_vllm.__file__).read_text())
    script.chmod(0o755)
    (script.parent / "version").write_text("0.32.0+cpu")
    return script


@pytest.fixture(scope="module")
def settings():
    """Composed once: that takes half a second."""
    return parameters(engine="vllm")


@pytest.fixture
def params(project, settings, python, monkeypatch):
    monkeypatch.chdir(project)
    return at(settings, python)


def at(settings, python):
    """``settings`` with the environment of ``python``."""
    serving = settings.serving.model_copy(update={"python": str(python)})
    return settings.model_copy(update={"serving": serving})


@pytest.fixture
def served(params, project):
    """The folder models/served/seed-0 as the node leaves it, with a model that is none."""
    folder = Path(seed_folder(SERVED, 0))
    (folder / "merged").mkdir(parents=True)
    write_json(folder / "merged" / "config.json", {"a": 1})
    Served("vllm", "bfloat16", None, 3, 2, 9, 0.1, "0.32.0+cpu").write(folder)
    yield folder
    shutil.rmtree(folder)


def serve(params, model="merged"):
    Path(model).mkdir(exist_ok=True)
    Path(model, "config.json").write_text("{}")
    return serve_merged(params.serving, Path(model), "fine-tune", log="logs/x.log")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("no", "has no vLLM; expected the path of one that has"),
        ("", "vLLM's version cannot be read (its METADATA file names none)"),
        ("0.32.0", "has vLLM 0.32.0, which is not built for runtime.device: cpu"),
        (None, "vLLM's version cannot be read (FileNotFoundError"),
    ],
)
def test_an_environment_that_does_not_do_is_named(params, python, said, message):
    """In a line with the key, by what is asked of it before anything is trained."""
    file = python.parent / "version"
    file.unlink() if said is None else file.write_text(said)
    with pytest.raises(UserError) as failure:
        engines.check_engine(params)
    assert message in str(failure.value) and str(failure.value).startswith("serving.python: ")
    assert "\n" not in str(failure.value)
    with pytest.raises(UserError, match=r"no program there"):
        engines.check_engine(at(params, "/nowhere/python"))


def test_what_an_earlier_run_left_behind_decides_nothing(params, served, python):
    """DVC deletes an old served model only just before the new one is made: by then all trainings have run."""
    python.unlink()
    with pytest.raises(UserError, match="no program there"):
        engines.check_engine(params)


def test_a_training_and_the_plan_look(params, python, tmp_path, monkeypatch, capsys):
    """A training that nothing is wrong with must not begin where its end is known; a report may be written."""
    (python.parent / "version").write_text("no")
    monkeypatch.setattr(plan, "load_params", lambda: params)
    steps = [Step("train@0", "unchanged"), Step("report", "run")]
    monkeypatch.setattr(plan, "plan_nodes", lambda *_: steps)
    plan.show_plan([], short=True)
    steps[0] = Step("train@0", "run")
    with pytest.raises(UserError, match="has no vLLM"):
        plan.show_plan([], short=True)
    (tmp_path / "params.yaml").write_text(json.dumps(params.model_dump(mode="json")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lora_vs_api.entry.end_with_dvc", lambda: None)
    done: list[str] = []
    run_stage(lambda _: done.append("analyze"))
    with pytest.raises(SystemExit):
        run_stage(lambda _: done.append("train"), needs_engine=True)
    assert done == ["analyze"]
    assert "has no vLLM" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["sanity", "rank_trial", "lr_trial", "train"])
def test_each_node_that_trains_the_fine_tune_looks(name):
    """And `plan`, which goes by names, knows them all. Who trains what is never served does not."""
    stage = (ROOT / "stages" / f"{name}.py").read_text()
    assert "run_stage(main, needs_engine=True)" in stage and name in plan.NEED_ENGINE
    others = [
        path for path in (ROOT / "stages").glob("*.py") if "needs_engine=True" in path.read_text()
    ]
    assert len(others) == 4


def test_doctor_imports_it(params, python):
    """Packages that do not go together show in no version."""
    (found,) = checkup._vllm(params)
    assert found.state == "ok" and found.found.startswith("0.32.0+cpu (")
    (python.parent / "broken").write_text("RuntimeError: operator torchvision::nms does not exist")
    (found,) = checkup._vllm(params)
    assert found.state == "MISSING" and "torchvision::nms" in found.found
    llama = params.model_copy(update={"serving": parameters().serving})
    assert not list(checkup._vllm(llama))


def test_doctor_says_what_the_nodes_do(params, served, python):
    """Where every seed is served a report can be written without it; else a run could not end."""
    python.unlink()
    (found,) = checkup._vllm(params)
    assert found.state == "note" and "no program there; expected" in found.found and found.mend
    with pytest.raises(UserError, match="no program there"):
        list(checkup._vllm(params.model_copy(update={"seeds": [0, 1]})))


def test_what_is_asked_of_it_gets_what_the_server_gets(monkeypatch):
    """One list, no secret; and bytes that are no text are a reason like any other."""
    kept = {"VLLM_TARGET_DEVICE": "cpu", "CC": "gcc-12", "CXX": "g++-12", "OMP_NUM_THREADS": "1"}
    left = {"VLLM_API_KEY": "sk-none", "OPENAI_API_KEY": "sk-none", "CCACHE_DIR": "x"}
    for name, value in (kept | left).items():
        monkeypatch.setenv(name, value)
    names = [*kept, *left]
    said, problem = engines.run_in(
        sys.executable, f"import os; print([n for n in {names} if n in os.environ])"
    )
    assert (said, problem) == (str([*kept]), "")
    code = "import sys; sys.stderr.buffer.write(b'\\xff broken'); sys.exit(1)"
    assert engines.run_in(sys.executable, code) == ("", "\ufffd broken")


def test_what_the_server_is_started_with(params, python, monkeypatch):
    """One text at a time, no memory of earlier ones, no settings but ours; no secret, no other folder's modules."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    monkeypatch.setenv("CXX", "g++-12")
    monkeypatch.delenv("VLLM_CACHE_ROOT", raising=False)
    with serve(params) as url:
        endpoints = VllmEndpoints(url)
        assert endpoints.chat_tokens([{"role": "user", "content": "ab"}]) == [97, 98]
        assert endpoints.answer_tokens("b") == [98]
        assert endpoints.probe([1, 2], 2) == Probe([7, 0], [-0.25, -0.5])
        assert url.startswith("http://127.0.0.1:")
    given, environment = read_json(python.parent / "started.json")
    said = " ".join(given)
    for words in (
        "-I -m vllm.entrypoints.cli.main serve fine-tune", "--max-num-seqs 1", "--no-enable-prefix-caching",
        "--generation-config vllm", "--dtype bfloat16", "--max-model-len 4096", "--host 127.0.0.1",
        f"--kv-cache-memory-bytes {2**30}",
    ):  # fmt: skip
        assert words in said
    assert environment["HF_HUB_OFFLINE"] == "1" and "OPENAI_API_KEY" not in environment
    # servers side by side would have the same cores
    assert environment["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert environment["OMP_NUM_THREADS"] == str(len(os.sched_getaffinity(0)))
    # its own folder, which is gone by now
    cache = Path(environment["VLLM_CACHE_ROOT"])
    assert cache.name == "cache" and "lora-vs-api-" in cache.parent.name and not cache.exists()
    assert environment["CXX"] == "g++-12"
    monkeypatch.setenv("VLLM_CACHE_ROOT", "/kept")
    with serve(params):
        pass
    assert read_json(python.parent / "started.json")[1]["VLLM_CACHE_ROOT"] == "/kept"


def alive(python):
    pids = (python.parent / "pids").read_text().split()
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() and not zombie(pid)]


def zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_all_processes_of_the_server_end_with_its_block(params, python, tmp_path, monkeypatch):
    """vLLM computes in processes of its own, which outlive it where nobody ends them."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with serve(params):
        assert len(alive(python)) == 2
    wait_for(lambda: not alive(python), 15)
    assert not list(tmp_path.glob("lora-vs-api-*"))


def test_a_killed_node_takes_all_of_them_along(params, python, tmp_path):
    """SIGKILL leaves the node no chance to clean up; nor is one of them left where the server died first."""
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "config.json").write_text("{}")
    (tmp_path / "params.json").write_text(json.dumps(params.serving.model_dump(mode="json")))
    code = (
        "import json, time\nfrom pathlib import Path\nfrom lora_vs_api.config.sections import VllmServing\n"
        "from lora_vs_api.serving.vllm import serve_merged\n"
        "serving = VllmServing(**json.loads(Path('params.json').read_text()))\n"
        "with serve_merged(serving, Path('merged'), 'x', log='x.log'):\n"
        "    Path('ready').touch()\n    time.sleep(120)\n"
    )
    for first in (False, True):
        (tmp_path / "ready").unlink(missing_ok=True)
        node = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        )
        try:
            wait_for((tmp_path / "ready").exists, 30)
            server = int((python.parent / "pids").read_text().split()[0])
            if first:
                os.kill(server, signal.SIGKILL)
        finally:
            node.send_signal(signal.SIGKILL)
            node.wait()
        wait_for(lambda: not alive(python), 15)
        wait_for(lambda: not list(tmp_path.glob("lora-vs-api-*")), 5)


def test_the_node_and_the_commands_ask_it(params, served, python, tmp_path, monkeypatch, capsys):
    """evaluate_lora, predict and export: one engine, one model; what nobody measured is not written."""
    monkeypatch.setattr(sys, "argv", ["evaluate_lora", "0"])
    evaluate_lora.main(params)
    lines = read_jsonl("predictions/evaluate/lora-seed-0/predictions.jsonl")
    assert [line["output"] for line in lines] == [fake_vllm.ANSWER] * 3
    timings = read_json("timings/evaluate/lora-seed-0.json")
    assert timings["served"]["engine"] == "vllm" and timings["served"]["version"] == "0.32.0+cpu"
    assert timings["machine"]["dtype"] == "bfloat16" and timings["machine"]["device"] == "cpu"
    # that of the process that only takes requests would be no peak of what answers
    assert timings["peak_memory_bytes"] is None and timings["batch_size"] is None

    for module in (predict, export):
        monkeypatch.setattr(module, "load_params", lambda: params)
    capsys.readouterr()
    predict.predict_records(
        "a text", None, None, None, encoding=None, seed=None, batch_size=None, constrained=True
    )
    assert json.loads(capsys.readouterr().out) == {"mood": "ok"}
    bodies = read_jsonl(python.parent / "bodies.jsonl")
    asked = [row["body"] for row in bodies if "chat" in row["path"]]
    assert asked[-1]["response_format"]["type"] == "json_schema" and asked[-1]["temperature"] == 0
    assert "response_format" not in asked[0]

    export.export_merged(tmp_path / "out", None)
    assert (tmp_path / "out" / "config.json").read_bytes() == (
        served / "merged" / "config.json"
    ).read_bytes()
    assert (
        "--dtype bfloat16 --max-model-len 4096 --generation-config vllm" in capsys.readouterr().out
    )


def test_a_server_that_was_not_checked_gives_no_results(params, served, python, monkeypatch):
    """The version that stands beside the results is that of the server which answered."""
    (python.parent / "version").write_text("0.33.0+cpu")
    monkeypatch.setattr(sys, "argv", ["evaluate_lora", "0"])
    line = (
        r"^models/served/seed-0: was checked with vLLM 0\.32\.0\+cpu, and serving\.python has "
        r"0\.33\.0\+cpu; `dvc repro -f -s served`"
    )
    with pytest.raises(UserError, match=line):
        evaluate_lora.main(params)
    assert not (python.parent / "started.json").exists()


def test_a_model_of_another_engine_is_not_asked(params, served, monkeypatch):
    """Settings that were changed and not run yet must not start one server on the other's file."""
    monkeypatch.setattr(predict, "load_params", lambda: params)
    Served("llama_cpp", "f16").write(served)
    with pytest.raises(UserError, match=r"was made for llama_cpp, and serving\.engine is vllm"):
        predict.predict_records(
            "a text", None, None, None, encoding=None, seed=None, batch_size=None, constrained=None
        )


REFUSAL = "(APIServer pid=1) ValueError: Model architectures ['Odd'] are not supported for now. Supported: x\n"


def test_a_model_that_vllm_does_not_take_falls_back(params, python, tmp_path):
    """As with llama.cpp: the adapter takes its place, with the reason."""
    (python.parent / "refusal").write_text(REFUSAL + "RuntimeError: see above")
    found = build_served(params, seed_folder(TRAINED, 0), ROWS, tmp_path / "served")
    assert found == read_served(tmp_path / "served") and found.engine == "transformers"
    assert "Model architectures ['Odd'] are not supported" in found.reason
    names = {file.name for file in (tmp_path / "served").iterdir()}
    assert "adapter_model.safetensors" in names and "merged" not in names


def test_the_environment_may_have_an_older_transformers(params, python, tmp_path, monkeypatch):
    """What vLLM reads has the names of transformers 4 too: 5 alone would rotate by other angles."""
    seen = {}

    def look(params, model, target, rows, version):
        seen.update(json.loads((target / "config.json").read_text()))
        raise NotConverted("seen")

    monkeypatch.setattr(build, "agreement", look)
    build_served(params, seed_folder(TRAINED, 0), ROWS, tmp_path / "served")
    assert seen["rope_theta"] == seen["rope_parameters"]["rope_theta"]
    assert seen["torch_dtype"] == seen["dtype"] == "bfloat16"


def test_a_prompt_of_other_tokens_falls_back(params, python, tmp_path):
    """The template and tokenizer of the folder that vLLM reads, against the tokenizer's own."""
    found = build_served(params, seed_folder(TRAINED, 0), ROWS, tmp_path / "served")
    assert found.engine == "transformers" and "gives other tokens in vLLM" in found.reason
    # each is a Python that starts
    assert (python.parent / "asked").read_text() == "1"


TRACE = "(EngineCore pid=7) ERROR 11-26 17:00:01 [core.py:1] RuntimeError: operator torchvision::nms is not there\n"
TOO_LONG = "(APIServer pid=1)   Value error, User-specified max_model_len (4096) is greater than the derived (2048)\n"
TOO_SMALL = (
    "(EngineCore pid=7) ERROR 11-26 17:00:01 [core.py:1] ValueError: To serve at least one request with the model's "
    "max seq len (4096), (2.0 GiB KV cache is needed, which is larger than the available KV cache memory (1.0 GiB). "
    "Based on the available memory, the estimated maximum model length is 2032. Try increasing x.\n"
)


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (TRACE, r"docs/serving\.md.*torchvision::nms is not there"),
        (TOO_LONG, r"^serving\.server\.context: expected no more than the model holds"),
        (
            TOO_SMALL,
            r"^serving\.server\.kv_cache_gib: 1 is too little for serving\.server\.context: 4096; vLLM: 2\.0 GiB KV",
        ),
    ],
)
def test_what_can_be_mended_is_no_such_reason(params, python, tmp_path, log, message):
    """A node that fails can be run again; a fallback would stay. The first error is told, not the last."""
    (python.parent / "refusal").write_text(log + "RuntimeError: Engine core initialization failed.")
    with pytest.raises(UserError, match=message) as failure:
        build_served(params, seed_folder(TRAINED, 0), ROWS, tmp_path / "served")
    assert "\n" not in str(failure.value) and not (tmp_path / "served").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_real_one_end_to_end(project, tmp_path, monkeypatch):
    """Merge, serve, compare, ask twice: a vLLM of an environment that is named for this test alone."""
    if not os.environ.get(REAL):
        pytest.skip(f"{REAL} names no Python that has vLLM: docs/serving.md")
    monkeypatch.chdir(project)
    params = parameters(
        f"serving.python={os.environ[REAL]}", "serving.server.dtype=float32", engine="vllm"
    )
    found = build_served(params, seed_folder(TRAINED, 0), ROWS, seed_folder(SERVED, 0))
    assert (found.engine, found.same) == ("vllm", 3), found.reason
    assert found.probed > 5 and found.difference < 0.01
    monkeypatch.setattr(sys, "argv", ["evaluate_lora", "0"])
    digests = []
    for _ in range(2):
        evaluate_lora.main(params)
        digests.append(directory_sha256("predictions/evaluate/lora-seed-0"))
    assert digests[0] == digests[1]
    shutil.rmtree(seed_folder(SERVED, 0))
