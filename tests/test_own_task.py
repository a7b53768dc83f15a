"""A task of the user's own, from a spreadsheet to records, through the real dvc."""

from __future__ import annotations

import json
import re
import sys

import pytest

from tests.clones import ANALYSIS, ran

pytestmark = pytest.mark.slow

# one server to start instead of four, one trial of each sweep and one seed: that there may be more of
# each has tests of its own. The condition left is the one whose prompt holds most of the task.
SHORT = (
    "~conditions.large_zero_shot_schema", "~conditions.large_few_shot_5",
    "~conditions.small_zero_shot_schema", "baseline=small_nearest_3",
    "robustness.conditions=[]", "sweep.ranks=[2]", "sweep.learning_rates=['2e-4']", "seeds=[1]",
)  # fmt: skip


def test_a_task_of_ones_own_from_csv_to_report_and_use(clone):
    """From a spreadsheet to the answer and to records for new texts, with the README's commands."""
    rooms = ("single", "double", "suite")
    # texts to a person, and a number, a reference and a regular expression to programs
    tariffs = ("1e3", "${x", "C++")
    lines = ["ref,message,room,nights,rate,tariff"] + [
        f'B{i},"{rooms[i % 3]} room for {i % 4 + 1} nights, please (request {i})",'
        f"{rooms[i % 3]},{i % 4 + 1},{'' if i % 5 == 0 else 60 + i},{tariffs[i % 3]}"
        for i in range(60)
    ]
    (clone.path / "bookings.csv").write_text("\n".join(lines) + "\n")
    said = clone.run(
        sys.executable, "-m", "lora_vs_api", "init", "bookings.csv",
        "--text", "message", "--id", "ref",
    )  # fmt: skip
    assert 'make params SET="task=bookings" && dvc repro' in said
    # a file has no number of generated rows
    local = clone.path / "conf/local.yaml"
    local.write_text(local.read_text().replace("data: {n: 100}\n", ""))
    done = clone.experiment("task=bookings", *SHORT)
    assert {"corpus", "data_check", "train@1", "evaluate_lora@1", "perturbed_lora@1"} <= done
    assert {"evaluate_api@small_nearest_3", "robustness", *ANALYSIS} <= done
    analysis = json.loads((clone.path / "metrics/analysis.json").read_text())
    assert analysis["fields"] == ["room", "nights", "rate", "tariff"] and analysis["texts"] == 3
    assert json.loads((clone.path / "metrics/corpus.json").read_text())["labels"]["room"] == {
        "double": 20, "single": 20, "suite": 20,
    }  # fmt: skip
    assert set(analysis["conditions"][0]["diagnosis"]["confusion"]["tariff"]) == set(tariffs)
    assert all(tariff in (clone.path / "report/report.md").read_text() for tariff in tariffs)
    for name in ("report.md", "sweep.md"):
        text = (clone.path / "report" / name).read_text().lower()
        # what the tiny model babbles is quoted in fences
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        # the word stands only where the report tells of the published experiment
        assert "customer" not in text and "urgency" not in text
        assert "email" not in text.replace("support emails", "").replace("support email", "")
    records = clone.run(
        sys.executable, "-m", "lora_vs_api", "predict", "--input", "bookings.csv",
        # as it is evaluated, the tiny model babbles
        "--output", "records.jsonl", "--batch-size", "30", "--constrained",
    )  # fmt: skip
    assert "60 records written to records.jsonl" in records
    first = json.loads((clone.path / "records.jsonl").read_text().splitlines()[0])
    assert set(first["record"]) == {"room", "nights", "rate", "tariff"}
    assert first["record"]["tariff"] in tariffs

    # a row that breaks the schema stops the first node, with its line, before anything is written
    lines[7] = lines[7].replace("single,3", "cellar,3")
    (clone.path / "bookings.csv").write_text("\n".join(lines) + "\n")
    output = clone.run("dvc", "repro", check=False)
    assert ran(output) == {"corpus"}
    assert "bookings.csv:8: room: expected one of double, single, suite, found 'cellar'" in output
