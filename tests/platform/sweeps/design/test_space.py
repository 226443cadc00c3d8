"""Ranges include both ends, and a grid over one is what a random draw can reach."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution

from paraformer_platform.sweeps.expressions import Condition
from paraformer_platform.sweeps.reading import read
from paraformer_platform.sweeps.space import Parameter, ParameterConfig, Space


def parameter(**keys: object) -> Parameter:
    config, faults = read(ParameterConfig, keys)
    assert config is not None, faults
    assert not list(config.faults())
    return config.build("x")


def words(**keys: object) -> str:
    config, faults = read(ParameterConfig, keys)
    return "; ".join(map(str, faults if config is None else config.faults()))


def test_a_whole_range_has_both_ends() -> None:
    assert parameter(min=128, max=512, q=64).levels() == (128, 192, 256, 320, 384, 448, 512)
    assert parameter(min=2, max=5).levels() == (2, 3, 4, 5)
    assert all(type(level) is int for level in parameter(min=128, max=512, q=64).levels())


def test_a_stepped_range_of_numbers_is_written_as_one_would() -> None:
    assert parameter(min=0.1, max=0.5, q=0.1).levels() == (0.1, 0.2, 0.3, 0.4, 0.5)


@given(low=st.integers(-50, 50), step=st.integers(1, 9), steps=st.integers(1, 12), seed=st.integers(0, 9))
def test_the_grid_of_a_range_is_what_draws_reach(low: int, step: int, steps: int, seed: int) -> None:
    drawn_from = parameter(min=low, max=low + step * steps, q=step)
    generator = np.random.default_rng(seed)
    drawn = {drawn_from.draw(generator) for _ in range(60 * (steps + 1))}
    assert drawn == set(drawn_from.levels())
    # And what Optuna's samplers reach: its own list of the distribution's values.
    distribution = IntDistribution(low, low + step * steps, step=step)
    assert set(drawn_from.levels()) == set(range(distribution.low, distribution.high + 1, distribution.step))


@given(low=st.integers(0, 20), step=st.sampled_from([0.1, 0.05, 0.25, 0.3]), steps=st.integers(1, 20))
def test_the_grid_of_a_stepped_range_is_optunas(low: int, step: float, steps: int) -> None:
    high = float(f"{low + step * steps:.12g}")
    drawn_from = parameter(min=float(low), max=high, q=step)
    distribution = FloatDistribution(float(low), high, step=step)
    assert distribution.high == pytest.approx(drawn_from.levels()[-1])
    assert len(drawn_from.levels()) == steps + 1


@given(seed=st.integers(0, 1000))
def test_a_logarithmic_range_stays_within_its_ends(seed: int) -> None:
    drawn = parameter(distribution="log_uniform_values", min=1e-4, max=2e-3).draw(np.random.default_rng(seed))
    assert isinstance(drawn, float)
    assert 1e-4 <= drawn <= 2e-3


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"distribution": "log_uniform", "min": -4, "max": -2}, "write log_uniform_values with the values"),
        ({"distribution": "normal", "min": 0, "max": 1}, r"distribution \(normal\) must be one of"),
        ({"min": 1, "max": 10, "q": 4}, r"max \(10\) cannot be reached .* the last step ends at 9"),
        ({"min": 5, "max": 5}, r"min \(5\) must be below max \(5\)"),
        ({"min": 0.0, "max": 1.0, "distribution": "log_uniform_values"}, "must be above 0"),
        ({"min": 0, "max": 1, "q": 0}, r"q \(0\) must be above 0"),
        ({"min": 0.5, "max": 2, "distribution": "int_uniform"}, "needs whole numbers, not 0.5 and 2"),
        ({"min": 0.5}, "give either values, or value, or min and max"),
        ({"values": [1, 2], "min": 1, "max": 2}, "give either values, or value, or min and max"),
        ({"values": []}, "must not be empty"),
        ({"values": [3, 6, 3]}, "holds 3 more than once"),
        ({"values": [1], "outer": "yes"}, r"outer \(yes\) must be grid"),
        ({"value": 1, "outer": "grid"}, r"one value \(1\) makes no grid"),
        ({"min": "1e-5", "max": 1}, "must be a number, not '1e-5'|must be a whole number, not '1e-5'"),
        ({"vals": [1]}, "vals: unknown key; did you mean values?"),
    ],
)
def test_impossible_parameters_are_named(keys: dict[str, object], message: str) -> None:
    assert re.search(message, words(**keys))


def test_true_and_one_are_two_values() -> None:
    assert parameter(values=[True, 1]).levels() == (True, 1)


def test_a_conditional_parameter_is_set_only_where_it_applies() -> None:
    toggle = Parameter("on", values=(True, False))
    rate = Parameter("rate", values=(1, 2, 3), when=Condition.parse("on and base > 4"))
    cells = list(Space((toggle, rate), (), {"base": 5}).cells())
    assert cells == [{"on": True, "rate": 1}, {"on": True, "rate": 2}, {"on": True, "rate": 3}, {"on": False}]
    assert list(Space((toggle, rate), (), {"base": 4}).cells()) == [{"on": True}, {"on": False}]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(-1, 8))
def test_exclusion_leaves_out_exactly_the_cells_it_names(rows: int, columns: int, limit: int) -> None:
    a = Parameter("a", values=tuple(range(rows)))
    b = Parameter("b", values=tuple(range(columns)))
    space = Space((a, b), (Condition.parse(f"a + b > {limit}"),))
    kept = [(cell["a"], cell["b"]) for cell in space.cells()]
    assert kept == [(i, j) for i in range(rows) for j in range(columns) if i + j <= limit]
