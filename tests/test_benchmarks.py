"""The benchmarks' own logic: how results are written down, and what is measured of a node."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks.__main__ import main, quantity, summary, table
from benchmarks.measured_node import LOG, measure
from benchmarks.pipeline import NodeRun, read_log, whole_run
from benchmarks.timing import Row
from lora_vs_api.api.llama_server import serve_gguf
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_json, write_jsonl
from tests.imports import ROOT

ALONE = [
    Row("overhead", "start-up of train", "s", 3.6831, notes={"peak MiB": 485, "torch": "yes"}),
    Row("overhead", "`dvc status`", "s", 0.9412, notes={"slowest": "1.05 s"}),
]
COMPARED = [
    Row("training", "6 steps", "tokens/s", 986.8, 203.4, "TRL", (4.63, 5.12, 4.9), 2.0, {"a": 1}),
    Row("training", "alone", "s", 1061.2),
]


def test_rows_without_a_reference_have_a_column_for_each_note():
    """Seconds read as seconds, and nothing is lost where rows tell different things."""
    assert table(ALONE).splitlines() == [
        "| what | ours | peak MiB | torch | slowest |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| start-up of train | 3.68 s | 485 | yes | – |",
        "| `dvc status` | 0.941 s | – | – | 1.05 s |",
    ]


def test_compared_rows_say_against_what_and_by_how_much():
    """One line a row; what is not there is a dash."""
    assert table(COMPARED).splitlines()[2:] == [
        "| 6 steps | 987 tokens/s | 203 tokens/s | **4.90** (4.63 to 5.12) | 2 | TRL | a: 1 |",
        "| alone | 1,061 s | – | – | – | – | – |",
    ]


@pytest.mark.parametrize(
    ("value", "written"), [(13430.0, "13,430 s"), (0.41234, "0.412 s"), (100.0, "100 s")]
)
def test_numbers_are_written_without_exponents(value, written):
    """1.343e+04 emails/s is not for reading."""
    assert quantity(value, "s") == written


def test_the_page_is_made_from_the_files(tmp_path):
    """Result files of any benchmark, read back, give the table they were printed as."""
    machine = {"python": "3.11", "cores": 2}
    for name, rows in (("overhead", ALONE), ("training", COMPARED)):
        content = {"machine": machine, "rows": [row.as_json() for row in rows]}
        write_json(tmp_path / f"{name}-cpu.json", content)
    page = summary(tmp_path)
    assert table(ALONE) in page and table(COMPARED) in page
    assert page.index("## overhead-cpu") < page.index("## training-cpu")


@pytest.mark.slow
def test_a_node_is_measured_with_its_children_and_imports(tmp_path, monkeypatch):
    """A toy node whose child holds 150 MiB: its seconds, a peak with the child, its imports; and
    the exit status of a node that fails is kept."""
    log = tmp_path / "log.jsonl"
    monkeypatch.setenv(LOG, str(log))
    stages = tmp_path / "stages"
    stages.mkdir()
    (tmp_path / "slow_to_import.py").write_text("import time; time.sleep(0.3)")
    (stages / "toy.py").write_text(
        "import subprocess, sys, time\n"
        "def main():\n"
        "    import slow_to_import\n"
        "    hold = 'import time; held = bytearray(150 << 20); time.sleep(1)'\n"
        "    subprocess.run([sys.executable, '-c', hold], check=True)\n"
        "    sys.exit(int(sys.argv[1]))\n"
        "main()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "")
    command = [sys.executable, "-m", "stages.toy"]
    assert measure([*command, "0"], log) == 0
    assert measure([*command, "3"], log) == 3
    first, second = read_log(log)
    assert (first.name, second.name) == ("toy@0", "toy@3")
    assert 1.3 < first.seconds < 20
    assert first.peak > 150
    # the sleep while importing, and both interpreters' start; not the second of waiting
    assert 0.3 <= first.starting < first.seconds - 0.9


def test_what_is_measured_stands_in_front_of_python(tmp_path):
    """The file that DVC finds as `python` needs none of the node's environment."""
    measure_node = Path(__file__).parents[1] / "benchmarks/measured_node.py"
    log = tmp_path / "log.jsonl"
    command = [sys.executable, "-I", str(measure_node), sys.executable, "-m", "this"]
    done = subprocess.run(command, env={**os.environ, LOG: str(log)}, capture_output=True)
    assert done.returncode == 0 and b"Zen" in done.stdout
    assert json.loads(log.read_text().splitlines()[-1])["command"] == ["-m", "this"]


def test_the_share_of_start_up_is_of_the_whole_run():
    """Of the wall time, DVC's own included."""
    nodes = [NodeRun("corpus", 2.0, 40.0, 0.5), NodeRun("train@0", 6.0, 900.0, 1.5)]
    whole, share = whole_run("tiny", 10.0, nodes)
    assert (whole.ours, whole.notes["peak MiB"], whole.notes["DVC itself, s"]) == (10.0, 900, 2.0)
    assert share.ours == pytest.approx(20.0) and share.unit == "%"


@pytest.mark.slow
def test_both_sides_train_alike_with_todays_settings(clone):
    """A reference that no longer runs, or learns something else, would be noticed on nobody's
    machine but a reader's: benchmarks are run by hand."""
    clone.run(sys.executable, "-m", "benchmarks", "training", "sweep", "--rounds", "1")
    written = clone.path / "benchmarks/results"
    rows = json.loads((written / "training-cpu.json").read_text())["rows"]
    assert [row["what"].split(",")[0] for row in rows] == ["bfloat16", "bfloat16", "float32"]
    for row in rows:
        apart = row["notes"]["largest difference of a step's loss"]
        assert apart < (0.001 if row["what"].startswith("float32") else 0.05), row
    (sweep,) = json.loads((written / "sweep-cpu.json").read_text())["rows"]
    assert sweep["what"].startswith("4 trials and 2 seeds, 5 of them distinct")


@pytest.mark.slow
def test_the_served_fine_tune_beside_plain_generate(tmp_path, monkeypatch):
    """A tiny model as folder, as file behind llama.cpp, and behind a server that runs already: one
    table with latencies, rates and costs, and the answers of one model are the same."""
    from benchmarks import serving
    from tests.tiny_gguf import gguf_of
    from tests.tiny_model import build_tiny_model

    model = build_tiny_model(tmp_path / "tiny")
    gguf = gguf_of(model, tmp_path / "f32.gguf")
    rows = [{"id": f"{i}", "text": f"I was charged twice, order {i}."} for i in range(3)]
    write_jsonl(tmp_path / "data/split/test.jsonl", rows)
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serving, "IN_FLIGHT", (1, 2))
    monkeypatch.setattr(serving, "composed", tiny_settings)
    with serve_gguf(gguf, "other", sha256=file_sha256(gguf), context=4096) as url:
        main(
            ["serving", "--rounds", "2", "--model", str(model), "--merged", str(model),
             "--gguf", str(gguf), "--server", f"other={url}", "--out", "results"]
        )  # fmt: skip
    rows = json.loads(Path("results/serving-cpu.json").read_text())["rows"]
    latencies, rates = rows[:2], rows[2:]
    assert [row["notes"]["equal answers"] for row in latencies] == ["3 of 3"] * 2
    assert all(row["notes"]["the same in every round"] == "yes" for row in latencies)
    assert [row["what"].rpartition(", ")[2] for row in rates] == [
        "2 in flight", "1 in flight", "2 in flight", "1 in flight", "2 in flight"
    ]  # fmt: skip
    assert all(row["ratio"] > 0 and "USD" in row["notes"]["a thousand"] for row in rates)
    assert "llama.cpp, f32, one slot" in Path("results/README.md").read_text()


def tiny_settings(profile):
    changed = [
        f"profile={profile}",
        "runtime.pad_token=null",
        "decoding.max_new_tokens=20",
    ]
    return check_params(yaml.safe_load(compose(changed, conf=ROOT / "conf")))


def test_what_the_serving_benchmark_is_not_given_is_said(tmp_path, monkeypatch):
    """In a line, before a model is loaded."""
    from benchmarks import serving

    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^--gguf: models/served/seed-0/model\.gguf: no such file"):
        serving._files(argparse.Namespace(gguf=None))
    with pytest.raises(UserError, match=r"^--server: expected NAME=URL such as .* found vllm"):
        serving._urls(argparse.Namespace(server=["vllm"]))
