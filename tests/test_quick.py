"""profile=quick: a try, which every page of its results says of itself, and no page of another run."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lora_vs_api.analysis.results import TrainedOn, Tried, write_result
from lora_vs_api.cli.answer import tell_answer
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.files import read_json, read_jsonl, write_jsonl
from lora_vs_api.paths import APPLIED, PERTURBED, TEST, TRAIN
from lora_vs_api.report.markdown import report_markdown
from lora_vs_api.report.model_card import Published, model_card
from lora_vs_api.report.page.html import report_html
from lora_vs_api.report.sections.facts import stamp
from lora_vs_api.report.sections.sweep import sweep_markdown
from lora_vs_api.report.stamp import STAMP, stamp_of
from lora_vs_api.selection.trials import Trial, write_trials
from stages import perturb, sweep
from stages.analyze import trained_on
from tests.imports import ROOT
from tests.report_fixture import analysis, changed, inputs

PUBLISHED = Published(
    name="adapter", seed=0, base_model="m", weights="w", license=None, instruction="i",
    max_new_tokens=9, adapter_sha256="ab" * 32, commit=None, synthetic=False,
)  # fmt: skip
TRIAL = Trial(
    sweep="rank_trial", item="16", r=16, learning_rate=2e-3, seed=100, texts=2, field_f1=0.1,
    valid_json=0.5, exact_match=0.0, last_loss=1.5, steps=2,
)  # fmt: skip


def settings(*overrides: str):
    return check_params(yaml.safe_load(compose(overrides, conf=ROOT / "conf")))


@pytest.fixture(scope="module")
def quick():
    return settings("profile=quick")


def of_profile(profile: str, seeds: tuple[int, ...] = (0,)):
    return changed(
        analysis(api_kind="llama_cpp", seeds=seeds),
        profile=profile,
        trained_on={"seen": 192, "given": 1400},
        tried={"ranks": 1, "learning_rates": 1},
    )


def pages(profile: str, folder: Path) -> dict[str, str]:
    """Whatever shows results to be read, by its name, as its code makes it."""
    result = of_profile(profile)
    markdown = report_markdown(inputs(result))
    without_figures = re.sub(r"!\[[^]]*\]\([^)]*\)", "", markdown)
    return {
        "report.md": markdown,
        "report.html": report_html(without_figures, folder, None, stamp(result)),
        "the model card": model_card(result, PUBLISHED),
        "sweep.md": sweep_markdown([TRIAL], [TRIAL], TRIAL, stamp_of(profile)),
        "sweep.md without trials": sweep_markdown([], [], None, stamp_of(profile)),
    }


def test_the_stamp_stands_on_every_page_of_a_try(tmp_path):
    """Each page may be sent on alone: the first line says it, or the first below the card's metadata."""
    for name, text in pages("quick", tmp_path).items():
        assert STAMP in text, name
    found = pages("quick", tmp_path)
    assert found["report.md"].startswith(f"# {STAMP}: ")
    assert found["sweep.md"].startswith(f"# {STAMP}: No sweep")
    assert f"# adapter\n\n**{STAMP}**" in found["the model card"]
    # the tab's title, and what stays in sight while one scrolls
    assert f"<title>{STAMP}: " in found["report.html"]
    assert f'<p class="stamp">{STAMP}</p>' in found["report.html"]
    # the sentence that is quoted
    assert re.search(rf"^\*\*{STAMP}\. .*\*\*$", found["report.md"], re.MULTILINE)


@pytest.mark.parametrize("profile", ["laptop", "smol-gpu", "paper"])
def test_no_other_run_is_stamped(profile, tmp_path):
    for name, text in pages(profile, tmp_path).items():
        assert STAMP.lower() not in text.lower() and 'class="stamp"' not in text, name


@pytest.mark.parametrize("profile", ["quick", "laptop"])
def test_the_end_of_a_run_says_it_too(profile, tmp_path, monkeypatch, capsys):
    """What most people read; a try goes on with the command that measures."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    write_result("metrics/analysis.json", of_profile(profile))
    tell_answer()
    said = capsys.readouterr().out
    assert said.strip().startswith(f"{STAMP}. ") == (profile == "quick")
    assert ("dvc exp run -S profile=laptop -S task=support_emails" in said) == (profile == "quick")


def test_the_profile_and_the_stamp_have_one_name(quick):
    """The stamp comes from the profile's name, so a profile that is called otherwise loses it."""
    assert stamp_of(quick.profile_name) == STAMP
    assert stamp_of(settings().profile_name) is None


def test_a_try_is_small(quick):
    """One training beside the gate's, and nobody asked that is larger than half a billion weights."""
    assert len(quick.seeds) == 1 and not quick.sweep.ranks
    assert all("0.5B" in condition.model for condition in quick.conditions.values())
    assert list(quick.opponents) == ["small"] and quick.baseline in quick.conditions
    # steps of the gate and the final training, of up to 2.2 s each on two cores
    assert quick.sanity.steps + quick.train.max_steps <= 34


@pytest.mark.parametrize("task", sorted(path.stem for path in (ROOT / "conf/task").glob("*.yaml")))
def test_a_try_asks_no_perturbed_texts_of_any_task(task, tmp_path, monkeypatch):
    """A task that names its perturbations is composed after the profile, and would have them asked."""
    params = settings("profile=quick", f"task={task}")
    monkeypatch.chdir(tmp_path)
    rows = [{"id": "a", "text": "To 5 High St, Leeds", "record": {}}]
    for path in (TRAIN, TEST):
        write_jsonl(path, rows)
    perturb.main(params)
    assert read_jsonl(PERTURBED) == []
    assert read_json(APPLIED) == {"texts": 0, "applied": {}}


def test_what_a_whole_run_can_take_over_is_the_same(quick):
    """Texts, split, base, opponent and contamination check are nodes with the same settings."""
    whole = settings()
    for key in ("data", "split", "model", "contamination", "runtime", "task", "decoding"):
        assert getattr(quick, key) == getattr(whole, key), key
    assert quick.opponents["small"] == whole.opponents["small"]
    name = "small_zero_shot_schema"
    assert quick.conditions[name] == whole.conditions[name] and quick.api == whole.api
    assert quick.priced_as[name] == whole.priced_as[name]


@pytest.mark.parametrize(("steps", "seen"), [(None, 1400), (24, 192), (80, 640), (1000, 1400)])
def test_how_many_texts_one_training_sees(quick, steps, seen):
    train = quick.train.model_copy(update={"max_steps": steps})
    assert trained_on(train, 1400) == TrainedOn(seen=seen, given=1400)


def test_the_answer_says_how_many_labelled_texts_were_trained_on():
    """Of a whole run too: who labelled 1,400 wants to know that 640 were used."""
    result = of_profile("laptop")
    answer = report_markdown(inputs(result)).split("\n## ")[2]
    assert "fine-tuned Tiny-7M, trained on 192 of the 1,400 training texts, scores" in answer
    every = changed(result, trained_on__seen=1400)
    assert "trained on all 1,400 training texts, scores" in report_markdown(inputs(every))
    # an analysis of an earlier version does not know
    unknown = changed(result, trained_on=None)
    assert "fine-tuned Tiny-7M scores" in report_markdown(inputs(unknown))


def test_where_nothing_was_chosen_no_choice_is_told():
    result = of_profile("laptop")
    text = report_markdown(inputs(result))
    assert "none was chosen" in text and "**Rank and rate** were given, not chosen" in text
    assert "The choice of rank and rate" not in text and "A rank sweep" not in text
    chosen = report_markdown(inputs(changed(result, tried={"ranks": 1, "learning_rates": 2})))
    assert "The choice of rank and rate" in chosen and "A rank sweep" in chosen
    assert not Tried(ranks=1, learning_rates=1).is_choice
    # without a sweep there is not even a trial to show
    untried = report_markdown(inputs(changed(result, tried={"ranks": 0, "learning_rates": 0})))
    assert "were given and none was chosen;" in untried and "their trial" not in untried
    none = sweep_markdown([], [], None)
    assert none.startswith("# No sweep") and "published" not in none and "figures-sweep" not in none
    page = sweep_markdown([TRIAL], [TRIAL], TRIAL)
    assert "so nothing was chosen" in page and "Best of the sweep" not in page
    # nor is a published sweep set beside none
    assert "published" not in page
    two = [TRIAL, replace(TRIAL, r=8, item="8")]
    assert "Best of the sweep" in sweep_markdown(two, [TRIAL], TRIAL)


def test_without_a_sweep_its_folder_is_one_that_git_keeps(tmp_path, monkeypatch):
    """Of an empty one a clone has nothing, and DVC finds it deleted."""
    monkeypatch.chdir(tmp_path)
    for name in ("select_rank_trials", "select_trials"):
        write_trials(f"metrics/{name}.json", [])
    sweep.main(check_params(yaml.safe_load(compose((), ROOT / "conf"))))
    assert [file.name for file in Path("report/figures-sweep").iterdir()] == ["none.txt"]
