"""The bootstrap's promise is its coverage: it is simulated here from models whose truth is known."""

import numpy as np
import pytest

from paraformer_analysis.bootstrap import BlockBootstrap, Estimate

SWEEPS = 5000
AT_A_TIME = 50
SPEAKERS = 20
WORDS = np.random.default_rng(1).integers(30, 120, SPEAKERS)
"""Words that each speaker says in the test set."""


def simulated_differences(generator, seeds, effect, seed_spread, speaker_spread):
    """Errors of a variant minus errors of a baseline, (K, S).

    Words fail independently at a rate made of a common level, the seed's luck, how hard the speaker is for
    both systems, and how the change suits the speaker.
    """
    hardness = 0.03 * generator.standard_normal(SPEAKERS)
    suits = speaker_spread * generator.standard_normal(SPEAKERS)

    def errors(rate):
        luck = seed_spread * generator.standard_normal((seeds, 1))
        return generator.binomial(WORDS, np.clip(rate + luck + hardness, 0.001, 0.999))

    return errors(0.2 + effect + suits) - errors(0.2)


def coverage(seeds, effect, seed_spread, speaker_spread):
    """How often the interval of a simulated sweep holds the true effect."""
    generator = np.random.default_rng(
        [seeds, int(1000 * seed_spread), int(1000 * speaker_spread), int(100 * effect)]
    )
    sweeps = [
        simulated_differences(generator, seeds, effect, seed_spread, speaker_spread) for _ in range(SWEEPS)
    ]
    # One set of resampled speakers serves many sweeps here, as it serves all variants of one sweep.
    batches = [sweeps[start : start + AT_A_TIME] for start in range(0, SWEEPS, AT_A_TIME)]
    found = [
        each
        for number, batch in enumerate(batches)
        for each in BlockBootstrap(WORDS, replicates=1000, seed=number).estimate_all(
            batch, 0.05, list(range(AT_A_TIME))
        )
    ]
    return np.mean([each.low <= effect <= each.high for each in found])


whatever_varies = pytest.mark.parametrize(
    ("seeds", "seed_spread", "speaker_spread"),
    [(3, 0.02, 0.0), (3, 0.0, 0.05), (3, 0.01, 0.02), (5, 0.01, 0.02), (5, 0.0, 0.0)],
    ids=["3 seeds differ", "speakers differ", "both differ", "5 seeds, both differ", "words alone differ"],
)
with_and_without_effect = pytest.mark.parametrize("effect", [0.0, 0.05], ids=["null", "effect"])


@whatever_varies
@with_and_without_effect
def test_intervals_cover_the_truth_at_their_stated_rate(seeds, seed_spread, speaker_spread, effect):
    assert 0.93 <= coverage(seeds, effect, seed_spread, speaker_spread) <= 0.97


def test_a_naive_bootstrap_of_three_seeds_would_not_cover():
    """What the corrections are for: without them three seeds cover the truth far too rarely."""
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        per_seed = 0.02 * generator.standard_normal(3)
        drawn = per_seed[generator.integers(3, size=(600, 3))].mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        covered += low <= 0 <= high
    assert covered / 400 < 0.85


def test_one_seed_covers_what_test_sampling_alone_can_tell():
    """With one pair of networks the truth that is covered is that pair's, over all speakers."""
    assert 0.93 <= coverage(1, 0.03, 0.0, 0.03) <= 0.97


def example(seeds=3, blocks=12, scale=5.0):
    generator = np.random.default_rng(3)
    return generator.normal(1, scale, (seeds, blocks)), np.full(blocks, 40.0)


def same(one: Estimate, other: Estimate) -> bool:
    return one == other and np.array_equal(one.deviations, other.deviations)


def test_the_same_seed_gives_the_same_interval():
    sums, words = example()
    assert same(
        BlockBootstrap(words, 500, seed=4).estimate(sums), BlockBootstrap(words, 500, seed=4).estimate(sums)
    )


def test_another_seed_gives_another_interval():
    sums, words = example()
    assert not same(
        BlockBootstrap(words, 500, seed=4).estimate(sums), BlockBootstrap(words, 500, seed=5).estimate(sums)
    )


def test_a_row_keeps_its_interval_when_others_join():
    sums, words = example()
    bootstrap = BlockBootstrap(words, 500)
    alone = bootstrap.estimate(sums, stream=9)
    among = bootstrap.estimate_all([2 * sums, sums], alpha=0.05, streams=[1, 9])[1]
    assert (alone.low, alone.high) == pytest.approx((among.low, among.high), abs=1e-12)


def test_the_value_is_the_corpus_difference_averaged_over_seeds():
    sums, words = example()
    assert BlockBootstrap(words, 100).estimate(sums).value == pytest.approx(
        sums.mean(axis=0).sum() / words.sum()
    )


def test_block_variance_is_that_of_a_plain_bootstrap_for_one_seed():
    """Independent of the code's formula: resample blocks in a loop and take the variance of the ratio."""
    generator = np.random.default_rng(0)
    sums, words = generator.poisson(8, (1, 40)).astype(float), generator.integers(20, 60, 40).astype(float)
    drawn = generator.integers(40, size=(20_000, 40))
    ratios = sums[0][drawn].sum(axis=1) / words[drawn].sum(axis=1)
    assert BlockBootstrap(words, 100).estimate(sums).block_variance == pytest.approx(ratios.var(), rel=0.08)


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_spread_over_fewer_than_three_seeds_is_not_claimed(seeds):
    sums, words = example(seeds)
    assert np.isnan(BlockBootstrap(words, 100).estimate(sums).seed_variance)


def test_no_difference_anywhere_is_a_point():
    found = BlockBootstrap(np.full(6, 10.0), 200).estimate(np.zeros((3, 6)))
    assert (found.low, found.value, found.high) == (0, 0, 0)
