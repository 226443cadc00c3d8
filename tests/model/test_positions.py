import math

import pytest
import torch

from paraformer.positions import rotate, sinusoids

CPU = torch.device("cpu")


def test_sinusoids_are_the_published_formula() -> None:
    """Position p, channel i of 4: sines at rates 1 and 1/10,000, then cosines; positions count from 1."""
    for place, row in enumerate(sinusoids(3, 4, CPU), start=1):
        slow = place / 10_000
        expected = [math.sin(place), math.sin(slow), math.cos(place), math.cos(slow)]
        assert row.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dim", [1, 2, 3, 7])
def test_any_width_can_be_had(dim: int) -> None:
    assert sinusoids(5, dim, CPU).shape == (5, dim)


def test_a_later_start_continues_the_sequence() -> None:
    torch.testing.assert_close(sinusoids(2, 8, CPU, start=4), sinusoids(5, 8, CPU)[3:])


@pytest.mark.parametrize("width", [2, 5, 8])
def test_products_of_rotated_vectors_depend_on_their_distance_alone(width: int) -> None:
    query, key = torch.randn(width), torch.randn(width)
    queries, keys = (rotate(v.expand(1, 1, 12, width))[0, 0] for v in (query, key))
    products = queries @ keys.T
    for distance in range(-11, 12):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-4, atol=1e-4)
    assert products[0, 0].item() == pytest.approx((query @ key).item(), abs=1e-5)
    assert (products[0] - products[0, 0]).abs().max() > 0.01


def test_rotation_keeps_lengths_and_precision() -> None:
    x = torch.randn(2, 3, 40, 6)
    torch.testing.assert_close(rotate(x).norm(dim=-1), x.norm(dim=-1))
    assert rotate(x.bfloat16()).dtype == torch.bfloat16
