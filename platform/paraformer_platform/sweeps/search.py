"""Trials that a search proposes one after the other: Optuna's samplers, made to repeat themselves.

::

    trials = SearchTrials(planner, plan, record=folder / "proposals.jsonl")
    while not trials.exhausted:
        trial = trials.propose()          # None while the search waits for a result
        trials.tell(trial, outcome)       # outcome.state, outcome.metrics

What it promises:

- *The same seed proposes the same variants*, however many trials run at once and whichever ends first.
  Proposal n knows the results of all up to n - ``lookahead`` and of no others; it waits until they are there.
- *Also after a resume.* Each result is written to the record as it is told to the sampler. A resume asks the
  sampler the same questions with the same answers and arrives where it was.
- *No cell twice.* Alone, TPE proposes 7 different cells of 12 in 12 trials (measured). A repeated one is
  answered from what is known and the sampler asked again; when it insists, a new cell is drawn at random.
  A space of 12 cells is run in 12 variants, then the search is over.
- It learns from dev scores, whatever the sweep is about: see `objective`.
- A NaN counts as worse than any number; a variant of which a seed failed tells the sampler nothing. A trial
  that ``early_terminate`` ended tells what it had reached.
"""

import json
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.designs import Cell, VariantNames, draws, inner_space, outer_cells
from paraformer_platform.sweeps.objective import Objective
from paraformer_platform.sweeps.plan import Plan, PlannedTrial, PlannedVariant, Planner
from paraformer_platform.sweeps.space import CATEGORICAL, INT_UNIFORM, LOG_UNIFORM_VALUES, Parameter, Space
from paraformer_platform.sweeps.spec import SweepSpec
from paraformer_platform.whole_file import append_line, write_whole

COMPLETED = "completed"
REPEATS_BEFORE_DRAWING = 5
"""Proposals of known or excluded cells in a row after which a new cell is drawn at random."""


class Outcome(Protocol):
    """How a trial ended."""

    @property
    def state(self) -> str:
        """Completed or another state."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Final metrics of a completed trial; the last ones of a trial that was ended early."""


@dataclass
class _Proposal:
    """A variant of a search on its way from the sampler and back."""

    variant: PlannedVariant
    trials: tuple[PlannedTrial, ...]
    asked: Any
    """Optuna's trial."""
    values: dict[str, float | None] = field(default_factory=dict)
    """Objective of each ended trial by its key; None for a failed one."""

    @property
    def ended(self) -> bool:
        return len(self.values) == len(self.trials)


class SearchTrials:
    """All trials of a plan: the planned ones first, then those of the search inside each outer cell in turn.

    Args (of the constructor):
        planner: Makes variants and trials.
        plan: The plan of the same sweep.
        record: File of the results told so far; None keeps none, for a search that is never resumed.

    Raises:
        SweepError: The sampler needs a package that is not installed.
    """

    def __init__(self, planner: Planner, plan: Plan, record: Path | None = None) -> None:
        self._ready: list[PlannedTrial] = list(plan.trials)
        self._most = len(plan.trials) + (plan.searched or 0) * len(plan.spec.seeds)
        self._planned = len(plan.trials)
        taken = [dict(variant.changes) for variant in plan.variants]
        notes = _Record(record)
        self._searches = [
            _Search(planner, inner_space(planner.space, cell), index, notes, taken)
            for index, cell in enumerate(outer_cells(planner.space))
        ]
        self._of_key: dict[str, tuple[_Search, _Proposal]] = {}
        self.proposed: list[tuple[PlannedVariant, tuple[PlannedTrial, ...]]] = []
        """What the search has added so far, in order; for the lock file."""

    @property
    def total(self) -> int:
        """How many trials there will be in all: at most, until the search is over."""
        if not self.exhausted:
            return self._most
        return self._planned + sum(len(trials) for _, trials in self.proposed)

    def propose(self) -> PlannedTrial | None:
        """Return the next trial; None while every search waits for results, and at the end."""
        if not self._ready:
            self._ask()
        return self._ready.pop(0) if self._ready else None

    def tell(self, trial: PlannedTrial, outcome: Outcome) -> None:
        """Learn how a trial ended; only the first end of a trial counts."""
        if trial.trial_key in self._of_key:
            search, proposal = self._of_key[trial.trial_key]
            proposal.values.setdefault(trial.trial_key, search.value_of(outcome))

    @property
    def exhausted(self) -> bool:
        """Whether no further trial will ever be proposed."""
        return not self._ready and all(search.over for search in self._searches)

    def _ask(self) -> None:
        for search in list(self._searches):
            proposal = search.propose()
            if proposal is not None:
                # The next question goes to the next search.
                self._searches.remove(search)
                self._searches.append(search)
                self._of_key |= {trial.trial_key: (search, proposal) for trial in proposal.trials}
                self._ready += proposal.trials
                self.proposed.append((proposal.variant, proposal.trials))
                return


class _Search:
    """One search inside one outer cell."""

    def __init__(
        self, planner: Planner, space: Space, index: int, notes: "_Record", taken: list[Cell]
    ) -> None:
        spec = planner.spec
        self._planner = planner
        self._space = space
        self._index = index
        self._notes = notes
        self._names = VariantNames(planner.space)
        self._target = spec.metric.target
        self.objective = Objective.of(spec.metric)
        self._lookahead = spec.search.lookahead
        self._cap = math.inf if spec.run_cap is None else spec.run_cap
        self._study = _study(spec, index)
        self._seen = {_key(cell) for cell in taken}
        self._known: dict[str, float] = {}
        self._proposals: list[_Proposal] = []
        self._told = 0
        self._drawn: Iterator[Cell] = draws(space, spec.search.seed)
        self.over = False

    def value_of(self, outcome: Outcome) -> float | None:
        """Return what the sampler learns of a trial; of one that was ended early what it had reached."""
        if outcome.state != COMPLETED and self.objective.name not in outcome.metrics:
            return None
        return self.objective.value(outcome.metrics)

    def propose(self) -> _Proposal | None:
        """Return the next proposal; None while it waits for results, and at the end."""
        if self.over or not self._catch_up():
            return None
        if len(self._proposals) >= self._cap or self._on_target():
            self.over = True
            return None
        asked = self._ask()
        if asked is None:
            self.over = True
            return None
        return self._note(*asked)

    def _catch_up(self) -> bool:
        """Tell the sampler all results that the next proposal may know; False when one is missing."""
        while self._told <= len(self._proposals) - self._lookahead:
            proposal = self._proposals[self._told]
            known, value = self._notes.value(self._index, self._told, proposal)
            if not known:
                if not proposal.ended:
                    return False
                value = _mean(proposal.values.values())
                self._notes.add(self._index, self._told, proposal, value)
            self._tell(proposal, value)
            self._told += 1
        return True

    def _tell(self, proposal: _Proposal, value: float | None) -> None:
        _tell(self._study, proposal.asked, value)
        if value is not None:
            self._known[_key(dict(proposal.variant.changes))] = value

    def _on_target(self) -> bool:
        if self._target is None or not self._known:
            return False
        return self.objective.reaches(self.objective.best(self._known.values()), self._target)

    def _ask(self) -> tuple[Any, Cell] | None:
        """Return a cell that was not run yet; None when there is none left."""
        for _ in range(REPEATS_BEFORE_DRAWING):
            asked, cell = _asked(self._study, self._space)
            if _key(cell) not in self._seen and self._space.allows(cell):
                return asked, cell
            _tell(self._study, asked, self._known.get(_key(cell)))
        new = list(islice((cell for cell in self._drawn if _key(cell) not in self._seen), 1))
        if not new:
            return None
        self._study.enqueue_trial(
            {name: _encoded(self._space, name, value) for name, value in new[0].items()}
        )
        return _asked(self._study, self._space)

    def _note(self, asked: Any, cell: Cell) -> _Proposal:
        self._seen.add(_key(cell))
        variant = self._planner.variant(self._names.variant(cell))
        proposal = _Proposal(variant, self._planner.trials(variant), asked)
        self._proposals.append(proposal)
        return proposal


class _Record:
    """The results told to the samplers, one JSON line each; a torn last line is as if it was never told."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._told: dict[tuple[int, int], dict[str, Any]] = {}
        for entry in _entries(path):
            self._told[entry["search"], entry["proposal"]] = entry

    def value(self, search: int, number: int, proposal: _Proposal) -> tuple[bool, float | None]:
        """Return whether this proposal's result was told before, and what was told."""
        entry = self._told.get((search, number))
        if entry is None:
            return False, None
        keys = [trial.trial_key for trial in proposal.trials]
        if entry["trial_keys"] != keys:
            raise SweepError(
                f"{self._path}: proposal {number} was {entry['trial_keys']} and now is {keys}; the search "
                "cannot go on as it began (another version of Optuna?): give the sweep a new name"
            )
        return True, None if entry["value"] is None else float(entry["value"])

    def add(self, search: int, number: int, proposal: _Proposal, value: float | None) -> None:
        """Note a result."""
        if self._path is None:
            return
        keys = [trial.trial_key for trial in proposal.trials]
        shown = str(value) if value is not None and math.isinf(value) else value  # JSON has no infinity
        entry = {"search": search, "proposal": number, "trial_keys": keys, "value": shown}
        append_line(self._path, json.dumps(entry))


def _entries(path: Path | None) -> Iterator[dict[str, Any]]:
    if path is None or not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:  # what follows would be written into the torn line
        write_whole(path, whole)
    yield from map(json.loads, whole.splitlines())


def _mean(values: Any) -> float | None:
    """Return the mean over seeds; None when one failed."""
    numbers = list(values)
    return None if None in numbers else sum(numbers) / len(numbers)


def _key(cell: Cell) -> str:
    return json.dumps(cell, sort_keys=True)


def _study(spec: SweepSpec, index: int) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(direction=spec.metric.goal, sampler=_sampler(spec, index))


def _sampler(spec: SweepSpec, index: int) -> Any:
    from optuna import samplers
    from optuna.exceptions import ExperimentalWarning

    search, seed = spec.search, spec.search.seed + index
    startup = {"n_startup_trials": search.startup_trials, "seed": seed}
    makers = {
        # A running proposal counts as a bad one, so that the next one goes elsewhere.
        "tpe": lambda: samplers.TPESampler(**startup, constant_liar=search.lookahead > 1),
        "gp": lambda: samplers.GPSampler(**startup),
        "cmaes": lambda: samplers.CmaEsSampler(**startup, warn_independent_sampling=False),
        "qmc": lambda: samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False),
        "random": lambda: samplers.RandomSampler(seed=seed),
        "nsgaii": lambda: samplers.NSGAIISampler(seed=seed),
    }
    if search.sampler == "cmaes" and find_spec("cmaes") is None:
        raise SweepError("search.sampler cmaes needs the package cmaes; install it or choose tpe or gp")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return makers[search.sampler]()


def _asked(study: Any, space: Space) -> tuple[Any, Cell]:
    """Ask the sampler for every parameter that applies."""
    cell: Cell = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Clip non-finite values")  # the worst values, as meant
        asked = study.ask()
        for parameter in space.parameters:
            if parameter.applies(space.lookup(cell)):
                cell[parameter.name] = _suggested(asked, parameter)
    return asked, cell


def _suggested(asked: Any, parameter: Parameter) -> object:
    name, low, high, step = parameter.name, parameter.low, parameter.high, parameter.step
    if parameter.distribution == CATEGORICAL:
        # As text, so that true and 1 are two choices and a list can be one.
        texts = [json.dumps(value) for value in parameter.values]
        return parameter.values[texts.index(asked.suggest_categorical(name, texts))]
    if parameter.distribution == INT_UNIFORM:
        return asked.suggest_int(name, int(low), int(high), step=int(step or 1))
    is_log = parameter.distribution == LOG_UNIFORM_VALUES
    return parameter.rounded(asked.suggest_float(name, low, high, step=step, log=is_log))


def _encoded(space: Space, name: str, value: object) -> object:
    """Return a value as Optuna knows it."""
    parameter = next(item for item in space.parameters if item.name == name)
    return json.dumps(value) if parameter.distribution == CATEGORICAL else value


def _tell(study: Any, asked: Any, value: float | None) -> None:
    from optuna.trial import TrialState

    if value is None:
        study.tell(asked, state=TrialState.FAIL)
    else:
        study.tell(asked, value)
