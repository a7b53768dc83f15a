"""`dvc plots show` and `dvc plots diff`: drawn from the CSVs by the real dvc, without a network."""

from __future__ import annotations

import base64
import configparser
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap
import urllib.error
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from lora_vs_api.cli import plots_page
from lora_vs_api.cli.plots_page import (
    LIBRARIES,
    TEMPLATE,
    Package,
    inline_script,
    page,
    unpack,
)
from lora_vs_api.config.sections import Plots
from lora_vs_api.errors import UserError
from lora_vs_api.figures.looks import CORNERS, NAMED, slot_colors
from tests.commands import exit_code
from tests.imports import ROOT

PAGE = ROOT / ".dvc/plots/page.html"
TEMPLATES = {path.stem: path for path in sorted((ROOT / ".dvc/plots").glob("*.json"))}
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PLOTS: dict[str, dict[str, Any]] = {
    name: plot for entry in PIPELINE["plots"] for name, plot in entry.items()
}
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
LOSS = "plots/train/seed-0.csv"
CONDITIONS = ("lora", "base_zero_shot", "cheap_zero_shot", "cheap_few_shot_5")
# the looks that `dvc plots` has to share with the figures: those of conf/config.yaml's palette
COLORS = slot_colors(Plots(palette="colorblind", lora_color="#0072B2", dpi=120))
SHAPES = [
    *(vega for _, vega in NAMED),
    *("M" + "L".join(f"{x:g},{-y:g}" for x, y in corners) + "Z" for corners in CORNERS),
]
NODE = shutil.which("node")


def samples(shift: float) -> dict[str, list[str]]:
    """CSVs with the columns that the nodes write, path → lines."""
    return {
        "plots/conditions.csv": [
            "condition,field_f1,low,high,valid_json,exact_match,cost_per_1k_usd,slot",
            *(
                f"{name},{0.6 - i / 10 + shift},{0.5 - i / 10},{0.7 - i / 10},1.0,0.1,{0.01 + i},{i}"
                for i, name in enumerate(CONDITIONS)
            ),
        ],
        "plots/per_field.csv": [
            "condition,record_field,f1,slot",
            *(
                f"{name},{field},{0.5 + shift},{i}"
                for i, name in enumerate(CONDITIONS)
                for field in ("a", "b")
            ),
        ],
        "plots/latency.csv": [
            "condition,latency_seconds,share,slot",
            *(
                f"{name},{i + shift},{i / 20},{slot}"
                for slot, name in enumerate(CONDITIONS)
                for i in range(1, 21)
            ),
        ],
        "plots/break_even.csv": [
            "volume,condition,total_usd,slot",
            *(
                f"{10**e},{CONDITIONS[slot]},{10 ** (e - 3) + shift},{slot}"
                for slot in (0, 2, 3)
                for e in range(4, 10)
            ),
        ],
        "plots/paired.csv": [
            "baseline,difference,low,high,slot",
            *(f"{CONDITIONS[slot]},{0.1 + shift},-0.1,0.3,{slot}" for slot in (1, 2, 3)),
        ],
        "plots/confusion.csv": [
            "condition,record_field,expected,found,answers",
            *(
                f"{name},a,{expected},{found},{3 if expected == found else 0}"
                for name in CONDITIONS
                for expected in ("x", "y")
                for found in ("x", "y", "(none)")
            ),
        ],
        "plots/sensitivity.csv": [
            "setting,low_volume,high_volume,volume",
            "engineer time,5000.0,20000.0,10000.0",
            "API price,,4000.0,10000.0",
        ],
        "plots/robustness.csv": [
            "condition,perturbation,texts,field_f1,drop,low,high,slot",
            *(
                f"{CONDITIONS[slot]},{kind},12,0.5,{0.1 + shift},-0.05,0.2,{slot}"
                for slot in (0, 3)
                for kind in ("typos", "jargon")
            ),
        ],
        "plots/sweep.csv": [
            "sweep,r,learning_rate,seed,field_f1",
            *(f"rank,{r},0.002,0,{0.4 + shift}" for r in (8, 16)),
            *(f"learning rate,16,{rate},0,{0.4 + shift}" for rate in (0.001, 0.002)),
        ],
        LOSS: ["step,loss", *(f"{i},{2 / i + shift}" for i in range(1, 9))],
    }


class Repo:
    """A DVC repository with the project's plots, templates and page, and CSVs of two commits."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ, DVC_NO_ANALYTICS="1")
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        return subprocess.run(
            command, cwd=self.path, env=environment, capture_output=True, text=True, timeout=120
        )

    def commit(self, files: dict[str, list[str]]) -> None:
        for name, lines in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text("\n".join(lines) + "\n")
        for command in (
            ("git", "add", "--all"),
            ("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "sample"),
        ):
            done = self.run(*command)
            assert done.returncode == 0, done.stderr

    def draw(self, *command: str) -> Path:
        done = self.run("dvc", "plots", *command, "--out", command[0])
        assert done.returncode == 0, done.stderr
        return self.path / command[0] / "index.html"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    repo = Repo(tmp_path_factory.mktemp("plots"))
    shutil.copytree(ROOT / ".dvc/plots", repo.path / ".dvc/plots")
    shutil.copy(ROOT / ".dvc/config", repo.path / ".dvc/config")
    (repo.path / ".dvc/.gitignore").write_text("/tmp\n/cache\n")
    # the nodes that write the CSVs are of no interest here, but how one declares its loss is
    ((_, declared),) = PIPELINE["stages"]["train"]["plots"][0].items()
    loss = json.loads(json.dumps(declared).replace("${item.seed}", "0"))
    train = {"cmd": "true", "plots": [{LOSS: loss}]}
    pipeline = {"stages": {"train": train}, "plots": PIPELINE["plots"]}
    (repo.path / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    assert repo.run("git", "init", "-q").returncode == 0
    first = samples(0.0)
    # as in a revision from before the node wrote this one
    del first["plots/sensitivity.csv"]
    repo.commit(first)
    repo.commit(samples(0.05))
    return repo


@pytest.fixture(scope="module")
def shown(repo: Repo) -> Path:
    return repo.draw("show")


@pytest.fixture(scope="module")
def compared(repo: Repo) -> Path:
    return repo.draw("diff", "HEAD~1")


def specs(html: Path) -> dict[str, dict[str, Any]]:
    """Title → what DVC asks Vega to draw."""
    found = re.findall(r"var spec = (\{.*\});\n", html.read_text())
    return {spec["title"]["text"]: spec for spec in map(json.loads, found)}


def keyed(node: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value inside a spec, but for its rows and for layers with rows of their own."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if key != "data":
            yield key, value
            yield from keyed(value)
    for item in node if isinstance(node, list) else ():
        if not (isinstance(item, dict) and "data" in item):
            yield from keyed(item)


def columns_needed(spec: dict[str, Any]) -> set[str]:
    """The columns that a filled template reads and no transform of its own makes."""
    read: set[str] = set(spec["data"]["format"]["parse"])
    made: set[str] = set()
    for key, value in keyed(spec):
        if key in ("calculate", "filter"):
            read.update(re.findall(r"datum(?:\.|\[')(\w+)", value))
        elif key in ("field", "groupby", "fold", "as"):
            (made if key == "as" else read).update([value] if isinstance(value, str) else value)
    return read - made


class Tags(HTMLParser):
    """The tags of a page that load something, and its content security policy."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loading: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("link", "iframe", "object", "embed") or {"src", "href", "srcset"} & set(given):
            self.loading.append(self.get_starttag_text() or tag)
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given.get("content") or ""


# --- the page ---


def test_dvc_is_told_to_use_the_page():
    """Without this line in .dvc/config DVC writes its own page, which needs a CDN."""
    config = configparser.ConfigParser()
    config.read_string(textwrap.dedent((ROOT / ".dvc/config").read_text()))
    # DVC looks from .dvc/
    assert (ROOT / ".dvc" / config["plots"]["html_template"]).samefile(PAGE)


def test_the_page_holds_dvcs_placeholders_and_not_its_scripts():
    """{scripts} would bring back the CDN's script tags; a placeholder in a library's text would be
    filled there too."""
    text = PAGE.read_text()
    placeholders = ("{plot_divs}", "{refresh_tag}", "{scripts}")
    assert [text.count(placeholder) for placeholder in placeholders] == [1, 1, 0]


def test_the_page_loads_nothing():
    """No tag names a file or an address, and the policy keeps scripts from asking for one."""
    tags = Tags(PAGE.read_text())
    assert tags.loading == []
    assert {"default-src 'none'", "connect-src 'none'"} <= set(tags.policy.split("; "))
    assert "http" not in tags.policy


def test_the_committed_page_is_what_the_module_writes():
    """Editing the module and forgetting to run it leaves an old page."""
    text = PAGE.read_text()
    for part in re.split(r"@\w+@", TEMPLATE):
        assert part in text
    for package in LIBRARIES:
        assert f"<script>\n// {package.name} {package.version}\n" in text


def test_the_page_names_the_authors_of_what_it_bundles():
    """The licences ask for their text in every copy."""
    text = PAGE.read_text()
    for holder in ("Interactive Data Lab", "Mike Bostock", "Joachim Wester", "Cynthia Brewer"):
        assert holder in text[: text.index("<style>")]


# --- the command that writes it ---


def tarball(files: dict[str, str]) -> tuple[Package, bytes]:
    """A package that pins a tarball with ``files``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    data = buffer.getvalue()
    digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
    return Package("vega", "5.33.1", digest, "build/vega.min.js"), data


def test_a_tarball_gives_its_script_and_licence():
    """Both are found under npm's package/ folder."""
    package, data = tarball({"build/vega.min.js": "draw()", "LICENSE": "as you like"})
    assert unpack(package, data) == ("draw()", "as you like")


def test_a_tarball_that_is_not_the_pinned_one_is_refused():
    """A registry or a proxy that serves other code must not get it into the page."""
    package, data = tarball({"build/vega.min.js": "draw()"})
    with pytest.raises(UserError, match=r"^https://\S+: expected sha512-\S+, found sha512-\S+$"):
        unpack(package, data + b"\0")


def test_a_tarball_without_the_script_is_refused():
    """A new version may keep its build elsewhere."""
    package, data = tarball({"LICENSE": "as you like"})
    with pytest.raises(UserError, match=r"no build/vega\.min\.js in it$"):
        unpack(package, data)


def test_a_script_cannot_end_its_element():
    """`</script` and `<!--` inside a library's strings would cut it off."""
    assert inline_script("a='</SCRIPT>'; b='<!--'; c<d") == r"a='<\/SCRIPT>'; b='<\!--'; c<d"


@pytest.mark.parametrize("text", ["ends here -->", "for {scripts} of yours"])
def test_a_text_that_would_be_taken_for_markup_is_refused(text):
    """Better no page than a broken one."""
    with pytest.raises(UserError):
        page({package.name: ("draw()", text) for package in LIBRARIES})


def test_without_a_network_the_command_says_so_in_one_line(monkeypatch, tmp_path, capsys):
    """And leaves the page that is there."""

    def refuse(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no route to host")

    out = tmp_path / "page.html"
    out.write_text("the old one")
    monkeypatch.setattr(plots_page.urllib.request, "urlopen", refuse)
    assert exit_code("plots-page", "--out", str(out)) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert re.match(r"error: https://\S+: no route to host; this command needs the net", message)
    assert out.read_text() == "the old one"


# --- the templates ---


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_says_what_it_draws(name):
    """Title, axis titles and data come from DVC; every tooltip names the revision."""
    template = json.loads(TEMPLATES[name].read_text())
    text = json.dumps(template)
    assert template["$schema"] == "https://vega.github.io/schema/vega-lite/v5.json"
    assert template["title"]["text"] == "<DVC_METRIC_TITLE>"
    assert template["data"]["values"] == "<DVC_METRIC_DATA>"
    for anchor in ("X", "Y", "X_LABEL", "Y_LABEL"):
        assert f'"<DVC_METRIC_{anchor}>"' in text, anchor
    tooltips = re.findall(r'"tooltip": (\[.*?\])', text)
    assert tooltips
    assert [t for t in tooltips if '"field": "rev"' not in t] == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_revision_is_told_where_two_are_equal(name):
    """By its place, or by a size or width that leaves the other's mark to be seen; never by colour."""
    text = TEMPLATES[name].read_text()
    told = r'"(yOffset|size|strokeWidth)": \{\s*"field": "rev"'
    assert re.search(told, text) or "datum.condition + ' · ' + datum.rev" in text
    assert not re.search(r'"(color|fill|stroke)": \{\s*"field": "rev"', text)


def test_a_condition_has_the_look_of_its_slot_in_all_templates():
    """The figures' colours and shapes by number, and no scale that would count conditions itself."""
    drawn = 0
    for path in TEMPLATES.values():
        text = path.read_text()
        for name, looks in (("colour", COLORS), ("shape", SHAPES)):
            for found in re.finditer(rf'"calculate": "([^"]*)",\s*"as": "{name}"', text):
                drawn += 1
                assert "isValid(datum.place)" in found[1]
                listed = re.search(r"\[([^]]*)\]\[", found[1])
                assert listed is not None
                assert re.findall(r"'([^']*)'", listed[1]) == looks
        for channel in ("color", "fill", "stroke", "shape"):
            for start in re.finditer(rf'"{channel}": (?=\{{\s*"field")', text):
                encoding = json.JSONDecoder().raw_decode(text[start.end() :])[0]
                if encoding["field"] in ("colour", "shape"):
                    assert encoding["scale"] is None
                else:
                    assert encoding["field"] not in ("condition", "baseline", "slot", "place")
    assert drawn == 2 * 6 + 1


# --- what dvc makes of them ---


def test_every_plot_is_on_the_page(shown):
    """Each of dvc.yaml's plots, and the loss that a training declares, with rows to draw."""
    drawn = specs(shown)
    titles = {plot["title"] for plot in PLOTS.values()} | {"Training loss, seed 0"}
    assert set(drawn) == titles
    assert [title for title, spec in drawn.items() if not spec["data"]["values"]] == []


def test_every_template_is_used():
    """One that nothing names is dead, and a name without a file would stop all plots."""
    named = {plot["template"] for plot in PLOTS.values()}
    # the loss may be drawn by a template or by DVC's default
    assert named <= set(TEMPLATES) <= named | {"loss_by_step"}


@pytest.mark.parametrize("name", PLOTS)
def test_the_rows_carry_the_columns_that_the_template_reads(name, shown):
    """A template names columns beyond x and y; DVC has to pass the whole row."""
    spec = specs(shown)[PLOTS[name]["title"]]
    assert columns_needed(spec) - set(spec["data"]["values"][0]) == set()


def test_a_diff_lays_revisions_over_each_other(compared):
    """And a CSV that one revision lacks takes nothing from the other plots."""
    lacking = PLOTS["Sensitivity"]["title"]
    for title, spec in specs(compared).items():
        revisions = {row["rev"] for row in spec["data"]["values"]}
        assert revisions == ({"workspace"} if title == lacking else {"workspace", "HEAD~1"}), title


def test_what_dvc_writes_loads_nothing(compared):
    """DVC puts its own text into the page."""
    assert Tags(compared.read_text()).loading == []


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome to draw the page with")
@pytest.mark.parametrize("view", ["shown", "compared"])
@pytest.mark.slow
def test_a_browser_draws_every_plot_offline(view, request, tmp_path):
    """Vega, not only JSON, has to accept each template; the browser reaches no host."""
    html = request.getfixturevalue(view)
    assert BROWSER is not None
    done = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path}",
            "--virtual-time-budget=20000", "--dump-dom", html.as_uri(),
        ],
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    dom = done.stdout[done.stdout.index("<main>") :]
    assert re.findall(r'<p class="plot-(?:error|empty)">(.*?)</p>', dom) == []
    assert len(re.findall(r"<svg[^>]*class=\"marks\"", dom)) == len(PLOTS) + 1
    for plot in PLOTS.values():
        assert plot["title"] in unescape(dom)
    # a path with NaN in it is a mark that was not placed
    assert "NaN" not in dom


# compiles and draws each spec of a page with the page's own Vega, and prints what it warns of
DRAW = r"""
const fs = require("fs"), vm = require("vm");
const [page, html] = process.argv.slice(1).map(file => fs.readFileSync(file, "utf8"));
const world = vm.createContext({ console, setTimeout, clearTimeout, structuredClone, URL });
world.window = world.self = world;
for (const found of page.matchAll(/<script>\n(\/\/ vega(?:-lite)? [\s\S]*?)<\/script>/g))
  vm.runInContext(found[1], world);
(async () => {
  const titles = [];
  for (const found of html.matchAll(/var spec = (\{.*\});\n/g)) {
    const spec = JSON.parse(found[1]), title = spec.title.text, said = [];
    const logger = {};
    for (const name of ["level", "info", "debug"]) logger[name] = () => logger;
    for (const name of ["warn", "error"])
      logger[name] = (...words) => { said.push(words.join(" ")); return logger; };
    const vega = world.vegaLite.compile(spec, { logger }).spec;
    const view = new world.vega.View(world.vega.parse(vega), { renderer: "none", logger });
    const svg = await view.toSVG();
    if (/NaN|undefined/.test(svg)) said.push("a mark that was not placed");
    titles.push({ title, said, svg });
  }
  console.log(JSON.stringify(titles));
})();
"""


def drawn_by_node(html: Path) -> list[dict[str, Any]]:
    assert NODE is not None
    done = subprocess.run(
        [NODE, "-e", DRAW, str(PAGE), str(html)], capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(NODE is None, reason="no node to run the page's Vega with")
@pytest.mark.parametrize("view", ["shown", "compared"])
@pytest.mark.slow
def test_vega_warns_of_nothing(view, request):
    """The page's own Vega compiles and draws every template, with one revision and with two."""
    drawn = drawn_by_node(request.getfixturevalue(view))
    assert len(drawn) == len(PLOTS) + 1
    assert [plot for plot in drawn if plot["said"]] == []


@pytest.mark.skipif(NODE is None, reason="no node to run the page's Vega with")
@pytest.mark.slow
def test_a_condition_keeps_its_colour_where_others_are_missing(shown):
    """The perturbed texts are asked of two conditions alone: few-shot had zero-shot's colour there."""
    drawn = {plot["title"]: plot["svg"] for plot in drawn_by_node(shown)}
    drops = drawn[PLOTS["Perturbed texts"]["title"]]
    assert COLORS[0] in drops and COLORS[3] in drops
    assert COLORS[1] not in drops and COLORS[2] not in drops


def drawn_with(repo: Repo, files: dict[str, list[str]], *command: str) -> list[dict[str, Any]]:
    """What ``dvc plots`` draws while the files have these lines."""
    kept = {name: (repo.path / name).read_text() for name in files}
    try:
        for name, lines in files.items():
            (repo.path / name).write_text("\n".join(lines) + "\n")
        return drawn_by_node(repo.draw(*command))
    finally:
        for name, text in kept.items():
            (repo.path / name).write_text(text)


@pytest.mark.skipif(NODE is None, reason="no node to run the page's Vega with")
@pytest.mark.slow
def test_vega_warns_of_nothing_at_extremes(repo):
    """All pays at some volume, nothing moves a score, one API condition costs nothing, one seed."""
    files = samples(0.0)
    files["plots/sensitivity.csv"] = [
        "setting,low_volume,high_volume,volume",
        "engineer time,5000.0,20000.0,10000.0",
    ]
    files["plots/robustness.csv"][1:] = ["lora,typos,1,1.0,0.0,-1.0,1.0,0"]
    files["plots/conditions.csv"] = [
        re.sub(r"^(lora|\w+_zero_shot),.*?,.*?,.*?,", r"\1,1.0,1.0,1.0,", line)
        for line in files["plots/conditions.csv"]
    ]
    files["plots/break_even.csv"] = [
        re.sub(r"(few_shot_5),.*,", r"\1,0.0,", line) for line in files["plots/break_even.csv"]
    ]
    assert [plot for plot in drawn_with(repo, files, "show") if plot["said"]] == []


@pytest.mark.skipif(NODE is None, reason="no node to run the page's Vega with")
@pytest.mark.slow
def test_revisions_before_slots_are_drawn_beside_later_ones(repo):
    """A condition known to one of the two has its look in both."""
    head = samples(0.0)
    for name, lines in head.items():
        if lines[0].endswith(",slot"):
            head[name] = [line.rpartition(",")[0] for line in lines]
    drawn = drawn_with(repo, head, "diff", "HEAD")
    assert [plot for plot in drawn if plot["said"]] == []
    conditions = next(plot["svg"] for plot in drawn if plot["title"] == PLOTS["Latency"]["title"])
    assert all(color in conditions for color in COLORS[:4]) and "#555555" not in conditions
