import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paraformer.pieces import cut

RATE = 1000


@given(st.integers(0, 5000), st.floats(0.1, 3.0), st.integers(0, 99))
def test_pieces_are_the_recording_and_none_is_too_long(size, longest, seed):
    wave = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    pieces = cut(wave, RATE, longest)
    assert [end for _, end in pieces[:-1]] == [start for start, _ in pieces[1:]]
    assert (pieces[0][0], pieces[-1][1]) == (0, size)
    limit = max(round(longest * RATE), RATE // 2)
    assert all(end - start <= limit for start, end in pieces)
    assert all(end - start >= limit // 2 for start, end in pieces[:-1])
    if size <= limit:
        assert len(pieces) == 1


def test_cuts_are_where_it_is_quiet():
    wave = torch.ones(4000)
    for pause in (900, 1800, 3050):
        wave[pause : pause + 200] = 0.01
    cuts = [end for _, end in cut(wave, RATE, 1.5)[:-1]]
    assert cuts == pytest.approx([1000, 1900, 3150], abs=30)


def test_a_short_dip_is_no_pause():
    """30 ms without energy, as before a plosive, against 200 ms at a tenth of the level."""
    wave = torch.ones(2000)
    wave[700:730] = 0.0
    wave[1000:1200] = 0.1
    assert cut(wave, RATE, 1.4)[0][1] == pytest.approx(1100, abs=30)
