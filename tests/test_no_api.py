"""A run without an API condition: dvc resolves it, and every part of the result stands without one."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
import yaml

from lora_vs_api.analysis.condition import ConditionRuns
from lora_vs_api.analysis.costs import MachineTime
from lora_vs_api.analysis.ownership import LocalSide, ownership_of
from lora_vs_api.analysis.summary import summary
from lora_vs_api.analysis.tables import COLUMNS, plot_tables
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.figures.report import write_report_figures
from lora_vs_api.report.markdown import report_markdown
from lora_vs_api.report.page.data import page_data
from lora_vs_api.stats.bootstrap import Draws
from tests.dvc_nodes import dvc_nodes
from tests.report_fixture import PLOTS, analysis, inputs, perturbed_conditions, tables
from tests.test_costs import ECONOMICS, LOCAL, scored

RIVALS = {"majority": 0.3, "nearest": 0.7}


@pytest.mark.parametrize("overrides", [["api=none"], ["api=none", "model_free=[]"]])
def test_dvc_resolves_the_dag(tmp_path, overrides):
    """An empty foreach makes no node, and those that read all answers keep their deps."""
    text = compose(overrides)
    params = check_params(yaml.safe_load(text), "params.yaml")
    assert params.conditions == {} and params.baseline is None
    stages = dvc_nodes(tmp_path, text)
    names = {name.split("@")[0] for name in stages}
    assert not names & {"evaluate_api", "perturbed_api"}
    assert ("evaluate_model_free" in names) == bool(params.model_free)
    assert {"predictions/evaluate", "timings/evaluate"} <= {
        dep.def_path for dep in stages["analyze"].deps
    }
    assert {"evaluate_base", "perturbed_lora"} <= names


@pytest.mark.parametrize("rivals", [RIVALS, {}])
@pytest.mark.slow
def test_the_report_links_the_figures_that_there_are(tmp_path, rivals):
    result = analysis(apis=(), model_free=rivals)
    told = inputs(result)
    write_report_figures(
        tmp_path,
        result,
        perturbed_conditions(result),
        *tables(result),
        100_000,
        PLOTS,
        told.learning_curve,
        told.cascade,
    )
    linked = set(re.findall(r"\(figures/(\w+\.svg)\)", report_markdown(told)))
    written = {path.name for path in tmp_path.glob("*.svg")}
    assert linked == written
    assert not written & {"break_even.svg", "tornado.svg", "price_volume.svg", "ownership.svg"}


def test_plots_tables_have_their_columns_without_a_row(tmp_path):
    """dvc and the report read the CSV files, whatever there was to write into them."""
    result = analysis(apis=())
    runs = [
        ConditionRuns(row.name, row.label, row.kind, "", 0, (), row.cost_per_1k)
        for row in result.conditions
    ]
    untimed = result.model_copy(
        update={
            "conditions": tuple(
                row.model_copy(update={"latency": row.latency.model_copy(update={"p50": None})})
                for row in result.conditions
            )
        }
    )
    made = plot_tables(untimed, runs)
    for name, table in made.items():
        path = tmp_path / f"{name}.csv"
        path.write_text(pd.DataFrame(table, columns=COLUMNS.get(name)).to_csv(index=False))
        assert list(pd.read_csv(path).columns) == list(table[0] if table else COLUMNS[name])
    assert [len(made[name]) for name in ("sensitivity", "latency")] == [0, 0]
    # the fine-tune's own total cost by volume
    assert {row["condition"] for row in made["break_even"]} == {"lora"}


def test_every_column_that_is_named_is_the_tables(tmp_path):
    """What a table without a row is headed by is what one with rows has."""
    result = analysis()
    runs = [
        ConditionRuns(row.name, row.label, row.kind, "", 0, (scored(LOCAL),), row.cost_per_1k)
        for row in result.conditions
    ]
    made = plot_tables(result, runs)
    for name, columns in COLUMNS.items():
        assert list(made[name][0]) == columns


def test_the_total_cost_is_told_of_the_fine_tune_alone():
    side = LocalSide([scored(LOCAL)], MachineTime(4, 7200, None), 40)
    found = ownership_of(side, {}, {}, None, ECONOMICS, Draws(200, 0, 0.95))
    assert found.against == () and found.sensitivity is None
    (row,) = found.local
    assert row.per_day == 1000 and row.low <= row.usd <= row.high
    # the trainings and their electricity once, then two seconds at 320 W a text
    months = 36 * 365 / 12
    assert row.usd == pytest.approx(1200.144 + months * 1000 * 0.04 / 1000)


def test_the_page_has_no_calculator_and_the_summary_no_break_even():
    result = analysis(apis=(), model_free=RIVALS)
    assert page_data(result, [], [])["calculator"] is None
    found = summary(result)
    assert found.break_even_inferences == {}
    assert set(found.verdict.values()) == {"not judged"}
    assert found.strongest_rival.condition == "nearest"
    json.dumps(found.model_dump(mode="json"))
    assert summary(analysis(apis=())).strongest_rival.condition == "base_zero_shot"
