import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from paraformer_analysis.bootstrap import BlockBootstrap
from paraformer_analysis.comparisons import (
    equivalence_p,
    holm,
    minimal_detectable,
    seeds_to_settle,
    student_quantile,
    two_sided_p,
)

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@given(P_VALUES)
def test_holm_equals_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_rows_that_are_not_tested_cost_the_others_nothing():
    assert holm([0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)


def estimate(generator, seeds=3, effect=0.0, spread=0.01, blocks=15, replicates=2000):
    """A difference of two systems that share a baseline's luck or not, on simulated words."""
    words = np.full(blocks, 80)
    rate = np.clip(0.15 + effect + spread * generator.standard_normal((seeds, 1)), 0, 1)
    sums = generator.binomial(words, rate, (seeds, blocks)) - generator.binomial(words, 0.15, (seeds, blocks))
    return BlockBootstrap(words, replicates, seed=int(generator.integers(2**31))).estimate(sums)


def trials(generator, words, seeds):
    """Errors by seed and speaker of networks that differ by the luck of their seeds alone."""
    luck = 0.01 * generator.standard_normal((seeds, 1))
    return generator.binomial(words, 0.15 + luck, (seeds, len(words)))


@pytest.mark.parametrize("seeds", [3, 4])
def test_holm_keeps_the_family_wise_error_rate(seeds):
    """Six variants that do not differ from their common baseline: any alarm is false."""
    generator = np.random.default_rng(1)
    words, tables, alarms = np.full(15, 80), 800, 0
    for table in range(tables):
        base = trials(generator, words, seeds)
        sums = [trials(generator, words, seeds) - base for _ in range(6)]
        found = BlockBootstrap(words, 1000, seed=table).estimate_all(sums, 0.05, list(range(6)))
        alarms += min(holm([two_sided_p(each) for each in found])) < 0.05
    # Two standard errors of a rate of 5 % in 800 tables are 1.5 %.
    assert alarms / tables <= 0.065


def test_p_is_below_alpha_exactly_when_the_interval_leaves_out_zero():
    generator = np.random.default_rng(2)
    for _ in range(100):
        found = estimate(generator, effect=0.03)
        border = 0.045 < two_sided_p(found) < 0.055  # there the two count replicates differently
        if not border and not found.seeds_agree:
            assert (two_sided_p(found) < 0.05) == (found.low > 0 or found.high < 0)


def test_a_margin_far_beyond_the_interval_makes_it_equivalent_and_one_inside_does_not():
    found = estimate(np.random.default_rng(3))
    assert equivalence_p(found, 1.0) < 0.01
    assert equivalence_p(found, abs(found.value) / 2) > 0.05


def test_the_detectable_effect_is_found_as_often_as_stated():
    """Power is simulated: effects of the size that was called detectable must be found in 80 % of sweeps."""
    generator = np.random.default_rng(4)
    sizes = [minimal_detectable(estimate(generator, seeds=8), 0.05, 0.8) for _ in range(300)]
    detectable = float(np.median(sizes))
    found = np.mean([two_sided_p(estimate(generator, seeds=8, effect=detectable)) < 0.05 for _ in range(500)])
    assert 0.72 < found < 0.88


def test_more_seeds_settle_what_seeds_blur():
    generator = np.random.default_rng(6)
    words, luck = np.full(40, 500), np.array([[-0.01], [0.0], [0.04]])
    sums = generator.binomial(words, 0.15 + luck, (3, 40)) - generator.binomial(words, 0.15, (3, 40))
    found = BlockBootstrap(words, 2000).estimate(sums)
    more = seeds_to_settle(found, 0.05, 0.8, None)
    assert more is not None
    assert 3 < more < 60


def test_no_number_of_seeds_mends_a_test_set_that_is_too_small():
    suits = np.array([6.0, -5.0, 4.0, -4.0])  # errors that the change costs each of four speakers
    found = BlockBootstrap(np.full(4, 40.0), 500).estimate(np.tile(suits, (3, 1)))
    assert seeds_to_settle(found, 0.05, 0.8, None) is None


def test_without_a_known_spread_no_number_of_seeds_is_promised():
    assert seeds_to_settle(estimate(np.random.default_rng(0), seeds=2), 0.05, 0.8, None) is None


def test_a_margin_can_be_the_quicker_way_to_settle():
    found = estimate(np.random.default_rng(8), seeds=3, effect=0.0)
    assert seeds_to_settle(found, 0.05, 0.8, margin=1.0) == 1


@given(st.floats(0, 1), st.integers(3, 20), st.floats(1e-6, 1), st.integers(3, 100), st.floats(0.6, 0.999))
def test_the_quantile_of_two_levels_lies_between_those_of_each(
    seed_variance, seeds, block_variance, blocks, probability
):
    found = student_quantile([(seed_variance, seeds - 1), (block_variance, blocks - 1)], probability)
    alone = [stats.t.ppf(probability, freedom) for freedom in (seeds - 1, blocks - 1)]
    assert min(alone) - 1e-9 <= found <= max(alone) + 1e-9


@pytest.mark.parametrize(("seeds", "blocks", "ratio"), [(3, 20, 1.0), (3, 8, 0.3), (5, 20, 3.0)])
def test_the_quantile_is_near_that_of_the_distribution_that_the_bootstrap_draws_from(seeds, blocks, ratio):
    """Behrens and Fisher's distribution, drawn at random: a sum of two scaled Student variables."""
    generator = np.random.default_rng(0)
    drawn = math.sqrt(ratio) * generator.standard_t(seeds - 1, 400_000) + generator.standard_t(
        blocks - 1, 400_000
    )
    expected = np.quantile(np.abs(drawn), 0.95) / math.sqrt(ratio + 1)
    assert student_quantile([(ratio, seeds - 1), (1.0, blocks - 1)], 0.975) == pytest.approx(
        expected, rel=0.06
    )


def agreeing():
    """Networks whose seeds end at the same rate, each with its own luck on 30 speakers."""
    generator = np.random.default_rng(4)
    sums = generator.binomial(80, 0.16, (3, 30)) - generator.binomial(80, 0.15, (3, 30))
    return sums - np.outer(sums.sum(axis=1) - sums.sum() // 3, np.eye(30)[0]), np.full(30, 80.0)


def test_seeds_that_agree_by_chance_are_believed_no_more_than_these_very_networks():
    sums, words = agreeing()
    found = BlockBootstrap(words, 2000).estimate(sums)
    of_speakers = stats.ttest_1samp(sums.mean(axis=0), 0.0).pvalue
    assert found.seeds_agree
    assert np.mean(np.abs(found.deviations) >= abs(found.value)) < 0.5 * of_speakers
    assert two_sided_p(found) == pytest.approx(of_speakers, rel=0.02)


def test_a_single_block_is_no_evidence():
    found = BlockBootstrap(np.array([80.0]), 100).estimate(np.array([[8.0], [9.0], [7.0]]))
    assert math.isnan(two_sided_p(found))
    assert math.isnan(equivalence_p(found, 0.01))


def test_an_empty_block_beside_a_single_one_is_no_evidence_either():
    sums = np.array([[8.0, 1.0], [9.0, 0.0], [7.0, 0.0]])
    found = BlockBootstrap(np.array([80.0, 0.0]), 100).estimate(sums)
    assert math.isnan(two_sided_p(found))
