"""Conditions decide as Python does, and nothing but conditions is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.expressions import Condition

VALUES = {"a.b": 3, "a.c": 0.5, "on": True, "name": "cif", "nothing": None}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a.b == 3 and a.c < 1", True),
        ("a.b > 3 or not on", False),
        ("1 < a.b <= 3", True),
        ("1 < a.b < 3", False),
        ("name in ['cif', 'uniform']", True),
        ("name not in ['cif']", False),
        ("on", True),
        ("on == true and nothing == null", True),
        ("a.b * 2 + 1 == 7 and a.b % 2 == 1 and a.b // 2 == 1 and -a.b < 0", True),
    ],
)
def test_conditions_hold_as_written(text: str, holds: bool) -> None:
    assert Condition.parse(text).holds(VALUES.__getitem__) is holds


@given(a=st.integers(-9, 9), b=st.integers(-9, 9), c=st.integers(-9, 9))
def test_arithmetic_and_precedence_are_those_of_python(a: int, b: int, c: int) -> None:
    text = "x.a + x.b * x.c - x.a <= x.b or x.a == x.c and not x.b > x.c"
    condition = Condition.parse(text)
    expected = a + b * c - a <= b or (a == c and not b > c)
    assert condition.holds({"x.a": a, "x.b": b, "x.c": c}.__getitem__) == expected


def test_the_keys_that_are_read_are_known() -> None:
    assert Condition.parse("a.b > 1 and (on or a.b == 2) and name != 'x'").names == ("a.b", "name", "on")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("__import__('os').system('true')", "uses Call, which is not allowed"),
        ("a.b ** 9", "uses Pow"),
        ("a[0] == 1", "uses Subscript"),
        ("(lambda: 1)", "uses Lambda"),
        ("a.b ==", "is no condition"),
        ("on is true", "uses Is"),
        ("(1 + 2).real", "takes an attribute of a BinOp"),
    ],
)
def test_everything_else_is_refused_when_read(text: str, words: str) -> None:
    with pytest.raises(SweepError, match=words):
        Condition.parse(text)


def test_values_that_cannot_be_compared_are_named() -> None:
    with pytest.raises(SweepError, match=r"'name < 3' cannot be decided for \{'name': 'cif'\}"):
        Condition.parse("name < 3").holds(VALUES.__getitem__)
