import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraformer.batching import BucketBatches, padding_share
from paraformer.errors import ConfigError

LENGTHS = st.lists(st.integers(1, 3000), min_size=1, max_size=200)


@pytest.fixture(scope="module")
def speech_lengths():
    """Frames of 5000 utterances: log-normal, mean 5 s, as recorded speech has them."""
    draws = np.random.default_rng(0).normal(np.log(500) - 0.18, 0.6, 5000)
    return np.clip(np.exp(draws), 30, 3000).astype(int).tolist()


@given(LENGTHS, st.integers(1, 20), st.integers(1, 6000), st.integers(1, 4), st.integers(0, 5), st.booleans())
def test_all_ranks_together_see_every_utterance_once(lengths, size, frames, world, epoch, shuffle):
    ranks = [
        BucketBatches(
            lengths,
            batch_size=size,
            batch_frames=frames,
            seed=7,
            rank=rank,
            world_size=world,
            shuffle=shuffle,
        ).epoch(epoch)
        for rank in range(world)
    ]
    assert len({len(batches) for batches in ranks}) == 1
    seen = [index for batches in ranks for batch in batches for index in batch]
    assert set(seen) == set(range(len(lengths)))
    short_cuts = sum(len({i for batches in ranks for i in batches[n]}) < world for n in range(len(ranks[0])))
    assert len(seen) - len(lengths) <= short_cuts * (world - 1)
    for cut in ({i for batch in batches for i in batch} for batches in zip(*ranks, strict=True)):
        assert 1 <= len(cut) <= size
        assert len(cut) == 1 or len(cut) * max(lengths[i] for i in cut) <= frames


@given(LENGTHS, st.integers(1, 20), st.integers(1, 6000), st.integers(2, 4))
def test_the_number_of_ranks_does_not_change_what_is_in_a_batch(lengths, size, frames, world):
    limits = {"batch_size": size, "batch_frames": frames, "seed": 7}
    alone = BucketBatches(lengths, **limits).epoch(2)
    ranks = [BucketBatches(lengths, **limits, rank=rank, world_size=world).epoch(2) for rank in range(world)]
    together = [{i for batch in batches for i in batch} for batches in zip(*ranks, strict=True)]
    assert together == [set(batch) for batch in alone]


def test_an_epoch_is_a_pure_function_of_seed_and_number(speech_lengths):
    first = BucketBatches(speech_lengths, batch_size=16, seed=1)
    again = BucketBatches(speech_lengths, batch_size=16, seed=1)
    third = first.epoch(3)
    first.epoch(0)
    assert first.epoch(3) == third == again.epoch(3)
    assert third != first.epoch(4)
    assert third != BucketBatches(speech_lengths, batch_size=16, seed=2).epoch(3)


def test_batch_mates_differ_from_epoch_to_epoch(speech_lengths):
    batches = BucketBatches(speech_lengths, batch_size=16, seed=1)
    mates = [{frozenset(batch) for batch in batches.epoch(n)} for n in range(2)]
    # Only at the thin ends, where neighbours differ by more than the jitter, may some meet again.
    assert len(mates[0] & mates[1]) < 0.02 * len(mates[0])


@pytest.mark.parametrize("limits", [{"batch_size": 16}, {"batch_frames": 8000}])
def test_at_most_five_per_cent_is_padding_where_random_batches_have_half(speech_lengths, limits):
    buckets = BucketBatches(speech_lengths, seed=1, **limits)
    assert padding_share(buckets.epoch(0), speech_lengths) < 0.05
    order = np.random.default_rng(0).permutation(len(speech_lengths))
    assert padding_share(np.split(order[:4992], 312), speech_lengths) > 0.5


def test_lengths_of_an_epoch_replace_the_first_ones(speech_lengths):
    """Speeds 0.9, 1 and 1.1 of 5000 utterances: batches by the lengths before are padded twice as much."""
    speeds = np.random.default_rng(5).choice([0.9, 1.0, 1.1], len(speech_lengths))
    changed = (np.array(speech_lengths) / speeds).astype(int).tolist()
    buckets = BucketBatches(speech_lengths, batch_size=16, batch_frames=8000)
    known = buckets.epoch(0, changed)
    assert all(len(b) == 1 or len(b) * max(changed[i] for i in b) <= 8000 for b in known)
    assert padding_share(known, changed) < 0.05
    assert padding_share(buckets.epoch(0), changed) > 0.08


def test_ranks_have_work_of_like_length(speech_lengths):
    ranks = [
        BucketBatches(speech_lengths, batch_frames=8000, seed=1, rank=rank, world_size=4).epoch(0)
        for rank in range(4)
    ]
    for batches in zip(*ranks, strict=True):
        longest = [max(speech_lengths[i] for i in batch) for batch in batches]
        assert max(longest) <= 1.25 * min(longest) + 60


def test_evaluation_goes_from_short_to_long(speech_lengths):
    batches = BucketBatches(speech_lengths, batch_size=16, shuffle=False).epoch(0)
    order = [speech_lengths[index] for batch in batches for index in batch]
    assert order == sorted(speech_lengths)


def test_padding_share_of_a_hand_made_batch():
    assert padding_share([[0, 1], [2]], [10, 5, 7]) == pytest.approx(5 / 27)


def test_impossible_arguments():
    with pytest.raises(ConfigError, match=r"batches need a limit"):
        BucketBatches([1, 2])
    with pytest.raises(ConfigError, match=r"batch_size \(0\) must be at least 1"):
        BucketBatches([1, 2], batch_size=0)
    with pytest.raises(ConfigError, match=r"rank \(2\) must be at least 0 and below world_size \(2\)"):
        BucketBatches([1, 2], batch_size=1, rank=2, world_size=2)
    with pytest.raises(ConfigError, match="no utterances"):
        BucketBatches([], batch_size=1)
