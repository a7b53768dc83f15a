"""params.yaml: a mistake in it is one line that names the key and the form it should have."""

from __future__ import annotations

import copy
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from lora_vs_api.__main__ import main
from lora_vs_api.analysis import configuration
from lora_vs_api.analysis.condition import label_of
from lora_vs_api.analysis.configuration import config_sha256
from lora_vs_api.cli.params import whose_results
from lora_vs_api.config.compose import compose, composed
from lora_vs_api.config.load import check_params, load_params
from lora_vs_api.config.renamed import RENAMED
from lora_vs_api.errors import UserError

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def raw():
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def changed(raw, key, value):
    """A copy of the config with one dotted key set."""
    copied = copy.deepcopy(raw)
    node = copied
    *parents, last = key.split("/")
    for parent in parents:
        node = node[parent]
    node[last] = value
    return copied


def test_params_yaml_is_the_composition_of_conf():
    """A number reached by `dvc repro` is the one conf/ states."""
    assert (ROOT / "params.yaml").read_text() == compose(conf=ROOT / "conf")


@pytest.mark.parametrize("profile", ["laptop", "quick", "smol-gpu", "paper"])
@pytest.mark.parametrize("prices", ["published", "listed-2026-11", "catalogue"])
def test_every_profile_and_price_list_composes(profile, prices):
    """No profile or preset is broken while nobody runs it here."""
    compose([f"profile={profile}", f"prices={prices}"], conf=ROOT / "conf")


@pytest.mark.parametrize(
    ("profile", "api"),
    [
        ("laptop", "contest"),
        ("quick", "contest_small"),
        ("smol-gpu", "embedded"),
        ("paper", "openai"),
        (None, "contest"),
    ],
)
def test_whom_a_profile_asks(profile, api):
    """The default asks other, larger models; who follows the publication asks what it says; -S wins."""
    chosen = [f"profile={profile}"] if profile else []
    asked, named = (
        yaml.safe_load(compose([*chosen, *given], conf=ROOT / "conf"))
        for given in ([], [f"api={api}"])
    )
    assert asked == named
    other = yaml.safe_load(compose([*chosen, "api=none"], conf=ROOT / "conf"))
    assert asked["conditions"] and not other["conditions"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["cascade.conditions=[]", "cascade.person=null"],
            "an API condition, or cascade.person, to esc",
        ),
        (["api=none", "cascade.person=null"], "-S cascade=none leaves the cascade out"),
        (
            ["cascade.rule=floor", "cascade.min_f1=null"],
            "cascade.min_f1: expected a number from 0 to 1",
        ),
        (
            ["cascade.rule=budget", "cascade.max_share=null"],
            "cascade.max_share: expected a share, or",
        ),
    ],
)
def test_a_cascade_that_could_hand_on_to_nobody_is_refused_before_anything_is_trained(
    given, message
):
    with pytest.raises(UserError, match=re.escape(message)):
        compose(given, conf=ROOT / "conf")


def test_a_cascade_is_left_out_by_one_key_and_follows_the_api():
    """Whatever else is set; an API without a condition of it leaves the person."""
    for given in (["cascade=none"], ["cascade=none", "api=none"], ["profile=quick"]):
        found = yaml.safe_load(compose(given, conf=ROOT / "conf"))["cascade"]
        assert found["seeds"] == found["asked"] == [] and (ROOT / found["answers"]).is_file()
    alone = yaml.safe_load(compose(["api=openai", "seeds=[4]"], conf=ROOT / "conf"))["cascade"]
    assert alone["seeds"] == [4] and alone["asked"] == [] and alone["person"]


def test_paper_profile_is_the_published_protocol():
    """The published settings, read off the publication, are what `profile=paper` composes."""
    params = yaml.safe_load(compose(["profile=paper"], conf=ROOT / "conf"))
    assert params["model"]["weights"]["revision"] == "989aa7980e4cf806f80c7fef2b1adb7bc71aa306"
    assert params["data"]["n"] == 2000 and params["seeds"] == [0, 1, 2]
    assert params["sweep"]["ranks"] == [8, 16, 32]
    assert params["sweep"]["learning_rates"] == ["1e-4", "2e-4", "5e-4"]
    assert params["sweep"]["trial"]["val_rows"] == params["evaluate"]["test_rows"] == 100
    train = params["train"]
    assert (train["epochs"], train["max_steps"]) == (3, None)
    assert (train["batch_size"], train["gradient_accumulation"]) == (4, 4)
    assert (train["scheduler"], train["warmup_ratio"]) == ("cosine", 0.05)
    adapter = params["lora"]["adapter"]
    assert (adapter["alpha_per_r"], adapter["dropout"]) == (2, 0.05)
    assert adapter["target_modules"] == "all-linear"
    assert (adapter["variant"], adapter["plus_ratio"]) == ("lora", None)
    assert params["sanity"]["steps"] == 100
    assert params["runtime"] == {
        "device": "cuda", "dtype": "bfloat16", "pad_token": "<|endoftext|>",
    }  # fmt: skip
    assert params["stats"] == {"resamples": 10000, "confidence": 0.95, "seed": 0}
    # and one prompt that the publication has not tried
    assert set(params["conditions"]) == {
        "mini_zero_shot", "mini_zero_shot_schema", "mini_few_shot_5", "nano_zero_shot",
        "mini_nearest_5",
    }  # fmt: skip


TUNING = {"method": "dora", "learning_rate": "2e-3", "r": 4, "seed": 0}
HUB = {"source": "hub", "repo": "o/M", "revision": "main"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lora/r", 0, "lora.r: expected an integer ≥ 1, or best for the sweep's winner, found 0"),
        ("lora/r", "many", "lora.r: expected an integer ≥ 1, or best"),
        ("lora/rr", 3, "lora.rr: unknown key (did you mean r?)"),
        (
            "lora/adapter/variant",
            "loha",
            "lora.adapter.variant: expected one of lora, rslora, dora, pissa, qlora",
        ),
        (
            "lora/adapter/plus_ratio",
            0.5,
            "lora.adapter.plus_ratio: expected a number ≥ 1, or null, found 0.5",
        ),
        (
            "lora/adapter/target_modules",
            "linear",
            "lora.adapter.target_modules: expected all-linear or a list",
        ),
        (
            "robustness/texts/rows",
            900,
            "robustness.texts.rows: expected no more than evaluate.test_rows",
        ),
        (
            "robustness/texts/perturbations",
            ["noise"],
            "robustness.texts.perturbations: expected some of typos",
        ),
        (
            "robustness/texts/perturbations",
            "atuo",
            "robustness.texts.perturbations: expected auto or a list of names, found 'atuo'",
        ),
        (
            "robustness/texts/perturbations",
            ["typos", "typos"],
            "robustness.texts.perturbations: expected no value twice",
        ),
        (
            "robustness/texts/kind",
            "email",
            "robustness.texts.kind: expected one of mail, chat, snippet, found 'email'",
        ),
        ("robustness/conditions", ["gpt"], "robustness.conditions: expected some of large_zero_"),
        ("cascade/conditions", ["gpt"], "cascade.conditions: expected some of large_zero_"),
        ("cascade/asked", [], "cascade.seeds, cascade.asked: expected [0, 1, 2] and ['small_near"),
        (
            "cascade/seeds",
            [],
            "cascade.seeds, cascade.asked: expected [] and [], as -S cascade=none",
        ),
        ("cascade/seeds", [7], "cascade.seeds, cascade.asked: expected [0, 1, 2] and"),
        ("cascade/val_rows", 1, "cascade.val_rows: expected an integer ≥ 2, found 1"),
        (
            "cascade/max_share",
            30,
            "cascade.max_share: expected a share from 0 to 1, or null, found 30",
        ),
        (
            "cascade/rule",
            "cheap",
            "cascade.rule: expected one of best, budget, floor, found 'cheap'",
        ),
        (
            "cascade/person",
            {"minutes": 0, "usd_per_hour": 1},
            "cascade.person.minutes: expected a n",
        ),
        ("tunings", {"lora": TUNING}, "tunings.lora: expected another name: this one is taken"),
        ("api/limits/budget_usd", float("inf"), "api.limits.budget_usd: expected USD ≥ 0, or null"),
        (
            "api/limits/timeout_seconds",
            float("nan"),
            "api.limits.timeout_seconds: expected seconds above 0",
        ),
        ("economics/watts", float("-inf"), "economics.watts: expected"),
        ("task_name", "../../x", "task_name: expected a plain word"),
        ("task_name", "", "task_name: expected a plain word"),
        (
            "tunings",
            {"x": {**TUNING, "r": None}},
            "tunings.x.r: expected an integer ≥ 1, found None",
        ),
        (
            "tunings",
            {"x": {**TUNING, "method": "prefix"}},
            "tunings.x.virtual_tokens: missing; needed with tunings.x.method=prefix",
        ),
        (
            "tunings",
            {"x": {**TUNING, "method": "loha"}},
            "tunings.x.method: expected one of lora, rslora, dora, pissa, qlora, full, prompt, prefix, "
            "found 'loha'",
        ),
        ("tunings", {"x": {"r": 4}}, "tunings.x.method: missing; expected one of lora, rslora"),
        ("tunings", {"x": {**TUNING, "rate": 1}}, "tunings.x.rate: unknown key"),
        (
            "tunings",
            {"x": {**TUNING, "virtual_tokens": 8}},
            "tunings.x.virtual_tokens: unknown key with method: dora, belongs to method: prompt or "
            "prefix; expected one of method, learning_rate, r, plus_ratio, seed",
        ),
        (
            "checkpoints/minutes",
            0,
            "checkpoints.minutes: expected minutes above 0, at most ten million, or null",
        ),
        ("checkpoints/folder", "", "checkpoints.folder: expected a folder's path, found ''"),
        ("seeds", [], "seeds: expected a list of integers ≥ 0, at least one"),
        ("seeds", [0, "a"], "seeds[1]: expected an integer from 0 to 4294967295, found 'a'"),
        ("seeds", [1, 1], "seeds: expected no value twice"),
        ("sweep/trial/seed", 1, "sweep.trial.seed: expected none of seeds [0, 1, 2], found 1"),
        ("evaluate/test_rows", 1, "evaluate.test_rows: expected an integer ≥ 2, found 1"),
        ("conditions", {}, "baseline: expected null where conditions is empty, found 'large_zero"),
        ("baseline", None, "baseline: expected one of large_zero_shot_schema"),
        ("split/set_aside", -1, "split.set_aside: expected an integer ≥ 0, found -1"),
        ("runtime/device", "gpu", "runtime.device: expected one of cuda, cpu, found 'gpu'"),
        ("train/max_steps", 0, "train.max_steps: expected an integer ≥ 1, or null, found 0"),
        ("train/batch_size", True, "train.batch_size: expected an integer ≥ 1, found True"),
        ("train/batch_size", "8", "train.batch_size: expected an integer ≥ 1, found '8'"),
        ("sweep/learning_rates", [0.0002], "sweep.learning_rates[0]: expected a learning rate as"),
        ("lora/learning_rate", "5", "lora.learning_rate: expected a learning rate above 0"),
        ("data/categories/billing", 0.5, "data.categories: expected shares that sum to 1"),
        ("contamination/field", "urgency", "contamination.field: expected an enum field"),
        ("baseline", "nobody", "baseline: expected one of large_zero_shot_schema"),
        (
            "priced_as/large_zero_shot_schema",
            "x",
            "priced_as.large_zero_shot_schema: expected a model of openai",
        ),
        (
            "api/server/mode",
            "batch",
            "api.server.mode: unknown key with kind: llama_cpp, belongs to kind: openai",
        ),
        (
            "api/server/kind",
            "openai",
            "api.server.base_url: missing; needed with api.server.kind=openai",
        ),
        (
            "api/server/kind",
            "azure",
            "api.server.kind: expected one of embedded, llama_cpp, openai, found",
        ),
        (
            "api/limits/budget_usd",
            -1,
            "api.limits.budget_usd: expected USD ≥ 0, or null for no limit, found -1",
        ),
        ("api/limits/port", 99999, "api.limits.port: expected a port 1..65535, or null"),
        ("api/replicates", 3, "api.replicates: expected a section with number, rows, found 3"),
        ("model/weights/sha256", "zz", "model.weights.sha256: expected 64 hexadecimal digits"),
        (
            "model/weights/path",
            "???",
            "model.weights.path: has no value yet; give one with -S model.weights.path=",
        ),
        (
            "model/weights/source",
            "path",
            "model.weights.path: missing; needed with model.weights.source=path",
        ),
        (
            "model/weights/source",
            "disk",
            "model.weights.source: expected one of wheel, gguf, hub, path, found 'disk'",
        ),
        (
            "model/weights",
            {"source": "path", "path": "m", "pth": "m"},
            "model.weights.pth: unknown key (did you mean path?); expected one of source, path",
        ),
        (
            "model/weights/pth",
            "m",
            "model.weights.pth: unknown key with source: wheel (did you mean path of source: path?)",
        ),
        (
            "model/weights",
            {**HUB, "gguf": "f"},
            "model.weights.gguf: unknown key with source: hub, belongs to source: wheel",
        ),
        ("model/weights", {"source": "path", "path": 3}, "model.weights.path: expected a text"),
        (
            "model/weights",
            3,
            "model.weights: expected a section with source, one of wheel, gguf, hub, ",
        ),
        ("data/text", "mail", "data.text: unknown key with source: generator, belongs to source: "),
        ("lora", 3, "lora: expected a section with r, learning_rate, adapter"),
        ("surprise", 1, "surprise: unknown key; expected one of"),
        ("plots/lora_color", "red", 'plots.lora_color: expected a colour such as "#0072B2"'),
        ("task/fields/urgency/type", "int", "task.fields.urgency.type: expected one of string"),
        ("evaluate/latency_rows", 9999, "evaluate.latency_rows: expected no more than"),
        # what numpy, the operating system, a table or memory would have said in the middle of a run
        ("seeds", [2**32], "seeds[0]: expected an integer from 0 to 4294967295, found 4294967296"),
        ("sweep/trial/seed", 2**32, "sweep.trial.seed: expected an integer from 0 to 4294967295"),
        ("api/limits/timeout_seconds", 1e10, "api.limits.timeout_seconds: expected seconds above"),
        ("stats/resamples", 10**9, "stats.resamples: expected an integer 100..1000000"),
        ("task_title", "My task\n", "task_title: expected a text on one line, found"),
        ("task_title", "A\u2028B", "task_title: expected a text on one line, found"),
        ("baseline", "", "baseline: expected a condition or null, found ''"),
        ("model/name", "  ", "model.name: expected a text on one line"),
        ("api/limits/store", "", "api.limits.store: expected a file's path, or null for no store"),
        (
            "nodes/evalute_lora",
            {"cpus": 1, "gpus": 0, "memory_gb": 1, "minutes": 1},
            "nodes.evalute_lora: no such node (did you mean evaluate_lora?); `dvc stage list`",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_expected_form(raw, key, value, message):
    """The user learns which key is wrong and what to write instead, in one line."""
    with pytest.raises(UserError) as error:
        check_params(changed(raw, key, value))
    assert str(error.value).startswith("params.yaml: " + message)
    assert "\n" not in str(error.value)


def test_a_missing_key_says_how_to_compose_a_full_file(raw):
    """A params.yaml of an older version is told apart from a wrong value."""
    copied = copy.deepcopy(raw)
    del copied["lora"]["adapter"]["dropout"]
    with pytest.raises(UserError, match=r"lora\.adapter\.dropout: missing; `make params`"):
        check_params(copied)


def test_a_file_that_is_no_yaml_or_not_there(tmp_path):
    """A broken or absent file is a line with its place, not a parser's traceback."""
    with pytest.raises(UserError, match="no such file"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("lora:\n  r: [1\nseeds: 3\n")
    with pytest.raises(UserError, match=r"params\.yaml:3: not valid YAML"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("lora.rr=3", "lora.rr: unknown key (did you mean r?); expected one of r,"),
        ("lorra.r=3", "lorra.r: unknown key (did you mean lora.r or"),
        ("rank=8", "rank: unknown key (did you mean sweep.ranks?)"),
        ("adapter.dropout=0.1", "adapter.dropout: unknown key (did you mean lora.adapter.dropout?)"),
        ("foo=1", "foo: unknown key; expected one of profile_name"),
        ("profil=quick", "profil: unknown key (did you mean profile?)"),
        ("profile=quik", "profile: expected one of laptop, paper, quick, smol-gpu, found 'quik' (did you"),
        ("task=mine", "task: expected one of support_emails, us_addresses, found 'mine'; `lora-vs-api init"),
        ("task=us_addresses data.encoding=cp1252",
         "data.encoding: not set in conf/ so far; expected +data.encoding=cp1252"),
        ("task=us_addresses data.encodng=cp1252", "data.encodng: unknown key (did you mean encoding?)"),
        ("~lora.rr", "lora.rr: no such key to leave out (did you mean lora.r?)"),
        ("seeds=0,1", "seeds: expected one value, found 0,1; a list is seeds=[0,1]"),
        ("lora.r=4,8", "lora.r: expected one value, found 4,8; a run for each is `dvc exp run --queue -S 'lora.r=4,8'`"),
        ("task.instruction=a,b", """task.instruction: expected one value, found a,b; a text with a comma 'task.instruction="…"'"""),
        ("sweep.learning_rates=1e-5,2e-5", """sweep.learning_rates: expected one value, found 1e-5,2e-5; a list is 'sweep.learning_rates=["1e-5","2e-5"]'"""),
        ("task=a,b", "task: expected the name of one choice, found a,b"),
        ("~seeds.0", "seeds: nothing can be taken out of a list; expected the whole list, seeds=[…]"),
        ("model_free.x=1", "model_free: a list has places and no 'x'; expected the whole list, model_free=["),
        ("+model_free.x=1", "model_free: a list has places and no 'x'; expected the whole list"),
        ("~seeds", "seeds: cannot be left out, "),
        ("prices.models.gpt-5.4-mini.input=2", "prices.models.gpt-5.4-mini.input: Hydra reads no such key on the command line; set it in"),
        (
            "sweep.learning_rates=[1e-5,1.0e-4]",
            'sweep.learning_rates[0]: expected a learning rate as a quoted string, such as "2e-4", found 1e-05; put a text '
            """that looks like this in quotes, in a shell: 'sweep.learning_rates=["1e-5", "1.0e-4"]'""",
        ),
        ("~seeds.9=4", "seeds: nothing can be taken out of a list; expected"),
        ("lora.r", "'lora.r': expected key=value, +key=value or ~key"),
        ("lora.r=[1", "'lora.r=[1': expected key=value"),
        ("=3", "'=3': expected key=value"),
        # what Hydra advises here is of its files, or nothing at all
        ("+model=local", "model: is chosen already; expected model=NAME"),
        ("model@model=local", "model@model: nothing is chosen so; expected model=NAME"),
        ("prices@prices_beside=null",
         "prices@prices_beside: expected one of catalogue, listed-2026-11, published, or prices_beside=null"),
        ("split.shares=[0.8,0.1,0.1]", "split.shares: expected a section with train, val, test"),
        ("train=8", "train: expected a section with epochs,"),
        ("seeds={a:1}", "seeds: expected a list"),
        ("task=conf/task/mine.yaml", "task: expected one of support_emails, us_addresses, found 'conf/task/mine.yaml'"),
        ("search=default", "search: no setting; the files of conf/search/ are for `lora-vs-api search`"),
        ("task.weights={urgency:2}", "task.weights: has nothing so far; expected +task.weights={urgency:2}"),
        # composing is what `make params` does
        ("~lora.r", "lora.r: missing, which ~lora.r takes out"),
        ("+conditions.new.model=x", "conditions.new.weights: missing; expected a value for it in conf/"),
        ("conditions={}", "conditions: {} is added to what conf/ has there, and takes nothing out"),
    ],
)  # fmt: skip
def test_an_override_that_is_none_is_one_line_with_what_was_meant(overrides, message):
    """Hydra's advice, `+lora.rr=3`, would be refused next."""
    given = overrides.split()
    with pytest.raises(UserError) as error:
        compose(given, conf=ROOT / "conf")
    assert str(error.value).startswith(f"conf/ with {overrides}: {message}")
    assert "\n" not in str(error.value) and "+lora" not in str(error.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b"lora:\n  r: [1\n", ":8:1: not valid YAML: expected ',' or ']'"),
        (b"lora:\n r: 3\n\tx: 1\n", ":8:1: not valid YAML: found character '\\t'"),
        (b"lora: r: 8\n", ":6:8: not valid YAML: mapping values are not allowed here"),
        (b"lora:\n  r: 8\nlora:\n  r: 4\n", ":8:1: not valid YAML: found duplicate key lora"),
        (b'x: "a\xff"\n', ":6:6: not valid UTF-8"),
        (b'x: "a\x01"\n', ":6:6: not valid YAML: a control character"),
        (b"x: &a [*a]\n", ":6:8: expected settings, found *a within itself"),
        (b"- lora\n", ": expected settings, key: value, found a list"),
        (b"lora:\n  rr: 3\n", ":7: lora.rr: unknown key (did you mean r?)"),
        (b"lora:\n  r:8\n", ":6: lora: expected a section with r,"),
        (b"seeds: [0, 0]\n", ":6: seeds: expected no value twice"),
        (
            b"lora:\n  - r: 8\n",
            ":6: lora: expected a section with r, learning_rate, adapter, found a",
        ),
        (b"seeds: {a: 1}\n", ":6: seeds: expected a list, found a section"),
    ],
)
def test_a_slip_in_one_s_own_settings_is_a_line_with_its_place(tmp_path, lines, message):
    """Fifty lines of a parser's traceback do not say which file was meant."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    with (tmp_path / "conf/local.yaml").open("ab") as file:
        file.write(lines)
    with pytest.raises(UserError) as error:
        compose(conf=tmp_path / "conf")
    assert str(error.value).startswith(f"conf/local.yaml{message}")
    assert "\n" not in str(error.value)


def test_an_empty_section_of_one_s_own_is_not_passed_over(tmp_path):
    """`conditions: {}` left all of them in; where nothing is, or -S adds, it says what is so."""
    conf = Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))
    own = conf / "local.yaml"
    text = own.read_text()
    own.write_text(f"{text}\ntask:\n  weights: {{}}\n")
    assert compose(conf=conf) and compose(["+task.weights.urgency=2"], conf=conf)
    own.write_text(f"{text}\nlabels: {{}}\n")
    with pytest.raises(UserError, match=r"^conf/local.yaml:\d+: labels: \{\} is added to what"):
        compose(conf=conf)


def test_a_slip_in_one_s_own_defaults_names_the_group(tmp_path):
    """Or how a file chooses: without override, Hydra has two choices of one."""
    conf = Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))
    text = (conf / "local.yaml").read_text()
    for line, said in (
        ("override /taks: us_addresses", "override /taks: no such group (did you mean task?)"),
        (
            "model: local",
            "model: is chosen already; expected - override /model: NAME under defaults",
        ),
    ):
        (conf / "local.yaml").write_text(f"{text}defaults:\n  - {line}\n")
        with pytest.raises(UserError, match=re.escape(said)):
            compose(conf=conf)


def test_the_file_that_dvc_names_may_stand_before_a_setting():
    """`dvc exp run -S params.yaml:lora.r=8` is its own way to say it."""
    assert compose(["params.yaml:lora.r=8"], ROOT / "conf") == compose(["lora.r=8"], ROOT / "conf")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("https://me:hunter2@api.example.org/v1", "no user, password or query"),
        ("https://api.example.org/v1?key=hunter2", "no user, password or query"),
        ("api.example.org/v1", "expected an address such as"),
        ("ftp://api.example.org/v1", "expected an address such as"),
        ("me:hunter2@api.example.org/v1", "no user, password or query"),
        ("https://api.example.org/v1#hunter2", "no user, password or query"),
        ("http://[::1/v1", "expected an address such as"),
        ("http://127.0.0.1:99999/v1", "expected an address such as"),
        ("http:///v1", "expected an address such as"),
    ],
)
def test_an_address_that_is_none_or_holds_a_secret(raw, url, complaint):
    """params.yaml is committed: a password in the address is refused, and not repeated."""
    asked = copy.deepcopy(raw)
    asked["api"]["limits"]["store"] = "responses/store.sqlite"
    asked["api"]["server"] = {
        "kind": "openai", "base_url": url, "endpoint": "chat", "mode": "live", "weights": "t.json",
    }  # fmt: skip
    with pytest.raises(UserError, match=f"api.server.base_url: .*{complaint}") as caught:
        check_params(asked)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://api.example.org/v1", "http://10.0.0.7:8000/v1"])
def test_a_key_crosses_no_network_in_the_clear(raw, url):
    """Unless it is allowed; without a key, and to this machine, http is as good."""
    asked = copy.deepcopy(raw)
    asked["api"]["limits"] |= {"store": "s", "key_env": "MY_KEY"}
    asked["api"]["server"] = {
        "kind": "openai", "base_url": url, "endpoint": "chat", "mode": "live", "weights": "t.json",
    }  # fmt: skip
    with pytest.raises(
        UserError, match=r"base_url: expected https://.*limits\.plain_http_with_key"
    ):
        check_params(asked)
    for key, value in (
        ("limits/plain_http_with_key", True), ("limits/key_env", None),
        ("server/base_url", "http://localhost:8000/v1"), ("server/base_url", "http://[::1]/v1"),
        ("server/base_url", "https://api.example.org/v1"),
    ):  # fmt: skip
        check_params(changed(asked, f"api/{key}", value))


def renamed(raw, old, new):
    """A copy of the config with a condition under another name."""
    text = yaml.safe_dump(raw, sort_keys=False)
    found = yaml.safe_load(text)

    def rename(value):
        if isinstance(value, dict):
            return {new if key == old else key: rename(item) for key, item in value.items()}
        if isinstance(value, list):
            return [rename(item) for item in value]
        return new if value == old else value

    return rename(found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, "expected another name: this one is taken") for name in (
            "lora", "LoRA", "base", "base_zero_shot", "untuned", "majority", "nearest",
            "nearest_copy", "person", "lora-seed-0", "Lora-Seed-7",
        )),
        *((name, "expected a plain word as its name") for name in (
            "../../x", "a/b", "a b", "a.b", ".", "-x", "1", "ü", "a\nb", "a\x1b[2J", "x" * 61,
            "a\\b", "a:b", "${x", "a@b",
        )),
        ("Large_Few_Shot_5", "expected a name of its own"),
    ],
)  # fmt: skip
def test_a_condition_has_a_plain_name_of_its_own(raw, name, expected):
    """A condition called lora was taken for the fine-tune; ../../x was written outside the project."""
    with pytest.raises(UserError) as caught:
        check_params(renamed(raw, "large_zero_shot_schema", name))
    message = str(caught.value)
    assert message.startswith("params.yaml: conditions.") and expected in message
    assert "\n" not in message and "\x1b" not in message
    with pytest.raises(UserError, match="^params.yaml: tunings") as caught:
        check_params(changed(raw, "tunings", {name: TUNING}))
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", ["mini", "gpt-5_4-mini", "A1", "large_few_shot", "x" * 60])
def test_a_plain_name_is_accepted(raw, name):
    """Of a condition, of a tuning, and of the task."""
    check_params(renamed(raw, "large_zero_shot_schema", name))
    check_params(changed(raw, "tunings", {name: TUNING}))
    check_params(changed(raw, "task_name", name))


def test_a_condition_that_is_no_text(raw):
    """YAML reads yes, 1 and null as something else."""
    for key in (True, 1, None):
        with pytest.raises(UserError, match="^params.yaml: .*expected a name as key, found "):
            check_params(renamed(raw, "large_zero_shot_schema", key))


def test_a_paid_answer_needs_a_store(raw):
    """Without one, a second run would pay for every answer again."""
    asked = copy.deepcopy(raw)
    asked["api"]["server"] = {
        "kind": "openai", "base_url": "http://h/v1", "endpoint": "chat", "mode": "live",
        "weights": "t.json",
    }  # fmt: skip
    with pytest.raises(
        UserError, match=r"api\.limits\.store: needed with api\.server\.kind=openai"
    ):
        check_params(asked)


@pytest.mark.parametrize("word", ["None", "nil", "undefined"])
@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("model/license", "; write null for no value"), ("split/group_by", "; write null for no value"),
        ("task/instruction", ""), ("model/name", ""), ("lora/r", ""),
    ],
)  # fmt: skip
def test_null_in_another_language_is_no_text(raw, key, word, told):
    """YAML takes it for a text: a model would be told "None" and nothing else."""
    with pytest.raises(UserError, match=f"{key.replace('/', '.')}: .*found '{word}'{told}$"):
        check_params(changed(raw, key, word))


def test_virtual_tokens_and_constrained_decoding_exclude_each_other(raw):
    """Found out before a training, not when its model is first asked."""
    asked = changed(raw, "decoding/constrained", True)
    asked["tunings"] = {
        "soft": {"method": "prompt", "learning_rate": "2e-3", "virtual_tokens": 4, "seed": 0}
    }
    with pytest.raises(UserError, match=r"tunings\.soft: virtual tokens \(method: prompt\) cannot"):
        check_params(asked)


def test_what_an_arm_may_go_without_may_be_left_out(raw):
    """No key has to be there only to say null."""
    asked = changed(raw, "data", {"source": "file", "path": "f.csv", "text": "mail"})
    assert check_params(asked).data.record is None
    asked["tunings"] = {"x": TUNING}
    assert check_params(asked).tunings["x"].plus_ratio is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("device", "runtime.device"),
        ("model.dtype", "runtime.dtype"),
        ("model.pad_token", "runtime.pad_token"),
        ("model.path", "model.weights.path"),
        ("evaluate.max_new_tokens", "decoding.max_new_tokens"),
        ("evaluate.shots_seed", "api.ask.shots_seed"),
        ("lora.alpha_per_r", "lora.adapter.alpha_per_r"),
        ("lora.variant", "lora.adapter.variant"),
        ("sweep.stop_ratio", "sweep.early_stopping_ratio"),
        ("sweep.val_rows", "sweep.trial.val_rows"),
        ("robustness.rows", "robustness.texts.rows"),
        ("api.kind", "api.server.kind"),
        ("api.budget_usd", "api.limits.budget_usd"),
        ("api.replicate_rows", "api.replicates.rows"),
        ("task.title", "task_title"),
        ("conditions.large_zero_shot_schema.label", "labels.large_zero_shot_schema"),
        ("tunings.dora.label", "labels.dora"),
    ],
)
def test_a_key_of_an_earlier_version_is_told_its_new_name(raw, old, new):
    """In a file and on the command line: nobody has to look up what a key is called now."""
    copied = copy.deepcopy(raw)
    node = copied
    *parents, last = old.split(".")
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = "x"
    with pytest.raises(UserError) as error:
        check_params(copied)
    assert str(error.value) == f"params.yaml: {old}: is called {new} now"
    with pytest.raises(UserError) as error:
        compose([f"+{old}=x"], conf=ROOT / "conf")
    assert str(error.value) == f"conf/ with +{old}=x: {old}: is called {new} now"


def test_every_new_name_is_a_key(raw):
    """A hint at a key that does not exist would send people in circles."""
    arms = {"model.weights": {"repo", "revision", "path"}, "api.server": {"base_url", "mode"}}
    for new in RENAMED.values():
        *parents, last = new.replace("*", "large_zero_shot_schema").split(".")
        node = raw
        for parent in parents:
            node = node[parent]
        assert last in node or last in arms[".".join(parents)], new


def test_own_settings_under_the_old_file_name_are_not_passed_over(tmp_path, monkeypatch, capsys):
    """conf/mine.yaml is no longer composed: who still has one is told, and nothing is written."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    Path("conf/local.yaml").rename("conf/mine.yaml")
    with pytest.raises(UserError, match=r"^conf/mine\.yaml: is called local\.yaml now"):
        compose()
    with pytest.raises(SystemExit):
        main(["params"])
    assert capsys.readouterr().err == (
        "error: conf/mine.yaml: is called local.yaml now and is no longer read; move its settings "
        "to conf/local.yaml\n"
    )
    assert not Path("params.yaml").exists()


def test_own_settings_are_lines_appended_to_the_file_that_is_there(tmp_path):
    """The shipped conf/local.yaml composes as it is, and with lines below its comments."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    with (tmp_path / "conf/local.yaml").open("a") as file:
        file.write("lora:\n  r: 32\n")
    assert yaml.safe_load(compose(conf=tmp_path / "conf"))["lora"]["r"] == 32


def test_an_embedded_server_runs_on_what_local_models_run_on():
    """Its device and precision are the run's own, and part of what its answers depend on."""
    server = yaml.safe_load(
        compose(
            ["api=embedded", "runtime.device=cuda", "runtime.dtype=bfloat16"], conf=ROOT / "conf"
        )
    )["api"]["server"]
    assert (server["device"], server["dtype"]) == ("cuda", "bfloat16")
    hosted = yaml.safe_load(compose(["api=openai"], conf=ROOT / "conf"))["api"]["server"]
    assert not {"device", "dtype"} & set(hosted)


def test_a_model_in_a_folder_is_called_as_its_folder_is():
    """Wherever it is named: the fine-tune, and the embedded conditions that ask the base."""
    local = ["api=embedded", "model=local", "model.weights.path=/models/my-model/"]
    params = check_params(yaml.safe_load(compose(local, conf=ROOT / "conf")))
    assert params.model.name == "my-model"
    assert {item.model for item in params.conditions.values()} == {"my-model"}
    own = yaml.safe_load(compose([*local, "model.name=mine"], conf=ROOT / "conf"))
    assert check_params(own).conditions["embedded_zero_shot"].model == "mine"


def test_a_label_names_the_model_that_is_asked():
    """With another base model, or another hosted one, no table speaks of the one before."""
    for overrides, name, shown in (
        (["api=embedded", "model=qwen2.5-1.5b"], "embedded_few_shot_5",
         "Qwen2.5-1.5B-Instruct over HTTP, 5-shot"),
        (["api=openai", "conditions.mini_few_shot_5.model=other"], "mini_few_shot_5",
         "other 5-shot"),
    ):  # fmt: skip
        params = check_params(yaml.safe_load(compose(overrides, conf=ROOT / "conf")))
        assert label_of(name, params.conditions[name].model, params.labels) == shown
    assert label_of("unlabelled", "m", {}) == "unlabelled"


@pytest.mark.slow
def test_the_digest_of_a_configuration(raw):
    """Another where a result is, the same where only patience, looks or a folder's place is."""

    def digest(*overrides: str) -> str:
        return config_sha256(check_params(yaml.safe_load(compose(overrides, conf=ROOT / "conf"))))

    first = config_sha256(check_params(raw))
    assert re.fullmatch("[0-9a-f]{64}", first) and digest() == first
    # together: one that changed it would change it here too
    assert digest(
        "api.limits.max_minutes=9", "plots.dpi=90", "labels.large_zero_shot_schema=X",
        "checkpoints.minutes=3", "review.sample=7",
    ) == first  # fmt: skip
    others = [
        digest(other) for other in ("prices=listed-2026-11", "task=us_addresses", "model=qwen2.5-1.5b")
    ]  # fmt: skip
    for path, value in (
        ("train/max_steps", 90), ("sweep/trial/seed", 5), ("data/n", 900), ("api/ask/concurrency", 2),
        ("hypothesis/clauses/accuracy/margin", 0.01),
    ):  # fmt: skip
        others.append(config_sha256(check_params(changed(raw, path, value))))
    assert len({first, *others}) == 9
    assert digest("model=local", "model.weights.path=/a/tiny") == digest(
        "model=local", "model.weights.path=/b/c/tiny"
    )


def test_whose_results_lie_there(tmp_path):
    """A run that failed leaves another's results: they are told by name, not taken for its own."""
    summary = tmp_path / "summary.json"
    assert whose_results("abc", summary) == "config abc: no results yet"
    summary.write_text('{"task": "Emails", "config": "def"}')
    assert whose_results("abc", summary).endswith("are of another one (Emails, config def)")
    assert whose_results("def", summary).endswith("are of this configuration")
    summary.write_text('{"task": "of an earlier version"}')
    assert whose_results("abc", summary) == "config abc: no results yet"


GIVEN = ["lora.r=16", "lora.learning_rate='2e-3'"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sweep.learning_rates=[]", *GIVEN], "sweep.ranks: expected [] too where sweep.learning_rates is []"),
        (["sweep.ranks=[]"], "lora.r: expected a value such as 16 where"),
        (["sweep.ranks=[]", "lora.r=8"], "lora.learning_rate: expected a value"),
        (["task=us_addresses", "slices=[street]"], "slices: expected columns, or fields of one value, found 'street', of type object"),
        (["slices=[language]"], "slices: expected situation or a field of the task for generated texts, found"),
        (["slices=[situation,situation]"], "slices: expected no value twice"),
        (["+task.fields.sentiment.from=Mood"], "task.fields.sentiment.from: expected null for generated texts"),
        (["task=us_addresses", "+task.fields.city.form=x"], "task.fields.city.form: unknown key (did you mean from?)"),
    ],
)  # fmt: skip
def test_what_is_left_out_or_sliced_or_renamed_goes_together(overrides, message):
    """Before anything runs: a node that has nothing to read would end the run in its middle."""
    with pytest.raises(UserError) as error:
        compose(overrides, conf=ROOT / "conf")
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("also", [[], ["sweep.learning_rates=[]"]])
def test_a_sweep_of_nothing_with_both_given_is_a_setting(also):
    """No rank is enough to say so: no rate is then tried, counted or paid for either."""
    text = compose(["sweep.ranks=[]", *also, *GIVEN], conf=ROOT / "conf")
    assert check_params(yaml.safe_load(text)).sweep.rates_tried == []


def test_a_null_from_and_no_slices_leave_a_digest_what_it_was():
    """Results stay current when a setting comes that they do not use."""
    raw = yaml.safe_load(compose((), conf=ROOT / "conf"))
    before = config_sha256(check_params(raw))
    name = next(iter(raw["task"]["fields"]))
    raw["task"]["fields"][name]["from"] = None
    assert config_sha256(check_params(raw)) == before
    raw["slices"] = ["situation"]
    assert config_sha256(check_params(raw)) != before


def test_what_is_off_stands_in_no_digest(monkeypatch):
    """The ledger tells runs apart by it: an old run and a new one of the same settings are one."""
    raw = yaml.safe_load(compose((), conf=ROOT / "conf"))
    with monkeypatch.context() as patched:
        kept: list[str] = []
        dumped = configuration.json.dumps
        patched.setattr(
            configuration.json, "dumps", lambda *given, **how: kept.append(dumped(*given, **how)) or kept[-1]
        )  # fmt: skip
        trained = raw["train"], raw["sweep"]["trial"]["train"]
        for each in trained:
            each["group_by_length"] = False
        before = config_sha256(check_params(raw))
    found = json.loads(kept[-1])
    off = {"weights", "max_length", "too_long", "group_by_length"}
    for section in (found["task"], found["train"], found["sweep"]["trial"]["train"]):
        assert section and not off & set(section)
    assert found["conditions"]
    assert not any({"instruction", "server"} & set(each) for each in found["conditions"].values())
    assert not {"slices", "training_labels", "monitor"} & set(found)
    for change in (
        lambda p: p["train"].update(max_length=500),
        lambda p: p["train"].update(group_by_length=True),
        lambda p: p["task"].update(weights={next(iter(p["task"]["fields"])): 2}),
        lambda p: next(iter(p["conditions"].values())).update(instruction="Do it."),
    ):
        other = copy.deepcopy(raw)
        change(other)
        assert config_sha256(check_params(other)) != before


def test_a_tilde_is_the_home_folder_where_no_node_depends_on_the_path(monkeypatch):
    """A store at ~/answers was made in a folder of the project that is called ~."""
    monkeypatch.setenv("HOME", "/home/ada")
    given = [
        'api.limits.store="~/answers/s.sqlite"',
        'checkpoints.folder="~/kept"',
        "model=local",
        'model.weights.path="~/model"',
    ]
    text, params = composed(given, ROOT / "conf")
    assert params.api.limits.store == "/home/ada/answers/s.sqlite"
    assert params.checkpoints.folder == "/home/ada/kept"
    assert params.model.weights.path == "/home/ada/model"
    # the same on every machine
    assert "/home/ada" not in text


def test_a_tilde_that_dvc_would_take_for_a_folder_is_refused(monkeypatch):
    """Of a path in dvc.yaml: it takes it for a folder of that name."""
    monkeypatch.setenv("HOME", "/home/ada")
    with pytest.raises(
        UserError, match=r"data\.path: DVC .* expected /home/ada/b\.csv, found ~/b\.csv"
    ):
        composed(["task=us_addresses", 'data.path="~/b.csv"'], ROOT / "conf")


@pytest.mark.parametrize("held", ["", "16 # rank", "a=b", "[16"])
def test_what_the_environment_holds_in_no_form_is_named(held, tmp_path, monkeypatch):
    """The variable and where it is read, in conf/ and on the command line; not its value."""
    monkeypatch.setenv("N", held)
    conf = Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))
    reads = "${oc.decode:${oc.env:N}}"
    with pytest.raises(
        UserError, match=r"^N: what this variable of the environment holds cannot be read"
    ):
        compose(["train.epochs=1", f'lora.r="{reads}"'], conf=conf)
    # equal files are composed once in a test process, whatever the environment holds
    (conf / "local.yaml").write_text(f"lora:\n  r: {reads}\n# {held}\n")
    with pytest.raises(UserError, match=r"^conf/local\.yaml:2: N: what this variable"):
        compose(conf=conf)
    monkeypatch.setenv("N", "16")
    (conf / "local.yaml").write_text(f"lora:\n  r: {reads}\n# 16\n")
    assert yaml.safe_load(compose(conf=conf))["lora"]["r"] == 16
