"""What answered for the fine-tune, seed by seed, from what stands beside its timings."""

from __future__ import annotations

from collections.abc import Sequence

from lora_vs_api.analysis.results import SeedServed, Serving
from lora_vs_api.analysis.scored_run import ScoredRun


def serving_of(seeds: Sequence[int], runs: Sequence[ScoredRun]) -> Serving | None:
    """How each seed was served; None where none was to be."""
    found = {seed: run.timings.served for seed, run in zip(seeds, runs, strict=True)}
    known = {seed: served for seed, served in found.items() if served is not None}
    if not known:
        return None
    return Serving(
        outtype=next(iter(known.values())).outtype,
        seeds=tuple(
            SeedServed(
                seed=seed,
                engine=served.engine,
                reason=served.reason,
                texts=served.texts,
                same=served.same,
                probed=served.probed,
                difference=served.difference,
                read_otherwise=tuple(served.read_otherwise),
            )
            for seed, served in known.items()
        ),
    )
