"""What `dvc repro` would do and why, without doing it.

`dvc repro --dry` runs nothing either, but looks at each node as if those before it had changed
nothing, and ends at the first file that is still to be made. Here the nodes are gone through in the
same order, and what a node would leave is handed on: the digests of its outputs where DVC's cache
has them, and else that they are not known. Nothing is written, and no lock of DVC's is taken.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from lora_vs_api.config.load import PARAMS
from lora_vs_api.durations import read_duration
from lora_vs_api.errors import UserError
from lora_vs_api.shown import one_line

if TYPE_CHECKING:
    from dvc.dependency import ParamsDependency
    from dvc.output import Output
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

# run: it has to run. follow: it runs if what it reads comes out otherwise than it was.
# restore: its outputs come out of DVC's cache. unchanged: nothing is to be done.
State = Literal["run", "follow", "restore", "unchanged"]
# of a value that is shown as it is; what is longer, or may be an address with a password, is not
SHORT = re.compile(r"[\w.,/+-][\w.,/+ -]{0,23}")
# node → a setting that, as an empty list, leaves it nothing to do, whatever it took before
IDLE = {"lr_trial": "sweep.ranks"}
_MISSING = object()


@dataclass(frozen=True)
class Took:
    """Seconds that a node took, and how that is known.

    last: the last time it ran here. settings: so too, but under other settings of it.
    sibling: it has not run yet, and others of its name took so long. timings: what stands in its
    output of timings/, which leaves out starting and loading, and may be of another machine.
    """

    seconds: float
    known_by: Literal["last", "settings", "sibling", "timings"]


@dataclass(frozen=True)
class Step:
    """One node of the DAG: what would be done with it, why, and how long it took before."""

    address: str
    state: State
    reasons: tuple[str, ...] = ()
    took: Took | None = None

    @property
    def runs(self) -> bool:
        """Whether it runs, or may."""
        return self.state in ("run", "follow")


def plan_nodes(root: Path, params: str | None = None) -> list[Step]:
    """Every node in the order in which `dvc repro` goes through them.

    Args:
        root: the project's folder, which has to be the working directory.
        params: the text that params.yaml would have; None: as it is.

    Raises:
        UserError: what DVC finds wrong with dvc.yaml, dvc.lock or params.yaml, in its words.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.reproduce import get_active_graph, plan_repro

    files = None if params is None else _with_params(root, params)
    try:
        with Repo(str(root), fs=files) as repo:
            foresight = _Foresight(repo, root)
            stages = plan_repro(get_active_graph(repo.index.graph))
            # what `dvc add` keeps is data and no node
            found = [foresight.look_at(stage) for stage in stages if stage.cmd]
    except DvcException as error:
        said = one_line(error)
        # as a kill or a merge leaves it
        way_out = (
            "; `lora-vs-api mend` says what it lacks, or recovers it" if "dvc.lock" in said else ""
        )
        raise UserError(f"{root}: {said}{way_out}") from None
    return [*_timed(found, root)]


def _with_params(root: Path, text: str) -> Any:
    """The files of this machine as DVC reads them, but for params.yaml, which has this ``text``."""
    from dvc.fs import LocalFileSystem

    ours = os.path.abspath(root / PARAMS)

    class Composed(LocalFileSystem):
        def open(self, path: Any, mode: str = "r", **options: Any) -> Any:
            if os.path.abspath(path) != ours:
                return super().open(path, mode, **options)
            return io.BytesIO(text.encode()) if "b" in mode else io.StringIO(text)

        def exists(self, path: Any, *others: Any, **options: Any) -> Any:
            if isinstance(path, str) and os.path.abspath(path) == ours:
                return True
            return super().exists(path, *others, **options)

    return Composed()


@dataclass(frozen=True)
class _Made:
    """An output that a node would leave; ``info`` is DVC's digest, None where it is not known."""

    by: str
    info: Any = None
    meta: Any = None


@dataclass(frozen=True)
class _Looked:
    """A node as it was looked at.

    ``other`` says whether its settings are not those of its last run, ``idle`` whether it has nothing to do.
    """

    step: Step
    other: bool
    timings: tuple[str, ...]
    idle: bool


class _Foresight:
    """Goes through the nodes in order; ``made`` has what those before would leave, by path."""

    def __init__(self, repo: Repo, root: Path) -> None:
        self.repo, self.root = repo, root
        self.made: dict[str, _Made] = {}
        self._params: dict[str, Any] = {}

    def look_at(self, stage: PipelineStage) -> _Looked:
        """What would be done with this node, given what would have been done before."""
        if stage.frozen:
            return self._looked(stage, "unchanged", [])
        params, files = self._deps(stage)
        new = not any(item.hash_info for item in (*stage.deps, *stage.outs))
        changes = [] if new else [line for dep in params for line in self._changed(dep)]
        other = bool(changes)
        if stage.always_changed or stage.is_callback:
            changes.append("runs every time")
        if new:
            changes.append("new")
        elif stage.cmd_changed:
            changes.append("its command changed")
        unknown: set[str] = set()
        for dep in files:
            change, makers = self._foresee(dep)
            unknown |= makers
            # all of a new node's files are new to it; worth a word is one that is missing
            if change and not (new and dep.hash_info):
                changes.append(change)
        if unknown:
            reasons = [*changes, f"after {_few(sorted(unknown))}"]
            self._leaves(stage, None)
            return self._looked(stage, "run" if changes else "follow", reasons, other)
        outs = [] if changes else [f"{o} {s}" for o in stage.outs for s in o.status().values()]
        if not changes and not outs:
            return self._looked(stage, "unchanged", [])
        cached = self._cached(stage, same=not changes)
        self._leaves(stage, cached)
        state: State = "run" if cached is None else "restore"
        return self._looked(stage, state, changes + outs, other)

    def _looked(
        self, stage: PipelineStage, state: State, reasons: list[str], other: bool = False
    ) -> _Looked:
        timings = tuple(out.def_path for out in stage.outs if out.def_path.startswith("timings/"))
        step = Step(stage.addressing, state, tuple(reasons))
        return _Looked(step, other, timings, self._is_idle(stage))

    def _is_idle(self, stage: PipelineStage) -> bool:
        key = IDLE.get(stage.addressing.split("@")[0])
        params, _ = self._deps(stage)
        return key is not None and any(_at(self._content(dep), key) == [] for dep in params)

    @staticmethod
    def _deps(stage: PipelineStage) -> tuple[list[ParamsDependency], list[Output]]:
        from dvc.stage.utils import split_params_deps

        params, files = split_params_deps(stage)
        return list(params), list(files)

    def _changed(self, dep: ParamsDependency) -> Iterator[str]:
        """The settings of a node that are not as they were when it last ran, with both values."""
        before, now = dep.hash_info.value or {}, self._values(dep)
        for key in sorted(before.keys() | now.keys()):
            yield from differences(key, before.get(key, _MISSING), now.get(key, _MISSING))

    def _values(self, dep: ParamsDependency) -> dict[str, Any]:
        """The node's settings as they are now."""
        content = self._content(dep)
        if not dep.params:
            return dict(content)
        found = {key: _at(content, key) for key in dep.params}
        return {key: value for key, value in found.items() if value is not _MISSING}

    def _content(self, dep: ParamsDependency) -> dict[str, Any]:
        """What dvc reads of a node's file of settings, which is read once."""
        from dvc.utils.serialize import load_path

        path = dep.fs_path
        if path not in self._params:
            there = self.repo.fs.exists(path)
            self._params[path] = load_path(path, self.repo.fs) if there else {}
        found: dict[str, Any] = self._params[path]
        return found

    def _foresee(self, dep: Output) -> tuple[str | None, set[str]]:
        """How a file or folder that is read would differ, and the nodes that leave that open.

        Its digest becomes the one that is foreseen, by which the run cache is asked.
        """
        path, fs = dep.fs_path, dep.fs
        touched = {p: made for p, made in self.made.items() if fs.overlaps(p, path)}
        unknown = {made.by for made in touched.values() if made.info is None}
        if unknown:
            return None, unknown
        before = dep.hash_info
        if path in touched:
            dep.meta, dep.hash_info = touched[path].meta, touched[path].info
        elif any(fs.isin(path, made) for made in touched):
            # a file of a folder that comes out of the cache: what it will be is left open
            return None, {made.by for made in touched.values()}
        elif not touched and not dep.exists:
            dep.clear()
            return f"{dep} is not there", set()
        else:
            dep.meta, dep.hash_info = self._with(dep, touched)
        if dep.hash_info == before:
            return None, set()
        makers = sorted({made.by for made in touched.values()})
        whose = f" by {_few(makers)}" if makers else ""
        return f"{dep} {'changed' if before else 'is read now'}{whose}", set()

    def _with(self, dep: Output, touched: Mapping[str, _Made]) -> tuple[Any, Any]:
        """DVC's record and digest of what is there now, those of its parts that are ``made`` replaced."""
        from dvc_data.hashfile.meta import Meta
        from dvc_data.hashfile.tree import Tree

        entries: dict[tuple[str, ...], tuple[Any, Any]] = {}
        if dep.exists:
            _, meta, found = dep._build(
                dep.local_cache,
                dep.fs_path,
                dep.fs,
                dep.hash_name,
                ignore=dep.dvcignore,
                dry_run=True,
                no_progress_bar=True,
            )
            if not touched:
                return meta, found.hash_info
            entries = {key: (meta, info) for key, meta, info in found}
        for path, made in touched.items():
            place = tuple(dep.fs.relparts(path, dep.fs_path))
            entries = {key: e for key, e in entries.items() if key[: len(place)] != place}
            if made.info.isdir:
                for key, meta, info in Tree.load(self.repo.cache.local, made.info):
                    entries[(*place, *key)] = (meta, info)
            else:
                entries[place] = (made.meta, made.info)
        tree = Tree()
        for key, (meta, info) in entries.items():
            tree.add(key, meta, info)
        tree.digest()
        return Meta(isdir=True), tree.hash_info

    def _leaves(self, stage: PipelineStage, cached: list[Output] | None) -> None:
        """Note what the node leaves: the ``cached`` outputs, or such as nobody knows yet."""
        known = {out.fs_path: out for out in cached or ()}
        for out in stage.outs:
            found = known.get(out.fs_path)
            self.made[out.fs_path] = (
                _Made(stage.addressing, found.hash_info, found.meta)
                if found
                else _Made(stage.addressing)
            )

    def _cached(self, stage: PipelineStage, *, same: bool) -> list[Output] | None:
        """The outputs that DVC would take out of its cache instead of running the node, if it has them.

        As ``StageCache.restore``, by the digests that are foreseen instead of those of the files here.

        Args:
            same: command, settings and files are those of dvc.lock.
        """
        from dvc.stage.serialize import to_single_stage_lockfile

        if stage.always_changed or not (stage.deps and stage.outs):
            return None
        if any(out.persist or not out.is_in_repo for out in stage.outs):
            return None
        if same and all(out.hash_info for out in stage.outs):
            entry = to_single_stage_lockfile(stage)
        else:
            entry = self._of_run_cache(stage)
        if entry is None:
            return None
        found = self.repo.stage_cache._create_stage(entry, wdir=stage.wdir)
        return list(found.outs) if found.outs_cached() else None

    def _of_run_cache(self, stage: PipelineStage) -> dict[str, Any] | None:
        """What the run cache has for the node's command, settings and files: the newest of it."""
        from dvc.stage.cache import _get_cache_hash
        from dvc.stage.serialize import to_single_stage_lockfile
        from dvc_data.hashfile.hash_info import HashInfo

        params, files = self._deps(stage)
        for dep in params:
            values = self._values(dep)
            if set(dep.params) - values.keys():
                return None
            # as DVC keeps them there
            dep.hash_info = HashInfo(dep.PARAM_PARAMS, cast("str", values))
        if not all(dep.hash_info and dep.fs.protocol == "local" for dep in files):
            return None
        cache = self.repo.stage_cache
        key = _get_cache_hash(to_single_stage_lockfile(stage), key=True)
        try:
            kept = sorted(Path(cache._get_cache_dir(key)).iterdir(), key=os.path.getmtime)
        except OSError:
            return None
        return cache._load_cache(key, kept[-1].name) if kept else None


def _at(content: Any, key: str) -> Any:
    """The value of a dotted key, as DVC finds it; ``_MISSING`` where there is none."""
    for part in key.split("."):
        if isinstance(content, dict) and part in content:
            content = content[part]
        elif isinstance(content, list) and part.isdigit() and int(part) < len(content):
            content = content[int(part)]
        else:
            return _MISSING
    return content


def differences(key: str, before: Any, now: Any) -> Iterator[str]:
    """What differs between two values of a setting, each in words; of sections key by key."""
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for name in [*before, *(name for name in now if name not in before)]:
            yield from differences(
                f"{key}.{name}", before.get(name, _MISSING), now.get(name, _MISSING)
            )
    elif before is _MISSING:
        yield f"{key} is new"
    elif now is _MISSING:
        yield f"{key} is gone"
    else:
        old, new = _short(before), _short(now)
        yield f"{key} changed" if old is None or new is None else f"{key} {old} → {new}"


def _short(value: Any) -> str | None:
    """A value on the terminal, where it is short and of a harmless form."""
    if value is None or isinstance(value, bool):
        return str(value).lower() if value is not None else "null"
    if isinstance(value, list) and all(isinstance(item, int | float | str) for item in value):
        text = ", ".join(map(str, value))
        return f"[{text}]" if not text or SHORT.fullmatch(text) else None
    text = str(value)
    return text if isinstance(value, int | float | str) and SHORT.fullmatch(text) else None


def _few(names: list[str], most: int = 2) -> str:
    """The first of some names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _timed(looked: list[_Looked], root: Path) -> Iterator[Step]:
    """The nodes, those that run or may with what they took before."""
    own = {one.step.address: _took(one, root) for one in looked}
    for one in looked:
        step, took = one.step, own[one.step.address]
        if not step.runs:
            yield step
            continue
        if took is None:
            name = step.address.split("@")[0]
            others = [t.seconds for a, t in own.items() if t and a.split("@")[0] == name]
            took = Took(sum(others) / len(others), "sibling") if others else None
        elif one.other and not one.idle:
            took = Took(took.seconds, "settings")
        yield Step(step.address, step.state, step.reasons, took)


def _took(one: _Looked, root: Path) -> Took | None:
    if one.idle:
        return Took(0.0, "last")
    seconds = read_duration(one.step.address, root)
    if seconds is not None:
        return Took(seconds, "last")
    found = [s for path in one.timings if (s := _timed_seconds(root / path)) is not None]
    return Took(sum(found), "timings") if found else None


def _timed_seconds(path: Path) -> float | None:
    """What an output of timings/ says that training, learning or answering took."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        keys = ("training_seconds", "learning_seconds", "wall_seconds")
        found = [float(content[key]) for key in keys if content.get(key) is not None]
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return sum(found) if found else None
