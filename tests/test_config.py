"""params.yaml: a mistake in it is one line that names the key and the form it should have."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params, load_params
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


@pytest.mark.parametrize("profile", ["laptop", "smol-gpu", "paper"])
@pytest.mark.parametrize("prices", ["published", "listed-2026-11"])
def test_every_profile_and_price_list_composes(profile, prices):
    """No profile or preset is broken while nobody runs it here."""
    compose([f"profile={profile}", f"prices={prices}"], conf=ROOT / "conf")


def test_paper_profile_is_the_published_protocol():
    """The published settings, read off the publication, are what `profile=paper` composes."""
    params = yaml.safe_load(compose(["profile=paper"], conf=ROOT / "conf"))
    assert params["model"]["revision"] == "989aa7980e4cf806f80c7fef2b1adb7bc71aa306"
    assert params["data"]["n"] == 2000 and params["seeds"] == [0, 1, 2]
    assert params["sweep"]["ranks"] == [8, 16, 32]
    assert params["sweep"]["learning_rates"] == ["1e-4", "2e-4", "5e-4"]
    assert params["sweep"]["val_rows"] == params["evaluate"]["test_rows"] == 100
    train = params["train"]
    assert (train["epochs"], train["max_steps"]) == (3, None)
    assert (train["batch_size"], train["gradient_accumulation"]) == (4, 4)
    assert (train["scheduler"], train["warmup_ratio"]) == ("cosine", 0.05)
    assert (params["lora"]["alpha_per_r"], params["lora"]["dropout"]) == (2, 0.05)
    assert params["lora"]["target_modules"] == "all-linear"
    assert (params["lora"]["variant"], params["lora"]["plus_ratio"]) == ("lora", None)
    assert params["sanity"]["steps"] == 100 and params["device"] == "cuda"
    assert params["stats"] == {"resamples": 10000, "confidence": 0.95, "seed": 0}
    assert set(params["conditions"]) == {
        "mini_zero_shot", "mini_zero_shot_schema", "mini_few_shot_5", "nano_zero_shot"
    }  # fmt: skip


TUNING = {
    "label": "DoRA", "method": "dora", "learning_rate": "2e-3", "r": 4, "plus_ratio": None,
    "virtual_tokens": None, "seed": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lora/r", 0, "lora.r: expected an integer ≥ 1, or best for the sweep's winner, found 0"),
        ("lora/r", "many", "lora.r: expected an integer ≥ 1, or best"),
        ("lora/rr", 3, "lora.rr: unknown key (did you mean r?)"),
        ("lora/variant", "loha", "lora.variant: expected one of lora, rslora, dora, pissa, qlora"),
        ("lora/plus_ratio", 0.5, "lora.plus_ratio: expected a number ≥ 1, or null, found 0.5"),
        ("lora/target_modules", "linear", "lora.target_modules: expected all-linear or a list"),
        ("robustness/rows", 900, "robustness.rows: expected no more than evaluate.test_rows"),
        ("robustness/perturbations", ["noise"], "robustness.perturbations: expected some of typos"),
        ("robustness/conditions", ["gpt"], "robustness.conditions: expected some of embedded_"),
        ("tunings", {"lora": TUNING}, "tunings.lora: expected a name of its own"),
        ("tunings", {"x": {**TUNING, "r": None}}, "tunings.x.r: needed with method=dora"),
        ("tunings", {"x": {**TUNING, "method": "prefix"}}, "tunings.x.virtual_tokens: needed with"),
        ("tunings", {"x": {**TUNING, "rate": 1}}, "tunings.x.rate: unknown key"),
        ("checkpoints/minutes", 0, "checkpoints.minutes: expected minutes above 0, or null"),
        ("checkpoints/folder", "", "checkpoints.folder: expected a folder's path, found ''"),
        ("seeds", [], "seeds: expected a list of integers ≥ 0, at least one"),
        ("seeds", [0, "a"], "seeds[1]: expected integer ≥ 0, found 'a'"),
        ("seeds", [1, 1], "seeds: expected no value twice"),
        ("device", "gpu", "device: expected one of cuda, cpu, found 'gpu'"),
        ("train/max_steps", 0, "train.max_steps: expected an integer ≥ 1, or null, found 0"),
        ("train/batch_size", True, "train.batch_size: expected an integer ≥ 1, found True"),
        ("train/batch_size", "8", "train.batch_size: expected an integer ≥ 1, found '8'"),
        ("sweep/learning_rates", [0.0002], "sweep.learning_rates[0]: expected a learning rate as"),
        ("lora/learning_rate", "5", "lora.learning_rate: expected a learning rate above 0"),
        ("data/categories/billing", 0.5, "data.categories: expected shares that sum to 1"),
        ("contamination/field", "urgency", "contamination.field: expected an enum field"),
        ("baseline", "nobody", "baseline: expected one of embedded_zero_shot"),
        ("priced_as/embedded_zero_shot", "x", "priced_as.embedded_zero_shot: expected one of gpt"),
        ("api/mode", "batch", "api.mode: expected live with api.kind=embedded"),
        ("api/kind", "openai", "api.base_url: needed with api.kind=openai, found null"),
        ("api/budget_usd", -1, "api.budget_usd: expected USD ≥ 0, or null for no limit, found -1"),
        ("api/port", 99999, "api.port: expected a port 1..65535, or null"),
        ("model/sha256", "zz", "model.sha256: expected 64 hexadecimal digits, or null"),
        ("model/path", "???", "model.path: has no value yet; give one with -S model.path="),
        ("model/source", "path", "model.path: needed with model.source=path, found null"),
        ("lora", 3, "lora: expected a section with r, learning_rate"),
        ("surprise", 1, "surprise: unknown key; expected one of"),
        ("plots/lora_color", "red", 'plots.lora_color: expected a colour such as "#0072B2"'),
        ("task/fields/urgency/type", "int", "task.fields.urgency.type: expected one of string"),
        ("evaluate/latency_rows", 9999, "evaluate.latency_rows: expected no more than"),
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
    del copied["lora"]["dropout"]
    with pytest.raises(UserError, match=r"lora\.dropout: missing; `make params`"):
        check_params(copied)


def test_a_file_that_is_no_yaml_or_not_there(tmp_path):
    """A broken or absent file is a line with its place, not a parser's traceback."""
    with pytest.raises(UserError, match="no such file"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("lora:\n  r: [1\nseeds: 3\n")
    with pytest.raises(UserError, match=r"params\.yaml:3: not valid YAML"):
        load_params(tmp_path / "params.yaml")


def test_an_override_hydra_refuses_is_one_line():
    """A misspelt -S key ends in a line, not in Hydra's stack."""
    with pytest.raises(UserError, match=r"lora\.rr=3: Could not override 'lora\.rr'") as error:
        compose(["lora.rr=3"], conf=ROOT / "conf")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("https://me:hunter2@api.example.org/v1", "no user, password or query"),
        ("https://api.example.org/v1?key=hunter2", "no user, password or query"),
        ("api.example.org/v1", "expected an address such as"),
        ("ftp://api.example.org/v1", "expected an address such as"),
    ],
)
def test_an_address_that_is_none_or_holds_a_secret(raw, url, complaint):
    """params.yaml is committed: a password in the address is refused, and not repeated."""
    asked = copy.deepcopy(raw)
    asked["api"].update(kind="openai", store="responses/store.sqlite", base_url=url)
    with pytest.raises(UserError, match=f"api.base_url: .*{complaint}") as caught:
        check_params(asked)
    assert "hunter2" not in str(caught.value)
