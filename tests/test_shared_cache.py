"""A DVC cache that several people share, and what can go wrong with it: the real dvc on a toy.

The toy has what the pipeline has: a directory, a file of some size, a metric in git, and a node of
seconds whose output is in git. The bucket is a real S3 server (moto) on loopback.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import yaml
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from tests.imports import ROOT
from tests.warm import python

pytestmark = pytest.mark.slow

PIPELINE = """
stages:
  parts:
    cmd: python parts.py
    params: [r]
    deps: [parts.py]
    outs: [parts]
  data:
    cmd: python data.py
    deps: [parts, data.py]
    outs: [data.bin]
  score:
    cmd: cp parts/1.txt score.json
    deps: [parts, data.bin]
    metrics: [score.json: {cache: false}]
  note:
    cmd: cp score.json note.md
    deps: [score.json]
    outs: [note.md: {cache: false}]
"""
PARTS = """
from pathlib import Path
import yaml
r = yaml.safe_load(Path("params.yaml").read_text())["r"]
Path("parts").mkdir()
for part in range(3):
    Path(f"parts/{part}.txt").write_text(f"{r * part}\\n" * 9)
"""
# The limit that stands in for a full disk is meant for DVC's copy of data.bin alone
DATA = """
import os, random, resource, time
from pathlib import Path
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
Path("begun").touch()
time.sleep(float(os.environ.get("PAUSE", "0")))
seed = Path("parts/2.txt").read_text()
Path("data.bin").write_bytes(random.Random(seed).randbytes(3_000_000))
"""
NODES = ["parts", "data", "score", "note"]
SECRET = "not-in-any-file"


class Clone:
    """A clone of the toy; commands end with the exit code that is expected of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inside: list[str] = []  # what puts a command into another mount namespace

    def start(self, *command: str, **more) -> subprocess.Popen[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        environment.update(
            PYTHONPATH=str(ROOT), DVC_NO_ANALYTICS="1", AWS_EC2_METADATA_DISABLED="true",
            GIT_AUTHOR_NAME="A", GIT_AUTHOR_EMAIL="a@example.org",
            GIT_COMMITTER_NAME="A", GIT_COMMITTER_EMAIL="a@example.org",
            AWS_ACCESS_KEY_ID="someone", AWS_SECRET_ACCESS_KEY=SECRET,
        )  # fmt: skip
        environment.update(more.pop("environment", {}))
        return subprocess.Popen(
            [*self.inside, *command], cwd=self.path, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more,
        )  # fmt: skip

    def run(self, *command: str, fails: bool = False, **more) -> str:
        # another process knows nothing of this one's limits and mounts
        if command[0] == sys.executable and not self.inside and "preexec_fn" not in more:
            command = (python(), *command[1:])
        process = self.start(*command, **more)
        said = process.communicate(timeout=120)[0]
        assert (process.returncode != 0) == fails, said
        assert "Traceback" not in said
        return said

    def dvc(self, *arguments: str, **more) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, **more)

    def ours(self, *arguments: str, **more) -> str:
        return self.run(sys.executable, "-m", "lora_vs_api", *arguments, **more)

    def setting(self, r: int) -> None:
        (self.path / "params.yaml").write_text(f"r: {r}\n")

    def lock(self) -> dict:
        path = self.path / "dvc.lock"
        return yaml.safe_load(path.read_text())["stages"] if path.is_file() else {}

    def digest(self, path: str) -> str:
        """MD5 in dvc.lock of an output, a file or a directory."""
        outs = [out for stage in self.lock().values() for out in stage["outs"]]
        return next(out["md5"] for out in outs if out["path"] == path)

    def objects(self) -> set[str]:
        """Digests of what the cache has under its final name."""
        files = (self.path / ".dvc/cache/files/md5").glob("??/*")
        return {f.parent.name + f.name for f in files if not f.name.endswith(".tmp")}

    def clone(self, path: Path) -> Clone:
        self.run("git", "clone", "-q", ".", str(path))
        return Clone(path)


def ran(said: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", said))


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def assert_complete(clone: Clone) -> None:
    """Every node is in dvc.lock with the digests of the files that are there."""
    assert set(clone.lock()) == set(NODES)
    for path in ("data.bin", "score.json", "note.md"):
        assert md5(clone.path / path) == clone.digest(path)
    assert "Data and pipelines are up to date" in clone.dvc("repro")


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """The toy, committed, nothing run; each test has a copy."""
    clone = Clone(tmp_path_factory.mktemp("toy") / "empty")
    clone.path.mkdir()
    clone.run("git", "init", "-q", "-b", "main")
    clone.dvc("init", "-q")
    for name, text in (("dvc.yaml", PIPELINE), ("parts.py", PARTS), ("data.py", DATA)):
        (clone.path / name).write_text(text)
    (clone.path / ".gitignore").write_text("/begun\n/logs/\n")
    clone.setting(2)
    clone.run("git", "add", "-A")
    clone.run("git", "commit", "-qm", "toy")
    return clone.path


@pytest.fixture(scope="module")
def reproduced(toy) -> Path:
    shutil.copytree(toy, toy.parent / "reproduced")
    Clone(toy.parent / "reproduced").dvc("repro", "-q")
    return toy.parent / "reproduced"


@pytest.fixture()
def empty(toy, tmp_path) -> Clone:
    """The toy, nothing run."""
    return Clone(Path(shutil.copytree(toy, tmp_path / "author")))


@pytest.fixture()
def author(reproduced, tmp_path) -> Clone:
    """The toy with its results."""
    return Clone(Path(shutil.copytree(reproduced, tmp_path / "author")))


class Bucket:
    """An S3 server with one bucket; a download can be held when half of it is sent."""

    name = "bucket"

    def __init__(self) -> None:
        self.hold, self.half, self.go = "", threading.Event(), threading.Event()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.client = boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1",
            aws_access_key_id="someone", aws_secret_access_key=SECRET,
        )  # fmt: skip
        self.client.create_bucket(Bucket=self.name)

    def _answer(self, environ, start_response):
        answer = self._moto(environ, start_response)
        held = self.hold and self.hold in environ["PATH_INFO"]
        return self._halves(answer) if held and environ["REQUEST_METHOD"] == "GET" else answer

    def _halves(self, answer) -> Iterator[bytes]:
        body = b"".join(answer)
        yield body[: len(body) // 2]
        self.half.set()
        self.go.wait(60)
        yield body[len(body) // 2 :]

    def close(self) -> None:
        self.go.set()
        self._server.shutdown()


@pytest.fixture()
def bucket() -> Iterator[Bucket]:
    bucket = Bucket()
    yield bucket
    bucket.close()


class Remote:
    """A DVC remote of either kind, and what somebody else's accident does to it."""

    def __init__(self, folder: Path, bucket: Bucket | None) -> None:
        self.folder, self.bucket = folder, bucket

    def add_to(self, clone: Clone, verify: bool = True) -> None:
        """What the README says to type, but for what the server on loopback needs."""
        url = f"s3://{self.bucket.name}/dvc" if self.bucket else str(self.folder)
        clone.dvc("remote", "add", "-d", "shared", url)
        if verify:
            clone.dvc("remote", "modify", "shared", "verify", "true")
        if self.bucket:
            clone.dvc("remote", "modify", "shared", "endpointurl", self.bucket.url)
        clone.run("git", "add", "-A")
        clone.run("git", "commit", "-qm", "results and remote")

    def size(self, digest: str) -> int:
        name = f"files/md5/{digest[:2]}/{digest[2:]}"
        if self.bucket is None:
            return (self.folder / name).stat().st_size
        key = {"Bucket": self.bucket.name, "Key": f"dvc/{name}"}
        return self.bucket.client.head_object(**key)["ContentLength"]

    def cut_short(self, digest: str) -> None:
        name = f"files/md5/{digest[:2]}/{digest[2:]}"
        if self.bucket is None:
            cut_short(self.folder / name)
            return
        key = {"Bucket": self.bucket.name, "Key": f"dvc/{name}"}
        body = self.bucket.client.get_object(**key)["Body"].read()
        self.bucket.client.put_object(**key, Body=body[: len(body) // 2])


def cut_short(path: Path) -> None:
    """Half of the file is left, read-only as DVC leaves what it takes for whole."""
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size // 2)
    path.chmod(0o444)


def test_settings_that_somebody_tried_come_from_the_remote(author, bucket, tmp_path):
    """Clone, pull: repro runs nothing; of another setting only the node whose output is in git.
    A colleague's own runs come back the same way, and no file holds a key."""
    Remote(tmp_path, bucket).add_to(author)
    committed = md5(author.path / "data.bin")
    author.setting(5)
    author.dvc("repro", "-q")
    tried = {path: author.digest(path) for path in ("parts", "data.bin", "score.json", "note.md")}
    author.run("git", "checkout", "-q", ".")
    author.dvc("checkout", "-q")
    assert "the results of 6 runs are in the remote" in author.ours("push")

    colleague = author.clone(tmp_path / "colleague")
    colleague.dvc("pull", "--run-cache")
    assert_complete(colleague)
    assert md5(colleague.path / "data.bin") == committed != tried["data.bin"]
    colleague.setting(5)
    assert ran(colleague.dvc("repro", "--pull")) == {"note"}
    assert {path: colleague.digest(path) for path in tried} == tried
    assert_complete(colleague)

    colleague.setting(7)
    assert ran(colleague.dvc("repro")) == set(NODES)
    colleague.ours("push")
    author.setting(7)
    assert ran(author.dvc("repro", "--pull")) == {"note"}
    for clone in (author, colleague):
        assert not [p for p in clone.path.glob(".dvc/config*") if SECRET in p.read_text()]


@pytest.mark.parametrize(
    ("what", "where"),
    [
        ("a file", "s3"),
        ("a file of a directory", "folder"),
        ("a file of a directory", "s3"),
        ("a directory's listing", "folder"),
    ],
)
def test_half_a_file_in_the_remote_is_refused_and_mended(author, tmp_path, what, where, request):
    """With `verify` it becomes nobody's result; a push from a clone that has it whole mends it."""
    bucket = request.getfixturevalue("bucket") if where == "s3" else None
    remote = Remote(tmp_path / "share", bucket)
    remote.add_to(author)
    author.ours("push")
    digest = {
        "a file": author.digest("data.bin"),
        "a file of a directory": md5(author.path / "parts/1.txt"),
        "a directory's listing": author.digest("parts"),
    }[what]
    whole = remote.size(digest)
    remote.cut_short(digest)

    colleague = author.clone(tmp_path / "colleague")
    said = colleague.dvc("pull", "--run-cache", fails=True)
    missing = "data.bin" if what == "a file" else "parts"
    assert missing in said or f"{digest} is corrupted" in said
    assert not (colleague.path / missing).exists() and digest not in colleague.objects()
    assert missing in colleague.dvc("status")

    author.ours("push")
    assert remote.size(digest) == whole
    colleague.dvc("pull", "--run-cache")
    assert_complete(colleague)


def test_without_verify_dvc_takes_half_a_file_for_the_result(author, tmp_path):
    """Why the README says to set it: once this fails, DVC looks by itself."""
    remote = Remote(tmp_path / "share", None)
    remote.add_to(author, verify=False)
    author.ours("push")
    remote.cut_short(author.digest("data.bin"))
    colleague = author.clone(tmp_path / "colleague")
    colleague.dvc("pull")
    assert "up to date" in colleague.dvc("status")
    assert (colleague.path / "data.bin").stat().st_size == 1_500_000


def test_a_damaged_cache_here_does_not_replace_what_is_whole_there(author, tmp_path):
    """Of two files that differ, push asks the digest which is right; one that is missing here is
    left alone there."""
    remote = Remote(tmp_path / "share", None)
    remote.add_to(author)
    author.ours("push")
    lost, listing = md5(author.path / "parts/1.txt"), author.digest("parts")
    (author.path / f".dvc/cache/files/md5/{lost[:2]}/{lost[2:]}").unlink()
    author.ours("push")
    assert remote.size(lost) == 9 * len("2\n") and remote.size(listing)
    digest = author.digest("data.bin")
    cut_short(author.path / f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}")
    said = author.ours("push", fails=True)
    assert re.search(rf"error: \S+{digest[2:]}: damaged, its MD5 is \w+; delete it", said)
    assert remote.size(digest) == 3_000_000


def test_a_pull_killed_half_way_leaves_no_half_file(author, bucket, tmp_path):
    """kill -9 in the middle of a download: nothing under a final name, and the next pull ends it."""
    Remote(tmp_path, bucket).add_to(author)
    author.ours("push")
    digest = author.digest("data.bin")
    colleague = author.clone(tmp_path / "colleague")
    bucket.hold = digest[2:]
    pull = colleague.start(sys.executable, "-m", "dvc", "pull", "--run-cache")
    assert bucket.half.wait(60)
    pull.send_signal(signal.SIGKILL)
    pull.communicate(timeout=60)
    assert digest not in colleague.objects() and not (colleague.path / "data.bin").exists()
    bucket.hold = ""
    bucket.go.set()
    colleague.dvc("pull", "--run-cache")
    assert_complete(colleague)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("no remote", "error: config file error: no remote specified"),
        ("no key", "error: Unable to locate credentials"),
        ("no server", "error: Could not connect to the endpoint URL"),
    ],
)
def test_a_push_that_cannot_be_is_one_line(author, bucket, tmp_path, case, message):
    """Whatever library speaks to the remote, its words and no stack."""
    if case != "no remote":
        Remote(tmp_path, bucket).add_to(author)
    if case == "no server":
        author.dvc("remote", "modify", "shared", "endpointurl", "http://127.0.0.1:1")
    keys = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""} if case == "no key" else {}
    keys |= {"HOME": str(tmp_path), "AWS_MAX_ATTEMPTS": "1"}
    said = author.ours("push", fails=True, environment=keys)
    assert message in said and len(said.strip().splitlines()) == 1


class SmallDisk:
    """A tmpfs in a mount namespace of its own; ``inside`` puts a command there."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        alone, self.path = ["unshare", "--mount"], path
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self._holder = subprocess.Popen(
            [*alone, *user, "sh", "-c",
             f"mount -t tmpfs -o size=1m none '{path}' && echo ready && exec sleep 600"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        if self._holder.stdout.readline() != "ready\n":
            self.close()
            pytest.skip("this user may not mount a tmpfs in a namespace of their own")
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        self.inside = ["nsenter", f"--target={self._holder.pid}", "--mount", *user, "--wd=."]

    def remount(self, options: str) -> None:
        command = ["mount", "-o", f"remount,{options}", "none", str(self.path)]
        subprocess.run([*self.inside, *command], check=True)

    def close(self) -> None:
        self._holder.kill()
        self._holder.communicate()


@pytest.fixture()
def disk(tmp_path) -> Iterator[SmallDisk]:
    if sys.platform != "linux":
        pytest.skip("mount namespaces are Linux's")
    disk = SmallDisk(tmp_path / "disk")
    yield disk
    disk.close()


def assert_stands(clone: Clone, done: list[str]) -> None:
    """What was saved is recorded; of the rest dvc.lock says nothing, and DVC knows it is to do."""
    assert list(clone.lock()) == done
    assert "data" in clone.dvc("status")


@pytest.mark.parametrize("how", ["repro", "run"])
def test_a_full_cache_stops_and_the_next_run_goes_on(empty, disk, how):
    """A disk with room for the first node: the second's result is not recorded, and one line says
    what is wrong and where; with room, the rest is done."""
    empty.dvc("config", "cache.dir", str(disk.path))
    empty.inside = disk.inside
    if how == "repro":
        said = empty.dvc("repro", fails=True)
    else:
        said = empty.ours("run", fails=True)
        assert "error: 1 of 4 nodes failed; skipped: score, note" in said
        assert "`dvc cache dir`" in said
    digest = md5(empty.path / "data.bin")
    wrong = next(line for line in said.splitlines() if "No space left on device" in line)
    assert wrong.lower().startswith("error: ") and str(disk.path) in wrong
    assert_stands(empty, ["parts"])
    assert not (disk.path / digest[:2] / digest[2:]).exists()
    disk.remount("size=50m")
    assert ran(empty.dvc("repro")) == {"data", "score", "note"}
    assert_complete(empty)


def test_a_read_only_cache_stops_and_the_next_run_goes_on(empty, disk):
    """A share that is mounted read-only, as it is after many a server's restart."""
    empty.dvc("config", "cache.dir", str(disk.path))
    empty.inside = disk.inside
    disk.remount("size=50m,ro")
    said = empty.ours("run", fails=True)
    assert "`dvc cache dir`" in said
    wrong = next(line for line in said.splitlines() if "Read-only file system" in line)
    assert wrong.lower().startswith("error: ") and str(disk.path) in wrong
    assert empty.lock() == {}
    disk.remount("size=50m,rw")
    assert ran(empty.dvc("repro")) == set(NODES)
    assert_complete(empty)


@pytest.mark.skipif(sys.platform == "win32", reason="a limit of POSIX")
def test_a_file_too_large_for_the_cache_is_not_recorded(empty):
    """The same where no disk can be mounted: a limit on the size of files, as quotas set one."""

    def limit() -> None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))

    said = empty.ours("run", fails=True, preexec_fn=limit)
    assert "`dvc cache dir`" in said
    wrong = next(line for line in said.splitlines() if "File too large" in line)
    assert wrong.lower().startswith("error: ") and str(empty.path / ".dvc/cache") in wrong
    assert_stands(empty, ["parts"])
    assert md5(empty.path / "data.bin") not in empty.objects()
    assert ran(empty.dvc("repro")) == {"data", "score", "note"}
    assert_complete(empty)


def test_a_cache_that_cannot_be_is_named(empty):
    """A cache.dir that is no folder: the line has its path, and nothing is recorded."""
    (empty.path.parent / "taken").write_text("a file")
    empty.dvc("config", "--local", "cache.dir", str(empty.path.parent / "taken/cache"))
    said = empty.ours("run", fails=True)
    wrong = next(line for line in said.splitlines() if "Not a directory" in line)
    assert wrong.lower().startswith("error: ") and "taken/cache" in wrong
    assert empty.lock() == {}
    empty.dvc("config", "--local", "--unset", "cache.dir")
    empty.dvc("repro", "-q")
    assert_complete(empty)


REPRO = (sys.executable, "-m", "dvc", "repro")
RUN = (sys.executable, "-m", "lora_vs_api", "run")


@pytest.mark.parametrize(
    ("commands", "wait"),
    [
        pytest.param((REPRO, RUN), True, id="run while repro is at it"),
        pytest.param((RUN, REPRO), True, id="repro while run is at it"),
        pytest.param((RUN, RUN), True, id="run while run is at it"),
        pytest.param((RUN, REPRO), False, id="both at once"),
    ],
)
def test_two_at_work_in_one_clone(empty, commands, wait):
    """Two people in one folder: each ends well or says in DVC's words who is at work, and what is
    there in the end is what one of them alone would have made."""
    environment = {"PAUSE": "2"}
    first = empty.start(*commands[0], environment=environment)
    if wait:
        for _ in range(600):
            if (empty.path / "begun").exists() or first.poll() is not None:
                break
            threading.Event().wait(0.05)
        assert (empty.path / "begun").exists()
    second = empty.start(*commands[1], environment=environment)
    said = [process.communicate(timeout=120)[0] for process in (first, second)]
    codes = [process.returncode for process in (first, second)]
    assert 0 in codes, said
    for command, code, words in zip(commands, codes, said):
        assert "Traceback" not in words
        if code:
            assert re.search(r"is busy, it is being blocked by|acquire lock", words)
            assert command is REPRO or len(words.strip().splitlines()) == 1
    assert_complete(empty)
    assert md5(empty.path / "note.md") == hashlib.md5(b"2\n" * 9).hexdigest()
