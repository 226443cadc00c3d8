"""The parameters of a sweep: what values each may take.

W&B's words, with two differences: ranges include both ends for every kind, and a range that its step cannot
reach is refused rather than cut short::

    model.encoder.num_layers: {values: [3, 6, 12]}
    model.encoder.hidden_dim: {min: 128, max: 512, q: 64}                       # 128, 192, … 512
    training.learning_rate:   {distribution: log_uniform_values, min: 1e-4, max: 2e-3}
    model.sampler.ratio:      {values: [0.2, 0.4], when: model.use_predictor}   # only where this holds

A grid over such a range and a random draw from it reach the same values (`Parameter.levels`,
`Parameter.draw`).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from paraformer.errors import Fault
from paraformer_platform.sweeps.expressions import Condition, Lookup
from paraformer_platform.sweeps.reading import Strict

CATEGORICAL = "categorical"
INT_UNIFORM = "int_uniform"
UNIFORM = "uniform"
Q_UNIFORM = "q_uniform"
LOG_UNIFORM_VALUES = "log_uniform_values"
DISTRIBUTIONS = (CATEGORICAL, INT_UNIFORM, UNIFORM, Q_UNIFORM, LOG_UNIFORM_VALUES)


@dataclass(frozen=True)
class Parameter:
    """One key of the experiment's configuration and the values that a sweep gives it."""

    name: str
    """Dotted key."""
    distribution: str = CATEGORICAL
    """categorical (of values), int_uniform, uniform, q_uniform or log_uniform_values."""
    values: tuple[object, ...] = ()
    """The choices of a categorical parameter, in the order of the file."""
    low: float = 0.0
    """Smallest value of a range."""
    high: float = 0.0
    """Largest value of a range, itself included."""
    step: float | None = None
    """Distance between the values of a range; none for a continuous one."""
    baseline: object = None
    """Value of the baseline; none means the value of the base file."""
    when: Condition | None = None
    """The parameter is set only where this holds; elsewhere the base file's value stays."""
    outer: bool = False
    """Part of the grid around an inner search."""

    @property
    def is_finite(self) -> bool:
        """Whether the values can be counted."""
        return self.distribution == CATEGORICAL or self.step is not None

    def levels(self) -> tuple[object, ...]:
        """Return every value, in order.

        Raises:
            ValueError: The range is continuous.
        """
        if self.distribution == CATEGORICAL:
            return self.values
        if self.step is None:
            raise ValueError(f"{self.name} is continuous, it has no list of values")
        return tuple(self._at(index) for index in range(self._count()))

    def draw(self, generator: np.random.Generator) -> object:
        """Draw one value."""
        if self.distribution == CATEGORICAL:
            return self.values[int(generator.integers(len(self.values)))]
        if self.step is not None:
            return self._at(int(generator.integers(self._count())))
        if self.distribution == LOG_UNIFORM_VALUES:
            return self.rounded(math.exp(generator.uniform(math.log(self.low), math.log(self.high))))
        return self.rounded(generator.uniform(self.low, self.high))

    def rounded(self, number: float) -> object:
        """Return the value of a range nearest to a number; of a continuous one, to six digits.

        Six digits make a value readable in a name, and the same wherever it is written.
        """
        if self.step is not None:
            return self._at(round((number - self.low) / self.step))
        return min(max(float(f"{number:.6g}"), float(self.low)), float(self.high))

    def applies(self, lookup: Lookup) -> bool:
        """Tell whether the parameter is set, given the values of the others."""
        return self.when is None or self.when.holds(lookup)

    def _count(self) -> int:
        assert self.step is not None
        return round((self.high - self.low) / self.step) + 1

    def _at(self, index: int) -> object:
        assert self.step is not None
        if self.distribution == INT_UNIFORM:
            return int(self.low) + index * int(self.step)
        # Twelve digits: 0.1 + 2 * 0.1 is written 0.3 in a table and in a trial_key.
        return float(f"{self.low + index * self.step:.12g}")


@dataclass(frozen=True)
class ParameterConfig(Strict):
    """A parameter as a sweep file writes it."""

    values: tuple[object, ...] | None = None
    """Choices."""
    value: object = None
    """One fixed value for all variants, the baseline too."""
    min: float | int | None = None
    """Smallest value of a range."""
    max: float | int | None = None
    """Largest value of a range, itself included."""
    q: float | int | None = None
    """Step of a range; ranges of whole numbers have step 1."""
    distribution: str | None = None
    """categorical, int_uniform, uniform, q_uniform or log_uniform_values; follows from the other keys."""
    baseline: object = None
    """Value of the baseline, if the base file's is not meant."""
    when: str | None = None
    """Condition under which the parameter is set."""
    outer: str | None = None
    """``grid`` puts the parameter into the grid around an inner search."""

    @property
    def is_constant(self) -> bool:
        """Whether it has one value under all conditions, so that nothing about it varies."""
        return self.value is not None and self.when is None

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about this parameter."""
        if self.is_constant and self.baseline is not None:
            yield Fault("baseline", self.baseline, f"all variants have {self.value}, the baseline too")
        given = [name for name in ("values", "value", "min") if getattr(self, name) is not None]
        if self.max is not None and self.min is None:
            given.append("max")
        if len(given) != 1 or (self.min is None) != (self.max is None):
            yield Fault("", given, "give either values, or value, or min and max")
            return
        yield from self._distribution_faults()
        if self.values is not None:
            yield from _choice_faults(self.values)
        if self.min is not None:
            yield from self._range_faults()
        if self.outer not in (None, "grid"):
            yield Fault("outer", self.outer, f"outer ({self.outer}) must be grid")
        elif self.outer and self.is_constant:
            yield Fault("outer", self.outer, f"one value ({self.value}) makes no grid; leave outer out")

    def _distribution_faults(self) -> Iterator[Fault]:
        kind = self.distribution
        if kind == "log_uniform":
            hint = "min and max of log_uniform are exponents in W&B; write log_uniform_values with the values"
            yield Fault("distribution", kind, f"log_uniform is not supported: {hint}")
        elif kind is not None and kind not in DISTRIBUTIONS:
            allowed = ", ".join(DISTRIBUTIONS)
            yield Fault("distribution", kind, f"distribution ({kind}) must be one of {allowed}")
        elif kind is not None and (kind == CATEGORICAL) != (self.min is None):
            needs = "values" if kind == CATEGORICAL else "min and max"
            yield Fault("distribution", kind, f"distribution {kind} needs {needs}")

    def _range_faults(self) -> Iterator[Fault]:
        assert self.min is not None
        assert self.max is not None
        if self.min >= self.max:
            yield Fault("min", self.min, f"min ({self.min}) must be below max ({self.max})")
            return
        kind = self._kind()
        if kind == LOG_UNIFORM_VALUES and self.min <= 0:
            yield Fault("min", self.min, f"min ({self.min}) of log_uniform_values must be above 0")
        if kind == LOG_UNIFORM_VALUES and self.q is not None:
            yield Fault("q", self.q, "log_uniform_values has no step q; list the values instead")
        if kind == Q_UNIFORM and self.q is None:
            yield Fault("q", None, "q_uniform needs its step q")
        if kind == INT_UNIFORM and not all(float(bound).is_integer() for bound in (self.min, self.max)):
            yield Fault("min", self.min, f"int_uniform needs whole numbers, not {self.min} and {self.max}")
        elif self.q is not None:
            yield from self._step_faults(self.max - self.min, self.q)

    def _step_faults(self, span: float, step: float) -> Iterator[Fault]:
        if step <= 0:
            yield Fault("q", step, f"q ({step}) must be above 0")
            return
        steps = span / step
        if abs(steps - round(steps)) > 1e-9 * max(1.0, steps):
            top = f"{(self.min or 0) + math.floor(steps) * step:.12g}"
            message = f"max ({self.max}) cannot be reached from min ({self.min}) in steps of q ({step})"
            yield Fault("q", step, f"{message}; the last step ends at {top}")

    def _kind(self) -> str:
        if self.distribution is not None:
            return self.distribution
        if self.min is None:
            return CATEGORICAL
        if all(isinstance(number, int) for number in (self.min, self.max, self.q or 1)):
            return INT_UNIFORM
        return UNIFORM if self.q is None else Q_UNIFORM

    def build(self, name: str) -> Parameter:
        """Return the parameter of this dotted key; call it only when there are no faults."""
        when = None if self.when is None else Condition.parse(self.when)
        common = {"baseline": self.baseline, "when": when, "outer": self.outer == "grid"}
        if self.min is None or self.max is None:
            values = (self.value,) if self.values is None else self.values
            return Parameter(name, values=values, **common)  # type: ignore[arg-type]
        kind = self._kind()
        step = 1 if kind == INT_UNIFORM and self.q is None else self.q
        return Parameter(name, kind, (), self.min, self.max, step, **common)  # type: ignore[arg-type]


def _choice_faults(values: tuple[object, ...]) -> Iterator[Fault]:
    if not values:
        yield Fault("values", values, "values must not be empty")
    kinds = [(type(value), repr(value)) for value in values]
    for value in {
        repr(value): value for value in values if kinds.count((type(value), repr(value))) > 1
    }.values():
        yield Fault("values", value, f"values holds {value!r} more than once")


@dataclass(frozen=True)
class Space:
    """The parameters of a search, with the conditions that every cell must meet."""

    parameters: tuple[Parameter, ...]
    """In the order of the file; a condition may only read parameters above its own."""
    excluded: tuple[Condition, ...] = ()
    """A cell for which one of these holds is never run."""
    fixed: Mapping[str, object] = field(default_factory=dict)
    """The base configuration by dotted key, read where a parameter is not set."""

    @property
    def is_finite(self) -> bool:
        """Whether the cells can be counted."""
        return all(parameter.is_finite for parameter in self.parameters)

    def cells(self) -> Iterator[dict[str, object]]:
        """Every allowed cell once, in the order of the file; the last parameter changes fastest."""
        return (cell for cell in self._products({}, 0) if self.allows(cell))

    def allows(self, cell: Mapping[str, object]) -> bool:
        """Tell whether no ``exclude`` forbids the cell."""
        return not any(condition.holds(self.lookup(cell)) for condition in self.excluded)

    def draw(self, generator: np.random.Generator) -> dict[str, object]:
        """Draw a cell, allowed or not."""
        cell: dict[str, object] = {}
        for parameter in self.parameters:
            if parameter.applies(self.lookup(cell)):
                cell[parameter.name] = parameter.draw(generator)
        return cell

    def lookup(self, cell: Mapping[str, object]) -> Lookup:
        """Return the value of any dotted key in this cell."""
        return lambda name: cell[name] if name in cell else self.fixed[name]

    def _products(self, cell: dict[str, object], index: int) -> Iterator[dict[str, object]]:
        if index == len(self.parameters):
            yield cell
            return
        parameter = self.parameters[index]
        if not parameter.applies(self.lookup(cell)):
            yield from self._products(cell, index + 1)
            return
        for value in parameter.levels():
            yield from self._products({**cell, parameter.name: value}, index + 1)
