"""A fractional design has the resolution it names: checked on the runs themselves, by products of ±1."""

from itertools import combinations
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.fractional import LETTERS, Fraction, fraction, from_generators

# Runs of the smallest two-level designs: NIST/SEMATECH e-Handbook of Statistical Methods, section 5.3.3.4.7.
SMALLEST = {
    (3, 3): 4, (5, 3): 8, (6, 3): 8, (7, 3): 8, (9, 3): 16, (11, 3): 16, (15, 3): 16,
    (4, 4): 8, (6, 4): 16, (7, 4): 16, (8, 4): 16, (9, 4): 32, (11, 4): 32,
    (5, 5): 16, (6, 5): 32, (8, 5): 64, (10, 5): 128, (11, 5): 128,
}  # fmt: skip


def contrasts(design: Fraction) -> np.ndarray:
    """The runs with levels -1 and +1, one column for each factor."""
    return 2 * np.array(design.runs()) - 1


@pytest.mark.parametrize(("factors", "resolution"), SMALLEST)
def test_the_smallest_designs_are_those_of_the_handbook(factors: int, resolution: int) -> None:
    assert len(fraction(factors, resolution).runs()) == SMALLEST[factors, resolution]


@settings(max_examples=40)
@given(factors=st.integers(1, 11), resolution=st.sampled_from([3, 4, 5]))
def test_no_product_of_fewer_factors_than_the_resolution_is_constant(factors: int, resolution: int) -> None:
    design = fraction(factors, resolution)
    columns = contrasts(design)
    for size in range(1, min(resolution, factors + 1)):
        for chosen in combinations(range(factors), size):
            assert columns[:, chosen].prod(axis=1).sum() == 0, f"{chosen} is constant or unbalanced"


@settings(max_examples=30)
@given(factors=st.integers(2, 8), resolution=st.sampled_from([3, 4, 5]))
def test_the_alias_table_is_what_the_runs_say(factors: int, resolution: int) -> None:
    design = fraction(factors, resolution)
    columns = contrasts(design)
    effect = {
        "".join(LETTERS[index] for index in chosen): columns[:, chosen].prod(axis=1)
        for size in range(1, 4)
        for chosen in combinations(range(factors), size)
    }
    for name, aliases in design.aliases().items():
        same = {
            other for other in effect if other != name and abs(effect[other] @ effect[name]) == len(columns)
        }
        assert set(aliases) == same


@settings(max_examples=30)
@given(factors=st.integers(1, 11), resolution=st.sampled_from([3, 4, 5]))
def test_the_baseline_is_the_first_run_and_no_run_comes_twice(factors: int, resolution: int) -> None:
    runs = fraction(factors, resolution).runs()
    assert runs[0] == (0,) * factors
    assert len(set(runs)) == len(runs)


def test_given_generators_are_used() -> None:
    design = from_generators(5, ["D=AB", "E=AC"], 3)
    assert design.words() == ["ABD", "ACE", "BCDE"]
    assert all(run[3] == run[0] ^ run[1] and run[4] == run[0] ^ run[2] for run in design.runs())
    assert design.resolution == min(map(len, design.words()))


def test_the_defining_relation_is_a_group() -> None:
    words = [frozenset(word) for word in fraction(8, 4).words()]
    products = {first ^ second for first in words for second in words if first != second}
    assert products == set(words)
    assert len(words) == prod([2] * 4) - 1


@pytest.mark.parametrize(
    ("generators", "words"),
    [
        (["E=AB"], "give resolution 3, below the 4 asked for: ABE is the shortest word"),
        (["E=AAB"], "must be written E=… with different letters of ABCD"),
        (["D=ABC"], "must be written E=…"),
        (["E=XYZ"], "must be written E=…"),
    ],
)
def test_impossible_generators_are_named(generators: list[str], words: str) -> None:
    with pytest.raises(SweepError, match=words):
        from_generators(5, generators, 4)


def test_too_many_factors_are_named() -> None:
    with pytest.raises(SweepError, match="1 to 15 factors, not 16"):
        fraction(16, 3)
