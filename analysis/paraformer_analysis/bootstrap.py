"""Paired two-level bootstrap of a difference between error rates.

Two things make a measured difference uncertain: which test material was spoken, and which seeds the networks
were trained with. Both systems are scored on the same utterances and trained from the same seeds, so it is
the *difference* that is resampled: seeds at the first level, blocks (speakers, or utterances where there are
few speakers) at the second. Blocks are resampled by their sums of errors and of reference length, so a
replicate is one product of a count vector with those sums (Bisani and Ney, ICASSP 2004, for the utterances;
Liu and Peng, arXiv 1912.09508, for the blocks).

A plain bootstrap of three seeds covers the truth far less often than it says: it takes the spread of three
numbers for the spread of all numbers. Three corrections mend this, each the classical one:

* deviations are widened by sqrt(n / (n - 1)) at each level, for the mean that was estimated from them;
* each level's deviation is divided by the square root of an own draw of chi-square / df, which gives it the
  Student tails that few seeds or few blocks call for, as Behrens and Fisher do; see ``seed_freedom``;
* luck of one network on one block shows at both levels; it is counted once, with the seeds;
* the interval is symmetric: a resample of few blocks is skewed to the wrong side (Hall, Biometrika 1988).

Three seeds now and then agree by chance, more closely than the luck of single words lets networks agree.
Such an interval is too short, and right only in that others are too long; it is marked (``seeds_agree``), and
p values do not believe it, see ``comparisons``.

With fewer than three seeds the spread over seeds cannot be estimated: then only the blocks are resampled,
and the interval tells about the trained networks at hand, not about the way of training them.

    Shapes: K seeds, S blocks, V variants, R replicates.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

LEAST_SEEDS: Final = 3
"""Seeds below which no spread over seeds is claimed."""
TOO_SHORT: Final = 0.75
"""Part of the interval for these very networks below which an interval is marked; near it chance decides."""
ROWS_AT_A_TIME: Final = 500
"""Replicates handled together, to bound memory."""


@dataclass(frozen=True)
class Estimate:
    """A rate, or a difference of rates, with what the bootstrap says about it. Fractions, not percent."""

    value: float
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    seeds: int
    blocks: float
    """Effective number of blocks: fewer than there are when some hold far more words than others."""
    seed_variance: float
    """Variance of the value that comes from the seeds; NaN when there are too few to tell."""
    block_variance: float
    """Variance of the value that comes from the choice of test material."""
    material_variance: float
    """Variance of the value over test material for these very networks: their luck on it is part of it."""
    seeds_agree: bool
    """Whether the interval is much shorter than one that takes these very networks as given."""
    deviations: Floats = field(repr=False, compare=False)
    """(R,) distances of the bootstrap's replicates from the value."""

    @property
    def block_freedom(self) -> float:
        """Degrees of freedom of a variance over blocks, one at least."""
        return max(self.blocks - 1, 1.0)

    @property
    def standard_error(self) -> float:
        """Square root of both variances together."""
        return float(np.sqrt(np.nan_to_num(self.seed_variance) + self.block_variance))


class BlockBootstrap:
    """Resampled blocks of one test set, drawn once and used for every comparison on it.

    Args:
        sizes: Reference length of each block (S,); their sum must be positive.
        replicates: How many times to resample.
        seed: The same seed gives the same intervals.
    """

    def __init__(self, sizes: Floats, replicates: int = 10_000, seed: int = 0) -> None:
        self.sizes = np.asarray(sizes, dtype=float)
        self.seed = seed
        self.counts = _draw_counts(len(self.sizes), replicates, np.random.default_rng(seed))
        # Kish's effective number: that of equal blocks whose mean would vary as much.
        self.effective_blocks = float(self.sizes.sum() ** 2 / (self.sizes**2).sum())
        self._resampled_sizes = self._sum_up(self.sizes[:, None])[:, 0]

    def estimate(self, sums: Floats, alpha: float = 0.05, stream: int = 0) -> Estimate:
        """Estimate a rate or a difference from its sums per seed and block.

        Args:
            sums: Errors, or differences of errors, per seed and block (K, S).
            alpha: The interval covers with probability 1 - alpha.
            stream: Number of the comparison; each draws its own seeds, whatever the others do.
        """
        return self.estimate_all([sums], alpha, [stream])[0]

    def estimate_all(self, sums: list[Floats], alpha: float, streams: list[int]) -> list[Estimate]:
        """Estimate many at once; see ``estimate``."""
        means = np.stack([np.asarray(each, dtype=float).mean(axis=0) for each in sums], axis=1)  # (S, V)
        # A replicate of nothing but empty references has no rate: it stands at the value itself.
        values = np.tile(means.sum(axis=0) / self.sizes.sum(), (len(self.counts), 1))
        sizes = self._resampled_sizes[:, None]
        resampled = np.divide(self._sum_up(means), sizes, out=values, where=sizes > 0)  # (R, V)
        return [
            self._finish(np.asarray(each, dtype=float), resampled[:, column], alpha, stream)
            for column, (each, stream) in enumerate(zip(sums, streams, strict=True))
        ]

    def _sum_up(self, values: Floats) -> Floats:
        """Sum block values (S, V) over the blocks of each replicate: (R, V)."""
        parts = [
            self.counts[start : start + ROWS_AT_A_TIME].astype(np.float64) @ values
            for start in range(0, len(self.counts), ROWS_AT_A_TIME)
        ]
        return np.concatenate(parts)

    def _finish(self, sums: Floats, resampled: Floats, alpha: float, stream: int) -> Estimate:
        per_seed = sums.sum(axis=1) / self.sizes.sum()  # (K,)
        value = float(per_seed.mean())
        seed_variance, block_variance, material_variance = self._variances(sums, per_seed)
        blocks = self.effective_blocks
        kept = block_variance / material_variance if material_variance > 0 else 0.0
        widening = np.sqrt(kept * blocks / (blocks - 1)) if blocks > 1 else np.nan
        generator = np.random.default_rng([self.seed, stream])
        deviations = widening * (resampled - value) * _student(blocks - 1, len(resampled), generator)
        if len(per_seed) >= LEAST_SEEDS:
            freedom = seed_freedom(len(per_seed), seed_variance, block_variance)
            deviations += _seed_deviations(per_seed, freedom, len(resampled), generator)
        reach = float(np.quantile(np.abs(deviations), 1 - alpha))
        given = float(stats.t.ppf(1 - alpha / 2, max(blocks - 1, 1.0))) * np.sqrt(material_variance)
        return Estimate(
            value,
            value - reach,
            value + reach,
            len(per_seed),
            blocks,
            seed_variance,
            block_variance,
            material_variance,
            len(per_seed) >= LEAST_SEEDS and bool(reach < TOO_SHORT * given),
            deviations,
        )

    def _variances(self, sums: Floats, per_seed: Floats) -> tuple[float, float, float]:
        """Split the variance of the value into seeds and blocks; also the blocks' with what is luck in it.

        The influence of a block on the rate of one seed is its residual over the total length. What those
        influences have in common over seeds is the block's own; the rest is the luck of single networks,
        which the spread between seeds contains already.
        """
        seeds, blocks = len(sums), self.effective_blocks
        if not blocks > 1:
            return np.nan, np.nan, np.nan
        influence = (sums - per_seed[:, None] * self.sizes) / self.sizes.sum()  # (K, S)
        common = influence.mean(axis=0)
        unbiased = blocks / (blocks - 1)
        whole = float(unbiased * (common**2).sum())
        if seeds < LEAST_SEEDS:
            return np.nan, whole, whole
        luck = float(unbiased * ((influence - common) ** 2).sum() / (seeds * (seeds - 1)))
        return float(per_seed.var(ddof=1) / seeds), max(0.0, whole - luck), whole


def seed_freedom(seeds: int, seed_variance: float, block_variance: float) -> float:
    """Degrees of freedom of the seeds' part of a deviation.

    Between two classical answers, by simulation (benchmarks/coverage.py). With seeds - 1, as Behrens and
    Fisher would have it, 95 % intervals of three seeds hold the truth in 97.1 % where speakers decide. With
    one Student draw for the sum of both variances, as Welch and Satterthwaite would have it, the far tails
    are too light: tables of six rows without any effect raise an alarm in 8 % after Holm's correction.
    """
    total = seed_variance + block_variance
    share = block_variance / total if total > 0 else 0.0
    return (seeds - 1) * (1 + share / 2)


def _seed_deviations(
    per_seed: Floats, freedom: float, replicates: int, generator: np.random.Generator
) -> Floats:
    """Resample the seeds: deviations of their mean (R,), widened, with Student's tails."""
    seeds = len(per_seed)
    shares = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=replicates) / seeds  # (R, K)
    widened: Floats = np.sqrt(seeds / (seeds - 1)) * (shares @ (per_seed - per_seed.mean()))
    return widened * _student(freedom, replicates, generator)


def _student(freedom: float, replicates: int, generator: np.random.Generator) -> Floats:
    """Factors (R,) that turn normal deviations into Student's t, with one degree of freedom at least."""
    least = max(freedom, 1.0)
    factors: Floats = 1 / np.sqrt(generator.chisquare(least, replicates) / least)
    return factors


def _draw_counts(blocks: int, replicates: int, generator: np.random.Generator) -> NDArray[np.uint16]:
    """Draw how often each block stands in each replicate: (R, S)."""
    counts = np.empty((replicates, blocks), dtype=np.uint16)
    for start in range(0, replicates, ROWS_AT_A_TIME):
        rows = min(ROWS_AT_A_TIME, replicates - start)
        drawn = generator.integers(blocks, size=(rows, blocks)) + blocks * np.arange(rows)[:, None]
        counts[start : start + rows] = np.bincount(drawn.ravel(), minlength=rows * blocks).reshape(
            rows, blocks
        )
    return counts
