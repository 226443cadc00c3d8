"""The winner of a search once more, from fresh seeds, before it enters a table.

The best of many proposals was partly lucky, and the search looked at that luck when it chose. So when all
proposals have ended, the best ``confirm.top`` variants and the baseline are trained with seeds that the
search has never seen, as further trials of the same sweep; only these are compared with each other::

    confirm: {top: 1, seeds: [101, 102, 103]}

    search:   19 proposals × seed 11        ── best by dev ──>   confirmation: winner, baseline × 3 seeds

What was chosen is written down before its first trial is begun, and stays chosen: a trial that failed then
and succeeds after a resume does not change it. A search that is extended may add a winner, never drop one.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.designs import baseline_variant
from paraformer_platform.sweeps.objective import Objective
from paraformer_platform.sweeps.plan import Plan, PlannedTrial, PlannedVariant, Planner
from paraformer_platform.sweeps.search import COMPLETED, Outcome
from paraformer_platform.sweeps.settings import ConfirmConfig
from paraformer_platform.sweeps.spec import BASELINE
from paraformer_platform.whole_file import write_whole

Proposed = tuple[PlannedVariant, tuple[PlannedTrial, ...]]


class SearchedTrials(Protocol):
    """Where the trials of the search come from."""

    def propose(self) -> Any:
        """Return the next trial, None when there is none at the moment."""

    def tell(self, trial: Any, outcome: Any) -> None:
        """Learn how a trial ended."""

    @property
    def exhausted(self) -> bool:
        """Whether no further trial will ever be proposed."""

    @property
    def total(self) -> int:
        """How many trials there will be in all, at most."""

    @property
    def proposed(self) -> Sequence[Proposed]:
        """What was added to the plan."""


class ConfirmedTrials:
    """The trials of a search, and then those that confirm what it found.

    Args (of the constructor):
        planner: Makes variants and trials.
        plan: The plan of the sweep.
        searched: The trials of the search.
        record: File of what was chosen; None keeps none, for a sweep that is never resumed.
    """

    def __init__(
        self, planner: Planner, plan: Plan, searched: SearchedTrials, record: Path | None = None
    ) -> None:
        assert plan.spec.confirm is not None
        self._settings: ConfirmConfig = plan.spec.confirm
        self._planner = planner
        self._plan = plan
        self._searched = searched
        self._record = record
        self._objective = Objective.of(plan.spec.metric)
        self._open: dict[str, PlannedTrial] = {}
        self._values: dict[str, list[float | None]] = {}
        self._ready: list[PlannedTrial] | None = None
        self.confirmed: list[Proposed] = []
        """The baseline and what was chosen, with their fresh trials; empty until the search has ended."""

    @property
    def proposed(self) -> Sequence[Proposed]:
        """What the search has added so far."""
        return self._searched.proposed

    def propose(self) -> PlannedTrial | None:
        """Return the next trial; None while the search or its last trials are under way, and at the end."""
        trial: PlannedTrial | None = self._searched.propose()
        if trial is not None:
            self._open[trial.trial_key] = trial
            return trial
        if self._ready is None and self._searched.exhausted and not self._open:
            self._choose()
        return self._ready.pop(0) if self._ready else None

    def tell(self, trial: PlannedTrial, outcome: Outcome) -> None:
        """Learn how a trial ended."""
        if self._open.pop(trial.trial_key, None) is not None:
            value = self._objective.value(outcome.metrics) if outcome.state == COMPLETED else None
            self._values.setdefault(trial.variant, []).append(value)
            self._searched.tell(trial, outcome)

    @property
    def exhausted(self) -> bool:
        """Whether no further trial will ever be proposed."""
        if self._ready is None and self._searched.exhausted and not self._open:
            self._choose()
        return self._ready is not None and not self._ready

    @property
    def total(self) -> int:
        """How many trials there will be in all, at most."""
        if self._ready is None:
            return self._searched.total + (self._settings.top + 1) * len(self._settings.seeds)
        return self._searched.total + sum(len(trials) for _, trials in self.confirmed)

    def _choose(self) -> None:
        """Fix what is confirmed, the baseline first."""
        variants = {variant.id: variant for variant in self._variants()}
        ranked = self._ranked(variants)
        chosen = self._settled(variants, ranked[: self._settings.top], ended=len(self._values))
        baseline = variants.get(BASELINE) or self._planner.variant(baseline_variant(self._planner.space))
        compared = [baseline, *(variants[name] for name in chosen)] if chosen else []
        seeds = self._settings.seeds
        self.confirmed = [(variant, self._planner.trials(variant, seeds)) for variant in compared]
        self._ready = [trial for _, trials in self.confirmed for trial in trials]

    def _variants(self) -> list[PlannedVariant]:
        return [*self._plan.variants, *(variant for variant, _ in self._searched.proposed)]

    def _ranked(self, variants: Mapping[str, PlannedVariant]) -> list[str]:
        """Every variant but the baseline whose trials all have a value, the best first, ties as proposed."""
        means = {name: _mean(self._values.get(name, [])) for name in variants if name != BASELINE}
        known = {name: self._objective.badness(mean) for name, mean in means.items() if math.isfinite(mean)}
        return sorted(known, key=lambda name: known[name])

    def _settled(self, variants: Mapping[str, PlannedVariant], best: Sequence[str], ended: int) -> list[str]:
        """Return what is confirmed: what was written down, and the best if the search has grown since."""
        before = self._written()
        kept: list[str] = before.get("chosen", [])
        if lost := [name for name in kept if name not in variants]:
            raise SweepError(
                f"{self._record}: {', '.join(lost)} was chosen for confirmation, but the search does not "
                "propose it any more (another version of Optuna?): give the sweep a new name"
            )
        grown = not before or ended > before["ended"] or self._settings.top > before["top"]
        chosen = list(dict.fromkeys([*kept, *best])) if grown else kept
        if self._record is not None and grown:
            note = {
                "chosen": chosen,
                "ended": ended,
                "top": self._settings.top,
                "metric": self._objective.name,
            }
            write_whole(self._record, json.dumps(note, indent=1) + "\n")
        return chosen

    def _written(self) -> dict[str, Any]:
        if self._record is None or not self._record.exists():
            return {}
        try:
            return dict(json.loads(self._record.read_text(encoding="utf-8")))
        except ValueError as error:
            raise SweepError(
                f"{self._record} cannot be read: {error}; move it away to choose anew"
            ) from error


def _mean(values: Sequence[float | None]) -> float:
    """Return the mean over seeds; NaN when one has no value, or there is none."""
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(values) else math.nan
