"""The latest public reports: each a kind of file, server, model or setting, and what it must come to."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import yaml

from lora_vs_api.cli import checkup
from lora_vs_api.cli.params import compose_params
from lora_vs_api.cli.store import import_answers
from lora_vs_api.config.compose import compose, composed
from lora_vs_api.config.load import check_params
from lora_vs_api.errors import UserError
from lora_vs_api.prices.lookup import price_of, priced_otherwise
from tests.imports import ROOT

CONF = ROOT / "conf"


# --- config ---------------------------------------------------------------------------------------


def refusal(*overrides: str, conf=CONF) -> str:
    with pytest.raises(UserError) as caught:
        compose(overrides, conf=conf)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def own(tmp_path):
    """Composes conf/ with a text of one's own in conf/local.yaml: what is wrong with it."""
    conf = shutil.copytree(CONF, tmp_path / "conf")

    def refused(text: str) -> str:
        (conf / "local.yaml").write_text(text)
        return refusal(conf=conf)

    return refused


def test_names_with_a_colon_are_names():
    """ollama/ollama: llama3:8b is a model, and no provider is called llama3."""
    hosted = ["api=hosted", "api.server.base_url=https://h.example.org/v1", "api.limits.key_env=H",
              "conditions.hosted_zero_shot.model=llama3:8b"]  # fmt: skip
    assert "found 'llama3:8b'; a price of its own" in refusal(*hosted)


@pytest.mark.parametrize(
    ("preset", "name"),
    [
        ("gemini", "google gemini-2.5-flash"),
        ("groq", "groq openai/gpt-oss-20b"),
        ("mistral", "mistral mistral-small-latest"),
        ("anthropic", "anthropic claude-sonnet-4-5"),
        ("openrouter", "openrouter openai/gpt-5.1"),
    ],
)
def test_a_preset_is_billed_at_its_own_provider_s_price_as_it_ships(preset, name):
    """pydantic/genai-prices: each provider has a list of its own, and OpenAI's has none of these."""
    params = composed([f"api={preset}"], CONF)[1]
    listed = price_of(params.priced_as["hosted_zero_shot"], params.prices)
    # the catalogue takes some names for another's, such as that of a dated snapshot
    assert listed.name.split()[0] == name.split()[0]
    assert params.priced_as["hosted_zero_shot"] == ":".join(name.split())
    # as before: another's price, and a list that has models by their name
    composed([f"api={preset}", "priced_as.hosted_zero_shot=gpt-5.4-mini"], CONF)
    model = params.conditions["hosted_zero_shot"].model
    assert f"found '{model}'" in refusal(f"api={preset}", "prices=published")


def test_a_model_that_no_list_of_its_provider_has_is_told_how_to_give_a_price():
    """docs.together.ai: its gpt-oss-20b is none of genai-prices', and another's price is not offered."""
    said = refusal("api=together")
    assert "of together in genai-prices" in said and "known of" not in said
    own_price = re.search(r"is '(priced_as\.hosted_zero_shot=\{.*\})'$", said)
    assert own_price is not None
    compose(["api=together", own_price[1].replace("…", "0.1")], conf=CONF)


def test_what_others_sell_is_told_with_what_to_type():
    """An unlike model of the provider is no advice: OpenAI's image model has another price than Gemini."""
    hosted = ["api=hosted", "api.server.base_url=https://h.example.org/v1", "api.limits.key_env=H",
              "conditions.hosted_zero_shot.model=gemini-2.5-flash"]  # fmt: skip
    said = refusal(*hosted)
    assert "such as" not in said
    advised = said.rpartition("it is known of google: ")[2]
    assert advised == "priced_as.hosted_zero_shot=google:gemini-2.5-flash"
    compose([*hosted, advised], conf=CONF)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["conditions.mini_zero_shot.model=gpt-4o-mini"], "priced_as.mini_zero_shot=gpt-4o-mini"),
        (["prices=published", "conditions.mini_zero_shot.model=gpt-5.4-nano"], "priced_as.mini_zero_shot=gpt-5.4-nano"),
        ([], None),
        (["conditions.mini_zero_shot.model=gpt-5.4-mini-2026-03-17"], None),
        (["conditions.mini_zero_shot.model=our-deployment"], None),
        (["conditions.mini_zero_shot.model=gpt-4o-mini", "priced_as.mini_zero_shot=openai:gpt-5.4-mini"], None),
        (["conditions.mini_zero_shot.model=gpt-4o-mini",
          "priced_as.mini_zero_shot={name: ours, as_of: '2026-11', input: 1, cached_input: null, output: 2}"], None),
        (["conditions.mini_zero_shot.model=gpt-4o-mini", "api.limits.key_env=null"], None),
    ],
)  # fmt: skip
def test_a_model_billed_as_another_is_told(overrides, told, tmp_path, monkeypatch, capsys):
    """platform.openai.com: gpt-4o-mini is not gpt-5.4-mini, and its price was taken without a word."""
    params = composed(["api=openai", *overrides], CONF)[1]
    assert [setting for _, setting in priced_otherwise(params)] == ([told] if told else [])
    shutil.copytree(CONF, tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    compose_params(["api=openai", *overrides], check=False)
    said = capsys.readouterr()
    assert ("note: priced_as.mini_zero_shot: " in said.out + said.err) == (told is not None)
    if told:
        assert priced_otherwise(composed(["api=openai", *overrides, told], CONF)[1]) == []


def looked_at(*overrides: str) -> list[checkup.Finding]:
    params = check_params(yaml.safe_load(compose(overrides, conf=CONF)))
    return [*checkup._network(params, False), *checkup._keys(params)]


@pytest.fixture
def nobody(tmp_path, monkeypatch):
    """No proxy and no mirror, and no model that is here already."""
    monkeypatch.chdir(tmp_path)
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "HF_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(checkup, "_index", lambda: "https://index.invalid/simple")


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("proxy", ["127.0.0.1:1", "http://user:secret@127.0.0.1:1"])
def test_a_proxy_that_does_not_answer_is_named(nobody, monkeypatch, variable, proxy):
    """pip.pypa.io, user guide, on proxies: one that is gone is no fault of the host, and setting it was the advice."""
    monkeypatch.setenv(variable, proxy)
    for found in looked_at()[:2]:
        assert f"through {variable} (127.0.0.1:1)" in found.found and "secret" not in found.found
        assert (found.mend or "").startswith(f"set {variable} to a proxy that answers, or unset it")


def test_a_mirror_without_its_scheme_is_named_by_its_variable(nobody, monkeypatch):
    """hf-mirror.com: its HF_ENDPOINT without the scheme, which was told as a hub called None."""
    monkeypatch.setenv("HF_ENDPOINT", "hf-mirror.com")
    monkeypatch.setattr(checkup, "_unreachable", lambda url: None)
    hub = looked_at()[0]
    assert "HF_ENDPOINT: expected an address such as https://hf-mirror.com" in hub.found
    monkeypatch.setattr(checkup, "_index", lambda: "user:secret@index.corp/simple")
    index = looked_at()[1]
    assert "index-url: expected an address such as https://index.corp/simple" in index.found
    assert "secret" not in index.found


def test_a_server_that_wants_no_key_is_given_none(nobody, monkeypatch):
    """docs.vllm.ai: OpenAI(api_key="EMPTY") is no variable of the environment."""
    monkeypatch.delenv("EMPTY", raising=False)
    monkeypatch.setattr(checkup, "_unreachable", lambda url: None)
    vllm = ["api=vllm", "conditions.server_zero_shot.model=m"]
    [found] = [f for f in looked_at(*vllm, "api.limits.key_env=EMPTY") if f.what == "keys"]
    assert "-S api.limits.key_env=null where the server wants no key" in (found.mend or "")
    [found] = [f for f in looked_at(*vllm, "api.limits.key_env=null") if f.what == "keys"]
    assert found.state == "ok"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("train:\n  # epochs: 1\n", "conf/local.yaml:1: train: expected a section with epochs, "),
        ("lora: {r: 8}\ntrain: 3\n", "conf/local.yaml:2: train: expected a section with epochs, "),
        ("hydra:\n  job:\n    chdir: false\n", "conf/local.yaml:1: hydra: Hydra's own settings"),
        ("lora:\n  adapter:\n    use_dora: true\n", "conf/local.yaml:3: lora.adapter.use_dora: unknown key (did you mean lora.adapter.variant=dora?)"),
        ("lora:\n  adapter:\n    target_modules: [q_proj, '']\n", "conf/local.yaml:3: lora.adapter.target_modules: expected all-linear or a list"),
    ],
)  # fmt: skip
def test_what_the_own_file_has_is_told_with_its_place(own, text, told):
    """yaml.org: a section that has a comment alone is null; huggingface/peft: LoraConfig(use_dora=True)."""
    assert told in own(text)


@pytest.mark.parametrize(
    ("typed", "advised"),
    [
        ("sweep.ranks=[8,16,]", "sweep.ranks=[8,16]"),
        ("sweep.ranks=[,8,,16]", "sweep.ranks=[8,16]"),
        ("lora.adapter.target_modules=[q_proj,v_proj,]", "lora.adapter.target_modules=[q_proj,v_proj]"),
        ('lora.adapter.target_modules=["q_proj", "v_proj",]', 'lora.adapter.target_modules=["q_proj", "v_proj"]'),
        ("sweep.learning_rates=[1e-4,2e-4,]", 'sweep.learning_rates=["1e-4", "2e-4"]'),
        ("lora.r=${oc.decode:${oc.env:LORA_R,16}}", 'lora.r="${oc.decode:${oc.env:LORA_R,16}}"'),
        ("lora.r=${oc.env:LORA_R,32}", 'lora.r="${oc.decode:${oc.env:LORA_R,32}}"'),
        ('lora.r="${oc.env:LORA_R,32}"', 'lora.r="${oc.decode:${oc.env:LORA_R,32}}"'),
    ],
)  # fmt: skip
def test_the_advised_setting_composes(monkeypatch, typed, advised):
    """hydra.cc, override grammar: no comma ends a list as in Python; omegaconf.readthedocs.io: oc.env gives a text."""
    monkeypatch.delenv("LORA_R", raising=False)
    assert f"'{advised}'" in refusal(typed)
    compose([advised], conf=CONF)


def test_a_list_of_modules_has_no_empty_name():
    said = refusal('lora.adapter.target_modules=["q_proj",""]')
    assert "lora.adapter.target_modules: expected all-linear or a list of module names" in said


@pytest.mark.parametrize(
    ("typed", "told", "never"),
    [
        ("seeds=[${seed}]", "Interpolation key 'seed' not found", "as it stands"),
        ("lora.learning_rate=choice(1e-4,2e-4)", "dvc exp run --queue -S 'lora.learning_rate=choice(1e-4,2e-4)'", "a text"),
        ("lora.learning_rate=tag(a,choice(1e-4,2e-4))", "dvc exp run --queue -S", "a text"),
        ("lora.learning_rate=interval(1e-4,2e-4)", "--queue -S 'lora.learning_rate=1e-4,2e-4'", "a text"),
        ("api.limits.budget_usd=2,50", "a decimal point is api.limits.budget_usd=2.50", "a list"),
        ("lora.adapter.target_modules=.*(q|v)_proj", "expected all-linear or a list of module names", "quotes"),
    ],
)  # fmt: skip
def test_no_advice_is_given_that_would_be_refused(typed, told, never):
    """hydra.cc, override grammar: choice(…), interval(…), tag(…); huggingface/peft: modules by a pattern."""
    said = refusal(typed)
    assert told in said and never not in said.partition(": ")[2]


def test_a_text_with_a_reference_s_sign_is_still_advised():
    said = refusal("task.instruction=Give ${x}")
    compose([said.rpartition("a text with it as it stands is '")[2].rstrip("'")], conf=CONF)


def test_an_address_with_a_query_is_not_told_to_take_quotes():
    """learn.microsoft.com: Azure's older addresses end in ?api-version=…"""
    said = refusal(
        "api=hosted", "api.limits.key_env=K", "conditions.hosted_zero_shot.model=m",
        "priced_as.hosted_zero_shot=gpt-5.4-mini", "api.server.base_url=https://h.example.org/v1?api-version=1",
    )  # fmt: skip
    assert "expected no user, password or query" in said and "quotes" not in said


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("lora.adapter.use_dora=true", "lora.adapter.variant=dora"),
        ("+lora.adapter.use_rslora=true", "lora.adapter.variant=rslora"),
        ("lora.adapter.init_lora_weights=pissa", "lora.adapter.variant=pissa"),
        ("lora.alpha=32", "lora.adapter.alpha_per_r"),
        ("lora.lora_alpha=32", "lora.adapter.alpha_per_r"),
        ("lora_alpha=32", "lora.adapter.alpha_per_r"),
        ("lora.lora_dropout=0.1", "lora.adapter.dropout"),
        ("model.load_in_4bit=true", "lora.adapter.variant=qlora"),
        ("train.per_device_train_batch_size=8", "train.batch_size"),
    ],
)
def test_what_peft_and_transformers_call_a_setting_is_told_as_it_is_called_here(typed, meant):
    """huggingface/peft, LoraConfig; huggingface/transformers, TrainingArguments."""
    assert f"unknown key (did you mean {meant}" in refusal(typed)


@pytest.mark.parametrize("typed", ["stats.alpha=0.05", "evaluate.rank=3"])
def test_the_same_word_in_another_section_is_no_such_setting(typed):
    assert "lora." not in refusal(typed).partition("unknown key")[2]


@pytest.mark.parametrize(
    "typed",
    ["hydra.job.chdir=false", "hydra.run.dir=.", "+hydra.sweeper.n_jobs=4", "hydra.sweeper.n_jobs=4",
     "hydra/launcher=joblib", "~hydra.run"],
)  # fmt: skip
def test_settings_of_hydra_s_own_are_told_to_have_no_use(typed):
    """hydra.cc/docs/configure_hydra: they were taken in silence, and changed nothing."""
    assert ": Hydra's own settings have no use here" in refusal(typed)


def test_a_refused_file_makes_no_store(tmp_path):
    """platform.openai.com/docs/guides/batch: the provider's own output is no export of a store."""
    file, store = tmp_path / "openai_batch_output.jsonl", tmp_path / "new.sqlite"
    line = {"id": "batch_req_1", "custom_id": "k", "response": {"status_code": 200, "body": {}}}
    file.write_text(json.dumps(line) + "\n")
    with pytest.raises(UserError, match="nothing was taken over"):
        import_answers(file, str(store))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
