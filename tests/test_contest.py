"""api=contest, the default: other models behind llama.cpp's server, each condition with the file of its own."""

from __future__ import annotations

import pytest
import yaml

from lora_vs_api.analysis.configuration import config_sha256
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params, load_params
from lora_vs_api.errors import UserError
from tests.dvc_nodes import dvc_nodes
from tests.imports import ROOT


@pytest.fixture(scope="module")
def text():
    """The default."""
    return compose(conf=ROOT / "conf")


@pytest.fixture
def raw(text):
    return yaml.safe_load(text)


def of_the_same_bytes():
    return check_params(yaml.safe_load(compose(["model=qwen2.5-coder-0.5b"], conf=ROOT / "conf")))


def paths(items):
    return {item.def_path for item in items}


def test_a_condition_depends_on_its_own_model_alone(tmp_path, text):
    """A new file of one model asks the other nothing again; and each is fetched before it is asked."""
    nodes = dvc_nodes(tmp_path, text)
    for size in ("large", "small"):
        file = f"models/opponent/{size}.gguf"
        assert paths(nodes[f"opponent@{size}"].outs) == {file}
        asked = [name for name in nodes if name.startswith(f"evaluate_api@{size}_")]
        assert len(asked) == 2
        for name in asked:
            needed = {path for path in paths(nodes[name].deps) if path.startswith("models/")}
            assert needed == {file}


def test_without_opponents_there_is_no_node_for_them(tmp_path):
    """Who asks the base fetches nothing else: the real dvc takes the empty foreach."""
    nodes = dvc_nodes(tmp_path, compose(["api=embedded"], conf=ROOT / "conf"))
    assert not [name for name in nodes if name.startswith("opponent")]
    asked = [node for name, node in nodes.items() if name.startswith("evaluate_api@")]
    assert asked and all("models/base_model" in paths(node.deps) for node in asked)


@pytest.mark.parametrize("prices", ["published", "listed-2026-11"])
def test_it_composes_with_the_prices_there_are(prices):
    """Large as mini, small as nano: both price lists know them."""
    params = check_params(
        yaml.safe_load(compose(["api=contest", f"prices={prices}"], conf=ROOT / "conf"))
    )
    assert {params.priced_as[name][-4:] for name in params.conditions} == {"mini", "nano"}
    assert all(params.priced_as[name] in params.prices.models for name in params.conditions)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "conditions.small_nearest_3.weights", "/tmp/any.gguf",
            "conditions.small_nearest_3.weights: expected one of models/opponent/large.gguf, "
            "models/opponent/small.gguf with api.server.kind=llama_cpp, found '/tmp/any.gguf'",
        ),
        (
            "opponents", {},
            "conditions.large_zero_shot_schema.weights: expected an entry of opponents",
        ),
        (
            "opponents.small.bytes", 7,
            "opponents.small.sources[0].parts: expected parts of 7 bytes together "
            "(opponents.small.bytes), found 491400064",
        ),
        ("opponents.small.sha256", "ab", "opponents.small.sha256: expected 64 hexadecimal digits"),
        (
            "opponents.small.sources", [],
            "opponents.small.sources: expected at least one source: wheels, hub or path, found []",
        ),
        (
            "opponents.small.sources", [{"source": "torrent"}],
            "opponents.small.sources[0].source: expected one of wheels, hub, path, found 'torrent'",
        ),
        (
            "opponents.small.sources", [{"source": "wheels", "version": "1.0", "parts": ["a b.bin 7 cd"]}],
            "opponents.small.sources[0].parts[0].sha256: expected 64 hexadecimal digits, in quotes, "
            "found 'a b.bin 7 cd'",
        ),
        (
            "opponents.small.sources", [{"source": "wheels", "version": "1.0", "parts": ["a b.bin 7"]}],
            "opponents.small.sources[0].parts[0]: expected a section with package, file, bytes, "
            "sha256, found 'a b.bin 7'",
        ),
        ("opponents.../x", {}, "opponents.../x: expected a name in lower case"),
        ("api.server.endpoint", "responses", "api.server.endpoint: expected chat, found"),
        ("api.server.grammar", "gbnf", "api.server.grammar: expected one of compact, response_fo"),
        ("api.server.device", "cpu", "api.server.device: unknown key with kind: llama_cpp, belon"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(raw, path, value, message):
    """Above all: no file goes to the server whose digest the settings do not give."""
    if path == "opponents.../x":
        raw["opponents"]["../x"] = raw["opponents"]["small"]
    else:
        *parents, last = path.split(".")
        node = raw
        for key in parents:
            node = node[key]
        node[last] = value
    with pytest.raises(UserError) as error:
        check_params(raw)
    assert str(error.value).startswith(f"params.yaml: {message}")


def test_another_file_is_another_configuration(raw):
    """Results of one model do not pass for those of another; where its bytes lie does not count."""
    first = config_sha256(check_params(raw))
    raw["opponents"]["small"]["sources"].reverse()
    assert config_sha256(check_params(raw)) == first
    raw["opponents"]["small"]["sha256"] = "0" * 64
    assert config_sha256(check_params(raw)) != first


def test_the_base_of_the_same_bytes_is_no_other_file(raw):
    """conf/model/'s 0.5B is dequantised from what the contest downloads, from the same sources."""
    weights = of_the_same_bytes().model.weights
    small = check_params(raw).opponents["small"]
    assert (weights.bytes, weights.sha256) == (small.bytes, small.sha256)
    assert weights.sources == small.sources


def test_of_a_base_too_its_bytes_count_and_not_where_they_lie(raw):
    """And parts that are another file together are refused before they are fetched."""
    raw["model"] = of_the_same_bytes().model.model_dump()
    first = config_sha256(check_params(raw))
    raw["model"]["weights"]["sources"].reverse()
    assert config_sha256(check_params(raw)) == first
    raw["model"]["weights"]["sha256"] = "0" * 64
    assert config_sha256(check_params(raw)) != first
    raw["model"]["weights"]["bytes"] += 1
    with pytest.raises(UserError, match=r"model\.weights\.sources\[1\]\.parts: expected parts of"):
        check_params(raw)


def test_a_copy_of_the_project_finds_a_file_beside_the_project(tmp_path, raw, monkeypatch):
    """`dvc exp run --temp` works in a copy that holds what git and DVC know: no model of the user's."""
    raw["opponents"]["small"]["sources"] = [{"source": "path", "path": "mine/small.gguf"}]
    copy = tmp_path / "project" / ".dvc" / "tmp" / "exps" / "x"
    copy.mkdir(parents=True)
    (copy / "params.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.chdir(copy)
    [source] = load_params().opponents["small"].sources
    assert source.path == str(tmp_path / "project" / "mine" / "small.gguf")
