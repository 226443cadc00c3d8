import itertools

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from paraformer_analysis.design import Design, ReportOptions
from paraformer_analysis.display import effect_grid
from paraformer_analysis.effects import estimate_effects
from paraformer_analysis.narrative import factorial_answer
from paraformer_analysis.verdicts import Sentence

LEVELS = {"depth": ["2", "4", "6"], "width": ["64", "128"], "predictor": ["False", "True"]}


def factorial(seeds=3, noise=0.5):
    """A full factorial with known effects and an interaction of depth and width."""
    generator = np.random.default_rng(0)
    rows = [
        dict(zip([*LEVELS, "seed"], cell, strict=True))
        for cell in itertools.product(*LEVELS.values(), range(seeds))
    ]
    frame = pd.DataFrame(rows)
    truth = 10 - (frame["depth"] == "6") * 2 + (frame["width"] == "64") * (1 + (frame["depth"] == "2"))
    return frame.assign(response=truth + noise * generator.standard_normal(len(frame)))


@pytest.fixture(scope="module")
def reference():
    """The same model by statsmodels."""
    terms = [f"C({name}, Sum)" for name in LEVELS]
    pairs = [f"{a}:{b}" for a, b in itertools.combinations(terms, 2)]
    return ols(f"response ~ {' + '.join([*terms, *pairs])} + C(seed, Sum)", factorial()).fit()


def test_main_effects_and_intervals_equal_statsmodels(reference):
    """statsmodels codes levels in alphabetical order; with all but the last named it gives these levels."""
    found = estimate_effects(factorial(), LEVELS)
    intervals = reference.conf_int()
    for term, level in [("depth", "2"), ("depth", "4"), ("width", "128"), ("predictor", "False")]:
        name = f"C({term}, Sum)[S.{level}]"
        effect = next(each for each in found.of(term) if each.level == level)
        assert (effect.estimate, effect.low, effect.high) == pytest.approx(
            (reference.params[name], *intervals.loc[name]), abs=1e-9
        )


def test_interactions_equal_statsmodels(reference):
    found = estimate_effects(factorial(), LEVELS)
    name = "C(depth, Sum)[S.2]:C(width, Sum)[S.128]"
    effect = next(each for each in found.of("depth × width") if each.level == "2, 128")
    assert (effect.estimate, effect.low, effect.high) == pytest.approx(
        (reference.params[name], *reference.conf_int().loc[name]), abs=1e-9
    )


def test_tests_of_terms_equal_statsmodels(reference):
    expected = anova_lm(reference, typ=3)
    for test in estimate_effects(factorial(), LEVELS).tests:
        name = ":".join(f"C({part}, Sum)" for part in test.term.split(" × "))
        assert (test.freedom, test.f, test.p) == pytest.approx(
            tuple(expected.loc[name, ["df", "F", "PR(>F)"]])
        )


def test_main_effects_are_distances_of_marginal_means_in_a_balanced_design():
    frame = factorial()
    found = estimate_effects(frame, LEVELS)
    for effect in found.of("depth"):
        marginal = frame.loc[frame["depth"] == effect.level, "response"].mean()
        assert effect.estimate == pytest.approx(marginal - frame["response"].mean())


def test_effects_of_a_factor_sum_to_zero():
    found = estimate_effects(factorial(), LEVELS)
    assert sum(effect.estimate for effect in found.of("depth")) == pytest.approx(0, abs=1e-9)


def test_a_half_fraction_names_its_aliases():
    """With C = AB every main effect is confused with the interaction of the other two."""
    rows = [
        {"a": str(a), "b": str(b), "c": str(a * b), "seed": seed, "response": 3.0 * a + seed + 0.1 * b * seed}
        for a, b, seed in itertools.product((-1, 1), (-1, 1), (1, 2, 3))
    ]
    found = estimate_effects(pd.DataFrame(rows), {name: ["-1", "1"] for name in "abc"})
    aliases = {test.term: test.aliases for test in found.tests}
    assert aliases == {"a": ("b × c",), "b": ("a × c",), "c": ("a × b",)}
    assert found.of("a")[1].estimate == pytest.approx(3.0)


def test_keys_that_move_together_are_one_factor_by_two_names():
    rows = [
        {
            "encoder": width,
            "decoder": width,
            "seed": seed,
            "response": len(width) + 0.1 * seed * (width == "64"),
        }
        for width in ("64", "128")
        for seed in (1, 2, 3)
    ]
    found = estimate_effects(pd.DataFrame(rows), {"encoder": ["64", "128"], "decoder": ["64", "128"]})
    assert found.tests[0].aliases[0] == "decoder"
    assert [test.term for test in found.tests] == ["encoder"]


def test_one_seed_without_replicates_has_no_intervals():
    frame = factorial(seeds=1)
    found = estimate_effects(
        frame[frame["predictor"] == "True"], {key: LEVELS[key] for key in ("depth", "width")}
    )
    assert found.residual_freedom == 0
    assert all(np.isnan(effect.low) for effect in found.effects)


def test_a_fraction_is_named_with_its_generators_and_aliases():
    rows = [
        {"a": str(a), "b": str(b), "c": str(a * b), "seed": seed, "response": 3.0 * a + seed * b}
        for a, b, seed in itertools.product((-1, 1), (-1, 1), (1, 2))
    ]
    found = estimate_effects(pd.DataFrame(rows), {name: ["-1", "1"] for name in "abc"})
    fraction = {"resolution": 3, "generators": ["C=AB"], "factors": {"A": "model.a", "B": "model.b"}}
    grid = effect_grid(found, Design("s", (), (), method="fractional", fraction=fraction))
    assert grid.note.endswith(" Resolution III: generators C=AB with A model.a, B model.b.")
    assert grid.heads[-1] == "aliases"
    assert [row[-1].text for row in grid.rows] == ["b × c", "a × c", "a × b"]


def test_changes_equal_statsmodels_with_the_first_level_as_reference():
    """Treatment coding there: a change at the first width; half of what the other adds is the average."""
    frame = factorial()
    found = estimate_effects(frame, LEVELS)
    treated = ols("response ~ C(depth) * C(width, Treatment('64')) + C(predictor) + C(seed)", frame).fit()
    extra = treated.params["C(depth)[T.6]:C(width, Treatment('64'))[T.128]"]
    pair = next(each for each in found.changes_of("depth × width") if each.level == "6, 128")
    assert (pair.first, pair.estimate) == ("2, 64", pytest.approx(extra))
    change = next(each for each in found.changes_of("depth") if each.level == "6")
    assert (change.first, change.estimate) == (
        "2",
        pytest.approx(treated.params["C(depth)[T.6]"] + extra / 2),
    )


def test_the_interval_of_a_change_is_statsmodels(reference):
    found = next(
        each for each in estimate_effects(factorial(), LEVELS).changes_of("depth") if each.level == "4"
    )
    contrast = reference.t_test("C(depth, Sum)[S.4] - C(depth, Sum)[S.2] = 0")
    assert (found.estimate, found.low, found.high) == pytest.approx(
        (contrast.effect[0], *contrast.conf_int()[0]), abs=1e-9
    )


def test_the_answer_names_the_factors_that_matter():
    found = estimate_effects(factorial(), LEVELS)
    said = factorial_answer(found, ReportOptions(), [Sentence("The baseline's."), Sentence("Better: none.")])
    texts = [sentence.text for sentence in said]
    assert (texts[0], texts[-1]) == ("The baseline's.", "Better: none.")
    assert texts[1].startswith("Factors that matter, each averaged over the others: depth 2 → 4 −0.")
    assert " points (95 % interval −" in texts[1]
    assert texts[2] == "What one factor does depends on another: depth × width."
    assert texts[3] == "Factors not settled: predictor."


def test_an_answer_names_what_a_fraction_cannot_tell_apart():
    rows = [
        {"a": str(a), "b": str(b), "c": str(a * b), "seed": seed, "response": 3.0 * a + 0.1 * b * seed}
        for a, b, seed in itertools.product((-1, 1), (-1, 1), (1, 2, 3))
    ]
    found = estimate_effects(pd.DataFrame(rows), {name: ["-1", "1"] for name in "abc"})
    said = factorial_answer(found, ReportOptions(), [Sentence("The baseline's.")])
    assert "a (or b × c) -1 → 1 +6.00 points" in said[1].text
