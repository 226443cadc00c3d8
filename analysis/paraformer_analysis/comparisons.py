"""What follows from a bootstrapped difference: p values, their correction, what it takes to see more."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from paraformer_analysis.bootstrap import LEAST_SEEDS, Estimate, seed_freedom

MOST_SEEDS = 200
"""Seeds beyond which no plan is proposed: more test material is the cheaper way then."""


def two_sided_p(estimate: Estimate, value: float = 0.0) -> float:
    """How surprising the difference is if the true one is ``value``; never below 1 / (R + 1)."""
    return _beyond(estimate, estimate.value - value)


def equivalence_p(estimate: Estimate, margin: float) -> float:
    """Two one-sided tests: how surprising the difference is if the true one reaches ``margin`` either way."""
    nearer = margin - abs(estimate.value)
    return _beyond(estimate, nearer) / 2 if nearer > 0 else 1 - _beyond(estimate, nearer) / 2


def _beyond(estimate: Estimate, distance: float) -> float:
    """Share of replicates that deviate at least this far, to either side; NaN if nothing is known of them.

    Never less than what other test material alone would do to these very networks: what does not hold for
    them does not hold for others, however closely three seeds happen to agree.
    """
    if math.isnan(estimate.material_variance):
        return math.nan
    deviations = np.abs(estimate.deviations)
    share = (int((deviations >= abs(distance)).sum()) + 1) / (len(deviations) + 1)
    if not estimate.material_variance > 0:
        return share
    errors = abs(distance) / math.sqrt(estimate.material_variance)
    return max(share, 2 * float(stats.t.sf(errors, estimate.block_freedom)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number so that the chance of any false alarm keeps its level (Holm 1979).

    NaN stays NaN and does not count as a comparison.
    """
    p = np.asarray(p_values, dtype=float)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected = p.copy()
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return [float(value) for value in corrected]


def minimal_detectable(estimate: Estimate, alpha: float, power: float) -> float:
    """Smallest true difference that a sweep like this finds with probability ``power`` at level ``alpha``."""
    parts = _parts(estimate, estimate.seeds)
    return _reach(parts, alpha, power) * estimate.standard_error


def seeds_to_settle(estimate: Estimate, alpha: float, power: float, margin: float | None) -> int | None:
    """How many more seeds would probably settle a comparison, if the difference is what it seems to be.

    Settled means found different from zero or, with a margin, found to be within it.

    Returns:
        The number of further seeds; None if no reasonable number does it or the spread is not known.
    """
    if estimate.seeds < LEAST_SEEDS or not math.isfinite(estimate.standard_error):
        return None
    for seeds in range(estimate.seeds + 1, MOST_SEEDS + 1):
        parts = _parts(estimate, seeds)
        error = math.sqrt(sum(variance for variance, _ in parts))
        different = abs(estimate.value) >= _reach(parts, alpha, power) * error
        inside = (
            margin is not None and margin - abs(estimate.value) >= _reach(parts, 2 * alpha, power) * error
        )
        if different or inside:
            return seeds - estimate.seeds
    return None


def _parts(estimate: Estimate, seeds: int) -> list[tuple[float, float]]:
    """Variance and degrees of freedom of both levels, had there been so many seeds."""
    parts = [(estimate.block_variance, estimate.block_freedom)]
    if estimate.seeds >= LEAST_SEEDS:
        variance = estimate.seed_variance * estimate.seeds / seeds
        parts.append((variance, seed_freedom(seeds, variance, estimate.block_variance)))
    return parts


def _reach(parts: Sequence[tuple[float, float]], alpha: float, power: float) -> float:
    """How many standard errors away a true difference must be to be found."""
    return student_quantile(parts, 1 - alpha / 2) + student_quantile(parts, power)


def student_quantile(parts: Sequence[tuple[float, float]], probability: float) -> float:
    """Quantile of a deviation whose variance is the sum of estimated ones, in its standard errors.

    Each level's own Student quantile, weighted by its variance: Cochran and Cox's approximation to a sum of
    two Student variables, which the bootstrap draws.

    Args:
        parts: Variance and degrees of freedom of each level.
        probability: Which quantile.
    """
    total = sum(variance for variance, _ in parts)
    if not total > 0:
        return float(stats.norm.ppf(probability))
    quantiles = [(variance, float(stats.t.ppf(probability, freedom))) for variance, freedom in parts]
    return sum(variance * quantile for variance, quantile in quantiles if variance > 0) / total
