"""The latest public reports: each a kind of file, server, model or setting, and what it must come to."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lora_vs_api.api.batch_files import read_results
from lora_vs_api.api.diagnosis import diagnose
from lora_vs_api.cli import checkup
from lora_vs_api.cli.params import compose_params
from lora_vs_api.cli.roles import _inner_text
from lora_vs_api.cli.store import import_answers
from lora_vs_api.config.compose import compose, composed
from lora_vs_api.config.load import check_params
from lora_vs_api.data.exports.chat import unrolled
from lora_vs_api.data.exports.word_tags import with_entities_of_tags
from lora_vs_api.data.infer import SeveralTypes, infer_fields, record_column
from lora_vs_api.data.table import Table
from lora_vs_api.data.tables import load_table
from lora_vs_api.data.templates import in_template, text_reader
from lora_vs_api.data.text_column import check_filled, text_column
from lora_vs_api.data.written import MOMENT, is_written
from lora_vs_api.errors import UserError
from lora_vs_api.prices.lookup import price_of, priced_otherwise
from tests.imports import ROOT
from tests.test_api_client import MINI, requests
from tests.test_public_reports_8 import TEXTS, init, write

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


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (
            "${hydra:runtime.cwd}/m",
            "model.weights.path: Hydra's own settings, ${hydra:…}, have no value here",
        ),
        (
            "${nosuch:x}/m",
            "model.weights.path: there is no ${nosuch:…}; of other settings it is ${key}",
        ),
    ],
)
def test_a_reference_that_has_no_value_here_is_named(typed, told):
    """facebookresearch/hydra's ${hydra:runtime.cwd}: HydraConfig was not set, said Python."""
    assert told in refusal("model=local", f"model.weights.path={typed}")


@pytest.mark.parametrize("typed", ["issue-category", "isue_category", "sentimnt"])
def test_a_weight_of_no_field_names_the_fields(typed):
    """facebookresearch/hydra#2363: with a dash for the field's weight its definition was offered."""
    told = refusal(f"task.weights.{typed}=3")
    assert (
        "task.weights: expected fields of the task (customer_name, " in told
        and f"found '{typed}'" in told
    )


@pytest.mark.parametrize(
    "empty", ["    path:\n", "    path: 5\n", "", '    path: "C:\\new\\tiny"\n']
)
def test_a_folder_that_is_none_is_blamed_and_not_its_model_s_name(own, empty):
    """facebookresearch/hydra#2958: a key that is left empty is null, and the model is called as its folder."""
    told = own(
        f"# @package _global_\ndefaults: []\nmodel:\n  name: null\n  weights:\n    source: path\n{empty}"
    )
    assert "model.weights.path: " in told and "model.name" not in told


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (
            "task.instruction=Return JSON with currency=EUR",
            """'task.instruction="Return JSON with currency=EUR"'""",
        ),
        (
            "task.instruction=Answer with ids, such as id=3",
            """'task.instruction="Answer with ids, such as id=3"'""",
        ),
        (
            "lora.r=8 train.epochs=3",
            "expected one setting an argument: lora.r=8 train.epochs=3 (of DVC's, -S lora.r=8 -S train.epochs=3)",
        ),
        ("api=none,lora.r=4", "expected one setting an argument: api=none lora.r=4"),
    ],
)
def test_a_text_with_a_sign_of_equality_is_one_setting(typed, meant):
    """facebookresearch/hydra#938: the text was cut at currency=EUR, and what was advised did not parse."""
    assert meant in refusal(typed)


def test_shares_that_do_not_sum_to_one_are_shown():
    """facebookresearch/hydra#947: what is typed is put into what conf/ has, whose other shares stay."""
    assert "found train 0.8, val 0.15, test 0.2, a sum of 1.15" in refusal(
        "split.shares={train: 0.8, test: 0.2}"
    )


def test_doctor_reads_the_config_of_a_model_s_folder(tmp_path):
    """OptimalScale/LMFlow#104: a folder of an adapter; a run could start, and stopped at its first node."""
    (tmp_path / "adapter_config.json").write_text("{}")
    params = composed(["model=local", f"model.weights.path={tmp_path}"], CONF)[1]
    [found] = [each for each in checkup._data(params) if each.what == "base model"]
    assert found.state == "MISSING" and "holds a PEFT adapter and no model" in found.found


# --- files ----------------------------------------------------------------------------------------

LOGS = [f"2025-03-02 11:{n:02d}:00 {('ERROR disk full on node', 'INFO backup finished for volume')[n % 2]} {n}" for n in range(40)]  # fmt: skip
REPORTS = [f"{text} and broken, money back please" for text in TEXTS]


@pytest.mark.parametrize(
    "moment",
    ["2024-01-01", "2024-01-01T10:00:00.123Z", "2024-01-01 10:00:00.5 +0100", "01/02/2024 10:30 p.m.", "1 January 2024 at 10:30",
     "2024-01-01 to 2024-02-01", "2024-01-01 10:00 GMT+0100 (Central European Time)", "01.02.2024, 10h30",
     "2024-01-01 10:00:00 Europe/Berlin", "2024-03-01 Friday", "01.02.24 - 03.02.24"],
)  # fmt: skip
def test_a_moment_is_no_text(moment):
    assert not is_written(moment)


@pytest.mark.parametrize(
    "behind", ["AM ", "P.M. ", "10Z ", "GMT-01 ", "(a) ", "to ", "10h30 ", "T1", "-", "1 ", ", "]
)
def test_no_text_behind_a_day_takes_long(behind):
    assert MOMENT.fullmatch(f"2024-01-01 {behind * 2000} foo bar") is None


@pytest.mark.parametrize("begins", ["", "01/03/2024 Patient seen: ", "1 March 2024 we met "])
def test_texts_that_begin_with_a_day_are_texts(begins):
    """Lines of logs, notes of a clinic (YashasJKumar/Log_Parser, KhwajaMKhan/llm-log-triage)."""
    rows = [{"text": begins + line, "platform": ["a", "b"][n % 2]} for n, line in enumerate(LOGS)]
    assert text_column(rows) == "text"


@pytest.mark.parametrize(
    ("about", "text"),
    [("doctor", "note"), ("author", "comment"), ("Name", "Agent's notes")],
)
def test_notes_beside_a_few_words_are_the_texts(about, text):
    rows = [{about: f"Dr A{n} B{n % 7}", text: line} for n, line in enumerate(REPORTS)]
    assert text_column(rows) == text


def test_what_some_rows_have_is_not_the_text_of_all_whatever_it_is_called():
    """younnieCutler/job-posting-standardization: salary_text in 50 of 60 rows, description in all."""
    rows = [{"description": text, "salary_text": f"{n} dollars an hour" if n % 5 else ""} for n, text in enumerate(REPORTS)]  # fmt: skip
    assert text_column(rows) == "description"
    # as long or longer, it is the text, and rows without one are told
    rows = [
        {"subject": f"about no {n}", "body": text if n % 5 else ""}
        for n, text in enumerate(REPORTS)
    ]
    assert text_column(rows) == "body"
    with pytest.raises(
        UserError, match=r"^body, which seems to hold the texts, has one in 32 of 40 rows; take"
    ):
        check_filled("body", rows)


@pytest.mark.parametrize("more", [{}, {"input": "of list 3"}])
def test_preferred_answers_are_the_record(project, capsys, more):
    """rasbt/LLMs-from-scratch's instruction-data-with-preference.json: instruction, input, chosen, rejected."""
    rows = [{"instruction": text, **more, "chosen": f"I am as sorry as can be for number {n} of your list, dear customer", "rejected": "no"}
            for n, text in enumerate(REPORTS)]  # fmt: skip
    write(Path("a.jsonl"), rows)
    init("a.jsonl")
    said = "".join(capsys.readouterr())
    assert "chosen                 string" in said and "instruction     " not in said


def test_wide_marks_have_no_blanks_around_them():
    """BillDin/CBDB_XYJ: a tag for each Chinese character, full-width commas among them."""
    words = [*"我在北京，今天。", "“", *"好", "”"]
    tags = ["O", "O", "B-LOC", "I-LOC", *["O"] * (len(words) - 4)]
    [(_, row)] = with_entities_of_tags(
        Table([("a:1", {"tokens": words, "ner_tags": tags})], [])
    ).rows
    assert row["text"].startswith("我在北京，今天。")


def test_numbers_for_words_without_names_are_one_line():
    """pffaundez/NER-Entity-Mapper: ner_tags as the Hub's int64, whose names are in the data set's features."""
    rows = [{"tokens": text.split(), "ner_tags": [0] * len(text.split())} for text in REPORTS]
    with pytest.raises(
        UserError, match="^ner_tags: a number for each of tokens, and no name of what it marks"
    ):
        text_column(rows)
    # lists of one are cells
    with pytest.raises(UserError, match="makes one of each"):
        text_column([{"text": [text], "order": [5]} for text in REPORTS])
    # nor are words of Chinese joined with blanks
    with pytest.raises(UserError, match=r"""'{{ tokens \| join\(""\) }}' makes one of each"""):
        text_column([{"tokens": list("我在北京住"), "tag": ["a"]} for _ in range(3)])


def test_a_text_within_an_object_is_named_where_every_row_has_it():
    """lorenzo-leprotti/Global-ATS-Bridge: 8 of 35 rows lack the key that was named."""
    rows = [{"held": {"permit": "a visa holder", **({} if n == 3 else {"about": text})}} for n, text in enumerate(REPORTS)]  # fmt: skip
    assert "such as --text '{{ held.permit }}'" in _inner_text(rows)
    deep = [
        {"id": 1, "snippet": {"n": n, "top": {"snippet": {"textOriginal": text}}}}
        for n, text in enumerate(REPORTS)
    ]
    assert (
        "--text '{{ snippet.top.snippet.textOriginal }}', a text within the column snippet"
        in _inner_text(deep)
    )
    assert not _inner_text([{"held": {"about": row["held"].get("about")}} for row in rows])


def test_triplets_that_repeat_their_sentence_hold_no_texts():
    """xuuuluuu's ASTE-Data: each triplet has the sentence twice more, with a tag behind each word."""
    rows = []
    for text in REPORTS:
        tagged = " ".join(rf"{word}\O" for word in text.split())
        rows.append(
            {"sentence": text, "triples": [{"target_tags": tagged, "opinion_tags": tagged}] * 3}
        )
    assert text_column(rows) == "sentence"
    with pytest.raises(UserError, match="the texts seem to lie in the lists of parts"):
        text_column(
            [{"topic": f"case no {n}", "parts": [{"said": REPORTS[n]}] * 3} for n in range(40)]
        )


def test_a_model_s_raw_answer_is_not_the_gold():
    rows = [
        {"text": text, "raw_prediction": {"a": "x"}, "gold_a": f"y{n}"}
        for n, text in enumerate(REPORTS)
    ]
    assert record_column(rows, "text") is None
    assert record_column([{"text": row["text"], "raw_output": {"a": text}} for row, text in zip(rows, REPORTS)], "text") == "raw_output"  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "input-1",
        "reviews.title",
        "What's wrong?",
        'a "b" c',
        "in or out",
        "True",
        "columns",
        "Review Title",
        "文本",
    ],
)
def test_advice_on_a_column_works_when_it_is_typed(name):
    """raphaelstolz's llm-evals.xlsx: input-1 and input-2; the advice was cut in two by the shell."""
    typed = in_template(name)
    assert "'" not in typed
    assert text_reader(typed)({name: "said", "other": "x"}) == "said"


@pytest.mark.parametrize(
    ("first", "line"),
    [("Very good!,positive", "'positive' stands again"), ("做内华达大学毕业证本科文凭微信美国可查,negative", "'negative' stands again"), ("text,label", None),
     ("note_content,positive", None), ("comment,positive", None)],
)  # fmt: skip
def test_a_short_text_in_the_first_line_may_be_a_row(tmp_path, first, line):
    """A test.xlsx without a header: its first text was the column's name, and its row was gone without a word."""
    lines = [f"{text},{['positive', 'negative'][n % 2]}".replace(" ,", " ") for n, text in enumerate(t.replace(",", "") for t in REPORTS)]  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join([first, *lines]) + "\n")
    notes = [note for note in load_table(tmp_path / "a.csv").notes if "may be a row" in note]
    assert bool(notes) == (line is not None) and all(str(line) in note for note in notes)


def test_a_row_for_a_header_is_told_beside_names_that_stand_twice(tmp_path):
    rows = [f"{text.replace(',', '')},{n % 2},{n % 3 % 2}" for n, text in enumerate(REPORTS)]
    (tmp_path / "a.csv").write_text("\n".join(["Great phone,0,0", *rows]) + "\n")
    with pytest.raises(
        UserError,
        match="give each a name of its own; line 1, which names the columns, may be a row",
    ):
        load_table(tmp_path / "a.csv")


@pytest.mark.parametrize("word", ["NA", "None", "nan", "N/A"])
def test_a_program_s_word_for_nothing_is_told_in_texts_and_fields(project, capsys, word):
    """R's write.csv writes NA for all that is missing, so that no cell is empty (springer-nature-survey)."""
    rows = [f"{word if n < 3 else text.replace(',', '')},{word if n % 2 else text[15:31]}" for n, text in enumerate(REPORTS)]  # fmt: skip
    with open("a.csv", "w") as file:
        file.write("\n".join(["text,remark", *rows]) + "\n")
    init("a.csv")
    said = "".join(capsys.readouterr())
    assert (
        f"text: '{word}' in 3 cells is read as a text; if it stands for none, take these rows out"
        in said
    )
    assert (
        f"remark: '{word}' in 20 cells is read as a text; if it stands for none, empty these cells"
        in said
    )


def test_a_few_chinese_words_hide_no_rows_of_words(project, capsys):
    """NER_Quechua: 2,783 words, a row for each, five of them Chinese."""
    words = [word for text in REPORTS for word in text.split()][:200] + ["毛泽东"] * 3
    write(
        Path("a.jsonl"),
        [{"words": f"{word}{n}", "tag": ["O", "B-PER"][n % 2]} for n, word in enumerate(words)],
    )
    init("a.jsonl")
    assert "Most texts are one word" in "".join(capsys.readouterr())


def test_all_keys_of_several_types_are_named_at_once():
    """GUIEval: twelve runs, and each named one key more."""
    values = [{"a": str(n), "b": n, "c": {"d": n}} for n in range(30)] + [
        {"a": ["x"], "b": "y", "c": {"d": "z"}}
    ]
    columns = {"record": values, "other": [1] * 30 + ["x"]}
    with pytest.raises(SeveralTypes) as caught:
        infer_fields(columns, "json")
    lines = str(caught.value.with_advice(columns)).split("\n")
    assert [line.partition(":")[0] for line in lines[:-1]] == [
        "record.a",
        "record.b",
        "record.c.d",
        "other",
    ]
    assert lines[1].endswith("or leave the field out (--drop record.b)")
    assert lines[-1] == "--drop record.a,record.b,record.c.d,other leaves out all of them"


def test_azure_s_parts_that_call_are_calls():
    """Azure-Samples/azureai-samples' evaluation_data.jsonl: parts of type tool_call and tool_result."""
    call = {
        "type": "tool_call",
        "tool_call_id": "c",
        "name": "weather",
        "arguments": {"place": "London"},
    }
    asked = [{"role": "user", "content": [{"type": "text", "text": "How is it in London?"}]}]
    told = {"role": "tool", "content": [{"type": "tool_result", "tool_result": {"sky": "grey"}}]}
    turns = [
        *asked,
        {"role": "assistant", "content": [call]},
        told,
        {"role": "assistant", "content": "Grey."},
    ]
    [(_, row)] = unrolled("a", Table([("a:1", {"messages": turns})], [])).rows
    assert row["record"] == {"name": "weather", "arguments": {"place": "London"}}


def test_no_field_is_left_out_that_is_the_only_one():
    """ThilinaRajapakse/simpletransformers#249: labels of 1 and "1"; --drop labels led in a circle."""
    with pytest.raises(SeveralTypes) as caught:
        infer_fields({"labels": [1] * 10 + ["1"]}, "json")
    assert str(caught.value.with_advice(["labels"])).endswith("write them alike")
    assert str(caught.value.with_advice(["labels", "other"])).endswith("(--drop labels)")


GOOD = [json.dumps({"text": text, "label": "ab"[n % 2]}) for n, text in enumerate(TEXTS)]


@pytest.mark.parametrize(
    "fault",
    [
        '{"text": "a b",}',
        '{"text": "a b',
        '{"text": "a "quoted" b"}',
        "# a note",
        '{"at": ISODate("2024")}',
    ],
)
@pytest.mark.parametrize(("name", "ends", "place"), [
    ("a.json", ("", "\n", ""), "line 21, character"), ("a.jsonl", ("", "\n", ""), "a.jsonl:21: "), ("a.jsonl", ("[", ",\n", "]"), "line 21, character"),
    ("a.json", ("[", ",\n", "]"), "line 21, character"),
])  # fmt: skip
def test_a_fault_is_named_where_it_is_whatever_the_file_s_name_says(
    tmp_path, fault, name, ends, place
):
    """mongodb-js/mongodb-extjson#25: of objects one a line in a .json line 2 was blamed, which is sound."""
    begins, between, end = ends
    text = begins + between.join([*GOOD[:20], fault, *GOOD[20:]]) + end
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as caught:
        load_table(tmp_path / name)
    assert place in str(caught.value).replace("line 22, character 1", "line 21, character")


def test_objects_over_several_lines_are_blamed_at_their_own(tmp_path):
    rows = [json.dumps({"text": text, "label": "a"}, indent=1) for text in TEXTS]
    (tmp_path / "a.jsonl").write_text("\n".join([*rows[:5], "{,}", *rows[5:]]))
    with pytest.raises(UserError, match="line 21, character 2"):
        load_table(tmp_path / "a.jsonl")


@pytest.mark.parametrize("keys", [("from", "value"), ("role", "content")])
def test_turns_that_stand_for_rows_are_told(tmp_path, keys):
    """unslothai/unsloth#337: one list of turns; the answers were taken for texts, and human and gpt for records."""
    turns = [
        dict(zip(keys, each))
        for text in TEXTS
        for each in (("user", text), ("assistant", '{"a": 1}'))
    ]
    (tmp_path / "a.json").write_text(json.dumps(turns))
    with pytest.raises(
        UserError, match=r"the rows are turns .* put those of each conversation under a key"
    ):
        load_table(tmp_path / "a.json")
    (tmp_path / "b.jsonl").write_text(
        "".join(json.dumps(turns[n : n + 2]) + "\n" for n in range(0, 40, 2))
    )
    with pytest.raises(UserError, match="put the turns under a key"):
        load_table(tmp_path / "b.jsonl")


# --- servers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is 8192 tokens. However, you requested {total} tokens ({prompt} in the messages, {limit} in the completion). Please reduce the length of the messages or completion.",
        "This model's maximum context length is 8,192 tokens. However, you requested {limit} output tokens and your prompt contains at least {prompt} input tokens, for a total of at least {total} tokens.",
        "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of {total} tokens: {prompt} tokens from the input messages and {limit} tokens for the completion.",
    ],
)
@pytest.mark.parametrize(
    ("prompt", "limit", "blamed"), [(400, 8192, True), (400, 7900, True), (8150, 90, False)]
)
def test_an_answer_s_limit_that_takes_the_room_is_blamed_for_it(said, prompt, limit, blamed):
    """gpustack/gpustack#929: 400 tokens of text and a limit of 8,192; vLLM's and SGLang's words. The text was blamed."""
    message = said.format(prompt=prompt, limit=limit, total=prompt + limit)
    condition = replace(MINI, max_output_tokens=limit)
    told = str(diagnose(400, {"message": message}, {}, requests(1)[0], condition, "http://h/v1"))
    assert told.startswith("conditions.mini.max_output_tokens: ") == blamed
    assert ("expected fewer shots, shorter texts" in told) != blamed
    line = {
        "custom_id": "k",
        "response": {"status_code": 400, "body": {"error": {"message": message}}},
    }
    [(_, reason)] = read_results(json.dumps(line), "file_1", condition)
    assert reason.endswith("; conditions.mini.max_output_tokens sets it") == blamed
