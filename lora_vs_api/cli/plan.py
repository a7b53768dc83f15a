"""Say what a run would do and why, what it would take and what it would cost; run nothing."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_vs_api.config.compose import compose, composed
from lora_vs_api.config.engines import check_engine
from lora_vs_api.config.load import PARAMS, load_params
from lora_vs_api.config.sections import Params
from lora_vs_api.errors import UserError
from lora_vs_api.log import say, show
from lora_vs_api.orchestrate.expenses import Download, Payment, downloads, payments
from lora_vs_api.orchestrate.plan import Step, Took, plan_nodes

WIDTH = 100
# reasons of one node that are told; the rest is counted
REASONS = 3
DOES = {"run": "run", "follow": "maybe", "restore": "from cache", "unchanged": "nothing"}
MARKS = {"last": "{}", "settings": "({})", "sibling": "~{}", "timings": "≥{}"}
# nodes that need what serves the fine-tune, or after which a seed has to be served anew, the first of minutes each
NEED_ENGINE = frozenset({"sanity", "rank_trial", "lr_trial", "train", "served"})
LEGEND = {
    "last": "as long as the last time here",
    "settings": "( ) so long under other settings",
    "sibling": "~ new, as long as others of its name",
    "timings": "≥ by timings/, without starting and loading",
}


# minutes of a shipped profile, all nodes together, for whom nothing has run yet (README.md, docs/your-data.md)
USUAL = {"quick": "some 5", "laptop": "about 35"}


@dataclass(frozen=True)
class Plan:
    """What would be done with each node, paid and downloaded; ``profile`` is the settings' profile_name."""

    steps: list[Step]
    payments: list[Payment]
    downloads: list[Download]
    profile: str | None = None

    def of(self, state: str) -> list[Step]:
        return [step for step in self.steps if step.state == state]

    @property
    def running(self) -> list[Step]:
        """The nodes that run, or may."""
        return [step for step in self.steps if step.runs]


def show_plan(overrides: Sequence[str], *, short: bool) -> None:
    """Print what `dvc repro` would do; with ``overrides``, what `dvc exp run -S` would do with them.

    Raises:
        UserError: an override that Hydra refuses, what DVC finds wrong with the project, or no vLLM where
            a node would need it.
    """
    root = Path.cwd()
    if overrides:
        plan_of, params = composed(overrides)
    else:
        plan_of, params = None, load_params()
    plan = make_plan(plan_nodes(root, plan_of), params)
    if not NEED_ENGINE.isdisjoint(step.address.partition("@")[0] for step in plan.running):
        check_engine(params)
    if short:
        for line in in_short(plan):
            say(line)
        return
    for line in [*table(plan.steps), *totals(plan)]:
        show(line)
    if not overrides:
        _tell_of_conf(root)


def _tell_of_conf(root: Path) -> None:
    """A setting that was written into conf/ and is not in params.yaml yet is not in the plan."""
    try:
        text = compose()
    except UserError as error:
        show(f"Note: conf/ does not compose: {error}")
        return
    if text.encode() != (root / PARAMS).read_bytes():
        show(
            f"Note: this is the plan of {PARAMS}, as `dvc repro` and `make run` read it; conf/ composes "
            "to other\nsettings: `make params` takes them over, `dvc exp run` does before it runs."
        )


def make_plan(steps: list[Step], params: Params) -> Plan:
    """``steps`` with what they would pay and download."""
    return Plan(steps, payments(steps, params), downloads(steps, params), params.profile_name)


def plan_in_short(root: Path, only: Collection[str]) -> list[str]:
    """The lines that `run` begins with, of the nodes ``only``.

    What keeps them from being known stops no run: it is said in their place.
    """
    try:
        steps = [step for step in plan_nodes(root) if step.address in only]
        try:
            plan = make_plan(steps, load_params())
        except UserError:
            # no settings of ours, no model of ours: a node will say what is wrong with them
            plan = Plan(steps, [], [])
        return in_short(plan)
    except Exception as error:  # whatever DVC meets in a project that is half-way
        first = (str(error).splitlines() or [type(error).__name__])[0]
        return [f"plan: not known: {first}"]


def table(steps: Sequence[Step]) -> list[str]:
    """A line for each node that is not left as it is, longer reasons below each other."""
    shown = [step for step in steps if step.state != "unchanged"]
    if not shown:
        return []
    name = min(40, max(len("node"), *(len(step.address) for step in shown)))
    does = max(map(len, DOES.values()))
    minutes = 7
    why = WIDTH - name - does - minutes - 6
    lines = [f"{'node':<{name}}  {'what':<{does}}  {'why':<{why}}  {'minutes':>{minutes}}".rstrip()]
    for step in shown:
        reasons, more = step.reasons[:REASONS], len(step.reasons) - REASONS
        text = "; ".join(reasons) + (f"; and {more} more" if more > 0 else "")
        first, *rest = textwrap.wrap(text, why, break_on_hyphens=False) or [""]
        head = f"{step.address:<{name}}  {DOES[step.state]:<{does}}  {first:<{why}}"
        took = f"  {_cell(step):>{minutes}}"
        if len(step.address) > name:
            lines.append(step.address)
            head = head.replace(step.address, " " * name, 1)
        lines.append(f"{head}{took}".rstrip())
        lines += [f"{'':<{name + does + 4}}{line}" for line in rest]
    return [*lines, ""]


def _cell(step: Step) -> str:
    if not step.runs:
        return ""
    return "unknown" if step.took is None else MARKS[step.took.known_by].format(_digits(step.took))


def _digits(took: Took) -> str:
    return _minutes(took.seconds)


def _minutes(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 0.05:
        return "<0.1"
    return f"{minutes:.0f}" if minutes >= 9.95 else f"{minutes:.1f}"


def totals(plan: Plan) -> list[str]:
    """Nodes, minutes, dollars and megabytes, a line each, folded at the table's width."""
    lines = [_nodes(plan), _time(plan), _money(plan), _megabytes(plan)]
    if not plan.running:
        lines = lines[:1]
    return [row for line in lines for row in textwrap.wrap(line, WIDTH, subsequent_indent="  ")]


def _nodes(plan: Plan) -> str:
    run, follow, cached = plan.of("run"), plan.of("follow"), plan.of("restore")
    if not (run or follow or cached):
        return f"Nothing to do: all {len(plan.steps)} nodes are up to date."
    parts = [f"{len(run)} run"]
    if follow:
        parts.append(f"{len(follow)} more if what they read comes out otherwise")
    if cached:
        parts.append(f"{len(cached)} come out of DVC's cache")
    return f"Nodes: {', '.join(parts)}; up to date: {len(plan.of('unchanged'))}."


def _time(plan: Plan) -> str:
    known = [step.took for step in plan.running if step.took is not None]
    unknown = len(plan.running) - len(known)
    usual = USUAL.get(plan.profile or "")
    shipped = (
        f"; the whole of profile={plan.profile} as shipped takes {usual} on two cores, with texts as "
        "long as an email"
        if usual and unknown > len(known)
        else ""
    )
    if not known:
        return f"Minutes: unknown, none of these nodes has run here yet{shipped}."
    legend = [text for how, text in LEGEND.items() if any(took.known_by == how for took in known)]
    rest = f", and {unknown} of which nobody knows" if unknown else ""
    total = _minutes(sum(took.seconds for took in known))
    about = total.replace("<", "under ") if total.startswith("<") else f"about {total}"
    return f"Minutes: {about} one after the other{rest}{shipped} ({'; '.join(legend)})."


def _money(plan: Plan) -> str:
    if not plan.payments:
        return "Dollars: none, no node asks an API that is paid for."
    known = [one.usd for one in plan.payments if one.usd is not None]
    unknown = [one for one in plan.payments if one.usd is None]
    said = f"about {sum(known):.4f} for {len(known)} of {len(plan.payments)} nodes" if known else ""
    if unknown:
        said += f"{', and ' if said else ''}unknown for {len(unknown)} ({unknown[0].unknown})"
    limit = plan.payments[0].limit_usd
    if limit is None:
        most = "no limit is set (api.limits.budget_usd: null)"
    elif limit == 0:
        most = "nothing is paid (api.limits.budget_usd: 0), and these nodes end with what they would pay"
    else:
        most = f"at most {limit:g} a condition (api.limits.budget_usd)"
    return f"Dollars: {said}; {most}."


def _megabytes(plan: Plan) -> str:
    if not plan.downloads:
        return "Download: nothing."
    known = [one for one in plan.downloads if one.bytes is not None]
    parts = [f"{one.address} {(one.bytes or 0) / 1e6:,.0f} from {one.whence}" for one in known]
    parts += [
        f"{one.address} from {one.whence}, whose size no setting says"
        for one in plan.downloads
        if one.bytes is None
    ]
    total = sum(one.bytes or 0 for one in known)
    many = f"{total / 1e6:,.0f} MB" if known else "of unknown size"
    return f"Download: {many} ({'; '.join(parts)})."


def in_short(plan: Plan) -> list[str]:
    """What a run is about to do, in two or three lines; none where that is nothing."""
    if not plan.running and not plan.of("restore"):
        return []
    lines = [f"plan: {_nodes(plan)}"]
    new = [step.address for step in plan.running if "new" in step.reasons]
    if new and len(new) < len(plan.running):
        named = ", ".join(new[:REASONS]) + (" …" if len(new) > REASONS else "")
        lines.append(f"plan: new: {named}")
    if plan.running:
        # what each mark means stands below the table
        lines.append(f"plan: {_time(plan).split(' (')[0].rstrip('.')}.")
        lines += [f"plan: {line}" for line in (_money(plan), _megabytes(plan))]
        lines.append("plan: `lora-vs-api plan` says it node by node, with -S for other settings")
    return lines
