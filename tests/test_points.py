"""Listed settings scored on validation texts: what is compared is comparable, and is said truly."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.errors import UserError
from lora_vs_api.search.points import Trained, read_points, score_points, table
from lora_vs_api.stats.clusters import Labels
from tests.imports import ROOT


def params(*overrides: str):
    return check_params(yaml.safe_load(compose(overrides, ROOT / "conf")))


@pytest.fixture(scope="module")
def laptop():
    return read_points("laptop", params("profile=laptop"), ROOT / "conf")


def test_the_laptop_list_holds_the_profile_and_lies_around_it(laptop):
    """What the profile fixes and no sweep tries: the steps, also at another rate."""
    points, texts = laptop
    assert points[0].words == "" and texts == 100
    first, profile = points[0].params, params("profile=laptop")
    assert (profile.train, profile.lora.adapter) in [
        (point.params.train, point.params.lora.adapter) for point in points
    ]
    tried = {
        (p.params.lora.adapter.dropout, p.params.train.batch_size, p.params.train.max_steps)
        for p in points
    }
    assert tried == {(0.0, 8, 80), (0.0, 8, 120), (0.0, 8, 160)}
    assert {(p.r, p.learning_rate) for p in points} == {(16, 2e-3), (16, 4e-3)}
    # no point has a seed of the final trainings
    assert not {p.params.sweep.trial.seed for p in points} & set(first.seeds)


def test_the_table_says_how_far_each_is_from_the_first(laptop):
    """The mean difference over the same texts, and the score of whatever was answered."""
    points, _ = laptop
    record = {
        "customer_name": "A", "issue_category": "billing", "urgency": 1, "primary_request": "x",
        "mentioned_products": [], "sentiment": "neutral",
    }  # fmt: skip
    rows = [{"id": f"v{i}", "text": f"t{i}", "record": record} for i in range(20)]
    right = json.dumps(record)
    told: list[int] = []

    def ask(point, texts):
        wrong = 5 if point.words == "train.max_steps=160" else 0
        return Trained(["no"] * wrong + [right] * (len(texts) - wrong), 0.25, 61.4)

    scored = score_points(points, rows, lambda so_far: told.append(len(so_far)), ask)
    assert told == list(range(1, len(points) + 1))
    text = table(scored, "lora-vs-api points laptop", points[0])
    assert "at rank 16 and learning rate 0.002, one training each with seed 100" in text
    assert "scored on the first 20 validation texts; no test text is read" in text
    assert "dropout 0, batches of 8, 80 steps" in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert lines[2] == "| as it is | 1.000 | – | 100.0% | 100.0% | 0.250 | 61 |"
    (short,) = [line for line in lines if "max_steps=160" in line]
    assert short.startswith("| `train.max_steps=160` | 0.750 | -0.250 (-0.4")
    assert short.endswith("| 75.0% | 75.0% | 0.250 | 61 |")
    # the five that went wrong are of one thread: as many independent texts would say more
    threads = Labels("thread", tuple(str(place // 5) for place in range(20)))
    grouped = table(scored, "lora-vs-api points laptop", points[0], threads)
    assert "interval over texts clustered by thread)" in grouped and short not in grouped


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("points: [[]]", "base: Field required"),
        ("base: [", "not valid YAML"),
        ("", "mine.yaml: Input should be a valid dictionary"),
        ("base: 2026-13-01", "not valid YAML: month must be in 1..12"),
        ("base: []\nval_rows: 1\npoints: [[]]", "val_rows: Input should be greater than or equal"),
        ("base: []\nval_rows: 9\npoints: []", "points: List should have at least 1 item"),
        ("base: []\nval_rows: 9\npoints: [['seeds=[5]']]", "expected settings of lora or train, found s"),
        ("base: [profile=laptop]\nval_rows: 9\npoints: [[]]", "expected lora.r and lora.learning_rate"),
        ("base: [data.n=900]\nval_rows: 9\npoints: [[]]", "its data is not that of params.yaml, from"),
        ("base: [split.seed=1]\nval_rows: 9\npoints: [[]]", "its split is not that of params.yaml, fr"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_tried_here_is_one_line(tmp_path, content, message):
    """Before minutes are spent, and before scores of other texts stand in one table."""
    conf = tmp_path / "conf"
    shutil.copytree(ROOT / "conf", conf)
    (conf / "points/mine.yaml").write_text(content)
    with pytest.raises(UserError) as caught:
        read_points("mine", params("profile=laptop"), conf)
    said = str(caught.value)
    assert message in said and "\n" not in said and "mine.yaml" in said


def test_a_list_that_is_not_there_names_those_that_are(tmp_path):
    with pytest.raises(UserError, match="points: expected one of laptop, found 'mine'"):
        read_points("mine", params(), ROOT / "conf")


@pytest.mark.slow
def test_points_are_trained_and_asked_and_leave_nothing_behind(clone):
    """The real thing with the tiny model: a table, and a workspace that DVC calls up to date."""
    list_of_two = {
        "base": ["lora.r=2", "lora.learning_rate=2e-3"],
        "val_rows": 2,
        "points": [[], ["train.max_steps=1"]],
    }
    file = Path(clone.path, "conf/points/two.yaml")
    file.write_text(yaml.safe_dump(list_of_two))
    said = clone.run(sys.executable, "-m", "lora_vs_api", "points", "two", "--out", "logs/two")
    assert re.search(r"\[2/2\] train\.max_steps=1: val F1 \d\.\d{4}", said)
    text = (clone.path / "logs/two/val.md").read_text()
    # what a barely trained tiny model writes by chance is not the same on every processor
    assert re.search(r"^\| as it is \| \d\.\d{3} \|", text, re.M)
    assert re.search(r"^\| `train\.max_steps=1` \| \d\.\d{3} \| [+-]?\d\.\d{3} \(", text, re.M)
    assert "up to date" in clone.run("dvc", "status")
    assert not list(clone.path.glob("checkpoints/*"))
