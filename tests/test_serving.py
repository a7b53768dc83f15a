"""The fine-tune behind llama.cpp's server: checked against transformers, the same bytes every time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from peft import LoraConfig, get_peft_model

from lora_vs_api.analysis.costs import local_cost, text_seconds
from lora_vs_api.analysis.results import SeedServed, Serving
from lora_vs_api.analysis.scored_run import read_run
from lora_vs_api.analysis.serving import serving_of
from lora_vs_api.cli import export, predict
from lora_vs_api.cli.local_model import ask
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.conversion import build, convert
from lora_vs_api.conversion.build import build_served
from lora_vs_api.conversion.check import check_odd_texts
from lora_vs_api.conversion.convert import NotConverted
from lora_vs_api.digests import directory_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, read_jsonl, write_jsonl
from lora_vs_api.inference.extractor import extractor_of
from lora_vs_api.inference.generate import encode_prompt
from lora_vs_api.model.loading import load_base, load_tokenizer, load_tuned
from lora_vs_api.model.runtime import Runtime
from lora_vs_api.paths import BASE, SERVED, TEST, TRAINED, seed_folder
from lora_vs_api.report.sections import limitations, method, money
from lora_vs_api.serving import evaluate
from lora_vs_api.serving.served import GGUF, read_served
from stages import evaluate_lora, perturbed_lora
from tests.dvc_nodes import dvc_nodes
from tests.imports import ROOT
from tests.model_servers import wait_for
from tests.report_fixture import analysis, changed, inputs
from tests.tiny_gguf import gguf_of
from tests.tiny_model import build_tiny_model

FLOAT32 = Runtime("cpu", torch.float32)
# short, so that 16 tokens are enough: in a model that knows nothing two tokens are often nearly as likely
FIELDS = {"mood": {"type": "enum", "values": ["ok", "bad"], "score": "exact"}}
RECORD = {"mood": "ok"}
ROWS = [
    {"id": "a", "text": "Charged twice, please refund. Ann", "record": RECORD},
    {"id": "b", "text": "It crashes — é ✓ again. Bob", "record": RECORD},
    {"id": "c", "text": "My order has not arrived", "record": RECORD},
]
SETTINGS = [
    "serving.conversion.check_rows=3", "seeds=[0]", "model=local", "model.weights.path=tiny",
    "runtime.dtype=float32", "runtime.pad_token='<|endoftext|>'", "evaluate.test_rows=3",
    "evaluate.latency_rows=2", "robustness.texts.rows=2", "decoding.max_new_tokens=16",
]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project's folder with a base, an adapter that changes what it says, and test texts."""
    folder = tmp_path_factory.mktemp("project")
    base = build_tiny_model(folder / BASE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "up_proj", "down_proj"])
        tuned = get_peft_model(load_base(base, FLOAT32), config)
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1)
    tuned.save_pretrained(folder / seed_folder(TRAINED, 0))
    write_jsonl(folder / TEST, ROWS)
    return folder


@pytest.fixture
def params(project, monkeypatch):
    monkeypatch.chdir(project)
    return parameters()


def parameters(*overrides, engine="llama_cpp"):
    raw = yaml.safe_load(compose([f"serving={engine}", *SETTINGS, *overrides], conf=ROOT / "conf"))
    raw["task"]["fields"] = FIELDS
    raw["contamination"]["field"] = raw["split"]["stratify_by"] = None
    return check_params(raw)


def stand_in(merged, target, *, outtype, pre_tokenizer):
    """For the converter, which does not know the tiny model's tokenizer."""
    gguf_of(merged, target)


@pytest.fixture
def converter(monkeypatch):
    """The tests' own way to a model file, where the real converter may not be installed."""
    monkeypatch.setattr(build, "converter_folder", lambda: None)
    monkeypatch.setattr(build, "convert", stand_in)
    return monkeypatch


@pytest.fixture(scope="module")
def served(project):
    """The folder models/served/seed-0 of the project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setattr(build, "converter_folder", lambda: None)
        patch.setattr(build, "convert", stand_in)
        build_served(parameters(), seed_folder(TRAINED, 0), ROWS, seed_folder(SERVED, 0))
    return project / seed_folder(SERVED, 0)


def greedy(params, trained):
    """What transformers answers in this process."""
    model = load_tuned(BASE, trained, FLOAT32)
    extractor = extractor_of(params, model, constrained=params.decoding.constrained)
    return [answer.output for answer in extractor.answers([row["text"] for row in ROWS], "")]


def test_a_model_that_agrees_is_served(params, served):
    """Prompts, probabilities and answers were compared, and nothing but the file and that is kept."""
    found = read_served(served)
    assert (found.engine, found.reason, found.outtype) == ("llama_cpp", None, "f16")
    assert (found.texts, found.same) == (3, 3)
    assert found.probed > 5 and found.difference < 0.01
    assert {file.name for file in served.iterdir()} == {GGUF, "served.json"}
    assert "read_otherwise" not in read_json(served / "served.json")


@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.slow
def test_the_node_asks_the_server_and_its_bytes_repeat(params, served, monkeypatch, constrained):
    """A fresh server, one slot, a fixed order: equal outputs, and the answers of transformers."""
    params = parameters(f"decoding.constrained={constrained}".lower())
    monkeypatch.setattr(sys, "argv", ["evaluate_lora", "0"])
    digests = []
    for _ in range(2):
        evaluate_lora.main(params)
        digests.append(directory_sha256("predictions/evaluate/lora-seed-0"))
    assert digests[0] == digests[1]
    lines = read_jsonl("predictions/evaluate/lora-seed-0/predictions.jsonl")
    outputs = [line["output"] for line in lines]
    own = greedy(params, seed_folder(TRAINED, 0))
    assert outputs == own
    if constrained:
        assert set(outputs) <= {'{"mood": "ok"}', '{"mood": "bad"}'}
    timings = read_json("timings/evaluate/lora-seed-0.json")
    assert timings["latency_ids"] == ["a", "b", "c"] and timings["batch_size"] is None
    assert timings["machine"]["dtype"] == "f16"
    # of the server: beside this process, with torch in it, a tiny one is not told from what it shares
    assert timings["peak_memory_bytes"] is None or timings["peak_memory_bytes"] > 10e6


def test_what_was_not_measured_has_no_price(params, served, monkeypatch):
    """The one pass is the latency; no batch was answered, so none is billed."""
    monkeypatch.setattr(sys, "argv", ["evaluate_lora", "0"])
    evaluate_lora.main(params)
    run = read_run("lora-seed-0", ROWS, params.task.record_fields)
    assert run.timings.over_http and not run.timings.in_batches
    cost = local_cost([run], params.economics)
    assert cost.usd > 0 and "over HTTP behind llama.cpp's server" in cost.how
    assert cost.batched_usd is None and cost.rented_batched_usd is None
    assert cost.rented_usd is not None
    assert serving_of([0], [run]).seeds[0].same == 3


def test_perturbed_texts_are_asked_alike(params, served, monkeypatch):
    """The same engine as for the texts as they are: a drop is the texts' doing."""
    perturbed = [{**row, "id": f"{row['id']}-typos", "of": row["id"]} for row in ROWS[:2]]
    write_jsonl("data/perturb.jsonl", perturbed)
    monkeypatch.setattr(sys, "argv", ["perturbed_lora", "0"])
    perturbed_lora.main(params)
    lines = read_jsonl("predictions/perturbed/lora-seed-0/predictions.jsonl")
    assert [line["output"] for line in lines] == greedy(params, seed_folder(TRAINED, 0))[:2]


@pytest.mark.slow
def test_predict_and_export_use_what_was_evaluated(params, served, tmp_path, monkeypatch, capsys):
    """The same file behind the same server: what the report measured is what a user gets."""
    monkeypatch.setattr(predict, "load_params", lambda: params)
    monkeypatch.setattr(export, "load_params", lambda: params)
    write_jsonl(tmp_path / "new.jsonl", [{"id": row["id"], "text": row["text"]} for row in ROWS])
    out = tmp_path / "records.jsonl"
    predict.predict_records(
        None, str(tmp_path / "new.jsonl"), "text", str(out),
        encoding=None, seed=None, batch_size=None, constrained=False,
    )  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["evaluate_lora", "0"])
    evaluate_lora.main(params)
    lines = read_jsonl("predictions/evaluate/lora-seed-0/predictions.jsonl")
    assert [row["output"] for row in read_jsonl(out)] == [line["output"] for line in lines]
    export.export_merged(tmp_path / "merged", None)
    assert (tmp_path / "merged" / GGUF).read_bytes() == (served / GGUF).read_bytes()
    # the port that the client asks
    said = capsys.readouterr().out
    assert "llama-server -m" in said and "--port 8000" in said


def refusing(merged, target, *, outtype, pre_tokenizer):
    raise NotConverted(
        "llama.cpp's converter does not take it: NotImplementedError: no such tokenizer"
    )


def other_weights(merged, target, *, outtype, pre_tokenizer):
    gguf_of(build_tiny_model(merged, seed=5), target)


def other_template(merged, target, *, outtype, pre_tokenizer):
    file = merged / "chat_template.jinja"
    file.write_text(file.read_text().replace("<|im_end|>", "<|im_end|> "))
    gguf_of(merged, target)


def unwritable_template(merged, target, *, outtype, pre_tokenizer):
    # what the server tries when it loads it is short
    (merged / "chat_template.jinja").write_text(
        "{% for turn in messages %}{% if turn['content']|length > 100 %}{{ raise_exception('too long') }}"
        "{% endif %}{{ turn['content'] }}{% endfor %}"
    )
    gguf_of(merged, target)


def no_model(merged, target, *, outtype, pre_tokenizer):
    target.write_bytes(b"GGUF, but not really")


@pytest.mark.parametrize(
    ("conversion", "reason"),
    [
        (refusing, "does not take it: NotImplementedError"),
        (other_weights, "log-probabilities in llama.cpp differ by"),
        (other_template, "its chat template says something else"),
        (unwritable_template, "/apply-template: HTTP Error"),
        (no_model, "llama.cpp does not load the file"),
    ],
)
def test_a_model_that_cannot_be_served_falls_back_and_says_why(
    params, converter, tmp_path, monkeypatch, conversion, reason
):
    """The adapter takes the file's place: the node after it needs nothing else to answer."""
    converter.setattr(build, "convert", conversion)
    out = tmp_path / "served"
    found = build_served(params, seed_folder(TRAINED, 0), ROWS, out)
    assert found == read_served(out) and found.engine == "transformers"
    assert reason in found.reason and str(tmp_path) not in found.reason
    assert not (out / GGUF).exists() and not (out / "merged").exists()
    assert greedy(params, out) == greedy(params, seed_folder(TRAINED, 0))


def mark_in_vocabulary(merged, target, *, outtype, pre_tokenizer):
    """As in Qwen's: an ordinary token is called like another family's end, and llama.cpp takes it for one."""
    file = merged / "tokenizer.json"
    settings = json.loads(file.read_text())
    vocabulary = settings["model"]["vocab"]
    # in the place of a byte that no text in UTF-8 has
    vocabulary["</s>"] = vocabulary.pop("ÿ")
    file.write_text(json.dumps(settings))
    gguf_of(merged, target)


def test_a_mark_that_is_read_otherwise_is_listed_and_refused_where_it_stands(
    params, converter, monkeypatch
):
    """The model is served all the same: texts hardly ever hold one."""
    converter.setattr(build, "convert", mark_in_vocabulary)
    raw = params.model_dump(mode="json")
    raw["serving"]["weights"] = "models/otherwise"
    params, folder = type(params).model_validate(raw), seed_folder("models/otherwise", 0)
    found = build_served(params, seed_folder(TRAINED, 0), ROWS[:1], folder)
    assert (found.engine, found.read_otherwise) == ("llama_cpp", ["</s>"]), found.reason
    assert read_served(folder) == found
    marked = [*ROWS, {**ROWS[0], "id": "odd", "text": "Refund </s> me"}]
    said = r"^odd: expected a text without </s>, .*serving: transformers"
    monkeypatch.setattr(evaluate, "serve_tuned", None)
    with pytest.raises(UserError, match=said) as failure:
        evaluate.ask_rows(params, folder, found, marked, "x")
    assert "\n" not in str(failure.value)
    with pytest.raises(UserError, match=said.replace("odd", "row 2")):
        ask(
            params, Path(seed_folder(TRAINED, 0)), ["Refund me", "Refund </s> me"],
            constrained=False, names=["row 1", "row 2"],
        )  # fmt: skip


class Server:
    """One that makes other tokens of texts with ``odd``."""

    engine = "llama.cpp"

    def __init__(self, tokenizer, odd):
        self.tokenizer, self.odd = tokenizer, odd

    def template_text(self, messages):
        return None

    def chat_tokens(self, messages):
        return encode_prompt(self.tokenizer, messages) + [0] * (self.odd in messages[-1]["content"])


def test_marks_alone_may_be_read_otherwise(params):
    """What differs beside them is a reason to fall back, as before."""
    tokenizer = load_tokenizer(BASE, None)

    def found(odd):
        return check_odd_texts(
            tokenizer, Server(tokenizer, odd), lambda text: build.prompt_of(params, text)
        )

    assert [found(odd) for odd in ("nowhere", "</s>", "[INST]")] == [[], ["</s>"], ["[INST]"]]
    for odd in ("日本語", "no turn of ours"):
        with pytest.raises(NotConverted, match=r"gives other tokens in llama\.cpp, of"):
            found(odd)


def test_the_converter_finds_no_code_to_run(params, converter, tmp_path, monkeypatch):
    """For some kinds of model it lets transformers run what `auto_map` names."""
    seen = {}

    def look(merged, target, *, outtype, pre_tokenizer):
        seen.update({name: (merged / name).read_text() for name in names})
        refusing(merged, target, outtype=outtype, pre_tokenizer=pre_tokenizer)

    names = ("config.json", "tokenizer_config.json")
    base = shutil.copytree(BASE, tmp_path / "base")
    for name in names:
        settings = json.loads((base / name).read_text())
        (base / name).write_text(json.dumps({**settings, "auto_map": {"AutoConfig": "own.Code"}}))
    converter.setattr(build, "BASE", str(base))
    converter.setattr(build, "convert", look)
    build_served(params, seed_folder(TRAINED, 0), ROWS, tmp_path / "served")
    assert set(seen) == set(names) and "own.Code" not in "".join(seen.values())


def test_an_export_ends_where_the_model_does_and_brings_no_code(params, tmp_path, monkeypatch):
    """As what is served: a server may know one end alone, and would look for code that is not there."""
    base = shutil.copytree(BASE, tmp_path / "base")
    for name in ("config.json", "tokenizer_config.json"):
        settings = {**read_json(base / name), "auto_map": {"AutoConfig": "own.Code"}}
        if name != "config.json":
            settings["eos_token"] = "<|endoftext|>"
        (base / name).write_text(json.dumps(settings))
    for module in (build, export):
        monkeypatch.setattr(module, "BASE", str(base))
    monkeypatch.setattr(export, "load_params", lambda: parameters(engine="transformers"))
    export.export_merged(tmp_path / "out", None)
    assert read_json(tmp_path / "out" / "tokenizer_config.json")["eos_token"] == "<|im_end|>"
    assert not [
        file for file in (tmp_path / "out").glob("*.json") if "own.Code" in file.read_text()
    ]


def test_the_node_answers_in_its_process_where_the_model_fell_back(params, converter, monkeypatch):
    """And says so beside its timings."""
    converter.setattr(build, "convert", refusing)
    raw = params.model_dump(mode="json")
    build_served(params, seed_folder(TRAINED, 0), ROWS, seed_folder("models/fallback", 0))
    raw["serving"]["weights"] = "models/fallback"
    fallen = type(params).model_validate(raw)
    monkeypatch.setattr(sys, "argv", ["evaluate_lora", "0"])
    evaluate_lora.main(fallen)
    run = read_run("lora-seed-0", ROWS, params.task.record_fields)
    assert not run.timings.over_http and run.timings.in_batches
    assert "no such tokenizer" in run.timings.served.reason
    assert local_cost([run], params.economics).batched_usd is not None
    assert read_json("timings/evaluate/lora-seed-0.json")["peak_memory_bytes"] > 50e6
    # a run that timed more texts, since a server answered it, goes together with this one
    timed = run.timings.latency_seconds
    assert len(timed) == 2 and len(text_seconds([run, run])) == 2


def test_a_text_longer_than_the_context_is_named_before_anything_is_asked(params, served):
    """With the key, instead of a refused request halfway through."""
    params = parameters("serving.server.context=256")
    with (
        build.serve_tuned(params, served / GGUF) as url,
        pytest.raises(UserError, match=r"^long: its prompt .*256 \(serving\.server\.context\)"),
    ):
        build.ask_tuned(
            params, url, [*ROWS[:1], {"id": "long", "text": "word " * 300}], "x", constrained=False
        )


FAKE = "import sys, time\nprint('converting', flush=True)\n"


def fake_converter(folder, body, monkeypatch):
    """A package of the converter's name whose program is ``body``."""
    (folder / f"{convert.PACKAGE}.py").write_text(FAKE + body)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(convert, "FOLDER", folder)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (
            "raise NotImplementedError('no such model')",
            NotConverted,
            "NotImplementedError: no such",
        ),
        ("raise OSError(28, 'No space left on device')", UserError, "could not work here"),
        ("sys.exit(0)", NotConverted, "does not take it: converting"),
        ("import os; os.kill(os.getpid(), 9)", UserError, "was ended by SIGKILL"),
    ],
)
def test_a_refusal_is_told_from_a_machine_that_failed(tmp_path, monkeypatch, body, kind, message):
    """A full disk must not be remembered as a model that cannot be converted."""
    monkeypatch.chdir(tmp_path)
    fake_converter(tmp_path, body, monkeypatch)
    (tmp_path / "merged").mkdir()
    with pytest.raises(kind, match=message):
        convert.convert(tmp_path / "merged", tmp_path / "x.gguf", outtype="f16", pre_tokenizer=None)


@pytest.mark.slow
def test_a_killed_node_takes_its_converter_along(tmp_path, monkeypatch):
    """SIGKILL leaves the node no chance to clean up; the converter notices, and the copy goes too."""
    fake_converter(tmp_path, "time.sleep(60)\n", monkeypatch)
    (tmp_path / "merged").mkdir()
    code = (
        "from pathlib import Path\nfrom lora_vs_api.conversion import convert\n"
        f"convert.FOLDER = Path({str(tmp_path)!r})\n"
        "convert.convert(Path('merged').resolve(), Path('x.gguf'), outtype='f16', pre_tokenizer=None)"
    )
    node = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )
    log = tmp_path / convert.LOG
    try:
        wait_for(lambda: log.is_file() and "converting" in log.read_text(), 30)
        children = Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split()
    finally:
        node.send_signal(signal.SIGKILL)
        node.wait()
    assert len(children) == 1
    wait_for(lambda: not Path(f"/proc/{children[0]}").exists(), 30)
    assert not (tmp_path / "merged").exists()


def test_a_missing_converter_is_named(tmp_path, monkeypatch):
    """Before anything is merged, with what installs it and what does without."""
    monkeypatch.setattr(convert, "FOLDER", tmp_path)
    monkeypatch.setattr(convert, "PACKAGE", "no_such_converter")
    with pytest.raises(UserError, match=r"make setup.*serving=transformers does without"):
        convert.converter_folder()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["serving.engine=vllm"], "serving.python: missing; needed with serving.engine=vllm"),
        (
            ["serving=vllm", "serving.python=env/bin/python"],
            "serving.python: expected the absolute path of",
        ),
        (
            ["serving=vllm", "serving.server.dtype=f16"],
            "serving.server.dtype: expected one of bfloat16",
        ),
        (
            ["serving=llama_cpp", "serving.engine=transformers"],
            "serving.engine: transformers does not go with serving.weights: models/served",
        ),
        (
            ["serving=llama_cpp", "serving.conversion.outtype=q4_0"],
            "serving.conversion.outtype: expected one of f16, q8_0",
        ),
    ],
)
def test_an_engine_that_is_not_there_is_refused_in_a_line(overrides, message):
    with pytest.raises(UserError) as failure:
        compose(overrides, conf=ROOT / "conf")
    assert message in str(failure.value) and "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("engine", "weights", "converted"),
    [
        ("transformers", TRAINED, []),
        ("llama_cpp", SERVED, ["served@3", "served@4"]),
        ("vllm", SERVED, ["served@3", "served@4"]),
    ],
)
def test_each_engine_has_its_nodes(tmp_path, engine, weights, converted):
    """With transformers there is nothing to convert; for a server a node for each seed, read after."""
    text = compose([f"serving={engine}", "seeds=[3,4]"], conf=ROOT / "conf")
    nodes = dvc_nodes(tmp_path, text)
    assert sorted(name for name in nodes if name.startswith("served")) == converted
    for name in ("evaluate_lora@4", "perturbed_lora@4"):
        deps = {dep.def_path for dep in nodes[name].deps}
        assert {dep for dep in deps if dep.endswith("seed-4")} == {f"{weights}/seed-4"}


def seed(number, **values):
    return SeedServed(
        **{
            "seed": number, "engine": "llama_cpp", "reason": None, "texts": 12, "same": 11,
            "probed": 48, "difference": 0.0043,
        } | values
    )  # fmt: skip


def test_the_report_says_what_answered():
    """One true sentence each: what agreed, what fell back, what was not measured, what differs."""
    fallen = seed(
        1, engine="transformers", reason="no * such", texts=0, same=0, probed=0, difference=None
    )
    serving = Serving(outtype="f16", seeds=(seed(0), fallen))
    result = changed(
        analysis(),
        serving=serving.model_dump(mode="json"),
        conditions__0__cost_per_1k__batched_usd=None,
    )
    said = method.method_section(inputs(result))
    assert "one file of F16 weights, over HTTP to llama.cpp's server" in said
    assert "11 of 12 validation texts got from it the answer" in said
    assert "48 tokens differed by 0.0043 nats at most" in said
    assert "read otherwise" not in said
    assert "Seed 1 was to be asked like that, but transformers answers for it" in said
    assert "no \\* such" in said
    assert "**Two engines.**" in limitations.limitations_section(inputs(result))
    assert "not measured for the fine-tune" in money.money_section(inputs(result))
    both = [serving.seeds[0].model_copy(update={"engine": "vllm"}), fallen]
    # whatever its weights are stored as
    other = Serving(outtype="float16", seeds=tuple(both)).model_dump(mode="json")
    said = method.method_section(inputs(changed(analysis(), serving=other)))
    assert "one model of FLOAT16 weights, over HTTP to vLLM's server" in said
    assert "llama.cpp" not in said
    marked = [serving.seeds[0].model_copy(update={"read_otherwise": ("</s>",)}), fallen]
    other = Serving(outtype="f16", seeds=tuple(marked)).model_dump(mode="json")
    said = method.method_section(inputs(changed(analysis(), serving=other)))
    assert "A text with `</s>` it would read otherwise than the fine-tune was trained to" in said
    # and nothing of it where the fine-tune answers in the node's process
    plain = inputs(analysis())
    assert "llama.cpp" not in method.method_section(plain) + limitations.limitations_section(plain)
    assert "not measured for" not in money.money_section(plain)


@pytest.mark.slow
def test_the_real_converter_end_to_end(params, tmp_path, monkeypatch):
    """Convert, ask, compare: llama.cpp's own converter, with the tokenizer named that it does not know."""
    try:
        convert.converter_folder()
    except UserError:
        pytest.skip("the converter is not installed: make setup")
    digests = []
    for place in ("one", "two"):
        found = build_served(
            parameters("serving.conversion.pre_tokenizer=gpt-2"),
            seed_folder(TRAINED, 0),
            ROWS,
            tmp_path / place,
        )
        assert (found.engine, found.same) == ("llama_cpp", 3), found.reason
        digests.append(directory_sha256(tmp_path / place))
    assert digests[0] == digests[1]
    # without the name it falls back, for a reason that is the same everywhere
    found = build_served(params, seed_folder(TRAINED, 0), ROWS, tmp_path / "three")
    assert found.engine == "transformers" and "NotImplementedError" in found.reason
    assert json.loads((tmp_path / "three" / "served.json").read_text())["texts"] == 0
