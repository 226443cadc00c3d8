import math

from hypothesis import given
from hypothesis import strategies as st

from paraformer_analysis.pareto import pareto_front

POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


def test_a_front_drawn_by_hand():
    errors = [5.0, 4.0, 6.0, 4.0, math.nan]
    costs = [1.0, 2.0, 2.0, 3.0, 0.5]
    assert pareto_front(errors, costs) == [True, True, False, False, False]


@given(POINTS)
def test_a_point_is_on_the_front_exactly_when_nothing_dominates_it(points):
    def dominates(one, other):
        return one[0] <= other[0] and one[1] <= other[1] and one != other

    expected = [not any(dominates(other, point) for other in points) for point in points]
    assert pareto_front(*zip(*points, strict=True)) == expected
