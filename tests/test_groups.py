"""Texts that belong together: named in the config, whole in a split, counted as one everywhere."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_vs_api.analysis.compare import compare, lora_statistics
from lora_vs_api.analysis.condition import ConditionRuns, whole_runs
from lora_vs_api.analysis.condition import condition as conditions_row
from lora_vs_api.analysis.decision import decide
from lora_vs_api.analysis.groups import clustering, read_labels, text_groups
from lora_vs_api.analysis.planning import planning
from lora_vs_api.analysis.results import (
    Analysis,
    Clustering,
    CostPer1K,
    CostRatio,
    PayBack,
    TextGroups,
)
from lora_vs_api.analysis.robustness import CleanAndPerturbed, robustness
from lora_vs_api.analysis.scored_run import ScoredRun
from lora_vs_api.config.load import check_params
from lora_vs_api.config.sections import SeeAlso
from lora_vs_api.data.generator import generate_corpus
from lora_vs_api.data.source import read_source
from lora_vs_api.data.split import assert_disjoint, grouped_split, labels_of
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl, write_jsonl
from lora_vs_api.record.fields import Field, fields_from_config
from lora_vs_api.report.markdown import report_markdown
from lora_vs_api.report.page.html import report_html
from lora_vs_api.shown import plural
from lora_vs_api.stats.bayesian import text_interval
from lora_vs_api.stats.bootstrap import Draws
from lora_vs_api.stats.clusters import Labels
from lora_vs_api.stats.comparisons import mcnemar_exact
from lora_vs_api.stats.paired import difference_interval, paired_difference, sign_flip
from lora_vs_api.stats.power import components, minimum_detectable_effect
from lora_vs_api.stats.variance import (
    random_effects_interval,
    random_effects_score,
    variance_shares,
)
from tests.imports import ROOT
from tests.report_fixture import HYPOTHESIS, SETTINGS, analysis, changed, inputs

SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}
CATEGORIES = {"billing": 0.22, "technical": 0.22, "account": 0.22, "shipping": 0.22, "other": 0.12}
SENTIMENTS = {"positive": 0.20, "neutral": 0.45, "negative": 0.35}
# 28 groups of 64 texts, as unequal as those of the built-in task's test slice
SIZES = (6, 5, 5, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, *(1,) * 12)
MEMBER = np.repeat(np.arange(len(SIZES)), SIZES)
LABELS = Labels("situation", tuple(f"s{number}" for number in MEMBER))
DRAWS = Draws(resamples=300, seed=0, confidence=0.9)


# --- the corpus ------------------------------------------------------------------------------

FIELDS = fields_from_config({"room": {"type": "string"}})
FILE = "body,room,customer,thread\nhello,A,ann,1\nagain,B,ann,2\nbye,C,bob,2\n"


def read(path: Path, content: str, **groups: str | None):
    path.write_text(content)
    keys = {f"{name}.group_by": column for name, column in groups.items()}
    return read_source(path, FIELDS, "body", None, None, keys)


def test_a_files_columns_are_kept_where_texts_are_grouped_by_them(tmp_path):
    """And nowhere else: a file without groups makes the corpus that it made before."""
    rows = read(tmp_path / "a.csv", FILE, task="customer", split="thread")
    assert [row["meta"] for row in rows] == [
        {"customer": "ann", "thread": "1"},
        {"customer": "ann", "thread": "2"},
        {"customer": "bob", "thread": "2"},
    ]
    assert [row["meta"] for row in read(tmp_path / "a.csv", FILE, task="thread")] == [
        {"thread": label} for label in "122"
    ]
    assert not any("meta" in row for row in read(tmp_path / "a.csv", FILE, task=None, split=None))


def test_numbers_group_too_and_a_field_may(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "x", "room": "A", "n": 7}\n{"body": "y", "room": "B", "n": 7}\n')
    rows = read_source(path, FIELDS, "body", None, None, {"task.group_by": "n"})
    assert [row["meta"]["n"] for row in rows] == ["7", "7"]
    rows = read_source(path, FIELDS, "body", None, None, {"task.group_by": "room"})
    assert [row["meta"]["room"] for row in rows] == ["A", "B"]


def test_a_missing_column_or_value_is_one_clear_line(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(
        UserError, match=r"^split.group_by: .*a\.csv has no column 'client'; it has"
    ):
        read(path, FILE, task="customer", split="client")
    with pytest.raises(UserError) as caught:
        read(path, FILE.replace("again,B,ann", "again,B, "), task="customer", split="customer")
    assert str(caught.value).splitlines() == [
        f"{path}: 1 problem:",
        f"{path}:3: customer: expected a text or a number to group by, found none",
    ]
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"body": "x", "room": "A", "customer": ["ann"]}\n')
    with pytest.raises(UserError, match=r"a\.jsonl:1: customer: expected a text .* \['ann'\]"):
        read_source(lines, FIELDS, "body", None, None, {"task.group_by": "customer"})


def test_rows_that_belong_to_nothing_are_named():
    rows = [{"id": "a", "text": "", "record": {}, "meta": {"thread": "1"}}]
    with pytest.raises(UserError, match="^split.group_by: a of .* has no 'customer'; .*: thread$"):
        labels_of(rows, "customer", "split.group_by")
    assert labels_of(rows, "thread", "task.group_by") == ["1"]


@pytest.mark.parametrize(
    ("task", "split", "message"),
    [
        (None, "situation", "task.group_by: expected a column, such as situation, where split.gro"),
        ("customer", None, "task.group_by: expected situation or null for generated texts, found"),
        ("situation", "thread", "split.group_by: expected situation or null for generated texts"),
    ],
)
def test_what_cannot_be_grouped_is_refused_before_anything_runs(task, split, message):
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["task"]["group_by"], raw["split"]["group_by"] = task, split
    raw["split"]["set_aside"] = 0
    with pytest.raises(UserError) as caught:
        check_params(raw)
    assert str(caught.value).startswith(f"params.yaml: {message}")


@pytest.mark.parametrize(
    "path", ["/etc/x.md", "../x.md", "docs/../../x.md", "https://x.y/z", "a b"]
)
def test_other_reports_are_in_the_repository(path):
    """What stands in a link of the page leads nowhere else."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["see_also"] = [{"title": "t", "path": path}]
    with pytest.raises(UserError, match=r"see_also\[0\].path: expected a path in the repository"):
        check_params(raw)


# --- the split -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus():
    return generate_corpus(2000, 0, CATEGORIES, SENTIMENTS)


def test_the_built_in_situations_stay_whole(corpus):
    """Shares as near as thirty situations allow, and each category in each split in its share."""
    groups = labels_of(corpus, "situation", "split.group_by")
    splits = grouped_split(corpus, groups, SHARES, "issue_category", 0)
    of = {row["id"]: group for row, group in zip(corpus, groups)}
    assert_disjoint(splits)
    assert_disjoint(splits, of)
    assert sorted(row["id"] for rows in splits.values() for row in rows) == sorted(of)
    # of thirty situations of 40 or 73 texts, five are nearest to 300
    for name, wanted in {"train": 1400, "val": 300, "test": 300}.items():
        assert abs(len(splits[name]) - wanted) < 73
        counts = Counter(row["record"]["issue_category"] for row in splits[name])
        assert set(counts) == set(CATEGORIES)
        for category, share in CATEGORIES.items():
            assert abs(counts[category] / len(splits[name]) - share) < 0.02
    assert splits == grouped_split(corpus, groups, SHARES, "issue_category", 0)
    assert splits != grouped_split(corpus, groups, SHARES, "issue_category", 1)


def test_the_first_rows_mix_groups(corpus):
    """What is evaluated is the first of the test split: from all of its groups, not from a few."""
    groups = labels_of(corpus, "situation", "split.group_by")
    of = {row["id"]: group for row, group in zip(corpus, groups)}
    for rows in grouped_split(corpus, groups, SHARES, "issue_category", 0).values():
        every = {of[row["id"]] for row in rows}
        first = Counter(of[row["id"]] for row in rows[: 2 * len(every)])
        assert set(first) == every and max(first.values()) <= 4


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.integers(0, 8), min_size=1, max_size=120),
    labels=st.integers(1, 4),
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
    by=st.sampled_from(["label", None]),
)
def test_any_grouped_split_is_whole_and_repeatable(groups, labels, weights, seed, by):
    """Whatever the groups and shares: nothing lost, no group divided, no split empty."""
    rows = [
        {"id": str(n), "text": f"t{n}", "record": {"label": n % labels}} for n in range(len(groups))
    ]
    names = [str(group) for group in groups]
    shares = {f"s{k}": weight / sum(weights) for k, weight in enumerate(weights)}
    if len(set(names)) < len(shares):
        with pytest.raises(
            UserError, match="^split.group_by: expected at least .* groups, one for"
        ):
            grouped_split(rows, names, shares, by, seed)
        return
    splits = grouped_split(rows, names, shares, by, seed)
    assert sorted(row["id"] for part in splits.values() for row in part) == sorted(
        row["id"] for row in rows
    )
    assert_disjoint(splits, {row["id"]: name for row, name in zip(rows, names)})
    assert all(splits.values())
    assert splits == grouped_split(rows, names, shares, by, seed)


def test_many_small_groups_meet_the_shares():
    """With groups enough the sizes are off by a few rows."""
    rows = [{"id": str(n), "text": f"t{n}", "record": {"label": n % 3}} for n in range(1000)]
    groups = [str(int(n**0.8)) for n in range(1000)]
    splits = grouped_split(rows, groups, SHARES, "label", 0)
    assert {name: round(len(part), -1) for name, part in splits.items()} == {
        "train": 700, "val": 150, "test": 150,
    }  # fmt: skip
    for part in splits.values():
        counts = Counter(row["record"]["label"] for row in part)
        assert max(counts.values()) - min(counts.values()) <= 0.1 * len(part)


def test_of_several_orders_the_best_is_kept():
    """A few large groups meet the shares exactly where some way to place them does."""
    groups = [name for name, size in zip("abcdefg", (7, 5, 3, 2, 1, 1, 1)) for _ in range(size)]
    rows = [{"id": str(n), "text": str(n), "record": {}} for n in range(20)]
    for seed in range(5):
        splits = grouped_split(rows, groups, SHARES, None, seed)
        assert [len(part) for part in splits.values()] == [14, 3, 3]


def test_a_groups_texts_are_in_random_order():
    """The first rows are no group's first rows of the file."""
    rows = [{"id": f"{n:03}", "text": str(n), "record": {}} for n in range(200)]
    splits = grouped_split(rows, ["a", "b"] * 100, {"train": 0.5, "test": 0.5}, None, 0)
    ids = [row["id"] for row in splits["train"]]
    assert ids != sorted(ids) and min(ids[:20]) < "100" < max(ids[:20])


def test_a_group_in_two_splits_is_found():
    rows = [{"id": name, "text": name, "record": {}} for name in "abcd"]
    of = {"a": "x", "b": "x", "c": "y", "d": "y"}
    assert_disjoint({"train": rows[:2], "test": rows[2:]}, of)
    with pytest.raises(
        UserError,
        match="a in train and b in test have the same group, 'x'; expected each group in one",
    ):
        assert_disjoint({"train": rows[:1], "test": rows[1:]}, of)
    with pytest.raises(UserError, match=r"and 1 more\)"):
        assert_disjoint({"train": rows[::2], "test": rows[1::2]}, of)


def divided(
    tmp_path: Path, monkeypatch, corpus, task: str | None, split: str | None, unlabelled=()
) -> Path:
    """The outputs of the split node."""
    from stages.split import main

    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["task"]["group_by"], raw["split"]["group_by"] = task, split
    raw["split"]["set_aside"] = 0
    folder = tmp_path / f"{task}-{split}"
    folder.mkdir()
    write_jsonl(folder / "data/corpus.jsonl", corpus)
    write_jsonl(folder / "data/unlabelled.jsonl", unlabelled)
    monkeypatch.chdir(folder)
    main(check_params(raw))
    return folder


def test_a_text_that_a_teacher_labels_is_in_training_with_its_group(tmp_path, monkeypatch, corpus):
    """Else a report calls a group new that the model was trained on."""
    unlabelled = [{"id": "u0", "text": "quite new", "meta": {"situation": "s"}}]
    folder = divided(tmp_path, monkeypatch, corpus, "situation", None, unlabelled)
    lines = read_jsonl(folder / "data/split/groups.jsonl")
    assert lines[-1] == {"id": "u0", "split": "train", "group": "s"}
    assert len(lines) == len(corpus) + 1


def test_grouping_texts_otherwise_changes_no_text(tmp_path, monkeypatch, corpus):
    """What trains or answers reads the texts, and must not run again for a new task.group_by."""
    plain = divided(tmp_path, monkeypatch, corpus, None, None)
    grouped = divided(tmp_path, monkeypatch, corpus, "situation", None)
    apart = divided(tmp_path, monkeypatch, corpus, "situation", "situation")
    for name in SHARES:
        file = f"data/split/{name}.jsonl"
        assert (plain / file).read_bytes() == (grouped / file).read_bytes()
        assert (plain / file).read_bytes() != (apart / file).read_bytes()
        assert all(set(row) == {"id", "text", "record"} for row in read_jsonl(plain / file))
    assert (plain / "data/split/groups.jsonl").read_bytes() == b"\n"
    situations = {row["id"]: row["meta"]["situation"] for row in corpus}
    for folder in (grouped, apart):
        lines = read_jsonl(folder / "data/split/groups.jsonl")
        assert {line["id"]: line["group"] for line in lines} == situations
        for name in SHARES:
            rows = read_jsonl(folder / f"data/split/{name}.jsonl")
            assert [line["id"] for line in lines if line["split"] == name] == [
                row["id"] for row in rows
            ]


def test_no_node_that_trains_or_answers_reads_what_texts_are_grouped_by():
    """In dvc.yaml: the task's fields and instruction, and not the task."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for name, stage in stages.items():
        body = stage.get("do", stage)
        grouping = {"task", "task.group_by"} & set(body.get("params", []))
        assert bool(grouping) == (name in (
            "corpus", "split", "analyze", "robustness", "learning_curve", "cascade", "distillation", "report"
        ))  # fmt: skip
        reads = "data/split/groups.jsonl" in body["deps"]
        assert reads == (
            name in ("analyze", "robustness", "learning_curve", "cascade", "distillation")
        )


# --- the analysis ----------------------------------------------------------------------------

NAMES = ["a", "b"]
RANDOM = np.random.default_rng(5)


def alike(chance: float, random: np.random.Generator, runs: int = 1, wide: float = 1.5):
    """Right or wrong in two fields, (runs, texts, 2), the texts of a group alike."""
    ease = random.normal(scale=wide, size=len(SIZES))[MEMBER]
    level = 1 / (1 + np.exp(-(math.log(chance / (1 - chance)) + ease)))
    return (random.random((runs, MEMBER.size, 2)) < level[None, :, None]).astype(float)


LORA = alike(0.7, RANDOM, 3)
BASE = alike(0.4, RANDOM)[0]


def run(fields: np.ndarray) -> ScoredRun:
    texts = len(fields)
    return ScoredRun(
        outputs=("{}",) * texts,
        fields=fields,
        valid_json=np.arange(texts) % 5 > 0,
        schema_valid=np.arange(texts) % 7 > 0,
        outcomes=np.array(["answered"] * texts),
        input_tokens=np.ones(texts, int),
        output_tokens=np.ones(texts, int),
    )


def runs(name: str, *fields: np.ndarray) -> ConditionRuns:
    kind = "lora" if name == "lora" else "api"
    cost = CostPer1K(usd=1.0, batched_usd=None, how="")
    return ConditionRuns(name, name.upper(), kind, "Tiny", 0, tuple(map(run, fields)), cost)


def compared(lora: np.ndarray = LORA, base: np.ndarray = BASE, groups: Labels | None = LABELS):
    (found,) = compare(runs("lora", *lora), [runs("api", base)], NAMES, DRAWS, groups)
    return found


def ends(found) -> tuple[float, float]:
    return found.low, found.high


def test_a_comparison_counts_groups_in_everything_it_says():
    found, apart = compared(), LORA.mean(axis=2) - BASE.mean(axis=1)
    plain = compared(groups=None)
    decides = random_effects_interval(apart, 0.9, groups=LABELS)
    assert ends(found.random_effects) == pytest.approx(ends(decides), abs=1e-6)
    assert found.random_effects.method == (
        "random-effects interval over seeds and texts clustered by situation"
    )
    paired = paired_difference(
        LORA.mean(axis=(0, 2)), BASE.mean(axis=1), DRAWS, groups=LABELS.of_text
    )
    assert ends(found) == pytest.approx(ends(paired.interval), abs=1e-6)
    assert found.method == "t interval over texts clustered by situation, with a pseudo-text"
    assert found.p_value == pytest.approx(paired.p_value, rel=1e-3) != plain.p_value
    assert (found.clusters, plain.clusters) == (28, 64)
    assert (found.wins, found.ties, found.losses) == (plain.wins, plain.ties, plain.losses)
    for column, name in enumerate(NAMES):
        of_field = random_effects_interval(LORA[:, :, column] - BASE[:, column], 0.9, groups=LABELS)
        assert ends(found.per_field[name]) == pytest.approx(ends(of_field), abs=1e-6)
        assert ends(found.per_field[name]) != ends(plain.per_field[name])
    exact = (LORA == 1).all(axis=2).astype(float) - (BASE == 1).all(axis=1)
    rate = random_effects_interval(exact, 0.9, groups=LABELS)
    assert ends(found.rates.exact_match) == pytest.approx(ends(rate), abs=1e-6)
    assert found.planning == planning(apart, 0.9, groups=LABELS) != plain.planning
    assert found.clustering == clustering(apart, LABELS) and plain.clustering is None
    # the difference itself is what it was
    assert (found.difference, found.mcnemar.only_lora) == (
        plain.difference, plain.mcnemar.only_lora,
    )  # fmt: skip


def test_right_or_wrong_is_tested_by_whole_groups():
    """Where every group is one text the test is McNemar's; where they are larger it claims less."""
    mine, theirs = (LORA == 1).all(axis=2).mean(axis=0) > 0.5, (BASE == 1).all(axis=1)
    plain, grouped = compared(groups=None).mcnemar, compared().mcnemar
    assert plain.p_value == pytest.approx(mcnemar_exact(mine, theirs).p, rel=1e-3)
    signs = mine.astype(float) - theirs
    p = sign_flip(signs, DRAWS.resamples, DRAWS.seed, groups=LABELS)
    assert grouped.p_value == pytest.approx(p, rel=1e-3) != plain.p_value
    one_each = Labels("thread", tuple(map(str, range(12))))
    few = compared(LORA[:, 20:32], BASE[20:32], one_each).mcnemar
    expected = mcnemar_exact(mine[20:32], theirs[20:32]).p
    assert few.p_value == pytest.approx(expected, abs=1e-3)


def test_a_plan_counts_groups_of_as_many_texts():
    """Twenty-eight were run; of them, not of 64, it is said what they can show."""
    apart = LORA.mean(axis=2) - BASE.mean(axis=1)
    found = planning(apart, 0.95, groups=LABELS)
    assert [row.texts for row in found.detectable] == [28, 100, 300, 1000, 3000]
    parts = components(apart, groups=LABELS)
    expected = minimum_detectable_effect(parts, 3, 28, 0.95)
    assert found.here == pytest.approx(expected, rel=1e-2)
    assert planning(apart, 0.95, groups=["one"] * 64) is None


def test_the_fine_tunes_own_numbers_count_groups():
    scores = LORA.mean(axis=2)
    of_runs = tuple(map(run, LORA))
    found = lora_statistics((0, 1, 2), of_runs, DRAWS, LABELS)
    plain = lora_statistics((0, 1, 2), of_runs, DRAWS)
    both = random_effects_score(scores, DRAWS, groups=LABELS)
    assert ends(found.intervals.random_effects) == pytest.approx(ends(both), abs=1e-6)
    texts = text_interval(scores.mean(axis=0), DRAWS, groups=LABELS)
    assert ends(found.intervals.texts) == pytest.approx(ends(texts), abs=1e-6)
    assert found.intervals.texts.method == "Bayesian bootstrap over texts clustered by situation"
    # what stands for comparison stays what it is
    assert found.intervals.texts_bca == plain.intervals.texts_bca
    assert found.intervals.published_protocol == plain.intervals.published_protocol
    shares = variance_shares(scores, 0.9, 0, groups=LABELS)
    assert found.variance_shares.texts.estimate == pytest.approx(shares.texts.estimate, abs=1e-4)
    assert found.variance_shares != plain.variance_shares
    assert found.clustering.design_effect > 1.2 and plain.clustering is None
    row = conditions_row(
        runs("lora", *LORA), [{"id": "x", "record": {"a": "x", "b": "y"}}] * 64,
        (Field("a", "string", "exact"), Field("b", "string", "exact")), None, DRAWS, LABELS,
    )  # fmt: skip
    assert ends(row.field_f1) == pytest.approx(ends(both), abs=1e-6)
    assert "clustered by situation" in row.rate_intervals.valid_json.method


def test_perturbed_texts_count_groups():
    lora, api = (alike(0.7, RANDOM)[0], alike(0.6, RANDOM)[0]), (BASE, alike(0.3, RANDOM)[0])

    def answers(name, clean, perturbed):
        twice = np.concatenate([perturbed, clean])
        return CleanAndPerturbed(name, name, "api", [run(clean)], [run(twice)])

    items = [answers("lora", *lora), answers("api", *api)]
    changes = dict.fromkeys(("typos", "none"), range(64))
    found = robustness(items, changes, 64, DRAWS, LABELS)
    plain = robustness(items, changes, 64, DRAWS)
    assert (found.fewest, plain.fewest) == (28, 64)
    for mine, theirs in zip(found.conditions, plain.conditions):
        assert ends(mine.drop) != ends(theirs.drop)
        assert "clustered by situation" in mine.drop.method
        first = mine.by_perturbation[0]
        assert ends(first.drop) != ends(theirs.by_perturbation[0].drop)
        assert first.p_value != theirs.by_perturbation[0].p_value
    assert ends(found.leads[0].drop) != ends(plain.leads[0].drop)
    drop = difference_interval(lora[0].mean(axis=1) - lora[1].mean(axis=1), 0.9, groups=LABELS)
    assert ends(found.conditions[0].by_perturbation[0].drop) == pytest.approx(ends(drop), abs=1e-6)


def test_labels_are_read_in_the_order_of_the_texts(tmp_path):
    file = tmp_path / "groups.jsonl"
    lines = [("a", "train", "x"), ("b", "test", "x"), ("c", "val", "y"), ("d", "test", "y")]
    write_jsonl(file, [dict(zip(("id", "split", "group"), line)) for line in lines])
    rows = [{"id": "d"}, {"id": "b"}]
    labels = read_labels(rows, "customer", file)
    assert labels == Labels("customer", ("y", "x")) and labels.take([1]).of_text == ("x",)
    # y has a validation text, which is none that training saw
    assert text_groups(labels, "thread", file) == TextGroups(
        by="customer", number=2, in_training=1, apart_by="thread"
    )
    assert read_labels(rows, None, tmp_path / "none") is None
    assert text_groups(None, None, tmp_path / "none") is None
    with pytest.raises(UserError, match="no line for e; `dvc repro split` groups by customer"):
        read_labels([{"id": "e"}], "customer", file)


# --- one group -------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [1, 3])
def test_of_one_group_nothing_is_decided(seeds):
    """However clear the scores: how another group would score was not seen."""
    one = Labels("customer", ("ann",) * 64)
    found = compared(np.ones((seeds, 64, 2)), np.zeros((64, 2)), one)
    assert ends(found.random_effects) == (-1.0, 1.0) and found.p_value == 1.0
    assert found.planning is None and found.clusters == 1
    decided = decide(
        found,
        CostRatio(estimate=0.5, low=0.5, high=0.5, method=""),
        PayBack(volume=1.0, low=1.0, high=1.0, never=0.0, method=""),
        HYPOTHESIS.clauses,
        seeds,
    )
    assert (decided.non_inferior, decided.superior) == ("undecided", "undecided")
    scores = lora_statistics(range(seeds), tuple(map(run, np.ones((seeds, 64, 2)))), DRAWS, one)
    assert ends(scores.intervals.texts) == ends(scores.intervals.random_effects) == (0.0, 1.0)
    assert scores.clustering == Clustering(intraclass_correlation=None, design_effect=None)


# --- what is covered -------------------------------------------------------------------------


@pytest.mark.slow
def test_clustered_intervals_cover_and_others_do_not():
    """Texts of a group correlated by 0.3, 28 groups of unequal size: of scores and of differences."""
    random = np.random.default_rng(1)
    held = Counter()
    experiments = 1500

    def smooth(correlation: float) -> np.ndarray:
        group = math.sqrt(correlation) * random.normal(size=len(SIZES))[MEMBER]
        noise = group + math.sqrt(1 - correlation) * random.normal(size=MEMBER.size)
        # sixths, as a record of six fields has them
        return np.clip(np.round(6 * (0.6 + 0.18 * noise)) / 6, 0, 1)

    truth = float(np.mean([smooth(0.3).mean() for _ in range(20_000)]))
    for number in range(experiments):
        scores, others = smooth(0.3), smooth(0.3)
        for name, groups in (("clustered", MEMBER), ("independent", None)):
            found = text_interval(scores, Draws(300, number, 0.95), groups=groups)
            held["scores", name] += found.low <= truth <= found.high
            paired = difference_interval(scores - others, 0.95, groups=groups)
            held["differences", name] += paired.low <= 0 <= paired.high
    for what in ("scores", "differences"):
        assert 0.93 <= held[what, "clustered"] / experiments <= 0.98, held
        assert held[what, "independent"] / experiments < 0.93, held


@pytest.mark.slow
def test_the_noise_of_asking_once_is_in_the_interval_over_texts():
    """The truth is what each text scores on average over askings; each was asked once."""
    random = np.random.default_rng(2)
    experiments, texts, held = 1500, 64, Counter()
    for number in range(experiments):
        # half of the variance of a score is that it is asked again
        own = random.beta(1, 1, size=texts)
        asked = (random.random(texts) < own).astype(float)
        found = text_interval(asked, Draws(200, number, 0.95))
        held["asked once"] += found.low <= 0.5 <= found.high
        # an interval without that noise, around a mean that has it, misses
        bare = text_interval(own, Draws(200, number, 0.95))
        held["without"] += abs(asked.mean() - 0.5) <= (bare.high - bare.low) / 2
    assert 0.93 <= held["asked once"] / experiments <= 0.98, held
    assert held["without"] / experiments < 0.9, held


def test_what_moves_a_whole_run_is_told_from_the_noise_of_answers():
    random = np.random.default_rng(3)
    # how hard each text is says nothing of either
    texts = random.normal(0.5, 1.0, size=50)
    noise = [whole_runs(texts + random.normal(0, 0.1, size=(4, 50)))[1] for _ in range(300)]
    assert np.mean(np.array(noise) < 0.05) < 0.09
    table = texts + random.normal(0, 0.1, size=(4, 50))
    alone, _ = whole_runs(table)
    assert alone == pytest.approx(0.1 / math.sqrt(50), rel=0.2)
    _, moved = whole_runs(table + np.array([0.0, 0.1, 0.2, 0.3])[:, None])
    assert moved < 1e-4
    # texts that all answer alike, a single text, and nothing but whole runs
    assert whole_runs(np.full((3, 9), 0.5)) == (0.0, 1.0)
    assert whole_runs(np.array([[0.5], [0.7]]))[1] is None
    assert whole_runs(np.array([[0.5, 0.5], [1.0, 1.0]]))[1] == 0.0


# --- the report ------------------------------------------------------------------------------


def grouped(number: int, known: int, apart: str | None = None, by: str = "situation") -> Analysis:
    alike = Clustering(intraclass_correlation=0.31, design_effect=1.69)
    if number == 1:
        alike = Clustering(intraclass_correlation=None, design_effect=None)
    result = analysis()
    groups = TextGroups(by=by, number=number, in_training=known, apart_by=apart)
    places = range(len(result.comparisons))
    return changed(
        result,
        groups=groups.model_dump(),
        lora_statistics__clustering=alike.model_dump(),
        **{f"comparisons__{place}__clusters": number for place in places},
        **{f"comparisons__{place}__clustering": alike.model_dump() for place in places},
    )


@pytest.mark.parametrize(
    ("groups", "said", "not_said"),
    [
        (None, "- **Holds for.** New texts like these, each counted as independent of the others. "
         "Where several come from one author or thread they are not: name that column in "
         "`task.group_by`", "known"),
        ((28, 28), "New texts of known situations: all 28 situations of the test texts also occur in "
         "training. How it does on a new situation was not tested.", "checked)."),
        ((28, 20), "New texts of situations as they come: of the test texts' 28 situations, 20 also "
         "occur in training.", "known situations:"),
        ((28, 1), "of the test texts' 28 situations, 1 also occurs in training.", "known situations:"),
        ((28, 0), "New texts of new situations, as it happens: none of the test texts' 28 situations "
         "occurs in training.", "**Known situations.**"),
        ((5, 0, "situation"), "New texts of new situations: no situation of a test text occurs in "
         "training (checked).", "also occur"),
        ((30, 3, "company", "customer_id"), "New texts of new companies: no company of a test text "
         "occurs in training (checked). Of the 30 customer ids of the test texts, 3 do.", "as they"),
        ((1, 1), "New texts of known situations: the situation of the test texts also occurs in "
         "training. How it does on a new situation was not tested. **All test texts are of one "
         "situation, so no interval can be had**", "all 1"),
    ],
)  # fmt: skip
def test_the_report_says_for_which_texts_it_holds(groups, said, not_said):
    result = analysis() if groups is None else grouped(*groups)
    text = report_markdown(inputs(result))
    bullet = next(line for line in text.splitlines() if line.startswith("- **Holds for.**"))
    assert said in bullet and not_said not in bullet
    limits = text[text.index("## Limitations") :]
    assert ("- **Texts are counted as independent.**" in limits) == (groups is None)
    known = groups is not None and len(groups) == 2 and groups[1] > 0
    assert ("- **Known " in limits) == known
    assert ("No text and no" in text) == (groups is not None and len(groups) > 2)


def test_texts_and_groups_are_counted_side_by_side():
    text = report_markdown(inputs(grouped(28, 28)))
    assert text.count("64 test texts from 28 situations") == 3
    assert "**64 texts from 28 situations and 3 seeds.**" in text
    assert "n is the number of situations, 28, from which the 64 test texts come" in text
    assert (
        "0.31 for the fine-tune's score, whose standard error is 1.30 times that of independent "
        "texts; 0.31 for its difference from Tiny-7M over HTTP, zero-shot, whose"
    ) in text
    assert "comes from which situations, with their texts, were sampled" in text
    assert "| situations and seeds (used here) |" in text and "| situations alone |" in text
    assert "| texts alone as if independent, BCa, for comparison |" in text
    # under thirty is few, though the texts are more
    assert "Fewer than 30 situations: the test keeps its level" in text
    assert "by a sign-flip test that turns every situation whole" in text
    assert "McNemar's exact test" not in text
    assert "A situation counts with as many texts as these have, 2.29 on average." in text
    assert "| 1,000 situations |" in text and "fewest situations that show an effect" in text
    assert "Fewer than 30 texts" not in text
    plain = report_markdown(inputs(analysis()))
    assert "situation" not in plain and "Fewer than 30" not in plain.replace(
        "Fewer than 30 texts are few: the tests", ""
    )


def test_one_group_leaves_no_variance_to_divide():
    """And that is not because nothing varies."""
    result = changed(grouped(1, 1), lora_statistics__variance_shares__seeds=None,
                     lora_statistics__variance_shares__texts=None,
                     lora_statistics__variance_shares__interaction=None)  # fmt: skip
    text = report_markdown(inputs(result))
    assert "One situation shows nothing of how others vary" in text and "Nothing varies" not in text
    assert "intraclass" not in text


def test_another_report_is_linked_where_this_one_answers_for_known_groups():
    """From report/, where both report.md and report.html stand; and not from that report itself."""
    other = SeeAlso(title="for *new* situations", path="docs/results/new/report.md")
    named = replace(SETTINGS, see_also=(other,))
    text = report_markdown(inputs(grouped(28, 28), settings=named))
    assert "See also: [for \\*new\\* situations](../docs/results/new/report.md)." in text
    head = text[: text.index("## Hypothesis")]
    assert "See also" in head
    assert (Path("report") / "../docs/results/new/report.md").resolve() == Path(
        "docs/results/new/report.md"
    ).resolve()
    for result in (grouped(5, 0, "situation"),):
        assert "See also" not in report_markdown(inputs(result, settings=named))
    assert "See also" not in report_markdown(inputs(grouped(28, 28)))
    page = report_html("# T\n\nSee also: [x](../docs/results/new/report.md).\n", "report")
    assert '<a href="../docs/results/new/report.md">x</a>' in page


@pytest.mark.parametrize(
    ("noun", "expected"),
    [("text", "texts"), ("company", "companies"), ("day", "days"), ("box", "boxes"),
     ("batch", "batches"), ("customer id", "customer ids")],
)  # fmt: skip
def test_plurals(noun, expected):
    assert plural(noun) == expected


def test_the_committed_configuration_groups_by_situation():
    """The default run counts situations and answers for known ones; what it points to is there."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert raw["task"]["group_by"] == "situation" and raw["split"]["group_by"] is None
    assert all((ROOT / row["path"]).is_file() for row in raw["see_also"])
