"""Least squares on the error rates of trials, with two errors: other seeds, and other test material.

The residual of the fit tells how far an effect would move with other seeds. How far it would move with other
speakers, or other utterances, the residual cannot tell, since all trials were scored on the same ones; an
effect that a few speakers make would look certain (Clark, "The language-as-fixed-effect fallacy", Journal of
Verbal Learning and Verbal Behavior 12, 1973). So the influence of every block of test material on every
coefficient is reckoned, and the variance over blocks added. Freedom is Satterthwaite's; for a term of one
degree of freedom that is Clark's min F'.

The luck of one network on one block is part of both; it is counted once, with the seeds.

    Shapes: N trials, S blocks, Q coefficients of a term.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

ROUNDING = 1e-9
"""Coefficients and standard errors below it are rounding: rates are in points."""


@dataclass(frozen=True)
class Material:
    """How each block of test material moves the response of each trial."""

    influence: Floats
    """(N, S): what the block adds to the trial's rate beyond its share."""
    freedom: float
    """Degrees of freedom of a variance over the blocks."""


def material_of(errors: Floats, sizes: Floats) -> Material:
    """Reckon the influence of each block on error rates in points.

    Long blocks weigh more. Both corrections for that are exact where speakers differ by as much whether they
    say much or little: their distances from the mean they are part of are too short by a known factor, and
    the variance is mostly that of the longest ones, so that it has fewer degrees of freedom.

    Args:
        errors: Errors of each trial on each block (N, S).
        sizes: Reference length of each block (S,).
    """
    shares = sizes / sizes.sum()
    distances = 100 * (errors / sizes.sum() - errors.sum(axis=1, keepdims=True) / sizes.sum() * shares)
    squares = float((shares**2).sum())
    kept = 1 - 2 * shares + squares
    if len(sizes) < 2 or not kept.min() > 0:
        return Material(distances, 0.0)
    return Material(distances / np.sqrt(kept), squares**2 / float((shares**4).sum()) - 1)


class LeastSquares:
    """A fit of named groups of columns, called terms.

    Args:
        response: What is explained (N,), in points.
        groups: Columns of each term (N, Q); together of full rank.
        material: Adds the error of other test material; without it the test material is taken as given.
    """

    def __init__(
        self, response: Floats, groups: Mapping[str, Floats], material: Material | None = None
    ) -> None:
        columns = np.hstack(list(groups.values()))
        projection = np.linalg.pinv(columns)  # (coefficients, N)
        edges = np.cumsum([0, *(group.shape[1] for group in groups.values())])
        self.freedom = len(response) - columns.shape[1]
        self._places = {name: slice(a, b) for name, a, b in zip(groups, edges[:-1], edges[1:], strict=True)}
        self._coefficients = _without_rounding(projection @ response)
        self._shape = projection @ projection.T
        self._variance = self._per_freedom(response - columns @ self._coefficients)
        material = material or Material(np.zeros((len(response), 1)), math.inf)
        self._material_freedom = material.freedom
        self._moved = projection @ material.influence  # (coefficients, S)
        self._luck = self._per_freedom(material.influence - columns @ self._moved)
        self._errors = {term: self._errors_at(place) for term, place in self._places.items()}

    @property
    def mean(self) -> float:
        """The first coefficient."""
        return float(self._coefficients[0])

    def combine(self, term: str, weights: Floats, alpha: float) -> tuple[float, float, float]:
        """Estimate a combination (Q,) of a term's coefficients: its value and both ends of its interval."""
        value = float(weights @ self._coefficients[self._places[term]])
        axes, of_seeds, of_material = self._errors[term]
        along = (axes @ weights) ** 2
        parts = float(along.sum() * of_seeds), float(along @ of_material)
        error = math.sqrt(sum(parts))
        freedom = self._satterthwaite(*parts) if error > 0 else 1.0
        reach = float(stats.t.ppf(1 - alpha / 2, freedom)) * error
        return value, value - reach, value + reach

    def test(self, term: str) -> tuple[float, float, float]:
        """Test that all coefficients of a term are zero, all other terms kept: F, its lower freedom, p."""
        axes, of_seeds, of_material = self._errors[term]
        found = np.linalg.solve(axes.T, self._coefficients[self._places[term]]) ** 2
        total = of_seeds + of_material
        if np.isnan(total).any():
            return math.nan, math.nan, math.nan
        f = sum(_ratio(one, error) for one, error in zip(found, total, strict=True)) / len(found)
        if not total.all():
            return f, math.inf, 0.0 if f else 1.0
        seeds, material = float((of_seeds / total).sum()), float((of_material / total).sum())
        freedom = self._satterthwaite(seeds, material)
        # The covariance over blocks is itself estimated: Hotelling's loss, as far as it is what decides.
        below = freedom - (len(found) - 1) * material / (seeds + material)
        if not below > 0:
            return math.nan, math.nan, math.nan
        f *= below / freedom
        return f, below, float(stats.f.sf(f, len(found), below))

    def _errors_at(self, place: slice) -> tuple[Floats, float, Floats]:
        """Axes (Q, Q) on which the errors of coefficients do not correlate, and both variances there.

        A combination ``w`` of the coefficients has the variance ``((axes @ w) ** 2) @ (seeds + material)``.
        """
        root = np.linalg.cholesky(self._shape[place, place])
        spread = np.linalg.solve(root, self._moved[place])
        if not (self.freedom and self._material_freedom):
            return root.T, math.nan, np.full(len(root), math.nan)
        variances, turned = np.linalg.eigh(spread @ spread.T)
        return (root @ turned).T, self._variance, np.maximum(variances - self._luck, 0.0)

    def _satterthwaite(self, of_seeds: float, of_material: float) -> float:
        """Degrees of freedom of a sum of two variances, given in any unit."""
        below = of_seeds**2 / self.freedom + of_material**2 / self._material_freedom
        return float((of_seeds + of_material) ** 2 / below)

    def _per_freedom(self, residuals: Floats) -> float:
        """Variance of what the fit leaves (N, ...)."""
        return float((_without_rounding(residuals) ** 2).sum()) / self.freedom if self.freedom else math.nan


def _without_rounding(values: Floats) -> Floats:
    kept: Floats = np.where(np.abs(values) < ROUNDING, 0.0, values)
    return kept


def _ratio(value: float, error: float) -> float:
    """Divide by a variance that may be zero."""
    if error > 0:
        return float(value / error)
    return math.inf if value > 0 else 0.0
