"""Effects of factors with both errors, seeds and test material, against simulations and Clark's min F'."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from paraformer_analysis.effects import estimate_effects
from paraformer_analysis.least_squares import LeastSquares, Material, material_of

SWEEPS = 2000
SPEAKERS = 16
WORDS = np.random.default_rng(1).integers(30, 120, SPEAKERS)
CELLS = list(itertools.product((-1, 1), (-1, 1), range(3)))
A, B, SEED = (np.array(column) for column in zip(*CELLS, strict=True))
SEEDS = np.stack([(SEED == 0) - 1.0 * (SEED == 2), (SEED == 1) - 1.0 * (SEED == 2)], axis=1)
GROUPS = {"mean": np.ones((12, 1)), "seed": SEEDS, "a": A[:, None], "b": B[:, None], "ab": (A * B)[:, None]}
GROUPS = {name: np.asarray(columns, dtype=float) for name, columns in GROUPS.items()}
THREE = {"mean": GROUPS["mean"], "seed": GROUPS["seed"], "both": np.hstack([GROUPS["a"], GROUPS["b"]])}


def simulated_errors(generator, effect, seed_spread, speaker_spread):
    """Errors of each trial on each speaker (12, 16): factor a adds ``effect`` to the rate, more to some."""
    hardness = 0.03 * generator.standard_normal(SPEAKERS)
    suits = effect + speaker_spread * generator.standard_normal(SPEAKERS)
    luck = seed_spread * generator.standard_normal((len(CELLS), 1))
    rate = 0.25 + hardness + luck + np.outer(A, suits / 2)
    return generator.binomial(WORDS, np.clip(rate, 0.001, 0.999)).astype(float)


def fits(seed_spread, speaker_spread, effect, with_material=True, groups=GROUPS):
    generator = np.random.default_rng([int(1e3 * seed_spread), int(1e3 * speaker_spread), int(100 * effect)])
    for _ in range(SWEEPS):
        errors = simulated_errors(generator, effect, seed_spread, speaker_spread)
        response = 100 * errors.sum(axis=1) / WORDS.sum()
        yield LeastSquares(response, groups, material_of(errors, WORDS) if with_material else None)


def coverage(*spreads, with_material=True, effect=0.05):
    held = 0
    for fit in fits(*spreads, effect, with_material):
        _, low, high = fit.combine("a", np.array([2.0]), 0.05)
        held += low <= 100 * effect <= high
    return held / SWEEPS


whatever_varies = pytest.mark.parametrize(
    ("seed_spread", "speaker_spread"),
    [(0.02, 0.0), (0.0, 0.06), (0.01, 0.02), (0.0, 0.0)],
    ids=["trials differ", "speakers differ", "both differ", "words alone differ"],
)


@whatever_varies
def test_intervals_of_a_change_cover_the_truth_at_their_stated_rate(seed_spread, speaker_spread):
    assert 0.93 <= coverage(seed_spread, speaker_spread) <= 0.975


@whatever_varies
@pytest.mark.parametrize(
    ("groups", "term"), [(GROUPS, "a"), (THREE, "both")], ids=["one coefficient", "two coefficients"]
)
def test_a_factor_without_effect_seldom_raises_an_alarm(seed_spread, speaker_spread, groups, term):
    p_values = [fit.test(term)[2] for fit in fits(seed_spread, speaker_spread, 0.0, groups=groups)]
    assert 0.02 <= np.mean(np.array(p_values) < 0.05) <= 0.07


def test_the_residual_alone_would_not_cover_other_speakers():
    """What the second error is for."""
    assert coverage(0.0, 0.06, with_material=False) < 0.7


def test_one_coefficient_is_clarks_min_f():
    """By hand from F over trials and F over speakers, where no luck of single networks is in both."""
    generator = np.random.default_rng(5)
    suits, luck = 2 + generator.standard_normal(SPEAKERS), 0.6 * generator.standard_normal(len(CELLS))
    rates = 30 + np.outer(A, suits / 2) + luck[:, None]  # (12, 16), in points
    sizes = np.full(SPEAKERS, 100.0)
    fit = LeastSquares(rates.mean(axis=1), GROUPS, material_of(rates, sizes))
    f_trials = LeastSquares(rates.mean(axis=1), GROUPS).test("a")[0]
    f_speakers = stats.ttest_1samp(rates[A == 1].mean(axis=0) - rates[A == -1].mean(axis=0), 0).statistic ** 2
    freedom = len(CELLS) - 6
    expected = f_trials * f_speakers / (f_trials + f_speakers)
    below = (f_trials + f_speakers) ** 2 / (f_trials**2 / (SPEAKERS - 1) + f_speakers**2 / freedom)
    assert fit.test("a") == pytest.approx((expected, below, stats.f.sf(expected, 1, below)))


def test_interval_and_test_of_one_coefficient_agree():
    fit = next(fits(0.01, 0.02, 0.05))
    p = fit.test("a")[2]
    value, low, high = fit.combine("a", np.array([1.0]), p)
    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-9 * abs(value))


def test_influence_of_equal_material_on_all_trials_changes_nothing():
    """Hard speakers are hard for all: that is no error of an effect."""
    response = 30 + 2.0 * A + np.random.default_rng(0).standard_normal(len(CELLS))
    hardness = np.tile(np.random.default_rng(1).standard_normal(SPEAKERS), (len(CELLS), 1))
    alone = LeastSquares(response, GROUPS).combine("a", np.array([1.0]), 0.05)
    beside = LeastSquares(response, GROUPS, Material(hardness, 15.0)).combine("a", np.array([1.0]), 0.05)
    assert beside == pytest.approx(alone, rel=1e-6)


def frame_of(response):
    return pd.DataFrame({"a": A.astype(str), "b": B.astype(str), "seed": SEED, "response": response})


@pytest.mark.parametrize("rate", [0.0, 100 * 5 / 90])
def test_trials_that_are_all_alike_have_no_effects(rate):
    """Rounding in the fit must not look like a certain effect."""
    found = estimate_effects(frame_of(np.full(len(CELLS), rate)), {"a": ["-1", "1"], "b": ["-1", "1"]})
    assert [(test.f, test.p) for test in found.tests] == [(0.0, 1.0)] * 3
    assert all((change.low, change.estimate, change.high) == (0, 0, 0) for change in found.changes)


def test_an_effect_without_any_error_is_certain():
    found = estimate_effects(frame_of(10.0 + A), {"a": ["-1", "1"], "b": ["-1", "1"]})
    assert [(test.f, test.p) for test in found.tests] == [(np.inf, 0.0), (0.0, 1.0), (0.0, 1.0)]


def test_one_block_of_test_material_tells_of_no_other():
    errors = np.random.default_rng(0).integers(5, 20, (len(CELLS), 1)).astype(float)
    fit = LeastSquares(100 * errors[:, 0] / 40, GROUPS, material_of(errors, np.array([40.0])))
    assert np.isnan(fit.test("a")).all()
    assert np.isnan(fit.combine("a", np.array([1.0]), 0.05)[1:]).all()
