"""MAPSSWE against figures that NIST published, and against cuts made by hand."""

import math

import numpy as np
import pytest

from paraformer_analysis.mapsswe import judge_segments, mapsswe, split_segments


def test_figures_of_the_nist_toolkit():
    """Test 1a of SCTK's sc_stats (test1a.stats.mapsswe): three segments, 9 and 7 errors.

    It prints mean 0.667, standard deviation 0.577, Z 2.000, different at 95 %. Those totals and that
    deviation are met by the differences 1, 1 and 0 alone.
    """
    found = judge_segments(np.array([[3.0, 2.0], [4.0, 3.0], [2.0, 2.0]]))
    assert found.segments == 3
    assert (round(found.mean, 3), round(found.deviation, 3), round(found.z, 3)) == (0.667, 0.577, 2.0)
    assert found.p < 0.05


def test_the_systems_the_other_way_round():
    """Test 1b of the same: Z -2.000."""
    assert judge_segments(np.array([[2.0, 3.0], [3.0, 4.0], [2.0, 2.0]])).z == pytest.approx(-2.0)


def test_segments_of_the_published_example():
    """The example of Pallett, Fisher and Fiscus (1990), also in Jurafsky and Martin: four segments.

    A has 2, 0, 1, 1 errors in them and B 0, 1, 2, 0.
    """
    reference = "it was the best of times it was the worst of times it was"
    first = "ITS the best of times it IS the worst of times OR it was"
    second = "it was the best times it WON the TEST of times it was"
    assert list(split_segments(reference, first, second)) == [(2, 0), (0, 1), (1, 2), (1, 0)]


@pytest.mark.parametrize(
    ("reference", "first", "second", "segments"),
    [
        ("a b c", "a b c", "a b c", []),
        ("a b c d e", "x b c d e", "a b c d x", [(1, 0), (0, 1)]),
        # Only one word in a row is right between the errors: one segment.
        ("a b c", "x b x", "a b c", [(2, 0)]),
        # The word in between is right for one system only.
        ("a b c d", "x b c x", "a x c d", [(2, 1)]),
        # An insertion between two right words parts them.
        ("a b c d", "x b y c x", "a b c d", [(3, 0)]),
        ("", "x", "", [(1, 0)]),
        ("a", "", "a", [(1, 0)]),
    ],
)
def test_cuts_made_by_hand(reference, first, second, segments):
    assert list(split_segments(reference, first, second)) == segments


def test_utterances_are_never_joined():
    assert mapsswe([("a", "x", "a"), ("b", "b", "x")]).segments == 2


def test_two_equal_systems_are_not_told_apart():
    assert mapsswe([("a b", "a x", "a x")] * 5).p == 1.0


def test_a_constant_difference_has_no_z_and_the_sign_test_speaks():
    found = judge_segments(np.array([[1.0, 0.0]] * 4))
    assert math.isnan(found.z)
    assert found.p == pytest.approx(2 * 0.5**4)


def test_false_alarms_come_at_the_stated_rate():
    generator = np.random.default_rng(0)
    alarms = [judge_segments(generator.poisson(0.8, (150, 2)).astype(float)).p < 0.05 for _ in range(2000)]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.015)
