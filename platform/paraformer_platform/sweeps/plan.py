"""The plan: every variant × seed with its trial_key, as plain data, before anything starts.

::

    spec = load_sweep("experiments/sweeps/demo.yaml")
    base = load_base(spec).config
    plan = make_plan(spec, base, data_fingerprint="9f…", code_version=code_version())
    plan.arithmetic           # baseline + 3 changes = 4 variants × 3 seeds = 12 trials
    plan.trials[0]            # PlannedTrial(trial_key="3f…", variant="baseline", seed=11, config=…)

A plan is a pure function of its arguments. Of method bayes it holds the included points only; the rest comes
from `search.SearchTrials`, which makes its trials with the same `Planner`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from paraformer.errors import Fault
from paraformer_platform.config.conversion import leaves
from paraformer_platform.config.identity import trial_key
from paraformer_platform.config.load import LoadedExperiment, load_experiment
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.sweeps.changes import ConfigKeys, with_changes
from paraformer_platform.sweeps.designs import Variant, baseline_variant, design, outer_cells
from paraformer_platform.sweeps.space import Space
from paraformer_platform.sweeps.spec import BASELINE, SEED_KEY, SweepSpec, faulty

Fingerprint = str | Callable[[ExperimentConfig], str]
"""The data's fingerprint; a function where variants differ in their data."""
MOST_FAULTS = 20


@dataclass(frozen=True)
class PlannedTrial:
    """One training: a variant with a seed."""

    trial_key: str
    """Hash of all that can change the result."""
    variant: str
    """Id of the variant."""
    seed: int
    """Seed of the training."""
    config: ExperimentConfig
    """The resolved configuration."""

    @property
    def label(self) -> str:
        """What a table calls it."""
        return f"{self.variant}/seed-{self.seed}"


@dataclass(frozen=True)
class PlannedVariant:
    """A variant with its configuration."""

    id: str
    """Name in tables."""
    changes: Mapping[str, object]
    """What differs from the base file, by dotted key."""
    group: str | None
    """Heading under which a table shows it."""
    config: ExperimentConfig
    """The resolved configuration, with the base file's seed."""
    parameters: int | None = None
    """Parameters of the model, where counted."""


@dataclass(frozen=True)
class Plan:
    """What a sweep will run."""

    spec: SweepSpec
    """The sweep file."""
    variants: tuple[PlannedVariant, ...]
    """In the order in which they are run."""
    trials: tuple[PlannedTrial, ...]
    """Every seed of the first variant, then of the second, …"""
    arithmetic: str
    """How many there are and why."""
    data_fingerprint: str
    """Of the base file's data."""
    code_version: str
    """Hash of the sources that train."""
    aliases: Mapping[str, object] | None = None
    """Of a fractional design: which effects cannot be told apart."""
    searched: int | None = None
    """Variants that a search will add at most; None when all are planned."""

    @property
    def baseline(self) -> str | None:
        """Id of the variant that the others are compared with; None when the sweep has none."""
        return BASELINE if any(variant.id == BASELINE for variant in self.variants) else None


class Planner:
    """Makes variants and trials of one sweep; raises for those that cannot be run.

    Args (of the constructor):
        spec: The sweep.
        base: The resolved configuration of its base file.
        data_fingerprint: Of the data, see `Fingerprint`.
        code_version: Hash of the sources that train.
    """

    def __init__(
        self, spec: SweepSpec, base: ExperimentConfig, data_fingerprint: Fingerprint, code_version: str
    ) -> None:
        self.spec = spec
        self.base = base
        self.code_version = code_version
        self.keys = ConfigKeys(type(base))
        self.space = Space(spec.space().parameters, spec.space().excluded, leaves(base))
        self._fingerprint = data_fingerprint
        self._fingerprints: dict[object, str] = {}

    def fingerprint(self, config: ExperimentConfig) -> str:
        """Return the fingerprint of a configuration's data."""
        if isinstance(self._fingerprint, str):
            return self._fingerprint
        if config.data not in self._fingerprints:
            self._fingerprints[config.data] = self._fingerprint(config)
        return self._fingerprints[config.data]

    def variant(self, variant: Variant) -> PlannedVariant:
        """Return a variant with its configuration."""
        changes = self.keys.typed(variant.changes)
        return PlannedVariant(variant.id, changes, variant.group, with_changes(self.base, changes))

    def trials(self, variant: PlannedVariant, seeds: Sequence[int] | None = None) -> tuple[PlannedTrial, ...]:
        """Return the trials of a variant, one for each seed, by default of the sweep's ``seeds``."""
        fingerprint = self.fingerprint(variant.config)
        chosen = self.spec.seeds if seeds is None else seeds
        configs = ((seed, with_changes(variant.config, {SEED_KEY: seed})) for seed in chosen)
        return tuple(
            PlannedTrial(trial_key(config, fingerprint, self.code_version), variant.id, seed, config)
            for seed, config in configs
        )

    def key_faults(self) -> list[Fault]:
        """Every key of the sweep file that the configuration does not have, every value of a wrong type."""
        assigned = [(path, self.keys.fault(key, value)) for path, key, value in self.spec.assignments()]
        faults = [replace(fault, path=f"{path}.{fault.path}") for path, fault in assigned if fault]
        whens = [parameter.when for parameter in self.space.parameters if parameter.when]
        for condition in (*self.space.excluded, *whens):
            unknown = [self.keys.unknown(name) for name in condition.names]
            faults += [replace(fault, path=f"{condition.text!r}: {fault.path}") for fault in unknown if fault]
        return list({str(fault): fault for fault in faults}.values())


def load_base(spec: SweepSpec) -> LoadedExperiment:
    """Read the sweep's base file, with the sweep's own resources, tracking, storage and constants in it.

    Raises:
        ConfigError: The base file cannot be read or run.
    """
    return load_experiment(spec.base, set={**spec.settings(), **spec.constants()})


def make_plan(
    spec: SweepSpec,
    base: ExperimentConfig,
    *,
    data_fingerprint: Fingerprint,
    code_version: str,
    count_parameters: Callable[[ExperimentConfig], int] | None = None,
) -> Plan:
    """Plan a sweep.

    Args:
        spec: The sweep.
        base: The resolved configuration of its base file, see `load_base`.
        data_fingerprint: Of the data, see `Fingerprint`.
        code_version: Hash of the sources that train.
        count_parameters: Tells the size of a model, for tables and estimates; asked once for each model.

    Raises:
        SweepError: Keys that do not exist, values that cannot be, two variants that are the same trial.
    """
    planner = Planner(spec, base, data_fingerprint, code_version)
    if faults := planner.key_faults():
        raise faulty(f"sweep {spec.name}", faults)
    made = design(spec, planner.space.fixed)
    variants = [planner.variant(variant) for variant in made.variants]
    compared = [planner.variant(baseline_variant(planner.space))] if spec.confirm else []
    _refuse(spec, _variant_faults([*variants, *compared]))
    trials = tuple(trial for variant in variants for trial in planner.trials(variant))
    _refuse(spec, _duplicates(trials))
    return Plan(
        spec=spec,
        variants=tuple(_counted(variants, count_parameters)),
        trials=trials,
        arithmetic=_arithmetic(spec, made.arithmetic, len(variants)),
        data_fingerprint=planner.fingerprint(base),
        code_version=code_version,
        aliases=made.aliases,
        searched=_searched(spec, planner.space),
    )


def _arithmetic(spec: SweepSpec, made: str, variants: int) -> str:
    seeds = f"{len(spec.seeds)} seed{'s' if len(spec.seeds) > 1 else ''}"
    if spec.method == "bayes":
        cap = "all cells" if spec.run_cap is None else f"{spec.run_cap} proposals"
        return f"{cap} of {spec.search.sampler} × {seeds}{_confirmation(spec)}"
    return f"{made}: {variants} variants × {seeds} = {variants * len(spec.seeds)} trials{_confirmation(spec)}"


def _confirmation(spec: SweepSpec) -> str:
    if spec.confirm is None:
        return ""
    count, seeds = spec.confirm.top, len(spec.confirm.seeds)
    best = "the best" if count == 1 else f"the best {count}"
    fresh = f"{seeds} fresh seed{'s' if seeds > 1 else ''}"
    return f"; then {best} and the baseline × {fresh} = {(count + 1) * seeds} trials"


def _searched(spec: SweepSpec, space: Space) -> int | None:
    if spec.method != "bayes":
        return None
    sizes = [
        len(item.levels()) if item.is_finite else math.inf for item in space.parameters if not item.outer
    ]
    inside = min(math.prod(sizes), math.inf if spec.run_cap is None else spec.run_cap)
    return int(inside) * sum(1 for _ in outer_cells(space))


def _variant_faults(variants: Iterable[PlannedVariant]) -> list[Fault]:
    """The configurations that cannot be run, the same fault of a base file once."""
    faults: dict[str, Fault] = {}
    for variant in variants:
        for fault in variant.config.faults():
            faults.setdefault(str(fault), replace(fault, path=f"variant {variant.id}: {fault.path}"))
    return list(faults.values())


def _duplicates(trials: Iterable[PlannedTrial]) -> list[Fault]:
    first: dict[str, PlannedTrial] = {}
    faults = []
    for trial in trials:
        other = first.setdefault(trial.trial_key, trial)
        if other is not trial:
            message = f"is the same trial as {other.label}; leave one of the two out"
            faults.append(Fault(trial.label, trial.trial_key, message))
    return faults


def _refuse(spec: SweepSpec, faults: list[Fault]) -> None:
    if len(faults) > MOST_FAULTS:
        more = Fault("…", None, f"and {len(faults) - MOST_FAULTS} more")
        faults = [*faults[:MOST_FAULTS], more]
    if faults:
        raise faulty(f"sweep {spec.name}", faults)


def _counted(
    variants: Iterable[PlannedVariant], count: Callable[[ExperimentConfig], int] | None
) -> Iterable[PlannedVariant]:
    known: dict[object, int] = {}
    for variant in variants:
        if count is None:
            yield variant
            continue
        identity = (variant.config.model, variant.config.data)
        if identity not in known:
            known[identity] = count(variant.config)
        yield replace(variant, parameters=known[identity])
