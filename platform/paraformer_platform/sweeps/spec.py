"""The sweep file: what is compared, as a frozen dataclass with every fault found at once.

W&B's words where they exist, own ones for what no one else has (``ablate``, ``also_with``, ``seeds``,
``when``, ``exclude``, ``outer``)::

    name: depth_and_rate
    hypothesis: Depth matters less than the learning rate.
    base: ../paraformer_small.yaml                  # what every variant starts from
    method: bayes                                   # see METHODS
    metric: {name: dev/cer, goal: minimize}
    parameters:
      model.use_predictor:      {values: [true, false], outer: grid}      # one search inside each
      model.encoder.num_layers: {min: 2, max: 12, q: 2}                   # both ends included
      training.learning_rate:   {distribution: log_uniform_values, min: 1e-4, max: 2e-3}
    exclude: ["model.encoder.num_layers == 12 and training.learning_rate > 1e-3"]
    run_cap: 20
    seeds: [11]                                     # replicates of every variant, paired by seed
    confirm: {top: 1, seeds: [101, 102, 103]}       # the best and the baseline again, for the table

``load_sweep`` reads it and raises one `SweepError` that lists all faults by their dotted paths.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paraformer.errors import Fault
from paraformer_platform.config.faults import nearest
from paraformer_platform.errors import SweepError
from paraformer_platform.passwords import without_password
from paraformer_platform.sweeps.expressions import Condition
from paraformer_platform.sweeps.fractional import ROMAN, fraction, from_generators
from paraformer_platform.sweeps.idle_keys import idle_keys
from paraformer_platform.sweeps.reading import Strict, read
from paraformer_platform.sweeps.settings import (
    JUDGED,
    BudgetConfig,
    CheckpointsConfig,
    ConfirmConfig,
    DesignConfig,
    EarlyTerminateConfig,
    MetricConfig,
    ReportConfig,
    ResourcesConfig,
    RetriesConfig,
    SearchConfig,
    TrackingConfig,
)
from paraformer_platform.sweeps.space import Parameter, ParameterConfig, Space

METHODS = {
    "ablation": "the baseline, and one change at a time (`ablate`)",
    "grid": "every combination of `parameters`",
    "fractional": "a balanced part of the two-level grid, with known aliases",
    "random": "`run_cap` random draws from `parameters`",
    "bayes": "`run_cap` proposals of an Optuna sampler, which learns from results",
    "list": "the points of `include`",
}
ALIASES = {"loco": "ablation", "ofat": "ablation"}
SEED_KEY = "training.seed"
BASELINE = "baseline"
COMPARISONS = ("ablation", "fractional")
"""Methods whose cells are compared with each other: ending some of them early would bias the result."""
SEARCHES = ("random", "bayes")
"""Methods that look for the best of many, which is lucky in part."""


@dataclass(frozen=True)
class AblateConfig(Strict):
    """One variant of an ablation: keys that are changed together."""

    id: str
    """Name in tables."""
    set: dict[str, object]
    """Dotted keys and their values."""
    group: str | None = None
    """Heading under which a table shows it."""
    also_with: tuple[str, ...] = ()
    """Other variants with which the pair is run too."""


@dataclass(frozen=True)
class PointConfig(Strict):
    """One point that is run whatever the method: ``include``."""

    id: str
    """Name in tables."""
    set: dict[str, object] = field(default_factory=dict)
    """Dotted keys and their values."""
    group: str | None = None
    """Heading under which a table shows it."""


@dataclass(frozen=True)
class SweepSpec(Strict):
    """A sweep file."""

    name: str
    """Name of the sweep and of its folder."""
    base: str
    """The experiment file that every variant starts from; relative to the sweep file."""
    hypothesis: str = ""
    """What is expected and why; the report opens with it."""
    description: str = ""
    """More words; MLflow shows them, with the hypothesis, on the sweep's run."""
    method: str = "ablation"
    """One of METHODS; loco and ofat are other names of ablation."""
    metric: MetricConfig = field(default_factory=MetricConfig)
    """What the sweep is about."""
    secondary_metrics: tuple[MetricConfig, ...] = ()
    """Shown too, as trials end and by ``paraformer status``; never used to choose."""
    parameters: dict[str, ParameterConfig] = field(default_factory=dict)
    """Dotted keys and the values that they take."""
    ablate: tuple[AblateConfig, ...] = ()
    """The variants of an ablation."""
    include: tuple[PointConfig, ...] = ()
    """More points."""
    exclude: tuple[str, ...] = ()
    """Conditions of cells that are never run."""
    design: DesignConfig = field(default_factory=DesignConfig)
    """How much of the grid a fractional design runs."""
    seeds: tuple[int, ...] = (11,)
    """Seeds of the replicates of every variant."""
    search: SearchConfig = field(default_factory=SearchConfig)
    """Who proposes."""
    run_cap: int | None = None
    """Variants of a random sweep or a search (of each search inside an outer grid)."""
    confirm: ConfirmConfig | None = None
    """Training what a search found best once more from fresh seeds, beside the baseline."""
    early_terminate: EarlyTerminateConfig | None = None
    """Ending trials that fall behind."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    """When to admit no more."""
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    """What a trial gets."""
    retries: RetriesConfig = field(default_factory=RetriesConfig)
    """How often a trial is tried again."""
    checkpoints: CheckpointsConfig = field(default_factory=CheckpointsConfig)
    """What is kept."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """Where MLflow is."""
    storage: str | None = None
    """Folder of trials, ledger and sweeps; none keeps the base file's."""
    ledger: str | None = None
    """SQLAlchemy URL of the ledger, or ``${oc.env:NAME}`` for that of a variable; none means the variable
    PARAFORMER_LEDGER, or else SQLite in the storage. No password may stand here: MLflow keeps this file.
    All sweeps of a storage use one ledger."""
    report: ReportConfig = field(default_factory=ReportConfig)
    """The statistics."""

    def space(self, fixed: dict[str, object] | None = None) -> Space:
        """Return the parameters that vary as a space; ``fixed`` is the base configuration by dotted key."""
        built = tuple(
            config.build(name) for name, config in self.parameters.items() if not config.is_constant
        )
        return Space(built, tuple(map(Condition.parse, self.exclude)), fixed or {})

    def settings(self) -> dict[str, object]:
        """Return what the sweep says of the base configuration that does not change a result."""
        storage = {} if self.storage is None else {"storage": self.storage}
        return {**self.resources.overrides(), **self.tracking.overrides(), **storage}

    def constants(self) -> dict[str, object]:
        """Return the values that all variants share, the baseline too: they change the base configuration."""
        return {name: config.value for name, config in self.parameters.items() if config.is_constant}

    def assignments(self) -> Iterator[tuple[str, str, object]]:
        """Every value that the sweep gives to a key: path in the file, dotted key, value."""
        for index, change in enumerate(self.ablate):
            yield from ((f"ablate.{index}.set", key, value) for key, value in change.set.items())
        for index, point in enumerate(self.include):
            yield from ((f"include.{index}.set", key, value) for key, value in point.set.items())
        for name, config in self.parameters.items():
            given = [config.value, config.min, config.max, config.baseline]
            values = [value for value in given if value is not None]
            yield from (("parameters", name, value) for value in (*values, *(config.values or ())))

    def faults(self) -> list[Fault]:
        """Everything impossible about this sweep at once, without a look at the base file."""
        inner = list(_inner_faults(self))
        own = [
            *self._name_faults(),
            *self._ledger_faults(),
            *self._method_faults(),
            *self._seed_faults(),
            *self._ablation_faults(),
            *(idle_keys(self) if self.method in METHODS else ()),
        ]
        conditions = list(self._condition_faults())
        design = [] if inner or conditions else list(self._design_faults())
        return [*own, *inner, *conditions, *design]

    def _name_faults(self) -> Iterator[Fault]:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name):
            yield Fault("name", self.name, f"name ({self.name}) must be letters, digits, . _ or -")
        names = [change.id for change in self.ablate] + [point.id for point in self.include]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Fault("ablate", name, f"id {name} stands for more than one variant")
        if any(change.id == BASELINE for change in self.ablate):
            yield Fault("ablate", BASELINE, f"id {BASELINE} is the name of the unchanged base file")
        if any(point.id == BASELINE and point.set for point in self.include):
            yield Fault("include", BASELINE, f"id {BASELINE} is the name of the unchanged base file")

    def _ledger_faults(self) -> Iterator[Fault]:
        if self.ledger is None:
            return
        import sqlalchemy as sa

        try:
            sa.make_url(self.ledger).get_dialect()
        except ImportError:
            return  # the driver is missing, which the ledger says when it is opened, with the remedy
        except sa.exc.ArgumentError:
            message = "ledger must be a SQLAlchemy URL, such as postgresql+psycopg://user@host/name"
            yield Fault("ledger", without_password(self.ledger), message)

    def _method_faults(self) -> Iterator[Fault]:
        if self.method not in METHODS:
            hint = nearest(self.method, METHODS)
            yield Fault(
                "method", self.method, f"method ({self.method}) must be one of {', '.join(METHODS)}{hint}"
            )
            return
        needed = {"ablation": "ablate", "list": "include"}.get(self.method, "parameters")
        if not getattr(self, needed):
            yield Fault(needed, None, f"method {self.method} needs {needed}")
        for name in {"ablate", "parameters"} - {needed}:
            if getattr(self, name):
                yield Fault(name, None, f"method {self.method} does not use {name}")
        if self.confirm is not None and self.method not in SEARCHES:
            message = f"method {self.method} does not search; confirm belongs to {' and '.join(SEARCHES)}"
            yield Fault("confirm", None, message)
        if self.early_terminate and self.method in COMPARISONS and not self.early_terminate.allow_biased:
            message = (
                f"early_terminate would bias the comparisons of method {self.method}; leave it out or say "
            )
            yield Fault("early_terminate", self.early_terminate.type, message + "allow_biased: true")
        if self.early_terminate and not self.metric.name.startswith(JUDGED):
            message = f"early_terminate judges epochs by the metric, and {self.metric.name} comes at the end"
            yield Fault("early_terminate", self.early_terminate.type, message)

    def _seed_faults(self) -> Iterator[Fault]:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            yield Fault(
                "seeds",
                self.seeds,
                f"seeds {list(self.seeds)} must be different numbers from 0, at least one",
            )
        fresh = () if self.confirm is None else self.confirm.seeds
        if used := sorted(set(fresh) & set(self.seeds)):
            message = f"seeds {used} were used by the search; confirm with fresh ones"
            yield Fault("confirm.seeds", fresh, message)
        for path, key, value in self.assignments():
            if key == SEED_KEY:
                yield Fault(
                    f"{path}.{key}", value, "seeds are replicates, not a parameter; list them under seeds"
                )

    def _ablation_faults(self) -> Iterator[Fault]:
        changes = {change.id: change for change in self.ablate}
        for index, change in enumerate(self.ablate):
            if not change.set:
                yield Fault(f"ablate.{index}.set", {}, f"variant {change.id} changes nothing")
            for other in change.also_with:
                path = f"ablate.{index}.also_with"
                if other not in changes or other == change.id:
                    yield Fault(path, other, f"no other variant is called {other}{nearest(other, changes)}")
                elif both := sorted(set(change.set) & set(changes[other].set)):
                    yield Fault(path, other, f"{change.id} and {other} both set {', '.join(both)}")

    def _condition_faults(self) -> Iterator[Fault]:
        texts = {f"exclude.{index}": text for index, text in enumerate(self.exclude)}
        whens = {
            f"parameters.{name}.when": config.when for name, config in self.parameters.items() if config.when
        }
        for path, text in {**texts, **whens}.items():
            try:
                Condition.parse(text)
            except SweepError as error:
                yield Fault(path, text, str(error))
        yield from self._order_faults()

    def _order_faults(self) -> Iterator[Fault]:
        """A condition reads parameters that are set before its own."""
        names = list(self.parameters)
        for index, (name, config) in enumerate(self.parameters.items()):
            later = [other for other in names[index:] if config.when and other in config.when]
            if later:
                yield Fault(
                    f"parameters.{name}.when",
                    config.when,
                    f"move {later[0]} above {name}, which depends on it",
                )

    def _design_faults(self) -> Iterator[Fault]:
        """What is impossible about the parameters together."""
        parameters = self.space().parameters
        if self.parameters and not parameters:
            yield Fault("parameters", None, "nothing varies: every parameter has one value")
        if self.method == "grid":
            for parameter in parameters:
                if not parameter.is_finite:
                    message = "a grid needs values, or min, max and q; this range is continuous"
                    yield Fault(f"parameters.{parameter.name}", None, message)
        if self.method == "fractional":
            yield from self._fractional_faults(parameters)
        if self.method in SEARCHES:
            yield from self._search_faults(parameters)
        elif any(parameter.outer for parameter in parameters):
            yield Fault(
                "parameters", "outer", f"outer: grid belongs to random and bayes, not to {self.method}"
            )

    def _search_faults(self, parameters: Sequence[Parameter]) -> Iterator[Fault]:
        inner = [parameter for parameter in parameters if not parameter.outer]
        if not inner:
            yield Fault("parameters", None, "all parameters are outer; use method grid")
        if self.run_cap is None and not all(parameter.is_finite for parameter in inner):
            yield Fault(
                "run_cap",
                None,
                f"method {self.method} over a continuous range needs run_cap, its number of variants",
            )
        if self.run_cap is not None and self.run_cap < 1:
            yield Fault("run_cap", self.run_cap, f"run_cap ({self.run_cap}) must be at least 1")
        for parameter in parameters:
            if parameter.outer and (not parameter.is_finite or parameter.when):
                message = "outer: grid needs values, or min, max and q, and no when"
                yield Fault(f"parameters.{parameter.name}", None, message)

    def _fractional_faults(self, parameters: Sequence[Parameter]) -> Iterator[Fault]:
        for parameter in parameters:
            count = len(parameter.levels()) if parameter.is_finite else 0
            if count != 2 or parameter.when:
                message = f"a two-level design needs exactly two values and no when, not {count or 'a range'}"
                yield Fault(f"parameters.{parameter.name}", parameter.values, message)
        if self.exclude:
            yield Fault(
                "exclude", self.exclude, "a fractional design loses its balance when cells are left out"
            )
        try:
            if isinstance(self.design.generators, str):
                fraction(len(parameters), ROMAN[self.design.resolution])
            else:
                from_generators(len(parameters), self.design.generators, ROMAN[self.design.resolution])
        except SweepError as error:
            yield Fault("design", self.design.resolution, str(error))


def load_sweep(path: str | Path, overrides: Sequence[str] = ()) -> SweepSpec:
    """Read a sweep file.

    Args:
        path: The YAML file.
        overrides: ``key=value`` for keys of the sweep file, such as ``resources.max_concurrent=2``.

    Raises:
        SweepError: The file cannot be read, or holds faults; all of them are listed.
    """
    data = _yaml(Path(path), overrides)
    spec, faults = read(SweepSpec, data)
    if spec is not None:
        spec = replace(spec, method=ALIASES.get(spec.method, spec.method))
        faults = spec.faults()
    if spec is None or faults:
        raise faulty(path, faults)
    return replace(spec, base=str(Path(path).parent / spec.base))


def faulty(path: str | Path, faults: Sequence[Fault]) -> SweepError:
    """Return one error that lists all faults of a sweep file."""
    lines = "".join(f"\n  {fault}" for fault in faults)
    plural = "s" if len(faults) > 1 else ""
    return SweepError(f"{path} cannot be run, {len(faults)} fault{plural}:{lines}")


def _yaml(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    try:
        data = OmegaConf.load(path)
        if not OmegaConf.is_dict(data):
            raise SweepError(
                f"{path} must hold keys and values, not {type(OmegaConf.to_container(data)).__name__}"
            )
        merged = OmegaConf.merge(data, OmegaConf.from_dotlist(list(overrides)))
        _refuse_password(path, merged)
        return OmegaConf.to_container(merged, resolve=True)  # type: ignore[return-value]
    except OSError as error:
        raise SweepError(f"sweep file {path} cannot be read: {error.strerror or error}") from error
    except yaml.YAMLError as error:
        raise SweepError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    except OmegaConfBaseException as error:
        raise SweepError(f"{path}: {error}") from error


def _refuse_password(path: Path, sweep: Any) -> None:
    """Refuse a password that is written out, not taken from the environment."""
    written = OmegaConf.to_container(sweep, resolve=False)
    ledger = written.get("ledger") if isinstance(written, dict) else None
    if isinstance(ledger, str) and without_password(ledger) != ledger:
        raise SweepError(
            f"{path}: ledger {without_password(ledger)} holds a password, and MLflow keeps this file and "
            "the command. Put the URL into a variable and write, say, ledger: ${oc.env:PARAFORMER_LEDGER}"
        )


def _inner_faults(spec: SweepSpec) -> Iterator[Fault]:
    """The faults of every part that can tell its own."""
    for item in fields(spec):
        value = getattr(spec, item.name)
        parts = {item.name: value}
        if isinstance(value, dict):
            parts = {f"{item.name}.{key}": part for key, part in value.items()}
        elif isinstance(value, tuple):
            parts = {f"{item.name}.{index}": part for index, part in enumerate(value)}
        for path, part in parts.items():
            if is_dataclass(part) and hasattr(part, "faults"):
                yield from (
                    replace(fault, path=f"{path}.{fault.path}".rstrip(".")) for fault in part.faults()
                )
