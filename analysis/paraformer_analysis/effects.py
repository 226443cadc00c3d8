"""Main effects and two-way interactions of a factorial sweep, by least squares.

Every factor is coded so that its effects sum to zero over its levels; the effect of a level is how far the
error rate lies from the grand mean when that level is set and all others are averaged out. The effect of a
pair of levels is what remains of their joint mean after both main effects. The means of the seeds are taken
out before the residual is measured, which is then how the effects vary with seeds; to it comes how they vary
with the test material, see ``least_squares``. So intervals tell about other seeds and other test material, as
those of the table do.

Where a design does not cross all factors, terms cannot be told apart from others: they are named as aliases
of the term that is shown, and not estimated.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paraformer_analysis.comparisons import holm
from paraformer_analysis.least_squares import LeastSquares, Material, material_of
from paraformer_analysis.records import Records
from paraformer_analysis.scores import Scores

Floats = NDArray[np.float64]
TIMES = " × "
SAME = 1e-8
"""Part of a unit column below which nothing is left of it."""


@dataclass(frozen=True)
class Effect:
    """Effect of one level, or of one pair of levels, in the unit of the response."""

    term: str
    """Factor, or two factors joined by ``×``."""
    level: str
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Change:
    """What leaving the first level for another does, in the unit of the response.

    Of two factors: what leaving both first levels does beyond the sum of both changes.
    """

    term: str
    first: str
    level: str
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class TermTest:
    """F test of a whole term."""

    term: str
    freedom: int
    freedom_below: float
    """Degrees of freedom of the error that the term is measured by."""
    f: float
    p: float
    p_corrected: float
    """Corrected for the number of terms (Holm)."""
    aliases: tuple[str, ...]
    """Terms that this design cannot tell from it."""


@dataclass(frozen=True)
class Effects:
    """What a factorial sweep says about its factors."""

    mean: float
    effects: tuple[Effect, ...]
    changes: tuple[Change, ...]
    tests: tuple[TermTest, ...]
    residual_freedom: int
    material: str = ""
    """What stands for other test material: so many speakers or utterances; empty if it is taken as given."""

    def of(self, term: str) -> list[Effect]:
        """Return the effects of one term."""
        return [effect for effect in self.effects if effect.term == term]

    def changes_of(self, term: str) -> list[Change]:
        """Return the changes of one term."""
        return [change for change in self.changes if change.term == term]


def sweep_effects(records: Records, scores: Scores) -> Effects | None:
    """Estimate the effects of a ``grid`` or ``fractional`` sweep in points; None for other sweeps."""
    design = records.design
    if design.method not in ("grid", "fractional"):
        return None
    if records.runs["early"].any() and not design.allow_biased:
        return None
    frame = records.runs[records.runs["usable"]][["trial_key", "variant", "seed"]].copy()
    errors, sizes = scores.of(list(frame["trial_key"])), scores.block_sums(scores.lengths)
    frame["response"] = 100 * errors.sum(axis=1) / sizes.sum()
    for key in design.factors:
        frame[key] = [
            _level(records, str(trial), str(variant), key)
            for trial, variant in zip(frame["trial_key"], frame["variant"], strict=True)
        ]
    levels = {key: _levels(frame[key], design.factors[key]) for key in design.factors}
    varied = {key: found for key, found in levels.items() if len(found) > 1}
    if not varied:
        return None
    found = estimate_effects(frame, varied, design.options.alpha, material_of(errors, sizes))
    return replace(found, material=f"{len(sizes)} {scores.block_kind}s")


def _levels(column: "pd.Series[str]", planned: Sequence[object]) -> list[str]:
    """Order the levels that finished trials have: as planned, then what only the baseline has."""
    present, order = set(column), [str(level) for level in planned]
    return [level for level in order if level in present] + sorted(present - set(order))


def _level(records: Records, trial_key: str, variant: str, key: str) -> str:
    changes = records.design.variant(variant).changes
    return str(changes[key] if key in changes else records.params.loc[trial_key].get(key))


def estimate_effects(
    frame: pd.DataFrame,
    factors: Mapping[str, Sequence[str]],
    alpha: float = 0.05,
    material: Material | None = None,
) -> Effects:
    """Fit main effects, two-way interactions and means of seeds.

    Args:
        frame: One row per trial: ``response``, ``seed`` and a column per factor.
        factors: Levels of each factor.
        alpha: Intervals cover with probability 1 - alpha.
        material: How test material moves each trial; without it intervals tell about this test set only.
    """
    coded = {
        key: _sum_coding(frame[key].astype(str), [str(level) for level in levels])
        for key, levels in factors.items()
    }
    terms = _terms(coded)
    kept, aliases = _separate(frame, terms)
    fit = LeastSquares(frame["response"].to_numpy(float), kept, material)
    shown = [term for term in kept if term in terms]
    effects = [effect for term in shown for effect in _term_effects(fit, term, factors, alpha)]
    changes = [change for term in shown for change in _term_changes(fit, term, factors, alpha)]
    found = [fit.test(term) for term in shown]
    corrected = holm([p for *_, p in found])
    tests = [
        TermTest(term, kept[term].shape[1], below, f, p, p_corrected, tuple(aliases.get(term, ())))
        for term, (f, below, p), p_corrected in zip(shown, found, corrected, strict=True)
    ]
    return Effects(fit.mean, tuple(effects), tuple(changes), tuple(tests), fit.freedom)


def is_interaction(term: str) -> bool:
    """Whether a term is of two factors."""
    return TIMES in term


def _sum_coding(column: pd.Series, levels: Sequence[str]) -> Floats:
    """Code a column as effects that sum to zero: (n, levels - 1)."""
    coded: Floats = _contrasts(len(levels))[[levels.index(value) for value in column]]
    return coded


def _terms(coded: Mapping[str, Floats]) -> dict[str, Floats]:
    """Columns of each main effect and each pair."""
    pairs = {
        f"{a}{TIMES}{b}": (coded[a][:, :, None] * coded[b][:, None, :]).reshape(len(coded[a]), -1)
        for a, b in itertools.combinations(coded, 2)
    }
    return {**coded, **pairs}


def _separate(
    frame: pd.DataFrame, terms: Mapping[str, Floats]
) -> tuple[dict[str, Floats], dict[str, list[str]]]:
    """Keep the terms that can be estimated, mean and seeds first; list the others under what hides them."""
    seeds = sorted(frame["seed"].astype(str).unique())
    kept = {"mean": np.ones((len(frame), 1))}
    if len(seeds) > 1:
        kept["seed"] = _sum_coding(frame["seed"].astype(str), seeds)
    aliases: dict[str, list[str]] = {}
    for name, columns in terms.items():
        known = np.hstack(list(kept.values()))
        weights: Floats = np.linalg.lstsq(known, columns, rcond=None)[0].astype(float)
        left = columns - known @ weights
        if np.linalg.matrix_rank(left, tol=SAME * len(frame)) == columns.shape[1]:
            kept[name] = columns
            continue
        for hider in _hiders(kept, weights):
            aliases.setdefault(hider, []).append(name)
    return kept, aliases


def _hiders(kept: Mapping[str, Floats], weights: Floats) -> list[str]:
    """Name the terms that an aliased one is a combination of."""
    edges = np.cumsum([0, *(columns.shape[1] for columns in kept.values())])
    return [
        name
        for name, start, end in zip(kept, edges[:-1], edges[1:], strict=True)
        if np.abs(weights[start:end]).max() > SAME and name not in ("mean", "seed")
    ]


def _term_effects(
    fit: LeastSquares, term: str, factors: Mapping[str, Sequence[str]], alpha: float
) -> list[Effect]:
    contrasts = [_contrasts(len(factors[name])) for name in term.split(TIMES)]
    return [
        Effect(term, _named(term, factors, places), *fit.combine(term, _cross(contrasts, places), alpha))
        for places in itertools.product(*(range(len(contrast)) for contrast in contrasts))
    ]


def _term_changes(
    fit: LeastSquares, term: str, factors: Mapping[str, Sequence[str]], alpha: float
) -> list[Change]:
    contrasts = [_contrasts(len(factors[name])) for name in term.split(TIMES)]
    steps = [contrast - contrast[0] for contrast in contrasts]
    first = _named(term, factors, [0] * len(steps))
    return [
        Change(term, first, _named(term, factors, places), *fit.combine(term, _cross(steps, places), alpha))
        for places in itertools.product(*(range(1, len(step)) for step in steps))
    ]


def _contrasts(levels: int) -> Floats:
    """Sum coding of each level: (levels, levels - 1)."""
    coding: Floats = np.vstack([np.eye(levels - 1), -np.ones((1, levels - 1))])
    return coding


def _cross(rows: Sequence[Floats], places: Sequence[int]) -> Floats:
    """Weights of a term's coefficients at one level of each of its factors."""
    weights: Floats = rows[0][places[0]]
    for row, place in zip(rows[1:], places[1:], strict=True):
        weights = np.outer(weights, row[place]).ravel()
    return weights


def _named(term: str, factors: Mapping[str, Sequence[str]], places: Sequence[int]) -> str:
    return ", ".join(str(factors[name][i]) for name, i in zip(term.split(TIMES), places, strict=True))
