"""Which variants a sweep runs: the arithmetic of its method.

============ ===================================================================================
ablation     the baseline, one variant for each entry of ``ablate``, one for each ``also_with`` pair
grid         the product of all levels, without excluded cells
fractional   2**(k - p) runs of k two-level factors, see `fractional`
random       ``run_cap`` different draws (all cells of a smaller space), inside each outer cell
list         the points of ``include``
bayes        none in advance: `search.SearchTrials` proposes them
============ ===================================================================================

The points of ``include`` are added to every method. All of it is a pure function of the sweep file and the
base configuration.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.fractional import LETTERS, ROMAN, Fraction, fraction, from_generators
from paraformer_platform.sweeps.space import Parameter, Space
from paraformer_platform.sweeps.spec import BASELINE, SweepSpec

Cell = dict[str, object]
"""Values of dotted keys."""
DRAWS_PER_NEW_CELL = 1000
"""Draws in a row that give nothing new before a space is taken for exhausted."""


@dataclass(frozen=True)
class Variant:
    """One configuration of a sweep, run once for each seed."""

    id: str
    """Name in tables; unique in the sweep."""
    changes: Mapping[str, object]
    """What differs from the base file, by dotted key."""
    group: str | None = None
    """Heading under which a table shows it."""


@dataclass(frozen=True)
class Design:
    """The variants of a sweep and how they came about."""

    variants: tuple[Variant, ...]
    """In the order in which they are run."""
    arithmetic: str
    """How many there are and why."""
    aliases: Mapping[str, object] | None = None
    """Of a fractional design: which effects cannot be told apart."""


def design(spec: SweepSpec, fixed: Mapping[str, object]) -> Design:
    """Return the variants of a sweep.

    Args:
        spec: The sweep.
        fixed: The base configuration by dotted key.

    Raises:
        SweepError: Every cell is excluded, or a condition cannot be decided.
    """
    space = Space(spec.space().parameters, spec.space().excluded, fixed)
    made = _METHODS[spec.method](spec, space)
    points = tuple(Variant(point.id, point.set, point.group) for point in spec.include)
    if spec.method == "list":
        return replace(made, variants=points, arithmetic=f"{len(points)} listed points")
    more = f" + {len(points)} included" if points else ""
    both = replace(made, variants=made.variants + points, arithmetic=made.arithmetic + more)
    if not both.variants and spec.method != "bayes":
        raise SweepError(f"sweep {spec.name} has no variants: exclude forbids every cell")
    return both


class VariantNames:
    """Names cells by what they set: ``num_layers=3,learning_rate=0.001``."""

    def __init__(self, space: Space) -> None:
        self._short = short_names([parameter.name for parameter in space.parameters])
        self.baseline = {
            parameter.name: space.fixed.get(parameter.name)
            if parameter.baseline is None
            else parameter.baseline
            for parameter in space.parameters
        }

    def variant(self, cell: Cell) -> Variant:
        """Return the variant of a cell; the one with all baseline values is called baseline."""
        if all(self.baseline[name] == value for name, value in cell.items()):
            return Variant(BASELINE, cell)
        return Variant(",".join(f"{self._short[name]}={_shown(value)}" for name, value in cell.items()), cell)


def baseline_variant(space: Space) -> Variant:
    """Return the variant in which every parameter that applies has its baseline value."""
    values = VariantNames(space).baseline
    cell: Cell = {}
    for parameter in space.parameters:
        if parameter.applies(space.lookup(cell)):
            cell[parameter.name] = values[parameter.name]
    return Variant(BASELINE, cell)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the shortest endings of dotted keys that tell them apart."""
    names = {}
    for key in keys:
        parts = key.split(".")
        endings = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        others = [other for other in keys if other != key]
        names[key] = next(
            (
                end
                for end in endings
                if not any(other == end or other.endswith(f".{end}") for other in others)
            ),
            key,
        )
    return names


def outer_cells(space: Space) -> Iterator[Cell]:
    """Every cell of the grid around an inner search; one empty cell when there is none."""
    outer = tuple(parameter for parameter in space.parameters if parameter.outer)
    return Space(outer, (), space.fixed).cells()


def inner_space(space: Space, cell: Cell) -> Space:
    """Return the space of the search inside an outer cell; its cells hold the outer values too."""
    pinned = [
        replace(parameter, values=(cell[parameter.name],), distribution="categorical")
        if parameter.outer
        else parameter
        for parameter in space.parameters
    ]
    return replace(space, parameters=tuple(pinned))


def draws(space: Space, seed: int) -> Iterator[Cell]:
    """Every time another allowed cell at random, until no more are found."""
    generator = np.random.default_rng(seed)
    seen: set[str] = set()
    idle = 0
    while idle < DRAWS_PER_NEW_CELL:
        cell = space.draw(generator)
        idle += 1
        if repr(cell) not in seen and space.allows(cell):
            seen.add(repr(cell))
            idle = 0
            yield cell
    if space.is_finite:  # what chance has left over
        yield from (cell for cell in space.cells() if repr(cell) not in seen)


def _only_included(spec: SweepSpec, space: Space) -> Design:
    return Design((), "")


def _ablation(spec: SweepSpec, space: Space) -> Design:
    single = [Variant(change.id, change.set, change.group) for change in spec.ablate]
    changes = {change.id: change for change in spec.ablate}
    pairs = {
        tuple(sorted((change.id, other), key=list(changes).index)): change.group
        for change in spec.ablate
        for other in change.also_with
    }
    joint = [
        Variant(f"{first}+{second}", {**changes[first].set, **changes[second].set}, group)
        for (first, second), group in pairs.items()
    ]
    more = f" + {len(joint)} pairs" if joint else ""
    return Design(
        (Variant(BASELINE, {}), *single, *joint),
        f"baseline + {len(single)} change{'s' * (len(single) > 1)}{more}",
    )


def _grid(spec: SweepSpec, space: Space) -> Design:
    names = VariantNames(space)
    variants = _baseline_first(map(names.variant, space.cells()))
    sizes = " × ".join(str(len(parameter.levels())) for parameter in space.parameters)
    full = int(np.prod([len(parameter.levels()) for parameter in space.parameters], dtype=object))
    less = f" - {full - len(variants)} excluded or conditional" if full > len(variants) else ""
    return Design(variants, f"{sizes}{less} = {len(variants)} cells")


def _random(spec: SweepSpec, space: Space) -> Design:
    names = VariantNames(space)
    outer = list(outer_cells(space))
    cells = [
        cell
        for around in outer
        # The same seed inside every outer cell: toggles are compared on the same draws.
        for cell, _ in zip(
            draws(inner_space(space, around), spec.search.seed), range(_cap(spec)), strict=False
        )
    ]
    inside = f" inside {len(outer)} outer cells" if len(outer) > 1 else ""
    return Design(_baseline_first(map(names.variant, cells)), f"{len(cells)} draws{inside}")


def _cap(spec: SweepSpec) -> int:
    return spec.run_cap if spec.run_cap is not None else 10**9


def _fractional(spec: SweepSpec, space: Space) -> Design:
    made = _fraction(spec)
    names = VariantNames(space)
    levels = [_two_levels(parameter, space) for parameter in space.parameters]
    cells = (
        {
            parameter.name: pair[bit]
            for parameter, pair, bit in zip(space.parameters, levels, run, strict=True)
        }
        for run in made.runs()
    )
    count, removed = len(made.columns), len(made.columns) - made.basic
    arithmetic = f"2^({count}-{removed}) = {1 << made.basic} runs of {count} factors"
    if made.resolution is not None:
        arithmetic += f", resolution {_roman(made.resolution)}"
    return Design(tuple(map(names.variant, cells)), arithmetic, _alias_table(made, space.parameters))


def _fraction(spec: SweepSpec) -> Fraction:
    factors, resolution = len(spec.space().parameters), ROMAN[spec.design.resolution]
    if isinstance(spec.design.generators, str):
        return fraction(factors, resolution)
    return from_generators(factors, spec.design.generators, resolution)


def _two_levels(parameter: Parameter, space: Space) -> tuple[object, object]:
    """Return the baseline's value and the other one."""
    first, second = parameter.levels()
    baseline = space.fixed.get(parameter.name) if parameter.baseline is None else parameter.baseline
    return (second, first) if second == baseline else (first, second)


def _alias_table(made: Fraction, parameters: Sequence[Parameter]) -> dict[str, object]:
    return {
        "resolution": made.resolution,
        "factors": dict(zip(LETTERS, (parameter.name for parameter in parameters), strict=False)),
        "generators": list(made.generators),
        "defining_relation": made.words(),
        "effects": {effect: list(aliases) for effect, aliases in made.aliases().items()},
    }


def _roman(resolution: int) -> str:
    return {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII"}.get(resolution, str(resolution))


def _baseline_first(variants: Iterable[Variant]) -> tuple[Variant, ...]:
    return tuple(sorted(variants, key=lambda variant: variant.id != BASELINE))


def _shown(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


_METHODS: dict[str, Callable[[SweepSpec, Space], Design]] = {
    "ablation": _ablation,
    "grid": _grid,
    "fractional": _fractional,
    "random": _random,
    "list": _only_included,
    "bayes": _only_included,
}
