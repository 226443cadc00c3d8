"""Two-level fractional factorial designs: many factors in few runs, and what is then confused with what.

Levels are bits, 0 the baseline's value and 1 the other. The first factors take every combination; each
further one is the sum modulo 2 of some of them, its *generator*: ``D=ABC`` makes 4 factors fit into 8 runs.
The row of zeros, the baseline, is always part of the design. What the generators imply is linear algebra
over two elements (Box, Hunter and Hunter, *Statistics for Experimenters*, chapter 6):

- a *word* is a set of factors whose bits sum to 0 in every run (``ABCD``);
  with the empty one they are a group;
- the *resolution* is the length of the shortest word;
- two effects are *aliased*, and cannot be told apart, when together they are a word: ``AB`` and ``CD``.

::

    design = fraction(factors=4, resolution=4)
    design.generators   # ("D=ABC",)
    len(design.runs())  # 8
    design.aliases()    # {"A": ("BCD",), "AB": ("CD",), ...}
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from paraformer_platform.errors import SweepError

LETTERS = "ABCDEFGHJKLMNOP"
"""Names of factors; I is left out, it stands for the identity. Fifteen is where the textbooks' tables end."""
ROMAN = {"III": 3, "IV": 4, "V": 5}
MOST_RUNS_EXPONENT = 10
"""No design of more than 2**10 runs is looked for."""


@dataclass(frozen=True)
class Fraction:
    """A two-level design, given by one column for each factor."""

    basic: int
    """Factors that take every combination; there are 2**basic runs."""
    columns: tuple[int, ...]
    """Of each factor, the basic factors that it is the sum of, as bits."""

    @property
    def generators(self) -> tuple[str, ...]:
        """How the factors beyond the basic ones follow from these: ``D=ABC``."""
        return tuple(
            f"{LETTERS[index]}={_letters(column)}"
            for index, column in enumerate(self.columns)
            if index >= self.basic
        )

    def runs(self) -> list[tuple[int, ...]]:
        """Return the level of every factor in every run; the first run is all zeros."""
        return [
            tuple((run & column).bit_count() % 2 for column in self.columns) for run in range(1 << self.basic)
        ]

    def words(self) -> list[str]:
        """Return the defining relation: every set of factors whose bits always sum to 0, shortest first."""
        generators = [column | 1 << index for index, column in enumerate(self.columns) if index >= self.basic]
        group = {0}
        for generator in generators:
            group |= {word ^ generator for word in group}
        return sorted((_letters(word) for word in group if word), key=lambda word: (len(word), word))

    @property
    def resolution(self) -> int | None:
        """Length of the shortest word; None for a full factorial, which has none."""
        words = self.words()
        return len(words[0]) if words else None

    def aliases(self, order: int = 2, longest: int = 3) -> dict[str, tuple[str, ...]]:
        """Return what every effect is confused with, short aliases first.

        Args:
            order: Effects of up to so many factors are listed.
            longest: Aliases of up to so many factors are listed; longer interactions rarely matter.
        """
        words = [_bits(word) for word in self.words()]
        table = {}
        for effect in _effects(len(self.columns), order):
            aliases = (word ^ effect for word in words if word != effect)
            names = [_letters(alias) for alias in aliases if alias.bit_count() <= longest]
            table[_letters(effect)] = tuple(sorted(names, key=lambda name: (len(name), name)))
        return table


def fraction(factors: int, resolution: int) -> Fraction:
    """Return the smallest design of at least this resolution; the full factorial if none is smaller.

    Raises:
        SweepError: More factors than there are letters, or more than 1024 runs would be needed.
    """
    if not 1 <= factors <= len(LETTERS):
        raise SweepError(f"a fractional design has 1 to {len(LETTERS)} factors, not {factors}")
    for basic in range(1, min(factors, MOST_RUNS_EXPONENT) + 1):
        if factors > _most_factors(basic, resolution):
            continue
        columns = _extend([1 << index for index in range(basic)], factors, basic, resolution)
        if columns is not None:
            return Fraction(basic, tuple(columns))
    raise SweepError(
        f"{factors} factors at resolution {resolution} need more than {1 << MOST_RUNS_EXPONENT} runs; "
        "lower the resolution or use method random"
    )


def from_generators(factors: int, generators: Sequence[str], resolution: int) -> Fraction:
    """Return the design that given generators make.

    Raises:
        SweepError: A generator cannot be read, or the design has a lower resolution than asked for.
    """
    basic = factors - len(generators)
    columns = [1 << index for index in range(basic)]
    for index, generator in zip(range(basic, factors), generators, strict=True):
        columns.append(_column(generator, LETTERS[index], LETTERS[: max(0, basic)]))
    design = Fraction(basic, tuple(columns))
    if design.resolution is not None and design.resolution < resolution:
        raise SweepError(
            f"generators {', '.join(generators)} give resolution {design.resolution}, below the {resolution} "
            f"asked for: {design.words()[0]} is the shortest word; use longer words or generators: auto"
        )
    return design


def _column(generator: str, name: str, basic: str) -> int:
    left, _, right = generator.replace(" ", "").partition("=")
    if left != name or not right or set(right) - set(basic) or len(set(right)) < len(right):
        raise SweepError(
            f"generator {generator!r} must be written {name}=… with different letters of {basic or 'none'}: "
            "the last factors of the file are generated, in order"
        )
    return _bits(right)


def _most_factors(basic: int, resolution: int) -> int:
    """Return a bound on the factors that fit into 2**basic runs: the columns there are, or fewer."""
    if resolution <= 3:
        return (1 << basic) - 1
    if resolution == 4:
        return 1 << basic - 1
    # Resolution V: the sums of pairs of columns are all different and none is zero.
    return max(count for count in range(1, 2 + (1 << basic)) if count * (count - 1) // 2 < 1 << basic)


def _extend(
    columns: list[int], factors: int, basic: int, resolution: int, least: int = 1
) -> list[int] | None:
    """Add columns, by depth-first search, such that no fewer than ``resolution`` of them sum to zero."""
    if len(columns) >= factors:
        return columns[:factors]
    taken = _sums(columns, resolution - 2)
    # Long generators first: they make long words.
    order = sorted(range(1, 1 << basic), key=lambda column: (-column.bit_count(), column))
    for rank, column in enumerate(order[least - 1 :], start=least):
        if column not in taken:
            found = _extend([*columns, column], factors, basic, resolution, rank + 1)
            if found is not None:
                return found
    return None


def _sums(columns: Sequence[int], most: int) -> set[int]:
    """Return every sum of up to ``most`` columns: a new column equal to one would close a word too short."""
    sums = {0}
    for size in range(1, most + 1):
        for chosen in combinations(columns, size):
            total = 0
            for column in chosen:
                total ^= column
            sums.add(total)
    return sums


def _effects(factors: int, order: int) -> Iterator[int]:
    for size in range(1, order + 1):
        for chosen in combinations(range(factors), size):
            yield sum(1 << index for index in chosen)


def _letters(bits: int) -> str:
    return "".join(letter for index, letter in enumerate(LETTERS) if bits >> index & 1)


def _bits(letters: str) -> int:
    return sum(1 << LETTERS.index(letter) for letter in letters)
