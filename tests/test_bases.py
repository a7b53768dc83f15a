"""Which base: what dominates what, how one is chosen, which runs compare, and what is said of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.analysis.footprint import footprint_of
from lora_vs_api.analysis.results import Analysis, Footprint, SeedServed, Serving
from lora_vs_api.errors import UserError
from lora_vs_api.figures.drawing import save, theme
from lora_vs_api.paths import TAUGHT
from lora_vs_api.report.page.html import report_html
from lora_vs_api.search import comparable
from lora_vs_api.search.base_runs import (
    Base,
    Source,
    apart,
    gather,
    groups_of,
    read_base,
    source_of,
)
from lora_vs_api.search.bases import choose, minus
from lora_vs_api.search.bases_figure import GREY, bases_figure
from lora_vs_api.search.bases_text import csv_table, page, sentences, shown_table
from lora_vs_api.search.experiments import Listed
from lora_vs_api.search.pareto import dominators
from lora_vs_api.stats.clusters import Labels
from tests.commands import exit_code
from tests.imports import ROOT
from tests.report_fixture import PLOTS, analysis, interval

TEXTS = tuple(f"t{i}" for i in range(12))


@cache
def made_up(seeds: tuple[int, ...]) -> Analysis:
    return analysis(seeds=seeds)


@cache
def parsed(name: str) -> Any:
    return yaml.load((ROOT / name).read_text(), Loader=yaml.CSafeLoader)


def base(
    name: str,
    *,
    model: str | None = None,
    val: float | None = 0.5,
    f1: float = 0.6,
    p50: float | None = 0.5,
    memory: int | None = 500_000_000,
    outtype: str | None = None,
    seeds: tuple[int, ...] = (0, 1),
    noise: int = 0,
    adapters: tuple[str, ...] = (),
    machine: str = "cpu X",
) -> Base:
    """A finished run of made-up numbers; ``outtype`` puts it behind llama.cpp's server."""
    found = made_up(seeds)
    lora = found.lora.model_copy(
        update={
            "field_f1": interval(f1, 0.05),
            "latency": found.lora.latency.model_copy(update={"p50": p50}),
        }
    )
    found = found.model_copy(
        update={
            "model": model or name,
            "conditions": (lora, *found.conditions[1:]),
            "footprint": Footprint(
                machine=machine,
                precision=outtype or "bfloat16",
                peak_memory_bytes=memory,
                training_seconds=60.0,
            ),
            "serving": outtype
            and Serving(
                outtype=outtype,
                seeds=tuple(
                    SeedServed(
                        seed=seed, engine="llama_cpp", reason=None, texts=8, same=8, probed=9, difference=0.1
                    )
                    for seed in seeds
                ),
            ),
        }
    )  # fmt: skip
    drawn = np.random.default_rng(noise).uniform(-0.1, 0.1, (len(seeds), len(TEXTS)))
    scores = np.clip(f1 + drawn - drawn.mean(), 0, 1)
    return Base(name, found, val, 32, TEXTS, scores, {"seeds": list(seeds)}, adapters)


# --- the front -------------------------------------------------------------------------------

ROWS = st.integers(1, 4).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 3), min_size=k, max_size=k), min_size=1, max_size=9)
)


@given(ROWS)
def test_the_front_is_what_nobody_dominates(rows):
    """By the definition, one pair at a time; and whoever is off the front has somebody on it to
    show for that."""

    def beats(a: list[int], b: list[int]) -> bool:
        return all(x >= y for x, y in zip(a, b)) and any(x > y for x, y in zip(a, b))

    found = dominators(rows)
    front = [not any(beats(other, row) for other in rows) for row in rows]
    assert any(front) and [not by for by in found] == front
    for row, by in zip(rows, found):
        assert by == [i for i, other in enumerate(rows) if front[i] and beats(other, row)]


@given(ROWS, st.randoms(use_true_random=False))
def test_the_front_does_not_depend_on_order_or_on_who_is_dominated(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    found, moved = dominators(rows), dominators([rows[i] for i in order])
    assert [not found[i] for i in order] == [not by for by in moved]
    front = [row for row, by in zip(rows, found) if not by]
    assert not any(dominators(front))


def test_numbers_that_are_none_have_no_front():
    with pytest.raises(ValueError, match="finite"):
        dominators([[float("nan"), 1]])


# --- the choice ------------------------------------------------------------------------------


@given(st.permutations([0.2, 0.5, 0.9]), st.permutations([0.3, 0.6, 0.8]))
def test_the_choice_reads_validation_scores_alone(val, test):
    """A base chosen for its test score would carry the luck of that choice into the report."""
    rows = [base(f"b{i}", val=v, f1=t) for i, (v, t) in enumerate(zip(val, test))]
    choice = choose(rows, None)
    assert choice.why_not is None and choice.best == val.index(0.9)
    assert "Chosen on 32 validation texts: " + str(choice.best + 1) in sentences(choice)[0]


def test_the_most_precise_engine_stands_for_a_base():
    """The sweep's trials ask the trained model itself: nothing there tells engines apart."""
    rows = [
        base("q8", model="B", outtype="q8_0", p50=0.1, f1=0.9),
        base("f16", model="B", outtype="f16"),
        base("other", val=0.4, outtype="f16"),
    ]
    choice = choose(rows, None)
    assert choice.rows[choice.best].name == "f16" and choice.rows[0].engine == "llama.cpp q8_0"
    assert choose(rows[:2], None).why_not == "there is one base"


def test_a_base_without_a_validation_score_ends_the_choice():
    """Choosing among the others would leave out what may be the best, and nobody would know."""
    choice = choose([base("a"), base("b", val=None)], None)
    assert choice.why_not == "b has no validation score of a sweep"
    assert sentences(choice)[0].startswith("Nothing was chosen: b has no")
    assert "chosen" not in set(shown_table(choice)["Pareto"])


def test_who_has_no_validation_score_is_a_base_without_any():
    """Another engine of a base that has one is not what is missing."""
    rows = [base("q8", model="A", val=None), base("f16", model="A"), base("b", val=None)]
    assert choose(rows, None).why_not == "b has no validation score of a sweep"


def test_a_run_without_a_sweep_tried_nothing():
    """Nothing is said of so many settings as -1."""
    found, other = (
        replace(each, analysis=each.analysis.model_copy(update={"tried": tried}))
        for each, tried in (
            (base("a"), SimpleNamespace(ranks=0, learning_rates=0)),
            (base("b", val=0.4), SimpleNamespace(ranks=3, learning_rates=2)),
        )
    )
    assert found.tried is None and other.tried == 4
    said = " ".join(sentences(choose([found, other], None)))
    assert "The sweeps tried" not in said and "best trial" not in said


def test_another_teachers_labels_do_not_compare():
    """Both learnt from the same file, which holds what two conditions answered."""
    raw = deepcopy(parsed("params.yaml"))
    raw["training_labels"]["rows"] = TAUGHT
    one, other = (
        comparable.shared_settings(raw, {"analyze": {"deps": [{"path": TAUGHT, "md5": md5}]}})
        for md5 in "ab"
    )
    assert one[TAUGHT] == "a" and one != other


def test_engines_with_the_same_trainings_are_paired_by_training():
    """Their trainings' luck is the same on both sides, and cancels."""
    lucky = base("a", adapters=("x", "y"))
    lucky = replace(lucky, scores=np.clip(lucky.scores + np.array([[0.2], [-0.2]]), 0, 1))
    engine = replace(lucky, scores=np.clip(lucky.scores + 0.01, 0, 1))
    paired, apart_ = (
        minus(row, lucky, 0.95, None) for row in (engine, replace(engine, adapters=("x", "z")))
    )
    assert paired.estimate == pytest.approx(apart_.estimate) == pytest.approx(0.01)
    assert paired.high - paired.low < (apart_.high - apart_.low) / 4


@pytest.mark.parametrize("same", [True, False], ids=["engines", "bases"])
def test_differences_cover_by_simulation(same):
    """With what trainings, texts and groups of them add, 95 % intervals hold the truth as often or
    more; engines share their trainings' luck."""
    drawn, truth, hits, tries = np.random.default_rng(1), 0.05, 0, 300
    groups = np.arange(48) % 16
    one = base("a", adapters=("x", "y", "z"))

    def scores(shift: float, luck: np.ndarray, texts: np.ndarray) -> np.ndarray:
        own = drawn.normal(0, 0.03, 16)[groups]
        return np.clip(0.5 + shift + luck + texts + own + drawn.normal(0, 0.06, (3, 48)), 0, 1)

    for _ in range(tries):
        lucks = drawn.normal(0, 0.03, (2, 3, 1))
        texts = drawn.normal(0, 0.1, 48)
        left = replace(one, scores=scores(0.0, lucks[0], texts))
        right = replace(one, scores=scores(truth, lucks[0 if same else 1], texts))
        right = right if same else replace(right, adapters=("u", "v", "w"))
        found = minus(right, left, 0.95, list(groups))
        hits += found.low <= truth <= found.high
    assert hits / tries >= 0.93


def test_differences_hold_together_and_count_groups():
    """With more rows each interval is wider, and texts of one customer count once."""
    rows = [base(f"b{i}", noise=i, val=0.1 * i) for i in range(5)]
    few, many = choose([rows[0], rows[4]], None), choose(rows, None)
    width = [m.high - m.low for m in (few.minus[0], many.minus[0]) if m]
    assert width[0] < width[1] and many.minus[4] is None
    groups = ["a"] * 6 + ["b"] * 3 + ["c"] * 3
    grouped = choose([rows[0], rows[4]], Labels("customer", tuple(groups)))
    assert grouped.minus[0] and grouped.minus[0].high - grouped.minus[0].low > width[0]
    said = [" ".join(sentences(found)) for found in (few, grouped)]
    assert (
        "for new texts and other" in said[0]
        and "for new texts clustered by customer and" in said[1]
    )


# --- which runs compare ----------------------------------------------------------------------


def committed(path: Path, **changes: str) -> Source:
    """The committed results as a folder with results, a few files of it changed or, of "", gone."""
    for name in ("params.yaml", "dvc.yaml", "dvc.lock", "metrics/analysis.json",
                 "metrics/answers.jsonl", "metrics/sweep.json"):  # fmt: skip
        text = changes.get(name, (ROOT / name).read_text())
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        if text:
            (path / name).write_text(text)
    return Source(path.name, folder=path)


def test_a_finished_run_is_read_as_it_stands(run):
    """Scores, settings and the validation score of the point that was trained, from files alone."""
    found, lora = run, run.analysis.lora
    assert found.scores.mean() == pytest.approx(lora.field_f1.estimate, abs=1e-5)
    assert found.scores.shape == (len(found.analysis.seeds), found.analysis.texts)
    trials = json.loads((ROOT / "metrics/sweep.json").read_text())
    assert found.val_f1 == max(t["field_f1"] for t in trials if t["sweep"] == "lr_trial")
    assert all(found.adapters) and all(
        found.shared[f"data/split/{s}.jsonl"] for s in ("test", "val")
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metrics/analysis.json", "", "run: has no metrics/analysis.json; the run did not come to its end"),
        ("metrics/analysis.json", '{"profile": 1}', "run: its metrics/ are of another version"),
        ("metrics/answers.jsonl", '{"id": "a"}\n', "run: its metrics/ are of another version"),
        ("metrics/answers.jsonl", "{", "run: its metrics/ are of another version"),
        ("metrics/sweep.json", "[{", "run: its metrics/ are of another version"),
        ("dvc.lock", "a: [", "run: its params.yaml, dvc.yaml or dvc.lock cannot be read"),
        ("params.yaml", "a", "run: its params.yaml, dvc.yaml or dvc.lock cannot be read"),
        ("dvc.lock", "stages:", "run: its results were not made with its settings"),
    ],
)  # fmt: skip
def test_a_run_without_its_own_results_is_one_line(tmp_path, name, text, message):
    """An experiment's commit carries its parent's metrics: they must not pass for its own."""
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_base(committed(tmp_path / "run", **{name: text}))
    assert "\n" not in str(caught.value)


def test_a_setting_that_was_not_run_makes_the_results_anothers(tmp_path):
    raw = deepcopy(parsed("params.yaml"))
    raw["lora"]["adapter"]["dropout"] = 0.25
    with pytest.raises(UserError, match="not made with its settings"):
        read_base(committed(tmp_path / "run", **{"params.yaml": yaml.safe_dump(raw)}))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Base:
    return read_base(committed(tmp_path_factory.mktemp("bases") / "run"))


def shared_of(found: Base, change: Callable[[dict[str, Any]], None]) -> Base:
    """The same with other settings, which are taken for run."""
    raw = deepcopy(parsed("params.yaml"))
    change(raw)
    shared = comparable.shared_settings(raw, parsed("dvc.lock")["stages"])
    return replace(found, name="other", shared=shared)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda p: p["train"].update(max_steps=7), "train.max_steps differs (7, and 120 there)"),
        (lambda p: p["train"].update(batch_size=3), "train: texts a step differs"),
        (lambda p: p["evaluate"].update(test_rows=9), "evaluate.test_rows differs"),
        (lambda p: p["split"].update(seed=9), "split.seed differs"),
        (lambda p: p["task"].update(instruction="Do."), "task.instruction differs"),
        (lambda p: p["sweep"]["trial"].update(val_rows=9), "sweep.trial.val_rows differs"),
        (lambda p: p["decoding"].update(constrained=True), "decoding.constrained differs"),
        (lambda p: p.update(seeds=[7]), "seeds differs"),
        (lambda p: p["economics"].update(watts=9), "economics.watts differs"),
        (lambda p: p["serving"]["server"].update(threads=9), "serving.server.threads differs"),
        (lambda p: p["training_labels"].update(rows=TAUGHT), "data/teacher/train.jsonl differs"),
    ],
)
def test_runs_that_do_not_compare_are_refused_by_name(run, change, key):
    """The line says which run, against which, and what differs."""
    found = apart(shared_of(run, change), run)
    assert found and found.startswith("other: does not compare with run, whose ") and key in found


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p["model"].update(name="Other"),
        lambda p: p["runtime"].update(dtype="float32"),
        lambda p: p["lora"].update(r=8),
        lambda p: p["serving"]["conversion"].update(outtype="q8_0"),
        lambda p: p["serving"].update(
            engine="vllm", server=p["serving"]["server"] | {"dtype": "float32", "kv_cache_gib": 1}
        ),
        lambda p: p["train"].update(batch_size=2, gradient_accumulation=4),
        lambda p: p["decoding"].update(batch_size=2),
        lambda p: p["plots"].update(dpi=60),
    ],
)
def test_what_belongs_to_a_base_may_differ(run, change):
    """Else no two bases would compare: a larger one has another precision, rate and batch."""
    assert apart(shared_of(run, change), run) is None


def test_other_data_and_another_machine_do_not_compare():
    """Equal settings over a file that changed are another test slice; another processor has another
    latency."""
    first, texts = base("a"), base("b")
    moved = replace(texts, texts=TEXTS[::-1])
    assert apart(moved, first) == "b: does not compare with a, whose test texts differ"
    data = replace(texts, shared={**first.shared, "data/split/test.jsonl": "1"})
    assert "whose data/split/test.jsonl differs" in str(apart(data, first))
    assert "b: answered on cpu Y, a on cpu X" in str(apart(base("b", machine="cpu Y"), first))
    assert apart(texts, first) is None


def test_failed_and_missing_runs_are_named_and_the_others_shown(tmp_path, monkeypatch):
    """One line for each, in the order of their names."""
    monkeypatch.chdir(ROOT)
    committed(tmp_path / "run")
    listed = [Listed("b-1", "0" * 40, "failed"), Listed("b-2", "0" * 40, "queued")]
    run = str(tmp_path / "run")
    bases, left_out, first = gather(["b-1", run, "b-2", "no-such-run", run], listed)
    assert [found.name for found in bases] == [run] and first and first.name == run
    assert left_out == [
        "b-1: failed; `dvc queue logs b-1` says why",
        "b-2: waits in the queue; `dvc queue start` runs it",
        "no-such-run: expected an experiment, a revision of git or a folder with results",
    ]
    # an experiment may be called as a folder is
    assert source_of("docs", [Listed("docs", "1" * 40, "success")]).revision == "1" * 40
    assert source_of("docs", []).folder == Path("docs")


def test_groups_come_with_the_runs_own_data(tmp_path, run):
    """The split of another run may have grouped other texts."""
    assert groups_of(Source("a", folder=tmp_path), base("a")) is None
    there, real = committed(tmp_path / "run"), run
    with pytest.raises(UserError, match=r"run: data/split/groups.jsonl is not in DVC's cache"):
        groups_of(there, real)
    file = tmp_path / "run/data/split/groups.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("".join(f'{{"id": "{t}", "group": "{t[-1]}"}}\n' for t in real.texts))
    labels = groups_of(there, real)
    assert list(labels or ()) == [text[-1] for text in real.texts]


# --- what is said and drawn ------------------------------------------------------------------

EXTREMES = {
    "one": [{}],
    "equal": [{}, {}],
    "all perfect": [{"f1": 1.0}, {"f1": 1.0, "val": 1.0}],
    "all zero": [{"f1": 0.0}, {"f1": 0.0, "val": 0.0}],
    "one seed": [{"seeds": (0,)}, {"seeds": (0,), "f1": 0.1, "val": 0.1}],
    "not measured": [{"memory": None}, {"p50": None}],
    "far apart": [{"val": 0.9}, {"memory": 10**10, "p50": 50.0, "f1": 0.1}],
}


@pytest.mark.parametrize("case", EXTREMES)
def test_every_sentence_holds_at_the_extremes(case):
    """Each says only what the table shows."""
    rows = [base(name, **given) for name, given in zip(("a|b*", "<i>x"), EXTREMES[case])]
    choice = choose(rows, None)
    said = " ".join(sentences(choice))
    assert list(shown_table(choice)[""]) == [str(i + 1) for i in range(len(rows))]
    assert ("Shown to differ in field F1" in said) == (len(rows) > 1)
    assert bool(re.search(r"from \d: none\.", said)) == (
        case in ("equal", "all perfect", "all zero", "not measured")
    )
    left = "Not every run has p50 (s), memory (GB), so that does not count"
    assert (left in said) == (case == "not measured")
    assert ("with these trainings" in said) == (case == "one seed")
    assert len(csv_table(choice)) == len(rows)
    # every panel has an axis, whatever spans it
    bases_figure(choice, PLOTS)


def test_the_page_opens_alone_and_shows_every_name(tmp_path):
    """Names come from experiments and models of anybody: they are text, not columns or markup."""
    choice = choose([base("a|b*"), base("<i>x", val=0.1)], None)
    with theme():
        save(bases_figure(choice, PLOTS), tmp_path, "bases", 60)
    html = report_html(page(choice, ["x: failed"], "lora-vs-api bases", 12), tmp_path)
    assert "x: failed" in html and "<i>x" not in html and "data:image/svg" in html
    assert "a|b*" in html


def test_the_chosen_and_the_dominated_are_told_apart_without_colour():
    """A grey print: the dominated is hollow and small, the chosen a star."""
    rows = [base("a", val=0.9), base("b", val=0.1, f1=0.3, p50=2.0, memory=9 * 10**8)]
    choice = choose(rows, None)
    assert choice.is_front == [True, False]
    assert list(shown_table(choice)["Pareto"]) == ["chosen", "dominated by 1"]
    drawn = [
        line for line in bases_figure(choice, PLOTS).axes[0].lines if line.get_marker() in "*o"
    ]
    star, hollow = drawn
    assert (star.get_marker(), hollow.get_markerfacecolor()) == ("*", "white")
    assert hollow.get_markeredgecolor() == GREY and hollow.get_markersize() < star.get_markersize()


def test_the_chosen_one_may_be_dominated_on_test():
    """Then that is said, and the choice stands: to change it now would be to choose on test."""
    choice = choose([base("a", val=0.9, f1=0.2, p50=2.0), base("b", val=0.1, f1=0.8)], None)
    assert list(shown_table(choice)["Pareto"]) == ["chosen, dominated by 2", "front"]
    assert "Shown to differ in field F1 from 1: 2 above." in " ".join(sentences(choice))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bases", "--figure", "a.pdf"], "expected a file called .svg or .png, found a.pdf"),
        (["bases", "--html", "a.pdf"], "expected a file called .html, found a.pdf"),
        (["bases", "docs"], "none of the runs can be shown:\ndocs: has no params.yaml"),
    ],
)
def test_a_mistake_in_the_command_is_told(monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(ROOT)
    code, error = exit_code(*arguments), capsys.readouterr().err
    assert code == 1 and message in error and "Traceback" not in error


# --- what is measured ------------------------------------------------------------------------


def test_the_footprint_is_that_of_all_seeds(tmp_path):
    """The largest peak, since a server must hold that; a seed that was not measured leaves none."""

    def timings(kind: str, seed: int, content: dict[str, object]) -> None:
        name = f"lora-seed-{seed}" if kind == "evaluate" else f"seed-{seed}"
        file = tmp_path / "timings" / kind / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))

    machine = {"device": "cpu", "name": "X", "threads": 2, "dtype": "f16"}
    for seed, peak in ((0, 5), (1, 7)):
        timings("evaluate", seed, {"machine": machine, "peak_memory_bytes": peak})
        timings("train", seed, {"training_seconds": 10.0 + seed})
    assert footprint_of([0, 1], tmp_path) == Footprint(
        machine="cpu X", precision="f16", peak_memory_bytes=7, training_seconds=10.5
    )
    # an earlier version measured none, and a seed that fell back has another precision
    timings("evaluate", 1, {"machine": machine | {"dtype": "bfloat16"}})
    found = footprint_of([0, 1], tmp_path)
    assert (found.peak_memory_bytes, found.precision) == (None, "f16 and bfloat16")


def test_a_childs_peak_is_its_own():
    """A child shares this process's memory until it becomes another program: that is not its peak."""
    code = (
        "import subprocess, sys\n"
        "from lora_vs_api.processor import peak_child_memory_bytes as peak\n"
        "large = b'x' * 80_000_000\n"
        "subprocess.run([sys.executable, '-c', ''])\n"
        "print(peak())\n"
        "subprocess.run([sys.executable, '-c', 'x = b\"x\" * 200_000_000'])\n"
        "print(peak())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    small, grown = done.stdout.split()
    assert small == "None" and 200e6 < int(grown) < 300e6, done.stderr
