"""Labels from an API condition: what is learnt from them, what is refused, and what reruns."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from lora_vs_api.analysis.compare import compare
from lora_vs_api.analysis.condition import ConditionRuns
from lora_vs_api.analysis.decision import above
from lora_vs_api.analysis.distillation import differences_from_gold
from lora_vs_api.analysis.results import CostPer1K
from lora_vs_api.analysis.scored_run import ScoredRun
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.config.sections.data import Split
from lora_vs_api.data.source import read_source
from lora_vs_api.data.split import for_training
from lora_vs_api.data.taught import taught
from lora_vs_api.errors import UserError
from lora_vs_api.paths import TEACHER, TEACHER_TIMINGS
from lora_vs_api.record.fields import Field
from lora_vs_api.report.model_card import model_card
from lora_vs_api.report.page.data import _labels
from lora_vs_api.report.sections.answer import answer_section
from lora_vs_api.report.sections.data import data_section
from lora_vs_api.report.sections.distillation import distillation_section
from lora_vs_api.stats.bootstrap import Draws
from stages import analyze
from stages.analyze import every_run
from tests.imports import ROOT
from tests.report_fixture import analysis, changed, distillation, inputs
from tests.test_publish import WHAT

SHORT = (
    "~conditions.large_few_shot_5", "~conditions.small_nearest_3", "~conditions.small_zero_shot_schema",
    "baseline=large_zero_shot_schema", "cascade=none", "model_free=[]", "robustness.conditions=[]",
    "robustness.texts.perturbations=[]", "sweep.ranks=[2]", "sweep.learning_rates=['2e-4']", "seeds=[1]",
    "training_labels.max_left_out=0.95",
)  # fmt: skip
TAUGHT_NODES = {
    "teacher@large_zero_shot_schema", "teacher_labels@large_zero_shot_schema",
    "distil@large_zero_shot_schema-1", "evaluate_distil@large_zero_shot_schema-1",
    "distillation@large_zero_shot_schema",
}  # fmt: skip


@pytest.mark.slow
def test_a_task_of_ones_own_is_labelled_by_an_api_condition(clone):
    """Some training texts have no record; the pupil stands beside the fine-tune on gold, and off is off."""
    rooms = ("single", "double", "suite")
    lines = ["ref,message,part,room,nights"] + [
        f'B{i},"{rooms[i // 3 % 3]} room for {i % 4 + 1} nights, please (request {i})",'
        + (
            "train,,"
            if i % 4 == 0
            else f"{('train', 'val', 'test')[i % 3]},{rooms[i // 3 % 3]},{i % 4 + 1}"
        )
        for i in range(60)
    ]
    (clone.path / "bookings.csv").write_text("\n".join(lines) + "\n")
    whole = [line for line in lines if "train,," not in line]
    (clone.path / "whole.csv").write_text("\n".join(whole) + "\n")
    clone.run(
        sys.executable, "-m", "lora_vs_api", "init", "whole.csv",
        "--text", "message", "--id", "ref", "--fields", "room,nights",
    )  # fmt: skip
    local = clone.path / "conf/local.yaml"
    local.write_text(local.read_text().replace("data: {n: 100}\n", ""))
    own = ("task=whole", "data.path=bookings.csv", "split.column=part", "split.set_aside=0", *SHORT)
    done = clone.experiment(*own, "training_labels=api")
    assert done >= TAUGHT_NODES

    def read(name: str) -> dict:
        return json.loads((clone.path / f"metrics/{name}.json").read_text())

    assert read("split")["train"] == read("split")["unlabelled"] == 15
    labels, found = read("teacher_labels"), read("distillation")
    assert labels["asked"] == 30 == labels["labelled"] + len(labels["left_out"])
    assert (
        found["with_gold"] <= 15
        and found["usd"] > 0
        and set(found["differs"]) == {"room", "nights"}
    )
    assert "distilled" in {row["name"] for row in read("analysis")["conditions"]}
    assert "distilled" in read("summary")["conditions"]
    assert "distilled" in (clone.path / "plots/conditions.csv").read_text()
    report = (clone.path / "report/report.md").read_text()
    assert "## Labels from an API" in report and "{model}" not in report

    def stale(*overrides: str) -> set[str]:
        clone.run(sys.executable, "-m", "lora_vs_api", "params", *own, *overrides)
        return set(json.loads(clone.run("dvc", "status", "--json")))

    assert not stale("training_labels=api")
    # another limit checks the answers again, and asks nobody
    judging = {"analyze", "distillation@large_zero_shot_schema"}
    limit = stale("training_labels=api", "training_labels.max_left_out=0.96")
    assert limit == judging | {"teacher_labels@large_zero_shot_schema"}
    # without a teacher its nodes are gone; what trained on gold stays but for the short one in front
    assert stale("training_labels=gold") <= {"corpus", "split", "sanity", "analyze", "report"}
    listed = clone.run("dvc", "stage", "list", "--name-only")
    assert not [name for name in ("teacher", "distil") if name in listed]


ENUM = Field("room", "enum", values=("single", "double"))
NIGHTS = Field("nights", "integer", optional=True)


def answers(*outputs: str) -> tuple[list[dict], list[dict]]:
    rows = [{"id": f"r{i}", "text": f"text {i}", "record": None} for i in range(len(outputs))]
    return rows, [{"id": row["id"], "output": said} for row, said in zip(rows, outputs)]


def test_answers_that_break_the_schema_teach_nothing_and_are_named():
    """No JSON, a label that is none, a key too many; a key that may be empty may be missing."""
    rows, said = answers(
        '{"room": "single", "nights": 2}', '{"room": "double"}', "sorry", '{"room": "cellar"}',
        '{"room": "single", "nights": 1, "rate": 3}', "{}", "[]",
    )  # fmt: skip
    found = taught(rows, said, (ENUM, NIGHTS), "big", 0.8)
    assert [row["record"] for row in found.rows] == [
        {"room": "single", "nights": 2},
        {"room": "double", "nights": None},
    ]
    assert found.left_out == ["r2", "r3", "r4", "r5", "r6"]
    assert found.in_words("big").startswith("5 of 7 answers of big to the training texts are no")


def test_an_empty_object_is_a_record_where_every_field_may_be_missing():
    """Of a model that was told to leave out nulls it is the right answer, and a training needs its keys."""
    omitted = Field("nights", "integer", optional="omit")
    for field in (NIGHTS, omitted):
        rows, said = answers("{}")
        found = taught(rows, said, (field,), "big", 0.0)
        assert [row["record"] for row in found.rows] == [{"nights": None}]


@pytest.mark.parametrize("limit, refused", [(0.5, False), (0.49, True), (0.0, True)])
def test_too_many_bad_labels_stop_in_one_line(limit, refused):
    rows, said = answers('{"room": "single"}', "sorry")
    if not refused:
        assert len(taught(rows, said, (ENUM,), "big", limit).rows) == 1
        return
    with pytest.raises(
        UserError, match=r"^training_labels.max_left_out: .* found 0.5: 1 of 2 .* r1$"
    ):
        taught(rows, said, (ENUM,), "big", limit)


def test_no_label_at_all_is_refused_whatever_the_limit():
    with pytest.raises(
        UserError, match=r"^training_labels\.max_left_out: expected a share of at most 0.999"
    ):
        taught(*answers("sorry"), (ENUM,), "big", 0.999)
    with pytest.raises(UserError, match="^training_labels: expected training texts"):
        taught([], [], (ENUM,), "big", 0.5)
    rows, said = answers('{"room": "single"}', '{"room": "single"}')
    with pytest.raises(UserError, match="are not those to the training texts"):
        taught(rows, said[::-1], (ENUM,), "big", 0.5)


def split_of(**keys: object) -> Split:
    shares = {"train": 0.7, "val": 0.15, "test": 0.15}
    given = {"column": None, "shares": shares, "stratify_by": None, "group_by": None}
    return Split.model_validate(given | {"set_aside": 0, "seed": 0} | keys)


def row(key: str, text: str, **meta: str) -> dict:
    return {"id": key, "text": text, "record": {}, "meta": meta}


def test_a_text_without_a_record_is_for_training_alone():
    """One that is tested, or labelled, or there twice is left where it is."""
    splits = {
        "train": [row("a", "one")],
        "val": [row("b", "two")],
        "test": [row("c", "three  words")],
    }
    unlabelled = [row(f"u{i}", text) for i, text in enumerate(
        ("new", "new", "three words", "two", "one", "other")
    )]  # fmt: skip
    found = for_training(unlabelled, splits, split_of())
    assert found == [{"id": "u0", "text": "new"}, {"id": "u5", "text": "other"}]
    assert for_training([], splits, split_of(group_by="who")) == []
    # the same letters in another Unicode form are the same text
    splits["test"] = [row("d", "caf\u00e9")]
    assert for_training([row("u", "cafe\u0301")], splits, split_of()) == []


@pytest.mark.parametrize(
    ("settings", "meta", "message"),
    [
        ({"column": "part"}, {"part": "test"}, "split.column: u has no record; expected train of it, found"),
        ({"group_by": "who"}, {"who": "me"}, "split.group_by: u has no record and may be of a group"),
        (
            {"group_by": "who", "column": "part"}, {"who": "you", "part": "train"},
            "split.group_by: u has no record and is of 'you', which val or test has too",
        ),
    ],
)  # fmt: skip
def test_a_text_without_a_record_that_would_be_tested_is_refused(settings, meta, message):
    splits = {
        "train": [],
        "val": [row("b", "two", who="you")],
        "test": [row("c", "three", who="me")],
    }
    with pytest.raises(UserError) as caught:
        for_training([row("u", "new", **meta)], splits, split_of(**settings))
    assert str(caught.value).startswith(message)


def test_rows_without_a_record_are_read_only_for_a_teacher(tmp_path):
    """Half a record is a slip in either case, and so is an empty one where nobody would label it."""
    path = tmp_path / "rows.csv"
    path.write_text("text,room,nights\nfirst,single,1\nsecond,,\n")
    alone: list = []
    rows = read_source(path, (ENUM, NIGHTS), "text", None, None, unlabelled=alone)
    assert [each["text"] for each in rows] == ["first"]
    assert [each["text"] for each in alone] == ["second"]
    with pytest.raises(UserError, match="rows.csv:3: room: expected one of single, double"):
        read_source(path, (ENUM, NIGHTS), "text", None, None)
    path.write_text("text,room,nights\nfirst,single,1\nsecond,,2\n")
    with pytest.raises(UserError, match="rows.csv:3: room: expected one of single, double"):
        read_source(path, (ENUM, NIGHTS), "text", None, None, unlabelled=[])


def test_a_misspelt_label_in_a_renamed_column_is_no_missing_record(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,Zimmer\nfirst,single\nsecond,singel\nthird,\n")
    field = Field("room", "enum", values=("single", "double"), source="Zimmer")
    with pytest.raises(
        UserError, match="rows.csv:3: room: expected one of single, double"
    ) as caught:
        read_source(path, (field,), "text", None, None, unlabelled=[])
    assert "rows.csv:4" not in str(caught.value)


def test_how_often_the_teacher_differs_counts_what_is_learnt_from(tmp_path):
    gold = [
        {"id": f"r{i}", "text": "t", "record": {"room": "single", "nights": 1}} for i in range(4)
    ]
    said = [
        {"id": "r0", "output": '{"room": "single", "nights": 1}'},
        {"id": "r1", "output": '{"room": "double", "nights": 1}'},
        {"id": "r2", "output": '{"room": "double", "nights": 2}'},
        {"id": "r3", "output": "sorry"},
        {"id": "u0", "output": '{"room": "double", "nights": 2}'},
    ]
    number, fields, anywhere = differences_from_gold(
        gold, said, ["r3"], (ENUM, NIGHTS), Draws(resamples=200, confidence=0.95, seed=0), None
    )
    assert number == 3 and anywhere.estimate == pytest.approx(2 / 3, abs=1e-6)
    assert fields["nights"].estimate == pytest.approx(1 / 3, abs=1e-6)
    assert fields["room"].low < 2 / 3 < fields["room"].high
    assert differences_from_gold(
        [], said, [], (ENUM,), Draws(resamples=200, confidence=0.95, seed=0), None
    ) == (0, None, None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["training_labels=api", "training_labels.condition=gpt"], "training_labels.condition: expected one of"),
        (["training_labels=api", "api=none"], "training_labels.condition: expected an API condition, of"),
        (["training_labels=api", "training_labels.seeds=[]"], "training_labels.asked, seeds, rows, first_rows"),
        (["training_labels=api_only"], "learning_curve.sizes: expected [] with -S training_labels=api_only"),
        (["training_labels.max_left_out=1"], "training_labels.max_left_out: expected a share"),
    ],
)  # fmt: skip
def test_a_teacher_that_cannot_be_asked_is_refused_before_anything_runs(given, message):
    with pytest.raises(UserError) as caught:
        check_params(yaml.safe_load(compose(given, conf=ROOT / "conf")))
    assert message in str(caught.value)


@pytest.mark.parametrize("choice", ["api", "api_only"])
def test_a_teacher_is_chosen_by_one_key(choice):
    given = [f"training_labels={choice}", "learning_curve.sizes=[]", "seeds=[4]"]
    found = check_params(yaml.safe_load(compose(given, conf=ROOT / "conf"))).training_labels
    assert found.condition == "large_zero_shot_schema" or found.condition in found.asked
    assert found.seeds == ([4] if choice == "api" else [])


def test_a_pupil_is_paired_by_text_and_by_seed():
    """Two seeds that both gain 0.2 over their twin leave no doubt, however far the seeds lie apart."""

    def runs(name: str, *scores: float) -> ConditionRuns:
        made = tuple(
            ScoredRun(
                outputs=("{}",) * 20, fields=np.full((20, 1), score), valid_json=np.ones(20, bool),
                schema_valid=np.ones(20, bool), outcomes=np.array(["answered"] * 20),
                input_tokens=np.ones(20, int), output_tokens=np.ones(20, int),
            )
            for score in scores
        )  # fmt: skip
        return ConditionRuns(
            name, name, "lora", "m", 0, made, CostPer1K(usd=1, batched_usd=None, how="")
        )

    draws = Draws(resamples=200, confidence=0.95, seed=0)
    (made,) = compare(runs("lora", 0.3, 0.9), [runs("distilled", 0.1, 0.7)], ["x"], draws)
    assert made.difference == pytest.approx(0.2)
    paired = made.random_effects
    assert paired.low > 0 and paired.high - paired.low < 0.5
    (alone,) = compare(runs("lora", 0.3, 0.9), [runs("api", 0.4)], ["x"], draws)
    assert alone.random_effects.high - alone.random_effects.low > 1
    with pytest.raises(ValueError, match="expected one run or 2, found 3"):
        compare(runs("lora", 0.3, 0.9), [runs("d", 0.1, 0.2, 0.3)], ["x"], draws)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.2, "**The pupil is more accurate than its teacher:"),
        (0.0, 0.2, "**The pupil is not shown to be more accurate than its teacher, nor"),
        (-0.2, 0.0, "**The pupil is not more accurate than its teacher:"),
        (0.0, 0.0, "**The pupil is not more accurate than its teacher:"),
    ],
)
@pytest.mark.parametrize("gold", [0, 1, 64])
def test_the_report_says_of_pupil_and_teacher_what_the_interval_shows(low, high, said, gold):
    """With no gold, one text of it or many, and one answer left out, none or more than are named."""
    result = analysis()
    old = result.decision("api_zero_shot")
    decision = changed(
        old, interval__low=low, interval__high=high, superior=above(low, high, 0.0),
        non_inferior=above(low, high, -old.margin),
    )  # fmt: skip
    left_out = tuple(f"t{i}" for i in range({0: 0, 1: 1, 64: 12}[gold]))
    found = distillation(result, decision, gold, left_out)
    text = distillation_section(inputs(result, distillation=found))
    assert said in text and "yours to check" in text and "USD 0" in text
    assert ("is not known" in text) == (gold == 0) and ("So few texts" in text) == (gold == 1)
    assert ("Every answer is a valid record" in text) == (not left_out)
    assert ("1 of its answers is no valid record; these texts teach nothing: t0." in text) == (
        gold == 1
    )
    assert ("12 of its answers are no valid record" in text and "t9, …." in text) == (gold == 64)
    assert "None" not in text and "{{" not in text
    assert distillation_section(inputs(result)) == ""


def told(result):
    return distillation(result, result.decision("api_zero_shot"), 3, ())


@pytest.mark.parametrize(
    ("kind", "said", "unsaid"),
    [
        ("openai", "for USD 0", "would cost"),
        ("llama_cpp", "its answers would cost USD", "for USD"),
    ],
)
def test_of_a_teacher_on_this_machine_no_bill_is_told(kind, said, unsaid):
    result = analysis(api_kind=kind)
    text = " ".join(distillation_section(inputs(result, distillation=told(result))).split())
    assert said in text and unsaid not in text
    assert ("Whether the provider's terms allow" in text) == (kind == "openai")
    assert ("holds the teacher's bill" in text) == (kind == "openai")


def test_who_labelled_stands_beside_every_score():
    """In the answer and on the model card where no gold was learnt from, in the data where texts had none."""
    gold = changed(analysis(), trained_on={"seen": 9, "given": 9})
    ours = changed(gold, trained_on__labelled_by="Big, 2-shot")
    card = model_card(ours, WHAT)
    assert "trained on all 9 training texts as Big, 2-shot labelled them, scores" in answer_section(
        inputs(ours)
    )
    assert "are the answers of Big, 2-shot, no person's" in card
    assert "labelled" not in answer_section(inputs(gold)) and "no person's" not in model_card(
        gold, WHAT
    )
    split = changed(inputs(gold).split, train=0, unlabelled=9)
    text = data_section(inputs(ours, split=split, distillation=told(ours)))
    assert "and 9 for training without a record, labelled by Tiny-7M over HTTP, zero-shot" in text
    assert "without a record" not in data_section(inputs(gold))


def test_each_seed_of_the_pupil_has_its_own_answers():
    def named(name, kind, *scores):
        return SimpleNamespace(name=name, kind=kind, runs=scores)

    params = SimpleNamespace(seeds=[1, 2], training_labels=SimpleNamespace(seeds=[1, 2]))
    every = [
        named("lora", "lora", "a", "b"),
        named("distilled", "tuned", "c", "d"),
        named("api", "api", "e"),
    ]
    assert every_run(params, every) == {
        "lora-seed-1": "a", "lora-seed-2": "b", "distilled-seed-1": "c", "distilled-seed-2": "d", "api": "e",
    }  # fmt: skip


@pytest.mark.parametrize("choice", ["gold", "api", "api_only"])
def test_the_fine_tune_on_a_teachers_labels_alone_pays_for_them(choice):
    """As its price says; beside gold the bill is of the pupil, in the section on it alone."""
    given = [f"training_labels={choice}", "learning_curve.sizes=[]"]
    params = check_params(yaml.safe_load(compose(given, conf=ROOT / "conf")))
    bill = SimpleNamespace(as_asked_of=lambda kind: SimpleNamespace(kind=kind))
    called = []

    def priced(run, priced_as, prices):
        called.append((run.kind, priced_as))
        return SimpleNamespace(request_costs=lambda: np.array([0.25, 0.5]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analyze, "teacher_bill", lambda folder, timings: bill)
        patch.setattr(analyze, "billed", priced)
        assert analyze.teacher_usd(params) == (0.75 if choice == "api_only" else 0)
    name = params.training_labels.condition
    assert called == (
        [(params.api.server.kind, params.priced_as[name])] if choice == "api_only" else []
    )
    assert (analyze.labelled_by(params) is None) == (choice != "api_only")
    labels = params.training_labels
    if choice == "api_only":
        assert (labels.bill, labels.bill_timings) == (TEACHER, TEACHER_TIMINGS)
    listed = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert {"${training_labels.bill}", "${training_labels.bill_timings}"} <= set(
        listed["analyze"]["deps"]
    )
    assert "task.weights" in listed["distillation"]["params"]


def test_the_page_names_each_seed_of_the_pupil():
    result = analysis(seeds=(1, 2))
    row = changed(result.untuned, name="distilled", kind="tuned", label="LoRA on labels of Big")
    found = _labels(result.model_copy(update={"conditions": (*result.conditions, row)}))
    assert found["distilled-seed-2"] == "LoRA on labels of Big, seed 2"
    assert "distilled-seed-1" not in _labels(result)
